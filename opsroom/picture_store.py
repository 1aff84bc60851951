"""The derived store beside the journal: what the picture publishes and the console reads.

Rows are quantised when they are published (opsroom.picture_rows), so that "identical after a rebuild" is
equality of bytes.  Here is its one writer; everybody reads through a ``picture_view.View``.

Over 400 lines: every way into the one file, and its transactions.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from birddog import __version__, lock
from birddog.errors import BirddogError
from birddog.model import Alert, Track, TrackPoint
from opsroom.picture_rows import LOT, FlagRow, Refused, quantised, quantised_all
from opsroom.picture_view import TROUBLE, NotReady, PictureReader, line

__all__ = [
    "FlagRow", "NotReady", "PictureDamaged", "PictureError", "PictureReader", "PictureWriter", "Refused", "Stood", "beside",
    "copy", "differences", "hold", "remove", "stood",
]  # fmt: skip

log = logging.getLogger(__name__)

#: Raised with every change of what the tables hold.  A store of another version, or folded by another
#: version of the program, is made anew: rows of two versions side by side are no rebuild's.
VERSION = f"17 {__version__}".encode()

#: A store that holds its rows holds not many more than these (about 1 kB each).
HELD = 30_000

TABLES = ("track", "point", "event", "alert", "flag", "refused")

_pack = msgspec.msgpack.Encoder(order="deterministic").encode


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
    except (*TROUBLE, KeyError, ValueError, TypeError) as error:
        log.info("%s does not say where it stands: %s", path, line(error))
        return None


def beside(path: Path) -> Path:
    """Where the store that is to take the place of the one at ``path`` is made (``opsroom.following``)."""
    return Path(f"{path}.anew")


def remove(path: Path) -> None:
    """Delete a derived store, what is made beside it, and what SQLite keeps of either (an old WAL would be played into a new
    file).
    """
    for one in (path, beside(path)):
        for name in (one, *_of_sqlite(one)):
            name.unlink(missing_ok=True)


def _of_sqlite(path: Path) -> tuple[Path, Path]:
    return Path(f"{path}-wal"), Path(f"{path}-shm")


def may_write_beside(path: Path) -> bool:
    """Whether a file may be made in the folder of ``path``: not on a disc, in a folder of evidence, in somebody else's."""
    return os.access(path.resolve().parent, os.W_OK)


def copy(path: Path, to: Path) -> None:
    """A consistent copy of a store that its picture process may be writing; ``path`` is not changed.

    Raises:
        PictureError: it cannot be read, or there is no room.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode=ro"
    if not may_write_beside(path) and not os.path.exists(f"{path}-shm"):
        # SQLite wants to make a shared index beside it even to read; what was closed is read as it lies
        if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
            raise PictureError(f"{path}: its newest rows are in {path}-wal, which is read only where something can be written "
                               "beside it: copy the two to another folder")
        uri += "&immutable=1"
    with _said(path), closing(sqlite3.connect(uri, uri=True, timeout=10.0)) as source:
        with closing(sqlite3.connect(to)) as target:
            source.backup(target)  # in one step, so from one read transaction


def differences(path: Path, other: Path, tables: Iterable[str] = TABLES) -> dict[str, tuple[int, int]]:
    """For each of the tables (rows of ``path``, rows that differ or stand in one of the two only), byte by byte."""
    found = {}
    with _said(other), closing(sqlite3.connect(path, isolation_level=None, uri=True)) as db:
        db.execute("ATTACH DATABASE ? AS other", (f"file:{quote(os.fsencode(other))}",))
        for table in tables:
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
        holds: nobody reads it before it is complete, and nobody goes on from it: what a step publishes is held until
            ``write_held``, and so written once, however often it changed.

    Raises (also every method):
        PictureError: no room, no permission, a failing disk.
        PictureDamaged: the file is broken.
    """

    def __init__(self, path: Path, *, keep: bool = False, holds: bool = False):
        self.path, self._holds = path, holds
        self._rows: dict[tuple[str, str], tuple[int, Any] | None] = {}
        #: Of steps that are done, and in no table yet.
        self._held: dict[tuple[str, str], tuple[int, Any] | None] = {}
        self._points: list[TrackPoint] = []
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
        self._held.clear()
        self._points.clear()
        with _said(self.path):
            remove(self.path)
        self._connect()
        with _said(self.path):
            self.db.executescript("BEGIN IMMEDIATE;" + resources.files("opsroom").joinpath("schema_picture.sql").read_text())
            self.db.execute("INSERT INTO meta VALUES ('version', ?)", (VERSION,))
            # a tab that resumes must know another store from this one, however alike their numbers are
            self.db.execute("INSERT INTO meta VALUES ('store', ?)", (os.urandom(8),))
            self.db.execute("COMMIT")

    def move(self, path: Path) -> None:
        """Put the file in the place of another store, which readers have open and nobody writes."""
        with _said(path):
            self.db.close()  # the last connection: its write-ahead log is in the file
            for name in _of_sqlite(path):
                name.unlink(missing_ok=True)
            os.replace(self.path, path)
        self.path = path
        self._connect()

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
        except TROUBLE as error:
            if "no such table" in str(error):
                return None  # a kill while the file was being made
            raise _failure(self.path, error) from error
        return None if row is None else row[0]

    def number(self, key: str) -> int:
        """A stored number, 0 where there is none."""
        return int(self.meta(key) or b"0")

    def begin(self) -> None:
        """Start the step's transaction."""
        self._do("BEGIN IMMEDIATE")

    def commit(self, cursor: int, then: Callable[[], None] | None = None) -> None:
        """Publish the step: everything up to journal entry ``cursor`` is in the picture.

        Args:
            then: what is to be done in the same transaction when its rows are written.
        """
        if self._holds and len(self._held) < HELD:
            self._held.update(self._rows)
        else:
            self._put_rows(self._held | self._rows)
            self._held.clear()
        self._rows.clear()
        self._put_points()
        if then is not None:
            then()
        self.set_meta("cursor", str(cursor).encode())
        self._do("COMMIT")

    def write_held(self, then: Callable[[], None] | None = None) -> None:
        """Write what is held: the store is complete, as far as it goes.

        Args:
            then: what is to be done in the same transaction when its rows are written.
        """
        if self._held or then is not None:
            self.begin()
            self._put_rows(self._held)
            if then is not None:
                then()
            self._do("COMMIT")
            self._held.clear()

    def put_now(self, rows: Sequence[Track]) -> None:
        """Write the tracks as they are believed now, beside their rows, in place of those of before; none where a track's row
        says the same, as that of one that was just heard.
        """
        self._do("DELETE FROM now")
        held = self._held
        rows = [row for row in rows if (of := held.get(("track", row.track_id))) is None or not _says(of[1], row)]
        for at in range(0, len(rows), LOT):
            some = [(_pack(row), row.track_id) for row in quantised_all(rows[at : at + LOT])]
            self._do_many(_NOW, [(body, name, body) for body, name in some])

    def _put_rows(self, changed: dict[tuple[str, str], tuple[int, Any] | None]) -> None:
        rows: dict[str, list[tuple[str, int, Any]]] = {}
        for (table, key), held in changed.items():
            if held is None:
                self._do(f"DELETE FROM {table} WHERE id = ?", key)
            else:
                rows.setdefault(table, []).append((key, *held))
        for table, some in rows.items():
            for at in range(0, len(some), LOT):
                bodies = quantised_all([row for _, _, row in some[at : at + LOT]])
                many = [_values(key, revision, row) for (key, revision, _), row in zip(some[at:], bodies, strict=False)]
                self._do_many(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(many[0]))})", many)

    def _put_points(self) -> None:
        """The points of the step; at once where each is another step of a trail, as nearly always."""
        points = self._points
        if not any(point.withdrawn for point in points):
            keys = {(point.track_id, point.time_ns, point.step): point for point in points}
            if len(keys) == len(points):
                self._do_many(_OVER, [(p.believed_at, *key, p.believed_at) for key, p in keys.items()])
                told = zip(keys, quantised_all(points), strict=True)
                self._do_many(_TOLD, [(*key, p.believed_at, p.seq, _pack(p)) for key, p in told])
                points.clear()
        for point in points:
            which, now = (point.track_id, point.time_ns, point.step), point.believed_at
            self._do(_OVER, now, *which, now)
            if point.withdrawn:
                self._do("DELETE FROM point WHERE track = ? AND time_ns = ? AND step = ? AND believed = ?", *which, now)
            else:
                self._do(_TOLD, *which, now, point.seq, _pack(quantised(point)))
        points.clear()

    def rollback(self) -> None:
        """Forget the step's transaction, if there is one."""
        self._rows.clear()
        self._points.clear()
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

    def put_point(self, point: TrackPoint) -> None:
        """Publish a version of a step of a track's history; the one before is believed no longer."""
        self._points.append(point)

    def put_flag(self, flag: FlagRow, revision: int, thumbnail: bytes | None) -> None:
        """Publish an imagery flag."""
        self._do("INSERT OR REPLACE INTO flag VALUES (?, ?, ?, ?, ?)",
                 flag.flag_id, revision, flag.operation, _pack(quantised(flag)), thumbnail)

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
            # the newest rows of some ten thousand tracks: by default two thirds of them would be read again for each batch
            self.db.execute("PRAGMA cache_size = -65536")
            self.db.execute("PRAGMA synchronous = NORMAL")  # derived: what a power cut takes is folded again

    def _do(self, sql: str, *values: Any) -> None:
        try:
            self.db.execute(sql, values)
        except TROUBLE as error:
            raise _failure(self.path, error) from error

    def _do_many(self, sql: str, many: list[tuple[Any, ...]]) -> None:
        try:
            self.db.executemany(sql, many)
        except TROUBLE as error:
            raise _failure(self.path, error) from error


#: A version of a step of a trail is believed no longer; and another is told.
_OVER = "UPDATE point SET until = ? WHERE track = ? AND time_ns = ? AND step = ? AND until IS NULL AND believed < ?"
_TOLD = "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, NULL, ?, ?)"


#: A track as it is believed now.
_NOW = "INSERT OR REPLACE INTO now SELECT id, revision, ? FROM track WHERE id = ? AND body <> ?"


def _says(row: Track, other: Track) -> bool:
    """Whether two rows of a track are surely the same bytes: a zero with a sign is another, and True is no 1."""
    return row == other and not row.attributes and all(
        math.copysign(1.0, a) == math.copysign(1.0, b) for a, b in ((row.p_en, other.p_en), (row.p_v_en, other.p_v_en))
    )  # fmt: skip


def _values(key: str, revision: int, row: Any) -> tuple[Any, ...]:
    """A quantised row as its table has it."""
    body = _pack(row)
    match row:
        case Track():
            return (key, revision, row.operation, row.status, *(row.lapses_ns or (None, None, None)), body)
        case Alert():
            return (key, revision, row.operation, "open" if row.open else "", row.track_id, body)
        case _:
            return (key, revision, row.operation, body)


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
    except TROUBLE as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: Exception) -> PictureError:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return PictureError(f"{path}: the disk is full")
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, UnicodeError):
        return PictureDamaged(f"{path} is damaged: {line(error)}")
    return PictureError(f"{path}: {line(error)}")
