"""Told to end: SIGTERM, SIGINT and SIGHUP as a flag that can be waited for.

A signal's handler runs between any two instructions of the main thread, also within another signal's
handler: a terminal's Ctrl-C is followed by the supervisor's SIGTERM within microseconds.  So it takes no
lock (``threading.Event.set`` does, and stops for ever when it meets itself): it sets a flag and writes to
a descriptor on which whoever waits does so.

What is being done then is left soon: a fold between two entries, a watch between two scenes.  One thing may be long
all the same (a great scene, an explanation, the compiler at a first start, all of it on a machine that is busy with
something else), and each of our processes may be killed at any time: so one that was given a time leaves when it is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType

#: A role that reads and derives leaves at the latest so long after it was told to; the next start does the rest.
LEAVE_S = 3.0
#: The writer's patience with what was taken in and is not on disk yet; none of it was acknowledged.
LEAVE_WRITER_S = 10.0


class Stop:
    """What a process is asked by its signals; waits and answers like a ``threading.Event``.

    The handlers stay for the rest of the process: a signal that comes late must not end it with a traceback.

    Args:
        numbers: the signals; one that is ignored already (nohup) stays so.
        leave_s: so long after the first signal the process ends as it stands, with a line and exit 0; None: never.
    """

    def __init__(self, numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP), *,
                 leave_s: float | None = None):
        self._asked = False
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signalled)

        if leave_s is not None:
            # written by the interpreter's own handler, in whatever thread and at once: ours waits till the main thread
            # comes back to Python, which a lock that it is about to take, or a library, may never let it
            told, tells = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(tells, False)
            signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
            threading.Thread(target=_leave, args=(told, frozenset(numbers), leave_s), name="leave", daemon=True).start()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.set()

    def set(self) -> None:
        """Ask; from any thread, and from within a signal's handler."""
        self._asked = True
        os.eventfd_write(self._fd, 1)

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Wait till it is asked, or so many seconds; whether it was."""
        if not self._asked:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.poll(None if timeout is None else timeout * 1000.0)
        return self._asked

    def event(self) -> asyncio.Event:
        """The same for the running event loop."""
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def asked() -> None:
            loop.remove_reader(self._fd)
            event.set()

        loop.add_reader(self._fd, asked)
        return event


def _leave(told: int, numbers: frozenset[int], after_s: float) -> None:
    while os.read(told, 1)[0] not in numbers:
        pass
    time.sleep(after_s)
    # by the descriptor, where it takes a line: whoever is stuck may hold sys.stderr, and perhaps nobody reads it
    ready = select.poll()
    ready.register(2, select.POLLOUT)
    with contextlib.suppress(OSError):
        if ready.poll(0) == [(2, select.POLLOUT)]:
            os.write(2, f"birddog: told to end {after_s:g} s ago and still busy: left as it stands\n".encode())
    os._exit(0)
