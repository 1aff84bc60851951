"""A live run with the real endpoint: of what no warrant covers not one byte of the position is in any file of the folder."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from birddog.journal import open_reader
from birddog.model import FrameBody, unpack
from birddog.units import NS, iso_from_ns

BOX = {"type": "Polygon", "coordinates": [[[3, 51], [5, 51], [5, 53], [3, 53], [3, 51]]]}
#: Where nobody may know that they were: outside the area, before the start, after the end, of nobody's warrant.
OUT = [(12.3456789, 98.7654321), (51.7182818, 4.2831853), (51.4142135, 4.1732050), (51.6180339, 4.9172931)]
IN = (51.9, 4.1)


def cli(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def forms_of(degrees: float) -> list[bytes]:
    """A coordinate as text, as floats of both sizes and orders, and as whole numbers of several units."""
    out = [f"{degrees:.{n}f}".encode() for n in (5, 6, 7)] + [repr(degrees).encode()]
    out += [struct.pack(form, degrees) for form in ("<d", ">d", "<f", ">f")]
    for unit in (1e7, 1e6, 1e9, 600_000):
        for form in ("<i", ">i", "<q", ">q"):
            value = round(degrees * unit)
            if form[1] == "q" or -(2**31) <= value < 2**31:
                out.append(struct.pack(form, value))
    out.append(struct.pack("<d", math.radians(degrees)))
    return out


def found_in(folder: Path, words: list[bytes]) -> list[tuple[str, bytes]]:
    return [(path.name, word) for path in folder.rglob("*") if path.is_file() for data in [path.read_bytes()]
            for word in words if word in data]  # fmt: skip


@pytest.mark.slow
def test_of_a_refused_position_nothing_is_in_the_folder_after_a_live_run(tmp_path):
    url, now_ns = f"sqlite:///{tmp_path}/case.db", time.time_ns()
    cli("operation", "add", "OP", "--journal", url)
    for device in ("tag1", "tag2"):
        cli("device", "enrol", device, "--format", "owntracks", "--owner", "unit 7", "--journal", url)
        cli("device", "attach", device, "--operation", "OP", "--from", "2020-01-01T00:00:00Z", "--journal", url)
    said = {"id": "W1", "device": "tag1", "issued": iso_from_ns(now_ns - 7200 * NS), "install_by": iso_from_ns(now_ns),
            "use_from": iso_from_ns(now_ns - 3600 * NS), "use_until": iso_from_ns(now_ns + 3600 * NS), "jurisdiction": BOX}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "w.json").write_text(json.dumps(said))
    ports = f"[endpoint]\nport = {port()}\n[console]\nport = {port()}\n"
    (tmp_path / "birddog.toml").write_text(f'[journal]\nurl = "{url}"\n{ports}')
    log = tmp_path / "log.txt"
    with log.open("wb") as out:
        child = subprocess.Popen([sys.executable, "-m", "opsroom.cli", "run", "--config", str(tmp_path / "birddog.toml")],
                                 stdout=out, stderr=out, cwd=tmp_path, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        text = (tmp_path / "birddog.toml").read_text()
        mqtt_port, http_port = (int(n) for n in re.findall(r"port = (\d+)", text))
        until(lambda: listens(mqtt_port) and listens(http_port))
        # while it runs, through the control socket
        cli("warrant", "add", str(tmp_path / "in" / "w.json"), "--operation", "OP", "--actor", "ann", "--journal", url)
        cli("warrant", "approve", "W1", "--actor", "bea", "--journal", url)
        commands: list[bytes] = []
        clients = {name: connected(name, mqtt_port, commands) for name in ("tag1", "tag2")}
        t = now_ns // NS

        def send(device, lat, lon, tst, **more):
            payload = json.dumps({"_type": "location", "lat": lat, "lon": lon, "tst": tst, "tid": "x", **more})
            clients[device].publish(f"birddog/v1/{device}/owntracks", payload, qos=1).wait_for_publish(30)

        send("tag1", *IN, t)
        send("tag1", *OUT[0], t + 1)
        send("tag1", *OUT[1], t - 5000)
        send("tag2", *OUT[3], t)
        for _ in range(2):  # broken, and again
            clients["tag1"].publish("birddog/v1/tag1/owntracks", b'{"lat": %r, "lon": %r' % OUT[0], qos=1).wait_for_publish(30)
        cli("warrant", "revoke", "W1", "--actor", "ann", "--journal", url)
        send("tag1", *OUT[2], time.time_ns() // NS + 1)
        until(lambda: commands)
        assert json.loads(commands[0]) == {"command": "sleep", "reason": "revoked"}

        def refused():
            with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/refused", timeout=10) as answer:
                rows = json.load(answer)["refused"]
            found = {(row["device"], row["detail"]): row["count"] for row in rows if row["reason"] == "unauthorised"}
            return found if len(found) == 4 else None

        assert until(refused) == {("tag1", "outside_jurisdiction"): 1, ("tag1", "before_start"): 1,
                                  ("tag2", "no_authority"): 1, ("tag1", "revoked"): 1}
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/authority", timeout=10) as answer:
            authority = json.load(answer)
        assert [(w["warrant"], w["state"]) for w in authority["warrants"]] == [("W1", "revoked")]
        assert [(r["device"], r["owner"]) for r in authority["retrieval"]] == [("tag1", "unit 7")]
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/tracks?all=true", timeout=10) as answer:
            tracks = json.load(answer)["tracks"]
        assert [track["authority"]["state"] for track in tracks] == ["revoked"]
        for client in clients.values():
            client.disconnect(), client.loop_stop()
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)
    words = [word for lat, lon in OUT for degrees in (lat, lon) for word in forms_of(degrees)]
    assert not found_in(tmp_path, words)
    (tmp_path / "in" / "control").write_bytes(b"x" + forms_of(OUT[2][1])[-1])
    assert found_in(tmp_path, words)  # it would have been found
    reader = open_reader(url)
    kept = [o for e in reader.read(0, 10_000) if e.kind in ("frame", "refusal") for o in getattr(unpack(e), "observations", ())]
    bodies = [unpack(e) for e in reader.read(0, 10_000) if e.kind == "frame"]
    reader.close()
    assert [(o.lat_deg, o.lon_deg) for o in kept if hasattr(o, "lat_deg")] == [IN]
    assert all(isinstance(body, FrameBody) for body in bodies) and len(bodies) == 1


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(number: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex(("127.0.0.1", number)) == 0


def connected(name: str, number: int, commands: list[bytes]) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
    ready: list[int] = []
    client.on_message = lambda client, data, message: commands.append(message.payload)
    client.on_subscribe = lambda client, data, mid, codes, properties: ready.append(mid)
    client.connect("127.0.0.1", number)
    client.loop_start()
    until(client.is_connected)
    client.subscribe(f"birddog/v1/{name}/command")
    until(lambda: ready)
    return client
