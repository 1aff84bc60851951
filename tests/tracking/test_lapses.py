"""Thousands that were heard at once fall due at once: each entry looks at a few, and nobody is told late what became of one."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import (
    Alarm,
    Attachment,
    Decision,
    Device,
    Fix,
    FrameBody,
    Operation,
    Reading,
    RefusalBody,
    Reject,
    Scan,
    Sighting,
    Start,
    Tick,
    Verdict,
)
from birddog.units import NS
from tracking import expectations, turns

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def fix(device: str, t: float, e: float = 0.0, n: float = 0.0, **more) -> Fix:
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, **more)


def heard(device: str, t: float, e: float = 0.0, **more) -> FrameBody:
    ais = device.isdigit()
    one = fix(device, t, e, 500.0 * (hash_of(device) % 40), attributes={"msg_type": 1} if ais else {}, **more)
    return FrameBody(format="ais" if ais else "x", version=1, payload=b"", device=device, observations=(one,))


def hash_of(text: str) -> int:
    return sum(text.encode())


def life(seed: int) -> list[tuple[float, object]]:
    """A day and a half: all are heard at once, some again now and then, also late, seen from above, enrolled, taken in hand."""
    rng = random.Random(seed)
    names = [f"24490{k:04d}" for k in range(20)] + [f"stray{k}" for k in range(20)]
    rows: list[tuple[float, object]] = [(0.0, Start(version="test", presets={}, exercise=True))]
    rows += [(10.0, heard(name, 10.0)) for name in names]
    for name in names:
        for _ in range(rng.choice((0, 0, 1, 3, 6))):
            t = 10.0 + rng.choice((40.0, 900.0, 20_000.0, 120_000.0)) * rng.random()
            rows.append((t + rng.choice((0.0, 0.0, 30.0)), heard(name, t, rng.uniform(-300.0, 300.0))))
    rows += [(t, Tick()) for t in range(15, 1_500, 15)] + [(t, Tick()) for t in range(1_500, 130_000, 900)]
    lat, lon = HOME.geodetic(0.0, 2_000.0)
    ring = ((3.9, 51.9), (4.3, 51.9), (4.3, 52.2), (3.9, 52.2), (3.9, 51.9))
    seen = Sighting(device="sar", time_ns=T0 + 88_000 * NS, lat_deg=lat, lon_deg=lon, r_ee=400.0, r_en=0.0, r_nn=400.0)
    rows.append((88_000.0, Scan(scan_id="s", sensor="sar", time_ns=T0 + 88_000 * NS, footprint=ring, pd=0.9,
                                clutter_per_km2=0.001, sightings=(seen,))))  # fmt: skip
    rows += [(700.0, Device(device="stray3", basis="own_sensor", interval_s=7_200.0)),
             (1_500.0, Decision(action="merge", subject="T32", other="T33", by="anna")),
             (2_000.0, Start(version="test", presets={"broadcast_lost_s": 1_800.0}, exercise=True))]  # fmt: skip
    return sorted(rows, key=lambda row: row[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_how_many_are_looked_at_for_an_entry_changes_nothing_that_is_believed(journal, monkeypatch, seed):
    rows = life(seed)

    def lived(each: int):
        monkeypatch.setattr(turns, "PATIENT_EACH", each)
        monkeypatch.setattr(turns, "PATIENT_EACH_S", 0)
        j, seen = journal(begun=False, restart=each == 1 and seed == 1), []
        for at_s, body in rows:
            j.add(at_s, body)
            seen.append(sorted((t.track_id, t.status) for t in j.now(at_s)))
        for _ in range(100):  # until each had its turn
            j.add(rows[-1][0], Tick())
        return j, seen

    (few, believed_few), (all_, believed_all) = lived(1), lived(10_000)
    assert believed_few == believed_all
    assert {e.event_id: e for e in few.happened()} == {e.event_id: e for e in all_.happened()}
    assert few.rows() == all_.rows()
    assert max(len(c.tracks) for c in all_.changes) > 10 and {r.status for r in all_.rows().values()} > {"deleted"}


def test_of_those_that_nobody_enrolled_is_expected_what_was_of_the_last_one_like_it(journal, monkeypatch):
    """It is asked of each or not: the same of every entry, also where some of them are enrolled meanwhile."""

    def lived():
        j = journal(begun=False)
        return [j.add(at_s, body) for at_s, body in life(4)]

    shared = lived()
    monkeypatch.setattr(expectations.Expectations, "_is_nobodys", lambda *_: False)
    assert shared == lived()


def test_of_those_that_wait_an_entry_looks_at_a_few(journal):
    j = journal()
    for k in range(300):
        j.say(0, fix(f"244{k:06d}", 0, attributes={"msg_type": 1}), fmt="ais")
    looked = []
    for t in range(5, 1_300, 5):
        looked.append(len(j.add(t, Tick()).tracks))
        status = "confirmed" if t <= 300 else "coasting" if t <= 1_200 else "silent"
        assert {r.status for r in j.now(t)} == {status}, "in its time, whoever had their turn"
    assert max(looked) == turns.PATIENT_EACH
    assert len(j.add(90_000, Tick()).ended) == 300 and not j.now(90_000), "after a gap for each second of it"
    assert j.rows()["T2"].lapses_ns == tuple(T0 + s * NS + 1 for s in (300, 1_200, 86_400))


def test_a_row_says_what_it_is_by_a_later_time(journal):
    j = journal()
    j.say(0, fix("244900001", 0, attributes={"msg_type": 1}), fmt="ais")
    row = j.rows()["T2"]
    assert [row.lapsed(T0 + s * NS).status for s in (0, 300, 301, 1_200, 1_201, 86_400, 86_401)] == [
        "confirmed", "confirmed", "coasting", "coasting", "silent", "silent", "deleted"]
    assert row.lapsed(T0 + 400 * NS).lapsed(T0).status == "coasting", "what it was told to be it stays"
    j.add(1, Device(device="own", basis="own_sensor", interval_s=60.0))
    j.say(1, fix("own", 1))
    assert j.rows()["T4"].lapses_ns == (), "of what is ours it is told when it falls silent"


def said(device: str, observation) -> FrameBody:
    return FrameBody(format="x", version=1, payload=b"", device=device, observations=(observation,))


def battery(device: str, t: float, level: float) -> FrameBody:
    return said(device, Reading(device=device, time_ns=T0 + round(t * NS), quantity="battery_level", value=level))


#: What goes on of a stray until it is no more, and what begins it.
GOING = {
    "low_battery": lambda t: battery("stray", t, 5.0),
    "jamming": lambda t: said("stray", Alarm(device="stray", time_ns=T0 + round(t * NS), alarm="jamming")),
    "clock": lambda t: said("stray", fix("stray", t + 5_000.0)),
}


@pytest.fixture
def one_turn(monkeypatch):
    """One turn an entry, whatever the gap before it: whoever was heard last is far from theirs."""
    monkeypatch.setattr(turns, "PATIENT_EACH", 1)
    monkeypatch.setattr(turns, "PATIENT_EACH_S", 0)


@pytest.mark.parametrize("kind", GOING)
def test_what_goes_on_of_one_ends_with_it_in_its_time(journal, one_turn, kind):
    """Its alert would stand for an hour and three quarters, of a track that nobody sees any more."""
    j = journal(restart=True)
    for k in range(9):
        j.say(0, fix(f"244{k:06d}", 0, attributes={"msg_type": 1}), fmt="ais")
    j.add(1, heard("stray", 1.0))
    j.add(2, GOING[kind](2.0))
    assert [e.end_ns for e in j.happened(kind)] == [None]
    j.add(86_300, Tick())
    j.add(86_410, Tick())
    assert not j.now(86_410)
    # of a clock nobody knows any more from when it was heard last
    assert [e.end_ns for e in j.happened(kind)] == [T0 + 2 * NS if kind == "clock" else T0 + 86_402 * NS + 1]


def and_one_that_is_no_more(journal, name: str):
    """All are no more, and that of the one was not told yet."""
    j = journal()
    for k in range(9):
        j.say(0, fix(f"244{k:06d}", 0, attributes={"msg_type": 1}), fmt="ais")
    j.add(1, heard(name, 1.0))
    j.add(86_403, Tick())
    assert not j.now(86_403) and j.rows()["T11"].status == "confirmed"
    return j


def test_a_message_that_was_refused_for_its_time_tells_of_nobody_who_is_no_more(journal, one_turn):
    j = and_one_that_is_no_more(journal, "stray")
    clock = Reject("clock", "ahead", "stray", verdict=Verdict(operation="open", state="admitted"))
    j.add(86_404, RefusalBody(format="x", version=1, device="stray", payload_hash=b"1", rejects=(clock,)))
    assert not j.events("clock") and j.rows()["T11"].status == "deleted"


def test_what_a_device_states_after_its_track_is_no_more_is_of_the_next_one(journal, one_turn):
    j = and_one_that_is_no_more(journal, "stray")
    j.add(86_404, battery("stray", 86_404.0, 80.0))
    j.add(86_405, heard("stray", 86_405.0))
    (row,) = j.now(86_405)
    assert row.track_id != "T11" and j.rows()[row.track_id].attributes == {"battery_level": 80.0}


def test_an_attribute_of_the_fix_that_begins_the_next_one_is_its_own(journal, one_turn):
    j = and_one_that_is_no_more(journal, "244999999")
    j.say(86_404, fix("244999999", 86_404.0, attributes={"msg_type": 1, "ship_name": "ANNA"}), fmt="ais")
    (row,) = j.now(86_404)
    assert j.rows()[row.track_id].attributes["ship_name"] == row.name == "ANNA"


def watched_in(device: str, to_s: float | None = None) -> Attachment:
    return Attachment(device=device, shipment="crate", operation="NIGHTJAR", from_ns=T0 + NS,
                      to_ns=None if to_s is None else T0 + round(to_s * NS))  # fmt: skip


@pytest.mark.parametrize("at_s", [3.0, 350.0, 1_500.0])
@pytest.mark.parametrize("act", [
    lambda device, at_s: [watched_in(device)], lambda device, at_s: [watched_in(device), watched_in(device, at_s)],
    lambda device, at_s: [Device(device=device, basis="warrant", klass="lorry", interval_s=7_200.0)],
    lambda device, at_s: [Device(device=device, basis="warrant"), Device(device=device, basis="warrant", retired=True)],
], ids=["attached", "detached", "enrolled", "retired"])  # fmt: skip
def test_that_somebody_is_watched_from_now_on_renews_no_row_in_open(journal, one_turn, act, at_s):
    """It did, at that very entry: whoever may see the public picture saw of whom something had been entered."""
    told = []
    for who in ("244000003", "244999999"):  # one of those that are heard, or somebody who never was
        j = journal(exercise=False)
        j.add(0, Device(device="rx", basis="own_sensor", format="ais"))
        j.add(0, Operation(operation="NIGHTJAR"))
        for k in range(5):
            j.say(1, fix(f"24400000{k}", 1, attributes={"msg_type": 1}), fmt="ais", device="rx")
        j.add(at_s - 1, Tick())
        for body in act(who, at_s):
            j.add(at_s, body)
        for t in (at_s + 1, at_s + 2, 2_000, 90_000, 90_001):
            j.add(t, Tick())
        told.append([(k, row) for k, c in enumerate(j.changes) for row in c.tracks if row.operation == "open"])
    assert told[0] == told[1] and len(told[0]) > 5
