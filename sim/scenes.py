"""Synthetic SAR scenes: speckled sea with the ships where the truth has them, as georeferenced GeoTIFFs.

The intensity of the sea is gamma distributed with ``looks`` looks about a mean that changes slowly over the scene
(the wind); a ship is a rotated box of length × beam, ``ship_db`` decibels above the sea, with speckle of its own and
blurred by the sensor's resolution.  What is stored is the amplitude (square root of the intensity) as uint16, one
band, north up in UTM.  The acquisition time stands in TIFFTAG_DATETIME and in the file's name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from birddog.units import NS, iso_from_ns
from sim.world import World

if TYPE_CHECKING:
    import numpy as np

#: Mean amplitude of the sea, in stored units.
SEA = 120.0


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scene lies: the UTM zone's EPSG code, the north-west corner and the pixel, metres."""

    epsg: int
    west_m: float
    north_m: float
    pixel_m: float
    size_px: int


def utm_epsg(*, lat_deg: float, lon_deg: float) -> int:
    """The EPSG code of the UTM zone of a position (WGS 84)."""
    zone = int((lon_deg + 180.0) // 6.0) % 60 + 1
    return (32600 if lat_deg >= 0.0 else 32700) + zone


def grid_about(*, lat_deg: float, lon_deg: float, size_px: int, pixel_m: float) -> Grid:
    """The grid of a square scene about a position, its corner on a whole pixel."""
    from rasterio.warp import transform

    epsg = utm_epsg(lat_deg=lat_deg, lon_deg=lon_deg)
    (x,), (y,) = transform("EPSG:4326", f"EPSG:{epsg}", [lon_deg], [lat_deg])[:2]
    half = size_px * pixel_m / 2.0
    west, north = math.floor((x - half) / pixel_m) * pixel_m, math.ceil((y + half) / pixel_m) * pixel_m
    return Grid(epsg=epsg, west_m=west, north_m=north, pixel_m=pixel_m, size_px=size_px)


def amplitude(world: World, grid: Grid, t_s: float, *, looks: int, ship_db: float, rng: np.random.Generator) -> np.ndarray:
    """The scene as (size, size) uint16, row 0 in the north."""
    import numpy as np

    n = grid.size_px
    row, col = np.mgrid[0:n, 0:n].astype(np.float64) / n
    phase = rng.uniform(0.0, 2.0 * math.pi, size=4)
    swell = 1.0 + 0.15 * np.sin(2 * math.pi * col + phase[0]) * np.cos(2 * math.pi * row + phase[1])
    swell += 0.05 * np.sin(6 * math.pi * (row + 0.3 * col) + phase[2])
    intensity = rng.gamma(looks, 1.0 / looks, size=(n, n)) * swell
    ships = np.zeros((n, n))
    for name in world.visible(t_s):
        thing = world.things[name]
        if thing.klass != "vessel":
            continue
        corners, sides = _hull(world, name, t_s, grid)
        _draw(ships, corners, sides)
    # the ships' own speckle, weaker than the sea's
    intensity += ships * 10.0 ** (ship_db / 10.0) * rng.gamma(4.0 * looks, 1.0 / (4.0 * looks), size=(n, n))
    image: np.ndarray = np.clip(np.rint(SEA * np.sqrt(intensity)), 1, 65535).astype(np.uint16)
    return image


def geotiff(pixels: np.ndarray, grid: Grid, time_ns: int, sensor: str) -> bytes:
    """The scene as the bytes of a GeoTIFF."""
    from rasterio import Affine
    from rasterio.io import MemoryFile

    stamp = iso_from_ns(time_ns)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=grid.size_px, height=grid.size_px, count=1, dtype="uint16", crs=f"EPSG:{grid.epsg}",
            transform=Affine(grid.pixel_m, 0.0, grid.west_m, 0.0, -grid.pixel_m, grid.north_m), tiled=True, blockxsize=256,
            blockysize=256, compress="deflate",
        ) as scene:  # fmt: skip
            scene.write(pixels, 1)
            scene.update_tags(
                TIFFTAG_DATETIME=f"{stamp[:10].replace('-', ':')} {stamp[11:19]}", ACQUISITION_TIME=stamp, SENSOR=sensor,
                TIFFTAG_IMAGEDESCRIPTION="EXERCISE: synthetic",
            )  # fmt: skip
            scene.set_band_description(1, "amplitude")
        return bytes(memory.read())


def file_name(sensor: str, time_ns: int) -> str:
    """``SENSOR_YYYYMMDDTHHMMSSZ.tif``, to the second below."""
    stamp = iso_from_ns(time_ns // NS * NS)
    return f"{sensor}_{stamp[:19].replace('-', '').replace(':', '')}Z.tif"


def _hull(world: World, name: str, t_s: float, grid: Grid) -> tuple[tuple[float, float, float, float], tuple[float, float]]:
    """((column, row) of the centre and of the bow's unit vector, (half length, half beam) in pixels)."""
    from rasterio.warp import transform

    thing, state = world.things[name], world.state(name, t_s)
    speed = max(state.speed_mps, 1e-9)
    ahead = 100.0
    lat2, lon2 = world.frame.geodetic(state.e_m + ahead * state.ve_mps / speed, state.n_m + ahead * state.vn_mps / speed)
    xs, ys = transform("EPSG:4326", f"EPSG:{grid.epsg}", [state.lon_deg, lon2], [state.lat_deg, lat2])[:2]
    dx, dy = xs[1] - xs[0], ys[1] - ys[0]
    scale = math.hypot(dx, dy) or 1.0
    centre = ((xs[0] - grid.west_m) / grid.pixel_m, (grid.north_m - ys[0]) / grid.pixel_m)
    return (*centre, dx / scale, -dy / scale), (thing.length_m / grid.pixel_m / 2.0, thing.beam_m / grid.pixel_m / 2.0)


def _draw(ships: np.ndarray, place: tuple[float, float, float, float], half: tuple[float, float]) -> None:
    """Add a ship: 1 inside its box, falling off over half a pixel of resolution outside it."""
    import numpy as np

    c, r, uc, ur = place
    reach = half[0] + half[1] + 3.0
    c0, c1 = max(math.floor(c - reach), 0), min(math.ceil(c + reach) + 1, ships.shape[1])
    r0, r1 = max(math.floor(r - reach), 0), min(math.ceil(r + reach) + 1, ships.shape[0])
    if c0 >= c1 or r0 >= r1:
        return
    rows, cols = np.mgrid[r0:r1, c0:c1] + 0.5  # the centres of the pixels
    along = np.abs((cols - c) * uc + (rows - r) * ur) - half[0]
    across = np.abs(-(cols - c) * ur + (rows - r) * uc) - half[1]
    outside = np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0))
    ships[r0:r1, c0:c1] += np.exp(-0.5 * (outside / 0.5) ** 2)
