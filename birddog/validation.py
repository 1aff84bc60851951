"""What a device model's values are worth, measured against a reference: one bound a quantity, and a record that is signed.

A court asks of each quantity by itself whether the method was tested (Commonwealth v. Davis, 487 Mass. 448, 2021: the
place stood, the untested speed reversed the conviction).  So a record has a bound for position, speed, course and time,
each with its method and count, or the reason why there is none.

**A bound** is the least value that 95 of 100 future values of the same kind stay below, by split conformal prediction
(Vovk, Gammerman, Shafer 2005, 4.1): of n errors the ``ceil(0.95 (n + 1))``-th smallest.  It needs no shape of the errors, at
least 19 of them, and that future ones are like those measured: drives of one evening in open country say nothing of a harbour.
``held_out`` is the share that held when each fifth of the drive (in time) was tried with the bound of the other four: the
part of the promise that a drive can show.

Errors, at each fix that lies between two reference rows no more than ``GAP_S`` apart (the reference is taken as straight in
between):

- *position*: the distance of the fix from the reference, m;
- *speed*: its amount off the reference's, m/s;
- *course*: the angle off the reference's, degrees, where that moves at ``COURSE_FROM_MPS`` or faster (at a crawl it is
  noise);
- *time*: the part of the position's error along the track over the speed, s, where that is ``TIME_FROM_MPS`` or faster.
  All of the error is taken for one of time, so that the bound holds for the clock and more; ``offset_s`` is the one shift
  that explains most of it (least squares), with its sigma; negative where the stated times are too late.

Of what a drive did not have its bounds say nothing.  So the record also says how fast the reference moved at the fixes that
were compared (``speeds_mps``), how long it was at most from one fix to the next (``longest_step_s``), and whether each of them
stated its speed (``speed_stated``); ``birddog.validated`` promises nothing beyond.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from birddog.geo import Plane
from birddog.validation_record import FORM, UNITS
from birddog.validation_record import RecordBroken as RecordBroken
from birddog.validation_record import canonical as canonical
from birddog.validation_record import sign as sign
from birddog.validation_record import verified as verified

LEVEL = 0.95
#: Fewer errors bear no bound at this level: ceil(0.95 (n + 1)) must not exceed n.
LEAST = 19
#: Parts that a drive is cut into to see what held.
PARTS = 5
GAP_S = 10.0
COURSE_FROM_MPS, TIME_FROM_MPS = 1.5, 3.0
_UNITS = {quantity: unit for quantity, (unit, _) in UNITS.items()}
QUANTITIES = tuple(UNITS)


class Rows(msgspec.Struct, frozen=True):
    """Fixes or a reference, by time: t (s), lat, lon (degrees), sog (m/s) and cog (degrees), NaN where not given."""

    t: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    sog: np.ndarray
    cog: np.ndarray

    @classmethod
    def of(cls, rows: list[tuple[float, float, float, float, float]]) -> Rows:
        """In order of time; of two of one time the first stands."""
        table = np.array(sorted(rows, key=lambda row: row[0]), dtype=float).reshape(-1, 5)
        if len(table):
            table = table[np.concatenate(([True], np.diff(table[:, 0]) > 0.0))]
        return cls(*table.T)


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity: its bound at ``LEVEL`` of ``n`` errors, the share of held-out parts that held, or why there is none."""

    bound: float | None
    n: int
    median: float | None = None
    held_out: float | None = None
    not_validated: str = ""
    more: dict[str, float | str] = {}


class Found(msgspec.Struct, frozen=True):
    """What a comparison gave.

    Args:
        speeds_mps: the least and the greatest speed of the reference at the fixes that were compared.
        longest_step_s: from a fix to the next that was compared, at most; None where there are no two.
    """

    bounds: dict[str, Bound]
    compared: int
    outside: int
    in_gaps: int
    speeds_mps: tuple[float, float] | None = None
    longest_step_s: float | None = None


def compare(reference: Rows, fixes: Rows) -> Found:
    """The bounds of a drive.

    Args:
        reference: rows of something at least ten times as good.
        fixes: what the device said of the same drive.
    """
    if len(reference.t) < 2:
        return Found({q: _none(0, "the reference has fewer than two rows") for q in QUANTITIES}, 0, len(fixes.t), 0)
    after = np.searchsorted(reference.t, fixes.t, side="left").clip(1, len(reference.t) - 1)
    before = after - 1
    inside = (fixes.t >= reference.t[0]) & (fixes.t <= reference.t[-1])
    span = reference.t[after] - reference.t[before]
    near = inside & (span <= GAP_S)
    f = Rows(*(column[near] for column in (fixes.t, fixes.lat, fixes.lon, fixes.sog, fixes.cog)))
    b, a = before[near], after[near]
    share = (f.t - reference.t[b]) / (reference.t[a] - reference.t[b])
    plane = Plane(lat_deg=float(reference.lat[0]), lon_deg=float(reference.lon[0]))
    re, rn = plane.en_array(reference.lat, reference.lon)
    at_e, at_n = re[b] + share * (re[a] - re[b]), rn[b] + share * (rn[a] - rn[b])
    # the error's lengths at its own latitude, not at the drive's first
    here_m = np.cos(np.radians(f.lat)) / max(math.cos(math.radians(plane.lat_deg)), 1e-9)
    fe, fn = plane.en_array(f.lat, f.lon)
    err_e, err_n = (fe - at_e) * here_m, fn - at_n
    # the reference's velocity: as it states it, else of the two rows about the fix
    ve, vn = (re[a] - re[b]) * here_m / span[near], (rn[a] - rn[b]) / span[near]
    stated = np.isfinite(reference.sog[b]) & np.isfinite(reference.sog[a])
    speed = np.where(stated, reference.sog[b] + share * (reference.sog[a] - reference.sog[b]), np.hypot(ve, vn))
    turned = np.isfinite(reference.cog[b]) & np.isfinite(reference.cog[a])
    east = (1 - share) * np.sin(np.radians(reference.cog[b])) + share * np.sin(np.radians(reference.cog[a]))
    north = (1 - share) * np.cos(np.radians(reference.cog[b])) + share * np.cos(np.radians(reference.cog[a]))
    course = np.where(turned, np.arctan2(east, north), np.arctan2(ve, vn))
    said_by = "the reference's own" if bool(np.all(stated)) else "from the reference's positions"

    along = err_e * np.sin(course) + err_n * np.cos(course)
    fast, moves = speed >= TIME_FROM_MPS, speed >= COURSE_FROM_MPS
    has_speed, has_course = np.isfinite(f.sog), np.isfinite(f.cog) & moves
    off = np.degrees(np.abs((np.radians(f.cog) - course + np.pi) % (2 * np.pi) - np.pi))
    bounds = {
        "position": _bound(np.hypot(err_e, err_n), f.t, "no fix lies inside the reference"),
        "speed": _bound(np.abs(f.sog - speed)[has_speed], f.t[has_speed], "the fixes state no speed", reference=said_by),
        "course": _bound(off[has_course], f.t[has_course], f"the fixes state no course at {COURSE_FROM_MPS} m/s or faster",
                         from_mps=COURSE_FROM_MPS),
        "time": _bound(np.abs(along[fast] / speed[fast]), f.t[fast], f"nothing moves at {TIME_FROM_MPS} m/s or faster",
                       from_mps=TIME_FROM_MPS, **_shift(along[fast], speed[fast])),
    }  # fmt: skip
    steps = np.diff(fixes.t)[near[1:]]
    return Found(bounds, int(near.sum()), int((~inside).sum()), int((inside & ~near).sum()),
                 (float(speed.min()), float(speed.max())) if len(speed) else None,
                 float(steps.max()) if len(steps) else None)


def quantile(errors: np.ndarray) -> float:
    """The conformal bound of ``LEAST`` errors or more."""
    rank = math.ceil(LEVEL * (len(errors) + 1))
    return float(np.partition(errors, rank - 1)[rank - 1])


def _none(n: int, why: str) -> Bound:
    return Bound(bound=None, n=n, not_validated=why)


def _bound(errors: np.ndarray, times: np.ndarray, why_none: str, **more: float | str) -> Bound:
    n = len(errors)
    if n == 0:
        return _none(0, why_none)
    if n < LEAST:
        return _none(n, f"{n} values; {LEAST} are the least that bear a bound at {LEVEL:.0%}")
    held = tried = 0
    for part in np.array_split(np.argsort(times, kind="stable"), PARTS):
        others = np.delete(errors, part)
        if len(others) >= LEAST and len(part):
            held += int((errors[part] <= quantile(others)).sum())
            tried += len(part)
    return Bound(bound=quantile(errors), n=n, median=float(np.median(errors)), held_out=held / tried if tried else None,
                 more=more)


def _shift(along: np.ndarray, speed: np.ndarray) -> dict[str, float | str]:
    """The shift of the clock that explains most of the errors along the track, and its sigma."""
    if len(along) < LEAST:
        return {}
    shift = float(np.sum(along * speed) / np.sum(speed * speed))
    rest = along - shift * speed
    sigma = math.sqrt(float(np.sum(rest * rest)) / (len(along) - 1) / float(np.sum(speed * speed)))
    return {"offset_s": round(shift, 4), "offset_sigma_s": round(sigma, 4)}


# --- the record ---------------------------------------------------------------------------------------------


def record(model: str, found: Found, *, made: str, version: str, reference: dict[str, Any], fixes: dict[str, Any],
           method: str, estimated: Found | None = None) -> dict[str, Any]:
    """A record that is not signed yet: JSON values only.

    Args:
        made: ISO 8601 UTC.
        version: of this program.
        reference, fixes: which files they were: name, sha256, rows.
        method: how the reference was made, in a person's words.
        estimated: of the same drive, what the tracker of this version makes of the fixes.
    """
    out: dict[str, Any] = {"form": FORM, "model": model, "made": made, "version": version, "level": LEVEL, "method": method,
                           "reference": reference, "fixes": {**fixes, "compared": found.compared, "outside": found.outside,
                                                             "in_gaps": found.in_gaps}}  # fmt: skip
    out |= _quantities(found)
    if estimated is not None:
        stated = found.compared > 0 and found.bounds["speed"].n == found.compared
        out["estimated"] = {"tracker": version, **_quantities(estimated), "speed_stated": stated}
    return out


def _quantities(found: Found) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for quantity, unit in _UNITS.items():
        bound = found.bounds[quantity]
        if bound.bound is None:
            out[quantity] = {"validated": False, "reason": bound.not_validated, "n": bound.n}
            continue
        assert bound.median is not None
        out[quantity] = {"validated": True, f"bound_{unit}": _up(bound.bound), f"median_{unit}": round(bound.median, 4),
                         "n": bound.n, "held_out": None if bound.held_out is None else round(bound.held_out, 4),
                         **bound.more}  # fmt: skip
    if found.speeds_mps is not None:
        out["speeds_mps"] = [round(speed, 4) for speed in found.speeds_mps]
    if found.longest_step_s is not None:
        out["longest_step_s"] = _up(found.longest_step_s)
    return out


def _up(value: float) -> float:
    """To four digits after the point, upwards: a bound that was rounded down does not hold."""
    return math.ceil(value * 1e4) / 1e4
