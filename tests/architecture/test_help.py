"""`birddog --help` answers at once: it may not pull in anything heavy.  (The time itself: benchmarks/help_time.py.)"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from birddog import __version__
from opsroom.cli import COMMANDS

#: Each of these costs tens of milliseconds or more; none is needed to print a usage.
HEAVY = {
    "PIL", "asyncio", "dask", "filterpy", "http", "httpx", "matplotlib", "numba", "numpy", "paho", "pandas", "pyais",
    "pymodbus", "rasterio", "scipy", "serial", "sqlite3", "ssl", "starlette", "uvicorn", "websockets", "xarray",
}  # fmt: skip


def imported(*words: str) -> set[str]:
    """Top-level names of what `birddog WORDS` imports, as Python itself says."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "opsroom.cli", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", done.stderr, re.MULTILINE)
    assert "argparse" in names, "importtime has another form than this test reads"
    return {name.split(".")[0] for name in names}


def test_help_and_version_are_light():
    assert imported("--help") & HEAVY == set()
    assert imported("--version") & HEAVY == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command_is_light(command):
    """A command's options are set without the packages that it works with; msgspec is allowed."""
    assert imported(command, "--help") & (HEAVY - {"asyncio", "http", "sqlite3", "ssl"}) == set()


def test_help_of_the_journal_reads_no_log():
    """Errors are raised by every command, and logs are written by few: a help wants neither logging nor traceback."""
    assert imported("journal", "--help") & {"logging", "traceback"} == set()


def test_version():
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"birddog {__version__}\n")


@pytest.mark.parametrize("words", [(), ("no-such-command",), ("journal", "count", "--no-such-option")])
def test_a_usage_error_is_one_line(words):
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
