"""One forecast from a large archive: time and memory, over the same from a small one.

    python benchmarks/forecast_rate.py [--fixes N] [--small N] [--folder DIR]

Ships on the lanes of a busy strait (330 km by 40 km, a fix each 10 min, 60 a passage) are made a day of a year at a time, as
daily files would give them, and become an archive as ``birddog archive build`` makes it, in a process of its own; another one
opens it and forecasts as ``birddog forecast`` does (15, 60 and 240 min in turn, the map let go of every 16 questions).
Recorded: CPU of a forecast over the promise of 50 ms, most that the process held over the promise of 500 MB, both from the
large archive; its forecast over the small one's; CPU of building over that of sorting the same rows (numpy lexsort by track and
time).  Printed beside them: the same in elapsed time, a first forecast with nothing of the archive in the system's cache, and
what building held at most.  An archive of 10^8 fixes is 5 GB on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import trend

from opsroom import archive_store
from opsroom.archive_sources import Gathered, build
from tracking.forecast.calibration import Calibration

A_PASSAGE, EVERY_S, DAYS = 60, 600.0, 365
#: Questions until the map is let go of, as ``opsroom.commands.forecast`` does.
QUESTIONS, AT_ONCE = 48, 16
ASKED = """
import json, sys, time
import numpy as np
from opsroom import archive_store
from tracking.forecast.where import Forecaster, Track
def held_mb(what):
    words = open("/proc/self/status").read().split()
    return int(words[words.index(what) + 1]) / 1024
begun = time.perf_counter()
c = archive_store.load(sys.argv[1])
f = Forecaster(c.past, calibration=c)
opened = time.perf_counter() - begun
rng, cpu, wall, used = np.random.default_rng(7), [], [], 0
for k in range(int(sys.argv[2])):
    row = int(rng.integers(len(c.past) - 60)) // 60 * 60 + 10
    t = np.array(c.past.t_s[row - 10:row + 1]) - c.past.t_s[row] + c.past.last_s + 86_400.0 * 2
    track = Track("asked", t, c.past.lat[row - 10:row + 1] * 1e-7 + 1e-3, c.past.lon[row - 10:row + 1] * 1e-7)
    a, b = time.process_time(), time.perf_counter()
    got = f.forecast(track, float(t[-1]), (900.0, 3600.0, 14_400.0)[k % 3])
    cpu.append(time.process_time() - a)
    wall.append(time.perf_counter() - b)
    used += got.neighbours > 1.0
    if (k + 1) % int(sys.argv[3]) == 0:
        c.past.release()
print(json.dumps({"opened_s": opened, "first_s": wall[0], "cpu_s": sorted(cpu)[len(cpu) // 2],
                  "wall_s": sorted(wall)[len(wall) // 2], "worst_s": max(wall[1:] or wall), "peak_mb": held_mb("VmHWM:"),
                  "used": used / len(cpu)}))
"""


def day(fixes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(passage, ns, latitude, longitude) of the passages that begin on one day, by time, as a daily file has them."""
    passages = fixes // A_PASSAGE
    rng = np.random.default_rng(seed)
    step = np.arange(A_PASSAGE)
    speed, east = rng.uniform(5.0, 9.0, passages), rng.random(passages) < 0.5
    lane = (rng.normal(0.0, 2000.0, passages) + np.where(east, 3000.0, -3000.0)) / 111_195.0
    gone = speed[:, None] * EVERY_S * step / 96_000.0
    lon = 10.0 + np.where(east[:, None], gone, 3.44 - gone)
    t = (seed + rng.random(passages)[:, None]) * 86_400.0 + EVERY_S * step
    who = np.repeat(np.arange(passages, dtype=np.int32), A_PASSAGE)
    order = np.argsort(t, axis=None, kind="stable")
    ns = np.round(t.ravel()[order]).astype(np.int64) * 1_000_000_000
    return who[order], ns, np.repeat(30.0 + lane, A_PASSAGE)[order], lon.ravel()[order]


def made(fixes: int) -> Gathered:
    """A year of so many fixes."""
    out = Gathered()
    for k in range(DAYS):
        number, ns, lat, lon = day(fixes // DAYS, k)
        first = len(out.names)
        out.names.update({f"{first + v:09d}": first + v for v in range(int(number.max()) + 1)})
        out.take(number + np.int32(first), ns, lat, lon)
    return out


def built(fixes: int, path: str) -> dict[str, float]:
    """Build an archive; seconds of CPU, and the most that this process held (MB)."""
    gathered = made(fixes)
    columns = [np.concatenate([part[k] for part in gathered.parts]) for k in (1, 0)]
    begun = time.process_time()
    np.lexsort(columns)
    sorting = time.process_time() - begun
    del columns
    begun = time.process_time()
    calibration = Calibration(build(gathered))
    building = time.process_time() - begun
    begun = time.process_time()
    for minutes in (15, 60, 240):
        for moving in (True, False):
            for t0_s in (calibration.past.last_s, calibration.past.last_s + 86_400.0):
                calibration.widths(minutes * 60.0, moving, 5.0, t0_s, 0.9)
    calibrating = time.process_time() - begun
    begun = time.process_time()
    archive_store.save(calibration, path, {})
    words = Path("/proc/self/status").read_text(encoding="ascii").split()
    return {"sort_s": sorting, "build_s": building, "calibrate_s": calibrating, "save_s": time.process_time() - begun,
            "peak_mb": int(words[words.index("VmHWM:") + 1]) / 1024}  # fmt: skip


def asked(path: str, questions: int) -> dict[str, float]:
    """What a new process needs for some forecasts."""
    words = [sys.executable, "-c", ASKED, path, str(questions), str(AT_ONCE)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def forget(path: str) -> None:
    """Have the system's cache let go of an archive."""
    for one in Path(path).iterdir():
        with open(one, "rb") as source:
            os.fsync(source.fileno())
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> int:
    """Build, ask, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixes", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--folder", help="where the archives are written (default: a temporary folder)")
    parser.add_argument("--build", metavar="PATH", help=argparse.SUPPRESS)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    if args.build:
        print(json.dumps(built(args.fixes, args.build)))
        return 0
    said, sizes = {}, {"small": args.small, "large": args.fixes}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for name, n in sizes.items():
            path = f"{folder}/{name}"
            words = [sys.executable, __file__, "--build", path, "--fixes", str(n)]
            b = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            print(f"{n:>11} fixes: built in {b['build_s']:.1f} s CPU ({b['build_s'] / max(b['sort_s'], 1e-9):.1f} × a sort), "
                  f"calibrated in {b['calibrate_s']:.1f}, written in {b['save_s']:.1f}; {b['peak_mb']:.0f} MB held at most",
                  flush=True)  # fmt: skip
            forget(path)
            cold, got = asked(path, 1), asked(path, QUESTIONS)
            said[name] = got | b | {"held_mb": got["peak_mb"]}
            print(f"            a forecast {got['cpu_s'] * 1e3:.1f} ms of CPU, {got['wall_s'] * 1e3:.1f} elapsed (first "
                  f"{got['first_s'] * 1e3:.0f}, worst after it {got['worst_s'] * 1e3:.0f}; nothing in the cache: "
                  f"{cold['first_s'] * 1e3:.0f}, opened in {cold['opened_s'] * 1e3:.0f}); {got['peak_mb']:.0f} MB held; "
                  f"on used ways {got['used']:.2f}", flush=True)  # fmt: skip
    large, small = said["large"], said["small"]
    for what, ratio in (
        (f"a forecast from {args.fixes:.0e} fixes over 50 ms", large["cpu_s"] / 0.050),
        (f"memory of a forecast from {args.fixes:.0e} fixes over 500 MB", large["held_mb"] / 500.0),
        (f"a forecast from {args.fixes:.0e} fixes over one from {args.small:.0e}", large["cpu_s"] / small["cpu_s"]),
        (f"building {args.fixes:.0e} fixes over sorting them", large["build_s"] / large["sort_s"]),
    ):
        print(f"{ratio:8.2f}  {what}")
        if not args.no_record:
            trend.record("forecast_rate", what, ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
