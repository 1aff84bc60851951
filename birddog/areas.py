"""Areas on the ground as lawyers write them: GeoJSON polygons with holes, over the antimeridian, decided exactly.

Edges are straight in longitude and latitude (RFC 7946, section 3.1.1) unless the area says ``"edges": "geodesic"``: then
they are arcs of great circles on the sphere, as a line between two places on a chart of that projection.  Between two
places 100 km apart on one parallel at 50° the two differ by 230 m.  A position on an edge is inside, on an outer ring as on
a hole's.  Straight edges are decided in whole numbers of 1e-9° (0.1 mm), so that neither rounding nor the order of the
vertices changes an answer.

A ring may cross the antimeridian, written either way: with longitudes beyond ±180 or with a jump from 179 to -179 (an edge
that is written longer than half a turn goes the short way round).  What could be meant either way, an edge from -20 to 180, is
refused when it is entered.  One that goes round a pole has no inside on this grid and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

UNIT = 1_000_000_000  # whole numbers in a degree
_TURN = 360 * UNIT
_HALF = 180 * UNIT
#: Beyond so many vertices a ring's edges are looked up by longitude; of so many rings at a time.
LONG, SPANS_KEPT = 64, 1_000
#: Up to so many vertices whether edges cross is asked pair by pair; of more, of so many pairs at a time.
FEW, PAIRS = 64, 1 << 19
#: An edge that jumps over the date line is no longer than this, in degrees of longitude.
JUMP_MOST_DEG = 90.0
#: Vertices of one ring: the coast of a large country in fine steps.
MOST_VERTICES = 100_000


class Area(msgspec.Struct, frozen=True):
    """One or more polygons.

    Args:
        polygons: each an outer ring and its holes; a ring is closed, of (longitude, latitude) in 1e-9°, longitudes
            unrolled, so that no edge is longer than half a turn.
        geodesic: edges are arcs of great circles.
    """

    polygons: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]
    geodesic: bool = False

    def contains(self, *, lat_deg: float, lon_deg: float) -> bool:
        """Whether a position lies inside or on an edge."""
        x, y = round(lon_deg * UNIT), round(lat_deg * UNIT)
        side = _geodesic_side if self.geodesic else _side
        for outer, *holes in self.polygons:
            if _where(outer, x, y, side) >= 0 and all(_where(hole, x, y, side) <= 0 for hole in holes):
                return True
        return False


def area_of(geometry: Any) -> Area:
    """The area of a GeoJSON Polygon or MultiPolygon.

    Raises:
        ValueError: it is none, or one without a clear inside; the words name the member.
    """
    if not isinstance(geometry, dict):
        raise ValueError("a GeoJSON Polygon or MultiPolygon was expected")
    kind, edges, at = geometry.get("type"), geometry.get("edges", "straight"), "coordinates"
    extra = set(geometry) - {"type", "coordinates", "edges", "bbox"}
    if extra:
        raise ValueError(f"unknown member {sorted(extra)[0]!r}")
    if edges not in ("straight", "geodesic"):
        raise ValueError(f"edges: straight or geodesic was expected, not {edges!r}")
    found = geometry.get("coordinates")
    if kind == "Polygon":
        polygons, names = [found], [at]
    elif kind == "MultiPolygon" and isinstance(found, list) and found:
        polygons, names = found, [f"{at}[{n}]" for n in range(len(found))]
    else:
        raise ValueError(f"type: a Polygon or a MultiPolygon with coordinates was expected, not {kind!r}")
    out = []
    for polygon, name in zip(polygons, names, strict=True):
        if not isinstance(polygon, list) or not polygon:
            raise ValueError(f"{name}: a list of rings was expected")
        out.append(tuple(_ring(ring, f"{name}[{n}]") for n, ring in enumerate(polygon)))
    return Area(tuple(out), edges == "geodesic")


def check_holes(area: Area) -> None:
    """Refuse a hole that is not in its polygon: what is left would be another thing than was meant (RFC 7946, 3.1.6).

    A hole may touch the outer ring.  That edges cross is asked of straight ones only; of arcs, that each corner is inside.
    Asked of what is entered, not of what stands: an area of before this was asked is in force as it is.

    Raises:
        ValueError: names the hole, as ``area_of`` names a ring.
    """
    side = _geodesic_side if area.geodesic else _side
    for k, (outer, *holes) in enumerate(area.polygons):
        at = "coordinates" if len(area.polygons) == 1 else f"coordinates[{k}]"
        west = min(x for x, _ in outer)
        for n, hole in enumerate(holes, 1):
            if abs(_twice_area(hole)) >= abs(_twice_area(outer)):
                raise ValueError(f"{at}[{n}]: a hole that leaves nothing of the polygon")
            turn = -((min(x for x, _ in hole) - west) // _TURN) * _TURN
            there = tuple((x + turn, y) for x, y in hole)
            if any(_where(outer, x, y, side) < 0 for x, y in there) or (not area.geodesic and _crossed(there, outer)):
                raise ValueError(f"{at}[{n}]: a hole that is not within the polygon")


def check_edges(geometry: Any) -> None:
    """Refuse an edge that is written longer than half a turn, and is too long the other way round for a jump over the line.

    From -20 to 180 goes over 200° of longitude as RFC 7946 (3.1.1) reads it, and over 160° where it jumps: the one is all that
    the other is not.  Asked of what is entered, as ``check_holes``.

    Args:
        geometry: one of which ``area_of`` makes an area.

    Raises:
        ValueError: names the position at which the edge ends.
    """
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for k, rings in enumerate(polygons):
        at = "coordinates" if len(polygons) == 1 else f"coordinates[{k}]"
        for n, ring in enumerate(rings):
            for m, (one, other) in enumerate(zip(ring, ring[1:], strict=False), 1):
                if 180.0 < abs(other[0] - one[0]) < 360.0 - JUMP_MOST_DEG:
                    raise ValueError(f"{at}[{n}][{m}]: an edge from {one[0]} to {other[0]} may go either way round: give it a "
                                     "corner between, or longitudes beyond 180")


def ring_contains(ring: tuple[tuple[float, float], ...], *, lat_deg: float, lon_deg: float) -> bool:
    """Whether a position lies inside a closed ring of (lon_deg, lat_deg) or on its edge; edges straight in lon/lat.

    The ring is not checked: one without an inside (empty, of numbers that are none) holds nothing, one that crosses itself
    what an odd number of its edges goes round.
    """
    whole, south, north = _whole(ring)
    if not south <= lat_deg <= north or not math.isfinite(lon_deg):
        return False
    return _where(whole, round(lon_deg * UNIT), round(lat_deg * UNIT), _side) >= 0


@lru_cache(maxsize=512)
def _whole(ring: tuple[tuple[float, float], ...]) -> tuple[tuple[tuple[int, int], ...], float, float]:
    """A ring in whole numbers, longitudes unrolled; its southernmost and northernmost degree.  A ring of nothing has none."""
    out: list[tuple[int, int]] = []
    for lon, lat in ring:
        if not (math.isfinite(lon) and math.isfinite(lat)):
            return (), math.inf, -math.inf
        x = round(lon * UNIT)
        out.append((_unrolled(out, x), round(lat * UNIT)))
    if len(out) < 3:
        return (), math.inf, -math.inf
    return tuple(out), min(lat for _, lat in ring), max(lat for _, lat in ring)


def _ring(ring: Any, name: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(ring, list) or not 4 <= len(ring) <= MOST_VERTICES:
        raise ValueError(f"{name}: a ring of at least four positions was expected")
    out: list[tuple[int, int]] = []
    for n, position in enumerate(ring):
        if not isinstance(position, list) or not 2 <= len(position) <= 3 or not all(map(_number, position)):
            raise ValueError(f"{name}[{n}]: [longitude, latitude] was expected")
        lon, lat = position[:2]
        if not (-360.0 <= lon <= 360.0 and -90.0 <= lat <= 90.0):
            raise ValueError(f"{name}[{n}]: no position on Earth (longitude first)")
        out.append((_unrolled(out, round(lon * UNIT)), round(lat * UNIT)))
    if (out[0][0] - out[-1][0]) % _TURN or out[0][1] != out[-1][1]:
        raise ValueError(f"{name}: not closed: the last position is not the first")
    if out[0] != out[-1]:
        raise ValueError(f"{name}: goes round a pole; give the area in parts that do not")
    ring_of = [p for n, p in enumerate(out) if n == 0 or p != out[n - 1]]
    crossing = _crossing(ring_of)
    if crossing is not None:
        raise ValueError(f"{name}: crosses itself (edge {crossing[0]} and edge {crossing[1]})")
    if len(ring_of) < 4 or not _twice_area(ring_of):
        raise ValueError(f"{name}: encloses nothing")
    return tuple(ring_of)


def _unrolled(before: list[tuple[int, int]], x: int) -> int:
    """A longitude, turned to within half a turn of the one before it; where both ways are half a turn, as it is written."""
    if not before:
        return x
    away = x - before[-1][0]
    step = (away + _HALF) % _TURN - _HALF
    return before[-1][0] + (_HALF if step == -_HALF and away > 0 else step)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _twice_area(ring: Sequence[tuple[int, int]]) -> int:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False))


def _crossing(ring: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Two edges that properly cross, by number; a ring may touch itself."""
    return _crossing_of_few(ring) if len(ring) <= FEW else _crossing_of(*_ends(ring))


def _crossed(ring: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> bool:
    """Whether an edge of one ring properly crosses one of another; neither crosses itself."""
    import numpy as np

    (a, b), (c, d) = _ends(ring), _ends(other)
    near = ((np.minimum(c, d) <= a.max(axis=0)) & (np.maximum(c, d) >= a.min(axis=0))).all(axis=1)
    return _crossing_of(np.concatenate((a, c[near])), np.concatenate((b, d[near]))) is not None


def _ends(ring: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    """Where each edge of a ring begins and ends, (N, 2) degrees."""
    import numpy as np

    xy = np.array(ring, float) / UNIT
    return xy[:-1], xy[1:]


def _crossing_of(a: Any, b: Any) -> tuple[int, int] | None:
    """Two edges from ``a`` to ``b``, (N, 2), that properly cross.

    Of two edges whose spans of longitude overlap one begins within the other's span: they are looked up in order of where they
    begin, by longitude or by latitude, whichever leaves fewer to look at.
    """
    import numpy as np

    low, high = np.minimum(a, b), np.maximum(a, b)
    looks = []
    for axis in (0, 1):
        order = np.argsort(low[:, axis], kind="stable")
        begins = low[order, axis]
        first = np.searchsorted(begins, low[:, axis], side="left")
        looks.append((np.searchsorted(begins, high[:, axis], side="right") - first, first, order))
    counts, first, order = min(looks, key=lambda look: int(look[0].sum()))
    ends, at = np.cumsum(counts), 0
    while at < len(a):
        base = int(ends[at] - counts[at])
        end = max(at + 1, int(np.searchsorted(ends, base + PAIRS, side="right")))
        many = counts[at:end]
        n = np.repeat(np.arange(at, end), many)
        m = order[np.repeat(first[at:end] - (ends[at:end] - many - base), many) + np.arange(len(n))]
        near = (m != n) & (low[m] <= high[n]).all(axis=1) & (high[m] >= low[n]).all(axis=1)
        n, m, at = np.minimum(n[near], m[near]), np.maximum(n[near], m[near]), end
        d, e = b[n] - a[n], b[m] - a[m]
        apart = np.sign(_cross(d, a[m] - a[n])) * np.sign(_cross(d, b[m] - a[n])) < 0
        apart &= np.sign(_cross(e, a[n] - a[m])) * np.sign(_cross(e, b[n] - a[m])) < 0
        for one, other in sorted(zip(n[apart].tolist(), m[apart].tolist(), strict=True)):
            if _proper(*(_units(a[k]) + _units(b[k]) for k in (one, other))):
                return one, other
    return None


def _units(position: Any) -> tuple[int, int]:
    return round(float(position[0]) * UNIT), round(float(position[1]) * UNIT)


def _proper(edge: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two edges (x, y of both ends) properly cross, exactly: one that touches may look like it by its last digit."""
    def apart(ax: int, ay: int, bx: int, by: int, cx: int, cy: int, fx: int, fy: int) -> bool:
        one, two = ((bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in ((cx, cy), (fx, fy)))
        return one < 0 < two or two < 0 < one

    return apart(*edge, *other) and apart(*other, *edge)


def _crossing_of_few(ring: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """``_crossing_of`` by the same sums in plain numbers: of a few edges the arrays cost more than the sums."""
    edges = []
    x0, y0 = ring[0][0] / UNIT, ring[0][1] / UNIT
    for x, y in ring[1:]:
        x1, y1 = x / UNIT, y / UNIT
        west, east = (x0, x1) if x0 <= x1 else (x1, x0)
        south, north = (y0, y1) if y0 <= y1 else (y1, y0)
        edges.append((x0, y0, x1, y1, west, south, east, north))
        x0, y0 = x1, y1
    for n, (ax, ay, bx, by, west, south, east, north) in enumerate(edges):
        dx, dy = bx - ax, by - ay
        for m in range(n + 1, len(edges)):
            cx, cy, fx, fy, other_west, other_south, other_east, other_north = edges[m]
            if other_west > east or other_east < west or other_south > north or other_north < south:
                continue
            one, two = dx * (cy - ay) - dy * (cx - ax), dx * (fy - ay) - dy * (fx - ax)
            if not (one < 0.0 < two or two < 0.0 < one):
                continue
            ex, ey = fx - cx, fy - cy
            one, two = ex * (ay - cy) - ey * (ax - cx), ex * (by - cy) - ey * (bx - cx)
            if (one < 0.0 < two or two < 0.0 < one) and _proper((*ring[n], *ring[n + 1]), (*ring[m], *ring[m + 1])):
                return n, m
    return None


def _cross(u: Any, v: Any) -> Any:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _where(ring: tuple[tuple[int, int], ...], x: int, y: int, side: Any) -> int:
    """1 inside a ring, 0 on an edge, -1 outside; of every turn of the longitude that the ring reaches."""
    spans = _spans(ring) if len(ring) > LONG else None
    least, most = (min(p[0] for p in ring), max(p[0] for p in ring)) if spans is None else spans[3:]
    best = -1
    x += -((x - least) // _TURN) * _TURN
    while x <= most:
        best = max(best, _winding(ring, x, y, side) if spans is None else _winding_of(spans, x, y, side))
        x += _TURN
    return best


_Spans = tuple[tuple[tuple[int, int], ...], Any, Any, int, int]
#: The spans of long rings by the ring's id; each holds its ring, so that no id comes again.
_spans_of: dict[int, _Spans] = {}


def _spans(ring: tuple[tuple[int, int], ...]) -> _Spans:
    """(the ring, the west and the east end of each edge, the ring's): a coast is not walked for each position."""
    found = _spans_of.get(id(ring))
    if found is None:
        import numpy as np

        if len(_spans_of) >= SPANS_KEPT:
            _spans_of.clear()
        x = np.array([p[0] for p in ring], np.int64)
        low, high = np.minimum(x[:-1], x[1:]), np.maximum(x[:-1], x[1:])
        found = _spans_of[id(ring)] = (ring, low, high, int(x.min()), int(x.max()))
    return found


def _winding_of(spans: _Spans, x: int, y: int, side: Any) -> int:
    """``_winding`` by the edges alone that span the longitude: the others change nothing in it."""
    ring, low, high, _, _ = spans
    inside = -1
    for n in ((low <= x) & (x <= high)).nonzero()[0].tolist():
        where = _winding(ring[n : n + 2], x, y, side)
        if where == 0:
            return 0
        inside = -inside if where > 0 else inside
    return inside


def _winding(ring: tuple[tuple[int, int], ...], x: int, y: int, side: Any) -> int:
    """Even-odd by a ray to the north; an edge counts for the half-open span of longitudes that it covers."""
    inside = -1
    x0, y0 = ring[0]
    for x1, y1 in ring[1:]:
        if min(x0, x1) <= x <= max(x0, x1):
            at = side(x0, y0, x1, y1, x, y)
            if at == 0:
                return 0
            if (x0 <= x) != (x1 <= x) and at > 0:
                inside = -inside
        x0, y0 = x1, y1
    return inside


def _side(x0: int, y0: int, x1: int, y1: int, x: int, y: int) -> int:
    """1 where the edge passes north of the position, 0 through it, -1 south; exact."""
    if x0 == x1:
        return 0 if min(y0, y1) <= y <= max(y0, y1) else 1
    cross = (y0 - y) * (x1 - x0) + (y1 - y0) * (x - x0)
    return (cross > 0) - (cross < 0) if x1 > x0 else (cross < 0) - (cross > 0)


def _geodesic_side(x0: int, y0: int, x1: int, y1: int, x: int, y: int) -> int:
    """``_side`` of an arc of a great circle; a meridian is one as it stands.

    Source: the latitude of a great circle at a longitude, E. Williams, Aviation Formulary V1.46.
    """
    if x0 == x1 or x in (x0, x1):
        return _side(x0, y0, x1, y1, x, y)
    rad = math.pi / _HALF
    north = math.tan(y0 * rad) * math.sin((x1 - x) * rad) + math.tan(y1 * rad) * math.sin((x - x0) * rad)
    lat = round(math.atan(north / math.sin((x1 - x0) * rad)) / rad)
    return (lat > y) - (lat < y)
