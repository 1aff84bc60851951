"""Impinj IoT device interface: what an R700-family reader says of the tags it sees, over MQTT or its HTTP stream.

One JSON object a message, or several, one a line (the HTTP stream)::

    {"timestamp": "2025-11-01T09:40:00.123456789Z",      the reader's clock                        -> time
     "hostname": "impinj-14-1a-2b",                      the reader; absent in some firmware       -> device, reader
     "eventType": "tagInventory",
     "tagInventoryEvent": {
        "epc": "MHQle_cZTkAAABqF",                       memory, base64 (standard or URL alphabet)
        "epcHex": "3074257BF7194E4000001A85",            the same, hexadecimal; one of the two      -> epc, a tag URI
        "antennaPort": 1, "antennaName": "gate",                                                  -> antenna
        "peakRssiCdbm": -5450,                           hundredths of a dBm                       -> rssi_dbm
        "frequency": 866300, "transmitPowerCdbm": 3000, "pc": "MAA=", "tid": …, "tidHex": …,
        "lastSeenTime": "2025-11-01T09:40:00.120Z"}}     when this tag was read                    -> time, where there

Both ``epc`` and ``epcHex`` and not the same: reject ``value``.  Memory that follows no EPC scheme is
``urn:epc:raw:…`` with the flag ``low_quality``: a pallet's own numbering is still a sighting.  Other events
(inventoryStatus, antennaConnected, gpi …) have no tag and give nothing; an object without an event is a reject ``type``.
A name that the transport vouches for (an enrolled gateway) does not replace the reader's own name.

Source: Impinj IoT Device Interface, REST API 1.7, schema "TagInventoryEvent"
(platform.impinj.com/site/docs/reader_api), read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.model import TagRead
from birddog.units import iso_from_ns, ns_from_text
from devices.codec import MAX_FRAME, NOTHING, Decoded, Message, join, rejected
from devices.epc_uri import raw_uri, tag_bytes, tag_name
from devices.strict_json import loads, number, text

VERSION = 3
STREAM = False

#: Lines in one message, and events in one list; more are a reject ``size``.
MOST_LINES = 2000
#: EPC memory has at most 496 bits.
MAX_MEMORY = 62


class Decoder:
    """Decodes one reader's messages; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Tag reads of one message, or of each of its lines."""
        payload = message.payload
        if len(payload) > 8 * MAX_FRAME:
            return rejected("size", f"{len(payload)} bytes", device=message.device)
        lines = [line for line in payload.split(b"\n") if not line.isspace() and line] if b"\n" in payload else [payload]
        if len(lines) > MOST_LINES:
            return rejected("size", f"{len(lines)} lines", device=message.device)
        # one object may be written over several lines: a first line that is no object alone is not cut
        if len(lines) > 1 and not lines[0].rstrip().endswith(b"}"):
            lines = [payload]
        answers = [_line(line, message) for line in lines]
        return join(answers) if answers else NOTHING


def _line(line: bytes, message: Message) -> Decoded:
    try:
        value = loads(line)
        if type(value) is not list:
            return _event(value, message)
        if len(value) > MOST_LINES:
            return rejected("size", f"a list of {len(value)} events", device=message.device)
    except DeviceError as error:
        return rejected(error.reason, error.detail, device=message.device)
    return join([_each(item, message) for item in value]) if value else NOTHING


def _each(item: Any, message: Message) -> Decoded:
    try:
        return _event(item, message)
    except DeviceError as error:
        return rejected(error.reason, error.detail, device=message.device)


def _event(o: Any, message: Message) -> Decoded:
    if type(o) is not dict:
        raise DeviceError("format", "not a JSON object")
    said = o.get("tagInventoryEvent")
    reader = text(o.get("hostname"), 100) or message.device
    if type(said) is not dict:
        if o.get("eventType") == "tagInventory":
            raise DeviceError("format", "a tagInventory event without its tag")
        if text(o.get("eventType")) or any(type(key) is str and key.endswith("Event") for key in o):
            return Decoded(device=reader)
        raise DeviceError("type", "no eventType")
    memory = _memory(said)
    flags: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    try:
        uri, named = tag_name(memory)
        attributes |= named
    except DeviceError:
        uri, flags = raw_uri(memory), ("low_quality",)
    time_ns, source = _time(said.get("lastSeenTime"), o.get("timestamp"), message.received_ns)
    rssi, antenna = number(said.get("peakRssiCdbm")), number(said.get("antennaPort"))
    for key in ("antennaName", "tidHex"):
        if word := text(said.get(key), 100):
            attributes[key] = word
    read = TagRead(
        device=reader,
        time_ns=time_ns,
        time_source=source,
        flags=flags,
        epc=uri,
        reader=reader,
        antenna=int(antenna) if antenna is not None and 0 <= antenna < 1000 else None,
        rssi_dbm=rssi / 100.0 if rssi is not None and -20_000 <= rssi <= 5_000 else None,
        attributes=attributes,
    )
    return Decoded(observations=(read,), device=reader)


def _memory(said: dict[str, Any]) -> bytes:
    """EPC memory from epcHex or epc."""
    found: list[bytes] = []
    try:
        if said.get("epcHex") is not None:
            found.append(bytes.fromhex(text(said["epcHex"])))
        if said.get("epc") is not None:
            word = text(said["epc"]).replace("-", "+").replace("_", "/")
            found.append(base64.b64decode(word + "=" * (-len(word) % 4), validate=True))
    except (ValueError, binascii.Error):
        raise DeviceError("value", "epc is not base64, or epcHex not hexadecimal") from None
    if not found or not found[0]:
        raise DeviceError("value", "no epc")
    if len(found) == 2 and found[0] != found[1]:
        raise DeviceError("value", "epc and epcHex differ")
    if len(found[0]) > MAX_MEMORY:
        raise DeviceError("size", f"an EPC of {len(found[0])} bytes")
    return found[0]


def _time(seen: Any, stamp: Any, received_ns: int | None) -> tuple[int | None, str]:
    """(time_ns, time_source): when the tag was read, else when the reader said so, else the reception."""
    for word in (seen, stamp):
        if type(word) is str and word:
            whole, dot, rest = word.partition(".")
            digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            try:
                time_ns = ns_from_text(whole + rest[len(digits) :])
            except (ValueError, OverflowError):
                raise DeviceError("value", "a time that is not ISO 8601 with a zone") from None
            if not 0 < time_ns < 4_102_444_800_000_000_000:
                raise DeviceError("value", "a time out of range")
            return time_ns + (int(digits[:9].ljust(9, "0")) if dot and digits else 0), "device"
    return received_ns, "server"


def encode(
    *, reader: str, time_ns: int, epc_uri: str, antenna: int = 1, rssi_dbm: float | None = None, both: bool = True
) -> bytes:
    """One tagInventory event.

    Args:
        epc_uri: a tag URI of numbers (SGTIN-96, SSCC-96 …) or a raw one.
        both: write the EPC as base64 and as hexadecimal, else as base64 only.

    Raises:
        ValueError: such a tag cannot be written.
    """
    memory = tag_bytes(epc_uri)
    tag: dict[str, Any] = {"epc": base64.b64encode(memory).decode("ascii")}
    if both:
        tag["epcHex"] = memory.hex().upper()
    tag["antennaPort"] = antenna
    if rssi_dbm is not None:
        tag["peakRssiCdbm"] = round(rssi_dbm * 100)
    stamp = iso_from_ns(time_ns)
    return msgspec.json.encode({"timestamp": stamp, "hostname": reader, "eventType": "tagInventory", "tagInventoryEvent": tag})
