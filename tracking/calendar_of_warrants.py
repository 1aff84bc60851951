"""The calendar of an operation's warrants: what is due is told of in time, by the time of the entries.

Of each warrant that was approved: installation, extension, expiry, who takes over beyond a border, and its rules' duties
(``birddog.deadlines``).
``warrant_due`` goes on from the lead until it is done or due, ``warrant_overdue`` from there until it is done; the end of use,
by time or by revocation, is ``warrant_ended``.  That an extension must be asked for and that use ends is one thing, told of
twice: the second takes the first's place.  Of a closed case nobody installs, extends or hands over; its duties stay: notice,
report, retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from birddog.deadlines import ENDS, deadlines
from birddog.model import Event
from birddog.units import iso_from_ns
from birddog.warrants import Held
from tracking.book import Book

_NEVER = 2**63 - 1


class WarrantCalendar(msgspec.Struct):
    """What was told of one operation's warrants.

    Args:
        going: by warrant, duty and kind.
        ended: of which warrants the end was told, and when that was.
        due_ns: when it is to be looked at next.
    """

    going: dict[str, Event] = {}
    ended: dict[str, int] = {}
    due_ns: int = _NEVER

    def look(self, warrants: Iterable[Held], now_ns: int, operation: str,
             tracks_of: Callable[[str], tuple[str, ...]], book: Book, *, closed: bool = False) -> None:
        """Tell what is due at a time, and look again when the next thing is.

        Args:
            closed: the case is.
            tracks_of: the tracks of a device.
        """
        self.due_ns = _NEVER
        for held in warrants:
            if not held.approved_by:
                continue
            warrant, device = held.warrant, held.warrant.device or next(iter(held.placed), "")
            calendar = deadlines(held, closed=closed)
            last_ns = next((one.lead_ns for one in calendar if one.what == "expiry"), _NEVER)
            for one in calendar:
                name, tracks = f"{one.warrant}/{one.what}", tracks_of(device)
                text = f"{one.warrant}: {one.what} {iso_from_ns(one.due_ns)}: {one.text}"
                stays = one.what not in ENDS
                over = one.over
                until_ns = min(one.due_ns, last_ns) if one.what == "extension" else one.due_ns
                self._tell(f"{name}/due", "warrant_due", not over and one.lead_ns <= now_ns < until_ns, one.lead_ns,
                           now_ns, operation, device, tracks, text, book)
                self._tell(f"{name}/overdue", "warrant_overdue", stays and not over and now_ns >= one.due_ns, one.due_ns,
                           now_ns, operation, device, tracks, text, book)
                if not over:
                    self._next(one.lead_ns, now_ns)
                    self._next(one.due_ns, now_ns)
            ends_ns = warrant.ends_ns
            self._next(ends_ns, now_ns)
            if now_ns >= ends_ns and self.ended.get(warrant.warrant) != ends_ns:
                self.ended[warrant.warrant] = ends_ns
                why = "was revoked" if warrant.revoked_ns is not None and warrant.revoked_ns <= ends_ns else "has ended"
                book.event("warrant_ended", operation, ends_ns, end_ns=ends_ns, device=device, track_ids=tracks_of(device),
                           text=f"{warrant.warrant} {why}: nothing that {device or 'its devices'} says from then on is kept",
                           time_source="server", about=f"{warrant.warrant}/expiry")  # fmt: skip

    def _tell(self, key: str, kind: str, holds: bool, since_ns: int, now_ns: int, operation: str, device: str,
              tracks: tuple[str, ...], text: str, book: Book) -> None:
        going = self.going.get(key)
        if going is not None and (not holds or going.text != text):
            book.end(self.going.pop(key), now_ns)
        if holds and key not in self.going:
            self.going[key] = book.event(kind, operation, min(since_ns, now_ns), device=device, track_ids=tracks, text=text,
                                         time_source="server", about=_about(key))

    def _next(self, at_ns: int, now_ns: int) -> None:
        if at_ns > now_ns:
            self.due_ns = min(self.due_ns, at_ns)


def _about(key: str) -> str:
    """What an event is about: the end of use is one thing, whether an extension can still be asked for or not."""
    name, _, what = key.rpartition("/")[0].rpartition("/")
    return f"{name}/{'expiry' if what == 'extension' else what}"
