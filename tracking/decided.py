"""What an operator decides of a track, obeyed from then on and repeated by every rebuild.

``false_fix`` takes a fix out as if it had never come (nor does a copy of it that comes later count); ``take_over`` vouches for
the newest of the refused fixes: the track is there; ``undo`` takes either back.  Each is exact for what lies within the window
of late data, for which the filters are run again; of what is older the words say that it cannot be done any more.
"""

from __future__ import annotations

import msgspec

from birddog.model import Decision
from birddog.units import iso_from_ns
from tracking.book import Book
from tracking.measurement import Measurement
from tracking.track_state import Decided, LiveTrack
from tracking.tracker import Tracker

#: Decisions of one track that can be undone.
MOST = 100


def decide(tracker: Tracker, live: LiveTrack, decision: Decision, number: int, book: Book) -> None:
    """Obey one decision about a track, and tell of it: an event ``decided``, or ``decided_nothing`` with the reason.

    Args:
        number: of its entry.
    """
    tracker.catch_up(live, book)
    if decision.action == "undo":
        done, m, text = _undone(tracker, live, decision)
    elif decision.action == "false_fix":
        done, m, text = _false(tracker, live, decision, number)
    else:
        done, m, text = _here(tracker, live, number)
    if m is not None and done:
        if decision.action == "false_fix":
            tracker.withdraw(live, m, book)
        tracker.retell(live, m.time_ns, book)
    if m is not None and done and tracker.log.busy(m.time_ns):
        tracker.log.disturbed(tracker, live, m.time_ns, book)
    why = f": {decision.note}" if decision.note else ""
    book.event(
        "decided" if done else "decided_nothing", tracker.operation, book.now_ns, end_ns=book.now_ns,
        track_ids=(live.state.track_id,), device="" if m is None else m.device, lat_deg=None if m is None else m.lat_deg,
        lon_deg=None if m is None else m.lon_deg, text=f"{decision.by}: {text} (D{number}){why}", time_source="server",
    )  # fmt: skip


def is_false(live: LiveTrack, m: Measurement) -> bool:
    """Whether this measurement was said to be false."""
    return any(one.action == "false_fix" and one.m.key == m.key for one in live.state.decided)


_Answer = tuple[bool, Measurement | None, str]


def _false(tracker: Tracker, live: LiveTrack, decision: Decision, number: int) -> _Answer:
    s = live.state
    m = None if decision.time_ns is None else live.fix_at(decision.device, decision.time_ns)
    when = "" if decision.time_ns is None else f" at {iso_from_ns(decision.time_ns)}"
    if m is None:
        return False, None, f"no fix{f' of {decision.device}' if decision.device else ''}{when} can be taken out any more"
    if s.base is None and len(s.ring) == 1:
        return False, m, f"the fix of {m.device}{when} is all that is known of the track"
    live.remove(m)
    _kept(live, Decided(number, "false_fix", msgspec.structs.replace(m, here=False)))
    return True, m, f"the fix of {m.device}{when} is false"


def _here(tracker: Tracker, live: LiveTrack, number: int) -> _Answer:
    core = live.core(tracker.model(live))
    rival = None if core is None else core.rival
    found = None
    if rival is not None:
        places = (m for m in reversed(live.state.ring) if m.time_ns == rival.time_ns and m.origin == "fix")
        found = next((m for m in places if (m.lat_deg, m.lon_deg) == (rival.lat_deg, rival.lon_deg)), None)
    if found is None:
        return False, None, "no refused fix says another place"
    live.replace(found, msgspec.structs.replace(found, here=True))
    _kept(live, Decided(number, "take_over", found))
    return True, found, f"it is where {found.device} said at {iso_from_ns(found.time_ns)}"


def _undone(tracker: Tracker, live: LiveTrack, decision: Decision) -> _Answer:
    old = next(one for one in live.state.decided if f"D{one.number}" == decision.subject)
    if old.action == "false_fix":
        outcome, _, _ = live.insert(old.m, tracker.model(live))
        if outcome != "old":
            live.state.decided.remove(old)
            what = f"the fix of {old.m.device} at {iso_from_ns(old.m.time_ns)} counts"
            return True, old.m, f"{decision.subject} is undone: {what}"
    else:
        vouched = msgspec.structs.replace(old.m, here=True)
        if vouched in live.state.ring:
            live.replace(vouched, old.m)
            live.state.decided.remove(old)
            return True, old.m, f"{decision.subject} is undone: the fixes say again where it is"
    return False, old.m, f"{decision.subject} is too long ago to be undone: what came after rests on it"


def _kept(live: LiveTrack, one: Decided) -> None:
    live.state.decided.append(one)
    del live.state.decided[:-MOST]
