"""The device endpoint: an MQTT 3.1, 3.1.1 and 5 server whose PUBACK means that the message is on disk.

It only takes in: there is no broker behind it, no retained message, no session kept over a
disconnect.  A connection's bytes become frames (``ingest.mqtt_connection``), the frames of all
connections that were read in one turn of the loop go to the intake as one list, the desk commits
them, and ``acknowledge`` brings them back to the loop, which writes each client's PUBACKs at once.

Back-pressure: when the intake is full no socket is read until it has room; nothing is dropped.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from birddog.errors import UsageError
from birddog.model import Frame
from ingest import mqtt_packets as mqtt
from ingest.acceptor import Acceptor, listening_sockets, raise_file_limit
from ingest.address import is_loopback
from ingest.certificates import ServerTls
from ingest.endpoint_settings import Settings, check
from ingest.intake import Intake, Result
from ingest.mqtt_clients import CONTEST_S, CONTESTS, Clients, RefusedConnects
from ingest.mqtt_connection import FULL, Connection
from ingest.mqtt_hub import Counters
from ingest.permit import ROOT, DirectoryPermit, ExercisePermit, Permit
from ingest.told import Told
from ingest.transport import Kind, Room

log = logging.getLogger(__name__)

SWEEP_S = 0.5
#: The certificates' files are looked at every so many sweeps.
TLS_SWEEPS = 4
#: At most this much is read from one socket at a time.
READ_BYTES = 65_536
#: How long ``stop`` waits for what was handed over to be acknowledged.
STOP_S = 3.0


class Endpoint:
    """The server; a ``Source`` of the desk.  Its methods but ``acknowledge`` belong to the loop's thread.

    Args:
        name: leads the frames' source and the log lines.
        exercise: take an empty client id, and listen on loopback only.
        who: says what a topic means for an identity.
    """

    def __init__(self, name: str, settings: Settings, intake: Intake, *, exercise: bool, who: Permit):
        self.name, self.settings, self.exercise, self.who = name, settings, exercise, who
        self.loop: asyncio.AbstractEventLoop
        self.read_view = memoryview(bytearray(READ_BYTES))
        self.topics: dict[bytes, str] = {}
        self.full = False
        self.stopping = False
        self.counters = Counters()
        self._intake = intake
        #: The ports that are listened on, the plain one first.
        self.ports: list[int] = []
        self._servers: list[Acceptor] = []
        self._connections: set[Connection] = set()
        self._clients: dict[str, Connection] = {}
        self.known = Clients()
        self.refused = RefusedConnects(name)
        self._pending: list[Frame] = []
        self._ended: list[tuple[str, str]] = []
        self._flush_due = False
        self._held_bytes = 0
        self._full_of_bytes = False
        self._waiting: list[Connection] = []
        self._done: deque[list[Result]] = deque()
        self._wake_due = False
        self._start_mark, self._count = secrets.token_hex(4), 0
        self._sweeps = 0
        self._tls: ServerTls | None = None
        self._greetings = 0
        self._told = Told()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: a port is taken, a certificate is wrong, or the host is one that these
                settings do not allow; one line says which.
        """
        settings = self.settings
        tls = check(settings, exercise=self.exercise)
        if tls:
            self._tls = ServerTls(settings.cert, settings.key, settings.ca, settings.crl, greeted=self._greeted)
        self.loop = asyncio.get_running_loop()
        raise_file_limit(settings.max_connections)
        try:
            if settings.plain:
                await self._listen(settings.host if is_loopback(settings.host) else "127.0.0.1", settings.port, None, "port")
            if self._tls is not None:
                await self._listen(settings.host, settings.tls_port, self._tls.context, "tls_port")
        except BaseException:
            for server in self._servers:
                server.close()
            self._servers.clear()
            raise
        self._timer = self.loop.call_later(SWEEP_S, self._sweep)

    async def _listen(self, host: str, port: int, context: ssl.SSLContext | None, field: str) -> None:
        tls = context is not None
        try:
            sockets = listening_sockets(host, port)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "another program has it" if taken else (error.strerror or str(error))
            raise UsageError(f"cannot listen on {host} port {port}: {why}", field=f"endpoint.{field}") from None
        for sock in sockets:
            self.ports.append(sock.getsockname()[1])
            server = Acceptor(self.name, sock, lambda caller: Connection(self, tls, caller), most=self.settings.max_connections,
                              per_address=self.settings.silent_per_address, tls=context,
                              handshake_s=self.settings.connect_timeout_s, evicted=self._evicted,
                              untrusted=lambda address, why: self.refused.add(address, "", why))
            self._servers.append(server)
            server.start()

    async def stop(self) -> None:
        """Stop listening and reading, wait for what was taken in to be acknowledged, say goodbye."""
        self.stopping = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            if not connection.held:
                connection.transport.pause_reading()
        deadline = self.loop.time() + STOP_S
        self._flush()
        while self.loop.time() < deadline and (self._pending or any(c.outstanding for c in self._connections)):
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.close(mqtt.SHUTTING_DOWN)
        while self.loop.time() < deadline and self._connections:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        if self._pending:
            # of these, QoS 1 comes again; the device was never told that we have it
            log.error("%s: %d messages did not fit into the queue at the stop", self.name, len(self._pending))

    def status(self) -> dict[str, Any]:
        """Counters since the start (``…_total``) and the present state; ``refused_connects``: who did not get past CONNECT.

        ``contested``: client ids that are taken over again and again; ``last_error`` names one of them.
        """
        contested = self.known.contested(self.loop.time()) if self.ports else []
        out: dict[str, Any] = {
            "connected": len(self._clients),
            **self.counters.told(),
            "held_bytes": self._held_bytes,
            "paused": sum(1 for c in self._connections if c.held),
        }
        out["refused_connects"] = self.refused.rows()
        out["contested"] = len(contested)
        if contested:
            out["last_error"] = (f"the client id {contested[-1][:80]!r} was taken over {CONTESTS} times within "
                                 f"{CONTEST_S:.0f} s: two devices have it, or its link breaks")
        if self._tls is not None:
            # handshakes that came to nothing (or are not through yet); when the first of the files expires
            out["tls_refused_total"] = self._greetings - self.counters.tls_total
            out["tls_expires_unix_s"] = self._tls.expires_s
        return out

    def publish(self, device: str, leaf: str, payload: bytes) -> bool:
        """Send to ``birddog/v1/<device>/<leaf>``, if that device is connected and has subscribed there.

        QoS 0: True says that it was written to the device's socket, not that the device has it.
        """
        connection = self._clients.get(device)
        return connection is not None and connection.publish(f"{ROOT}{device}/{leaf}", payload)

    # --- the desk's side ---------------------------------------------------------------------------

    def acknowledge(self, results: list[Result]) -> None:
        """See ``ingest.intake.Source``.  One wake of the loop serves all lists that came meanwhile."""
        self._done.append(results)
        if not self._wake_due:
            self._wake_due = True
            self._call(self._settle)

    def _call(self, what: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(what)
        except RuntimeError:
            # the loop is closed: the program ends, and the devices will send again what they saw no PUBACK for
            log.debug("%s: an acknowledgement came after the end", self.name)

    def _settle(self) -> None:
        self._wake_due = False
        touched: dict[Connection, None] = {}
        done = self._done
        while done:
            results = done.popleft()
            self.counters.acknowledged_total += len(results)
            last = None
            for result in results:
                frame = result.frame
                self._held_bytes -= len(frame.payload)
                connection: Connection = frame.receipt
                if connection is not last:
                    touched[connection] = None
                    last = connection
                connection.settled(result)
                if result.rejects and connection.subscriptions:
                    self._told.look(connection, result, self.loop.time())
        for connection in touched:
            connection.send_acks()
        if self._full_of_bytes and self._held_bytes < self.settings.held_bytes:
            self._room()

    # --- the connections' side ---------------------------------------------------------------------

    def connected(self, connection: Connection) -> bool:
        """A socket was opened; False where there are too many."""
        self.counters.connections_total += 1
        self.counters.tls_total += connection.tls
        if self.stopping or len(self._connections) >= self.settings.max_connections:
            if not self.stopping:
                self.refuse(connection, "", f"there are {self.settings.max_connections} connections already")
            return False
        self._connections.add(connection)
        return True

    def disconnected(self, connection: Connection, session: str) -> None:
        """A connection has ended; ``session`` is "" where it never sent a message."""
        self._connections.discard(connection)
        connection.caller.gone()
        self.left(connection)
        if session:
            # behind its last frames, which may still wait here
            self._ended.append((session, ""))
            self._flush_soon()

    def left(self, connection: Connection) -> None:
        """A connection of which nothing more is taken, though its socket may live on for a moment."""
        self.remember(connection)
        if self._clients.get(connection.identity) is connection:
            del self._clients[connection.identity]

    def finished(self, connection: Connection) -> bool:
        """A session has ended with nothing unacknowledged: what its client repeats later is of no session up to this one.

        False where the client has come back already: its new session is not to be forgotten with the old ones.
        """
        if self._clients.get(connection.identity) is not connection:
            return False
        self._ended.append((connection.session, connection.identity))
        self._flush_soon()
        return True

    def refuse(self, connection: Connection, client_id: str, reason: str) -> None:
        """A connection does not get past CONNECT: counted, and kept where an operator sees it."""
        self.counters.refused_total += 1
        peer = connection.transport.get_extra_info("peername")
        self.refused.add(str(peer[0]) if peer else "", client_id, reason)

    def register(self, client_id: str, connection: Connection) -> bool:
        """A CONNECT of this client id; the connection that had it before ends.

        False where it may not: a plain connection does not take over one that has shown a certificate.
        """
        before = self._clients.get(client_id)
        if before is not None:
            if before.tls and not connection.tls:
                return False
            self.counters.takeovers_total += 1
            self.known.taken_over(client_id, self.loop.time())
            self.remember(before)  # now: what the device sends again comes before the old connection has quite ended
            before.close(mqtt.TAKEN_OVER)
        self._clients[client_id] = connection
        connection.caller.speaks()
        return True

    def revoked(self, serial: int) -> bool:
        """Whether a certificate is on the revocation list; also asked where TLS resumed a session without proving anew."""
        return self._tls is not None and serial in self._tls.revoked

    def new_session(self) -> str:
        """A name for a connection, unique over all starts of the program."""
        self._count += 1
        return f"{self._start_mark}-{self._count}"

    def remember(self, connection: Connection) -> None:
        """What its client's next connection asks ``known`` for; one that was taken over has nothing more to say."""
        if self._clients.get(connection.identity) is connection:
            self.known.ended(connection.identity, connection.epoch, connection.unsure, self.loop.time())

    def take(self, frames: list[Frame]) -> None:
        """Frames of one connection; they go to the desk at the end of this turn of the loop."""
        self.counters.messages_total += len(frames)
        self._pending += frames
        self._flush_soon()

    def waits(self, connection: Connection) -> None:
        """This connection is not read until there is room."""
        self._waiting.append(connection)

    def _flush_soon(self) -> None:
        if not self._flush_due and not self.full:
            self._flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        frames = self._pending
        if frames:
            self._full_of_bytes = self._held_bytes >= self.settings.held_bytes
            if self._full_of_bytes or not self._intake.offer(self, frames):
                self.full = True
                self.counters.pauses_total += 1
                for connection in {frame.receipt: None for frame in frames}:
                    connection.hold_full()
                if not self._full_of_bytes:
                    self._intake.when_room(lambda: self._call(self._room))
                return
            self._held_bytes += sum([len(frame.payload) for frame in frames])
            self._pending = []
        for session, finished in self._ended:
            self._intake.close_session(session, finished)
        self._ended.clear()

    def _room(self) -> None:
        self.full = self._full_of_bytes = False
        self._flush()
        if not self.full:
            waiting, self._waiting = self._waiting, []
            for connection in waiting:
                if not connection.closing and not self.stopping:
                    connection.release(FULL)

    def _sweep(self) -> None:
        self._timer = self.loop.call_later(SWEEP_S, self._sweep)
        now_s, timeout_s = self.loop.time(), self.settings.connect_timeout_s
        self._sweeps += 1
        if self._tls is not None and self._sweeps % TLS_SWEEPS == 0:
            self._look_at_certificates(self._tls)
        for connection in list(self._connections):
            connection.sweep(now_s, timeout_s)
            if connection.subscriptions and self._sweeps % 2:
                topic = f"{ROOT}{connection.identity}/receipt"
                if topic in connection.subscriptions:
                    connection.say_receipt(topic)

    def _evicted(self, address: str) -> None:
        """A connection that had sent no CONNECT gave its place to another, or there was no place to give."""
        self.counters.refused_total += 1
        self.refused.add(address, "", "no CONNECT yet, and others wanted its place")

    def _greeted(self) -> None:
        self._greetings += 1

    def _look_at_certificates(self, tls: ServerTls) -> None:
        """Take certificates and revocations that were replaced on disk; end who is revoked now."""
        try:
            if not tls.changed():
                return
        except UsageError as error:
            log.error("%s: what was read before stays in force: %s", self.name, error)
            return
        log.info("%s: certificates read again; %d are revoked", self.name, len(tls.revoked))
        for connection in list(self._connections):
            if connection.tls and self.revoked(connection.serial):
                log.warning("%s: the certificate of %r was revoked", self.name, connection.certificate)
                self.counters.refused_total += 1
                connection.close(mqtt.NOT_AUTHORIZED)


def _made(settings: Settings, room: Room) -> Endpoint:
    who: Permit = ExercisePermit(directory=room.directory) if room.exercise else DirectoryPermit(room.directory)
    return Endpoint("mqtt", settings, room.intake, exercise=room.exercise, who=who)


KIND = Kind("endpoint", Settings, lambda settings, exercise: check(settings, exercise=exercise), _made, many=False)
