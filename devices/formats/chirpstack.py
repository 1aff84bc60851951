"""ChirpStack v4: what a LoRaWAN network server says of its devices, JSON over MQTT or HTTP.

The topic names the event; the fields that are read, by event::

    application / APPLICATION / device / DEVEUI / event / up | status | location | join | ack | txack | log | integration

    all        {"deduplicationId": "3ac7e3c4-…", "time": "2025-11-01T09:40:00.775023242+00:00",
                "deviceInfo": {"devEui": "0101010101010101", …}, …}             devEui is the device
    up          "fCnt": 4, "fPort": 1, "data": base64,
                "object": {…}                    what the device profile's codec made of the data: see below
                "rxInfo": [{"gatewayId", "rssi": -36, "snr": 10.5}, …]}         -> reading rssi of the best gateway
    status      "margin": 7, "externalPowerSource", "batteryLevelUnavailable", "batteryLevel": 75.5}    -> battery_level
    location    "location": {"latitude": 51.9, "longitude": 4.1, "altitude": 2, "source": "GEO_RESOLVER_TDOA", "accuracy": 80}}

A key whose value is zero is absent (protobuf JSON).  In ``object`` a position is a pair of numbers under latitude and
longitude, lat and lon or lng, in it or one level down (Cayenne's ``gpsLocation``: two); ``fixFailed`` true or ``valid`` false
means that there is none.  Battery: batV, battery_voltage, batteryVoltage in V.  Accuracy is taken as a 68 % radius.
``data`` without ``object`` stays raw: which bytes mean what is the device profile's knowledge.

Time is the network's, ``time_source`` gateway.  The deduplicationId makes two deliveries of one event one.  A devEui other
than the topic's is a reject ``value``.

Source: ChirpStack documentation, "Event types" (chirpstack.io/docs/chirpstack/integrations/events.html), read 2026-11; the
absent zeros: chirpstack/chirpstack#43.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Fix, Observation, Reading
from birddog.units import KMH_MPS, R68_PER_SIGMA, iso_from_ns, ns_from_text
from devices.codec import MAX_FRAME, Decoded, Message, rejected
from devices.strict_json import loads, number, text

VERSION = 2
STREAM = False

_EVENTS = frozenset({"up", "status", "location", "join", "ack", "txack", "log", "integration"})
_DEV_EUI = re.compile(r"[0-9a-f]{16}\Z")
_TIME = re.compile(r"(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_PAIRS = (("latitude", "longitude"), ("lat", "lon"), ("lat", "lng"), ("Latitude", "Longitude"))
_BATTERY = ("batV", "battery_voltage", "batteryVoltage")
#: source of a location -> kind of fix
_SOURCES = {"GEO_RESOLVER_GNSS": "gnss", "GPS": "gnss", "GEO_RESOLVER_WIFI": "wifi"}


class Decoder:
    """Decodes one network server's events; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Observations of one event."""
        if len(message.payload) > 4 * MAX_FRAME:
            return rejected("size", f"{len(message.payload)} bytes", device=message.device)
        device = ""
        try:
            o = loads(message.payload)
            info = o.get("deviceInfo") if type(o) is dict else None
            if type(info) is not dict:
                return rejected("type", "no deviceInfo", device=message.device)
            device = text(info.get("devEui")).lower()
            if not _DEV_EUI.match(device):
                return rejected("value", "devEui is not eight bytes", device=message.device)
            parts = message.topic.split("/")
            event = parts[-1] if len(parts) >= 2 and parts[-2] == "event" else _guess(o)
            if event not in _EVENTS:
                return rejected("type", "an event that ChirpStack does not have", device=device)
            if "device" in parts[:-1] and parts[-2] == "event" and parts[parts.index("device") + 1].lower() != device:
                return rejected("value", "devEui is not the one of the topic", device=device)
            time_ns, source = _time(o.get("time"), message.received_ns)
            observations = _observations(o, event, device, time_ns, source)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device or message.device)
        unique = text(o.get("deduplicationId"), 100)
        return Decoded(
            observations=observations, device=device, key=f"{device}/{event}/{unique}".encode() if unique else None
        )  # fmt: skip


def _guess(o: dict[str, Any]) -> str:
    """The event of a message without a topic (HTTP)."""
    for key, event in (
        ("location", "location"),
        ("margin", "status"),
        ("batteryLevel", "status"),
        ("rxInfo", "up"),
        ("data", "up"),
    ):
        if key in o:
            return event
    return "join" if "devAddr" in o else "log"


def _observations(o: dict[str, Any], event: str, device: str, time_ns: int | None, source: Any) -> tuple[Observation, ...]:
    def reading(quantity: str, value: Any, unit: str = "", flags: tuple[str, ...] = ()) -> Reading:
        return Reading(
            device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity, value=value, unit=unit
        )

    out: list[Observation] = []
    if event == "location":
        said = o.get("location")
        if type(said) is not dict:
            raise DeviceError("format", "a location event without its location")
        # a latitude of exactly 0 is absent
        place = _place(said.get("latitude", 0), said.get("longitude", 0))
        if place is None:
            return (reading("fix_valid", False, flags=("no_fix",)),)
        kind = _SOURCES.get(text(said.get("source")), "gateway")
        out.append(_fix(device, time_ns, source, place, said, kind))
    elif event == "status":
        level = number(o.get("batteryLevel", 0))
        if (
            not o.get("externalPowerSource")
            and not o.get("batteryLevelUnavailable")
            and level is not None
            and 0.0 <= level <= 100.0
        ):
            out.append(reading("battery_level", level, "%"))
    elif event == "up":
        said = o.get("object")
        if type(said) is dict:
            found = _find(said, 3)
            if found is not None:
                holder, place = found
                failed = any(said.get(key) is True or holder.get(key) is True for key in ("fixFailed", "fix_failed"))
                failed |= said.get("valid") is False or holder.get("valid") is False
                if failed or place is None:
                    out.append(reading("fix_valid", False, flags=("no_fix",)))
                else:
                    out.append(_fix(device, time_ns, source, place, holder, "gnss"))
            for key in _BATTERY:
                volt = number(said.get(key))
                if volt is not None and 0.0 < volt < 100.0:
                    out.append(reading("battery_voltage", volt, "V"))
                    break
        heard = o.get("rxInfo")
        levels = [number(item.get("rssi", 0)) for item in heard if type(item) is dict] if type(heard) is list else []
        levels = [level for level in levels if level is not None and -200.0 <= level <= 50.0]
        if levels:
            out.append(reading("rssi", max(levels), "dBm"))
    return tuple(out)


def _find(o: dict[str, Any], depth: int) -> tuple[dict[str, Any], tuple[float, float] | None] | None:
    """(the object that holds a position, the position or None where it cannot be one); None: there is none."""
    for a, b in _PAIRS:
        if number(o.get(a)) is not None and number(o.get(b)) is not None:
            return o, _place(o[a], o[b])
    if depth > 1:
        for value in o.values():
            if type(value) is dict and (found := _find(value, depth - 1)) is not None:
                return found
    return None


def _place(lat: Any, lon: Any) -> tuple[float, float] | None:
    """The position, None at 0, 0.

    Raises:
        DeviceError: value.
    """
    lat_deg, lon_deg = number(lat), number(lon)
    if lat_deg is None or lon_deg is None:
        raise DeviceError("value", "latitude or longitude is no number")
    if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
        raise DeviceError("value", "latitude or longitude out of range")
    return None if null_island(lat_deg, lon_deg) else (lat_deg, lon_deg)


def _fix(device: str, time_ns: int | None, source: Any, place: tuple[float, float], said: dict[str, Any], kind: Any) -> Fix:
    alt, accuracy = number(said.get("altitude")), number(said.get("accuracy"))
    speed, course = number(said.get("speedKmph")), number(said.get("headingDeg"))
    return Fix(
        device=device,
        time_ns=time_ns,
        time_source=source,
        lat_deg=place[0],
        lon_deg=place[1],
        alt_m=alt,
        sigma_m=accuracy / R68_PER_SIGMA if accuracy is not None and 0.0 < accuracy < 1e6 else None,
        speed_mps=speed * KMH_MPS if speed is not None and speed >= 0.0 else None,
        course_deg=course % 360.0 if course is not None and 0.0 <= course <= 360.0 else None,
        fix=kind,
    )


def _time(word: Any, received_ns: int | None) -> tuple[int | None, str]:
    if word is None:
        return received_ns, "server"
    found = _TIME.match(word) if type(word) is str else None
    try:
        whole_ns = ns_from_text(found[1] + found[3]) if found else -1
    except (ValueError, OverflowError):
        whole_ns = -1
    if not 0 < whole_ns < 4_102_444_800_000_000_000:
        raise DeviceError("value", "time is not RFC 3339")
    return whole_ns + int((found[2] or "0").ljust(9, "0")), "gateway"


def encode(
    *,
    dev_eui: str,
    time_ns: int,
    lat_deg: float | None = None,
    lon_deg: float | None = None,
    event: str = "location",
    accuracy_m: float | None = None,
    source: str = "GEO_RESOLVER_TDOA",
    data: bytes = b"",
    battery_percent: float | None = None,
    rssi_dbm: float = -90.0,
    unique: str = "",
) -> bytes:
    """An event: ``location``, ``up`` (with the position in ``object``) or ``status``."""
    o: dict[str, Any] = {"deduplicationId": unique} if unique else {}
    o |= {"time": iso_from_ns(time_ns).replace("Z", "+00:00"), "deviceInfo": {"devEui": dev_eui}}
    place = {} if lat_deg is None or lon_deg is None else {"latitude": round(lat_deg, 7), "longitude": round(lon_deg, 7)}
    if event == "location":
        o["location"] = {key: value for key, value in place.items() if value} | {"source": source}
        if accuracy_m is not None:
            o["location"]["accuracy"] = accuracy_m
    elif event == "up":
        o |= {"fPort": 1, "data": base64.b64encode(data).decode("ascii"), "rxInfo": [{"gatewayId": "00" * 8, "rssi": rssi_dbm}]}
        if place:
            o["object"] = place
    else:
        o |= {"margin": 7} | ({} if battery_percent is None else {"batteryLevel": battery_percent})
    return msgspec.json.encode(o)
