"""The processes' status rows: one small file each beside the journal, renewed every second.

``PATH.status/NAME.json`` is written beside and renamed, so that a reader never sees half of it.  A row
names its process: one that was killed is known to be gone at once, not when its row has grown old.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from birddog.journal import Home

log = logging.getLogger(__name__)

#: A process that has not written for this long is reported by /healthz.
STALE_AFTER_S = 10.0


class Board:
    """One process's own row."""

    def __init__(self, journal: Home, name: str):
        self._folder = journal.status
        self._file = self._folder / f"{name}.json"
        self._made = self._folder / f"{name}.new"
        self._failed = False

    def write(self, row: dict[str, Any]) -> None:
        """Publish the row with the present time; ``problem`` is "" or one line that says what is wrong.

        On a full disk it is written over the row before, in the block that it has.  Where that fails too the
        process goes on; the row grows old, which is seen.
        """
        row = {"updated_ns": time.time_ns(), "stale_after_s": STALE_AFTER_S, "problem": "", "pid": os.getpid(),
               "pid_space": _pid_space()} | row
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._put(json.dumps(row, allow_nan=False).encode())
        except OSError as error:
            if not self._failed:
                log.error("the status row %s cannot be written: %s", self._file, error.strerror)
            self._failed = True
        else:
            self._failed = False

    def _put(self, data: bytes) -> None:
        try:
            self._made.write_bytes(data)
            os.replace(self._made, self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._made.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._file.exists():
                raise
            with self._file.open("r+b") as file:
                file.write(data)
                file.truncate()

    def remove(self) -> None:
        """The process ends as it was asked to."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def read(journal: Home, expected: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every row there is; a process that is expected and has none is reported as not started."""
    return {name: _row(journal.status / f"{name}.json") for name in expected}


def _row(file: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"updated_ns": 0, "stale_after_s": STALE_AFTER_S}
    try:
        row |= json.loads(file.read_text())
        pid = int(row["pid"])
    except FileNotFoundError:
        return row
    except (OSError, ValueError, TypeError, KeyError) as error:
        return row | {"problem": f"the status row {file} cannot be read: {type(error).__name__}"}
    if row.get("pid_space") == _pid_space() and not _alive(pid):
        row["problem"] = "; ".join(filter(None, (row.get("problem"), "the process has ended and is not back yet")))
    return row


def _pid_space() -> str:
    """Where the numbers of processes mean the same: one may run in a container of its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
