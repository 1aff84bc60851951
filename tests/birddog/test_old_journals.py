"""Journals of every schema version ever released are still read, and, brought to the present one, appended to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from birddog.journal import migrate, open_reader
from birddog.journal.sqlite_file import SCHEMA_VERSION
from birddog.model import Operation, unpack
from ingest import control

OLD = Path(__file__).parents[1] / "journals"


def test_there_is_one_of_every_version():
    assert sorted(p.name for p in OLD.glob("v*.db")) == [f"v{n}.db" for n in range(1, SCHEMA_VERSION + 1)]


@pytest.mark.parametrize("name", sorted(p.name for p in OLD.glob("v*.db")))
def test_it_is_read_appended_to_and_counted(tmp_path, name):
    path = tmp_path / name
    shutil.copy(OLD / name, path)
    url = f"sqlite:///{path}"
    reader = open_reader(url, older=True)
    entries = reader.read(0)
    counts = reader.counts()
    assert [e.seq for e in entries] == list(range(1, counts.last_seq + 1))
    frames = [e for e in entries if e.kind in ("frame", "refusal")]
    assert counts.frames == len(frames) > 50
    assert counts.observations == 0 or counts.observations == sum(len(unpack(e).observations) for e in frames)
    reader.close()
    migrate(url)
    assert control.enter(url, [Operation(operation="NEW")], source="test") == [counts.last_seq + 1]
