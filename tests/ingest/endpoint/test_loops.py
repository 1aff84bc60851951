"""Clients that ask for the same again and again, and those that never get past CONNECT."""

from __future__ import annotations

import logging
import time

import pytest

from birddog.directory import Directory
from birddog.model import Reject
from ingest.mqtt_clients import LONGEST_WAIT_S, PATIENCE_S, Clients, RefusedConnects
from ingest.permit import DirectoryPermit

OWN = "birddog/v1/tag1/toy"


def test_a_refused_subscribe_is_answered_later_each_time():
    """ChirpStack subscribes again at once, 20,000 times a second (chirpstack/src/integration/mqtt.rs)."""
    known, now_s, count = Clients(), 0.0, 0
    assert known.wait_s("gw", 0.0) == 0.0
    while now_s < 600.0:
        wait_s = known.wait_s("gw", now_s)
        now_s, count = now_s + wait_s + 1e-4, count + 1
    assert count < 140 and wait_s == LONGEST_WAIT_S
    assert known.wait_s("other", now_s) == 0.0
    assert known.wait_s("gw", now_s + PATIENCE_S + LONGEST_WAIT_S + 1.0) == 0.0


@pytest.mark.parametrize("level", [4, 5])
def test_who_subscribes_again_at_once_waits_and_messages_do_not(serve, raw, wire, level):
    served = serve()
    client = raw(served.port, "tag1", level=level)
    v5 = b"\0" if level == 5 else b""
    real, waits = served.endpoint.known.wait_s, []
    served.endpoint.known.wait_s = lambda *who: waits.append(real(*who)) or waits[-1]
    began = time.monotonic()
    for number in range(1, 7):
        client.send(wire.packet(0x82, bytes((0, number)) + v5 + wire.text("application/+/device/+/command/+") + b"\0"))
        assert client.packet() == (0x90, bytes((0, number)) + v5 + (b"\xa2" if level == 5 else b"\x80"))
    assert waits == pytest.approx([0.02 * n * n for n in range(6)]), "each waits longer than the one before"
    assert time.monotonic() - began >= sum(waits)
    client.send(wire.packet(0x82, b"\0\x63" + v5 + wire.text("a") + b"\0"))
    client.publish(OWN, b"x", 1)  # is not held up by the answer that waits
    assert client.pubacks(1) == [1]


def test_a_flood_of_subscribes_is_read_no_faster_than_it_is_answered(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1")
    asked = wire.packet(0x82, b"\0\1" + wire.text("a") + b"\0")
    client.send(asked * 3000)
    (connection,) = served.endpoint._connections
    wire.until(lambda: connection.held, "the reading to stop")
    client.send(wire.publish(OWN, b"behind", 1))
    assert not served.frames


@pytest.mark.parametrize("qos", [0, 1])
def test_who_is_refused_again_and_again_is_read_more_slowly(serve, raw, wire, qos):
    served = serve(exercise=False, permit=DirectoryPermit(Directory(), ("toy",)))
    client = raw(served.port, "tag1")
    message = wire.publish("birddog/v1/other/toy", b"x", qos)
    for _ in range(10):
        client.send(message * 100)
    wire.until(lambda: len(served.frames) == 1000)
    (connection,) = served.endpoint._connections
    assert connection._refused_run > 20
    began = time.monotonic()
    for _ in range(40):  # each waits for the answer to the one before
        client.send(wire.publish("birddog/v1/other/toy", b"x", 7))
        while client.packet()[1] != b"\0\7":
            pass
    assert time.monotonic() - began > 40 * 1000 * 2e-5 * 0.5
    client.publish(OWN, b"good", 8)
    assert client.pubacks(1) == [8]
    wire.until(lambda: not connection.held)
    assert connection._refused_run == 0


# --- refused CONNECTs ----------------------------------------------------------------------------------


def test_who_did_not_get_past_connect_is_seen(serve, raw, wire, caplog):
    served = serve(exercise=False, connect_timeout_s=0.3)
    bridge = b"\x10\x16\x00\x04MQTT\x84\x00\x00\x3c\x00\x0avm.birddog"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            client = raw(served.port)
            client.send(bridge)
            assert client.rest() == b"\x20\x02\x00\x01"
        raw(served.port, "")
        raw(served.port, "tag\u202e1", level=5)
        raw(served.port, "tag1", flags=0x82, rest=wire.text("EXERCISE"))
        raw(served.port, "tag9", level=5, properties=b"\x15" + wire.text("SCRAM-SHA-1"))
        for said in (b"GET / HTTP/1.1\r\n", wire.connect("tag5", level=5, flags=3), wire.connect("tag4", flags=3), b"\x10"):
            client = raw(served.port)
            client.send(said)
            client.rest()
    rows = served.endpoint.status()["refused_connects"]
    assert {row["address"] for row in rows} == {"127.0.0.1"} and {row["source"] for row in rows} == {"mqtt"}
    assert {(row["client_id"], row["reason"]): row["count"] for row in rows} == {
        ("vm.birddog", "protocol level 0x84 of MQTT; MQTT 4 and 5 and MQIsdp 3 are spoken"): 3,
        ("", "no client id"): 1,
        ("tag\u202e1", "a client id that a person cannot read"): 1,
        ("tag1", "exercise data for a live journal"): 1,
        ("tag9", "an authentication method, of which none is offered"): 1,
        ("", "the first packet is not CONNECT"): 1,
        ("tag5", "the reserved flag of CONNECT is set"): 1,
        ("tag4", "the reserved flag of CONNECT is set"): 1,
        ("", "no CONNECT within 0 s"): 1,
    }
    assert all(0 < row["first_ns"] <= row["last_ns"] for row in rows)
    assert "client id 'vm.birddog': protocol level 0x84" in caplog.text
    assert "\\u202e" in caplog.text and "\u202e" not in caplog.text
    assert served.status("refused_total") == 11


def test_lines_about_refused_connects_are_few_and_cannot_be_forged(caplog):
    refused = RefusedConnects("mqtt")
    refused.add("127.0.0.1", "car 51.951234,4.051234", "no client id")
    assert refused.rows()[0]["client_id"] == "car …,…"
    refused, _ = RefusedConnects("mqtt"), caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            refused.add("127.0.0.1", "loop", "no")
        assert [r.args[-2] for r in caplog.records] == [1, 10, 100, 1000]
        for n in range(5000):
            refused.add("127.0.0.1", f"x\n2026-01-01 ERROR forged {n}\u2028\x1b[2J", "no")
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 10 and all(line.isprintable() and line.isascii() for line in lines)
    rows = refused.rows()
    assert len(rows) == 50 and "forged 4999" in rows[0]["client_id"]


def test_a_port_scan_stays_bounded():
    refused = RefusedConnects("mqtt")
    for n in range(1000):
        refused.add(f"10.0.{n // 250}.{n % 250}", "A" * 60_000, "no")
    assert len(refused.rows()) == 50 and all(len(row["client_id"]) == 80 for row in refused.rows())


def test_the_door_still_judges_who_subscribes_to_its_own_topics(serve, raw, wire):
    served = serve(judge=lambda frame: (Reject("value"),))
    client = raw(served.port, "tag1")
    for number in range(1, 40):
        client.send(wire.packet(0x82, bytes((0, number)) + wire.text("birddog/v1/tag1/command") + b"\0"))
        assert client.packet() == (0x90, bytes((0, number, 0)))
