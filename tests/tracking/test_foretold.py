"""Steps of a trail that were foretold: where a measurement that was on its way then has come in, there is none any more."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Entry, Fix, FrameBody, Start, Tick, TrackPoint, Verdict, pack
from birddog.units import NS
from opsroom.picture_store import PictureReader, PictureWriter
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)
EVERY_S = 10.0
COASTS_NS = 25 * NS


def fix(t: float, e: float) -> Fix:
    lat, lon = HOME.geodetic(e, 0.0)
    return Fix(device="d", time_ns=T0 + round(t * NS), sigma_m=5.0, lat_deg=lat, lon_deg=lon)


def folded(fixes: list[tuple[float, Fix]], until_s: float, cut: int = 0) -> list:
    """What each entry told: (second of arrival, fix), with ticks each 5 s beside them."""
    bodies = [(0.0, "start", Start(version="x", presets={}, exercise=False)),
              (0.0, "device", Device(device="d", klass="lorry", interval_s=EVERY_S, basis="own_sensor")),
              (0.0, "attachment", Attachment(device="d", shipment="van", operation="A", from_ns=T0))]
    come: list = [(5.0 * k, "tick", Tick()) for k in range(1, int(until_s / 5.0) + 1)]
    come += [(t, "frame", FrameBody(format="owntracks", version=1, payload=b"", device="d", observations=(f,),
                                    verdicts=(Verdict("A", "van", "own_sensor"),))) for t, f in fixes]  # fmt: skip
    bodies += sorted(come, key=lambda one: one[0])
    fold, told = Fold(), []
    for seq, (t, kind, body) in enumerate(bodies, 1):
        if cut and seq % cut == 0:
            fold = Fold.restore(fold.snapshot())
        told.append(fold.apply(Entry(seq=seq, kind=kind, received_ns=T0 + round(t * NS), source="t", ident=b"%d" % seq,
                                     body=pack(body))))  # fmt: skip
    return told


def trail(told: list, believed_at: int | None = None) -> list[TrackPoint]:
    """The steps as they were believed at an entry (None: now), by the rule of the derived store."""
    stands: dict[tuple, TrackPoint] = {}
    for changes in told:
        for point in changes.points:
            if believed_at is None or point.believed_at <= believed_at:
                stands[point.track_id, point.time_ns, point.step] = point
    return sorted((p for p in stands.values() if not p.withdrawn), key=lambda p: (p.time_ns, p.step))


def foretold_s(steps: list[TrackPoint]) -> list[float]:
    return [round((p.time_ns - T0) / NS, 3) for p in steps if p.origin == "coast"]


def journey(seed: int, late_s: float) -> list[tuple[float, Fix]]:
    """Each 10 s for 15 minutes, but none from 400 to 580 s; each message so much late at most, in any order."""
    rng, delays = random.Random(seed), random.Random(seed + 100)
    out = []
    for k in range(90):
        t = EVERY_S * k + rng.uniform(0.0, 3.0)
        one = fix(t, 15.0 * t + rng.gauss(0.0, 4.0))
        if not 400.0 <= t < 580.0:
            out.append((t + (delays.uniform(0.1, late_s) if late_s else 0.1), one))
    return sorted(out, key=lambda one: one[0])


@pytest.mark.parametrize("seed", range(8))
def test_no_step_is_foretold_where_something_was_measured_that_came_in_late(seed):
    """An auditor's: 33 to 42 in 25 minutes, up to 1.2 km off, beside fixes known to 4 m."""
    order = trail(folded(journey(seed, 0.0), 1100.0))
    told = folded(journey(seed, 60.0), 1100.0)
    late = trail(told)
    measured = [p.time_ns for p in late if p.origin == "fix"]
    assert measured == [p.time_ns for p in order if p.origin == "fix"]
    assert sum(p.origin == "coast" and not p.withdrawn for c in told for p in c.points) > 10, "they were told"
    for at_ns in [p.time_ns for p in late if p.origin == "coast"]:
        assert not any(at_ns - COASTS_NS <= t <= at_ns for t in measured), "nothing measured is in between"
    assert all(any(a < one < b for one in foretold_s(late)) for a, b in ((400.0, 580.0), (900.0, 1100.0))), "silent there"
    assert len(foretold_s(late)) <= len(foretold_s(order)) + 1
    assert trail(folded(journey(seed, 60.0), 1100.0, cut=3)) == late, "a fold that was restored tells the same"


def test_what_was_believed_before_it_came_in_can_still_be_asked_for(tmp_path):
    """Two prompt fixes, one 38 s late: in the derived store, as in what is told."""
    come = [(0.5, fix(0.0, 0.0)), (10.5, fix(10.0, 150.0)), (58.5, fix(20.0, 300.0)), (58.6, fix(30.0, 450.0)),
            (58.7, fix(40.0, 600.0)), (58.8, fix(50.0, 750.0)), (60.5, fix(60.0, 900.0))]  # fmt: skip
    told = folded(come, 70.0)
    came = next(p.believed_at for p in trail(told) if p.time_ns == T0 + 20 * NS)
    assert foretold_s(trail(told)) == []
    assert foretold_s(trail(told, came - 1)) == [35.0]
    store = PictureWriter(tmp_path / "p")
    for seq, changes in enumerate(told, 1):
        store.begin()
        for row in changes.tracks:
            store.put("track", row.track_id, seq, row)
        for point in changes.points:
            store.put_point(point)
        store.commit(seq)
    store.write_held()
    store.close()
    reader = PictureReader(tmp_path / "p")
    for at in (None, came - 1, came):
        held = [(p.time_ns, p.origin) for p in reader.points(believed_at=at)]
        assert held == [(p.time_ns, p.origin) for p in trail(told, at)]
    reader.close()


def test_one_that_comes_in_late_but_in_order_withdraws_it_and_one_that_was_measured_later_does_not():
    """None goes back in time, so that no step is told anew."""
    assert foretold_s(trail(folded([(0.5, fix(0.0, 0.0)), (31.0, fix(24.0, 360.0)), (34.5, fix(34.0, 510.0))], 40.0))) == []
    assert foretold_s(trail(folded([(0.5, fix(0.0, 0.0)), (31.0, fix(30.0, 450.0)), (34.5, fix(34.0, 510.0))], 40.0))) == [25.0]


def test_a_fix_that_is_refused_withdraws_nothing():
    """It moves nothing, and nothing is known of where it was."""
    come = [*((0.5 + 10.0 * k, fix(10.0 * k, 0.0)) for k in range(8)), (101.0, fix(81.0, 300_000.0))]
    told = folded(come, 110.0)
    assert [p.time_ns for p in trail(told) if p.origin == "fix"] == [T0 + 10 * k * NS for k in range(8)]
    assert foretold_s(trail(told)) == [95.0]


def test_what_is_older_than_all_that_is_run_again_withdraws_it_too():
    """A store of a day ago, once 80 fixes came since: the measurement stands alone, with nothing foretold beside it."""
    live = [(0.5, fix(0.0, 0.0)), *((300.5 + 10.0 * k, fix(300.0 + 10.0 * k, 4500.0 + 150.0 * k)) for k in range(90))]
    assert foretold_s(trail(folded(live, 1250.0)))[:2] == [25.0, 50.5]
    stored = [(1220.0, fix(20.0, 300.0))]
    told = folded([*live, *stored], 1250.0)
    assert [p.alone for p in trail(told) if p.time_ns == T0 + 20 * NS] == [True]
    assert foretold_s(trail(told))[:1] != [25.0]


def test_of_who_is_silent_again_and_again_each_step_stands_and_the_last_32_are_remembered():
    """Who is expected each 10 s and reports each 100 s: coasting, then silent, each time."""
    told = folded([(100.0 * k + 0.5, fix(100.0 * k, 1500.0 * k)) for k in range(40)], 4000.0)
    assert len(foretold_s(trail(told))) == 80
    late = [(3999.0, fix(100.0 * k + 5.0, 1500.0 * k + 75.0)) for k in range(40)]
    told = folded([*((100.0 * k + 0.5, fix(100.0 * k, 1500.0 * k)) for k in range(40)), *late], 4000.0)
    assert len(foretold_s(trail(told))) == 80 - 31  # and one of 3,999 s, when it was heard again
