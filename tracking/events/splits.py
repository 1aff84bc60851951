"""Splits: two that travelled together, stand together or go on together for as long as they will, and part.

Whose co-travel has ended is followed on (``Rest``), at rest and under way, until the two are seen parted, travel together
anew, are not seen for ``Split.within_s``, or until ``Split.rest_s`` is over.  A point of the grid lies between two fixes of
each, at other times of the one than of the other, and is interpolated: something that speeds, stops or turns in between is
off it by no more than it can have gone since the nearer of the two fixes.  Parted are two that are further from each other
than that allows of both, by two fixes of each: one may be false.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from tracking.events.grid import Sample
from tracking.events.model import Rules
from tracking.events.runs import PairRun

#: Where one was at a point of the grid; None where that is not known.
At = Callable[[int], Sample | None]
#: So much faster than it was seen to go on average between two fixes it may have gone.
_FASTER = 1.5
#: What it may have gone at between two fixes that do not show all that is between them.
_UNSEEN_MPS = 20.0
#: Of the distance at which two have parted, what something at rest may have moved between two fixes.
_RESTING = 0.25


class Parted(msgspec.Struct, frozen=True):
    """Two have parted.

    Args:
        last_g, g: points of the grid: when they were last together, and when they were first seen parted.
        distance_m, apart_m: from each other then, and how much more that is than when they were last together.
        x, y, z: between them where they were last together.
        place_m: how far each may have been from there.
        gone_m: how far each was from there when they were seen parted.
    """

    last_g: int
    g: int
    distance_m: float
    apart_m: float
    x: float
    y: float
    z: float
    place_m: float
    gone_m: tuple[float, float]


class Rest(msgspec.Struct):
    """Two whose co-travel has ended and that have not parted, up to ``judged_g``; ``seen_g``: both were seen, not parted.

    ``gone``: they look parted since, and were not seen near each other again; ``by_s`` are the times of the fixes of each by
    which they do: one of them may be false.
    """

    run: PairRun
    judged_g: int
    seen_g: int
    gone: Parted | None = None
    by_s: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, run: PairRun) -> Rest:
        """After a co-travel."""
        return cls(run, run.last_g, run.last_g)

    def go_on(self, a: At, b: At, g: int, rules: Rules) -> tuple[Parted | None, bool]:
        """(how they parted, whether they are followed any longer) up to a point of the grid, everything before it known."""
        rule = rules.split
        within, end_g = int(rule.within_s // rules.grid_s), self.run.last_g + int(rule.rest_s // rules.grid_s)
        while self.judged_g < g:
            self.judged_g += 1
            if self.judged_g > min(end_g, self.seen_g + within):
                return None, False
            one, two = a(self.judged_g), b(self.judged_g)
            if one is None or two is None:
                continue
            surplus_m = self._surplus_m(a, b, one, two, rules)
            by_s = one.g * rules.grid_s + one.off_s, two.g * rules.grid_s + two.off_s
            if surplus_m <= 0.0:
                self.gone = None
            if surplus_m <= sum(self._unsure_m(one, two, rules)):
                self.seen_g = self.judged_g
            elif self.gone is None:
                self.gone, self.by_s = self._told(a, b, one, two, rules), by_s
            elif by_s[0] > self.by_s[0] and by_s[1] > self.by_s[1]:
                return self.gone, False
        return None, True

    def _surplus_m(self, a: At, b: At, one: Sample, two: Sample, rules: Rules) -> float:
        """By how much one is further from where the other just came along, by their lag, than who is together."""
        together_m = self.run.last_m + rules.split.apart_m
        apart_m = _apart(one, two)
        if apart_m <= together_m:
            return apart_m - together_m
        back = min(1.0, (abs(self.run.lag_s / self.run.n) + rules.cotravel.lag_tolerance_s) / rules.grid_s)
        return min(_behind(one, a(one.g - 1), two, back), _behind(two, b(two.g - 1), one, back)) - together_m

    def _unsure_m(self, one: Sample, two: Sample, rules: Rules) -> tuple[float, float]:
        """How far each may have been from its interpolated place."""
        legs_m = (one.speed_mps * rules.seen_s / one.seen, two.speed_mps * rules.seen_s / two.seen)
        if all(leg_m <= _RESTING * rules.split.apart_m for leg_m in legs_m):
            return legs_m  # both were where they are before, and are there after
        fastest = _FASTER * max([self.run.fastest_mps, *(s.speed_mps for s in (one, two) if s.speed_mps >= 0.0)])
        unseen = _UNSEEN_MPS if min(one.seen, two.seen) < 1.0 else 0.0  # the mean of a stop and a motorway says of neither
        return _off_m(one, max(fastest, unseen)), _off_m(two, max(fastest, unseen))

    def _told(self, a: At, b: At, one: Sample, two: Sample, rules: Rules) -> Parted:
        """From where they are seen parted back to where they were as near as who travels together, or began to part."""
        away_m, begun = _apart(one, two), None
        first = max(self.run.first_g, self.judged_g - int(rules.split.within_s // rules.grid_s))
        least_m = away_m
        for g in range(one.g - 1, first - 1, -1):
            p, q = a(g), b(g)
            if p is None or q is None:
                continue
            d = _apart(p, q)
            if begun is not None and d >= least_m:
                break
            begun, least_m = (p, q), d
            if d <= rules.cotravel.radius_m:
                break
        p, q = begun if begun is not None else (one, two)
        x, y, z = (p.x + q.x) / 2.0, (p.y + q.y) / 2.0, (p.z + q.z) / 2.0
        gone_m = math.dist((one.x, one.y, one.z), (x, y, z)), math.dist((two.x, two.y, two.z), (x, y, z))
        place_m = least_m / 2.0 + max(self._unsure_m(p, q, rules))
        return Parted(p.g, one.g, away_m, away_m - least_m, x, y, z, place_m, gone_m)


def _apart(one: Sample, two: Sample) -> float:
    return math.dist((one.x, one.y, one.z), (two.x, two.y, two.z))


def _off_m(s: Sample, fastest_mps: float) -> float:
    """How far something may have been from its interpolated place."""
    return abs(s.off_s) * (fastest_mps + (s.speed_mps if s.speed_mps >= 0.0 else fastest_mps))


def _behind(lead: Sample, before: Sample | None, other: Sample, most: float) -> float:
    """How far one is from the last step of another, back to ``most`` of it (0 to 1)."""
    if before is None or not lead.before:
        return _apart(lead, other)
    ux, uy, uz = before.x - lead.x, before.y - lead.y, before.z - lead.z
    px, py, pz = other.x - lead.x, other.y - lead.y, other.z - lead.z
    length2 = ux * ux + uy * uy + uz * uz
    back = min(max((px * ux + py * uy + pz * uz) / length2, 0.0), most) if length2 > 0.0 else 0.0
    return math.dist((px, py, pz), (back * ux, back * uy, back * uz))
