"""How far one receiver of a shipment is from another, and which way, where their reports are minutes apart.

Between two reports minutes apart a thing may go anywhere, so that one difference says little; but it is as likely to either
side, while a receiver that drifts is off the same way each time.  The mean of the differences, each weighed by what it may be
by chance and the older ones less, is held against its own variance.  Pure numbers, nothing of tracks.
"""

from __future__ import annotations

import math

import msgspec

#: Each new difference lessens the weight of the older ones by this; so many are asked for.
KEPT, LEAST = 0.85, 6
#: Of one pair of reports two differences are made, which share their errors.
SHARED = 1.5
#: A difference is taken to be no better known than this (m, one sigma), and counts for no more than MOST of its sigmas: what
#: went there and back between two reports is one such, and no drift.
SIGMA_M, MOST = 300.0, 4.0
#: Told of from so far apart (m): within that a train or a ship has its two ends; and from this NIS of the mean (chi-square, two
#: degrees of freedom: e^-15 by chance).  Over where it is half as far, or may well be nothing.
TOLD_M, TOLD_NIS, OVER = 1000.0, 30.0, 0.5


class Offset(msgspec.Struct, array_like=True):
    """The weighed sums of the differences (m, east and north), of their weights (1/m²) and of the squares of those by variance.

    ``off``: it is told of.
    """

    e: float = 0.0
    n: float = 0.0
    w: float = 0.0
    w2: float = 0.0
    count: int = 0
    off: bool = False

    def learn(self, e_m: float, n_m: float, r: float) -> None:
        """One more difference and its variance per axis, m²; whether it is ``off`` by now."""
        r = max(r, SIGMA_M**2)
        less = min(1.0, MOST * math.sqrt(r) / max(math.hypot(e_m, n_m), 1e-9))
        e_m, n_m = less * e_m, less * n_m
        self.e, self.n = KEPT * self.e + e_m / r, KEPT * self.n + n_m / r
        self.w, self.w2, self.count = KEPT * self.w + 1.0 / r, KEPT * KEPT * self.w2 + 1.0 / r, self.count + 1
        far_m, nis = self.far_m, self.nis
        if self.off:
            self.off = far_m >= OVER * TOLD_M and nis >= OVER * TOLD_NIS
        else:
            self.off = self.count >= LEAST and far_m >= TOLD_M and nis >= TOLD_NIS

    @property
    def far_m(self) -> float:
        """The length of the mean."""
        return math.hypot(self.e, self.n) / self.w

    @property
    def nis(self) -> float:
        """The mean's squared length over its variance per axis."""
        return self.far_m**2 * self.w * self.w / (SHARED * self.w2)
