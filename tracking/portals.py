"""Whether a track was where a tag of it was read: while the read came in, and on the way between the fixes about it.

A read that its reader dates 20 s too early says that the tag was at the portal when its lorry was still 500 m before it.
What comes in later than it is dated may be of any moment between; so it says that the tag is elsewhere only where the track
was not at the reader at any of them.

The first fix after a read says with the last one before it whether the receiver came through there: at its pace, and without
a detour.  What stands where it stood before, to a few metres, was not carried to a gate and back: the goods went without it.
"""

from __future__ import annotations

import bisect
import math
from itertools import pairwise

from birddog.units import NS
from tracking.anchor import apart_m, near_en
from tracking.measurement import Measurement
from tracking.step import Core, Model, placed, predicted
from tracking.track_state import LiveTrack

#: What a reader dates so many s too early, or hands in so many s after it happened, by a clock that is as far behind as it
#: likes, is of a tag that was there; what was kept for longer is dated rightly.
BEHIND_S = 60.0
#: Where the track is by now is asked so often between its newest fix and the receipt, s.
EACH_S = 5.0

#: A fix so long, s, about a read says whether it was there: it goes on from there no faster than so many times its own pace
#: since the fix before, and starts no faster than AWAY_MPS; what stands where it stood says so for longer, s.
READ_S, FASTER, AWAY_MPS, STOOD_S = 60.0, 1.5, 15.0, 3600.0
#: A way by a reader is so many times as long at most as the straight one.
DETOUR = 1.25

#: A place of the way: e, n about the reader, and how well it is known (m²).
Spot = tuple[float, float, float]


def came_by(live: LiveTrack, read: Measurement, newest: Core, model: Model, gate: float, now_ns: int) -> bool:
    """Whether the track was at a read's place soon after the read's time or just before its receipt, to the read's own gate.

    A reader whose clock is far behind hands in a read as the tag passes; one that keeps its reads dates them rightly.

    Args:
        newest: the track's newest belief.
        gate: NIS from which a read does not fit.
    """
    behind_ns, r = round(BEHIND_S * NS), max(read.r_ee, read.r_nn)
    spans = [(read.time_ns, min(now_ns, read.time_ns + behind_ns))]
    if now_ns - newest.time_ns <= behind_ns + round(2.0 * live.state.gap_s * NS):  # where it is by now is known
        spans.append((max(read.time_ns, now_ns - behind_ns), now_ns))
    for from_ns, until_ns in spans:
        if until_ns <= from_ns:
            continue
        way = [*_fixes(live, read, from_ns, until_ns), *_foretold(newest, read, model, from_ns, until_ns)]
        if any(_nearest2(a, b) <= gate * (r + max(a[2], b[2])) for a, b in pairwise([*way[:1], *way])):
            return True
    return False


def was_elsewhere(before: Measurement, read: Measurement, m: Measurement, *, first: bool) -> bool:
    """Whether a fix soon after a read says that its receiver was not there.

    Args:
        before: the receiver's last fix before the read.
        first: ``m`` is the next one.
    """
    gone_m, away_m, dt_s = apart_m(before, m), apart_m(read, m), (m.time_ns - read.time_ns) / NS
    sure_m = _sure_m(read, m)
    if first and dt_s <= STOOD_S and gone_m <= _sure_m(before, m) and min(away_m, apart_m(before, read)) > 2.0 * sure_m:
        return True
    return dt_s <= READ_S and away_m > sure_m + max(_pace_mps(before, m), AWAY_MPS) * dt_s


def came_through(before: Measurement, read: Measurement, m: Measurement) -> bool:
    """Whether a receiver came by a reader that read its tag, as the last fix before and the first after say."""
    to_m, from_m, sure_m = apart_m(before, read), apart_m(read, m), _sure_m(read, m)
    to_s, from_s = (read.time_ns - before.time_ns) / NS, (m.time_ns - read.time_ns) / NS
    pace = max(_pace_mps(before, m), AWAY_MPS)
    if min(to_s, from_s) > READ_S or to_m > sure_m + pace * to_s or from_m > sure_m + pace * from_s:
        return False
    return to_m + from_m <= 2.0 * sure_m + DETOUR * apart_m(before, m)


def _pace_mps(before: Measurement, m: Measurement) -> float:
    return FASTER * apart_m(before, m) / max(1.0, (m.time_ns - before.time_ns) / NS)


def _sure_m(one: Measurement, other: Measurement) -> float:
    return 3.0 * math.sqrt(max(one.r_ee, one.r_nn) + max(other.r_ee, other.r_nn))


def _fixes(live: LiveTrack, read: Measurement, from_ns: int, until_ns: int) -> list[Spot]:
    """The track's own fixes from the last before a time to the first after another."""
    ring, some = live.state.ring, list[Spot]()
    for m in ring[max(0, bisect.bisect_left(ring.times_ns, from_ns) - 1) :]:
        at = near_en(read.lat_deg, read.lon_deg, m.lat_deg, m.lon_deg) if m.origin == "fix" else None
        if at is not None:
            some.append((*at, max(m.r_ee, m.r_nn)))
        if m.time_ns > until_ns:
            break
    return some


def _foretold(newest: Core, read: Measurement, model: Model, from_ns: int, until_ns: int) -> list[Spot]:
    """Where the track is from its newest measurement, or a time, to another."""
    begin_ns, some = max(newest.time_ns, from_ns), list[Spot]()
    steps = math.ceil((until_ns - begin_ns) / (EACH_S * NS))
    for k in range(steps + 1 if steps >= 0 else 0):
        lat, lon, x = placed(newest, predicted(newest, min(until_ns, begin_ns + round(k * EACH_S * NS)), model))
        if (at := near_en(read.lat_deg, read.lon_deg, lat, lon)) is not None:
            some.append((*at, max(x[4], x[11])))
    return some


def _nearest2(a: Spot, b: Spot) -> float:
    """How near the straight way between two places comes to the reader, squared."""
    de, dn = b[0] - a[0], b[1] - a[1]
    square = de * de + dn * dn
    share = 0.0 if square == 0.0 else min(1.0, max(0.0, -(a[0] * de + a[1] * dn) / square))
    return (a[0] + share * de) ** 2 + (a[1] + share * dn) ** 2
