"""One frame of a drone: what its metadata says, and the piece of ground that it shows.

EXIF and XMP (``drone-dji:`` names, also written by other makers) are read by Pillow and by name; the picture is
not decoded, the XMP is no XML to us (no parser to attack).  The footprint is where the rays of the four corners
meet a level plane ``relative_alt_m`` below the camera.

Frames: east, north, up at the camera.  Yaw clockwise from true north, pitch 0 level and -90 straight down, roll
positive right side down; at nadir the top of the picture points along the yaw.  The 35 mm focal length is taken
over a film 36 mm wide.
"""

from __future__ import annotations

import math
import re
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from birddog.errors import UsageError
from birddog.geo import LocalFrame, valid_position
from birddog.units import iso_from_ns, ns_from_datetime

MAX_FILE_BYTES = 300_000_000
#: A consumer receiver's position and a gimbal's angles, one sigma.
GPS_SIGMA_M = 3.0
TILT_SIGMA_DEG = 1.0
YAW_SIGMA_DEG = 5.0
#: Beside the barometer's own metre, relative height is off by terrain.
HEIGHT_SHARE = 0.03
#: What no drone's picture has: a height above ground or a lens beyond these is a broken file's.
MOST_HEIGHT_M, LEAST_FOCAL35_MM, MOST_ANGLE_DEG = 20_000.0, 4.0, 720.0
#: A corner that looks less than this below the horizon is drawn there.
LEAST_DEPRESSION_DEG = 5.0

_XMP = re.compile(rb'(?:drone-dji|Camera):(\w{1,40})\s*(?:=\s*"([^"<>]{1,40})"|>([^<>]{1,40})<)')
_ANGLES = {"gimbal_yaw_deg": "GimbalYawDegree", "gimbal_pitch_deg": "GimbalPitchDegree", "gimbal_roll_deg": "GimbalRollDegree",
           "flight_yaw_deg": "FlightYawDegree", "flight_pitch_deg": "FlightPitchDegree", "flight_roll_deg": "FlightRollDegree"}


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What ``birddog drone-frame`` prints; None where the file does not say.

    ``time`` is ISO 8601 UTC; None with ``time_local`` where the file names no zone.  ``footprint`` is a GeoJSON polygon,
    closed, anticlockwise (two on the date line); ``sigma_m`` how well its middle is known, one sigma per axis.  ``notes``
    says what is not to be trusted: ``yaw_inconsistent`` (gimbal and flight yaw more than 90 degrees apart: the middle is
    known no better than the footprint is large), ``footprint_cut`` (a corner looks at or above the horizon),
    ``unbelievable`` (a height, an angle or a focal length that no drone has: no footprint).
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


def read_frame(path: str | Path) -> Frame:
    """The metadata of a JPEG and its footprint.

    Raises:
        UsageError: no JPEG, damaged, or no position in it.
    """
    width, height, exif, xmp = _metadata(path)
    main, camera, gps = exif
    lat, lon = _degrees(gps.get(2), gps.get(1), "NS"), _degrees(gps.get(4), gps.get(3), "EW")
    if lat is None or lon is None:
        lat, lon = xmp.get("GpsLatitude"), xmp.get("GpsLongitude", xmp.get("GpsLongtitude"))
    if lat is None or lon is None or not valid_position(lat, lon) or (lat == 0.0 and lon == 0.0):
        raise UsageError("holds no position (EXIF GPS)", file=str(path))
    alt = _number(gps.get(6))
    if alt is not None and gps.get(5) in (1, b"\x01"):
        alt = -alt
    relative = xmp.get("RelativeAltitude")
    angles = {name: xmp.get(key) for name, key in _ANGLES.items()}
    focal35 = _positive(camera.get(41989))
    time, local = _times(main, camera, gps)
    notes: list[str] = []
    footprint = sigma = None
    yaw, pitch = angles["gimbal_yaw_deg"], angles["gimbal_pitch_deg"]
    known = relative is not None and relative > 0.0 and yaw is not None and pitch is not None and focal35 is not None
    if known and not (relative <= MOST_HEIGHT_M and focal35 >= LEAST_FOCAL35_MM
                      and all(v is None or abs(v) <= MOST_ANGLE_DEG for v in angles.values())):
        notes.append("unbelievable")
        known = False
    if known:
        half = 18.0 / focal35
        corners, cut = ground_corners(relative, yaw, pitch, angles["gimbal_roll_deg"] or 0.0, half, half * height / width)
        if cut:
            notes.append("footprint_cut")
        frame = LocalFrame(lat_deg=lat, lon_deg=lon)
        ring = [frame.geodetic(e, n) for e, n in corners]
        footprint = _polygon([(o, a) for a, o in ring])
        flight = angles["flight_yaw_deg"]
        apart = abs((yaw - flight + 180.0) % 360.0 - 180.0) if flight is not None else 0.0
        if apart > 90.0:
            notes.append("yaw_inconsistent")
        sigma = round(_sigma(relative, pitch, corners, trusted=apart <= 90.0), 2)
    return Frame(
        time=time, time_local=local, lat_deg=lat, lon_deg=lon, alt_m=alt, relative_alt_m=relative, **angles,
        focal_mm=_positive(camera.get(37386)), focal35_mm=focal35, width_px=width, height_px=height, footprint=footprint,
        sigma_m=sigma, notes=tuple(notes),
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
        part: list[tuple[float, float]] = []
        for (o0, a0), (o1, a1) in zip(unrolled, unrolled[1:] + unrolled[:1], strict=True):
            d0, d1 = side * (o0 - line), side * (o1 - line)
            if d0 >= 0.0:
                part.append((o0, a0))
            if d0 * d1 < 0.0:
                part.append((line, a0 + (a1 - a0) * d0 / (d0 - d1)))
        if len(part) > 2 and any(o != line for o, _ in part):
            turn = -360.0 if min(o for o, _ in part) >= 180.0 else 360.0 if max(o for o, _ in part) <= -180.0 else 0.0
            points = [[round(o + turn, 8), round(a, 8)] for o, a in part]
            parts.append([[*points, points[0]]])
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _sigma(height_m: float, pitch_deg: float, corners: list[tuple[float, float]], *, trusted: bool) -> float:
    """One sigma per axis of the footprint's middle."""
    middle = [sum(c[k] for c in corners) / 4.0 for k in (0, 1)]
    away = math.hypot(*middle)
    slant2 = height_m**2 + away**2
    tilt = slant2 / height_m * math.radians(TILT_SIGMA_DEG)
    turn = away * math.radians(YAW_SIGMA_DEG)
    rise = (1.0 + HEIGHT_SHARE * height_m) * away / height_m
    sigma = math.sqrt(GPS_SIGMA_M**2 + tilt**2 + turn**2 + rise**2)
    if not trusted:
        sigma = max(sigma, max(math.dist(middle, c) for c in corners))
    return sigma


def _metadata(path: str | Path) -> tuple[int, int, tuple[dict[int, Any], dict[int, Any], dict[int, Any]], dict[str, float]]:
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
                raw = picture.info.get("xmp", b"")
                width, height = picture.size
    except UnidentifiedImageError as error:
        raise UsageError("is no JPEG", file=str(path)) from error
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, OverflowError, Image.DecompressionBombError) as error:
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"cannot be read: {said}", file=str(path)) from error
    found: dict[str, float] = {}
    for name, quoted, plain in _XMP.findall(raw[:1_000_000] if isinstance(raw, bytes) else b""):
        value = _number((quoted or plain).decode("latin-1"))
        if value is not None:
            found.setdefault(name.decode(), value)
    return width, height, parts, found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


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


def _times(main: dict[int, Any], camera: dict[int, Any], gps: dict[int, Any]) -> tuple[str | None, str | None]:
    """(UTC, local): the exposure with its offset, or the satellites' time; else the local time of no zone."""
    stamp = None
    for text in (camera.get(36867), camera.get(36868), main.get(306)):
        if stamp is None and isinstance(text, str):
            try:
                stamp = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
            except ValueError:
                continue
    local = stamp.strftime("%Y-%m-%dT%H:%M:%S") if stamp else None
    offset = camera.get(36881) or camera.get(36880)
    zone = re.fullmatch(r"([+-])(\d\d):(\d\d)", offset.strip("\0 ")) if isinstance(offset, str) else None
    if stamp and zone and int(zone[2]) <= 14 and int(zone[3]) < 60:
        shift = timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (1 if zone[1] == "+" else -1)
        return _iso((stamp - shift).replace(tzinfo=UTC)), local
    date, clock = gps.get(29), gps.get(7)
    if isinstance(date, str) and isinstance(clock, (tuple, list)) and len(clock) == 3:
        h, m, s = (_number(v) for v in clock)
        try:
            day = datetime.strptime(date.strip("\0 "), "%Y:%m:%d").replace(tzinfo=UTC)
        except ValueError:
            return None, local
        if h is not None and m is not None and s is not None and 0 <= h < 24 and 0 <= m < 60 and 0 <= s < 61:
            return _iso(day + timedelta(hours=h, minutes=m, seconds=s)), local
    return None, local


def _iso(stamp: datetime) -> str:
    return iso_from_ns(ns_from_datetime(stamp))
