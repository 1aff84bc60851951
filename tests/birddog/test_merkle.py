"""The Merkle tree against a second one written from RFC 6962's definitions, other people's vectors and a real signed log."""

from __future__ import annotations

import base64
import json
import random
from hashlib import sha256
from pathlib import Path

import pytest

from birddog import merkle

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "reliability"
RNG = random.Random(6962)
RECORDS = [b"", bytes(64), *(RNG.randbytes(RNG.randrange(60)) for _ in range(131))]
LEAVES = [merkle.leaf_hash(record) for record in RECORDS]


def mth(records: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not records:
        return sha256(b"").digest()
    if len(records) == 1:
        return sha256(b"\x00" + records[0]).digest()
    k = 1
    while 2 * k < len(records):
        k *= 2
    return sha256(b"\x01" + mth(records[:k]) + mth(records[k:])).digest()


@pytest.mark.parametrize("size", [*range(20), 31, 32, 33, 64, 100, 127, 128, 129, 133])
def test_the_root_is_that_of_the_definition(size):
    assert merkle.root(LEAVES[:size]) == mth(RECORDS[:size])


def test_a_tree_goes_on_from_its_peaks():
    tree = merkle.Tree()
    for n, leaf in enumerate(LEAVES, start=1):
        tree = merkle.Tree(tree.size, tree.peaks)
        tree.append(leaf)
        assert tree.root() == mth(RECORDS[:n])
    with pytest.raises(ValueError, match="no log of 3 records"):
        merkle.Tree(3, [LEAVES[0]])


def test_every_proof_of_every_log_up_to_33_holds_and_no_other_does():
    for size in range(1, 34):
        leaves, root = LEAVES[:size], merkle.root(LEAVES[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(index, leaves)
            merkle.verify_inclusion(index, size, leaves[index], proof, root)
            for wrong in (
                dict(index=index + 1),
                dict(size=size + 1),
                dict(leaf_hash=LEAVES[index + 1]),
                dict(root=merkle.EMPTY),
                dict(proof=[*proof, LEAVES[0]]),
                dict(proof=proof[1:] if proof else [LEAVES[0]]),
            ):
                words = dict(index=index, size=size, leaf_hash=leaves[index], proof=proof, root=root) | wrong
                if wrong == dict(size=size + 1) and _same_path(index, size):
                    continue  # a longer log in which the record has the same way up: the root is what binds the size
                with pytest.raises(merkle.VerificationError):
                    merkle.verify_inclusion(**words)
        for first in range(1, size + 1):
            proof = merkle.consistency_proof(first, leaves)
            old = merkle.root(LEAVES[:first])
            merkle.verify_consistency(first, size, proof, old, root)
            for wrong in (
                dict(root1=merkle.EMPTY),
                dict(root2=merkle.EMPTY),
                dict(proof=[*proof, LEAVES[0]]),
                dict(size1=0),
                dict(size1=size + 1),
            ):
                with pytest.raises(merkle.VerificationError):
                    merkle.verify_consistency(**(dict(size1=first, size2=size, proof=proof, root1=old, root2=root) | wrong))


def _same_path(index: int, size: int) -> bool:
    return shape(index, size) == shape(index, size + 1)


def shape(index: int, size: int) -> list[str]:
    begin, end, sides = 0, size, []
    while end - begin > 1:
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        sides.append("left" if index < middle else "right")
        begin, end = (begin, middle) if index < middle else (middle, end)
    return sides


def test_every_flipped_bit_of_a_proof_is_found():
    proof, root = merkle.inclusion_proof(11, LEAVES[:21]), merkle.root(LEAVES[:21])
    for at, step in enumerate(proof):
        for bit in range(256):
            bad = bytearray(step)
            bad[bit // 8] ^= 1 << bit % 8
            with pytest.raises(merkle.VerificationError):
                merkle.verify_inclusion(11, 21, LEAVES[11], [*proof[:at], bytes(bad), *proof[at + 1 :]], root)


def test_the_border_between_two_hashes_cannot_be_shifted():
    """Hashed is left || right: 31 and 33 bytes would give the same root as 32 and 32."""
    a, b = LEAVES[:2]
    root = merkle.root([a, b])
    merkle.verify_inclusion(0, 2, a, [b], root)
    with pytest.raises(merkle.VerificationError, match="32 bytes"):
        merkle.verify_inclusion(0, 2, a[:31], [a[31:] + b], root)


@pytest.mark.parametrize(
    "words",
    [
        dict(index=-1),
        dict(index=1.0),
        dict(index=True),
        dict(size=0),
        dict(proof=b"x" * 64),
        dict(proof=["x" * 32]),
        dict(proof=None),
        dict(proof=7),
        dict(leaf_hash="x" * 32),
        dict(root=None),
        dict(leaf_hash=None),
        dict(index=None),
    ],
)
def test_what_is_no_proof_is_refused_and_nothing_else_is_raised(words):
    good = dict(index=0, size=2, leaf_hash=LEAVES[0], proof=[LEAVES[1]], root=merkle.root(LEAVES[:2]))
    with pytest.raises(merkle.VerificationError):
        merkle.verify_inclusion(**(good | words))


@pytest.mark.parametrize(
    "words",
    [
        dict(size1=-1),
        dict(size2=None),
        dict(proof=None),
        dict(root1=b""),
        dict(root2="x"),
        dict(size1=2, size2=2, proof=[], root1=None),
    ],
)
def test_what_is_no_proof_between_logs_is_refused(words):
    good = dict(size1=1, size2=2, proof=[LEAVES[1]], root1=LEAVES[0], root2=merkle.root(LEAVES[:2]))
    merkle.verify_consistency(**good)
    with pytest.raises(merkle.VerificationError):
        merkle.verify_consistency(**(good | words))


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")
def test_the_vectors_of_transparency_dev():
    b = base64.b64decode
    checked = 0
    for line in (DATA / "rfc6962_merkle/inclusion.jsonl").read_text().splitlines():
        r = json.loads(line)
        words = (
            r["leafIdx"],
            r["treeSize"],
            b(r["leafHash"] or ""),
            [b(step) for step in r["proof"] or ()],
            b(r["root"] or ""),
        )
        checked += _holds(merkle.verify_inclusion, words, bad=r["wantErr"])
    for line in (DATA / "rfc6962_merkle/consistency.jsonl").read_text().splitlines():
        r = json.loads(line)
        words = (r["size1"], r["size2"], [b(step) for step in r["proof"] or ()], b(r["root1"] or ""), b(r["root2"] or ""))
        checked += _holds(merkle.verify_consistency, words, bad=r["wantErr"])
    assert checked == 66


def _holds(verify, words, *, bad: bool) -> int:
    if bad:
        with pytest.raises(merkle.VerificationError):
            verify(*words)
    else:
        verify(*words)
    return 1
