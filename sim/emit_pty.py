"""A serial line as a target: a pseudo-terminal that we make, with a link to it under the asked name.

A serial line waits for nobody: what nobody reads is dropped when the line's buffer is full, and counted.
"""

from __future__ import annotations

import os
import tty
from pathlib import Path

from birddog.errors import UsageError
from sim.emission import Emission
from sim.emit import Target


class PtyEmitter:
    """The line; a reader may come and go."""

    def __init__(self, target: Target):
        self._link = Path(target.path)
        if self._link.exists() and not self._link.is_symlink():
            raise UsageError(f"{target.path} is there already and is no link", field="--to")
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._dropped = 0
        fresh = self._link.with_name(self._link.name + ".new")
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.ttyname(self._slave))
            os.replace(fresh, self._link)
        except OSError as error:
            os.close(self._master)
            os.close(self._slave)
            raise UsageError(f"{target.path}: {error.strerror}", field="--to") from error

    def send(self, emission: Emission) -> None:
        """Write the bytes as far as the line takes them."""
        try:
            written = os.write(self._master, emission.payload)
        except BlockingIOError:
            written = 0
        self._dropped += len(emission.payload) - written

    def close(self, wait_s: float) -> list[str]:
        """Unplug: the link goes too."""
        os.close(self._master)
        os.close(self._slave)
        self._link.unlink(missing_ok=True)
        return [f"pty:{self._link}: {self._dropped} bytes were dropped, nobody read them"] if self._dropped else []


def open_target(target: Target) -> PtyEmitter:
    """Make the line and its link."""
    return PtyEmitter(target)
