"""One identity, perhaps several things: the fixes of an identity parted into strands that something could have travelled.

A bad fix (a jump and back) becomes a strand of its own; two vessels under one MMSI become two.  Each fix joins the strand
that it could have come from and is nearest to: to where that one was last, or to where its last velocity has taken it since.
(Not the one that asks for the least speed: from a bad fix of days ago every place is reached at leisure.)  So how a fix is
parted depends on nothing after it.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from birddog.geo import Plane, distance_m, wrap_lon

#: What a thing may always travel between two fixes, metres: errors of the fixes.
SLACK_M = 1000.0
#: Strands that are kept open; with fewer fixes than this a strand of an archive is taken for bad fixes.
MOST_STRANDS, FEWEST_FIXES = 8, 3
#: How long a velocity is carried on.
COAST_S = 3600.0


def impossible(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, most_mps: float | np.ndarray) -> np.ndarray:
    """Whether each fix (ascending times) cannot have been reached from the one before, at one speed or one for each fix."""
    out = np.zeros(len(t_s), dtype=bool)
    if len(t_s) > 1:
        dlon = (np.diff(lon_deg) + 180.0) % 360.0 - 180.0
        e, n = Plane(lat_deg=0.0, lon_deg=0.0).en_array(dlon * np.cos(np.radians(lat_deg[1:])), np.diff(lat_deg))
        most = np.broadcast_to(most_mps, len(t_s))[1:]
        out[1:] = np.hypot(e, n) > SLACK_M + most * np.maximum(np.diff(t_s), 0.0)
    return out


class Strands(msgspec.Struct):
    """The rule one fix at a time: each open strand's newest fix (s, lat, lon), number and degrees a second; how many began."""

    most_mps: float
    last: list[tuple[float, float, float, int, float, float]] = []
    total: int = 0

    def add(self, t: float, lat: float, lon: float) -> int:
        """The number of the strand of the next fix, which is not before the one that came last."""
        last, best, least = self.last, -1, math.inf
        for i, (t1, lat1, lon1, _, north, east) in enumerate(last):
            far_m = distance_m(lat1_deg=lat1, lon1_deg=lon1, lat2_deg=lat, lon2_deg=lon)
            if far_m - SLACK_M > self.most_mps * (t - t1):
                continue
            coast_s = min(t - t1, COAST_S)
            lat1, lon1 = lat1 + coast_s * north, lon1 + coast_s * east
            far_m = min(far_m, distance_m(lat1_deg=lat1, lon1_deg=lon1, lat2_deg=lat, lon2_deg=lon))
            if far_m < least:
                best, least = i, far_m
        if best < 0:
            number = self.total
            self.total += 1
            if len(last) == MOST_STRANDS:
                last.remove(min(last))
            last.append((t, lat, lon, number, 0.0, 0.0))
        else:
            t1, lat1, lon1, number, north, east = last[best]
            if t > t1:
                north, east = (lat - lat1) / (t - t1), wrap_lon(lon - lon1) / (t - t1)
            last[best] = (t, lat, lon, number, north, east)
        return number


def strands(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, most_mps: float | np.ndarray) -> np.ndarray:
    """The number of each fix's strand, 0 first; what nothing outruns is one speed, or one for each fix."""
    label = np.zeros(len(t_s), dtype=np.int64)
    if impossible(t_s, lat_deg, lon_deg, most_mps).any():
        limit, parted = np.broadcast_to(most_mps, len(t_s)).tolist(), Strands(0.0, [])
        for k, fix in enumerate(zip(t_s.tolist(), lat_deg.tolist(), lon_deg.tolist(), strict=True)):
            parted.most_mps = limit[k]
            label[k] = parted.add(*fix)
    return label


def followed(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, most_mps: float, hole_s: float) -> np.ndarray:
    """Which fixes (all not after the question) are those of the thing that is asked for: the strand of the newest fix.

    Where that is a single fix (a jump), and another strand is not older than a hole, it is that one.
    """
    label = strands(t_s, lat_deg, lon_deg, most_mps)
    if not label.any():
        return np.ones(len(t_s), dtype=bool)
    newest = int(label[-1])
    if np.count_nonzero(label == newest) < 2:
        others = np.flatnonzero(label != newest)
        if len(others) and t_s[-1] - t_s[others[-1]] <= hole_s and np.count_nonzero(label == label[others[-1]]) >= 2:
            newest = int(label[others[-1]])
    of_it: np.ndarray = label == newest
    return of_it
