"""The derived store beside the journal: what the picture publishes and the console reads.

Rows are quantised when they are published (opsroom.picture_rows), so that "identical after a rebuild" is
equality of bytes.

Over 400 lines: writer and reader of one schema stand together.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from birddog import __version__, lock
from birddog.errors import BirddogError
from birddog.model import Alert, Event, Track, TrackPoint
from opsroom.picture_rows import FlagRow, Refused, quantised

log = logging.getLogger(__name__)

#: Raised with every change of what the tables hold.  A store of another version, or folded by another
#: version of the program, is made anew: rows of two versions side by side are no rebuild's.
VERSION = f"8 {__version__}".encode()

#: What sqlite3 raises: its own, and, where it meets damaged text or a number too large, Python's.
_TROUBLE = (sqlite3.Error, UnicodeError, OverflowError)
TABLES = ("track", "point", "event", "alert", "flag", "refused")

_pack = msgspec.msgpack.Encoder(order="deterministic").encode


class NotReady(BirddogError):
    """There is no derived store yet, or it is being made."""


class PictureError(BirddogError):
    """The derived store cannot be read or written: no room, no permission, a failing disk, another writer."""


class PictureDamaged(PictureError):
    """The file is no derived store or is broken: delete it, it is made again from the journal."""


def hold(path: Path) -> int | None:
    """Become the one process that writes a file: the descriptor of ``PATH.lock``, or None while another holds it.

    Raises:
        PictureError: the lock cannot be made.
    """
    try:
        return lock.hold(f"{path}.lock")
    except OSError as error:
        raise PictureError(f"{path}.lock: {error.strerror}") from error


class Stood(msgspec.Struct, frozen=True):
    """Where a derived store stands in its journal, and the idents of that entry and of the first."""

    cursor: int
    first: bytes
    at: bytes


def stood(path: Path) -> Stood | None:
    """Where a derived store stands, of whatever version; None where it is absent, empty or cannot be read."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=5.0)) as db:
            meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('cursor', 'journal', 'at')"))
        return Stood(int(meta["cursor"]), meta["journal"], meta["at"])
    except (*_TROUBLE, KeyError, ValueError, TypeError) as error:
        log.info("%s does not say where it stands: %s", path, _line(error))
        return None


def remove(path: Path) -> None:
    """Delete a derived store with what SQLite keeps beside it (an old WAL would be played into a new file)."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


def copy(path: Path, to: Path) -> None:
    """A consistent copy of a store that its picture process may be writing; ``path`` is not changed.

    Raises:
        PictureError: it cannot be read, or there is no room.
    """
    with _said(path), closing(sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=10.0)) as source:
        with closing(sqlite3.connect(to)) as target:
            source.backup(target)  # in one step, so from one read transaction


def differences(path: Path, other: Path) -> dict[str, tuple[int, int]]:
    """For each table (rows of ``path``, rows that differ or stand in one of the two only), byte by byte."""
    found = {}
    with _said(other), closing(sqlite3.connect(path, isolation_level=None, uri=True)) as db:
        db.execute("ATTACH DATABASE ? AS other", (f"file:{quote(os.fsencode(other))}",))
        for table in TABLES:
            rows = db.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0]
            differ = 0
            for a, b in (("main", "other"), ("other", "main")):
                only_a = f"SELECT * FROM {a}.{table} EXCEPT SELECT * FROM {b}.{table}"
                differ += db.execute(f"SELECT count(*) FROM ({only_a})").fetchone()[0]
            found[table] = (rows, differ)
    return found


class PictureWriter:
    """The only writer of a derived store; one transaction a step.

    What is no store of this version is made anew, empty.

    Args:
        path: the file.
        keep: what is no store of this version is refused instead.

    Raises (also every method):
        PictureError: no room, no permission, a failing disk.
        PictureDamaged: the file is broken.
    """

    def __init__(self, path: Path, *, keep: bool = False):
        self.path = path
        self._rows: dict[tuple[str, str], tuple[int, Any] | None] = {}
        self.db: sqlite3.Connection
        self._file = (0, 0)
        if not path.exists():
            self.remake()
            return
        try:
            self._connect()
            version = self.meta("version")
        except PictureDamaged as error:
            if keep:
                raise
            log.warning("%s; it is made again", error)
            self.remake()
            return
        if version != VERSION:
            if keep:
                self.close()
                raise PictureError(f"{path} was made by another version of the program")
            log.warning("%s was made by another version of the program; it is made again", path)
            self.remake()

    def remake(self) -> None:
        """Throw everything away and begin with an empty store."""
        if hasattr(self, "db"):
            self.db.close()
        self._rows.clear()
        with _said(self.path):
            remove(self.path)
        self._connect()
        with _said(self.path):
            self.db.executescript("BEGIN IMMEDIATE;" + resources.files("opsroom").joinpath("schema_picture.sql").read_text())
            self.db.execute("INSERT INTO meta VALUES ('version', ?)", (VERSION,))
            # a tab that resumes must know another store from this one, however alike their numbers are
            self.db.execute("INSERT INTO meta VALUES ('store', ?)", (os.urandom(8),))
            self.db.execute("COMMIT")

    def gone(self) -> bool:
        """Whether the file was deleted or another was put in its place."""
        try:
            return self._file != _identity(self.path)
        except FileNotFoundError:
            return True

    def meta(self, key: str) -> bytes | None:
        """A stored value, or None."""
        try:
            row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except _TROUBLE as error:
            if "no such table" in str(error):
                return None  # a kill while the file was being made
            raise _failure(self.path, error) from error
        return None if row is None else row[0]

    def begin(self) -> None:
        """Start the step's transaction."""
        self._do("BEGIN IMMEDIATE")

    def commit(self, cursor: int) -> None:
        """Publish the step: everything up to journal entry ``cursor`` is in the picture."""
        for (table, key), held in self._rows.items():
            if held is None:
                self._do(f"DELETE FROM {table} WHERE id = ?", key)
            else:
                self._do(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", key, held[0], _pack(quantised(held[1])))
        self._rows.clear()
        self.set_meta("cursor", str(cursor).encode())
        self._do("COMMIT")

    def rollback(self) -> None:
        """Forget the step's transaction, if there is one."""
        self._rows.clear()
        if self.db.in_transaction:
            self._do("ROLLBACK")

    def set_meta(self, key: str, value: bytes) -> None:
        """Store a value within the step."""
        self._do("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def put(self, table: str, key: str, revision: int, row: Any) -> None:
        """Publish a row of ``track``, ``event``, ``alert`` or ``refused``; the last of a step is written."""
        assert table in TABLES
        self._rows[table, key] = (revision, row)

    def drop(self, table: str, key: str) -> None:
        """Take a published row away."""
        assert table in TABLES
        self._rows[table, key] = None

    def put_point(self, point: TrackPoint, part: int) -> None:
        """Publish one step of a track's history."""
        self._do("INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?)",
                 point.track_id, point.time_ns, point.seq, part, _pack(quantised(point)))

    def put_flag(self, flag: FlagRow, revision: int, thumbnail: bytes | None) -> None:
        """Publish an imagery flag."""
        self._do("INSERT OR REPLACE INTO flag VALUES (?, ?, ?, ?)", flag.flag_id, revision, _pack(quantised(flag)), thumbnail)

    def close(self) -> None:
        """Let go of the file; what was not committed is not in it."""
        self.db.close()

    def _connect(self) -> None:
        with _said(self.path):
            # what it holds is for its owner only, also where a command line makes it; SQLite's own files follow
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.db = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            self._file = _identity(self.path)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")  # derived: what a power cut takes is folded again

    def _do(self, sql: str, *values: Any) -> None:
        try:
            self.db.execute(sql, values)
        except _TROUBLE as error:
            raise _failure(self.path, error) from error


class PictureReader:
    """Reads a derived store: ``mode=ro``, short transactions; finds it again after it was replaced.

    Every method raises NotReady where there is no store yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def store(self) -> bytes:
        """A word of the store's own: another one's differs, also where it was made of the same journal."""
        rows = self._rows("SELECT value FROM meta WHERE key = 'store'")
        return bytes(rows[0][0]) if rows else b""

    def cursor(self) -> int:
        """The number of the last journal entry in the picture: the live sequence number."""
        rows = self._rows("SELECT value FROM meta WHERE key = 'cursor'")
        return int(rows[0][0]) if rows else 0

    def tracks(self, since: int = 0) -> list[tuple[int, Track]]:
        """(revision, track) of every track changed after ``since``, deleted ones included, by id."""
        return self._changed("track", since, _TRACK)

    def track(self, track_id: str) -> Track | None:
        """One track, or None."""
        rows = self._rows("SELECT body FROM track WHERE id = ?", (track_id,))
        return self._decoded(_TRACK, rows)[0] if rows else None

    def events(self, since: int = 0) -> list[tuple[int, Event]]:
        """(revision, event) changed after ``since``."""
        return self._changed("event", since, _EVENT)

    def alerts(self, since: int = 0) -> list[tuple[int, Alert]]:
        """(revision, alert) changed after ``since``."""
        return self._changed("alert", since, _ALERT)

    def flags(self, since: int = 0) -> list[tuple[int, FlagRow]]:
        """(revision, flag) changed after ``since``."""
        return self._changed("flag", since, _FLAG)

    def refused(self, since: int = 0) -> list[tuple[int, Refused]]:
        """(revision, refusal count) changed after ``since``."""
        return self._changed("refused", since, _REFUSED)

    def thumbnail(self, flag_id: str) -> bytes | None:
        """PNG bytes of a flag's thumbnail, or None."""
        rows = self._rows("SELECT thumbnail FROM flag WHERE id = ?", (flag_id,))
        return rows[0][0] if rows else None

    def points(self, track_id: str | None = None, *, since_ns: int = 0, limit: int | None = None) -> list[TrackPoint]:
        """Steps of one track (or all) from a time on, in order of (track, time); the newest ``limit``."""
        where, values = ("track = ? AND ", [track_id]) if track_id is not None else ("", [])
        sql = f"SELECT body, track, time_ns, seq, part FROM point WHERE {where}time_ns >= ? ORDER BY track, time_ns, seq, part"
        if limit is not None:
            backwards = sql.replace("ORDER BY track, time_ns, seq, part", "ORDER BY time_ns DESC, seq DESC, part DESC LIMIT ?")
            sql = f"SELECT * FROM ({backwards}) ORDER BY track, time_ns, seq, part"
            return self._decoded(_POINT, self._rows(sql, (*values, since_ns, limit)))
        return self._decoded(_POINT, self._rows(sql, (*values, since_ns)))

    def trail(self, track_id: str, *, since_ns: int, limit: int) -> tuple[list[TrackPoint], int]:
        """Steps of one track over the whole time since ``since_ns``, at most ``limit``, the oldest and the newest among them.

        The second value is 0 where these are all, else the least time between two of them (the rest lies between): each
        is the newest that is at least so much older than the one after it.  One seek in the index a step.
        """
        points = self.points(track_id, since_ns=since_ns, limit=limit + 1)
        if len(points) <= limit or limit < 2:
            return points[-limit:] if limit else [], 0
        newest_ns = points[-1].time_ns
        ((oldest_ns,),) = self._rows("SELECT min(time_ns) FROM point WHERE track = ? AND time_ns >= ?", (track_id, since_ns))
        step_ns = max(1, -((oldest_ns - newest_ns) // (limit - 1)))
        rows = self._rows("""WITH RECURSIVE hop(t) AS (VALUES (?) UNION ALL
              SELECT (SELECT max(time_ns) FROM point WHERE track = ? AND time_ns <= hop.t - ? AND time_ns >= ?)
              FROM hop WHERE hop.t IS NOT NULL
            ), chosen(t) AS (SELECT t FROM hop WHERE t IS NOT NULL UNION SELECT ?)
            SELECT (SELECT body FROM point WHERE track = ? AND time_ns = t ORDER BY seq DESC, part DESC LIMIT 1)
            FROM chosen ORDER BY t DESC LIMIT ?""",
            (newest_ns, track_id, step_ns, since_ns, oldest_ns, track_id, limit))
        return self._decoded(_POINT, rows[::-1]), step_ns

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _changed(self, table: str, since: int, decoder: msgspec.msgpack.Decoder) -> list:
        rows = self._rows(f"SELECT body, revision FROM {table} WHERE revision > ? ORDER BY revision, id", (since,))
        return list(zip([row[1] for row in rows], self._decoded(decoder, rows), strict=True))

    def _decoded(self, decoder: msgspec.msgpack.Decoder, rows: list[tuple]) -> list:
        try:
            return [decoder.decode(row[0]) for row in rows]
        except (msgspec.DecodeError, UnicodeError) as error:
            raise NotReady(f"{self.path} is damaged and cannot be shown; delete it, it is made again ({error})") from error

    def _rows(self, sql: str, values: tuple = ()) -> list[tuple]:
        try:
            stat = self.path.stat()
        except FileNotFoundError as error:
            self.close()
            raise NotReady(f"there is no picture at {self.path} yet") from error
        if self._db is None or self._file != (stat.st_dev, stat.st_ino):
            self.close()
            try:
                self._db = sqlite3.connect(f"file:{quote(os.fsencode(self.path))}?mode=ro", uri=True, isolation_level=None,
                                           check_same_thread=False, timeout=5.0)
            except _TROUBLE as error:
                raise NotReady(f"{self.path}: {_line(error)}") from error
            self._file = (stat.st_dev, stat.st_ino)
        try:
            return self._db.execute(sql, values).fetchall()
        except _TROUBLE as error:
            self.close()
            raise NotReady(f"{self.path}: {_line(error)}") from error


_TRACK = msgspec.msgpack.Decoder(Track)
_POINT = msgspec.msgpack.Decoder(TrackPoint)
_EVENT = msgspec.msgpack.Decoder(Event)
_ALERT = msgspec.msgpack.Decoder(Alert)
_FLAG = msgspec.msgpack.Decoder(FlagRow)
_REFUSED = msgspec.msgpack.Decoder(Refused)


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What the system or SQLite refuses, in one of our errors."""
    try:
        yield
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}") from error
    except _TROUBLE as error:
        raise _failure(path, error) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _failure(path: Path, error: Exception) -> PictureError:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return PictureError(f"{path}: the disk is full")
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, UnicodeError):
        return PictureDamaged(f"{path} is damaged: {_line(error)}")
    return PictureError(f"{path}: {_line(error)}")
