"""Ports, lines and borders as GeoJSON (``birddog events --places``, docs/events.md): features with ``name`` and ``role``.

A Point or Polygon is a ``port`` unless its role says ``border`` (a Point's ``radius_m``: 3000 unless said), a LineString a
``gate``.  One ring a polygon, edges straight in longitude and latitude.
"""

from __future__ import annotations

import math
from typing import Any

from birddog.areas import area_of
from birddog.errors import UsageError
from birddog.geo import valid_position, wrap_lon
from birddog.model import Zone
from opsroom.commands.common import json_file
from tracking.events.places import Places

#: How far a port reaches about its point unless said: Global Fishing Watch's 3 km from an anchorage.
RADIUS_M = 3000.0
#: Roles that a geometry may have, the one that it has by itself first.
ROLES = {"Point": ("port",), "Polygon": ("port", "border"), "LineString": ("gate",)}


def read_places(path: str) -> Places:
    """The places of a file.

    Raises:
        UsageError: it cannot be read, or a feature is none of these; the words name it.
    """
    data = json_file(path)
    features = data.get("features") if isinstance(data, dict) and data.get("type") == "FeatureCollection" else None
    if not isinstance(features, list):
        raise UsageError("a GeoJSON FeatureCollection was expected", file=path)
    zones: dict[str, Zone] = {}
    for n, feature in enumerate(features):
        try:
            zone = _zone(feature)
            if zone.name in zones:
                raise ValueError(f"properties.name: {zone.name!r} is there twice")
        except (ValueError, TypeError) as error:
            raise UsageError(str(error), file=path, field=f"features[{n}]") from error
        zones[zone.name] = zone
    return Places(zones.values())


def _zone(feature: Any) -> Zone:
    if not isinstance(feature, dict):
        raise ValueError("a GeoJSON Feature was expected")
    said, geometry = feature.get("properties"), feature.get("geometry")
    said = said if isinstance(said, dict) else {}
    geometry = geometry if isinstance(geometry, dict) else {}
    name, kind = said.get("name"), str(geometry.get("type"))[:40]
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError("properties.name: a name in one line was expected")
    if kind not in ROLES:
        raise ValueError(f"geometry.type: Point, Polygon or LineString was expected, not {kind}")
    role = said.get("role", ROLES[kind][0])
    if role not in ROLES[kind]:
        raise ValueError(f"properties.role: of a {kind} {' or '.join(ROLES[kind])} was expected, not {str(role)[:40]!r}")
    if kind == "Polygon":
        area = area_of(geometry)
        rings = geometry["coordinates"]
        if len(rings) != 1 or area.geodesic:
            raise ValueError("geometry: one ring without holes was expected, straight in longitude and latitude")
        return Zone(name=name, points=tuple((wrap_lon(float(lon)), float(lat)) for lon, lat, *_ in rings[0]), role=role)
    coordinates = geometry.get("coordinates")
    line = _positions([coordinates] if kind == "Point" else coordinates)
    if kind == "Point":
        radius_m = said.get("radius_m", RADIUS_M)
        if not _is_number(radius_m) or not 10.0 <= radius_m <= 500_000.0:
            raise ValueError("properties.radius_m: metres from 10 to 500000 were expected")
        return Zone(name=name, points=line, half_width_m=float(radius_m), role=role)
    if len(line) < 2 or len(set(line)) < 2:
        raise ValueError("geometry.coordinates: a line of two positions or more was expected")
    return Zone(name=name, points=line, role=role)


def _positions(found: Any) -> tuple[tuple[float, float], ...]:
    out = []
    for at in found if isinstance(found, list) else ():
        numbers = isinstance(at, list) and len(at) >= 2 and all(_is_number(x) for x in at[:2])
        if not numbers or not valid_position(at[1], at[0]):
            raise ValueError("geometry.coordinates: a position is longitude, latitude in degrees")
        out.append((wrap_lon(float(at[0])), float(at[1])))
    return tuple(out)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
