"""The endpoint with raw sockets: acknowledgement after the commit, order, identity, back-pressure, ends.

Over 400 lines: one subject, and every case speaks over the same raw socket.
"""

from __future__ import annotations

import json
import socket
import struct
import time

import msgspec
import pytest

from birddog.directory import Directory
from birddog.errors import UsageError
from birddog.model import Device, Reject
from ingest.permit import DirectoryPermit, covers

OWN = "birddog/v1/tag1/toy"


@pytest.mark.parametrize("level", [4, 5])
def test_no_puback_before_the_commit(serve, raw, wire, level):
    served = serve()
    served.desk.stall()
    client = raw(served.port, "tag1", level=level)
    client.publish(OWN, b"one", 7)
    client.publish(OWN, b"two", 9)
    wire.until(lambda: served.intake.held == 2, "both messages at the intake")
    assert client.nothing(served)
    served.desk.open.set()
    assert client.pubacks(2) == [7, 9]
    frames = served.frames
    assert [(f.source, f.format, f.payload, f.device, f.channel, f.packet, f.dup, f.reject) for f in frames] == [
        ("mqtt", "toy", b"one", "tag1", OWN, 7, False, None), ("mqtt", "toy", b"two", "tag1", OWN, 9, False, None),
    ]
    assert frames[0].session == frames[1].session != ""
    assert abs(frames[0].received_ns - time.time_ns()) < 60e9


def test_acknowledged_in_received_order(serve, raw):
    served = serve(capacity=50)
    client = raw(served.port, "tag1")
    ids = [n * 7919 % 65_535 + 1 for n in range(1500)]
    client.send(b"".join(_publish(n) for n in ids))
    assert client.pubacks(1500) == ids
    assert [f.packet % 65_536 for f in served.frames] == ids


def test_qos_0_reaches_the_desk_and_is_not_acknowledged(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1")
    client.publish(OWN, b"zero")
    client.publish(OWN, b"one", 1)
    assert client.pubacks(1) == [1]
    assert [(f.payload, f.packet) for f in served.frames] == [(b"zero", 0), (b"one", 1)]


def test_sent_again_is_acknowledged_again_and_keeps_its_number(serve, raw):
    served = serve()
    first = raw(served.port, "tag1")
    first.publish(OWN, b"door open", 5)
    assert first.pubacks(1) == [5]
    first.publish(OWN, b"door open", 5, dup=True)
    assert first.pubacks(1) == [5]
    first.close()
    second = raw(served.port, "tag1")
    second.publish(OWN, b"door open", 5, dup=True)
    assert second.pubacks(1) == [5]
    frames = served.frames
    assert [f.dup for f in frames] == [False, True, True]
    assert len({f.packet for f in frames}) == 1
    assert frames[0].session == frames[1].session != frames[2].session


def test_a_packet_id_used_again_is_another_message(serve, raw, wire):
    # clients that take the lowest free id send everything with 1
    served = serve()
    client = raw(served.port, "tag1")
    for _ in range(3):
        client.publish(OWN, b"door open", 1)
        assert client.pubacks(1) == [1]
    client.publish(OWN, b"door open", 1, dup=True)
    assert client.pubacks(1) == [1]
    client.close()
    wire.until(lambda: served.status("connected") == 0)
    again = raw(served.port, "tag1")
    again.publish(OWN, b"door open", 1, dup=True)
    again.publish(OWN, b"door open", 1)
    assert again.pubacks(2) == [1, 1]
    numbers = [f.packet for f in served.frames]
    assert len(set(numbers[:3])) == 3
    assert numbers[3] == numbers[2] == numbers[4]
    assert all(n % 65_536 == 1 for n in numbers)


def test_sent_again_after_a_half_open_link_keeps_its_number(serve, raw):
    """The device's link died without a word: it comes back while we still hold the old connection (fault F02)."""
    served = serve()
    half_open = raw(served.port, "tag1")
    for _ in range(3):
        half_open.publish(OWN, b"door open", 1)
        assert half_open.pubacks(1) == [1]
    again = raw(served.port, "tag1")
    again.publish(OWN, b"door open", 1, dup=True)
    assert again.pubacks(1) == [1]
    assert half_open.rest() == b""
    third = raw(served.port, "tag1")
    third.publish(OWN, b"door open", 1, dup=True)
    assert third.pubacks(1) == [1]
    numbers = [f.packet for f in served.frames]
    assert len(set(numbers[:3])) == 3
    assert numbers[3] == numbers[2]


def test_sent_again_after_a_short_connection_that_came_after_a_long_one(serve, raw, wire):
    served = serve()
    for payloads in ((b"one", b"two", b"three"), (b"four",)):
        client = raw(served.port, "tag1")
        for payload in payloads:
            client.publish(OWN, payload, 1)
            assert client.pubacks(1) == [1]
        client.close()
        wire.until(lambda: served.status("connected") == 0)
    last = raw(served.port, "tag1")
    last.publish(OWN, b"four", 1, dup=True)
    assert last.pubacks(1) == [1]
    assert served.frames[3].packet == served.frames[4].packet


def test_two_starts_never_share_a_session(serve, raw):
    sessions = set()
    for _ in range(2):
        served = serve()
        for name in ("tag1", "tag2"):
            client = raw(served.port, name)
            client.publish(f"birddog/v1/{name}/toy", b"x", 1)
            assert client.pubacks(1) == [1]
        sessions |= {f.session for f in served.frames}
    assert len(sessions) == 4


# --- who may do what ---------------------------------------------------------------------------------


def _live(serve, judge=lambda frame: ()):
    directory = Directory()
    directory.apply(Device(device="tag1", format="toy"))
    directory.apply(Device(device="phone7", format="owntracks", topics=("owntracks/jan/phone7",)))
    directory.apply(Device(device="gw", format="chirpstack", basis="own_sensor", topics=("application/9/#",)))
    directory.apply(Device(device="odd", format="nosuch", basis="own_sensor", topics=("yard/",)))
    directory.apply(Device(device="old", format="toy", topics=("yard/",), retired=True))
    formats = ("toy", "owntracks", "chirpstack")
    return serve(exercise=False, permit=DirectoryPermit(directory, formats), judge=judge)


@pytest.mark.parametrize(
    ("client_id", "topic", "format", "device", "reason"),
    [
        ("tag1", "birddog/v1/tag1/toy", "toy", "tag1", None),
        ("stranger", "birddog/v1/stranger/toy", "toy", "stranger", None),  # the door's question, not ours
        ("tag1", "birddog/v1/tag2/toy", "toy", "tag1", "identity"),
        ("tag1", "birddog/v1/tag1/nosuch", "nosuch", "tag1", "format"),
        ("tag1", "birddog/v1/tag1/command", "command", "tag1", "identity"),
        ("tag1", "birddog/v1/tag1/receipt", "receipt", "tag1", "identity"),
        ("tag1", "birddog/v1/tag1/toy/more", "more", "tag1", "identity"),
        ("tag1", "birddog/v1/tag1", "tag1", "tag1", "identity"),
        ("tag1", "birddog/v2/tag1/toy", "toy", "tag1", "identity"),
        ("tag1", "owntracks/jan/phone7", "phone7", "tag1", "identity"),
        ("phone7", "owntracks/jan/phone7", "owntracks", "phone7", None),
        ("phone7", "owntracks/jan/phone7/event", "owntracks", "phone7", None),
        ("phone7", "owntracks/jan/phone77", "phone77", "phone7", "identity"),
        ("gw", "application/9/device/a84041/event/up", "chirpstack", "gw", None),
        ("gw", "application/99/device/a84041/event/up", "up", "gw", "identity"),
        ("gw", "birddog/v1/tag1/toy", "toy", "gw", "identity"),
        ("odd", "yard/door", "nosuch", "odd", "format"),
        ("old", "yard/door", "door", "old", "identity"),
    ],
)
def test_identity_table(serve, raw, client_id, topic, format, device, reason):
    served = _live(serve)
    client = raw(served.port, client_id, level=5)
    client.publish(topic, b"secret", 3)
    first, body = client.packet()
    assert (first, body) == (0x40, b"\0\3\x87" if reason == "identity" else b"\0\3")
    (frame,) = served.frames
    assert (frame.device, frame.channel, frame.reject and frame.reject.reason) == (device, topic, reason)
    if reason != "format":
        assert frame.format == format


def test_an_exercise_takes_every_known_topic_from_anyone(serve, raw):
    served = serve()
    client = raw(served.port, "anyone")
    topics = ["birddog/v1/tag9/toy", "owntracks/jan/phone7", "application/1/device/a840/event/up", "impinj/dock/events",
              "v3/app@ttn/devices/eui/up", "birddog/v1/tag9/command", "what/ever"]
    for number, topic in enumerate(topics, 1):
        client.publish(topic, b"x", number)
    assert client.pubacks(len(topics)) == list(range(1, len(topics) + 1))
    assert {f.device for f in served.frames} == {"anyone"}
    assert [(f.format, f.subject, f.reject and f.reject.reason) for f in served.frames] == [
        ("toy", "tag9", None), ("owntracks", "jan/phone7", None), ("chirpstack", "", None), ("impinj", "", None),
        ("ttn", "", None), ("command", "", "identity"), ("ever", "", "format"),
    ]


@pytest.mark.parametrize(
    ("client_id", "topic", "subject"),
    [
        ("janephone7", "owntracks/jane/phone7", ""),  # the apps' default client id, enrolled with the topic
        ("janephone7", "owntracks/jane/phone7/event", ""),
        ("loose", "owntracks/loose/356307042441013", "356307042441013"),  # its number is enrolled: whom it speaks for
        ("loose", "owntracks/loose/loose", ""),
        ("fleet", "owntracks/jane/phone7", "janephone7"),  # a bridge: the phone's own enrolment says who it is
        ("fleet", "owntracks/ben/phone", "ben/phone"),
        ("fleet", "owntracks/anna/phone", "anna/phone"),
        ("fleet", "owntracks/x/tag1", "x/tag1"),  # a short name may be many users'
        ("base", "company/owntracks/anna/van7", ""),
        ("own", "yard/anna/van9", ""),
        ("own", "yard/anna/van9/event", ""),
        ("gw", "application/9/device/A84041/event/up", "a84041"),
    ],
)
def test_the_sender_is_who_the_transport_vouches_for_and_the_topic_names_the_subject(serve, raw, client_id, topic, subject):
    directory = Directory()
    for device in (
        Device(device="janephone7", format="owntracks", topics=("owntracks/jane/phone7",)),
        Device(device="loose", topics=("owntracks/loose",)),
        Device(device="fleet", basis="partner", topics=("owntracks/#",)),
        Device(device="base", topics=("company/owntracks/anna/van7/",)),
        Device(device="own", format="owntracks", topics=("yard/anna/van9",)),
        Device(device="gw", format="chirpstack", basis="partner", topics=("application/9",)),
        Device(device="356307042441013"), Device(device="tag1"), Device(device="phone"),
    ):
        directory.apply(device)
    served = serve(exercise=False, permit=DirectoryPermit(directory, ("owntracks", "chirpstack")))
    client = raw(served.port, client_id)
    client.publish(topic, b"x", 1)
    assert client.pubacks(1) == [1]
    (frame,) = served.frames
    assert (frame.reject, frame.device, frame.subject) == (None, client_id, subject)


@pytest.mark.parametrize(
    ("client_id", "topic", "device", "refused"),
    [
        ("janephone", "owntracks/jane/phone", "van-2-phone", False),
        ("janephone", "owntracks/jane/phone/event", "van-2-phone", False),
        ("van-2-phone", "owntracks/jane/phone", "van-2-phone", False),
        ("janephone", "owntracks/jane/tablet", "janephone", True),  # not the topic that its id is made of
        ("janephone", "owntracks/ja/nephone", "janephone", True),  # nobody's topic
        ("phone", "owntracks/jane/phone", "phone", True),  # many users' phones are called so
        ("benphone", "owntracks/jane/phone", "benphone", True),
        ("janephone", "birddog/v1/van-2-phone/owntracks", "janephone", True),
        ("bentablet", "owntracks/ben/tablet", "bentablet", True),  # enrolled itself, with another topic: it is that one only
    ],
)
def test_a_phone_at_its_apps_default_client_id_is_the_enrolled_one(serve, raw, client_id, topic, device, refused):
    """docs/device-endpoint.md: its identity is the enrolled one, also at the app's default client id."""
    directory = Directory()
    for enrolled in (
        Device(device="van-2-phone", topics=("owntracks/jane/phone",)),
        Device(device="other", topics=("owntracks/ben/tablet",)),
        Device(device="bentablet", topics=("owntracks/ben/watch",)),
    ):
        directory.apply(enrolled)
    served = serve(exercise=False, permit=DirectoryPermit(directory, ("owntracks",)))
    client = raw(served.port, client_id)
    client.publish(topic, b"x", 1)
    assert client.pubacks(1) == [1]
    (frame,) = served.frames
    assert (frame.device, frame.subject, frame.reject is not None) == (device, "", refused)


def test_a_topic_is_the_first_enrolments_that_lists_it_and_is_there():
    directory = Directory()
    first = Device(device="one", topics=("owntracks/u/d/#",))
    directory.apply(first)
    directory.apply(Device(device="two", topics=("owntracks/u/d",)))
    assert directory.of_topic("owntracks/u/d") == "one"
    directory.apply(msgspec.structs.replace(first, retired=True))
    assert directory.of_topic("owntracks/u/d") == "two" and directory.of_topic("owntracks/u") == ""


@pytest.mark.parametrize(
    ("rejects", "code"),
    [
        ((Reject("unknown_device", device="tag1"),), b"\x87"),
        ((Reject("unauthorised", device="tag1"),), b"\x87"),
        ((Reject("value", device="tag1"),), b""),  # malformed: it was kept
        ((Reject("unknown_device", device="epc:1"),), b""),  # only something that was passed on
    ],
)
def test_reason_of_a_puback(serve, raw, rejects, code):
    served = serve(judge=lambda frame: rejects)
    client = raw(served.port, "tag1", level=5)
    client.publish(OWN, b"x", 3)
    assert client.packet() == (0x40, b"\0\3" + code)
    old = raw(served.port, "tag2", level=4)
    old.publish("birddog/v1/tag1/toy", b"x", 3)
    assert old.packet() == (0x40, b"\0\3")


def test_subscribe_only_to_own_topics(serve, raw, wire):
    served = serve()
    asked = ["birddog/v1/tag1/command", "birddog/v1/tag1/receipt", "birddog/v1/tag2/command", "#", "birddog/v1/+/command",
             "$share/g/birddog/v1/tag1/command"]
    for level, refused in ((4, [0x80] * 4), (5, [0x87, 0xA2, 0xA2, 0x9E])):
        client = raw(served.port, "tag1", level=level)
        v5 = b"\0" if level == 5 else b""
        client.send(wire.packet(0x82, b"\0\x0a" + v5 + b"".join(wire.text(t) + b"\1" for t in asked)))
        assert client.packet() == (0x90, b"\0\x0a" + v5 + bytes((1, 1, *refused)))
        assert served.on_loop(lambda: served.endpoint.publish("tag1", "command", b"report"))
        first, body = client.packet()
        assert (first, body) == (0x30, wire.text("birddog/v1/tag1/command") + v5 + b"report")
        client.send(wire.packet(0xA2, b"\0\x0b" + v5 + wire.text(asked[0]) + wire.text("never")))
        assert client.packet() == (0xB0, b"\0\x0b" + (v5 + b"\0\x11" if level == 5 else b""))
        assert not served.on_loop(lambda: served.endpoint.publish("tag1", "command", b"report"))
        client.close()
        wire.until(lambda: served.status("connected") == 0)


def test_receipts_say_how_much_is_on_disk(serve, raw, wire):
    served = serve(judge=lambda frame: (Reject("value"),) if frame.payload == b"bad" else ())
    client = raw(served.port, "tag1")
    client.send(wire.packet(0x82, b"\0\1" + wire.text("birddog/v1/tag1/receipt") + b"\0"))
    assert client.packet()[0] == 0x90
    for payload in (b"1", b"2", b"bad"):
        client.publish(OWN, payload)
    said = {}
    while said != {"stored": 2, "refused": 1}:
        first, body = client.packet()
        assert first == 0x30
        said = json.loads(body[2 + len("birddog/v1/tag1/receipt") :])


def test_the_last_receipt_is_not_lost_on_a_client_that_was_slow(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1")
    client.send(wire.packet(0x82, b"\0\1" + wire.text("birddog/v1/tag1/receipt") + b"\0"))
    assert client.packet()[0] == 0x90
    (connection,) = served.endpoint._connections
    served.on_loop(connection.pause_writing)
    client_sees = wire.publish(OWN, b"x", 1)
    served.on_loop(lambda: connection._take(connection._parser.feed(client_sees)))
    assert client.pubacks(1) == [1]
    sweeps = served.endpoint._sweeps
    wire.until(lambda: served.endpoint._sweeps > sweeps + 3, "two rounds of receipts")
    served.on_loop(connection.resume_writing)
    first, body = client.packet()
    assert first == 0x30 and json.loads(body[2 + len("birddog/v1/tag1/receipt") :]) == {"stored": 1, "refused": 0}


# --- connections that end ---------------------------------------------------------------------------


@pytest.mark.parametrize("level", [4, 5])
def test_a_second_connection_takes_over(serve, raw, wire, level):
    served = serve()
    first = raw(served.port, "tag1", level=level)
    second = raw(served.port, "tag1")
    assert first.rest() == (b"\xe0\x02\x8e\x00" if level == 5 else b"")
    second.publish(OWN, b"x", 1)
    assert second.pubacks(1) == [1]
    assert served.status("takeovers_total") == 1
    assert served.status("connected") == 1


@pytest.mark.parametrize("level", [4, 5])
def test_keep_alive_ends_a_silent_client(serve, raw, wire, level):
    served = serve()
    since = time.monotonic()
    silent = raw(served.port, "tag1", level=level, keepalive=1)
    assert silent.rest() == (b"\xe0\x02\x8d\x00" if level == 5 else b"")
    assert time.monotonic() - since >= 1.5 and served.status("keepalive_timeouts_total") == 1


def test_keep_alive_counts_from_the_last_packet(serve, raw):
    served = serve()
    lively = raw(served.port, "tag1", keepalive=40)
    (connection,) = served.endpoint._connections

    def swept(after_s: float) -> bool:
        served.on_loop(lambda: connection.sweep(connection.last_seen + after_s, 1e9))
        return connection.closing

    connection.last_seen -= 50.0
    lively.send(b"\xc0\x00")
    assert lively.packet() == (0xD0, b"") and abs(connection.last_seen - served.loop.time()) < 40.0
    assert not swept(59.9) and swept(60.1)
    assert lively.rest() == b"" and served.status("keepalive_timeouts_total") == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has no such option")
def test_a_client_without_keep_alive_is_asked_by_the_kernel_within_minutes(serve, raw):
    served = serve()
    raw(served.port, "tag1", keepalive=0)
    (connection,) = served.endpoint._connections
    sock = connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    idle_s, every_s, count = (sock.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    assert idle_s + every_s * count <= 300


def test_connect_must_come_in_time(serve, raw):
    served = serve(connect_timeout_s=0.3)
    client = raw(served.port)
    client.send(b"\x10")
    assert client.rest() == b""
    assert served.status("refused_total") == 1


@pytest.mark.parametrize(("how", "willed"), [("reset", True), ("close", True), ("disconnect", False), ("with will", True)])
def test_a_will_is_a_message_of_its_own(serve, raw, wire, how, willed):
    served = serve()
    level = 5 if how == "with will" else 4
    will = (b"\0" if level == 5 else b"") + wire.text("owntracks/jan/phone7") + wire.text(b'{"_type":"lwt","tst":1}')
    client = raw(served.port, "phone7", level=level, flags=2 | 4 | 8 | 0x20, rest=will)
    if how == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "disconnect":
        client.send(b"\xe0\x00")
    if how == "with will":
        client.send(b"\xe0\x01\x04")
    client.close()
    wire.until(lambda: served.status("connected") == 0)
    if willed:
        wire.until(lambda: served.desk.closed, "the session's end, behind the will")
        assert [(f.format, f.device, f.payload, f.packet) for f in served.frames] == [
            ("owntracks", "phone7", b'{"_type":"lwt","tst":1}', 0)
        ]
    else:
        raw(served.port, "tag1").publish(OWN, b"after", 1)
        wire.until(lambda: served.frames)
        assert [f.payload for f in served.frames] == [b"after"]


def test_cut_within_a_packet(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1")
    whole = wire.publish(OWN, b"whole", 1)
    client.send(whole + wire.publish(OWN, b"broken off", 2)[:-4])
    assert client.pubacks(1) == [1]
    client.close()
    wire.until(lambda: served.desk.closed == [served.frames[0].session], "the session's end")
    assert [f.payload for f in served.frames] == [b"whole"]
    assert served.status("truncated_total") == 1
    again = raw(served.port, "tag1")
    again.publish(OWN, b"broken off", 2, dup=True)
    assert again.pubacks(1) == [2]


def test_empty_client_id(serve, raw, wire):
    exercise, live = serve(), serve(exercise=False)
    assert raw(live.port, "", level=4).connack == (0x20, b"\0\2")
    assert raw(live.port, "", level=5).connack == (0x20, b"\0\x85\0")
    assert raw(exercise.port, "", level=4, flags=0).connack == (0x20, b"\0\2")
    assert raw(exercise.port, "", level=3).connack == (0x20, b"\0\2")  # MQTT 3.1: 1 to 23 characters
    guest = raw(exercise.port, "", level=4)
    assert guest.connack == (0x20, b"\0\0")
    first, body = raw(exercise.port, "", level=5).connack
    assert body[:2] == b"\0\0" and b"\x12\x00\x16guest-" in body
    assert exercise.status("connected") == 2


def test_too_many_connections(serve, raw, wire):
    served = serve(max_connections=2)
    keep = [raw(served.port, f"tag{n}") for n in range(2)]
    assert raw(served.port).rest() == b""
    keep[0].close()
    wire.until(lambda: served.status("connected") == 1)
    assert raw(served.port, "tag5").connack == (0x20, b"\0\0")


def test_connack_of_version_5_says_what_is_offered(serve, raw):
    served = serve(receive_maximum=300, max_packet=70_000, topic_alias_maximum=5, keepalive_max_s=120)
    client = raw(served.port, "tag1", level=5, keepalive=0, properties=b"\x11\x00\x00\x00\x3c")
    assert client.connack == (0x20, bytes.fromhex(
        "0000 19 21012c 2700011170 220005 2800 2900 2a00 1100000000 130078".replace(" ", "")))


# --- back-pressure ----------------------------------------------------------------------------------


def test_a_stalled_desk_holds_the_sockets_and_loses_nothing(serve, raw, wire):
    served = serve(capacity=200, receive_maximum=65_535)
    served.desk.stall()
    clients = [raw(served.port, f"tag{n}") for n in range(5)]
    for number, client in enumerate(clients):
        data = b"".join(wire.publish(f"birddog/v1/tag{number}/toy", b"%d " % n + b"x" * 2000, n) for n in range(1, 1001))
        client.socket.setblocking(False)
        client.rest_of_data = data
    deadline = time.monotonic() + 20
    while not served.endpoint.full or served.status("paused") < 5:
        assert time.monotonic() < deadline
        for client in clients:
            try:
                client.rest_of_data = client.rest_of_data[client.socket.send(client.rest_of_data) :]
            except BlockingIOError:
                time.sleep(0.01)
    # what we hold is bounded: one read of each socket beyond the queue, the rest waits in the kernel
    held = served.on_loop(lambda: len(served.endpoint._pending)) + served.intake.held
    assert held <= 200 + 5 * 2 * (65_536 // 2000 + 1)
    assert served.frames == []
    served.desk.open.set()
    for client in clients:
        client.socket.setblocking(True)
        client.socket.settimeout(20)
        client.send(client.rest_of_data)
        assert client.pubacks(1000) == list(range(1, 1001))
    assert len(served.frames) == 5000
    by_device = {f"tag{n}": [f.packet for f in served.frames if f.device == f"tag{n}"] for n in range(5)}
    assert all(numbers == list(range(1, 1001)) for numbers in by_device.values())
    assert served.desk.most_held <= 200 + 5 * 2 * (65_536 // 2000 + 1)
    assert served.status("held_bytes") == 0


def test_held_bytes_are_bounded_too(serve, raw, wire):
    served = serve(held_bytes=65_536, max_packet=262_144)
    client = raw(served.port, "tag1")
    client.send(b"".join(wire.publish(OWN, bytes(100_000), n) for n in range(1, 31)))
    assert client.pubacks(30) == list(range(1, 31))
    assert served.status("held_bytes") == 0
    assert served.status("paused") == 0


def test_more_than_the_receive_maximum(serve, raw, wire):
    served = serve(receive_maximum=10)
    served.desk.stall()
    client = raw(served.port, "tag1", level=5)
    client.send(b"".join(wire.publish(OWN, b"x", n, level=5) for n in range(1, 12)))
    old = raw(served.port, "tag2", level=4)  # 3.1.1 knows no limit: it is only read more slowly
    old.send(b"".join(wire.publish("birddog/v1/tag2/toy", b"x", n) for n in range(1, 501)))
    served.desk.open.set()
    # what came before the one too many is acknowledged before the end
    assert client.rest() == b"".join(b"\x40\x02\x00" + bytes((n,)) for n in range(1, 11)) + b"\xe0\x02\x93\x00"
    assert old.pubacks(500) == list(range(1, 501))
    assert sum(f.device == "tag1" for f in served.frames) == 10


def test_what_a_prefix_covers():
    for prefix in ("a/b", "a/b/", "a/b/#"):
        assert covers(prefix, "a/b") and covers(prefix, "a/b/c") and not covers(prefix, "a/bc") and not covers(prefix, "a")
    for prefix in ("", "#", "/", "/#"):
        assert not covers(prefix, "a") and not covers(prefix, "/a")


def test_a_client_that_does_not_read_is_not_read(serve, raw, wire):
    served = serve()
    client = raw(served.port, "tag1")
    client.socket.setblocking(False)
    pings = b"\xc0\x00" * 32_768
    deadline = time.monotonic() + 20
    while not served.status("paused"):
        assert time.monotonic() < deadline
        try:
            client.socket.send(pings)
        except BlockingIOError:
            time.sleep(0.01)
    (connection,) = served.endpoint._connections
    assert not connection.closing
    assert served.on_loop(lambda: connection.transport.get_write_buffer_size()) < 1_000_000
    other = raw(served.port, "tag2")
    other.publish("birddog/v1/tag2/toy", b"x", 1)
    assert other.pubacks(1) == [1]


# --- start and stop ----------------------------------------------------------------------------------


def test_a_taken_port_is_one_line(serve):
    served = serve()
    with pytest.raises(UsageError, match=r"\Aendpoint.port: cannot listen on 127.0.0.1 port \d+: another program has it\Z"):
        serve(port=served.port)


def test_the_same_port_again_after_connections_that_we_ended(serve, raw):
    first = serve()
    client = raw(first.port, "tag1")
    first.wait(first.endpoint.stop())  # our side closes first: its sockets stay in TIME_WAIT
    assert client.rest() == b""
    again = serve(port=first.port)
    assert raw(again.port, "tag1").connack == (0x20, b"\0\0")


@pytest.mark.parametrize(
    ("settings", "exercise", "said"),
    [
        ({"host": "0.0.0.0"}, True, "endpoint.host: an exercise listens on loopback only"),
        ({"host": "0.0.0.0"}, False, "endpoint.host: beyond loopback .* cert, key and ca"),
        ({"host": "birddog.example"}, False, "endpoint.host: beyond loopback"),
        ({"cert": "/nowhere/c.pem"}, False, "endpoint.key: mutual TLS needs"),
        ({"cert": "/nowhere/c.pem", "key": "/nowhere/k.pem", "ca": "/nowhere/a.pem"}, False, "/nowhere/c.pem: endpoint.cert: "),
        ({"plain": False}, False, "endpoint.plain: nothing to listen on"),
    ],
)
def test_settings_that_are_refused(serve, settings, exercise, said):
    with pytest.raises(UsageError, match=said):
        serve(exercise=exercise, **settings)


def test_stop_waits_for_what_was_taken_in(serve, raw, wire):
    served = serve()
    served.desk.stall()
    client = raw(served.port, "tag1", level=5)
    client.publish(OWN, b"x", 1)
    wire.until(lambda: served.intake.held == 1)
    stopping = served.loop.call_soon_threadsafe(lambda: served.loop.create_task(served.endpoint.stop()))
    assert stopping is not None
    wire.until(lambda: served.endpoint.stopping)
    served.desk.open.set()
    assert client.rest() == b"\x40\x02\x00\x01" + b"\xe0\x02\x8b\x00"


def _publish(number: int) -> bytes:
    body = struct.pack(">H", len(OWN)) + OWN.encode() + struct.pack(">H", number) + b"{}"
    return b"\x32" + bytes((len(body),)) + body


def test_two_devices_that_take_one_client_id_from_each_other_are_named(serve, raw, monkeypatch):
    served = serve()
    for _ in range(3):
        raw(served.port, "tag1")
    assert served.status("takeovers_total") == 2 and not served.status("contested")
    raw(served.port, "tag1")
    assert served.status("contested") == 1 and "'tag1' was taken over 3 times" in served.status("last_error")
    monkeypatch.setattr("ingest.mqtt_clients.CONTEST_S", 0.0)  # as if a minute had passed
    assert not served.status("contested") and "last_error" not in served.endpoint.status()
    monkeypatch.setattr("ingest.mqtt_clients._CONTESTS_KEPT", 1)
    for _ in range(2):
        raw(served.port, "tag2")
    assert list(served.endpoint.known._contests) == ["tag2"]


@pytest.mark.parametrize(("level", "code"), [(4, 5), (5, 0x87)])
def test_a_live_journal_refuses_a_client_that_says_exercise(serve, raw, wire, level, code):
    live, exercise = _live(serve), serve()
    how = {"level": level, "flags": 0x82, "rest": wire.text("EXERCISE")}
    refused = raw(live.port, "tag1", **how)
    assert refused.connack[1][1] == code
    refused.socket.sendall(wire.publish("birddog/v1/tag1/toy", b"52.1,4.9", 1, level=level))
    wire.until(lambda: live.frames, "the record")
    [frame] = live.frames
    assert (frame.reject.reason, frame.device, frame.payload) == ("exercise", "tag1", b"tag1")
    assert live.status("refused_total") == 1 and live.status("connected") == 0
    assert raw(exercise.port, "tag1", **how).connack[1][1] == 0
    assert raw(live.port, "tag1", level=level, flags=0x82, rest=wire.text("somebody")).connack[1][1] == 0
