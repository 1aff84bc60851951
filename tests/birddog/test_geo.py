"""Geodesy against pyproj, also at 80 N, at the antimeridian and across the equator."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog import geo
from birddog.areas import ring_contains
from birddog.units import CHI2_95_2D

ORIGINS = [(0.0, 0.0), (80.0, 10.0), (51.95, 4.05), (-33.9, 179.995), (0.001, -179.999), (-80.0, -75.0)]


def topocentric(lat: float, lon: float) -> pyproj.Transformer:
    return pyproj.Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
        f"+step +proj=topocentric +ellps=WGS84 +lat_0={lat} +lon_0={lon} +h_0=0")


@pytest.mark.parametrize("lat,lon", ORIGINS)
def test_local_frame_equals_pyproj_and_comes_back(lat, lon):
    frame, judge = geo.LocalFrame(lat_deg=lat, lon_deg=lon), topocentric(lat, lon)
    for dlat in (-0.4, -0.003, 0.0, 0.2):
        for dlon in (-0.5, -0.0001, 0.0, 0.3):
            la, lo = lat + dlat, lon + dlon
            e, n = frame.en(lat_deg=la, lon_deg=lo)
            want = judge.transform(lo, la, 0.0)
            assert (e, n) == pytest.approx(want[:2], abs=1e-6)
            back = frame.geodetic(e, n)
            assert back[0] == pytest.approx(la, abs=1e-11)
            assert geo.wrap_lon(back[1] - lo) == pytest.approx(0.0, abs=1e-10)


def test_arrays_equal_scalars():
    frame = geo.LocalFrame(lat_deg=51.9, lon_deg=4.1)
    rng = np.random.default_rng(3)
    lat, lon = 51.9 + rng.uniform(-0.3, 0.3, 50), 4.1 + rng.uniform(-0.3, 0.3, 50)
    e, n = frame.en_array(lat, lon)
    back_lat, back_lon = frame.geodetic_array(e, n)
    for i in range(50):
        assert (e[i], n[i]) == pytest.approx(frame.en(lat_deg=lat[i], lon_deg=lon[i]), abs=1e-8)
    assert np.allclose(back_lat, lat, atol=1e-11) and np.allclose(back_lon, lon, atol=1e-11)


def test_beyond_the_horizon_is_said():
    frame = geo.LocalFrame(lat_deg=0.0, lon_deg=0.0)
    with pytest.raises(ValueError, match="beyond the horizon"):
        frame.geodetic(7e6, 0.0)
    assert math.isnan(frame.geodetic_array(np.array([7e6]), np.array([0.0]))[0][0])


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
def test_round_trip_from_metres(lat, lon, e, n):
    frame = geo.LocalFrame(lat_deg=lat, lon_deg=lon)
    la, lo = frame.geodetic(e, n)
    assert frame.en(lat_deg=la, lon_deg=lo) == pytest.approx((e, n), abs=1e-6)


def test_distance_against_the_geodesic():
    judge = pyproj.Geod(ellps="WGS84")
    for a, b in [((51.0, 4.0), (51.1, 4.2)), ((0.0, 179.9), (0.0, -179.9)), ((80.0, 0.0), (80.0, 1.0))]:
        want = judge.inv(a[1], a[0], b[1], b[0])[2]
        got = geo.distance_m(lat1_deg=a[0], lon1_deg=a[1], lat2_deg=b[0], lon2_deg=b[1])
        assert got == pytest.approx(want, rel=0.006)


def test_radii_against_pyproj():
    judge = pyproj.Geod(ellps="WGS84")
    for lat in (0.0, 45.0, 80.0):
        meridian, prime = geo.radii_m(lat)
        step = 0.001
        assert judge.inv(0, lat - step, 0, lat + step)[2] == pytest.approx(meridian * math.radians(2 * step), rel=1e-6)
        across = prime * math.cos(math.radians(lat)) * math.radians(2 * step)
        assert judge.inv(-step, lat, step, lat)[2] == pytest.approx(across, rel=1e-6)


@pytest.mark.parametrize("p,want", [
    ((4.0, 0.0, 1.0), (2.0, 1.0, 90.0)), ((1.0, 0.0, 4.0), (2.0, 1.0, 0.0)),
    ((2.0, 1.0, 2.0), (math.sqrt(3), 1.0, 45.0)), ((2.0, -1.0, 2.0), (math.sqrt(3), 1.0, 135.0)),
])
def test_ellipse_by_hand(p, want):
    assert geo.ellipse(*p, 1.0) == pytest.approx(want)


def test_ellipse_holds_95_percent():
    rng = np.random.default_rng(1)
    p = np.array([[30.0, 12.0], [12.0, 10.0]])
    points = rng.multivariate_normal([0, 0], p, 20_000)
    major, minor, azimuth = geo.ellipse(30.0, 12.0, 10.0, CHI2_95_2D)
    a = math.radians(azimuth)
    along = points @ [math.sin(a), math.cos(a)]
    across = points @ [math.cos(a), -math.sin(a)]
    share = np.mean((along / major) ** 2 + (across / minor) ** 2 <= 1.0)
    assert share == pytest.approx(0.95, abs=0.005)


def test_ring_across_the_antimeridian():
    ring = ((179.0, -1.0), (-179.0, -1.0), (-179.0, 1.0), (179.0, 1.0), (179.0, -1.0))
    assert ring_contains(ring, lat_deg=0.0, lon_deg=179.9)
    assert ring_contains(ring, lat_deg=0.0, lon_deg=-179.9)
    assert not ring_contains(ring, lat_deg=0.0, lon_deg=0.0)
    assert not ring_contains(ring, lat_deg=2.0, lon_deg=179.9)
