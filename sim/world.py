"""The truth: where every object of a scenario is at any second, before any device says anything of it.

An object follows a route: a polyline in local east/north metres whose corners are rounded, so that courses
change as a vehicle's do.  Along the route it keeps to a speed that wanders a little, brakes for its stops and
waits there.  An object may ride on another one first and leave it at a given second; from then on it walks its
own route, which begins where it left.

Everything is a function of (scenario, seed): each object has its own random stream, so that adding one object
moves no other.  Times are seconds since the scenario's start.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import random
from array import array
from collections.abc import Callable

import msgspec

from birddog.geo import LocalFrame

#: The step of the motion, seconds.
STEP_S = 0.5
#: How hard a class brakes and speeds up, m/s².
ACCELERATION_MPS2 = {"walker": 0.6, "van": 1.2, "lorry": 0.7, "vessel": 0.06, "aircraft": 2.0, "parcel": 1.0}
#: What it takes sideways in a bend before it slows down, m/s².
SIDEWAYS_MPS2 = {"walker": 1.0, "vessel": 0.3, "aircraft": 5.0}
#: The first round of cutting takes at most so much off each end of a leg, the next ones half of it each.
CUT_M = 120.0
#: Every so many seconds an object takes a slightly other speed.
WANDER_S = 20.0


class Instant(msgspec.Struct, frozen=True):
    """An object at one instant: WGS 84 degrees, local metres, m/s east and north."""

    lat_deg: float
    lon_deg: float
    e_m: float
    n_m: float
    ve_mps: float
    vn_mps: float

    @property
    def speed_mps(self) -> float:
        """Speed over ground."""
        return math.hypot(self.ve_mps, self.vn_mps)

    @property
    def course_deg(self) -> float:
        """Course over ground, degrees true clockwise from north; 0 when it stands."""
        return math.degrees(math.atan2(self.ve_mps, self.vn_mps)) % 360.0


class Halt(msgspec.Struct, frozen=True):
    """A stop on a route: ``at_m`` along it, ``for_s`` seconds, once a lap."""

    at_m: float
    for_s: float


def stream(seed: int, *names: str) -> random.Random:
    """A random stream of its own for (seed, names): the same in every process and on every machine."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


class Path:
    """A polyline with rounded corners, by distance along it.

    Args:
        points: (east m, north m), at least two; a closed path ends where it began.
        closed: go round for ever; otherwise the end is the end.
    """

    def __init__(self, points: list[tuple[float, float]], *, closed: bool):
        rounded = points
        for k in range(5):
            rounded = _cut_corners(rounded, CUT_M / 2**k, closed=closed)
        if closed:
            rounded = [*rounded, rounded[0]]
        self.closed = closed
        self._points = rounded
        self._along = [0.0]
        for (e0, n0), (e1, n1) in zip(rounded, rounded[1:], strict=False):
            self._along.append(self._along[-1] + math.hypot(e1 - e0, n1 - n0))
        self.length_m = self._along[-1]

    def at(self, along_m: float) -> tuple[float, float, float, float]:
        """(east m, north m, unit vector east, north) at a distance along the path."""
        if self.closed:
            along_m %= self.length_m
        i = min(max(bisect.bisect_right(self._along, along_m) - 1, 0), len(self._points) - 2)
        (e0, n0), (e1, n1) = self._points[i], self._points[i + 1]
        part = self._along[i + 1] - self._along[i]
        ue, un = (e1 - e0) / part, (n1 - n0) / part
        d = min(max(along_m - self._along[i], 0.0), part)
        return e0 + ue * d, n0 + un * d, ue, un


class Mover:
    """An object on a path: distance and speed on a grid of ``STEP_S``, worked out as far as it is asked for."""

    def __init__(
        self, path: Path, *, speed_mps: float, start_m: float, halts: tuple[Halt, ...], klass: str, rng: random.Random
    ):  # fmt: skip
        self.path, self.cruise_mps = path, speed_mps
        self._accel = ACCELERATION_MPS2.get(klass, 1.0)
        self._sideways = SIDEWAYS_MPS2.get(klass, 1.5)
        self._rng = rng
        self._halts = sorted(halts, key=lambda h: h.at_m)
        self._along = array("d", [start_m])
        self._speed = array("d", [speed_mps if speed_mps > 0.0 else 0.0])
        self._factor = 1.0
        self._wait_s = 0.0
        self._passed_m = start_m

    def at(self, t_s: float) -> tuple[float, float, float, float]:
        """(east m, north m, east m/s, north m/s) at a time since the object began to move."""
        step = max(t_s, 0.0) / STEP_S
        i = int(step)
        while len(self._along) < i + 2:
            self._advance()
        f = step - i
        along = self._along[i] + f * (self._along[i + 1] - self._along[i])
        speed = self._speed[i] + f * (self._speed[i + 1] - self._speed[i])
        e, n, ue, un = self.path.at(along)
        return e, n, ue * speed, un * speed

    def _advance(self) -> None:
        k = len(self._along)
        if k % int(WANDER_S / STEP_S) == 1:
            self._factor = min(max(1.0 + self._rng.gauss(0.0, 0.06), 0.85), 1.12)
        along, speed = self._along[-1], self._speed[-1]
        if self._wait_s > 0.0:
            self._wait_s -= STEP_S
            self._along.append(along)
            self._speed.append(0.0)
            return
        ahead, for_s = self._next_halt(along)
        wanted = min(self.cruise_mps * self._factor, math.sqrt(max(2.0 * self._accel * ahead, 0.0)), self._bend_mps(along))
        change = self._accel * STEP_S
        after = min(max(wanted, speed - 2.0 * change), speed + change)
        step = (speed + after) / 2.0 * STEP_S
        if step >= ahead - 0.05 and ahead < math.inf:
            step, after = max(ahead, 0.0), 0.0
            self._wait_s = for_s
            self._passed_m = along + step + 1e-6
        self._along.append(along + step)
        self._speed.append(after)

    def _bend_mps(self, along: float) -> float:
        """How fast it may go now so as not to be too fast in the bends ahead."""
        part = max(2.0 * self.cruise_mps, 4.0)
        reach = self.cruise_mps**2 / (2.0 * self._accel)
        least, d = math.inf, 0.0
        _, _, ue, un = self.path.at(along)
        while d <= reach:
            _, _, ve, vn = self.path.at(along + d + part)
            turn = abs(math.atan2(ue * vn - un * ve, ue * ve + un * vn))
            if turn > 0.02:
                least = min(least, math.sqrt(self._sideways * part / turn + 2.0 * self._accel * d))
            ue, un, d = ve, vn, d + part
        return least

    def _next_halt(self, along: float) -> tuple[float, float]:
        """(metres to the next halt, seconds to wait there)."""
        if not self.path.closed:
            nearest = (max(self.path.length_m - along, 0.0), math.inf)
        else:
            nearest = (math.inf, 0.0)
        lap = math.floor(along / self.path.length_m) if self.path.closed else 0
        for turn in (lap, lap + 1) if self.path.closed else (0,):
            for halt in self._halts:
                at = turn * self.path.length_m + halt.at_m
                if at > self._passed_m and at >= along:
                    return min(nearest, (at - along, halt.for_s))
        return nearest


class Thing:
    """One object of the scenario.

    Args:
        name, klass: who it is and how it moves.
        length_m, beam_m: its size as seen from above.
        make_mover: its motion, given where it left its carrier (None: it was never aboard).
        ride: the thing it rides on until ``leaves_s``; None: it was never aboard.
    """

    def __init__(
        self, name: str, klass: str, make_mover: Callable[[tuple[float, float] | None], Mover], *, length_m: float,
        beam_m: float, ride: Thing | None, leaves_s: float,
    ):  # fmt: skip
        self.name, self.klass, self.length_m, self.beam_m = name, klass, length_m, beam_m
        self.ride, self.leaves_s = ride, leaves_s
        self._make = make_mover
        self._mover: Mover | None = None

    def aboard(self, t_s: float) -> Thing | None:
        """The thing that carries it at a time, or None."""
        return self.ride if self.ride is not None and t_s < self.leaves_s else None

    def en(self, t_s: float) -> tuple[float, float, float, float]:
        """(east m, north m, east m/s, north m/s)."""
        carrier = self.aboard(t_s)
        if carrier is not None:
            return carrier.en(t_s)
        if self._mover is None:
            left = self.ride.en(self.leaves_s)[:2] if self.ride is not None else None
            self._mover = self._make(left)
        return self._mover.at(t_s - (self.leaves_s if self.ride is not None else 0.0))


class World:
    """Every object of a scenario.

    Args:
        frame: the plane in which routes are given.
        things: by name, in the scenario's order.
    """

    def __init__(self, frame: LocalFrame, things: dict[str, Thing]):
        self.frame, self.things = frame, things

    def state(self, name: str, t_s: float) -> Instant:
        """Where an object is at a time."""
        e, n, ve, vn = self.things[name].en(t_s)
        lat, lon = self.frame.geodetic(e, n)
        return Instant(lat, lon, e, n, ve, vn)

    def bearer(self, name: str, t_s: float) -> str:
        """The object whose position this one shares at a time: itself, or what carries it."""
        thing = self.things[name]
        while (carrier := thing.aboard(t_s)) is not None:
            thing = carrier
        return thing.name

    def visible(self, t_s: float) -> list[str]:
        """The objects that stand for themselves at a time (not aboard another), in the scenario's order."""
        return [name for name, thing in self.things.items() if thing.aboard(t_s) is None]


def _cut_corners(points: list[tuple[float, float]], most_m: float, *, closed: bool) -> list[tuple[float, float]]:
    """One round of Chaikin's corner cutting, but never more than ``most_m`` of a leg: a long straight stays straight."""
    pairs = list(zip(points, points[1:] + points[:1], strict=True))
    if not closed:
        pairs = pairs[:-1]
    out: list[tuple[float, float]] = []
    for (e0, n0), (e1, n1) in pairs:
        length = math.hypot(e1 - e0, n1 - n0)
        if length == 0.0:
            continue
        share = min(0.25, most_m / length)
        out.append((e0 + share * (e1 - e0), n0 + share * (n1 - n0)))
        out.append((e1 - share * (e1 - e0), n1 - share * (n1 - n0)))
    return out if closed else [points[0], *out, points[-1]]
