"""The picture: one fold of the journal with a cursor.  The live run and `birddog rebuild` (``rebuilding``) are this code.

For each entry: tracker -> events (the fold's, and those of ``tracking.events.live`` behind it) -> alerts -> rows,
a batch of entries one transaction.  Kill it at any time: the fold's state is stored now and then with the entry
it stood at; on the next start the entries since are folded again in memory, without publishing what was
published already.

Rows are told when something changes them, and of what waits ever more seldom.  When the journal's end is reached all tracks
are written beside them as they are believed by then (``rest``): whoever reads a track reads the newer of the two.  So what
``/v1/tracks`` shows of a journal at rest are the last rows of ``birddog track --journal``, and no row is folded for it.

An entry at which the fold itself fails (a fault of ours) is left out, as if it were not there, and said: one
message must not blind the whole house.  A rebuild fails at the same entry and leaves out the same.

The store knows its journal: the ident of the first entry and of the entry that it stands at.  Where the
journal says otherwise (another one, or an older copy, was put in its place) the store is made anew.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from birddog.directory import OPEN
from birddog.errors import BirddogError, JournalError, place_of
from birddog.journal import Reader
from birddog.model import Alert, Decision, Entry, Erasure, Event, FrameBody, Operation, RefusalBody, Scan, Track, unpack
from birddog.passersby import is_period
from opsroom.alerts import Alerts
from opsroom.picture_rows import Asked, Awaited, FlagRow, Refused
from opsroom.picture_store import PictureWriter
from opsroom.refusals import Refusals
from opsroom.unfed import WORDS, unfed
from tracking.events.live import LiveEvents
from tracking.fold import Fold

log = logging.getLogger(__name__)

#: The fold's state is stored every so many entries, and no sooner than an entry for so many bytes of it: what storing costs an
#: entry does not grow with the number of tracks, and a restart folds a few seconds' entries again.
SNAPSHOT_ENTRIES, SNAPSHOT_BYTES = 5000, 400
STEP_ENTRIES = 500
#: While entries come in all tracks are written as they are believed by then no sooner than this after the last time, s, and
#: than so many times of what that cost: 20,000 vessels cost 2 % of a processor, whatever comes in.
REST_S, REST_TIMES = 2.0, 50.0
_DIGEST = 16


class _State(msgspec.Struct):
    cursor: int
    fold: bytes
    alerts: list[Alert]
    refusals: Refusals
    happenings: bytes = b""


class _OperationErased(Exception):
    """What was folded of an operation is in no journal any more."""


class _Crash(Exception):
    def __init__(self, seq: int):
        super().__init__(seq)
        self.seq = seq


class Picture:
    """Folds a journal into a derived store.

    Args:
        journal: the reader to fold.
        path: the derived store; made where it is absent, made anew where it is not this journal's.
        resumes: somebody may go on from it, or read it meanwhile; else the fold's state is stored by ``save`` only, and the
            rows are written by ``finish``.

    Raises (also ``step`` and ``save``):
        PictureError: the store cannot be written.
        JournalError: an entry is damaged; everything before it is published.
    """

    def __init__(self, journal: Reader, path: Path, *, resumes: bool = True):
        self.journal, self._resumes = journal, resumes
        self.store = PictureWriter(path, holds=not resumes)
        if not is_of(journal, self.store):
            log.warning("%s was made from another journal, or from one that was put back to an earlier time; "
                        "it is made again", path)
            self.store.remake()
        self._load()
        if self._foreign:
            # its rows are those of another program: a track that this one does not have would stay in them for ever
            log.warning("%s was folded by another version of the program; it is made again", path)
            self.begin_again()

    def _load(self) -> None:
        #: The stored state is whole, and of a form that this program does not fold on.
        self._foreign = False
        self.left_out: list[int] = msgspec.msgpack.decode(self.store.meta("left_out") or b"\x90", type=list[int])
        state = self._stored() or _State(0, b"", [], Refusals())
        self.fold = Fold.restore(state.fold) if state.fold else Fold()
        self.alerts = Alerts.restore(state.alerts)
        self.refusals = state.refusals
        self.happenings = LiveEvents.restore(state.happenings, self.fold.directory.ways) if state.happenings else LiveEvents()
        self._snapshot_at = self.cursor = state.cursor
        self._snapshot_bytes = len(state.fold)
        #: After an entry was left out: the next one that is costs no long way back.
        self._snapshot_due = False
        #: The entry at which all tracks were last written as believed by then, and until when they are not again, s.
        self.rested, self._rest_at = self.store.number("rested"), 0.0
        #: Up to here the rows are in the store; a fold that stands before it publishes nothing.
        self._published = self.store.number("cursor")
        #: Who was attached and not heard since, as the store has it; None: not known, it is written at the next step.
        self._awaited: list[Awaited] | None = None
        #: Erasures up to this entry had been done when the store was begun: what they took never was in it.
        self.erased_to = int(self.store.meta("erased") or b"%d" % self.journal.last_seq())
        #: The newest erasure of a period whose rows are in the store still, or 0: another is to be made (``following``).
        self.due = self.store.number("due")

    @property
    def published(self) -> int:
        """The entry that the store stands at."""
        return max(self._published, self.cursor)

    def step(self, limit: int = STEP_ENTRIES, asked: Callable[[], bool] = lambda: False) -> int:
        """Fold the next entries; how many there were (0 = up to date).

        Args:
            asked: between two entries, whether to leave it at those that are done: whoever was told to end does not
                fold hundreds first, which on a loaded machine are seconds.
        """
        try:
            return self._step(limit, asked)
        except _OperationErased:
            left_out = []
        except _Crash as crash:
            left_out = [*self.left_out, crash.seq]
        # by here no frame of what failed holds the fold of before
        if not left_out:
            self.begin_again()
        else:  # back to the last stored state, and the same way again without this entry
            self.store.rollback()
            self._load_again()
            self.left_out, self._snapshot_due = left_out, True
        return 1

    def begin_again(self) -> None:
        """Throw the store away and begin with an empty one, of what the journal has left."""
        # also from free pages and the write-ahead log: the whole file goes
        self.store.rollback()
        self.store.remake()
        self._load_again()

    def _load_again(self) -> None:
        self._load()
        gc.collect()  # the fold of before is a ring as a whole: who looks seldom, or never, would keep it beside the new one

    def take_place(self, path: Path) -> None:
        """Be the store at another path from now on, in place of the one that its caller has let go of."""
        self.save()
        self.store.move(path)

    def _step(self, limit: int, asked: Callable[[], bool]) -> int:
        again = self._published - self.cursor
        entries = self.journal.read(self.cursor, min(limit, again) if again > 0 else limit)
        if not entries:
            if again <= 0 and self._may_rest():
                self.finish()
            return 0
        if again > 0:
            for done, entry in enumerate(entries, 1):
                self._apply(entry, publish=False)
                if asked():
                    return done
            return len(entries)
        self.store.begin()
        if self.cursor == 0:
            self.store.set_meta("journal", entries[0].ident)
            self.store.set_meta("erased", b"%d" % self.erased_to)
        ident, done = entries[0].ident, 0
        try:
            for entry in entries:
                self._apply(entry, publish=True)
                ident, done = entry.ident, done + 1
                if asked():
                    break
        except JournalError:
            if self.cursor >= entries[0].seq:
                self._commit(ident)
            raise
        each = max(SNAPSHOT_ENTRIES, self._snapshot_bytes // SNAPSHOT_BYTES)
        if self._snapshot_due or (self._resumes and self.cursor - self._snapshot_at >= each):
            self._set_state()
            self._snapshot_due = False
        if len(entries) < limit and done == len(entries) and self._may_rest():
            self._commit(ident, rests=True)
        else:
            self._commit(ident)
        return done

    def _may_rest(self) -> bool:
        return self._resumes and self.rested != self.cursor and time.monotonic() >= self._rest_at

    def rest(self) -> None:
        """Write all tracks as they are believed now beside their rows, within a step whose own rows are written."""
        began_s = time.thread_time()
        try:
            tracks = self.fold.believed(self.fold.now_ns, whole=True)
        except Exception as error:  # noqa: BLE001 - boundary: the rows are published all the same
            log.error("%s: entry %d: what is believed now cannot be told: %s", self.store.path, self.cursor, place_of(error))
            tracks = []
        self.store.put_now(tracks)
        self.store.set_meta("rested", b"%d" % self.cursor)
        self.rested = self.cursor
        self._rest_at = time.monotonic() + max(REST_S, REST_TIMES * (time.thread_time() - began_s))

    def save(self) -> None:
        """Store the fold's state, so that the next start folds nothing again."""
        self.finish()
        if self.cursor > self._snapshot_at and self.cursor >= self._published:
            self.store.begin()
            self._set_state()
            self.store.commit(self.cursor)

    def finish(self, *, rests: bool = True) -> None:
        """Write what is not written yet: the store is complete, as far as it goes.

        Args:
            rests: with all tracks as they are believed by now.
        """
        rests = rests and self.rested != self.cursor and self.cursor >= self._published
        self.store.write_held(self.rest if rests else None)

    def close(self) -> None:
        """Let go of the derived store (the journal's reader is the caller's)."""
        self.store.close()

    def _stored(self) -> _State | None:
        stored = self.store.meta("state")
        if not stored:
            return None
        try:
            if _digest(stored[_DIGEST:]) != stored[:_DIGEST]:
                raise ValueError("damaged")
            self._foreign = True
            state = msgspec.msgpack.decode(stored[_DIGEST:], type=_State)
            Fold.restore(state.fold)
            if state.happenings:
                LiveEvents.restore(state.happenings)
        except (msgspec.DecodeError, ValueError):
            if not self._foreign:
                log.warning("%s: the stored state cannot be read; folding from the beginning", self.store.path)
            return None
        self._foreign = False
        return state

    def _set_state(self) -> None:
        state = _State(self.cursor, self.fold.snapshot(), self.alerts.snapshot(), self.refusals, self.happenings.snapshot())
        packed = msgspec.msgpack.encode(state)
        self.store.set_meta("state", _digest(packed) + packed)
        self._snapshot_at, self._snapshot_bytes = self.cursor, len(packed)

    def _commit(self, ident: bytes, *, rests: bool = False) -> None:
        if self.left_out:
            self.store.set_meta("left_out", msgspec.msgpack.encode(self.left_out))
        if self.due:
            self.store.set_meta("due", b"%d" % self.due)
        self.store.set_meta("at", ident)
        self.store.set_meta("now", b"%d" % self.fold.now_ns)
        budget = Asked(alerts=self.fold.presets.alerts, thresholds=self.fold.thresholds())
        self.store.set_meta("budget", msgspec.msgpack.encode(budget))
        waiting = [
            Awaited(operation=operation, device=device, shipment=one.shipment, interval_s=one.interval_s, refused=one.refused)
            for operation, device, one in self.fold.awaited()
        ]
        if waiting != self._awaited:
            self.store.set_meta("awaited", msgspec.msgpack.encode(waiting))
            self._awaited = waiting
        self.store.commit(self.cursor, self.rest if rests else None)
        self._published = self.cursor

    def _apply(self, entry: Entry, *, publish: bool) -> None:
        if entry.seq != self.cursor + 1:
            raise JournalError(f"{entry.journal}: the journal has a hole: entry {entry.seq} follows {self.cursor}")
        try:
            if entry.kind == "erasure" and entry.seq > self.erased_to:
                if not _of_a_period(entry):
                    raise _OperationErased
                self.due = max(self.due, entry.seq)
            if entry.seq not in self.left_out:
                self._fold(entry, publish)
        except (BirddogError, MemoryError, _OperationErased):
            raise  # MemoryError: the next attempt may succeed, and a rebuild would leave out others
        except Exception as error:  # boundary: whatever an entry does to the fold, it is one line that names the entry
            log.error("%s: entry %d cannot be folded and is left out: %s", entry.journal, entry.seq, place_of(error))
            raise _Crash(entry.seq) from error
        self.cursor = entry.seq

    def _fold(self, entry: Entry, publish: bool) -> None:
        fold, body = self.fold, unpack(entry)
        changes = fold.apply(entry, body)
        for track in changes.tracks:
            assert _is_covariance(track), f"{track.track_id}: its P is none"
        happened = self.happenings.apply(
            entry.seq, fold.now_ns, changes, fold.numbers, fold.presets.events, fold.directory, self._called
        )
        events = changes.events + happened
        alerts = [alert for event in events if (alert := self.alerts.event(event)) is not None]
        if isinstance(body, Decision):
            done = next((event for event in changes.events if event.kind == "decided"), None)
            alerts += self.alerts.decision(body, entry.received_ns, done)
        elif isinstance(body, Operation) and body.closed:
            alerts += self.alerts.closed(body.operation, entry.actor or "closed", entry.received_ns)
        self.alerts.ended(changes.ended)
        alerts += self.alerts.wait(fold.now_ns)
        refused = self._not_used(entry, body) if isinstance(body, FrameBody | RefusalBody) else {}
        if not publish:
            return
        store, seq = self.store, entry.seq
        for track in changes.tracks:
            store.put("track", track.track_id, seq, track)
        for point in changes.points:
            store.put_point(point)
        for event in events:
            store.put("event", event.event_id, seq, event)
        for alert in alerts:
            store.put("alert", alert.alert_id, seq, alert)
        for key, row in refused.items():
            if row is None:
                store.drop("refused", key)
            else:
                store.put("refused", key, seq, row)
        if isinstance(body, Scan):
            self._publish_flags(body, entry, events)

    def _called(self, track_id: str) -> str:
        """What a person calls a track, as the console does."""
        live = self.fold.live(track_id)
        return track_id if live is None else live.state.name or live.state.tag_id or track_id

    def _not_used(self, entry: Entry, body: FrameBody | RefusalBody) -> dict[str, Refused | None]:
        """Rows of what was refused, not understood, or fed no track and could have."""
        changed = self.refusals.count(entry, body)
        found = unfed(self.fold.directory, body, entry.received_ns, exercise=self.fold.exercise)
        if found is not None and found[1] not in ("placeless", "elsewhen"):
            changed |= self.refusals.unfed(entry, body, found[0], WORDS[found[1]])
        return changed

    def _publish_flags(self, scan: Scan, entry: Entry, events: list[Event]) -> None:
        dark = {event.flag_id for event in events if event.kind == "dark_vessel"}
        for flag in scan.flags:
            row = FlagRow(
                flag_id=flag.flag_id, scan_id=scan.scan_id, scene_sha256=scan.scene_sha256, scene_name=scan.scene_name,
                sensor=scan.sensor, time_ns=scan.time_ns, detector=flag.detector, score=flag.score, pfa=flag.pfa or 0.0,
                lat_deg=flag.lat_deg, lon_deg=flag.lon_deg, length_m=flag.length_m, truncated=flag.truncated,
                dark=flag.flag_id in dark, time_source=scan.time_source, time_by=scan.time_by,
                operation=entry.operation or OPEN,
            )
            self.store.put_flag(row, entry.seq, flag.thumbnail)


def _of_a_period(entry: Entry) -> bool:
    body = unpack(entry)
    return isinstance(body, Erasure) and is_period(body.erased)


def _is_covariance(row: Track) -> bool:
    """Whether a row's P can be one: NaN, and what rounding made of it, would be shown as certainty."""
    return row.p_ee >= 0.0 and row.p_nn >= 0.0 and row.p_en * row.p_en <= row.p_ee * row.p_nn * (1.0 + 1e-9)


def _digest(data: bytes) -> bytes:
    # the stored state is believed for ever after: a flipped byte must not become a position
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def is_of(journal: Reader, store: PictureWriter) -> bool:
    """Whether a store was folded from this journal, as far as it stands; an empty one is."""
    cursor = store.number("cursor")
    if cursor == 0:
        return True
    first, at = journal.read(0, 1), journal.read(cursor - 1, 1)
    return (bool(first and at) and first[0].ident == store.meta("journal")
            and at[0].seq == cursor and at[0].ident == store.meta("at"))
