"""Loitering: slow for hours without standing still (``model.Loiter``), on the common grid.

At each point of the grid the mean speed of the window (an hour) before it is taken (it needs all of its steps); a run of points
at which it is slow is loitering once it has lasted and more than half of its points are away from where it was first slow.  So
what came to an anchorage and stays there is none.  It begins with the first of these windows.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from tracking.events.grid import Sample, Samples
from tracking.events.model import Loiter


def steps_of(rule: Loiter, grid_s: int) -> int:
    """Steps of the grid in a window."""
    return max(1, int(rule.window_s // grid_s))


class Run(msgspec.Struct):
    """Loitering: first and last point, points, sums of their places and speeds, the drift, points between near fixes."""

    first_g: int
    last_g: int
    ax: float
    ay: float
    az: float
    is_one: bool = False
    n: int = 0
    away: int = 0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    speed_mps: float = 0.0
    drift_m: float = 0.0
    seen: float = 0.0

    def take(self, s: Sample, rule: Loiter, grid_s: int) -> None:
        """One point more; once it is loitering it stays so."""
        dx, dy, dz = s.x - self.ax, s.y - self.ay, s.z - self.az
        drift_m = math.sqrt(dx * dx + dy * dy + dz * dz)
        self.drift_m = max(self.drift_m, drift_m)
        self.away += drift_m > rule.drift_m
        self.last_g = s.g
        self.n += 1
        self.x += s.x
        self.y += s.y
        self.z += s.z
        self.speed_mps += s.speed_mps if s.before else 0.0
        self.seen += s.seen
        self.is_one |= (self.last_g - self.first_g) * grid_s >= rule.least_s and 2 * self.away > self.n


def loitering(s: Samples, rule: Loiter, grid_s: int) -> list[tuple[int, Run]]:
    """(place of its last sample, run) of all loitering, by vessel and time."""
    n, hour = len(s.g), steps_of(rule, grid_s)
    if n <= hour:
        return []
    # the mean of the steps of the window that end at each sample, added in order; NaN where one is missing
    total = s.speed_mps[: n - hour + 1]
    for k in range(1, hour):
        total = total + s.speed_mps[k : n - hour + 1 + k]
    slow = np.zeros(n, bool)
    with np.errstate(invalid="ignore"):
        slow[hour - 1 :] = total / hour < rule.speed_mps
    # so many steps need one sample more in a row of one vessel: a step is NaN at the first of a row
    starts = np.flatnonzero(slow & ~np.concatenate(([False], slow[:-1] & s.before[1:])))
    ends = np.flatnonzero(slow & ~np.concatenate((slow[1:] & s.before[1:], [False])))
    long = (ends - starts + hour) * grid_s >= rule.least_s
    starts, ends = starts[long], ends[long]
    # summed one after the other, as ``Run.take`` does
    columns = np.stack((s.x, s.y, s.z, np.where(s.before, s.speed_mps, 0.0), s.seen), axis=1)
    out = []
    for a, b in zip(*(x.tolist() for x in _ever_away(s, starts, ends, rule, hour)), strict=True):
        part = slice(a - hour, b + 1)
        run = _run(s, a, part, rule, grid_s)
        if run.is_one:
            x, y, z, speed_mps, seen = columns[part].cumsum(axis=0)[-1].tolist()
            run.x, run.y, run.z, run.speed_mps, run.seen = x, y, z, speed_mps, seen
            out.append((b, run))
    return out


def _run(s: Samples, a: int, part: slice, rule: Loiter, grid_s: int) -> Run:
    """What ``Run.take`` makes of the samples of a run, without the sums; ``a`` is the first slow one."""
    first_g, n = int(s.g[part.start]), part.stop - part.start
    at = float(s.x[a]), float(s.y[a]), float(s.z[a])
    dx, dy, dz = s.x[part] - at[0], s.y[part] - at[1], s.z[part] - at[2]
    drift_m = np.sqrt(dx * dx + dy * dy + dz * dz)
    away, taken = np.cumsum(drift_m > rule.drift_m), np.arange(1, n + 1)
    is_one = bool((((taken - 1) * grid_s >= rule.least_s) & (2 * away > taken)).any())
    return Run(first_g, first_g + n - 1, *at, is_one=is_one, n=n, away=int(away[-1]), drift_m=float(drift_m.max()))


def _ever_away(
    s: Samples, starts: np.ndarray, ends: np.ndarray, rule: Loiter, hour: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Of the runs (first slow and last sample), those of which at some point after an hour most was away."""
    if not len(starts):
        return starts, ends
    count = ends - starts + hour + 1
    begin = np.cumsum(count) - count
    at = np.arange(int(count.sum())) + np.repeat(starts - hour - begin, count)
    d = [p[at] - np.repeat(p[starts], count) for p in (s.x, s.y, s.z)]
    vote = np.where(d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > (rule.drift_m * 0.999) ** 2, 1, -1)
    total = np.cumsum(vote)
    total -= np.repeat(total[begin] - vote[begin], count)
    # within the first hour no run is long enough
    total[np.arange(len(total)) - np.repeat(begin, count) < hour] = -1
    ever = np.maximum.reduceat(total, begin) > 0
    return starts[ever], ends[ever]


class Loitering(msgspec.Struct):
    """The same for one vessel, sample by sample."""

    rule: Loiter
    grid_s: int
    hour: list[Sample] = []
    run: Run | None = None

    def add(self, s: Sample) -> Run | None:
        """Take the next sample; the loitering that it ended."""
        if not s.before:
            ended, self.hour = self.end(), [s]
            return ended
        self.hour.append(s)
        steps = steps_of(self.rule, self.grid_s)
        if len(self.hour) <= steps:
            return None
        if len(self.hour) > steps + 1:
            del self.hour[0]
        total = self.hour[1].speed_mps
        for k in range(2, steps + 1):
            total = total + self.hour[k].speed_mps
        if not total / steps < self.rule.speed_mps:
            return self._ended()
        if self.run is None:
            self.run = Run(self.hour[0].g, self.hour[0].g, s.x, s.y, s.z)
            for earlier in self.hour[:-1]:
                self.run.take(earlier, self.rule, self.grid_s)
        self.run.take(s, self.rule, self.grid_s)
        return None

    def end(self) -> Run | None:
        """No sample follows the last one: what lasted has ended."""
        self.hour = []
        return self._ended()

    def _ended(self) -> Run | None:
        run, self.run = self.run, None
        return run if run is not None and run.is_one else None

    @property
    def lasting(self) -> Run | None:
        """The loitering under way."""
        return self.run if self.run is not None and self.run.is_one else None
