"""Where a track was before its ring begins: one place a minute, further back fewer; and where it was between two of them.

An image comes in an hour or more after it was taken.  What reported then, and where, is asked of this: nobody who did is a dark
vessel.  A place between two is on the line between them, known as well as what goes by that line may bend: a share of its speed
and a walking pace, largest in the middle (a Brownian bridge of the velocity; cf. Horne et al. 2007, Ecology 88:2354).
"""

from __future__ import annotations

import bisect
import math
import struct
from typing import NamedTuple

import numpy as np

from birddog.geo import distance_m
from birddog.units import NS
from tracking.anchor import near_en

#: A place: its time (ns), lat_deg and lon_deg in units of 1e-7 degrees (1 cm).
_PLACE = struct.Struct("<qii")
_WIDE, UNIT_DEG = _PLACE.size, 1e-7
#: One place in so much; of more than MOST that one goes whose gap would be the smallest part of its age.
EACH_NS, MOST = 60 * NS, 240
#: So far back it is remembered: an image that comes in later is one of yesterday.
KEPT_NS = 86_400 * NS
#: It is not said where it was between two places further apart in time than this, or than its reports may be.
APART_S = 3600.0
#: Before its first place and after its last it was about there for so long at least: who is switched on as it is seen.
BEGINS_S = 120.0
#: One sigma of a place (m), and of a velocity between two: a share of its speed, and m/s.  Before the first place and after the
#: last it may have gone any way: WILD times that; of one place alone its speed is taken to be UNKNOWN_MPS.
PLACE_M, SHARE, LEAST_MPS, WILD, UNKNOWN_MPS = 15.0, 0.5, 1.0, 2.0, 6.0


class Was(NamedTuple):
    """Where it was: a place, its velocity (m/s) in the axes there, and their variances per axis."""

    lat_deg: float
    lon_deg: float
    ve_mps: float
    vn_mps: float
    r: float
    r_v: float


def _time_ns(past: bytearray, i: int) -> int:
    return int(_PLACE.unpack_from(past, _WIDE * i)[0])


def _at(past: bytearray, time_ns: int) -> int:
    """How many places are not later than a time."""
    return bisect.bisect_right(range(len(past) // _WIDE), time_ns, key=lambda i: _time_ns(past, i))


def wants(past: bytearray, time_ns: int) -> bool:
    """Whether a place of this time, later than all, is to be remembered."""
    return not past or time_ns - _time_ns(past, len(past) // _WIDE - 1) >= EACH_NS


def remember(past: bytearray, time_ns: int, lat_deg: float, lon_deg: float) -> None:
    """Remember a place, unless one is remembered within a minute of it."""
    n, at = len(past) // _WIDE, _at(past, time_ns)
    if at and time_ns - _time_ns(past, at - 1) < EACH_NS or at < n and _time_ns(past, at) - time_ns < EACH_NS:
        return
    past[_WIDE * at : _WIDE * at] = _PLACE.pack(time_ns, round(lat_deg / UNIT_DEG), round(lon_deg / UNIT_DEG))
    del past[: _WIDE * _at(past, _time_ns(past, n) - KEPT_NS)]
    if len(past) > _WIDE * MOST:
        times_ns = np.frombuffer(past, dtype="<i8")[:: _WIDE // 8].copy()
        gaps, ages = times_ns[2:] - times_ns[:-2], times_ns[-1] - times_ns[1:-1]
        i = 1 + int(np.argmin(gaps / ages))
        del past[_WIDE * i : _WIDE * (i + 1)]


def was(past: bytearray, time_ns: int, then: list[tuple[int, float, float]], reach_s: float) -> Was | None:
    """Where it was at a time; None where that is not known.

    Args:
        then: the first times and places after all that are remembered, two at most.
        reach_s: so long before its first place, and after the last, it was about there.
    """
    places = [_degrees(past, i) for at in [_at(past, time_ns)] for i in range(max(0, at - 2), min(len(past) // _WIDE, at + 2))]
    places += then
    before = [one for one in places if one[0] <= time_ns][-2:]
    after = [one for one in places if one[0] > time_ns][:2]
    if before and after:
        (t0, lat0, lon0), (t1, lat1, lon1) = before[-1], after[0]
        long_s = (t1 - t0) / NS
        if long_s > max(APART_S, reach_s):
            return None
        share = (time_ns - t0) / (t1 - t0)
        moved = near_en(lat0, lon0, lat1, lon1)
        if moved is None:
            return None
        ve, vn = moved[0] / long_s, moved[1] / long_s
        sigma_v = SHARE * math.hypot(ve, vn) + LEAST_MPS
        off_m = sigma_v * share * (1.0 - share) * long_s
        lat, lon = lat0 + share * (lat1 - lat0), lon0 + share * _turned(lon1 - lon0)
        return Was(lat, _turned(lon), ve, vn, PLACE_M**2 + off_m**2, sigma_v**2)
    near = before[::-1] or after
    if not near:
        return None
    t0, lat, lon = near[0]
    away_s = abs(time_ns - t0) / NS
    if away_s > reach_s:
        return None
    speed = UNKNOWN_MPS
    if len(near) > 1:
        t1, lat1, lon1 = near[1]
        speed = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=lat1, lon2_deg=lon1) / (abs(t1 - t0) / NS)
    sigma_v = WILD * (SHARE * speed + LEAST_MPS)
    return Was(lat, lon, 0.0, 0.0, PLACE_M**2 + (sigma_v * away_s) ** 2, sigma_v**2)


def _degrees(past: bytearray, i: int) -> tuple[int, float, float]:
    time_ns, lat, lon = _PLACE.unpack_from(past, _WIDE * i)
    return time_ns, lat * UNIT_DEG, lon * UNIT_DEG


def _turned(lon_deg: float) -> float:
    return (lon_deg + 180.0) % 360.0 - 180.0
