"""The outside broker, with a real Mosquitto: nothing is lost by a kill -9, a restart, a cut or a stop.

Over 400 lines: one subject, and the broker, the proxy and the bad broker that are made here are used by all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from birddog.errors import ConfigError, UsageError
from birddog.journal import open_writer
from ingest import broker
from ingest.broker import Broker, Settings, Topic
from ingest.desk import Desk
from ingest.intake import Intake

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("toys")]
ROOT = Path(__file__).parents[2]


class Mosquitto:
    """A broker of our own on a free port, whose state survives ``restart``."""

    def __init__(self, folder, port, *lines):
        self.folder, self.port = folder, port
        self.file = folder / "mosquitto.conf"
        self.file.write_text("\n".join([
            "user root", f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/",
            "max_queued_messages 0", *(lines or ("allow_anonymous true", "max_inflight_messages 0")), ""]))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None and time.monotonic() < end, "mosquitto does not start"
            time.sleep(0.05)

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    def publish(self, messages, qos=1, **connection):
        """Publish (topic, payload) pairs; returns when the broker has acknowledged them all."""
        import paho.mqtt.publish

        rows = [{"topic": topic, "payload": payload, "qos": qos} for topic, payload in messages]
        paho.mqtt.publish.multiple(rows, hostname="127.0.0.1", port=self.port, **connection)


@pytest.fixture
def mosquitto(tmp_path, free_port):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    server = Mosquitto(tmp_path, free_port())
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    monkeypatch.setattr(broker, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(broker, "RETRY_MOST_S", 0.3)


@contextlib.contextmanager
def running(source, intake):
    thread = threading.Thread(target=source.run, args=(intake,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.stop()
        thread.join(15)
        assert not thread.is_alive(), "the broker's thread does not end"


def client(port, **more):
    more = {"topics": (Topic(filter="dots/#", format="toydot"), Topic(filter="owntracks/+/+/#", format="owntracks"))} | more
    return Broker(Settings(**{"name": "b", "host": "127.0.0.1", "port": port} | more))


def dots(*numbers):
    return [(f"dots/{n % 3}", b"%d" % n) for n in numbers]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_is_acknowledged_after_the_commit_and_comes_again_if_it_was_not(mosquitto, hand_desk, protocol):
    first, second = hand_desk(), hand_desk()
    with running(client(mosquitto.port, protocol=protocol), first.intake) as source:
        first.until(lambda: source.subscribed)
        mosquitto.publish([("owntracks/ann/phone7/event", b"{}"), *dots(1, 2)])
        first.until(lambda: len(first.frames) == 3, commit=False)
        assert source.status()["in_flight"] == 3 and source.status()["acknowledged"] == 0
        by_channel = {f.channel: f for f in first.frames}
        phone = by_channel["owntracks/ann/phone7/event"]
        assert (phone.format, phone.device, phone.source) == ("owntracks", "ann/phone7", "broker:b")
        assert by_channel["dots/1"].format == "toydot" and by_channel["dots/1"].device == ""
        assert len({f.session for f in first.frames}) == 3 and all(f.packet for f in first.frames)
    # nothing was committed: a later connection, by its lasting session, gets all three again, marked so
    with running(client(mosquitto.port, protocol=protocol), second.intake) as source:
        second.until(lambda: source.status()["acknowledged"] == 3)
        assert all(f.dup for f in second.frames) and source.status()["redelivered"] == 3
    assert sorted(second.payloads) == sorted(first.payloads)
    third = hand_desk()
    with running(client(mosquitto.port, protocol=protocol), third.intake) as source:
        third.until(lambda: source.subscribed)
        mosquitto.publish(dots(9))
        third.until(lambda: third.frames)
    assert third.payloads == [b"9"]


def test_the_window_holds_two_batches_and_a_batch_does_not_stall(mosquitto, hand_desk):
    desk, other = hand_desk(), hand_desk()
    with (running(client(mosquitto.port, batch=100), desk.intake) as source,
          running(client(mosquitto.port, client_id="other"), other.intake) as witness):
        desk.until(lambda: source.subscribed)
        other.until(lambda: witness.subscribed)
        mosquitto.publish(dots(*range(500)))
        desk.until(lambda: len(desk.frames) == 200, commit=False)
        other.until(lambda: len(other.frames) == 500)  # the broker has given out all that it may give
        assert len(desk.take().frames) == 200 == source.status()["in_flight"]  # and no more than asked for
        desk.until(lambda: source.status()["acknowledged"] == 500)
    assert sorted(map(int, desk.payloads)) == list(range(500))


def test_two_programs_with_one_client_id_are_told_so_and_do_not_race(mosquitto, desk, watched, monkeypatch):
    monkeypatch.setattr(broker, "RETRY_MOST_S", 10.0)
    one, two = client(mosquitto.port), client(mosquitto.port)
    waits = [watched(one), watched(two)]
    with running(one, desk.intake), running(two, desk.intake):
        desk.until(lambda: one.status()["gaps"] + two.status()["gaps"] >= 3)
        # Mosquitto 2.0.11 closes the line without a word: that it never lasts is the sign
        desk.until(lambda: "another program use the client id birddog-b?" in one.last_error + two.last_error)
        # each was connected in between, and its waits double from 0.05 s all the same
        desk.until(lambda: all(len(own) >= 5 for own in waits))
    for own in waits:
        assert all(wait_s >= 0.05 / 2 * 2**i for i, wait_s in enumerate(own[:5])), own


def test_a_device_that_a_person_cannot_read_is_refused(mosquitto, desk):
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish([("owntracks/ann/tag\u202e1", b"{}"), ("owntracks/ann/tag1", b"{}")])
        desk.until(lambda: source.status()["acknowledged"] == 2)
    assert sorted(f.reject.reason if f.reject else "" for f in desk.frames) == ["", "identity"]


def test_a_long_message_is_taken_and_a_longer_one_is_a_reject_with_its_head(mosquitto, desk):
    """As large as the endpoint takes: a reader's batch of many tags has more than 64 KiB."""
    sizes = (70_000, broker.MOST_PAYLOAD, broker.MOST_PAYLOAD + 1)
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish([("dots/1", b"x" * size) for size in sizes])
        desk.until(lambda: source.status()["acknowledged"] == 3)
    got = sorted(desk.frames, key=lambda f: (f.reject is not None, len(f.payload)))
    assert [len(f.payload) for f in got] == [70_000, broker.MOST_PAYLOAD, broker.MOST_PAYLOAD]
    assert [f.reject and f.reject.reason for f in got] == [None, None, "size"]


def test_results_in_any_order_are_acknowledged_in_the_order_of_receipt(mosquitto, desk):
    order = []
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(*range(20)))
        desk.until(lambda: len(desk.frames) == 20, commit=False)
        line = desk.frames[0].receipt[0]
        send = line._client.ack
        line._client.ack = lambda mid, qos: (order.append(mid), send(mid, qos))[1]
        pending = [(frames[0], len(frames)) for _, frames in desk._pending]
        assert pending
        from ingest.intake import Result

        desk._pending.clear()
        for frame in reversed(desk.frames):
            source.acknowledge([Result(frame, "stored")])
        desk.until(lambda: source.status()["acknowledged"] == 20)
    assert order == [f.packet for f in desk.frames]


def test_a_restart_of_the_broker_is_waited_for_and_nothing_is_missed(mosquitto, desk):
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(*range(10)))
        desk.until(lambda: len(desk.frames) == 10, commit=False)  # received, and not acknowledged when the broker goes
        mosquitto.stop()
        desk.until(lambda: source.status()["connect_failures"] >= 2, commit=False)
        desk.commit()
        assert source.status()["gaps"] == 1 and not source.connected
        mosquitto.start()
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(*range(10, 20)))
        desk.until(lambda: {int(p) for p in desk.payloads} == set(range(20)) and source.status()["in_flight"] == 0)
        status = source.status()
    # the results of the lost connection's frames were not sent over the new one
    assert status["stale_results"] == 10 and status["redelivered"] == 10 and status["reconnects"] == 1


def test_what_came_while_we_were_away_is_there_when_we_come_back(mosquitto, desk):
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(1))
        desk.until(lambda: source.status()["acknowledged"] == 1)
    mosquitto.publish(dots(*range(2, 1502)))  # Mosquitto's default would drop all but 1,000: docs/transports.md
    with running(client(mosquitto.port), desk.intake) as source:
        desk.until(lambda: source.status()["acknowledged"] == 1500)
    assert sorted(map(int, desk.payloads)) == list(range(1, 1502))


def test_a_full_intake_waits_and_loses_nothing(mosquitto, hand_desk):
    desk = hand_desk(capacity=10)
    with running(client(mosquitto.port, batch=50), desk.intake) as source:
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(*range(1000)))
        end = time.monotonic() + 10
        while source.status()["pauses"] == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        desk.until(lambda: source.status()["acknowledged"] == 1000)
    assert sorted(map(int, desk.payloads)) == list(range(1000))


def test_stop_acknowledges_what_gets_on_disk_meanwhile(mosquitto, desk, hand_desk):
    source = client(mosquitto.port)
    with running(source, desk.intake):
        desk.until(lambda: source.subscribed)
        mosquitto.publish(dots(1, 2))
        desk.until(lambda: len(desk.frames) == 2, commit=False)
        source.stop()
        desk.commit()
    assert source.status()["acknowledged"] == 2
    later = hand_desk()
    with running(client(mosquitto.port), later.intake) as source:
        later.until(lambda: source.subscribed)
        mosquitto.publish(dots(3))
        later.until(lambda: later.frames)
    assert later.payloads == [b"3"]


CONSUMER = textwrap.dedent("""
    import sys, threading, time
    from birddog.journal import open_writer
    from ingest.broker import Broker, Settings, Topic
    from ingest.desk import Desk
    from ingest.intake import Intake
    from ingest.writer import Settings as JournalSettings, WriterThread

    port, path = int(sys.argv[1]), sys.argv[2]
    for attempt in range(200):
        try:
            writer = open_writer(f"sqlite:///{path}", mode="exercise")
            break
        except Exception:
            if attempt == 199:
                raise
            time.sleep(0.05)
    intake = Intake()
    thread = WriterThread(Desk(writer, exercise=True, refusal_key=b"k" * 32), intake, JournalSettings(), print)
    thread.start()
    source = Broker(Settings(name="kill", host="127.0.0.1", port=port, batch=50,
                             topics=(Topic(filter="owntracks/+/+", format="owntracks"),)))
    threading.Thread(target=source.run, args=(intake,), daemon=True).start()
    while True:
        time.sleep(0.02)
        print(source.status()["acknowledged"], source.status()["redelivered"], source.subscribed, flush=True)
""")


@needs_mosquitto
def test_kill_9_of_the_consumer_loses_nothing_that_the_broker_acknowledged(mosquitto, tmp_path):
    """Real desk, real journal: killed at seeded moments under load, started again; every message is there once."""
    from birddog.journal import open_reader

    total, kills, dice = 3000, 6, random.Random(20261124)
    journal = tmp_path / "j.db"

    def start():
        process = subprocess.Popen([sys.executable, "-c", CONSUMER, str(mosquitto.port), str(journal)], cwd=ROOT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return process

    def message(n):
        return {"_type": "location", "tst": 1_795_000_000 + n, "lat": 52.0 + n * 1e-5, "lon": 4.0, "tid": "k1"}

    consumer = start()
    end = time.monotonic() + 60
    while "True" != consumer.stdout.readline().split()[2]:  # so that the session exists
        assert time.monotonic() < end
    publisher = threading.Thread(target=mosquitto.publish, args=([
        (f"owntracks/ann/unit{n % 7}", json.dumps(message(n))) for n in range(total)],), daemon=True)
    publisher.start()
    redelivered = 0
    for _ in range(kills):
        for _ in range(dice.randint(2, 12)):
            line = consumer.stdout.readline()
        redelivered += int(line.split()[1])
        os.kill(consumer.pid, signal.SIGKILL)
        consumer.communicate()
        consumer = start()
    publisher.join(60)
    assert not publisher.is_alive()
    reader = open_reader(f"sqlite:///{journal}")
    end = time.monotonic() + 60
    try:
        while reader.counts().frames < total:
            assert time.monotonic() < end, f"{total - reader.counts().frames} of {total} were lost"
            line = consumer.stdout.readline()
        redelivered += int(line.split()[1])
        assert reader.counts().frames == total == reader.counts().observations
    finally:
        reader.close()
        os.kill(consumer.pid, signal.SIGKILL)
        consumer.communicate()
    assert redelivered > 0, "no kill fell between a receipt and its acknowledgement: this run showed nothing"


class Proxy:
    """Between us and the broker: cuts every connection with a reset after so many bytes from the broker."""

    def __init__(self, port, cuts):
        self._to, self.cuts, self.cut = port, list(cuts), 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                left = [self.cuts.pop(0) if self.cuts else -1]
                threading.Thread(target=self._carry, args=(near, far, [-1]), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, left), daemon=True).start()

    def _carry(self, source, sink, left):
        with contextlib.suppress(OSError):
            while data := source.recv(512):
                sink.sendall(data)
                if left[0] > 0:
                    left[0] -= len(data)
                    if left[0] <= 0:
                        self.cut += 1
                        for sock in (source, sink):
                            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self):
        self._server.close()


def test_a_line_that_is_reset_at_seeded_moments_loses_nothing(mosquitto, desk):
    dice = random.Random(5)
    proxy = Proxy(mosquitto.port, [dice.randint(200, 6000) for _ in range(8)])
    try:
        with running(client(proxy.port, batch=50), desk.intake) as source:
            desk.until(lambda: source.subscribed)
            mosquitto.publish(dots(*range(2000)))
            desk.until(lambda: {int(p) for p in desk.payloads} == set(range(2000)) and source.status()["in_flight"] == 0)
            status = source.status()
    finally:
        proxy.close()
    assert proxy.cut == 8 and status["reconnects"] == 8
    # Mosquitto also marks as DUP what it had sent into the line and never reached us
    assert 0 < len(desk.frames) - 2000 <= status["redelivered"]


# --- a broker that misbehaves ----------------------------------------------------------------------


@contextlib.contextmanager
def bad_broker(talk, connack=b"\x20\x02\x00\x00"):
    """A server that answers CONNECT and then does ``talk(line)``; yields its port and the count of connections."""
    seen = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                seen.append(line)
                with line:
                    line.settimeout(5)
                    line.recv(4096)
                    line.sendall(connack)
                    with contextlib.suppress(OSError):
                        talk(line)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], seen


def publish_packet(topic, payload, mid):
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + payload
    assert len(body) < 128
    return bytes([0x32, len(body)]) + body


def test_a_topic_that_is_no_text_is_a_reject_and_rubbish_is_a_lost_connection(desk):
    got = []

    def talk(line):
        line.sendall(publish_packet(b"dots/\xff\xfe", b"x", 7) + publish_packet(b"elsewhere", b"y", 8)
                     + publish_packet(b"dots/1", b"z", 9))
        end = time.monotonic() + 20
        while b"\x40\x02\x00\x09" not in b"".join(got) and time.monotonic() < end:
            got.append(line.recv(4096))
        line.sendall(b"\x32\xff\xff\xff\xff\xff\xff")

    with bad_broker(talk) as (port, seen), running(client(port, protocol="3.1.1"), desk.intake) as source:
        desk.until(lambda: len(seen) >= 2 and source.status()["gaps"] >= 1)
    first = desk.frames[:3]
    assert [(f.payload, f.reject.reason if f.reject else "") for f in first] == [(b"x", "format"), (b"y", "format"), (b"z", "")]
    # also what was refused is acknowledged, or it would come for ever
    assert b"\x40\x02\x00\x07\x40\x02\x00\x08\x40\x02\x00\x09" in b"".join(got)


def test_a_broker_that_takes_the_lowest_free_packet_id_again_and_again_sends_other_messages(tmp_path):
    """Two equal events without a time are two, also where each came with packet id 1; what comes with DUP is the last one."""
    events = Desk(open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise"), exercise=True, refusal_key=b"k")
    intake, got = Intake(), []

    def talk(line):
        for first in (0x32, 0x32, 0x32, 0x3A):
            raw = publish_packet(b"birddog/v1/dock/epc", b"3034257BF7194E4000001A85", 1)
            line.sendall(bytes((first,)) + raw[1:])
            while line.recv(4) != b"\x40\x02\x00\x01":  # acknowledged, so the id is free
                pass

    def noted(source):
        def acknowledge(results):
            got.extend(result.outcome for result in results)
            source.acknowledge(results)

        return SimpleNamespace(acknowledge=acknowledge)

    topics = (Topic(filter="birddog/#", format="epc"),)
    with bad_broker(talk) as (port, _), running(client(port, protocol="3.1.1", topics=topics), intake):
        deadline = time.monotonic() + 20
        while len(got) < 4 and time.monotonic() < deadline:
            items = [(noted(item[0]), item[1]) if isinstance(item, tuple) else item for item in intake.take(100, 0.05)]
            events.take(items, time.time_ns())
    assert got[:4] == ["stored", "stored", "stored", "duplicate"]


def test_the_word_of_a_broker_that_ends_the_line_is_kept(desk):
    with bad_broker(lambda line: line.sendall(b"\xe0\x01\x8e"), connack=b"\x20\x03\x00\x00\x00") as (port, _):
        with running(client(port), desk.intake) as source:
            desk.until(lambda: source.status()["gaps"] >= 1)
            assert "taken over" in source.status()["last_error"]


def test_a_subscription_that_is_refused_is_not_called_subscribed(desk):
    def talk(line):
        subscribe = line.recv(4096)
        line.sendall(b"\x90\x04" + subscribe[2:4] + b"\x01\x80")  # the first filter granted, the second refused
        line.recv(4096)

    with bad_broker(talk) as (port, _), running(client(port, protocol="3.1.1"), desk.intake) as source:
        desk.until(lambda: source.status()["refused_subscriptions"] == 1)
        assert source.connected and not source.subscribed and "owntracks/+/+/#" in source.last_error


def test_a_line_that_died_silently_is_noticed(desk):
    with bad_broker(lambda line: time.sleep(5)) as (port, seen):
        with running(client(port, protocol="3.1.1", keepalive_s=1), desk.intake) as source:
            desk.until(lambda: source.status()["gaps"] >= 1)


def test_a_broker_that_is_not_there_is_asked_again_without_spinning(desk, watched, free_port):
    source = client(free_port())
    waits = watched(source)
    with running(source, desk.intake):
        desk.until(lambda: source.status()["connect_failures"] >= 3 and len(waits) >= 3)
    assert all(wait_s >= 0.05 / 2 for wait_s in waits), "a busy loop"
    assert "refused" in source.status()["last_error"]


# --- who we are ----------------------------------------------------------------------------------------


@needs_mosquitto
def test_password_and_tls(tmp_path, desk, certificates, free_port):
    words = tmp_path / "words"
    tool = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    subprocess.run([tool, "-b", "-c", str(words), "desk", "s3cret"], check=True, capture_output=True)
    words.chmod(0o644)
    server = Mosquitto(tmp_path, free_port(), f"cafile {certificates}/ca.pem", f"certfile {certificates}/server.pem",
                       f"keyfile {certificates}/server.key", "require_certificate true", "allow_anonymous false",
                       f"password_file {words}")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    files = {k: str(certificates / v) for k, v in {"ca": "ca.pem", "cert": "unit7.pem", "key": "unit7.key"}.items()}
    good = {"host": "127.0.0.1", "username": "desk", "password_file": str(secret)} | files
    try:
        with running(client(server.port, **good), desk.intake) as source:
            desk.until(lambda: source.subscribed)
            server.publish(dots(*range(100)), auth={"username": "desk", "password": "s3cret"},
                           tls={"ca_certs": files["ca"], "certfile": files["cert"], "keyfile": files["key"]})
            desk.until(lambda: source.status()["acknowledged"] == 100)
        secret.write_text("wrong")
        with running(client(server.port, **good), desk.intake) as source:
            desk.until(lambda: source.status()["connect_failures"] >= 2)
            assert "refuses us" in source.status()["last_error"]
        wrong = good | {"cert": str(certificates / "stranger.pem"), "key": str(certificates / "stranger.key")}
        with running(client(server.port, **wrong), desk.intake) as source:
            desk.until(lambda: source.status()["connect_failures"] >= 2)
            assert not source.connected
    finally:
        server.stop()


def test_an_exercise_takes_nothing_from_a_broker_elsewhere():
    settings = Settings(name="b", host="broker.example", plain=True, topics=(Topic(filter="a", format="toydot"),))
    Broker(settings)
    with pytest.raises(UsageError, match="beyond this machine"):
        Broker(settings, exercise=True)


def test_a_password_that_others_can_read_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        client(1883, username="desk", password_file=str(secret))


@pytest.mark.parametrize(("more", "said"), [
    ({"host": "broker.example"}, "beyond loopback"),
    ({"topics": ()}, "at least one topic"),
    ({"topics": (Topic(filter="a/#/b", format="toydot"),)}, "no MQTT topic filter"),
    ({"topics": (Topic(filter="a/b+", format="toydot"),)}, "no MQTT topic filter"),
    ({"topics": (Topic(filter="a", format="nothing-such"),)}, "no format"),
    ({"port": 0}, "1 to 65535"),
    ({"cert": "c.pem"}, "go together"),
    ({"ca": "none.pem"}, "there is no file"),
    ({"password_file": "x"}, "needs a username"),
    ({"batch": 0}, "1 to 30000"),
])
def test_settings_that_are_refused(more, said):
    with pytest.raises(ConfigError, match=said):
        client(**{"port": 1883} | more)
