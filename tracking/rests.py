"""How long a tracker sleeps where it stands, learnt of its own silences where nobody said how often it reports.

The usual firmware reports each few seconds on its way, once where it stops, and then once in an hour until it goes on.  Of such
a one the interval of its way says nothing of its stops: it would be told as silent at each.  A silence after which it is where
it was is a sleep; once it slept at two stops, as long as it did at both is waited for where its last report says that it
stands.  What falls silent on its way is told as ever; so is what was found elsewhere after it stood, until two stops are learnt
anew.  So who jams a learnt tracker where it stands is told of when it should have waked twice, not sooner.
"""

from __future__ import annotations

import itertools
import math
import statistics
from typing import NamedTuple

from birddog.geo import distance_m
from birddog.units import NS
from tracking.core import Core, Model
from tracking.measurement import Measurement
from tracking.presets import UNSAID_S, Presets
from tracking.step import placed
from tracking.track_state import LiveTrack, Rest

#: So many of its last stops are remembered, and of so many at least is it learnt.
STOPS, LEARNT = 8, 2
#: Slower than this, m/s, is what states that it stands; what states nothing was seen where it is for so long, s.
STILL_MPS, STOOD_S = 1.0, 60.0
#: What reports in a beat (of its last gaps so many, three of four within a tenth) and then once more before its time, slowed
#: down by a fifth and more since the report before, reports that it stops.
BEATS, EVEN, SLOWER = 5, 0.1, 0.8
#: What stood and is found so far away, m, did not sleep.
ELSEWHERE_M = 1000.0


class Before(NamedTuple):
    """The filter of a track before a silence, whether it stood then, as far as its reports said, and its usual gap by then."""

    core: Core
    stood: bool
    usual_s: float


def least_s(presets: Presets) -> float:
    """No shorter silence is a sleep: none is told, whatever is expected of what nobody said the interval of."""
    return presets.silent_factor * UNSAID_S


def learnt_s(rests: tuple[Rest, ...]) -> float:
    """How long it sleeps where it stands: what it did at two of its last stops; 0 where that is not known."""
    return sorted(rest.longest_s for rest in rests)[-LEARNT] if len(rests) >= LEARNT else 0.0


def waits_s(live: LiveTrack, model: Model) -> float:
    """Not heard for so long it has slept for as long as it does; 0 where it does not sleep as far as is known."""
    slept_s = learnt_s(live.state.rests)
    return model.presets.coast_factor * slept_s if slept_s > 0.0 and stands(live, model) else 0.0


def stands(live: LiveTrack, model: Model) -> bool:
    """Whether the last report of a track says that it stands."""
    core = live.core(model)
    if core is None or core.run or core.rival is not None or not core.device:
        return False
    times_ns = live.state.ring.last_fixes(core.device, BEATS + 2)
    some = [m for m in (live.fix_at(core.device, time_ns) for time_ns in times_ns) if m is not None]
    if not some:
        return False
    if (speed_mps := _stated_mps(some[-1])) is not None:
        return speed_mps <= STILL_MPS
    return core.stood_s >= STOOD_S or _stops(some)


def before(live: LiveTrack, model: Model, now_ns: int) -> Before | None:
    """What is known of a track when a message ends a long silence of it; None where it was none."""
    s = live.state
    if not s.contacts or now_ns - s.contact_ns <= least_s(model.presets) * NS or (core := live.core(model)) is None:
        return None
    return Before(core, bool(s.rests) and stands(live, model), s.gap_s)


def ended(live: LiveTrack, model: Model, before: Before, m: Measurement) -> None:
    """A fix has ended a long silence: what that says of how it sleeps."""
    s, core, (was, stood, usual_s) = live.state, live.core(model), before
    silent_s = (m.time_ns - was.updated_ns) / NS
    if core is None or silent_s <= least_s(model.presets):  # it brings what it kept
        return
    since_ns = core.first_ns if core.moved_ns is None else core.moved_ns
    if core.updated_ns == m.time_ns and since_ns <= was.updated_ns:
        old = s.rests[-1] if s.rests else None
        if old is not None and old.since_ns == since_ns:
            s.rests = (*s.rests[:-1], Rest(since_ns, max(old.longest_s, silent_s)))
        elif silent_s > model.presets.silent_factor * usual_s:
            s.rests = (*s.rests, Rest(since_ns, silent_s))[-STOPS:]
    elif stood:
        lat, lon, _ = placed(was, was.x)
        if distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg) > ELSEWHERE_M:
            s.rests = ()


def _stated_mps(m: Measurement) -> float | None:
    return None if m.ve_mps is None or m.vn_mps is None else math.hypot(m.ve_mps, m.vn_mps)


def _stops(some: list[Measurement]) -> bool:
    """Whether the last of some fixes of a device, which states no speed, is one that it gives beside its beat for it stops."""
    if len(some) < BEATS + 2:
        return False
    every_s = [(b.time_ns - a.time_ns) / NS for a, b in itertools.pairwise(some)]
    beat_s, last_s = statistics.median(every_s[:-1]), every_s[-1]
    even = sum(abs(one_s - beat_s) <= EVEN * beat_s for one_s in every_s[:-1])
    if even < BEATS - 1 or last_s >= (1.0 - EVEN) * beat_s:
        return False
    away_m = [
        distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
        for a, b in itertools.pairwise(some[-3:])
    ]
    return away_m[1] / last_s <= SLOWER * away_m[0] / every_s[-2]
