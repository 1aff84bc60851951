"""Where two receivers of one shipment were last together, by their own fixes, once they have parted."""

from __future__ import annotations

import math

from birddog.geo import distance_m
from tracking.measurement import Measurement
from tracking.ring import Ring

#: So near two receivers of one shipment are together, metres: the length of a lorry and what they err by (and 3 sigma).
_NEAR_M = 100.0


def last_together(ring: Ring, device: str, other: str) -> Measurement | None:
    """The last fix of a device at which it was on the straight way between the fixes of another around it.

    None where none of those that are still known was.
    """
    after: Measurement | None = None
    own: list[Measurement] = []
    for m in (ring[i] for i in range(len(ring.times_ns) - 1, -1, -1)):
        if m.origin != "fix" or m.device not in (device, other):
            continue
        if m.device == device:
            own.append(m)
            continue
        if after is not None:
            found = next((one for one in own if _off_m(one, m, after) <= _near_m(one, m)), None)
            if found is not None:
                return found
        after, own = m, []
    return None


def _near_m(one: Measurement, other: Measurement) -> float:
    return _NEAR_M + 3.0 * math.sqrt(max(one.r_ee, one.r_nn) + max(other.r_ee, other.r_nn))


def _off_m(one: Measurement, before: Measurement, after: Measurement) -> float:
    """How far a fix is from the place between two others at its time."""
    whole_ns = after.time_ns - before.time_ns
    w = (one.time_ns - before.time_ns) / whole_ns if whole_ns > 0 else 0.0
    lat = before.lat_deg + w * (after.lat_deg - before.lat_deg)
    lon = before.lon_deg + w * ((after.lon_deg - before.lon_deg + 540.0) % 360.0 - 180.0)
    return distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=one.lat_deg, lon2_deg=one.lon_deg)
