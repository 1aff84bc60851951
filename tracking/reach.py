"""As far as its own speed gets it: where a thing may be that is not heard any more, whatever it did since its last fix.

The bank's motions stop, turn and start again at the pace of traffic, and their speeds decay: after an hour without a word the
Gaussian of a lorry on a motorway, of a train or an aeroplane is a part of where it may be, the smaller the longer that lasts.
What is known of it is how fast it goes: it was seen to.  So the ellipse of what is overdue holds the places that it has reached
by now if it went on as fast as it was seen to go of late, straight on and turned at once to either side; what stood when it was
heard last, and was seen to go before, may have left at any moment since, any way.  Whether it keeps to what it did (a round in
town, the ferry's crossing) nobody knows once it is silent for longer than a twentieth of the time for which that was seen.
"""

from __future__ import annotations

import math

import msgspec

from birddog.model import Track
from birddog.units import CHI2_95_2D
from tracking.core import Way
from tracking.engine import State
from tracking.kernel import going, reach_m
from tracking.onward import GOES_S, any_way, holding

#: Nothing is further away than half the way round the Earth, m: the variance with a 95 % ellipse of that.
FARTHEST_M2 = 20_003_931.0**2 / CHI2_95_2D


def on_earth(row: Track) -> Track:
    """A row whose ellipse is no larger than the Earth: what was last heard years ago is anywhere."""
    p_ee, p_en, p_nn = row.p_ee, row.p_en, row.p_nn
    if p_ee <= FARTHEST_M2 and p_nn <= FARTHEST_M2:
        return row
    mean, half = 0.5 * (p_ee + p_nn), 0.5 * math.hypot(p_ee - p_nn, 2.0 * p_en)
    c, s = (0.5 * (p_ee - p_nn) / half, p_en / half) if half > 0.0 else (1.0, 0.0)
    most, least = min(mean + half, FARTHEST_M2), min(max(mean - half, 0.0), FARTHEST_M2)
    mean, half = 0.5 * (most + least), 0.5 * (most - least)
    return msgspec.structs.replace(row, p_ee=mean + half * c, p_en=half * s, p_nn=mean - half * c)


def known2(x: State) -> float:
    """The square of a filter's speed, less its variance."""
    return x[1] * x[1] + x[3] * x[3] - x[8] - x[13]


def leaves(way: Way, dt_s: float, quiet_s: float) -> bool:
    """Whether what stood when it was heard last, for a shorter time than was waited since, may have left by now.

    What stood for longer is ``dwell``'s, which is asked before, and what is overdue is told of below.
    """
    return GOES_S <= dt_s <= quiet_s and way[0] == 0.0 and way[1] == 0.0 and way[6] > 0.0


def reached(last: State, way: Way, x: State, stood_s: float, dt_s: float) -> State:
    """The state with an ellipse that holds all places that it can have reached since its last fix.

    Args:
        last: at its last fix; x: as it is without.
        stood_s: how long it had stood by then.
    """
    ve, vn, fast = at_most(last, way)
    goes = math.sqrt(ve * ve + vn * vn)
    if goes > 0.0:
        far = fast * dt_s / goes
        return any_way(last, x, far * ve, far * vn)
    far = reach_m(fast, stood_s, dt_s)
    return holding(any_way(last, x, far, 0.0), last[0] - x[0] - far, last[2] - x[2]) if far > 0.0 else x


def at_most(last: State, way: Way) -> tuple[float, float, float]:
    """How fast it went at its last fix, and which way ((0, 0): it stood, or nobody knows), and how fast it may go, m/s."""
    ve, vn = going(way[0], way[1], way[5], last[1], last[3], known2(last))
    return ve, vn, max(math.sqrt(way[6]), math.sqrt(ve * ve + vn * vn))
