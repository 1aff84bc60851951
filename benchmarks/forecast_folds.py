"""How far forecasts miss on held-out vessels and trips, over two plain rules in the same run: neighbours, a decaying velocity.

    python benchmarks/forecast_folds.py [--set suez|bus] [--archive past|whole] [--no-record]

Each fold of ids of shared/data/predict is asked with the others as archive.  ``past``: the archive stays where it is in time,
so that only what was before each question is known; ``whole``: it is moved back by a week.  The rules know the same of it.

The neighbours are those of shared/research/predict.md, 4.2: fixes of other tracks within a reach (5 km, a bus 500 m), course
within 45 degrees, speed within 2 kn and 30 %, the nearest of each track, up to seven that went on so long; the median of where
they were later; fewer than two: constant velocity.  The velocity decays in three hours; both take it by least squares.
Recorded: mean miss over that of the neighbours, by horizon (Suez: of what moves at over 1 kn; buses: all).
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import trend

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import forecast_trials as trials

from birddog.geo import Plane, distance_m
from birddog.units import ns_from_text
from tracking.forecast.where import Forecaster, Track

#: Window of a velocity, reach, silence that ends a track: seconds, metres, seconds.
RULE = {"suez": (1800.0, 5000.0, 2400.0), "bus": (120.0, 500.0, 180.0)}
KNOT_MPS, DECAYS_S = 0.514444, 10_800.0


def velocity(rows: np.ndarray, k: int, window_s: float) -> tuple[float, float]:
    """East, north m/s at a row, by least squares over the rows of the window before it."""
    if k < 1:
        return 0.0, 0.0
    h = min(int(np.searchsorted(rows[:, 0], rows[k, 0] - window_s)), k - 1)
    e, n = Plane(lat_deg=rows[k, 1], lon_deg=rows[k, 2]).en_array(rows[h : k + 1, 1], rows[h : k + 1, 2])
    t = rows[h : k + 1, 0] - rows[k, 0]
    fit = np.linalg.lstsq(np.c_[np.ones_like(t), t], np.c_[e, n], rcond=None)[0]
    return float(fit[1, 0]), float(fit[1, 1])


class Neighbours:
    """The rule over some tracks."""

    def __init__(self, tracks: dict[str, np.ndarray], window_s: float, reach_m: float, hole_s: float):
        self.tracks, self.reach_m, self.hole_s = tracks, reach_m, hole_s
        rows = [(i, *v[k], *velocity(v, k, window_s)) for i, v in tracks.items() for k in range(1, len(v))]
        self.id = np.array([r[0] for r in rows])
        self.t_s, self.lat, self.lon, self.ve, self.vn = np.array([r[1:] for r in rows]).T

    def later(self, name: str, t_s: float, until_s: float) -> tuple[float, float] | None:
        v = self.tracks[name]
        k = int(np.searchsorted(v[:, 0], t_s))
        if k == 0 or k == len(v) or v[k, 0] > until_s or v[k, 0] - v[k - 1, 0] > self.hole_s:
            return None
        w = (t_s - v[k - 1, 0]) / (v[k, 0] - v[k - 1, 0])
        lat, lon = v[k - 1, 1:] * (1.0 - w) + v[k, 1:] * w
        return float(lat), float(lon)

    def ways(self, lat: float, lon: float, ve: float, vn: float, horizon_s: float, until_s: float) -> tuple[float, float]:
        """East, north metres."""
        e, n = Plane(lat_deg=lat, lon_deg=lon).en_array(self.lat, self.lon)
        d, speed, theirs = np.hypot(e, n), math.hypot(ve, vn), np.hypot(self.ve, self.vn)
        turn = np.abs((np.degrees(np.arctan2(self.ve, self.vn) - math.atan2(ve, vn)) + 180.0) % 360.0 - 180.0)
        near = (d <= self.reach_m) & (turn <= 45.0) & (np.abs(theirs - speed) <= 2.0 * KNOT_MPS + 0.3 * speed)
        found, steps = set(), []
        for k in np.flatnonzero(near & (self.t_s <= until_s))[np.argsort(d[near & (self.t_s <= until_s)], kind="stable")]:
            if self.id[k] in found or len(steps) == 7:
                continue
            found.add(self.id[k])
            there = self.later(self.id[k], self.t_s[k] + horizon_s, until_s)
            if there is not None:
                steps.append(Plane(lat_deg=self.lat[k], lon_deg=self.lon[k]).en(lat_deg=there[0], lon_deg=there[1]))
        if len(steps) < 2:
            return ve * horizon_s, vn * horizon_s
        east, north = np.median(np.array(steps), axis=0)
        return float(east), float(north)


def main() -> int:
    """Ask, compare, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="suez", choices=sorted(trials.FOLDS))
    parser.add_argument("--archive", default="past", choices=("past", "whole"))
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    window_s, reach_m, hole_s = RULE[args.set]
    tracks, truth = trials.read(args.set)
    ids, folds = sorted(tracks, key=lambda i: (len(i), i)), trials.FOLDS[args.set]
    rows = []
    for fold in range(folds):
        mine = set(ids[fold::folds])
        shift_s = -trials.WEEK_S if args.archive == "whole" else 0.0
        others = {i: v + (shift_s, 0.0, 0.0) for i, v in tracks.items() if i not in mine}
        forecaster, near = Forecaster(trials.archive(others, 0.0)), Neighbours(others, window_s, reach_m, hole_s)
        for q in [q for q in truth if q["id"] in mine]:
            v, t0_s, horizon_s = tracks[q["id"]], ns_from_text(q["t0"]) / 1e9, float(q["horizon_min"]) * 60.0
            k = int(np.searchsorted(v[:, 0], t0_s + 1e-3)) - 1
            ve, vn = velocity(v, k, window_s)
            moving = math.hypot(ve, vn) > KNOT_MPS
            if args.set == "suez" and not moving:
                continue
            lat, lon = float(q["lat"]), float(q["lon"])
            here = Plane(lat_deg=v[k, 1], lon_deg=v[k, 2])
            decayed_s = DECAYS_S * (1.0 - math.exp(-horizon_s / DECAYS_S))
            told = [here.geodetic(*near.ways(v[k, 1], v[k, 2], ve, vn, horizon_s, t0_s)),
                    here.geodetic(ve * decayed_s, vn * decayed_s)]  # fmt: skip
            f = forecaster.forecast(Track(q["id"], *v.T), t0_s, horizon_s)
            assert f is not None
            told.append((f.lat_deg, f.lon_deg))
            rows.append((horizon_s / 60.0, *(distance_m(lat1_deg=a, lon1_deg=b, lat2_deg=lat, lon2_deg=lon) / 1000.0
                                             for a, b in told)))  # fmt: skip
    table = np.array(rows)
    print("  min     n  neighbours  decaying velocity    ours  over neighbours  over velocity   (mean km)")
    for horizon in np.unique(table[:, 0]):
        n = int(np.count_nonzero(table[:, 0] == horizon))
        by_rule, by_velocity, ours = table[table[:, 0] == horizon, 1:].mean(axis=0)
        print(f"{horizon:5.0f} {n:5d}  {by_rule:10.3f}  {by_velocity:17.3f}  {ours:6.3f}  {ours / by_rule:15.2f}"
              f"  {ours / by_velocity:13.2f}")  # fmt: skip
        if not args.no_record:
            trend.record("forecast_folds", f"{args.set}, {args.archive} archive, {horizon:.0f} min: miss over neighbours'",
                         ours / by_rule)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
