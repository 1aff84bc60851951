"""Where a scan looks: the windows of a scene, the samples it is fitted on, and the outline of what was judged.

Sizes are in pixels of the scene; an ``Area`` is (r0, c0, r1, c1), half open.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from birddog.geo import LocalFrame
from imagery import detector as contract
from imagery.scene import Reader, Scene, SceneError
from imagery.where import Where

#: What the windows of all threads together may take, beside libraries and GDAL's cache.
WINDOW_BYTES = 560_000_000
#: A detector is fitted on the whole scene up to this many pixels (and values in all bands), beyond on windows spread
#: over it until about this much is seen.
SAMPLE_PX = 4_000_000
SAMPLE_VALUES = 12_000_000
SAMPLE_SIDE = 512
#: The outline of what was judged is drawn on cells of this size.
CELL_PX = 64

Area = tuple[int, int, int, int]
"""(r0, c0, r1, c1) in scene pixels, half open."""


class Source:
    """The planes that a detector wants, from one handle on each scene."""

    def __init__(self, scene: Scene, before: Scene | None, kernel: Any, bands: tuple[int, ...] = (),
                 where: Where | None = None):
        grey = kernel.BANDS == "grey"
        self.planes = planes_of(scene, kernel, bands)
        self._where = where
        self._readers: list[Reader] = []
        try:
            for one in [scene] if before is None else [before, scene]:
                self._readers.append(Reader(one) if grey else Reader(one, bands or one.data_bands))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the handles back."""
        for reader in self._readers:
            reader.close()

    def read(self, area: Area) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels, ``(h, w)`` or ``(band, h, w)`` as the detector wants them, and their mask (None = all valid)."""
        r0, c0, r1, c1 = area
        parts = [reader.read(c0, r0, c1 - c0, r1 - r0) for reader in self._readers]
        masks = [valid for _, valid in parts if valid is not None]
        x = parts[0][0] if len(parts) == 1 else np.concatenate([x for x, _ in parts])
        if self._where is not None and (visible := self._where.visible(area)) is not None:
            masks.append(visible)
            x = np.where(visible, x, np.float32(0.0))
        valid = masks[0] if masks else None
        for mask in masks[1:]:
            valid = valid & mask
        return x, valid


def planes_of(scene: Scene, kernel: Any, bands: tuple[int, ...] = ()) -> int:
    """How many planes the detector is given."""
    return 1 if kernel.BANDS == "grey" else len(bands or scene.data_bands) * (2 if kernel.BANDS == "pair" else 1)


def same_ground(before: Scene, after: Scene) -> None:
    """Raises SceneError where the two do not have the same pixels."""
    if (before.width, before.height, before.data_bands) != (after.width, after.height, after.data_bands):
        raise SceneError(f"is {before.width} x {before.height} px with {before.bands} bands, the later scene {after.width} x "
                         f"{after.height} with {after.bands}: bring them onto one grid", file=before.path)
    if (before.placing is None) != (after.placing is None):
        raise SceneError("of the two scenes only one says where it lies", file=before.path)
    if before.placing and after.placing:
        w, h = after.width, after.height
        col, row = [0.0, w, 0.0, w, w / 2.0], [0.0, 0.0, h, h, h / 2.0]
        step = after.placing.pixel_en_m(col[4], row[4])
        lon, lat = after.placing.lonlat(col, row)
        apart = [math.inf] * 5
        if step is not None and np.isfinite(lon).all():
            # in metres: degrees jump on the date line and shrink towards the poles
            frames = [LocalFrame(lat_deg=float(a), lon_deg=float(o)) for o, a in zip(lon, lat, strict=True)]
            there = zip(frames, *before.placing.lonlat(col, row), strict=True)
            apart = [math.hypot(*frame.en(lat_deg=float(a), lon_deg=float(o))) for frame, o, a in there]
        if step is None or not max(apart) <= 0.5 * float(np.hypot(*step).min()):
            raise SceneError("does not lie upon the later scene, pixel for pixel: bring them onto one grid", file=before.path)


def side_of(tile: int, scene: Scene, kernel: Any, workers: int, scores: bool, bands: tuple[int, ...] = ()) -> int:
    """The core's side that is used: the tile asked for, as far as the windows of all threads fit the budget."""
    planes = planes_of(scene, kernel, bands)
    each = 4 * planes * (1 if kernel.BANDS == "grey" else 3) + 8 + (12 if scores else 0)
    most = int(math.sqrt(WINDOW_BYTES / workers / each)) - 3 * kernel.HALO_PX
    return max(64, min(-(-tile // 64) * 64, most // 64 * 64))


def samples(scene: Scene, source: Source, kernel: Any) -> list[contract.Sample]:
    """Windows to fit on; which ones depends on the scene's size and validity alone."""
    budget = min(SAMPLE_PX, SAMPLE_VALUES // source.planes)
    if scene.width * scene.height <= 1.5 * budget:
        x, valid = source.read((0, 0, scene.height, scene.width))
        return [contract.Sample(x, valid, (slice(None), slice(None)))]
    across, down = math.ceil(scene.width / SAMPLE_SIDE), math.ceil(scene.height / SAMPLE_SIDE)
    out, taken, seen = [], set(), 0
    tries = 4 * math.ceil(budget / SAMPLE_SIDE**2)
    for k in range(tries):
        # the R2 sequence spreads any number of windows evenly
        at = int((0.5 + k * 0.5698402909980532) % 1.0 * down), int((0.5 + k * 0.7548776662466927) % 1.0 * across)
        if at in taken:
            continue
        taken.add(at)
        r0, c0 = at[0] * SAMPLE_SIDE, at[1] * SAMPLE_SIDE
        r1, c1 = min(r0 + SAMPLE_SIDE, scene.height), min(c0 + SAMPLE_SIDE, scene.width)
        x, valid = source.read((r0, c0, r1, c1))
        good = x.shape[-1] * x.shape[-2] if valid is None else int(valid.sum())
        if good < SAMPLE_SIDE**2 // 16:
            continue
        halo = kernel.HALO_PX
        inner = (slice(halo if r0 > 0 else 0, None if r1 == scene.height else SAMPLE_SIDE - halo),
                 slice(halo if c0 > 0 else 0, None if c1 == scene.width else SAMPLE_SIDE - halo))
        out.append(contract.Sample(x, valid, inner))
        seen += good
        if seen >= budget:
            break
    return out


def core_size(side: int) -> tuple[int, int]:
    """(height, width) of a core: side² pixels, four times as wide as high, on the 64 px grid."""
    return max(64, side // 2 // 64 * 64), -(-2 * side // 64) * 64


def runs(scene: Scene, side: int, workers: int) -> list[list[Area]]:
    """The cores, in runs down the scene: a run has one handle, and its cache holds the halo of the window below."""
    high, wide = core_size(side)
    wide = min(wide, -(-scene.width // 64) * 64)
    columns = [[(r, c, min(r + high, scene.height), min(c + wide, scene.width)) for r in range(0, scene.height, high)]
               for c in range(0, scene.width, wide)]
    if scene.whole:
        return [[core for column in columns for core in column]]
    pieces = math.ceil(workers / len(columns))
    length = math.ceil(len(columns[0]) / pieces)
    return [column[i : i + length] for column in columns for i in range(0, len(column), length)]


def judged_corners(core: Area, judged: np.ndarray | None) -> tuple[tuple[int, int], ...]:
    """Corners (col, row) of what could be judged in a core: in each row of cells, the outermost with half their pixels."""
    r0, c0, r1, c1 = core
    if judged is None:
        return ((c0, r0), (c1, r0), (c0, r1), (c1, r1))
    out = []
    for r in range(0, r1 - r0, CELL_PX):
        height = min(CELL_PX, r1 - r0 - r)
        share = np.add.reduceat(judged[r : r + CELL_PX].sum(axis=0), np.arange(0, c1 - c0, CELL_PX))
        width = np.minimum(CELL_PX, c1 - c0 - np.arange(0, c1 - c0, CELL_PX))
        good = np.flatnonzero(2 * share >= width * height)
        if good.size:
            left, right = c0 + int(good[0]) * CELL_PX, min(c0 + (int(good[-1]) + 1) * CELL_PX, c1)
            out += [(c, r0 + y) for c in (left, right) for y in (r, r + height)]
    return tuple(out)


def hull(points: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Convex hull by Andrew's monotone chain; whole numbers, so that no order of the points matters."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return tuple(ordered)
    halves = []
    for way in (ordered, ordered[::-1]):
        chain: list[tuple[int, int]] = []
        for x, y in way:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        halves += chain[:-1]
    return tuple(halves)
