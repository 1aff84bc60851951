"""Fixes that come from the same two places in turn: two sources that steadily disagree, and no motion.

A phone indoors has a Wi-Fi position 250 m off and a satellite fix in turn; a train has a receiver at its front and one at its
rear; two devices report under one identity.  Each hop could have been driven, so no gate sees it; that the same two places
come again and again, and nothing between them, is what no journey does.  Reports: home-assistant/core#175663,
owntracks/talk#144, mendhak/gpslogger#562, gcobb321/icloud3_v3#336, pnbruckner/ha-composite-tracker#32.
"""

from __future__ import annotations

import math

import msgspec

from birddog.units import NS
from tracking.kernel import EVEN, FIX_LEAST, PLACE_LEAST, TORN_SAID, is_torn, sided

#: Two sources that are less apart than so many sigmas (squared) of the worse one's fixes may both be right.
SAID_NIS = 12.25


class Sides(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The place of the newest fix and the one before it, in the track's frame (m, variance m² per axis).

    Args:
        changed_ns: when it last went from one to the other; moved_ns: when it had moved last before the other was new.
        other_r: below 0 where there is no other place yet.
        count: how often it went from one to the other.
        sure, quick: how sure it is that this is no journey with stops, nor one that hardly stops or on which nothing is said
            (logs of odds).
        off: how many fixes in a row were at neither.
        every_s, even: how long it usually is from one fix to the next, and the share of those that come no later.
    """

    changed_ns: int
    moved_ns: int | None
    e: float
    n: float
    r: float
    other_e: float
    other_n: float
    other_r: float = -1.0
    count: int = 0
    sure: float = 0.0
    quick: float = 0.0
    off: int = 0
    every_s: float = 0.0
    even: float = EVEN

    @property
    def apart_m(self) -> float:
        """How far the two places are apart."""
        return math.hypot(self.e - self.other_e, self.n - self.other_n)

    @property
    def torn(self) -> bool:
        """Whether it is shown between two places."""
        return is_torn(self.count, self.sure, self.apart_m, self.r + self.other_r)

    @property
    def said(self) -> bool:
        """Whether it is two sources that disagree, beyond doubt: by more than the worse of them may be off for minutes."""
        least2 = SAID_NIS * max(self.r, self.other_r) / PLACE_LEAST
        return self.torn and min(self.sure, self.quick) >= TORN_SAID and self.apart_m**2 >= least2

    @property
    def place(self) -> tuple[float, float, float]:
        """(e, n, variance per axis) of the place of the newest fix."""
        return self.e, self.n, self.r / PLACE_LEAST

    @property
    def middle(self) -> tuple[float, float, float]:
        """(e, n, variance per axis) of a place between the two that covers both."""
        r = max(self.r, self.other_r) / PLACE_LEAST
        return (self.e + self.other_e) / 2.0, (self.n + self.other_n) / 2.0, self.apart_m**2 / 12.0 + r


def after(
    old: Sides | None, time_ns: int, dt_s: float, e_m: float, n_m: float, r: float, speed_mps: float, moved_ns: int | None
) -> Sides:
    """The sides after one more fix.

    Args:
        dt_s: since the fix before; r: the variance per axis that it states; speed_mps: that it states, else 0.
        moved_ns: when it moved last, before this fix.
    """
    if old is None:
        return Sides(time_ns, moved_ns, e_m, n_m, r + FIX_LEAST, e_m, n_m)
    did, e, n, v, other_e, other_n, other_r, count, sure, quick, off, every_s, even = sided(
        dt_s, (time_ns - old.changed_ns) / NS, e_m, n_m, r, speed_mps, old.e, old.n, old.r, old.other_e, old.other_n,
        old.other_r, old.count, old.sure, old.quick, old.off, old.every_s, old.even,
    )  # fmt: skip
    return Sides(
        time_ns if did & 1 else old.changed_ns, moved_ns if did & 2 else old.moved_ns, e, n, v, other_e, other_n, other_r,
        int(count), sure, quick, int(off), every_s, even,
    )  # fmt: skip
