r"""Teltonika codec 8, 8 Extended and 16 over TCP and UDP: hidden GNSS trackers (FMB, FMC, TAT, GH …).

TCP: the device says who it is and waits for ``01``; then it sends packets and waits for the count of records::

    login   00 0F | 15 digits IMEI                                        reply 01
    packet  00 00 00 00 | length u32 | data | CRC u32                     reply count of records u32
            data = codec u8 | count u8 | records | count u8               length, CRC-16/IBM: of data
    ping    FF                                                            no reply
    UDP     length u16 | packet id u16 | 01 | AVL id u8 | 00 0F | IMEI | data     (length: of all after it)
                                                                          reply 0005 | packet id | 01 | AVL id | count u8
    record  time u64 ms | priority u8 | lon i32 1e-7° | lat i32 1e-7° | alt i16 m | course u16 ° | satellites u8 | km/h u16
            event id | total | for each size of 1, 2, 4, 8 bytes:  count | count × (id | value)
            codec 8: ids and counts of one byte.  8 Extended (8E): of two; at the end  count | count × (id | length | value).
            codec 16 (10): ids of two bytes, counts of one, a generation type u8 after the event id.

All numbers big-endian.  A record without satellites repeats the last position (the maker says so): no fix, flag ``no_fix``.
The reply is made here and is sent by the transport after the record is on disk.  A packet whose check sum is wrong gets no
reply, the device sends it again; one whose sum is right and that still makes no sense is kept raw and acknowledged, as
the device would send it for ever.  Codecs 12, 13 and 14 (answers to commands) have no position and give nothing; any
other codec is a reject ``type``.

Readings by AVL id (FMB family): 66 supply_voltage and 67 battery_voltage V, 113 battery_level %, 240 movement, 239
ignition, 21 gsm_signal, 72 temperature °C, 16 odometer m.  Alarms, where the id is the record's event: 236 and panic
priority sos, 246 towing, 247 crash, 249 jamming, 252 tamper (its power was cut).

Longer than 400 lines because three codecs, two transports and the framing that must survive cut packets are one format.

Source: wiki.teltonika-gps.com, "Teltonika Data Sending Protocols" and "FMB120 Teltonika Data Sending Parameters ID",
read 2026-11.  CRC: polynomial 0x8005 reflected (0xA001), start 0.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Alarm, Fix, Observation, Reading, Reject
from birddog.units import KMH_MPS, NS
from devices import framing
from devices.clock import rollover
from devices.codec import MAX_FRAME, NOTHING, Decoded, Message, rejected
from devices.crc import crc16_ibm

VERSION = 2
STREAM = True

#: A longer packet is no packet (the maker's limit is 1280 bytes; some firmware sends more).
MAX_PACKET = 8192
MAX_RUBBISH = 4096
_CODECS = frozenset({0x08, 0x8E, 0x10, 0x07, 0x0C, 0x0D, 0x0E, 0x0F})
_LOGIN = re.compile(rb"\x00[\x08-\x14](\d{8,20})")
#: What a packet found in the middle of rubbish must look like, beyond four zeros: length, codec, count, a time of 2004 to 2039.
_PACKET = re.compile(rb"\x00{6}[\x00-\x1f].[\x08\x8e\x10][\x01-\xff]\x00\x00[\x01\x02].{5}[\x00-\x02]", re.DOTALL)
_PACKET_SIZE = 19
_IMEI = re.compile(r"\d{8,20}\Z", re.ASCII)
_HEAD = struct.Struct(">QBiihHBH")
#: Backlog: a record this much older than its reception was stored first.
_BACKLOG_NS = 120 * NS

#: AVL id: (quantity, factor, unit)
_READINGS: dict[int, tuple[str, float, str]] = {
    66: ("supply_voltage", 0.001, "V"),
    67: ("battery_voltage", 0.001, "V"),
    113: ("battery_level", 1.0, "%"),
    21: ("gsm_signal", 1.0, ""),
    72: ("temperature", 0.1, "°C"),
    16: ("odometer", 1.0, "m"),
}
_STATES = {239: "ignition", 240: "movement"}
_ALARMS = {236: "sos", 246: "towing", 247: "crash", 249: "jamming", 252: "tamper"}


# --- cutting the stream ----------------------------------------------------------------------------------


def _frame(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first."""
    have = len(buffer) - at
    if buffer[at] == 0xFF:
        return at + 1, None
    if have < 4 and not last:
        return 0, None
    head = buffer[at : at + 9]
    if head[:4] == b"\0\0\0\0":
        if have < 9:
            return (len(buffer), Reject("length", "a packet cut short")) if last else (0, None)
        length = int.from_bytes(head[4:8], "big")
        if 3 <= length <= MAX_PACKET and head[8] in _CODECS:
            return _packet(buffer, at, at + length + 12, last)
    elif head[2:4] == b"\xca\xfe" and 20 <= (size := int.from_bytes(head[:2], "big")) <= MAX_PACKET:
        if at + 2 + size <= len(buffer):
            return at + 2 + size, None
        return (len(buffer), Reject("length", "a datagram cut short")) if last else (0, None)
    elif have >= 3 and head[0] == 0 and 8 <= head[1] <= 20 and buffer[at + 2 : at + 2 + head[1]].isdigit():
        if at + 2 + head[1] <= len(buffer):
            return at + 2 + head[1], None
        return (len(buffer), Reject("length", "a login cut short")) if last else (0, None)
    return _rubbish(buffer, at, last)


class Framer(framing.Framer):
    """One connection's framer; also takes a datagram."""

    __slots__ = ()
    cut = staticmethod(_frame)


def _packet(buffer: bytes, at: int, end: int, last: bool) -> tuple[int, Reject | None]:
    whole = end <= len(buffer)
    if not whole and not last:
        return 0, None
    if not whole or crc16_ibm(buffer[at + 8 : end - 4]) != int.from_bytes(buffer[end - 4 : end], "big"):
        # perhaps the next packet is glued to the rest of this one: it must not be lost with it
        inner = _PACKET.search(buffer, at + 1, min(end, len(buffer)))
        if inner:
            return inner.start(), Reject("length", "a packet cut short by the next one")
        if not whole:
            return len(buffer), Reject("length", "a packet cut short")
    return end, None


def _rubbish(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    limit = at + MAX_RUBBISH
    starts = [m.start() for m in (_PACKET.search(buffer, at + 1, limit), _LOGIN.search(buffer, at + 1, limit)) if m]
    # a start needs so many bytes to be known: those at the end may yet become one
    sure = len(buffer) if last else len(buffer) - _PACKET_SIZE - 3
    if starts and (last or min(starts) <= sure):
        end = min(starts)
    elif len(buffer) >= limit + _PACKET_SIZE + 3 or (last and len(buffer) >= limit):
        end = limit - _PACKET_SIZE - 3
    elif last:
        end = len(buffer)
    else:
        return 0, None
    return end, Reject("framing", f"{end - at} bytes that are neither a login nor a packet")


# --- decoding --------------------------------------------------------------------------------------------


class Decoder:
    """Decodes one connection; remembers the IMEI of its login."""

    __slots__ = ("_imei",)

    def __init__(self) -> None:
        self._imei = ""

    def decode(self, message: Message) -> Decoded:
        """Observations of one login, packet or datagram."""
        b = message.payload
        if not b or b == b"\xff":
            return NOTHING
        if len(b) > MAX_FRAME:
            return rejected("size", f"{len(b)} bytes", device=self._imei or message.device)
        if (login := _LOGIN.fullmatch(b)) and len(b) == b[1] + 2:
            self._imei = login[1].decode("ascii")
            return Decoded(device=self._imei, reply=b"\x01")
        if b[:4] == b"\0\0\0\0":
            device = self._imei or message.device
            try:
                return _tcp(b, device, message.received_ns)
            except DeviceError as error:
                return rejected(error.reason, error.detail, device=device)
        if b[2:4] == b"\xca\xfe":
            return _udp(b, message.received_ns)
        return rejected("framing", "neither a login nor a packet", device=self._imei or message.device)


def _tcp(b: bytes, device: str, received_ns: int | None) -> Decoded:
    if len(b) < 15 or len(b) != int.from_bytes(b[4:8], "big") + 12:
        raise DeviceError("length", "a packet cut short")
    data = b[8:-4]
    if crc16_ibm(data) != int.from_bytes(b[-4:], "big"):
        raise DeviceError("checksum", "wrong CRC-16/IBM")
    if data[0] in (0x0C, 0x0D, 0x0E, 0x0F):
        return Decoded(device=device)
    # The sum is right, so this is what the device means to say: it is acknowledged whatever it makes of it.
    reply = data[1].to_bytes(4, "big")
    try:
        observations, rejects = _records(data, device, received_ns)
    except DeviceError as error:
        return rejected(error.reason, error.detail, device=device, reply=reply)
    return Decoded(observations=observations, rejects=rejects, device=device, reply=reply)


def _udp(b: bytes, received_ns: int | None) -> Decoded:
    size = int.from_bytes(b[:2], "big")
    width = int.from_bytes(b[6:8], "big")
    imei = b[8 : 8 + width].decode("latin-1")
    data = b[8 + width :]
    if len(b) != size + 2 or len(data) < 3:
        return rejected("length", "a datagram whose length is not as it says")
    if not _IMEI.match(imei):
        return rejected("value", "a datagram without an IMEI")
    reply = b"\0\5" + b[2:4] + b"\1" + b[5:6] + data[1:2]
    try:
        observations, rejects = _records(data, imei, received_ns)
    except DeviceError as error:
        return rejected(error.reason, error.detail, device=imei, reply=reply)
    return Decoded(observations=observations, rejects=rejects, device=imei, reply=reply)


def _records(
    data: bytes, device: str, received_ns: int | None
) -> tuple[tuple[Observation, ...], tuple[Reject, ...]]:
    """Observations of codec, count, records, count; a record whose values cannot be costs only itself.

    Raises:
        DeviceError: type or length: it cannot be told where the records begin and end.
    """
    codec, count = data[0], data[1]
    read_io = {0x08: _io_8, 0x8E: _io_8e, 0x10: _io_16}.get(codec)
    if read_io is None:
        raise DeviceError("type", f"codec 0x{codec:02X}")
    if data[-1] != count:
        raise DeviceError("length", "the two counts of records differ")
    out: list[Observation] = []
    rejects: list[Reject] = []
    at, end = 2, len(data) - 1
    body = data[:end]
    try:
        for k in range(1, count + 1):
            head = _HEAD.unpack_from(body, at)
            event, elements, at = read_io(body, at + 24)
            try:
                _record(out, device, head, event, elements, received_ns)
            except DeviceError as error:
                rejects.append(Reject(error.reason, f"record {k}: {error.detail}", device=device))
    except (struct.error, IndexError):
        raise DeviceError("length", "the records end before the packet says so") from None
    if at != end:
        raise DeviceError("length", f"{end - at} bytes after the last record")
    return tuple(out), tuple(rejects)


def _io_8(b: bytes, at: int) -> tuple[int, dict[int, int], int]:
    """(event id, {id: value}, where the record ends)."""
    event, at = b[at], at + 2
    elements: dict[int, int] = {}
    for size in (1, 2, 4, 8):
        count, at = b[at], at + 1
        for _ in range(count):
            elements[b[at]] = int.from_bytes(b[at + 1 : at + 1 + size], "big")
            at += 1 + size
    if at > len(b):
        raise IndexError
    return event, elements, at


def _io_8e(b: bytes, at: int) -> tuple[int, dict[int, int], int]:
    event, at = b[at] << 8 | b[at + 1], at + 4
    elements: dict[int, int] = {}
    for size in (1, 2, 4, 8):
        count, at = b[at] << 8 | b[at + 1], at + 2
        if at + count * (2 + size) > len(b):
            raise IndexError
        for _ in range(count):
            elements[b[at] << 8 | b[at + 1]] = int.from_bytes(b[at + 2 : at + 2 + size], "big")
            at += 2 + size
    count, at = b[at] << 8 | b[at + 1], at + 2
    for _ in range(count):
        at += 4 + (b[at + 2] << 8 | b[at + 3])
    if at > len(b):
        raise IndexError
    return event, elements, at


def _io_16(b: bytes, at: int) -> tuple[int, dict[int, int], int]:
    event, at = b[at] << 8 | b[at + 1], at + 4
    elements: dict[int, int] = {}
    for size in (1, 2, 4, 8):
        count, at = b[at], at + 1
        for _ in range(count):
            elements[b[at] << 8 | b[at + 1]] = int.from_bytes(b[at + 2 : at + 2 + size], "big")
            at += 2 + size
    if at > len(b):
        raise IndexError
    return event, elements, at


def _record(
    out: list[Observation], device: str, head: tuple, event: int, elements: dict[int, int], received_ns: int | None
) -> None:
    time_ms, priority, lon, lat, alt, course, satellites, speed = head
    if time_ms >= 1 << 42:
        raise DeviceError("value", "a time after the year 2100")
    time_ns, source, flags = time_ms * 1_000_000, "device", ()
    if time_ms == 0:
        time_ns, source, flags = received_ns, "server", ("no_fix_time",)
    elif received_ns is not None and received_ns - time_ns > _BACKLOG_NS:
        flags = rollover(time_ns, received_ns) or ("backlog",)
    if satellites == 0 or null_island(lat / 1e7, lon / 1e7):
        flags = (*flags, "no_fix")
        out.append(Reading(device=device, time_ns=time_ns, time_source=source, flags=flags, quantity="fix_valid", value=False))
    else:
        if not (-900_000_000 <= lat <= 900_000_000 and -1_800_000_000 <= lon <= 1_800_000_000):
            raise DeviceError("value", "latitude or longitude out of range")
        out.append(
            Fix(
                device=device,
                time_ns=time_ns,
                time_source=source,
                flags=flags,
                lat_deg=lat / 1e7,
                lon_deg=lon / 1e7,
                alt_m=float(alt),
                alt_ref="msl",
                speed_mps=speed * KMH_MPS,
                course_deg=float(course % 360) if course <= 360 else None,
                attributes={"satellites": satellites, "event": event, "priority": priority},
            )
        )
    for key, value in elements.items():
        if key in _READINGS:
            quantity, factor, unit = _READINGS[key]
            if key == 72 and value >= 0x8000:
                value -= 0x10000 if value < 0x10000 else 0x100000000
            out.append(
                Reading(
                    device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity,
                    value=round(value * factor, 3), unit=unit,
                )
            )  # fmt: skip
        elif key in _STATES:
            out.append(
                Reading(
                    device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=_STATES[key], value=value != 0
                )
            )
    alarm = _ALARMS.get(event) if elements.get(event) else None
    if alarm is None and priority == 2:
        alarm = "sos"
    if alarm is not None:
        out.append(
            Alarm(
                device=device, time_ns=time_ns, time_source=source, flags=flags, alarm=alarm,
                text=f"AVL event {event}" if event else "panic priority",
            )
        )  # fmt: skip


# --- the other way -------------------------------------------------------------------------------------------


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record for ``encode``.

    Args:
        event: the AVL id that made the device send it; give its value in ``io``, too.
        io: {AVL id: (size in bytes, value)} beside the ones named here.
    """

    time_ns: int
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    alt_m: float = 0.0
    speed_mps: float = 0.0
    course_deg: float = 0.0
    satellites: int = 9
    priority: int = 0
    event: int = 0
    battery_volt: float | None = None
    moving: bool | None = None
    io: dict[int, tuple[int, int]] = {}


def encode(
    *,
    login: str = "",
    records: Iterable[Record | Mapping[str, Any]] = (),
    extended: bool = True,
    udp_imei: str = "",
    packet: int = 1,
) -> bytes:
    """What a tracker sends: a login, a packet, or both one after the other.

    Args:
        login: IMEI; the login's bytes come first.
        records: up to 255.
        extended: codec 8 Extended, else codec 8.
        udp_imei: a datagram of this device, numbered ``packet``, instead of a TCP packet.
    """
    out = b""
    if login:
        out += len(login).to_bytes(2, "big") + login.encode("ascii")
    rows = [r if isinstance(r, Record) else msgspec.convert(r, Record, strict=False) for r in records]
    if not rows:
        return out
    count = bytes([len(rows)])
    data = (b"\x8e" if extended else b"\x08") + count + b"".join(_written(r, extended) for r in rows) + count
    if udp_imei:
        imei = udp_imei.encode("ascii")
        rest = packet.to_bytes(2, "big")[1:]
        datagram = b"\xca\xfe\x01" + rest + len(imei).to_bytes(2, "big") + imei + data
        return len(datagram).to_bytes(2, "big") + datagram
    return out + b"\0\0\0\0" + len(data).to_bytes(4, "big") + data + crc16_ibm(data).to_bytes(4, "big")


def _written(r: Record, extended: bool) -> bytes:
    elements = dict(r.io)
    if r.battery_volt is not None:
        elements[67] = (2, round(r.battery_volt * 1000))
    if r.moving is not None:
        elements[240] = (1, int(r.moving))
    width = 2 if extended else 1
    out = _HEAD.pack(
        r.time_ns // 1_000_000, r.priority, round(r.lon_deg * 1e7), round(r.lat_deg * 1e7), round(r.alt_m),
        round(r.course_deg) % 360, r.satellites, round(r.speed_mps / KMH_MPS),
    )  # fmt: skip
    out += r.event.to_bytes(width, "big") + len(elements).to_bytes(width, "big")
    for size in (1, 2, 4, 8):
        group = {key: value for key, (bytes_, value) in elements.items() if bytes_ == size}
        out += len(group).to_bytes(width, "big")
        for key, value in group.items():
            out += key.to_bytes(width, "big") + value.to_bytes(size, "big")
    return out + (b"\0\0" if extended else b"")
