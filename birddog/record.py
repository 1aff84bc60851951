"""What the evidence log holds of an entry: one hash, which commits to each field of it by itself, and gives none of it away.

The leaf of an entry is SHA-256(0x00 || statement), RFC 6962 section 2.1, and its statement is::

    "BDR2" | 8 seq | 8 received_ns, signed | 2+n kind | 2+n operation | 2+n key_id | 32 committed

(integers big endian, texts UTF-8 behind their length).  ``committed`` is SHA-256(names || c_0 || c_1 ...): the names of the
entry's fields as a MessagePack array, then for each the commitment SHA-256(16 salt || value), the value as MessagePack.  The
fields are what the entry's columns say (``@source``, ``@actor``, ``@ident``), then those of the body in their order; the rows
of ``observations`` and ``sightings`` stand in place, as ``observations.0.lat_deg``.  So a field can be shown, or withheld by
giving its commitment alone: the rest still verifies, and which field is withheld is proven.  A body that is no map, or not
written as ``msgspec`` writes one, stands whole under ``*``.

Salts are the blocks of AES-256 over (seq, number of the field) under a secret that goes with the entry's key: they are
never stored, and gone with the key.  What an erased entry keeps is its statement, in the place of its body.

Many entries at once, compiled: ``birddog.leaves``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

SALT_BYTES = 16
MAGIC = b"BDR2"
#: The fields that hold what the entry's columns say.
COLUMNS = ("@source", "@actor", "@ident")
#: The one field of a body that is no map.
WHOLE = "*"
#: Fields of a body whose rows' fields are fields of the entry.
LISTS = ("observations", "sightings")
_HASH = 32

_encode = msgspec.msgpack.Encoder().encode
_top = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_inner = msgspec.msgpack.Decoder(list[dict[str, msgspec.Raw]]).decode
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ROW = re.compile(rf"({'|'.join(LISTS)})\.(0|[1-9]\d{{0,6}})\.(.+)", re.DOTALL)


class Fields(msgspec.Struct, frozen=True, gc=False):
    """An entry's fields: names, and each value as MessagePack."""

    names: tuple[str, ...]
    values: tuple[bytes, ...]


def fields_of(body: bytes, ident: bytes, source: str, actor: str) -> Fields:
    """An entry's fields; ``body`` is what it holds in clear."""
    names, values = list(COLUMNS), [_encode(source), _encode(actor), _encode(ident)]
    try:
        for name, value in _named(body):
            names.append(name)
            values.append(bytes(value))
        if WHOLE not in names and _body(names[len(COLUMNS) :], values[len(COLUMNS) :]) == body:
            return Fields(tuple(names), tuple(values))
    except _DAMAGED:
        pass  # it stands whole, whatever it is
    return Fields((*COLUMNS, WHOLE), (*values[: len(COLUMNS)], _encode(body)))


def _named(body: bytes) -> Iterator[tuple[str, msgspec.Raw]]:
    for name, value in _top(body).items():
        rows = _rows(value) if name in LISTS else []
        if not rows or not all(rows):
            yield name, value
        for n, row in enumerate(rows if all(rows) else ()):
            for inner, held in row.items():
                yield f"{name}.{n}.{inner}", held


def _rows(value: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    try:
        return _inner(value)
    except _DAMAGED:
        return []


def body_of(fields: Fields) -> tuple[bytes, bytes, str, str]:
    """(body, ident, source, actor): the entry that has these fields.

    Raises:
        ValueError: no entry has.
    """
    decode, names, values = msgspec.msgpack.decode, fields.names, fields.values
    if names[: len(COLUMNS)] != COLUMNS or len(values) != len(names):
        raise ValueError("these are no fields of an entry")
    try:
        source, actor, ident = decode(values[0], type=str), decode(values[1], type=str), decode(values[2], type=bytes)
        if names[len(COLUMNS) :] == (WHOLE,):
            return decode(values[-1], type=bytes), ident, source, actor
    except (*_DAMAGED, msgspec.ValidationError) as error:
        raise ValueError(f"a field is damaged: {error}") from None
    return _body(names[len(COLUMNS) :], values[len(COLUMNS) :]), ident, source, actor


def _body(names: Sequence[str], values: Sequence[bytes]) -> bytes:
    """The map of fields: what ``msgspec`` writes where names and values are those of a map."""
    top: dict[str, list[dict[str, bytes]] | bytes] = {}
    for name, value in zip(names, values, strict=True):
        found = _ROW.fullmatch(name)
        if found is None:
            top[name] = value
            continue
        listed, number, inner = found[1], int(found[2]), found[3]
        rows = top.setdefault(listed, [])
        if isinstance(rows, bytes) or number not in (len(rows), len(rows) - 1):
            raise msgspec.DecodeError(f"{name} stands where it cannot")
        if number == len(rows):
            rows.append({})
        rows[number][inner] = value
    out = [_head(len(top), 0x80, 0xDE)]
    for name, held in top.items():
        out.append(_encode(name))
        if isinstance(held, bytes):
            out.append(held)
            continue
        out.append(_head(len(held), 0x90, 0xDC))
        for row in held:
            out.append(_head(len(row), 0x80, 0xDE))
            for inner, value in row.items():
                out += (_encode(inner), value)
    return b"".join(out)


def _head(count: int, small: int, large: int) -> bytes:
    """The head of a MessagePack array or map."""
    if count < 16:
        return bytes([small | count])
    return bytes([large]) + count.to_bytes(2, "big") if count < 1 << 16 else bytes([large + 1]) + count.to_bytes(4, "big")


# --- the statement ---------------------------------------------------------------------------------


def commitments(values: Sequence[bytes], salts: bytes) -> list[bytes]:
    """What each value is committed to by."""
    return [sha256(salts[SALT_BYTES * n : SALT_BYTES * (n + 1)] + value).digest() for n, value in enumerate(values)]


@lru_cache(1024)
def packed_names(names: tuple[str, ...]) -> bytes:
    """The names of fields, as they are hashed."""
    return _encode(names)


def committed(names: tuple[str, ...], hashes: Sequence[bytes]) -> bytes:
    """The hash of names and commitments."""
    return sha256(packed_names(names) + b"".join(hashes)).digest()


@lru_cache(4096)
def texts_of(kind: str, operation: str, key_id: str) -> bytes:
    """What stands in a statement between its numbers and its hash."""
    return b"".join(len(text).to_bytes(2, "big") + text for text in (kind.encode(), operation.encode(), key_id.encode()))


def statement(seq: int, kind: str, received_ns: int, operation: str, key_id: str, hashed: bytes) -> bytes:
    """What a leaf is the hash of; see the module's docstring."""
    return MAGIC + PAIR(seq, received_ns) + texts_of(kind, operation, key_id) + hashed


def statement_of(seq: int, kind: str, received_ns: int, operation: str, key_id: str, fields: Fields, salter: Salter) -> bytes:
    """The statement of an entry with these fields."""
    hashes = commitments(fields.values, salter(seq, len(fields.names)))
    return statement(seq, kind, received_ns, operation, key_id, committed(fields.names, hashes))


#: The numbers of a statement, and of a salt.
PAIR = struct.Struct(">Qq").pack


class Stated(msgspec.Struct, frozen=True):
    """A statement taken apart."""

    seq: int
    received_ns: int
    kind: str
    operation: str
    key_id: str
    committed: bytes


def is_statement(data: bytes) -> bool:
    """Whether a body is what an erased entry keeps: it begins as no sealed one does, and no map."""
    return data[: len(MAGIC)] == MAGIC


def stated(data: bytes) -> Stated:
    """A statement taken apart.

    Raises:
        ValueError: it is none.
    """
    if not is_statement(data) or len(data) < 26:
        raise ValueError("no statement of an entry begins so")
    seq, received_ns = struct.unpack(">Qq", data[4:20])
    texts, at = [], 20
    for _ in range(3):
        size = int.from_bytes(data[at : at + 2], "big")
        texts.append(data[at + 2 : at + 2 + size].decode())
        at += 2 + size
    if len(data) != at + _HASH:
        raise ValueError("a statement ends with one hash")
    kind, operation, key_id = texts
    return Stated(seq, received_ns, kind, operation, key_id, data[at:])


class Salter:
    """The salts of entries under one secret (32 bytes, ``Keyring.derived``)."""

    def __init__(self, secret: bytes):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        # never two equal blocks: the electronic code book is the pseudo-random function that is wanted
        self._blocks = Cipher(algorithms.AES256(secret), modes.ECB()).encryptor()

    def __call__(self, seq: int, count: int) -> bytes:
        """The salts of one entry's fields, one behind the other."""
        return self._blocks.update(b"".join(PAIR(seq, n) for n in range(count)))

    def update_into(self, blocks: Any, out: Any) -> None:
        """The salts of many: of each block that says (seq, number of the field), big endian."""
        self._blocks.update_into(blocks, out)
