"""The smoothed history: by all that was ever measured, whenever it came in, as if each had come at its own time."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Decision, Entry, Fix, FrameBody, Start, Tick, pack
from birddog.units import NS
from tracking.fold import Fold
from tracking.locate import PastFix, Question, locate
from tracking.smoothed import Past, Record

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def drive(end_s: int, every_s: int, seed: int) -> list[Fix]:
    """A way with bends and a stop of ten minutes; each seventh fix says its speed, the 50th is somewhere else."""
    rng, out, e, n, v = random.Random(seed), [], 0.0, 0.0, (11.0, 3.0)
    for t in range(0, end_s, every_s):
        if t % 600 == 0:
            v = (0.0, 0.0) if t == 1200 else (rng.uniform(-14, 14), rng.uniform(-14, 14))
        e, n = e + v[0] * every_s, n + v[1] * every_s
        false = 4000.0 if len(out) == 50 else 0.0
        lat, lon = HOME.geodetic(e + rng.gauss(0, 6), n + false + rng.gauss(0, 6))
        speed = math.hypot(*v) if len(out) % 7 == 0 else None
        course = math.degrees(math.atan2(*v)) % 360.0
        out.append(Fix(device="d", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=6.0, speed_mps=speed,
                       course_deg=course))  # fmt: skip
    return out


def recorded(rows: list[tuple[float, object]]) -> tuple[Fold, Record]:
    """A fold of (second, body) in order of arrival, with the record of what it measured."""
    fold, seq = Fold(), 0
    record = Record(fold)
    for at_s, body in [(0.0, Start(version="t", presets={}, exercise=True)), *sorted(rows, key=lambda row: row[0])]:
        seq += 1
        kind = {Start: "start", Tick: "tick", FrameBody: "frame", Decision: "decision"}[type(body)]
        entry = Entry(seq=seq, kind=kind, received_ns=T0 + round(at_s * NS), source="s", ident=b"%d" % seq, body=pack(body))
        record.after(fold.apply(entry))
    return fold, record


def heard(fix: Fix) -> FrameBody:
    return FrameBody(format="x", version=1, payload=b"", device="d", observations=(fix,))


def arrivals(fixes: list[Fix], order: str, seed: int) -> list[tuple[float, object]]:
    """The fixes as they come in: each when it was made, or those of an hour (1000 to 4600 s) after it in some order."""
    rng, rows, store = random.Random(seed), [], []
    for fix in fixes:
        at_s = (fix.time_ns - T0) / NS
        if order != "in time" and 1000 <= at_s < 4600:
            store.append(fix)
        else:
            rows.append((at_s + 0.5, heard(fix)))
    if order == "newest first":
        store.reverse()
    elif order == "shuffled":
        rng.shuffle(store)
    rows += [(4601.0 + 0.2 * k, heard(fix)) for k, fix in enumerate(store)]
    return rows + [(float(t), Tick()) for t in range(2, 8900, 15)]


def same(a: list[Past], b: list[Past]) -> None:
    assert [(one.time_ns, one.origin, one.device) for one in a] == [(one.time_ns, one.origin, one.device) for one in b]
    for one, other in zip(a, b, strict=True):
        for name in ("x", "y", "e_m", "n_m", "p_ee", "p_en", "p_nn"):
            assert getattr(one.answer, name) == pytest.approx(getattr(other.answer, name), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("every_s", [10, 60])
@pytest.mark.parametrize("order", ["in order", "newest first", "shuffled"])
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_order_of_arrival_it_is_the_same(every_s, order, seed):
    fixes = drive(8000, every_s, seed)
    _, want = recorded(arrivals(fixes, "in time", seed))
    _, got = recorded(arrivals(fixes, order, seed))
    [a], [b] = want.tracks(), got.tracks()
    first, second = want.history(a), got.history(b)
    same(first, second)
    assert fixes[50].time_ns not in [one.time_ns for one in first]  # the false one is not believed in either
    assert len(first) >= len(fixes) - 3 and not any(one.late for one in first)


def test_what_came_too_late_is_in_it_and_says_so():
    """A store of hours: more than any ring holds, newest first."""
    fixes = drive(16_000, 10, 3)
    late = fixes[100:1400]
    rows = [((fix.time_ns - T0) / NS + 0.5, heard(fix)) for fix in fixes if fix not in late]
    rows += [(16_001.0 + 0.2 * k, heard(fix)) for k, fix in enumerate(reversed(late))]
    _, want = recorded([((fix.time_ns - T0) / NS + 0.5, heard(fix)) for fix in fixes])
    fold, got = recorded(rows)
    [a], [b] = want.tracks(), got.tracks()
    same(want.history(a), got.history(b))
    assert sum(one.late for one in got.history(b)) > 500
    assert fold.live(b).state.ring.n < 600


def test_it_is_what_locate_says_of_the_same_fixes():
    fixes = [fix for k, fix in enumerate(drive(3000, 10, 4)) if k != 50]
    _, record = recorded([((fix.time_ns - T0) / NS + 0.5, heard(fix)) for fix in fixes])
    [name] = record.tracks()
    past = []
    for f in fixes:
        v = None if f.speed_mps is None else math.radians(f.course_deg)
        ve, vn = (None, None) if v is None else (f.speed_mps * math.sin(v), f.speed_mps * math.cos(v))
        past.append(PastFix(track_id="a", time_ns=f.time_ns, x=f.lon_deg, y=f.lat_deg, sigma_m=f.sigma_m, ve_mps=ve, vn_mps=vn))
    answers = locate(past, [Question("a", f.time_ns) for f in fixes], mode="smoothed", geodetic=True)
    for one, answer in zip(record.history(name), answers, strict=True):
        assert abs(one.answer.e_m - answer.e_m) < 1e-6 and abs(one.answer.p_nn - answer.p_nn) < 1e-6


def test_what_an_operator_said_is_false_is_not_in_it():
    fixes = drive(900, 10, 5)
    rows = [((fix.time_ns - T0) / NS + 0.5, heard(fix)) for fix in fixes]
    of = Decision(action="false_fix", subject="T2", time_ns=fixes[30].time_ns, by="ann")
    _, record = recorded([*rows, (895.0, of)])
    times = [one.time_ns for one in record.history("T2")]
    assert len(times) == len(fixes) - 2 and fixes[30].time_ns not in times
