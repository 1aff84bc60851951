"""Positions as CSV: what AIS archives, loggers and spreadsheets export, and what people have at hand.

One header row, then one row a fix, columns by name in any order, unknown columns ignored::

    device , t                    , lat       , lon      , sog_kn , cog_deg , sigma_m LF
    244123 , 2026-11-24T10:00:00Z , 51.951234 , 4.051234 , 7.2    , 271.0   , 10      LF
    ^id      ^ISO 8601 + offset     ^-- WGS 84 degrees --^  ^knots   ^true     ^1 sigma per axis
             or POSIX seconds

Names that are understood: id (``device id track_id mmsi vessel``), time (``t time timestamp``), ``lat
lat_deg latitude``, ``lon lon_deg longitude``, speed (``sog_kn sog`` in knots, ``speed_mps`` in m/s), course
(``cog_deg cog course_deg``), ``sigma_m``, ``alt_m``, ``name``.  Without an id column the transport's device is
meant.  The position 0, 0 is "no fix".  A time with no zone is refused, as is a row whose required value is missing or
not finite; any other value that is no finite number is taken as not given.

Source: RFC 4180 (quotes, line ends); the column names of data exported by AIS archives and of ours.
"""

from __future__ import annotations

import csv
from math import isfinite

from birddog.errors import DeviceError
from birddog.geo import null_island, valid_position
from birddog.model import Fix, Observation, Reading, Reject
from birddog.units import KNOT_MPS, iso_from_ns, ns_from_text
from devices import framing
from devices.codec import Decoded, Message, rejected

VERSION = 3
STREAM = True
#: A longer row is no row.
MAX_ROW = 4096

_NAMES = {
    "device": ("device", "id", "track_id", "mmsi", "vessel"),
    "time": ("t", "time", "timestamp"),
    "lat": ("lat", "lat_deg", "latitude"),
    "lon": ("lon", "lon_deg", "longitude"),
    "knots": ("sog_kn", "sog"),
    "mps": ("speed_mps",),
    "course": ("cog_deg", "cog", "course_deg"),
    "sigma": ("sigma_m",),
    "alt": ("alt_m",),
    "name": ("name", "ship_name", "vessel_name"),
}
_REQUIRED = ("time", "lat", "lon")


def _row(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """Cuts at line ends; a quoted cell may not hold one (no exporter of positions writes any)."""
    end = buffer.find(b"\n", at, at + MAX_ROW) + 1
    if end:
        return end, None
    if len(buffer) - at >= MAX_ROW:
        return at + MAX_ROW, Reject("size", f"a row longer than {MAX_ROW} bytes")
    return (len(buffer), None) if last else (0, None)


class Framer(framing.Framer):
    """One file's framer: whole rows; a row that is too long in pieces, as rubbish."""

    __slots__ = ()
    cut = staticmethod(_row)


class Decoder:
    """Remembers which column is what, and which names were said."""

    __slots__ = ("_columns", "_named", "_row")

    def __init__(self) -> None:
        self._columns: dict[str, int] | None = None
        self._named: dict[str, str] = {}
        self._row = 0

    def decode(self, message: Message) -> Decoded:
        """The header, or one row."""
        self._row += 1
        try:
            text = message.payload.decode("utf-8-sig").rstrip("\r\n")
            if not text.strip():
                return Decoded()
            cells = next(csv.reader([text], strict=True))
            if self._columns is None:
                self._columns = _columns(cells)
                return Decoded()
            return self._fix(cells, message)
        except UnicodeDecodeError:
            return rejected("format", f"row {self._row}: not UTF-8", device=message.device)
        except csv.Error as error:
            return rejected("format", f"row {self._row}: not CSV: {error}", device=message.device)
        except DeviceError as error:
            return rejected(error.reason, f"row {self._row}: {error.detail}", device=message.device)

    def _fix(self, cells: list[str], message: Message) -> Decoded:
        columns = self._columns or {}
        row = {what: cells[i].strip() if i < len(cells) else "" for what, i in columns.items()}
        device = row.get("device") or message.device
        if len(device) > 100 or not device.isprintable():
            raise DeviceError("value", "the id is no printable text of at most 100 characters")
        try:
            time_ns = ns_from_text(row["time"])
        except ValueError as error:
            raise DeviceError("value", f"time: {error}"[:120]) from None
        if not 0 <= time_ns < 2**63:
            raise DeviceError("clock", "the time is before 1970 or beyond 2262")
        lat, lon = _required(row, "lat"), _required(row, "lon")
        if not valid_position(lat, lon):
            raise DeviceError("value", "the position is not in degrees, -90 to 90 and -180 to 180")
        if null_island(lat, lon):
            reading = Reading(device=device, time_ns=time_ns, flags=("no_fix",), quantity="fix_valid", value=False)
            return Decoded(observations=(reading,), device=device if device != message.device else "")
        knots, mps, course, sigma = (_number(row, what) for what in ("knots", "mps", "course", "sigma"))
        speed = mps if mps is not None else None if knots is None else knots * KNOT_MPS
        fix = Fix(
            device=device, time_ns=time_ns, lat_deg=lat, lon_deg=lon, alt_m=_number(row, "alt"),
            speed_mps=speed if speed is not None and speed >= 0.0 else None,
            course_deg=course % 360.0 if course is not None and 0.0 <= course <= 360.0 else None,
            sigma_m=sigma if sigma is not None and sigma > 0.0 else None,
        )
        observations: list[Observation] = [fix]
        name = row.get("name", "")[:60]
        if name and self._named.get(device) != name:
            if len(self._named) < 10_000:
                self._named[device] = name
            observations.append(Reading(device=device, time_ns=time_ns, quantity="ship_name", value=name))
        return Decoded(observations=tuple(observations), device=device if device != message.device else "")


def encode(
    *, device: str, time_ns: int, lat_deg: float, lon_deg: float, speed_mps: float | None = None,
    course_deg: float | None = None, sigma_m: float | None = None, header: bool = True,
) -> bytes:
    """One row, with its header unless the connection has had one."""
    head = b"device,t,lat,lon,speed_mps,cog_deg,sigma_m\r\n" if header else b""
    rest = ",".join("" if value is None else repr(value) for value in (speed_mps, course_deg, sigma_m))
    quoted = '"' + device.replace('"', '""') + '"' if any(c in device for c in ',"') else device
    return head + f"{quoted},{iso_from_ns(time_ns)},{lat_deg:.7f},{lon_deg:.7f},{rest}\r\n".encode()


def _columns(cells: list[str]) -> dict[str, int]:
    names = [cell.strip().lower() for cell in cells]
    found = {}
    for what, known in _NAMES.items():
        place = next((names.index(name) for name in known if name in names), None)
        if place is not None:
            found[what] = place
    missing = [" or ".join(_NAMES[what]) for what in _REQUIRED if what not in found]
    if missing:
        raise DeviceError("format", f"the header has no column {missing[0]}")
    return found


def _required(row: dict[str, str], what: str) -> float:
    if not row.get(what, ""):
        raise DeviceError("value", "the position is missing")
    value = _number(row, what)
    if value is None:
        raise DeviceError("value", f"{what} is no finite number")
    return value


def _number(row: dict[str, str], what: str) -> float | None:
    """A finite number; None where there is none."""
    text = row.get(what, "")
    try:
        value = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) else None
