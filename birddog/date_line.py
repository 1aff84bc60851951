"""Polygons cut on the date line, as GeoJSON wants them (RFC 7946, section 3.1.9): no longitude beyond 180, no edge across it.

What is drawn (``tracking.forecast``) goes on past 180, so that a shape is one; what is written for others' programs is cut
here: a reader that asks whether a place at 179.99 W is inside would never find it in a ring that goes on to 180.01.
"""

from __future__ import annotations

Ring = list[tuple[float, float]]


def cut_on_date_line(polygon: list[Ring]) -> list[list[Ring]]:
    """The parts of a polygon of (lon_deg, lat_deg) rings, each within -180 to 180; closed rings in, closed rings out.

    The polygon's longitudes go on past 180 where it crosses the line, and span less than a turn.  Each ring is clipped by
    Sutherland and Hodgman ("Reentrant polygon clipping", CACM 1974): a part that is concave there has edges that lie upon each
    other on the line, and a hole that crosses it touches it; inside and outside are right by the even-odd rule.
    """
    low, high = min(lon for lon, _ in polygon[0]), max(lon for lon, _ in polygon[0])
    if low >= -180.0 and high <= 180.0:
        return [polygon]
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        rings = [half(half([(lon + turn, lat) for lon, lat in ring[:-1]], -180.0, 1.0), 180.0, -1.0) for ring in polygon]
        if len(rings[0]) > 2:
            parts.append([[*ring, ring[0]] for ring in rings if len(ring) > 2])
    return parts


def half(ring: Ring, line_deg: float, side: float) -> Ring:
    """What of an open ring lies east (``side`` 1) or west (-1) of a meridian; nothing where it only touches it."""
    out: Ring = []
    for (lon0, lat0), (lon1, lat1) in zip(ring, ring[1:] + ring[:1], strict=True):
        d0, d1 = side * (lon0 - line_deg), side * (lon1 - line_deg)
        if d0 >= 0.0:
            out.append((lon0, lat0))
        if d0 * d1 < 0.0:
            out.append((line_deg, lat0 + (lat1 - lat0) * d0 / (d0 - d1)))
    return out if any(lon != line_deg for lon, _ in out) else []
