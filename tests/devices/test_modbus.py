"""modbus against pymodbus's own reading of registers."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from devices import codec
from devices.codec import Message
from devices.formats import modbus

THEIRS = {
    "u16": ModbusClientMixin.DATATYPE.UINT16,
    "i16": ModbusClientMixin.DATATYPE.INT16,
    "u32": ModbusClientMixin.DATATYPE.UINT32,
    "i32": ModbusClientMixin.DATATYPE.INT32,
    "u64": ModbusClientMixin.DATATYPE.UINT64,
    "i64": ModbusClientMixin.DATATYPE.INT64,
    "f32": ModbusClientMixin.DATATYPE.FLOAT32,
    "f64": ModbusClientMixin.DATATYPE.FLOAT64,
}
RANGES = {
    "u16": (0, 65535), "i16": (-32768, 32767), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1), "u64": (0, 2**64 - 1),
    "i64": (-(2**63), 2**63 - 1),
}  # fmt: skip
#: What each type says when it has none, as registers on the wire; SunSpec, and the largest float of evcc-io/evcc#4989.
NONE = {
    "u16": [[0xFFFF]], "i16": [[0x8000]], "u32": [[0xFFFF] * 2], "i32": [[0x8000, 0]], "u64": [[0xFFFF] * 4],
    "i64": [[0x8000, 0, 0, 0]], "f32": [[0x7FC0, 0], [0x7FFF, 0xFFFF], [0x7F7F, 0xFFFF], [0xFF7F, 0xFFFF], [0x7F80, 0]],
    "f64": [[0x7FF8, 0, 0, 0], [0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF], [0xFFEF, 0xFFFF, 0xFFFF, 0xFFFF]],
}  # fmt: skip


def swapped(register: int) -> int:
    return register >> 8 | (register & 0xFF) << 8


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(THEIRS)), st.sampled_from(["big", "little"]), st.data())
def test_registers_that_pymodbus_writes(kind, order, data):
    floats = st.floats(-1e300, 1e300) if kind == "f64" else st.floats(width=32, allow_nan=False, allow_infinity=False)
    value = data.draw(floats if kind[0] == "f" else st.integers(*RANGES[kind]))
    row = {"quantity": "q", "type": kind, "word_order": order, "not_available": []}
    registers = ModbusClientMixin.convert_to_registers(value, THEIRS[kind], word_order=order)
    if data.draw(st.booleans()):
        row["byte_order"], registers = "little", [swapped(r) for r in registers]
    ours = modbus.encode(unit=1, readings=[{**row, "value": value}])
    theirs = modbus.encode(unit=1, readings=[{**row, "registers": registers}])
    assert ours == theirs
    for payload in (ours, theirs):
        (reading,) = modbus.Decoder().decode(Message(payload=payload, device="d")).observations
        assert reading.value == pytest.approx(value, rel=1e-11, abs=0)
    assert modbus.Decoder().decode(Message(payload=ours)) == modbus.Decoder().decode(Message(payload=theirs))


def test_a_value_too_large_is_not_written():
    with pytest.raises(ValueError, match="does not fit"):
        modbus.encode(unit=1, readings=[{"quantity": "q", "type": "u16", "value": 70_000}])


def read(**row) -> tuple[list, list[tuple[str, str]]]:
    payload = modbus.encode(unit=1, readings=[{"quantity": "q"} | row])
    said = codec.decode_whole(modbus, modbus.Decoder(), Message(payload=payload))
    return [o.value for o in said.observations], [(r.reason, r.detail.removeprefix("reading 0: ")) for r in said.rejects]


@pytest.mark.parametrize("kind", sorted(THEIRS))
def test_each_type_has_a_word_for_none(kind):
    """A type without a row in NONE fails: what a sensor sends that has no value is never a measurement."""
    for registers in NONE[kind]:
        for word_order, byte_order in itertools.product(("big", "little"), repeat=2):
            wire = registers if word_order == "big" else registers[::-1]
            wire = wire if byte_order == "big" else [swapped(r) for r in wire]
            row = {"type": kind, "registers": wire, "scale": 0.1, "word_order": word_order, "byte_order": byte_order}
            values, rejects = read(**row)
            assert not values and [reason for reason, _ in rejects] == ["value"], (registers, word_order, byte_order)
    if kind[0] != "f":
        values, _ = read(type=kind, registers=NONE[kind][0], not_available=[])
        assert values and abs(values[0]) >= 32768


def test_a_map_says_its_own_word_for_none():
    assert read(type="i16", registers=[55537], not_available=[-9999, 32767]) == ([], [("value", "q: not available (0xD8F1)")])
    assert read(type="i16", registers=[55537], not_available=-9999)[0] == []
    assert read(type="i16", registers=[0x8000], not_available=[-9999])[0] == [-32768.0]
    # what the map writes in ten is not what 32 bits hold
    assert read(type="f32", registers=list(struct.unpack(">2H", struct.pack(">f", -9999.1))), not_available=[-9999.1])[0] == []
    assert read(type="f32", registers=[0x7F7F, 0xFFFF], not_available=[3.4028234663852886e38])[0] == []
    for wrong in ("-9999", [None], [[1]], [1] * 17, {"a": 1}):
        assert read(registers=[7], not_available=wrong)[1][0][0] == "value"


def test_a_value_outside_its_min_and_max_is_none():
    for raw, good in ((-400, True), (-401, False), (850, True), (851, False)):
        values, rejects = read(type="i16", registers=[raw & 0xFFFF], scale=0.1, min=-40, max=85)
        assert values == ([raw / 10] if good else []) and [reason for reason, _ in rejects] == ([] if good else ["value"])
    assert read(registers=[7], min="cold")[1] == [("value", "min or max is no number")]
    values, rejects = read(quantity="battery_level", registers=[900], unit="%")
    assert not values and rejects == [("value", "battery_level is not within 0 to 100 %")]


def test_64_bits_keep_what_a_float_holds():
    assert read(type="u64", registers=[0, 1, 2, 3])[0] == [float(1 << 32 | 2 << 16 | 3)]
    assert read(type="i64", registers=[0xFFFF] * 4)[0] == [-1.0]
