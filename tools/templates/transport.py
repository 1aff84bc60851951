"""Transport ``[[pipe]]``: lines from a named pipe (fifo(7)); what it is, and how it holds a sender back.

Copy this to ingest/NAME.py, add NAME to ``MODULES`` in ingest/transports.py and a rig to
tests/conformance/test_transports.py, which judges it; docs/configuration.md names its settings.  This one blocks, so
it is a body in a thread (``Threaded``); one for thousands of sockets lives on the loop (ingest/datagrams.py is the shortest).
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Any

import msgspec

from birddog.errors import ConfigError
from birddog.model import Frame
from ingest.address import check_format
from ingest.intake import Intake, Result
from ingest.sessions import Backoff, new_session
from ingest.transport import Kind, Threaded

#: How long one look at the pipe waits; a stop is noticed this late.
LOOK_S = 0.2


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[pipe]]``.

    Args:
        path: the pipe; it may be made later.
        format: of a line.
        device: the identity of what writes there, or "".
    """

    name: str
    path: str
    format: str
    device: str = ""


def check(settings: Settings, exercise: bool) -> None:
    """Refuse what can't work, and open nothing to find out.

    Raises:
        ConfigError
    """
    field = f"pipe {settings.name!r}"
    check_format(settings.format, field=f"{field}.format")
    if not settings.path:
        raise ConfigError("wants the path of a pipe", field=f"{field}.path")


class Pipe:
    """``run`` is the thread's body; ``stop``, ``status`` and ``acknowledge`` may be called from any thread."""

    def __init__(self, settings: Settings):
        check(settings, False)
        self.settings, self.name = settings, f"pipe:{settings.name}"
        self.counts = dict.fromkeys(("frames", "bytes", "acknowledged", "gaps"), 0)
        self.connected, self.last_error = False, ""
        self._stop = threading.Event()

    def run(self, intake: Intake) -> None:
        """Open, read lines until the writer goes, wait, open again; until ``stop``."""
        backoff = Backoff(0.5, 10.0)
        while not self._stop.is_set():
            try:
                pipe = os.open(self.settings.path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                self.last_error = f"{self.settings.path}: {error.strerror}"
            else:
                with open(pipe, "rb", buffering=0) as file:
                    self.connected = True
                    self._read(file, intake, backoff)
                self.connected = False
            self._stop.wait(backoff.next_s())

    def _read(self, file: Any, intake: Intake, backoff: Backoff) -> None:
        session, rest, number = new_session(self.name), b"", 0
        while not self._stop.is_set():
            ready, _, _ = select.select([file], [], [], LOOK_S)
            data = file.read(65_536) if ready else b""
            if ready and not data:  # whoever wrote has closed it
                self.counts["gaps"] += 1
                return
            *lines, rest = (rest + data).split(b"\n")
            frames = []
            for line in lines:
                number += 1
                frames.append(Frame(source=self.name, format=self.settings.format, payload=line, received_ns=time.time_ns(),
                                    device=self.settings.device, session=session, packet=number))
            if frames:
                backoff.reset()
                self.counts["frames"] += len(frames)
                self.counts["bytes"] += len(data)
                # waits while the intake is full: meanwhile nothing is read, and the pipe holds the writer back
                intake.put(self, frames, stop=self._stop.is_set)

    def stop(self) -> None:
        """Ask ``run`` to end."""
        self._stop.set()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread; a pipe takes no answer."""
        self.counts["acknowledged"] += len(results)

    def status(self) -> dict[str, Any]:
        """Counters, and whether the pipe is open."""
        return self.counts | {"connected": self.connected, "last_error": self.last_error}


KIND = Kind("pipe", Settings, check, lambda settings, room: Threaded(Pipe(settings), room))
