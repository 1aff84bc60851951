"""modbus against pymodbus's own reading of registers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from devices.codec import Message
from devices.formats import modbus

THEIRS = {
    "u16": ModbusClientMixin.DATATYPE.UINT16,
    "i16": ModbusClientMixin.DATATYPE.INT16,
    "u32": ModbusClientMixin.DATATYPE.UINT32,
    "i32": ModbusClientMixin.DATATYPE.INT32,
    "f32": ModbusClientMixin.DATATYPE.FLOAT32,
}
RANGES = {"u16": (0, 65535), "i16": (-32768, 32767), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(THEIRS)), st.sampled_from(["big", "little"]), st.data())
def test_registers_that_pymodbus_writes(kind, order, data):
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    value = data.draw(floats if kind == "f32" else st.integers(*RANGES[kind]))
    registers = ModbusClientMixin.convert_to_registers(value, THEIRS[kind], word_order=order)
    ours = modbus.encode(unit=1, readings=[{"quantity": "q", "type": kind, "word_order": order, "value": value}])
    theirs = modbus.encode(unit=1, readings=[{"quantity": "q", "type": kind, "word_order": order, "registers": registers}])
    assert b'"registers":' in ours
    for payload in (ours, theirs):
        (reading,) = modbus.Decoder().decode(Message(payload=payload, device="d")).observations
        assert reading.value == pytest.approx(value, rel=1e-11, abs=0)
    assert modbus.Decoder().decode(Message(payload=ours)) == modbus.Decoder().decode(Message(payload=theirs))


def test_a_value_too_large_is_not_written():
    with pytest.raises(ValueError, match="does not fit"):
        modbus.encode(unit=1, readings=[{"quantity": "q", "type": "u16", "value": 70_000}])
