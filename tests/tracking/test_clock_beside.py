"""A receiver whose clock is behind, beside another one of its shipment: told, put right, and no parting.

That is seen from two things at once: how late its messages are, and where the other one is.  A slow way, a car that tails the
lorry, and goods that are taken out of it have one of the two and not the other, and are told as they were before.
"""

from __future__ import annotations

import bisect
import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Decision, Device, Fix, FrameBody, Operation, Tick
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
#: Events that somebody would be called for, but that of the clock.
CALLS = ("parted", "two_places", "contradicted", "jumped", "drift")


def road(rng, seconds):
    """(e, n) at each second of what goes by road, with bends, other speeds and halts."""
    places, e, n, v, course, aims, until = [], 0.0, 0.0, 14.0, rng.uniform(0, 6), 14.0, 0
    for t in range(seconds + 1):
        if t >= until:
            aims = 0.0 if rng.random() < 0.25 else rng.uniform(10.0, 22.0)
            course, until = course + rng.gauss(0, 0.5), t + rng.randrange(40, 90) * (1 if aims == 0.0 else 3)
        places.append((e, n))
        v += max(-1.2, min(1.2, aims - v))
        e, n = e + v * math.sin(course), n + v * math.cos(course)
    return places


class Lorry:
    """A lorry with two receivers, a and b, told to a journal.

    Args:
        off_s: the clock of b; way_s: so much longer than the others its messages take.
        where: (places, t) -> where b is; None: on the lorry.
        right_s: from then on its clock is right.
        attached_s: both are attached here from then on.
        asks: whether the rows are held against the truth.
    """

    def __init__(self, told, *, off_s, every=10, way_s=0.0, where=None, seed=0, seconds=900, right_s=math.inf,
                 attached_s=-86_400, shipments=("goods", "goods"), decisions=(), asks=True):  # fmt: skip
        self.told, rng = told, random.Random(f"{off_s} {every} {seed}")
        self.places = road(rng, seconds)
        told.add(0, Operation(operation="op"))
        for device, shipment in zip("ab", shipments, strict=True):
            told.add(0, Device(device=device, klass="lorry", interval_s=every))
            told.add(0, Attachment(device=device, shipment=shipment, operation="op", from_ns=T0 + attached_s * NS))
        said = [(float(t), Tick()) for t in range(1, seconds, 30)] + list(decisions)
        for device, first in (("a", 2), ("b", 2 + every * 2 // 5)):
            for t in range(first, seconds, every):
                e, n = self.places[t] if device == "a" or where is None else where(self.places, t)
                lat, lon = HOME.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
                late_s = rng.uniform(0.5, 2.0) + (way_s if device == "b" else 0.0)
                stated_s = t + (off_s if device == "b" and t < right_s else 0)
                fix = Fix(device=device, time_ns=T0 + stated_s * NS, lat_deg=lat, lon_deg=lon, sigma_m=6.0)
                said.append((t + late_s, FrameBody(format="x", version=1, payload=b"", device=device, observations=(fix,))))
        self.held: list[bool] = []
        said.sort(key=lambda pair: pair[0])
        times = [at_s for at_s, _ in said]
        done, asked = 0, range(seconds // 3, seconds - 2, max(7, every // 3)) if asks else ()
        for t in asked:
            upto = bisect.bisect(times, t)
            self._take(said[done:upto])
            done = upto
            rows = told.now(t)
            self.held.append(any(self._holds(row, t) for row in rows[:1]))
        self._take(said[done:])

    def _take(self, some):
        for at_s, body in some:
            self.told.add(at_s, body(self.told) if callable(body) else body)

    def _holds(self, row, t):
        e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
        de, dn, det = e - self.places[t][0], n - self.places[t][1], row.p_ee * row.p_nn - row.p_en**2
        return (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= 5.991

    @property
    def share(self):
        return sum(self.held) / len(self.held)

    def clock(self):
        """What was told of b's clock: that it is behind, as the other one has it."""
        (event,) = [event for event in self.told.happened("clock") if event.operation == "op"]
        assert event.device == "b" and "behind, as a has it" in event.text
        return event

    def calls(self):
        return [(event.kind, event.device) for event in self.told.happened(*CALLS)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("every", "off_s"), [
    (5, -90), (5, -120), (10, -90), (10, -120), (10, -240), (60, -90), (60, -120), (60, -240), (300, -240),
])  # fmt: skip
def test_a_clock_that_was_behind_from_the_first_is_put_right_by_the_other_receiver(every, off_s, seed, journal):
    """``parted``, critical, of an honest pair, and nobody was told of the clock: one of two minutes may be the way."""
    lorry = Lorry(journal(), off_s=off_s, every=every, seed=seed, seconds=max(900, 14 * every))
    event = lorry.clock()
    assert lorry.calls() == [] and lorry.share >= (0.85 if every < 60 else 0.75)
    assert event.end_ns is None and abs(int(event.text.split()[3]) + off_s) <= (3 if every < 300 else 10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("every", "off_s"), [(5, -60), (10, -45), (10, -60), (60, -60)])
def test_one_that_might_be_at_the_other_end_of_a_train_is_told_when_its_speed_changes(every, off_s, seed, journal):
    """Under a kilometre apart, always as far: it is ``beside`` until the lorry goes at another speed; and what was begun by
    then is over."""
    lorry = Lorry(journal(), off_s=off_s, every=every, seed=seed, seconds=max(1500, 30 * every))
    assert abs(int(lorry.clock().text.split()[3]) + off_s) <= 3 and lorry.share >= (0.85 if every < 60 else 0.75)
    assert not [event for event in lorry.told.happened(*CALLS) if event.end_ns is None and event.kind != "jumped"]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("every", "off_s", "attached_s"), [
    (5, -600, 0), (10, -600, 0), (60, -600, 0), (60, -3600, 0), (300, -600, 0), (300, -600, -86_400),
])  # fmt: skip
def test_what_is_told_of_as_behind_parts_from_nobody(every, off_s, attached_s, seed, journal):
    """Attached by now, what it says of after that lies in the past of the track: ``clock`` was told, and beside it ``parted``,
    to the end."""
    lorry = Lorry(journal(), off_s=off_s, every=every, seed=seed, seconds=max(900, 14 * every) - off_s, attached_s=attached_s)
    assert lorry.calls() == [] and lorry.clock().end_ns is None and lorry.share >= 0.75


def test_it_is_put_right_alike_by_a_fold_that_was_put_down_and_taken_up_again(journal):
    lorry = Lorry(journal(restart=True), off_s=-90, seconds=200, asks=False)
    assert " 90 s behind" in lorry.clock().text


def test_the_trail_has_each_of_its_fixes_at_the_time_when_it_was_made(journal):
    lorry = Lorry(journal(), off_s=-90, seconds=400, asks=False)
    points = {(p.device, p.time_ns): p for changes in lorry.told.changes for p in changes.points}
    stand = [p for p in points.values() if not p.withdrawn and p.device == "b" and p.time_ns > T0 + 90 * NS]
    assert len(stand) > 20
    for p in stand:
        e, n = HOME.en(lat_deg=p.lat_deg, lon_deg=p.lon_deg)
        t = (p.time_ns - T0) / NS
        at = lorry.places[round(t)]
        assert math.hypot(e - at[0], n - at[1]) < 80.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every", [10, 60])
def test_a_clock_that_is_right_again_is_over(every, seed, journal):
    lorry = Lorry(journal(), off_s=-120, every=every, seed=seed, seconds=2400, right_s=1200)
    event = lorry.clock()
    assert event.end_ns is not None and 1200 <= (event.end_ns - T0) / NS < 1200 + 2 * every
    assert "parted" not in {kind for kind, _ in lorry.calls()} and lorry.share >= (0.85 if every < 60 else 0.75)


def tails(gap_s):
    """b drives so long behind (below 0: before) the lorry, on the same way."""
    return lambda places, t: places[min(max(t - gap_s, 0), len(places) - 1)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("every", "gap_s"), [(10, 60), (10, -60), (10, 120), (60, 120), (60, -120)])
def test_who_drives_a_minute_behind_or_before_has_parted(every, gap_s, seed, journal):
    """Always so many seconds apart, on the same way: but its messages are prompt, so that its clock is right."""
    lorry = Lorry(journal(), off_s=0, every=every, where=tails(gap_s), seed=seed, seconds=1200, asks=False)
    assert not lorry.told.happened("clock") and "parted" in {kind for kind, _ in lorry.calls()}


def leaves(from_s, turn=1.2, speed=14.0):
    """b was taken out of the lorry, and goes another way since."""
    def at(places, t):
        if t <= from_s:
            return places[t]
        (e0, n0), (e1, n1) = places[from_s - 60], places[from_s]
        course, far = math.atan2(e1 - e0, n1 - n0) + turn, speed * (t - from_s)
        return e1 + far * math.sin(course), n1 + far * math.cos(course)
    return at


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every", [10, 60])
@pytest.mark.parametrize(("off_s", "way_s"), [(0, 0.0), (0, 60.0), (-120, 0.0), (-600, 0.0)])
def test_goods_that_are_taken_out_are_told_of_whatever_the_clock(every, off_s, way_s, seed, journal):
    end_s = 1200 + (0 if every == 10 else 900)
    lorry = Lorry(journal(), off_s=off_s, way_s=way_s, every=every, where=leaves(1000), seed=seed, seconds=end_s, asks=False)
    told = [event for event in lorry.told.happened("parted") if (event.start_ns - T0) / NS > 990]
    assert told and (off_s == 0) == (not [event for event in lorry.told.happened("clock") if event.operation == "op"])
    assert [event for event in lorry.told.happened("parted") if (event.start_ns - T0) / NS < 990] == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("every", "way_s"), [(5, 20.0), (10, 30.0), (10, 60.0), (10, 240.0), (60, 120.0)])
def test_a_slow_way_is_no_clock(every, way_s, seed, journal):
    lorry = Lorry(journal(), off_s=0, way_s=way_s, every=every, seed=seed, seconds=max(600, 14 * every), asks=False)
    assert not lorry.told.happened("clock") and lorry.calls() == []


def test_what_stands_says_nothing_of_a_clock(journal):
    lorry = Lorry(journal(), off_s=-60, where=lambda places, t: places[0], seconds=2, asks=False)
    for t in range(10, 600, 10):
        for device, off_s in (("a", 0), ("b", -60)):
            fix = Fix(device=device, time_ns=T0 + (t + off_s) * NS, lat_deg=HOME.lat_deg, lon_deg=HOME.lon_deg, sigma_m=6.0)
            lorry.told.say(t + 1, fix)
    assert not lorry.told.happened("clock") and lorry.calls() == []


@pytest.mark.parametrize("undone", [False, True])
def test_two_shipments_that_are_one_have_a_clock_too(undone, journal):
    """Merged it is known which of the two clocks is behind; apart again each goes by its own fixes, at the times put right."""
    def merge(told):
        first, second = (row.track_id for row in told.now(401))
        return Decision(action="merge", subject=first, other=second, by="anna")

    decisions = [(401.0, merge)]
    if undone:
        decisions.append((601.0, lambda told: Decision(action="undo", subject=f"D{merged(told)}", by="anna")))
    lorry = Lorry(journal(), off_s=-90, seconds=896, shipments=("S1", "S2"), decisions=decisions, asks=False)
    rows = lorry.told.now(896)
    assert lorry.clock().end_ns is None and len(rows) == (2 if undone else 1)
    for row in rows:
        e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
        assert math.hypot(e - lorry.places[896][0], n - lorry.places[896][1]) < 80.0
    assert not [event for event in lorry.told.happened("parted") if event.end_ns is None]


def merged(told):
    return next(entry.seq for entry in told.entries if entry.kind == "decision")
