"""An entry of an older journal as the present version writes it; the backend puts it in place (``Backend.migrate``).

From 1 to 2: every observation gets the verdict that it would have had at the door (``birddog.judge.judged``), by the
registers that stand before it; an entry's operation is that of its observations; who decided is its actor.  Numbers,
idents, times and payloads stay, so that whatever names an entry still finds it.  A message with observations of two operations
stays one entry: to part it would renumber all that follow (docs/decisions/0011).

A row that is damaged stays as it is: the picture stops in front of it as it did before.
"""

from __future__ import annotations

import msgspec

from birddog.directory import REGISTERS, Directory
from birddog.errors import JournalError
from birddog.judge import Judge, judged
from birddog.model import ClockSet, Decision, Entry, FrameBody, RefusalBody, pack, unpack


class Migrated(msgspec.Struct, frozen=True):
    """What a migration did: the version that it found and that there is now, how many entries, how many of them damaged."""

    version: int
    now: int
    entries: int
    damaged: int


class Upgrade:
    """Brings the entries of one journal to the present version; they come in order, each once.

    Args:
        exercise: the journal's mode.
    """

    def __init__(self, *, exercise: bool):
        self._directory = Directory()
        self._judge = Judge(self._directory, exercise=exercise)
        self._now_ns = 0
        self.entries = self.damaged = 0

    def entry(self, entry: Entry) -> Entry:
        """The entry as it shall stand; the same object where nothing changes."""
        self.entries += 1
        if entry.kind not in REGISTERS:  # what is entered today of a capture of last year does not make it old
            self._now_ns = max(self._now_ns, entry.received_ns)
        try:
            body = unpack(entry)
        except JournalError:
            self.damaged += 1
            return entry
        if isinstance(body, FrameBody | RefusalBody):
            return self._message(entry, body)
        if isinstance(body, ClockSet):
            self._now_ns = entry.received_ns
        elif isinstance(body, Decision):
            return msgspec.structs.replace(entry, actor=body.by)
        else:
            self._directory.apply(body)
        return entry

    def _message(self, entry: Entry, body: FrameBody | RefusalBody) -> Entry:
        now = judged(body, self._judge, self._now_ns)
        if now is body:
            return entry
        of = {verdict.operation for verdict in now.verdicts}
        operation = of.pop() if len(of) == 1 else entry.operation
        return msgspec.structs.replace(entry, body=pack(now), operation=operation)
