"""What drones write into a picture's XMP, and under which names: one table for all makers.

XMP is no XML to us (no parser to attack): names and values are found as attributes in either quotes, as elements, and
as the children of one structure (``CameraOrientationNED/Yaw``).  A prefix counts for what it is bound to
(``NAMESPACES``), whatever it is called.

Sources: DJI, XMP of the Phantom 4 RTK to Matrice 4 (ExifTool DJI.pm; DJI Terra's list of fields); Parrot, pdraw
``photo-metadata`` (developer.parrot.com); Skydio, *camera and metadata overview* (support.skydio.com); Autel
(``drone:`` since 2022, before that ``Camera:`` of Pix4D); senseFly, Sequoia, MicaSense, Sentera: ``Camera:`` (Pix4D),
whose pitch is 0 straight down.  Compared with OpenAthena's parseImage.py and TinyEXIF, which read the same names.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

#: Part of a namespace's address -> the prefix under which the tables know it.
NAMESPACES = (("dji.com/drone-dji", "drone-dji"), ("parrot.com/drone-parrot", "drone-parrot"),
              ("skydio.com/drone-skydio/", "drone-skydio"), ("autelrobotics.com", "drone"), ("pix4d.com/camera", "Camera"),
              ("sensefly.com/camera", "Camera"), ("micasense.com/camera", "Camera"))
MAKERS = ("drone-dji", "drone", "drone-skydio", "drone-parrot", "Camera")
#: Values that say nothing, as makers write them.
_SAYS_NOTHING = frozenset({"", "n/a", "nan", "unknown", "none", "null"})


def _each(*names: str) -> tuple[str, ...]:
    """Names in the forms of DJI, under every maker's prefix."""
    return tuple(f"{maker}:{name}" for maker in MAKERS for name in names)


#: Quantity -> the names that say it, the better first.
NAMES: dict[str, tuple[str, ...]] = {
    # GpsLongtitude is DJI's spelling until 2021
    "lat_deg": _each("GpsLatitude", "GPSLatitude", "Latitude"),
    "lon_deg": _each("GpsLongitude", "GpsLongtitude", "GPSLongitude", "Longitude", "Longtitude"),
    "alt_m": _each("AbsoluteAltitude"),
    "relative_alt_m": (*_each("RelativeAltitude"), "Camera:AboveGroundAltitude"),
    "utc": (*_each("UTCAtExposure"),),
    "rtk_flag": _each("RtkFlag", "RTKFlag"),
    "rtk_lat_m": _each("RtkStdLat"),
    "rtk_lon_m": _each("RtkStdLon"),
    "gps_xy_m": _each("GPSXYAccuracy"),
    "gps_status": _each("GpsStatus"),
    "altitude_type": _each("AltitudeType"),
    "laser_status": _each("LRFStatus"),
    "target_distance_m": _each("LRFTargetDistance"),
    "target_lat_deg": _each("LRFTargetLat"),
    "target_lon_deg": _each("LRFTargetLon"),
    "target_alt_m": _each("LRFTargetAbsAlt"),
    "focal_px": ("drone-skydio:CalibratedFocalLength/X", *_each("CalibratedFocalLength")),
    "centre_px": ("drone-skydio:CalibratedOpticalCenter/X", *_each("CalibratedOpticalCenterX")),
    "dewarp": _each("DewarpData"),
    "digital_zoom": _each("DigitalZoomRatio"),
}


class Attitude(NamedTuple):
    """One set of angles: of two sets the first whole one counts, never the yaw of one and the pitch of another.

    ``down_deg`` is the pitch that looks straight down.
    """

    yaw: str
    pitch: str
    roll: str
    down_deg: float = -90.0


GIMBAL: tuple[Attitude, ...] = (
    *(Attitude(f"{maker}:GimbalYawDegree", f"{maker}:GimbalPitchDegree", f"{maker}:GimbalRollDegree") for maker in MAKERS),
    Attitude("drone-skydio:CameraOrientationNED/Yaw", "drone-skydio:CameraOrientationNED/Pitch",
             "drone-skydio:CameraOrientationNED/Roll"),
    Attitude("drone-parrot:CameraYawDegree", "drone-parrot:CameraPitchDegree", "drone-parrot:CameraRollDegree"),
    Attitude("Camera:Yaw", "Camera:Pitch", "Camera:Roll", 0.0),
)
FLIGHT: tuple[Attitude, ...] = (
    *(Attitude(f"{maker}:FlightYawDegree", f"{maker}:FlightPitchDegree", f"{maker}:FlightRollDegree") for maker in MAKERS),
    Attitude("drone-skydio:VehicleOrientationNED/Yaw", "drone-skydio:VehicleOrientationNED/Pitch",
             "drone-skydio:VehicleOrientationNED/Roll"),
    Attitude("drone-parrot:DroneYawDegree", "drone-parrot:DronePitchDegree", "drone-parrot:DroneRollDegree"),
)

_BOUND = re.compile(r"""xmlns:([\w.-]{1,40})\s*=\s*["']([^"'<>]{1,200})["']""")
_ATTRIBUTE = re.compile(r"""([\w.-]{1,40}):(\w{1,60})\s*=\s*(?:"([^"<>]{0,400})"|'([^'<>]{0,400})')""")
_ELEMENT = re.compile(r"<([\w.-]{1,40}):(\w{1,60})(?:\s[^<>]{0,400})?>([^<>]{0,400})</\1:\2\s*>")
_STRUCTURES = ("CameraOrientationNED", "VehicleOrientationNED", "CalibratedFocalLength", "CalibratedOpticalCenter")
_STRUCTURE = re.compile(rf"<([\w.-]{{1,40}}):({'|'.join(_STRUCTURES)})(\s[^<>]{{0,400}}?)?(?:/>|>(.{{0,2000}}?)</\1:\2\s*>)",
                        re.DOTALL)


def read_xmp(raw: bytes) -> dict[str, str]:
    """Every ``prefix:Name`` (and ``prefix:Structure/Child``) with its text; of a name twice the first."""
    text = raw[:1_000_000].decode("utf-8", "replace")
    bound = {}
    for prefix, address in _BOUND.findall(text):
        for part, known in NAMESPACES:
            if part in address.lower():
                bound[prefix] = known
    found: dict[str, str] = {}

    def keep(prefix: str, name: str, value: str) -> None:
        value = value.strip()
        if value.lower() not in _SAYS_NOTHING:
            found.setdefault(f"{bound.get(prefix, prefix)}:{name}", value)

    def structure(match: re.Match[str]) -> str:
        inner = f"{match[3] or ''} {match[4] or ''}"
        children = [(name, double or single) for prefix, name, double, single in _ATTRIBUTE.findall(inner) if prefix != "rdf"]
        children += [(name, value) for _, name, value in _ELEMENT.findall(inner)]
        for name, value in children:
            keep(match[1], f"{match[2]}/{name}", value)
        # children of different structures have the same names: none of them may be read as a name of its own
        return " " if children else match[0]

    text = _STRUCTURE.sub(structure, text)
    for prefix, name, double, single in _ATTRIBUTE.findall(text):
        if prefix != "xmlns":
            keep(prefix, name, double or single)
    for prefix, name, value in _ELEMENT.findall(text):
        keep(prefix, name, value)
    return found


def text_of(xmp: dict[str, str], quantity: str) -> str | None:
    """What the first name of a quantity says, as text."""
    return next((xmp[name] for name in NAMES[quantity] if name in xmp), None)


def number_of(xmp: dict[str, str], quantity: str) -> float | None:
    """The first number that a name of a quantity says."""
    for name in NAMES[quantity]:
        value = number(xmp.get(name))
        if value is not None:
            return value
    return None


def number(text: str | None) -> float | None:
    """A finite number; fractions as EXIF in XMP has them (``35/1``)."""
    if text is None:
        return None
    above, _, below = text.partition("/")
    try:
        value = float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def decimals_of(xmp: dict[str, str], quantity: str) -> int:
    """How many digits behind the point stand in the text of a quantity."""
    for name in NAMES[quantity]:
        if number(xmp.get(name)) is not None:
            mantissa = xmp[name].lower().partition("e")[0]
            return len(mantissa.partition(".")[2].strip())
    return 0


def attitude(xmp: dict[str, str], sets: tuple[Attitude, ...]) -> tuple[float | None, float | None, float | None]:
    """(yaw, pitch, roll) in degrees of the first set that has yaw and pitch, else of the first that has any; -90 is down."""
    best: tuple[float | None, float | None, float | None] = (None, None, None)
    for one in sets:
        yaw, pitch, roll = (number(xmp.get(name)) for name in (one.yaw, one.pitch, one.roll))
        if pitch is not None:
            pitch += -90.0 - one.down_deg
        if yaw is not None and pitch is not None:
            return yaw, pitch, roll
        if best == (None, None, None):
            best = (yaw, pitch, roll)
    return best
