"""How wide a forecast has to be: the archive's own past is asked, and quantiles of how wrong the answers were are the widths.

This is split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Lei et al.,
"Distribution-free predictive inference for regression", JASA 2018): of n scores the one of rank ceil((n + 1) p) holds a new
one with probability p, whatever the forecaster, where the new one is like the old.  Scores are taken for each horizon, apart
for what moves and what stands: the distance to the point gives the discs, the oddness (``regions``) the regions.

Two regimes.  An archive that goes on until the question (or holds it) is asked as it was: each window of the past with what
was known *then*; windows count whose outcome was known at t0, of the later half of what had gone before.  An archive that
ended a day or more before knows whole days: each window is asked with all the other tracks (leave one out).

Not all answers are as sure: what many passed like is told four times as well as what hardly anybody did, and a ship at a quay
stays where she is to a few metres, one at anchor swings by two hundred.  So misses are measured by a ruler (``ruler``) that is
known when the question is asked (locally weighted conformal prediction: Lei et al., 2018, section 5.2): of what moves by how
much likeness there was, of what stands by how it has swung so far.  A width is a quantile of miss over ruler, times the own
ruler.  Nine tenths of what stands are decided by those that leave, and how far these go no swinging tells: no ruler there.

Which windows are asked is decided by a hash of track and time, so that the same ones are asked whatever else the archive holds.
Outcomes of one track are alike: they are weighed (``Calibration.outcomes``), and the quantile is one of weights.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields

import numpy as np

from tracking.forecast import futures as fut
from tracking.forecast import regions
from tracking.forecast.past import COUNTS_FROM, DEG, STOOD_MPS, Past

#: Horizons at which an archive is calibrated, minutes; between two of them widths are interpolated.
GRID_MIN = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 1440, 2880, 5760, 10_080, 20_160, 43_200)
#: Windows of a kind that are asked at a horizon at most, and the fewest that say something; tracks below which they say how
#: these went and not how others go: nine tenths are then the widest that was seen (the next trip's rank among two is no ninth).
ENOUGH, FEWEST, FEWEST_TRACKS = 600, 20, 3
#: How alike the outcomes of one track are, of what stands and of what moves (the share of the variance that is the track's).
ALIKE = {False: 0.0, True: 0.05}
#: Windows that are kept of a large archive, of each kind, apart and not; those that are not are of its first fixes.
MOST_WINDOWS, MOST_OTHERS = 6000, 4**7
#: Where nothing is known: half and nine tenths of the way that the pace makes, and of a walk for what stands and has stood.
GUESS, GUESS_STOOD = {0.5: 0.4, 0.9: 1.2}, {0.5: 0.25, 0.9: 0.7}
#: How fast goes what drives off, of which nothing is known: a bus in town, a ship at ten knots.
LEAVES_MPS = 5.0
#: Of what moves: misses shrink with this power of likeness (and of so much more, which is there where there is none), and are
#: measured as at so much.
SHRINKS, NO_LIKENESS, USUAL_LIKENESS = 0.35, 0.1, 1.5
#: Of what stands: the least swing, and one that is usual, metres.
LEAST_SWING_M, USUAL_SWING_M = 10.0, 30.0
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Widths:
    """What holds a level of the outcomes: a disc's radius, the region's oddness (None where too little is known).

    ``windows`` is how many outcomes stand behind it.
    """

    radius_m: float
    oddness: float | None
    windows: int


@dataclass(frozen=True)
class Outcomes:
    """What came of some windows: row and track of each, when it was asked, miss, oddness, ruler, weight."""

    row: np.ndarray
    track: np.ndarray
    t_s: np.ndarray
    miss_m: np.ndarray
    odd: np.ndarray
    ruler: np.ndarray
    weight: np.ndarray

    def some(self, which: np.ndarray) -> Outcomes:
        """Some of them."""
        return Outcomes(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True)
class Found:
    """What outcomes say of one level: metres a ruler of 1 and the oddness that hold it, whether by the ruler; None: too few."""

    per_ruler_m: float | None
    oddness: float | None
    ruled: bool
    windows: int

    def radius_m(self, ruler: float, level: float) -> float:
        """The disc of a question with a ruler."""
        assert self.per_ruler_m is not None
        return max(self.per_ruler_m * (ruler if self.ruled else 1.0), _LEAST_M.get(level, 0.0))


@dataclass
class Scores:
    """Scores at one horizon of one regime, window by window; NaN before it is asked, infinite where there is no outcome."""

    miss_m: np.ndarray
    odd: np.ndarray
    ruler: np.ndarray


@dataclass
class Windows:
    """The windows of one kind, by time: their rows in track order, times, hashes in [0, 1), and whether they are apart.

    Windows of a track that are apart begin in slots of two velocity windows, and are asked first: overlapping ones say almost
    the same.  The others are for archives that have none to spare; those of one slot together weigh as much as one, so that
    each moment counts the same however often it was reported.
    """

    row: np.ndarray
    t_s: np.ndarray
    share: np.ndarray
    apart: np.ndarray


@dataclass
class Calibration:
    """The calibration of one archive; answers are computed once and kept.

    Args:
        known: scores of an earlier run, by (horizon in minutes, moving, when the archive had ended or None).
    """

    past: Past
    like: fut.Likeness = fut.LIKENESS
    shape: regions.Shape = regions.SHAPE
    windows: dict[bool, Windows] | None = None
    known: dict[tuple[int, bool, float | None], Scores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.windows is None:
            self.windows = windows_of(self.past)

    def widths(
        self, after_s: float, moving: bool, pace_mps: float, t0_s: float, level: float, ruler: float = 1.0,
        stood_s: float = math.inf,
    ) -> Widths:  # fmt: skip
        """The widths ``after_s`` behind the last fix: between those of the horizons of the grid about it.

        Args:
            pace_mps, stood_s: what a guess is made of where nothing is known.
            ruler: that of the question.
        """
        after_min = after_s / 60.0
        k = int(np.searchsorted(GRID_MIN, after_min - 1e-9))
        lower, upper = GRID_MIN[max(k - 1, 0)], GRID_MIN[min(k, len(GRID_MIN) - 1)]
        high = self._at(upper, moving, pace_mps, t0_s, level, ruler, stood_s)
        if upper <= after_min + 1e-9:
            return high
        if k == 0:
            # before the first horizon: from a fix's own error on
            share = after_min / upper
            return Widths(_LEAST_M[level] + share * max(high.radius_m - _LEAST_M[level], 0.0), high.oddness, high.windows)
        low = self._at(lower, moving, pace_mps, t0_s, level, ruler, stood_s)
        w = math.log(after_min / lower) / math.log(upper / lower)
        odd = None if low.oddness is None or high.oddness is None else (1.0 - w) * low.oddness + w * high.oddness
        radius_m = math.exp((1.0 - w) * math.log(low.radius_m) + w * math.log(high.radius_m))
        return Widths(radius_m, odd, min(low.windows, high.windows))

    def _at(
        self, minutes: int, moving: bool, pace_mps: float, t0_s: float, level: float, ruler: float, stood_s: float
    ) -> Widths:  # fmt: skip
        own = self.outcomes(minutes, moving, t0_s)
        found = enough(own, self.outcomes(minutes, not moving, t0_s) if len(own.miss_m) < FEWEST else None, moving, level)
        if found.per_ruler_m is None:
            guess = guess_m(minutes * 60.0, moving, pace_mps, level, stood_s)
            shorter = GRID_MIN[max(GRID_MIN.index(minutes) - 1, 0)]
            if shorter < minutes:  # no later is less known than what was found of a shorter time
                guess = max(guess, self._at(shorter, moving, pace_mps, t0_s, level, ruler, stood_s).radius_m)
            return Widths(guess, None, found.windows)
        return Widths(found.radius_m(ruler, level), found.oddness, found.windows)

    def outcomes(self, minutes: int, moving: bool, t0_s: float) -> Outcomes:
        """The windows of a kind that count for a question at t0 and what came of each; of one slot they share one weight.

        Those of a long track say less: the mean of n outcomes of which a share of the variance is their track's is worth
        n / (1 + share (n - 1)) (the design effect of clusters: Kish, "Survey Sampling", 1965; title from memory).
        """
        assert self.windows is not None
        of, (good, kept) = self.windows[moving], self._good(minutes, moving, t0_s)
        rows = of.row[good]
        track = self.past.track_of(rows)
        slot = slots(of.t_s[good] - self.past.t_s[self.past.begin[track]], self.past.scale.window_s)
        _, same, many = np.unique(np.c_[track, slot], axis=0, return_inverse=True, return_counts=True)
        weight = 1.0 / many[same.ravel()] if len(good) else np.zeros(0)
        _, own = np.unique(track, return_inverse=True)
        weight /= 1.0 + ALIKE[moving] * np.maximum(np.bincount(own, weight)[own] - 1.0, 0.0) if len(good) else 1.0
        return Outcomes(rows, track, of.t_s[good], kept.miss_m[good], kept.odd[good], kept.ruler[good], weight)

    def _good(self, minutes: int, moving: bool, t0_s: float) -> tuple[np.ndarray, Scores]:
        """Which windows count for a question at t0 and have an outcome, and the scores."""
        assert self.windows is not None
        of, ended = self.windows[moving], self.past.ended(t0_s)
        blank = np.full(len(of.row), np.nan)
        kept = self.known.setdefault((minutes, moving, ended), Scores(blank, blank.copy(), blank.copy()))
        if ended is not None:
            among = np.arange(int(np.searchsorted(of.t_s, ended, side="right")))
        else:
            # an outcome lies on the line to a fix that comes a hole later at most: by then it is known, whatever comes after t0
            until = t0_s - minutes * 60.0 - self.past.scale.hole_s
            b = int(np.searchsorted(of.t_s, until, side="right"))
            a = int(np.searchsorted(of.t_s, until - 0.5 * (until - self.past.runs[0, 0]))) if len(self.past.runs) else 0
            among = np.arange(a, b)
        among = first_of(of, among, ENOUGH)
        for k in among[np.isnan(kept.miss_m[among])]:
            self.past.between()
            if not np.isnan(kept.miss_m[k]):
                continue  # another question that was let in wanted it too
            kept.miss_m[k], kept.odd[k], kept.ruler[k] = self._ask(int(of.row[k]), float(of.t_s[k]), minutes * 60.0, ended)
        return among[np.isfinite(kept.miss_m[among])], kept

    def _ask(self, row: int, t_s: float, after_s: float, ended: float | None) -> tuple[float, float, float]:
        """(miss, oddness, ruler) of one window; infinite where what came is not known."""
        came = self.past.at(row, t_s + after_s, math.inf if ended is None else ended)
        if came is None:
            return math.inf, math.inf, 1.0
        state, f, b, by = self.answer(row, t_s, after_s, ended)
        e, n = f.plane.en(lat_deg=came[1], lon_deg=came[2])
        return math.hypot(e - f.point[0], n - f.point[1]), regions.oddness(b, e, n), by

    def answer(
        self, row: int, t_s: float, after_s: float, ended: float | None
    ) -> tuple[fut.LastSeen, fut.Futures, regions.Bells, float]:
        """What one window is told: its state, futures, their bells, its ruler."""
        state = state_of(self.past, row)
        own = int(np.searchsorted(self.past.begin, row, side="right")) - 1
        seen = fut.Visible(until_s=t_s if ended is None else ended, own=own)
        found = fut.passes(self.past, state, seen, self.like) if state.moving else None
        f = fut.futures_of(self.past, state, after_s, seen, found, self.like)
        by = ruler(state, f)
        return state, f, regions.bells(f, state.speed_mps, after_s, self.shape, wider(state, by)), by


#: No radius is smaller: a fix's own error (half of what lies at a quay is within a few metres of where it was).
_LEAST_M = {0.5: 3.0, 0.9: 25.0}


def enough(own: Outcomes, others: Outcomes | None, moving: bool, level: float) -> Found:
    """What a level's widths are by the outcomes of a kind and, where these are too few, of the other kind too."""
    ruled = moving or level <= 0.5
    miss, odd, weight, tracks = own.miss_m, own.odd, own.weight, own.track
    if len(miss) < FEWEST and others is not None:
        # too few of this kind say nothing of it: both kinds together, whose rulers have nothing in common
        miss, odd, weight = np.r_[miss, others.miss_m], np.r_[odd, others.odd], np.r_[weight, others.weight]
        ruled = False
    if len(miss) < FEWEST:
        return Found(None, None, False, len(miss))
    over = miss / own.ruler if ruled else miss
    if level > 0.5 and len(np.unique(tracks)) < FEWEST_TRACKS:
        return Found(float(over.max()), float(odd.max()), ruled, len(miss))
    return Found(quantile(over, weight, level), quantile(odd, weight, level), ruled, len(miss))


def quantile(scores: np.ndarray, weight: np.ndarray, level: float) -> float:
    """The score that holds a new one with a probability: of n that weigh the same that of rank ceil((n + 1) level)."""
    order = np.argsort(scores, kind="stable")
    until = np.cumsum(weight[order])
    asked = level * (until[-1] + until[-1] / len(scores))
    return float(scores[order[min(int(np.searchsorted(until, asked - 1e-9 * asked)), len(scores) - 1)]])


def first_of(of: Windows, among: np.ndarray, most: int) -> np.ndarray:
    """Of some windows those that are asked, by time: apart before others, the least hashes first."""
    if len(among) <= most:
        return among
    return np.sort(among[np.lexsort((of.share[among], ~of.apart[among]))[:most]])


def ruler(state: fut.LastSeen, f: fut.Futures) -> float:
    """What misses are measured by: how far off answers of this kind usually are, over what is usual; known at the question."""
    if state.moving:
        return math.pow((f.mass + NO_LIKENESS) / USUAL_LIKENESS, -SHRINKS)
    return math.hypot(state.swing_m, LEAST_SWING_M) / USUAL_SWING_M


def wider(state: fut.LastSeen, by: float) -> float:
    """How many times as wide a region's bells are: half of the ruler (its root), for where futures lie apart says the rest."""
    return math.sqrt(by) if state.moving else 1.0


def guess_m(after_s: float, moving: bool, pace_mps: float, level: float, stood_s: float = math.inf) -> float:
    """The radius where nothing is known: of the way at a pace, its own of late where it stands only for a moment.

    Args:
        stood_s: what has stood for T stays for another t with the chance T / (T + t) (as in ``tracking.dwell``), or
            drives off at some moment of that time, at ``LEAVES_MPS``.
    """
    if not moving and pace_mps <= STOOD_MPS:
        stays = 1.0 if math.isinf(stood_s) else stood_s / max(stood_s + after_s, 1.0)
        leaves = (level - stays) / (1.0 - stays) if stays < level else 0.0
        return max(GUESS_STOOD[level] * STOOD_MPS * after_s, LEAVES_MPS * after_s * leaves, _LEAST_M[level])
    return max(GUESS[level] * pace_mps * after_s, _LEAST_M[level])


def state_of(past: Past, row: int) -> fut.LastSeen:
    """The state of a track of the archive at one of its rows."""
    begin = int(past.begin[int(np.searchsorted(past.begin, row, side="right")) - 1])
    a = max(begin, row + 1 - fut.MOST_LOOKED_BACK)
    lat, lon = past.lat[a : row + 1] * DEG, past.lon[a : row + 1] * DEG
    state = fut.last_seen(past.t_s[a : row + 1], lat, lon, float(past.t_s[row]), past.scale.window_s)
    assert state is not None
    return state


def windows_of(past: Past, most: int = MOST_WINDOWS) -> dict[bool, Windows]:
    """The windows of what moves and of what stands; of those that are apart at most so many of each, of the least hashes.

    None is in a track's first velocity window: questions are asked of what is known already.
    """
    rows, apart = _candidates(past, most)
    tracks = past.track_of(rows).tolist()
    names = {track: past.name(track) for track in set(tracks)}
    share = np.array([_share(names[track], t) for track, t in zip(tracks, past.t_s[rows].tolist(), strict=True)])
    picked: dict[bool, list[int]] = {True: [], False: []}
    enough = {True: most, False: most}
    for k in np.lexsort((share, ~apart)):
        if apart[k] and not any(enough.values()):
            continue
        kind = math.hypot(*past.velocity(int(rows[k]))) > STOOD_MPS
        if apart[k]:
            if enough[kind] == 0:
                continue
            enough[kind] -= 1
        picked[kind].append(int(k))
    out = {}
    for kind, chosen in picked.items():
        k = np.array(chosen, dtype=np.int64)
        t = past.t_s[rows[k]].astype(np.float64) if len(k) else np.zeros(0)
        k = k[np.lexsort((share[k], t))] if len(k) else k
        out[kind] = Windows(rows[k] if len(k) else k, past.t_s[rows[k]].astype(np.float64) if len(k) else np.zeros(0),
                            share[k] if len(k) else np.zeros(0), apart[k] if len(k) else np.zeros(0, dtype=bool))  # fmt: skip
    return out


def slots(since_s: np.ndarray, window_s: float) -> np.ndarray:
    """The slot of each time since its track's beginning: two velocity windows each, the first after one; before it negative."""
    out: np.ndarray = np.floor((since_s - window_s) / (2.0 * window_s)).astype(np.int64)
    return out


def _candidates(past: Past, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows that may be windows, whether they are apart): of a large archive of every so-manieth block."""
    found, first, block = [], [], 1 << 20
    young_s = math.inf
    if len(past.p_t_s) > MOST_OTHERS:
        young_s = float(np.partition(past.p_t_s, MOST_OTHERS - 1)[MOST_OTHERS - 1])
    blocks = range(0, len(past.t_s), block)
    for a in blocks[:: max(1, len(blocks) // 64)]:
        rows = np.arange(a, min(a + block, len(past.t_s)))
        track = past.track_of(rows)
        slot = slots(past.t_s[rows] - past.t_s[past.begin[track]], past.scale.window_s)
        counts = (slot >= 0) & (rows >= past.begin[track] + COUNTS_FROM)
        new = counts.copy()
        new[1:] &= (np.diff(slot) != 0) | (np.diff(track) != 0) | ~counts[:-1]
        keep = counts & (new | (past.t_s[rows] <= young_s))
        found.append(rows[keep])
        first.append(new[keep])
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    rows, apart = np.concatenate(found), np.concatenate(first)
    step = len(rows) // (30 * most) if len(rows) > 60 * most else 1
    return rows[::step], apart[::step]


def _share(name: str, t_s: float) -> float:
    digest = hashlib.blake2b(f"{name}@{t_s:.3f}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / float(1 << 56)


