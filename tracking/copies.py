"""One AIS message that several receivers hear is one measurement, whatever it leaves out and however late it comes in again.

A message states no time but its second of the minute, and often not that, nor a speed.  What makes a copy is that it says the
same place and velocity to the digit (a ten-thousandth of a minute, 18 cm): what is under way never does so twice.  What lies
still does, and there each report counts.  A report that states its second is a copy only of one of that second: a receiver that
hangs says its last place again with other seconds (ITU-R M.1371-5, tables 48 and 71).

A copy is of when the message was heard first.  Where receivers state when they heard it, by clocks that differ by more than its
second tells, it is of the later of the times that have come to pass: nobody hears what is not sent yet.  What only one
of two receivers heard, the slow one or one whose clock is minutes off, is dated a minute or two wrong; it is of that minute in
which it fits its track, while copies show that there is such a receiver; where it does not say its second, of about then.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from birddog.geo import distance_m
from birddog.model import Value
from birddog.units import NS
from tracking.anchor import near_en
from tracking.evidence import LATE_NS
from tracking.measurement import Measurement
from tracking.ring import Ring
from tracking.step import Model, placed, predicted
from tracking.track_state import LiveTrack

#: A copy comes in so late at most; of a report that does not state its second, so late.
COPY_NS, UNSAID_NS = 300 * NS, 150 * NS
#: What states this speed, m/s, is under way; of what states none, it is what went so fast, m/s, and so far, m, within so long.
UNDER_WAY_MPS, WENT_MPS, WENT_M, WENT_NS = 0.3, 0.4, 15.0, 150 * NS
#: A copy that is so much late (``evidence.LATE_NS``) is not of the minute that its second says; so long after such a one others
#: may be.
MINUTE_NS, LATELY_NS = 60 * NS, 900 * NS
#: Minutes that are asked beside the one that a report's second, or its receiver, says: this one is so much likelier (twice the
#: logarithm of the odds); NIS (2 degrees of freedom) up to which a place is that of a minute.
MINUTES, LIKELIER, FITS = (0, -1, -2, 1), 6.0, 30.0
#: Of what does not say its second less is late, and each so long of the way is asked.
EACH_NS = 5 * NS


def once(
    live: LiveTrack, m: Measurement, second: Value | None, stamped: bool, now_ns: int, model: Model
) -> tuple[Measurement, Measurement | None]:  # fmt: skip
    """A report at the time at which it was heard first, or in the minute that it is of.

    Args:
        second: of the minute, as it states it; None: it does not.
        stamped: its receiver states when it heard it.

    Returns:
        The measurement, and the one of the ring whose place it takes: a copy whose receiver's clock is behind.
    """
    r = _copied(live, m, second)
    if r is None:
        return (m if stamped and type(second) is not int else _when_it_fits(live, m, second, now_ns, model)), None
    if abs(m.time_ns - r.time_ns) >= (LATE_NS if type(second) is int else EACH_NS):
        live.state.copied_ns = now_ns
    if stamped and r.time_ns < m.time_ns <= now_ns:
        return m, r
    return msgspec.structs.replace(m, time_ns=r.time_ns), None


def _copied(live: LiveTrack, m: Measurement, second: Value | None) -> Measurement | None:
    """The report of the ring of which this is a copy by another time; None: there is none."""
    ring, said = live.state.ring, type(second) is int
    if not ring.n:
        return None
    table = ring.table
    same = np.flatnonzero((table[:, 1] == m.lat_deg) & (table[:, 2] == m.lon_deg))
    for i in same[::-1].tolist():
        r: Measurement = ring[i]
        if (
            r.time_ns != m.time_ns and abs(m.time_ns - r.time_ns) <= (COPY_NS if said else UNSAID_NS)
            and (r.device, r.origin, r.ve_mps, r.vn_mps) == (m.device, m.origin, m.ve_mps, m.vn_mps)
            and (not said or r.time_ns // NS % 60 == second) and _under_way(ring, i, m)
        ):  # fmt: skip
            return r
    return None


def _under_way(ring: Ring, i: int, m: Measurement) -> bool:
    """Whether what says ``m`` is under way: as it states, or as it went up to a report of the ring or since."""
    if m.ve_mps is not None and m.vn_mps is not None:
        return math.hypot(m.ve_mps, m.vn_mps) >= UNDER_WAY_MPS
    at_ns, table = ring.time_ns(i), ring.table
    times_ns = table.view(np.int64)[:, 0]
    about = np.flatnonzero(np.abs(times_ns - at_ns) <= WENT_NS)
    for k in (int(about[0]), int(about[-1])):
        away_m = distance_m(lat1_deg=table[k, 1], lon1_deg=table[k, 2], lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
        if away_m >= max(WENT_M, WENT_MPS * abs(int(times_ns[k]) - at_ns) / NS):
            return True
    return False


def _when_it_fits(live: LiveTrack, m: Measurement, second: Value | None, now_ns: int, model: Model) -> Measurement:
    """A report that no other receiver heard, where one of them is slow, in the minute (or, where it does not say its second, at
    about the time) in which it fits its track.
    """
    if now_ns - live.state.copied_ns > LATELY_NS:
        return m
    if type(second) is int:
        own_ns = m.time_ns - (m.time_ns - second * NS) % MINUTE_NS
        times_ns = [own_ns + k * MINUTE_NS for k in MINUTES]
    else:
        times_ns = list(range(m.time_ns - EACH_NS, m.time_ns - UNSAID_NS, -EACH_NS))
    best, least = m, _odds(live, m, m.time_ns, model)[1] - LIKELIER
    for time_ns in times_ns:
        if time_ns == m.time_ns or time_ns > now_ns:
            continue
        nis, odds = _odds(live, m, time_ns, model)
        if odds < least and nis <= FITS:
            best, least = msgspec.structs.replace(m, time_ns=time_ns), odds
    return best


def _odds(live: LiveTrack, m: Measurement, time_ns: int, model: Model) -> tuple[float, float]:
    """How far a report is from where its track was at a time, as NIS, and minus twice the logarithm of its density there."""
    core = live.core_at(time_ns, model)
    if core is None:
        return math.inf, math.inf
    lat, lon, x = placed(core, predicted(core, time_ns, model))
    at, var = near_en(lat, lon, m.lat_deg, m.lon_deg), max(x[4], x[11]) + max(m.r_ee, m.r_nn)
    nis = math.inf if at is None else (at[0] ** 2 + at[1] ** 2) / var
    return nis, nis + 2.0 * math.log(var)
