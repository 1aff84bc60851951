"""Two under one identity and bad fixes: no event is made of them, in a file and while they come in, and both say the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from birddog.units import NS
from tracking.events import batch
from tracking.events.engine import Events
from tracking.events.model import KINDS, Rules
from tracking.events.things import Parting

_spec = importlib.util.spec_from_file_location("engine_of_shared", Path(__file__).with_name("test_events_engine.py"))
one_by_one = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(one_by_one)
files = one_by_one.files
T0, SUEZ, DATE_LINE, ARCTIC = files.T0, files.SUEZ, files.DATE_LINE, files.ARCTIC


def under(name, rows):
    return [(name, *row[1:]) for row in rows]


def told(rows, kinds=KINDS):
    """Events of the file; the same must be told one by one, whatever came late."""
    whole = {e.key: e for e in batch.events(files.fixes(rows), Rules(), kinds)}
    for late_s in (0.0, 7200.0):
        rng = np.random.default_rng(5)
        late = [r[1] + (rng.uniform(0, late_s) if rng.random() < 0.2 else 0.0) for r in rows]
        engine, listener = one_by_one.run([rows[k] for k in np.argsort(late, kind="stable")], Events(kinds=kinds))
        assert one_by_one.known(engine, listener) == whole
    return sorted(whole.values(), key=lambda e: (e.kind, e.ids, e.start_ns))


def in_turn(home, other, bursts, hours=8, step_s=120.0):
    """Two that stand, reporting under one name: ``bursts`` of the one, then of the other."""
    rng, rows = np.random.default_rng(3), []
    for k in range(int(hours * 3600 / step_s)):
        place = home if (k // bursts) % 2 == 0 else other
        rows.append(("x", T0 + k * step_s, *files.beside(place, *rng.normal(0, 20, 2))))
    return rows


@pytest.mark.parametrize("home, other", [(SUEZ, (30.9, 32.3)), (DATE_LINE, (-17.0, -179.2)), (ARCTIC, (89.2, -170.0))])
@pytest.mark.parametrize("bursts", [1, 2, 3, 9])
def test_two_in_turn_are_two_that_stand_and_neither_leaves(home, other, bursts):
    rows = in_turn(home, other, bursts)
    watch = files.standing("w", files.beside(home, 200, 0), T0, T0 + 8 * 3600, 300.0, 20.0)
    events = told(rows + watch, ("stop", "gap", "encounter", "loiter", "cotravel"))
    assert {(e.kind, e.ids) for e in events} == {
        ("stop", ("x",)), ("stop", ("x#2",)), ("stop", ("w",)), ("encounter", ("w", "x")),
    }  # fmt: skip
    assert all(e.end_ns is None for e in events)  # nobody left
    many = files.fixes(rows)
    assert many.shared == {"x": [0, 1]} and not len(many.beyond_reach) and len(many.time_ns) == len(rows)


def test_two_that_sail_and_report_at_the_same_second_are_two():
    one = files.sailing("x", SUEZ, T0, T0 + 6 * 3600, 6.0, 300.0)
    two = files.sailing("x", (31.5, 32.0), T0, T0 + 6 * 3600, 5.0, 300.0)
    rows = [row for pair in zip(one, two, strict=True) for row in pair]
    assert told(rows) == []
    assert files.fixes(rows).ids == ["x", "x#2"] and not len(files.fixes(rows).same_time)


def test_two_of_one_name_neither_meet_nor_travel_together():
    # parted far away, they come to lie beside each other
    far = [("x", T0 + 300.0 * k, *files.beside(SUEZ, 60_000 - 6.0 * 300 * k, 100)) for k in range(33)]
    lies = files.standing("x", SUEZ, T0 + 100, T0 + 8 * 3600, 300.0, 20.0)
    come = files.standing("x", files.beside(SUEZ, 300, 100), T0 + 300.0 * 33, T0 + 8 * 3600, 300.0, 20.0)
    events = told(sorted(far + lies + come, key=lambda r: r[1]))
    assert {e.kind for e in events} <= {"stop", "gap"}


BAD = {"far": (10.0, 10.0), "null": (0.0, 0.0), "other side": (-30.0, -147.5)}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("at", [0.3, 5000.3])
def test_a_bad_fix_or_two_end_no_stop_and_no_encounter(bad, times, at):
    home = files.standing("a", SUEZ, T0, T0 + 14_400, 600.0) + files.standing("b", files.beside(SUEZ, 150, 0), T0, T0 + 14_400)
    good = [(e.kind, e.ids, e.start_ns, e.end_ns) for e in told(home)]
    events = told(sorted(home + [("a", T0 + at + 40.0 * k, *bad) for k in range(times)], key=lambda r: r[1]))
    assert [(e.kind, e.ids, e.start_ns, e.end_ns) for e in events] == good
    assert ("encounter", ("a", "b")) in {(e.kind, e.ids) for e in events}


def test_bad_fixes_again_and_again_each_elsewhere_are_of_nothing():
    rng = np.random.default_rng(4)
    home = files.standing("a", SUEZ, T0, T0 + 3 * 3600, 60.0)
    bad = [("a", T0 + 600.5 * k, rng.uniform(-80, 80), rng.uniform(-180, 180)) for k in range(1, 18)]
    (stop,) = told(sorted(home + bad, key=lambda r: r[1]))
    assert (stop.kind, stop.start_ns, stop.end_ns, stop.measures["fixes"]) == ("stop", T0 * NS, None, len(home))


def test_a_tag_that_flew_as_freight_is_one_thing():
    here, there = files.standing("a", SUEZ, T0, T0 + 7200), files.standing("a", (51.5, 0.0), T0 + 17_000, T0 + 30_000)
    kinds = [(e.kind, e.ids) for e in told(here + there)]
    assert kinds == [("gap", ("a",)), ("stop", ("a",)), ("stop", ("a",))]


def test_what_flies_is_one_thing_and_the_whole_way_is_kept():
    rows = [("a", T0 + 60.0 * k, 30.0 + 0.12 * k, 32.0) for k in range(120)]  # 222 m/s
    many = files.fixes(rows)
    assert many.ids == ["a"] and len(many.time_ns) >= 119
    assert told(rows) == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_shares_a_name_file_and_stream_say_the_same(seed):
    rng = np.random.default_rng(seed)
    rows = []
    for k, home in enumerate([SUEZ, (31.5, 32.3), (29.0, 33.0)][: 2 + seed % 2]):
        rows += [(f"s{int(r[0][1:]) // 2}", *r[1:]) for r in files.random_tracks(10 * seed + k, home, 4, 120)]
    bad = [(T0 + float(np.floor(rng.uniform(0, 60_000))), *rng.uniform(-60, 60, 2).tolist()) for _ in range(9)]
    rows += [(f"s{k % 2}", *fix) for k, fix in enumerate(bad)]
    rows = sorted({(r[0], r[1]): r for r in rows}.values(), key=lambda r: r[1])
    assert {"s0", "s0#2"} <= set(files.fixes(rows).ids)
    engine, listener = one_by_one.run(rows, Events(late_s=30 * 86_400))
    assert one_by_one.known(engine, listener) == one_by_one.whole(rows, engine)
    half = len(rows) // 2
    again, first = one_by_one.run(rows[:half], Events(late_s=30 * 86_400))
    again, second = one_by_one.run(rows[half:], Events.of(again.packed()))
    assert first.order + second.order == listener.order


def test_what_is_forgotten_or_taken_out_is_so_of_every_thing_of_a_name():
    rows = in_turn(SUEZ, (30.9, 32.3), 2, hours=3)
    engine, _ = one_by_one.run(rows)
    assert engine.things("x") == ["x", "x#2"] and engine.identity("x#2") == "x"
    out = engine.without("x", round(rows[-1][1]) * NS)
    assert out == [] and {e.ids for e in engine.lasting()} == {("x",), ("x#2",)}
    assert {t.event.ids for t in engine.forget("x")} == {("x",), ("x#2",)}
    assert engine.things("x") == ["x"] and engine.lasting() == []


def test_what_is_kept_of_an_identity_that_jumps_does_not_grow():
    def size(hours):
        return len(one_by_one.run(in_turn(SUEZ, (30.9, 32.3), 1, hours), Events(late_s=3600))[0].packed())

    assert size(12) < 1.1 * size(6)


def test_a_strand_is_judged_by_what_came_before_alone():
    parting = Parting.begun(60.0)
    places = {"a": (30.0, 32.0), "b": (40.0, 32.0), "c": (50.0, 32.0)}
    label = [parting.add((k * 60 * NS, *places[p])) for k, p in enumerate("aababacbabc")]
    of = [parting.things[one] for one in label]
    assert of == [0, 0, 1, 0, 1, 0, -1, 1, 0, 1, -1] and parting.total == 2


def out_and_back(speed_mps, step_s, away_m, stays_s=7200.0, heard=True):
    """It stands, goes away at a speed, stands there, comes back and stands again; perhaps unheard on the way."""
    rng, rows, t, way_s = np.random.default_rng(1), [], float(T0), away_m / speed_mps
    for begin_m, end_m in ((0.0, 0.0), (0.0, away_m), (away_m, away_m), (away_m, 0.0), (0.0, 0.0)):
        lasts_s = stays_s if begin_m == end_m else way_s
        if heard or begin_m == end_m:
            for s in np.arange(0.0, lasts_s, step_s).tolist():
                e_m = begin_m + (end_m - begin_m) * s / lasts_s
                rows.append(("a", round(t + s), *files.beside(SUEZ, e_m + rng.normal(0, 15), rng.normal(0, 15))))
        t += lasts_s
    return rows


@pytest.mark.parametrize("speed_mps, step_s, away_m, heard", [
    (80.0, 300.0, 168e3, True), (80.0, 900.0, 168e3, True), (230.0, 900.0, 900e3, True), (230.0, 60.0, 900e3, True),
    (230.0, 600.0, 900e3, False), (70.0, 600.0, 200e3, False), (35.0, 900.0, 200e3, True), (15.0, 600.0, 270e3, False),
])  # fmt: skip
def test_what_flies_out_and_back_is_one_thing_with_three_stops(speed_mps, step_s, away_m, heard):
    rows = out_and_back(speed_mps, step_s, away_m, heard=heard)
    assert files.fixes(rows).ids == ["a"]
    found = [(e.kind, e.ids) for e in told(rows, ("stop",))]
    assert found == [("stop", ("a",))] * 3
