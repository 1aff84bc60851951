"""Signed notes and checkpoints: what was signed is read, anything else is refused; a real log's checkpoints hold."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from birddog import merkle
from birddog.merkle import VerificationError
from birddog.note import WITNESSES, Checkpoint, Signature, Signer, Verifier, opened, signed

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "reliability"
LOG = Signer("birddog.example/harbour", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer("birddog.example/harbour", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = Signer("customs.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))), kind=WITNESSES)
TEXT = Checkpoint("birddog.example/harbour", 7, merkle.EMPTY).text()
NOTE = signed(TEXT, [LOG.line(TEXT), WITNESS.line(TEXT, time_s=1_772_000_000)])
#: The example of the specification of notes, golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_is_read_by_those_who_have_a_key():
    assert opened(NOTE, [LOG.verifier]) == (TEXT, [Signature(LOG.verifier.name)])
    both = opened(NOTE.encode(), [WITNESS.verifier, LOG.verifier])[1]
    assert both == [Signature(LOG.verifier.name), Signature("customs.example", 1_772_000_000)]
    assert Checkpoint.of(TEXT) == Checkpoint("birddog.example/harbour", 7, merkle.EMPTY)


def test_another_programs_note_and_key():
    text, found = opened(GO_NOTE, [Verifier.of(GO_KEY)])
    assert text.endswith("problem is.\n") and found == [Signature("PeterNeumann")]


def test_a_key_goes_through_its_text():
    for signer in (LOG, WITNESS):
        assert Verifier.of(signer.verifier.text()) == signer.verifier
    assert LOG.verifier.hash != OTHER.verifier.hash


def test_every_flipped_bit_of_a_note_is_found():
    """Of the text and of the signature whose key is known; what another key signed is passed over, but not lost as a line."""
    raw = signed(TEXT, [LOG.line(TEXT)]).encode()
    for at in range(len(raw)):
        for bit in range(8):
            bad = bytearray(raw)
            bad[at] ^= 1 << bit
            with pytest.raises(VerificationError):
                opened(bytes(bad), [LOG.verifier])


@pytest.mark.parametrize(
    "note, words",
    [
        (NOTE.replace("\n7\n", "\n8\n"), "does not hold"),
        (TEXT, "no signatures"),
        (TEXT + "\n", "no signatures"),
        (signed(TEXT, [OTHER.line(TEXT)]), "no key that we know"),
        (signed(TEXT, [LOG.line(TEXT).rstrip("\n")]), "no signatures"),
        (signed(TEXT, [LOG.line(TEXT)] * 101), "101 signatures"),
        (signed(TEXT, [LOG.line(TEXT + "x\n")]), "does not hold"),
        (signed(TEXT, ["— nobody\n"]), "no signature"),
        (signed(TEXT, ["— nobody AAAA\n"]), "too short"),
        (signed(TEXT, ["— no body !!!\n"]), "no base64"),
        (b"\xff" + NOTE.encode(), "not UTF-8"),
        (NOTE.replace("harbour", "har\tbour"), "control character"),
        ("x" * (1 << 21), "bytes is none"),
        (NOTE.replace("=\n", "==\n"), "base64"),
    ],
)
def test_what_is_no_note_of_ours_is_refused(note, words):
    with pytest.raises(VerificationError, match=words):
        opened(note, [LOG.verifier])


def test_a_witness_signs_its_time():
    raw = WITNESS.line(TEXT, time_s=5)
    blob = bytearray(base64.b64decode(raw.split(" ")[2]))
    blob[11] ^= 1  # the last byte of the time
    forged = f"— customs.example {base64.b64encode(bytes(blob)).decode()}\n"
    assert opened(signed(TEXT, [raw]), [WITNESS.verifier])[1] == [Signature("customs.example", 5)]
    with pytest.raises(VerificationError, match="does not hold"):
        opened(signed(TEXT, [forged]), [WITNESS.verifier])
    for signer, words in ((WITNESS, {}), (LOG, {"time_s": 1})):
        with pytest.raises(ValueError, match="a witness signs a time"):
            signer.line(TEXT, **words)


ROOT = "A" * 43 + "="


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", f"a\n01\n{ROOT}\n", f"a\n-1\n{ROOT}\n", "a\n1\nAAAA\n", f"a\n1\n\n{ROOT}\n", f"a\n²\n{ROOT}\n",
     f"a\n{2**63}\n{ROOT}\n", f"a\n{'9' * 5000}\n{ROOT}\n"],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(VerificationError):
        Checkpoint.of(text)


@pytest.mark.parametrize(
    "text",
    ["x", "a+b+c", GO_KEY.replace("c74f20a3", "c74f20a4"), GO_KEY.replace("+AR", "+BR"), GO_KEY[:-4], "a b" + GO_KEY[12:]],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(VerificationError):
        Verifier.of(text)


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")
def test_the_checkpoints_of_a_real_log():
    key = Verifier.of("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
    sizes = []
    for path in sorted((DATA / "tessera_log").glob("checkpoint*")):
        text, found = opened(path.read_bytes(), [key])
        sizes.append(Checkpoint.of(text).size)
        assert found == [Signature(key.name)]
    assert sorted(sizes) == [0, 3, 6, 9, 12, 15, 15]
