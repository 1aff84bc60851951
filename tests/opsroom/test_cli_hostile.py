"""Every option of every command, given what it cannot be: 0, 1 or 2, one line, nothing that we did not foresee.

The options are found in the parsers, so a new one is asked too.  Commands that take seconds (scan, sim run) are tried in
their own tests.
"""

from __future__ import annotations

import argparse
import importlib
import os

import pytest

from birddog.journal import open_writer
from opsroom import cli

JOURNAL = ["--journal", "sqlite:///j.db"]
CALLS: dict[tuple[str, ...], list[str]] = {
    ("journal", "count"): JOURNAL, ("journal", "tail"): JOURNAL, ("journal", "export"): JOURNAL,
    ("operation", "list"): JOURNAL, ("operation", "add"): ["A", *JOURNAL], ("operation", "close"): ["X", *JOURNAL],
    ("operation", "retain"): ["A", "--days", "9", *JOURNAL],
    ("device", "enrol"): ["a", *JOURNAL], ("device", "attach"): ["a", "--operation", "A", *JOURNAL],
    ("device", "detach"): ["a", *JOURNAL], ("device", "place"): ["p", "--lat", "1", "--lon", "1", "--range", "5", *JOURNAL],
    ("device", "list"): JOURNAL, ("device", "show"): ["a", *JOURNAL], ("device", "retire"): ["b", *JOURNAL],
    ("decode",): ["--jsonl", "d.csv"], ("rebuild",): JOURNAL, ("replay",): ["d.csv", "--format", "positions", *JOURNAL],
    ("track",): ["--detections", "d.csv", "--every", "50"],
    ("locate",): ["--fixes", "f.csv", "--at", "f.csv", "--mode", "live"],
    ("sim", "list"): [], ("sim", "check"): ["harbour"], ("sim", "score"): ["--truth", "f.csv", *JOURNAL],
    ("sim", "load"): ["--to", "mqtt://127.0.0.1:1", "--for", "0.01"], ("run",): ["--only", "imagery"],
}  # fmt: skip
VALUES = ("", "nan", "1e999", "-1", "9" * 23, "x", "a\nb", "-1e-9", "/", "no/such/x", "\udcff", "2026-01-01T00:00:00")


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_no_value_of_an_option_is_a_surprise(tmp_path, monkeypatch, capfd, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIRDDOG_TRACEBACK", raising=False)
    open_writer("sqlite:///j.db", mode="exercise").close()
    (tmp_path / "d.csv").write_text("id,t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn,lat,lon\na,1,1,s,1,2,3,0,3,51,4\n")
    (tmp_path / "f.csv").write_text("track_id,t,lat,lon\na,1,51,4\na,2,51,4\n")
    tried = 0
    for line in lines_of(words):
        try:
            status = cli.main(line)
        except SystemExit as ended:
            status = ended.code
        said = capfd.readouterr().err
        assert status in (0, 1, 2) and "fault of Birddog" not in said and "Traceback" not in said, (line, status, said)
        assert status != 2 or said.splitlines()[-1].startswith("birddog") or "birddog" in said, (line, said)
        tried += 1
    assert tried > len(VALUES) or words == ("sim", "list")
    assert os.path.exists("/dev/null")


def lines_of(words: tuple[str, ...]) -> list[list[str]]:
    """The plain call, and one call an option and value."""
    parser = argparse.ArgumentParser()
    importlib.import_module("opsroom.commands." + cli.COMMANDS[words[0]][0]).configure(parser)
    for word in words[1:]:
        parser = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices[word]
    lines = [[*words, *CALLS[words]]]
    for action in parser._actions:
        for value in VALUES:
            if not action.option_strings:
                if action.nargs in (None, "+", "*") and not (words == ("replay",) and value == ""):
                    lines.append([*words, value, *CALLS[words][1:]])
            elif action.nargs != 0:
                given = ["nmea", value] if action.nargs == 2 else [value]
                before = [] if words == ("decode",) and action.option_strings[-1] in ("--jsonl", "--stream") else CALLS[words]
                lines.append([*words, *before, action.option_strings[-1], *given])
    return lines
