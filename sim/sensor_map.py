"""The register map of the simulated Modbus sensor, and its words.

Holding registers, from 0, as on the wire::

    address  quantity         type  word order  scale   unit
    0        door_open        bool                              contact, 1 = open
    1        light            bool                              somebody let light in
    2        seismic          u16               0.01    mm/s    peak ground velocity of the last second
    3        battery_voltage  u16               0.001   V
    4        temperature      i16               0.1     °C      two's complement
    5, 6     illuminance      f32   little              lx      low word first, as many meters have it

The same map as ``[[modbus]]`` of the configuration wants it: ``as_settings``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sim.tables import Scenario


class SensorValues(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor measures at one moment."""

    door_open: bool
    light: bool
    seismic_mm_s: float
    battery_volt: float
    temperature_c: float
    illuminance_lux: float


#: The rows of ``registers`` in ``[[modbus.units]]``.
REGISTERS: tuple[dict[str, Any], ...] = (
    {"address": 0, "quantity": "door_open", "type": "bool"},
    {"address": 1, "quantity": "light", "type": "bool"},
    {"address": 2, "quantity": "seismic", "type": "u16", "scale": 0.01, "unit": "mm/s"},
    {"address": 3, "quantity": "battery_voltage", "type": "u16", "scale": 0.001, "unit": "V"},
    {"address": 4, "quantity": "temperature", "type": "i16", "scale": 0.1, "unit": "°C"},
    {"address": 5, "quantity": "illuminance", "type": "f32", "word_order": "little", "unit": "lx"},
)


def words(v: SensorValues) -> tuple[int, ...]:
    """The seven registers."""
    packed = struct.pack(
        ">HHHHh", v.door_open, v.light, _u16(v.seismic_mm_s / 0.01), _u16(v.battery_volt / 0.001),
        min(max(round(v.temperature_c / 0.1), -32768), 32767),
    )  # fmt: skip
    high, low = struct.unpack(">HH", struct.pack(">f", v.illuminance_lux))
    return (*struct.unpack(">5H", packed), low, high)


def width(row: dict[str, Any]) -> int:
    """How many registers a row of the map takes."""
    return 2 if row["type"] in ("u32", "i32", "f32") else 1


def as_settings(s: Scenario, *, poll_s: float = 2.0) -> list[dict[str, Any]]:
    """The ``units`` of a ``[[modbus]]`` section that polls every sensor of a scenario."""
    return [{"unit": d.unit, "device": d.id, "poll_s": poll_s, "registers": [dict(r) for r in REGISTERS]} for d in s.sensor]


def _u16(value: float) -> int:
    return min(max(round(value), 0), 65535)
