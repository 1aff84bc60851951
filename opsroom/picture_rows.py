"""What the derived store publishes beside the nouns of the floor, and how rows are quantised.

Rows are rounded when they are published (1e-7 degrees, 1e-3 m, 1e-3 m/s, covariances to 6 digits), so that
"identical after a rebuild" is equality of bytes.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from birddog.directory import OPEN
from birddog.model import TimeSource

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


class FlagRow(msgspec.Struct, frozen=True, kw_only=True):
    """An imagery flag as published; ``dark`` = near no reporting track when it was seen.

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


def quantised(row: Row) -> Row:
    """A row as it is published: positions to 1e-7 degrees, speeds to 1e-3 m/s, covariances to 6 digits."""
    changes = {}
    for field in row.__struct_fields__:
        value = getattr(row, field)
        if not isinstance(value, float):
            continue
        if field.endswith(("lat_deg", "lon_deg")):
            changes[field] = round(value, 7) + 0.0
        elif field.startswith("p_") or field in ("nis", "score", "pfa"):
            changes[field] = float(f"{value:.6g}")
        else:
            changes[field] = round(value, 3) + 0.0
    return msgspec.structs.replace(row, **changes) if changes else row
