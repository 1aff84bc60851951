"""Places that are named: a port or hub that is visited, a line that is passed, a border that is crossed (``model.Visit`` …).

Where they are is given (a case's zones, a file), not learned.  Each rule is a fold over one vessel's fixes, the same for a file
and while fixes come in; of a file, visits are found as arrays, and ``Places.near`` says which fixes need be folded for borders.
A fix is (ns, x, y, z, latitude, longitude).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.geo import R_MEAN_M, wrap_lon
from birddog.units import NS
from tracking.depth import depth_m
from tracking.events.model import Rules
from tracking.events.sphere import point
from tracking.events.tracks import Tracks, counted

if TYPE_CHECKING:
    from birddog.model import Zone

Fix = tuple[int, float, float, float, float, float]


class Found(msgspec.Struct, frozen=True):
    """Something at a place, before it is an event (``tell.at_place``)."""

    kind: str
    place: str
    first_ns: int
    last_ns: int
    lat_deg: float
    lon_deg: float
    ended: bool
    seen: float
    measures: dict[str, float | int | bool | None]


class Port(msgspec.Struct, frozen=True):
    """A port or hub: an area, or a circle (one point and ``half_width_m``)."""

    zone: Zone
    middle: tuple[float, float, float]

    def depth(self, fix: Fix) -> float:
        """Metres inside its edge; negative outside."""
        if len(self.zone.points) == 1:
            dx, dy, dz = fix[1] - self.middle[0], fix[2] - self.middle[1], fix[3] - self.middle[2]
            return self.zone.half_width_m - math.sqrt(dx * dx + dy * dy + dz * dz)
        return depth_m(self.zone, lat_deg=fix[4], lon_deg=fix[5])[0]


class Places:
    """Zones by their role; those that are only areas are none of these."""

    def __init__(self, zones: Iterable[Zone] = ()):
        self.zones = tuple(z for z in zones if z.role != "area")
        self.ports: list[Port] = []
        self.gates: list[Zone] = []
        self.borders: list[Zone] = []
        for zone in self.zones:
            if zone.role == "port":
                lon, lat = zone.points[0]
                self.ports.append(Port(zone, point(lat, lon)))
            else:
                (self.gates if zone.role == "gate" else self.borders).append(zone)

    def __bool__(self) -> bool:
        return bool(self.zones)

    def near(self, fixes: Tracks, rules: Rules) -> dict[int, tuple[Places, np.ndarray]]:
        """The vessels of a file that are on both sides of a border at some time, each with these borders alone and the rows of
        its fixes that can change anything there: those in a border's box, and the ones before and after.

        Nobody else crosses, and the cost does not grow with fixes that are far away.
        """
        some: dict[int, list[Zone]] = {}
        rows: dict[int, list[np.ndarray]] = {}
        span = Span(fixes) if self.borders else None
        for zone in self.borders:
            boxed = _boxed(fixes, span, zone, rules.border.margin_m)
            inside = np.zeros(len(fixes.time_ns), bool)
            inside[boxed] = _within(zone, fixes.lat_deg[boxed], fixes.lon_deg[boxed])
            at = np.flatnonzero((inside[1:] != inside[:-1]) & (fixes.vessel[1:] == fixes.vessel[:-1]))
            who = fixes.vessel[boxed]
            for vessel in sorted(set(fixes.vessel[at].tolist())):
                some.setdefault(vessel, []).append(zone)
                own = boxed[slice(*np.searchsorted(who, (vessel, vessel + 1)))]
                rows.setdefault(vessel, []).append(own)
        alike: dict[tuple[str, ...], Places] = {}
        out = {}
        for vessel in sorted(some):
            names = tuple(zone.name for zone in some[vessel])
            if names not in alike:
                alike[names] = Places(some[vessel])
            own = np.concatenate(rows[vessel])
            own, _ = counted(np.concatenate((own - 1, own, own + 1)))
            out[vessel] = alike[names], own[(own >= fixes.first[vessel]) & (own < fixes.first[vessel + 1])]
        return out

    def visits(self, fixes: Tracks, rules: Rules) -> Iterator[tuple[int, Found]]:
        """(vessel, visit) of every port: by vessel, those that ended by when that was known, and then those that last."""
        found: list[tuple[tuple[int, bool, int, int], Found]] = []
        span = Span(fixes) if self.ports else None
        for k, port in enumerate(self.ports):
            for vessel, known, visit in _visited(fixes, _boxed(fixes, span, port.zone, rules.visit.beyond_m), port, rules):
                found.append(((vessel, not visit.ended, known, k), visit))
        for (vessel, *_), visit in sorted(found, key=lambda one: one[0]):
            yield vessel, visit

    def passages(self, fixes: Tracks, rules: Rules) -> Iterator[tuple[int, Found]]:
        """(vessel, passage) of every line, by vessel, time and line."""
        rows = _over(fixes, self.gates)
        gate = np.repeat(np.arange(len(rows)), [len(at) for at in rows])
        at = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        short = fixes.time_ns[at] - fixes.time_ns[at - 1] <= int(rules.portal.hole_s * NS)
        at, gate = at[short], gate[short]
        order = np.argsort(at, kind="stable")
        at, gate = at[order], gate[order]
        before, here = (one_by_one(fixes, which) for which in (at - 1, at))
        for vessel, a, b, k in zip(fixes.vessel[at].tolist(), before, here, gate.tolist(), strict=True):
            found = passed(a, b, self.gates[k])
            if found is not None:
                yield vessel, found


def one_by_one(fixes: Tracks, rows: slice | np.ndarray) -> Iterator[Fix]:
    """Some rows of a file."""
    columns = (fixes.time_ns, fixes.x, fixes.y, fixes.z, fixes.lat_deg, fixes.lon_deg)
    return zip(*(c[rows].tolist() for c in columns), strict=True)


class Span:
    """The box of each vessel's fixes (all round where it is half a turn wide, for what goes over the date line): of most places
    most vessels keep away."""

    def __init__(self, fixes: Tracks):
        self._vessel = np.flatnonzero(np.diff(fixes.first))
        self._begin, self._end = fixes.first[self._vessel], fixes.first[self._vessel + 1]
        n = len(self._vessel)
        edges = [
            edge.reduceat(p, self._begin) if n else np.zeros(0)
            for p in (fixes.lat_deg, fixes.lon_deg) for edge in (np.minimum, np.maximum)
        ]  # fmt: skip
        self._low, self._high, self._west, self._east = edges
        round_it = self._east - self._west >= 180.0
        self._west[round_it], self._east[round_it] = -np.inf, np.inf

    def rows(self, lats: tuple[float, float], lons: tuple[float, float], *, steps: bool = False) -> np.ndarray:
        """The fixes of those that may have been in or over a box (``lons``: west and east, beyond ±180 over the date line),
        ascending; for ``steps`` without the first of each."""
        over = np.zeros(len(self._west), bool)
        for turn in (-360.0, 0.0, 360.0):
            over |= (self._east >= lons[0] + turn - 1e-6) & (self._west <= lons[1] + turn + 1e-6)
        some = np.flatnonzero(over & (self._high >= lats[0]) & (self._low <= lats[1]))
        begin = self._begin[some] + steps
        count = self._end[some] - begin
        rows: np.ndarray = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
        return rows


def _boxed(fixes: Tracks, span: Span | None, zone: Zone, beyond_m: float) -> np.ndarray:
    """The rows of the fixes in the box of latitude and longitude about a zone."""
    lon0 = zone.points[0][0]
    east, lats = [wrap_lon(lon - lon0) for lon, _ in zone.points], [lat for _, lat in zone.points]
    beyond_m += zone.half_width_m
    north = math.degrees(beyond_m / R_MEAN_M) * 1.01 + 1e-6
    highest = min(89.9, max(abs(lat) for lat in lats) + north)
    wide = north / math.cos(math.radians(highest))
    box = (min(lats) - north, max(lats) + north), (lon0 + min(east) - wide, lon0 + max(east) + wide)
    rows = (span or Span(fixes)).rows(*box)
    lat = fixes.lat_deg[rows]
    rows = rows[(lat >= min(lats) - north) & (lat <= max(lats) + north)]
    d = (fixes.lon_deg[rows] - lon0 + 180.0) % 360.0 - 180.0
    boxed: np.ndarray = rows[(d >= min(east) - wide) & (d <= max(east) + wide)]
    return boxed


def _over(fixes: Tracks, gates: list[Zone]) -> list[np.ndarray]:
    """For each line the rows of fixes whose step from the one before may go over it: their box and its have something in
    common."""
    span = Span(fixes)
    out = []
    for gate in gates:
        lon0 = gate.points[0][0]
        east, lats = [wrap_lon(lon - lon0) for lon, _ in gate.points], [lat for _, lat in gate.points]
        at = span.rows((min(lats), max(lats)), (lon0 + min(east), lon0 + max(east)), steps=True)
        one, two = fixes.lat_deg[at - 1], fixes.lat_deg[at]
        at = at[(np.maximum(one, two) >= min(lats)) & (np.minimum(one, two) <= max(lats))]
        a = (fixes.lon_deg[at - 1] - lon0 + 180.0) % 360.0 - 180.0
        b = a + (fixes.lon_deg[at] - fixes.lon_deg[at - 1] + 180.0) % 360.0 - 180.0
        out.append(at[(np.maximum(a, b) >= min(east) - 1e-9) & (np.minimum(a, b) <= max(east) + 1e-9)])
    return out


def _visited(fixes: Tracks, boxed: np.ndarray, port: Port, rules: Rules) -> Iterator[tuple[int, int, Found]]:
    """(vessel, row, visit) of one port: what ``AtPlaces`` makes of the fixes in its box and the one after each.

    The row is the one that ended the visit; of one that lasts its first.
    """
    rows, _ = counted(np.concatenate((boxed, boxed[boxed + 1 < fixes.first[fixes.vessel[boxed] + 1]] + 1)))
    if not len(rows):
        return
    t, vessel = fixes.time_ns[rows], fixes.vessel[rows]
    at = np.stack((fixes.x[rows], fixes.y[rows], fixes.z[rows]), axis=1)
    if len(port.zone.points) == 1:
        dx, dy, dz = (at[:, k] - port.middle[k] for k in range(3))
        depth = port.zone.half_width_m - np.sqrt(dx * dx + dy * dy + dz * dz)
    else:
        depth = np.array([port.depth(fix) for fix in one_by_one(fixes, rows)])
    # in from the first fix inside to the last before one far out
    first = np.ones(len(rows), bool)
    first[1:] = vessel[1:] != vessel[:-1]
    said = np.flatnonzero((depth >= 0.0) | (depth < -rules.visit.beyond_m) | first)
    inside = np.repeat(depth[said] >= 0.0, np.diff(np.append(said, len(rows))))
    begin = np.flatnonzero(inside & (first | ~np.concatenate(([False], inside[:-1]))))
    end = np.flatnonzero(inside & np.concatenate((first[1:] | ~inside[1:], [True]))) + 1
    dt = np.diff(t, prepend=t[:1])
    dx, dy, dz = (np.diff(at[:, k], prepend=0.0) for k in range(3))
    slow = np.where(np.sqrt(dx * dx + dy * dy + dz * dz) * NS < rules.visit.slow_mps * dt, dt, 0)
    for a, b in zip(begin.tolist(), end.tolist(), strict=True):
        x, y, z = at[a:b].cumsum(axis=0)[-1].tolist()
        last = (int(t[b - 1]), x, y, z, 0.0, 0.0)  # its time alone is asked
        stay = Inside(int(t[a]), last, b - a, x, y, z, int(slow[a + 1 : b].sum()), int(dt[a + 1 : b].max(initial=0)))
        if _visits(stay, rules):
            ended = b < len(rows) and not first[b]
            yield int(vessel[a]), int(rows[b if ended else a]), _visit(port.zone.name, stay, rules, ended=ended)


def _within(zone: Zone, lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """Whether positions are in a ring, by the crossings of a meridian (even or odd)."""
    lon0 = zone.points[0][0]
    x, odd = (lon_deg - lon0 + 180.0) % 360.0 - 180.0, np.zeros(len(lat_deg), bool)
    before = (0.0, zone.points[0][1])
    for lon, lat in zone.points[1:]:
        here = (before[0] + wrap_lon(lon - lon0 - before[0]), lat)
        (x0, y0), (x1, y1) = before, here
        if y0 != y1:
            odd ^= ((y0 > lat_deg) != (y1 > lat_deg)) & (x < x0 + (lat_deg - y0) * ((x1 - x0) / (y1 - y0)))
        before = here
    return odd


class Inside(msgspec.Struct, frozen=True):
    """A stay in a port: its first fix, the last one inside, how many, how long it stood and its longest silence."""

    first_ns: int
    last: Fix
    n: int = 1
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    standing_ns: int = 0
    silent_ns: int = 0


class Side(msgspec.Struct, frozen=True):
    """On which side of a border, and the last fix there."""

    inside: bool
    last: Fix


class AtPlaces(msgspec.Struct, gc=False):
    """One vessel's visits under way (by port), its sides of borders and its last fix."""

    last: Fix | None = None
    stays: dict[str, Inside] = {}
    sides: dict[str, Side] = {}

    def copied(self) -> AtPlaces:
        """One that goes its own way."""
        return AtPlaces(self.last, dict(self.stays), dict(self.sides))

    def add(self, fix: Fix, places: Places, rules: Rules) -> list[Found]:
        """Take the next fix; what that decided."""
        out: list[Found] = []
        for port in places.ports:
            self._port(fix, port, rules, out)
        if self.last is not None and fix[0] - self.last[0] <= int(rules.portal.hole_s * NS):
            for gate in places.gates:
                found = passed(self.last, fix, gate)
                out += [found] if found is not None else []
        for border in places.borders:
            self._border(fix, border, rules, out)
        self.last = fix
        return out

    def _port(self, fix: Fix, port: Port, rules: Rules, out: list[Found]) -> None:
        name, depth = port.zone.name, port.depth(fix)
        stay = self.stays.get(name)
        if depth < -rules.visit.beyond_m or (stay is None and depth < 0.0):
            if stay is not None:
                del self.stays[name]
                if _visits(stay, rules):
                    out.append(_visit(name, stay, rules, ended=True))
            return
        if stay is None:
            self.stays[name] = Inside(fix[0], fix, 1, fix[1], fix[2], fix[3])
            return
        dt = fix[0] - stay.last[0]
        dx, dy, dz = (fix[i] - stay.last[i] for i in (1, 2, 3))
        slow = math.sqrt(dx * dx + dy * dy + dz * dz) * NS < rules.visit.slow_mps * dt
        self.stays[name] = Inside(
            stay.first_ns, fix, stay.n + 1, stay.x + fix[1], stay.y + fix[2], stay.z + fix[3],
            stay.standing_ns + (dt if slow else 0), max(stay.silent_ns, dt),
        )  # fmt: skip

    def _border(self, fix: Fix, border: Zone, rules: Rules, out: list[Found]) -> None:
        held = self.sides.get(border.name)
        inside = ring_contains(border.points, lat_deg=fix[4], lon_deg=fix[5])
        if held is None or held.inside == inside:
            self.sides[border.name] = Side(inside, fix)
            return
        depth = abs(depth_m(border, lat_deg=fix[4], lon_deg=fix[5])[0])
        if depth < rules.border.margin_m:
            return
        was = held.last
        before = abs(depth_m(border, lat_deg=was[4], lon_deg=was[5])[0])
        share = before / (before + depth)
        self.sides[border.name] = Side(inside, fix)
        lat, lon = was[4] + share * (fix[4] - was[4]), wrap_lon(was[5] + share * wrap_lon(fix[5] - was[5]))
        out.append(Found(
            "border", border.name, was[0], fix[0], lat, lon, True, min(1.0, rules.seen_s * NS / (fix[0] - was[0])),
            {"entered": inside, "duration_s": (fix[0] - was[0]) / NS, "crossed_after_s": share * (fix[0] - was[0]) / NS,
             "over_a_hole": fix[0] - was[0] > rules.hole_ns},
        ))  # fmt: skip

    def lasting(self, rules: Rules) -> list[Found]:
        """The visits under way."""
        return [_visit(name, stay, rules, ended=False) for name, stay in self.stays.items() if _visits(stay, rules)]


def _visits(stay: Inside, rules: Rules) -> bool:
    return stay.standing_ns >= rules.visit.stand_s * NS or stay.silent_ns >= rules.visit.silent_s * NS


def _visit(name: str, stay: Inside, rules: Rules, *, ended: bool) -> Found:
    from tracking.events.sphere import place

    lat, lon = place(stay.x, stay.y, stay.z)
    lasted_ns = stay.last[0] - stay.first_ns
    return Found(
        "visit", name, stay.first_ns, stay.last[0], lat, lon, ended, min(1.0, (stay.n - 1) * rules.seen_s * NS / lasted_ns),
        {"duration_s": lasted_ns / NS, "standing_s": stay.standing_ns / NS, "longest_silence_s": stay.silent_ns / NS,
         "fixes": stay.n},
    )  # fmt: skip


def passed(a: Fix, b: Fix, gate: Zone) -> Found | None:
    """The passage of a line in the step from a to b; over it and back is none.

    Lines and steps are straight in longitude and latitude (RFC 7946, section 3.1.1), the short way round.
    """
    lon0 = gate.points[0][0]
    ax, ay = wrap_lon(a[5] - lon0), a[4]
    dx, dy = wrap_lon(b[5] - a[5]), b[4] - a[4]
    net, first = 0, 2.0
    px, py = 0.0, gate.points[0][1]
    for lon, lat in gate.points[1:]:
        qx, qy = px + wrap_lon(lon - lon0 - px), lat
        ex, ey = qx - px, qy - py
        # which side of the edge each end of the step is on, and which side of the step each end of the edge: half open
        left_a = ex * (ay - py) - ey * (ax - px) > 0.0
        left_b = ex * (ay + dy - py) - ey * (ax + dx - px) > 0.0
        over_p, over_q = dx * (py - ay) - dy * (px - ax) > 0.0, dx * (qy - ay) - dy * (qx - ax) > 0.0
        if left_a != left_b and over_p != over_q:
            net += 1 if left_a else -1
            cross = ex * dy - ey * dx
            first = min(first, (ey * (ax - px) - ex * (ay - py)) / cross if cross else 0.0)
        px, py = qx, qy
    if net == 0:
        return None
    share = min(max(first, 0.0), 1.0)
    seconds = (b[0] - a[0]) / NS
    way_m = math.dist(a[1:4], b[1:4])
    return Found(
        "portal", gate.name, a[0], b[0], ay + share * dy, wrap_lon(a[5] + share * dx), True, 1.0,
        {"to_the_right": net > 0, "duration_s": seconds, "passed_after_s": share * seconds, "speed_mps": way_m / seconds},
    )  # fmt: skip
