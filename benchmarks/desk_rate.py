"""How long the desk takes for a message, over the least that has to be done with its bytes, in one interleaved run.

    python benchmarks/desk_rate.py [--rounds 7] [--seconds 0.25] [--no-record]

The desk decodes, asks the door, names and packs each message and commits them in batches of 500; beside it msgspec decodes as
many JSON texts of a phone and sqlite3 inserts the same bytes, as many a transaction, into a file of the same directory.  Both
are counted in process time, one after the other in each round, so that a busy machine slows both; the figure is the median.
Messages are new in every round.  In a live journal each device is enrolled and attached; an exercise admits everybody.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from trend import record

from birddog.journal import open_writer
from birddog.model import Attachment, Device, Frame, Operation
from birddog.units import NS
from devices.formats import ais, nmea, owntracks, teltonika
from ingest.desk import Desk

START_NS = 1_761_990_000 * NS
BATCH = 500


class Source:
    """Takes the acknowledgements and says nothing."""

    name = "bench"

    def acknowledge(self, results: list) -> None:
        """Nobody waits."""


def payload(format: str, k: int) -> bytes:
    """The k-th message of a fleet of BATCH devices that report once a second."""
    time_ns = START_NS + k // BATCH * NS
    place = {"lat_deg": 51.9 + k % BATCH * 1e-4, "lon_deg": 4.1, "speed_mps": 5.0, "course_deg": 90.0}
    if format == "owntracks":
        return owntracks.encode(time_ns=time_ns, accuracy_m=12, alt_m=4, battery_percent=71, user_device="eagle-3", **place)
    if format == "nmea":
        return nmea.encode(time_ns=time_ns, alt_m=4.0, which="RMC", **place)
    if format == "ais":
        return ais.encode(mmsi=244_000_000 + k % BATCH, time_ns=time_ns, heading_deg=90, **place)
    rows = [{"time_ns": time_ns - i * NS // 4, "battery_volt": 3.9, "moving": True, **place} for i in range(4)]
    return teltonika.encode(records=rows)


def desk(folder: Path, format: str, mode: str) -> Callable[[], int]:
    """Takes the next batch to a journal; the process time of it in ns."""
    journal = open_writer(f"sqlite:///{folder}/{format}-{mode}.db", mode=mode)
    taken = Desk(journal, exercise=mode == "exercise", refusal_key=b"k" * 32)
    taken.directory.apply(Operation(operation="op"))
    for n in range(BATCH):
        taken.directory.apply(Device(device=f"d{n}", basis="open" if format == "ais" else "warrant"))
        taken.directory.apply(Attachment(device=f"d{n}", shipment="s", operation="op", from_ns=0))
    seconds, source = count(), Source()

    def run() -> int:
        second = next(seconds)
        now_ns = START_NS + (second + 1) * NS
        frames = [
            Frame(
                source="bench", format=format, payload=payload(format, second * BATCH + n), received_ns=now_ns, device=f"d{n}",
                channel=f"owntracks/team/d{n}" if format == "owntracks" else "", session=f"s{n}", packet=second % 60_000 + 1,
            )
            for n in range(BATCH)
        ]  # fmt: skip
        begun = time.process_time_ns()
        new = taken.commit(taken.prepare([(source, frames)], now_ns))
        spent = time.process_time_ns() - begun
        if new != BATCH or journal.counts().rejects:
            raise SystemExit(f"{format}: a message was refused or known: this measures something else")
        return spent

    return run


def least(folder: Path) -> Callable[[], int]:
    """Decodes as many JSON texts and inserts as many rows; the process time of it in ns."""
    store = sqlite3.connect(folder / "least.db", isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY, body BLOB)")
    seconds = count()

    def run() -> int:
        second = next(seconds)
        payloads = [payload("owntracks", second * BATCH + n) for n in range(BATCH)]
        begun = time.process_time_ns()
        for text in payloads:
            msgspec.json.decode(text)
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO t (body) VALUES (?)", [(text,) for text in payloads])
        store.execute("COMMIT")
        return time.process_time_ns() - begun

    return run


def main() -> int:
    """Measure, print, record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--rounds", type=int, default=7)
    ask.add_argument("--seconds", type=float, default=0.25, help="process time of each job in a round")
    ask.add_argument("--no-record", action="store_true", help="do not append to trend.csv")
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as name:
        jobs = {"least": least(Path(name))}
        for format in ("owntracks", "nmea", "ais", "teltonika"):
            for mode in ("exercise", "live"):
                jobs[f"{format} {mode}"] = desk(Path(name), format, mode)
        took_us: dict[str, list[float]] = {job: [] for job in jobs}
        for _ in range(args.rounds):
            for job, run in jobs.items():
                spent, batches = 0, 0
                while spent < args.seconds * 1e9:
                    spent, batches = spent + run(), batches + 1
                took_us[job].append(spent / batches / BATCH / 1000)
    print(f"{'json and insert':22s} {statistics.median(took_us['least']):7.2f} µs")
    for job in list(jobs)[1:]:
        ratio = statistics.median(mine / bare for mine, bare in zip(took_us[job], took_us["least"], strict=True))
        print(f"{job:22s} {statistics.median(took_us[job]):7.2f} µs a message {ratio:6.2f} x")
        if not args.no_record:
            record("desk_rate", f"{job} over json and insert", ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
