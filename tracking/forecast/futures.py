"""What others did from here: the futures of one thing at one moment, each with a weight.

What moves is likened to the passes of other tracks: how near they went by (on the line between their fixes, not at them), on
which course, at which speed, at which time of day.  Each pass gives one future: where it was after the same time, at the pace
of what is asked for.  A pass whose continuation is not known to its end (a hole, the moment of the question) is carried on from
its last fix by the passes that are near it there.

What stands is likened to stops near it that had lasted as long: where those were later.  Beside them stands that it stays.

Sources: nearest neighbours over an archive of tracks are the single-point search of Hexeberg, Flaten, Eriksen and Brekke,
"AIS-based vessel trajectory prediction" (Fusion 2017), and its mixture Dalsnes, Hexeberg, Flaten, Eriksen and Brekke, "The
neighbor course distribution method with Gaussian mixture models" (Fusion 2018); the velocity that decays is the
Ornstein-Uhlenbeck model of Millefiori, Braca, Bryan and Willett, "Modeling vessel kinematics using a stochastic
mean-reverting process for long-term prediction" (IEEE TAES 2016).  The weighted geometric median, which least mean distance
asks for, is found by Weiszfeld's iteration (1937).

Over 400 lines: what is known of the asked thing, what is like it and what that did next are one method, and changed together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from birddog.geo import Plane
from tracking.forecast.past import DEG, MOST_JUDGED, STOOD_MPS, Past, velocities_of, velocity_of

_DAY_S = 86_400.0
#: Of the asked id itself only rows are used that are this much older than the question.
OWN_OLDER_S = _DAY_S
#: Two passes of one track near one place are two, where so long a time is between them (or four holes).
APART_S = 3600.0
#: How long back what stands is looked at for its swing, and the swing of what has only come to stand.
SWINGS_S, NEW_SWING_M = 4 * 3600.0, 100.0
#: Fixes of the asked track that are looked at, the newest: what stands longer than they tell has stood that long.
MOST_LOOKED_BACK = 2048
#: Passes that are kept; of those that break off, how many are carried on, and by how many passes each.
MOST_PASSES, MOST_CARRIED, MOST_OF_CARRIED = 60, 6, 24
#: So much likeness (about as many perfect neighbours) needs none that is carried on.
ENOUGH_MASS = 4.0
#: A weight below this share of the strongest is nothing.
LEAST_WEIGHT = 1e-4


@dataclass(frozen=True)
class Likeness:
    """How alike two passes have to be; chosen by ``tools/forecast_trials.py`` over vessels and trips (docs/forecasts.md).

    Attributes:
        place: one sigma of the distance, as a share of the archive's reach.
        turn_deg: one sigma of the difference of courses.
        speed_mps, speed_share: one sigma of the difference of speeds: so much, and so much of the own.
        hour: one sigma of the difference of the times of day; a time of day counts at most ``hour_most``.
        pace: 1 takes a neighbour's way at the own speed, 0 at the neighbour's.
        carried: what it costs a pass to have been carried on.
        steady: the weight of the own velocity, held on, beside a perfect neighbour; it decays in ``steady_s``.
        stays: the weight of staying, beside a perfect stop.
        stop_place: one sigma of the distance between stops, as a share of the reach.
    """

    place: float = 0.5
    turn_deg: float = 25.0
    speed_mps: float = 0.6
    speed_share: float = 0.25
    hour: float = 2.0
    hour_most: float = 4.0
    pace: float = 0.5
    carried: float = 0.7
    steady: float = 0.005
    steady_s: float = 10_800.0
    stays: float = 1.0
    stop_place: float = 0.8


LIKENESS = Likeness()


@dataclass(frozen=True)
class LastSeen:
    """What is known of the asked thing at t0: its last fix, its velocity, since when it has stood (0 s where it moves).

    ``swing_m``: of what stands the root mean square distance of its fixes of the last hours from the last one, while it stood.
    """

    t_s: float
    lat_deg: float
    lon_deg: float
    ve_mps: float
    vn_mps: float
    stood_s: float
    swing_m: float = 0.0

    @property
    def speed_mps(self) -> float:
        return math.hypot(self.ve_mps, self.vn_mps)

    @property
    def moving(self) -> bool:
        return self.speed_mps > STOOD_MPS


@dataclass(frozen=True)
class Futures:
    """Where it may be: east, north metres about ``plane``'s origin, the way it goes there (m/s), weights that sum to 1.

    ``mass`` is how much likeness there is in all, about the number of perfect neighbours; 0 is an empty archive.
    """

    plane: Plane
    e_m: np.ndarray
    n_m: np.ndarray
    ve_mps: np.ndarray
    vn_mps: np.ndarray
    weight: np.ndarray
    mass: float
    point: tuple[float, float]


def last_seen(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, t0_s: float, window_s: float) -> LastSeen | None:
    """What is known of a track (ascending times) at t0, of its fixes not after t0; None where there is none."""
    n = int(np.searchsorted(t_s, t0_s, side="right"))
    if n == 0:
        return None
    a = max(0, n - MOST_LOOKED_BACK)
    t_s, lat_deg, lon_deg = t_s[a:n], lat_deg[a:n], lon_deg[a:n]
    ve, vn = velocity_of(t_s, lat_deg, lon_deg, window_s)
    since, swing_m = len(t_s) - 1, 0.0
    if math.hypot(ve, vn) <= STOOD_MPS:
        went = np.hypot(*velocities_of(t_s, lat_deg, lon_deg, window_s)) > STOOD_MPS
        went[1:] |= np.diff(t_s) > 6 * 3600.0
        moved = np.flatnonzero(went)
        since = min(int(moved[-1]) + 1, since) if len(moved) else 0
        a = max(since, int(t_s.searchsorted(t_s[-1] - SWINGS_S)))
        e, north = Plane(lat_deg=float(lat_deg[-1]), lon_deg=float(lon_deg[-1])).en_array(lat_deg[a:-1], lon_deg[a:-1])
        swing_m = math.sqrt(float(np.mean(e * e + north * north))) if len(e) else NEW_SWING_M
    return LastSeen(
        t_s=float(t_s[-1]), lat_deg=float(lat_deg[-1]), lon_deg=float(lon_deg[-1]), ve_mps=ve, vn_mps=vn,
        stood_s=float(t_s[-1] - t_s[since]), swing_m=swing_m,
    )  # fmt: skip


def pace_mps(
    t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, state: LastSeen, after_s: float, window_s: float
) -> float:
    """Metres a second on the way that it made in as long a time before its last fix, or now where that is more."""
    b = int(t_s.searchsorted(state.t_s, side="right"))
    a = max(int(t_s.searchsorted(state.t_s - max(after_s, 2.0 * window_s))), b - MOST_LOOKED_BACK)
    if b - a < 2:
        return state.speed_mps
    e, n = Plane(lat_deg=state.lat_deg, lon_deg=state.lon_deg).en_array(lat_deg[a:b], lon_deg[a:b])
    way_m = float(np.hypot(np.diff(e), np.diff(n)).sum())
    return max(state.speed_mps, way_m / max(float(t_s[b - 1] - t_s[a]), 1.0))


@dataclass(frozen=True)
class Visible:
    """What of the archive may be looked at.

    Attributes:
        until_s: nothing after it.
        own: the asked track's own number in the archive, -1 where it is not there.
        own_until_s: of the own track nothing after it (a day before the question: a track is no neighbour of itself).
        barred: a track of which nothing is looked at.
    """

    until_s: float
    own: int = -1
    own_until_s: float = -math.inf
    barred: int = -1

    def shows(self, track: np.ndarray, t_s: np.ndarray) -> np.ndarray:
        """Which rows, by track and time."""
        shown = (t_s <= self.until_s) & (track != self.barred)
        out: np.ndarray = shown if self.own < 0 else shown & ((track != self.own) | (t_s <= self.own_until_s))
        return out


def visible(past: Past, name: str, t0_s: float) -> Visible:
    """What is looked at for a question about a name at t0."""
    return Visible(until_s=t0_s, own=past.number_of(name), own_until_s=t0_s - OWN_OLDER_S)


@dataclass
class Passes:
    """Passes of other tracks, best first: the row before the nearest point, the time there, its offset, speed, cost."""

    row: np.ndarray
    t_s: np.ndarray
    e_m: np.ndarray
    n_m: np.ndarray
    speed_mps: np.ndarray
    cost: np.ndarray


def passes(past: Past, state: LastSeen, seen: Visible, like: Likeness = LIKENESS) -> Passes | None:
    """Who passed here as this does, best first; None where nobody did."""
    plane = Plane(lat_deg=state.lat_deg, lon_deg=state.lon_deg)
    s = 1 + int(math.degrees(math.atan2(state.ve_mps, state.vn_mps)) % 360.0 / 45.0) % 8
    r = past.slices(state.lat_deg, state.lon_deg, (1 + (s - 2) % 8, s, 1 + s % 8), seen.until_s)
    if not len(r):
        return None
    reach, speed = past.scale.reach_m, state.speed_mps
    e, n = plane.en_array(past.p_lat[r] * DEG, past.p_lon[r] * DEG)
    ve, vn = past.p_ve[r].astype(np.float64), past.p_vn[r].astype(np.float64)
    d, their = np.hypot(e, n), np.hypot(ve, vn)
    turn = np.degrees(np.arctan2(ve * state.vn_mps - vn * state.ve_mps, ve * state.ve_mps + vn * state.vn_mps))
    keep = (d <= 1.5 * reach) & (np.abs(turn) <= 70.0)
    row = past.p_row[r]
    if not (0 <= row.min() and row.max() < len(past)):
        raise ValueError("a place names a row that is none")
    track = past.track_of(row)
    t = past.times_of(r, row, track)
    keep &= seen.shows(track, t)
    cost = 0.5 * ((their - speed) / (like.speed_mps + like.speed_share * speed)) ** 2 + 0.5 * (turn / like.turn_deg) ** 2
    hours = ((t - state.t_s) / 3600.0 + 12.0) % 24.0 - 12.0
    cost += np.minimum(0.5 * (hours / like.hour) ** 2, like.hour_most)
    near = np.flatnonzero(keep)
    if not len(near):
        return None
    rough = cost[near] + 0.5 * (d[near] / reach) ** 2
    near = near[_best_of_each_pass(track[near], t[near], row[near], rough, max(APART_S, 4.0 * past.scale.hole_s))[:MOST_JUDGED]]
    e, n, t, row, cost, their = e[near], n[near], t[near], row[near], cost[near], their[near]
    if (past.t_s[row] != t).any():
        raise ValueError("a place names a row of another time")
    row, t, e, n = _nearest_on_the_way(past, plane, row, t, e, n, seen.until_s)
    cost = cost + 0.5 * (np.hypot(e, n) / (like.place * reach)) ** 2
    best = np.argsort(cost, kind="stable")[:MOST_PASSES]
    return Passes(row[best], t[best], e[best], n[best], their[best], cost[best])


def _best_of_each_pass(track: np.ndarray, t: np.ndarray, row: np.ndarray, cost: np.ndarray, apart_s: float) -> np.ndarray:
    """Of each pass (rows of one track, none long after the one before) the row of least cost; the least of all first."""
    order = np.lexsort((t, track))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(track[order]) != 0) | (np.diff(t[order]) > apart_s)
    label = np.empty(len(order), dtype=np.int64)
    label[order] = np.cumsum(new)
    order = np.lexsort((row, cost, label))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(label[order]) != 0
    best = order[first]
    return best[np.argsort(cost[best], kind="stable")]


def _nearest_on_the_way(past: Past, plane: Plane, row: np.ndarray, t: np.ndarray, e: np.ndarray, n: np.ndarray, until_s: float
                        ) -> tuple[np.ndarray, ...]:
    """The nearest point on the lines from each fix to the next and to the one before: (row before it, time, e, n)."""
    best_row, best_t, best_e, best_n, best = row.copy(), t.copy(), e.copy(), n.copy(), np.hypot(e, n)
    track = past.track_of(row)
    for step in (1, -1):
        other = np.clip(row + step, past.begin[track], past.begin[track + 1] - 1)
        t1 = past.t_s[other].astype(np.float64)
        e1, n1 = plane.en_array(past.lat[other] * DEG, past.lon[other] * DEG)
        de, dn = e1 - e, n1 - n
        length2 = np.maximum(de * de + dn * dn, 1e-6)
        f = np.clip(-(e * de + n * dn) / length2, 0.0, 1.0)
        f[(np.abs(t1 - t) > past.scale.hole_s) | (t1 > until_s)] = 0.0
        qe, qn = e + f * de, n + f * dn
        q = np.hypot(qe, qn)
        nearer = q < best - 1e-6
        best[nearer], best_e[nearer], best_n[nearer] = q[nearer], qe[nearer], qn[nearer]
        best_t[nearer] = (t + f * (t1 - t))[nearer]
        best_row[nearer] = np.minimum(row, other)[nearer]
    return best_row, best_t, best_e, best_n


def steady(state: LastSeen, after_s: float, like: Likeness = LIKENESS) -> tuple[float, float]:
    """East, north metres that the own velocity makes while it decays."""
    d = like.steady_s * (1.0 - math.exp(-after_s / like.steady_s))
    return state.ve_mps * d, state.vn_mps * d


def of_mover(past: Past, state: LastSeen, after_s: float, seen: Visible, found: Passes | None, like: Likeness = LIKENESS, *,
             depth: int = 1) -> Futures:
    """The futures of what moves, ``after_s`` behind its last fix.

    Args:
        found: its passes.
        depth: how often passes that break off are carried on.
    """
    plane = Plane(lat_deg=state.lat_deg, lon_deg=state.lon_deg)
    e, n, ve, vn, cost = [], [], [], [], []

    def take(passes: Passes, k: int, got: tuple[float, float, float, float], more: float) -> None:
        e.append(got[0] - passes.e_m[k])
        n.append(got[1] - passes.n_m[k])
        ve.append(got[2])
        vn.append(got[3])
        cost.append(float(passes.cost[k]) + more)

    if found is not None:
        broke, near = [], found.cost[found.cost <= found.cost[0] - math.log(LEAST_WEIGHT)]
        for k in range(min(len(near), MOST_PASSES if depth else MOST_OF_CARRIED)):
            got = _continued(past, plane, found, k, state.speed_mps, after_s, seen.until_s, like)
            if got is None:
                broke.append(k)
            else:
                take(found, k, got, 0.0)
        mass = float(np.exp(-np.array(cost)).sum())
        for k in broke[:MOST_CARRIED] if depth else ():
            # those that break off are needed where few go on, or where they are the likest
            if mass > ENOUGH_MASS and found.cost[k] + like.carried > cost[0]:
                break
            got = _carried(past, plane, found, k, state, after_s, seen, like, depth)
            if got is not None:
                take(found, k, got, like.carried)
    likeness = np.exp(-np.minimum(np.array(cost), 30.0))
    mass = float(likeness.sum())
    s_e, s_n = steady(state, after_s, like)
    return _futures(plane, [*e, s_e], [*n, s_n], [*ve, state.ve_mps], [*vn, state.vn_mps], np.r_[likeness, like.steady], mass)


def _futures(plane: Plane, e: list[float], n: list[float], ve: list[float], vn: list[float], likeness: np.ndarray, mass: float,
             point: tuple[float, float] | None = None) -> Futures:
    w = likeness / likeness.sum()
    keep = w > LEAST_WEIGHT
    w = w[keep] / w[keep].sum()
    e_m, n_m = np.array(e)[keep], np.array(n)[keep]
    return Futures(plane, e_m, n_m, np.array(ve)[keep], np.array(vn)[keep], w, mass,
                   geometric_median(e_m, n_m, w) if point is None else point)


def _continued(past: Past, plane: Plane, found: Passes, k: int, speed_mps: float, after_s: float, until_s: float, like: Likeness
               ) -> tuple[float, float, float, float] | None:
    """Where a pass was after the same time, at the own pace or else at its own: (e, n, ve, vn)."""
    pace = _pace(found, k, speed_mps, like)
    for ratio in (pace, 1.0) if pace != 1.0 else (1.0,):
        got = past.at(int(found.row[k]), float(found.t_s[k]) + after_s * ratio, until_s)
        if got is not None:
            row, lat, lon = got
            e, n = plane.en(lat_deg=lat, lon_deg=lon)
            b = min(row + 1, int(past.begin[np.searchsorted(past.begin, row, side="right")]) - 1)
            ve, vn = past.velocity(b if past.t_s[b] <= until_s else row)
            return float(e), float(n), ve, vn
    return None


def _pace(found: Passes, k: int, speed_mps: float, like: Likeness) -> float:
    ratio = min(2.0, max(0.5, speed_mps / max(float(found.speed_mps[k]), 0.3)))
    pace: float = ratio**like.pace
    return pace


def _carried(
    past: Past, plane: Plane, found: Passes, k: int, state: LastSeen, after_s: float, seen: Visible, like: Likeness, depth: int
) -> tuple[float, float, float, float] | None:
    """The end of a pass that breaks off after a fifth of the time or more, by what others did from there."""
    pace = _pace(found, k, state.speed_mps, like)
    end = past.end_of(int(found.row[k]), seen.until_s, after_s * pace)
    gone_s = (float(past.t_s[end]) - float(found.t_s[k])) / pace
    if gone_s < 0.2 * after_s:
        return None
    lat, lon = float(past.lat[end]) * DEG, float(past.lon[end]) * DEG
    e, n = plane.en(lat_deg=lat, lon_deg=lon)
    ve, vn = past.velocity(end)
    if math.hypot(ve, vn) <= STOOD_MPS or gone_s >= after_s:
        return e, n, ve, vn
    there = LastSeen(t_s=state.t_s + gone_s, lat_deg=lat, lon_deg=lon, ve_mps=ve, vn_mps=vn, stood_s=0.0)
    others = replace(seen, barred=int(np.searchsorted(past.begin, end, side="right")) - 1)
    f = of_mover(past, there, after_s - gone_s, others, passes(past, there, others, like), like, depth=depth - 1)
    best = int(np.argmax(f.weight))
    return e + f.point[0], n + f.point[1], float(f.ve_mps[best]), float(f.vn_mps[best])


def of_stander(past: Past, state: LastSeen, after_s: float, seen: Visible, like: Likeness = LIKENESS) -> Futures:
    """The futures of what stands: that it stays, and what stops near it did that had lasted as long."""
    plane = Plane(lat_deg=state.lat_deg, lon_deg=state.lon_deg)
    k = past.stops(state.lat_deg, state.lon_deg, seen.until_s)
    e, n, ve, vn, cost = [], [], [], [], []
    if len(k):
        de, dn = plane.en_array(past.s_lat[k] * DEG, past.s_lon[k] * DEG)
        first = past.s_row[k]
        t = past.t_s[first].astype(np.float64) + state.stood_s
        until = np.minimum(past.stood_until(k, seen.until_s) + past.scale.interval_s, seen.until_s)
        track = past.track_of(first)
        keep = (t <= until) & seen.shows(track, t) & past.counted(track, seen.until_s)
        hours = ((t - state.t_s) / 3600.0 + 12.0) % 24.0 - 12.0
        c = 0.5 * (np.hypot(de, dn) / (like.stop_place * past.scale.reach_m)) ** 2
        c += np.minimum(0.5 * (hours / like.hour) ** 2, like.hour_most)
        near = np.flatnonzero(keep)
        for i in near[np.argsort(c[near], kind="stable")][:MOST_PASSES]:
            row, then_s = int(first[i]), float(t[i])
            here, later = past.at(row, then_s, seen.until_s), past.at(row, then_s + after_s, seen.until_s)
            if here is None or later is None:
                continue
            e0, n0 = plane.en(lat_deg=here[1], lon_deg=here[2])
            e1, n1 = plane.en(lat_deg=later[1], lon_deg=later[2])
            e.append(float(e1 - e0))
            n.append(float(n1 - n0))
            v = past.velocity(later[0])
            ve.append(v[0])
            vn.append(v[1])
            cost.append(c[i])
    likeness = np.exp(-np.minimum(np.array(cost), 30.0))
    left = np.hypot(e, n) > max(0.2 * past.scale.reach_m, 100.0)
    # a stopped thing stays, unless the weight of those that left outdoes it
    leaves = float(likeness[left].sum()) > float(likeness[~left].sum()) + like.stays
    point = None if leaves else (0.0, 0.0)
    mass, weights = float(likeness.sum()), np.r_[likeness, like.stays]
    return _futures(plane, [*e, 0.0], [*n, 0.0], [*ve, 0.0], [*vn, 0.0], weights, mass, point)


def geometric_median(e_m: np.ndarray, n_m: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The point with the least weighted mean distance to all (Weiszfeld; a metre of softening, 40 rounds at most)."""
    e, n = float((e_m * weight).sum() / weight.sum()), float((n_m * weight).sum() / weight.sum())
    for _ in range(40):
        w = weight / (np.hypot(e_m - e, n_m - n) + 1.0)
        e1, n1 = float((w * e_m).sum() / w.sum()), float((w * n_m).sum() / w.sum())
        done = abs(e1 - e) + abs(n1 - n) < 1.0
        e, n = e1, n1
        if done:
            break
    return e, n


def futures_of(
    past: Past, state: LastSeen, after_s: float, seen: Visible, found: Passes | None, like: Likeness = LIKENESS
) -> Futures:
    """Where it may be, ``after_s`` behind its last fix; ``found`` are the passes of what moves."""
    if state.moving:
        return of_mover(past, state, after_s, seen, found, like)
    return of_stander(past, state, after_s, seen, like)
