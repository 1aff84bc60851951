"""What all events of a million fixes cost: CPU of ``birddog events`` over that of pandas reading the same file.

    python benchmarks/events_rate.py [--fixes 1000000] [--rounds 3] [--no-record]

A made fleet: 500 fixes a vessel every 12 min or so, at anchor, drifting and under way in 40 places, with silences.  The
command's CPU is that of its whole process, imports and printing too (``places``: with 40 ports, 40 lines and the used ways of
another fleet of 100,000 fixes, which it learns in the same run); pandas' is that of ``read_csv`` alone, with texts as
Python's strings: as pandas reads where pyarrow is not installed.  Where it is (the extra ``parquet`` brings it) pandas 3 keeps
texts as Arrow's and reads the file at a third of that: ``file_arrow``, ``places_arrow``.  The least of the rounds, each with
all; ``engine`` is one fix through ``events.Events`` over one row of pandas, on 20,000 fixes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from trend import record

from birddog.units import NS, iso_from_ns
from opsroom.track_file import read_tracks
from tracking.events.engine import Events

T0 = 1_790_000_000


def made(path: Path, fixes: int, seed: int = 1) -> None:
    """Write the fleet."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="ascii") as out:
        out.write("id,t,lat,lon\n")
        for vessel in range(fixes // 500):
            dt = rng.uniform(300, 1100, 500)
            dt[rng.random(500) < 0.03] = rng.uniform(4000, 20_000)
            t = T0 + np.floor(np.cumsum(dt))
            speed = np.repeat(rng.choice([0.0, 0.0, 0.0, 0.3, 5.0, 8.0], 10), 50) * dt
            course = np.repeat(rng.uniform(0, 6.28, 10), 50)
            place = vessel % 40
            lat = place - 20 + rng.normal(0, 0.05) + np.cumsum(speed * np.cos(course)) / 111_195 + rng.normal(0, 2e-4, 500)
            lon = 3 * place + rng.normal(0, 0.05) + np.cumsum(speed * np.sin(course)) / 111_195 + rng.normal(0, 2e-4, 500)
            rows = zip(t.tolist(), lat.tolist(), lon.tolist(), strict=True)
            out.writelines(f"{230_000_000 + vessel},{iso_from_ns(int(s) * NS)},{a:.6f},{o:.6f}\n" for s, a, o in rows)


def places(path: Path) -> list[str]:
    """Options for the kinds that need places and used ways: a port and a line at each of the forty places, the ways of another
    fleet of a tenth as many."""
    features = []
    for place in range(40):
        east, north = 3.0 * place, place - 20.0
        said = {"Point": [east, north], "LineString": [[east + 0.1, north - 0.5], [east + 0.1, north + 0.5]]}
        features += [
            {"type": "Feature", "properties": {"name": f"{kind} {place}"}, "geometry": {"type": kind, "coordinates": at}}
            for kind, at in said.items()
        ]  # fmt: skip
    written = path.with_suffix(".places.json")
    written.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    past = path.with_suffix(".past.csv")
    made(past, 100_000, seed=2)
    return ["--places", str(written), "--archive", str(past)]


def command_s(path: Path, more: list[str]) -> float:
    """CPU of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "opsroom.cli", "events", "--tracks", str(path), *more]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pandas_s(path: Path, texts: str) -> float:
    """CPU of the peer, with texts kept as ``python`` or ``pyarrow`` strings."""
    with pd.option_context("mode.string_storage", texts):
        before = time.process_time()
        pd.read_csv(path)
        return time.process_time() - before


def engine_s(path: Path, fixes: int = 20_000) -> float:
    """CPU of one fix, in order of time."""
    rows = read_tracks(str(path))
    some = np.flatnonzero(rows.vessel < fixes // 500)
    order = some[np.argsort(rows.time_ns[some], kind="stable")]
    columns = [c[order].tolist() for c in (rows.vessel, rows.time_ns, rows.lat_deg, rows.lon_deg)]
    engine = Events()
    before = time.process_time()
    for vessel, t, lat, lon in zip(*columns, strict=True):
        engine.fix(rows.ids[vessel], t, lat, lon)
    return (time.process_time() - before) / len(order)


def main() -> int:
    """Print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help="this file instead of a made one")
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or Path(folder) / "tracks.csv"
        if args.file is None:
            made(path, args.fixes)
        more = places(Path(folder) / "tracks.csv")
        ours, theirs, whole = zip(
            *((command_s(path, []), pandas_s(path, "python"), command_s(path, more)) for _ in range(args.rounds)), strict=True
        )
        arrow = [pandas_s(path, "pyarrow") for _ in range(args.rounds)] if importlib.util.find_spec("pyarrow") else []
        each = engine_s(path)
        rows = sum(1 for _ in path.open("rb")) - 1
    figures = {"file": min(ours) / min(theirs), "places": min(whole) / min(theirs), "engine": each / (min(theirs) / rows)}
    if arrow:
        figures |= {"file_arrow": min(ours) / min(arrow), "places_arrow": min(whole) / min(arrow)}
    print(f"birddog events {min(ours):.2f} s, with places and ways {min(whole):.2f} s, "
          f"pandas read_csv {min(theirs):.2f} s of CPU, {rows} fixes; "
          f"engine {each * 1e6:.0f} us a fix")  # fmt: skip
    for name, ratio in figures.items():
        print(f"{name:12s}{ratio:8.1f} x pandas.read_csv")
        if not args.no_record:
            record("events_rate", name, ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
