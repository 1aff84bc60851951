"""The journal's own secret: the key of the hashes that stand for refused payloads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from birddog.errors import ConfigError
from birddog.journal import Home

KEY_BYTES = 32


def refusal_key(journal: Home) -> bytes:
    """The secret of the hashes that stand for refused payloads; made once, mode 0600.

    Raises:
        ConfigError: others can read it, or it holds something else.
        OSError: the folder cannot be written.
    """
    path = journal.refusal_key
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"can be read by others: chmod 600 {path}", file=str(path))
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"holds no key of {KEY_BYTES} bytes in hexadecimal", file=str(path))
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
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
