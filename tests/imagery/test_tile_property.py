"""No flag, score, mask or outline depends on the tile or on how many work: random scenes, random tiles (Hypothesis)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagery import windows
from imagery.scan import scan
from imagery.scene import SceneError

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def nasty(path: Path, seed: int, shape: tuple[int, int], kind: str) -> None:
    """Sea with everything that crosses windows: ships, lines, a coast, rings, chains of dots, holes, clipped pixels."""
    rng = np.random.default_rng(seed)
    high, wide = shape
    a = np.sqrt(rng.gamma(4.0, 0.25, shape)).astype("float32")
    for _ in range(high * wide // 12_000 + 1):
        r, c = int(rng.integers(0, high)), int(rng.integers(0, wide))
        h, w = (int(rng.integers(3, 12)), int(rng.integers(8, 160))) if rng.random() < 0.5 else (int(rng.integers(8, 160)), 6)
        a[r : r + h, c : c + w] = rng.uniform(3.0, 8.0)
    for _ in range(3):
        # chains of dots with gaps that the closing just joins, or just does not
        r, c, step = int(rng.integers(0, high)), int(rng.integers(0, wide)), int(rng.integers(3, 8))
        at = np.arange(40) * step
        rows, cols = (r + at // 2) % high, (c + at) % wide
        a[rows, cols] = 7.0
    yy, xx = np.mgrid[:high, :wide]
    ring = abs(np.hypot(yy - rng.integers(0, high), xx - rng.integers(0, wide)) - rng.integers(20, 150)) < 2
    a[ring] = 6.0
    if rng.random() < 0.5:
        a[(xx + 0.3 * yy + 20 * np.sin(yy / 15.0)) > 0.8 * (wide + 0.3 * high)] *= 4.0
    if rng.random() < 0.6:
        r, c = int(rng.integers(0, high)), int(rng.integers(0, wide))
        a[r : r + int(rng.integers(1, high)), c : c + int(rng.integers(1, 90))] = np.nan
    if rng.random() < 0.3:
        a[rng.random(shape) < 0.02] = np.nan
    how = {"driver": "GTiff", "width": wide, "height": high, "count": 1, "dtype": "float32"}
    if kind == "uint8":
        a, how["dtype"] = np.clip(np.nan_to_num(a, nan=0.0) * 40.0, 0, 255).astype("uint8"), "uint8"
        how["nodata"] = 0
    if rng.random() < 0.5:
        how |= {"tiled": True, "blockxsize": 64, "blockysize": 128}
    if rng.random() < 0.5:
        how |= {"crs": "EPSG:32631", "transform": Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)}
    with rasterio.open(path, "w", **how) as f:
        f.write(a, 1)


def everything(path: Path, folder: Path, detector: str, pfa: float, tile: int, threads: int) -> tuple:
    result = scan(path, detector=detector, pfa=pfa, tile=tile, threads=threads, mask=folder / "m.tif", scores=folder / "s.tif")
    with rasterio.open(folder / "m.tif") as m, rasterio.open(folder / "s.tif") as s:
        return (result.flags, result.model, result.over_px, result.judged_px, result.outline, m.read(1).tobytes(),
                s.read(1).tobytes())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(seed=st.integers(0, 10**6), high=st.integers(40, 520), wide=st.integers(40, 620), tile=st.integers(64, 400),
       threads=st.integers(1, 4), kind=st.sampled_from(["float32", "uint8"]), detector=st.sampled_from(["cfar", "cfar", "rx"]),
       pfa=st.sampled_from([1e-3, 1e-4, 1e-6]), windowed=st.booleans())
@example(seed=1, high=64, wide=640, tile=64, threads=3, kind="uint8", detector="cfar", pfa=1e-3, windowed=True)
@example(seed=2, high=513, wide=449, tile=65, threads=2, kind="float32", detector="rx", pfa=1e-3, windowed=False)
def test_random_scenes_in_random_tiles(seed, high, wide, tile, threads, kind, detector, pfa, windowed):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        nasty(folder / "a.tif", seed, (high, wide), kind)
        if windowed:
            # as for a large scene: fitted on some windows and not on the whole
            patch.setattr(windows, "SAMPLE_PX", 90_000)
            patch.setattr(windows, "SAMPLE_SIDE", 192)
        try:
            want = everything(folder / "a.tif", folder, detector, pfa, 65_536, 1)
        except SceneError as error:
            with pytest.raises(SceneError) as other:
                scan(folder / "a.tif", detector=detector, pfa=pfa, tile=tile, threads=threads)
            assert str(other.value) == str(error)
            return
        assert everything(folder / "a.tif", folder, detector, pfa, tile, threads) == want
