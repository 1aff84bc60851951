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

Accuracy is the HDOP; 0 says that there was no fix and the block repeats the last position: no fix, flag ``no_fix``.  A report
may hold several blocks.  The block is found by its form, six decimals and a time of fourteen digits beside it, not by
counting fields: that is what all models have in common; what else a report of one model says is left to its raw bytes.

Alarms by kind: SOS sos, JDR and JDS (status 2) jamming, BPL low_battery, MPF and DIS tamper (power or input lost), TOW towing,
CRA crash, TEM temperature.  A heartbeat (ACK:GTHBD) is answered ``+SACK:GTHBD,version,count$`` once it is on disk.

The protocol has no check sum: a frame without its ``$`` counts only where it ends in time and count, as whole ones do.
The binary variant (+RSP, +EVT with bytes) is another format: reject ``framing``.

Source: Queclink, GL300 @Track Air Interface Protocol, TRACGL300AN; GV300 TRACGV300AN, 3.3 (report formats), read for the common
blocks; checked on real messages of some forty models.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Alarm, Fix, Observation, Reading, Reject
from birddog.units import KMH_MPS, NS, iso_from_ns, ns_from_datetime
from devices import framing
from devices.clock import rollover
from devices.codec import NOTHING, Decoded, Message, rejected

VERSION = 2
STREAM = True

#: The longest report (CAN, OBD) has some 700 bytes.
MAX_REPORT = 4096
MAX_RUBBISH = 4096
_START = re.compile(rb"\+(?:RESP|BUFF|ACK|EVT):GT")
_START_SIZE = 8
_HEAD = re.compile(r"\+(RESP|BUFF|ACK|EVT):GT([A-Z0-9]{3}),(?:([0-9A-Fa-f]{6,10}|),)?([0-9A-Fa-f]{14,16}),")
_TAIL = re.compile(r",(\d{14}),([0-9A-Fa-f]{4})\Z", re.ASCII)
_BLOCK = re.compile(
    r"(?<=,)(\d{0,2}),(\d{1,3}(?:\.\d{1,2})?|),(\d{1,3}|),(-?\d{1,5}(?:\.\d{1,2})?|),"
    r"(-?\d{1,3}\.\d{5,7}),(-?\d{1,2}\.\d{5,7}),(\d{14})(?=,|\Z)",
    re.ASCII,
)
_ALARMS = {
    "SOS": "sos", "JDR": "jamming", "JDS": "jamming", "BPL": "low_battery", "MPF": "tamper", "DIS": "tamper", "TOW": "towing",
    "CRA": "crash", "TEM": "temperature",
}  # fmt: skip


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
        status = next(iter(body[head.end() :].split(",", 2)[1:2]), "")  # what follows the name
        if not whole and (tail is None or any(b.end() > tail.start() for b in _BLOCK.finditer(body))):
            # the time in a block with the network's number behind it looks like an end, and is none
            return rejected("length", "a report cut short", device=device)
        try:
            observations = _observations(body, status, kind, report, device, tail, message.received_ns)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device)
        reply = None
        if kind == "ACK" and report == "HBD" and tail is not None:
            reply = f"+SACK:GTHBD,{version or ''},{tail[2]}$".encode("ascii")
        return Decoded(observations=observations, device=device, reply=reply)


def _observations(
    body: str, status: str, kind: str, report: str, device: str, tail: re.Match[str] | None, received_ns: int | None
) -> tuple[Observation, ...]:
    flags = ("backlog",) if kind == "BUFF" else ()
    out: list[Observation] = []
    sent_ns = None if tail is None else _time_ns(tail[1])
    for accuracy, speed, course, alt, lon, lat, stamp in _BLOCK.findall(body):
        time_ns = _time_ns(stamp)
        lat_deg, lon_deg = float(lat), float(lon)
        if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
            raise DeviceError("value", "latitude or longitude out of range")
        if accuracy in ("", "0", "00") or time_ns is None or null_island(lat_deg, lon_deg):
            continue
        out.append(
            Fix(
                device=device,
                time_ns=time_ns,
                flags=flags + rollover(time_ns, received_ns),
                lat_deg=lat_deg,
                lon_deg=lon_deg,
                alt_m=float(alt) if alt else None,
                alt_ref="msl" if alt else "unknown",
                speed_mps=float(speed) * KMH_MPS if speed else None,
                course_deg=float(course) % 360.0 if course and float(course) <= 360.0 else None,
                attributes={"report": report, "hdop": int(accuracy)},
            )
        )
    if kind == "ACK":
        return tuple(out)
    source = "device" if sent_ns is not None else "server"
    said_ns = sent_ns if sent_ns is not None else received_ns
    if not out:
        flags = (*flags, "no_fix")
        out.append(Reading(device=device, time_ns=said_ns, time_source=source, flags=flags, quantity="fix_valid", value=False))
    alarm = _ALARMS.get(report)
    # a jamming report says when it begins (2) and when it is over (1)
    if alarm and not (report == "JDS" and status != "2"):
        out.append(
            Alarm(device=device, time_ns=said_ns, time_source=source, flags=flags, alarm=alarm, text=f"report GT{report}")
        )
    return tuple(out)


def _time_ns(stamp: str) -> int | None:
    """Of yyyyMMddHHmmss; None where the device has no clock (year 0000, or before 1990)."""
    try:
        time = datetime(
            int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]), int(stamp[8:10]), int(stamp[10:12]), int(stamp[12:]), tzinfo=UTC
        )
    except ValueError:
        return None
    return ns_from_datetime(time) if 1990 <= time.year < 2100 else None


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
