"""One TOML file, typed: unknown keys are refused with file, line and the nearest right key.

The floor knows no section by name: the top hands in the struct of the whole file, whose fields are
the sections (a struct, or a tuple of structs for ``[[name]]``), each the ``Settings`` of its owner.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from birddog.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def load(path: Path, whole: type[T]) -> T:
    """Read a TOML file into its struct.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or holds an unknown or wrong key; the
            message names file, line, key and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", file=str(path)) from error
    return loads(text, whole, file=str(path))


def loads(text: str, whole: type[T], *, file: str) -> T:
    """``load`` from text; ``file`` leads the messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        said = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(said, file=file, line=int(found.group(1)) if found else None) from error
    _refuse_unknown(data, whole, (), text, file)
    try:
        return msgspec.convert(data, whole)
    except msgspec.ValidationError as error:
        said, _, at = str(error).partition(" - at `$")
        keys = re.findall(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]", at.rstrip("`"))
        path = tuple(name or int(index) for name, index in keys)
        raise ConfigError(said, file=file, line=line_of(text, path), field=_written(path)) from error


def read_secret(path: Path, *, setting: str) -> str:
    """A secret from a file that nobody else can read.

    Raises:
        ConfigError: it cannot be read, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}", field=setting)
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", field=setting) from error


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
            if here == path[: len(here)]:
                best = number
        else:
            key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if not key:
                continue
            names = tuple(part.strip("\"'") for part in key.group(1).split("."))
            if (*here, *names) == path[: len(here) + len(names)]:
                return number
    return best


def _refuse_unknown(data: Any, kind: Any, path: tuple[str | int, ...], text: str, file: str) -> None:
    struct, many = _struct_of(kind)
    if struct is None:
        return
    if many:
        if isinstance(data, list):
            for i, row in enumerate(data):
                _refuse_unknown(row, struct, (*path, i), text, file)
        return
    if not isinstance(data, dict):
        return
    known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in data.items():
        here = (*path, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
            raise ConfigError(f"no such key; {hint}", file=file, line=line_of(text, here), field=_written(here))
        _refuse_unknown(value, known[key], here, text, file)


def _struct_of(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """(the struct inside a type, whether it is a list of them)."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, False
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (tuple, list) and inner:
        return _struct_of(inner[0])[0], True
    if origin in (typing.Union, types.UnionType):
        for part in inner:
            struct, many = _struct_of(part)
            if struct is not None:
                return struct, many
    return None, False


def _written(path: tuple[str | int, ...]) -> str:
    out = ""
    for part in path:
        out += f"[{part + 1}]" if isinstance(part, int) else (f".{part}" if out else part)
    return out
