"""Where the keys cannot be opened, each command says so, what is wrong and what to do; nothing is called damaged or lost.

With a wrong PIN a start said that an older copy had been put back and offered --accept-loss, and an export that entry 2 was
damaged (found by an auditor).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from birddog.journal import home, open_reader, open_writer
from birddog.journal.keys import Keys
from birddog.journal.verify import verify
from birddog.keyring import KeysClosed
from birddog.model import Draft, Erasure, Operation, Tick, pack
from birddog.passersby import ends_ns, name_of
from birddog.units import NS
from opsroom import agreement, cli
from opsroom.app import plan_of
from opsroom.commands.run import configure

T0 = 1_790_000_000 * 10**9
PIN = "abcd1234"


def fill(url: str, master: str) -> None:
    writer = open_writer(url, mode="live", master=master)
    writer.append([Draft(kind="operation", received_ns=T0 + n, source="t", ident=b"%d" % n, operation=name,
                         body=pack(Operation(operation=name, name="Nachtigall", closed=name == "OLD")))
                   for n, name in enumerate(("CASE", "OLD"))])  # fmt: skip
    writer.append([Draft(kind="tick", received_ns=T0 + 9, source="t", ident=b"tick", body=pack(Tick()))])
    writer.close()


def commands(url: str, tmp_path: Path) -> list[list[str]]:
    return [["run", "--journal", url, "--only", "ingest"], ["run", "--journal", url, "--only", "ingest", "--accept-loss"],
            ["journal", "verify", "--journal", url], ["journal", "tail", "--journal", url],
            ["evidence", "export", "CASE", "--journal", url, "--out", str(tmp_path / "b.zip")],
            ["evidence", "rotate", "--journal", url], ["operation", "erase", "OLD", "--journal", url],
            ["export", "--format", "csv", "--journal", url, "--operation", "CASE"],
            ["rebuild", "--journal", url]]  # fmt: skip


def said_by_all(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, mend: str) -> None:
    before = {path.relative_to(tmp_path): path.read_bytes() for path in home(url).log.rglob("*") if path.is_file()}
    for words in commands(url, tmp_path):
        assert cli.main(words) == 2, words
        out = capsys.readouterr()
        [line] = [line for line in out.err.splitlines() if "there was no derived store" not in line]
        assert f"the keys cannot be opened: {said}" in line and mend in line, (words, out.err)
        assert PIN not in line
        for never in ("accept-loss", "damaged", "older copy", "put back;", "entry "):
            assert never not in out.err + out.out, (words, out.err, out.out)
    assert cli.main(["doctor", "--journal", url, "--json"]) == 1
    found = {one["check"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert said in found["keys"]["found"] and mend in found["keys"]["mend"] and found["journal"]["level"] == "ok"
    # what needs no key is answered
    assert cli.main(["evidence", "seal", "--journal", url]) == 0 and "birddog/" in capsys.readouterr().out
    assert cli.main(["journal", "count", "--journal", url]) == 0 and "last_seq" in capsys.readouterr().out
    assert before == {path.relative_to(tmp_path): path.read_bytes() for path in home(url).log.rglob("*") if path.is_file()}
    assert not list(tmp_path.glob("*lost-*")) and not (tmp_path / "b.zip").exists()


def well(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The right key opens all of it again, and all of it stands."""
    assert cli.main(["journal", "verify", "--journal", url]) == 0, capsys.readouterr()
    assert cli.main(["evidence", "export", "CASE", "--journal", url, "--out", str(tmp_path / "b.zip")]) == 0
    assert cli.main(["operation", "erase", "OLD", "--journal", url]) == 0
    capsys.readouterr()


# --- a file ----------------------------------------------------------------------------------------


def other_mode(key: Path) -> None:
    key.chmod(0o640)


def missing(key: Path) -> None:
    key.rename(key.with_name("away"))


def cut(key: Path) -> None:
    key.write_text(key.read_text()[:40] + "\n")


def no_text(key: Path) -> None:
    key.write_bytes(b"\xff" * 64)


def another(key: Path) -> None:
    key.write_text("ab" * 32 + "\n")


@pytest.mark.parametrize(("wrong", "said", "mend"), [
    (other_mode, "the master key {} can be read by others", "chmod 600 {}"),
    (missing, "the master key {} is not there", "put it back, or mount where it lies"),
    (cut, "the master key {} holds no key of 32 bytes in hexadecimal", "put back the file that was made"),
    (no_text, "the master key {} holds no key of 32 bytes in hexadecimal", "put back the file that was made"),
    (another, "{} is not the master key of the key ", "put back what {keys} was made with"),
], ids=lambda one: getattr(one, "__name__", ""))  # fmt: skip
def test_a_master_key_in_a_file(tmp_path, capsys, wrong, said, mend):
    url, key = f"sqlite:///{tmp_path}/j.db", tmp_path / "safe" / "master"
    key.parent.mkdir()
    fill(url, str(key))
    kept = key.read_bytes()
    wrong(key)
    said_by_all(url, tmp_path, capsys, said.format(key), mend.format(key, keys=home(url).keys))
    key.write_bytes(kept)
    key.chmod(0o600)
    well(url, tmp_path, capsys)


def test_a_setting_that_names_another_master_key_than_the_keys_were_made_with(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"
    fill(url, "")
    (tmp_path / "c.toml").write_text(f'[journal]\nurl = "{url}"\nmaster_key = "{tmp_path}/other"\n')
    for words in (["run", "--only", "ingest"], ["run", "--only", "ingest", "--accept-loss"]):
        assert cli.main([*words, "--config", str(tmp_path / "c.toml")]) == 2
        err = capsys.readouterr().err
        assert "was made with the master key beside the journal, not" in err and "correct [journal] master_key" in err
    assert not (tmp_path / "other").exists()
    well(url, tmp_path, capsys)


def test_a_journal_that_is_lost_and_begun_anew_has_its_keys_where_the_setting_says(tmp_path):
    """What was accepted was entered under a key beside the journal, and the run that followed was refused."""
    url, key = f"sqlite:///{tmp_path}/j.db", tmp_path / "master"
    fill(url, str(key))
    for path in tmp_path.glob("j.db*"):
        if path.name != "j.db.head":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / "c.toml").write_text(f'[journal]\nurl = "{url}"\nmaster_key = "{key}"\n')
    parser = argparse.ArgumentParser()
    configure(parser)
    args = parser.parse_args(["--config", str(tmp_path / "c.toml"), "--only", "ingest", "--accept-loss"])
    args.supervised = False
    agreement.check(plan_of(args), accept_loss=True)
    open_writer(url, mode="live", master=str(key)).close()
    assert not home(url).master_key.exists()


def test_the_file_of_the_keys_itself_is_named_where_it_is_gone_or_damaged(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"
    fill(url, "")
    whole = home(url).keys.read_bytes()
    for bad, said in ((None, "is not there"), (b"{" + whole, "is damaged")):
        home(url).keys.unlink()
        if bad is not None:
            home(url).keys.write_bytes(bad)
        for words in (["run", "--only", "ingest", "--accept-loss"], ["journal", "tail"], ["evidence", "export", "CASE"]):
            assert cli.main([*words, "--journal", url]) == 2, words
            err = capsys.readouterr().err
            assert f"{home(url).keys} {said}" in err and "entry " not in err and "accept-loss" not in err, err
        assert cli.main(["journal", "verify", "--journal", url]) == 1  # somebody did this to evidence
        out = capsys.readouterr().out
        assert f"{home(url).keys} {said}" in out.splitlines()[0] and "no entry could be hashed" in out
        assert "entry " not in out.replace("no entry could", "")
        home(url).keys.write_bytes(whole)
    well(url, tmp_path, capsys)


def test_passers_by_are_not_emptied_where_their_statements_cannot_be_made(tmp_path, monkeypatch):
    """Of a token that was pulled the entries lost what their leaves are the hash of, for good."""
    url, end = f"sqlite:///{tmp_path}/j.db", ends_ns(T0, 4)
    writer, period = open_writer(url, mode="live"), name_of(end - 3600 * NS, end)
    writer.append([Draft(kind="tick", received_ns=T0, source="t", ident=b"%d" % n, body=pack(Tick()), operation="open",
                         period=period) for n in range(3)])  # fmt: skip
    [key] = [name for whose, name, _ in writer._evidence.keys.ring.listed() if whose == period]
    body = pack(Erasure(erased=period, by="desk", keys=(key,)))
    writer.append([Draft(kind="erasure", received_ns=T0 + 1, source="t", ident=b"gone", body=body)])

    def closed(self: Keys, row: object) -> bytes:
        raise KeysClosed("the token was pulled", "plug it in")

    monkeypatch.setattr(Keys, "statement", closed)
    with pytest.raises(KeysClosed, match="the token was pulled: plug it in"):
        writer.tend()
    monkeypatch.undo()
    while writer.tend():
        pass
    writer.close()
    reader = open_reader(url)
    assert verify(reader, home(url)).findings == []
    reader.close()


# --- a token ---------------------------------------------------------------------------------------


def unplugged(url: str, pin: Path) -> None:
    keys = home(url).keys
    keys.write_text(keys.read_text().replace("token=closed", "token=nobody"))


def no_module(url: str, pin: Path) -> None:
    keys = home(url).keys
    keys.write_text(re.sub(r"module-path=[^&]*", "module-path=/usr/lib/none.so", keys.read_text()))


def never_made(url: str, pin: Path) -> None:
    keys = home(url).keys
    keys.write_text(keys.read_text().replace("object=master", "object=nothing"))


def wrong_pin(url: str, pin: Path) -> None:
    pin.write_text("0000\n")


def open_pin(url: str, pin: Path) -> None:
    pin.chmod(0o644)


def no_pin(url: str, pin: Path) -> None:
    pin.unlink()


def test_a_master_key_in_a_token(softhsm, tmp_path, capsys):
    """Which this process has not logged into, but at the end."""
    module = softhsm[0]
    url, pin = f"sqlite:///{tmp_path}/j.db", tmp_path / "pin"

    def right() -> None:
        pin.write_text(PIN + "\n")
        pin.chmod(0o600)

    right()
    uri = f"pkcs11:token=closed;object=master?module-path={module}&pin-source=file:{pin}"
    made = f"from test_keys_closed import fill; fill({url!r}, {uri!r})"
    subprocess.run([sys.executable, "-c", made], check=True, env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}"})
    whole = home(url).keys.read_bytes()
    for wrong, said, mend in (
        (wrong_pin, f"the token 'closed' refuses the PIN in {pin}", "correct it"),
        (open_pin, f"the PIN file {pin} can be read by others", f"chmod 600 {pin}"),
        (no_pin, f"the PIN file {pin} cannot be read: No such file or directory", "put the PIN of the token 'closed' there"),
        (unplugged, "there is no token 'nobody'", "plug it in"),
        (no_module, "the PKCS #11 module /usr/lib/none.so cannot be loaded", "install it, or correct module-path"),
    ):
        wrong(url, pin)
        said_by_all(url, tmp_path, capsys, said, mend)
        right()
        home(url).keys.write_bytes(whole)
    well(url, tmp_path, capsys)
    never_made(url, pin)  # behind the right PIN, so that this process is logged in
    assert cli.main(["journal", "verify", "--journal", url]) == 2
    assert "there is no key 'nothing' in the token 'closed': plug in the token that holds it" in capsys.readouterr().err
    (tmp_path / "c.toml").write_text(f'[journal]\nurl = "sqlite:///{tmp_path}/new.db"\nmaster_key = "{uri}"\n')
    (tmp_path / "c.toml").write_text((tmp_path / "c.toml").read_text().replace("token=closed", "token=nobody"))
    assert cli.main(["doctor", "--config", str(tmp_path / "c.toml"), "--json"]) == 1  # before the first run
    found = {one["check"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert "there is no token 'nobody'" in found["keys"]["found"]
