"""Two receivers that were taken for each other: looks had each by what the other one is on, since they stood beside each other.

Where two drive off from one yard between two looks, their sightings may be swapped.  The fixes of both tell, if both are right:
each is on what the other was carried by (``handed``).  Where one of them hangs or lies, those of the other one do alone: it is
on what looks carry the first by, which its own receiver contradicts.  That the one was handed over to what the other is on, and
that this one's receiver lies, would be two wonders in one yard; so what looks carried the one by is the other's, and goes on
being held against what its receiver says (``belied``).

It is asked of two that have met (``transfer.Way``), at a new fix of the one, while the other one's are elsewhere than its
sightings.  What else is so, by chance, is not known.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from birddog.units import NS
from tracking.belied import SAME_LOOKS
from tracking.contact import Contact, Look
from tracking.crowd import Crowd, Last, Rider, moments, state_of
from tracking.engine import State
from tracking.handed import LOOKS, There, asked, carrier
from tracking.stitching import REGAINED_NS, goes_on_from
from tracking.track_state import LiveTrack
from tracking.transfer import MET_GAPS, MET_S, Way, meetings

#: So many of its fixes at most have said that it is elsewhere before it is seen so.
DENIES = 2


class Swap(NamedTuple):
    """A track that goes on from what looks carried another one by: that is a contact, or the other track itself."""

    track_id: str
    of: str
    by: Contact | Rider
    x: State


def swapped(
    tracks: dict[str, LiveTrack], crowd: Crowd, riders: list[Rider], look: Look
) -> tuple[Crowd, list[Swap]]:  # fmt: skip
    """The contacts after a look without what was swapped, and whose tracks go on from what.

    Args:
        crowd: after the look.
    """
    swaps: list[Swap] = []
    doubtful = [c.of for c in crowd.contacts if c.of and c.apart]
    doubtful += [one for one, doubt in crowd.belied.items() if doubt.state != "left"]
    if look.imagery or not doubtful:
        return crowd, swaps
    of = {rider.track_id: rider for rider in riders if rider.said is not None and not rider.past}
    for other in sorted(set(doubtful) & of.keys()):
        to = _carried(crowd, of[other], look)
        if to is None:
            continue
        found = []
        for one, rider in of.items():
            own = _left(crowd, rider, other, look) if one != other else None
            if own is None or not _is_on(rider, own, to, look, crowd) or _spoke(tracks[other], own.since_ns, to.since_ns):
                continue
            if _have_met(tracks, of[other], rider, look):
                found.append((one, own))
        if len(found) == 1:
            [(one, own)] = found
            crowd, some = _exchanged(crowd, one, own, other, to, look)
            swaps += some
    return crowd, swaps


class Seen(NamedTuple):
    """What looks carry a track by, since a time: a contact's row, or itself (None)."""

    row: int | None
    by: Contact | Rider
    there: There
    since_ns: int


def _seen(crowd: Crowd, row: int, since_ns: int) -> Seen:
    c = crowd.contacts[row]
    mean, cov = moments(crowd.bank.rows(np.array([row])))
    return Seen(row, c, There(c.lat0_deg, c.lon0_deg, state_of(mean[0], cov[0]), False), since_ns)


def _itself(crowd: Crowd, rider: Rider) -> Seen:
    there = There(rider.lat0_deg, rider.lon0_deg, rider.x, False)
    return Seen(None, rider, there, crowd.belied[rider.track_id].since_ns)


def _is_doubted(crowd: Crowd, one: str) -> bool:
    return one in crowd.belied and crowd.belied[one].state != "left"


def _carried(crowd: Crowd, rider: Rider, look: Look) -> Seen | None:
    """What looks carry a doubtful track by, if they still show it."""
    if _is_doubted(crowd, rider.track_id):
        return _itself(crowd, rider)
    rows = [i for i, c in enumerate(crowd.contacts) if c.of == rider.track_id and c.apart and _is_shown(c, look)]
    return _seen(crowd, rows[0], crowd.contacts[rows[0]].parted_ns) if rows else None


def _left(crowd: Crowd, rider: Rider, other: str, look: Look) -> Seen | None:
    """What looks carried a track by, of which its receiver says that it is not on it, but may be where another one is."""
    one, along = rider.track_id, crowd.alongside.get(rider.track_id)
    if along is not None and along.left is not None and along.track_id == other:
        last = Last(*along.left)
        rows = [i for i, c in enumerate(crowd.contacts) if not c.of and c.confirmed and _is_shown(c, look)
                and c.first_ns - last.time_ns <= REGAINED_NS
                and goes_on_from(c, last, last.speed_mps, look.time_ns, look.time_ns - last.time_ns)]  # fmt: skip
        return _seen(crowd, rows[0], last.time_ns) if len(rows) == 1 else None
    rows = [i for i, c in enumerate(crowd.contacts) if ((c.of == one and c.apart) or c.was == one) and _is_shown(c, look)]
    if len(rows) == 1:
        c = crowd.contacts[rows[0]]
        return _seen(crowd, rows[0], c.parted_ns or c.first_ns)
    return _itself(crowd, rider) if not rows and _is_doubted(crowd, one) else None


def _is_shown(c: Contact, look: Look) -> bool:
    return look.time_ns - c.seen_ns <= LOOKS * c.gap_s * NS


def _is_on(rider: Rider, own: Seen, to: Seen, look: Look, crowd: Crowd) -> bool:
    """Whether a receiver's new fix is on what carries another one, and not on what it was carried by."""
    assert rider.said is not None
    fix, gap_s = rider.said.fix, crowd.looked[look.sensor][1]
    return asked(fix, look.time_ns, gap_s) and carrier(fix, own.there, [to.there], look.time_ns, {}) == 0


def _spoke(live: LiveTrack, since_ns: int, until_ns: int) -> bool:
    """Whether a receiver was where looks carry it since the other one was not: what it said since then is no swap's."""
    return sum(m.origin == "fix" for m in live.between(since_ns, until_ns)) > DENIES


def _have_met(tracks: dict[str, LiveTrack], one: Rider, other: Rider, look: Look) -> bool:
    """Whether two tracks stood beside each other not long before they parted."""
    assert one.said is not None and other.said is not None
    fixes = one.said.fix, other.said.fix
    gaps = [(fix.time_ns - last[0].time_ns) / NS for fix, said in zip(fixes, (one.said, other.said), strict=True)
            if (last := said.earlier())]  # fmt: skip
    from_ns = min(fix.time_ns for fix in fixes) - round(max(MET_S, MET_GAPS * max(gaps, default=0.0)) * NS)
    own, its = (Way(tracks[rider.track_id], look.time_ns) for rider in (one, other))
    return bool(meetings(own, its, from_ns, max(fix.time_ns for fix in fixes)))


def _exchanged(
    crowd: Crowd, one: str, own: Seen, other: str, to: Seen, look: Look
) -> tuple[Crowd, list[Swap]]:  # fmt: skip
    """The contacts where what carried two is the other's each, and how their tracks go on."""
    if own.row is None and to.row is not None:  # it waits until the second one is doubted as well
        return crowd, []
    contacts, drop = list(crowd.contacts), set[int]()
    belied = {k: d for k, d in crowd.belied.items() if k != one}
    swaps = [Swap(one, other, to.by, to.there.x)]
    if to.row is not None:
        if any(c.of == one and not c.apart for c in contacts):  # it has another one by now
            drop.add(to.row)
        else:
            contacts[to.row] = msgspec.structs.replace(contacts[to.row], of=one, apart=0, misses=0, odds=0.0)
    if other in belied:
        swaps.append(Swap(other, one, own.by, own.there.x))
        belied[other] = msgspec.structs.replace(belied[other], seen_ns=look.time_ns)
        if own.row is not None:
            drop.add(own.row)
    elif own.row is not None:
        c = contacts[own.row]  # it is as old as the other one's
        contacts[own.row] = msgspec.structs.replace(
            c, of=other, was="", apart=1, misses=0, odds=0.0, parted_ns=look.time_ns, hits=max(c.hits, SAME_LOOKS + 1)
        )
    alongside = {k: a for k, a in crowd.alongside.items() if k != one}
    keep = [i for i in range(len(contacts)) if i not in drop]
    return msgspec.structs.replace(
        crowd, contacts=tuple(contacts[i] for i in keep), bank=crowd.bank.rows(np.array(keep, dtype=int)), belied=belied,
        alongside=alongside,
    ), swaps  # fmt: skip
