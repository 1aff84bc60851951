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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.model import Flag
from imagery import detector as contract
from imagery import objects, places
from imagery.joint import Joint
from imagery.only import Only
from imagery.raster_out import RasterOut
from imagery.scene import Scene, SceneChanged, SceneError, open_scene, sha256_of
from imagery.settings import DEFAULT_TILE_PX
from imagery.tail import Tail
from imagery.where import Where, where
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


#: Lone pixels above the threshold: so many times the rate asked, and a share of the scene, are doubtful and too much.
_DOUBTFUL, _DOUBTFUL_SHARE, _LEAST_LONE_PX = 30.0, 1e-4, 30
_UNFIT, _UNFIT_SHARE = 300.0, 3e-3
#: A change detector that finds more than this share changed finds nothing.
_MOST_CHANGED = 0.5


class Unfit(SceneError):
    """The scene was read, and no threshold is to be believed on it; ``record`` says so beside the flags of others."""

    def __init__(self, message: str, scene: Scene, digest: str, detector: str, pfa: float | None):
        super().__init__(message, file=scene.path)
        self.record: dict[str, Any] = {
            "scene": scene.name, "sha256": digest, "width": scene.width, "height": scene.height, "detector": detector,
            "pfa": pfa, "unfit": message, "flags": 0}


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found, and on what ground it says so.

    ``judged_px`` is how many pixels could be judged; ``over_px`` how many were above the threshold; ``outline`` the
    convex hull (col, row) of the 64 px cells of which half or more could be judged, empty where none could.  ``doubts``
    are sentences for a person: why the answer may not be what was meant.  ``left_out`` counts objects by why they are no
    flags.
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
    flags: tuple[Flag, ...]
    bands: tuple[int, ...] = ()
    only: dict[str, Any] = {}
    left_out: dict[str, int] = {}
    doubts: tuple[str, ...] = ()


class _Job(msgspec.Struct, frozen=True):
    """What every window's task needs."""

    scene: Scene
    before: Scene | None
    kernel: Any
    model: Any
    tile: int
    least_px: int
    longest_px: float
    bands: tuple[int, ...] = ()
    where: Where | None = None


class _Table(msgspec.Struct):
    """What a run of windows gives back."""

    found: list[objects.Found]
    judged_px: int = 0
    over_px: int = 0
    lone_px: int = 0
    outline: tuple[tuple[int, int], ...] = ()


def params_hash(detector: str, pfa: float | None, only: Only = Only()) -> str:  # noqa: B008  (it is frozen)
    """Hash of everything beside the pixels that decides the flags."""
    said = (VERSION, detector, pfa, objects.CLOSE_PX, LEAST_PX, LEAST_M2, LONGEST_PX, LONGEST_M, only.digest())
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
    only: Only = Only(),  # noqa: B008  (it is frozen)
) -> ScanResult:
    """Scan one scene.

    Args:
        detector: ``cfar``, ``rx`` or ``ir-mad``.
        pfa: the false-alarm rate of a pixel; None takes the detector's own.
        before: the earlier scene, for a detector of change.
        tile: a window's core holds tile² px, rounded to multiples of 64 and kept within the memory budget.
        threads: None takes at most 2.
        mask, scores: files to write; see docs/imagery.md.
        only: what of the scene is asked, and what of it counts.

    Raises:
        SceneError: a scene is unreadable, or the two do not lie upon each other; SceneChanged while it is written to;
            Unfit where no threshold is to be believed on it.
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
    only.check()
    files = [path] if before is None else [path, before]
    extra = [f for f in (only.land, only.aoi, only.fixed) if f is not None and f != places.BASEMAP_NAME]
    for file in (mask, scores):
        spare(file, extra)
        spare(file, [*files, *(f for f in (mask, scores) if f is not None and f is not file)])
    scene, earlier = open_scene(path), None if before is None else open_scene(before)
    if earlier is not None:
        same_ground(earlier, scene)
    stamps, digests = [_stamp(f) for f in files], [sha256_of(f) for f in files]
    workers = max(1, min(threads or min(2, os.cpu_count() or 1), 16))
    if scene.whole or max(s.block_bytes for s in (scene, earlier) if s is not None) * workers > SHARED_BLOCK_BYTES:
        workers = 1
    bands = bands_of(scene, kernel, only.bands)
    quanta = [1.0 if np.dtype(d).kind in "ui" else 0.0 for d in scene.dtypes]
    if kernel.BANDS == "grey" and bands:
        kernel = Joint(kernel, bands, tuple(quanta[b - 1] for b in bands))
    side = side_of(tile, scene, kernel, workers, scores is not None, bands)
    seen = where(scene, land=only.land, shore_m=only.shore, aoi=only.aoi)
    with Source(scene, earlier, kernel, bands, seen) as source:
        try:
            model = kernel.fit(samples(scene, source, kernel), pfa, quanta[0] if kernel.BANDS == "grey" else 0.0)
        except ValueError as error:
            raise Unfit(f"cannot be judged: {error}", scene, digests[0], name, pfa) from error
    least, longest = _sizes(scene, kernel, only)
    job = _Job(scene, earlier, kernel, model, side, least, longest, bands, seen)
    outs: list[RasterOut] = []
    try:
        for file, dtype, nodata in ((mask, "uint8", 255), (scores, "float32", math.nan)):
            if file is not None:
                outs.append(RasterOut(file, scene, dtype=dtype, nodata=nodata, tile=core_size(side)))
        table = _run(job, workers, outs[0] if mask is not None else None, outs[-1] if scores is not None else None)
        for file, stamp in zip(files, stamps, strict=True):
            if _stamp(file) != stamp:
                raise SceneChanged("changes while it is read", file=str(file))
        doubts = _doubts(job, table, pfa, digests[0], name)
        for out in outs:
            out.finish()
    except BaseException:
        for out in outs:
            out.drop()
        raise
    params = params_hash(name, pfa, only)
    found = _flags(table.found, scene, digests[0], name, pfa, params, _tails(model))
    flags, left_out = _counted(found, only, scene, afloat=name == "cfar")
    return ScanResult(
        scene=scene, before=earlier, sha256=digests[0], before_sha256=digests[1] if earlier else None, detector=name, pfa=pfa,
        params=params, least_px=least, model=model.describe(), judged_px=table.judged_px, over_px=table.over_px,
        outline=table.outline, flags=flags, bands=bands or (scene.grey_bands if kernel.BANDS == "grey" else scene.data_bands),
        only=only.record(), left_out=left_out, doubts=(*doubts, *_said_of(scene, bands, kernel, only, flags)),
    )


def bands_of(scene: Scene, kernel: Any, asked: tuple[int, ...]) -> tuple[int, ...]:
    """The bands that are read; empty where the detector's own are (all, or a picture's brightness).

    Two bands that are no colours are the two polarisations of a pass, unless somebody says otherwise: each is asked.

    Raises:
        UsageError: the scene has no such band.
    """
    for band in asked:
        if band not in scene.data_bands:
            raise UsageError(f"wants one of the bands {', '.join(map(str, scene.data_bands))} of {scene.path}", field="--band")
    if asked or kernel.BANDS != "grey" or scene.colour or len(scene.data_bands) != 2:
        return asked
    return scene.data_bands


# --- windows --------------------------------------------------------------------------------------


def _stamp(path: str | Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise SceneChanged(f"is gone while it is read: {error.strerror}", file=str(path)) from error
    return found.st_size, found.st_mtime_ns, found.st_ino


def spare(out: str | Path | None, others: Sequence[str | Path]) -> None:
    """Raises UsageError where a file to be written is one that is read or written otherwise: scenes may be evidence."""
    if out is None:
        return
    for other in others:
        if os.path.realpath(out) == os.path.realpath(other) or (os.path.exists(out) and os.path.exists(other)
                                                                and os.path.samefile(out, other)):
            raise UsageError(f"would be written over {other}", file=str(out))


def _sizes(scene: Scene, kernel: Any, only: Only) -> tuple[int, float]:
    """(least size in px, greatest length in px) of an object, from metres where the scale is known."""
    step = scene.placing.pixel_en_m(scene.width / 2.0, scene.height / 2.0) if scene.placing else None
    if step is None:
        if only.min_length_m is not None or only.max_length_m is not None:
            raise SceneError("does not say how large its pixels are, and a length is in metres", file=scene.path)
        return LEAST_PX, LONGEST_PX
    area, finest = abs(float(np.linalg.det(step))), float(np.hypot(*step).min())
    most = max(LONGEST_M, only.max_length_m or 0.0)
    longest = LONGEST_PX if kernel.BANDS == "pair" else min(LONGEST_PX, max(64.0, most / finest))
    return max(3, math.ceil(LEAST_M2 / area)), longest


def _run(job: _Job, workers: int, mask: RasterOut | None, scores: RasterOut | None) -> _Table:
    from dask.base import compute
    from dask.delayed import delayed

    tasks = [delayed(_scan_run, pure=False)(job, run, mask, scores) for run in runs(job.scene, job.tile, workers)]
    if workers == 1:
        tables = compute(*tasks, scheduler="synchronous")
    else:
        tables = compute(*tasks, scheduler="threads", num_workers=workers)
    whole = _Table([])
    for table in tables:
        whole.found += table.found
        whole.judged_px += table.judged_px
        whole.over_px += table.over_px
        whole.lone_px += table.lone_px
        whole.outline = hull(whole.outline + table.outline)
    if len(whole.found) > MOST_FLAGS:
        raise SceneError(f"has more than {MOST_FLAGS} objects: ask for fewer false alarms", file=job.scene.path)
    return whole


def _scan_run(job: _Job, run: list[Area], mask: RasterOut | None, scores: RasterOut | None) -> _Table:
    """One task: a run of neighbouring windows with one handle."""
    table = _Table([])
    with Source(job.scene, job.before, job.kernel, job.bands, job.where) as source:
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
            table.lone_px += _lone(response.over, inner)
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
        whole = found
        if not found.complete:
            grown = _whole(job, source, found)
            if grown is None or grown.pixels < job.least_px or grown.first in again:
                continue
            whole = grown
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


def _lone(over: np.ndarray, inner: tuple[slice, slice]) -> int:
    """How many pixels of a core are above the threshold without a neighbour that is, wherever the core ends."""
    row, col = np.nonzero(over[inner])
    row, col = row + inner[0].start, col + inner[1].start
    height, width = over.shape
    alone = np.ones(row.size, bool)
    for dr, dc in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        r, c = row + dr, col + dc
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        alone[inside] &= ~over[r[inside], c[inside]]
    return int(np.count_nonzero(alone))


def _side_px(bbox: Area) -> int:
    return max(bbox[2] - bbox[0], bbox[3] - bbox[1])


# --- what is to be believed -------------------------------------------------------------------------


def _doubts(job: _Job, table: _Table, pfa: float | None, digest: str, name: str) -> list[str]:
    """Why a person should not trust the answer without a look.

    Raises:
        Unfit: it cannot be trusted at all.
    """
    out: list[Any] = []
    judged = max(table.judged_px, 1)
    share, lone = table.over_px / judged, table.lone_px / judged
    if pfa is None:
        if share > _MOST_CHANGED:
            raise Unfit(f"{share:.0%} of it changed, which is no finding: the two scenes are of different things", job.scene,
                        digest, name, pfa)
        return out
    # background stands out alone: what the scene shows must be about what was asked
    if lone > max(_UNFIT * pfa, _UNFIT_SHARE) and table.lone_px > _LEAST_LONE_PX:
        raise Unfit(f"{lone:.1%} of its pixels stand alone above a threshold for {pfa:g}: it has no background that one "
                    "threshold fits (land, ice, or strips that hardly vary)", job.scene, digest, name, pfa)
    if lone > max(_DOUBTFUL * pfa, _DOUBTFUL_SHARE) and table.lone_px > _LEAST_LONE_PX:
        out.append(f"{table.lone_px} pixels stand alone above the threshold, {lone / pfa:.0f} times as many as asked: much "
                   "of it is no sea, or its background is of several kinds")
    unfit = getattr(job.model, "unfit", ())
    out += [f"band {band} cannot be judged: {why}" for band, why in zip(job.bands, unfit, strict=False) if why]
    if table.judged_px < 0.05 * job.scene.width * job.scene.height:
        out.append(f"only {table.judged_px / (job.scene.width * job.scene.height):.1%} of it could be judged")
    return out


def _counted(flags: tuple[Flag, ...], only: Only, scene: Scene, *, afloat: bool
             ) -> tuple[tuple[Flag, ...], dict[str, int]]:
    """The flags that count, and how many do not, by why; where what is sought floats, marked by the coarse basemap."""
    fixed = None if only.fixed is None else places.load(only.fixed)
    if fixed is not None and scene.placing is None:
        raise SceneError("does not say where it lies, so that no fixed object is known in it", file=scene.path)
    kept, left_out = [], {"fixed": 0, "too_short": 0, "too_long": 0}
    for flag in flags:
        placed = flag.lat_deg is not None and flag.lon_deg is not None
        if only.min_length_m is not None and (flag.length_m is None or flag.length_m < only.min_length_m):
            left_out["too_short"] += 1
        elif only.max_length_m is not None and (flag.length_m is None or flag.length_m > only.max_length_m):
            left_out["too_long"] += 1
        elif fixed is not None and placed and fixed.holds(lat_deg=flag.lat_deg, lon_deg=flag.lon_deg):  # type: ignore[arg-type]
            left_out["fixed"] += 1
        elif placed and afloat:
            land = places.load(places.BASEMAP_NAME).holds(lat_deg=flag.lat_deg, lon_deg=flag.lon_deg)  # type: ignore[arg-type]
            kept.append(msgspec.structs.replace(flag, on_land=land))
        else:
            kept.append(flag)
    return tuple(kept), {why: n for why, n in left_out.items() if n}


def _said_of(scene: Scene, bands: tuple[int, ...], kernel: Any, only: Only, flags: tuple[Flag, ...]) -> list[str]:
    """What a person should know beside the flags."""
    out = []
    if kernel.BANDS == "grey" and not scene.colour and len(scene.data_bands) > 1:
        out.append(f"band {scene.grey_bands[0]} of {len(scene.data_bands)} alone was looked at; --band names others")
    on_land = sum(flag.on_land is True for flag in flags)
    if on_land and only.land is None:
        out.append(f"{on_land} of {len(flags)} flags lie on land by {places.BASEMAP_SAID}: kept, and marked on_land; --land "
                   "with a file of your own, or alone for the basemap, leaves land out")
    return out


# --- flags ----------------------------------------------------------------------------------------


def _tails(model: Any) -> list[Tail]:
    """The tails on background that a detector has fitted: one, one a band, or none."""
    return [one.tail for one in getattr(model, "models", (model,)) if getattr(one, "tail", None) is not None]


def _flags(found: list[objects.Found], scene: Scene, digest: str, name: str, pfa: float | None, params: str, tails: list[Tail]
           ) -> tuple[Flag, ...]:
    found = sorted(found, key=lambda o: o.first)
    col, row = np.array([o.col for o in found]), np.array([o.row for o in found])
    places = _places(scene, col, row)
    out = []
    for o, (lat, lon, step) in zip(found, places, strict=True):
        length = width = heading = None
        if step is not None:
            length, width, heading = on_the_ground(o, step)
        said = f"{digest}|{params}|{o.first}|{o.bbox}"
        # of several bands it is not known in which it stands out: the one that makes least of it
        rarity = None if pfa is None else min((tail.rarity(o.score, pfa / len(tails)) for tail in tails), default=None)
        out.append(Flag(
            flag_id=hashlib.sha256(said.encode()).hexdigest()[:32], detector=name, pfa=pfa, score=o.score,
            mean_score=o.mean_score, col=o.col, row=o.row, bbox_px=o.bbox, pixels=o.pixels, length_px=o.length_px,
            width_px=o.width_px, length_m=length, width_m=width, heading_deg=heading, lat_deg=lat, lon_deg=lon,
            truncated=o.truncated, rarity=rarity,
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
