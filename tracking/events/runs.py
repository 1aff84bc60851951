"""A good point of a pair, and a run of them: what an encounter or a co-travel is made of."""

from __future__ import annotations

import math

import msgspec


class Point(msgspec.Struct, frozen=True):
    """One good point of a pair: how far apart, how much later the second is (co-travel), where, how well both were seen.

    Args:
        speed_mps: of the faster of the two.
        apart: they had been apart before (``pairs.apart``), where that is asked.
    """

    g: int
    distance_m: float
    lag_s: float
    x: float
    y: float
    z: float
    seen: float
    speed_mps: float
    apart: bool = False


class PairRun(msgspec.Struct):
    """Good points that belong together: the first and last, how many, sums over them; ``apart`` of the first, ``last_m`` the
    distance at the last, ``fastest_mps`` of all."""

    first_g: int
    last_g: int
    n: int = 0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    distance_m: float = 0.0
    least_m: float = math.inf
    lag_s: float = 0.0
    seen: float = 0.0
    apart: bool = False
    last_m: float = 0.0
    fastest_mps: float = 0.0

    def take(self, p: Point) -> None:
        """One point more."""
        self.last_g = p.g
        self.n += 1
        self.x += p.x
        self.y += p.y
        self.z += p.z
        self.distance_m += p.distance_m
        self.least_m = min(self.least_m, p.distance_m)
        self.lag_s += p.lag_s
        self.seen += p.seen
        self.last_m = p.distance_m
        self.fastest_mps = max(self.fastest_mps, p.speed_mps)
