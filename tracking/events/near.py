"""The spatial index: who is near whom at one time, for arrays; cost grows with who is near, not with pairs.

Points are sorted by (time, band of latitude, longitude).  A question looks into its own band and the two beside it, in each
at the longitudes that its radius can reach there: two binary searches, and a third pair where that window crosses the date
line.  In a band that touches a pole the window is the whole circle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from birddog.geo import R_MEAN_M

#: Of a turn, one unit of the packed longitude: 2.4 m at the equator.
_TURN_BITS = 24
_TURN = 1 << _TURN_BITS
#: Candidates that are held at once.
_MOST = 4_000_000


class Near:
    """The index of points: ``g`` (time, any integer), latitude, longitude; asked for what is within ``reach_m``."""

    def __init__(self, g: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, reach_m: float):
        self.reach_m = reach_m
        self._first = int(g.min()) if len(g) else 0
        span = int(g.max()) - self._first + 1 if len(g) else 1
        # bands are as high as the reach, or higher where time and band would not fit 39 bits, or there were half a million
        height = np.degrees(reach_m / R_MEAN_M) * 1.001
        self._height = max(height, 182.0 * span / (1 << 38), 180.0 / (1 << 19))
        self._bands = int(180.0 / self._height) + 3
        self._half = self._widest()
        key = self._key(g, self._band(lat_deg), _units(lon_deg))
        self.order = np.argsort(key, kind="stable")
        self._keys = key[self.order]

    def _band(self, lat_deg: np.ndarray) -> np.ndarray:
        band: np.ndarray = ((lat_deg + 90.0) / self._height).astype(np.int64) + 1
        return band

    def _key(self, g: np.ndarray, band: np.ndarray, units: np.ndarray | int) -> np.ndarray:
        key: np.ndarray = ((g.astype(np.int64) - self._first) * self._bands + band) * _TURN + units
        return key

    def pairs(self, g: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(question, point) indices that may be within reach, in lots; the caller measures the distance.

        The questions' times must lie within the points'.
        """
        band = self._band(lat_deg)
        low, high = self._window(band, _units(lon_deg))
        key = self._key(g, band, 0)
        # in the order of the points: each search is near the one before
        order = np.argsort(key)
        low, high, key = low[order], high[order], key[order]
        for step in (-1, 0, 1):
            yield from self._across(order, low, high, key + step * _TURN)

    def own_pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same where the questions are the points: each pair at least once, in either order."""
        units = self._keys & (_TURN - 1)
        key = self._keys - units
        low, high = self._window((key >> _TURN_BITS) % self._bands, units)
        every = np.arange(len(key))
        yield from self._between(self.order, key, key + np.minimum(high, _TURN - 1), after=every + 1)
        # who is beyond the date line may look all round and so not back: both ask
        west, east = np.flatnonzero(low < 0), np.flatnonzero(high >= _TURN)
        yield from self._between(self.order[west], (key + low + _TURN)[west], (key + _TURN - 1)[west])
        yield from self._between(self.order[east], key[east], (key + high - _TURN)[east])
        for q, p in self._across(every, low, high, key + _TURN):
            yield self.order[q], p

    def _widest(self) -> np.ndarray:
        """Of each band the units of longitude that the reach is at the most there: half a turn where it goes round a pole."""
        reach_deg = np.degrees(self.reach_m / R_MEAN_M) * 1.001
        # the edge of the band that is nearer a pole, and a hair: a band is found by a division
        south = (np.arange(self._bands) - 1) * self._height - 90.0
        lat_deg = np.minimum(np.maximum(np.abs(south), np.abs(south + self._height)) + 1e-9, 90.0)
        # the widest that the reach is in longitude: asin(sin r / cos lat), all of it where a pole is within reach
        ratio = np.sin(np.radians(min(reach_deg, 90.0))) / np.maximum(np.cos(np.radians(lat_deg)), 1e-12)
        polar = (lat_deg + reach_deg >= 90.0) | (ratio >= 1.0)
        wide = np.where(polar, 180.0, np.degrees(np.arcsin(np.minimum(ratio, 1.0))))
        half: np.ndarray = (wide / 360.0 * _TURN).astype(np.int64) + 2
        return half

    def _window(self, band: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(west end, east end in units) of what a question in each band reaches."""
        half = self._half[band]
        low, high = units - half, units + half
        if int(self._half.max()) >= _TURN // 2:
            round_it = half >= _TURN // 2
            low[round_it], high[round_it] = 0, _TURN - 1
        return low, high

    def _across(
        self, which: np.ndarray, low: np.ndarray, high: np.ndarray, key: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from self._between(which, key + np.maximum(low, 0), key + np.minimum(high, _TURN - 1))
        west, east = np.flatnonzero(low < 0), np.flatnonzero(high >= _TURN)
        yield from self._between(which[west], (key + low + _TURN)[west], (key + _TURN - 1)[west])
        yield from self._between(which[east], key[east], (key + high - _TURN)[east])

    def _between(
        self, which: np.ndarray, low: np.ndarray, high: np.ndarray, after: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Points with keys from low to high; with ``after`` those from a place on."""
        first = np.searchsorted(self._keys, low, "left") if after is None else after
        # most find nobody: whether there is one is seen at its place, before the other end is looked for
        some = np.flatnonzero(self._keys[np.minimum(first, len(self._keys) - 1)] <= np.where(first < len(self._keys), high, -1))
        if not len(some):
            return
        which, first = which[some], first[some]
        count = np.searchsorted(self._keys, high[some], "right") - first
        total = np.cumsum(count)
        begin = 0
        while begin < len(count):
            before = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, before + _MOST, "right")))
            c = count[begin:end]
            at = np.arange(int(c.sum())) + np.repeat(first[begin:end] - (np.cumsum(c) - c), c)
            yield np.repeat(which[begin:end], c), self.order[at]
            begin = end


def _units(lon_deg: np.ndarray) -> np.ndarray:
    return np.minimum(((lon_deg + 180.0) / 360.0 * _TURN).astype(np.int64), _TURN - 1)
