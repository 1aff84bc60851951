"""From what a device says to what a track can use: measurements of fixes, reads and triggers, looks of scans and sightings."""

from __future__ import annotations

import math
import sys
from typing import Any

import msgspec

from birddog.geo import DEGREE_M, valid_position
from birddog.model import Fix, Flag, Placement, Reading, Scan, Sighting
from birddog.units import NS
from tracking.assign import Spot
from tracking.contact import Look
from tracking.core import Model
from tracking.engine import SIGMA_CEILING_M, SIGMA_FLOOR_M, floored
from tracking.measurement import Measurement
from tracking.presets import Presets

#: One false sighting a square metre: no sensor has more, whatever a scan says.
CLUTTER_MOST_PER_KM2 = 1e6
#: Quantities that say "something is here" at a placed sensor.
TRIGGERS = ("seismic", "motion", "door_open", "light")
#: One sigma per axis of a fix that is not of a satellite receiver and does not say its own, m.
COARSE_SIGMA_M = {"wifi": 50.0, "cell": 500.0, "gateway": 2000.0}
#: One sigma per axis of a fix that says of itself that it is doubtful, and not how much.
DOUBTED_SIGMA_M = 500.0
#: Steps of coordinates that are rounded by more than a receiver errs, so many a degree, the coarsest first: minutes, tenths of
#: one, thousandths of a degree.  What lies on none of SIXTH (so far from it at most) lies on none of them; what lies on two
#: decimals may as well be where somebody says that a place is.
STEPS, SIXTH, ROUND, ON_STEP_DEG = (60.0, 600.0, 1000.0), 6000.0, 100.0, 5e-7
#: Nothing that goes faster than this says so in earnest, m/s.
FASTEST_MPS = 1e4
#: A report's own second of the minute is believed to be so old at most when it is heard.
LATE_NS = 45 * NS
#: So far is the time that its receiver states from the report's own second in the minute that it means; half a minute.
NEAR_NS, HALF_NS = 20 * NS, 30 * NS


def of_fix(fix: Fix, time_ns: int, model: Model, device: str = "") -> Measurement:
    """The position and velocity of a fix, as its class of object has them where it does not say how good it is.

    Args:
        device: its device's name as ``sys.intern`` has it, where somebody knows that already.
    """
    sigma_m, lat_deg, lon_deg, stated = fix.sigma_m, fix.lat_deg, fix.lon_deg, True
    if sigma_m is None or not SIGMA_FLOOR_M < sigma_m < SIGMA_CEILING_M:
        stated = sigma_m is not None and sigma_m >= 0.0
        # a receiver that says 3,000 km (u-blox, all ones) knows as little as there is to know, not what its class usually does
        if sigma_m is None or not stated:
            sigma_m = _unstated_sigma_m(fix, model.preset.sigma_m)
        else:
            sigma_m = min(sigma_m, SIGMA_CEILING_M)
        sigma_m = max(sigma_m, SIGMA_FLOOR_M)
    r_ee = r_nn = sigma_m**2
    ve, vn, said = None, None, 0.0
    if fix.speed_mps is not None:
        ve, vn = _velocity(fix)
        if ve is None:
            said = said_mps(fix) or 0.0
    # nearly no latitude lies on a step: asked of each fix, so that it is one sum
    if -ON_STEP_DEG <= lat_deg - round(lat_deg * SIXTH) / SIXTH <= ON_STEP_DEG and (
        (step_deg := rounded_deg(lat_deg, lon_deg)) > 0.0
    ):
        # it may lie anywhere in its cell; that is known of it, whether it states the rest or not
        r, stated = (step_deg * DEGREE_M) ** 2 / 12.0, True
        r_ee, r_nn = r_ee + r * math.cos(math.radians(lat_deg)) ** 2, r_nn + r
    return Measurement(
        time_ns, device or sys.intern(fix.device), "fix", lat_deg, lon_deg, r_ee, 0.0, r_nn, ve, vn, model.base_v, stated,
        False, False, said,
    )  # fmt: skip


def rounded_deg(lat_deg: float, lon_deg: float) -> float:
    """The step that both coordinates of a fix are rounded to, degrees; 0 where that is finer than what a receiver errs by.

    By chance one in a million fixes lies on a step, and then says less than it might.
    """
    return 0.0 if _on(lat_deg, lon_deg, ROUND) else cell_deg(lat_deg, lon_deg)


def cell_deg(lat_deg: float, lon_deg: float) -> float:
    """The same also of a place that lies on a coarser step, as each tenth one does that is rounded to this."""
    if not _on(lat_deg, lon_deg, SIXTH):
        return 0.0
    return next((1.0 / steps for steps in STEPS if _on(lat_deg, lon_deg, steps)), 0.0)


def _on(lat_deg: float, lon_deg: float, steps: float) -> bool:
    return abs(lat_deg - round(lat_deg * steps) / steps) <= ON_STEP_DEG >= abs(lon_deg - round(lon_deg * steps) / steps)


def _unstated_sigma_m(fix: Fix, usual_m: float) -> float:
    """One sigma per axis of a fix that does not say its own: its kind's or class's, never good where it is doubtful."""
    sigma_m = COARSE_SIGMA_M.get(fix.fix, usual_m)
    return max(sigma_m, DOUBTED_SIGMA_M) if "low_quality" in fix.flags else sigma_m


def said_mps(fix: Fix) -> float | None:
    """How fast a fix says that it goes, m/s, whether it says where to or not; None: it says nothing of it."""
    speed = fix.speed_mps
    return speed if speed is not None and 0.0 <= speed < FASTEST_MPS else None


def _velocity(fix: Fix) -> tuple[float | None, float | None]:
    """(east, north) m/s of a stated speed and course; a stop needs no course."""
    speed = said_mps(fix)
    if speed is None:
        return None, None
    if fix.course_deg is None or not math.isfinite(fix.course_deg):
        return (0.0, 0.0) if speed < 0.3 else (None, None)
    course = math.radians(fix.course_deg)
    return speed * math.sin(course), speed * math.cos(course)


def dated(fix: Fix, now_ns: int) -> Fix:
    """A report that says its second of the minute at that second (ITU-R M.1371-5, table 48).

    So the same report heard by two receivers, one over a slow link, is one; or by one whose clock is seconds off: what its
    receiver states says which minute it was.  Where that is between two, it is the one that came to pass last.  A second that
    is up to 15 s ahead of its arrival says that our clock is behind, and nothing else.
    """
    second = fix.attributes.get("utc_second")
    if type(second) is not int or not 0 <= second < 60:
        return fix
    heard_ns = now_ns if fix.time_ns is None or fix.time_source != "server" else fix.time_ns
    if fix.time_source != "server":
        if fix.time_ns is None or fix.time_source != "gateway":
            return fix
        off_ns = (fix.time_ns - second * NS + HALF_NS) % (2 * HALF_NS) - HALF_NS
        if abs(off_ns) <= NEAR_NS:
            return msgspec.structs.replace(fix, time_ns=fix.time_ns - off_ns)
        if abs(now_ns - fix.time_ns) > 2 * HALF_NS:
            return fix
    late_ns = (heard_ns - second * NS) % (60 * NS)
    return msgspec.structs.replace(fix, time_ns=heard_ns - late_ns) if late_ns <= LATE_NS else fix


def placed_well(place: Placement | None) -> Placement | None:
    """A placement, if it is said in numbers that mean a place."""
    if place is None or not valid_position(place.lat_deg, place.lon_deg):
        return None
    return place if 0.0 < place.range_m <= SIGMA_CEILING_M else None


def at_place(place: Placement, time_ns: int, device: str, origin: Any) -> Measurement:
    """Position evidence at a reader or sensor: one sigma = range / 2."""
    r = max(place.range_m / 2.0, SIGMA_FLOOR_M) ** 2
    return Measurement(time_ns, device, origin, place.lat_deg, place.lon_deg, r, 0.0, r, stated=True)


def is_on(reading: Reading) -> bool:
    """Whether a reading of a trigger says yes: true, or 1 and more."""
    value = reading.value
    return value is True or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 1)


def look_of_sightings(device: str, time_ns: int, sightings: list[Sighting], presets: Presets) -> Look:
    """The sightings that one sensor reported for one time."""
    return Look(
        sensor=device, time_ns=time_ns, spots=_spots(sightings, [""] * len(sightings)), pd=presets.sighting_pd,
        density_per_km2=presets.clutter_per_km2 + presets.new_per_km2,
    )  # fmt: skip


def look_of_scan(scan: Scan, presets: Presets) -> Look:
    """One look from above, or one sweep of a radar."""
    sightings: list[Any] = list(scan.sightings) or [f for f in scan.flags if f.lat_deg is not None and f.r_ee is not None]
    return Look(
        sensor=scan.sensor, time_ns=scan.time_ns, scan=scan.scan_id, spots=_spots(sightings, _flags(scan), scan.flags),
        pd=min(0.99, max(0.05, scan.pd)),  # in this order NaN is the least
        density_per_km2=min(CLUTTER_MOST_PER_KM2, max(0.0, scan.clutter_per_km2)) + presets.new_per_km2,
        footprint=scan.footprint,
        imagery=bool(scan.flags or scan.scene_sha256 or scan.scene_name), time_source=scan.time_source,
    )  # fmt: skip


def _flags(scan: Scan) -> list[str]:
    """The flag that each sighting of a scan is: as the sighting names it, or the one of its number, where each has one."""
    if not scan.sightings:
        return [f.flag_id for f in scan.flags if f.lat_deg is not None and f.r_ee is not None]
    of = [f.flag_id for f in scan.flags] if len(scan.flags) == len(scan.sightings) else [""] * len(scan.sightings)
    return [str(s.attributes.get("flag_id", flag)) for s, flag in zip(scan.sightings, of, strict=True)]


def _spots(sightings: list[Any], flags: list[str], said: tuple[Flag, ...] = ()) -> list[Spot]:
    """Sightings (or flags with a position) with a usable covariance; others can't be placed."""
    out = []
    rarity = {f.flag_id: f.rarity for f in said if f.rarity is not None and f.rarity >= 0.0}
    for s, flag in zip(sightings, flags, strict=True):
        r = floored(s.r_ee, s.r_en or 0.0, s.r_nn if s.r_nn is not None else s.r_ee)
        if r is not None and valid_position(s.lat_deg, s.lon_deg):
            out.append(Spot(s.lat_deg, s.lon_deg, *r, flag, rarity.get(flag, math.inf)))
    return out
