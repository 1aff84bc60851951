"""The parts of which an entry's ``ident`` is made: four bytes that keep neighbours together, and 16 of hash.

What goes into it is the desk's to say (docs/architecture.md, rule 4); outside the desk an ident is opaque.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from birddog.units import NS


def near(time_ns: int) -> bytes:
    """Four bytes that sort idents by time: the index of idents grows at its end, not all over.

    Measured (docs/decisions/0005): 500 random idents touch 500 pages of a long journal; at a million entries
    one took 57 µs to commit, with these four bytes in front 18, as at the beginning.
    """
    return (time_ns // NS & 0xFFFFFFFF).to_bytes(4, "big")


def dated(lead: bytes, time_ns: int, payload: bytes) -> bytes:
    """A message that states its time; ``lead`` is already ``led``.  In one piece, for nearly every message comes by here."""
    if 10**18 <= time_ns < 10**19:  # from 2001 to 2286
        parts = lead + b"19:%d" % time_ns + payload
    else:
        digits = b"%d" % time_ns
        parts = lead + b"%d:%b" % (len(digits), digits) + payload
    return (time_ns // NS & 0xFFFFFFFF).to_bytes(4, "big") + blake2b(parts, digest_size=16).digest()


def once(lead: Sequence[bytes], session: str, payload: bytes) -> bytes:
    """A message that has no time which a second delivery would have, too: those of one session lie together."""
    return _together(session) + hashed(b"once", *lead, session.encode(), payload)


@lru_cache(maxsize=4096)
def _together(session: str) -> bytes:
    return digest(session.encode())[:4]


def rejected(words: Sequence[str], ident: bytes, key: bytes) -> bytes:
    """A rejected message's: sent again when it may come in (it is attached now, our clock is right), it is no duplicate.

    ``words`` are why, and who sent it.

    Keyed: of a message whose payload may not stay, no hash may stay from which a position could be tried out.
    """
    parts = led(b"rejected", *[word.encode() for word in words]) + ident
    return ident[:4] + blake2b(parts, key=key[:64], digest_size=16).digest()


def hashed(*parts: bytes) -> bytes:
    """16 bytes; no two lists of parts read alike."""
    return digest(led(*parts[:-1]) + parts[-1])


def led(*parts: bytes) -> bytes:
    """Each part led by its length."""
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])


def digest(data: bytes) -> bytes:
    """16 bytes of BLAKE2b."""
    return blake2b(data, digest_size=16).digest()
