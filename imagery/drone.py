"""One frame of a drone: what its metadata says, and the piece of ground that it shows.

EXIF is read by Pillow, XMP by the names that makers give (``imagery.drone_tags``); the picture is not decoded.  What
both say is compared, and the finer one is taken.  The footprint is where the rays of the four corners meet a level plane
``relative_alt_m`` below the camera.

Frames: east, north, up at the camera.  Yaw clockwise from true north, pitch 0 level and -90 straight down, roll
positive right side down; at nadir the top of the picture points along the yaw.  A roll of 180 with yaw + 180 is the
same attitude without.  The 35 mm focal length is that of the diagonal (CIPA DCG-001): 43.27 mm over the picture's; a
picture wider than 3:2 is cut from a higher one.

Over 400 lines: of each quantity the sources, their comparison and what is said of it stand together.
"""

from __future__ import annotations

import math
import re
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from birddog.date_line import half
from birddog.errors import UsageError
from birddog.geo import LocalFrame, distance_m, valid_position
from birddog.units import iso_from_ns, ns_from_datetime
from imagery.drone_tags import FLIGHT, GIMBAL, attitude, decimals_of, number, number_of, read_xmp, text_of

MAX_FILE_BYTES = 300_000_000
#: A consumer receiver's position and a gimbal's angles, one sigma.
GPS_SIGMA_M = 3.0
TILT_SIGMA_DEG = 1.0
YAW_SIGMA_DEG = 5.0
#: Beside the barometer's own metre, relative height is off by terrain.
HEIGHT_SHARE = 0.03
#: What no drone's picture has: a height above ground or a lens beyond these is a broken file's.
MOST_HEIGHT_M, LEAST_FOCAL35_MM, MOST_ANGLE_DEG = 20_000.0, 4.0, 720.0
MOST_FOCAL35_MM = 3000.0
#: A corner that looks less than this below the horizon is drawn there.
LEAST_DEPRESSION_DEG = 5.0
#: The diagonal of 24 x 36 mm.
FILM_DIAGONAL_MM = math.hypot(24.0, 36.0)
#: A calibrated focal length further than this from the lens's own is another lens's.
FOCAL_SHARE = 0.25
#: DJI, LRF of H20, M30, M3, M4: 0.2 m and 0.15 % of the distance.
LASER_M, LASER_SHARE, MOST_LASER_M = 0.2, 0.0015, 5000.0
#: Two sources of one position may differ by so much before it is said.
APART_M = 30.0
#: A local time and the satellites' differ by whole quarters of an hour, give or take the clocks.
ZONE_SLACK_S, MOST_ZONE_S = 120.0, 14 * 3600.0


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What ``birddog drone-frame`` prints; None where the file does not say.

    ``time`` is ISO 8601 UTC; None with ``time_local`` where the file names no zone; ``time_by`` says which source it is.
    ``footprint`` is a GeoJSON polygon, closed, anticlockwise (two on the date line); ``sigma_m`` how well the middle of the
    picture is known, one sigma per axis, ``position_sigma_m`` how well the camera is.  ``target_…`` is what a laser range
    finder measured in the picture's middle.  ``notes`` says what is not to be trusted:

    ==========================  ==================================================================================
    yaw_inconsistent            gimbal and flight yaw more than 90 degrees apart: the middle is known no better than the
                                footprint is large
    footprint_cut               a corner looks at or above the horizon
    unbelievable                a height, an angle or a focal length that no drone has: no footprint
    angles_all_zero             every angle of the gimbal is exactly 0, as where none was measured (MSDK-V5#772): no
                                footprint
    missing_…                   what a footprint wants and the file does not say (relative_altitude, gimbal_yaw,
                                gimbal_pitch, focal_length)
    relative_altitude_not_above_ground, about_a_pole   why there is no footprint
    position_sources_differ     EXIF and XMP lie more than 30 m apart: the finer is taken, sigma holds both
    position_void               the receiver calls it void, or invalid
    time_inconsistent           two sources of the time contradict each other
    clock_not_set               a date that only a clock has that was never set: no time
    digital_zoom                the picture is cut to the digital zoom that is written, and so is the footprint
    focal_inconsistent          the calibrated focal length is another lens's: not used
    target_off_picture          the laser's target lies where the picture does not look: not used for sigma
    target_inconsistent         the laser's target lies farther off than it measured, or than any laser reaches: no target
    height_from_laser           the relative altitude is missing or contradicts the laser, whose height is taken
    ==========================  ==================================================================================
    """

    time: str | None
    time_local: str | None
    lat_deg: float
    lon_deg: float
    alt_m: float | None
    relative_alt_m: float | None
    gimbal_yaw_deg: float | None
    gimbal_pitch_deg: float | None
    gimbal_roll_deg: float | None
    flight_yaw_deg: float | None
    flight_pitch_deg: float | None
    flight_roll_deg: float | None
    focal_mm: float | None
    focal35_mm: float | None
    width_px: int
    height_px: int
    footprint: dict[str, Any] | None
    sigma_m: float | None
    notes: tuple[str, ...]
    time_by: str | None = None
    alt_ref: str = "unknown"
    position_by: str = "exif"
    position_sigma_m: float | None = None
    focal_px: float | None = None
    digital_zoom: float | None = None
    target_lat_deg: float | None = None
    target_lon_deg: float | None = None
    target_alt_m: float | None = None
    target_distance_m: float | None = None
    target_sigma_m: float | None = None


def read_frame(path: str | Path) -> Frame:
    """The metadata of a JPEG and its footprint.

    Raises:
        UsageError: no JPEG, damaged, or no position in it.
    """
    width, height, (main, camera, gps), xmp = _metadata(path)
    notes: list[str] = []
    where = _position(gps, xmp, notes)
    if where is None:
        raise UsageError("holds no position (EXIF GPS or XMP)", file=str(path))
    alt, alt_ref = _altitude(gps, xmp)
    yaw, pitch, roll = attitude(xmp, GIMBAL)
    flight = attitude(xmp, FLIGHT)
    focal35 = _positive(camera.get(41989))
    zoom = _zoom(camera, xmp, notes)
    focal_px = _focal_px(camera, xmp, width, height, focal35, zoom, notes)
    time, local, time_by = _times(main, camera, gps, xmp, notes)
    target = _target(xmp, where, notes)
    relative = number_of(xmp, "relative_alt_m")
    above = _height(relative, pitch, target, notes)
    angles = (yaw, pitch, roll, *flight)
    footprint = sigma = None
    lacking = [word for word, value in (("relative_altitude", above), ("gimbal_yaw", yaw), ("gimbal_pitch", pitch),
                                        ("focal_length", focal_px)) if value is None]
    notes += [f"missing_{word}" for word in lacking]
    if not lacking:
        assert above is not None and yaw is not None and pitch is not None and focal_px is not None
        diagonal = _diagonal_px(width, height)
        believable = (above <= MOST_HEIGHT_M and all(v is None or abs(v) <= MOST_ANGLE_DEG for v in angles)
                      and LEAST_FOCAL35_MM <= focal_px / diagonal * FILM_DIAGONAL_MM / zoom <= MOST_FOCAL35_MM)
        if not believable:
            notes.append("unbelievable")
        elif above <= 0.0:
            notes.append("relative_altitude_not_above_ground")
        elif all(v == 0.0 for v in (yaw, pitch, roll or 0.0)):
            notes.append("angles_all_zero")
        else:
            footprint, sigma = _footprint(where, above, (yaw, pitch, roll or 0.0), flight[0], (width, height), focal_px, notes)
    pointing = None
    if target is not None:
        pointing = _target_sigma(target, where)
        if sigma is not None and "yaw_inconsistent" not in notes:
            if _looks_at(target, where, (yaw, pitch, roll), (width, height), focal_px):
                # the laser measures what lies in the picture's middle
                sigma = min(sigma, pointing)
            else:
                notes.append("target_off_picture")
    return Frame(
        time=time, time_local=local, time_by=time_by, lat_deg=where.lat_deg, lon_deg=where.lon_deg, position_by=where.by,
        position_sigma_m=round(where.sigma_m, 3), alt_m=alt, alt_ref=alt_ref, relative_alt_m=relative,
        gimbal_yaw_deg=yaw, gimbal_pitch_deg=pitch, gimbal_roll_deg=roll,
        flight_yaw_deg=flight[0], flight_pitch_deg=flight[1], flight_roll_deg=flight[2],
        focal_mm=_positive(camera.get(37386)), focal35_mm=focal35, focal_px=None if focal_px is None else round(focal_px, 2),
        digital_zoom=zoom if zoom != 1.0 else None, width_px=width, height_px=height, footprint=footprint,
        sigma_m=None if sigma is None else round(sigma, 2), notes=tuple(notes),
        target_lat_deg=target.lat_deg if target else None, target_lon_deg=target.lon_deg if target else None,
        target_alt_m=target.alt_m if target else None, target_distance_m=target.distance_m if target else None,
        target_sigma_m=None if pointing is None else round(pointing, 2),
    )


def ground_corners(height_m: float, yaw_deg: float, pitch_deg: float, roll_deg: float, half_width: float, half_height: float
                   ) -> tuple[list[tuple[float, float]], bool]:
    """Where the picture's corners meet the plane below, (east, north) in metres, anticlockwise from the top right.

    Args:
        half_width, half_height: tangents of half the fields of view.

    Returns:
        The four corners, and whether one of them had to be drawn nearer because it looks too close to the horizon.
    """
    y, p, r = (math.radians(v) for v in (yaw_deg, pitch_deg, roll_deg))
    ahead = (math.cos(p) * math.sin(y), math.cos(p) * math.cos(y), math.sin(p))
    right0 = (math.cos(y), -math.sin(y), 0.0)
    up0 = (-math.sin(p) * math.sin(y), -math.sin(p) * math.cos(y), math.cos(p))
    right = tuple(math.cos(r) * a - math.sin(r) * b for a, b in zip(right0, up0, strict=True))
    up = tuple(math.cos(r) * b + math.sin(r) * a for a, b in zip(right0, up0, strict=True))
    out, cut = [], False
    for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        e, n, u = (a + sx * half_width * b + sy * half_height * c for a, b, c in zip(ahead, right, up, strict=True))
        level = math.hypot(e, n)
        steepest = -math.tan(math.radians(LEAST_DEPRESSION_DEG)) * max(level, 1e-9)
        if u > steepest:
            u, cut = steepest, True
        out.append((e * height_m / -u, n * height_m / -u))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(out, out[1:] + out[:1], strict=True))
    return (out if area > 0.0 else out[::-1]), cut


# --- inside ---------------------------------------------------------------------------------------


def _polygon(ring: list[tuple[float, float]]) -> dict[str, Any] | None:
    """GeoJSON of a convex ring of (lon_deg, lat_deg): cut in two on the date line (RFC 7946, 3.1.9); None about a pole."""
    unrolled = [ring[0]]
    for lon, lat in ring[1:]:
        before = unrolled[-1][0]
        unrolled.append((before + (lon - before + 180.0) % 360.0 - 180.0, lat))
    if abs(unrolled[-1][0] + (ring[0][0] - unrolled[-1][0] + 180.0) % 360.0 - 180.0 - ring[0][0]) > 180.0:
        return None
    line = 180.0 if max(o for o, _ in unrolled) > 180.0 else -180.0
    parts = []
    for side in (1.0, -1.0):
        part = half(unrolled, line, side)
        if len(part) > 2:
            turn = -360.0 if min(o for o, _ in part) >= 180.0 else 360.0 if max(o for o, _ in part) <= -180.0 else 0.0
            points = [[round(o + turn, 8), round(a, 8)] for o, a in part]
            parts.append([[*points, points[0]]])
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _sigma(height_m: float, position_m: float, corners: list[tuple[float, float]], *, trusted: bool) -> float:
    """One sigma per axis of the footprint's middle."""
    middle = [sum(c[k] for c in corners) / 4.0 for k in (0, 1)]
    away = math.hypot(*middle)
    slant2 = height_m**2 + away**2
    tilt = slant2 / height_m * math.radians(TILT_SIGMA_DEG)
    turn = away * math.radians(YAW_SIGMA_DEG)
    rise = (1.0 + HEIGHT_SHARE * height_m) * away / height_m
    sigma = math.sqrt(position_m**2 + tilt**2 + turn**2 + rise**2)
    if not trusted:
        sigma = max(sigma, max(math.dist(middle, c) for c in corners))
    return sigma


class _Where(NamedTuple):
    """A position, how well it is known, and who says it."""

    lat_deg: float
    lon_deg: float
    sigma_m: float
    by: str


class _Target(NamedTuple):
    """What the laser range finder measured."""

    lat_deg: float
    lon_deg: float
    alt_m: float | None
    distance_m: float | None


def _position(gps: dict[int, Any], xmp: dict[str, str], notes: list[str]) -> _Where | None:
    """The finer of EXIF's and XMP's positions; None where neither is one.

    DJI writes EXIF to whole seconds of arc (DroneDB PR#231) or to zeros (MSDK-V5#758) where its XMP has seven digits;
    others the other way round.
    """
    found = []
    exif = _degrees(gps.get(2), gps.get(1), "NS"), _degrees(gps.get(4), gps.get(3), "EW")
    if _is_place(*exif):
        found.append((*exif, max(_step_deg(gps.get(2)), _step_deg(gps.get(4))), "exif"))
    said = number_of(xmp, "lat_deg"), number_of(xmp, "lon_deg")
    if _is_place(*said):
        digits = max(decimals_of(xmp, "lat_deg"), decimals_of(xmp, "lon_deg"))
        found.append((*said, 10.0**-digits, "xmp"))
    if not found:
        return None
    # a coordinate of exactly 0 beside a source that has none is a field that was never filled
    found.sort(key=lambda f: (f[0] == 0.0 or f[1] == 0.0, f[2] > 1e-6 and f[2]))
    lat, lon, step, by = found[0]
    assert lat is not None and lon is not None
    # never finer than it is written
    sigma = max(_receiver_sigma(gps, xmp), step * 111_320.0 / math.sqrt(12.0))
    if len(found) == 2:
        other = found[1]
        assert other[0] is not None and other[1] is not None
        apart = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=other[0], lon2_deg=other[1])
        if apart > APART_M + 2.0 * other[2] * 111_320.0 and other[0] != 0.0 and other[1] != 0.0:
            notes.append("position_sources_differ")
            sigma = max(sigma, apart)
    void = isinstance(gps.get(9), str) and gps[9].strip("\0 ").upper() == "V"
    if void or (text_of(xmp, "gps_status") or "").lower() in ("invalid", "void"):
        notes.append("position_void")
        sigma = max(sigma, 100.0)
    return _Where(lat, lon, sigma, by)


def _is_place(lat: float | None, lon: float | None) -> bool:
    return lat is not None and lon is not None and valid_position(lat, lon) and (lat != 0.0 or lon != 0.0)


def _step_deg(parts: Any) -> float:
    """How fine degrees, minutes and seconds are written: by the digits that the last of them has behind the point."""
    for unit, value in zip((1.0 / 3600.0, 1.0 / 60.0, 1.0), reversed(parts), strict=True):
        found = _number(value) or 0.0
        if found != int(found):
            digits = next((k for k in range(1, 9) if abs(round(found, k) - found) < 1e-9), 8)
            return unit * 10.0**-digits
    return 1.0 / 3600.0


def _receiver_sigma(gps: dict[int, Any], xmp: dict[str, str]) -> float:
    """One sigma per axis of the camera's place: RTK (flag 34 float, 50 fixed), EXIF GPSHPositioningError, GPSXYAccuracy."""
    north, east, flag = (number_of(xmp, name) for name in ("rtk_lat_m", "rtk_lon_m", "rtk_flag"))
    if flag is not None and flag >= 34 and north is not None and east is not None and 0.0 < max(north, east) < 100.0:
        return max(north, east)
    stated = _positive(gps.get(31))
    if stated is not None and stated < 1e5:
        # 68 % of a circle (EXIF 2.31, GPSHPositioningError), two axes
        return stated / 1.51
    stated = number_of(xmp, "gps_xy_m")
    return stated if stated is not None and 0.0 < stated < 1e5 else GPS_SIGMA_M


def _altitude(gps: dict[int, Any], xmp: dict[str, str]) -> tuple[float | None, str]:
    """(metres, datum).  EXIF 3.0, GPSAltitudeRef: 0 and 1 above and below the sea, 2 and 3 the ellipsoid."""
    alt, ref = _number(gps.get(6)), gps.get(5)
    code = ref[0] if isinstance(ref, bytes) and ref else ref if isinstance(ref, int) else 0
    above = number_of(xmp, "alt_m")
    if alt is not None and code in (1, 3):
        alt = -abs(alt)
    datum = {0: "msl", 1: "msl", 2: "ellipsoid", 3: "ellipsoid"}.get(code, "unknown")
    if (text_of(xmp, "altitude_type") or "").lower() == "rtkalt":
        datum = "ellipsoid"
    if alt is None or (alt == 0.0 and above):
        return above, "unknown" if above is not None and datum == "msl" else datum if above is not None else "unknown"
    if above is not None and alt == int(alt) and above != int(above) and abs(alt - above) <= 1.0:
        return above, datum
    return alt, datum


def _zoom(camera: dict[int, Any], xmp: dict[str, str], notes: list[str]) -> float:
    """The digital zoom; EXIF's 0 means that none was used."""
    zoom = _positive(camera.get(41988)) or number_of(xmp, "digital_zoom") or 1.0
    if not 1.0 < zoom <= 200.0:
        return 1.0
    notes.append("digital_zoom")
    return zoom


def _diagonal_px(width: int, height: int) -> float:
    """Of the sensor's picture: one that is wider than 3:2 is cut in height."""
    longer, shorter = max(width, height), min(width, height)
    return math.hypot(longer, max(shorter, longer * 2.0 / 3.0))


def _focal_px(camera: dict[int, Any], xmp: dict[str, str], width: int, height: int, focal35: float | None, zoom: float,
              notes: list[str]) -> float | None:
    """The focal length in pixels of this picture: calibrated, by the sensor's pixels, or by the 35 mm length.

    The 35 mm length is taken as the lens's own, to which a digital zoom is to be added (OpenAthenaIOS#25).
    """
    longer = max(width, height)
    lens = None if focal35 is None else focal35 / FILM_DIAGONAL_MM * _diagonal_px(width, height)
    stated = []
    calibrated, centre = number_of(xmp, "focal_px"), number_of(xmp, "centre_px")
    if calibrated is None and (dewarp := text_of(xmp, "dewarp")):
        # date;fx,fy,cx,cy,k1...: cx and cy from the middle
        calibrated, centre = number(dewarp.partition(";")[2].partition(",")[0]), None
    if calibrated is not None and calibrated > 0.0:
        # of a picture that was made smaller: in its own pixels
        scale = longer / (2.0 * centre) if centre and centre > 0.0 and 2.0 * centre > 1.05 * longer else 1.0
        stated.append(calibrated * scale)
    focal_mm, across = _positive(camera.get(37386)), _positive(camera.get(41486))
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(camera.get(41488, 2))
    if focal_mm is not None and across is not None and unit_mm is not None:
        stated.append(focal_mm * across / unit_mm)
    for one in stated:
        if lens is None or abs(one / lens - 1.0) <= FOCAL_SHARE:
            return one * zoom
        if zoom > 1.0 and abs(one * zoom / lens - 1.0) <= FOCAL_SHARE:
            # here the 35 mm length holds the zoom already
            return one * zoom
    if stated:
        notes.append("focal_inconsistent")
    return None if lens is None else lens * zoom


def _target(xmp: dict[str, str], where: _Where, notes: list[str]) -> _Target | None:
    lat, lon = number_of(xmp, "target_lat_deg"), number_of(xmp, "target_lon_deg")
    status = (text_of(xmp, "laser_status") or "normal").lower()
    if status != "normal" or not _is_place(lat, lon):
        return None
    assert lat is not None and lon is not None
    distance = number_of(xmp, "target_distance_m")
    if distance is not None and not 0.0 < distance <= MOST_LASER_M:
        distance = None
    level = distance_m(lat1_deg=where.lat_deg, lon1_deg=where.lon_deg, lat2_deg=lat, lon2_deg=lon)
    if level > 1.1 * (distance or MOST_LASER_M) + 3.0 * where.sigma_m + 10.0:
        notes.append("target_inconsistent")
        return None
    return _Target(lat, lon, number_of(xmp, "target_alt_m"), distance)


def _height(relative: float | None, pitch: float | None, target: _Target | None, notes: list[str]) -> float | None:
    """Metres above what the picture shows: the relative altitude counts from where it took off, the laser from the ground."""
    if target is None or target.distance_m is None or pitch is None or pitch % 360.0 <= 180.0:
        return relative
    measured = target.distance_m * -math.sin(math.radians(pitch))
    if measured <= 1.0 or (relative is not None and abs(measured - relative) <= 5.0 + 0.1 * abs(relative)):
        return relative
    notes.append("height_from_laser")
    return measured


def _target_sigma(target: _Target, where: _Where) -> float:
    """One sigma per axis of the laser's target: the camera's, the laser's, and its angles over the distance."""
    level = distance_m(lat1_deg=where.lat_deg, lon1_deg=where.lon_deg, lat2_deg=target.lat_deg, lon2_deg=target.lon_deg)
    slant = max(target.distance_m or level, level)
    return math.sqrt(where.sigma_m**2 + (LASER_M + LASER_SHARE * slant) ** 2 + (slant * math.radians(TILT_SIGMA_DEG)) ** 2
                     + (level * math.radians(YAW_SIGMA_DEG)) ** 2)


def _looks_at(target: _Target, where: _Where, angles: tuple[float | None, float | None, float | None], size: tuple[int, int],
              focal_px: float | None) -> bool:
    """Whether the target's bearing lies within the picture, about where the gimbal looks."""
    if angles[0] is None or angles[1] is None or focal_px is None:
        return False
    yaw, pitch, _ = _upright(angles[0], angles[1], angles[2] or 0.0)
    e, n = LocalFrame(lat_deg=where.lat_deg, lon_deg=where.lon_deg).en(lat_deg=target.lat_deg, lon_deg=target.lon_deg)
    level = math.hypot(e, n)
    slant = max(target.distance_m or level, level)
    if level < 0.2 * slant:
        return pitch < -60.0
    off = (math.degrees(math.atan2(e, n)) - yaw + 180.0) % 360.0 - 180.0
    wide = math.degrees(math.atan(0.5 * math.hypot(*size) / focal_px))
    return abs(off) <= wide / max(math.cos(math.radians(pitch)), 0.1) + 2.0 * YAW_SIGMA_DEG


def _upright(yaw_deg: float, pitch_deg: float, roll_deg: float) -> tuple[float, float, float]:
    """The same attitude with a roll within 90 degrees: (yaw, pitch, roll) is (yaw + 180, 180 - pitch, roll + 180)."""
    roll = (roll_deg + 180.0) % 360.0 - 180.0
    if abs(roll) <= 90.0:
        return yaw_deg, pitch_deg, roll
    pitch = (180.0 - pitch_deg + 180.0) % 360.0 - 180.0
    return (yaw_deg + 360.0) % 360.0 - 180.0, pitch, (roll + 360.0) % 360.0 - 180.0


def _footprint(where: _Where, above_m: float, angles: tuple[float, float, float], flight_yaw: float | None,
               size: tuple[int, int], focal_px: float, notes: list[str]) -> tuple[dict[str, Any] | None, float]:
    """(polygon, sigma of its middle)."""
    yaw, pitch, roll = _upright(*angles)
    corners, cut = ground_corners(above_m, yaw, pitch, roll, 0.5 * size[0] / focal_px, 0.5 * size[1] / focal_px)
    if cut:
        notes.append("footprint_cut")
    frame = LocalFrame(lat_deg=where.lat_deg, lon_deg=where.lon_deg)
    ring = [frame.geodetic(e, n) for e, n in corners]
    polygon = _polygon([(o, a) for a, o in ring])
    if polygon is None:
        notes.append("about_a_pole")
    apart = abs((yaw - flight_yaw + 180.0) % 360.0 - 180.0) if flight_yaw is not None else 0.0
    if apart > 90.0:
        notes.append("yaw_inconsistent")
    return polygon, _sigma(above_m, where.sigma_m, corners, trusted=apart <= 90.0)


def _metadata(path: str | Path) -> tuple[int, int, tuple[dict[int, Any], dict[int, Any], dict[int, Any]], dict[str, str]]:
    from PIL import Image, UnidentifiedImageError

    try:
        file = Path(path)
        if not file.is_file():
            raise UsageError("is no file" if file.exists() else "cannot be read: No such file or directory", file=str(path))
        if file.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"is larger than {MAX_FILE_BYTES // 1_000_000} MB", file=str(path))
        with warnings.catch_warnings():
            # the picture is never decoded, so that its size is no danger; broken EXIF is told by what is missing
            warnings.simplefilter("ignore")
            with Image.open(file, formats=["JPEG"]) as picture:
                exif = picture.getexif()
                parts = dict(exif), dict(exif.get_ifd(34665)), dict(exif.get_ifd(34853))
                # DJI's XMP stands in EXIF's tag 700 at times, in either directory (metadata-extractor-dotnet#298)
                raw = picture.info.get("xmp") or parts[0].get(700) or parts[1].get(700) or b""
                width, height = picture.size
    except UnidentifiedImageError as error:
        raise UsageError("is no JPEG", file=str(path)) from error
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, OverflowError, Image.DecompressionBombError) as error:
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"cannot be read: {said}", file=str(path)) from error
    return width, height, parts, read_xmp(raw) if isinstance(raw, bytes) else {}


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0.0 else None


def _degrees(parts: Any, sign: Any, letters: str) -> float | None:
    """Degrees from EXIF's (degrees, minutes, seconds) and its letter."""
    if not isinstance(parts, (tuple, list)) or len(parts) != 3 or not isinstance(sign, str):
        return None
    d, m, s = (_number(v) for v in parts)
    letter = sign.strip("\0 ").upper()
    if d is None or m is None or s is None or letter not in tuple(letters) or min(d, m, s) < 0.0:
        return None
    return (d + m / 60.0 + s / 3600.0) * (1.0 if letter == letters[0] else -1.0)


def _times(main: dict[int, Any], camera: dict[int, Any], gps: dict[int, Any], xmp: dict[str, str], notes: list[str]
           ) -> tuple[str | None, str | None, str | None]:
    """(UTC, local, which source).

    In this order: DJI's UTCAtExposure; the exposure with its offset (EXIF 2.31); the satellites' time.  Two that
    contradict each other are told; a local time without a zone is a whole quarter of an hour from UTC.
    """
    stamp = None
    for text in (camera.get(36867), camera.get(36868), main.get(306)):
        if stamp is None and isinstance(text, str):
            try:
                stamp = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
            except ValueError:
                continue
    found: list[tuple[datetime, str]] = []
    exposed = _utc_at_exposure(text_of(xmp, "utc"))
    if exposed is not None:
        found.append((exposed, "utc_at_exposure"))
    zone = None
    for tag in (36881, 36880, 36882):
        offset = camera.get(tag)
        said = re.fullmatch(r"([+-])(\d\d):(\d\d)", offset.strip("\0 ")) if isinstance(offset, str) else None
        if zone is None and said and int(said[2]) <= 14 and int(said[3]) < 60:
            zone = timedelta(hours=int(said[2]), minutes=int(said[3])) * (1 if said[1] == "+" else -1)
    if stamp and zone is not None:
        part = camera.get(37521)
        fraction = int(f"{part.strip(chr(0) + ' ')[:6]:0<6}") if isinstance(part, str) and part.strip("\0 ").isdecimal() else 0
        found.append(((stamp - zone).replace(tzinfo=UTC, microsecond=fraction), "exif_offset"))
    satellites = _gps_time(gps)
    if satellites is not None:
        found.append((satellites, "gps"))
    unset = [when for when, _ in found if when.year < 1990] + ([stamp] if stamp and stamp.year < 1990 else [])
    if unset:
        notes.append("clock_not_set")
    found = [(when, by) for when, by in found if when.year >= 1990]
    if stamp is not None and stamp.year < 1990:
        stamp = None
    local = stamp.strftime("%Y-%m-%dT%H:%M:%S") if stamp else None
    if not found:
        return None, local, None
    first, by = found[0]
    apart = [abs((when - first).total_seconds()) for when, _ in found[1:]]
    if stamp is not None and zone is None:
        off = abs((stamp.replace(tzinfo=UTC) - first).total_seconds())
        beside = min(off % 900.0, 900.0 - off % 900.0)
        apart.append(beside if off <= MOST_ZONE_S + ZONE_SLACK_S else off)
    if any(seconds > ZONE_SLACK_S for seconds in apart):
        notes.append("time_inconsistent")
    return _iso(first), local, by


def _utc_at_exposure(text: str | None) -> datetime | None:
    """DJI (M3E, M3T, M4E, P1): 2024-05-01T16:00:00.123456, or with colons in the date."""
    said = re.fullmatch(r"(\d{4})[-:](\d\d)[-:](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z?", text or "")
    if said is None:
        return None
    try:
        return datetime(*(int(v) for v in said.groups()[:6]), int(f"{(said[7] or '')[:6]:0<6}"), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None


def _gps_time(gps: dict[int, Any]) -> datetime | None:
    date, clock = gps.get(29), gps.get(7)
    if not isinstance(date, str) or not isinstance(clock, (tuple, list)) or len(clock) != 3:
        return None
    h, m, s = (_number(v) for v in clock)
    try:
        day = datetime.strptime(date.strip("\0 ").replace("-", ":"), "%Y:%m:%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    if h is None or m is None or s is None or not (0 <= h < 24 and 0 <= m < 60 and 0 <= s < 61):
        return None
    return day + timedelta(hours=h, minutes=m, seconds=s)


def _iso(stamp: datetime) -> str:
    return iso_from_ns(ns_from_datetime(stamp))
