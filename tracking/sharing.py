"""Two receivers on one carrier share its sightings: which of them goes along with another one's vehicle, and how long.

Looks show one sighting where two receivers are, and each of the two tracks would have it.  The one that got it had the shadow
(``belied``) of the vehicle, the other one that of the vehicle which it came on, and was told as a liar when that drove off:
though its own fixes, the other's and the sightings all lay in one place.  So a receiver that is handed over to another one's
vehicle (``handed``, ``transfer``) has its part in what looks see of that: it competes for no sighting and has no shadow, and
what it came on is a contact.  Its own fixes end that: the first one that is likelier false than there.
"""

from __future__ import annotations

import math

import msgspec

from tracking.alongside import Alongside
from tracking.anchor import frame
from tracking.belied import STANDS_MPS, Doubt
from tracking.contact import Look
from tracking.crowd import SEEN_NS, Crowd, Rider
from tracking.handed import There, asked, fits
from tracking.step import log_if_false


def begun(on: str, time_ns: int, rider: Rider | None = None) -> Alongside:
    """A receiver goes along with a track from a look on; ``rider``: what it was on goes on as nobody's."""
    if rider is None:
        return Alongside(on, time_ns, reports=True)
    at = frame(rider.lat0_deg, rider.lon0_deg).geodetic(rider.x[0], rider.x[2])
    return Alongside(on, time_ns, reports=True, left=(time_ns, *at, math.hypot(rider.x[1], rider.x[3])))


def shares(crowd: Crowd, one: str) -> bool:
    """Whether a receiver has its part in another one's sightings."""
    a = crowd.alongside.get(one)
    return a is not None and a.reports


def ridden(crowd: Crowd, rider: Rider, on: str, time_ns: int) -> Crowd:
    """The contacts after a look where a receiver, which was doubted until then, goes along with another track."""
    one = rider.track_id
    contacts = tuple(
        msgspec.structs.replace(c, of="", was="", apart=0, misses=0, odds=0.0) if one in (c.of, c.was) else c
        for c in crowd.contacts
    )
    return msgspec.structs.replace(
        crowd, contacts=contacts, belied={k: d for k, d in crowd.belied.items() if k != one},
        alongside={**crowd.alongside, one: begun(on, time_ns, rider)},
    )  # fmt: skip


def after(
    crowd: Crowd, riders: list[Rider], doubts: dict[str, Doubt], look: Look, gap_s: float, over: dict[str, str],
    aboard: dict[str, Alongside],
) -> dict[str, Alongside]:  # fmt: skip
    """Which receivers go along with another track after a look.

    Args:
        crowd: before it; doubts: after it.
        over: the receivers that are on another vehicle from this look on; whose that is, if anybody reports from it.
        aboard: the passive tags after it; what is found to ride on a receiver carries that no longer.
    """
    now = {one: begun(on, look.time_ns) for one, on in over.items() if on}
    if not any(a.reports for a in crowd.alongside.values()):
        return now
    of = {rider.track_id: rider for rider in riders}
    for one, a in crowd.alongside.items():
        if not a.reports or one in over or one in doubts or a.track_id in now or shares(crowd, a.track_id):
            continue
        if (tag := aboard.get(a.track_id)) is not None and tag.rides and tag.track_id == one:
            continue  # it is that one's by now, and competes for what looks show of the two
        rider, on = of.get(one), of.get(a.track_id)
        if rider is None:
            if look.time_ns - a.asked_ns < SEEN_NS:
                now[one] = a
        elif on is not None and rider.said is not None and _is_there(rider, on, look, gap_s, a.asked_ns):
            now[one] = msgspec.structs.replace(a, asked_ns=look.time_ns)
    return now


def _is_there(rider: Rider, on: Rider, look: Look, gap_s: float, asked_ns: int) -> bool:
    """Whether a receiver may still be on another track, by a fix that was not asked of yet."""
    assert rider.said is not None
    fix = rider.said.fix
    if fix.time_ns <= asked_ns or not asked(fix, look.time_ns, gap_s):
        return True
    stands = math.hypot(on.x[1], on.x[3]) < STANDS_MPS
    away_m, log = fits(fix, There(on.lat0_deg, on.lon0_deg, on.x, stands), look.time_ns)
    return log > log_if_false(away_m * away_m, 9.0 * max(fix.r_ee, fix.r_nn))
