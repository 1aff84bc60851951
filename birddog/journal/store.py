"""What every journal backend does; ``birddog.journal.opening`` finds the backend of a URL.

A *writer* is the only one of its kind on a journal (a second one is refused at once) and returns
from ``append`` when the rows are on disk.  A *reader* works beside a live writer and after a kill.
tests/conformance/test_journals.py judges every backend by one suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol

import msgspec

from birddog.model import Draft, Entry
from birddog.record import is_statement

Mode = Literal["live", "exercise"]
NOTHING: Mapping[str, int] = MappingProxyType({})


class Counts(msgspec.Struct, frozen=True):
    """What the journal has counted: ``frames`` are distinct messages, accepted or refused.

    ``unread`` counts parts of messages that were not understood, by their name; ``undated`` messages of files that
    state no time, which stand at the time of their import.
    """

    frames: int
    observations: int
    rejects: dict[str, int]
    duplicates: int
    last_seq: int
    unread: dict[str, int] = {}
    undated: int = 0


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A row as it stands in the store: ``body`` sealed where ``key_id`` names a key, ``leaf`` None where the log has none."""

    seq: int
    kind: str
    received_ns: int
    operation: str
    source: str
    ident: bytes
    body: bytes
    actor: str
    key_id: str | None
    leaf: bytes | None

    @property
    def erased(self) -> bool:
        """Whether its case was erased: of the row only what its leaf is the hash of stands, in the place of its body."""
        return self.key_id is not None and is_statement(self.body)


class Reader(Protocol):
    """Reads a journal; never writes."""

    mode: Mode

    def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Entries with ``seq > after`` in order, at most ``limit``."""

    def faults(self) -> list[tuple[int, str]]:
        """What the store finds wrong with its own files: (the entry, 0 where about none; words)."""
        ...

    def rows(self, after: int, limit: int = 1000) -> list[Stored]:
        """As ``read``, what stands in the store."""

    def tail(self, count: int) -> list[Entry]:
        """The last ``count`` entries, in order."""

    def last_seq(self) -> int:
        """The number of the newest entry, 0 when there is none."""

    def clock_ns(self) -> int:
        """The time that the journal stands at: the greatest since it was last set back, 0 in an empty one."""

    def greatest_ns(self) -> int:
        """The latest time that it ever stood at, also before its clock was set back."""

    def counts(self) -> Counts:
        """The counters, as of one moment."""

    def registers(self) -> list[Entry]:
        """Every entry of a register (operations, devices, attachments, placements), in order."""

    def disagreement(self) -> str:
        """Why it is not the journal, or does not hold all, that was acknowledged; "" where all is well."""

    def close(self) -> None:
        """Let go of it."""


class Writer(Reader, Protocol):
    """Appends to a journal.  ``lost`` says what of the acknowledged it does not hold, which was accepted; "" else."""

    lost: str

    def append(self, drafts: Sequence[Draft], sessions: Sequence[tuple[str, str]] = (),
               finished: Sequence[str] = (), counted: Mapping[str, int] = NOTHING) -> list[int]:
        """Write drafts in one transaction; on disk when this returns.

        Args:
            drafts: in the order in which they shall be numbered.
            sessions: (device, session) pairs to remember in the same transaction.
            finished: devices that have nothing to repeat: their sessions up to now are forgotten, before these are remembered.
            counted: what is added to the counters beside what the drafts count: refused messages for which a row stands
                already, and less for a row that stands for such as were counted.

        Returns:
            For each draft its ``seq``, or 0 where its ``ident`` was there before (counted).

        Raises:
            JournalFull: no room on disk; nothing of this call was written, it may be tried again.
            JournalChanged: somebody else changed its files; what of this call stands in them nobody can say.
            JournalError: the store failed; it must not be tried again in this process.
        """

    def checkpoint(self, *, wait: bool = True) -> bool:
        """Sign in the log what was committed since the last checkpoint; whether anything was.

        Args:
            wait: until it is written; otherwise that is done meanwhile, and what is wrong with it raised by the next call.

        Raises:
            JournalFull: no room on disk; it may be tried again.
            JournalError: the log cannot be written.
        """

    def tend(self) -> bool:
        """Go on with what was asked for and is done some at a time (erased passers-by); whether there was any.

        Raises:
            JournalError: the store failed; it must not be tried again in this process.
        """
        ...

    def holds(self, idents: Sequence[bytes]) -> set[bytes]:
        """Which of these idents are there."""

    def sessions(self, device: str) -> list[str]:
        """The last sessions remembered of a device, newest first."""


def entries(reader: Reader, after: int = 0) -> Iterator[Entry]:
    """The entries behind one, in order, some read at a time."""
    while rows := reader.read(after):
        yield from rows
        after = rows[-1].seq
