"""CSV files of people and programs: columns by name in any order, and a bad row refused with its line number.

RFC 4180, UTF-8 (a byte-order mark is let pass).  A row with a byte that is none, or with a quote that is not closed where it
should be, is refused, and the next begins with the next line: what a quote swallows is no row's value.  A file whose header is
that of an AIS archive (``devices.archives``: MarineCadastre, the Danish Maritime Authority ...) is read as if it had track_id,
t, lat, lon, sog_mps, cog_deg, sigma_m; its times without a zone are UTC where the archive's own words say so.
A missing column is the caller's error and ends the
command; a row whose required value is missing, no number or not finite is said on stderr and left out.  An optional value
that cannot be read is taken as not given: the first few are said, then how many more there were.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from birddog.errors import UsageError
from birddog.units import NS, ns_from_text
from devices import archives
from devices.places import accuracy
from opsroom.commands.common import say

#: Characters of the longest value: a column that nobody asks for may hold a whole geometry.
MOST_FIELD = 1 << 26
#: Optional values of a column that are said one by one.
MOST_SAID = 3
#: Lines that are read again behind rows that are no CSV; a file of nothing else would be read again from each of its lines.
LINES_AGAIN = 1_000_000
_SURROGATE = re.compile("[\udc80-\udcff]")


def rows(
    path: str, required: tuple[str, ...], *, either: tuple[tuple[str, ...], ...] = ()
) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """(columns, (line number, row) …) of a file.

    Args:
        required: columns that must be there.
        either: groups of columns of which one must be there whole.

    Raises:
        UsageError: the file cannot be read, its header is not UTF-8, or lacks a column.
    """
    try:
        # a byte that is no UTF-8 is kept as a surrogate, by which its row is known
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
            text = source.read()
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None
    csv.field_size_limit(MOST_FIELD)
    try:
        columns = next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (StopIteration, csv.Error):
        raise UsageError("empty: a header row was expected", file=path, line=1) from None
    if _odd_byte(columns) is not None:
        raise UsageError("not UTF-8", file=path, line=1)
    if not set(required) <= set(columns) and set(required) <= set(_ARCHIVE):
        table = _table(text)
        if table is not None and (table.zone or table.ais) and "device" in table.places:
            return list(_ARCHIVE), _archive_rows(text, table, path)
    for name in required:
        if name not in columns:
            raise UsageError(f"no such column; expected {', '.join(required)}", file=path, line=1, field=name)
    for name in {*required, *(name for group in either for name in group)}:
        if columns.count(name) > 1:
            raise UsageError("two columns are called so", file=path, line=1, field=name)
    if either and not any(all(name in columns for name in group) for group in either):
        wanted = " or ".join(", ".join(group) for group in either)
        raise UsageError(f"columns missing: {wanted}", file=path, line=1)

    return columns, ((line, dict(zip(columns, values, strict=False))) for line, values in _records(path, text, columns, ","))


def _records(path: str, text: str, columns: list[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line of its end, values) of each row below the header; one that is no CSV or no UTF-8 is refused, with line and field.

    A row of several lines is one where it is CSV and has a value for each column; else its first line is refused, and the next
    row begins with the next line.
    """
    lines: list[str] = []
    source, before, again = io.StringIO(text, newline=""), 0, 0
    reader = csv.reader(source, strict=True, delimiter=separator)
    while True:
        began, why = before + reader.line_num, ""
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            values, why = [], str(error)
        ended = before + reader.line_num
        if not began and not why:
            continue  # the header
        if not why and ended > began + 1 and len(values) != len(columns):
            why = "a quote that is not closed in its line"
        if why:
            lines = lines or list(io.StringIO(text, newline=""))
            again += ended - began
            if again > LINES_AGAIN:
                raise UsageError(f"not CSV: {why}", file=path, line=began + 1)
            refused(path, began + 1, _called(columns, _unquoted(lines[began], separator)), f"not CSV: {why}")
            before = began + 1
            reader = csv.reader((lines[k] for k in range(before, len(lines))), strict=True, delimiter=separator)
        elif (odd := _odd_byte(values)) is not None:
            byte = next(c for c in values[odd] if "\udc80" <= c <= "\udcff")
            refused(path, ended, _called(columns, odd), f"not UTF-8: byte 0x{ord(byte) - 0xDC00:02x}")
        elif values:
            yield ended, values


def _odd_byte(values: list[str]) -> int | None:
    """Which of some values holds a byte that is no UTF-8."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return next(k for k, value in enumerate(values) if _SURROGATE.search(value))
    return None


def _unquoted(line: str, separator: str) -> int:
    """In which field of a line the quotes are wrong: the first that is not whole."""
    field = re.compile(rf'(?:"(?:[^"]|"")*"|(?!")[^{re.escape(separator)}]*){re.escape(separator)}')
    k = at = 0
    while (found := field.match(line, at)) is not None:
        k, at = k + 1, found.end()
    return k


def _called(columns: list[str], k: int) -> str:
    return columns[k] if k < len(columns) else f"column {k + 1}"


#: What a row of an archive has, under our names.
_ARCHIVE = ("track_id", "t", "lat", "lon", "sog_mps", "cog_deg", "sigma_m")


def _table(text: str) -> archives.Table | None:
    """What the header of an archive means; None where it is none's."""
    head = text.splitlines()[:1]
    try:
        return archives.table(lambda separator: next(csv.reader(head, delimiter=separator)))[0]
    except csv.Error:
        return None


def _archive_rows(text: str, table: archives.Table, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row under our names) of an archive; a value that cannot be read stays as it is, and is refused as any."""
    called = next(csv.reader(text.splitlines()[:1], delimiter=table.separator))
    for line, values in _records(path, text, called, table.separator):
        said = {what: values[place].strip() for what, place in table.places.items() if place < len(values)}
        numbers = {what: table.number(word) for what, word in said.items() if what not in ("device", "time", "name")}
        row = {ours: said.get(what, "") for ours, what in zip(_ARCHIVE, ("device", "time", "lat", "lon"), strict=False)}
        with contextlib.suppress(ValueError):
            time_ns = table.time_ns(row["t"])
            row["t"] = f"{time_ns // NS}.{time_ns % NS:09d}" if time_ns >= 0 else row["t"]
        course = numbers.get("course")
        sigma_m = numbers.get("sigma") if said.get("sigma") else accuracy(said.get("accuracy") or None)[0]
        speed_mps = None if numbers.get("knots") == archives.NO_SPEED_KN else archives.speed_mps(numbers)
        if table.ais and course == archives.NO_COURSE_DEG:
            course = None
        for name, value in (("lat", numbers.get("lat")), ("lon", numbers.get("lon")), ("sog_mps", speed_mps),
                            ("cog_deg", course), ("sigma_m", sigma_m)):
            if value is not None:
                row[name] = repr(value)
        yield line, row


def refused(path: str, line: int, field: str, why: str) -> None:
    """Say which row is left out, and why."""
    say(f"{path}:{line}: {field}: {why}; row left out")


def number(text: str | None) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    if text is None or text.strip() == "":
        raise ValueError("missing")
    try:
        # float() takes digits of every script and underscores too
        value = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"{text[:40]!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is not finite")
    return value


def time_ns(text: str | None) -> int:
    """ISO 8601 with an offset, or POSIX seconds.

    Raises:
        ValueError: it is neither.
    """
    if text is None or text.strip() == "":
        raise ValueError("missing")
    return ns_from_text(text)


def word(text: str | None) -> str:
    """A text that is there, perhaps empty."""
    if text is None:
        raise ValueError("missing")
    return text


def taken(
    path: str, line: int, row: dict[str, str], wanted: Mapping[str, Callable[[str | None], Any]]
) -> dict[str, Any] | None:
    """The wanted values of a row by their readers; None, and a word on stderr, where a required one cannot be read."""
    out = {}
    for name, read in wanted.items():
        try:
            out[name] = read(row.get(name))
        except ValueError as error:
            if not isinstance(read, Optional):
                refused(path, line, name, str(error))
                return None
            out[name] = None
            read.bad += 1
            if read.bad <= MOST_SAID:
                say(f"{path}:{line}: {name}: {error}; taken as not given")
    return out


def told(path: str, wanted: Mapping[str, Callable[[str | None], Any]]) -> None:
    """At the end of a file: how many more optional values of a column could not be read than were said."""
    for name, read in wanted.items():
        if isinstance(read, Optional) and read.bad > MOST_SAID:
            say(f"{path}: {name}: {read.bad - MOST_SAID} more such values taken as not given")


class Optional:
    """The same reader for a value that need not be there: None for an empty or absent one.

    ``taken`` takes one that cannot be read as not given, and counts it here: one for each column of a file.
    """

    def __init__(self, read: Callable[[str | None], Any]):
        self._read = read
        self.bad = 0

    def __call__(self, text: str | None) -> Any:
        return None if text is None or text.strip() == "" else self._read(text)


def write(path: str | None, text: str) -> None:
    """To a file, or stdout where none is named.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8", newline="") as out:
            out.write(text)
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, "CSV injection"): with an apostrophe in front where it would."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def quoted(text: str) -> str:
    """A CSV value, in quotes where it must be."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
