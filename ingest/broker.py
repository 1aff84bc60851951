"""Messages from an outside MQTT broker; the one module of this room that imports paho.

The broker keeps a lasting session for our fixed client id.  A message is acknowledged by hand when
the desk says that it is on disk, in the order in which messages came ([MQTT-4.6.0-2]); after a kill
or a cut the broker sends again what was not acknowledged (paho's own acknowledgement, before the
callback returns, lost 505 of 6,000).  With MQTT 5 we ask for an in-flight window of 2 × batch: with
less a batch waits for messages that the broker holds back until the batch is acknowledged.

paho is used through its external-loop functions, all on the one thread of ``run``: nothing but a
queue and a wake-up byte is touched by ``acknowledge``.  paho's loop ends when a callback raises; ours
only note what happened.  Each connection has a paho client of its own, so that an acknowledgement
that comes after a cut can't reach the next connection, where the number means another message.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from birddog.config import read_secret
from birddog.directory import Directory
from birddog.model import LAP, Frame, Reject
from ingest.broker_settings import Settings, Topic, check, context_of
from ingest.intake import Intake, Result
from ingest.permit import named
from ingest.sessions import Backoff, new_session
from ingest.transport import Kind, Threaded

__all__ = ["Broker", "Settings", "Topic"]

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_MOST_S = 0.5, 30.0
CONNECT_S = 10.0
LASTING_S = 5.0
#: How long ``stop`` waits for what was received to be on disk and acknowledged.
STOP_PATIENCE_S = 2.0
#: A longer message is a reject; as large as the endpoint takes (a format may take less).
MOST_PAYLOAD = 262_144
#: Topics whose decoder's state is kept; the one heard longest ago goes first.
TOPICS_KEPT = 10_000


class Broker:
    """``run`` is the thread's body; ``stop``, ``status`` and ``acknowledge`` may be called from any thread."""

    def __init__(self, settings: Settings, *, exercise: bool = False, directory: Directory | None = None):
        check(settings, exercise)
        self.directory = directory or Directory()
        self.settings = settings
        self.name = f"broker:{settings.name}"
        self.client_id = settings.client_id or f"birddog-{settings.name}"
        self._password = read_secret(Path(settings.password_file), setting=f"broker {settings.name!r}.password_file") \
            if settings.password_file else None
        self._tls = context_of(settings)
        self.counts = dict.fromkeys(("frames", "bytes", "rejects", "redelivered", "acknowledged", "stale_results", "connects",
                                     "connect_failures", "gaps", "pauses", "refused_subscriptions"), 0)
        self.connected = False
        #: The broker has granted every subscription of ours on this connection: what is published now reaches us.
        self.subscribed = False
        self.last_error = ""
        self._in_flight = 0
        self._stop = threading.Event()
        self._results: deque[Any] = deque()
        self._wake_read: socket.socket | None = None
        self._wake_write: socket.socket | None = None

    def run(self, intake: Intake) -> None:
        """Connect, take messages until the connection is lost, wait, connect again; until ``stop``."""
        self._wake_read, self._wake_write = socket.socketpair()
        with self._wake_read, self._wake_write:
            self._wake_read.setblocking(False)
            self._wake_write.setblocking(False)
            self._run(intake)

    def _run(self, intake: Intake) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        while not self._stop.is_set():
            line = _Line(self, intake)
            try:
                line.connect()
                line.serve(backoff)
            except (OSError, ValueError) as error:  # ValueError: UnicodeError of a host name, paho's word for a wrong host
                short = self.connected and backoff.failures >= 2
                self._failed(f"{error}{f'; does another program use the client id {self.client_id}?' if short else ''}")
            except Exception as error:  # boundary: paho raises whatever a malformed packet makes it; nothing is acknowledged
                log.exception("%s: the client failed", self.name)
                self._failed(f"{type(error).__name__}: {error}")
            finally:
                line.close()
                self.connected = self.subscribed = False
                self._in_flight = 0
            self._stop.wait(backoff.next_s())

    def stop(self) -> None:
        """Ask ``run`` to end: it acknowledges what gets on disk within two seconds, then says goodbye."""
        self._stop.set()
        self._wake()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread: only queues them."""
        self._results.extend(result.frame.receipt for result in results)
        self._wake()

    def status(self) -> dict[str, Any]:
        """Counters; ``in_flight`` messages were received and are not acknowledged yet."""
        return self.counts | {"connected": self.connected, "subscribed": self.subscribed,
                              "reconnects": max(self.counts["connects"] - 1, 0), "in_flight": self._in_flight,
                              "last_error": self.last_error}

    def _wake(self) -> None:
        if self._wake_write is not None:
            with suppress(OSError):  # it is awake (the pair's buffer is full of such bytes), or has ended
                self._wake_write.send(b"x")

    def _failed(self, words: str) -> None:
        if self.connected:
            self.counts["gaps"] += 1
        else:
            self.counts["connect_failures"] += 1
        if words != self.last_error or self.connected:
            log.warning("%s: %s", self.name, words)
        self.last_error = words


class _Line:
    """One connection."""

    def __init__(self, owner: Broker, intake: Intake):
        self.owner, self.intake = owner, intake
        self._client = self._make()
        self._got: list[Frame] = []
        self._order: deque[int] = deque()
        self._lap = self._last_mid = 0
        self._done: set[int] = set()
        self._outstanding = 0
        self._topics: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._refused = ""
        self._since_s = 0.0
        self._asked_room = False

    def _make(self) -> Any:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        own = self.owner.settings
        five = own.protocol == "5"
        session: dict[str, Any] = {} if five else {"clean_session": False}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.owner.client_id, manual_ack=True,
                             protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311, **session)
        client.connect_timeout = CONNECT_S
        if own.username:
            client.username_pw_set(own.username, self.owner._password)
        if self.owner._tls is not None:
            client.tls_set_context(self.owner._tls)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect
        return client

    # --- the loop --------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the socket and send CONNECT.

        Raises:
            OSError, ValueError
        """
        own = self.owner.settings
        more: dict[str, Any] = {}
        if own.protocol == "5":
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            asks = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho states no type there
            asks.SessionExpiryInterval = own.session_s
            asks.ReceiveMaximum = min(max(2 * own.batch, 20), 65_535)
            more = {"clean_start": False, "properties": asks}
        self._client.connect(own.host, own.port, keepalive=own.keepalive_s, **more)

    def serve(self, backoff: Backoff) -> None:
        """Take messages and send acknowledgements until ``stop``.

        Raises:
            OSError: the connection was lost or refused.
        """
        owner, sock = self.owner, self._client.socket()
        assert owner._wake_read is not None and sock is not None
        give_up_s = time.monotonic() + CONNECT_S
        with selectors.DefaultSelector() as selector:
            selector.register(owner._wake_read, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            watched = selectors.EVENT_READ
            stop_s = 0.0
            while True:
                if owner._stop.is_set():
                    # no more is read; what is with the desk may still be acknowledged
                    stop_s = stop_s or time.monotonic() + STOP_PATIENCE_S
                    if not self._outstanding or time.monotonic() > stop_s:
                        return
                reading = not stop_s and len(self._got) < 4 * owner.settings.batch
                wanted = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self._client.want_write() else 0)
                if wanted != watched:
                    if not wanted:
                        selector.unregister(sock)
                    elif not watched:
                        selector.register(sock, wanted)
                    else:
                        selector.modify(sock, wanted)
                    watched = wanted
                unread = reading and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
                ready = {key.fileobj: events for key, events in selector.select(0.0 if unread else 0.1 if stop_s else 1.0)}
                if owner._wake_read in ready:
                    owner._wake_read.recv(65_536)
                if unread or ready.get(sock, 0) & selectors.EVENT_READ:
                    self._read()
                self._acknowledge()
                if self._client.want_write():
                    self._must(self._client.loop_write())
                self._must(self._client.loop_misc())
                self._hand_over()
                if owner.connected:
                    # two programs with one client id throw each other out: only a line that lasts ends the back-off
                    if time.monotonic() - self._since_s > LASTING_S:
                        backoff.reset()
                elif time.monotonic() > give_up_s:
                    raise TimeoutError(f"the broker did not answer CONNECT within {CONNECT_S:.0f} s")

    def close(self) -> None:
        """Say goodbye if there is still somebody to say it to, and end the sessions."""
        self._client.disconnect()  # leaves the session at the broker
        finished = ""
        if self._client.socket() is not None:
            if self.owner._stop.is_set() and not self._order and not self._got:
                finished = self.owner.name  # the broker has our word for everything: it has nothing to repeat of these sessions
            self._client.loop_write()
            sock = self._client.socket()
            if sock is not None:
                sock.close()
        for _, session in self._topics.values():
            self.intake.close_session(session, finished)
        self._topics.clear()

    def _read(self) -> None:
        """Packets while they bring messages, up to one batch."""
        for _ in range(self.owner.settings.batch):
            before = len(self._got)
            self._must(self._client.loop_read())
            if len(self._got) == before:
                return

    def _must(self, code: int) -> None:
        if code != 0:
            import paho.mqtt.client as mqtt

            raise ConnectionError(self._refused or f"connection lost: {mqtt.error_string(code)}")

    def _hand_over(self) -> None:
        batch = self.owner.settings.batch
        while self._got and not self.owner._stop.is_set():
            if not self.intake.offer(self.owner, self._got[:batch]):
                if not self._asked_room:
                    self._asked_room = True
                    self.owner.counts["pauses"] += 1
                    self.intake.when_room(self._room)
                return
            self._outstanding += len(self._got[:batch])
            del self._got[:batch]

    def _room(self) -> None:
        """Called by the intake, on whichever thread made room."""
        self._asked_room = False
        self.owner._wake()

    def _acknowledge(self) -> None:
        """Send PUBACKs in the order of receipt for what is on disk."""
        owner = self.owner
        while owner._results:
            line, mid = owner._results.popleft()
            if line is not self:
                owner.counts["stale_results"] += 1  # of a lost connection: the broker sends it again, the journal knows it
                continue
            self._outstanding -= 1
            if mid:
                self._done.add(mid)
        while self._order and self._order[0] in self._done:
            mid = self._order.popleft()
            self._done.discard(mid)
            self._client.ack(mid, 1)
            owner.counts["acknowledged"] += 1
        owner._in_flight = len(self._order)

    # --- what paho calls: they note, and never raise ------------------------------------------------

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        owner = self.owner
        if reason.is_failure:
            self._refused = f"the broker refuses us: {reason}"
            return
        owner.connected = True
        self._since_s = time.monotonic()
        owner.counts["connects"] += 1
        log.info("%s: connected, %s", owner.name, "session resumed" if flags.session_present else "new session")
        if owner.settings.protocol == "5":
            from paho.mqtt.subscribeoptions import SubscribeOptions

            # retained messages come with a new subscription only, not at each connection
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            client.subscribe([(topic.filter, options) for topic in owner.settings.topics])
        else:
            client.subscribe([(topic.filter, 1) for topic in owner.settings.topics])

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        for topic, reason in zip(self.owner.settings.topics, reasons, strict=False):
            if reason.is_failure:
                self.owner.counts["refused_subscriptions"] += 1
                self.owner.last_error = f"the broker refuses the subscription to {topic.filter}: {reason}"
                log.error("%s: %s", self.owner.name, self.owner.last_error)
        self.owner.subscribed = not any(reason.is_failure for reason in reasons)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refused = self._refused or f"connection lost: {reason}"

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        owner = self.owner
        try:
            channel, reject = message.topic, None
        except UnicodeDecodeError:
            channel, reject = "", Reject("format", "the topic is not UTF-8")
        format, session = self._of(channel)
        device = named(owner.directory, format, channel)
        payload = message.payload
        if not format:
            reject = reject or Reject("format", "no filter of ours fits this topic")
        elif not device.isprintable():
            reject = reject or Reject("identity", "a name with characters that cannot be seen")
        elif len(payload) > MOST_PAYLOAD:
            reject = Reject("size", f"{len(payload)} bytes; the first {MOST_PAYLOAD} are kept")
            payload = payload[:MOST_PAYLOAD]
        mid = message.mid if message.qos else 0
        if mid:
            self._order.append(mid)
        self._got.append(Frame(
            source=owner.name, format=format, payload=bytes(payload), received_ns=time.time_ns(), device=device,
            channel=channel, session=session, packet=self._number(mid, message.dup), dup=bool(message.dup),
            lap_known=not message.dup, reject=reject, receipt=(self, mid)))
        owner.counts["frames"] += 1
        owner.counts["bytes"] += len(payload)
        owner.counts["redelivered"] += bool(message.dup)
        owner.counts["rejects"] += reject is not None

    def _number(self, mid: int, dup: bool) -> int:
        """A packet id that comes again without DUP is another message (brokers that take the lowest free id): it counts on."""
        if mid and not dup:
            if mid <= self._last_mid:
                self._lap += LAP
            self._last_mid = mid
        return mid + self._lap if mid else 0

    def _of(self, topic: str) -> tuple[str, str]:
        """(format, session) of a topic; each topic has its own decoder's state."""
        known = self._topics.get(topic)
        if known is None:
            from paho.mqtt.client import topic_matches_sub

            format = next((t.format for t in self.owner.settings.topics if topic_matches_sub(_shared(t.filter), topic)), "")
            known = self._topics[topic] = (format, new_session(self.owner.name))
            if len(self._topics) > TOPICS_KEPT:
                self.intake.close_session(self._topics.popitem(last=False)[1][1])
        else:
            self._topics.move_to_end(topic)
        return known


def _shared(filter: str) -> str:
    """The filter inside ``$share/GROUP/FILTER``."""
    return filter.split("/", 2)[2] if filter.startswith("$share/") else filter


KIND = Kind("broker", Settings, check, lambda settings, room: Threaded(
    Broker(settings, exercise=room.exercise, directory=room.directory), room))
