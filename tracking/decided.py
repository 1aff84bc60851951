"""What an operator decides of a track, obeyed from then on and repeated by every rebuild.

``false_fix`` takes a fix out as if it had never come (nor does a copy of it that comes later count); ``take_over`` vouches for
the newest of the refused fixes: the track is there; ``merge`` and ``split`` say which receivers are one thing (``regrouped``),
``identify``, ``confirm_dark`` and ``dismiss_dark`` what a contact is (``vouched``); ``undo`` takes each back.  Each is exact
for what lies within the window of late data, for which the filters are run again; of what is older the words say that it cannot
be done any more.
"""

from __future__ import annotations

import msgspec

from birddog.directory import OPEN
from birddog.geo import distance_m
from birddog.model import Decision
from birddog.units import iso_from_ns
from tracking import regrouped, vouched
from tracking.book import Book, TakenFix
from tracking.measurement import Measurement
from tracking.obeyed import Decided
from tracking.step import Model, placed
from tracking.track_state import LiveTrack
from tracking.tracker import Tracker, read_apart

#: Decisions of one track that can be undone.
MOST = 100


def decide(tracker: Tracker, decision: Decision, number: int, book: Book) -> list[LiveTrack] | None:
    """Obey one decision, and tell of it: an event ``decided``, or ``decided_nothing`` with the reason.

    Args:
        number: of its entry.

    Returns:
        The identified tracks that changed; None: it is about nothing of this operation.
    """
    if decision.action == "undo":
        return _undo(tracker, decision, book)
    if decision.action in ("identify", "confirm_dark", "dismiss_dark"):
        if tracker.log.name_of(decision.subject) is None:
            return None
        if decision.action == "identify":
            done, text, one = vouched.identify(tracker, decision, number, book)
        else:
            (done, text), one = vouched.dark(tracker.log, decision, number, book), None
            tracker.log.show(tracker, decision.subject, book)
        _tell(tracker, decision, number, decision.subject, None, done, text, book)
        return [one] if one is not None and done else []
    live = tracker.tracks.get(decision.subject)
    if live is None:
        return None
    tracker.catch_up(live, book)
    m, made = None, None
    if decision.action == "merge":
        done, text = regrouped.merge(tracker, live, decision, number, book)
    elif decision.action == "split":
        done, text, made = _split(tracker, live, decision, number, book)
    elif decision.action == "false_fix":
        done, m, text = _false(tracker, live, decision, number)
        if m is not None and done:
            tracker.withdraw(live, m, book)
            book.fixes.append(TakenFix(tracker.operation, live.state.track_id, m.time_ns))
    else:
        done, m, text = _here(tracker, live, number, book)
        if not done and read_apart(live.state) is not None:
            done, text, made = _goods(tracker, live, decision, number, book)
    _again(tracker, live, m, done, book)
    _tell(tracker, decision, number, live.state.track_id, m, done, text, book)
    return [live] if made is None else [live, made]


def _undo(tracker: Tracker, decision: Decision, book: Book) -> list[LiveTrack] | None:
    """Take a decision back."""
    number = int(decision.subject[1:]) if decision.subject[1:].isdecimal() else 0
    of = ((live, one) for live in tracker.tracks.values() for one in live.state.decided if one.number == number)
    live, one = next(of, (None, None))
    undo = f"undo {decision.subject}"
    if live is None or one is None:
        said = vouched.undone(tracker.log, decision.subject, number, book)
        if said is None and number and (above := regrouped.beneath(tracker, number)) is not None:
            live, merge = above
            text = f"{decision.subject} cannot be undone: D{merge} came later and rests on it; that one first"
            _tell(tracker, decision, 0, live.state.track_id, None, False, text, book)
            return []
        if said is None:
            return None
        done, text, track_id = said
        tracker.log.show(tracker, track_id, book)
        _tell(tracker, decision, 0, track_id, None, done, text, book, undo)
        return []
    tracker.catch_up(live, book)
    m, other = None, None
    if one.action == "merge":
        done, text, other = regrouped.unmerged(tracker, live, one, book)
    elif one.action == "split":
        done, text = regrouped.unsplit(tracker, live, one, book)
    elif one.action == "identify":
        done, text = vouched.taken_back(tracker, live, one, book)
    else:
        done, m, text = _undone(tracker, live, decision, one)
        if m is not None and done and one.action == "false_fix" and m.origin == "fix":
            book.fixes.append(TakenFix(tracker.operation, live.state.track_id, m.time_ns, m.lat_deg, m.lon_deg))
    if one.action in ("merge", "split"):
        text = f"{decision.subject} is undone: {text}" if done else f"{decision.subject} cannot be undone: {text}"
    _again(tracker, live, m, done, book)
    _tell(tracker, decision, 0, live.state.track_id, m, done, text, book, undo)
    return [live] if other is None else [live, other]


def _again(tracker: Tracker, live: LiveTrack, m: Measurement | None, done: bool, book: Book) -> None:
    """What was told since a measurement that changed is told anew, and the looks in which it had a say are run again."""
    if m is not None and done:
        tracker.retell(live, m.time_ns, book)
    if m is not None and done and tracker.log.busy(m.time_ns):
        tracker.log.disturbed(tracker, live, m.time_ns, book)


def _tell(
    tracker: Tracker, decision: Decision, number: int, track_id: str, m: Measurement | None, done: bool, text: str, book: Book,
    about: str = "",
) -> None:  # fmt: skip
    """Tell of a decision.

    Args:
        about: ``undo D12`` of what was undone; else it is about the decision itself, ``D12``.
    """
    why = f": {decision.note}" if decision.note else ""
    own = f"D{number or book.seq}"
    also = (decision.other,) if done and decision.action in ("merge", "identify") else ()
    text, about = f"{decision.by}: {text} ({own}){why}", about if done and about else own
    book.event(
        "decided" if done else "decided_nothing", tracker.operation, book.now_ns, end_ns=book.now_ns, text=text,
        track_ids=(track_id, *also), device=decision.device if m is None else m.device, time_source="server",
        lat_deg=None if m is None else m.lat_deg, lon_deg=None if m is None else m.lon_deg, about=about,
    )  # fmt: skip


def is_false(live: LiveTrack, m: Measurement) -> bool:
    """Whether this measurement was said to be false."""
    return any(one.action == "false_fix" and one.m is not None and one.m.key == m.key for one in live.state.decided)


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


def _split(
    tracker: Tracker, live: LiveTrack, decision: Decision, number: int, book: Book
) -> tuple[bool, str, LiveTrack | None]:
    name = book.track_id(tracker.operation if live.state.public else OPEN)
    return regrouped.split(tracker, live, decision, number, name, book)


def _goods(
    tracker: Tracker, live: LiveTrack, decision: Decision, number: int, book: Book
) -> tuple[bool, str, LiveTrack | None]:
    """The goods are where a reader read their tag, and their receiver is not: it goes a way of its own."""
    receivers = live.state.fixers
    if len(receivers) != 1:
        return False, f"{', '.join(receivers)} say otherwise: split off what was left behind", None
    return _split(tracker, live, msgspec.structs.replace(decision, device=receivers[0]), number, book)


def _here(tracker: Tracker, live: LiveTrack, number: int, book: Book) -> _Answer:
    core = live.core(tracker.model(live))
    rival = None if core is None else core.rival
    found = None
    if rival is not None:
        places = (m for m in reversed(live.state.ring) if m.time_ns == rival.time_ns and m.origin == "fix")
        found = next((m for m in places if (m.lat_deg, m.lon_deg) == (rival.lat_deg, rival.lon_deg)), None)
    if found is None:
        answer, shown = _seen(tracker, live, number), _shown(tracker, live, book)
        return answer if answer[0] or shown is None else _there(tracker, live, shown, number)
    live.replace(found, msgspec.structs.replace(found, here=True))
    _kept(live, Decided(number, "take_over", found))
    return True, found, f"it is where {found.device} said at {iso_from_ns(found.time_ns)}"


def _there(tracker: Tracker, live: LiveTrack, shown: Measurement, number: int) -> _Answer:
    """It is where a fix says whose place is shown, if what was said since does not take it elsewhere again."""
    model, here = tracker.model(live), msgspec.structs.replace(shown, here=True)
    was_m = _from_m(live, shown, model)
    live.replace(shown, here)
    if _from_m(live, shown, model) > 0.25 * was_m:
        live.replace(here, shown)
        since = f"what was said since {iso_from_ns(shown.time_ns)} takes it elsewhere"
        return False, None, f"{since}: split off the receiver that is not with it"
    _kept(live, Decided(number, "take_over", shown))
    return True, shown, f"it is where {shown.device} said at {iso_from_ns(shown.time_ns)}"


def _from_m(live: LiveTrack, m: Measurement, model: Model) -> float:
    core = live.core(model)
    assert core is not None, "a track with a fix is somewhere"
    lat, lon, _ = placed(core, core.x)
    return distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)


def _shown(tracker: Tracker, live: LiveTrack, book: Book) -> Measurement | None:
    """The fix whose place the track's row has as its second one, where those that were refused agree on no rival of now."""
    row = tracker.row(live, book.now_ns, tracker.model(live), {})
    place = row.rival_lat_deg, row.rival_lon_deg
    return next((m for m in reversed(live.state.ring) if m.origin == "fix" and (m.lat_deg, m.lon_deg) == place), None)


def _seen(tracker: Tracker, live: LiveTrack, number: int) -> _Answer:
    """It is where looks go on seeing what it was on, and its receiver says otherwise (``belied``)."""
    log, own = tracker.log, [device for device in live.state.fixers if device in live.state.identities]
    some = [one for one in log.unsettled(log.crowd).get(live.state.track_id, ()) if one is not None]
    elsewhere = next((one for one in some if not one.tag and log.crowd.contacts[one.row].apart), None)
    m = None if elsewhere is None or not own else live.newest_fix(own[0], log.crowd.t_ns)
    if elsewhere is None or m is None:
        c = log.crowd.contacts[some[0].row] if some and not some[0].tag else None
        other = some[0].tag if some else ""
        if c is not None and c.of != live.state.track_id:
            other = c.of
        if other:
            return False, None, f"{other} stood beside it: its next report says which of the two it is on"
        if c is not None and (shown := log.shown.get(c.name)) is not None:
            return False, None, f"{shown.track_id} stood beside it: identify says that it is that"
        return False, None, "no refused fix says another place"
    _kept(live, Decided(number, "take_over", m, seen_ns=log.crowd.t_ns))
    return True, m, f"it is where {elsewhere.sensor} goes on seeing what it was on; {m.device} says otherwise"


def _undone(tracker: Tracker, live: LiveTrack, decision: Decision, old: Decided) -> _Answer:
    assert old.m is not None
    if old.action == "false_fix":
        outcome, _, _ = live.insert(tracker.log.marked(live, old.m), tracker.model(live))
        if outcome != "old":
            live.state.decided.remove(old)
            what = f"the fix of {old.m.device} at {iso_from_ns(old.m.time_ns)} counts"
            return True, old.m, f"{decision.subject} is undone: {what}"
    elif old.seen_ns:
        if tracker.log.keeps(old.m.time_ns):
            live.state.decided.remove(old)
            return True, old.m, f"{decision.subject} is undone: looks and {old.m.device} say where it is"
    else:
        here = msgspec.structs.replace(old.m, here=True)
        if here in live.state.ring:
            live.replace(here, old.m)
            live.state.decided.remove(old)
            return True, old.m, f"{decision.subject} is undone: the fixes say again where it is"
    return False, old.m, f"{decision.subject} is too long ago to be undone: what came after rests on it"


def _kept(live: LiveTrack, one: Decided) -> None:
    """The decision may be undone; of the oldest ones only those that are still obeyed for what comes."""
    decided = live.state.decided
    decided.append(one)
    old = [d for d in decided[:-MOST] if d.action in ("merge", "split")]
    decided[: max(0, len(decided) - MOST)] = old
