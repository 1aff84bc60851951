"""What lies in a watched folder: what is opened, what belongs together, and no file that vanishes without a word."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from birddog.errors import printable
from birddog.model import Scan
from imagery.folder import _BESIDE, _OTHERS, _UNFINISHED, SUFFIXES, look_into, pass_of
from imagery.watch import Settings, Watch
from opsroom.console.health import Health

S1 = "s1a-iw-grd-{}-20201004t055012-20201004t055037-034637-040882-00{}.tiff"


def scene(path: Path, ships: tuple[tuple[int, int], ...], *, seed: int = 1) -> Path:
    a = np.sqrt(np.random.default_rng(seed).gamma(4.0, 0.25, (300, 400))).astype("float32")
    for c, r in ships:
        a[r - 4 : r + 4, c - 12 : c + 12] = 6.0
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", width=400, height=300, count=1, dtype="float32", crs="EPSG:32631",
                       transform=Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)) as f:
        f.write(a, 1)
    return path


def watched(folder: Path, steps: int = 3) -> tuple[list[Scan], list[str], dict, Watch]:
    got: list[Scan] = []
    said: list[str] = []
    watch = Watch(Settings(folder=str(folder), sensor="sar1"), got.append, said.append)
    for _ in range(steps):
        watch.step()
    return got, said, watch.status(), watch


@pytest.mark.parametrize("name", [*(f"a{e}" for e in sorted(_OTHERS)), "a.xyz", "noending", "lonely.json", "notes.txt"])
def test_no_file_is_passed_over_without_a_word(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    seen = look_into(tmp_path)
    assert seen.scenes == [] and len(seen.passed[name]) > 5
    _, said, status, watch = watched(tmp_path)
    assert status["passed_over"] == 1 and len(said) == 1 and name in said[0]
    assert any(name in line and seen.passed[name] in line for line in status["warnings"])
    (tmp_path / name).unlink()
    watch.step()
    assert watch.status()["warnings"] == [] and watch.status()["passed_over"] == 0, "it is gone"
    watch.close()


def test_links_folders_and_pipes_are_said(tmp_path):
    scene(tmp_path / "elsewhere" / "b.tif", ())
    (tmp_path / "l.tif").symlink_to(tmp_path / "elsewhere" / "b.tif")
    os.mkfifo(tmp_path / "p.tif")
    assert set(look_into(tmp_path).passed) == {"elsewhere", "l.tif", "p.tif"} and look_into(tmp_path).scenes == []


def test_what_is_hidden_unfinished_ours_or_about_a_scene_is_not_told(tmp_path):
    scene(tmp_path / "20200812_182637_0f12_3B_AnalyticMS.tif", ())
    for name in (".x.tif", *(f"b.tif{e}" for e in _UNFINISHED), "20200812_182637_0f12_metadata.json", "manifest.safe",
                 "ours.imagery", "MTD_MSIL1C.xml", *(f"20200812_182637_0f12_3B_AnalyticMS{e}" for e in _BESIDE),
                 "20200812_182637_0f12_3B_AnalyticMS.tif.aux.xml"):
        (tmp_path / name).write_bytes(b"x")
    seen = look_into(tmp_path, frozenset({"ours.imagery"}))
    assert seen.passed == {} and len(seen.scenes) == 1


@pytest.mark.parametrize("name", ["quick-look.png", "S1A_quicklook.jpg", "a_thumb.jpg", "thumbnail.png", "a-preview.tif",
                                  "a_ql.jpg", "a_browse.jpg", "a.png", "A.JPG"])
def test_thumbnails_are_no_scenes(tmp_path, name):
    scene(tmp_path / "a.tif", ())
    (tmp_path / name).write_bytes(b"x")
    seen = look_into(tmp_path)
    assert [n for n, _ in seen.scenes] == ["a.tif"] and name in seen.passed


@pytest.mark.parametrize("name", ["north_th_1.tif", "thumbscrew.tif", "overpreviewed.tif", "query.tif"])
def test_words_that_only_look_like_thumbnails(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert [n for n, _ in look_into(tmp_path).scenes] == [name]


@pytest.mark.parametrize("ending", sorted(SUFFIXES))
def test_every_refusal_is_in_log_and_status(tmp_path, ending):
    (tmp_path / f"bad{ending.upper()}").write_bytes(b"no scene at all")
    _, said, status, watch = watched(tmp_path)
    watch.step()
    watch.close()
    assert len(said) == 1 and "refused: " in said[0] and f"bad{ending.upper()}" in said[0], said
    assert [line for line in status["warnings"] if f"bad{ending.upper()} refused: " in line]
    assert status["refused"] == 1
    # after a restart too, for as long as it lies there
    assert watched(tmp_path)[2]["warnings"] == status["warnings"]


def test_a_name_forges_no_line(tmp_path):
    for ending in ("xyz", "tif"):
        (tmp_path / f"a\nimagery: all well\x1b[2J.{ending}").write_bytes(b"x")
    _, said, status, watch = watched(tmp_path)
    watch.close()
    assert len(said) == 2 == len(status["warnings"]) and all(line.isprintable() for line in said)
    assert all(line.isprintable() for line in status["warnings"])
    assert printable("a\u202eb") == "a\\u202eb"


def test_many_files_are_counted(tmp_path):
    for k in range(100):
        (tmp_path / f"{k:03d}.xyz").write_bytes(b"x")
    status = watched(tmp_path)[2]
    assert status["passed_over"] == 100 and len(status["warnings"]) == 41 and "60 more" in status["warnings"][-1]


def test_health_shows_each_line():
    rows = {"imagery": {"warning": "one", "warnings": ["two", "three"]}, "ingest": {"warnings": "odd"}}
    health = Health(lambda: rows, lambda: 0)
    health.refresh()
    assert health.warnings() == ["imagery: one", "imagery: two", "imagery: three"]


# --- products and passes --------------------------------------------------------------------------


@pytest.mark.parametrize("one, other, same", [
    (S1.format("vv", 1), S1.format("vh", 2), True),
    (S1.format("vv", 1).replace(".tiff", "-cog.tiff"), S1.format("vh", 2).replace(".tiff", "-cog.tiff"), True),
    ("imagery_HH.tif", "imagery_HV.tif", True),
    ("IMAGE_HH_SRA_strip_007.tif", "IMAGE_VV_SRA_strip_007.tif", True),
    ("RCM1_OK1_PK2_1_SC30MCPA_20200219_123901_HH_GRD.tif", "RCM1_OK1_PK2_1_SC30MCPA_20200219_123901_HV_GRD.tif", True),
    (S1.format("vv", 1), S1.format("vh", 2).replace("055012", "055037"), False),
    ("a.tif", "b.tif", False), ("a-001.tif", "a-002.tif", False), ("shh.tif", "svv.tif", False),
    ("x/imagery_HH.tif", "y/imagery_HV.tif", False),
])
def test_what_is_of_one_pass(one, other, same):
    assert (pass_of(one) == pass_of(other)) is same


def test_both_polarisations_of_a_pass_are_one_look(tmp_path):
    scene(tmp_path / S1.format("vv", 1), ((80, 80), (200, 150)), seed=1)
    scene(tmp_path / S1.format("vh", 2), ((200, 150), (320, 220)), seed=2)
    got, said, status, watch = watched(tmp_path)
    (look,) = got
    assert len(look.flags) == 3 and len(look.sightings) == 3 and status["sent"] == 2 and said == []
    assert {s.scan for s in look.sightings} == {look.scan_id} and look.scene_name.count("tiff") == 2
    alone = watched(scene(tmp_path / "alone" / S1.format("vv", 1), ((80, 80),)).parent)[0][0]
    assert look.clutter_per_km2 == pytest.approx(2 * alone.clutter_per_km2)
    watch.step()
    watch.close()
    assert len(got) == 1
    assert watched(tmp_path)[0] == [], "nor after a restart"


def test_a_polarisation_that_comes_late_is_passed_over_with_its_reason(tmp_path):
    scene(tmp_path / S1.format("vv", 1), ((80, 80),))
    got, said, _, watch = watched(tmp_path)
    scene(tmp_path / S1.format("vh", 2), ((80, 80),), seed=2)
    for _ in range(3):
        watch.step()
    assert len(got) == 1 and "same pass" in said[-1] and any("same pass" in line for line in watch.status()["warnings"])
    watch.close()


def test_of_a_pass_with_a_damaged_file_the_other_is_looked_at(tmp_path):
    scene(tmp_path / S1.format("vv", 1), ((80, 80),))
    (tmp_path / S1.format("vh", 2)).write_bytes(b"II*\0 and nothing more")
    got, _, status, watch = watched(tmp_path)
    watch.close()
    assert len(got) == 1 and status["refused"] == 1 and "-vh-" in status["warnings"][0]


def test_a_copy_is_passed_over_with_the_name_of_the_first(tmp_path):
    scene(tmp_path / "a.tif", ())
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    got, said, status, watch = watched(tmp_path)
    watch.close()
    assert len(got) == 1 and status["refused"] == 0
    assert [line for line in status["warnings"] if "b.tif passed over: is the same file as a.tif" in line]
    assert any("b.tif" in line for line in said)


def test_a_safe_folder_of_sentinel_1_is_read(tmp_path):
    safe = tmp_path / "S1A_IW_GRDH_1SDV_20201004T055012_20201004T055037_034637_040882_ABCD.SAFE"
    scene(safe / "measurement" / S1.format("vv", 1), ((80, 80),))
    scene(safe / "measurement" / S1.format("vh", 2), ((80, 80), (200, 150)), seed=2)
    (safe / "preview").mkdir()
    (safe / "preview" / "quick-look.png").write_bytes(b"x")
    (safe / "manifest.safe").write_text("<x/>")
    got, said, status, watch = watched(tmp_path)
    watch.close()
    (look,) = got
    assert len(look.flags) == 2 and look.time_source == "device" and status["passed_over"] == 0 and said == []


def test_a_safe_folder_of_sentinel_2_gives_one_band_and_an_empty_one_its_reason(tmp_path):
    product = tmp_path / "S2A_MSIL1C_20240101T105441_N0510_R051_T31UFU_20240101T113000.SAFE"
    inner = product / "GRANULE" / "L1C_T31UFU" / "IMG_DATA"
    inner.mkdir(parents=True)
    for band in ("B02", "B08", "B12"):
        (inner / f"T31UFU_20240101T105441_{band}.jp2").write_bytes(b"x")
    (tmp_path / "EMPTY.SAFE").mkdir()
    seen = look_into(tmp_path)
    assert len(seen.scenes) == 1 and seen.scenes[0][0].endswith("_B08.jp2")
    assert "without an image" in seen.passed["EMPTY.SAFE"] and any("2 other bands" in name for name in seen.passed)
