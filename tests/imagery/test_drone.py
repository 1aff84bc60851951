"""A drone's picture: metadata as written, and the ground that it shows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from birddog.errors import UsageError
from imagery.drone import ground_corners, read_frame
from opsroom import cli

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "imagery" / "drone"


def picture(path: Path, *, gps: dict | None = None, camera: dict | None = None, xmp: str = "", size=(400, 300)) -> Path:
    exif = Image.Exif()
    exif.get_ifd(34853).update(gps or {})
    exif.get_ifd(34665).update(camera or {})
    extra = {"xmp": xmp.encode()} if xmp else {}
    Image.new("RGB", size).save(path, "JPEG", exif=exif, **extra)
    return path


GPS = {1: "N", 2: (51.0, 30.0, 36.0), 3: "W", 4: (0.0, 7.0, 12.0), 5: b"\0", 6: 120.5}
CAMERA = {36867: "2026:11:24 10:15:00", 37386: 8.8, 41989: 24}
DJI = '<x drone-dji:RelativeAltitude="+50.00" drone-dji:GimbalYawDegree="+90.0" drone-dji:GimbalPitchDegree="-90.0" ' \
      'drone-dji:GimbalRollDegree="+0.0" drone-dji:FlightYawDegree="{yaw}" drone-dji:FlightPitchDegree="1.5" ' \
      'drone-dji:FlightRollDegree="-2"/>'


def test_what_is_written_is_read(tmp_path):
    f = read_frame(picture(tmp_path / "a.jpg", gps=GPS, camera=CAMERA, xmp=DJI.format(yaw="88")))
    assert (f.lat_deg, f.lon_deg) == pytest.approx((51.51, -0.12)) and f.alt_m == pytest.approx(120.5)
    assert (f.relative_alt_m, f.gimbal_yaw_deg, f.gimbal_pitch_deg, f.gimbal_roll_deg) == (50.0, 90.0, -90.0, 0.0)
    assert (f.flight_yaw_deg, f.flight_pitch_deg, f.flight_roll_deg) == (88.0, 1.5, -2.0)
    assert (f.focal_mm, f.focal35_mm) == (pytest.approx(8.8), 24.0)
    assert f.time is None and f.time_local == "2026-11-24T10:15:00", "no zone: no time"
    ring = f.footprint["coordinates"][0]
    assert ring[0] == ring[-1] and len(ring) == 5
    assert sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:], strict=False)) > 0.0
    # looking down from 50 m, top of the picture to the east; 24 mm over the diagonal: 72.1 m north-south, 54.1 m east-west
    assert (max(p[1] for p in ring) - min(p[1] for p in ring)) * 111_250 == pytest.approx(72.11, rel=0.01)
    assert (max(p[0] for p in ring) - min(p[0] for p in ring)) * 69_400 == pytest.approx(54.08, rel=0.01)
    assert 1.0 < f.sigma_m < 10.0 and f.notes == ()


def test_times_with_a_zone(tmp_path):
    f = read_frame(picture(tmp_path / "a.jpg", gps=GPS, camera=CAMERA | {36881: "+02:00"}))
    assert f.time == "2026-11-24T08:15:00.000Z"
    f = read_frame(picture(tmp_path / "b.jpg", gps=GPS | {7: (9.0, 14.0, 58.5), 29: "2026:11:24"}, camera=CAMERA))
    assert f.time == "2026-11-24T09:14:58.500Z"


def test_a_yaw_that_contradicts_the_flight_is_not_trusted(tmp_path):
    f = read_frame(picture(tmp_path / "a.jpg", gps=GPS, camera=CAMERA, xmp=DJI.format(yaw="-91")))
    assert f.notes == ("yaw_inconsistent",) and f.sigma_m > 40.0


def test_elements_are_read_like_attributes(tmp_path):
    xmp = "".join(f"<drone-dji:{name}>{value}</drone-dji:{name}>" for name, value in (("RelativeAltitude", "+7.5"),
                                                                                       ("GimbalYawDegree", "x")))
    f = read_frame(picture(tmp_path / "a.jpg", gps=GPS, xmp=xmp))
    assert f.relative_alt_m == 7.5 and f.gimbal_yaw_deg is None and f.footprint is None and f.sigma_m is None


def test_an_oblique_view():
    corners, cut = ground_corners(100.0, 0.0, -45.0, 0.0, 0.5, 0.25)
    assert not cut
    near, far = min(n for _, n in corners), max(n for _, n in corners)
    assert near == pytest.approx(100.0 / math.tan(math.radians(45.0) + math.atan(0.25)))
    assert far == pytest.approx(100.0 / math.tan(math.radians(45.0) - math.atan(0.25)))
    assert sum(e for e, _ in corners) == pytest.approx(0.0, abs=1e-9)
    turned, _ = ground_corners(100.0, 90.0, -45.0, 0.0, 0.5, 0.25)
    assert max(e for e, _ in turned) == pytest.approx(far)


def test_a_roll_to_the_right_looks_left():
    corners, _ = ground_corners(100.0, 0.0, -60.0, 20.0, 0.3, 0.2)
    level, _ = ground_corners(100.0, 0.0, -60.0, 0.0, 0.3, 0.2)
    # the right side is down: the near right corner comes nearer the foot point
    assert sorted(corners) != sorted(level)


def test_a_view_over_the_horizon_is_cut():
    corners, cut = ground_corners(100.0, 0.0, -5.0, 0.0, 0.5, 0.4)
    assert cut and all(math.isfinite(v) for c in corners for v in c) and max(n for _, n in corners) < 1200.0


@pytest.mark.parametrize("gps", [{}, GPS | {1: "X"}, GPS | {2: (95.0, 0.0, 0.0)}, {2: (1.0, 2.0, 3.0), 4: (1.0, 2.0, 3.0)},
                                 {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}])
def test_no_position_is_said(tmp_path, gps):
    with pytest.raises(UsageError, match="no position"):
        read_frame(picture(tmp_path / "a.jpg", gps=gps, xmp=DJI.format(yaw="0")))


def test_what_is_no_jpeg(tmp_path, capsys):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    whole = picture(tmp_path / "w.jpg", gps=GPS, camera=CAMERA, xmp=DJI.format(yaw="0")).read_bytes()
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("a.png", "empty.jpg", "none.jpg", "."):
        assert cli.main(["drone-frame", str(tmp_path / name)]) == 2
        out = capsys.readouterr()
        assert out.out == "" and len(out.err.splitlines()) == 1
    for n in range(0, len(whole), 7):
        (tmp_path / "cut.jpg").write_bytes(whole[:n])
        status = cli.main(["drone-frame", str(tmp_path / "cut.jpg")])
        out = capsys.readouterr()
        assert status in (0, 2) and "Traceback" not in out.err
    for n in range(4, min(len(whole), 900), 3):
        raw = bytearray(whole)
        raw[n] ^= 0xA5
        (tmp_path / "flip.jpg").write_bytes(raw)
        status = cli.main(["drone-frame", str(tmp_path / "flip.jpg")])
        out = capsys.readouterr()
        assert status in (0, 2)
        if status == 0:
            json.loads(out.out)


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")
def test_real_frames():
    for t in json.loads((DATA / "truth.json").read_text()):
        f = read_frame(DATA / t["file"])
        assert (f.lat_deg, f.lon_deg) == pytest.approx((t["lat"], t["lon"]), abs=1e-9)
        assert f.gimbal_yaw_deg == t["GimbalYawDegree"] and f.relative_alt_m == t["RelativeAltitude"] and f.time is None


@pytest.mark.parametrize("wrong", [("RelativeAltitude", "+1e308"), ("RelativeAltitude", "8900000"),
                                   ("GimbalYawDegree", "1e300"), ("GimbalPitchDegree", "-1e12")])
def test_what_no_drone_has_gives_no_footprint_and_is_told(tmp_path, capsys, wrong):
    import re

    xmp = re.sub(rf'{wrong[0]}="[^"]*"', f'{wrong[0]}="{wrong[1]}"', DJI.format(yaw="88"))
    assert cli.main(["drone-frame", str(picture(tmp_path / "a.jpg", gps=GPS, camera=CAMERA, xmp=xmp))]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["footprint"] is None and said["notes"] == ["unbelievable"] and said["lat_deg"] == pytest.approx(51.51)


def test_an_offset_that_no_zone_has_is_none(tmp_path):
    f = read_frame(picture(tmp_path / "a.jpg", gps=GPS, camera=CAMERA | {36881: "+99:99"}))
    assert f.time is None and f.time_local == "2026-11-24T10:15:00"


def test_a_position_in_xmp_on_the_meridian_of_greenwich(tmp_path):
    f = read_frame(picture(tmp_path / "a.jpg", camera=CAMERA,
                           xmp='<x drone-dji:GpsLatitude="51.5" drone-dji:GpsLongitude="0.0"/>'))
    assert (f.lat_deg, f.lon_deg) == (51.5, 0.0)


@pytest.mark.parametrize("lon, letter", [((179.0, 59.0, 59.99), "E"), ((180.0, 0.0, 0.0), "W"), ((179.0, 59.0, 59.99), "W")])
def test_a_footprint_on_the_date_line_is_cut_in_two(tmp_path, lon, letter):
    where = GPS | {3: letter, 4: lon}
    f = read_frame(picture(tmp_path / "a.jpg", gps=where, camera=CAMERA, xmp=DJI.format(yaw="88")))
    assert f.footprint["type"] == "MultiPolygon"
    area = 0.0
    for (ring,) in f.footprint["coordinates"]:
        assert ring[0] == ring[-1] and all(-180.0 <= o <= 180.0 for o, _ in ring)
        assert max(o for o, _ in ring) - min(o for o, _ in ring) < 0.01
        part = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:], strict=False)) / 2.0
        assert part > 0.0
        area += part
    assert area * 111_250 * 69_400 == pytest.approx(72.11 * 54.08, rel=0.02)
    assert {180.0, -180.0} <= {abs(o) * (1 if o > 0 else -1) for (ring,) in f.footprint["coordinates"] for o, _ in ring}
