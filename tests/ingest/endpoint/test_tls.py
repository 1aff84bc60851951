"""Mutual TLS with certificates made by openssl: who gets in, whose name counts, what revocation does."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from birddog.directory import Directory
from birddog.errors import UsageError
from birddog.model import Device
from ingest.certificates import ServerTls
from ingest.permit import DirectoryPermit

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def pki(tmp_path_factory, make_authority):
    authority = make_authority(tmp_path_factory.mktemp("pki") / "own")
    authority.issue("server", server=True)
    for name in ("devA", "devB"):
        authority.issue(name)
    authority.issue("expired", dates=("-startdate", "20200101000000Z", "-enddate", "20200201000000Z"))
    authority.issue("early", dates=("-startdate", "20990101000000Z", "-enddate", "20990201000000Z"))
    return authority


@pytest.fixture
def files(pki):
    return {"cert": pki.path("server.pem"), "key": pki.path("server.key"), "ca": pki.path("ca.pem"), "tls_port": 0}


@pytest.fixture
def shake(pki):
    """A wrapper that does the handshake with a device's certificate, or with none."""

    def make(name: str | None, authority=pki, version=None):
        context = ssl.create_default_context(cafile=pki.path("ca.pem"))
        if version:
            context.maximum_version = version
        if name:
            context.load_cert_chain(authority.path(f"{name}.pem"), authority.path(f"{name}.key"))
        return lambda plain: context.wrap_socket(plain, server_hostname="127.0.0.1")

    return make


def tls_port(served) -> int:
    return served.endpoint.ports[-1]


def refused(raw, port: int, wrap) -> bool:
    """Whether TLS lets nobody through (with TLS 1.3 the client learns it with its first read)."""
    try:
        raw(port, "devA", wrap=wrap)
    except (ssl.SSLError, ConnectionResetError, EOFError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_own_certificate(serve, raw, files, shake, version, level):
    served = serve(exercise=False, **files)
    client = raw(tls_port(served), "devA", wrap=shake("devA", version=version), level=level)
    assert client.connack[1][:2] == b"\0\0"
    for number in range(1, 301):
        client.publish("birddog/v1/devA/toy", b"x" * 1000, number)
    assert client.pubacks(300) == list(range(1, 301))
    assert {f.device for f in served.frames} == {"devA"}


def test_who_is_not_let_through_is_seen_with_the_reason(serve, raw, wire, files, shake, make_authority, tmp_path):
    """A device whose certificate has expired looks like one that is switched off, unless somebody says so."""
    served = serve(exercise=False, **files)
    other = make_authority(tmp_path / "other")
    other.issue("devA")
    for name, authority in (("expired", None), (None, None), ("devA", other)):
        assert refused(raw, tls_port(served), shake(name, authority) if authority else shake(name))
    with socket.create_connection(("127.0.0.1", tls_port(served))) as plain:
        plain.sendall(b"\x10\x11\0\4MQTT\4\2\0\x3c\0\5devA5" + b"x" * 20)
        plain.settimeout(10)
        assert not plain.recv(100).startswith(b"\x20")
    strangers = ssl.create_default_context()  # which do not know our authority
    with pytest.raises(ssl.SSLError):
        raw(tls_port(served), "devA", wrap=lambda plain: strangers.wrap_socket(plain, server_hostname="127.0.0.1"))

    def reasons() -> list[str]:
        return [row["reason"] for row in served.endpoint.status()["refused_connects"]]

    wire.until(lambda: len(reasons()) == 5)
    (theirs, no_tls, unknown, none, old) = reasons()
    assert "certificate has expired" in old and unknown.startswith("TLS: its certificate is not accepted: ")
    assert (none, no_tls) == ("TLS: it showed no certificate", "TLS: what it said is no TLS")
    assert theirs.startswith("TLS: it does not accept our certificate")


def test_another_name_than_the_certificates(serve, raw, wire, files, shake):
    served = serve(exercise=False, **files)
    victim = raw(tls_port(served), "devB", wrap=shake("devB"))
    thief = raw(tls_port(served), "devB", wrap=shake("devA"), level=5)
    assert thief.connack == (0x20, b"\0\x87\0")
    assert raw(tls_port(served), "devB", wrap=shake("devA")).connack == (0x20, b"\0\5")
    victim.publish("birddog/v1/devB/toy", b"still here", 1)
    assert victim.pubacks(1) == [1]
    wire.until(lambda: len(served.frames) == 3)
    (first, _, last) = served.frames
    assert (first.device, first.reject.reason, first.payload) == ("devA", "identity", b"devB")
    assert (last.device, last.payload) == ("devB", b"still here")
    assert served.status("refused_total") == 2


def test_a_phones_certificate_at_its_apps_default_client_id(serve, raw, files, shake):
    """The app's client id is user + device; the identity is the certificate's name, and no other may use that id."""
    directory = Directory()
    directory.apply(Device(device="devA", topics=("owntracks/jane/phone",)))
    directory.apply(Device(device="devB"))
    served = serve(exercise=False, permit=DirectoryPermit(directory, ("owntracks",)), **files)
    phone = raw(tls_port(served), "janephone", wrap=shake("devA"))
    assert phone.connack == (0x20, b"\0\0")
    phone.publish("owntracks/jane/phone", b"x", 1)
    assert phone.pubacks(1) == [1]
    for name, client_id in (("devB", "janephone"), ("devA", "janetablet"), ("devA", "devB")):
        assert raw(tls_port(served), client_id, wrap=shake(name)).connack == (0x20, b"\0\5")
    thief = raw(tls_port(served), "devB", wrap=shake("devB"))
    thief.publish("owntracks/jane/phone", b"x", 1)
    assert thief.pubacks(1) == [1]
    messages = [f for f in served.frames if f.channel == "owntracks/jane/phone"]
    assert [(f.device, f.reject is not None) for f in messages] == [("devA", False), ("devB", True)]


def test_a_plain_client_does_not_take_over_a_proven_one(serve, raw, files, shake):
    served = serve(exercise=False, **files)
    proven = raw(tls_port(served), "devA", wrap=shake("devA"))
    assert raw(served.port, "devA").connack == (0x20, b"\0\5")
    again = raw(tls_port(served), "devA", wrap=shake("devA"))
    assert again.connack == (0x20, b"\0\0")
    assert proven.rest() == b""


def test_back_pressure_through_tls(serve, raw, wire, files, shake):
    served = serve(exercise=False, capacity=50, **files)
    client = raw(tls_port(served), "devA", wrap=shake("devA"))
    served.desk.stall()
    data = b"".join(wire.publish("birddog/v1/devA/toy", b"x" * 4000, n) for n in range(1, 2001))
    client.socket.setblocking(False)  # no second thread: one TLS connection must not be used by two at once
    deadline = time.monotonic() + 20
    while not (served.endpoint.full and served.status("paused") == 1):
        assert time.monotonic() < deadline
        try:
            data = data[client.socket.send(data) :]
        except ssl.SSLWantWriteError:
            time.sleep(0.01)
    assert served.frames == [] and data
    served.desk.open.set()
    client.socket.setblocking(True)
    client.socket.settimeout(20)
    client.send(data)
    assert client.pubacks(2000) == list(range(1, 2001))
    assert served.desk.most_held < 200


def test_who_is_not_let_in(serve, raw, wire, files, shake, tmp_path, make_authority):
    other = make_authority(tmp_path / "other")
    other.issue("devA")
    served = serve(exercise=False, plain=False, **files)
    (port,) = served.endpoint.ports
    for wrap in (shake(None), shake("expired"), shake("early"), shake("devA", other)):
        assert refused(raw, port, wrap)
    wire.until(lambda: served.status("tls_refused_total") == 4)
    assert served.status("connected") == 0 and served.frames == []
    plain = raw(port)
    plain.send(wire.connect("devA"))
    plain.rest()
    assert raw(port, "devA", wrap=shake("devA")).connack == (0x20, b"\0\0")


def test_revoked_at_the_next_connect_and_at_once(serve, raw, wire, pki, files, shake):
    pki.issue("devC")
    crl = pki.revoke(made="20260101000000Z")
    served = serve(exercise=False, crl=crl, **files)
    bad, good = (raw(tls_port(served), name, wrap=shake(name), level=5) for name in ("devC", "devA"))
    pki.revoke("devC", made="20260102000000Z")
    assert bad.rest() == b"\xe0\x02\x87\x00"
    assert refused(raw, tls_port(served), shake("devC"))
    good.publish("birddog/v1/devA/toy", b"x", 1)
    assert good.packet()[0] == 0x40
    # a damaged list changes nothing
    Path(crl).write_text("nonsense")
    with pytest.raises(UsageError, match="holds no PEM block X509 CRL"):
        ServerTls(files["cert"], files["key"], files["ca"], crl)
    assert refused(raw, tls_port(served), shake("devC"))


def test_a_ca_that_was_replaced_is_no_longer_believed(serve, raw, wire, pki, files, shake, tmp_path, make_authority):
    """Without a restart: who the old CA signed is refused, who the new one signed comes in."""
    other = make_authority(tmp_path / "other")
    other.issue("devA")
    believed = tmp_path / "believed.pem"
    shutil.copy(pki.path("ca.pem"), believed)
    served = serve(exercise=False, **files | {"ca": str(believed)})
    assert raw(tls_port(served), "devA", wrap=shake("devA")).connack == (0x20, b"\0\0")
    shutil.copy(other.path("ca.pem"), tmp_path / "new.pem")
    os.replace(tmp_path / "new.pem", believed)
    wire.until(lambda: refused(raw, tls_port(served), shake("devA")))
    assert raw(tls_port(served), "devA", wrap=shake("devA", other)).connack == (0x20, b"\0\0")


def test_when_the_first_file_expires(serve, files, pki):
    served = serve(exercise=False, **files)
    command = ["openssl", "x509", "-enddate", "-noout", "-in", files["cert"]]
    said = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    expires_s = ssl.cert_time_to_seconds(said.removeprefix("notAfter="))
    assert abs(served.status("tls_expires_unix_s") - expires_s) <= 60  # the CA's was made just before
    assert served.status("tls_expires_unix_s") <= expires_s


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "devA.key"}, r"devA.key: endpoint.key: does not fit the certificate"),
        ({"cert": "ca.cnf"}, r"ca.cnf: endpoint.cert: holds no PEM block CERTIFICATE"),
        ({"ca": "missing.pem"}, r"missing.pem: endpoint.ca: cannot be read: No such file"),
        ({"crl": "ca.pem"}, r"ca.pem: endpoint.crl: holds no PEM block X509 CRL"),
    ],
)
def test_wrong_files_are_one_line(serve, files, pki, change, said):
    with pytest.raises(UsageError, match=said) as caught:
        serve(exercise=False, **files | {field: pki.path(name) for field, name in change.items()})
    assert "\n" not in str(caught.value)


def test_beyond_loopback_the_plain_port_stays_on_loopback(serve, raw, files, shake):
    served = serve(exercise=False, host="0.0.0.0", **files)
    plain, tls = served.endpoint._servers
    assert plain.address[0] == "127.0.0.1"
    assert tls.address[0] == "0.0.0.0"
    with socket.create_connection(("127.0.0.1", served.endpoint.ports[1])):
        pass
    assert raw(tls_port(served), "devA", wrap=shake("devA")).connack == (0x20, b"\0\0")
