# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""What ``birddog.leaves`` compiles: entries cut into fields, and hashed.  Arrays of bytes, and numbers; no objects.

Over 400 lines: one row of loops, of which none is asked by itself.

Only here is Numba opened on this floor.  SHA-256 is that of the library which ``hashlib`` is built on: OpenSSL exports
``SHA256_Init``, ``_Update`` and ``_Final``, and they are found through ``_hashlib``.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import logging
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from birddog.record import COLUMNS, LISTS, MAGIC

log = logging.getLogger(__name__)

#: The most fields of a map, and the most levels within a value, that are looked at here.
_MOST, _DEPTH = 64, 32
#: Bytes that OpenSSL's SHA256_CTX may have: 112 today.
_CONTEXT = 128
_DOT, _STAR = ord("."), ord("*")
#: The names of the columns, as MessagePack; the head of the array is written before them.
_COLUMNS = np.frombuffer(b"".join(msgspec.msgpack.encode(name) for name in COLUMNS), np.uint8)
_MAGIC = np.frombuffer(MAGIC, np.uint8)
_OBSERVATIONS, _SIGHTINGS = (np.frombuffer(name.encode(), np.uint8) for name in LISTS)


def _skip(data, at, end, left):
    """Where the value that begins at a place ends; -1 where it is none that we write, or too deep; ``left`` to write in."""
    left[0] = 1
    depth = 0
    while depth >= 0:
        if left[depth] == 0:
            depth -= 1
            continue
        left[depth] -= 1
        if at >= end:
            return -1
        head = data[at]
        at += 1
        more, many = 0, 0
        if head < 0x80 or head >= 0xE0 or head == 0xC0 or head == 0xC2 or head == 0xC3:
            pass
        elif head < 0x90:
            many = 2 * (head & 15)
        elif head < 0xA0:
            many = head & 15
        elif head < 0xC0:
            more = head & 31
        elif head == 0xC4 or head == 0xD9:
            if at + 1 > end:
                return -1
            more = 1 + data[at]
        elif head == 0xC5 or head == 0xDA:
            if at + 2 > end:
                return -1
            more = 2 + (np.int64(data[at]) << 8 | data[at + 1])
        elif head == 0xC6 or head == 0xDB:
            if at + 4 > end:
                return -1
            more = 4 + (np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | data[at + 3])
        elif head == 0xCC or head == 0xD0:
            more = 1
        elif head == 0xCD or head == 0xD1:
            more = 2
        elif head == 0xCA or head == 0xCE or head == 0xD2:
            more = 4
        elif head == 0xCB or head == 0xCF or head == 0xD3:
            more = 8
        elif head == 0xDC or head == 0xDE:
            if at + 2 > end:
                return -1
            many = np.int64(data[at]) << 8 | data[at + 1]
            at += 2
            if head == 0xDE:
                many *= 2
        else:
            return -1
        at += more
        if at > end:
            return -1
        if many:
            depth += 1
            if depth == _DEPTH:
                return -1
            left[depth] = many
    return at


def _key(data, at, end):
    """Where the key that begins at a place ends; -1 where it is no short text of printing ASCII without dot and star."""
    if at >= end:
        return -1
    head = data[at]
    if head & 0xE0 != 0xA0 or head == 0xA0:
        return -1
    last = at + 1 + (head & 31)
    if last > end:
        return -1
    for n in range(at + 1, last):
        if data[n] < 0x21 or data[n] > 0x7E or data[n] == _DOT or data[n] == _STAR:
            return -1
    return last


def _same(data, at, size, text):
    if size != text.size:
        return False
    for n in range(size):
        if data[at + n] != text[n]:
            return False
    return True


def _count(data, at, end):
    """(fields of the map that begins at a place, where the first one does); -1 where it is none, empty, or a large one."""
    if at >= end:
        return -1, at
    head = data[at]
    if head & 0xF0 == 0x80:
        return (np.int64(head & 15) if head != 0x80 else np.int64(-1)), at + 1
    if head == 0xDE and at + 3 <= end:
        count = np.int64(data[at + 1]) << 8 | data[at + 2]
        if 16 <= count <= _MOST:
            return count, at + 3
    return -1, at


def _field(data, at, end, seen, field, left):
    """(where the value of the field at a place begins, where it ends); -1 where it is none, or has a name that stood before."""
    value = _key(data, at, end)
    if value < 0:
        return -1, -1
    for n in range(field):
        same = True
        for m in range(value - at):
            if data[seen[n] + m] != data[at + m]:
                same = False
                break
        if same:
            return -1, -1
    seen[field] = at
    return value, _skip(data, value, end, left)


def _kept(spans, used, listed, row, key, value, end):
    spans[used, 0], spans[used, 1], spans[used, 2], spans[used, 3], spans[used, 4] = listed, row, key, value, end
    return used + 1


def _row(data, at, end, spans, used, listed, number, seen, left):
    """The fields of a row of a list, as ``_body`` of a body's."""
    count, at = _count(data, at, end)
    for field in range(count):
        value, after = _field(data, at, end, seen, field, left)
        if after < 0:
            return used, -1
        used = _kept(spans, used, listed, number, at, value, after)
        at = after
    return used, (at if count > 0 else -1)


def _body(data, at, end, spans, used, seen, left):
    """The fields of a body into ``spans``: (how many then, where it ends), -1 where it is nothing that we write."""
    count, at = _count(data, at, end)
    for field in range(count):
        value, after = _field(data, at, end, seen[0], field, left)
        if after < 0:
            return used, -1
        size, listed, rows, first = value - at - 1, 0, np.int64(0), value + 1
        if _same(data, at + 1, size, _OBSERVATIONS):
            listed = 1
        elif _same(data, at + 1, size, _SIGHTINGS):
            listed = 2
        if listed and data[value] & 0xF0 == 0x90:
            rows = np.int64(data[value] & 15)
        elif listed and data[value] == 0xDC:
            rows, first = np.int64(data[value + 1]) << 8 | data[value + 2], value + 3
            if rows < 16:
                return used, -1
        elif listed:
            return used, -1
        if rows == 0:
            used = _kept(spans, used, 0, 0, at, value, after)
        for n in range(rows):
            used, first = _row(data, first, after, spans, used, listed, n, seen[1], left)
            if first < 0:
                return used, -1
        at = after
    return used, (at if count > 0 else -1)


def cut(data, columns, of_run, edges, spans, counts):
    """Cut entries into fields; how many all have.  ``counts``: how many each has, 0 where the plain way is to be asked.

    Args:
        data: what the columns of runs of entries say, all idents, all bodies.
        columns, of_run: of each run where its statement's texts begin, its source, its actor, and where that ends; the run
            of each entry.
        edges: where each ident begins, and each body; each with the end of the last.
        spans: (list, row, key, value, end of the value) of each field; the list of what is none of the body is 3, of an ident,
            which has no head, 4.
    """
    used = 0
    seen, left = np.empty((2, _MOST), np.int64), np.empty(_DEPTH, np.int64)
    for n in range(counts.size):
        begin, run = used, of_run[n]
        if edges[0, n + 1] - edges[0, n] > 255:
            continue
        for k in range(2):
            spans[used + k, 0], spans[used + k, 3], spans[used + k, 4] = 3, columns[run, 1 + k], columns[run, 2 + k]
        spans[used + 2, 0], spans[used + 2, 3], spans[used + 2, 4] = 4, edges[0, n], edges[0, n + 1]
        used, at = _body(data, edges[1, n], edges[1, n + 1], spans, used + 3, seen, left)
        if at != edges[1, n + 1]:
            used = begin
            continue
        counts[n] = used - begin
    return used


def _big_endian(value):
    """A number of which the bytes, little endian, are those of another, big endian."""
    out = np.uint64(0)
    for n in range(8):
        out |= (np.uint64(value) >> np.uint64(8 * n) & np.uint64(255)) << np.uint64(56 - 8 * n)
    return out


def number(counts, numbers, blocks):
    """What salts are the cipher of: (number of the entry, number of the field), big endian."""
    at = 0
    for n in range(counts.size):
        for k in range(counts[n]):
            blocks[at, 0], blocks[at, 1] = _big_endian(numbers[0, n]), _big_endian(k)
            at += 1


_init = _update = _final = _memcpy = _memcmp = cast(Any, None)  # the libraries' own, when it is compiled


def _named(names, to, data, key, value, listed, row):
    """A field's name, as MessagePack, to a place in ``names``; where it ends."""
    if listed == 0:
        _memcpy(names.ctypes.data + to, data.ctypes.data + key, value - key)
        return to + value - key
    head = to
    to += 2
    text = _OBSERVATIONS if listed == 1 else _SIGHTINGS
    for m in range(text.size):
        names[to + m] = text[m]
    to += text.size + 1
    names[to - 1] = _DOT
    power = 1
    while row // power >= 10:
        power *= 10
    while power:
        names[to] = 48 + row // power % 10
        power //= 10
        to += 1
    names[to] = _DOT
    for m in range(key + 1, value):
        names[to + m - key] = data[m]
    to += value - key
    size = to - head - 2
    if size >= 32:
        names[head], names[head + 1] = 0xD9, size
        return to
    names[head] = 0xA0 | size
    for m in range(head + 1, to - 1):
        names[m] = names[m + 1]
    return to - 1


def digest(data, columns, of_run, numbers, spans, counts, salts, out):
    """The leaves of the entries that were cut, each at its place in ``out``.

    Args:
        data, columns, of_run, spans, counts: see ``cut``.
        numbers: of each entry the number, and when it was received.
        salts: of each field, in turn.
    """
    longest = most = at = 0
    for n in range(counts.size):
        size = 0
        for k in range(at, at + counts[n]):
            size += 64 + spans[k, 3] - spans[k, 2] if spans[k, 0] < 3 else 0
        longest, most = max(longest, size), max(most, counts[n])
        at += counts[n]
    names, hashes, context = np.empty(longest + 64, np.uint8), np.empty(32 * most + 32, np.uint8), np.empty(_CONTEXT, np.uint8)
    before, begun, kept = np.empty(longest + 64, np.uint8), np.empty(_CONTEXT, np.uint8), 0
    of_before, of_begun = before.ctypes.data, begun.ctypes.data
    of_data, of_salts, of_names, of_hashes = data.ctypes.data, salts.ctypes.data, names.ctypes.data, hashes.ctypes.data
    head = np.zeros(5 + 16 + 2, np.uint8)
    for m in range(4):
        head[1 + m] = _MAGIC[m]
    head[21] = 0xC4
    of_out, state, of_head = out.ctypes.data, context.ctypes.data, head.ctypes.data
    at = 0
    for n in range(counts.size):
        count = counts[n]
        if count == 0:
            continue
        for k in range(count):
            value = spans[at + k, 3]
            _init(state)
            _update(state, of_salts + 16 * (at + k), 16)
            if spans[at + k, 0] == 4:
                head[22] = spans[at + k, 4] - value
                _update(state, of_head + 21, 2)
            _update(state, of_data + value, spans[at + k, 4] - value)
            _final(of_hashes + 32 * k, state)
        to = 0
        if count < 16:
            names[0], to = 0x90 | count, 1
        else:
            names[0], names[1], names[2], to = 0xDC, count >> 8, count & 255, 3
        for m in range(_COLUMNS.size):
            names[to + m] = _COLUMNS[m]
        to += _COLUMNS.size
        for k in range(at + 3, at + count):
            to = _named(names, to, data, spans[k, 2], spans[k, 3], spans[k, 0], spans[k, 1])
        if to != kept or _memcmp(of_names, of_before, to):  # seldom other names than those before
            kept = to
            _memcpy(of_before, of_names, to)
            _init(of_begun)
            _update(of_begun, of_names, to)
        _memcpy(state, of_begun, context.size)
        _update(state, of_hashes, 32 * count)
        _final(of_hashes, state)
        run = of_run[n]
        for m in range(8):
            head[5 + m], head[13 + m] = numbers[0, n] >> 56 - 8 * m & 255, numbers[1, n] >> 56 - 8 * m & 255
        _init(state)
        _update(state, of_head, 21)
        _update(state, of_data + columns[run, 0], columns[run, 1] - columns[run, 0])
        _update(state, of_hashes, 32)
        _final(of_out + 32 * n, state)
        at += count


def fold(hashes):
    """The root of a perfect subtree: ``hashes`` its leaves, one behind the other, a power of two of them; written over."""
    one, context = np.ones(1, np.uint8), np.empty(_CONTEXT, np.uint8)
    of_hashes, state = hashes.ctypes.data, context.ctypes.data
    count = hashes.size // 32
    while count > 1:
        for n in range(count // 2):
            _init(state)
            _update(state, one.ctypes.data, 1)
            _update(state, of_hashes + 64 * n, 64)
            _final(of_hashes + 32 * n, state)
        count //= 2


class Compiled(NamedTuple):
    """The compiled functions, see those of the same names."""

    cut: Callable[..., int]
    number: Callable[..., None]
    digest: Callable[..., None]
    fold: Callable[..., None]


#: What the outer ones call, in the order in which one needs the other.
_INNER = ("_skip", "_key", "_same", "_count", "_field", "_kept", "_row", "_body", "_big_endian", "_named")


@functools.cache
def compiled() -> Compiled | None:
    """They, compiled, the machine code kept beside the source where that can be; None where this machine cannot."""
    try:
        import numba
        from llvmlite import binding

        library = ctypes.CDLL(importlib.import_module("_hashlib").__file__)
        functions = [getattr(library, f"SHA256_{name}") for name in ("Init", "Update", "Final")]
    except (ImportError, OSError, AttributeError):
        return None
    types, njit = numba.types, cast(Any, numba.njit)
    address, names = types.intp, dict(globals())
    taken = {"_init": (address,), "_update": (address, address, types.uint64), "_final": (address, address)}
    for function, (name, arguments) in zip(functions, taken.items(), strict=True):
        binding.add_symbol(f"birddog_sha256{name}", ctypes.cast(function, ctypes.c_void_p).value)
        names[name] = types.ExternalFunction(f"birddog_sha256{name}", types.int32(*arguments))
    names["_memcmp"] = types.ExternalFunction("memcmp", types.int32(address, address, types.uint64))
    names["_memcpy"] = types.ExternalFunction("memcpy", address(address, address, types.uint64))
    given = types.Array(types.uint8, 1, "C", readonly=True)
    flat, large, row, table = types.uint8[::1], types.int64[::1], types.int64[:, ::1], types.uint64[:, ::1]
    signatures = {
        "cut": types.int64(given, row, large, row, row, large),
        "number": types.void(large, row, table),
        "digest": types.void(given, row, large, row, row, large, flat, flat),
        "fold": types.void(flat),
    }
    for keep in (True, False):
        flags = {"cache": keep, "nogil": True, "no_cfunc_wrapper": True}
        own = dict(names)
        try:
            for name in _INNER:
                own[name] = njit(no_cpython_wrapper=True, **flags)(FunctionType(globals()[name].__code__, own, name))
            return Compiled(*(
                njit(signature, **flags)(FunctionType(globals()[name].__code__, own, name))
                for name, signature in signatures.items()
            ))  # fmt: skip
        except Exception as error:  # noqa: BLE001 - boundary: no folder, a full one, or what a power cut left (numba#10434)
            log.warning("%s: %s; %s", "what Numba keeps" if keep else "Numba", error or type(error).__name__,
                        "compiled anew, not kept" if keep else "every leaf is hashed the plain way")
    return None
