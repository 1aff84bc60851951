"""Whether a receiver's last fixes were made at the times that they state, or so much later, as if its clock had fallen back.

Messages that take up to half a minute, as it comes, take the same now and then, four in a row; when they come in in another
order their times went back, too, and that is all that the times of a clock that fell back say.  Where the thing was says more:
what moves is at the place of a fix at one of the two times only.
"""

from __future__ import annotations

import msgspec

from tracking.core import Core
from tracking.measurement import Measurement
from tracking.step import Model, advance, weighed
from tracking.track_state import LiveTrack, in_order

#: As stated they are likelier by this, a log, before it is said of a clock that it is none; the log of what is too far away.
BETTER, FAR = 4.0, -40.0


def fits(live: LiveTrack, model: Model, device: str, held: tuple[tuple[int, float, float], ...], back_ns: int) -> bool:
    """Whether fixes fit their track better as they are stated.

    Args:
        held: of each (time as stated, lat_deg, lon_deg); back_ns: how much later they were made, if the clock fell back.
    """
    if not held:
        return False
    first_ns = min(time_ns for time_ns, _, _ in held)
    core, those = live.core_at(first_ns - 1, model), set(held)
    some = [m for m in live.state.ring if m.time_ns >= first_ns]
    mine = {m for m in some if m.device == device and (m.time_ns, m.lat_deg, m.lon_deg) in those}
    if core is None or not mine:
        return False
    meant = [msgspec.structs.replace(m, time_ns=m.time_ns + back_ns) if m in mine else m for m in some]
    return _likely(core, some, model) > _likely(core, sorted(meant, key=in_order), model) + BETTER


def _likely(core: Core, some: list[Measurement], model: Model) -> float:
    """The log likelihood of some measurements, one after the other; what is likelier false counts as that."""
    total = 0.0
    for m in some:
        worth = weighed(core, m, model)
        total += FAR if worth is None else max(worth.log, worth.false_log)
        core = advance(core, m, model)[0]
    return total
