"""A journal that is damaged, locked away or no journal at all: one line that names the file, never a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys

import pytest

from birddog.errors import BirddogError, JournalDisagrees, JournalError, JournalFull, UsageError
from birddog.journal import open_reader, open_writer, sqlite
from birddog.model import Draft, Operation, Tick, pack, unpack


def made(tmp_path, rows: int = 300):
    """(path, url) of a journal of so many entries, with no WAL beside it."""
    path = tmp_path / "j.db"
    url = f"sqlite:///{path}"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="operation", received_ns=i, source="t", ident=b"%d" % i, body=pack(Operation(operation=f"OP{i}")))
                   for i in range(rows)], [("tag", "s")])
    writer.close()
    return path, url


def changed(path, sql: str) -> None:
    db = sqlite3.connect(path)
    db.execute(sql)
    db.commit()
    db.close()


@pytest.mark.parametrize("sql,said", [
    ("DELETE FROM meta", "says no mode"),
    ("UPDATE meta SET value = 'film'", "says no mode"),
    ("DROP TABLE meta", "no such table"),
    ("DROP TABLE entry", "no such table"),
])
def test_a_journal_without_its_parts_is_refused(tmp_path, sql, said):
    path, url = made(tmp_path)
    changed(path, sql)

    def read():
        reader = open_reader(url)
        try:
            reader.last_seq()
        finally:
            reader.close()

    for opening in (read, lambda: open_writer(url, mode="live")):
        with pytest.raises(JournalError, match=said) as caught:
            opening()
        assert str(path) in str(caught.value)
    # the lock was let go: the next one is told the same, not that another process is writing
    with pytest.raises(JournalError, match=said):
        open_writer(url, mode="live")


def test_what_the_writer_looks_up_fails_in_one_line_too(tmp_path):
    path, url = made(tmp_path)
    writer = open_writer(url, mode="live")
    writer._db.execute("DROP TABLE session")
    with pytest.raises(JournalError, match="no such table: session") as caught:
        writer.sessions("tag")
    assert str(path) in str(caught.value)
    writer._db.execute("DROP TABLE entry")
    with pytest.raises(JournalError, match="no such table: entry"):
        writer.holds([b"1"])
    writer.close()
    with pytest.raises(JournalError, match=str(path)):
        writer.append([Draft(kind="tick", received_ns=1, source="t", ident=b"x", body=pack(Tick()))])


def test_an_entry_that_does_not_read_as_its_kind_is_named(tmp_path):
    path, url = made(tmp_path)
    changed(path, "UPDATE entry SET body = x'c1' WHERE seq = 17")
    changed(path, "UPDATE entry SET kind = 'opera' WHERE seq = 18")
    # msgspec lets Python's own error through where text is no UTF-8
    changed(path, "UPDATE entry SET body = x'81a96f7065726174696f6ea2ffff' WHERE seq = 19")
    reader = open_reader(url)
    entries = reader.read(15)
    reader.close()
    assert unpack(entries[0]) == Operation(operation="OP15")
    for entry in entries[1:4]:
        with pytest.raises(JournalError) as caught:
            unpack(entry)
        assert f"{path}: entry {entry.seq} is damaged" in str(caught.value)


def test_whatever_byte_is_flipped_it_is_read_or_refused_in_one_line(tmp_path):
    path, url = made(tmp_path, 200)
    good, rng, refused = path.read_bytes(), random.Random(5), 0
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 1, 8, 200))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        for opening in (open_reader, lambda url: open_writer(url, mode="live")):
            try:
                store = opening(url)
            except BirddogError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
                continue
            try:
                store.counts(), store.tail(3), store.registers()
                for entry in store.read(0, 1000):
                    unpack(entry)
            except JournalError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
            finally:
                store.close()
                for name in ("j.db-wal", "j.db-shm"):
                    (tmp_path / name).unlink(missing_ok=True)
    assert refused > 20


def test_a_place_that_takes_no_file_is_said(tmp_path):
    (tmp_path / "dir.db").mkdir()
    with pytest.raises(UsageError, match="no journal at .*dir.db"):
        open_writer(f"sqlite:///{tmp_path}/dir.db", mode="live")
    (tmp_path / "j.db.new").mkdir()
    with pytest.raises(JournalError, match=r"j\.db"):
        open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    (tmp_path / "k.db.lock").mkdir()
    with pytest.raises(JournalError, match=r"k\.db\.lock"):
        open_writer(f"sqlite:///{tmp_path}/k.db", mode="live")


def test_a_journal_that_others_own_is_one_line(tmp_path, bounded):
    path, url = made(tmp_path)
    path.chmod(0)
    words = ["journal", "count", "--journal", url]
    done = subprocess.run([*bounded, sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "j.db" in done.stderr, done.stderr


def test_no_room_at_the_opening_is_said_as_such(tmp_path, monkeypatch):
    path, url = made(tmp_path)
    real = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, sql, *values):
            if "journal_mode" in sql:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
                raise error
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, factory=Full, **k))
    with pytest.raises(JournalFull, match="the disk is full"):
        open_writer(url, mode="live")
    monkeypatch.undo()
    open_writer(url, mode="live").close()


def test_what_a_killed_writer_left_in_the_wal_is_written_and_synced_before_anything_is_called_a_duplicate(tmp_path):
    """Its fsync may have failed: then only the kernel's memory has it, and it reads as if it were there."""
    made(tmp_path)
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    writer.append([Draft(kind="tick", received_ns=1, source="t", ident=b"last", body=pack(Tick()))])
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    killed.mkdir()
    alone.mkdir()
    for name in ("j.db", "j.db-wal"):
        shutil.copy(tmp_path / name, killed / name)
    writer.close()
    again = open_writer(f"sqlite:///{killed}/j.db", mode="live")
    shutil.copy(killed / "j.db", alone / "j.db")  # without its WAL
    again.close()
    reader = open_reader(f"sqlite:///{alone}/j.db")
    assert reader.tail(1)[0].ident == b"last"
    reader.close()


def test_a_link_to_a_journal_is_the_same_journal(tmp_path):
    path, url = made(tmp_path)
    (tmp_path / "link.db").symlink_to(path)
    writer = open_writer(url, mode="live")
    with pytest.raises(JournalError, match="another process is writing"):
        open_writer(f"sqlite:///{tmp_path}/link.db", mode="live")
    writer.close()


def test_a_journal_that_another_process_has_just_made_is_not_made_over_it(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/j.db"
    real = sqlite._locked

    def locked(path):
        monkeypatch.setattr(sqlite, "_locked", real)
        made(tmp_path, 7)  # between our look and our lock
        return real(path)

    monkeypatch.setattr(sqlite, "_locked", locked)
    writer = open_writer(url, mode="live")
    assert writer.last_seq() == 7
    writer.close()


def test_a_wal_that_lost_its_journal_is_not_played_into_a_new_one(tmp_path):
    path, url = tmp_path / "j.db", f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=1, source="t", ident=b"%d" % i, body=pack(Tick())) for i in range(50)])
    path.rename(tmp_path / "moved.db")
    writer.close()
    assert (tmp_path / "j.db-wal").stat().st_size > 0
    with pytest.raises(JournalError, match="j.db-wal is there without its journal"):
        open_writer(url, mode="live")
    assert not path.exists()
    # nothing is lost: both belong together
    (tmp_path / "j.db-wal").rename(tmp_path / "moved.db-wal")
    reader = open_reader(f"sqlite:///{tmp_path}/moved.db")
    assert reader.last_seq() == 50
    reader.close()
    # what is left says that something is missing, and is moved with the rest
    with pytest.raises(JournalDisagrees, match="entry 50 of it had been acknowledged"):
        open_writer(url, mode="live")
    (tmp_path / "j.db.head").rename(tmp_path / "moved.db.head")
    open_writer(url, mode="live").close()
    open_writer(f"sqlite:///{tmp_path}/moved.db", mode="live").close()
