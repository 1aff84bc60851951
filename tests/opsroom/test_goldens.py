"""Five journals of the simulator and of public captures: the picture that they give, and the truth (tests/goldens)."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("goldens", ROOT / "tools" / "goldens.py")
goldens = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(goldens)

pictured = functools.cache(goldens.picture_of)


def test_there_are_five_and_each_is_whole():
    assert len(goldens.GOLDENS) >= 5
    for name in goldens.GOLDENS:
        for part in ("journal.xz", "truth.csv", "limits.toml", "picture.jsonl"):
            assert (goldens.FOLDER / f"{name}.{part}").is_file(), f"{name}.{part}"


@pytest.mark.parametrize("name", goldens.GOLDENS)
def test_the_truth_holds(name):
    assert goldens.broken(name, pictured(name)) == []


@pytest.mark.parametrize("name", goldens.GOLDENS)
def test_the_picture_is_the_golden_one(name):
    kept = (goldens.FOLDER / f"{name}.picture.jsonl").read_text("utf-8").splitlines()
    wanted = [json.loads(line) for line in kept]
    got = [json.loads(line) for line in goldens.lines_of(pictured(name).rows)]
    assert goldens.differences(wanted, got) == [], "meant so? .venv/bin/python tools/goldens.py"


def test_a_picture_that_lost_its_thing_is_not_written(tmp_path, monkeypatch, capsys):
    """The truth is asked before a golden is made again: without the bus's points nothing of it is followed."""
    made = pictured("bus")
    monkeypatch.setattr(goldens, "picture_of", lambda name: goldens.Made(rows=made.rows, tracks=made.tracks, points=[]))
    monkeypatch.setattr(goldens, "FOLDER", tmp_path)
    for part in ("truth.csv", "limits.toml"):
        (tmp_path / f"bus.{part}").write_bytes((ROOT / "tests" / "goldens" / f"bus.{part}").read_bytes())
    assert goldens.main(["bus"]) == 1
    assert not (tmp_path / "bus.picture.jsonl").exists() and "not written: bus: bus has 0 tracks" in capsys.readouterr().err


def test_a_row_that_moved_is_a_difference_and_a_last_digit_is_none():
    row = {"table": "track", "lat_deg": 52.0, "p_ee": 100.0, "track_id": "T5"}
    assert goldens.differences([row], [row | {"lat_deg": 52.0000004, "p_ee": 100.01, "since": None}]) == []
    for other in ({"lat_deg": 52.00001}, {"p_ee": 101.0}, {"track_id": "T6"}, {"track_id": None}):
        assert goldens.differences([row], [row | other]) != []
    assert goldens.differences([row], []) != []
