r"""Cuts a byte stream into the lines of IEC 61162 / NMEA 0183, and says what time states itself beside a sentence.

A frame, drawn::

    [ time ] [ \ tag block \ ]…  $ or !  printable bytes without $  [ *hh  [ , station , time ] [ \ tag block \ ] ]  LF
    ^ offset

A sentence ends with its line feed; one that is cut short by the next ``$``, by a byte that no sentence holds, or by the
end of the stream is handed on without it and stands or falls by its check sum.  Whatever lies between sentences is
rubbish (one reject a run); white space alone is a piece that says nothing, as is the ``UdPbC`` NUL of a datagram of
IEC 61162-450.  A line of tag blocks alone is a piece of its own: it belongs to the sentence that comes next.

The receiver's time (``Stamp``) stands, and is looked for, in this order:

* in a tag block: ``c:`` POSIX seconds, with a fraction or an exponent, or in ms (12 to 14 digits), µs (15 to 17), ns;
  ``g:n-of-id`` (or ``nGof:id``) makes one group, whose first carries the time; a wrong check sum makes it none;
* before the sentence: ``1619000000.123 ``, ``(1619000000.123) can0 ``, ``2021-06-15T12:00:00.5Z,``; a time of day
  without a date is none.  One without a zone is taken for UTC and flagged ``zone_assumed``;
* behind the check sum: ``*5C,r003669945,1241544035`` (US Coast Guard, Orbcomm), ``*5C 1241544035``, or a tag block.

A time from where clocks begin that nobody has set (``devices.clock``) is none.

Over 400 lines: the forms in which a time stands beside a sentence are one subject with how the line is cut.

Source: IEC 61162-1:2016, 7.3 (characters, sentence structure); IEC 61162-450:2018, 7.2.3 (tag blocks); the forms of real
logs: schwehr/libais ais/tag_block.py, AIS-catcher#509, traccar AisProtocolDecoderTest, gpsd AIVDM.adoc "USCG metadata".
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

import msgspec

from birddog.errors import DeviceError
from birddog.model import Reject
from birddog.units import NS, ns_from_seconds_text, ns_from_text
from devices import clock, framing
from devices.crc import xor8

#: The standard says 82; proprietary sentences are longer.
MAX_SENTENCE = 1024
#: A run of rubbish is handed on in pieces of this size.
MAX_RUBBISH = 4096
DAY_NS = clock.DAY_NS
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_START = re.compile(rb"[$!\\]")
_BODY = re.compile(rb"[$!][\t\r\x20-\x23\x25-\x7e]*")
_TAG = re.compile(rb"\\[\x20-\x5b\x5d-\x7e]*")
_LINE_END = re.compile(rb"[ \t]*\r?\n")
#: POSIX time of 2001 and later in seconds (10 digits) to nanoseconds, perhaps with a fraction.
_EPOCH = r"\d{10,20}(?:\.\d*)?"
_ISO = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,12})?\s?(?:[Zz]|UTC|GMT|[+-]\d\d:?\d\d)?"
#: A time, and perhaps a word, before a sentence.
_LEAD = re.compile(
    rf"\s*[\[(<]?\s*({_EPOCH}|{_ISO})\s*[\])>]?[\s,;:|>-]*(?:[A-Za-z_][\w.:/()-]{{0,30}}[\s,;:|>]+)?\Z", re.ASCII
)
_LONGEST_LEAD = 100
_BEHIND = re.compile(rf"(?:^|[\s,;])({_EPOCH}|{_ISO})(?=[\s,;]|\Z)", re.ASCII)
_STATED = re.compile(r"(\d{9,20})(\.\d*)?\Z", re.ASCII)
_POWER = re.compile(r"\d\.(\d+)[eE]\+?(\d{1,2})\Z", re.ASCII)
_GROUP = re.compile(r"(?:g:(\d+)-(\d+)-(\w+)|(\d+)G(\d+):(\w+))\Z", re.ASCII)
_DATAGRAM = b"UdPbC\0"
#: A GPS sentence further ahead of its reception is not believed.
_AHEAD_NS = 600 * NS
#: Sentence groups remembered.
_MOST_GROUPS = 64


class Stamp(NamedTuple):
    """The time that a receiver, or whoever keeps its log, states beside a sentence."""

    time_ns: int
    flags: tuple[str, ...] = ()


class Sentence(msgspec.Struct, frozen=True, gc=False):
    """One sentence with a right check sum, or tag blocks that stand alone.

    Args:
        start: ``$`` or ``!``; "" of tag blocks alone.
        fields: the address first.
        stamp: the time stated beside it.
        group: of a sentence group its id; ``first`` says whether it is the group's first.
    """

    start: str
    fields: list[str]
    stamp: Stamp | None = None
    group: str = ""
    first: bool = True


# --- framing ----------------------------------------------------------------------------------------------


def cut(buffer: bytes, at: int, last: bool, start: re.Pattern[bytes] = _START) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first.

    Args:
        start: where rubbish ends, beside ``$``, ``!`` and a backslash.
    """
    body = at
    if buffer[at] not in b"$!\\":
        found = start.search(buffer, at + 1, at + MAX_RUBBISH)
        end = found.start() if found else min(len(buffer), at + MAX_RUBBISH)
        if not found and not last and end - at < MAX_RUBBISH:
            return 0, None
        run = buffer[at:end]
        lead = run.rfind(b"\n") + 1
        if not found or buffer[end] not in b"$!\\" or not _is_lead(run[lead:]):
            return end, _rubbish(run)
        if lead:
            return at + lead, _rubbish(run[:lead])
        body = end  # a time before its sentence
    while buffer[body] == 0x5C:
        tag = _TAG.match(buffer, body, body + MAX_SENTENCE)
        assert tag is not None, "a tag block begins with the backslash that was seen"
        end = tag.end()
        if end == len(buffer) or end + 1 == len(buffer):
            return (len(buffer), Reject("framing", "a tag block without its sentence")) if last else (0, None)
        if buffer[end] != 0x5C or end - at > MAX_SENTENCE:
            return end, Reject("framing", "a tag block without its sentence")
        body = end + 1
        if buffer[body] in b" \t\r\n":
            if not last and len(buffer) - body < 4 and b"\n" not in buffer[body:]:
                return 0, None
            alone = _LINE_END.match(buffer, body, body + 4)
            return (alone.end(), None) if alone else (end, Reject("framing", "a tag block without its sentence"))
        if buffer[body] not in b"$!\\":
            return end, Reject("framing", "a tag block without its sentence")
    whole = _BODY.match(buffer, body, body + MAX_SENTENCE)
    assert whole is not None, "a sentence begins with the sign that was seen"
    end = whole.end()
    if end - body == MAX_SENTENCE:
        return end, Reject("size", f"a sentence longer than {MAX_SENTENCE} bytes")
    if end == len(buffer):
        return (end, None) if last else (0, None)
    return (end + 1 if buffer[end] == 0x0A else end), None


def _rubbish(run: bytes) -> Reject | None:
    silent = run.isspace() or run.strip() == _DATAGRAM
    return None if silent else Reject("framing", f"{len(run)} bytes that belong to no sentence")


def _is_lead(run: bytes) -> bool:
    run = run.removeprefix(_DATAGRAM)
    return len(run) <= _LONGEST_LEAD and _LEAD.match(run.decode("latin-1")) is not None


class Framer(framing.Framer):
    """One stream's framer; see ``devices.codec`` for what it promises."""

    __slots__ = ()
    cut = staticmethod(cut)


# --- one sentence ---------------------------------------------------------------------------------------------


def read(data: bytes) -> Sentence:
    """One piece that ``cut`` gave.

    Raises:
        DeviceError: framing (not printable ASCII, no sentence) or checksum (wrong, or there is none).
    """
    if data[:1] in (b"$", b"!"):
        start, fields, behind = _body(data)
        return Sentence(start, fields, *_context([], "", behind)) if behind else Sentence(start, fields)
    found = _START.search(data)
    if found is None:
        if data.strip() == _DATAGRAM:
            return Sentence("", [])
        raise DeviceError("framing", "does not begin with $ or !")
    lead, data = data[: found.start()].removeprefix(_DATAGRAM).decode("latin-1"), data[found.start() :]
    if lead and not lead.isspace() and not _LEAD.match(lead):
        raise DeviceError("framing", "does not begin with $ or !")
    tags = []
    while data[:1] == b"\\":
        block, _, data = data[1:].partition(b"\\")
        tags.append(_tag(block))
    if data.strip():
        start, fields, behind = _body(data)
    elif any(tags):
        start, fields, behind = "", [], ""
    else:
        raise DeviceError("framing", "a tag block without its sentence")
    return Sentence(start, fields, *_context(tags, lead, behind))


def _body(data: bytes) -> tuple[str, list[str], str]:
    """(``$`` or ``!``, fields, what stands behind the check sum)."""
    start = data[:1]
    if start not in (b"$", b"!"):
        raise DeviceError("framing", "does not begin with $ or !")
    star = data.find(b"*")
    if star < 0:
        raise DeviceError("checksum", "no check sum")
    body = data[1:star]
    try:
        digits = data[star + 1 : star + 3]
        given = int(digits, 16) if digits.isalnum() else -1
        text = body.decode("ascii")
    except ValueError:
        given, text = -1, ""
    if given < 0 or len(data) < star + 3 or xor8(body) != given:
        raise DeviceError("checksum", "wrong check sum")
    behind = data[star + 3 :]
    return "$" if start == b"$" else "!", text.split(","), "" if behind == b"\r\n" else behind.strip().decode("latin-1")


def _tag(block: bytes) -> str:
    """The text of a tag block, "" where its check sum is wrong."""
    text, star, given = block.partition(b"*")
    try:
        if star and xor8(text) == int(given[:2].decode("ascii"), 16):
            return text.decode("ascii")
    except ValueError:
        pass  # a tag block only adds to its sentence: without it the sentence still stands
    return ""


def _context(tags: list[str], lead: str, behind: str) -> tuple[Stamp | None, str, bool]:
    """(the time stated, the group's id, whether it is the group's first)."""
    words = behind
    if "\\" in behind:
        words, *blocks = behind.split("\\")
        tags = [*tags, *(_tag(block.encode("latin-1")) for block in blocks[::2])]
    stamp, group, first = None, "", True
    for item in (item for tag in tags for item in tag.split(",")):
        if item[:2] == "c:":
            stamp = stamp or _posix(item[2:])
        elif (found := _GROUP.match(item)) is not None:
            number, _, name, older, _, old_name = found.groups()
            group, first = name or old_name, (number or older) == "1"
    for found in () if stamp else (_LEAD.match(lead), _BEHIND.search(words)):
        if found is not None:
            stamp = stamp or (_iso(found[1]) if "-" in found[1] or "/" in found[1] else _posix(found[1]))
    return stamp, group, first


def _posix(text: str) -> Stamp | None:
    """POSIX time; the count of its digits says in what unit."""
    found = _STATED.match(text)
    if found is None:
        power = _POWER.match(text)
        # 1.69911e+09, as C++ writes a double where nobody asked for more digits, is right to hours: no time
        if power is None or len(power[1]) < int(power[2]):
            return None
        time_ns = ns_from_seconds_text(text)
    else:
        digits, fraction = found[1], (found[2] or ".")[1:]
        unit = 9 if len(digits) <= 11 else 6 if len(digits) <= 14 else 3 if len(digits) <= 17 else 0
        time_ns = int(digits) * 10**unit + (int(fraction[:unit].ljust(unit, "0") or 0) if unit else 0)
    return _possible(time_ns)


def _iso(text: str) -> Stamp | None:
    """ISO 8601, perhaps without a zone."""
    text = text.replace("/", "-").replace("UTC", "Z").replace("GMT", "Z").replace(" ", "T", 1).replace(" ", "")
    zone = text[-1:] in "Zz" or text[-6:-5] in ("+", "-") or text[-5:-4] in ("+", "-")
    try:
        return _possible(ns_from_text(text if zone else text + "Z"), () if zone else ("zone_assumed",))
    except ValueError:
        return None  # a thirteenth month: there is no time here, and the sentence stands without


def _possible(time_ns: int, flags: tuple[str, ...] = ()) -> Stamp | None:
    return None if clock.unset(time_ns) or time_ns >= 4_102_444_800 * NS else Stamp(time_ns, flags)  # 2100


# --- the sentences of one stream ----------------------------------------------------------------------------------


class Clock:
    """What time it is in one receiver's stream: of a sentence group, of a line of tag blocks, of GPS sentences.

    The last ones count on with the time of reception, where that is known: a receiver that loses its satellites does not
    stop the clock of those that it hears.
    """

    __slots__ = ("_at_ns", "_groups", "count", "pending", "time_ns")

    def __init__(self) -> None:
        self._groups: dict[str, Stamp] = {}
        self.pending: Stamp | None = None  # of a line of tag blocks that waits for its sentence
        self.time_ns: int | None = None
        self._at_ns: int | None = None
        self.count = 0  # of the GPS sentences that were believed

    def stamp(self, sentence: Sentence) -> Stamp | None:
        """The time stated beside a sentence, also by the first of its group or by the line of tag blocks before it."""
        stamp, groups = sentence.stamp, self._groups
        if stamp is None and self.pending is None and not sentence.group:
            return None
        if sentence.group:
            if sentence.first:
                groups.pop(sentence.group, None)
            if stamp is None:
                stamp = groups.get(sentence.group)
            elif sentence.group not in groups:
                if len(groups) >= _MOST_GROUPS:
                    del groups[next(iter(groups))]
                groups[sentence.group] = stamp
        if not sentence.start:
            self.pending = stamp
        elif self.pending is not None:
            stamp, self.pending = stamp or self.pending, None
        return stamp

    def hear(self, fields: list[str], received_ns: int | None) -> None:
        """A ``$`` sentence: RMC with a fix, ZDA and Gatehouse's PGHP state date and time."""
        try:
            time_ns = utc_of(fields)
        except (DeviceError, IndexError):
            return  # what is wrong with it is said by whoever reads the sentence itself
        if time_ns is None or clock.unset(time_ns, received_ns):
            return
        if received_ns is not None and (clock.rollover(time_ns, received_ns) or time_ns - received_ns > _AHEAD_NS):
            return  # its own clock is astray: what it hears would be refused with it, and the reception is known
        self.time_ns, self._at_ns, self.count = time_ns, received_ns, self.count + 1

    def now_ns(self, received_ns: int | None) -> int | None:
        """The time by the last GPS sentence, None where there was none."""
        if self.time_ns is None or received_ns is None or self._at_ns is None:
            return self.time_ns
        return self.time_ns + max(received_ns - self._at_ns, 0)


def kind_of(address: str) -> str:
    """``RMC`` of GPRMC and GNRMC; an address that begins with P is its maker's own (IEC 61162-1, 7.3.5) and is itself."""
    return address[2:] if len(address) == 5 and address[0] != "P" else address


def utc_of(f: list[str]) -> int | None:
    """Date and time of an RMC with a fix, a ZDA or a PGHP; None of any other sentence.

    Raises:
        DeviceError: the time of day is none.
        IndexError: too few fields.
    """
    kind = kind_of(f[0])
    if kind == "RMC":
        return _joined(days(f[9]), time_of_day(f[1])) if f[2] in VALID else None
    if kind == "ZDA":
        return _joined(days(f[2].zfill(2) + f[3].zfill(2) + f[4]), time_of_day(f[1]))
    if kind == "PGHP" and f[1] == "1":  # year, month, day, hour, minute, second, ms of the sentence that follows
        day, tod = days(f[4].zfill(2) + f[3].zfill(2) + f[2]), time_of_day("".join(part.zfill(2) for part in f[5:8]))
        return _joined(day, None if tod is None else tod + (int(f[8]) * 1_000_000 if f[8].isdecimal() and len(f[8]) < 4 else 0))
    return None


#: Status of a sentence that holds a fix.  D is not in the standard: Unicore's UM980 and kin write it with RTK (QField#5151).
VALID = ("A", "D")


def _joined(day: int | None, tod: int | None) -> int | None:
    return None if day is None or tod is None else day * DAY_NS + tod


def time_of_day(text: str) -> int | None:
    """Nanoseconds since midnight of hhmmss.sss, None where the field is empty.

    Raises:
        DeviceError: value.
    """
    if not text:
        return None
    clock_text, fraction = text[:6], text[7:]
    if not (text.isascii() and clock_text.isdigit() and len(clock_text) == 6 and text[6:7] in ("", ".")) or (
        fraction and not fraction.isdigit()
    ):
        raise DeviceError("value", "time is not hhmmss.ss")
    hours, minutes, seconds = int(clock_text[:2]), int(clock_text[2:4]), int(clock_text[4:])
    if hours > 23 or minutes > 59 or seconds > 60:
        raise DeviceError("value", "time of day out of range")
    return (hours * 3600 + minutes * 60 + seconds) * NS + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def days(text: str) -> int | None:
    """Days since 1970 of ddmmyy (80 to 99 are 19xx) or ddmmyyyy, None where the field is empty or no date."""
    if len(text) not in (6, 8) or not (text.isascii() and text.isdigit()):
        return None
    year = int(text[4:])
    if len(text) == 6:
        year += 1900 if year >= 80 else 2000
    try:
        found = date(year, int(text[2:4]), int(text[:2])).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    return found if 0 <= found < 50_000 else None


def nearest(about_ns: int, tod: int) -> int:
    """The time with this time of day that is nearest to another time."""
    time_ns = about_ns - about_ns % DAY_NS + tod
    if time_ns - about_ns > DAY_NS // 2:
        return time_ns - DAY_NS
    return time_ns + DAY_NS if about_ns - time_ns > DAY_NS // 2 else time_ns


def seal(start: str, body: str) -> bytes:
    """A sentence with its check sum and line end."""
    raw = body.encode("ascii")
    return f"{start}{body}*{xor8(raw):02X}\r\n".encode("ascii")
