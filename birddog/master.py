"""The master key, which wraps all others: where it is kept, and what may be wrong with it and with what it wraps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from birddog.errors import JournalError
from birddog.keyfile import KEY_BYTES, NoKey, key_file

NONCE_BYTES = 12


class KeyringError(JournalError):
    """A key cannot be read or written: it is not there, or was changed."""


class KeysClosed(KeyringError):
    """No key can be opened, for the master key cannot be had, or is another one: it says nothing of what lies under them.

    Nothing is lost by it and nothing was changed, so it is never told of an entry or taken for a journal that was put back.

    Args:
        what: what is wrong, by name: the file and its mode, the token, the PIN.
        mend: what to do about it.
    """

    def __init__(self, what: str, mend: str):
        super().__init__(f"the keys cannot be opened: {what}: {mend}")
        self.what, self.mend = what, mend


class KeysDamaged(KeysClosed):
    """No key can be opened, for the file that holds them is gone or was changed."""


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
            KeysClosed: the master key cannot be had any more.
        """


_MENDS = {
    NoKey.MISSING: "put it back, or mount where it lies",
    NoKey.OPEN: "chmod 600 {}",
    NoKey.NONE: f"put back the file that was made, {2 * KEY_BYTES} hexadecimal digits",
}


class FileMaster:
    """A master key in a file of mode 0600, 64 hexadecimal digits.

    Args:
        make: whether it is made where it is not there.

    Raises:
        KeysClosed: it is not there, can be read by others, or is none.
    """

    def __init__(self, path: Path, *, make: bool):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            self._aes = AESGCM(key_file(path, make=make))
        except NoKey as error:
            raise KeysClosed(f"the master key {path} {error.why}", _MENDS[error.why].format(path)) from error
        except OSError as error:
            raise KeysClosed(f"the master key {path}: {error.strerror}", "give it to the user that runs birddog") from error
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
