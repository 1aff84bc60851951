"""Scenes of few grey levels: each pixel is spread over the values that it may stand for, so that a tail can be fitted.

An 8-bit product of a calm sea holds a handful of values, and so does a table of decibels.  A tail fitted to such
stairs has any shape (issue 9, section 7: a sea of 13 values gave a threshold of 161 spreads, one of 9 values
3,038 false flags).  What a value stands for is read off the scene: between two levels the share of pixels beyond is
taken to fall smoothly.  Where in its step a pixel is put is decided by a fixed pattern over the grid, the same in
whatever window it is read, so that no flag depends on the tile.  Subtractive dither is the same idea the other way
about: Lipshitz, Wannamaker, Vanderkooy, Quantization and dither: a theoretical survey, J. Audio Eng. Soc. 40(5), 1992.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from imagery.detector import Sample

#: The pattern's side: windows begin on multiples of it.
GRID_PX = 64
#: With fewer values than this between the scene's middle and the most that one pixel in 1,000 exceeds, they are few.
FEW = 48
#: With fewer beyond the middle's 98th percentile the levels hold next to nothing of the tail's shape.
FEW_IN_TAIL = 8
#: A gap of more usual steps than this parts targets from the background.
_FAR_STEPS = 3.5
#: In how many parts the spread of one value is kept.
_PARTS = 16
_LEAST_PX = 1000


class Steps(msgspec.Struct, frozen=True):
    """The few values that a scene's background takes, ``(N,)``, and what each stands for.

    ``spread`` ``(N, _PARTS + 1)``: the true values below which 0, 1 / _PARTS, ... of the pixels of a value are taken to
    lie.  ``in_tail`` is how many values the uppermost two per cent of the background take.
    """

    values: np.ndarray
    spread: np.ndarray
    in_tail: int


def find(samples: list[Sample], clip: Callable[[], float | None]) -> Steps | None:
    """The values of a scene of few grey levels; None where there are enough for a tail to be fitted to.

    Whole numbers, tables of decibels, eighths of them: whatever the steps are, they are read off the pixels.

    Args:
        clip: gives the value at which the data are clipped, which is no step: it stands for anything beyond.
    """
    from scipy.interpolate import PchipInterpolator

    counted: dict[float, int] = {}
    for x, valid, _ in samples:
        pixels = x.ravel() if valid is None else x[valid]
        # a scene of many values shows it in a few of its pixels
        if np.unique(pixels[:: max(pixels.size // 4096, 1)]).size > 1024:
            return None
        for value, count in zip(*(a.tolist() for a in np.unique(pixels, return_counts=True)), strict=True):
            counted[value] = counted.get(value, 0) + count
    top = clip()
    levels = sorted(v for v in counted if top is None or v < top)
    values, counts = np.array(levels, np.float32), np.array([counted[v] for v in levels], np.float64)
    if values.size < 2 or counts.sum() < _LEAST_PX:
        return None
    beyond = counts[::-1].cumsum()[::-1] / counts.sum()
    if np.count_nonzero((beyond > 1e-3) & (beyond <= 0.5)) >= FEW:
        return None
    gaps = np.diff(values.astype(np.float64))
    gaps = np.append(gaps, gaps[-1])
    usual = np.minimum.accumulate(gaps)
    # what lies beyond a gap is no background
    far = np.flatnonzero((gaps > _FAR_STEPS * usual) & (beyond < 0.5))
    last = int(far[0]) if far.size else values.size - 1
    values, counts, half = values[: last + 1], counts[: last + 1], usual[: last + 1] / 2.0
    edges = np.append(values[0] - half[0], values + half)
    remaining = counts[::-1].cumsum()[::-1] / counts.sum()
    falls = -np.diff(np.log(remaining))
    log_beyond = np.append(np.log(remaining), np.log(remaining[-1]) - max(2.0, *(1.2 * falls[-1:])))
    curve = PchipInterpolator(edges, log_beyond)
    spread = np.empty((values.size, _PARTS + 1), np.float32)
    for i in range(values.size):
        places = np.linspace(edges[i], edges[i + 1], 4 * _PARTS + 1)
        held = 1.0 - np.exp(curve(places) - curve(places[0]))
        spread[i] = np.interp(np.linspace(0.0, held[-1], _PARTS + 1), held, places)
    return Steps(values, spread, int(np.count_nonzero(remaining < 0.02)))


def spread_out(x: np.ndarray, steps: Steps | None) -> np.ndarray:
    """A window ``(h, w)`` float32 whose corner lies on the grid, with each pixel at a value that it may stand for.

    Values that are none of the background's stay as they are.
    """
    if steps is None:
        return x
    at = np.minimum(np.searchsorted(steps.values, x), steps.values.size - 1)
    h, w = x.shape
    part, share = (np.tile(a, (-(-h // GRID_PX), -(-w // GRID_PX)))[:h, :w] for a in _PATTERN)
    low = steps.spread[at, part]
    moved = low + share * (steps.spread[at, part + 1] - low)
    return np.where(steps.values[at] == x, moved, x)


def _pattern() -> tuple[np.ndarray, np.ndarray]:
    """(part of _PARTS, share of it), each (GRID_PX, GRID_PX): equal shares of (0, 1), each once, in no order.

    The order is that of SplitMix64's finaliser (Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014).
    """
    n = np.arange(1, GRID_PX * GRID_PX + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    n = (n ^ (n >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    rank = np.argsort(np.argsort(n ^ (n >> np.uint64(31)), kind="stable"), kind="stable")
    share = ((rank + 0.5) / rank.size * _PARTS).reshape(GRID_PX, GRID_PX)
    return share.astype(np.intp), (share % 1.0).astype(np.float32)


_PATTERN = _pattern()
