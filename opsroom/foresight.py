"""What is about to happen to a track of the picture, on request and outside the fold, from an archive of the configuration.

Nothing of an answer is kept, published or journalled, so that a rebuild is what it was.  Each answer names the archive (its
hash), the version, what was known, and how good such answers were: the archive's own back-test, and what would have been said
of this very track one horizon before its last fix.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from birddog import __version__
from birddog.errors import UsageError
from birddog.geo import distance_m
from birddog.model import Track as TrackRow
from birddog.model import TrackPoint, Zone
from birddog.units import NS, iso_from_ns
from opsroom.turns import Turns
from tracking.forecast.looks import LookSettings, look_kinds

#: Steps of a track's history that a forecast looks at.
STEPS = 400
#: Places that arrivals are told for.
MOST_PLACES = 8
#: Outcomes below which nothing is said of how good it was.
FEWEST = 20
#: Questions at once that the archive is asked a thousand others for, to know how sure such answers are, and how many of these
#: are so few that nobody need wait (each takes some milliseconds).
MOST_WORKING, FEW_ASKED = 2, 30


class Working(Exception):
    """As much as may be is being worked out for others already; what of it is done is kept, and the question is asked again."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[forecast]``.

    Args:
        archive: a folder that ``birddog archive build`` wrote; empty: there are no forecasts.
        horizons_min: how far ahead the console looks, minutes.
        looks: what is said of a look's figures, by its name (``tracking.forecast.looks``).
    """

    archive: str = ""
    horizons_min: tuple[float, ...] = (15.0, 60.0, 240.0)
    looks: dict[str, LookSettings] = {}

    def check(self) -> None:
        """Raises:
            UsageError: a horizon is none, or a look.
        """
        look_kinds(self.looks)
        if not 1 <= len(self.horizons_min) <= 8 or not all(1.0 <= h <= 44_640.0 for h in self.horizons_min):
            raise UsageError("wants 1 to 8 horizons of 1 to 44640 minutes (a month)", field="forecast.horizons_min")


class Goal(msgspec.Struct, frozen=True):
    """A place that arrivals are asked for: a circle about an area that is watched."""

    name: str
    lat_deg: float
    lon_deg: float
    radius_m: float


class Foresight:
    """Forecasts from one archive, opened when it is first asked; calls from several threads come one after the other.

    What is asked for a horizon that the archive was not calibrated for has it asked of its own past first: between two of those
    answers whoever else waits comes in.  They are kept for as long as the archive is open (a few hundred kilobytes a horizon of
    ``calibration.GRID_MIN``).  Any call of a question may raise ``Working``.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self._turns = Turns()
        self._asked: dict[int, int] = {}  # of each thread's question: of how many answers it has had to wait
        self._opened: tuple[Any, Any, dict[str, Any]] | None = None
        self._stamp = -1
        self._cases: tuple[str, ...] = ()

    def missing(self) -> str:
        """Why there can be no forecast, in an operator's words; "" where there can."""
        if not self.settings.archive:
            return "this machine has been given no tracks of the past to learn from; whoever runs it can (docs/forecasts.md)"
        if not (Path(self.settings.archive) / "archive.json").is_file():
            return "the tracks of the past that this machine learns from are not where they were; tell whoever runs it"
        return ""

    def withheld(self, may: Callable[[str], bool]) -> str:
        """Why whoever asks is told nothing: the archive is made of fixes of cases, and ``may`` says that one is not theirs.

        Which one is not said: that it is there is that case's own business.

        Raises:
            UsageError: the archive cannot be read.
        """
        with self._reading():
            self._open()
            cases = self._cases
        if all(map(may, cases)):
            return ""
        return "the tracks of the past that this machine learns from are also of cases that you may not see"

    def about(self) -> dict[str, Any]:
        """What the archive says of itself.

        Raises:
            UsageError: it cannot be read.
        """
        with self._reading():
            return self._open()[2]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """One question at a time; what fails for a damaged column is said so."""
        from opsroom.archive_store import blamed

        with self._turns, blamed(self.settings.archive):
            try:
                yield
            finally:
                self._asked.pop(threading.get_ident(), None)

    def _between(self) -> None:
        """Before one more answer that widths are made of: others come in, and not too many questions want so many."""
        me = threading.get_ident()
        self._asked[me] = self._asked.get(me, 0) + 1
        if self._asked[me] == FEW_ASKED + 1 and sum(n > FEW_ASKED for n in self._asked.values()) > MOST_WORKING:
            raise Working
        self._turns.between()

    def _open(self) -> tuple[Any, Any, dict[str, Any]]:
        from opsroom import archive_store
        from tracking.forecast.arrival import Arrivals
        from tracking.forecast.where import Forecaster

        said = Path(self.settings.archive) / "archive.json"
        try:
            stamp, text = said.stat().st_mtime_ns, said.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=str(said)) from error
        if self._opened is None or stamp != self._stamp:  # built anew meanwhile
            calibration = archive_store.load(self.settings.archive)
            past = calibration.past
            past.between = self._between
            assert calibration.windows is not None
            about = {
                "sha256": hashlib.sha256(text).hexdigest(), "version": str(json.loads(text).get("version", "")),
                "fixes": len(past), "tracks": len(past.names),
                "first": iso_from_ns(round(past.first_s * NS)) if len(past) else None,
                "last": iso_from_ns(round(past.last_s * NS)) if len(past) else None,
            }  # fmt: skip
            arrivals = Arrivals(past, windows=calibration.windows[True])
            self._opened, self._stamp = (Forecaster(past, calibration=calibration), arrivals, about), stamp
            self._cases = tuple(json.loads(text).get("cases", ()))
        return self._opened

    def meet(
        self, row: TrackRow, points: list[TrackPoint], t0_ns: int, unit: Any, goals: list[Goal], radius_m: float, most_s: float
    ) -> dict[str, Any]:  # fmt: skip
        """Where a unit (``intercept.Unit``) can meet a track, as of t0, as plain values; the watched places are asked too.

        Raises:
            UsageError: the archive cannot be read.
        """
        from tracking.forecast.arrival import Place
        from tracking.forecast.intercept import meetings

        with self._reading():
            forecaster, arrivals, about = self._open()
            track = _track(row, points, t0_ns)
            out: dict[str, Any] = {"archive": about, "model": f"birddog {__version__}", "meetings": []}
            if track is None:
                return out | {"why": "nothing was measured of this track before that time"}
            among = tuple(Place(goal.lat_deg, goal.lon_deg, max(goal.radius_m, radius_m)) for goal in goals[:MOST_PLACES])
            named = {(place.lat_deg, place.lon_deg): goal.name for place, goal in zip(among, goals, strict=False)}
            for m in meetings(forecaster, arrivals, track, t0_ns / NS, unit, radius_m=radius_m, most_s=most_s, among=among):
                times = {name: iso_from_ns(round(t * NS)) for name, t in (
                    ("track_p10", m.s_p10_s), ("track_p50", m.s_p50_s), ("track_p90", m.s_p90_s), ("unit_p50", m.unit_p50_s),
                    ("unit_p90", m.unit_p90_s))}  # fmt: skip
                out["meetings"].append({
                    "place": named.get((m.place.lat_deg, m.place.lon_deg), ""), "lat_deg": round(m.place.lat_deg, 7),
                    "lon_deg": round(m.place.lon_deg, 7), "radius_m": m.place.radius_m, "probability": round(m.probability, 4),
                    "reaches": round(m.reaches, 4), "used": m.used, "outcomes": m.outcomes, **times,
                })  # fmt: skip
            forecaster.past.release()
            return out if out["meetings"] else out | {"why": "nowhere within that time"}

    def looks(
        self, row: TrackRow, points: list[TrackPoint], t0_ns: int, minutes: float, barred: dict[str, str]
    ) -> dict[str, Any]:  # fmt: skip
        """What to ask for next, by how much it takes off the 90 % region a unit of cost; never what is barred (name: why).

        Raises:
            UsageError: the archive cannot be read.
        """
        from tracking.forecast.intercept import gains

        with self._reading():
            forecaster, _, about = self._open()
            track = _track(row, points, t0_ns)
            out: dict[str, Any] = {
                "archive": about, "model": f"birddog {__version__}", "looks": [], "horizon_min": minutes,
                "barred": [{"look": name, "why": why} for name, why in barred.items()],
            }
            if track is None:
                return out | {"why": "nothing was measured of this track before that time"}
            allowed = tuple(look for look in look_kinds(self.settings.looks) if look.name not in barred)
            for g in gains(forecaster, track, t0_ns / NS, minutes * 60.0, allowed):
                out["guess"] = g.guess
                out["looks"].append({
                    "look": g.look.name, "told": round(g.told, 4), "cost": g.look.cost, "lead_min": g.look.lead_s / 60.0,
                    "answers": g.look.answers, "sigma_m": g.look.sigma_m,
                    "before_km2": round(g.before_km2, 4), "after_km2": round(g.after_km2, 4),
                    "per_cost_km2": round(g.per_cost_km2, 4), "lat_deg": round(g.lat_deg, 7), "lon_deg": round(g.lon_deg, 7),
                    "side_m": g.look.side_m,
                })  # fmt: skip
            forecaster.past.release()
            why = "" if out["looks"] else "no authority allows any" if not allowed else "each of them would tell too late"
            return out | {"why": why}

    def ahead(
        self, row: TrackRow, points: list[TrackPoint], t0_ns: int, horizons_min: tuple[float, ...], goals: list[Goal]
    ) -> dict[str, Any]:
        """Where a track will be and when it will be at some places, as of t0.

        Args:
            points: the steps of its history, in order of time; those after t0 and predictions are not looked at.

        Raises:
            UsageError: the archive cannot be read.
        """
        with self._reading():
            forecaster, arrivals, about = self._open()
            track = _track(row, points, t0_ns)
            out: dict[str, Any] = {"archive": about, "model": f"birddog {__version__}", "forecasts": [], "arrivals": []}
            if track is None:
                return out | {"why": "nothing was measured of this track before that time"}
            t0_s = t0_ns / NS
            for minutes in horizons_min:
                f = forecaster.forecast(track, t0_s, minutes * 60.0)
                assert f is not None
                out["forecasts"].append(_forecast(f, t0_ns, minutes) | {
                    # what is silent is told from its last fix on: as good as answers so long after one
                    "backtest": _backtest(forecaster, f, t0_s, f.after_s / 60.0), "own": _own(forecaster, track, t0_s, minutes),
                })  # fmt: skip
            moving = bool(out["forecasts"]) and out["forecasts"][0]["moving"]
            for goal in goals[:MOST_PLACES] if moving else ():
                found = _arrival(arrivals, track, t0_s, goal)
                out["arrivals"] += [found] if found is not None else []
            forecaster.past.release()
            return out | {"known": {"fixes": len(track.t_s), "last": iso_from_ns(round(float(track.t_s[-1]) * NS))}}


def _track(row: TrackRow, points: list[TrackPoint], t0_ns: int) -> Any:
    """The measured steps of a track until t0, each time once; None where there is none."""
    import numpy as np

    from tracking.forecast.where import Track

    at = {p.time_ns: p for p in points if p.origin != "coast" and p.time_ns <= t0_ns}
    if not at:
        return None
    steps = [at[t] for t in sorted(at)]
    columns = ([p.time_ns / NS for p in steps], [p.lat_deg for p in steps], [p.lon_deg for p in steps])
    return Track(row.tag_id or row.track_id, *(np.array(c, float) for c in columns))


def _forecast(f: Any, t0_ns: int, minutes: float) -> dict[str, Any]:
    regions = [{
        "level": level, "area_km2": round(f.area_m2[level] / 1e6, 6),
        "polygons": [[[[round(x, 6), round(y, 6)] for x, y in ring] for ring in polygon] for polygon in f.rings(level)],
    } for level in (0.5, 0.9)]  # fmt: skip
    return {
        "horizon_min": minutes, "time": iso_from_ns(t0_ns + round(minutes * 60 * NS)), "lat_deg": round(f.lat_deg, 7),
        "lon_deg": round(f.lon_deg, 7), "r50_m": round(f.radius_m[0.5], 1), "r90_m": round(f.radius_m[0.9], 1),
        "moving": bool(f.moving), "neighbours": round(float(f.neighbours), 2), "outcomes": int(f.windows), "regions": regions,
    }  # fmt: skip


def _backtest(forecaster: Any, f: Any, t0_s: float, minutes: float) -> dict[str, Any] | None:
    """How good the archive's own past was told at the horizon of the grid that is nearest, of what moves or stands as this."""
    from tracking.forecast.backtest import backtest, lately
    from tracking.forecast.calibration import GRID_MIN

    grid = min(GRID_MIN, key=lambda g: abs(math.log(g / max(minutes, 1.0))))
    found = backtest(forecaster.calibration, grid, f.moving, t0_s) if len(forecaster.past) else None
    if found is None or len(found.discs) < 2 or len(found.regions) < 2:
        return None
    late = lately(found.outcomes, f.moving)
    return {
        "horizon_min": float(grid), "outcomes": len(found.outcomes.miss_m), "mean_error_m": round(found.mean_m, 1),
        "median_error_m": round(found.median_m, 1), "held_50": round(found.regions[0.5], 3),
        "held_90": round(found.regions[0.9], 3), "disc_50": round(found.discs[0.5], 3), "disc_90": round(found.discs[0.9], 3),
        "lately_times": None if late is None else round(late.missed.times, 3),
        "drifted": late is not None and late.changed,
    }  # fmt: skip


def _own(forecaster: Any, track: Any, t0_s: float, minutes: float) -> dict[str, Any] | None:
    """What would have been said of this track one horizon before its last fix, held against that; None: not known then."""
    import numpy as np

    before_s = float(track.t_s[-1]) - minutes * 60.0
    # a track that has been silent for long says nothing of how good forecasts are now
    if not np.searchsorted(track.t_s, before_s, side="right") or t0_s - track.t_s[-1] > minutes * 60.0:
        return None
    f = forecaster.forecast(track, before_s, minutes * 60.0)
    if f is None:
        return None
    miss_m = distance_m(lat1_deg=f.lat_deg, lon1_deg=f.lon_deg, lat2_deg=float(track.lat_deg[-1]),
                        lon2_deg=float(track.lon_deg[-1]))  # fmt: skip
    return {
        "asked": iso_from_ns(round(before_s * NS)), "error_m": round(miss_m, 1), "in_50": miss_m <= f.radius_m[0.5],
        "in_90": miss_m <= f.radius_m[0.9],
    }  # fmt: skip


def _arrival(arrivals: Any, track: Any, t0_s: float, goal: Goal) -> dict[str, Any] | None:
    from tracking.forecast.arrival import Place

    away_m = distance_m(lat1_deg=float(track.lat_deg[-1]), lon1_deg=float(track.lon_deg[-1]), lat2_deg=goal.lat_deg,
                        lon2_deg=goal.lon_deg)  # fmt: skip
    a = None if away_m <= goal.radius_m else arrivals.arrival(track, t0_s, Place(goal.lat_deg, goal.lon_deg, goal.radius_m))
    if a is None:
        return None
    p10, p50, p90, due = (iso_from_ns(round(t * NS)) for t in (a.p10_s, a.p50_s, a.p90_s, a.due_s))
    return {
        "place": goal.name, "lat_deg": goal.lat_deg, "lon_deg": goal.lon_deg, "radius_m": round(goal.radius_m, 1),
        "p10": p10, "p50": p50, "p90": p90, "used": bool(a.used), "outcomes": int(a.outcomes),
        "due": due, "overdue": bool(a.overdue),
    }  # fmt: skip


def goals_of(zones: tuple[Zone, ...]) -> list[Goal]:
    """The circle about each area that is watched; a corridor is no place to arrive at."""
    out = []
    for zone in zones:
        if zone.half_width_m > 0.0 or len(zone.points) < 4:
            continue
        corners = zone.points[:-1]
        first = corners[0][0]
        lon = first + sum((x - first + 540.0) % 360.0 - 180.0 for x, _ in corners) / len(corners)
        lat = sum(y for _, y in corners) / len(corners)
        radius_m = max(distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=y, lon2_deg=x) for x, y in corners)
        out.append(Goal(zone.name, round(lat, 7), round((lon + 540.0) % 360.0 - 180.0, 7), max(radius_m, 50.0)))
    return out
