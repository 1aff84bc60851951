"""Who is near whom at each point of the grid, while samples come in: the spatial index of ``engine.Events``.

Space is cut into cubes (``sphere.points``, so that the date line and the poles are no special places).  What is slow stands
in the cube of its place and looks into the 27 around; what moves stands in its cube and lays the way of its last step into
all cubes near it.  Cost grows with who is near, not with pairs.
"""

from __future__ import annotations

import itertools
import math

from tracking.events.grid import Sample
from tracking.events.model import SLACK, Rules

_AROUND = tuple(itertools.product((-1, 0, 1), repeat=3))
#: Side of a moving vessel's cube, metres.
_SIDE_M = 5000.0

Cube = tuple[int, int, int]


def _cube(x: float, y: float, z: float, side_m: float) -> Cube:
    return math.floor(x / side_m), math.floor(y / side_m), math.floor(z / side_m)


class Cells:
    """Vessels by point of the grid and cube; forgotten by point of the grid."""

    def __init__(self, rules: Rules):
        self._rules = rules
        self._reach_m = rules.encounter.radius_m * SLACK
        self._slow: dict[int, dict[Cube, set[str]]] = {}
        self._moving: dict[int, dict[Cube, set[str]]] = {}
        self._ways: dict[int, dict[Cube, set[str]]] = {}
        self._last: tuple[Sample, list[Cube]] | None = None

    def near(self, name: str, s: Sample, before: Sample | None) -> tuple[list[str], list[str]]:
        """(who may meet it, who may travel with it) of those that stand at this point of the grid."""
        meet: set[str] = set()
        if s.speed_mps < self._rules.encounter.speed_mps:
            there = self._slow.get(s.g, {})
            i, j, k = _cube(s.x, s.y, s.z, self._reach_m)
            for di, dj, dk in _AROUND:
                meet |= there.get((i + di, j + dj, k + dk), set())
        along: set[str] = set()
        if before is not None and s.speed_mps > self._rules.cotravel.speed_mps:
            along |= self._ways.get(s.g, {}).get(_cube(s.x, s.y, s.z, _SIDE_M), set())
            there = self._moving.get(s.g, {})
            for cube in self._way(s, before):
                along |= there.get(cube, set())
        return sorted(meet - {name}), sorted(along - {name})

    def _way(self, s: Sample, before: Sample) -> list[Cube]:
        if self._last is not None and self._last[0] is s:
            return self._last[1]  # asked, and then put
        reach = self._rules.cotravel.radius_m
        length = math.dist((s.x, s.y, s.z), (before.x, before.y, before.z))
        parts = max(1, math.ceil(length / (_SIDE_M / 2.0)))
        # a place on the way is within a quarter of a side of one of these
        reach += length / parts / 2.0
        way: dict[Cube, None] = {}
        for k in range(parts + 1):
            w = k / parts
            x, y, z = (
                range(math.floor((p - reach) / _SIDE_M), math.floor((p + reach) / _SIDE_M) + 1)
                for p in (a + w * (b - a) for a, b in ((s.x, before.x), (s.y, before.y), (s.z, before.z)))
            )
            way |= dict.fromkeys(itertools.product(x, y, z))
        self._last = (s, list(way))
        return self._last[1]

    def put(self, name: str, s: Sample, before: Sample | None, *, away: bool = False) -> None:
        """Let a vessel stand at a sample, or take it away."""
        places: list[tuple[dict[int, dict[Cube, set[str]]], Cube]] = []
        if s.speed_mps < self._rules.encounter.speed_mps:
            places.append((self._slow, _cube(s.x, s.y, s.z, self._reach_m)))
        if before is not None and s.speed_mps > self._rules.cotravel.speed_mps:
            places.append((self._moving, _cube(s.x, s.y, s.z, _SIDE_M)))
            places += [(self._ways, cube) for cube in self._way(s, before)]
        for index, cube in places:
            there = index.setdefault(s.g, {}).setdefault(cube, set())
            if away:
                there.discard(name)
            else:
                there.add(name)

    def forget(self, g: int) -> None:
        """Nothing before this point of the grid is asked for any more."""
        for index in (self._slow, self._moving, self._ways):
            for old in [at for at in index if at < g]:
                del index[old]
