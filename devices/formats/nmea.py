r"""NMEA 0183 (IEC 61162-1): the text lines of GNSS receivers over serial lines, TCP and UDP.

Layout of the two sentences that matter; the talker (GP, GN, GL, GA, BD …) is any two letters::

    $GPRMC,hhmmss.ss,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,var,E,mode,nav*hh CR LF
           0 1       2 3         4 5          6 7     8      9      10  11 12   13
    $GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,quality,sats,hdop,alt,M,sep,M,age,ref*hh CR LF
           1         2         3 4          5 6       7    8    9   10

Also read: GLL and GNS (position), GST (sigma of the position), ZDA (date), u-blox's PUBX,00.  Every other sentence with
a right check sum says nothing here.  The sentences of one time of day are one fix: each of them gives a Fix with
the fields that are known for that epoch so far, same device and time, so that whoever keeps the newest has them all.

* No check sum or a wrong one: reject ``checksum``; nothing in the sentence is believed.
* RMC status V, GGA quality 0, mode N: no fix; the first of them gives the reading ``fix_valid`` false.  Quality 7 and 8,
  mode M and S (typed in, simulator) are no measurement: no fix either.  Quality 6 or mode E (dead reckoning): flag
  ``low_quality``.
* The date comes from RMC or ZDA; until one has come, from the day of reception nearest to the time of day, and then
  ``time_source`` is ``server``.  Two-digit years: 80 to 99 are 19xx.  A time that is 1024 weeks behind its reception gets
  the flag ``week_rollover_suspected`` and is left as it is.
* HDOP is an attribute; only GST and PUBX state an accuracy, so only they give ``sigma_m``.

Longer than 400 lines for the fast path, which repeats what RMC and GGA say in one expression each.

Source: IEC 61162-1:2016, clause 8.3; NMEA Revealed (gpsd.gitlab.io/gpsd/NMEA.html); u-blox M8 Receiver Description
UBX-13003221, 31.3.2 (PUBX,00).
"""

from __future__ import annotations

import re
from datetime import date
from math import hypot, sqrt

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Fix, Reading
from birddog.units import KMH_MPS, KNOT_MPS, NS
from devices import sentences
from devices.clock import rollover
from devices.codec import NOTHING, Decoded, Message, rejected
from devices.crc import xor8
from devices.sentences import Framer

__all__ = ["STREAM", "VERSION", "Decoder", "Framer", "encode"]

VERSION = 2
STREAM = True

DAY_NS = 86_400 * NS
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LATITUDE = re.compile(r"\d{4}(\.\d*)?\Z", re.ASCII)
_LONGITUDE = re.compile(r"\d{5}(\.\d*)?\Z", re.ASCII)
#: The usual RMC and GGA, whole: what the fast path takes apart at one stroke.
_FAST_RMC = re.compile(
    rb"\$[A-Z]{2}RMC,(\d{6}(?:\.\d{1,9})?),A,(\d\d)([0-5]\d(?:\.\d{0,12})?),([NS]),(\d{3})([0-5]\d(?:\.\d{0,12})?),([EW]),"
    rb"(\d{1,6}(?:\.\d{0,9})?),(\d{1,3}(?:\.\d{0,9})?),(\d{6}),[\d.]*,[EW]?(?:,[ADRFP]?(?:,[A-Z]?)?)?\*([0-9A-Fa-f]{2})\r?\n?\Z"
)
_FAST_GGA = re.compile(
    rb"\$[A-Z]{2}GGA,(\d{6}(?:\.\d{1,9})?),(\d\d)([0-5]\d(?:\.\d{0,12})?),([NS]),(\d{3})([0-5]\d(?:\.\d{0,12})?),([EW]),"
    rb"([1-59]),(\d{1,2}),(\d{1,2}(?:\.\d{0,9})?),(-?\d{1,6}(?:\.\d{0,9})?),M,[-\d.]*,M?,[\d.]*,\d*\*([0-9A-Fa-f]{2})\r?\n?\Z"
)
_DECIMAL = re.compile(r"-?(\d{1,9}(\.\d*)?|\.\d+)\Z", re.ASCII)


class Decoder:
    """Decodes one receiver's sentences; remembers its date and the fields of the present epoch."""

    __slots__ = (
        "_alt", "_attributes", "_clock", "_course", "_day", "_days", "_flags", "_last_ns", "_place", "_sigma", "_speed", "_tod",
        "_void",
    )  # fmt: skip

    def __init__(self) -> None:
        self._last_ns: int | None = None  # the last time with a date that the receiver itself gave
        self._tod: int | None = None
        self._void = False
        self._clock = self._day = b""  # the fields that _tod and _days were read from, by the fast path
        self._days: int | None = None
        self._reset(None)

    def decode(self, message: Message) -> Decoded:
        """Observations of one sentence."""
        payload = message.payload
        if not payload or payload.isspace():
            return NOTHING
        try:
            fast = _FAST_RMC.match(payload) or _FAST_GGA.match(payload)
            if fast is not None:
                return self._fast(fast, payload, message)
            start, f, _ = sentences.fields(payload)
            if start == "!":
                return NOTHING
            address = f[0]
            reader = _READERS.get(address[2:] if len(address) == 5 else address)
            if reader is None or (reader is _pubx and f[1:2] != ["00"]):
                return NOTHING
            return reader(self, f, message)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)
        except IndexError:
            return rejected("length", "a sentence with too few fields", device=message.device)

    def _fast(self, fast: re.Match[bytes], payload: bytes, message: Message) -> Decoded:
        """RMC and GGA as nearly all are; what ``_rmc`` and ``_gga`` say of them, in a third of the time."""
        clock, lat, lat_min, ns, lon, lon_min, ew, *rest, given = fast.groups()
        if xor8(payload[1 : fast.end(fast.re.groups) - 3]) != int(given, 16):
            raise DeviceError("checksum", "wrong check sum")
        if clock != self._clock or self._tod is None:
            seconds, fraction = int(clock[:6]), clock[7:]
            hours, minutes, seconds = seconds // 10_000, seconds // 100 % 100, seconds % 100
            if hours > 23 or minutes > 59 or seconds > 60:
                raise DeviceError("value", "time of day out of range")
            tod = (hours * 3600 + minutes * 60 + seconds) * NS
            if fraction:
                tod += int(fraction.ljust(9, b"0"))
            if tod != self._tod:
                self._reset(tod)
            self._clock = clock
        if fast.re is _FAST_RMC:
            speed, course, day = rest
            if day != self._day:
                self._day, self._days = day, _days(day.decode("ascii"))
            self._dated(self._days)
            self._speed = float(speed) * KNOT_MPS
            heading = float(course)
            if heading <= 360.0:
                self._course = heading % 360.0
            low = False
        else:
            quality, satellites, hdop, alt = rest
            self._alt = float(alt)
            low = quality == b"6"
            self._attributes = {"quality": int(quality), "satellites": int(satellites)}
            if 0.0 < (value := float(hdop)) < 99.0:
                self._attributes["hdop"] = value
        a, o = int(lat) + float(lat_min) / 60.0, int(lon) + float(lon_min) / 60.0
        if a > 90.0 or o > 180.0:
            raise DeviceError("value", "latitude or longitude out of range")
        return self._fix(message, (a if ns == b"N" else -a, o if ew == b"E" else -o), low)

    # --- the present epoch ------------------------------------------------------------------------

    def _reset(self, tod: int | None) -> None:
        self._tod = tod
        self._clock = b""
        self._alt = self._speed = self._course = self._sigma = self._place = None
        self._flags: tuple[str, ...] = ()
        self._attributes: dict[str, float | int] = {}  # never changed in place: observations hold it

    def _at(self, text: str) -> None:
        """The sentence belongs to this time of day."""
        tod = _time_of_day(text)
        if tod != self._tod:
            self._reset(tod)

    def _dated(self, days: int | None) -> None:
        """The receiver itself says what day the present epoch has."""
        if days is not None and self._tod is not None:
            self._last_ns = days * DAY_NS + self._tod

    def _time(self, received_ns: int | None) -> tuple[int | None, str, tuple[str, ...]]:
        tod = self._tod
        if tod is None:
            return received_ns, "server", ("no_fix_time",)
        if self._last_ns is not None:
            time_ns = self._last_ns
            if time_ns % DAY_NS != tod:
                # the day that brings this time of day nearest to the last dated one: over midnight both ways
                time_ns = self._last_ns = _nearest(time_ns, tod)
            return time_ns, "device", rollover(time_ns, received_ns)
        return (None if received_ns is None else _nearest(received_ns, tod)), "server", ()

    def _fix(self, message: Message, place: tuple[float, float] | None, low: bool = False) -> Decoded:
        """The fix of the present epoch with all that is known of it."""
        if place is None or null_island(*place):
            return self._no_fix(message)
        self._void, self._place = False, place
        if low:
            self._flags = ("low_quality",)
        time_ns, source, flags = self._time(message.received_ns)
        fix = Fix(
            device=message.device,
            time_ns=time_ns,
            time_source=source,
            flags=flags + self._flags,
            lat_deg=place[0],
            lon_deg=place[1],
            alt_m=self._alt,
            alt_ref="unknown" if self._alt is None else "msl",
            sigma_m=self._sigma,
            speed_mps=self._speed,
            course_deg=self._course,
            attributes=self._attributes,
        )
        return Decoded(observations=(fix,))

    def _no_fix(self, message: Message) -> Decoded:
        """The receiver has no position: said once, until it has one again."""
        if self._void:
            return NOTHING
        self._void = True
        time_ns, source, flags = self._time(message.received_ns)
        return Decoded(
            observations=(
                Reading(
                    device=message.device,
                    time_ns=time_ns,
                    time_source=source,
                    flags=(*flags, "no_fix"),
                    quantity="fix_valid",
                    value=False,
                ),
            )
        )


# --- sentences: fields as in the layout above, f[0] is the address ------------------------------------


def _rmc(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    mode = f[12] if len(f) > 12 else ""
    if f[2] != "A" or mode in ("N", "M", "S"):
        return d._no_fix(message)  # nor is its date believed: a receiver without a fix may not know it
    d._dated(_days(f[9]))
    place = _position(f[3], f[4], f[5], f[6])
    speed, course = _decimal(f[7]), _decimal(f[8])
    if speed is not None and speed >= 0.0:
        d._speed = speed * KNOT_MPS
    if course is not None and 0.0 <= course <= 360.0:
        d._course = course % 360.0
    return d._fix(message, place, mode == "E")


def _gga(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    quality = f[6]
    if quality not in ("1", "2", "3", "4", "5", "6", "9"):
        return d._no_fix(message)
    place = _position(f[2], f[3], f[4], f[5])
    alt = _decimal(f[9])
    if alt is not None and f[10] in ("M", ""):
        d._alt = alt
    d._attributes = {"quality": int(quality), **_satellites(f[7], f[8])}
    return d._fix(message, place, quality == "6")


def _gll(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[5])
    mode = f[7] if len(f) > 7 else ""
    if f[6] != "A" or mode in ("N", "M", "S"):
        return d._no_fix(message)
    return d._fix(message, _position(f[1], f[2], f[3], f[4]), mode == "E")


def _gns(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    # one letter a satellite system; any of these is a position of its own
    if not set(f[6]) & set("ADPRFE"):
        return d._no_fix(message)
    place = _position(f[2], f[3], f[4], f[5])
    alt = _decimal(f[9])
    if alt is not None:
        d._alt = alt
    d._attributes = _satellites(f[7], f[8])
    return d._fix(message, place, not set(f[6]) & set("ADPRF"))


def _gst(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    north, east = _decimal(f[6]), _decimal(f[7])
    if north is None or east is None or not 0.0 < hypot(north, east) < 1e6:
        return NOTHING
    d._sigma = sqrt((north * north + east * east) / 2.0)
    return NOTHING if d._place is None else d._fix(message, d._place)


def _zda(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    if f[1] and f[2] and f[3] and f[4]:
        d._dated(_days(f[2].zfill(2) + f[3].zfill(2) + f[4]))
    return NOTHING


def _pubx(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[2])
    if f[8] not in ("G2", "G3", "D2", "D3", "RK", "DR"):
        return d._no_fix(message)
    place = _position(f[3], f[4], f[5], f[6])
    accuracy, speed, course = _decimal(f[9]), _decimal(f[11]), _decimal(f[12])
    if accuracy is not None and 0.0 < accuracy < 1e6:
        d._sigma = accuracy / sqrt(2.0)  # of both axes together, as u-blox's hAcc
    if speed is not None and speed >= 0.0:
        d._speed = speed * KMH_MPS
    if course is not None and 0.0 <= course <= 360.0:
        d._course = course % 360.0
    return d._fix(message, place, f[8] == "DR")


_READERS = {"RMC": _rmc, "GGA": _gga, "GLL": _gll, "GNS": _gns, "GST": _gst, "ZDA": _zda, "PUBX": _pubx}


# --- fields -----------------------------------------------------------------------------------------


def _position(lat: str, ns: str, lon: str, ew: str) -> tuple[float, float] | None:
    """(lat_deg, lon_deg), or None where the fields are empty."""
    if not lat and not lon:
        return None
    if not (_LATITUDE.match(lat) and _LONGITUDE.match(lon)) or ns not in ("N", "S") or ew not in ("E", "W"):
        raise DeviceError("value", "latitude or longitude is not ddmm.mm,N,dddmm.mm,E")
    minutes, lon_minutes = float(lat[2:]), float(lon[3:])
    a, o = int(lat[:2]) + minutes / 60.0, int(lon[:3]) + lon_minutes / 60.0
    if a > 90.0 or o > 180.0 or minutes >= 60.0 or lon_minutes >= 60.0:
        raise DeviceError("value", "latitude or longitude out of range")
    return (a if ns == "N" else -a), (o if ew == "E" else -o)


def _time_of_day(text: str) -> int | None:
    """Nanoseconds since midnight of hhmmss.sss, None where the field is empty."""
    if not text:
        return None
    clock, fraction = text[:6], text[7:]
    if not (text.isascii() and clock.isdigit() and len(clock) == 6 and text[6:7] in ("", ".")) or (
        fraction and not fraction.isdigit()
    ):
        raise DeviceError("value", "time is not hhmmss.ss")
    hours, minutes, seconds = int(clock[:2]), int(clock[2:4]), int(clock[4:])
    if hours > 23 or minutes > 59 or seconds > 60:
        raise DeviceError("value", "time of day out of range")
    return (hours * 3600 + minutes * 60 + seconds) * NS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def _days(text: str) -> int | None:
    """Days since 1970 of ddmmyy or ddmmyyyy, None where the field is empty or no date."""
    if len(text) not in (6, 8) or not (text.isascii() and text.isdigit()):
        return None
    year = int(text[4:])
    if len(text) == 6:
        year += 1900 if year >= 80 else 2000
    try:
        days = date(year, int(text[2:4]), int(text[:2])).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    return days if 0 <= days < 50_000 else None


def _nearest(about_ns: int, tod: int) -> int:
    """The time with this time of day that is nearest to another time."""
    time_ns = about_ns - about_ns % DAY_NS + tod
    if time_ns - about_ns > DAY_NS // 2:
        return time_ns - DAY_NS
    return time_ns + DAY_NS if about_ns - time_ns > DAY_NS // 2 else time_ns


def _decimal(text: str) -> float | None:
    return float(text) if _DECIMAL.match(text) else None


def _satellites(used: str, hdop: str) -> dict[str, float | int]:
    out: dict[str, float | int] = {}
    if used.isascii() and used.isdigit() and len(used) <= 3:
        out["satellites"] = int(used)
    value = _decimal(hdop)
    if value is not None and 0.0 < value < 99.0:
        out["hdop"] = value
    return out


# --- the other way --------------------------------------------------------------------------------------


def encode(
    *,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    speed_mps: float = 0.0,
    course_deg: float = 0.0,
    alt_m: float | None = None,
    satellites: int = 9,
    hdop: float = 0.9,
    sigma_m: float = 3.0,
    talker: str = "GP",
    valid: bool = True,
    which: str = "RMC+GGA",
) -> bytes:
    """The sentences of one second as a receiver writes them, to 1e-5 minutes and 10 ms.

    Args:
        valid: False: status V and quality 0, positions empty.
        sigma_m: one sigma per axis, as GST says it.
        which: ``RMC``, ``GGA``, ``GST``, or some of them joined by ``+``, in that order.
    """
    from birddog.units import iso_from_ns

    stamp = iso_from_ns(time_ns)
    clock, day = stamp[11:13] + stamp[14:16] + stamp[17:22], stamp[8:10] + stamp[5:7] + stamp[2:4]
    place = f"{_degrees(lat_deg, 2)},{'NS'[lat_deg < 0]},{_degrees(lon_deg, 3)},{'EW'[lon_deg < 0]}" if valid else ",,,"
    out = b""
    for kind in which.split("+"):
        if kind == "RMC":
            motion = f"{speed_mps / KNOT_MPS:.3f},{course_deg % 360.0:.2f}" if valid else ","
            body = f"{talker}RMC,{clock},{'A' if valid else 'V'},{place},{motion},{day},,,{'A' if valid else 'N'}"
        elif kind == "GST":
            spread = ",".join([f"{sigma_m:.2f}"] * 3 + ["0.0"] + [f"{sigma_m:.2f}"] * 2 + [f"{sigma_m * 1.6:.2f}"])
            body = f"{talker}GST,{clock},{spread if valid else ',' * 6}"
        else:
            height = f"{alt_m:.1f},M" if valid and alt_m is not None else ",M"
            body = f"{talker}GGA,{clock},{place},{int(valid)},{satellites if valid else 0:02d},{hdop:.1f},{height},,M,,"
        out += sentences.seal("$", body)
    return out


def _degrees(value: float, width: int) -> str:
    units = round(abs(value) * 60e5)  # 1e-5 minutes
    degrees, rest = divmod(units, 6_000_000)
    return f"{degrees:0{width}d}{rest // 100_000:02d}.{rest % 100_000:05d}"
