"""What an entry costs on a long journal, over what it cost at the beginning.

    python benchmarks/long_journal.py [--entries 500000]

Appends batches of 500 entries of some 450 bytes to a journal on disk, once with idents as the desk makes
them (four bytes of time in front) and once with random ones, and prints for both: wall time an entry in the
last fifth over that in the first.  Appends the first ratio, and ours over random's at the end, to trend.csv.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from trend import record

from birddog.journal import open_writer
from birddog.model import Draft

BATCH = 500


def fill(folder: Path, entries: int, *, timed: bool) -> tuple[float, float]:
    """Seconds of the first and of the last fifth."""
    dice, body = random.Random(1), os.urandom(430)
    writer = open_writer(f"sqlite:///{folder}/{timed}.db", mode="exercise")
    marks = [time.perf_counter()]
    for start in range(0, entries, BATCH):
        drafts = []
        for n in range(start, start + BATCH):
            ident = hashlib.blake2b(b"%d" % n, digest_size=16).digest()
            if timed:  # messages arrive up to a minute late
                ident = (1_700_000_000 + n // 500 - dice.randrange(60)).to_bytes(4, "big") + ident
            drafts.append(Draft(kind="frame", received_ns=n, source="mqtt", ident=ident, body=body, operation="open"))
        writer.append(drafts)
        if start + BATCH in (entries // 5, entries - entries // 5, entries):
            marks.append(time.perf_counter())
    writer.close()
    return marks[1] - marks[0], marks[3] - marks[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=500_000)
    args = parser.parse_args()
    entries = args.entries // (5 * BATCH) * 5 * BATCH
    lasts = {}
    for timed in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            first, lasts[timed] = fill(Path(folder), entries, timed=timed)
        each_us = lasts[timed] / (entries / 5) * 1e6
        print(f"{'time in front' if timed else 'random idents'}: {each_us:.1f} us an entry at the end,"
              f" {lasts[timed] / first:.2f} of the beginning's", flush=True)
        if timed:
            record("long_journal", f"entry at {entries} over entry at the beginning", lasts[timed] / first)
    record("long_journal", "over random idents at the end", lasts[True] / lasts[False])
    return 0


if __name__ == "__main__":
    sys.exit(main())
