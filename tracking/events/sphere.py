"""Positions as points in space (metres, mean sphere): the date line and the poles are no special places.

A distance is the chord, which for a limit of kilometres is the great circle to a millionth; a mean of near positions is the
mean of their points.  One by one and as arrays the same numpy functions are used, so that both give the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from birddog.geo import R_MEAN_M

#: Positions that are worked on at once: what fits a processor's cache.
BLOCK = 1 << 15
#: A degree of a great circle, m.
M_PER_DEG = math.radians(R_MEAN_M)


def points(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, z) metres of positions."""
    n = np.size(lat_deg)
    if n > BLOCK:
        out = np.empty(n), np.empty(n), np.empty(n)
        for k in range(0, n, BLOCK):
            for whole, part in zip(out, points(lat_deg[k : k + BLOCK], lon_deg[k : k + BLOCK]), strict=True):
                whole[k : k + BLOCK] = part
        return out
    p, l = np.radians(lat_deg), np.radians(lon_deg)
    c = np.cos(p) * R_MEAN_M
    return c * np.cos(l), c * np.sin(l), np.sin(p) * R_MEAN_M


def point(lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
    """(x, y, z) metres of one position, to the same digits; both angles at once: each call of NumPy's costs most of a µs."""
    angles = np.array((math.radians(lat_deg), math.radians(lon_deg)))
    (cos_lat, cos_lon), (sin_lat, sin_lon) = np.cos(angles).tolist(), np.sin(angles).tolist()
    c = cos_lat * R_MEAN_M
    return c * cos_lon, c * sin_lon, sin_lat * R_MEAN_M


def most_m(lat_deg: float, lon_deg: float, to_lat_deg: float, to_lon_deg: float) -> float:
    """No less than the distance of two positions, m: along the meridian and the equator."""
    return 1.001 * M_PER_DEG * (abs(to_lat_deg - lat_deg) + abs(to_lon_deg - lon_deg))


def place(x: float, y: float, z: float) -> tuple[float, float]:
    """(lat_deg, lon_deg) of the direction of a point, to 1e-7 of a degree; the date line is 180."""
    lat, lon = math.degrees(math.atan2(z, math.hypot(x, y))), round(math.degrees(math.atan2(y, x)), 7)
    return round(lat, 7) + 0.0, (lon if lon > -180.0 else 180.0) + 0.0
