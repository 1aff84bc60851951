"""Reads a SQLite journal: beside a live writer, after a kill, or from where nothing can be written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from birddog.directory import REGISTERS
from birddog.errors import (
    JournalError,
    UsageError,
)
from birddog.journal.beside import Home
from birddog.journal.head import Head
from birddog.journal.head import read as read_head
from birddog.journal.keys import Keys
from birddog.journal.sqlite_file import (
    DESCRIPTIONS,
    SAID,
    SCHEMA_VERSION,
    TROUBLE,
    checked,
    described,
    failure,
    identity,
    open_reading,
)
from birddog.journal.store import Counts, Stored
from birddog.keyring import KeyDestroyed, KeyringError, KeysClosed
from birddog.model import ClockSet, Entry, Erasure, unpack
from birddog.passersby import is_period
from birddog.record import is_statement

#: So many entries are asked for the journal's time (0.2 s); within a longer run each was the newest of its moment.
CLOCK_ROWS = 200_000
#: Of what SQLite finds wrong with its file, so many lines are said.
_SAID_MOST = 5


class SqliteReader:
    """Reads a journal file, beside a live writer or after a kill.

    Args:
        oldest: the oldest version that is read.
    """

    def __init__(self, path: Path, *, oldest: int = SCHEMA_VERSION):
        self.path, self._oldest = path, oldest
        if not path.is_file():
            raise UsageError(f"there is no journal at {path}")
        # autocommit: every read is its own short transaction, so that the WAL can be cut
        self._db = open_reading(path)
        try:
            self.mode, self.version = checked(self._db, path, oldest)
        except JournalError:
            self._db.close()
            raise
        self._columns = ("seq, kind, received_ns, source, ident, body, operation, key_id, "
                         + ("actor" if self.version > 1 else "''"))
        self._keys = Keys(Home(path), make=False)
        #: Keys of passers-by that were erased, and which entry says so: nothing under one is read any more, also while it is
        #: still there (``tend``).
        self._gone: dict[str, int] = {}
        self._beside = self._places()
        with suppress(JournalError):  # whoever reads what is damaged is told of it
            self._erasures()

    def _erasures(self) -> None:
        said = "" if self.version == 1 else f" AND {SAID}"
        self._entries(f"SELECT {self._columns} FROM entry WHERE kind = 'erasure'{said} ORDER BY seq")

    def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Entries with ``seq > after`` in order, at most ``limit``."""
        sql = f"SELECT {self._columns} FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._entries(sql, (after, limit), f" cannot be read after entry {after}:")

    def tail(self, count: int) -> list[Entry]:
        """The last ``count`` entries, in order."""
        return self._entries(f"SELECT {self._columns} FROM entry ORDER BY seq DESC LIMIT ?", (count,))[::-1]

    def last_seq(self) -> int:
        """The number of the newest entry, 0 when there is none."""
        newest: int = self._fetch("SELECT coalesce(max(seq), 0) FROM entry")[0][0]
        return newest

    def clock_ns(self) -> int:
        """The time that the journal stands at: the greatest since it was last set back, 0 in an empty one.

        Looks back to the newest start: that entry is stamped with what was the greatest then.
        """
        newest_ns = 0
        for kind, received_ns in self._fetch("SELECT kind, received_ns FROM entry ORDER BY seq DESC LIMIT ?", (CLOCK_ROWS,)):
            newest_ns = max(newest_ns, received_ns)
            if kind in ("start", "clock"):
                break
        return newest_ns

    def greatest_ns(self) -> int:
        """The latest time that it ever stood at, also before its clock was set back."""
        said = "" if self.version == 1 else f" AND {SAID}"
        set_back = self._entries(f"SELECT {self._columns} FROM entry WHERE kind = 'clock'{said} ORDER BY seq")
        return max([self.clock_ns(), *[body.from_ns for body in map(unpack, set_back) if isinstance(body, ClockSet)]])

    def counts(self) -> Counts:
        """The counters, as of one moment."""
        values = dict(self._fetch(
            "SELECT name, value FROM counter UNION ALL SELECT 'last_seq', coalesce(max(seq), 0) FROM entry"
        ))
        rejects, unread = (
            {name[len(kind) :]: value for name, value in sorted(values.items()) if name.startswith(kind)}
            for kind in ("reject:", "unread:")
        )
        return Counts(frames=values.get("frames", 0), observations=values.get("observations", 0), rejects=rejects,
                      duplicates=values.get("duplicates", 0), last_seq=values["last_seq"], unread=unread,
                      undated=values.get("undated", 0))

    def registers(self) -> list[Entry]:
        """Every entry of a register, in order."""
        kinds = ", ".join(f"'{kind}'" for kind in sorted(REGISTERS))
        said = "" if self.version == 1 else f" AND {SAID}"  # the index that holds what was said, and no message
        return self._entries(f"SELECT {self._columns} FROM entry WHERE kind IN ({kinds}){said} ORDER BY seq")

    def disagreement(self) -> str:
        """Why it is not the journal, or does not hold all, that was acknowledged; "" where it agrees with its head file."""
        return self._against(read_head(Home(self.path).head) or Head())

    def _against(self, head: Head) -> str:
        """``disagreement`` with a head as read before we look, so that a writer beside is never taken for a fault."""
        if head.seq == 0:
            return ""
        last = self.last_seq()
        if last < head.seq:
            return (f"{self.path} ends at entry {last}, and entry {head.seq} had been acknowledged: an older copy was put in "
                    "its place, or its newest part was lost")
        at = self._fetch("SELECT seq, ident FROM entry WHERE seq = ?", (head.seq,), f" cannot be read at entry {head.seq}:")
        if at != [(head.seq, head.ident)]:
            return (f"{self.path} is not the journal that was acknowledged up to entry {head.seq}: its entry {head.seq} is "
                    "another")
        return ""

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _places(self) -> tuple[tuple[int, int], ...]:
        """Which files lie beside the journal now: a connection goes on in those that it has opened, wherever they went."""
        return tuple(identity(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm"))

    def _follow(self) -> None:
        """Open the journal anew where its writer had to begin another write-ahead log or index beside it."""
        places = self._places()
        if places == self._beside or places[0] != self._beside[0]:
            return
        self._db.close()
        self._db = open_reading(self.path)
        checked(self._db, self.path, self._oldest)
        self._beside = self._places()

    def _fetch(
        self, sql: str, values: Sequence[int | str | bytes] = (), doing: str = " cannot be read:"
    ) -> list[tuple[Any, ...]]:
        try:
            self._follow()
            return self._db.execute(sql, values).fetchall()
        except TROUBLE as error:
            raise failure(self.path, error, doing) from error

    def _entries(self, sql: str, values: Sequence[int] = (), doing: str = " cannot be read:") -> list[Entry]:
        name = str(self.path)
        rows = self._fetch(sql, values, doing)
        for row in rows:
            if row[1] == "erasure":
                self._learn(row[0], row[5])
        return [
            Entry(seq=seq, kind=kind, received_ns=received_ns, source=source, ident=ident, body=body, operation=operation,
                  actor=actor, journal=name)
            if key_id is None else
            self._sealed(Entry(seq=seq, kind=kind, received_ns=received_ns, source=source, ident=ident, body=body,
                               operation=operation, actor=actor, journal=name), key_id)
            for seq, kind, received_ns, source, ident, body, operation, key_id, actor in rows
        ]

    def _learn(self, seq: int, body: bytes) -> None:
        """An entry says that something was erased."""
        try:
            said = msgspec.msgpack.decode(body, type=Erasure)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # whoever reads what it says is told that it is damaged
        if is_period(said.erased):
            for key in said.keys:
                self._gone.setdefault(key, seq)

    def _sealed(self, entry: Entry, key_id: str) -> Entry:
        """An entry as whoever reads it sees it, whose body stands encrypted, or was erased."""
        if is_statement(entry.body) or key_id in self._gone:
            return msgspec.structs.replace(entry, body=b"", source="", actor="", erased=True)
        try:
            return msgspec.structs.replace(entry, body=self._keys.opened(entry.seq, entry.operation, key_id, entry.body))
        except KeyDestroyed:  # its key's end was seen before its own
            return msgspec.structs.replace(entry, body=b"", erased=True)
        except KeysClosed:
            raise  # it says nothing of this entry
        except KeyringError as error:
            return msgspec.structs.replace(entry, body=b"", fault=str(error))

    def rows(self, after: int, limit: int = 1000) -> list[Stored]:
        """As ``read``, what stands in the file."""
        # texts as bytes: what was changed into no text at all is said, and does not hide its neighbours
        sql = ("SELECT seq, CAST(kind AS BLOB), received_ns, CAST(operation AS BLOB), CAST(source AS BLOB), ident, body,"
               " CAST(actor AS BLOB), CAST(key_id AS BLOB), leaf FROM entry WHERE seq > ? ORDER BY seq LIMIT ?")
        found = self._fetch(sql, (after, limit), f" cannot be read after entry {after}:")
        return [
            Stored(seq, _text(kind), received_ns if isinstance(received_ns, int) else 0, _text(operation), _text(source),
                   _bytes(ident), _bytes(body), _text(actor),
                   None if key_id is None else _text(key_id), leaf if isinstance(leaf, bytes) else None)
            for seq, kind, received_ns, operation, source, ident, body, actor, key_id, leaf in found
        ]  # fmt: skip

    def faults(self) -> list[tuple[int, str]]:
        """What SQLite finds wrong with its own file: (the entry, 0 where about none; words).

        Its check reads indexes too, which hashing the entries does not; a text that became bytes of the same letters it knows
        to be there, and not in which entry.
        """
        wrong = " OR ".join(f"typeof({name}) <> 'text'" for name in ("kind", "operation", "source", "actor"))
        wrong += " OR typeof(received_ns) <> 'integer' OR typeof(key_id) NOT IN ('text', 'null')"
        wrong += " OR typeof(leaf) NOT IN ('blob', 'null')"
        odd = f"SELECT seq FROM entry WHERE {wrong} OR typeof(ident) <> 'blob' OR typeof(body) <> 'blob'"
        out = [(seq, "a column of it is of another kind than it was") for (seq,) in self._fetch(odd, ())]
        there = {(kind, name): (table, words) for kind, name, table, words in self._fetch(DESCRIPTIONS)}
        for (kind, name), wordings in described().items():
            if there.get((kind, name)) not in wordings:
                out.append((0, f"the journal's file: its {kind} {name!r} is not described as it was made"))
        for kind, name in there.keys() - described().keys():
            out.append((0, f"the journal's file: holds a {str(kind)[:20]} {str(name)[:40]!r}, which no journal of ours has"))
        said = [words for (text,) in self._fetch("PRAGMA integrity_check(20)", ()) for words in str(text).splitlines()
                if words != "ok" and not words.startswith("***")]
        more = [f"and {len(said) - _SAID_MOST} more of the kind"] if len(said) > _SAID_MOST else []
        return out + [(0, f"the journal's file: {words}") for words in (*said[:_SAID_MOST], *more)]


def _bytes(raw: object) -> bytes:
    """What should be bytes; what was changed into something else is said by ``faults``, and is not its leaf's."""
    return raw if isinstance(raw, bytes) else b""


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "surrogateescape")
