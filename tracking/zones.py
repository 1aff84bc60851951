"""Areas and corridors that a case watches: a shipment arrived, left, or was inside already when the watching began.

Decided on the track's own estimate at a fix, never on what it is only thought to do in silence: with d the distance to the
edge (positive inside) and sigma the track's standard deviation towards it, a fix says *inside* from d = 1.645 sigma (95 %
on one side), *outside* from -1.645, and nothing between: so that one who stands beside the edge with a receiver's noise
neither arrives nor leaves (hysteresis), and a wide ellipse decides nothing.  What a fix says holds once every fix has said it
for the zone's dwell time.  A receiver's errors last for minutes, so that a crate beside a fence is on either side of it by
1.645 sigma ten times a shift: the way back needs 3 sigma, unless a fix has seen it beyond doubt (4.645) on its side since.
The first state is told as ``inside`` where it is inside (ATAK-CIV 200: an alert for what was there already is no arrival), and
not at all where it is outside.

What comes late (a store of an hour without network, newest first or shuffled) is decided as if it had come in time, as far as
the track's ring of measurements reaches back: from the last change before it on everything is decided again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import msgspec

from birddog.model import Event, Track, Zone
from tracking.book import Book
from tracking.budget import Allowed
from tracking.depth import depth_m

#: Standard deviations beyond an edge from which a side is believed: 95 % on one side of a normal distribution.
SURE = 1.645
#: So many from which one is believed to be back on the other side that was not beyond doubt (SURE and this) on this one.
BACK = 3.0
#: So many changes of what is held of a track are kept, and so many events of each of its zones, for what comes late.
_MARKS_MOST, _TOLD_MOST = 64, 16
#: Before anything was measured.
_EVER_NS = -(2**62)


class Presence(msgspec.Struct, frozen=True):
    """What is held of one track and one zone.

    Args:
        inside: None = not decided yet.
        turning: the other state, as fixes have it since ``since_ns``; None = nothing contradicts.
        since_ns: the first fix that said so.
        clear: a fix has seen it beyond doubt on the side where it is held to be.
    """

    inside: bool | None = None
    turning: bool | None = None
    since_ns: int = 0
    clear: bool = False


def seen(
    zone: Zone, held: Presence, time_ns: int, *, lat_deg: float, lon_deg: float, p_ee: float, p_en: float, p_nn: float,
    sure: float = SURE,
) -> tuple[Presence, str]:
    """What is held after a fix, and what is to be told: ``arrived``, ``left``, ``inside`` or nothing ("").

    Args:
        held: of this track and zone until now.
        time_ns: of the fix.
        p_ee, p_en, p_nn: covariance of the track's position, m².
        sure: standard deviations beyond the edge from which a side is believed.
    """
    depth, e, n = depth_m(zone, lat_deg=lat_deg, lon_deg=lon_deg)
    sigma = math.sqrt(max(e * e * p_ee + 2.0 * e * n * p_en + n * n * p_nn, 0.0))
    deep = abs(depth) / sigma if sigma > 0.0 else math.inf
    says = (depth > 0.0) if deep >= sure else None
    if says is not None and held.inside is (not says) and not held.clear and deep < BACK:
        says = None
    clear = held.clear or (says == held.inside and deep >= sure + BACK)
    if says is None or says == held.inside:  # on the edge it is not said any more that it is on the other side
        return (held if held.turning is None and clear == held.clear else Presence(held.inside, clear=clear)), ""
    if held.inside is None and not says:
        return Presence(False, clear=deep >= sure + BACK), ""
    if held.turning != says:
        held = Presence(held.inside, says, time_ns, held.clear)
    if time_ns - held.since_ns < int(zone.dwell_s * 1e9):
        return held, ""
    told = ("arrived" if says else "left") if held.inside is not None else ("inside" if says else "")
    return Presence(says, clear=deep >= sure + BACK), told


class Visit(msgspec.Struct, frozen=True):
    """Of one track and one zone: what is held, and the event that goes on (inside, since it arrived; gone, since it left)."""

    held: Presence
    event: Event | None = None


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What was held of a track's zones after the fix of a time, up to the next mark."""

    time_ns: int
    held: dict[str, Presence]


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Where a track was, by a fix, as it is believed by now."""

    time_ns: int
    lat_deg: float
    lon_deg: float
    p_ee: float
    p_en: float
    p_nn: float


class Visits(msgspec.Struct):
    """Who is in which zone of one operation.

    Args:
        of: track id -> zone name -> visit.
        zones: as they were when the visits were decided; another one of the same name is decided anew.
        marks: track id -> when what is held of it changed, the oldest first: from there late fixes have it decided again.
        told: track id -> zone name -> what was told of it, as it was told last, the oldest first.
        late: track id -> the time of the earliest late fix since its visits were decided, and when they are to be again.
    """

    of: dict[str, dict[str, Visit]] = {}
    zones: tuple[Zone, ...] = ()
    marks: dict[str, list[Mark]] = {}
    told: dict[str, dict[str, list[Event]]] = {}
    late: dict[str, tuple[int, int]] = {}

    def watched(self, zones: tuple[Zone, ...], book: Book) -> None:
        """These zones are watched from now on."""
        gone = {zone.name for zone in self.zones} - {zone.name for zone in zones if zone in self.zones}
        self.zones = zones
        for visits in self.of.values():
            for name in sorted(gone & set(visits)):
                self._over(visits.pop(name), book.now_ns, book)
        self.marks, self.told, self.late = {}, {}, {}

    def seen(self, track: Track, time_ns: int, allowed: Allowed | None, book: Book) -> None:
        """A track was measured; ``track`` is its row at that time, ``allowed`` what the alert budget allows."""
        visits = self.of.setdefault(track.track_id, {})
        marks = self.marks.get(track.track_id)
        if marks is None:
            first_ns = time_ns - 1 if visits else _EVER_NS
            marks = self.marks[track.track_id] = [Mark(first_ns, {name: visit.held for name, visit in visits.items()})]
        here = Step(time_ns, track.lat_deg, track.lon_deg, track.p_ee, track.p_en, track.p_nn)
        changed = False
        for zone in self.zones:
            visit = visits.get(zone.name) or Visit(Presence())
            held, word = self._says(zone, visit.held, here, allowed)
            if word:
                self._over(visit, time_ns, book)
                event = _event(word, zone, track.operation, track.track_id, here, book)
                visits[zone.name] = Visit(held, event)
                told = self.told.setdefault(track.track_id, {}).setdefault(zone.name, [])
                if told:
                    told[-1] = msgspec.structs.replace(told[-1], end_ns=max(time_ns, told[-1].start_ns))
                told.append(event)
                del told[:-_TOLD_MOST]
            elif held is not visit.held:
                visits[zone.name] = Visit(held, visit.event)
            changed = changed or held is not visit.held
        if changed:
            self._mark(track.track_id, time_ns, {name: visit.held for name, visit in visits.items()})

    def came_late(self, track_id: str, time_ns: int, due_ns: int) -> None:
        """A fix of a track came in after newer ones: what follows from all that do so until ``due_ns`` is decided once."""
        first_ns, due_ns = self.late.get(track_id, (time_ns, due_ns))
        self.late[track_id] = min(time_ns, first_ns), due_ns

    def since_ns(self, track_id: str) -> int | None:
        """From when on a track's visits are to be decided again for what came late: what was held then stands.  None: they are
        not, or it is too long ago.
        """
        late, marks = self.late.get(track_id), self.marks.get(track_id, [])
        return None if late is None else max((mark.time_ns for mark in marks if mark.time_ns < late[0]), default=None)

    def again(self, track_id: str, operation: str, steps: Iterable[Step], allowed: Allowed | None, book: Book) -> None:
        """Decide a track's visits again, with what came late in its place (``since_ns``): what was told of another time is told
        anew, what was not told is, and what was none is taken back.

        Args:
            steps: all that followed, in order.
        """
        since_ns = self.since_ns(track_id)
        del self.late[track_id]
        if since_ns is None:
            return
        marks, visits = self.marks[track_id], self.of.setdefault(track_id, {})
        marks[:] = [mark for mark in marks if mark.time_ns <= since_ns]
        held = dict(marks[-1].held)
        found: dict[str, list[tuple[str, Step]]] = {}
        for step in steps:
            before = dict(held)
            for zone in self.zones:
                held[zone.name], word = self._says(zone, held.get(zone.name, Presence()), step, allowed)
                if word:
                    found.setdefault(zone.name, []).append((word, step))
            if any(held[name] is not before.get(name) for name in held):
                self._mark(track_id, step.time_ns, dict(held))
        for zone in self.zones:
            told = self.told.get(track_id, {}).get(zone.name, [])
            if found.get(zone.name) or any(event.start_ns > since_ns for event in told):
                told = _told_anew(zone, operation, track_id, since_ns, told, found.get(zone.name, []), book)
                self.told.setdefault(track_id, {})[zone.name] = told[-_TOLD_MOST:]
            if zone.name in held:
                visits[zone.name] = Visit(held[zone.name], told[-1] if told else None)

    def forget(self, track_id: str, book: Book) -> None:
        """A track has ended."""
        for of in (self.marks, self.told, self.late):
            of.pop(track_id, None)
        for visit in self.of.pop(track_id, {}).values():
            self._over(visit, book.now_ns, book)

    def _says(self, zone: Zone, held: Presence, step: Step, allowed: Allowed | None) -> tuple[Presence, str]:
        return seen(
            zone, held, step.time_ns, lat_deg=step.lat_deg, lon_deg=step.lon_deg, p_ee=step.p_ee, p_en=step.p_en,
            p_nn=step.p_nn, sure=SURE if allowed is None else allowed.edge_sigmas(len(self.zones), zone.dwell_s),
        )  # fmt: skip

    def _mark(self, track_id: str, time_ns: int, held: dict[str, Presence]) -> None:
        marks = self.marks[track_id]
        if marks[-1].time_ns == time_ns:
            marks.pop()
        marks.append(Mark(time_ns, held))
        del marks[:-_MARKS_MOST]

    @staticmethod
    def _over(visit: Visit, time_ns: int, book: Book) -> None:
        if visit.event is not None:
            book.end(visit.event, time_ns)


def _event(word: str, zone: Zone, operation: str, track_id: str, step: Step, book: Book) -> Event:
    text = f"{word} {zone.name}" if word != "inside" else f"inside {zone.name} already when it was first looked at"
    return book.event(
        word, operation, step.time_ns, track_ids=(track_id,), lat_deg=step.lat_deg, lon_deg=step.lon_deg, text=text
    )


def _told_anew(
    zone: Zone, operation: str, track_id: str, since_ns: int, told: list[Event], found: list[tuple[str, Step]], book: Book
) -> list[Event]:
    """What is told of a track and a zone, after it was decided again from a time on; each that is not as it was is told.

    Args:
        told: as it was told until now; found: (word, where) of all that follows.
    """
    now, waiting = [event for event in told if event.start_ns <= since_ns], [e for e in told if e.start_ns > since_ns]
    for word, step in found:
        nth = next((i for i, event in enumerate(waiting) if event.kind == word), None)
        if nth is None:
            now.append(_event(word, zone, operation, track_id, step, book))
            continue
        old = waiting[nth]
        for event in waiting[:nth]:
            _taken_back(event, book)
        del waiting[: nth + 1]
        now.append(msgspec.structs.replace(old, start_ns=step.time_ns, lat_deg=step.lat_deg, lon_deg=step.lon_deg))
    for event in waiting:
        _taken_back(event, book)
    ends: list[int | None] = [max(b.start_ns, a.start_ns) for a, b in itertools.pairwise(now)]
    now = [msgspec.structs.replace(event, end_ns=end_ns) for event, end_ns in zip(now, [*ends, None], strict=True)]
    known = {event.event_id: event for event in (*told, *book.events)}
    book.events += [event for event in now if event != known.get(event.event_id)]
    return now


def _taken_back(event: Event, book: Book) -> None:
    text = f"{event.text}: fixes that came late say that it was not so"
    book.events.append(msgspec.structs.replace(event, end_ns=event.start_ns, text=text, withdrawn=True))
