"""The tracker's rates as ratios to filterpy's KalmanFilter, measured beside it in one run.

    python benchmarks/tracker_rates.py [--rounds 5] [--no-record]

``update``: predict + Joseph update + NIS of one track, our scalars over filterpy (one KalmanFilter object that
is kept, F, H, Q, R set by hand).  ``bank``: one message through the sixteen motions of the live fold.  ``batch``: 1,000
tracks of one motion in NumPy (``tracking.bank``).  ``fold N``: one whole journal entry (unpack, whose it is, gate, update, row,
point) of N tracks in turn over the same filterpy step; of 10,000 the first three fixes each: every third begins a track.
``fold on``: of those the next two fixes each.  ``late``: one device at 10 Hz, each fix up to 20 s late, over
the same in order.  ``look``: sightings a second with 100 tracks and 100 sightings a scan over filterpy steps.
``rebuild``: messages a second of ``birddog rebuild``'s own loop (journal read, fold, derived store written), 10,000 tracks over
100.  ``memory``: kB a track with full rings, and GiB of 100,000 of them, over 20 kB and 2 GiB.
Medians of interleaved rounds, CPU time; the rates on stdout, the ratios also to trend.csv.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from filterpy.kalman import KalmanFilter
from trend import record

from birddog.geo import LocalFrame
from birddog.journal import open_reader, open_writer
from birddog.model import Device, Draft, Entry, Fix, FrameBody, Scan, Sighting, Start, Verdict, pack
from birddog.units import NS
from opsroom.collecting import collect_never, collect_seldom
from opsroom.picture import Picture
from tracking import bank as banks
from tracking import engine, motion
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)


def filterpy_rate(n: int = 3000) -> float:
    """predict + update + NIS a second."""
    kf = KalmanFilter(dim_x=4, dim_z=2)
    kf.H = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0]])
    kf.R = np.eye(2) * 100.0
    dt, q = 1.0, 0.5
    axis_f, axis_q = np.array([[1.0, dt], [0, 1.0]]), q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    kf.F, kf.Q, kf.P = np.kron(np.eye(2), axis_f), np.kron(np.eye(2), axis_q), np.eye(4) * 100.0
    z = np.array([[1.0], [2.0]])
    began = time.process_time()
    for _ in range(n):
        kf.predict()
        kf.update(z)
        _ = kf.mahalanobis
    return n / (time.process_time() - began)


def update_rate(n: int = 30_000) -> float:
    """The same by our scalars."""
    x = engine.start(0.0, 0.0, 100.0, 0.0, 100.0, 10.0)
    began = time.process_time()
    for _ in range(n):
        x = engine.predict(x, 1.0, 0.5, 0.0)
        engine.innovation(x, 1.0, 2.0, 100.0, 0.0, 100.0)
        x = engine.update_position(x, 1.0, 2.0, 100.0, 0.0, 100.0)
    return n / (time.process_time() - began)


def _entry(seq: int, kind, t_s: float, body) -> Entry:
    return Entry(seq=seq, kind=kind, received_ns=T0 + int(t_s * NS), source="b", ident=seq.to_bytes(8), body=pack(body))


_OF_AN_EXERCISE = Verdict("open", "", "exercise", "admitted")


def _fixes(n: int, devices: int = 50, *, every_s: float = 1.0, late_s: float = 0.0) -> list[Entry]:
    rng, out = random.Random(1), [_entry(1, "start", 0, Start(version="b", presets={}, exercise=True))]
    rows = []
    for i in range(n):
        t = every_s * (i // devices)
        lat, lon = HOME.geodetic(8.0 * t + rng.gauss(0, 5), 50.0 * (i % devices))
        fix = Fix(device=f"d{i % devices}", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)
        rows.append((t + rng.uniform(0.0, late_s), fix))
    rows.sort(key=lambda row: row[0])
    for at_s, fix in rows:
        # with the verdict beside the observation, as the desk writes it
        body = FrameBody(format="x", version=1, payload=b"", observations=(fix,), verdicts=(_OF_AN_EXERCISE,))
        out.append(_entry(len(out) + 1, "frame", at_s, body))
    return out


def bank_rate(n: int = 10_000) -> float:
    """Messages a second through the motions of the live fold."""
    of, bank = motion.motion_of("van"), motion.begun(0.0, 0.0, 100.0, 0.0, 100.0, motion.motion_of("van"))
    began = time.process_time()
    for _ in range(n):
        bank = motion.stepped(bank, 1.0, of, (1.0, 2.0, 100.0, 0.0, 100.0)).bank
    return n / (time.process_time() - began)


def batch_rate(tracks: int = 1000, n: int = 20) -> float:
    """Tracks a second, all at once."""
    modes, z, r, dt = (banks.Mode(0.5, 0.0, 1.0),), np.zeros((tracks, 2)), np.full(tracks, 100.0), np.ones(tracks)
    bank = banks.new_bank(z, r, modes)
    began = time.process_time()
    for _ in range(n):
        bank, _ = banks.updated(banks.ahead(bank, dt, modes), z, r)
    return tracks * n / (time.process_time() - began)


def memory_kb(tracks: int = 200) -> float:
    """kB a track, its ring full."""
    entries = _fixes(70 * tracks, tracks)
    gc.collect()
    tracemalloc.start()
    fold = Fold()
    for entry in entries:
        fold.apply(entry)
    gc.collect()
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return now / tracks / 1000.0


def fold_rate(entries: list[Entry]) -> float:
    """Entries a second."""
    fold = Fold()
    began = time.process_time()
    for entry in entries:
        fold.apply(entry)
    return len(entries) / (time.process_time() - began)


def fold_on_rate(before: list[Entry], entries: list[Entry]) -> float:
    """Entries a second of tracks that there are already."""
    fold = Fold()
    for entry in before:
        fold.apply(entry)
    began = time.process_time()
    for entry in entries:
        fold.apply(entry)
    return len(entries) / (time.process_time() - began)


def rebuild_rate(entries: list[Entry]) -> float:
    """Entries a second from a journal on disk into a derived store."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/j.db"
        writer = open_writer(url, mode="exercise")
        for at in range(0, len(entries), 1000):
            writer.append([
                Draft(kind=e.kind, received_ns=e.received_ns, source=e.source, ident=e.ident, body=e.body)
                for e in entries[at : at + 1000]
            ])  # fmt: skip
        writer.close()
        journal = open_reader(url)
        picture = Picture(journal, Path(folder) / "picture", resumes=False)  # as ``rebuild`` has it
        began = time.process_time()
        with collect_never():  # and this
            while picture.step():
                pass
            picture.finish()
        spent = time.process_time() - began
        picture.close()
        journal.close()
    return len(entries) / spent


def look_rate(tracks: int = 100, scans: int = 20) -> float:
    """Sightings a second, once the tracks are confirmed."""
    rng = random.Random(2)
    entries = [
        _entry(1, "start", 0, Start(version="b", presets={}, exercise=True)),
        _entry(2, "device", 0, Device(device="radar", basis="own_sensor")),
    ]
    w, s = HOME.geodetic(-20_000, -20_000), HOME.geodetic(20_000, 20_000)
    footprint = ((w[1], w[0]), (s[1], w[0]), (s[1], s[0]), (w[1], s[0]), (w[1], w[0]))
    for k in range(scans + 5):
        some = []
        for i in range(tracks):
            lat, lon = HOME.geodetic(500.0 * (i % 10) + 5 * k + rng.gauss(0, 10), 500.0 * (i // 10) + rng.gauss(0, 10))
            r = {"r_ee": 100.0, "r_en": 0.0, "r_nn": 100.0}
            some.append(Sighting(device="radar", time_ns=T0 + k * NS, lat_deg=lat, lon_deg=lon, **r))
        scan = Scan(
            scan_id=f"s{k}", sensor="radar", time_ns=T0 + k * NS, footprint=footprint, pd=0.95, clutter_per_km2=0.01,
            sightings=tuple(some),
        )  # fmt: skip
        entries.append(_entry(len(entries) + 1, "scan", k, scan))
    fold = Fold()
    for entry in entries[:7]:
        fold.apply(entry)
    began = time.process_time()
    for entry in entries[7:]:
        fold.apply(entry)
    return tracks * scans / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    longer = _fixes(50_000, 10_000)
    fixes = {"fold 1": _fixes(3000, 1), "fold 1000": _fixes(10_000, 1000), "fold 10000": longer[:30_001]}
    in_order, late = _fixes(3000, 1, every_s=0.1), _fixes(3000, 1, every_s=0.1, late_s=20.0)
    fold_rate(in_order[:100])  # the kernel is compiled, or fetched, once
    gc.collect()
    gc.freeze()
    collect_seldom()  # as the picture's process does
    found: dict[str, list[float]] = {}
    few, many = _fixes(12_000, 100), _fixes(40_000, 10_000)
    for _ in range(args.rounds):
        round_ = {"filterpy": filterpy_rate(), "update": update_rate(), "bank": bank_rate(), "batch": batch_rate()}
        round_ |= {name: fold_rate(entries) for name, entries in fixes.items()}
        round_["fold on"] = fold_on_rate(longer[:30_001], longer[30_001:])
        round_ |= {"in order": fold_rate(in_order), "late": fold_rate(late), "look": look_rate()}
        if len(found.get("rebuild", ())) < 2:
            round_ |= {"rebuild 100": rebuild_rate(few), "rebuild": rebuild_rate(many)}
        for name, rate in round_.items():
            found.setdefault(name, []).append(rate)
    over = {"late": "in order", "rebuild": "rebuild 100"}
    for name, rates in found.items():
        against = over.get(name, "filterpy")
        ratio = statistics.median(r / b for r, b in zip(rates, found[against], strict=False))
        print(f"{name:11s} {statistics.median(rates):10,.0f} /s   {ratio:6.2f} x {against}")
        if name not in ("filterpy", *over.values()) and not args.no_record:
            record("tracker_rates", f"{name} over {'filterpy predict+update' if against == 'filterpy' else against}", ratio)
    kb = memory_kb()
    print(f"memory      {kb:10,.1f} kB a track {kb / 20.0:6.2f} x 20 kB; 100,000 tracks {kb * 1e8 / 2**30:.2f} GiB")
    if not args.no_record:
        record("tracker_rates", "memory of a track with a full ring over 20 kB", kb / 20.0)
        record("tracker_rates", "memory of 100,000 tracks with full rings over 2 GiB", kb * 1e8 / 2**31)


if __name__ == "__main__":
    main()
