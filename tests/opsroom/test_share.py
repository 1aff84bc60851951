"""``birddog export`` and ``birddog share cot``: a journal's tracks to files, and to a partner's server over TCP and TLS."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET

import pytest

from birddog.directory import OPEN
from birddog.errors import UsageError
from birddog.journal import open_reader, open_writer
from birddog.model import Attachment, Device, Draft, Fix, FrameBody, Operation, Tick, Verdict, pack
from opsroom import sending
from opsroom.cli import main
from opsroom.derived import derived, operations_of
from opsroom.share import cot

T0 = 1_790_000_000 * 1_000_000_000
S = 1_000_000_000
IMEI = "356307042441013"


def _fix(device: str, k: int, lat: float, verdict: Verdict) -> tuple[str, str, object]:
    said = Fix(device=device, time_ns=T0 + k * 10 * S, time_source="device", lat_deg=lat + k * 1e-4, lon_deg=4.0, sigma_m=5.0)
    return "frame", verdict.operation, FrameBody(format="owntracks", version=1, device=device, payload=b"",
                                                 observations=(said,), verdicts=(verdict,))


@pytest.fixture
def journal(tmp_path):
    """A case with a lorry and a public vessel, two minutes of fixes each."""
    url = f"sqlite:///{tmp_path}/j.db"
    case, public = Verdict("NIGHTJAR", "crate 7", "warrant", "admitted"), Verdict("open", "", "open", "open")
    entries = [
        ("operation", "NIGHTJAR", Operation(operation="NIGHTJAR")),
        ("device", "", Device(device=IMEI, basis="warrant")), ("device", "", Device(device="244660001", basis="open")),
        ("attachment", "NIGHTJAR", Attachment(device=IMEI, operation="NIGHTJAR", shipment="crate 7", from_ns=T0 - S)),
    ]  # fmt: skip
    for k in range(12):
        entries += [_fix(IMEI, k, 51.0, case), _fix("244660001", k, 52.0, public)]
    entries.append(("tick", "", Tick()))
    writer = open_writer(url, mode="live")
    writer.append([
        Draft(kind=kind, received_ns=T0 + k * 5 * S, source="t", ident=b"%d" % k, body=pack(body), operation=operation)
        for k, (kind, operation, body) in enumerate(entries)])
    writer.close()
    return url


class Server:
    """A partner's: takes one connection after another and keeps what it is told."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port, self._tls = self._socket.getsockname()[1], tls
        self.heard, self.ended = b"", threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                while data := connection.recv(65536):
                    self.heard += data
            except OSError:
                pass
            finally:
                connection.close()
                self.ended.set()

    def close(self):
        self._socket.close()


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


def events(heard: bytes) -> list[ET.Element]:
    return [ET.fromstring(text) for text in re.findall(r"<event .*?</event>", heard.decode())]


def test_the_present_picture_is_sent_once(journal, server, capsys):
    assert main(["share", "cot", f"tcp://127.0.0.1:{server.port}", "--journal", journal, "--once"]) == 0
    assert server.ended.wait(30)
    found = events(server.heard)
    assert sorted(e.find("detail/contact").get("callsign") for e in found) == ["T6", "crate 7"]
    assert len({e.get("uid") for e in found}) == 2 and b"NIGHTJAR" not in server.heard and b"356307" not in server.heard
    assert "2 tracks sent" in capsys.readouterr().err
    one = Server()
    assert main(["share", "cot", f"tcp://127.0.0.1:{one.port}", "--journal", journal, "--once", "--operation", "NIGHTJAR"]) == 0
    assert one.ended.wait(30) and len(events(one.heard)) == 1
    one.close()


def _certificates(folder) -> None:
    """ca, server and unit, and a stranger of its own making."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now, signer = datetime.now(UTC), None
    for name in ("ca", "server", "unit", "stranger"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer_key, issuer = signer if signer and name != "stranger" else (key, subject)
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
                .not_valid_after(now + timedelta(days=1))
                .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
                .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
                .sign(issuer_key, hashes.SHA256()))
        signer = signer or (key, subject)
        (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def test_over_tls_the_server_is_checked_and_we_are_known(journal, tmp_path, capsys):
    _certificates(tmp_path)
    words = ["share", "cot", "--journal", journal, "--once", "--ca", f"{tmp_path}/ca.pem"]
    ours = ["--cert", f"{tmp_path}/unit.pem", "--key", f"{tmp_path}/unit.key"]
    for name, right in (("server", True), ("stranger", False)):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        tls.load_verify_locations(tmp_path / "ca.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        server = Server(tls)
        assert main([*words, *ours, f"ssl://127.0.0.1:{server.port}"]) == (0 if right else 2)
        assert server.ended.wait(30) and len(events(server.heard)) == (2 if right else 0)
        server.close()
    assert "self-signed certificate" in capsys.readouterr().err


def test_it_goes_on_sending_until_stopped(journal, server, tmp_path):
    assert main(["rebuild", "--journal", journal]) == 0
    run = subprocess.Popen([sys.executable, "-m", "opsroom.cli", "share", "cot", f"tcp://127.0.0.1:{server.port}", "--journal",
                            journal, "--every", "0.5"], stderr=subprocess.PIPE, text=True)
    try:
        while "connected" not in run.stderr.readline():
            assert run.poll() is None
        while len(events(server.heard)) < 2:
            assert run.poll() is None
    finally:
        run.kill()
        run.wait()
        run.stderr.close()
    assert len({e.get("uid") for e in events(server.heard)}) == 2


def test_what_changed_is_sent_and_what_ended_is_taken_away(journal):
    from opsroom.derived import derived

    with derived(journal) as picture:
        tracks = sending._present(picture.view, None)
    sender = sending._Sender("j", False, None)
    assert len(events(sender.words(tracks, T0).encode())) == 2
    assert sender.words(tracks, T0 + S) == ""
    assert len(events(sender.words(tracks, T0 + cot.STALE_NS // 2).encode())) == 2  # before it would be stale
    (gone,) = events(sender.words(tracks[:1], T0 + cot.STALE_NS // 2 + S).encode())
    assert gone.get("stale") < gone.get("start") and gone.get("uid").endswith(tracks[1].track_id)
    sender.forget()
    assert len(events(sender.words(tracks[:1], T0 + cot.STALE_NS // 2 + 2 * S).encode())) == 1


@pytest.mark.parametrize("url,more,words", [
    ("http://x:1", [], "wants tcp://"), ("tcp://x", [], "wants tcp://"), ("tcp://x:99999", [], "is no URL"),
    ("tcp://x:1/path", [], "wants tcp://"), ("tcp://u@x:1", [], "wants tcp://"), ("ssl://x:1", [], "--ca"),
    ("tcp://x:1", ["--ca", "a"], "for ssl:// only"), ("ssl://x:1", ["--ca", "absent.pem"], "absent.pem"),
    ("ssl://x:1", ["--ca", "a", "--key", "b"], "stand together"), ("tcp://127.0.0.1:1", ["--once"], "cannot be reached"),
    ("tcp://x:1", ["--every", "0"], "--every"), ("tcp://x:1", ["--once", "--operation", "NONE"], "no operation"),
    ("tcp://x:1", ["--operation", "NONE"], "no operation"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(journal, url, more, words, capsys):
    assert main(["share", "cot", url, "--journal", journal, *more]) == 2
    said = capsys.readouterr().err
    assert words in said and said.strip().splitlines()[-1].startswith("birddog share:")


def test_what_may_be_asked_for_is_the_same_with_once_and_without(journal):
    """``open`` is an operation too; it was refused where the picture goes on being sent."""
    reader = open_reader(journal)
    try:
        asked = operations_of(reader.registers())
    finally:
        reader.close()
    with derived(journal) as picture:
        assert OPEN in asked <= picture.operations


def test_export_files(journal, tmp_path, capsys):
    out = tmp_path / "o.csv"
    assert main(["export", "--format", "csv", "--journal", journal, "--out", str(out)]) == 0
    rows = out.read_text().splitlines()
    assert len(rows) == 25 and {r.split(",")[0] for r in rows[1:]} == {"T5", "T6"}
    assert main(["export", "--format", "geojson", "--journal", journal, "--operation", "NIGHTJAR"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["features"]) == 12 and found["exercise"] is False
    assert main(["export", "--format", "gpx", "--journal", journal, "--track", "T6", "--from", "2026-09-21T14:13:21Z"]) == 0
    assert capsys.readouterr().out.count("<trkpt") == 11


@pytest.mark.parametrize("more,words", [
    (["--format", "shp"], "wants one of"), (["--format", "csv", "--operation", "X"], "no operation 'X'"),
    (["--format", "csv", "--track", "T99"], "no track 'T99'"), (["--format", "csv", "--from", "12:00"], "--from"),
    (["--format", "csv", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "--to"),
])  # fmt: skip
def test_an_export_that_cannot_be_is_one_line(journal, more, words, capsys):
    assert main(["export", "--journal", journal, *more]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.out == ""


def test_a_target_keeps_no_password():
    with pytest.raises(UsageError):
        sending.target_of("ssl://user:secret@host:1", cert=None, key=None, ca="x")
