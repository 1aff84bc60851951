"""What the JSON formats of RFID readers share (impinj, zebra): how events lie in a message, their time, whose memory a tag has.

A reader's message is one JSON object, a list of them, or several one after the other, each on its line (an HTTP stream,
NDJSON) or with nothing between (``}{``: Zebra's TCP and WebSocket).  A broken one costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from birddog.errors import DeviceError
from birddog.units import ns_from_text
from devices.clock import unset
from devices.codec import MAX_FRAME, NOTHING, Decoded, Message, join, rejected
from devices.epc_uri import raw_uri, tag_name
from devices.strict_json import loads

#: Events in one message; more are a reject ``size``.
MOST_EVENTS = 2000
#: EPC memory has at most 496 bits.
MAX_MEMORY = 62
_BETWEEN = re.compile(rb"(?<=[}\]])\s*(?=[{\[])")


def each(message: Message, read: Callable[[dict[str, Any], Message], Decoded]) -> Decoded:
    """The answers to every event of a message, joined; ``read`` raises DeviceError for one that cannot be."""
    payload = message.payload.strip()
    if len(payload) > 8 * MAX_FRAME:
        return rejected("size", f"{len(payload)} bytes", device=message.device)
    pieces = _BETWEEN.split(payload) if payload else []
    if len(pieces) > MOST_EVENTS:
        return rejected("size", f"{len(pieces)} events", device=message.device)
    answers = [answer for piece in pieces for answer in _answers(piece, message, read)]
    return join(answers) if answers else NOTHING


def _answers(piece: bytes, message: Message, read: Callable[[dict[str, Any], Message], Decoded]) -> list[Decoded]:
    try:
        value = loads(piece)
    except DeviceError as error:
        lines = [line.strip() for line in piece.split(b"\n") if line.strip()]
        # a line that was cut short took the next one with it
        if 1 < len(lines) <= MOST_EVENTS and any(line[:1] in b"{[" and line[-1:] in b"}]" for line in lines):
            return [answer for line in lines for answer in _answers(line, message, read)]
        return [rejected(error.reason, error.detail, device=message.device)]
    events = value if type(value) is list else [value]
    if len(events) > MOST_EVENTS:
        return [rejected("size", f"a list of {len(events)} events", device=message.device)]
    out = []
    for event in events:
        try:
            if type(event) is not dict:
                raise DeviceError("format", "not a JSON object")
            out.append(read(event, message))
        except DeviceError as error:
            out.append(rejected(error.reason, error.detail, device=message.device))
    return out


def when(words: tuple[Any, ...], received_ns: int | None) -> tuple[int | None, str, tuple[str, ...]]:
    """(time_ns, time_source, flags) of the first time that is stated, else the reception; a clock never set states none.

    Raises:
        DeviceError: value: a time without a zone, or none of this century.
    """
    for word in words:
        if type(word) is str and word:
            try:
                time_ns = ns_from_text(word)
            except (ValueError, OverflowError):
                raise DeviceError("value", "a time that is not ISO 8601 with a zone") from None
            if not 0 <= time_ns < 4_102_444_800_000_000_000:
                raise DeviceError("value", "a time out of range")
            if unset(time_ns, received_ns):
                return received_ns, "server", ("no_fix_time",)
            return time_ns, "device", ()
    return received_ns, "server", ()


def tag(memory: bytes, pc: bytes = b"") -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """(URI, flags, attributes) of a tag's EPC memory.

    Memory that follows no EPC scheme is ``urn:epc:raw:…`` with the flag ``low_quality``: a pallet's own numbering is still a
    sighting.  So is memory whose PC word says by its toggle bit (0x0100) that another numbering system wrote it (ISO 17367),
    whatever it looks like.

    Raises:
        DeviceError: value or size: no memory, or too much.
    """
    if not memory:
        raise DeviceError("value", "no epc")
    if len(memory) > MAX_MEMORY:
        raise DeviceError("size", f"an EPC of {len(memory)} bytes")
    if len(pc) != 2 or not pc[0] & 1:
        try:
            uri, attributes = tag_name(memory)
        except DeviceError:
            pass
        else:
            return uri, (), dict(attributes)
    return raw_uri(memory), ("low_quality",), {}
