"""Amounts that a codec writes with their unit, in one text or as an object: what they are in ours.

Makers' scripts do so in many ways; names are plain (``devices.lorawan``), the file is of TheThingsNetwork/lorawan-devices::

    "latitude": "46.9442°", "altitude": "554.1m", "battery": "3.91V"     RAKwireless RUI (RUI_LoRa_node_payload_decoder#1)
    "battery voltage": "3.4V", "batterylevle": "86%"                     MOKO (lw001-bg.js, lw004.js)
    "vol": "3.61V", "rssi": "-70dBm"                                     Lansitec (container-tracker.js)
    "latitude": {"value": 45.25, "unit": "°"}                            Adeunis, Watteco
    "latitude": "45.25 N"; "latitude": 45.25, "latitudeRef": "S"         as NMEA and EXIF write it

A unit that is not in the table leaves the value as it came: no number, so that nothing is read out of it.  A battery or a speed
whose name has no unit is known by that of its value.
"""

from __future__ import annotations

import re
from typing import Any

from birddog.units import KMH_MPS, KNOT_MPS
from devices.strict_json import number

_TEXT = re.compile(r"\s*([NSEW])?\s*([+-]?\d{1,10}(?:\.\d{1,15})?)\s*([^\s\d.,:;'\"NSEW][^\s\d.,:;'\"]{0,9})?\s*([NSEW])?\s*\Z")
#: unit -> (what is measured, how many of ours it is)
_UNITS: dict[str, tuple[str, float]] = {
    "": ("", 1.0), "°": ("angle", 1.0), "deg": ("angle", 1.0), "degree": ("angle", 1.0), "degrees": ("angle", 1.0),
    "v": ("voltage", 1.0), "volt": ("voltage", 1.0), "volts": ("voltage", 1.0), "mv": ("voltage", 1e-3),
    "%": ("share", 1.0), "percent": ("share", 1.0),
    "m": ("length", 1.0), "meter": ("length", 1.0), "meters": ("length", 1.0), "metre": ("length", 1.0),
    "metres": ("length", 1.0),
    "s": ("duration", 1.0), "sec": ("duration", 1.0), "second": ("duration", 1.0), "seconds": ("duration", 1.0),
    "m/s": ("speed", 1.0), "mps": ("speed", 1.0), "km/h": ("speed", KMH_MPS), "kmh": ("speed", KMH_MPS),
    "kph": ("speed", KMH_MPS), "kn": ("speed", KNOT_MPS), "kt": ("speed", KNOT_MPS), "kts": ("speed", KNOT_MPS),
    "knots": ("speed", KNOT_MPS), "mph": ("speed", 0.44704),
}  # fmt: skip
#: What a name without a unit becomes by the unit of its value.
_NAMED = {("battery", "voltage"): "batteryvoltage", ("battery", "share"): "batterylevel"}
_SPEED_NAMES = re.compile(r"(gps|gnss|ground)?speed(kmph|kmh|kph|mps|ms|kn|knots)?\Z")
_LATITUDE, _LONGITUDE = (
    re.compile(r"lat(itude)?(deg|degrees)?\Z"),
    re.compile(r"(lon|lng|long|longitude|longitud)(deg|degrees)?\Z"),
)
#: A name that says on which side of the equator, or of Greenwich, the number beside it is.
_SIDE = re.compile(r"(?:(lat|latitude|ns)|(lon|long|lng|longitude|ew))(?:direction|dir|hemisphere|hemi|ref|indicator|ns|ew)?\Z")
_SOUTH_WEST = {"S": True, "W": True, "SOUTH": True, "WEST": True, "N": False, "E": False, "NORTH": False, "EAST": False}


def settled(names: dict[str, Any]) -> dict[str, Any]:
    """An object's values by plain name, those with a unit as numbers in ours: degrees, m, V, %, s, m/s."""
    out = names
    for name, value in names.items():
        if type(value) is not str and type(value) is not dict:
            continue
        found = _amount(name, value)
        if found is None:
            continue
        if out is names:
            out = dict(names)
        what, amount = found
        if what == "speed":
            if _SPEED_NAMES.search(name):
                out[name], out["speedmps"] = None, amount
        elif (name, what) in _NAMED:
            out[name] = None
            out.setdefault(_NAMED[name, what], amount)
        else:
            out[name] = amount
    return _signed(out) if any(type(value) is str and value.strip().upper() in _SOUTH_WEST for value in out.values()) else out


def _amount(name: str, value: Any) -> tuple[str, float] | None:
    """(what is measured, the number in our unit); None where that is not said."""
    if type(value) is dict:
        inner, unit = number(value.get("value")), value.get("unit", "")
        if inner is None or type(unit) is not str or len(value) > 4:
            return None
        known = _UNITS.get(unit.strip().lower())
        return None if known is None else (known[0], round(inner * known[1], 12))
    text = _TEXT.match(value) if len(value) <= 40 else None
    if text is None:
        return None
    before, digits, unit, behind = text.groups()
    known = _UNITS.get((unit or "").lower())
    if known is None or (before and behind):
        return None
    amount, letter = round(float(digits) * known[1], 12), before or behind
    if letter:
        axis = _LATITUDE if letter in "NS" else _LONGITUDE
        if not axis.search(name) or amount < 0.0 or known[0] not in ("", "angle"):
            return None
        return "angle", -amount if letter in "SW" else amount
    return (known[0], amount) if unit else None


def _signed(names: dict[str, Any]) -> dict[str, Any]:
    """Coordinates with the sign that a letter beside them says; what is below zero already has one."""
    out = dict(names)
    for name, value in names.items():
        side = _SIDE.search(name)
        below = _SOUTH_WEST.get(value.strip().upper()) if type(value) is str else None
        if side is None or not below:
            continue
        axis, start = (_LATITUDE if side[1] else _LONGITUDE), name[: side.start()]
        for other, said in names.items():
            found, amount = axis.search(other), number(said)
            if found and other[: found.start()] in (start, "") and amount is not None and amount > 0.0:
                out[other] = -amount
    return out
