"""One log line for each thing that happened, whatever a client put into its words.

Much of what is logged holds text that somebody sent: a path, a file's name, a client id, an exception's words.
A line end in it would begin a line of the sender's own making, an escape would move the reader's cursor, and a
fault that a client can repeat would fill the disk.  So nothing that logs has to think of it: the handler writes
every record as one line of printable characters, a traceback as its places, and of one kind of line (one format
string) at most ``MOST`` within ``WINDOW_S``.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from birddog.errors import place_of, printable

#: Lines of one kind written within so many seconds; those left out are counted in the next one.
MOST, WINDOW_S = 20, 10.0
LONGEST = 4000


class OneLine(logging.Formatter):
    """A record as one line of printable characters."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        text = self.formatMessage(record)
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {place_of(record.exc_info[1])}"
        return printable(text)[:LONGEST]


class Flood(logging.Filter):
    """Lets of each kind of line ``MOST`` through in ``WINDOW_S``; the next one says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], list[float]] = {}  # [window's start, lines in it, left out]

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = record.created
        kind = self._kinds.setdefault((record.name, str(record.msg)[:200]), [now_s, 0, 0])
        if abs(now_s - kind[0]) >= WINDOW_S:
            left_out = int(kind[2])
            kind[:] = [now_s, 0, 0]
            if left_out:
                record.msg, record.args = f"{record.getMessage()} ({left_out} more such lines were left out)", None
            if len(self._kinds) > 1000:  # format strings are few; this is for a library that formats its own
                self._kinds.clear()
        kind[1] += 1
        kind[2] += kind[1] > MOST
        return kind[1] <= MOST


def log_to(stream: TextIO | None, name: str) -> None:
    """Write this process's log to a stream; ``name`` (a role) stands in each line."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(OneLine(f"%(asctime)s {name} %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"))
    handler.addFilter(Flood())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
