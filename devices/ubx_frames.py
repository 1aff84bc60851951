"""Reads the UBX frames of a u-blox receiver: what formats nmea and ubx share, for one line may carry both.

What each message holds, and what is made of it, is drawn in ``devices/formats/ubx.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from math import atan2, cos, degrees, hypot, sin, sqrt
from typing import Any

from birddog.errors import DeviceError
from birddog.geo import A_M, B_M, E2, null_island, valid_position
from birddog.model import Alarm, Fix, Observation, Reading, TimeSource
from birddog.units import NS, ns_from_datetime
from devices import clock
from devices.clock import rollover
from devices.codec import NOTHING, Decoded, Message, rejected
from devices.crc import fletcher8

_PVT = struct.Struct("<IHBBBBBBIiBBBBiiiiIIiiiiiIIH")
_GPS_EPOCH_S = 315_964_800
_WEEK_MS = 604_800_000
_ALL_ONES = 0xFFFFFFFF
#: While a state stays bad its alarm is given again after so long, s: who hears none for a while takes it for over.
AGAIN_S = 30
#: An accuracy of so many mm and more is how a receiver says that it has none.
_UNKNOWN_MM = 100_000_000
_PVAT = struct.Struct("<IBBHBBBBBxxxIiBBBBiiiiIIiiiiIiiiiHHH")
_HNR = struct.Struct("<IHBBBBBBiBBxxiiiiiiiiIIII")
#: Since which GPS second GPS is so many seconds ahead of UTC.
_LEAPS = tuple(
    (ns_from_datetime(datetime(y, m, 1, tzinfo=UTC)) // NS - _GPS_EPOCH_S + n, n)
    for y, m, n in ((2017, 1, 18), (2015, 7, 17), (2012, 7, 16), (2009, 1, 15), (2006, 1, 14), (1999, 1, 13), (1980, 1, 12))
)  # fmt: skip
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _utc_of_gps(gps_ms: int) -> int:
    leap = next((n for since, n in _LEAPS if gps_ms >= since * 1000), 12)
    return (gps_ms + (_GPS_EPOCH_S - leap) * 1000) * 1_000_000


class Decoder:
    """Decodes one receiver; remembers its week, and of the present iTOW what makes a fix."""

    __slots__ = (
        "_alarmed_ns", "_alarms", "_has_pvt", "_itow", "_ok", "_place", "_said", "_solved_itow", "_utc", "_velocity", "_void",
        "_week",
    )  # fmt: skip

    def __init__(self) -> None:
        self._has_pvt = self._void = False
        self._week: int | None = None
        self._utc: tuple[int, int] | None = None  # an iTOW, and what UTC it was
        self._solved_itow: int | None = None  # the last one of NAV-PVT or NAV-PVAT
        self._alarms: dict[tuple[str, int], bool] = {}
        self._alarmed_ns: dict[str, int | None] = {}
        self._begin(None)

    def decode(self, message: Message) -> Decoded:
        """Observations of one frame."""
        b = message.payload
        try:
            if b[:2] != b"\xb5\x62":
                raise DeviceError("framing", "does not begin with B5 62")
            if len(b) < 8 or len(b) != (b[4] | b[5] << 8) + 8:
                raise DeviceError("length", "a frame cut short")
            if fletcher8(b[2:-2]) != b[-2:]:
                raise DeviceError("checksum", "wrong check sum")
            kind = b[2] << 8 | b[3]
            reader = _READERS.get(kind)
            if reader is None or len(b) == 8:  # without a payload it is a poll, which asks and says nothing
                return NOTHING
            if kind in _PAYLOADS and len(b) - 8 not in _PAYLOADS[kind]:
                raise struct.error
            return reader(self, b, message)
        except (struct.error, IndexError):
            return rejected("length", f"message {b[2]:02X} {b[3]:02X} with {len(b) - 8} bytes", device=message.device)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)

    def _begin(self, itow: int | None) -> None:
        """A new epoch."""
        self._itow = itow
        self._ok: int | None = None  # the epoch's gpsFix, 0 where there is none; None: nobody has said yet
        self._place: tuple[float, float, float | None, float | None] | None = None
        self._velocity: tuple[float, float | None] | None = None
        self._said = False

    def _at(self, itow: int) -> None:
        if itow != self._itow:
            self._begin(itow)

    def _no_fix(self, message: Message, time_ns: int | None, source: TimeSource) -> Decoded:
        if self._void:
            return NOTHING
        self._void = True
        reading = Reading(
            device=message.device, time_ns=time_ns, time_source=source, flags=("no_fix",), quantity="fix_valid", value=False
        )  # fmt: skip
        return Decoded(observations=(reading,))

    def _gps_time(self, message: Message) -> tuple[int | None, TimeSource]:
        """UTC of the present iTOW: on from NAV-TIMEUTC, in the week of NAV-SOL or NAV-TIMEGPS, or in that of the reception."""
        itow, received_ns = self._itow, message.received_ns
        if itow is not None and self._utc is not None:
            at, time_ns = self._utc
            since_ms = (itow - at + _WEEK_MS // 2) % _WEEK_MS - _WEEK_MS // 2
            return time_ns + since_ms * 1_000_000, "device"
        if itow is not None and self._week is not None:
            time_ns = _utc_of_gps(self._week * _WEEK_MS + itow)
            if not clock.unset(time_ns, received_ns):
                return time_ns, "device"
        elif itow is not None and received_ns is not None and itow < _WEEK_MS:
            week_ns = _WEEK_MS * 1_000_000
            time_ns = _utc_of_gps(received_ns // week_ns * _WEEK_MS + itow)
            return time_ns + round((received_ns - time_ns) / week_ns) * week_ns, "server"
        return received_ns, "server"

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
        low = self._ok == 1 or sigma is None or sigma * 1414.2 >= _UNKNOWN_MM
        flags = ("no_fix_time",) if source == "server" else rollover(time_ns or 0, message.received_ns)
        fix = Fix(
            device=message.device, time_ns=time_ns, time_source=source, flags=(*flags, "low_quality") if low else flags,
            lat_deg=lat, lon_deg=lon, alt_m=alt, alt_ref="unknown" if alt is None else "msl", sigma_m=sigma, speed_mps=speed,
            course_deg=course,
        )  # fmt: skip
        return Decoded(observations=(fix,))

    def _alarm(self, message: Message, alarm: str, said_by: int, state: int, bad: int) -> tuple[Observation, ...]:
        """An alarm when a state becomes bad, and each ``AGAIN_S`` while any message says that it is."""
        before = any(level for (name, _), level in self._alarms.items() if name == alarm)
        self._alarms[alarm, said_by] = state >= bad
        if state < bad:
            return ()
        time_ns, source = self._gps_time(message)
        told_ns = self._alarmed_ns.get(alarm)
        if before and (time_ns is None or told_ns is None or 0 <= time_ns - told_ns < AGAIN_S * NS):
            return ()
        self._alarmed_ns[alarm] = time_ns
        return (Alarm(device=message.device, time_ns=time_ns, time_source=source, alarm=alarm, text=f"state {state}"),)


def _solved(
    d: Decoder, message: Message, date: Sequence[int], valid: int, nano: int, kind: int, flags: int, lon: int, lat: int,
    msl: int, hacc: int, vacc: int, speed: int, sacc: int, course: int, course_acc_deg: float, attributes: dict[str, Any],
    invalid: bool = False,
) -> Decoded:  # fmt: skip
    """The fix of NAV-PVT, NAV-PVAT or HNR-PVT, of what they say in their units."""
    time_ns = message.received_ns
    source: TimeSource = "server"
    late: tuple[str, ...] = ("no_fix_time",)
    own_ns = _utc(*date) if valid & 3 == 3 else None
    if own_ns is not None and not clock.unset(own_ns, message.received_ns):
        time_ns, source = own_ns + nano, "device"
        late = rollover(time_ns, message.received_ns)
    if invalid or not (1 < kind < 5 or (kind == 1 and flags & 1)) or null_island(lat / 1e7, lon / 1e7):
        return d._no_fix(message, time_ns, source)
    if not (-900_000_000 <= lat <= 900_000_000 and -1_800_000_000 <= lon <= 1_800_000_000):
        raise DeviceError("value", "latitude or longitude out of range")
    d._void = False
    low = kind == 1 or not flags & 1 or not 0 < hacc < _UNKNOWN_MM
    known_alt = vacc != _ALL_ONES
    fix = Fix(
        device=message.device,
        time_ns=time_ns,
        time_source=source,
        flags=(*late, "low_quality") if low else late,
        lat_deg=lat / 1e7,
        lon_deg=lon / 1e7,
        alt_m=msl / 1000.0 if known_alt else None,
        alt_ref="msl" if known_alt else "unknown",
        sigma_m=hacc / 1414.2 if hacc else None,
        speed_mps=speed / 1000.0 if speed >= 0 and sacc != _ALL_ONES else None,
        course_deg=course / 1e5 % 360.0 if course_acc_deg < 180.0 else None,
        attributes=attributes,
    )
    return Decoded(observations=(fix,))


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    if not (
        1 <= month <= 12
        and 1 <= day <= _LENGTHS[month - 1] + (month == 2 and year % 4 == 0)
        and hour < 24
        and minute < 60
        and second <= 60
        and 1980 <= year < 2100
    ):
        return None
    # days since 1970; a leap year's February counts from March on
    years = year - 1970
    days = years * 365 + (years + 1) // 4 + _DAYS[month - 1] + day - 1 + (month > 2 and year % 4 == 0)
    return (days * 86_400 + hour * 3600 + minute * 60 + second) * NS


def _pvt(d: Decoder, b: bytes, message: Message) -> Decoded:
    (itow, year, month, day, hour, minute, second, valid, _, nano, kind, flags, _, satellites, lon, lat, _, msl,
     hacc, vacc, _, _, _, speed, course, sacc, course_acc, pdop) = _PVT.unpack_from(b, 6)  # fmt: skip
    d._has_pvt, d._solved_itow = True, itow
    attributes: dict[str, Any] = {"satellites": satellites, "fix_type": kind}
    if pdop < 9999:
        attributes["pdop"] = pdop / 100.0
    date = (year, month, day, hour, minute, second)
    return _solved(d, message, date, valid, nano, kind, flags, lon, lat, msl, hacc, vacc, speed, sacc, course, course_acc / 1e5,
                   attributes, bool(b[6 + 78] & 1))  # fmt: skip


def _pvat(d: Decoder, b: bytes, message: Message) -> Decoded:
    (itow, _, valid, *date, _, nano, kind, flags, _, satellites, lon, lat, _, msl, hacc, vacc, _, _, _, speed, sacc,
     _, _, _, course, _, _, course_acc) = _PVAT.unpack_from(b, 6)  # fmt: skip
    if itow == d._solved_itow:
        return NOTHING  # NAV-PVT has said it
    d._has_pvt, d._solved_itow = True, itow
    return _solved(d, message, date, valid, nano, kind, flags, lon, lat, msl, hacc, vacc, speed, sacc, course,
                   course_acc / 100.0, {"satellites": satellites, "fix_type": kind})  # fmt: skip


def _hnr_pvt(d: Decoder, b: bytes, message: Message) -> Decoded:
    (itow, *date, valid, nano, kind, flags, lon, lat, _, msl, speed, _, course, _, hacc, vacc, sacc, course_acc) = (
        _HNR.unpack_from(b, 6)
    )
    if itow == d._solved_itow:
        return NOTHING
    return _solved(d, message, date, valid, nano, kind, flags, lon, lat, msl, hacc, vacc, speed, sacc, course, course_acc / 1e5,
                   {"fix_type": kind})  # fmt: skip


def _posllh(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, lon, lat, _, msl, hacc, vacc = struct.unpack_from("<IiiiiII", b, 6)
    d._at(itow)
    if not null_island(lat / 1e7, lon / 1e7) and abs(lat) <= 900_000_000 and abs(lon) <= 1_800_000_000:
        alt = msl / 1000.0 if vacc != _ALL_ONES else None
        d._place = (lat / 1e7, lon / 1e7, alt, hacc / 1414.2 if hacc else None)
    return d._fix_of_epoch(message)


def _hpposllh(d: Decoder, b: bytes, message: Message) -> Decoded:
    _, invalid, itow, lon, lat, _, msl, lon_hp, lat_hp, _, msl_hp, hacc, vacc = struct.unpack_from("<B2xBIiiiibbbbII", b, 6)
    d._at(itow)
    place = (lat / 1e7 + lat_hp / 1e9, lon / 1e7 + lon_hp / 1e9)
    if invalid & 1:
        d._ok = 0
    elif valid_position(*place) and not null_island(*place):
        alt = msl / 1000.0 + msl_hp / 1e4 if vacc != _ALL_ONES else None
        d._place = (*place, alt, hacc / 14142.0 if hacc else None)
        d._ok = 3 if d._ok is None else d._ok
    return d._fix_of_epoch(message)


def _timegps(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, _, week, _, valid = struct.unpack_from("<IihbB", b, 6)
    d._at(itow)
    if valid & 3 == 3 and 0 < week < 6000:
        d._week = week
    return NOTHING


def _timeutc(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, _, nano, year, month, day, hour, minute, second, valid = struct.unpack_from("<IIiHBBBBBB", b, 6)
    time_ns = _utc(year, month, day, hour, minute, second) if valid & 4 else None
    if time_ns is not None and not clock.unset(time_ns, message.received_ns):
        d._utc = (itow, time_ns + nano)
    return NOTHING


def _status(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, kind, flags, _, flags2 = struct.unpack_from("<IBBBB", b, 6)
    d._at(itow)
    d._ok = kind if flags & 1 and 1 <= kind <= 4 else 0
    alarms = d._alarm(message, "spoofing", 0x0103, flags2 >> 3 & 3, 2)
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
            d._place = (lat, lon, None, pacc / 173.2 if pacc else None)
    return d._fix_of_epoch(message)


def _velned(d: Decoder, b: bytes, message: Message) -> Decoded:
    itow, _, _, _, _, ground, heading, sacc, course_acc = struct.unpack_from("<IiiiIIiII", b, 6)
    d._at(itow)
    if ground < 100_000 and sacc != _ALL_ONES:
        d._velocity = (ground / 100.0, heading / 1e5 % 360.0 if course_acc < 18_000_000 else None)
    return NOTHING


def _mon_hw(d: Decoder, b: bytes, message: Message) -> Decoded:
    return _alarms(d._alarm(message, "jamming", 0x0A09, b[6 + 22] >> 2 & 3, 3))


def _mon_rf(d: Decoder, b: bytes, message: Message) -> Decoded:
    blocks = b[7]
    if len(b) != 8 + 4 + 24 * blocks:
        raise struct.error
    state = max((b[6 + 4 + 24 * k + 1] & 3 for k in range(blocks)), default=0)
    return _alarms(d._alarm(message, "jamming", 0x0A38, state, 3))


def _sec_sig(d: Decoder, b: bytes, message: Message) -> Decoded:
    if b[6] == 1 and len(b) == 8 + 12:
        jamming, spoofing = b[6 + 4] >> 1 & 3, b[6 + 8] >> 1 & 7
    elif b[6] == 2 and len(b) == 8 + 4 + 4 * b[9]:
        jamming, spoofing = b[7] >> 1 & 3, b[7] >> 4 & 7
    else:
        raise struct.error
    return _alarms(d._alarm(message, "jamming", 0x2709, jamming, 2) + d._alarm(message, "spoofing", 0x2709, spoofing, 2))


def _alarms(alarms: tuple[Observation, ...]) -> Decoded:
    return Decoded(observations=alarms) if alarms else NOTHING


_READERS = {
    0x0107: _pvt, 0x0117: _pvat, 0x2800: _hnr_pvt, 0x0102: _posllh, 0x0114: _hpposllh, 0x0103: _status, 0x0106: _sol,
    0x0112: _velned,
    0x0120: _timegps, 0x0121: _timeutc, 0x0A09: _mon_hw, 0x0A38: _mon_rf, 0x2709: _sec_sig,
}  # fmt: skip
#: Bytes of payload that a message may have; MON-RF and SEC-SIG, which say how many parts they have, see for themselves.
_PAYLOADS = {
    0x0107: (84, 92), 0x0117: (116,), 0x2800: (72,), 0x0102: (28,), 0x0114: (36,), 0x0103: (16,), 0x0106: (52,), 0x0112: (36,),
    0x0120: (16,), 0x0121: (20,), 0x0A09: (60, 68),
}  # fmt: skip


def _geodetic(x: float, y: float, z: float) -> tuple[float, float, float]:
    """(lat_deg, lon_deg, height m) of an Earth-centred position (Bowring 1976, one step: 1e-11 rad near the surface)."""
    p = hypot(x, y)
    beta = atan2(z * A_M, p * B_M)
    lat = atan2(z + E2 / (1.0 - E2) * B_M * sin(beta) ** 3, p - E2 * A_M * cos(beta) ** 3)
    n = A_M / sqrt(1.0 - E2 * sin(lat) ** 2)
    height = p * cos(lat) + z * sin(lat) - A_M * A_M / n
    return degrees(lat), degrees(atan2(y, x)), height
