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
_Pick = Callable[[dict[str, Any]], Sequence[Any]]
_Plan = list[tuple[int, bytes, _Pick]]


@lru_cache(4096)
def _plan(lead: str, names: tuple[str, ...]) -> _Plan:
    found: _Plan = []
    for at in range(len(PARTS)):
        own = [name for name in names if _PART_OF.get(name, _REST) == at]
        if own:
            pick = itemgetter(*own) if len(own) > 1 else _one(own[0])
            found.append((at, _encode([lead + name for name in own]), pick))
    return found


@lru_cache(4096)
def _plan_of_one(listed: str, names: tuple[str, ...], inner: tuple[str, ...]) -> list[tuple[int, bytes, _Pick, bytes, _Pick]]:
    """``_plan`` of a body and of the one row that it lists, as one."""
    outer = {at: (blob, pick) for at, blob, pick in _plan("", names)}
    within = {at: (blob, pick) for at, blob, pick in _plan(f"{listed}.0.", inner)}
    nothing: tuple[bytes, _Pick] = b"", lambda row: ()
    return [(at, *outer.get(at, nothing), *within.get(at, nothing)) for at in range(len(PARTS)) if at in outer or at in within]


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
    if len(listed) == 1 and len(listed[0][1]) == 1:  # nearly every message
        name, (row,) = listed[0]
        for at, names, pick, inner_names, inner in _plan_of_one(name, tuple(fields), tuple(row)):
            parts[at] = b"".join((parts[at], names, *pick(fields), inner_names, *inner(row)))
        return parts
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


# --- a part, read again ----------------------------------------------------------------------------


def fields_of(part: bytes, *, columns: bool) -> tuple[dict[str, msgspec.Raw], dict[str, msgspec.Raw]]:
    """(what the entry's columns say, the body's fields) of a part, each value as it stands in the body.

    Args:
        columns: it is ``who`` or ``payload``, which begin with those.

    Raises:
        ValueError: it is no part.
    """
    said: dict[str, msgspec.Raw] = {}
    held: dict[str, msgspec.Raw] = {}
    try:
        at, first = 0, columns
        while at < len(part):
            end = _end(part, at)
            names = msgspec.msgpack.decode(part[at:end], type=list[str])
            at = end
            for name in names:
                end = _end(part, at)
                (said if first else held)[name] = msgspec.Raw(part[at:end])
                at = end
            first = False
    except (*_DAMAGED, IndexError, struct.error) as error:
        raise ValueError(f"a part is damaged: {error}") from None
    return said, held


def body_of(parts: Sequence[bytes]) -> tuple[bytes, bytes, str, str]:
    """(body, ident, source, actor): the entry that all of its parts were made of.

    Raises:
        ValueError: these are no parts.
    """
    said: dict[str, msgspec.Raw] = {}
    held: dict[str, msgspec.Raw] = {}
    for at, part in enumerate(parts):
        columns, fields = fields_of(part, columns=PARTS[at] in ("who", "payload"))
        said |= columns
        held |= fields
    decode = msgspec.msgpack.decode
    try:
        ident, source, actor = decode(said["ident"]), decode(said["source"]), decode(said["actor"])
        if "*" in held:
            return decode(held["*"]), ident, source, actor
    except (*_DAMAGED, KeyError) as error:
        raise ValueError(f"a part is damaged: {error}") from None
    top: dict[str, Any] = {}
    for name, value in held.items():
        listed, _, rest = name.partition(".")
        if rest:
            number, _, field = rest.partition(".")
            top.setdefault(listed, {}).setdefault(int(number), {})[field] = value
        else:
            top[name] = value
    for name in _LISTS:
        if isinstance(top.get(name), dict):
            top[name] = [top[name][n] for n in sorted(top[name])]
    return _encode(top), ident, source, actor


def _end(data: bytes, at: int) -> int:
    """Where the MessagePack value that begins at a place ends."""
    left = 1
    while left:
        left -= 1
        head = data[at]
        at += 1
        if head < 0x80 or head >= 0xE0 or head in (0xC0, 0xC2, 0xC3):
            continue
        if head < 0x90:
            left += 2 * (head & 15)
        elif head < 0xA0:
            left += head & 15
        elif head < 0xC0:
            at += head & 31
        elif head in _SIZED:
            width, more = _SIZED[head]
            at += width + more + int.from_bytes(data[at : at + width], "big")
        elif head in _FIXED:
            at += _FIXED[head]
        else:
            width, each = _MANY[head]
            left += each * int.from_bytes(data[at : at + width], "big")
            at += width
    if at > len(data):
        raise IndexError("it is cut")
    return at


#: bin, ext and str: (bytes of the length, bytes beside it); numbers, fixed ext: bytes; arrays and maps: (bytes, values each).
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1), 0xD9: (1, 0), 0xDA: (2, 0),
          0xDB: (4, 0)}  # fmt: skip
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5,
          0xD7: 9, 0xD8: 17, 0xC1: 0}  # fmt: skip
_MANY = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
