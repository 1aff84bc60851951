"""Batteries that run low: told once, with a gap between low and well, so that a cold night's level does not flap."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from birddog.model import Event, Value
from tracking.book import Book

#: Percent at and below which a battery is low, and from which it is well again.
LOW_PERCENT, WELL_PERCENT = 15.0, 25.0


class Batteries(msgspec.Struct):
    """Of one operation's devices: the event of each whose battery is low."""

    low: dict[str, Event] = {}

    def stated(
        self, device: str, level: Value, time_ns: int, operation: str, track_ids: tuple[str, ...], book: Book
    ) -> None:  # fmt: skip
        """The newest level of a device, in percent; anything but a number from 0 to 100 says nothing."""
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0.0 <= level <= 100.0:
            return
        going = self.low.get(device)
        if going is not None and level >= WELL_PERCENT:
            del self.low[device]
            book.end(going, time_ns)
        elif going is None and level <= LOW_PERCENT:
            self.low[device] = book.event(
                "low_battery", operation, time_ns, device=device, track_ids=track_ids, text=f"battery at {level:.3g} %"
            )

    def quiet(self, device: str, level: Value) -> bool:
        """Whether nothing is to be told of a level: it was low and is not well, or was not and is not low."""
        if level is None:
            return True
        if not isinstance(level, int | float):
            return False
        return level < WELL_PERCENT if device in self.low else level > LOW_PERCENT

    def forget(self, devices: Iterable[str], book: Book) -> None:
        """Their track has ended."""
        for device in devices:
            going = self.low.pop(device, None)
            if going is not None:
                book.end(going, book.now_ns)
