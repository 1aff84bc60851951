"""What a loop asks to know whether it shall end: a ``threading.Event``, or what a process's signals say."""

from __future__ import annotations

from typing import Protocol


class Asked(Protocol):
    """Whether somebody asked for the end."""

    def is_set(self) -> bool:
        """Whether they did."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, so long; whether they did."""
        ...
