"""Sealed bytes (AES-256-GCM, NIST SP 800-38D), and what makes and opens them under one key of a keyring::

    1 form (1) | 2 the key's number, big endian | 12 nonce | ciphertext | 16 tag

The key's name, a NUL and the caller's ``aad`` are authenticated with them.  Nonces are random: 2^32 of one key collide with a
probability below 2^-32 (SP 800-38D, section 8.3).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from birddog.master import NONCE_BYTES, SealBroken

if TYPE_CHECKING:  # imported late
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16
_FORM = 1
_LEAD = struct.Struct(">BH")
#: Bytes that sealing adds.
OVERHEAD = _LEAD.size + NONCE_BYTES + TAG_BYTES


def number_of(sealed: bytes) -> int:
    """The number of the key that bytes were sealed under.

    Raises:
        SealBroken: they are none of ours.
    """
    if len(sealed) < OVERHEAD or sealed[0] != _FORM:
        raise SealBroken(f"these {len(sealed)} bytes were not sealed by us")
    number: int = _LEAD.unpack(sealed[: _LEAD.size])[1]
    return number


def unsealed(aes: AESGCM, name: str, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed under the key of this name.

    Raises:
        SealBroken: it was changed, or belongs to another place.
    """
    from cryptography.exceptions import InvalidTag

    at = _LEAD.size + NONCE_BYTES
    try:
        return aes.decrypt(sealed[_LEAD.size : at], sealed[at:], name.encode() + b"\0" + aad)
    except InvalidTag:
        raise SealBroken(f"what was sealed under {name} was changed, or belongs elsewhere") from None


class Sealer:
    """Seals many under one key; ``name`` is that key's."""

    __slots__ = ("_aes", "_lead", "_named", "name")

    def __init__(self, aes: AESGCM, name: str, number: int):
        self._aes, self.name = aes, name
        self._lead, self._named = _LEAD.pack(_FORM, number), name.encode() + b"\0"

    def __call__(self, plaintext: bytes, aad: bytes, nonce: bytes) -> bytes:
        """As ``Keyring.seal``; ``nonce``: ``NONCE_BYTES`` of ``os.urandom``, never one twice (many are drawn in one call)."""
        return self._lead + nonce + self._aes.encrypt(nonce, plaintext, self._named + aad)
