"""The tables of a scenario's TOML file, one struct each: who moves where, what each device is, what goes wrong with it.

Data only; ``sim.scenario`` reads the file, checks it and makes a world of it.  Positions are metres east and north of
``origin``; times are seconds since the start.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from birddog.units import ns_from_text

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


class Head(Table, frozen=True, kw_only=True):
    """``[scenario]``: ``start`` and ``duration_s`` hold for files; a live run begins now and goes on until stopped."""

    title: str
    origin: Point
    start: str
    duration_s: Positive = 1800.0


class Route(Table, frozen=True, kw_only=True):
    """``[[route]]``: a polyline in metres (east, north); closed: round for ever."""

    name: Name
    points: Annotated[tuple[Point, ...], msgspec.Meta(min_length=2)]
    closed: bool = True


class Stop(Table, frozen=True, kw_only=True):
    """A halt on the way: ``at_m`` metres along the route, once a lap."""

    at_m: NotNegative
    for_s: Positive


class ThingTable(Table, frozen=True, kw_only=True):
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


class Faults(Table, frozen=True, kw_only=True):
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


class DeviceTable(Table, frozen=True, kw_only=True):
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


class Phone(DeviceTable, frozen=True, kw_only=True):
    """``[[phone]]``: OwnTracks JSON over MQTT, under ``owntracks/USER/ID``, without a user ``birddog/v1/ID/owntracks``."""

    on: str
    user: str = ""
    sigma_m: Positive = 5.0
    battery: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 90.0


class Tracker(DeviceTable, frozen=True, kw_only=True):
    """``[[tracker]]``: a Teltonika tracker, codec 8 Extended over TCP; ``id`` is the IMEI.  ``batch`` records a packet."""

    on: str
    sigma_m: Positive = 5.0
    batch: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1


class Gps(DeviceTable, frozen=True, kw_only=True):
    """``[[gps]]``: an NMEA 0183 receiver (RMC, GGA and GST of a second) on a serial line."""

    on: str
    sigma_m: Positive = 3.0


class Ais(DeviceTable, frozen=True, kw_only=True):
    """``[[ais]]``: a class A transponder, heard by ``receiver``; ``id`` is the MMSI.  Name and type every ``static_s``."""

    on: str
    receiver: Name
    ship_name: str
    ship_type: Annotated[int, msgspec.Meta(ge=0, le=255)] = 70
    sigma_m: Positive = 5.0
    static_s: Positive = 60.0


class Epc(Table, frozen=True, kw_only=True):
    """``[[epc]]``: an RFID tag on an object; ``uri`` is its tag URI."""

    uri: Annotated[str, msgspec.Meta(pattern=r"^urn:epc:tag:(sgtin|sscc)-96:[0-9.]+$")]
    on: str


class Portal(DeviceTable, frozen=True, kw_only=True):
    """``[[portal]]``: an Impinj reader at a place, that reads every tag within ``range_m``, each ``interval_s``."""

    at: Point
    range_m: Positive = 15.0
    topic: str
    antennas: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2
    missed: Probability = 0.2


class Sensor(DeviceTable, frozen=True, kw_only=True):
    """``[[sensor]]``: a Modbus unit with a door contact, a light meter and a geophone at one place.

    Its door is open in the windows ``door`` (repeated every ``period_s``); the geophone feels what drives
    within ``range_m``.
    """

    at: Point
    range_m: Positive = 60.0
    unit: Annotated[int, msgspec.Meta(ge=1, le=247)] = 1
    door: tuple[Window, ...] = ()
    period_s: NotNegative = 0.0


class Camera(DeviceTable, frozen=True, kw_only=True):
    """``[[camera]]``: a SAR that looks at a square of the sea; a GeoTIFF each ``interval_s``, first at ``first_s``."""

    at: Point
    size_px: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 512
    pixel_m: Positive = 10.0
    first_s: NotNegative = 20.0
    looks: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    ship_db: float = 18.0


class OperationTable(Table, frozen=True, kw_only=True):
    """``[[operation]]``: a case; ``area`` a ring of points, not closed by hand."""

    id: Name
    name: str = ""
    area: tuple[Point, ...] = ()


class Attach(Table, frozen=True, kw_only=True):
    """``[[attach]]``: a device or a tag URI hidden in a shipment of an operation."""

    device: str
    shipment: str
    operation: str


class WarrantTable(Table, frozen=True, kw_only=True):
    """``[[warrant]]``: one that covers a device of an operation everywhere, until ``until_s``; ``rules`` names its pack."""

    id: Name
    device: str
    operation: str
    until_s: Positive
    rules: str = "uk-surveillance"


class Scenario(Table, frozen=True, kw_only=True):
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
