"""The MQTT parser: any cut gives the same packets, no bytes make it raise, each fault has its reason.

Over 400 lines: the parser is one hot function, and its tables of faults belong beside its properties.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import mqtt_packets as mqtt
from ingest.mqtt_packets import (
    Connect,
    Disconnect,
    Filter,
    Oversized,
    Parser,
    Pingreq,
    Puback,
    Publish,
    Pubrel,
    Subscribe,
    Unsubscribe,
    Will,
)


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


def connect(client_id: bytes | str = "tag1", *, level=4, flags=2, name="MQTT", properties=b"\0", rest=b"") -> bytes:
    v5 = properties if level == 5 else b""
    return packet(0x10, text(name) + bytes((level, flags, 0, 60)) + v5 + text(client_id) + rest)


def props(*parts: bytes) -> bytes:
    whole = b"".join(parts)
    return mqtt.varint(len(whole)) + whole


def read(level: int, data: bytes, **how) -> tuple[list, Parser]:
    """What comes after an accepted CONNECT."""
    parser = Parser(**how)
    assert len(parser.feed(connect(level=level))) == 1
    return parser.feed(data), parser


# --- what is read -----------------------------------------------------------------------------------

TOPIC = "birddog/v1/tag1/toy"


@pytest.mark.parametrize(
    ("level", "data", "expected"),
    [
        (4, packet(0x30, text(TOPIC) + b"hello"), Publish(TOPIC, b"hello")),
        (4, packet(0x30, text(TOPIC)), Publish(TOPIC, b"")),
        (4, packet(0x3B, text(TOPIC) + b"\x12\x34hello"), Publish(TOPIC, b"hello", 1, 0x1234, True, True)),
        (4, packet(0x32, text("a") + b"\0\1" + bytes(20_000)), Publish("a", bytes(20_000), 1, 1)),
        (5, packet(0x32, text(TOPIC) + b"\0\1\0hello"), Publish(TOPIC, b"hello", 1, 1)),
        (
            5,
            packet(0x30, text("\u00fc/\U0001f69a") + props(b"\x01\1", b"\x02\0\0\0\x09", b"\x03" + text("x/y"),
                   b"\x08" + text("re"), b"\x09" + text(b"\xff\0"), *[b"\x26" + text("k") + text("v")] * 2) + b"\0raw"),
            Publish("\u00fc/\U0001f69a", b"\0raw"),
        ),
        (4, packet(0x82, b"\0\7" + text("a/#") + b"\1" + text("b") + b"\2"), Subscribe(7, (Filter("a/#", 1), Filter("b", 2)))),
        (5, packet(0x82, b"\0\7\0" + text("a") + b"\x2d"), Subscribe(7, (Filter("a", 1),))),
        (4, packet(0xA2, b"\0\7" + text("a") + text("b")), Unsubscribe(7, ("a", "b"))),
        (5, packet(0xA2, b"\0\7" + props(b"\x26" + text("k") + text("v")) + text("a")), Unsubscribe(7, ("a",))),
        (4, packet(0x40, b"\0\7"), Puback(7)),
        (5, packet(0x40, b"\0\7\x10"), Puback(7, 0x10)),
        (5, packet(0x40, b"\0\7\x87" + props(b"\x1f" + text("no"))), Puback(7, 0x87)),
        (4, packet(0x3C, text("a") + b"\0\1x"), Publish("a", b"x", 2, 1, True)),
        (5, packet(0x34, text("a") + b"\0\1\0x"), Publish("a", b"x", 2, 1)),
        (4, packet(0x62, b"\0\7"), Pubrel(7)),
        (5, packet(0x62, b"\0\7\x92"), Pubrel(7)),
        (5, packet(0x62, b"\0\7\0" + props(b"\x1f" + text("why"))), Pubrel(7)),
        (4, b"\xc0\0", Pingreq()),
        (4, b"\xe0\0", Disconnect()),
        (5, b"\xe0\1\4", Disconnect(4)),
        (5, packet(0xE0, b"\x8e" + props(b"\x11\0\0\0\0", b"\x1f" + text("why"))), Disconnect(0x8E)),
    ],
)
def test_read(level, data, expected):
    packets, parser = read(level, data)
    assert packets == [expected]
    assert parser.error is None and not parser.unfinished


def test_connect_311():
    raw = connect("tag1", flags=0xF6, rest=text("w/t") + text(b"\0gone") + text("jan") + text(b"\xffpw"))
    assert Parser().feed(raw) == [
        Connect(level=4, client_id="tag1", clean=True, keepalive_s=60, will=Will("w/t", b"\0gone", 2, True),
                username="jan", password=b"\xffpw")
    ]


def test_connect_5():
    properties = props(b"\x11\0\0\0\x3c", b"\x21\0\x14", b"\x27\0\1\0\0", b"\x22\0\5", b"\x17\1", b"\x19\0",
                       b"\x15" + text("SCRAM"), b"\x16" + text(b"\0"), b"\x26" + text("k") + text("v"))
    will = props(b"\x18\0\0\0\5", b"\x01\0") + text("w/t") + text(b"gone")
    (found,) = Parser().feed(connect("tag1", level=5, flags=0x0C, properties=properties, rest=will))
    assert found == Connect(
        level=5, client_id="tag1", clean=False, keepalive_s=60, will=Will("w/t", b"gone", 1, False),
        properties={0x11: 60, 0x21: 20, 0x27: 65_536, 0x22: 5, 0x17: 1, 0x19: 0, 0x15: "SCRAM", 0x16: b"\0"},
    )


def test_topic_aliases():
    def aliased(topic: str, alias: int) -> bytes:
        return packet(0x30, text(topic) + props(b"\x23" + struct.pack(">H", alias)) + b"x")

    asked = [("a", 1), ("b", 2), ("", 1), ("c", 1), ("", 1), ("", 2)]
    packets, parser = read(5, b"".join(aliased(*a) for a in asked), alias_maximum=2)
    assert [p.topic for p in packets] == ["a", "b", "a", "c", "c", "b"]
    assert parser.feed(aliased("", 3)) == [] and parser.error.code == mqtt.BAD_ALIAS
    _, fresh = read(5, aliased("", 1), alias_maximum=2)
    assert fresh.error.code == mqtt.PROTOCOL


def test_largest_packet_taken():
    fits = packet(0x30, text("a") + bytes(1024 - 6))
    assert len(fits) == 1024
    packets, parser = read(4, fits + packet(0x30, text("a") + bytes(1024 - 5)) + fits, max_packet=1024)
    # MQTT 3.1 and 3.1.1 know no limit: what is behind the message must get through
    assert packets[1] == Oversized("a", b"", size=1025) and packets[2] == packets[0] and parser.error is None
    fits = packet(0x30, text("a") + b"\0" + bytes(1024 - 7))
    packets, parser = read(5, fits + packet(0x30, text("a") + b"\0" + bytes(1024 - 6)) + fits, max_packet=1024)
    assert len(packets) == 1
    assert parser.error.code == mqtt.TOO_LARGE and parser.error.reason == "size"
    # it is refused by its length alone: nobody waits for, or keeps, what is too large
    assert read(5, b"\x30\xff\xff\xff\x7f", max_packet=1024)[1].error.code == mqtt.TOO_LARGE


@pytest.mark.parametrize("level", [3, 4])
@pytest.mark.parametrize(
    ("first", "behind_topic", "expected"),
    [
        (0x30, b"", Oversized("t" * 300, b"", size=0)),
        (0x33, b"\x12\x34", Oversized("t" * 300, b"", 1, 0x1234, False, True, 0)),
        (0x3C, b"\0\7", Oversized("t" * 300, b"", 2, 7, True, False, 0)),
    ],
)
def test_an_oversized_message_is_read_to_its_end_and_not_kept(level, first, behind_topic, expected):
    whole = packet(first, text("t" * 300) + behind_topic + bytes(100_000))
    expected.size = len(whole)
    stream = whole + b"\xc0\0" + whole + packet(0x30, text("ok") + b"x")
    for step in (1, 7, 301, 4096, len(stream)):
        parser = Parser(max_packet=200)
        (hello,) = parser.feed(connect(level=level, name="MQIsdp" if level == 3 else "MQTT"))
        assert hello.level == level
        found, held = [], 0
        for at in range(0, len(stream), step):
            found += parser.feed(stream[at : at + step])
            held = max(held, len(parser._buffer or b""))
        assert found == [expected, Pingreq(), expected, Publish("ok", b"x")] and not parser.unfinished
        assert held < 400 + step


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize("step", [1, 7, 311, 4096, 1_000_000])
def test_an_oversized_message_of_a_client_that_was_told_no_limit(alias, step):
    """MQTT 5: its properties say which topic, and come with the head."""
    more = props(b"\x23\0\1" + b"\x26" + text("k") + text("v" * 100))
    short = packet(0x30, text("t" * 20) + more + b"x")
    whole = packet(0x32, text("" if alias else "t" * 20) + b"\0\5" + more + bytes(100_000))
    parser = Parser(max_packet=200, alias_maximum=1)
    parser.feed(connect(level=5))
    parser.told = False
    stream, found = short + whole + b"\xc0\0" + whole + short, []
    for at in range(0, len(stream), step):
        found += parser.feed(stream[at : at + step])
        assert len(parser._buffer or b"") < 400 + step
    large = Oversized("t" * 20, b"", 1, 5, False, False, len(whole))
    assert found == [Publish("t" * 20, b"x"), large, Pingreq(), large, Publish("t" * 20, b"x")] and parser.error is None


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        (b"\xff\xff\x03" + bytes(70_000), mqtt.TOO_LARGE),  # properties that are larger than any packet
        (b"\xff\xff\xff\xff\x01" + bytes(300), mqtt.MALFORMED),
        (b"\x02\x23\0" + bytes(300), mqtt.MALFORMED),
        (b"\xc8\x01" + bytes(150), mqtt.TOO_LARGE),
    ],
)
def test_an_oversized_message_with_wrong_properties(behind, code):
    parser = Parser(max_packet=100)
    parser.feed(connect(level=5))
    parser.told = False
    assert parser.feed(packet(0x30, text("a") + behind)) == []
    assert parser.error is not None and parser.error.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (packet(0x36, text("a") + b"\0\1" + bytes(300)), mqtt.MALFORMED),
        (packet(0x38, text("a") + bytes(300)), mqtt.MALFORMED),
        (packet(0x32, text("a") + b"\0\0" + bytes(300)), mqtt.PROTOCOL),
        (packet(0x30, text("a/#") + bytes(300)), mqtt.BAD_TOPIC),
        (packet(0x30, b"\xff\xff" + bytes(300)), mqtt.MALFORMED),
        (packet(0x82, b"\0\1" + bytes(300)), mqtt.TOO_LARGE),
    ],
)
def test_what_is_wrong_with_an_oversized_packet_beside_its_size(data, code):
    _, parser = read(4, data, max_packet=200)
    assert parser.error is not None and parser.error.code == code


def test_mqtt_31():
    """MQTT V3.1: DUP is a flag of SUBSCRIBE, UNSUBSCRIBE and PUBREL too, and CONNECT's length beats its flags."""
    parser = Parser()
    raw = connect(level=3, name="MQIsdp", flags=0xC3)  # bits that later versions reserve are not used
    (hello,) = parser.feed(b"\x14" + raw[1:])
    assert hello == Connect(level=3, client_id="tag1", clean=True, keepalive_s=60)
    assert parser.feed(packet(0x8A, b"\0\7" + text("a") + b"\1") + packet(0xAA, b"\0\7" + text("a")) + packet(0x6A, b"\0\7")
                       + packet(0x32, text("a") + b"\0\1x")) == [
        Subscribe(7, (Filter("a", 1),)), Unsubscribe(7, ("a",)), Pubrel(7), Publish("a", b"x", 1, 1)]
    assert parser.error is None


# --- what is refused ----------------------------------------------------------------------------------

M, P = mqtt.MALFORMED, mqtt.PROTOCOL
PUB = text("a") + b"\0\1"

FAULTS = {
    "length of five bytes": (0, b"\x30\x80\x80\x80\x80\x01", M),
    "length not in its shortest form": (0, b"\xc0\x80\x00", M),
    "type 0": (0, b"\x00\x00", P),
    "CONNACK from a client": (0, packet(0x20, b"\0\0"), P),
    "SUBACK from a client": (0, packet(0x90, b"\0\1\0"), P),
    "PINGRESP from a client": (0, b"\xd0\0", P),
    "PUBREL without its flag": (0, packet(0x60, b"\0\1"), M),
    "PUBREL cut": (0, packet(0x62, b"\1"), M),
    "PUBREL packet id 0": (0, packet(0x62, b"\0\0"), P),
    "PUBREL too long, 3.1.1": (4, packet(0x62, b"\0\1\0"), M),
    "PUBREL with an unknown reason": (5, packet(0x62, b"\0\1\x80"), P),
    "PUBREC for nothing": (0, packet(0x50, b"\0\1"), P),
    "AUTH without a method": (0, b"\xf0\0", P),
    "second CONNECT": (0, connect(), P),
    "PUBLISH without content": (0, b"\x30\0", M),
    "PUBLISH of one byte": (0, b"\x30\1\0", M),
    "PUBLISH ends in its topic": (0, packet(0x30, b"\0\5abc"), M),
    "PUBLISH topic runs into the next packet": (0, packet(0x30, b"\0\5abc") + b"\xc0\0" * 4, M),
    "PUBLISH ends in its packet id": (0, packet(0x32, text("a") + b"\0"), M),
    "PUBLISH QoS 3": (0, packet(0x36, PUB), M),
    "PUBLISH DUP with QoS 0": (0, packet(0x38, text("a")), M),
    "PUBLISH packet id 0": (0, packet(0x32, text("a") + b"\0\0" + b"\0"), P),
    "topic with +": (0, packet(0x30, text("a/+") + b"\0"), mqtt.BAD_TOPIC),
    "topic with #": (0, packet(0x30, text("#") + b"\0"), mqtt.BAD_TOPIC),
    "topic with NUL": (0, packet(0x30, text("a\0b") + b"\0"), M),
    "topic with a control character": (0, packet(0x30, text("a\nb") + b"\0"), M),
    "topic with bad UTF-8": (0, packet(0x30, text(b"a\xff") + b"\0"), M),
    "topic with an overlong form": (0, packet(0x30, text(b"\xc0\x80") + b"\0"), M),
    "topic with a surrogate": (0, packet(0x30, text(b"\xed\xa0\x80") + b"\0"), M),
    "empty topic, 3.1.1": (4, packet(0x30, text("")), mqtt.BAD_TOPIC),
    "empty topic, 5": (5, packet(0x30, text("") + b"\0"), P),
    "alias not offered": (5, packet(0x30, text("a") + props(b"\x23\0\1")), mqtt.BAD_ALIAS),
    "alias 0": (5, packet(0x30, text("a") + props(b"\x23\0\0")), mqtt.BAD_ALIAS),
    "no properties": (5, packet(0x30, text("a")), M),
    "properties run out": (5, packet(0x30, text("a") + b"\5\x01"), M),
    "property length runs out": (5, packet(0x30, text("a") + b"\x80"), M),
    "property length too long": (5, packet(0x30, text("a") + b"\x80\x80\x80\x80\1"), M),
    "property of another packet": (5, packet(0x30, text("a") + props(b"\x11\0\0\0\1")), M),
    "unknown property": (5, packet(0x30, text("a") + props(b"\x7e\0")), M),
    "property twice": (5, packet(0x30, text("a") + props(b"\x01\1", b"\x01\1")), P),
    "flag property of 2": (5, packet(0x30, text("a") + props(b"\x01\2")), P),
    "property cut": (5, packet(0x30, text("a") + props(b"\x02\0\0")), M),
    "property text cut": (5, packet(0x30, text("a") + props(b"\x03\0\5ab") + b"cdefg"), M),
    "user property with half a pair": (5, packet(0x30, text("a") + props(b"\x26" + text("k"))), M),
    "property with bad UTF-8": (5, packet(0x30, text("a") + props(b"\x03" + text(b"\xff"))), M),
    "response topic with a wildcard": (5, packet(0x30, text("a") + props(b"\x08" + text("a/#"))), mqtt.BAD_TOPIC),
    "subscription identifier in PUBLISH": (5, packet(0x30, text("a") + props(b"\x0b\1")), M),
    "SUBSCRIBE flags": (0, packet(0x80, b"\0\1\0" + text("a") + b"\0"), M),
    "SUBSCRIBE packet id 0": (0, packet(0x82, b"\0\0\0" + text("a") + b"\0"), P),
    "SUBSCRIBE nothing, 3.1.1": (4, packet(0x82, b"\0\1"), P),
    "SUBSCRIBE nothing, 5": (5, packet(0x82, b"\0\1\0"), P),
    "SUBSCRIBE without options": (4, packet(0x82, b"\0\1" + text("a")), M),
    "SUBSCRIBE QoS 3": (4, packet(0x82, b"\0\1" + text("a") + b"\3"), M),
    "SUBSCRIBE reserved bits, 3.1.1": (4, packet(0x82, b"\0\1" + text("a") + b"\4"), M),
    "SUBSCRIBE reserved bits, 5": (5, packet(0x82, b"\0\1\0" + text("a") + b"\x40"), M),
    "SUBSCRIBE retain handling 3": (5, packet(0x82, b"\0\1\0" + text("a") + b"\x30"), P),
    "SUBSCRIBE shared and no-local": (5, packet(0x82, b"\0\1\0" + text("$share/g/a") + b"\4"), P),
    "SUBSCRIBE identifier": (5, packet(0x82, b"\0\1" + props(b"\x0b\1") + text("a") + b"\0"), mqtt.NO_IDENTIFIERS),
    "SUBSCRIBE identifier 0": (5, packet(0x82, b"\0\1" + props(b"\x0b\0") + text("a") + b"\0"), P),
    "SUBSCRIBE empty filter": (4, packet(0x82, b"\0\1" + text("") + b"\0"), P),
    "SUBSCRIBE filter with NUL": (4, packet(0x82, b"\0\1" + text("\0") + b"\0"), M),
    "SUBSCRIBE filter with a control character": (4, packet(0x82, b"\0\1" + text("a\x9fb") + b"\0"), M),
    "SUBSCRIBE wildcard in a word": (4, packet(0x82, b"\0\1" + text("ab/+e") + b"\0"), mqtt.BAD_FILTER),
    "SUBSCRIBE # before the end": (4, packet(0x82, b"\0\1" + text("#/b") + b"\0"), mqtt.BAD_FILTER),
    "UNSUBSCRIBE wildcard in a word": (4, packet(0xA2, b"\0\1" + text("a#")), mqtt.BAD_FILTER),
    "empty response topic": (5, packet(0x30, text("a") + props(b"\x08" + text(""))), P),
    "PUBACK with an unknown reason": (5, packet(0x40, b"\0\1\xff\0"), P),
    "UNSUBSCRIBE flags": (0, packet(0xA0, b"\0\1" + text("a")), M),
    "UNSUBSCRIBE nothing": (4, packet(0xA2, b"\0\1"), P),
    "PINGREQ with content": (0, b"\xc0\1\0", M),
    "PINGREQ flags": (0, b"\xc1\0", M),
    "DISCONNECT flags": (0, b"\xe1\0", M),
    "DISCONNECT with content, 3.1.1": (4, b"\xe0\1\0", M),
    "DISCONNECT with an unknown reason": (5, b"\xe0\1\5", M),
    "DISCONNECT that asks for a session which CONNECT did not": (5, packet(0xE0, b"\0" + props(b"\x11\0\0\0\1")), P),
    "DISCONNECT with bytes left over": (5, packet(0xE0, b"\0\0\0"), M),
    "PUBACK cut": (0, packet(0x40, b"\1"), M),
    "PUBACK packet id 0": (0, packet(0x40, b"\0\0"), P),
    "PUBACK too long, 3.1.1": (4, packet(0x40, b"\0\1\0"), M),
}


@pytest.mark.parametrize(("level", "name"), [(lv, n) for n, (only, _, _) in FAULTS.items() for lv in (4, 5) if only in (0, lv)])
def test_fault(level, name):
    _, data, code = FAULTS[name]
    good = packet(0x30, text("ok") + (b"\0" if level == 5 else b"") + b"x")
    packets, parser = read(level, good + data + good)
    assert packets == [Publish("ok", b"x")]
    assert parser.error is not None and parser.error.code == code, parser.error
    assert parser.error.reason in ("framing", "size")
    assert parser.fault.startswith(data[:4])
    assert parser.feed(good) == []


BAD_CONNECTS = {
    "not CONNECT": (b"\xc0\0", P, b""),
    "PUBLISH first": (packet(0x30, text("a")), P, b""),
    "TLS on the plain port": (b"\x16\x03\x01", P, b""),
    "HTTP": (b"GET /", P, b""),
    "one byte of something else": (b"G", P, b""),
    "flags": (b"\x11" + connect()[1:], P, b""),
    "empty": (b"\x10\0", M, b""),
    "another protocol": (connect(name="AMQP"), mqtt.UNSUPPORTED_VERSION, b""),
    "MQTT 3.1 with the name of 3.1.1": (connect(name="MQTT", level=3), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "3.1.1 with the name of MQTT 3.1": (connect(name="MQIsdp", level=4), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "level 0x83 (an old bridge)": (connect(name="MQIsdp", level=0x83), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "level 3": (connect(level=3), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "level 6": (connect(level=6), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "level 0x84 (a bridge)": (connect(level=0x84), mqtt.UNSUPPORTED_VERSION, b"\x20\2\0\1"),
    "reserved flag": (connect(flags=3), M, b""),
    "reserved flag, 5": (connect(flags=3, level=5), M, b"\x20\3\0\x81\0"),
    "will QoS 3": (connect(flags=0x1E, rest=text("a") + text("b")), M, b""),
    "will QoS without a will": (connect(flags=0x0A), M, b""),
    "will retain without a will": (connect(flags=0x22), M, b""),
    "will to a wildcard": (connect(flags=6, rest=text("a/#") + text("b")), mqtt.BAD_TOPIC, b""),
    "will to nothing": (connect(flags=6, rest=text("") + text("b")), mqtt.BAD_TOPIC, b""),
    "will cut": (connect(flags=6, rest=text("a")), M, b""),
    "password without a user name": (connect(flags=0x42, rest=text("p")), M, b""),
    "user name with a control character": (connect(flags=0x82, rest=text("a\x01")), M, b""),
    "bytes left over": (connect(rest=b"x"), M, b""),
    "client id cut": (packet(0x10, text("MQTT") + b"\4\2\0\x3c\0\5ab"), M, b""),
    "client id with NUL": (connect("a\0"), M, b""),
    "client id with bad UTF-8": (connect(b"\xc3("), M, b""),
    "client id with a control character": (connect("a\x1b[2J", level=5), mqtt.BAD_CLIENT_ID, b"\x20\3\0\x85\0"),
    "receive maximum 0": (connect(level=5, properties=props(b"\x21\0\0")), P, b"\x20\3\0\x82\0"),
    "maximum packet 0": (connect(level=5, properties=props(b"\x27\0\0\0\0")), P, b"\x20\3\0\x82\0"),
    "session expiry twice": (connect(level=5, properties=props(*[b"\x11\0\0\0\1"] * 2)), P, b"\x20\3\0\x82\0"),
    "property of a will in CONNECT": (connect(level=5, properties=props(b"\x18\0\0\0\1")), M, b"\x20\3\0\x81\0"),
    "authentication data alone": (connect(level=5, properties=props(b"\x16\0\0")), P, b"\x20\3\0\x82\0"),
    "no properties, 5": (packet(0x10, text("MQTT") + b"\5\2\0\x3c"), M, b"\x20\3\0\x81\0"),
}


@pytest.mark.parametrize("name", BAD_CONNECTS)
def test_bad_connect(name):
    data, code, answer = BAD_CONNECTS[name]
    parser = Parser()
    assert parser.feed(data) == []
    assert parser.error is not None and parser.error.code == code, parser.error
    assert parser.error.connack == answer


def test_a_fault_keeps_only_the_head():
    _, parser = read(4, packet(0x30, text("#") + bytes(100_000)))
    assert len(parser.fault) == mqtt.KEPT_OF_FAULT


# --- properties of the parser --------------------------------------------------------------------------

_characters = st.characters(codec="utf-8", exclude_characters="+#", exclude_categories=("Cc", "Cs"))
_topics = st.text(_characters, min_size=1, max_size=20)
_ids = st.integers(1, 65_535)


def _publish(level: int):
    def build(topic, payload, number, dup):
        body = text(topic) + (struct.pack(">H", number) if number else b"") + (b"\0" if level == 5 else b"") + payload
        return (packet(0x30 | (2 | dup << 3 if number else 0), body),
                Publish(topic, payload, 1 if number else 0, number, bool(dup and number)))

    return st.builds(build, _topics, st.binary(max_size=300), _ids | st.just(0), st.booleans())


def _stream(level: int):
    v5 = b"\0" if level == 5 else b""
    others = st.sampled_from([
        (b"\xc0\0", Pingreq()),
        (packet(0x82, b"\0\7" + v5 + text("a/b") + b"\1"), Subscribe(7, (Filter("a/b", 1),))),
        (packet(0xA2, b"\0\7" + v5 + text("a/b")), Unsubscribe(7, ("a/b",))),
        (packet(0x40, b"\0\7"), Puback(7)),
    ])
    return st.lists(_publish(level) | others, max_size=12)


@st.composite
def _streams(draw):
    level = draw(st.sampled_from((4, 5)))
    parts = draw(_stream(level))
    return connect(level=level) + b"".join(raw for raw, _ in parts), [value for _, value in parts]


@given(_streams(), st.data())
@settings(max_examples=120, deadline=None)
def test_any_cut_gives_the_same_packets(stream, data):
    raw, expected = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=20)))
    parser = Parser()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += parser.feed(raw[begin:end])
    assert parser.error is None and not parser.unfinished
    assert found[1:] == expected


@given(_streams())
@settings(max_examples=60, deadline=None)
def test_byte_by_byte(stream):
    raw, expected = stream
    parser = Parser()
    found = [p for n in range(len(raw)) for p in parser.feed(raw[n : n + 1])]
    assert found[1:] == expected and not parser.unfinished


_seeds = [d for d, _, _ in BAD_CONNECTS.values()] + [connect(level=lv) + d for lv in (4, 5) for _, d, _ in FAULTS.values()]


@given(st.sampled_from(_seeds) | _streams().map(lambda s: s[0]), st.data())
@settings(max_examples=250, deadline=None)
def test_mutated_packets_never_raise_and_cuts_do_not_matter(raw, data):
    mutated = bytearray(raw)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=6)):
        mutated[at] = value
    whole = bytes(mutated)
    one, other = Parser(4096, alias_maximum=4), Parser(4096, alias_maximum=4)
    packets = one.feed(whole)
    cut = data.draw(st.integers(0, len(whole)))
    assert other.feed(whole[:cut]) + other.feed(whole[cut:]) == packets
    assert (one.error is None) == (other.error is None)
    if one.error is not None:
        assert one.error.code == other.error.code and one.error.code >= 0x80


@given(st.binary(max_size=200))
@example(b"\x30" + b"\xff" * 4)
@settings(max_examples=500, deadline=None)
def test_any_bytes_after_connect(data):
    for level in (4, 5):
        _, parser = read(level, data)
        assert parser.error is None or parser.error.code >= 0x80


@given(st.integers(0, 268_435_455))
def test_varint(value):
    raw = mqtt.varint(value)
    assert len(raw) <= 4
    # as the packet's own length: incomplete until its last byte
    parser = Parser(max_packet=300_000_000)
    assert parser.feed(connect()) and parser.feed(b"\x30" + raw[:-1]) == []
    assert parser.error is None


def test_memory_of_topics_is_bounded():
    topics: dict[bytes, str] = {}
    parser = Parser(topics=topics)
    parser.feed(connect())
    for n in range(45_000):
        parser.feed(packet(0x30, text(f"t/{n}")))
    parser.feed(packet(0x30, text("x" * 10_000)))
    assert parser.error is None and 0 < len(topics) <= 20_000 and max(map(len, topics)) < 300
