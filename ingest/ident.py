"""The parts of which an entry's ``ident`` is made: four bytes that keep neighbours together, and 16 of hash.

What goes into it is the desk's to say (docs/architecture.md, rule 4); outside the desk an ident is opaque.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from birddog.units import NS


def near(time_ns: int) -> bytes:
    """The four bytes in front of an ident: the second of a time, so that the index of idents grows at its end, not all over.

    Measured (docs/decisions/0005): 500 random idents touch 500 pages of a long journal; at a million entries
    one took 57 µs to commit, with these four bytes in front 18, as at the beginning.
    """
    return (time_ns // NS & 0xFFFFFFFF).to_bytes(4, "big")


def dated(lead: bytes, time_ns: int, payload: bytes) -> bytes:
    """The ident of a message that states its time: sent again by whatever way, it is the same.

    Example: a phone's fix of 10:00:00 that comes by MQTT and an hour later once more out of its buffer is one entry.
    Nearly every message comes by here, so the sum is written out in one piece.

    Args:
        lead: who sent it, in what format: ``led`` already, for it is the same for all messages of a device.
    """
    if 10**18 <= time_ns < 10**19:  # from 2001 to 2286
        parts = lead + b"19:%d" % time_ns + payload
    else:
        digits = b"%d" % time_ns
        parts = lead + b"%d:%b" % (len(digits), digits) + payload
    return (time_ns // NS & 0xFFFFFFFF).to_bytes(4, "big") + blake2b(parts, digest_size=16).digest()


def once(lead: Sequence[bytes], session: str, payload: bytes) -> bytes:
    """The ident of a message without a time of its own: begins with its session, so that one session's rows are neighbours.

    Example: two equal "door open" of one connection differ by what ``lead`` says (the packet's number), and are two.
    """
    return _together(session) + hashed(b"once", *lead, session.encode(), payload)


@lru_cache(maxsize=4096)
def _together(session: str) -> bytes:
    return digest(session.encode())[:4]


def rejected(words: Sequence[str], ident: bytes, key: bytes) -> bytes:
    """The ident of the record of a refusal; another than the message's own.

    The message may be sent again when it may come in (its device is attached now, our clock was put right); then it is no
    duplicate of its refusal.  The hash is keyed: where a payload may not stay, nothing may stay from which somebody could
    try out where the device was.

    Args:
        words: why it was refused, and who sent it.
        ident: of the message itself.
        key: the journal's refusal key.
    """
    parts = led(b"rejected", *[word.encode() for word in words]) + ident
    return ident[:4] + blake2b(parts, key=key[:64], digest_size=16).digest()


def hashed(*parts: bytes) -> bytes:
    """The 16 bytes of hash of some parts.  All but the last are led by their length, so that no two lists read alike."""
    return digest(led(*parts[:-1]) + parts[-1])


def led(*parts: bytes) -> bytes:
    """The parts in a row, each led by its length: ``b"ab", b"c"`` is ``2:ab1:c``."""
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])


def digest(data: bytes) -> bytes:
    """The BLAKE2b hash of some bytes, 16 bytes long."""
    return blake2b(data, digest_size=16).digest()
