"""Load: many devices that publish with QoS 1, and how many messages a second come back acknowledged.

A client of its own (MQTT 3.1.1, CONNECT and PUBLISH out, CONNACK and PUBACK in) on one asyncio loop, because a thread
and a paho client for each of a thousand devices measures the threads and not the endpoint.
"""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import Callable
from functools import partial

import msgspec

from birddog.errors import UsageError
from birddog.model import EXERCISE_USER
from birddog.units import NS
from sim import wire
from sim.emit import Target
from sim.world import stream

#: Messages of one device that may wait for their PUBACK.
IN_FLIGHT = 50
CONNECT_S = 10.0
#: How long the last PUBACKs may take.
DRAIN_S = 10.0
KEEP_ALIVE_S = 60


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a load run measured.

    Args:
        seconds: from the first message to the last acknowledgement.
        per_s: acknowledged messages a second.
        p50_ms, p99_ms: from sending to the PUBACK.
        lost_connections: clients whose connection ended early.
        asked: messages that the asked rate wanted sent; what ``sent`` falls short of it found every device with
            ``IN_FLIGHT`` under way, and its waiting is in no latency.  0: no rate was asked.
    """

    devices: int
    asked: int
    sent: int
    acknowledged: int
    seconds: float
    per_s: float
    p50_ms: float | None
    p99_ms: float | None
    lost_connections: int


class Client(asyncio.Protocol):
    """One device's connection."""

    def __init__(self, name: str, acked: Callable[[float], None]):
        self.name = name
        self._acked = acked
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended = False
        self.sent_at: dict[int, float] = {}
        self._next = 1
        self._buffer = b""
        self._writable = True
        self._transport: asyncio.Transport | None = None
        self.topic = f"birddog/v1/{name}/owntracks".encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = self.name.encode()
        user = EXERCISE_USER.encode()
        body = struct.pack(">H4sBBH", 4, b"MQTT", 4, 0x82, KEEP_ALIVE_S) + struct.pack(">H", len(name)) + name
        body += struct.pack(">H", len(user)) + user
        transport.write(b"\x10" + _length(len(body)) + body)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._writable = True

    @property
    def free(self) -> bool:
        """Whether another message may be sent now."""
        return self._writable and not self.ended and len(self.sent_at) < IN_FLIGHT

    def publish(self, payload: bytes) -> None:
        """Send one message with QoS 1."""
        packet = self._next
        self._next = packet % 65535 + 1
        self.sent_at[packet] = time.monotonic()
        body = struct.pack(">H", len(self.topic)) + self.topic + struct.pack(">H", packet) + payload
        assert self._transport is not None
        self._transport.write(b"\x32" + _length(len(body)) + body)

    def data_received(self, data: bytes) -> None:
        """CONNACK and PUBACKs; anything else is stepped over."""
        buffer = self._buffer + data
        at = 0
        while at + 2 <= len(buffer):
            size = buffer[at + 1]
            if size > 127 or at + 2 + size > len(buffer):
                break
            kind = buffer[at] >> 4
            if kind == 4 and size >= 2:
                sent = self.sent_at.pop(struct.unpack_from(">H", buffer, at + 2)[0], None)
                if sent is not None:
                    self._acked(time.monotonic() - sent)
            elif kind == 2 and not self.ready.done():
                code = buffer[at + 3]
                if code:
                    why = ": a live journal refuses exercise data" if code == 5 else ""
                    self.ready.set_exception(UsageError(f"{self.name}: the connection was refused with code {code}{why}"))
                else:
                    self.ready.set_result(None)
            at += 2 + size
        self._buffer = buffer[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has gone."""
        self.ended = True
        if not self.ready.done():
            self.ready.set_exception(UsageError(f"{self.name}: the connection was closed: {exc or 'by the other side'}"))

    def close(self) -> None:
        """DISCONNECT."""
        if self._transport is not None and not self.ended:
            self._transport.write(b"\xe0\x00")
            self._transport.close()


def run(target: Target, *, devices: int, rate: float, seconds: float, start_ns: int, seed: int = 1) -> Loaded:
    """Load a plain MQTT target.

    Args:
        devices: connections, each a device ``load-N``.
        rate: messages a second of all devices together; 0: as many as come back.
        seconds: how long to send.
        start_ns: the time of the first message.

    Raises:
        UsageError: it is no mqtt:// target, or it cannot be reached.
    """
    if target.kind != "mqtt" or target.tls:
        raise UsageError(f"{target.text}: the load goes to mqtt:// only", field="--to")
    if not 1 <= devices <= 20_000 or not 0.0 <= rate < math.inf or not 0.0 < seconds < math.inf:
        raise UsageError("wants 1 to 20000 devices, a rate of 0 or more and more than 0 seconds")
    return asyncio.run(_run(target, devices, rate, seconds, start_ns, seed))


async def _run(target: Target, devices: int, rate: float, seconds: float, start_ns: int, seed: int) -> Loaded:
    waits: list[float] = []
    last = [0.0]

    def acked(wait_s: float) -> None:
        waits.append(wait_s)
        last[0] = time.monotonic()

    clients = await _connect(target, devices, acked)
    rng = stream(seed, "load")
    places = [(51.9 + rng.uniform(0, 0.1), 4.0 + rng.uniform(0, 0.2)) for _ in clients]
    begun = time.monotonic()
    sent = turn = 0
    while (passed := time.monotonic() - begun) < seconds:
        due = int(passed * rate) - sent if rate else len(clients) * IN_FLIGHT
        sent_now = 0
        stuck = 0
        while sent_now < min(due, 2000) and stuck < len(clients):
            k = turn % len(clients)
            turn += 1
            if not clients[k].free:
                stuck += 1
                continue
            stuck = 0
            lat, lon = places[k]
            clients[k].publish(wire.load_payload(lat, lon, start_ns + int(passed * NS), sent))
            sent, sent_now = sent + 1, sent_now + 1
        if all(c.ended for c in clients):
            break
        await asyncio.sleep(0.002)
    deadline = time.monotonic() + DRAIN_S
    while len(waits) < sent and time.monotonic() < deadline and not all(c.ended for c in clients):
        await asyncio.sleep(0.01)
    lost = sum(c.ended for c in clients)
    for client in clients:
        client.close()
    took = max(last[0] - begun, 1e-9) if waits else time.monotonic() - begun
    waits.sort()
    return Loaded(
        devices=devices, asked=int(rate * seconds), sent=sent, acknowledged=len(waits), seconds=took, per_s=len(waits) / took,
        lost_connections=lost,
        p50_ms=1000 * waits[len(waits) // 2] if waits else None,
        p99_ms=1000 * waits[min(int(len(waits) * 0.99), len(waits) - 1)] if waits else None,
    )  # fmt: skip


async def _connect(target: Target, devices: int, acked: Callable[[float], None]) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    try:
        for begin in range(0, devices, 100):  # a hundred at a time: a listener's backlog is not endless
            some = []
            for k in range(begin, min(begin + 100, devices)):
                made = partial(Client, f"load-{k}", acked)
                _, client = await asyncio.wait_for(loop.create_connection(made, target.host, target.port), CONNECT_S)
                some.append(client)
            clients += some
            await asyncio.wait_for(asyncio.gather(*(c.ready for c in some)), CONNECT_S)
    except (OSError, TimeoutError) as error:
        raise UsageError(f"{target.text}: cannot connect: {error or 'no answer'}", field="--to") from error
    return clients


def _length(size: int) -> bytes:
    """MQTT's remaining length."""
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)
