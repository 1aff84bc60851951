"""By how much the fixes of a receiver may have been made later, or earlier, than they are taken: its clock, or its way.

All of its messages take 15 s, as its times have it: its way is so long, or its clock so far behind.  What is heard of it is the
same in both cases, and no message ever says which it is; so its row is where it is if the times are right, and the ellipse
holds where it is if the clock is behind as well.  What takes longer now and shorter then is a way's: by what they differ, the
clock is not behind.  How long the way is of a clock that is ahead nobody knows where it was never right.
"""

from __future__ import annotations

import math

import msgspec

from birddog.model import Track
from birddog.units import NS
from tracking.anchor import near_en
from tracking.kernel import HELD_NIS

#: What takes less is a message's way.
LATE_NS = 2 * NS
#: So many of the last messages are asked; of the least of them what they take longer on average is taken off.
LAST = 4
#: So many sigmas around where it is by another clock are held as well.
AROUND = 1.0

#: By how much later and by how much earlier than they are taken the fixes of a track's receiver may have been made, ns.
Dated = tuple[int, int]
SURE: Dated = (0, 0)


def dated(ways: dict[str, tuple[int, ...]], device: str, took_ns: int) -> Dated:
    """By how much later than it states a fix may have been made, after one more message.

    Args:
        ways: what the last messages of each device took, if any of them took long; changed in place.
    """
    some = (*ways.get(device, ())[1 - LAST :], took_ns)
    if max(some) < LATE_NS:
        ways.pop(device, None)
        return SURE
    ways[device] = some
    least = min(some)
    alike = least - (sum(some) // len(some) - least)
    return (alike, 0) if alike >= LATE_NS else SURE


def holding(row: Track, other: Track) -> Track:
    """A row whose ellipse holds where another one of the same track is, too, by another clock: at its far corners."""
    at = near_en(row.lat_deg, row.lon_deg, other.lat_deg, other.lon_deg)
    away = 0.0 if at is None else math.hypot(*at)
    if at is None or away == 0.0:
        return row
    e, n = at[0] / away, at[1] / away
    along = away + AROUND * math.sqrt(max(0.0, other.p_ee * e * e + 2.0 * other.p_en * e * n + other.p_nn * n * n))
    aside = AROUND * math.sqrt(max(0.0, other.p_ee * n * n - 2.0 * other.p_en * e * n + other.p_nn * e * e))
    p_ee, p_en, p_nn = row.p_ee, row.p_en, row.p_nn
    for side in (aside, -aside):
        d_e, d_n = along * e - side * n, along * n + side * e
        q = (p_nn * d_e * d_e - 2.0 * p_en * d_e * d_n + p_ee * d_n * d_n) / (p_ee * p_nn - p_en * p_en)
        if q > HELD_NIS:
            a = 1.0 / HELD_NIS - 1.0 / q
            p_ee, p_en, p_nn = p_ee + a * d_e * d_e, p_en + a * d_e * d_n, p_nn + a * d_n * d_n
    return msgspec.structs.replace(row, p_ee=p_ee, p_en=p_en, p_nn=p_nn)
