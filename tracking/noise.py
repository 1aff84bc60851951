"""How good a track's fixes really are: their resolution, and how far what they state of themselves is to be believed.

Three things are wrong with one stated sigma.  A device that prints its position to 0.01 minute has an error of up
to 9 m whatever it states.  Another states 4 m and is right to 1 m.  And a time stamp that is half a second off puts a
ship of 20 knots 5 m ahead of itself, along her course only.  The resolution is read off the numbers; for the other
two a few hypotheses run beside each other over the whole track, and the likelihood of the fixes says which holds.
"""

from __future__ import annotations

import msgspec
import numpy as np

from tracking.bank import Bank


class Noise(msgspec.Struct, frozen=True):
    """A hypothesis: the true sigma is ``scale`` × the stated one, the time stamps are off by ``clock_s`` (one sigma)."""

    scale: float
    clock_s: float


#: What lies still and states 4 m repeats itself to half a metre (0.12); what goes, to one, along its way as its clock has it.
NOISES: tuple[Noise, ...] = (Noise(0.12, 0.0), Noise(0.25, 0.5), Noise(1.0, 0.0), Noise(1.0, 0.5))
#: The logarithms of how likely each is to begin with: a device is what it says, until its fixes say otherwise.
PRIOR_LOG = np.log([0.025, 0.025, 0.475, 0.475])
#: A fix adds no more than this against a hypothesis (log density, 1/m²): one wild fix decides nothing.
LEAST_LOG = -25.0
#: How good fixes are is told by those that follow each other within so long, s: the longer it is, the more of what they differ
#: by may as well be the way, which explains any error (a parked van each 5 min: fixes of 5 m were taken to be good to 1.5).
TELLS_S = 60.0
#: Steps of coordinates that devices print, coarsest first: of a degree (decimals, seconds, decimals of a minute), of a metre.
STEPS_DEG: tuple[float, ...] = (1e-2, 0.1 / 60.0, 1e-3, 1.0 / 3600.0, 0.01 / 60.0, 1e-4, 0.1 / 3600.0, 0.001 / 60.0, 1e-5)
STEPS_M: tuple[float, ...] = (100.0, 10.0, 1.0)
#: A step is believed when so many fixes, on so many different steps, all lie on it to within a share of it or the last digit.
#: Different steps, not values: what stands, or goes along one meridian, within a metre of a round figure is on one step only.
STEP_FIXES, STEP_VALUES, STEP_SHARE, LAST_DEG, LAST_M = 8, 3, 0.01, 6e-7, 6e-4


def resolution(values: np.ndarray, *, geodetic: bool) -> np.ndarray:
    """The step (N,) on which a coordinate's values (N,) lie, as known from each and those before it; 0: on none."""
    steps, last = (STEPS_DEG, LAST_DEG) if geodetic else (STEPS_M, LAST_M)
    out = np.zeros(len(values))
    many = np.arange(len(values)) >= STEP_FIXES - 1
    for step in steps:
        nearest = np.round(values / step)
        off = np.abs(values - nearest * step)
        on = np.cumsum(off > max(STEP_SHARE * step, last)) == 0
        new = np.zeros(len(values), dtype=int)
        new[np.unique(nearest, return_index=True)[1]] = 1
        enough = many & (np.cumsum(new) >= STEP_VALUES)
        out = np.where((out == 0.0) & on & enough, step, out)
    return out


def covariance(bank: Bank, variance: np.ndarray, clock_s: np.ndarray) -> np.ndarray:
    """R (B, M, 2, 2) of fixes with a variance per axis (B, 2) whose time stamps are off by clock_s (B,): along the way."""
    v = bank.x[:, :, [1, 3]]
    r: np.ndarray = (
        variance[:, None, :, None] * np.eye(2) + (clock_s**2)[:, None, None, None] * v[..., :, None] * v[..., None, :]
    )
    return r


def shares(evidence: np.ndarray) -> np.ndarray:
    """The probabilities (Q, H) of hypotheses with the log-likelihoods (Q, H); under 1/100 is none."""
    w = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    w[w < 1e-2] = 0.0
    out: np.ndarray = w / w.sum(axis=1, keepdims=True)
    return out
