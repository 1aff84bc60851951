"""OwnTracks: JSON that the phone apps (and recorders' bridges) publish over MQTT or HTTP.

One object a message (the HTTP mode also sends a list of them); the topic names the device::

    [BASE /] owntracks / USER / DEVICE [/ event | waypoint | cmd | status …]
                         ^^^^^^^^^^^^^ the device's identity, USER/DEVICE: two users may each have a "phone".
                                       Without a user it is DEVICE; an enrolment may give another name (ingest/permit.py).

The tracker id ``tid`` is two letters for the map that anybody may choose (owntracks/android#2299: "na" for everybody): it is
an attribute, never an identity.

    {"_type": "location",
     "lat": 48.85833, "lon": 2.29513,    degrees WGS 84                                    required
     "tst": 1497349316,                  POSIX seconds of the fix                          required
     "acc": 5,                           radius in m that holds the truth with 68 %        -> sigma_m = acc / 1.51
     "alt": 167, "vac": 21,              metres above sea level, its accuracy; vac -1: alt is none
     "vel": 61,                          km/h; -1 = unknown                                -> speed_mps
     "cog": 271,                         degrees; -1 = unknown                             -> course_deg
     "batt": 67,                         percent                                           -> reading battery_level
     "t": "u", "tid": "JJ", "conn": "m", "m": 1, "created_at": …}   t, tid, conn -> attributes

``transition`` (a region entered or left) carries the same position fields and gives a fix, too, where it has them.
``waypoint`` is a place that the user marked, not where the device is; ``lwt`` is said by the broker after the device
has gone; cards, steps, commands, dumps and statuses have no position: none of these gives an observation.
An object may hold the ``topic`` that it was published to (HTTP mode; recorders and bridges that hand it on): on a topic that
names no phone, as a gateway's own, that is whom it is of; on a phone's own topic, or ``birddog/v1/…``, it changes nothing.
``encrypted`` is refused with that reason.  Numbers may come as text.  The position 0, 0 is "no fix".  So is one whose
``acc`` is below 0: the apps hand on what the system says, and Apple's horizontalAccuracy and verticalAccuracy below 0 mean
that the position, or the altitude, is invalid (owntracks/android#519, malcommac/SwiftLocation#340).  ``acc`` 0, beyond reason
or no number is unknown: ``low_quality`` (owntracks/android#546, home-assistant/core#1957; ``devices.places``).

Source: OwnTracks booklet, "JSON" (owntracks.org/booklet/tech/json), read 2026-11.
"""

from __future__ import annotations

from typing import Any

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island
from birddog.model import Fix, Observation, Reading, TimeSource, Value
from birddog.units import KMH_MPS, NS, R68_PER_SIGMA
from devices.clock import SET_NS, unset
from devices.codec import MAX_FRAME, NOTHING, Decoded, Message, join, rejected
from devices.places import LOW_QUALITY, accuracy, doubtful
from devices.strict_json import loads, number, text

VERSION = 5
STREAM = False
TEXT = True

#: Types of the booklet that say nothing about where the device is.
_SILENT = frozenset("lwt waypoint waypoints card cmd configuration dump steps status beacon request tour tours".split())
_LEVEL = "owntracks"
#: What the apps put below a phone's topic (booklet, "Topics").
_LEAVES = frozenset("event waypoint waypoints cmd info step steps dump status request beacon card".split())
_ATTRIBUTES = ("t", "tid", "conn")
_TRANSITION_ATTRIBUTES = ("event", "desc", *_ATTRIBUTES)
#: Objects in one list; a longer one is refused with reason ``size``.
MOST_OBJECTS = 1000
#: Years 1970 to 2105: what fits the 32-bit seconds that devices have.
_LAST_S = 1 << 32
_SMALL = 1_000_000


def phone_topic(topic: str) -> str:
    """The part of a topic that names one phone, ``[BASE/]owntracks/USER/DEVICE``; of any other topic all but such a leaf."""
    levels = topic.split("/")
    if phone_of(topic):
        return "/".join(levels[: levels.index(_LEVEL) + 3])
    return "/".join(levels[:-1]) if len(levels) > 2 and levels[-1] in _LEAVES else topic


def phone_of(topic: str) -> str:
    """The phone that a topic with a level ``owntracks`` names: USER/DEVICE, or DEVICE where the user is empty; else ""."""
    levels = topic.split("/")
    at = levels.index(_LEVEL) if _LEVEL in levels else len(levels)
    if len(levels) < at + 3 or not levels[at + 2]:
        return ""
    user, device = levels[at + 1 : at + 3]
    return f"{user}/{device}" if user else device


def device_of(topic: str) -> str:
    """The phone of any topic on which OwnTracks messages come: without a level ``owntracks`` its last two levels, of which an
    own topic base (pubTopicBase) ends with user and device, too."""
    phone = phone_of(topic)
    if phone or not topic:
        return phone
    return "/".join([level for level in phone_topic(topic).split("/") if level][-2:])


def is_own(identity: str, topic: str) -> bool:
    """Whether a topic is the one that the apps make of a client id: the id is the device's name, or user and device in one."""
    phone = phone_of(topic)
    return identity in (phone, phone.replace("/", "", 1), phone.rpartition("/")[2])


def is_default_id(client_id: str, topic: str) -> bool:
    """Whether a client id is what the apps make of a topic's user and device (DefaultsProvider.kt; Settings.m, theIdInMOC)."""
    phone = phone_of(topic)
    return bool(phone) and client_id == phone.replace("/", "", 1)


class Decoder:
    """Decodes one phone's messages; keeps nothing but the last topic, to read it once."""

    __slots__ = ("_device", "_topic")

    def __init__(self) -> None:
        self._topic, self._device = "", ""

    def decode(self, message: Message) -> Decoded:
        """Observations of one JSON message."""
        device = message.device or self._named(message.topic)
        payload = message.payload
        if len(payload) > MAX_FRAME:
            return rejected("size", f"{len(payload)} bytes", device=device)
        try:
            value = loads(payload)
            if type(value) is dict:
                return _one(value, device, message.received_ns, message.topic)
            if type(value) is not list:
                return rejected("format", "neither a JSON object nor a list of them", device=device)
            if len(value) > MOST_OBJECTS:
                return rejected("size", f"a list of {len(value)} objects", device=device)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=device)
        return join([_each(item, device, message.received_ns, message.topic) for item in value]) if value else NOTHING

    def _named(self, topic: str) -> str:
        if topic != self._topic:
            self._topic, self._device = topic, phone_of(topic)
        return self._device


def _each(item: Any, device: str, received_ns: int | None, topic: str) -> Decoded:
    if type(item) is not dict:
        return rejected("format", "the list holds something that is not an object", device=device)
    try:
        return _one(item, device, received_ns, topic)
    except DeviceError as error:
        return rejected(error.reason, error.detail, device=device)


def _one(o: dict[str, Any], device: str, received_ns: int | None, topic: str) -> Decoded:
    kind = o.get("_type")
    if not device:
        device = _own_name(o)
    elif o.get("topic") is not None and _is_nobodys(topic):
        device = phone_of(text(o["topic"])) or device
    if kind != "location" and kind != "transition":
        if type(kind) is str and kind in _SILENT:
            return Decoded(device=device)
        if kind == "encrypted":
            return rejected("encrypted", "encrypted by the app", device=device)
        return rejected("type", "no _type" if kind is None else "a _type that OwnTracks does not have", device=device)

    flags: tuple[str, ...] = ()
    time_ns = received_ns
    source: TimeSource = "server"
    tst = o.get("tst")
    seconds = tst if type(tst) is int else number(tst)
    if seconds is not None and 0 < seconds < _LAST_S:
        stated_ns = seconds * NS if type(seconds) is int else round(seconds * 1e6) * 1000
        if stated_ns < SET_NS and unset(stated_ns, received_ns):
            flags = ("no_fix_time",)
        else:
            time_ns, source = stated_ns, "device"
    elif tst is None or seconds == 0:
        flags = ("no_fix_time",)
    else:
        return rejected("value", "tst is no time", device=device)

    lat, lon = o.get("lat"), o.get("lon")
    if type(lat) is not float:
        lat = number(lat)
    if type(lon) is not float:
        lon = number(lon)
    if lat is None or lon is None:
        if kind == "transition" and o.get("lat") is None and o.get("lon") is None:
            return Decoded(device=device)
        return rejected("value", "lat or lon is missing or no number", device=device)
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        return rejected("value", "lat or lon out of range", device=device)

    observations: tuple[Observation, ...] = ()
    batt = o.get("batt")
    level = None if batt is None else float(batt) if type(batt) is int and 0 <= batt <= 100 else number(batt)
    get = o.get
    acc, worse = get("acc"), flags
    sigma_m: float | None
    attributes: dict[str, Value]
    # the hot path: small integers, as the apps write them, need no look at all
    odd = -1.0 < lat < 1.0 or lat == lon or lon == 0.0  # or else it is neither 0, 0 nor looks made
    if type(acc) is int and 0 < acc <= _SMALL:
        no_fix, sigma_m = odd and null_island(lat, lon), acc / R68_PER_SIGMA
    else:
        no_fix = null_island(lat, lon) or (number(acc) or 0.0) < 0.0
        sigma_m, said = accuracy(acc)
        worse += said
    if no_fix:
        flags = (*flags, "no_fix")
        observations = (
            Reading(device=device, time_ns=time_ns, time_source=source, flags=flags, quantity="fix_valid", value=False),
        )
    else:
        if odd and doubtful(lat, lon):
            sigma_m, worse = None, (*flags, *LOW_QUALITY)
        vel, cog, alt = get("vel"), get("cog"), get("alt")
        if type(vel) is not int or vel > _SMALL:
            vel = number(vel)
        if type(cog) is not int:
            cog = number(cog)
        if alt is not None:
            vac = get("vac")
            alt = number(alt) if vac is None or (number(vac) or 0.0) >= 0.0 else None
        trigger, tracker, connection = get("t"), get("tid"), get("conn")
        if type(trigger) is type(tracker) is type(connection) is str and kind == "location":
            attributes = {"t": trigger, "tid": tracker, "conn": connection}
        else:
            attributes = _attributes(o, kind)
        observations = (
            Fix(
                device=device,
                time_ns=time_ns,
                time_source=source,
                flags=worse,
                lat_deg=lat,
                lon_deg=lon,
                alt_m=alt,
                alt_ref="unknown" if alt is None else "msl",
                sigma_m=sigma_m,
                speed_mps=vel * KMH_MPS if vel is not None and vel >= 0.0 else None,
                course_deg=cog % 360.0 if cog is not None and 0.0 <= cog <= 360.0 else None,
                attributes=attributes,
            ),
        )
    if level is not None and 0.0 <= level <= 100.0:
        observations += (
            Reading(
                device=device, time_ns=time_ns, time_source=source, flags=flags, quantity="battery_level", value=level, unit="%"
            ),
        )
    return Decoded(observations=observations, device=device)


def _attributes(o: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        key: word
        for key in (_ATTRIBUTES if kind == "location" else _TRANSITION_ATTRIBUTES)
        if type(word := o.get(key)) is str and len(word) <= 200
    }


def _is_nobodys(topic: str) -> bool:
    """Whether a topic names no phone and no device: one of a gateway's own, on which it hands on what phones said elsewhere."""
    return bool(topic) and not topic.startswith("birddog/") and not phone_of(topic)


def _own_name(o: dict[str, Any]) -> str:
    """The identity that the object itself states: the topic that it was published to (HTTP mode, and what hands it on)."""
    topic = text(o.get("topic"))
    return device_of(topic) if "/" in topic else ""


def encode(
    *,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    accuracy_m: float | None = None,
    alt_m: float | None = None,
    speed_mps: float | None = None,
    course_deg: float | None = None,
    battery_percent: float | None = None,
    user_device: str = "",
    trigger: str = "u",
) -> bytes:
    """A ``location`` message as the phone writes it: whole seconds, metres and km/h.

    Args:
        accuracy_m: 68 % radius.
        user_device: the device's name; its last two characters become the tracker id.
    """
    o: dict[str, Any] = {"_type": "location", "lat": round(lat_deg, 7), "lon": round(lon_deg, 7), "tst": time_ns // NS}
    for key, value in (
        ("acc", accuracy_m),
        ("alt", alt_m),
        ("vel", None if speed_mps is None else speed_mps / KMH_MPS),
        ("cog", None if course_deg is None else course_deg % 360.0),
        ("batt", battery_percent),
    ):
        if value is not None:
            o[key] = max(round(value), 1) if key == "acc" else round(value)
    if o.get("cog") == 360:
        o["cog"] = 0
    o["t"], o["conn"], o["m"] = trigger, "m", 1
    if user_device:
        o["tid"] = user_device[-2:]
    return msgspec.json.encode(o)
