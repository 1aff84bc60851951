"""A threshold is to be believed: on seas of few grey levels, on nothing changed, beside one cloud (issue 9, section 7)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from imagery import grey_steps, objects
from imagery.detector import Sample
from imagery.detectors import cfar, ir_mad
from imagery.scan import scan

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "imagery"
EVERYTHING = (slice(None), slice(None))
SHIPS = ((100, 120), (300, 600), (420, 210), (600, 400), (700, 700))


def sea(seed: int, looks: float, mean: float, steps: str, shape=(800, 800)) -> np.ndarray:
    """Gamma amplitude about a mean in grey levels, rounded, floored, in steps of a half, or as decibels of those."""
    a = np.sqrt(np.random.default_rng(seed).gamma(looks, 1.0 / looks, shape))
    a *= mean / a.mean()
    if steps == "decibels":
        return (20.0 * np.log10(np.round(a) + 1.0)).astype("float32")
    if steps == "halves":
        return (np.round(a) / 2.0).astype("float32")
    return (np.floor(a) if steps == "floor" else np.round(a)).astype("float32")


def found(a: np.ndarray, model: cfar.Model) -> list[objects.Found]:
    response = cfar.respond(a, None, model)
    h, w = a.shape
    return list(objects.find(response.over, response.grown, response.at, judged=response.judged, origin=(0, 0), scene=(h, w),
                             trusted=(0, 0, h, w), core=(0, 0, h, w), least_px=3))


@pytest.mark.parametrize("steps", ["round", "floor", "halves", "decibels"])
@pytest.mark.parametrize("looks", [1, 4, 10])
def test_ships_are_found_on_a_sea_of_few_grey_levels(looks, steps):
    for mean in (1.5, 2.5, 3.0, 4.0, 5.0, 7.0, 9.0, 13.0):
        a = sea(int(10 * mean), looks, mean, steps)
        for r, c in SHIPS:
            a[r : r + 4, c : c + 12] = a.max() * 4.0
        flags = found(a, cfar.fit([Sample(a, None, EVERYTHING)], 1e-6, 0.0 if steps == "decibels" else 1.0))
        ships = sum(any(abs(f.row - r - 2) < 3 and abs(f.col - c - 6) < 5 for f in flags) for r, c in SHIPS)
        assert (ships, len(flags) <= 6) == (5, True), (mean, len(flags))


@pytest.mark.parametrize("mean", [1.0, 2.5, 4.0, 8.0])
@pytest.mark.parametrize("looks, steps", [(1, "floor"), (4, "round"), (10, "round"), (4, "decibels")])
def test_the_rate_asked_is_the_rate_measured_on_few_grey_levels(looks, steps, mean):
    a = sea(3, looks, mean, steps, (1400, 1400))
    for pfa in (1e-3, 1e-4):
        model = cfar.fit([Sample(a, None, EVERYTHING)], pfa, 0.0 if steps == "decibels" else 1.0)
        assert model.steps is not None
        # 196 pixels are expected at 1e-4: 1.25 is three sigmas and a half away
        assert 0.75 < cfar.respond(a, None, model).over.mean() / pfa < 1.3


def test_a_sea_of_many_values_is_taken_as_it_is():
    a = sea(4, 4, 300.0, "round")
    assert grey_steps.find([Sample(a, None, EVERYTHING)], clip=lambda: None) is None
    assert cfar.fit([Sample(a, None, EVERYTHING)], 1e-6, 1.0).steps is None


def test_what_a_value_stands_for_lies_within_its_step_and_does_not_depend_on_the_window():
    a = sea(5, 4, 4.0, "round", (256, 320))
    a[100:104, 100:112] = 90.0
    steps = grey_steps.find([Sample(a, None, EVERYTHING)], clip=lambda: None)
    whole = grey_steps.spread_out(a, steps)
    assert (np.abs(whole - a) <= 0.5).all() and (whole[100:104, 100:112] == 90.0).all()
    assert (grey_steps.spread_out(a[64:192, 128:300], steps) == whole[64:192, 128:300]).all()


# --- change ---------------------------------------------------------------------------------------


def two_dates(seed: int, shape=(300, 300)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Land of six bands twice, with a field of 20 x 30 px that changed, and where it lies."""
    rng = np.random.default_rng(seed)
    base = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 6) * 40.0 for _ in range(6)])
    land = 1000.0 + 60.0 * np.einsum("ij,jyx->iyx", rng.normal(size=(6, 6)) + 2.0 * np.eye(6), base)
    first, second = (land + rng.normal(0, 12.0, land.shape) for _ in range(2))
    field = np.zeros(shape, bool)
    field[200:220, 50:80] = True
    return first.astype("float32"), (second * 1.2 + 50.0).astype("float32"), field


def changed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, ir_mad.Model]:
    x = np.concatenate([before, after])
    model = ir_mad.fit([Sample(x, None, EVERYTHING)], None, 0.0)
    return ir_mad.respond(x, None, model).over, model


def test_where_nothing_changed_hardly_a_pixel_did():
    before, after, _ = two_dates(1)
    over, model = changed(before, after)
    assert over.mean() < 1e-4 and not model.parted
    assert not changed(before, before)[0].any()


@pytest.mark.parametrize("hidden", ["clear", "one cloud", "clouds over a fifth", "a border of ones", "hot pixels"])
def test_the_field_is_found_whatever_stands_out_beside_it(hidden):
    before, after, field = two_dates(2)
    after[:, field] += np.float32([300, -200, 260, 150, -220, 240])[:, None]
    rng = np.random.default_rng(3)
    beside = np.zeros(field.shape, bool)
    if hidden == "one cloud":
        beside[40:75, 180:215] = True
    elif hidden == "clouds over a fifth":
        smooth = ndimage.gaussian_filter(rng.normal(size=field.shape), 10)
        beside = (smooth > np.quantile(smooth, 0.8)) & ~field
    elif hidden == "a border of ones":
        beside[:3] = True
        after[:, beside] = 1.0
    elif hidden == "hot pixels":
        beside = (rng.random(field.shape) < 1e-3) & ~field
        after[:, beside] = 65535.0
    if "cloud" in hidden:
        after[:, beside] += rng.normal(9000.0, 800.0, (6, int(beside.sum()))).astype("float32")
    over, _ = changed(before, after)
    assert over[field].mean() > 0.9 and over[~field & ~beside].mean() < 1e-3


def test_two_scenes_with_nothing_in_common_are_said_to_be():
    before, after, _ = two_dates(4)
    mixed = np.random.default_rng(5).permuted(after.reshape(6, -1), axis=1).reshape(after.shape)
    with pytest.raises(ValueError, match="nothing in common"):
        changed(before, mixed)


# --- the cases ------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", ["c03_uint8_sea_lost.tif", "c03_uint8_sea_false.tif"])
def test_case_c03(name):
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is absent")
    assert 5 <= len(scan(CASES / name).flags) <= 6


@pytest.mark.shared
def test_case_c06():
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is absent")
    before = CASES / "c06_irmad_before.tif"
    over = {k: scan(CASES / f"c06_irmad_after_{k}.tif", before=before, detector="ir-mad")
            for k in ("clear", "one_cloud", "nothing_changed")}
    assert over["nothing_changed"].over_px < 16 and over["clear"].over_px == 600
    place = [(round(f.col), round(f.row)) for f in over["clear"].flags]
    assert len(place) == 1 and place[0] in [(round(f.col), round(f.row)) for f in over["one_cloud"].flags]
