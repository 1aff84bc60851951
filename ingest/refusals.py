"""The secret of the hashes that stand for refused messages: changed each day, and destroyed a day later.

A refused message leaves a keyed hash, by which it is known when it is sent again.  Whoever has the journal and the key can try
out positions against the hash, and a small area has few.  So the key is changed when it is ``PERIOD_NS`` old by the journal's
clock, the one before it is kept for another period (what was refused under it is still known again: a connection that was cut,
a device that sends its buffer), and then overwritten.  A message that is sent again later still is refused a second time, and
counted a second time: that is all that is lost.

    PATH.refusal-key    a line for each key, the newest first: 64 hexadecimal digits, and since when (ns of the journal's time)
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from birddog.errors import ConfigError
from birddog.keyfile import KEY_BYTES, key_file, sync_folder

log = logging.getLogger(__name__)

#: A key is used so long, and kept so long again.
PERIOD_NS = 86_400 * 10**9


class RefusalKeys:
    """The keys of one journal.

    Args:
        keys: the newest first, each with since when it is used.
        path: where they lie; None: they are never changed (an exercise, which may be played again, and a test).
    """

    def __init__(self, keys: list[tuple[bytes, int]], path: Path | None = None):
        self._keys, self._path = keys, path
        self._next_ns = self._due()

    @classmethod
    def fixed(cls, key: bytes) -> RefusalKeys:
        """One that is never changed."""
        return cls([(key, 0)])

    @classmethod
    def of(cls, path: Path, *, change: bool = True) -> RefusalKeys:
        """Those that lie in a file; made, mode 0600, where it is not there.

        Raises:
            ConfigError: others can read it, or it holds something else.
            OSError: the folder cannot be written.
        """
        if not path.exists():
            key_file(path)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"can be read by others: chmod 600 {path}", file=str(path))
        keys = []
        try:
            for line in path.read_text(encoding="ascii").splitlines():
                word, _, since = line.partition(" ")
                keys.append((bytes.fromhex(word), int(since or 0)))
        except ValueError:
            keys = []
        if not keys or len(keys) > 2 or any(len(key) != KEY_BYTES for key, _ in keys):
            raise ConfigError(f"holds no key of {KEY_BYTES} bytes in hexadecimal", file=str(path))
        return cls(keys, path if change else None)

    @property
    def key(self) -> bytes:
        """The one of now."""
        return self._keys[0][0]

    @property
    def older(self) -> tuple[bytes, ...]:
        """Under which a message may have been refused before."""
        return tuple(key for key, _ in self._keys[1:])

    def _due(self) -> int:
        return self._keys[0][1] + PERIOD_NS if self._path is not None else 2**63

    def at(self, now_ns: int) -> None:
        """It is so late by the journal's clock: change the key where it is due, and destroy the one before the last."""
        if now_ns < self._next_ns or self._path is None:
            return
        newest, since = self._keys[0]
        if since == 0:  # made by the program before this one, or just now: from here on it is counted
            keys = [(newest, now_ns)]
        elif now_ns >= since + 2 * PERIOD_NS:
            keys = [(secrets.token_bytes(KEY_BYTES), now_ns)]  # nobody was here for a day: what came before is as old
        else:
            keys = [(secrets.token_bytes(KEY_BYTES), now_ns), (newest, since)]
        try:
            self._put(self._path, "".join(f"{key.hex()} {since}\n" for key, since in keys))
        except OSError as error:
            log.error("%s: %s; the key is changed later", self._path, error.strerror)
            self._next_ns = now_ns + 60 * 10**9
            return
        self._keys = keys
        self._next_ns = self._due()

    @staticmethod
    def _put(path: Path, text: str) -> None:
        made = path.with_name(f"{path.name}.new")
        made.unlink(missing_ok=True)
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        before = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.rename(made, path)
            sync_folder(path.parent)
            os.pwrite(before, b"\0" * os.fstat(before).st_size, 0)  # what is destroyed shall not lie in free blocks
            os.fsync(before)
        finally:
            os.close(before)
