"""The ways that are used, learned from an archive: who stops where nobody stops, who leaves the usual way.

``Ways`` reads a small table (``birddog.model.UsedWays``): of each cell how many different tracks moved through it, by the
eighth of the circle in which they went, how many stood there, and the lower quartile of their speeds.  A live picture may use
one only as an entry of the journal (it holds the table and the archive's hash), so that a rebuild needs no archive.

Related: Pallotta, Vespe, Bryan, "Vessel pattern knowledge discovery from AIS data" (Entropy 2013), from memory; lane stop as
measured in shared research/predict.md.
"""

from __future__ import annotations

import functools
import math

import msgspec
import numpy as np

from birddog.geo import DEGREE_M, R_MEAN_M
from birddog.model import UsedWays
from birddog.units import NS
from tracking.events.model import LaneStop, Rules
from tracking.events.places import Fix, Found
from tracking.events.tracks import Tracks, counted
from tracking.forecast import past as archive
from tracking.forecast.past import DEG, Past

#: Side of a cell, metres (shared research/predict.md); cells are numbered as an archive's.
CELL_M = 2000.0
#: A track stood in a cell where it kept so long slower than ``archive.STOOD_MPS``.
STOOD_S = 1800.0
#: Cells of the largest table that is made.
MOST_CELLS = 50_000
_SECTORS = 8


class Ways:
    """What the table says of a place."""

    def __init__(self, table: UsedWays):
        self.table = table
        self.cell_m = table.cell_m
        self._cells = np.frombuffer(table.cells, "<i8")
        self._moved, self._stood = np.frombuffer(table.moved, "<u2"), np.frombuffer(table.stood, "<u2")
        self._quartile = np.frombuffer(table.quartile, "<u2")
        self._sectors = np.frombuffer(table.sectors, np.uint8).reshape(-1, _SECTORS)
        n = len(self._cells)
        if not all(len(c) == n for c in (self._moved, self._stood, self._quartile, self._sectors)) or n > MOST_CELLS:
            raise ValueError("the columns of a table of ways are of unequal length, or too long")
        self._used: dict[int, tuple[np.ndarray, set[int]]] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def _at(self, cell: int) -> int:
        k = int(self._cells.searchsorted(cell))
        return k if k < len(self._cells) and self._cells[k] == cell else -1

    def lane(self, lat_deg: float, lon_deg: float, rule: LaneStop) -> dict[str, float] | None:
        """What is known of a cell where others pass and nobody stops; None where it is no such one."""
        k = self._at(cell_of(lat_deg, lon_deg, self.cell_m))
        if k < 0:
            return None
        moved, stood, quartile = int(self._moved[k]), int(self._stood[k]), int(self._quartile[k]) / 100.0
        if moved < rule.least_tracks or quartile < rule.lane_mps or stood > rule.stood_share * (moved + stood):
            return None
        return {"others_passed": moved, "others_stood": stood, "usual_speed_mps": quartile}

    def usual(self, lat_deg: float, lon_deg: float, sector: int) -> int:
        """Most tracks of the nine cells around, of those that moved through one in about this direction."""
        beside = ((sector - 1) % _SECTORS, sector, (sector + 1) % _SECTORS)
        rows = [self._at(c) for c in archive.cells_about(lat_deg, lon_deg, self.cell_m)]
        return max((int(self._sectors[k, s]) for k in rows if k >= 0 for s in beside), default=0)

    def used(self, lat_deg: float, lon_deg: float, sector: int, few: int) -> bool:
        """Whether ``few`` tracks or more moved in about this direction through one cell that this one touches, or this one."""
        return cell_of(lat_deg, lon_deg, self.cell_m) * _SECTORS + sector in self._ways(few)[1]

    def _ways(self, few: int) -> tuple[np.ndarray, set[int]]:
        """The (cell, sector) numbers that are used, ascending, and as a set: those of the table, and what touches them."""
        ways = self._used.get(few)
        if ways is None:
            found: set[int] = set()
            for k in np.flatnonzero((self._sectors >= few).any(axis=1)).tolist():
                lat, lon = self._middle(k)
                sectors = {(s + d) % _SECTORS for s in np.flatnonzero(self._sectors[k] >= few).tolist() for d in (-1, 0, 1)}
                found |= {c * _SECTORS + s for c in archive.cells_about(lat, lon, self.cell_m) for s in sectors}
            ways = self._used[few] = np.array(sorted(found), np.int64), found
        return ways

    def about_lanes(self, rule: LaneStop) -> np.ndarray:
        """The cells, ascending, where others pass and nobody stops, and those that touch one."""
        moved = self._moved.astype(np.int64)
        lanes = (moved >= rule.least_tracks) & (self._quartile / 100.0 >= rule.lane_mps)
        lanes &= self._stood <= rule.stood_share * (moved + self._stood)
        about = {c for k in np.flatnonzero(lanes).tolist() for c in archive.cells_about(*self._middle(k), self.cell_m)}
        return np.array(sorted(about), np.int64)

    def _middle(self, k: int) -> tuple[float, float]:
        """The middle of a cell of the table."""
        row, column = divmod(int(self._cells[k]), archive.ROW)
        step = math.degrees(self.cell_m / R_MEAN_M)
        return (row + 0.5) * step - 90.0, (column + 0.5) * 360.0 / _columns(row, self.cell_m) - 180.0

    def left_by(self, fixes: Tracks, cells: np.ndarray, rules: Rules) -> list[int]:
        """The vessels of a lot that move on used ways, and off them for long enough, at all: nobody else deviates."""
        x, y, z, t = (np.diff(c) for c in (fixes.x, fixes.y, fixes.z, fixes.time_ns))
        moves = np.sqrt(x * x + y * y + z * z) * NS > rules.deviation.speed_mps * t
        moves = np.flatnonzero(moves & (t <= rules.hole_ns) & (fixes.vessel[1:] == fixes.vessel[:-1]))
        keys, _ = self._ways(rules.deviation.few)
        if not len(moves) or not len(keys):
            return []
        lat, lon = fixes.lat_deg, fixes.lon_deg
        east = _short_way(lon[moves + 1] - lon[moves]) * np.cos(np.radians(lat[moves + 1]))
        on = among(cells[moves + 1] * _SECTORS + _sectors(east, lat[moves + 1] - lat[moves]), keys)
        vessel = fixes.vessel[moves]
        begin = np.flatnonzero(np.diff(vessel, prepend=-1))
        ons = np.add.reduceat(on.astype(np.int64), begin)
        # a deviation takes so many fixes off and so long
        off = np.add.reduceat(1 - on.astype(np.int64), begin)
        first = np.minimum.reduceat(np.where(on, _ENDS.max, fixes.time_ns[moves]), begin)
        last = np.maximum.reduceat(np.where(on, _ENDS.min, fixes.time_ns[moves + 1]), begin)
        rule = rules.deviation
        some = np.flatnonzero((ons >= rule.before) & (off >= max(rule.least_fixes, 1)))
        some = some[last[some] - first[some] >= int(rule.least_s * NS)]
        vessels: list[int] = vessel[begin[some]].tolist()
        return vessels


_ENDS = np.iinfo(np.int64)


def among(asked: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which numbers are among some ascending ones."""
    if not len(keys):
        return np.zeros(len(asked), bool)
    is_one: np.ndarray = keys[np.minimum(keys.searchsorted(asked), len(keys) - 1)] == asked
    return is_one


@functools.lru_cache(maxsize=65_536)
def _columns(row: int, cell_m: float) -> int:
    return int(archive.columns_of(np.array(row), math.degrees(cell_m / R_MEAN_M)))


def cell_of(lat_deg: float, lon_deg: float, cell_m: float) -> int:
    """``archive.cell_of`` of one position."""
    row = math.floor((lat_deg + 90.0) / math.degrees(cell_m / R_MEAN_M))
    columns = _columns(row, cell_m)
    return row * archive.ROW + min(math.floor((lon_deg + 180.0) % 360.0 / (360.0 / columns)), columns - 1)


def sector_of(a: Fix, b: Fix) -> int:
    """The eighth of the circle, 0 to 7 from north on, in which the step from a to b goes."""
    east = ((b[5] - a[5] + 180.0) % 360.0 - 180.0) * math.cos(math.radians(b[4]))
    return min(int(math.degrees(math.atan2(east, b[4] - a[4])) % 360.0 / 45.0), _SECTORS - 1)


def _sectors(east: np.ndarray, north: np.ndarray) -> np.ndarray:
    course = np.degrees(np.arctan2(east, north))
    course[course < 0.0] += 360.0
    sector: np.ndarray = np.minimum((course / 45.0).astype(np.int64), _SECTORS - 1)
    return sector


def _short_way(dlon_deg: np.ndarray) -> np.ndarray:
    """Differences of longitude, the short way round; the remainder, costly, is taken only where there is another way."""
    turned = dlon_deg + 180.0
    if len(turned) and not (turned.min() >= 0.0 and turned.max() < 360.0):
        turned %= 360.0
    short: np.ndarray = turned - 180.0
    return short


def learn(past: Past, until_s: float = math.inf, cell_m: float = CELL_M, archive_sha256: str = "") -> UsedWays:
    """The table of an archive.

    A step between two fixes, no hole apart, goes through the cells on its straight line; each track counts once a cell and
    sector.

    Args:
        until_s: only what was known by then.
    """
    passes: list[tuple[np.ndarray, ...]] = []
    stands: list[np.ndarray] = []
    # whole tracks, some at a time: an archive may be larger than memory
    for first in range(0, len(past.names), 2000):
        last = min(first + 2000, len(past.names))
        rows = slice(int(past.begin[first]), int(past.begin[last]))
        passed, stood = _lot(past, rows, until_s, cell_m)
        passes.append(passed)
        stands.append(stood)
        past.release()
    track, cell, sector, speed = (np.concatenate(c) for c in zip(*passes, strict=True)) if passes else _none()
    where, often = counted(cell)
    if len(where) > MOST_CELLS:
        # the busiest: a table is an entry, and no archive
        kept = np.sort(np.argsort(-often, kind="stable")[:MOST_CELLS])
        where = where[kept]
        some = among(cell, where)
        track, cell, sector, speed = track[some], cell[some], sector[some], speed[some]
    k = np.searchsorted(where, cell)
    n = len(where)
    once = _once(track, k)
    moved = np.bincount(k[once], minlength=n)
    by_sector = _once(track, k * _SECTORS + sector)
    sectors = np.bincount((k * _SECTORS + sector)[by_sector], minlength=n * _SECTORS)
    order = np.lexsort((speed, k))
    begin = np.searchsorted(k[order], np.arange(n + 1))
    quartile = speed[order][np.minimum(begin[:-1] + (begin[1:] - begin[:-1]) // 4, len(order) - 1)] if n else speed
    stood = np.concatenate(stands) if stands else np.zeros(0, np.int64)
    stood = stood[among(stood, where)]
    standing = np.bincount(np.searchsorted(where, stood), minlength=n)
    columns = (
        where.astype("<i8"), np.minimum(moved, 65_535).astype("<u2"), np.minimum(standing, 65_535).astype("<u2"),
        np.minimum(np.round(quartile * 100.0), 65_535).astype("<u2"), np.minimum(sectors, 255).astype(np.uint8),
    )  # fmt: skip
    cells, moving, stands_in, quartiles, by_eighth = (column.tobytes() for column in columns)
    return UsedWays(
        archive_sha256=archive_sha256, cell_m=cell_m, cells=cells, moved=moving, stood=stands_in, quartile=quartiles,
        sectors=by_eighth, tracks=len(past.names), fixes=len(past),
        first_ns=round(past.first_s * NS) if len(past) else None, last_ns=round(past.last_s * NS) if len(past) else None,
    )  # fmt: skip


def _none() -> tuple[np.ndarray, ...]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)


def _once(track: np.ndarray, what: np.ndarray) -> np.ndarray:
    """The first place of each (track, what)."""
    order = np.lexsort((what, track))
    first = np.ones(len(order), bool)
    first[1:] = (track[order][1:] != track[order][:-1]) | (what[order][1:] != what[order][:-1])
    return order[first]


def _lot(past: Past, rows: slice, until_s: float, cell_m: float) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """((track, cell, sector, speed) of what moved, cells where a track stood, each once a track) of some rows."""
    t, lat, lon = np.asarray(past.t_s[rows]), past.lat[rows] * DEG, past.lon[rows] * DEG
    track = past.track_of(np.arange(rows.start, rows.stop))
    dt = np.diff(t)
    step = np.flatnonzero((track[1:] == track[:-1]) & (dt <= past.scale.hole_s) & (t[1:] <= until_s))
    dlat, dlon = lat[step + 1] - lat[step], _short_way(lon[step + 1] - lon[step])
    north = dlat * DEGREE_M
    east = dlon * DEGREE_M * np.cos(np.radians(lat[step + 1]))
    way = np.hypot(east, north)
    speed = way / dt[step]
    # on the line between two fixes a point each half cell
    moving = speed > archive.STOOD_MPS
    on, east, north, way = step[moving], east[moving], north[moving], way[moving]
    count = np.minimum(np.maximum(np.ceil(way / (0.5 * cell_m)), 1.0), 4000.0).astype(np.int64)
    begin = np.cumsum(count) - count
    share = (np.arange(int(count.sum())) - np.repeat(begin, count) + 0.5) / np.repeat(count, count)
    at = np.repeat(on, count)
    cell = archive.cell_of(lat[at] + share * np.repeat(dlat[moving], count),
                           lon[at] + share * np.repeat(dlon[moving], count), cell_m)  # fmt: skip
    sector = _sectors(east, north)
    moved = (track[at], cell, np.repeat(sector, count), np.repeat(speed[moving], count))
    # who stood: the time of slow steps by track and cell
    still = step[~moving]
    here = archive.cell_of(lat[still + 1], lon[still + 1], cell_m)
    order = np.lexsort((here, track[still]))
    who, here, spent = track[still][order], here[order], dt[still][order]
    new = np.ones(len(order), bool)
    new[1:] = (who[1:] != who[:-1]) | (here[1:] != here[:-1])
    first = np.flatnonzero(new)
    spent = np.add.reduceat(spent, first) if len(first) else spent
    return moved, here[first][spent >= STOOD_S]


class Astray(msgspec.Struct, frozen=True, gc=False):
    """Of one vessel: its last fix, how many in a row were on used ways, the last of those, and the way off since.

    ``told``: it is a deviation; ``n`` fixes off so far, ``far_m`` the farthest from where it left.
    """

    last: Fix | None = None
    on: int = 0
    left: Fix | None = None
    n: int = 0
    far_m: float = 0.0
    told: bool = False
    until: Fix | None = None

    def add(self, fix: Fix, ways: Ways, rules: Rules) -> tuple[Astray, Found | None]:
        """(the next state, the deviation that ended) with the next fix."""
        last, rule = self.last, rules.deviation
        if last is None or fix[0] - last[0] > rules.hole_ns:
            return Astray(last=fix), self.found(rules, ended=True)
        dx, dy, dz = fix[1] - last[1], fix[2] - last[2], fix[3] - last[3]
        if math.sqrt(dx * dx + dy * dy + dz * dz) * NS <= rule.speed_mps * (fix[0] - last[0]):
            return msgspec.structs.replace(self, last=fix), None
        if ways.used(fix[4], fix[5], sector_of(last, fix), rule.few):
            if self.n:
                return Astray(last=fix, on=1, left=fix), self.found(rules, ended=True)
            return Astray(last=fix, on=self.on + 1, left=fix), None
        if self.left is None or (self.on < rule.before and not self.n):
            return Astray(last=fix), None
        left = self.left
        away_m = math.dist(fix[1:4], left[1:4])
        far_m = max(self.far_m, away_m)
        told = self.told or (
            self.n + 1 >= rule.least_fixes and fix[0] - left[0] >= rule.least_s * NS and away_m >= rule.away_m
        )
        return Astray(last=fix, on=self.on, left=left, n=self.n + 1, far_m=far_m, told=told, until=fix), None

    def found(self, rules: Rules, *, ended: bool) -> Found | None:
        """The deviation, if it is one."""
        if not self.told or self.left is None or self.until is None:
            return None
        lasted_ns = self.until[0] - self.left[0]
        return Found(
            "deviation", "", self.left[0], self.until[0], self.left[4], self.left[5], ended,
            min(1.0, self.n * rules.seen_s * NS / lasted_ns),
            {"duration_s": lasted_ns / NS, "away_m": self.far_m, "fixes": self.n},
        )  # fmt: skip
