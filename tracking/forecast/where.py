"""Where something will be: the point, the discs and the regions that hold it, for one id, one moment and one horizon."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from birddog.geo import DEGREE_M, R_MEAN_M, Plane
from tracking.forecast import futures as fut
from tracking.forecast import regions
from tracking.forecast.calibration import LEVELS, Calibration, Widths, guess_m, ruler, wider
from tracking.forecast.past import Past


@dataclass(frozen=True)
class Track:
    """The fixes of one id, ascending in time."""

    name: str
    t_s: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray


@dataclass(frozen=True)
class Forecast:
    """An answer.

    Attributes:
        lat_deg, lon_deg: the point with the least mean distance to what may come.
        radius_m: of the discs about it, by level.
        area_m2: of the regions, by level.
        moving: whether it moved at t0; after_s: how long after its last fix the answer is.
        neighbours: how much likeness there was in the archive, about the number of perfect neighbours.
        windows: how many outcomes of the past stand behind the widths; 0 is a guess.
        elsewhere: the archive knows nobody at this place: how it did at other places is no measure here.
        bells, oddness: what the regions are made of; a level without an oddness is the disc.
        cap_deg: of a level whose region holds a pole the parallel from which on, all round, everything is in it: longitudes
            say nothing there, and the plane of the futures ends.
    """

    lat_deg: float
    lon_deg: float
    radius_m: dict[float, float]
    area_m2: dict[float, float]
    moving: bool
    after_s: float
    neighbours: float
    windows: int
    futures: fut.Futures
    bells: regions.Bells
    oddness: dict[float, float | None]
    cap_deg: dict[float, float | None]
    elsewhere: bool

    def rings(self, level: float) -> list[list[list[tuple[float, float]]]]:
        """The region of a level as polygons of (lon_deg, lat_deg) rings, the outer ring anticlockwise, its holes clockwise."""
        odd, cap = self.oddness[level], self.cap_deg[level]
        if cap is not None:
            parallel = [(float(lon), cap) for lon in range(-180, 181, 30)]
            if self.futures.plane.lat_deg >= 0.0:
                return [[[*parallel, (180.0, 90.0), (-180.0, 90.0), parallel[0]]]]
            return [[[*parallel[::-1], (-180.0, -90.0), (180.0, -90.0), parallel[-1]]]]
        if odd is None:
            return [[_circle(self.lat_deg, self.lon_deg, self.radius_m[level])]]
        return [
            [_degrees(self.futures.plane, ring) for ring in polygon]
            for part in regions.parts(self.bells, odd)
            for polygon in regions.outlines(part)
        ]


def _circle(lat_deg: float, lon_deg: float, radius_m: float) -> list[tuple[float, float]]:
    """A circle of the mean sphere as a ring that holds no pole, anticlockwise, (lon_deg, lat_deg), going on past 180.

    Readers draw its edges straight in degrees: of 72 corners a thousandth is left out, and near a pole more are taken.
    """
    lat, r = math.radians(lat_deg), radius_m / R_MEAN_M
    corners = 72 if abs(lat) + 2.0 * r < 0.5 * math.pi else 360
    step = 2.0 * math.pi / corners
    ring = []
    for k in range(corners):
        e, n = math.cos(k * step), math.sin(k * step)
        up = math.sin(lat) * math.cos(r) + math.cos(lat) * math.sin(r) * n
        there = math.atan2(e * math.sin(r), math.cos(lat) * math.cos(r) - math.sin(lat) * math.sin(r) * n)
        ring.append((lon_deg + math.degrees(there), math.degrees(math.asin(max(-1.0, min(1.0, up))))))
    return [*ring, ring[0]]


def _degrees(plane: Plane, ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for e, n in ring:
        lat, lon = plane.geodetic(e, n)
        # a ring over the antimeridian goes on past 180, as RFC 7946 lets readers unroll it
        lon += 360.0 * round((plane.lon_deg - lon) / 360.0)
        out.append((lon, lat))
    return out


@dataclass
class Forecaster:
    """Answers questions about where, from one archive.

    Nothing of an answer depends on a fix of the asked id after t0, nor on a fix of the archive after t0.
    """

    past: Past
    like: fut.Likeness = fut.LIKENESS
    shape: regions.Shape = regions.SHAPE
    calibration: Calibration | None = None
    _last: tuple[Track, float, tuple[fut.LastSeen, fut.Visible, fut.Passes | None] | None] | None = field(
        default=None, repr=False
    )
    _younger: dict[int, Forecaster] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.calibration is None:
            self.calibration = Calibration(self.past, self.like, self.shape)

    def as_of(self, t0_s: float) -> Forecaster:
        """Who answers a question of a moment: this, or one with the lengths that the archive had then (``Past.as_of``)."""
        past = self.past.as_of(t0_s)
        if past is self.past:
            return self
        if (then := self._younger.get(id(past))) is None:
            then = self._younger[id(past)] = Forecaster(past, self.like, self.shape)
        return then

    def state(self, track: Track, t0_s: float) -> tuple[fut.LastSeen, fut.Visible, fut.Passes | None] | None:
        """What is known of a track at t0 and who passed as it does; None before its first fix."""
        if (then := self.as_of(t0_s)) is not self:
            return then.state(track, t0_s)
        if self._last is not None and self._last[0] is track and self._last[1] == t0_s:
            return self._last[2]
        state = fut.last_seen(track.t_s, track.lat_deg, track.lon_deg, t0_s, self.past.scale.window_s)
        got = None
        if state is not None:
            seen = fut.visible(self.past, track.name, t0_s)
            got = state, seen, fut.passes(self.past, state, seen, self.like) if state.moving else None
        self._last = (track, t0_s, got)
        return got

    def forecast(self, track: Track, t0_s: float, horizon_s: float) -> Forecast | None:
        """Where a track will be ``horizon_s`` after t0, by its fixes not after t0; None before its first fix."""
        if (then := self.as_of(t0_s)) is not self:
            return then.forecast(track, t0_s, horizon_s)
        got = self.state(track, t0_s)
        if got is None:
            return None
        state, seen, found = got
        after_s = t0_s + horizon_s - state.t_s
        f = fut.futures_of(self.past, state, after_s, seen, found, self.like)
        by = ruler(state, f)
        b = regions.bells(f, state.speed_mps, after_s, self.shape, wider(state, by))
        pace_mps = fut.pace_mps(track.t_s, track.lat_deg, track.lon_deg, state, after_s, self.past.scale.window_s)
        radius: dict[float, float] = {}
        area: dict[float, float] = {}
        odd: dict[float, float | None] = {}
        windows = 0
        elsewhere = f.mass == 0.0 and not len(self.past.slices(state.lat_deg, state.lon_deg, _ANY_COURSE, t0_s))
        assert self.calibration is not None
        for level in LEVELS:
            w = self.calibration.widths(after_s, state.moving, pace_mps, t0_s, level, by, state.stood_s)
            if elsewhere:
                w = Widths(max(w.radius_m, guess_m(after_s, state.moving, pace_mps, level)), None, 0)
            radius[level] = min(max(w.radius_m, radius.get(0.5, 0.0)), _FARTHEST_M)
            windows = w.windows
            odd[level], area[level] = given(state, f, b, w.oddness, radius[level], level)
        lat, lon = f.plane.geodetic(*f.point)
        if not math.isfinite(lat + lon + radius[0.9] + area[0.5] + area[0.9]):
            raise ValueError("a forecast is no number")
        caps = {level: _cap(f, b, odd[level], radius[level]) for level in LEVELS}
        pole = 1.0 if f.plane.lat_deg >= 0.0 else -1.0
        area |= {level: 2.0 * math.pi * R_MEAN_M**2 * (1.0 - math.sin(math.radians(cap * pole)))
                 for level, cap in caps.items() if cap is not None}  # fmt: skip
        return Forecast(lat, lon, radius, area, state.moving, after_s, f.mass, windows, f, b, odd, caps, elsewhere)


def given(
    state: fut.LastSeen, f: fut.Futures, b: regions.Bells, odd: float | None, radius_m: float, level: float
) -> tuple[float | None, float]:
    """(oddness of the region that is given or None where it is the disc, its area): as a level's widths are, so it is told.

    A region that is nothing is the disc, and one of nine tenths that is larger; of half it would hold too little so (of what
    stays half is its disc: that has its own swing for a ruler).
    """
    disc_m2 = 2.0 * math.pi * R_MEAN_M**2 * (1.0 - math.cos(min(radius_m / R_MEAN_M, math.pi)))
    if odd is None or (level <= 0.5 and not state.moving and f.point == (0.0, 0.0)):
        return None, disc_m2
    area_m2 = regions.area_m2(b, odd, about=f.plane)
    return (odd, area_m2) if 0.0 < area_m2 < (disc_m2 if level > 0.5 else math.inf) else (None, disc_m2)


def _cap(f: fut.Futures, b: regions.Bells, odd: float | None, radius_m: float) -> float | None:
    """The parallel of a region that holds a pole or goes all round one; None where it does neither."""
    if odd is None:  # a circle goes all round a pole where it holds one
        lat_deg = f.plane.lat_deg + f.point[1] / DEGREE_M
        low, high = lat_deg - radius_m / DEGREE_M, lat_deg + radius_m / DEGREE_M
        return _held(f.plane, low, high) if low <= -90.0 or high >= 90.0 else None
    boxes = regions.boxes(b, odd)
    low = min(f.plane.lat_deg + (n - half) / DEGREE_M for _, n, _, half in boxes)
    high = max(f.plane.lat_deg + (n + half) / DEGREE_M for _, n, _, half in boxes)
    metre_deg = 1.0 / (DEGREE_M * max(math.cos(math.radians(f.plane.lat_deg)), 1e-6))
    wide_deg = (max(e + half for e, _, half, _ in boxes) - min(e - half for e, _, half, _ in boxes)) * metre_deg
    if high < 90.0 and low > -90.0 and wide_deg < 360.0:
        return None
    return _held(f.plane, low, high)


def _held(plane: Plane, low: float, high: float) -> float:
    """The parallel; what a plane has beyond the pole lies on the meridian across."""
    return max(min(low, 180.0 - high), -89.0) if plane.lat_deg >= 0.0 else min(max(high, -180.0 - low), 89.0)


#: What stood, and all eighths of the circle.
_ANY_COURSE = tuple(range(9))
#: Nothing is farther away: half the Earth's circumference.
_FARTHEST_M = 20_037_508.0
