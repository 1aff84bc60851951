"""Polygons, points and masks from a user's file, and the shipped basemap: land, an area of interest, what stands fixed.

GeoJSON is longitude and latitude on WGS 84 (RFC 7946); a CSV has ``lat`` and ``lon`` (or ``lat_deg``, ``lon_deg``) and,
if it likes, ``radius_m``; a GeoTIFF is land where it is not 0.
"""

from __future__ import annotations

import csv
import functools
import gc
import hashlib
import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from birddog.errors import UsageError
from birddog.geo import LocalFrame, valid_position

#: The countries that the console draws: Natural Earth 1:50 million.  A file beside the program, nothing of the console's code.
BASEMAP = Path(__file__).resolve().parents[1] / "opsroom" / "console" / "static" / "basemap" / "countries-50m.geojson"
#: How it is named, in a setting and where it is said what was used.
BASEMAP_NAME = "basemap"
BASEMAP_SAID = "the shipped basemap (1:50 million, coarse: off by a kilometre or more, without small islands)"
#: How far from a fixed object's point a flag is that object, where its file says nothing, m.
FIXED_M = 150.0
_MOST_BYTES = 200_000_000

Ring = np.ndarray
"""``(N, 2)`` longitude and latitude, unrolled over the date line; closed or not."""


class Point(msgspec.Struct, frozen=True):
    """A place and how far about it counts."""

    lat_deg: float
    lon_deg: float
    radius_m: float


class Shapes(msgspec.Struct, frozen=True):
    """Polygons (each its rings, holes among them) and points."""

    polygons: tuple[tuple[Ring, ...], ...]
    points: tuple[Point, ...] = ()
    boxes: np.ndarray = np.empty((0, 4))
    """``(N, 4)`` west, south, east, north of each polygon: a world of coasts is asked of thousands of flags."""

    def __post_init__(self) -> None:
        if not self.polygons:
            return
        outers = [rings[0] for rings in self.polygons]
        at, begins = np.concatenate(outers), np.cumsum([0, *map(len, outers)])[:-1]
        boxes = np.hstack((np.minimum.reduceat(at, begins), np.maximum.reduceat(at, begins)))
        msgspec.structs.force_setattr(self, "boxes", boxes)

    def holds(self, *, lat_deg: float, lon_deg: float) -> bool:
        """Whether a place lies in a polygon or within the radius of a point."""
        for point in self.points:
            frame = LocalFrame(lat_deg=point.lat_deg, lon_deg=point.lon_deg)
            if abs(point.lat_deg - lat_deg) < 1.0 and math.hypot(*frame.en(lat_deg=lat_deg, lon_deg=lon_deg)) <= point.radius_m:
                return True
        west, south, east, north = self.boxes.T
        high = (south <= lat_deg) & (lat_deg <= north)
        return any(_inside(self.polygons[i], lon_deg + turn, lat_deg) for turn in (-360.0, 0.0, 360.0)
                   for i in np.flatnonzero(high & (west <= lon_deg + turn) & (lon_deg + turn <= east)))


def load(path: str | Path) -> Shapes:
    """What a GeoJSON or CSV file holds.

    Raises:
        UsageError: it cannot be read, or holds no polygon and no point on Earth.
    """
    file = Path(path)
    if str(path) == BASEMAP_NAME:
        return _basemap()
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UsageError("holds more than 200 MB", file=str(path))
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path)) from error
    if data.lstrip()[:1] in (b"{", b"["):
        return _geojson(data, str(path))
    return _csv(data, str(path))


def sha256(path: str | Path) -> str:
    """What a file says, for the record; the basemap's is that of its file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return hashlib.sha256((BASEMAP if str(path) == BASEMAP_NAME else Path(path)).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path)) from error


@functools.cache
def _basemap() -> Shapes:
    # half of the time went into looking for cycles among the hundred thousand lists of a JSON that has none
    looked = gc.isenabled()
    gc.disable()
    try:
        return _geojson(BASEMAP.read_bytes(), str(BASEMAP))
    finally:
        if looked:
            gc.enable()


def _geojson(data: bytes, name: str) -> Shapes:
    def no(why: str) -> UsageError:
        return UsageError(why, file=name)

    try:
        whole = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise no(f"is no JSON: {error}") from error
    if not isinstance(whole, dict):
        raise no("is no GeoJSON: an object was expected")
    crs = str(whole.get("crs") or "")
    if crs and not any(word in crs for word in ("CRS84", "4326")):
        raise no("has a crs of its own; GeoJSON is longitude and latitude on WGS 84 (RFC 7946)")
    raw: list[list[list[list[float]]]] = []
    points: list[Point] = []
    try:
        for geometry, properties in _geometries(whole):
            kind = geometry.get("type")
            at: Any = geometry.get("coordinates")
            if kind in ("Polygon", "MultiPolygon"):
                raw += [at] if kind == "Polygon" else at
            elif kind in ("Point", "MultiPoint"):
                radius = properties.get("radius_m")
                points += [_point(p[1], p[0], FIXED_M if radius is None else radius) for p in ([at] if kind == "Point" else at)]
            else:
                raise ValueError(f"holds a {kind}; polygons and points are understood")
        polygons = _polygons(raw)
    except (TypeError, IndexError, KeyError, AttributeError) as error:
        raise no("is no GeoJSON: a geometry is not as RFC 7946 has it") from error
    except ValueError as error:
        raise no(str(error)) from error
    if not polygons and not points:
        raise no("holds no polygon and no point")
    return Shapes(polygons, tuple(points))


def _geometries(node: dict[str, Any]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Every single geometry with its feature's properties."""
    kind = node.get("type")
    if kind == "FeatureCollection":
        for feature in node["features"]:
            yield from _geometries(feature)
    elif kind == "Feature":
        if node.get("geometry") is not None:
            for geometry, _ in _geometries(node["geometry"]):
                yield geometry, node.get("properties") or {}
    elif kind == "GeometryCollection":
        for one in node["geometries"]:
            yield from _geometries(one)
    else:
        yield node, {}


def _polygons(raw: list[list[list[list[float]]]]) -> tuple[tuple[Ring, ...], ...]:
    """The rings of each polygon, all of them taken in at one stroke: a world of coasts is loaded for a single flag."""
    rings = [ring for polygon in raw for ring in polygon]
    counts = [len(ring) for ring in rings]
    places = list(chain.from_iterable(rings))
    if not all(map(len, raw)):
        raise ValueError("holds a polygon that is none: three places on Earth or more were expected")
    if min(counts, default=0) < 3 or set(map(len, places)) != {2}:
        # heights, or something that is wrong and is said ring by ring
        return tuple(tuple(_ring(ring) for ring in polygon) for polygon in raw)
    at = np.fromiter(chain.from_iterable(places), np.float64, 2 * len(places)).reshape(-1, 2)
    turns, begins = np.diff(at[:, 0]), np.cumsum([0, *counts])
    far = np.zeros(len(at), bool)
    far[1:] = (turns < -180.0) | (turns >= 180.0)
    far[begins[:-1]] = False
    # where one goes over the date line, or is not on Earth, it is looked at by itself
    far |= ~(np.isfinite(at).all(axis=1) & (np.abs(at[:, 1]) <= 90.0) & (np.abs(at[:, 0]) <= 540.0))
    odd = np.logical_or.reduceat(far, begins[:-1])
    each = iter([_ring(rings[i]) if odd[i] else at[begins[i] : begins[i + 1]] for i in range(len(rings))])
    return tuple(tuple(next(each) for _ in polygon) for polygon in raw)


def _ring(points: list[list[float]]) -> Ring:
    ring = np.array(points, np.float64)
    if ring.ndim != 2 or ring.shape[1] < 2 or len(ring) < 3:
        raise ValueError("holds a polygon that is none: three places on Earth or more were expected")
    ring = ring[:, :2]  # heights are left out
    if not np.isfinite(ring).all() or np.abs(ring[:, 1]).max() > 90.0 or np.abs(ring[:, 0]).max() > 540.0:
        raise ValueError("holds a polygon that is none: three places on Earth or more were expected")
    # over the date line it goes on
    turns = np.diff(ring[:, 0])
    ring[1:, 0] = ring[0, 0] + np.cumsum((turns + 180.0) % 360.0 - 180.0)
    return ring


def _point(lat: Any, lon: Any, radius_m: Any) -> Point:
    lat, lon, radius_m = float(lat), float(lon), float(radius_m)
    if not valid_position(lat, lon) or not 0.0 < radius_m <= 100_000.0:
        raise ValueError("holds a point that is no place on Earth, or a radius_m that is not 0 to 100 km")
    return Point(lat, lon, radius_m)


def _csv(data: bytes, name: str) -> Shapes:
    try:
        rows = csv.DictReader(data.decode("utf-8-sig").splitlines())
        fields = [f.strip().lower() for f in rows.fieldnames or []]
        rows.fieldnames = fields
        lat, lon = ("lat_deg" if "lat_deg" in fields else "lat"), ("lon_deg" if "lon_deg" in fields else "lon")
        if lat not in fields or lon not in fields:
            raise UsageError("is neither GeoJSON nor a CSV with columns lat and lon", file=name)
        points = []
        for row in rows:
            try:
                points.append(_point(row[lat], row[lon], row.get("radius_m") or FIXED_M))
            except (ValueError, TypeError) as error:
                raise UsageError("wants a place on Earth, and a radius_m up to 100 km", file=name,
                                 line=rows.line_num) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError("is neither GeoJSON nor a CSV with columns lat and lon", file=name) from error
    if not points:
        raise UsageError("holds no place", file=name)
    return Shapes((), tuple(points))


def _inside(rings: tuple[Ring, ...], lon: float, lat: float) -> bool:
    """Even-odd rule."""
    crossings = 0
    for ring in rings:
        x, y = ring[:, 0], ring[:, 1]
        x2, y2 = np.roll(x, -1), np.roll(y, -1)
        across = (y <= lat) != (y2 <= lat)
        at = x[across] + (lat - y[across]) / (y2[across] - y[across]) * (x2[across] - x[across])
        crossings += int(np.count_nonzero(at > lon))
    return crossings % 2 == 1
