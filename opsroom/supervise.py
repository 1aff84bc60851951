"""Starts the processes of a run, watches them, ends them together.

Each process is ``birddog run --only ROLE`` with the same options.  It reads a pipe that the parent
holds open: when the parent is gone, however it went, the pipe ends and the process ends at once, so
that a killed run never leaves a writer or a port behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from opsroom.commands.common import say

#: A process that ended by itself is started again after this, doubling up to a minute.
PAUSE_S = 0.5
END_S = 10.0


class Child:
    """One supervised process."""

    def __init__(self, name: str, command: Sequence[str], env: dict[str, str] | None = None):
        self.name, self.command, self.env = name, list(command), env
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.pause_s = PAUSE_S
        self.again_at = 0.0

    def start(self) -> None:
        """Start it, with the pipe that tells it when we are gone."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, env=self.env, start_new_session=False)


class Supervisor:
    """Runs children until a signal, until ``stop``, or until one of ``vital`` ends with a usage error.

    Args:
        children: started in this order.
        again: names of those that are started again when they end by themselves.
    """

    def __init__(self, children: Sequence[Child], *, again: frozenset[str]):
        self.children, self.again = list(children), again
        self._asked = threading.Event()

    def stop(self, *_: object) -> None:
        """End the run."""
        self._asked.set()

    def run(self, for_s: float | None = None) -> int:
        """Start all, wait, end all; the exit status of the run."""

        def asked(number: int, frame: FrameType | None) -> None:
            self._asked.set()

        before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        ends_at = None if for_s is None else time.monotonic() + for_s
        status = 0
        try:
            for child in self.children:
                child.start()
            while not self._asked.is_set() and (ends_at is None or time.monotonic() < ends_at):
                status = self._look()
                if status:
                    break
                self._asked.wait(0.1)
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)
        return status

    def _look(self) -> int:
        now = time.monotonic()
        for child in self.children:
            process = child.process
            if process is None:
                if now >= child.again_at:
                    child.start()
                continue
            code = process.poll()
            if code is None:
                if now - child.started_at > 60.0:
                    child.pause_s = PAUSE_S
                continue
            if process.stdin is not None:
                process.stdin.close()
            if code == 2:
                return 2  # a usage error: it has said so itself, and would say so again
            if child.name not in self.again:
                continue
            say(f"birddog: {child.name} ended ({_why(code)}); starting it again in {child.pause_s:.1f} s")
            child.process, child.again_at = None, now + child.pause_s
            child.pause_s = min(child.pause_s * 2, 60.0)
        return 0

    def _end(self) -> None:
        # the readers first, the writer last: it still takes what the others want to say
        for child in reversed(self.children):
            process = child.process
            if process is None or process.poll() is not None:
                continue
            process.terminate()
        deadline = time.monotonic() + END_S
        for child in reversed(self.children):
            process = child.process
            if process is None:
                continue
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"birddog: {child.name} does not end; killed")
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()


def birddog(*words: str) -> list[str]:
    """The command line of a ``birddog`` of this very program."""
    return [sys.executable, "-m", "opsroom.cli", *words]


def end_with_parent() -> None:
    """In a supervised process: end at once when the parent's pipe (our standard input) ends."""

    def watch() -> None:
        while os.read(0, 64):
            pass
        os._exit(3)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
