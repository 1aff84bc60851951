"""Doors that open and alarms that call, as one operation hears them: one event for as long as it is one thing."""

from __future__ import annotations

import msgspec

from birddog.model import Alarm, Event, Placement, Reading
from birddog.units import NS
from tracking.book import Book

#: Alarms that have a kind of event of their own; every other is an event ``alarm``.
ALARM_EVENTS = {"door_open": "door_opened", "tamper": "tamper"}


class Knock(msgspec.Struct, frozen=True):
    """A door's last opening: its event, when it was, when the door was last heard, and how often it opened since."""

    event: Event
    opened_ns: int
    heard_ns: int
    count: int


class Doors(msgspec.Struct):
    """Doors and alarms.

    Args:
        standing: the last opening of each door that stands open.
        knocks: that of each door that was shut again, in the order in which they were.
        alarms: when a device's alarm was last heard, by ``device/alarm``, in that order.
    """

    standing: dict[str, Knock] = {}
    knocks: dict[str, Knock] = {}
    alarms: dict[str, int] = {}

    def door(
        self, door: Reading, on: bool, time_ns: int, place: Placement | None, operation: str, tracks: tuple[str, ...],
        window_s: float, book: Book,
    ) -> None:  # fmt: skip
        """One event from the door's opening to its closing; one that bounces goes on under the same id, with a count."""
        going = self.standing.get(door.device)
        if going is not None and not on:
            book.end(going.event, time_ns)
            del self.standing[door.device]
            self.knocks[door.device] = msgspec.structs.replace(going, heard_ns=book.now_ns)
        if going is not None or not on:
            return
        last = self.knocks.pop(door.device, None)
        if last is not None and 0 <= time_ns - last.opened_ns < int(window_s * NS):
            count = last.count + 1
            event = book.again(last.event, f"door opened, {count} times so far")
        else:
            count = 1
            event = book.event(
                "door_opened", operation, time_ns, device=door.device, text="door opened", track_ids=tracks,
                lat_deg=None if place is None else place.lat_deg, lon_deg=None if place is None else place.lon_deg,
                time_source="server" if door.time_ns is None else door.time_source,
            )  # fmt: skip
        self.standing[door.device] = Knock(event, time_ns, book.now_ns, count)

    def alarm(
        self, alarm: Alarm, time_ns: int, place: Placement | None, operation: str, tracks: tuple[str, ...], window_s: float,
        book: Book,
    ) -> None:  # fmt: skip
        """One event, unless the same alarm of the same device was heard a short time ago."""
        name = f"{alarm.device}/{alarm.alarm}"
        heard = self.alarms.pop(name, None)
        self.alarms[name] = book.now_ns
        if heard is not None and book.now_ns - heard < int(window_s * NS):
            return
        book.event(
            ALARM_EVENTS.get(alarm.alarm, "alarm"), operation, time_ns, device=alarm.device,
            text=f"{alarm.alarm}: {alarm.text}" if alarm.text else alarm.alarm, track_ids=tracks,
            lat_deg=None if place is None else place.lat_deg, lon_deg=None if place is None else place.lon_deg,
            time_source="server" if alarm.time_ns is None else alarm.time_source, about=alarm.alarm,
        )  # fmt: skip

    def closed(self, book: Book) -> None:
        """Nobody waits for these doors any more."""
        for knock in self.standing.values():
            book.end(knock.event, book.now_ns)
        self.standing.clear()

    def set_back(self, now_ns: int) -> None:
        """Nothing was heard later than it is now."""
        self.alarms = {name: min(heard_ns, now_ns) for name, heard_ns in self.alarms.items()}
        self.knocks = {
            name: msgspec.structs.replace(knock, heard_ns=min(knock.heard_ns, now_ns)) for name, knock in self.knocks.items()
        }

    def prune(self, before_ns: int) -> None:
        """What was last heard before a time is as good as never heard; costs nothing where there is nothing."""
        while self.alarms and self.alarms[name := next(iter(self.alarms))] < before_ns:
            del self.alarms[name]
        while self.knocks and self.knocks[name := next(iter(self.knocks))].heard_ns < before_ns:
            del self.knocks[name]
