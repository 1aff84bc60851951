"""The far tail of a detector's score on background: a generalised Pareto fit that targets do not bend.

A scene's scores are background plus an unknown share of targets, which lie further out.  The fit is made on the
scores between the level that a small share of the background exceeds (1 %, less where there are samples enough for
a far threshold) and a cut, as a *truncated* generalised Pareto, so
that what lies beyond the cut has no say; the cut is then moved to where the fit expects only a few more
background pixels, and so on until it stays.  Coles, An Introduction to Statistical Modeling of Extreme Values
(2001), section 4.3.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

#: The share of the background that the tail describes: the smaller, the less it is bent by the distribution's body, but
#: LEAST_SAMPLES must be left to fit.
LEAST_TAIL, MOST_TAIL = 0.002, 0.02
LEAST_SAMPLES = 2500
#: The cut is where this many pixels of the background are expected to lie beyond.
BEYOND = 5.0
#: The scale of a tail in which every score is the same.
FLAT = 0.05
#: The shape's prior, and the bounds within which it is sought: at a bound there is no fit.
SHAPE, SHAPE_SIGMA = 0.05, 0.2
LEAST_SHAPE, MOST_SHAPE = -0.5, 1.0
#: No score is called rarer than this (a log): so far out no tail is known.
RAREST = 50.0
_ROUNDS = 12
_BINS = 400


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """P(score > u + y) = share (1 + shape y / scale)^(-1/shape) for background, y >= 0."""

    u: float
    share: float
    scale: float
    shape: float
    samples: int

    def threshold(self, pfa: float) -> float:
        """The score that a background pixel exceeds with probability ``pfa``; at most ``share``."""
        ratio = pfa / self.share
        if ratio >= 1.0:
            return self.u
        if abs(self.shape) < 1e-6:
            return self.u - self.scale * math.log(ratio)
        return self.u + self.scale * math.expm1(-self.shape * math.log(ratio)) / self.shape

    def rarity(self, score: float, pfa: float) -> float:
        """The log of how many times rarer a background pixel exceeds a score than with ``pfa``, from 0 to RAREST.

        A clutter's reaches x with a chance of e^(-x): it is given that it exceeds the threshold of ``pfa``.
        """
        if not score > self.u:
            return 0.0
        y = (score - self.u) / self.scale
        fall = y if abs(self.shape) < 1e-6 else math.log(max(1.0 + self.shape * y, 1e-300)) / self.shape
        return min(max(fall + math.log(pfa / self.share), 0.0), RAREST)


def fit(scores: np.ndarray, pfa: float, resolution: float = 0.0, shape_sigma: float = SHAPE_SIGMA) -> Tail:
    """The tail of a sample of scores (any shape; NaN left out) that may hold targets, to be asked at about ``pfa``.

    Args:
        resolution: the step in which the scores of whole-number data come; a tail that is all one value is given
            half of it as its scale.
        shape_sigma: how far the shape may lie from SHAPE, one sigma, before the sample insists: less where the sample
            holds little to tell it from.

    Raises:
        ValueError: fewer than 1,000 scores.
    """
    z = scores[np.isfinite(scores)]
    n = z.size
    if n < 1000:
        raise ValueError("fewer than 1,000 scores")
    want = min(max(LEAST_TAIL, LEAST_SAMPLES / n, 5.0 * pfa), max(0.01, min(2.0 * pfa, MOST_TAIL)))
    top = np.sort(np.partition(z, n - n // 10)[n - n // 10 :]).astype(np.float64)
    # where to begin: an exponential tail through the 90th percentile and the 95th (the median and the 90th, where whole
    # numbers leave nothing between those), out to one pixel in 10,000
    u, v, middle = top[0], top[-(n // 20)], float(np.median(z))
    body = max((u - middle) / math.log(5.0), 1e-9)
    scale0 = (v - u) / math.log(2.0)
    scale0 = body if scale0 < 0.05 * body else scale0
    cut = u + scale0 * math.log(0.1 / 1e-4)
    shape, scale = 0.0, scale0
    for _ in range(_ROUNDS):
        inside = top[: np.searchsorted(top, cut, side="right")]
        background = n - (top.size - inside.size)
        # the tail's share of the background, less the few that lie beyond the cut
        k = min(max(int(want * background - BEYOND), 50), inside.size - 1)
        u = inside[-k - 1]
        excess = inside[-k:] - u
        if not excess[-1] > 0.0:
            # two grey levels, or a flat sea: nothing varies that a tail could be fitted to
            return Tail(u=float(u), share=float(k / background), scale=max(resolution / 2.0, FLAT), shape=0.0, samples=n)
        scale, shape = _truncated(excess, cut - u, scale, shape, shape_sigma)
        held = 1.0 - float(_survival(cut - u, scale, shape))
        share = float(k / max(held, 0.5) / background)
        tail = Tail(u=float(u), share=share, scale=scale, shape=shape, samples=n)
        further = tail.threshold(min(BEYOND / background, share / 20.0))
        if abs(further - cut) <= 1e-3 * (cut - u):
            break
        if further > cut:
            # what is found on the way must be what the fit expects there, else it is targets that begin here
            expected = share * background * float(_survival(cut - u, scale, shape) - _survival(further - u, scale, shape))
            found = int(np.searchsorted(top, further, side="right")) - inside.size
            if found > 2.0 * expected + 10.0:
                break
        cut = further
    return tail


def _survival(y: np.ndarray | float, scale: float, shape: float) -> np.ndarray:
    if abs(shape) < 1e-6:
        return np.exp(-np.asarray(y) / scale)
    return np.maximum(1.0 + shape * np.asarray(y) / scale, 1e-12) ** (-1.0 / shape)


def _truncated(excess: np.ndarray, width: float, scale: float, shape: float, shape_sigma: float) -> tuple[float, float]:
    """Most likely (scale, shape) of a generalised Pareto cut off at ``width``, from counts in bins."""
    from scipy.optimize import minimize

    width = max(width, float(excess.max()) * 1.0001)
    inner = np.quantile(excess, np.linspace(0.0, 1.0, min(_BINS, excess.size // 8 + 8))[1:-1])
    edges = np.unique(np.concatenate(([0.0], inner, [width])))
    counts = np.histogram(excess, edges)[0]

    start = np.array([math.log(max(scale, 1e-9)), shape])

    def cost(p: np.ndarray) -> float:
        if not LEAST_SHAPE <= p[1] <= MOST_SHAPE or abs(p[0] - start[0]) > 30.0:
            return 1e12
        s, xi = math.exp(p[0]), p[1]
        alive = _survival(edges, s, xi)
        mass = np.maximum(alive[:-1] - alive[1:], 1e-300)
        total = max(float(alive[0] - alive[-1]), 1e-300)
        # a prior keeps a small sample's shape sane
        return float(-(counts * np.log(mass / total)).sum() + 0.5 * ((xi - SHAPE) / shape_sigma) ** 2)

    found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-3, "maxiter": 400})
    return math.exp(found.x[0]), float(found.x[1])
