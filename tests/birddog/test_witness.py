"""A witness signs what goes on from what it signed before, and nothing else; C2SP tlog-witness, status by status."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from birddog import merkle, witness
from birddog.errors import UsageError
from birddog.merkle import VerificationError
from birddog.note import Checkpoint, Signer, Verifier, opened, signed
from birddog.rotation import follow, rotation, rotation_of
from birddog.witness import Ledger, Request, cosigned

ORIGIN = "birddog/0011223344556677"
LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(40)]
OTHERS = [*LEAVES[:5], merkle.leaf_hash(b"forged"), *LEAVES[6:]]
T_S = 1_790_000_000


def signer(seed: int = 1, name: str = ORIGIN) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def note(size: int, leaves=LEAVES, by: Signer | None = None, origin: str = ORIGIN) -> str:
    text = Checkpoint(origin, size, merkle.root(leaves[:size])).text()
    return signed(text, [(by or signer()).line(text)])


def asked(old: int, size: int, leaves=LEAVES, by: Signer | None = None) -> bytes:
    proof = merkle.consistency_proof(old, leaves[:size]) if 0 < old < size else []
    return Request(old, tuple(proof), note(size, leaves, by)).text().encode()


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "w", "customs.example/witness")
    ledger.trust(signer().verifier.text())
    return ledger


def test_it_signs_what_goes_on_and_keeps_it_before_it_answers(ledger, tmp_path):
    for old, new in ((0, 7), (7, 7), (7, 20), (20, 40)):
        answer = ledger.add(asked(old, new), T_S + new)
        assert answer.status == 200, answer
        whole, time_s = cosigned(note(new), answer.body, ledger.signer.verifier)
        assert time_s == T_S + new
        _, held = opened(whole, [signer().verifier, ledger.signer.verifier])
        assert [one.time_s for one in held] == [None, T_S + new]
        # another process with the folder alone knows it
        assert [(log.origin, log.size) for log in Ledger(tmp_path / "w").logs()] == [(ORIGIN, new)]


def test_what_is_signed_is_on_disk_first(ledger, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(witness, "put_whole", full)
    with pytest.raises(OSError, match="No space"):
        ledger.add(asked(0, 7), T_S)
    monkeypatch.undo()
    assert [log.size for log in ledger.logs()] == [0]


@pytest.mark.parametrize("raw,status,said", [
    (asked(0, 5), 409, "12 entries"),  # an older copy of the log
    (asked(5, 20), 409, "12 entries"),
    (asked(12, 5), 400, "more than the checkpoint"),
    (asked(12, 20, OTHERS), 422, "rewritten or forked"),
    (asked(12, 12, OTHERS), 409, "it was forked"),
    (asked(12, 20).replace(b"old 12\n", b"old 12\n" + base64.b64encode(bytes(32)) + b"\n"), 422, ""),
    (asked(12, 20, by=signer(2)), 403, "no key that we know"),
    (asked(12, 20).replace(b"\n20\n", b"\n21\n"), 403, "does not hold"),
    (Request(12, (), note(20, by=signer(1, "other/log"), origin="other/log")).text().encode(), 404, "not known"),
    (b"", 400, ""), (b"old 1", 400, ""), (b"old -1\n\n" + note(20).encode(), 400, ""),
    (b"old 01\n\n" + note(20).encode(), 400, ""),
    (b"\xff\xfe", 400, "UTF-8"), (b"old 12\nAAAA\n\n" + note(20).encode(), 400, "32 bytes"),
    (b"old 12\n" + b"A\n" * 64 + b"\n" + note(20).encode(), 400, "63 steps"), (b"x" * 70_000, 400, "70000 bytes"),
    (b"old 12\n\nno checkpoint\n", 400, ""),
])  # fmt: skip
def test_what_it_does_not_sign(ledger, raw, status, said):
    assert ledger.add(asked(0, 12), T_S).status == 200
    answer = ledger.add(raw, T_S + 1)
    assert answer.status == status and said in answer.words, answer
    if status == 409:
        assert (answer.body, answer.kind) == ("12\n", "text/x.tlog.size")
    [log] = ledger.logs()
    assert log.size == 12 and log.root == merkle.root(LEAVES[:12])
    # what the log itself signed and what does not go on is the evidence of its fork
    assert bool(log.disputed) == (status == 422 or "forked" in answer.words)


def test_two_that_ask_at_once_are_never_signed_two_histories(ledger):
    assert ledger.add(asked(0, 12), T_S).status == 200
    gate, answers = threading.Barrier(8), []

    def ask(n: int) -> None:
        gate.wait()
        answers.append(ledger.add(asked(12, 20 + n % 4, OTHERS if n % 2 else LEAVES), T_S).status)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [log] = ledger.logs()
    assert answers.count(200) >= 1 and log.root == merkle.root(LEAVES[: log.size]) and log.size > 12


def test_a_kill_while_it_writes_leaves_the_checkpoint_before(ledger, tmp_path):
    assert ledger.add(asked(0, 12), T_S).status == 200
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom birddog import witness\n"
        "witness.os.rename = lambda a, b: os._exit(9)\n"
        "witness.Ledger(Path(sys.argv[1])).add(sys.stdin.buffer.read(), 5)\nprint('answered')\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "w")]
    done = subprocess.run(words, input=asked(12, 20), capture_output=True, check=False)
    assert done.returncode == 9 and done.stdout == b""
    assert [log.size for log in Ledger(tmp_path / "w").logs()] == [12]
    assert ledger.add(asked(12, 20), T_S).status == 200


def test_a_witness_has_one_name_and_its_folder_says_which(tmp_path, ledger):
    assert Ledger(tmp_path / "w").signer.verifier == ledger.signer.verifier
    with pytest.raises(UsageError, match="is the witness 'customs"):
        Ledger(tmp_path / "w", "other")
    with pytest.raises(UsageError, match="no witness's folder"):
        Ledger(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot stand in a note"):
        Ledger(tmp_path / "bad", "a b")
    assert os.stat(tmp_path / "w" / "key").st_mode & 0o077 == 0
    [path] = (tmp_path / "w").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "x\n\ny"}))
    with pytest.raises(UsageError, match="is damaged: .*nothing of this log is signed"):
        ledger.add(asked(0, 12), T_S)


def test_a_new_key_is_trusted_by_the_word_of_the_old_one_alone(ledger):
    old, new, thief = signer(1), signer(2), signer(3)
    with pytest.raises(UsageError, match="has another key here"):
        ledger.trust(new.verifier.text())
    turned = rotation(old, new)
    with pytest.raises(VerificationError, match="does not hold|no key"):
        ledger.trust(turned.replace(new.verifier.text(), thief.verifier.text()))
    with pytest.raises(VerificationError, match="another key than the newest"):
        ledger.trust(rotation(thief, new))
    assert ledger.add(asked(0, 12), T_S).status == 200
    assert ledger.trust(turned).keys == [old.verifier.text(), new.verifier.text()]
    assert ledger.add(asked(12, 20), T_S).status == 403  # whoever stole the old key signs nothing here any more
    assert ledger.add(asked(12, 20, by=new), T_S).status == 200
    with pytest.raises(VerificationError, match="witness's key"):
        ledger.trust(ledger.signer.verifier.text())
    with pytest.raises(VerificationError):
        ledger.trust("nonsense")


def test_notes_of_new_keys_are_followed_from_any_that_is_trusted():
    keys = [signer(n) for n in range(1, 5)]
    notes = [rotation(a, b) for a, b in zip(keys, keys[1:], strict=False)]
    texts = [key.verifier for key in keys]
    assert follow(texts[0], notes) == texts and follow(texts[2], notes) == texts[2:] and follow(texts[3], notes) == texts[3:]
    with pytest.raises(VerificationError, match="another key"):
        follow(texts[0], [notes[0], notes[2]])
    for wrong in (notes[0].replace(ORIGIN, "other"), "", notes[0].rpartition("\n— ")[0] + "\n", rotation(keys[0], keys[0])):
        with pytest.raises(VerificationError):
            rotation_of(wrong)
    assert Verifier.of(texts[0].text()) == texts[0]
