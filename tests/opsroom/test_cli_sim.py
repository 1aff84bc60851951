"""birddog sim: what its options refuse, before anything is written."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

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


@pytest.mark.slow
def test_a_live_journal_refuses_the_simulator_in_one_line(tmp_path, free_port):
    port = free_port()
    words, url = [sys.executable, "-m", "opsroom.cli"], f"sqlite:///{tmp_path}/live.db"
    live = subprocess.Popen([*words, "run", "--journal", url, "--only", "ingest", "--mqtt-port", str(port)],
                            stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        with socket.socket() as client:
            while client.connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        to = ["--to", f"mqtt://127.0.0.1:{port}"]
        for asked in (["run", "harbour", *to, "--to", str(tmp_path / "rest")], ["load", "--devices", "2", "--for", "1", *to]):
            done = subprocess.run([*words, "sim", *asked], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2 and "a live journal refuses exercise data" in done.stderr, done.stderr
            assert "Traceback" not in done.stderr
    finally:
        live.terminate()
        live.wait(10)
    count = [*words, "journal", "count", "--json", "--journal", url]
    counted = json.loads(subprocess.run(count, capture_output=True, text=True, timeout=60).stdout)
    assert counted["rejects"]["exercise"] >= 2 and counted["observations"] == 0
