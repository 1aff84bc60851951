"""A radar's scans of 1,000 targets with clutter through the live fold, over Stone Soup's GNN with a KD-tree; CPU seconds.

    looks_rate.py [--targets 1000] [--no-record]

Targets 500 m apart, detection probability 0.95, 10 m, 50 false sightings a scan, a scan each 2 s.  Ours: entries through
``Fold.apply``, once the contacts are confirmed.  Stone Soup (``pip install stonesoup==1.9.1``; nothing else needs it): its
associator, Kalman predictor and updater alone, with the tracks given.  Without it our rate alone is printed.
"""

from __future__ import annotations

import argparse
import math
import time
from datetime import datetime, timedelta

import numpy as np
from trend import record

from birddog.geo import LocalFrame
from birddog.model import Body, Device, Entry, EntryKind, Scan, Sighting, Start, pack
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)
SIGMA_M, PD, CLUTTER, EVERY_S = 10.0, 0.95, 50, 2.0


def scans(targets: int, count: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The sightings (n, 2) of each scan, and where the targets begin and how fast."""
    rng, side = np.random.default_rng(1), math.ceil(math.sqrt(targets))
    at = np.array([(500.0 * (i % side), 500.0 * (i // side)) for i in range(targets)]) - 250.0 * side
    v, half, out = rng.normal(0.0, 8.0, (targets, 2)), 250.0 * side + 500.0, []
    for k in range(count):
        z = at + v * EVERY_S * k + rng.normal(0.0, SIGMA_M, (targets, 2))
        out.append(np.vstack([z[rng.random(targets) < PD], rng.uniform(-half, half, (CLUTTER, 2))]))
    return out, at, v


def ours(targets: int, count: int = 12, before: int = 4) -> float:
    """Track updates a CPU second."""
    made, at, _ = scans(targets, count)
    half = float(np.abs(at).max()) + 500.0
    corners = [HOME.geodetic(e, n) for e, n in ((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))]
    bodies: list[tuple[EntryKind, float, Body]] = [
        ("start", 0.0, Start(version="b", presets={}, exercise=True)), ("device", 0.0, Device(device="r", basis="own_sensor")),
    ]  # fmt: skip
    for k, z in enumerate(made):
        t_ns, r = round((T0 + EVERY_S * k) * NS), SIGMA_M**2
        sightings = []
        for e, n in z.tolist():
            lat, lon = HOME.geodetic(e, n)
            sightings.append(Sighting(device="r", time_ns=t_ns, lat_deg=lat, lon_deg=lon, r_ee=r, r_en=0.0, r_nn=r))
        bodies.append(("scan", EVERY_S * k + 0.2, Scan(
            scan_id=f"s{k}", sensor="r", time_ns=t_ns, footprint=tuple((lon, lat) for lat, lon in corners), pd=PD,
            clutter_per_km2=CLUTTER / (4.0 * half * half / 1e6), sightings=tuple(sightings),
        )))  # fmt: skip
    entries = [
        Entry(seq=i + 1, kind=kind, received_ns=round((T0 + t) * NS), source="b", ident=i.to_bytes(8), body=pack(body))
        for i, (kind, t, body) in enumerate(bodies)
    ]
    fold = Fold()
    for entry in entries[: 2 + before]:
        fold.apply(entry)
    began = time.process_time()
    for entry in entries[2 + before :]:
        fold.apply(entry)
    spent = time.process_time() - began
    followed = len(fold.believed(entries[-1].received_ns))
    if abs(followed - targets) > targets / 50:
        raise SystemExit(f"{followed} tracks of {targets} targets: the rate says nothing")
    return targets * (count - before) / spent


def stone_soup(targets: int, count: int = 3) -> float | None:
    """The same of Stone Soup; None where it is not installed."""
    try:
        from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
        from stonesoup.dataassociator.tree import DetectionKDTreeMixIn
        from stonesoup.hypothesiser.distance import DistanceHypothesiser
        from stonesoup.measures import Mahalanobis
        from stonesoup.models.measurement.linear import LinearGaussian
        from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
        from stonesoup.predictor.kalman import KalmanPredictor
        from stonesoup.types.detection import Detection
        from stonesoup.types.state import GaussianState
        from stonesoup.types.track import Track
        from stonesoup.updater.kalman import KalmanUpdater
    except ImportError:
        return None

    class Associator(DetectionKDTreeMixIn, GNNWith2DAssignment):
        """GNN that asks a KD-tree for the detections near a track."""

    model = LinearGaussian(4, (0, 2), np.eye(2) * SIGMA_M**2)
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(0.1), ConstantVelocity(0.1)]))
    updater = KalmanUpdater(model)
    associator = Associator(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=3.7), predictor=predictor,
                            updater=updater, number_of_neighbours=None, max_distance=100)  # fmt: skip
    made, at, v = scans(targets, count)
    start = datetime(2026, 1, 1)
    tracks = {Track([GaussianState([p[0], w[0], p[1], w[1]], np.diag([100.0, 64.0, 100.0, 64.0]), start)])
              for p, w in zip(at, v, strict=True)}  # fmt: skip
    spent = 0.0
    for k, z in enumerate(made[1:], 1):
        now = start + timedelta(seconds=EVERY_S * k)
        detections = {Detection(row.reshape(2, 1), timestamp=now, measurement_model=model) for row in z}
        began = time.process_time()
        for track, hypothesis in associator.associate(tracks, detections, now).items():
            track.append(updater.update(hypothesis) if hypothesis else hypothesis.prediction)
        spent += time.process_time() - began
    return targets * (count - 1) / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    rate, other = max(ours(args.targets) for _ in range(3)), stone_soup(args.targets)
    print(f"the fold            {rate:10,.0f} track updates a CPU second")
    if other is None:
        print("Stone Soup is not installed: no ratio")
        return
    print(f"Stone Soup GNN, KD  {other:10,.0f}   x {rate / other:.1f}")
    if not args.no_record:
        record("looks_rate", f"scans of {args.targets} targets through the fold over Stone Soup GNN with KD-tree", rate / other)


if __name__ == "__main__":
    main()
