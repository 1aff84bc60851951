"""Runs a detector over a scene of any size in bounded memory: windows with their own halo, in Dask threads.

A window's task reads core and halo itself, with a handle of its own, and gives back a small table; nothing
else goes between tasks, and Dask never holds the scene.  What a detector needs to know of the whole scene it
learns beforehand from windows on a fixed grid, and an object that goes on beyond a window is read again in a
larger one, so that flags and scores do not depend on the tile.  An object belongs to the tile that holds its first
pixel above the threshold in reading order: there is always exactly one (a centre may lie in a tile that sees
nothing of it).

Over 400 lines: window, halo, the objects cut by a border and the merge are one promise, that the tile changes no flag.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from birddog.errors import UsageError
from birddog.geo import LocalFrame
from imagery import detector as contract
from imagery import objects
from imagery.raster_out import RasterOut
from imagery.scene import Scene, SceneChanged, SceneError, open_scene, sha256_of
from imagery.settings import DEFAULT_TILE_PX
from imagery.windows import Area, Source, core_size, hull, judged_corners, runs, same_ground, samples, side_of

#: Changes whenever the same file and parameters would give other flags.
VERSION = 3
#: Objects longer than this are no ships: a coast, a pier, a bank of ice.
LONGEST_PX = 640
LONGEST_M = 600.0
#: The least size of an object where the scene's scale is not known, and where it is.
LEAST_PX = 30
LEAST_M2 = 100.0
#: Blocks larger than this, for all threads together, are read by one thread.
SHARED_BLOCK_BYTES = 100_000_000
#: More objects than this in one scene are an answer that nobody can use.
MOST_FLAGS = 200_000


class SceneFlag(msgspec.Struct, frozen=True, kw_only=True):
    """One object that a detector found; pixel coordinates as in ``imagery.scene``.

    Lengths and places in metres and degrees are None where the scene does not say where it lies;
    ``heading_deg`` is the direction of the longer axis, clockwise from north, in [0, 180).
    """

    flag_id: str
    detector: str
    pfa: float | None
    score: float
    mean_score: float
    col: float
    row: float
    bbox_px: tuple[int, int, int, int]
    pixels: int
    length_px: float
    width_px: float
    length_m: float | None
    width_m: float | None
    heading_deg: float | None
    lat_deg: float | None
    lon_deg: float | None
    truncated: bool


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found, and on what ground it says so.

    ``judged_px`` is how many pixels could be judged; ``over_px`` how many were above the threshold; ``outline`` the
    convex hull (col, row) of the 64 px cells of which half or more could be judged, empty where none could.
    """

    scene: Scene
    before: Scene | None
    sha256: str
    before_sha256: str | None
    detector: str
    pfa: float | None
    params: str
    least_px: int
    model: dict[str, Any]
    judged_px: int
    over_px: int
    outline: tuple[tuple[int, int], ...]
    flags: tuple[SceneFlag, ...]


class _Job(msgspec.Struct, frozen=True):
    """What every window's task needs."""

    scene: Scene
    before: Scene | None
    kernel: Any
    model: Any
    tile: int
    least_px: int
    longest_px: float


class _Table(msgspec.Struct):
    """What a run of windows gives back."""

    found: list[objects.Found]
    judged_px: int = 0
    over_px: int = 0
    outline: tuple[tuple[int, int], ...] = ()


def params_hash(detector: str, pfa: float | None) -> str:
    """Hash of everything beside the pixels that decides the flags."""
    said = (VERSION, detector, pfa, objects.CLOSE_PX, LEAST_PX, LEAST_M2, LONGEST_PX, LONGEST_M)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def scan(
    path: str | Path,
    *,
    detector: str = "cfar",
    pfa: float | None = None,
    before: str | Path | None = None,
    tile: int = DEFAULT_TILE_PX,
    threads: int | None = None,
    mask: str | Path | None = None,
    scores: str | Path | None = None,
) -> ScanResult:
    """Scan one scene.

    Args:
        detector: ``cfar``, ``rx`` or ``ir-mad``.
        pfa: the false-alarm rate of a pixel; None takes the detector's own.
        before: the earlier scene, for a detector of change.
        tile: a window's core holds tile² px, rounded to multiples of 64 and kept within the memory budget.
        threads: None takes at most 2.
        mask, scores: files to write; see docs/imagery.md.

    Raises:
        SceneError: a scene is unreadable, or the two do not lie upon each other; SceneChanged while it is written to.
        UsageError: a parameter is out of range, or a file cannot be written.
    """
    kernel = contract.find(detector)
    name = kernel.__name__.rsplit(".", 1)[-1].replace("_", "-")
    if (kernel.BANDS == "pair") != (before is not None):
        raise UsageError(f"{name} compares two scenes: name the earlier one" if before is None
                         else f"{name} looks at one scene only", field="--before")
    pfa = kernel.PFA if pfa is None else pfa
    if pfa is not None and not 1e-12 <= pfa <= 0.01:
        raise UsageError("wants a probability from 1e-12 to 0.01", field="--pfa")
    if not 64 <= tile <= 65_536:
        raise UsageError("wants 64 to 65536 px", field="--tile")
    files = [path] if before is None else [path, before]
    for file in (mask, scores):
        spare(file, [*files, *(f for f in (mask, scores) if f is not None and f is not file)])
    scene, earlier = open_scene(path), None if before is None else open_scene(before)
    if earlier is not None:
        same_ground(earlier, scene)
    stamps, digests = [_stamp(f) for f in files], [sha256_of(f) for f in files]
    workers = max(1, min(threads or min(2, os.cpu_count() or 1), 16))
    if scene.whole or max(s.block_bytes for s in (scene, earlier) if s is not None) * workers > SHARED_BLOCK_BYTES:
        workers = 1
    side = side_of(tile, scene, kernel, workers, scores is not None)
    quantum = 1.0 if kernel.BANDS == "grey" and np.dtype(scene.dtypes[0]).kind in "ui" else 0.0
    with Source(scene, earlier, kernel) as source:
        try:
            model = kernel.fit(samples(scene, source, kernel), pfa, quantum)
        except ValueError as error:
            raise SceneError(f"cannot be judged: {error}", file=str(path)) from error
    least, longest = _sizes(scene, kernel)
    job = _Job(scene, earlier, kernel, model, side, least, longest)
    outs: list[RasterOut] = []
    try:
        for file, dtype, nodata in ((mask, "uint8", 255), (scores, "float32", math.nan)):
            if file is not None:
                outs.append(RasterOut(file, scene, dtype=dtype, nodata=nodata, tile=core_size(side)))
        table = _run(job, workers, outs[0] if mask is not None else None, outs[-1] if scores is not None else None)
        for file, stamp in zip(files, stamps, strict=True):
            if _stamp(file) != stamp:
                raise SceneChanged("changes while it is read", file=str(file))
        for out in outs:
            out.finish()
    except BaseException:
        for out in outs:
            out.drop()
        raise
    params = params_hash(name, pfa)
    return ScanResult(
        scene=scene, before=earlier, sha256=digests[0], before_sha256=digests[1] if earlier else None, detector=name, pfa=pfa,
        params=params, least_px=least, model=model.describe(), judged_px=table.judged_px, over_px=table.over_px,
        outline=table.outline,
        flags=_flags(table.found, scene, digests[0], name, pfa, params),
    )


# --- windows --------------------------------------------------------------------------------------


def _stamp(path: str | Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise SceneChanged(f"is gone while it is read: {error.strerror}", file=str(path)) from error
    return found.st_size, found.st_mtime_ns, found.st_ino


def spare(out: str | Path | None, others: list[str | Path]) -> None:
    """Raises UsageError where a file to be written is one that is read or written otherwise: scenes may be evidence."""
    if out is None:
        return
    for other in others:
        if os.path.realpath(out) == os.path.realpath(other) or (os.path.exists(out) and os.path.exists(other)
                                                                and os.path.samefile(out, other)):
            raise UsageError(f"would be written over {other}", file=str(out))


def _sizes(scene: Scene, kernel: Any) -> tuple[int, float]:
    """(least size in px, greatest length in px) of an object, from metres where the scale is known."""
    step = scene.placing.pixel_en_m(scene.width / 2.0, scene.height / 2.0) if scene.placing else None
    if step is None:
        return LEAST_PX, LONGEST_PX
    area, finest = abs(float(np.linalg.det(step))), float(np.hypot(*step).min())
    longest = LONGEST_PX if kernel.BANDS == "pair" else min(LONGEST_PX, max(64.0, LONGEST_M / finest))
    return max(3, math.ceil(LEAST_M2 / area)), longest


def _run(job: _Job, workers: int, mask: RasterOut | None, scores: RasterOut | None) -> _Table:
    import dask

    tasks = [dask.delayed(_scan_run, pure=False)(job, run, mask, scores) for run in runs(job.scene, job.tile, workers)]
    if workers == 1:
        tables = dask.compute(*tasks, scheduler="synchronous")
    else:
        tables = dask.compute(*tasks, scheduler="threads", num_workers=workers)
    whole = _Table([])
    for table in tables:
        whole.found += table.found
        whole.judged_px += table.judged_px
        whole.over_px += table.over_px
        whole.outline = hull(whole.outline + table.outline)
    if len(whole.found) > MOST_FLAGS:
        raise SceneError(f"has more than {MOST_FLAGS} objects: ask for fewer false alarms", file=job.scene.path)
    return whole


def _scan_run(job: _Job, run: list[Area], mask: RasterOut | None, scores: RasterOut | None) -> _Table:
    """One task: a run of neighbouring windows with one handle."""
    table = _Table([])
    with Source(job.scene, job.before, job.kernel) as source:
        for core in run:
            try:
                response, origin, trusted = _look(job, source, core)
            except Exception as error:
                # a fault of ours: where it happened is half of its cure (a file's own faults name their window themselves)
                error.add_note(f"{job.scene.path}: rows {core[0]} to {core[2]}, columns {core[1]} to {core[3]}")
                raise
            inner = (slice(core[0] - origin[0], core[2] - origin[0]), slice(core[1] - origin[1], core[3] - origin[1]))
            over, judged = response.over[inner], None if response.judged is None else response.judged[inner]
            table.over_px += int(np.count_nonzero(over))
            table.judged_px += over.size if judged is None else int(np.count_nonzero(judged))
            table.outline = hull(table.outline + judged_corners(core, judged))
            if mask is not None:
                out = over.astype(np.uint8)
                if judged is not None:
                    out[~judged] = 255
                mask.write(core[0], core[1], out)
            if scores is not None:
                scores.write(core[0], core[1], response.image()[inner].astype(np.float32, copy=False))
            table.found += _objects(job, source, response, origin, trusted, core)
            if len(table.found) > MOST_FLAGS:
                raise SceneError(f"has more than {MOST_FLAGS} objects: ask for fewer false alarms", file=job.scene.path)
    return table


def _look(job: _Job, source: Source, core: Area) -> tuple[contract.Response, tuple[int, int], Area]:
    """The detector's answer on a core with its halo, the window's corner, and the area where it is to be trusted."""
    h, w, halo, blind = job.scene.height, job.scene.width, job.kernel.HALO_PX, job.kernel.BLIND_PX
    window = (max(core[0] - halo, 0), max(core[1] - halo, 0), min(core[2] + halo, h), min(core[3] + halo, w))
    trusted = (window[0] + (blind if window[0] > 0 else 0), window[1] + (blind if window[1] > 0 else 0),
               window[2] - (blind if window[2] < h else 0), window[3] - (blind if window[3] < w else 0))
    x, valid = source.read(window)
    return job.kernel.respond(x, valid, job.model), (window[0], window[1]), trusted


def _objects(job: _Job, source: Source, response: contract.Response, origin: tuple[int, int], trusted: Area,
             core: Area) -> Iterator[objects.Found]:
    """The objects that belong to this core, whole."""
    again: set[tuple[int, int]] = set()
    for found in objects.find(
        response.over, response.grown, response.at, judged=response.judged, origin=origin,
        scene=(job.scene.height, job.scene.width), trusted=trusted, core=core, least_px=job.least_px,
    ):
        whole: objects.Found | None = found
        if not found.complete:
            whole = _whole(job, source, found)
            if whole is None or whole.pixels < job.least_px or whole.first in again:
                continue
            again.add(whole.first)
            if not (core[0] <= whole.first[0] < core[2] and core[1] <= whole.first[1] < core[3]):
                continue
        if _side_px(whole.bbox) <= job.longest_px:
            yield whole


def _whole(job: _Job, source: Source, seen: objects.Found) -> objects.Found | None:
    """The object that a window cut, from windows grown until it lies inside; None if it is longer than any ship."""
    while _side_px(seen.bbox) <= job.longest_px:
        c0, r0, c1, r1 = seen.bbox
        grid = 64
        core = (max(r0 // grid - 1, 0) * grid, max(c0 // grid - 1, 0) * grid,
                min((-(-r1 // grid) + 1) * grid, job.scene.height), min((-(-c1 // grid) + 1) * grid, job.scene.width))
        response, origin, trusted = _look(job, source, core)
        larger = list(objects.find(
            response.over, response.grown, response.at, judged=response.judged, origin=origin,
            scene=(job.scene.height, job.scene.width), trusted=trusted, core=core, least_px=1, seed=seen.first,
        ))
        if not larger:
            raise AssertionError("an object vanished when it was read again")
        if larger[0].complete:
            return larger[0]
        seen = larger[0]
    return None


def _side_px(bbox: Area) -> int:
    return max(bbox[2] - bbox[0], bbox[3] - bbox[1])


# --- flags ----------------------------------------------------------------------------------------


def _flags(found: list[objects.Found], scene: Scene, digest: str, name: str, pfa: float | None, params: str
           ) -> tuple[SceneFlag, ...]:
    found = sorted(found, key=lambda o: o.first)
    col, row = np.array([o.col for o in found]), np.array([o.row for o in found])
    places = _places(scene, col, row)
    out = []
    for o, (lat, lon, step) in zip(found, places, strict=True):
        length = width = heading = None
        if step is not None:
            length, width, heading = on_the_ground(o, step)
        said = f"{digest}|{params}|{o.first}|{o.bbox}"
        out.append(SceneFlag(
            flag_id=hashlib.sha256(said.encode()).hexdigest()[:32], detector=name, pfa=pfa, score=o.score,
            mean_score=o.mean_score, col=o.col, row=o.row, bbox_px=o.bbox, pixels=o.pixels, length_px=o.length_px,
            width_px=o.width_px, length_m=length, width_m=width, heading_deg=heading, lat_deg=lat, lon_deg=lon,
            truncated=o.truncated,
        ))
    return tuple(out)


def on_the_ground(o: objects.Found, step: np.ndarray) -> tuple[float, float, float]:
    """(length_m, width_m, heading_deg) of the rectangle with an object's second moments.

    Args:
        step: metres east/north of a step in column and in row; the axes of a shape in pixels are not those on the
            ground where pixels are not square (degrees at a high latitude).
    """
    a, b = np.array(o.axis), np.array([-o.axis[1], o.axis[0]])
    moments = step @ (np.outer(a, a) * o.length_px**2 + np.outer(b, b) * o.width_px**2) @ step.T
    ee, en, nn = float(moments[0, 0]), float(moments[0, 1]), float(moments[1, 1])
    mean, spread = (ee + nn) / 2.0, math.hypot((ee - nn) / 2.0, en)
    heading = math.degrees(0.5 * math.atan2(2.0 * en, nn - ee))
    return math.sqrt(mean + spread), math.sqrt(max(mean - spread, 0.0)), round(heading % 180.0, 1) % 180.0


def _places(scene: Scene, col: np.ndarray, row: np.ndarray) -> list[tuple[float | None, float | None, np.ndarray | None]]:
    """(lat, lon, metres east/north of a step in column and row) of each pixel coordinate."""
    if scene.placing is None or not col.size:
        return [(None, None, None)] * col.size
    n = col.size
    lon, lat = scene.placing.lonlat(np.concatenate([col, col + 1.0, col]), np.concatenate([row, row, row + 1.0]))
    out: list[tuple[float | None, float | None, np.ndarray | None]] = []
    for i in range(n):
        if not np.isfinite(lat[i]):
            out.append((None, None, None))
            continue
        at = float(lat[i]), float(lon[i])
        step = None
        if np.isfinite(lat[[i + n, i + 2 * n]]).all():
            frame = LocalFrame(lat_deg=at[0], lon_deg=at[1])
            step = np.array([frame.en(lat_deg=float(lat[j]), lon_deg=float(lon[j])) for j in (i + n, i + 2 * n)]).T
        out.append((*at, step))
    return out
