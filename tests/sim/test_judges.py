"""What the simulator writes, read by other people's decoders and held against the truth.

The codecs' own ``decode`` is never asked here: reader and writer must not be able to agree on one mistake.
"""

from __future__ import annotations

import base64
import bisect
import csv
import json
import math
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from birddog.geo import LocalFrame
from birddog.units import KNOT_MPS, NS, ns_from_datetime, ns_from_text
from sim import sensor_map
from sim.run import play

START_NS = ns_from_text("2026-03-02T06:00:00Z")
FRAME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
SECONDS = 400.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    play("harbour", [str(folder / "out")], seed=7, truth_path=folder / "truth.csv", for_s=SECONDS)
    return folder


class Truth:
    """Where an identity was at a time, straight between the seconds of the truth file."""

    def __init__(self, path: Path):
        self._rows: dict[str, list[tuple[int, float, float, float, float]]] = {}
        with path.open() as file:
            for r in csv.DictReader(file):
                e, n = FRAME.en(lat_deg=float(r["lat_deg"]), lon_deg=float(r["lon_deg"]))
                for identity in (*r["carries"].split(";"), r["truth_id"]):
                    row = (ns_from_text(r["t"]), e, n, float(r["ve_mps"]), float(r["vn_mps"]))
                    self._rows.setdefault(identity, []).append(row)

    def off_m(self, identity: str, time_ns: int, lat_deg: float, lon_deg: float) -> float:
        """How far a position is from where the identity was."""
        rows = self._rows[identity]
        i = min(bisect.bisect_right(rows, (time_ns, math.inf)) - 1, len(rows) - 2)
        f = (time_ns - rows[i][0]) / NS
        e, n = (rows[i][k] + f * (rows[i + 1][k] - rows[i][k]) for k in (1, 2))
        return math.dist(FRAME.en(lat_deg=lat_deg, lon_deg=lon_deg), (e, n))

    def velocity(self, identity: str, time_ns: int) -> tuple[float, float]:
        """m/s east and north."""
        rows = self._rows[identity]
        return rows[max(bisect.bisect_right(rows, (time_ns, math.inf)) - 1, 0)][3:5]


@pytest.fixture(scope="module")
def truth(run):
    return Truth(run / "truth.csv")


def lines(run: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (run / "out" / name).read_text().splitlines()]


def is_rayleigh(off: list[float], sigma_m: float) -> None:
    """The middle of the errors is 1.18 sigma, and (but for a few outliers) none is beyond 5.5 sigma."""
    off = sorted(off)
    assert 0.85 * sigma_m < off[len(off) // 2] < 1.6 * sigma_m
    assert sum(d > 5.5 * 1.6 * sigma_m for d in off) <= len(off) * 0.02


def test_nmea_by_pynmeagps(run, truth):
    from pynmeagps import NMEAMessageError, NMEAParseError, NMEAReader

    off, told, broken, fixes, away = [], [], 0, {}, {}
    for line in (run / "out" / "nmea-launch-gps.raw").read_bytes().split(b"\r\n"):
        if not line:
            continue
        try:
            said = NMEAReader.parse(line + b"\r\n", validate=1)
        except (NMEAParseError, NMEAMessageError, UnicodeDecodeError, ValueError):
            broken += 1
            continue
        if said.msgID == "RMC":
            time_ns = ns_from_datetime(datetime.combine(said.date, said.time, tzinfo=UTC))
            assert said.status == "A"
            off.append(truth.off_m("launch-gps", time_ns, said.lat, said.lon))
            fixes[said.time], away[said.time] = (said.lat, said.lon), off[-1]
            speed, (ve, vn) = said.spd * KNOT_MPS, truth.velocity("launch-gps", time_ns)
            assert speed == pytest.approx(math.hypot(ve, vn), abs=1.0)
            course = math.degrees(math.atan2(ve, vn))
            assert abs((said.cog - course + 180) % 360 - 180) < 15
        elif said.msgID == "GGA" and said.time in fixes:
            assert (said.lat, said.lon) == fixes[said.time] and said.quality == 1
        elif said.msgID == "GST":
            assert said.stdLat == said.stdLong and 1.0 < said.stdLat < 9.0
            if said.time in fixes:
                told.append((away[said.time] / said.stdLat) ** 2)
    assert len(off) > 180 and broken <= 6  # the scenario breaks a few sentences
    is_rayleigh(off, 3.0)
    # what the receiver says of its fixes is what they are: the sum of both axes' squares is 2 sigma² on average
    assert len(told) > 180 and 1.6 < sum(told) / len(told) < 2.4


def crc16_ibm(data: bytes) -> int:
    """CRC-16/ARC bit by bit, as Wikipedia has it: poly 0x8005 reflected, start 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def teltonika_records(packet: bytes):
    """(time_ms, lat, lon, course, satellites, km/h) of each record of one codec 8 Extended packet, by the maker's table."""
    assert packet[:4] == bytes(4)
    size = int.from_bytes(packet[4:8], "big")
    data, crc = packet[8 : 8 + size], int.from_bytes(packet[8 + size : 12 + size], "big")
    assert len(packet) == 12 + size and crc16_ibm(data) == crc, "check sum"
    assert data[0] == 0x8E and data[1] == data[-1]
    at = 2
    for _ in range(data[1]):
        time_ms = int.from_bytes(data[at : at + 8], "big")
        lon, lat = (int.from_bytes(data[at + k : at + k + 4], "big", signed=True) / 1e7 for k in (9, 13))
        course, satellites = int.from_bytes(data[at + 19 : at + 21], "big"), data[at + 21]
        speed = int.from_bytes(data[at + 22 : at + 24], "big")
        at += 24 + 2 + 2  # event id, total
        for width in (1, 2, 4, 8):
            count = int.from_bytes(data[at : at + 2], "big")
            at += 2 + count * (2 + width)
        assert data[at : at + 2] == bytes(2)  # elements of variable length: none
        at += 2
        yield time_ms, lat, lon, course, satellites, speed
    assert at == len(data) - 1


def test_teltonika_by_the_makers_table(run, truth):
    rows = lines(run, "teltonika-350000000001234.jsonl")
    assert bytes.fromhex(rows[0]["hex"]) == b"\x00\x0f350000000001234"
    off, broken, late = [], 0, 0
    for row in rows[1:]:
        try:
            records = list(teltonika_records(bytes.fromhex(row["hex"])))
        except AssertionError:
            broken += 1
            continue
        for time_ms, lat, lon, course, satellites, speed in records:
            time_ns = time_ms * 1_000_000
            off.append(truth.off_m("350000000001234", time_ns, lat, lon))
            ve, vn = truth.velocity("350000000001234", time_ns)
            assert speed / 3.6 == pytest.approx(math.hypot(ve, vn), abs=1.0) and satellites >= 6
            assert abs((course - math.degrees(math.atan2(ve, vn)) + 180) % 360 - 180) < 12
            late += ns_from_text(row["received"]) - time_ns > 5 * NS
    assert len(off) >= 70 and broken <= 4
    assert 10 <= late <= 14  # a minute without a network, a record each 5 s
    is_rayleigh(off, 4.0)
    raw = (run / "out" / "teltonika-350000000001234.raw").read_bytes()
    assert raw == b"".join(bytes.fromhex(row["hex"]) for row in rows)


def test_ais_by_pyais(run, truth):
    from pyais.queue import NMEAQueue

    off: dict[int, list[float]] = {}
    names: dict[int, str] = {}
    broken = 0
    for row in lines(run, "ais-ais-quay.jsonl"):
        assert row["session"] == "ais-quay"
        queue = NMEAQueue()
        sentences = row["text"].encode().splitlines()
        assert all(s.startswith(b"\\s:ais-quay,c:") for s in sentences)
        for sentence in sentences:
            queue.put_line(sentence)
        got = queue.get_or_none()
        if got is None or not got.is_valid:
            broken += 1
            continue
        said = got.decode()
        got.tag_block.init()
        clock_s = int(got.tag_block.receiver_timestamp)
        if said.msg_type == 1:
            assert said.second == clock_s % 60
            off.setdefault(said.mmsi, []).append(truth.off_m(str(said.mmsi), clock_s * NS, said.lat, said.lon))
            ve, vn = truth.velocity(str(said.mmsi), clock_s * NS)
            assert said.speed * KNOT_MPS == pytest.approx(math.hypot(ve, vn), abs=0.8)
            assert abs((said.course - math.degrees(math.atan2(ve, vn)) + 180) % 360 - 180) < 20
        else:
            names[said.mmsi] = said.shipname
            assert said.msg_type == 5 and said.destination == "EXERCISE"
            if said.mmsi == 244990001:
                assert (said.to_bow + said.to_stern, said.to_port + said.to_starboard, said.ship_type) == (140, 20, 70)
    assert names == {244990001: "MERIDIAN STAR", 244990002: "BOREALIS"}
    assert len(off[244990001]) > 60 and len(off[244990002]) > 30 and broken <= 2
    for some in off.values():
        is_rayleigh(some, 6.0)


def test_impinj_reads_by_epcpy(run, truth):
    from epcpy import hex_to_tag_encodable, tag_uri_to_tag_encodable

    gates = {"portal-gate": (2200.0, 706.0, 15.0, 0.5), "portal-shed": (1240.0, -100.0, 12.0, 1.0)}
    tags = {
        "portal-gate": "urn:epc:tag:sscc-96:0.0614141.1234567890",
        "portal-shed": "urn:epc:tag:sgtin-96:1.0614141.812345.6789",
    }
    for reader, (e, n, range_m, every_s) in gates.items():
        place = FRAME.geodetic(e, n)
        times = []
        for row in lines(run, f"impinj-{reader}.jsonl"):
            said = json.loads(row["text"])
            tag = said["tagInventoryEvent"]
            assert said["hostname"] == reader and row["topic"] == f"impinj/{reader}/events"
            uri, memory = tags[reader], bytes.fromhex(tag["epcHex"])
            assert hex_to_tag_encodable(tag["epcHex"]).epc_uri == tag_uri_to_tag_encodable(uri).epc_uri
            header, filter_value = (0x31, 0) if "sscc" in uri else (0x30, 1)
            assert (memory[0], memory[1] >> 5) == (header, filter_value)
            assert base64.b64decode(tag["epc"], validate=True).hex().upper() == tag["epcHex"]
            time_ns = ns_from_text(said["timestamp"])
            assert truth.off_m(uri, time_ns, *place) <= range_m + 0.1
            assert -9000 < tag["peakRssiCdbm"] < -3500 and tag["antennaPort"] in (1, 2)
            times.append(time_ns)
        assert len(times) >= 2, f"{reader} read nothing"
        assert all(b - a > 0.4 * every_s * NS for a, b in zip(times, times[1:], strict=False))


def test_modbus_by_a_pymodbus_client(free_port):
    """The live server, asked by another's client, which also puts the words together."""
    import threading
    import time

    import msgspec
    from pymodbus.client import ModbusTcpClient

    from sim import scenario as scenarios
    from sim.run import play

    s = scenarios.load("harbour")
    only = msgspec.structs.replace(s, phone=(), tracker=(), gps=(), ais=(), epc=(), portal=(), camera=(), attach=())
    port = free_port()
    stop = threading.Event()
    thread = threading.Thread(target=play, args=(only, [f"modbus://127.0.0.1:{port}"]),
                              kwargs={"seed": 7, "start_ns": START_NS, "speed": 20.0, "stop": stop})  # fmt: skip
    thread.start()
    seen: dict[tuple[int, str], list[float]] = {}
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0)
    kinds = client.DATATYPE
    forms = {"bool": kinds.UINT16, "u16": kinds.UINT16, "i16": kinds.INT16, "f32": kinds.FLOAT32}
    try:
        deadline = time.monotonic() + 40

        def ready() -> bool:
            """Both edges of the door and the lorry over the geophone were seen."""
            door, shake = seen.get((1, "door_open"), []), seen.get((2, "seismic"), [])
            return {0, 1} <= set(door) and door[-1] == 0 and max(shake, default=0) >= 1.0

        while not ready():
            assert time.monotonic() < deadline, seen
            if not client.connect():
                time.sleep(0.05)
                continue
            for settings in sensor_map.as_settings(only):
                got = client.read_holding_registers(0, count=7, device_id=settings["unit"])
                if got.isError():
                    continue
                for r in settings["registers"]:
                    part = got.registers[r["address"] :][: 2 if r["type"] == "f32" else 1]
                    value = client.convert_from_registers(part, forms[r["type"]], word_order=r.get("word_order", "big"))
                    seen.setdefault((settings["unit"], r["quantity"]), []).append(value * r.get("scale", 1.0))
            time.sleep(0.02)
    finally:
        client.close()
        stop.set()
        thread.join(20)
    for door, light, lux in zip(seen[1, "door_open"], seen[1, "light"], seen[1, "illuminance"], strict=True):
        assert door == light and ((170 < lux < 190) if door else (0.3 < lux < 0.5))
    assert all(3.5 < v <= 3.6 for v in seen[1, "battery_voltage"]) and all(6 < v < 8 for v in seen[2, "temperature"])
    assert set(seen[2, "door_open"]) == {0} and max(seen[1, "seismic"]) < 1.0  # the shed lies off the road


def test_modbus_messages_of_the_folder_hold_the_same_words(run):
    rows = lines(run, "modbus-shed-sensor.jsonl")
    for row in rows:
        said = json.loads(row["text"])
        values = {r["quantity"]: r["registers"] for r in said["readings"]}
        t_s = (ns_from_text(row["received"]) - START_NS) / NS
        is_open = 45 <= t_s < 75 or 235 <= t_s < 300
        assert values["door_open"] == [int(is_open)] and said["unit"] == 1
        low, high = values["illuminance"]
        (lux,) = struct.unpack(">f", struct.pack(">HH", high, low))
        assert (lux > 100) == is_open
