"""Plays a journal again: folds it into a store of its own at the pace at which it was written."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from birddog.errors import BirddogError
from birddog.journal import Reader
from opsroom.picture import STEP_ENTRIES, Picture

#: How often what is due is folded.
BEAT_S = 0.1


class Player(threading.Thread):
    """Folds what is due, until ``stop``.

    Args:
        journal: a reader of its own, closed at the end.
        path: the store to make.
        speed: times life.
        since_ns: the play begins at this time of the journal; what was before is folded at once.
    """

    def __init__(self, journal: Reader, path: Path, *, speed: float, since_ns: int | None = None):
        super().__init__(name="replay", daemon=True)
        self._journal, self._path, self._speed, self._since_ns = journal, path, speed, since_ns
        #: Why the play ended before it was told to: the journal is damaged, the disk is full.
        self.error: BirddogError | None = None
        self._asked = threading.Event()
        self._now_ns = since_ns or 0
        self._row: dict[str, Any] = {"updated_ns": time.time_ns()}

    def now_ns(self) -> int:
        """The time in the play."""
        return self._now_ns

    def status(self) -> dict[str, Any]:
        """A status row for /healthz."""
        return self._row

    def stop(self) -> None:
        """End the play and wait for it."""
        self._asked.set()
        self.join(10.0)

    def run(self) -> None:
        """The loop; an error ends it and is kept."""
        try:
            self._play()
        except BirddogError as error:
            self.error = error

    def _play(self) -> None:
        picture = Picture(self._journal, self._path)
        first = self._journal.read(0, 1)
        begin_ns = self._since_ns if self._since_ns is not None else first[0].received_ns if first else 0
        self._now_ns = begin_ns
        while self._step(picture) and not self._asked.is_set():
            pass
        began = time.monotonic()
        while not self._asked.wait(BEAT_S):
            due_ns = begin_ns + int((time.monotonic() - began) * self._speed * 1e9)
            newest = self._journal.tail(1)
            # at the end of the journal the play stands still: nothing is known of what came after
            self._now_ns = min(due_ns, max(newest[0].received_ns, begin_ns)) if newest else due_ns
            while self._step(picture) and not self._asked.is_set():
                pass
        picture.close()
        self._journal.close()

    def _step(self, picture: Picture) -> bool:
        """Fold the entries that are due; whether more may be due now."""
        waiting = self._journal.read(picture.cursor, STEP_ENTRIES)
        due = 0
        for entry in waiting:
            if entry.received_ns > self._now_ns:
                break
            due += 1
        if due:
            picture.step(due, self._asked.is_set)
        self._row = {"updated_ns": time.time_ns(), "cursor": picture.cursor, "left": self._journal.last_seq() - picture.cursor}
        return due == STEP_ENTRIES
