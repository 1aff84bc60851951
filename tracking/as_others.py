"""Whether a receiver's clock is behind, as another receiver of its shipment has it.

All its messages take a minute, as its times have it.  Where its way is so slow its places are where the other one was at those
times.  Where its clock is behind they are where the other one was when they came in, less what a message takes: further along
the same way by just as many seconds as its messages are late.  Who drives a minute before or behind has messages that are as
prompt as anybody's, and who has parted is where the other one is at neither time; of both nothing follows here.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from birddog.units import NS
from tracking.anchor import near_en
from tracking.arms import (
    ACCELERATION_MPS2,
    BEND,
    CLOCK_S,
    FRESH_S,
    LASTING_R,
    LEARNING,
    TOGETHER_M,
    UNDER_WAY_MPS,
)
from tracking.kernel import APART_MOST_M
from tracking.lag import STEADY
from tracking.measurement import Measurement

#: So many of the last messages are asked; one that took so much more or less than the one before was kept, and they begin anew.
MOST, ALIKE_NS = 8, 15 * NS
#: What a message of it takes at most, s: the others may have taken less.
WAY_MOST_S = 10
#: At the times of a clock that is behind each is at the other one's place by this NIS (two degrees of freedom, .999), but for
#: one in so many; further away it says no more than WORST.
FITS_NIS, BUT_ONE_IN, WORST_NIS = 13.8, 4, 16.0
#: So much likelier than as it is stated, a log, and than at the other end of a train.
BETTER = 8.0
#: The NIS that a whole series has by chance, where its scale is not known.
ROOM = 3.0
#: What has not been so far apart, m, tells nothing: who stands, or comes back to a halt, is there at any time.
MOVES_M = 50.0
#: Between two of its fixes a receiver goes at the speed of the straight way, but for so much of it and so much more, m/s.
SHARE, LEAST_MPS = 0.5, 1.0


class Said(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message: the time that it stated, by how much later it came in, and where (r: variance per axis, m²)."""

    time_ns: int
    took_ns: int
    lat_deg: float
    lon_deg: float
    r: float


class Late(msgspec.Struct, frozen=True, array_like=True):
    """The last messages of a receiver all of which took about as long; first_ns: what the first of them stated, of all."""

    first_ns: int
    said: tuple[Said, ...]


def heard(old: Late | None, one: Said) -> Late:
    """What is known after one more late message."""
    if old is None or abs(one.took_ns - old.said[-1].took_ns) > ALIKE_NS:
        return Late(one.time_ns, (one,))
    if one.time_ns <= old.said[-1].time_ns:
        return old
    return Late(old.first_ns, (*old.said[1 - MOST :], one))


class _Place(msgspec.Struct, frozen=True, gc=False):
    """Where another receiver was: metres, its velocity, and the variance of the place per axis."""

    e: float
    n: float
    ve: float
    vn: float
    r: float


class _Way:
    """The way of another receiver about a place, by its fixes."""

    def __init__(self, fixes: list[Measurement], lat0_deg: float, lon0_deg: float):
        self.times_ns: list[int] = []
        self.places: list[tuple[float, float, float]] = []
        for m in fixes:
            at = near_en(lat0_deg, lon0_deg, m.lat_deg, m.lon_deg)
            if at is not None and (not self.times_ns or m.time_ns > self.times_ns[-1]):
                self.times_ns.append(m.time_ns)
                self.places.append((*at, max(m.r_ee, m.r_nn)))

    def at(self, time_ns: int, *, earlier: bool) -> _Place | None:
        """Where it was at a time; None where nobody knows.

        Args:
            earlier: asked of a time before its first fix, it came as it goes there, at about that speed.
        """
        times_ns = self.times_ns
        i = min(max(1, bisect.bisect_left(times_ns, time_ns)), len(times_ns) - 1)
        whole_s, s = (times_ns[i] - times_ns[i - 1]) / NS, (time_ns - times_ns[i - 1]) / NS
        (e0, n0, r0), (e1, n1, r1) = self.places[i - 1], self.places[i]
        if whole_s > FRESH_S or (s < 0.0 and not earlier) or s > 2.5 * whole_s:
            return None
        ve, vn = (e1 - e0) / whole_s, (n1 - n0) / whole_s
        if s < 0.0:
            slack_s, bends = -s, math.inf
        elif s <= whole_s:
            slack_s = s * (whole_s - s) / whole_s
            bends = ACCELERATION_MPS2 * s * (whole_s - s) / 2.0
        else:
            slack_s = s - whole_s
            bends = ACCELERATION_MPS2 * slack_s * (slack_s + whole_s) / 2.0
        slack_m = min(bends, (SHARE * math.hypot(ve, vn) + LEAST_MPS) * slack_s)
        return _Place(e0 + s * ve, n0 + s * vn, ve, vn, max(r0, r1) + slack_m * slack_m)


def behind(device: str, late: Late, ring: list[Measurement]) -> tuple[int, str] | None:
    """By how much a receiver's clock is behind, ns, and whose places say so; None: none do, or it is not.

    Args:
        ring: what its track knows, in the order of time.
    """
    if len(late.said) < STEADY:
        return None
    at = late.said[-1]
    own = [(one, en) for one in late.said if (en := near_en(at.lat_deg, at.lon_deg, one.lat_deg, one.lon_deg)) is not None]
    if max(math.dist(one, other) for _, one in own for _, other in own) < MOVES_M:
        return None
    others: dict[str, list[Measurement]] = {}
    for m in ring:
        if m.origin == "fix" and m.device != device and not m.doubted:
            others.setdefault(m.device, []).append(m)
    for other, fixes in others.items():
        way = _Way(fixes, at.lat_deg, at.lon_deg)
        if len(way.times_ns) >= 2 and (by_ns := _behind(own, way)) is not None:
            return by_ns, other
    return None


def _behind(own: list[tuple[Said, tuple[float, float]]], way: _Way) -> int | None:
    """By how much its clock is behind as one other receiver has it."""
    stated = [way.at(one.time_ns, earlier=True) for one, _ in own]
    as_stated = [math.inf if place is None else _nis(en, one.r, place) for (one, en), place in zip(own, stated, strict=True)]
    if 0.5 * sum(min(nis, WORST_NIS) for nis in as_stated if nis < math.inf) < BETTER:
        return None
    at_an_end = _at_an_end(own, stated)
    least_ns = min(one.took_ns for one, _ in own)
    best: tuple[float, int] | None = None
    for way_s in range(min(WAY_MOST_S, least_ns // NS // 2) + 1):
        by_ns = least_ns - way_s * NS
        asked, off, then, said, end = 0, 0, 0.0, 0.0, 0.0
        for i, (one, en) in enumerate(own):
            place = way.at(one.time_ns + by_ns, earlier=False)
            if place is None:
                continue
            nis = _nis(en, one.r, place)
            asked, off = asked + 1, off + (nis > FITS_NIS)
            if as_stated[i] < math.inf:
                then += min(nis, WORST_NIS)
                said += min(as_stated[i], WORST_NIS)
                end += min(at_an_end[i], WORST_NIS)
        if asked < STEADY or off > asked // BUT_ONE_IN or 0.5 * (said - then) < BETTER:
            continue
        # how far the other one strays from the straight way is the same for both, and as little as it turns out to be
        if max(0.5 * (end - then), asked * math.log((end + ROOM) / (then + ROOM))) < BETTER:
            continue
        if best is None or said - then > best[0]:
            best = said - then, by_ns
    return None if best is None else best[1]


def _nis(en: tuple[float, float], r: float, place: _Place) -> float:
    r += place.r + LASTING_R + (place.ve**2 + place.vn**2) * CLOCK_S**2
    return ((en[0] - place.e) ** 2 + (en[1] - place.n) ** 2) / r


def _at_an_end(own: list[tuple[Said, tuple[float, float]]], stated: list[_Place | None]) -> list[float]:
    """The NIS of each as one that is always as far along the other one's course, or across, as on average: a lever arm."""
    turned: list[tuple[float, float, float] | None] = []
    for (one, (e, n)), place in zip(own, stated, strict=True):
        if place is None or (speed := math.hypot(place.ve, place.vn)) < UNDER_WAY_MPS:
            turned.append(None)
            continue
        along, across = place.ve / speed, place.vn / speed
        d_e, d_n = e - place.e, n - place.n
        r = one.r + place.r + LASTING_R + speed**2 * CLOCK_S**2
        turned.append((along * d_e + across * d_n, along * d_n - across * d_e, r))
    some = [one for one in turned if one is not None]
    weight = sum(1.0 / r for _, _, r in some)
    if not some:
        return [math.inf] * len(own)
    x, y = sum(x / r for x, _, r in some) / weight, sum(y / r for _, y, r in some) / weight
    far_m = math.hypot(x, y)
    if not TOGETHER_M < far_m <= APART_MOST_M:
        return [math.inf] * len(own)
    along, across = (LEARNING * far_m) ** 2, (BEND * far_m) ** 2  # in a bend it is aside
    return [  # of one that stands its course says nothing
        0.0 if one is None else (one[0] - x) ** 2 / (one[2] + along) + (one[1] - y) ** 2 / (one[2] + across) for one in turned
    ]
