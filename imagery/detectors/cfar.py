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

from imagery import tail
from imagery.detector import Sample

BANDS = "grey"
#: The false-alarm rate of a pixel, where the caller asks for none.
PFA = 1e-6
#: Cells of the local statistics, and the blocks whose median and lower spread say what stands out.
CELL_PX = 4
GRID_PX = 64
#: Half the guard and half the background window.
GUARD_PX = 20
BACKGROUND_PX = 40
#: How far the kernel looks: half the background window, out to the border of the GRID_PX block it ends in.
HALO_PX = 64
#: Of HALO_PX, the outermost part in which z is not to be trusted.
BLIND_PX = BACKGROUND_PX + CELL_PX
#: A pixel further than this many lower spreads (median - 16th percentile) above its block's median is no background.
STANDS_OUT = 6.0
#: At least this share of the ring must be valid background.
LEAST_RING = 0.2
_RING_PX = (2 * BACKGROUND_PX + CELL_PX) ** 2 - (2 * GUARD_PX + CELL_PX) ** 2


class Local(msgspec.Struct, frozen=True):
    """What lies about each CELL_PX x CELL_PX cell.

    ``mean`` and ``spread`` of the ring are NaN where there is too little of it; ``standing_out`` is the share of the
    whole background window that was left out because it stands out.
    """

    mean: np.ndarray
    spread: np.ndarray
    standing_out: np.ndarray


class Model(msgspec.Struct, frozen=True):
    """What the whole scene has in common: the tail of z on its background, and the threshold read off it."""

    tail: tail.Tail
    threshold: float
    quantum: float

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags."""
        return {"threshold": self.threshold, "quantum": self.quantum, "tail": msgspec.to_builtins(self.tail)}


class Response(msgspec.Struct):
    """The answer for one window: see ``imagery.detector``."""

    x: np.ndarray
    about: Local
    over: np.ndarray
    judged: np.ndarray | None

    def at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """z of single pixels."""
        return z_at(self.x, self.about, row, col)

    def image(self) -> np.ndarray:
        """z, NaN where not judged."""
        return z_image(self.x, self.judged, self.about)


def fit(samples: list[Sample], pfa: float, quantum: float) -> Model:
    """The scene's model from windows of it.

    Args:
        quantum: the step of whole-number data, else 0.

    Raises:
        ValueError: too few valid pixels to know the background.
    """
    scores, crowded = [], []
    for x, valid, inner in samples:
        about = local(x, valid, quantum=quantum)
        scores.append(z_image(x, valid, about)[inner].ravel())
        crowded.append(_wide(about.standing_out, x.shape)[inner].ravel())
    z, share = np.concatenate(scores), np.concatenate(crowded)
    known = np.isfinite(z)
    z, share = z[known], share[known]
    if z.size:
        # background is fitted where few pixels stand out: not among ships or over land
        z = z[share <= 2.0 * np.quantile(share, 0.25) + 0.01]
    found = tail.fit(z)
    return Model(tail=found, threshold=found.threshold(pfa), quantum=quantum)


def respond(x: np.ndarray, valid: np.ndarray | None, model: Model) -> Response:
    """The kernel on one window ``(h, w)`` float32 whose corner lies on the GRID_PX grid."""
    about = local(x, valid, quantum=model.quantum)
    over = exceedances(x, valid, about, model.threshold)
    judged = valid
    unknown = np.isnan(about.mean)
    if unknown.any():
        known = ~_wide(unknown, x.shape)
        judged = known if judged is None else judged & known
    return Response(x, about, over, judged)


def local(x: np.ndarray, valid: np.ndarray | None, *, quantum: float = 0.0) -> Local:
    """The ring's statistics for a window ``(h, w)`` float32 with its mask (None = all valid).

    Args:
        quantum: the step of whole-number data; a twelfth of its square is the least variance.
    """
    h, w = x.shape
    hp, wp = -h % GRID_PX, -w % GRID_PX
    if hp or wp:
        valid = np.pad(np.ones(x.shape, bool) if valid is None else valid, ((0, hp), (0, wp)))
        x = np.pad(x, ((0, hp), (0, wp)))
    ceiling = _ceiling(x, valid, quantum)
    rows, cols = x.shape[0] // CELL_PX, x.shape[1] // CELL_PX
    s1, s2, n, every = (np.empty((rows, cols), np.float64) for _ in range(4))
    every.fill(CELL_PX * CELL_PX)
    step = GRID_PX // CELL_PX
    for i in range(x.shape[0] // GRID_PX):
        strip = x[i * GRID_PX : (i + 1) * GRID_PX]
        keep = strip <= np.repeat(ceiling[i], GRID_PX)
        out = slice(i * step, (i + 1) * step)
        if valid is not None:
            keep &= valid[i * GRID_PX : (i + 1) * GRID_PX]
            every[out] = _cell_sum(valid[i * GRID_PX : (i + 1) * GRID_PX].view(np.uint8))
        kept = strip * keep
        s1[out] = _cell_sum(kept)
        s2[out] = _cell_sum(kept * kept)
        n[out] = _cell_sum(keep.view(np.uint8))
    r1, r2, rn = _ring(s1), _ring(s2), _ring(n)
    about = BACKGROUND_PX // CELL_PX
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = r1 / rn
        variance = r2 / rn - mean * mean + quantum * quantum / 12.0
        bad = (rn < LEAST_RING * _RING_PX) | ~(variance > 1e-12 * mean * mean)
        spread = np.sqrt(variance)
        standing_out = 1.0 - _window(n, about) / _window(every, about)
    mean[bad] = np.nan
    spread[bad] = np.nan
    return Local(mean.astype(np.float32), spread.astype(np.float32), standing_out.astype(np.float32))


def exceedances(x: np.ndarray, valid: np.ndarray | None, about: Local, threshold: float) -> np.ndarray:
    """Where z is above the threshold, ``(h, w)`` bool."""
    h, w = x.shape
    level = about.mean + np.float32(threshold) * about.spread
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
    return (x[row, col] - about.mean[r, c]) / about.spread[r, c]


def z_image(x: np.ndarray, valid: np.ndarray | None, about: Local) -> np.ndarray:
    """z of every pixel, ``(h, w)`` float32; NaN where the pixel is not valid or has too little ring."""
    z = (x - _wide(about.mean, x.shape)) / _wide(about.spread, x.shape)
    if valid is not None:
        z[~valid] = np.nan
    return z


# --- inside ---------------------------------------------------------------------------------------


def _wide(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.repeat(cells, CELL_PX, axis=0), CELL_PX, axis=1)[: shape[0], : shape[1]]


def _ceiling(x: np.ndarray, valid: np.ndarray | None, quantum: float) -> np.ndarray:
    """What stands out of its GRID_PX block begins here; every fourth pixel of every fourth row is asked."""
    half = CELL_PX // 2
    few = x[half::CELL_PX, half::CELL_PX]
    n = GRID_PX // CELL_PX
    values = few.reshape(few.shape[0] // n, n, few.shape[1] // n, n).swapaxes(1, 2).reshape(few.shape[0] // n, -1, n * n)
    if valid is None:
        part = np.partition(values, (n * n * 4 // 25, n * n // 2), axis=-1)
        low, middle = part[..., n * n * 4 // 25], part[..., n * n // 2]
        enough = True
    else:
        good = valid[half::CELL_PX, half::CELL_PX].reshape(few.shape[0] // n, n, few.shape[1] // n, n).swapaxes(1, 2)
        good = good.reshape(values.shape)
        ordered = np.sort(np.where(good, values, np.inf), axis=-1)
        count = good.sum(-1)
        low = np.take_along_axis(ordered, (count * 4 // 25)[..., None], -1)[..., 0]
        middle = np.take_along_axis(ordered, np.minimum(count // 2, n * n - 1)[..., None], -1)[..., 0]
        enough = count >= n
    with np.errstate(invalid="ignore"):
        level = middle + np.float32(STANDS_OUT) * np.maximum(middle - low, np.float32(quantum / 2.0))
    return np.where(enough, level, np.float32(np.inf)).astype(np.float32)


def _cell_sum(a: np.ndarray) -> np.ndarray:
    """Sums of CELL_PX x CELL_PX cells, always added in the same order."""
    rows = a[0::CELL_PX] + a[1::CELL_PX] + a[2::CELL_PX] + a[3::CELL_PX]
    return rows[:, 0::CELL_PX] + rows[:, 1::CELL_PX] + rows[:, 2::CELL_PX] + rows[:, 3::CELL_PX]


def _ring(cells: np.ndarray) -> np.ndarray:
    """Background window minus guard window about each cell; outside the array counts as nothing."""
    return _window(cells, BACKGROUND_PX // CELL_PX) - _window(cells, GUARD_PX // CELL_PX)


def _window(a: np.ndarray, half: int) -> np.ndarray:
    """Sum of the (2 half + 1)² cells about each, by doubling: the order of the additions does not depend on where."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (half, half)
        s = np.pad(a, pad)
        size = a.shape[axis]
        length, left, at, total = 1, 2 * half + 1, 0, None
        while left:
            if left & 1:
                part = _cut(s, axis, at, size)
                total = part if total is None else total + part
                at += length
            left >>= 1
            if left:
                s = _cut(s, axis, 0, s.shape[axis] - length) + _cut(s, axis, length, s.shape[axis] - length)
                length *= 2
        a = total
    return a


def _cut(a: np.ndarray, axis: int, start: int, size: int) -> np.ndarray:
    return a[start : start + size] if axis == 0 else a[:, start : start + size]
