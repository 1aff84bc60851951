"""WGS 84 and local east/north metres: the only place where the two are converted.

A ``LocalFrame`` is the topocentric (east, north) plane of a point on the ellipsoid: a position is
carried through Earth-centred coordinates, rotated, and its up component dropped; back again the
point *on the ellipsoid* with that east and north is found in closed form.  Exact at any latitude,
across the antimeridian and the equator; horizontal lengths shrink by d²/6R² (0.5 m at 50 km), so a
frame is re-anchored long before that matters.  Source: EPSG Guidance Note 7-2, section 4.1.2
(geographic/topocentric); WGS 84 constants: NIMA TR8350.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

A_M = 6_378_137.0
F = 1.0 / 298.257223563
B_M = A_M * (1.0 - F)
E2 = F * (2.0 - F)
#: Mean radius (IUGG R1) for great-circle distances.
R_MEAN_M = 6_371_008.8
#: A degree of latitude on that sphere.
DEGREE_M = math.radians(1.0) * R_MEAN_M


def wrap_lon(lon_deg: float) -> float:
    """The same longitude in [-180, 180)."""
    return lon_deg if -180.0 <= lon_deg < 180.0 else (lon_deg + 180.0) % 360.0 - 180.0


def valid_position(lat_deg: float, lon_deg: float) -> bool:
    """Finite, latitude in [-90, 90], longitude in [-180, 180]."""
    return -90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0


def null_island(lat_deg: float, lon_deg: float) -> bool:
    """Whether a position is 0, 0 to within 1e-4° (11 m): what devices that have no fix write."""
    return -1.001e-4 < lat_deg < 1.001e-4 and -1.001e-4 < lon_deg < 1.001e-4


def radii_m(lat_deg: float) -> tuple[float, float]:
    """Radii of curvature (meridian M, prime vertical N) in metres."""
    s = math.sin(math.radians(lat_deg))
    w2 = 1.0 - E2 * s * s
    n = A_M / math.sqrt(w2)
    return n * (1.0 - E2) / w2, n


def distance_m(*, lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """Great-circle distance on the mean sphere, metres (haversine; within 0.6 % of the geodesic)."""
    p1, p2 = math.radians(lat1_deg), math.radians(lat2_deg)
    dp, dl = p2 - p1, math.radians(lon2_deg - lon1_deg)
    h = math.sin(dp / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(dl / 2) ** 2
    return 2.0 * R_MEAN_M * math.asin(min(1.0, math.sqrt(h)))


class LocalFrame:
    """East/north metres about one point on the ellipsoid.

    Args:
        lat_deg, lon_deg: the origin, WGS 84, height 0.
    """

    __slots__ = ("_cl", "_cp", "_sl", "_sp", "_x0", "_y0", "_z0", "lat_deg", "lon_deg")

    def __init__(self, *, lat_deg: float, lon_deg: float):
        self.lat_deg, self.lon_deg = lat_deg, lon_deg
        p, l = math.radians(lat_deg), math.radians(lon_deg)
        self._sp, self._cp = math.sin(p), math.cos(p)
        self._sl, self._cl = math.sin(l), math.cos(l)
        n = A_M / math.sqrt(1.0 - E2 * self._sp * self._sp)
        self._x0, self._y0 = n * self._cp * self._cl, n * self._cp * self._sl
        self._z0 = n * (1.0 - E2) * self._sp

    def en(self, *, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        """(e_m, n_m) of a position at height 0."""
        p, l = math.radians(lat_deg), math.radians(lon_deg)
        sp, cp = math.sin(p), math.cos(p)
        n = A_M / math.sqrt(1.0 - E2 * sp * sp)
        dx = n * cp * math.cos(l) - self._x0
        dy = n * cp * math.sin(l) - self._y0
        dz = n * (1.0 - E2) * sp - self._z0
        e = -self._sl * dx + self._cl * dy
        return e, -self._sp * (self._cl * dx + self._sl * dy) + self._cp * dz

    def geodetic(self, e_m: float, n_m: float) -> tuple[float, float]:
        """(lat_deg, lon_deg) of the point on the ellipsoid with this east and north.

        Raises:
            ValueError: no point of this side of the Earth lies there (beyond about 6,000 km).
        """
        # X = X0 + e E + n N + u U must satisfy (x² + y²)/a² + z²/b² = 1: a quadratic in u.
        bx = self._x0 - self._sl * e_m - self._sp * self._cl * n_m
        by = self._y0 + self._cl * e_m - self._sp * self._sl * n_m
        bz = self._z0 + self._cp * n_m
        ux, uy, uz = self._cp * self._cl, self._cp * self._sl, self._sp
        k = (A_M / B_M) ** 2
        qa = ux * ux + uy * uy + k * uz * uz
        qb = bx * ux + by * uy + k * bz * uz
        qc = bx * bx + by * by + k * bz * bz - A_M * A_M
        disc = qb * qb - qa * qc
        if not disc >= 0.0:
            raise ValueError(f"({e_m}, {n_m}) m is beyond the horizon of the frame at {self.lat_deg}, {self.lon_deg}")
        # the root near 0, written without cancellation
        u = -qc / (qb + math.sqrt(disc))
        x, y, z = bx + u * ux, by + u * uy, bz + u * uz
        # a square root is the same everywhere; hypot is Python's own here and the C library's in tracking.kernel
        return math.degrees(math.atan2(z, (1.0 - E2) * math.sqrt(x * x + y * y))), math.degrees(math.atan2(y, x))

    def en_array(self, lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``en`` for arrays of one shape."""
        import numpy as np

        p, l = np.radians(lat_deg), np.radians(lon_deg)
        sp, cp = np.sin(p), np.cos(p)
        n = A_M / np.sqrt(1.0 - E2 * sp * sp)
        dx, dy = n * cp * np.cos(l) - self._x0, n * cp * np.sin(l) - self._y0
        dz = n * (1.0 - E2) * sp - self._z0
        return -self._sl * dx + self._cl * dy, -self._sp * (self._cl * dx + self._sl * dy) + self._cp * dz

    def geodetic_array(self, e_m: np.ndarray, n_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``geodetic`` for arrays of one shape; NaN where there is no such point."""
        import numpy as np

        bx = self._x0 - self._sl * e_m - self._sp * self._cl * n_m
        by = self._y0 + self._cl * e_m - self._sp * self._sl * n_m
        bz = self._z0 + self._cp * n_m
        ux, uy, uz = self._cp * self._cl, self._cp * self._sl, self._sp
        k = (A_M / B_M) ** 2
        qa = ux * ux + uy * uy + k * uz * uz
        qb = bx * ux + by * uy + k * bz * uz
        qc = bx * bx + by * by + k * bz * bz - A_M * A_M
        disc = qb * qb - qa * qc
        u = -qc / (qb + np.sqrt(np.where(disc >= 0.0, disc, np.nan)))
        x, y, z = bx + u * ux, by + u * uy, bz + u * uz
        return np.degrees(np.arctan2(z, (1.0 - E2) * np.sqrt(x * x + y * y))), np.degrees(np.arctan2(y, x))


def speed_course(ve_mps: float, vn_mps: float) -> tuple[float, float]:
    """(speed m/s, course in degrees clockwise from north) of a velocity."""
    return round(math.hypot(ve_mps, vn_mps), 3), round(math.degrees(math.atan2(ve_mps, vn_mps)) % 360.0, 1) % 360.0


def ellipse(p_ee: float, p_en: float, p_nn: float, chi2: float) -> tuple[float, float, float]:
    """(semi-major m, semi-minor m, azimuth of the major axis in degrees clockwise from north).

    Args:
        p_ee, p_en, p_nn: covariance of the position, m².
        chi2: the squared Mahalanobis radius, e.g. ``units.CHI2_95_2D``.
    """
    mean, half = (p_ee + p_nn) / 2.0, (p_ee - p_nn) / 2.0
    spread = math.hypot(half, p_en)
    major, minor = mean + spread, max(mean - spread, 0.0)
    # the axis doubles its angle from east anticlockwise; azimuth = 90 - that angle
    azimuth = (90.0 - math.degrees(math.atan2(p_en, half)) / 2.0) % 180.0 if spread > 0.0 else 0.0
    return math.sqrt(chi2 * major), math.sqrt(chi2 * minor), azimuth


class Plane:
    """East/north metres about a point by the equirectangular map: cheap on long arrays, its way back exact at any distance.

    Lengths along a meridian are those of the mean sphere (within 0.6 %), lengths along a parallel those at the origin's
    latitude: 1 % off 100 km north or south of it at 30 degrees.  For looking around a place; an estimator uses ``LocalFrame``.

    Args:
        lat_deg, lon_deg: the origin.
    """

    __slots__ = ("_east_m", "lat_deg", "lon_deg")

    def __init__(self, *, lat_deg: float, lon_deg: float):
        self.lat_deg, self.lon_deg = lat_deg, lon_deg
        # at a pole every longitude is near: what is left of a parallel is kept above a metre a degree
        self._east_m = max(DEGREE_M * math.cos(math.radians(lat_deg)), 1.0)

    def en(self, *, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        """(e_m, n_m) of a position, the short way round the Earth."""
        return ((lon_deg - self.lon_deg + 180.0) % 360.0 - 180.0) * self._east_m, (lat_deg - self.lat_deg) * DEGREE_M

    def en_array(self, lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``en`` for arrays of one shape."""
        return ((lon_deg - self.lon_deg + 180.0) % 360.0 - 180.0) * self._east_m, (lat_deg - self.lat_deg) * DEGREE_M

    def stretch(self, n_m: np.ndarray) -> np.ndarray:
        """How long a metre east is on the mean sphere so far north of the origin; nothing beyond a pole."""
        import numpy as np

        lat_deg = np.clip(self.lat_deg + n_m / DEGREE_M, -90.0, 90.0)
        long: np.ndarray = DEGREE_M * np.cos(np.radians(lat_deg)) / self._east_m
        return long

    def geodetic(self, e_m: float, n_m: float) -> tuple[float, float]:
        """(lat_deg, lon_deg); beyond a pole it is the pole."""
        lat = self.lat_deg + n_m / DEGREE_M
        return min(90.0, max(-90.0, lat)), wrap_lon(self.lon_deg + e_m / self._east_m)
