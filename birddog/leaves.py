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
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from birddog.leaf_kernel import Compiled, compiled
from birddog.merkle import perfect_root
from birddog.record import SALT_BYTES, Fields, Salter, fields_of, statement_of, texts_of

#: So many entries in one call are worth loading what is compiled; and so few are quicker the plain way.
MANY, FEW = 64, 4
#: Bytes of bodies in one call: what is set aside for their fields is twenty times so much at worst, though hardly ever touched.
MOST_BYTES = 4 << 20
HASH = 32


class Said(Protocol):
    """What an entry says; ``body`` in clear."""

    @property
    def kind(self) -> str: ...
    @property
    def received_ns(self) -> int: ...
    @property
    def operation(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def ident(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...
    @property
    def actor(self) -> str: ...


class Key(NamedTuple):
    """What an entry's body is sealed under: the name of the key, "" where it stands in clear; and what the salts are of."""

    name: str
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


def leaf_of(seq: int, entry: Said, key: Key) -> bytes:
    """The leaf of one entry."""
    fields: Fields = fields_of(entry.body, entry.ident, entry.source, entry.actor)
    said = statement_of(seq, entry.kind, entry.received_ns, entry.operation, key.name, fields, key.salter)
    return sha256(b"\x00" + said).digest()


def leaves_of(seqs: Sequence[int], entries: Sequence[Said], keys: Sequence[Key]) -> list[bytes]:
    """The leaves of entries, in order: the number of each, and its key."""
    if len(entries) >= MANY:
        _loading.begin()
    quick = _loading.found if len(entries) > FEW else None
    if quick is None:
        return list(map(leaf_of, seqs, entries, keys))
    bodies = [entry.body for entry in entries]
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
    if sizes.sum() > MOST_BYTES:
        half = len(entries) // 2
        return leaves_of(seqs[:half], entries[:half], keys[:half]) + leaves_of(seqs[half:], entries[half:], keys[half:])
    return _hashed(quick, seqs, entries, keys, bodies, sizes)


def _hashed(quick: Compiled, seqs: Sequence[int], entries: Sequence[Said], keys: Sequence[Key], bodies: list[bytes],
            sizes: NDArray[np.int64]) -> list[bytes]:  # fmt: skip
    many = len(entries)
    texts, table, run_of, begins = list[bytes](), list[tuple[int, int, int, int]](), list[int](), list[int]()
    at, run, before = 0, -1, None
    for n, entry in enumerate(entries):
        said = entry.kind, entry.operation, entry.source, entry.actor, keys[n]
        if said != before:  # seldom another than the one before it
            if before is None or keys[n].salter is not before[4].salter:
                begins.append(n)
            before, run = said, run + 1
            text, stated, middle = _texts(entry.kind, entry.operation, keys[n].name, entry.source, entry.actor)
            texts.append(text)
            table.append((at, at + stated, at + middle, at + len(text)))
            at += len(text)
        run_of.append(run)
    idents = [entry.ident for entry in entries]
    data = np.frombuffer(b"".join([*texts, *idents, *bodies]), np.uint8)
    edges = np.empty((2, many + 1), np.int64)  # where each ident begins, and each body
    edges[0, 0] = at
    np.cumsum(np.fromiter(map(len, idents), np.int64, many), out=edges[0, 1:])
    edges[0, 1:] += at
    edges[1, 0] = edges[0, many]
    np.cumsum(sizes, out=edges[1, 1:])
    edges[1, 1:] += edges[1, 0]
    numbers = np.empty((2, many), np.int64)
    numbers[0] = seqs
    numbers[1] = [entry.received_ns for entry in entries]
    columns, of_run = np.array(table, np.int64), np.array(run_of, np.int64)
    spans = np.empty((data.size // 2 + 4 * many, 5), np.int64)
    counts = np.zeros(many, np.int64)
    used = quick.cut(data, columns, of_run, edges, spans, counts)
    blocks = np.empty((used, 2), np.uint64)
    quick.number(counts, numbers, blocks)
    salts = np.empty(used * SALT_BYTES + 15, np.uint8)
    at = 0
    for begin, end in zip(begins, [*begins[1:], many], strict=True):  # one call for each run of entries under one key
        to = at + int(counts[begin:end].sum())
        if to > at:
            salter = keys[begin].salter
            salter.update_into(blocks[at:to].data.cast("B"), salts[at * SALT_BYTES : to * SALT_BYTES + 15].data)
        at = to
    out = np.empty(many * HASH, np.uint8)
    quick.digest(data, columns, of_run, numbers, spans, counts, salts, out)
    raw = out.tobytes()
    found = [raw[n : n + HASH] for n in range(0, len(raw), HASH)]
    for odd in np.flatnonzero(counts == 0).tolist():
        found[odd] = leaf_of(seqs[odd], entries[odd], keys[odd])
    return found


def root_of_tile(hashes: Sequence[bytes]) -> bytes:
    """The root over the hashes of a full tile (RFC 6962, section 2.1)."""
    quick = _loading.found
    if quick is None:
        return perfect_root(hashes)
    work = np.frombuffer(bytearray(b"".join(hashes)), np.uint8)
    quick.fold(work)
    return work[:HASH].tobytes()


@lru_cache(4096)
def _texts(kind: str, operation: str, key_id: str, source: str, actor: str) -> tuple[bytes, int, int]:
    """What stands in a statement behind its numbers, then two values: what the columns say; and where these begin."""
    said, first = texts_of(kind, operation, key_id), msgspec.msgpack.encode(source)
    return said + first + msgspec.msgpack.encode(actor), len(said), len(said) + len(first)
