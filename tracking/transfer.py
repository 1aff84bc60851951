"""Whether a receiver that looks belie is on what another receiver reports from: what that one's vehicle explains is no lie.

Looks show one sighting where two receivers travel together, and that is the other's: "nothing but what has a receiver of its
own" there, look after look.  So a tag that was put on a lorry with a tracker was belied, and its track went off with the empty
lorry; or that lorry's own tracker was, where the tag had its sightings.  Here each new fix of a receiver that is doubted is
held against where the tracks of the others were *at the fix's own time*, by their fixes and their sightings: a claim that is a
minute old says nothing of where they are now.  It is on one of them where

- the two *met* since: both within a walk of each other, no faster than things are handed over at.  Who never met has handed
  nothing over: a tag that claims the place of the next one in a convoy lies, as ever;
- the fix is elsewhere than what they met at: a tag that was left there, or says so for ever, goes along with nobody; unless
  the other one stands there still, and its fixes since are nearer to that than to where looks had its own stand;
- the fix is likelier there than false, or on what looks have of its own track (``handed``: the same odds).

That a lie is just there, by chance or because its author knows the other's way, is the same evidence.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import NamedTuple

from birddog.geo import DEGREE_M
from birddog.units import NS
from tracking import sharing
from tracking.anchor import away_m
from tracking.belied import NEAR_M, Doubt
from tracking.crowd import Crowd, Rider
from tracking.handed import HANDED, LIKELIER, MET_M, MET_MPS
from tracking.measurement import Measurement
from tracking.motion import adopted, moments
from tracking.step import Model, log_if_false, placed
from tracking.track_state import LiveTrack

#: So far back from when it was first seen elsewhere they may have met, s, and in gaps between fixes; asked so often, s, and at
#: most so many times.
MET_S, MET_GAPS, EACH_S, MOST = 120.0, 2.0, 5.0, 64
#: Speed is asked over so long, s; between two places twice as far apart in time it may have stood anywhere on the way.
OVER_S = 15.0
#: What is settled is asked again as long as it is remembered where it was for so long, s, before it was seen elsewhere.
STOOD_S = 60.0
#: Where it was when they met its first fixes say, so many.
FIRST = 2
#: No further than this, m, and this fast, m/s, beside its own speed, is a track off from where it will have been at a fix.
FAR_M, FAR_MPS = 300.0, 20.0


class At(NamedTuple):
    """Where a track is at a time, with its variance per axis, m²."""

    lat_deg: float
    lon_deg: float
    r: float


class Stay(NamedTuple):
    """Where a track was about a time, so far from there at most, m; and whether it may have been slow."""

    lat_deg: float
    lon_deg: float
    reach_m: float
    slow: bool


class Way:
    """Where a track was at any time, by what is known at another: on the line between two places that moved it."""

    def __init__(self, live: LiveTrack, until_ns: int):
        self._live = live
        self._places = [one for one in live.places() if one[0] < until_ns]

    def at(self, time_ns: int) -> Stay | None:
        """Where it was; None where nobody knows."""
        here = self._between(time_ns)
        if here is None:
            before = bool(self._places) and time_ns < self._places[0][0]
            was = self._live.was(time_ns, 0.0) if before else None
            slow = was is not None and math.hypot(was.ve_mps, was.vn_mps) < MET_MPS
            return None if was is None else Stay(was.lat_deg, was.lon_deg, math.sqrt(was.r), slow)
        half_ns, (lat, lon, reach_m) = round(OVER_S * NS) // 2, here
        from_ns, to_ns = max(time_ns - half_ns, self._places[0][0]), min(time_ns + half_ns, self._places[-1][0] - 1)
        one, two = self._between(from_ns), self._between(to_ns)
        long = one is not None and two is not None and to_ns - from_ns >= half_ns
        slow = long and away_m(*one[:2], *two[:2]) < MET_MPS * (to_ns - from_ns) / NS  # type: ignore[index]  # both are
        return Stay(lat, lon, reach_m, slow or reach_m > 0.0)

    def _between(self, time_ns: int) -> tuple[float, float, float] | None:
        """lat_deg, lon_deg at a time, and how far from there it may have been."""
        i = bisect.bisect_right(self._places, time_ns, key=lambda one: one[0])
        if not 0 < i < len(self._places):
            return None
        (t0, lat0, lon0), (t1, lat1, lon1) = self._places[i - 1 : i + 1]
        share = (time_ns - t0) / (t1 - t0) if t1 > t0 else 0.0
        far_m = away_m(lat0, lon0, lat1, lon1) / 2.0 if t1 - t0 >= 2.0 * OVER_S * NS else 0.0
        return lat0 + share * (lat1 - lat0), lon0 + share * ((lon1 - lon0 + 540.0) % 360.0 - 180.0), far_m


def over(
    tracks: dict[str, LiveTrack], model: Callable[[LiveTrack], Model], before: Crowd, after: Crowd, riders: list[Rider]
) -> list[tuple[str, Rider]]:
    """Which receivers that are doubted after a look are on what another one reports from, by a fix that was not asked of yet.

    Args:
        before: the contacts before the look; after: after it.
    """
    found: list[tuple[str, Rider]] = []
    if not after.belied:
        return found
    others = [rider for rider in riders if not rider.past and tracks[rider.track_id].state.reports]
    for rider in others:
        doubt, said = after.belied.get(rider.track_id), rider.said
        if doubt is None or said is None or doubt.state == "left":
            continue
        if rider.track_id in before.belied and said.fix.time_ns <= before.t_ns:
            continue
        rest = [other for other in others if other is not rider and not sharing.shares(after, other.track_id)
                and _near(other, said.fix, after.t_ns)]  # fmt: skip
        to = _carrier(said.fix, doubt, tracks[rider.track_id], [(tracks[one.track_id], one) for one in rest], model,
                      after.t_ns)  # fmt: skip
        if to is not None:
            found.append((rider.track_id, rest[to]))
    return found


def _carrier(
    fix: Measurement, doubt: Doubt, live: LiveTrack, others: list[tuple[LiveTrack, Rider]],
    model: Callable[[LiveTrack], Model], now_ns: int,
) -> int | None:  # fmt: skip
    """Which of the others a fix is on; None: it is on none, or nobody can tell.

    Args:
        doubt: of it; now_ns: the look: of later ones nothing is known.
    """
    since_ns = doubt.since_ns
    # it was asked, and where it was when they met is not remembered any more
    forgotten = doubt.state == "settled" and live.state.ring.times_ns[0] > since_ns - round(STOOD_S * NS)
    own = _was_at(live, model, fix.time_ns - 1)
    if own is None:
        return None
    r = max(fix.r_ee, fix.r_nn)
    away = away_m(fix.lat_deg, fix.lon_deg, own.lat_deg, own.lon_deg)
    least = max(_log(fix, own, r), log_if_false(away * away, 9.0 * r)) + LIKELIER - math.log(HANDED)
    near = []
    for i, (other, rider) in enumerate(others):
        at = _stands(other, rider, since_ns, now_ns) or _was_at(other, model, fix.time_ns)
        if at is not None and (log := _log(fix, at, r)) > least:
            near.append((log, -i, at))
    if not near:
        return None
    last = live.newest_fix(fix.device, fix.time_ns - 1)
    gap_s = 0.0 if last is None else (fix.time_ns - last.time_ns) / NS
    way, from_ns = Way(live, fix.time_ns), since_ns - round(max(MET_S, MET_GAPS * gap_s) * NS)
    met = []
    for log, i, at in near:
        other, rider = others[-i]
        its = Way(other, now_ns)
        times = meetings(way, its, from_ns, fix.time_ns)
        if not times:
            continue
        here = any(_within(at, its.at(t)) for t in times)  # it stands where they met
        if here and (forgotten or not _moved(fix, live, way, times, since_ns, at, _came(other, rider, times[0], now_ns))):
            continue
        if here or not any(_within(fix, way.at(t)) for t in times):
            met.append((log, i))
    return -max(met)[1] if met and max(met)[0] > least + math.log(len(met)) else None


def _stands(other: LiveTrack, rider: Rider, since_ns: int, now_ns: int) -> At | None:
    """Where something stands by its own fixes: looks may have it by the sightings of what is beside it; None: it does not."""
    if rider.said is None or math.hypot(rider.x[1], rider.x[3]) > MET_MPS:
        return None
    device, last = rider.said.fix.device, rider.said.fix
    at = _mean(other.between(since_ns, now_ns), device) or At(last.lat_deg, last.lon_deg, max(last.r_ee, last.r_nn))
    return at if away_m(at.lat_deg, at.lon_deg, last.lat_deg, last.lon_deg) < NEAR_M else None


def _near(other: Rider, fix: Measurement, now_ns: int) -> bool:
    """Whether a track, which is at its place now, may have been at that of a fix (asked of north and south alone)."""
    x, dt_s = other.x, (now_ns - fix.time_ns) / NS
    reach_m = FAR_M + (FAR_MPS + 2.0 * math.hypot(x[1], x[3])) * dt_s + 3.0 * math.sqrt(x[11])
    return abs((fix.lat_deg - other.lat0_deg) * DEGREE_M - x[2]) < reach_m


def _was_at(live: LiveTrack, model: Callable[[LiveTrack], Model], time_ns: int) -> At | None:
    """Where a track was at a time, by what it had until then."""
    how = model(live)
    core = live.core_at(time_ns, how)
    if core is None:
        return None
    bank = core.bank if len(core.bank) == len(how.motion.modes) else adopted(core.x, how.motion)
    lat, lon, x = placed(core, moments(bank, (time_ns - core.updated_ns) / NS, how.motion))
    return At(lat, lon, (x[4] + x[11]) / 2.0 + core.bias)


def _log(fix: Measurement | At, at: At, r: float) -> float:
    """The log density, 1/m², of a fix on something."""
    away, var = away_m(fix.lat_deg, fix.lon_deg, at.lat_deg, at.lon_deg), at.r + r
    return -0.5 * away * away / var - math.log(2.0 * math.pi * var)


def meetings(own: Way, other: Way, from_ns: int, to_ns: int) -> list[int]:
    """When two may have met in a time."""
    met = []
    for t in range(from_ns, to_ns, max(round(EACH_S * NS), (to_ns - from_ns) // MOST)):
        one, two = own.at(t), other.at(t)
        if one is not None and two is not None and one.slow and two.slow:
            if away_m(*one[:2], *two[:2]) < MET_M + one.reach_m + two.reach_m:
                met.append(t)
    return met


def _within(one: Measurement | At, stay: Stay | None) -> bool:
    return stay is not None and away_m(one.lat_deg, one.lon_deg, stay.lat_deg, stay.lon_deg) < NEAR_M


def _moved(
    fix: Measurement, live: LiveTrack, own: Way, met: list[int], since_ns: int, at: At, came_from: At | None
) -> bool:
    """Whether a receiver is on what stands where the two met, rather than where it was then itself: it was left, or says so for
    ever.

    Args:
        since_ns: when looks first saw its track elsewhere; at: where the other one is; came_from: where that was when they met.
    """
    r = max(fix.r_ee, fix.r_nn)  # an error that lasts is that of all of them
    says = _mean(live.between(since_ns, fix.time_ns), fix.device) or At(fix.lat_deg, fix.lon_deg, r)
    on_it, some = _log(says, at, r), live.between(met[0], min(met[-1], since_ns))
    seen = [At(m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn)) for m in some if m.origin == "sighting"]
    if not seen:  # longer ago: all that is remembered of it
        seen = [At(one.lat_deg, one.lon_deg, NEAR_M**2) for t in met if t <= since_ns and (one := own.at(t)) is not None]
    stood = [_log(says, one, r) for one in (_mean(some, fix.device, FIRST), _middle(seen)) if one is not None]
    if not stood:
        return False
    if came_from is not None and on_it > _log(says, came_from, r) + LIKELIER:  # the other came to where it is
        return on_it > max(stood) - LIKELIER
    return on_it > min(stood)


def _came(other: LiveTrack, rider: Rider, met_ns: int, now_ns: int) -> At | None:
    """Where something was by its own first fixes since it met another."""
    return None if rider.said is None else _mean(other.between(met_ns, now_ns), rider.said.fix.device, FIRST)


def _mean(some: list[Measurement], device: str, most: int | None = None) -> At | None:
    """The mean place of a receiver's first fixes, which all may have one error."""
    fixes = [m for m in some if m.origin == "fix" and m.device == device][:most]
    if not fixes:
        return None
    n = len(fixes)
    return At(sum(m.lat_deg for m in fixes) / n, sum(m.lon_deg for m in fixes) / n, max(fixes[0].r_ee, fixes[0].r_nn))


def _middle(seen: list[At]) -> At | None:
    """The median place: what comes and goes counts for nothing."""
    if not seen:
        return None
    lats, lons = sorted(one.lat_deg for one in seen), sorted(one.lon_deg for one in seen)
    return At(lats[len(seen) // 2], lons[len(seen) // 2], seen[0].r / len(seen))
