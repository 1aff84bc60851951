"""The local frame of one track: which anchor, when to move it, and how axes turn between two places.

A track's state lives in the east/north plane of its own anchor and moves to a new one when it is further
than 20 km away: there the plane is 0.03 m short and its axes are turned by the convergence of the meridians,
which ``turn`` takes out again.
"""

from __future__ import annotations

import functools
import math

from birddog.geo import LocalFrame, distance_m

#: A state this far from its anchor (per axis) gets a new one.
REANCHOR_M = 20_000.0
#: A position further than this from the anchor is not converted: the plane folds over at a quarter of the Earth.
BEYOND_M = 2_000_000.0


@functools.lru_cache(maxsize=8192)
def frame(lat_deg: float, lon_deg: float) -> LocalFrame:
    """The frame at an anchor (a pure function, kept because its making costs as much as its use)."""
    return LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg)


def near_en(lat0_deg: float, lon0_deg: float, lat_deg: float, lon_deg: float) -> tuple[float, float] | None:
    """(e_m, n_m) of a position about an anchor; None where it is beyond 2,000 km."""
    if abs(lat_deg - lat0_deg) > 0.5 or abs(lon_deg - lon0_deg) > 0.5:
        if distance_m(lat1_deg=lat0_deg, lon1_deg=lon0_deg, lat2_deg=lat_deg, lon2_deg=lon_deg) > BEYOND_M:
            return None
    return frame(lat0_deg, lon0_deg).en(lat_deg=lat_deg, lon_deg=lon_deg)


def turn(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> tuple[float, float]:
    """(cos, sin) that carry east/north components at place 1 to those at place 2.

    new east = cos·e + sin·n, new north = -sin·e + cos·n.  The angle is that of the best rotation between the
    two tangent planes (polar decomposition of the 2 × 2 matrix of scalar products of their axes).
    """
    if lat1_deg == lat2_deg and lon1_deg == lon2_deg:
        return 1.0, 0.0
    p1, p2, d = math.radians(lat1_deg), math.radians(lat2_deg), math.radians(lon2_deg - lon1_deg)
    s1, c1, s2, c2, sd, cd = math.sin(p1), math.cos(p1), math.sin(p2), math.cos(p2), math.sin(d), math.cos(d)
    # E2·E1, E2·N1, N2·E1, N2·N1 in Earth-centred axes
    ee, en, ne, nn = cd, s1 * sd, -s2 * sd, s2 * s1 * cd + c2 * c1
    size = math.hypot(ee + nn, en - ne)
    return ((ee + nn) / size, (en - ne) / size) if size > 0.0 else (1.0, 0.0)


def turned(r_ee: float, r_en: float, r_nn: float, c: float, s: float) -> tuple[float, float, float]:
    """A 2 × 2 covariance in axes turned by ``turn``."""
    a, b = c * r_ee + s * r_en, c * r_en + s * r_nn
    d, f = -s * r_ee + c * r_en, -s * r_en + c * r_nn
    return c * a + s * b, -s * a + c * b, -s * d + c * f
