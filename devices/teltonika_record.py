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
``no_fix``.  A fix is ``low_quality`` (its accuracy is unknown, so it is not good) with fewer than three satellites, without a
valid HDOP where the record has that element, and where element 69 says: no fix.  The resolution is 1e-7° (0.01 m), 1 m,
1 km/h, 1°.

**A priority is no alarm**: none, low, high and panic (0, 1, 2, in newer programs 3) are set by the owner for each element and
say how soon a record is sent.  It stands in the attributes.

An element's *code* is ``id << 4 | size``, so that one look-up asks for both; size 0 where the dialect does not say it.

Left out on purpose: inputs and outputs, counters, CAN, OBD and BLE sensors, geofences, green driving, trips, network cells.

Source: wiki.teltonika-gps.com, "FMB120/FMB640/TAT100 Teltonika Data Sending Parameters ID" and "I/O settings" (priority),
read 2026-11; the table of 66 models in alim-zanibekov/teltonika, io_elements_dump.csv of its tools (MIT), for sizes and
ranges by model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from birddog.errors import DeviceError
from birddog.model import Alarm, Fix, Observation, Reading, TimeSource, Value
from birddog.units import KMH_MPS, NS
from devices.clock import SET_NS, rollover, unset

Family = Literal["FMB", "FMx6", ""]
#: time ms, priority, longitude and latitude in 1e-7°, altitude m, course °, satellites, km/h: the first 24 bytes of a record.
Head = tuple[int, int, int, int, float, float, int, float]
#: What a record says, in whatever dialect: its head, its event's id, its elements by code.
Said = tuple[Head, int, dict[int, int]]

#: Backlog: a record this much older than its reception was stored first.
_BACKLOG_NS = 120 * NS


def code(key: int, size: int) -> int:
    """An element's id and size as one number."""
    return key << 4 | size


class Row(NamedTuple):
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
READINGS: dict[int, Row] = {
    16: Row((4,), "odometer", 1.0, "m", 0, 0xFFFFFFFE),
    21: Row((1,), "gsm_signal", 1.0, "", 0, 5),
    66: Row((2,), "supply_voltage", 0.001, "V", 0, 0xFFFE),
    67: Row((2,), "battery_voltage", 0.001, "V", 0, 0xFFFE),
    72: Row((4, 2), "temperature", 0.1, "°C", -550, 1250, _DALLAS),
    73: Row((4, 2), "temperature_2", 0.1, "°C", -550, 1250, _DALLAS),
    74: Row((4, 2), "temperature_3", 0.1, "°C", -550, 1250, _DALLAS),
    75: Row((4, 2), "temperature_4", 0.1, "°C", -550, 1250, _DALLAS),
    113: Row((1,), "battery_level", 1.0, "%", 0, 100, frozenset(), "FMB"),
}
_STATES = {239: "ignition", 240: "movement"}
#: id: (size, alarm, values that raise it, family)
ALARMS: dict[int, tuple[int, str, range, Family]] = {
    236: (1, "sos", range(1, 2), "FMB"),
    246: (1, "towing", range(1, 2), ""),
    247: (1, "crash", range(1, 7), ""),
    249: (1, "jamming", range(1, 2), ""),
    252: (1, "tamper", range(1, 2), "FMB"),  # its power was cut
    318: (1, "jamming", range(1, 3), "FMB"),  # of GNSS
    520: (1, "tamper", range(1, 2), "FMB"),  # TAT, TMT: opened
}
_SIZES = (0, 1, 2, 4, 8)


def _either(fmb: int, fmx6: int) -> tuple[tuple[int, Family], tuple[int, Family]]:
    """The size that an element has in either family."""
    return (fmb, "FMB"), (fmx6, "FMx6")


#: code -> the one family that has this element in this size.
TELLS: dict[int, Family] = {
    code(key, size): family
    for key, fmb, fmx6 in (
        (4, 4, 1), (5, 4, 8), (11, 8, 2), (14, 8, 4), (17, 2, 4), (69, 1, 2), (71, 8, 1), (72, 4, 2), (73, 4, 2), (74, 4, 2),
        (75, 4, 2), (76, 8, 4), (80, 1, 4), (113, 1, 4), (205, 2, 4), (236, 1, 2), (237, 1, 2), (238, 8, 2),
    )  # fmt: skip
    for size, family in _either(fmb, fmx6)
}
# ids that only one family has in any size: that they are there tells
for _key in (116, 256, 262, 263, 264, 449, 622, 623, 636, 637, 662):
    TELLS.update((code(_key, size), "FMB") for size in _SIZES)
for _key in (109, 244, 245, 299, 300, 301, 302):
    TELLS.update((code(_key, size), "FMx6") for size in _SIZES)

#: What ``observations`` looks up: (quantity, factor, unit, low, high, none, size if signed, family if it must be known).
_READINGS_BY_CODE = {
    code(key, size): (
        row.quantity, row.factor, row.unit, row.low, row.high, row.none, size if row.low < 0 else 0, "" if size else row.family
    )
    for key, row in READINGS.items()
    for size in (0, *row.sizes)
}  # fmt: skip
_STATES_BY_CODE = {code(key, size): name for key, name in _STATES.items() for size in (0, 1)}
_strange = TELLS.keys().isdisjoint
#: Events whose meaning hangs on the family: it is asked for anew.
ASK = frozenset(key for key, (*_, family) in ALARMS.items() if family)
_HDOP, _GNSS = code(182, 2), code(69, 1)


def family_of(records: Iterable[Said]) -> Family:
    """The family whose elements these records hold; "" where none tells, or two do."""
    found = {TELLS[key] for _, _, held in records if not _strange(held) for key in held if key in TELLS}
    return found.pop() if len(found) == 1 else ""


def observations(
    out: list[Observation], record: Said, device: str, family: Family, received_ns: int | None
) -> tuple[str, ...]:
    """Add what a record says; gives the names of the parts that were not understood.

    Raises:
        DeviceError: a value that cannot be: the record is no record.
    """
    (time_ms, priority, lon, lat, alt, course, satellites, speed), event, elements = record
    if not 0 <= time_ms < 1 << 42:
        raise DeviceError("value", "a time after the year 2100")
    stated_ns = time_ms * 1_000_000
    time_ns: int | None = stated_ns
    source: TimeSource = "device"
    flags: tuple[str, ...] = ()
    if time_ms == 0 or (stated_ns < SET_NS and unset(stated_ns, received_ns)):
        time_ns, source, flags = received_ns, "server", ("no_fix_time",)
    elif received_ns is not None and received_ns - stated_ns > _BACKLOG_NS:
        flags = rollover(stated_ns, received_ns) or ("backlog",)
    # birddog.geo.null_island, of whole 1e-7 degrees
    if satellites == 0 or (-1001 < lat < 1001 and -1001 < lon < 1001):
        flags = (*flags, "no_fix")
        out.append(
            Reading(device=device, time_ns=time_ns, time_source=source, flags=flags, quantity="fix_valid", value=False)
        )
    else:
        if not (-900_000_000 <= lat <= 900_000_000 and -1_800_000_000 <= lon <= 1_800_000_000):
            raise DeviceError("value", "latitude or longitude out of range")
        attributes: dict[str, Value] = {"satellites": satellites, "event": event, "priority": priority}
        doubt = satellites < 3 or (family == "FMB" and elements.get(_GNSS) == 2)
        if _HDOP in elements:
            if 0 < elements[_HDOP] < 500:
                attributes["hdop"] = round(elements[_HDOP] * 0.1, 1)
            else:
                doubt = True
        out.append(
            Fix(
                device=device,
                time_ns=time_ns,
                time_source=source,
                flags=(*flags, "low_quality") if doubt else flags,
                lat_deg=lat / 1e7,
                lon_deg=lon / 1e7,
                alt_m=float(alt),
                alt_ref="msl",
                speed_mps=speed * KMH_MPS if speed != 0xFFFF else None,
                course_deg=float(course % 360) if 0 <= course <= 360 else None,
                attributes=attributes,
            )
        )
    for key, value in elements.items():
        found = _READINGS_BY_CODE.get(key)
        if found is not None:
            quantity, factor, unit, low, high, none, signed, whose = found
            if signed:
                # some programs write 16 bits of a negative temperature into 4 bytes
                width = 16 if 0x8000 <= value <= 0xFFFF else 8 * signed
                value -= (value >> width - 1 & 1) << width
            if low <= value <= high and value not in none and (not whose or family == whose):
                out.append(
                    Reading(
                        device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity,
                        value=round(value * factor, 3), unit=unit,
                    )
                )  # fmt: skip
        elif key in _STATES_BY_CODE and 0 <= value <= 1:
            out.append(
                Reading(
                    device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=_STATES_BY_CODE[key],
                    value=value == 1,
                )
            )  # fmt: skip
    if event not in ALARMS:
        return ()
    size, alarm, raised, owner = ALARMS[event]
    sized, unsized = code(event, size), code(event, 0)
    if elements.get(sized, elements.get(unsized)) not in raised:
        return ()
    # a size that tells has told
    if owner and family != owner and not (not family and sized in elements and sized in TELLS):
        return () if family else (f"element_{event}",)
    out.append(
        Alarm(device=device, time_ns=time_ns, time_source=source, flags=flags, alarm=alarm, text=f"AVL event {event}")
    )
    return ()

