"""Of three receivers and more of one shipment that part: with whom the track goes.

Of two that part nobody can say which is the goods: the track goes on with the one that it followed, and an operator chooses.
Of more each is a witness, by its own fixes since the second hypothesis began: *for* it are those whose fixes make it, twice
each, *against* it the one that the track follows and those whose used fixes cannot be there.  Where two and more are for it,
and fewer against it that go on reporting, the track goes with them, whoever it happened to follow when they parted.  A read of
the goods' own tag away from there is a witness against it, for good.

None is a receiver that hangs, one so rough that it tells nothing, one whose fixes looks belie, nor a second name of one source
(the same place to the digit).  Where an operator chose, it is not for receivers to say, until all are together again.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from birddog.units import NS
from tracking import arms
from tracking.anchor import near_en
from tracking.arms import Receiver, Receivers
from tracking.core import Core, Rival
from tracking.kernel import APART_MOST_M
from tracking.measurement import Measurement
from tracking.rivals import TWICE, witnessed

#: So many fixes that agree are told of as a receiver that has parted, whatever others have still to say.
HEARD = 6
#: One goes on reporting that was heard within so many of its intervals, and within this, s.
INTERVALS, LATELY_S = 2.5, 300.0


def witnesses(core: Core, rival: Rival, time_ns: int) -> tuple[list[str], list[str], list[str]]:
    """The receivers that go on reporting and are for a rival, those that are against it, and those that have not said yet."""
    ours, theirs, silent = [], [], []
    for one in core.receivers:
        if not _reports(one, time_ns):
            continue
        if rival.said.count(one.device) >= TWICE:
            theirs.append(one.device)
        elif one.device == core.device or one.device in rival.against:
            ours.append(one.device)
        else:
            silent.append(one.device)
    return theirs, ours, silent


def outvoted(core: Core, rival: Rival, time_ns: int) -> bool:
    """Whether those that a rival is made of are more than those that the track goes with."""
    if len(core.receivers) <= TWICE or is_chosen(core, rival):
        return False
    theirs, ours, _ = witnesses(core, rival, time_ns)
    return len(theirs) > 1 and len(theirs) > len(ours) + rival.read_against and not _along(core, rival)


def is_chosen(core: Core, rival: Rival) -> bool:
    """Whether an operator chose where the track is, of several places of its receivers, and a rival is another one."""
    return core.receivers != () and core.receivers[0].chosen and core.receivers[0].device not in rival.said


def alone(receivers: Receivers, m: Measurement, before: Receivers) -> bool:
    """Whether a receiver is known to be elsewhere than the first one, which others are with: what it says moves nothing, also
    where the track, pulled that way, could have got there, until it is seen to come back.

    Args:
        before: the receivers before this fix.
    """
    one, was = arms.of(receivers[1:], m.device), arms.of(before, m.device)
    if one is None or was is None or one.breaks < max(was.breaks, arms.BROKEN):
        return False
    return any(other.met and other.breaks == 0 and _reports(other, m.time_ns) for other in receivers[1:])


def agreed(core: Core, m: Measurement) -> tuple[str, ...]:
    """The receivers that agree on where a track was not, once it goes on there with a fix: several, or none of them."""
    if core.rival is None or not core.rival.denied:
        return ()
    said = witnessed(core.rival, m)
    most = tuple(one for one in dict.fromkeys(said) if said.count(one) >= TWICE)
    return most if len(most) > 1 else ()


def stays(core: Core, m: Measurement) -> bool:
    """Whether a rival that several receivers agree on, which go on reporting, is no other one's after a refused fix: else each
    would begin it anew in turn, and a track that is with none of them would hear no more.
    """
    rival = core.rival
    if rival is None or m.origin != "fix" or m.device in rival.said or len(set(rival.said)) <= 1:
        return False
    return any(one.device in rival.said and _reports(one, m.time_ns) for one in core.receivers)


def undecided(core: Core, rival: Rival, time_ns: int) -> bool:
    """Whether it is open yet which receivers have parted from which, of three and more: one has not said on which side it is,
    or the track is about to go with the others.
    """
    if len(core.receivers) <= TWICE or rival.hits >= HEARD:
        return False
    return bool(witnesses(core, rival, time_ns)[2]) or outvoted(core, rival, time_ns)


def led(receivers: Receivers, rival: Rival, m: Measurement, *, chosen: bool) -> Receivers:
    """The receivers of a track that goes on with a rival: how far each is is measured from that one's newest, and those that
    are not with it have left it.

    Args:
        m: the fix with which it took over; chosen: an operator says so.
    """
    first = arms.of(receivers, m.device)
    if first is None or len(receivers) <= TWICE:
        return ()
    lead = _anew(first, met=False, breaks=0, chosen=chosen)
    return (lead, *(
        _anew(one, met=one.device not in rival.said or not (one.has_arm or first.has_arm),
              breaks=0 if one.device in rival.said else arms.BROKEN)
        for one in receivers if one is not first
    ))  # fmt: skip


def together(receivers: Receivers) -> Receivers:
    """The receivers after a fix: what an operator chose is over where none of them is elsewhere any more."""
    if not receivers or not receivers[0].chosen or any(one.breaks for one in receivers[1:]):
        return receivers
    return (replace(receivers[0], chosen=False), *receivers[1:])


def _along(core: Core, rival: Rival) -> bool:
    """Whether a rival may be of the other end of one thing, which is no longer than that, of which the arm is not known yet."""
    en = near_en(core.lat0_deg, core.lon0_deg, rival.lat_deg, rival.lon_deg)
    if en is None or math.hypot(en[0] - core.x[0], en[1] - core.x[2]) > APART_MOST_M:
        return False
    asked = [one for one in core.receivers[1:] if one.device in rival.said or one.device == core.device]
    return any(not one.met and one.may_be_beside and one.away_m > arms.TOGETHER_M for one in asked)


def lately(since_s: float, every_s: float) -> bool:
    """Whether what reports so often and was heard so long ago, s, goes on reporting."""
    return since_s <= max(INTERVALS * every_s, LATELY_S)


def _reports(one: Receiver, time_ns: int) -> bool:
    return not one.hangs and lately((time_ns - one.heard_ns) / NS, one.gap_s)


def _anew(one: Receiver, *, met: bool, breaks: int, chosen: bool = False) -> Receiver:
    """A receiver at its newest fix of which nothing is known but whether it goes along."""
    return Receiver(
        one.device, one.time_ns, one.lat_deg, one.lon_deg, one.r, one.ve_mps, one.vn_mps, one.r_v, one.slack_s, one.gap_s,
        met=met, breaks=breaks, asked=True, hold=one.hold, chosen=chosen,
    )  # fmt: skip
