"""What the evidence log holds of an entry: one hash, which commits to all of it, a part at a time, and gives none of it away.

The leaf of an entry is SHA-256(0x00 || statement), RFC 6962 section 2.1, and its statement is::

    "BDR1" | 8 seq | 8 received_ns, signed | 2+n kind | 2+n operation | 2+n key_id | 6 x 32 commitments

(integers big endian, texts UTF-8 behind their length).  A commitment is SHA-256(16 salt || part), one for each part of
``PARTS``.  A part is MessagePack: a list of names, then the value of each as it stands in the body; first of what the entry's
columns say (``ident`` in ``payload``, which it is a hash of; ``source`` and ``actor`` in ``who``), then of the body's own
fields, then of each observation (or sighting), as ``observations.0.lat_deg``.  So a part can be shown or withheld by itself,
and the rest still verifies.  A body that is no map stands whole in ``rest`` under ``*``.

Salts are the blocks of AES-256 over (seq, number of the part) under a secret that goes with the entry's key: they are
never stored, and gone with the key.  What an erased entry keeps is its statement, in the place of its body.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any

import msgspec

#: The parts of an entry, in the order of their commitments.
PARTS = ("who", "payload", "place", "motion", "words", "rest")
SALT_BYTES = 16
MAGIC = b"BDR1"
#: Fields that have a part of their own; all others are ``rest``.
FIELDS = {
    "who": ("source", "actor", "device", "sender", "subject", "channel", "session", "reader", "epc", "by", "owner", "shipment",
            "sensor", "topics", "rejects", "verdicts", "giver", "receiver", "person", "applicant"),
    "payload": ("ident", "payload", "payload_hash"),
    "place": ("lat_deg", "lon_deg", "alt_m", "alt_ref", "sigma_m", "r_ee", "r_en", "r_nn", "footprint", "area", "zones",
              "points", "range_m", "flags"),
    "motion": ("speed_mps", "course_deg"),
    "words": ("attributes", "text", "note", "name", "detail"),
}  # fmt: skip
_HASH = 32
_PART_OF = {field: PARTS.index(part) for part, fields in FIELDS.items() for field in fields}
_REST = PARTS.index("rest")
_LISTS = ("observations", "sightings")

_encode = msgspec.msgpack.Encoder().encode
_top = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_inner = msgspec.msgpack.Decoder(list[dict[str, msgspec.Raw]]).decode
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SAYS, _IDENT, _WHOLE = _encode(["source", "actor"]), _encode(["ident"]), _encode(["*"])
#: Of the names of a map: the parts that have some of them, their names as MessagePack, and what picks their values.
_Plan = list[tuple[int, bytes, Callable[[dict[str, Any]], Sequence[Any]]]]


@lru_cache(4096)
def _plan(lead: str, names: tuple[str, ...]) -> _Plan:
    found: _Plan = []
    for at in range(len(PARTS)):
        own = [name for name in names if _PART_OF.get(name, _REST) == at]
        if own:
            pick = itemgetter(*own) if len(own) > 1 else _one(own[0])
            found.append((at, _encode([lead + name for name in own]), pick))
    return found


def _one(name: str) -> Callable[[dict[str, Any]], Sequence[Any]]:
    return lambda row: (row[name],)


@lru_cache(4096)
def _says(source: str, actor: str) -> bytes:
    return _SAYS + _encode(source) + _encode(actor)


def parts_of(body: bytes, ident: bytes, source: str, actor: str) -> list[bytes]:
    """An entry's parts, in the order of ``PARTS``; ``body`` is what it holds in clear."""
    parts = [_says(source, actor), _IDENT + _encode(ident), b"", b"", b"", b""]
    try:
        fields = _top(body)
    except _DAMAGED:
        parts[_REST] = _WHOLE + _encode(body)
        return parts
    listed: list[tuple[str, list[dict[str, msgspec.Raw]]]] = []
    for name in _LISTS:
        if name in fields:
            try:
                rows = _inner(fields[name])
            except _DAMAGED:
                continue
            if rows:
                listed.append((name, rows))
                del fields[name]
    for at, names, pick in _plan("", tuple(fields)):
        parts[at] += names + b"".join(pick(fields))
    for name, rows in listed:
        for n, row in enumerate(rows):
            for at, names, pick in _plan(f"{name}.{n}.", tuple(row)):
                parts[at] += names + b"".join(pick(row))
    return parts


def commitments(parts: Sequence[bytes], salts: bytes) -> bytes:
    """The commitments of all parts, one behind the other."""
    a, b, c, d, e, f = parts
    return (sha256(salts[:16] + a).digest() + sha256(salts[16:32] + b).digest() + sha256(salts[32:48] + c).digest()
            + sha256(salts[48:64] + d).digest() + sha256(salts[64:80] + e).digest() + sha256(salts[80:] + f).digest())


@lru_cache(4096)
def _named(kind: str, operation: str, key_id: str) -> bytes:
    return b"".join(len(text).to_bytes(2, "big") + text for text in (kind.encode(), operation.encode(), key_id.encode()))


def statement(seq: int, kind: str, received_ns: int, operation: str, key_id: str, committed: bytes) -> bytes:
    """What a leaf is the hash of; see the module's docstring."""
    return MAGIC + _PAIR(seq, received_ns) + _named(kind, operation, key_id) + committed


_PAIR = struct.Struct(">Qq").pack


class Stated(msgspec.Struct, frozen=True):
    """A statement taken apart."""

    seq: int
    received_ns: int
    kind: str
    operation: str
    key_id: str
    committed: tuple[bytes, ...]


def stated(data: bytes) -> Stated:
    """A statement taken apart.

    Raises:
        ValueError: it is none.
    """
    if data[:4] != MAGIC or len(data) < 26:
        raise ValueError("no statement of an entry begins so")
    seq, received_ns = struct.unpack(">Qq", data[4:20])
    texts, at = [], 20
    for _ in range(3):
        size = int.from_bytes(data[at : at + 2], "big")
        texts.append(data[at + 2 : at + 2 + size].decode())
        at += 2 + size
    committed = data[at:]
    if len(committed) != _HASH * len(PARTS):
        raise ValueError(f"a statement has {len(PARTS)} commitments")
    kind, operation, key_id = texts
    hashes = tuple(committed[n : n + _HASH] for n in range(0, len(committed), _HASH))
    return Stated(seq, received_ns, kind, operation, key_id, hashes)


class Salter:
    """The salts of entries under one secret (32 bytes, ``Keyring.derived``)."""

    def __init__(self, secret: bytes):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        # never two equal blocks: the electronic code book is the pseudo-random function that is wanted
        self._blocks = Cipher(algorithms.AES256(secret), modes.ECB()).encryptor()

    def __call__(self, seq: int) -> bytes:
        """The salts of one entry's parts, one behind the other."""
        return self._blocks.update(_ASKED(seq, 0, seq, 1, seq, 2, seq, 3, seq, 4, seq, 5))


_ASKED = struct.Struct(f">{2 * len(PARTS)}Q").pack
