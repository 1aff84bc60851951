"""Positions at the points of the common grid (``Rules.grid_s``), interpolated between the two fixes around each.

Nothing is interpolated over a hole (``Rules.hole_s``); a fix on the grid is its own sample.  A sample's speed is that from
the sample before it, NaN where there is none.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from birddog.units import NS
from tracking.events.model import Rules
from tracking.events.tracks import AnyFix, Tracks


class Samples(msgspec.Struct):
    """Sorted by vessel and ``g`` (time in steps of the grid); ``before`` is true where g - 1 is the sample in front."""

    vessel: np.ndarray
    g: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    speed_mps: np.ndarray
    before: np.ndarray
    seen: np.ndarray
    off_s: np.ndarray


def samples(fixes: Tracks, rules: Rules) -> Samples:
    """All samples of many tracks; ``seen``, 0 to 1: 1 where the two fixes around are two steps of the grid apart or less;
    ``off_s`` is how much later than the point the nearer of them is."""
    grid_ns = rules.grid_ns
    t, n = fixes.time_ns, len(fixes.time_ns)
    if not n:
        none, ints = np.zeros(0), np.zeros(0, np.int64)
        return Samples(ints, ints, none, none, none, none, np.zeros(0, bool), none, none)
    g = t // grid_ns
    dt = np.zeros(n, np.int64)
    dt[1:] = t[1:] - t[:-1]
    dt[fixes.first[:-1][np.diff(fixes.first) > 0]] = 0
    inside = (dt > 0) & (dt <= rules.hole_ns)
    # of the step from fix i - 1 to fix i: the grid points after the one, up to and with the other; else the fix alone
    count = (g * grid_ns == t).astype(np.int64)
    count[1:] = np.where(inside[1:], g[1:] - g[:-1], count[1:])
    # the fix after each point, and the one before it: itself where there is none
    after = np.repeat(np.arange(n), count)
    before = after - inside[after]
    at = (g - np.cumsum(count) + 1)[after] + np.arange(len(after))
    w = (at * grid_ns - t[before]) / np.where(inside, dt, 1)[after]

    def on_grid(p: np.ndarray) -> np.ndarray:
        base = p[before]
        out: np.ndarray = base + w * (p[after] - base)
        return out

    x, y, z = on_grid(fixes.x), on_grid(fixes.y), on_grid(fixes.z)
    vessel = fixes.vessel[after]
    joined = np.zeros(len(at), bool)
    joined[1:] = (vessel[1:] == vessel[:-1]) & (at[1:] == at[:-1] + 1)
    speed = np.full(len(at), math.nan)
    dx, dy, dz = np.diff(x), np.diff(y), np.diff(z)
    step = np.sqrt(dx * dx + dy * dy + dz * dz) / rules.grid_s
    speed[1:] = np.where(joined[1:], step, math.nan)
    seen = rules.seen_s / np.maximum(np.where(inside, dt / NS, 0.0), rules.seen_s)
    at_ns = at * grid_ns
    since, until = at_ns - t[before], t[after] - at_ns
    off_s = np.where(since < until, -since, until) / NS
    return Samples(vessel, at, x, y, z, speed, joined, seen[after], off_s)


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One point of one vessel."""

    g: int
    x: float
    y: float
    z: float
    speed_mps: float
    before: bool
    seen: float
    off_s: float


class Sampler(msgspec.Struct, gc=False):
    """The same for one vessel, fix by fix; fixes are (ns, x, y, z)."""

    grid_s: int
    hole_ns: int
    fix: tuple[Any, ...] | None = None
    last: Sample | None = None

    def add(self, fix: AnyFix) -> list[Sample]:
        """The samples up to this fix, which comes after the one before."""
        old, self.fix = self.fix, fix
        t = fix[0]
        grid_ns = self.grid_s * NS
        g = t // grid_ns
        if old is None or not 0 < t - old[0] <= self.hole_ns:
            return [self._sample(g, fix[1], fix[2], fix[3], 1.0, 0.0)] if g * grid_ns == t else []
        first = old[0] // grid_ns + 1
        if first > g:
            return []
        dt, seen_s = t - old[0], 2.0 * self.grid_s
        out, seen = [], seen_s / max(dt / NS, seen_s)
        for at in range(first, g + 1):
            at_ns = at * grid_ns
            w = (at_ns - old[0]) / dt
            x, y, z = (old[i] + w * (fix[i] - old[i]) for i in (1, 2, 3))
            since, until = at_ns - old[0], t - at_ns
            out.append(self._sample(at, x, y, z, seen, (-since if since < until else until) / NS))
        return out

    def _sample(self, g: int, x: float, y: float, z: float, seen: float, off_s: float) -> Sample:
        last, before, speed = self.last, False, math.nan
        if last is not None and last.g + 1 == g:
            before = True
            dx, dy, dz = x - last.x, y - last.y, z - last.z
            speed = math.sqrt(dx * dx + dy * dy + dz * dz) / self.grid_s
        self.last = Sample(g, x, y, z, speed, before, seen, off_s)
        return self.last
