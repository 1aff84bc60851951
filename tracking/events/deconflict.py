"""Planned operations that would meet: different agencies, at the same time, closer than their radii together.

Time overlaps half-open (what ends at 10:00 does not meet what begins then), distances are great circles on the mean sphere
(shared data/predict/README.md).  Only ids are told: who asks learns that there is a conflict and with what, not what it is.
"""

from __future__ import annotations

import msgspec
import numpy as np

from birddog.geo import distance_m
from birddog.units import NS
from tracking.events.near import Near


class Planned(msgspec.Struct, frozen=True):
    """One planned operation."""

    id: str
    agency: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    start_ns: int
    end_ns: int


class Conflict(msgspec.Struct, frozen=True):
    """Two that would meet, the earlier of the list first."""

    a: str
    b: str
    distance_m: float
    overlap_min: float


def conflicts(plans: list[Planned]) -> list[Conflict]:
    """Every conflict, in the order of the list."""
    if not plans:
        return []
    lat, lon = np.array([p.lat_deg for p in plans]), np.array([p.lon_deg for p in plans])
    start, end = np.array([p.start_ns for p in plans]), np.array([p.end_ns for p in plans])
    zero = np.zeros(len(plans), np.int64)
    # half a turn is as far as anything is
    reach_m = min(2.0 * max(p.radius_m for p in plans) + 1.0, 2.0e7)
    found = set()
    for q, p in Near(zero, lat, lon, reach_m).own_pairs():
        same_time = np.maximum(start[q], start[p]) < np.minimum(end[q], end[p])
        found |= {(min(pair), max(pair)) for pair in zip(q[same_time].tolist(), p[same_time].tolist(), strict=True)}
    out = []
    for i, j in sorted(found):
        a, b = plans[i], plans[j]
        apart_m = distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
        if i != j and a.agency != b.agency and apart_m <= a.radius_m + b.radius_m:
            overlap_ns = min(a.end_ns, b.end_ns) - max(a.start_ns, b.start_ns)
            out.append(Conflict(a.id, b.id, apart_m, overlap_ns / NS / 60.0))
    return out
