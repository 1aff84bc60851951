"""Events while fixes come in: the same as of the whole file, told at once, corrected when something comes late."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from birddog.model import Zone
from birddog.units import NS
from tracking.events import batch, sphere
from tracking.events import engine as module
from tracking.events.engine import Events
from tracking.events.model import ALL_KINDS, QUICK
from tracking.events.places import Places
from tracking.events.ways import Ways, learn
from tracking.forecast.past import build

_spec = importlib.util.spec_from_file_location("events_of_files", Path(__file__).with_name("test_events.py"))
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)
T0, PLACES, SUEZ = files.T0, files.PLACES, files.SUEZ


def fleet(seed, home=SUEZ):
    """Vessels of every habit in a small place, one that follows another, one bad fix, one that reports twice."""
    rows = files.random_tracks(seed, home, vessels=10, most=160, spread_m=400.0, speeds=(0.0, 0.0, 0.02, 0.4, 5.0))
    lead = files.sailing("leader", home, T0, T0 + 4 * 3600, 6.0, 720.0)
    rows += lead + files.follower(lead, 200, 150, 500, seed)
    for k in range(3):
        spot = files.beside(home, 9000.0 + 200 * k, 0)
        rows += files.standing(f"m{k}", spot, T0, T0 + 20_000 + 4000 * k, 500.0 + 90 * k, 80.0, seed + k)
    rows += [("v0", T0 + 7777.0, 10.0, 10.0), rows[5]]
    return rows


def world(home, scale=1.0):
    """Two ports, a line, a border and the ways of another fleet, all in the small place where the fleet is."""
    def at(e_m, n_m):
        lat, lon = files.beside(home, scale * e_m, scale * n_m)
        return lon, lat

    ring = tuple(at(e, n) for e, n in ((-9000, -9000), (2000, -9000), (2000, 9000), (-9000, 9000), (-9000, -9000)))
    quay = tuple(at(e, n) for e, n in ((8500, -500), (9900, -500), (9900, 500), (8500, 500), (8500, -500)))
    zones = [Zone(name="roads", points=(at(0, 0),), half_width_m=scale * 1500.0, role="port"),
             Zone(name="quay", points=quay, role="port"),
             Zone(name="line", points=(at(1000, -30_000), at(3000, 0), at(1000, 30_000)), role="gate"),
             Zone(name="west", points=ring, role="border")]  # fmt: skip
    rows = files.random_tracks(40, home, vessels=30, most=120, spread_m=400.0, speeds=(0.0, 4.0, 6.0))
    rows = [(n, t, home[0] + scale * (lat - home[0]), home[1] + scale * ((lon - home[1] + 540) % 360 - 180))
            for n, t, lat, lon in rows]  # fmt: skip
    names = sorted({r[0] for r in rows})
    columns = [np.array(c) for c in zip(*((names.index(r[0]), r[1], r[2], r[3]) for r in rows), strict=True)]
    return Places(zones), Ways(learn(build(names, *columns), cell_m=scale * 2000.0))


class Listener:
    """What somebody believes who hears only what is told."""

    def __init__(self):
        self.believed, self.order = {}, []

    def hear(self, told):
        for t in told:
            self.order.append(t)
            if t.was is not None:
                self.believed.pop(t.was.key, None)
            if t.event is not None:
                self.believed[t.event.key] = t.event


def quickened(rows, home):
    """The same in a tenth of the time and of the way, for the rules of a live picture."""
    return [
        (name, T0 + (t - T0) / 10, home[0] + (lat - home[0]) / 10, home[1] + ((lon - home[1] + 540) % 360 - 180) / 10)
        for name, t, lat, lon in rows
    ]


def run(rows, engine=None, home=None):
    """(engine, listener) after rows in the order in which they come; with a home, in its ``world``."""
    places, ways = world(home) if home is not None else (None, None)
    engine, listener = engine or Events(places=places, ways=ways), Listener()
    for name, t, lat, lon in rows:
        listener.hear(engine.fix(name, round(t * 1000) * 1_000_000, lat, lon))
    return engine, listener


def known(engine, listener):
    """Everything that has ended as it was told, and what lasts as it stands."""
    ended = {e.key: e for e in listener.believed.values() if e.end_ns is not None}
    lasting = {e.key: e for e in engine.lasting()}
    assert {k for k, e in listener.believed.items() if e.end_ns is None} == set(lasting)
    return ended | lasting


def whole(rows, engine):
    many = files.fixes(rows, engine.rules)
    return {e.key: e for e in batch.events(many, engine.rules, ALL_KINDS, engine.now_ns, engine.places, engine.ways)}


@pytest.mark.parametrize("home", PLACES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_by_one_is_the_same_as_the_file(seed, home):
    rows = sorted(fleet(seed, home), key=lambda r: r[1])
    engine, listener = run(rows, home=home)
    assert known(engine, listener) == whole(rows, engine)
    kinds = {e.kind for e in known(engine, listener).values()}
    assert kinds >= {"stop", "gap", "encounter", "cotravel", "visit", "portal", "border"}, kinds
    assert {t.what for t in listener.order} == {"began", "ended"}


@pytest.mark.parametrize("seed", [1, 2, 3, 21])
def test_with_the_rules_of_a_live_picture_too(seed):
    rows = sorted(quickened(fleet(seed), SUEZ), key=lambda r: r[1])
    places, ways = world(SUEZ, 0.1)
    engine, listener = run(rows, Events(QUICK, late_s=1800, places=places, ways=ways))
    assert known(engine, listener) == whole(rows, engine)
    assert {e.kind for e in known(engine, listener).values()} >= {"stop", "gap", "cotravel"}


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_late_fixes_are_thinned_as_if_they_had_come_in_time(seed):
    rng = np.random.default_rng(seed)
    rows = quickened(fleet(seed), SUEZ)
    rows = list({(r[0], r[1]): r for r in rows if r[2] != 10.0}.values())
    # what comes twice within the part of time of which the first is looked at: the first may come last
    rows += [(n, t + float(rng.uniform(0.1, 9)), lat + 1e-4, lon) for n, t, lat, lon in rows[::3]]
    arrival = [r[1] + (rng.uniform(0, 1500) if rng.random() < 0.1 else 0.0) for r in rows]
    rows = [rows[k] for k in np.argsort(arrival, kind="stable")]
    engine, listener = run(rows, Events(QUICK, late_s=1800))
    assert known(engine, listener) == whole(rows, engine)
    assert not any(t.what == "too_late" for t in listener.order)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fix_that_is_taken_out_is_as_if_it_had_never_come(seed):
    rows = sorted(fleet(seed), key=lambda r: r[1])
    rows = [r for r in rows if r[2] != 10.0]
    engine, listener = run(rows, Events(late_s=3 * 86_400))
    false = [r for r in rows if r[0] == "m1"][4:9] + [r for r in rows if r[0] == "follower"][6:8]
    for name, t, _, _ in false:
        listener.hear(engine.without(name, round(t * 1000) * 1_000_000))
    rest = [r for r in rows if r not in false]
    assert known(engine, listener) == whole(rest, engine)
    assert engine.without("nobody", 0) == [] and engine.without("m1", 5) == []


def test_of_a_vessel_that_is_forgotten_nothing_stays_and_what_lasted_has_ended():
    rows = sorted(fleet(1), key=lambda r: r[1])
    engine, listener = run(rows)
    of_m = [e.key for e in engine.lasting() if "m2" in e.ids]
    told = engine.forget("m2")
    assert {t.event.key for t in told} == set(of_m) and all(t.event.end_ns == t.event.last_ns for t in told)
    assert engine.forget("m2") == [] and not [e for e in engine.lasting() if "m2" in e.ids]
    assert b"\xa2m2" not in engine.packed()
    engine.fix("v1", engine.now_ns + 60 * NS, *SUEZ)


def test_a_silence_becomes_unusual_while_it_lasts_and_is_told_again_by_the_time_alone():
    often = [("b", T0 + 10.0 * k, *files.beside(SUEZ, 500, 0)) for k in range(400)]
    rows = sorted(files.standing("a", SUEZ, T0, T0 + 1800, 180.0, 5.0) + often, key=lambda r: r[1])
    engine = Events(QUICK, ("gap",), late_s=1800)
    told = [(r[1] - T0, t) for r in rows for t in engine.fix(r[0], round(r[1] * 1000) * 1_000_000, r[2], r[3])]
    said = [(s, t.what, t.event.measures["switched_off"]) for s, t in told]
    assert said == [(2170.0, "began", False), (2710.0, "began", True)]
    assert told[1][1].was.key == told[0][1].event.key


def test_who_lies_side_by_side_from_the_beginning_meets_nobody_and_who_comes_does():
    home, beside = SUEZ, files.beside(SUEZ, 60, 0)
    lying = files.standing("a", home, T0, T0 + 3000, 10.0, 20.0) + files.standing("b", beside, T0, T0 + 3000, 5.0, 20.0)
    far = [("c", T0 + 20.0 * k, *files.beside(home, 3000.0 - 5.0 * 20 * k, 30)) for k in range(30)]
    comes = far + files.standing("c", files.beside(home, 30, 30), T0 + 600, T0 + 3000, 5.0, 20.0)
    engine, listener = run(sorted(lying + comes, key=lambda r: r[1]), Events(QUICK, ("encounter",)))
    assert {e.ids for e in known(engine, listener).values()} == {("a", "c"), ("b", "c")}


@pytest.mark.parametrize("seed", [4, 5])
def test_the_data_cut_anywhere_is_the_same_as_the_shorter_file(seed):
    rows = sorted(fleet(seed), key=lambda r: r[1])
    places, ways = world(SUEZ)
    engine, listener = Events(places=places, ways=ways), Listener()
    for k, (name, t, lat, lon) in enumerate(rows):
        listener.hear(engine.fix(name, round(t * 1000) * 1_000_000, lat, lon))
        if k % 97 == 0:
            assert known(engine, listener) == whole(rows[: k + 1], engine)


@pytest.mark.parametrize("late_s", [600.0, 5 * 3600.0])
@pytest.mark.parametrize("seed", [6, 7, 8])
def test_whatever_comes_late_the_end_is_the_same(seed, late_s):
    rng = np.random.default_rng(seed)
    rows = fleet(seed)
    # what the order of two rows of one time would decide is not asked here
    rows = list({(r[0], r[1]): r for r in rows if r[1] != T0 + 7777.0}.values())
    arrival = [r[1] + (rng.uniform(0, late_s) if rng.random() < 0.1 else 0.0) for r in rows]
    rows = [rows[k] for k in np.argsort(arrival, kind="stable")]
    engine, listener = run(rows, home=SUEZ)
    assert known(engine, listener) == whole(rows, engine)
    # from where every vessel begins nothing has gone on
    assert engine._begins == type(engine)(engine.rules, engine.kinds, places=engine.places, ways=engine.ways)._begins
    corrections = [t for t in listener.order if t.what in ("corrected", "withdrawn")]
    assert (corrections or late_s < 3600.0) and all(t.was is not None and t.because is not None for t in corrections)
    assert not any(t.what == "too_late" for t in listener.order)


@pytest.mark.parametrize("late_s", [0.0, 5000.0])
def test_who_was_heard_near_a_gap_is_counted_anew_and_that_is_told(late_s):
    silent = files.standing("a", SUEZ, T0, T0 + 6000, 120.0)
    silent += files.standing("a", SUEZ, T0 + 20_000, T0 + 21_000, 120.0)
    others = [(f"o{k}", T0 + 6700.0 + 300 * k, *files.beside(SUEZ, 3000, 100 * k)) for k in range(7)]
    far = files.standing("far", (60.0, 5.0), T0, T0 + 30_000, 60.0)
    arrival = {name: t + late_s for name, t, _, _ in others}
    rows = sorted(silent + others + far, key=lambda r: arrival.get(r[0], r[1]))
    engine, listener = run(rows, Events(kinds=("gap",)))
    assert known(engine, listener) == {k: e for k, e in whole(rows, engine).items() if e.kind == "gap"}
    of_a = [t for t in listener.order if (t.event.ids, t.event.start_ns) == (("a",), (T0 + 6000) * NS)]
    said = [(t.what, t.event.measures["heard_near"], t.event.measures["switched_off"]) for t in of_a]
    assert said[-1] == ("ended", 7, True)
    if not late_s:
        assert said == [("began", 7, True), ("ended", 7, True)]
    else:
        assert said[:-1] == [("began", 0, False)] + [("corrected", k, k >= 5) for k in range(1, 8)]
        assert [t.because for t in of_a[1:3]] == [("o0", round(others[0][1]) * NS), ("o1", round(others[1][1]) * NS)]
        # one of them was false: one less, said by the one that was taken out
        gone = engine.without("o6", round(others[6][1]) * NS)
        (told,) = [t for t in gone if t.what == "corrected" and t.event.ids == ("a",)]
        assert (told.what, told.was.measures["heard_near"], told.event.measures["heard_near"]) == ("corrected", 7, 6)


def test_a_late_fix_takes_no_meeting_back_that_began_as_long_ago_as_late_fixes_are_taken():
    """Whether two were seen apart before was asked again without what lay before (found by an auditor's fleets)."""
    home = SUEZ
    lies = files.standing("a", home, T0, T0 + 7200, 20.0, 5.0)
    # near for some minutes before it is slow
    comes = [("c", T0 + 20.0 * k, *files.beside(home, 720.0 - 1.2 * 20 * k, 30)) for k in range(30)]
    comes += files.standing("c", files.beside(home, 0, 30), T0 + 600, T0 + 7200, 20.0, 5.0)
    rows = sorted(lies + comes, key=lambda r: r[1])
    late = next(r for r in rows if r[:2] == ("c", T0 + 4600.0))
    rows.remove(late)
    rows.insert(next(k for k, r in enumerate(rows) if r[1] > T0 + 4850.0), late)
    engine, listener = run(rows, Events(QUICK, late_s=3600))
    assert known(engine, listener) == whole(rows, engine)
    assert [t.what for t in listener.order if (t.event or t.was).kind == "encounter"] == ["began"]


def test_a_late_fix_after_a_long_silence_leaves_what_was_heard_during_its_first_hour():
    """It was counted anew from what was kept, nothing: a gap looked switched off no more (found by an auditor)."""
    silent = files.standing("a", SUEZ, T0, T0 + 6000, 120.0) + files.standing("a", SUEZ, T0 + 70_000, T0 + 72_000, 120.0)
    rows = sorted(silent + files.standing("o", SUEZ, T0, T0 + 72_000, 300.0), key=lambda r: r[1])
    late = next(r for r in rows if r[:2] == ("a", T0 + 70_000))
    rows.remove(late)
    engine, listener = run([*rows, late], Events(kinds=("gap",)))
    assert known(engine, listener) == {k: e for k, e in whole(rows + [late], engine).items() if e.kind == "gap"}
    assert [(t.what, t.event.measures["switched_off"]) for t in listener.order] == [
        ("began", True), ("ended", True), ("corrected", True),
    ]  # fmt: skip


def test_a_whole_vessel_that_comes_an_hour_behind_the_others_is_as_if_it_had_not():
    rows = fleet(9)
    rows = sorted(rows, key=lambda r: r[1] + (4000.0 if r[0] in ("v1", "follower") else 0.0))
    engine, listener = run(rows)
    assert known(engine, listener) == whole(rows, engine)


def test_what_is_too_late_is_told_and_changes_nothing():
    rows = files.standing("a", SUEZ, T0, T0 + 36_000)
    engine, listener = run(rows)
    before = engine.packed()
    (told,) = engine.fix("a", (T0 + 60) * NS, *SUEZ)
    assert (told.what, told.because, engine.packed()) == ("too_late", ("a", (T0 + 60) * NS), before)


def test_of_whom_one_fix_came_there_is_that_fix_until_somebody_asks_for_more():
    """Of 10,000 things that were just heard the rules had run for each, for what a second fix may never ask."""
    young, grown = Events(QUICK), Events(QUICK)
    for k in range(20):
        for engine in (young, grown):
            assert not engine.fix(f"v{k}", (1_000_001 + 7 * k) * NS, 50.0 + k / 100, -1.0)
        grown.lasting()  # this asks for all
    assert all(vessel.now.stops is young._begins.stops for vessel in young._vessels.values())
    assert not any(vessel.now.stops is grown._begins.stops for vessel in grown._vessels.values())
    assert young.packed() == grown.packed()
    assert young._begins == Events(QUICK)._begins, "nobody's state was changed with theirs"
    for engine in (young, grown):
        engine.fix("v3", 1_000_400 * NS, 50.03, -1.0)
    assert young.packed() == grown.packed()


def test_a_stop_is_told_while_it_lasts_with_the_fix_that_makes_it_one():
    engine = Events(kinds=("stop",))
    rows = files.standing("a", SUEZ, T0, T0 + 7200)
    told = {r[1] - T0: engine.fix(r[0], int(r[1]) * NS, r[2], r[3]) for r in rows}
    ((when, (began,)),) = [(t, x) for t, x in told.items() if x]
    assert (when, began.what, began.event.start_ns, began.event.end_ns) == (3600, "began", T0 * NS, None)
    (ended,) = engine.fix("a", (T0 + 7800) * NS, *files.beside(SUEZ, 3000, 0))
    assert (ended.what, ended.event.end_ns) == ("ended", (T0 + 7200) * NS)


def test_a_silence_is_told_by_the_time_alone_and_taken_back_by_what_was_under_way():
    engine, listener = run(files.standing("a", SUEZ, T0, T0 + 7200))
    listener.hear(engine.pass_time((T0 + 7200 + 3600) * NS))
    assert [t.event.kind for t in listener.order] == ["stop"]
    listener.hear(engine.pass_time((T0 + 7201 + 3600) * NS))
    assert [(t.what, t.event.kind) for t in listener.order[1:]] == [("began", "gap")]
    listener.hear(engine.fix("a", (T0 + 10_000) * NS, *SUEZ))
    assert [(t.what, t.was.kind) for t in listener.order[2:]] == [("withdrawn", "gap")]
    assert listener.order[2].because == ("a", (T0 + 10_000) * NS)
    listener.hear(engine.pass_time((T0 + 10_001 + 6 * 3600) * NS))
    assert [(t.what, t.event.kind) for t in listener.order[3:]] == [("began", "gap"), ("ended", "stop")]


@pytest.mark.parametrize("cut", [0.2, 0.6])
def test_packed_and_taken_up_again_it_goes_on_as_if_nothing_had_been(cut):
    rows = sorted(fleet(12), key=lambda r: r[1] + (3000.0 if hash(r[1]) % 11 == 0 else 0.0))
    straight, heard = run(rows)
    half = int(cut * len(rows))
    engine, first = run(rows[:half])
    engine, second = run(rows[half:], Events.of(engine.packed()))
    assert first.order + second.order == heard.order
    assert {e.key: e for e in engine.lasting()} == {e.key: e for e in straight.lasting()}


@pytest.mark.parametrize("ahead_s", [0, 600, 5000, 10**8])
def test_packed_anywhere_while_the_clock_is_ahead_of_the_fixes_it_goes_on_alike(ahead_s):
    """Two phones that send what they kept, some of the one, then of the other (found by kill9)."""
    rows = [(name, T0 + 20.0 * k, 51.9 + 1e-5 * k, 4.1) for first in range(0, 600, 9) for name in ("a", "b")
            for k in range(first, first + 9)]  # fmt: skip

    def told(every):
        engine, out = Events(QUICK, ALL_KINDS, 3600), []
        for n, (name, t, lat, lon) in enumerate(rows):
            out += engine.pass_time((T0 + 20 * (n // 2) + ahead_s) * NS)
            out += engine.fix(name, round(t) * NS, lat, lon)
            if every and n % every == every - 1:
                engine = Events.of(engine.packed())
        return out

    straight = told(0)
    assert straight
    for every in (1, 50, 331):
        assert told(every) == straight, every


def test_who_is_heard_seldom_is_asked_once_at_each_time_however_often_it_was_heard(monkeypatch):
    asked, real = [], Events._waited
    monkeypatch.setattr(Events, "_waited", lambda self, *some: asked.append(1) or real(self, *some))
    engine = Events(QUICK)
    for name, time_s, *place in files.standing("v", SUEZ, T0, T0 + 4 * 86_400, step_s=700.0):
        engine.fix(name, int(time_s * NS), *place)
    assert len(asked) < 4 * 500 and len(engine._due) < 10


def test_what_is_kept_does_not_grow_with_time():
    def size(days):
        rows = [
            r
            for d in range(days)
            for k in range(3)
            for r in files.standing(f"v{k}", SUEZ, T0 + d * 86_400, T0 + d * 86_400 + 85_800)
        ]
        return len(run(sorted(rows, key=lambda r: r[1]))[0].packed())

    assert size(4) < 1.1 * size(2)


def test_how_far_apart_two_fixes_are_is_asked_of_nearly_none(monkeypatch):
    """That takes NumPy longer than all else of a fix; of one that comes again within its part of time nothing is asked."""
    asked: list[tuple[float, float]] = []
    real = module.point
    monkeypatch.setattr(module, "point", lambda lat, lon: asked.append((lat, lon)) or real(lat, lon))
    events = Events(QUICK, ALL_KINDS)
    for k in range(20):
        events.fix("v", T0 + k * 10**8, 50.0, 1.0 + 1e-6 * k)
    assert asked == [(50.0, 1.0)]
    events.fix("v", T0 + 3 * NS, 60.0, 1.0)  # nothing goes there
    assert (60.0, 1.0) in asked


def test_a_place_by_itself_has_the_digits_of_many_and_is_no_further_than_that():
    rng = np.random.default_rng(4)
    lat, lon = rng.uniform(-90.0, 90.0, 2000), rng.uniform(-180.0, 180.0, 2000)
    lat[:40], lon[:40] = np.resize([90.0, -90.0, 0.0, 45.0], 40), np.resize([180.0, -180.0, 0.0], 40)
    many = np.column_stack(sphere.points(lat, lon))
    one = [sphere.point(*at) for at in zip(lat.tolist(), lon.tolist(), strict=True)]
    assert many.tolist() == [list(at) for at in one]
    for step_deg in (1e-7, 1e-4, 0.1, 30.0):
        to_lat, to_lon = np.clip(lat + step_deg * rng.normal(size=2000), -90.0, 90.0), lon + step_deg * rng.normal(size=2000)
        to = np.column_stack(sphere.points(to_lat, to_lon))
        away_m = np.linalg.norm(to - many, axis=1)
        most = [sphere.most_m(*at) for at in zip(*(x.tolist() for x in (lat, lon, to_lat, to_lon)), strict=True)]
        assert (away_m <= np.array(most) + 1e-7).all()
