"""One TOML file, typed: unknown keys are refused with file, line and the nearest right key.

The floor knows no section by name: the top hands in the struct of the whole file, whose fields are
the sections (a struct, or a tuple of structs for ``[[name]]``), each the ``Settings`` of its owner.
"""

from __future__ import annotations

import difflib
import math
import re
import stat
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from birddog.errors import ConfigError, UsageError

T = TypeVar("T", bound=msgspec.Struct)
#: The longest text that a value may be: no path, name or topic is longer.
MOST_TEXT = 4096


def load(path: Path, whole: type[T]) -> T:
    """Read a TOML file into its struct.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or holds an unknown or wrong key; the
            message names file, line, key and what was expected.
    """
    return loads(read(path), whole, file=str(path))


def read(path: Path) -> str:
    """The text of a TOML file, without a byte-order mark.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError("is not UTF-8", file=str(path), line=line) from error


def loads(text: str, whole: type[T], *, file: str) -> T:
    """``load`` from text; ``file`` leads the messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        said = re.sub(r" \(at .*\)$", "", str(error))
        line = int(found[1]) if found else max(1, len(text.splitlines()))
        raise ConfigError(f"{said}, {f'column {found[2]}' if found else 'at the end'}", file=file, line=line) from error
    except RecursionError as error:
        raise ConfigError("nested too deeply", file=file) from error
    except ValueError as error:  # a number of more digits than the interpreter converts
        raise ConfigError("holds a number that is too long", file=file) from error
    _refuse_unknown(data, whole, (), text, file, _sections(whole))
    _refuse_odd(data, (), text, file)
    try:
        return msgspec.convert(data, whole)
    except msgspec.ValidationError as error:
        path, said = _wrong(data, whole, ()) or ((), str(error))
        raise ConfigError(said, file=file, line=line_of(text, path), field=_written(path)) from error


def placed(error: UsageError, text: str, *, file: str) -> UsageError:
    """What the owner of a section found wrong with a value, with the file and the line on which it stands.

    Owners name what they mean as ``endpoint.port``, ``tcp 'trackers'.format`` (the row of that name),
    ``modbus 'yard'.units unit 3.poll_s`` (the row whose ``unit`` is 3) or ``forecast.looks.wake_tag.cost``.
    """
    found = re.match(r"(\w+)(?: '([^']*)')?(?:\.(\w+))?(?: unit (-?\d+))?(?:\.(\w+))?(?:\.(\w+))?", error.field or "")
    if error.file is not None or found is None:
        return error
    section, name, key, unit, inner, innermost = found.groups()
    path: tuple[str | int, ...] = (section,)
    try:
        rows = tomllib.loads(text).get(section)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return error
    if name is not None and isinstance(rows, list):
        index = next((i for i, row in enumerate(rows) if row.get("name") == name), None)
        if index is None:
            return error
        path += (index,)
        if key == "units" and unit is not None:
            units = [row.get("unit") for row in rows[index].get("units", ())]
            path += (key, units.index(int(unit))) if int(unit) in units else ()
            key = inner
        inner = None
    if rows is None:
        return error
    line = line_of(text, (*path, *(part for part in (key, inner, innermost) if part)))
    return type(error)(error.message, file=file, line=line, field=error.field)


def read_secret(path: Path, *, setting: str) -> str:
    """A secret from a file that nobody else can read.

    Raises:
        ConfigError: it cannot be read, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}", field=setting)
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", field=setting) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8", field=setting) from error


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which a key stands, e.g. ``("tcp", 1, "port")``; None if it is not found."""
    best: int | None = None
    here: tuple[str | int, ...] = ()
    counts: dict[tuple[str | int, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[(\[)?\s*([^\]]+?)\s*\]\]?", line)
        if header:
            names = tuple(part.strip().strip("\"'") for part in header.group(2).split("."))
            prefix: tuple[str | int, ...] = ()
            for name in names[:-1]:
                prefix += (name,)
                if prefix in counts:
                    prefix += (counts[prefix] - 1,)
            here = (*prefix, names[-1])
            if header.group(1):
                counts[here] = counts.get(here, 0) + 1
                here = (*here, counts[here] - 1)
            if here == path[: len(here)] or (best is None and here[: len(path)] == path):
                best = number
        else:
            key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if not key:
                continue
            names = tuple(part.strip("\"'") for part in key.group(1).split("."))
            if (*here, *names) == path[: len(here) + len(names)]:
                return number
    return best


def _sections(whole: type[msgspec.Struct]) -> dict[str, set[str]]:
    """``[name]`` or ``[[name]]`` -> the keys of the struct that it is."""
    found = {}
    for field in msgspec.structs.fields(whole):
        many = typing.get_origin(field.type) in (tuple, list)
        struct = _struct_of(typing.get_args(field.type)[0] if many else field.type)
        if struct is not None:
            keys = {inner.encode_name for inner in msgspec.structs.fields(struct)}
            found[f"[[{field.encode_name}]]" if many else f"[{field.encode_name}]"] = keys
    return found


def _refuse_unknown(data: Any, kind: Any, path: tuple[str | int, ...], text: str, file: str,
                    sections: dict[str, set[str]]) -> None:
    for key, value, inner in _inside(data, kind):
        _refuse_unknown(value, inner, (*path, key), text, file, sections)
    struct = _struct_of(kind)
    if struct is None or not isinstance(data, dict):
        return
    known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    for key in data:
        here = (*path, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            homes = [name for name, keys in sections.items() if key in keys]
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
            if homes and not difflib.get_close_matches(key, known, n=1, cutoff=0.75):
                hint = f"it belongs in {' or '.join(homes)}"
            raise ConfigError(f"no such key; {hint}", file=file, line=line_of(text, here), field=_written(here))


def _refuse_odd(data: Any, path: tuple[str | int, ...], text: str, file: str) -> None:
    # TOML has nan, inf and every character; nothing that we set is any of those, and JSON and file names cannot say them
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            _refuse_odd(value, (*path, key), text, file)
    elif isinstance(data, str) and (len(data) > MOST_TEXT or not data.isprintable()):
        raise ConfigError(f"Expected printable text of at most {MOST_TEXT} characters", file=file, line=line_of(text, path),
                          field=_written(path))
    elif isinstance(data, float) and not math.isfinite(data) or isinstance(data, int) and not -(2**63) <= data < 2**63:
        raise ConfigError("Expected a finite number of 64 bits", file=file, line=line_of(text, path), field=_written(path))


def _wrong(data: Any, kind: Any, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str] | None:
    """(path, words) of the innermost value that is not of its type; None where all are."""
    try:
        msgspec.convert(data, kind)
        return None
    except msgspec.ValidationError as error:
        said = str(error).partition(" - at `$")[0]
    for key, value, inner in _inside(data, kind):
        found = _wrong(value, inner, (*path, key))
        if found is not None:
            return found
    if said.startswith("Expected `array`") and isinstance(data, dict) and len(path) == 1:
        said = f"Expected a list of tables: write [[{path[0]}]]"
    elif said.startswith("Expected `object") and isinstance(data, list) and len(path) == 1:
        said = f"Expected one table: write [{path[0]}]"
    elif choices := _choices(kind):
        shown = repr(data[:40] + "…" if isinstance(data, str) and len(data) > 40 else data)[:60]
        said = f"Expected {' or '.join(map(repr, choices))}, got {shown}"
    return path, said


def _choices(kind: Any) -> list[Any]:
    """The values of a Literal, or of one that may be left out."""
    return [choice for part in (kind, *typing.get_args(kind)) if typing.get_origin(part) is typing.Literal
            for choice in typing.get_args(part)]


def _inside(data: Any, kind: Any) -> list[tuple[str | int, Any, Any]]:
    """(key or index, value, its type) of what lies in a value of this type, as far as the value is of its form."""
    struct = _struct_of(kind)
    if struct is not None:
        types_ = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        return [(k, v, types_[k]) for k, v in data.items() if k in types_] if isinstance(data, dict) else []
    for part in (kind, *typing.get_args(kind)):
        origin, inner = typing.get_origin(part), typing.get_args(part)
        if origin is dict and isinstance(data, dict):
            return [(k, v, inner[1]) for k, v in data.items()]
        if origin in (tuple, list) and isinstance(data, list):
            return [(i, v, inner[0]) for i, v in enumerate(data)]
    return []


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is, or that it may be (``Settings | None``)."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    for part in typing.get_args(kind) if union else (kind,):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _written(path: tuple[str | int, ...]) -> str:
    out = ""
    for part in path:
        out += f"[{part + 1}]" if isinstance(part, int) else (f".{part}" if out else part)
    return out
