"""Change between two scenes of one place: iteratively reweighted multivariate alteration detection (IR-MAD).

Canonical correlation finds the pairs of band mixtures of the two dates that agree best; their differences (the MAD
variates) do not care about gains and offsets of the sensors.  Z, the sum of their squares over their variances, is
chi-square on ground that did not change; each pixel is weighted by its probability of no change and the whole is
repeated until the correlations stay.  Nielsen, The regularized iteratively reweighted MAD method, IEEE Trans.
Image Processing 16(2), 2007.

The score is sqrt(Z).  The threshold is Otsu's on sqrt(Z): a nominal chi-square probability is no false-alarm rate
(docs/imagery.md), so none is taken.  Otsu always parts in two, and the larger change takes the threshold (issue 9,
section 7: 44 % of a scene in which nothing changed, a field hidden by one cloud).  So what stands far out counts as
no more than changed, and the threshold is never lower than where unchanged ground ends: Z of the quietest fifth says
how wide its chi-square is here.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from imagery.detector import Dense, Sample

BANDS = "pair"
PFA = None
GRID_PX = 64
HALO_PX = 64
BLIND_PX = 0

_ITERATIONS = 50
_SETTLED = 1e-6
_LEAST_PX = 1000
_BINS = 512
#: Unchanged ground: the share of it that may lie above the threshold, and the share of all that is surely unchanged.
_UNCHANGED_OVER, _UNCHANGED = 1e-5, 0.2
#: sqrt(Z) beyond so many times the end of what is unchanged says no more than "changed".
_SURELY = 3.0
#: Two scenes of one place have mixtures of their bands that agree better than this.
_LEAST_CORRELATION = 0.5


class Model(msgspec.Struct, frozen=True):
    """One linear map: a pixel's stacked bands (before, after) less ``mean`` -> MAD variates of unit variance.

    ``parted`` says that the threshold lies between two heaps; else it is the end of what is unchanged.
    """

    mean: np.ndarray
    mix: np.ndarray
    threshold: float
    parted: bool
    correlations: tuple[float, ...]
    iterations: int

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags."""
        return {"threshold": self.threshold, "parted": self.parted,
                "correlations": list(self.correlations), "iterations": self.iterations}


def fit(samples: list[Sample], pfa: float | None, quantum: float) -> Model:
    """The scene's model.

    Raises:
        ValueError: a false-alarm rate was asked for, too few valid pixels, bands that say nothing, or two scenes that
            have nothing in common.
    """
    from scipy.linalg import LinAlgError, eigh
    from scipy.stats import chi2

    if pfa is not None:
        raise ValueError("this detector of change sets its own threshold: leave --pfa out")
    parts = []
    for x, valid, inner in samples:
        part = x[(slice(None), *inner)]
        parts.append(part.reshape(len(x), -1) if valid is None else part[:, valid[inner]])
    pixels = np.concatenate(parts, axis=1).astype(np.float64) if parts else np.empty((0, 0))
    if pixels.shape[1] < _LEAST_PX:
        raise ValueError(f"fewer than {_LEAST_PX} valid pixels")
    p = pixels.shape[0] // 2
    weights = np.ones(pixels.shape[1])
    before = np.full(p, -1.0)
    iterations = 0
    while iterations < _ITERATIONS:
        iterations += 1
        mean = (pixels * weights).sum(axis=1) / weights.sum()
        centred = pixels - mean[:, None]
        spread = (centred * weights) @ centred.T / weights.sum()
        sxx, syy, sxy = spread[:p, :p], spread[p:, p:], spread[:p, p:]
        # bands that are mixtures of others leave nothing to invert: a hair of their own variance holds them apart
        sxx = sxx + np.eye(p) * (1e-9 * np.trace(sxx) / p)
        syy = syy + np.eye(p) * (1e-9 * np.trace(syy) / p)
        try:
            squares, a = eigh(sxy @ np.linalg.solve(syy, sxy.T), sxx)
        except (LinAlgError, np.linalg.LinAlgError) as error:
            raise ValueError("its bands are constant or copies of each other") from error
        rho = np.sqrt(np.clip(squares, 0.0, 1.0))
        b = np.linalg.solve(syy, sxy.T @ a)
        b /= np.sqrt(np.maximum(np.einsum("ij,ik,kj->j", b, syy, b), 1e-300))
        # eigh leaves the sign open: the two mixtures go the same way
        b *= np.sign(np.einsum("ij,ik,kj->j", a, sxy, b) + 1e-300)
        variance = np.maximum(2.0 * (1.0 - rho), 1e-9)
        mix = np.concatenate([a, -b]) / np.sqrt(variance)
        z = ((mix.T @ centred) ** 2).sum(axis=0)
        weights = np.maximum(chi2.sf(z, p), 1e-12)
        if np.abs(rho - before).max() < _SETTLED:
            break
        before = rho
    if not np.isfinite(mix).all():
        raise ValueError("its bands are constant or copies of each other")
    if rho.max() < _LEAST_CORRELATION:
        raise ValueError(f"its bands have nothing in common with the earlier scene's (they agree to {rho.max():.2f} at most)")
    # a scene against itself has no Z at all: chi-square as it stands is the narrowest
    wide = max(float(np.quantile(z, _UNCHANGED)) / float(chi2.ppf(_UNCHANGED, p)), 1.0)
    end = math.sqrt(wide * float(chi2.isf(_UNCHANGED_OVER, p)))
    between = otsu(np.minimum(np.sqrt(z), _SURELY * end))
    return Model(mean=mean.astype(np.float32), mix=mix.T.astype(np.float32), threshold=max(between, end), parted=between > end,
                 correlations=tuple(float(r) for r in rho), iterations=iterations)


def respond(x: np.ndarray, valid: np.ndarray | None, model: Model) -> Dense:
    """sqrt(Z) of a window ``(2 p, h, w)``."""
    scores = np.zeros(x.shape[1:], np.float32)
    # band by band: a matrix product adds in an order that depends on the window
    for row in model.mix:
        variate = np.zeros(x.shape[1:], np.float32)
        for k, factor in enumerate(row):
            variate += factor * (x[k] - model.mean[k])
        variate *= variate
        scores += variate
    np.sqrt(scores, out=scores)
    over = scores > np.float32(model.threshold)
    if valid is not None:
        over &= valid
    return Dense(scores=scores, over=over, judged=valid)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts a histogram into two groups with the most variance between them.

    Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9(1), 1979.
    """
    top = float(np.quantile(values, 0.9999))
    counts, edges = np.histogram(np.minimum(values, top), bins=_BINS, range=(0.0, max(top, 1e-12)))
    centres = (edges[:-1] + edges[1:]) / 2.0
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][int(np.nanargmax(np.where((below > 0) & (above > 0), between, 0.0)))])
