"""The SQLite file of a journal, as a file: made, opened, checked, and what SQLite says of it in our words.

Reader and writer (``journal.sqlite_reader``, ``journal.sqlite``) stand on it.
"""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from birddog.errors import (
    JournalError,
    JournalFull,
    JournalTrouble,
)
from birddog.journal.store import Mode

SCHEMA_VERSION = 2
#: Kinds without the many: what people and the program said.  The words of the index ``entry_said``, or it is not used.
SAID = "kind NOT IN ('frame', 'refusal', 'tick')"
#: How SQLite itself has tables and indexes described.
DESCRIPTIONS = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
#: What brings the tables of version 1 to those of version 2.
FROM_1_TO_2 = (
    "ALTER TABLE entry ADD COLUMN actor TEXT NOT NULL DEFAULT ''",
    "DROP INDEX entry_register",
    f"CREATE INDEX entry_said ON entry (seq) WHERE {SAID}",
)
#: Recognised in the header's application_id: "Bird".
APPLICATION_ID = 0x42697264
#: The oldest version that ``migrate`` brings to the present one, and that is read as it is where asked for.
OLDEST_VERSION = 1
#: What sqlite3 raises: its own, and, where it meets damaged or lone-surrogate text or a number too large, Python's.
TROUBLE = (sqlite3.Error, UnicodeError, OverflowError)
#: A failing disk, a file system that is away, another program that has the file: a later opening may succeed.
_MAY_COME_BACK = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY})
#: A journal's mode in a sentence.
A_KIND = {"live": "a live", "exercise": "an exercise"}


def left_alone(path: Path) -> bool:
    """Whether a write-ahead log lies there, with something in it, without its journal: the journal was moved away."""
    wal = path.with_name(path.name + "-wal")
    return not path.exists() and wal.exists() and wal.stat().st_size > 0


def create_file(path: Path, mode: Mode) -> None:
    """An empty journal of the present version, whole or not at all.

    Raises:
        JournalError, JournalFull: it cannot be made.
    """
    wal = path.with_name(path.name + "-wal")
    if left_alone(path):
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
            schema = resources.files("birddog.journal").joinpath(f"schema_v{SCHEMA_VERSION}.sql").read_text()
            db.executescript("BEGIN;" + schema + "COMMIT;")
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
    except TROUBLE as error:
        raise failure(path, error, " cannot be made:") from error


@cache
def described() -> dict[tuple[str, str], frozenset[tuple[str, str | None]]]:
    """Of each table and index (kind, name) of the present version, made or migrated: of which table, and in which words."""
    found: dict[tuple[str, str], set[tuple[str, str | None]]] = {}
    for version in range(OLDEST_VERSION, SCHEMA_VERSION + 1):
        db = sqlite3.connect(":memory:", isolation_level=None)
        try:
            db.executescript(resources.files("birddog.journal").joinpath(f"schema_v{version}.sql").read_text())
            for change in FROM_1_TO_2 if version == 1 else ():
                db.execute(change)
            for kind, name, *words in db.execute(DESCRIPTIONS):
                found.setdefault((kind, name), set()).add((words[0], words[1]))
        finally:
            db.close()
    return {key: frozenset(words) for key, words in found.items()}


def open_at(uri: str, path: Path) -> sqlite3.Connection:
    """A connection in autocommit; ``path`` is what a refusal names."""
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    except TROUBLE as error:
        raise failure(path, error, " cannot be opened:") from error


def open_reading(path: Path) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint.

    SQLite wants to make a shared index beside a journal even to read it.  Where nothing can be written (a disc, a folder of
    evidence), what was closed is read as it lies: nobody else writes it there (sqlite.org/wal.html, "Read-Only Databases").
    """
    real = path.resolve()
    uri = f"file:{quote(os.fsencode(path))}?mode=ro"
    if not os.access(real.parent, os.W_OK) and not os.path.exists(f"{real}-shm"):
        if _bytes_of(f"{real}-wal"):
            raise JournalError(f"{path}: its newest entries are in {real}-wal, which is read only where something can be "
                               "written beside it: copy the two to another folder")
        uri += "&immutable=1"
    return open_at(uri, path)


def _bytes_of(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return 0


def identity(name: str) -> tuple[int, int]:
    """Which file a name stands for, (0, 0) where there is none."""
    try:
        stat = os.stat(name)
    except OSError:
        return 0, 0
    return stat.st_dev, stat.st_ino


def durable(db: sqlite3.Connection, path: Path) -> int:
    """Make sure that a commit is on disk when it returns, and that the write-ahead log has begun; a page's bytes."""
    # asserted, not assumed: a build or a file that answers otherwise would make PUBACK a lie
    try:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        db.execute("PRAGMA synchronous = FULL")
        level = db.execute("PRAGMA synchronous").fetchone()[0]
        # What an earlier process left in the WAL may be in the kernel's memory only, where its fsync failed: a message
        # sent again would be called a duplicate of something that is not on disk.  Written and synced anew here.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # only when we say so: between two steps of ours the file does not change, see ``journal.guard``
        db.execute("PRAGMA wal_autocheckpoint = 0")
        # a change that is none, so that the write-ahead log has its salts, which the head file then knows (an UPDATE to
        # the same value is not written)
        db.execute("BEGIN IMMEDIATE")
        db.execute("REPLACE INTO meta SELECT key, value FROM meta WHERE key = 'mode'")
        db.execute("COMMIT")
        page_bytes: int = db.execute("PRAGMA page_size").fetchone()[0]
    except TROUBLE as error:
        if db.in_transaction:
            db.rollback()
        raise failure(path, error, " cannot be written:") from error
    if mode != "wal" or level != 2:
        raise JournalError(f"{path}: needs journal_mode=wal and synchronous=2, has {mode} and {level}")
    return page_bytes


def checked(db: sqlite3.Connection, path: Path, oldest: int) -> tuple[Mode, int]:
    """The journal's mode and version."""
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except TROUBLE as error:
        raise failure(path, error, " is not a journal that can be read:") from error
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is not a Birddog journal")
    if OLDEST_VERSION <= version < oldest:
        raise JournalError(f"{path} is a journal of version {version}; this program works on version {SCHEMA_VERSION}: "
                           f"birddog journal migrate --journal sqlite:///{path}")
    if not oldest <= version <= SCHEMA_VERSION:
        raise JournalError(f"{path} is a journal of version {version}; this program reads version {SCHEMA_VERSION}")
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'mode'").fetchone()
    except TROUBLE as error:
        raise failure(path, error, " is damaged:") from error
    if row is None or row[0] not in A_KIND:
        raise JournalError(f"{path} is damaged: it says no mode, live or exercise")
    return row[0], version


def failure(path: Path, error: Exception, doing: str = ":") -> JournalError:
    """SQLite's words as one of ours; no room (also for the shared memory beside the WAL) can be tried again."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return JournalFull(f"{path}: the disk is full")
    if code & 0xFF in _MAY_COME_BACK:
        return JournalTrouble(f"{path}{doing} {' '.join(str(error).split())}")
    return JournalError(f"{path}{doing} {' '.join(str(error).split())}")
