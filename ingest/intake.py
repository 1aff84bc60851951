"""The bounded queue between the transports and the desk's one writer thread.

A transport hands over *lists* of frames and is told, after the commit, what became of them.  The
bound is the back-pressure: a thread that ``put``s waits, an event loop that ``offer``s is told no,
stops reading its sockets and is called when there is room again.  Nothing is dropped here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from birddog.model import Draft, Frame, Reject


class Result(msgspec.Struct, gc=False):
    """What became of one frame; it is on disk when a transport sees this.

    Args:
        frame: the frame that was handed over.
        outcome: ``stored``; ``duplicate`` (an equal one was stored before: acknowledge it again);
            ``refused`` (the record of its refusal was stored, or its malformed bytes with the reason).
        reply: bytes that the codec wants sent to the device now, or None.
        rejects: why, where something was refused.
    """

    frame: Frame
    outcome: Literal["stored", "duplicate", "refused"]
    reply: bytes | None = None
    rejects: tuple[Reject, ...] = ()


class Source(Protocol):
    """A transport, as the desk sees it."""

    name: str

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread after the commit, in the order the frames were handed over.

        It must not block (an event loop's source hands the list to its loop in one call).
        """


class Closed(msgspec.Struct, frozen=True):
    """Said in line with the frames: this session has ended, its decoder can go.

    Args:
        finished: the identity whose session it was, where it ended with nothing unacknowledged (MQTT DISCONNECT): what is
            sent again later is of no session up to this one.
    """

    session: str
    finished: str = ""


class Entries(msgspec.Struct, frozen=True):
    """Entries that are no messages of devices: registers, decisions, scans, starts.

    ``done`` is called on the writer's thread after the commit with their numbers (0 = was there).
    """

    drafts: list[Draft]
    done: Callable[[list[int]], None]


Item = tuple[Source, list[Frame]]


class Intake:
    """Thread-safe, bounded in frames.

    Args:
        capacity: frames held before ``offer`` says no; one list may go over it once.
    """

    def __init__(self, capacity: int = 10_000):
        self.capacity = capacity
        self._items: deque[Item | Closed | Entries] = deque()
        self._held = 0
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._waiting: list[Callable[[], None]] = []
        self._stopped = False

    def offer(self, source: Source, frames: list[Frame]) -> bool:
        """Hand over frames without waiting; False (nothing taken) when full."""
        with self._lock:
            if self._held >= self.capacity:
                return False
            self._add(source, frames)
            return True

    def put(self, source: Source, frames: list[Frame], *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Hand over frames, waiting for room; False when ``stop()`` became true first."""
        with self._lock:
            while self._held >= self.capacity:
                if stop() or self._stopped:
                    return False
                self._room.wait(0.2)
            self._add(source, frames)
            return True

    def when_room(self, call: Callable[[], None]) -> None:
        """Call once, from the writer's thread, as soon as ``offer`` would take something (perhaps now)."""
        with self._lock:
            if self._held >= self.capacity:
                self._waiting.append(call)
                return
        call()

    def close_session(self, session: str, finished: str = "") -> None:
        """Say that a session has ended (see ``Closed``); takes its place behind the frames handed over before."""
        with self._lock:
            self._items.append(Closed(session, finished))
            self._filled.notify()

    def enter(self, entries: Entries) -> None:
        """Hand over entries of operators, imagery or the program; they take their place in line."""
        with self._lock:
            self._items.append(entries)
            self._filled.notify()

    def take(self, rows: int, wait_s: float) -> list[Item | Closed | Entries]:
        """The writer's side: up to about ``rows`` frames, waiting up to ``wait_s`` for the first."""
        with self._lock:
            if not self._items and not self._stopped:
                self._filled.wait(wait_s)
            out: list[Item | Closed | Entries] = []
            count = 0
            while self._items and count < rows:
                item = self._items.popleft()
                out.append(item)
                if isinstance(item, tuple):
                    count += len(item[1])
            self._held -= count
            calls: list[Callable[[], None]] = []
            if self._held < self.capacity:
                self._room.notify_all()
                calls, self._waiting = self._waiting, []
        for call in calls:
            call()
        return out

    def wake(self) -> None:
        """Let ``take`` return at once (stopping, or an entry waits elsewhere)."""
        with self._lock:
            self._filled.notify()

    def stop(self) -> None:
        """No waiting any more: ``take`` returns what is left, ``put`` gives up."""
        with self._lock:
            self._stopped = True
            self._filled.notify_all()
            self._room.notify_all()

    @property
    def held(self) -> int:
        """Frames waiting now."""
        return self._held

    def _add(self, source: Source, frames: list[Frame]) -> None:
        self._items.append((source, frames))
        self._held += len(frames)
        self._filled.notify()
