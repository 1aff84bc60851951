"""What one entry changes, collected while it is folded: tracks, points and events in a fixed order."""

from __future__ import annotations

import msgspec

from birddog.model import Event, TimeSource, Track, TrackPoint


class Changes(msgspec.Struct):
    """What one entry changed.

    Args:
        tracks: the newest row of each track that the entry touched, in the order of first touch.
        points: steps of their histories, in order.
        events: begun (an alarm stays so: only a person's acknowledgement ends it), momentary (``end_ns`` =
            ``start_ns``) and ended ones; an ended event comes again whole, under the id that it had.
    """

    tracks: list[Track] = []
    points: list[TrackPoint] = []
    events: list[Event] = []


class Book:
    """Collects the changes of the entry ``seq``; ``now_ns`` is the fold's time at it."""

    __slots__ = ("_rows", "_told", "events", "now_ns", "points", "seq")

    def __init__(self, seq: int, now_ns: int):
        self.seq, self.now_ns = seq, now_ns
        self._rows: dict[str, Track] = {}
        self.points: list[TrackPoint] = []
        self.events: list[Event] = []
        self._told = 0

    def row(self, track: Track) -> None:
        """The newest row of a track replaces an earlier one of the same entry."""
        self._rows[track.track_id] = track

    def event(
        self, kind: str, operation: str, start_ns: int, *, end_ns: int | None = None, track_ids: tuple[str, ...] = (),
        device: str = "", lat_deg: float | None = None, lon_deg: float | None = None, text: str = "",
        time_source: TimeSource = "device",
    ) -> Event:  # fmt: skip
        """Begin (or with end_ns tell of a past) event; its id follows from the entry's number."""
        self._told += 1
        event = Event(
            event_id=f"E{self.seq}" if self._told == 1 else f"E{self.seq}-{self._told}",
            kind=kind, operation=operation, seq=self.seq, start_ns=start_ns, end_ns=end_ns, track_ids=track_ids,
            device=device, lat_deg=lat_deg, lon_deg=lon_deg, text=text, time_source=time_source,
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
        return Changes(tracks=list(self._rows.values()), points=self.points, events=self.events)
