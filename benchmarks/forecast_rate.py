"""One forecast from a large archive: time and memory, over the same from a small one.

    python benchmarks/forecast_rate.py [--fixes N] [--small N] [--folder DIR]

Ships on the lanes of a busy strait (200 km by 40 km, a fix each 10 min, 60 a passage) are made as arrays, built into an
archive, and opened by a new process, as `birddog forecast` does. Recorded: CPU of a forecast over the promise of 50 ms,
resident memory over the promise of 500 MB, both from the large archive; the large archive's forecast over the small
one's; CPU of a fix in building over that of sorting it (numpy lexsort by track and time of the same rows).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

import numpy as np
import trend

from opsroom import archive_store
from tracking.forecast import past as arch
from tracking.forecast.calibration import Calibration

A_PASSAGE, EVERY_S = 60, 600.0
ASKED = """
import json, resource, sys, time
import numpy as np
from opsroom import archive_store
from tracking.forecast.where import Forecaster, Track
c = archive_store.load(sys.argv[1])
f = Forecaster(c.past, calibration=c)
rng, took, held = np.random.default_rng(7), [], 0
for k in range(40):
    row = int(rng.integers(len(c.past) - 60)) // 60 * 60 + 10
    t = np.array(c.past.t_s[row - 10:row + 1]) - c.past.t_s[row] + c.past.last_s + 86_400.0 * 2
    track = Track("asked", t, c.past.lat[row - 10:row + 1] * 1e-7 + 1e-3, c.past.lon[row - 10:row + 1] * 1e-7)
    for minutes in (60.0,):
        begun = time.process_time()
        got = f.forecast(track, float(t[-1]), minutes * 60.0)
        took.append(time.process_time() - begun)
        held += got.neighbours > 1.0
    if k == 0:
        words = open("/proc/self/status").read().split()
        first_mb = int(words[words.index("VmRSS:") + 1]) / 1024
    c.past.release()
print(json.dumps({"first_s": took[0], "median_s": sorted(took)[20], "worst_s": max(took[1:]), "rss_mb": first_mb,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "used": held / 40}))
"""


def ships(fixes: int) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(names, track, t, lat, lon) of so many fixes, shuffled by nothing: as a sorted year would come."""
    passages = fixes // A_PASSAGE
    rng = np.random.default_rng(1)
    k = np.repeat(np.arange(passages), A_PASSAGE)
    step = np.tile(np.arange(A_PASSAGE), passages)
    speed = rng.uniform(5.0, 9.0, passages)[k]
    east = rng.random(passages)[k] < 0.5
    lane = (rng.normal(0.0, 2000.0, passages)[k] + np.where(east, 3000.0, -3000.0)) / 111_195.0
    s_deg = np.mod(speed * EVERY_S * step, 200_000.0) / 96_000.0
    begin = rng.uniform(0.0, 365 * 86_400.0, passages)[k]
    lon = 10.0 + np.where(east, s_deg, 2.083 - s_deg)
    return [f"{v:09d}" for v in range(passages)], k, begin + EVERY_S * step, 30.0 + lane, lon


def main() -> int:
    """Build, ask, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixes", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--folder", help="where the archives are written (default: a temporary folder)")
    args = parser.parse_args()
    said = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, n in (("small", args.small), ("large", args.fixes)):
            made = ships(n)
            begun = time.process_time()
            np.lexsort((made[2], made[1]))
            sorting = time.process_time() - begun
            begun = time.process_time()
            calibration = Calibration(arch.build(*made))
            built = time.process_time() - begun
            begun = time.process_time()
            for moving in (True, False):
                calibration.widths(3600.0, moving, 5.0, calibration.past.last_s + 86_400.0, 0.9)
            calibrated = time.process_time() - begun
            archive_store.save(calibration, f"{folder}/{name}", {})
            del calibration, made
            asked = subprocess.run([sys.executable, "-c", ASKED, f"{folder}/{name}"], check=True, capture_output=True,
                                   text=True)
            said[name] = json.loads(asked.stdout)
            got = said[name]
            print(f"{n:>11} fixes: built in {built:.1f} s ({built / max(sorting, 1e-9):.1f} x a sort), calibrated in "
                  f"{calibrated:.1f} s; a forecast {got['median_s'] * 1e3:.1f} ms (first {got['first_s'] * 1e3:.0f}, worst "
                  f"{got['worst_s'] * 1e3:.0f}), {got['rss_mb']:.0f} MB resident; on used ways {got['used']:.2f}")
    large, small = said["large"], said["small"]
    trend.record("forecast_rate", f"a forecast from {args.fixes:.0e} fixes over 50 ms", large["median_s"] / 0.050)
    trend.record("forecast_rate", f"memory of a forecast from {args.fixes:.0e} fixes over 500 MB", large["rss_mb"] / 500.0)
    trend.record("forecast_rate", f"a forecast from {args.fixes:.0e} fixes over one from {args.small:.0e}",
                 large["median_s"] / small["median_s"])
    trend.record("forecast_rate", f"building {args.fixes:.0e} fixes over sorting them", built / sorting)
    return 0


if __name__ == "__main__":
    sys.exit(main())
