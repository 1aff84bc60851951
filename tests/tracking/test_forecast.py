"""Forecasts: along the ways that others went, by what was known at t0 only, as wide as they have to be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from birddog.geo import Plane, distance_m
from tracking.forecast import calibration as cal
from tracking.forecast import futures as fut
from tracking.forecast import past as arch
from tracking.forecast import regions
from tracking.forecast.arrival import Arrivals, Place
from tracking.forecast.strands import followed, strands
from tracking.forecast.where import Forecaster, Track

DAY_S = 86_400.0
PLANE = Plane(lat_deg=30.0, lon_deg=32.5)
#: A dog-leg: 20 km east, then half of them 20 km north and half 20 km south; then a berth.
CORNER_M, LEG_M = 20_000.0, 20_000.0


def way(s_m: np.ndarray, north: bool) -> tuple[np.ndarray, np.ndarray]:
    e = np.minimum(s_m, CORNER_M)
    n = np.clip(s_m - CORNER_M, 0.0, LEG_M) * (1.0 if north else -1.0)
    return e, n


def trip(begin_s: float, speed_mps: float, north: bool, rng: np.random.Generator):
    every_s, rest_s = 300.0, 2 * 3600.0
    total_s = (CORNER_M + LEG_M) / speed_mps + rest_s
    t = np.arange(0.0, total_s, every_s)
    e, n = way(t * speed_mps, north)
    e, n = e + rng.normal(0.0, 20.0, len(t)), n + rng.normal(0.0, 20.0, len(t))
    at = [PLANE.geodetic(x, y) for x, y in zip(e, n, strict=True)]
    return np.c_[begin_s + t, at]


def fleet(n: int = 40, seed: int = 1, norths=lambda k: True, begin_s: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"v{k:03d}": trip(begin_s + k * 5400.0, rng.uniform(5.0, 8.0), norths(k), rng) for k in range(n)}


def built(tracks: dict[str, np.ndarray]) -> arch.Past:
    names = sorted(tracks)
    number = np.concatenate([np.full(len(tracks[n]), k) for k, n in enumerate(names)]) if names else np.zeros(0, dtype=int)
    rows = np.concatenate([tracks[n] for n in names]) if names else np.zeros((0, 3))
    return arch.build(names, number, rows[:, 0], rows[:, 1], rows[:, 2])


def asked(rows: np.ndarray, name: str = "asked") -> Track:
    return Track(name, rows[:, 0], rows[:, 1], rows[:, 2])


def en(f) -> tuple[float, float]:
    e, n = PLANE.en_array(np.array(f.lat_deg), np.array(f.lon_deg))
    return float(e), float(n)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster(built(fleet()))


def question(seed: int = 9, speed_mps: float = 6.5, begin_s: float = 10 * DAY_S) -> np.ndarray:
    return trip(begin_s, speed_mps, True, np.random.default_rng(seed))


def test_it_turns_where_the_others_turned(forecaster):
    rows = question()
    ahead = rows[4]  # 7.8 km on, 50 min later well past the corner
    f = forecaster.forecast(asked(rows[:5]), float(ahead[0]), 3000.0)
    e, n = way(np.array([6.5 * (1200.0 + 3000.0)]), True)
    assert n[0] > 5000.0 and math.hypot(en(f)[0] - e[0], en(f)[1] - n[0]) < 1500.0
    assert f.moving and f.neighbours > 1.0 and f.windows >= cal.FEWEST


def test_what_stands_stays(forecaster):
    rows = question()
    t0 = float(rows[-1, 0])
    f = forecaster.forecast(asked(rows), t0, 3600.0)
    assert not f.moving and (f.lat_deg, f.lon_deg) == pytest.approx((rows[-1, 1], rows[-1, 2]), abs=1e-9)


def test_where_nobody_ever_was_the_velocity_decays():
    forecaster = Forecaster(built({}))
    rows = question()[:5]
    near, far = (forecaster.forecast(asked(rows), float(rows[-1, 0]), h) for h in (600.0, 14_400.0))
    travelled = [en(f)[0] - PLANE.en_array(rows[-1, 1], rows[-1, 2])[0] for f in (near, far)]
    assert travelled[0] == pytest.approx(6.5 * 600.0, rel=0.1)
    assert 0.4 * 6.5 * 14_400.0 < travelled[1] < 0.75 * 6.5 * 14_400.0
    assert near.windows == 0 and 0.0 < near.radius_m[0.5] < near.radius_m[0.9] < far.radius_m[0.9]


def test_two_ways_are_two_futures():
    forecaster = Forecaster(built(fleet(60, norths=lambda k: k % 2 == 0)))
    rows = question()[:5]
    f = forecaster.forecast(asked(rows), float(rows[-1, 0]), 4200.0)
    n = f.futures.n_m
    assert f.futures.weight[n > 5000.0].sum() > 0.2 and f.futures.weight[n < -5000.0].sum() > 0.2
    assert f.area_m2[0.9] <= math.pi * f.radius_m[0.9] ** 2


def test_nothing_after_t0_is_looked_at(forecaster):
    rows = question()
    whole, cut = asked(rows), asked(rows[:12])
    t0 = float(rows[11, 0])
    a, b = (forecaster.forecast(t, t0, 2400.0) for t in (whole, cut))
    assert (a.lat_deg, a.lon_deg, a.radius_m, a.area_m2) == (b.lat_deg, b.lon_deg, b.radius_m, b.area_m2)


def test_a_question_within_the_archive_sees_its_past_alone():
    tracks = fleet(60)
    t0 = float(tracks["v030"][6, 0])
    until = {n: v[v[:, 0] <= t0] for n, v in tracks.items() if (v[:, 0] <= t0).any()}
    late = {n: v.copy() for n, v in tracks.items()}
    for v in late.values():
        v[v[:, 0] > t0, 1] += 0.5  # what comes later comes elsewhere
    answers = []
    for archive in (tracks, until, late):
        forecaster = Forecaster(built(archive))
        forecaster.past.scale = built(tracks).scale  # an archive's lengths are its own
        f = forecaster.forecast(asked(tracks["v030"], "v030"), t0, 2400.0)
        answers.append((f.lat_deg, f.lon_deg, f.radius_m[0.9], f.area_m2[0.9]))
    assert answers[0] == pytest.approx(answers[1], rel=1e-9)
    assert answers[0][:2] == pytest.approx(answers[2][:2], abs=1e-9)


def test_its_own_later_rows_in_the_archive_are_never_used():
    tracks = fleet(30)
    rows = question()
    t0 = float(rows[8, 0])
    strange = rows.copy()
    strange[9:, 1] += 0.3  # as the archive has it, it goes elsewhere
    with_own = Forecaster(built(tracks | {"asked": strange})).forecast(asked(rows[:9]), t0, 2400.0)
    without = Forecaster(built(tracks)).forecast(asked(rows[:9]), t0, 2400.0)
    assert (with_own.lat_deg, with_own.lon_deg) == pytest.approx((without.lat_deg, without.lon_deg), abs=1e-9)


def test_the_widths_hold_what_they_say():
    """Of new trips the discs and the regions hold about half and nine tenths (of 30 new vessels)."""
    forecaster = Forecaster(built(fleet(60, norths=lambda k: k % 3 > 0)))
    rng = np.random.default_rng(5)
    held = {(kind, level): [] for kind in ("disc", "region") for level in cal.LEVELS}
    for q in range(30):
        rows = trip(20 * DAY_S + 5400.0 * q, rng.uniform(5.0, 8.0), q % 3 > 0, rng)
        for k in range(6 + q % 4, len(rows) - 6, 4):
            f = forecaster.forecast(asked(rows[: k + 1]), float(rows[k, 0]), 1800.0)
            if not f.moving:
                break
            e, n = f.futures.plane.en_array(rows[k + 6, 1], rows[k + 6, 2])
            miss, odd = math.hypot(e - f.futures.point[0], n - f.futures.point[1]), regions.oddness(f.bells, e, n)
            for level in cal.LEVELS:
                held["disc", level].append(miss <= f.radius_m[level])
                edge = f.oddness[level]
                held["region", level].append(miss <= f.radius_m[level] if edge is None else odd <= edge)
    for (kind, level), hits in held.items():
        assert abs(np.mean(hits) - level) < 0.12, (kind, level, np.mean(hits))


def test_the_rank_of_split_conformal():
    """The quantile is the score of rank ceil((n + 1) p), never beyond the greatest, where all weigh the same."""
    for n in (1, 8, 9, 10, 19, 20, 99, 100):
        scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1.0))
        for level in (0.5, 0.9):
            for weight in (1.0, 0.3):
                assert cal.quantile(scores, np.full(n, weight), level) == min(math.ceil(round((n + 1) * level, 9)), n)
    assert cal.quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 100.0]), 0.5) == 3.0


def test_a_moment_weighs_the_same_however_often_it_was_reported_and_a_long_track_less():
    """Half of the tracks report five times as often: their windows of a slot together weigh as one does."""
    tracks = {name: rows if k % 2 else rows[::5] for k, (name, rows) in enumerate(fleet(8).items())}
    c = cal.Calibration(built(tracks))
    of, (good, _) = c.windows[True], c._good(15, True, 2 * DAY_S)
    weight = c.outcomes(15, True, 2 * DAY_S).weight
    assert len(weight) == len(good) and not of.apart[good].all()
    track = c.past.track_of(of.row[good])
    slot = cal.slots(of.t_s[good] - c.past.t_s[c.past.begin[track]], c.past.scale.window_s)
    for number in np.unique(track):
        own = track == number
        slots = len(np.unique(slot[own]))
        assert weight[own].sum() == pytest.approx(slots / (1.0 + cal.ALIKE[True] * (slots - 1)))


def test_a_guess_is_no_narrower_than_what_was_found_of_a_shorter_time(monkeypatch):
    """A harbour of three days: 7 km were found at 15 min, nothing at an hour, and the hour was guessed as less."""
    c = cal.Calibration(built(fleet(5)))
    found = cal.Outcomes(np.arange(40), np.arange(40), np.arange(40.0), np.full(40, 7000.0), *np.ones((3, 40)))
    none = found.some(np.arange(0))
    monkeypatch.setattr(c, "outcomes", lambda minutes, moving, t0_s: found if minutes <= 15 else none)
    for level in cal.LEVELS:
        hour = c.widths(3600.0, True, 1.0, 0.0, level)
        assert hour == cal.Widths(7000.0, None, 0)
        assert c.widths(7 * 86_400.0, True, 1.0, 0.0, level).radius_m == cal.guess_m(7 * 86_400.0, True, 1.0, level) > 7000.0


def test_widths_between_two_horizons_lie_between_theirs(forecaster):
    c, t0 = forecaster.calibration, 10 * DAY_S
    r = [c.widths(m * 60.0, True, 6.0, t0, 0.9).radius_m for m in (30, 37, 45)]
    assert min(r[0], r[2]) <= r[1] <= max(r[0], r[2])


def bells(places, weights) -> regions.Bells:
    e, n = np.array(places, dtype=float).T
    w = np.array(weights) / sum(weights)
    f = fut.Futures(PLANE, e, n, np.full(len(e), 5.0), np.zeros(len(e)), w, 3.0, (0.0, 0.0))
    return regions.bells(f, 5.0, 1000.0)


@pytest.mark.parametrize("places", [[(5000, 0)], [(5000, 0), (5200, 300)], [(5000, 0), (-9000, 4000), (5100, -80)]])
def test_a_regions_outline_is_the_places_that_are_not_odder(places):
    b = bells(places, range(1, len(places) + 1))
    level = 12.0
    rng = np.random.default_rng(0)
    parts = regions.parts(b, level, 160)
    rings = [polygon for part in parts for polygon in regions.outlines(part)]
    assert rings and all(p[0][0] == p[0][-1] for p in rings)
    area = sum(regions._signed_area(ring) for polygon in rings for ring in polygon)
    assert area == pytest.approx(regions.area_m2(b, level, 160), rel=0.05)
    assert all(regions._signed_area(polygon[0]) > 0.0 for polygon in rings)
    wrong = 0
    for part in parts:
        high = np.array(part.inside.shape[::-1]) * (part.de_m, part.dn_m)
        for e, n in rng.random((300, 2)) * high + (part.e0_m, part.n0_m):
            within = sum(regions._within(ring, (e, n)) for polygon in rings for ring in polygon) % 2 == 1
            wrong += within != (regions.oddness(b, e, n) <= level)
    assert wrong <= 0.03 * 300 * len(parts)


def test_a_disc_is_taken_where_the_region_would_be_larger(forecaster):
    rows = question()[:5]
    f = forecaster.forecast(asked(rows), float(rows[-1, 0]), 1800.0)
    odd = replace(f, oddness={0.5: None, 0.9: None})
    ring = np.array(odd.rings(0.9)[0][0])
    far = [distance_m(lat1_deg=f.lat_deg, lon1_deg=f.lon_deg, lat2_deg=lat, lon2_deg=lon) for lon, lat in ring]
    assert far == pytest.approx([f.radius_m[0.9]] * len(ring), rel=1e-6)
    assert f.area_m2[0.9] <= math.pi * f.radius_m[0.9] ** 2 * (1.0 + 1e-9)


@pytest.mark.parametrize("horizon_s", [0.0, 31 * DAY_S])
def test_a_horizon_of_nothing_and_of_a_month_have_an_answer(forecaster, horizon_s):
    rows = question()[:8]
    f = forecaster.forecast(asked(rows), float(rows[-1, 0]), horizon_s)
    assert all(math.isfinite(v) for v in (f.lat_deg, f.lon_deg, *f.radius_m.values(), *f.area_m2.values()))
    if horizon_s == 0.0:
        assert f.radius_m[0.9] <= 50.0 and (f.lat_deg, f.lon_deg) == pytest.approx((rows[-1, 1], rows[-1, 2]), abs=1e-4)
    else:
        assert f.windows == 0 and f.radius_m[0.9] > 100_000.0


def test_before_its_first_fix_there_is_no_answer(forecaster):
    assert forecaster.forecast(asked(question()), 9 * DAY_S, 600.0) is None


def test_over_the_antimeridian():
    tracks = fleet()
    moved = {n: np.c_[v[:, 0], v[:, 1], (v[:, 2] + 147.4 + 180.0) % 360.0 - 180.0] for n, v in tracks.items()}
    rows = question()
    east = np.c_[rows[:, 0], rows[:, 1], (rows[:, 2] + 147.4 + 180.0) % 360.0 - 180.0]
    here, there = Forecaster(built(tracks)), Forecaster(built(moved))
    a = here.forecast(asked(rows[:5]), float(rows[4, 0]), 3000.0)
    b = there.forecast(asked(east[:5]), float(rows[4, 0]), 3000.0)
    assert b.lat_deg == pytest.approx(a.lat_deg, abs=0.02)
    assert (b.lon_deg - a.lon_deg - 147.4 + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_a_region_that_holds_a_pole_is_all_that_lies_about_it(pole):
    empty = arch.build([], np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0))
    t = np.arange(8) * 600.0
    # towards the pole at 2 m/s, 1600 m off at the question
    track = Track("ice", t, pole * (1.0 - 1e-3 + t * 2.0 / 111_195.0 / 90.0), np.full(8, 179.0))
    f = Forecaster(empty).forecast(track, float(t[-1]), 3600.0)
    for level in (0.5, 0.9):
        (((*ring,),),) = f.rings(level)
        lons, lats = zip(*ring, strict=True)
        assert ring[0] == ring[-1] and (min(lons), max(lons)) == (-180.0, 180.0) and pole in lats
        # anticlockwise, within the Earth, and the area that is told is the cap's
        assert sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False)) > 0.0
        (edge,) = {lat for lat in lats if lat != pole}
        cap_m2 = 2.0 * math.pi * 6_371_008.8**2 * (1.0 - math.sin(math.radians(abs(edge))))
        assert f.area_m2[level] == pytest.approx(cap_m2, rel=1e-6)
        assert 89.0 < abs(edge) < 90.0 - f.radius_m[level] / 111_195.0


@pytest.mark.parametrize("lat", [0.0, 60.0, 89.9, -90.0])
def test_cells_about_a_place_hold_it_and_what_is_near(lat):
    rng = np.random.default_rng(1)
    for lon in (-180.0, 0.0, 179.9999):
        near = arch.cells_about(lat, lon, 2000.0)
        assert int(arch.cell_of(np.array(lat), np.array(lon), 2000.0)) in near
        for _ in range(20):
            b, r = rng.uniform(0.0, 2.0 * math.pi), 900.0
            lat1 = lat + math.degrees(r * math.cos(b) / 6_371_008.8)
            if abs(lat1) < 89.5 and abs(lat) < 89.5:
                lon1 = lon + math.degrees(r * math.sin(b) / 6_371_008.8 / math.cos(math.radians(lat)))
                assert int(arch.cell_of(np.array(lat1), np.array(lon1), 2000.0)) in near


def test_an_archive_in_any_order_is_the_same():
    tracks = fleet(6)
    names = sorted(tracks)
    number = np.concatenate([np.full(len(tracks[n]), k) for k, n in enumerate(names)])
    rows = np.concatenate([tracks[n] for n in names])
    mixed = np.random.default_rng(0).permutation(len(rows))
    a, b = built(tracks), arch.build(names, number[mixed], *rows[mixed].T)
    for column in ("t_s", "lat", "lon", "p_row", "place_key", "s_row", "p_ve"):
        assert np.array_equal(getattr(a, column), getattr(b, column))


def test_one_bad_fix_is_a_strand_of_its_own_and_two_vessels_are_two():
    rows = question()[:20]
    bad = rows.copy()
    bad[7, 1] += 2.0
    label = strands(*bad.T, 60.0)
    assert label[7] != 0 and (np.delete(label, 7) == 0).all()
    other = rows.copy()
    other[:, 0] += 77.0
    other[:, 1] += 1.0
    both = np.concatenate([rows, other])
    both = both[np.argsort(both[:, 0])]
    label = strands(*both.T, 60.0)
    assert set(label) == {0, 1} and (label[::2] == 0).all() and (label[1::2] == 1).all()


@pytest.mark.parametrize("days", [1, 10, 60])
def test_a_bad_fix_of_long_ago_takes_none_of_those_that_come_later(days):
    # 8 m/s up and down: from a fix 550 km away and days ago every place is reached at less speed than from the last one
    t = np.arange(days * 144) * 600.0
    lat = 30.0 + np.abs(t * 8.0 / 111_195.0 % 4.0 - 2.0)
    lat[50] += 5.0
    label = strands(t, lat, np.full(len(t), 179.99), 60.0)
    assert label.tolist() == [int(k == 50) for k in range(len(t))]


def test_two_under_one_identity_that_pass_each_other_keep_their_courses():
    t = np.arange(0.0, 40 * 3600.0, 300.0)
    # each reports at its own times; they meet in the middle a kilometre apart
    one = (t, 0.0 + t * 8.0 / 111_195.0, np.zeros(len(t)))
    two = (t + 140.0, 10.36 - t * 8.0 / 111_195.0, np.full(len(t), 0.009))
    rows = np.concatenate([np.stack(one, axis=1), np.stack(two, axis=1)])
    who = np.r_[np.zeros(len(t)), np.ones(len(t))][np.argsort(rows[:, 0])]
    rows = rows[np.argsort(rows[:, 0])]
    assert np.array_equal(strands(*rows.T, 60.0), who)


def test_a_jump_at_t0_is_not_what_is_followed():
    rows = question()[:20]
    rows[-1, 1] += 2.0
    assert followed(*rows.T, 60.0, 3600.0).tolist() == [True] * 19 + [False]


def test_arrival_on_a_used_way(forecaster):
    arrivals = Arrivals(forecaster.past)
    berth = Place(*PLANE.geodetic(CORNER_M, LEG_M), 500.0)
    rows = question()
    for k in (4, 8, 12):
        t0 = float(rows[k, 0])
        a = arrivals.arrival(asked(rows[: k + 1]), t0, berth)
        true = rows[0, 0] + (CORNER_M + LEG_M - 500.0) / 6.5
        assert a.used and a.p10_s <= a.p50_s <= a.p90_s and a.outcomes > 20
        assert abs(a.p50_s - true) < 0.2 * (true - t0)
        assert a == arrivals.arrival(asked(rows), t0, berth)


def test_arrival_where_one_is_already_and_where_nobody_went(forecaster):
    arrivals = Arrivals(forecaster.past)
    rows = question()
    t0, at = float(rows[4, 0]), Place(rows[4, 1], rows[4, 2], 300.0)
    here = arrivals.arrival(asked(rows[:5]), t0, at)
    assert here.p10_s == here.p50_s == here.p90_s == rows[4, 0]
    far = arrivals.arrival(asked(rows[:5]), float(rows[4, 0]), Place(31.5, 34.0, 300.0))
    assert not far.used and far.p10_s < far.p50_s < far.p90_s and far.outcomes == 0
    assert arrivals.arrival(asked(rows), 9 * DAY_S, Place(31.5, 34.0, 300.0)) is None


def test_the_spread_of_arrivals_holds_eight_of_ten(forecaster):
    arrivals = Arrivals(forecaster.past)
    berth = Place(*PLANE.geodetic(CORNER_M, LEG_M), 500.0)
    rng, hits = np.random.default_rng(3), []
    for q in range(40):
        rows = trip(20 * DAY_S + 5400.0 * q, rng.uniform(5.0, 8.0), True, rng)
        e, n = PLANE.en_array(rows[:, 1], rows[:, 2])
        there = float(rows[np.argmax(np.hypot(e - CORNER_M, n - LEG_M) <= 500.0), 0])
        for k in (6, 8, 10):
            a = arrivals.arrival(asked(rows[: k + 1]), float(rows[k, 0]), berth)
            hits.append(a.p10_s <= there <= a.p90_s)
    assert 0.65 <= np.mean(hits) <= 0.95
