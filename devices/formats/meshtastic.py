"""Meshtastic: what a node's MQTT module says of the nodes that it hears, JSON (``mqtt.json_enabled``).

The topic names the region, the channel and the gateway; the node that speaks stands in ``from``::

    msh / REGION... / 2 / json / CHANNEL / !7efeb2c8

    {"id": 1576523471, "from": 2130621128, "sender": "!7efeb2c8", "to": -1, "channel": 0, "type": "position",
     ^^ of the packet  ^^^^ the device, as !7efeb2c8 (below 0 in firmware before 2.2: its 32 bits are meant)
     "timestamp": 1761990000,                       when the gateway heard it; 0 = it did not know
     "rssi": -91, "snr": 6.5,                       0 or absent: it came over the Internet
     "payload": {"latitude_i": 519496321, "longitude_i": 41453297,     1e-7 degrees
                 "altitude": 3,                     m above the sea
                 "time": 1761989990, "timestamp": 1761989990,          POSIX s: of the clock, of the fix (better)
                 "sats_in_view": 7, "PDOP": 190, "HDOP": 120,          hundredths; 9999 = none
                 "precision_bits": 32}}             so many leading bits of a coordinate are true
    telemetry   "payload": {"battery_level": 93, "voltage": 4.05, ...}                      -> battery_level, battery_voltage

``precision_bits`` cuts a position to a cell and gives its middle: 13 bits are 5.8 km from side to side.  Sigma is what a
uniform error in such a cell has, 1/sqrt(12) of its side; 0 bits are no position.  Battery of 0 beside a voltage of 0 is no
reading (it has no battery), and of more than 100 it is fed from outside.  ``ground_speed`` and ``ground_track`` are in units
that differ from firmware to firmware; they are named in ``unread``, as are ``detection`` messages.  Text, node information,
routes, neighbours and waypoints (places that a person marked) say nothing of where a node is.  Protobuf topics (``/e/``,
``/c/``) are refused: the module has to be told to write JSON.

Two gateways repeat one packet: it is one by node, packet and what it says.

Source: Meshtastic documentation, "MQTT" (meshtastic.org/docs/software/integrations/mqtt) and protobufs, mesh.proto (Position),
read 2026-11; battery of 0: meshtastic/firmware#1850; cells: meshtastic.org/docs/configuration/radio/channels, "Position
Precision".
"""

from __future__ import annotations

import re
from math import sqrt
from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island, valid_position
from birddog.model import Fix, Observation, Reading, Reject, TimeSource
from birddog.units import NS
from devices import lorawan
from devices.clock import unset
from devices.codec import MAX_FRAME, Decoded, Message, rejected, unread
from devices.places import LOW_QUALITY, doubtful
from devices.strict_json import loads, number, text

VERSION = 2
STREAM = False
#: As its maker documents them; an exercise knows them without an enrolment.
GATEWAY_TOPIC = re.compile(r"msh/.+/(json|c|e)/.+\Z")

#: Kinds of message that say nothing of a node's place or state.
_SILENT = frozenset("text nodeinfo traceroute neighborinfo waypoint remotehw paxcounter sendtext sendposition".split())
_SOURCES: tuple[TimeSource, TimeSource] = ("server", "gateway")
#: Metres of a degree of latitude.
_DEGREE_M = 111_320.0
_SCALE = 1e-7


class Decoder:
    """Decodes one gateway's messages; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """Observations of one message."""
        if len(message.payload) > MAX_FRAME:
            return rejected("size", f"{len(message.payload)} bytes", device=message.device)
        levels = message.topic.split("/")
        if levels[0] == "msh" and "json" not in levels and ("e" in levels or "c" in levels):
            return rejected("encrypted", "protobuf: the node's MQTT module has to be told to write JSON", device=message.device)
        device = ""
        try:
            o = loads(message.payload)
            if type(o) is not dict:
                return rejected("format", "no JSON object", device=message.device)
            device = _device(o.get("from"))
            return _decoded(o, device, message.received_ns)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device or message.device)


def _device(node: Any) -> str:
    """A node's identity as the apps write it."""
    if type(node) is not int or not -(2**31) <= node < 2**32 or node in (0, -1, 2**32 - 1):
        raise DeviceError("type", "from is no node")
    return f"!{node % 2**32:08x}"


def _decoded(o: dict[str, Any], device: str, received_ns: int | None) -> Decoded:
    kind, payload = text(o.get("type"), 40), o.get("payload")
    if kind in _SILENT or not kind:
        return Decoded(device=device)
    if kind not in ("position", "telemetry") or type(payload) is not dict:
        return Decoded(device=device, unread=("detection" if kind == "detection" else "message",))
    heard_ns = lorawan.stated_time(o.get("timestamp"))
    time_ns, source = received_ns if heard_ns is None else heard_ns, _SOURCES[heard_ns is not None]
    names: list[str] = []
    rejects: tuple[Reject, ...] = ()
    if kind == "position":
        found, rejects, names = _position(payload, device, time_ns, source)
    else:
        found = _telemetry(payload, device, time_ns, source)
    level = lorawan.best_rssi([o])
    if level is not None:
        found.append(_reading(device, time_ns, source, "rssi", level, "dBm"))
    packet = o.get("id")
    key = f"{device}/{packet}/".encode() + lorawan.content(kind, payload) if type(packet) is int and packet else None
    return Decoded(observations=tuple(found), rejects=rejects, device=device, key=key, unread=unread(names))


def _reading(device: str, time_ns: int | None, source: TimeSource, quantity: str, value: Any, unit: str = "") -> Reading:
    flags = ("no_fix",) if quantity == "fix_valid" else ()
    return Reading(device=device, time_ns=time_ns, time_source=source, flags=flags, quantity=quantity, value=value, unit=unit)


def _position(
    said: dict[str, Any], device: str, time_ns: int | None, source: TimeSource
) -> tuple[list[Observation], tuple[Reject, ...], list[str]]:
    names = [f"payload.{name}" for name in ("ground_speed", "ground_track") if number(said.get(name))]
    lat_i, lon_i = number(said.get("latitude_i")), number(said.get("longitude_i"))
    bits = number(said.get("precision_bits"))
    if lat_i is None or lon_i is None or null_island(lat_i * _SCALE, lon_i * _SCALE) or bits == 0.0:
        return [_reading(device, time_ns, source, "fix_valid", False)], (), names
    lat_deg, lon_deg = lat_i / 1e7, lon_i / 1e7
    if not valid_position(lat_deg, lon_deg):
        return [], (Reject("value", "latitude_i or longitude_i out of range", device=device),), names
    own_ns = next((t for name in ("timestamp", "time") if (t := lorawan.stated_time(said.get(name))) is not None), None)
    flags: tuple[str, ...] = ()
    if own_ns is None or unset(own_ns, time_ns):
        own_ns, flags = None, ("no_fix_time",)
    sigma_m = None
    if bits is not None and 0.0 < bits < 32.0:
        sigma_m = 2.0 ** (32.0 - bits) * _SCALE * _DEGREE_M / sqrt(12.0)
    if doubtful(lat_deg, lon_deg):
        sigma_m, flags = None, (*flags, *LOW_QUALITY)
    if own_ns is not None and time_ns is not None and time_ns - own_ns > lorawan.BACKLOG_NS:
        flags = ("backlog", *flags)
    attributes: dict[str, Any] = {}
    satellites, hdop, pdop = number(said.get("sats_in_view")), number(said.get("HDOP")), number(said.get("PDOP"))
    if satellites:
        attributes["satellites"] = satellites
    if hdop:
        attributes["hdop"] = hdop / 100.0
    if pdop:
        attributes["pdop"] = pdop / 100.0
    alt = number(said.get("altitude"))
    if own_ns is not None:
        time_ns, source = own_ns, "device"
    fix = Fix(
        device=device, time_ns=time_ns, time_source=source, flags=flags, lat_deg=lat_deg, lon_deg=lon_deg, alt_m=alt,
        alt_ref="unknown" if alt is None else "msl", sigma_m=sigma_m, attributes=attributes,
    )  # fmt: skip
    return [fix], (), names


def _telemetry(said: dict[str, Any], device: str, time_ns: int | None, source: TimeSource) -> list[Observation]:
    level, volt = number(said.get("battery_level")), number(said.get("voltage"))
    out: list[Observation] = []
    if level is not None and 0.0 <= level <= 100.0 and (level > 0.0 or volt):
        out.append(_reading(device, time_ns, source, "battery_level", level, "%"))
    if volt is not None and 0.0 < volt < 100.0:
        out.append(_reading(device, time_ns, source, "battery_voltage", volt, "V"))
    return out


def encode(
    *,
    node: int,
    time_ns: int,
    lat_deg: float | None = None,
    lon_deg: float | None = None,
    alt_m: float | None = None,
    battery_percent: float | None = None,
    packet: int = 1,
    precision_bits: int = 32,
    rssi_dbm: float = -90.0,
    gateway: int = 0x7EFEB2C8,
) -> bytes:
    """A ``position``, or a ``telemetry`` message where no position is given, as a gateway publishes it."""
    seconds = time_ns // NS
    o: dict[str, Any] = {"channel": 0, "from": node, "id": packet, "sender": f"!{gateway:08x}", "timestamp": seconds, "to": -1,
                         "rssi": rssi_dbm}
    if lat_deg is None or lon_deg is None:
        level = {} if battery_percent is None else {"battery_level": round(battery_percent), "voltage": 3.9}
        return msgspec.json.encode(o | {"type": "telemetry", "payload": level})
    place = {"latitude_i": _cut(lat_deg, precision_bits), "longitude_i": _cut(lon_deg, precision_bits), "time": seconds,
             "precision_bits": precision_bits}
    if alt_m is not None:
        place["altitude"] = round(alt_m)
    return msgspec.json.encode(o | {"type": "position", "payload": place})


def _cut(deg: float, bits: int) -> int:
    """A coordinate in 1e-7 degrees, cut to its leading bits; the middle of the cell."""
    value = round(deg * 1e7)
    return value if bits >= 32 else (value >> (32 - bits) << (32 - bits)) + (1 << (31 - bits))
