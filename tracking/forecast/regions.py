"""Where half and nine tenths of the futures lie: how odd a place is, and the region of all places that are not odder.

Each future is a bell about its place, long along the way that it goes there and narrow across it (a vessel's error in a canal
is one of time, not of place); its tails are those of a Student distribution, so that one surprise does not blow up every
region.  The oddness of a place is the least over the futures of minus the logarithm of weight times bell.  A region is then a
union of ellipses, exactly: its area is counted and its outline drawn on a grid laid over each part that hangs together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from birddog.geo import Plane
from tracking.forecast.futures import Futures
from tracking.forecast.past import STOOD_MPS


@dataclass(frozen=True)
class Shape:
    """How wide a bell is; chosen by ``tools/forecast_trials.py``.

    Attributes:
        along, across: one sigma, as a share of the way from here to the future (where it stands then: ``across`` both ways).
        own: the same of the way that the thing's speed makes in that time.
        floor_m: the least sigma.
        freedom: the Student distribution's degrees of freedom.
    """

    along: float = 0.08
    across: float = 0.02
    own: float = 0.02
    floor_m: float = 25.0
    freedom: float = 1.0


SHAPE = Shape()
#: Cells of the grid along the longer side of a part of a region.
GRID = 96
#: Futures that a region is made of, strongest first.
MOST_BELLS = 24


@dataclass(frozen=True)
class Bells:
    """The bells of some futures, about the same plane: centres, one sigma along and across, the way's direction, log height."""

    e_m: np.ndarray
    n_m: np.ndarray
    along_m: np.ndarray
    across_m: np.ndarray
    u_e: np.ndarray
    u_n: np.ndarray
    log_height: np.ndarray
    freedom: float


def bells(futures: Futures, speed_mps: float, after_s: float, shape: Shape = SHAPE, ruler: float = 1.0) -> Bells:
    """A bell about each future, so many times as wide (and as high: oddness is measured by the ruler, as misses are)."""
    order = np.argsort(-futures.weight, kind="stable")[:MOST_BELLS]
    e, n, ve, vn = futures.e_m[order], futures.n_m[order], futures.ve_mps[order], futures.vn_mps[order]
    weight = futures.weight[order]
    way, speed = np.hypot(e, n), np.hypot(ve, vn)
    goes = speed > STOOD_MPS
    least = np.hypot(shape.floor_m, shape.own * speed_mps * after_s)
    across = np.hypot(shape.across * way, least)
    along = np.where(goes, np.hypot(shape.along * way, least), across)
    safe = np.where(goes, speed, 1.0)
    return Bells(e, n, along * ruler, across * ruler, np.where(goes, ve / safe, 1.0), np.where(goes, vn / safe, 0.0),
                 np.log(weight) - np.log(along * across), shape.freedom)


def oddness(b: Bells, e_m: float, n_m: float) -> float:
    """How odd a place is: the least over the bells."""
    return float(_odd(b, e_m - b.e_m, n_m - b.n_m).min())


def _odd(b: Bells, de: np.ndarray, dn: np.ndarray) -> np.ndarray:
    a = (de * b.u_e + dn * b.u_n) / b.along_m
    c = (de * b.u_n - dn * b.u_e) / b.across_m
    odd: np.ndarray = 0.5 * (b.freedom + 2.0) * np.log1p((a * a + c * c) / b.freedom) - b.log_height
    return odd


def radii(b: Bells, level: float) -> np.ndarray:
    """How many sigmas each bell's ellipse reaches at a level of oddness; 0 where it has no part in the region."""
    inner = np.exp(np.minimum(2.0 * (level + b.log_height) / (b.freedom + 2.0), 200.0)) - 1.0
    return np.sqrt(b.freedom * np.maximum(inner, 0.0))


@dataclass(frozen=True)
class Part:
    """One part of a region: the grid's lower left corner, its cell, and on each grid point how far inside it is (over 0)."""

    e0_m: float
    n0_m: float
    de_m: float
    dn_m: float
    inside: np.ndarray

    def area_m2(self, about: Plane | None = None) -> float:
        """Its area in the plane, or on the mean sphere: a row of the grid is as much wider as its parallel is longer."""
        rows = np.count_nonzero(self.inside > 0.0, axis=1).astype(float)
        if about is not None:
            rows *= about.stretch(self.n0_m + np.arange(len(rows)) * self.dn_m)
        return float(rows.sum()) * self.de_m * self.dn_m


def boxes(b: Bells, level: float) -> list[tuple[float, float, float, float]]:
    """(east, north, half the width, half the height) of each ellipse of the region at a level."""
    r = radii(b, level)
    half_e = r * np.hypot(b.along_m * b.u_e, b.across_m * b.u_n)
    half_n = r * np.hypot(b.along_m * b.u_n, b.across_m * b.u_e)
    return [tuple(row) for row in np.c_[b.e_m, b.n_m, half_e, half_n][r > 0.0].tolist()]


def parts(b: Bells, level: float, grid: int = GRID) -> list[Part]:
    """The parts of the region at a level, each with a grid of its own; ellipses whose boxes touch are one part."""
    r = radii(b, level)
    part = np.flatnonzero(r > 0.0)
    if not len(part):
        return []
    half_e = r * np.hypot(b.along_m * b.u_e, b.across_m * b.u_n)
    half_n = r * np.hypot(b.along_m * b.u_n, b.across_m * b.u_e)
    box = np.c_[b.e_m - half_e, b.e_m + half_e, b.n_m - half_n, b.n_m + half_n][part]
    out = []
    for group in _touching(box):
        e0, e1, n0, n1 = box[group, 0].min(), box[group, 1].max(), box[group, 2].min(), box[group, 3].max()
        # a margin of one cell, so that every outline closes within the grid
        de, dn = (e1 - e0) / (grid - 3), (n1 - n0) / (grid - 3)
        inside = np.full((grid, grid), -1.0)
        for k, i in zip(part[group], group, strict=True):
            c0, c1 = int((box[i, 0] - e0) / de), int((box[i, 1] - e0) / de) + 3
            r0, r1 = int((box[i, 2] - n0) / dn), int((box[i, 3] - n0) / dn) + 3
            x = (e0 + (np.arange(c0, min(c1, grid)) - 1) * de - b.e_m[k])[None, :]
            y = (n0 + (np.arange(r0, min(r1, grid)) - 1) * dn - b.n_m[k])[:, None]
            a = (x * b.u_e[k] + y * b.u_n[k]) / (b.along_m[k] * r[k])
            c = (x * b.u_n[k] - y * b.u_e[k]) / (b.across_m[k] * r[k])
            window = inside[r0 : min(r1, grid), c0 : min(c1, grid)]
            np.maximum(window, 1.0 - np.sqrt(a * a + c * c), out=window)
        inside[0, :] = inside[-1, :] = inside[:, 0] = inside[:, -1] = -1.0
        out.append(Part(float(e0 - de), float(n0 - dn), float(de), float(dn), inside))
    return out


def _touching(box: np.ndarray) -> list[list[int]]:
    """Groups of boxes that touch each other, also over others."""
    left, out = set(range(len(box))), []
    while left:
        group, new = [], [min(left)]
        left.discard(new[0])
        while new:
            i = new.pop()
            group.append(i)
            near = [j for j in left if box[i, 0] <= box[j, 1] and box[j, 0] <= box[i, 1] and box[i, 2] <= box[j, 3]
                    and box[j, 2] <= box[i, 3]]  # fmt: skip
            left.difference_update(near)
            new += sorted(near)
        out.append(sorted(group))
    return out


def area_m2(b: Bells, level: float, grid: int = 64, about: Plane | None = None) -> float:
    """The area of the region at a level: in the plane, or on the mean sphere where the plane is said."""
    return sum(part.area_m2(about) for part in parts(b, level, grid))


def outlines(part: Part) -> list[list[list[tuple[float, float]]]]:
    """Polygons of a part, each an outer ring anticlockwise and its holes clockwise, of (e_m, n_m), closed.

    Marching squares on ``inside`` with straight edges between the points where it is 0 (Lorensen and Cline 1987, in two
    dimensions); where a square's corners are inside only across it, they are two corners and not a bridge.
    """
    f = part.inside
    links: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    places: dict[tuple[int, int, int], tuple[float, float]] = {}

    def cut(r: int, c: int, down: int) -> tuple[int, int, int]:
        key = (r, c, down)
        if key not in places:
            a, b = f[r, c], f[r + 1, c] if down else f[r, c + 1]
            w = float(np.clip(a / (a - b), 1e-3, 1.0 - 1e-3))
            x, y = (c, r + w) if down else (c + w, r)
            places[key] = (part.e0_m + x * part.de_m, part.n0_m + y * part.dn_m)
        return key

    on = f > 0.0
    case = on[:-1, :-1] * 1 + on[:-1, 1:] * 2 + on[1:, 1:] * 4 + on[1:, :-1] * 8
    for r, c in np.argwhere((case > 0) & (case < 15)):
        r, c = int(r), int(c)
        sides = {"s": (r, c, 0), "e": (r, c + 1, 1), "n": (r + 1, c, 0), "w": (r, c, 1)}
        for a, b in _SEGMENTS[int(case[r, c])]:
            links[cut(*sides[a])] = cut(*sides[b])
    rings = []
    while links:
        start = next(iter(links))
        ring, at = [], start
        while at in links:
            ring.append(places[at])
            at = links.pop(at)
        if len(ring) >= 3:
            rings.append([*ring, ring[0]])
    outer = [ring for ring in rings if _signed_area(ring) > 0.0]
    polygons = [[ring] for ring in outer]
    for hole in (ring for ring in rings if _signed_area(ring) < 0.0):
        around = [k for k, ring in enumerate(outer) if _within(ring, hole[0])]
        if around:
            polygons[min(around, key=lambda k: _signed_area(outer[k]))].append(hole)
    return polygons


#: For each set of corners that are inside (1 south-west, 2 south-east, 4 north-east, 8 north-west): from side to side, the
#: inside on the left.
_SEGMENTS: dict[int, tuple[tuple[str, str], ...]] = {
    1: (("s", "w"),), 2: (("e", "s"),), 3: (("e", "w"),), 4: (("n", "e"),), 5: (("s", "w"), ("n", "e")), 6: (("n", "s"),),
    7: (("n", "w"),), 8: (("w", "n"),), 9: (("s", "n"),), 10: (("e", "s"), ("w", "n")), 11: (("e", "n"),), 12: (("w", "e"),),
    13: (("s", "e"),), 14: (("w", "s"),),
}  # fmt: skip


def _signed_area(ring: list[tuple[float, float]]) -> float:
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2.0


def _within(ring: list[tuple[float, float]], place: tuple[float, float]) -> bool:
    inside = False
    for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False):
        if (y0 > place[1]) != (y1 > place[1]) and place[0] < (x1 - x0) * (place[1] - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside
