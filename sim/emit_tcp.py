"""TCP as a target: one connection a stream, each with a thread of its own.

A Teltonika tracker says who it is first (its login), waits for 01, sends a packet and waits
for the number of records taken; without that answer it connects again and repeats the packet, as a real one does.
Other formats (NMEA, AIS) are only written.
"""

from __future__ import annotations

import queue
import socket
import threading
import time

from birddog.errors import UsageError
from sim.emission import Emission
from sim.emit import Target

ANSWER_S = 10.0
RETRY_S = 1.0
TRIES = 5


class TcpEmitter:
    """All TCP streams of a scenario to one listener."""

    def __init__(self, target: Target):
        self.target = target
        self._lines: dict[str, Line] = {}
        try:
            socket.create_connection((target.host, target.port), timeout=5.0).close()
        except OSError as error:
            raise UsageError(f"{target.text}: cannot connect: {error}", field="--to") from error

    @property
    def acknowledged(self) -> int:
        """Records that the server has confirmed."""
        return sum(line.acknowledged for line in self._lines.values())

    def send(self, emission: Emission) -> None:
        """Hand the bytes to the stream's thread."""
        line = self._lines.get(emission.stream)
        if line is None:
            line = self._lines[emission.stream] = Line(self.target, emission.stream)
        line.put(emission)

    def close(self, wait_s: float) -> list[str]:
        """Wait until everything is confirmed."""
        deadline = time.monotonic() + wait_s
        for line in self._lines.values():
            line.put(None)
        left = []
        for name, line in self._lines.items():
            line.thread.join(max(deadline - time.monotonic(), 0.1))
            line.stop.set()
            if line.open:
                left.append(f"{self.target.text}: {name}: {line.open} packets were not confirmed")
        return left


class Line:
    """One connection and its thread."""

    def __init__(self, target: Target, stream: str):
        self._target = target
        self._login: bytes | None = None
        self._queue: queue.SimpleQueue[Emission | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.acknowledged = 0
        self._put = self._taken = 0
        self._socket: socket.socket | None = None
        self.thread = threading.Thread(target=self._run, name=f"tcp {stream}", daemon=True)
        self.thread.start()

    def put(self, emission: Emission | None) -> None:
        """Send this after what was put before; None: that was all."""
        self._put += emission is not None
        self._queue.put(emission)

    @property
    def open(self) -> int:
        """Messages that have not been taken by the other side."""
        return self._put - self._taken

    def _run(self) -> None:
        while (emission := self._queue.get()) is not None:
            if emission.login:
                self._login = emission.payload
                self._taken += 1
            elif self._deliver(emission):
                self._taken += 1
        self._hang_up()

    def _deliver(self, emission: Emission) -> bool:
        for _ in range(TRIES):
            try:
                sock = self._connected()
                sock.sendall(emission.payload)
                if emission.damaged and emission.records:
                    self._hang_up()  # the server may wait for the rest of a packet for ever: the tag gives up
                    return True
                if not emission.records or self._count(sock) == emission.records:
                    self.acknowledged += emission.records
                    return True
            except OSError:
                pass  # not taken: connect again and repeat, below
            self._hang_up()
            if self.stop.wait(RETRY_S):
                return False
        return False

    def _connected(self) -> socket.socket:
        if self._socket is None:
            sock = socket.create_connection((self._target.host, self._target.port), timeout=ANSWER_S)
            self._socket = sock
            if self._login is not None:
                sock.sendall(self._login)
                if _exactly(sock, 1) != b"\x01":
                    raise ConnectionRefusedError("the server does not want this IMEI")
        return self._socket

    def _count(self, sock: socket.socket) -> int:
        return int.from_bytes(_exactly(sock, 4), "big")

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the server ended the connection")
        data += part
    return data


def open_target(target: Target) -> TcpEmitter:
    """Connect once, to see that somebody listens."""
    return TcpEmitter(target)
