"""Memory of `birddog run` with 1,000 idle devices connected.

    python benchmarks/idle_devices.py [--devices 1000]

Prints the resident memory of each process before and after the devices connect (MQTT 3.1.1, keep-alive
an hour, nothing sent) and appends the ratio of all processes together to trend.csv.
"""

from __future__ import annotations

import argparse
import resource
import socket
import struct
import subprocess
import sys
import tempfile

import psutil
from kill9 import free_port, wait_for_port
from trend import record


def connect(port: int, number: int) -> socket.socket:
    """One device that is there and says nothing."""
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    name = f"idle-{number}".encode()
    body = b"\x00\x04MQTT\x04\x02\x0e\x10" + struct.pack(">H", len(name)) + name
    s.sendall(bytes([0x10, len(body)]) + body)
    if s.recv(4) != b"\x20\x02\x00\x00":
        raise SystemExit(f"device {number} was not let in")
    return s


def resident(parent: psutil.Process) -> dict[str, float]:
    """MiB by process."""
    out = {"supervisor": parent.memory_info().rss / 2**20}
    for child in parent.children(recursive=True):
        words = child.cmdline()
        out[words[words.index("--only") + 1]] = child.memory_info().rss / 2**20
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=1000)
    args = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, args.devices * 2 + 200)), hard))
    with tempfile.TemporaryDirectory() as folder:
        mqtt, http = free_port(), free_port()
        command = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", f"sqlite:///{folder}/j.db",
                   "--mqtt-port", str(mqtt), "--http-port", str(http)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(mqtt, 30)
            wait_for_port(http, 30)
            parent = psutil.Process(process.pid)
            before = resident(parent)
            devices = [connect(mqtt, i) for i in range(args.devices)]
            after = resident(parent)
            for name in after:
                print(f"{name:<11} {before[name]:6.1f} MiB -> {after[name]:6.1f} MiB")
            for device in devices:
                device.close()
        finally:
            process.terminate()
            process.wait(30)
    ratio = sum(after.values()) / sum(before.values())
    print(f"all: {sum(before.values()):.1f} MiB -> {sum(after.values()):.1f} MiB with {args.devices} idle devices, {ratio:.3f}")
    record("idle_devices", f"resident memory with {args.devices} idle devices over none", ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
