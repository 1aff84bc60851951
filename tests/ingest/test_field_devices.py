"""The field's own formats over real transports to a real journal; the page of the transports read as TOML."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import sys
import threading
import time
import tomllib
import tty
from pathlib import Path

import msgspec
import pytest

from birddog import config
from birddog.journal import open_reader, open_writer
from birddog.model import Fix, Reading, unpack
from devices import codec
from ingest.broker import Settings as BrokerSettings
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.listener import TcpListener, TcpSettings, UdpListener, UdpSettings
from ingest.modbus_poll import ModbusPoll, Register, Unit
from ingest.modbus_poll import Settings as ModbusSettings
from ingest.serial_port import SerialPort
from ingest.serial_port import Settings as SerialSettings
from ingest.writer import Settings as JournalSettings
from ingest.writer import WriterThread

ROOT = Path(__file__).parents[2]


def needs(name):
    return pytest.mark.skipif(not codec.known(name), reason=f"there is no format {name} yet")


class Station:
    """A journal, its desk and writer; ``frames`` reads the file as another process would."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/j.db"
        self.intake = Intake()
        self.writer = open_writer(self.url, mode="exercise")
        desk = Desk(self.writer, exercise=True, refusal_key=b"k" * 32)
        self.thread = WriterThread(desk, self.intake, JournalSettings(), lambda error: None)
        self.thread.start()
        self.reader = open_reader(self.url)

    def frames(self):
        return [unpack(entry) for entry in self.reader.read(0) if entry.kind == "frame"]

    def observations(self):
        return [observation for body in self.frames() for observation in body.observations]

    def until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "did not happen in time"
            time.sleep(0.02)

    def close(self):
        self.thread.stop()
        self.thread.join()
        self.reader.close()
        self.writer.close()


@pytest.fixture
def station(tmp_path):
    made = Station(tmp_path)
    yield made
    made.close()


@contextlib.contextmanager
def running(source, intake):
    thread = threading.Thread(target=source.run, args=(intake,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.stop()
        thread.join(10)
        assert not thread.is_alive()


@needs("teltonika")
def test_a_teltonika_tracker_is_answered_when_its_records_are_on_disk(station):
    teltonika = codec.load("teltonika")
    now_ns = time.time_ns() // 1_000_000 * 1_000_000
    records = [teltonika.Record(time_ns=now_ns - i * 1_000_000_000, lat_deg=51.9 + i * 1e-4, lon_deg=4.1) for i in range(3)]
    packet = teltonika.encode(records=records)

    async def tracker(port):
        come_in, out = await asyncio.open_connection("127.0.0.1", port)
        out.write(teltonika.encode(login="356307042441013"))
        assert await asyncio.wait_for(come_in.readexactly(1), 20) == b"\x01"
        for _ in range(2):  # the second time is a tracker that did not get the answer
            for byte in packet:
                out.write(bytes([byte]))
                await out.drain()
            assert await asyncio.wait_for(come_in.readexactly(4), 20) == (3).to_bytes(4, "big")
            assert len([o for o in station.observations() if isinstance(o, Fix)]) == 3  # answered = on disk, and once
        out.write(packet[:-1] + bytes([packet[-1] ^ 1]))  # a wrong checksum
        out.write_eof()
        await asyncio.wait_for(come_in.read(), 20)
        out.close()

    async def main():
        listener = TcpListener(TcpSettings(name="lorries", port=0, format="teltonika"), station.intake, exercise=True)
        await listener.start()
        try:
            await tracker(listener.ports[0])
        finally:
            await listener.stop()

    asyncio.run(main())
    assert {o.device for o in station.observations()} == {"356307042441013"}
    assert [r.reason for body in station.frames() for r in body.rejects] == ["checksum"]


SERVER = """
import asyncio, sys
from birddog.journal import open_writer
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.listener import TcpListener, TcpSettings
from ingest.writer import Settings, WriterThread

async def main():
    writer = open_writer("sqlite:///" + sys.argv[2], mode="exercise")
    intake = Intake()
    WriterThread(Desk(writer, exercise=True, refusal_key=b"k" * 32), intake, Settings(), print).start()
    listener = TcpListener(TcpSettings(name="t", port=int(sys.argv[1]), format="teltonika"), intake, exercise=True)
    await listener.start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@needs("teltonika")
def test_kill_9_every_answered_record_is_in_the_journal_once(tmp_path):
    """Six trackers send, and send again what was not answered, while the listener is killed and started again."""
    teltonika = codec.load("teltonika")
    dice, total, trackers = random.Random(11), 60, 6
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    base_ns = (time.time_ns() // 1_000_000_000 - 10_000) * 1_000_000_000

    async def start():
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SERVER, str(port), f"{tmp_path}/j.db", cwd=ROOT,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
            if await process.stdout.readline() == b"ready\n":
                return process
            await process.communicate()  # the port or the journal's lock is not free yet

    async def tracker(number, answered):
        imei = f"35630704244{number:04d}"
        while len(answered) < total:
            out = None
            try:
                come_in, out = await asyncio.open_connection("127.0.0.1", port)
                out.write(teltonika.encode(login=imei))
                if await asyncio.wait_for(come_in.readexactly(1), 5) != b"\x01":
                    raise ConnectionError
                while len(answered) < total:
                    stamp = base_ns + len(answered) * 1_000_000_000
                    out.write(teltonika.encode(records=[teltonika.Record(time_ns=stamp, lat_deg=51.9, lon_deg=4.1)]))
                    assert await asyncio.wait_for(come_in.readexactly(4), 5) == b"\0\0\0\x01"
                    answered.append((imei, stamp))
                    await asyncio.sleep(0.02)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                if out is not None:
                    out.close()
                    with contextlib.suppress(OSError):
                        await out.wait_closed()

    async def main():
        process = await start()
        answers = [[] for _ in range(trackers)]
        work = [asyncio.create_task(tracker(n, answers[n])) for n in range(trackers)]
        kills = 0
        # five kills also where the trackers are quicker than they
        while kills < 5 or not all(task.done() for task in work):
            await asyncio.sleep(dice.uniform(0.1, 0.5))
            if kills < 5:
                kills += 1
                process.kill()
                await process.communicate()
                process = await start()
        process.kill()
        await process.communicate()
        assert kills == 5
        return {answer for row in answers for answer in row}

    answered = asyncio.run(asyncio.wait_for(main(), 90))
    assert len(answered) == total * trackers
    reader = open_reader(f"sqlite:///{tmp_path}/j.db")
    bodies = [unpack(entry) for entry in reader.read(0, 100_000) if entry.kind == "frame"]
    reader.close()
    stored = [(o.device, o.time_ns) for body in bodies for o in body.observations if isinstance(o, Fix)]
    assert sorted(stored) == sorted(answered), "an answered record is missing, or is there twice"


@needs("ais")
def test_two_parts_of_an_ais_message_in_two_datagrams_of_one_peer_with_another_in_between(station):
    parts = (b"!AIVDM,2,1,9,B,55R3Vn82=ILTQ3KKS>1<D60Dq@E918U<F222221J1`?164vc03S1CCAD,0*2A\r\n",
             b"!AIVDM,2,2,9,B,`88888888888880,2*76\r\n")
    other = b"!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24\r\n"

    async def main():
        listener = UdpListener(UdpSettings(name="dish", port=0, format="ais", device="roof"), station.intake, exercise=True)
        await listener.start()
        kind = socket.AF_INET, socket.SOCK_DGRAM
        with socket.socket(*kind) as one, socket.socket(*kind) as two:
            for sock, data in ((one, parts[0]), (two, other), (one, parts[1])):
                sock.sendto(data, ("127.0.0.1", listener.ports[0]))
            await asyncio.to_thread(station.until, lambda: len(station.frames()) == 3)
        await listener.stop()

    asyncio.run(main())
    frames = station.frames()
    assert [r for body in frames for r in body.rejects] == []
    assert {body.device for body in frames} == {"roof"}
    assert any(isinstance(o, Fix) and abs(o.lat_deg) <= 90 for body in frames[1:2] for o in body.observations)


@needs("nmea")
def test_an_nmea_receiver_on_a_pty(station, tmp_path):
    far, near = os.openpty()
    tty.setraw(near)
    stamp = time.gmtime()
    body = f"GPRMC,{time.strftime('%H%M%S', stamp)}.00,A,5154.0000,N,00406.0000,E,0.5,90.0,{time.strftime('%d%m%y', stamp)},,,A"
    checksum = 0
    for letter in body.encode():
        checksum ^= letter
    sentence = f"${body}*{checksum:02X}\r\n".encode()
    with running(SerialPort(SerialSettings(name="gps1", port=os.ttyname(near), format="nmea")), station.intake) as source:
        station.until(lambda: source.connected)
        for i in range(0, len(sentence), 7):
            os.write(far, sentence[i : i + 7])
        station.until(lambda: station.observations())
    os.close(far)
    os.close(near)
    fix = station.observations()[0]
    assert (fix.device, round(fix.lat_deg, 6), round(fix.lon_deg, 6)) == ("gps1", 51.9, 4.1)


@needs("modbus")
def test_modbus_registers_become_readings(station):
    """The values that pymodbus' own converter made come out as readings, scaled."""
    from pymodbus.client.mixin import ModbusClientMixin as Convert
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    words = [
        *Convert.convert_to_registers(3.625, Convert.DATATYPE.FLOAT32),
        *Convert.convert_to_registers(-70_000, Convert.DATATYPE.INT32, word_order="little"),
        *Convert.convert_to_registers(40_000, Convert.DATATYPE.UINT16),
        *Convert.convert_to_registers(-5, Convert.DATATYPE.INT16),
    ]
    registers = (
        Register(address=0, type="f32", quantity="battery_voltage", unit="V"),
        Register(address=2, type="i32", word_order="little", quantity="weight", unit="kg", scale=0.001),
        Register(address=4, type="u16", quantity="light", unit="lx", scale=0.5, offset=10.0),
        Register(address=5, type="i16", quantity="temperature", unit="degC"),
        Register(address=0, type="bool", table="coil", quantity="door_open"),
    )
    ready, ports, loop = threading.Event(), [], asyncio.new_event_loop()

    async def serve():
        bits = SimData(0, values=[True] + [False] * 15, datatype=DataType.BITS)
        bank = SimData(0, values=words, datatype=DataType.REGISTERS)
        device = SimDevice(id=1, simdata=([bits], [bits], [bank], [bank]))
        server = ModbusTcpServer([device], address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        ports.append(server.transport.sockets[0].getsockname()[1])
        done = asyncio.Event()
        loop.finish = lambda: loop.call_soon_threadsafe(done.set)
        ready.set()
        await done.wait()
        await server.shutdown()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    units = (Unit(unit=1, device="shed", registers=registers, poll_s=0.1),)
    source = ModbusPoll(ModbusSettings(name="yard", host="127.0.0.1", port=ports[0], units=units))
    with running(source, station.intake):
        station.until(lambda: len(station.frames()) >= 2)
    loop.finish()
    thread.join(10)
    loop.close()
    body = station.frames()[0]
    assert body.rejects == () and all(isinstance(o, Reading) and o.device == "shed" for o in body.observations)
    said = {o.quantity: (o.value, o.unit) for o in body.observations}
    assert said["battery_voltage"] == (3.625, "V") and said["light"] == (20_010.0, "lx")
    assert said["weight"] == (pytest.approx(-70.0), "kg") and said["temperature"] == (-5, "degC")
    assert said["door_open"][0] in (True, 1)


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """The sections that docs/transports.md shows."""

    tcp: tuple[TcpSettings, ...] = ()
    udp: tuple[UdpSettings, ...] = ()
    serial: tuple[SerialSettings, ...] = ()
    modbus: tuple[ModbusSettings, ...] = ()
    broker: tuple[BrokerSettings, ...] = ()


def test_the_pages_examples_are_configurations():
    page = (ROOT / "docs" / "transports.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shown = set()
    for block in blocks:
        config.loads(block, Page, file="docs/transports.md")
        shown |= set(tomllib.loads(block))
    assert shown == set(Page.__struct_fields__)
