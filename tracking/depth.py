"""How deep within an area or a corridor a position lies: for zones of the fold, and for the places of events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from birddog.areas import ring_contains
from birddog.geo import radii_m, wrap_lon

if TYPE_CHECKING:
    from birddog.model import Zone  # not imported: it costs a command on files as much as reading 30,000 fixes


def depth_m(zone: Zone, *, lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
    """(metres inside the nearest edge, negative outside; east and north of the unit vector across that edge).

    A corridor is everything within its half width of its line.  Edges are straight in longitude and latitude (RFC 7946,
    section 3.1.1), as ``ring_contains`` has them; metres are those at the position.
    """
    meridian_m, vertical_m = radii_m(lat_deg)
    north_m, east_m = math.radians(meridian_m), math.radians(vertical_m) * math.cos(math.radians(lat_deg))  # of a degree
    least, towards = math.inf, (1.0, 0.0)
    before, unrolled = None, lon_deg
    for lon, lat in zone.points:
        unrolled += wrap_lon(lon - unrolled)  # the short way from the point before, also over the antimeridian
        here = (unrolled - lon_deg) * east_m, (lat - lat_deg) * north_m
        if before is not None:
            e, n = _nearest(before, here)
            away = math.hypot(e, n)
            if away < least:
                least = away
                towards = (e / away, n / away) if away > 1e-9 else _across(before, here)
        before = here
    if zone.half_width_m > 0.0:
        return zone.half_width_m - least, *towards
    inside = ring_contains(zone.points, lat_deg=lat_deg, lon_deg=lon_deg)
    return (least if inside else -least), *towards


def _nearest(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """The point of a segment that is nearest to the origin."""
    de, dn = b[0] - a[0], b[1] - a[1]
    length2 = de * de + dn * dn
    share = 0.0 if length2 == 0.0 else min(max(-(a[0] * de + a[1] * dn) / length2, 0.0), 1.0)
    return a[0] + share * de, a[1] + share * dn


def _across(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    return (1.0, 0.0) if length == 0.0 else ((a[1] - b[1]) / length, (b[0] - a[0]) / length)
