"""Positions at the points of the common grid (``model.GRID_S``), interpolated between the two fixes around each.

Nothing is interpolated over a hole (``model.HOLE_S``); a fix on the grid is its own sample.  A sample's speed is that from
the sample before it, NaN where there is none.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from birddog.units import NS
from tracking.events.model import GRID_NS, GRID_S, HOLE_S
from tracking.events.tracks import Tracks

HOLE_NS = HOLE_S * NS
#: Two fixes no further apart show all that is between them.
SEEN_S = 2 * GRID_S


class Samples(msgspec.Struct):
    """Sorted by vessel and ``g`` (time in steps of the grid); ``before`` is true where g - 1 is the sample in front."""

    vessel: np.ndarray
    g: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    speed_mps: np.ndarray
    before: np.ndarray
    wide_s: np.ndarray


def samples(fixes: Tracks) -> Samples:
    """All samples of many tracks; ``wide_s`` is how far apart the two fixes are."""
    t, n = fixes.time_ns, len(fixes.time_ns)
    if not n:
        none, ints = np.zeros(0), np.zeros(0, np.int64)
        return Samples(ints, ints, none, none, none, none, np.zeros(0, bool), none)
    g = t // GRID_NS
    dt = np.zeros(n, np.int64)
    dt[1:] = t[1:] - t[:-1]
    dt[fixes.first[:-1][np.diff(fixes.first) > 0]] = 0
    inside = (dt > 0) & (dt <= HOLE_NS)
    # of the step from fix i - 1 to fix i: the grid points after the one, up to and with the other; else the fix alone
    count = (g * GRID_NS == t).astype(np.int64)
    count[1:] = np.where(inside[1:], g[1:] - g[:-1], count[1:])
    at = np.repeat(g - np.cumsum(count) + 1, count) + np.arange(int(count.sum()))
    began = np.where(inside, t - dt, t)
    w = (at * GRID_NS - np.repeat(began, count)) / np.repeat(np.where(inside, dt, 1), count)
    place = []
    for p in (fixes.x, fixes.y, fixes.z):
        base = p.copy()
        base[1:] = np.where(inside[1:], p[:-1], p[1:])
        place.append(np.repeat(base, count) + w * np.repeat(p - base, count))
    vessel = np.repeat(fixes.vessel, count)
    joined = np.zeros(len(at), bool)
    joined[1:] = (vessel[1:] == vessel[:-1]) & (at[1:] == at[:-1] + 1)
    speed = np.full(len(at), math.nan)
    d = [np.diff(p) for p in place]
    step = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) / GRID_S
    speed[1:] = np.where(joined[1:], step, math.nan)
    return Samples(vessel, at, *place, speed, joined, np.repeat(np.where(inside, dt / NS, 0.0), count))


class Sample(msgspec.Struct, frozen=True):
    """One point of one vessel."""

    g: int
    x: float
    y: float
    z: float
    speed_mps: float
    before: bool
    wide_s: float

    @property
    def seen(self) -> float:
        """How well it was seen, 0 to 1: all of it where the fixes around are 20 minutes apart or less."""
        return min(1.0, SEEN_S / self.wide_s) if self.wide_s > 0.0 else 1.0


class Sampler(msgspec.Struct):
    """The same for one vessel, fix by fix; fixes are (ns, x, y, z)."""

    fix: tuple | None = None
    last: Sample | None = None

    def add(self, fix: tuple) -> list[Sample]:
        """The samples up to this fix, which comes after the one before."""
        old, self.fix = self.fix, fix
        t = fix[0]
        g = t // GRID_NS
        if old is None or not 0 < t - old[0] <= HOLE_NS:
            return [self._sample(g, fix[1], fix[2], fix[3], 0.0)] if g * GRID_NS == t else []
        dt = t - old[0]
        out = []
        for at in range(old[0] // GRID_NS + 1, g + 1):
            w = (at * GRID_NS - old[0]) / dt
            x, y, z = (old[i] + w * (fix[i] - old[i]) for i in (1, 2, 3))
            out.append(self._sample(at, x, y, z, dt / NS))
        return out

    def _sample(self, g: int, x: float, y: float, z: float, wide_s: float) -> Sample:
        last, before, speed = self.last, False, math.nan
        if last is not None and last.g + 1 == g:
            before = True
            dx, dy, dz = x - last.x, y - last.y, z - last.z
            speed = math.sqrt(dx * dx + dy * dy + dz * dz) / GRID_S
        self.last = Sample(g, x, y, z, speed, before, wide_s)
        return self.last
