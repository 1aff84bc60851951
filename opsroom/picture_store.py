"""The derived store beside the journal: what the picture publishes and the console reads.

Rows are quantised when they are published (1e-7 degrees, 1e-3 m, 1e-3 m/s, covariances to 6 digits),
so that "identical after a rebuild" is equality of bytes.
"""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from birddog.errors import BirddogError
from birddog.model import Alert, Event, Track, TrackPoint

#: Raised with every change of what the tables hold: a store of another version is made anew.
VERSION = "1"
TABLES = ("track", "point", "event", "alert", "flag", "refused")

_pack = msgspec.msgpack.Encoder(order="deterministic").encode
Row = TypeVar("Row", Track, TrackPoint, Event, Alert)


class NotReady(BirddogError):
    """There is no derived store yet, or it is being made."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one sender refused for one reason, counted; never a position."""

    refused_id: str
    source: str
    device: str
    format: str
    reason: str
    detail: str
    count: int
    first_ns: int
    last_ns: int


class FlagRow(msgspec.Struct, frozen=True, kw_only=True):
    """An imagery flag as published; ``dark`` = near no reporting track when it was seen."""

    flag_id: str
    scan_id: str
    scene_sha256: str
    scene_name: str
    sensor: str
    time_ns: int
    detector: str
    score: float
    pfa: float
    lat_deg: float | None
    lon_deg: float | None
    length_m: float | None
    truncated: bool
    dark: bool


def picture_path(journal: Path) -> Path:
    """Where the derived store of a journal file lies."""
    return journal.with_name(journal.name + ".picture")


class PictureWriter:
    """The only writer of a derived store; one transaction a step."""

    def __init__(self, path: Path):
        self.path = path
        fresh = not path.exists()
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")  # derived: what a power cut takes is folded again
        if not fresh and self.meta("version") != VERSION.encode():
            self.db.close()
            _remove(path)
            fresh = True
            self.db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")
        if fresh:
            script = resources.files("opsroom").joinpath("schema_picture.sql").read_text()
            version = f"INSERT INTO meta VALUES ('version', CAST('{VERSION}' AS BLOB));"
            self.db.executescript(f"BEGIN IMMEDIATE;{script}{version}COMMIT;")
        self._rows: dict[tuple[str, str], tuple[int, Any]] = {}

    def meta(self, key: str) -> bytes | None:
        """A stored value, or None."""
        try:
            row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.OperationalError:
            return None  # no such table: a kill while the file was being made
        return None if row is None else row[0]

    def begin(self) -> None:
        """Start the step's transaction."""
        self.db.execute("BEGIN IMMEDIATE")

    def commit(self, cursor: int) -> None:
        """Publish the step: everything up to journal entry ``cursor`` is in the picture."""
        for (table, key), (revision, row) in self._rows.items():
            self.db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (key, revision, _pack(quantised(row))))
        self._rows.clear()
        self.set_meta("cursor", str(cursor).encode())
        self.db.execute("COMMIT")

    def set_meta(self, key: str, value: bytes) -> None:
        """Store a value within the step."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def put(self, table: str, key: str, revision: int, row: Any) -> None:
        """Publish a row of ``track``, ``event``, ``alert`` or ``refused``; the last of a step is written."""
        assert table in TABLES
        self._rows[table, key] = (revision, row)

    def put_point(self, point: TrackPoint, part: int) -> None:
        """Publish one step of a track's history."""
        self.db.execute(
            "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?)",
            (point.track_id, point.time_ns, point.seq, part, _pack(quantised(point))),
        )

    def put_flag(self, flag: FlagRow, revision: int, thumbnail: bytes | None) -> None:
        """Publish an imagery flag."""
        self.db.execute("INSERT OR REPLACE INTO flag VALUES (?, ?, ?, ?)",
                        (flag.flag_id, revision, _pack(quantised(flag)), thumbnail))

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()


class PictureReader:
    """Reads a derived store: ``mode=ro``, short transactions; finds it again after it was replaced.

    Every method raises NotReady where there is no store yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

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
        return _TRACK.decode(rows[0][0]) if rows else None

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
            return [_POINT.decode(row[0]) for row in self._rows(sql, (*values, since_ns, limit))]
        return [_POINT.decode(row[0]) for row in self._rows(sql, (*values, since_ns))]

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _changed(self, table: str, since: int, decoder: msgspec.msgpack.Decoder) -> list:
        rows = self._rows(f"SELECT revision, body FROM {table} WHERE revision > ? ORDER BY revision, id", (since,))
        return [(revision, decoder.decode(body)) for revision, body in rows]

    def _rows(self, sql: str, values: tuple = ()) -> list[tuple]:
        try:
            stat = self.path.stat()
        except FileNotFoundError as error:
            self.close()
            raise NotReady(f"there is no picture at {self.path} yet") from error
        if self._db is None or self._file != (stat.st_dev, stat.st_ino):
            self.close()
            try:
                self._db = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, isolation_level=None,
                                           check_same_thread=False, timeout=5.0)
            except sqlite3.Error as error:
                raise NotReady(f"{self.path}: {error}") from error
            self._file = (stat.st_dev, stat.st_ino)
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise NotReady(f"{self.path}: {error}") from error


_TRACK = msgspec.msgpack.Decoder(Track)
_POINT = msgspec.msgpack.Decoder(TrackPoint)
_EVENT = msgspec.msgpack.Decoder(Event)
_ALERT = msgspec.msgpack.Decoder(Alert)
_FLAG = msgspec.msgpack.Decoder(FlagRow)
_REFUSED = msgspec.msgpack.Decoder(Refused)


def quantised(row: Row) -> Row:
    """A row as it is published: positions to 1e-7 degrees, speeds to 1e-3 m/s, covariances to 6 digits."""
    changes = {}
    for field in row.__struct_fields__:
        value = getattr(row, field)
        if not isinstance(value, float):
            continue
        if field in ("lat_deg", "lon_deg"):
            changes[field] = round(value, 7) + 0.0
        elif field.startswith("p_") or field in ("nis", "score", "pfa"):
            changes[field] = float(f"{value:.6g}")
        else:
            changes[field] = round(value, 3) + 0.0
    return msgspec.structs.replace(row, **changes) if changes else row


def _remove(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
