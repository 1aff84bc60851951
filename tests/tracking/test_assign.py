"""Gating, components and global assignment against brute force; areas that touch; anchors that move."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import contacts, fitting
from tracking.anchor import near_en, rotated, turn
from tracking.area import rings_touch
from tracking.assign import Pair, Spot, assign
from tracking.contact import Look
from tracking.contacts import step
from tracking.crowd import ahead, empty
from tracking.measurement import Measurement
from tracking.presets import ClassPreset, Presets
from tracking.step import Model, advance, placed


def possible_of(rng: random.Random) -> list[Pair]:
    """Pairs of some tracks and sightings, each worth something or less than nothing."""
    tracks, spots = rng.randrange(5), rng.randrange(5)
    every = [Pair(t, s, 1.0, rng.uniform(-3, 10)) for t in range(tracks) for s in range(spots)]
    return [pair for pair in every if rng.random() < 0.7]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_the_choice_is_the_best_there_is(seed):
    possible = possible_of(random.Random(seed))
    chosen = assign(possible)
    assert len({p.track for p in chosen}) == len({p.spot for p in chosen}) == len(chosen)
    worth = {(p.track, p.spot): p.worth for p in possible}
    best = 0.0
    for order in itertools.permutations([0, 1, 2, 3, None, None, None, None], 4):
        best = max(best, sum(worth.get((t, s), -math.inf if s is not None else 0.0) for t, s in enumerate(order)))
    assert sum(p.worth for p in chosen) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("lat0, lon0", [(51.0, -1.0), (88.9, 20.0), (0.0, 179.99), (-70.0, -179.99)])
def test_the_gate_by_place_loses_no_pair(lat0, lon0):
    """The tree of sightings and the batch in NumPy against the same in scalars, pair by pair; also near the pole and the
    antimeridian."""
    rng, home = random.Random(1), LocalFrame(lat_deg=lat0, lon_deg=lon0)

    def spots(count: int, least: float, most: float) -> list[Spot]:
        places = [home.geodetic(rng.uniform(-3000, 3000), rng.uniform(-3000, 3000)) for _ in range(count)]
        return [Spot(lat, lon, rng.uniform(least, most) ** 2, 20.0, rng.uniform(least, most) ** 2) for lat, lon in places]

    sea = Look(sensor="radar", time_ns=0, spots=spots(60, 10, 100), pd=0.9, density_per_km2=0.1)
    crowd, _ = step(empty(), sea, [], Presets())
    later = ahead(crowd.bank, 5.0)
    seen = spots(60, 10, 50)
    lat, lon = np.array([s.lat_deg for s in seen]), np.array([s.lon_deg for s in seen])
    r = np.array([((s.r_ee, s.r_en), (s.r_en, s.r_nn)) for s in seen])
    base = math.log(9.0) - math.log(1e-7)
    found = {(p.track, p.spot): p for p in contacts._gated(list(crowd.contacts), later, lat, lon, r, base, 13.8)[0]}
    want = {}
    for i, c in enumerate(crowd.contacts):
        for j, s in enumerate(seen):
            en = near_en(c.lat0_deg, c.lon0_deg, s.lat_deg, s.lon_deg)
            cos, sin = turn(s.lat_deg, s.lon_deg, c.lat0_deg, c.lon0_deg)
            nis, log = fitting.fit(later, i, en, rotated(s.r_ee, s.r_en, s.r_nn, cos, sin))
            if nis <= 13.8 and log + base > 0.0:
                want[i, j] = (nis, log + base)
    assert found.keys() == want.keys() and len(want) > 30
    for key, (nis, worth) in want.items():
        assert (found[key].nis, found[key].worth) == (pytest.approx(nis, rel=1e-6), pytest.approx(worth, rel=1e-6))


def ring(lon: float, lat: float, half: float) -> tuple:
    return ((lon - half, lat - half), (lon + half, lat - half), (lon + half, lat + half), (lon - half, lat + half),
            (lon - half, lat - half))  # fmt: skip


@pytest.mark.parametrize(
    "a, b, want",
    [
        (ring(0, 50, 1), ring(1.5, 50, 1), True),  # overlap
        (ring(0, 50, 3), ring(0, 50, 1), True),  # one inside the other
        (ring(0, 50, 1), ring(0, 50, 3), True),
        (ring(0, 50, 1), ring(5, 50, 1), False),
        (((-3, 49.9), (3, 49.9), (3, 50.1), (-3, 50.1), (-3, 49.9)), ((-0.1, 48), (0.1, 48), (0.1, 52), (-0.1, 52), (-0.1, 48)),
         True),  # a cross: no corner inside the other
        (ring(179.5, 10, 1), ((-179.9, 9.5), (-179, 9.5), (-179, 10.5), (-179.9, 10.5), (-179.9, 9.5)), True),  # antimeridian
        ((), ring(0, 50, 1), False),
    ],
)  # fmt: skip
def test_areas_that_touch(a, b, want):
    assert rings_touch(a, b) is want and rings_touch(b, a) is want


@pytest.mark.parametrize("lat", [0.0, 51.0, -51.0, 80.0])
def test_axes_turn_by_the_convergence_of_the_meridians(lat):
    c, s = turn(lat, 10.0, lat, 11.0)
    # near a place the same small step must be the same arrow in both frames
    a, b = LocalFrame(lat_deg=lat, lon_deg=10.0), LocalFrame(lat_deg=lat, lon_deg=11.0)
    at = a.en(lat_deg=lat, lon_deg=11.0)
    lat2, lon2 = b.geodetic(0.0, 100.0)
    e, n = (p - q for p, q in zip(a.en(lat_deg=lat2, lon_deg=lon2), at, strict=True))
    assert (c * e + s * n, -s * e + c * n) == pytest.approx((0.0, 100.0), abs=0.1)


def test_the_far_side_of_the_earth_is_no_place_near():
    assert near_en(50.9, -1.4, -50.9, 178.6) is None and near_en(10, 179.9, 10, -179.9) is not None


@pytest.mark.parametrize("lat0, lon0", [(51.0, -1.0), (80.0, 20.0), (0.1, 179.8), (-33.0, -179.9)])
def test_a_track_that_travels_keeps_its_speed_and_shape_over_new_anchors(lat0, lon0):
    """200 km with fixes each 10 s, over several anchors, the antimeridian and the equator."""
    model = Model(preset=ClassPreset(q=0.1), presets=Presets(engine="plain"))
    core = None
    road = LocalFrame(lat_deg=lat0, lon_deg=lon0)
    anchors, tops = set(), []
    for k in range(0, 1000):
        # a straight flight in 3-D would leave the ellipsoid: follow the parallel / meridian mix by small steps
        lat, lon = road.geodetic(140.0, 140.0)
        road = LocalFrame(lat_deg=lat, lon_deg=lon)
        m = Measurement(k * 10 * NS, "x", "fix", lat, lon, 25.0, 0.0, 25.0)
        core, verdict, _ = advance(core, m, model)
        assert verdict in ("began", "used")
        at_lat, at_lon, x = placed(core, core.x)
        anchors.add((core.lat0_deg, core.lon0_deg))
        if k > 50:
            assert math.hypot(*road.en(lat_deg=at_lat, lon_deg=at_lon)) < 1.0
            assert (x[1], x[3]) == pytest.approx((14.0, 14.0), abs=0.1)
            tops.append(x[4])
    assert len(anchors) >= 5 and max(tops) == pytest.approx(min(tops), rel=0.01)
