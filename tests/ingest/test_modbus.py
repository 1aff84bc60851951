"""Modbus poll against pymodbus' own server, on TCP and on a pty pair: one dead unit does not stall the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import select
import socket
import struct
import threading
import time
import tty

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from birddog.errors import ConfigError
from devices import codec
from devices.codec import Message
from devices.formats import modbus
from ingest import modbus_poll
from ingest.modbus_poll import ModbusPoll, Register, Settings, Unit, spans

VOLTS = Register(address=0, type="f32", scale=0.1, unit="V", quantity="battery_voltage")
LEVEL = Register(address=2, type="i16", quantity="seismic")
DOOR = Register(address=3, type="bool", table="coil", quantity="door_open")
F32 = [17096, 0]  # 100.0 as two words, the high one first


class Bus:
    """A server in a thread of its own; ``mood`` says what a unit does: answer, silent or an exception."""

    def __init__(self, **where):
        self.mood, self.asked = {}, []
        self._where, self._ready = where, threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _main(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    def _device(self, unit):
        async def answer(code, start, address, count, current, _values):
            self.asked.append((unit, code, address, count, time.monotonic()))
            mood = self.mood.get(unit, "answer")
            if mood == "silent":
                await asyncio.Event().wait()
            if isinstance(mood, ExcCodes):
                return mood
            return None

        words = SimData(0, values=[*F32, 65535, 4], datatype=DataType.REGISTERS)
        bits = SimData(0, values=[False] * 3 + [True] + [False] * 12, datatype=DataType.BITS)
        return SimDevice(id=unit, simdata=([bits], [bits], [words], [words]), action=answer)

    async def _serve(self):
        devices = [self._device(unit) for unit in (1, 2, 3)]
        self._done = asyncio.Event()
        if "port" in self._where:
            self._server = ModbusSerialServer(devices, ignore_missing_devices=True, **self._where)
        else:
            where = ("127.0.0.1", self._where.get("at", 0))
            self._server = ModbusTcpServer(devices, address=where, ignore_missing_devices=True)
        await self._server.serve_forever(background=True)
        if "port" not in self._where:
            self.port = self._server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        await self._server.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()


@pytest.fixture
def bus():
    server = Bus()
    yield server
    server.close()


@contextlib.contextmanager
def running(source, intake):
    thread = threading.Thread(target=source.run, args=(intake,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.stop()
        thread.join(10)
        assert not thread.is_alive(), "the poll does not end"


def poll(bus, units, **more):
    return ModbusPoll(Settings(**{"name": "yard", "host": "127.0.0.1", "port": bus.port, "timeout_s": 0.2,
                                  "units": tuple(units)} | more))


def unit(number, *registers, poll_s=0.05):
    return Unit(unit=number, device=f"sensor-{number}", registers=registers or (VOLTS,), poll_s=poll_s)


def of(desk, number):
    return [f for f in desk.frames if f.device == f"sensor-{number}"]


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    monkeypatch.setattr(modbus_poll, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(modbus_poll, "RETRY_MOST_S", 0.2)


def test_the_payload_says_all_that_the_codec_needs(bus, desk):
    with running(poll(bus, [unit(1, VOLTS, LEVEL, DOOR)]), desk.intake) as source:
        desk.until(lambda: len(desk.frames) >= 2)
        desk.until(lambda: source.status()["acknowledged"] >= 2)
    frame = desk.frames[0]
    assert (frame.source, frame.format, frame.device) == ("modbus:yard", "modbus", "sensor-1")
    said = json.loads(frame.payload)
    assert said["unit"] == 1
    by_quantity = {reading["quantity"]: reading for reading in said["readings"]}
    assert by_quantity["battery_voltage"] == {"address": 0, "type": "f32", "word_order": "big", "scale": 0.1, "unit": "V",
                                              "quantity": "battery_voltage", "registers": F32}
    assert by_quantity["seismic"]["registers"] == [65535] and by_quantity["door_open"]["registers"] == [1]
    # voltage and level lie side by side: one request; the coil another
    assert [(code, address, count) for _, code, address, count, _ in bus.asked[:2]] == [(1, 3, 1), (3, 0, 3)]


def test_what_a_map_says_of_none_reaches_the_codec(bus, desk):
    """A register whose word means that the sensor has none is no reading, whatever the order of its bytes."""
    registers = (
        Register(address=0, type="f64", byte_order="little", word_order="little", quantity="odd"),  # 0400 FFFF 0000 C842
        Register(address=2, type="i16", quantity="level", not_available=(-1, 7), min=-40, max=85),
        Register(address=3, type="u16", quantity="few", min=5.0),
        Register(address=2, type="i32", quantity="raw", not_available=()),
    )
    with running(poll(bus, [unit(1, *registers)]), desk.intake):
        desk.until(lambda: desk.frames)
    said = codec.decode_whole(modbus, modbus.Decoder(), Message(payload=desk.frames[0].payload, device="sensor-1"))
    read = {o.quantity: o.value for o in said.observations}
    wanted = struct.unpack(">d", bytes.fromhex("0400FFFF0000C842"))[0]
    assert read.pop("odd") == pytest.approx(wanted, rel=1e-12) and read == {"raw": -65532.0}
    assert sorted(r.detail.partition(": ")[2] for r in said.rejects) == [
        "few: outside the min and max of its map", "level: not available (0xFFFF)"]


def test_a_dead_unit_costs_one_time_out_and_is_asked_less_and_less(bus, desk):
    bus.mood[2] = "silent"
    with running(poll(bus, [unit(1), unit(2), unit(3)], backoff_s=30.0), desk.intake) as source:
        desk.until(lambda: len(of(desk, 1)) >= 40 and len(of(desk, 3)) >= 40)
        asked_dead = sum(1 for row in bus.asked if row[0] == 2)
        assert not of(desk, 2) and 2 <= asked_dead <= 12
        assert source.status()["unit_2_silent"] and not source.status()["unit_1_silent"]
        assert source.status()["units_silent"] == 1 and source.status()["reconnects"] == 0
        assert "unit 2 (sensor-2)" in source.status()["last_error"]


def test_a_unit_that_comes_back_keeps_its_pace_again(bus, desk):
    bus.mood[2] = "silent"
    with running(poll(bus, [unit(1), unit(2)], backoff_s=0.3), desk.intake) as source:
        desk.until(lambda: source.status()["no_answer"] >= 4)
        bus.mood[2] = "answer"
        desk.until(lambda: len(of(desk, 2)) >= 5)
        assert source.status()["units_silent"] == 0


def test_an_answer_that_comes_too_late_is_not_taken_for_another(desk):
    """Unit 2 answers after the time-out, while unit 1 is being asked (pymodbus' server can't do this rightly)."""
    late = []

    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line:
                    while request := line.recv(260):
                        transaction, number, count = request[:2], request[6], request[11]
                        words = (b"\xff\xff" if number == 1 else b"\x12\x34") * count
                        answer = transaction + struct.pack(">HHBBB", 0, 3 + len(words), number, request[7], len(words)) + words
                        if number == 2:
                            late.append(answer)
                        else:
                            line.sendall((late.pop() if late else b"") + answer)  # the late one comes first

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        where = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        units = (unit(1, LEVEL), unit(2, LEVEL))
        source = ModbusPoll(Settings(name="yard", **where, timeout_s=0.2, backoff_s=0.1, units=units))
        with running(source, desk.intake):
            desk.until(lambda: source.status()["no_answer"] >= 4 and len(of(desk, 1)) >= 10)
    assert all(json.loads(f.payload)["readings"][0]["registers"] == [65535] for f in of(desk, 1))
    assert not of(desk, 2)


def test_an_exception_is_an_answer_except_from_a_gateway(bus, desk):
    far = Register(address=5000, quantity="nothing")
    with running(poll(bus, [unit(1, VOLTS, far), unit(2)]), desk.intake) as source:
        bus.mood[2] = ExcCodes.GATEWAY_NO_RESPONSE
        desk.until(lambda: len(of(desk, 1)) >= 3 and source.status()["unit_2_silent"])
        assert not source.status()["unit_1_silent"] and source.status()["exceptions"] >= 3
    # what could be read is handed over without what couldn't
    assert [r["quantity"] for r in json.loads(of(desk, 1)[0].payload)["readings"]] == ["battery_voltage"]


def test_a_server_that_goes_and_comes_back(desk):
    first = Bus()
    with running(poll(first, [unit(1)]), desk.intake) as source:
        desk.until(lambda: len(desk.frames) >= 2)
        first.close()
        desk.until(lambda: source.status()["open_failures"] >= 2)
        assert not source.status()["connected"] and source.status()["gaps"] == 1
        count = len(desk.frames)
        second = Bus(at=first.port)
        desk.until(lambda: len(desk.frames) >= count + 2)
        assert source.status()["reconnects"] == 1
    second.close()
    desk.take()
    assert len(desk.closed) == 2


def test_a_half_open_line_is_given_up(desk):
    """A peer that takes connections and never answers: after some silent polls the line is opened anew."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        source = ModbusPoll(Settings(name="yard", **where, timeout_s=0.05, backoff_s=0.05, units=(unit(1, poll_s=0.01),)))
        with running(source, desk.intake):
            desk.until(lambda: source.status()["reconnects"] >= 1)


@contextlib.contextmanager
def line(tmp_path):
    """A serial line: two ptys, whose far ends a thread joins."""
    ends = [os.openpty() for _ in range(2)]
    for _, near in ends:
        tty.setraw(near)
    stop_read, stop_write = os.pipe()

    def carry():
        masters = [far for far, _ in ends]
        while True:
            for handle in select.select([*masters, stop_read], [], [])[0]:
                if handle == stop_read:
                    return
                os.write(masters[1 - masters.index(handle)], os.read(handle, 1024))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield [os.ttyname(near) for _, near in ends]
    finally:
        os.write(stop_write, b"x")
        thread.join(10)
        for handle in (*(h for pair in ends for h in pair), stop_read, stop_write):
            os.close(handle)


def test_rtu_on_a_serial_line_with_a_dead_unit(desk, tmp_path):
    with line(tmp_path) as (ours, theirs):
        server = Bus(port=theirs, baudrate=38400)
        server.mood[2] = "silent"
        units = (unit(1, VOLTS, LEVEL), unit(2), unit(3))
        source = ModbusPoll(Settings(name="pole", port=ours, baud=38400, timeout_s=0.3, units=units))
        with running(source, desk.intake):
            desk.until(lambda: len(of(desk, 1)) >= 10 and len(of(desk, 3)) >= 10)
            status = source.status()
        server.close()
    assert not of(desk, 2)
    assert status["unit_2_silent"] and status["units_silent"] == 1 and status["gaps"] == 0
    assert json.loads(of(desk, 1)[0].payload)["readings"][1]["registers"] == [65535]


def test_an_adapter_that_is_unplugged_and_plugged_again(desk, tmp_path):
    link = tmp_path / "adapter"
    source = ModbusPoll(Settings(name="pole", port=str(link), timeout_s=0.3, baud=38400, units=(unit(1),)))
    with running(source, desk.intake):
        for turn in (1, 2):
            with line(tmp_path) as (ours, theirs):
                server = Bus(port=theirs, baudrate=38400)
                link.symlink_to(ours)
                before = len(desk.frames)
                desk.until(lambda before=before: len(desk.frames) >= before + 3)
                server.close()
                link.unlink()
            desk.until(lambda turn=turn: not source.connected and source.status()["gaps"] == turn)
    assert source.status()["reconnects"] == 1


def test_rubbish_from_one_unit_is_that_units_failure(desk):
    """Unit 2 answers with bytes that are no Modbus; unit 1 keeps its pace."""
    dice = random.Random(3)

    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line, contextlib.suppress(OSError):
                    while request := line.recv(260):
                        words = b"\xff\xff" * request[11]
                        answer = struct.pack(">HHBBB", 0, 3 + len(words), request[6], request[7], len(words)) + words
                        answer = request[:2] + answer
                        if request[6] == 2:
                            answer = answer[:6] + dice.randbytes(dice.randint(0, len(answer)))
                        line.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        where = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        units = (unit(1, LEVEL), unit(2, LEVEL))
        source = ModbusPoll(Settings(name="yard", **where, timeout_s=0.1, backoff_s=0.1, units=units))
        with running(source, desk.intake):
            desk.until(lambda: source.status()["no_answer"] + source.status()["exceptions"] >= 20 and len(of(desk, 1)) >= 20)
    assert all(json.loads(f.payload)["readings"][0]["registers"] == [65535] for f in of(desk, 1))


def test_a_serial_port_that_is_not_there_is_waited_for(desk, tmp_path):
    source = ModbusPoll(Settings(name="pole", port=str(tmp_path / "none"), units=(unit(1),)))
    with running(source, desk.intake):
        desk.until(lambda: source.status()["open_failures"] >= 3)
    assert "none" in source.status()["last_error"]


@pytest.mark.parametrize(("grace_s", "level"), [(60.0, "INFO"), (0.0, "WARNING")])
def test_a_bus_that_starts_beside_us_is_waited_for_and_said_to_be_open(desk, caplog, monkeypatch, grace_s, level):
    caplog.set_level("INFO")
    monkeypatch.setattr(modbus_poll, "GRACE_S", grace_s)
    with socket.create_server(("127.0.0.1", 0)) as s:
        where = {"host": "127.0.0.1", "port": s.getsockname()[1]}
    source = ModbusPoll(Settings(name="yard", **where, timeout_s=0.3, units=(unit(1),)))
    with running(source, desk.intake):
        desk.until(lambda: source.status()["open_failures"] >= 2)
        server = Bus(at=where["port"])
        desk.until(lambda: len(of(desk, 1)) >= 1)
        server.close()
    said = [r for r in caplog.records if r.name == "ingest.modbus_poll"][:2]
    assert [(r.levelname, "waiting" in r.message) for r in said] == [(level, level == "INFO"), ("INFO", False)]
    assert said[1].message == f"modbus:yard: 127.0.0.1:{where['port']} is open"


def test_spans_read_what_lies_side_by_side_and_nothing_else():
    def at(address, type="u16", table="holding"):
        return Register(address=address, type=type, table=table, quantity="q")

    def shape(*registers):
        return [(s.table, s.address, s.count, len(s.registers)) for s in spans(registers)]

    assert shape(at(2), at(0, "f32"), at(3, "u32")) == [("holding", 0, 5, 3)]
    assert shape(at(0), at(2)) == [("holding", 0, 1, 1), ("holding", 2, 1, 1)]  # the gap may not be readable
    assert shape(at(0), at(1, table="input")) == [("holding", 0, 1, 1), ("input", 1, 1, 1)]
    assert shape(at(0, "u32"), at(0, "f32"), at(1)) == [("holding", 0, 2, 3)]  # the same words, read twice
    assert shape(*(at(a) for a in range(130))) == [("holding", 0, 125, 125), ("holding", 125, 5, 5)]
    assert shape(*(at(a, "u32") for a in range(0, 130, 2))) == [("holding", 0, 124, 62), ("holding", 124, 6, 3)]


@pytest.mark.parametrize(("more", "said"), [
    ({"host": ""}, "host and port, or the path"),
    ({"port": "/dev/ttyS0"}, "with a host, wants a port number"),
    ({"units": ()}, "at least one unit"),
    ({"units": (unit(1), unit(1))}, "named twice"),
    ({"units": (unit(300),)}, "0 to 255"),
    ({"units": (Unit(unit=1, device="d", registers=()),)}, "at least one register"),
    ({"units": (unit(1, Register(address=65535, type="u32", quantity="q")),)}, "0 to 65535"),
    ({"units": (unit(1, Register(address=1, table="coil", quantity="q")),)}, "is one bit"),
    ({"units": (unit(1, Register(address=1, quantity="q", min=2.0, max=1.0)),)}, "min is above max"),
    ({"units": (unit(1, Register(address=1, quantity="q", scale=math.inf)),)}, "finite"),
    ({"units": (unit(1, Register(address=1, quantity="q", not_available=(math.nan,))),)}, "finite"),
    ({"timeout_s": 0.0}, "positive"),
])
def test_settings_that_are_refused(more, said):
    with pytest.raises(ConfigError, match=said):
        ModbusPoll(Settings(**{"name": "yard", "host": "127.0.0.1", "port": 502, "units": (unit(1),)} | more))
