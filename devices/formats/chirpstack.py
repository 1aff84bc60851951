"""ChirpStack v4 and v3: what a LoRaWAN network server says of its devices, JSON over MQTT or HTTP.

The topic names the event; the fields that are read, by event::

    application / APPLICATION / device / DEVEUI / event / up | status | location | join | ack | txack | log | integration

    all        {"deduplicationId": "3ac7e3c4-...", "time": "2025-11-01T09:40:00.775023242+00:00",
                "deviceInfo": {"devEui": "0101010101010101", ...}, ...}             devEui is the device
    up          "fCnt": 4, "fPort": 1, "data": base64,
                "object": {...}                  what the device profile's codec made of the data: ``devices.lorawan``
                "rxInfo": [{"gatewayId", "rssi": -36, "snr": 10.5}, ...]}       -> reading rssi of the best gateway
    status      "margin": 7, "externalPowerSource", "batteryLevelUnavailable", "batteryLevel": 75.5}    -> battery_level
    location    "location": {"latitude": 51.9, "longitude": 4.1, "altitude": 2, "source": "GEO_RESOLVER_TDOA", "accuracy": 80}}

    v3          "devEUI": "0101010101010101", or its eight bytes in base64, in the object itself; "objectJSON": the object as
                text; "publishedAt", else the earliest "time" in rxInfo, is the time

A key whose value is zero is absent (protobuf JSON); the rssi of a gateway that states none is none.  ``rxInfo`` also holds
the places of gateways: they are configured, and not where the device is.  A ``location`` whose source is CONFIG was typed in
by a person and is no fix either.  Accuracy is taken as a 68 % radius; GEO_RESOLVER_TDOA and RSSI, and a source that is not
stated, give the kind of fix ``gateway``.  ``data`` without an object stays raw and is named in ``unread``: which bytes mean
what is the device profile's knowledge.

Time is the network's, ``time_source`` gateway, unless the object states its own.  The deduplicationId and what was said make
two deliveries of one event one; two solutions of one uplink are two.  A devEui other than the topic's is a reject ``value``.

Source: ChirpStack documentation, "Event types" (chirpstack.io/docs/chirpstack/integrations/events.html), read 2026-11; v3:
chirpstack.io/application-server/integrations/events, "JSON" and "JSON (v3)"; the absent zeros: chirpstack/chirpstack#43;
LocationSource: api/proto/common/common.proto.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island, valid_position
from birddog.model import Fix, FixKind, Observation, Reading, Reject, TimeSource
from birddog.units import iso_from_ns
from devices import lorawan
from devices.codec import MAX_FRAME, Decoded, Message, rejected, unread
from devices.places import LOW_QUALITY, accuracy, doubtful
from devices.strict_json import loads, number, text

VERSION = 4
STREAM = False
#: As its maker documents them; an exercise knows them without an enrolment.
GATEWAY_TOPIC = re.compile(r"application/[^/]+/device/[^/]+/event/[a-z]+\Z")
DEVICE_LEVEL = "device"

_EVENTS = frozenset("up status location join ack txack log integration error".split())
_DEV_EUI = re.compile(r"[0-9a-f]{16}\Z")
#: source of a location -> kind of fix
_SOURCES: dict[str, FixKind] = {
    "GEO_RESOLVER_GNSS": "gnss", "GPS": "gnss", "GEO_RESOLVER_WIFI": "wifi", "GEO_RESOLVER_TDOA": "gateway",
    "GEO_RESOLVER_RSSI": "gateway", "UNKNOWN": "gateway", "": "gateway",
}  # fmt: skip


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
            device = _device(o)
            if not device:
                return rejected("type", "no deviceInfo, and no devEUI", device=message.device)
            parts = message.topic.split("/")
            event = parts[-1] if len(parts) >= 2 and parts[-2] == "event" else _guess(o)
            if event not in _EVENTS:
                return rejected("type", "an event that ChirpStack does not have", device=device)
            if "device" in parts[:-1] and parts[-2] == "event" and parts[parts.index("device") + 1].lower() != device:
                return rejected("value", "devEui is not the one of the topic", device=device)
            time_ns, source = lorawan.network_time(_stated(o), message.received_ns)
            said = _said(o, event, device, time_ns, source)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device or message.device)
        unique, key = text(o.get("deduplicationId"), 100), None
        if unique:
            what = lorawan.content(*(o.get(name) for name in ("object", "objectJSON", "location", "data")))
            key = f"{device}/{event}/{unique}/".encode() + what
        return Decoded(observations=said.observations, rejects=said.rejects, device=device, key=key, unread=said.unread)


def _device(o: Any) -> str:
    """The devEui of v4 or v3 in hexadecimal; "" where none is stated.

    Raises:
        DeviceError: value.
    """
    if type(o) is not dict:
        return ""
    info = o.get("deviceInfo")
    word = text(info.get("devEui")) if type(info) is dict else text(o.get("devEUI"))
    if not word and type(info) is not dict:
        return ""
    if len(word) == 12:  # v3, as protobuf writes bytes
        try:
            word = base64.b64decode(word, validate=True).hex()
        except (binascii.Error, ValueError):
            word = ""
    if not _DEV_EUI.match(word.lower()):
        raise DeviceError("value", "devEui is not eight bytes")
    return word.lower()


def _stated(o: dict[str, Any]) -> Any:
    """The event's time: ``time`` of v4; of v3 ``publishedAt``, else the earliest at which a gateway heard it."""
    word = o.get("time", o.get("publishedAt"))
    heard = o.get("rxInfo")
    if word is not None or type(heard) is not list:
        return word
    return min((item["time"] for item in heard if type(item) is dict and type(item.get("time")) is str), default=None)


def _guess(o: dict[str, Any]) -> str:
    """The event of a message without a topic (HTTP)."""
    for key, event in (
        ("location", "location"),
        ("margin", "status"),
        ("batteryLevel", "status"),
        ("rxInfo", "up"),
        ("data", "up"),
        ("object", "up"),
    ):
        if key in o:
            return event
    return "join" if "devAddr" in o else "log"


def _said(o: dict[str, Any], event: str, device: str, time_ns: int | None, source: TimeSource) -> lorawan.Read:
    def reading(quantity: str, value: Any, unit: str = "", flags: tuple[str, ...] = ()) -> Reading:
        return Reading(
            device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity, value=value, unit=unit
        )

    out: list[Observation] = []
    rejects: tuple[Reject, ...] = ()
    names: list[str] = []
    if event == "location":
        where = o.get("location")
        if type(where) is not dict:
            raise DeviceError("format", "a location event without its location")
        kind = _SOURCES.get(text(where.get("source")))
        if kind is None:
            names.append("location.configured" if where.get("source") == "CONFIG" else "location.source")
        else:
            # a latitude of exactly 0 is absent
            fix = _fix(device, time_ns, source, where.get("latitude", 0), where.get("longitude", 0), where, kind)
            out.append(reading("fix_valid", False, flags=("no_fix",)) if fix is None else fix)
    elif event == "status":
        level = number(o.get("batteryLevel", 0))
        known = not o.get("externalPowerSource") and not o.get("batteryLevelUnavailable")
        if known and level is not None and 0.0 <= level <= 100.0:
            out.append(reading("battery_level", level, "%"))
    elif event == "up":
        said = o.get("object")
        if said is None and type(o.get("objectJSON")) is str and o["objectJSON"]:
            try:
                said = loads(o["objectJSON"].encode())
            except DeviceError as error:
                rejects = (Reject(error.reason, f"objectJSON: {error.detail}", device=device),)
        if type(said) is dict:
            read = lorawan.read(said, device=device, time_ns=time_ns, source=source)
            out, rejects, names = [*read.observations], read.rejects, [*read.unread]
        elif o.get("data") and not rejects:
            names.append("data")
        level = lorawan.best_rssi(o.get("rxInfo"))
        if level is not None:
            out.append(reading("rssi", level, "dBm"))
    return lorawan.Read(tuple(out), rejects, unread(names))


def _fix(
    device: str, time_ns: int | None, source: TimeSource, lat: Any, lon: Any, said: dict[str, Any], kind: FixKind
) -> Fix | None:
    """A location that the network worked out; None at 0, 0.

    Raises:
        DeviceError: value.
    """
    lat_deg, lon_deg = number(lat), number(lon)
    if lat_deg is None or lon_deg is None:
        raise DeviceError("value", "latitude or longitude is no number")
    if not valid_position(lat_deg, lon_deg):
        raise DeviceError("value", "latitude or longitude out of range")
    if null_island(lat_deg, lon_deg):
        return None
    sigma_m, flags = accuracy(said.get("accuracy"))
    if doubtful(lat_deg, lon_deg):
        sigma_m, flags = None, LOW_QUALITY
    return Fix(
        device=device, time_ns=time_ns, time_source=source, flags=flags, lat_deg=lat_deg, lon_deg=lon_deg,
        alt_m=number(said.get("altitude")), sigma_m=sigma_m, fix=kind,
    )  # fmt: skip


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
