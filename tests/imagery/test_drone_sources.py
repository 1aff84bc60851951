"""A drone's picture whose sources differ: each maker's names, EXIF against XMP, times, lenses, lasers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from birddog.geo import distance_m
from imagery.drone import Frame, read_frame
from imagery.drone_tags import FLIGHT, GIMBAL, NAMES, NAMESPACES, read_xmp

GPS = {1: "S", 2: (33.0, 30.0, 16.416), 3: "W", 4: (70.0, 15.0, 16.416), 5: b"\0", 6: 150.5}
CAMERA = {36867: "2024:05:01 12:00:00", 37386: 8.8, 41989: 24}
DJI = {"RelativeAltitude": "+60.00", "GimbalYawDegree": "+30.0", "GimbalPitchDegree": "-90.0", "GimbalRollDegree": "+0.0",
       "FlightYawDegree": "+31.0", "FlightPitchDegree": "+1.0", "FlightRollDegree": "+0.5"}


def frame(tmp_path, gps=GPS, camera=CAMERA, xmp: str | dict | None = None, size=(400, 300), **more) -> Frame:
    if not isinstance(xmp, str):
        said = DJI | (xmp or {}) | more
        xmp = "<x " + " ".join(f'drone-dji:{k}="{v}"' for k, v in said.items() if v is not None) + "/>"
    exif = Image.Exif()
    exif.get_ifd(34853).update(gps)
    exif.get_ifd(34665).update(camera)
    Image.new("RGB", size).save(tmp_path / "a.jpg", "JPEG", exif=exif, xmp=xmp.encode())
    return read_frame(tmp_path / "a.jpg")


def sides(f: Frame) -> tuple[float, float]:
    ring = f.footprint["coordinates"][0]
    out = [distance_m(lat1_deg=a[1], lon1_deg=a[0], lat2_deg=b[1], lon2_deg=b[0]) for a, b in zip(ring, ring[1:], strict=False)]
    return max(out[:2]), min(out[:2])


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("name", sorted({n for names in NAMES.values() for n in names if "/" not in n}))
def test_every_name_is_read_as_attribute_in_either_quotes_and_as_element(name, quote):
    prefix, local = name.split(":")
    assert read_xmp(f"<r:D {prefix}:{local} = {quote}+1.5{quote}/>".encode())[name] == "+1.5"
    assert read_xmp(f"<r:D><{prefix}:{local}> 1.5 </{prefix}:{local}></r:D>".encode())[name] == "1.5"
    assert name not in read_xmp(f"<r:D {prefix}:{local}={quote}n/a{quote}/>".encode())


@pytest.mark.parametrize("part, prefix", NAMESPACES)
def test_a_prefix_counts_for_what_it_is_bound_to(part, prefix):
    said = read_xmp(f"<r:D xmlns:ns7='https://www.{part}1.0/' ns7:RelativeAltitude='60'/>".encode())
    assert said == {f"{prefix}:RelativeAltitude": "60"}


@pytest.mark.parametrize("form", ["elements", "resource", "attributes"])
def test_children_of_a_structure_are_not_each_others(form):
    blocks = {"CameraOrientationNED": (1, -80, 30), "VehicleOrientationNED": (2, 3, 40), "CameraOrientationFLU": (7, 8, 9)}
    text = ""
    for name, values in blocks.items():
        pairs = list(zip(("Roll", "Pitch", "Yaw"), values, strict=True))
        if form == "attributes":
            text += f"<drone-skydio:{name} " + " ".join(f'drone-skydio:{k}="{v}"' for k, v in pairs) + "/>"
        else:
            inner = "".join(f"<drone-skydio:{k}>{v}</drone-skydio:{k}>" for k, v in pairs)
            kind = ' rdf:parseType="Resource"' if form == "resource" else ""
            text += f"<drone-skydio:{name}{kind}>{inner}</drone-skydio:{name}>"
    said = read_xmp(text.encode())
    assert [said[f"drone-skydio:CameraOrientationNED/{k}"] for k in ("Roll", "Pitch", "Yaw")] == ["1", "-80", "30"]
    assert [said[f"drone-skydio:VehicleOrientationNED/{k}"] for k in ("Roll", "Pitch", "Yaw")] == ["2", "3", "40"]


def wrapped(names: dict[str, str]) -> str:
    """The XMP of any names, structures as Skydio nests them."""
    blocks: dict[str, str] = {}
    plain = ""
    for name, value in names.items():
        outer, _, child = name.partition("/")
        if child:
            prefix = outer.split(":")[0]
            blocks[outer] = blocks.get(outer, "") + f"<{prefix}:{child}>{value}</{prefix}:{child}>"
        else:
            plain += f"<{name}>{value}</{name}>"
    return plain + "".join(f'<{outer} rdf:parseType="Resource">{inner}</{outer}>' for outer, inner in blocks.items())


@pytest.mark.parametrize("one", GIMBAL, ids=lambda a: a.yaw)
@pytest.mark.parametrize("above", ["RelativeAltitude", "AboveGroundAltitude"])
def test_every_makers_angles_give_the_same_footprint(tmp_path, one, above):
    maker = "Camera" if above == "AboveGroundAltitude" else one.yaw.split(":")[0]
    xmp = wrapped({one.yaw: "30", one.pitch: str(one.down_deg), one.roll: "0", f"{maker}:{above}": "60"})
    f = frame(tmp_path, xmp=xmp)
    assert (f.gimbal_yaw_deg, f.gimbal_pitch_deg, f.gimbal_roll_deg, f.relative_alt_m) == (30.0, -90.0, 0.0, 60.0)
    assert f.notes == () and f.footprint == frame(tmp_path).footprint


@pytest.mark.parametrize("one", FLIGHT, ids=lambda a: a.yaw)
def test_every_makers_flight_angles(tmp_path, one):
    f = frame(tmp_path, xmp=wrapped({one.yaw: "31", one.pitch: "1", one.roll: "2"}))
    assert (f.flight_yaw_deg, f.flight_pitch_deg, f.flight_roll_deg) == (31.0, 1.0, 2.0)


def test_the_yaw_of_one_set_is_never_joined_with_the_pitch_of_another(tmp_path):
    f = frame(tmp_path, xmp='<x drone-dji:GimbalYawDegree="10" Camera:Yaw="30" Camera:Pitch="0" Camera:Roll="0"/>')
    assert (f.gimbal_yaw_deg, f.gimbal_pitch_deg) == (30.0, -90.0)


@given(st.binary(max_size=400))
def test_no_xmp_raises(raw):
    read_xmp(raw)
    read_xmp(b"<drone-skydio:CameraOrientationNED " + raw + b"</drone-skydio:CameraOrientationNED>")


@pytest.mark.parametrize("lacks, word", [
    ("RelativeAltitude", "missing_relative_altitude"), ("GimbalYawDegree", "missing_gimbal_yaw"),
    ("GimbalPitchDegree", "missing_gimbal_pitch"),
])
def test_a_footprint_that_is_null_says_why(tmp_path, lacks, word):
    f = frame(tmp_path, **{lacks: None})
    assert f.footprint is None and f.notes == (word,)


def test_other_reasons_for_no_footprint(tmp_path):
    assert frame(tmp_path, camera={}).notes == ("missing_focal_length",)
    assert frame(tmp_path, RelativeAltitude="-3").notes == ("relative_altitude_not_above_ground",)
    zero = dict.fromkeys((k for k in DJI if k.endswith("Degree")), "0.0")
    assert frame(tmp_path, xmp=zero).notes == ("angles_all_zero",)
    pole = frame(tmp_path, gps=GPS | {1: "N", 2: (89.0, 59.0, 59.999)})
    assert pole.footprint is None and pole.notes == ("about_a_pole",)


def test_a_gimbal_that_measured_nothing_gives_no_footprint_though_the_drone_flew(tmp_path):
    f = frame(tmp_path, GimbalYawDegree="0.00", GimbalPitchDegree="0.00", GimbalRollDegree="0.00")
    assert f.footprint is None and f.notes == ("angles_all_zero",)
    assert frame(tmp_path, GimbalYawDegree="0.00", GimbalRollDegree="0.00").footprint is not None, "looking down, to the north"


@pytest.mark.parametrize("where", ["main", "camera"])
def test_xmp_inside_exif_is_read(tmp_path, where):
    exif = Image.Exif()
    exif.get_ifd(34853).update(GPS)
    exif.get_ifd(34665).update(CAMERA)
    said = ("<x " + " ".join(f'drone-dji:{k}="{v}"' for k, v in DJI.items()) + "/>").encode()
    (exif if where == "main" else exif.get_ifd(34665))[700] = said
    Image.new("RGB", (400, 300)).save(tmp_path / "b.jpg", "JPEG", exif=exif)
    assert read_frame(tmp_path / "b.jpg").footprint == frame(tmp_path).footprint


# --- position -------------------------------------------------------------------------------------

ZERO = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}
WHOLE = GPS | {2: (33.0, 30.0, 16.0), 4: (70.0, 15.0, 16.0)}


@pytest.mark.parametrize("gps, xmp, lat, by, notes", [
    (GPS, None, -33.50456, "exif", ()),
    ({}, "-33.504560", -33.50456, "xmp", ()),
    (ZERO, "-33.504560", -33.50456, "xmp", ()),
    (WHOLE, "-33.504560", -33.50456, "xmp", ()),
    (WHOLE, "-33.5", -33.504444, "exif", ()),
    (GPS, "-33.50456", -33.50456, "exif", ()),
    (GPS, "0.0", -33.50456, "exif", ()),
    (GPS, "95.123456", -33.50456, "exif", ()),
    (GPS, "-33.514560012345", -33.50456, "exif", ("position_sources_differ",)),
    (GPS | {9: "V"}, None, -33.50456, "exif", ("position_void",)),
])
def test_of_two_positions_the_finer_is_taken(tmp_path, gps, xmp, lat, by, notes):
    lon = {None: None, "0.0": "0.0", "-33.5": "-70.3"}.get(xmp, "-70.254560")
    f = frame(tmp_path, gps=gps, GpsLatitude=xmp, GpsLongitude=lon)
    assert f.lat_deg == pytest.approx(lat, abs=1e-6) and (f.position_by, f.notes) == (by, notes)
    if "position_sources_differ" in notes:
        assert f.sigma_m > 1000.0


@pytest.mark.parametrize("seconds, least_m", [(16.0, 8.9), (16.4, 0.8), (16.416, 0.0)])
def test_no_sigma_is_finer_than_the_position_is_written(tmp_path, seconds, least_m):
    f = frame(tmp_path, gps=GPS | {2: (33.0, 30.0, seconds), 4: (70.0, 15.0, seconds)}, RtkFlag="50", RtkStdLat="0.012",
              RtkStdLon="0.011")
    assert f.position_sigma_m >= least_m and f.position_sigma_m == pytest.approx(max(least_m, 0.012), rel=0.15)


@pytest.mark.parametrize("flag, sigma", [("0", 3.0), ("16", 3.0), ("34", 0.7), ("50", 0.7), (None, 3.0)])
def test_rtk_sigmas_count_where_there_was_a_solution(tmp_path, flag, sigma):
    assert frame(tmp_path, RtkFlag=flag, RtkStdLat="0.7", RtkStdLon="0.5").position_sigma_m == pytest.approx(sigma)
    assert frame(tmp_path, RtkFlag=flag, RtkStdLat="0", RtkStdLon="0").position_sigma_m == 3.0, "0 is not known"


def test_a_stated_error_counts(tmp_path):
    assert frame(tmp_path, gps=GPS | {31: 15.1}).position_sigma_m == pytest.approx(10.0)
    assert frame(tmp_path, gps=GPS | {31: 0.0}).position_sigma_m == 3.0


@pytest.mark.parametrize("ref, alt, datum", [(0, 150.5, "msl"), (1, -150.5, "msl"), (2, 150.5, "ellipsoid"),
                                             (3, -150.5, "ellipsoid"), (9, 150.5, "unknown")])
def test_references_of_the_altitude(tmp_path, ref, alt, datum):
    f = frame(tmp_path, gps=GPS | {5: bytes([ref])})
    assert (f.alt_m, f.alt_ref) == (pytest.approx(alt), datum)


def test_of_two_altitudes_the_finer_is_taken(tmp_path):
    assert frame(tmp_path, gps=GPS | {6: 0.0}, AbsoluteAltitude="+151.25").alt_m == 151.25
    assert frame(tmp_path, gps=GPS | {6: 151.0}, AbsoluteAltitude="+151.25").alt_m == 151.25
    f = frame(tmp_path, AbsoluteAltitude="+180.0", AltitudeType="RtkAlt")
    assert (f.alt_m, f.alt_ref) == (150.5, "ellipsoid")


# --- attitude and lens ----------------------------------------------------------------------------


@given(yaw=st.floats(-180, 180), pitch=st.floats(-90, -30), roll=st.floats(-40, 40))
def test_an_attitude_turned_over_twice_is_the_same(tmp_path_factory, yaw, pitch, roll):
    """R(yaw, pitch, roll) = R(yaw + 180, 180 - pitch, roll + 180)."""
    folder = tmp_path_factory.mktemp("d")
    one = frame(folder, GimbalYawDegree=yaw, GimbalPitchDegree=pitch, GimbalRollDegree=roll, FlightYawDegree=yaw)
    other = frame(folder, GimbalYawDegree=yaw - 180, GimbalPitchDegree=180 - pitch, GimbalRollDegree=roll + 180,
                  FlightYawDegree=yaw)
    assert "yaw_inconsistent" not in other.notes and one.notes == other.notes
    assert other.sigma_m == pytest.approx(one.sigma_m, rel=0.01)
    corners = [sorted(map(tuple, f.footprint["coordinates"][0][:4])) for f in (one, other)]
    for a, b in zip(*corners, strict=True):
        assert a == pytest.approx(b, abs=2e-7)


@pytest.mark.parametrize("roll", ["180", "-180", "+180.00", "179.9"])
def test_a_roll_of_180_at_nadir_is_a_turned_picture(tmp_path, roll):
    f = frame(tmp_path, GimbalYawDegree="-149", GimbalRollDegree=roll)
    assert f.notes == () and f.sigma_m == pytest.approx(frame(tmp_path).sigma_m, rel=0.02)
    assert (f.gimbal_yaw_deg, f.gimbal_roll_deg) == (-149.0, float(roll)), "as written"


@pytest.mark.parametrize("size, more, camera, wide_m", [
    ((1600, 1300), {"CalibratedFocalLength": "1913.333374", "CalibratedOpticalCenterX": "800.0"}, {41989: 40}, 48.3),
    ((1600, 1300), {}, {41989: 40}, 48.5),
    ((800, 650), {"CalibratedFocalLength": "1913.333374", "CalibratedOpticalCenterX": "800.0"}, {41989: 40}, 48.3),
    ((1600, 1300), {"DewarpData": "2020-03-24;1913.3,1910.6,7.0,-8.7,0.1"}, {41989: 40}, 48.3),
    ((1600, 1300), {}, {37386: 8.0, 41486: 239.16, 41488: 4, 41989: 40}, 48.3),
    ((1600, 1300), {}, {37386: 8.0, 41486: 2391.6, 41488: 3, 41989: 40}, 48.3),
    ((1600, 900), {}, {41989: 20}, 57.8 * 36 / 20),  # cut from 3:2 or 4:3
    ((1600, 1200), {}, {41989: 20}, 57.8 * 43.267 / 20 * 0.8),
])
def test_the_lens(tmp_path, size, more, camera, wide_m):
    f = frame(tmp_path, size=size, camera={36867: "2024:05:01 12:00:00"} | camera, RelativeAltitude="57.8", **more)
    assert sides(f)[0] == pytest.approx(wide_m, rel=0.004) and f.notes == ()
    assert sides(f)[1] == pytest.approx(wide_m * size[1] / size[0], rel=0.004)


def test_a_calibration_of_another_lens_is_not_used(tmp_path):
    f = frame(tmp_path, CalibratedFocalLength="3666.67")
    assert f.notes == ("focal_inconsistent",) and f.footprint == frame(tmp_path).footprint


@pytest.mark.parametrize("zoom, share", [(4.0, 0.25), (1.0, 1.0), (0.0, 1.0), (float("nan"), 1.0), (1.5, 1 / 1.5)])
def test_a_digital_zoom_makes_the_footprint_smaller(tmp_path, zoom, share):
    f = frame(tmp_path, camera=CAMERA | {41988: zoom})
    assert sides(f)[0] == pytest.approx(sides(frame(tmp_path))[0] * share, rel=1e-4)
    assert ("digital_zoom" in f.notes) == (share < 1.0) and f.digital_zoom == (zoom if share < 1.0 else None)


# --- laser ----------------------------------------------------------------------------------------

LASER = {"GimbalPitchDegree": "-24.5", "RtkFlag": "50", "RtkStdLat": "0.012", "RtkStdLon": "0.011", "LRFStatus": "Normal",
         "LRFTargetDistance": "144.7", "LRFTargetLat": "-33.503536", "LRFTargetLon": "-70.253854", "LRFTargetAbsAlt": "90.5"}


def test_a_lasers_target_says_what_lies_in_the_middle(tmp_path):
    f = frame(tmp_path, xmp=LASER)
    assert (f.target_lat_deg, f.target_lon_deg, f.target_alt_m, f.target_distance_m) == (-33.503536, -70.253854, 90.5, 144.7)
    assert f.position_sigma_m == 0.012 and f.sigma_m == f.target_sigma_m < 15.0
    assert frame(tmp_path, GimbalPitchDegree="-24.5").sigma_m > 30.0
    away = frame(tmp_path, xmp=LASER | {"GimbalYawDegree": "-150", "FlightYawDegree": "-150"})
    assert "target_off_picture" in away.notes and away.sigma_m > 30.0


@pytest.mark.parametrize("wrong", [{"LRFStatus": "TooClose"}, {"LRFTargetLat": "0.0", "LRFTargetLon": "0.0"},
                                   {"LRFTargetLat": None}])
def test_a_laser_that_measured_nothing_says_nothing(tmp_path, wrong):
    f = frame(tmp_path, xmp=LASER | wrong)
    assert f.target_lat_deg is None and f.target_distance_m is None and f.target_sigma_m is None


@pytest.mark.parametrize("wrong", [{"LRFTargetLat": "50.0", "LRFTargetLon": "10.0"}, {"LRFTargetDistance": "60.0"},
                                   {"LRFTargetDistance": None, "LRFTargetLat": "-33.6"}])
def test_a_target_farther_away_than_the_laser_measured_is_none(tmp_path, wrong):
    f = frame(tmp_path, xmp=LASER | wrong)
    assert "target_inconsistent" in f.notes and f.target_lat_deg is None and f.target_distance_m is None
    assert f.sigma_m == frame(tmp_path, xmp=LASER | {"LRFStatus": "TooFar"}).sigma_m


def test_the_laser_knows_the_height_above_the_ground_better(tmp_path):
    f = frame(tmp_path, xmp=LASER | {"RelativeAltitude": None})
    assert "height_from_laser" in f.notes and f.footprint is not None and f.relative_alt_m is None
    f = frame(tmp_path, xmp=LASER | {"RelativeAltitude": "160"})
    assert "height_from_laser" in f.notes
    low = frame(tmp_path, xmp=LASER)
    assert "height_from_laser" not in low.notes
    assert math.dist(f.footprint["coordinates"][0][0], low.footprint["coordinates"][0][0]) < 1e-5


# --- time -----------------------------------------------------------------------------------------

EAST = {29: "2024:05:01", 7: (16.0, 0.0, 0.5)}


@pytest.mark.parametrize("gps, camera, utc, time, by, notes", [
    ({}, {}, "2024-05-01T16:00:00.123456", "2024-05-01T16:00:00.123Z", "utc_at_exposure", ()),
    ({}, {}, "2024:05:01 16:00:00.123456", "2024-05-01T16:00:00.123Z", "utc_at_exposure", ()),
    ({}, {}, "soon", None, None, ()),
    ({}, {36881: "-04:00", 37521: "25"}, None, "2024-05-01T16:00:00.250Z", "exif_offset", ()),
    ({}, {36882: "-04:00"}, None, "2024-05-01T16:00:00.000Z", "exif_offset", ()),
    (EAST, {}, None, "2024-05-01T16:00:00.500Z", "gps", ()),
    (EAST, {36881: "-04:00"}, None, "2024-05-01T16:00:00.000Z", "exif_offset", ()),
    (EAST, {36881: "+02:00"}, None, "2024-05-01T10:00:00.000Z", "exif_offset", ("time_inconsistent",)),
    (EAST | {7: (16.0, 7.0, 30.0)}, {}, None, "2024-05-01T16:07:30.000Z", "gps", ("time_inconsistent",)),
    (EAST | {29: "2024:05:03"}, {}, None, "2024-05-03T16:00:00.500Z", "gps", ("time_inconsistent",)),
    (EAST | {29: "1980:01:06"}, {}, None, None, None, ("clock_not_set",)),
    (EAST, {36867: "1970:01:01 00:00:00"}, None, "2024-05-01T16:00:00.500Z", "gps", ("clock_not_set",)),
    (EAST | {7: (10.0, 0.0, 0.0)}, {}, "2024-05-01T16:00:00.1", "2024-05-01T16:00:00.100Z", "utc_at_exposure",
     ("time_inconsistent",)),
])
def test_the_times_are_compared(tmp_path, gps, camera, utc, time, by, notes):
    f = frame(tmp_path, gps=GPS | gps, camera=CAMERA | camera, UTCAtExposure=utc)
    assert (f.time, f.time_by, f.notes) == (time, by, notes)
