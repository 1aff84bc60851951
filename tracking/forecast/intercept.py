"""Where and when a unit can meet what is followed: places ranked by the probability that it is there first, or in time.

Places are taken along the ways that passes like the asked thing went on (``futures``), or along its own straight way where
nobody passed.  For each: the share of those passes that came there at all; when (``arrival``: the median, and the conformal
spread of such answers about it); and when the unit is there: by its distance, the detour that roads make, its speed and the
time until it is ready, with how unsure these are.  What stands is met where it stands, if it has not left by then.

Nothing after t0 is looked at.  Detours: a road is about 1.3 times the straight line (circuity of road networks, e.g.
Ballou, Rahardja and Sakai, "Selected country circuity factors for road travel distance estimation", Transportation Research A
2002: 1.2 to 1.6 for most countries; from memory).  At sea the straight line is taken, also where it crosses land: said in docs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from birddog.geo import Plane, distance_m
from tracking.forecast import futures as fut
from tracking.forecast.arrival import GUESS_STRAIGHT, Arrivals, Place, arrives, on_its_way
from tracking.forecast.looks import LOOKS, LookKind
from tracking.forecast.past import DEG, STOOD_MPS
from tracking.forecast.where import Forecast, Forecaster, Track

#: How much longer than the straight line a way is, one sigma of that, and of the mean speed; shares.
DETOUR = {"sea": (1.0, 0.05), "road": (1.3, 0.15)}
SPEED_SIGMA = 0.1
#: Steps of time along which places are sought, and how many are kept of each.
STEPS, OF_EACH = 16, 2
#: What is less probable is no place to meet.
LEAST = 0.005
#: Standard normal quantiles over which the arrival of what is followed is summed, evenly.
_Z = tuple(float(z) for z in (-1.96, -1.44, -1.15, -0.93, -0.76, -0.6, -0.45, -0.32, -0.19, -0.06,
                              0.06, 0.19, 0.32, 0.45, 0.6, 0.76, 0.93, 1.15, 1.44, 1.96))  # fmt: skip
_Z90 = 1.2816


@dataclass(frozen=True)
class Unit:
    """Who is to meet it: where it is (one sigma), how fast it goes, by road or sea, and how long until it leaves."""

    lat_deg: float
    lon_deg: float
    speed_mps: float
    medium: Literal["sea", "road"] = "sea"
    sigma_m: float = 0.0
    ready_s: float = 0.0

    def takes(self, place: Place) -> tuple[float, float]:
        """(seconds until it is at a place, one sigma)."""
        away_m = distance_m(lat1_deg=self.lat_deg, lon1_deg=self.lon_deg, lat2_deg=place.lat_deg, lon2_deg=place.lon_deg)
        detour, unsure = DETOUR[self.medium]
        goes_s = max(away_m - place.radius_m, 0.0) * detour / self.speed_mps
        return self.ready_s + goes_s, math.hypot(goes_s * math.hypot(unsure, SPEED_SIGMA), self.sigma_m / self.speed_mps) + 1.0


@dataclass(frozen=True)
class Meeting:
    """A place and how probable it is to meet there.

    Attributes:
        reaches: how probable it is that what is followed comes there at all, within the time asked.
        s_p10_s, s_p50_s, s_p90_s: when it would be there; unit_p50_s, unit_p90_s: when the unit is.
        used: others went there from here; else it is the straight way.  outcomes: how many stand behind the spread.
    """

    place: Place
    probability: float
    reaches: float
    s_p10_s: float
    s_p50_s: float
    s_p90_s: float
    unit_p50_s: float
    unit_p90_s: float
    used: bool
    outcomes: int


def meetings(
    forecaster: Forecaster, arrivals: Arrivals, track: Track, t0_s: float, unit: Unit, *, radius_m: float = 1000.0,
    most_s: float = 4 * 3600.0, among: tuple[Place, ...] = (), n: int = 5,
) -> list[Meeting]:  # fmt: skip
    """The best places, the most probable first, none within two radii of a better one; none before the track's first fix.

    Args:
        radius_m: how near is met.
        most_s: nothing later is looked at.
        among: places that are asked for beside those that are sought.
    """
    forecaster, arrivals = forecaster.as_of(t0_s), arrivals.as_of(t0_s)
    past = arrivals.past
    state = fut.last_seen(track.t_s, track.lat_deg, track.lon_deg, t0_s, past.scale.window_s)
    if state is None:
        return []
    known = int(np.searchsorted(track.t_s, t0_s, side="right"))
    fixes = tuple(c[max(0, known - fut.MOST_LOOKED_BACK) : known] for c in (track.t_s, track.lat_deg, track.lon_deg))
    goes = on_its_way(past, state, *fixes)
    if goes is None:
        found = [_where_it_stands(forecaster, track, state, t0_s, unit, radius_m, most_s)]
    else:
        found = _on_the_way(forecaster, arrivals, track, goes, t0_s, unit, radius_m, most_s, among)
    found.sort(key=lambda m: (-m.probability, m.unit_p50_s, m.place.lat_deg, m.place.lon_deg))
    out: list[Meeting] = []
    for one in found:
        if one.probability >= LEAST and all(_apart(one.place, other.place) > 2.0 * radius_m for other in out):
            out.append(one)
    return out[:n]


def _apart(a: Place, b: Place) -> float:
    return distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)


def _where_it_stands(
    forecaster: Forecaster, track: Track, state: fut.LastSeen, t0_s: float, unit: Unit, radius_m: float, most_s: float
) -> Meeting:  # fmt: skip
    place = Place(state.lat_deg, state.lon_deg, radius_m)
    takes_s, sigma_s = unit.takes(place)
    f = forecaster.forecast(track, t0_s, min(takes_s, most_s))
    assert f is not None
    stays = float(f.futures.weight[np.hypot(f.futures.e_m, f.futures.n_m) <= radius_m].sum())
    in_time = _normal((most_s - takes_s) / sigma_s)
    return Meeting(place, stays * in_time, stays, t0_s, t0_s, t0_s, t0_s + takes_s, t0_s + takes_s + _Z90 * sigma_s, True,
                   f.windows)  # fmt: skip


def _on_the_way(
    forecaster: Forecaster, arrivals: Arrivals, track: Track, goes: fut.LastSeen, t0_s: float, unit: Unit, radius_m: float,
    most_s: float, among: tuple[Place, ...],
) -> list[Meeting]:  # fmt: skip
    past = arrivals.past
    seen = fut.visible(past, track.name, t0_s)
    found, age_s = fut.passes(past, goes, seen, arrivals.like), t0_s - goes.t_s
    out: list[Meeting] = []
    if found is not None:
        near = np.flatnonzero(found.cost <= found.cost[0] - math.log(fut.LEAST_WEIGHT))
        weight = np.exp(-(found.cost[near] - found.cost[0]))
        begun = found.t_s[near]
        # how far each pass is known to go on: until a hole, or what was known at t0
        known_s = np.array([past.t_s[past.end_of(int(r), seen.until_s, age_s + most_s)] for r in found.row[near]]) - begun
        for place in (*among, *_along(arrivals, found, near, weight, seen, age_s, radius_m, most_s)):
            one = _met(arrivals, found, near, weight, known_s, place, goes, t0_s, unit, most_s, seen)
            out += [one] if one is not None else []
    if not out:
        out = _straight(forecaster, track, goes, t0_s, unit, radius_m, most_s)
    return out


def _along(
    arrivals: Arrivals, found: fut.Passes, near: np.ndarray, weight: np.ndarray, seen: fut.Visible, age_s: float,
    radius_m: float, most_s: float,
) -> list[Place]:  # fmt: skip
    """Of each step of time the places where most of the passes were, by weight, as means of what is near together."""
    past, out = arrivals.past, []
    plane = Plane(lat_deg=float(past.lat[found.row[0]]) * DEG, lon_deg=float(past.lon[found.row[0]]) * DEG)
    for step in range(1, STEPS + 1):
        cells: dict[tuple[int, int], list[float]] = {}
        for k, w in zip(near.tolist(), weight.tolist(), strict=True):
            at = past.at(int(found.row[k]), float(found.t_s[k]) + age_s + most_s * step / STEPS, seen.until_s)
            if at is None:
                continue
            e, n = plane.en(lat_deg=at[1], lon_deg=at[2])
            cell = cells.setdefault((math.floor(e / (2 * radius_m)), math.floor(n / (2 * radius_m))), [0.0, 0.0, 0.0])
            cell[0], cell[1], cell[2] = cell[0] + w, cell[1] + w * e, cell[2] + w * n
        for w, e, n in sorted(cells.values(), reverse=True)[:OF_EACH]:
            lat, lon = plane.geodetic(e / w, n / w)
            out.append(Place(lat, lon, radius_m))
    return out


def _met(
    arrivals: Arrivals, found: fut.Passes, near: np.ndarray, weight: np.ndarray, known_s: np.ndarray, place: Place,
    goes: fut.LastSeen, t0_s: float, unit: Unit, most_s: float, seen: fut.Visible,
) -> Meeting | None:  # fmt: skip
    age_s = t0_s - goes.t_s
    took_s = np.full(len(near), math.inf)
    for j, k in enumerate(near.tolist()):
        at = arrives(arrivals.past, int(found.row[k]), place, seen.until_s)
        if at is not None and float(found.t_s[k]) < at <= float(found.t_s[k]) + age_s + 2.0 * most_s:
            took_s[j] = at - float(found.t_s[k])
    came = np.isfinite(took_s)
    if not came.any():
        return None
    order = np.argsort(took_s[came], kind="stable")
    half = np.cumsum(weight[came][order]) >= 0.5 * weight[came].sum()
    told_s = max(float(took_s[came][order][int(np.argmax(half))]), 1.0)
    # a pass that is not known so far says neither that it came nor that it did not
    counts = came | (known_s >= told_s)
    reaches = float(weight[came].sum() / (weight[counts].sum() + arrivals.like.steady))
    spread = arrivals.spread(told_s, True, place.radius_m, t0_s)
    stays_s = place.radius_m / max(goes.speed_mps, STOOD_MPS)
    return _meeting(place, reaches, told_s, spread, age_s, stays_s, t0_s, unit, most_s, used=True)


def _straight(
    forecaster: Forecaster, track: Track, goes: fut.LastSeen, t0_s: float, unit: Unit, radius_m: float, most_s: float
) -> list[Meeting]:  # fmt: skip
    """Along the own velocity, as it decays: how far beside that way it may be is the forecast's own width."""
    out, plane, age_s = [], Plane(lat_deg=goes.lat_deg, lon_deg=goes.lon_deg), t0_s - goes.t_s
    for step in range(1, STEPS + 1):
        after_s = age_s + most_s * step / STEPS
        lat, lon = plane.geodetic(*fut.steady(goes, after_s))
        f = forecaster.forecast(track, t0_s, after_s - age_s)
        assert f is not None
        # of a round normal distribution nine tenths are within 2.146 sigma
        beside_m = max(f.radius_m[0.9] / 2.146, 1.0)
        reaches = math.erf(radius_m / beside_m / math.sqrt(2.0))
        stays_s = radius_m / max(goes.speed_mps, STOOD_MPS)
        place = Place(lat, lon, radius_m)
        out.append(_meeting(place, reaches, after_s, (*GUESS_STRAIGHT, 0), age_s, stays_s, t0_s, unit, most_s, used=False))
    return out


def _meeting(
    place: Place, reaches: float, told_s: float, spread: tuple[float, float, int], age_s: float, stays_s: float, t0_s: float,
    unit: Unit, most_s: float, *, used: bool,
) -> Meeting:  # fmt: skip
    """That it comes there, and the unit is there before it has gone again, both by the time that is asked."""
    low, high, outcomes = spread
    takes_s, sigma_s = unit.takes(place)
    down, up = math.log(max(low, 1e-3)) / -_Z90, math.log(max(high, 1.0)) / _Z90
    total = 0.0
    for z in _Z:
        there_s = told_s * math.exp(z * (down if z < 0.0 else up)) - age_s
        if -stays_s <= there_s <= most_s:
            total += _normal((max(there_s, 0.0) + stays_s - takes_s) / sigma_s)
    s10, s50, s90 = (t0_s + max(told_s * ratio - age_s, 0.0) for ratio in (min(low, 1.0), 1.0, max(high, 1.0)))
    return Meeting(place, reaches * total / len(_Z), reaches, s10, s50, s90, t0_s + takes_s, t0_s + takes_s + _Z90 * sigma_s,
                   used, outcomes)  # fmt: skip


def _normal(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


# --- the next best look ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """What a look is worth: the 90 % region without and (expected) with it, km², how much less a unit of cost; where to look.

    ``guess``: no outcome of the past stands behind the region.
    """

    look: LookKind
    before_km2: float
    after_km2: float
    told: float
    per_cost_km2: float
    lat_deg: float
    lon_deg: float
    guess: bool


def gains(
    forecaster: Forecaster, track: Track, t0_s: float, horizon_s: float, looks: tuple[LookKind, ...] = LOOKS
) -> list[Gain]:
    """Looks by how much each shrinks the 90 % region at a horizon per cost, the best first; what comes too late is left out."""
    whole = forecaster.forecast(track, t0_s, horizon_s)
    if whole is None:
        return []
    before = whole.area_m2[0.9] / 1e6
    known = track.t_s[: int(np.searchsorted(track.t_s, t0_s, side="right"))]
    last_s = float(known[-1])
    out = []
    for look in looks:
        if look.lead_s >= horizon_s:
            continue
        then = forecaster.forecast(track, t0_s, look.lead_s)
        # what a fresh fix is worth: the region so long after the newest one that there is
        fresh = forecaster.forecast(track, last_s, horizon_s - look.lead_s)
        assert then is not None and fresh is not None
        told, (lat, lon) = look.answers, (then.lat_deg, then.lon_deg)
        if look.side_m:
            inside, lat, lon = _best_tile(then, look.side_m)
            told *= inside
        after = min(fresh.area_m2[0.9] / 1e6 + math.pi * (2.146 * look.sigma_m) ** 2 / 1e6, before)
        expected = told * after + (1.0 - told) * before
        out.append(Gain(look, before, expected, told, (before - expected) / look.cost, lat, lon, not whole.windows))
    return sorted(out, key=lambda g: (-g.per_cost_km2, g.look.name))


def _best_tile(f: Forecast, side_m: float) -> tuple[float, float, float]:
    """(share of what may be that lies in it, latitude, longitude) of the best square about one of the futures."""
    b, weight = f.bells, np.exp(f.bells.log_height) * f.bells.along_m * f.bells.across_m
    weight = weight / weight.sum()
    sigma = np.sqrt(b.along_m * b.across_m)
    centres = [(float(e), float(n)) for e, n in zip(b.e_m, b.n_m, strict=True)]
    half = 0.5 * side_m
    best = (0.0, 0.0, 0.0)
    for e, n in [f.futures.point, *centres]:
        within = np.ones(len(weight))
        for middle, here in ((b.e_m, e), (b.n_m, n)):
            high, low = (middle - here + half) / sigma, (middle - here - half) / sigma
            within = within * np.array([_normal(float(x)) - _normal(float(y)) for x, y in zip(high, low, strict=True)])
        share = float((weight * within).sum())
        if share > best[0]:
            best = (share, e, n)
    return best[0], *f.futures.plane.geodetic(best[1], best[2])
