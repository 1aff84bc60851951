"""One record of a Teltonika tracker, whichever dialect said it: what its elements mean, by id, size and family of models.

An element is an id and a value of 1, 2, 4 or 8 bytes.  The ids are the maker's, and it gives them anew in each family::

    id 113   1 byte  FMB: battery level %          4 bytes  FMx6: distance to the next service, km
    id 236   1 byte  FMB: alarm                    2 bytes  FMx6: accelerometer X, mG
    id 252   1 byte  FMB: unplugged                1 byte   FMx6: 1 = the driver's iButton is an authorised one

FMB is what the table calls FMB, FMC, FMM 0xx to 2xx and 8xx, 9xx, GH, TAT, TMT and their kin; FMx6 is FMB640, FMB641, FMC640,
FMC650, FMM640, FMM650 and the FM5300 and FM6300 before them.  Where size and range tell the meaning they are asked; for ids
that are alike in both (252, 318) the family must be known.  It is learned from elements that only one family has in that size,
and is kept for the device: nearly every record holds one (80, 69, 205).  As long as it is not known such an event is no alarm
and is named as not understood (``element_252``).

Not available, and left out: a voltage of 0xFFFF, an odometer of 0xFFFFFFFF, what is outside a row's range; of the
temperatures of Dallas sensors 850 (85.0 °C: the sensor's value before it has measured), 2000 (read error), 3000 (not
connected), 4000 (wrong id), 5000 (not ready).  HDOP 0 and from 50.0 on is none.

A position is a fix if the record has satellites.  Without, it repeats the last one (the maker says so): ``fix_valid`` false,
``no_fix``.  A fix is ``low_quality`` (its accuracy is unknown, so it is not good) with fewer than three satellites, with a
coordinate that is 0 to the seventh decimal (a field that was not filled), without a valid HDOP where the record has that
element, and where element 69 says: no fix.  The resolution is 1e-7° (0.01 m), 1 m, 1 km/h, 1°.

**A priority is no alarm**: none, low, high and panic (0, 1, 2, in newer programs 3) are set by the owner for each element and
say how soon a record is sent.  It stands in the attributes.

Left out on purpose: inputs and outputs, counters, CAN, OBD and BLE sensors, geofences, green driving, trips, network cells.

Source: wiki.teltonika-gps.com, "FMB120/FMB640/TAT100 Teltonika Data Sending Parameters ID" and "I/O settings" (priority),
read 2026-11; the table of 66 models in alim-zanibekov/teltonika, tools/io_elements_dump.csv (MIT), for sizes and ranges by
model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Alarm, Fix, Observation, Reading
from birddog.units import KMH_MPS, NS
from devices.clock import rollover, unset

Family = Literal["FMB", "FMx6", ""]
#: Backlog: a record this much older than its reception was stored first.
_BACKLOG_NS = 120 * NS

#: (id, size) -> the one family that has this element in this size.
_TELLS: dict[tuple[int, int], Family] = {
    (key, size): family
    for key, fmb, fmx6 in (
        (4, 4, 1), (5, 4, 8), (11, 8, 2), (14, 8, 4), (17, 2, 4), (69, 1, 2), (71, 8, 1), (72, 4, 2), (73, 4, 2), (74, 4, 2),
        (75, 4, 2), (76, 8, 4), (80, 1, 4), (113, 1, 4), (205, 2, 4), (236, 1, 2), (237, 1, 2), (238, 8, 2),
    )  # fmt: skip
    for size, family in ((fmb, "FMB"), (fmx6, "FMx6"))
}
#: Ids that only one family has in any size: their sizes tell nothing, but that they are there does.
_ONLY: dict[int, Family] = dict.fromkeys((116, 256, 262, 263, 264, 449, 622, 623, 636, 637, 662), "FMB") | dict.fromkeys(
    (109, 244, 245, 299, 300, 301, 302), "FMx6"
)


class Element(NamedTuple):
    """One element; ``size`` in bytes, 0 where the dialect does not say it."""

    key: int
    size: int
    value: int


class _Row(NamedTuple):
    """What an element is: raw values from ``low`` to ``high`` are measurements, but for ``none``."""

    sizes: tuple[int, ...]
    quantity: str
    factor: float
    unit: str
    low: int
    high: int
    none: frozenset[int] = frozenset()
    family: Family = ""


_DALLAS = frozenset({850, 2000, 3000, 4000, 5000})
_READINGS: dict[int, _Row] = {
    16: _Row((4,), "odometer", 1.0, "m", 0, 0xFFFFFFFE),
    21: _Row((1,), "gsm_signal", 1.0, "", 0, 5),
    66: _Row((2,), "supply_voltage", 0.001, "V", 0, 0xFFFE),
    67: _Row((2,), "battery_voltage", 0.001, "V", 0, 0xFFFE),
    72: _Row((4, 2), "temperature", 0.1, "°C", -550, 1250, _DALLAS),
    73: _Row((4, 2), "temperature_2", 0.1, "°C", -550, 1250, _DALLAS),
    74: _Row((4, 2), "temperature_3", 0.1, "°C", -550, 1250, _DALLAS),
    75: _Row((4, 2), "temperature_4", 0.1, "°C", -550, 1250, _DALLAS),
    113: _Row((1,), "battery_level", 1.0, "%", 0, 100, frozenset(), "FMB"),
}
_STATES = {239: "ignition", 240: "movement"}
#: id: (size, alarm, values that raise it, family)
_ALARMS: dict[int, tuple[int, str, range, Family]] = {
    236: (1, "sos", range(1, 2), "FMB"),
    246: (1, "towing", range(1, 2), ""),
    247: (1, "crash", range(1, 7), ""),
    249: (1, "jamming", range(1, 2), ""),
    252: (1, "tamper", range(1, 2), "FMB"),  # its power was cut
    318: (1, "jamming", range(1, 3), "FMB"),  # of GNSS
    520: (1, "tamper", range(1, 2), "FMB"),  # TAT, TMT: opened
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says, in whatever dialect: raw numbers, degrees for the position."""

    time_ms: int
    lat_deg: float
    lon_deg: float
    alt_m: float
    course_deg: float
    satellites: int
    speed_kmh: float
    priority: int
    event: int
    elements: tuple[Element, ...]


def family_of(records: Iterable[Said]) -> Family:
    """The family whose elements these records hold; "" where none tells, or two do."""
    found = {
        family
        for record in records
        for key, size, _ in record.elements
        if (family := _ONLY.get(key) or (_TELLS.get((key, size)) if size else None))
    }
    return found.pop() if len(found) == 1 else ""


def observations(
    record: Said, *, device: str, family: Family, received_ns: int | None
) -> tuple[list[Observation], list[str]]:
    """(what a record says, names of the parts that were not understood).

    Raises:
        DeviceError: a value that cannot be: the record is no record.
    """
    if not 0 <= record.time_ms < 1 << 42:
        raise DeviceError("value", "a time after the year 2100")
    time_ns, source, flags = record.time_ms * 1_000_000, "device", ()
    if record.time_ms == 0 or unset(time_ns, received_ns):
        time_ns, source, flags = received_ns, "server", ("no_fix_time",)
    elif received_ns is not None and received_ns - time_ns > _BACKLOG_NS:
        flags = rollover(time_ns, received_ns) or ("backlog",)
    common = {"device": device, "time_ns": time_ns, "time_source": source}
    values = {key: (size, value) for key, size, value in record.elements}
    out: list[Observation] = []
    if record.satellites == 0 or null_island(record.lat_deg, record.lon_deg):
        flags = (*flags, "no_fix")
        out.append(Reading(**common, flags=flags, quantity="fix_valid", value=False))
    else:
        out.append(_fix(record, values, common, flags, family))
    for key, (size, value) in values.items():
        if key in _READINGS:
            measured = _measured(_READINGS[key], size, value, family)
            if measured is not None:
                row = _READINGS[key]
                out.append(Reading(**common, flags=flags, quantity=row.quantity, value=measured, unit=row.unit))
        elif key in _STATES and size in (0, 1) and value in (0, 1):
            out.append(Reading(**common, flags=flags, quantity=_STATES[key], value=value == 1))
    unread = []
    size, value = values.get(record.event, (0, 0))
    if record.event in _ALARMS:
        wanted, alarm, raised, whose = _ALARMS[record.event]
        if size in (0, wanted) and value in raised:
            if not whose or family == whose or (not family and (record.event, size) in _TELLS):
                out.append(Alarm(**common, flags=flags, alarm=alarm, text=f"AVL event {record.event}"))
            elif not family:
                unread.append(f"element_{record.event}")
    return out, unread


def _fix(
    record: Said, values: dict[int, tuple[int, int]], common: dict[str, object], flags: tuple[str, ...], family: Family
) -> Fix:
    if not (-90.0 <= record.lat_deg <= 90.0 and -180.0 <= record.lon_deg <= 180.0):
        raise DeviceError("value", "latitude or longitude out of range")
    attributes: dict[str, float | int] = {
        "satellites": record.satellites, "event": record.event, "priority": record.priority,
    }  # fmt: skip
    doubt = record.satellites < 3 or 0.0 in (record.lat_deg, record.lon_deg)
    doubt |= family == "FMB" and values.get(69, (1, 1))[1] == 2
    if 182 in values:
        hdop = values[182][1]
        if 0 < hdop < 500:
            attributes["hdop"] = round(hdop * 0.1, 1)
        else:
            doubt = True
    speed_kmh, course = record.speed_kmh, record.course_deg
    return Fix(
        **common,  # type: ignore[arg-type]
        flags=(*flags, "low_quality") if doubt else flags,
        lat_deg=record.lat_deg,
        lon_deg=record.lon_deg,
        alt_m=float(record.alt_m),
        alt_ref="msl",
        speed_mps=None if speed_kmh == 0xFFFF else speed_kmh * KMH_MPS,
        course_deg=float(course % 360) if 0 <= course <= 360 else None,
        attributes=attributes,
    )


def _measured(row: _Row, size: int, value: int, family: Family) -> float | None:
    """The value of a reading, or None where the element is not this one, or says that it has none."""
    if size not in row.sizes and size:
        return None
    # a size that tells has told; without one the family must be known where it matters
    if row.family and not size and family != row.family:
        return None
    if row.low < 0 and size:
        # some programs write 16 bits of a negative temperature into 4 bytes
        width = 2 if size == 2 or 0x8000 <= value <= 0xFFFF else size
        value -= (value >> 8 * width - 1 & 1) << 8 * width
    if not row.low <= value <= row.high or value in row.none:
        return None
    return round(value * row.factor, 3)
