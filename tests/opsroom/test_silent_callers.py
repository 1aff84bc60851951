"""A real run with few descriptors, and more connections than that which say nothing: nobody else is kept out."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

SAYS = {
    "nothing": b"",
    "half a header": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-",
    "a header without its body": b"POST /v1/alerts/x/acknowledge HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                 b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
}
FILES = 256
CALLERS = 400
PATIENCE_S = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ports by name, and the log's path."""
    folder = tmp_path_factory.mktemp("silent")
    ports = "[endpoint]\nport = 0\n[console]\nport = 0\n"
    (folder / "run.toml").write_text(f'{ports}[[tcp]]\nname = "ais"\nport = 0\nformat = "ais"\n')
    log = folder / "run.log"
    words = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", f"sqlite:///{folder}/j.db",
             "--config", str(folder / "run.toml")]
    limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))"
    program = f"import os, resource, sys; {limit}; os.execv(sys.argv[1], sys.argv[1:])"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=out, stderr=out)
    try:
        deadline, ports = time.monotonic() + PATIENCE_S, {}
        while len(ports) < 3:
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.05)
            found = re.findall(r"^(mqtt|tcp:ais|console): (?:port |http://127.0.0.1:)(\d+)/?$", log.read_text(), re.M)
            ports = {name: int(port) for name, port in found}
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                answers(ports["console"])
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield ports, log
    finally:
        process.terminate()
        assert process.wait(30) == 0


def answers(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S) as answer:
        assert "ok" in json.load(answer)


def device_is_heard(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as line:
        line.sendall(bytes.fromhex("100f00044d51545404020 03c0003746167".replace(" ", "")))
        assert line.recv(4) == b"\x20\x02\0\0"


@pytest.mark.parametrize(("name", "says"), [*(("console", s) for s in SAYS), ("mqtt", "nothing"), ("tcp:ais", "nothing")])
def test_more_silent_callers_than_descriptors_keep_nobody_out(run, name, says):
    ports, log = run
    before = log.stat().st_size
    lines = []
    try:
        for _ in range(CALLERS):
            line = socket.create_connection(("127.0.0.1", ports[name]), timeout=10)
            lines.append(line)
            with contextlib.suppress(ConnectionError):
                line.sendall(SAYS[says])
        answers(ports["console"])
        device_is_heard(ports["mqtt"])
        with socket.create_connection(("127.0.0.1", ports["tcp:ais"]), timeout=PATIENCE_S) as listened:
            listened.sendall(b"!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*23\r\n")
            device_is_heard(ports["mqtt"])  # by then its line has been looked at, in the same loop
            listened.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is not closed
                listened.recv(1)
    finally:
        for line in lines:
            line.close()
    written = log.read_bytes()[before:]
    assert written.count(b"\n") < 30 and b"Traceback" not in written, written[-2000:].decode()
