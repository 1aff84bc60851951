"""Devices whose clock is ahead or behind, as one operation hears them: told once, and what is believed of their times.

``lag`` tells a clock that is behind from a message that was kept; here stand the events.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from birddog.model import Event, Fix
from birddog.units import NS
from tracking.book import Book
from tracking.lag import BEHIND_NS, SAME_NS, STEADY, Lag
from tracking.lag import heard as lag_heard


class Ahead(msgspec.Struct, frozen=True, array_like=True):
    """A clock that is ahead: the event that goes on, and when it was last heard.

    Args:
        run: messages in a row that were steadily ahead; most_ns: by how much at most, which is how far it is ahead, for none
            comes in before it was sent; time_ns: the newest time of them.
    """

    event: Event
    heard_ns: int
    run: int = 0
    most_ns: int = 0
    time_ns: int = 0

    def after(self, time_ns: int, now_ns: int) -> Ahead:
        """What is known after one more message."""
        by, on = time_ns - now_ns, time_ns - self.time_ns
        if on == 0:
            return msgspec.structs.replace(self, heard_ns=now_ns)
        steady = self.run > 0 and on > 0 and abs(by - self.most_ns) <= max(SAME_NS, on // 2)
        run, most = (min(self.run + 1, 255), max(self.most_ns, by)) if steady else (1, by)
        return Ahead(self.event, now_ns, run, most, time_ns)


class Clocks(msgspec.Struct):
    """What is known of devices' clocks; of those that are ahead in the order in which they were last heard."""

    ahead: dict[str, Ahead] = {}
    lags: dict[str, Lag] = {}

    def is_ahead(
        self, device: str, operation: str, time_ns: int | None, tracks: tuple[str, ...], ahead_s: float, book: Book
    ) -> bool:
        """Whether a device's time is too far ahead to be believed; one event for as long as it is.

        Args:
            time_ns: as the device says it; None: it says none, and so nothing of its clock.
            tracks: whose track the event is told of.
        """
        if time_ns is None:
            return False
        if time_ns <= book.now_ns + int(ahead_s * NS):
            going = self.ahead.pop(device, None)
            if going is not None:
                book.end(going.event, book.now_ns)
            return False
        text = f"its clock is {(time_ns - book.now_ns) / NS:.0f} s ahead: its positions are not used"
        self._told(device, operation, text, tracks, book)
        self.ahead[device] = self.ahead[device].after(time_ns, book.now_ns)
        return True

    def taken_back(self, fix: Fix) -> Fix | None:
        """A fix of a clock that is ahead, at the time without that, where it is so steadily; None: it is not, or not yet."""
        one = self.ahead.get(fix.device)
        if one is None or one.run < STEADY or fix.time_ns is None:
            return None
        return msgspec.structs.replace(fix, time_ns=fix.time_ns - one.most_ns)

    def told_taken_back(self, device: str, track_id: str, book: Book) -> None:
        """Such a fix goes into a track: it is said once."""
        one = self.ahead.get(device)
        if one is not None and "steadily" not in one.event.text:
            text = f"its clock is {one.most_ns / NS:.0f} s ahead, steadily: its fixes are taken at the time without it"
            event = book.again(msgspec.structs.replace(one.event, track_ids=(track_id,)), text)
            self.ahead[device] = msgspec.structs.replace(one, event=event)

    def refused(self, device: str, operation: str, detail: str, tracks: tuple[str, ...], book: Book) -> None:
        """The door refused a message for its time."""
        self._told(device, operation, f"its clock: {detail}; its messages are not used", tracks, book)

    def _told(self, device: str, operation: str, text: str, tracks: tuple[str, ...], book: Book) -> None:
        going = self.ahead.pop(device, None)
        if going is not None:
            self.ahead[device] = msgspec.structs.replace(going, heard_ns=book.now_ns)
        else:
            event = book.event("clock", operation, book.now_ns, device=device, track_ids=tracks, text=text)
            self.ahead[device] = Ahead(event, book.now_ns)

    def taken_at(self, fix: Fix, operation: str, track_id: str, book: Book) -> int:
        """The time of a fix, ns: that of a clock that is steadily behind is put right, and told of."""
        if fix.time_ns is None or fix.time_source != "device":
            return book.now_ns if fix.time_ns is None else fix.time_ns
        old = self.lags.get(fix.device)
        if old is not None and not old.run and book.now_ns - fix.time_ns < BEHIND_NS:  # right, as nearly all are
            return fix.time_ns
        lag = lag_heard(old, fix.time_ns, book.now_ns)
        going = None if old is None else old.event
        if going is not None and not lag.run:
            book.end(going, book.now_ns)
        elif lag.steady and going is None:
            used = "taken at the time without it" if lag.correction_ns else "drawn as old: it may be the way that is so slow"
            text = f"its clock is {lag.least_ns / NS:.0f} s behind, steadily: its fixes are {used}"
            event = book.event("clock", operation, book.now_ns, device=fix.device, track_ids=(track_id,), text=text)
            lag = msgspec.structs.replace(lag, event=event)
        if lag.run or lag.right:
            self.lags[fix.device] = lag
        return fix.time_ns + lag.correction_ns

    def may_be_behind(self, device: str) -> bool:
        """Whether what a device says just now is long past, and it is not known yet if it is a clock or what was kept."""
        lag = self.lags.get(device)
        return lag is not None and 0 < lag.run < STEADY

    def set_back(self, book: Book) -> None:
        """The journal's clock had been ahead: it was not theirs that was behind."""
        for lag in self.lags.values():
            if lag.event is not None:
                book.end(lag.event, book.now_ns)
        self.lags.clear()
        self.ahead = {name: Ahead(one.event, min(one.heard_ns, book.now_ns)) for name, one in self.ahead.items()}

    def forget(self, devices: Iterable[str], book: Book) -> None:
        """A track of these devices has ended."""
        for device in devices:
            lag, ahead = self.lags.pop(device, None), self.ahead.pop(device, None)
            for event in (lag.event if lag is not None else None, ahead.event if ahead is not None else None):
                if event is not None:
                    book.end(event, book.now_ns)

    def prune(self, before_ns: int, book: Book) -> None:
        """What was last heard before a time is forgotten; costs nothing where there is nothing."""
        while self.ahead:
            device, one = next(iter(self.ahead.items()))
            if one.heard_ns >= before_ns:
                return
            del self.ahead[device]
            book.end(one.event, book.now_ns)
