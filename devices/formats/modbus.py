"""Modbus: the registers of one poll of a sensor, with all that is needed to read them.

A Modbus device says only numbers; what they mean stands in the TOML of whoever polls it.  So that decoding needs no settings
and a journal can be read years later, the poller puts both into one message.  This form is Birddog's own::

    {"unit": 1, "readings": [
        {"address": 0,                 first register, as the map counts          (for the person who reads it)
         "quantity": "battery_voltage",
         "type": "f32",                u16 i16 u32 i32 u64 i64 f32 f64 bool
         "word_order": "big",          which word of a longer value comes first: big = the high one (default)
         "byte_order": "big",          which byte of each register comes first: big = the high one, as the standard says
                                       (default).  With word_order: ABCD, CDAB (little, big), BADC (big, little), DCBA
         "scale": 0.1, "offset": 0,    value = raw × scale + offset (default 1, 0)
         "not_available": [-9999],     raw values by which the sensor says that it has none (default: those of its type, below)
         "min": 0, "max": 60,          what the value itself can be; beyond, it is none
         "unit": "V",
         "registers": [17096, 0],      as they came, 0 to 65535; for bool: the register, or the bit of a coil
         "bit": 3}]}                   bool only: which bit of the register, 0 the lowest (default: any bit set)

One reading each, of the device that the transport names.  Modbus has no clock: the time is that of the poll (``server``).
A reading that cannot be is a reject ``value`` or ``type``, and the others of the message still count: raw bits that mean "not
available", a value outside its ``min`` and ``max``, one that its quantity cannot have (``devices.ranges``: a battery level of
900 %).

The protocol has no word for "not available".  Where the map says none, it is SunSpec's, that most makers follow: the lowest
value of a signed type (0x8000), the highest of an unsigned one (0xFFFF), NaN, and the largest float.  ``"not_available": []``
takes them as values: a counter may stand at 65535.

Source: MODBUS Application Protocol Specification V1.1b3, 4.2 and 4.3 (registers of 16 bits, big-endian on the wire); values
over several registers are a custom of the makers, hence the orders.  SunSpec Information Model Specification, "unimplemented
values" (int16 0x8000, uint16 0xFFFF, int32 0x80000000, uint32 0xFFFFFFFF, int64 and uint64 likewise, float32 NaN).  Meters that
write the largest float: evcc-io/evcc#4989; sensors that write 0x8000: home-assistant/core#69656, #90800, #139628.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.model import Reading, Reject
from devices.codec import MAX_FRAME, Decoded, Message, rejected
from devices.strict_json import loads, number, text

VERSION = 2
STREAM = False
TEXT = True
NAMELESS = True
#: The bytes name nobody: a message is its sender's.
NAMES_DEVICE = False

#: A poll holds at most so many readings.
MOST_READINGS = 2000
#: type -> (registers, struct format of the value, big-endian, what it says that has none where the map does not)
_TYPES: dict[str, tuple[int, str, tuple[float, ...]]] = {
    "u16": (1, ">H", (0xFFFF,)),
    "i16": (1, ">h", (-0x8000,)),
    "u32": (2, ">I", (0xFFFF_FFFF,)),
    "i32": (2, ">i", (-0x8000_0000,)),
    "u64": (4, ">Q", (0xFFFF_FFFF_FFFF_FFFF,)),
    "i64": (4, ">q", (-0x8000_0000_0000_0000,)),
    "f32": (2, ">f", (struct.unpack(">f", b"\x7f\x7f\xff\xff")[0], struct.unpack(">f", b"\xff\x7f\xff\xff")[0])),
    "f64": (4, ">d", (sys.float_info.max, -sys.float_info.max)),
    "bool": (1, "", ()),
}
#: A map names at most so many values that mean "not available".
MOST_SENTINELS = 16


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
    quantity, unit = text(row["quantity"]), text(row.get("unit"))
    kind = row.get("type", "u16")
    known = _TYPES.get(kind) if type(kind) is str else None
    if known is None:
        raise DeviceError("type", f"a type that is none of {' '.join(_TYPES)}")
    registers, (count, form, none) = row.get("registers"), known
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
        return quantity, bool(registers[0] if bit is None else registers[0] >> bit & 1), unit
    raw = struct.unpack(form, _wire(row, registers))[0]
    if (said := row.get("not_available")) is not None:
        none = tuple(said) if type(said) is list else (said,)
        if len(none) > MOST_SENTINELS or not all(type(n) in (int, float) for n in none):
            raise DeviceError("value", f"not_available is no list of at most {MOST_SENTINELS} numbers")
    if raw in none or (kind == "f32" and raw in [_single(n) for n in none]):
        raise DeviceError("value", f"{quantity}: not available ({'0x' + ''.join(f'{r:04X}' for r in registers)})")
    scale, offset = number(row.get("scale", 1)), number(row.get("offset", 0))
    least, most = number(row.get("min")), number(row.get("max"))
    if scale is None or offset is None:
        raise DeviceError("value", "scale or offset is no number")
    if (least is None and row.get("min") is not None) or (most is None and row.get("max") is not None):
        raise DeviceError("value", "min or max is no number")
    # what a scale of 0.1 adds to the 16th digit is no measurement
    value = float(f"{raw * scale + offset:.{15 if count == 4 else 12}g}")
    if not math.isfinite(value):
        raise DeviceError("value", f"{quantity}: not a finite number")
    if (least is not None and value < least) or (most is not None and value > most):
        raise DeviceError("value", f"{quantity}: outside the min and max of its map")
    return quantity, value, unit


def _single(value: float) -> float:
    """A number as 32 bits hold it, so that 3.4e38 or -9999.1 in a map is found in a register."""
    try:
        held: float = struct.unpack(">f", struct.pack(">f", value))[0]
        return held
    except OverflowError:
        return math.inf


def _wire(row: Mapping[str, Any], registers: list[int]) -> bytes:
    """The bytes of a value, the high one first, from the registers as they came; the inverse is itself."""
    for name in ("word_order", "byte_order"):
        if row.get(name, "big") not in ("big", "little"):
            raise DeviceError("value", f"{name} is neither big nor little")
    words = registers if row.get("word_order", "big") == "big" else registers[::-1]
    end = ">" if row.get("byte_order", "big") == "big" else "<"
    return struct.pack(f"{end}{len(words)}H", *words)


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
    count, form, _ = _TYPES[kind]
    raw = (value - row.get("offset", 0)) / row.get("scale", 1) if kind[0] == "f" else _whole(value, row)
    try:
        packed = struct.pack(form, raw)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value} does not fit {kind}") from error
    words = list(struct.unpack(f">{count}H", packed))
    wire = _wire(row, words)
    return list(struct.unpack(f">{count}H", wire))


def _whole(value: float, row: Mapping[str, Any]) -> int:
    """The raw integer of a value; exact for a whole one without scale (64 bits do not fit a float)."""
    scale, offset = row.get("scale", 1), row.get("offset", 0)
    if scale == 1 and isinstance(value, int) and isinstance(offset, int):
        return value - offset
    raw: int = round((value - offset) / scale)
    return raw
