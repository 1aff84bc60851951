"""Modbus: the registers of one poll of a sensor, with all that is needed to read them.

A Modbus device says only numbers; what they mean stands in the TOML of whoever polls it.  So that decoding needs no settings
and a journal can be read years later, the poller puts both into one message.  This form is Birddog's own::

    {"unit": 1, "readings": [
        {"address": 0,                 first register, as the map counts          (for the person who reads it)
         "quantity": "battery_voltage",
         "type": "f32",                u16 i16 u32 i32 f32 bool
         "word_order": "big",          which half of a 32-bit value comes first: big = the high one (default)
         "scale": 0.1, "offset": 0,    value = raw × scale + offset (default 1, 0)
         "unit": "V",
         "registers": [17096, 0],      as they came, 0 to 65535; for bool: the register, or the bit of a coil
         "bit": 3}]}                   bool only: which bit of the register, 0 the lowest (default: any bit set)

One reading each, of the device that the transport names.  Modbus has no clock: the time is that of the poll (``server``).
A reading that cannot be is a reject ``value`` or ``type``, and the others of the message still count.

Source: MODBUS Application Protocol Specification V1.1b3, 4.2 and 4.3 (registers of 16 bits, big-endian on the wire); 32-bit
values over two registers are a custom of the makers, hence the word order.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.model import Reading, Reject
from devices.codec import MAX_FRAME, Decoded, Message, rejected
from devices.strict_json import loads, number, text

VERSION = 1
STREAM = False

#: A poll holds at most so many readings.
MOST_READINGS = 2000
#: type -> (registers, struct format of the value, big-endian)
_TYPES = {"u16": (1, ">H"), "i16": (1, ">h"), "u32": (2, ">I"), "i32": (2, ">i"), "f32": (2, ">f"), "bool": (1, "")}


class Decoder:
    """Decodes polls; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """The readings of one poll."""
        if len(message.payload) > 4 * MAX_FRAME:
            return rejected("size", f"{len(message.payload)} bytes", device=message.device)
        try:
            o = loads(message.payload)
            rows = o.get("readings") if type(o) is dict else None
            if type(rows) is not list:
                return rejected("format", "no list of readings", device=message.device)
            if len(rows) > MOST_READINGS:
                return rejected("size", f"{len(rows)} readings", device=message.device)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)
        observations, rejects = [], []
        for k, row in enumerate(rows):
            try:
                quantity, value, unit = _reading(row)
            except DeviceError as error:
                rejects.append(Reject(error.reason, f"reading {k}: {error.detail}", device=message.device))
                continue
            observations.append(
                Reading(
                    device=message.device,
                    time_ns=message.received_ns,
                    time_source="server",
                    quantity=quantity,
                    value=value,
                    unit=unit,
                )
            )
        return Decoded(observations=tuple(observations), rejects=tuple(rejects))


def _reading(row: Any) -> tuple[str, float | bool, str]:
    """(quantity, value, unit) of one entry of ``readings``."""
    if type(row) is not dict or not text(row.get("quantity")):
        raise DeviceError("format", "no quantity")
    kind = row.get("type", "u16")
    known = _TYPES.get(kind) if type(kind) is str else None
    if known is None:
        raise DeviceError("type", "a type that is none of u16 i16 u32 i32 f32 bool")
    registers, count = row.get("registers"), known[0]
    if (
        type(registers) is not list
        or len(registers) != count
        or not all(type(r) in (int, bool) and 0 <= r <= 0xFFFF for r in registers)
    ):
        raise DeviceError("value", f"wants {count} register{'s' if count > 1 else ''} of 0 to 65535")
    if kind == "bool":
        bit = row.get("bit")
        if bit is not None and not (type(bit) is int and 0 <= bit <= 15):
            raise DeviceError("value", "bit is none of 0 to 15")
        return text(row["quantity"]), bool(registers[0] if bit is None else registers[0] >> bit & 1), text(row.get("unit"))
    order = row.get("word_order", "big")
    if order not in ("big", "little"):
        raise DeviceError("value", "word_order is neither big nor little")
    words = registers if order == "big" else registers[::-1]
    raw = struct.unpack(known[1], struct.pack(f">{count}H", *words))[0]
    scale, offset = number(row.get("scale", 1)), number(row.get("offset", 0))
    if scale is None or offset is None:
        raise DeviceError("value", "scale or offset is no number")
    value = raw * scale + offset
    if not math.isfinite(value):
        raise DeviceError("value", "not a finite number")
    # what a scale of 0.1 adds to the 16th digit is no measurement
    return text(row["quantity"]), float(f"{value:.12g}"), text(row.get("unit"))


def encode(*, unit: int, readings: Iterable[Mapping[str, Any]]) -> bytes:
    """One poll's message; each reading as in the layout above, with ``registers``, or with ``value`` to be packed.

    Raises:
        ValueError: a value does not fit its registers.
    """
    rows = []
    for reading in readings:
        row = dict(reading)
        if "value" in row:
            row["registers"] = _registers(row, row.pop("value"))
        rows.append(row)
    return msgspec.json.encode({"unit": unit, "readings": rows})


def _registers(row: Mapping[str, Any], value: float | bool) -> list[int]:
    kind = row.get("type", "u16")
    if kind == "bool":
        return [int(bool(value)) << row.get("bit", 0)]
    count, form = _TYPES[kind]
    raw = (value - row.get("offset", 0)) / row.get("scale", 1)
    try:
        packed = struct.pack(form, raw if kind == "f32" else round(raw))
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value} does not fit {kind}") from error
    words = list(struct.unpack(f">{count}H", packed))
    return words if row.get("word_order", "big") == "big" else words[::-1]
