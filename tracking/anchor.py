"""The local frame of one track: which anchor, when to move it, and how axes turn between two places.

A track's state lives in the east/north plane of its own anchor and moves to a new one when it is further
than 20 km away: there the plane is 0.03 m short and its axes are turned by the convergence of the meridians,
which ``turn`` takes out again.
"""

from __future__ import annotations

import functools
from typing import Protocol

from birddog.geo import LocalFrame, distance_m
from tracking.kernel import REANCHOR_M, rotated, turn

__all__ = ["BEYOND_M", "REANCHOR_M", "Placed", "apart_m", "away_m", "frame", "near_en", "rotated", "turn"]

#: A position further than this from the anchor is not converted: the plane folds over at a quarter of the Earth.
BEYOND_M = 2_000_000.0


@functools.lru_cache(maxsize=8192)
def frame(lat_deg: float, lon_deg: float) -> LocalFrame:
    """The frame at an anchor (a pure function, kept because its making costs as much as its use)."""
    return LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg)


def near_en(lat0_deg: float, lon0_deg: float, lat_deg: float, lon_deg: float) -> tuple[float, float] | None:
    """(e_m, n_m) of a position about an anchor; None where it is beyond 2,000 km."""
    if abs(lat_deg - lat0_deg) > 0.5 or abs(lon_deg - lon0_deg) > 0.5:
        if distance_m(lat1_deg=lat0_deg, lon1_deg=lon0_deg, lat2_deg=lat_deg, lon2_deg=lon_deg) > BEYOND_M:
            return None
    return frame(lat0_deg, lon0_deg).en(lat_deg=lat_deg, lon_deg=lon_deg)


def away_m(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """``geo.distance_m`` of two places."""
    return distance_m(lat1_deg=lat1_deg, lon1_deg=lon1_deg, lat2_deg=lat2_deg, lon2_deg=lon2_deg)


class Placed(Protocol):
    """What says where it is, in degrees."""

    @property
    def lat_deg(self) -> float: ...
    @property
    def lon_deg(self) -> float: ...


def apart_m(one: Placed, other: Placed) -> float:
    """How far apart two things are, m."""
    return away_m(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg)
