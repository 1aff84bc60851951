"""How wide a forecast is: by a ruler known at the question, by the widest of few trips, by the pace where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from birddog.geo import Plane
from tracking.forecast import backtest as bt
from tracking.forecast import calibration as cal
from tracking.forecast import futures as fut
from tracking.forecast import past as arch
from tracking.forecast import regions, where
from tracking.forecast.where import Forecaster, Track

DAY_S = 86_400.0
PLANE = Plane(lat_deg=30.0, lon_deg=32.5)


def sailing(begin_s: float, speed_mps: float, rng: np.random.Generator) -> np.ndarray:
    """East for 40 km, a fix each 5 min."""
    t = np.arange(0.0, 40_000.0 / speed_mps, 300.0)
    e, n = t * speed_mps + rng.normal(0.0, 20.0, len(t)), rng.normal(0.0, 20.0, len(t))
    return np.c_[begin_s + t, [PLANE.geodetic(x, y) for x, y in zip(e, n, strict=True)]]


def fleet(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"v{k:03d}": sailing(k * 5400.0, rng.uniform(4.0, 6.0), rng) for k in range(n)}


def built(tracks: dict[str, np.ndarray]) -> arch.Past:
    names = sorted(tracks)
    number = np.concatenate([np.full(len(tracks[n]), k) for k, n in enumerate(names)]) if names else np.zeros(0, dtype=int)
    rows = np.concatenate([tracks[n] for n in names]) if names else np.zeros((0, 3))
    return arch.build(names, number, rows[:, 0], rows[:, 1], rows[:, 2])


def asked(rows: np.ndarray) -> Track:
    return Track("asked", rows[:, 0], rows[:, 1], rows[:, 2])


def lying(seed: int, swing_m: float, begin_s: float = 0.0) -> np.ndarray:
    """A day in one place, at a quay or swinging at anchor, at one of twenty places far apart."""
    rng = np.random.default_rng(seed)
    t = np.arange(0.0, DAY_S / 2, 300.0)
    e, n = 20_000.0 * (seed % 20) + rng.normal(0.0, swing_m, len(t)), rng.normal(0.0, swing_m, len(t))
    return np.c_[begin_s + t, [PLANE.geodetic(x, y) for x, y in zip(e, n, strict=True)]]


def test_half_of_what_lies_at_a_quay_and_half_of_what_swings_at_anchor_are_held_apart():
    """One radius for both held all of the one kind and a tenth of the other; mixed, the half that they hold is luck."""
    forecaster = Forecaster(built({f"s{k:02d}": lying(k, 4.0 if k % 2 else 60.0) for k in range(20)}))
    for swing_m in (4.0, 60.0):
        held = []
        for k in range(30, 33):
            rows = lying(k, swing_m, begin_s=10 * DAY_S)
            for j in range(40, 130, 6):
                f = forecaster.forecast(asked(rows), float(rows[j, 0]), 900.0)
                assert f is not None and not f.moving and not f.rings(0.5)[1:]
                held.append(np.hypot(*PLANE.en_array(rows[j + 3, 1] - f.lat_deg + 30.0, rows[j + 3, 2] - f.lon_deg + 32.5))
                            <= f.radius_m[0.5])  # fmt: skip
        assert 0.25 < np.mean(held) < 0.8, (swing_m, np.mean(held))


def test_the_fewer_passed_like_it_the_wider():
    """Misses are measured by a ruler that is known at the question: likeness of what moves."""
    plane, state = PLANE, fut.LastSeen(0.0, 30.0, 32.5, 5.0, 0.0, 0.0)
    of = [cal.ruler(state, fut.Futures(plane, *(np.zeros(1),) * 4, np.ones(1), mass, (0.0, 0.0)))
          for mass in (0.0, 0.3, 1.4, 9.0)]  # fmt: skip
    assert of == sorted(of, reverse=True) and of[0] > 2.0 and of[2] == pytest.approx(1.0) and 0.4 < of[3] < 0.6


def test_windows_of_two_tracks_say_how_those_went():
    """Nine tenths of what two trips say is the widest of it, where many trips' is their quantile."""
    for many in (2, 8):
        c = cal.Calibration(built(fleet(many)))
        t0_s = 30 * DAY_S
        of = c.outcomes(15, True, t0_s)
        miss = of.miss_m / of.ruler
        assert len(miss) >= cal.FEWEST
        width = c.widths(900.0, True, 6.0, t0_s, 0.9).radius_m
        assert (width == pytest.approx(miss.max())) == (many == 2)


def test_a_guess_for_what_stands_for_a_moment_goes_by_its_pace_of_late():
    """A bus at a light, nothing in the archive: it was guessed to walk on; what has stood for days still is."""
    t = np.arange(0.0, 1800.0, 30.0)
    e = np.minimum(t, 1440.0) * 8.0
    bus = np.c_[t, [PLANE.geodetic(x, 0.0) for x in e]]
    days = np.arange(0.0, 5 * DAY_S, 600.0)
    lies = np.c_[days, np.full(len(days), 30.0), np.full(len(days), 32.5)]
    forecaster = Forecaster(built({}))
    at_light, moored = (forecaster.forecast(asked(rows), float(rows[-1, 0]), 1200.0) for rows in (bus, lies))
    assert at_light is not None and moored is not None and not at_light.moving and not moored.moving
    assert at_light.radius_m[0.9] > 6.0 * 1200.0 and at_light.radius_m[0.5] > 2.0 * 1200.0
    assert moored.radius_m[0.9] == pytest.approx(0.7 * 0.514444 * 1200.0)


def test_a_back_test_is_of_the_widths_that_are_given():
    """Half a fleet sways by 4 m, half by 60 m: discs by the ruler hold half of both kinds, plain ones all and nothing."""
    c = cal.Calibration(built({f"s{k:02d}": lying(k, 4.0 if k % 2 else 60.0) for k in range(20)}))
    t0_s = 30 * DAY_S
    found = bt.backtest(c, 15, False, t0_s, (0.2, 0.5, 0.9), drawn=True)
    assert found is not None and sorted(found.discs) == [0.2, 0.5, 0.9] and sorted(found.regions) == [0.5, 0.9]
    assert 0.4 < found.discs[0.5] < 0.6 and found.regions[0.5] == pytest.approx(found.discs[0.5], abs=0.1)
    assert 0.8 < found.discs[0.9] <= 1.0
    # what is judged is what is told: the same outcomes asked as a question, within the disc that comes of them
    of = found.outcomes
    told = c.widths(900.0, False, 0.0, t0_s, 0.5, 1.0).radius_m
    plain = cal.quantile(of.miss_m, of.weight, 0.5)
    by = np.array([told * r for r in of.ruler])
    steady = np.array([int(c.past.name(int(k))[1:]) % 2 == 1 for k in of.track])
    for kind in (steady, ~steady):
        assert 0.3 < np.mean((of.miss_m <= np.maximum(by, 3.0))[kind]) < 0.75
    assert np.mean((of.miss_m <= plain)[steady]) > 0.9 and np.mean((of.miss_m <= plain)[~steady]) < 0.15


def test_no_track_judges_itself():
    """One track alone is judged by nothing; the widths of a fold are those of the others."""
    rng = np.random.default_rng(2)
    long = np.concatenate([sailing(k * 20_000.0, 5.0, rng)[:60] for k in range(8)])
    c = cal.Calibration(built({"only": long}))
    found = bt.backtest(c, 15, True, 30 * DAY_S)
    assert found is None or (found.discs == {} and found.regions == {})
    # of eleven that go alike and one that does as it likes that one is missed, though its own outcomes would hold it
    fleet_of = fleet(11)
    odd = sailing(0.0, 5.0, rng)
    odd[:, 1] += 0.05 * np.sin(np.arange(len(odd)) / 2.0)
    c = cal.Calibration(built(fleet_of | {"w": odd}))
    of = c.outcomes(15, True, 30 * DAY_S)
    mine = of.track == c.past.number_of("w")
    assert mine.any() and not mine.all()
    others = cal.enough(of.some(~mine), None, True, 0.9)
    assert np.mean([m <= others.radius_m(r, 0.9) for m, r in zip(of.miss_m[mine], of.ruler[mine], strict=True)]) < 0.5


def test_drift_is_told_of_what_widths_allow_too():
    """Late answers that miss as before in metres, though their likeness says that they should miss a third of it."""
    n = 400
    rng = np.random.default_rng(3)
    miss = rng.exponential(100.0, n)
    ruler = np.where(np.arange(n) < 300, 1.0, 0.3)
    of = cal.Outcomes(np.arange(n), np.arange(n) % 40, np.arange(n) * 60.0, miss, np.zeros(n), ruler, np.ones(n))
    found = bt.lately(of, True)
    assert found is not None and not found.missed.changed and found.allowed.changed and found.changed
    assert found.held[0.9] < 0.7 and bt.lately(of.some(np.arange(10)), True) is None
    same = bt.lately(of.some(np.arange(300)), True)
    assert same is not None and not same.changed and 0.8 < same.held[0.9] <= 1.0


def on_sphere_m2(rings: list[list[list[tuple[float, float]]]]) -> float:
    """The area of polygons on the mean sphere, their edges straight in degrees (by Green: the integral of sin lat over lon)."""
    total = 0.0
    for polygon in rings:
        for ring in polygon:
            lon, lat = np.radians(np.array(ring)).T
            share = np.linspace(0.0, 1.0, 33)[:, None]
            up = np.sin(lat[:-1] + share * np.diff(lat))
            total -= float((np.diff(lon) * ((up[:-1] + up[1:]) / 2.0).mean(axis=0)).sum())
    return total * 6_371_008.8**2


@pytest.mark.parametrize("lat_deg", [89.5, 89.2, -89.5, 70.0, 0.0, -30.0])
@pytest.mark.parametrize("lon_deg", [12.0, 179.99])
def test_the_area_that_is_told_is_that_of_the_rings(lat_deg, lon_deg):
    """Half a degree off a pole a parallel shrinks to nothing within a region: in the plane it was half as large again."""
    about = Plane(lat_deg=lat_deg, lon_deg=lon_deg)
    e, n = np.array([6000.0, 9000.0, -4000.0]), np.array([8000.0, 20_000.0, -15_000.0])
    f = fut.Futures(about, e, n, np.array([3.0, 1.0, -2.0]), np.array([4.0, 5.0, -4.0]), np.array([0.5, 0.3, 0.2]), 2.0,
                    (1000.0, 2000.0))  # fmt: skip
    b = regions.bells(f, 5.0, 3600.0)
    state = fut.LastSeen(0.0, lat_deg, lon_deg, 5.0, 3.0, 4.0)
    for odd in (16.0, 19.0, None):
        for radius_m in (3000.0, 20_000.0, 45_000.0):
            told, area = where.given(state, f, b, odd, radius_m, 0.5)
            point = about.geodetic(*f.point)
            cap = where._cap(f, b, told, radius_m)
            if cap is not None:
                assert abs(lat_deg) > 89.0
                continue
            answer = where.Forecast(*point, {0.5: radius_m}, {0.5: area}, True, 3600.0, 2.0, 100, f, b, {0.5: told},
                                    {0.5: None}, False)  # fmt: skip
            assert on_sphere_m2(answer.rings(0.5)) == pytest.approx(area, rel=0.02), (odd, radius_m)


def test_what_has_just_been_seen_to_stand_may_drive_off_and_what_has_long_stood_stays():
    """Of a bus at its terminal, of which nothing was known, nine tenths were 430 m in 20 min: one in three were inside."""
    minute = 60.0
    for level, out_m in ((0.5, 3_000.0), (0.9, 5_400.0)):
        guess = [cal.guess_m(20 * minute, False, 0.0, level, stood) for stood in (0.0, minute, 60 * minute, 7200 * minute)]
        assert guess == sorted(guess, reverse=True), "the longer it has stood, the nearer"
        assert 0.8 * out_m < guess[1] < out_m
        assert guess[3] == cal.guess_m(20 * minute, False, 0.0, level) < 500.0, "after five days a walk"
    assert cal.guess_m(20 * minute, False, 0.0, 0.5, 30 * minute) < 500.0, "likelier than not it stays"
