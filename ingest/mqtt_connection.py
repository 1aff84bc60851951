"""One MQTT client's connection: from its bytes to frames for the desk, and back to its PUBACKs.

The parser (``ingest.mqtt_packets``) judges the protocol, the ``Endpoint`` owns what connections
share: the way to the desk, who is connected, the counters.  All of this runs on the loop's thread.

A little over 400 lines because a connection's state is one class with slots: a thousand idle devices
shall cost little, and a message shall cross few calls.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from birddog.model import EXERCISE_USER, LAP, SENDER_REASONS, Frame, Reject
from ingest import mqtt_packets as mqtt
from ingest.certificates import common_name, serial
from ingest.intake import Result
from ingest.mqtt_packets import Connect, Publish
from ingest.permit import may_subscribe
from ingest.sessions import find_dead_links

if TYPE_CHECKING:
    from ingest.endpoint import Endpoint

#: Why a connection is not being read.
FULL, OUTSTANDING, SLOW = 1, 2, 4
#: A client that has not read our answers for this long is cut off.
SLOW_S = 60.0
CLOSING_S = 5.0
WRITE_BUFFER = 65_536


class Connection(asyncio.BufferedProtocol):
    """See the module's docstring.  ``identity`` is "" until CONNECT was accepted."""

    __slots__ = (
        "_before", "_endpoint", "_epoch", "_held", "_largest", "_last_id", "_made", "_parser", "_routes", "_said",
        "_sent_frames", "_since", "_will", "acks", "certificate", "closing", "identity", "keepalive_s", "last_seen", "level",
        "outstanding", "refused", "serial", "session", "stored", "subscriptions", "tls", "transport", "unacknowledged",
    )

    def __init__(self, endpoint: Endpoint, tls: bool):
        self._endpoint = endpoint
        self._parser = mqtt.Parser(
            endpoint.settings.max_packet, alias_maximum=endpoint.settings.topic_alias_maximum, topics=endpoint.topics
        )
        self.tls = tls
        self.transport: Any = None
        self.identity = self.certificate = self.session = ""
        self.level = self.serial = 0
        self.keepalive_s = 0.0
        self.last_seen = self._made = self._since = 0.0
        self.closing = False
        self.outstanding = 0  # frames handed over and not acknowledged by the desk
        self.unacknowledged = 0  # of these, QoS 1
        self.stored = self.refused = 0
        self.acks: list[bytes] = []
        self.subscriptions: frozenset[str] = frozenset()
        self._said = 0
        self._held = 0
        self._largest = 1 << 28
        self._will: mqtt.Will | None = None
        self._routes: dict[str, tuple[str, str, Reject | None]] = {}
        self._sent_frames = False
        self._epoch = self._last_id = 0
        self._before: tuple[int, int] | None = None

    # --- asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._made = self.last_seen = self._endpoint.loop.time()
        if not self._endpoint.connected(self):
            self.closing = True
            transport.abort()  # type: ignore[attr-defined]
            return
        transport.set_write_buffer_limits(high=WRITE_BUFFER)  # type: ignore[attr-defined]
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # a client without keep-alive whose link went dead is found by the kernel
            find_dead_links(raw)
            # our answers are short; for a client that does not read them the kernel would hold megabytes
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BUFFER)
        if self.tls:
            shown = transport.get_extra_info("peercert")
            self.certificate, self.serial = common_name(shown), serial(shown)
        if self._endpoint.full:
            self.hold_full()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._endpoint.read_view

    def buffer_updated(self, nbytes: int) -> None:
        endpoint = self._endpoint
        data = bytes(endpoint.read_view[:nbytes])
        endpoint.bytes_total += nbytes
        self.last_seen = endpoint.loop.time()
        if self.closing:
            return
        packets = self._parser.feed(data)
        if packets:
            self._take(packets)
        if self._parser.error is not None and not self.closing:
            self._fault(self._parser.error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        endpoint = self._endpoint
        if self._parser.unfinished and not self.closing:
            endpoint.truncated_total += 1
        self.closing = True
        will, self._will = self._will, None
        if will is not None and not endpoint.stopping:
            self._hand_over([Publish(will.topic, will.payload)])
        endpoint.remember_epoch(self)
        endpoint.disconnected(self, self.session if self._sent_frames else "")
        self._routes.clear()
        self.acks.clear()

    def pause_writing(self) -> None:
        self._since = self._endpoint.loop.time()
        self.hold(SLOW)

    def resume_writing(self) -> None:
        self.release(SLOW)

    @property
    def epoch(self) -> tuple[int, int]:
        """How far this client's packet ids have come on this connection: (epoch, last id)."""
        return self._epoch, self._last_id

    # --- reading or not --------------------------------------------------------------------------

    def hold(self, why: int) -> None:
        """Stop reading this client's socket, for a reason."""
        if not self._held:
            self.transport.pause_reading()
        self._held |= why

    def hold_full(self) -> None:
        """The desk has no room: the endpoint calls when it has."""
        if not self.closing and not self._held & FULL:
            self.hold(FULL)
            self._endpoint.waits(self)

    def release(self, why: int) -> None:
        """That reason is gone; read again when it was the last."""
        if self._held & why:
            self._held &= ~why
            if not self._held and not self._endpoint.stopping:
                self.last_seen = self._endpoint.loop.time()
                self.transport.resume_reading()

    @property
    def held(self) -> bool:
        """Whether the socket is not being read now."""
        return self._held != 0

    def sweep(self, now_s: float, connect_timeout_s: float) -> None:
        """Called twice a second: ends the silent, the slow, and those that never said who they are."""
        self._routes.clear()  # an enrolment may have changed
        if self.closing:
            if now_s - self._since > CLOSING_S:
                self.transport.abort()
        elif self._held & SLOW:
            if now_s - self._since > SLOW_S:
                self._endpoint.slow_total += 1
                self.transport.abort()
        elif self._held:
            return
        elif not self.identity:
            if now_s - self._made > connect_timeout_s:
                self._endpoint.refused_total += 1
                self.close(mqtt.PROTOCOL)
        elif self.keepalive_s and now_s - self.last_seen > 1.5 * self.keepalive_s:
            self._endpoint.keepalive_timeouts_total += 1
            self.close(mqtt.KEEP_ALIVE_TIMEOUT)

    def close(self, code: int) -> None:
        """End the connection; an MQTT 5 client is told why."""
        if self.closing:
            return
        self.closing = True
        self._since = self._endpoint.loop.time()
        if self.identity and self.level == 5:
            self.transport.write(mqtt.disconnect(code))
        self.transport.close()

    # --- packets ---------------------------------------------------------------------------------

    def _take(self, packets: list[mqtt.Packet]) -> None:
        messages: list[Publish] = []
        pings = 0
        for packet in packets:
            kind = type(packet)
            if kind is Publish:
                messages.append(packet)  # type: ignore[arg-type]
                continue
            if kind is mqtt.Pingreq:
                pings += 1
                continue
            if messages:
                self._hand_over(messages)
                messages = []
                if self.closing:
                    return
            if kind is Connect:
                self._connect(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Subscribe:
                self._subscribe(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Unsubscribe:
                self._unsubscribe(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Disconnect:
                if packet.code == mqtt.SUCCESS:  # type: ignore[union-attr]
                    self._will = None
                self.closing = True
                self._since = self._endpoint.loop.time()
                self.transport.close()
            if self.closing:
                return
        if messages:
            self._hand_over(messages)
        if pings and not self.closing:
            self.transport.write(mqtt.PINGRESP_BYTES * pings)

    def _hand_over(self, messages: list[Publish]) -> None:
        """Make frames of messages and give them to the endpoint."""
        endpoint, routes, session = self._endpoint, self._routes, self.session
        received_ns = time.time_ns()
        source = endpoint.name
        epoch, last = self._epoch, self._last_id
        allowed = endpoint.settings.receive_maximum if self.level == 5 else 1 << 30
        unacknowledged = self.unacknowledged
        frames: list[Frame] = []
        too_many = False
        for message in messages:
            topic, number, known = message.topic, message.packet_id, True
            if number:
                if unacknowledged >= allowed:
                    too_many = True
                    break
                unacknowledged += 1
                # A packet id that was used before on this connection is another message unless DUP says
                # otherwise; clients that take the lowest free id use 1 for ever.  The desk tells equal
                # messages apart by this number, so it counts on where the id begins anew.
                if message.dup:
                    number, known = self._again(number, epoch, last)
                else:
                    if number <= last:
                        epoch += LAP
                    last = number
                    number += epoch
            route = routes.get(topic) or self._route(topic)
            frames.append(
                Frame(
                    source=source, format=route[0], payload=message.payload, received_ns=received_ns, device=route[1],
                    channel=topic, session=session, packet=number, dup=message.dup, lap_known=known, reject=route[2],
                    receipt=self,
                )
            )
        self._epoch, self._last_id = epoch, last
        self.unacknowledged = unacknowledged
        self._offer(frames)
        if too_many:
            endpoint.protocol_errors_total += 1
            self.close(mqtt.RECEIVE_MAXIMUM_EXCEEDED)

    def _offer(self, frames: list[Frame]) -> None:
        endpoint = self._endpoint
        self._sent_frames = True
        self.outstanding += len(frames)
        endpoint.take(frames)
        if self.closing:
            return
        if self.outstanding >= endpoint.settings.receive_maximum:
            self.hold(OUTSTANDING)
        if endpoint.full:
            self.hold_full()

    def _again(self, number: int, epoch: int, last: int) -> tuple[int, bool]:
        """The number that a message sent again had the first time; False where this start of the program cannot know."""
        if number > last:
            if epoch:
                epoch -= LAP
            elif self._before is None:
                return number, False
            else:
                before, last_before = self._before
                epoch = before if number <= last_before else max(before - LAP, 0)
        return number + epoch, True

    def _route(self, topic: str) -> tuple[str, str, Reject | None]:
        answer = self._endpoint.who.permit(self.identity, topic)
        if isinstance(answer, Reject):
            # the last level is at best a format's name; the desk only keeps it
            route = (topic.rpartition("/")[2][:40], self.identity, answer)
        else:
            route = (*answer, None)
        if len(self._routes) >= 1000:
            self._routes.clear()
        self._routes[topic] = route
        return route

    def _fault(self, error: mqtt.ProtocolError) -> None:
        """The client broke the protocol: keep what it sent, say why, end the connection."""
        endpoint = self._endpoint
        endpoint.protocol_errors_total += 1
        if self.identity:
            self._record(Reject(error.reason, error.detail, device=self.identity), self._parser.fault)
        elif error.connack:
            self.transport.write(error.connack)
        self.close(error.code)

    def _record(self, reject: Reject, payload: bytes) -> None:
        """Put a refusal that is not a message's into the journal."""
        self._offer([
            Frame(
                source=self._endpoint.name, format="mqtt", payload=payload, received_ns=time.time_ns(), device=reject.device,
                channel=f"client:{reject.device}", session=self.session, reject=reject, receipt=self,
            )
        ])

    def _connect(self, packet: Connect) -> None:
        endpoint, level = self._endpoint, packet.level
        self.level = level
        client_id, assigned = packet.client_id, ""
        if not client_id and endpoint.exercise and not self.tls and (packet.clean or level == 5):
            client_id = assigned = f"guest-{secrets.token_hex(8)}"
        self.session = endpoint.new_session()
        refusal = None
        if mqtt.AUTH_METHOD in packet.properties:
            refusal = mqtt.BAD_AUTHENTICATION_METHOD, 5
        elif not client_id or len(client_id) > 256 or not client_id.isprintable():
            refusal = mqtt.BAD_CLIENT_ID, 2
        elif self.tls and client_id != self.certificate:
            self._record(Reject("identity", "the client id is not the certificate's name", device=self.certificate),
                         client_id.encode())
            refusal = mqtt.NOT_AUTHORIZED, 5
        elif self.tls and endpoint.revoked(self.serial):
            refusal = mqtt.NOT_AUTHORIZED, 5
        elif packet.username == EXERCISE_USER and not endpoint.exercise:
            self._record(Reject("exercise", "exercise data for a live journal", device=client_id), client_id.encode())
            refusal = mqtt.NOT_AUTHORIZED, 5
        elif not endpoint.register(client_id, self):
            refusal = mqtt.NOT_AUTHORIZED, 5
        if refusal is not None:
            endpoint.refused_total += 1
            self.transport.write(mqtt.connack(level, refusal[0] if level == 5 else refusal[1]))
            self.close(refusal[0])
            return
        self.identity = client_id
        self._will = packet.will
        self._before = endpoint.epoch_of(client_id)
        self.keepalive_s = float(packet.keepalive_s)
        values: dict[int, int | str] = {}
        if level == 5:
            settings = endpoint.settings
            values = {
                mqtt.RECEIVE_MAXIMUM: settings.receive_maximum, mqtt.MAXIMUM_QOS: 1, mqtt.MAXIMUM_PACKET: settings.max_packet,
                mqtt.TOPIC_ALIAS_MAXIMUM: settings.topic_alias_maximum, mqtt.WILDCARDS_AVAILABLE: 0,
                mqtt.IDENTIFIERS_AVAILABLE: 0, mqtt.SHARED_AVAILABLE: 0,
            }
            self._largest = packet.properties.get(mqtt.MAXIMUM_PACKET, self._largest)
            if packet.properties.get(mqtt.SESSION_EXPIRY):
                values[mqtt.SESSION_EXPIRY] = 0
            if assigned:
                values[mqtt.ASSIGNED_CLIENT_ID] = assigned
            if not 0 < packet.keepalive_s <= settings.keepalive_max_s:
                values[mqtt.SERVER_KEEP_ALIVE] = settings.keepalive_max_s
                self.keepalive_s = float(settings.keepalive_max_s)
        answer = mqtt.connack(level, mqtt.SUCCESS, mqtt.properties(values))
        if len(answer) > self._largest:
            # a client that cannot even take this has nothing to do here, and must not be sent it
            endpoint.refused_total += 1
            self.closing = True
            self._will = None
            self.transport.abort()
            return
        self.transport.write(answer)

    def _subscribe(self, packet: mqtt.Subscribe) -> None:
        refused = mqtt.NOT_AUTHORIZED if self.level == 5 else 0x80
        codes: list[int] = []
        for asked in packet.filters:
            if may_subscribe(self.identity, asked.text):
                self.subscriptions |= {asked.text}
                codes.append(min(asked.qos, 1))
            elif self.level == 5 and not mqtt.filter_is_valid(asked.text):
                codes.append(mqtt.BAD_FILTER)
            elif self.level == 5 and asked.text.startswith("$share/"):
                codes.append(mqtt.NO_SHARED)
            elif self.level == 5 and ("+" in asked.text or "#" in asked.text):
                codes.append(mqtt.NO_WILDCARDS)
            else:
                codes.append(refused)
        self.transport.write(mqtt.suback(self.level, packet.packet_id, codes))

    def _unsubscribe(self, packet: mqtt.Unsubscribe) -> None:
        codes = [mqtt.SUCCESS if text in self.subscriptions else mqtt.NO_SUBSCRIPTION_EXISTED for text in packet.filters]
        self.subscriptions -= set(packet.filters)
        self.transport.write(mqtt.unsuback(self.level, packet.packet_id, codes))

    # --- after the commit --------------------------------------------------------------------------

    def settled(self, result: Result) -> None:
        """The desk has brought one frame of ours to disk: prepare its PUBACK (sent by ``send_acks``)."""
        self.outstanding -= 1
        frame = result.frame
        if result.outcome == "refused":
            self.refused += 1
        else:
            self.stored += 1
        number = frame.packet % LAP
        if number:
            self.unacknowledged -= 1
            if self.level == 5 and result.rejects and _sender_refused(result):
                self.acks.append(mqtt.puback(number, mqtt.NOT_AUTHORIZED))
            else:
                self.acks.append(mqtt.puback(number))

    def send_acks(self) -> None:
        """Write what ``settled`` prepared, in one piece, and read on where there is room again."""
        acks, self.acks = self.acks, []
        if self.closing:
            return
        if acks:
            self.transport.write(b"".join(acks))
        if self._held & OUTSTANDING and self.outstanding <= self._endpoint.settings.receive_maximum // 2:
            self.release(OUTSTANDING)

    def say_receipt(self, topic: str) -> None:
        """Send a receipt, if something came since the last one that was sent."""
        settled = self.stored + self.refused
        if settled != self._said and self.publish(topic, b'{"stored":%d,"refused":%d}' % (self.stored, self.refused)):
            self._said = settled

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message with QoS 0 to this client; False where it has not subscribed, does not read, or takes no such size."""
        if self.closing or topic not in self.subscriptions or self._held & SLOW:
            return False
        packet = mqtt.publish(self.level, topic, payload)
        if len(packet) > self._largest:
            return False
        self.transport.write(packet)
        return True


def _sender_refused(result: Result) -> bool:
    """Whether the message was refused for who sent it, not only something a gateway passed on."""
    device = result.frame.device
    return any(r.reason in SENDER_REASONS and r.device in ("", device) for r in result.rejects)
