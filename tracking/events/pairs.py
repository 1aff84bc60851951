"""Events of two: encounters and co-travel, from samples of both at the same points of the grid (``Rules.grid_s``).

Each rule has two halves: what makes a point good (``meetings``, ``company`` for arrays through the spatial index; ``meets``,
``follows`` for two samples), and a fold over a pair's good points in order of time (``Meeting``, ``Company``), which both
forms share.  A point is *settled* for a pair when both vessels have a fix at or after it, or have been silent for longer
than is interpolated over; until the points after the last good one are settled, the event lasts.

Over 400 lines: one subject, two in company, as arrays and one by one.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from tracking.events.grid import Sample, Samples
from tracking.events.model import SLACK, Cotravel, Encounter, Rules
from tracking.events.near import Near
from tracking.events.runs import PairRun, Point
from tracking.events.splits import At, Parted, Rest


class Points(msgspec.Struct):
    """Good points of many pairs, sorted by pair and time; ``a < b`` are vessels."""

    a: np.ndarray
    b: np.ndarray
    g: np.ndarray
    distance_m: np.ndarray
    lag_s: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    seen: np.ndarray
    speed_mps: np.ndarray

    def lots(self, farthest: int, least: int) -> list[tuple[int, int]]:
        """(begin, end) of points of one pair with no more than ``farthest`` steps between two, of at least ``least``."""
        if not len(self.g):
            return []
        new = np.ones(len(self.g), bool)
        new[1:] = (self.a[1:] != self.a[:-1]) | (self.b[1:] != self.b[:-1]) | (self.g[1:] - self.g[:-1] > farthest)
        begin = np.flatnonzero(new)
        end = np.append(begin[1:], len(self.g))
        long = end - begin >= least
        return list(zip(begin[long].tolist(), end[long].tolist(), strict=True))

    def run(self, begin: int, end: int) -> PairRun:
        """Some of them as one run: what ``PairRun.take`` makes of one after the other (cumsum adds in that order)."""
        part = slice(begin, end)
        x, y, z, d, seen = (float(np.cumsum(c[part])[-1]) for c in (self.x, self.y, self.z, self.distance_m, self.seen))
        first, last, least = int(self.g[begin]), int(self.g[end - 1]), float(self.distance_m[part].min())
        last_m, fastest = float(self.distance_m[end - 1]), float(self.speed_mps[part].max())
        return PairRun(first, last, end - begin, x, y, z, d, least, 0.0, seen, last_m=last_m, fastest_mps=fastest)

    def points(self, begin: int, end: int) -> list[Point]:
        """Some of them, one by one."""
        rows = (self.g, self.distance_m, self.lag_s, self.x, self.y, self.z, self.seen, self.speed_mps)
        return [Point(*row) for row in zip(*(column[begin:end].tolist() for column in rows), strict=True)]


class _Some(msgspec.Struct):
    """Some samples of all, with where each was a step before."""

    vessel: np.ndarray
    g: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    speed_mps: np.ndarray
    seen: np.ndarray
    bx: np.ndarray
    by: np.ndarray
    bz: np.ndarray


def _some(s: Samples, at: np.ndarray) -> _Some:
    return _Some(
        s.vessel[at], s.g[at], s.x[at], s.y[at], s.z[at], s.speed_mps[at], s.seen[at], s.x[at - 1], s.y[at - 1], s.z[at - 1]
    )  # fmt: skip


def _latlon(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def _all(parts: list[_Some]) -> _Some:
    return _Some(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Some.__struct_fields__))


def _looked(g: np.ndarray, fold: Meeting | Company) -> np.ndarray:
    """Points of the grid at which who is near whom is looked for at all: each run has one of its good points at one of these.

    A run is of ``least`` good points or more, ``farthest`` steps or less from one to the next: of so many points of the grid in
    a row within it at least one is good.
    """
    looked: np.ndarray = g % max(1, fold.least - fold.farthest + 1) < fold.farthest
    return looked


def _about(lots: list[Samples], a: np.ndarray, b: np.ndarray, g: np.ndarray, fold: Meeting | Company) -> tuple[_Some, int]:
    """(samples of first all a's then all b's, how many of each) at the points about those where two were found near each other:
    every point of a run that one of those belongs to is there.

    Args:
        a, b: the vessels of each pair found, ``a < b``.
    """
    if not len(g):
        return _some(lots[0], np.zeros(0, np.int64)), 0
    order = np.lexsort((g, b, a))
    a, b, g = a[order], b[order], g[order]
    away = max(1, fold.least - fold.farthest + 1) + fold.farthest
    new = np.ones(len(g), bool)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1]) | (g[1:] - g[:-1] > 2 * away)
    begin = np.flatnonzero(new)
    low, high = g[begin] - away, g[np.append(begin[1:], len(g)) - 1] + away
    count = high - low + 1
    at = np.repeat(low - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
    a, b = np.repeat(a[begin], count), np.repeat(b[begin], count)
    lot, row = _rows(lots, np.concatenate((a, b)), np.concatenate((at, at)))
    n = len(at)
    both = np.flatnonzero((row[:n] >= 0) & (row[n:] >= 0))
    which, row = (np.concatenate((p[:n][both], p[n:][both])) for p in (lot, row))
    parts = [(np.flatnonzero(which == k), lot) for k, lot in enumerate(lots)]
    place = np.argsort(np.concatenate([k for k, _ in parts]))
    s = _all([_some(lot, row[k]) for k, lot in parts])
    return _Some(*(getattr(s, name)[place] for name in _Some.__struct_fields__)), len(both)


def _rows(lots: list[Samples], vessel: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lot, row in it) of the samples of vessels at points of the grid; the row is -1 where there is none."""
    where, row = np.zeros(len(g), np.int64), np.full(len(g), -1)
    for k, lot in enumerate(lots):
        if not len(lot.g):
            continue
        asked = np.flatnonzero((vessel >= lot.vessel[0]) & (vessel <= lot.vessel[-1]))
        first, last = int(lot.g.min()), int(lot.g.max())
        asked = asked[(g[asked] >= first) & (g[asked] <= last)]
        if not len(asked):
            continue
        keys = lot.vessel * (last - first + 1) + (lot.g - first)
        wanted = vessel[asked] * (last - first + 1) + (g[asked] - first)
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        where[asked], row[asked] = k, np.where(keys[found] == wanted, found, -1)
    return where, row


def _points(s: _Some, i: np.ndarray, j: np.ndarray, d: np.ndarray, lag_s: np.ndarray) -> Points:
    """Of samples i and j of two vessels each; of one pair at one time the nearest alone."""
    turn = s.vessel[i] > s.vessel[j]
    i, j, lag_s = np.where(turn, j, i), np.where(turn, i, j), np.where(turn, -lag_s, lag_s)
    a, b, g = s.vessel[i], s.vessel[j], s.g[i]
    order = np.lexsort((lag_s, d, g, b, a)) if lag_s.any() else np.lexsort((g, b, a))
    i, j, d, lag_s = i[order], j[order], d[order], lag_s[order]
    keep = np.ones(len(i), bool)
    keep[1:] = (i[1:] != i[:-1]) | (j[1:] != j[:-1])
    i, j, d, lag_s = i[keep], j[keep], d[keep], lag_s[keep]
    x, y, z = ((p[i] + p[j]) / 2.0 for p in (s.x, s.y, s.z))
    seen, speed = np.minimum(s.seen[i], s.seen[j]), np.maximum(s.speed_mps[i], s.speed_mps[j])
    return Points(s.vessel[i], s.vessel[j], s.g[i], d, lag_s, x, y, z, seen, speed)


def meetings(lots: list[Samples], rules: Rules) -> Points:
    """Every point of every run at which two are slow and near, and some of others."""
    rule, fold = rules.encounter, Meeting(rules.encounter, rules.grid_s)
    reach = rule.radius_m * SLACK
    parts = []
    for lot in lots:
        with np.errstate(invalid="ignore"):
            slow = np.flatnonzero(lot.speed_mps < rule.speed_mps)
        parts.append(_some(lot, slow[_looked(lot.g[slow], fold)]))
    s = _all(parts)
    first, second = [], []
    for i, j in Near(s.g, *_latlon(s.x, s.y, s.z), reach).own_pairs():
        near = _apart(s, i, j) <= reach
        first.append(i[near])
        second.append(j[near])
    i, j = _joined(first), _joined(second)
    s, n = _about(lots, np.minimum(s.vessel[i], s.vessel[j]), np.maximum(s.vessel[i], s.vessel[j]), s.g[i], fold)
    i = np.arange(n)
    d = _apart(s, i, i + n)
    with np.errstate(invalid="ignore"):
        i = np.flatnonzero((d <= reach) & (s.speed_mps[:n] < rule.speed_mps) & (s.speed_mps[n:] < rule.speed_mps))
    return _points(s, i, i + n, d[i], np.zeros(len(i)))


def _apart(s: _Some, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    dx, dy, dz = s.x[i] - s.x[j], s.y[i] - s.y[j], s.z[i] - s.z[j]
    apart: np.ndarray = np.sqrt(dx * dx + dy * dy + dz * dz)
    return apart


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def meets(a: Sample, b: Sample, rule: Encounter) -> Point | None:
    """The point of two samples at one time, if it is good; the vessels in their order."""
    if not (a.speed_mps < rule.speed_mps and b.speed_mps < rule.speed_mps):
        return None
    dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
    d = math.sqrt(dx * dx + dy * dy + dz * dz)
    return _point(a, b, d, 0.0) if d <= rule.radius_m * SLACK else None


def apart(a: At, b: At, g: int, rules: Rules) -> bool:
    """Whether two were seen apart within ``apart_s`` before a point of the grid, without a point missing since.

    Args:
        a, b: where each was at a point; None where that is not known.
    """
    reach2 = (rules.encounter.radius_m * SLACK) ** 2
    for at in range(g - 1, g - 1 - int(rules.encounter.apart_s // rules.grid_s), -1):
        one, two = a(at), b(at)
        if one is None or two is None:
            return False
        dx, dy, dz = one.x - two.x, one.y - two.y, one.z - two.z
        if dx * dx + dy * dy + dz * dz > reach2:
            return True
    return False


def _point(a: Sample, b: Sample, d: float, lag_s: float) -> Point:
    middle = ((a.x + b.x) / 2.0, (a.y + b.y) / 2.0, (a.z + b.z) / 2.0)
    return Point(a.g, d, lag_s, *middle, min(a.seen, b.seen), max(a.speed_mps, b.speed_mps))


def company(lots: list[Samples], rules: Rules) -> Points:
    """Every point of every run at which two move and one is near where the other has just come along, and some of others."""
    rule, fold = rules.cotravel, Company(rules.cotravel, rules.grid_s)
    reach = rule.radius_m
    parts = []
    for lot in lots:
        with np.errstate(invalid="ignore"):
            moving = np.flatnonzero(lot.speed_mps > rule.speed_mps)
        parts.append(_some(lot, moving[_looked(lot.g[moving], fold)]))
    s = _all(parts)
    first, second = [], []
    ux, uy, uz = s.bx - s.x, s.by - s.y, s.bz - s.z
    step = np.sqrt(ux * ux + uy * uy + uz * uz)
    lat, lon = _latlon(s.x, s.y, s.z)
    # the middle of the leader's last step is within half of it and the radius: leaders by lengths of step, doubling
    size = np.maximum(0, np.ceil(np.log2(np.maximum(step, 1.0) / (4.0 * reach)))).astype(int)
    for k in np.flatnonzero(np.bincount(size)).tolist():
        a = np.flatnonzero(size == k)
        middle = _latlon(*((p[a] + b[a]) / 2.0 for p, b in ((s.x, s.bx), (s.y, s.by), (s.z, s.bz))))
        for q, j in Near(s.g, lat, lon, reach + 2.0 * reach * 2.0**k).pairs(s.g[a], *middle):
            i = a[q]
            other = s.vessel[i] != s.vessel[j]
            i, j = i[other], j[other]
            near = _to_step(s, i, j)[0] <= reach
            first.append(i[near])
            second.append(j[near])
    i, j = _joined(first), _joined(second)
    s, n = _about(lots, np.minimum(s.vessel[i], s.vessel[j]), np.maximum(s.vessel[i], s.vessel[j]), s.g[i], fold)
    with np.errstate(invalid="ignore"):
        both = np.flatnonzero((s.speed_mps[:n] > rule.speed_mps) & (s.speed_mps[n:] > rule.speed_mps))
    i, j = np.concatenate((both, both + n)), np.concatenate((both + n, both))
    d, back = _to_step(s, i, j)
    near = d <= reach
    return _points(s, i[near], j[near], d[near], back[near] * rules.grid_s)


def _to_step(s: _Some, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distance of j from the last step of i, how far back along it: 0 at i, 1 a step ago)."""
    ux, uy, uz = s.bx[i] - s.x[i], s.by[i] - s.y[i], s.bz[i] - s.z[i]
    px, py, pz = s.x[j] - s.x[i], s.y[j] - s.y[i], s.z[j] - s.z[i]
    length2 = ux * ux + uy * uy + uz * uz
    back = np.minimum(np.maximum((px * ux + py * uy + pz * uz) / length2, 0.0), 1.0)
    dx, dy, dz = px - back * ux, py - back * uy, pz - back * uz
    return np.sqrt(dx * dx + dy * dy + dz * dz), back


def follows(
    a: Sample, before_a: Sample, b: Sample, before_b: Sample, rule: Cotravel, grid_s: int
) -> Point | None:  # fmt: skip
    """The point of two moving samples and those before them, if it is good; a positive lag: b comes behind a."""
    if not (a.speed_mps > rule.speed_mps and b.speed_mps > rule.speed_mps):
        return None
    ab, lag_ab = _to_one(a, before_a, b)
    ba, lag_ba = _to_one(b, before_b, a)
    found = [(d, lag) for d, lag in ((ab, lag_ab * grid_s), (ba, -(lag_ba * grid_s))) if d <= rule.radius_m]
    return _point(a, b, *min(found)) if found else None


def _to_one(a: Sample, before: Sample, b: Sample) -> tuple[float, float]:
    ux, uy, uz = before.x - a.x, before.y - a.y, before.z - a.z
    px, py, pz = b.x - a.x, b.y - a.y, b.z - a.z
    length2 = ux * ux + uy * uy + uz * uz
    back = min(max((px * ux + py * uy + pz * uz) / length2, 0.0), 1.0)
    dx, dy, dz = px - back * ux, py - back * uy, pz - back * uz
    return math.sqrt(dx * dx + dy * dy + dz * dz), back


class Meeting(msgspec.Struct, tag="encounter"):
    """The encounters of a pair: runs of good points without one missing, long enough from the first to the last."""

    rule: Encounter
    grid_s: int
    run: PairRun | None = None

    @property
    def farthest(self) -> int:
        """Steps from one good point to the next of a run."""
        return 1

    @property
    def least(self) -> int:
        """Points of the shortest."""
        return math.ceil(self.rule.least_s / self.grid_s) + 1

    def add(self, p: Point) -> PairRun | None:
        """Take the next good point; the encounter that had ended before it."""
        ended = self.settle(p.g - 1)
        if self.run is None:
            self.run = PairRun(p.g, p.g, apart=p.apart)
        self.run.take(p)
        return ended

    def settle(self, g: int) -> PairRun | None:
        """No good point up to g follows: the encounter that has ended by that."""
        if self.run is None or g < self.run.last_g + self.farthest:
            return None
        ended, self.run = self.lasting, None
        return ended

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return self.run is None

    @property
    def lasting(self) -> PairRun | None:
        """The encounter under way."""
        run = self.run
        if run is None or (self.rule.apart_s and not run.apart):
            return None
        return run if (run.last_g - run.first_g) * self.grid_s >= self.rule.least_s else None


class Company(msgspec.Struct, tag="cotravel"):
    """The co-travel of a pair: runs of good points at one lag.

    As with a stop, each point's lag is within the tolerance of the mean of those before it, and what breaks a run before it
    was long enough makes it begin anew at its second point: at most ``least`` points are kept for that.

    ``rest``: those of the newest that has ended, until they part (``splits``) or the next is long enough.
    """

    rule: Cotravel
    grid_s: int
    run: PairRun | None = None
    waiting: list[Point] = []
    rest: Rest | None = None

    @property
    def farthest(self) -> int:
        """Steps from one good point to the next of a run."""
        return int(self.rule.missing_s // self.grid_s)

    @property
    def least(self) -> int:
        """Points of the shortest: each stands for a step of moving."""
        return max(1, math.ceil(self.rule.least_s / self.grid_s))

    def add(self, p: Point) -> PairRun | None:
        """Take the next good point; the co-travel that had ended before it."""
        ended = self.settle(p.g - 1)
        if self.run is not None:
            if abs(p.lag_s - self.run.lag_s / self.run.n) <= self.rule.lag_tolerance_s:
                self.run.take(p)
                return ended
            ended, self.run = self.run, None
            self.rest = Rest.of(ended)
        self.waiting.append(p)
        while not self._at_one_lag():
            del self.waiting[0]
        if len(self.waiting) >= self.least:
            self.run = PairRun(self.waiting[0].g, p.g)
            for earlier in self.waiting:
                self.run.take(earlier)
            self.waiting, self.rest = [], None
        return ended

    def _at_one_lag(self) -> bool:
        total = self.waiting[0].lag_s
        for n, p in enumerate(self.waiting[1:], 1):
            if not abs(p.lag_s - total / n) <= self.rule.lag_tolerance_s:
                return False
            total += p.lag_s
        return True

    def settle(self, g: int) -> PairRun | None:
        """No good point up to g follows: the co-travel that has ended by that."""
        last = self.run.last_g if self.run is not None else self.waiting[-1].g if self.waiting else None
        if last is None or g < last + self.farthest:
            return None
        ended, self.run, self.waiting = self.run, None, []
        if ended is not None:
            self.rest = Rest.of(ended)
        return ended

    def part(self, a: At, b: At, g: int, rules: Rules) -> tuple[PairRun, Parted] | None:
        """The co-travel whose two are seen parted by a point of the grid, everything before which is known, and how."""
        if self.rest is None:
            return None
        run, (parted, goes_on) = self.rest.run, self.rest.go_on(a, b, g, rules)
        if not goes_on:
            self.rest = None
        return (run, parted) if parted is not None else None

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return self.run is None and not self.waiting and self.rest is None

    @property
    def lasting(self) -> PairRun | None:
        """The co-travel under way."""
        return self.run
