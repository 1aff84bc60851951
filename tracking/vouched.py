"""What an operator says of a contact: this contact is that shipment (``identify``), a dark vessel is one or is none
(``confirm_dark``, ``dismiss_dark``); each taken back by ``undo``.

A contact that is a shipment ends, and what it was seen to do last is where the shipment is: the looks that follow carry the
shipment on, as long as they see it, until a device of its own says otherwise.
"""

from __future__ import annotations

from birddog.model import Decision
from tracking.book import Book
from tracking.looks import LookLog
from tracking.obeyed import Decided
from tracking.track_state import LiveTrack
from tracking.tracker import Tracker

WORDS = {"confirm_dark": "a dark vessel", "dismiss_dark": "no dark vessel"}


def identify(tracker: Tracker, decision: Decision, number: int, book: Book) -> tuple[bool, str, LiveTrack | None]:
    """The contact ``decision.subject`` is the track ``decision.other``."""
    live = tracker.tracks.get(decision.other)
    name = tracker.log.name_of(decision.subject)
    if name is None:
        return False, f"{decision.subject} is no contact that is there", live
    if live is None:
        return False, f"{decision.other or 'nothing'} is no track with an identity of this operation", None
    tracker.catch_up(live, book)
    m = tracker.log.given(tracker, live, name, f"D{number}", book)
    if m is None:
        return False, f"{decision.subject} was last seen before what is kept of {decision.other}", live
    live.state.decided.append(Decided(number, "identify", m))
    return True, f"{decision.subject} is {live.state.name or live.state.track_id}", live


def taken_back(tracker: Tracker, live: LiveTrack, one: Decided, book: Book) -> tuple[bool, str]:
    """That contact is not that shipment after all."""
    assert one.m is not None
    if not tracker.log.ungiven(tracker, live, one.m, f"D{one.number}", book):
        return False, f"D{one.number} is too long ago to be undone: what came after rests on it"
    live.state.decided.remove(one)
    tracker.withdraw(live, one.m, book)
    tracker.retell(live, one.m.time_ns, book)
    tracker.unleapt(live, one.number, book)
    return True, f"D{one.number} is undone: the contact is a track of its own"


def dark(log: LookLog, decision: Decision, number: int, book: Book) -> tuple[bool, str]:
    """A contact that is told of as dark is confirmed as such, or is none."""
    name = log.name_of(decision.subject)
    if name is None or log.shown[name].dark is None:
        return False, f"{decision.subject} is no contact that was told of as dark"
    shown, what = log.shown[name], WORDS[decision.action]
    assert shown.dark is not None
    shown.judged, shown.judged_by = decision.action, number
    if decision.action == "dismiss_dark":
        book.end(shown.dark, book.now_ns)
    else:
        shown.dark = book.again(shown.dark, f"{decision.by} says: {what}")
    return True, f"{decision.subject} is {what}"


def undone(log: LookLog, subject: str, number: int, book: Book) -> tuple[bool, str, str] | None:
    """What was said of a contact's darkness is taken back, and of which track; None: it is no such decision."""
    for shown in log.shown.values():
        if shown.judged and shown.judged_by == number:
            was, shown.judged, shown.judged_by = shown.judged, "", 0
            if shown.dark is not None:
                old = shown.dark
                book.end(old, book.now_ns)
                shown.dark = None if shown.status == "deleted" else book.event(
                    "dark_vessel", log.operation, book.now_ns, track_ids=old.track_ids, device=old.device, lat_deg=old.lat_deg,
                    lon_deg=old.lon_deg, text="near no reporting track",
                )  # fmt: skip
            return True, f"{subject} is undone: nobody says that {shown.track_id} is {WORDS[was]}", shown.track_id
    return None
