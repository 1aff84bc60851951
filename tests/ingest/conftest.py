"""What the transports' tests share: a toy stream format, and a desk that commits when the test says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from birddog.model import Reading, Reject
from devices import codec
from devices.codec import Decoded, Piece, rejected
from ingest.intake import Closed, Intake, Result


class Toyline:
    """Format ``toyline``: ``$name value time`` and LF a frame; anything else is rubbish.  The reply is ``+name`` LF."""

    VERSION, STREAM = 1, True

    class Framer:
        def __init__(self):
            self._buffer, self._offset = b"", 0

        def feed(self, data):
            self._buffer += data
            pieces = []
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                pieces.append(self._piece(line + b"\n", line.startswith(b"$")))
            return pieces

        def finish(self):
            rest, self._buffer = self._buffer, b""
            return [self._piece(rest, False)] if rest else []

        def _piece(self, data, good):
            piece = Piece(self._offset, data, None if good else Reject("framing", "no line of ours"))
            self._offset += len(data)
            return piece

    class Decoder:
        def decode(self, message):
            parts = message.payload.decode("latin-1").lstrip("$").split()
            if len(parts) < 2:
                return rejected("format", "wants a name and a value", reply=b"-\n")
            time_ns = int(parts[2]) * 1_000_000_000 if len(parts) > 2 else message.received_ns
            reading = Reading(device=message.device or parts[0], time_ns=time_ns, quantity="motion", value=parts[1],
                              time_source="device" if len(parts) > 2 else "server")
            return Decoded(observations=(reading,), device=parts[0], reply=b"+" + parts[0].encode() + b"\n")


class Toydot:
    """Format ``toydot``: no stream format; the whole payload is the value."""

    VERSION, STREAM = 1, False

    class Decoder:
        def decode(self, message):
            reading = Reading(device=message.device or "d", time_ns=message.received_ns, time_source="server",
                              quantity="motion", value=message.payload.decode())
            return Decoded(observations=(reading,), reply=b"ok:" + message.payload)


class HandDesk:
    """Takes what the intake holds when told to, and acknowledges it when told to."""

    def __init__(self, capacity=10_000):
        self.intake = Intake(capacity)
        self.frames, self.closed, self.order = [], [], []
        self._pending = []

    def take(self, wait_s=0.05):
        for item in self.intake.take(10_000, wait_s):
            if isinstance(item, Closed):
                self.closed.append(item.session)
                self.order.append(("closed", item.session))
            else:
                source, frames = item
                self.frames += frames
                self.order += [("frame", f.payload) for f in frames]
                self._pending.append((source, frames))
        return self

    def commit(self, reply=None):
        pending, self._pending = self._pending, []
        for source, frames in pending:
            source.acknowledge([Result(f, "stored", reply(f) if reply else None) for f in frames])
        return sum(len(frames) for _, frames in pending)

    def until(self, condition, *, deadline_s=20.0, commit=True):
        """Take (and commit) until the condition holds."""
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, "did not happen in time"
            self.take()
            if commit:
                self.commit()

    @property
    def payloads(self):
        return [f.payload for f in self.frames]


@pytest.fixture
def toys(monkeypatch):
    """The formats ``toyline`` and ``toydot`` are there."""
    mine = {"toyline": Toyline, "toydot": Toydot}
    known, load = codec.known, codec.load
    monkeypatch.setattr(codec, "known", lambda name: name in mine or known(name))
    monkeypatch.setattr(codec, "load", lambda name: mine.get(name) or load(name))
    return mine


class Parrot:
    """A format that says what the test gave it for these bytes."""

    VERSION, STREAM = 1, False

    def __init__(self, said):
        self.said = said

    def Decoder(self):
        return self

    def decode(self, message):
        return self.said[message.payload]


@pytest.fixture
def said(monkeypatch):
    """The format ``parrot`` is there; what it says stands here, by the bytes."""
    parrot = Parrot({})
    known, load = codec.known, codec.load
    monkeypatch.setattr(codec, "known", lambda name: name == "parrot" or known(name))
    monkeypatch.setattr(codec, "load", lambda name: parrot if name == "parrot" else load(name))
    return parrot.said


class WatchedEvent(threading.Event):
    """An event that remembers for how long it was waited for: what a transport does between two attempts."""

    def __init__(self):
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return super().wait(timeout)


@pytest.fixture
def watched():
    """``watched(source)``: the waits of a transport that is not running yet, as they come."""

    def watch(source) -> list[float]:
        source._stop = WatchedEvent()
        return source._stop.waits

    return watch


@pytest.fixture
def desk():
    return HandDesk()


@pytest.fixture
def hand_desk():
    """To make one with a capacity of its own."""
    return HandDesk


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """ca, server, device (CN=unit7) and a stranger of another CA, made by the openssl command."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        try:
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("the openssl command is absent")

    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    for name, ca in (("server", "ca"), ("unit7", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        openssl("x509", "-req", "-in", f"{name}.csr", "-extfile", "names", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-days", "2", "-out", f"{name}.pem")
    return folder


CONFIG = """
[ca]
default_ca = own
[own]
dir = {dir}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = any
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


class Authority:
    """A CA in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "serial").write_text("7F00\n")
        (folder / "crlnumber").write_text("01\n")
        (folder / "ca.cnf").write_text(CONFIG.format(dir=folder))
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.pem", "-subj", "/CN=Birddog test CA", "-days", "30",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name: str, subject: str | None = None, *, server=False, dates=()) -> tuple[str, str]:
        """Certificate and key of a name."""
        extra = ["-addext", "subjectAltName=IP:127.0.0.1"] if server else []
        self._openssl("req", "-new", *self._key(name), "-out", f"{name}.csr", "-subj", subject or f"/CN={name}", *extra)
        self._openssl("ca", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.pem", *dates)
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def revoke(self, *names: str, made: str) -> str:
        for name in names:
            self._openssl("ca", "-revoke", f"{name}.pem")
        self._openssl("ca", "-gencrl", "-crl_lastupdate", made, "-crl_nextupdate", "20991231235959Z", "-out", "new.crl")
        os.replace(self.folder / "new.crl", self.folder / "crl.pem")
        return self.path("crl.pem")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _key(self, name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-config", "ca.cnf"]

    def _openssl(self, *words: str) -> None:
        if words[0] == "ca":
            words = (*words, "-config", "ca.cnf")
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def make_authority():
    """``make_authority(folder)``: a CA of its own that issues and revokes."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is absent")
    return Authority
