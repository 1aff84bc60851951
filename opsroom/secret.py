"""The journal's own secret: the key of the hashes that stand for refused payloads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from birddog.errors import ConfigError


def refusal_key(journal: Path) -> bytes:
    """The secret of the hashes that stand for refused payloads; made once, mode 0600."""
    path = journal.with_name(journal.name + ".refusal-key")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"can be read by others: chmod 600 {path}", file=str(path)) from None
        key = bytes.fromhex(path.read_text().strip())
        if len(key) != 32:
            raise ConfigError("holds no key of 32 bytes in hexadecimal", file=str(path)) from None
        return key
    key = secrets.token_bytes(32)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


