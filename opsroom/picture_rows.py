"""What the derived store publishes beside the nouns of the floor, and how rows are quantised.

Rows are rounded when they are published (1e-7 degrees, 1e-3 m, 1e-3 m/s, covariances to 6 digits), so that
"identical after a rebuild" is equality of bytes.
"""

from __future__ import annotations

import functools
import typing
from typing import TypeVar

import msgspec

from birddog.directory import OPEN
from birddog.model import TimeSource
from tracking.budget import AlertBudget

Row = TypeVar("Row", bound=msgspec.Struct)


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
            changes[field] = float(f"{value:.6g}") if decimals is None else round(value, decimals) + 0.0
    return msgspec.structs.replace(row, **changes) if changes else row
