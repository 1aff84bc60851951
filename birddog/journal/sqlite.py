"""The SQLite journal: WAL, ``synchronous=FULL``, one writing process.

The stock SQLite of Debian 12 (3.40) can corrupt a WAL when two connections write or checkpoint at
once (fixed in 3.51.3): so exactly one process opens the file for writing, held by a lock on
``PATH.lock``, and readers open it ``mode=ro``, which can neither write nor checkpoint.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from birddog.errors import JournalError, JournalFull, JournalHeld, UsageError
from birddog.journal.store import NOTHING, Counts, Mode
from birddog.lock import hold
from birddog.model import Draft, Entry

SCHEMA_VERSION = 1
#: Recognised in the header's application_id: "Bird".
APPLICATION_ID = 0x42697264
_COLUMNS = "seq, kind, received_ns, source, ident, body, operation"
_REGISTERS = "('operation', 'device', 'attachment', 'placement')"
#: How many sessions of one device are remembered.
SESSIONS_KEPT = 8
_CHUNK = 500
#: What sqlite3 raises: its own, and, where it meets damaged or lone-surrogate text or a number too large, Python's.
_TROUBLE = (sqlite3.Error, UnicodeError, OverflowError)
_INSERTS = [
    (rows, "INSERT INTO entry (seq, kind, received_ns, operation, source, ident, body) VALUES "
           + ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows))
    for rows in (128, 16, 1)
]


class SqliteReader:
    """Reads a journal file, beside a live writer or after a kill."""

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise UsageError(f"there is no journal at {path}")
        # autocommit: every read is its own short transaction, so that the WAL can be cut
        self._db = _open(f"file:{quote(os.fsencode(path))}?mode=ro", path)
        try:
            self.mode = _check(self._db, path)
        except JournalError:
            self._db.close()
            raise

    def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Entries with ``seq > after`` in order, at most ``limit``."""
        sql = f"SELECT {_COLUMNS} FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._entries(sql, (after, limit), f" cannot be read after entry {after}:")

    def tail(self, count: int) -> list[Entry]:
        """The last ``count`` entries, in order."""
        return self._entries(f"SELECT {_COLUMNS} FROM entry ORDER BY seq DESC LIMIT ?", (count,))[::-1]

    def last_seq(self) -> int:
        """The number of the newest entry, 0 when there is none."""
        return self._fetch("SELECT coalesce(max(seq), 0) FROM entry")[0][0]

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
                      duplicates=values.get("duplicates", 0), last_seq=values["last_seq"], unread=unread)

    def registers(self) -> list[Entry]:
        """Every entry of a register, in order."""
        return self._entries(f"SELECT {_COLUMNS} FROM entry WHERE kind IN {_REGISTERS} ORDER BY seq")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _fetch(self, sql: str, values: Sequence[int | str | bytes] = (), doing: str = " cannot be read:") -> list[tuple]:
        try:
            return self._db.execute(sql, values).fetchall()
        except _TROUBLE as error:
            raise _failure(self.path, error, doing) from error

    def _entries(self, sql: str, values: Sequence[int] = (), doing: str = " cannot be read:") -> list[Entry]:
        name = str(self.path)
        return [
            Entry(seq=seq, kind=kind, received_ns=received_ns, source=source, ident=ident, body=body, operation=operation,
                  journal=name)
            for seq, kind, received_ns, source, ident, body, operation in self._fetch(sql, values, doing)
        ]


class SqliteWriter(SqliteReader):
    """The one writer of a journal file; see ``birddog.journal.store.Writer``."""

    def __init__(self, path: Path, *, mode: Mode, create: bool = True):
        if not create and not path.exists():
            raise UsageError(f"there is no journal at {path}")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for the journal")
        self._lock = _locked(path)
        try:
            if create and not path.exists():  # asked under the lock: somebody else may just have made it
                _create(path, mode)
            super().__init__(path)
            self._db.close()
            if self.mode != mode:
                raise JournalError(
                    f"{path} is {_A[self.mode]} journal and refuses {mode} data: give another --journal"
                    + (", or --exercise" if self.mode == "exercise" else "")
                )
            self._db = _open(f"file:{quote(os.fsencode(path))}?mode=rw", path)
            try:
                _durable(self._db, path)
                self._next = self.last_seq() + 1
            except BaseException:
                self._db.close()
                raise
        except BaseException:  # whatever it was, the next one shall not be told that we are writing
            os.close(self._lock)
            raise

    def append(self, drafts: Sequence[Draft], sessions: Sequence[tuple[str, str]] = (),
               finished: Sequence[str] = (), counted: Mapping[str, int] = NOTHING) -> list[int]:
        """Write drafts in one transaction; on disk when this returns."""
        try:
            try:
                # as if none were there before, which is nearly always so: one look-up a row less
                self._write(range(self._next, self._next + len(drafts)), drafts, 0, sessions, finished, counted)
                answer = list(range(self._next, self._next + len(drafts)))
            except sqlite3.IntegrityError:
                answer = self._numbers(drafts)
                fresh = [(seq, draft) for seq, draft in zip(answer, drafts, strict=True) if seq]
                self._write([seq for seq, _ in fresh], [draft for _, draft in fresh], len(drafts) - len(fresh), sessions,
                            finished, counted)
        except _TROUBLE as error:
            raise _failure(self.path, error) from error
        self._next += len(answer) - answer.count(0)
        return answer

    def _numbers(self, drafts: Sequence[Draft]) -> list[int]:
        """The number of each draft, 0 where its ident is there or stands twice."""
        seen, seq, answer = self.holds([draft.ident for draft in drafts]), self._next, []
        for draft in drafts:
            if draft.ident in seen:
                answer.append(0)
            else:
                seen.add(draft.ident)
                answer.append(seq)
                seq += 1
        return answer

    def _write(self, numbers: Sequence[int], drafts: Sequence[Draft], duplicates: int,
               sessions: Sequence[tuple[str, str]], finished: Sequence[str], counted: Mapping[str, int]) -> None:
        """One transaction, whole or not at all.

        Raises:
            sqlite3.IntegrityError: an ident is there already.
        """
        db = self._db
        counts = _counts(drafts)
        for name, value in counted.items():
            counts[name] = counts.get(name, 0) + value
        if duplicates:
            counts["duplicates"] = duplicates
        db.execute("BEGIN IMMEDIATE")
        try:
            # many rows a statement: Python gives up its lock once a statement, not once a row
            # (measured: 33 instead of 35 µs of CPU a message, all of ingest)
            done = 0
            for rows, sql in _INSERTS:
                while len(drafts) - done >= rows:
                    values: list[int | str | bytes] = []
                    for n, d in zip(numbers[done : done + rows], drafts[done : done + rows], strict=True):
                        values += (n, d.kind, d.received_ns, d.operation, d.source, d.ident, d.body)
                    db.execute(sql, values)
                    done += rows
            db.executemany(
                "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                list(counts.items()),
            )
            db.executemany("DELETE FROM session WHERE device = ?", [(device,) for device in finished])
            for device, session in sessions:
                db.execute("INSERT INTO session (device, session) VALUES (?, ?)", (device, session))
                db.execute(
                    "DELETE FROM session WHERE device = ? AND id <= (SELECT id FROM session WHERE device = ?"
                    " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (device, device, SESSIONS_KEPT),
                )
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def holds(self, idents: Sequence[bytes]) -> set[bytes]:
        """Which of these idents are there."""
        found: set[bytes] = set()
        for i in range(0, len(idents), _CHUNK):
            part = idents[i : i + _CHUNK]
            marks = ",".join("?" * len(part))
            found.update(row[0] for row in self._fetch(f"SELECT ident FROM entry WHERE ident IN ({marks})", part))
        return found

    def sessions(self, device: str) -> list[str]:
        """The last sessions remembered of a device, newest first."""
        return [row[0] for row in self._fetch("SELECT session FROM session WHERE device = ? ORDER BY id DESC", (device,))]

    def close(self) -> None:
        """Let go of the file and of the lock."""
        super().close()
        os.close(self._lock)


_A = {"live": "a live", "exercise": "an exercise"}


def _counts(drafts: Sequence[Draft]) -> dict[str, int]:
    counts = {"frames": 0, "observations": 0}
    for draft in drafts:
        counts["observations"] += draft.observations
        if draft.kind == "frame" or draft.kind == "refusal":
            counts["frames"] += 1
            for reason in draft.reasons:
                counts["reject:" + reason] = counts.get("reject:" + reason, 0) + 1
            for name in draft.unread:
                counts["unread:" + name] = counts.get("unread:" + name, 0) + 1
    return counts


def _locked(path: Path) -> int:
    """The descriptor of ``PATH.lock``, held; by whatever link the journal is named, it is the same file."""
    name = f"{path.resolve()}.lock"
    try:
        lock = hold(name)
    except OSError as error:
        raise JournalError(f"{name}: {error.strerror}") from error
    if lock is None:
        raise JournalHeld(f"another process is writing {path}")
    return lock


def _create(path: Path, mode: Mode) -> None:
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        # SQLite would play it into the new file
        raise JournalError(f"{wal} is there without its journal: put the journal back beside it, or take it away")
    # made beside and renamed, so that a kill while creating leaves no half journal behind
    made = path.with_name(path.name + ".new")
    try:
        for old in (made, Path(f"{made}-wal"), Path(f"{made}-shm")):
            old.unlink(missing_ok=True)
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        db = sqlite3.connect(made, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.executescript("BEGIN;" + resources.files("birddog.journal").joinpath("schema_v1.sql").read_text() + "COMMIT;")
            db.execute("INSERT INTO meta VALUES ('mode', ?)", (mode,))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        finally:
            db.close()
        os.rename(made, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise JournalError(f"{path} cannot be made: {error.strerror}") from error
    except _TROUBLE as error:
        raise _failure(path, error, " cannot be made:") from error


def _open(uri: str, path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    except _TROUBLE as error:
        raise _failure(path, error, " cannot be opened:") from error


def _durable(db: sqlite3.Connection, path: Path) -> None:
    # asserted, not assumed: a build or a file that answers otherwise would make PUBACK a lie
    try:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        db.execute("PRAGMA synchronous = FULL")
        level = db.execute("PRAGMA synchronous").fetchone()[0]
        # What an earlier process left in the WAL may be in the kernel's memory only, where its fsync failed: a message
        # sent again would be called a duplicate of something that is not on disk.  Written and synced anew here.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except _TROUBLE as error:
        raise _failure(path, error, " cannot be written:") from error
    if mode != "wal" or level != 2:
        raise JournalError(f"{path}: needs journal_mode=wal and synchronous=2, has {mode} and {level}")


def _check(db: sqlite3.Connection, path: Path) -> Mode:
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except _TROUBLE as error:
        raise _failure(path, error, " is not a journal that can be read:") from error
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is not a Birddog journal")
    if version != SCHEMA_VERSION:
        raise JournalError(f"{path} is a journal of version {version}; this program reads version {SCHEMA_VERSION}")
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'mode'").fetchone()
    except _TROUBLE as error:
        raise _failure(path, error, " is damaged:") from error
    if row is None or row[0] not in _A:
        raise JournalError(f"{path} is damaged: it says no mode, live or exercise")
    return row[0]


def _failure(path: Path, error: Exception, doing: str = ":") -> JournalError:
    """SQLite's words as one of ours; no room (also for the shared memory beside the WAL) can be tried again."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return JournalFull(f"{path}: the disk is full")
    return JournalError(f"{path}{doing} {' '.join(str(error).split())}")
