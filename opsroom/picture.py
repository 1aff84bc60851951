"""The picture: one fold of the journal with a cursor.  The live run and `birddog rebuild` are this code.

For each entry: tracker -> events -> alerts -> rows, a batch of entries one transaction.  Kill it at any
time: the fold's state is stored now and then with the entry it stood at; on the next start the entries
since are folded again in memory, without publishing what was published already.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from birddog.errors import JournalError, UsageError
from birddog.journal import Reader
from birddog.model import Alert, Decision, Entry, Event, FrameBody, RefusalBody, Scan, unpack
from opsroom.alerts import Alerts
from opsroom.picture_store import TABLES, FlagRow, PictureWriter, Refused
from tracking.fold import Fold

log = logging.getLogger(__name__)

#: The fold's state is stored every so many entries.
SNAPSHOT_ENTRIES = 5000
STEP_ENTRIES = 500


class _State(msgspec.Struct):
    cursor: int
    fold: bytes
    alerts: list[Alert]
    refused: list[Refused]


class Picture:
    """Folds a journal into a derived store.

    Args:
        journal: the reader to fold.
        path: the derived store; made where it is absent.
    """

    def __init__(self, journal: Reader, path: Path):
        self.journal = journal
        self.store = PictureWriter(path)
        stored = self.store.meta("state")
        state = _State(0, b"", [], [])
        self.fold = Fold()
        if stored:
            try:
                kept = msgspec.msgpack.decode(stored, type=_State)
                self.fold = Fold.restore(kept.fold)
                state = kept
            except msgspec.DecodeError:
                # stored by another version of the fold: fold from the beginning
                log.warning("%s: the stored state is of another version; folding from the beginning", path)
        self.alerts = Alerts.restore(state.alerts)
        self._refused = {row.refused_id: row for row in state.refused}
        self._snapshot_at = self.cursor = state.cursor
        published = int(self.store.meta("cursor") or b"0")
        if published > journal.last_seq():
            raise UsageError(f"{path} is ahead of its journal: another journal's, or an older copy was put in its place")
        while self.cursor < published:
            for entry in journal.read(self.cursor, min(STEP_ENTRIES, published - self.cursor)):
                self._apply(entry, publish=False)

    def step(self, limit: int = STEP_ENTRIES) -> int:
        """Fold the next entries; how many there were (0 = up to date)."""
        entries = self.journal.read(self.cursor, limit)
        if not entries:
            return 0
        self.store.begin()
        for entry in entries:
            self._apply(entry, publish=True)
        if self.cursor - self._snapshot_at >= SNAPSHOT_ENTRIES:
            self.save()
        self.store.commit(self.cursor)
        return len(entries)

    def save(self) -> None:
        """Store the fold's state within the step's transaction."""
        state = _State(self.cursor, self.fold.snapshot(), self.alerts.snapshot(), list(self._refused.values()))
        self.store.set_meta("state", msgspec.msgpack.encode(state))
        self._snapshot_at = self.cursor

    def close(self) -> None:
        """Let go of the derived store (the journal's reader is the caller's)."""
        self.store.close()

    def _apply(self, entry: Entry, *, publish: bool) -> None:
        if entry.seq != self.cursor + 1:
            raise JournalError(f"the journal has a hole: entry {entry.seq} follows {self.cursor}")
        changes = self.fold.apply(entry)
        alerts = [alert for event in changes.events if (alert := self.alerts.event(event)) is not None]
        body = unpack(entry) if entry.kind in ("frame", "refusal", "scan", "decision") else None
        if isinstance(body, Decision):
            acknowledged = self.alerts.decision(body, entry.received_ns)
            alerts += [acknowledged] if acknowledged is not None else []
        refused = self._count_refused(entry, body) if isinstance(body, FrameBody | RefusalBody) and body.rejects else []
        self.cursor = entry.seq
        if not publish:
            return
        store, seq = self.store, entry.seq
        for track in changes.tracks:
            store.put("track", track.track_id, seq, track)
        for part, point in enumerate(changes.points):
            store.put_point(point, part)
        for event in changes.events:
            store.put("event", event.event_id, seq, event)
        for alert in alerts:
            store.put("alert", alert.alert_id, seq, alert)
        for row in refused:
            store.put("refused", row.refused_id, seq, row)
        if isinstance(body, Scan):
            self._publish_flags(body, seq, changes.events)

    def _count_refused(self, entry: Entry, body: FrameBody | RefusalBody) -> list[Refused]:
        rows = []
        for reject in body.rejects:
            device = reject.device or body.device
            key = "\x1f".join((entry.source, device, body.format, reject.reason))
            old = self._refused.get(key)
            row = Refused(
                refused_id=key, source=entry.source, device=device, format=body.format, reason=reject.reason,
                detail=reject.detail, count=old.count + 1 if old else 1, first_ns=old.first_ns if old else entry.received_ns,
                last_ns=entry.received_ns,
            )
            self._refused[key] = row
            rows.append(row)
        return rows

    def _publish_flags(self, scan: Scan, seq: int, events: list[Event]) -> None:
        dark = {(e.lat_deg, e.lon_deg) for e in events if e.kind == "dark_vessel"}
        for flag in scan.flags:
            row = FlagRow(
                flag_id=flag.flag_id, scan_id=scan.scan_id, scene_sha256=scan.scene_sha256, scene_name=scan.scene_name,
                sensor=scan.sensor, time_ns=scan.time_ns, detector=flag.detector, score=flag.score, pfa=flag.pfa,
                lat_deg=flag.lat_deg, lon_deg=flag.lon_deg, length_m=flag.length_m, truncated=flag.truncated,
                dark=(flag.lat_deg, flag.lon_deg) in dark,
            )
            self.store.put_flag(row, seq, flag.thumbnail)


def rebuild(journal: Reader, path: Path, fresh: Path) -> dict[str, tuple[int, int]]:
    """Fold the whole journal again into ``fresh`` and compare it with the store at ``path``.

    The comparison is at the entry that ``path`` stands at, row by row, byte by byte.

    Returns:
        For each table (rows in the fresh store, rows that differ or stand in one store only).
    """
    old = PictureWriter(path)
    until = int(old.meta("cursor") or b"0")
    old.close()
    picture = Picture(journal, fresh)
    while picture.cursor < until:
        if not picture.step(min(STEP_ENTRIES, until - picture.cursor)):
            break
    picture.close()
    compared = PictureWriter(fresh)
    try:
        compared.db.execute("ATTACH DATABASE ? AS old", (str(path),))
        found = {}
        for table in TABLES:
            rows = compared.db.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0]
            differ = 0
            for a, b in (("main", "old"), ("old", "main")):
                only_a = f"SELECT * FROM {a}.{table} EXCEPT SELECT * FROM {b}.{table}"
                differ += compared.db.execute(f"SELECT count(*) FROM ({only_a})").fetchone()[0]
            found[table] = (rows, differ)
        return found
    finally:
        compared.close()
