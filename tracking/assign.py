"""Which sighting of one look belongs to which track: connected components, global assignment.

A pair's worth is the log-likelihood ratio of "this track, seen" to "clutter or something new, and the track missed"
(``contacts`` finds the possible ones).  Each connected component of possible pairs is solved alone (Jonker-Volgenant by
SciPy where it is more than one pair); a pair that is worth less than nothing stays apart.  Source: Blackman, Popoli 1999,
chapters 6.2 and 6.4.
"""

from __future__ import annotations

import math
from collections import Counter

import msgspec


class Spot(msgspec.Struct, frozen=True, gc=False):
    """A sighting: position and R (m², east/north there), and the flag of the scene that it is, if it is one.

    ``rarity`` is the flag's (``model.Flag``); infinite where nobody says it.
    """

    lat_deg: float
    lon_deg: float
    r_ee: float
    r_en: float
    r_nn: float
    flag: str = ""
    rarity: float = math.inf


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A possible pair: indices of track and sighting, NIS, and the log-likelihood ratio."""

    track: int
    spot: int
    nis: float
    worth: float


def assign(possible: list[Pair]) -> list[Pair]:
    """The chosen pairs, by track: each track and each sighting at most once, the summed worth greatest."""
    worth = [p for p in possible if p.worth > 0.0]
    tracks, spots = Counter([p.track for p in worth]), Counter([p.spot for p in worth])
    chosen, shared = list[Pair](), list[Pair]()
    for p in worth:  # most are alone
        (chosen if tracks[p.track] == 1 and spots[p.spot] == 1 else shared).append(p)
    for part in _components(shared):
        chosen += part if len(part) == 1 else _solve(part)
    return sorted(chosen, key=lambda p: (p.track, p.spot))


def _components(possible: list[Pair]) -> list[list[Pair]]:
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(node: tuple[str, int]) -> tuple[str, int]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for p in possible:
        parent[root(("t", p.track))] = root(("s", p.spot))
    parts: dict[tuple[str, int], list[Pair]] = {}
    for p in possible:
        parts.setdefault(root(("t", p.track)), []).append(p)
    return list(parts.values())


def _solve(part: list[Pair]) -> list[Pair]:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    rows = sorted({p.track for p in part})
    columns = sorted({p.spot for p in part})
    row, column = {t: i for i, t in enumerate(rows)}, {s: j for j, s in enumerate(columns)}
    # to the right of the sightings one column of worth 0 for each track: it stays without a sighting
    cost = np.full((len(rows), len(columns) + len(rows)), 1e9)
    cost[:, len(columns) :] = 0.0
    by_place = {(row[p.track], column[p.spot]): p for p in part}
    for (i, j), p in by_place.items():
        cost[i, j] = -p.worth
    i, j = linear_sum_assignment(cost)
    return [by_place[place] for place in zip(i.tolist(), j.tolist(), strict=True) if place in by_place]
