"""Which sighting of one look belongs to which track: gate, connected components, global assignment.

One look = one sensor at one time.  A pair is possible where the Mahalanobis distance passes the gate; its worth is
the log-likelihood ratio of "this track, seen" to "clutter or something new, and the track missed".  Each connected
component of possible pairs is solved alone (Jonker-Volgenant by SciPy where it is more than one pair); a pair that
is worth less than nothing stays apart.  Source: Blackman, Popoli 1999, chapters 6.2 and 6.4.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from tracking import engine
from tracking.anchor import near_en, turn, turned
from tracking.engine import State

METRES_PER_DEGREE = 111_000.0


class Candidate(msgspec.Struct, frozen=True):
    """A track predicted to the time of the look: x in the frame of its anchor, and where that is."""

    lat0_deg: float
    lon0_deg: float
    lat_deg: float
    lon_deg: float
    x: State


class Spot(msgspec.Struct, frozen=True):
    """A sighting: position and R (m², east/north there)."""

    lat_deg: float
    lon_deg: float
    r_ee: float
    r_en: float
    r_nn: float


class Pair(msgspec.Struct, frozen=True):
    """A possible pair: indices of track and sighting, NIS, and the log-likelihood ratio."""

    track: int
    spot: int
    nis: float
    worth: float


def pairs(tracks: list[Candidate], spots: list[Spot], *, gate: float, pd: float, density_per_km2: float) -> list[Pair]:
    """All pairs within the gate, by track and then sighting.

    Args:
        pd: the probability that the sensor sees a track that is there.
        density_per_km2: of false and of new sightings together.
    """
    by_lat = sorted(range(len(spots)), key=lambda i: (spots[i].lat_deg, i))
    lats = [spots[i].lat_deg for i in by_lat]
    widest = max((s.r_ee + s.r_nn for s in spots), default=0.0)
    base = math.log(pd / (1.0 - pd)) - math.log(density_per_km2 * 1e-6) - math.log(2.0 * math.pi)
    found = []
    for t, track in enumerate(tracks):
        reach = math.sqrt(gate * (track.x[4] + track.x[11] + widest)) / METRES_PER_DEGREE
        low = bisect.bisect_left(lats, track.lat_deg - reach)
        high = bisect.bisect_right(lats, track.lat_deg + reach)
        for i in sorted(by_lat[low:high]):
            nis, det = distance(track, spots[i])
            if nis <= gate:
                found.append(Pair(track=t, spot=i, nis=nis, worth=base - 0.5 * (nis + math.log(det))))
    return found


def distance(track: Candidate, spot: Spot) -> tuple[float, float]:
    """(NIS, det S) of a sighting against a track."""
    en = near_en(track.lat0_deg, track.lon0_deg, spot.lat_deg, spot.lon_deg)
    if en is None:
        return math.inf, 0.0
    c, s = turn(spot.lat_deg, spot.lon_deg, track.lat0_deg, track.lon0_deg)
    return engine.innovation(track.x, en[0], en[1], *turned(spot.r_ee, spot.r_en, spot.r_nn, c, s))


def assign(possible: list[Pair]) -> list[Pair]:
    """The chosen pairs, by track: each track and each sighting at most once, the summed worth greatest."""
    chosen: list[Pair] = []
    for part in _components([p for p in possible if p.worth > 0.0]):
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
