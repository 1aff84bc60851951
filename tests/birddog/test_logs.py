"""What somebody sent can't begin a log line, colour one, or fill the disk with them."""

from __future__ import annotations

import io
import logging
import re

import pytest

from birddog import logs

FORGED = "x\n2026-11-28T00:00:00+0000 ingest INFO FORGED\x1b[31m\r\u2028\u202e\x85\x00\udcff"


@pytest.fixture
def written():
    """A log that is written as a role writes it."""
    root = logging.getLogger()
    before, level, out = root.handlers[:], root.level, io.StringIO()
    logs.log_to(out, "console")
    yield out
    root.handlers[:], root.level = before, level


def test_a_text_from_outside_stays_in_its_line(written):
    log = logging.getLogger("birddog.test")
    log.info("GET %s", FORGED)
    log.warning(FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("%s could not be answered", FORGED)
    lines = written.getvalue().split("\n")
    assert len(lines) == 4 and lines[-1] == ""
    for line in lines[:-1]:
        assert line.isprintable() and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} console (INFO|WARNING|ERROR) ", line)
    assert "ValueError at " in lines[2] and "test_logs.py" in lines[2] and "Traceback" not in lines[2]


def test_a_line_that_is_repeated_is_counted_not_written(written):
    log, now_s = logging.getLogger("birddog.test"), 1e9

    def refused(number: int, words: str = "refused: %d") -> None:
        log.handle(logging.makeLogRecord({"name": log.name, "msg": words, "args": (number,), "created": now_s, "levelno": 30}))

    for number in range(10_000):
        refused(number)
    refused(1, "something else: %d")
    assert written.getvalue().count("\n") == logs.MOST + 1
    now_s += logs.WINDOW_S
    refused(-1)
    assert written.getvalue().endswith(f"refused: -1 ({10_000 - logs.MOST} more such lines were left out)\n")


def test_a_line_has_an_end(written):
    logging.getLogger("birddog.test").warning("%s", "x" * 1_000_000)
    assert len(written.getvalue()) <= logs.LONGEST + 1
