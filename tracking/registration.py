"""How far off a sensor's own alignment is: a radar turned by a degree or two, or some metres from where it is said to stand.

What it sees of tracks whose receivers say where they are lies beside that by one shift and one turn for all of them: an offset
that is steady, or grows with the range, long before anybody lies, and the same for every track.  What a tag makes up is new,
and its own.  Both are fitted by weighted least squares to the pairs of a fix and the first sighting after it (Bar-Shalom, Li
and Tian 2001, "Multitarget-multisensor tracking", chapter 7.4; the turn is linear, for it is small).  In complex numbers,
east + i north: offset = b + i theta p, with p the place about an anchor.

What is newer than ``BLOCK_S`` at least (and twice that at most) has no say yet, so that a lie that begins now is held against
what was known before it; where a receiver is doubted that is thrown away.
"""

from __future__ import annotations

import math

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

#: Of weighted pairs: how many; sums of 1, p (east, north; km), |p|², o (east, north; m) and of the imaginary part of p* o.
Sums = tuple[float, float, float, float, float, float, float, float]
NONE: Sums = (0.0,) * 8
#: An offset of which nothing is known.
UNKNOWN = (0.0, 0.0, UNKNOWN_M**2)


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one sensor's alignment.

    Args:
        lat0_deg, lon0_deg: the anchor; begun_ns: when the block that fills began.
    """

    lat0_deg: float
    lon0_deg: float
    begun_ns: int
    kept: Sums = NONE
    waits: Sums = NONE
    fills: Sums = NONE

    def learnt(self, time_ns: int, lat_deg: float, lon_deg: float, off_e_m: float, off_n_m: float, r: float) -> Registration:
        """With one more pair: where a fix was at a look, how far off that showed it, and its variance, m²."""
        at = near_en(self.lat0_deg, self.lon0_deg, lat_deg, lon_deg)
        if at is None or math.hypot(off_e_m, off_n_m) > FAR_M:
            return self
        e, n, w = at[0] / 1e3, at[1] / 1e3, 1.0 / r
        one = (1.0, w, w * e, w * n, w * (e * e + n * n), w * off_e_m, w * off_n_m, w * (e * off_n_m - n * off_e_m))
        begun_ns, kept, waits, fills = self.begun_ns, self.kept, self.waits, self.fills
        if time_ns - begun_ns >= BLOCK_S * NS:
            begun_ns, kept, waits, fills = time_ns, _sum(kept, waits), fills, NONE
        return Registration(self.lat0_deg, self.lon0_deg, begun_ns, kept, waits, _sum(fills, one))

    def doubted(self) -> Registration:
        """Without what may be a lie, where enough is known without it."""
        return self if self.kept[0] < ENOUGH else msgspec.structs.replace(self, waits=NONE, fills=NONE)

    def offset(self, lat_deg: float, lon_deg: float) -> tuple[float, float, float]:
        """(east, north, variance per axis) of what the sensor shows beside a place."""
        sums = self.kept if self.kept[0] >= ENOUGH else _sum(self.kept, _sum(self.waits, self.fills))
        count, w, pe, pn, q, oe, on, turned = sums
        at = near_en(self.lat0_deg, self.lon0_deg, lat_deg, lon_deg)
        if at is None or count < PAIRS_LEAST:
            return UNKNOWN
        pe, pn, oe, on = pe / w, pn / w, oe / w, on / w  # means
        bend = (q - w * (pe * pe + pn * pn)) + 1.0 / (1e3 * TURN_SIGMA) ** 2
        theta = (turned - w * (pe * on - pn * oe)) / bend
        e, n = at[0] / 1e3 - pe, at[1] / 1e3 - pn
        r = 1.0 / w + (e * e + n * n) / bend
        return oe - theta * n, on + theta * e, r


def _sum(a: Sums, b: Sums) -> Sums:
    return tuple(x + y for x, y in zip(a, b, strict=True))  # type: ignore[return-value]
