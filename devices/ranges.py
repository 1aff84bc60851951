"""What physics allows, by quantity: the one table that every format's answer passes through.

A check sum says that the bytes came as they were sent, not that the sender measured.  What lies outside the range of its
quantity is no value: it is left out and a flag ``implausible_QUANTITY`` says so, whatever the format (traccar's filters and
gpsd's test logs hold speeds of 1,392 km/s and heights of -1,308 km behind right check sums).  ``devices.codec`` asks for every
answer of every decoder, so a new format cannot escape; a format may ask itself with ``allows``.

* A fix keeps its position and loses the field (speed, altitude, course, an attribute).  An accuracy of 0 or less, or of more
  than the Earth, is unknown: ``sigma_m`` is left out and the flag is joined by ``low_quality``; so it is by an HDOP (or, where
  there is none, a PDOP) that is none, where nothing else says how good the position is.
* A position of which one coordinate is exactly 0, as in a field that was never written, is ``low_quality``.
* A reading is left out as a whole and is a reject ``value``, counted like any other; one in a unit that is not the table's is
  not asked.

A range is what physics and the instrument allow, wide on purpose: what is merely odd is the tracker's to judge.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from birddog.model import Fix, Observation, Reading, Reject, TagRead, Value

replace = msgspec.structs.replace


class Range(NamedTuple):
    """Lowest and highest value, both allowed, in ``unit``, and why."""

    low: float
    high: float
    unit: str
    why: str


RANGES = {
    "speed": Range(0.0, 600.0, "m/s", "AIS says up to 1022 kn = 526 m/s; civil receivers stop near 515 m/s"),
    "altitude": Range(-1_000.0, 50_000.0, "m", "Dead Sea shore -440 m and the noise of a fix; balloons reach 45 km"),
    "course": Range(0.0, 360.0, "deg", "a circle"),
    "accuracy": Range(1e-4, 20_037_508.0, "m", "half the equator: farther away nothing can be"),
    "hdop": Range(0.01, 99.0, "", "99.99 is what receivers write for none"),
    "satellites": Range(0, 100, "", "four systems in view and SBAS; more is a fill byte"),
    "voltage": Range(0.0, 1_500.0, "V", "IEC 60038: low voltage (DC) ends at 1,500 V"),
    "battery_voltage": Range(0.0, 1_000.0, "V", "a cell of a tracker to a vehicle's traction battery"),
    "level": Range(0.0, 100.0, "%", "a share"),
    "temperature": Range(-273.15, 1_500.0, "°C", "absolute zero; thermocouples"),
    "humidity": Range(0.0, 110.0, "%", "saturation, with a sensor's own error"),
    "pressure": Range(0.0, 1_200.0, "hPa", "at the surface 870 to 1085"),
    "rssi": Range(-200.0, 50.0, "dBm", "the noise of 1 Hz at 290 K is -174 dBm; transmitters end at some 30"),
    "tag_rssi": Range(-127.0, -1.0, "dBm", "readers hear tags at -20 to -95; 0, 127 and -128 are a byte without a level"),
    "snr": Range(-50.0, 100.0, "dB", "LoRa hears down to -25"),
    "distance": Range(0.0, 1e10, "m", "an odometer of 32 bits in m, and of a lorry's life in any unit"),
}  # fmt: skip

#: Names of readings and of a fix's attributes that are one of the quantities above.
_ALIASES = {
    "battery_level": "level", "battery": "level", "fuel_level": "level",
    "supply_voltage": "voltage", "external_voltage": "voltage", "voltage": "voltage",
    "heading_deg": "course", "heading": "course", "pdop": "hdop", "vdop": "hdop",
    "rssi_dbm": "rssi", "rsrp": "rssi", "odometer": "distance", "trip_odometer": "distance", "speed_mps": "speed",
}  # fmt: skip
#: Units of a reading, as they are written, that are the table's; in another unit nothing is asked.
_UNITS = {"C": "°C", "degC": "°C", "°": "deg", "mbar": "hPa", "volt": "V", "percent": "%"}
_BY_NAME = RANGES | {alias: RANGES[quantity] for alias, quantity in _ALIASES.items()}


def quantity_of(name: str) -> str | None:
    """The quantity of the table that a reading's or an attribute's name means, or None.

    ``temperature_2`` and ``battery_voltage_1`` are what they are without the number.
    """
    name = name.rstrip("0123456789").rstrip("_")
    return name if name in RANGES else _ALIASES.get(name)


@lru_cache(maxsize=1024)
def _range_of(name: str) -> Range | None:
    """The row of a reading's name; remembered for some, for senders may name them as they like."""
    quantity = quantity_of(name)
    return None if quantity is None else RANGES[quantity]


def allows(quantity: str, value: float | None) -> bool:
    """Whether physics allows this value of a quantity of the table; None and what is not finite it does not."""
    low, high, _, _ = RANGES[quantity]
    return value is not None and low <= value <= high


def checked(observations: tuple[Observation, ...]) -> tuple[tuple[Observation, ...], tuple[Reject, ...]]:
    """A message's observations without what physics forbids, and a reject for each reading that is left out."""
    return (observations, ()) if possible(observations) else _mended(observations)


def possible(observations: tuple[Observation, ...]) -> bool:
    """Whether physics allows all of it.  Every message passes here, nearly every one as it came: a fix is compared in place."""
    o: Any  # its kind says what it has; no isinstance on the way of every message
    for o in observations:
        kind = type(o)
        if kind is Fix:
            speed, course, alt, sigma = o.speed_mps, o.course_deg, o.alt_m, o.sigma_m
            if (
                o.lat_deg != 0.0 != o.lon_deg
                and (speed is None or 0.0 <= speed <= _MOST_SPEED)
                and (course is None or 0.0 <= course <= 360.0)
                and (alt is None or _LEAST_ALT <= alt <= _MOST_ALT)
                and (sigma is None or _LEAST_SIGMA <= sigma <= _MOST_SIGMA)
                and (_asked_of_none(o.attributes) or not _odd_attributes(o.attributes))
            ):
                continue
            if _odd_fields(o) or _looks_made(o):
                return False
        elif kind is Reading:
            value = o.value
            if type(value) is float or type(value) is int:
                wanted = _known(o.quantity)
                if (wanted is None or not wanted[0] <= value <= wanted[1]) and _odd_reading(o):
                    return False
        elif kind is TagRead and _odd_tag(o):
            return False
    return True


# --- the slow way: something is out of range ---------------------------------------------------------------


def _mended(observations: tuple[Observation, ...]) -> tuple[tuple[Observation, ...], tuple[Reject, ...]]:
    out: list[Observation] = []
    rejects: dict[Reject, None] = {}
    for o in observations:
        if isinstance(o, Fix) and ((odd := _odd_fields(o)) or _looks_made(o)):
            flags = (*o.flags, *(f"implausible_{name}" for name in odd))
            dilution = "hdop" in odd or ("pdop" in odd and "hdop" not in o.attributes)
            unknown = "accuracy" in odd or (dilution and o.sigma_m is None)
            if (unknown or _looks_made(o)) and "low_quality" not in flags:
                flags = (*flags, "low_quality")
            o = replace(
                o, flags=flags,
                speed_mps=None if "speed" in odd else o.speed_mps, course_deg=None if "course" in odd else o.course_deg,
                alt_m=None if "altitude" in odd else o.alt_m, alt_ref="unknown" if "altitude" in odd else o.alt_ref,
                sigma_m=None if "accuracy" in odd else o.sigma_m,
                attributes={name: value for name, value in o.attributes.items() if name not in odd},
            )  # fmt: skip
        elif isinstance(o, TagRead) and _odd_tag(o):
            o = replace(o, rssi_dbm=None, flags=(*o.flags, "implausible_rssi"))
        elif isinstance(o, Reading) and _odd_reading(o):
            rejects[Reject("value", _why(o.quantity), device=o.device)] = None
            continue
        out.append(o)
    return tuple(out), tuple(rejects)


def _why(name: str) -> str:
    quantity = quantity_of(name)
    if quantity is None:
        return f"{name[:60]} is no finite number"
    low, high, unit, _ = RANGES[quantity]
    return f"{name[:60]} is not within {low:g} to {high:g} {unit}".rstrip()


_SPEED, _ALTITUDE, _ACCURACY = RANGES["speed"], RANGES["altitude"], RANGES["accuracy"]
_LEAST_ALT, _MOST_ALT, _MOST_SPEED = _ALTITUDE.low, _ALTITUDE.high, _SPEED.high
_TAG_RSSI = RANGES["tag_rssi"]
_LEAST_SIGMA, _MOST_SIGMA = _ACCURACY.low, _ACCURACY.high
_known, _asked_of_none = _BY_NAME.get, frozenset(_BY_NAME).isdisjoint


def _odd_fields(fix: Fix) -> tuple[str, ...]:
    """The quantities of a fix that are out of range."""
    speed, alt, sigma, course = fix.speed_mps, fix.alt_m, fix.sigma_m, fix.course_deg
    odd: tuple[str, ...] = ()
    if speed is not None and not 0.0 <= speed <= _MOST_SPEED:
        odd += ("speed",)
    if course is not None and not 0.0 <= course <= 360.0:
        odd += ("course",)
    if alt is not None and not _LEAST_ALT <= alt <= _MOST_ALT:
        odd += ("altitude",)
    if sigma is not None and not _LEAST_SIGMA <= sigma <= _MOST_SIGMA:
        odd += ("accuracy",)
    return odd + _odd_attributes(fix.attributes)


def _odd_attributes(attributes: dict[str, Value]) -> tuple[str, ...]:
    odd: tuple[str, ...] = ()
    for name in attributes:
        if name in _BY_NAME:
            value, wanted = attributes[name], _BY_NAME[name]
            if (type(value) is int or type(value) is float) and not wanted[0] <= value <= wanted[1]:
                odd += (name,)
    return odd


def _looks_made(fix: Fix) -> bool:
    return (fix.lat_deg == 0.0 or fix.lon_deg == 0.0) and "low_quality" not in fix.flags


def _odd_reading(reading: Reading) -> bool:
    value = reading.value
    if type(value) is not float and type(value) is not int:
        return False
    wanted = _range_of(reading.quantity)
    if wanted is None:
        return value != value or value in (float("inf"), float("-inf"))
    low, high, unit, _ = wanted
    if low <= value <= high:
        return False
    return not reading.unit or _UNITS.get(reading.unit, reading.unit) == unit


def _odd_tag(read: TagRead) -> bool:
    return read.rssi_dbm is not None and not _TAG_RSSI.low <= read.rssi_dbm <= _TAG_RSSI.high
