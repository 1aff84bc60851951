"""Drift watch: whether forecasts miss by more, or less, of late than before, so that what was learned may hold no more.

Of the outcomes at one horizon the latest part is held against those before by the rank sum (Mann and Whitney, "On a test of
whether one of two random variables is stochastically larger than the other", 1947; title from memory): ranks, because misses
have long tails.  It is told where both the ranks say so beyond ``SURE`` and the median has changed by ``TIMES``: of thousands
of outcomes every small change is sure.  Outcomes of one track are alike, which the ranks do not know: hence three and not two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Standard deviations of the rank sum, and times the median, from which a change is told; fewest outcomes on each side.
SURE, TIMES, FEWEST = 3.0, 1.25, 20
#: Of the time that outcomes span, the latest so much is "of late" unless it is said since when.
LATE = 0.25


@dataclass(frozen=True)
class Drift:
    """Outcomes of late and before, the medians of how far they missed, standard deviations of the rank sum, what is told."""

    late: int
    before: int
    late_m: float
    before_m: float
    z: float
    changed: bool

    @property
    def times(self) -> float:
        """How many times the miss of before that of late is."""
        return self.late_m / max(self.before_m, 1e-9)


def drift(t_s: np.ndarray, miss_m: np.ndarray, since_s: float | None = None) -> Drift | None:
    """Outcomes since a time held against those before; None where too few are known on either side.

    Args:
        since_s: the beginning of "of late"; the last quarter of the time that they span unless given.
    """
    known = np.isfinite(miss_m)
    t_s, miss_m = t_s[known], miss_m[known]
    if not len(t_s):
        return None
    if since_s is None:
        since_s = float(t_s.max()) - LATE * float(t_s.max() - t_s.min())
    late = t_s >= since_s
    n, m = int(late.sum()), int((~late).sum())
    if min(n, m) < FEWEST:
        return None
    values, place, ties = np.unique(miss_m, return_inverse=True, return_counts=True)
    # the mean rank of equal ones
    rank = (np.cumsum(ties) - (ties - 1) / 2.0)[place]
    total = n + m
    spread = n * m / 12.0 * (total + 1 - float(np.sum(ties.astype(float) ** 3 - ties)) / (total * (total - 1)))
    u = float(rank[late].sum()) - n * (n + 1) / 2.0
    z = (u - n * m / 2.0) / math.sqrt(spread) if spread > 0.0 else 0.0
    late_m, before_m = float(np.median(miss_m[late])), float(np.median(miss_m[~late]))
    times = late_m / max(before_m, 1e-9)
    return Drift(n, m, late_m, before_m, z, abs(z) > SURE and not 1.0 / TIMES < times < TIMES)
