"""Told to end: SIGTERM, SIGINT and SIGHUP as a flag that can be waited for.

A signal's handler runs between any two instructions of the main thread, also within another signal's
handler: a terminal's Ctrl-C is followed by the supervisor's SIGTERM within microseconds.  So it takes no
lock (``threading.Event.set`` does, and stops for ever when it meets itself): it sets a flag and writes to
a descriptor on which whoever waits does so.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Sequence
from types import FrameType


class Stop:
    """What a process is asked by its signals; waits and answers like a ``threading.Event``.

    The handlers stay for the rest of the process: a signal that comes late must not end it with a traceback.

    Args:
        numbers: the signals; one that is ignored already (nohup) stays so.
    """

    def __init__(self, numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        self._asked = False
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signalled)

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
