"""What time alone does to a track: what it is called while it waits, when that changes, and when it ends.

Nothing is asked before it is due: ``due_ns`` is the next time at which a track's status or row may change, so that what a tick
costs does not grow with everything that was ever heard.  A status changes at its time, not at the first entry after it.

In a case a track with an identity waits for ever.  In ``open`` what nobody enrolled ends: it is *lost* (``silent``) when it
has not been heard for ``broadcast_lost_s`` and forgotten after ``broadcast_end_s``; no alert, for it merely left.  Of a device
that does not broadcast the silence is told all the same, once it was heard ``REGULAR`` times, so that its interval is known.
Stations (a buoy) stand where they are.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.model import TrackPoint, Value
from birddog.units import NS
from tracking import rests
from tracking.book import Book
from tracking.presets import STATION, Presets
from tracking.step import placed, predicted
from tracking.track_state import FORETOLD_MOST, LiveTrack, TrackState
from tracking.tracker import Tracker

#: A device that nobody enrolled is expected to go on reporting when it was heard so often.
REGULAR = 5
#: A row that waits is renewed when its age has grown by this part.
ROW_GROWS = 8


class Expected(msgspec.Struct, frozen=True):
    """What is expected of a track.

    Args:
        interval_s: seconds between messages; None: its silence means nothing.
        ends: nobody enrolled it and it is nobody's case: it is forgotten when it has not been heard for long.
        coasts_ns: without a position for longer than this it coasts; silent_ns: without any message for longer, it is silent;
            ends_ns: and for longer than this, it ends, where it does.
        soonest_ns: so long after it was heard and shown time next changes something, unless it coasts before.
        learns: nobody said how often it reports, so that it is learnt how long it sleeps where it stands (``rests``).
    """

    interval_s: float | None
    ends: bool
    coasts_ns: int
    silent_ns: int
    ends_ns: int
    soonest_ns: int
    learns: bool = False


def expected(
    interval_s: float | None, ends: bool, presets: Presets, patience_s: float = 0.0, factor: float | None = None,
    learns: bool = False,
) -> Expected:  # fmt: skip
    """What is expected of a track by its interval.

    Args:
        patience_s: it is not silent before that, whatever the interval.
        factor: silent after so many intervals; None: as the presets say.
        learns: nobody said the interval.
    """
    every_s = presets.interval_s if interval_s is None else interval_s
    coasts_s, silent_s = presets.coast_factor * every_s, max((factor or presets.silent_factor) * every_s, patience_s)
    silent_ns, ends_ns, soonest_ns = int(silent_s * NS), int(presets.broadcast_end_s * NS), int(presets.sweep_s * NS)
    if interval_s is not None:
        soonest_ns = min(soonest_ns, silent_ns + 1)
    if ends:
        soonest_ns = min(soonest_ns, ends_ns + 1)
    return Expected(interval_s, ends, int(coasts_s * NS), silent_ns, ends_ns, soonest_ns, learns)


def is_as_ever(s: TrackState, updated_ns: int | None, expected: Expected, now_ns: int) -> bool:
    """Whether a track that is just heard stays what it is: confirmed, and nothing of its silence told (``decide``)."""
    return (
        updated_ns is not None and s.status == "confirmed" and s.contact_ns == now_ns and not s.broadcast
        and now_ns - updated_ns <= expected.coasts_ns and "silent" not in s.open_events
    )  # fmt: skip


def decide(tracker: Tracker, live: LiveTrack, expected: Expected, book: Book) -> None:
    """The track's status at the book's time."""
    s, model, p = live.state, tracker.model(live), tracker.presets
    core = live.core(model)
    if core is None or s.status == "deleted":
        return
    silent_s = (book.now_ns - s.contact_ns) / NS
    if expected.ends and not s.broadcast and silent_s > p.broadcast_end_s:
        tracker.delete(live, book)
        return
    if s.broadcast:
        _decide_broadcast(tracker, live, silent_s, book)
        return
    before = s.status
    if _may_be_silent(s, expected) and book.now_ns - s.contact_ns > silent_ns(tracker, live, expected):
        s.status = "silent"
        if "silent" not in s.open_events and (not expected.ends or s.contacts >= REGULAR):
            lat, lon, _ = placed(core, core.x)
            # who reports by itself; a passive tag is only read, its reader stands in the sources
            device = next((name for name in reversed(s.identities) if name in s.sources), s.tag_id)
            every_s, words = _every(tracker, live, expected)
            s.open_events["silent"] = book.event(
                "silent", tracker.operation, s.contact_ns, track_ids=(s.track_id,), device=device, lat_deg=lat, lon_deg=lon,
                text=f"no message for {silent_s:.0f} s, expected every {words}", measures={"every_s": every_s},
            )  # fmt: skip
    elif book.now_ns - core.updated_ns > expected.coasts_ns:
        s.status = "coasting"
    else:
        s.status = "confirmed"
    if expected.interval_s is None and "silent" in s.open_events:  # it is attached no longer
        book.end(s.open_events.pop("silent"), book.now_ns)
    if s.status != before and s.status in ("coasting", "silent"):
        x = predicted(core, book.now_ns, model, expected.coasts_ns / NS)
        lat, lon, x = placed(core, x)
        at_ns = max(book.now_ns, core.time_ns)
        s.points += 1
        s.foretold = sorted({**dict(s.foretold), at_ns: core.updated_ns}.items())[-FORETOLD_MOST:]
        book.points.append(
            TrackPoint(
                track_id=s.track_id, seq=s.points, time_ns=at_ns, lat_deg=lat, lon_deg=lon, ve_mps=x[1], vn_mps=x[3],
                p_ee=x[4], p_en=x[6], p_nn=x[11], origin="coast", believed_at=book.seq,
            )
        )  # fmt: skip


def silent_ns(tracker: Tracker, live: LiveTrack, expected: Expected) -> int:
    """Not heard for longer, a track is silent: what is known to sleep where it stands, and stands, is waited for."""
    if not expected.learns or not live.state.rests:
        return expected.silent_ns
    return max(expected.silent_ns, int(rests.waits_s(live, tracker.model(live)) * NS))


def _every(tracker: Tracker, live: LiveTrack, expected: Expected) -> tuple[float, str]:
    """How often a track's messages are expected, s, and in words."""
    if silent_ns(tracker, live, expected) > expected.silent_ns:
        learnt_s = rests.learnt_s(live.state.rests)
        return round(learnt_s, 3), f"{learnt_s:.0f} s where it stands"
    assert expected.interval_s is not None, "else its silence means nothing"
    return round(expected.interval_s, 3), f"{expected.interval_s:.3g} s"


def _may_be_silent(s: TrackState, expected: Expected) -> bool:
    """Whether not being heard says something: of a device that reports by itself, and of whatever is forgotten in the end."""
    return expected.interval_s is not None and s.reports


def _decide_broadcast(tracker: Tracker, live: LiveTrack, silent_s: float, book: Book) -> None:
    """What everybody may hear and is nobody's case: out of range it is lost, then forgotten, and no alert."""
    s, p = live.state, tracker.presets
    if s.klass == STATION:
        s.status = "confirmed"
    elif silent_s > p.broadcast_end_s:
        tracker.delete(live, book)
    else:
        s.status = "coasting" if silent_s > p.broadcast_lost_s / 4.0 else "confirmed"
        if silent_s > p.broadcast_lost_s:
            s.status = "silent"


def lapses_ns(s: TrackState, updated_ns: int | None, expected: Expected, p: Presets) -> tuple[int, ...]:
    """When time alone makes a track coasting, lost (``silent``) and no more: of what is nobody's, and whose silence nobody
    shall be told of.

    That follows from when it was heard and from nothing else, so its row says it: whoever reads the row knows what it is by
    then (``Track.lapsed``), and the fold looks at it when there is time (``turns.PATIENT_EACH``).  () of any other track.
    """
    heard_ns = s.contact_ns
    if s.broadcast:
        if s.klass == STATION or updated_ns is None:
            return ()
        lost_s = p.broadcast_lost_s
        return tuple([heard_ns + int(wait_s * NS) + 1 for wait_s in (lost_s / 4.0, lost_s, p.broadcast_end_s)])
    if not expected.ends or s.contacts >= REGULAR or updated_ns is None or p.alerts.false_per_shift is not None:
        return ()
    ends_ns = heard_ns + expected.ends_ns + 1
    lost_ns = heard_ns + expected.silent_ns + 1 if _may_be_silent(s, expected) else ends_ns
    return updated_ns + expected.coasts_ns + 1, lost_ns, ends_ns


def row_due_ns(s: TrackState, expected: Expected, p: Presets) -> int:
    """When the row of a track that waits is to be renewed: the later the longer it has waited.

    What is lost, and forgotten soon, keeps its row: it says at which time it was believed.  Of what everybody may hear, who
    are many, and of what was heard once, so that nothing is known of its way, a row is renewed when its age has doubled.
    """
    waited_ns = max(0, s.row_ns - s.contact_ns)
    if s.broadcast or expected.ends:
        if s.status == "silent" and s.klass != STATION:
            return s.contact_ns + int(p.broadcast_end_s * NS) + 1
        if s.broadcast or s.contacts < 2:
            return s.row_ns + max(int(p.sweep_s * NS), waited_ns)
    least_s = p.silent_row_s if s.status == "silent" else p.sweep_s
    return s.row_ns + max(int(least_s * NS), waited_ns // ROW_GROWS)


def due_ns(tracker: Tracker, live: LiveTrack, expected: Expected, now_ns: int) -> int:
    """The next time after now at which time alone changes the track's status or row."""
    s, p = live.state, tracker.presets
    updated_ns = live.updated_ns(tracker.model(live))
    if updated_ns is None:
        return now_ns + int(p.sweep_s * NS)
    due, heard_ns = row_due_ns(s, expected, p), s.contact_ns
    if s.broadcast:
        if s.klass != STATION:
            for wait_s in (p.broadcast_lost_s / 4.0, p.broadcast_lost_s, p.broadcast_end_s):
                at_ns = heard_ns + int(wait_s * NS) + 1
                if now_ns < at_ns < due:
                    due = at_ns
    else:
        at_ns = updated_ns + expected.coasts_ns + 1
        if now_ns < at_ns < due:
            due = at_ns
        at_ns = heard_ns + expected.silent_ns + 1
        if s.rests and at_ns <= now_ns:
            at_ns = heard_ns + silent_ns(tracker, live, expected) + 1
        if now_ns < at_ns < due and _may_be_silent(s, expected):
            due = at_ns
        at_ns = heard_ns + expected.ends_ns + 1
        if expected.ends and now_ns < at_ns < due:
            due = at_ns
    return due if due > now_ns else now_ns + 1


def _skipped_to(s: TrackState, to_ns: int) -> int:
    """The next turn of a track that says when it lapses: what only renews a row that is told anew by then is left out.

    Of what broadcasts no step of its trail tells that it coasts, so that the last lapse is all.
    """
    passed = [at_ns for at_ns in s.lapses_ns if s.due_ns < at_ns <= to_ns]
    if not passed or (not s.broadcast and s.due_ns in s.lapses_ns):
        return s.due_ns
    return max(passed) if s.broadcast else min(passed)


def wait(
    tracker: Tracker, live: LiveTrack, expected_of: Callable[[LiveTrack, int], Expected],
    attributes_of: Callable[[LiveTrack], dict[str, Value]], to_ns: int, book: Book,
) -> None:  # fmt: skip
    """Everything that time alone does to a track up to a time; its row is that of the last moment at which one was due.

    Args:
        expected_of: what is expected of a track at the book's time; attributes_of: the attributes of its row.
    """
    s = live.state
    while s.status != "deleted" and s.due_ns <= to_ns:
        if s.lapses_ns and not s.waiting:
            s.due_ns = _skipped_to(s, to_ns)
        book.now_ns = s.due_ns
        late = bool(s.waiting)
        tracker.catch_up(live, book)
        expected, before, lapsed = expected_of(live, book.now_ns), s.status, s.lapses_ns
        decide(tracker, live, expected, book)
        if lapsed or expected.ends or s.broadcast:
            s.lapses_ns = lapses_ns(s, live.updated_ns(tracker.model(live)), expected, tracker.presets)
        if late or s.status != before or s.lapses_ns != lapsed or book.now_ns >= row_due_ns(s, expected, tracker.presets):
            tracker.show(live, attributes_of, book)
        s.due_ns = due_ns(tracker, live, expected, book.now_ns)
