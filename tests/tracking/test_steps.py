"""Steps of a trail have versions: what comes late, or is decided, tells those after it anew, and both can be asked for."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Decision, Entry, Fix, FrameBody, Scan, Sighting, Start, TrackPoint, pack
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)


def at(e: float, n: float = 0.0) -> dict[str, float]:
    lat, lon = HOME.geodetic(e, n)
    return {"lat_deg": lat, "lon_deg": lon}


def fix(t: float, e: float, **more) -> Fix:
    return Fix(device="d", time_ns=T0 + round(t * NS), sigma_m=5.0, **at(e), **more)


def folded(bodies: list, cut: int = 0) -> tuple[list, int]:
    """What each entry told, the start first; and the number of the last entry."""
    fold, told = Fold(), []
    for seq, (kind, body) in enumerate([("start", Start(version="x", presets={}, exercise=True)), *bodies], 1):
        if cut and seq % cut == 0:
            fold = Fold.restore(fold.snapshot())
        told.append(fold.apply(Entry(seq=seq, kind=kind, received_ns=T0 + (1000 + seq) * NS, source="t", ident=b"%d" % seq,
                                     body=pack(body))))  # fmt: skip
    return told, len(told)


def frames(some: list[Fix]) -> list:
    return [("frame", FrameBody(format="owntracks", version=1, payload=b"", device=f.device, observations=(f,))) for f in some]


def trail(told: list, believed_at: int | None = None) -> dict[tuple, TrackPoint]:
    """The steps as they were believed at an entry (None: now), by the rule of the derived store."""
    stands: dict[tuple, TrackPoint] = {}
    for changes in told:
        for point in changes.points:
            if point.origin != "coast" and (believed_at is None or point.believed_at <= believed_at):
                stands[point.track_id, point.time_ns, point.step] = point
    return {key: point for key, point in stands.items() if not point.withdrawn}


def places(steps: dict[tuple, TrackPoint]) -> dict[tuple, tuple]:
    """Everything of a step but when it was told."""
    return {key[1:]: (p.lat_deg, p.lon_deg, p.ve_mps, p.vn_mps, p.p_ee, p.p_en, p.p_nn, p.nis) for key, p in steps.items()}


def test_a_late_fix_tells_the_steps_after_it_anew_and_both_versions_can_be_asked_for():
    """The case ``late_points``: one fix 60 s late, within the ring."""
    some = [fix(10 * k, 10.0 * k + (25 if k == 5 else 0)) for k in range(1, 12)]
    late = [f for f in some if f is not some[4]] + [some[4]]
    want, _ = folded(frames(some))
    told, last = folded(frames(late))
    assert places(trail(told)) == places(trail(want))
    without, _ = folded(frames(late[:-1]))
    assert places(trail(told, last - 1)) == places(trail(without)), "as it was believed before the late one came"
    assert places(trail(told, last - 1)) != places(trail(told))
    assert {p.believed_at for p in trail(told).values() if p.time_ns > some[4].time_ns} == {last}
    assert {p.believed_at for p in trail(told).values() if p.time_ns < some[4].time_ns} == {2, 3, 4, 5}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_order_of_arrival_there_is_one_trail(seed):
    """Outliers among them, so that a step may become a refused fix, or the other way round."""
    rng = random.Random(seed)
    some = [fix(5 * k, 60.0 * k + rng.gauss(0, 5) + (900 if rng.random() < 0.1 else 0)) for k in range(60)]
    order = sorted(some, key=lambda f: f.time_ns + rng.uniform(0, 60) * NS)
    want = places(trail(folded(frames(some))[0]))
    told, _ = folded([*frames(order), *[("tick", None)][:0]])
    # what waits to be told of is told with the next one in time
    told, _ = folded([*frames(order), *frames([fix(400, 60.0 * 80)])])
    want = places(trail(folded(frames([*some, fix(400, 60.0 * 80)]))[0]))
    assert places(trail(told)) == want
    assert places(trail(folded([*frames(order), *frames([fix(400, 60.0 * 80)])], cut=3)[0])) == want


def test_the_second_sentence_of_a_second_tells_its_step_anew():
    """Rule 9: RMC and GGA are one measurement; its step says what both said."""
    rmc, gga = fix(20, 205.0, speed_mps=10.0, course_deg=90.0), fix(20, 205.0)
    both = [fix(10, 100.0), rmc, gga, fix(30, 300.0)]
    a, b = (places(trail(folded(frames(some))[0])) for some in (both, [both[0], gga, rmc, both[3]]))
    assert a == b
    assert len(a) == 3


def test_a_fix_that_an_operator_calls_false_is_a_step_no_longer_and_is_one_again_when_that_is_undone():
    some = [fix(10 * k, 10.0 * k + (25 if k == 5 else 0)) for k in range(1, 12)]
    want = places(trail(folded(frames([f for f in some if f is not some[4]]))[0]))
    bodies = frames(some)
    false = Decision(action="false_fix", subject="T2", by="kim", device="d", time_ns=some[4].time_ns)
    told, last = folded([*bodies, ("decision", false)])
    assert places(trail(told)) == want
    assert places(trail(told, last - 1)) == places(trail(folded(bodies)[0]))
    undone, _ = folded([*bodies, ("decision", false), ("decision", Decision(action="undo", subject=f"D{last}", by="kim"))])
    assert places(trail(undone)) == places(trail(folded(bodies)[0]))


def test_what_is_older_than_all_that_is_run_again_stands_alone_and_replaces_nothing():
    some = [fix(10 * k, 10.0 * k) for k in range(90)]
    told, last = folded(frames([*some, fix(50, 4000.0)]))
    alone = [p for p in trail(told).values() if p.alone]
    assert [(p.time_ns, p.believed_at) for p in alone] == [(T0 + 50 * NS, last)]
    assert len(trail(told)) == 91


def scan(t: float, *spots: tuple[float, float]) -> tuple:
    rng = random.Random(t)
    corners = [at(e, n) for e, n in ((-2000, -2000), (2000, -2000), (2000, 2000), (-2000, 2000), (-2000, -2000))]
    seen = tuple(
        Sighting(device="radar", time_ns=T0 + round(t * NS), r_ee=100.0, r_en=0.0, r_nn=100.0,
                 **at(e + rng.gauss(0, 8), n + rng.gauss(0, 8)))
        for e, n in spots
    )  # fmt: skip
    return ("scan", Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + round(t * NS), pd=0.9, clutter_per_km2=0.1,
                         footprint=tuple((c["lon_deg"], c["lat_deg"]) for c in corners), sightings=seen))  # fmt: skip


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_a_late_look_gives_contacts_and_vessels_the_trails_that_they_would_have(lag):
    looks = [scan(5 * k, (-1000 + 40.0 * k, 300.0), (800 - 30.0 * k, -500.0), (200.0, 50.0 * k - 600)) for k in range(20)]
    fixes = frames([fix(5 * k + 1, -1000 + 40.0 * (k + 0.2)) for k in range(0, 20, 4)])
    bodies = [one for k, look in enumerate(looks) for one in ([look] if k % 4 else [look, fixes[k // 4]])]
    order = list(bodies)
    order.insert(9 + lag, order.pop(9))
    a, b = (trail(folded(some)[0]) for some in (bodies, order))
    assert sorted(places(a).values(), key=repr) == sorted(places(b).values(), key=repr)
