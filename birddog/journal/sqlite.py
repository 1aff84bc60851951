"""The SQLite journal: WAL, ``synchronous=FULL``, one writing process.

The stock SQLite of Debian 12 (3.40) can corrupt a WAL when two connections write or checkpoint at
once (fixed in 3.51.3): so exactly one process opens the file for writing, held by a lock on
``PATH.lock``, and readers open it ``mode=ro``, which can neither write nor checkpoint.

The writer knows its files (``journal.guard``) and writes down what it acknowledged (``journal.head``): what
others do to them is noticed before the next acknowledgement, or at the next opening (docs/decisions/0006).

Over 400 lines: the writer, with all that may be wrong with its files; the reader is ``sqlite_reader``, the file itself
``sqlite_file``.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from birddog.errors import (
    JournalChanged,
    JournalDisagrees,
    JournalError,
    JournalFull,
    JournalHeld,
    JournalTrouble,
    UsageError,
)
from birddog.journal.beside import Home
from birddog.journal.evidence import Evidence
from birddog.journal.guard import Guard, stale_index
from birddog.journal.head import Head, HeadFile, mixed
from birddog.journal.head import read as read_head
from birddog.journal.keys import ERASED_KEY, Row, erased_ident
from birddog.journal.sqlite_file import (
    A_KIND,
    FROM_1_TO_2,
    OLDEST_VERSION,
    SAID,
    SCHEMA_VERSION,
    TROUBLE,
    create_file,
    durable,
    failure,
    left_alone,
    open_at,
)
from birddog.journal.sqlite_reader import SqliteReader
from birddog.journal.store import NOTHING, Mode, Stored
from birddog.journal.upgrade import Migrated, Upgrade
from birddog.keyring import Keyring, KeyringError, KeysClosed
from birddog.lock import hold
from birddog.model import Draft, Erasure, Rotation, unpack
from birddog.passersby import is_period
from birddog.record import MAGIC

log = logging.getLogger(__name__)

#: Rows asked for at once while a journal is migrated.
_ROWS = 1000
#: How many sessions of one device are remembered.
SESSIONS_KEPT = 8
#: The write-ahead log is brought into the journal when it has so many pages (SQLite's own default).
CHECKPOINT_FRAMES = 1000
_CHUNK = 500
#: Of erased passers-by so many entries are emptied at once (some 30 ms), and so many are looked at for them.
_EMPTIED_ROWS, _LOOKED_AT = 400, 20_000
#: From which entry on they are looked for; bookkeeping, no evidence.
_EMPTIED = "passersby_from"
_STORED = "SELECT seq, kind, received_ns, operation, source, ident, body, actor, key_id, leaf FROM entry"
_EMPTY = "UPDATE entry SET body = ?, ident = ?, key_id = ?, source = '', actor = '' WHERE seq = ?"
_COUNT = "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "
_REWRITE = "UPDATE entry SET body = ?, operation = ? WHERE seq = ?"
_INSERTS = [
    (rows, "INSERT INTO entry (seq, kind, received_ns, operation, source, ident, body, actor, key_id, leaf) VALUES "
           + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows))
    for rows in (128, 16, 1)
]


def home(url: str) -> Home:
    """Where the things beside the journal lie: its own file is their base."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or len(url) == len(prefix) or "?" in url or "#" in url:
        raise UsageError(f"{url!r} is no journal URL: write sqlite:///relative/path or sqlite:////absolute/path")
    return Home(Path(url[len(prefix) :]))


def presence(url: str) -> Literal["there", "moved", "absent"]:
    """Whether the journal's file is there; "moved" where a write-ahead log with something in it lies there without it."""
    path = home(url).base
    return "there" if path.exists() else "moved" if left_alone(path) else "absent"


def open_writer(url: str, *, mode: Mode, create: bool = True, accept_loss: bool = False, log: bool = True,
                master: str = "") -> SqliteWriter:
    """See ``birddog.journal.open_writer``."""
    return SqliteWriter(home(url).base, mode=mode, create=create, accept_loss=accept_loss, evidence=log, master=master)


def open_reader(url: str, *, older: bool = False) -> SqliteReader:
    """See ``birddog.journal.open_reader``."""
    return SqliteReader(home(url).base, oldest=OLDEST_VERSION if older else SCHEMA_VERSION)


def migrate(url: str) -> Migrated:
    """See ``birddog.journal.migrate``."""
    path = home(url).base
    reader = SqliteReader(path, oldest=OLDEST_VERSION)
    version, mode, last = reader.version, reader.mode, reader.last_seq()
    reader.close()
    if version == SCHEMA_VERSION:
        return Migrated(version, version, last, 0)
    writer = SqliteWriter(path, mode=mode, create=False, oldest=OLDEST_VERSION)
    try:
        return writer.migrate()
    finally:
        writer.close()


class SqliteWriter(SqliteReader):
    """The one writer of a journal file; see ``birddog.journal.store.Writer``.

    Args:
        accept_loss: go on with a journal that lost what had been acknowledged; ``lost`` says what it was.
        evidence, master: see ``birddog.journal.open_writer`` (``log``).
    """

    def __init__(self, path: Path, *, mode: Mode, create: bool = True, accept_loss: bool = False,
                 oldest: int = SCHEMA_VERSION, evidence: bool = True, master: str = ""):
        if not create and not path.exists():
            raise UsageError(f"there is no journal at {path}")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for the journal")
        self._lock = _locked(path)
        self.lost = ""
        self._broken: JournalError | None = None
        self._evidence: Evidence | None = None
        self._stood_in_clear = False  # what was erased, or may be moved by a migration: no key's end takes it away
        self._emptying: list[str] = []  # keys of passers-by that were erased, whose entries are not all emptied yet
        self._looked = self._first = 0  # up to which entry the first one's were looked for, and the first that was found
        self._named: list[int] = []  # entries that name a new key of the log, which is not taken yet
        self._opened: list[HeadFile | Guard | sqlite3.Connection] = []  # closed in reverse
        try:
            if accept_loss:  # before anything is put aside
                Keyring(Home(path), master=master, make=False).look()
            head = self._held_against(path, accept_loss)
            if create and not path.exists():  # asked under the lock: somebody else may just have made it
                create_file(path, mode)
            super().__init__(path, oldest=oldest)
            self._opened.append(self._db)
            if self.mode != mode:
                raise JournalError(
                    f"{path} is {A_KIND[self.mode]} journal and refuses {mode} data: give another --journal"
                    + (", or --exercise" if self.mode == "exercise" else "")
                )
            words = self._against(head)
            if words:
                self._lose(words, head, self.last_seq(), accept_loss)
            kept = evidence or Home(path).log.exists()
            self._evidence = self._log_of(path, accept_loss, master) if kept else None
            self._begin(path, head)
        except BaseException:  # whatever it was, the next one shall not be told that we are writing
            self._let_go()
            raise

    def _log_of(self, path: Path, accept_loss: bool, master: str) -> Evidence | None:
        """The evidence log of the journal, held against it; None where it is of a version that has none."""
        if self.version != SCHEMA_VERSION:
            return None
        evidence = Evidence(Home(path), master=master)
        try:
            evidence.agree(str(path), self.last_seq(), self._leaves)
        except JournalDisagrees as error:
            if not accept_loss:
                raise JournalDisagrees(f"{error}; put it back as it was, or `birddog run --accept-loss` goes on with what "
                                       "there is, in another log, and records it") from error
            self.lost = self.lost or str(error)
        if self.lost:  # also where the log was put back with the journal: it may have signed what is lost, and would be forked
            self.lost = "; ".join(filter(None, (self.lost, evidence.lost(self.last_seq(), self._leaves))))
        self._keys = evidence.keys
        if evidence.known is not None:  # committed and not taken yet: a kill came between
            signed = evidence.known.begins + evidence.signed - 1
            sql = "SELECT seq FROM entry WHERE kind = 'rotation' AND seq > ? ORDER BY seq"
            self._named = [row[0] for row in self._fetch(sql, (signed,))]
            self._take_keys(evidence)
            evidence.retire_old_keys()
        return evidence

    def _leaves(self, after: int, until: int) -> list[bytes]:
        """The leaves of entries, as far back from the last as there are."""
        found = self._fetch("SELECT leaf FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq", (after, until))
        held: list[bytes] = []
        for (leaf,) in reversed(found):
            if not leaf:
                break
            held.append(leaf)
        return held[::-1]

    def _held_against(self, path: Path, accept_loss: bool) -> Head:
        """The head file's word, after what can be seen before SQLite touches anything.

        Raises:
            JournalDisagrees: the files do not belong together, or the journal is not there.
        """
        head = read_head(Home(path).head) or Head()
        real = path.resolve()
        if not path.exists():
            if head.seq and (accept_loss or not left_alone(path)):
                self._lose(f"{path} is not there, and entry {head.seq} of it had been acknowledged", head, 0, accept_loss)
            if accept_loss and left_alone(path):
                self._put_aside(real)
            return Head(turn=head.turn)
        hot = Path(f"{real}-journal")
        if hot.exists() and hot.stat().st_size:
            raise JournalError(f"{hot} is there, which no journal of ours has: SQLite would play it into {path}; take it away")
        if stale_index(real):
            # those who read notice that it is another one, and open the journal anew
            Path(f"{real}-shm").unlink(missing_ok=True)
        wrong = mixed(real, head)
        if wrong:
            self._lose(wrong, head, None, accept_loss)
            self._put_aside(real)
        return head

    def _put_aside(self, real: Path) -> None:
        aside = f"{real}-wal.aside-{os.urandom(4).hex()}"
        try:
            os.rename(f"{real}-wal", aside)
            Path(f"{real}-shm").unlink(missing_ok=True)
        except OSError as error:
            raise JournalTrouble(f"{real}-wal: {error.strerror}") from error
        self.lost = f"{self.lost or f'{real} was not there'}; its write-ahead log is kept as {aside}"

    def _lose(self, words: str, head: Head, last: int | None, accept_loss: bool) -> None:
        """Refuse, or note what is lost, which was accepted."""
        if accept_loss:
            self.lost = self.lost or words
            return
        stands = "what it holds" if last is None else f"entry {last}" if last else "an empty one"
        raise JournalDisagrees(f"{words}: put the newer one, up to entry {head.seq}, back with its -wal; or "
                               f"`birddog run --accept-loss` goes on after {stands} and records it")

    def _begin(self, path: Path, head: Head) -> None:
        """Open for writing.  The reading connection stays as long as this one may be broken: while it is there, SQLite
        does not play the write-ahead log, on closing, into a file that may be another one by then."""
        self._head_file = HeadFile(Home(path).head)
        self._opened.insert(0, self._head_file)
        self._turn = head.turn
        if head.seq and not self.lost:
            # what an earlier process left in the log is brought into the file now
            self._turn += 1
            self._head_file.write(msgspec.structs.replace(head, turn=self._turn, moving=True))
        reading, self._db = self._db, open_at(f"file:{quote(os.fsencode(path))}?mode=rw", path)
        self._opened.append(self._db)
        page_bytes = durable(self._db, path)
        try:
            reading.execute("SELECT count(*) FROM meta").fetchone()
        except TROUBLE as error:
            raise failure(path, error, " cannot be written:") from error
        self._guard = Guard(path.resolve(), page_bytes)
        self._opened.insert(1, self._guard)  # after both connections
        self._guard.settle()
        last = self.tail(1)
        self._next, self._ident = (last[0].seq + 1, last[0].ident) if last else (1, b"")
        self._finish_erasures()
        self._noting = not self.lost  # what was lost is noted with the entry that records it
        self._note()
        self._head_file.sync()

    def _follow(self) -> None:
        """The writer's files are its guard's business."""

    def _note(self, *, moving: bool = False) -> None:
        """Write down what stands now; nobody has been told of it yet."""
        if not self._noting:
            return
        self._turn += 1
        guard = self._guard
        self._head_file.write(Head(turn=self._turn, seq=self._next - 1, ident=self._ident, header=guard.header,
                                   pages=guard.pages, moving=moving, salts=guard.salts))

    def _checkpoint(self) -> None:
        """Bring the write-ahead log into the journal, when it is long enough."""
        if self._guard.frames < CHECKPOINT_FRAMES:
            return
        self._guard.before()
        self._note(moving=True)
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError as error:
            trouble = failure(self.path, error)
            if not isinstance(trouble, JournalFull):
                raise trouble from error
            # no room for it yet: what was committed stands in the log, and the next commit tries it again
        self._guard.settle()
        self._note()
        self._head_file.sync()

    def append(self, drafts: Sequence[Draft], sessions: Sequence[tuple[str, str]] = (),
               finished: Sequence[str] = (), counted: Mapping[str, int] = NOTHING) -> list[int]:
        """Write drafts in one transaction; on disk when this returns."""
        if self._broken is not None:
            raise self._broken
        self._written: Sequence[Row] = ()
        erased = [draft for draft in drafts if draft.kind == "erasure"]
        rotates = any(draft.kind == "rotation" for draft in drafts)
        try:
            self._guard.before()
            if self._evidence is not None and drafts:
                self._evidence.begin(self._next)
            answer = self._appended(drafts, sessions, finished, counted)
            self._guard.after()
            if self._evidence is not None and self._written:
                self._evidence.take(self._written)
            new = len(answer) - answer.count(0)
            if new:
                self._noting = True
                self._next += new
                self._ident = next(draft.ident for seq, draft in zip(reversed(answer), reversed(drafts), strict=True) if seq)
            self._note()
            self._checkpoint()
            if erased:
                for seq, draft in zip(answer, drafts, strict=True):
                    if seq and draft.kind == "erasure":
                        self._learn(seq, draft.body)
                self._forget(erased)
            if rotates:
                self._named += [seq for seq, draft in zip(answer, drafts, strict=True) if seq and draft.kind == "rotation"]
                self.checkpoint()
        except KeyringError:
            self._guard.after()
            raise
        except JournalFull:
            self._guard.after()  # what was rolled back may have lengthened the log
            raise
        except JournalChanged as error:
            self._broken = error
            self._save_what_is_open()
            raise
        except JournalError as error:
            self._broken = self._why(error)
            raise self._broken from error
        return answer

    def _take_keys(self, evidence: Evidence) -> None:
        """Entries that name a new key of the log were committed: before anything that covers them is signed."""
        while self._named:
            [entry] = self.read(self._named[0] - 1, 1)
            evidence.turn(entry.seq, msgspec.msgpack.decode(entry.body, type=Rotation).signature)
            del self._named[0]

    def checkpoint(self, *, wait: bool = True) -> bool:
        """Sign what was committed since the last checkpoint; whether anything was."""
        if self._evidence is None or self._broken is not None:
            return False
        try:
            self._take_keys(self._evidence)
            return self._evidence.checkpoint(wait=wait)
        except JournalFull:
            if not self._named:
                raise
            return False  # what was committed stands, and no checkpoint covers it before the key is taken

    def _erase(self, operation: str, seq: int) -> None:
        """Within a transaction: of every entry of an operation before a number only what its leaf is the hash of stays."""
        db, evidence = self._db, self._evidence
        after = 0
        while found := [Stored(*row) for row in db.execute(
            f"{_STORED} WHERE operation = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?", (operation, after, seq, _ROWS))]:
            after = found[-1].seq
            emptied = []
            for row in found:
                if row.erased:
                    continue  # erased before
                self._stood_in_clear |= row.key_id is None
                left = MAGIC
                if row.leaf and evidence is not None:
                    left = evidence.keys.statement(row)
                emptied.append((left, erased_ident(row.seq), row.key_id or ERASED_KEY, row.seq))
            db.executemany(_EMPTY, emptied)

    def _finish_erasures(self) -> None:
        """What an entry says that it was destroyed and a kill left there is destroyed now, or when its entries are empty."""
        if self._evidence is None:
            return
        keys = self._evidence.keys
        for entry in self._entries(f"SELECT {self._columns} FROM entry WHERE kind = 'erasure' AND {SAID} ORDER BY seq"):
            body = unpack(entry)
            if isinstance(body, Erasure) and not is_period(body.erased):
                keys.destroy(body.keys)
        self._due()

    def _due(self) -> None:
        """Which keys of passers-by an entry said to be destroyed, and are there until their entries are emptied."""
        if self._evidence is not None and self._gone:
            there = self._evidence.keys.there()
            self._emptying = [key for key in self._gone if key in there]

    def tend(self) -> bool:
        """Empty some entries of passers-by that were erased, and destroy their key behind the last; whether there were any.

        A period may have a million entries, and to empty one costs as much as to hash it: so it is done between commits, and
        readers take them for empty from the entry on that says so.

        Raises:
            JournalError: the store failed; it must not be tried again in this process.
        """
        if not self._emptying or self._broken is not None or self._evidence is None:
            return False
        try:
            self._guard.before()
            try:
                done = self._emptied(self._emptying[0], self._evidence)
            finally:
                self._guard.after()
            self._note()
            self._checkpoint()
            if done:
                self._evidence.keys.destroy((self._emptying.pop(0),))
                self._looked = self._first = 0
                self._without_log()
        except JournalFull:
            return False  # tried again
        except KeyringError:
            raise
        except JournalError as error:
            self._broken = self._why(error)
            raise self._broken from error
        return True

    def _emptied(self, key: str, evidence: Evidence) -> bool:
        """Empty some entries under a key; whether those were the last."""
        db, until = self._db, self._gone[key]
        try:
            if not self._looked and _in_their_order(key, evidence):
                [[self._looked]] = db.execute("SELECT coalesce(max(value), 0) FROM counter WHERE name = ?", (_EMPTIED,))
            to = min(self._looked + _LOOKED_AT, until)
            rows = [Stored(*row) for row in db.execute(
                f"{_STORED} WHERE seq > ? AND seq < ? AND key_id = ? ORDER BY seq LIMIT ?",
                (self._looked, to, key, _EMPTIED_ROWS))]
            self._first = self._first or (rows[0].seq if rows else 0)
            self._looked = rows[-1].seq if len(rows) == _EMPTIED_ROWS else to - 1
            emptied = []
            for row in rows:
                if not row.erased:
                    try:
                        left = evidence.keys.statement(row)
                    except KeysClosed:
                        raise  # the statement can be made when they can be opened
                    except KeyringError:
                        left = MAGIC  # it was changed: nothing of it stays, and verify names it
                    emptied.append((left, erased_ident(row.seq), key, row.seq))
            done = self._looked >= until - 1
            db.execute("PRAGMA secure_delete = ON")
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(_EMPTY, emptied)
                if done and self._first:  # the next one's are behind this one's first, whatever the clock did
                    db.execute(f"{_COUNT} excluded.value", (_EMPTIED, self._first - 1))
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except TROUBLE as error:
            raise failure(self.path, error) from error
        return done

    def _forget(self, erased: Sequence[Draft]) -> None:
        """After the rows were emptied: the keys, and the write-ahead log in which the rows stood."""
        gone = [msgspec.msgpack.decode(draft.body, type=Erasure).erased for draft in erased]
        if all(is_period(name) for name in gone):
            self._due()
            return
        for name in gone:
            if self._evidence is not None and not is_period(name):
                self._evidence.keys.forget(name)
        if self._stood_in_clear:
            self._rewritten()
        self._due()
        self._without_log()

    def _without_log(self) -> None:
        """Empty the write-ahead log, in which what was erased stood."""
        self._note(moving=True)
        busy = 1
        for _ in range(3):  # readers hold it for moments, and are waited for
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy:
                break
        if busy:
            log.warning("%s-wal is being read: what was erased stands in it, sealed, until it is written over", self.path)
        self._guard.settle()
        self._note()
        self._head_file.sync()

    def _rewritten(self) -> None:
        """Write the whole file anew.

        ``secure_delete`` overwrites what is deleted; what SQLite once moved from page to page is left behind in both
        (measured: 9 of 3,000 bodies of a migrated journal were still there after they had been overwritten).
        """
        self._guard.before()
        self._note(moving=True)
        before = os.environ.get("SQLITE_TMPDIR")
        os.environ["SQLITE_TMPDIR"] = str(self.path.resolve().parent)  # what stays is not to pass by another disk
        try:
            self._db.execute("VACUUM")
        except TROUBLE as error:
            raise failure(self.path, error, " holds what was erased still, in pages that are free:") from error
        finally:
            if before is None:
                del os.environ["SQLITE_TMPDIR"]
            else:
                os.environ["SQLITE_TMPDIR"] = before
            self._guard.after()
        self._stood_in_clear = False

    def migrate(self) -> Migrated:
        """Bring an older journal to the present version, in one transaction: a kill leaves it as it was.

        Raises:
            JournalFull, JournalError: nothing was changed.
        """
        upgrade, db = Upgrade(exercise=self.mode == "exercise"), self._db
        actors: list[tuple[str, int]] = []
        self._guard.before()
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                after = 0
                while rows := self.read(after, _ROWS):
                    after = rows[-1].seq
                    for old, new in ((row, upgrade.entry(row)) for row in rows):
                        if new is not old:
                            db.execute(_REWRITE, (new.body, new.operation, new.seq))
                            if new.actor:
                                actors.append((new.actor, new.seq))
                for change in FROM_1_TO_2:
                    db.execute(change)
                db.executemany("UPDATE entry SET actor = ? WHERE seq = ?", actors)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except TROUBLE as error:
            raise failure(self.path, error, " cannot be migrated:") from error
        finally:
            self._guard.after()  # what was rolled back may have lengthened the log
        self._rewritten()  # where bodies were moved, the old ones are left behind in the pages
        self._note()
        self._checkpoint()
        return Migrated(self.version, SCHEMA_VERSION, upgrade.entries, upgrade.damaged)

    def _appended(self, drafts: Sequence[Draft], sessions: Sequence[tuple[str, str]], finished: Sequence[str],
                  counted: Mapping[str, int]) -> list[int]:
        try:
            try:
                # as if none were there before, which is nearly always so: one look-up a row less
                self._write(range(self._next, self._next + len(drafts)), drafts, 0, sessions, finished, counted)
                return list(range(self._next, self._next + len(drafts)))
            except sqlite3.IntegrityError:
                answer = self._numbers(drafts)
                fresh = [(seq, draft) for seq, draft in zip(answer, drafts, strict=True) if seq]
                again = sum(seq == 0 and not draft.part_of for seq, draft in zip(answer, drafts, strict=True))
                self._write([seq for seq, _ in fresh], [draft for _, draft in fresh], again, sessions, finished, counted)
                return answer
        except TROUBLE as error:
            raise failure(self.path, error) from error

    def _why(self, error: JournalError) -> JournalError:
        """A store that fails because its files were changed under it says so."""
        try:
            self._guard.in_place()
        except JournalChanged as changed:
            return changed
        except JournalError:
            return error
        return error

    def _save_what_is_open(self) -> None:
        """A write-ahead log that was taken away by its name is whole for us: everything in it into the journal."""
        if not self._guard.log_is_whole():
            return
        try:
            busy, frames, done = self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        except TROUBLE as error:
            log.error("%s: what the write-ahead log held could not be saved: %s", self.path, error)
            return
        if busy or frames != done:
            log.error("%s: %d of %d pages of the write-ahead log could not be saved", self.path, frames - done, frames)
        else:
            log.warning("%s-wal was taken away; all that it held was saved into the journal", self.path)

    def _numbers(self, drafts: Sequence[Draft]) -> list[int]:
        """The number of each draft, 0 where its ident is there or stands twice."""
        seen, seq, answer = self.holds([draft.ident for draft in drafts]), self._next, []
        stands = False  # the message whose further rows follow
        for draft in drafts:
            if draft.ident in seen or (draft.part_of and stands):
                answer.append(0)
            else:
                seen.add(draft.ident)
                answer.append(seq)
                seq += 1
            if not draft.part_of:
                stands = answer[-1] == 0
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
        rows_of = self._evidence.rows(numbers, drafts) if self._evidence is not None else [_plain(draft) for draft in drafts]
        erasing = any(draft.kind == "erasure" for draft in drafts)
        if erasing:
            db.execute("PRAGMA secure_delete = ON")  # what is overwritten shall not lie in free pages
        db.execute("BEGIN IMMEDIATE")
        try:
            # many rows a statement: Python gives up its lock once a statement, not once a row
            # (measured: 33 instead of 35 µs of CPU a message, all of ingest)
            done = 0
            for rows, sql in _INSERTS:
                while len(drafts) - done >= rows:
                    values: list[int | str | bytes | None] = []
                    some = slice(done, done + rows)
                    for n, d, row in zip(numbers[some], drafts[some], rows_of[some], strict=True):
                        values += (n, d.kind, d.received_ns, d.operation, d.source, d.ident, row.body, d.actor, row.key_id,
                                   row.leaf)
                    db.execute(sql, values)
                    done += rows
            db.executemany(
                f"{_COUNT} value + excluded.value", list(counts.items()),
            )
            db.executemany("DELETE FROM session WHERE device = ?", [(device,) for device in finished])
            for device, session in sessions:
                db.execute("INSERT INTO session (device, session) VALUES (?, ?)", (device, session))
                db.execute(
                    "DELETE FROM session WHERE device = ? AND id <= (SELECT id FROM session WHERE device = ?"
                    " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (device, device, SESSIONS_KEPT),
                )
            if erasing:
                for n, draft in zip(numbers, drafts, strict=True):
                    if draft.kind == "erasure":
                        gone = msgspec.msgpack.decode(draft.body, type=Erasure).erased
                        if not is_period(gone):  # those: some at a time, see ``tend``
                            self._erase(gone, n)
            db.execute("COMMIT")
            self._written = rows_of
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
        """Let go of the files and of the lock; what is well is left in one file, without a write-ahead log."""
        if self._broken is None and self._well():
            try:
                self.checkpoint()
            except JournalError as error:
                log.error("the log is not signed to its end: %s", error)  # the next start signs it
            reading = self._opened.pop(-2)
            assert isinstance(reading, sqlite3.Connection)
            reading.close()
            self._close_last()
        self._let_go()

    def _well(self) -> bool:
        try:
            self._guard.before()
        except JournalError as error:
            log.error("%s", error)
            return False
        return True

    def _close_last(self) -> None:
        """Close the writing connection, which empties the write-ahead log where nobody else reads, and note it."""
        self._note(moving=True)
        self._opened.pop()
        self._db.close()
        self._guard.end()
        self._note()
        self._head_file.sync()

    def _let_go(self) -> None:
        if self._evidence is not None:
            self._evidence.close()
        while self._opened:
            self._opened.pop().close()
        os.close(self._lock)


def _plain(draft: Draft) -> Row:
    return Row(draft.body, None, None)


def _counts(drafts: Sequence[Draft]) -> dict[str, int]:
    counts = {"frames": 0, "observations": 0}
    for draft in drafts:
        counts["observations"] += draft.observations
        if draft.kind == "frame" or draft.kind == "refusal":
            counts["frames"] += not draft.part_of
            if not (draft.reasons or draft.unread or draft.undated):
                continue
            if draft.undated:
                counts["undated"] = counts.get("undated", 0) + 1
            for reason in draft.reasons:
                counts["reject:" + reason] = counts.get("reject:" + reason, 0) + 1
            for name in draft.unread:
                counts["unread:" + name] = counts.get("unread:" + name, 0) + 1
    return counts


def _locked(path: Path) -> int:
    """The descriptor of ``PATH.lock``, held; by whatever link the journal is named, it is the same file."""
    name = str(Home(path).lock)
    try:
        lock = hold(name)
    except OSError as error:
        raise JournalError(f"{name}: {error.strerror}") from error
    if lock is None:
        raise JournalHeld(f"another process is writing {path}")
    return lock


def _in_their_order(key: str, evidence: Evidence) -> bool:
    """Whether no period's key that was made after this one is gone already; else its entries may lie before those that were
    emptied last, for a clock was set back in between, and are looked for from the first entry on."""
    made = [(name, there) for whose, name, there in evidence.keys.ring.listed() if is_period(whose)]
    after = [name for name, _ in made].index(key) + 1
    return all(there for _, there in made[after:])
