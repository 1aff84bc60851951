"""Intercept: places ranked by probability, held against what really came; the next best look by what it is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from birddog.errors import UsageError
from birddog.geo import distance_m
from tracking.forecast import intercept
from tracking.forecast.arrival import Arrivals, Place
from tracking.forecast.intercept import Unit, gains, meetings
from tracking.forecast.looks import LOOKS, LookKind, LookSettings, look_kinds
from tracking.forecast.past import build
from tracking.forecast.where import Forecaster, Track

T0 = 1_790_000_000.0
LAT, LON = 30.0, 32.0
NORTH, EAST = 1 / 111_195.0, 1 / (111_195.0 * math.cos(math.radians(LAT)))
FORK_M = 30_000.0


def way(rng, begin_s, north, step_s=120.0):
    """Along a lane to a fork, then north-east or south-east; at its own pace, with a little noise: (t, lat, lon) columns."""
    speed = rng.uniform(5.0, 7.0)
    t = np.arange(0.0, 14_400.0, step_s)
    way_m = speed * t
    beyond = np.maximum(way_m - FORK_M, 0.0) * 0.7071
    e = np.minimum(way_m, FORK_M) + beyond
    n = (beyond if north else -beyond) + rng.normal(0, 60)
    return begin_s + t, LAT + n * NORTH + rng.normal(0, 1e-5, len(t)), LON + e * EAST


@pytest.fixture(scope="module")
def past():
    """Of sixty that went, two of three turned north."""
    rng, rows = np.random.default_rng(1), []
    for v in range(60):
        t, lat, lon = way(rng, T0 - 8 * 86_400 + 4000.0 * v, v % 3 != 0)
        rows += [(v, a, b, c) for a, b, c in zip(t, lat, lon, strict=True)]
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    return build([f"p{v}" for v in range(60)], *columns)


@pytest.fixture(scope="module")
def asked(past):
    return Forecaster(past), Arrivals(past)


def known(seed, north=True, after_s=1800.0):
    """A new one, half an hour into its way: (what is known of it at T0, where it really goes)."""
    t, lat, lon = way(np.random.default_rng(seed), T0 - after_s, north)
    some = t <= T0
    return Track("asked", t[some], lat[some], lon[some]), (t, lat, lon)


def test_places_lie_on_the_ways_that_others_went_and_the_likelier_branch_is_likelier(asked):
    track, _ = known(2)
    found = meetings(*asked, track, T0, Unit(LAT, LON + 40_000 * EAST, 15.0), radius_m=1500.0)
    assert 1 <= len(found) <= 5 and [m.probability for m in found] == sorted((m.probability for m in found), reverse=True)
    best = found[0]
    assert best.probability > 0.8 and best.reaches > 0.9 and best.used and best.s_p10_s <= best.s_p50_s <= best.s_p90_s
    assert (best.place.lon_deg - LON) / EAST < FORK_M + 4000  # before the fork both branches are one
    for one in found:
        for other in found:
            a, b = one.place, other.place
            away = distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
            assert one is other or away > 3000.0
    north, south = (Place(LAT + k * 12_000 * NORTH, LON + (FORK_M + 12_000) * EAST, 1500.0) for k in (1, -1))
    both = {m.place: m for m in meetings(*asked, track, T0, Unit(LAT, LON + 42_000 * EAST, 15.0), radius_m=1500.0,
                                         among=(north, south), n=50)}  # fmt: skip
    assert 0.5 < both[north].reaches < 0.8 and 0.2 < both[south].reaches < 0.5


def test_who_is_too_far_or_too_slow_meets_nothing_soon(asked):
    track, _ = known(3)
    fast, slow = (meetings(*asked, track, T0, Unit(LAT + 30_000 * NORTH, LON, v), radius_m=1500.0) for v in (20.0, 2.0))
    assert fast[0].probability > 0.7 and (not slow or slow[0].probability < 0.3)
    later = meetings(*asked, track, T0, Unit(LAT, LON + 30_000 * EAST, 15.0, ready_s=4 * 3600.0), radius_m=1500.0)
    assert not later or later[0].probability < 0.1
    lat, lon = LAT + 25_000 * NORTH, LON + 20_000 * EAST
    sea, road = (meetings(*asked, track, T0, Unit(lat, lon, 10.0, medium))[0] for medium in ("sea", "road"))
    assert road.probability <= sea.probability
    assert intercept.DETOUR["road"][0] > 1.0


def test_the_probability_is_how_often_it_comes_true(asked):
    """Thirty-six new ones, a unit neither quick nor slow: the mean of the best places' probabilities is what happened."""
    said, true = [], []
    rng = np.random.default_rng(9)
    for seed in range(100, 136):
        track, (t, lat, lon) = known(seed, north=bool(rng.random() < 2 / 3))
        unit = Unit(LAT + rng.uniform(5000, 40_000) * NORTH, LON + rng.uniform(0, 60_000) * EAST, rng.uniform(5.0, 10.0))
        found = meetings(*asked, track, T0, unit, radius_m=1500.0, n=2)
        for m in found[:2]:
            d = np.hypot((lat - m.place.lat_deg) / NORTH, (lon - m.place.lon_deg) / EAST)
            there = t[(d <= 1500.0) & (t >= T0)]
            takes_s, sigma_s = unit.takes(m.place)
            unit_s = T0 + rng.normal(takes_s, sigma_s)
            said.append(m.probability)
            true.append(len(there) > 0 and there[-1] + 120.0 >= unit_s)
    assert len(said) > 50 and abs(np.mean(said) - np.mean(true)) < 0.12
    low, high = (np.array(said) < 0.5), (np.array(said) > 0.8)
    assert np.mean(np.array(true)[high]) > 0.75 and (not low.any() or np.mean(np.array(true)[low]) < 0.6)


def test_what_stands_is_met_where_it_stands_and_nobody_is_met_before_the_first_fix(asked, past):
    t = T0 - 7200.0 + 120.0 * np.arange(61)
    track = Track("still", t, np.full(61, LAT + 0.2), np.full(61, LON + 0.2))
    (one,) = meetings(*asked, track, T0, Unit(LAT, LON, 10.0), radius_m=500.0)
    assert (one.place.lat_deg, one.place.lon_deg) == (LAT + 0.2, LON + 0.2) and one.probability > 0.9
    assert meetings(*asked, track, T0 - 90_000.0, Unit(LAT, LON, 10.0)) == []
    nobody = build([], *[np.zeros(0)] * 4)
    straight = meetings(Forecaster(nobody), Arrivals(nobody), known(4)[0], T0, Unit(LAT, LON + 30_000 * EAST, 15.0))
    assert straight and not straight[0].used and straight[0].outcomes == 0


def test_nothing_after_t0_is_looked_at(asked):
    track, (t, lat, lon) = known(5)
    unit = Unit(LAT, LON + 30_000 * EAST, 10.0)
    later = Track("asked", t, lat, lon)
    assert meetings(*asked, later, T0, unit) == meetings(*asked, track, T0, unit)
    assert gains(asked[0], later, T0, 3600.0) == gains(asked[0], track, T0, 3600.0)


def test_looks_are_ranked_by_what_they_take_off_the_region_per_cost(asked):
    t, lat, lon = known(6)[1]
    some = t <= T0 - 1500.0  # silent for 25 minutes
    track = Track("asked", t[some], lat[some], lon[some])
    found = gains(asked[0], track, T0, 5400.0)
    assert {g.look.name for g in found} == {"wake_tag", "task_tile", "ask_partner"}
    assert [g.per_cost_km2 for g in found] == sorted((g.per_cost_km2 for g in found), reverse=True)
    assert all(0.0 <= g.after_km2 <= g.before_km2 and 0.0 <= g.told <= 1.0 for g in found)
    cheap, dear = (gains(asked[0], track, T0, 5400.0, (LookKind("x", 120.0, 0.8, 10.0, cost),))[0] for cost in (1.0, 4.0))
    assert cheap.per_cost_km2 == pytest.approx(4.0 * dear.per_cost_km2) and cheap.after_km2 < cheap.before_km2
    tiles = [LookKind("t", 120.0, 1.0, 10.0, 1.0, side) for side in (500.0, 50_000.0)]
    small, large = (gains(asked[0], track, T0, 5400.0, (tile,))[0] for tile in tiles)
    assert small.told < large.told and large.told > 0.9
    assert gains(asked[0], track, T0, 60.0, LOOKS) == []  # all of them come too late
    assert gains(asked[0], track, T0 - 90_000.0, 3600.0) == []


def test_what_a_look_costs_and_tells_is_said_in_the_configuration():
    said = look_kinds({"task_tile": LookSettings(cost=50.0, side_m=2000.0), "wake_tag": LookSettings(answers=0.01)})
    assert [look.name for look in said] == [look.name for look in LOOKS]
    wake, tile, partner = said
    assert (tile.cost, tile.side_m, tile.answers) == (50.0, 2000.0, LOOKS[1].answers) and wake.answers == 0.01
    assert partner == LOOKS[2] and look_kinds({}) == LOOKS


@pytest.mark.parametrize("name, settings, field", [
    ("satellite", LookSettings(), "forecast.looks.satellite"),
    ("wake_tag", LookSettings(cost=0.0), "forecast.looks.wake_tag.cost"),
    ("wake_tag", LookSettings(answers=1.1), "forecast.looks.wake_tag.answers"),
    ("wake_tag", LookSettings(lead_s=-1.0), "forecast.looks.wake_tag.lead_s"),
    ("ask_partner", LookSettings(sigma_m=float("nan")), "forecast.looks.ask_partner.sigma_m"),
    ("ask_partner", LookSettings(side_m=10.0), "forecast.looks.ask_partner.side_m"),
])  # fmt: skip
def test_a_look_that_cannot_be_is_named(name, settings, field):
    with pytest.raises(UsageError) as caught:
        look_kinds({name: settings})
    assert caught.value.field == field
