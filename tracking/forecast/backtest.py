"""How good an archive's own past was told: its outcomes judged by the widths that are given, of tracks that did not make them.

Each outcome is of a track that a question might be about; it is judged by the widths that the outcomes of other tracks make, in
ten folds of tracks (leave some out), through the same rule and ruler as an answer: ``calibration.enough`` and ``where.given``.
Halves by time would judge a track by itself, whose outcomes are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracking.forecast.calibration import LEVELS, Calibration, Found, Outcomes, enough
from tracking.forecast.drift import Drift, drift
from tracking.forecast.where import given

#: Folds of tracks; fewest outcomes of which anything is told.
FOLDS, FEWEST = 10, 20
#: Of a page of figures: outcomes whose regions are drawn again at most, for that costs as much as to ask anew.
MOST_DRAWN = 300


@dataclass(frozen=True)
class Backtest:
    """What came of the windows of a kind at a horizon, and the share of it that discs and regions held, by level.

    Shares weigh outcomes as widths do (``Calibration.outcomes``); they are empty where one track alone was asked.
    """

    outcomes: Outcomes
    discs: dict[float, float]
    regions: dict[float, float]

    @property
    def mean_m(self) -> float:
        """The mean miss."""
        return float(np.mean(self.outcomes.miss_m))

    @property
    def median_m(self) -> float:
        """The median miss."""
        return float(np.median(self.outcomes.miss_m))


def backtest(
    calibration: Calibration, minutes: int, moving: bool, t0_s: float, levels: tuple[float, ...] = LEVELS, *,
    drawn: bool = False
) -> Backtest | None:  # fmt: skip
    """The back-test as of t0; None where there are too few outcomes.

    Args:
        levels: of the discs; regions are those of ``LEVELS``.
        drawn: judge regions as they are drawn (a region that would be larger than its disc is the disc), ``MOST_DRAWN`` of the
            outcomes spread over all.  Otherwise each by its level alone, also where the disc is the smaller one.
    """
    of = calibration.outcomes(minutes, moving, t0_s)
    if len(of.miss_m) < FEWEST:
        return None
    tracks, which = np.unique(of.track, return_inverse=True)
    discs: dict[float, float] = {}
    areas: dict[float, float] = {}
    if len(tracks) >= 2:
        fold = which.ravel() % FOLDS
        others = [of.some(fold != k) for k in range(int(fold.max()) + 1)]
        found = {p: [enough(some, None, moving, p) for some in others] for p in {*levels, *LEVELS}}
        discs = {p: share for p in levels if (share := _share(_in_discs(of, fold, found[p], p), of.weight)) is not None}
        asked = np.arange(len(of.miss_m))
        if drawn:
            asked = asked[:: -(-len(asked) // MOST_DRAWN)]
        some, its = of.some(asked), fold[asked]
        for p in LEVELS:
            if drawn:
                held = _drawn(calibration, some, its, found, p, minutes * 60.0, calibration.past.ended(t0_s))
            elif p <= 0.5 and not moving:
                held = _in_discs(some, its, found[p], p)
            else:
                held = np.array([np.nan if (e := found[p][k].oddness) is None else float(odd <= e)
                                 for odd, k in zip(some.odd, its, strict=True)])  # fmt: skip
            if (share := _share(held, some.weight)) is not None:
                areas[p] = share
    return Backtest(of, discs, areas)


def _in_discs(of: Outcomes, fold: np.ndarray, found: list[Found], level: float) -> np.ndarray:
    """Whether each was in its disc (1 or 0); NaN where the others' outcomes were too few."""
    return np.array([np.nan if found[k].per_ruler_m is None else float(miss <= found[k].radius_m(by, level))
                     for miss, by, k in zip(of.miss_m, of.ruler, fold, strict=True)])  # fmt: skip


def _drawn(
    calibration: Calibration, of: Outcomes, fold: np.ndarray, found: dict[float, list[Found]], level: float, after_s: float,
    ended: float | None
) -> np.ndarray:  # fmt: skip
    """Whether each was in the region that is given for its level; NaN where the others' outcomes were too few."""
    held = np.full(len(fold), np.nan)
    for k, (row, t_s) in enumerate(zip(of.row.tolist(), of.t_s.tolist(), strict=True)):
        widths = found[level][fold[k]]
        if widths.per_ruler_m is None:
            continue
        least = found[0.5][fold[k]]
        radius_m = max(widths.radius_m(of.ruler[k], level), least.radius_m(of.ruler[k], 0.5))
        state, f, b, _ = calibration.answer(row, t_s, after_s, ended)
        odd, _ = given(state, f, b, widths.oddness, radius_m, level)
        held[k] = of.miss_m[k] <= radius_m if odd is None else of.odd[k] <= odd
    return held


def _share(held: np.ndarray, weight: np.ndarray) -> float | None:
    known = np.isfinite(held)
    return float(np.average(held[known], weights=weight[known])) if known.any() else None


@dataclass(frozen=True)
class Lately:
    """Whether forecasts are other of late than before: by how far they missed, and by how far over what widths allowed.

    ``held``: the share of the late ones in the discs that those before make, by level.
    """

    missed: Drift
    allowed: Drift
    held: dict[float, float]

    @property
    def changed(self) -> bool:
        """Either; a lane that moved is missed by more, and where likeness is as before the widths hold less."""
        return self.missed.changed or self.allowed.changed


def lately(of: Outcomes, moving: bool, since_s: float | None = None) -> Lately | None:
    """Outcomes of late against those before (``drift``); None where either are too few."""
    missed = drift(of.t_s, of.miss_m, since_s)
    allowed = drift(of.t_s, of.miss_m / of.ruler, since_s)
    if missed is None or allowed is None:
        return None
    order = np.argsort(of.t_s, kind="stable")
    late, before = of.some(order[missed.before :]), of.some(order[: missed.before])
    held: dict[float, float] = {}
    for p in LEVELS:
        found = enough(before, None, moving, p)
        share = _share(_in_discs(late, np.zeros(len(late.t_s), dtype=int), [found], p), late.weight)
        held |= {} if share is None else {p: share}
    return Lately(missed, allowed, held)
