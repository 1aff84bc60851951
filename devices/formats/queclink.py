r"""Queclink @Track, ASCII: GL, GV, GB and GMT trackers over TCP and UDP.

A frame; models and firmware differ in how many fields lie between, the blocks drawn are the same in all of them::

    +RESP:GTFRI,1A0200,860599000306845,GL300,…,block,…,20240816172311,BB1C$
     ^    ^     ^      ^               ^                ^              ^ count u16, hexadecimal
     |    |     |      IMEI or MEID    name             send time UTC yyyyMMddHHmmss
     |    |     model and protocol version, hexadecimal (absent in the first models)
     |    kind of report, with GT
     RESP live, BUFF stored and sent later (flag backlog), ACK answer to a command or heartbeat, EVT event

    block   accuracy , km/h , azimuth ° , altitude m , longitude , latitude , UTC yyyyMMddHHmmss
            0 … 50     n.n    0 … 359     -n.n         ±n.nnnnnn   ±n.nnnnnn

Accuracy is the HDOP; 0 says that there was no fix and the block repeats the last position: no fix, flag ``no_fix``.  So says a
block whose fields are all empty; a report that has no block (GTPDP, GTINF) says nothing of a fix.  Above 50 a fix is
``low_quality``.  A report may hold several blocks.  The block is found by its form, six decimals and a time of fourteen digits
beside it, not by counting fields: that is what all models have in common.

Beside it are read, where their place is the same in all models that have them::

    ignition         IGN, VGN on; IGF, VGF off; IGL by the second digit of its type: 0 on, 1 off, as the IGN and IGF beside it
                     say (traccar/traccar#4776); the state of INF and of FRI and ERI (six hexadecimal digits behind the backup
                     battery): 11 12 16 1A off, 21 22 on
    battery_level    %: FRI and ERI of GV before that state; the last field of GL200, GL300 and their kin, and behind the time
                     of the last fix in their INF
    battery_voltage  V: BPL, INF                        supply_voltage  V: INF; FRI and ERI of GV
    input_N          DIS: type NS, input N is S (a digital input, whatever is wired to it: no alarm)

Alarms by kind: SOS sos, JDR and JDS (status 2) jamming, BPL low_battery, MPF tamper (main power lost), TOW towing, CRA crash,
TEM temperature.  A report of which nothing was understood is named (``unread``: ``report``), and so is each block that the
mask of an ERI announces (``eri_mask_bit_2``: CAN; traccar/traccar#5964); what else one model says is left to its raw bytes.

**Replies**, once a message is on disk: to a heartbeat (ACK:GTHBD) ``+SACK:GTHBD,version,count$``, to every other message
``+SACK:count$``.  A device that is set to wait for it (GTSRI, SACK enable) sends the same message for ever and nothing else
(vitalidze/traccar-web#700); one that is not passes it over.

The protocol has no check sum: a frame without its ``$`` counts only where it ends in time and count, as whole ones do.
The binary variant (+RSP, +EVT with bytes) is another format: reject ``framing``.

Source: Queclink, GL300 @Track Air Interface Protocol, TRACGL300AN; GV300 TRACGV300AN, 3.3 (report formats), read for the
common blocks; checked on real messages of some forty models.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Alarm, Fix, Observation, Reading, Reject, TimeSource
from birddog.units import KMH_MPS, NS, iso_from_ns, ns_from_datetime
from devices import framing
from devices.clock import rollover, unset
from devices.codec import NOTHING, Decoded, Message, rejected, unread

VERSION = 5
STREAM = True

#: The longest report (CAN, OBD) has some 700 bytes.
MAX_REPORT = 4096
MAX_RUBBISH = 4096
_START = re.compile(rb"\+(?:RESP|BUFF|ACK|EVT):GT")
_START_SIZE = 8
_HEAD = re.compile(r"\+(RESP|BUFF|ACK|EVT):GT([A-Z0-9]{3}),(?:([0-9A-Fa-f]{6,10}|),)?([0-9A-Fa-f]{14,16}),")
#: Send time and count; the time is empty in what a GL300 sends before it has one (jaayesta/queclink-parser#3).
_TAIL = re.compile(r",(\d{14}|),([0-9A-Fa-f]{4})\Z", re.ASCII)
_BLOCK = re.compile(
    r"(?<=,)(\d{0,2}),(\d{1,7}(?:\.\d{1,2})?|),(\d{1,5}|),(-?\d{1,7}(?:\.\d{1,2})?|),"
    r"(-?\d{1,3}\.\d{5,7}),(-?\d{1,2}\.\d{5,7}),(\d{14})(?=,|\Z)",
    re.ASCII,
)
_ALARMS = {
    "SOS": "sos", "JDR": "jamming", "JDS": "jamming", "BPL": "low_battery", "MPF": "tamper", "TOW": "towing",
    "CRA": "crash", "TEM": "temperature",
}  # fmt: skip
#: The seven fields of a block, all empty.
_EMPTY_BLOCK = ",,,,,,,,"
#: Reports without a block: they say nothing of a fix, whatever they leave empty.
_PLACELESS = frozenset(
    {"INF", "PDP", "PNA", "PFA", "GSM", "GSV", "CID", "CSQ", "VER", "BAT", "TMZ", "ALC", "ALL", "ATI", "CVN", "CSN"}
)
_IGNITION = {"IGN": True, "VGN": True, "IGF": False, "VGF": False}
_STATES = {"11": False, "12": False, "16": False, "1A": False, "21": True, "22": True}
_STATUS = re.compile(r"(1[126A]|2[12])[0-9A-F]{4}\Z", re.ASCII)
_PERCENT = re.compile(r"(?:[1-9]?\d|100)\Z", re.ASCII)
_VOLTS = re.compile(r"\d\.\d{1,2}\Z", re.ASCII)
_MILLIVOLTS = re.compile(r"\d{4,5}\Z", re.ASCII)
#: Models (of the version) whose reports of a position end with the battery in %: GL200, GL300, GL300W, GL300VC, GL500.
_BATTERY_LAST = ("02", "11", "1A", "21", "28", "2C", "30")


def _frame(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first."""
    if len(buffer) - at < _START_SIZE and not last:
        return 0, None
    if _START.match(buffer, at):
        limit = at + MAX_REPORT
        end = buffer.find(b"$", at, limit) + 1
        # a report cut short by the next one
        cut = _START.search(buffer, at + 1, end or limit)
        if cut:
            return cut.start(), None
        if end:
            return end, None
        if len(buffer) >= limit:
            return limit, Reject("size", f"a report longer than {MAX_REPORT} bytes")
        return (len(buffer), None) if last else (0, None)
    limit = at + MAX_RUBBISH
    found = _START.search(buffer, at + 1, limit + _START_SIZE)
    if found is None and not last and len(buffer) < limit + _START_SIZE:
        return 0, None
    end = min(found.start() if found else limit, limit, len(buffer))
    run = buffer[at:end]
    return end, None if not run.strip(b"\r\n\t \0") else Reject("framing", f"{len(run)} bytes that belong to no report")


class Framer(framing.Framer):
    """One connection's framer; also takes a datagram or a line."""

    __slots__ = ()
    cut = staticmethod(_frame)


class Decoder:
    """Decodes reports; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Observations of one report."""
        text = message.payload.decode("latin-1").strip("\r\n\t \0")
        if not text:
            return NOTHING
        if len(text) > MAX_REPORT:
            return rejected("size", f"{len(text)} bytes", device=message.device)
        head = _HEAD.match(text)
        if head is None:
            return rejected("framing", "does not begin as a report does", device=message.device)
        kind, report, version, device = head.groups()
        whole = text.endswith("$")
        body = text.removesuffix("$")
        tail = _TAIL.search(body)
        if not whole and (tail is None or not tail[1] or any(b.end() > tail.start() for b in _BLOCK.finditer(body))):
            # the time in a block with the network's number behind it looks like an end, and is none
            return rejected("length", "a report cut short", device=device)
        reply = None
        if tail is not None:
            heartbeat = kind == "ACK" and report == "HBD"
            reply = (f"+SACK:GTHBD,{version or ''},{tail[2]}$" if heartbeat else f"+SACK:{tail[2]}$").encode("ascii")
        said = _Report(kind, report, version or "", device, body[: tail.start()] if tail else body, head.end())
        try:
            observations = _observations(said, None if tail is None else tail[1], message.received_ns)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device, reply=reply)
        missed: tuple[str, ...] = () if observations or kind == "ACK" or report in _PLACELESS else ("report",)
        if report == "ERI" and observations:
            missed = said.extensions()
        return Decoded(observations=observations, device=device, reply=reply, unread=unread(missed))


class _Report(NamedTuple):
    """One report: what its head says, and its text without send time and count; its fields begin behind the identity."""

    kind: str
    name: str
    version: str
    device: str
    text: str
    start: int

    def extensions(self) -> tuple[str, ...]:
        """What an ERI holds behind its state by its mask, one name a bit (sensors on its bus, CAN): none is read."""
        mask = "".join(self.fields()[1:2])
        bits = int(mask, 16) if re.fullmatch(r"[0-9A-Fa-f]{8}", mask) else 0
        return tuple([f"eri_mask_bit_{bit}" for bit in range(32) if bits >> bit & 1])

    def fields(self) -> list[str]:
        """What follows the identity: the device's name, then what the report says."""
        return self.text[self.start :].split(",")


def _observations(said: _Report, sent: str | None, received_ns: int | None) -> tuple[Observation, ...]:
    flags: tuple[str, ...] = ("backlog",) if said.kind == "BUFF" else ()
    source: TimeSource
    out: list[Observation] = []
    no_fix, last = _EMPTY_BLOCK in said.text and said.name not in _PLACELESS, said.start
    for found in _BLOCK.finditer(said.text):
        accuracy, speed, course, alt, lon, lat, stamp = found.groups()
        last = found.end()
        time_ns = _time_ns(stamp)
        lat_deg, lon_deg = float(lat), float(lon)
        if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
            raise DeviceError("value", "latitude or longitude out of range")
        if accuracy in ("", "0", "00") or time_ns is None or null_island(lat_deg, lon_deg):
            no_fix = True
            continue
        source, more = "device", rollover(time_ns, received_ns)
        if unset(time_ns, received_ns):
            time_ns, source, more = received_ns, "server", ("no_fix_time",)
        if int(accuracy) > 50:
            more = (*more, "low_quality")
        out.append(
            Fix(
                device=said.device,
                time_ns=time_ns,
                time_source=source,
                flags=flags + more,
                lat_deg=lat_deg,
                lon_deg=lon_deg,
                alt_m=float(alt) if alt else None,
                alt_ref="msl" if alt else "unknown",
                speed_mps=float(speed) * KMH_MPS if speed else None,
                course_deg=float(course) % 360.0 if course and float(course) <= 360.0 else None,
                attributes={"report": said.name, "hdop": int(accuracy)},
            )
        )
    if said.kind == "ACK":
        return tuple(out)
    said_ns, source = _time_ns(sent) if sent else None, "device"
    if said_ns is not None and unset(said_ns, received_ns):
        said_ns, flags = None, (*flags, "no_fix_time")
    if said_ns is None:
        said_ns, source = received_ns, "server"
    if no_fix and not out:
        flags = (*flags, "no_fix")
        out.append(
            Reading(device=said.device, time_ns=said_ns, time_source=source, flags=flags, quantity="fix_valid", value=False)
        )
    for quantity, value, unit in _readings(said, last):
        out.append(
            Reading(
                device=said.device, time_ns=said_ns, time_source=source, flags=flags, quantity=quantity, value=value, unit=unit
            )
        )
    alarm = _ALARMS.get(said.name)
    # a jamming report says when it begins (2) and when it is over (1)
    if alarm and not (said.name == "JDS" and said.fields()[1:2] != ["2"]):
        out.append(
            Alarm(
                device=said.device, time_ns=said_ns, time_source=source, flags=flags, alarm=alarm, text=f"report GT{said.name}"
            )
        )
    return tuple(out)


def _readings(said: _Report, last: int) -> list[tuple[str, float | bool, str]]:
    """(quantity, value, unit) of what a report says beside its blocks; ``last``: where the last block ends."""
    out: list[tuple[str, float | bool, str]] = []
    fields, name = said.fields(), said.name
    if name in _IGNITION:
        out.append(("ignition", _IGNITION[name], ""))
    elif name in ("IGL", "DIS"):
        # the type of the report stands third, in two digits
        kind = fields[2] if len(fields) > 2 and re.fullmatch(r"[0-9A-F][01]", fields[2]) else ""
        if kind and name == "IGL":
            out.append(("ignition", kind[1] == "0", ""))
        elif kind and kind[0] != "0":
            out.append((f"input_{int(kind[0], 16)}", kind[1] == "1", ""))
    elif name == "BPL":
        if len(fields) > 1 and _VOLTS.match(fields[1]):
            out.append(("battery_voltage", float(fields[1]), "V"))
    elif name == "INF" and len(fields) > 8 and re.fullmatch(r"[0-9A-F]{2}", fields[1]):
        if fields[1] in _STATES:
            out.append(("ignition", _STATES[fields[1]], ""))
        if _MILLIVOLTS.match(fields[6]):
            out.append(("supply_voltage", int(fields[6]) / 1000.0, "V"))
        if _VOLTS.match(fields[8]):
            out.append(("battery_voltage", float(fields[8]), "V"))
        if said.version[:2].upper() in _BATTERY_LAST and re.fullmatch(r"\d{14}", "".join(fields[14:15])):
            if _PERCENT.match("".join(fields[15:16])):
                out.append(("battery_level", float(fields[15]), "%"))
    power = fields[1:2] if name == "FRI" else fields[2:3] if name == "ERI" else []
    if power and _MILLIVOLTS.match(power[0]):
        out.append(("supply_voltage", int(power[0]) / 1000.0, "V"))
    if last > said.start:
        # behind the block: country, network, area and cell, then what the model has
        rest = said.text[last:].split(",")[5:]
        if name in ("FRI", "ERI"):
            at = next((k for k, field in enumerate(rest) if k and _STATUS.match(field)), 0)
            if at and (not rest[at - 1] or _PERCENT.match(rest[at - 1])):
                if rest[at - 1]:
                    out.append(("battery_level", float(rest[at - 1]), "%"))
                out.append(("ignition", _STATES[rest[at][:2]], ""))
        if said.version[:2].upper() in _BATTERY_LAST and 1 < len(rest) <= 3 and _PERCENT.match(rest[-1]):
            out.append(("battery_level", float(rest[-1]), "%"))
    return out


def _time_ns(stamp: str) -> int | None:
    """Of yyyyMMddHHmmss; None where the device has no time (year 0000)."""
    try:
        time = datetime(
            int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]), int(stamp[8:10]), int(stamp[10:12]), int(stamp[12:]), tzinfo=UTC
        )
    except ValueError:
        return None
    return ns_from_datetime(time) if 1970 <= time.year < 2100 else None


def encode(
    *,
    imei: str,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    speed_mps: float = 0.0,
    course_deg: float = 0.0,
    alt_m: float = 0.0,
    hdop: int = 1,
    battery_percent: float = 90.0,
    report: str = "FRI",
    stored: bool = False,
    sent_ns: int | None = None,
    count: int = 1,
) -> bytes:
    """One report in the form of a GL300: whole seconds, 0.1 km/h.

    Args:
        hdop: 0 = no fix.
        stored: sent later (+BUFF).
        sent_ns: None: at the time of the fix.
        count: number of the message, 16 bits.
    """

    def stamp(ns: int) -> str:
        return re.sub(r"\D", "", iso_from_ns(ns // NS * NS))[:14]

    block = (
        f"{hdop},{speed_mps / KMH_MPS:.1f},{round(course_deg) % 360},{alt_m:.1f},{lon_deg:.6f},{lat_deg:.6f},{stamp(time_ns)}"
    )
    text = (
        f"+{'BUFF' if stored else 'RESP'}:GT{report},1A0200,{imei},GL300,0,0,1,{block},0204,0008,0CEE,B951,,"
        f"{round(battery_percent)},{stamp(time_ns if sent_ns is None else sent_ns)},{count & 0xFFFF:04X}$"
    )
    return text.encode("ascii")
