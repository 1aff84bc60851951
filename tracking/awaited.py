"""Devices that were attached and not heard since: the first report after a placement is the test of the placement.

Told after the time in which any other silence would be (``silent_factor`` x interval), counted from the attachment, or from
where the journal's time stood when it was entered; where the first entry after it comes later than that, nobody listened,
and it is counted from there.  One whose messages come in and are refused for want of a warrant is heard: that is told instead
(``not_admitted``); so is one whose clock the door refuses (``clock``), and of one that dates all that it says before it was
attached it is said that it is heard.  A passive tag is only read where a reader stands, so
nothing is expected.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.model import Attachment, Device, Event
from birddog.units import NS, iso_from_ns
from tracking.book import Book
from tracking.presets import interval_of

_NEVER = 2**63 - 1
#: A device that does not report by itself (GS1 tag URI).
_PASSIVE = "urn:epc:"


class Waiting(msgspec.Struct):
    """Of one device: what it was attached to, since when it is waited for, how often it should report, and what was told.

    ``until_ns``: when its attachment ends, where that was said beforehand.  ``fresh``: nothing has said yet what time it is
    since it was attached (a new journal, one whose run is down).  ``refused``: why nothing of what it says is kept; ``clock``:
    that is its clock; ``before_s``: so old was what it said last when that came in, dated before it was attached.
    """

    shipment: str
    since_ns: int
    interval_s: float
    event: Event | None = None
    until_ns: int | None = None
    fresh: bool = True
    refused: str = ""
    clock: bool = False
    before_s: float = 0.0


class Awaited(msgspec.Struct):
    """Who is waited for in one operation; ``due_ns`` is the earliest time at which one is to be told of."""

    of: dict[str, Waiting] = {}
    due_ns: int = _NEVER

    def attached(
        self, attachment: Attachment, device: Device | None, now_ns: int, factor: float, book: Book, *, heard: bool = False
    ) -> None:  # fmt: skip
        """A device was attached, or is attached no longer, or until when it is was said.

        Args:
            heard: its shipment's track has heard it already.
        """
        old, until_ns = self.of.get(attachment.device), attachment.to_ns
        if attachment.device.startswith(_PASSIVE) or (until_ns is not None and until_ns <= max(attachment.from_ns, now_ns)):
            self.over(attachment.device, book)
            return
        if heard:
            return
        same = old is not None and old.shipment == attachment.shipment
        since_ns = max(attachment.from_ns, old.since_ns if old is not None and same else now_ns)
        fresh = not same or old is None or old.fresh
        interval_s, told = interval_of(device or Device(device="")), None if old is None else old.event
        self.of[attachment.device] = Waiting(attachment.shipment, since_ns, interval_s, told, until_ns, fresh)
        self._due(factor)

    def enrolled(self, device: Device, factor: float, book: Book) -> None:
        """A device that is waited for was enrolled in other words: how often it reports, or that it is retired."""
        if device.retired:
            self.over(device.device, book)
        else:
            self.of[device.device].interval_s = interval_of(device)
            self._due(factor)

    def over(self, device: str, book: Book) -> None:
        """It was heard, or nobody waits for it any more."""
        waiting = self.of.pop(device, None)
        if waiting is not None and waiting.event is not None:
            book.end(waiting.event, book.now_ns)

    def refused(
        self, device: str, why: str, operation: str, track_ids_of: Callable[[str], tuple[str, ...]], book: Book
    ) -> None:  # fmt: skip
        """A message of it was refused for want of a warrant in force."""
        waiting = self.of.get(device)
        if waiting is None or waiting.refused == why:
            return
        waiting.refused, waiting.clock = why, False
        if waiting.event is not None:
            book.end(waiting.event, book.now_ns)
            waiting.event = _told(device, waiting, book.now_ns, operation, track_ids_of, book)

    def mistimed(
        self, device: str, why: str, operation: str, track_ids_of: Callable[[str], tuple[str, ...]], book: Book
    ) -> None:  # fmt: skip
        """A message of it was refused for its clock alone, with its position: it is heard, and that is told at once."""
        waiting = self.of.get(device)
        if waiting is None or (waiting.clock and waiting.event is not None):
            return
        waiting.refused, waiting.clock = f"its clock: {why}", True
        if waiting.event is not None:
            book.end(waiting.event, book.now_ns)
        waiting.event = _told(device, waiting, book.now_ns, operation, track_ids_of, book)

    def before(
        self, device: str, time_ns: int, operation: str, track_ids_of: Callable[[str], tuple[str, ...]], book: Book
    ) -> None:  # fmt: skip
        """What it says is dated before it was attached: it was kept, or its clock is behind."""
        waiting = self.of.get(device)
        if waiting is None or time_ns >= waiting.since_ns:
            return
        new, waiting.before_s = not waiting.before_s, (book.now_ns - time_ns) / NS
        if new and waiting.event is not None and not waiting.refused:
            book.end(waiting.event, book.now_ns)
            waiting.event = _told(device, waiting, book.now_ns, operation, track_ids_of, book)

    def wait(self, to_ns: int, factor: float, operation: str, track_ids_of: Callable[[str], tuple[str, ...]], book: Book
    ) -> None:
        """What is due is told, each in its time.

        Args:
            track_ids_of: the tracks of a shipment, of its key.
        """
        for device, waiting in list(self.of.items()):
            if waiting.fresh and waiting.since_ns + int(factor * waiting.interval_s * NS) <= to_ns:
                waiting.since_ns = to_ns  # so much time in one step: until now nobody listened
            waiting.fresh = False
            at_ns, until_ns = waiting.since_ns + int(factor * waiting.interval_s * NS), waiting.until_ns
            if waiting.event is None and at_ns <= to_ns and (until_ns is None or at_ns < until_ns):
                waiting.event = _told(device, waiting, at_ns, operation, track_ids_of, book)
            if until_ns is not None and until_ns <= to_ns:
                del self.of[device]
                if waiting.event is not None:
                    book.end(waiting.event, until_ns)
        self._due(factor)

    def _due(self, factor: float) -> None:
        waits = (0 if w.fresh else w.since_ns + int(factor * w.interval_s * NS) for w in self.of.values() if w.event is None)
        ends = (w.until_ns for w in self.of.values() if w.until_ns is not None)
        self.due_ns = min([_NEVER, *waits, *ends])


def _told(
    device: str, waiting: Waiting, at_ns: int, operation: str, track_ids_of: Callable[[str], tuple[str, ...]], book: Book
) -> Event:  # fmt: skip
    """What is told of a device that is waited for: that it was never heard, or that it is and nothing of it is kept."""
    since = iso_from_ns(waiting.since_ns // NS * NS)  # no age: the words stay as they are for as long as nothing is heard
    said = f"waited for since {since}, expected every {waiting.interval_s:.3g} s"
    kind, text = "never_heard", f"{waiting.shipment}: {device} was never heard, {said}"
    if waiting.before_s:
        said = f"dates what it says before it was attached, {waiting.before_s:.0f} s ago"
        text = f"{waiting.shipment}: {device} is heard, but {said}"
    if waiting.refused:
        kind = "not_admitted"
        text = f"{waiting.shipment}: {device} is heard and refused ({waiting.refused}): nothing of what it says is kept"
    if waiting.clock:
        kind = "clock"
    tracks = track_ids_of("s:" + waiting.shipment)
    return book.event(kind, operation, at_ns, device=device, track_ids=tracks, text=text)
