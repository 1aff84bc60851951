"""How long a case may be kept: told of in time, by the time of the entries, also when the case is closed.

``retention_due`` goes on from the lead (``birddog.deadlines``) until the day or until another day is set, ``retention_overdue``
from the day until the case is erased: then nothing of it is folded any more.  Nothing here erases: that is a person's act.
"""

from __future__ import annotations

import msgspec

from birddog.deadlines import retention
from birddog.model import Event, Operation
from birddog.units import iso_from_ns
from tracking.book import Book

_NEVER = 2**63 - 1


class Retention(msgspec.Struct):
    """What was told of one operation's time limit.

    Args:
        going: by kind.
        due_ns: when it is to be looked at next.
    """

    going: dict[str, Event] = {}
    due_ns: int = _NEVER

    def look(self, operation: Operation, now_ns: int, book: Book) -> None:
        """Tell what is due at a time, and look again when the next thing is."""
        one = retention(operation)
        self.due_ns = _NEVER
        kind, since_ns = "", now_ns
        if one is not None:
            if now_ns >= one.due_ns:
                kind, since_ns = "retention_overdue", one.due_ns
            elif now_ns >= one.lead_ns:
                kind, since_ns, self.due_ns = "retention_due", one.lead_ns, one.due_ns
            else:
                self.due_ns = one.lead_ns
        text = "" if one is None else f"{operation.operation}: to be kept until {iso_from_ns(one.due_ns)}: {one.text}"
        for other in [name for name, event in self.going.items() if name != kind or event.text != text]:
            book.end(self.going.pop(other), now_ns)
        if kind and kind not in self.going:
            self.going[kind] = book.event(kind, operation.operation, since_ns, text=text, time_source="server",
                                          about="retention")
