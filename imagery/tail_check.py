"""A fitted tail is held against the sample before it is used (issue 9, section 7).

What is fitted can be off without a sign of it: a shape at its bound, a threshold that nothing reaches, or one that a
twentieth of the sea exceeds.  Background stands out alone, pixel by pixel; targets come in groups.  So many pixels
without a neighbour above a threshold tell the rate there, whatever share of the scene is targets.
"""

from __future__ import annotations

import math

import numpy as np

from imagery.tail import Tail

#: The fit is held against the lone pixels above a threshold that so many of the sample should exceed; by so much it
#: may be off, and by less where few grey levels make it doubtful from the start.
_HELD_AGAINST_PX = 25.0
_OFF, _OFF_FEW = 10.0, 1.2
#: From so many expected on, the sample shows the rate.
_SHOWN_PX = 100.0
#: A shape at its bound, and a threshold so many spreads up, are no fit.
_STEEP, _FAR_OUT = 0.9, 30.0
#: Lone pixels are looked for above this z.
_FROM, _FROM_FEW = 2.0, 1.0


def with_neighbours(z: np.ndarray, near: np.ndarray, *, few_levels: bool) -> np.ndarray:
    """(z, the highest z of the eight neighbours, whether it is near a structure) of each pixel in the tail, ``(N, 3)``."""
    lowest = _FROM_FEW if few_levels else _FROM
    inside = z[1:-1, 1:-1]
    row, col = np.nonzero(inside > np.float32(lowest))
    own, around = inside[row, col], np.full(row.size, -np.inf, np.float32)
    for dr, dc in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)):
        np.fmax(around, z[row + dr, col + dc], out=around)
    return np.stack([own, around, near[row + 1, col + 1]], axis=1)


def as_seen(found: Tail, alone: np.ndarray, pfa: float, few: bool) -> Tail | None:
    """The tail through the lone pixels that were seen, where the fit is off; None where it holds.

    Background comes alone, targets come in groups: so many pixels without a neighbour above a threshold tell the
    rate there whatever share of the scene is targets.
    """
    n = found.samples
    rate = max(pfa, _HELD_AGAINST_PX / n)
    want = n * rate * (1.0 - rate) ** 8
    level = found.threshold(rate)
    have = np.count_nonzero((alone[:, 0] > level) & (alone[:, 1] <= level))
    off, scatter = (_OFF_FEW, 3.0 * math.sqrt(want)) if few else (_OFF, 0.0)
    beyond = found.threshold(pfa)
    # where the sample shows the rate, of a few levels nothing is better known than that
    shown = few and n * pfa >= _SHOWN_PX
    if not shown and want / off - scatter <= have <= want * off + scatter and not (found.shape > _STEEP and beyond > _FAR_OUT):
        return None
    upper = min(max(10.0 * rate, 1e-3), 0.02)
    far, close = (_lone_threshold(alone, n * r * (1.0 - r) ** 8) for r in (rate, upper))
    if far is None or close is None or not far > close:
        return None
    return Tail(u=close, share=upper, scale=(far - close) / math.log(upper / rate), shape=0.0, samples=n)


def _lone_threshold(alone: np.ndarray, count: float) -> float | None:
    """The highest threshold above which ``count`` pixels stand alone; None where there is none."""
    z, pairs = np.sort(alone[:, 0])[::-1], np.sort(np.minimum(alone[:, 0], alone[:, 1]))[::-1]
    lone = np.arange(1, z.size + 1) - np.searchsorted(-pairs, -z, side="right")
    enough = np.flatnonzero(lone >= count)
    return float(z[enough[0]]) if enough.size else None
