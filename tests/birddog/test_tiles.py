"""Proofs out of tiles are those of the whole log, and the tiles are those of other people's logs."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from birddog import merkle
from birddog.merkle import VerificationError
from birddog.tiles import TileTree, tile_path, tiles_between

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "reliability"


@pytest.mark.parametrize(
    "where, path",
    [
        ((0, 0), "tile/0/000"),
        ((1, 1234067), "tile/1/x001/x234/067"),  # C2SP tlog-tiles, "Merkle tree"
        ((0, 999), "tile/0/999"),
        ((0, 1000), "tile/0/x001/000"),
        ((3, 7, 5), "tile/3/007.p/5"),
    ],
)
def test_where_a_tile_lies(where, path):
    assert tile_path(*where) == path


@pytest.mark.parametrize("where", [(-1, 0), (0, -1), (0, 0, 0), (0, 0, 257)])
def test_no_such_tile(where):
    with pytest.raises(ValueError, match="no tile"):
        tile_path(*where)


def kept(sizes: list[int], leaves: list[bytes]) -> dict[str, bytes]:
    """The files of a log that grew in steps."""
    files: dict[str, bytes] = {}
    for old, new in zip([0, *sizes], sizes, strict=False):
        for level, number, width in tiles_between(old, new):
            step = 256**level
            first = number * 256 * step
            files[tile_path(level, number, width)] = b"".join(
                merkle.root(leaves[n : n + step]) for n in range(first, first + width * step, step)
            )
    return files


def test_proofs_out_of_tiles_are_those_of_the_whole_log():
    rng = random.Random(4)
    leaves = [merkle.leaf_hash(rng.randbytes(20)) for _ in range(1300)]
    sizes = [1, 2, 200, 256, 257, 511, 700, 1024, 1300]
    files = kept(sizes, leaves)
    for size in sizes:

        def read(level: int, number: int, width: int) -> bytes:
            return files[tile_path(level, number, width)]

        root = merkle.root(leaves[:size])
        assert TileTree(size, read).root() == root
        for index in {0, size - 1, *(rng.randrange(size) for _ in range(12))}:
            proof = TileTree(size, read).inclusion_proof(index)
            assert proof == merkle.inclusion_proof(index, leaves[:size])
            merkle.verify_inclusion(index, size, leaves[index], proof, root)
        for first in {1, size, *(rng.randrange(1, size + 1) for _ in range(12))}:
            assert TileTree(size, read).consistency_proof(first) == merkle.consistency_proof(first, leaves[:size])
    assert TileTree(0, read).root() == merkle.EMPTY
    with pytest.raises(ValueError, match="no record"):
        TileTree(0, read).inclusion_proof(0)


def test_a_proof_in_a_log_of_a_hundred_million_reads_eight_tiles():
    """All leaves are the same, so that every perfect subtree of a height is the same: no log has to be kept."""
    of_height = [merkle.leaf_hash(b"the same")]
    while len(of_height) < 32:
        of_height.append(merkle.node_hash(of_height[-1], of_height[-1]))
    size, reads = 100_000_000, []

    def read(level: int, number: int, width: int) -> bytes:
        reads.append((level, number))
        return of_height[8 * level] * width

    root = TileTree(size, read).root()
    for index in (0, 1, 255, 256, 77_777_777, size - 1):
        reads.clear()
        proof = TileTree(size, read).inclusion_proof(index)
        merkle.verify_inclusion(index, size, of_height[0], proof, root)
        assert len(reads) <= 8


def test_a_damaged_tile_is_named():
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(5)]
    with pytest.raises(VerificationError, match=r"tile/0/000.p/5: 160 bytes were expected, not 159"):
        TileTree(5, lambda *where: b"".join(leaves)[:-1]).root()


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")
def test_the_tiles_of_real_logs():
    base = DATA / "tessera_log"
    tree = TileTree(15, lambda *where: (base / tile_path(*where)).read_bytes())
    said = (base / "checkpoint.15").read_text().splitlines()[2]
    assert base64.b64encode(tree.root()).decode() == said
    raw = next((DATA / "ct_navigli2025h2" / "tile" / "0").rglob("000")).read_bytes()
    leaves = [raw[n : n + 32] for n in range(0, len(raw), 32)]
    assert TileTree(255, lambda *where: raw[:-32]).root() == merkle.root(leaves[:-1])
