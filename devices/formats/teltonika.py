r"""Teltonika codec 8, 8 Extended and 16 over TCP and UDP: hidden GNSS trackers (FMB, FMC, TAT, GH …).

TCP: the device says who it is and waits for ``01``; then it sends packets and waits for the count of records::

    login   00 0F | 15 digits IMEI                                        reply 01
    packet  00 00 00 00 | length u32 | data | CRC u32                     reply count of records u32
            data = codec u8 | count u8 | records | count u8               length, CRC-16/IBM: of data
    ping    FF                                                            no reply
    UDP     length u16 | packet id u16 | any u8 | AVL packet id u8 | 00 0F | IMEI | data     (length: of all after it)
                                                                          reply 0005 | packet id | 01 | AVL packet id | count u8
    record  time u64 ms | priority u8 | lon i32 1e-7° | lat i32 1e-7° | alt i16 m | course u16 ° | satellites u8 | km/h u16
            event id | total | for each size of 1, 2, 4, 8 bytes:  count | count × (id | value)
            codec 8: ids and counts of one byte.  8 Extended (8E): of two; at the end  count | count × (id | length | value).
            codec 16 (10): ids of two bytes, counts of one, a generation type u8 after the event id.

All numbers big-endian.  What a record means, its elements and alarms, is ``devices.teltonika_record``, for this and the JSON
that the same trackers publish in MQTT mode (``devices.teltonika_json``; a message that begins with ``{``).

The reply is made here and is sent by the transport after the record is on disk.  A packet whose check sum is wrong gets no
reply, the device sends it again; one whose sum is right and that still makes no sense is kept raw and acknowledged, as the
device would send it for ever.  A datagram's ids are the device's and come back in the reply, whatever they are (0xCAFE is only
what the maker's examples have); sent again under other ids its records are the same message.  Codecs 12, 13 and 14 (answers to
commands) have no position and give nothing; any other codec is a reject ``type``.

Longer than 400 lines because three codecs, two transports and the framing that must survive cut packets are one format.

Source: wiki.teltonika-gps.com, "Teltonika Data Sending Protocols", read 2026-11.  CRC: polynomial 0x8005 reflected (0xA001),
start 0.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.model import Observation, Reject
from birddog.units import KMH_MPS
from devices import framing, teltonika_json
from devices.codec import MAX_FRAME, NOTHING, Decoded, Message, rejected, unread
from devices.crc import crc16_ibm
from devices.teltonika_record import ASK, Family, Said, family_of, observations

VERSION = 3
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
#: A datagram of one record without elements, and the shortest IMEI.
_LEAST_DATAGRAM = 16
_JSON = re.compile(rb"\{\s*\"")
#: Devices whose family of models is remembered.
_MOST_FAMILIES = 1000


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
    elif head[:1] == b"{":
        return _json(buffer, at, last)
    elif _LEAST_DATAGRAM < (size := int.from_bytes(head[:2], "big")) <= MAX_PACKET and (have < 8 or _addressed(buffer, at)):
        if at + 2 + size <= len(buffer):
            return at + 2 + size, None
        return (len(buffer), Reject("length", "a datagram cut short")) if last else (0, None)
    elif have >= 3 and head[0] == 0 and 8 <= head[1] <= 20 and buffer[at + 2 : at + 2 + head[1]].isdigit():
        if at + 2 + head[1] <= len(buffer):
            return at + 2 + head[1], None
        return (len(buffer), Reject("length", "a login cut short")) if last else (0, None)
    return _rubbish(buffer, at, last)


def _addressed(buffer: bytes, at: int) -> bool:
    """Whether a datagram's address, the length of an IMEI and its digits, may stand here."""
    width = buffer[at + 7]
    return buffer[at + 6] == 0 and 8 <= width <= 20 and (buffer[at + 8 : at + 8 + width] or b"0").isdigit()


def _json(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """The end of the object that begins here: what is no JSON, or too long, is rubbish."""
    depth, quoted, escaped = 0, False, False
    for k in range(at, min(len(buffer), at + MAX_PACKET)):
        byte = buffer[k]
        if quoted:
            quoted, escaped = byte != 0x22 or escaped, byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth == 0:
                return k + 1, None
        if byte < 0x20 and byte not in b"\t\r\n":
            return _rubbish(buffer, at, last)
    if last or len(buffer) - at >= MAX_PACKET:
        return _rubbish(buffer, at, last)
    return 0, None


class Framer(framing.Framer):
    """One connection's framer; also takes a datagram, or a message in JSON."""

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
    """Decodes one connection; remembers the IMEI of its login, and of which family of models a device is."""

    __slots__ = ("_families", "_imei")

    def __init__(self) -> None:
        self._imei = ""
        self._families: dict[str, Family] = {}

    @property
    def identity(self) -> str:
        """The IMEI of the login, "" before it."""
        return self._imei

    def decode(self, message: Message) -> Decoded:
        """Observations of one login, packet, datagram or JSON object."""
        b = message.payload
        if not b or b == b"\xff":
            return NOTHING
        if len(b) > MAX_FRAME:
            return rejected("size", f"{len(b)} bytes", device=self._imei or message.device)
        if (login := _LOGIN.fullmatch(b)) and len(b) == b[1] + 2:
            self._imei = login[1].decode("ascii")
            return Decoded(device=self._imei, reply=b"\x01")
        device = self._imei or message.device
        if b[:4] == b"\0\0\0\0":
            try:
                return self._tcp(b, device, message.received_ns)
            except DeviceError as error:
                return rejected(error.reason, error.detail, device=device)
        if len(b) > 8 and b[6] == 0 and b[8:9].isdigit():
            return self._udp(b, message.received_ns)
        if _JSON.match(b):
            device = teltonika_json.device_of(message.topic) or device
            try:
                records, rejects = _json_records(b, device)
                return self._said(records, device, message.received_ns, rejects=rejects)
            except DeviceError as error:
                return rejected(error.reason, error.detail, device=device)
        return rejected("framing", "neither a login nor a packet", device=device)

    def _tcp(self, b: bytes, device: str, received_ns: int | None) -> Decoded:
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
            return self._said(_records(data), device, received_ns, reply=reply)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device, reply=reply)

    def _udp(self, b: bytes, received_ns: int | None) -> Decoded:
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
            said = self._said(_records(data), imei, received_ns, reply=reply)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=imei, reply=reply)
        if any(o.time_source == "device" for o in said.observations):
            # what was not acknowledged comes again, under ids that count on
            key = hashlib.blake2b(imei.encode() + b"/" + data, digest_size=16).digest()
            return msgspec.structs.replace(said, key=key)
        return said

    def _said(
        self, records: list[Said], device: str, received_ns: int | None, *, reply: bytes | None = None,
        rejects: tuple[Reject, ...] = (),
    ) -> Decoded:  # fmt: skip
        """What the records of one message say; one whose values cannot be costs only itself."""
        known = self._families.get(device, "")
        family = known
        if not known or any(event in ASK for _, event, _ in records):
            family = family_of(records) or known
            if family != known:
                if len(self._families) >= _MOST_FAMILIES:
                    self._families.clear()
                self._families[device] = family
        out: list[Observation] = []
        parts: list[str] = []
        for k, record in enumerate(records, 1):
            try:
                if missed := observations(out, record, device, family, received_ns):
                    parts += missed
            except DeviceError as error:
                rejects += (Reject(error.reason, f"record {k}: {error.detail}", device=device),)
        return Decoded(
            observations=tuple(out), rejects=rejects, device=device, reply=reply, unread=unread(parts) if parts else ()
        )


def _json_records(b: bytes, device: str) -> tuple[list[Said], tuple[Reject, ...]]:
    out: list[Said] = []
    rejects: tuple[Reject, ...] = ()
    for k, row in enumerate(teltonika_json.records(b), 1):
        try:
            out.append(teltonika_json.record(row))
        except DeviceError as error:
            rejects += (Reject(error.reason, f"record {k}: {error.detail}", device=device),)
    return out, rejects


def _records(data: bytes) -> list[Said]:
    """The records of codec, count, records, count.

    Raises:
        DeviceError: type or length: it cannot be told where the records begin and end.
    """
    codec, count = data[0], data[1]
    read_io = {0x08: _io_8, 0x8E: _io_8e, 0x10: _io_16}.get(codec)
    if read_io is None:
        raise DeviceError("type", f"codec 0x{codec:02X}")
    if data[-1] != count:
        raise DeviceError("length", "the two counts of records differ")
    out: list[Said] = []
    at, end = 2, len(data) - 1
    body = data[:end]
    try:
        for _ in range(count):
            head = _HEAD.unpack_from(body, at)
            event, elements, at = read_io(body, at + 24)
            out.append((head, event, elements))
    except (struct.error, IndexError):
        raise DeviceError("length", "the records end before the packet says so") from None
    if at != end:
        raise DeviceError("length", f"{end - at} bytes after the last record")
    return out


def _io_8(b: bytes, at: int) -> tuple[int, dict[int, int], int]:
    """(event id, elements by code, where the record ends)."""
    event, at = b[at], at + 2
    elements: dict[int, int] = {}
    for size in (1, 2, 4, 8):
        count, at = b[at], at + 1
        for _ in range(count):
            elements[b[at] << 4 | size] = int.from_bytes(b[at + 1 : at + 1 + size], "big")
            at += 1 + size
    if at > len(b):
        raise IndexError
    return event, elements, at


def _io_8e(b: bytes, at: int) -> tuple[int, dict[int, int], int]:
    event, at = b[at] << 8 | b[at + 1], at + 4
    elements: dict[int, int] = {}
    for size in (1, 2, 4, 8):
        count, at = b[at] << 8 | b[at + 1], at + 2
        if not count:
            continue
        step = 2 + size
        end = at + count * step
        if end > len(b):
            raise IndexError
        if size == 1:
            for k in range(at, end, 3):
                elements[b[k] << 12 | b[k + 1] << 4 | 1] = b[k + 2]
        else:
            for k in range(at, end, step):
                elements[b[k] << 12 | b[k + 1] << 4 | size] = int.from_bytes(b[k + 2 : k + step], "big")
        at = end
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
            elements[b[at] << 12 | b[at + 1] << 4 | size] = int.from_bytes(b[at + 2 : at + 2 + size], "big")
            at += 2 + size
    if at > len(b):
        raise IndexError
    return event, elements, at


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
    datagram: int = 0xCAFE,
) -> bytes:
    """What a tracker sends: a login, a packet, or both one after the other.

    Args:
        login: IMEI; the login's bytes come first.
        records: up to 255.
        extended: codec 8 Extended, else codec 8.
        udp_imei: a datagram of this device, instead of a TCP packet.
        packet, datagram: its AVL packet id, 8 bits, and packet id, 16 bits.
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
        whole = datagram.to_bytes(2, "big") + b"\1" + rest + len(imei).to_bytes(2, "big") + imei + data
        return len(whole).to_bytes(2, "big") + whole
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
