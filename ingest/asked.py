"""What may stand in an entry that somebody asks for: every field looked at before anything is written.

What is written stands for ever, and everything that reads the journal reads it: a NaN, a name of nothing, a line break in a
name or a field that nobody knows is refused at the socket, in one line that names the field.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from birddog import validated
from birddog.areas import area_of
from birddog.directory import OPEN
from birddog.errors import BirddogError
from birddog.geo import valid_position
from birddog.model import Attachment, Operation, Passersby, Scan, UsedWays, Validation, Zone
from birddog.passersby import HOURS_LEAST, HOURS_MOST

#: Characters of a name that must be there (a device, an operation), and of any other text.
NAME_MOST, TEXT_MOST = 500, 4000
#: Rows of a list: the sightings of a scene, the vertices of a coast.
LIST_MOST = 100_000
#: Cells of a table of used ways (``birddog.model.UsedWays``).
WAYS_MOST = 50_000
#: Whole numbers that SQLite and every reader of ours can hold.
_WHOLE_MOST = 2**63 - 1
#: Whole documents that an entry carries as text, with their lines: a warrant, the rules that it is under, a note's signature.
DOCUMENTS, DOCUMENT_MOST = frozenset({"said", "pack", "signature"}), 4_000_000
_SHARES = frozenset({"pd", "probability", "pfa"})
_NOT_NEGATIVE = ("_m", "_s", "_px", "_km2")


class Wrong(ValueError):
    """A field that may not stand so; the words begin with its name."""


def check(body: msgspec.Struct, said: Any) -> None:
    """Look at every field of a body.

    Args:
        said: the same body as plain lists and dicts, as it came: it may hold what the struct has no field for.

    Raises:
        Wrong: one may not stand so.
    """
    _struct(body, said, "")
    match body:
        case Operation():
            if body.operation == OPEN:
                raise Wrong(f"operation: {OPEN!r} is what belongs to no case, and no case")
            if body.area:
                _ring(body.area, "area")
            for n, zone in enumerate(body.zones):
                _zone(zone, f"zones[{n}]")
        case Attachment():
            if body.operation == OPEN:
                raise Wrong(f"operation: {OPEN!r} is what belongs to no case: nothing is attached there")
        case UsedWays():
            _ways(body)
        case Passersby() if body.hours and not HOURS_LEAST <= body.hours <= HOURS_MOST:
            raise Wrong(f"hours: {body.hours}; from {HOURS_LEAST} to {HOURS_MOST} may stand there, or 0")
        case Scan():
            for n, (lon, lat) in enumerate(body.footprint):
                _position(lat, lon, f"footprint[{n}]")
        case Validation() if body.said:
            try:
                validated.checked(body)
            except BirddogError as error:
                raise Wrong(f"said: {error}") from error
    since, until = getattr(body, "from_ns", None), getattr(body, "to_ns", None)
    if since is not None and until is not None and until < since:
        raise Wrong("to_ns: lies before from_ns")


def text(words: str, name: str, *, most: int = TEXT_MOST, empty: bool = True) -> None:
    """Look at one text.

    Raises:
        Wrong: it may not stand so.
    """
    if len(words) > most:
        raise Wrong(f"{name}: {len(words)} characters, at most {most} may stand there")
    if not words.isprintable():
        raise Wrong(f"{name}: a line break, or another character that cannot be seen")
    if not empty and not words.strip():
        raise Wrong(f"{name}: says nothing")


def _struct(body: msgspec.Struct, said: Any, at: str) -> None:
    fields = msgspec.structs.fields(body)
    if isinstance(said, dict):
        known = {field.encode_name for field in fields} | {body.__struct_config__.tag_field}
        unknown = [str(name) for name in said if name not in known]
        if unknown:
            raise Wrong(f"{at}{unknown[0][:40]!r}: no such field")
    for field in fields:
        inside = said.get(field.encode_name) if isinstance(said, dict) else None
        _value(getattr(body, field.name), inside, at + field.name, field.name, must=field.required)
    lat, lon = getattr(body, "lat_deg", None), getattr(body, "lon_deg", None)
    if lat is not None and lon is not None:
        _position(lat, lon, f"{at}lat_deg, {at}lon_deg")


def _value(value: Any, said: Any, at: str, name: str, *, must: bool = False) -> None:
    match value:
        case str() if name in DOCUMENTS:
            if len(value) > DOCUMENT_MOST:
                raise Wrong(f"{at}: {len(value)} characters, at most {DOCUMENT_MOST} may stand there")
        case str():
            text(value, at, most=NAME_MOST if must else TEXT_MOST, empty=not must)
        case bool() | None | bytes():
            pass
        case int():
            if not -_WHOLE_MOST <= value <= _WHOLE_MOST:
                raise Wrong(f"{at}: {value} is no number that may stand there")
        case float():
            _number(value, at, name)
        case msgspec.Struct():
            _struct(value, said, at + ".")
        case dict():
            if len(value) > LIST_MOST:
                raise Wrong(f"{at}: {len(value)} values, at most {LIST_MOST} may stand there")
            for key, one in value.items():
                _value(key, None, f"{at}[{str(key)[:40]!r}]", "")
                _value(one, None, f"{at}[{str(key)[:40]!r}]", "")
        case list() | tuple():
            if len(value) > LIST_MOST:
                raise Wrong(f"{at}: {len(value)} rows, at most {LIST_MOST} may stand there")
            rows = said if isinstance(said, list) and len(said) == len(value) else [None] * len(value)
            for n, (one, row) in enumerate(zip(value, rows, strict=True)):
                _value(one, row, f"{at}[{n}]", name)


def _number(value: float, at: str, name: str) -> None:
    if not math.isfinite(value):
        raise Wrong(f"{at}: {value} is no finite number")
    if name in _SHARES and not 0.0 <= value <= 1.0:
        raise Wrong(f"{at}: {value} is no share from 0 to 1")
    if name.endswith(_NOT_NEGATIVE) and value < 0.0:
        raise Wrong(f"{at}: {value} is less than nothing")


def _position(lat: float, lon: float, at: str) -> None:
    if not valid_position(lat, (lon + 180.0) % 360.0 - 180.0 if -360.0 <= lon <= 360.0 else lon):
        raise Wrong(f"{at}: no position on Earth, in degrees")


def _ring(ring: tuple[tuple[float, float], ...], at: str) -> None:
    try:
        area_of({"type": "Polygon", "coordinates": [[list(position) for position in ring]]})
    except ValueError as error:
        raise Wrong(str(error).replace("coordinates[0]", at)) from error


def _ways(body: UsedWays) -> None:
    n = len(body.cells) // 8
    if n > WAYS_MOST or not 100.0 <= body.cell_m <= 100_000.0:
        raise Wrong(f"cells: at most {WAYS_MOST} of 100 to 100000 m may stand there")
    for name, column, width in (("cells", body.cells, 8), ("moved", body.moved, 2), ("stood", body.stood, 2),
                                ("quartile", body.quartile, 2), ("sectors", body.sectors, 8)):
        if len(column) != width * n:
            raise Wrong(f"{name}: {len(column)} bytes, {width * n} were expected for {n} cells")


def _zone(zone: Zone, at: str) -> None:
    if zone.half_width_m != 0.0 and zone.role != "area":
        raise Wrong(f"{at}.half_width_m: a {zone.role} has none")
    if zone.half_width_m == 0.0 and zone.role != "gate":
        _ring(zone.points, f"{at}.points")
        return
    if len(zone.points) < 2:
        raise Wrong(f"{at}.points: a line of at least two positions was expected")
    for n, (lon, lat) in enumerate(zone.points):
        _position(lat, lon, f"{at}.points[{n}]")
