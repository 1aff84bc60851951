"""The leaves of many entries in one compiled call, outside the interpreter's lock: what ``birddog.record`` says of each.

An interpreter that calls a hash for each field of each entry spends most of its time on the way there (0.9 us a call, of
which the compression of a block is a twentieth).  So the bodies of a whole commit are cut into fields and hashed by code that
Numba compiles (``birddog.leaf_kernel``).  Where there is no Numba, or a build of OpenSSL that exports no SHA-256, and for any
body that is not written as ``msgspec`` writes one, ``birddog.record`` is asked: the answer is the same by definition, and a
test holds the two against each other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec
import numpy as np

from birddog.leaf_kernel import Compiled, compiled
from birddog.merkle import perfect_root
from birddog.record import MAGIC, PAIR, SALT_BYTES, Fields, Salter, fields_of, statement_of, texts_of

#: So many entries in one call are worth loading what is compiled; and so few are quicker the plain way.
MANY, FEW = 64, 4
#: Bytes of bodies in one call: what is set aside for their fields is twenty times so much at worst, though hardly ever touched.
MOST_BYTES = 4 << 20
HASH = 32


class Asked(NamedTuple):
    """An entry whose leaf is asked for; ``body`` in clear, ``key_id`` "" where it has none."""

    seq: int
    kind: str
    received_ns: int
    operation: str
    key_id: str
    body: bytes
    ident: bytes
    source: str
    actor: str
    salter: Salter


class _Loading:
    """What is compiled, once it is there: nobody waits for it who has messages to answer."""

    def __init__(self) -> None:
        self.found: Compiled | None = None
        self._begun = False

    def begin(self) -> None:
        """Load it on a thread of its own, if nobody did."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self.end, name="leaves").start()

    def end(self) -> None:
        """Load it now."""
        self._begun = True
        self.found = compiled()


_loading = _Loading()


def load() -> None:
    """Load what is compiled, and wait for it: before many entries that nobody waits for."""
    _loading.end()


def leaf_of(asked: Asked) -> bytes:
    """The leaf of one entry."""
    fields: Fields = fields_of(asked.body, asked.ident, asked.source, asked.actor)
    seq, kind, received_ns, operation, key_id = asked[:5]
    return sha256(b"\x00" + statement_of(seq, kind, received_ns, operation, key_id, fields, asked.salter)).digest()


def leaves_of(many: Sequence[Asked]) -> list[bytes]:
    """The leaves of entries, in order."""
    if len(many) >= MANY:
        _loading.begin()
    quick = _loading.found if len(many) > FEW else None
    if quick is None:
        return [leaf_of(asked) for asked in many]
    if sum([len(asked.body) for asked in many]) > MOST_BYTES:
        half = len(many) // 2
        return leaves_of(many[:half]) + leaves_of(many[half:])
    pieces: list[bytes] = []
    lengths, said, before = [], (b"", 0), None
    for a in many:
        if before is None or a[1:2] + a[3:5] + a[7:9] != before:  # seldom another than the one before it
            before = a[1:2] + a[3:5] + a[7:9]
            said = _texts(*before)
        pieces += (
            _LEAF + PAIR(a.seq, a.received_ns),
            said[0],
            _IDENT[len(a.ident)] if len(a.ident) < 256 else b"",
            a.ident,
            a.body,
        )
        lengths.append(said[1])
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    ends = np.cumsum(sizes).reshape(-1, 5)
    data = np.frombuffer(b"".join(pieces), np.uint8)
    stated = np.array(lengths, np.int64)
    seqs = np.fromiter([a.seq for a in many], np.int64, len(many))
    spans = np.empty((data.size // 2 + 4 * len(many), 5), np.int64)
    counts = np.zeros(len(many), np.int64)
    used = quick.cut(data, ends, stated, spans, counts)
    blocks = np.empty((used, 2), np.uint64)
    quick.number(counts, seqs, blocks)
    salts = np.empty(used * SALT_BYTES + 15, np.uint8)
    begin = at = 0
    for n, a in enumerate(many):  # one call for each run of entries under one key
        at += int(counts[n])
        if n + 1 == len(many) or many[n + 1].salter is not a.salter:
            if at > begin:
                a.salter.update_into(blocks[begin:at].data.cast("B"), salts[begin * SALT_BYTES : at * SALT_BYTES + 15].data)
            begin = at
    out = np.empty(len(many) * HASH, np.uint8)
    quick.digest(data, ends, stated, spans, counts, salts, out)
    raw = out.tobytes()
    found = [raw[n : n + HASH] for n in range(0, len(raw), HASH)]
    for odd in np.flatnonzero(counts == 0).tolist():
        found[odd] = leaf_of(many[odd])
    return found


def root_of_tile(hashes: Sequence[bytes]) -> bytes:
    """The root over the hashes of a full tile (RFC 6962, section 2.1)."""
    quick = _loading.found
    if quick is None:
        return perfect_root(hashes)
    work = np.frombuffer(bytearray(b"".join(hashes)), np.uint8)
    quick.fold(work, np.full(1 + 2 * HASH, 1, np.uint8))
    return work[:HASH].tobytes()


@lru_cache(4096)
def _texts(kind: str, operation: str, key_id: str, source: str, actor: str) -> tuple[bytes, int]:
    """What stands in a statement behind its numbers, then two values: what the columns say; and how long the first is."""
    said = texts_of(kind, operation, key_id)
    return said + msgspec.msgpack.encode(source) + msgspec.msgpack.encode(actor), len(said)


_LEAF = b"\x00" + MAGIC
#: The head of an ident of so many bytes, as a value.
_IDENT = [bytes([0xC4, size]) for size in range(256)]
