"""Whether the speed and course that a receiver states are those at which its own places go on.

A leg's way by the velocities that it stated on it (the trapezoidal rule) is held against the way between the places at its
ends: where one unit is taken for another, firmware halves, or a course is stuck or reversed, one is longer than the other by
the same share, or off to the same side, again and again.  Of each leg the log-likelihood ratios of "too short", "too long" and
"aside" against "right" are added up (CUSUM: Page 1954); a leg counts for CAP at most, so that one false fix says nothing.  Nor
does what may be right: what speeds up or slows down between two reports (FASTER_MPS2, SLOWER_MPS2), stops or goes round unseen
(ROUND_MPS2); and places that go to and fro are no way.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from birddog.geo import DEGREE_M
from birddog.units import NS
from tracking.measurement import Measurement

#: A leg is so long at least, s; over a longer silence nobody knows the way.
LEG_NS, LONG_NS = 5 * NS, 120 * NS
#: Slower than this, m/s, by both, a leg says nothing; nor one that turned so far that its mean velocity is less of its speed.
GOING_MPS, TURNED = 3.0, 0.8
#: What rounding, lag and bends make of a leg, as a share of it, and m/s of a clock, lag or wobble: no finding.
SHARE, ASIDE, CLOCK_S, WOBBLE_MPS, LAG_S = 0.175, 0.3, 0.7, 0.7, 1.5
#: Between two reports of one velocity it may speed up and slow down by so much; stop, or go round a whole circle.
FASTER_MPS2, SLOWER_MPS2, ROUND_MPS2 = 1.2, 1.8, 4.0
#: What got so much of its stated way on did not go round, of reports 30 s apart or less; of longer ones more, for each s, to so
#: much; and so far at most it lags behind its stated way, where it did not, and where it did, as a share.
ON, ON_S, ON_MOST, WOUND, STRAYED = 0.4, 0.012, 0.75, 0.5, 1.3
#: No leg is known better than to so much of it, nor worse; where no more is allowed, one that is right says so, and where it is
#: off by no more than AGREES in any case.
LEAST, MOST, SURE, AGREES = 0.2, 0.4, 0.3, 0.1
#: A leg counts for so much at most, and against it, or where it was slow; from where on they are not used, and it is told.
CAP, AGAINST, SLOW, UNSURE, ALARM = 2.0, 6.0, 0.5, 3.5, 13.0


class Speeds(msgspec.Struct, gc=False):
    """What is known of a receiver's stated velocities.

    Args:
        begun: the fix at which this leg began; None after a fix that says nothing.
        e_m, n_m, way_m: by its velocities since; squares: of the seconds between its reports.
        short, long, starboard, port: how surely its places go further than it says, less far, and to a side.
        was_e_m, was_n_m: the leg before, where that said something.
        sure: the greatest of those; from UNSURE on they are not used, for now; from ALARM on that is told.
        told: that they are wrong.
    """

    begun: Measurement | None = None
    e_m: float = 0.0
    n_m: float = 0.0
    way_m: float = 0.0
    squares: float = 0.0
    short: float = 0.0
    long: float = 0.0
    starboard: float = 0.0
    port: float = 0.0
    sure: float = 0.0
    was_e_m: float = 0.0
    was_n_m: float = 0.0
    told: bool = False


class Leg(NamedTuple):
    """A leg as the velocities say and as the places do, east and north, m, and how long it took, s."""

    says_e: float
    says_n: float
    goes_e: float
    goes_n: float
    long_s: float

    def text(self) -> str:
        """The evidence."""
        says, goes = math.hypot(self.says_e, self.says_n), math.hypot(self.goes_e, self.goes_n)
        along = (self.says_e * self.goes_e + self.says_n * self.goes_n) / max(says * goes, 1e-9)
        if along < 0.7 and goes > 0.5 * says:
            return f"says that it goes {_way(self.says_e, self.says_n)}, its places go {_way(self.goes_e, self.goes_n)}"
        return f"says {says / self.long_s:.0f} m/s, its places say {goes / self.long_s:.0f} m/s"


def heard(speeds: Speeds, last: Measurement, m: Measurement) -> Leg | None:
    """Take in a receiver's next fix after its last one, which was used; the leg that ends with it, where that says anything."""
    ve, vn, we, wn, begun = m.ve_mps, m.vn_mps, last.ve_mps, last.vn_mps, speeds.begun
    if begun is None or ve is None or vn is None or we is None or wn is None or m.time_ns - last.time_ns > LONG_NS:
        begins(speeds, m)
        return None
    dt_s = (m.time_ns - last.time_ns) / NS
    speeds.e_m += 0.5 * dt_s * (ve + we)
    speeds.n_m += 0.5 * dt_s * (vn + wn)
    speeds.way_m += 0.5 * dt_s * (math.sqrt(ve * ve + vn * vn) + math.sqrt(we * we + wn * wn))
    speeds.squares += dt_s * dt_s
    if m.time_ns - begun.time_ns < LEG_NS:
        return None
    leg = _leg(speeds, begun, m)
    begins(speeds, m)
    return leg


def begins(speeds: Speeds, m: Measurement | None) -> None:
    """A leg begins at a fix, or with the next."""
    speeds.begun = m if m is not None and m.ve_mps is not None else None
    speeds.e_m = speeds.n_m = speeds.way_m = speeds.squares = 0.0


def _leg(speeds: Speeds, begun: Measurement, m: Measurement) -> Leg | None:
    """What a whole leg says."""
    says_e, says_n, dt_s = speeds.e_m, speeds.n_m, (m.time_ns - begun.time_ns) / NS
    n = (m.lat_deg - begun.lat_deg) * DEGREE_M
    e = ((m.lon_deg - begun.lon_deg + 180.0) % 360.0 - 180.0) * DEGREE_M * math.cos(math.radians(m.lat_deg))
    says, goes = math.sqrt(says_e * says_e + says_n * says_n), math.sqrt(e * e + n * n)
    most = max(says, goes)
    if says < dt_s or says < TURNED * speeds.way_m:
        return None
    on, aside = (e * says_e + n * says_n) / says - says, (e * says_n - n * says_e) / says
    right, calm = SHARE * most, speeds.sure <= 0.0 and not speeds.told
    if calm and abs(on) <= right and abs(aside) <= right:
        return None  # nearly all
    if most < GOING_MPS * dt_s:
        if not speeds.told:
            _add(speeds, -SLOW, -SLOW, -SLOW, -SLOW, 0.0)
        return None
    assert begun.ve_mps is not None and begun.vn_mps is not None and m.ve_mps is not None and m.vn_mps is not None
    turn_mps, each_s = math.hypot(m.ve_mps - begun.ve_mps, m.vn_mps - begun.vn_mps), speeds.squares / dt_s
    faster = 0.25 * FASTER_MPS2 * speeds.squares
    if goes > min(ON_MOST, ON + ON_S * max(0.0, each_s - 30.0)) * speeds.way_m:
        slower = min(0.25 * SLOWER_MPS2 * speeds.squares, WOUND * most)
    else:
        slower = min(0.25 * ROUND_MPS2 * speeds.squares, STRAYED * most)
    r = (begun.r_ee + begun.r_nn + m.r_ee + m.r_nn) / 2.0 + min(max(faster, LEAST * most), MOST * most) ** 2
    r += (turn_mps * (0.25 * each_s + LAG_S)) ** 2 + (CLOCK_S * most / dt_s) ** 2 + (WOBBLE_MPS * dt_s) ** 2
    further, less = max(right, faster), max(right, slower)
    beside = max(ASIDE * most, slower) + turn_mps * (0.5 * each_s + LAG_S)  # a course that lags is behind all round a circle
    short, long = _ratio(on, further, r), _ratio(-on, less, r)
    starboard, port = _ratio(aside, beside, r), _ratio(-aside, beside, r)
    leg = Leg(says_e, says_n, e, n, dt_s)
    if speeds.told:
        wrong = max(short, long, starboard, port)
        agrees = max(further, less) <= SURE * most or max(abs(on), abs(aside)) <= AGREES * most
        if wrong > 0.0 or agrees:  # else it says nothing, right or wrong
            speeds.short = speeds.sure = min(ALARM, max(0.0, speeds.sure + max(-CAP, min(CAP, wrong))))
            speeds.long = speeds.starboard = speeds.port = 0.0
        return leg
    # places that go to and fro are none that go on, unless it says that it goes much further
    way = e * speeds.was_e_m + n * speeds.was_n_m > 0.5 * goes * math.hypot(speeds.was_e_m, speeds.was_n_m)
    _add(speeds, short, long, starboard, port, CAP if calm or way or says > 3.0 * goes else 0.0)
    speeds.was_e_m, speeds.was_n_m = (e, n) if speeds.sure > 0.0 else (0.0, 0.0)
    return leg


def _ratio(off_m: float, allowed_m: float, r: float) -> float:
    """The log-likelihood ratio of what is twice as far off as is allowed, against what is not off."""
    return 2.0 * allowed_m * (off_m - allowed_m) / r


def _add(speeds: Speeds, short: float, long: float, starboard: float, port: float, most: float) -> None:
    """What one leg says, each no more than ``most``."""
    speeds.short = max(0.0, speeds.short + max(-AGAINST, min(most, short)))
    speeds.long = max(0.0, speeds.long + max(-AGAINST, min(most, long)))
    speeds.starboard = max(0.0, speeds.starboard + max(-AGAINST, min(most, starboard)))
    speeds.port = max(0.0, speeds.port + max(-AGAINST, min(most, port)))
    speeds.sure = max(speeds.short, speeds.long, speeds.starboard, speeds.port)


def _way(e: float, n: float) -> str:
    """Of eight."""
    names = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
    return names[round(math.degrees(math.atan2(e, n)) / 45.0) % 8]
