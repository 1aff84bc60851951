"""What has gone on over several seldom fixes: where it is until the next one, if it still does, and an ellipse for both.

The bank's motions change into each other at the pace of traffic, whatever was seen: of a lorry that has driven for six hours
and reports each hour they foretell that it stopped within minutes, and the place that they have is that of its last fix.  Of
a way of which no more is known than that it went on for so long (``on_s``) and ended so often (``breaks``), the chance that it
goes on for another t is (on / (on + t)) ** (1 + breaks): the predictive of a hazard with a gamma posterior, and for a first
way the same Jeffreys' prior as of a stay (``dwell``).  Where that is more than a half the thing is shown where it is by then
(of two places the likelier is nearer to it on average than anything between), and its ellipse holds the place of its last
fix as well: it may have stopped there at once.  Elsewhere nothing is claimed: the bank's own Gaussian stands.  Of what turned
or stopped of late, both hold it if it goes straight on and if it turned at once, to either side.  Nothing is claimed of what is
overdue, for silence and a stop have one cause; its ellipse then holds all that it can have reached (``reach``).
"""

from __future__ import annotations

import math

from tracking.core import Way
from tracking.engine import State
from tracking.kernel import HELD_NIS

#: Before so long a wait, s, the bank's own Gaussian says where it goes on to, and before so long a one where it may turn to.
GOES_S, LEAST_S = 60.0, 15.0
#: What broke its way so often, of late, is one that turns (one turn counts for four legs), and may go on as fast as this share
#: of how fast it was seen to go.
TURNS, TURNED_FAST = 0.7, 0.85


def chance(way: Way, dt_s: float) -> float:
    """That it goes on as it does for so long, as far as its past says."""
    on_s, breaks, sure = way[2], way[3], way[5]
    return float((on_s / (on_s + dt_s)) ** (1.0 + breaks)) if sure > 0.0 and on_s > 0.0 else 0.0


def goes_on(way: Way, dt_s: float, quiet_s: float) -> bool:
    """Whether it is its way that foretells where a track is, so long after its last fix, and no report is overdue."""
    return GOES_S <= dt_s <= quiet_s and chance(way, dt_s) > 0.5


def ahead(last: State, way: Way, x: State, dt_s: float) -> State:
    """The state of what goes on, with an ellipse that holds it, what the bank has, and where it was last.

    Args:
        last: at its last fix; x: the bank's one Gaussian by now.
    """
    on = chance(way, dt_s)
    ve, vn, miss2 = way[0], way[1], way[4]
    e, n = ve * dt_s, vn * dt_s
    at = (last[0] + e, ve, last[2] + n, vn)
    # The variance of the velocity, per axis.  What turns now and then is missed by nothing for long and then by all at once, so
    # each axis has the whole of the mean, not its half (30 degrees each fourth leg: 0.75 inside, now 0.85).
    v = miss2 * (ve * ve + vn * vn)
    s, c = v * dt_s * dt_s, v * dt_s
    own = (last[4] + s, c, last[6], 0.0, v, 0.0, 0.0, last[11] + s, c, v)
    d0, d1, d2, d3 = x[0] - at[0], x[1] - at[1], x[2] - at[2], x[3] - at[3]
    away = (d0 * d0, d0 * d1, d0 * d2, d0 * d3, d1 * d1, d1 * d2, d1 * d3, d2 * d2, d2 * d3, d3 * d3)
    p = [on * a + (1.0 - on) * (b + c) for a, b, c in zip(own, x[4:], away, strict=True)]
    return holding((*at, *p), e, n)


def turns(way: Way, dt_s: float, quiet_s: float) -> bool:
    """Whether it goes, is known to turn or stop on its way, and no report is overdue."""
    return LEAST_S <= dt_s <= quiet_s and way[3] >= TURNS and (way[0] != 0.0 or way[1] != 0.0)


def turned(last: State, way: Way, x: State, dt_s: float) -> State:
    """The state of what turns, with an ellipse that holds where it is if it went straight on, or turned at once to either side.

    When it turns, and how far, nobody knows.
    """
    ve, vn = turning(way)
    return any_way(last, x, ve * dt_s, vn * dt_s)


def turning(way: Way) -> tuple[float, float]:
    """How fast, and which way, what turns may go: where its speed is that of a leg, that leg may have had a turn, or a stop,
    within it, and it goes nearly as fast as it was seen to go.
    """
    faster = max(1.0, TURNED_FAST * math.sqrt(way[6]) / math.hypot(way[0], way[1]))
    return faster * way[0], faster * way[1]


def any_way(last: State, x: State, e: float, n: float) -> State:
    """The state with an ellipse that holds where it is if it went (e, n) from where it was last, or as far to either side."""
    back_e, back_n = last[0] - x[0], last[2] - x[2]
    x = holding(x, back_e + e, back_n + n)
    x = holding(x, back_e - n, back_n + e)
    return holding(x, back_e + n, back_n - e)


def holding(x: State, e: float, n: float) -> State:
    """The state with so much more variance towards a place (e, n) from it that its 90 % ellipse holds that place.

    dᵀ (P + a d dᵀ)⁻¹ d = q / (1 + a q), where q = dᵀ P⁻¹ d (Sherman, Morrison 1950).
    """
    det = x[4] * x[11] - x[6] * x[6]
    q = (x[11] * e * e - 2.0 * x[6] * e * n + x[4] * n * n) / det
    if q <= HELD_NIS:
        return x
    a = 1.0 / HELD_NIS - 1.0 / q
    return (*x[:4], x[4] + a * e * e, x[5], x[6] + a * e * n, *x[7:11], x[11] + a * n * n, *x[12:])
