"""CPU rate of the CFAR and of a whole scan as a share of reading the same file by blocks (zstd, float32, predictor 3).

    python benchmarks/imagery_rates.py [--side 6144] [--rounds 3]

In each round, in turn and in one process: rasterio reads every block of a made 4-look scene once; the CFAR kernel runs
over the windows already read; `imagery.scan.scan` does all of it (hash, fit, read with halo, detect, objects), with
one thread and with two.  CPU seconds (process_time), median of the rounds; ratios above 1 are faster than reading.
Prints the ratios and appends them to trend.csv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window
from trend import record

from imagery.detector import Sample
from imagery.detectors import cfar
from imagery.scan import scan


def make(path: Path, side: int) -> None:
    """A square scene of speckle with a bright object in every fourth block."""
    rng = np.random.default_rng(13)
    block = np.sqrt(rng.standard_gamma(4.0, (2048, 2048), dtype="float32") / 4.0)
    how = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "float32", "tiled": True, "blockxsize": 512,
           "blockysize": 512, "compress": "zstd", "zstd_level": 3, "predictor": 3, "crs": "EPSG:32631",
           "transform": Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)}
    with rasterio.open(path, "w", **how) as f:
        for r in range(0, side, 512):
            for c in range(0, side, 512):
                k, j = (int(v) for v in rng.integers(0, 1536, 2))
                tile = block[k : k + 512, j : j + 512].copy()
                if (r // 512 + c // 512) % 4 == 0:
                    tile[240:248, 240:264] = 5.0
                high, wide = min(512, side - r), min(512, side - c)
                f.write(tile[:high, :wide], 1, window=Window(c, r, wide, high))


def read(path: Path) -> float:
    """CPU seconds to read every block once."""
    began = time.process_time()
    with rasterio.Env(GDAL_CACHEMAX=64_000_000), rasterio.open(path) as f:
        for _, window in f.block_windows(1):
            f.read(1, window=window)
    return time.process_time() - began


def kernel(path: Path, side: int) -> float:
    """CPU seconds of the CFAR kernel alone on one window, scaled to the whole scene."""
    size = min(side, 2048)
    with rasterio.open(path) as f:
        x = f.read(1, window=Window(0, 0, size, size))
    model = cfar.fit([Sample(x, None, (slice(None), slice(None)))], 1e-6, 0.0)
    began = time.process_time()
    cfar.respond(x, None, model)
    return (time.process_time() - began) * (side / size) ** 2


def whole(path: Path, threads: int) -> float:
    """CPU seconds of a scan."""
    began = time.process_time()
    scan(path, pfa=1e-6, threads=threads)
    return time.process_time() - began


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=6144, help="px a side of the made scene")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        make(path, args.side)
        read(path), whole(path, 1)
        rounds = [(read(path), kernel(path, args.side), whole(path, 1), whole(path, 2)) for _ in range(args.rounds)]
    base, alone, one, two = (statistics.median(r[i] for r in rounds) for i in range(4))
    mpx = args.side**2 / 1e6
    print(f"{mpx:.0f} Mpx; read by blocks {mpx / base:.0f} Mpx/s of CPU")
    for figure, seconds in (("cfar kernel over block read", alone), ("scan, 1 thread, over block read", one),
                            ("scan, 2 threads, over block read", two)):
        print(f"{figure}: {base / seconds:.2f} ({mpx / seconds:.0f} Mpx/s)")
        record("imagery_rates", figure, base / seconds)


if __name__ == "__main__":
    main()
