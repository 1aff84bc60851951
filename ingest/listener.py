"""TCP listener: devices that call us and speak a stream format (UDP: ingest.datagrams).

A connection has one Framer; each of its pieces becomes a Frame (rubbish with ``reject`` set, so that
its bytes are kept).  What a codec wants answered (Teltonika's 01 and record count) is written only
when the desk says that the message is on disk, in the order of the messages.  While the intake is
full, or a device doesn't read what we answer, its socket is not read: TCP holds the sender back.

Beyond loopback a listener needs mutual TLS: anybody who knows an IMEI could write otherwise
(traccar/traccar#732).

Over 400 lines: the settings, the listener and its connections are one machine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec

from birddog.errors import ConfigError, UsageError
from birddog.model import Frame
from devices import codec
from devices.codec import Piece
from ingest.acceptor import Acceptor, Caller, listening_sockets, raise_file_limit
from ingest.address import check_format, check_listen, is_loopback, written
from ingest.certificates import ServerTls, common_name, serial
from ingest.cutter import Cutter
from ingest.datagrams import UdpListener, UdpSettings
from ingest.intake import Intake, Result
from ingest.sessions import find_dead_links, new_session
from ingest.transport import Kind

__all__ = ["TcpListener", "TcpSettings", "UdpListener", "UdpSettings"]

log = logging.getLogger(__name__)

#: How long ``stop`` waits for what was read to be on disk and answered.
STOP_PATIENCE_S = 3.0
HANDSHAKE_S = 10.0
#: How often the files of TLS are looked at.
TLS_LOOK_S = 2.0


class TcpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[tcp]]``.

    Args:
        format: a stream format: nmea, ais, teltonika …
        device: the identity of what calls here (a receiver, a gateway); "" where the payload says it.
        cert, key, ca, crl: PEM files; a caller must show a certificate signed by ``ca`` and not on ``crl``.
        identity: whose word counts beside TLS: "certificate": its common name is the device,
            "payload": a caller with any certificate of ``ca`` may say who it is (or ``device`` does).
        idle_s: a connection that brings no whole message for so long is closed.
        max_connections: further callers take the place of one that has brought no message yet, or are refused.
        silent_per_address: of one address so many may have brought no message yet; one more takes the oldest's place.
    """

    name: str
    port: int
    format: str
    host: str = "127.0.0.1"
    device: str = ""
    cert: str = ""
    key: str = ""
    ca: str = ""
    crl: str = ""
    identity: Literal["certificate", "payload"] = "certificate"
    idle_s: Annotated[float, msgspec.Meta(gt=0.0, le=1e7)] = 900.0
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2000
    silent_per_address: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 256


def check(settings: TcpSettings, exercise: bool) -> None:
    """Refuse what can't work, or would let strangers in.

    Raises:
        ConfigError, UsageError
    """
    field = f"tcp {settings.name!r}"
    check_listen(settings.host, settings.port, field=field, exercise=exercise)
    check_format(settings.format, field=f"{field}.format")
    files = (settings.cert, settings.key, settings.ca)
    if (any(files) or settings.crl) and not all(files):
        raise ConfigError("TLS needs cert, key and ca", field=field)
    if not is_loopback(settings.host) and not all(files):
        raise UsageError(f"beyond loopback ({settings.host}) a listener needs cert, key and ca", field=field)
    if not codec.load(settings.format).STREAM:
        raise ConfigError(f"{settings.format} is no stream format: it can't be cut out of a TCP connection",
                          field=f"{field}.format")


class TcpListener:
    """One listening socket and its connections; everything but ``acknowledge`` runs on one event loop."""

    def __init__(self, settings: TcpSettings, intake: Intake, *, exercise: bool = False):
        check(settings, exercise)
        self._codec = codec.load(settings.format)
        self.settings, self.intake = settings, intake
        self.name = f"tcp:{settings.name}"
        self.ports: list[int] = []
        self.connections: set[_Connection] = set()
        self.counts = dict.fromkeys(("frames", "bytes", "rejects", "acknowledged", "replies", "unsent_replies",
                                     "accepted", "refused", "idle_closed", "pauses"), 0)
        self.last_error = ""
        self._loop: asyncio.AbstractEventLoop  # since ``start``
        self._servers: list[Acceptor] = []
        self._tls: ServerTls | None = None
        self._greetings = self._proven = 0
        self._look: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: the address can't be had, or a TLS file can't be read.
        """
        self._loop = asyncio.get_running_loop()
        field = f"tcp {self.settings.name!r}"
        own = self.settings
        if own.cert:
            self._tls = ServerTls(own.cert, own.key, own.ca, own.crl, field=field, greeted=self._greeted)
        tls = self._tls.context if self._tls is not None else None
        try:
            sockets = listening_sockets(own.host, own.port)
        except OSError as error:
            raise UsageError(f"cannot listen on {self.settings.host}:{self.settings.port}: {error.strerror or error}",
                             field=field) from error
        self.ports = sorted({sock.getsockname()[1] for sock in sockets})
        raise_file_limit(own.max_connections)
        for sock in sockets:
            acceptor = Acceptor(self.name, sock, lambda caller: _Connection(self, caller), most=own.max_connections,
                                per_address=own.silent_per_address, tls=tls, handshake_s=HANDSHAKE_S, evicted=self._evicted)
            self._servers.append(acceptor)
            acceptor.start()
        if self._tls is not None:
            self._look = self._loop.call_later(TLS_LOOK_S, self._look_at_certificates)

    async def stop(self) -> None:
        """No new connection, no more reading; waits for what was read to be stored and answered, then closes."""
        if not self._servers:
            return
        for server in self._servers:
            server.close()
        if self._look is not None:
            self._look.cancel()
        for connection in list(self.connections):
            connection.hold()
        deadline = time.monotonic() + STOP_PATIENCE_S
        while any(c.unfinished for c in self.connections) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        lost = sum(c.waiting for c in self.connections)
        if lost:
            log.warning("%s: stopped with the intake full; %d messages that were read are neither stored nor answered",
                        self.name, lost)
        for connection in list(self.connections):
            connection.end()
        while self.connections and time.monotonic() < deadline + 1.0:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        self.connections.clear()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread: the replies go out on the loop, in this order."""
        if self.ports:
            with suppress(RuntimeError):  # the loop has ended: nobody is connected any more
                self._loop.call_soon_threadsafe(self._acknowledged, results)

    def status(self) -> dict[str, Any]:
        """Counters since the start, and what is open now; with TLS also ``tls_refused`` and when the first file expires."""
        out = self.counts | {"connected": len(self.connections), "last_error": self.last_error}
        if self._tls is not None:
            # handshakes that came to nothing (or are not through yet)
            out |= {"tls_refused": self._greetings - self._proven, "tls_expires_unix_s": self._tls.expires_s}
        return out

    def _acknowledged(self, results: list[Result]) -> None:
        self.counts["acknowledged"] += len(results)
        for result in results:
            result.frame.receipt.acknowledged(result)

    def _evicted(self, address: str) -> None:
        self.counts["refused"] += 1
        self.last_error = f"a connection from {address} had brought no message yet, and others wanted its place"

    def _greeted(self) -> None:
        self._greetings += 1

    def _look_at_certificates(self) -> None:
        """Take certificates and revocations that were replaced on disk; end who is revoked now."""
        assert self._tls is not None
        self._look = self._loop.call_later(TLS_LOOK_S, self._look_at_certificates)
        try:
            if not self._tls.changed():
                return
        except UsageError as error:
            log.error("%s: what was read before stays in force: %s", self.name, error)
            return
        log.info("%s: certificates read again; %d are revoked", self.name, len(self._tls.revoked))
        for connection in list(self.connections):
            if connection.serial in self._tls.revoked:
                log.warning("%s: the certificate of %r was revoked", self.name, connection.subject)
                self.counts["refused"] += 1
                self.last_error = f"the certificate of {connection.subject!r} was revoked"
                connection.end()


class _Connection(asyncio.Protocol):
    """One caller.  ``_waiting`` holds the frames of reads that the intake had no room for."""

    def __init__(self, listener: TcpListener, caller: Caller):
        self.listener, self._caller = listener, caller
        self._cutter = Cutter(listener._codec, listener.name)
        self._session = new_session(listener.name)
        self._device = listener.settings.device
        self._peer = ""
        self.subject, self.serial = "", -1  # of the caller's certificate
        self._transport: asyncio.Transport  # since ``connection_made``
        self._waiting: deque[list[Frame]] = deque()
        self._outstanding = 0
        self._asked_room = False
        self._holding = self._unread = self._ended = self._lost = False
        self._heard_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- the socket ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        owner = self.listener
        self._transport = transport
        if owner._tls is not None:
            owner._proven += 1
            shown = transport.get_extra_info("peercert")
            self.subject, self.serial = common_name(shown), serial(shown)
        if len(owner.connections) >= owner.settings.max_connections:
            self._refuse(f"more than {owner.settings.max_connections} connections")
            return
        self._peer = written(transport.get_extra_info("peername"))
        if owner._tls is not None and owner.settings.identity == "certificate":
            self._device = self.subject
            if not self._device:
                self._refuse(f"{self._peer}: its certificate has no common name that can be read, or several")
                return
        owner.counts["accepted"] += 1
        owner.connections.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            find_dead_links(sock)
        self._heard_s = owner._loop.time()
        self._timer = owner._loop.call_later(owner.settings.idle_s, self._idle)

    def _refuse(self, why: str) -> None:
        self.listener.counts["refused"] += 1
        self.listener.last_error = why
        self._ended = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.listener.counts["bytes"] += len(data)
        pieces = self._cutter.feed(data)
        if pieces:  # bytes that never become a message keep no connection open
            self._heard_s = self.listener._loop.time()
        if any(piece.reject is None for piece in pieces):
            self._caller.speaks()
        self._hand_over(pieces)

    def eof_received(self) -> bool:
        """The caller has said all; the connection stays open until it got its answers (TLS can't do that)."""
        self._finish()
        self._close_when_done()
        return not self.listener.settings.cert

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._caller.gone()
        if exc is not None:
            self.listener.last_error = f"{self._peer}: {exc}"
        if self._timer is not None:
            self._timer.cancel()
        self._finish()
        self._leave_when_done()

    def pause_writing(self) -> None:
        """The caller doesn't read our answers: it is not read until it does."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._unread = False
        self._read_on()

    # --- frames ----------------------------------------------------------------------------------

    def _hand_over(self, pieces: list[Piece]) -> None:
        owner = self.listener
        now_ns = time.time_ns()
        frames = [
            Frame(source=owner.name, format=owner.settings.format, payload=piece.data, received_ns=now_ns, device=self._device,
                  channel=self._peer, session=self._session, reject=piece.reject, receipt=self)
            for piece in pieces
        ]
        if frames:
            owner.counts["frames"] += len(frames)
            owner.counts["rejects"] += sum(1 for frame in frames if frame.reject is not None)
            self._outstanding += len(frames)
            self._waiting.append(frames)
            self._flush()

    def _flush(self) -> None:
        owner = self.listener
        while self._waiting:
            if not owner.intake.offer(owner, self._waiting[0]):
                if not self._asked_room:
                    self._asked_room = True
                    owner.counts["pauses"] += 1
                    if not self._lost:
                        self._transport.pause_reading()
                    owner.intake.when_room(self._room)
                return
            self._waiting.popleft()
        self._read_on()
        self._leave_when_done()

    def _room(self) -> None:
        """Called by the intake, on whichever thread made room."""
        with suppress(RuntimeError):  # the loop has ended
            self.listener._loop.call_soon_threadsafe(self._there_is_room)

    def _there_is_room(self) -> None:
        self._asked_room = False
        self._flush()

    def _read_on(self) -> None:
        if not (self._waiting or self._unread or self._holding or self._ended or self._lost):
            self._heard_s = self.listener._loop.time()
            self._transport.resume_reading()

    def acknowledged(self, result: Result) -> None:
        """One message is on disk: answer it."""
        self._outstanding -= 1
        if result.reply:
            if self._lost or self._transport.is_closing():
                self.listener.counts["unsent_replies"] += 1
            else:
                self.listener.counts["replies"] += 1
                self._transport.write(result.reply)
        self._close_when_done()

    # --- the end ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._hand_over(self._cutter.finish())

    def _close_when_done(self) -> None:
        if self._ended and not self.unfinished and not self._lost:
            self._transport.close()

    def _leave_when_done(self) -> None:
        if self._lost and not self._waiting and self in self.listener.connections:
            self.listener.connections.discard(self)
            self.listener.intake.close_session(self._session)

    def _idle(self) -> None:
        owner = self.listener
        paused = bool(self._waiting)
        left_s = owner.settings.idle_s - (owner._loop.time() - self._heard_s)
        if left_s <= 0 and not paused:
            owner.counts["idle_closed"] += 1
            self.abort() if self._unread else self.end()
            return
        self._timer = owner._loop.call_later(max(left_s, 0.05) if not paused else owner.settings.idle_s, self._idle)

    @property
    def unfinished(self) -> bool:
        """Something that was read is not stored yet."""
        return self._outstanding > 0

    @property
    def waiting(self) -> int:
        """Messages that were read and that the intake did not take yet."""
        return sum(len(frames) for frames in self._waiting)

    def hold(self) -> None:
        """Read no more."""
        self._holding = True
        if not self._lost:
            self._transport.pause_reading()

    def end(self) -> None:
        """Send what waits to be sent, then close; a caller who doesn't take it is cut off."""
        if not self._lost:
            self._transport.close()
            self.listener._loop.call_later(STOP_PATIENCE_S, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if not self._lost:
            self._transport.abort()


KIND = Kind("tcp", TcpSettings, check, lambda settings, room: TcpListener(settings, room.intake, exercise=room.exercise))
