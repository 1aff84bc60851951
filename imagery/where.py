"""Where a scene is looked at: not on land, only in an area of interest.  What is left out takes no part in anything.

The answer is drawn once a scan on cells of the scene (single pixels up to 16 Mpx, then 2 x 2, ...), before any window
is read, so that it does not depend on the tile; a cell belongs to a polygon that holds its middle (even-odd rule).
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from imagery import places
from imagery.scene import Placing, Reader, Scene, SceneError, open_scene

#: Cells are made larger until there are no more than this many.
MOST_CELLS = 16_000_000
_LATTICE = 32
_EDGE_PARTS = 64
_ROUNDS = 6


class Where(msgspec.Struct, frozen=True):
    """``hidden`` (rows, cols) of cells of ``side`` px: what is not looked at."""

    side: int
    hidden: np.ndarray

    def visible(self, area: tuple[int, int, int, int]) -> np.ndarray | None:
        """(h, w) bool of a window (r0, c0, r1, c1) in scene pixels; None where all of it is looked at."""
        r0, c0, r1, c1 = area
        part = self.hidden[r0 // self.side : -(-r1 // self.side), c0 // self.side : -(-c1 // self.side)]
        if not part.any():
            return None
        if self.side > 1:
            part = np.repeat(np.repeat(part, self.side, axis=0), self.side, axis=1)
            top, left = r0 % self.side, c0 % self.side
            part = part[top : top + r1 - r0, left : left + c1 - c0]
        return ~part


def where(scene: Scene, *, land: str | None, shore_m: float, aoi: str | None) -> Where | None:
    """What of a scene is looked at; None = all of it.

    Raises:
        SceneError: the scene does not say where it lies, or nothing of it is left.
        UsageError: a file cannot be read.
    """
    if land is None and aoi is None:
        return None
    side = 1
    while -(-scene.width // side) * -(-scene.height // side) > MOST_CELLS:
        side *= 2
    rows, cols = -(-scene.height // side), -(-scene.width // side)
    hidden = np.zeros((rows, cols), bool)
    if land is not None:
        hidden |= _land(scene, land, shore_m, side, (rows, cols))
    if aoi is not None:
        hidden |= ~_drawn(scene, places.load(aoi), side, (0, 0, rows, cols))
    if hidden.all():
        raise SceneError("is nothing but land, or lies outside the area of interest", file=scene.path)
    return Where(side, hidden)


def _land(scene: Scene, land: str, shore_m: float, side: int, shape: tuple[int, int]) -> np.ndarray:
    step = scene.placing.pixel_en_m(scene.width / 2.0, scene.height / 2.0) if scene.placing else None
    margin, cell_m = (0, 0), (0.0, 0.0)
    if shore_m > 0.0:
        if step is None:
            raise SceneError("does not say how large its pixels are, and a shore is in metres", file=scene.path)
        cell_m = float(np.hypot(*step[:, 1])) * side, float(np.hypot(*step[:, 0])) * side
        margin = min(math.ceil(shore_m / cell_m[0]), 2000), min(math.ceil(shore_m / cell_m[1]), 2000)
    area = (-margin[0], -margin[1], shape[0] + margin[0], shape[1] + margin[1])
    if land != places.BASEMAP_NAME and _is_raster(land):
        found = _sampled(scene, open_scene(land), side, area)
    else:
        found = _drawn(scene, places.load(land), side, area)
    if shore_m > 0.0 and found.any():
        from scipy import ndimage

        found = ndimage.distance_transform_edt(~found, sampling=cell_m) <= shore_m
    return found[margin[0] : margin[0] + shape[0], margin[1] : margin[1] + shape[1]]


def _is_raster(path: str) -> bool:
    try:
        with open(path, "rb") as f:
            return f.read(4)[:2] in (b"II", b"MM", b"\x89P")
    except OSError:
        return False


def _sampled(scene: Scene, mask: Scene, side: int, area: tuple[int, int, int, int]) -> np.ndarray:
    """Where a mask's raster is not 0 (and valid), at the middle of each cell."""
    r0, c0, r1, c1 = area
    same = (scene.width, scene.height) == (mask.width, mask.height)
    if mask.width * mask.height > 200_000_000:
        raise SceneError("holds more than 200 Mpx; a mask may be coarser than its scene", file=mask.path)
    with Reader(mask, (1,)) as reader:
        values, valid = reader.read(0, 0, mask.width, mask.height)
    land = values[0] != 0
    if valid is not None:
        land &= valid
    y, x = (np.arange(a, b) * side + side / 2.0 for a, b in ((r0, r1), (c0, c1)))
    if same and (mask.placing is None or scene.placing is None or mask.placing == scene.placing):
        row, col = np.meshgrid(y, x, indexing="ij")
    else:
        if mask.placing is None or scene.placing is None:
            raise SceneError("a mask without a place on Earth wants a scene of its size", file=mask.path)
        from scipy.interpolate import RegularGridInterpolator

        at_y, at_x = (np.unique(np.append(a[::_LATTICE], a[-1])) for a in (y, x))
        grid_y, grid_x = np.meshgrid(at_y, at_x, indexing="ij")
        lon, lat = scene.placing.lonlat(grid_x.ravel(), grid_y.ravel())
        back = _pixels(mask.placing, mask, lon, lat)
        want = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
        col, row = (RegularGridInterpolator((at_y, at_x), b.reshape(grid_y.shape))(want) for b in back)
    row, col = np.floor(row), np.floor(col)
    inside = (row >= 0) & (row < mask.height) & (col >= 0) & (col < mask.width)
    out = np.zeros(inside.shape, bool)
    out[inside] = land[row[inside].astype(np.intp), col[inside].astype(np.intp)]
    return out


def _drawn(scene: Scene, shapes: places.Shapes, side: int, area: tuple[int, int, int, int]) -> np.ndarray:
    """Polygons on cells (r0, c0, r1, c1), which may lie beyond the scene."""
    placing = scene.placing
    if placing is None:
        raise SceneError("does not say where it lies, so that no land and no area can be drawn on it", file=scene.path)
    r0, c0, r1, c1 = area
    out = np.zeros((r1 - r0, c1 - c0), bool)
    edge = np.linspace(0.0, 1.0, _LATTICE + 1)
    col, row = np.meshgrid((c0 + edge * (c1 - c0)) * side, (r0 + edge * (r1 - r0)) * side)
    lon, lat = placing.lonlat(np.clip(col, 0, scene.width).ravel(), np.clip(row, 0, scene.height).ravel())
    if not np.isfinite(lon).any():
        raise SceneError("leads off the Earth, so that no land and no area can be drawn on it", file=scene.path)
    middle = float(lon[np.isfinite(lon)][0])
    lon = middle + (lon - middle + 180.0) % 360.0 - 180.0
    # as far beyond as the scene itself is wide, for a shore that lies outside
    wide, high = np.nanmax(lon) - np.nanmin(lon), np.nanmax(lat) - np.nanmin(lat)
    west, south = float(np.nanmin(lon) - wide), float(np.nanmin(lat) - high)
    box = (west, south, float(np.nanmax(lon) + wide), float(np.nanmax(lat) + high))
    for rings in shapes.polygons:
        for turn in (-360.0, 0.0, 360.0):
            outer = rings[0] + (turn, 0.0)
            low, top = outer.min(axis=0), outer.max(axis=0)
            if low[0] > box[2] or top[0] < box[0] or low[1] > box[3] or top[1] < box[1]:
                continue
            toggles = np.zeros((out.shape[0], out.shape[1] + 1), np.int32)
            for ring in rings:
                cut = _cut(ring + (turn, 0.0), box)
                if len(cut) >= 3:
                    part = _dense(cut, box)
                    c, r = _pixels(placing, scene, part[:, 0], part[:, 1])
                    _toggle(toggles, c / side - c0, r / side - r0)
            out |= (np.cumsum(toggles[:, :-1], axis=1) % 2).astype(bool)
    return out


def _cut(ring: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """A ring within a box (Sutherland, Hodgman, Reentrant polygon clipping, CACM 17(1), 1974)."""
    for axis, limit, sign in ((0, box[0], 1.0), (1, box[1], 1.0), (0, box[2], -1.0), (1, box[3], -1.0)):
        if not len(ring):
            break
        after = np.roll(ring, -1, axis=0)
        d, e = sign * (ring[:, axis] - limit), sign * (after[:, axis] - limit)
        crossing = (d >= 0.0) != (e >= 0.0)
        share = np.divide(d, d - e, out=np.zeros_like(d), where=crossing)
        both = np.stack([ring, ring + (after - ring) * share[:, None]], axis=1).reshape(-1, 2)
        ring = both[np.stack([d >= 0.0, crossing], axis=1).ravel()]
    return ring


def _dense(ring: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """More points on long edges: what is straight in degrees is bent in the scene."""
    after = np.roll(ring, -1, axis=0)
    parts = np.maximum(np.ceil(np.abs(after - ring) / ((box[2] - box[0]) / _EDGE_PARTS, (box[3] - box[1]) / _EDGE_PARTS)), 1.0)
    count = parts.max(axis=1).astype(int)
    start = np.repeat(np.arange(len(ring)), count)
    share = (np.arange(start.size) - np.repeat(np.cumsum(count) - count, count)) / count[start]
    return ring[start] + (after - ring)[start] * share[:, None]


def _pixels(placing: Placing, scene: Scene, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(col, row) of places: from a plane through the scene, put right by what the placing says there."""
    edge = np.linspace(0.0, 1.0, 5)
    col, row = (a.ravel() for a in np.meshgrid(edge * scene.width, edge * scene.height))
    at_lon, at_lat = placing.lonlat(col, row)
    middle = float(at_lon[np.isfinite(at_lon)][0])
    at_lon, lon = (middle + (o - middle + 180.0) % 360.0 - 180.0 for o in (at_lon, lon))
    good = np.isfinite(at_lon) & np.isfinite(at_lat)
    terms = np.stack([np.ones(good.sum()), at_lon[good] - middle, at_lat[good]], axis=1)
    plane = np.linalg.lstsq(terms, np.stack([col[good], row[good]], axis=1), rcond=None)[0]
    found = np.stack([np.ones_like(lon), lon - middle, lat], axis=1) @ plane
    for _ in range(_ROUNDS):
        there_lon, there_lat = placing.lonlat(found[:, 0], found[:, 1])
        there_lon = middle + (there_lon - middle + 180.0) % 360.0 - 180.0
        off = np.stack([lon - there_lon, lat - there_lat], axis=1) @ plane[1:]
        # beyond where the placing holds the plane has to do
        found += np.where(np.isfinite(off), off, 0.0)
        if np.nanmax(np.abs(off), initial=0.0) < 1e-4:
            break
    return found[:, 0], found[:, 1]


def _toggle(toggles: np.ndarray, col: np.ndarray, row: np.ndarray) -> None:
    """Marks, in each row of cells, the first cell whose middle lies beyond each crossing of a ring."""
    rows, cols = toggles.shape[0], toggles.shape[1] - 1
    col2, row2 = np.roll(col, -1), np.roll(row, -1)
    low, high = np.minimum(row, row2), np.maximum(row, row2)
    first = np.clip(np.ceil(low - 0.5), 0, rows).astype(np.intp)
    count = np.maximum(np.clip(np.ceil(high - 0.5), 0, rows).astype(np.intp) - first, 0)
    edge = np.repeat(np.arange(col.size), count)
    r = first[edge] + np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = col[edge] + (r + 0.5 - row[edge]) * (col2[edge] - col[edge]) / (row2[edge] - row[edge])
    np.add.at(toggles, (r, np.clip(np.ceil(x - 0.5), 0, cols).astype(np.intp)), 1)
