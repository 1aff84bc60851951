"""UDP listener: one datagram is one message.

A datagram has no flow control.  While the intake is full the socket is not read: the kernel's buffer
(made large) holds what it can, and what it drops is counted (``drops`` in /proc/net/udp) and shown.
Nothing that we have read is dropped.  A codec's reply goes to the peer when its message is on disk.
UDP has no TLS either, so it stays on loopback.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec

from birddog.errors import UsageError
from birddog.model import Frame
from ingest.address import check_format, check_listen, is_loopback, written
from ingest.intake import Intake, Result
from ingest.sessions import new_session
from ingest.transport import Kind

log = logging.getLogger(__name__)

#: How long ``stop`` waits for what was read to be on disk and answered.
STOP_PATIENCE_S = 3.0
#: Decoder states kept for the peers of one UDP socket.
UDP_PEERS = 1000
#: Datagrams handed over in one list.
UDP_BATCH = 256


class UdpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[udp]]``.

    Args:
        format: any format; one datagram is one message.
        device: the identity of what sends here, or "".
        receive_buffer_bytes: what the kernel shall hold while we are busy (it may grant less).
        idle_s: the decoder's state of a peer that is silent for so long is given up.
    """

    name: str
    port: int
    format: str
    host: str = "127.0.0.1"
    device: str = ""
    receive_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096, le=2**30)] = 4_194_304
    idle_s: Annotated[float, msgspec.Meta(gt=0.0, le=1e7)] = 900.0


def check(settings: UdpSettings, exercise: bool) -> None:
    """Refuse what can't work, or would let strangers in.

    Raises:
        ConfigError, UsageError
    """
    field = f"udp {settings.name!r}"
    check_listen(settings.host, settings.port, field=field, exercise=exercise)
    check_format(settings.format, field=f"{field}.format")
    if not is_loopback(settings.host):
        raise UsageError(f"beyond loopback ({settings.host}) anybody could write, UDP has no TLS: "
                         "use a [[tcp]] with cert, key and ca", field=f"{field}.host")


class UdpListener:
    """One socket; everything but ``acknowledge`` runs on one event loop."""

    def __init__(self, settings: UdpSettings, intake: Intake, *, exercise: bool = False):
        check(settings, exercise)
        self.settings, self.intake = settings, intake
        self.name = f"udp:{settings.name}"
        self.ports: list[int] = []
        self.counts = dict.fromkeys(
            ("frames", "bytes", "acknowledged", "replies", "unsent_replies", "pauses", "dropped_full"), 0)
        self.last_error = ""
        self._loop: asyncio.AbstractEventLoop  # since ``start``
        self._socket: socket.socket | None = None
        self._inode = 0
        self._held: list[Frame] = []
        self._stopping = False
        self._dropped_before = 0
        self._peers: OrderedDict[Any, tuple[str, float]] = OrderedDict()

    async def start(self) -> None:
        """Bind and read.

        Raises:
            UsageError: the address can't be had.
        """
        self._loop = asyncio.get_running_loop()
        host = "127.0.0.1" if self.settings.host == "localhost" else self.settings.host
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.settings.receive_buffer_bytes)
        try:
            sock.bind((host, self.settings.port))
        except OSError as error:
            sock.close()
            raise UsageError(f"cannot listen on {host}:{self.settings.port}: {error.strerror}",
                             field=f"udp {self.settings.name!r}") from error
        self._socket, self._inode = sock, os.fstat(sock.fileno()).st_ino
        self.ports = [sock.getsockname()[1]]
        self._loop.add_reader(sock, self._readable)

    async def stop(self) -> None:
        """Read no more; what was read is handed over as far as there is room."""
        if self._socket is None:
            return
        self._stopping = True
        self._loop.remove_reader(self._socket)
        deadline = time.monotonic() + STOP_PATIENCE_S
        while (self._held or self.counts["acknowledged"] < self.counts["frames"]) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._held:
            log.warning("%s: stopped with the intake full; %d messages that were read are not stored", self.name,
                        len(self._held))
        sock, self._socket = self._socket, None
        sock.close()
        while self._peers:
            self._forget_oldest()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread: the replies go out on the loop."""
        if self.ports:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._acknowledged, results)

    def status(self) -> dict[str, Any]:
        """Counters; ``dropped_kernel`` is what the kernel had no room for, of it ``dropped_full`` while the intake was full."""
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) if self._socket is not None else 0
        return self.counts | {"connected": self._socket is not None, "peers": len(self._peers), "receive_buffer_bytes": granted,
                              "dropped_kernel": self._dropped_kernel(), "last_error": self.last_error}

    def _readable(self) -> None:
        assert self._socket is not None
        frames: list[Frame] = []
        while len(frames) < UDP_BATCH:
            try:
                data, peer = self._socket.recvfrom(65_536)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                # an ICMP "port unreachable" for an earlier reply comes out here: the socket is fine
                self.last_error = str(error)
                break
            self.counts["bytes"] += len(data)
            frames.append(Frame(
                source=self.name, format=self.settings.format, payload=data, received_ns=time.time_ns(),
                device=self.settings.device, channel=written(peer), session=self._session_of(peer), receipt=peer))
        if frames:
            self.counts["frames"] += len(frames)
            self._held = frames
            self._flush()

    def _flush(self) -> None:
        if not self.intake.offer(self, self._held):
            self.counts["pauses"] += 1
            self._dropped_before = self._dropped_kernel()
            if self._socket is not None:
                self._loop.remove_reader(self._socket)
            self.intake.when_room(self._room)
            return
        self._held = []

    def _room(self) -> None:
        """Called by the intake, on whichever thread made room."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._there_is_room)

    def _there_is_room(self) -> None:
        if self._socket is None:
            return
        self.counts["dropped_full"] += self._dropped_kernel() - self._dropped_before
        if not self._stopping:
            self._loop.add_reader(self._socket, self._readable)
        self._flush()

    def _acknowledged(self, results: list[Result]) -> None:
        self.counts["acknowledged"] += len(results)
        for result in results:
            if not result.reply:
                continue
            try:
                if self._socket is None:
                    raise OSError("the socket is closed")
                self._socket.sendto(result.reply, result.frame.receipt)
                self.counts["replies"] += 1
            except OSError as error:  # the peer will send its message again
                self.counts["unsent_replies"] += 1
                self.last_error = str(error)

    def _session_of(self, peer: Any) -> str:
        """The session of a peer: its messages share a decoder's state."""
        now_s = self._loop.time()
        known = self._peers.get(peer)
        session = known[0] if known is not None else new_session(self.name)
        self._peers[peer] = (session, now_s)
        self._peers.move_to_end(peer)
        if known is None:
            while len(self._peers) > UDP_PEERS or next(iter(self._peers.values()))[1] < now_s - self.settings.idle_s:
                self._forget_oldest()
        return session

    def _forget_oldest(self) -> None:
        _, (session, _) = self._peers.popitem(last=False)
        self.intake.close_session(session)

    def _dropped_kernel(self) -> int:
        """Datagrams that the kernel dropped at this socket (the last column of /proc/net/udp)."""
        if not self._inode:
            return 0
        for file in ("/proc/net/udp", "/proc/net/udp6"):
            try:
                lines = Path(file).read_text().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                columns = line.split()
                if columns[9] == str(self._inode):
                    return int(columns[-1])
        return 0


KIND = Kind("udp", UdpSettings, check, lambda settings, room: UdpListener(settings, room.intake, exercise=room.exercise))
