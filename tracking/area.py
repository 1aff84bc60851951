"""Whether two areas on the ground touch: closed rings of (lon_deg, lat_deg), edges straight in lon/lat.

Longitudes are unrolled about the first vertex, so that rings may cross the antimeridian.
"""

from __future__ import annotations

import math

from birddog.areas import ring_contains
from birddog.geo import radii_m

Point = tuple[float, float]
Ring = tuple[Point, ...]


def rings_touch(a: Ring, b: Ring) -> bool:
    """Whether two areas have a point in common; an empty ring touches nothing."""
    if not a or not b:
        return False
    lon, lat = a[0]
    if ring_contains(b, lat_deg=lat, lon_deg=lon):
        return True
    if ring_contains(a, lat_deg=b[0][1], lon_deg=b[0][0]):
        return True
    p, q = _unrolled(a, lon), _unrolled(b, lon)
    return any(_cross(p[i], p[i + 1], q[j], q[j + 1]) for i in range(len(p) - 1) for j in range(len(q) - 1))


def ring_km2(ring: Ring) -> float:
    """The area of a ring, km², on a plane through its first vertex: right to a hundredth for what one look sees."""
    if not ring:
        return 0.0
    lat0_deg = ring[0][1]
    north_m, east_m = radii_m(lat0_deg)
    east_m *= math.cos(math.radians(lat0_deg))
    p = [(math.radians(lon) * east_m, math.radians(lat) * north_m) for lon, lat in _unrolled(ring, ring[0][0])]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(p, p[1:], strict=False))) / 2e6


def _unrolled(ring: Ring, lon0_deg: float) -> Ring:
    out, last = [], lon0_deg
    for lon, lat in ring:
        last = last + ((lon - last + 180.0) % 360.0 - 180.0)
        out.append((last, lat))
    return tuple(out)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) <= 0.0 and side(c, d, a) * side(c, d, b) <= 0.0 and _boxes(a, b, c, d)


def _boxes(a: Point, b: Point, c: Point, d: Point) -> bool:
    return all(max(min(a[k], b[k]), min(c[k], d[k])) <= min(max(a[k], b[k]), max(c[k], d[k])) for k in (0, 1))
