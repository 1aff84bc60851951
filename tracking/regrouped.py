"""Whose measurements are whose, as an operator decides it: two tracks are one (``merge``), a receiver goes a way of its own
(``split``); each taken back by ``undo``.

What is decided is obeyed from then on, and for what lies in the window of late data as if it had been so before: those
measurements change their track, and the filters are run again.  A track that was merged into another is kept as it was with the
decision, so that its undoing gives back what it knew, with what has come of its receivers since.
"""

from __future__ import annotations

import msgspec

from birddog.model import Decision, TrackStatus
from birddog.units import iso_from_ns
from tracking.book import Book
from tracking.core import Core, Model
from tracking.dated import SURE
from tracking.measurement import Measurement
from tracking.obeyed import Decided, merged_keys
from tracking.ring import hook, unhook
from tracking.step import left_to_rival
from tracking.track_state import LiveTrack, TrackState
from tracking.tracker import Tracker, read_apart

#: What is decided of a receiver's fix.
OF_A_FIX = ("false_fix", "take_over")
#: What is told of receivers of one track that do not fit each other.
QUARRELS = ("parted", "two_places", "contradicted")
#: What a track with an identity is called the longer it waits.
WAITS: tuple[TrackStatus, ...] = ("confirmed", "coasting", "silent")
_DECODER, _CORES = msgspec.msgpack.Decoder(TrackState, dec_hook=unhook), msgspec.msgpack.Decoder(Core)
_ENCODE = msgspec.msgpack.Encoder(enc_hook=hook).encode


def merge(tracker: Tracker, live: LiveTrack, decision: Decision, number: int, book: Book) -> tuple[bool, str]:
    """All that feeds the track ``decision.other`` feeds this one from now on, and that one is no more."""
    other = tracker.tracks.get(decision.other)
    if other is None or other is live:
        return False, f"{decision.other or 'nothing'} is no other track with an identity of this operation"
    s, o = live.state, other.state
    tracker.catch_up(other, book)
    keys = sorted(key for key, whose in tracker.by_key.items() if whose is other)
    known = [name for name in o.identities if name not in s.identities]
    was = live.saved()
    before = TrackState(track_id=s.track_id, operation=s.operation, base=was.base, ring=was.ring, status=s.status)
    one = Decided(number, "merge", None, keys, known, _ENCODE(other.saved()), _ENCODE(before))
    _take(live, o)
    _end(tracker, other, book)
    for key in keys:
        tracker.by_key[key] = live
    s.decided.append(one)
    _go_along(o, live.state, known)
    _give(tracker, list(o.ring), live)
    _retold(tracker, list(o.ring), book, live)
    return True, f"{o.track_id} is {s.track_id}: {', '.join(o.identities)} feed it from now on"


def split(
    tracker: Tracker, live: LiveTrack, decision: Decision, number: int, name: str, book: Book
) -> tuple[bool, str, LiveTrack | None]:
    """The receiver ``decision.device`` has a track of its own from now on; the last one may have where a reader says that the
    goods went without it: they are there, where their tag was read last.

    Args:
        name: the new track's id.
    """
    s, device = live.state, decision.device
    others = [one for one in s.fixers if one != device]
    read = None if others else read_apart(s)
    if device not in s.fixers or not (others or read):
        why = "is no receiver of it" if device not in s.fixers else "is its only receiver"
        return False, f"{device or 'no device'} {why}", None
    theirs = [m for m in s.ring if m.device == device and m.origin == "fix"]
    if not theirs:
        return False, f"{device} has said nothing lately that could begin a track", None
    before = b""
    base = live.base
    if read is None and base is not None and (alone := _without(base, device, tracker.model(live))) != base:
        before = msgspec.msgpack.encode(base)
        live.rebase(alone)
    key, called = _root(s, device), s.name or s.of or s.key
    state = TrackState(
        track_id=name, operation=s.operation, key=f"{key}/{device}", of=key, name=f"{called} ({device})", tag_id=device,
        identities=(device,), sources=(device,), fixers=(device,), klass=s.klass, contact_ns=s.contact_ns, contacts=s.contacts,
        gap_s=s.gap_s, reports=True, broadcast=s.broadcast, public=s.public, status=s.status,
    )  # fmt: skip
    if read is not None:  # all that is known of the way so far is the receiver's
        state.base, state.past = live.saved().base, bytearray(s.past)
    made = tracker.add(state)
    _move(tracker, theirs, live, made)
    if read is not None:
        live.restart(None, [msgspec.structs.replace(read, here=True)])
        s.reports, s.broadcast, s.dated, s.gap_s, s.lost, s.turns, s.stuck = False, False, SURE, 0.0, 0, None, None
        s.contact_ns = min(s.contact_ns, read.time_ns)
    at = tuple(names.index(device) if device in names else -1 for names in (s.identities, s.sources, s.fixers))
    _not_named(s, [device])
    _over(s, book, ("two_places", "contradicted") if s.fixers and read_apart(s) else QUARRELS)
    s.decided.append(Decided(number, "split", read, [state.key], [device], before, at=at))
    _go_along(s, made.state, [device])
    _withdrawn(tracker, live, theirs, book)
    _retold(tracker, theirs, book, live, made)
    own = f"{device} goes its own way as {name}"
    return True, own if read is None else f"it is where {read.device} read its tag at {iso_from_ns(read.time_ns)}; {own}", made


def unmerged(tracker: Tracker, live: LiveTrack, one: Decided, book: Book) -> tuple[bool, str, LiveTrack | None]:
    """The track that was merged is there again, with what its receivers have said since."""
    s = live.state
    state = _DECODER.decode(one.state)
    if (later := _rests_on(tracker, one)) is not None:
        return False, f"D{later} came later and rests on it; that one first", None
    if state.track_id in tracker.tracks:
        return False, f"{state.track_id} is there already", None
    state.open_events, state.waiting = {}, []
    state.status = _later(state.status, s.status)
    s.status = _later(_DECODER.decode(one.before).status, s.status)
    state.contact_ns = max(state.contact_ns, s.contact_ns)
    _not_named(s, one.devices)
    _over(s, book)
    s.decided.remove(one)
    state.decided = [old for old in state.decided if old.action not in OF_A_FIX]  # which of them stand is the other's to say
    _go_along(s, state, one.devices)
    back = tracker.add(state)
    for key in one.keys:
        tracker.by_key[key] = back
    theirs = [m for m in s.ring if m.device in one.devices or m in state.ring]
    _move(tracker, theirs, live, back)
    _as_before(live, one, tracker.model(live))
    _withdrawn(tracker, live, theirs, book)
    _retold(tracker, theirs, book, live, back)
    tracker.unleapt(live, one.number, book)
    return True, f"{state.track_id} is a track of its own again", back


def _over(s: TrackState, book: Book, kinds: tuple[str, ...] = QUARRELS) -> None:
    """What was told of how the receivers of a track fit each other is over: one of them is gone."""
    for kind in kinds:
        if kind in s.open_events:
            book.end(s.open_events.pop(kind), book.now_ns)


def _later(then: TrackStatus, now: TrackStatus) -> TrackStatus:
    """What one of two is called that were one since: it was heard no later than both."""
    return max(then, now, key=WAITS.index)


def _as_before(live: LiveTrack, merge: Decided, model: Model) -> None:
    """What a merge brought is in no filter of the track any more: what has left its ring since goes on from where it stood.

    Where more has left it than the merge found there, some of its own is in no ring, and its filter stays as it is, if it
    followed its own receivers; else it goes on from where it was last before the merge.  What looks showed since may be of
    either, and is neither's.
    """
    before, ring = _DECODER.decode(merge.before), live.state.ring
    base, base_ns = live.base, live.base_ns
    if base is None or base_ns is None:
        return
    merged_ns = before.ring.newest_ns if before.ring.n else 0
    own = [m for m in ring if m.time_ns <= merged_ns or m.origin != "sighting"]
    if base_ns <= merged_ns:
        live.restart(LiveTrack(before).base, [*(m for m in before.ring if m.time_ns <= base_ns), *own])
    elif base.device in merge.devices or base.lent:
        live.restart(LiveTrack(before).core(model), own)
    else:
        for device in merge.devices:
            base = _without(base, device, model)
        live.restart(base, own)


def unsplit(tracker: Tracker, live: LiveTrack, one: Decided, book: Book) -> tuple[bool, str]:
    """The receiver's own track is no more; it feeds the shipment's again."""
    if (later := _rests_on(tracker, one)) is not None:
        return False, f"D{later} came later and rests on it; that one first"
    other = tracker.by_key.get(one.keys[0])
    if other is None or other is live:
        return False, "its own track is no more"
    tracker.catch_up(other, book)
    _take(live, other.state)
    _put_back(live.state, one)
    _end(tracker, other, book)
    if one.keys[0] in merged_keys(live.state.decided):  # the receiver had been split off before, and merged into this one
        tracker.by_key[one.keys[0]] = live
    base = live.base
    theirs = list(other.state.ring)
    if one.m is not None:
        reads = [msgspec.structs.replace(m, here=False, doubted=True) for m in live.state.ring if m.origin == "tag_read"]
        live.restart(other.base, [*theirs, *(m for m in reads if other.base_ns is None or m.time_ns > other.base_ns)])
        live.state.past, live.state.gap_s = other.state.past, other.state.gap_s
        tracker.parted_again(live, reads[-1] if reads else one.m, book)
    elif one.state and base is not None:
        live.rebase(_with(base, _CORES.decode(one.state), one.devices[0], tracker.model(live)))
    _go_along(other.state, live.state, one.devices)
    _give(tracker, theirs, live)
    _retold(tracker, theirs, book, live)
    live.state.decided.remove(one)
    live.state.decided += [old for old in other.state.decided if old not in live.state.decided]
    return True, f"{', '.join(one.devices)} feeds it again"


def beneath(tracker: Tracker, number: int) -> tuple[LiveTrack, int] | None:
    """The track, and the merge, in which that of a decision now lies: what it did cannot be undone before that is."""
    for live in tracker.tracks.values():
        for one in live.state.decided:
            if one.action == "merge" and _holds(one, number):
                return live, one.number
    return None


def _holds(merge: Decided, number: int) -> bool:
    inner = _DECODER.decode(merge.state).decided
    return any(one.number == number or (one.action == "merge" and _holds(one, number)) for one in inner)


def _rests_on(tracker: Tracker, one: Decided) -> int | None:
    """The newest decision that said later whose the same receivers, or what they feed since, are; None: there is none.

    Undone in another order than they were made, one would take a receiver from where the other had put it.
    """
    later, other = [], tracker.by_key.get(one.keys[0]) if one.action == "split" and one.keys else None
    for live in tracker.tracks.values():
        for d in live.state.decided:
            same = not set(d.devices).isdisjoint(one.devices) or not set(d.keys).isdisjoint(one.keys)
            if d.number > one.number and d.action in ("merge", "split") and (same or live is other):
                later.append(d.number)
    return max(later, default=None)


def _root(s: TrackState, device: str) -> str:
    """The owner's key of a receiver of a track: its own, where a merge brought it."""
    for one in s.decided:
        if one.action == "merge" and device in one.devices:
            return _root(_DECODER.decode(one.state), device)
    return s.of or s.key


def _go_along(here: TrackState, there: TrackState, devices: list[str]) -> None:
    """What was decided of the fixes of receivers goes where they go: there it is undone, and there no copy of them counts."""
    theirs = [one for one in here.decided if one.action in OF_A_FIX and one.m is not None and one.m.device in devices]
    here.decided[:] = [one for one in here.decided if one not in theirs]
    there.decided += theirs


def _without(base: Core, device: str, model: Model) -> Core:
    """The filter before the ring of a track that a receiver leaves: how far it was from the others says nothing of them any
    more, and a rival of its fixes alone goes with it, as do the fixes that were refused for it.  Where the track had followed
    it, and another one had parted from it before the ring, that one's is all that there is: the track is there.

    Every fix that was refused since the rival's first is one of its ``hits``: they are the newest bits of ``recent``.
    """
    parted = base.parted
    base, rival = msgspec.structs.replace(base, receivers=()), base.rival
    if parted and base.device == device and rival is not None and rival.device != device:
        return left_to_rival(base, model)
    if rival is None or rival.device != device:
        return base
    hits, recent, place = rival.hits, 0, 0
    for bit in (base.recent >> k & 1 for k in range(8)):
        if bit and hits:
            hits -= 1
        else:
            recent, place = recent | bit << place, place + 1
    return msgspec.structs.replace(base, rival=None, recent=recent, run=max(0, base.run - rival.hits),
                                   refused=max(0, base.refused - rival.hits))  # fmt: skip


def _with(base: Core, before: Core, device: str, model: Model) -> Core:
    """The filter before the ring of a track that a receiver comes back to.

    Args:
        before: as it was when the receiver left; where the ring went on since, its rival is what comes back of that.
    """
    rival = before.rival
    if base == _without(before, device, model):
        return before
    if rival is None or rival.device != device or base.rival is not None:
        return base
    return msgspec.structs.replace(base, rival=rival, refused=base.refused + rival.hits)


def _take(live: LiveTrack, o: TrackState) -> None:
    """The names of one track are also those of another, which is called what the one is that was heard last."""
    s = live.state
    if o.contact_ns > s.contact_ns:
        s.status = o.status
    s.identities, s.sources, s.fixers = (
        (*mine, *[name for name in theirs if name not in mine])
        for mine, theirs in ((s.identities, o.identities), (s.sources, o.sources), (s.fixers, o.fixers))
    )
    s.reports = s.reports or o.reports
    s.contact_ns = max(s.contact_ns, o.contact_ns)


def _not_named(s: TrackState, devices: list[str]) -> None:
    """These devices are no more among those of a track."""
    s.identities, s.sources, s.fixers = (
        tuple([name for name in names if name not in devices]) for names in (s.identities, s.sources, s.fixers)
    )


def _put_back(s: TrackState, split: Decided) -> None:
    """The receiver of a split stands among those of its track where it stood."""
    [device] = split.devices
    s.identities, s.sources, s.fixers = (
        (*others[:k], device, *others[k:]) if k >= 0 else names
        for names, others, k in (
            (names, [name for name in names if name != device], k)
            for names, k in zip((s.identities, s.sources, s.fixers), split.at, strict=True)
        )
    )


def _move(tracker: Tracker, some: list[Measurement], old: LiveTrack, new: LiveTrack) -> None:
    """Measurements of one track's ring go to another's."""
    for m in some:
        old.remove(m)
    _give(tracker, some, new)


def _give(tracker: Tracker, some: list[Measurement], live: LiveTrack) -> None:
    model = tracker.model(live)
    for m in some:
        if m not in live.state.ring:
            live.insert(msgspec.structs.replace(m, doubted=False), model)


def _withdrawn(tracker: Tracker, live: LiveTrack, some: list[Measurement], book: Book) -> None:
    """No step of a track is these measurements' any more."""
    for m in some:
        tracker.withdraw(live, m, book)


def _retold(tracker: Tracker, some: list[Measurement], book: Book, *lives: LiveTrack) -> None:
    """The steps of tracks since the first of these measurements, told anew."""
    for live in lives if some else ():
        tracker.retell(live, min(m.time_ns for m in some), book)


def _end(tracker: Tracker, live: LiveTrack, book: Book) -> None:
    """A track is no more; its row says so."""
    model = tracker.model(live)
    row = None if live.core(model) is None else live.row(book.now_ns, model, {}, tracker.quiet_s)
    tracker.delete(live, book)
    if row is not None:
        gone = msgspec.structs.replace(row, status="deleted")
        book.row(row.track_id, lambda: gone)
