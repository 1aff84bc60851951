"""Positions as CSV: what AIS archives, loggers and spreadsheets export, and what people have at hand.

One header row, then one row a fix, columns by name in any order, unknown columns ignored::

    device , t                    , lat       , lon      , sog_kn , cog_deg , sigma_m LF
    244123 , 2026-11-24T10:00:00Z , 51.951234 , 4.051234 , 7.2    , 271.0   , 10      LF
    ^id      ^ISO 8601 + offset     ^-- WGS 84 degrees --^  ^knots   ^true     ^1 sigma per axis
             or POSIX seconds, ms, µs

The names that are understood, and the archives (MarineCadastre, the Danish Maritime Authority, GPSLogger ...) whose times have
no zone and are UTC by their own words, are in ``devices.archives``.  Without an id column the transport's device is meant.
The position 0, 0 is "no fix".  A time with no zone is refused, as is a row whose required value is missing or not finite; any
other value that is no finite number is taken as not given.  ``sigma_m`` of 0 or less, and an ``accuracy`` (a 68 % radius) that
cannot be, mean that it is not known: ``low_quality``.

A header that is none is one reject; the rows behind it have no meaning, are not tried one by one, and are counted in ``unread``
as ``row_without_header`` until a header comes.

Source: RFC 4180 (quotes, line ends); of the columns: ``devices.archives``.
"""

from __future__ import annotations

import csv
from typing import Any

from birddog.errors import DeviceError
from birddog.geo import null_island, valid_position
from birddog.model import Fix, Observation, Reading, Reject
from birddog.units import iso_from_ns
from devices import archives, clock, framing
from devices.codec import Decoded, Message, rejected
from devices.places import LOW_QUALITY, accuracy, doubtful

VERSION = 8
STREAM = True
TEXT = True
NAMELESS = True
#: A longer row is no row.
MAX_ROW = 4096


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

    __slots__ = ("_header", "_named", "_refused", "_row", "_table")

    def __init__(self) -> None:
        self._table: archives.Table | None = None
        self._header = ""
        self._refused = False
        self._named: dict[str, str] = {}
        self._row = 0

    def decode(self, message: Message) -> Decoded:
        """The header, or one row."""
        self._row += 1
        try:
            text = message.payload.decode("utf-8-sig").rstrip("\r\n")
            if not text.strip() or text == self._header:
                return Decoded()  # two files in one: the header stands there again
            if self._table is None:
                return self._begin(text)
            return self._fix(_cells(text, self._table.separator), message)
        except UnicodeDecodeError:
            return rejected("format", f"row {self._row}: not UTF-8", device=message.device)
        except csv.Error as error:
            return rejected("format", f"row {self._row}: not CSV: {error}", device=message.device)
        except DeviceError as error:
            return rejected(error.reason, f"row {self._row}: {error.detail}", device=message.device)

    def _begin(self, text: str) -> Decoded:
        wrong: list[csv.Error] = []

        def split(separator: str) -> list[str]:
            try:
                return _cells(text, separator)
            except csv.Error as error:  # quoted names between tabs are no CSV between commas
                wrong.append(error)
                return []

        self._table, missing = archives.table(split)
        if self._table is not None:
            self._header = text
            return Decoded(unread=self._table.unread)
        if self._refused:
            return Decoded(unread=("row_without_header",))
        self._refused = True
        if wrong:
            raise wrong[0]
        raise DeviceError("format", f"the header has no column {missing}; no row is read until one has")

    def _fix(self, cells: list[str], message: Message) -> Decoded:
        table = self._table
        assert table is not None
        row = {what: cells[i].strip() if i < len(cells) else "" for what, i in table.places.items()}
        device = row.get("device") or message.device
        if len(device) > 100 or not device.isprintable():
            raise DeviceError("value", "the id is no printable text of at most 100 characters")
        try:
            time_ns = table.time_ns(row["time"])
        except ValueError as error:
            raise DeviceError("value", str(error)) from None
        # of a device whose weeks began anew twice the message is read as if it had come before 1990 (codec.decode_behind)
        early = message.received_ns is not None and message.received_ns < clock.FIRST_NS
        if not (0 if early else clock.FIRST_NS) <= time_ns < 2**63:
            raise DeviceError("clock", "the time is before 1990, as of a clock that was never set, or beyond 2262")
        lat, lon = _required(table, row, "lat"), _required(table, row, "lon")
        stated = device if device != message.device else ""
        none = table.ais and (lat == archives.NO_LAT_DEG or lon == archives.NO_LON_DEG)
        if none or null_island(lat, lon) or archives.says_invalid(row.get("valid", "")):
            reading = Reading(device=device, time_ns=time_ns, flags=("no_fix",), quantity="fix_valid", value=False)
            return Decoded(observations=(reading,), device=stated)
        if not valid_position(lat, lon):
            raise DeviceError("value", "the position is not in degrees, -90 to 90 and -180 to 180")
        numbers = {what: table.number(word) for what, word in row.items() if word and what in _NUMBERS}
        if numbers.get("knots") == archives.NO_SPEED_KN:
            numbers["knots"] = None
        course = numbers.get("course")
        if course is not None and (not 0.0 <= course <= 360.0 or (table.ais and course == archives.NO_COURSE_DEG)):
            course = None
        sigma, flags = accuracy(row.get("accuracy") or None)
        if row.get("sigma"):
            sigma = numbers["sigma"]
            flags = () if sigma is not None and sigma > 0.0 else LOW_QUALITY
            sigma = None if flags else sigma
        hdop, satellites = numbers.get("hdop"), numbers.get("satellites")
        attributes: dict[str, Any] = {} if hdop is None else {"hdop": hdop}
        if satellites is not None and satellites > 0.0:
            attributes["satellites"] = satellites
        if doubtful(lat, lon):
            sigma, flags = None, LOW_QUALITY
        fix = Fix(
            device=device, time_ns=time_ns, flags=flags, lat_deg=lat, lon_deg=lon, alt_m=numbers.get("alt"),
            speed_mps=archives.speed_mps(numbers), course_deg=None if course is None else course % 360.0, sigma_m=sigma,
            attributes=attributes, fix="cell" if row.get("provider", "").lower() == "network" else "gnss",
        )  # fmt: skip
        observations: list[Observation] = [fix]
        name = row.get("name", "")[:60]
        if name and not (table.ais and name.lower() == "unknown") and self._named.get(device) != name:
            if len(self._named) < 10_000:
                self._named[device] = name
            observations.append(Reading(device=device, time_ns=time_ns, quantity="ship_name", value=name))
        return Decoded(observations=tuple(observations), device=stated)


_NUMBERS = frozenset(("knots", "mps", "kmh", "decikn", "course", "sigma", "alt", "hdop", "satellites"))


def _cells(text: str, separator: str) -> list[str]:
    return next(csv.reader([text], strict=True, delimiter=separator))


def encode(
    *, device: str, time_ns: int, lat_deg: float, lon_deg: float, speed_mps: float | None = None,
    course_deg: float | None = None, sigma_m: float | None = None, header: bool = True,
) -> bytes:
    """One row, with its header unless the connection has had one."""
    head = b"device,t,lat,lon,speed_mps,cog_deg,sigma_m\r\n" if header else b""
    rest = ",".join("" if value is None else repr(value) for value in (speed_mps, course_deg, sigma_m))
    quoted = '"' + device.replace('"', '""') + '"' if any(c in device for c in ',"') else device
    return head + f"{quoted},{iso_from_ns(time_ns)},{lat_deg:.7f},{lon_deg:.7f},{rest}\r\n".encode()


def _required(table: archives.Table, row: dict[str, str], what: str) -> float:
    if not row.get(what, ""):
        raise DeviceError("value", "the position is missing")
    value = table.number(row[what])
    if value is None:
        raise DeviceError("value", f"{what} is no finite number")
    return value
