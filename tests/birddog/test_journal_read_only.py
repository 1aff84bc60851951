"""A journal where nothing can be written beside it: a disc, a folder of evidence, somebody else's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from birddog.errors import JournalError
from birddog.journal import open_reader, open_writer
from birddog.model import Draft

DRAFT = Draft(kind="tick", received_ns=1, source="t", ident=b"i", body=b"\x80")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that cannot be written: root, as in CI, may write anywhere, so that for it access(2) and SQLite are told so."""
    place = tmp_path / "disc"
    place.mkdir()
    yield place
    place.chmod(0o755)


def closed(folder: Path, monkeypatch) -> str:
    url = f"sqlite:///{folder}/j.db"
    journal = open_writer(url, mode="exercise")
    journal.append([DRAFT])
    journal.close()
    lock(folder, monkeypatch)
    return url


def lock(folder: Path, monkeypatch) -> None:
    folder.chmod(0o555)
    if os.geteuid() == 0:
        real = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and not (mode & os.W_OK and Path(path) == folder))


def test_a_closed_journal_is_read_where_nothing_can_be_written(folder, monkeypatch):
    url = closed(folder, monkeypatch)
    before = sorted(p.name for p in folder.iterdir())
    reader = open_reader(url)
    assert reader.last_seq() == 1 and reader.read(0)[0].ident == b"i" and reader.disagreement() == ""
    reader.close()
    assert sorted(p.name for p in folder.iterdir()) == before, "nothing was made beside it"


def test_entries_in_a_log_that_cannot_be_read_there_are_not_passed_over(tmp_path, folder, monkeypatch):
    journal = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    journal.append([DRAFT])
    for name in ("j.db", "j.db-wal", "j.db.head"):  # as a copy of a running system is made, without its shared index
        shutil.copy(tmp_path / name, folder)
    journal.close()
    lock(folder, monkeypatch)
    with pytest.raises(JournalError, match=r"j\.db-wal, which is read only where something can be written"):
        open_reader(f"sqlite:///{folder}/j.db")


def test_a_rebuild_where_nothing_can_be_written(folder, monkeypatch, capsys):
    """What stands beside the journal is compared with a fold made elsewhere; without it one line says what to do."""
    from opsroom.cli import main

    url = f"sqlite:///{folder}/j.db"
    table = folder.parent / "a.csv"
    table.write_text("id,t,lat,lon\nlorry-5,1772431200,52.0,5.5\n")
    assert main(["replay", str(table), "--format", "positions", "--journal", url]) == 0
    lock(folder, monkeypatch)
    assert main(["rebuild", "--journal", url]) == 2
    said = capsys.readouterr().err
    assert "there is no derived store" in said and "copy it to a folder of your own" in said
    folder.chmod(0o755)
    monkeypatch.undo()
    assert main(["rebuild", "--journal", url]) == 0
    lock(folder, monkeypatch)
    before = sorted(p.name for p in folder.iterdir())
    assert main(["rebuild", "--journal", url]) == 0
    out = capsys.readouterr()
    assert "identical" in out.out and "folded again in" in out.err and sorted(p.name for p in folder.iterdir()) == before
