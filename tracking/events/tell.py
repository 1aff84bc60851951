"""From runs of fixes and points to events: one place for both forms, so that they say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from birddog.units import NS
from tracking.events.gaps import unusual
from tracking.events.loiter import Run as LoiterRun
from tracking.events.model import Event, Gap, Rules
from tracking.events.places import Found
from tracking.events.runs import PairRun
from tracking.events.sphere import place
from tracking.events.splits import Parted
from tracking.events.stops import Run

if TYPE_CHECKING:
    from tracking.events.ways import Ways


class Columns(msgspec.Struct, frozen=True):
    """Many events of one kind and of one vessel each, a column for each of the words of ``Event``.

    ``measures``: the values, and of which events there is one (None: of all).
    """

    kind: str
    ids: list[str]
    start_ns: np.ndarray
    last_ns: np.ndarray
    ended: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    confidence: np.ndarray
    measures: dict[str, tuple[np.ndarray, np.ndarray | None]]

    def events(self) -> Iterator[Event]:
        """One by one."""
        measures = [filled(values.tolist(), has) for values, has in self.measures.values()]
        columns = (self.start_ns, self.last_ns, self.ended, self.lat_deg, self.lon_deg, self.confidence)
        rows = zip(self.ids, *(c.tolist() for c in columns), zip(*measures, strict=True), strict=True)
        for name, start_ns, last_ns, ended, lat, lon, confidence, values in rows:
            yield Event(self.kind, (name,), start_ns, last_ns if ended else None, last_ns, lat, lon, confidence,
                        dict(zip(self.measures, values, strict=True)))


def filled(values: list[Any], has: np.ndarray | None) -> list[Any]:
    """The values where there is one, else None."""
    return values if has is None else [value if there else None for value, there in zip(values, has.tolist(), strict=True)]


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """``round`` of each.

    What is not about half way between two such numbers is scaled, rounded and divided: the nearest number to a decimal of
    less than 2^53 is that, divided once.  The others are rounded one by one.
    """
    scale = 10.0**digits
    scaled = values * scale
    whole = np.rint(scaled)
    out: np.ndarray = whole / scale
    for k in np.flatnonzero(~((np.abs(np.abs(scaled - whole) - 0.5) > 1e-3) & (np.abs(whole) < 1e12))).tolist():
        out[k] = round(float(values[k]), digits)
    return out


def stop(
    name: str, rules: Rules, first_ns: int, last_ns: int, n: int, x: float, y: float, z: float, *, ended: bool
) -> Event:  # fmt: skip
    """A stop of n fixes with the sums of their points; a fix vouches for ``seen_s`` of it."""
    lat, lon = place(x, y, z)
    lasted_s = (last_ns - first_ns) / NS
    return Event(
        "stop", (name,), first_ns, last_ns if ended else None, last_ns, lat, lon, min(1.0, (n - 1) * rules.seen_s / lasted_s),
        {"duration_s": lasted_s, "fixes": n},
    )  # fmt: skip


def stops(
    names: list[str], rules: Rules, first_ns: np.ndarray, last_ns: np.ndarray, runs: list[Run], *, ended: np.ndarray
) -> Columns:  # fmt: skip
    """``stop`` of many."""
    lasted_s = np.array([ns / NS for ns in (last_ns - first_ns).tolist()])
    places = np.array([place(run.x, run.y, run.z) for run in runs]).reshape(-1, 2)
    n = np.array([run.n for run in runs], np.int64)
    return Columns(
        "stop", names, first_ns, last_ns, ended, places[:, 0], places[:, 1], np.minimum(1.0, (n - 1) * rules.seen_s / lasted_s),
        {"duration_s": (lasted_s, None), "fixes": (n, None)},
    )  # fmt: skip


def gap(
    name: str, rule: Gap, first_ns: int, now_ns: int, habit_ns: float, known: int, heard: int | None, *, ended: bool,
    lat_deg: float, lon_deg: float, moved_m: float | None,
) -> Event:  # fmt: skip
    """A gap after the fix at ``first_ns``; ``habit_ns`` is the median of ``known`` intervals, ``heard`` counted near by."""
    silence_ns = now_ns - first_ns
    odd = unusual(silence_ns, habit_ns, known, rule)
    return Event(
        "gap", (name,), first_ns, now_ns if ended else None, now_ns, round(lat_deg, 7), round(lon_deg, 7),
        1.0 - min(1.0, habit_ns / silence_ns),
        {
            "duration_s": silence_ns / NS, "usual_interval_s": habit_ns / NS if known else None,
            "switched_off": odd and heard is not None and heard >= rule.heard, "heard_near": heard if odd else None,
            "moved_m": moved_m,
        },
    )  # fmt: skip


def gaps(
    names: list[str], rule: Gap, first_ns: np.ndarray, now_ns: np.ndarray, habit_ns: np.ndarray, known: np.ndarray,
    heard: np.ndarray, *, ended: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, moved_m: np.ndarray,
) -> Columns:  # fmt: skip
    """``gap`` of many; ``heard`` is -1 where nobody asked."""
    silence_ns, odd = now_ns - first_ns, heard >= 0
    duration_s = np.array([ns / NS for ns in silence_ns.tolist()])
    return Columns(
        "gap", names, first_ns, now_ns, ended, rounded(lat_deg, 7), rounded(lon_deg, 7),
        1.0 - np.minimum(1.0, habit_ns / silence_ns),
        {
            "duration_s": (duration_s, None), "usual_interval_s": (habit_ns / NS, known > 0),
            "switched_off": (odd & (heard >= rule.heard), None), "heard_near": (heard, odd), "moved_m": (moved_m, ended),
        },
    )  # fmt: skip


def loiter(name: str, rules: Rules, run: LoiterRun, *, ended: bool) -> Event:
    """Loitering."""
    lat, lon = place(run.x, run.y, run.z)
    first_ns, last_ns = run.first_g * rules.grid_ns, run.last_g * rules.grid_ns
    return Event(
        "loiter", (name,), first_ns, last_ns if ended else None, last_ns, lat, lon, run.seen / run.n,
        {"duration_s": (last_ns - first_ns) / NS, "drift_m": run.drift_m, "mean_speed_mps": run.speed_mps / run.n,
         "points": run.n},
    )  # fmt: skip


def encounter(a: str, b: str, rules: Rules, run: PairRun, *, ended: bool) -> Event:
    """An encounter."""
    lat, lon = place(run.x, run.y, run.z)
    first_ns, last_ns = run.first_g * rules.grid_ns, run.last_g * rules.grid_ns
    return Event(
        "encounter", (a, b), first_ns, last_ns if ended else None, last_ns, lat, lon, run.seen / run.n,
        {"duration_s": (last_ns - first_ns) / NS, "mean_distance_m": run.distance_m / run.n,
         "least_distance_m": run.least_m, "points": run.n},
    )  # fmt: skip


def cotravel(a: str, b: str, rules: Rules, run: PairRun, *, ended: bool) -> Event:
    """Co-travel; the one behind stands second."""
    lat, lon = place(run.x, run.y, run.z)
    lag_s = run.lag_s / run.n
    if lag_s < 0.0:
        a, b, lag_s = b, a, -lag_s
    first_ns, last_ns = (run.first_g - 1) * rules.grid_ns, run.last_g * rules.grid_ns
    return Event(
        "cotravel", (a, b), first_ns, last_ns if ended else None, last_ns, lat, lon, run.seen / run.n,
        {"duration_s": (last_ns - first_ns) / NS, "lag_s": lag_s, "mean_distance_m": run.distance_m / run.n,
         "moving_s": run.n * rules.grid_s, "points": run.n},
    )  # fmt: skip


def split(a: str, b: str, rules: Rules, run: PairRun, found: Parted) -> Event:
    """A load split: a co-travel that ended, and how the two parted."""
    together = cotravel(a, b, rules, run, ended=True)
    lat, lon = place(found.x, found.y, found.z)
    start_ns, end_ns = found.last_g * rules.grid_ns, found.g * rules.grid_ns
    gone_m, other_m = found.gone_m if together.ids[0] == a else found.gone_m[::-1]
    return Event(
        "split", together.ids, start_ns, end_ns, end_ns, lat, lon, together.confidence,
        {"duration_s": (end_ns - start_ns) / NS, "together_s": (start_ns - together.start_ns) / NS,
         "distance_m": found.distance_m, "apart_m": found.apart_m, "place_m": found.place_m,
         "gone_m": gone_m, "other_gone_m": other_m},
    )  # fmt: skip


def at_place(name: str, found: Found) -> Event:
    """A visit, a passage, a crossing, a deviation."""
    return Event(
        found.kind, (name,), found.first_ns, found.last_ns if found.ended else None, found.last_ns,
        round(found.lat_deg, 7), round(found.lon_deg, 7), found.seen, found.measures, found.place,
    )  # fmt: skip


def lane_stop(
    name: str, rules: Rules, ways: Ways, first_ns: int, last_ns: int, n: int, sums: tuple[float, float, float],
    at: tuple[float, float, float], *, ended: bool,
) -> Event | None:  # fmt: skip
    """A stop that began at a point where others pass and nobody stops; None where it did not."""
    known = ways.lane(*place(*at), rules.lane_stop)
    if known is None:
        return None
    event = stop(name, rules, first_ns, last_ns, n, *sums, ended=ended)
    return Event("lane_stop", event.ids, first_ns, event.end_ns, last_ns, event.lat_deg, event.lon_deg, event.confidence,
                 {**event.measures, **known})  # fmt: skip
