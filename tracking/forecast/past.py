"""The archive as a forecast looks at it: tracks by time, and the same fixes again by place, course and time.

``track order``: rows sorted by track, then time; what came after a fix is the rows behind it.
``place order``: rows sorted by (cell, sector, time), so that what passed near a place on a course before a moment is a few
contiguous slices: with memory-mapped columns a question touches some hundred kilobytes of an archive of any size.
A sector is 0 for what stood, 1 to 8 for an eighth of the circle of courses.

Lengths and times follow from the archive itself, so that the same code serves a bus that reports each 20 s and ships that
report each 12 min: the window of a velocity is three intervals between fixes (2 to 30 min), a hole is longer than four, and
the reach of a neighbour is what the quicker quarter of what moves travels in one.  Both are over tracks, of which each counts
the same: one that reports a thousand times as often as the others says no more than one of them.  Nor does it crowd them out:
place order holds of a track the first fix of each eighth of an interval, and of each cell and sector that it comes to.

An answer about a moment depends on nothing of after it, these lengths too: an archive has ages.  One ends when tracks had been
heard in 1, 4, 16, 64 ... stretches of ten minutes, counted by track; the next has the lengths that those
said.  The columns of an archive are those of its last age; for a question
of an earlier one, with other lengths, what was known until that ended is made an archive of its own (``as_of``).  For the same
reason a track counts from its third fix on (``COUNTS_FROM``): of an identity that jumps, strands of one or two fixes are none.

Over 400 lines: the columns, how they are made and how they are looked up are one form, and changed together.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birddog.geo import DEGREE_M, R_MEAN_M

#: Below this something stands (1 knot).
STOOD_MPS = 0.514444
#: Fixes (or stops) that are looked at, in blocks of neighbours; and passes that are measured on their lines.
MOST_LOOKED_AT, BLOCK, MOST_JUDGED = 4000, 32, 120
#: Degrees are kept as int32 of 1e-7 (11 mm).
DEG = 1e-7
#: A track's fixes count from this one on (0 is its first): the first two say where it is, and not yet that it is one.
COUNTS_FROM = 2
#: Stretches (of a track and so long a time) that end an age: 1, 4, 16 ..., as long as at most so many fixes were known by then;
#: later ages have the lengths of the last.
STRETCH_S, OLDEST_AGE = 600.0, 4**11
#: Of a track place order has one fix in this part of an interval.
PLACES_AN_INTERVAL = 8
#: A length is kept from age to age unless what was known since says another by this factor.
KEEPS_LENGTH = 1.1
#: A silence of the whole archive from which on it has ended.
ENDED_S = 86_400.0


def _nobody() -> None:
    """Nobody waits."""


@dataclass(frozen=True)
class Scale:
    """The lengths and times of an archive.

    Attributes:
        interval_s: median over tracks of each one's median time between two fixes.
        window_s: over which a velocity is taken.
        hole_s: a longer silence is no track.
        reach_m: how far a neighbour may pass; also the cell's side.
    """

    interval_s: float
    window_s: float
    hole_s: float
    reach_m: float


@dataclass(frozen=True)
class Age:
    """From when on an archive has which lengths: those of the fixes that were known then."""

    begin_s: float
    interval_s: float
    reach_m: float

    @property
    def scale(self) -> Scale:
        """All lengths and times that follow."""
        window_s = float(np.clip(3.0 * self.interval_s, 120.0, 1800.0))
        return Scale(self.interval_s, window_s, hole_s=max(4.0 * self.interval_s, 180.0), reach_m=self.reach_m)


@dataclass
class Past:
    """An archive; columns may be memory-mapped.

    Attributes:
        names: id of each track, a list or an array of sorted UTF-8; begin: its first row, and one more behind the last.
        t_s, lat, lon: fixes in track order (POSIX seconds; int32 of 1e-7 degrees).
        place_key: (cell, sector) of each slice, ascending; place_begin: its first row in place order, and one more.
        p_row, p_t_s, p_lat, p_lon, p_ve, p_vn: place order, of tracks that come to count, thinned where they are
            dense; the row in track order, since when it is known (of the first ones when the track came to count),
            position, velocity m/s.
        s_row, s_end, s_key, s_lat, s_lon: stops (first row, last row, cell and position of the first), sorted by cell and time.
        first_s, last_s: the span of the fixes.
        runs: (n, 2) first and last time of the fixes between silences of ``ENDED_S``.
        ages: what lengths it had when, in time order; ``scale`` is that of the last.
        release: lets go of the pages of memory-mapped columns that were looked at.
        between: called before each answer that widths or spreads are made of: there may be a thousand before a question has
            its own, and whoever asks something else meanwhile may be let in.
    """

    names: Any
    scale: Scale
    first_s: float
    last_s: float
    begin: np.ndarray
    t_s: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    place_key: np.ndarray
    place_begin: np.ndarray
    p_row: np.ndarray
    p_t_s: np.ndarray
    p_lat: np.ndarray
    p_lon: np.ndarray
    p_ve: np.ndarray
    p_vn: np.ndarray
    s_row: np.ndarray
    s_end: np.ndarray
    s_key: np.ndarray
    s_lat: np.ndarray
    s_lon: np.ndarray
    runs: np.ndarray
    ages: tuple[Age, ...] = ()
    release: Callable[[], None] = lambda: None
    between: Callable[[], None] = field(default_factory=lambda: _nobody, init=False, repr=False)
    _younger: dict[int, Past] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.t_s)

    def as_of(self, t0_s: float) -> Past:
        """The archive with the lengths that it had at a moment: itself, or what was known until that age ended."""
        k = max(bisect.bisect_right(self.ages, t0_s, key=lambda age: age.begin_s) - 1, 0)
        if k >= len(self.ages) - 1:
            return self
        if k not in self._younger:
            rows = np.flatnonzero(np.asarray(self.t_s) < self.ages[k + 1].begin_s)
            track = self.track_of(rows).astype(np.int32)
            self._younger[k] = of_sorted(self.names, track, self.t_s[rows].astype(np.float64), self.lat[rows], self.lon[rows],
                                         ages=self.ages[: k + 1])  # fmt: skip
            self._younger[k].between = self.between
        return self._younger[k]

    def ended(self, t0_s: float) -> float | None:
        """When the archive had ended, if a day or more before a moment; None where it goes on until then, or begins later."""
        k = int(np.searchsorted(self.runs[:, 0], t0_s, side="right")) - 1
        return float(self.runs[k, 1]) if k >= 0 and t0_s - self.runs[k, 1] >= ENDED_S else None

    def track_of(self, rows: np.ndarray) -> np.ndarray:
        """The track of rows of track order."""
        return np.searchsorted(self.begin, rows, side="right") - 1

    def number_of(self, name: str) -> int:
        """The number of a track; -1 where the archive has none of that name."""
        if isinstance(self.names, np.ndarray):  # sorted UTF-8, memory-mapped
            said = np.array(name.encode())
            k = int(self.names.searchsorted(said)) if said.dtype.itemsize <= self.names.dtype.itemsize else len(self.names)
            return k if k < len(self.names) and self.names[k] == said else -1
        if not hasattr(self, "_number"):
            self._number = {n: k for k, n in enumerate(self.names)}
        return self._number.get(name, -1)

    def name(self, number: int) -> str:
        """The id of a track."""
        name = self.names[number]
        return name.decode() if isinstance(name, bytes) else name

    def slices(self, lat_deg: float, lon_deg: float, sectors: tuple[int, ...], until_s: float) -> np.ndarray:
        """Rows of place order in the nine cells about a position, of these sectors, not after a moment."""
        runs = []
        for key in cells_about(lat_deg, lon_deg, self.scale.reach_m):
            for sector in sectors:
                k = int(self.place_key.searchsorted(key * 9 + sector))
                if k == len(self.place_key) or self.place_key[k] != key * 9 + sector:
                    continue
                a, b = int(self.place_begin[k]), int(self.place_begin[k + 1])
                # not searchsorted: of columns that are fields of records it would copy the whole slice
                runs.append((a, bisect.bisect_right(self.p_t_s, until_s, a, b)))
        return _some(runs)

    def times_of(self, place: np.ndarray, row: np.ndarray, track: np.ndarray) -> np.ndarray:
        """The times of rows of place order, whose rows in track order and tracks are known."""
        out: np.ndarray = self.p_t_s[place].astype(np.float64)
        first = row < self.begin[track] + COUNTS_FROM  # of these place order has when the track came to count
        out[first] = self.t_s[row[first]]
        return out

    def stops(self, lat_deg: float, lon_deg: float, until_s: float) -> np.ndarray:
        """Stops in the nine cells about a position that began not after a moment."""
        runs = []
        for key in cells_about(lat_deg, lon_deg, self.scale.reach_m):
            a, b = self.s_key.searchsorted((key, key + 1)).tolist()
            runs.append((a, bisect.bisect_right(self.s_row, until_s, a, b, key=lambda row: float(self.t_s[row]))))
        return _some(runs)

    def counted(self, track: np.ndarray, until_s: float) -> np.ndarray:
        """Which tracks counted at a moment: their third fix was known."""
        third = self.begin[track] + COUNTS_FROM
        out: np.ndarray = third < self.begin[track + 1]
        out[out] = self.t_s[third[out]] <= until_s
        return out

    def stood_until(self, stops: np.ndarray, until_s: float) -> np.ndarray:
        """Of each stop the time of its last row not after a moment (of one that began later, of its first)."""
        first, end = self.s_row[stops], self.s_end[stops]
        last: np.ndarray = self.t_s[end].astype(np.float64)
        for i in np.flatnonzero(last > until_s).tolist():
            a = int(first[i])
            last[i] = self.t_s[max(bisect.bisect_right(self.t_s, until_s, a, int(end[i]) + 1) - 1, a)]
        return last

    def at(self, row: int, t_s: float, until_s: float) -> tuple[int, float, float] | None:
        """(row before, latitude, longitude in degrees) of the track of ``row`` at a time not before it.

        None where the archive does not know it: in a hole, after the track's end, or after ``until_s``.
        """
        end = int(self.begin[int(self.begin.searchsorted(row, side="right"))])
        # a track is read from here on in blocks: the columns are memory-mapped, and long
        a, width = row, 64
        while True:
            b = min(a + width, end)
            if b == end or self.t_s[b - 1] >= t_s:
                break
            a, width = b - 1, width * 4
        j = a + int(self.t_s[a:b].searchsorted(t_s))
        if j == end or self.t_s[j] > until_s:
            return None
        if self.t_s[j] == t_s:
            return j, float(self.lat[j]) * DEG, float(self.lon[j]) * DEG
        if j == row:
            return None
        dt = float(self.t_s[j] - self.t_s[j - 1])
        if not (self.t_s[j - 1] < t_s and dt > 0.0):
            raise ValueError("the times of a track do not ascend")
        if dt > self.scale.hole_s:
            return None
        w = (t_s - float(self.t_s[j - 1])) / dt
        lat0, lon0 = float(self.lat[j - 1]) * DEG, float(self.lon[j - 1]) * DEG
        dlon = (float(self.lon[j]) * DEG - lon0 + 180.0) % 360.0 - 180.0
        return j - 1, lat0 + w * (float(self.lat[j]) * DEG - lat0), lon0 + w * dlon

    def end_of(self, row: int, until_s: float, within_s: float) -> int:
        """The last row that the track of ``row`` reaches without a hole, not after a moment and not longer than asked."""
        end = int(self.begin[int(self.begin.searchsorted(row, side="right"))])
        t = self.t_s[row : min(end, row + 4096)]
        t = t[: int(np.searchsorted(t, min(until_s, float(t[0]) + within_s), side="right"))]
        holes = np.flatnonzero(np.diff(t) > self.scale.hole_s)
        return row + (int(holes[0]) if len(holes) else max(len(t) - 1, 0))

    def velocity(self, row: int) -> tuple[float, float]:
        """East, north m/s at a row, by the rule of ``velocity_of``."""
        track = int(self.begin.searchsorted(row, side="right")) - 1
        a = max(int(self.begin[track]), row - 256)
        return velocity_of(self.t_s[a : row + 1], self.lat[a : row + 1] * DEG, self.lon[a : row + 1] * DEG, self.scale.window_s)


def _some(runs: list[tuple[int, int]]) -> np.ndarray:
    """All rows of some runs; of more than ``MOST_LOOKED_AT`` blocks of neighbours, evenly over each run: few pages of a map."""
    total = sum(b - a for a, b in runs)
    if total <= MOST_LOOKED_AT:
        found = [np.arange(a, b) for a, b in runs]
    else:
        found = []
        for a, b in runs:
            blocks = max(1, (b - a) * MOST_LOOKED_AT // total // BLOCK)
            starts = a + (np.arange(blocks) * max(b - a - BLOCK, 0)) // max(blocks - 1, 1) if b - a > BLOCK else np.array([a])
            rows = (starts[:, None] + np.arange(BLOCK)).ravel()
            found.append(np.unique(rows[rows < b]))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def velocity_of(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, window_s: float) -> tuple[float, float]:
    """East, north m/s at the last of some fixes: from the first within the window, or the one before, to it."""
    k = len(t_s) - 1
    if k < 1:
        return 0.0, 0.0
    h = min(int(t_s.searchsorted(t_s[k] - window_s)), k - 1)
    dt = float(t_s[k] - t_s[h])
    if dt <= 0.0:
        return 0.0, 0.0
    lat = float(lat_deg[k])
    dlon = (float(lon_deg[k]) - float(lon_deg[h]) + 180.0) % 360.0 - 180.0
    return dlon * DEGREE_M * math.cos(math.radians(lat)) / dt, (lat - float(lat_deg[h])) * DEGREE_M / dt


def velocities_of(t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, window_s: float) -> tuple[np.ndarray, np.ndarray]:
    """``velocity_of`` at every fix of one track."""
    rows = np.arange(len(t_s))
    h = np.maximum(np.minimum(np.searchsorted(t_s, t_s - window_s), rows - 1), 0)
    dt = t_s - t_s[h]
    known = dt > 0.0
    dt = np.where(known, dt, 1.0)
    dlon = (lon_deg - lon_deg[h] + 180.0) % 360.0 - 180.0
    ve, vn = dlon * DEGREE_M * np.cos(np.radians(lat_deg)) / dt, (lat_deg - lat_deg[h]) * DEGREE_M / dt
    return np.where(known, ve, 0.0), np.where(known, vn, 0.0)


def sector_of(ve_mps: np.ndarray, vn_mps: np.ndarray) -> np.ndarray:
    """0 for what stands, else 1 to 8: the eighth of the circle in which the course lies."""
    course = np.degrees(np.arctan2(ve_mps, vn_mps)) % 360.0
    return np.where(np.hypot(ve_mps, vn_mps) <= STOOD_MPS, 0, 1 + np.floor(course / 45.0).astype(np.int64) % 8)


#: Cells are squares of ``reach_m`` on the mean sphere, in rows of latitude, each with its own number of columns.
ROW = 1 << 31


def cell_of(lat_deg: np.ndarray, lon_deg: np.ndarray, reach_m: float) -> np.ndarray:
    """The number of the cell that holds a position."""
    step = math.degrees(reach_m / R_MEAN_M)
    row = np.floor((np.asarray(lat_deg) + 90.0) / step).astype(np.int64)
    first, last = (int(row.min()), int(row.max())) if row.size else (0, 0)
    # of many positions each row is asked about once
    columns = columns_of(np.arange(first, last + 1), step)[row - first] if last - first < row.size else columns_of(row, step)
    turned = np.asarray(lon_deg) + 180.0
    if turned.size and not (turned.min() >= 0.0 and turned.max() < 360.0):
        turned = turned % 360.0  # as costly as all the rest
    column = np.floor(turned / (360.0 / columns)).astype(np.int64)
    cell: np.ndarray = row * ROW + np.minimum(column, columns - 1)
    return cell


def columns_of(row: np.ndarray, step_deg: float) -> np.ndarray:
    """How many columns a row has: as many as there are sides of a cell along its middle parallel."""
    middle = np.radians(np.clip((np.asarray(row) + 0.5) * step_deg - 90.0, -90.0, 90.0))
    return np.maximum(1, np.floor(360.0 * np.cos(middle) / step_deg)).astype(np.int64)


def cells_about(lat_deg: float, lon_deg: float, reach_m: float) -> list[int]:
    """The cells that hold a position, its neighbours at the sides and above and below, each once, ascending."""
    step = math.degrees(reach_m / R_MEAN_M)
    row0 = math.floor((lat_deg + 90.0) / step)
    found = set()
    for row in (row0 - 1, row0, row0 + 1):
        if row < 0 or (row - 1) * step > 180.0:
            continue
        columns = int(columns_of(np.array(row), step))
        column = min(int((lon_deg + 180.0) % 360.0 / (360.0 / columns)), columns - 1)
        found |= {row * ROW + (column + d) % columns for d in (-1, 0, 1)}
    return sorted(found)


#: Rows that are worked on at once where an archive is made: what is kept beside its columns does not grow with it.
LOT = 1 << 20


def build(names: list[str], track: np.ndarray, t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray) -> Past:
    """An archive of fixes in any order; of one track and time the first row counts.

    Args:
        names: of the tracks; track: for each fix the number of its name.
    """
    order = np.lexsort((t_s, track))  # stable: the first of two of one time comes first
    track, t_s = track[order], t_s[order].astype(np.float64)
    first = ~again(track, t_s)
    lat, lon = whole(lat_deg[order], lon_deg[order])
    return of_sorted(names, track[first], t_s[first], lat[first], lon[first])


def whole(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions as an archive keeps them: whole numbers of ``DEG``."""
    lat = np.round(lat_deg / DEG).astype(np.int32)
    return lat, np.round(((lon_deg + 180.0) % 360.0 - 180.0) / DEG).astype(np.int32)


def again(track: np.ndarray, t_s: np.ndarray) -> np.ndarray:
    """Which of sorted rows have the track and time of the one before."""
    out = np.zeros(len(t_s), dtype=bool)
    out[1:] = (track[1:] == track[:-1]) & (t_s[1:] == t_s[:-1])
    return out


def of_sorted(
    names: Any, track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray, ages: tuple[Age, ...] | None = None,
    *, places: bool = True,
) -> Past:
    """An archive of fixes that are sorted by track and time, each time of a track once; it keeps the columns that it is given.

    Beside them some 40 bytes a fix are held at most, and 32 stay (place order).

    Args:
        ages: as they were found of the archive of which this is a part.
        places: without it nothing is sorted by place, and no stops are looked for: for who asks of whole tracks alone.
    """
    n = len(t_s)
    begin = np.searchsorted(track, np.arange(len(names) + 1, dtype=track.dtype)).astype(np.int64)
    counts = _counts(begin)
    when = t_s[counts]
    runs = _runs(when)
    if ages is None:
        ages = _ages(when, begin, counts, track, t_s, lat, lon)
    del when
    scale = ages[-1].scale
    first_s, last_s = (float(t_s.min()), float(t_s.max())) if n else (0.0, 0.0)
    if not places:
        none, ints = np.zeros(0), np.zeros(0, np.int64)
        return Past(
            names=names, scale=scale, begin=begin, t_s=t_s, lat=lat, lon=lon, place_key=ints, place_begin=np.zeros(1, np.int64),
            p_row=ints, p_t_s=none, p_lat=ints, p_lon=ints, p_ve=none, p_vn=none, runs=runs, ages=ages, s_row=ints, s_end=ints,
            s_key=ints, s_lat=ints, s_lon=ints, first_s=first_s, last_s=last_s,
        )  # fmt: skip
    ve, vn, sector = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.uint8)
    for rows in _whole_tracks(begin):
        east, north = _velocities(track[rows], t_s[rows], lat[rows], lon[rows], scale.window_s)
        ve[rows], vn[rows], sector[rows] = east, north, sector_of(east, north)
    stop = _stops(track, t_s, lat, lon, sector == 0, scale)
    key = np.empty(n, np.int64)
    for k in range(0, n, LOT):
        lot = slice(k, k + LOT)
        key[lot] = cell_of(lat[lot] * DEG, lon[lot] * DEG, scale.reach_m) * 9 + sector[lot]
    del sector
    known_s = _known_s(begin, t_s)
    never = np.isinf(known_s) | _crowds(begin, t_s, key, scale.interval_s / PLACES_AN_INTERVAL)
    key[never] = np.iinfo(np.int64).max  # these are last, and cut off
    m = n - int(np.count_nonzero(never))
    by_place = np.lexsort((known_s, key))[:m]
    key, p_t_s = key[by_place], known_s[by_place]
    del known_s, never
    first = np.flatnonzero(np.diff(key, prepend=-1))
    place_key, place_begin = key[first], np.r_[first, m].astype(np.int64)
    del key
    p_ve, p_vn = ve[by_place], vn[by_place]
    del ve, vn
    return Past(
        names=names, scale=scale, first_s=first_s, last_s=last_s,
        begin=begin, t_s=t_s, lat=lat, lon=lon, place_key=place_key, place_begin=place_begin,
        p_row=by_place.astype(np.int64, copy=False), p_t_s=p_t_s, p_lat=lat[by_place], p_lon=lon[by_place],
        p_ve=p_ve, p_vn=p_vn, runs=runs, ages=ages, **stop,
    )  # fmt: skip


def _counts(begin: np.ndarray) -> np.ndarray:
    """Which rows count: all but the first ``COUNTS_FROM`` of each track."""
    out = np.ones(int(begin[-1]), dtype=bool)
    for k in range(COUNTS_FROM):
        row = begin[:-1] + k
        out[row[row < begin[1:]]] = False
    return out


def _known_s(begin: np.ndarray, t_s: np.ndarray) -> np.ndarray:
    """When each row was known to be of a track: its time, of the first ones when it came to count; infinite if never."""
    out = t_s.copy()
    third = begin[:-1] + COUNTS_FROM
    counted_s = np.where(third < begin[1:], t_s[np.minimum(third, max(len(t_s) - 1, 0))] if len(t_s) else 0.0, np.inf)
    for k in range(COUNTS_FROM):
        row = begin[:-1] + k
        out[row[row < begin[1:]]] = counted_s[row < begin[1:]]
    return out


def _runs(t_s: np.ndarray) -> np.ndarray:
    """(n, 2) first and last of the times between silences of ``ENDED_S``; times in any order."""
    if not len(t_s):
        return np.zeros((0, 2))
    hour = np.floor(t_s / 3600.0).astype(np.int64)
    first = int(hour.min())
    hour -= first
    many = int(hour.max()) + 1
    if many > 4 * len(t_s) + 1000:  # few times of far apart
        t = np.sort(t_s)
        return _parted(t, t)
    earliest, latest = np.full(many, np.inf), np.full(many, -np.inf)
    np.minimum.at(earliest, hour, t_s)
    np.maximum.at(latest, hour, t_s)
    some = np.isfinite(earliest)
    return _parted(earliest[some], latest[some])


def _parted(earliest: np.ndarray, latest: np.ndarray) -> np.ndarray:
    cut = np.flatnonzero(earliest[1:] - latest[:-1] >= ENDED_S)
    runs: np.ndarray = np.c_[earliest[np.r_[0, cut + 1]], latest[np.r_[cut, len(latest) - 1]]].astype(np.float64)
    return runs


def _stretches(begin: np.ndarray, t_s: np.ndarray, every_s: float) -> np.ndarray:
    """Which rows are the first of their track in a stretch of time."""
    out = np.empty(len(t_s), dtype=bool)
    for k in range(0, len(t_s), LOT):
        a = max(k - 1, 0)
        stretch = np.floor(t_s[a : k + LOT] / every_s)
        out[k : k + LOT] = np.diff(stretch, prepend=np.nan)[k - a :] != 0.0
    out[begin[:-1][begin[:-1] < begin[1:]]] = True
    return out


def _crowds(begin: np.ndarray, t_s: np.ndarray, key: np.ndarray, every_s: float) -> np.ndarray:
    """Rows that say no more of a place than the one before: of its track, stretch of time, cell and sector."""
    out = ~_stretches(begin, t_s, every_s)
    out[1:] &= key[1:] == key[:-1]
    return out


def _ages(
    when: np.ndarray, begin: np.ndarray, counts: np.ndarray, track: np.ndarray,
    t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray,
) -> tuple[Age, ...]:
    """The ages of an archive: each with the lengths of what was known when it began.

    Args:
        when: times of the rows that count.
    """
    out = [Age(-math.inf, 60.0, 1000.0)]
    first = _stretches(begin, t_s, STRETCH_S)
    third = begin[:-1] + COUNTS_FROM
    first[third[third < begin[1:]]] = True
    stretch_s = t_s[first & counts]
    del first
    last = [4**j - 1 for j in range(12) if 4**j <= len(stretch_s)]
    if last:
        stretch_s.partition(last)
    ends_s = [end_s for end_s in stretch_s[last].tolist() if np.count_nonzero(when <= end_s) <= OLDEST_AGE]
    del stretch_s
    if not ends_s:
        return tuple(out)
    young = t_s <= ends_s[-1]  # beginnings of tracks
    track, t_s, lat, lon, counts = track[young], t_s[young], lat[young], lon[young], counts[young]
    known = np.flatnonzero(counts)
    step = t_s[known] - t_s[known - 1]
    known = known[np.lexsort((step, track[known]))]
    step, of, at_s = t_s[known] - t_s[known - 1], track[known], t_s[known]
    for end_s in ends_s:
        before = out[-1]
        then = at_s <= end_s
        interval_s = _kept(before.interval_s, max(_median_of_tracks(of[then], step[then]), 1.0))
        until = t_s <= end_s
        window_s = Age(end_s, interval_s, 0.0).scale.window_s
        speed = np.hypot(*_velocities(track[until], t_s[until], lat[until], lon[until], window_s))
        moves = counts[until] & (speed > STOOD_MPS)
        reach_m = before.reach_m
        if moves.any():
            quick_mps = _quarter_of_tracks(track[until], speed, moves)
            reach_m = _kept(before.reach_m, float(np.clip(quick_mps * interval_s, 200.0, 10_000.0)))
        if (interval_s, reach_m) != (before.interval_s, before.reach_m):
            out.append(Age(end_s, interval_s, reach_m))
    return tuple(out)


def _median_of_tracks(track: np.ndarray, value: np.ndarray) -> float:
    """The median over tracks of each one's median; values are sorted by track and size."""
    begin = np.flatnonzero(np.diff(track, prepend=track[0] - 1))
    many = np.diff(np.r_[begin, len(track)])
    return median(0.5 * (value[begin + (many - 1) // 2] + value[begin + many // 2]))


def median(values: np.ndarray) -> float:
    """``numpy.median`` of some finite values, which would read in numpy.ma first."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high))
    return float((ordered[low] + ordered[high]) / 2)


def _quarter_of_tracks(track: np.ndarray, speed: np.ndarray, moves: np.ndarray) -> float:
    """What the quicker quarter of what moves exceeds, where the rows of each track together weigh the same."""
    new = np.diff(track, prepend=track[0] - 1) != 0
    number = np.cumsum(new) - 1
    weight = (1.0 / np.bincount(number))[number][moves]
    speed = speed[moves]
    order = np.argsort(speed, kind="stable")
    until = np.cumsum(weight[order])
    return float(speed[order[min(int(np.searchsorted(until, 0.75 * until[-1])), len(order) - 1)]])


def _kept(before: float, now: float) -> float:
    return before if before / KEEPS_LENGTH <= now <= before * KEEPS_LENGTH else float(f"{now:.3g}")


def _whole_tracks(begin: np.ndarray) -> Iterator[slice]:
    """The rows in lots of whole tracks, of ``LOT`` or a track more."""
    a, n = 0, int(begin[-1])
    while a < n:
        b = int(begin[min(int(np.searchsorted(begin, a + LOT)), len(begin) - 1)])
        yield slice(a, b)
        a = b


def round_figure(value: float) -> float:
    """The nearest of eight figures a decade (1, 1.33, 1.78 ...)."""
    figure: float = 10.0 ** (round(8.0 * math.log10(value)) / 8.0)
    return figure


def _velocities(
    track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray, window_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """``velocity_of`` for every row of some whole tracks."""
    # one ascending key for all tracks, so that one search finds every window's beginning
    since = t_s - t_s.min()
    span = float(since.max()) + window_s + 1.0
    new = np.diff(track, prepend=track[0] - 1) != 0
    rows = np.arange(len(t_s))
    begin = rows[new][np.cumsum(new) - 1]
    key = (np.cumsum(new) - 1) * span + since
    h = np.maximum(np.minimum(np.searchsorted(key, key - window_s), rows - 1), begin)
    dt = t_s - t_s[h]
    known = (h < rows) & (dt > 0.0)
    dt = np.where(known, dt, 1.0)
    dlon = ((lon - lon[h].astype(np.int64)) * DEG + 180.0) % 360.0 - 180.0
    ve = dlon * DEGREE_M * np.cos(np.radians(lat * DEG)) / dt
    vn = (lat - lat[h].astype(np.int64)) * DEG * DEGREE_M / dt
    return np.where(known, ve, 0.0), np.where(known, vn, 0.0)


def _stops(
    track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray, stood: np.ndarray, scale: Scale
) -> dict[str, Any]:
    """Runs of rows that stood, as columns sorted by cell; each is where it began: what came later not every question knows."""
    change = np.ones(len(t_s), dtype=bool)
    change[1:] = (track[1:] != track[:-1]) | (stood[1:] != stood[:-1]) | (np.diff(t_s) > 6 * 3600.0)
    first = np.flatnonzero(change)
    last = np.r_[first[1:] - 1, len(t_s) - 1] if len(first) else first
    keep = stood[first] if len(first) else np.zeros(0, dtype=bool)
    first, last = first[keep], last[keep]
    key = cell_of(lat[first] * DEG, lon[first] * DEG, scale.reach_m)
    o = np.lexsort((t_s[first], key))
    return {"s_row": first[o], "s_end": last[o], "s_key": key[o], "s_lat": lat[first][o], "s_lon": lon[first][o]}
