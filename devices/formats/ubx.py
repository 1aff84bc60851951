r"""UBX: the binary protocol of u-blox receivers, alone or mixed with NMEA lines on the same line.

The frame, little-endian, and the one message that says everything::

    B5 62 | class u8 | id u8 | length u16 | payload | CK_A CK_B          Fletcher 8 over class … payload
    NAV-PVT 01 07, 92 bytes (84 of protocol 14):
      0 iTOW u32 ms | 4 year u16 | 6 month 7 day 8 hour 9 minute 10 second u8 | 11 valid (1 date, 2 time) | 12 tAcc u32
      16 nano i32 | 20 fixType u8 | 21 flags (1 = fix OK) | 22 | 23 satellites u8 | 24 lon i32 1e-7° | 28 lat i32 1e-7°
      32 height i32 mm (ellipsoid) | 36 hMSL i32 mm | 40 hAcc u32 mm | 44 vAcc u32 | 48 velN E D i32 mm/s | 60 gSpeed i32 mm/s
      64 headMot i32 1e-5° | 68 sAcc u32 | 72 headAcc u32 | 76 pDOP u16 0.01 | …

Older receivers have no NAV-PVT: there NAV-POSLLH (01 02: iTOW, lon, lat, height, hMSL, hAcc, vAcc) is a fix where NAV-SOL
(01 06) or NAV-STATUS (01 03) of the same iTOW says that there is one, or NAV-SOL's Earth-centred position where POSLLH is
not sent; NAV-VELNED (01 12) that came before gives speed and course.  Their time is the GPS week of NAV-SOL and iTOW, less
the leap seconds of that day.  Once NAV-PVT has come these are not needed and say nothing.

fixType 2, 3, 4 is a fix; without flag 1 (outside the receiver's own limits of accuracy; hAcc says how far) and for type 1
(dead reckoning alone, with flag 1) it gets the flag ``low_quality``; 0 and 5 are none: the reading ``fix_valid`` false, once.
hAcc is the root of the sum of both axes' variances: ``sigma_m`` = hAcc / √2.  NAV-STATUS's spoofing state and MON-HW's
jamming state give the alarms ``spoofing`` and ``jamming`` when they begin.  NMEA lines between frames and all other messages
with a right check sum give nothing.

Source: u-blox 8 / M8 Receiver Description including Protocol Specification, UBX-13003221 R28, 32 (NAV-PVT 32.17.14); u-blox 5
protocol specification GPS.G5-X-07036 (NAV-SOL, NAV-POSLLH).
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from math import atan2, cos, degrees, hypot, sin, sqrt

from birddog.errors import DeviceError
from birddog.geo import A_M, B_M, E2, null_island
from birddog.model import Alarm, Fix, Observation, Reading, Reject
from birddog.units import NS, ns_from_datetime
from devices import framing, sentences
from devices.clock import rollover
from devices.codec import NOTHING, Decoded, Message, rejected
from devices.crc import fletcher8

VERSION = 2
STREAM = True

MAX_PAYLOAD = 8192
MAX_RUBBISH = 4096
_START = re.compile(rb"\xb5\x62|[$!][A-Z]{2}")
_PVT = struct.Struct("<IHBBBBBBIiBBBBiiiiIIiiiiiIIH")
_GPS_EPOCH_S = 315_964_800
#: Since which GPS second GPS is so many seconds ahead of UTC.
_LEAPS = tuple(
    (ns_from_datetime(datetime(y, m, 1, tzinfo=UTC)) // NS - _GPS_EPOCH_S + n, n)
    for y, m, n in ((2017, 1, 18), (2015, 7, 17), (2012, 7, 16), (2009, 1, 15), (2006, 1, 14), (1999, 1, 13), (1980, 1, 12))
)  # fmt: skip
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _frame(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first."""
    have = len(buffer) - at
    first = buffer[at]
    if first == 0xB5 and (have < 2 or buffer[at + 1] == 0x62):
        if have < 6:
            return (len(buffer), Reject("length", "a frame cut short")) if last else (0, None)
        length = buffer[at + 4] | buffer[at + 5] << 8
        if length <= MAX_PAYLOAD:
            return _ubx(buffer, at, at + 8 + length, last)
    elif first in b"$!":
        if have < 3:
            return (len(buffer), Reject("framing", "a line cut short")) if last else (0, None)
        if _START.match(buffer, at):
            return sentences.cut(buffer, at, last)
    limit = at + MAX_RUBBISH
    found = _START.search(buffer, at + 1, limit + 3)
    if found is None and not last and len(buffer) < limit + 3:
        return 0, None
    end = min(found.start() if found else limit, limit, len(buffer))
    run = buffer[at:end]
    return end, None if run.isspace() else Reject("framing", f"{len(run)} bytes that belong to no frame")


class Framer(framing.Framer):
    """One line's framer: UBX frames, NMEA lines, and rubbish up to the next of them."""

    __slots__ = ()
    cut = staticmethod(_frame)


def _ubx(buffer: bytes, at: int, end: int, last: bool) -> tuple[int, Reject | None]:
    whole = end <= len(buffer)
    if not whole and not last:
        return 0, None
    if not whole or fletcher8(buffer[at + 2 : end - 2]) != buffer[end - 2 : end]:
        # a byte was lost or the length is wrong: the frames inside what it claims must not be lost with it
        inner = buffer.find(b"\xb5\x62", at + 2, min(end, len(buffer)))
        if inner > 0:
            return inner, Reject("checksum" if whole else "length", "a frame that does not hold together")
        if not whole:
            return len(buffer), Reject("length", "a frame cut short")
    return end, None


class Decoder:
    """Decodes one receiver; remembers its week, and of the present iTOW what makes a fix."""

    __slots__ = ("_alarms", "_has_pvt", "_itow", "_ok", "_place", "_said", "_velocity", "_void", "_week")

    def __init__(self) -> None:
        self._has_pvt = self._void = False
        self._week: int | None = None
        self._alarms: dict[str, int] = {}
        self._begin(None)

    def decode(self, message: Message) -> Decoded:
        """Observations of one frame."""
        b = message.payload
        if not b or b.isspace() or b[:1] in (b"$", b"!", b"\\"):
            return NOTHING
        try:
            if b[:2] != b"\xb5\x62":
                raise DeviceError("framing", "does not begin with B5 62")
            if len(b) < 8 or len(b) != (b[4] | b[5] << 8) + 8:
                raise DeviceError("length", "a frame cut short")
            if fletcher8(b[2:-2]) != b[-2:]:
                raise DeviceError("checksum", "wrong check sum")
            reader = _READERS.get(b[2] << 8 | b[3])
            if reader is None:
                return NOTHING
            return reader(self, b, message)
        except struct.error:
            return rejected("length", f"message {b[2]:02X} {b[3]:02X} with {len(b) - 8} bytes", device=message.device)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)

    def _begin(self, itow: int | None) -> None:
        """A new epoch."""
        self._itow = itow
        self._ok: int | None = None  # the epoch's gpsFix, 0 where there is none; None: nobody has said yet
        self._place: tuple[float, float, float | None, float | None] | None = None
        self._velocity: tuple[float, float] | None = None
        self._said = False

    def _at(self, itow: int) -> None:
        if itow != self._itow:
            self._begin(itow)

    def _no_fix(self, message: Message, time_ns: int | None, source: str) -> Decoded:
        if self._void:
            return NOTHING
        self._void = True
        reading = Reading(
            device=message.device, time_ns=time_ns, time_source=source, flags=("no_fix",), quantity="fix_valid", value=False
        )  # fmt: skip
        return Decoded(observations=(reading,))

    def _gps_time(self, message: Message) -> tuple[int | None, str]:
        """UTC of the present iTOW, from the week of NAV-SOL."""
        if self._week is None or self._itow is None:
            return message.received_ns, "server"
        gps_ms = self._week * 604_800_000 + self._itow
        leap = next((n for since, n in _LEAPS if gps_ms >= since * 1000), 12)
        return (gps_ms + (_GPS_EPOCH_S - leap) * 1000) * 1_000_000, "device"

    def _fix_of_epoch(self, message: Message) -> Decoded:
        """The fix of an older receiver, once an epoch, when position and status are known."""
        if self._has_pvt or self._ok is None or self._said:
            return NOTHING
        time_ns, source = self._gps_time(message)
        if self._ok == 0:
            return self._no_fix(message, time_ns, source)
        place = self._place
        if place is None:
            return NOTHING
        self._said, self._void = True, False
        lat, lon, alt, sigma = place
        speed, course = self._velocity or (None, None)
        fix = Fix(
            device=message.device, time_ns=time_ns, time_source=source, flags=("low_quality",) if self._ok == 1 else (),
            lat_deg=lat, lon_deg=lon, alt_m=alt, alt_ref="unknown" if alt is None else "msl", sigma_m=sigma, speed_mps=speed,
            course_deg=course,
        )  # fmt: skip
        return Decoded(observations=(fix,))

    def _alarm(self, message: Message, alarm: str, state: int, bad: int) -> tuple[Observation, ...]:
        """An alarm when a state becomes bad, and not again while it stays so."""
        before, self._alarms[alarm] = self._alarms.get(alarm, 0), state
        if state < bad or before >= bad:
            return ()
        time_ns, source = self._gps_time(message)
        return (Alarm(device=message.device, time_ns=time_ns, time_source=source, alarm=alarm, text=f"state {state}"),)


def _pvt(d: Decoder, b: bytes, message: Message) -> Decoded:
    if len(b) < 92:
        raise struct.error
    (_, year, month, day, hour, minute, second, valid, _, nano, kind, flags, _, satellites, lon, lat, height, msl,
     hacc, _, _, _, _, speed, course, _, _, pdop) = _PVT.unpack_from(b, 6)  # fmt: skip
    d._has_pvt = True
    time_ns, source, late = message.received_ns, "server", ("no_fix_time",)
    if (
        valid & 3 == 3
        and 1 <= month <= 12
        and 1 <= day <= _LENGTHS[month - 1] + (month == 2 and year % 4 == 0)
        and hour < 24
        and minute < 60
        and second <= 60
        and 1980 <= year < 2100
    ):
        # days since 1970; a leap year's February counts from March on
        years = year - 1970
        days = years * 365 + (years + 1) // 4 + _DAYS[month - 1] + day - 1 + (month > 2 and year % 4 == 0)
        time_ns, source = (days * 86_400 + hour * 3600 + minute * 60 + second) * NS + nano, "device"
        late = rollover(time_ns, message.received_ns)
    if not (1 < kind < 5 or (kind == 1 and flags & 1)) or null_island(lat / 1e7, lon / 1e7):
        return d._no_fix(message, time_ns, source)
    if not (-900_000_000 <= lat <= 900_000_000 and -1_800_000_000 <= lon <= 1_800_000_000):
        raise DeviceError("value", "latitude or longitude out of range")
    d._void = False
    fix = Fix(
        device=message.device,
        time_ns=time_ns,
        time_source=source,
        flags=(*late, "low_quality") if kind == 1 or not flags & 1 else late,
        lat_deg=lat / 1e7,
        lon_deg=lon / 1e7,
        alt_m=msl / 1000.0,
        alt_ref="msl",
        sigma_m=hacc / 1414.2 if 0 < hacc < 100_000_000 else None,
        speed_mps=speed / 1000.0 if speed >= 0 else None,
        course_deg=course / 1e5 % 360.0,
        attributes={"satellites": satellites, "pdop": pdop / 100.0, "fix_type": kind},
    )
    return Decoded(observations=(fix,))


def _posllh(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, lon, lat, _, msl, hacc, _ = struct.unpack_from("<IiiiiII", b, 6)
    d._at(itow)
    if not null_island(lat / 1e7, lon / 1e7) and abs(lat) <= 900_000_000 and abs(lon) <= 1_800_000_000:
        d._place = (lat / 1e7, lon / 1e7, msl / 1000.0, hacc / 1414.2 if 0 < hacc < 100_000_000 else None)
    return d._fix_of_epoch(message)


def _status(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, kind, flags, _, flags2 = struct.unpack_from("<IBBBB", b, 6)
    d._at(itow)
    d._ok = kind if flags & 1 and 1 <= kind <= 4 else 0
    alarms = d._alarm(message, "spoofing", flags2 >> 3 & 3, 2)
    decoded = d._fix_of_epoch(message)
    return Decoded(observations=decoded.observations + alarms) if alarms else decoded


def _sol(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, _, week, kind, flags, x, y, z, pacc = struct.unpack_from("<IihBBiiiI", b, 6)
    d._at(itow)
    if flags & 12 == 12 and 0 < week < 6000:
        d._week = week
    d._ok = kind if flags & 1 and 1 <= kind <= 4 else 0
    if d._place is None and (x or y or z):
        lat, lon, height = _geodetic(x / 100.0, y / 100.0, z / 100.0)
        if -1000.0 < height < 1e6:
            d._place = (lat, lon, None, pacc / 173.2 if 0 < pacc < 10_000_000 else None)
    return d._fix_of_epoch(message)


def _velned(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, _, _, _, _, ground, heading = struct.unpack_from("<IiiiIIi", b, 6)
    d._at(itow)
    if ground < 100_000:
        d._velocity = (ground / 100.0, heading / 1e5 % 360.0)
    return NOTHING


def _mon_hw(d: Decoder, b: bytes, message: Message) -> Decoded:
    (flags,) = struct.unpack_from("<B", b, 6 + 22)
    alarms = d._alarm(message, "jamming", flags >> 2 & 3, 3)
    return Decoded(observations=alarms) if alarms else NOTHING


_READERS = {0x0107: _pvt, 0x0102: _posllh, 0x0103: _status, 0x0106: _sol, 0x0112: _velned, 0x0A09: _mon_hw}


def _geodetic(x: float, y: float, z: float) -> tuple[float, float, float]:
    """(lat_deg, lon_deg, height m) of an Earth-centred position (Bowring 1976, one step: 1e-11 rad near the surface)."""
    p = hypot(x, y)
    beta = atan2(z * A_M, p * B_M)
    lat = atan2(z + E2 / (1.0 - E2) * B_M * sin(beta) ** 3, p - E2 * A_M * cos(beta) ** 3)
    n = A_M / sqrt(1.0 - E2 * sin(lat) ** 2)
    height = p * cos(lat) + z * sin(lat) - A_M * A_M / n
    return degrees(lat), degrees(atan2(y, x)), height


# --- the other way --------------------------------------------------------------------------------------------


def frame(kind: int, payload: bytes) -> bytes:
    """A UBX frame; ``kind`` is class × 256 + id."""
    body = kind.to_bytes(2, "big") + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + fletcher8(body)


def encode(
    *,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    alt_m: float = 0.0,
    sigma_m: float = 3.0,
    speed_mps: float = 0.0,
    course_deg: float = 0.0,
    satellites: int = 12,
    fix_type: int = 3,
) -> bytes:
    """A NAV-PVT frame; ``fix_type`` 0 = no fix."""
    seconds, nano = divmod(time_ns, NS)
    stamp = datetime.fromtimestamp(seconds, UTC)
    itow = (seconds - _GPS_EPOCH_S + 18) % 604_800 * 1000 + nano // 1_000_000
    payload = _PVT.pack(
        itow, stamp.year, stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second, 7, 30, nano, fix_type,
        int(fix_type in (1, 2, 3, 4)), 0, satellites, round(lon_deg * 1e7), round(lat_deg * 1e7), round(alt_m * 1000),
        round(alt_m * 1000), round(sigma_m * 1414.2), round(sigma_m * 2000), 0, 0, 0, round(speed_mps * 1000),
        round(course_deg % 360.0 * 1e5), 300, 100_000, 150,
    )  # fmt: skip
    return frame(0x0107, payload.ljust(92, b"\0"))
