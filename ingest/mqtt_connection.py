"""One MQTT client's connection: from its bytes to frames for the desk, and back to its PUBACKs.

The parser (``ingest.mqtt_packets``) judges the protocol; what connections share (the way to the desk, who is
connected, the counters) is of whoever keeps ``ingest.mqtt_hub.Hub``: the ``Endpoint``.  All of this runs on the loop's thread.

Over 400 lines:  a connection's state is one class with slots: a thousand idle devices
shall cost little, and a message shall cross few calls.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import socket
import sys
import termios
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from birddog.model import EXERCISE_USER, LAP, SENDER_REASONS, Frame, Reject
from ingest import mqtt_packets as mqtt
from ingest.certificates import common_name, serial
from ingest.intake import Result
from ingest.mqtt_packets import Connect, Publish
from ingest.permit import may_subscribe
from ingest.sessions import find_dead_links

if TYPE_CHECKING:
    from ingest.acceptor import Caller
    from ingest.mqtt_hub import Hub

#: Why a connection is not being read.
FULL, OUTSTANDING, SLOW, ENDING, WAITING = 1, 2, 4, 8, 16
#: So many SUBACKs of one client may wait before it is not read any more.
LATE_ANSWERS = 16
#: Behind so many refused messages in a row a client is read later each time, in the end once a second.
REFUSED_RUN = 20
#: A client that has not read our answers for this long is cut off.
SLOW_S = 60.0
CLOSING_S = 5.0
#: A client that counts its packet ids anew with each connection begins with one of these: an equal one is then no sign
#: of a message that is sent again.  Others begin at random or go on (MQTT.js, esp-mqtt), and there it is one.
FRESH_IDS = 16
#: Among the first so many messages of a connection there may be some of the one before, sent again without DUP.
FIRST_MESSAGES = 4096
WRITE_BUFFER = 65_536


class Connection(asyncio.BufferedProtocol):
    """See the module's docstring.  ``identity`` is "" until CONNECT was accepted."""

    __slots__ = (
        "_acknowledged", "_at_least_once",
        "_before", "_ended", "_ending", "_endpoint", "_epoch", "_first", "_fresh_open", "_fresh_tail", "_held",
        "_largest", "_last_id", "_late", "_made", "_parser", "_refused_run", "_routes", "_said", "_sent_frames", "_since",
        "_unreleased", "_unsure", "_will", "acks", "caller", "certificate", "closing", "identity", "keepalive_s", "last_seen",
        "level", "outstanding", "refused", "serial", "session", "stored", "subscriptions", "tls", "transport", "unacknowledged",
    )

    def __init__(self, endpoint: Hub, tls: bool, caller: Caller):
        self._endpoint, self.caller = endpoint, caller
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
        self.unacknowledged = 0  # of these, QoS 1 and 2
        self.stored = self.refused = 0
        self.acks: list[bytes] = []
        self.subscriptions: frozenset[str] = frozenset()
        self._said = 0
        self._held = 0
        self._largest = 1 << 28
        self._will: mqtt.Will | None = None
        self._routes: dict[str, tuple[str, str, Reject | None, str]] = {}
        self._sent_frames = False
        self._epoch = self._last_id = 0
        self._before: tuple[int, int] | None = None
        self._unreleased: dict[int, None] = {}  # ids of QoS 2 whose PUBREL has not come, in order
        self._ending = 0  # why it will end when everything is acknowledged
        self._ended = False  # by DISCONNECT, with nothing unacknowledged, and the desk was told
        self._acknowledged = False  # something of QoS 1 or 2 was
        self._at_least_once = False  # something of QoS 1 came
        self._first = FIRST_MESSAGES
        self._late: deque[bytes] = deque()  # SUBACKs that wait
        self._refused_run = 0  # messages refused in a row
        # of the ids up to FRESH_IDS, as bits: handed over and not acknowledged; acknowledged by the last thing written;
        # either of the connection before, if that was cut just now
        self._fresh_open = self._fresh_tail = self._unsure = 0

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
        endpoint.counters.bytes_total += nbytes
        self.last_seen = endpoint.loop.time()
        if self.closing or self._ending:
            return
        packets = self._parser.feed(data)
        if packets:
            self._take(packets)
        if self._parser.error is not None and not self.closing and not self._ending:
            self._fault(self._parser.error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        endpoint = self._endpoint
        if self._parser.unfinished and not self.closing:
            endpoint.counters.truncated_total += 1
        self.closing = True
        will, self._will = self._will, None
        if will is not None and not endpoint.stopping:
            self._hand_over([Publish(will.topic, will.payload)])
        if not self._at_least_once and not self._ended:
            self._finish()  # who sent PUBREL does not send its PUBLISH again (4.3.3), so a cut leaves no doubt
        endpoint.disconnected(self, self.session if self._sent_frames and (will or not self._ended) else "")
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

    @property
    def unsure(self) -> int:
        """Of the ids up to ``FRESH_IDS``, as bits: those whose acknowledgement this client may not have."""
        return 0 if self._ended else self._fresh_open | self._fresh_tail

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
        elif self._held & (SLOW | ENDING):
            if now_s - self._since > SLOW_S:
                self._endpoint.counters.slow_clients_total += 1
                self.transport.abort()
        elif self._held:
            return
        elif not self.identity:
            if now_s - self._made > connect_timeout_s:
                self._endpoint.refuse(self, "", f"no CONNECT within {connect_timeout_s:.0f} s")
                self.close(mqtt.PROTOCOL)
        elif self.keepalive_s and now_s - self.last_seen > 1.5 * self.keepalive_s:
            self._endpoint.counters.keepalive_timeouts_total += 1
            self.close(mqtt.KEEP_ALIVE_TIMEOUT)

    def close(self, code: int) -> None:
        """End the connection; an MQTT 5 client is told why."""
        if self.closing:
            return
        self.closing = True
        self._since = self._endpoint.loop.time()
        if self.identity and self.level == 5:
            self.transport.write(mqtt.disconnect(code))
        if self._ending and self.identity:
            self._endpoint.left(self)
            if self._say_eof():
                self.transport.resume_reading()
                return
        self.transport.close()

    def _say_eof(self) -> bool:
        """End our direction only: what the client still sends is read and let go until it has seen that, or for ``CLOSING_S``.

        Closed with bytes unread, TCP would reset the connection, and the acknowledgements just written would be lost on the
        way.  False where that cannot be done: TLS, a client that is gone already or does not read.
        """
        if not self.transport.can_write_eof() or self.transport.get_write_buffer_size():
            return False
        try:
            self.transport.write_eof()
        except OSError:
            return False
        return True

    def end(self, code: int) -> None:
        """Read nothing more, and close when what was handed over before is acknowledged.

        The client would send all of it again at its next connect, and behind it the packet at which we close.
        """
        if self.closing or self._ending:
            return
        self._ending = code
        self._since = self._endpoint.loop.time()
        self.hold(ENDING)
        if not self.outstanding:
            self.close(code)

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
                if self.closing or self._ending:
                    return
            if kind is Connect:
                self._connect(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Subscribe:
                self._subscribe(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Unsubscribe:
                self._unsubscribe(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Pubrel:
                # also for an id that we do not know: the PUBREL of an earlier connection, sent again
                self._unreleased.pop(packet.packet_id, None)  # type: ignore[union-attr]
                self._answer(mqtt.pubcomp(packet.packet_id))  # type: ignore[union-attr]
            elif kind is mqtt.Oversized:
                self._oversized(packet)  # type: ignore[arg-type]
            elif kind is mqtt.Disconnect:
                self._disconnect(packet)  # type: ignore[arg-type]
            if self.closing or self._ending:
                return
        if messages:
            self._hand_over(messages)
        if pings and not self.closing:
            self._answer(mqtt.PINGRESP_BYTES * pings)

    def _answer(self, packet: bytes) -> None:
        """Write something that is no acknowledgement of a message."""
        self._fresh_tail = 0
        self.transport.write(packet)

    def _disconnect(self, packet: mqtt.Disconnect) -> None:
        """A client that says DISCONNECT and has every acknowledgement has nothing of this session to repeat (4.4)."""
        if packet.code == mqtt.SUCCESS:
            self._will = None
        if packet.code in (mqtt.SUCCESS, mqtt.DISCONNECT_WITH_WILL):
            if _was_read(self.transport):
                self._finish()
        self.closing = True
        self._since = self._endpoint.loop.time()
        self.transport.close()

    def _finish(self) -> None:
        """Tell the desk that nothing of this session can be sent again, if that is so."""
        if self._acknowledged and not self.unacknowledged and not self._unreleased:
            self._ended = self._endpoint.finished(self)

    def _oversized(self, message: mqtt.Oversized) -> None:
        """A message of which nothing was kept: the record of that is what is acknowledged."""
        largest = self._endpoint.settings.max_packet
        reject = Reject("size", f"a packet of {message.size} bytes; at most {largest} are taken", device=self.identity)
        self._hand_over([message], reject)

    def _hand_over(self, messages: list[Publish], reject: Reject | None = None) -> None:
        """Make frames of messages and give them to the endpoint; ``reject`` says why all of them are refused."""
        endpoint, routes, session = self._endpoint, self._routes, self.session
        received_ns = time.time_ns()
        source = endpoint.name
        epoch, last = self._epoch, self._last_id
        allowed = endpoint.settings.receive_maximum if self.level == 5 else 1 << 30
        unacknowledged = self.unacknowledged
        frames: list[Frame] = []
        too_many = False
        may_repeat, at_least_once = self._first > 0, self._at_least_once
        for message in messages:
            topic, number, known, dup, assured, again = message.topic, message.packet_id, True, message.dup, False, False
            if number:
                # MQTT 5, 4.9: with QoS 2 a message counts until PUBREL
                if unacknowledged >= allowed or (message.qos == 2 and self._unreleased_full(number, allowed)):
                    too_many = True
                    break
                unacknowledged += 1
                if message.qos == 1:
                    at_least_once = True
                else:
                    assured, dup = True, self._take_assured(number, dup)
                if number <= FRESH_IDS:
                    again = may_repeat and self._unsure >> number & 1 == 1
                    # who begins with a low id that is no repeated one counts anew: nothing behind it is sent again either
                    may_repeat = may_repeat and (again or dup)
                    self._fresh_open |= 1 << number
                else:
                    again = may_repeat
                # A packet id that was used before on this connection is another message unless DUP says
                # otherwise; clients that take the lowest free id use 1 for ever.  The desk tells equal
                # messages apart by this number, so it counts on where the id begins anew.
                if dup:
                    number, known = self._again(number, epoch, last)
                else:
                    if number <= last:
                        epoch += LAP
                    last = number
                    number += epoch
            route = routes.get(topic) or self._route(topic)
            frame = Frame(
                source=source, format=route[0], payload=message.payload, received_ns=received_ns, device=route[3],
                subject=route[1], channel=topic, session=session, packet=number, receipt=self,
            )  # as nearly every message is
            if dup or again or assured:
                frame.dup, frame.lap_known, frame.again, frame.assured = dup, known, again and not dup, assured
            if reject is not None or route[2] is not None:
                frame.reject = reject or route[2]
            frames.append(frame)
        self._epoch, self._last_id = epoch, last
        self._at_least_once = at_least_once
        self._first = self._first - len(frames) if may_repeat else 0
        self.unacknowledged = unacknowledged
        self._offer(frames)
        if too_many:
            endpoint.counters.protocol_errors_total += 1
            self.end(mqtt.RECEIVE_MAXIMUM_EXCEEDED)

    def _unreleased_full(self, number: int, allowed: int) -> bool:
        return len(self._unreleased) >= allowed and number not in self._unreleased

    def _take_assured(self, number: int, dup: bool) -> bool:
        """A message of QoS 2: whether it is one sent again.  Until PUBREL comes an equal id is (4.3.3), also without DUP."""
        unreleased = self._unreleased
        if number in unreleased:
            return True
        unreleased[number] = None
        if len(unreleased) > self._endpoint.settings.receive_maximum:
            del unreleased[next(iter(unreleased))]
        return dup

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

    def _route(self, topic: str) -> tuple[str, str, Reject | None, str]:
        """(format, subject, why it is refused, sender) of a topic."""
        who, sender = self._endpoint.who, self.identity
        if not self.tls:
            sender = who.phone(sender, topic) or sender
        answer = who.permit(sender, topic)
        if isinstance(answer, Reject):
            # the last level is at best a format's name; the desk only keeps it
            route: tuple[str, str, Reject | None, str] = (topic.rpartition("/")[2][:40], "", answer, sender)
        else:
            route = (answer[0], answer[1], None, sender)
        if len(self._routes) >= 1000:
            self._routes.clear()
        self._routes[topic] = route
        return route

    def _fault(self, error: mqtt.ProtocolError) -> None:
        """The client broke the protocol: keep what it sent, say why, end the connection."""
        endpoint = self._endpoint
        endpoint.counters.protocol_errors_total += 1
        if self.identity:
            if error.code == mqtt.TOO_LARGE and self.level == 5:
                endpoint.known.heeds_nothing(self.identity)
            self._record(Reject(error.reason, error.detail, device=self.identity), self._parser.fault)
        else:
            endpoint.refuse(self, error.client_id, error.detail)
            if error.connack:
                self.transport.write(error.connack)
        self.end(error.code)

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
        if not client_id and endpoint.exercise and not self.tls and (packet.clean or level == 5) and level > 3:
            client_id = assigned = f"guest-{secrets.token_hex(8)}"
        if self.tls and client_id != self.certificate and endpoint.who.wears(self.certificate, client_id):
            client_id = self.certificate
        self.session = endpoint.new_session()
        refusal = None
        if mqtt.AUTH_METHOD in packet.properties:
            refusal = mqtt.BAD_AUTHENTICATION_METHOD, 5, "an authentication method, of which none is offered"
        elif not client_id:
            refusal = mqtt.BAD_CLIENT_ID, 2, "no client id"
        elif len(client_id) > 256 or not client_id.isprintable():
            refusal = mqtt.BAD_CLIENT_ID, 2, "a client id that a person cannot read"
        elif self.tls and client_id != self.certificate:
            self._record(Reject("identity", "the client id is not the certificate's name", device=self.certificate),
                         client_id.encode())
            refusal = mqtt.NOT_AUTHORIZED, 5, "the client id is not the certificate's name"
        elif self.tls and endpoint.revoked(self.serial):
            refusal = mqtt.NOT_AUTHORIZED, 5, "its certificate is revoked"
        elif packet.username == EXERCISE_USER and not endpoint.exercise:
            self._record(Reject("exercise", "exercise data for a live journal", device=client_id), client_id.encode())
            refusal = mqtt.NOT_AUTHORIZED, 5, "exercise data for a live journal"
        elif not endpoint.register(client_id, self):
            refusal = mqtt.NOT_AUTHORIZED, 5, "the name of a client that has shown a certificate"
        if refusal is not None:
            endpoint.refuse(self, client_id, refusal[2])
            self.transport.write(mqtt.connack(level, refusal[0] if level == 5 else refusal[1]))
            self.close(refusal[0])
            return
        self.identity = client_id
        self._will = packet.will
        self._before = endpoint.known.epoch(client_id)
        self._unsure = endpoint.known.unsure(client_id, endpoint.loop.time())
        self.keepalive_s = float(packet.keepalive_s)
        values: dict[int, int | str] = {}
        if level == 5:
            settings = endpoint.settings
            values = {
                mqtt.RECEIVE_MAXIMUM: settings.receive_maximum, mqtt.MAXIMUM_PACKET: settings.max_packet,
                mqtt.TOPIC_ALIAS_MAXIMUM: settings.topic_alias_maximum, mqtt.WILDCARDS_AVAILABLE: 0,
                mqtt.IDENTIFIERS_AVAILABLE: 0, mqtt.SHARED_AVAILABLE: 0,
            }
            if endpoint.known.heedless(client_id):
                # paho, gmqtt and others send what is too large again at each connect, and all that is behind it waits.  With
                # no limit stated (3.2.2.3.6) such a message may be answered, with 0x97, like any other
                del values[mqtt.MAXIMUM_PACKET]
                self._parser.told = False
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
            endpoint.refuse(self, client_id, "it takes fewer bytes than our answer has")
            self.closing = True
            self._will = None
            self.transport.abort()
            return
        self.transport.write(answer)

    def _subscribe(self, packet: mqtt.Subscribe) -> None:
        refused = {3: 0, 4: 0x80, 5: mqtt.NOT_AUTHORIZED}[self.level]  # MQTT 3.1 has no word for it: nothing is ever sent there
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
        answer = mqtt.suback(self.level, packet.packet_id, codes)
        wait_s = 0.0 if self.subscriptions.issuperset([asked.text for asked in packet.filters]) else self._patience_s()
        if wait_s:
            self._late.append(answer)
            self._endpoint.loop.call_later(wait_s, self._answer_late)
            if len(self._late) >= LATE_ANSWERS:
                self.hold(WAITING)
        else:
            self._answer(answer)

    def _patience_s(self) -> float:
        return self._endpoint.known.wait_s(self.identity, self._endpoint.loop.time())

    def _answer_late(self) -> None:
        answer = self._late.popleft()
        if not self.closing and not self._ending:
            self._answer(answer)
            if not self._late and self._held & WAITING:
                self.release(WAITING)

    def _unsubscribe(self, packet: mqtt.Unsubscribe) -> None:
        codes = [mqtt.SUCCESS if text in self.subscriptions else mqtt.NO_SUBSCRIPTION_EXISTED for text in packet.filters]
        self.subscriptions -= set(packet.filters)
        self._answer(mqtt.unsuback(self.level, packet.packet_id, codes))

    # --- after the commit --------------------------------------------------------------------------

    def settled(self, result: Result) -> None:
        """The desk has brought one frame of ours to disk: prepare its PUBACK (sent by ``send_acks``)."""
        self.outstanding -= 1
        frame = result.frame
        if result.outcome == "refused":
            self.refused += 1
            self._refused_run += 1
        else:
            self.stored += 1
            self._refused_run = 0
        number = frame.packet % LAP
        if number:
            self.unacknowledged -= 1
            code = _code(result) if self.level == 5 and result.rejects else mqtt.SUCCESS
            if frame.assured:
                if code:  # 4.3.3: the id is free again, no PUBREL comes
                    self._unreleased.pop(number, None)
                self.acks.append(mqtt.pubrec(number, code))
            else:
                self.acks.append(mqtt.puback(number, code))

    def send_acks(self) -> None:
        """Write what ``settled`` prepared, in one piece, and read on where there is room again."""
        acks, self.acks = self.acks, []
        if self.closing:
            return
        if acks:
            self._acknowledged = True
            self.transport.write(b"".join(acks))
            if self._fresh_open or self._fresh_tail:
                self._note_fresh(acks)
        if self._ending and not self.outstanding:
            self.close(self._ending)
            return
        if self._refused_run > REFUSED_RUN and not self._held & WAITING:
            self.hold(WAITING)
            wait_s = min(self._refused_run * 2e-5, 1.0)
            self._endpoint.loop.call_later(wait_s, self._read_on)
        if self._held & OUTSTANDING and self.outstanding <= self._endpoint.settings.receive_maximum // 2:
            self.release(OUTSTANDING)

    def _read_on(self) -> None:
        if not self.closing and not self._ending and not self._late:
            self.release(WAITING)

    def _note_fresh(self, acks: list[bytes]) -> None:
        """Which of the ids up to ``FRESH_IDS`` were acknowledged just now."""
        self._fresh_tail = 0
        for ack in acks:
            number = ack[2] << 8 | ack[3]
            if number <= FRESH_IDS:
                self._fresh_tail |= 1 << number
        self._fresh_open &= ~self._fresh_tail

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


def _code(result: Result) -> int:
    """What a client of MQTT 5 is told of a message that was refused: of who sent it, not only something a gateway passed on."""
    device, reject = result.frame.device, result.frame.reject
    if any(r.reason in SENDER_REASONS and r.device in ("", device) for r in result.rejects):
        return mqtt.NOT_AUTHORIZED
    return mqtt.QUOTA_EXCEEDED if reject is not None and reject.reason == "size" else mqtt.SUCCESS


def _was_read(transport: Any) -> bool:
    """Whether the client's machine has everything that we wrote: it spoke last, and with it came TCP's word of that."""
    if transport.get_write_buffer_size():
        return False
    try:
        left = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except OSError:
        return True  # a system that cannot say
    return not int.from_bytes(left, sys.byteorder)
