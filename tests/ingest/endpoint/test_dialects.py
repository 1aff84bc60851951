"""What clients in the field do: MQTT 3.1, QoS 2, a message that is too large, a fault behind good messages, no DUP after a cut.

With the real desk and a journal, so that what is counted is what stands on disk.
"""

from __future__ import annotations

import struct

import pytest

from birddog.journal import open_reader, open_writer
from birddog.model import unpack
from ingest.desk import Desk
from ingest.intake import Closed

EPC = b"3034257BF7194E4000001A85"  # an event without a time: two of them are two, and one sent again is one
OWN = "birddog/v1/tag1/epc"
DISCONNECT = b"\xe0\x00"


@pytest.fixture
def served(serve, tmp_path):
    """An endpoint whose frames go to a journal; ``served.events()`` are the messages that stand in it."""
    url = f"sqlite:///{tmp_path}/j.db"
    desk = Desk(open_writer(url, mode="exercise"), exercise=True, refusal_key=b"k" * 32)
    served = serve(journal=desk, formats=None)

    def events():
        return [body for body in map(unpack, open_reader(url).read(0, 10_000)) if type(body).__name__ == "FrameBody"]

    served.events, served.real = events, desk
    return served


def _session(raw, served, wire, number=1, *, end=DISCONNECT, level=4, flags=2, payload=EPC, **how):
    """One connection that sends one message, has it acknowledged and ends."""
    client = raw(served.port, "tag1", level=level, flags=flags)
    client.publish(OWN, payload, number, **how)
    assert client.pubacks(1) == [number]
    if end:
        client.send(end)
    client.close()
    wire.until(lambda: served.status("connected") == 0)


# --- sent again, or new --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"flags": 0}, {"level": 5}, {"level": 3}], ids=["clean", "kept", "5", "3.1"])
@pytest.mark.parametrize("between", [0, 1, 5, 7])
def test_a_session_that_ended_cleanly_has_nothing_to_repeat(served, raw, wire, how, between):
    """A sensor that wakes, sends and says goodbye; once its link breaks before PUBLISH gets through, and it says DUP."""
    _session(raw, served, wire, **how)
    for n in range(between):
        _session(raw, served, wire, payload=b"30340000000000000000000%d" % n, **how)
    _session(raw, served, wire, dup=True, **how)
    assert [f.payload for f in served.events()].count(EPC) == 2


def test_a_goodbye_with_will_is_a_clean_end_too(served, raw, wire):
    will = b"\0" + wire.text(OWN) + wire.text(b"3034257BF7194E4000001A86")
    client = raw(served.port, "tag1", level=5, flags=2 | 4, rest=will)
    client.publish(OWN, EPC, 1)
    assert client.pubacks(1) == [1]
    client.send(b"\xe0\x01\x04")
    assert client.rest() == b""
    wire.until(lambda: len(served.events()) == 2, "the will")
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 3


def test_a_clean_end_is_remembered_over_a_restart(served, raw, wire, tmp_path):
    _session(raw, served, wire)
    wire.until(lambda: served.real.journal.sessions("tag1") == [], "the session forgotten on disk")
    # a later session that was cut is in doubt, the earlier one is not
    _session(raw, served, wire, 2, end=b"")
    assert len(served.real.journal.sessions("tag1")) == 1


def test_a_session_that_was_cut_may_be_repeated(served, raw, wire):
    _session(raw, served, wire, end=b"")
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 1
    # and what came clean behind it ends the doubt about both
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 2


def test_a_goodbye_before_the_acknowledgement_is_no_clean_end(served, raw, wire):
    served.desk.stall()
    client = raw(served.port, "tag1")
    client.send(wire.publish(OWN, EPC, 1) + DISCONNECT)
    assert client.rest() == b""
    served.desk.open.set()
    wire.until(lambda: served.status("acknowledged_total") == 1)
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 1


def test_a_goodbye_before_pubrel_is_no_clean_end(served, raw, wire):
    client = raw(served.port, "tag1")
    client.publish(OWN, EPC, 1, qos=2)
    assert client.packet() == (0x50, b"\0\1")
    client.send(DISCONNECT)
    assert client.rest() == b""
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 1


def test_a_goodbye_that_acknowledged_nothing_ends_no_doubt(served, raw, wire):
    _session(raw, served, wire, end=b"")
    client = raw(served.port, "tag1")
    client.send(DISCONNECT)
    assert client.rest() == b""
    _session(raw, served, wire, dup=True)
    assert len(served.events()) == 1


@pytest.mark.parametrize("number", [1, 16, 17, 40_000])
def test_sent_again_without_dup_after_a_cut(served, raw, wire, number):
    """MQTT.js sends again with the same id and DUP 0 (MQTT.js#692), so did esp-mqtt (#151) and Go paho (#487)."""
    _session(raw, served, wire, number, end=b"")
    _session(raw, served, wire, number)
    assert len(served.events()) == 1


def test_what_follows_a_message_sent_again_without_dup_is_new(served, raw, wire):
    first = raw(served.port, "tag1")
    for number in (700, 701, 702):
        first.publish(OWN, EPC, number)
    assert first.pubacks(3) == [700, 701, 702]
    first.close()
    second = raw(served.port, "tag1")
    for number in (701, 702, 703, 702):
        second.publish(OWN, EPC, number)
        assert second.pubacks(1) == [number]
    assert len(served.events()) == 3 + 2  # 703, and 702 anew behind it


@pytest.mark.parametrize(
    ("number", "end", "again", "payload"),
    [
        (700, DISCONNECT, 700, EPC),  # ended cleanly
        (1, DISCONNECT, 1, EPC),
        (700, b"", 701, EPC),  # another id
        (700, b"", 700, b"303400000000000000000001"),  # another message
        (1, b"\xc0\x00", 1, EPC),  # a ping was answered since: PUBACK was not the last thing written
    ],
)
def test_what_is_not_sent_again(served, raw, wire, number, end, again, payload):
    client = raw(served.port, "tag1")
    client.publish(OWN, EPC, number)
    assert client.pubacks(1) == [number]
    if end:
        client.send(end)
        assert end == DISCONNECT or client.packet() == (0xD0, b"")
    client.close()
    wire.until(lambda: served.status("connected") == 0)
    _session(raw, served, wire, again, payload=payload)
    assert len(served.events()) == 2


def test_a_device_that_counts_anew_each_time_repeats_nothing(served, raw, wire):
    """It wakes, sends twenty fixes with their times and an event without one, from id 1, and loses its power."""
    for day in range(2):
        client = raw(served.port, "tag1")
        for number in range(1, 21):
            fix = b'{"_type":"location","lat":51.9,"lon":4.2,"acc":5,"tst":%d}' % (1_700_000_000 + day * 86_400 + number)
            client.publish("birddog/v1/tag1/owntracks", fix, number)
        client.publish(OWN, EPC, 21)
        assert client.pubacks(21) == list(range(1, 22))
        client.close()
        wire.until(lambda: served.status("connected") == 0)
    assert [f.payload for f in served.events()].count(EPC) == 2


def test_a_low_id_is_a_new_message_when_some_time_has_passed(served, raw, wire, monkeypatch):
    """A sensor that loses its power after each event counts from 1 each time."""
    _session(raw, served, wire, 1, end=b"")
    monkeypatch.setattr("ingest.mqtt_clients.UNSURE_S", -1.0)
    _session(raw, served, wire, 1, end=b"")
    assert len(served.events()) == 2


def test_cut_before_the_acknowledgement_and_sent_again_without_dup(served, raw, wire):
    client = raw(served.port, "tag1")
    client.publish(OWN, EPC, 1)
    client.close()
    wire.until(lambda: served.status("acknowledged_total") == 1 and served.status("connected") == 0)
    _session(raw, served, wire, 1)
    assert len(served.events()) == 1


# --- QoS 2 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [3, 4, 5])
def test_qos_2_is_acknowledged_after_the_commit(served, raw, wire, level):
    served.desk.stall()
    client = raw(served.port, "tag1", level=level)
    client.publish(OWN, EPC, 7, qos=2)
    client.publish(OWN, EPC, 8)
    wire.until(lambda: served.intake.held == 2)
    assert client.nothing(served)
    served.desk.open.set()
    assert [client.packet(), client.packet()] == [(0x50, b"\0\7"), (0x40, b"\0\x08")]
    client.send(wire.packet(0x62, b"\0\7"))
    assert client.packet() == (0x70, b"\0\7")
    client.send(wire.packet(0x62, b"\0\x63"))  # of an earlier connection perhaps: the client shall let go of it
    assert client.packet() == (0x70, b"\0\x63")
    assert len(served.events()) == 2


def test_qos_2_is_taken_once_until_it_is_released(served, raw, wire):
    client = raw(served.port, "tag1")
    for dup in (False, False, True):  # 4.3.3: until PUBREL an equal id is the same message
        client.publish(OWN, EPC, 7, qos=2, dup=dup)
        assert client.packet() == (0x50, b"\0\7")
    assert len(served.events()) == 1
    client.send(wire.packet(0x62, b"\0\7"))
    assert client.packet() == (0x70, b"\0\7")
    client.publish(OWN, EPC, 7, qos=2)
    assert client.packet() == (0x50, b"\0\7")
    assert len(served.events()) == 2
    client.close()
    again = raw(served.port, "tag1")
    again.publish(OWN, EPC, 7, qos=2, dup=True)
    assert again.packet() == (0x50, b"\0\7")
    assert len(served.events()) == 2


@pytest.mark.parametrize("released", [True, False])
def test_a_cut_after_pubrel_leaves_no_doubt(served, raw, wire, released):
    client = raw(served.port, "tag1")
    client.publish(OWN, EPC, 1, qos=2)
    assert client.packet() == (0x50, b"\0\1")
    if released:
        client.send(wire.packet(0x62, b"\0\1"))
        assert client.packet() == (0x70, b"\0\1")
    client.close()
    wire.until(lambda: served.status("connected") == 0)
    again = raw(served.port, "tag1")
    again.publish(OWN, EPC, 1, qos=2, dup=True)
    assert again.packet() == (0x50, b"\0\1")
    assert len(served.events()) == (2 if released else 1)


def test_what_is_remembered_of_qos_2_is_bounded(serve, raw, wire):
    served = serve(receive_maximum=50)
    client = raw(served.port, "tag1")
    for number in range(1, 301):
        client.publish("birddog/v1/tag1/toy", b"x", number, qos=2)
        assert client.packet() == (0x50, struct.pack(">H", number))
    (connection,) = served.endpoint._connections
    assert len(connection._unreleased) == 50
    told = raw(served.port, "tag2", level=5)  # 4.9: the receive maximum counts until PUBREL
    for number in range(1, 51):
        told.publish("birddog/v1/tag2/toy", b"x", number, qos=2)
        assert told.packet() == (0x50, struct.pack(">H", number))
    told.publish("birddog/v1/tag2/toy", b"x", 50, qos=2, dup=True)
    assert told.packet() == (0x50, b"\0\x32")
    told.publish("birddog/v1/tag2/toy", b"x", 51, qos=2)
    assert told.rest() == b"\xe0\x02\x93\x00"


def test_a_refused_message_of_qos_2(serve, raw, wire):
    from birddog.directory import Directory
    from ingest.permit import DirectoryPermit

    served = serve(exercise=False, permit=DirectoryPermit(Directory(), ("toy",)))
    client = raw(served.port, "tag1", level=5)
    for _ in range(2):
        client.publish("birddog/v1/tag2/toy", b"x", 7, qos=2)
        assert client.packet() == (0x50, b"\0\7\x87")  # the id is free again
    assert [f.dup for f in served.frames] == [False, False]
    old = raw(served.port, "tag1")
    old.publish("birddog/v1/tag2/toy", b"x", 7, qos=2)
    assert old.packet() == (0x50, b"\0\7")


# --- too large, or wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [3, 4])
@pytest.mark.parametrize(("qos", "answer"), [(0, None), (1, (0x40, b"\0\2")), (2, (0x50, b"\0\2"))])
def test_a_message_that_is_too_large_does_not_block_its_sender(served, raw, wire, level, qos, answer):
    client = raw(served.port, "tag1", level=level)
    client.publish(OWN, EPC, 1)
    assert client.pubacks(1) == [1]
    client.publish(OWN, b"A" * 300_000, 2 if qos else 0, qos=qos)
    if answer:
        assert client.packet() == answer
    client.publish(OWN, EPC, 3)
    assert client.pubacks(1) == [3]
    first, large, third = served.events()
    assert (first.payload, third.payload) == (EPC, EPC)
    assert (large.payload, large.device, large.channel) == (b"", "tag1", OWN)
    [reject] = large.rejects
    assert reject.reason == "size" and "a packet of 3000" in reject.detail and "262144" in reject.detail


def test_a_message_that_is_too_large_ends_a_client_that_was_told(served, raw, wire):
    client = raw(served.port, "tag1", level=5)
    # all of it is sent before we close: what is unread must not turn our end into a reset that loses the PUBACK
    client.send(wire.publish(OWN, EPC, 1, level=5) + wire.publish(OWN, b"A" * 3_000_000, 2, level=5))
    assert client.rest() == b"\x40\x02\x00\x01" + b"\xe0\x02\x95\x00"
    assert [f.payload[:24] for f in served.events()][0] == EPC
    client.close()
    wire.until(lambda: not served.endpoint._connections)


@pytest.mark.parametrize(("qos", "answer"), [(1, (0x40, b"\0\2\x97")), (2, (0x50, b"\0\2\x97"))])
def test_a_client_that_does_not_heed_the_limit_is_not_blocked(served, raw, wire, qos, answer):
    """paho with MQTT 5 sends what is too large again at each connect: the second time it is told of no limit, and 0x97."""
    large = wire.publish(OWN, b"A" * 300_000, 2, qos=qos, level=5)
    first = raw(served.port, "tag1", level=5)
    first.send(large)
    assert first.rest() == b"\xe0\x02\x95\x00"
    other = raw(served.port, "tag2", level=5)
    assert b"\x27\x00\x04\x00\x00" in other.connack[1]
    other.close()
    again = raw(served.port, "tag1", level=5)
    assert b"\x27" not in again.connack[1]
    again.send(large + wire.publish(OWN, EPC, 3, level=5))
    assert again.packet() == answer
    assert again.pubacks(1) == [3]
    again.publish(OWN, EPC, 2, qos=qos)  # the id is free again
    assert again.packet()[1][:2] == b"\0\2"
    assert [(f.payload[:24], [r.reason for r in f.rejects]) for f in served.events()][-3:] == [
        (b"", ["size"]), (EPC, []), (EPC, [])]


def test_a_broken_off_message_that_was_too_large(served, raw, wire):
    client = raw(served.port, "tag1")
    client.send(wire.publish(OWN, b"A" * 300_000, 2)[:-5])
    client.close()
    wire.until(lambda: served.status("truncated_total") == 1)
    assert served.events() == []


@pytest.mark.parametrize("fault", ["a/+", "qos 3", "packet id 0", "subscribe"])
def test_what_was_stored_before_a_fault_is_acknowledged(served, raw, wire, fault):
    bad = {"a/+": wire.publish("a/+", b"x", 3), "qos 3": wire.publish("a", b"x", 3, qos=3),
           "packet id 0": wire.packet(0x32, wire.text("a") + b"\0\0"), "subscribe": wire.packet(0x82, b"\0\1")}[fault]
    served.desk.stall()
    client = raw(served.port, "tag1")
    client.send(wire.publish(OWN, EPC, 1) + wire.publish(OWN, EPC, 2) + bad + wire.publish(OWN, EPC, 4))
    wire.until(lambda: served.intake.held == 3, "two messages and the record")
    assert client.nothing(served)
    served.desk.open.set()
    assert client.rest() == b"\x40\x02\x00\x01\x40\x02\x00\x02"
    assert [bool(f.rejects) for f in served.events()] == [False, False, True]


def test_a_session_is_closed_once(served, raw, wire):
    closed = []
    real = served.intake.close_session
    served.intake.close_session = lambda *a: (closed.append(Closed(*a)), real(*a))
    _session(raw, served, wire)
    _session(raw, served, wire, end=b"")
    wire.until(lambda: len(closed) == 2)
    assert [c.finished for c in closed] == ["tag1", ""] and closed[0].session != closed[1].session
