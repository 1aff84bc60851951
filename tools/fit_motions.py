"""How likely the hidden fixes of the public real tracks are by `birddog locate`, and by its motions with one number changed.

    .venv/bin/python tools/fit_motions.py [--data ../shared/data/tracking/real] [--each 3] [--mode live|smoothed|both]
                                          [--motion 5] [--factor 0.5 2] [--search]

Prints the mean log density (1/m²) of the fixes that each set hides (every fifth; those of one minute in three), the median and
95th percentile of the error and what the 95 % ellipse holds.  With ``--motion`` also for each number of that motion, and for
``bank.TAILS_AFTER``, times each factor.  ``--search`` goes on from the best change of all motions until none is better.
What is fitted is the mean of the sets, each with the same weight, one preset for all of them: never a set's own.  ``--each N``
takes every N-th track only.  The fixes are told the sigma with which a Kalman filter foretells them best (SIGMA_M).
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import msgspec
import numpy as np

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import bank, locate
from tracking.bank import Mode
from tracking.locate import PastFix, Question

#: Sigma of a fix, m, by the likelihood of a constant-velocity Kalman filter on the visible fixes (research/tracking.md 3.2).
SIGMA_M = {("ais_solent", 5): 4.0, ("ais_solent", 60): 2.0, ("bus_liverpool", 5): 15.0, ("bus_liverpool", 60): 15.0,
           ("goal_delivery", 5): 1.0, ("goal_delivery", 60): 1.0}  # fmt: skip
#: A hidden fix says no more than this against a setting.
NIS_MOST = 60.0
FIELDS = ("q", "tau_s", "weight", "dwell_s", "walk", "kick")


class Hidden(msgspec.Struct):
    """One set by one protocol: what is visible, what is asked, and where it was: lat, lon or e, n."""

    name: str
    sigma_m: float
    geodetic: bool
    fixes: list[PastFix]
    asked: list[Question]
    truth: list[tuple[float, float]]


def read(folder: Path, name: str, hide: int, each: int) -> Hidden:
    """The rows of one set."""
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = set(sorted({row["track_id"] for row in rows})[::each])
    geodetic, flag, sigma_m = "lat" in rows[0], f"hide{hide}", SIGMA_M[name, hide]
    x, y = ("lon", "lat") if geodetic else ("e_m", "n_m")
    out = Hidden(f"{name} hide{hide}", sigma_m, geodetic, [], [], [])
    for row in rows:
        if row["track_id"] not in kept:
            continue
        time_ns = round(float(row["t"]) * NS)
        if row[flag] != "1":
            out.fixes.append(
                PastFix(track_id=row["track_id"], time_ns=time_ns, x=float(row[x]), y=float(row[y]), sigma_m=sigma_m)
            )
        elif row.get("bad", "0") != "1":
            out.asked.append(Question(row["track_id"], time_ns))
            out.truth.append((float(row[x]), float(row[y])))
    return out


def judged(one: Hidden, mode: str) -> tuple[float, float, float, float]:
    """(mean log density, median error, 95th percentile, share inside the 95 % ellipse) of a set's hidden fixes."""
    errors, covariances = [], []
    for answer, (x, y) in zip(locate.locate(one.fixes, one.asked, mode=mode, geodetic=one.geodetic), one.truth, strict=True):
        if answer is None:
            continue
        if one.geodetic:
            errors.append(LocalFrame(lat_deg=y, lon_deg=x).en(lat_deg=answer.y, lon_deg=answer.x))
        else:
            errors.append((answer.x - x, answer.y - y))
        covariances.append(((answer.p_ee, answer.p_en), (answer.p_en, answer.p_nn)))
    error, s = np.array(errors), np.array(covariances) + one.sigma_m**2 * np.eye(2)
    nis = np.einsum("ni,nij,nj->n", error, np.linalg.inv(s), error)
    log = -0.5 * (np.minimum(nis, NIS_MOST) + np.log(np.linalg.det(s))) - math.log(2.0 * math.pi)
    away = np.hypot(*error.T)
    return float(log.mean()), float(np.median(away)), float(np.percentile(away, 95)), float((nis <= 5.991).mean())


def mean_log(sets: list[Hidden], modes: list[str], *, told: bool = False) -> float:
    """The mean log density over sets and modes, each with the same weight."""
    logs = []
    for mode in modes:
        for one in sets:
            log, median_m, p95_m, inside = judged(one, mode)
            logs.append(log)
            if told:
                print(
                    f"{mode:8s} {one.name:20s} {log:9.4f}  median {median_m:7.2f} m  p95 {p95_m:7.1f} m  inside {inside:.3f}",
                    flush=True,
                )
    return float(np.mean(logs))


def changed(modes: tuple[Mode, ...], k: int, field: str, factor: float) -> tuple[Mode, ...]:
    """The motions with one number times a factor."""
    new = msgspec.structs.replace(modes[k], **{field: getattr(modes[k], field) * factor})
    return (*modes[:k], new, *modes[k + 1 :])


def trials(sets: list[Hidden], modes: list[str], motions: list[int], factors: list[float], base: float):
    """(gain, what, the motions with it) of each change, printed as it is found."""
    found, start = [], locate.MODES
    for k in motions:
        for field in FIELDS:
            if not getattr(start[k], field):
                continue
            for factor in factors:
                locate.MODES = changed(start, k, field, factor)
                gain = mean_log(sets, modes) - base
                what = f"motion {k} {field} {getattr(start[k], field):g} x {factor:g}"
                print(f"{gain:+9.5f}  {what}", flush=True)
                found.append((gain, what, locate.MODES))
    locate.MODES = start
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tracking/real"))
    parser.add_argument("--each", type=int, default=1, metavar="N", help="every N-th track only")
    parser.add_argument("--mode", choices=("live", "smoothed", "both"), default="both")
    parser.add_argument("--motion", type=int, action="append", default=[], metavar="K", help="try changes of this motion")
    parser.add_argument("--factor", type=float, nargs="+", default=[0.5, 2.0])
    parser.add_argument("--search", action="store_true", help="go on from the best change until none is better")
    args = parser.parse_args()
    modes = ["live", "smoothed"] if args.mode == "both" else [args.mode]
    sets = [read(args.data, *key, args.each) for key in SIGMA_M]
    base = mean_log(sets, modes, told=True)
    print(f"mean     {base:.5f}")
    motions = args.motion or (list(range(len(locate.MODES))) if args.search else [])
    if args.motion and "smoothed" in modes:
        tails = bank.TAILS_AFTER
        for factor in args.factor:
            bank.TAILS_AFTER = tails * factor
            print(f"{mean_log(sets, modes) - base:+9.5f}  TAILS_AFTER {tails:g} x {factor:g}", flush=True)
        bank.TAILS_AFTER = tails
    while motions:
        gain, what, best = max(trials(sets, modes, motions, args.factor, base), key=lambda one: one[0])
        if not args.search or gain <= 1e-4:
            break
        locate.MODES, base = best, base + gain
        print(f"taken: {what}: {base:.5f}", flush=True)


if __name__ == "__main__":
    main()
