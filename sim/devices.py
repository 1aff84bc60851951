"""The device models: what each kind of device would say of the truth, in its own bytes.

A model is a generator of emissions in the order of their time.  It measures the world at a second, adds its noise,
its clock's error and now and then an outlier, and writes the message with its format's own ``encode``.  Each device
has a random stream of its own (sim.world.stream).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from birddog.units import NS, R68_PER_SIGMA
from sim import faults, sensor_map, wire
from sim.emission import Emission
from sim.measured import Measured
from sim.tables import Ais, Camera, DeviceTable, Gps, Phone, Portal, Scenario, Sensor, Tracker, topics
from sim.world import World, stream

#: The first report comes within so many seconds, so that the map is not empty.
FIRST_S = 3.0


def _beats(d: DeviceTable, rng: random.Random) -> Iterator[float]:
    """The seconds at which a device reports: its interval, a phase of its own and a little jitter."""
    first = rng.uniform(0.2, min(d.interval_s, FIRST_S))
    k = 0
    while True:
        yield first + k * d.interval_s + rng.uniform(0.0, min(0.05 * d.interval_s, 0.5))
        k += 1


def _device_ns(d: DeviceTable, start_ns: int, t_s: float) -> int:
    return start_ns + int((t_s + d.clock_error_s) * NS)


def phone(d: Phone, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """OwnTracks: whole seconds, accuracy as a 68 % radius, battery falling by 1 % in ten minutes."""
    topic = (topics(d) or (f"birddog/v1/{d.id}/owntracks",))[0]
    for t_s in _beats(d, rng):
        time_s = math.floor(start_ns / NS + t_s + d.clock_error_s)
        measured_s = time_s - start_ns / NS - d.clock_error_s  # the phone states whole seconds: it measured then
        m = Measured(world, d.on, measured_s, d.sigma_m, rng, d.faults)
        payload = wire.owntracks(
            lat_deg=m.lat_deg, lon_deg=m.lon_deg, time_ns=time_s * NS, accuracy_m=m.sigma_m * R68_PER_SIGMA,
            speed_mps=m.speed_mps, course_deg=m.course_deg, battery_percent=max(d.battery - t_s / 600.0, 1.0), user_device=d.id,
        )  # fmt: skip
        yield Emission(
            at_ns=int(t_s * NS), device=d.id, stream=d.id, transport=d.transport, format="owntracks", channel=topic,
            payload=payload,
        )  # fmt: skip


def tracker(d: Tracker, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """Teltonika codec 8 Extended: the login first, then ``batch`` records a packet."""
    yield Emission(at_ns=0, device=d.id, stream=d.id, transport=d.transport, format="teltonika", login=True,
                   payload=wire.teltonika_login(d.id))
    records: list[tuple[int, Measured, int, float]] = []
    for t_s in _beats(d, rng):
        m = Measured(world, d.on, t_s, d.sigma_m, rng, d.faults)
        volt = max(4.1 - t_s / 36_000.0, 3.4)
        records.append((_device_ns(d, start_ns, t_s), m, rng.randint(6, 14), volt))
        if len(records) >= d.batch:
            yield Emission(
                at_ns=int(t_s * NS), device=d.id, stream=d.id, transport=d.transport, format="teltonika",
                payload=wire.teltonika(records), records=len(records),
            )  # fmt: skip
            records = []


def gps(d: Gps, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """NMEA 0183: RMC, GGA and GST of a whole second, just after it."""
    first_ns = (start_ns // NS + 1) * NS  # the next whole second of UTC
    k = 0
    while True:
        time_ns = first_ns + int(k * d.interval_s * NS)
        t_s = (time_ns - start_ns) / NS
        m = Measured(world, d.on, t_s, d.sigma_m, rng, d.faults)
        yield Emission(
            at_ns=int((t_s + 0.12) * NS), device=d.id, stream=d.id, transport=d.transport, format="nmea",
            payload=wire.nmea(time_ns=time_ns + int(d.clock_error_s * NS), m=m, satellites=rng.randint(7, 12)),
        )  # fmt: skip
        k += 1


def ais(d: Ais, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """Class A: a position of a whole second each interval, name and type every ``static_s``; as the receiver hands it on."""
    length, beam = next((t.length_m, t.beam_m) for t in s.thing if t.name == d.on)
    static_due, sequence = 0.0, rng.randrange(10)
    for t_s in _beats(d, rng):
        time_ns = _device_ns(d, start_ns, t_s) // NS * NS
        measured_s = (time_ns - start_ns) / NS - d.clock_error_s
        m = Measured(world, d.on, measured_s, d.sigma_m, rng, d.faults)
        sent = [wire.ais_position(mmsi=int(d.id), time_ns=time_ns, m=m, receiver=d.receiver)]
        if t_s >= static_due:
            static_due, sequence = t_s + d.static_s, (sequence + 1) % 10
            sent.append(wire.ais_static(
                mmsi=int(d.id), time_ns=time_ns, name=d.ship_name, ship_type=d.ship_type, length_m=length, beam_m=beam,
                sequence=sequence, receiver=d.receiver,
            ))  # fmt: skip
        for payload in sent:
            yield Emission(at_ns=int(t_s * NS), device=d.id, stream=d.receiver, transport=d.transport, format="ais",
                           payload=payload)


def portal(d: Portal, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """Impinj: one message a read, of every tag that is near; some reads are missed."""
    for t_s in _beats(d, rng):
        yield Emission(at_ns=int(t_s * NS), device=d.id, stream=d.id, transport=d.transport, format="impinj", idle=True)
        for tag in s.epc:
            e, n = world.things[tag.on].en(t_s)[:2]
            away_m = math.hypot(e - d.at[0], n - d.at[1])
            if away_m > d.range_m or rng.random() < d.missed:
                continue
            payload = wire.impinj(
                reader=d.id, time_ns=_device_ns(d, start_ns, t_s), epc_uri=tag.uri, antenna=rng.randint(1, d.antennas),
                rssi_dbm=round(-45.0 - 25.0 * math.log10(max(away_m, 1.0)) + rng.gauss(0.0, 2.0), 1),
            )  # fmt: skip
            yield Emission(at_ns=int(t_s * NS), device=d.id, stream=d.id, transport=d.transport, format="impinj",
                           channel=d.topic, payload=payload)


def sensor(d: Sensor, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """Modbus: what the holding registers of the unit hold (sim.sensor_map draws the map)."""
    k = 0
    while True:
        t_s = k * d.interval_s
        door = faults.inside(d.door, t_s, d.period_s) is not None
        shake = abs(rng.gauss(0.05, 0.02))
        for name in world.visible(t_s):
            e, n, ve, vn = world.things[name].en(t_s)
            away = math.hypot(e - d.at[0], n - d.at[1]) / d.range_m
            heavy = SHAKE_MM_S.get(world.things[name].klass, 0.0) * min(math.hypot(ve, vn) / 5.0, 1.0)
            shake += heavy / (1.0 + 3.0 * away * away)
        words = sensor_map.words(sensor_map.SensorValues(
            door_open=door, light=door, seismic_mm_s=shake, battery_volt=max(3.6 - t_s / 360_000.0, 3.0),
            temperature_c=7.0 - 3.0 * math.sin(t_s / 3600.0) + rng.gauss(0.0, 0.1),
            illuminance_lux=(180.0 if door else 0.4) * rng.uniform(0.95, 1.05),
        ))  # fmt: skip
        yield Emission(
            at_ns=int(t_s * NS), device=d.id, stream=d.id, transport=d.transport, format="modbus", unit=d.unit,
            registers=tuple(enumerate(words)), payload=wire.modbus(unit=d.unit, words=words),
        )  # fmt: skip
        k += 1


def camera(d: Camera, s: Scenario, world: World, start_ns: int, rng: random.Random) -> Iterator[Emission]:
    """SAR: a scene each interval, handed on two seconds after it was taken."""
    import numpy as np

    from sim import scenes

    lat, lon = world.frame.geodetic(*d.at)
    grid = scenes.grid_about(lat_deg=lat, lon_deg=lon, size_px=d.size_px, pixel_m=d.pixel_m)
    noise = np.random.default_rng(rng.getrandbits(64))
    k = 0
    while True:
        t_s = d.first_s + k * d.interval_s
        time_ns = _device_ns(d, start_ns, t_s)
        pixels = scenes.amplitude(world, grid, t_s, looks=d.looks, ship_db=d.ship_db, rng=noise)
        yield Emission(
            at_ns=int((t_s + 2.0) * NS), device=d.id, stream=d.id, transport=d.transport, format="scene",
            channel=scenes.file_name(d.id, time_ns), payload=scenes.geotiff(pixels, grid, time_ns, d.id),
        )  # fmt: skip
        k += 1


#: What a geophone feels of a thing that drives over it, mm/s.
SHAKE_MM_S = {"lorry": 4.0, "van": 1.5, "walker": 0.05}

#: kind of device -> its model.
MODELS: dict[type, object] = {
    Phone: phone, Tracker: tracker, Gps: gps, Ais: ais, Portal: portal, Sensor: sensor, Camera: camera,
}  # fmt: skip


def emissions(d: DeviceTable, s: Scenario, world: World, seed: int, start_ns: int) -> Iterator[Emission]:
    """All that one device sends, for ever, with what goes wrong on the way."""
    model = MODELS[type(d)]
    sent = model(d, s, world, start_ns, stream(seed, "device", d.id))  # type: ignore[operator]
    return faults.apply(sent, d.faults, stream(seed, "faults", d.id))
