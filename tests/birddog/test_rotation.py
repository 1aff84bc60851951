"""The log's key is changed inside the log: the old one names the new one, which signs all after it, and both verify."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest

from birddog.errors import JournalDisagrees, JournalFull
from birddog.journal import evidence, home, open_reader, open_writer
from birddog.journal.keys import Keys
from birddog.journal.log_files import LogFiles
from birddog.journal.verify import verify
from birddog.keyring import KeyringError
from birddog.model import Draft, Rotation, Tick, pack
from birddog.note import Signer, Verifier
from birddog.rotation import rotation
from opsroom import cli, verifier

T0 = 1_790_000_000 * 10**9


def ticks(first: int, count: int) -> list[Draft]:
    return [Draft(kind="tick", received_ns=T0 + k, source="t", ident=b"%d" % k, body=pack(Tick()))
            for k in range(first, first + count)]  # fmt: skip


def fill(url: str, first: int, count: int) -> None:
    writer = open_writer(url, mode="live")
    writer.append(ticks(first, count))
    writer.close()


@pytest.fixture
def url(tmp_path):
    fill(f"sqlite:///{tmp_path}/j.db", 0, 300)
    return f"sqlite:///{tmp_path}/j.db"


def keys_of(url: str) -> list[dict]:
    return json.loads((home(url).log / "keys.json").read_text())["keys"]


def found(url: str, **more):
    reader = open_reader(url)
    try:
        return verify(reader, home(url), **more)
    finally:
        reader.close()


def words(url: str, **more) -> list[str]:
    return [one.line() for one in found(url, **more).findings]


def next_note(url: str) -> str:
    known, keys = LogFiles(home(url).log).known(), Keys(home(url), make=True)
    old = keys.signing_key(Verifier.of(known.keys[-1].verifier).public)
    return rotation(Signer(known.origin, old), Signer(known.origin, keys.next_signing_key()))


def entry(note: str, ident: bytes = b"key") -> Draft:
    return Draft(kind="rotation", received_ns=T0 + 10**9, source="t", ident=ident, body=pack(Rotation(signature=note)))


def test_the_old_key_names_the_new_one_and_is_destroyed(url, tmp_path, capsys):
    first = keys_of(url)[0]["verifier"]
    before = (home(url).log / "checkpoint").read_bytes()
    assert cli.main(["evidence", "rotate", "--journal", url, "--actor", "Noor", "--reason", "yearly"]) == 0
    note = capsys.readouterr().out
    fill(url, 300, 400)
    assert cli.main(["evidence", "rotate", "--journal", url, "--actor", "Noor", "--out", str(tmp_path / "note")]) == 0
    fill(url, 700, 10)
    keys = keys_of(url)
    assert [key["from_size"] for key in keys] == [0, 301, 702] and keys[1]["note"] == note
    assert keys[2]["note"] == (tmp_path / "note").read_text()
    assert words(url) == [] and found(url).size == 712
    assert words(url, witnessed=[("stick", before, ())]) == []  # what the first key signed is still the beginning
    for key in keys:
        assert words(url, trusted=Verifier.of(key["verifier"])) == []
    with pytest.raises(KeyringError, match="does not hold the private half"):
        Keys(home(url), make=False).signing_key(Verifier.of(first).public)
    assert cli.main(["journal", "verify", "--journal", url, "--key", first]) == 0
    out = capsys.readouterr().out
    assert f"public key {keys[2]['verifier']}" in out and f"before it {first}" in out
    [said] = [row for row in open_reader(url).read(300, 1)]
    body = msgspec.msgpack.decode(said.body, type=Rotation)
    assert (body.by, body.reason, body.signature, said.kind) == ("Noor", "yearly", note, "rotation")


def test_a_key_that_was_not_named_is_not_this_logs(url, capsys):
    other = Signer(keys_of(url)[0]["verifier"].split("+")[0], Keys(home(url), make=True).next_signing_key()).verifier
    assert any("did not name" in line for line in words(url, trusted=other))
    assert cli.main(["journal", "verify", "--journal", url, "--key", other.text()]) == 1
    assert cli.main(["journal", "verify", "--journal", url, "--key", "nonsense"]) == 2
    capsys.readouterr()


@pytest.mark.parametrize("at", ["before keys.json", "before the checkpoint", "before the old one is destroyed"])
def test_a_kill_between_leaves_a_log_that_goes_on(url, tmp_path, monkeypatch, at):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    real = evidence.Evidence._put

    def put(self, name, data, **more):
        if name == ("keys.json" if at == "before keys.json" else "checkpoint"):
            raise Killed
        real(self, name, data, **more)

    note, copy = next_note(url), tmp_path / "killed"
    writer = open_writer(url, mode="live")
    if at == "before the old one is destroyed":
        monkeypatch.setattr(evidence.Evidence, "retire_old_keys", killed)
    else:
        monkeypatch.setattr(evidence.Evidence, "_put", put)
    with pytest.raises(Killed):
        writer.append([entry(note), *ticks(300, 5)])
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("*.lock", "*-shm", "killed"))
    monkeypatch.undo()
    writer.close()
    second = f"sqlite:///{copy}/j.db"
    assert [line for line in words(second) if "keys.json" not in line] == []
    open_writer(second, mode="live").close()
    keys = keys_of(second)
    assert [key["from_size"] for key in keys] == [0, 301] and words(second) == [] and found(second).size == 306
    with pytest.raises(KeyringError):
        Keys(home(second), make=False).signing_key(Verifier.of(keys[0]["verifier"]).public)


def test_a_full_disk_signs_nothing_by_the_old_key_that_covers_the_new_one(url, monkeypatch):
    note = next_note(url)
    writer = open_writer(url, mode="live")
    real = evidence.os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evidence.os, "write", full)
    writer.append([entry(note)])
    assert not writer.checkpoint() and len(keys_of(url)) == 1
    monkeypatch.setattr(evidence.os, "write", real)
    writer.checkpoint()
    assert len(keys_of(url)) == 2
    writer.close()
    assert words(url) == []


def test_the_old_key_is_destroyed_when_there_is_room_again_for_the_first_checkpoint_of_the_new_one(url, monkeypatch):
    note, old = next_note(url), Verifier.of(keys_of(url)[0]["verifier"]).public
    writer = open_writer(url, mode="live")
    real = evidence.Evidence._put

    def full(self, name, data, **more):
        if name == "checkpoint":
            raise JournalFull("the disk is full")
        real(self, name, data, **more)

    monkeypatch.setattr(evidence.Evidence, "_put", full)
    writer.append([entry(note)])
    assert len(keys_of(url)) == 2
    monkeypatch.undo()
    writer.checkpoint()
    with pytest.raises(KeyringError):
        Keys(home(url), make=False).signing_key(old)
    writer.close()
    assert words(url) == []


def test_a_note_that_does_not_hold_stands_and_counts_for_nothing(url):
    known = LogFiles(home(url).log).known()
    thief = Keys(home(url), make=True).next_signing_key()
    forged = rotation(Signer(known.origin, thief), Signer(known.origin, Keys(home(url), make=True).next_signing_key()))
    writer = open_writer(url, mode="live")
    writer.append([entry(forged), entry("nonsense", b"2")])
    writer.close()
    assert len(keys_of(url)) == 1 and words(url) == []
    fill(url, 300, 5)
    assert words(url) == []


def test_keys_json_says_what_the_entries_say(url, capsys):
    assert cli.main(["evidence", "rotate", "--journal", url]) == 0
    fill(url, 300, 5)
    path = home(url).log / "keys.json"
    good = json.loads(path.read_text())

    def said(change) -> list[str]:
        known = json.loads(json.dumps(good))
        change(known["keys"])
        path.write_text(json.dumps(known))
        return words(url)

    assert said(lambda keys: None) == []
    assert any("entry 301: names the key" in line for line in said(lambda keys: keys.pop()))
    for value in (300, 302):
        assert said(lambda keys, value=value: keys[1].update(from_size=value))
    assert any("keys.json: " in line for line in said(lambda keys: keys[1].update(note="")))
    assert any("keys.json: " in line for line in said(lambda keys: keys[0].update(from_size=1)))
    assert any("keys.json: " in line for line in said(lambda keys: keys.reverse()))
    capsys.readouterr()


def test_a_log_whose_private_key_is_gone_says_so_and_cannot_name_another(url, capsys):
    known = Keys(home(url), make=True)
    known.next_signing_key()
    known.ring.retire("/log/1")
    assert cli.main(["evidence", "rotate", "--journal", url]) == 2
    assert "does not hold the private half" in capsys.readouterr().err
    with pytest.raises(JournalDisagrees, match="does not hold the private half.*older copy"):
        open_writer(url, mode="live")
    writer = open_writer(url, mode="live", accept_loss=True)
    assert "private half" in writer.lost
    writer.append(ticks(300, 1))
    writer.close()
    assert words(url) == [] and found(url).size == 301


def test_bundles_of_before_and_after_hold_by_the_first_key(tmp_path, capsys):
    from birddog.model import Operation

    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    opened = Draft(kind="operation", received_ns=T0, source="t", ident=b"o", operation="A", body=pack(Operation(operation="A")))
    writer.append([opened, *ticks(0, 300)])
    writer.close()
    first = keys_of(url)[0]["verifier"]

    def exported(name: str) -> str:
        assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / name)]) == 0
        return str(tmp_path / name)

    old = exported("old.zip")
    for _ in range(2):
        assert cli.main(["evidence", "rotate", "--journal", url]) == 0
    new, last = exported("new.zip"), keys_of(url)[-1]["verifier"]
    for bundle, key, faults in ((old, first, 0), (new, first, 0), (new, last, 0), (old, last, 1)):
        assert bool(verifier.verify(bundle, key, print)) == bool(faults), (bundle, key)
    # a chain that was cut or forged leads nowhere
    lines: list[str] = []
    other = Signer(first.split("+")[0], Keys(home(url), make=True).next_signing_key()).verifier.text()
    assert verifier.verify(new, other, lines.append) and any("is not signed by" in line for line in lines)
    capsys.readouterr()
