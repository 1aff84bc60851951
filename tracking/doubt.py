"""Fixes that can't all be true: beyond what the class can cover, and in two places in turn. Pure functions."""

from __future__ import annotations

import math

import numpy as np

from birddog.geo import DEGREE_M, distance_m
from birddog.model import Track
from birddog.units import NS
from tracking.measurement import Measurement
from tracking.step import Core, Model, placed
from tracking.track_state import VERDICTS, LiveTrack, Turns

#: So many runs of refused fixes between the same two places are no single faults any more.
TURNS = 3
#: Places nearer to each other than this, m, are no two.
TWO_M = 1000.0
#: Two that agree to this share of half the way there are no chance either.
SAME = 0.05
#: As the ring of a track has it what became of a fix that was refused.
REFUSED = VERDICTS.index("refused")


def beyond_reach_m(core: Core, m: Measurement, model: Model, since_ns: int | None = None) -> float:
    """How far a fix lies from the last used position, m; 0 where the class can have covered it since, or it is no fix.

    Args:
        since_ns: when it was there last, where that is not when the last one was used.
    """
    if m.origin != "fix":
        return 0.0
    lat, lon, x = placed(core, core.x)
    away_m, gap_s = _away_m((lat, lon), (m.lat_deg, m.lon_deg)), (m.time_ns - (since_ns or core.updated_ns)) / NS
    slack_m = 3.0 * (math.sqrt(m.r_ee + m.r_nn) + math.sqrt(x[4] + x[11]))
    return away_m if away_m > model.preset.max_speed_mps * max(gap_s, 0.0) + slack_m else 0.0


def turns_after(old: Turns | None, core: Core, m: Measurement, away_m: float, now_ns: int, window_ns: int) -> Turns:
    """The runs so far and one more, of a fix ``away_m`` from the track; the first where it is not between the same two places.

    Args:
        window_ns: a run later than this after the last one is the first again.
    """
    lat, lon, _ = placed(core, core.x)
    here, there = (lat, lon), (m.lat_deg, m.lon_deg)
    if old is None or now_ns - old.last_ns >= window_ns:
        return Turns(1, now_ns, here, there)
    # so near to the two of before that it is neither chance nor a reflection here and there
    before = ((old.here, old.there), (old.there, old.here))
    again = any(max(_away_m(here, a), _away_m(there, b)) < away_m / 2.0 for a, b in before)
    return Turns(old.count + 1 if again else 1, now_ns, here, there)


def other_place(live: LiveTrack, row: Track) -> Measurement | None:
    """The last of a track's refused fixes where several agree on one other place than that of its row.

    Those that looks belied are none: while that goes on they are its second place anyway (``belied``), and then it is over.
    """
    ring, to_m = live.state.ring, DEGREE_M * np.array([1.0, math.cos(math.radians(row.lat_deg))])
    places = ring.table[:, 1:3].copy()
    away_m = np.linalg.norm((places - (row.lat_deg, row.lon_deg)) * to_m, axis=1)
    some = np.flatnonzero((ring.table[:, 9] == REFUSED) & (away_m > TWO_M))
    some = np.array([i for i in some.tolist() if not ring[i].doubted], int)
    if len(some) < 2 or ring[int(some[-1])].origin != "fix":
        return None
    off_m, near_m = np.linalg.norm((places[some] - places[some[-1]]) * to_m, axis=1), away_m[some[-1]] / 2.0
    count = np.count_nonzero(off_m < near_m)
    return ring[int(some[-1])] if count >= TURNS or np.count_nonzero(off_m < SAME * near_m) >= 2 else None


def _away_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    return distance_m(lat1_deg=a[0], lon1_deg=a[1], lat2_deg=b[0], lon2_deg=b[1])
