"""A file of tracks as arrays: CSV ``id,t,lat,lon`` in any order of columns and rows, a million rows in half a second.

Rows that are written as programs write them (plain numbers, ISO 8601 with an offset or POSIX seconds, no quotes) are read a
block at a time by numpy, digit by digit: the mantissa is exact below 2^53 and divided once, so that a number is the one that
``float`` reads.  Every other row goes through ``opsroom.csv_rows``, which says what is wrong with it, where, and goes on.
So does a whole file with quotes in it, or one of an AIS archive.

``_Block`` is what the bytes of some lines say.  Over 400 lines: one subject, each way of writing with its arrays.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from birddog.errors import UsageError
from opsroom.csv_rows import number, rows, taken, time_ns

COLUMNS = ("id", "t", "lat", "lon")
#: Bytes that are read at once, to the next end of a line.
BLOCK = 1 << 21
_COMMA, _LINE, _RETURN, _DOT, _MINUS, _PLUS, _ZERO = (ord(c) for c in ",\n\r.-+0")
#: Longest number and identity that are read as arrays.
_NUMBER, _NAME = 18, 16
_TENS = 10.0 ** np.arange(_NUMBER + 1)
#: Of two words, the bits within so many bytes.
_WITHIN = [np.array([(1 << 8 * min(max(n - k, 0), 8)) - 1 for n in range(_NAME + 1)], np.uint64) for k in (0, 8)]
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


class TrackRows(msgspec.Struct):
    """Rows in the order of the file; ``vessel`` is a place in ``ids``, which is sorted.

    ``refused`` is how many more there were that cannot be used.
    """

    ids: list[str]
    vessel: np.ndarray
    time_ns: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    line: np.ndarray
    refused: int = 0


def read_tracks(path: str) -> TrackRows:
    """All rows of a file that can be used; the others are named on stderr.

    Raises:
        UsageError: the file cannot be read, is no CSV, not UTF-8, or lacks a column.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    names: dict[str, int] = {}
    refused: list[int] = []
    try:
        with open(path, "rb") as source:
            plain = _plain(source, path, names, parts, refused)
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None
    if not plain:
        names.clear()
        refused.clear()
        parts = [_one_by_one(path, *_any_form(path), names, refused)]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else []
    if not columns:
        columns = [np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64)]
    ids = sorted(names)
    rank = np.zeros(len(ids), np.int64)
    rank[[names[name] for name in ids]] = np.arange(len(ids))
    vessel = rank[columns[0]] if len(ids) else columns[0]
    when, lat, lon, line = columns[1:]
    return TrackRows(ids, vessel, when, lat, lon, line, sum(refused))


def _plain(source: Any, path: str, names: dict[str, int], parts: list[tuple[np.ndarray, ...]], refused: list[int]) -> bool:
    """Read block by block; False where the file as a whole is for the other reader."""
    head = source.readline().removeprefix(b"\xef\xbb\xbf")
    if b'"' in head or b"\r" in head.rstrip(b"\r\n"):
        return False
    columns = head.rstrip(b"\r\n").split(b",")
    wanted = [name.encode() for name in COLUMNS]
    if any(columns.count(name) != 1 for name in wanted):
        return False
    order = [columns.index(name) for name in wanted]
    line = 2
    try:
        called = [c.decode() for c in columns]
    except UnicodeDecodeError:
        return False  # the other reader says so
    for block, end in _blocks(source):
        has_returns = block.find(b"\r", 0, end) >= 0
        if block.find(b'"', 0, end) >= 0 or block.find(b"\0", 0, end) >= 0:
            return False
        if has_returns and block.count(b"\r", 0, end) != block.count(b"\r\n", 0, end):
            return False
        read = _Block(np.frombuffer(block, np.uint8), end, len(columns), order, line, returns=has_returns)
        if end and int(read.b[:end].view(np.int8).min()) < 0:
            try:
                block[:end].decode()
            except UnicodeDecodeError:
                return False  # the other reader says so
        parts.append(read.rows(path, block, called, names, refused))
        line += read.lines
    return True


def _blocks(source: Any) -> Iterator[tuple[bytearray, int]]:
    """(some bytes of a file, up to where they are whole lines); the next are written over them."""
    block, kept = bytearray(BLOCK + _NUMBER), 0
    while True:
        last = len(block) - _NUMBER
        with memoryview(block) as whole, whole[kept:last] as room:
            n = source.readinto(room)
        if not n and not kept:
            return
        if not n:
            block[kept] = _LINE
            yield block, kept + 1
            return
        end = block.rfind(b"\n", 0, kept + n) + 1
        kept += n
        if end:
            yield block, end
            block[: kept - end] = block[end:kept]
            kept -= end
        elif kept == last:
            block = block + bytes(len(block))  # a line longer than that


def _any_form(path: str) -> tuple[dict[str, str], Iterator[tuple[int, dict[str, str]]]]:
    """What the columns are called, and the rows, of any file that ``csv_rows`` reads (quotes, AIS archives)."""
    try:
        columns, lines = rows(path, ("track_id", "t", "lat", "lon"))
    except UsageError as error:
        if error.line != 1:
            raise
        columns, lines = rows(path, COLUMNS)
    return {"id": "id" if "id" in columns else "track_id"}, lines


def _one_by_one(
    path: str, called: dict[str, str], lines: Iterator[tuple[int, dict[str, str]]], names: dict[str, int], refused: list[int]
) -> tuple[np.ndarray, ...]:  # fmt: skip
    out: list[tuple[int, int, float, float, int]] = []
    bad = 0
    for line, row in lines:
        row["id"] = row.get(called["id"], "")
        got = taken(path, line, row, _WANTED)
        bad += got is None
        if got is not None:
            out.append((names.setdefault(got["id"], len(names)), got["t"], got["lat"], got["lon"], line))
    refused.append(bad)
    columns = list(zip(*out, strict=True)) or [()] * 5
    return tuple(np.array(c, float if k in (2, 3) else np.int64) for k, c in enumerate(columns))


def name(text: str | None) -> str:
    """An identity: anything but blank.

    Raises:
        ValueError: it is blank.
    """
    if text is None or text.strip() == "":
        raise ValueError("missing")
    return text


def latitude(text: str | None) -> float:
    """Degrees within 90 of 0.

    Raises:
        ValueError: no number, not finite or beyond.
    """
    return _within(text, 90.0)


def longitude(text: str | None) -> float:
    """Degrees within 180 of 0.

    Raises:
        ValueError: no number, not finite or beyond.
    """
    return _within(text, 180.0)


def _within(text: str | None, most: float) -> float:
    value = number(text)
    if not -most <= value <= most:
        raise ValueError(f"{text} is beyond {most:g}")
    return value + 0.0  # no -0.0, however a row is read


_WANTED: dict[str, Callable[[str | None], Any]] = {"id": name, "t": time_ns, "lat": latitude, "lon": longitude}


def _two() -> np.ndarray:
    """Of each two bytes, little-endian, the number that they write; -1 where they write none."""
    out = np.full(1 << 16, -1, np.int64)
    for k in range(100):
        out[(48 + k // 10) | (48 + k % 10) << 8] = k
    return out


_TWO = _two()


def _whole(text: np.ndarray, columns: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(the whole number that some columns of rows of bytes write, whether all of these are digits); no more than 18 columns."""
    value, good = np.zeros(len(text), np.int64), np.ones(len(text), bool)
    for k in columns:
        digit = text[:, k] - _ZERO
        good &= digit < 10
        value *= 10
        value += digit
    return value, good


#: Of a word of eight bytes the last so many.
_LAST = np.array([((1 << 64) - 1) >> 8 * (8 - k) << 8 * (8 - k) for k in range(9)], np.uint64)
_ZEROS, _TO_HIGH, _HIGH, _PAIRS, _LOW32 = (
    np.uint64(k) for k in (0x3030303030303030, 0x4646464646464646, 0x8080808080808080, 0x000000FF000000FF, 32)
)
#: As a word what is between the digits of ``00:00:00``, how much more would be too much, and parts of words.
_CLOCK, _CLOCK_ROOM = (np.uint64(int.from_bytes(bytes(w), "little")) for w in (b"00:00:00", (
    118, 118, 127, 122, 118, 127, 122, 118)))  # fmt: skip
_BYTE, _TWO_BYTES, _SIXTEEN = np.uint64(0xFF), np.uint64(0xFFFF), np.uint64(16)


def _eight(word: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the number that the kept bytes of words of eight write, 0 where all of these are digits): the digits of a word are
    added in pairs, fours and all at once (D. Lemire, "Quickly parsing eight digits", 2018)."""
    digits = (word & kept) | (_ZEROS & ~kept)
    x = digits - _ZEROS
    bad = ((digits + _TO_HIGH) | x) & _HIGH
    x = x * np.uint64(10) + (x >> np.uint64(8))
    x = (x & _PAIRS) * np.uint64(0x000F424000000064) + ((x >> np.uint64(16)) & _PAIRS) * np.uint64(0x0000271000000001)
    return (x >> _LOW32).astype(np.int64), bad


def _days(date: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(days since 1970, whether it is a date) of rows as ``2021-03-20``."""
    good = (date[:, 4] == _MINUS) & (date[:, 7] == _MINUS)
    pairs = np.ascontiguousarray(date[:, [0, 1, 2, 3, 5, 6, 8, 9]]).view("<u2")
    century, year, month, day = (_TWO[pairs[:, k]] for k in range(4))
    good &= (century >= 0) & (year >= 0)
    year = century * 100 + year
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (year >= 1700) & (year < 2250) & (month >= 1) & (month <= 12) & (day >= 1)
    month = np.clip(month, 1, 12)
    good &= day <= _DAYS_BEFORE[month] - _DAYS_BEFORE[month - 1] + (leap & (month == 2))
    y = year - 1
    days = y * 365 + y // 4 - y // 100 + y // 400 + _DAYS_BEFORE[month - 1] + (leap & (month > 2)) + day - 719_163
    return days, good


def _widths(width: np.ndarray) -> list[int]:
    """The widths that there are, up to 63; longer fields are no numbers and no times."""
    return np.flatnonzero(np.bincount(np.clip(width, 0, 64), minlength=65)[:64]).tolist()


class _Block:
    """Whole lines of a file as bytes, up to ``end``; there are some more behind them, for the windows."""

    def __init__(self, b: np.ndarray, end: int, columns: int, order: list[int], line: int, *, returns: bool):
        self.b, self.line = b, line
        #: the eight bytes from each on
        self.words = np.ndarray((len(b) - 7,), "<u8", b, 0, (1,))
        marks = b[:end] == _LINE
        lines = int(np.count_nonzero(marks))
        marks |= b[:end] == _COMMA
        behind = np.flatnonzero(marks)
        ends = behind[columns - 1 :: columns]
        # so many commas a line as there should be: no line is looked for
        plain = len(behind) == lines * columns and bool((b[ends] == _LINE).all())
        if not plain:
            ends = behind[b[behind] == _LINE]
        self.lines = len(ends)
        starts = np.concatenate(([0], ends[:-1] + 1))
        if returns:
            ends = ends - ((ends > starts) & (b[np.maximum(ends - 1, 0)] == _RETURN))
        self.starts, self.ends = starts, ends
        if plain:
            self.full, self.odd = np.arange(len(starts)), np.zeros(0, np.int64)
            edges = [starts - 1, *(behind[k::columns] for k in range(columns - 1)), ends]
            self.fields = [(edges[place] + 1, edges[place + 1] - edges[place] - 1) for place in order]
            return
        commas = behind[b[behind] == _COMMA]
        first = np.searchsorted(commas, starts)
        count = np.searchsorted(commas, ends) - first
        self.full = np.flatnonzero(count == columns - 1)
        self.odd = np.flatnonzero((count != columns - 1) & (ends > starts))
        first = first[self.full]
        self.fields = []
        for place in order:
            begin = starts[self.full] if place == 0 else commas[first + place - 1] + 1
            behind = ends[self.full] if place == columns - 1 else commas[np.minimum(first + place, len(commas) - 1)]
            self.fields.append((begin, behind - begin))

    def rows(
        self, path: str, block: bytearray, columns: list[str], names: dict[str, int], refused: list[int]
    ) -> tuple[np.ndarray, ...]:
        """(vessel, time, latitude, longitude, line) of the block's rows, in order; bad ones are said, and counted."""
        who, t, lat, lon = self.fields
        when, good = self._times(*t)
        values = []
        for field, most in ((lat, 90.0), (lon, 180.0)):
            value, fine = self._numbers(*field)
            values.append(value)
            good &= fine & (np.abs(value) <= most)
        vessel, fine = self._names(block, *who, good, names)
        good &= fine
        line = self.full + self.line
        out = [vessel, when, *values, line]
        bad = np.sort(np.concatenate((self.full[~good], self.odd)))
        if not len(bad):
            return tuple(out)
        lines = ((int(k) + self.line, dict(zip(columns, self._values(block, k), strict=False))) for k in bad)
        other = _one_by_one(path, {"id": "id"}, lines, names, refused)
        both = [np.concatenate((mine[good], theirs)) for mine, theirs in zip(out, other, strict=True)]
        order = np.argsort(both[4], kind="stable")
        return tuple(column[order] for column in both)

    def _values(self, block: bytearray, k: int) -> list[str]:
        text = block[self.starts[k] : self.ends[k]].decode()
        return next(csv.reader(io.StringIO(text, newline="")), [])

    def _numbers(self, begin: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values, whether each is such a number)."""
        mantissa, d, good = self._alike(begin, width)
        if good.all():
            return mantissa / _TENS[d], good
        mantissa, decimals, good = self._digits(begin, width)
        return mantissa / _TENS[decimals], good & (np.abs(mantissa) < 1 << 53)

    def _digits(self, begin: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(digits as a whole number with its sign, how many after the point, whether it is a plain number)."""
        mantissa, d, good = self._alike(begin, width)
        decimals = np.full(len(begin), d)
        if good.all():
            return mantissa, decimals, good
        rest = ~good
        for w in _widths(width[rest]):
            left = np.flatnonzero(rest & (width == w)) if 0 < w <= _NUMBER else np.zeros(0, np.int64)
            # numbers of one width with the sign and the point of the first of them; then those that are written otherwise
            for _ in range(6):
                if not len(left):
                    break
                text = sliding_window_view(self.b, w)[begin[left]]
                first = text[0]
                signed = int(first[0] in (_MINUS, _PLUS))
                point = np.flatnonzero(first == _DOT)
                at = int(point[0]) if len(point) else w
                columns = [k for k in range(signed, w) if k != at]
                alike = np.ones(len(left), bool) if signed == 0 else text[:, 0] == first[0]
                if at < w:
                    alike &= text[:, at] == _DOT
                value, fine = _whole(text, columns)
                fine &= alike & (len(columns) > 0)
                which = left[fine]
                mantissa[which] = -value[fine] if first[0] == _MINUS else value[fine]
                decimals[which], good[which] = max(0, w - 1 - at), True
                if fine.any():
                    left = left[~fine]
                else:
                    left = left[~alike] if not alike.all() else left[:0]
        return mantissa, decimals, good

    def _alike(self, begin: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
        """The same of the numbers that have as many decimals as the first one, 1 to 7, which is said once, and at most 8 digits
        before them; the others are no good here."""
        n = len(begin)
        point = bytes(self.b[begin[0] : begin[0] + width[0]]).find(b".") if n else -1
        d = int(width[0]) - 1 - point if n else 0
        if point < 0 or not 1 <= d <= 7:
            return np.zeros(n, np.int64), 0, np.zeros(n, bool)
        first, end = self.b[begin], begin + width
        negative = first == _MINUS
        whole = width - (d + 1) - (negative | (first == _PLUS))
        good = (whole >= 0) & (whole <= 8) & (end >= d + 9)
        if not good.all():
            end, whole = np.where(good, end, d + 9), np.where(good, whole, 0)
        dot, before = end - (d + 1), self.words[end - (d + 9)]
        # the decimals, and of the digits before the point as many as there is room for beside them in a word of eight
        word = (self.words[end - 8] & _LAST[d]) | (before >> np.uint64(8 * d))
        mantissa, bad = _eight(word, _LAST[np.minimum(whole, 8 - d) + d])
        good &= (self.b[dot] == _DOT) & (bad == 0)
        long = np.flatnonzero(whole > 8 - d)
        if len(long):
            rest, bad = _eight(before[long] << np.uint64(8 * (8 - d)), _LAST[whole[long] - (8 - d)])
            mantissa[long] += rest * 10**8
            good[long] &= bad == 0
        np.negative(mantissa, out=mantissa, where=negative)
        return mantissa, d, good

    def _times(self, begin: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        when, good = np.zeros(len(begin), np.int64), np.zeros(len(begin), bool)
        for w in _widths(width):
            at = np.flatnonzero(width == w)
            if len(at) == len(begin) and 20 <= w <= 35:
                return self._iso(begin, w)
            if 20 <= w <= 35:
                when[at], good[at] = self._iso(begin[at], w)
            elif 0 < w <= _NUMBER:
                mantissa, decimals, fine = self._digits(begin[at], width[at])
                fine &= (decimals <= 9) & (np.abs(mantissa) / _TENS[decimals] < 9e9)
                when[at] = np.where(fine, mantissa, 0) * 10 ** np.where(fine, 9 - decimals, 0)
                good[at] = fine
        return when, good

    def _iso(self, begin: np.ndarray, w: int) -> tuple[np.ndarray, np.ndarray]:
        """Times of one width, as ``2021-03-20T05:50:00.000Z`` or with an offset ``+00:00``."""
        zulu = bool((self.b[begin + (w - 1)] == ord("Z")).any())
        tail = w - (1 if zulu else 6)
        decimals = tail - 20
        if not (tail == 19 or 1 <= decimals <= 9):
            return np.zeros(len(begin), np.int64), np.zeros(len(begin), bool)
        date, day = self.words[begin], self.words[begin + 8]
        days, good = self._days(begin, date, day & _TWO_BYTES)
        mark = (day >> _SIXTEEN) & _BYTE
        good &= (mark == ord("T")) | (mark == ord(" "))
        # 05:50:00: digits as numbers and colons as 0, each no more than it may be; then each two of them as one
        x = self.words[begin + 11] ^ _CLOCK
        bad = (x | (x + _CLOCK_ROOM)) & _HIGH
        x = x * np.uint64(10) + (x >> np.uint64(8))
        hour = x & _BYTE
        good &= (bad == 0) & (hour < 24)
        second = hour * np.uint64(3600) + ((x >> np.uint64(24)) & _BYTE) * np.uint64(60) + ((x >> np.uint64(48)) & _BYTE)
        when = days * 86_400
        when += second.astype(np.int64)
        if zulu:
            good &= self.b[begin + (w - 1)] == ord("Z")
        else:
            text = sliding_window_view(self.b, 6)[begin + (w - 6)]
            away_h, fine_h = _whole(text, [1, 2])
            away_min, fine_min = _whole(text, [4, 5])
            good &= fine_h & fine_min & (away_h < 24) & (away_min < 60) & (text[:, 3] == ord(":"))
            good &= (text[:, 0] == _PLUS) | (text[:, 0] == _MINUS)
            away = away_h * 3600 + away_min * 60
            when -= np.where(text[:, 0] == _MINUS, -away, away)
        when *= 1_000_000_000
        if tail > 19:
            fraction, fine = self._few(begin + tail, decimals)
            good &= fine & (self.b[begin + 19] == _DOT)
            when += fraction * 10 ** (9 - decimals)
        return when, good

    def _few(self, end: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
        """(the whole numbers of up to 9 digits that end before some places, which have 8 bytes or more in front of them,
        whether all of these are digits); one of each where all are alike."""
        word = self.words[end - 8] & _LAST[min(digits, 8)]
        if digits <= 8 and (word == word[0]).all():
            word = word[:1]
        value, bad = _eight(word, _LAST[min(digits, 8)])
        good = bad == 0
        if digits > 8:
            digit = (self.b[end - digits] - _ZERO).astype(np.int64)
            value += digit * 10**8
            good &= digit < 10
        return value, good

    def _days(self, begin: np.ndarray, date: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(days since 1970, whether it is a date) of what begins as ``2021-03-20``; what repeats is read once."""
        new = np.ones(len(begin), bool)
        new[1:] = (date[1:] != date[:-1]) | (day[1:] != day[:-1])
        days, good = _days(sliding_window_view(self.b, 10)[begin[new]])
        of = np.cumsum(new) - 1
        return days[of], good[of]

    def _names(
        self, block: bytearray, begin: np.ndarray, width: np.ndarray, wanted: np.ndarray, names: dict[str, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The vessels of the rows that are wanted; the others' are 0."""
        good = wanted & (width > 0) & (width <= _NAME)
        vessel = np.zeros(len(begin), np.int64)
        at = np.flatnonzero(good)
        if not len(at):
            return vessel, good
        # the bytes of each as two words, zero beyond its end
        first, bytes_ = begin[at], width[at]
        if (bytes_ == bytes_[0]).all():
            bytes_ = bytes_[0]
        low, high = self.words[first] & _WITHIN[0][bytes_], self.words[first + 8] & _WITHIN[1][bytes_]
        new = np.ones(len(at), bool)
        new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        begins = np.flatnonzero(new)
        if len(begins) * 4 > len(at):
            # interleaved: each identity once, by sorting
            _, group = np.unique(low, return_inverse=True)
            if high.any():
                group = group * len(at) + np.unique(high, return_inverse=True)[1]
            _, begins, of = np.unique(group, return_index=True, return_inverse=True)
        else:
            of = np.cumsum(new) - 1
        # no order of sorting: identities are numbered as the file names them, and sorted at the end
        number_of = np.empty(len(begins), np.int64)
        for k, row in enumerate(at[begins].tolist()):
            text = block[begin[row] : begin[row] + width[row]].decode()
            number_of[k] = names.setdefault(text, len(names)) if text.strip() else -1
        vessel[at] = number_of[of]
        good &= vessel >= 0
        return np.maximum(vessel, 0), good
