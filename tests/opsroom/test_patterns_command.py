"""``birddog patterns``: one JSON object, with exposure, and nothing of few."""

from __future__ import annotations

import json

import pytest

from opsroom.cli import main


def written(tmp_path, ids):
    """So many that stood at one quay for two hours each, an hour after one another, and came and went."""
    lines = ["id,t,lat,lon"]
    for k in range(ids):
        begun = 1_790_000_000 + 3600 * k
        lines += [f"s{k},{begun + 600 * i},51.95,{4.0 if 6 <= i <= 18 else 4.0 + 0.02 * (i - 12)}" for i in range(25)]
    path = tmp_path / "tracks.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_hubs_hours_and_cells_come_with_their_exposure(tmp_path, capsys):
    assert main(["patterns", "--tracks", written(tmp_path, 8), "--teams", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    (hub,) = found["hubs"]
    assert (hub["shipments"], hub["events"], found["kind"], found["k"]) == (10, 10, "stop", 5)  # to the nearest five
    (cell,) = found["cells"]
    assert cell["exposure_h"] >= 8 * 2 and cell["events"] == 10 and found["teams"] == [cell]
    assert found["hours"] == [] and found["suppressed"]["hours"] == 8  # one shipment each


def test_a_size_that_is_not_answered_is_said_and_the_next_is_taken(tmp_path, capsys):
    path = written(tmp_path, 8)
    assert main(["patterns", "--tracks", path, "--cell-m", "10000"]) == 0
    wide = capsys.readouterr()
    assert main(["patterns", "--tracks", path, "--cell-m", "5001"]) == 0
    got = capsys.readouterr()
    assert got.out == wide.out and wide.err == "" and "--cell-m" in got.err and "10000 is taken" in got.err


def test_of_four_nothing_is_shown(tmp_path, capsys):
    assert main(["patterns", "--tracks", written(tmp_path, 4), "--k", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hubs"] == found["cells"] == found["hours"] == [] and found["suppressed"]["cells"] == 1


@pytest.mark.parametrize("words", [("--cell-m", "0"), ("--hub-m", "nan"), ("--teams", "-1")])
def test_what_cannot_be_is_one_line(tmp_path, capsys, words):
    assert main(["patterns", "--tracks", written(tmp_path, 2), *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and words[0] in said.err and said.err.count("\n") == 1
