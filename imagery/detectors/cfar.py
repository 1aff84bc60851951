"""Bright objects on a noisy sea: two-parameter CFAR whose threshold comes from the tail that was measured.

Each pixel x is compared with the mean and the spread of the pixels in a square ring about it (guard window left
out): z = (x - mean) / spread.  What stands out of its own surroundings is left out of the ring first, so that a
ship hides neither itself nor its neighbour.  No distribution of z is assumed: a generalised Pareto tail is
fitted to the scene's own z above their 99th percentile, truncated where targets begin, and the threshold is read
off it, so that the false-alarm rate that was asked for is the one that is measured.  Method and figures:
docs/imagery.md.

The kernel works on one ndarray whose corner lies on the scene's GRID_PX grid; the same pixel gets the same z to
the last bit whatever window it was read in, as long as HALO_PX pixels (or the scene's edge) lie around it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from imagery import grey_steps, tail, tail_check
from imagery.detector import Sample

BANDS = "grey"
#: The false-alarm rate of a pixel, where the caller asks for none.
PFA = 1e-6
#: A pixel that stands out at PFA begins an object; what touches it and stands out at this rate belongs to it.
GROW_PFA = 1e-3
#: Cells of the local statistics, and the blocks whose median and lower spread say what stands out.
CELL_PX = 8
GRID_PX = 64
#: Half the guard and half the background window about a cell's middle, less half a cell.
GUARD_PX = 16
BACKGROUND_PX = 40
#: How far the kernel looks: half the background window, out to the border of the GRID_PX block it ends in.
HALO_PX = 64
#: Of HALO_PX, the outermost part in which z is not to be trusted.
BLIND_PX = BACKGROUND_PX + CELL_PX
#: A pixel further than this many lower spreads (median - 16th percentile) from its block's median is no background.
STANDS_OUT = 6.0
#: At least this share of the ring must be valid background.
LEAST_RING = 0.2
#: Of each block every fourth pixel of every fourth row is asked.
_SKIP = 4
#: A cell of which this share stands out holds a structure; one of so many pixels in 3 x 3 cells has a wide skirt.
_STRUCTURE_SHARE = 0.15
_LARGE_PX = 48
#: Pixels, and share of all, that must be away from structures to learn the background from.
_LEAST_QUIET_PX, _LEAST_QUIET = 4000, 0.05
_LEAST_JUDGED_PX = 1000
#: So many pixels of the sample must lie beyond a threshold for it to be seen in it rather than read off the fit.
_SEEN_PX = 10.0
#: Of the greatest value there must be so many for it to be a clip.
_CLIPPED_PX = 10
#: Of a scene of few grey levels the tail's shape is hardly known: its prior's sigma.
_FEW_SIGMA = 0.02
#: A threshold so many spreads up is none.
_BEYOND_BELIEF = 300.0
#: Rows or columns of cells that are summed together.
_STRIP = 64
_RING_PX = (2 * BACKGROUND_PX + CELL_PX) ** 2 - (2 * GUARD_PX + CELL_PX) ** 2


class Local(msgspec.Struct, frozen=True):
    """What lies about each CELL_PX x CELL_PX cell.

    ``mean`` and ``spread`` of the ring are NaN where there is too little of it; ``structure`` says, where that was
    asked for, which cells hold or are near something that stands out together: no place to learn the background from.
    """

    mean: np.ndarray
    spread: np.ndarray
    structure: np.ndarray | None


class Model(msgspec.Struct, frozen=True):
    """What the whole scene has in common: the tail of z on its background, and the threshold read off it.

    ``steps`` are its grey levels where they are few; ``as_seen`` says that the fit was off and the tail is drawn through
    what was seen.  ``top`` is the value at which the data are clipped, None where they are not: such a pixel says "at
    least this", and
    stands out from ``top_threshold`` on, where the rate is one that the sample shows and not one read off beyond it.
    """

    tail: tail.Tail
    threshold: float
    grow: float
    quantum: float
    offset: float = 0.0
    scale: float = 1.0
    top: float | None = None
    top_threshold: float = math.inf
    steps: grey_steps.Steps | None = None
    as_seen: bool = False

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags."""
        return {"threshold": self.threshold, "grow_threshold": self.grow, "quantum": self.quantum,
                "tail": msgspec.to_builtins(self.tail), "tail_as_seen": self.as_seen, "offset": self.offset,
                "scale": self.scale, "grey_levels": None if self.steps is None else self.steps.values.size,
                "top": self.top, "top_threshold": None if self.top is None else self.top_threshold}


class Response(msgspec.Struct):
    """The answer for one window: see ``imagery.detector``."""

    x: np.ndarray
    about: Local
    over: np.ndarray
    grown: np.ndarray
    judged: np.ndarray | None

    def at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """z of single pixels."""
        return z_at(self.x, self.about, row, col)

    def image(self) -> np.ndarray:
        """z, NaN where not judged."""
        return z_image(self.x, self.judged, self.about)


def fit(samples: list[Sample], pfa: float, quantum: float) -> Model:
    """The scene's model from windows of it.

    The tail's fit is held against the sample before it is used; where it is off, one is drawn through what was seen.

    Args:
        quantum: the step of whole-number data, else 0.

    Raises:
        ValueError: too few valid pixels to know the background, or none that one threshold fits.
    """
    offset, scale = _frame(samples)
    # as the pixels come: unframed
    steps = grey_steps.find(samples, clip=lambda: _top(samples, 0.0, 1.0, quantum))
    quantum = 0.0 if steps is not None else quantum / scale
    quiet, every, lone, spreads = [], [], [], []
    for x, valid, inner in samples:
        x = _framed(grey_steps.spread_out(x, steps), offset, scale)
        about = local(x, valid, quantum=quantum, structure=True)
        z = z_image(x, valid, about)[inner]
        every.append(z[np.isfinite(z)])
        if np.isfinite(about.spread).any():
            spreads.append(float(np.nanmedian(about.spread)))
        assert about.structure is not None  # asked for
        near = _wide(about.structure, x.shape)[inner]
        quiet.append(z[np.isfinite(z) & ~near])
        lone.append(tail_check.with_neighbours(z, near, few_levels=steps is not None))
    if sum(z.size for z in every) < _LEAST_JUDGED_PX:
        raise ValueError("fewer than 1,000 pixels were imaged and have enough about them that varies "
                         f"({BACKGROUND_PX} px each way)")
    if all(z.size == 0 or z.min() == z.max() == 0.0 for z in every):
        raise ValueError("every pixel that was sampled has the same value: nothing can stand out in it, or everything")
    background, alone = np.concatenate(quiet), np.concatenate(lone)
    if background.size < max(_LEAST_QUIET_PX, _LEAST_QUIET * sum(z.size for z in every)):
        # there is hardly a quiet place: better a tail that knows what is there than one of a few odd corners
        background = np.concatenate(every)
    else:
        alone = alone[alone[:, 2] == 0.0]
    few = steps is not None and steps.in_tail < grey_steps.FEW_IN_TAIL
    found = tail.fit(background, pfa, quantum / min(spreads) if spreads else 0.0,
                     shape_sigma=_FEW_SIGMA if few else tail.SHAPE_SIGMA)
    seen = tail_check.as_seen(found, alone, pfa, few)
    found = seen or found
    top = _top(samples, offset, scale, quantum)
    if top is None and found.threshold(pfa) > _BEYOND_BELIEF:
        raise ValueError(f"a threshold {found.threshold(pfa):.0f} spreads up: most of it hardly varies")
    threshold, shown = found.threshold(pfa), found.threshold(max(pfa, _SEEN_PX / found.samples))
    return Model(tail=found, threshold=threshold, grow=found.threshold(max(pfa, GROW_PFA)), quantum=quantum,
                 offset=offset, scale=scale, top=top, top_threshold=min(shown, threshold),
                 steps=steps, as_seen=seen is not None)


def respond(x: np.ndarray, valid: np.ndarray | None, model: Model) -> Response:
    """The kernel on one window ``(h, w)`` float32 whose corner lies on the GRID_PX grid."""
    x = _framed(grey_steps.spread_out(x, model.steps), model.offset, model.scale)
    about = local(x, valid, quantum=model.quantum)
    over = exceedances(x, valid, about, model.threshold, top=model.top, top_threshold=model.top_threshold)
    judged = valid
    unknown = np.isnan(about.mean)
    if unknown.any():
        known = ~_wide(unknown, x.shape)
        judged = known if judged is None else judged & known
    # a clipped pixel that touches an object belongs to it
    grown = exceedances(x, valid, about, model.grow, top=model.top, top_threshold=-math.inf)
    return Response(x, about, over, grown, judged)


def local(x: np.ndarray, valid: np.ndarray | None, *, quantum: float = 0.0, structure: bool = False) -> Local:
    """The ring's statistics for a window ``(h, w)`` float32 with its mask (None = all valid).

    Args:
        quantum: the step of whole-number data; a twelfth of its square is the least variance.
        structure: whether that is wanted, too.
    """
    h, w = x.shape
    hp, wp = -h % GRID_PX, -w % GRID_PX
    if hp or wp:
        valid = np.pad(np.ones(x.shape, bool) if valid is None else valid, ((0, hp), (0, wp)))
        x = np.pad(x, ((0, hp), (0, wp)))
    floor, ceiling = _bounds(x, valid, quantum)
    rows, cols = x.shape[0] // CELL_PX, x.shape[1] // CELL_PX
    s1, s2, n, every = (np.empty((rows, cols), np.float64) for _ in range(4))
    every.fill(CELL_PX * CELL_PX)
    step = GRID_PX // CELL_PX
    for i in range(x.shape[0] // GRID_PX):
        strip = x[i * GRID_PX : (i + 1) * GRID_PX]
        keep = strip <= np.repeat(ceiling[i], GRID_PX)
        keep &= strip >= np.repeat(floor[i], GRID_PX)
        out = slice(i * step, (i + 1) * step)
        if valid is not None:
            keep &= valid[i * GRID_PX : (i + 1) * GRID_PX]
            every[out] = _cell_sum(valid[i * GRID_PX : (i + 1) * GRID_PX].view(np.uint8))
        kept = strip * keep
        s1[out] = _cell_sum(kept)
        s2[out] = _cell_sum(kept * kept)
        n[out] = _cell_sum(keep.view(np.uint8))
    r1, r2, rn = _ring(s1), _ring(s2), _ring(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = r1 / rn
        variance = r2 / rn - mean * mean + quantum * quantum / 12.0
        bad = (rn < LEAST_RING * _RING_PX) | ~(variance > 1e-12 * mean * mean)
        spread = np.sqrt(variance)
    mean[bad] = np.nan
    spread[bad] = np.nan
    near = _near_structure(every - n) if structure else None
    return Local(mean.astype(np.float32), spread.astype(np.float32), near)


def exceedances(x: np.ndarray, valid: np.ndarray | None, about: Local, threshold: float, *, top: float | None = None,
                top_threshold: float = math.inf) -> np.ndarray:
    """Where z is above the threshold, ``(h, w)`` bool; for pixels of the value ``top``, where it is above its own."""
    h, w = x.shape
    level = about.mean + np.float32(threshold) * about.spread
    if top is not None:
        below = np.nextafter(np.float32(top), np.float32(-np.inf))
        level = np.minimum(level, np.maximum(about.mean + np.float32(top_threshold) * about.spread, below))
    out = np.empty((h, w), bool)
    for i in range(math.ceil(h / CELL_PX)):
        rows = slice(i * CELL_PX, (i + 1) * CELL_PX)
        np.greater(x[rows], np.repeat(level[i], CELL_PX)[:w], out=out[rows])
    if valid is not None:
        out &= valid
    return out


def z_at(x: np.ndarray, about: Local, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """z of single pixels."""
    r, c = row // CELL_PX, col // CELL_PX
    with np.errstate(over="ignore"):
        return (x[row, col] - about.mean[r, c]) / about.spread[r, c]


def z_image(x: np.ndarray, valid: np.ndarray | None, about: Local) -> np.ndarray:
    """z of every pixel, ``(h, w)`` float32; NaN where the pixel is not valid or has too little ring."""
    with np.errstate(over="ignore"):
        z = (x - _wide(about.mean, x.shape)) / _wide(about.spread, x.shape)
    if valid is not None:
        z[~valid] = np.nan
    return z


# --- inside ---------------------------------------------------------------------------------------


def _frame(samples: list[Sample]) -> tuple[float, float]:
    """(offset, scale) that bring the pixels where float32 can square them; (0, 1) where they are there already."""
    few = [x[::7, ::7][... if valid is None else valid[::7, ::7]].ravel() for x, valid, _ in samples]
    values = np.concatenate(few) if few else np.empty(0)
    if not values.size:
        return 0.0, 1.0
    low, middle, high = (float(q) for q in np.quantile(values.astype(np.float64), (0.16, 0.5, 0.84)))
    spread = (high - low) / 2.0 or abs(middle) or 1.0
    offset = middle if abs(middle) > 30.0 * spread else 0.0
    return offset, 1.0 if 1e-6 < spread < 1e6 else spread


def _top(samples: list[Sample], offset: float, scale: float, quantum: float) -> float | None:
    """The value at which the data are clipped, framed; None where nothing says so.

    255 in whole-number data, else the greatest value where it is much more frequent than those next below.
    """
    values = [x.ravel() if valid is None else x[valid] for x, valid, _ in samples]
    most = max((float(v.max()) for v in values if v.size), default=-math.inf)
    if not math.isfinite(most):
        return None
    if not (quantum and most == 255.0):
        # the next five values below, found in the uppermost thousandth of each window
        upper = np.concatenate([np.partition(v, -max(v.size // 1000, 1))[-max(v.size // 1000, 1):] for v in values if v.size])
        counts = np.unique(upper, return_counts=True)[1][::-1][:6]
        if counts[0] < _CLIPPED_PX or (counts.size > 1 and counts[0] < 4.0 * counts[1:].mean()):
            return None
    return float(_framed(np.array([most], np.float32), offset, scale)[0])


def _framed(x: np.ndarray, offset: float, scale: float) -> np.ndarray:
    if offset:
        x = x - np.float32(offset)
    return x if scale == 1.0 else x / np.float32(scale)


def _wide(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.repeat(cells, CELL_PX, axis=0), CELL_PX, axis=1)[: shape[0], : shape[1]]


def _bounds(x: np.ndarray, valid: np.ndarray | None, quantum: float) -> tuple[np.ndarray, np.ndarray]:
    """(floor, ceiling) of each GRID_PX block: what lies beyond stands out."""
    few = x[_SKIP // 2 :: _SKIP, _SKIP // 2 :: _SKIP]
    n = GRID_PX // _SKIP
    values = few.reshape(few.shape[0] // n, n, few.shape[1] // n, n).swapaxes(1, 2).reshape(few.shape[0] // n, -1, n * n)
    if valid is None:
        part = np.partition(values, (n * n * 4 // 25, n * n // 2), axis=-1)
        low, middle = part[..., n * n * 4 // 25], part[..., n * n // 2]
        enough = True
    else:
        good = valid[_SKIP // 2 :: _SKIP, _SKIP // 2 :: _SKIP].reshape(few.shape[0] // n, n, few.shape[1] // n, n)
        good = good.swapaxes(1, 2).reshape(values.shape)
        ordered = np.sort(np.where(good, values, np.inf), axis=-1)
        count = good.sum(-1)
        low = np.take_along_axis(ordered, (count * 4 // 25)[..., None], -1)[..., 0]
        middle = np.take_along_axis(ordered, np.minimum(count // 2, n * n - 1)[..., None], -1)[..., 0]
        enough = count >= n
    with np.errstate(invalid="ignore", over="ignore"):
        reach = np.float32(STANDS_OUT) * np.maximum(middle - low, np.float32(quantum / 2.0))
        bounds = middle - reach, middle + reach
    # of a few pixels nothing is known: all of them are kept that can be squared
    most = np.float32(1e15)
    return (np.where(enough, bounds[0], -most).astype(np.float32), np.where(enough, bounds[1], most).astype(np.float32))


def _near_structure(standing_out: np.ndarray) -> np.ndarray:
    """Cells with many pixels that stand out, and their neighbours: the nearest, and of a large structure the next."""
    hot = standing_out >= _STRUCTURE_SHARE * CELL_PX * CELL_PX
    wide = np.pad(standing_out, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    large = hot & (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] >= _LARGE_PX)
    return _spread(hot | _spread(large))


def _spread(cells: np.ndarray) -> np.ndarray:
    """The cells and their eight neighbours."""
    out = np.pad(cells, 1)
    out[1:-1] |= out[:-2] | out[2:]
    out[:, 1:-1] |= out[:, :-2] | out[:, 2:]
    return out[1:-1, 1:-1]


def _cell_sum(a: np.ndarray, size: int = CELL_PX) -> np.ndarray:
    """Sums of CELL_PX x CELL_PX cells, always added in the same order."""
    while True:
        a = a[0::2] + a[1::2]
        a = a[:, 0::2] + a[:, 1::2]
        size //= 2
        if size == 1:
            return a


def _ring(cells: np.ndarray) -> np.ndarray:
    """Background window minus guard window about each cell; outside the array counts as nothing."""
    return _window(cells, BACKGROUND_PX // CELL_PX) - _window(cells, GUARD_PX // CELL_PX)


def _window(a: np.ndarray, half: int) -> np.ndarray:
    """Sum of the (2 half + 1)² cells about each, in strips that stay in the cache."""
    flat = np.empty_like(a)
    for i in range(0, a.shape[0], _STRIP):
        flat[i : i + _STRIP] = _line_sums(np.pad(a[i : i + _STRIP], ((0, 0), (half, half))).T, half).T
    out = np.empty_like(a)
    for j in range(0, a.shape[1], _STRIP):
        out[:, j : j + _STRIP] = _line_sums(np.pad(flat[:, j : j + _STRIP], ((half, half), (0, 0))), half)
    return out


def _line_sums(s: np.ndarray, half: int) -> np.ndarray:
    """Sums of 2 half + 1 rows in turn, by doubling: the order of the additions does not depend on where."""
    size = s.shape[0] - 2 * half
    length, left, at = 1, 2 * half + 1, 0
    total: np.ndarray | None = None
    while True:
        if left & 1:
            part = s[at : at + size]
            total = part if total is None else total + part
            at += length
        left >>= 1
        if not left:
            assert total is not None
            return total
        s = s[:-length] + s[length:]
        length *= 2
