"""What counts as seen: alpha wherever it stands, palettes, zeros about a radar's scene; and where control points lead."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from imagery.scan import scan
from imagery.scene import Reader, open_scene, read_array
from imagery.scene_time import RADARS, VENDORS
from opsroom import cli

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
PLACE = {"crs": "EPSG:32631", "transform": Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5700000.0)}
SHIPS = ((30, 120), (130, 60), (150, 180), (210, 100), (215, 215))


def sea(side: int = 256, seed: int = 1) -> np.ndarray:
    a = 100.0 * np.sqrt(np.random.default_rng(seed).gamma(4.0, 0.25, (side, side)))
    for c, r in SHIPS:
        a[r - 3 : r + 3, c - 6 : c + 6] = 900.0
    return a


def write(path: Path, planes: np.ndarray, kinds: dict[int, ColorInterp] | None = None, tags: dict | None = None, **how) -> Path:
    planes = planes[None] if planes.ndim == 2 else planes
    how = {"driver": "GTiff", "width": planes.shape[2], "height": planes.shape[1], "count": planes.shape[0],
           "dtype": planes.dtype.name} | how
    with warnings.catch_warnings(), rasterio.open(path, "w", **how) as f:
        warnings.simplefilter("ignore")
        if kinds:
            interp = list(f.colorinterp)
            for band, kind in kinds.items():
                interp[band - 1] = kind
            f.colorinterp = interp
        f.write(planes)
        if tags:
            f.update_tags(**tags)
    return path


def seen(path: Path) -> np.ndarray:
    scene = open_scene(path)
    with Reader(scene) as reader:
        _, valid = reader.read(0, 0, scene.width, scene.height)
    return np.ones((scene.height, scene.width), bool) if valid is None else valid


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands, at", [(2, 2), (2, 1), (3, 2), (4, 4), (5, 1), (6, 6)])
def test_alpha_counts_wherever_it_stands_and_of_whatever_type(tmp_path, dtype, bands, at):
    planes = np.stack([np.minimum(sea(seed=k), 250.0) for k in range(bands)]).astype(dtype)
    planes[at - 1] = 1 if dtype == "float32" else 255
    planes[at - 1, :, :80] = 0
    f = write(tmp_path / "a.tif", planes, {at: ColorInterp.alpha}, **PLACE)
    assert open_scene(f).alpha == at and at not in open_scene(f).data_bands and at not in open_scene(f).grey_bands
    valid = seen(f)
    assert not valid[:, :80].any() and valid[:, 80:].all()
    assert not read_array(f).valid.values[:, :, :80].any() and read_array(f).valid.values[:, :, 80:].all()
    result = scan(f)
    assert result.judged_px <= 256 * 176 and all(flag.col > 80 for flag in result.flags)


def test_a_nan_in_alpha_is_closed(tmp_path):
    planes = np.stack([sea(), np.ones((256, 256))]).astype("float32")
    planes[1, :, :80] = np.nan
    assert not seen(write(tmp_path / "a.tif", planes, {2: ColorInterp.alpha}))[:, :80].any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_fourth_band_that_is_a_measurement_is_no_alpha(tmp_path, dtype):
    """An aerial picture of red, green, blue and near infrared, which GDAL calls alpha where four 8-bit bands are written."""
    rng = np.random.default_rng(2)
    planes = rng.integers(20, 200, (4, 256, 256)).astype(dtype)
    planes[3, 100:] = rng.integers(0, 3, (156, 256))  # water: dark, and often 0
    for name, dark in (("m_4207122_ne_19_1_20100827.tif", 1), ("aerial.tif", 1), ("lake.tif", 3)):
        planes[3, 100:] = rng.integers(0, 3, (156, 256)) // dark * dark  # the darker the water the more of it is 0
        f = write(tmp_path / name, planes, {4: ColorInterp.alpha}, photometric="RGB", **PLACE)
        assert open_scene(f).alpha == 0 and seen(f).all()
    assert open_scene(f).alpha == 0 and open_scene(f).data_bands == (1, 2, 3, 4)
    assert open_scene(f).grey_bands == (1, 2, 3) and seen(f).all()
    f = write(tmp_path / "named.tif", np.where(planes > 0, 255, 0).astype(dtype), {4: ColorInterp.alpha}, **PLACE)
    assert open_scene(f).alpha == 4
    with rasterio.open(f, "r+") as out:
        out.set_band_description(4, "NIR")
    assert open_scene(f).alpha == 0


@pytest.mark.parametrize("kind", ["PNG", "GTiff"])
def test_what_a_palette_calls_transparent_does_not_count(tmp_path, kind):
    index = np.full((64, 64), 1, "uint8")
    index[:, :20] = 3
    f = tmp_path / "p"
    if kind == "PNG":
        picture = Image.frombytes("P", (64, 64), index.tobytes())
        picture.putpalette([0, 0, 0, 90, 90, 90, 200, 200, 200, 10, 10, 10])
        picture.save(f, "PNG", transparency=bytes([255, 255, 255, 0]))
    else:
        with rasterio.open(f, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8", photometric="palette") as out:
            out.write(index, 1)
            out.write_colormap(1, {0: (0, 0, 0, 255), 1: (90, 90, 90, 255), 2: (200, 200, 200, 255), 3: (10, 10, 10, 0)})
    valid = seen(f)
    if kind == "PNG":
        assert not valid[:, :20].any() and valid[:, 20:].all()
        assert not read_array(f).valid.values[0, :, :20].any()
    else:
        assert valid[:, 20:].all(), "a TIFF's palette has no opacity (TIFF 6.0, ColorMap)"


@pytest.mark.parametrize("vendor", [v for v in VENDORS if v.name in RADARS], ids=lambda v: v.name)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "complex64"])
def test_zero_in_a_radars_product_is_not_imaged(tmp_path, vendor, dtype):
    a = sea().astype(dtype)
    a[:, :100] = 0
    f = write(tmp_path / (Path(vendor.example).stem + ".tif"), a, **PLACE)
    valid = seen(f)
    assert not valid[:, :100].any() and valid[:, 100:].all()
    result = scan(f)
    assert result.judged_px <= 156 * 256 and result.outline and min(c for c, _ in result.outline) >= 64
    assert {round(flag.col) for flag in result.flags} == {130, 150, 210, 215}


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("turns", range(4))
def test_a_corner_of_nothing_but_zero_was_not_imaged_whatever_the_name(tmp_path, dtype, turns):
    """A wedge outside the swath, as an orthorectified scene has it under any name, without a nodata tag."""
    a = sea().astype(dtype)
    a[np.add.outer(np.arange(256), np.arange(256)) < 80] = 0
    a = np.rot90(a, turns)
    assert np.array_equal(seen(write(tmp_path / "harbour.tif", np.stack([a, a]), **PLACE)), a != 0)
    a[a == 0] = 1  # what was measured there
    a[100:140, 100:140] = 0
    assert seen(write(tmp_path / "black.tif", a, **PLACE)).all(), "0 amid the picture alone says nothing"


def test_zero_by_the_tags_of_sentinel_1_and_elsewhere_as_it_is_written(tmp_path):
    a = sea().astype("uint16")
    a[40:200, :100] = 0
    tags = {"TIFFTAG_IMAGEDESCRIPTION": "Sentinel-1A IW GRD HR L1"}
    assert not seen(write(tmp_path / "renamed.tif", a, tags=tags))[40:200, :100].any()
    assert seen(write(tmp_path / "other.tif", a)).all(), "an unknown picture may have any 0"
    assert seen(write(tmp_path / "own.tif", a, tags=tags, nodata=7)).all(), "what the file says of itself stands"
    assert seen(write(tmp_path / "S1A_IW_20200101T101112_quicklook.tif", np.minimum(a, 255).astype("uint8"))).all()


# --- control points -------------------------------------------------------------------------------


def gcps(at, side: int = 512, n: int = 8, wrong: tuple[int, float] | None = None) -> list[GroundControlPoint]:
    out = []
    for i, (c, r) in enumerate((c, r) for r in np.linspace(0, side, n) for c in np.linspace(0, side, n)):
        lon, lat = at(c, r)
        if wrong and wrong[0] == i:
            lat += wrong[1]
        out.append(GroundControlPoint(row=r, col=c, x=(lon + 180.0) % 360.0 - 180.0, y=lat, z=0.0))
    return out


def placed(path: Path, points: list[GroundControlPoint], crs: str = "EPSG:4326") -> Path:
    a = np.zeros((512, 512), "uint16")
    with warnings.catch_warnings(), rasterio.open(path, "w", driver="GTiff", width=512, height=512, count=1, dtype="uint16",
                                                  gcps=points, crs=crs) as f:
        warnings.simplefilter("ignore")
        f.write(a, 1)
    return path


@settings(max_examples=30, deadline=None)
@given(west=st.floats(-180.0, 180.0), south=st.floats(-75.0, 75.0), turn=st.floats(0.0, 2 * math.pi))
def test_control_points_lead_where_they_lie_also_over_the_date_line(tmp_path_factory, west, south, turn):
    step = 2e-4

    def at(c, r):
        return (west + step * (c * math.cos(turn) - r * math.sin(turn)) / math.cos(math.radians(south)),
                south + step * (c * math.sin(turn) + r * math.cos(turn)))

    placing = open_scene(placed(tmp_path_factory.mktemp("g") / "a.tif", gcps(at))).placing
    col, row = np.random.default_rng(3).uniform(0, 512, (2, 20))
    lon, lat = placing.lonlat(col, row)
    want_lon, want_lat = at(col, row)
    assert np.abs((lon - want_lon + 180.0) % 360.0 - 180.0).max() < 1e-7 and np.abs(lat - want_lat).max() < 1e-7
    assert np.abs(lon).max() <= 180.0


@pytest.mark.parametrize("points, words", [
    (gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * r), wrong=(27, 0.5)), "number 28 lies"),
    (gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * r), n=3, wrong=(4, 0.5)), "folds"),
    (gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * r), n=2, wrong=(3, 0.08)), "folds"),
    (gcps(lambda c, r: (0.7 * c, 80 + 1e-3 * r)), "about a pole"),
    (gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * c), n=3), "on one line"),
])
def test_control_points_that_contradict_each_other_place_nothing_and_say_so(tmp_path, points, words):
    scene = open_scene(placed(tmp_path / "a.tif", points))
    assert scene.placing is None and words in scene.unplaced


def test_a_smooth_bend_is_no_contradiction(tmp_path):
    def at(c, r):
        return 3 + 2e-4 * c + 2e-8 * c * c, 52 - 1e-4 * r + 1e-8 * c * r

    assert open_scene(placed(tmp_path / "a.tif", gcps(at))).placing is not None


def test_a_place_off_its_scene_is_none(tmp_path):
    placing = open_scene(placed(tmp_path / "a.tif", gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * r), n=4))).placing
    lon, lat = placing.lonlat([256.0, 600.0], [256.0, 600.0])
    assert np.isfinite(lon).all() and np.isfinite(lat).all(), "a little beyond is still where it is"


@pytest.mark.parametrize("many", [2, 33 * 33])
def test_a_scan_says_that_a_scene_is_not_placed(tmp_path, capsys, many):
    a = sea(512).astype("uint16")
    points = gcps(lambda c, r: (3 + 2e-4 * c, 52 - 1e-4 * r), n=math.isqrt(many) if many > 2 else 2)[: many if many > 2 else 2]
    f = tmp_path / "a.tif"
    with warnings.catch_warnings(), rasterio.open(f, "w", driver="GTiff", width=512, height=512, count=1, dtype="uint16",
                                                  gcps=points, crs="EPSG:4326") as out:
        warnings.simplefilter("ignore")
        out.write(a, 1)
    assert cli.main(["scan", str(f)]) == 0
    said = capsys.readouterr()
    assert all(x["geometry"] is None for x in json.loads(said.out)["features"])
    assert f"{len(points)} ground control points" in said.err and len(said.err.splitlines()) == 1


# --- JPEG 2000 ------------------------------------------------------------------------------------


def jp2(path: Path, a: np.ndarray, **how) -> Path:
    return write(path, a, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **PLACE, **how)


def test_jpeg_2000_is_read_as_the_same_geotiff_is(tmp_path):
    a = sea(300).astype("uint16")
    one, other = jp2(tmp_path / "a.jp2", a), write(tmp_path / "a.tif", a, **PLACE)
    assert open_scene(one).driver == "JP2OpenJPEG"
    got, want = scan(one, tile=64), scan(other)
    assert [(f.col, f.row, f.score, f.lat_deg, f.lon_deg) for f in got.flags] == [
        (f.col, f.row, f.score, f.lat_deg, f.lon_deg) for f in want.flags] and len(got.flags) == 5


def test_jpeg_2000_cut_off_or_of_one_huge_tile_is_refused(tmp_path, monkeypatch):
    from imagery import scene as scenes
    from imagery.scene import SceneError

    whole = jp2(tmp_path / "a.jp2", sea(300).astype("uint16")).read_bytes()
    for n in (5, 12, 60, len(whole) // 2, len(whole) - 20):
        (tmp_path / "cut.jp2").write_bytes(whole[:n])
        try:
            scan(tmp_path / "cut.jp2")
        except SceneError as error:
            assert "\n" not in str(error)
    monkeypatch.setattr(scenes, "MAX_BLOCK_BYTES", 200_000)
    with pytest.raises(SceneError, match="tiles of 300 x 300"):
        open_scene(tmp_path / "a.jp2")


def test_a_safe_folder_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "S1A_X.SAFE").mkdir()
    assert cli.main(["scan", str(tmp_path / "S1A_X.SAFE")]) == 2
    assert "measurement/*.tiff" in capsys.readouterr().err
