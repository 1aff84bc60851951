"""A retired device is never admitted again, as the help says: neither enrolled, nor attached, nor retired twice."""

from __future__ import annotations

import pytest

from birddog.journal import open_reader
from opsroom.cli import main


def test_retired_is_for_ever(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"

    def birddog(*words: str) -> int:
        return main([*words, "--journal", url])

    assert birddog("operation", "add", "NIGHTJAR") == 0
    assert birddog("device", "enrol", "tag") == 0
    assert birddog("device", "retire", "tag") == 0
    reader = open_reader(url)
    before = reader.last_seq()
    for words in (("enrol", "tag"), ("attach", "tag", "--operation", "NIGHTJAR"), ("retire", "tag")):
        capsys.readouterr()
        assert birddog("device", *words) == 2
        said = capsys.readouterr().err
        assert "'tag'" in said and "retired" in said and len(said.splitlines()) == 1
    assert reader.last_seq() == before
    reader.close()
    with pytest.raises(SystemExit):
        main(["device", "--help"])
    assert "never admit it again" in capsys.readouterr().out
