"""Events of made fleets against oracles that know nothing of ours: the definitions of shared data/predict/README.md written
down naively (haversine, linear in longitude and latitude, every pair), at other cadences, noises and places, with rows twice,
in any order, and events that go on when the data ends."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from birddog.units import KNOT_MPS, NS
from tracking.events import batch
from tracking.events.engine import Events
from tracking.events.model import Rules

_spec = importlib.util.spec_from_file_location("files_of_oracles", Path(__file__).with_name("test_events.py"))
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)
T0 = files.T0


def metres(a, b):
    """Haversine on the mean sphere, of (lat, lon)."""
    p, q = math.radians(a[0]), math.radians(b[0])
    h = math.sin((q - p) / 2) ** 2 + math.cos(p) * math.cos(q) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2.0 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(h)))


def by_name(rows):
    """Of each name its fixes by time, the first of several of one time."""
    out = {}
    for name, t, lat, lon in rows:
        out.setdefault(name, {}).setdefault(t, (lat, lon))
    return {name: sorted((t, *p) for t, p in of.items()) for name, of in sorted(out.items())}


def near_lon(lon, other):
    """A longitude beside another one, over the date line too."""
    return other + (lon - other + 180.0) % 360.0 - 180.0


def stops(rows):
    """Greedy maximal runs: within 500 m of the running centroid, 60 min, 4 fixes, no hole over 6 h."""
    out = []
    for name, fixes in by_name(rows).items():
        i = 0
        while i < len(fixes):
            lat, lon, j = fixes[i][1], fixes[i][2], i + 1
            n, slat, slon = 1, lat, lon
            while j < len(fixes) and fixes[j][0] - fixes[j - 1][0] <= 6 * 3600:
                here = fixes[j][1], near_lon(fixes[j][2], lon)
                if metres((slat / n, slon / n), here) > 500.0:
                    break
                n, slat, slon, j = n + 1, slat + here[0], slon + here[1], j + 1
            if fixes[j - 1][0] - fixes[i][0] >= 3600 and n >= 4:
                out.append((name, fixes[i][0], fixes[j - 1][0]))
                i = j
            else:
                i += 1
    return out


def gaps(rows, end):
    """Nothing for more than 60 min; the last of each lasts."""
    out = []
    for name, fixes in by_name(rows).items():
        times = [f[0] for f in fixes] + [end]
        out += [(name, a, b) for a, b in itertools.pairwise(times) if b - a > 3600]
    return out


def on_grid(fixes):
    """{step of 10 min: (lat, lon)}, interpolated over an hour at most."""
    out = {}
    for (t, lat, lon), (u, lat2, lon2) in itertools.pairwise(fixes):
        if u - t > 3600:
            continue
        lon2 = near_lon(lon2, lon)
        for g in range(math.ceil(t / 600), math.floor(u / 600) + 1):
            w = (g * 600 - t) / (u - t)
            out[g] = lat + w * (lat2 - lat), lon + w * (lon2 - lon)
    return out


def encounters(rows):
    """Each pair, each point of the grid: within 500 m, both slower than 2 kn, for 2 h."""
    at = {name: on_grid(fixes) for name, fixes in by_name(rows).items()}
    slow = {name: {g for g in p if g - 1 in p and metres(p[g], p[g - 1]) / 600 < 2 * KNOT_MPS} for name, p in at.items()}
    out = []
    for a, b in itertools.combinations(at, 2):
        run = []
        for g in sorted(slow[a] & slow[b]) + [1 << 60]:
            good = g in at[a] and metres(at[a][g], at[b][g]) <= 500.0
            if run and not (good and g == run[-1] + 1):
                if (run[-1] - run[0]) * 600 >= 7200:
                    out.append(((a, b), run[0] * 600, run[-1] * 600))
                run = []
            if good:
                run.append(g)
    return out


def score(found, true):
    """(recall, precision): of the same names, half of both together in common."""
    def alike(a, b):
        both = min(a[2], b[2]) - max(a[1], b[1])
        return a[0] == b[0] and both > 0 and both >= 0.5 * (max(a[2], b[2]) - min(a[1], b[1]))

    hit = sum(any(alike(t, f) for f in found) for t in true), sum(any(alike(f, t) for t in true) for f in found)
    return hit[0] / len(true), hit[1] / len(found)


def fleet(seed, home, step_s, noise_m):
    """Vessels that anchor beside each other, drift, sail off and fall silent; some rows twice, all in any order."""
    rng, rows = np.random.default_rng(seed), []
    roads = [(e, n) for e, n in rng.normal(0.0, 6000.0, (4, 2))]
    for v in range(14):
        t, (e, n) = T0 + float(rng.integers(0, 3600)), rng.normal(0.0, 15_000.0, 2)
        end = T0 + 86_400 - float(rng.integers(0, 9000))
        while t < end:
            # to one of the roads, a while there (or past it), then on
            to = roads[int(rng.integers(4))] if rng.random() < 0.8 else tuple(rng.normal(0.0, 15_000.0, 2))
            goal_e, goal_n = to[0] + rng.normal(0, 180), to[1] + rng.normal(0, 180)
            way, speed = math.hypot(goal_e - e, goal_n - n), rng.uniform(3.0, 9.0)
            here, begun = (e, n), t
            while t < end and (t - begun) * speed < way:
                w = (t - begun) * speed / way
                rows.append((f"v{v}", t, here[0] + w * (goal_e - here[0]), here[1] + w * (goal_n - here[1])))
                t += step_s * rng.uniform(0.7, 1.3)
            e, n, leaves = goal_e, goal_n, t + float(rng.choice([600, 5400, 12_000, 20_000]))
            drift = rng.normal(0, 0.02, 2) if rng.random() < 0.7 else rng.normal(0, 0.4, 2)
            while t < min(leaves, end):
                rows.append((f"v{v}", t, e, n))
                dt = step_s * rng.uniform(0.7, 1.3)
                t, e, n = t + dt, e + drift[0] * dt, n + drift[1] * dt
            if rng.random() < 0.25:
                t += float(rng.choice([3000.0, 4500.0, 9000.0, 25_000.0]))
    rows = [(name, round(t, 1), *files.beside(home, e + rng.normal(0, noise_m), n + rng.normal(0, noise_m)))
            for name, t, e, n in rows]  # fmt: skip
    rows += [rows[k] for k in rng.integers(0, len(rows), len(rows) // 20)]
    return [rows[k] for k in rng.permutation(len(rows))]


WORLD = [
    ((30.0, 32.5), 600.0, 20.0), ((-17.0, 179.99), 300.0, 40.0), ((78.0, 15.0), 120.0, 5.0), ((-60.0, -179.99), 60.0, 60.0),
    ((0.0, 0.0), 900.0, 10.0), ((51.9, 4.0), 45.0, 15.0),
]  # fmt: skip


@pytest.mark.parametrize("home, step_s, noise_m", WORLD, ids=lambda x: str(x))
def test_stops_gaps_and_encounters_are_those_of_the_definitions(home, step_s, noise_m):
    found, true = {}, {}
    for seed in range(1 if step_s < 100 else 3):
        rows = fleet(seed, home, step_s, noise_m)
        end = max(r[1] for r in rows)
        many = list(batch.events(files.fixes(rows), Rules(), ("stop", "gap", "encounter")))
        for e in many:
            name = e.ids if e.kind == "encounter" else e.ids[0]
            found.setdefault(e.kind, []).append(((seed, name), e.start_ns / NS, e.last_ns / NS))
        for kind, oracle in (("stop", stops(rows)), ("gap", gaps(rows, end)), ("encounter", encounters(rows))):
            true.setdefault(kind, []).extend(((seed, name), a, b) for name, a, b in oracle)
        assert any(e.end_ns is None for e in many if e.kind == "stop")
    for kind, oracle in true.items():
        recall, precision = score(found[kind], oracle)
        assert len(oracle) >= 2 and recall >= 0.95 and precision >= 0.95, (kind, len(oracle), recall, precision)


def test_one_by_one_and_late_it_is_the_same_fleet():
    rows = sorted(fleet(9, (51.9, 4.0), 300.0, 20.0), key=lambda r: r[1])
    rng = np.random.default_rng(1)
    late = [r[1] + (rng.uniform(0, 5000) if rng.random() < 0.1 else 0.0) for r in rows]
    engine, told = Events(kinds=("stop", "gap", "encounter", "loiter", "cotravel")), {}
    for k in np.argsort(late, kind="stable").tolist():
        name, t, lat, lon = rows[k]
        for one in engine.fix(name, round(t * 1000) * 1_000_000, lat, lon):
            if one.was is not None:
                told.pop(one.was.key, None)
            if one.event is not None:
                told[one.event.key] = one.event
    said = {k: e for k, e in told.items() if e.end_ns is not None} | {e.key: e for e in engine.lasting()}
    assert said == {e.key: e for e in batch.events(files.fixes(rows), engine.rules, engine.kinds, engine.now_ns)}


def convoy(seed):
    """(rows, true pairs): a convoy, a quarter of an hour or so between two, others the other way; followers by the README's
    recipe."""
    rng, rows, true = np.random.default_rng(seed), [], set()

    def way(name, begun, speed, side_m, back, step_s, until=1.0, bend=0.0):
        t, out = begun, []
        while (t - begun) * speed < 110_000 * until:
            x = (t - begun) * speed
            x = 110_000 - x if back else x
            # the lane bends
            out.append((name, t, x, side_m + 4000.0 * math.sin(x / 25_000.0) + bend * rng.normal()))
            t += step_s * rng.uniform(0.8, 1.2)
        return out

    for k in range(12):
        begun, speed = T0 + 900.0 * k + rng.uniform(0, 600), rng.normal(6.0, 0.5)
        rows += way(f"s{k}", begun, speed, rng.normal(0, 150), bool(k % 3 == 2), rng.uniform(300, 840))
        if k % 2 == 0:
            # lag 60-480 s, offset 50-300 m, 15 m of noise, its own cadence of 5-14 min; every third leaves half way
            lag, offset = rng.uniform(60, 480), rng.uniform(50, 300) * rng.choice([-1, 1])
            side = rows[-1][3] - 4000.0 * math.sin(rows[-1][2] / 25_000.0)
            rows += way(f"f{k}", begun + lag, speed, side + offset, bool(k % 3 == 2), rng.uniform(300, 840),
                        0.5 if k % 6 == 0 else 1.0, 15.0)  # fmt: skip
            true.add((f"f{k}", f"s{k}"))
    return [(n, round(t), *files.beside((30.0, 32.5), e, m)) for n, t, e, m in rows], true


def test_who_follows_is_found_and_who_only_uses_the_lane_is_not():
    found = true = hits = 0
    for seed in range(12):
        rows, pairs = convoy(seed)
        got = {tuple(sorted(e.ids)) for e in batch.events(files.fixes(rows), Rules(), ("cotravel",))}
        found, true, hits = found + len(got), true + len(pairs), hits + len(got & pairs)
    assert hits / true >= 0.8 and hits / found >= 0.6, (hits, true, found)
