"""The SAR scenes: speckle as it should be, ships where the truth has them, read by rasterio and placed by pyproj."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
import rasterio
from scipy import ndimage

from birddog.units import NS
from sim import scenario as scenarios
from sim import scenes
from sim.run import play


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    play("harbour", [str(folder)], seed=7, for_s=30.0)
    return sorted((folder / "scenes").glob("*.tif"))[0]


def test_a_scene_says_where_and_when(scene):
    s = scenarios.load("harbour")
    with rasterio.open(scene) as tif:
        assert (tif.crs.to_epsg(), tif.count, tif.dtypes[0], tif.shape) == (32631, 1, "uint16", (512, 512))
        assert tif.res == (10.0, 10.0) and tif.tags()["TIFFTAG_DATETIME"] == "2026:03:02 06:00:15"
        west, south, east, north = tif.bounds
    lat, lon = scenarios.build(s, 7).frame.geodetic(*s.camera[0].at)
    x, y = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(lon, lat)
    assert abs((west + east) / 2 - x) <= 10 and abs((south + north) / 2 - y) <= 10
    assert scene.name == "sar-demo_20260302T060015Z.tif"


def test_the_ships_shine_where_the_truth_has_them_and_nothing_else_does(scene):
    s = scenarios.load("harbour")
    world = scenarios.build(s, 7)
    with rasterio.open(scene) as tif:
        pixels, transform, bounds = tif.read(1).astype(float), tif.transform, tif.bounds
    bright, n = ndimage.label(pixels > 5 * np.median(pixels))
    found = [transform @ (c + 0.5, r + 0.5) for r, c in ndimage.center_of_mass(bright > 0, bright, range(1, n + 1))]
    to_utm = pyproj.Transformer.from_crs(4326, 32631, always_xy=True)
    ships = {}
    for name, thing in world.things.items():
        state = world.state(name, 15.0)
        x, y = to_utm.transform(state.lon_deg, state.lat_deg)
        if thing.klass == "vessel" and bounds.left < x < bounds.right and bounds.bottom < y < bounds.top:
            ships[name] = (x, y, thing.length_m, state)
    assert {"meridian", "borealis", "dark-1"} <= set(ships)
    for name, (x, y, length_m, _) in ships.items():
        near = [f for f in found if math.dist(f, (x, y)) < max(length_m / 2, 30.0)]
        assert near, f"{name} is not seen"
        if length_m > 60:
            assert min(math.dist(f, (x, y)) for f in near) < 15.0
    for f in found:
        assert any(math.dist(f, (x, y)) < length_m / 2 + 30.0 for x, y, length_m, _ in ships.values()), f"a false ship at {f}"


def test_a_hull_lies_along_its_course(scene):
    s = scenarios.load("harbour")
    world = scenarios.build(s, 7)
    with rasterio.open(scene) as tif:
        pixels, transform = tif.read(1).astype(float), tif.transform
    state = world.state("meridian", 15.0)
    x, y = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(state.lon_deg, state.lat_deg)
    c, r = ~transform @ (x, y)
    part = pixels[int(r) - 12 : int(r) + 13, int(c) - 12 : int(c) + 13] > 5 * np.median(pixels)
    rows, cols = np.nonzero(part)
    values, axes = np.linalg.eigh(np.cov(np.vstack([cols, -rows])))
    azimuth = math.degrees(math.atan2(axes[0, 1], axes[1, 1])) % 180.0
    off = abs((azimuth - state.course_deg % 180.0 + 90.0) % 180.0 - 90.0)
    assert off < 8.0  # within a few pixels of a 14 × 2 pixel hull; the grid's own convergence is under 1°
    assert 10 <= 4 * math.sqrt(values[1]) / 1.15 <= 18  # 4 sigma of a uniform bar is 1.15 lengths: 140 m is 14 pixels


def test_speckle_is_gamma_with_the_asked_looks():
    s = scenarios.load("harbour")
    world = scenarios.build(s, 7)
    grid = scenes.Grid(epsg=32631, west_m=540_000.0, north_m=5_780_000.0, pixel_m=10.0, size_px=256)  # empty sea
    for looks in (1, 4, 16):
        pixels = scenes.amplitude(world, grid, 0.0, looks=looks, ship_db=18.0, rng=np.random.default_rng(looks)).astype(float)
        part = pixels[:40, :40] ** 2  # small: the swell hardly changes there
        assert part.mean() ** 2 / part.var() == pytest.approx(looks, rel=0.2)


def test_the_same_draw_gives_the_same_bytes():
    s = scenarios.load("harbour")
    made = []
    for _ in range(2):
        world = scenarios.build(s, 7)
        grid = scenes.grid_about(lat_deg=51.96, lon_deg=3.98, size_px=128, pixel_m=10.0)
        pixels = scenes.amplitude(world, grid, 3.0, looks=4, ship_db=18.0, rng=np.random.default_rng(2))
        made.append(scenes.geotiff(pixels, grid, 1_772_431_200 * NS, "sar"))
    assert made[0] == made[1]


def test_zones():
    assert scenes.utm_epsg(lat_deg=51.9, lon_deg=4.0) == 32631
    assert scenes.utm_epsg(lat_deg=-33.0, lon_deg=179.99) == 32760
    assert scenes.utm_epsg(lat_deg=0.0, lon_deg=-180.0) == 32601
