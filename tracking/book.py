"""What one entry changes, collected while it is folded: tracks, points and events in a fixed order, and their ids.

An id follows from the number of the entry, and from nothing that another operation does.  ``T12`` is the track that entry
12 began, ``T12.2`` that of its second fix or read, and what looks begin is numbered on behind those.  A case has its own view
of what is public (a vessel, a contact): there the number of the entry that named the case first comes behind, ``T12-5``.
An event's id is made in the same way, ``E17``, ``E17.2``; outside ``open`` always with the case's number: ``E17-5``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.directory import OPEN
from birddog.model import Event, TimeSource, Track, TrackPoint, Value


class TakenFix(msgspec.Struct, frozen=True, gc=False):
    """A fix that an operation took for one of its tracks, as the device said it; no position: an operator took it out."""

    operation: str
    track_id: str
    time_ns: int
    lat_deg: float | None = None
    lon_deg: float | None = None


class Changes(msgspec.Struct, gc=False):
    """What one entry changed.

    Args:
        tracks: the newest row of each track that the entry touched, in the order of first touch; behind them the rows of
            tracks that wait.
        points: steps of their histories, in order.
        events: begun (an alarm stays so: only a person's acknowledgement ends it), momentary (``end_ns`` =
            ``start_ns``) and ended ones; an ended event comes again whole, under the id that it had.
        ended: the ids of tracks that are no more.
        fixes: what was taken in or out, in order; those of what stands for ever (a buoy) are none.
    """

    tracks: list[Track] = []
    points: list[TrackPoint] = []
    events: list[Event] = []
    ended: list[str] = []
    fixes: list[TakenFix] = []


#: What of most books stays empty, never written.
_NONE: dict[str, int] = {}
_NOBODY: dict[str, Callable[[], Track]] = {}


class Book:
    """Collects the changes of the entry ``seq``; ``now_ns`` is the fold's time at it.

    Args:
        numbers: of each case the number of the entry that named it first.
    """

    __slots__ = (
        "_begun", "_numbers", "_rows", "_told", "_waits", "deaf", "ended", "events", "fixes", "now_ns", "part", "parts",
        "points", "seq",
    )  # fmt: skip

    def __init__(self, seq: int, now_ns: int, numbers: dict[str, int] | None = None):
        self.seq, self.now_ns = seq, now_ns
        #: Which of the entry's ``parts`` fixes and reads is being folded, from 1.
        self.part, self.parts = 1, 0
        #: What everybody could hear at this time was erased: who reported and who did not nobody can say any more.
        self.deaf = False
        self._numbers = {} if numbers is None else numbers
        self._rows: dict[str, Callable[[], Track]] = {}
        self._waits = _NOBODY
        self.points: list[TrackPoint] = []
        self.events: list[Event] = []
        self.ended: list[str] = []
        self.fixes: list[TakenFix] = []
        self._told = _NONE
        self._begun = _NONE

    def track_id(self, view: str = OPEN) -> str:
        """The id of the track that the present fix or read begins.

        Args:
            view: the case whose view of a public thing it is.
        """
        return self._id("T", self.part, view)

    def contact_id(self, operation: str) -> str:
        """The id of the next track that a look of this entry begins in an operation."""
        if self._begun is _NONE:
            self._begun = {}
        nth = self._begun[operation] = self._begun.get(operation, 0) + 1
        return self._id("T", self.parts + nth, operation)

    def _id(self, letter: str, nth: int, operation: str) -> str:
        which = f"{letter}{self.seq}" if nth == 1 else f"{letter}{self.seq}.{nth}"
        return which if operation == OPEN else f"{which}-{self._numbers.get(operation, 0)}"

    def row(self, track_id: str, make: Callable[[], Track]) -> None:
        """A track's row is due; it is made when the entry is folded, once, by the last of ``make``."""
        self._rows[track_id] = make

    def waited(self) -> None:
        """What was told so far is what time did up to the entry; what the entry itself says comes from now on."""
        if self._rows:
            self._waits, self._rows = self._rows, {}

    def event(
        self, kind: str, operation: str, start_ns: int, *, end_ns: int | None = None, track_ids: tuple[str, ...] = (),
        device: str = "", lat_deg: float | None = None, lon_deg: float | None = None, text: str = "",
        time_source: TimeSource = "device", flag_id: str = "", about: str = "", measures: dict[str, Value] | None = None,
    ) -> Event:  # fmt: skip
        """Begin (or with end_ns tell of a past) event."""
        if self._told is _NONE:
            self._told = {}
        nth = self._told[operation] = self._told.get(operation, 0) + 1
        event = Event(
            event_id=self._id("E", nth, operation),
            kind=kind, operation=operation, seq=self.seq, start_ns=start_ns, end_ns=end_ns, track_ids=track_ids,
            device=device, lat_deg=lat_deg, lon_deg=lon_deg, text=text, time_source=time_source, flag_id=flag_id, about=about,
            measures={} if measures is None else measures,
        )  # fmt: skip
        self.events.append(event)
        return event

    def again(self, event: Event, text: str) -> Event:
        """Tell that an event that was over goes on."""
        event = msgspec.structs.replace(event, end_ns=None, text=text)
        self.events.append(event)
        return event

    def end(self, event: Event, end_ns: int) -> None:
        """Tell that an event is over."""
        self.events.append(msgspec.structs.replace(event, end_ns=max(end_ns, event.start_ns)))

    def changes(self) -> Changes:
        """Everything collected."""
        tracks = [make() for make in self._rows.values()]
        if self._waits:
            tracks += [make() for name, make in self._waits.items() if name not in self._rows]
        return Changes(tracks, self.points, self.events, self.ended, self.fixes)
