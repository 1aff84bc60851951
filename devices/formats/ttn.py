"""The Things Stack v3 (TTN): what this LoRaWAN network server says of its devices, JSON over MQTT or a webhook.

The topic names the device; what happened is a key of the message::

    v3 / APPLICATION@TENANT / devices / DEVICE / up | join | location/solved | service/data | down/...

    {"end_device_ids": {"device_id": "pallet-7", "dev_eui": "0004A30B001C0530",       dev_eui in lower case is the device,
                        "application_ids": {"application_id": "app1"}},               where there is none device_id
     "received_at": "2025-11-01T09:40:01.2Z",
     "uplink_message": {"session_key_id", "f_cnt", "f_port", "frm_payload": base64,
         "received_at": "2025-11-01T09:40:00.775Z",                       the time: the network server's
         "decoded_payload": {...},                                        what the codec made of it: ``devices.lorawan``
         "rx_metadata": [{"rssi": -91, "location": {...}}, ...],          -> reading rssi of the best gateway
         "locations": {"frm-payload": {"latitude", "longitude", "source": "SOURCE_GPS"}, "user": {... "SOURCE_REGISTRY"}}}
     "location_solved": {"service", "location": {"latitude", "longitude", "altitude", "accuracy": 80, "source"}}}

Empty fields are absent: a latitude of 0, a counter of 0; an rssi that is absent, or 0, is none.  Places of gateways and those
whose source is SOURCE_REGISTRY were typed in by somebody and are no fix; one found by an Internet address is none either; a
source that is not stated gives the kind of fix ``gateway``.  ``locations`` is asked only where ``decoded_payload`` gave no
position, and of it only ``frm-payload``, which the stack read out of the same bytes (a ``location_solved`` of that service
says it once more).  A message that says ``simulated`` was typed in at the network server's console: refused as exercise
data.  ``frm_payload`` without ``decoded_payload`` stays raw and is named in ``unread``, as are ``service_data`` and kinds of
message that are not listed here.

A message may come wrapped as the storage integration (``result``) and the console's live data (``data``) wrap it.  Two
deliveries of one message are one by session, counter, time and what was said.  A device_id other than the topic's is a
reject ``value``.

Source: The Things Stack documentation, "Data Formats" (thethingsindustries.com/docs/integrations/data-formats) and "MQTT
Server", read 2026-11; LocationSource: TheThingsNetwork/lorawan-stack, api/ttn/lorawan/v3/metadata.proto.  Sources of
names in ``decoded_payload``: ``devices.lorawan``; traccar/traccar#5708 reads the names of TTN Mapper.
"""

from __future__ import annotations

import base64
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

VERSION = 2
STREAM = False
TEXT = True
#: As its maker documents them; an exercise knows them without an enrolment.
GATEWAY_TOPIC = re.compile(r"v3/[^/]+/devices/[^/]+/[a-z/]+\Z")

_EUI = re.compile(r"[0-9a-f]{16}\Z")
#: Device ids of the stack: 2 to 36 characters.
_ID = re.compile(r"[a-z0-9](-?[a-z0-9]){1,35}\Z")
#: What a message may be about; those that say nothing of the device's place or state are silent.
_SILENT = frozenset("""join_accept downlink_ack downlink_nack downlink_sent downlink_failed downlink_queued
                       downlink_queue_invalidated uplink_normalized""".split())
#: source of a location -> kind of fix; those that are absent here are none.
_SOURCES: dict[str, FixKind] = {
    "SOURCE_GPS": "gnss", "SOURCE_WIFI_RSSI_GEOLOCATION": "wifi", "SOURCE_LORA_RSSI_GEOLOCATION": "gateway",
    "SOURCE_LORA_TDOA_GEOLOCATION": "gateway", "SOURCE_COMBINED_GEOLOCATION": "gateway",
    "SOURCE_BT_RSSI_GEOLOCATION": "gateway", "SOURCE_UNKNOWN": "gateway", "": "gateway",
}  # fmt: skip


class Decoder:
    """Decodes one application's messages; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Observations of one message."""
        if len(message.payload) > 4 * MAX_FRAME:
            return rejected("size", f"{len(message.payload)} bytes", device=message.device)
        device = ""
        try:
            o = _unwrapped(loads(message.payload))
            ids = o.get("end_device_ids") if type(o) is dict else None
            if type(ids) is not dict:
                return rejected("type", "no end_device_ids", device=message.device)
            device = _device(ids)
            parts = message.topic.split("/")
            if len(parts) >= 4 and parts[0] == "v3" and parts[2] == "devices" and parts[3] != ids.get("device_id"):
                return rejected("value", "device_id is not the one of the topic", device=device)
            if o.get("simulated") is True:
                return rejected("exercise", "simulated at the network server's console", device=device)
            return _decoded(o, device, message.received_ns)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device or message.device)


def _unwrapped(o: Any) -> Any:
    """The message itself of what the storage integration (``result``) and the console's live data (``data``) wrap it in."""
    for key in ("result", "data"):
        inner = o.get(key) if type(o) is dict and "end_device_ids" not in o else None
        if type(inner) is dict and "end_device_ids" in inner:
            return inner
    return o


def _device(ids: dict[str, Any]) -> str:
    eui = text(ids.get("dev_eui")).lower()
    if eui:
        if not _EUI.match(eui):
            raise DeviceError("value", "dev_eui is not eight bytes")
        return eui
    name = text(ids.get("device_id"))
    if not _ID.match(name):
        raise DeviceError("value", "neither dev_eui nor a device_id")
    return name


def _decoded(o: dict[str, Any], device: str, received_ns: int | None) -> Decoded:
    said = o.get("uplink_message")
    if type(said) is dict:
        return _uplink(o, said, device, received_ns)
    solved = o.get("location_solved")
    if type(solved) is dict:
        time_ns, source = lorawan.network_time(o.get("received_at"), received_ns)
        where = solved.get("location")
        if type(where) is not dict:
            raise DeviceError("format", "a location without its place")
        found, names = _location(where, device, time_ns, source)
        key = f"{device}/location/{time_ns}/".encode() + lorawan.content(where) if o.get("received_at") else None
        return Decoded(observations=found, device=device, key=key, unread=unread(names))
    if not _SILENT.isdisjoint(o):
        return Decoded(device=device)
    return Decoded(device=device, unread=("service_data" if "service_data" in o else "message",))


def _uplink(o: dict[str, Any], said: dict[str, Any], device: str, received_ns: int | None) -> Decoded:
    time_ns, source = lorawan.network_time(said.get("received_at", o.get("received_at")), received_ns)
    out: list[Observation] = []
    rejects: tuple[Reject, ...] = ()
    names: list[str] = []
    payload = said.get("decoded_payload")
    if type(payload) is dict:
        read = lorawan.read(payload, device=device, time_ns=time_ns, source=source)
        out, rejects, names = [*read.observations], read.rejects, [*read.unread]
    elif said.get("frm_payload"):
        names.append("frm_payload")
    places = said.get("locations")
    where = places.get("frm-payload") if type(places) is dict else None
    if type(where) is dict and not rejects and not any(_of_position(found) for found in out):
        found, more = _location({"source": "SOURCE_GPS"} | where, device, time_ns, source)
        out = [*found, *out]
        names = [name for name in names if found == () or name not in ("object", "object.position")] + more
    level = lorawan.best_rssi(said.get("rx_metadata"))
    if level is not None:
        out.append(Reading(device=device, time_ns=time_ns, time_source=source, quantity="rssi", value=level, unit="dBm"))
    session, key = text(said.get("session_key_id"), 100), None
    if session:
        what = lorawan.content(payload, where, said.get("frm_payload"))
        key = f"{device}/up/{session}/{text(said.get('f_cnt'))}/{time_ns}/".encode() + what
    return Decoded(observations=tuple(out), rejects=rejects, device=device, key=key, unread=unread(names))


def _of_position(found: Observation) -> bool:
    return isinstance(found, Fix) or (isinstance(found, Reading) and found.quantity == "fix_valid")


def _location(
    where: dict[str, Any], device: str, time_ns: int | None, source: TimeSource
) -> tuple[tuple[Observation, ...], list[str]]:
    """What a location of the stack's own says, and the names of what it does not.

    Raises:
        DeviceError: value.
    """
    kind = _SOURCES.get(text(where.get("source")))
    if kind is None:
        return (), ["location.configured" if where.get("source") == "SOURCE_REGISTRY" else "location.source"]
    lat_deg, lon_deg = number(where.get("latitude", 0)), number(where.get("longitude", 0))
    if lat_deg is None or lon_deg is None or not valid_position(lat_deg, lon_deg):
        raise DeviceError("value", "latitude or longitude is no number, or out of range")
    if null_island(lat_deg, lon_deg):
        none = Reading(device=device, time_ns=time_ns, time_source=source, flags=("no_fix",), quantity="fix_valid", value=False)
        return (none,), []
    sigma_m, flags = accuracy(where.get("accuracy"))
    if doubtful(lat_deg, lon_deg):
        sigma_m, flags = None, LOW_QUALITY
    fix = Fix(
        device=device, time_ns=time_ns, time_source=source, flags=flags, lat_deg=lat_deg, lon_deg=lon_deg,
        alt_m=number(where.get("altitude")), sigma_m=sigma_m, fix=kind,
    )  # fmt: skip
    return (fix,), []


def encode(
    *,
    dev_eui: str,
    time_ns: int,
    device_id: str = "",
    lat_deg: float | None = None,
    lon_deg: float | None = None,
    event: str = "up",
    accuracy_m: float | None = None,
    source: str = "SOURCE_LORA_TDOA_GEOLOCATION",
    data: bytes = b"",
    battery_v: float | None = None,
    rssi_dbm: float = -90.0,
    session: str = "",
    count: int = 0,
) -> bytes:
    """A message: ``up`` (with the position in ``decoded_payload``) or ``location``."""
    stamp = iso_from_ns(time_ns)
    ids = {"device_id": device_id or f"eui-{dev_eui}", "application_ids": {"application_id": "app"}, "dev_eui": dev_eui.upper()}
    o: dict[str, Any] = {"end_device_ids": ids, "received_at": stamp}
    place: dict[str, Any] = {}
    if lat_deg is not None and lon_deg is not None:
        place = {"latitude": round(lat_deg, 7), "longitude": round(lon_deg, 7)}
    if event == "location":
        where = {key: value for key, value in place.items() if value} | {"source": source}
        o["location_solved"] = {"location": where if accuracy_m is None else where | {"accuracy": round(accuracy_m)}}
        return msgspec.json.encode(o)
    said: dict[str, Any] = {"f_port": 1, "frm_payload": base64.b64encode(data).decode("ascii"), "received_at": stamp,
                            "rx_metadata": [{"gateway_ids": {"gateway_id": "gateway"}, "rssi": rssi_dbm}]}
    more = {"accuracy": accuracy_m, "batV": battery_v}
    payload = place | {key: value for key, value in more.items() if value is not None}
    for key, value in (("decoded_payload", payload), ("session_key_id", session), ("f_cnt", count)):
        if value:
            said[key] = value
    return msgspec.json.encode(o | {"uplink_message": said})
