"""A measured position on its way into a track, and when two of them are one."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from birddog.geo import distance_m

Origin = Literal["fix", "tag_read", "trigger", "sighting"]

#: Two fixes of one device and time that lie further apart than so many sigmas are no two views of one.
TWIN_SIGMAS = 5.0


class Measurement(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A position in WGS 84 with R (m², east/north there) and where stated a velocity (east, north, m/s).

    ``here``: an operator, or looks that belie its receiver, vouch for it: the track is there, whatever else fits; so it is
    where a passive tag is read that may be elsewhere than what looks carry (``company``).
    ``doubted``: its receiver is belied (``belied``): it moves nothing, and says where the track may be instead.
    ``said_mps``: how fast it says that it goes, where it does not say where to; 0: it says nothing.
    ``hung``: it says its receiver's last place again while it says that it goes (``stuck``): it moves nothing; 2: beyond doubt.
    """

    time_ns: int
    device: str
    origin: Origin
    lat_deg: float
    lon_deg: float
    r_ee: float
    r_en: float
    r_nn: float
    ve_mps: float | None = None
    vn_mps: float | None = None
    r_v: float = 0.0
    stated: bool = False
    here: bool = False
    doubted: bool = False
    said_mps: float = 0.0
    hung: int = 0

    @property
    def key(self) -> tuple[int, str, str]:
        """Two of one key are one measurement (rule 8: RMC and GGA of one second)."""
        return (self.time_ns, self.device, self.origin)

    @property
    def speed_mps(self) -> float:
        """How fast it says that it goes, wherever to; 0 where it says nothing."""
        return self.said_mps if self.ve_mps is None or self.vn_mps is None else math.hypot(self.ve_mps, self.vn_mps)


def rank(m: Measurement) -> tuple[bool, float, float, float, float, float]:
    """Which of two measurements with one key is taken for its position; a total order in which arrival plays no part."""
    return (not m.stated, m.r_ee + m.r_nn, m.lat_deg, m.lon_deg, m.r_en, m.r_ee)


def apart(a: Measurement, b: Measurement) -> bool:
    """Whether two positions can't be one: further from one another than TWIN_SIGMAS of both together."""
    away_m = distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
    return away_m**2 > TWIN_SIGMAS**2 * (max(a.r_ee, a.r_nn) + max(b.r_ee, b.r_nn))


def merged(old: Measurement, new: Measurement) -> Measurement:
    """One measurement of two with the same key; the same whichever came first.

    The position is that with a stated sigma, then the smaller sigma, then the smaller coordinates; a velocity is taken from
    whichever has one.
    """

    def speed_rank(m: Measurement) -> tuple[bool, float, float, float]:
        return (m.ve_mps is None, m.r_v, m.ve_mps or 0.0, m.vn_mps or 0.0)

    first = old if rank(old) <= rank(new) else new
    speed = old if speed_rank(old) <= speed_rank(new) else new
    said_mps = max(old.said_mps, new.said_mps) if speed.ve_mps is None else 0.0
    return msgspec.structs.replace(first, ve_mps=speed.ve_mps, vn_mps=speed.vn_mps, r_v=speed.r_v, said_mps=said_mps)
