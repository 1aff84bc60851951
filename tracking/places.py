"""Where the rows of a crowd are, Earth-centred: many at once (``anchor`` has the same for one)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from birddog.geo import A_M, E2
from tracking.contact import Contact


def ecef(lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """Earth-centred metres (N, 3) of places on the ellipsoid."""
    p, l = np.radians(lat_deg), np.radians(lon_deg)
    n = A_M / np.sqrt(1.0 - E2 * np.sin(p) ** 2)
    return np.stack((n * np.cos(p) * np.cos(l), n * np.cos(p) * np.sin(l), n * (1.0 - E2) * np.sin(p)), axis=-1)


def axes(lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """East, north and up (N, 3, 3) in Earth-centred axes."""
    p, l = np.radians(lat_deg), np.radians(lon_deg)
    sp, cp, sl, cl = np.sin(p), np.cos(p), np.sin(l), np.cos(l)
    east, north, up = (-sl, cl, 0.0 * l), (-sp * cl, -sp * sl, cp), (cp * cl, cp * sl, sp)
    return np.stack([np.stack(axis, -1) for axis in (east, north, up)], axis=-2)


class Places:
    """The contacts' anchors and where the contacts are, Earth-centred."""

    def __init__(self, contacts: Sequence[Contact], mean: np.ndarray):
        lat = np.array([c.lat0_deg for c in contacts])
        lon = np.array([c.lon0_deg for c in contacts])
        self.anchor, self.axes = ecef(lat, lon), axes(lat, lon)
        e, n = mean[:, 0], mean[:, 2]
        up = -(e * e + n * n) / (2.0 * A_M)
        self.xyz = self.anchor + np.einsum("ti,tij->tj", np.stack((e, n, up), -1), self.axes)
