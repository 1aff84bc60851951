"""Hostile and broken files are refused in one line; what is valid is what counts; data keeps its place."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from imagery import scene as scenes
from imagery.scene import Reader, SceneError, open_scene, read_array, sha256_of

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path: Path, a: np.ndarray, **how) -> Path:
    planes = a[None] if a.ndim == 2 else a
    how = {"driver": "GTiff", "width": planes.shape[2], "height": planes.shape[1], "count": planes.shape[0],
           "dtype": planes.dtype.name} | how
    with rasterio.open(path, "w", **how) as f:
        f.write(planes)
    return path


def tiff(path: Path, entries: dict[int, tuple[int, int, bytes]], tail: bytes = b"") -> Path:
    """A little-endian TIFF of one directory: tag -> (type, count, value of at most 4 bytes)."""
    body = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for tag in sorted(entries):
        kind, count, value = entries[tag]
        body += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    path.write_bytes(body + b"\0\0\0\0" + tail)
    return path


def bomb(path: Path, width: int, height: int, rows: int, *, compression: int = 1, bands: int = 1, tile: int = 0) -> Path:
    def long(v: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack("<I", v)

    def short(v: int) -> tuple[int, int, bytes]:
        return 3, 1, struct.pack("<H", v)

    four = 4, 4, struct.pack("<I", 8)
    tiled, striped = {322: long(tile), 323: long(tile), 324: four, 325: four}, {273: long(8), 278: long(rows), 279: long(100)}
    return tiff(path, {256: long(width), 257: long(height), 258: short(8), 259: short(compression), 262: short(1),
                       277: short(bands)} | (tiled if tile else striped), bytes(4000))


def refused(path: Path | str, *words: str) -> str:
    with pytest.raises(SceneError) as caught:
        with Reader(open_scene(path)) as reader:
            for row in range(0, reader.scene.height, 512):
                reader.read(0, row, reader.scene.width, min(512, reader.scene.height - row))
    said = str(caught.value)
    assert "\n" not in said and len(said) < 400
    for word in words:
        assert word in said, said
    return said


@pytest.mark.parametrize("path", ["/vsizip/x.zip/a.tif", "/vsicurl/http://127.0.0.1/a.tif", "http://127.0.0.1/a.tif",
                                  "s3://bucket/a.tif", "zip://x.zip!a.tif", "/vsimem/a", "GTIFF_DIR:1:a.tif"])
def test_only_plain_local_files(path):
    refused(path)


def test_folder_device_and_missing(tmp_path):
    refused(tmp_path, "cannot be read")
    refused(tmp_path / "none.tif", "cannot be read")
    refused("/dev/zero")


def test_a_vrt_is_refused_under_any_name(tmp_path):
    write(tmp_path / "a.tif", np.ones((8, 8), "uint8"))
    vrt = f'<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>' \
          f'<SourceFilename>{tmp_path}/a.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    for name in ("a.vrt", "b.tif"):
        (tmp_path / name).write_text(vrt)
        refused(tmp_path / name, "no GeoTIFF, PNG or JPEG")


def test_sidecar_files_are_not_looked_at(tmp_path):
    path = write(tmp_path / "a.tif", np.full((8, 8), 7, "uint8"))
    aux = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>"
    (tmp_path / "a.tif.aux.xml").write_text(aux)
    write(tmp_path / "mask.tif", np.zeros((8, 8), "uint8"))
    (tmp_path / "mask.tif").rename(tmp_path / "a.tif.msk")
    opened = open_scene(path)
    assert opened.nodata == (None,)
    with Reader(opened) as reader:
        values, valid = reader.read(0, 0, 8, 8)
    assert valid is None and (values == 7).all()


def test_bombs(tmp_path):
    refused(bomb(tmp_path / "wide.tif", 4_000_000_000, 4_000_000_000, 1))
    refused(bomb(tmp_path / "side.tif", 2_000_000, 3, 3), "pixels")
    refused(bomb(tmp_path / "much.tif", 300_000, 300_000, 1))
    refused(bomb(tmp_path / "tile.tif", 30_000, 30_000, 30_000, compression=8, tile=29_984), "blocks of 29984 x 29984", "1 GB")
    refused(bomb(tmp_path / "hollow.tif", 30_000, 30_000, 16, compression=8), "claims 900 MB")
    refused(bomb(tmp_path / "bands.tif", 64, 64, 64, bands=60_000))
    with rasterio.open(tmp_path / "sparse.tif", "w", driver="GTiff", width=60_000, height=60_000, count=1, dtype="float32",
                       tiled=True, sparse_ok=True, compress="deflate"):
        pass
    refused(tmp_path / "sparse.tif", "claims 14400 MB")
    huge = tmp_path / "huge.png"
    Image.new("L", (16, 16)).save(huge)
    raw = bytearray(huge.read_bytes())
    import zlib

    raw[16:24] = struct.pack(">II", 200_000, 200_000)
    raw[29:33] = struct.pack(">I", zlib.crc32(bytes(raw[12:29])))
    huge.write_bytes(raw)
    refused(huge)


def test_one_huge_block_is_refused_even_where_the_file_is_honest(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", np.zeros((300, 20_000), "uint8"), blockysize=300, compress="deflate", zlevel=1)
    assert open_scene(path).block == (300, 20_000)
    monkeypatch.setattr(scenes, "MAX_BLOCK_BYTES", 5_000_000)
    refused(path, "blocks of 20000 x 300", "1 GB")


def test_files_of_other_kinds_and_junk(tmp_path):
    rng = np.random.default_rng(3)
    for head in (b"", b"II*\0", b"MM\0*", b"II+\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"):
        for n in (0, 1, 20, 3000):
            path = tmp_path / "junk.tif"
            path.write_bytes(head + rng.bytes(n))
            refused(path)


@pytest.mark.parametrize("kind", ["tif", "tiled.tif", "png", "jpg"])
def test_a_file_cut_anywhere_is_refused_or_still_whole(tmp_path, kind):
    a = np.random.default_rng(4).integers(0, 255, (600, 500), dtype="uint8")
    path = tmp_path / f"whole.{kind}"
    if kind.endswith("tif"):
        write(path, a, compress="deflate", **({"tiled": True, "blockxsize": 128, "blockysize": 128} if "tiled" in kind else {}))
    else:
        Image.fromarray(a).save(path)
    whole = path.read_bytes()
    cut = tmp_path / f"cut.{kind}"
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        cut.write_bytes(whole[: int(len(whole) * share)])
        refused(cut)


def test_flipped_bytes_never_end_in_a_traceback(tmp_path):
    a = np.random.default_rng(5).integers(0, 255, (200, 200), dtype="uint8")
    rng = np.random.default_rng(6)
    write(tmp_path / "w.tif", a, compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    Image.fromarray(a).save(tmp_path / "w.png")
    Image.fromarray(a).save(tmp_path / "w.jpg")
    for suffix in ("tif", "png", "jpg"):
        content = (tmp_path / f"w.{suffix}").read_bytes()
        for _ in range(60):
            raw = bytearray(content)
            for at in rng.integers(0, min(len(raw), 2000), 3):
                raw[at] ^= int(rng.integers(1, 256))
            path = tmp_path / f"flip.{suffix}"
            path.write_bytes(raw)
            try:
                with Reader(open_scene(path)) as reader:
                    for row in range(0, min(reader.scene.height, 4096), 512):
                        reader.read(0, row, min(reader.scene.width, 4096), min(512, reader.scene.height - row))
            except SceneError as error:
                assert "\n" not in str(error)


def test_a_file_swapped_between_header_and_reading_is_noticed(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((64, 64), "uint8"))
    opened = open_scene(path)
    write(path, np.ones((64, 65), "uint8"))
    with pytest.raises(scenes.SceneChanged):
        Reader(opened)


# --- what is valid --------------------------------------------------------------------------------


def valid_of(path: Path, bands=None) -> tuple[np.ndarray, np.ndarray]:
    opened = open_scene(path)
    with Reader(opened, bands) as reader:
        values, valid = reader.read(0, 0, opened.width, opened.height)
    assert np.isfinite(values).all()
    return values, np.ones((opened.height, opened.width), bool) if valid is None else valid


def test_nan_inf_and_sentinel(tmp_path):
    a = np.arange(64, dtype="float32").reshape(8, 8)
    a[0, 0], a[1, 1], a[2, 2], a[3, 3] = np.nan, np.inf, -np.inf, -99.0
    _, valid = valid_of(write(tmp_path / "s.tif", a, nodata=-99.0))
    assert sorted(map(tuple, np.argwhere(~valid).tolist())) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    _, valid = valid_of(write(tmp_path / "n.tif", a, nodata=np.nan))
    assert sorted(map(tuple, np.argwhere(~valid).tolist())) == [(0, 0), (1, 1), (2, 2)]


def test_large_whole_numbers_are_compared_before_they_become_floats(tmp_path):
    a = np.full((4, 4), 16_777_217, "uint32")
    a[0, 0] = 16_777_216
    _, valid = valid_of(write(tmp_path / "a.tif", a, nodata=16_777_217))
    assert valid[0, 0] and valid.sum() == 1


def test_overflow_to_infinity_is_not_valid(tmp_path):
    a = np.ones((4, 4), "float64")
    a[0, 0] = 1e300
    with np.errstate(over="ignore"):
        _, valid = valid_of(write(tmp_path / "a.tif", a))
    assert not valid[0, 0] and valid.sum() == 15


def test_each_band_has_its_own_nodata(tmp_path):
    base = write(tmp_path / "a.tif", np.stack([np.full((6, 6), 5, "uint8"), np.full((6, 6), 9, "uint8")]))
    a = np.stack([np.full((6, 6), 5, "uint8"), np.full((6, 6), 9, "uint8")])
    a[0, 0, 0] = a[1, 1, 1] = 0
    write(base, a, nodata=0)
    _, valid = valid_of(base, [1, 2])
    assert sorted(map(tuple, np.argwhere(~valid).tolist())) == [(0, 0), (1, 1)], "valid only where every band is"
    _, first = valid_of(base, [1])
    assert np.argwhere(~first).tolist() == [[0, 0]]
    both = read_array(base)
    assert not both.valid[0, 0, 0] and both.valid[1, 0, 0] and not both.valid[1, 1, 1]


def test_the_files_own_mask_and_alpha(tmp_path):
    a = np.full((8, 8), 50, "uint8")
    how = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "m.tif", "w", **how) as f:
        f.write(a, 1)
        mask = np.full((8, 8), 255, "uint8")
        mask[:, 0] = 0
        f.write_mask(mask)
    _, valid = valid_of(tmp_path / "m.tif")
    assert not valid[:, 0].any() and valid[:, 1:].all()
    rgba = np.full((8, 8, 4), 200, "uint8")
    rgba[0, :, 3] = 0
    Image.fromarray(rgba, "RGBA").save(tmp_path / "a.png")
    values, valid = valid_of(tmp_path / "a.png")
    assert not valid[0].any() and valid[1:].all() and (values[1:] == 200).all()


def test_a_nodata_value_that_the_type_cannot_hold_marks_nothing(tmp_path):
    path = write(tmp_path / "a.tif", np.zeros((8, 8), "uint8"))
    with rasterio.open(path, "r+") as f:
        tag = f.tags()
    assert tag is not None
    clean = scenes._clean(np.zeros((2, 2), "uint8"), -9999.0, None)
    assert clean[1] is None


def test_complex_pixels_count_by_their_magnitude(tmp_path):
    values, _ = valid_of(write(tmp_path / "c.tif", np.full((8, 8), 3 + 4j, "complex64")))
    assert (values == 5).all()


def test_a_picture_with_a_palette_counts_by_its_brightness(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], "uint8"), "P")
    picture.putpalette([10, 10, 10, 200, 200, 200, 0, 0, 30] + [0] * 759)
    picture.save(tmp_path / "p.png")
    values, _ = valid_of(tmp_path / "p.png")
    assert values.tolist() == [[10, 200], [10, 200]]


# --- where it lies --------------------------------------------------------------------------------


def test_an_array_keeps_its_place(tmp_path):
    a = np.arange(60, dtype="int16").reshape(6, 10)
    place = Affine(20.0, 0.0, 600000.0, 0.0, -20.0, 4800000.0)
    path = write(tmp_path / "a.tif", a, crs="EPSG:32631", transform=place, nodata=7)
    part = read_array(path, (4, 2, 5, 3))
    assert part.dims == ("band", "y", "x") and part.dtype == "int16"
    assert (part.values[0] == a[2:5, 4:9]).all()
    assert part.x.values.tolist() == [600000.0 + 20.0 * (c + 0.5) for c in range(4, 9)]
    assert part.y.values.tolist() == [4800000.0 - 20.0 * (r + 0.5) for r in range(2, 5)]
    assert part.attrs["transform"] == (20.0, 0.0, 600080.0, 0.0, -20.0, 4799960.0)
    assert "32631" in part.attrs["crs"] and part.attrs["sha256"] == sha256_of(path) and part.attrs["nodata"] == (7.0,)
    assert not read_array(path).valid.values[0, 0, 7]
    # arithmetic and selection keep it
    assert (part.sel(x=600090.0) * 2).y.values.tolist() == part.y.values.tolist()
    for window in ((0, 0, 11, 1), (-1, 0, 2, 2), (0, 0, 0, 1)):
        with pytest.raises(SceneError, match="window"):
            read_array(path, window)


def test_a_turned_scene_has_two_dimensional_coordinates(tmp_path):
    turn = Affine(5.0, 3.0, 600000.0, 3.0, -5.0, 4800000.0)
    path = write(tmp_path / "a.tif", np.ones((6, 4), "uint8"), crs="EPSG:32631", transform=turn)
    got = read_array(path)
    assert float(got.xc[5, 3]) == 600000.0 + 5.0 * 3.5 + 3.0 * 5.5 and float(got.yc[5, 3]) == 4800000.0 + 3.0 * 3.5 - 5.0 * 5.5
    placing = open_scene(path).placing
    assert placing is not None
    lon, lat = placing.lonlat([3.5], [5.5])
    (want_lon,), (want_lat,) = transform("EPSG:32631", "EPSG:4326", [float(got.xc[5, 3])], [float(got.yc[5, 3])])
    assert (lon[0], lat[0]) == pytest.approx((want_lon, want_lat), abs=1e-9)


def test_the_scale_is_that_of_the_ground(tmp_path):
    # web mercator at 60 N: a map metre is half a metre
    place = Affine(10.0, 0.0, 0.0, 0.0, -10.0, 8399737.9)
    path = write(tmp_path / "a.tif", np.ones((10, 10), "uint8"), crs="EPSG:3857", transform=place)
    placing = open_scene(path).placing
    assert placing is not None
    step = placing.pixel_en_m(5.0, 5.0)
    assert step is not None
    assert abs(step[0, 0]) == pytest.approx(5.0, rel=0.01) and abs(step[1, 1]) == pytest.approx(5.0, rel=0.01)


def test_off_the_earth_is_nowhere(tmp_path):
    place = Affine(1.0, 0.0, 0.0, 0.0, 1.0, 500.0)
    path = write(tmp_path / "a.tif", np.ones((10, 10), "uint8"), crs="EPSG:4326", transform=place)
    placing = open_scene(path).placing
    assert placing is not None
    assert np.isnan(placing.lonlat([0.0], [0.0])[1]).all() and placing.pixel_en_m(0.0, 0.0) is None


def test_the_hash_is_that_of_the_file(tmp_path):
    import hashlib

    (tmp_path / "a").write_bytes(b"x" * 3_000_001)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_001).hexdigest()


@pytest.mark.parametrize("kind, top", [
    ("uint16", 10_000), ("float32", 65_535.0), ("int16", 32_640), ("uint16", 65_535), ("int16", 255)])
@pytest.mark.parametrize("place", [1, 2])
def test_alpha_of_any_type_is_open_at_its_highest_value(tmp_path, kind, top, place):
    """Writers scale alpha with the bands beside it (Sentinel-2: 10,000); what has no other value is no measurement."""
    alpha = np.full((32, 32), top, kind)
    alpha[:, :10] = 0
    bands = [np.full((32, 32), 50, kind)]
    bands.insert(place - 1, alpha)
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=32, height=32, count=2, dtype=kind) as f:
        f.colorinterp = [ColorInterp.alpha if i == place - 1 else ColorInterp.gray for i in range(2)]
        f.write(np.stack(bands))
    assert open_scene(path).alpha == place
