"""What verifying a bundle costs: CPU and memory of both verifiers, by the number of its records.

    python benchmarks/bundle.py [--records 1000000] [--append]

A case of so many OwnTracks fixes is written to a journal, exported, and verified twice in processes of their own: by
`birddog evidence verify` and by the `verify.py` that is in the bundle, with Python alone.  Asked for: a million records in
less than five minutes of one core and 500 MB.  Printed: CPU seconds, the most memory (RSS), and the time over that of a
SHA-256 of the bundle's bytes in the same run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from trend import record


def make(url: str, records: int) -> None:
    """A journal with so many fixes of a case; in a process of its own, whose memory is not that of those measured."""
    from evidence import T0, draft

    from birddog.journal import open_writer
    from birddog.leaves import load
    from birddog.model import Attachment, Device, Draft, Operation, pack
    from birddog.units import NS

    load()
    writer = open_writer(url, mode="live")
    said = [Operation(operation="CASE"), Device(device="phone-a", basis="warrant"),
            Attachment(device="phone-a", shipment="van", operation="CASE", from_ns=0)]
    writer.append([Draft(kind=kind, received_ns=T0, source="op", ident=b"%d" % n, body=pack(body))
                   for n, (kind, body) in enumerate(zip(("operation", "device", "attachment"), said, strict=True))])
    for at in range(0, records, 1000):
        writer.append([draft(k, "CASE", NS) for k in range(at, min(at + 1000, records))])
    writer.close()


def cost(*command: str) -> tuple[float, float]:
    """CPU seconds and the most memory (MB) of a command that ends well."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:4]} ended with {status}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print, and append to the trend where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--append", action="store_true", help="add the ratios to benchmarks/trend.csv")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(args.make, args.records)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url, bundle = f"sqlite:///{folder}/j.db", folder / "case.zip"
        cost(sys.executable, __file__, "--records", str(args.records), "--make", url)
        made = cost(sys.executable, "-m", "opsroom.cli", "evidence", "export", "CASE", "--journal", url, "--out", str(bundle))
        size = bundle.stat().st_size
        with zipfile.ZipFile(bundle) as file:
            (folder / "verify.py").write_bytes(file.read("verify.py"))
        begun = time.process_time()
        with bundle.open("rb") as whole:
            hashlib.file_digest(whole, "sha256")
        hashing = time.process_time() - begun
        print(f"{args.records:,} records, {size / 1e6:,.0f} MB; exported in {made[0]:.0f} s of CPU, {made[1]:.0f} MB at most")
        for what, words in (("birddog evidence verify", ["-m", "opsroom.cli", "evidence", "verify"]),
                            ("verify.py", ["-I", str(folder / "verify.py")])):
            seconds, most = cost(sys.executable, *words, str(bundle))
            print(f"{what:>24}: {seconds:.0f} s of CPU, {most:.0f} MB at most, {seconds / hashing:.0f} x SHA-256 of the file")
            if args.append:
                record("bundle", f"{what} over SHA-256 of the bundle, {args.records} records", seconds / hashing)


if __name__ == "__main__":
    main()
