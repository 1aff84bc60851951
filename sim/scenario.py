"""A scenario: one typed TOML file, and what must be enrolled so that its devices are known.

The file says who moves where (``[[route]]``, ``[[thing]]``), what each device is and hangs on (one table a kind
of device), what goes wrong with it (``faults``) and how it is registered (``[[operation]]``, ``[[attach]]``).
A key that does not exist is refused with file, line and the nearest right one (birddog.config).
Positions are metres east and north of ``origin``; times are seconds since the start.
"""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import msgspec

from birddog import config, rules
from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.model import Attachment, Body, Device, Operation, Placement, WarrantAct
from birddog.units import NS, iso_from_ns, ns_from_text
from birddog.warrant_json import json_of, warrant_of
from sim.scenario_check import Checker
from sim.world import Halt, Mover, Path, Thing, World, stream

Transport = Literal["mqtt", "tcp", "udp", "pty", "modbus", "scenes"]
Point = tuple[float, float]
Window = tuple[float, float]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Interval = Annotated[float, msgspec.Meta(ge=0.01)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^[^\s/+#\x00]+$")]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Head(Table, kw_only=True):
    """``[scenario]``: ``start`` and ``duration_s`` hold for files; a live run begins now and goes on until stopped."""

    title: str
    origin: Point
    start: str
    duration_s: Positive = 1800.0


class Route(Table, kw_only=True):
    """``[[route]]``: a polyline in metres (east, north); closed: round for ever."""

    name: Name
    points: Annotated[tuple[Point, ...], msgspec.Meta(min_length=2)]
    closed: bool = True


class Stop(Table, kw_only=True):
    """A halt on the way: ``at_m`` metres along the route, once a lap."""

    at_m: NotNegative
    for_s: Positive


class ThingTable(Table, kw_only=True):
    """``[[thing]]``: an object.  ``aboard`` another until ``leaves_s``, then on its own route from there."""

    name: Name
    klass: Literal["walker", "van", "lorry", "vessel", "aircraft", "parcel"]
    route: str
    speed_mps: NotNegative
    start_m: NotNegative = 0.0
    stops: tuple[Stop, ...] = ()
    aboard: str = ""
    leaves_s: NotNegative = 0.0
    length_m: Positive = 5.0
    beam_m: Positive = 2.0


class Faults(Table, kw_only=True):
    """What goes wrong on the way (sim.faults); probabilities a message.

    ``silent``: windows in which nothing is sent; ``buffered``: windows whose messages come late, all at
    once, after the window.  ``period_s`` repeats the windows (0: once).
    """

    loss: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    truncate: Probability = 0.0
    bit_flip: Probability = 0.0
    garbage: Probability = 0.0
    outlier: Probability = 0.0
    outlier_m: Positive = 2000.0
    silent: tuple[Window, ...] = ()
    buffered: tuple[Window, ...] = ()
    period_s: NotNegative = 0.0


class DeviceTable(Table, kw_only=True):
    """What every device has: its identity ``id``, how it is enrolled, and what goes wrong with it.

    Args:
        interval_s: seconds between reports.
        clock_error_s: the device's clock is this much ahead.
    """

    id: Name
    name: str = ""
    owner: str = ""
    basis: Literal["warrant", "open", "partner", "own_sensor"] = "warrant"
    transport: Transport
    interval_s: Interval = 10.0
    clock_error_s: float = 0.0
    faults: Faults = Faults()


class Phone(DeviceTable, kw_only=True):
    """``[[phone]]``: OwnTracks JSON over MQTT, under ``owntracks/USER/ID``, without a user ``birddog/v1/ID/owntracks``."""

    on: str
    user: str = ""
    sigma_m: Positive = 5.0
    battery: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 90.0


class Tracker(DeviceTable, kw_only=True):
    """``[[tracker]]``: a Teltonika tracker, codec 8 Extended over TCP; ``id`` is the IMEI.  ``batch`` records a packet."""

    on: str
    sigma_m: Positive = 5.0
    batch: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1


class Gps(DeviceTable, kw_only=True):
    """``[[gps]]``: an NMEA 0183 receiver (RMC, GGA and GST of a second) on a serial line."""

    on: str
    sigma_m: Positive = 3.0


class Ais(DeviceTable, kw_only=True):
    """``[[ais]]``: a class A transponder, heard by ``receiver``; ``id`` is the MMSI.  Name and type every ``static_s``."""

    on: str
    receiver: Name
    ship_name: str
    ship_type: Annotated[int, msgspec.Meta(ge=0, le=255)] = 70
    sigma_m: Positive = 5.0
    static_s: Positive = 60.0


class Epc(Table, kw_only=True):
    """``[[epc]]``: an RFID tag on an object; ``uri`` is its tag URI."""

    uri: Annotated[str, msgspec.Meta(pattern=r"^urn:epc:tag:(sgtin|sscc)-96:[0-9.]+$")]
    on: str


class Portal(DeviceTable, kw_only=True):
    """``[[portal]]``: an Impinj reader at a place, that reads every tag within ``range_m``, each ``interval_s``."""

    at: Point
    range_m: Positive = 15.0
    topic: str
    antennas: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2
    missed: Probability = 0.2


class Sensor(DeviceTable, kw_only=True):
    """``[[sensor]]``: a Modbus unit with a door contact, a light meter and a geophone at one place.

    Its door is open in the windows ``door`` (repeated every ``period_s``); the geophone feels what drives
    within ``range_m``.
    """

    at: Point
    range_m: Positive = 60.0
    unit: Annotated[int, msgspec.Meta(ge=1, le=247)] = 1
    door: tuple[Window, ...] = ()
    period_s: NotNegative = 0.0


class Camera(DeviceTable, kw_only=True):
    """``[[camera]]``: a SAR that looks at a square of the sea; a GeoTIFF each ``interval_s``, first at ``first_s``."""

    at: Point
    size_px: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 512
    pixel_m: Positive = 10.0
    first_s: NotNegative = 20.0
    looks: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    ship_db: float = 18.0


class OperationTable(Table, kw_only=True):
    """``[[operation]]``: a case; ``area`` a ring of points, not closed by hand."""

    id: Name
    name: str = ""
    area: tuple[Point, ...] = ()


class Attach(Table, kw_only=True):
    """``[[attach]]``: a device or a tag URI hidden in a shipment of an operation."""

    device: str
    shipment: str
    operation: str


class WarrantTable(Table, kw_only=True):
    """``[[warrant]]``: one that covers a device of an operation everywhere, until ``until_s``; ``rules`` names its pack."""

    id: Name
    device: str
    operation: str
    until_s: Positive
    rules: str = "uk-surveillance"


class Scenario(Table, kw_only=True):
    """The whole file."""

    scenario: Head
    route: tuple[Route, ...]
    thing: tuple[ThingTable, ...]
    phone: tuple[Phone, ...] = ()
    tracker: tuple[Tracker, ...] = ()
    gps: tuple[Gps, ...] = ()
    ais: tuple[Ais, ...] = ()
    epc: tuple[Epc, ...] = ()
    portal: tuple[Portal, ...] = ()
    sensor: tuple[Sensor, ...] = ()
    camera: tuple[Camera, ...] = ()
    operation: tuple[OperationTable, ...] = ()
    attach: tuple[Attach, ...] = ()
    warrant: tuple[WarrantTable, ...] = ()

    def devices(self) -> list[DeviceTable]:
        """Every device that sends, in the order of the kinds."""
        return [*self.phone, *self.tracker, *self.gps, *self.ais, *self.portal, *self.sensor, *self.camera]

    @property
    def start_ns(self) -> int:
        """The fixed start that files have."""
        return ns_from_text(self.scenario.start)


def names() -> list[str]:
    """The scenarios that come with the program."""
    folder = resources.files("sim").joinpath("scenarios")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load(name: str) -> Scenario:
    """A scenario by its name, or from a TOML file of one's own.

    Raises:
        UsageError, ConfigError: there is none, or it is wrong; file, line and key are named.
    """
    path = FilePath(name)
    if name.endswith(".toml"):
        if not path.is_file():
            raise UsageError("there is no such file", file=name)
        text, file = config.read(path), name
    elif name in names():
        text = resources.files("sim").joinpath("scenarios", f"{name}.toml").read_text(encoding="utf-8")
        file = f"{name}.toml"
    else:
        raise UsageError(f"no scenario {name!r}; there are: {', '.join(names())}, or give a .toml file")
    return loads(text, file=file)


def loads(text: str, *, file: str) -> Scenario:
    """``load`` from text; ``file`` leads the messages."""
    scenario = config.loads(text, Scenario, file=file)
    Checker(scenario, text, file).check()
    return scenario


def build(s: Scenario, seed: int) -> World:
    """The world of a scenario: the truth of a seed."""
    frame = LocalFrame(lat_deg=s.scenario.origin[0], lon_deg=s.scenario.origin[1])
    routes = {r.name: r for r in s.route}
    things: dict[str, Thing] = {}
    for row in s.thing:
        ride = things[row.aboard] if row.aboard else None
        things[row.name] = Thing(
            row.name, row.klass, _mover_maker(row, routes[row.route], seed), length_m=row.length_m, beam_m=row.beam_m,
            ride=ride, leaves_s=row.leaves_s if ride is not None else -math.inf,
        )  # fmt: skip
    return World(frame, things)


def _mover_maker(row: ThingTable, route: Route, seed: int):
    def make(left: tuple[float, float] | None) -> Mover:
        points = list(route.points) if left is None else [left, *route.points]
        return Mover(
            Path(points, closed=route.closed and left is None), speed_mps=row.speed_mps, start_m=row.start_m,
            halts=tuple(Halt(h.at_m, h.for_s) for h in row.stops), klass=row.klass, rng=stream(seed, "thing", row.name),
        )  # fmt: skip

    return make


def registers(s: Scenario, start_ns: int) -> list[Body]:
    """What must be enrolled before the first message, in order: operations, devices, placements, attachments."""
    frame = LocalFrame(lat_deg=s.scenario.origin[0], lon_deg=s.scenario.origin[1])
    klass = {t.name: t.klass for t in s.thing}
    out: list[Body] = []
    for o in s.operation:
        ring = [frame.geodetic(*p)[::-1] for p in o.area]
        out.append(Operation(operation=o.id, name=o.name, area=tuple(ring + ring[:1])))
    receivers: set[str] = set()
    for d in s.devices():
        if isinstance(d, Camera):
            continue  # a scan names its sensor itself
        if isinstance(d, Ais) and d.receiver not in receivers:
            receivers.add(d.receiver)
            out.append(Device(device=d.receiver, name="AIS receiver", format="ais", basis="own_sensor", interval_s=10.0))
        out.append(Device(
            device=d.id, name=d.name, owner=d.owner, format=FORMATS[type(d)], basis=d.basis,
            interval_s=REPORT_S.get(type(d), d.interval_s), klass=klass.get(getattr(d, "on", ""), ""), topics=topics(d),
        ))  # fmt: skip
    for d in (*s.portal, *s.sensor):
        lat, lon = frame.geodetic(*d.at)
        out.append(Placement(device=d.id, lat_deg=lat, lon_deg=lon, range_m=d.range_m, name=d.name, from_ns=0))
    for e in s.epc:
        out.append(Device(device=e.uri, name="", format="epc", basis="warrant", interval_s=3600.0, klass=klass[e.on]))
    for a in s.attach:
        out.append(Attachment(device=a.device, shipment=a.shipment, operation=a.operation, from_ns=start_ns - 60 * NS))
    for w in s.warrant:
        out += _acts(w, start_ns)
    return out


def _acts(w: WarrantTable, start_ns: int) -> list[WarrantAct]:
    """A warrant of an exercise: entered by one, approved by another, its device installed."""
    begins_ns, said = (start_ns // NS - 60) * NS, "exercise"  # whole seconds: as the JSON has them
    texts = ("authority", "applicant", "offence", "purpose", "object", "necessity", "proportionality", "collateral_intrusion",
             "confidential_information", "product_keeper", "product_reviewer", "retrieval_authority")
    warrant = dict.fromkeys(texts, said) | {
        "id": w.id, "device": w.device, "kind": "property_interference", "jurisdiction": None, "issued": iso_from_ns(begins_ns),
        "install_by": iso_from_ns(begins_ns), "use_from": iso_from_ns(begins_ns),
        "use_until": iso_from_ns(start_ns + int(w.until_s * NS)), "premises": [{"kind": "vehicle", "place": said}],
        "retrieval_premises": [{"kind": "public", "place": said}],
    }  # fmt: skip
    text = rules.text_of(w.rules)
    warrant_of(warrant, rules.pack_of(text))

    def act(action: Any, by: str, **words: Any) -> WarrantAct:
        return WarrantAct(warrant=w.id, action=action, by=by, operation=w.operation, **words)

    return [act("add", "officer", said=json_of(warrant), pack=text), act("approve", "duty lawyer"),
            act("install", "officer", device=w.device, at_ns=begins_ns)]


#: The format that each kind of device speaks.
FORMATS: dict[type, str] = {
    Phone: "owntracks", Tracker: "teltonika", Gps: "nmea", Ais: "ais", Portal: "impinj", Sensor: "modbus", Camera: "scene",
}  # fmt: skip
#: Readers speak only when there is something to read: their silence means nothing.
REPORT_S: dict[type, float] = {Portal: 3600.0}


def topics(d: DeviceTable) -> tuple[str, ...]:
    """The MQTT topics that a device needs leave for when it is enrolled."""
    if isinstance(d, Phone) and d.user:
        return (f"owntracks/{d.user}/{d.id}",)
    if isinstance(d, Portal):
        return (d.topic,)
    return ()
