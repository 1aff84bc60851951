"""What makers' codecs make of a LoRaWAN device's bytes: its position, time, accuracy, battery and calls, by the names they use.

A network server (ChirpStack, The Things Stack) runs the maker's script on the payload and hands on an object whose names are
the maker's own.  Names are compared without case, underscores and the like (``latitudeDeg`` = ``Latitude_deg``).  A pair of
numbers is a position only where its names are a pair of the table, its values are numbers (or decimal text) and in range::

    maker, devices            position                        with it                                    file
    Digital Matter Oyster,    latitudeDeg longitudeDeg        fixFailed, headingDeg, speedKmph, batV;    oyster.js
      Yabby, G62                                              GpsCurrent false: an old one; gpsAccM      g62.js
    Abeeway, 2nd generation   gpsLatitude gpsLongitude        age in s, horizontalAccuracy in m,         asset-
                                                              rawPositionType (..._TIMEOUT: none),       tracker-2.js
                                                              sosFlag, gpsPrevious {age, latitude ...}
    Abeeway, 3rd generation   position.gnssFix.latitude ...   header.timestamp, EHPE in m, status, sos   asset-
                                                                                                         tracker-3.js
    Browan / TrackNet         Lat Long                        NoGNSSFix, GNSSerror, Battery in V,        objectlocator.js
                                                              PositionEstimate in m (512: over 256)
    Dragino TrackerD, LGT-92  Latitude Longitud(e), or        ALARM_status TRUE: the red button;         trackerd.js
                              Location "lat,lon"              BatV; hdop                                 lgt92.js
    SenseCAP T1000, T2000     messages[][] {type: Latitude,   timestamp in ms; 3000 Battery in %,        sensecapt1000-
                              measurementId: 4198}, 4197      4200 events (7: SOS)                       tracker-ab-...
    Milesight AT101           latitude longitude,             history[].timestamp in s; battery in %,    at101.js
                              history[] of the same           tamper_status uninstall
    Cayenne LPP, TTN Mapper   gps_1 {latitude, longitude}     altitude, hdop, accuracy, sats             (their pages)
    MOKO LW001, LW004         lat lon                         age in s, batterylevle "86%"               lw004.js
    RAKwireless RUI           latitude "46.9442°" ...         altitude "554.1m", battery "3.91V"         (devices.amounts)
    anybody                   lat lon, lat lng, latitude      timestamp, time ... in s, ms or ISO 8601
                              long, a GeoJSON Point, text
                              "lat,lon" (location, gps)

(files: TheThingsNetwork/lorawan-devices, vendor/MAKER; read 2026-11.)  LandAirSea and others whose scripts use these names are
read by them.  What looks like a position and is none of these is named in ``unread``.

* A stated time dates what stands beside or below it.  One that nobody can read (no zone, a count since power-on) dates nothing:
  the present fix then has the network's time and the flag ``no_fix_time``, a stored one is left out and named.
* Under history, log, stored, previous ..., and whatever is older than two minutes, is ``backlog``.
* A place that was typed in (geofence, configuration, gateway, beacon) or is the last known one (``cached``) is no fix.
* Accuracy is a 68 % radius in m.  0, less, text or beyond reason means that the device does not know: ``low_quality``
  (``devices.places``).  So are a position that looks made and a fix of 0 satellites; they have no sigma, whatever is stated.
* A speed without a unit in its name, and a battery of which nobody says whether it is V or %, are named, not read.

Over 400 lines: one table of makers and the walk that it needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from birddog.errors import DeviceError
from birddog.geo import null_island, valid_position
from birddog.model import Alarm, Fix, FixKind, Observation, Reading, Reject, TimeSource
from birddog.units import KMH_MPS, KNOT_MPS, NS, is_seconds, ns_from_text
from devices import codec
from devices.amounts import settled
from devices.clock import rollover, unset
from devices.places import LOW_QUALITY, accuracy, doubtful
from devices.strict_json import number

#: Objects and lists looked at in one message, and how deep.
MOST_NODES, MOST_DEPTH = 2_000, 12
#: Beside one of these ``age`` is that of the position in s: Abeeway, MOKO (lw004.js).
_AGED = frozenset(("rawpositiontype", "packtype"))
#: Older than this when it reached the network: stored and sent later.
BACKLOG_NS = 120 * NS
#: Abeeway's age saturates: this or older.
_MOST_AGE_S = 2040.0

_LONS = ("longitude", "longitud", "lon", "lng", "long")
#: What stands before "latitude" -> how it was found.
_PREFIXES: dict[str, FixKind] = dict.fromkeys(("", "gps", "gnss", "location", "position", "pos", "loc"), "gnss")
_PREFIXES |= {"wifi": "wifi", "cell": "cell"}
#: latitude's name -> (kind, the names of its longitude)
_PAIRS: dict[str, tuple[FixKind, tuple[str, ...]]] = {
    prefix + word + suffix: (kind, tuple(prefix + lon + suffix for lon in _LONS))
    for prefix, kind in _PREFIXES.items() for word in ("latitude", "lat") for suffix in ("", "deg", "degrees")
}
#: A fix that says how it was found says so under these names, in a word that begins so.
_KIND_NAMES = "rawpositiontype positiontype positionsource locationtype locationsource fixsource source".split()
_KIND_WORDS: dict[str, FixKind] = {
    "gps": "gnss", "gnss": "gnss", "agnss": "gnss", "lpgps": "gnss", "xgps": "gnss", "wifi": "wifi", "cell": "cell",
    "gsm": "cell", "lte": "cell", "ble": "gateway", "beacon": "gateway", "lora": "gateway", "tdoa": "gateway",
}  # fmt: skip
#: True, or a number other than 0: there is no fix.
_FAILED = """fixfailed nognssfix nogpsfix nofix gpsfixfailed gnssfixfailed positionfailed gpstimeout
             lastknown islastknown lastknownposition cached iscached stale""".split()
#: False, or 0: there is none.  Those of the second row say so only of coordinates that stand there.
_GOOD = """gpsvalid gnssvalid fixvalid positionvalid locationvalid validfix validgps hasfix gpsfix gpscurrent gpsfixok
           gnssfixok""".split()
_GOOD_OF_COORDINATES = "valid isvalid fix gnssfix".split()
#: Words that say how it went.
_STATUS_NAMES = """rawpositiontype positiontype positionstatus fixstatus fixquality gpsstatus gnssstatus fixtype gpsfixstatus
                   fixmode""".split()
_FAILURE = re.compile(
    r"timeout|fail|no[ _-]?(fix|signal|position)|not[ _-]?(fix|valid|locat|avail)|unavail|invalid|searching|locating",
    re.IGNORECASE,
)
_TIMES = """timestamp time datetime gpstime gnsstime fixtime utctime gpstimestamp gnsstimestamp positiontime positiontimestamp
            locationtime timeutc datetimeutc utc ts epoch unixtime unixtimestamp timestampms timestamputc collecttime recordedat
            measuredat""".split()
_ACCURACY = """horizontalaccuracy accuracy acc hacc gpsaccm gpsaccuracy gnssaccuracy accuracym ehpe eph positionestimate
               uncertainty positionaccuracy locationaccuracy""".split()
_SPEEDS = {"speedkmph": KMH_MPS, "speedkmh": KMH_MPS, "speedkph": KMH_MPS, "gpsspeedkmh": KMH_MPS, "speedmps": 1.0,
           "speedms": 1.0, "speedkn": KNOT_MPS, "speedknots": KNOT_MPS}
_COURSES = "headingdeg coursedeg heading course bearing cog".split()
_ALTITUDES = "altitude altitudem alt gpsaltitude elevation".split()
_SATELLITES = "satellites sats numbersatellitesused numsats satelliteused".split()
_VOLTS = "batv batteryvoltage batteryv vbat batvoltage".split()
_PERCENT = "batterylevel batterypercent batterypercentage batterypct batlevel batterylevle".split()
#: ``battery`` alone is V beside these (Browan), and % beside those (Milesight).
_BATTERY_IS_V = frozenset(("nognssfix", "positionestimate"))
_BATTERY_IS_PERCENT = frozenset(("history", "motionstatus", "geofencestatus", "tamperstatus", "wifiscanresult", "ipsoversion"))
#: Under these stands what is stored and was measured before.
_HISTORY = re.compile(r"histor|backlog|datalog|gpslog|stored|previous|\Apast|records|retransmi|\Alogs?\Z")
#: Under these stands a place that is not where the device was seen.
_ELSEWHERE = re.compile(r"geofence|geozone|config|setting|gateway|beacon|anchor|basestation|cached|lastknown|lastvalid|home"
                        r"|cent(er|re)\Z|target|destination|waypoint|reference|rxinfo|rxmetadata")
_LOOKS_LIKE_PLACE = re.compile(r"latit|longit|coordinates\Z")
#: Under these a position may stand as text, latitude first.
_TEXT_NAMES = "location position gps gnss latlng latlon latlong coordinates gpslocation gpsposition gpscoordinates".split()
_TEXT_PLACE = re.compile(r"\s*([+-]?\d{1,3}\.\d+)\s*,\s*([+-]?\d{1,3}\.\d+)\s*\Z", re.ASCII)
_FIRST_S, _LAST_S = 946_684_800, 4_102_444_800  # the years 2000 to 2099
_SENSECAP_SOS = 7
_TAMPERS = ("tamper", "tamperalarm", "tamperdetected")


class Read(NamedTuple):
    """What an object says; ``unread`` are names for ``Decoded.unread``."""

    observations: tuple[Observation, ...]
    rejects: tuple[Reject, ...]
    unread: tuple[str, ...]


def read(said: Any, *, device: str, time_ns: int | None, source: TimeSource) -> Read:
    """What a codec's object says of a device.

    Args:
        said: the object; anything else says nothing.
        time_ns, source: when the network heard the device, and who says so.
    """
    walk = _Walk(device, time_ns, source)
    walk.value(said, _Place())
    return walk.answer(bool(said))


def network_time(word: Any, received_ns: int | None) -> tuple[int | None, TimeSource]:
    """(ns, source) of the time that a network server states, RFC 3339; the reception's where it states none.

    Raises:
        DeviceError: value.
    """
    if word is None:
        return received_ns, "server"
    try:
        time_ns = ns_from_text(word) if type(word) is str and len(word) <= 60 and not is_seconds(word) else -1
    except (ValueError, OverflowError):
        time_ns = -1
    if not 0 < time_ns < _LAST_S * NS:
        raise DeviceError("value", "time is not RFC 3339")
    return time_ns, "gateway"


def best_rssi(heard: Any) -> float | None:
    """The level at the gateway that heard best; a key that is absent, or 0, is none (protobuf writes no zero)."""
    levels = [number(item.get("rssi")) for item in heard if type(item) is dict] if type(heard) is list else []
    return max((level for level in levels if level and -200.0 <= level <= 50.0), default=None)


def content(*parts: Any) -> bytes:
    """A hash of what was said: an identity of the delivery is none of the content, of which one delivery may bring several."""
    return hashlib.blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=16).hexdigest().encode()


def stated_time(value: Any) -> int | None:
    """ns UTC of POSIX seconds, milli-, micro- or nanoseconds, or ISO 8601 with an offset, of the years 2000 to 2099."""
    exact = value if type(value) is int else None
    count = number(value) if exact is None else exact
    if count is not None:
        for scale in (1, 1_000, 1_000_000, NS):
            if _FIRST_S * scale <= count < _LAST_S * scale:
                return exact * (NS // scale) if exact is not None else round(count * 1e3) * (NS // scale) // 1_000
        return None
    if type(value) is not str or len(value) > 40:
        return None
    try:
        time_ns = ns_from_text(value)
    except (ValueError, OverflowError):
        return None
    return time_ns if _FIRST_S * NS <= time_ns < _LAST_S * NS else None


class _Place(NamedTuple):
    """Where the walk stands."""

    depth: int = 0
    failed: bool = False
    stored: bool = False
    time_ns: int | None = None
    #: A time is stated and dates nothing.
    undated: bool = False
    #: It is one of several in a list, and nothing since dates it.
    many: bool = False


class _Walk:
    """One message's object, looked through from outside in."""

    def __init__(self, device: str, time_ns: int | None, source: TimeSource):
        self.device, self.time_ns, self.source = device, time_ns, source
        self.nodes = 0
        self.fixes: list[tuple[Fix, bool, bool]] = []  # (fix, it has a time of its own, it is one of several without)
        self.others: list[Observation] = []
        self.rejects: list[Reject] = []
        self.unread: dict[str, None] = {}
        self.none = False
        self.seen: set[str] = set()

    def answer(self, anything: bool) -> Read:
        dated = {(fix.lat_deg, fix.lon_deg) for fix, own, _ in self.fixes if own}
        several = sum(many for _, _, many in self.fixes) > 1
        fixes: list[Fix] = []
        kinds: set[FixKind] = set()
        for fix, own, many in self.fixes:
            if many and several:
                self.unread["object.undated_position"] = None  # it was somewhere, nobody knows when
                continue
            if not own:
                if (fix.lat_deg, fix.lon_deg) in dated:
                    continue  # the same stands beside it, dated
                if fix.fix in kinds:
                    self.unread["object.second_position"] = None
                    continue
                kinds.add(fix.fix)
            if fix not in fixes:
                fixes.append(fix)
        out: list[Observation] = [*fixes]
        if self.none and all("backlog" in fix.flags for fix in fixes):
            out.append(self.reading("fix_valid", False, flags=("no_fix",)))
        out += self.others
        if fixes or self.none:
            self.unread.pop("object.position", None)
        if anything and not out and not self.rejects and not self.unread:
            self.unread["object"] = None
        return Read(tuple(out), tuple(self.rejects), codec.unread(self.unread))

    def when(self, time_ns: int | None) -> dict[str, Any]:
        """The time of an observation: its own, or the network's."""
        return {"time_ns": self.time_ns, "time_source": self.source} if time_ns is None else {"time_ns": time_ns}

    def reading(self, quantity: str, value: Any, unit: str = "", *, flags: tuple[str, ...] = (),
                time_ns: int | None = None) -> Reading:
        return Reading(device=self.device, **self.when(time_ns), flags=flags, quantity=quantity, value=value, unit=unit)

    def value(self, value: Any, at: _Place) -> None:
        if type(value) is not dict and type(value) is not list:
            return
        self.nodes += 1
        if self.nodes > MOST_NODES or at.depth > MOST_DEPTH:
            self.unread["object.size"] = None
        elif type(value) is dict:
            self.object(value, at)
        elif any(type(item) is dict and "measurementValue" in item for item in value):
            self.measurements([item for item in value if type(item) is dict], at)
        else:
            for item in value:
                self.value(item, at._replace(depth=at.depth + 1, many=at.many or len(value) > 1))

    def object(self, o: dict[str, Any], at: _Place) -> None:
        names: dict[str, Any] = {}
        for key, value in o.items():
            names.setdefault(_plain(key), value)
        names = settled(names)
        at = self.dated(names, at)
        coordinates = self.coordinates(names)
        status = names.get("status") if any(name in names for name in _KIND_NAMES[:2]) else None
        failed = any(_truth(names.get(name)) is True for name in _FAILED)
        failed |= any(_truth(names.get(name)) is False for name in _GOOD)
        words = [*(names.get(name) for name in (*_STATUS_NAMES, *_GOOD)), *_beside(names, "quality").values(), status]
        failed |= any(_FAILURE.search(word) is not None for word in words if type(word) is str)
        if failed and not at.stored:
            self.none = True
        failed |= any(_truth(names.get(name)) is False for name in _GOOD_OF_COORDINATES)
        at = at._replace(failed=at.failed or failed)
        if coordinates is not None:
            self.position(names, at, *coordinates)
        self.battery(names)
        self.calls(names, at)
        for key, value in names.items():
            if _ELSEWHERE.search(key):
                continue
            if _HISTORY.search(key):
                self.value(value, _Place(depth=at.depth + 1, stored=True))
            else:
                self.value(value, at._replace(depth=at.depth + 1))
            if coordinates is None and _LOOKS_LIKE_PLACE.search(key) and value not in (None, ""):
                self.unread["object.position"] = None

    def dated(self, names: dict[str, Any], at: _Place) -> _Place:
        """The place with the time that is stated here, or in a ``header`` beside."""
        for said in (names, _beside(names, "header")):
            for name in _TIMES:
                word = said.get(name)
                if word is None or type(word) is dict or type(word) is list or word == 0 or word == "":
                    continue
                time_ns = stated_time(word)
                if time_ns is None or unset(time_ns, self.time_ns):
                    if number(word) is None:
                        self.unread["object.time"] = None
                    return at._replace(time_ns=None, undated=True)
                return at._replace(time_ns=time_ns, undated=False, many=False)
        age_s = number(names.get("age"))
        if age_s is not None and self.time_ns is not None and 0.0 < age_s < 1e7 and (_AGED & names.keys() or at.stored):
            if age_s >= _MOST_AGE_S and "rawpositiontype" in names:
                return at._replace(time_ns=None, stored=True)
            return at._replace(time_ns=self.time_ns - round(age_s * NS), undated=False, many=False)  # by the network's clock
        return at

    def coordinates(self, names: dict[str, Any]) -> tuple[FixKind, Any, Any] | None:
        """(kind, latitude, longitude) as written, where a pair of names stands; None where none does."""
        for name in names:
            if name in _PAIRS:
                kind, lons = _PAIRS[name]
                found = [lon for lon in lons if lon in names]
                lon = next((lon for lon in found if number(names[lon]) is not None), found[0] if found else None)
                text = names.get("location")
                pair = _TEXT_PLACE.match(text) if type(text) is str else None
                if lon is not None and (number(names[lon]) is not None or names[lon] is None):
                    return kind, names[name], names[lon]
                if pair is not None and number(names[name]) == float(pair[1]):  # Dragino, port 4
                    return kind, pair[1], pair[2]
        for name in _TEXT_NAMES:
            pair = _TEXT_PLACE.match(text) if type(text := names.get(name)) is str else None
            if pair is not None:
                return "gnss", pair[1], pair[2]
        where = names.get("coordinates")
        if names.get("type") == "Point" and type(where) is list and 2 <= len(where) <= 3:  # GeoJSON, RFC 7946, section 3.1.2
            return "gnss", where[1], where[0]
        return None

    def position(self, names: dict[str, Any], at: _Place, kind: FixKind, lat: Any, lon: Any) -> None:
        lat_deg, lon_deg = number(lat), number(lon)
        if lat is None or lon is None or at.failed:
            self.none = self.none or not at.stored
            return
        if lat_deg is None or lon_deg is None:
            self.unread["object.position"] = None
            return
        if null_island(lat_deg, lon_deg):
            self.none = self.none or not at.stored
            return
        if not valid_position(lat_deg, lon_deg):
            self.rejects.append(Reject("value", "latitude or longitude out of range", device=self.device))
            return
        if at.time_ns is None and at.stored:
            self.unread["object.undated_position"] = None
            return
        sigma_m, flags = accuracy(next((names[name] for name in _ACCURACY if names.get(name) is not None), None))
        satellites, hdop = _first(names, _SATELLITES), number(names.get("hdop"))
        worse = _truth(names.get("gnsserror")) is True or _first(names, ("positionestimate",)) == 512.0
        if worse or satellites == 0.0 or doubtful(lat_deg, lon_deg):
            sigma_m, flags = None, LOW_QUALITY
        own = at.time_ns is not None
        if at.stored or (at.time_ns is not None and self.time_ns is not None and self.time_ns - at.time_ns > BACKLOG_NS):
            flags = (*((at.time_ns is not None and rollover(at.time_ns, self.time_ns)) or ("backlog",)), *flags)
        if at.undated:
            flags = ("no_fix_time", *flags)
        words = [_plain(names[name]) for name in _KIND_NAMES if type(names.get(name)) is str]
        kind = next((k for word in words for start, k in _KIND_WORDS.items() if word.startswith(start)), kind)
        attributes: dict[str, Any] = {"hdop": hdop} if hdop is not None and hdop > 0.0 else {}
        if satellites is not None and satellites >= 0.0:
            attributes["satellites"] = satellites
        fix = Fix(
            device=self.device, **self.when(at.time_ns), flags=flags, lat_deg=lat_deg, lon_deg=lon_deg,
            alt_m=_first(names, _ALTITUDES), sigma_m=sigma_m, speed_mps=self.speed(names), course_deg=_course(names), fix=kind,
            attributes=attributes,
        )  # fmt: skip
        self.fixes.append((fix, own, at.many))

    def speed(self, names: dict[str, Any]) -> float | None:
        for name, factor in _SPEEDS.items():
            said = number(names.get(name))
            if said is not None:
                return said * factor if said >= 0.0 else None
        if number(names.get("speed")):
            self.unread["object.speed"] = None
        return None

    def battery(self, names: dict[str, Any]) -> None:
        volts = [names[name] for name in _VOLTS if names.get(name) is not None]
        shares = [names[name] for name in _PERCENT if names.get(name) is not None]
        bare = names.get("battery")
        if bare is not None:
            (volts if _BATTERY_IS_V & names.keys() else shares if _BATTERY_IS_PERCENT & names.keys() else []).append(bare)
            if number(bare) is not None and not volts and not shares:
                self.unread["object.battery"] = None
        self.first("battery_voltage", volts, 0.0, 100.0, "V")
        self.first("battery_level", shares, 0.0, 100.0, "%")

    def first(self, quantity: str, said: list[Any], low: float, high: float, unit: str, time_ns: int | None = None) -> None:
        """The first of a quantity in a message; no number (``CHARGING``) says nothing, one out of range is named."""
        value = next((n for word in said if (n := number(word)) is not None), None)
        if value is None or quantity in self.seen:
            return
        if not low <= value <= high or (value == 0.0 and unit == "V"):
            self.unread["object.battery"] = None
            return
        self.seen.add(quantity)
        self.others.append(self.reading(quantity, value, unit, time_ns=time_ns))

    def calls(self, names: dict[str, Any], at: _Place) -> None:
        if at.stored:
            return
        if any(_truth(names.get(name)) is True for name in ("sos", "sosflag", "alarmstatus")):
            self.alarm("sos", None)
        if names.get("tamperstatus") == "uninstall" or any(_truth(names.get(name)) is True for name in _TAMPERS):
            self.alarm("tamper", None)
        if _truth(names.get("mandown")) is True:
            self.unread["object.man_down"] = None
        for name, part in (("wifi", "object.wifi_scan"), ("wifiscan", "object.wifi_scan"), ("blescan", "object.ble_scan")):
            if type(names.get(name)) is list and names[name]:
                self.unread[part] = None

    def alarm(self, what: str, time_ns: int | None) -> None:
        alarm = Alarm(device=self.device, **self.when(time_ns), alarm=what)
        if alarm not in self.others:
            self.others.append(alarm)

    def measurements(self, items: list[dict[str, Any]], at: _Place) -> None:
        """One frame of SenseCAP's: a list of {measurementId, type, measurementValue, timestamp}."""
        groups: dict[Any, dict[str, Any]] = {}
        for item in items:
            stamp = item.get("timestamp")
            kind, ident = item.get("type"), str(item.get("measurementId", ""))
            if type(kind) is not str or type(stamp) not in (int, float, str, type(None)):
                continue
            value, group = item.get("measurementValue"), groups.setdefault(stamp, {})
            if (kind, ident) in (("Latitude", "4198"), ("Longitude", "4197"), ("Latitude", ""), ("Longitude", "")):
                group[kind.lower()] = value
            elif kind == "Battery" and ident in ("3000", ""):
                group["battery"] = value
            elif kind == "Event Status":
                group["events"] = value
            elif kind in ("Wi-Fi Scan", "BLE Scan") and value:
                self.unread["object.wifi_scan" if kind[0] == "W" else "object.ble_scan"] = None
            elif ident == "3576":  # positioning status, sent where there is no position
                self.none = True
        for stamp, group in groups.items():
            there = self.dated({"timestamp": stamp}, at)
            if "latitude" in group and "longitude" in group:
                self.position(group, there, "gnss", group["latitude"], group["longitude"])
            if "battery" in group:
                self.first("battery_level", [group["battery"]], 0.0, 100.0, "%", there.time_ns)
            events = group.get("events")
            for event in events if type(events) is list else ():
                if type(event) is dict and number(event.get("id")) == _SENSECAP_SOS:
                    self.alarm("sos", there.time_ns)


def _plain(key: str) -> str:
    """A name without case and punctuation; one of more than 60 characters is nobody's."""
    return re.sub(r"[^a-z0-9]", "", key.lower()) if len(key) <= 60 else ""


def _truth(value: Any) -> bool | None:
    """What a flag says: a bool, 0 or 1, or such a word; None where it is none."""
    if type(value) is bool:
        return value
    count = number(value)
    if count is not None:
        return count != 0.0
    word = value.lower() if type(value) is str else ""
    return True if word in ("true", "yes") else False if word in ("false", "no", "invalid", "none") else None


def _course(names: dict[str, Any]) -> float | None:
    for name in _COURSES:
        said = number(names.get(name))
        if said is not None and not (name == "cog" and "ehpe" in names):  # Abeeway's is in steps that nobody documents
            return said % 360.0 if 0.0 <= said <= 360.0 else None
    return None


def _beside(names: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under a name, its own names made plain; empty where it is none."""
    said = names.get(name)
    return {_plain(key): value for key, value in said.items()} if type(said) is dict else {}


def _first(names: dict[str, Any], wanted: Sequence[str]) -> float | None:
    """The first number under any of these names."""
    return next((found for name in wanted if (found := number(names.get(name))) is not None), None)
