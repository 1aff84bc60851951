"""Kill `birddog run` with SIGKILL under load, again and again, and hold what was acknowledged against the journal.

    python benchmarks/kill9.py --kills 20 --seed 1

A QoS 1 publisher keeps a window of messages in flight; at seeded moments every process of the run is
killed, the run is started again on the same ports, and the publisher resumes as MQTT wants it: what
was not acknowledged is sent again with DUP set and the same packet number.  At the end: every
acknowledged message stands in the journal exactly once, `birddog rebuild` says identical, exit 0.
Every tenth message carries no time of its own, so that it is told apart by session and number alone.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

START_S = 1_700_000_000


class Publisher(threading.Thread):
    """One MQTT 3.1.1 client that never gives up."""

    def __init__(self, port: int, name: str, window: int):
        super().__init__(daemon=True)
        self.port, self.client, self.window = port, name, window
        self.acknowledged: list[int] = []
        self.connects = 0
        self.done = threading.Event()
        self._flight: collections.OrderedDict[int, tuple[int, bytes]] = collections.OrderedDict()
        self._n = 0
        self._packet = 0

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self._session()
            except OSError:
                time.sleep(0.05)

    def _session(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = self.client.encode()
            s.sendall(_packet(0x10, b"\x00\x04MQTT\x04\x00\x00\x3c" + struct.pack(">H", len(name)) + name))
            buffer = b""
            while len(buffer) < 4:
                buffer += _some(s)
            if buffer[:4] != b"\x20\x02\x00\x00":
                raise OSError(f"CONNACK {buffer[:4].hex()}")
            buffer = buffer[4:]
            self.connects += 1
            s.sendall(b"".join(self._publish(packet, n, payload, dup=True) for packet, (n, payload) in self._flight.items()))
            while True:
                out = []
                while len(self._flight) < self.window and not self.done.is_set():
                    out.append(self._next())
                if out:
                    s.sendall(b"".join(out))
                elif not self._flight:
                    return
                buffer = self._take(buffer + _some(s))

    def _take(self, buffer: bytes) -> bytes:
        while len(buffer) >= 4:
            if buffer[0] != 0x40:
                raise OSError(f"not a PUBACK: {buffer[:4].hex()}")
            (packet,) = struct.unpack(">H", buffer[2:4])
            self.acknowledged.append(self._flight.pop(packet)[0])
            buffer = buffer[4:]
        return buffer

    def _next(self) -> bytes:
        self._n += 1
        self._packet = self._packet % 65_535 + 1
        n = self._n
        if n % 10 == 0:
            said = {"_type": "card", "name": "t", "n": n}
        else:
            said = {"_type": "location", "lat": 51.9 + n * 1e-7, "lon": 4.1, "acc": 9, "tst": START_S + n, "n": n}
        payload = json.dumps(said).encode()
        self._flight[self._packet] = (n, payload)
        return self._publish(self._packet, n, payload, dup=False)

    def _publish(self, packet: int, n: int, payload: bytes, *, dup: bool) -> bytes:
        topic = f"birddog/v1/{self.client}/owntracks".encode()
        return _packet(0x3A if dup else 0x32, struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet) + payload)


def _packet(head: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([head])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


def _some(s: socket.socket) -> bytes:
    data = s.recv(65536)
    if not data:
        raise OSError("closed")
    return data


def start(url: str, mqtt: int, http: int, log: Path) -> subprocess.Popen:
    """`birddog run` in a process group of its own."""
    command = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", url, "--mqtt-port", str(mqtt),
               "--http-port", str(http)]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)


def free_port() -> int:
    """A port that is free now, below those that the system gives to who asks for port 0: nobody gets it by chance."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def wait_for_port(port: int, seconds: float) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port} after {seconds:.0f} s")


def wait_for_silence(port: int, seconds: float) -> None:
    """Wait until nothing listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.005)
    raise SystemExit(f"something still listens on port {port} after {seconds:.0f} s")


def soak(folder: Path, kills: int, seed: int) -> dict:
    """Run it; what was found."""
    rng = random.Random(seed)
    url, mqtt, http = f"sqlite:///{folder}/journal.db", free_port(), free_port()
    log = folder / "run.log"
    process = start(url, mqtt, http, log)
    wait_for_port(mqtt, 30)
    publishers = [Publisher(mqtt, f"tag{i}", 200) for i in range(2)]
    for p in publishers:
        p.start()
    slowest = 0.0
    for kill in range(kills):
        before = sum(len(p.acknowledged) for p in publishers)
        deadline = time.monotonic() + 60
        while sum(len(p.acknowledged) for p in publishers) == before:
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing was acknowledged for 60 s before kill {kill + 1}; {log} may say why")
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.5))
        if rng.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)  # all at once, as when the power goes
        else:
            process.kill()  # only the parent: its children must end by themselves
        process.wait()
        wait_for_silence(mqtt, 5)  # an orphan that still listens would be taken for the new one
        began = time.monotonic()
        process = start(url, mqtt, http, log)
        wait_for_port(mqtt, 12)
        slowest = max(slowest, time.monotonic() - began)
    time.sleep(0.5)
    for p in publishers:
        p.done.set()
    for p in publishers:
        p.join(60)
    process.terminate()
    process.wait(30)
    return found(url, publishers, slowest)


def found(url: str, publishers: list[Publisher], slowest: float) -> dict:
    """Hold the acknowledged numbers against the journal's export."""
    out = subprocess.run([sys.executable, "-m", "opsroom.cli", "journal", "export", "--journal", url], capture_output=True,
                         text=True, check=True).stdout
    stored: collections.Counter = collections.Counter()
    for line in out.splitlines():
        row = json.loads(line)
        if row["kind"] == "frame":
            stored[row["device"], json.loads(bytes.fromhex(row["payload_hex"]))["n"]] += 1
    acknowledged = [(p.client, n) for p in publishers for n in p.acknowledged]
    rebuilt = subprocess.run([sys.executable, "-m", "opsroom.cli", "rebuild", "--journal", url], capture_output=True, text=True)
    return {
        "acknowledged": len(acknowledged), "missing": sum(1 for key in acknowledged if stored[key] == 0),
        "stored_twice": sum(1 for n in stored.values() if n > 1), "stored": len(stored),
        "connects": sum(p.connects for p in publishers), "slowest_restart_s": round(slowest, 2),
        "rebuild": rebuilt.stdout.strip().splitlines()[-1] if rebuilt.stdout.strip() else rebuilt.stderr.strip(),
        "unfinished": sum(p.is_alive() for p in publishers),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), args.kills, args.seed)
        good = (result["acknowledged"] > 0 and not result["missing"] and not result["stored_twice"]
                and not result["unfinished"] and result["rebuild"] == "identical")
        if not good:
            print((Path(folder) / "run.log").read_text()[-3000:], file=sys.stderr)
    print(json.dumps(result))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
