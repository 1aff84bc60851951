"""How likely the hidden fixes of the public real tracks are by `birddog locate`, and by its motions with one number changed.

    .venv/bin/python tools/fit_motions.py [--data ../shared/data/tracking/real] [--each 3] [--mode live|smoothed|both]
                                          [--motion 5] [--factor 0.5 2] [--search] [--beside ../shared/data/predict] [--fold]

Prints the mean log density (1/m²) of the fixes that each set hides (every fifth; those of one minute in three), the median and
95th percentile of the error and what the 95 % ellipse holds.  With ``--motion`` also for each number of that motion (of live
and of smoothed answers together), and for ``bank.TAILS_AFTER``, times each factor.  ``--search`` goes on from the best change
of all motions until none is better.
What is fitted is the mean of the sets, each with the same weight, one preset for all of them: never a set's own.  ``--each N``
takes every N-th track only.  The fixes are told the sigma with which a Kalman filter foretells them best (SIGMA_M).

``--beside`` only tells and fits nothing: the same figures of vessels and trips of the same waters and roads that are in none of
the sets, hidden by the same rule, and what the ellipse holds of slow and fast vessels.  What is gained on the sets must be
gained there too.  ``--fold`` puts the two motions before the others that only the live fold has (ROUND is motion 0, HARD 1):
the tracks do not show them, so that they cost density here; how much says how likely they may be.  Half of the vessels lie
still, whose fixes are right to a metre or less: with the 4 m that is added to their covariance any ellipse holds them, so that
a set holds the more, the more of its vessels lie still.
"""

from __future__ import annotations

import argparse
import csv
import math
from datetime import datetime
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
#: Which folder of the other data goes with which set.
BESIDE = {"ais_solent": "solent", "bus_liverpool": "bus"}
#: Every so-manieth fix is hidden; those later than HIDE_AFTER_S in each ROUND_S (data/tracking/README.md).
HIDE_NTH, HIDE_AFTER_S, ROUND_S = 5, 120.0, 180.0
#: Two fixes of one time to a second and one place to so many degrees are one fix.
SAME_DEG = 2e-6
#: A vessel's speed at a hidden fix is that between its fixes about so far on either side, s; the classes, m/s.
SPEED_S, SPEEDS = 30.0, (0.0, 0.3, 1.0, 6.0, math.inf)


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


def beside(folder: Path, name: str, hide: int, known: Path) -> Hidden:
    """The tracks of the other data (``folder``/solent, bus) that are not in the set, hidden as its are."""
    by_id: dict[str, list[tuple[float, float, float]]] = {}
    with (folder / BESIDE[name] / "tracks.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            time_s = datetime.fromisoformat(row["t"].replace("Z", "+00:00")).timestamp()
            by_id.setdefault(row["id"], []).append((time_s, float(row["lon"]), float(row["lat"])))
    with (known / f"{name}.csv").open(newline="") as file:
        of_set: dict[int, list[tuple[float, float]]] = {}
        for row in csv.DictReader(file):
            of_set.setdefault(round(float(row["t"])), []).append((float(row["lon"]), float(row["lat"])))
    sigma_m = SIGMA_M[name, hide]
    out = Hidden(f"{name} hide{hide} +", sigma_m, True, [], [], [])
    for track_id in sorted(by_id):
        fixes = sorted(by_id[track_id])
        twins = sum(
            any(
                abs(x - lon) < SAME_DEG and abs(y - lat) < SAME_DEG
                for dt in (-1, 0, 1)
                for x, y in of_set.get(round(t) + dt, [])
            )
            for t, lon, lat in fixes
        )
        if 2 * twins > len(fixes):
            continue
        for i, (t, lon, lat) in enumerate(fixes):
            time_ns = round(t * NS)
            if i % HIDE_NTH == HIDE_NTH - 1 if hide == HIDE_NTH else (t - fixes[0][0]) % ROUND_S >= HIDE_AFTER_S:
                out.asked.append(Question(track_id, time_ns))
                out.truth.append((lon, lat))
            else:
                out.fixes.append(PastFix(track_id=track_id, time_ns=time_ns, x=lon, y=lat, sigma_m=sigma_m))
    return out


def speeds(one: Hidden) -> np.ndarray:
    """How fast each hidden fix's track went, m/s, by its fixes before and after it, visible or hidden."""
    by_id: dict[str, list[tuple[int, float, float]]] = {}
    for fix in one.fixes:
        by_id.setdefault(fix.track_id, []).append((fix.time_ns, fix.x, fix.y))
    for q, (x, y) in zip(one.asked, one.truth, strict=True):
        by_id.setdefault(q.track_id, []).append((q.time_ns, x, y))
    out, ways = [], {track_id: sorted(fixes) for track_id, fixes in by_id.items()}
    times = {track_id: np.array([t for t, _, _ in fixes]) for track_id, fixes in ways.items()}
    for q in one.asked:
        way, t, span = ways[q.track_id], times[q.track_id], round(SPEED_S * NS)
        first = way[max(int(np.searchsorted(t, q.time_ns - span)) - 1, 0)]
        last = way[min(int(np.searchsorted(t, q.time_ns + span)), len(way) - 1)]
        e, n = (
            LocalFrame(lat_deg=first[2], lon_deg=first[1]).en(lat_deg=last[2], lon_deg=last[1])
            if one.geodetic
            else (last[1] - first[1], last[2] - first[2])
        )
        out.append(math.hypot(e, n) / max((last[0] - first[0]) / NS, 1.0))
    return np.array(out)


def judged(one: Hidden, mode: str) -> tuple[float, float, float, float]:
    """(mean log density, median error, 95th percentile, share inside the 95 % ellipse) of a set's hidden fixes."""
    log, nis, away, _ = each(one, mode)
    return float(log.mean()), float(np.median(away)), float(np.percentile(away, 95)), float((nis <= 5.991).mean())


def each(one: Hidden, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(log density, NIS, error) of each hidden fix that is answered, and which those are."""
    errors, covariances, which = [], [], []
    answers = locate.locate(one.fixes, one.asked, mode=mode, geodetic=one.geodetic)
    for k, (answer, (x, y)) in enumerate(zip(answers, one.truth, strict=True)):
        if answer is None:
            continue
        which.append(k)
        if one.geodetic:
            errors.append(LocalFrame(lat_deg=y, lon_deg=x).en(lat_deg=answer.y, lon_deg=answer.x))
        else:
            errors.append((answer.x - x, answer.y - y))
        covariances.append(((answer.p_ee, answer.p_en), (answer.p_en, answer.p_nn)))
    error, s = np.array(errors), np.array(covariances) + one.sigma_m**2 * np.eye(2)
    nis = np.einsum("ni,nij,nj->n", error, np.linalg.inv(s), error)
    log = -0.5 * (np.minimum(nis, NIS_MOST) + np.log(np.linalg.det(s))) - math.log(2.0 * math.pi)
    return log, nis, np.hypot(*error.T), np.array(which)


def told_by_speed(one: Hidden, mode: str) -> None:
    """What the ellipse holds of what lies still and of what goes, a line a set."""
    _, nis, away, which = each(one, mode)
    fast, parts = speeds(one)[which], []
    for least, most in zip(SPEEDS, SPEEDS[1:], strict=False):
        of = (fast >= least) & (fast < most)
        if of.any():
            parts.append(
                f"{least:g}-{most:g} m/s {int(of.sum())}: {(nis[of] <= 5.991).mean():.3f}, {np.median(away[of]):.2f} m"
            )
    print(f"{mode:8s} {one.name:20s} {'; '.join(parts)}", flush=True)


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
    """(gain, what, the motions with it, live and after) of each change, printed as it is found."""
    found, start, after = [], locate.MODES, locate.MODES_AFTER
    for k in motions:
        for field in FIELDS:
            if not getattr(start[k], field):
                continue
            for factor in factors:
                locate.MODES, locate.MODES_AFTER = changed(start, k, field, factor), changed(after, k, field, factor)
                gain = mean_log(sets, modes) - base
                what = f"motion {k} {field} {getattr(start[k], field):g}, after {getattr(after[k], field):g} x {factor:g}"
                print(f"{gain:+9.5f}  {what}", flush=True)
                found.append((gain, what, (locate.MODES, locate.MODES_AFTER)))
    locate.MODES, locate.MODES_AFTER = start, after
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
    parser.add_argument("--beside", type=Path, metavar="DIR", help="tell of the tracks of data/predict too, and by speed")
    parser.add_argument("--fold", action="store_true", help="with the two motions of the live fold, as 0 and 1")
    args = parser.parse_args()
    if args.fold:
        locate.MODES, locate.MODES_AFTER = ((bank.ROUND, bank.HARD, *some) for some in (locate.MODES, locate.MODES_AFTER))
    modes = ["live", "smoothed"] if args.mode == "both" else [args.mode]
    sets = [read(args.data, *key, args.each) for key in SIGMA_M]
    base = mean_log(sets, modes, told=True)
    print(f"mean     {base:.5f}")
    if args.beside:
        others = [beside(args.beside, name, hide, args.data) for name, hide in SIGMA_M if name in BESIDE]
        print(f"beside   {mean_log(others, modes, told=True):.5f}")
        for mode in modes:
            for one in [*sets, *others]:
                if one.name.startswith("ais"):
                    told_by_speed(one, mode)
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
        (locate.MODES, locate.MODES_AFTER), base = best, base + gain
        print(f"taken: {what}: {base:.5f}", flush=True)


if __name__ == "__main__":
    main()
