"""Events of files: definitions held to oracles that are written out here, everywhere on Earth, at any cadence.

Over 400 lines: one fleet of made tracks serves every kind, and test_events_engine.py borrows it.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog.geo import distance_m
from birddog.units import KNOT_MPS, NS, ns_from_text
from tracking.events import batch, grid, pairs, stops, tell
from tracking.events.deconflict import Planned, conflicts
from tracking.events.model import KINDS, QUICK, Encounter, Gap, Rules, Stop
from tracking.events.near import Near
from tracking.events.sphere import points
from tracking.events.tracks import tracks

T0 = 1_790_000_400  # on the grid of ten minutes
SUEZ, DATE_LINE, ARCTIC, SOUTH = (30.0, 32.5), (-17.0, 179.998), (89.2, 10.0), (-54.9, -67.3)
PLACES = [SUEZ, DATE_LINE, ARCTIC, SOUTH]


def fixes(rows, rules=None):
    """Tracks of rows (id, t_s, lat, lon) in any order."""
    ids = sorted({r[0] for r in rows})
    vessel = np.array([ids.index(r[0]) for r in rows], np.int64)
    t = np.array([round(r[1] * 1000) * 1_000_000 for r in rows], np.int64)
    lat, lon = np.array([r[2] for r in rows], float), np.array([r[3] for r in rows], float)
    rules = rules or Rules()
    return tracks(ids, vessel, t, lat, lon, rules.reach_mps, rules.thin_s)


def events(rows, *kinds, now_s=None):
    return list(batch.events(fixes(rows), Rules(), kinds, None if now_s is None else int(now_s * NS)))


def beside(home, e_m, n_m):
    """A position some metres off; near the pole too."""
    lat, lon = home
    x, y, z = (float(p) for p in points(np.float64(lat), np.float64(lon)))
    p, l = math.radians(lat), math.radians(lon)
    east, north = (-math.sin(l), math.cos(l), 0.0), (-math.sin(p) * math.cos(l), -math.sin(p) * math.sin(l), math.cos(p))
    x, y, z = (c + e_m * e + n_m * n for c, e, n in zip((x, y, z), east, north, strict=True))
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def standing(name, home, start_s, end_s, step_s=600.0, radius_m=40.0, seed=1):
    rng = np.random.default_rng(seed)
    n = int((end_s - start_s) // step_s) + 1
    return [(name, start_s + k * step_s, *beside(home, *rng.normal(0.0, radius_m, 2))) for k in range(n)]


def sailing(name, home, start_s, end_s, speed_mps, step_s=600.0, e0_m=0.0, n0_m=0.0):
    n = int((end_s - start_s) // step_s) + 1
    return [(name, start_s + k * step_s, *beside(home, e0_m + speed_mps * k * step_s, n0_m)) for k in range(n)]


def random_tracks(seed, home=SUEZ, vessels=8, most=300, spread_m=3000.0, speeds=(0.0, 0.05, 0.3, 1.0, 5.0)):
    """Vessels that stop, drift, run and fall silent, in a small place, at their own cadences."""
    rng = np.random.default_rng(seed)
    rows = []
    for v in range(vessels):
        n = int(rng.integers(1, most))
        dt = rng.choice([60, 300, 600, 720], n) * rng.uniform(0.5, 2.0, n)
        dt[rng.random(n) < 0.02] = rng.choice([3000.0, 5000.0, 30_000.0])
        t = T0 + np.floor(np.cumsum(dt))
        way = np.repeat(rng.choice(speeds, n // 12 + 1), 12)[:n] * dt
        course = rng.uniform(0, 6.28) + np.cumsum(rng.normal(0.0, 0.2, n))
        e, m = rng.normal(0, spread_m, 2)
        e, m = e + np.cumsum(way * np.sin(course)), m + np.cumsum(way * np.cos(course))
        rows += [(f"v{v}", t[k], *beside(home, e[k] + rng.normal(0, 30), m[k] + rng.normal(0, 30))) for k in range(n)]
    return rows


# --- the index ----------------------------------------------------------------------------------


@pytest.mark.parametrize("home", [*PLACES, (89.9999, 0.0), (-89.99, 90.0), (0.0, -180.0)])
@pytest.mark.parametrize("reach_m", [300.0, 5000.0, 60_000.0])
def test_the_index_finds_whoever_is_near_at_the_same_time(home, reach_m):
    rng = np.random.default_rng(7)
    at = [beside(home, *rng.normal(0.0, reach_m, 2)) for _ in range(150)]
    lat, lon = np.array([p[0] for p in at]), np.array([p[1] for p in at])
    lon[::7] = np.where(lon[::7] == 180.0, -180.0, lon[::7])
    g = rng.integers(100, 103, len(at))
    x, y, z = points(lat, lon)
    near = {
        (i, j) for i in range(len(at)) for j in range(len(at))
        if i != j and g[i] == g[j] and math.dist((x[i], y[i], z[i]), (x[j], y[j], z[j])) <= reach_m
    }  # fmt: skip
    index = Near(g, lat, lon, reach_m)
    asked = [(int(i), int(j)) for q, p in index.pairs(g, lat, lon) for i, j in zip(q, p, strict=True)]
    assert len(near) > 40 and near <= set(asked) and len(asked) == len(set(asked))
    own = {tuple(sorted((int(i), int(j)))) for q, p in index.own_pairs() for i, j in zip(q, p, strict=True)}
    assert {tuple(sorted(pair)) for pair in near} <= own


def test_what_is_far_is_not_looked_at():
    n = 3000
    rng = np.random.default_rng(3)
    g, lat, lon = np.zeros(n, np.int64), rng.uniform(-60, 60, n), rng.uniform(-180, 180, n)
    index = Near(g, lat, lon, 1000.0)
    assert sum(len(q) for q, _ in index.pairs(g, lat, lon)) < 2 * n  # each finds itself and hardly anybody else


@pytest.mark.parametrize("rules", [Rules(), QUICK], ids=["reference", "quick"])
def test_whoever_is_in_company_for_long_enough_is_near_at_a_point_that_is_looked_at(rules):
    rng = np.random.default_rng(5)
    for fold in (pairs.Meeting(rules.encounter, rules.grid_s), pairs.Company(rules.cotravel, rules.grid_s)):
        for _ in range(200):
            steps = rng.integers(1, fold.farthest + 1, fold.least - 1)
            good = int(rng.integers(0, 1000)) + np.concatenate(([0], np.cumsum(steps)))
            assert pairs._looked(good, fold).any()
        assert pairs._looked(np.arange(1000), fold).mean() < 0.5


# --- stops --------------------------------------------------------------------------------------


def greedy_stops(rows):
    """shared data/predict/README.md, word for word: greedy maximal runs, by degrees."""
    rule, out = Stop(), []
    for name in sorted({r[0] for r in rows}):
        v = sorted(r[1:] for r in rows if r[0] == name)
        i = 0
        while i < len(v):
            lat, lon, n, j = v[i][1], v[i][2], 1, i + 1
            while j < len(v) and v[j][0] - v[j - 1][0] <= rule.hole_s:
                if distance_m(lat1_deg=lat / n, lon1_deg=lon / n, lat2_deg=v[j][1], lon2_deg=v[j][2]) > rule.radius_m:
                    break
                lat, lon, n, j = lat + v[j][1], lon + v[j][2], n + 1, j + 1
            if v[j - 1][0] - v[i][0] >= rule.least_s and n >= rule.least_fixes:
                out.append((name, v[i][0], v[j - 1][0], n))
                i = j
            else:
                i += 1
    return out


@pytest.mark.parametrize("seed", range(6))
def test_stops_are_the_greedy_maximal_runs(seed):
    rows = random_tracks(seed)
    found = [(e.ids[0], e.start_ns / NS, e.last_ns / NS, e.measures["fixes"]) for e in events(rows, "stop")]
    assert sorted(found) == greedy_stops(rows) and len(found) > 5


@pytest.mark.parametrize("alone, steps", [(1, 4), (10_000, 256), (16, 20)])
def test_walking_abreast_or_alone_makes_no_difference(monkeypatch, alone, steps):
    many = fixes(random_tracks(11, vessels=30))
    expected = stops.stops(many, Stop())
    monkeypatch.setattr(stops, "_ALONE", alone)
    monkeypatch.setattr(stops, "_STEPS", steps)
    assert stops.stops(many, Stop()) == expected and len(expected) > 20


def test_a_fix_a_second_costs_no_more_and_says_the_same():
    rng = np.random.default_rng(5)
    n = 9000
    speed = np.where((np.arange(n) // 3700) % 2 == 0, 0.0, 0.3)
    rows = [("a", T0 + k, *beside(SUEZ, e, rng.normal(0, 3))) for k, e in enumerate(np.cumsum(speed))]
    (first, *_), thin = events(rows, "stop"), events(rows[::60], "stop")
    assert abs(first.start_ns - thin[0].start_ns) <= 60 * NS and abs(first.last_ns - thin[0].last_ns) <= 120 * NS


@pytest.mark.parametrize("home", PLACES)
def test_a_stop_is_told_everywhere_open_at_the_end_and_across_midnight(home):
    midnight = (T0 // 86_400 + 1) * 86_400
    rows = sailing("a", home, midnight - 7200, midnight - 3600, 5.0) + standing(
        "a", beside(home, 18_000, 0), midnight - 3000, midnight + 7200
    )
    (stop,) = events(rows, "stop")
    assert stop.end_ns is None and abs(stop.start_ns / NS - (midnight - 3000)) <= 600
    lat, lon = beside(home, 18_000, 0)
    assert distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=stop.lat_deg, lon2_deg=stop.lon_deg) < 100
    rows += sailing("a", home, midnight + 7800, midnight + 10_800, 5.0, e0_m=22_000)
    (again,) = events(rows, "stop")
    assert (again.start_ns, again.end_ns) == (stop.start_ns, int(midnight + 7200) * NS)


def test_stops_back_to_back_are_two():
    rows = standing("a", SUEZ, T0, T0 + 7200, radius_m=10) + standing(
        "a", beside(SUEZ, 900, 0), T0 + 7800, T0 + 15_000, radius_m=10
    )
    assert [e.end_ns is None for e in events(rows, "stop")] == [False, True]


def test_a_stop_ends_with_the_data_when_nothing_came_for_six_hours():
    rows = standing("a", SUEZ, T0, T0 + 7200)
    assert events(rows, "stop", now_s=T0 + 7200 + 6 * 3600)[0].end_ns is None
    assert events(rows, "stop", now_s=T0 + 7201 + 6 * 3600)[0].end_ns == (T0 + 7200) * NS


def test_a_bad_fix_in_a_stop_is_left_out_and_counted():
    rows = standing("a", SUEZ, T0, T0 + 14_400)
    many = fixes([*rows, ("a", T0 + 5000, 0.0, 0.0)])
    assert many.beyond_reach.tolist() == [len(rows)]
    (stop,) = batch.events(many, Rules(), ("stop",))
    assert stop.measures["duration_s"] == 14_400


def test_two_at_once_under_one_identity_do_not_hide_the_first():
    one, other = standing("a", SUEZ, T0, T0 + 14_400), standing("a", (50.0, -1.0), T0 + 300, T0 + 14_400)
    stop, second = events(one + other, "stop")
    assert stop.ids == ("a",) and stop.measures["duration_s"] == 14_400 and abs(stop.lat_deg - 30.0) < 0.01
    assert second.ids == ("a#2",) and abs(second.lat_deg - 50.0) < 0.01


# --- gaps ---------------------------------------------------------------------------------------


def test_a_gap_is_longer_than_an_hour_and_open_at_the_end():
    rows = [("a", T0, 30.0, 32.0), ("a", T0 + 3600, 30.0, 32.0), ("a", T0 + 7201, 30.0, 32.01), ("b", T0 + 12_000, 31.0, 32.0)]
    closed, open_ = events(rows, "gap")
    assert (closed.start_ns, closed.end_ns) == ((T0 + 3600) * NS, (T0 + 7201) * NS)
    assert 900 < closed.measures["moved_m"] < 1000
    assert (open_.start_ns, open_.end_ns, open_.measures["duration_s"]) == ((T0 + 7201) * NS, None, 4799.0)


@pytest.mark.parametrize("home", PLACES)
def test_a_silence_that_others_do_not_share_is_switched_off(home):
    def fleet(until):
        out = [r for k in range(4) for r in sailing(f"o{k}", home, T0, T0 + until, 3.0, 300.0, n0_m=500.0 * k)]
        return out

    mine = sailing("a", home, T0, T0 + 3600, 3.0, 300.0) + sailing("a", home, T0 + 11_100, T0 + 14_400, 3.0, 300.0, e0_m=30_000)
    (gap,) = [e for e in events(mine + fleet(14_400), "gap") if e.end_ns]
    assert gap.measures["switched_off"] and gap.measures["heard_near"] >= Gap().heard and gap.confidence > 0.9
    silent = fleet(3600) + [(r[0], r[1] + 11_100, *r[2:]) for r in fleet(3300)]
    (gap,) = [e for e in events(mine + silent, "gap") if e.ids == ("a",) and e.end_ns]
    assert not gap.measures["switched_off"] and gap.measures["heard_near"] == 0


# --- encounters, loitering, co-travel -----------------------------------------------------------


def grid_encounters(rows, reach_m=505.0):
    """Global Fishing Watch's rule on the grid, pair by pair."""
    many = fixes(rows)
    s = grid.samples(many, Rules())
    at = {(int(v), int(g)): k for k, (v, g) in enumerate(zip(s.vessel, s.g, strict=True))}
    out = []
    for a in range(len(many.ids)):
        for b in range(a + 1, len(many.ids)):
            run = []
            for g in range(int(s.g.min()), int(s.g.max()) + 2):
                i, j = at.get((a, g)), at.get((b, g))
                good = i is not None and j is not None and s.speed_mps[i] < 2 * KNOT_MPS and s.speed_mps[j] < 2 * KNOT_MPS
                if good and math.dist((s.x[i], s.y[i], s.z[i]), (s.x[j], s.y[j], s.z[j])) <= reach_m:
                    run.append(g)
                    continue
                if run and (run[-1] - run[0]) * 600 >= 7200:
                    out.append((many.ids[a], many.ids[b], run[0] * 600, run[-1] * 600))
                run = []
    return out


@pytest.mark.parametrize("home", PLACES)
def test_encounters_are_those_of_every_pair(home):
    rows = random_tracks(4, home, vessels=14, spread_m=300.0, speeds=(0.0, 0.0, 0.02, 0.05, 1.0))
    found = [(*e.ids, e.start_ns // NS, e.last_ns // NS) for e in events(rows, "encounter")]
    assert sorted(found) == sorted(grid_encounters(rows)) and found


def test_an_encounter_lasts_while_neither_has_left():
    rows = standing("a", SUEZ, T0, T0 + 10_800) + standing("b", beside(SUEZ, 200, 0), T0, T0 + 10_200, seed=2)
    (meeting,) = events(rows, "encounter")
    assert meeting.ids == ("a", "b") and meeting.end_ns is None and meeting.last_ns == (T0 + 10_200) * NS
    rows += sailing("b", SUEZ, T0 + 10_800, T0 + 12_000, 5.0, e0_m=4000)
    rows += standing("a", SUEZ, T0 + 11_400, T0 + 12_000)
    (meeting,) = events(rows, "encounter")
    assert meeting.end_ns == (T0 + 10_200) * NS


def test_no_limit_is_broken_whatever_it_is():
    rows = standing("a", SUEZ, T0, T0 + 20_000) + standing("b", beside(SUEZ, 200, 0), T0, T0 + 7800, seed=2)
    many = fixes(rows)
    for least_s in (3000.0, 7199.0, 7200.0, 7201.0, 7300.0):
        rules = Rules(encounter=Encounter(least_s=least_s))
        found = list(batch.events(many, rules, ("encounter",)))
        assert len(found) == (least_s <= 7200.0) and all(e.measures["duration_s"] >= least_s for e in found)


def test_three_together_are_three_encounters_and_moored_ones_alone_are_none():
    rows = [r for k in range(3) for r in standing(f"v{k}", beside(SUEZ, 150.0 * k, 0), T0, T0 + 9000, seed=k)]
    assert [e.ids for e in events(rows, "encounter")] == [("v0", "v1"), ("v0", "v2"), ("v1", "v2")]
    assert not events(rows, "loiter", "cotravel")


def test_drifting_is_loitering_and_an_anchorage_is_none():
    rows = sailing("drifter", SUEZ, T0, T0 + 6 * 3600, 0.5)
    arrives = sailing("anchored", SUEZ, T0, T0 + 3600, 6.0, n0_m=9e3) + standing(
        "anchored", beside(SUEZ, 22_500, 9e3), T0 + 4200, T0 + 30_000
    )
    (event,) = events(rows + arrives, "loiter")
    assert event.ids == ("drifter",) and event.end_ns is not None  # silent for more than an hour at the end of the data
    assert event.measures["duration_s"] == 6 * 3600 and event.measures["mean_speed_mps"] == pytest.approx(0.5, abs=0.02)
    assert not events(sailing("fast", SUEZ, T0, T0 + 6 * 3600, 1.2), "loiter")
    assert not events(sailing("short", SUEZ, T0, T0 + 3 * 3600, 0.5), "loiter")


def follower(rows, lag_s, offset_m, cadence_s, seed=1):
    rng = np.random.default_rng(seed)
    t = np.array([r[1] for r in rows])
    x = [np.array(c) for c in zip(*(points(np.float64(r[2]), np.float64(r[3])) for r in rows), strict=True)]
    out, now = [], t[0] + lag_s
    while now < t[-1] + lag_s:
        p = [float(np.interp(now - lag_s, t, c)) for c in x]
        lat, lon = math.degrees(math.atan2(p[2], math.hypot(p[0], p[1]))), math.degrees(math.atan2(p[1], p[0]))
        out.append(("follower", now, *beside((lat, lon), rng.normal(0, 15), offset_m + rng.normal(0, 15))))
        now += rng.uniform(0.7, 1.3) * cadence_s
    return out


@pytest.mark.parametrize("home", [SUEZ, DATE_LINE, SOUTH])
@pytest.mark.parametrize("lag_s, offset_m", [(0, 250), (90, 200), (480, -150)])
def test_who_keeps_one_distance_behind_is_named_behind(home, lag_s, offset_m):
    lead = sailing("leader", home, T0, T0 + 4 * 3600, 6.0, 720.0)
    alone = sailing("other", home, T0 + 2400, T0 + 5 * 3600, 6.0, 720.0, n0_m=100.0)  # the same lane, 40 minutes behind
    crossing = [("cross", r[1], *beside(home, 40_000, -30_000 + k * 5000)) for k, r in enumerate(lead)]
    (event,) = events(lead + alone + crossing + follower(lead, lag_s, offset_m, 560), "cotravel")
    if lag_s:
        assert event.ids == ("leader", "follower") and event.measures["lag_s"] == pytest.approx(lag_s, abs=30)
    assert set(event.ids) == {"leader", "follower"} and event.measures["duration_s"] > 3 * 3600


def test_overtaking_and_standing_together_are_no_company():
    slow, fast = (
        sailing("slow", SUEZ, T0, T0 + 3 * 3600, 4.0),
        sailing("fast", SUEZ, T0, T0 + 3 * 3600, 7.0, e0_m=-15_000, n0_m=200),
    )
    together = standing("x", SUEZ, T0, T0 + 20_000) + standing("y", SUEZ, T0, T0 + 20_000, seed=2)
    assert not events(slow + fast + together, "cotravel")


def test_nothing_is_interpolated_over_a_hole():
    rows = standing("a", SUEZ, T0, T0 + 7200) + standing("b", SUEZ, T0, T0 + 3600) + standing("b", SUEZ, T0 + 7800, T0 + 9000)
    assert not events(rows, "encounter")


# --- the whole ----------------------------------------------------------------------------------


def test_rows_in_any_order_files_in_parts_and_other_names_make_no_difference():
    rows = random_tracks(21, vessels=12, spread_m=300.0, speeds=(0.0, 0.0, 0.02, 0.3))
    whole = events(rows, *KINDS)
    mixed = [rows[k] for k in np.random.default_rng(1).permutation(len(rows))]
    assert events(mixed, *KINDS) == whole and {e.kind for e in whole} >= {"stop", "gap", "encounter"}


@pytest.mark.parametrize("hours", [1.0, 24.0, 24 * 365.25])
def test_the_hour_of_the_day_makes_no_difference(hours):
    rows = random_tracks(22, vessels=12, spread_m=300.0, speeds=(0.0, 0.0, 0.02, 0.3))
    shift = round(hours) * 3600
    later = [(r[0], r[1] + shift, *r[2:]) for r in rows]
    assert [(e.kind, e.ids, e.start_ns, e.last_ns) for e in events(rows, *KINDS)] == [
        (e.kind, e.ids, e.start_ns - shift * NS, e.last_ns - shift * NS) for e in events(later, *KINDS)
    ]


def test_no_fix_no_event_and_one_fix_none_either():
    assert events([("a", T0, 1.0, 2.0)], *KINDS) == []
    many = fixes([("a", T0, 1.0, 2.0)])
    for name in ("vessel", "time_ns", "lat_deg", "lon_deg", "x", "y", "z", "line"):
        setattr(many, name, getattr(many, name)[:0])
    many.ids, many.first = [], np.zeros(1, np.int64)
    assert list(batch.events(many, Rules())) == []


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "predict"


def shared_rows(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/data/predict/{name} is not here")
    with path.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


@pytest.mark.shared
def test_the_oracles_of_suez_are_found_whole():
    rows = [(r["id"], ns_from_text(r["t"]) / NS, float(r["lat"]), float(r["lon"])) for r in shared_rows("suez/tracks.csv")]
    found = events(rows, "stop", "encounter")
    stop = {(e.ids[0], e.start_ns, e.last_ns) for e in found if e.kind == "stop"}
    true = {(r["id"], ns_from_text(r["start"]), ns_from_text(r["end"])) for r in shared_rows("suez/stops_oracle.csv")}
    assert len(stop & true) >= 0.98 * len(true) and len(stop) == len(true)
    met = {(*e.ids, e.start_ns, e.last_ns) for e in found if e.kind == "encounter"}
    assert met == {
        (r["a"], r["b"], ns_from_text(r["start"]), ns_from_text(r["end"])) for r in shared_rows("suez/encounters_oracle.csv")
    }


# --- planned operations -------------------------------------------------------------------------


@pytest.mark.parametrize("home", [*PLACES, (78.0, 15.0), (0.0, 180.0)])
def test_conflicts_are_those_of_every_pair(home):
    rng = np.random.default_rng(9)
    plans = []
    for k in range(60):
        lat, lon = beside(home, *rng.normal(0, 1200, 2))
        start = T0 + int(rng.integers(0, 8)) * 1800
        plans.append(Planned(f"E{k}", f"agency{k % 3}", lat, lon, float(rng.choice([0, 200, 1000])), start * NS,
                             (start + int(rng.integers(1, 4)) * 1800) * NS))  # fmt: skip
    expected = []
    for i, a in enumerate(plans):
        for b in plans[i + 1 :]:
            apart = distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
            if (
                a.agency != b.agency
                and max(a.start_ns, b.start_ns) < min(a.end_ns, b.end_ns)
                and apart <= a.radius_m + b.radius_m
            ):
                expected.append((a.id, b.id, apart))
    assert [(c.a, c.b, c.distance_m) for c in conflicts(plans)] == expected and len(expected) > 10


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.integers(-(10**9), 10**9).map(lambda k: (k + 0.5) / 1e3),
                          st.integers(-(10**9), 10**9).map(lambda k: k / 1e7), st.floats(-1e300, 1e300)), max_size=30),
       st.sampled_from([3, 7]))  # fmt: skip
def test_many_numbers_are_rounded_as_one_is(values, digits):
    assert tell.rounded(np.array(values, float), digits).tolist() == [round(v, digits) for v in values]
