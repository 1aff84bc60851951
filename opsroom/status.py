"""The processes' status rows: one small file each beside the journal, renewed every second.

``PATH.status/NAME.json`` is written beside and renamed, so that a reader never sees half of it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

#: A process that has not written for this long is reported by /healthz.
STALE_AFTER_S = 10.0


def folder_of(journal: Path) -> Path:
    """Where the status rows of a journal's processes lie."""
    return journal.with_name(journal.name + ".status")


class Board:
    """One process's own row."""

    def __init__(self, journal: Path, name: str):
        self._folder = folder_of(journal)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._file = self._folder / f"{name}.json"

    def write(self, row: dict[str, Any]) -> None:
        """Publish the row with the present time; ``problem`` is "" or one line that says what is wrong."""
        row = {"updated_ns": time.time_ns(), "stale_after_s": STALE_AFTER_S, "problem": "", "pid": os.getpid()} | row
        made = self._file.with_suffix(f".{os.getpid()}.new")
        made.write_text(json.dumps(row, allow_nan=False))
        os.replace(made, self._file)

    def remove(self) -> None:
        """The process ends as it was asked to."""
        self._file.unlink(missing_ok=True)


def read(journal: Path, expected: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every row there is; a process that is expected and has none is reported as not started."""
    rows: dict[str, dict[str, Any]] = {name: {"updated_ns": 0, "stale_after_s": STALE_AFTER_S} for name in expected}
    folder = folder_of(journal)
    if folder.is_dir():
        for file in sorted(folder.glob("*.json")):
            if file.stem in rows:
                rows[file.stem] = json.loads(file.read_text())
    return rows
