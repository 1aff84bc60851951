"""What has just set off after a lasting stay: where it is until its next used fix.

Between the last fix where it stood and the first one elsewhere it left at a moment that nobody saw, so its speed is at least
that of the leg and perhaps many times that: leg / (dt u), u any share of the interval.  The bank's motions take the leg for a
way of the whole interval; the ellipse lay behind what had gone.  Here the moment is any, alike; the speed that it goes at has a
log-uniform density up to that of a road (which makes u uniform, but for the time that it takes to get going), and how long a
journey lasts likewise, from a minute to a day: so it may have stopped already, and may stop at any time.  The point is the
median of all that along its course; the ellipse holds the place of the fix, the far end, and a turn at once to either side.
"""

from __future__ import annotations

import math

from tracking.core import Way
from tracking.engine import State
from tracking.kernel import LEG_MISS2
from tracking.onward import any_way, holding

#: Nothing on a road goes faster, m/s, and what has gone faster flies: nothing that carries goods does so faster than this.
ROAD_MPS, AIR_MPS = 40.0, 270.0
#: It gets going by so much, m/s².
STARTS_MPS2 = 1.0
#: A journey after a lasting stay lasts as long, s.
JOURNEY_S = (60.0, 86_400.0)
#: The ellipse holds so much of the speeds at which it may go on, and of those at which it may have turned at once.
FAR, TURNS = 0.97, 0.75
#: Speeds of what cruises at its first fix elsewhere, and of what is still getting faster.
CRUISES, STARTS = 24, 4

#: Its weight, for how long it had gone by the fix, how fast it went then, and how fast it goes in the end.
_Part = tuple[float, float, float, float]


def sets_off(way: Way) -> bool:
    """Whether the last used fix is the first one away from where it long stood, and said no speed (``kernel.gone_on``)."""
    return way[5] < 0.0


def ahead(last: State, way: Way, dt_s: float) -> State:
    """The state so long after the fix.

    Args:
        last: at the fix.
    """
    parts = _parts(way)
    mean_mps = math.hypot(way[0], way[1])
    c, s = way[0] / mean_mps, way[1] / mean_mps
    leg_s = -way[5]
    ends = sum(w * max(leg_s - tau, 0.0) / tau for w, tau, _, _ in parts if tau > JOURNEY_S[0])
    goes = [(w * _lasts(tau), tau, v0, v) for w, tau, v0, v in parts]
    total = ends + sum(w for w, *_ in goes)
    far = sorted((_gone(v0, v, dt_s), w, tau) for w, tau, v0, v in goes)
    still = [(v, w * _lasts(tau + dt_s) / _lasts(tau)) for w, tau, _, v in goes]
    at_m, v_mps = _median_way(far, total, dt_s), _median(still, total)
    most_m = _quantile(far, FAR)
    v2 = sum(w * (v - v_mps) ** 2 for v, w in still) / total + (1.0 - sum(w for _, w in still) / total) * v_mps**2
    side2 = LEG_MISS2 * (v_mps**2 + v2)
    along, across = dt_s * dt_s * v2, dt_s * dt_s * side2
    ee, en, nn = c * c * v2 + s * s * side2, c * s * (v2 - side2), s * s * v2 + c * c * side2
    x: State = (
        last[0] + c * at_m, c * v_mps, last[2] + s * at_m, s * v_mps,
        last[4] + c * c * along + s * s * across, dt_s * ee, last[6] + c * s * (along - across), dt_s * en,
        ee, dt_s * en, en, last[11] + s * s * along + c * c * across, dt_s * nn, nn,
    )  # fmt: skip
    x = holding(x, -c * at_m, -s * at_m)
    x = holding(x, c * (most_m - at_m), s * (most_m - at_m))
    turned_m = _quantile(far, TURNS)
    return any_way(last, x, c * turned_m, s * turned_m)


def _parts(way: Way) -> list[_Part]:
    """What may be, given how far it went: the moment when it left and the speed that it goes at."""
    mean_mps, leg_s = math.hypot(way[0], way[1]), -way[5]
    # no faster than a road allows, or than it went before; what goes as fast may fly
    leg_m, most_mps = mean_mps * leg_s, max(ROAD_MPS, math.sqrt(way[6])) if mean_mps < 0.9 * ROAD_MPS else AIR_MPS
    a = STARTS_MPS2
    least2 = 2.0 * leg_m / a  # of its time under way, squared
    if leg_s * leg_s <= least2 or leg_m / most_mps + most_mps / (2.0 * a) >= leg_s:
        # it got going sooner than that
        first = leg_m / most_mps
        return [(1.0, tau, leg_m / tau, leg_m / tau)
                for tau in (first + (leg_s - first) * (k + 0.5) / CRUISES for k in range(CRUISES))]  # fmt: skip
    out: list[_Part] = []
    r0, r1 = 0.0, math.sqrt(leg_s * leg_s - least2)
    speed = math.sqrt(2.0 * leg_m * a)
    if speed < most_mps:
        for k in range(STARTS):
            w = math.log(most_mps / speed) / speed / STARTS
            out.append((w, speed / a, speed, speed * (most_mps / speed) ** ((k + 0.5) / STARTS)))
    else:
        r0 = leg_m / most_mps - most_mps / (2.0 * a)
    for k in range(CRUISES):
        r = r0 + (r1 - r0) * (k + 0.5) / CRUISES  # for how long it has cruised
        tau = math.sqrt(least2 + r * r)
        v = a * (tau - r)
        out.append(((r1 - r0) / CRUISES / (v * tau), tau, v, v))
    return out


def _lasts(tau_s: float) -> float:
    """That a journey lasts so long, but for a factor."""
    least, most = JOURNEY_S
    return math.log(most / min(max(tau_s, least), 0.99 * most))


def _gone(v0: float, v: float, dt_s: float) -> float:
    """How far it is from the fix if it goes on, at v0 first and then faster."""
    faster_s = (v - v0) / STARTS_MPS2
    if dt_s >= faster_s:
        return v * dt_s - 0.5 * (v - v0) * faster_s
    return v0 * dt_s + 0.5 * STARTS_MPS2 * dt_s * dt_s


def _median(of: list[tuple[float, float]], total: float) -> float:
    """The median of values with weights; what is missing of the total is 0."""
    left = total / 2.0
    for value, w in sorted(of, reverse=True):
        left -= w
        if left <= 0.0:
            return value
    return 0.0


def _median_way(far: list[tuple[float, float, float]], total: float, dt_s: float) -> float:
    """The median of how far it is from the fix, which it may have stopped before."""
    low, high = 0.0, far[-1][0]
    for _ in range(16):
        at = (low + high) / 2.0
        beyond = sum(w * _lasts(tau + dt_s * at / most) / _lasts(tau) for most, w, tau in far if most > at)
        low, high = (at, high) if beyond > total / 2.0 else (low, at)
    return low


def _quantile(far: list[tuple[float, float, float]], share: float) -> float:
    """How far a share of what goes on is at most."""
    left = (1.0 - share) * sum(w for _, w, _ in far)
    for most, w, _ in reversed(far):
        left -= w
        if left <= 0.0:
            return most
    return far[0][0]
