"""Polygons cut on the date line, as GeoJSON wants them (RFC 7946, section 3.1.9): no longitude beyond 180, no edge across it.

What is drawn (``tracking.forecast``) goes on past 180, so that a shape is one; what is written for others' programs is cut
here: a reader that asks whether a place at 179.99 W is inside would never find it in a ring that goes on to 180.01.
"""

from __future__ import annotations

Ring = list[tuple[float, float]]


def cut_on_date_line(polygon: list[Ring]) -> list[list[Ring]]:
    """The parts of a polygon of (lon_deg, lat_deg) rings, each within -180 to 180; closed rings in, closed rings out.

    The polygon's longitudes go on past 180 where it crosses the line, and span less than a turn; its outer ring, the first, is
    anticlockwise and its holes are clockwise, as each part's are.  What the line cuts into several parts is several, and a
    hole that the line crosses is a bay of the part (no edge of a ring lies on another one).
    """
    low, high = min(lon for lon, _ in polygon[0]), max(lon for lon, _ in polygon[0])
    if low >= -180.0 and high <= 180.0:
        return [polygon]
    parts: list[list[Ring]] = []
    for turn in (-360.0, 0.0, 360.0):
        open_rings = [[(lon + turn, lat) for lon, lat in ring[:-1]] for ring in polygon]
        for east in _beside(open_rings, -180.0, 1.0):
            parts += [[[*ring, ring[0]] for ring in part] for part in _beside(east, 180.0, -1.0)]
    return parts


def _beside(polygon: list[Ring], line_deg: float, side: float) -> list[list[Ring]]:
    """What of a polygon of open rings lies east (``side`` 1) or west (-1) of a meridian, as polygons of open rings.

    The stretches of its rings that lie there are joined along the line: from where one leaves, with the inside to its left, to
    where the next comes back (Weiler and Atherton, "Hidden surface removal using polygon area sorting", SIGGRAPH 1977, for a
    half-plane).
    """
    whole: list[Ring] = []
    stretches: list[Ring] = []
    for ring in polygon:
        there = [side * (lon - line_deg) for lon, _ in ring]
        if max(there) <= 0.0:
            continue
        if min(there) >= 0.0:
            whole.append(ring)
            continue
        begin = next(k for k in range(len(ring)) if there[k] > 0.0 and there[k - 1] <= 0.0)
        for k in range(begin, begin + len(ring)):
            this, before = k % len(ring), (k - 1) % len(ring)
            if there[this] > 0.0:
                if there[before] <= 0.0:
                    stretches.append([_on(line_deg, ring[before], ring[this])])
                stretches[-1].append(ring[this])
            elif there[before] > 0.0:
                stretches[-1].append(_on(line_deg, ring[before], ring[this]))
    if not stretches:
        return [whole] if whole and whole[0] is polygon[0] else []
    outer: list[Ring] = []
    while stretches:
        ring = stretches.pop(0)
        while True:
            # south along the line where east of it is the inside, north where west is
            left = -side * ring[-1][1]
            ahead = [s for s in [ring, *stretches] if -side * s[0][1] >= left] or [ring]
            following = min(ahead, key=lambda s: -side * s[0][1])
            if following is ring:
                break
            stretches.remove(following)
            ring += following
        outer.append([place for k, place in enumerate(ring) if place != ring[k - 1]])
    out = [[ring] for ring in outer if len(ring) > 2]
    for hole in whole:
        next(part for part in out if part is out[-1] or _holds(part[0], hole[0])).append(hole)
    return out


def _on(line_deg: float, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Where an edge meets a meridian."""
    return (line_deg, a[1] + (b[1] - a[1]) * (line_deg - a[0]) / (b[0] - a[0]))


def _holds(ring: Ring, place: tuple[float, float]) -> bool:
    """Whether an open ring is about a place."""
    odd = False
    for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (y0 > place[1]) != (y1 > place[1]) and place[0] < (x1 - x0) * (place[1] - y0) / (y1 - y0) + x0:
            odd = not odd
    return odd


def half(ring: Ring, line_deg: float, side: float) -> Ring:
    """What of an open convex ring lies east (``side`` 1) or west (-1) of a meridian; nothing where it only touches it.

    Sutherland and Hodgman ("Reentrant polygon clipping", CACM 1974).
    """
    out: Ring = []
    for (lon0, lat0), (lon1, lat1) in zip(ring, ring[1:] + ring[:1], strict=True):
        d0, d1 = side * (lon0 - line_deg), side * (lon1 - line_deg)
        if d0 >= 0.0:
            out.append((lon0, lat0))
        if d0 * d1 < 0.0:
            out.append((line_deg, lat0 + (lat1 - lat0) * d0 / (d0 - d1)))
    return out if any(lon != line_deg for lon, _ in out) else []
