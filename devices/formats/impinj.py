"""Impinj IoT device interface: what an R700-family reader says of the tags it sees, over MQTT or its HTTP stream.

One JSON object a message, a list of them, or several, one a line (the HTTP stream)::

    {"timestamp": "2025-11-01T09:40:00.123456789Z",      the reader's clock                        -> time
     "hostname": "impinj-14-1a-2b",                      the reader; absent in some firmware       -> device, reader
     "eventType": "tagInventory",
     "tagInventoryEvent": {
        "epc": "MHQle_cZTkAAABqF",                       memory, base64 (standard or URL alphabet)
        "epcHex": "3074257BF7194E4000001A85",            the same, hexadecimal; one of the two      -> epc, a tag URI
        "antennaPort": 1, "antennaName": "gate",                                                  -> antenna
        "peakRssiCdbm": -5450,                           hundredths of a dBm                       -> rssi_dbm
        "frequency": 866300, "transmitPowerCdbm": 3000, "tid": …, "tidHex": …,
        "pc": "MAA=",                                    PC word, base64: whose numbering it is
        "lastSeenTime": "2025-11-01T09:40:00.120Z"}}     when this tag was read                    -> time, where there

    other events                                                                                  readings
     gpiTransitionEvent        {"gpi": 1, "transition": "low-to-high"}                             input_1 true
     antennaConnectedEvent     {"antennaPort": 2, "antennaName": "gate"}                           antenna_2_connected true
     antennaDisconnectedEvent  the same                                                           antenna_2_connected false
     inventoryStatusEvent      {"inventoryStatus": "running"}                                      inventory_status "running"
     overflowEvent             {}: reads were lost, the reader's buffer was full                    reads_lost true

Both ``epc`` and ``epcHex`` and not the same: reject ``value``.  Memory that follows no EPC scheme, or whose PC says that it is
none, is ``urn:epc:raw:…`` with the flag ``low_quality`` (``devices.reader_events``).  Any other event is named as not
understood (``unread``: ``event``); an object without an event is a reject ``type``.  A name that the transport vouches for (an
enrolled gateway) does not replace the reader's own name.  A clock that was never set dates nothing: ``no_fix_time``.

Source: Impinj IoT Device Interface, REST API 1.7, schemas "TagInventoryEvent", "GpiTransitionEvent", "AntennaConnectedEvent",
"InventoryStatusEvent", "OverflowEvent" (platform.impinj.com/site/docs/reader_api), read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.model import Reading, TagRead
from birddog.units import iso_from_ns
from devices import reader_events
from devices.codec import Decoded, Message, unread
from devices.epc_uri import tag_bytes
from devices.strict_json import number, text

VERSION = 4
STREAM = False
TEXT = True
#: As its maker documents them; an exercise knows them without an enrolment.
GATEWAY_TOPIC = re.compile(r"impinj/.+\Z")

_TRANSITIONS = {"low-to-high": True, "high-to-low": False}
_STATUSES = frozenset({"idle", "running", "armed"})


class Decoder:
    """Decodes one reader's messages; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Tag reads and readings of one message, or of each of its lines."""
        return reader_events.each(message, _event)


def _event(o: dict[str, Any], message: Message) -> Decoded:
    said = o.get("tagInventoryEvent")
    reader = text(o.get("hostname"), 100) or message.device
    if type(said) is not dict:
        if o.get("eventType") == "tagInventory":
            raise DeviceError("format", "a tagInventory event without its tag")
        if text(o.get("eventType")) or any(type(key) is str and key.endswith("Event") for key in o):
            return _other(o, reader, message.received_ns)
        raise DeviceError("type", "no eventType")
    uri, flags, attributes = reader_events.tag(_memory(said), _pc(said.get("pc")))
    time_ns, source, more = reader_events.when((said.get("lastSeenTime"), o.get("timestamp")), message.received_ns)
    rssi, antenna = number(said.get("peakRssiCdbm")), number(said.get("antennaPort"))
    for key in ("antennaName", "tidHex"):
        if word := text(said.get(key), 100):
            attributes[key] = word
    read = TagRead(
        device=reader,
        time_ns=time_ns,
        time_source=source,  # type: ignore[arg-type]
        flags=flags + more,
        epc=uri,
        reader=reader,
        antenna=int(antenna) if antenna is not None and 0 <= antenna < 1000 else None,
        rssi_dbm=rssi / 100.0 if rssi is not None and -20_000 <= rssi <= 5_000 else None,
        attributes=attributes,
    )
    return Decoded(observations=(read,), device=reader)


def _other(o: dict[str, Any], reader: str, received_ns: int | None) -> Decoded:
    """An event that is no tag."""
    time_ns, source, flags = reader_events.when((o.get("timestamp"),), received_ns)
    quantity, value = _reading(o)
    if not quantity:
        return Decoded(device=reader, unread=unread(["event"]))
    reading = Reading(device=reader, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity, value=value)  # type: ignore[arg-type]
    return Decoded(observations=(reading,), device=reader)


def _reading(o: dict[str, Any]) -> tuple[str, bool | str]:
    """(quantity, value) of an event that is no tag; "" where its name or content is not known."""
    if type(said := o.get("gpiTransitionEvent")) is dict:
        port, to = number(said.get("gpi")), said.get("transition")
        if port is not None and 0 <= port < 100 and to in _TRANSITIONS:
            return f"input_{int(port)}", _TRANSITIONS[to]
    for key, connected in (("antennaConnectedEvent", True), ("antennaDisconnectedEvent", False)):
        if type(said := o.get(key)) is dict:
            port = number(said.get("antennaPort"))
            if port is not None and 0 <= port < 1000:
                return f"antenna_{int(port)}_connected", connected
    if type(said := o.get("inventoryStatusEvent")) is dict and said.get("inventoryStatus") in _STATUSES:
        return "inventory_status", said["inventoryStatus"]
    if type(o.get("overflowEvent")) is dict or o.get("eventType") == "overflow":
        return "reads_lost", True
    return "", False


def _memory(said: dict[str, Any]) -> bytes:
    """EPC memory from epcHex or epc."""
    found: list[bytes] = []
    if said.get("epcHex") is not None:
        try:
            found.append(bytes.fromhex(text(said["epcHex"])))
        except ValueError:
            raise DeviceError("value", "epcHex is not hexadecimal") from None
    if said.get("epc") is not None:
        found.append(_base64(said["epc"], "epc"))
    if not found or not found[0]:
        raise DeviceError("value", "no epc")
    if len(found) == 2 and found[0] != found[1]:
        raise DeviceError("value", "epc and epcHex differ")
    return found[0]


def _pc(value: Any) -> bytes:
    """The PC word, or b"" where it cannot be read: it costs no tag."""
    try:
        return _base64(value, "pc")
    except DeviceError:
        return b""


def _base64(value: Any, name: str) -> bytes:
    word = text(value).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise DeviceError("value", f"{name} is not base64") from None


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
