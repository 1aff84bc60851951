"""What does not belong where it stands, in an optical picture: the Reed-Xiaoli (RX) detector about a local mean.

Each pixel's colours less their mean in a window about it, weighed by the inverse of the scene's covariance of
such differences, smoothed over 5 px; the score is the square root.  Reed, Yu, Adaptive multiple-band CFAR detection
of an optical pattern with unknown spectral distribution, IEEE Trans. ASSP 38(10), 1990.  The threshold comes from a
tail fitted as in ``cfar``: on land it says how rare such a pixel is in this scene, not how often the detector errs.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from imagery import tail
from imagery.detector import Dense, Sample

BANDS = "all"
PFA = 1e-3
GRID_PX = 64
HALO_PX = 64
#: Half the window of the local mean, and of the smoothing.
LOCAL_PX = 20
SMOOTH_PX = 2
BLIND_PX = LOCAL_PX + SMOOTH_PX
#: The covariance is learnt in rounds; after the first without this share of the pixels, the oddest.
_ROUNDS, _TRIMMED = 3, 0.05


class Model(msgspec.Struct, frozen=True):
    """``whiten`` (band, band): differences -> uncorrelated ones of unit variance."""

    whiten: np.ndarray
    tail: tail.Tail
    threshold: float

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags."""
        return {"threshold": self.threshold, "tail": msgspec.to_builtins(self.tail)}


def fit(samples: list[Sample], pfa: float, quantum: float) -> Model:
    """The scene's model.

    Raises:
        ValueError: too few valid pixels, or all alike.
    """
    whiten: np.ndarray | None = None
    for _ in range(_ROUNDS):
        whiten = _whitening(samples, whiten)
    assert whiten is not None
    scores = []
    for x, valid, inner in samples:
        s = _scores(x, valid, whiten)[inner]
        scores.append(s.ravel() if valid is None else s[valid[inner]])
    found = tail.fit(np.concatenate(scores), pfa)
    return Model(whiten=whiten, tail=found, threshold=found.threshold(pfa))


def respond(x: np.ndarray, valid: np.ndarray | None, model: Model) -> Dense:
    """Scores of a window ``(band, h, w)``."""
    scores = _scores(x, valid, model.whiten)
    over = scores > np.float32(model.threshold)
    if valid is not None:
        over &= valid
    return Dense(scores=scores, over=over, judged=valid)


# --- inside ---------------------------------------------------------------------------------------


def _whitening(samples: list[Sample], whiten: np.ndarray | None) -> np.ndarray:
    """From the covariance of the differences, without the _TRIMMED oddest pixels by the whitening before."""
    total, count = 0.0, 0
    for x, valid, inner in samples:
        d = _difference(x, valid)[(slice(None), *inner)]
        d = d.reshape(len(x), -1) if valid is None else d[:, valid[inner]]
        d = d.astype(np.float64)
        if whiten is not None and d.shape[1]:
            odd = ((whiten @ d) ** 2).sum(axis=0)
            d = d[:, odd <= np.quantile(odd, 1.0 - _TRIMMED)]
        total = total + d @ d.T
        count += d.shape[1]
    if count < 900:
        raise ValueError("fewer than 1,000 valid pixels")
    values, vectors = np.linalg.eigh(total / count)
    # a band that copies another adds nothing but its rounding
    keep = values > 1e-6 * values[-1]
    if values[-1] <= 0.0:
        raise ValueError("all its pixels are alike")
    return (vectors[:, keep] / np.sqrt(values[keep])).T.astype(np.float32)


def _difference(x: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Each band less its mean over the valid pixels of the window about each pixel."""
    weight = np.ones(x.shape[1:], np.float32) if valid is None else valid.astype(np.float32)
    n = _box(weight, LOCAL_PX)
    out = np.stack([(band - _box(band * weight, LOCAL_PX) / np.maximum(n, 1.0)) for band in x])
    return out * weight


def _scores(x: np.ndarray, valid: np.ndarray | None, whiten: np.ndarray) -> np.ndarray:
    d = _difference(x, valid)
    squares = np.zeros(x.shape[1:], np.float32)
    for row in whiten:
        mixed = np.zeros(x.shape[1:], np.float32)
        for factor, band in zip(row, d, strict=True):
            mixed += factor * band
        mixed *= mixed
        squares += mixed
    weight = np.ones(x.shape[1:], np.float32) if valid is None else valid.astype(np.float32)
    return np.sqrt(_box(squares * weight, SMOOTH_PX) / np.maximum(_box(weight, SMOOTH_PX), 1.0))


def _box(a: np.ndarray, half: int) -> np.ndarray:
    """Sum of the (2 half + 1)² pixels about each, by doubling: the same order of additions everywhere."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (half, half)
        s = np.pad(a, pad)
        size, at, length, left = a.shape[axis], 0, 1, 2 * half + 1
        total: np.ndarray | None = None
        while left:
            if left & 1:
                part = s[at : at + size] if axis == 0 else s[:, at : at + size]
                total = part if total is None else total + part
                at += length
            left >>= 1
            if left:
                s = s[:-length] + s[length:] if axis == 0 else s[:, :-length] + s[:, length:]
                length *= 2
        assert total is not None
        a = total
    return a
