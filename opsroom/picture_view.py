"""What the derived store holds, as somebody with certain rights may see it: the only way to its rows.

A ``View`` is made of a store and of rights, and every question of it is about rows of those operations alone; whoever asks
for another's is answered as if there were none.  The console's frames, trails and lists, exports and scores all read through
one.  Today everybody has the one right ``ALL``; people and logins come later (docs/decisions/0010).

Over 400 lines: every question that anybody may ask of the rows stands here, so that none is asked past a view.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from birddog.directory import OPEN
from birddog.errors import BirddogError
from birddog.model import Alert, Event, Track, TrackPoint
from opsroom.picture_rows import Asked, Awaited, FlagRow, Refused

Row = TypeVar("Row", bound=msgspec.Struct)
T = TypeVar("T")

#: What sqlite3 raises: its own, and, where it meets damaged text or a number too large, Python's.
TROUBLE = (sqlite3.Error, UnicodeError, OverflowError)
#: Of what has left the range of a receiver and is nobody's case, a present picture has the newest so many.
LOST_MOST = 200


class NotReady(BirddogError):
    """There is no derived store yet, or it is being made."""


class Rights(msgspec.Struct, frozen=True):
    """The operations whose rows somebody may see; None: every one.

    ``Rights(frozenset({"NIGHTJAR", "open"}))`` is one case and what is public.
    """

    operations: frozenset[str] | None = None

    def may(self, operation: str) -> bool:
        """Whether rows of an operation may be seen."""
        return self.operations is None or operation in self.operations

    def clause(self, column: str = "operation") -> tuple[str, tuple[str, ...]]:
        """(SQL that holds for the rows of these operations, its values)."""
        if self.operations is None:
            return "1", ()
        names = tuple(sorted(self.operations))
        return f"{column} IN ({','.join('?' * len(names))})", names


#: A track's status by the journal's time at the picture's newest entry (``model.Track.lapsed``).
_NOW = "(SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE key = 'now')"
_STATE = f"""CASE WHEN state = 'deleted' OR gone_ns <= {_NOW} THEN 'deleted'
    WHEN state = 'silent' OR lost_ns <= {_NOW} THEN 'silent'
    WHEN state = 'coasting' OR coasts_ns <= {_NOW} THEN 'coasting' ELSE state END"""

#: A track's body: as it is believed now, where nothing has changed its row since that was written (``Picture.rest``).
_BODY = "coalesce((SELECT n.body FROM now n WHERE n.id = track.id AND n.revision = track.revision), body)"

#: The one right there is today.
ALL = Rights()


class StoreFile:
    """The file of a derived store, opened ``mode=ro``; found again after it was replaced."""

    def __init__(self, path: Path):
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The answer to one question, in a transaction of its own.

        Raises:
            NotReady: there is no store, or it cannot be read.
        """
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
            except TROUBLE as error:
                raise NotReady(f"{self.path}: {line(error)}") from error
            self._file = (stat.st_dev, stat.st_ino)
        try:
            return self._db.execute(sql, values).fetchall()
        except TROUBLE as error:
            self.close()
            raise NotReady(f"{self.path}: {line(error)}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


class View:
    """The rows of a derived store that somebody may see.

    Every method raises NotReady where there is no store yet.
    """

    def __init__(self, file: StoreFile, rights: Rights = ALL):
        self.rights = rights
        self._file = file

    def apart(self) -> View:
        """The same rows by a connection of its own, for another thread and a long question; whoever asks closes it."""
        return View(StoreFile(self._file.path), self.rights)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def store(self) -> bytes:
        """A word of the store's own: another one's differs, also where it was made of the same journal."""
        rows = self._file.rows("SELECT value FROM meta WHERE key = 'store'")
        return bytes(rows[0][0]) if rows else b""

    def cursor(self) -> int:
        """The number of the last journal entry in the picture: the live sequence number."""
        rows = self._file.rows("SELECT value FROM meta WHERE key = 'cursor'")
        return int(rows[0][0]) if rows else 0

    def now_ns(self) -> int:
        """The journal's time at that entry: what lapses has done so by it (``model.Track.lapsed``)."""
        rows = self._file.rows("SELECT value FROM meta WHERE key = 'now'")
        return int(rows[0][0]) if rows else 0

    def asked(self) -> Asked:
        """The alert budget, and the thresholds that it sets for the operations that one may see."""
        rows = self._file.rows("SELECT value FROM meta WHERE key = 'budget'")
        asked = msgspec.msgpack.decode(rows[0][0], type=Asked) if rows else Asked()
        mine = {name: found for name, found in asked.thresholds.items() if self.rights.may(name)}
        return msgspec.structs.replace(asked, thresholds=mine)

    def awaited(self) -> list[Awaited]:
        """The devices that were attached and not heard since."""
        rows = self._file.rows("SELECT value FROM meta WHERE key = 'awaited'")
        return [one for one in self._decoded(_AWAITED, rows)[0] if self.rights.may(one.operation)] if rows else []

    def tracks(self, since: int = 0) -> list[tuple[int, Track]]:
        """(revision, track) of every track changed after ``since``, deleted ones included, by id."""
        return self._lapsed(self._changed("track", since, _TRACK))

    def standing(self) -> list[tuple[int, Track]]:
        """(revision, track) of every track that has not ended."""
        mine, names = self.rights.clause()
        rows = self._file.rows(
            f"""SELECT {_BODY}, revision FROM track WHERE state IN ('tentative', 'confirmed', 'coasting', 'silent') AND {mine}
            AND {_STATE} <> 'deleted' ORDER BY revision, id""", names)  # fmt: skip
        return self._lapsed(list(zip([row[1] for row in rows], self._decoded(_TRACK, rows), strict=True)))

    def present(self) -> list[tuple[int, Track]]:
        """(revision, track) of what is there now: nothing that has ended; of what is lost in ``open`` and has no open alert the
        newest ``LOST_MOST``.
        """
        mine, names = self.rights.clause()
        rows = self._file.rows(
            f"""WITH standing AS MATERIALIZED (SELECT id, revision, operation, {_STATE} AS state FROM track
                WHERE state IN ('tentative', 'confirmed', 'coasting', 'silent') AND {mine}),
            chosen AS (SELECT id FROM standing WHERE state IN ('tentative', 'confirmed', 'coasting')
                OR (state = 'silent' AND operation <> ?)
            UNION ALL SELECT * FROM (SELECT id FROM standing WHERE state = 'silent' AND operation = ?
                ORDER BY revision DESC, id DESC LIMIT ?)
            UNION SELECT id FROM standing WHERE state = 'silent' AND id IN (
                SELECT track FROM alert WHERE state = 'open' AND track <> ''))
            SELECT {_BODY}, revision, id FROM track WHERE id IN (SELECT id FROM chosen) ORDER BY revision, id""",
            (*names, OPEN, OPEN, LOST_MOST),
        )
        return self._lapsed(list(zip([row[1] for row in rows], self._decoded(_TRACK, rows), strict=True)))

    def track(self, track_id: str) -> Track | None:
        """One track, or None."""
        found = self._one("track", _BODY, track_id, _TRACK)
        return None if found is None else found.lapsed(self.now_ns())

    def statuses(self) -> dict[str, int]:
        """How many tracks there are of each status."""
        mine, names = self.rights.clause()
        sql = f"SELECT {_STATE} AS now, count(*) FROM track WHERE {mine} GROUP BY now ORDER BY now"
        return dict(self._file.rows(sql, names))

    def operations(self) -> set[str]:
        """The operations that have a track."""
        mine, names = self.rights.clause()
        return {row[0] for row in self._file.rows(f"SELECT DISTINCT operation FROM track WHERE {mine}", names)}

    def events(self, since: int = 0, newest: int | None = None) -> list[tuple[int, Event]]:
        """(revision, event) changed after ``since``; of all the ``newest``."""
        return self._changed("event", since, _EVENT, newest)

    def event(self, event_id: str) -> Event | None:
        """One event, or None."""
        return self._one("event", "body", event_id, _EVENT)

    def alerts(self, since: int = 0) -> list[tuple[int, Alert]]:
        """(revision, alert) changed after ``since``."""
        return self._changed("alert", since, _ALERT)

    def open_alerts(self) -> list[tuple[int, Alert]]:
        """(revision, alert) of those that wait for a person."""
        return self._changed("alert", 0, _ALERT, state="open")

    def closed_alerts(self, newest: int) -> list[tuple[int, Alert]]:
        """(revision, alert) of those that nobody waits for, so many."""
        return self._changed("alert", 0, _ALERT, newest, state="")

    def closed_since(self, time_ns: int, page: int = 1000) -> list[Alert]:
        """The alerts that nobody waits for and that were over, or acknowledged, at a time or later, the newest first.

        They are read in the order in which they changed last, a page at once, until a whole page is older.
        """
        mine, names = self.rights.clause()
        found: list[Alert] = []
        before: tuple[int, str] = (2**63 - 1, "")
        while True:
            rows = self._file.rows(f"""SELECT body, revision, id FROM alert
                WHERE state = '' AND (revision, id) < (?, ?) AND {mine}
                ORDER BY revision DESC, id DESC LIMIT ?""", (*before, *names, page))
            alerts = self._decoded(_ALERT, rows)
            late = [one for one in alerts if max(one.cleared_ns or 0, one.acknowledged_ns or 0) >= time_ns]
            found += late
            if len(rows) < page or not late:
                return found
            before = rows[-1][1], rows[-1][2]

    def alert(self, alert_id: str) -> Alert | None:
        """One alert, or None."""
        return self._one("alert", "body", alert_id, _ALERT)

    def flags(self, since: int = 0) -> list[tuple[int, FlagRow]]:
        """(revision, flag) changed after ``since``."""
        return self._changed("flag", since, _FLAG)

    def refused(self, since: int = 0) -> list[tuple[int, Refused]]:
        """(revision, refusal count) changed after ``since``."""
        return self._changed("refused", since, _REFUSED)

    def flag(self, flag_id: str) -> FlagRow | None:
        """One flag, or None."""
        return self._one("flag", "body", flag_id, _FLAG)

    def thumbnail(self, flag_id: str) -> bytes | None:
        """PNG bytes of a flag's thumbnail, or None."""
        mine, names = self.rights.clause()
        rows = self._file.rows(f"SELECT thumbnail FROM flag WHERE id = ? AND {mine}", (flag_id, *names))
        return rows[0][0] if rows else None

    def points(
        self, track_id: str | None = None, *, since_ns: int = 0, limit: int | None = None, believed_at: int | None = None
    ) -> list[TrackPoint]:
        """Steps of one track (or all) from a time on, in order of (track, time); the newest ``limit``.

        Args:
            believed_at: as they were believed when this entry of the journal had been folded; None: as they are now.
        """
        mine, names = self._of_tracks()
        where, values = ("track = ? AND ", [track_id]) if track_id is not None else ("", [])
        version, at = _version(believed_at)
        sql = f"""SELECT body, track, time_ns, seq FROM point WHERE {where}{mine} AND time_ns >= ? AND {version}
                  ORDER BY track, time_ns, seq"""
        if limit is not None:
            backwards = sql.replace("ORDER BY track, time_ns, seq", "ORDER BY time_ns DESC, seq DESC LIMIT ?")
            sql = f"SELECT * FROM ({backwards}) ORDER BY track, time_ns, seq"
            return self._decoded(_POINT, self._file.rows(sql, (*values, *names, since_ns, *at, limit)))
        return self._decoded(_POINT, self._file.rows(sql, (*values, *names, since_ns, *at)))

    def measured_before(self, track_id: str, time_ns: int) -> int | None:
        """When the newest step of a track that a measurement made, before a time, was; None: there is none."""
        mine, names = self._of_tracks()
        sql = f"""SELECT max(time_ns) FROM point WHERE track = ? AND {mine} AND time_ns < ? AND step NOT LIKE 'coast:%'
                  AND until IS NULL"""
        [(found,)] = self._file.rows(sql, (track_id, *names, time_ns))
        return found

    def trail(
        self, track_id: str, *, since_ns: int, limit: int, believed_at: int | None = None
    ) -> tuple[list[TrackPoint], int]:
        """Steps of one track over the whole time since ``since_ns``, at most ``limit``, the oldest and the newest among them.

        The second value is 0 where these are all, else the least time between two of them (the rest lies between): each
        is the newest that is at least so much older than the one after it.  One seek in the index a step.
        """
        points = self.points(track_id, since_ns=since_ns, limit=limit + 1, believed_at=believed_at)
        if len(points) <= limit or limit < 2:
            return points[-limit:] if limit else [], 0
        newest_ns = points[-1].time_ns
        version, at = _version(believed_at)
        asked = f"SELECT min(time_ns) FROM point WHERE track = ? AND time_ns >= ? AND {version}"
        ((oldest_ns,),) = self._file.rows(asked, (track_id, since_ns, *at))
        step_ns = max(1, -((oldest_ns - newest_ns) // (limit - 1)))
        rows = self._file.rows(f"""WITH RECURSIVE hop(t) AS (VALUES (?) UNION ALL
              SELECT (SELECT max(time_ns) FROM point WHERE track = ? AND time_ns <= hop.t - ? AND time_ns >= ? AND {version})
              FROM hop WHERE hop.t IS NOT NULL
            ), chosen(t) AS (SELECT t FROM hop WHERE t IS NOT NULL UNION SELECT ?)
            SELECT (SELECT body FROM point WHERE track = ? AND time_ns = t AND {version} ORDER BY seq DESC LIMIT 1)
            FROM chosen ORDER BY t DESC LIMIT ?""",
            (newest_ns, track_id, step_ns, since_ns, *at, oldest_ns, track_id, *at, limit))
        return self._decoded(_POINT, rows[::-1]), step_ns

    def between(self, track_id: str, since_ns: int, until_ns: int, limit: int) -> list[TrackPoint]:
        """Steps of one track between two times, at most ``limit``, spread evenly where there are more."""
        mine, names = self._of_tracks()
        version, at = _version(None)
        where = f"FROM point WHERE track = ? AND {mine} AND time_ns BETWEEN ? AND ? AND {version}"
        values = (track_id, *names, since_ns, until_ns, *at)
        ((count,),) = self._file.rows(f"SELECT count(*) {where}", values)
        every = max(1, -(-count // max(1, limit)))
        rows = self._file.rows(f"""SELECT body FROM (SELECT body, row_number() OVER (ORDER BY time_ns, seq) AS n {where})
            WHERE (n - 1) % ? = 0 ORDER BY n""", (*values, every))
        return self._decoded(_POINT, rows)

    def until(self, track_id: str, until_ns: int, limit: int) -> list[TrackPoint]:
        """The newest measured steps of one track that are not after a time, in order."""
        mine, names = self._of_tracks()
        version, at = _version(None)
        rows = self._file.rows(f"""SELECT body FROM point WHERE track = ? AND {mine} AND time_ns <= ? AND {version}
            ORDER BY time_ns DESC, seq DESC LIMIT ?""", (track_id, *names, until_ns, *at, limit))
        return self._decoded(_POINT, rows[::-1])

    def last_place(self, track_id: str, until_ns: int) -> TrackPoint | None:
        """The newest step of a track that a measurement made, not after a time: no prediction; None: there is none."""
        mine, names = self._of_tracks()
        version, at = _version(None)
        rows = self._file.rows(f"""SELECT body FROM point WHERE track = ? AND {mine} AND time_ns <= ? AND {version}
            AND step NOT LIKE 'coast:%' ORDER BY time_ns DESC, seq DESC LIMIT 1""", (track_id, *names, until_ns, *at))
        return self._decoded(_POINT, rows)[0] if rows else None

    def _lapsed(self, rows: list[tuple[int, Track]]) -> list[tuple[int, Track]]:
        now_ns = self.now_ns()
        return [(revision, row.lapsed(now_ns) if row.lapses_ns else row) for revision, row in rows]

    def _of_tracks(self) -> tuple[str, tuple[str, ...]]:
        """A point's operation is its track's."""
        if self.rights.operations is None:
            return "1", ()
        mine, names = self.rights.clause()
        return f"track IN (SELECT id FROM track WHERE {mine})", names

    def _one(self, table: str, column: str, key: str, decoder: msgspec.msgpack.Decoder[Row]) -> Row | None:
        mine, names = self.rights.clause()
        rows = self._file.rows(f"SELECT {column} FROM {table} WHERE id = ? AND {mine}", (key, *names))
        return self._decoded(decoder, rows)[0] if rows else None

    def _changed(
        self, table: str, since: int, decoder: msgspec.msgpack.Decoder[Row], newest: int | None = None, state: str | None = None
    ) -> list[tuple[int, Row]]:
        mine, values = self.rights.clause()
        where: tuple[Any, ...] = (since, *values)
        if state is not None:
            mine, where = f"{mine} AND state = ?", (*where, state)
        body = _BODY if table == "track" else "body"
        sql = f"SELECT {body}, revision, id FROM {table} WHERE revision > ? AND {mine}"
        if newest is not None:
            sql, where = f"SELECT * FROM ({sql} ORDER BY revision DESC, id DESC LIMIT ?)", (*where, newest)
        rows = self._file.rows(f"{sql} ORDER BY revision, id", where)
        return list(zip([row[1] for row in rows], self._decoded(decoder, rows), strict=True))

    def _decoded(self, decoder: msgspec.msgpack.Decoder[T], rows: list[tuple[Any, ...]]) -> list[T]:
        try:
            return [decoder.decode(row[0]) for row in rows]
        except (msgspec.DecodeError, UnicodeError) as error:
            words = f"{self._file.path} is damaged and cannot be shown; delete it, it is made again ({error})"
            raise NotReady(words) from error


class PictureReader(View):
    """A derived store at a path, and everything in it that these rights allow; ``view`` is the same file for other rights."""

    def __init__(self, path: Path, rights: Rights = ALL):
        super().__init__(StoreFile(path), rights)
        self.path = path

    def view(self, rights: Rights) -> View:
        """The same store as somebody else may see it."""
        return self if rights == self.rights else View(self._file, rights)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _version(believed_at: int | None) -> tuple[str, tuple[int, ...]]:
    """(SQL that holds for the versions of steps that were believed at an entry, its values)."""
    if believed_at is None:
        return "until IS NULL", ()
    return "believed <= ? AND (until IS NULL OR until > ?)", (believed_at, believed_at)


def line(error: Exception) -> str:
    """An error's words on one line."""
    return " ".join(str(error).split())


_TRACK = msgspec.msgpack.Decoder(Track)
_POINT = msgspec.msgpack.Decoder(TrackPoint)
_EVENT = msgspec.msgpack.Decoder(Event)
_ALERT = msgspec.msgpack.Decoder(Alert)
_AWAITED = msgspec.msgpack.Decoder(list[Awaited])
_FLAG = msgspec.msgpack.Decoder(FlagRow)
_REFUSED = msgspec.msgpack.Decoder(Refused)
