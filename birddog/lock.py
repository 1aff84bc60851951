"""The lock of a file that one process writes: a kill lets go of it at once."""

from __future__ import annotations

import fcntl
import os


def hold(path: str) -> int | None:
    """Make and hold the lock file at ``path``: its descriptor (closing it lets go), or None while another holds it.

    Raises:
        OSError: it cannot be made or locked.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    return lock
