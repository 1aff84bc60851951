"""The one writer thread: drives the desk from the intake, keeps time with ticks, survives a full disk.

Group commit: everything that waits is taken, up to ``commit_rows``; while a transaction is being
written the next batch gathers, so that the fsync is shared.  ``commit_ms`` more are waited when a batch
is small: kinder to a slow disk, at the price of latency.  Only this thread touches the journal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Annotated

import msgspec

from birddog.errors import JournalError, JournalFull, place_of
from birddog.units import NS
from ingest.batch import Batch
from ingest.desk import TICK_NS, Desk
from ingest.intake import Closed, Entries, Intake, Item

log = logging.getLogger(__name__)

#: The machine's clock was set where it went by so much more or less than time did; smaller errors are slewed.
STEP_NS = 10 * NS
#: The log is signed so often; with the quarter of a second that an empty intake is waited for, a commit is signed within one.
SIGN_S = 0.6


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[journal]``: where the journal is and how commits are grouped.

    ``log``: keep the evidence log, and the entries of cases sealed (docs/evidence.md); ``master_key``: the file of the key that
    wraps all others, "" beside the journal.
    """

    url: str = "sqlite:///birddog.db"
    commit_rows: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    commit_ms: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    queue_frames: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 20_000
    log: bool = True
    master_key: str = ""


class WriterThread(threading.Thread):
    """Runs until ``stop()``; then drains the intake, commits and ends.

    Args:
        failed: called once, on this thread, when the journal failed for good or this program did; nothing
            is acknowledged from then on, and the process shall end (a failed fsync is never retried).
    """

    def __init__(self, desk: Desk, intake: Intake, settings: Settings, failed: Callable[[JournalError], None]):
        super().__init__(name="writer")
        self.desk, self.intake, self.settings = desk, intake, settings
        self.full = False
        self.commits = 0
        self.entries = 0
        self._failed = failed
        self._signed_at = 0.0
        self._asked_at = 0.0  # the disk, for the commit that is going on
        self._stop_asked = threading.Event()
        self._clocks = read_clocks()

    def run(self) -> None:
        """The loop; see the module's docstring."""
        last_ns = self._now()
        rows, wait_s = self.settings.commit_rows, self.settings.commit_ms / 1000.0
        try:
            while True:
                items = self.intake.take(rows, 0.25)
                if items and _frames(items) < rows // 4 and wait_s > 0.0 and not self._stop_asked.is_set():
                    time.sleep(wait_s)
                    items += self.intake.take(rows, 0.0)
                now_ns = self._now()
                if items:
                    if self._commit(self.desk.prepare(items, now_ns)):
                        last_ns = now_ns
                elif self._stop_asked.is_set():
                    self._commit(self.desk.rest(now_ns))
                    return
                self._sign()
                self.desk.journal.tend()
                if now_ns - last_ns >= TICK_NS or now_ns < last_ns:
                    last_ns = now_ns
                    self._tick(now_ns)
                    self._commit(self.desk.prepare([], now_ns))  # what has only been counted
        except JournalError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - boundary: a fault of ours must not leave transports without a writer
            log.error("the writer crashed: %s", place_of(error))
            self._end(JournalError(f"the writer crashed: {type(error).__name__}; the log says where"))

    def stop(self) -> None:
        """Ask the thread to end when the intake is empty."""
        self._stop_asked.set()
        self.intake.stop()

    @property
    def stalled_s(self) -> float:
        """For how long the disk has not answered a commit; 0 where it owes no answer."""
        asked_at = self._asked_at
        return time.monotonic() - asked_at if asked_at else 0.0

    def _now(self) -> int:
        """The machine's clock; when it was set, the desk is told."""
        (wall_before, up_before), (wall, up) = self._clocks, read_clocks()
        self._clocks = wall, up
        step_ns = (wall - wall_before) - (up - up_before)
        if abs(step_ns) > STEP_NS:
            self.desk.clock.stepped(step_ns)
        return wall

    def _end(self, error: JournalError) -> None:
        log.error("nothing is acknowledged any more: %s", error)
        self.intake.stop()
        self._failed(error)

    def _no_room(self, error: JournalFull) -> None:
        if not self.full:
            log.error("%s; nothing is acknowledged until there is room", error)
        self.full = True

    def _room(self) -> None:
        if self.full:
            log.info("there is room on the disk again")
        self.full = False

    def _commit(self, batch: Batch) -> int:
        pause_s = 0.2
        while True:
            try:
                self._asked_at = time.monotonic()
                new = self.desk.commit(batch)
            except JournalFull as error:
                self._no_room(error)
                if self._stop_asked.wait(pause_s):
                    raise
                pause_s = min(pause_s * 2, 5.0)
                continue
            finally:
                self._asked_at = 0.0
            self._room()
            self.commits += 1
            self.entries += new
            return new

    def _sign(self) -> None:
        """What was committed is in the log within a second."""
        now = time.monotonic()
        if now - self._signed_at < SIGN_S:
            return
        self._signed_at = now
        try:
            if self.desk.journal.checkpoint(wait=False):
                self._room()
        except JournalFull as error:
            self._no_room(error)  # the entries stand; a later checkpoint covers them

    def _tick(self, now_ns: int) -> None:
        try:
            self._asked_at = time.monotonic()
            self.desk.tick(now_ns)
        except JournalFull as error:
            self._no_room(error)
        else:
            self._room()
        finally:
            self._asked_at = 0.0


def _frames(items: list[Item | Closed | Entries]) -> int:
    return sum(len(item[1]) for item in items if isinstance(item, tuple))


def read_clocks() -> tuple[int, int]:
    """The machine's clock, which may be set, and the time since it was started (asleep or not), which may not (ns)."""
    return time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
