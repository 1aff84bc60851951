"""Devices that were attached and not heard since: the first report after a placement is the test of the placement.

Told after the time in which any other silence would be (``silent_factor`` x interval), counted from the attachment, or from
where the journal's time stood when it was entered.  A passive tag is only read where a reader stands, so nothing is expected.
"""

from __future__ import annotations

import msgspec

from birddog.model import Attachment, Device, Event
from birddog.units import NS
from tracking.book import Book
from tracking.presets import interval_of

_NEVER = 2**63 - 1
#: A device that does not report by itself (GS1 tag URI).
_PASSIVE = "urn:epc:"


class Waiting(msgspec.Struct):
    """Of one device: what it was attached to, since when it is waited for, how often it should report, and what was told."""

    shipment: str
    since_ns: int
    interval_s: float
    event: Event | None = None


class Awaited(msgspec.Struct):
    """Who is waited for in one operation; ``due_ns`` is the earliest time at which one is to be told of."""

    of: dict[str, Waiting] = {}
    due_ns: int = _NEVER

    def attached(self, attachment: Attachment, device: Device | None, now_ns: int, factor: float, book: Book) -> None:
        """A device was attached, or is attached no longer."""
        old = self.of.get(attachment.device)
        if attachment.to_ns is not None or attachment.device.startswith(_PASSIVE):
            self.over(attachment.device, book)
            return
        known = device or Device(device="")
        self.of[attachment.device] = Waiting(
            attachment.shipment, max(attachment.from_ns, now_ns), interval_of(known), None if old is None else old.event
        )
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

    def wait(self, to_ns: int, factor: float, operation: str, track_ids_of, book: Book) -> None:
        """What is due is told, each in its time.

        Args:
            track_ids_of: the tracks of a shipment, of its key.
        """
        for device, waiting in self.of.items():
            at_ns = waiting.since_ns + int(factor * waiting.interval_s * NS)
            if waiting.event is None and at_ns <= to_ns:
                text = (
                    f"{waiting.shipment}: {device} was never heard, attached {factor * waiting.interval_s:.0f} s ago, "
                    f"expected every {waiting.interval_s:.3g} s"
                )
                tracks = track_ids_of("s:" + waiting.shipment)
                waiting.event = book.event("never_heard", operation, at_ns, device=device, track_ids=tracks, text=text)
        self._due(factor)

    def _due(self, factor: float) -> None:
        waits = (w.since_ns + int(factor * w.interval_s * NS) for w in self.of.values() if w.event is None)
        self.due_ns = min([_NEVER, *waits])
