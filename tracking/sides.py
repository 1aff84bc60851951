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
from tracking.kernel import APART_LEAST_M, APART_MOST_M, TURNS, sided

#: On one side for longer than this it is a stay, and what comes after it another matter, s.
PAUSE_S = 600.0
PAUSE_NS = int(PAUSE_S * NS)


class Sides(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The place of the newest fix and the one before it, in the track's frame (m, variance m² per axis), how often it went from
    one to the other, and when it last did.
    """

    changed_ns: int
    e: float
    n: float
    r: float
    other_e: float
    other_n: float
    other_r: float
    count: int = 0

    @property
    def apart_m(self) -> float:
        """How far the two places are apart."""
        return math.hypot(self.e - self.other_e, self.n - self.other_n)

    @property
    def torn(self) -> bool:
        """Whether it is two sources that disagree."""
        return self.count >= TURNS and APART_LEAST_M < self.apart_m <= APART_MOST_M

    @property
    def middle(self) -> tuple[float, float, float]:
        """(e, n, variance per axis) of a place between the two that covers both."""
        return (
            (self.e + self.other_e) / 2.0, (self.n + self.other_n) / 2.0, self.apart_m**2 / 12.0 + max(self.r, self.other_r)
        )  # fmt: skip


def after(old: Sides | None, time_ns: int, e_m: float, n_m: float, r: float) -> Sides:
    """The sides after one more fix."""
    if old is None:
        return Sides(time_ns, e_m, n_m, r, e_m, n_m, r)
    paused = time_ns - old.changed_ns > PAUSE_NS
    changed, e, n, v, other_e, other_n, other_r, count = sided(
        paused, e_m, n_m, r, old.e, old.n, old.r, old.other_e, old.other_n, old.other_r, old.count
    )
    return Sides(time_ns if changed else old.changed_ns, e, n, v, other_e, other_n, other_r, int(count))
