"""Secrets of 32 bytes that lie in a file beside the journal: made once, whole or not there, for their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from birddog.errors import ConfigError

KEY_BYTES = 32


class NoKey(ConfigError):
    """A file is no secret that can be used; ``why`` is one of these words."""

    MISSING = "is not there"
    OPEN = "can be read by others"
    NONE = f"holds no key of {KEY_BYTES} bytes in hexadecimal"

    def __init__(self, path: Path, why: str):
        super().__init__(why + (f": chmod 600 {path}" if why == self.OPEN else ""), file=str(path))
        self.why = why


def key_file(path: Path, *, make: bool = True) -> bytes:
    """The secret that a file holds, in hexadecimal; made, mode 0600, where it is not there.

    Raises:
        NoKey: others can read it, it holds something else, or it is not there and ``make`` is False.
        OSError: the folder cannot be written.
    """
    if not path.exists():
        if not make:
            raise NoKey(path, NoKey.MISSING)
        _make(path)
    if path.stat().st_mode & 0o077:
        raise NoKey(path, NoKey.OPEN)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise NoKey(path, NoKey.NONE)
    return key


def _make(path: Path) -> None:
    # written beside and linked into place: a kill at any moment leaves a whole key or none, and of two that make one
    # at the same time the second takes the first's
    made = path.with_name(f"{path.name}.{secrets.token_hex(6)}.new")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_bytes(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:
        os.replace(made, path)  # a file system without hard links
    finally:
        made.unlink(missing_ok=True)
    sync_folder(path.parent)


def put_whole(path: Path, data: bytes, *, made: Path | None = None, sync: bool = True) -> None:
    """Write a file of mode 0600 that is whole or as it was.

    Args:
        made: where it is made; beside it unless said.
        sync: it is on disk when this returns.
    """
    made = made or path.with_name(f".{path.name}.new")
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(made, path)
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk."""
    opened = os.open(folder, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)
