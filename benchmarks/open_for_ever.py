"""What it costs that 20,000 vessels were heard once, and a month goes by.

    python benchmarks/open_for_ever.py [--identities 20000] [--days 28]

Folds a live journal in which our own receiver hears each MMSI once, then a tick each 5 s for a month, and the same without
the vessels.  Prints what a tick costs (CPU, least of nothing: each is there once), what the console reads for a tab and for an
acknowledgement an hour after, and appends ratios to trend.csv.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from trend import record

from birddog.journal import open_reader, open_writer
from birddog.model import ENTRY_BODIES, Device, Draft, Entry, Fix, FrameBody, Start, Tick, pack
from birddog.units import NS
from opsroom.console.source import Source
from opsroom.picture import Picture
from opsroom.picture_store import PictureReader
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}
PER = 100


def told(identities: int) -> list[tuple[float, object]]:
    """(seconds, body): the registers, and each identity once."""
    rows: list[tuple[float, object]] = [(0.0, Start(version="x", presets={})),
                                        (0.0, Device(device="rx", basis="own_sensor", format="ais"))]
    for k in range(0, identities, PER):
        rows.append((k / PER * 0.04, FrameBody(format="ais", version=1, payload=b"", device="rx", observations=tuple(
            Fix(device=str(200_000_000 + i), time_ns=None, time_source="server", lat_deg=50.0 + i % 500 * 0.002,
                lon_deg=i // 500 * 0.002) for i in range(k, min(k + PER, identities))))))
    return rows


def month(identities: int, days: float) -> tuple[list[float], float]:
    """(CPU seconds of each tick, CPU seconds of hearing them)."""
    fold, seq = Fold(), 0

    def add(at_s: float, body: object) -> float:
        nonlocal seq
        seq += 1
        entry = Entry(seq=seq, kind=KIND[type(body)], received_ns=T0 + int(at_s * NS), source="t", ident=b"%d" % seq,
                      body=pack(body))
        begun = time.process_time()
        fold.apply(entry)
        return time.process_time() - begun

    heard = sum(add(at_s, body) for at_s, body in told(identities))
    end_s = identities / PER * 0.04
    return [add(end_s + 5.0 * k, Tick()) for k in range(1, int(days * 86_400 / 5))], heard


def console(identities: int) -> tuple[float, float, float]:
    """(kB of a tab's snapshot, CPU ms of reading and encoding it, CPU ms of finding an alert), an hour later."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/j.db"
        writer = open_writer(url, mode="live")
        rows = told(identities) + [(3600 + 5.0 * k, Tick()) for k in range(100)]
        writer.append([
            Draft(kind=KIND[type(body)], received_ns=T0 + int(at_s * NS), source="t", ident=b"%d" % n, body=pack(body))
            for n, (at_s, body) in enumerate(rows)
        ])  # fmt: skip
        writer.close()
        journal = open_reader(url)
        picture = Picture(journal, Path(folder) / "p")
        while picture.step():
            pass
        picture.close()
        reader = PictureReader(Path(folder) / "p")
        source = Source(reader, journal, lambda: T0)
        snapshots, asked = [], []
        for _ in range(5):
            begun = time.process_time()
            changes = source.changes(0)
            body = msgspec.json.encode({"tracks": changes.tracks, "alerts": changes.alerts})
            snapshots.append(time.process_time() - begun)
            begun = time.process_time()
            source.view().alert("AE1")
            asked.append(time.process_time() - begun)
        source.close()
        reader.close()
        journal.close()
        return len(body) / 1e3, min(snapshots) * 1e3, min(asked) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=20_000)
    parser.add_argument("--days", type=float, default=28.0)
    args = parser.parse_args()
    nothing, _ = month(0, args.days)
    ticks, heard = month(args.identities, args.days)
    base = sum(nothing) / len(nothing)
    day = ticks[: 86_400 // 5]
    quiet = sorted(day)[len(day) // 2]
    print(f"{args.identities} identities heard once in {heard:.1f} s of CPU; a tick without them {base * 1e6:.0f} us")
    print(f"a tick of the first day: median {quiet * 1e6:.0f} us, mean {sum(day) / len(day) * 1e3:.2f} ms, "
          f"dearest {max(day) * 1e3:.0f} ms; of the month: mean {sum(ticks) / len(ticks) * 1e3:.3f} ms")
    kilobytes, read_ms, alert_ms = console(args.identities)
    print(f"a tab's snapshot an hour later: {kilobytes:.0f} kB, read and encoded in {read_ms:.1f} ms; "
          f"is there such an alert: {alert_ms:.2f} ms")
    name = f"of a month after {args.identities} identities heard once, over without"
    record("open_for_ever", f"a tick {name}", sum(ticks) / len(ticks) / base)
    record("open_for_ever", "the month over hearing them", sum(ticks) / max(heard, 1e-9))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
