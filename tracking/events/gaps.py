"""Gaps: a silence longer than an hour, and whether it looks as if something was switched off (``model.Gap``).

A silence that others share is bad reception; one that only this vessel keeps, though it used to report, is not.  How many
were heard near by is counted in cubes of ``near_m`` and steps of the grid: in the 27 cubes around the last fix and the five
whole steps after it (of an hour, with the reference's grid).  The vessel itself is silent then: what is counted is others.
"""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np

from birddog.geo import R_MEAN_M
from birddog.units import NS
from tracking.events.model import Gap, Rules
from tracking.events.sphere import BLOCK
from tracking.events.tracks import AnyFix, Tracks

#: Whole steps of the grid after the beginning of a silence in which others are counted.
STEPS = 5
#: A cube and those that touch it.
_AROUND = tuple(itertools.product((-1, 0, 1), repeat=3))
#: Slots (a power of two) of the table that says of most empty cubes that they are.
_SLOTS = 1 << 20


class Gaps(msgspec.Struct):
    """Places of the last fix before and the first after (-1: none yet), the usual interval and how many make it, ``heard``
    (-1: not asked, the silence is not unusual)."""

    before: np.ndarray
    after: np.ndarray
    habit_ns: np.ndarray
    known: np.ndarray
    heard: np.ndarray


def gaps(fixes: Tracks, rules: Rules, now_ns: int) -> Gaps:
    """All gaps of many tracks, by vessel and time.

    Args:
        now_ns: the time of the data's end; a silence that lasts then is a gap with no end.
    """
    rule = rules.gap
    t, n = fixes.time_ns, len(fixes.time_ns)
    last = np.zeros(n, bool)
    last[fixes.first[1:][np.diff(fixes.first) > 0] - 1] = True
    silence = np.empty(n, np.int64)
    np.subtract(t[1:], t[:-1], out=silence[:-1])
    silence[last] = now_ns - t[last]
    before = np.flatnonzero(silence > int(rule.least_s * NS))
    # the intervals before each, those that are not there sorted to the end
    place = before[:, None] - np.arange(1, rule.intervals + 1)
    there = place >= fixes.first[fixes.vessel[before]][:, None]
    own = np.sort(np.where(there, silence[np.maximum(place, 0)], np.iinfo(np.int64).max), axis=1)
    known = there.sum(axis=1)
    row = np.arange(len(before))
    low, high = np.maximum(known - 1, 0) // 2, np.minimum(known // 2, rule.intervals - 1)
    habit = np.where(known > 0, (own[row, low] + own[row, high]) / 2, 0.0)
    odd = np.flatnonzero((known >= rule.habit) & (silence[before] > rule.times * habit))
    heard = np.full(len(before), -1)
    if len(odd):
        heard[odd] = Heard(fixes, rules).near(*(p[before[odd]] for p in (t, fixes.x, fixes.y, fixes.z)))
    return Gaps(before, np.where(last[before], -1, before + 1), habit, known, heard)


def unusual(silence_ns: int, habit_ns: float, known: int, rule: Gap) -> bool:
    """Whether a silence is long beside the own last intervals."""
    return known >= rule.habit and silence_ns > rule.times * habit_ns


def median(values: list[int]) -> float:
    """The middle one, or the mean of two; 0 of none."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2 if n else 0.0


def _cells(p: np.ndarray, size_m: float) -> np.ndarray:
    return np.floor((p + R_MEAN_M) / size_m).astype(np.int64) + 1


class Heard:
    """The fixes of all, sorted by cell and step of the grid."""

    def __init__(self, fixes: Tracks, rules: Rules):
        rule, self._grid_ns = rules.gap, rules.grid_ns
        self._size_m, self._side = rule.near_m, int(2.0 * R_MEAN_M / rule.near_m) + 4
        t = fixes.time_ns
        self._first = int(t.min()) // self._grid_ns
        self._steps = int(t.max()) // self._grid_ns - self._first + STEPS + 2
        self._any, self._keys = np.zeros(_SLOTS, bool), np.empty(len(t), np.int64)
        for k in range(0, len(t), BLOCK):
            part = slice(k, k + BLOCK)
            cell = self._cell(*(_cells(p[part], self._size_m) for p in (fixes.x, fixes.y, fixes.z)))
            self._any[cell & (_SLOTS - 1)] = True
            self._keys[part] = cell * self._steps + (t[part] // self._grid_ns - self._first)
        self._keys.sort()

    def _cell(self, i: np.ndarray, j: np.ndarray, k: np.ndarray) -> np.ndarray:
        cell: np.ndarray = (i * self._side + j) * self._side + k
        return cell

    def near(self, time_ns: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Fixes heard in the hour after each time around each point."""
        i, j, k = (_cells(p, self._size_m) for p in (x, y, z))
        cell, step = self._cell(i, j, k), time_ns // self._grid_ns - self._first
        total = np.zeros(len(time_ns), np.int64)
        # in the order of the keys: each search is near the one before
        order = np.argsort(cell * self._steps + step)
        cell, step = cell[order], step[order]
        for di, dj, dk in _AROUND:
            other = cell + ((di * self._side + dj) * self._side + dk)
            # most cubes around hold nobody ever
            some = np.flatnonzero(self._any[other & (_SLOTS - 1)])
            key = other[some] * self._steps + step[some]
            first = np.searchsorted(self._keys, key, "right")
            # most hold nobody then: whether there is one is seen at its place, before the other end is looked for
            held = np.flatnonzero(self._keys[np.minimum(first, len(self._keys) - 1)] <= key + STEPS)
            some, key, first = some[held], key[held], first[held]
            total[order[some]] += np.maximum(np.searchsorted(self._keys, key + STEPS, "right") - first, 0)
        return total


class Hearing(msgspec.Struct):
    """The same while fixes come in: counts by step and cell, forgotten after ``keep`` steps."""

    rule: Gap
    grid_ns: int
    keep: int = 72
    steps: dict[int, dict[str, int]] = {}

    @property
    def oldest(self) -> int:
        """Of what began in this step of the grid or after it everything that was heard is kept."""
        return max(self.steps) - self.keep if self.steps else 0

    def add(self, fix: AnyFix, by: int = 1) -> None:
        """One fix (ns, x, y, z) of anybody; ``by`` -1: it was none."""
        step = fix[0] // self.grid_ns
        counts = self.steps.get(step)
        if counts is None:
            counts = self.steps[step] = {}
            for old in [s for s in self.steps if s < step - self.keep]:
                del self.steps[old]
        i, j, k = self._cell(fix)
        cell = f"{i},{j},{k}"
        counts[cell] = counts.get(cell, 0) + by

    def _cell(self, fix: AnyFix) -> tuple[int, int, int]:
        near_m, floor = self.rule.near_m, math.floor
        return (
            floor((fix[1] + R_MEAN_M) / near_m) + 1, floor((fix[2] + R_MEAN_M) / near_m) + 1,
            floor((fix[3] + R_MEAN_M) / near_m) + 1,
        )  # fmt: skip

    def near(self, fix: AnyFix) -> int:
        """Fixes heard in the hour after a fix around it."""
        (i, j, k), step, total = self._cell(fix), fix[0] // self.grid_ns, 0
        for later in range(1, STEPS + 1):
            counts = self.steps.get(step + later)
            if counts:
                total += sum(counts.get(f"{i + di},{j + dj},{k + dk}", 0) for di, dj, dk in _AROUND)
        return total
