"""Where a track may be instead, while looks and its receiver disagree and that is not settled (``belied``).

Its fixes have the track where they say, and its shadow is seen elsewhere; or there is a doubt that is held, and the track goes
by the looks while its receiver says that it is elsewhere.  As long as both live the row has the other place as its second
symbol, and its ellipse holds both: that of the two as one, even odds, about the place that is shown.
"""

from __future__ import annotations

import msgspec
import numpy as np

from birddog.model import Track
from birddog.units import NS
from tracking import engine as scalar_engine
from tracking.anchor import frame, near_en, turn
from tracking.belied import is_new
from tracking.crowd import Crowd, ahead, moments, state_of
from tracking.engine import State
from tracking.motion import any_motion
from tracking.motion import moments as moments_of
from tracking.step import BOTH_M, Core

#: What lies within this of a row's place (Mahalanobis², 2 degrees of freedom, 0.95) is no second place.
SAME_D2 = 5.991


class Elsewhere(msgspec.Struct, frozen=True):
    """Where looks go on seeing what a track was on: its state there at a time, the looks that said so, whose was the last."""

    time_ns: int
    row: int
    looks: int
    sensor: str


def elsewhere(crowd: Crowd) -> dict[str, Elsewhere | None]:
    """The tracks that may be elsewhere as looks have it; None: where its own receiver says (``Core.rival``)."""
    found: dict[str, Elsewhere | None] = {track_id: None for track_id, one in crowd.belied.items() if one.state == "held"}
    for i, c in enumerate(crowd.contacts):
        if c.of and c.apart and not is_new(c):
            found[c.of] = Elsewhere(crowd.t_ns, i, c.apart, c.sensors[-1])
    return found


def both_told(row: Track, core: Core | None, one: Elsewhere | None, crowd: Crowd) -> Track:
    """A track's row with the other place."""
    if one is None:
        rival = None if core is None else core.rival
        if rival is None or not rival.doubted:
            return row
        x = moments_of(rival.bank, max(0, row.time_ns - rival.time_ns) / NS, any_motion())
        other = _seen_from(row, rival.lat0_deg, rival.lon0_deg, x)
        return row if other is None else _both(row, other)
    c = crowd.contacts[one.row]
    bank = ahead(crowd.bank.rows(np.array([one.row])), max(0, row.time_ns - crowd.t_ns) / NS)
    mean, cov = moments(bank)
    x = state_of(mean[0], cov[0])
    other = _seen_from(row, c.lat0_deg, c.lon0_deg, x)
    if other is None:
        return row
    if row.rival_lat_deg is None:
        lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(x[0], x[2])
        row = msgspec.structs.replace(
            row, rival_lat_deg=lat, rival_lon_deg=lon, rival_hits=one.looks, rival_device=one.sensor
        )
    return _both(row, other)


def _seen_from(row: Track, lat0_deg: float, lon0_deg: float, x: State) -> State | None:
    """A state as it lies from a row's place; None where it lies in the row's ellipse, or on the other side of the Earth."""
    en = near_en(row.lat_deg, row.lon_deg, *frame(lat0_deg, lon0_deg).geodetic(x[0], x[2]))
    if en is None or en[0] * en[0] + en[1] * en[1] > BOTH_M * BOTH_M:
        return None
    e, n = en
    d2 = (row.p_nn * e * e - 2.0 * row.p_en * e * n + row.p_ee * n * n) / (row.p_ee * row.p_nn - row.p_en * row.p_en)
    if d2 <= SAME_D2:
        return None
    c, s = turn(lat0_deg, lon0_deg, row.lat_deg, row.lon_deg)
    x = scalar_engine.rotated(x, c, s)
    return (e, x[1], n, *x[3:])


def _both(row: Track, other: State) -> Track:
    """A row whose covariance is that of the two places, even odds, about the one that is shown."""
    e, n = other[0], other[2]
    return msgspec.structs.replace(
        row, p_ee=(row.p_ee + other[4] + e * e) / 2.0, p_en=(row.p_en + other[6] + e * n) / 2.0,
        p_nn=(row.p_nn + other[11] + n * n) / 2.0,
    )  # fmt: skip
