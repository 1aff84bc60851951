"""The cases of ../shared/cases/drone as their pages say; the kinds behind them stand in ``test_drone_sources``."""

from __future__ import annotations

from pathlib import Path

import pytest

from birddog.geo import distance_m
from imagery.drone import Frame, read_frame

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "drone"
pytestmark = pytest.mark.shared


def frame(name: str) -> Frame:
    file = CASES / f"{name}.jpg"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    return read_frame(file)


def sides(f: Frame) -> tuple[float, float]:
    """The longer and the shorter side of the footprint, m."""
    ring = f.footprint["coordinates"][0]
    out = [distance_m(lat1_deg=a[1], lon1_deg=a[0], lat2_deg=b[1], lon2_deg=b[0]) for a, b in zip(ring, ring[1:], strict=False)]
    return max(out[:2]), min(out[:2])


def test_positions_and_times():
    for name in ("d01_exif_zero_xmp_good", "d02_exif_whole_seconds_xmp_fine"):
        f = frame(name)
        assert (f.lat_deg, f.lon_deg) == pytest.approx((-33.50456, -70.25456), abs=1e-7)
    assert frame("d07_utc_at_exposure").time == "2024-05-01T16:00:00.123Z"
    aimed = frame("d12_lrf_target_rtk")
    assert (aimed.target_lat_deg, aimed.target_lon_deg) == pytest.approx((-33.5034, -70.2538), abs=1e-7)
    assert aimed.position_sigma_m is not None and aimed.position_sigma_m < 0.05  # RtkStd


def test_footprints():
    wide, high = sides(frame("d05_calibrated_focal"))
    assert (wide, high) == pytest.approx((48.3, 39.3), abs=0.2)
    turned = frame("d06_roll_180_nadir")
    assert turned.sigma_m == pytest.approx(3.18, abs=0.01) and "yaw_inconsistent" not in turned.notes
    plain, zoomed = sides(frame("d06_roll_180_nadir"))[0], frame("d13_digital_zoom_4")
    assert sides(zoomed)[0] == pytest.approx(plain / 4.0, rel=0.02) and "digital_zoom" in zoomed.notes


@pytest.mark.parametrize(("name", "footprint"), [("d08_parrot_anafi", False), ("d09_autel", True), ("d10_skydio", True)])
def test_other_makers(name, footprint):
    f = frame(name)
    assert (f.gimbal_yaw_deg, f.gimbal_pitch_deg) == (30.0, -90.0)
    assert (f.footprint is not None) == footprint and (footprint or f.notes)
