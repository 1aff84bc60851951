"""A receiver that hangs: it says its last place again, to the digit and with a fresh time, while its shipment goes on.

Many trackers hold their place to the digit when they stand, and one that is taken off is left standing: that digits do not
change says nothing.  What parts the two is how it came there.  Whoever stops is some way beyond where its receiver last was
under way, so that what is repeated then is a place at which it stood; a receiver hangs at a place that it passed.  It passed
where it said itself that it was under way, or where another receiver of the shipment was with it at that very time and is
further from there, soon after, than anything gets from a standstill.  Such a fix moves nothing, from the first one on.

Where neither can be said (reports a minute and more apart that state no speed) it may have been left behind at a short halt, so
that the two have parted; but then the row goes with those that went on, not with a place at which none of them was seen to
stand.  Where another one stood there too, or nobody has gone on, it is a receiver that stands.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from birddog.geo import DEGREE_M, Plane
from birddog.units import NS
from tracking import anchor
from tracking.leap import LEAP_MPS2
from tracking.measurement import Measurement

#: It was under way where it says that it went so fast, m/s, and braking at so many m/s² takes it over so many steps of its
#: digits.
PASSED_MPS, BRAKES_MPS2, CELLS = 5.0, 8.0, 3.0
#: The steps that digits have, so many a degree, the coarsest first: minutes and parts of them, decimals of a degree.
STEPS, ON_STEP_DEG = (60.0, 600.0, 1e3, 6e3, 1e4, 6e4, 1e5), 6e-8
#: No further off than this and 3 sigmas another receiver is at the same place, m, and no faster than this it stands, m/s.
THERE_M, STANDS_MPS = 50.0, 3.0
#: Two were together where the one lies no further from the way of the other than this, m, 3 sigmas, what their clocks differ
#: by, s, and what speeding up or slowing down at so many m/s² makes of it between two fixes, no further apart than this, s.
BESIDE_M, CLOCKS_S, ACCELERATION_MPS2, SOON_S = 5.0, 0.5, 0.3, 60.0
#: What says so often again where it is gives the row up to what goes on.
YIELDS = 3


class Measured(Protocol):
    """A receiver at its newest fix (``arms.Receiver``)."""

    @property
    def time_ns(self) -> int: ...
    @property
    def lat_deg(self) -> float: ...
    @property
    def lon_deg(self) -> float: ...
    @property
    def r(self) -> float: ...
    @property
    def ve_mps(self) -> float: ...
    @property
    def vn_mps(self) -> float: ...


class Hold(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A place that a receiver says, for as long as that is the same to the digit.

    Args:
        since_ns, lat_deg, lon_deg, r: its first fix there; r its variance per axis, m².
        came_mps: how fast it came there; said_mps: how fast it says that it goes, 0 where it says nothing.
        count: how often it said the place again; stood: another receiver stood there meanwhile; alone: one that was with it
            when it came there went on at once.
        hung_ns: its newest fix there while others have gone on; 0: none has.
    """

    since_ns: int
    lat_deg: float
    lon_deg: float
    r: float
    came_mps: float = 0.0
    said_mps: float = 0.0
    count: int = 0
    stood: bool = False
    alone: bool = False
    hung_ns: int = 0

    @property
    def sure(self) -> bool:
        """Whether its receiver passed the place, so that it is no longer there."""
        return self.alone or _under_way(self)

    @property
    def yields(self) -> bool:
        """Whether its receiver came there on the way and says so again and again: it may have been left there."""
        return self.count >= YIELDS and max(self.came_mps, self.said_mps) >= STANDS_MPS


def held(old: Hold | None, m: Measurement, came_mps: float) -> Hold:
    """The place that a receiver says with its next fix.

    Args:
        came_mps: how fast it came there from its last fix.
    """
    said_mps = 0.0 if m.ve_mps is None or m.vn_mps is None else math.hypot(m.ve_mps, m.vn_mps)
    if old is not None and (m.lat_deg, m.lon_deg) == (old.lat_deg, old.lon_deg):
        return msgspec.structs.replace(old, count=min(old.count + 1, 255), said_mps=max(old.said_mps, said_mps))
    return Hold(m.time_ns, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn), came_mps, said_mps)


def seen(hold: Hold, before: Measured | None, m: Measured, apart_m: float, lag_s: float) -> Hold:
    """The same after another receiver's fix: whether that one stood there, or passed it at that very time.

    Args:
        before: its fix before.
        apart_m: how far it is from this one on the shipment; lag_s: by how much this one's clock is behind its own.
    """
    if hold.stood or m.time_ns <= hold.since_ns:
        return hold
    away_m = anchor.apart_m(hold, m)
    sure_m = 3.0 * math.sqrt(hold.r + m.r) + apart_m
    if away_m <= THERE_M + sure_m:
        stands = math.hypot(m.ve_mps, m.vn_mps) < STANDS_MPS
        return msgspec.structs.replace(hold, stood=True, hung_ns=0) if stands else hold
    at_ns = hold.since_ns + round(lag_s * NS)
    if before is None or not before.time_ns <= at_ns < m.time_ns or m.time_ns - before.time_ns > SOON_S * NS:
        return hold
    whole_s, dt_s = (m.time_ns - before.time_ns) / NS, (at_ns - before.time_ns) / NS
    after_s = whole_s - dt_s
    plane = Plane(lat_deg=before.lat_deg, lon_deg=before.lon_deg)
    e, n = plane.en(lat_deg=m.lat_deg, lon_deg=m.lon_deg)
    own_e, own_n = plane.en(lat_deg=hold.lat_deg, lon_deg=hold.lon_deg)
    part = dt_s / whole_s
    slack_m = CLOCKS_S * math.hypot(e, n) / whole_s + ACCELERATION_MPS2 * dt_s * after_s / 2.0
    beside = math.hypot(own_e - part * e, own_n - part * n) <= BESIDE_M + sure_m + slack_m
    went = away_m > BESIDE_M + sure_m + LEAP_MPS2 * (after_s + CLOCKS_S) ** 2
    return msgspec.structs.replace(hold, alone=True) if beside and went else hold


def hangs(hold: Hold, other: Measured, apart_m: float) -> bool:
    """Whether a receiver says its last place again while another one has gone on."""
    if hold.stood or other.time_ns <= hold.since_ns or not (hold.yields or hold.sure):
        return False
    return anchor.apart_m(hold, other) > THERE_M + apart_m + 3.0 * math.sqrt(hold.r + other.r)


def _under_way(hold: Hold) -> bool:
    """Whether what says that it goes so fast at a place cannot have been about to stop there, to its digits."""
    return passes(hold.said_mps, CELLS * (DEGREE_M * digits_deg(hold.lat_deg, hold.lon_deg)))


def passes(said_mps: float, within_m: float) -> bool:
    """Whether what says that it goes so fast is under way, and cannot brake within so far."""
    return said_mps >= PASSED_MPS and said_mps**2 > 2.0 * BRAKES_MPS2 * within_m


def digits_deg(lat_deg: float, lon_deg: float) -> float:
    """The step that the digits of a place have, degrees; 0 where that is finer than a metre."""
    return next((1.0 / steps for steps in STEPS if _on(lat_deg, steps) and _on(lon_deg, steps)), 0.0)


def _on(degrees: float, steps: float) -> bool:
    return abs(degrees - round(degrees * steps) / steps) <= ON_STEP_DEG
