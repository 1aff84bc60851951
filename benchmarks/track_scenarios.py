"""`birddog track` on made scenarios of every kind, over Stone Soup at its best tuning for each.

    track_scenarios.py [--kinds A,B] [--seeds 0,1,2] [--baseline FILE] [--limit SECONDS] [--no-record]

GOSPA (p 2, c 100 m, alpha 2) at each multiple of the scenario's step from what had arrived by then, identity switches
(CLEAR-MOT, 60 m), missed, false a step, truth inside the 95 % ellipse and NEES (of matched pairs).  Stone Soup (``pip install
stonesoup==1.9.1``; nothing else needs it) drops what comes late, as its trackers do; for each scenario the process noise, the
hits that confirm, the time that deletes and the association (GNN, JPDA by EHM2) are searched by GOSPA on the very data that
is scored, which favours it.  That takes a minute a scenario: ``--baseline FILE`` keeps the figures found (JSON), and takes
those that are there.  A tuning that has not ended after ``--limit`` CPU seconds is left out (JPDA in heavy clutter: the joint
events of a cluster of a hundred do not end), and how many were is printed.  The kinds of many things and ten minutes
(``LONG``) are run when they are named, and Stone Soup with one tuning: it takes minutes for each.  Without Stone Soup and
without a file our own figures alone are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import signal
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from made_scenarios import KINDS, LONG, Scenario, made, write
from trend import record

from birddog import metrics
from birddog.units import CHI2_95_2D

Tracks = dict[float, dict[str, tuple[float, float]]]
#: A tuning of Stone Soup that takes longer on one scenario is left out, CPU seconds.
LIMIT_S = 60.0
#: Stone Soup's GNN asks a track about what lies within so many m, east and north: more than 3.7 sigmas of the vaguest there is.
REACH_M = 600.0
#: Where its best so far still leaves so many false tracks a step, six hits that confirm are tried too.
FALSE_MANY = 0.1


def truth_of(s: Scenario) -> Tracks:
    out: Tracks = {}
    for name, way in s.truth.items():
        for row in way:
            out.setdefault(round(float(row[0]), 3), {})[name] = (float(row[1]), float(row[2]))
    return out


def times(s: Scenario) -> list[float]:
    return [float(t) for t in range(s.every_s, s.duration_s + 1, s.every_s)]


def scored(s: Scenario, found: Tracks) -> dict[str, float]:
    """GOSPA and its parts over a scenario's steps."""
    truth, values, square, hit, missed, false, points = truth_of(s), [], 0.0, 0, 0, 0, 0
    steps = []
    for t in times(s):
        there, here = truth.get(t, {}), found.get(t, {})
        one = metrics.gospa(list(there.values()), list(here.values()))
        values.append(one.value)
        square, hit = square + one.localisation, hit + len(one.pairs)
        missed, false, points = missed + one.missed, false + one.false, points + len(there)
        steps.append((there, here))
    return {
        "gospa": statistics.fmean(values), "rmse": math.sqrt(square / max(hit, 1)), "missed": missed / max(points, 1),
        "false": false / len(values), "switches": metrics.id_switches(steps),
    }  # fmt: skip


# --- ours ------------------------------------------------------------------------------------------


def ours(s: Scenario, folder: Path) -> dict[str, float]:
    """What `birddog track` makes of it."""
    from opsroom.cli import main

    write(s, folder)
    out = io.StringIO()
    began = time.process_time()
    with contextlib.redirect_stdout(out):
        main(["track", "--detections", str(folder / "detections.csv"), "--sensors", str(folder / "scenario.json"), "--every",
              str(s.every_s)])  # fmt: skip
    spent_s, looks = time.process_time() - began, len({(d[1], d[3]) for d in s.detections if not d[4]})
    found: Tracks = {}
    p: dict[tuple[float, str], list[list[float]]] = {}
    for row in csv.DictReader(io.StringIO(out.getvalue())):
        t = round(float(row["t"]), 3)
        found.setdefault(t, {})[row["track_id"]] = (float(row["e_m"]), float(row["n_m"]))
        ee, en, nn = (float(row[k]) for k in ("p_ee", "p_en", "p_nn"))
        p[t, row["track_id"]] = [[ee, en], [en, nn]]
    result, truth = scored(s, found), truth_of(s)
    errors, covariances = [], []
    for t in times(s):
        there, here = truth.get(t, {}), found.get(t, {})
        names, tracks = list(there), list(here)
        for i, j, _ in metrics.gospa(list(there.values()), list(here.values())).pairs:
            errors.append((here[tracks[j]][0] - there[names[i]][0], here[tracks[j]][1] - there[names[i]][1]))
            covariances.append(p[t, tracks[j]])
    nees = metrics.nees(errors, covariances)
    return result | {"inside": float(np.mean(nees <= CHI2_95_2D)), "nees": float(np.mean(nees)), "ms": 1000.0 * spent_s / looks}


# --- Stone Soup ------------------------------------------------------------------------------------


def stone_soup(s: Scenario, *, q: float, hits: int, gone_s: float, jpda: bool) -> dict[str, float]:
    """What Stone Soup's Kalman filter, constant velocity and GNN or JPDA make of it, live: what comes late is dropped."""
    from datetime import datetime, timedelta

    from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
    from stonesoup.dataassociator.probability import JPDAwithEHM2
    from stonesoup.deleter.time import UpdateTimeDeleter
    from stonesoup.functions import gm_reduce_single
    from stonesoup.hypothesiser.distance import DistanceHypothesiser
    from stonesoup.hypothesiser.probability import PDAHypothesiser
    from stonesoup.initiator.simple import MultiMeasurementInitiator
    from stonesoup.measures import Mahalanobis
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.types.array import StateVectors
    from stonesoup.types.detection import Detection
    from stonesoup.types.state import GaussianState
    from stonesoup.types.update import GaussianStateUpdate
    from stonesoup.updater.kalman import KalmanUpdater

    start = datetime(2026, 1, 1)
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(q), ConstantVelocity(q)]))
    updater = KalmanUpdater(None)

    class Nearest(GNNWith2DAssignment):
        """GNN that asks each track about what lies within ``REACH_M`` alone: in heavy clutter its search does not end else."""

        def generate_hypotheses(self, tracks: Any, detections: Any, timestamp: Any, **kwargs: Any) -> dict[Any, Any]:
            found = {}
            for track in tracks:
                e, _, n, _ = (float(x) for x in predictor.predict(track[-1], timestamp=timestamp).state_vector)
                near = {
                    d for d in detections
                    if abs(float(d.state_vector[0]) - e) < REACH_M and abs(float(d.state_vector[1]) - n) < REACH_M
                }  # fmt: skip
                found[track] = self.hypothesiser.hypothesise(track, near, timestamp, **kwargs)
            return found

    nearest = Nearest(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=3.7))
    initiator = MultiMeasurementInitiator(
        GaussianState([0, 0, 0, 0], np.diag([0, 225.0, 0, 225.0]), timestamp=start),
        deleter=UpdateTimeDeleter(timedelta(seconds=min(gone_s, 8.0))), data_associator=nearest, updater=updater,
        min_points=hits,
    )  # fmt: skip
    deleter = UpdateTimeDeleter(timedelta(seconds=gone_s))
    sensors = {sensor["id"]: sensor for sensor in s.sensors}
    e0, e1, n0, n1 = (-2000.0, 2000.0, -2000.0, 2000.0)
    by_sensor = {}
    for name, sensor in sensors.items():
        if jpda and "clutter_per_scan" in sensor:
            density = max(sensor["clutter_per_scan"], 0.1) / ((e1 - e0) * (n1 - n0))
            every = PDAHypothesiser(predictor, updater, density, prob_detect=sensor["pd"], prob_gate=0.9997)
            by_sensor[name] = JPDAwithEHM2(every)
    looks: dict[tuple[float, str, float], list[tuple[Any, ...]]] = {}
    for d in s.detections:
        looks.setdefault((round(d[2], 3), d[3], d[1]), []).append(d)
    # a look of which nothing came is a look all the same
    for sensor in s.sensors:
        if "clutter_per_scan" in sensor and "latency_s" not in sensor:
            for k in range(int((s.duration_s - sensor.get("phase", 0)) / sensor["period"] + 1e-9) + 1):
                t = sensor.get("phase", 0) + k * sensor["period"]
                looks.setdefault((round(t + 0.2, 3), sensor["id"], t), [])
    tracks: set[Any] = set()
    now = -1.0
    found: Tracks = {}
    todo = times(s)

    def say(tau: float) -> None:
        at, here = start + timedelta(seconds=tau), {}
        for track in tracks:
            state = predictor.predict(track[-1], timestamp=at) if track.timestamp < at else track[-1]
            here[track.id] = (float(state.state_vector[0]), float(state.state_vector[2]))
        found[tau] = here

    for (arrives, name, t), rows in sorted(looks.items()):
        while todo and todo[0] < arrives:
            say(todo.pop(0))
        if t < now:
            continue
        now = t
        at = start + timedelta(seconds=t)
        detections = {
            Detection([[d[5]], [d[6]]], timestamp=at, measurement_model=LinearGaussian(4, (0, 2), np.array(d[7])))
            for d in rows
        }
        used = set()
        if name in by_sensor:
            for track, many in by_sensor[name].associate(tracks, detections, at).items():
                states, weights = [], []
                for hypothesis in many:
                    if hypothesis:
                        post = updater.update(hypothesis)
                        if hypothesis.probability > 0.01:
                            used.add(hypothesis.measurement)
                    else:
                        post = hypothesis.prediction
                    states.append(post)
                    weights.append(float(hypothesis.probability))
                means, covariances = StateVectors([x.state_vector for x in states]), np.stack([x.covar for x in states], axis=2)
                mean, covariance = gm_reduce_single(means, covariances, np.array(weights))
                if any(many):
                    track.append(GaussianStateUpdate(mean, covariance, many, at))
                else:
                    track.append(many[0].prediction)
        else:
            for track, hypothesis in nearest.associate(tracks, detections, at).items():
                if hypothesis:
                    track.append(updater.update(hypothesis))
                    used.add(hypothesis.measurement)
                else:
                    track.append(hypothesis.prediction)
        tracks -= deleter.delete_tracks(tracks)
        tracks |= initiator.initiate(detections - used, at)
    for tau in todo:
        say(tau)
    return scored(s, found)


def _in_time(s: Scenario, limit_s: float, tuning: dict[str, Any]) -> dict[str, float] | None:
    """Stone Soup with one tuning; None where it has not ended after so many CPU seconds."""

    def over(*_: Any) -> None:
        raise TimeoutError

    old = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        return stone_soup(s, **tuning)
    except TimeoutError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, old)


def best_stone_soup(s: Scenario, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """A search along one setting after the other, by GOSPA on the scored data itself; ``unended``: tunings left out."""
    now: dict[str, Any] = {"q": 0.3, "hits": 4, "gone_s": 10.0, "jpda": False}
    best = _in_time(s, limit_s, now)
    wheel: tuple[tuple[str, tuple[Any, ...]], ...]
    wheel = (("q", (0.1, 1.0, 3.0)), ("gone_s", (6.0, 20.0)), ("hits", (3,)), ("jpda", (True,)))
    if s.name in LONG:
        wheel = ()
    tried, unended = {tuple(now.values())}, int(best is None)
    for setting, values in wheel:
        if setting == "hits" and best is not None and best["false"] > FALSE_MANY:
            values = (*values, 6)
        for value in values:
            other = {**now, setting: value}
            if tuple(other.values()) in tried:
                continue
            tried.add(tuple(other.values()))
            one = _in_time(s, limit_s, other)
            unended += one is None
            if one is not None and (best is None or one["gospa"] < best["gospa"]):
                best, now = one, other
    return (best or {"gospa": math.nan}) | {"tuning": now, "unended": unended}


# --- the table -------------------------------------------------------------------------------------


def baselines(file: Path | None, wanted: Iterable[tuple[str, int]], limit_s: float = LIMIT_S) -> dict[str, dict[str, Any]]:
    """Stone Soup's best of each scenario, by ``KIND-SEED``: those of the file, and what is searched for now."""
    known = json.loads(file.read_text()) if file is not None and file.exists() else {}
    try:
        import stonesoup  # noqa: F401
    except ImportError:
        return known
    for kind, seed in wanted:
        if f"{kind}-{seed}" not in known:
            known[f"{kind}-{seed}"] = best_stone_soup(made(kind, seed), limit_s)
            if file is not None:
                file.write_text(json.dumps(known, indent=1))
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(kind for kind in KINDS if kind not in LONG))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--limit", type=float, default=LIMIT_S)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    wanted = [(kind, int(seed)) for kind in args.kinds.split(",") for seed in args.seeds.split(",")]
    known = baselines(args.baseline, wanted, args.limit)
    ratios = []
    print("scenario        GOSPA  Stone Soup  ratio   rmse  missed   false  switches  inside  NEES  ms/look"
          "  its tuning: missed, false, switches")
    with tempfile.TemporaryDirectory() as folder:
        for kind, seed in wanted:
            name = f"{kind}-{seed}"
            one, other = ours(made(kind, seed), Path(folder)), known.get(name)
            against = other["gospa"] if other else math.nan
            line = (f"{name:14s} {one['gospa']:6.1f}  {against:10.1f}  {one['gospa'] / against:5.2f}  "
                    f"{one['rmse']:5.1f}  {one['missed']:6.1%}  {one['false']:6.2f}  {one['switches']:8d}  "
                    f"{one['inside']:6.2f}  {one['nees']:4.1f}  {one['ms']:7.1f}")  # fmt: skip
            if other and not math.isnan(against):
                ratios.append(one["gospa"] / against)
                its = other["tuning"]
                line += (f"   {'JPDA' if its['jpda'] else 'GNN'} q {its['q']:g} M {its['hits']} T {its['gone_s']:g}: "
                         f"{other['missed']:.1%} {other['false']:.2f} {other['switches']}")  # fmt: skip
                line += f", {other['unended']} left out" if other.get("unended") else ""
            print(line, flush=True)
    if ratios:
        print(f"mean {statistics.fmean(ratios):.3f}, worst {max(ratios):.2f} of Stone Soup's best for each")
        if not args.no_record:
            record("track_scenarios", f"mean GOSPA over {len(ratios)} made scenarios over Stone Soup at its best for each",
                   statistics.fmean(ratios))  # fmt: skip
            record("track_scenarios", "the worst of them", max(ratios))


if __name__ == "__main__":
    main()
