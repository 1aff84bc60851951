"""Whole scans: no flag depends on the tile or the threads, memory is bounded, files come whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from birddog.errors import UsageError
from imagery import windows
from imagery.geojson import collection
from imagery.scan import scan
from imagery.scene import SceneError
from opsroom import cli

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
REPO = Path(__file__).resolve().parents[2]
PLACE = {"crs": "EPSG:32631", "transform": Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)}


def sea(seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.sqrt(np.random.default_rng(seed).gamma(4.0, 0.25, shape)).astype("float32")


def ship(a: np.ndarray, x: float, y: float, length: float, width: float, angle_deg: float, seed: int = 0
         ) -> tuple[int, int, int, int]:
    """Draws a bright turned rectangle; returns its box (c0, r0, c1, r1)."""
    t = math.radians(angle_deg)
    yy, xx = np.mgrid[: a.shape[0], : a.shape[1]]
    u, v = (xx - x) * math.cos(t) + (yy - y) * math.sin(t), -(xx - x) * math.sin(t) + (yy - y) * math.cos(t)
    m = (abs(u) <= length / 2) & (abs(v) <= width / 2)
    a[m] = np.sqrt(20.0 * (0.5 + np.random.default_rng(seed).gamma(8.0, 1 / 16, int(m.sum()))))
    return int(xx[m].min()), int(yy[m].min()), int(xx[m].max()) + 1, int(yy[m].max()) + 1


def write(path: Path, a: np.ndarray, **how) -> Path:
    planes = a[None] if a.ndim == 2 else a
    how = {"driver": "GTiff", "width": planes.shape[2], "height": planes.shape[1], "count": planes.shape[0],
           "dtype": planes.dtype.name} | how
    with rasterio.open(path, "w", **how) as f:
        f.write(planes)
    return path


@pytest.fixture(scope="module")
def harbour(tmp_path_factory) -> tuple[Path, list[tuple[int, int, int, int]]]:
    """930 x 1210 px, not divisible by any tile: ships over edges, on a corner of four tiles, longer than a halo, at the rim."""
    a = sea(1, (930, 1210))
    ships = [ship(a, x, y, length, width, angle, k) for k, (x, y, length, width, angle) in enumerate([
        (512, 256, 30, 7, 30), (512, 512, 110, 12, 45), (128, 700, 24, 6, 90), (900, 128, 24, 6, 0), (640, 800, 16, 5, 120),
        (1024, 640, 115, 10, 0), (300, 300, 20, 6, 60), (1100, 850, 30, 8, 10), (60, 60, 14, 5, 0)])]
    a[0:6, 700:725] = 5.0
    a[400:430, 0:200] = np.nan
    a[500:540, 1000:1100] = -99.0
    path = tmp_path_factory.mktemp("scan") / "harbour.tif"
    write(path, a, tiled=True, blockxsize=256, blockysize=256, compress="deflate", nodata=-99.0, **PLACE)
    return path, ships


def test_every_ship_once(harbour):
    path, ships = harbour
    result = scan(path, pfa=1e-6)
    for c0, r0, c1, r1 in ships:
        x, y, reach = (c0 + c1) / 2, (r0 + r1) / 2, max(8.0, max(c1 - c0, r1 - r0) / 2)
        near = [f for f in result.flags if math.dist((f.col, f.row), (x, y)) < reach]
        assert len(near) == 1, (x, y, near)
        assert near[0].length_px == pytest.approx(math.hypot(c1 - c0, r1 - r0), rel=0.5)
    rim = [f for f in result.flags if f.bbox_px[1] == 0]
    assert len(rim) == 1 and rim[0].truncated
    assert len(result.flags) <= len(ships) + 1 + 2
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("tile", [64, 128, 200, 256, 512, 1024, 4096])
@pytest.mark.parametrize("threads", [1, 2])
def test_no_flag_depends_on_the_tile_or_the_threads(harbour, tile, threads):
    path, _ = harbour
    want = scan(path, pfa=1e-4, tile=4096, threads=1)
    got = scan(path, pfa=1e-4, tile=tile, threads=threads)
    assert got.flags == want.flags and len(want.flags) >= 10
    assert (got.over_px, got.judged_px, got.outline) == (want.over_px, want.judged_px, want.outline)


def test_the_fit_on_windows_does_not_depend_on_the_tile_either(harbour, monkeypatch):
    path, _ = harbour
    monkeypatch.setattr(windows, "SAMPLE_PX", 300_000)
    monkeypatch.setattr(windows, "SAMPLE_SIDE", 256)
    a, b = scan(path, pfa=1e-4, tile=128), scan(path, pfa=1e-4, tile=4096)
    assert a.model == b.model and a.flags == b.flags
    monkeypatch.undo()
    whole = scan(path, pfa=1e-4)
    assert whole.model != a.model and abs(len(whole.flags) - len(a.flags)) <= 6


def test_what_is_longer_than_any_ship_is_none(tmp_path):
    a = sea(3, (800, 1500))
    a[300:340, 100:1300] = 6.0
    ship(a, 700, 100, 40, 8, 0)
    path = write(tmp_path / "a.tif", a)
    for tile in (64, 512, 4096):
        result = scan(path, pfa=1e-6, tile=tile)
        assert len(result.flags) == 1 and result.flags[0].row < 200


def test_the_mask_and_the_scores(harbour, tmp_path):
    path, ships = harbour
    for tile in (128, 320, 4096):
        scan(path, pfa=1e-4, tile=tile, mask=tmp_path / f"m{tile}.tif", scores=tmp_path / f"s{tile}.tif")
    with rasterio.open(tmp_path / "m128.tif") as m, rasterio.open(tmp_path / "s128.tif") as s, rasterio.open(path) as f:
        assert m.crs == f.crs == s.crs and m.transform == f.transform == s.transform
        assert m.dtypes == ("uint8",) and m.nodata == 255 and s.dtypes == ("float32",)
        mask, scores, a = m.read(1), s.read(1), f.read(1)
    for tile in (320, 4096):
        with rasterio.open(tmp_path / f"m{tile}.tif") as m, rasterio.open(tmp_path / f"s{tile}.tif") as s:
            assert (m.read(1) == mask).all() and np.array_equal(s.read(1), scores, equal_nan=True)
    bad = ~np.isfinite(a) | (a == -99.0)
    assert set(np.unique(mask)) == {0, 1, 255} and ((mask == 255) == bad).all() and (np.isnan(scores) == bad).all()
    assert (scores[mask == 1] > scores[mask == 0].max()).all(), "the raw exceedances, before closing and sizes"
    assert 0.5e-4 < (mask == 1)[:, 250:].mean() < 1e-2
    assert not list(tmp_path.glob(".*")), "nothing half-made stays"


def test_a_file_that_breaks_midway_leaves_no_output(tmp_path):
    path = write(tmp_path / "a.tif", sea(4, (600, 600)), compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[:-300_000])
    with pytest.raises(SceneError):
        scan(path, mask=tmp_path / "m.tif", scores=tmp_path / "s.tif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif"]


def test_a_full_or_missing_folder_is_one_line(harbour, tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        scan(harbour[0], mask=tmp_path / "none" / "m.tif")


@pytest.mark.parametrize("wrong", [{"pfa": 0.5}, {"pfa": 0.0}, {"pfa": math.nan}, {"tile": 8}, {"detector": "yolo"},
                                   {"detector": "ir-mad"}, {"before": "x.tif"}])
def test_wrong_parameters(harbour, wrong):
    with pytest.raises(UsageError):
        scan(harbour[0], **wrong)


def test_an_all_black_and_an_all_invalid_scene(tmp_path):
    with pytest.raises(SceneError, match="cannot be judged"):
        scan(write(tmp_path / "a.tif", np.zeros((300, 300), "uint8"), nodata=0))
    with pytest.raises(SceneError, match="cannot be judged"):
        scan(write(tmp_path / "b.tif", np.full((300, 300), np.nan, "float32")))
    with pytest.raises(SceneError, match="cannot be judged"):
        scan(write(tmp_path / "c.tif", np.zeros((5, 5), "float32")))


# --- as GeoJSON -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gain, offset", [(1e-20, 0.0), (1e20, 0.0), (0.1, 300.0), (50.0, 20_000.0), (1.0, -1e5)])
def test_values_of_any_size_give_the_same_flags(tmp_path, gain, offset):
    a = sea(8, (300, 320))
    ship(a, 150, 150, 30, 10, 0)
    want = scan(write(tmp_path / "a.tif", a)).flags
    got = scan(write(tmp_path / "b.tif", (a.astype("float64") * gain + offset).astype("float32"))).flags
    assert [f.bbox_px for f in got if f.pixels > 200] == [f.bbox_px for f in want if f.pixels > 200] != []
    assert got[0].score == pytest.approx(want[0].score, rel=0.05)


def test_single_pixels_of_enormous_values_disturb_nothing(tmp_path):
    a = sea(9, (300, 320))
    ship(a, 150, 150, 30, 10, 0)
    a[20, 20], a[200, 200] = 3e38, -3e38
    result = scan(write(tmp_path / "a.tif", a), scores=tmp_path / "s.tif")
    assert any(abs(f.col - 150) < 3 and f.pixels > 200 for f in result.flags)
    json.dumps(collection([result]), allow_nan=False)


def test_geojson_has_its_form(harbour):
    path, ships = harbour
    result = scan(path, pfa=1e-6)
    out = json.loads(json.dumps(collection([result]), allow_nan=False))
    assert out["type"] == "FeatureCollection" and len(out["features"]) == len(result.flags)
    assert len({f["id"] for f in out["features"]}) == len(result.flags)
    from rasterio.warp import transform

    for feature in out["features"]:
        p = feature["properties"]
        assert feature["type"] == "Feature" and feature["geometry"]["type"] == "Point"
        (lon,), (lat,) = transform("EPSG:32631", "EPSG:4326", [480000.0 + 5.0 * p["col"]], [6050000.0 - 5.0 * p["row"]])
        assert feature["geometry"]["coordinates"] == pytest.approx([lon, lat], abs=1e-6)
        assert p["length_m"] == pytest.approx(5.0 * p["length_px"], rel=0.01)
        assert p["sha256"] == result.sha256 and p["detector"] == "cfar" and p["pfa"] == 1e-6
        assert isinstance(p["truncated"], bool) and len(p["bbox_px"]) == 4
    east = next(f for f in out["features"] if abs(f["properties"]["col"] - 900) < 9)["properties"]
    assert min(abs(east["heading_deg"] - 90), 5) < 5
    assert out["scenes"][0]["model"]["tail"]["samples"] > 0


def test_no_georeference_no_geometry(tmp_path):
    a = sea(5, (300, 300))
    ship(a, 150, 150, 30, 10, 0)
    result = scan(write(tmp_path / "a.tif", a))
    out = collection([result])
    assert out["features"] and all(f["geometry"] is None and f["properties"]["length_m"] is None for f in out["features"])


def test_picture_formats_give_what_a_tiff_of_the_same_pixels_gives(tmp_path):
    a = sea(6, (300, 310))
    ship(a, 150, 150, 30, 10, 0)
    grey = np.clip(a * 40.0, 0, 255).astype("uint8")
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "b.png")
    tif = scan(write(tmp_path / "a.tif", grey)).flags
    for name in ("a.png", "b.png"):
        flags = scan(tmp_path / name).flags
        assert [(f.bbox_px, f.score) for f in flags] == [(f.bbox_px, f.score) for f in tif] and tif


# --- the command ----------------------------------------------------------------------------------


def run(capsys, *args: str) -> tuple[int, str, str]:
    status = cli.main(["scan", *map(str, args)])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_the_command_goes_on_past_a_bad_scene(harbour, tmp_path, capsys):
    (tmp_path / "bad.tif").write_bytes(b"II*\0 and then nothing")
    status, out, err = run(capsys, harbour[0], tmp_path / "bad.tif", "--pfa", "1e-6")
    assert status == 1 and len(err.splitlines()) == 1 and "bad.tif" in err
    assert len(json.loads(out)["features"]) >= 9
    status, out, err = run(capsys, tmp_path / "bad.tif")
    assert status == 2 and out == "" and len(err.splitlines()) == 1
    status, out, err = run(capsys, harbour[0], "--pfa", "7")
    assert status == 2 and out == "" and "--pfa" in err


def test_thumbnails_are_pictures(harbour, tmp_path, capsys):
    import base64
    import io

    status, out, _ = run(capsys, harbour[0], "--pfa", "1e-6", "--thumbnails", "--out", tmp_path / "o.geojson")
    assert status == 0 and out == ""
    features = json.loads((tmp_path / "o.geojson").read_text())["features"]
    for feature in features:
        with Image.open(io.BytesIO(base64.b64decode(feature["properties"]["thumbnail"].partition(",")[2]))) as picture:
            assert picture.format == "PNG" and max(picture.size) <= 128


def test_the_program_says_nothing_but_the_answer(harbour):
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "scan", str(harbour[0])], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(REPO)}, timeout=120, check=False)
    assert done.returncode == 0 and done.stderr == "" and json.loads(done.stdout)["features"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scene(tmp_path):
    """Peak resident memory of a scan of 9 and of 36 Mpx, each in a process of its own, in windows of 512²."""
    block = sea(7, (1024, 1024))
    peaks = {}
    for n in (3, 6):
        path = tmp_path / f"{n}.tif"
        with rasterio.open(path, "w", driver="GTiff", width=n * 1024, height=n * 1024, count=1, dtype="float32", tiled=True,
                           blockxsize=256, blockysize=256, **PLACE) as f:
            for r in range(n):
                for c in range(n):
                    f.write(block, 1, window=rasterio.windows.Window(c * 1024, r * 1024, 1024, 1024))
        program = ("import sys; from imagery.scan import scan; scan(sys.argv[1], tile=512, threads=2);"
                   "print(next(int(x.split()[1]) for x in open('/proc/self/status') if x.startswith('VmHWM')))")
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(REPO)}, timeout=120, check=True)
        peaks[n] = int(done.stdout) / 1024
    assert peaks[6] < peaks[3] + 60.0, f"four times the scene: {peaks} MiB (the scenes are 36 and 144 MiB)"


@pytest.mark.slow
def test_a_large_scene_in_the_largest_windows_stays_under_one_gigabyte_and_few_threads(tmp_path):
    """67 Mpx (268 MB of pixels) with the tile, the threads and the outputs that cost most; measured from outside."""
    block = sea(8, (1024, 1024))
    block[500:508, 500:524] = 6.0
    path = tmp_path / "big.tif"
    with rasterio.open(path, "w", driver="GTiff", width=8192, height=8192, count=1, dtype="float32", tiled=True,
                       blockxsize=512, blockysize=512, **PLACE) as f:
        for r in range(8):
            for c in range(8):
                f.write(block, 1, window=rasterio.windows.Window(c * 1024, r * 1024, 1024, 1024))
    program = ("import sys, threading; from imagery.scan import scan; import imagery.scan as s; most = []; real = s._scan_run\n"
               "def run(*a): most.append(threading.active_count()); return real(*a)\n"
               "s._scan_run = run\n"
               "r = scan(sys.argv[1], tile=65536, threads=2, mask=sys.argv[1] + '.m', scores=sys.argv[1] + '.s')\n"
               "peak = next(int(x.split()[1]) for x in open('/proc/self/status') if x.startswith('VmHWM'))\n"
               "print(len(r.flags), peak, max(most))")
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(REPO)}, timeout=240, check=True)
    flags, peak_kb, most = (int(v) for v in done.stdout.split())
    assert flags >= 64 and peak_kb < 1_000_000
    assert most <= 1 + 2, "the main thread and two that work"
