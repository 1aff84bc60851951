"""Time stamps (RFC 3161) of a real authority, ``openssl ts`` on loopback: kept, taken along, held against its certificate."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from birddog.errors import ConfigError
from birddog.journal import home, open_writer
from birddog.model import Attachment, Device, Fix, FrameBody, Operation, Start, Verdict
from birddog.units import NS
from ingest import control
from opsroom import cli, verifier
from opsroom.callee import Refusal
from opsroom.stamps import Authority, Settings, StampThread, stamp

T0 = 1_790_000_000 * NS
pytest.importorskip("rfc3161_client")
if shutil.which("openssl") is None:
    pytest.skip("no openssl, whose `ts` is the authority here", allow_module_level=True)

CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def certified(name: str, signer=None, *, stamps: bool = True):
    """(certificate, its key, PEM) of an authority, by itself or another."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signing = (who, key) if signer is None else (signer[0].subject, signer[1])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(who).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True))  # fmt: skip
    if signer is not None and stamps:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    found = made.sign(signing, hashes.SHA256())
    pem = found.public_bytes(serialization.Encoding.PEM)
    return found, key, pem


class Tsa:
    """A time stamping authority behind HTTP; ``how`` makes it answer badly."""

    def __init__(self, folder: Path, name: str = "Stamps of the harbour"):
        from cryptography.hazmat.primitives import serialization

        folder.mkdir()
        self.folder, self.asked, self.how = folder, 0, ""
        self.ca = certified("Root of the harbour")
        own = certified(name, self.ca)
        (folder / "ca.pem").write_bytes(self.ca[2])
        (folder / "tsa.pem").write_bytes(own[2])
        (folder / "key.pem").write_bytes(own[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.answer(body, self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsa"
        self.file = str(folder / "ca.pem")

    def answer(self, body: bytes, kind: str) -> tuple[int, bytes]:
        self.asked += 1
        assert kind == "application/timestamp-query"
        if self.how == "down":
            return 503, b""
        if self.how == "nonsense":
            return 200, b"hello"
        if self.how == "old":  # a real answer, to another question
            return 200, self.kept
        (self.folder / "q").write_bytes(body)
        command = "openssl ts -reply -config tsa.cnf -queryfile q -signer tsa.pem -inkey key.pem -out r".split()
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        self.kept = (self.folder / "r").read_bytes()
        return 200, self.kept

    def row(self, **more) -> Settings:
        return Settings(tsa_url=self.url, tsa_ca=self.file, **more)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def tsa(tmp_path):
    made = Tsa(tmp_path / "tsa")
    yield made
    made.close()


def fill(url: str, count: int, first: int = 0) -> None:
    """A case's fixes, one every second."""
    writer = open_writer(url, mode="live")
    said = [] if first else [Start(version="x", presets={}), Operation(operation="A"), Device(device="d", basis="own_sensor"),
                             Attachment(device="d", shipment="van", operation="A", from_ns=0)]  # fmt: skip
    frames = [FrameBody(format="x", version=1, payload=b"p%d" % k, device="d", verdicts=(Verdict("A", "van", "own_sensor"),),
                        observations=(Fix(device="d", time_ns=T0 + k * NS, lat_deg=51.9 + k * 1e-4, lon_deg=4.0),))
              for k in range(first, first + count - len(said))]
    drafts = [control.own(body, source="t") for body in (*said, *frames)]
    writer.append([msgspec.structs.replace(draft, received_ns=T0 + (first + n) * NS,
                                           operation="A" if draft.kind == "frame" else draft.operation)
                   for n, draft in enumerate(drafts)])  # fmt: skip
    writer.close()


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    fill(url, 20)
    return url


def cli_said(capsys, *words) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main([*words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def bundle(url, tsa, tmp_path, capsys):
    """Stamped at 20 entries and at 50, exported at 60, and that is one more."""
    for first, count in ((20, 30), (50, 10)):
        assert cli.main(["evidence", "stamp", tsa.url, "--ca", tsa.file, "--journal", url]) == 0
        fill(url, count, first)
    assert sorted(path.name for path in home(url).stamps.iterdir()) == ["20.note", "20.tsr", "50.note", "50.tsr"]
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / "a.zip")]) == 0
    return tmp_path / "a.zip"


def files_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def said(bundle: Path) -> list[str]:
    lines: list[str] = []
    verifier.verify(str(bundle), None, lines.append)
    return lines


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    headers = verifier.Headers()
    out = b"".join(headers.local(name, verifier.zlib.crc32(data), len(data)) + data for name, data in files.items())
    path.write_bytes(out + headers.end())
    return path


def with_another_second(answer: bytes, note: bytes) -> bytes:
    """A stamp whose time is another: GeneralizedTime of 15 bytes behind what it is over."""
    at = answer.index(b"\x18\x0f", answer.index(hashlib.sha256(note).digest()) + 32) + 2 + 13
    assert answer[at + 1 : at + 2] == b"Z"
    return answer[:at] + bytes([(answer[at] - 48 + 1) % 10 + 48]) + answer[at + 1 :]


def test_stamps_are_kept_taken_along_and_held_against_their_authority(bundle, tsa, capsys):
    files = files_of(bundle)
    assert {name for name in files if name.startswith("stamp/")} == {
        f"stamp/{size}.{ending}" for size in (20, 50) for ending in ("note", "proof", "tsr")}
    names = {one["subject"]: one for one in json.loads(files["bundle.json"])["stamps"]}
    assert names["CN=Stamps of the harbour"]["issuer"] == "CN=Root of the harbour"
    code, out, _ = cli_said(capsys, "evidence", "verify", str(bundle), "--tsa-ca", tsa.file)
    lines = out.splitlines()
    assert code == 0 and "; 0 faults" in out
    for size in (20, 50):
        [line] = [one for one in lines if one.startswith(f"stamp/{size}.tsr: ")]
        assert f"the first {size} of the 61 records of the log were there at 20" in line
        assert line.endswith("; so says CN=Stamps of the harbour, whose certificate leads to one that is trusted")
    # openssl itself, which a stranger has
    (tsa.folder / "n").write_bytes(files["stamp/50.note"])
    (tsa.folder / "t").write_bytes(files["stamp/50.tsr"])
    done = subprocess.run(["openssl", "ts", "-verify", "-data", "n", "-in", "t", "-CAfile", "ca.pem"], cwd=tsa.folder,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and "OK" in done.stdout, done.stderr


def test_without_the_authoritys_certificate_it_is_said_what_was_not_checked(bundle, tmp_path):
    lines = [line for line in said(bundle) if line.startswith("stamp/")]
    assert len(lines) == 2 and all(line.endswith("; that it is an authority's was not checked here") for line in lines)
    when = verifier.stamp_of(files_of(bundle)["stamp/20.tsr"])[1]
    assert when in lines[0] and abs(datetime.datetime.fromisoformat(when).timestamp() - time.time()) < 600


def test_another_authority_is_named_as_not_trusted(bundle, tmp_path, capsys):
    other = Tsa(tmp_path / "other", "Stamps of nobody")
    other.close()
    code, out, _ = cli_said(capsys, "evidence", "verify", str(bundle), "--tsa-ca", other.file)
    assert code == 1 and out.count("is no time stamp of an authority that is trusted") == 2
    (tmp_path / "no.pem").write_text("hello")
    assert cli_said(capsys, "evidence", "verify", str(bundle), "--tsa-ca", str(tmp_path / "no.pem"))[0] == 2
    assert cli_said(capsys, "evidence", "verify", str(bundle), "--tsa-ca", str(tmp_path / "none.pem"))[0] == 2


def test_a_root_that_the_library_warns_of_says_nothing_to_an_operator(bundle, tsa, tmp_path, capsys):
    """Systems' bundles hold roots whose serial number is zero; warnings are errors in tests."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    root = tsa.ca[0]
    der, number = root.public_bytes(Encoding.DER), root.serial_number
    held = number.to_bytes(number.bit_length() // 8 + 1, "big")
    at = der.index(b"\x02" + bytes([len(held)]) + held) + 2
    odd = der[:at] + bytes([0x80]) + der[at + 1 :]  # a number below zero
    (tmp_path / "all.pem").write_text(ssl.DER_cert_to_PEM_cert(odd) + tsa.ca[2].decode())
    with pytest.warns(UserWarning, match="serial number"):
        load_der_x509_certificate(odd)
    code, out, err = cli_said(capsys, "evidence", "verify", str(bundle), "--tsa-ca", str(tmp_path / "all.pem"))
    assert (code, err) == (0, "") and "0 faults" in out


def test_that_there_is_none_is_a_fault_where_one_is_asked_for(url, tsa, tmp_path, capsys):
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / "b.zip")]) == 0
    code, out, _ = cli_said(capsys, "evidence", "verify", str(tmp_path / "b.zip"), "--tsa-ca", tsa.file)
    assert code == 1 and "no time stamp that could be held against a certificate is in the bundle" in out


def test_a_stamp_over_something_else_or_that_is_none_is_a_fault_with_its_name(bundle, tmp_path):
    files = files_of(bundle)

    def faults(**changed: bytes) -> list[str]:
        """Of the stamp of 20 entries, with the manifest's hashes as they are: its own lines are looked at alone."""
        new = {name.replace("_", ".").replace("stamp20", "stamp/20"): data for name, data in changed.items()}
        lines = said(zipped(tmp_path / "x.zip", files | new))
        return [line for line in lines if line.startswith("stamp/20") and "changed" not in line]

    swapped = faults(stamp20_tsr=files["stamp/50.tsr"])
    assert swapped == ["stamp/20.tsr: is over something else than its checkpoint"]
    whole = files["stamp/20.tsr"]
    for at in (0, 1, 4, 8, 60, len(whole) // 2, len(whole) - 1):
        assert any("is no time stamp" in line for line in faults(stamp20_tsr=whole[:at])), at
    assert any("is no time stamp" in line for line in faults(stamp20_tsr=whole + b"\0"))
    at = whole.index(hashlib.sha256(files["stamp/20.note"]).digest())
    other = whole[: at - 15] + bytes([whole[at - 15] ^ 1]) + whole[at - 14 :]
    assert any("is not over a SHA-256" in line or "is no time stamp" in line for line in faults(stamp20_tsr=other))
    note = files["stamp/20.note"]
    other = note[:-20] + bytes([note[-20] ^ 1 if note[-20:-19].isalpha() else 65]) + note[-19:]
    assert any("signature" in line or "base64" in line for line in faults(stamp20_note=other))
    assert any("is not the beginning of this log" in line or "its proof is none" in line
               for line in faults(stamp20_proof=files["stamp/50.proof"]))
    # the stamp's own time and signature: only the authority's certificate can tell
    forged = with_another_second(whole, note)
    assert faults(stamp20_tsr=forged)[0].endswith("was not checked here")


def test_a_stamp_whose_time_was_changed_does_not_hold(bundle, tsa):
    from opsroom.timestamp import NotStamped, authorities, stamped_by

    files = files_of(bundle)
    note, whole = files["stamp/20.note"], files["stamp/20.tsr"]
    trusted = authorities(tsa.file)
    assert stamped_by(whole, note, trusted) == "CN=Stamps of the harbour"
    forged = with_another_second(whole, note)
    for answer, data in ((forged, note), (whole, note + b"x"), (files["stamp/50.tsr"], note), (b"", note)):
        with pytest.raises(NotStamped):
            stamped_by(answer, data, trusted)


@pytest.mark.parametrize("how,words", [("down", "answers 503"), ("nonsense", "is no time stamp"), ("old", "Nonce mismatch"),
                                       ("gone", "cannot be reached")])
def test_an_authority_that_does_not_stamp_is_told_and_nothing_is_kept(url, tsa, how, words):
    authority = Authority(tsa.row())
    authority.stamp(b"before")
    tsa.how = how
    if how == "gone":
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        authority = Authority(msgspec.structs.replace(tsa.row(), tsa_url=f"http://127.0.0.1:{port}/", tsa_timeout_s=5.0))
    with pytest.raises(Refusal, match=words):
        stamp(home(url), authority)
    assert not home(url).stamps.exists()


def waited(done, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.02)
    return False


def test_a_run_stamps_while_the_log_grows_and_an_authority_that_is_down_holds_nothing_up(url, tsa):
    tsa.how = "down"
    thread = StampThread(tsa.row(tsa_every_s=1.0), home(url))
    thread.start()
    try:
        assert waited(lambda: thread.warnings() == ["the time stamping authority answers 503 application/timestamp-reply"])
        fill(url, 10, 20)  # the log goes on
        tsa.how = ""
        assert waited(lambda: thread.counts() == {"stamped_entries": 30} and thread.warnings() == [])
        asked = tsa.asked
        fill(url, 5, 30)
        assert waited(lambda: thread.counts() == {"stamped_entries": 35}) and tsa.asked > asked
    finally:
        thread.stop()
        thread.join()
    assert {path.name for path in home(url).stamps.glob("*.tsr")} == {"30.tsr", "35.tsr"} and thread.problems() == []


def test_what_stands_already_is_not_asked_for_again(url, tsa):
    authority = Authority(tsa.row())
    first = stamp(home(url), authority)
    assert stamp(home(url), authority) == first and tsa.asked == 1


@pytest.mark.parametrize("change,words", [
    ({"tsa_url": "http://tsa.example/x"}, "wants https"), ({"tsa_url": "ftp://x"}, "wants https://"),
    ({"tsa_ca": "/none.pem"}, "cannot be read"), ({"tsa_cert": "x"}, "name both"),
    ({"tsa_url": "https://127.0.0.1/", "tsa_tls_ca": "/none.pem"}, "tls_ca"),
])  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_before_a_run(tsa, change, words):
    with pytest.raises(ConfigError, match=words):
        Authority(msgspec.structs.replace(tsa.row(), **change))


def test_a_configuration_names_it(tmp_path, capsys):
    (tmp_path / "b.toml").write_text('[evidence]\ntsa_url = "http://tsa.example"\ntsa_ca = "x.pem"\n')
    code, _, err = cli_said(capsys, "run", "--config", str(tmp_path / "b.toml"), "--only", "ingest")
    assert code == 2 and "evidence.tsa_ca" in err and err.count("\n") == 1
    (tmp_path / "b.toml").write_text('[evidence]\ntsa_url = "http://tsa.example"\n')
    code, _, err = cli_said(capsys, "run", "--config", str(tmp_path / "b.toml"), "--only", "ingest")
    assert code == 2 and "tsa_ca" in err


def test_without_the_library_it_is_said_what_to_install(url, tsa, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    code, _, err = cli_said(capsys, "evidence", "stamp", tsa.url, "--ca", tsa.file, "--journal", url)
    assert code == 2 and "pip install birddog[rfc3161]" in err and err.count("\n") == 1


def test_another_log_after_a_loss_begins_without_the_old_ones_stamps(url, tsa):
    stamp(home(url), Authority(tsa.row()))
    for path in home(url).log.parent.glob("j.db*"):
        if path.name in ("j.db", "j.db-wal", "j.db.head"):
            path.unlink()
    writer = open_writer(url, mode="live", accept_loss=True)
    writer.close()
    assert not home(url).stamps.exists() and list(home(url).stamps.parent.glob("j.db.stamps.lost-*"))
