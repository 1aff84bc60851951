"""A real endpoint on a free port, a raw client that can say anything, and a desk that commits when told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from birddog.model import Frame, Reject
from ingest.endpoint import Endpoint, Settings
from ingest.intake import Closed, Intake, Result
from ingest.permit import ExercisePermit

FORMATS = ("owntracks", "toy", "chirpstack", "impinj", "ttn")
DEADLINE_S = 20.0


def until(condition: Callable[[], object], what: str = "the condition") -> object:
    """Wait for a condition, and fail where it does not come true."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true within {DEADLINE_S} s")


class Desk(threading.Thread):
    """Takes frames from the intake; commits (remembers) and acknowledges them while ``open`` is set.

    Args:
        judge: the rejects of a frame, as the real desk's door would find them.
        journal: the real desk, which then takes everything to its journal.
    """

    def __init__(self, intake: Intake, judge: Callable[[Frame], tuple[Reject, ...]] = lambda frame: (), journal=None):
        super().__init__(name="desk")
        self.intake, self.judge, self.journal = intake, judge, journal
        self.open = threading.Event()
        self.open.set()
        self.parked = threading.Event()
        self.taken: list[Frame] = []
        self.frames: list[Frame] = []
        self.closed: list[str] = []
        self.most_held = 0
        self._end = False

    def run(self) -> None:
        while not self._end:
            self.most_held = max(self.most_held, self.intake.held)
            if not self.open.is_set():
                self.parked.set()
                self.open.wait()
                self.parked.clear()
            items = self.intake.take(2000, 0.05)
            if self.journal is not None:
                self.journal.take(items, time.time_ns())
                continue
            for item in items:
                if isinstance(item, Closed):
                    self.closed.append(item.session)
                    continue
                source, frames = item
                results = []
                for frame in frames:
                    rejects = (frame.reject,) if frame.reject else self.judge(frame)
                    results.append(Result(frame, "refused" if rejects else "stored", None, rejects))
                self.frames += frames
                source.acknowledge(results)

    def stall(self) -> None:
        """Take and commit nothing until ``open`` is set."""
        self.open.clear()
        assert self.parked.wait(DEADLINE_S)

    def end(self) -> None:
        self._end = True
        self.open.set()
        self.intake.stop()
        self.join()


class Served:
    """An endpoint on a loop in a thread of its own."""

    def __init__(self, settings: Settings, permit, *, exercise: bool, capacity: int, judge, journal=None):
        self.intake = Intake(capacity)
        self.desk = Desk(self.intake, judge, journal)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self.thread.start()
        self.endpoint = Endpoint("mqtt", settings, self.intake, exercise=exercise, who=permit)
        try:
            self.wait(self.endpoint.start())
        except BaseException:
            self._end_loop()
            raise
        self.desk.start()
        self.port = self.endpoint.ports[0]

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_S)

    def on_loop(self, call):
        """What ``call()`` gives on the loop's thread."""

        async def run():
            return call()

        return self.wait(run())

    @property
    def frames(self) -> list[Frame]:
        return self.desk.frames

    def status(self, key: str) -> int:
        return self.endpoint.status()[key]

    def end(self) -> None:
        try:
            self.wait(self.endpoint.stop())
        finally:
            self.desk.end()
            self._end_loop()

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """``serve(permit=..., exercise=..., capacity=..., judge=..., journal=..., **settings)``; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*, permit=None, exercise=True, capacity=10_000, judge=lambda frame: (), journal=None, formats=FORMATS,
                  **settings) -> Served:
            settings.setdefault("port", 0)
            served = Served(Settings(**settings), permit or ExercisePermit(formats), exercise=exercise, capacity=capacity,
                            judge=judge, journal=journal)
            stack.callback(served.end)
            return served

        yield start


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def packet(first: int, body: bytes) -> bytes:
    size, length = bytearray(), len(body)
    while True:
        length, digit = length // 128, length % 128
        size.append(digit | (128 if length else 0))
        if not length:
            return bytes((first,)) + bytes(size) + body


def connect(client_id: str | bytes, *, level=4, keepalive=60, flags=2, properties=b"", rest=b"") -> bytes:
    v5 = bytes((len(properties),)) + properties if level == 5 else b""
    name = "MQIsdp" if level == 3 else "MQTT"
    return packet(0x10, text(name) + bytes((level, flags)) + struct.pack(">H", keepalive) + v5 + text(client_id) + rest)


def publish(topic: str | bytes, payload: bytes = b"{}", number: int = 0, *, level=4, dup=False, properties=b"", qos=1) -> bytes:
    first = 0x30 | (qos << 1 if number else 0) | (8 if dup else 0)
    v5 = bytes((len(properties),)) + properties if level == 5 else b""
    return packet(first, text(topic) + (struct.pack(">H", number) if number else b"") + v5 + payload)


class Raw:
    """A socket that speaks MQTT by hand."""

    def __init__(self, port: int, client_id: str | None = None, *, wrap=None, **how):
        plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.socket = wrap(plain) if wrap else plain
        self.level = how.get("level", 4)
        self._got = b""
        if client_id is not None:
            try:
                self.send(connect(client_id, **how))
                self.connack = self.packet()
                assert self.connack[0] == 0x20
            except BaseException:
                self.socket.close()
                raise

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def publish(self, topic: str, payload: bytes = b"{}", number: int = 0, **how) -> None:
        self.send(publish(topic, payload, number, level=self.level, **how))

    def packet(self) -> tuple[int, bytes]:
        """The next packet's first byte and body."""
        while True:
            if len(self._got) >= 2:
                size, at, shift = 0, 1, 0
                while at < len(self._got):
                    byte = self._got[at]
                    size |= (byte & 127) << shift
                    at, shift = at + 1, shift + 7
                    if byte < 128:
                        if len(self._got) < at + size:
                            break
                        out = self._got[0], self._got[at : at + size]
                        self._got = self._got[at + size :]
                        return out
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"closed; left over: {self._got!r}")
            self._got += more

    def pubacks(self, count: int) -> list[int]:
        """The packet ids of the next ``count`` PUBACKs."""
        ids = []
        for _ in range(count):
            first, body = self.packet()
            assert first == 0x40, (first, body)
            ids.append(struct.unpack(">H", body[:2])[0])
        return ids

    def nothing(self, served: Served) -> bool:
        """Whether nothing has come, when the loop has gone round once more: what it had to write would be here."""
        for _ in range(3):
            served.on_loop(lambda: None)
        self.socket.setblocking(False)
        try:
            self._got += self.socket.recv(65536)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(DEADLINE_S)
        return False

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        out = self._got
        with contextlib.suppress(ConnectionResetError):
            while more := self.socket.recv(65536):
                out += more
        return out

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    """``raw(port, client_id or None, level=..., keepalive=...)``; closed with the test."""
    with contextlib.ExitStack() as stack:

        def start(*args, **how) -> Raw:
            client = Raw(*args, **how)
            stack.callback(client.close)
            return client

        yield start


@pytest.fixture
def wire():
    """Packets by hand: ``wire.connect``, ``wire.publish``, ``wire.packet``, ``wire.text``, ``wire.until``."""

    class Wire:
        pass

    for function in (connect, publish, packet, text, until):
        setattr(Wire, function.__name__, staticmethod(function))
    return Wire
