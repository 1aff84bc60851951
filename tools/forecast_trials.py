"""What forecasts are chosen by: errors, coverage and areas over folds of vessels and trips of shared data, with their spread.

    python tools/forecast_trials.py [--set suez|bus] [--archive ended|running] [--vary place=0.3 …] [--every N]

Each fold's ids are asked with all the others as archive: ``ended`` moves it back by a week, so that all of it is past;
``running`` leaves it where it is, so that only what was before each question is known.  ``--vary`` tries another likeness
or shape (fields of tracking.forecast.futures.Likeness and regions.Shape).  Figures are printed for each fold too: a difference
smaller than theirs says nothing.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from birddog.geo import distance_m
from birddog.units import ns_from_text
from tracking.forecast import futures, past, regions
from tracking.forecast.where import Forecaster, Track

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "predict"
FOLDS = {"suez": 4, "bus": 5}
WEEK_S = 7 * 86_400.0


def read(name: str) -> tuple[dict[str, np.ndarray], list[dict]]:
    """(fixes of each id as rows of t, lat, lon; the questions with their truth)."""
    tracks: dict[str, list] = {}
    with open(DATA / name / "tracks.csv", newline="", encoding="utf-8") as source:
        for r in csv.DictReader(source):
            tracks.setdefault(r["id"], []).append((ns_from_text(r["t"]) / 1e9, float(r["lat"]), float(r["lon"])))
    with open(DATA / name / "forecast_truth.csv", newline="", encoding="utf-8") as source:
        truth = list(csv.DictReader(source))
    return {i: np.array(sorted(v)) for i, v in tracks.items()}, truth


def archive(tracks: dict[str, np.ndarray], shift_s: float) -> past.Past:
    """An archive of some tracks, moved in time."""
    names = sorted(tracks)
    rows = np.concatenate([tracks[n] for n in names])
    number = np.concatenate([np.full(len(tracks[n]), k) for k, n in enumerate(names)])
    return past.build(names, number, rows[:, 0] + shift_s, rows[:, 1], rows[:, 2])


def main() -> int:
    """Ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="suez", choices=sorted(FOLDS))
    parser.add_argument("--archive", default="running", choices=("ended", "running"))
    parser.add_argument("--vary", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--every", type=int, default=1, help="ask only every so-manieth question")
    args = parser.parse_args()
    varied = {k: float(v) for k, v in (text.split("=") for text in args.vary)}
    like = replace(futures.LIKENESS, **{f.name: varied[f.name] for f in fields(futures.Likeness) if f.name in varied})
    shape = replace(regions.SHAPE, **{f.name: varied[f.name] for f in fields(regions.Shape) if f.name in varied})
    tracks, truth = read(args.set)
    ids = sorted(tracks, key=lambda i: (len(i), i))
    rows = []
    for fold in range(FOLDS[args.set]):
        mine = set(ids[fold :: FOLDS[args.set]])
        others = {i: v for i, v in tracks.items() if i not in mine}
        forecaster = Forecaster(archive(others, -WEEK_S if args.archive == "ended" else 0.0), like=like, shape=shape)
        for q in [q for q in truth if q["id"] in mine][:: args.every]:
            v = tracks[q["id"]]
            f = forecaster.forecast(Track(q["id"], *v.T), ns_from_text(q["t0"]) / 1e9, float(q["horizon_min"]) * 60.0)
            assert f is not None
            lat, lon = float(q["lat"]), float(q["lon"])
            miss_m = distance_m(lat1_deg=f.lat_deg, lon1_deg=f.lon_deg, lat2_deg=lat, lon2_deg=lon)
            odd = regions.oddness(f.bells, *(float(x) for x in f.futures.plane.en_array(np.array(lat), np.array(lon))))
            held = [miss_m <= f.radius_m[p] for p in (0.5, 0.9)]
            held += [odd <= e if (e := f.oddness[p]) is not None else miss_m <= f.radius_m[p] for p in (0.5, 0.9)]
            rows.append((fold, f.moving, float(q["horizon_min"]), miss_m / 1000.0, *held, f.area_m2[0.9] / 1e6,
                         np.pi * (f.radius_m[0.9] / 1000.0) ** 2))
    table = np.array(rows, dtype=float)
    print("kind     min     n  mean km (by fold)                     median  discs hold    regions hold  area90 km2  disc's")
    for moving in (1.0, 0.0):
        for horizon in np.unique(table[:, 2]):
            t = table[(table[:, 1] == moving) & (table[:, 2] == horizon)]
            if not len(t):
                continue
            by_fold = " ".join(f"{t[t[:, 0] == k, 3].mean():.2f}" for k in np.unique(t[:, 0]))
            kind, mean = "moving" if moving else "stopped", t.mean(axis=0)
            print(f"{kind:8s} {horizon:4.0f} {len(t):5d}  {mean[3]:6.3f} ({by_fold:30s})  {np.median(t[:, 3]):6.2f}"
                  f"  {mean[4]:.3f} {mean[5]:.3f}   {mean[6]:.3f} {mean[7]:.3f}  {mean[8]:10.1f}  {mean[9]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
