"""What may have a track's receiver besides what looks carry the track by, and how likely that is; ``bystanders`` finds it."""

from __future__ import annotations

import math

import msgspec

#: Less likely than this it is told no more.
TOLD = 0.05


class Beside(msgspec.Struct, frozen=True, array_like=True):
    """A contact that may have a track's receiver.

    Args:
        name: the contact's.
        odds: the log of the odds that it has it rather than the track, as of the newest fix, at fix_ns.
        met_ns, last_ns: when they began to stand together, and were last seen so.
        both_ns: the last look that showed both.
        new: it came into view where one of them was lost: only while that is not seen again.
    """

    name: str
    odds: float
    fix_ns: int
    met_ns: int
    last_ns: int
    both_ns: int
    new: bool = False

    @property
    def chance(self) -> float:
        """That it has the receiver by now."""
        had, t = 1.0 / (1.0 + math.exp(-self.odds)), self.last_ns - max(self.fix_ns, self.met_ns)
        if t <= 0:
            return had
        return had + (1.0 - had) * t / (self.last_ns - self.met_ns)

    @property
    def told(self) -> bool:
        """Whether a row holds it."""
        return self.chance >= TOLD
