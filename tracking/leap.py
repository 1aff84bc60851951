"""A receiver that was in one place and is in another at once: further than anything of its class goes meanwhile.

Whoever pulls a receiver's positions over at once (a spoofer), or whose tag was put on another shipment, has it stand or go on
there as if nothing had been.  What does go so fast shows it before or after, too: an aeroplane, a train, a leg on a motorway.
So it is one leg between two that are slow, beyond the speed of the class and of anything on wheels, or beyond what gathers
speed and brakes in that time.  That it stays there is asked of its next fixes: a false fix goes back.
"""

from __future__ import annotations

import math

import msgspec

from birddog.units import NS
from tracking.anchor import away_m
from tracking.measurement import Measurement

#: Nothing nearer than this, m: reflections, and cells in the place of satellites.
LEAST_M = 500.0
#: Faster than this, m/s, or than its class, is nothing on wheels or water; and so many m for each s² of the leg is what gathers
#: speed and brakes at 3 m/s².
ROAD_MPS, LEAP_MPS2 = 60.0, 0.75
#: It stays where it leapt to: no further from there than this share of the leap, going no faster than this share of its speed.
STAYS = 0.5
#: It has come back where the fix before the last is so near, LEAST_M and so many times the way at its speed until then.
FASTER = 1.5


class Leap(msgspec.Struct, frozen=True, array_like=True):
    """A fix that lies a leap from the one before: how far, m, in how many s, where it is, the one before, and how fast, m/s, it
    went until then.
    """

    away_m: float
    took_s: float
    time_ns: int
    lat_deg: float
    lon_deg: float
    good: Measurement
    speed_mps: float

    def stays(self, m: Measurement) -> bool:
        """Whether its receiver's next fix is there as well."""
        gone_m = away_m(self.lat_deg, self.lon_deg, m.lat_deg, m.lon_deg)
        dt_s = (m.time_ns - self.time_ns) / NS
        slow_mps = STAYS * self.away_m / self.took_s
        near = gone_m <= min(STAYS * self.away_m, slow_mps * dt_s + 3.0 * math.sqrt(m.r_ee + m.r_nn))
        return near and not self.back(self.good, m)

    def back(self, before: Measurement, m: Measurement) -> bool:
        """Whether this fix is where the way of before leads: the one between them was false."""
        gone_m, dt_s = away_m(before.lat_deg, before.lon_deg, m.lat_deg, m.lon_deg), (m.time_ns - before.time_ns) / NS
        return gone_m < LEAST_M + FASTER * self.speed_mps * dt_s + 3.0 * math.sqrt(m.r_ee + m.r_nn)

    def text(self) -> str:
        """The evidence, for people."""
        how_far = f"{self.away_m / 1000:.1f} km in {self.took_s:.0f} s"
        return f"position jumped {how_far}, and stays there: faster than its class can be"


def leapt(good: Measurement, speed_mps: float, m: Measurement, top_mps: float) -> Leap | None:
    """The leap to a fix from a receiver's last used one; None where it may have gone there.

    Args:
        speed_mps: how fast it went there; top_mps: of its class.
    """
    dt_s = (m.time_ns - good.time_ns) / NS
    far_m = away_m(good.lat_deg, good.lon_deg, m.lat_deg, m.lon_deg)
    if far_m < LEAST_M or dt_s <= 0.0:
        return None
    slack_m = 3.0 * (math.sqrt(good.r_ee + good.r_nn) + math.sqrt(m.r_ee + m.r_nn))
    most_m = min(max(top_mps, ROAD_MPS) * dt_s, max(speed_mps, 0.0) * dt_s + LEAP_MPS2 * dt_s * dt_s)
    slow = speed_mps <= STAYS * far_m / dt_s
    return Leap(far_m, dt_s, m.time_ns, m.lat_deg, m.lon_deg, good, speed_mps) if slow and far_m > most_m + slack_m else None
