"""What is brighter than the mean of its scene by so many deviations: what it finds, by whom, paper and page.

Copy this to imagery/detectors/NAME.py: that is all.  The suite tests/conformance/test_detectors.py finds and judges
it; docs/imagery.md says when to use it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from imagery.detector import Dense, Sample

BANDS = "grey"
#: None: it sets its own threshold.
PFA = None
#: A pixel is judged by itself: it looks no further, and whatever window it is read in, its answer is the same.
GRID_PX = 64
HALO_PX = 64
BLIND_PX = 0
DEVIATIONS = 6.0


class Model(msgspec.Struct, frozen=True):
    """``mean`` and ``deviation`` of the scene's pixels."""

    mean: float
    deviation: float

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags."""
        return {"threshold": DEVIATIONS, "mean": self.mean, "deviation": self.deviation}


def fit(samples: list[Sample], pfa: float | None, quantum: float) -> Model:
    """The scene's model.

    Raises:
        ValueError: too few valid pixels, or all alike.
    """
    parts = []
    for x, valid, inner in samples:
        part = x[inner]
        parts.append(part.ravel() if valid is None else part[valid[inner]])
    pixels = np.concatenate(parts).astype(np.float64)
    if pixels.size < 1000:
        raise ValueError("fewer than 1,000 valid pixels")
    if not pixels.std() > 0.0:
        raise ValueError("all its pixels are alike")
    return Model(float(pixels.mean()), float(pixels.std()))


def respond(x: np.ndarray, valid: np.ndarray | None, model: Model) -> Dense:
    """Scores of a window ``(h, w)``."""
    scores = ((x - np.float32(model.mean)) / np.float32(model.deviation)).astype(np.float32)
    over = scores > DEVIATIONS
    if valid is not None:
        over &= valid
    return Dense(scores=scores, over=over, judged=valid)
