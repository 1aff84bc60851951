"""Durable acknowledged messages a second: our endpoint over Mosquitto -> paho (manual acknowledge) -> SQLite FULL.

    python benchmarks/endpoint.py [--messages 40000] [--rounds 3]

And our endpoint with the evidence log over without (`[journal] log = false`).  All in one run, in turn.  Ours:
`birddog run --only ingest --exercise`, the rate at which a QoS 1 publisher (a process of its own, window 4,000, 200-byte
OwnTracks positions) is acknowledged, decoding, admission and commit included.  The other: the rate at which a paho consumer
with manual acknowledgement stores what a Mosquitto passes on, in batches of up to 500 rows, synchronous=FULL, without
decoding.  Prints the ratios of medians and appends them to trend.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill9 import free_port, wait_for_port

#: Messages in flight: as many as the commits of some tens of milliseconds take.
WINDOW = 4000
TOPIC = b"birddog/v1/bench/owntracks"


def publish(port: int, count: int, salt: int) -> float:
    """Seconds until ``count`` messages are acknowledged."""
    body = []
    for n in range(count):
        said = {"_type": "location", "lat": 51.9 + n * 1e-7, "lon": 4.1, "acc": 9, "tst": 1_700_000_000 + salt * count + n,
                "batt": 80, "vel": 3, "cog": 90, "conn": "m", "tid": "bd", "pad": "x" * 60}
        payload = json.dumps(said).encode()
        rest = struct.pack(">H", len(TOPIC)) + TOPIC + struct.pack(">H", n % 65_535 + 1) + payload
        length, size = len(rest), bytearray()
        while True:
            length, digit = divmod(length, 128)
            size.append(digit | (0x80 if length else 0))
            if not length:
                break
        body.append(b"\x32" + bytes(size) + rest)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05bench")
        got = b""
        while len(got) < 4:
            got += s.recv(4)
        began = time.perf_counter()
        sent = acknowledged = 0
        while acknowledged < count * 4:
            room = WINDOW - (sent - acknowledged // 4)
            if room >= 100 or sent == count:
                s.sendall(b"".join(body[sent : sent + room]))
                sent = min(count, sent + room)
            data = s.recv(65536)
            if not data:
                raise SystemExit("the connection was closed")
            acknowledged += len(data)
        return time.perf_counter() - began


def without(folder: Path, count: int, salt: int) -> float:
    """``ours`` without the evidence log."""
    (folder / "birddog.toml").write_text("[journal]\nlog = false\n")
    return ours(folder, count, salt, "--config", str(folder / "birddog.toml"))


def ours(folder: Path, count: int, salt: int, *words: str) -> float:
    """Acknowledged messages a second of our endpoint; the first tenth, for which it loads what it needs, is not counted."""
    port = free_port()
    command = [sys.executable, "-m", "opsroom.cli", "run", "--only", "ingest", "--exercise", "--journal",
               f"sqlite:///{folder}/ours.db", "--mqtt-port", str(port), *words]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, 30)
        _published(port, count // 10, 1000 + salt)
        time.sleep(3)
        return count / _published(port, count, salt)
    finally:
        process.terminate()
        process.wait(30)


def theirs(folder: Path, count: int, salt: int) -> float:
    """Stored and acknowledged messages a second behind a Mosquitto."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    consumer = None
    try:
        wait_for_port(port, 30)
        consumer = subprocess.Popen([sys.executable, __file__, "--consume", str(port), "--messages", str(count), "--database",
                                     str(folder / f"theirs{salt}.db")], stdout=subprocess.PIPE, text=True)
        assert consumer.stdout is not None
        if consumer.stdout.readline().strip() != "ready":
            raise SystemExit("the consumer did not start")
        publisher = subprocess.Popen([sys.executable, __file__, "--publish", str(port), "--messages", str(count), "--salt",
                                      str(salt)], stdout=subprocess.DEVNULL)
        seconds = float(consumer.stdout.readline())
        publisher.wait()
        return count / seconds
    finally:
        if consumer is not None:
            consumer.kill()
            consumer.wait()
        broker.send_signal(signal.SIGTERM)
        broker.wait(30)


def consume(port: int, count: int, database: str) -> None:
    """The other side's consumer: batch, commit, acknowledge."""
    import queue

    import paho.mqtt.client as mqtt

    arrived: queue.SimpleQueue = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False, manual_ack=True)
    client.on_subscribe = lambda *a: print("ready", flush=True)
    client.on_message = lambda c, u, message: arrived.put(message)
    client.connect("127.0.0.1", port)
    client.subscribe("#", 1)
    client.loop_start()
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE m (id INTEGER PRIMARY KEY, topic TEXT, payload BLOB)")
    done, began = 0, 0.0
    while done < count:
        batch = [arrived.get()]
        began = began or time.perf_counter()
        while len(batch) < 500 and not arrived.empty():
            batch.append(arrived.get())
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO m (topic, payload) VALUES (?, ?)", [(m.topic, m.payload) for m in batch])
        db.execute("COMMIT")
        for message in batch:
            client.ack(message.mid, message.qos)
        done += len(batch)
    print(time.perf_counter() - began, flush=True)
    client.loop_stop()
    db.close()


def _published(port: int, count: int, salt: int) -> float:
    command = [sys.executable, __file__, "--publish", str(port), "--messages", str(count), "--salt", str(salt)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--consume", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--salt", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish:
        print(publish(args.publish, args.messages, args.salt))
        return 0
    if args.consume:
        consume(args.consume, args.messages, args.database)
        return 0
    if not os.path.exists("/usr/sbin/mosquitto"):
        print("endpoint: no Mosquitto here, nothing to compare with", file=sys.stderr)
        return 2
    from trend import record

    rates: dict[str, list[float]] = {"ours": [], "without": [], "theirs": []}
    for salt in range(args.rounds):
        for name, side in (("ours", ours), ("without", without), ("theirs", theirs)):
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(side(Path(folder), args.messages, salt))
                print(f"{name} {rates[name][-1]:,.0f} msg/s", flush=True)
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["theirs"])
    print(f"durable acknowledged messages/s over Mosquitto -> paho -> SQLite FULL: {ratio:.2f}")
    record("endpoint", "durable acknowledged msg/s over mosquitto-paho-sqlite", ratio)
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["without"])
    print(f"the same with the evidence log over without: {ratio:.2f}")
    record("endpoint", "durable acknowledged msg/s with the evidence log over without", ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
