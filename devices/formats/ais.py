r"""AIS: what vessels broadcast (ITU-R M.1371), as the AIVDM sentences that receivers hand on.

The sentence, and the bits in its armoured payload (six a character, big-endian)::

    [\s:station,c:POSIX s or ms*hh\] !AIVDM,parts,part,id,channel,payload,fill*hh CR LF

    all    type 6 | repeat 2 | mmsi 30 | …
    1 2 3  class A, 168 bits     … status 4 | turn 8 | sog 10 | accuracy 1 | lon 28 | lat 27 | cog 12 | heading 9 | second 6 …
    18     class B, 168 bits     … 8 |                 sog 10 | accuracy 1 | lon 28 | lat 27 | cog 12 | heading 9 | second 6 …
    9      aircraft, 168 bits    … altitude 12 |       sog 10 | accuracy 1 | lon 28 | lat 27 | cog 12 | second 6 …
    4 11   station, 168 bits     … year 14 | month 4 | day 5 | hour 5 | minute 6 | second 6 | accuracy 1 | lon 28 | lat 27 …
    27     long range, 96 bits   … accuracy 1 | raim 1 | status 4 | lon 18 | lat 17 | sog 6 | cog 9 …
    14     safety, 40 to 1008    … 2 | text, six bits a character
    5 19 21 24                   static data, buoys: read by pyais

A message whose length its type does not have is noise with a lucky first byte: reject ``length`` (``_BITS``).

Not available, by the field's own width, is no value: lon 181, lat 91 (no fix); sog 1023 (27: 63); cog 3600 (27: 511); heading
511; status 15; altitude 4095; second 60; names of @; draught, imo, type and sizes of 0; year, month, day 0, hour 24, minute 60.
lon, lat are in 1/600000 degree (27: 1/600), sog in 0.1 knot (9 and 27: knots), cog in 0.1 degree (27: degrees).  The MMSI
is the device, as nine digits.

How good: 27 is in steps of 0.1 minute, cut off: ``sigma_m`` is step / √3 = 107 m; accuracy 0 (worse than 10 m) is 15 m per
axis, 1 (better) is not said.  Second 61 (typed in), 62 (dead reckoning) and 63 (no position system) are ``low_quality``, but
of a buoy (21) whose place was surveyed.

Static data (name, call sign, type, destination, size) are readings: ship_name, callsign, ship_type, destination, imo,
length, beam, draught.  Distress: status 14 from an MMSI that begins with 970 (AIS-SART), 972 (man overboard), 974 (EPIRB) is
the alarm sos, of anybody else it is a wrong setting; the text of a 14 is the reading safety_text, and of such a device the
alarm, unless it says TEST.  A message in parts is put together whatever comes between them; a set that is not whole after
``STALE_AFTER`` sentences, or whose number is used again, is a reject ``framing`` (what is not whole when the receiver's
session ends stays raw, unsaid).

Time: AIS reports carry only their second (attribute ``utc_second``).  What their receiver states beside the sentence
(``devices.sentences``: tag block, group, leading and trailing times), or by the GPS sentences between the reports, is
``gateway``; the latter is moved to the report's own second, and flagged ``stale_time`` when the last one is far back in a log.
A base station states its own (``device``); where there is no time of reception it dates what follows, with the flag
``base_station_time``.  Else the reception's (``server``).  Plain position reports are decoded here, because a busy coast sends
thousands a second; pyais does what carries text and is, in the tests, the judge of the rest.

Over 400 lines: one message set, read and written.

Source: ITU-R M.1371-5 (02/2014), annex 8 (tables 45 to 89) and annex 9; IEC 61162-1 8.3 (VDM); gpsd "AIVDM/AIVDO protocol
decoding" (armour, fill bits, lengths).
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import Any

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Alarm, Fix, Observation, Reading, Reject
from birddog.units import KNOT_MPS, NS, ns_from_datetime
from devices import clock, sentences
from devices.codec import NOTHING, Decoded, Message, rejected
from devices.sentences import Framer

__all__ = ["STREAM", "VERSION", "Decoder", "Framer", "encode"]

VERSION = 5
STREAM = True
TEXT = True
BROADCAST = True

#: Unfinished multi-part messages kept at once, and for how many sentences.
MOST_SETS = 64
STALE_AFTER = 500
#: Of a whole message of 1064 bits, and so of any part.
MOST_CHARACTERS = 178

_MINUTE_NS = 60 * NS
#: Six-bit characters.
_SIX = "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_ !\"#$%&'()*+,-./0123456789:;<=>?"
_ARMOUR = bytes(range(48, 88)) + bytes(range(96, 120))
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#: Armour characters to base64's; every other byte to one that base64 refuses.
_TO_BASE64 = bytes(_BASE64[_ARMOUR.index(c)] if c in _ARMOUR else 0x2A for c in range(256))
#: Bits that a message of a type may have: (least, most, in steps of).  What fill bits said wrongly add, up to 5, is let pass.
#: 5: 420 and 422 of older transponders; 24: part A of 160 or 168; 27: 168 where the transponder fills its slot.
_BITS = {
    1: (168, 168, 1), 2: (168, 168, 1), 3: (168, 168, 1), 4: (168, 168, 1), 5: (420, 424, 2), 6: (72, 1008, 1),
    7: (72, 168, 32), 8: (56, 1008, 1), 9: (168, 168, 1), 10: (72, 72, 1), 11: (168, 168, 1), 12: (72, 1008, 1),
    13: (72, 168, 32), 14: (40, 1008, 1), 15: (88, 160, 1), 16: (96, 144, 48), 17: (80, 816, 1), 18: (168, 168, 1),
    19: (312, 312, 1), 20: (72, 160, 1), 21: (272, 360, 1), 22: (168, 168, 1), 23: (160, 160, 1), 24: (160, 168, 8),
    25: (40, 168, 1), 26: (60, 1064, 1), 27: (96, 168, 72),
}  # fmt: skip
_LENGTHS = {
    kind: frozenset(n for bits in range(least, most + 1, step) for n in range(bits, -(-bits // 6) * 6 + 1))
    for kind, (least, most, step) in _BITS.items()
}
# Orbcomm and rtl_ais write 24 with 2 or 4 fill bits too many or none (tbsalling/aismessages#11, #38, #47; schwehr/libais#177)
_LENGTHS[24] = frozenset(range(158, 169))
#: Types that say nothing here.
_SILENT = frozenset(_BITS) - {1, 2, 3, 4, 5, 9, 11, 14, 18, 19, 21, 24, 27}
#: Who may call for help (ITU-R M.585-9, annex 2): first digits of the MMSI.
_DISTRESS = {"970": "AIS-SART", "972": "man overboard", "974": "EPIRB"}
#: One sigma per axis of a position whose accuracy bit is 0: "worse than 10 m", of how much nothing is said.
_POOR_M = 15.0
#: Of type 27: the step of 0.1 minute, cut off, so that its mean is off by half of it.
_LONG_RANGE_M = 185.2 / 3**0.5
#: GPS sentences and a report's own second are believed to belong together when they are no farther apart.
_SECOND_NS = 15 * NS
#: Of type 21, what kind of position system (table 74): the place was surveyed.
_SURVEYED = 7
_STATIC = frozenset({5, 19, 21, 24})
_PARTS_LOST = "a message of several parts, of which some never came"


class Decoder:
    """Decodes one receiver's sentences; holds the parts of messages that are not whole yet."""

    __slots__ = ("_clock", "_count", "_dated", "_sets", "_station_ns")

    def __init__(self) -> None:
        self._count = 0
        self._sets: dict[tuple[str, str, str, str], tuple[int, dict[str, tuple[str, int]], sentences.Stamp | None]] = {}
        self._clock = sentences.Clock()
        self._dated = (0, 0)  # which GPS sentence dates what is heard, and at which report it came
        self._station_ns: int | None = None  # the time that a base station stated last

    def decode(self, message: Message) -> Decoded:
        """Observations of one sentence."""
        line = message.payload
        if not line or line.isspace():
            return NOTHING
        try:
            sentence = sentences.read(line)
            stamp = self._clock.stamp(sentence)
            f = sentence.fields
            if sentence.start != "!":
                if f:
                    self._clock.hear(f, message.received_ns)
                return NOTHING
            if f[0][-3:] not in ("VDM", "VDO"):
                return NOTHING
            self._count += 1
            stale = self._stale()
            done = self._decode(f, stamp, message)
            return (
                Decoded(observations=done.observations, rejects=(*done.rejects, *stale), device=done.device) if stale else done
            )
        except DeviceError as error:
            return rejected(error.reason, error.detail)

    def _decode(self, f: list[str], stamp: sentences.Stamp | None, message: Message) -> Decoded:
        if len(f) < 7 or not (f[6][:1].isdigit() and f[6][:1].isascii()):
            raise DeviceError("length", "a sentence with too few fields")
        if f[1] == "1" and f[2] == "1":
            return self._report(f[5], int(f[6][0]), stamp, message)
        if not (f[1] in "23456789" and f[2] in "123456789" and len(f[1]) == len(f[2]) == 1 and f[2] <= f[1]):
            raise DeviceError("value", "part numbers that cannot be")
        if len(f[5]) > MOST_CHARACTERS:
            raise DeviceError("length", f"a part of {len(f[5])} characters")
        key = (f[0][:8], f[1], f[3][:4], f[4][:2])
        _, parts, before = self._sets.pop(key, (0, {}, None))
        part = (f[5], int(f[6][0]))
        lost: tuple[Reject, ...] = ()
        if parts.get(f[2], part) != part:
            # the number has been used again: what was there belonged to another message
            parts, before, lost = {}, None, (Reject("framing", _PARTS_LOST),)
        parts[f[2]] = part
        stamp = before or stamp  # a message is as old as its first part
        if len(parts) < int(f[1]):
            self._sets[key] = (self._count, parts, stamp)
            return Decoded(rejects=lost) if lost else NOTHING
        whole = [parts[number] for number in sorted(parts)]
        return self._report("".join(payload for payload, _ in whole), whole[-1][1], stamp, message)

    def _report(self, payload: str, fill: int, stamp: sentences.Stamp | None, message: Message) -> Decoded:
        """One whole message at its time."""
        if stamp is not None:
            return report(payload, fill, stamp.time_ns, "gateway", stamp.flags)
        time_ns = None if self._clock.time_ns is None else self._clock.now_ns(message.received_ns)
        if time_ns is not None:
            if self._dated[0] != self._clock.count:
                self._dated = (self._clock.count, self._count)
            # in a log the clock stands still between GPS sentences
            stale = message.received_ns is None and self._count - self._dated[1] > STALE_AFTER
            return report(payload, fill, time_ns, "gateway", ("stale_time",) if stale else (), exact=False)
        if message.received_ns is None and self._station_ns is not None and payload[:1] != "4":
            return report(payload, fill, self._station_ns, "gateway", ("base_station_time",), exact=False)
        said = report(payload, fill, message.received_ns, "server")
        if payload[:1] == "4" and said.observations and said.observations[0].time_source == "device":
            self._station_ns = said.observations[0].time_ns
        return said

    def _stale(self) -> tuple[Reject, ...]:
        """Sets that will not be whole any more; the oldest comes first in the dict."""
        out: list[Reject] = []
        while self._sets:
            key = next(iter(self._sets))
            if len(self._sets) <= MOST_SETS and self._count - self._sets[key][0] < STALE_AFTER:
                break
            del self._sets[key]
            out.append(Reject("framing", _PARTS_LOST))
        return tuple(out)


def report(
    payload: str, fill: int, time_ns: int | None, source: str, flags: tuple[str, ...] = (), *, exact: bool = True
) -> Decoded:
    """Observations of one whole armoured message.

    Args:
        exact: False: the time is that of another sentence near it; where the report's own second is near it, it is moved there.

    Raises:
        DeviceError: value, length or type.
    """
    size = len(payload) * 6 - fill
    if not 40 <= size <= 1064 + 6 or fill > 5:
        raise DeviceError("length", f"a message of {size} bits")
    raw = payload.encode("ascii").translate(_TO_BASE64)
    try:
        packed = binascii.a2b_base64(raw + b"A" * (-len(raw) % 4), strict_mode=True)
    except binascii.Error:
        raise DeviceError("value", "a character that AIS does not use") from None
    n, total = int.from_bytes(packed, "big"), len(packed) * 8
    kind = n >> total - 6
    if not 1 <= kind <= 27:
        raise DeviceError("type", f"message type {kind}")
    number = n >> total - 38 & 0x3FFFFFFF
    if number > 999_999_999:
        raise DeviceError("value", "an MMSI of ten digits")
    mmsi = f"{number:09d}"
    if size not in _LENGTHS[kind]:
        raise DeviceError("length", f"a message of type {kind} with {size} bits")
    if kind in _SILENT:
        return Decoded(device="")
    if kind in _STATIC:
        return _static(payload, fill, kind, mmsi, time_ns, source, flags, exact)

    def bits(start: int, count: int) -> int:
        return n >> total - start - count & (1 << count) - 1

    if kind == 14:
        return _safety("".join(_SIX[bits(at, 6)] for at in range(40, size - 5, 6)), mmsi, time_ns, source, flags)
    place, altitude = 0, None
    heading = status = speed = second = None  # speed in 0.1 knot, course in 0.1 degree
    if kind <= 3 or kind == 18:
        # nearly all: taken apart in place; of class B the fields come four bits earlier
        m = n >> total - (168 if kind <= 3 else 164)
        status, speed, accurate = (m >> 126 & 15 if kind <= 3 else None), m >> 108 & 1023, m >> 107 & 1
        lon, lat = _signed(m >> 79 & 0xFFFFFFF, 28) / 600_000.0, _signed(m >> 52 & 0x7FFFFFF, 27) / 600_000.0
        course, heading, second = m >> 40 & 4095, m >> 31 & 511, m >> 25 & 63
        speed = speed if speed < 1023 else None
    elif kind == 9:
        place, speed, course, altitude, second = 61, bits(50, 10), bits(116, 12), bits(38, 12), bits(128, 6)
        speed = speed * 10 if speed < 1023 else None
    elif kind == 27:
        place, speed, course, status = 44, bits(79, 6), bits(85, 9) * 10, bits(40, 4)
        speed = speed * 10 if speed < 63 else None
    else:
        place, course = 79, 3600
        time_ns, source, flags = _station_time(bits, time_ns, source, flags)
    if kind == 27:
        lon, lat = _signed(bits(44, 18), 18) / 600.0, _signed(bits(62, 17), 17) / 600.0
        sigma = _LONG_RANGE_M if bits(38, 1) else (_LONG_RANGE_M**2 + _POOR_M**2) ** 0.5
    else:
        if place:
            lon, lat = _signed(bits(place, 28), 28) / 600_000.0, _signed(bits(place + 28, 27), 27) / 600_000.0
            accurate = bits(place - 1, 1)
        sigma = None if accurate else _POOR_M

    attributes: dict[str, Any] = {"msg_type": kind}
    if status is not None and status != 15:
        attributes["nav_status"] = status
    if heading is not None and heading < 360:
        attributes["heading_deg"] = heading
    if second is not None and second < 60:
        attributes["utc_second"] = second
        if not exact and time_ns is not None:
            time_ns = _at_second(time_ns, second)
    elif second is not None and second > 60:
        flags = (*flags, "low_quality")
    observation = _place(
        mmsi,
        time_ns,
        source,
        lat,
        lon,
        attributes,
        flags,
        sigma_m=sigma,
        speed_mps=None if speed is None else speed * 0.1 * KNOT_MPS,
        course_deg=course * 0.1 if course < 3600 else None,
        alt_m=float(altitude) if altitude is not None and altitude < 4095 else None,
    )
    if status == 14 and kind <= 3 and mmsi[:3] in _DISTRESS:
        text = f"{_DISTRESS[mmsi[:3]]} active"
        call = Alarm(device=mmsi, time_ns=time_ns, time_source=source, flags=flags, alarm="sos", text=text)  # type: ignore[arg-type]
        return Decoded(observations=(observation, call))
    return Decoded(observations=(observation,))


def _safety(text: str, mmsi: str, time_ns: int | None, source: Any, flags: tuple[str, ...]) -> Decoded:
    """A text that all are to read; of who may call for help it is the call, or its test."""
    text = text.partition("@")[0].strip()
    if not text:
        return NOTHING
    out: tuple[Observation, ...] = (_reading(mmsi, time_ns, source, flags, "safety_text", text, ""),)
    if mmsi[:3] in _DISTRESS and "TEST" not in text:
        said = f"{_DISTRESS[mmsi[:3]]}: {text}"
        out += (Alarm(device=mmsi, time_ns=time_ns, time_source=source, flags=flags, alarm="sos", text=said),)
    return Decoded(observations=out)


def _at_second(time_ns: int, second: int) -> int:
    """The time near a report, moved to the report's own second: the former says which minute it was, within half of one."""
    off_ns = (second * NS - time_ns % _MINUTE_NS + _MINUTE_NS // 2) % _MINUTE_NS - _MINUTE_NS // 2
    return time_ns + (off_ns if abs(off_ns) <= _SECOND_NS else 0)


def _signed(value: int, count: int) -> int:
    return value - (1 << count) if value >> count - 1 else value


def _place(
    mmsi: str,
    time_ns: int | None,
    source: Any,
    lat: float,
    lon: float,
    attributes: dict[str, Any],
    flags: tuple[str, ...] = (),
    *,
    sigma_m: float | None = None,
    speed_mps: float | None = None,
    course_deg: float | None = None,
    alt_m: float | None = None,
) -> Observation:
    """A fix, or where the position is not available (or 0, 0) the reading that says so."""
    if -90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0 and not null_island(lat, lon):
        return Fix(
            device=mmsi, time_ns=time_ns, time_source=source, flags=flags, lat_deg=lat, lon_deg=lon,
            alt_m=alt_m, sigma_m=sigma_m, speed_mps=speed_mps, course_deg=course_deg, attributes=attributes,
        )  # fmt: skip
    if lat == 91.0 or lon == 181.0 or null_island(lat, lon):
        return Reading(
            device=mmsi, time_ns=time_ns, time_source=source, flags=(*flags, "no_fix"), quantity="fix_valid", value=False
        )
    raise DeviceError("value", "latitude or longitude out of range")


def _station_time(
    bits: Any, time_ns: int | None, source: str, flags: tuple[str, ...]
) -> tuple[int | None, str, tuple[str, ...]]:
    try:
        stamp = datetime(bits(38, 14), bits(52, 4), bits(56, 5), bits(61, 5), bits(66, 6), bits(72, 6), tzinfo=UTC)
    except ValueError:
        return time_ns, source, flags  # year 0, hour 24 and so on: not available
    own_ns = ns_from_datetime(stamp)
    return (own_ns, "device", ()) if stamp.year < 2100 and not clock.unset(own_ns, time_ns) else (time_ns, source, flags)


def _static(
    payload: str, fill: int, kind: int, mmsi: str, time_ns: int | None, source: Any, flags: tuple[str, ...], exact: bool
) -> Decoded:
    """Types 5, 19, 21 and 24 through pyais."""
    import pyais

    try:
        said = pyais.decode(f"!AIVDM,1,1,,A,{payload},{fill}*00").asdict()  # the sums were checked sentence by sentence
    except Exception as error:  # boundary: another program's decoder on bytes from anywhere
        raise DeviceError("value", f"type {kind}: {type(error).__name__}") from error
    out: list[Observation] = []
    if kind in (19, 21):
        lat, lon = said.get("lat"), said.get("lon")
        if type(lat) is not float or type(lon) is not float:
            raise DeviceError("length", f"a message of type {kind} without its position")
        speed, course = said.get("speed"), said.get("course")
        attributes: dict[str, Any] = {"msg_type": kind}
        heading, second = said.get("heading"), said.get("second")
        if kind == 19 and type(heading) is int and heading < 360:
            attributes["heading_deg"] = heading
        if type(second) is int and second < 60:
            attributes["utc_second"] = second
            time_ns = time_ns if exact or time_ns is None else _at_second(time_ns, second)
        place_flags = flags
        # the place of a buoy that was surveyed is typed in, and good
        if type(second) is int and second > 60 and not (kind == 21 and said.get("epfd") == _SURVEYED):
            place_flags = (*place_flags, "low_quality")
        if kind == 21 and said.get("virtual_aid"):
            place_flags = (*place_flags, "virtual")
        out.append(
            _place(
                mmsi, time_ns, source, lat, lon, attributes, place_flags,
                sigma_m=None if said.get("accuracy") else _POOR_M,
                speed_mps=speed * KNOT_MPS if kind == 19 and type(speed) is float and speed < 102.25 else None,
                course_deg=course if kind == 19 and type(course) is float and 0.0 <= course < 360.0 else None,
            )
        )  # fmt: skip
    words = {"ship_name": said.get("name") if kind == 21 else said.get("shipname")}
    words |= {"callsign": said.get("callsign"), "destination": said.get("destination")}
    for quantity, word in words.items():
        if isinstance(word, str) and word.strip(" @"):
            out.append(_reading(mmsi, time_ns, source, flags, quantity, word.strip(" @"), ""))
    numbers = {"ship_type": (said.get("ship_type"), ""), "imo": (said.get("imo"), ""), "draught": (said.get("draught"), "m")}
    # of an auxiliary craft (98…) the mother ship's MMSI stands where sizes would (table 84)
    sides: list[Any] = [
        None if kind == 24 and mmsi[:2] == "98" else said.get(f"to_{side}") for side in ("bow", "stern", "port", "starboard")
    ]
    if all(isinstance(side, int) for side in sides):
        numbers |= {"length": (sides[0] + sides[1], "m"), "beam": (sides[2] + sides[3], "m")}
    for quantity, (value, unit) in numbers.items():
        if isinstance(value, int | float) and value:
            out.append(
                _reading(mmsi, time_ns, source, flags, quantity, float(value) if isinstance(value, float) else int(value), unit)
            )
    return Decoded(observations=tuple(out))


def _reading(
    mmsi: str, time_ns: int | None, source: Any, flags: tuple[str, ...], quantity: str, value: Any, unit: str
) -> Reading:
    return Reading(device=mmsi, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity, value=value, unit=unit)


# --- the other way ----------------------------------------------------------------------------------------


def encode(
    *,
    mmsi: int,
    lat_deg: float | None = None,
    lon_deg: float | None = None,
    time_ns: int = 0,
    speed_mps: float | None = None,
    course_deg: float | None = None,
    heading_deg: float | None = None,
    class_b: bool = False,
    status: int = 0,
    name: str = "",
    callsign: str = "",
    destination: str = "",
    ship_type: int = 0,
    imo: int = 0,
    length_m: float = 0.0,
    beam_m: float = 0.0,
    draught_m: float = 0.0,
    accurate: bool = True,
    channel: str = "A",
    sequence: int = 0,
    station: str = "",
) -> bytes:
    """The sentences of one message: with ``name`` static data (type 5, two parts), else a position (1, or 18 for class B).

    Args:
        lat_deg, lon_deg: None = not available.
        accurate: the accuracy bit: better than 10 m.
        sequence: number of the multi-part message, 0 to 9.
        station: with it a tag block of this receiver and ``time_ns`` leads.
    """
    if name:
        bits = (
            _Bits().add(5, 6).add(0, 2).add(mmsi, 30).add(0, 2).add(imo, 30).text(callsign, 7).text(name, 20).add(ship_type, 8)
        )
        bow, port = round(length_m * 0.7), round(beam_m / 2.0)
        bits.add(bow, 9).add(round(length_m) - bow, 9).add(port, 6).add(round(beam_m) - port, 6)
        bits.add(1, 4).add(0, 20).add(round(draught_m * 10), 8).text(destination, 20).add(0, 2)
    else:
        lon = 181 * 600_000 if lon_deg is None else round(lon_deg * 600_000)
        lat = 91 * 600_000 if lat_deg is None else round(lat_deg * 600_000)
        sog = 1023 if speed_mps is None else min(round(speed_mps / KNOT_MPS * 10), 1022)
        cog = 3600 if course_deg is None else round(course_deg * 10) % 3600
        heading = 511 if heading_deg is None else round(heading_deg) % 360
        bits = _Bits().add(18 if class_b else 1, 6).add(0, 2).add(mmsi, 30)
        if class_b:
            bits.add(0, 8)
        else:
            bits.add(status, 4).add(0x80, 8)
        bits.add(sog, 10).add(int(accurate), 1).add(lon, 28).add(lat, 27).add(cog, 12).add(heading, 9)
        bits.add(time_ns // NS % 60, 6)
        bits.add(0, 168 - bits.size)
    payload, fill = bits.armour()
    pieces = [payload[i : i + 60] for i in range(0, len(payload), 60)]
    tag = b""
    if station:
        block = f"s:{station},c:{time_ns // NS}"
        tag = b"\\" + sentences.seal("", block)[:-2] + b"\\"
    out = b""
    for k, piece in enumerate(pieces, 1):
        number = str(sequence % 10) if len(pieces) > 1 else ""
        body = f"AIVDM,{len(pieces)},{k},{number},{channel},{piece},{fill if k == len(pieces) else 0}"
        out += tag + sentences.seal("!", body)
    return out


class _Bits:
    """Bits in the order in which they are sent."""

    def __init__(self) -> None:
        self.value, self.size = 0, 0

    def add(self, value: int, count: int) -> _Bits:
        self.value = self.value << count | value & (1 << count) - 1
        self.size += count
        return self

    def text(self, text: str, count: int) -> _Bits:
        """Six-bit characters (@A-Z[\\]^_ and space to ?), @ where the text ends; what AIS has not becomes a space."""
        for c in text.upper()[:count].ljust(count, "@"):
            code = ord(c)
            self.add(code - 64 if 64 <= code < 96 else code if 32 <= code < 64 else 32, 6)
        return self

    def armour(self) -> tuple[str, int]:
        """(armoured text, fill bits)."""
        fill = -self.size % 6
        count = (self.size + fill) // 6
        value = self.value << fill
        return "".join(chr(_ARMOUR[value >> 6 * (count - 1 - i) & 63]) for i in range(count)), fill
