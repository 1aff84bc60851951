"""The journal's own secret: the key of the hashes that stand for refused payloads."""

from __future__ import annotations

from birddog.journal import Home
from birddog.keyfile import key_file


def refusal_key(journal: Home) -> bytes:
    """The secret of the hashes that stand for refused payloads; made once, mode 0600.

    Raises:
        ConfigError: others can read it, or it holds something else.
        OSError: the folder cannot be written.
    """
    return key_file(journal.refusal_key)
