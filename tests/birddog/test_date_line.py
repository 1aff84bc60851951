"""Polygons cut on the date line: no longitude beyond 180, and what was inside is inside."""

from __future__ import annotations

import math
import random

import pytest

from birddog.date_line import cut_on_date_line


def inside(rings, lon: float, lat: float) -> bool:
    odd = False
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False):
            if (y0 > lat) != (y1 > lat) and lon < (x1 - x0) * (lat - y0) / (y1 - y0) + x0:
                odd = not odd
    return odd


def star(lon: float, lat: float, far: float, near: float, corners: int = 7):
    turn = [(far if k % 2 else near, 2 * math.pi * k / (2 * corners)) for k in range(2 * corners)]
    ring = [(lon + r * math.cos(a), lat + r * math.sin(a)) for r, a in turn]
    return [*ring, ring[0]]


@pytest.mark.parametrize("middle", [180.0, 179.6, -179.7, -180.4, 181.0, 10.0, 182.5])
def test_each_part_is_within_180_and_holds_what_the_whole_held(middle):
    polygon = [star(middle, 5.0, 1.0, 0.5), star(middle, 5.0, 0.3, 0.2)[::-1]]
    parts = cut_on_date_line(polygon)
    assert all(-180.0 <= lon <= 180.0 and ring[0] == ring[-1] for part in parts for ring in part for lon, _ in ring)
    assert all(abs(a[0] - b[0]) < 3.0 for part in parts for ring in part for a, b in zip(ring, ring[1:], strict=False))
    draw = random.Random(3)
    for _ in range(400):
        lon, lat = middle + draw.uniform(-1.2, 1.2), 5.0 + draw.uniform(-1.2, 1.2)
        wrapped = (lon + 180.0) % 360.0 - 180.0
        assert sum(inside(part, wrapped, lat) for part in parts) == inside(polygon, lon, lat)


def test_what_touches_the_line_alone_is_one_part():
    square = [(179.0, 0.0), (180.0, 0.0), (180.0, 1.0), (179.0, 1.0), (179.0, 0.0)]
    assert cut_on_date_line([square]) == [[square]]
    beyond = [(180.0, 0.0), (181.0, 0.0), (181.0, 1.0), (180.0, 1.0), (180.0, 0.0)]
    assert cut_on_date_line([beyond]) == [[[(lon - 360.0, lat) for lon, lat in beyond]]]


def along_the_line(ring):
    """The stretches of a ring that lie on the date line, as (south, north)."""
    return sorted(
        tuple(sorted((a[1], b[1]))) for a, b in zip(ring, ring[1:], strict=False) if a[0] == b[0] and abs(a[0]) == 180.0
    )


def signed_area(ring) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False)) / 2.0


@pytest.mark.parametrize("middle", [180.0, 179.6, -179.7, -180.4, 181.0, 180.05])
def test_no_part_touches_itself_on_the_line_and_its_rings_turn_as_they_should(middle):
    for polygon in (
        [star(middle, 5.0, 1.0, 0.3)],
        [star(middle, 5.0, 1.0, 0.7, 5), star(middle, 5.0, 0.3, 0.2)[::-1], star(middle + 0.5, 5.0, 0.1, 0.1)[::-1]],
    ):
        parts = cut_on_date_line(polygon)
        for outer, *holes in parts:
            assert signed_area(outer) > 0.0 and all(signed_area(hole) < 0.0 for hole in holes)
            stretches = along_the_line(outer)
            assert all(a[1] < b[0] for a, b in zip(stretches, stretches[1:], strict=False))
            assert not any(along_the_line(hole) for hole in holes)
        assert sum(signed_area(ring) for part in parts for ring in part) == pytest.approx(sum(map(signed_area, polygon)))


def test_two_arms_over_the_line_are_two_parts_and_a_hole_on_it_is_a_bay():
    arms = [(179.0, 0.0), (181.0, 0.0), (181.0, 1.0), (179.5, 1.0), (179.5, 2.0), (181.0, 2.0), (181.0, 3.0), (179.0, 3.0)]
    parts = cut_on_date_line([[*arms, arms[0]]])
    assert sorted(len(part) for part in parts) == [1, 1, 1]
    west = [part[0] for part in parts if part[0][0][0] < 0.0]
    assert sorted(min(lat for _, lat in ring) for ring in west) == [0.0, 2.0]
    square = [(179.0, 0.0), (181.0, 0.0), (181.0, 3.0), (179.0, 3.0), (179.0, 0.0)]
    hole = [(179.8, 1.0), (179.8, 2.0), (180.2, 2.0), (180.2, 1.0), (179.8, 1.0)]
    parts = cut_on_date_line([square, hole])
    assert [len(part) for part in parts] == [1, 1]
    assert [along_the_line(part[0]) for part in parts] == [[(0.0, 1.0), (2.0, 3.0)]] * 2
