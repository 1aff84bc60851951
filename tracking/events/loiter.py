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
    return _told(s, starts, ends, rule, grid_s, hour)


def _told(
    s: Samples, starts: np.ndarray, ends: np.ndarray, rule: Loiter, grid_s: int, hour: int
) -> list[tuple[int, Run]]:  # fmt: skip
    """What ``Run.take`` makes of the samples of runs (first slow and last sample), of those that are loitering."""
    if not len(starts):
        return []
    count = ends - starts + hour + 1
    begin = np.cumsum(count) - count
    of, taken = np.repeat(np.arange(len(starts)), count), np.arange(1, int(count.sum()) + 1) - np.repeat(begin, count)
    at = (starts - hour)[of] + taken - 1
    first = starts[of]
    dx, dy, dz = s.x[at] - s.x[first], s.y[at] - s.y[first], s.z[at] - s.z[first]
    drift_m = np.sqrt(dx * dx + dy * dy + dz * dz)
    away = np.cumsum(drift_m > rule.drift_m)
    away -= (away[begin] - (drift_m[begin] > rule.drift_m))[of]
    is_one = np.logical_or.reduceat(((taken - 1) * grid_s >= rule.least_s) & (2 * away > taken), begin)
    far_m = np.maximum.reduceat(drift_m, begin)
    # summed one after the other, as ``Run.take`` does
    columns = np.stack((s.x, s.y, s.z, np.where(s.before, s.speed_mps, 0.0), s.seen), axis=1)
    out = []
    for k in np.flatnonzero(is_one).tolist():
        a, b, n = int(starts[k]), int(ends[k]), int(count[k])
        g = int(s.g[a - hour])
        x, y, z, speed_mps, seen = columns[a - hour : b + 1].cumsum(axis=0)[-1].tolist()
        out.append((b, Run(
            g, g + n - 1, float(s.x[a]), float(s.y[a]), float(s.z[a]), True, n, int(away[begin[k] + n - 1]), x, y, z, speed_mps,
            float(far_m[k]), seen,
        )))  # fmt: skip
    return out


class Loitering(msgspec.Struct, gc=False):
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
