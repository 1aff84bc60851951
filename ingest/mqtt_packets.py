"""MQTT 3.1, 3.1.1 and 5 as a server sees them, sans I/O: bytes in, packets out, and the answers as bytes.

``Parser`` takes what a client sends, cut anywhere, and gives whole packets; it knows of the protocol
what can be judged without an application: framing, reserved bits, UTF-8, properties, topic aliases,
that CONNECT comes first and once.  The first fault ends it (``Parser.error``).  Every packet::

    +--------------+----------------------------+---------------------------------------+
    | type | flags | remaining length, 1 to 4 B | variable header, (properties), payload |
    +--------------+----------------------------+---------------------------------------+

Sources: MQTT 3.1.1 and MQTT 5.0, OASIS standards (section numbers in the comments are of 5.0); MQTT V3.1
Protocol Specification, IBM and Eurotech 2010.  Stricter than asked by 3.1.1 in two points: a remaining
length must have its shortest form, and control characters in a topic or client id are refused.

MQTT 3.1 (``MQIsdp``, level 3: OwnTracks for Android at its defaults, old bridges) differs here in CONNECT, and in
that DUP is also a flag of SUBSCRIBE, UNSUBSCRIBE and PUBREL (its section 2.1).

A PUBLISH that is too large ends a connection that was told Maximum Packet Size (MQTT 5).  A client that was not told,
for the older versions have no such word, would send it again at each connect with all that stands behind it: from it
the message is read to its end without being kept and comes out as ``Oversized``.

Over 400 lines: this is the product's hot path (PUBLISH is parsed in line), which is why it is one file.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from birddog.errors import DeviceError

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)

# Reason codes of MQTT 5 (section 2.4) that this server uses.
SUCCESS, DISCONNECT_WITH_WILL, NO_SUBSCRIPTION_EXISTED = 0x00, 0x04, 0x11
MALFORMED, PROTOCOL, UNSUPPORTED_VERSION, BAD_CLIENT_ID, NOT_AUTHORIZED = 0x81, 0x82, 0x84, 0x85, 0x87
SHUTTING_DOWN, BAD_AUTHENTICATION_METHOD, KEEP_ALIVE_TIMEOUT, TAKEN_OVER = 0x8B, 0x8C, 0x8D, 0x8E
BAD_FILTER, BAD_TOPIC, PACKET_ID_NOT_FOUND = 0x8F, 0x90, 0x92
RECEIVE_MAXIMUM_EXCEEDED, BAD_ALIAS, TOO_LARGE = 0x93, 0x94, 0x95
QUOTA_EXCEEDED, NO_SHARED, NO_IDENTIFIERS, NO_WILDCARDS = 0x97, 0x9E, 0xA1, 0xA2

#: Protocol names and the levels that go with them.
_LEVELS = {b"MQIsdp": (3,), b"MQTT": (4, 5)}
_PUBACK_CODES = frozenset((SUCCESS, 0x10, 0x80, 0x83, NOT_AUTHORIZED, BAD_TOPIC, 0x91, QUOTA_EXCEEDED, 0x99))

#: How much of an offending packet is kept for the record.
KEPT_OF_FAULT = 4096
#: Topics remembered, so that an ordinary message's topic is checked once; longer ones are not remembered.
_TOPICS_KEPT, _TOPIC_KEPT_LENGTH = 20_000, 256
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOT_IN_TOPIC = re.compile("[\x00-\x1f\x7f-\x9f+#]")


class ProtocolError(DeviceError):
    """The client broke the protocol; its connection ends.

    Args:
        code: the reason code of MQTT 5 that says how.
        connack: what to answer a CONNECT with before closing, where an answer is due.
    """

    def __init__(self, code: int, detail: str, *, connack: bytes = b""):
        self.client_id = ""  # of a CONNECT, as far as it could be read
        super().__init__("size" if code == TOO_LARGE else "framing", detail)
        self.code, self.connack = code, connack


class Publish(msgspec.Struct, gc=False):
    """A message; ``packet_id`` is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    dup: bool = False
    retain: bool = False


class Oversized(Publish, gc=False):
    """A message that was too large: of its payload nothing was kept.  ``size`` is that of the whole packet."""

    size: int = 0


class Will(msgspec.Struct, frozen=True):
    """The message that a client leaves for the case that its connection breaks."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet.  ``properties`` holds those of MQTT 5 by number (user properties left out)."""

    level: int
    client_id: str
    clean: bool
    keepalive_s: int
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None
    properties: dict[int, Any] = {}


class Filter(msgspec.Struct, frozen=True):
    """One subscription asked for."""

    text: str
    qos: int


class Subscribe(msgspec.Struct, frozen=True):
    packet_id: int
    filters: tuple[Filter, ...]


class Unsubscribe(msgspec.Struct, frozen=True):
    packet_id: int
    filters: tuple[str, ...]


class Puback(msgspec.Struct, frozen=True):
    packet_id: int
    code: int = SUCCESS


class Pubrel(msgspec.Struct, frozen=True):
    packet_id: int


class Pingreq(msgspec.Struct, frozen=True):
    pass


class Disconnect(msgspec.Struct, frozen=True):
    code: int = SUCCESS


Packet = Publish | Connect | Subscribe | Unsubscribe | Puback | Pubrel | Pingreq | Disconnect

# --- properties of MQTT 5 (section 2.2.2.2): number -> (how it is written, where a client may send it) ------

USER_PROPERTY, SESSION_EXPIRY, ASSIGNED_CLIENT_ID, SERVER_KEEP_ALIVE = 0x26, 0x11, 0x12, 0x13
AUTH_METHOD, REASON_STRING, RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS = 0x15, 0x1F, 0x21, 0x22, 0x23
MAXIMUM_QOS, MAXIMUM_PACKET, SUBSCRIPTION_ID = 0x24, 0x27, 0x0B
WILDCARDS_AVAILABLE, IDENTIFIERS_AVAILABLE, SHARED_AVAILABLE = 0x28, 0x29, 0x2A
_WILL = 16  # no packet type: the properties inside CONNECT's will

_PROPERTIES: dict[int, tuple[str, frozenset[int]]] = {
    number: (kind, frozenset(where))
    for number, kind, *where in (
        (0x01, "flag", PUBLISH, _WILL),
        (0x02, "u32", PUBLISH, _WILL),
        (0x03, "text", PUBLISH, _WILL),
        (0x08, "topic", PUBLISH, _WILL),
        (0x09, "binary", PUBLISH, _WILL),
        (SUBSCRIPTION_ID, "varint", SUBSCRIBE),
        (SESSION_EXPIRY, "u32", CONNECT, DISCONNECT),
        (AUTH_METHOD, "text", CONNECT),
        (0x16, "binary", CONNECT),
        (0x17, "flag", CONNECT),
        (0x18, "u32", _WILL),
        (0x19, "flag", CONNECT),
        (REASON_STRING, "text", PUBACK, PUBREL, DISCONNECT),
        (RECEIVE_MAXIMUM, "u16", CONNECT),
        (TOPIC_ALIAS_MAXIMUM, "u16", CONNECT),
        (TOPIC_ALIAS, "u16", PUBLISH),
        (USER_PROPERTY, "pair", CONNECT, PUBLISH, _WILL, PUBACK, PUBREL, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT),
        (MAXIMUM_PACKET, "u32", CONNECT),
    )
}
_NEVER_ZERO = {SUBSCRIPTION_ID: PROTOCOL, RECEIVE_MAXIMUM: PROTOCOL, MAXIMUM_PACKET: PROTOCOL, TOPIC_ALIAS: BAD_ALIAS}


class Parser:
    """Bytes of one connection in, packets out.

    Args:
        max_packet: bytes of the largest packet taken, its header included.
        alias_maximum: topic aliases offered to an MQTT 5 client; 0 = none.
        topics: checked topics by their bytes; connections may share one dict.

    ``told`` says whether a client of MQTT 5 was told ``max_packet``; whoever answers its CONNECT may unset it.
    """

    __slots__ = (
        "_aliases", "_buffer", "_lasting", "_need", "_passed_over", "_skip", "_topics",
        "alias_maximum", "error", "fault", "level", "max_packet", "told",
    )  # fmt: skip

    def __init__(self, max_packet: int = 262_144, *, alias_maximum: int = 0, topics: dict[bytes, str] | None = None):
        self.max_packet, self.alias_maximum = max_packet, alias_maximum
        self.level = 0
        self.told = True
        self.error: ProtocolError | None = None
        self.fault = b""
        self._buffer: bytearray | None = None
        self._need = 2
        self._topics: dict[bytes, str] = {} if topics is None else topics
        self._aliases: dict[int, str] | None = None
        self._passed_over: Oversized | None = None
        self._skip = 0  # bytes of it that are still to come
        self._lasting = False  # CONNECT asked for a session that outlives the connection

    def feed(self, data: bytes) -> list[Packet]:
        """The packets completed by these bytes, in order; never raises.

        After a fault ``error`` says what it was, ``fault`` holds the head of the offending packet,
        and nothing more is given.
        """
        if self.error is not None:
            return []
        buffer = self._buffer
        if buffer is not None:
            buffer += data
            if len(buffer) < self._need:
                return []
            data = bytes(buffer)
            self._buffer = None
        out: list[Packet] = []
        pos, size = 0, len(data)
        if self._passed_over is not None:
            pos = self._pass_over(size, out)
            if self._passed_over is not None:
                return out
        topics, level, largest = self._topics, self.level, self.max_packet
        try:
            if not level and size and (data[0] & 0xF0 != CONNECT << 4 or data[0] & 6 == 6):
                # a TLS or HTTP client on the wrong port: say so before its "length" has come in
                raise ProtocolError(PROTOCOL, "the first packet is not CONNECT")
            while size - pos >= 2:
                first = data[pos]
                length = data[pos + 1]
                head = pos + 2
                if length > 127:
                    length, head = _remaining(data, pos + 1, size)
                    if not head:
                        self._need = size - pos + 1
                        break
                end = head + length
                if end - pos > largest:
                    if first & 0xF0 != 0x30 or not level or (level == 5 and self.told):
                        raise ProtocolError(TOO_LARGE, f"a packet of {end - pos} bytes; at most {largest} are taken")
                    if not self._too_large(first, data, pos, head, end):
                        break
                    pos += self._pass_over(size - pos, out)
                    if self._passed_over is not None:
                        return out
                    continue
                if end > size:
                    self._need = end - pos
                    break
                if first & 0xF0 == 0x30 and level:
                    qos = first >> 1 & 3
                    if length < 2:
                        raise ProtocolError(MALFORMED, "PUBLISH without a topic")
                    at = head + 2 + (data[head] << 8 | data[head + 1])
                    packet_id = 0
                    if qos:
                        if qos == 3:
                            raise ProtocolError(MALFORMED, "PUBLISH with QoS 3")
                        raw = data[head + 2 : at]
                        at += 2
                        if at > end:
                            raise ProtocolError(MALFORMED, "PUBLISH ends within its header")
                        packet_id = data[at - 2] << 8 | data[at - 1]
                        if not packet_id:
                            raise ProtocolError(PROTOCOL, "PUBLISH with packet id 0")
                    else:
                        if at > end:
                            raise ProtocolError(MALFORMED, "PUBLISH ends within its topic")
                        if first & 8:
                            raise ProtocolError(MALFORMED, "PUBLISH with DUP and QoS 0")
                        raw = data[head + 2 : at]
                    topic = topics.get(raw)
                    if topic is None:
                        topic = self._topic(raw)
                    if level == 5:
                        if at < end and not data[at] and topic:
                            at += 1
                        else:
                            topic, at = self._publish_properties(topic, data, at, end)
                    out.append(Publish(topic, data[at:end], qos, packet_id, first & 8 != 0, first & 1 != 0))
                else:
                    out.append(self._other(first, data, head, end))
                    level = self.level
                pos = end
            else:
                self._need = 2
        except ProtocolError as error:
            self.error, self.fault = error, data[pos : pos + KEPT_OF_FAULT]
            self._buffer = None
            return out
        if pos < size:
            self._buffer = bytearray(data[pos:]) if pos else bytearray(data)
        return out

    @property
    def unfinished(self) -> bool:
        """Whether a packet has begun that is not complete."""
        return self._buffer is not None or self._passed_over is not None

    def _too_large(self, first: int, data: bytes, pos: int, head: int, end: int) -> bool:
        """Read the head of a message that will not be kept; False where more of the head must come first."""
        qos, size = first >> 1 & 3, len(data)
        if qos == 3:
            raise ProtocolError(MALFORMED, "PUBLISH with QoS 3")
        if not qos and first & 8:
            raise ProtocolError(MALFORMED, "PUBLISH with DUP and QoS 0")
        need = head + 2 if size < head + 2 else head + 2 + (data[head] << 8 | data[head + 1]) + (2 if qos else 0)
        if need > end:
            raise ProtocolError(MALFORMED, "PUBLISH ends within its header")
        if size < need:
            self._need = need - pos
            return False
        at = need - 2 if qos else need
        packet_id = data[at] << 8 | data[at + 1] if qos else 0
        if qos and not packet_id:
            raise ProtocolError(PROTOCOL, "PUBLISH with packet id 0")
        raw = data[head + 2 : at]
        topic = self._topics.get(raw) or self._topic(raw)
        if self.level == 5:
            # they may make the message so large themselves: then it is not known which topic an alias stands for
            length, start = _remaining(data, need, min(size, end))
            if start and start + length - pos > self.max_packet:
                raise ProtocolError(TOO_LARGE, f"properties of {length} bytes; a packet has at most {self.max_packet}")
            if start and start + length > end:
                raise ProtocolError(MALFORMED, "the packet ends within its properties")
            if not start or start + length > size:
                self._need = (start + length if start else size + 1) - pos
                return False
            topic, _ = self._publish_properties(topic, data, need, end)
        self._passed_over = Oversized(topic, b"", qos, packet_id, first & 8 != 0, first & 1 != 0, end - pos)
        self._skip = end - pos
        return True

    def _pass_over(self, available: int, out: list[Packet]) -> int:
        """Let go of what has come of the oversized message; how many bytes these were."""
        assert self._passed_over is not None
        gone = min(available, self._skip)
        self._skip -= gone
        if not self._skip:
            out.append(self._passed_over)
            self._passed_over = None
        return gone

    def _topic(self, raw: bytes) -> str:
        topic = _text(raw)
        if not topic:
            if self.level == 5:
                return ""  # an alias must follow
            raise ProtocolError(BAD_TOPIC, "PUBLISH with an empty topic")
        _check_topic(topic)
        if len(raw) <= _TOPIC_KEPT_LENGTH:
            if len(self._topics) >= _TOPICS_KEPT:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _publish_properties(self, topic: str, data: bytes, at: int, end: int) -> tuple[str, int]:
        properties, at = _properties(data, at, end, PUBLISH)
        alias = properties.get(TOPIC_ALIAS)
        if alias is not None:
            if alias > self.alias_maximum:
                raise ProtocolError(BAD_ALIAS, f"topic alias {alias}; at most {self.alias_maximum} were offered")
            if self._aliases is None:
                self._aliases = {}
            if topic:
                self._aliases[alias] = topic
            else:
                topic = self._aliases.get(alias, "")
        if not topic:
            raise ProtocolError(PROTOCOL, "PUBLISH with neither a topic nor a known alias")
        return topic, at

    def _other(self, first: int, data: bytes, at: int, end: int) -> Packet:
        kind, flags, level = first >> 4, first & 15, self.level
        if kind == CONNECT:
            if level:
                raise ProtocolError(PROTOCOL, "a second CONNECT")
            return self._connect(flags, data, at, end)
        acknowledged = kind in (SUBSCRIBE, UNSUBSCRIBE, PUBREL)
        if flags & ~8 != 2 if acknowledged and level == 3 else flags != (2 if acknowledged else 0):
            raise ProtocolError(MALFORMED, f"reserved flags {flags:#x} in packet type {kind}")
        if kind == PINGREQ:
            if at != end:
                raise ProtocolError(MALFORMED, "PINGREQ with content")
            return Pingreq()
        if kind == DISCONNECT:
            return self._disconnect(data, at, end)
        if kind in (SUBSCRIBE, UNSUBSCRIBE, PUBACK, PUBREL):
            if end - at < 2:
                raise ProtocolError(MALFORMED, "no packet id")
            packet_id = data[at] << 8 | data[at + 1]
            if not packet_id:
                raise ProtocolError(PROTOCOL, "packet id 0")
            at += 2
            if kind == PUBACK:
                return self._puback(packet_id, data, at, end)
            if kind == PUBREL:
                return self._pubrel(packet_id, data, at, end)
            if level == 5:
                properties, at = _properties(data, at, end, kind)
                if SUBSCRIPTION_ID in properties:
                    raise ProtocolError(NO_IDENTIFIERS, "a subscription identifier, which is not offered")
            if at >= end:
                raise ProtocolError(PROTOCOL, "no topic filter")
            return self._filters(kind, packet_id, data, at, end)
        raise ProtocolError(PROTOCOL, f"packet type {kind} is not for a client to send here")

    def _filters(self, kind: int, packet_id: int, data: bytes, at: int, end: int) -> Packet:
        filters: list[Filter] = []
        while at < end:
            raw, at = _binary(data, at, end)
            text = _text(raw)
            if not text:
                raise ProtocolError(PROTOCOL, "an empty topic filter")
            options = 0
            if kind == SUBSCRIBE:
                if at >= end:
                    raise ProtocolError(MALFORMED, "a topic filter without options")
                options = data[at]
                at += 1
                if options & 3 == 3 or options & (0xC0 if self.level == 5 else 0xFC):
                    raise ProtocolError(MALFORMED, f"subscription options {options:#x}")
                if options & 0x30 == 0x30 or (options & 4 and text.startswith("$share/")):
                    raise ProtocolError(PROTOCOL, f"subscription options {options:#x}")
            if _CONTROL.search(text):
                raise ProtocolError(MALFORMED, "a control character in a topic filter")
            if self.level < 5 and not filter_is_valid(text):
                # MQTT 5 has a reason code for this one filter (BAD_FILTER)
                raise ProtocolError(BAD_FILTER, "a wildcard that does not stand alone in its level")
            filters.append(Filter(text, options & 3))
        if kind == SUBSCRIBE:
            return Subscribe(packet_id, tuple(filters))
        return Unsubscribe(packet_id, tuple(f.text for f in filters))

    def _puback(self, packet_id: int, data: bytes, at: int, end: int) -> Puback:
        if at == end:
            return Puback(packet_id)
        if self.level != 5:
            raise ProtocolError(MALFORMED, "PUBACK of a wrong length")
        code, at = data[at], at + 1
        if code not in _PUBACK_CODES:
            raise ProtocolError(PROTOCOL, f"PUBACK with reason {code:#x}")
        _to_end(data, at, end, PUBACK)
        return Puback(packet_id, code)

    def _pubrel(self, packet_id: int, data: bytes, at: int, end: int) -> Pubrel:
        if at < end:
            if self.level != 5:
                raise ProtocolError(MALFORMED, "PUBREL of a wrong length")
            if data[at] not in (SUCCESS, PACKET_ID_NOT_FOUND):
                raise ProtocolError(PROTOCOL, f"PUBREL with reason {data[at]:#x}")
            _to_end(data, at + 1, end, PUBREL)
        return Pubrel(packet_id)

    def _disconnect(self, data: bytes, at: int, end: int) -> Disconnect:
        if at == end:
            return Disconnect()
        if self.level != 5:
            raise ProtocolError(MALFORMED, "DISCONNECT with content")
        code, at = data[at], at + 1
        if code not in (SUCCESS, DISCONNECT_WITH_WILL) and code < 0x80:
            raise ProtocolError(MALFORMED, f"DISCONNECT with reason {code:#x}")
        if _to_end(data, at, end, DISCONNECT).get(SESSION_EXPIRY) and not self._lasting:
            # 3.14.2.2.2
            raise ProtocolError(PROTOCOL, "DISCONNECT asks for a session that CONNECT did not ask for")
        return Disconnect(code)

    def _connect(self, fixed: int, data: bytes, at: int, end: int) -> Connect:
        name, at = _binary(data, at, end)
        if name not in _LEVELS:
            raise ProtocolError(UNSUPPORTED_VERSION, "the protocol's name is not MQTT")
        if end - at < 4:
            raise ProtocolError(MALFORMED, "CONNECT ends within its header")
        level, flags = data[at], data[at + 1]
        if level == 3:
            flags &= 0xFE  # of MQTT 3.1 these bits are "not used", in CONNECT and before it
        elif fixed:
            raise ProtocolError(PROTOCOL, "reserved flags before CONNECT")
        keepalive_s = data[at + 2] << 8 | data[at + 3]
        at += 4
        if level not in _LEVELS[name]:
            # 3.1.1, 3.1.2.2: code 0x01, whatever the level: a Mosquitto bridge sets its high bit first (try_private)
            # and connects without it when it is told so; that a level 6 would read an answer of MQTT 5 nobody knows
            error = ProtocolError(UNSUPPORTED_VERSION, f"protocol level {level:#x} of {name.decode()}; MQTT 4 and 5 and "
                                  "MQIsdp 3 are spoken", connack=connack(4, 1))
            error.client_id = _glimpse(level & 0x7F, data, at, end)
            raise error
        try:
            found = self._connect_rest(level, flags, keepalive_s, data, at, end)
        except ProtocolError as error:
            if level == 5:
                error.connack = connack(5, error.code)
            error.client_id = _glimpse(level, data, at, end)
            raise
        self.level, self._lasting = level, bool(found.properties.get(SESSION_EXPIRY))
        return found

    def _connect_rest(self, level: int, flags: int, keepalive_s: int, data: bytes, at: int, end: int) -> Connect:
        properties: dict[int, Any] = {}
        if level == 5:
            properties, at = _properties(data, at, end, CONNECT)
            if 0x16 in properties and AUTH_METHOD not in properties:
                raise ProtocolError(PROTOCOL, "authentication data without a method")
        will_qos = flags >> 3 & 3
        if flags & 1:
            raise ProtocolError(MALFORMED, "the reserved flag of CONNECT is set")
        if will_qos == 3 or (not flags & 4 and flags & 0x38):
            raise ProtocolError(MALFORMED, "the will flags of CONNECT contradict each other")
        if level < 5 and flags & 0x40 and not flags & 0x80:
            raise ProtocolError(MALFORMED, "a password without a user name")
        raw, at = _binary(data, at, end)
        client_id = _text(raw)
        if _CONTROL.search(client_id):
            raise ProtocolError(BAD_CLIENT_ID if level == 5 else MALFORMED, "a control character in the client id")
        will = username = password = None
        if flags & 4:
            if level == 5:
                _, at = _properties(data, at, end, _WILL)
            raw, at = _binary(data, at, end)
            topic = _text(raw)
            if not topic:
                raise ProtocolError(BAD_TOPIC, "a will with an empty topic")
            _check_topic(topic)
            payload, at = _binary(data, at, end)
            will = Will(topic, payload, will_qos, flags & 0x20 != 0)
        # MQTT 3.1, CONNECT: the remaining length has precedence over the flags, and either may be missing
        if flags & 0x80 and (level > 3 or at < end):
            raw, at = _binary(data, at, end)
            username = _text(raw)
            if _CONTROL.search(username):
                raise ProtocolError(MALFORMED, "a control character in the user name")
        if flags & 0x40 and (level > 3 or at < end):
            password, at = _binary(data, at, end)
        if at != end:
            raise ProtocolError(MALFORMED, "CONNECT with bytes left over")
        return Connect(
            level=level, client_id=client_id, clean=flags & 2 != 0, keepalive_s=keepalive_s, will=will,
            username=username, password=password, properties=properties,
        )


def filter_is_valid(text: str) -> bool:
    """Whether the wildcards of a topic filter each stand alone in their level, and # in the last (4.7.1)."""
    *levels, last = text.split("/")
    alone = all(level == "+" or not ("+" in level or "#" in level) for level in levels)
    return alone and (last in ("+", "#") or not ("+" in last or "#" in last))


def _glimpse(level: int, data: bytes, at: int, end: int) -> str:
    """The client id of a CONNECT that is refused, for a person to see; "" where there is none to read."""
    try:
        if level >= 5:  # behind the properties; of a level that nobody knows it is a guess
            length, at = _remaining(data, at, end)
            if not at:
                return ""
            at += length
        return _binary(data, at, end)[0].decode("utf-8", "replace")
    except ProtocolError:
        return ""


def _remaining(data: bytes, at: int, size: int) -> tuple[int, int]:
    """The variable byte integer at ``at`` and where it ends; (0, 0) where it is not complete yet."""
    value = shift = 0
    while at < size:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if not byte and shift:
                raise ProtocolError(MALFORMED, "a length that is not in its shortest form")
            return value, at
        shift += 7
        if shift == 28:
            raise ProtocolError(MALFORMED, "a length of more than four bytes")
    return 0, 0


def _binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Two bytes of length and what they announce; and where it ends."""
    if end - at < 2:
        raise ProtocolError(MALFORMED, "the packet ends within a length")
    begin = at + 2
    at = begin + (data[at] << 8 | data[at + 1])
    if at > end:
        raise ProtocolError(MALFORMED, "the packet ends within a field")
    return data[begin:at], at


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(MALFORMED, f"bad UTF-8: {error.reason}") from None
    if "\x00" in text:
        raise ProtocolError(MALFORMED, "a NUL character")
    return text


def _check_topic(topic: str) -> None:
    found = _NOT_IN_TOPIC.search(topic)
    if found:
        what = "a wildcard" if found.group() in "+#" else "a control character"
        raise ProtocolError(BAD_TOPIC if found.group() in "+#" else MALFORMED, f"{what} in the topic of a message")


def _to_end(data: bytes, at: int, end: int, kind: int) -> dict[int, Any]:
    """Optional properties that must be all that is left of a packet."""
    if at == end:
        return {}
    found, at = _properties(data, at, end, kind)
    if at != end:
        raise ProtocolError(MALFORMED, "bytes left over behind the properties")
    return found


def _properties(data: bytes, at: int, end: int, kind: int) -> tuple[dict[int, Any], int]:
    """The properties at ``at`` (their length first) by number, and where they end."""
    length, at = _remaining(data, at, end)
    if not at or at + length > end:
        raise ProtocolError(MALFORMED, "the packet ends within its properties")
    end = at + length
    found: dict[int, Any] = {}
    while at < end:
        number = data[at]
        at += 1
        how, where = _PROPERTIES.get(number, ("", frozenset()))
        if kind not in where:
            # 2.2.2.2: a property that is not valid for its packet is malformed
            raise ProtocolError(MALFORMED, f"property {number:#x} in packet type {kind}")
        value, at = _property(how, data, at, end)
        if how == "pair":
            continue
        if number in found:
            raise ProtocolError(PROTOCOL, f"property {number:#x} twice")
        if value == 0 and number in _NEVER_ZERO:
            raise ProtocolError(_NEVER_ZERO[number], f"property {number:#x} is 0")
        found[number] = value
    return found, end


def _property(how: str, data: bytes, at: int, end: int) -> tuple[Any, int]:
    if how == "varint":
        value, at = _remaining(data, at, end)
        if not at:
            raise ProtocolError(MALFORMED, "the properties end within a number")
        return value, at
    if how in ("text", "topic", "binary", "pair"):
        raw, at = _binary(data, at, end)
        if how == "binary":
            return raw, at
        text = _text(raw)
        if how == "topic":
            if not text:
                raise ProtocolError(PROTOCOL, "an empty response topic")
            _check_topic(text)
        if how == "pair":
            raw, at = _binary(data, at, end)
            _text(raw)
        return text, at
    width = {"flag": 1, "u16": 2, "u32": 4}[how]
    if end - at < width:
        raise ProtocolError(MALFORMED, "the properties end within a number")
    value = int.from_bytes(data[at : at + width], "big")
    if how == "flag" and value > 1:
        raise ProtocolError(PROTOCOL, "a flag property that is neither 0 nor 1")
    return value, at + width


# --- what the server says -----------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A variable byte integer (0 to 268,435,455)."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """A whole packet: first byte, remaining length, body."""
    return bytes((first,)) + varint(len(body)) + body


def connack(level: int, code: int, properties: bytes = b"") -> bytes:
    """CONNACK with session present 0; ``properties`` are encoded already."""
    body = bytes((0, code))
    return packet(CONNACK << 4, body + varint(len(properties)) + properties if level == 5 else body)


def properties(values: dict[int, int | str]) -> bytes:
    """The properties that a CONNACK of ours may hold, encoded without their length."""
    out = bytearray()
    for number, value in values.items():
        out.append(number)
        if isinstance(value, str):
            raw = value.encode()
            out += len(raw).to_bytes(2, "big") + raw
        elif number in (MAXIMUM_QOS, WILDCARDS_AVAILABLE, IDENTIFIERS_AVAILABLE, SHARED_AVAILABLE):
            out.append(value)
        else:
            out += value.to_bytes(4 if number in (SESSION_EXPIRY, MAXIMUM_PACKET) else 2, "big")
    return bytes(out)


def puback(packet_id: int, code: int = SUCCESS) -> bytes:
    """PUBACK; a code other than 0 only to MQTT 5."""
    if code:
        return b"\x40\x03" + packet_id.to_bytes(2, "big") + bytes((code,))
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def pubrec(packet_id: int, code: int = SUCCESS) -> bytes:
    """PUBREC, the first answer to QoS 2; with a code of 0x80 or more (MQTT 5) also the last."""
    if code:
        return b"\x50\x03" + packet_id.to_bytes(2, "big") + bytes((code,))
    return b"\x50\x02" + packet_id.to_bytes(2, "big")


def pubcomp(packet_id: int) -> bytes:
    """PUBCOMP, also for an id that we no longer know: the client then lets go of it."""
    return b"\x70\x02" + packet_id.to_bytes(2, "big")


def suback(level: int, packet_id: int, codes: list[int]) -> bytes:
    """SUBACK: one code a filter."""
    return packet(SUBACK << 4, packet_id.to_bytes(2, "big") + (b"\0" if level == 5 else b"") + bytes(codes))


def unsuback(level: int, packet_id: int, codes: list[int]) -> bytes:
    """UNSUBACK; MQTT 3.1.1 has no codes in it."""
    return packet(UNSUBACK << 4, packet_id.to_bytes(2, "big") + (b"\0" + bytes(codes) if level == 5 else b""))


def publish(level: int, topic: str, payload: bytes) -> bytes:
    """PUBLISH with QoS 0."""
    raw = topic.encode()
    return packet(PUBLISH << 4, len(raw).to_bytes(2, "big") + raw + (b"\0" if level == 5 else b"") + payload)


def disconnect(code: int) -> bytes:
    """DISCONNECT; only MQTT 5 lets a server send one."""
    return b"\xe0\x00" if not code else b"\xe0\x02" + bytes((code, 0))


PINGRESP_BYTES = b"\xd0\x00"
