"""Zebra IoT Connector: what a fixed reader (FX7500, FX9600, FXR90, ATR7000) says of the tags it sees: MQTT, HTTP, WebSocket.

One JSON object, a list of them, or several one after the other without anything between::

    {"type": "SIMPLE",                                   the mode: SIMPLE INVENTORY PORTAL CONVEYOR CUSTOM …
     "timestamp": "2025-11-01T09:40:00.123+0000",        the reader's clock                        -> time
     "data": {
        "eventNum": 7, "format": "epc",                  format: epc, or the memory that was asked
        "idHex": "3074257bf7194e4000001a85",             EPC memory, hexadecimal                   -> epc, a tag URI
        "hostName": "FX9600EF5B60",                      the reader, where its metadata are on     -> device, reader
        "MAC": "84:24:8D:EF:5B:60",                      the same where the name is off            -> device, reader
        "antenna": 1, "peakRssi": -54,                   dBm; metadata, may be off                 -> antenna, rssi_dbm
        "reads": 12, "channel": 865.7, "phase": 0.0,                                              -> reads
        "PC": "3000", "TID": "e280…", "XPC": …, "CRC": …, "USER": …}}

Without ``hostName`` and ``MAC`` the reader is the one that the transport vouches for.  ``PC`` with its toggle bit says that
the memory is another numbering system's: such memory, and what follows no scheme, is ``urn:epc:raw:…`` with ``low_quality``
(``devices.reader_events``).  A clock that was never set dates nothing (``no_fix_time``).

Management events (the same frame, ``component`` beside ``type``): ``gpi`` {"pin": 1, "state": "HIGH"} is the reading
``input_1``; ``heartbeat`` and the answers to commands give nothing; any other is named as not understood (``unread``:
``event``).

Source: Zebra IoT Connector, "Tag Data Events" and "Management Events" (zebradevs.github.io/rfid-ziotc-docs), read 2026-11;
how readers string events together: reelyactive/barnowl-zebra, lib/zebradecoder.js.
"""

from __future__ import annotations

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

VERSION = 1
STREAM = False
TEXT = True
#: As its maker documents them; an exercise knows them without an enrolment.
GATEWAY_TOPIC = re.compile(r"(zebra/.+|.*/?DATA/clients/data\d?event/.+)\Z", re.IGNORECASE)

#: Types of events that say nothing of tags, inputs or trouble.
_SILENT = frozenset({"heartbeat", "firmwareUpdateProgress", "userapp"})
_STATES = {"HIGH": True, "LOW": False}


class Decoder:
    """Decodes one reader's messages; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Tag reads and readings of one message."""
        return reader_events.each(message, _event)


def _event(o: dict[str, Any], message: Message) -> Decoded:
    kind, data = text(o.get("type"), 40), o.get("data")
    if type(data) is not dict:
        if kind or text(o.get("command")):
            return Decoded(device=message.device, unread=() if kind in _SILENT or not kind else unread(["event"]))
        raise DeviceError("type", "neither a tag nor an event")
    reader = text(data.get("hostName"), 100) or text(data.get("MAC"), 100) or message.device
    time_ns, source, flags = reader_events.when((o.get("timestamp"),), message.received_ns)
    if "idHex" not in data:
        return _other(kind, data, reader, time_ns, source, flags)
    try:
        memory = bytes.fromhex(text(data["idHex"]))
    except ValueError:
        raise DeviceError("value", "idHex is not hexadecimal") from None
    uri, more, attributes = reader_events.tag(memory, _pc(data.get("PC")))
    rssi, antenna, reads = number(data.get("peakRssi")), number(data.get("antenna")), number(data.get("reads"))
    if reads is not None and 0 < reads < 1e9:
        attributes["reads"] = int(reads)
    if tid := text(data.get("TID"), 100):
        attributes["tidHex"] = tid
    read = TagRead(
        device=reader,
        time_ns=time_ns,
        time_source=source,  # type: ignore[arg-type]
        flags=more + flags,
        epc=uri,
        reader=reader,
        antenna=int(antenna) if antenna is not None and 0 <= antenna < 1000 else None,
        # 0 dBm is what a reader writes for none: no tag is heard at a milliwatt
        rssi_dbm=rssi if rssi else None,
        attributes=attributes,
    )
    return Decoded(observations=(read,), device=reader)


def _other(
    kind: str, data: dict[str, Any], reader: str, time_ns: int | None, source: str, flags: tuple[str, ...]
) -> Decoded:
    """A management event."""
    pin, state = number(data.get("pin")), text(data.get("state")).upper()
    if kind.lower() == "gpi" and pin is not None and 0 <= pin < 100 and state in _STATES:
        reading = Reading(
            device=reader, time_ns=time_ns, time_source=source, flags=flags,  # type: ignore[arg-type]
            quantity=f"input_{int(pin)}", value=_STATES[state],
        )  # fmt: skip
        return Decoded(observations=(reading,), device=reader)
    return Decoded(device=reader, unread=() if kind in _SILENT else unread(["event"]))


def _pc(value: Any) -> bytes:
    """The PC word, or b"" where it cannot be read: it costs no tag."""
    try:
        return bytes.fromhex(text(value))
    except ValueError:
        return b""


def encode(*, reader: str, time_ns: int, epc_uri: str, antenna: int = 1, rssi_dbm: float | None = None) -> bytes:
    """One tag data event in the form of an FX9600 with its metadata on.

    Args:
        epc_uri: a tag URI of numbers (SGTIN-96, SSCC-96 …) or a raw one.

    Raises:
        ValueError: such a tag cannot be written.
    """
    memory = tag_bytes(epc_uri)
    data: dict[str, Any] = {"eventNum": 1, "format": "epc", "idHex": memory.hex(), "hostName": reader, "antenna": antenna}
    if rssi_dbm is not None:
        data["peakRssi"] = rssi_dbm
    stamp = iso_from_ns(time_ns).replace("Z", "+0000")
    return msgspec.json.encode({"data": data, "timestamp": stamp, "type": "CUSTOM"})
