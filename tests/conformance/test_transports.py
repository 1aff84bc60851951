"""Every transport must pass this one suite; a transport joins by adding a rig: the device that speaks to it.

It starts and stops, builds nothing to check a setting, acknowledges by the rule (not before the commit, and then
everything, in order), and holds the line where the intake is full.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import tty

import msgspec
import pytest

from birddog.directory import Directory
from birddog.errors import ConfigError, UsageError
from birddog.model import Reading
from devices import codec
from devices.codec import Decoded
from ingest import transports
from ingest.intake import Closed, Intake, Result
from ingest.transport import Room

PATIENCE_S = 30.0
MANY = 40


class Lines:
    """Format ``lines``: each line is a message; the reply is the line."""

    VERSION, STREAM = 1, True

    class Framer:
        def __init__(self):
            self._buffer, self._offset = b"", 0

        def feed(self, data):
            self._buffer += data
            *lines, self._buffer = self._buffer.split(b"\n")
            pieces = []
            for line in lines:
                pieces.append(codec.Piece(self._offset, line + b"\n", None))
                self._offset += len(line) + 1
            return pieces

        def finish(self):
            return []

    class Decoder:
        def decode(self, message):
            reading = Reading(device="d", time_ns=message.received_ns, time_source="server", quantity="q", value=0.0)
            return Decoded(observations=(reading,), device="d", reply=message.payload)


class Rig:
    """A device that sends the numbers 0 … MANY - 1, and hears what it is told."""

    heard: list[bytes]

    def __init__(self, folder):
        self.folder, self.heard = folder, []

    def before(self) -> None:
        """What must stand before the transport starts."""

    def settings(self) -> dict:
        raise NotImplementedError

    def wrong(self) -> dict:
        """Settings that are refused, which to find out needs no socket."""
        raise NotImplementedError

    def send(self, transport) -> None:
        """Send the numbers; called on a thread when the transport has started."""

    def end(self) -> None:
        """Let go of everything."""

    #: Whether the device is told that its message is stored.
    answers = True


class Line(Rig):
    """One that calls us: bytes out, bytes in."""

    kind = socket.SOCK_STREAM

    def settings(self):
        return {"name": "r", "port": 0, "format": "lines"}

    def wrong(self):
        return {"name": "r", "port": 0, "format": "no such format"}

    def send(self, transport):
        self.socket = socket.socket(socket.AF_INET, self.kind)
        self.socket.connect(("127.0.0.1", transport.ports[0]))
        threading.Thread(target=self._hear, daemon=True).start()
        for number in range(MANY):
            self.socket.sendall(b"%d\n" % number)

    def _hear(self):
        with self.socket:
            try:
                while data := self.socket.recv(65_536):
                    self.heard.append(data)
            except OSError:
                return

    def end(self):
        if hasattr(self, "socket"):
            self.socket.close()


class Datagrams(Line):
    kind = socket.SOCK_DGRAM


class Mqtt(Line):
    """CONNECT, then PUBLISH at QoS 1; what it hears is PUBACKs."""

    def settings(self):
        return {"port": 0}

    def wrong(self):
        return {"port": 0, "plain": False}

    def send(self, transport):
        self.socket = socket.create_connection(("127.0.0.1", transport.ports[0]))
        self.socket.sendall(_packet(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text("tag1")))
        assert self.socket.recv(4) == b"\x20\x02\x00\x00"
        threading.Thread(target=self._hear, daemon=True).start()
        for number in range(MANY):
            self.socket.sendall(_publish("birddog/v1/tag1/lines", b"%d" % number, number + 1))


class Serial(Rig):
    def before(self):
        self._far, near = os.openpty()
        tty.setraw(near)
        self._near, self.path = near, os.ttyname(near)

    def settings(self):
        return {"name": "r", "port": self.path, "format": "lines"}

    def wrong(self):
        return {"name": "r", "port": "", "format": "lines"}

    def send(self, transport):
        while not transport.status()["connected"]:  # what came before it was opened is thrown away by the system
            time.sleep(0.005)
        threading.Thread(target=self._hear, daemon=True).start()
        os.write(self._far, b"".join(b"%d\n" % number for number in range(MANY)))

    def _hear(self):
        try:
            while data := os.read(self._far, 65_536):
                self.heard.append(data)
        except OSError:
            return

    def end(self):
        os.close(self._far)
        os.close(self._near)


class Modbus(Rig):
    """A server with one register that counts; it is asked, and never told anything."""

    answers = False

    def before(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def settings(self):
        return {"name": "r", "host": "127.0.0.1", "port": self._server.getsockname()[1], "timeout_s": 5.0,
                "units": [{"unit": 1, "device": "d", "poll_s": 0.01,
                           "registers": [{"address": 0, "quantity": "temperature", "unit": "Cel", "type": "u16"}]}]}

    def wrong(self):
        return self.settings() | {"units": []}

    def _serve(self):
        number = 0
        try:
            while True:
                line, _ = self._server.accept()
                with line:
                    while len(asked := line.recv(12)) == 12:
                        line.sendall(asked[:4] + b"\x00\x05" + asked[6:8] + b"\x02" + number.to_bytes(2, "big"))
                        number = (number + 1) % 65_536
        except OSError:
            return

    def end(self):
        self._server.close()


class Broker(Rig):
    """An MQTT 3.1.1 broker with one message after the other for who subscribes; what it hears is PUBACKs."""

    def before(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def settings(self):
        return {"name": "r", "host": "127.0.0.1", "port": self._server.getsockname()[1], "protocol": "3.1.1",
                "topics": [{"filter": "a/#", "format": "lines"}]}

    def wrong(self):
        return self.settings() | {"topics": []}

    def _serve(self):
        try:
            line, _ = self._server.accept()
            with line:
                line.recv(65_536)
                line.sendall(b"\x20\x02\x00\x00")
                asked = line.recv(65_536)
                line.sendall(b"\x90\x03" + asked[2:4] + b"\x01")
                for number in range(MANY):
                    line.sendall(_publish("a/b", b"%d" % number, number + 1))
                while data := line.recv(65_536):
                    self.heard.append(data)
        except OSError:
            return

    def end(self):
        self._server.close()


RIGS = {"endpoint": Mqtt, "tcp": Line, "udp": Datagrams, "serial": Serial, "modbus": Modbus, "broker": Broker}


def _text(words: str) -> bytes:
    return len(words).to_bytes(2, "big") + words.encode()


def _packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


def _publish(topic: str, payload: bytes, number: int) -> bytes:
    return _packet(0x32, _text(topic) + number.to_bytes(2, "big") + payload)


def test_every_transport_has_its_rig():
    assert sorted(kind.section for kind in transports.kinds()) == sorted(RIGS)


def add_lines(monkeypatch) -> None:
    """The format ``lines`` is there."""
    known, load, names = codec.known, codec.load, codec.names
    monkeypatch.setattr(codec, "known", lambda name: name == "lines" or known(name))
    monkeypatch.setattr(codec, "load", lambda name: Lines if name == "lines" else load(name))
    monkeypatch.setattr(codec, "names", lambda: [*names(), "lines"])


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    """What the rigs send can be decoded."""
    add_lines(monkeypatch)


@pytest.fixture(params=sorted(RIGS))
def rig(request, tmp_path):
    made = RIGS[request.param](tmp_path)
    made.kind_of = next(kind for kind in transports.kinds() if kind.section == request.param)
    made.before()
    yield made
    made.end()


class Played:
    """A transport on a loop of its own, and a desk that commits when the test says so."""

    def __init__(self, rig: Rig, capacity: int = 10_000):
        self.rig, self.intake, self.crashes = rig, Intake(capacity), []
        room = Room(self.intake, True, Directory(), lambda name, error: self.crashes.append((name, error)))
        self.settings = msgspec.convert(rig.settings(), rig.kind_of.settings)
        self.transport = rig.kind_of.make(self.settings, room)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.pending, self.frames = [], []

    def on_loop(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def __enter__(self):
        self.thread.start()
        self.on_loop(self.transport.start())
        return self

    def __exit__(self, *error):
        self.on_loop(self.transport.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def until(self, condition, *, commit: bool):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, ("did not happen in time", self.transport.status(), self.rig.heard)
            for item in self.intake.take(1, 0.02):
                if not isinstance(item, Closed):
                    self.pending.append(item)
                    self.frames += item[1]
            if commit:
                self.commit()

    def commit(self):
        pending, self.pending = self.pending, []
        for source, frames in pending:
            source.acknowledge([Result(frame, "stored", frame.payload) for frame in frames])


def test_a_setting_is_checked_without_building_anything(rig, monkeypatch):
    """Also a wrong one is refused without a socket, a thread or a file that is opened for writing."""
    good = msgspec.convert(rig.settings(), rig.kind_of.settings)
    wrong = msgspec.convert(rig.wrong(), rig.kind_of.settings)

    def built(*what, **how):
        raise AssertionError("a setting was checked by building something")

    for owner, name in ((socket, "socket"), (socket, "socketpair"), (socket, "create_server"), (threading.Thread, "start"),
                        (os, "open"), (os, "pipe")):
        monkeypatch.setattr(owner, name, built)
    rig.kind_of.check(good, True)
    with pytest.raises((ConfigError, UsageError)) as refused:
        rig.kind_of.check(wrong, True)
    assert (refused.value.field or "").startswith(rig.kind_of.section), "it says where"


def test_nothing_is_open_before_the_start(rig, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    room = Room(Intake(), True, Directory(), lambda name, error: None)
    made = rig.kind_of.make(msgspec.convert(rig.settings(), rig.kind_of.settings), room)
    assert made.ports == [] and made.name.startswith("mqtt" if rig.kind_of.section == "endpoint" else rig.kind_of.section)
    assert acknowledged(made) == 0


def acknowledged(transport) -> int:
    said = transport.status()
    return said.get("acknowledged", said.get("acknowledged_total"))


def numbers(made: Played) -> list[bytes]:
    return [frame.payload.strip() for frame in made.frames]


def test_it_acknowledges_what_is_on_disk_and_nothing_before(rig):
    with Played(rig) as made:
        threading.Thread(target=rig.send, args=(made.transport,), daemon=True).start()
        made.until(lambda: len(made.frames) >= MANY, commit=False)
        assert acknowledged(made.transport) == 0 and not rig.heard
        assert all(frame.source == made.transport.name and frame.received_ns and frame.session for frame in made.frames)
        made.commit()
        made.until(lambda: acknowledged(made.transport) >= MANY, commit=True)
        if rig.answers:
            made.until(lambda: sum(map(len, rig.heard)) >= MANY, commit=True)
        status = made.transport.status()
    assert not made.crashes and not made.thread.is_alive()
    if not isinstance(rig, Modbus):
        assert numbers(made) == [b"%d" % number for number in range(MANY)]
    assert all(isinstance(name, str) for name in status)


def test_a_full_intake_holds_the_line_and_nothing_is_lost(rig):
    with Played(rig, capacity=1) as made:
        threading.Thread(target=rig.send, args=(made.transport,), daemon=True).start()
        end = time.monotonic() + PATIENCE_S
        while made.intake.held < 1:
            assert time.monotonic() < end
            time.sleep(0.005)
        assert made.intake.held <= MANY, "bounded, but for one list"
        assert acknowledged(made.transport) == 0 and not rig.heard
        made.until(lambda: len(made.frames) >= MANY and acknowledged(made.transport) >= MANY, commit=True)
    if not isinstance(rig, Modbus):
        assert numbers(made) == [b"%d" % number for number in range(MANY)]


def test_it_stops_twice_and_lets_go_of_its_thread(rig):
    before = set(threading.enumerate())
    with Played(rig) as made:
        assert made.transport.name
        made.on_loop(made.transport.stop())
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()]
    assert made.transport.name not in left
