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
#: A used fix whose variance is so many times that of a rival's fixes, and no more, is as exact.
NO_ROUGHER = 4.0
#: A receiver is a witness when it has said so often that it is there; one that states this and more, m, one sigma, is none.
TWICE, ROUGH_M = 2, 50.0


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
    if m.time_ns == rival.begun_ns or not (_is_new_read(rival, m) or (m.origin == "fix" and m.device not in rival.against)):
        return rival
    seen = in_frame(rival, m)
    if seen is None:
        return _against(rival, m)
    x, r = moments(rival.bank, max(0, m.time_ns - rival.time_ns) / NS, any_motion()), rival.r
    at = (x[0], 0.0, x[2], 0.0, r, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, r, 0.0, 0.0)
    there = scalar_engine.innovation(at, *seen[0])[0] <= AGREES_NIS
    return _there_too(rival, m) if there else _against(rival, m)


def witnessed(rival: Rival | None, m: Measurement) -> tuple[str, ...]:
    """``Rival.said`` with one more refused fix.

    Args:
        rival: that it agrees with; None where it begins one.
    """
    before = () if rival is None else rival.said
    if m.origin != "fix" or m.doubted or max(m.r_ee, m.r_nn) >= ROUGH_M**2 or before.count(m.device) >= TWICE:
        return before
    copied = rival is not None and m.device not in before and (m.lat_deg, m.lon_deg) == (rival.lat_deg, rival.lon_deg)
    return before if copied else (*before, m.device)


def _is_new_read(rival: Rival, m: Measurement) -> bool:
    return m.origin == "tag_read" and rival.device != "" and not rival.read_against


def _there_too(rival: Rival, m: Measurement) -> Rival:
    """The rival at whose place another receiver's used fix is too: a witness for it, if it is as exact."""
    if m.origin != "fix" or max(m.r_ee, m.r_nn) > NO_ROUGHER * rival.r:
        return rival
    return replace(rival, said=witnessed(rival, m))


def _against(rival: Rival, m: Measurement) -> Rival:
    """The rival of which a used measurement says that the shipment is not there."""
    if m.origin != "fix":
        return replace(rival, read_against=True)
    said = tuple(one for one in rival.said if one != m.device)
    return replace(rival, denied=True, said=said, against=(*rival.against, m.device))
