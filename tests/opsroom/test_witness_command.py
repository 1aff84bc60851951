"""Other agencies sign the log: by HTTP, by a stick; and what was cut, put back or forked since is refused at the start."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from birddog.errors import ConfigError, JournalDisagrees
from birddog.journal import home, open_reader, open_writer
from birddog.journal.verify import verify
from birddog.journal.witnessed import Contradiction, kept
from birddog.model import Draft, Tick, pack
from birddog.note import Verifier, opened
from birddog.witness import Ledger
from ingest.certificates import ServerTls
from opsroom import cli
from opsroom.witness_server import WitnessServer
from opsroom.witnesses import Refusal, Settings, Witness, fetched

T0 = 1_790_000_000 * 10**9


def fill(url: str, count: int, *, first: int = 0) -> None:
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=T0 + k, source="t", ident=b"%d" % k, body=pack(Tick()))
                   for k in range(first, first + count)])  # fmt: skip
    writer.close()


def log_key(url: str) -> str:
    return json.loads((home(url).log / "keys.json").read_text())["keys"][-1]["verifier"]


@pytest.fixture
def url(tmp_path):
    (tmp_path / "case").mkdir()
    url = f"sqlite:///{tmp_path}/case/j.db"
    fill(url, 300)
    return url


@pytest.fixture
def store(tmp_path, url):
    """A witness's folder that trusts the log."""
    ledger = Ledger(tmp_path / "w", "customs.example/w")
    ledger.trust(log_key(url))
    return tmp_path / "w"


@pytest.fixture
def serving(store):
    """Serves it: (its row, the server)."""
    servers = []

    def serve(**more):
        tls = more.pop("tls", None)
        server = WitnessServer(Ledger(store), "127.0.0.1", 0, prefix="/w1", tls=tls)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        scheme = "https" if tls else "http"
        return Settings(name="customs", key=Ledger(store).signer.verifier.text(), url=f"{scheme}://127.0.0.1:{server.port}/w1",
                        **more)  # fmt: skip

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def cut(url: str, folder: Path, older: Path) -> None:
    """Put an older copy in the journal's place, whole, and take away whatever else remembers the newer one."""
    shutil.rmtree(folder)
    shutil.copytree(older, folder)


def test_a_witness_signs_and_signs_on(url, serving, store):
    row = serving()
    witness = Witness(row)
    assert witness.ask(home(url))[0] == 300
    fill(url, 700, first=300)
    size, time_s = witness.ask(home(url))
    assert size == 1000 and abs(time_s - time.time()) < 60
    held = (home(url).witness / "customs.example%2Fw.note").read_text()
    text, signatures = opened(held, [witness.verifier])
    assert text.split("\n")[1] == "1000" and signatures[0].time_s == time_s
    open_writer(url, mode="live").close()  # what was signed is the beginning of what is there
    shutil.rmtree(home(url).witness)  # lost: the witness says how far it was
    fill(url, 5, first=1000)
    assert witness.ask(home(url))[0] == 1005
    [log] = Ledger(store).logs()
    assert log.size == 1005 and log.disputed == []


@pytest.mark.parametrize("accident,said", [("restored", "was cut, or is an older copy"), ("forked", "forked or written anew")])
def test_what_was_put_back_or_forked_is_refused_though_nothing_here_remembers(url, serving, tmp_path, accident, said, capsys):
    """Whoever has the whole folder and its keys puts back all of it; the witness has it otherwise."""
    row = serving()
    older = tmp_path / "older"
    shutil.copytree(tmp_path / "case", older)
    fill(url, 100, first=300)
    assert Witness(row).ask(home(url))[0] == 400
    cut(url, tmp_path / "case", older)
    if accident == "forked":
        fill(url, 250, first=9000)
    (tmp_path / "b.toml").write_text(f'[journal]\nurl = "{url}"\n[[witness]]\nname = "customs"\nkey = "{row.key}"\n'
                                     f'url = "{row.url}"\n')  # fmt: skip
    assert cli.main(["run", "--config", str(tmp_path / "b.toml"), "--only", "ingest"]) == 2
    err = capsys.readouterr().err
    assert "is not what" in err and "customs.example%2Fw.note has seen" in err and said in err
    # it is kept: refused also where the witness cannot be reached
    with pytest.raises(JournalDisagrees, match="has seen"):
        open_writer(url, mode="live")
    with pytest.raises(Contradiction, match="it was cut|forked"):
        Witness(row).ask(home(url))
    writer = open_writer(url, mode="live", accept_loss=True)
    assert "has seen" in writer.lost
    writer.close()
    with pytest.raises(Refusal, match=r"does not sign \(404\)"):  # another log, which it was not told of
        Witness(row).ask(home(url))


def test_a_fork_is_found_while_it_runs_and_the_witness_keeps_its_evidence(url, serving, tmp_path, store):
    row = serving()
    Witness(row).ask(home(url))
    older = tmp_path / "older"
    shutil.copytree(tmp_path / "case", older)
    fill(url, 100, first=300)
    Witness(row).ask(home(url))
    cut(url, tmp_path / "case", older)
    fill(url, 250, first=9000)
    with pytest.raises(Contradiction, match="other first 400 entries"):
        Witness(row).ask(home(url))
    [log] = Ledger(store).logs()
    assert log.size == 400 and len(log.disputed) == 1 and "\n550\n" in log.disputed[0]


def test_by_stick_in_both_directions(url, store, tmp_path, capsys):
    key, request, answer = Ledger(store).signer.verifier.text(), tmp_path / "request", tmp_path / "answer"
    (tmp_path / "w.key").write_text(key + "\n")
    asks = ["witness", "request", "--key", str(tmp_path / "w.key"), "--journal", url, "--out", str(request)]
    signs = ["witness", "sign", str(request), "--store", str(store), "--out", str(answer)]
    takes = ["witness", "take", str(answer), "--key", key, "--journal", url]
    for count in (300, 350):
        assert [cli.main(words) for words in (asks, signs, takes)] == [0, 0, 0]
        assert kept(home(url), Ledger(store).signer.verifier).size == count
        assert f"customs.example/w signed {count} entries at 20" in capsys.readouterr().err
        fill(url, 50, first=count)
    # an answer that was lost on the way: the witness says how far it was
    assert [cli.main(words) for words in (asks, signs)] == [0, 0]
    assert [cli.main(words) for words in (asks, signs)] == [0, 1]
    assert "ask again with --old 400" in capsys.readouterr().err
    assert [cli.main(words) for words in ([*asks, "--old", "400"], signs, takes)] == [0, 0, 0]
    assert cli.main(["witness", "list", "--store", str(store), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(log["entries"], log["disputed"]) for log in listed["logs"]] == [(400, [])]
    # what was changed on the way is not taken
    answer.write_text(answer.read_text().replace("\n400\n", "\n401\n"))
    assert cli.main(takes) == 2
    assert cli.main([*takes[:2], str(tmp_path / "none"), *takes[3:]]) == 2
    assert cli.main([*takes[:4], log_key(url), *takes[5:]]) == 2
    assert "is a log's key" in capsys.readouterr().err
    # and an answer about another history is: it is what the next start is held against
    older = tmp_path / "older"
    shutil.copytree(tmp_path / "case", older)
    fill(url, 50, first=7000)
    assert [cli.main(words) for words in (asks, signs)] == [0, 0]
    cut(url, tmp_path / "case", older)
    assert cli.main(takes) == 1
    assert "it is kept, and the next start is refused" in capsys.readouterr().out
    with pytest.raises(JournalDisagrees, match="has seen"):
        open_writer(url, mode="live")


def test_a_witness_that_is_away_stops_nothing(url, serving, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        row = Settings(name="mute", key=serving().key, url=f"http://127.0.0.1:{port}", timeout_s=0.1)
        [words] = fetched([row], home(url))
        assert "mute cannot be reached" in words and "not held against it" in words
    with pytest.raises(Refusal, match="cannot be reached"):
        Witness(row).ask(home(url))


def test_what_is_no_witness_is_not_believed(url, serving, store, tmp_path):
    """Answers of somebody with another key under the right address."""
    other = Ledger(tmp_path / "other", "customs.example/w")
    other.trust(log_key(url))
    row = serving()
    wrong = Settings(name="customs", key=other.signer.verifier.text(), url=row.url)
    with pytest.raises(Refusal, match="does not hold"):
        Witness(wrong).ask(home(url))
    assert kept(home(url), other.signer.verifier) is None
    assert "does not hold" in fetched([wrong], home(url))[0]


@pytest.mark.parametrize("row,said", [
    ({"url": "http://192.0.2.1/w"}, "wants https"), ({"url": "ftp://127.0.0.1/"}, "wants https://HOST"),
    ({"url": "https://127.0.0.1:x/"}, "witness 'x'.url"), ({"key": "nonsense"}, "NAME[+]HASH[+]KEY"),
    ({"cert": "a"}, "both cert and key_file"), ({"url": "https://127.0.0.1/", "ca": "/none"}, "witness 'x'.ca"),
])  # fmt: skip
def test_a_row_that_cannot_be_used_is_named(store, row, said):
    good = {"name": "x", "key": Ledger(store).signer.verifier.text(), "url": "http://127.0.0.1:1/"}
    with pytest.raises(ConfigError, match=said):
        Witness(Settings(**good | row))


def test_it_answers_whatever_is_sent_and_goes_on(serving, url):
    row = serving()
    port = int(row.url.split(":")[2].split("/")[0])

    def said(method: str, path: str, body: bytes | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert said("POST", "/w1/add-checkpoint", b"nonsense") == 400
    assert said("POST", "/add-checkpoint", b"old 0\n\n") == 404
    assert said("POST", "/w1/add-checkpoint", b"x" * 70_000) == 413
    assert said("POST", "/w1/add-checkpoint", b"", **{"Content-Length": "-5"}) == 413
    assert said("GET", "/w1/checkpoint/" + "0" * 64) == said("GET", "/w1/checkpoint/../../key") == 404
    assert said("PUT", "/w1/add-checkpoint", b"x") == 501
    for raw in (b"", b"\x16\x03\x01\x00\xff", b"POST /w1/add-checkpoint HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
            caller.sendall(raw)
    assert Witness(row).ask(home(url))[0] == 300


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is absent")
    folder = tmp_path_factory.mktemp("tls")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for ca in ("ca", "other"):
        openssl("req", "-x509", *new, "-days", "2", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    for name, ca in (("server", "ca"), ("log", "ca"), ("stranger", "other")):
        ours = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *new, *ours, "-addext", "subjectAltName=IP:127.0.0.1")
        by = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", *by, "-copy_extensions", "copy", "-out", f"{name}.pem")
    return folder


def test_beyond_loopback_both_sides_show_a_certificate(url, serving, certificates, store, capsys):
    names = ("ca.pem", "other.pem", "log.pem", "log.key", "stranger.pem", "stranger.key")
    pem = {name: str(certificates / name) for name in names}
    tls = ServerTls(str(certificates / "server.pem"), str(certificates / "server.key"), pem["ca.pem"], field="witness")
    row = serving(tls=tls, ca=pem["ca.pem"], cert=pem["log.pem"], key_file=pem["log.key"])
    assert Witness(row).ask(home(url))[0] == 300
    fill(url, 1, first=300)
    for ca, cert in (("ca.pem", ""), ("ca.pem", "stranger"), ("other.pem", "log")):
        wrong = Settings(name="customs", key=row.key, url=row.url, ca=pem[ca], cert=pem.get(f"{cert}.pem", ""),
                         key_file=pem.get(f"{cert}.key", ""))  # fmt: skip
        with pytest.raises(Refusal, match="cannot be reached"):
            Witness(wrong).ask(home(url))
    context = ssl.create_default_context(cafile=pem["ca.pem"])
    port = int(row.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10):  # one that begins no handshake keeps nobody waiting
        assert context and Witness(row).ask(home(url))[0] == 301
    assert cli.main(["witness", "serve", "--store", str(store), "--host", "0.0.0.0"]) == 2
    assert "needs --cert, --key and --ca" in capsys.readouterr().err


def test_the_commands_as_processes(url, tmp_path):
    """A witness that is served, and a run that is told of it: what it took in is signed, and /healthz' row says so."""
    program = [sys.executable, "-m", "opsroom.cli"]
    store = str(tmp_path / "served")
    words = [*program, "witness", "init", "police.example/w", "--store", store]
    made = subprocess.run(words, capture_output=True, text=True, check=True)
    key = made.stdout.strip()
    subprocess.run([*program, "witness", "trust", log_key(url), "--store", store], check=True, capture_output=True)
    serve = [*program, "witness", "serve", "--store", store, "--port", "0"]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
    run = None
    try:
        said = [server.stderr.readline(), server.stderr.readline()]
        address = said[1].split()[1]
        assert key in said[0]
        (tmp_path / "b.toml").write_text(f'[journal]\nurl = "{url}"\n[endpoint]\nport = 0\n[[witness]]\nname = "police"\n'
                                         f'key = "{key}"\nurl = "{address}"\nevery_s = 1\n')  # fmt: skip
        run = subprocess.Popen([*program, "run", "--config", str(tmp_path / "b.toml"), "--only", "ingest"],
                               stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 60
        note = home(url).witness / "police.example%2Fw.note"
        while not note.exists():  # the run's own start is an entry, and signed
            assert time.monotonic() < deadline and run.poll() is None and server.poll() is None
            time.sleep(0.05)
        # the running writer takes a new key, and the witness by its note
        words = [*program, "evidence", "rotate", "--journal", url, "--out", str(tmp_path / "turned")]
        subprocess.run(words, check=True, capture_output=True)
        words = [*program, "witness", "trust", str(tmp_path / "turned"), "--store", store]
        subprocess.run(words, check=True, capture_output=True)
        while kept(home(url), Verifier.of(key)).size <= 301:
            assert time.monotonic() < deadline and run.poll() is None and server.poll() is None
            time.sleep(0.05)
    finally:
        for process in (run, server):
            if process is not None:
                process.terminate()
                process.wait(timeout=30)
        server.stderr.close()
    assert server.returncode == 0 and run.returncode == 0
    reader = open_reader(url)
    found = verify(reader, home(url), witnessed=[("police", note.read_bytes(), ())])
    reader.close()
    assert found.findings == []


def test_what_witnesses_signed_is_in_the_bundle_and_checked_offline(tmp_path, capsys):
    """Two of them, at two sizes; one that was changed, exchanged or is of a fork is named, and so is one that never signed."""
    import zipfile
    import zlib

    from birddog.model import Operation
    from opsroom import verifier

    url, bundle = f"sqlite:///{tmp_path}/j.db", tmp_path / "a.zip"
    writer = open_writer(url, mode="live")
    body = pack(Operation(operation="A"))
    writer.append([Draft(kind="operation", received_ns=T0, source="t", ident=b"op", operation="A", body=body)])
    writer.close()
    first = log_key(url)
    keys = []
    for n, name in enumerate(("customs.example/w", "police.example/w", "late.example/w")):
        ledger = Ledger(tmp_path / f"w{n}", name)
        ledger.trust(first)
        keys.append(ledger.signer.verifier.text())
        if n == 2:
            break
        fill(url, 300, first=1000 * n)
        files = [str(tmp_path / file) for file in ("request", "answer")]
        assert cli.main(["witness", "request", "--key", keys[n], "--journal", url, "--out", files[0]]) == 0
        assert cli.main(["witness", "sign", files[0], "--store", str(tmp_path / f"w{n}"), "--out", files[1]]) == 0
        assert cli.main(["witness", "take", files[1], "--key", keys[n], "--journal", url]) == 0
    fill(url, 77, first=5000)
    assert cli.main(["evidence", "rotate", "--journal", url, "--out", str(tmp_path / "note")]) == 0
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(bundle)]) == 0
    words = ["evidence", "verify", str(bundle), "--key", first]
    assert cli.main([*words, "--witness", keys[0], "--witness", keys[1]]) == 0
    out = capsys.readouterr().out
    assert "customs.example/w signed the first 301 of the 680 records" in out
    assert "police.example/w signed the first 601 of" in out
    assert cli.main([*words, "--witness", keys[2]]) == 1
    assert "late.example/w has signed no checkpoint" in capsys.readouterr().out
    assert cli.main([*words, "--witness", first]) == 2
    capsys.readouterr()
    with zipfile.ZipFile(bundle) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
        alone = tmp_path / "verify.py"
        alone.write_bytes(held["verify.py"])
    done = subprocess.run([sys.executable, "-I", "-S", str(alone), str(bundle), "--key", first, "--witness", keys[0]],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and "signed the first 301" in done.stdout, done.stdout + done.stderr

    def said(changed: dict[str, bytes]) -> list[str]:
        headers, lines = verifier.Headers(), []
        data = b"".join(headers.local(name, zlib.crc32(raw), len(raw)) + raw for name, raw in changed.items()) + headers.end()
        (tmp_path / "x.zip").write_bytes(data)
        assert verifier.verify(str(tmp_path / "x.zip"), first, lines.append, witnesses=keys[:2]) > 0
        return lines

    one, other = (f"witness/{name}.example%2Fw" for name in ("customs", "police"))
    note = held[f"{one}.note"]
    flipped = note[:-8] + (b"A" if note[-8:-7] != b"A" else b"B") + note[-7:]
    broken = f"{one}.note: has a signature that does not hold"
    assert any(line.startswith(broken) for line in said(held | {f"{one}.note": flipped}))
    proofs = {f"{one}.proof": held[f"{other}.proof"], f"{other}.proof": held[f"{one}.proof"]}
    assert sum("rewritten or forked" in line or "proof is none" in line for line in said(held | proofs)) == 2
    fewer = {name: raw for name, raw in held.items() if not name.startswith(one)}
    assert any("customs.example/w has signed no checkpoint" in line for line in said(fewer))
    forked = Ledger(tmp_path / "fork", "customs.example/w").signer
    text = note.decode().rpartition("\n\n")[0] + "\n"
    mine = note.decode().replace(note.decode().splitlines()[-1] + "\n", forked.line(text, time_s=5))
    assert any("has signed no checkpoint" in line for line in said(held | {f"{one}.note": mine.encode()}))
