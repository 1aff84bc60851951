"""The master key, which wraps all others: where it is kept, and what may be wrong with it and with what it wraps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from birddog.errors import BirddogError, ConfigError
from birddog.keyfile import key_file

NONCE_BYTES = 12


class KeyringError(BirddogError):
    """The keys cannot be read or written: a wrong master key, a damaged file."""


class KeyDestroyed(KeyringError):
    """What is asked for was sealed under a key that was destroyed: nobody can read it any more."""


class SealBroken(KeyringError):
    """Sealed bytes were changed, or are another place's."""


class Master(Protocol):
    """What wraps the data keys."""

    def wrap(self, key: bytes, name: bytes) -> bytes:
        """A data key so that only this master key reads it."""

    def unwrap(self, wrapped: bytes, name: bytes) -> bytes:
        """The data key.

        Raises:
            KeyringError: another master key wrapped it, or it was changed.
        """


class FileMaster:
    """A master key in a file of mode 0600, 64 hexadecimal digits.

    Args:
        make: whether it is made where it is not there.

    Raises:
        KeyringError: it is not there, can be read by others, or is none.
    """

    def __init__(self, path: Path, *, make: bool):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            self._aes = AESGCM(key_file(path, make=make))
        except (ConfigError, OSError) as error:
            raise KeyringError(f"the master key: {error}") from error
        self.path = path

    def wrap(self, key: bytes, name: bytes) -> bytes:
        """See ``Master``."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, key, name)

    def unwrap(self, wrapped: bytes, name: bytes) -> bytes:
        """See ``Master``."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name)
        except (InvalidTag, ValueError):
            raise KeyringError(f"{self.path} is not the master key of the key {name.decode()!r}, or that was changed") from None
