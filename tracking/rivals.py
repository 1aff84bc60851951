"""What becomes of a second hypothesis, made of refused fixes, when the track uses a measurement.

It is over where its own receiver is back, and *denied* where another one says that the shipment cannot be where it is: then two
receivers have parted, and neither takes over.  A receiver that states 2 km says nothing against one that states 8 m and is
3 km on.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from birddog.units import NS
from tracking import engine as scalar_engine
from tracking.anchor import near_en, rotated, turn
from tracking.core import RIVAL_S, Core, Rival
from tracking.measurement import Measurement
from tracking.motion import Position, Velocity, any_motion, moments

#: A fix with a NIS of no more about a place is there (2 degrees of freedom, 0.99).
AGREES_NIS = 9.21


def in_frame(core: Core | Rival, m: Measurement) -> tuple[Position, Velocity | None] | None:
    """What is measured in the frame of a Core or Rival; a velocity is believed whatever its NIS."""
    en = near_en(core.lat0_deg, core.lon0_deg, m.lat_deg, m.lon_deg)
    if en is None:
        return None
    ve, vn = m.ve_mps, m.vn_mps
    moving = ve is not None and vn is not None and (ve or vn)
    if not moving and m.r_en == 0.0 and m.r_ee == m.r_nn:  # the same in any axes
        return (*en, m.r_ee, 0.0, m.r_nn), None if ve is None else (0.0, 0.0, m.r_v, math.inf)
    c, s = turn(m.lat_deg, m.lon_deg, core.lat0_deg, core.lon0_deg)
    z = (*en, *rotated(m.r_ee, m.r_en, m.r_nn, c, s))
    return z, None if ve is None or vn is None else (c * ve + s * vn, -s * ve + c * vn, m.r_v, math.inf)


def outlived(rival: Rival, m: Measurement, *, decides: bool) -> Rival | None:
    """The rival of a track that uses a measurement; None where it is over.

    Args:
        m: as it was stated; decides: it is one of those that say where the track is.
    """
    if m.time_ns - rival.time_ns > RIVAL_S * NS or (decides and rival.device in (m.device, "")):
        return None
    if rival.denied or m.origin != "fix" or m.time_ns == rival.begun_ns:
        return rival
    seen = in_frame(rival, m)
    if seen is None:
        return replace(rival, denied=True)
    x, r = moments(rival.bank, max(0, m.time_ns - rival.time_ns) / NS, any_motion()), rival.r
    at = (x[0], 0.0, x[2], 0.0, r, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, r, 0.0, 0.0)
    there = scalar_engine.innovation(at, *seen[0])[0] <= AGREES_NIS
    return rival if there else replace(rival, denied=True)
