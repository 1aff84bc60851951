"""Scenes as they come: odd types, pixels that are not square, the date line, the poles; and what must not happen to them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.warp import transform

from birddog.areas import ring_contains
from birddog.errors import UsageError
from birddog.geo import LocalFrame
from imagery import scan as scans
from imagery import tail
from imagery.look import footprint
from imagery.scan import Unfit, scan
from imagery.scene import Placing, SceneError, open_scene, read_array, sha256_of
from imagery.watch import Settings, Watch
from opsroom import cli

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def sea(seed: int, shape: tuple[int, int] = (300, 300)) -> np.ndarray:
    return np.sqrt(np.random.default_rng(seed).gamma(4.0, 0.25, shape)).astype("float32")


def write(path: Path, a: np.ndarray, **how) -> Path:
    planes = a[None] if a.ndim == 2 else a
    how = {"driver": "GTiff", "width": planes.shape[2], "height": planes.shape[1], "count": planes.shape[0],
           "dtype": planes.dtype.name} | how
    with rasterio.open(path, "w", **how) as f:
        f.write(planes)
    return path


# --- types and values -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
                                   "float64"])
def test_every_number_type_gives_the_same_ship(tmp_path, dtype):
    a = sea(1)
    a[146:154, 138:162] = 6.0
    path = write(tmp_path / "a.tif", (a * 20.0).astype(dtype))
    (flag,) = scan(path, pfa=1e-6).flags
    assert np.abs(np.subtract(flag.bbox_px, (138, 146, 162, 154))).max() <= 4


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64", "complex128"])
def test_complex_pixels_count_by_their_magnitude(tmp_path, dtype):
    """complex_int16 is what Sentinel-1 single-look scenes hold; numpy has no such type."""
    a = sea(2)
    a[146:154, 138:162] = 6.0
    turned = (a * 100.0 * np.exp(1j * np.random.default_rng(3).uniform(0.0, 6.28, a.shape))).astype("complex64")
    path = write(tmp_path / "a.tif", turned, dtype=dtype)
    (flag,) = scan(path, pfa=1e-6).flags
    assert np.abs(np.subtract(flag.bbox_px, (138, 146, 162, 154))).max() <= 4


def test_a_ship_on_a_black_sea_and_two_grey_levels(tmp_path):
    a = np.zeros((300, 300), "uint8")
    a[100:110, 100:130] = 200
    (flag,) = scan(write(tmp_path / "a.tif", a)).flags
    assert flag.bbox_px == (100, 100, 130, 110)
    with pytest.raises(Unfit, match="the same value"):  # nothing was judged: that is said, not 0 flags
        scan(write(tmp_path / "flat.tif", np.full((300, 300), 7, "uint8")))
    bits = (sea(4) > 1.9).astype("uint8")
    bits[146:154, 138:162] = 1
    result = scan(write(tmp_path / "bits.tif", bits, nbits=1))
    (flag,) = [f for f in result.flags if f.pixels > 150]
    assert np.abs(np.subtract(flag.bbox_px, (138, 146, 162, 154))).max() <= 4


@pytest.mark.parametrize("scores", [np.zeros(5000), np.repeat([0.0, 3.0], [4990, 10]),
                                    np.repeat([0.0, 1.0, 9.0], [4000, 990, 10]), np.tile([0.0, 1.0], 2500)])
def test_a_tail_of_few_values_is_finite(scores):
    found = tail.fit(scores.astype(np.float32), 1e-5, 1.0)
    levels = [found.threshold(p) for p in (1e-3, 1e-6, 1e-12)]
    assert all(math.isfinite(v) and abs(v) < 1e3 for v in levels) and levels == sorted(levels)


# --- pixels that are not square, and where they lie -------------------------------------------------


def placed(path: Path, lat_deg: float, lon_deg: float, length_m: float, width_m: float, heading_deg: float,
           pixel_deg: float = 5e-5, side: int = 500) -> Path:
    """A scene in degrees with one rectangle of true metres."""
    a = sea(5, (side, side))
    west, north = lon_deg - pixel_deg * side / 2, lat_deg + pixel_deg * side / 2
    lon, lat = np.meshgrid(west + pixel_deg * (np.arange(side) + 0.5), north - pixel_deg * (np.arange(side) + 0.5))
    e, n = LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg).en_array(lat, lon)
    t = math.radians(heading_deg)
    along, across = e * math.sin(t) + n * math.cos(t), e * math.cos(t) - n * math.sin(t)
    a[(abs(along) <= length_m / 2) & (abs(across) <= width_m / 2)] = 6.0
    return write(path, a, crs="EPSG:4326", transform=Affine(pixel_deg, 0.0, west, 0.0, -pixel_deg, north))


@pytest.mark.parametrize("lat_deg", [0.0, -54.0, 80.0, 85.0])
@pytest.mark.parametrize("heading_deg", [0.0, 35.0, 90.0, 150.0])
def test_length_and_heading_are_those_on_the_ground_where_pixels_are_degrees(tmp_path, lat_deg, heading_deg):
    (flag,) = scan(placed(tmp_path / "a.tif", lat_deg, 7.0, 160.0, 50.0, heading_deg), pfa=1e-7).flags
    assert flag.length_m == pytest.approx(160.0, abs=9.0) and flag.width_m == pytest.approx(50.0, abs=9.0)
    assert abs((flag.heading_deg - heading_deg + 90.0) % 180.0 - 90.0) < 3.0
    assert flag.lat_deg == pytest.approx(lat_deg, abs=5e-5) and flag.lon_deg == pytest.approx(7.0, abs=5e-5)


def test_a_long_ship_in_a_high_latitude_is_a_ship(tmp_path):
    """300 m east-west are 345 columns of 0.9 m at 81 N: less than 600 m, though not in square pixels."""
    (flag,) = scan(placed(tmp_path / "a.tif", 81.0, 7.0, 300.0, 40.0, 90.0), pfa=1e-7).flags
    assert flag.length_m == pytest.approx(300.0, abs=15.0)


def test_a_scene_on_the_date_line(tmp_path):
    for k, lon in enumerate((180.0, -180.0)):
        (flag,) = scan(placed(tmp_path / f"{k}.tif", 10.0, lon, 160.0, 50.0, 90.0), pfa=1e-7).flags
        assert abs(abs(flag.lon_deg) - 180.0) < 5e-5 and -180.0 <= flag.lon_deg <= 180.0
        assert flag.length_m == pytest.approx(160.0, abs=9.0)


def test_north_down_and_turned_scenes_have_true_headings(tmp_path):
    a = sea(6)
    a[146:154, 130:170] = 6.0
    for name, affine in (("up", Affine(5.0, 0.0, 500_000.0, 0.0, 5.0, 6_050_000.0)),
                         ("turned", Affine(4.0, 3.0, 500_000.0, 3.0, -4.0, 6_050_000.0))):
        (flag,) = scan(write(tmp_path / f"{name}.tif", a, crs="EPSG:32631", transform=affine), pfa=1e-7).flags
        want = math.degrees(math.atan2(affine.a, affine.d)) % 180.0
        assert abs((flag.heading_deg - want + 90.0) % 180.0 - 90.0) < 1.5
        assert flag.length_m == pytest.approx(200.0, abs=6.0) and flag.width_m == pytest.approx(40.0, abs=4.0)


# --- what must not happen ---------------------------------------------------------------------------


def test_a_scene_is_never_written_over(tmp_path, capsys):
    path = write(tmp_path / "a.tif", sea(7))
    other = write(tmp_path / "b.tif", sea(8))
    (tmp_path / "link.tif").symlink_to(path)
    os.link(path, tmp_path / "hard.tif")
    before = path.read_bytes()
    for name in ("a.tif", "link.tif", "hard.tif"):
        for how in ("mask", "scores"):
            with pytest.raises(UsageError, match="written over"):
                scan(path, **{how: tmp_path / name})
        assert cli.main(["scan", str(other), str(path), "--out", str(tmp_path / name)]) == 2
        assert "written over" in capsys.readouterr().err
    with pytest.raises(UsageError, match="written over"):
        scan(path, mask=tmp_path / "m.tif", scores=tmp_path / "m.tif")
    assert path.read_bytes() == before and not (tmp_path / "m.tif").exists()


def test_the_same_scene_twice_is_told_once(tmp_path, capsys):
    a = sea(9)
    a[146:154, 138:162] = 6.0
    first = write(tmp_path / "a.tif", a)
    copy = tmp_path / "copy.tif"
    copy.write_bytes(first.read_bytes())
    assert cli.main(["scan", str(first), str(copy), str(first)]) == 0
    said = capsys.readouterr()
    out = json.loads(said.out)
    assert len(out["features"]) == 1 and len(out["scenes"]) == 1
    assert [line.split(": ")[1] for line in said.err.splitlines()] == [str(copy), str(first)] and "a.tif" in said.err


def test_a_damaged_window_is_named(tmp_path):
    path = write(tmp_path / "a.tif", sea(10, (600, 600)), compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[:-300_000])
    with pytest.raises(SceneError, match=r"a\.tif: cannot be read at rows \d+ to \d+, columns \d+ to \d+: ") as caught:
        scan(path)
    assert "\n" not in str(caught.value)


def test_a_fault_of_ours_names_file_and_window(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", sea(11))

    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("imagery.detectors.cfar.respond", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        scan(path)
    assert "a.tif: rows 0 to 300, columns 0 to 300" in caught.value.__notes__[0]


def test_a_scene_that_goes_away_is_one_line(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", sea(12))
    real = scans._run

    def gone(*args):
        path.unlink()
        return real(*args)

    monkeypatch.setattr(scans, "_run", gone)
    with pytest.raises(SceneError, match="a.tif: cannot be read: No such file|gone while it is read"):
        scan(path, threads=1)
    monkeypatch.undo()
    with pytest.raises(SceneError, match="No such file"):
        scan(path)


def test_a_pipe_is_refused_at_once_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(SceneError, match="no plain file"):
        scan(tmp_path / "a.tif")
    with pytest.raises(SceneError, match="no plain file"):
        sha256_of(tmp_path / "a.tif")


# --- placed by ground control points, about poles -----------------------------------------------------


def with_gcps(path: Path, a: np.ndarray, affine: Affine, *, crs: str = "EPSG:32631", across: int = 5, down: int = 4) -> Path:
    """A scene as Sentinel-1 is delivered: no transform, a grid of ground control points."""
    high, wide = a.shape
    points = [GroundControlPoint(row=float(r), col=float(c), x=(affine @ (c, r))[0], y=(affine @ (c, r))[1], z=3.0)
              for r in np.linspace(0, high, down) for c in np.linspace(0, wide, across)]
    return write(path, a, gcps=points, crs=crs)


def test_ground_control_points_place_a_scene_as_its_transform_would(tmp_path):
    a = sea(20, (400, 500))
    a[146:154, 130:170] = 6.0
    affine = Affine(9.0, 2.0, 500_000.0, 2.0, -9.0, 6_050_000.0)
    plain = scan(write(tmp_path / "a.tif", a, crs="EPSG:32631", transform=affine), pfa=1e-7)
    by_points = scan(with_gcps(tmp_path / "b.tif", a, affine), pfa=1e-7, mask=tmp_path / "m.tif")
    assert by_points.scene.placing.affine is None and len(by_points.flags) == len(plain.flags) == 1
    (p,), (q,) = plain.flags, by_points.flags
    assert (q.lat_deg, q.lon_deg) == pytest.approx((p.lat_deg, p.lon_deg), abs=2e-7)
    assert (q.length_m, q.width_m, q.heading_deg) == pytest.approx((p.length_m, p.width_m, p.heading_deg), abs=0.11)
    with rasterio.open(tmp_path / "m.tif") as m:
        assert len(m.gcps[0]) == 20 and m.gcps[1] == rasterio.CRS.from_epsg(32631)
    rings = [footprint(r.scene.placing, r.outline) for r in (plain, by_points)]
    assert np.abs(np.subtract(*rings)).max() < 1e-6
    assert read_array(tmp_path / "b.tif").attrs["crs"] == ""


def test_ground_control_points_follow_a_bent_scene(tmp_path):
    """Bent by 300 m in its middle: the points of the grid are met, and what lies between them to a few metres."""
    bend = [(r, c, 500_000.0 + 10.0 * c + 300.0 * (1.0 - (r / 200.0 - 1.0) ** 2), 6_050_000.0 - 10.0 * r)
            for r in np.linspace(0, 400, 9) for c in np.linspace(0, 500, 11)]
    path = write(tmp_path / "a.tif", sea(21, (400, 500)), crs="EPSG:32631",
                 gcps=[GroundControlPoint(row=r, col=c, x=x, y=y) for r, c, x, y in bend])
    lon, lat = open_scene(path).placing.lonlat([250.0, 225.0], [200.0, 175.0])
    x, y = transform("EPSG:4326", "EPSG:32631", lon.tolist(), lat.tolist())
    assert (x[0], y[0]) == pytest.approx((502_800.0, 6_048_000.0), abs=0.1)
    assert (x[1], y[1]) == pytest.approx((502_250.0 + 300.0 * (1.0 - 0.125**2), 6_048_250.0), abs=3.0)


@pytest.mark.parametrize("points", [[(0, 0, 3.0, 54.0), (0, 300, 3.1, 54.0)], [(0, 0, math.nan, 54.0)] * 4,
                                    [(5, 5, 3.0, 54.0)] * 4, [(0, 0, 3.0, 54.0), (0, 100, 3.0, 54.0), (0, 300, 3.0, 54.0)]])
def test_points_that_place_nothing_are_one_line_in_the_watched_folder_and_no_geometry_in_a_scan(tmp_path, points):
    a = sea(22)
    a[146:154, 130:170] = 6.0
    write(tmp_path / "a.tif", a, crs="EPSG:4326", gcps=[GroundControlPoint(row=r, col=c, x=x, y=y) for r, c, x, y in points])
    assert all(f.lat_deg is None for f in scan(tmp_path / "a.tif", pfa=1e-7).flags)
    watch = Watch(Settings(folder=str(tmp_path)), print)
    watch.step(), watch.step()
    ((_, why),) = watch.refused()
    watch.close()
    assert "\n" not in why and ("ground control points" in why or "georeference" in why)


def test_rational_polynomials_are_named(tmp_path):
    one, zero = [1.0] + [0.0] * 19, [0.0] * 17
    path = write(tmp_path / "a.tif", sea(23))
    with rasterio.open(path, "r+") as f:
        f.rpcs = RPC(height_off=0, height_scale=100, lat_off=54, lat_scale=0.1, long_off=3, long_scale=0.1,
                     line_den_coeff=one, line_num_coeff=[0.0, 0.0, 1.0, *zero], line_off=150, line_scale=150,
                     samp_den_coeff=one, samp_num_coeff=[0.0, 1.0, 0.0, *zero], samp_off=150, samp_scale=150,
                     err_bias=None, err_rand=None)
    watch = Watch(Settings(folder=str(tmp_path)), print)
    watch.step(), watch.step()
    ((_, why),) = watch.refused()
    watch.close()
    assert "RPC" in why and "warp it first" in why


@pytest.mark.parametrize("where, fits", [((0.0, 0.0), False), ((-300_000.0, 20_000.0), True), ((-1_500.0, 900_000.0), True)])
def test_footprints_in_the_arctic(where, fits):
    """Polar stereographic, 100 m pixels: about the pole there is none; beside it every point of the scene lies inside."""
    x, y = where
    placing = Placing(affine=(100.0, 0.0, x - 50_000.0, 0.0, -100.0, y + 50_000.0),
                      crs_wkt=rasterio.CRS.from_epsg(3413).to_wkt())
    ring = footprint(placing, ((0, 0), (1000, 0), (1000, 1000), (0, 1000)))
    assert (ring is not None) == fits
    if ring is not None:
        col, row = np.meshgrid([2.0, 250.0, 500.0, 998.0], [2.0, 400.0, 998.0])
        for lon, lat in zip(*placing.lonlat(col.ravel(), row.ravel()), strict=True):
            assert ring_contains(ring, lat_deg=float(lat), lon_deg=float(lon))
        for lon, lat in zip(*placing.lonlat([-2.0, 500.0, 1002.0, 500.0], [500.0, -2.0, 500.0, 1002.0]), strict=True):
            assert not ring_contains(ring, lat_deg=float(lat), lon_deg=float(lon))


def test_a_pair_on_the_date_line_and_near_the_pole_is_one_grid(tmp_path):
    stack = np.random.default_rng(24).normal(100.0, 5.0, (4, 120, 120)).astype("float32")
    for k, how in enumerate(({"crs": "EPSG:4326", "transform": Affine(5e-5, 0.0, 179.997, 0.0, -5e-5, 10.0)},
                             {"crs": "EPSG:3413", "transform": Affine(10.0, 0.0, -600.0, 0.0, -10.0, 600.0)})):
        before = write(tmp_path / f"{k}a.tif", stack, **how)
        noise = np.random.default_rng(25).normal(0.0, 1.0, stack.shape).astype("float32")
        after = write(tmp_path / f"{k}b.tif", stack + noise, **how)
        scan(after, before=before, detector="ir-mad")
        moved = write(tmp_path / f"{k}c.tif", stack, crs=how["crs"],
                      transform=how["transform"] @ Affine.translation(1.0, 0.0))
        with pytest.raises(SceneError, match="one grid"):
            scan(after, before=moved, detector="ir-mad")
