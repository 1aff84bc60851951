"""What several commands share: the --journal option, times, tables."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from birddog.errors import UsageError, printable

DEFAULT_JOURNAL = "sqlite:///birddog.db"


def journal_option(parser: argparse.ArgumentParser) -> None:
    """``--journal URL``."""
    parser.add_argument("--journal", metavar="URL", default=DEFAULT_JOURNAL,
                        help=f"sqlite:///relative or sqlite:////absolute path (default {DEFAULT_JOURNAL})")


def actor_option(parser: argparse.ArgumentParser) -> None:
    """``--actor NAME``."""
    parser.add_argument("--actor", metavar="NAME", default="", help="who enters this (default: this system's user)")


def asking_options(parser: argparse.ArgumentParser, columns: str) -> None:
    """What every question about the future is asked with; ``columns`` are those of its ``--at``."""
    parser.add_argument("--archive", required=True, metavar="PATH",
                        help="an archive (birddog archive build), or CSV id,t,lat,lon")
    parser.add_argument("--tracks", required=True, metavar="FILE", help="CSV id,t,lat,lon: the fixes of what is asked for")
    parser.add_argument("--at", required=True, metavar="FILE", help=f"CSV {columns}: one row a question")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def json_option(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def time_ns(text: str, option: str) -> int:
    """A time given on the command line: ISO 8601 with an offset, or POSIX seconds.

    Raises:
        UsageError: it is neither, or has no zone.
    """
    from birddog.units import ns_from_text

    try:
        return ns_from_text(text)
    except ValueError as error:
        raise UsageError(str(error), field=option) from error


def json_file(name: str) -> Any:
    """The one JSON value of a file.

    Raises:
        UsageError: it cannot be read, is no JSON (with line and column), or holds a key twice, NaN or a number beyond a float.
    """
    return _json(text_file(name, "JSON"), name)


def json_list(name: str) -> tuple[Any, dict[int, int]]:
    """``json_file``, and of a list the line on which each value begins, by its place; read once, for it may be a pipe."""
    text = text_file(name, "JSON")
    value = _json(text, name)
    return value, _lines(text) if type(value) is list else {}


def text_file(name: str, what: str) -> str:
    """The whole text of a file.

    Args:
        what: it holds, as it is said where it is no text ("TOML").

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        with open(name, encoding="utf-8-sig") as source:
            return source.read()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=name) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"is no {what}: not UTF-8 at byte {error.start}", file=name) from error


def _json(text: str, name: str) -> Any:
    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text} is no finite number")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"a key stands twice in one object, {key[:60]!r}")
            found[key] = value
        return found

    decoder = json.JSONDecoder(parse_constant=finite, parse_float=finite, object_pairs_hook=unique)
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"is no JSON: {error.msg}, column {error.colno}", file=name, line=error.lineno) from error
    except RecursionError as error:
        raise UsageError("is no JSON that can be read: nested too deeply", file=name) from error
    except ValueError as error:
        raise UsageError(f"is no JSON: {error}", file=name, line=_line_of_wrong(text, decoder)) from error


def _line_of_wrong(text: str, decoder: json.JSONDecoder) -> int:
    """The line on which the first value of a list begins that a decoder does not take; the first, where it is no list."""
    lines = [1]
    if text.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError):  # the last line that was reached is that of the value that is wrong
            lines.extend(_begins(text, decoder))
    return lines[-1]


def _lines(text: str) -> dict[int, int]:
    """The line on which each value of a list begins, of text that is one."""
    return dict(enumerate(_begins(text, json.JSONDecoder())))


def _begins(text: str, decoder: json.JSONDecoder) -> Iterator[int]:
    at = _past_space(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[at : at + 1] not in ("]", ""):
        line, counted = line + text.count("\n", counted, at), at
        yield line
        at = _past_space(text, decoder.raw_decode(text, at)[1])
        if text[at : at + 1] == ",":
            at = _past_space(text, at + 1)


def _past_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n") and at < len(text):
        at += 1
    return at


def name_of(text: str, field: str) -> str:
    """A name or identity as given, checked: it is printed, exported and drawn later.

    Raises:
        UsageError: it holds a line break or another character that cannot be seen, or begins or ends in a space.
    """
    if not text.isprintable() or text != text.strip():
        raise UsageError("wants printable characters, and none of them a space at either end", field=field)
    return text


#: What JSON lets stand in a text and some reader takes for the end of a line, a terminal for a command, UTF-8 for an error.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def json_line(value: Any) -> str:
    """One line of strict JSON, by whatever rule its reader ends lines."""
    text = _ENCODER.encode(value)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) if _ESCAPED.search(text) else text


def print_json(value: Any) -> None:
    """One line of strict JSON."""
    print(json_line(value))


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns padded to their widest cell; control characters are shown escaped."""
    cells = [[printable("" if c is None else str(c)) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    for row in [list(head), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextlib.contextmanager
def result_file(name: str | None) -> Iterator[TextIO]:
    """Where results go: ``--out FILE`` (UTF-8, lines end in LF), or stdout where none is named; flushed at the end.

    Raises:
        UsageError: the file cannot be written.
    """
    if name is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with open(name, "w", encoding="utf-8", newline="\n") as out:
            yield out
    except OSError as error:
        if error.filename not in (None, name):
            raise
        raise UsageError(f"cannot be written: {error.strerror}", file=name) from error


def say(text: str) -> None:
    """Words for the person: stderr, one line, whatever is in them (a file's name, a device's).

    Where nobody reads them any more the work goes on: a run does not end with its log.
    """
    with contextlib.suppress(OSError):
        print(printable(text), file=sys.stderr, flush=True)
