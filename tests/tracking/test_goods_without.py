"""The goods go on without their receiver, as readers say: an operator takes them over there, and may take that back."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Decision, Device, Fix, Operation, Placement, TagRead
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
EPC = "urn:epc:id:sgtin:0614141.107346.2017"
RECT = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in (
    (-9e4, -9e4), (9e4, -9e4), (9e4, 9e4), (-9e4, 9e4), (-9e4, -9e4))))  # fmt: skip
#: The receiver is left at LEFT_M after LEFT_S; the goods go on at SPEED by portals.
SPEED, LEFT_S = 20.0, 300.0
LEFT_M = SPEED * LEFT_S
PORTALS = {"p1": 9_000.0, "p2": 30_000.0}


def way(journal, every_s: float, *, seed: int = 0, receivers: tuple[str, ...] = ("gps",)):
    """A journal up to a second, and what goes on in it: ``on(t0, t1)`` says all that is said between."""
    j, rng = journal(exercise=False, restart=True), random.Random(seed)
    j.add(0, Operation(operation="op", area=RECT))
    for name in receivers:
        j.add(0, Device(device=name, klass="van", interval_s=every_s))
        j.add(0, Attachment(device=name, shipment="crate", operation="op", from_ns=T0))
    j.add(0, Attachment(device=EPC, shipment="crate", operation="op", from_ns=T0))
    for name, e in PORTALS.items():
        lat, lon = HOME.geodetic(e, 0.0)
        j.add(0, Placement(device=name, lat_deg=lat, lon_deg=lon, range_m=10.0, from_ns=T0))

    def on(from_s: int, to_s: int, left: bool = True) -> None:
        for t in range(from_s, to_s):
            for k, name in enumerate(receivers):
                if t % int(every_s) == k:
                    e = SPEED * (min(t, LEFT_S) if left else t)
                    lat, lon = HOME.geodetic(e + rng.gauss(0, 5), rng.gauss(0, 5))
                    j.say(t + 0.4, Fix(device=name, time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=6.0))
            for name, e in PORTALS.items():
                if abs(SPEED * t - e) < 10.0:
                    j.say(t + 0.5, TagRead(device=name, time_ns=T0 + t * NS, epc=EPC))

    return j, on


def places(j, at_s: float) -> dict[str, tuple[float, str | None]]:
    """Where each is, along the way, and who says otherwise."""
    rows = [row for row in j.now(at_s) if row.operation == "op"]
    return {"/".join(row.identities): (HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0], row.rival_device) for row in rows}


def decide(j, at_s: float, action: str, subject: str, **words) -> str:
    j.add(at_s, Decision(action=action, subject=subject, by="anna", operation="op", **words))
    told = j.events("decided", "decided_nothing")[-1]
    return f"{told.kind}: {told.text}"


@pytest.mark.parametrize("every_s", [10.0, 60.0])
@pytest.mark.parametrize("asked_s", [470, 1400])  # 20 s after the read, and when it has long left the ring
def test_the_goods_are_where_their_tag_was_read(journal, every_s, asked_s):
    j, on = way(journal, every_s)
    on(0, asked_s)
    [row] = j.now(asked_s)
    assert row.rival_device == "p1" and j.happened("parted")[0].end_ns is None
    said = decide(j, asked_s, "take_over", row.track_id)
    assert said.startswith("decided: anna: it is where p1 read its tag at ") and "gps goes its own way as" in said
    on(asked_s, asked_s + 60)
    then = places(j, asked_s + 59)
    assert abs(then[EPC][0] - PORTALS["p1"]) < 12.0 and abs(then["gps"][0] - LEFT_M) < 12.0
    assert not then[EPC][1] and not then["gps"][1], "nobody says otherwise any more"
    assert j.happened("parted")[0].end_ns is not None
    on(asked_s + 60, 1520)
    then = places(j, 1519)
    assert abs(then[EPC][0] - SPEED * 1519) < 60.0 and abs(then["gps"][0] - LEFT_M) < 12.0, "on their way"
    assert len(j.happened("parted")) == 1, "what the receiver says is no news of the goods"
    goods = next(row for row in j.now(1519) if row.identities == (EPC,))
    assert goods.track_id == row.track_id and goods.name == "crate", "the shipment's track is the goods'"


@pytest.mark.parametrize("every_s", [10.0, 60.0])
@pytest.mark.parametrize("since_s", [1, 50, 600])
def test_taken_back_it_is_where_its_receiver_says(journal, every_s, since_s):
    j, on = way(journal, every_s)
    never, on_never = way(journal, every_s)
    on(0, 470), on_never(0, 470)
    [row] = j.now(470)
    decide(j, 470, "take_over", row.track_id)
    number = j.seq
    on(470, 470 + since_s), on_never(470, 470 + since_s)
    assert decide(j, 470 + since_s, "undo", f"D{number}").startswith("decided: ")
    end = 470 + since_s + 120
    on(470 + since_s, end), on_never(470 + since_s, end)
    [now], [then] = j.now(end), never.now(end)
    assert (now.lat_deg, now.lon_deg) == pytest.approx((then.lat_deg, then.lon_deg), abs=1e-11)
    assert (now.p_ee, now.p_nn) == pytest.approx((then.p_ee, then.p_nn), rel=1e-9)
    assert now.rival_device == "p1" == then.rival_device and now.track_id == row.track_id
    assert set(now.identities) == set(then.identities)
    open_ = [event for event in j.happened("parted") if event.end_ns is None]
    assert [event.device for event in open_] == ["p1"], "that it parted is told again"


def test_the_only_receiver_may_be_split_off_where_the_tag_was_read_elsewhere(journal):
    j, on = way(journal, 10.0)
    on(0, 400)
    [row] = j.now(400)
    assert decide(j, 400, "split", row.track_id, device="gps").endswith(f"gps is its only receiver (D{j.seq})")
    on(400, 470)
    assert "gps goes its own way as" in decide(j, 470, "split", row.track_id, device="gps")
    on(470, 500)
    assert abs(places(j, 499)[EPC][0] - PORTALS["p1"]) < 12.0


def test_of_several_receivers_those_are_split_off_that_were_left(journal):
    """Which of them goes with the goods is the operator's to say: one after the other, to the last."""
    j, on = way(journal, 10.0, receivers=("a", "b"))
    on(0, 470)
    [row] = j.now(470)
    assert row.rival_device == "p1"
    assert "a, b say otherwise: split off what was left behind" in decide(j, 470, "take_over", row.track_id)
    assert "goes its own way" in decide(j, 471, "split", row.track_id, device="a")
    assert j.happened("parted")[0].end_ns is None
    assert [row.rival_device for row in j.now(472) if "b" in row.identities] == ["p1"]
    assert "b goes its own way" in decide(j, 473, "take_over", row.track_id)
    on(474, 520)
    assert {name: round(e / 100) for name, (e, _) in places(j, 519).items()} == {EPC: 90, "a": 60, "b": 60}


def test_receivers_that_were_with_it_all_the_time_feed_it_again(journal):
    """The clock of the portal was wrong: the receiver was taken from the goods, and that is undone while they drive on."""
    j, on = way(journal, 10.0)
    on(0, 470, left=True)
    [row] = j.now(470)
    decide(j, 470, "take_over", row.track_id)
    number = j.seq
    on(470, 600, left=False)
    decide(j, 600, "undo", f"D{number}")
    on(600, 640, left=False)
    [(place, _)] = places(j, 639).values()
    assert abs(place - SPEED * 639) < 60.0
