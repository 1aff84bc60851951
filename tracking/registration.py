"""How far off a sensor's own alignment is: a radar turned by a degree or two, or some metres from where it is said to stand.

What it sees of tracks whose receivers say where they are lies beside that by one shift and one turn for all of them: an offset
that is steady, or grows with the range, long before anybody lies, and the same for every track.  What a tag makes up is new,
and its own.  Both are fitted by weighted least squares to the pairs of a fix and the first sighting after it (Bar-Shalom, Li
and Tian 2001, "Multitarget-multisensor tracking", chapter 7.4; the turn is linear, for it is small).  In complex numbers,
east + i north: offset = b + i theta p, with p the place about an anchor.

What looks show is put right by it (``Registration.shown_off``) as far as it is likely that the sensor is off at all: a sensor
stands right (offset none) or is off by anything up to ``SLAB_M``, and the odds of the two follow from the same sums (a spike
and a slab; Mitchell, Beauchamp 1988).  Of one that stands right nothing is taken, and nothing is added to its variance.  Pairs
that agree with no shift and turn (a tag that drifts away, errors that are stated too small) say less, by the ratio of Birge
(1932): they are far from one another, and so is what they are fitted by.

What is newer than ``BLOCK_S`` at least (and twice that at most) has no say yet, so that a lie that begins now is held against
what was known before it; where a receiver is doubted that is thrown away, and so is a block that disagrees with all before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from birddog.units import NS
from tracking.anchor import near_en

#: A block of pairs, s.
BLOCK_S = 20.0
#: So many pairs say something; with fewer than ``ENOUGH`` that are old enough the new ones are heard too.
PAIRS_LEAST, ENOUGH = 4.0, 6.0
#: Sigma of an offset, m, of which nothing is known.
UNKNOWN_M = 50.0
#: Sigma of a turn, rad, before anything is known of it.
TURN_SIGMA = 0.03
#: A pair that lies farther apart, m, is none.
FAR_M = 300.0

#: One sensor in so many is off, by so many metres (sigma): a prior.
OFF_ODDS, SLAB_M = 0.1, 60.0
#: What pairs have in common, m: a receiver's own errors that last.  No number of pairs learns less.
LASTING_M = 3.0
#: With fewer pairs nothing is put right: what they say widens.
MOVES_LEAST = 2.0
#: A block whose mean lies with a NIS over this (2 degrees of freedom) beside what was known is not learnt from: what changes is
#: a tag's doing.  After so many in a row the sensor itself was moved, and all is learnt anew.
OTHER_NIS, OTHERS = 9.2, 6
#: An error of the offset is the same at each look, as long as a filter remembers, s; not more than so many looks of it.
MEMORY_S, MEMORY_LOOKS = 16.0, 16.0

#: Of weighted pairs: how many; sums of 1, p (east, north; km), |p|², o (east, north; m), of the imaginary part of p* o, |o|².
Sums = tuple[float, float, float, float, float, float, float, float, float]
NONE: Sums = (0.0,) * 9
#: An offset of which nothing is known.
UNKNOWN = (0.0, 0.0, UNKNOWN_M**2)
#: A sensor is not off, unless that is likelier than this.
NOTHING, OFF_LEAST = (0.0, 0.0, 0.0), 0.1


class Fit(NamedTuple):
    """An offset, m; its variance per axis were the pairs' variances right, and how many times more they scatter; how likely it
    is that the sensor is off at all; and the turn, rad.
    """

    pairs: float
    e_m: float
    n_m: float
    r: float
    ratio: float
    off: float
    turn: float


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The newest pair of one track: where a fix was at a look, how far off that showed it, and its variance, m².

    Args:
        since_ns: when looks began to see it elsewhere than its receiver says; 0: they do not.
    """

    track_id: str
    time_ns: int
    lat_deg: float
    lon_deg: float
    off_e_m: float
    off_n_m: float
    r: float
    since_ns: int


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one sensor's alignment.

    Args:
        lat0_deg, lon0_deg: the anchor; begun_ns: when the block that fills began.
        other: blocks in a row that agreed with nothing known.
        seen: the newest pair of each track (``knocked``).
    """

    lat0_deg: float
    lon0_deg: float
    begun_ns: int
    kept: Sums = NONE
    waits: Sums = NONE
    fills: Sums = NONE
    other: int = 0
    seen: tuple[Seen, ...] = ()

    def learnt(self, time_ns: int, lat_deg: float, lon_deg: float, off_e_m: float, off_n_m: float, r: float) -> Registration:
        """With one more pair: where a fix was at a look, how far off that showed it, and its variance, m²."""
        one = one_pair(self, lat_deg, lon_deg, off_e_m, off_n_m, r)
        if one is None:
            return self
        begun_ns, kept, waits, fills, other = self.begun_ns, self.kept, self.waits, self.fills, self.other
        if time_ns - begun_ns >= BLOCK_S * NS:
            other = other + 1 if kept[0] >= ENOUGH and waits[0] and not _agree(kept, waits) else 0
            if other >= OTHERS:
                kept, other = waits, 0
            elif not other:
                kept = sum_of(kept, waits)
            begun_ns, waits, fills = time_ns, fills, NONE
        return Registration(self.lat0_deg, self.lon0_deg, begun_ns, kept, waits, sum_of(fills, one), other, self.seen)

    def doubted(self) -> Registration:
        """Without what may be a lie, where enough is known without it."""
        return self if self.kept[0] < ENOUGH else msgspec.structs.replace(self, waits=NONE, fills=NONE)

    def offset(self, lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
        """(east, north, variance per axis) of what the sensor shows beside a place."""
        fit = self._fitted(lat_deg, lon_deg)
        return UNKNOWN if fit is None or fit.pairs < PAIRS_LEAST else (fit.e_m, fit.n_m, fit.r)

    def stands_right(self) -> bool:
        """Whether nothing that it shows is to be put right."""
        fit = self._fitted(self.lat0_deg, self.lon0_deg)
        return fit is None or fit.off < OFF_LEAST

    def foretold(self, lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
        """(east, north, variance per axis) that it is believed to show beside a place: of one that stands right none."""
        fit = self._fitted(lat_deg, lon_deg)
        return NOTHING if fit is None or fit.off < OFF_LEAST else (fit.e_m, fit.n_m, fit.ratio * fit.r)

    def shown_off(self, lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
        """(east, north, variance per axis) that what it shows at a place is put right by."""
        fit = self._fitted(lat_deg, lon_deg)
        if fit is None or fit.off < OFF_LEAST:
            return NOTHING
        off, e, n, r = fit.off, fit.e_m, fit.n_m, fit.ratio * fit.r + LASTING_M**2
        if fit.pairs < MOVES_LEAST:
            return 0.0, 0.0, off * ((e * e + n * n) / 2.0 + r)
        return off * e, off * n, off * (r + (1.0 - off) * (e * e + n * n) / 2.0)

    def _fitted(self, lat_deg: float, lon_deg: float) -> Fit | None:
        """The offset at a place; None where there is no pair, or the place is on the other side of the Earth."""
        sums = self.kept if self.kept[0] >= ENOUGH else sum_of(self.kept, sum_of(self.waits, self.fills))
        at = near_en(self.lat0_deg, self.lon0_deg, lat_deg, lon_deg)
        return None if at is None or not sums[0] else fit_of(sums, at[0] / 1e3, at[1] / 1e3)


def one_pair(known: Registration, lat_deg: float, lon_deg: float, off_e_m: float, off_n_m: float, r: float) -> Sums | None:
    """The sums of one pair; None where it is none."""
    at = near_en(known.lat0_deg, known.lon0_deg, lat_deg, lon_deg)
    if at is None or math.hypot(off_e_m, off_n_m) > FAR_M:
        return None
    e, n, w = at[0] / 1e3, at[1] / 1e3, 1.0 / r
    return (1.0, w, w * e, w * n, w * (e * e + n * n), w * off_e_m, w * off_n_m, w * (e * off_n_m - n * off_e_m),
            w * (off_e_m * off_e_m + off_n_m * off_n_m))  # fmt: skip


def fit_of(sums: Sums, e_km: float, n_km: float) -> Fit:
    """The offset at a place about the anchor, by one pair at least."""
    count, w, pe, pn, q, oe, on, turned, o2 = sums
    pe, pn, oe, on = pe / w, pn / w, oe / w, on / w  # means
    known = q - w * (pe * pe + pn * pn)
    bend = known + 1.0 / (1e3 * TURN_SIGMA) ** 2
    turned -= w * (pe * on - pn * oe)
    theta = turned / bend
    e, n = e_km - pe, n_km - pn
    size2, by_turn = oe * oe + on * on, turned * theta
    ratio = max(1.0, (o2 - w * size2 - by_turn) / max(1.0, 2.0 * count - 3.0))
    r = ratio / w + LASTING_M**2
    log = (0.5 * (size2 / r * (SLAB_M**2 / (SLAB_M**2 + r)) + by_turn / ratio) - math.log1p(SLAB_M**2 / r)
           - 0.5 * math.log(bend * (1e3 * TURN_SIGMA) ** 2) + math.log(OFF_ODDS))  # fmt: skip
    off = 1.0 / (1.0 + math.exp(-min(max(log, -50.0), 50.0)))
    return Fit(count, oe - theta * n, on + theta * e, 1.0 / w + (e * e + n * n) / bend, ratio, off, theta / 1e3)


def _agree(kept: Sums, block: Sums) -> bool:
    """Whether a block shows, in the mean, what was known before it: of a sensor that stood right, that it does."""
    w = block[1]
    fit = fit_of(kept, block[2] / w, block[3] / w)
    e, n, r = (0.0, 0.0, 0.0) if fit.off < OFF_LEAST else (fit.e_m, fit.n_m, fit.r)
    d_e, d_n = block[5] / w - e, block[6] / w - n
    return (d_e * d_e + d_n * d_n) / (fit.ratio * (r + 1.0 / w) + LASTING_M**2) < OTHER_NIS


def sum_of(a: Sums, b: Sums) -> Sums:
    return tuple(x + y for x, y in zip(a, b, strict=True))  # type: ignore[return-value]
