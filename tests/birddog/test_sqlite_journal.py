"""What holds of the SQLite backend alone; tests/conformance/test_journals.py judges what every backend does."""

from __future__ import annotations

import sqlite3

import pytest

from birddog.errors import JournalError, JournalFull
from birddog.journal import Home, open_reader, open_writer, presence
from birddog.model import Draft, Tick, pack


def draft(ident: str) -> Draft:
    return Draft(kind="tick", received_ns=5, source="test", ident=ident.encode(), body=pack(Tick()))


def test_a_full_disk_rolls_back_whole_and_recovers(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    writer.append([draft("first")])
    pages = writer._db.execute("PRAGMA page_count").fetchone()[0]
    writer._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = [Draft(kind="tick", received_ns=1, source="t", ident=str(i).encode(), body=b"x" * 2000) for i in range(50)]
    with pytest.raises(JournalFull):
        writer.append(big)
    assert writer.last_seq() == 1
    writer._db.execute("PRAGMA max_page_count = 1073741823")
    assert writer.append(big) == list(range(2, 52))
    writer.close()


def test_full_durability_is_asserted_not_assumed(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    assert writer._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert writer._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    writer.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look at" * 50])
def test_another_file_is_not_taken_for_a_journal(tmp_path, content):
    (tmp_path / "j.db").write_bytes(content)
    for opening in (lambda u: open_reader(u), lambda u: open_writer(u, mode="live")):
        with pytest.raises(JournalError, match="not a"):
            opening(f"sqlite:///{tmp_path}/j.db")


def test_a_newer_version_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    open_writer(url, mode="live").close()
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="version 99"):
        open_reader(url)


def test_a_journal_that_was_moved_away_from_its_newest_part_is_not_absent(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    (tmp_path / "j.db-wal").write_bytes(b"")
    assert presence(url) == "absent"
    (tmp_path / "j.db-wal").write_bytes(b"x")
    assert presence(url) == "moved"


def test_two_names_of_one_journal_have_one_lock_head_and_socket(tmp_path):
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to("real.db")
    real, link = Home(tmp_path / "real.db"), Home(tmp_path / "link.db")
    assert (real.lock, real.head, real.socket) == (link.lock, link.head, link.socket)
    assert real.picture != link.picture
