"""What has long stood where it is, until it is heard again: a region that holds it with 95 %, not all that it might do.

The bank's motions change into each other at the pace of traffic, whatever was seen: what stood for ten days goes off within
the hour with a chance of a seventh, and the one Gaussian of "stands" and "left at any speed" has an ellipse of 25 km by then.
Of a stay of which no more is known than that it has lasted for T, the chance that it lasts for another t is T / (T + t): the
predictive of a memoryless stay with Jeffreys' prior for its rate (Gott 1993 has it from the Copernican argument).  The region
is the disc that holds 95 % of the mixture: where the stay alone has so much it is the place, and else more, by what is missing.
"""

from __future__ import annotations

import math

from birddog.units import CHI2_95_2D, NS
from tracking.engine import State
from tracking.motion import Bank, Motion

#: Before so long a wait, s, the bank's own Gaussian says it; and what happens between two reports that are further apart than
#: this, s, nobody sees: it may have been away and come back.
LEAST_S, MOST_S = 60.0, 14_400.0
_HOLDS = 0.95


def stays(since_ns: int | None, first_ns: int, updated_ns: int, dt_s: float, quiet_s: float) -> bool:
    """Whether it is the stay that foretells where a track is: it has lasted for longer than was waited since, and no report
    is overdue.

    Args:
        since_ns: when it last left a place; first_ns: when it was first heard; updated_ns: when last.
    """
    began_ns = first_ns if since_ns is None else since_ns
    return LEAST_S <= dt_s <= min(quiet_s, MOST_S) and (updated_ns - began_ns) / NS >= dt_s


def settled(bank: Bank, motion: Motion, x: State, stood_s: float, dt_s: float, fast2: float) -> State:
    """The state about the place where something stands, with the ellipse of the disc that holds it with 95 %.

    Args:
        bank: after the wait; x: its one Gaussian.
        stood_s: so long it was seen to stand; dt_s: so long ago it was heard.
        fast2: the square of how fast it was seen to go: what left goes on so, since any moment alike.
    """
    # of a place anywhere within a circle that has grown since then, per axis
    least_gone = fast2 * dt_s * dt_s / 6.0
    parts = [
        (mu, mode.parked, (one[4] + one[11] + (one[0] - x[0]) ** 2 + (one[2] - x[2]) ** 2) / 2.0)
        for mu, one, mode in zip(bank.mu, bank.x, motion.modes, strict=True) if one is not None
    ]  # fmt: skip
    still, gone = sum(mu for mu, parked, _ in parts if parked), sum(mu for mu, parked, _ in parts if not parked)
    if still == 0.0 or gone == 0.0:
        return x
    lasts = max(stood_s / (stood_s + dt_s), still / (still + gone))
    parts = [
        (mu * lasts / still, parked, r) if parked else (mu * (1.0 - lasts) / gone, parked, max(r, least_gone))
        for mu, parked, r in parts
    ]
    least = min(r for _, parked, r in parts if parked)
    low, high = CHI2_95_2D * least, CHI2_95_2D * max(r for _, _, r in parts)  # of the squared radius
    if _inside(parts, 1.2 * low) >= _HOLDS:  # as nearly always: the place alone has it
        high = low
    for _ in range(24 if high > low else 0):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _inside(parts, middle) < _HOLDS else (low, middle)
    k = math.sqrt(high / CHI2_95_2D / ((x[4] + x[11]) / 2.0))
    if k >= 1.0 and fast2 == 0.0:
        return x
    return (*x[:4], k * k * x[4], k * x[5], k * k * x[6], k * x[7], x[8], k * x[9], x[10], k * k * x[11], k * x[12], x[13])


def _inside(parts: list[tuple[float, bool, float]], radius2: float) -> float:
    """The share of the mixture within a squared radius of its place."""
    return sum(-mu * math.expm1(-radius2 / (2.0 * r)) for mu, _, r in parts)
