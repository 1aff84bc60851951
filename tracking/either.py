"""Where a track may be instead, while it is not settled where it is: a row holds every place.

Its fixes have the track where they say, and its shadow is seen elsewhere; or there is a doubt that is held, and the track goes
by the looks while its receiver says that it is elsewhere (``belied``); or something that stood beside it since its receiver
reported has driven off, and either may have that (``beside``).  As long as both live the row has the other place as its second
symbol, and its ellipse holds both: that of the two as one, even odds, about the place that is shown; of more than two all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np

from birddog.model import Track
from birddog.units import NS
from tracking import engine as scalar_engine
from tracking.anchor import frame, near_en, turn
from tracking.belied import STANDS_MPS, is_new
from tracking.crowd import Crowd, ahead, moments, state_of
from tracking.engine import State
from tracking.handed import APART_M
from tracking.motion import any_motion
from tracking.motion import moments as moments_of
from tracking.step import BOTH_M, Core

#: What lies within this of a row's place (Mahalanobis², 2 degrees of freedom, 0.95) is no second place.
SAME_D2 = 5.991


class Elsewhere(msgspec.Struct, frozen=True):
    """Where looks see what a track may be: which contact, at which time, the looks that said so, whose was the last.

    Args:
        tag: the track that looks carry by it, of a passive tag or of who is doubted.
        least_m: nearer than this to the track's row it is none.
    """

    time_ns: int
    row: int
    looks: int
    sensor: str
    least_m: float = 0.0
    tag: str = ""


def elsewhere(crowd: Crowd) -> dict[str, list[Elsewhere | None]]:
    """The tracks that may be elsewhere as looks have it, the likeliest first; None: where its own receiver says
    (``Core.rival``).
    """
    found: dict[str, list[Elsewhere | None]] = {
        track_id: [None] for track_id, one in crowd.belied.items() if one.state == "held"
    }
    row_of = {}
    for i, c in enumerate(crowd.contacts):
        if c.of and c.apart and not is_new(c):
            found[c.of] = [Elsewhere(crowd.t_ns, i, c.apart, c.sensors[-1])]
        elif crowd.beside:
            row_of[c.name] = i
    for track_id, some in crowd.beside.items():
        for one in sorted(some, key=lambda one: -one.chance):
            if not one.told:
                continue
            if one.name in crowd.seen:
                found.setdefault(track_id, []).append(Elsewhere(crowd.t_ns, -1, 1, "", APART_M, one.name))
            elif one.name in row_of:
                i = row_of[one.name]
                c = crowd.contacts[i]
                found.setdefault(track_id, []).append(Elsewhere(crowd.t_ns, i, c.hits, c.sensors[-1], APART_M))
    return found


def both_told(
    row: Track, core: Core | None, some: list[Elsewhere | None], crowd: Crowd, row_of: Callable[[str], Track | None]
) -> Track:
    """A track's row with the other places.

    Args:
        row_of: the row of another track at that time.
    """
    others = []
    for one in some:
        if one is None:
            rival = None if core is None else core.rival
            if rival is None or not rival.doubted:
                continue
            x = moments_of(rival.bank, max(0, row.time_ns - rival.time_ns) / NS, any_motion())
            other = _seen_from(row, rival.lat0_deg, rival.lon0_deg, x)
        elif one.tag:
            its = row_of(one.tag)
            if its is None:
                continue
            x = (0.0, its.ve_mps, 0.0, its.vn_mps, its.p_ee, 0.0, its.p_en, 0.0, 0.0, 0.0, 0.0, its.p_nn, 0.0, 0.0)
            other = _seen_from(row, its.lat_deg, its.lon_deg, x, one.least_m)
            if other is not None and row.rival_lat_deg is None:
                row = msgspec.structs.replace(
                    row, rival_lat_deg=its.lat_deg, rival_lon_deg=its.lon_deg, rival_device=its.tag_id
                )
        else:
            c = crowd.contacts[one.row]
            bank = ahead(crowd.bank.rows(np.array([one.row])), max(0, row.time_ns - crowd.t_ns) / NS)
            mean, cov = moments(bank)
            x = state_of(mean[0], cov[0])
            other = _seen_from(row, c.lat0_deg, c.lon0_deg, x, one.least_m)
            if other is not None and row.rival_lat_deg is None:
                lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(x[0], x[2])
                row = msgspec.structs.replace(
                    row, rival_lat_deg=lat, rival_lon_deg=lon, rival_hits=one.looks, rival_device=one.sensor
                )
        if other is not None:
            others.append(other)
    return _all(row, others)


def _seen_from(row: Track, lat0_deg: float, lon0_deg: float, x: State, least_m: float = 0.0) -> State | None:
    """A state as it lies from a row's place; None where it lies in the row's ellipse, nearer than told, or on the other side
    of the Earth.

    Args:
        least_m: of what stands beside it, it is where its last report has it; what drives off may be either of the two.
    """
    stand = max(math.hypot(x[1], x[3]), math.hypot(row.ve_mps, row.vn_mps)) < STANDS_MPS
    en = near_en(row.lat_deg, row.lon_deg, *frame(lat0_deg, lon0_deg).geodetic(x[0], x[2]))
    if en is None or not (least_m if stand else 0.0) <= math.hypot(*en) <= BOTH_M:
        return None
    e, n = en
    d2 = (row.p_nn * e * e - 2.0 * row.p_en * e * n + row.p_ee * n * n) / (row.p_ee * row.p_nn - row.p_en * row.p_en)
    if d2 <= SAME_D2:
        return None
    c, s = turn(lat0_deg, lon0_deg, row.lat_deg, row.lon_deg)
    x = scalar_engine.rotated(x, c, s)
    return (e, x[1], n, *x[3:])


def _all(row: Track, others: list[State]) -> Track:
    """A row whose covariance is that of all places about the one that is shown: of two with even odds, of more so that each
    lies in it as if there were no third.
    """
    if not others:
        return row
    share = 1.0 / (len(others) + 1.0)
    return msgspec.structs.replace(
        row,
        p_ee=share * (row.p_ee + sum(x[4] for x in others)) + sum(x[0] * x[0] for x in others) / 2.0,
        p_en=share * (row.p_en + sum(x[6] for x in others)) + sum(x[0] * x[2] for x in others) / 2.0,
        p_nn=share * (row.p_nn + sum(x[11] for x in others)) + sum(x[2] * x[2] for x in others) / 2.0,
    )
