"""ir-mad finds what changed whatever the sensors' gains; rx finds what does not belong; neither depends on the tile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from birddog.errors import UsageError
from imagery import scan as scanning
from imagery.detector import Sample
from imagery.detectors import ir_mad, rx
from imagery.scan import scan
from imagery.scene import SceneError
from opsroom import cli

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "imagery"
PLACE = {"crs": "EPSG:32651", "transform": Affine(30.0, 0.0, 200000.0, 0.0, -30.0, 3600000.0)}
EVERYTHING = (slice(None), slice(None))


def write(path: Path, a: np.ndarray, **how) -> Path:
    how = {"driver": "GTiff", "width": a.shape[2], "height": a.shape[1], "count": a.shape[0], "dtype": a.dtype.name} | how
    with rasterio.open(path, "w", **how) as f:
        f.write(a)
    return path


def land(seed: int, shape=(300, 340), bands: int = 4) -> np.ndarray:
    """Smooth land in correlated bands."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    base = np.stack([gaussian_filter(rng.normal(size=shape), 8) * 60.0 for _ in range(bands)])
    mix = rng.normal(size=(bands, bands)) + 2.0 * np.eye(bands)
    return (100.0 + np.einsum("ij,jyx->iyx", mix, base)).astype("float32")


def pair(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    before = land(1)
    rng = np.random.default_rng(2)
    changed = np.zeros(before.shape[1:], bool)
    changed[100:140, 120:190] = changed[220:232, 30:60] = True
    after = before.copy()
    after[:, changed] = land(3)[:, changed] * 1.3 + 40.0
    gains = np.array([0.5, 1.7, 1.1, 2.3], "float32")[:, None, None]
    after = after * gains + 12.0 + rng.normal(0, 1.0, after.shape)
    before = before + rng.normal(0, 1.0, before.shape)
    return (write(tmp_path / "b.tif", before.astype("float32"), **PLACE),
            write(tmp_path / "a.tif", after.astype("float32"), **PLACE), changed)


def test_change_is_found_whatever_the_gains(tmp_path):
    before, after, changed = pair(tmp_path)
    masks = []
    for tile in (64, 192, 4096):
        result = scan(after, before=before, detector="ir-mad", tile=tile, mask=tmp_path / "m.tif", scores=tmp_path / "s.tif")
        with rasterio.open(tmp_path / "m.tif") as f:
            assert f.crs.to_epsg() == 32651 and f.transform == PLACE["transform"]
            masks.append((f.read(1), result.flags))
    mask, flags = masks[0]
    hit = (mask == 1) & changed
    assert hit.sum() / changed.sum() > 0.9 and hit.sum() / (mask == 1).sum() > 0.9
    assert all((m == mask).all() and f == flags for m, f in masks)
    assert any(abs(f.col - 155) < 5 and abs(f.row - 120) < 5 for f in flags) and flags[0].lat_deg is not None
    assert result.pfa is None and result.before_sha256 is not None
    assert "irmad" not in result.detector and scan(after, before=before, detector="irmad").flags == flags


def test_the_command_takes_a_pfa_that_the_detector_has_no_use_for(tmp_path, capsys):
    before, after, _ = pair(tmp_path)
    words = ["scan", str(after), "--before", str(before), "--detector", "ir-mad"]
    assert cli.main(words) == 0
    without = capsys.readouterr()
    assert cli.main([*words, "--pfa", "1e-4"]) == 0
    said = capsys.readouterr()
    assert said.out == without.out and without.err == ""
    assert said.err == "birddog scan: --pfa is ignored: ir-mad sets its own threshold\n"


def test_linear_mixtures_of_the_bands_change_nothing():
    x = np.concatenate([land(4), land(4) * 1.2 + 3.0]) + np.random.default_rng(5).normal(0, 1.0, (8, 300, 340))
    x = x.astype("float32")
    first = ir_mad.respond(x, None, ir_mad.fit([Sample(x, None, EVERYTHING)], None, 0.0)).scores
    mix = np.random.default_rng(6).normal(size=(4, 4)) + 3.0 * np.eye(4)
    y = x.copy()
    y[4:] = np.einsum("ij,jyx->iyx", mix, x[4:])
    second = ir_mad.respond(y, None, ir_mad.fit([Sample(y, None, EVERYTHING)], None, 0.0)).scores
    assert np.median(np.abs(first - second)) < 0.02


def test_without_change_the_score_is_chi_square():
    rng = np.random.default_rng(7)
    common = land(8)
    first, second = (common * gain + rng.normal(0, 3.0, common.shape) for gain in (1.0, 0.7))
    x = np.concatenate([first, second]).astype("float32")
    z = ir_mad.respond(x, None, ir_mad.fit([Sample(x, None, EVERYTHING)], None, 0.0)).scores ** 2
    # iteration trims the tail a little, so Z is stretched; its shape is that of 4 degrees of freedom
    assert np.quantile(z, 0.9) / np.median(z) == pytest.approx(7.779 / 3.357, rel=0.1)


def test_scenes_that_cannot_be_compared(tmp_path):
    before, after, _ = pair(tmp_path)
    a = land(1)
    with pytest.raises(SceneError, match="one grid"):
        scan(after, before=write(tmp_path / "c.tif", a[:, :-1], **PLACE), detector="ir-mad")
    with pytest.raises(SceneError, match="one grid"):
        scan(after, before=write(tmp_path / "d.tif", a[:3], **PLACE), detector="ir-mad")
    shifted = PLACE | {"transform": Affine(30.0, 0.0, 200030.0, 0.0, -30.0, 3600000.0)}
    with pytest.raises(SceneError, match="one grid"):
        scan(after, before=write(tmp_path / "e.tif", a, **shifted), detector="ir-mad")
    with pytest.raises(SceneError, match="where it lies"):
        scan(after, before=write(tmp_path / "f.tif", a), detector="ir-mad")
    with pytest.raises(UsageError):
        scan(after, detector="ir-mad")
    with pytest.raises(SceneError, match="cannot be judged"):
        scan(after, before=before, detector="ir-mad", pfa=1e-3)


def test_constant_bands_and_one_scene_twice(tmp_path):
    a = land(9)
    a[2] = 5.0
    with pytest.raises(SceneError, match="cannot be judged|constant"):
        flat = write(tmp_path / "a.tif", np.full_like(a, 3.0))
        scan(flat, before=flat, detector="ir-mad")
    same = write(tmp_path / "c.tif", land(9))
    result = scan(same, before=same, detector="ir-mad")
    assert all(np.isfinite(f.score) for f in result.flags)


def test_nodata_of_either_scene_is_not_judged(tmp_path):
    before, after, changed = pair(tmp_path)
    with rasterio.open(before) as f:
        a = f.read()
    a[1, :50, :70] = np.nan
    write(before, a, **PLACE)
    scan(after, before=before, detector="ir-mad", mask=tmp_path / "m.tif")
    with rasterio.open(tmp_path / "m.tif") as f:
        mask = f.read(1)
    assert (mask[:50, :70] == 255).all() and (mask == 255).sum() == 3500


def test_otsu_parts_two_heaps():
    rng = np.random.default_rng(10)
    level = ir_mad.otsu(np.concatenate([rng.normal(2.0, 0.5, 90_000).clip(0), rng.normal(9.0, 1.0, 5_000)]))
    assert 3.5 < level < 7.0


# --- rx -------------------------------------------------------------------------------------------


def odd_things() -> tuple[np.ndarray, np.ndarray]:
    a = land(11, (320, 400), 3)
    rng = np.random.default_rng(12)
    a += rng.normal(0, 2.0, a.shape)
    hot = np.zeros(a.shape[1:], bool)
    for r in range(30, 300, 90):
        for c in range(30, 380, 120):
            hot[r : r + 6, c : c + 9] = True
    a[:, hot] += np.array([75.0, -54.0, 36.0])[:, None]
    return a.astype("float32"), hot


def auc(scores: np.ndarray, hot: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks, n1 = rankdata(scores[np.isfinite(scores)]), int(hot[np.isfinite(scores)].sum())
    n0 = ranks.size - n1
    return float((ranks[hot[np.isfinite(scores)]].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def test_odd_things_stand_out_and_no_tile_matters(tmp_path):
    a, hot = odd_things()
    path = write(tmp_path / "a.tif", a)
    got = []
    for tile in (64, 192, 4096):
        result = scan(path, detector="rx", tile=tile, scores=tmp_path / "s.tif")
        with rasterio.open(tmp_path / "s.tif") as f:
            got.append((f.read(1), result.flags))
    assert auc(got[0][0], hot) > 0.97
    assert all(np.array_equal(s, got[0][0]) and f == got[0][1] for s, f in got) and got[0][1]


def test_a_band_that_copies_another_says_nothing_more(tmp_path):
    a, hot = odd_things()
    b = np.concatenate([a, a[:1]])
    model = rx.fit([Sample(b, None, EVERYTHING)], 1e-3, 0.0)
    assert model.whiten.shape == (3, 4) and auc(rx.respond(b, None, model).scores, hot) > 0.97


def test_what_is_not_valid_casts_no_shadow():
    a, _ = odd_things()
    valid = np.ones(a.shape[1:], bool)
    valid[:, 150:220] = False
    b = a.copy()
    b[:, ~valid] = 0.0
    model = rx.fit([Sample(a, None, EVERYTHING)], 1e-3, 0.0)
    near = np.zeros_like(valid)
    near[:, 140:150] = near[:, 220:230] = True
    response = rx.respond(b, valid, model)
    assert np.median(response.scores[near]) < 1.5 * np.median(response.scores[valid])
    assert np.isnan(response.image()[~valid]).all() and not response.over[~valid].any()


# --- real scenes ----------------------------------------------------------------------------------

shared = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")


@pytest.mark.shared
@shared
def test_taizhou(tmp_path):
    root = DATA / "change_landsat"
    scan(root / "taizhou_t1.tif", before=root / "taizhou_t0.tif", detector="ir-mad", mask=tmp_path / "m.tif")
    with rasterio.open(tmp_path / "m.tif") as m, rasterio.open(root / "taizhou_truth.tif") as t:
        mask, truth = m.read(1), t.read(1)
    hit = ((mask == 1) & (truth == 1)).sum()
    assert 2 * hit / ((mask == 1) & (truth > 0)).sum().__add__((truth == 1).sum()) > 0.93


@pytest.mark.shared
@shared
def test_ships_on_sar_chips_are_found_better_than_by_chance():
    root = DATA / "sar"
    truth = json.loads((root / "truth.json").read_text())
    hits = flags = ships = 0
    for t in truth:
        found = scan(root / t["file"]).flags
        flags, ships = flags + len(found), ships + len(t["boxes"])
        for c0, r0, c1, r1 in t["boxes"]:
            hits += any(c0 <= f.col <= c1 and r0 <= f.row <= r1 for f in found)
    assert hits / ships > 0.35 and hits / flags > 0.35


@pytest.mark.shared
@shared
def test_a_real_sentinel_1_scene_in_decibels():
    result = scan(DATA / "georef" / "s1_vv_db_utm31_nodata-99.tif")
    assert result.judged_px > 50_000 and result.scene.placing is not None
    assert scanning.params_hash("cfar", 1e-6) == result.params
