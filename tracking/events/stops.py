"""Stops: greedy maximal runs of fixes near their own mean (``model.Stop``), as shared data/predict/README.md defines them.

A run begins at a fix; the next one belongs to it while it lies within the radius of the mean of those before it and not
beyond a hole.  When one does not, a run that was long enough is a stop and the search goes on after it; else it begins anew
at the second fix of the run.  Whether a stop begins at a fix depends on the hour after it alone, which is what both forms
use: ``Stops`` keeps the fixes of the one run that may still become one, ``stops`` rules most fixes out by prefix sums and walks
only from the others.
"""

from __future__ import annotations

import msgspec
import numpy as np

from birddog.units import NS
from tracking.events.model import Stop
from tracking.events.tracks import AnyFix, Tracks

#: What rounding of prefix sums may make of a distance.
_ROUND_M = 1.0
#: Units that have walked so far, or are so few, walk alone.
_STEPS, _ALONE = 512, 16
#: Fixes of which those are looked for at which a run may begin: what a cache holds.
_AT_ONCE = 1 << 15


class Run(msgspec.Struct):
    """A stop: places of its first and last fix, whether a later one of its vessel is not of it; its mean is ``sum / n``."""

    first: int
    last: int
    broken: bool
    n: int
    x: float
    y: float
    z: float


def stops(fixes: Tracks, rule: Stop, wanted: np.ndarray | None = None) -> list[Run]:
    """All stops of many tracks, by vessel and time; ``broken`` is false where the vessel's fixes end in the run.

    Args:
        wanted: which fixes are asked about: every stop that begins at one of them is found, others perhaps.
    """
    if len(fixes.time_ns) < rule.least_fixes:
        return []
    begun, cut, before = [np.zeros(0, np.int64)], [], 0
    for lot in fixes.lots(_AT_ONCE):
        behind, n = before, len(lot.time_ns)
        before += n
        cut.append(_ends(lot, rule) + behind)
        if wanted is None:
            begun.append(_may_begin(lot, rule, np.arange(n)) + behind)
        elif (asked := wanted[behind:before]).any():
            # a unit that holds none of them is left out
            unit = np.searchsorted(cut[-1] - behind, np.arange(n), "right")
            begun.append(_may_begin(lot, rule, np.flatnonzero((np.bincount(unit, asked) > 0)[unit])) + behind)
    begins = np.concatenate(begun)
    if not len(begins) or (wanted is not None and not wanted[begins].any()):
        return []
    units = _Units(fixes, rule, begins, np.concatenate(cut), wanted)
    units.abreast()
    return units.found()


class _Units:
    """Stretches of one vessel that no run leaves, walked abreast: one step of all of them is one step of arrays.

    A run cannot hold two fixes in a row that are further apart than two radii: the one is within a radius of the mean
    before it, the other of the mean with it.  What walks for long, or almost alone, is left to ``_walk``.
    """

    def __init__(self, fixes: Tracks, rule: Stop, begins: np.ndarray, cuts: np.ndarray, wanted: np.ndarray | None = None):
        self.fixes, self.rule, self.cuts = fixes, rule, cuts
        self.t, self.x, self.y, self.z = fixes.time_ns, fixes.x, fixes.y, fixes.z
        #: the fixes at which a run may begin, and behind them the end of all
        self.begins = np.append(begins, len(self.t))
        cut = np.zeros(len(self.t) + 1, bool)
        cut[self.cuts] = True
        unit = np.cumsum(cut, dtype=np.int32)[begins]
        if wanted is not None:
            some = np.zeros(len(self.cuts) + 1, bool)
            some[unit[wanted[begins]]] = True
            begins, unit = begins[some[unit]], unit[some[unit]]
        first = np.ones(len(begins), bool)
        first[1:] = unit[1:] != unit[:-1]
        self.i = begins[first]
        self.end = self.cuts[unit[first]]
        self.runs: list[tuple[np.ndarray, ...]] = []
        self.single: list[Run] = []

    def abreast(self) -> None:
        """Walk all."""
        r2, hole = self.rule.radius_m * self.rule.radius_m, int(self.rule.hole_s * NS)
        t, x, y, z = self.t, self.x, self.y, self.z
        i, end = self.i, self.end
        j, c = i + 1, np.ones(len(i), np.int64)
        sx, sy, sz = x[i], y[i], z[i]
        while len(i) >= _ALONE:
            at = np.minimum(j, end - 1)
            px, py, pz = x[at], y[at], z[at]
            dx, dy, dz = px - sx / c, py - sy / c, pz - sz / c
            on = (j < end) & (dx * dx + dy * dy + dz * dz <= r2) & (t[at] - t[at - 1] <= hole)
            if on.all():
                sx, sy, sz, c, j = sx + px, sy + py, sz + pz, c + 1, j + 1
            else:
                off = np.flatnonzero(~on)
                sx, sy, sz = sx + np.where(on, px, 0.0), sy + np.where(on, py, 0.0), sz + np.where(on, pz, 0.0)
                c, j = c + on, j + on
                stopped = (t[j[off] - 1] - t[i[off]] >= self.rule.least_s * NS) & (c[off] >= self.rule.least_fixes)
                told = off[stopped]
                self.runs.append((i[told], j[told] - 1, c[told], sx[told], sy[told], sz[told]))
                i[off] = self.next(np.where(stopped, j[off], i[off] + 1))
                again = i[off]
                j[off], c[off] = again + 1, 1
                again = np.minimum(again, len(x) - 1)
                sx[off], sy[off], sz[off] = x[again], y[again], z[again]
            far = c >= _STEPS
            keep = (i < end) & ~far
            if not keep.all():
                for k in np.flatnonzero(far).tolist():
                    self._alone(int(i[k]), int(end[k]))
                i, end, j, c, sx, sy, sz = (a[keep] for a in (i, end, j, c, sx, sy, sz))
        for first, last in zip(i.tolist(), end.tolist(), strict=True):
            self._alone(first, last)

    def _alone(self, i: int, end: int) -> None:
        """Walk one unit from a beginning on."""
        while i < end:
            run = _walk(self.fixes, i, end, self.rule)
            if self.t[run.last] - self.t[i] >= self.rule.least_s * NS and run.n >= self.rule.least_fixes:
                self.single.append(run)
                i = int(self.next(run.last + 1))
            else:
                i = int(self.next(i + 1))

    def next(self, i: np.ndarray | int) -> np.ndarray:
        """The first fix from each on at which a run may begin; behind all fixes where none does."""
        found: np.ndarray = self.begins[self.begins.searchsorted(i)]
        return found

    def found(self) -> list[Run]:
        """The stops, in order."""
        columns = [np.concatenate(column).tolist() for column in zip(*self.runs, strict=True)] if self.runs else [[]] * 6
        out = [Run(i, last, False, n, x, y, z) for i, last, n, x, y, z in zip(*columns, strict=True)] + self.single
        out.sort(key=lambda run: run.first)
        ends = self.fixes.first[self.fixes.vessel[np.array([run.first for run in out], np.int64)] + 1]
        for run, end in zip(out, ends.tolist(), strict=True):
            run.broken = run.last + 1 < end
        return out


def _ends(fixes: Tracks, rule: Stop) -> np.ndarray:
    """Behind which fixes a stretch ends that no run leaves: the last of a vessel, and the one before a long step."""
    dx, dy, dz = np.diff(fixes.x), np.diff(fixes.y), np.diff(fixes.z)
    cut = np.ones(len(fixes.time_ns), bool)
    cut[:-1] = dx * dx + dy * dy + dz * dz > (2.0 * rule.radius_m + _ROUND_M) ** 2
    cut[:-1] |= fixes.vessel[1:] != fixes.vessel[:-1]
    ends: np.ndarray = np.flatnonzero(cut) + 1
    return ends


def _may_begin(fixes: Tracks, rule: Stop, some: np.ndarray) -> np.ndarray:
    """Those of some fixes at which a run of the least length may begin: none that does is left out."""
    t, x, y, z = fixes.time_ns, fixes.x, fixes.y, fixes.z
    r2 = (rule.radius_m + _ROUND_M) ** 2
    end = fixes.first[fixes.vessel + 1]
    hole = int(rule.hole_s * NS)
    some = some[some + max(rule.least_fixes - 1, 1) < end[some]]
    # the next fix is within the radius, and the one after it of the mean of both, and so on
    if rule.least_fixes > 1 and len(some):
        dx, dy, dz = (np.diff(p) for p in (x, y, z))
        near = (dx * dx + dy * dy + dz * dz <= r2) & (np.diff(t) <= hole)
        some = some[near[some]]
    # of all fixes, as most are asked about: whole columns cost less than some of their rows
    n, sums = len(t), [x, y, z]
    for k in range(2, rule.least_fixes):
        if not len(some):
            break
        sums = [s[: n - k] + p[k - 1 : n - 1] for s, p in zip(sums, (x, y, z), strict=True)]
        dx, dy, dz = (p[k:] - s / k for s, p in zip(sums, (x, y, z), strict=True))
        near = (dx * dx + dy * dy + dz * dz <= r2) & (t[k:] - t[k - 1 : n - 1] <= hole)
        some = some[near[some]]
    if not len(some):
        return some
    # the first fix that is so much later as a stop lasts, to the second
    seconds = (t - t.min()) // NS
    key = seconds + fixes.vessel.astype(np.int64) * (int(seconds.max()) + int(rule.least_s) + 2)
    later = np.searchsorted(key, key[some] + int(rule.least_s), "left")
    within = later < end[some]
    some, later = some[within], later[within]
    # half of the way to it, and it: within the radius of the mean so far, by prefix sums
    columns = [p - p[0] for p in (x, y, z)]
    sums = [np.concatenate(([0.0], np.cumsum(p))) for p in columns]
    for part in (2, 1):
        c = np.maximum((later - some) // part, 1)
        at = some + c
        d2 = np.zeros(len(some))
        for p, s in zip(columns, sums, strict=True):
            d = p[at] - (s[at] - s[some]) / c
            d2 += d * d
        keep = d2 <= r2
        some, later = some[keep], later[keep]
    return some


def _walk(fixes: Tracks, i: int, end: int, rule: Stop) -> Run:
    """The run that begins at fix i, in blocks that double."""
    r2, hole = rule.radius_m * rule.radius_m, int(rule.hole_s * NS)
    sx, sy, sz, c, j = float(fixes.x[i]), float(fixes.y[i]), float(fixes.z[i]), 1, i + 1
    block = 128
    while j < end:
        k = min(end, j + block)
        # cumsum adds one after the other, as one by one
        ax, ay, az = (np.cumsum(np.concatenate(([s], p[j:k]))) for s, p in ((sx, fixes.x), (sy, fixes.y), (sz, fixes.z)))
        m = np.arange(c, c + k - j)
        dx, dy, dz = fixes.x[j:k] - ax[:-1] / m, fixes.y[j:k] - ay[:-1] / m, fixes.z[j:k] - az[:-1] / m
        far = (dx * dx + dy * dy + dz * dz > r2) | (np.diff(fixes.time_ns[j - 1 : k]) > hole)
        at = int(np.argmax(far)) if far.any() else k - j
        sx, sy, sz, c, j = float(ax[at]), float(ay[at]), float(az[at]), c + at, j + at
        if j < k:
            break
        block *= 2
    return Run(i, j - 1, j < end, c, sx, sy, sz)


class Begun(msgspec.Struct, gc=False):
    """A stop under way: its first and last time, how many fixes, their sums, where its first one lay."""

    first_ns: int
    last_ns: int
    n: int
    x: float
    y: float
    z: float
    at: tuple[float, float, float]


class Stops(msgspec.Struct, gc=False):
    """The same for one vessel, fix by fix.

    While no stop is under way, ``fixes`` are those of the one run that may still become one, (time, x, y, z), and ``x y z``
    their sums.  When a fix does not belong to it the run begins anew at its second fix, over those that are kept: none that
    begins later can have been long enough before this fix, as the one that began earlier was not.
    """

    rule: Stop
    lasting: Begun | None = None
    last_ns: int | None = None
    fixes: list[tuple[int, float, float, float]] = []
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    def add(self, fix: AnyFix) -> Begun | None:
        """Take the next fix (ns, x, y, z, ...); the stop that it ended, if it did."""
        t, x, y, z = fix[0], fix[1], fix[2], fix[3]
        r2 = self.rule.radius_m * self.rule.radius_m
        ended = self.end() if self.last_ns is not None and t - self.last_ns > int(self.rule.hole_s * NS) else None
        self.last_ns = t
        stop = self.lasting
        if stop is not None:
            dx, dy, dz = x - stop.x / stop.n, y - stop.y / stop.n, z - stop.z / stop.n
            if dx * dx + dy * dy + dz * dz <= r2:
                self.lasting = Begun(stop.first_ns, t, stop.n + 1, stop.x + x, stop.y + y, stop.z + z, stop.at)
                return ended
            ended, self.lasting = stop, None
        fixes = self.fixes
        n = len(fixes)
        if n:
            dx, dy, dz = x - self.x / n, y - self.y / n, z - self.z / n
            if not dx * dx + dy * dy + dz * dz <= r2:
                self._anew(fix[:4], r2)
                self._made()
                return ended
        fixes.append(fix[:4])
        self.x, self.y, self.z = self.x + x, self.y + y, self.z + z
        self._made()
        return ended

    def _anew(self, fix: tuple[int, float, float, float], r2: float) -> None:
        """The run began at its first fix in vain: the first of the later ones from which it holds until now."""
        fixes = [*self.fixes, fix]
        for begin in range(1, len(fixes)):
            _, sx, sy, sz = fixes[begin]
            n = 1
            for _, x, y, z in fixes[begin + 1 :]:
                dx, dy, dz = x - sx / n, y - sy / n, z - sz / n
                if not dx * dx + dy * dy + dz * dz <= r2:
                    break
                sx, sy, sz, n = sx + x, sy + y, sz + z, n + 1
            else:
                self.fixes, self.x, self.y, self.z = fixes[begin:], sx, sy, sz
                return

    def _made(self) -> None:
        """The run is a stop once it is long enough."""
        fixes = self.fixes
        if fixes[-1][0] - fixes[0][0] >= self.rule.least_s * NS and len(fixes) >= self.rule.least_fixes:
            self.lasting = Begun(fixes[0][0], fixes[-1][0], len(fixes), self.x, self.y, self.z, fixes[0][1:4])
            self._clear()

    def _clear(self) -> None:
        self.fixes, self.x, self.y, self.z = [], 0.0, 0.0, 0.0

    def end(self) -> Begun | None:
        """No fix came within ``hole_s``: what lasted has ended."""
        ended, self.lasting = self.lasting, None
        self._clear()
        return ended
