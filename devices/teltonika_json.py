r"""Codec JSON of Teltonika trackers: a dialect of format ``teltonika``, what they publish in MQTT mode to ``IMEI/data``.

One record an object, of AWS IoT shadow's shape::

    {"state": {"reported": {
        "ts": 1761990000000,                  ms since 1970                        "pr": 0     priority
        "latlng": "51.912500,4.487300",       degrees, WGS 84                      "evt": 252  the event's element
        "alt": 5, "ang": 90, "sat": 11, "sp": 40,      m, °, satellites, km/h
        "239": 1, "66": 12034, "11": 893116211, "238": "0x0000000000000000"}}}     elements by id, their sizes not said

As sizes are missing, an element whose id means two things counts only where the family of models is known
(``devices.teltonika_record``).  Elements that are text (ids in hexadecimal, ISO 6709) are left out.  ``reported`` may be a list
of records.  The IMEI is that of the topic, else the one that the transport vouches for; nothing in the object names it.

Source: wiki.teltonika-gps.com, "Codec JSON" and "AWS IoT Core Configuration", read 2026-11; payloads of a device in
openremote/fleet-management, test/src/test/resources/teltonika.
"""

from __future__ import annotations

import re
from typing import Any

from birddog.errors import DeviceError
from devices.strict_json import loads, number
from devices.teltonika_record import Said, code

#: Records in one object; more are a reject ``size``.
MOST_RECORDS = 255
_TOPIC = re.compile(r"(\d{14,17})/data\Z", re.ASCII)
_LATLNG = re.compile(r"\s*(-?\d{1,2}(?:\.\d{1,10})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,10})?)\s*\Z", re.ASCII)
#: HDOP is the same in every model.
_SIZES = {"182": 2}
_KEY = re.compile(r"\d{1,5}\Z", re.ASCII)


def device_of(topic: str) -> str:
    """The IMEI that a topic names, or ""."""
    found = _TOPIC.search(topic)
    return found[1] if found else ""


def records(payload: bytes) -> list[dict[str, Any]]:
    """The records of one object, not yet looked at.

    Raises:
        DeviceError: format or size.
    """
    o = loads(payload)
    state = o.get("state") if type(o) is dict else None
    reported = state.get("reported") if type(state) is dict else None
    rows: list[Any] = reported if type(reported) is list else [reported]
    if len(rows) > MOST_RECORDS:
        raise DeviceError("size", f"{len(rows)} records")
    if not rows or not all(type(row) is dict for row in rows):
        raise DeviceError("format", "JSON without state.reported")
    return rows


def record(row: dict[str, Any]) -> Said:
    """One record.

    Raises:
        DeviceError: format or value.
    """
    if "latlng" not in row and "ts" not in row:
        raise DeviceError("format", "a record with neither ts nor latlng")
    place = _LATLNG.match(row["latlng"]) if type(row.get("latlng")) is str else None
    if place is None and row.get("latlng") is not None:
        raise DeviceError("value", "latlng is no latitude and longitude")
    elements = {
        code(int(key), _SIZES.get(key, 0)): value for key, value in row.items() if _KEY.match(key) and type(value) is int
    }
    head = (
        _whole(row, "ts", 0), _whole(row, "pr", 0),
        round(float(place[2]) * 1e7) if place else 0, round(float(place[1]) * 1e7) if place else 0,
        _number(row, "alt", 0.0), _number(row, "ang", -1.0), _whole(row, "sat", 0), _number(row, "sp", 65535.0),
    )  # fmt: skip
    return head, _whole(row, "evt", 0), elements


def _number(row: dict[str, Any], key: str, absent: float) -> float:
    if row.get(key) is None:
        return absent
    value = number(row[key])
    if value is None:
        raise DeviceError("value", f"{key} is no number")
    return value


def _whole(row: dict[str, Any], key: str, absent: int) -> int:
    value = _number(row, key, absent)
    if value != int(value) or value < 0:
        raise DeviceError("value", f"{key} is no whole number")
    return int(value)
