"""Starts the processes of a run, watches them, ends them together.

Each process is a command line of this same program, run as ``python -m opsroom.supervise WORDS``: it
reads a pipe that the parent holds open, and when the parent is gone, however it went, the pipe ends
and the process ends at once.  A killed run never leaves a writer or a port behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from opsroom.commands.common import say
from opsroom.signals import Stop

#: A process that ended by itself is started again after this, doubling up to a minute, anew when it has lived a minute.
PAUSE_S = 0.5
#: What a terminal sends to everybody.
TERMINALS = frozenset({signal.SIGINT, signal.SIGHUP})
#: Patience with those that read, and then with the writer, when a run ends; a role leaves by itself after 3 s.
END_S = 4.0


class Child:
    """One supervised process.

    Args:
        words: its command line, without the program.
        when: asked until it says yes; only then the process is started.
    """

    def __init__(self, name: str, words: Sequence[str], *, when: Callable[[], bool] = lambda: True):
        self.name, self.when = name, when
        self.command = [sys.executable, "-P", "-m", "opsroom.supervise", *words]
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.pause_s = PAUSE_S
        self.again_at = 0.0

    def start(self) -> None:
        """Start it, with the pipe that tells it when we are gone."""
        self.started_at = time.monotonic()
        # a terminal's Ctrl-C goes to all processes in front of it: ours wait for our word.  Blocked, not ignored, so
        # that one which comes just now is not lost for ourselves.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINALS)
        try:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Supervisor:
    """Runs children until a signal, for a time, or until one ends with a usage error.

    A child that ends by itself is started again, later each time.

    Args:
        children: started in this order; the first (the writer) is ended last, so that it still takes
            what the others want to say.
    """

    def __init__(self, children: Sequence[Child]):
        self.children = list(children)

    def run(self, for_s: float | None = None) -> int:
        """Start all, wait, end all; the exit status of the run."""
        asked = Stop()
        ends_at = None if for_s is None else time.monotonic() + for_s
        status = 0
        try:
            while not asked.is_set() and (ends_at is None or time.monotonic() < ends_at):
                status = self._look()
                if status:
                    break
                asked.wait(0.1)
        finally:
            self._end()
        return status

    def _look(self) -> int:
        now = time.monotonic()
        for child in self.children:
            process = child.process
            if process is None:
                if now >= child.again_at and child.when():
                    try:
                        child.start()
                    except OSError as error:  # no memory or no process left: it is tried again
                        self._again(child, now, error.strerror or str(error))
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
            self._again(child, now, _why(code))
        return 0

    def _again(self, child: Child, now: float, why: str) -> None:
        say(f"birddog: {child.name} ended ({why}); starting it again in {child.pause_s:.1f} s")
        child.process, child.again_at = None, now + child.pause_s
        child.pause_s = min(child.pause_s * 2, 60.0)

    def _end(self) -> None:
        for group in (self.children[1:], self.children[:1]):
            alive = [child for child in group if child.process is not None and child.process.poll() is None]
            for child in alive:
                assert child.process is not None
                child.process.terminate()
            deadline = time.monotonic() + END_S
            for child in alive:
                assert child.process is not None
                try:
                    child.process.wait(max(0.05, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    say(f"birddog: {child.name} does not end; killed")
                    child.process.kill()
                    child.process.wait()
        for child in self.children:
            if child.process is not None and child.process.stdin is not None:
                child.process.stdin.close()


def end_with_parent() -> None:
    """In a supervised process: end at once when the parent's pipe (our standard input) ends."""

    def watch() -> None:
        while os.read(0, 64):
            pass
        os._exit(3)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _flushed() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


if __name__ == "__main__":
    from opsroom.cli import main

    end_with_parent()
    ended = main(sys.argv[1:], supervised=True)
    # all is closed; taking the interpreter down, compiler and all, costs 0.3 s of CPU that whoever waits for us waits too
    logging.shutdown()
    _flushed()
    os._exit(ended)
