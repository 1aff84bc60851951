"""Devices whose clock is ahead or behind, as one operation hears them: told once, and what is believed of their times.

``lag`` tells a clock that is behind from a message that was kept; here stand the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from birddog.model import Event, Fix
from birddog.units import NS
from tracking.as_others import ALIKE_NS, Late, Said
from tracking.as_others import heard as late_heard
from tracking.book import Book
from tracking.dated import LAST, Dated, dated
from tracking.lag import (
    BEHIND_NS,
    LESS_NS,
    LITTLE_NS,
    LITTLE_SAME_NS,
    RUN_NS,
    SAME_NS,
    SMALL_NS,
    SPOILT_MOST,
    STEADY,
    Held,
    Lag,
    levelled,
    spoilt,
)  # fmt: skip
from tracking.lag import heard as lag_heard

#: So many messages are put right when it is known that their clock fell back.
HELD_MOST = 8
#: Nothing was measured after it came in: what is dated so much later is of a clock that is ahead; one of so much is told of.
AHEAD_NS, TOLD_NS = NS // 4, 4 * NS
#: What a message of a receiver takes of which that is not known (no more than it is ahead); it may be so much more, and so many
#: times as much as it is ahead.
WAY_NS, MORE_NS, MORE = NS, 4 * NS, 4
#: What is heard of it for the first times is right if it is so much less ahead than before.
LONG_NS = 8 * NS


def about(off_ns: int) -> str:
    """How far a clock is off, in words: to 5 s where it is far, for what its messages take is only known to about that."""
    off_s = abs(off_ns) / NS
    return f"{5 * round(off_s / 5) if off_s >= 100.0 else round(off_s)} s {'ahead' if off_ns > 0 else 'behind'}"


class Before(msgspec.Struct, frozen=True, gc=False):
    """What a device's times were: the newest one, by how much it was after the one before (None: not known), and its way then.

    ``even``: it reports at even times.  ``many``: its messages come by several ways, of which one may be late; nothing follows
    from that.  ``as_said``: whether some of its fixes fit its track better at the times that they state than so much later
    (``as_said``).
    """

    time_ns: int | None = None
    every_ns: int | None = None
    way_ns: int = 0
    even: bool = False
    many: bool = False
    as_said: Callable[[Held, int], bool] | None = None

    def back(self, time_ns: int) -> bool:
        """Whether its times go on by much less than they do, or back."""
        if self.time_ns is None or self.many:
            return False
        return time_ns - self.time_ns <= (self.every_ns or 0) - LESS_NS

    def fell_a_little(self, time_ns: int, behind_ns: int) -> bool:
        """Whether its times went on by so much less than they do as its message is later: its clock fell back between two
        reports, or it reported early by as much as its way is longer by now.  A second fix of a time may be another device's.
        """
        if self.time_ns is None or self.every_ns is None or self.many or not self.even:
            return False
        less, later = self.every_ns - (time_ns - self.time_ns), behind_ns - self.way_ns
        return less >= LITTLE_NS and less != self.every_ns and abs(less - later) <= LITTLE_SAME_NS


def is_right(lag: Lag, behind_ns: int) -> bool:
    """Whether a message of a clock that was right takes what its messages take."""
    if lag.run or behind_ns >= BEHIND_NS:
        return False
    return (-SMALL_NS < behind_ns - lag.way_ns < SMALL_NS and (behind_ns >= SMALL_NS or not lag.way_ns)
            or lag.spoilt >= SPOILT_MOST)  # fmt: skip


class Ahead(msgspec.Struct, frozen=True, array_like=True):
    """A clock that is ahead, or so far off that the door refuses it: the event that goes on, and when it was last heard.

    Args:
        event: None: it is ahead by so little that it is told only when it is steadily so.
        way_ns: what its messages took when it was right; None: it never was.
        known_ns: how far it is ahead (below 0: behind), None: not known yet.
        run: messages in a row that were steadily so; level_ns: by how much they were ahead when they came in, of late; last:
            by how much each of the last was;
        time_ns, said_ns: the newest time of them, and when that came in; begun_ns: when the first of them did;
        span_ns: from the time of the first to that of the newest.
    """

    event: Event | None
    heard_ns: int
    way_ns: int | None = None
    known_ns: int | None = None
    run: int = 0
    level_ns: int = 0
    time_ns: int = 0
    said_ns: int = 0
    begun_ns: int = 0
    span_ns: int = 0
    last: tuple[int, ...] = ()

    def after(self, time_ns: int, now_ns: int) -> Ahead:
        """What is known after one more message."""
        by, on = time_ns - now_ns, time_ns - self.time_ns
        if on == 0 and self.run:
            return msgspec.structs.replace(self, heard_ns=now_ns)
        span, took = self.span_ns + on, now_ns - self.begun_ns
        steady = (self.run > 0 and on > 0 and 2 * took >= span - 2 * RUN_NS
                  and abs(by - self.level_ns) <= max(SAME_NS, on // 2))  # fmt: skip
        if not steady:
            return Ahead(self.event, now_ns, self.way_ns, self.known_ns, 1, by, time_ns, now_ns, now_ns, last=(by,))
        run, level = min(self.run + 1, 255), levelled(self.level_ns, by)
        way = min(WAY_NS, abs(level)) if self.way_ns is None else self.way_ns
        known = level + way if run >= STEADY and took >= RUN_NS else self.known_ns
        last = (*self.last[1 - LAST :], by)
        return Ahead(self.event, now_ns, self.way_ns, known, run, level, time_ns, now_ns, self.begun_ns, span, last)

    def is_over(self, by_ns: int, right_ns: int) -> bool:
        """Whether a message that is ahead by no more than is right says that its clock is right, not that its way is long."""
        if not self.last:
            return True
        least, differ = min(self.last), max(self.last) - min(self.last)
        if len(self.last) < LAST:
            return by_ns < least - max(differ, LONG_NS)
        return by_ns < least - differ or max(*self.last[1:], by_ns) <= right_ns

    def correction(self, time_ns: int, now_ns: int) -> int | None:
        """What is taken from a time that it states; None: that is not known, or it is another clock by now."""
        by = time_ns - now_ns
        return None if self.known_ns is None or abs(by - self.known_ns) > SAME_NS else max(self.known_ns, by)

    @property
    def earlier_ns(self) -> int:
        """By how much longer than is taken its messages may have been on their way."""
        more = 0 if self.way_ns is not None else min(MORE_NS, MORE * abs(self.level_ns))
        return max(self.last) - min(self.last) + more


class Clocks(msgspec.Struct):
    """What is known of devices' clocks; of those that are ahead in the order in which they were last heard.

    ``late``: the last messages of those that are late and may be behind, as other receivers of their shipment have it.
    """

    ahead: dict[str, Ahead] = {}
    lags: dict[str, Lag] = {}
    ways: dict[str, tuple[int, ...]] = {}
    late: dict[str, Late] = {}

    def is_ahead(
        self, device: str, operation: str, time_ns: int | None, tracks: tuple[str, ...], ahead_s: float, way_ns: int | None,
        book: Book, *, least_ns: int | None = None,
    ) -> bool:  # fmt: skip
        """Whether a device's time is too far ahead to be believed; one event for as long as it is.

        Args:
            time_ns: as the device says it; None: it says none, and so nothing of its clock.
            tracks: whose track the event is told of.
            way_ns: what its messages took last; None: that is not known.
            least_ns: ahead by this it is steadily so or not, and told then; None: only what is not believed is asked of.
        """
        if time_ns is None:
            return False
        going, by, ahead_ns = self.ahead.get(device), time_ns - book.now_ns, int(ahead_s * NS)
        right_ns = ahead_ns if least_ns is None else min(ahead_ns, least_ns if going is None else least_ns // 2)
        if by <= right_ns and (going is None or least_ns is None or going.is_over(by, right_ns)):
            if going is not None:
                del self.ahead[device]
                _end(going.event, book)
            return False
        if by <= ahead_ns:
            self.ahead.pop(device, None)
            self.ahead[device] = going or Ahead(None, book.now_ns, way_ns)
            self.said(device, time_ns, book.now_ns)
            return True
        text = f"its clock is {(time_ns - book.now_ns) / NS:.0f} s ahead: its positions are not used"
        self._told(device, operation, text, tracks, way_ns, book)
        self.said(device, time_ns, book.now_ns)
        return True

    def is_right(self, device: str, lag: Lag, behind_ns: int) -> bool:
        """Whether a message of a clock that was right takes what its messages take, or hardly longer; or its messages come in
        any order, so that nothing would be learnt of it.
        """
        if not is_right(lag, behind_ns):
            return False
        if lag.way_ns > 0 or behind_ns < (SMALL_NS if lag.spoilt >= SPOILT_MOST else LITTLE_NS):
            return True
        return behind_ns < max(self.ways.get(device, (0,))) + LITTLE_NS

    def taken_back(self, fix: Fix, now_ns: int) -> Fix | None:
        """A fix of a clock that is off, at the time without that, where it is so steadily; None: it is not, or not yet."""
        one = self.ahead.get(fix.device)
        if one is None or fix.time_ns is None:
            return None
        correction_ns = one.correction(fix.time_ns, now_ns)
        return None if correction_ns is None else msgspec.structs.replace(fix, time_ns=fix.time_ns - correction_ns)

    def dated(self, device: str, took_ns: int) -> Dated:
        """By how much its newest fix may have been made later or earlier than it is taken, after one more message.

        Args:
            took_ns: as its times have it, put right where that is known.
        """
        one = self.ahead.get(device)
        if one is None:
            return dated(self.ways, device, took_ns)
        self.ways.pop(device, None)
        return 0, one.earlier_ns

    def told_taken_back(self, device: str, operation: str, track_id: str, book: Book) -> None:
        """Such a fix goes into a track: it is said once."""
        one = self.ahead.get(device)
        if one is None or one.known_ns is None or (one.event is not None and "steadily" in one.event.text):
            return
        if min(abs(one.known_ns), 2 * abs(one.level_ns)) < TOLD_NS:
            return
        text = f"its clock is {about(one.known_ns)}, steadily: its fixes are taken at the time without it"
        if one.event is None:
            event = book.event("clock", operation, book.now_ns, device=device, track_ids=(track_id,), text=text)
        else:
            event = book.again(msgspec.structs.replace(one.event, track_ids=(track_id,)), text)
        self.ahead[device] = msgspec.structs.replace(one, event=event)

    def refused(
        self, device: str, operation: str, detail: str, tracks: tuple[str, ...], way_ns: int | None, book: Book
    ) -> None:
        """The door refused a message for its time."""
        self._told(device, operation, f"its clock: {detail}; its messages are not used", tracks, way_ns, book)

    def said(self, device: str, time_ns: int, now_ns: int) -> None:
        """What time stood in a message that was refused for it."""
        self.ahead[device] = self.ahead[device].after(time_ns, now_ns)

    def _told(self, device: str, operation: str, text: str, tracks: tuple[str, ...], way_ns: int | None, book: Book) -> None:
        going = self.ahead.pop(device, None)
        if going is not None and going.event is not None:
            self.ahead[device] = msgspec.structs.replace(going, heard_ns=book.now_ns)
        else:
            event = book.event("clock", operation, book.now_ns, device=device, track_ids=tracks, text=text)
            self.ahead[device] = Ahead(event, book.now_ns, way_ns)

    def taken_at(self, fix: Fix, operation: str, track_id: str, before: Before, book: Book) -> int:
        """The time of a fix, ns: that of a clock that is steadily behind is put right, and told of.

        Args:
            before: what the device's times were up to now.
        """
        if fix.time_ns is None or fix.time_source != "device":
            return book.now_ns if fix.time_ns is None else fix.time_ns
        old, behind = self.lags.get(fix.device), book.now_ns - fix.time_ns
        if old is not None and self.is_right(fix.device, old, behind):  # as nearly all are
            return fix.time_ns
        little = before.fell_a_little(fix.time_ns, behind)
        lag = lag_heard(old, fix.time_ns, book.now_ns, back=little or before.back(fix.time_ns), way_ns=before.way_ns,
                        least_ns=LITTLE_NS // 2 if little else SMALL_NS)  # fmt: skip
        going = None if old is None else old.event
        if lag.steady and going is None and lag.correction_ns and lag.is_small and before.as_said is not None:
            if before.as_said(lag.held, lag.correction_ns):
                lag = spoilt(lag, behind)
        if going is not None and not lag.run:
            book.end(going, book.now_ns)
        elif lag.steady and going is None:
            used = "taken at the time without it" if lag.correction_ns else "drawn as old: it may be the way that is so slow"
            text = f"its clock is {about(lag.way_ns - lag.least_ns)}, steadily: its fixes are {used}"
            event = book.event("clock", operation, book.now_ns, device=fix.device, track_ids=(track_id,), text=text)
            lag = msgspec.structs.replace(lag, event=event)
        if lag.run and lag.right and not lag.steady and not lag.store:
            kept = () if lag.run == 1 else lag.held
            lag = msgspec.structs.replace(lag, held=(*kept, (fix.time_ns, fix.lat_deg, fix.lon_deg))[-HELD_MOST:])
        if lag.run or lag.right:
            self.lags[fix.device] = lag
        return min(fix.time_ns + lag.correction_ns, book.now_ns) if lag.correction_ns else fix.time_ns

    def may_be_behind(self, device: str) -> bool:
        """Whether what a device says just now is long past, and it is not known yet if it is a clock or what was kept."""
        lag = self.lags.get(device)
        return lag is not None and lag.run > 0 and not lag.steady

    def late_again(self, device: str, one: Said) -> Late | None:
        """The last late messages of a device with one more; None: it is known already by how much it is behind."""
        lag = self.lags.get(device)
        if lag is not None and (lag.correction_ns or (lag.run and lag.right and not lag.store)):  # it fell back
            self.late.pop(device, None)
            return None
        late = late_heard(self.late.get(device), one)
        if len(late.said) == 1 and lag is not None and (
            not lag.right if lag.run else lag.way_ns >= SMALL_NS and abs(one.took_ns - lag.way_ns) <= ALIKE_NS
        ):  # as were those before, when there was nobody to ask
            late = msgspec.structs.replace(late, first_ns=0)
        self.late[device] = late
        return late

    def is_behind(self, fix: Fix, by_ns: int, other: str, operation: str, track_id: str, book: Book) -> Late:
        """A clock is behind, as another receiver of its shipment has it: told of, and the fixes of its messages, this one with
        them, are taken at the time without it.
        """
        device, late = fix.device, self.late.pop(fix.device)
        before, old = late.said[-2], self.lags.get(device)
        text = f"its clock is {about(-by_ns)}, as {other} has it: its fixes are taken at the time without it"
        going = None if old is None else old.event
        if going is None:
            event = book.event("clock", operation, book.now_ns, device=device, track_ids=(track_id,), text=text)
        else:
            event = book.again(going, text)
        level_ns = min(one.took_ns for one in late.said)
        self.lags[device] = Lag(
            before.time_ns, before.time_ns + before.took_ns, run=len(late.said) - 1, least_ns=level_ns, right=True, event=event,
            way_ns=level_ns - by_ns, begun_ns=late.said[0].time_ns + late.said[0].took_ns, known_ns=level_ns, first_ns=level_ns,
        )  # fmt: skip
        return late

    def held(self, device: str) -> tuple[tuple[int, float, float], ...]:
        """What was taken at the time that a device stated, before it was known that its clock fell back: told once."""
        lag = self.lags.get(device)
        if lag is None or not lag.held or not lag.known_ns:
            return ()
        self.lags[device] = msgspec.structs.replace(lag, held=())
        return lag.held

    def set_back(self, book: Book) -> None:
        """The journal's clock had been ahead: it was not theirs that was behind."""
        for lag in self.lags.values():
            _end(lag.event, book)
        self.lags.clear()
        self.ways.clear()
        self.late.clear()
        self.ahead = {name: Ahead(one.event, min(one.heard_ns, book.now_ns), one.way_ns) for name, one in self.ahead.items()}

    def unheard(self, devices: Iterable[str], heard_ns: int, book: Book) -> None:
        """A track of these devices has fallen silent: what their clocks are since nobody knows, until they are heard again."""
        for device in devices:
            lag, ahead = self.lags.get(device), self.ahead.get(device)
            if lag is not None and lag.event is not None:
                book.end(lag.event, heard_ns)
                self.lags[device] = msgspec.structs.replace(lag, event=None)
            if ahead is not None and ahead.event is not None:
                book.end(ahead.event, heard_ns)
                self.ahead[device] = msgspec.structs.replace(ahead, event=None)

    def forget(self, devices: Iterable[str], book: Book) -> None:
        """A track of these devices has ended."""
        for device in devices:
            lag, ahead = self.lags.pop(device, None), self.ahead.pop(device, None)
            self.ways.pop(device, None)
            self.late.pop(device, None)
            for one in (lag, ahead):
                if one is not None:
                    _end(one.event, book)

    def prune(self, before_ns: int, book: Book) -> None:
        """What was last heard before a time is forgotten; costs nothing where there is nothing."""
        while self.ahead:
            device, one = next(iter(self.ahead.items()))
            if one.heard_ns >= before_ns:
                return
            del self.ahead[device]
            _end(one.event, book)


def _end(event: Event | None, book: Book) -> None:
    """What was told of is over; of what was not there is nothing to tell."""
    if event is not None:
        book.end(event, book.now_ns)
