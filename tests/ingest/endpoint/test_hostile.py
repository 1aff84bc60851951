"""Malformed packets on real connections: the connection ends, its reason is said, what came is on record."""

from __future__ import annotations

import random
import socket
import struct

import pytest

OWN = "birddog/v1/tag1/toy"


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"\x30\x80\x80\x80\x80\x01", 0x81, "framing"),
        (b"\x36\x05\x00\x01a\x00\x01", 0x81, "framing"),
        (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82, "framing"),
        (b"\x30\x05\x00\x02\xff\xfe\x00", 0x81, "framing"),
        (b"\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81, "framing"),
        (b"\x30\x06\x00\x03a\x00b\x00", 0x81, "framing"),
        (b"\x30\x06\x00\x03a/#\x00", 0x90, "framing"),
        (b"\xc1\x00", 0x81, "framing"),
        (b"\x82\xff\xff\x7f", 0x95, "size"),
        (b"\x62\x02\x00\x00", 0x82, "framing"),
    ],
)
def test_a_fault_ends_the_connection_and_is_recorded(serve, raw, wire, level, data, code, reason):
    served = serve()
    client = raw(served.port, "tag1", level=level)
    client.send(wire.publish(OWN, b"good", 1, level=level) + data)
    # what was stored is acknowledged before the end: else the client sends it again for ever, the fault behind it
    assert client.rest() == b"\x40\x02\x00\x01" + (bytes((0xE0, 2, code, 0)) if level == 5 else b"")
    good, bad = served.frames
    assert (good.payload, good.reject) == (b"good", None)
    assert (bad.device, bad.format, bad.reject.reason, bad.packet) == ("tag1", "mqtt", reason, 0)
    assert bad.payload == data[:4096] and bad.reject.detail
    assert served.status("protocol_errors_total") == 1
    again = raw(served.port, "tag1", level=level)
    again.publish(OWN, b"good", 2)
    assert again.pubacks(1) == [2]


def test_second_connect(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1", level=5)
    client.send(wire.connect("tag2", level=5))
    assert client.rest() == b"\xe0\x02\x82\x00"
    assert served.status("connected") == 0


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET / HTTP/1.1\r\n", b""),
        (b"\x16\x03\x01", b""),
        (b"\xc0\x00", b""),
        (b"\x10\x0c\x00\x06MQIsdp\x83\x02\x00\x3c\x00\x00", b"\x20\x02\x00\x01"),
        (b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00", b"\x20\x02\x00\x01"),
        # a Mosquitto bridge at its defaults (mosquitto#2394): told 0x01 it connects without the high bit
        (b"\x10\x16\x00\x04MQTT\x84\x00\x00\x3c\x00\x0avm.birddog", b"\x20\x02\x00\x01"),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", b""),
    ],
)
def test_strangers_leave_no_row(serve, raw, said, answer):
    served = serve()
    client = raw(served.port)
    if said[0] == 0x10:
        said = said[:1] + bytes((len(said) - 2,)) + said[2:]
    client.send(said)
    assert client.rest() == answer
    assert served.status("protocol_errors_total") == 1
    assert served.frames == []


@pytest.mark.parametrize("name", ["tag\u202e1", "tag\u200b1", "\u2066tag1", "tag1\ufeff", "tag\u20281"])
def test_an_identity_that_a_person_cannot_read_is_none(serve, raw, name):
    """Direction marks and characters of no width make one name look like another (fault F41)."""
    served = serve()
    assert raw(served.port, name).connack == (0x20, b"\0\2")
    assert raw(served.port, name, level=5).connack == (0x20, b"\0\x85\0")
    client = raw(served.port, "tag1")
    client.publish(f"birddog/v1/{name}/toy", b"x", 1)
    client.publish(f"owntracks/jan/{name}", b"x", 2)
    client.publish("birddog/v1/größe-\U0001f69a/toy", b"x", 3)
    assert client.pubacks(3) == [1, 2, 3]
    assert [f.reject and f.reject.reason for f in served.frames] == ["identity", "identity", None]
    assert served.status("connected") == 1


def test_authentication_method_is_refused(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1", level=5, properties=b"\x15" + wire.text("SCRAM-SHA-1"))
    assert client.connack == (0x20, b"\x00\x8c\x00")
    assert client.rest() == b""


def test_a_client_that_takes_next_to_nothing(serve, raw, wire):
    served = serve()
    client = raw(served.port)
    client.send(wire.connect("tag1", level=5, properties=b"\x27\0\0\0\2"))
    assert client.rest() == b""
    wire.until(lambda: served.status("connected") == 0)
    assert served.status("refused_total") == 1 and served.frames == []


def test_a_filter_that_is_none(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1", level=5)
    client.send(wire.packet(0x82, b"\0\1\0" + wire.text("a/+b") + b"\0" + wire.text("birddog/v1/tag1/receipt") + b"\0"))
    assert client.packet() == (0x90, b"\0\1\0\x8f\0")


def test_rubbish_beside_a_good_client(serve, raw, wire):
    served = serve()
    good = raw(served.port, "tag1")
    seeded = random.Random(44)
    bodies = [wire.connect("x"), wire.publish("a/b", b"x" * 40, 3), wire.packet(0x82, b"\0\1" + wire.text("a") + b"\0")]
    for round_number in range(150):
        client = raw(served.port)
        data = bytearray(wire.connect(f"bad{round_number}") + b"".join(bodies)) if round_number % 2 else bytearray(300)
        for _ in range(12):
            data[seeded.randrange(len(data))] = seeded.randrange(256)
        client.send(bytes(data))
        if round_number % 3 == 0:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        good.publish(OWN, b"%d" % round_number, round_number + 1)
        assert good.pubacks(1) == [round_number + 1]
    wire.until(lambda: served.on_loop(lambda: len(served.endpoint._connections)) == 1, "the end of all bad connections")
    assert [f.payload for f in served.frames if f.channel == OWN] == [b"%d" % n for n in range(150)]


def test_a_storm_of_connections(serve, raw, wire):
    served = serve()
    clients = [raw(served.port) for _ in range(500)]
    for number, client in enumerate(clients):
        client.send(wire.connect(f"tag{number}") + wire.publish(f"birddog/v1/tag{number}/toy", b"x", 1))
    for client in clients:
        assert client.packet() == (0x20, b"\0\0")
        assert client.pubacks(1) == [1]
    assert len({f.device for f in served.frames}) == 500
    assert served.status("connected") == 500
