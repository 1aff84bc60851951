#!/usr/bin/env python3
"""What it costs to prove one record of a log of 10^8, and to check the proof.

    .venv/bin/python benchmarks/proof.py [--leaves N] [--proofs N] [--append]

Synthetic, and true: all leaves of the log are equal, so that every full tile of a level holds one hash 256 times and the
tree of 10^8 leaves has a root that can be known without hashing it all.  The tiles that a proof reads lie in files as the
journal's do (``LogFiles``); each proof is verified against the root, and one of another record must not be.  Baseline in the
same run: SHA-256 over the bytes of the tiles that a proof reads, once.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from trend import record

from birddog.journal.log_files import LogFiles
from birddog.merkle import VerificationError, leaf_hash, node_hash, verify_inclusion
from birddog.tiles import LEVELS, WIDTH, TileTree, tile_path


class Log:
    """A log of equal leaves: its tiles come into being, as files, when they are asked for."""

    def __init__(self, size: int, folder: Path):
        self.size, self.files, self.read = size, LogFiles(folder), 0
        self.full = [leaf_hash(b"a record")]  # of a perfect subtree over 256^level leaves
        while WIDTH ** len(self.full) <= size:
            self.full.append(self._above(self.full[-1]))

    @staticmethod
    def _above(found: bytes) -> bytes:
        for _ in range(LEVELS):
            found = node_hash(found, found)
        return found

    def make(self, level: int, number: int, width: int) -> None:
        """Write a tile as the journal's writer does."""
        path = self.files.folder / tile_path(level, number, width)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.full[level] * width)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """Read one, from its file."""
        raw = self.files.tile(level, number, width)
        self.read += len(raw)
        return raw


def main() -> None:
    """Print, and append to the trend where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leaves", type=int, default=100_000_000)
    parser.add_argument("--proofs", type=int, default=50)
    parser.add_argument("--append", action="store_true", help="add the ratio to benchmarks/trend.csv")
    args = parser.parse_args()
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        log = Log(args.leaves, Path(name))
        leaf = log.full[0]

        def made(level: int, number: int, width: int) -> bytes:
            log.make(level, number, width)
            return log.tile(level, number, width)

        root = TileTree(args.leaves, made).root()
        spent, checked, read, hashed = [], [], 0, []
        for _ in range(args.proofs):
            index = rng.randrange(args.leaves)
            TileTree(args.leaves, made).inclusion_proof(index)  # the files are there now
            log.read, begun = 0, time.process_time()
            proof = TileTree(args.leaves, log.tile).inclusion_proof(index)
            spent.append(time.process_time() - begun)
            read = max(read, log.read)
            begun = time.process_time()
            verify_inclusion(index, args.leaves, leaf, proof, root)
            checked.append(time.process_time() - begun)
            try:
                verify_inclusion(index, args.leaves, leaf_hash(b"another"), proof, root)
                raise SystemExit("another record was proved")
            except VerificationError:
                pass
            begun = time.process_time()
            sha256(b"\0" * log.read).digest()
            hashed.append(time.process_time() - begun)
    worst, base = max(spent), sorted(hashed)[len(hashed) // 2]
    middle = sorted(spent)[len(spent) // 2]
    print(f"{args.leaves} leaves, {args.proofs} proofs of {len(proof)} hashes, {read} bytes of tiles read at most")
    print(f"proof: {middle * 1e3:.2f} ms in the middle, {worst * 1e3:.2f} ms at worst (asked: 5 ms); "
          f"checked in {sorted(checked)[args.proofs // 2] * 1e3:.3f} ms; SHA-256 of the tiles {base * 1e3:.3f} ms")
    print(f"5 ms over the worst proof: {5e-3 / worst:.1f}")
    if args.append:
        record("proof", "5 ms over the worst proof of one record in 10^8", 5e-3 / worst)
        record("proof", "proof of one record in 10^8 over SHA-256 of its tiles", middle / base)


if __name__ == "__main__":
    main()
