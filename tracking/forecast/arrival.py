"""When something will be at a place: the times that others took from here to there, and how wrong such answers were before.

The passes of other tracks near the asked thing (``futures``) are followed until they first come within the place's radius; one
that breaks off before is carried on by the passes near its end.  The weighted median of the times is p50.  p10 and p90 are
split-conformal (``calibration``): tracks of the archive are asked for places on their own later way, with all that may be
looked at but themselves, and the quantiles of true over told time, of the answers about as long, are laid about p50.

Where nobody went there from here, the straight way at the own speed is told, with the wide spread that such answers have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from birddog.geo import Plane, distance_m
from tracking.forecast import futures as fut
from tracking.forecast.calibration import Windows, first_of, state_of, windows_of
from tracking.forecast.past import DEG, STOOD_MPS, Past, velocities_of
from tracking.forecast.where import Track

#: How alike passes have to be for a time to a place: who is slow at this moment (a stop, a light) is not slower for long.
LIKENESS = fut.Likeness(place=0.5, speed_mps=1.0, speed_share=0.3, hour=2.0, pace=0.0, carried=1.0)
#: The pace is that since so many velocity windows ago, and is kept by this power (1: wholly, 0: not at all).
PACE_WINDOWS, KEEPS_PACE = 6.0, 0.3
#: A pass is followed so long, over silences of up to so long.
MOST_AHEAD_S, MOST_SILENT_S = 14 * 86_400.0, 6 * 3600.0
#: Who stands is likened to passes on the course of its last way, where that ended so short a time ago (velocity windows).
PAUSE_WINDOWS = 10.0
#: Outcomes near the told time that give the interval (a third of those that there are, at most so many), and the fewest.
NEAREST, FEWEST = 80, 20
#: p10 and p90 over p50 where too few outcomes are known: along used routes, and by the straight way.
GUESS_USED, GUESS_STRAIGHT = (0.8, 1.35), (0.5, 4.0)
#: Outcomes that are asked for.
_ASKED = 400


@dataclass(frozen=True)
class Place:
    """Where to: a position and how near is there."""

    lat_deg: float
    lon_deg: float
    radius_m: float


@dataclass(frozen=True)
class Arrival:
    """An answer, POSIX seconds; ``used``: others went there from here; ``outcomes``: how many stand behind the spread.

    ``due_s``: when nine in ten would have been there, from the last fix on.  ``overdue``: that was before the question, which
    came with no fix since.  It is there by now, or goes elsewhere, or is held up: which of these no pass of others tells, and
    the times are none that anybody should wait for.
    """

    p10_s: float
    p50_s: float
    p90_s: float
    used: bool
    outcomes: int
    due_s: float
    overdue: bool


def arrives(past: Past, row: int, place: Place, until_s: float) -> float | None:
    """When the track of a row, after it, first comes within a place's radius; None where that is not known."""
    end = int(past.begin[int(np.searchsorted(past.begin, row, side="right"))])
    plane = Plane(lat_deg=place.lat_deg, lon_deg=place.lon_deg)
    a, width, begun = row, 256, float(past.t_s[row])
    while a < end:
        b = min(a + width, end)
        t = past.t_s[a:b].astype(np.float64)
        e, n = plane.en_array(past.lat[a:b] * DEG, past.lon[a:b] * DEG)
        far = np.flatnonzero((t > until_s) | (t > begun + MOST_AHEAD_S) | (np.diff(t, prepend=t[0]) > MOST_SILENT_S))
        stop = int(far[0]) if len(far) else len(t)
        at = _first_within(t[:stop], e[:stop], n[:stop], place.radius_m)
        if at is not None:
            return at
        if stop < len(t) or b == end:
            return None
        a, width = b - 1, min(width * 4, 65_536)
    return None


def _first_within(t: np.ndarray, e: np.ndarray, n: np.ndarray, radius_m: float) -> float | None:
    """The first fix within, or, where a line between two fixes passes within first, the time at its nearest point."""
    if len(t) == 0:
        return None
    inside = np.hypot(e, n) <= radius_m
    first = int(np.argmax(inside)) if inside.any() else len(t)
    de, dn = np.diff(e), np.diff(n)
    f = np.clip(-(e[:-1] * de + n[:-1] * dn) / np.maximum(de * de + dn * dn, 1e-6), 0.0, 1.0)
    through = (np.hypot(e[:-1] + f * de, n[:-1] + f * dn) <= radius_m) & ~inside[:-1] & ~inside[1:]
    crossed = int(np.argmax(through)) if through.any() else len(t)
    if crossed < first:
        return float(t[crossed] + f[crossed] * (t[crossed + 1] - t[crossed]))
    return float(t[first]) if first < len(t) else None


def took(past: Past, state: fut.LastSeen, place: Place, seen: fut.Visible, like: fut.Likeness = LIKENESS, depth: int = 1,
         before: tuple[float, float, float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(seconds to the place, weight) of each pass near a state that went there.

    Args:
        before: (latitude, longitude, seconds ago) of an earlier place: a pass is taken at the pace that the asked thing had
            from there to here, by the power ``KEEPS_PACE``.
    """
    found = fut.passes(past, state, seen, like) if state.moving else None
    seconds: list[float] = []
    cost: list[float] = []
    carried = 0
    if found is None:
        return np.zeros(0), np.zeros(0)
    for k in range(len(found.row)):
        if cost and found.cost[k] > cost[0] - math.log(fut.LEAST_WEIGHT):
            break
        row, begun = int(found.row[k]), float(found.t_s[k])
        at = arrives(past, row, place, seen.until_s)
        if at is not None:
            if at > begun:
                seconds.append((at - begun) * _pace(past, row, begun, before))
                cost.append(float(found.cost[k]))
            continue
        if depth == 0 or carried == fut.MOST_CARRIED:
            continue
        end = past.end_of(row, seen.until_s, MOST_AHEAD_S)
        gone_s = float(past.t_s[end]) - begun
        if gone_s <= past.scale.interval_s:
            continue
        there = _goes(past, end, state.t_s + gone_s)
        if there is None:
            continue
        carried += 1
        barred = replace(seen, barred=int(np.searchsorted(past.begin, end, side="right")) - 1)
        more, weight = took(past, there, place, barred, like, depth - 1)
        if len(more):
            seconds.append((gone_s + _median(more, weight)) * _pace(past, row, begun, before))
            cost.append(float(found.cost[k]) + like.carried)
    if not seconds:
        return np.zeros(0), np.zeros(0)
    likeness = np.exp(-np.minimum(np.array(cost) - min(cost), 30.0))
    return np.array(seconds), likeness / likeness.sum()


def _pace(past: Past, row: int, begun_s: float, before: tuple[float, float, float] | None) -> float:
    """How much longer than a pass the asked thing took from a place before to here, by the power ``KEEPS_PACE``."""
    if before is None or KEEPS_PACE == 0.0:
        return 1.0
    lat, lon, ago_s = before
    a = int(past.begin[int(past.begin.searchsorted(row, side="right")) - 1])
    a = max(a, row - 512, a + int(past.t_s[a : row + 1].searchsorted(begun_s - 4.0 * ago_s)))
    if row - a < 1:
        return 1.0
    e, n = Plane(lat_deg=lat, lon_deg=lon).en_array(past.lat[a : row + 1] * DEG, past.lon[a : row + 1] * DEG)
    d = np.hypot(e, n)
    k = int(np.argmin(d))
    theirs_s = begun_s - float(past.t_s[a + k])
    if d[k] > past.scale.reach_m or theirs_s < 0.2 * ago_s:
        return 1.0
    longer: float = min(2.0, max(0.5, ago_s / theirs_s)) ** KEEPS_PACE
    return longer


def _before(past: Past, state: fut.LastSeen, t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray
            ) -> tuple[float, float, float] | None:
    """Where it was some velocity windows ago: (latitude, longitude, seconds ago); None where that is not known."""
    k = int(t_s.searchsorted(state.t_s - PACE_WINDOWS * past.scale.window_s))
    ago_s = state.t_s - float(t_s[min(k, len(t_s) - 1)])
    return (float(lat_deg[k]), float(lon_deg[k]), ago_s) if ago_s >= past.scale.window_s else None


def _goes(past: Past, row: int, t_s: float) -> fut.LastSeen | None:
    state = on_its_way(past, state_of(past, row), *_columns(past, row))
    return None if state is None else replace(state, t_s=t_s)


def _columns(past: Past, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a = max(int(past.begin[int(np.searchsorted(past.begin, row, side="right")) - 1]), row + 1 - fut.MOST_LOOKED_BACK)
    return past.t_s[a : row + 1], past.lat[a : row + 1] * DEG, past.lon[a : row + 1] * DEG


def on_its_way(
    past: Past, state: fut.LastSeen, t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray
) -> fut.LastSeen | None:
    """A state with the velocity of its last way where it stands for a moment; None where it has stood long, or never moved."""
    if state.moving:
        return state
    if state.stood_s > PAUSE_WINDOWS * past.scale.window_s:
        return None
    ve, vn = velocities_of(t_s, lat_deg, lon_deg, past.scale.window_s)
    moved = np.flatnonzero(np.hypot(ve, vn) > STOOD_MPS)
    if not len(moved):
        return None
    return replace(state, ve_mps=float(ve[moved[-1]]), vn_mps=float(vn[moved[-1]]))


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    """The weighted median; between the two middle ones where the half falls between them."""
    order = np.argsort(values, kind="stable")
    v, w = values[order], weight[order]
    middle = (np.cumsum(w) - 0.5 * w) / w.sum()
    return float(np.interp(0.5, middle, v))


@dataclass
class Arrivals:
    """Answers questions about when, from one archive; nothing after t0 is looked at."""

    past: Past
    like: fut.Likeness = LIKENESS
    windows: Windows | None = None
    _asked: dict[tuple[int, float | None, int, int], tuple[float, float] | None] = field(default_factory=dict, repr=False)
    _younger: dict[int, Arrivals] = field(default_factory=dict, repr=False)

    def as_of(self, t0_s: float) -> Arrivals:
        """Who answers a question of a moment: this, or one with the lengths that the archive had then (``Past.as_of``)."""
        past = self.past.as_of(t0_s)
        return self if past is self.past else self._younger.setdefault(id(past), Arrivals(past, self.like))

    def arrival(self, track: Track, t0_s: float, place: Place) -> Arrival | None:
        """When a track will be at a place, by its fixes not after t0; None before its first fix."""
        if (then := self.as_of(t0_s)) is not self:
            return then.arrival(track, t0_s, place)
        n = int(np.searchsorted(track.t_s, t0_s, side="right"))
        state = fut.last_seen(track.t_s, track.lat_deg, track.lon_deg, t0_s, self.past.scale.window_s)
        if state is None:
            return None
        age_s = t0_s - state.t_s
        left_m = distance_m(lat1_deg=state.lat_deg, lon1_deg=state.lon_deg, lat2_deg=place.lat_deg, lon2_deg=place.lon_deg)
        if left_m <= place.radius_m:
            return Arrival(t0_s, t0_s, t0_s, True, 0, t0_s, False)
        seen, fixes = fut.visible(self.past, track.name, t0_s), (track.t_s[:n], track.lat_deg[:n], track.lon_deg[:n])
        told_s, used = self._told(state, fixes, place, seen, left_m - place.radius_m)
        low, high, outcomes = self.spread(told_s, used, place.radius_m, t0_s)
        # what is told counts from the last fix; nobody arrives before the question
        p10, p50, p90 = (t0_s + max(told_s * ratio - age_s, 0.0) for ratio in (low, 1.0, high))
        due_s = state.t_s + told_s * max(high, 1.0)
        return Arrival(p10, p50, max(p90, p50), used, outcomes, due_s, due_s < t0_s)

    def _told(
        self, state: fut.LastSeen, fixes: tuple[np.ndarray, ...], place: Place, seen: fut.Visible, left_m: float
    ) -> tuple[float, bool]:
        """(seconds to go from the last fix, whether on a used route)."""
        goes = on_its_way(self.past, state, *(c[-fut.MOST_LOOKED_BACK :] for c in fixes))
        if goes is not None:
            before = _before(self.past, state, *(c[-fut.MOST_LOOKED_BACK :] for c in fixes))
            seconds, weight = took(self.past, goes, place, seen, self.like, before=before)
            if len(seconds):
                return max(_median(seconds, weight), 1.0), True
        speed = math.hypot(goes.ve_mps, goes.vn_mps) if goes is not None else STOOD_MPS
        return max(left_m / max(speed, STOOD_MPS), 1.0), False

    def spread(self, told_s: float, used: bool, radius_m: float, t0_s: float) -> tuple[float, float, int]:
        """(p10 over p50, p90 over p50, outcomes behind them)."""
        if not used:
            return *GUESS_STRAIGHT, 0
        ratio, told = self._outcomes_of(radius_m, t0_s)
        most = min(NEAREST, max(FEWEST, len(told) // 3))
        near = np.argsort(np.abs(np.log(told / told_s)), kind="stable")[:most]
        n = len(near)
        if n < FEWEST:
            return *GUESS_USED, n
        ordered = np.sort(ratio[near])
        low = ordered[max(math.floor((n + 1) * 0.1) - 1, 0)]
        high = ordered[min(math.ceil((n + 1) * 0.9) - 1, n - 1)]
        return min(float(low), 1.0), max(float(high), 1.0), n

    def _outcomes_of(self, radius_m: float, t0_s: float) -> tuple[np.ndarray, np.ndarray]:
        """(true over told, told seconds) of windows that were asked for places on their own later way, both known at t0.

        Which windows are asked, and how far ahead, is decided by their hashes and by what had been known by then.
        """
        ended = self.past.ended(t0_s)
        if self.windows is None:
            self.windows = windows_of(self.past)[True]
        of, until_s, out = self.windows, t0_s if ended is None else ended, []
        among = first_of(of, np.flatnonzero(of.t_s < until_s), _ASKED)
        radius = round(math.log2(max(radius_m, 1.0)))
        for k in among[np.argsort(of.share[among], kind="stable")].tolist():
            row = int(of.row[k])
            end = self.past.end_of(row, until_s, MOST_AHEAD_S)
            if end - row < 4:
                continue
            # over the whole of what is left, by the hash, longer and shorter times alike; what is left by quarters of an
            # octave, so that a question of a little later asks few anew
            left = math.floor(4.0 * math.log2(end - row)) / 4.0
            ahead = max(1, round(2.0 ** ((of.share[k] * 7919.0) % 1.0 * left)))
            key = (radius, ended, int(k), ahead)
            if key not in self._asked:
                self.past.between()
            if key not in self._asked:
                self._asked[key] = self._ask(int(k), ahead, 2.0**radius, ended)
            if self._asked[key] is not None:
                out.append(self._asked[key])
        got = np.array(out).reshape(-1, 2)
        return got[:, 0], got[:, 1]

    def _ask(self, k: int, ahead: int, radius_m: float, ended: float | None) -> tuple[float, float] | None:
        """(true over told, told seconds) of a window that is asked for the place so many rows ahead; None: it says nothing."""
        assert self.windows is not None
        row, t = int(self.windows.row[k]), float(self.windows.t_s[k])
        place = Place(float(self.past.lat[row + ahead]) * DEG, float(self.past.lon[row + ahead]) * DEG, radius_m)
        true_at = arrives(self.past, row, place, math.inf)
        if true_at is None or true_at <= t:
            return None
        own = int(np.searchsorted(self.past.begin, row, side="right")) - 1
        seen = fut.Visible(until_s=t if ended is None else ended, own=own)
        told_s, used = self._told(state_of(self.past, row), _columns(self.past, row), place, seen, 0.0)
        return ((true_at - t) / told_s, told_s) if used else None
