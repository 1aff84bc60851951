"""A lock that is had in the order in which it was asked for, and that who has it long lets others have in between.

``threading.Lock`` is no such: who releases it and takes it again at once mostly has it again before anybody who waits wakes up.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """The lock; a ``with`` holds it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()  # handed over, and never free in between

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False

    def between(self) -> None:
        """Who holds it lets all those that wait by now have it, one after the other, before it goes on."""
        if self._waiting:
            self.__exit__(None, None, None)
            self.__enter__()
