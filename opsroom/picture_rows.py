"""What the derived store publishes beside the nouns of the floor, and how rows are quantised.

Rows are rounded when they are published (1e-7 degrees, 1e-3 m, 1e-3 m/s, covariances to 6 digits), so that
"identical after a rebuild" is equality of bytes.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from birddog.directory import OPEN
from birddog.model import TimeSource
from tracking.budget import AlertBudget

Row = TypeVar("Row", bound=msgspec.Struct)

#: Fewer rows than this are rounded each by itself; of more so many at once, which a processor's cache holds.
_FEW, LOT = 60, 500
#: What is nearer to the middle between two decimals is rounded by itself, and so is what is so large that its product with a
#: power of ten is not exact to a ten thousandth.
_MIDDLE, _LARGE = 0.4999, 1e11
#: A float has the powers of ten up to this one to the last digit.
_TENS = 22


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one sender refused for one reason, counted; never a position.  ``operation`` "": nobody's."""

    refused_id: str
    source: str
    device: str
    format: str
    reason: str
    detail: str
    count: int
    first_ns: int
    last_ns: int
    operation: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The alert budget as the fold has it, and where each operation's rules stand by it."""

    alerts: AlertBudget = AlertBudget()
    thresholds: dict[str, dict[str, float]] = {}


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was attached and not heard since, as the fold has it: there is no track that could say so.

    ``interval_s``: how often it is expected to report.  ``refused``: its messages come in and are refused for want of a
    warrant, and which; "": none came.
    """

    operation: str
    device: str
    shipment: str
    interval_s: float
    refused: str = ""


class FlagRow(msgspec.Struct, frozen=True, kw_only=True):
    """An imagery flag as published: of ``model.Flag`` what the page shows, of its look where, when and by what, and what the
    fold knows of it, ``dark``: near no reporting track when it was seen.

    A row of its own, flat as every row is, so that quantising and comparing it is that of all rows; pixels, covariance and
    the picture stay in the entry.
    ``time_source`` is ``server`` where ``time_ns`` is a guess; ``time_by`` says where it stands.
    """

    flag_id: str
    scan_id: str
    scene_sha256: str
    scene_name: str
    sensor: str
    time_ns: int
    detector: str
    score: float
    pfa: float
    lat_deg: float | None
    lon_deg: float | None
    length_m: float | None
    truncated: bool
    dark: bool
    time_source: TimeSource = "device"
    time_by: str = ""
    operation: str = OPEN


@functools.cache
def _decimals(kind: type[msgspec.Struct]) -> tuple[tuple[str, int | None], ...]:
    """The fields of a kind of row that may be numbers with a fraction: to how many decimals, None: to 6 digits."""
    out: list[tuple[str, int | None]] = []
    for field in msgspec.structs.fields(kind):
        if field.type is float or float in typing.get_args(field.type):
            six = field.name.startswith("p_") or field.name in ("nis", "score", "pfa")
            out.append((field.name, 7 if field.name.endswith(("lat_deg", "lon_deg")) else None if six else 3))
    return tuple(out)


def quantised(row: Row) -> Row:
    """A row as it is published: positions to 1e-7 degrees, speeds to 1e-3 m/s, covariances to 6 digits."""
    changes = {}
    for field, decimals in _decimals(type(row)):
        value = getattr(row, field)
        if type(value) is float:
            changes[field] = _rounded(value, decimals)
    return msgspec.structs.replace(row, **changes) if changes else row


def quantised_all(rows: Sequence[Row]) -> list[Row]:
    """``quantised`` of rows of one kind, in NumPy where they are many: a quarter of the time, the same digits."""
    if len(rows) < _FEW:
        return [quantised(row) for row in rows]
    out: list[Row] = []
    for at in range(0, len(rows), LOT):
        out += _lot_quantised(rows[at : at + LOT])
    return out


def _lot_quantised(rows: Sequence[Row]) -> list[Row]:
    """The same of as many as a cache holds; by position where that can be: by name costs more than all the rest."""
    kind = type(rows[0])
    columns: list[Sequence[Any]] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
    alike: dict[int | None, list[tuple[int, bool]]] = {}
    for field, decimals in _decimals(kind):
        at = kind.__struct_fields__.index(field)
        kinds = set(map(type, columns[at]))
        if float in kinds:
            alike.setdefault(decimals, []).append((at, len(kinds) == 1))
    for decimals, some in alike.items():
        for (at, whole), told in zip(some, _all_rounded([columns[at] for at, _ in some], decimals), strict=True):
            columns[at] = told if whole else [
                one if type(value) is float else value for one, value in zip(told, columns[at], strict=True)
            ]  # fmt: skip
    if _by_position(kind):
        return list(itertools.starmap(kind, zip(*columns, strict=True)))
    return [kind(**dict(zip(kind.__struct_fields__, values, strict=True))) for values in zip(*columns, strict=True)]


@functools.cache
def _by_position(kind: type[msgspec.Struct]) -> bool:
    """Whether a kind of row is made of its fields in their order, without their names."""
    return all(one.kind is not one.KEYWORD_ONLY for one in inspect.signature(kind).parameters.values())


def _rounded(value: float, decimals: int | None) -> float:
    return float(f"{value:.6g}") if decimals is None else round(value, decimals) + 0.0


def _all_rounded(columns: Sequence[Sequence[float | None]], decimals: int | None) -> list[list[float]]:
    """``_rounded`` of each number of some columns.

    A whole number and a power of ten that are both exact give by one operation the float next to the decimal that they make
    (IEEE 754), which is the one that Python reads of its digits.  Whether it is the right whole number is sure unless the
    product lies next to the middle of two; those, and what is not finite, are rounded one by one.
    """
    import numpy as np  # who only reads rows does without

    values, tens = np.array(columns, np.float64), 10.0 ** np.arange(_TENS + 1)
    with np.errstate(all="ignore"):
        if decimals is None:
            size = np.abs(values)
            power = 5.0 - np.floor(np.log10(size))
            power[np.isnan(power)] = 0.0
            up, down = (tens[np.clip(some, 0, _TENS).astype(np.int64)] for some in (power, -power))
            scaled = values * up / down
            whole, digits = np.rint(scaled), np.abs(scaled)
            told, nothing = whole * down / up, size == 0.0
            told[nothing] = values[nothing]
            sure = nothing | ((digits >= 1e5) & (digits < 1e6) & (np.abs(power) <= _TENS))
        else:
            scaled = values * tens[decimals]
            whole = np.rint(scaled)
            told, sure = whole / tens[decimals] + 0.0, np.abs(scaled) < _LARGE
        sure &= np.abs(scaled - whole) < _MIDDLE
    for at in np.argwhere(~(sure | np.isnan(values))).tolist():
        told[*at] = _rounded(float(values[*at]), decimals)
    out: list[list[float]] = told.tolist()
    return out
