"""birddog sim: what its options refuse, before anything is written."""

from __future__ import annotations

import pytest

from opsroom import cli


@pytest.mark.parametrize("words,said", [
    (["--for", "inf"], "--for: wants seconds above 0, at most 7776000"),
    *((["--for", value], "--for") for value in ("nan", "0", "-1e-3", "1e12")),
    (["--start", "-5000"], "--start: wants a time of the years 2000"), (["--start", "2090-01-01T00:00:00Z"], "--start"),
    (["--start", ""], "--start"), (["--start", "2026-01-01T00:00:00"], "has no offset"),
    (["--to", ""], "--to: wants a target, or . for this folder"), (["--speed", "nan"], "--speed"),
    (["--speed", "0"], "--speed"), (["--seed", "1.5"], "--seed"), (["--to", "mqtt://h:x"], "the port is no number"),
    (["--to", "http://h"], "there are mqtt://"),
])  # fmt: skip
def test_an_option_of_run_that_cannot_be(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(["sim", "run", "harbour", "--to", "out", *words])
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and said in error
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_has_no_target_is_named(capsys):
    assert cli.main(["sim", "run", "harbour", "--to", "mqtt://127.0.0.1:1"]) == 2
    error = capsys.readouterr().err
    for name in ("tcp (350000000001234)", "pty (", "udp (", "modbus (", "scenes ("):
        assert name in error


def test_a_truth_file_that_cannot_be_written_is_named(tmp_path, capsys):
    to = ["--to", str(tmp_path / "out"), "--for", "1"]
    assert cli.main(["sim", "run", "harbour", *to, "--truth", str(tmp_path / "no/t.csv")]) == 2
    assert f"{tmp_path}/no/t.csv: cannot be written" in capsys.readouterr().err
