"""Reads the sentences of a GNSS receiver (IEC 61162-1): what formats nmea and ubx share, for one line may carry both.

What each sentence holds, and what is made of it, is drawn in ``devices/formats/nmea.py``.  The fast path repeats what RMC and
GGA say in one expression each; a test holds it against the slow one.

Over 400 lines: sentence after sentence of one epoch, and the fast path beside the slow one that it repeats.
"""

from __future__ import annotations

import re
from math import hypot, sqrt

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Fix, Reading, TimeSource, Value
from birddog.units import KMH_MPS, KNOT_MPS, NS
from devices import sentences
from devices.clock import DAY_NS, NEAR_NS, ROLLOVER_NS, rollover, unset
from devices.codec import NOTHING, Decoded, Message, rejected
from devices.crc import xor8
from devices.sentences import VALID, nearest

#: A time of day further ahead of its reception is that of the day before; less may be a clock that is wrong, ours or its.
_AHEAD_NS = 7200 * NS
#: One sigma per axis of a fix that states none, where a resolution must be added: what the tracker takes for most classes.
_USUAL_M = 10.0
#: An accuracy of this and more is how a receiver says that it has none.
_UNKNOWN_M = 1e6
#: A dilution of this and more is how a receiver says that it has none (99.99): nothing is known of how good the position is.
_NO_DOP = 99.0
#: Degrees without their leading zeros are written by Samsung's phones (barbeau/gpstest#503: 8225.599374,W).
_LATITUDE = re.compile(r"(\d{1,2})(\d\d(?:\.\d*)?)\Z", re.ASCII)
_LONGITUDE = re.compile(r"(\d{1,3})(\d\d(?:\.\d*)?)\Z", re.ASCII)
#: The usual RMC and GGA, whole: what the fast path takes apart at one stroke.
_FAST_RMC = re.compile(
    rb"\$[A-OQ-Z][A-Z]RMC,(\d{6}(?:\.\d{1,9})?),A,(\d\d)([0-5]\d(?:\.\d{0,12})?),([NS]),(\d{3})([0-5]\d(?:\.\d{0,12})?),([EW]),"
    rb"(\d{1,6}(?:\.\d{0,9})?),(\d{1,3}(?:\.\d{0,9})?),(\d{6}),[\d.]*,[EW]?(?:,[ADRFP]?(?:,[A-Z]?)?)?\*([0-9A-Fa-f]{2})\r?\n?\Z"
)
_FAST_GGA = re.compile(
    rb"\$[A-OQ-Z][A-Z]GGA,(\d{6}(?:\.\d{1,9})?),(\d\d)([0-5]\d(?:\.\d{0,12})?),([NS]),(\d{3})([0-5]\d(?:\.\d{0,12})?),([EW]),"
    rb"([1-59]),(\d{1,2}),(\d{1,2}(?:\.\d{0,9})?),(-?\d{1,6}(?:\.\d{0,9})?),M,[-\d.]*,M?,[\d.]*,\d*\*([0-9A-Fa-f]{2})\r?\n?\Z"
)
#: AIS as it is heard: which part, the first characters of what it says; DSC: format, the caller's MMSI and a 0.
_VDM = re.compile(rb"[A-Z]{2}VDM,\d?,(\d?),\d?,[^,]?,([0-W`-w]{7})")
_DSC = re.compile(rb"[A-Z]{2}DSC,\d{0,3},(\d{9})")
_DECIMAL = re.compile(r"-?(\d{1,9}(\.\d*)?|\.\d+)\Z", re.ASCII)


class Decoder:
    """Decodes one receiver's sentences; remembers its date and the fields of the present epoch."""

    __slots__ = (
        "_alt", "_attributes", "_beside", "_clock", "_course", "_day", "_day_unset", "_days", "_flags", "_heard", "_last_ns",
        "_near", "_place", "_sigma", "_speed", "_stamp", "_stamped", "_step_m", "_tod", "_unset", "_void",
    )  # fmt: skip
    # of the present epoch, as far as its sentences said it
    _alt: float | None
    _speed: float | None
    _course: float | None
    _sigma: float | None
    _place: tuple[float, float] | None
    _flags: tuple[str, ...]
    _attributes: dict[str, Value]

    def __init__(self) -> None:
        self._last_ns: int | None = None  # the last time with a date that the receiver itself gave
        self._unset = False  # the receiver gave a date that is none
        self._beside = sentences.Clock()
        self._stamp: sentences.Stamp | None = None  # the time stated beside the present sentence
        self._stamped: sentences.Stamp | None = None  # the same of an earlier sentence of the present epoch
        self._near: sentences.Stamp | None = None  # the last time that was stated beside a sentence, or counted on from there
        self._tod: int | None = None
        self._heard = ""  # of whom the AIS sentence before was
        self._void = False
        self._clock = self._day = b""  # the fields that _tod and _days were read from, by the fast path
        self._days: int | None = None
        self._day_unset = False
        self._reset(None)

    def decode(self, message: Message) -> Decoded:
        """Observations of one sentence."""
        payload = message.payload
        if not payload or payload.isspace():
            return NOTHING
        try:
            fast = None if self._beside.pending is not None else _FAST_RMC.match(payload) or _FAST_GGA.match(payload)
            if fast is not None:
                self._stamp = None
                return self._fast(fast, payload, message)
            sentence = sentences.read(payload)
            self._stamp = self._beside.stamp(sentence)
            f = sentence.fields
            reader = _READERS.get(sentences.kind_of(f[0])) if sentence.start == "$" else None
            if reader is None or (reader is _pubx and f[1:2] != ["00"]):
                if self._place is None and sentence.start == "$" and (part := _position_elsewhere(f)):
                    return Decoded(unread=(part,))
                return self._passed_over(payload, message)
            return reader(self, f, message)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=self._passed_over(payload, message).device or message.device)
        except IndexError:
            return rejected("length", "a sentence with too few fields", device=message.device)

    def _passed_over(self, payload: bytes, message: Message) -> Decoded:
        """A sentence that says nothing here.  What AIS and DSC sentences say is of another ship: it is named, so that the
        door can judge whether their bytes may stay beside a receiver's own."""
        if b"VDM," not in payload and b"DSC," not in payload:
            return NOTHING
        if (heard := _VDM.search(payload)) is not None:
            part, armour = heard.groups()
            if part == b"1":
                # type 6 bits, repeat 2, MMSI 30 (ITU-R M.1371-5), six bits a character (IEC 61162-1, 8.3.97)
                bits = 0
                for byte in armour:
                    bits = bits << 6 | (byte - 48 if byte < 88 else byte - 56)
                self._heard = f"{bits >> 4 & 0x3FFFFFFF:09d}"
        elif (called := _DSC.search(payload)) is not None:
            self._heard = called[1].decode("ascii")
        else:
            return NOTHING
        return Decoded(device=self._heard if message.device else "")

    def _fast(self, fast: re.Match[bytes], payload: bytes, message: Message) -> Decoded:
        """RMC and GGA as nearly all are; what ``_rmc`` and ``_gga`` say of them, in a third of the time."""
        clock, lat, lat_min, ns, lon, lon_min, ew, *rest, given = fast.groups()
        if xor8(payload[1 : fast.end(fast.re.groups) - 3]) != int(given, 16):
            raise DeviceError("checksum", "wrong check sum")
        tod = self._tod
        if clock != self._clock or tod is None:
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
            if day != self._day or self._day_unset:
                self._day, self._days = day, sentences.days(day.decode("ascii"))
                self._day_unset = self._days is not None and unset(self._days * DAY_NS + tod, message.received_ns)
            if self._days is not None:
                self._unset = self._day_unset
                self._last_ns = None if self._day_unset else self._days * DAY_NS + tod
            self._speed = float(speed) * KNOT_MPS
            heading = float(course)
            if heading <= 360.0:
                self._course = heading % 360.0
            low = False
        else:
            quality, satellites, hdop, alt = rest
            self._alt = float(alt)
            low = quality == b"6"
            self._attributes = {"quality": int(quality), "satellites": (used := int(satellites))}
            if 0.0 < (value := float(hdop)) < _NO_DOP:
                self._attributes["hdop"] = value
                low = low or not used
            else:
                low = True
        a, o = int(lat) + float(lat_min) / 60.0, int(lon) + float(lon_min) / 60.0
        if a > 90.0 or o > 180.0:
            raise DeviceError("value", "latitude or longitude out of range")
        self._step_m = (
            0.0 if len(lat_min) > 5 and len(lon_min) > 5 else _step_m(lat_min.decode("ascii"), lon_min.decode("ascii"))
        )
        return self._fix(message, (a if ns == b"N" else -a, o if ew == b"E" else -o), low)

    # --- the present epoch ------------------------------------------------------------------------

    def _reset(self, tod: int | None) -> None:
        self._tod = tod
        self._clock = b""
        self._alt = self._speed = self._course = self._sigma = self._place = self._stamped = None
        self._step_m = 0.0
        self._flags = ()
        self._attributes = {}  # never changed in place: observations hold it

    def _at(self, text: str) -> None:
        """The sentence belongs to this time of day."""
        tod = sentences.time_of_day(text)
        if tod != self._tod:
            self._reset(tod)

    def _dated(self, days: int | None, received_ns: int | None) -> None:
        """The receiver itself says what day the present epoch has."""
        if days is not None and self._tod is not None:
            self._unset = unset(days * DAY_NS + self._tod, received_ns)
            self._last_ns = None if self._unset else days * DAY_NS + self._tod

    def _time(self, received_ns: int | None) -> tuple[int | None, TimeSource, tuple[str, ...]]:
        tod, stamp = self._tod, self._stamp or self._stamped
        self._stamped = stamp
        if self._last_ns is not None and tod is not None:
            time_ns = self._last_ns
            if time_ns % DAY_NS != tod:
                # the day that brings this time of day nearest to the last dated one: over midnight both ways
                time_ns = self._last_ns = nearest(time_ns, tod)
            if received_ns is None or received_ns - time_ns <= ROLLOVER_NS - NEAR_NS:
                return time_ns, "device", ()  # nearly always; what ``rollover`` says of it
            return time_ns, "device", rollover(time_ns, received_ns)
        if tod is None or self._unset:
            return (received_ns, "server", ("no_fix_time",)) if stamp is None else (stamp.time_ns, "gateway", stamp.flags)
        if stamp is None and received_ns is None:
            stamp = self._near  # a log whose receiver states the time now and then
        if stamp is not None:
            self._near = sentences.Stamp(nearest(stamp.time_ns, tod), stamp.flags)
            return self._near.time_ns, "gateway", stamp.flags
        if received_ns is None:
            return None, "server", ()
        near = nearest(received_ns, tod)
        # a log without a date that is read in the morning may be of last night; nothing is of this evening
        return (near - DAY_NS if near - received_ns > _AHEAD_NS else near), "server", ()

    def _fix(self, message: Message, place: tuple[float, float] | None, low: bool = False) -> Decoded:
        """The fix of the present epoch with all that is known of it."""
        if place is None or null_island(*place):
            return self._no_fix(message)
        self._void, self._place = False, place
        if low:
            self._flags = ("low_quality",)
        time_ns, source, flags = self._time(message.received_ns)
        sigma_m = self._sigma
        if self._step_m:
            sigma_m = hypot(_USUAL_M if sigma_m is None else sigma_m, self._step_m)
        fix = Fix(
            device=message.device,
            time_ns=time_ns,
            time_source=source,
            flags=flags + self._flags,
            lat_deg=place[0],
            lon_deg=place[1],
            alt_m=self._alt,
            alt_ref="unknown" if self._alt is None else "msl",
            sigma_m=sigma_m,
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
                    device=message.device, time_ns=time_ns, time_source=source, flags=(*flags, "no_fix"), quantity="fix_valid",
                    value=False,
                ),
            )
        )  # fmt: skip


# --- sentences: fields as in the layout above, f[0] is the address ------------------------------------


def _rmc(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    mode = f[12] if len(f) > 12 else ""
    if f[2] not in VALID or mode in ("N", "M", "S"):
        return d._no_fix(message)  # nor is its date believed: a receiver without a fix may not know it
    d._dated(sentences.days(f[9]), message.received_ns)
    place = _position(d, f[3], f[4], f[5], f[6])
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
    place = _position(d, f[2], f[3], f[4], f[5])
    alt = _decimal(f[9])
    if alt is not None and f[10] in ("M", ""):
        d._alt = alt
    d._attributes = {"quality": int(quality), **_satellites(f[7], f[8])}
    return d._fix(message, place, quality == "6" or _unsure(f[7], f[8]))


def _gll(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[5])
    mode = f[7] if len(f) > 7 else ""
    if f[6] not in VALID or mode in ("N", "M", "S"):
        return d._no_fix(message)
    return d._fix(message, _position(d, f[1], f[2], f[3], f[4]), mode == "E")


def _gns(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    # one letter a satellite system; any of these is a position of its own
    if not set(f[6]) & set("ADPRFE"):
        return d._no_fix(message)
    place = _position(d, f[2], f[3], f[4], f[5])
    alt = _decimal(f[9])
    if alt is not None:
        d._alt = alt
    d._attributes = _satellites(f[7], f[8])
    return d._fix(message, place, not set(f[6]) & set("ADPRF") or _unsure(f[7], f[8]))


def _gst(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    north, east = _decimal(f[6]), _decimal(f[7])
    if north is None or east is None or not 0.0 < hypot(north, east) < 1e6:
        return NOTHING
    d._sigma = sqrt((north * north + east * east) / 2.0)
    return NOTHING if d._place is None else d._fix(message, d._place)


def _vtg(d: Decoder, f: list[str], message: Message) -> Decoded:
    """Speed and course of the position before it, unless that has them from its own sentence."""
    if d._place is None or d._speed is not None or (f[9] if len(f) > 9 else "") in ("N", "M", "S"):
        return NOTHING
    knots, kmh = (_decimal(f[5]) if f[6] == "N" else None), (_decimal(f[7]) if f[8] == "K" else None)
    speed = knots * KNOT_MPS if knots is not None else None if kmh is None else kmh * KMH_MPS
    course = _decimal(f[1]) if f[2] == "T" else None
    if speed is None or speed < 0.0:
        return NOTHING
    d._speed = speed
    if course is not None and 0.0 <= course <= 360.0:
        d._course = course % 360.0
    return d._fix(message, d._place)


def _zda(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[1])
    if f[1] and f[2] and f[3] and f[4]:
        d._dated(sentences.days(f[2].zfill(2) + f[3].zfill(2) + f[4]), message.received_ns)
    return NOTHING


def _pubx(d: Decoder, f: list[str], message: Message) -> Decoded:
    d._at(f[2])
    if f[8] not in ("G2", "G3", "D2", "D3", "RK", "DR"):
        return d._no_fix(message)
    place = _position(d, f[3], f[4], f[5], f[6])
    accuracy, speed, course = _decimal(f[9]), _decimal(f[11]), _decimal(f[12])
    if accuracy is not None and accuracy > 0.0:
        d._sigma = accuracy / sqrt(2.0)  # of both axes together, as u-blox's hAcc
    if speed is not None and speed >= 0.0:
        d._speed = speed * KMH_MPS
    if course is not None and 0.0 <= course <= 360.0:
        d._course = course % 360.0
    return d._fix(message, place, f[8] == "DR" or (accuracy is not None and not 0.0 < accuracy < _UNKNOWN_M))


_READERS = {"RMC": _rmc, "GGA": _gga, "GLL": _gll, "GNS": _gns, "GST": _gst, "VTG": _vtg, "ZDA": _zda, "PUBX": _pubx}


#: Sentences that hold a position and are not read, by address and, where the maker has many under one, by the next field:
#: Garmin (GPS 18x specification, 4.2.4), Trimble (PTNL,GGK; also GGK and GNGGK), Ashtech and Novatel (PASHR,POS), Leica (LLK,
#: LLQ), Quectel (LC29H), ST (Teseo), Loran's RMA (IEC 61162-1).
_ELSEWHERE = {
    "PGRMF": "", "GGK": "", "LLK": "", "LLQ": "", "RMA": "", "PQTMPVT": "", "PSTMPV": "", "PTNL": "GGK", "PASHR": "POS",
}  # fmt: skip


def _position_elsewhere(f: list[str]) -> str:
    """The name for ``unread`` of a sentence whose position is not read; "" of any other."""
    kind = sentences.kind_of(f[0])
    more = _ELSEWHERE.get(kind)
    if more is None or (more and f[1:2] != [more]):
        return ""
    return f"sentence.{kind}.{more}".lower().rstrip(".")


# --- fields -----------------------------------------------------------------------------------------


def _position(d: Decoder, lat: str, ns: str, lon: str, ew: str) -> tuple[float, float] | None:
    """(lat_deg, lon_deg), or None where the fields are empty."""
    if not lat and not lon:
        return None
    north, east = _LATITUDE.match(lat), _LONGITUDE.match(lon)
    if not north or not east or ns not in ("N", "S") or ew not in ("E", "W"):
        raise DeviceError("value", "latitude or longitude is not ddmm.mm,N,dddmm.mm,E")
    minutes, lon_minutes = float(north[2]), float(east[2])
    a, o = int(north[1]) + minutes / 60.0, int(east[1]) + lon_minutes / 60.0
    if a > 90.0 or o > 180.0 or minutes >= 60.0 or lon_minutes >= 60.0:
        raise DeviceError("value", "latitude or longitude out of range")
    d._step_m = _step_m(north[2], east[2])
    return (a if ns == "N" else -a), (o if ew == "E" else -o)


def _step_m(*minutes: str) -> float:
    """One sigma of the steps in which minutes with so few decimals are written, 0 where they are fine enough."""
    decimals = min(len(text.partition(".")[2]) for text in minutes)
    return 0.0 if decimals > 2 else 1852.0 / 10**decimals / sqrt(12.0)


def _decimal(text: str) -> float | None:
    return float(text) if _DECIMAL.match(text) else None


def _satellites(used: str, hdop: str) -> dict[str, Value]:
    out: dict[str, Value] = {}
    if used.isascii() and used.isdigit() and len(used) <= 3:
        out["satellites"] = int(used)
    value = _decimal(hdop)
    if value is not None and 0.0 < value < _NO_DOP:
        out["hdop"] = value
    return out


def _unsure(used: str, hdop: str) -> bool:
    """Whether a fix of no satellites is stated, or an HDOP of 99 and more or of 0, which none can have."""
    value = _decimal(hdop)
    return (value is not None and not 0.0 < value < _NO_DOP) or used.strip("0") == "" != used
