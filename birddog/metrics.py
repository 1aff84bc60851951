"""How good tracks are against the truth: GOSPA, OSPA, identity switches, NEES and NIS with their bounds, coverage of ellipses.

Positions are (n, 2) metres east and north in one local frame; covariances (n, 2, 2) in m².  Definitions:
GOSPA: Rahmathullah, Garcia-Fernandez, Svensson, "Generalized optimal sub-pattern assignment metric" (Fusion 2017),
with alpha = 2; OSPA: Schuhmacher, Vo, Vo, "A consistent metric for performance evaluation of multi-object filters"
(IEEE TSP 2008); identity switches: Bernardin, Stiefelhagen, "The CLEAR MOT metrics" (2008); NEES: Bar-Shalom, Li,
Kirubarajan, "Estimation with applications to tracking and navigation" (2001), section 5.4.  Held against Stone Soup's values
in the tests.
NumPy and SciPy are imported when a figure is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from birddog.units import CHI2_95_2D

if TYPE_CHECKING:
    import numpy as np

CUTOFF_M = 100.0
SWITCH_M = 60.0
#: An eigenvalue below this share of the larger one counts as zero, and so does an error below so many metres.
SINGULAR, NO_ERROR_M = 1e-12, 1e-9

Place = tuple[float, float]
Covariance = Sequence[Sequence[float]]


class Gospa(msgspec.Struct, frozen=True, kw_only=True):
    """One GOSPA value and what it is made of: ``value² = localisation + missed_cost + false_cost`` for p = 2.

    Args:
        value: metres.
        localisation, missed_cost, false_cost: the three parts, each in metres to the power p.
        missed, false: truths without a track, tracks without a truth.
        pairs: (index of the truth, index of the track, distance m) of those assigned nearer than c.
    """

    value: float
    localisation: float
    missed_cost: float
    false_cost: float
    missed: int
    false: int
    pairs: tuple[tuple[int, int, float], ...]


def gospa(truth: Sequence[Place], tracks: Sequence[Place], *, c_m: float = CUTOFF_M, p: float = 2.0) -> Gospa:
    """GOSPA with alpha = 2.

    Args:
        truth, tracks: (n, 2) and (m, 2) positions; either may be empty.
        c_m: the distance from which a pair is no pair, and each of the two costs c^p / 2.

    Raises:
        ValueError: a position is not finite or of another shape, or c or p is not positive.
    """
    if not c_m > 0.0 or not p >= 1.0:
        raise ValueError("wants c > 0 and p >= 1")
    t, f = _places(truth), _places(tracks)
    pairs: list[tuple[int, int, float]] = []
    if len(t) and len(f):
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        d = _distances(t, f)
        for i, j in zip(*linear_sum_assignment(np.minimum(d, c_m) ** p), strict=True):
            if d[i, j] < c_m:
                pairs.append((int(i), int(j), float(d[i, j])))
    missed, false = len(t) - len(pairs), len(f) - len(pairs)
    localisation = math.fsum(d**p for _, _, d in pairs)
    half = c_m**p / 2.0
    return Gospa(
        value=(localisation + half * (missed + false)) ** (1.0 / p), localisation=localisation, missed_cost=half * missed,
        false_cost=half * false, missed=missed, false=false, pairs=tuple(pairs),
    )  # fmt: skip


def ospa(truth: Sequence[Place], tracks: Sequence[Place], *, c_m: float = CUTOFF_M, p: float = 2.0) -> float:
    """OSPA, metres: the mean over the larger set of the distance of each pair, at most c, and of c for whom none is left.

    0 for two empty sets, c where one of them is empty.

    Raises:
        ValueError: a position is not finite or of another shape, or c or p is not positive.
    """
    found = gospa(truth, tracks, c_m=c_m, p=p)
    most = max(len(truth), len(tracks))
    unpaired = most - len(found.pairs)
    return ((found.localisation + c_m**p * unpaired) / most) ** (1.0 / p) if most else 0.0


class IdSwitches:
    """Counts identity switches over time by the CLEAR-MOT rule.

    A truth keeps its last track while that is nearer than ``near_m``; the truths and tracks left are assigned by the
    least sum of distances below ``near_m``; a switch is counted when a truth's track is another than its last one.
    """

    def __init__(self, near_m: float = SWITCH_M):
        self.near_m = near_m
        self.count = 0
        self._last: dict[str, str] = {}

    def step(self, truth: Mapping[str, Place], tracks: Mapping[str, Place]) -> int:
        """The next time; returns the switches at it."""
        if not truth or not tracks:
            return 0
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        names, ids = list(truth), list(tracks)
        d = _distances(_places([truth[n] for n in names]), _places([tracks[i] for i in ids]))
        at = {track: j for j, track in enumerate(ids)}
        got: dict[str, str] = {}
        used: set[str] = set()
        for i, name in enumerate(names):
            last = self._last.get(name)
            if last in at and last not in used and d[i, at[last]] < self.near_m:
                got[name] = last
                used.add(last)
        rest = [i for i, name in enumerate(names) if name not in got]
        free = [j for j, track in enumerate(ids) if track not in used]
        switched = 0
        if rest and free:
            part = d[np.ix_(rest, free)]
            for a, b in zip(*linear_sum_assignment(np.where(part < self.near_m, part, 1e6)), strict=True):
                if part[a, b] < self.near_m:
                    name, track = names[rest[a]], ids[free[b]]
                    switched += name in self._last and self._last[name] != track
                    got[name] = track
        self._last.update(got)
        self.count += switched
        return switched


def id_switches(steps: Iterable[tuple[Mapping[str, Place], Mapping[str, Place]]], near_m: float = SWITCH_M) -> int:
    """Identity switches over (truth, tracks) at one time after another."""
    counter = IdSwitches(near_m)
    for truth, tracks in steps:
        counter.step(truth, tracks)
    return counter.count


def nees(error: Sequence[Place], covariance: Sequence[Covariance]) -> np.ndarray:
    """Normalised estimation error squared, e' P⁻¹ e, of each estimate; 2 in the mean where P is right.

    Where P is singular an error within its range is weighed there, and any error outside it is infinite: the estimate
    claimed to be certain.

    Args:
        error: (n, 2) metres.
        covariance: (n, 2, 2) m².

    Raises:
        ValueError: shapes differ, a value is not finite, or a P is no covariance (not symmetric, or negative).
    """
    import numpy as np

    e = _places(error)
    p = np.asarray(covariance, dtype=float).reshape(-1, 2, 2) if len(e) else np.zeros((0, 2, 2))
    if len(p) != len(e):
        raise ValueError(f"{len(e)} errors and {len(p)} covariances")
    if not np.isfinite(p).all():
        raise ValueError("a covariance is not finite")
    if not np.allclose(p[:, 0, 1], p[:, 1, 0], rtol=1e-6, atol=1e-9):
        raise ValueError("a covariance is not symmetric")
    out = np.zeros(len(e))
    for k in range(len(e)):
        values, axes = np.linalg.eigh(p[k])
        least = SINGULAR * max(values[1], 0.0)
        if values[0] < -max(least, 1e-9):
            raise ValueError(f"covariance {k} has the negative eigenvalue {values[0]:.3g}")
        along = axes.T @ e[k]
        for value, y in zip(values, along, strict=True):
            if value > least:
                out[k] += y * y / value
            elif abs(y) > NO_ERROR_M:
                out[k] = math.inf
    return out


def nis(innovation: Sequence[float], covariance: Covariance) -> float:
    """Normalised innovation squared, v' S⁻¹ v, of one measurement of any dimension; that dimension in the mean.

    Args:
        innovation: (k,) measured less predicted.
        covariance: (k, k) of the innovation, positive definite.

    Raises:
        ValueError: shapes differ, a value is not finite, or S is not positive definite.
    """
    import numpy as np

    v, s = np.asarray(innovation, dtype=float), np.asarray(covariance, dtype=float)
    if v.ndim != 1 or s.shape != (len(v), len(v)):
        raise ValueError(f"an innovation of shape {v.shape} and a covariance of {s.shape}")
    if not (np.isfinite(v).all() and np.isfinite(s).all()):
        raise ValueError("a value is not finite")
    try:
        half = np.linalg.solve(np.linalg.cholesky(s), v)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance is not positive definite") from None
    return float(half @ half)


def mean_bounds(count: int, *, dimension: int = 2, level: float = 0.95) -> tuple[float, float]:
    """Between what the mean of so many independent NEES or NIS lies with this probability, where the covariances are right.

    Source: Bar-Shalom, Li, Kirubarajan, section 5.4.2: count x mean is chi-squared of count x dimension.

    Raises:
        ValueError: no values, no dimension, or a level that is no probability.
    """
    from scipy.stats import chi2

    if count < 1 or dimension < 1 or not 0.0 < level < 1.0:
        raise ValueError("wants count and dimension of at least 1 and a level between 0 and 1")
    tail = (1.0 - level) / 2.0
    low, high = chi2.ppf([tail, 1.0 - tail], count * dimension)
    return float(low) / count, float(high) / count


def coverage(
    error: Sequence[Place], covariance: Sequence[Covariance], moving: Sequence[bool]
) -> dict[str, tuple[int, float | None]]:
    """How many, and the share inside their own 95 % ellipse: of ``all``, of what was ``moving``, of what was ``parked``.

    Args:
        error: (n, 2) metres.
        covariance: (n, 2, 2) m².
        moving: whether the truth moved, of each.

    Raises:
        ValueError: as of ``nees``, or another number of ``moving``.
    """
    if len(moving) != len(error):
        raise ValueError(f"{len(error)} errors and {len(moving)} words on whether it moved")
    inside = [bool(value <= CHI2_95_2D) for value in nees(error, covariance)]
    out: dict[str, tuple[int, float | None]] = {}
    for name, wanted in (("all", (True, False)), ("moving", (True,)), ("parked", (False,))):
        some = [one for one, moves in zip(inside, moving, strict=True) if bool(moves) in wanted]
        out[name] = len(some), (sum(some) / len(some) if some else None)
    return out


def inside_95(error: Sequence[Place], covariance: Sequence[Covariance]) -> float | None:
    """The share of estimates whose truth lies inside their own 95 % ellipse (NEES <= 5.991); None: no estimates."""
    found = nees(error, covariance)
    return float((found <= CHI2_95_2D).mean()) if len(found) else None


def rmse_m(distances_m: Sequence[float]) -> float | None:
    """Root of the mean square; None where there is nothing."""
    return math.sqrt(math.fsum(d * d for d in distances_m) / len(distances_m)) if distances_m else None


def _places(rows: Sequence[Place]) -> np.ndarray:
    import numpy as np

    if len(rows) == 0:
        return np.zeros((0, 2))
    out = np.asarray(rows, dtype=float)
    if out.ndim != 2 or out.shape[1] != 2:
        raise ValueError(f"wants (n, 2) positions, not {out.shape}")
    if not np.isfinite(out).all():
        raise ValueError("a position is not finite")
    return out


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    import numpy as np

    apart: np.ndarray = np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))
    return apart
