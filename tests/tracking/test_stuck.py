"""A receiver that says its last place again while it says that it goes: that is no measurement of where it is."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from birddog.model import Attachment, Device, FrameBody, Operation
from birddog.units import NS
from tests.tracking.test_deception import T0, case, fix, noise
from tests.tracking.test_jammed import inside
from tracking.explain import Watch
from tracking.measurement import Measurement
from tracking.stuck import hangs

__all__ = ["case"]

MPS = 20.0


def way(t: float) -> tuple[float, float]:
    """Where a lorry is that goes east at 20 m/s, turns north after 2,000 s and stands for 5 minutes from 3,000 s on."""
    t -= min(max(t - 3000.0, 0.0), 300.0)
    return MPS * min(t, 2000.0), MPS * max(t - 2000.0, 0.0)


def made(every: float, course: bool, hung_s: float, seed: int, until: float, *, device="a", hung=600.0, part=1.0, phase=0.0):
    """(time, fix) of a receiver that hangs from a time on, for so long.

    Args:
        part: of the way's speed; phase: when it says its first.
    """
    rng, out, held = random.Random(seed), [], None
    for k in range(int(until / every)):
        t = k * every + phase
        e, n = (part * one for one in way(t))
        (de, dn), ahead = noise(rng, 3.0), tuple(part * one for one in way(t + 1.0))
        speed = math.hypot(ahead[0] - e, ahead[1] - n)
        place = e + de, n + dn
        if hung < t <= hung + hung_s:
            held = place if held is None else held
            place = held
        words = {"course_deg": math.degrees(math.atan2(ahead[0] - e, ahead[1] - n)) % 360.0} if course and speed else {}
        out.append((t, fix(device, t, *place, speed_mps=speed, **words)))
    return out


@pytest.mark.parametrize(("every", "course"), [(1, False), (10, True), (60, False), (300, True)])
def test_the_region_grows_from_where_it_began_to_hang(case, every, course):
    """The row stayed at the place that it said again, sure to 16 to 62 m, and the truth 22 to 56 km off: inside .00 before."""
    said, hung = case("a"), 60.0 * every
    said.add(0, Device(device="a", klass="lorry", interval_s=float(every)))
    span = 120.0 if every == 1 else 1800.0 * max(1.0, every / 30.0)
    held, grown = [], []
    for t, one in made(every, course, span, 3, hung + span + 6.0 * every, hung=hung):
        [told] = said.say(t + 0.5, one).tracks
        [row] = said.now(t + 0.6)
        if hung + every < t <= hung + span:
            held.append(inside(row, *way(t + 0.6)))
            grown.append(row.p_ee + row.p_nn)
            if t > hung + 5 * every:
                assert told.attributes["frozen"] == "a" and told.status == "coasting"
        elif t > hung + span:
            assert inside(row, *way(t + 0.6)) and math.sqrt(row.p_ee + row.p_nn) < 60.0  # it is right again at once
            assert "frozen" not in told.attributes and told.status == "confirmed"
    assert sum(held) > 0.95 * len(held) and grown[-1] > 100.0 * grown[0]
    [event] = said.happened("frozen")
    assert event.start_ns == T0 + round((hung + 4 * every) * NS)
    assert event.end_ns is not None and " km from there after " in event.text
    assert not said.happened("jumped", "impossible_speed", "contradicted", "false_speed")


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("every", [10, 60])
def test_beside_another_one_the_row_goes_with_that(case, every, stated):
    said, held = case("a", "b"), []
    both = made(every, True, 30.0 * every, 1, 50.0 * every, hung=10.0 * every)
    both += made(every, True, 0.0, 2, 50.0 * every, device="b", phase=every / 2.0)
    for t, one in sorted(both, key=lambda one: one[0]):
        if one.device == "b" and not stated:
            one = msgspec.structs.replace(one, speed_mps=None, course_deg=None)
        said.say(t, one)
        [row] = said.now(t + 0.5)
        if t > 11 * every:
            held.append(inside(row, *way(t + 0.5)))
    assert sum(held) > 0.9 * len(held)
    assert [event.device for event in said.happened("frozen")] == ["a"]


def arrivals(ones, way_of: str, seed: int):
    """(arrival, fix): in order, or late."""
    rng = random.Random(seed)
    for t, one in ones:
        late = {"order": 0.0, "some": rng.choice((0.0, 0.0, 35.0)), "all": rng.uniform(0.0, 90.0)}[way_of]
        yield t + 0.5 + late, one
        if int(t) % 70 == 0:  # a second sentence of the same second, which says no speed
            yield t + 0.6 + late, msgspec.structs.replace(one, speed_mps=None, course_deg=None)


@pytest.mark.parametrize(("until", "part"), [(700.0, 1.0), (700.0, 0.15), (1500.0, 0.15), (2400.0, 1.0), (2400.0, 0.15)])
@pytest.mark.parametrize("late", ["some", "all"])
def test_late_fixes_end_as_in_order(journal, late, part, until):
    """Of what hangs at 20 m/s, and at 3, of which it is known with the third only; on, and when it is over."""
    rows = []
    for how in ("order", late):
        said = journal(exercise=False)
        said.add(0, Operation(operation="A"))
        said.add(0, Device(device="a", klass="lorry", interval_s=10.0))
        said.add(0, Attachment(device="a", shipment="S", operation="A", from_ns=T0))
        ones = made(10.0, True, 1500.0, 5, until, part=part)
        for at, one in sorted(arrivals(ones, how, 7), key=lambda one: one[0]):
            said.say(at, one)
        [row] = said.now(until + 120.0)
        rows.append((row.lat_deg, row.lon_deg, row.ve_mps, row.vn_mps, row.p_ee, row.p_nn, float(row.hits)))
        [live] = said.fold._folds["A"].tracker.tracks.values()
        rows.append([m.hung for m in live.state.ring if m.time_ns > T0 + (until - 500.0) * NS])
    assert rows[0] == pytest.approx(rows[2], rel=1e-9) and rows[1] == rows[3]
    if 700.0 <= until <= 1500.0:
        assert rows[1][-1] == 2


M = Measurement(0, "a", "fix", 52.0123456, 4.0123456, 64.0, 0.0, 64.0)


def marks(*speeds: float, cut: int = 0) -> list[int]:
    run = [msgspec.structs.replace(M, time_ns=10 * k * NS, said_mps=v) for k, v in enumerate(speeds)]
    run[0] = msgspec.structs.replace(run[0], hung=cut)
    return hangs(run, bool(cut))


def test_which_fixes_at_one_place_are_none():
    assert marks(0.0, 0.0, 0.3, 0.1) == [0, 0, 0, 0]
    assert marks(12.0, 0.0, 0.0) == [0, 0, 0]  # what it says where it has just stopped is of before
    assert marks(12.0, 12.0, 0.0, 0.0, 0.0, 0.0) == [0, 2, 2, 2, 2, 2]  # it passed there
    assert marks(0.0, 9.0, 0.0, 0.0, 0.0, 0.0) == [0, 1, 1, 1, 0, 0]  # it stood there, and a speed was false once
    assert marks(3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0) == [0, 1, 1, 2, 2, 2, 2]
    assert marks(3.0, 3.0, 3.0) == [0, 0, 0]
    assert marks(12.0, 0.0, 0.0, 0.0, cut=2) == [2, 2, 2, 2]
    assert marks(0.0, 0.0, 0.0, 0.0, cut=1) == [1, 1, 1, 0]


def test_explain_says_why_and_what_was_taken_back(case):
    """At 3 m/s it is known with the third: the two before were used, and are not any more; nor do their steps stand."""
    said = case("a")
    watch = Watch(said.fold, f"T{said.seq + 1}")
    for t, one in made(10.0, False, 600.0, 5, 900.0, part=0.15):
        body = FrameBody(format="x", version=1, payload=b"", device="", observations=(one,))
        changes = said.add(t + 0.5, body)
        watch.after(said.entries[-1], body, changes)
    answer = watch.answer(T0 + 890 * NS)
    assert {one["time"][11:16] for one in answer["refused"]} and len(answer["refused"]) == 28
    assert all(one["reason"].startswith("frozen: a says its last place again, to the digit") for one in answer["refused"])
    steps = {point.time_ns: point.withdrawn for changes in said.changes for point in changes.points}
    assert [(time_ns - T0) // NS for time_ns, withdrawn in steps.items() if withdrawn] == [620, 630, 640]
