"""The way of what is seen to turn, between two of its reports and on from the newest: an arc.  Pure numbers, nothing of tracks.

Half a minute or a minute of a bend of 800 m is hundreds of metres off the straight way between its ends.
"""

from __future__ import annotations

import math

#: What is seen to turn by more than this, m/s², took a corner, and no bend; what turns by less than so many sigmas may be none.
MOST_MPS2, SIGMAS = 2.0, 3.0
#: No way turns by more between two reports, radians; and how far it is off the straight one is known to such a share of it.
ARC_MOST, KNOWN = 3.0, 0.25
#: A velocity (east, north) with its variance per axis.
Velocity = tuple[float, float, float]


def turning(before: Velocity, after: Velocity, dt_s: float) -> float:
    """How fast a way turns that has two velocities so long after each other, rad/s, to the right; 0 where it may be no bend."""
    slow, fast = sorted((math.hypot(*before[:2]), math.hypot(*after[:2])))
    if slow <= 0.0 or dt_s <= 0.0:
        return 0.0
    by = math.atan2(before[1] * after[0] - before[0] * after[1], before[1] * after[1] + before[0] * after[0])
    sure = abs(by) * slow > SIGMAS * math.sqrt(before[2] + after[2])
    return by / dt_s if sure and abs(by) / dt_s * fast <= MOST_MPS2 else 0.0


def between(e: float, n: float, share: float, by: float) -> tuple[float, float, float, float, float]:
    """A place on the way from (0, 0) to (e, n), a share of it on, where that turns by so many radians.

    Returns:
        Its (e, n), by how much they change there for the whole way, and how well it is known beside the straight one, m.
    """
    half = max(-ARC_MOST, min(by, ARC_MOST)) / 2.0
    if abs(half) < 1e-6:
        return share * e, share * n, e, n, 0.0
    long = math.sin(share * half) / math.sin(half)
    at_e, at_n = _turned(e, n, long, -half * (1.0 - share))
    off_m = KNOWN * math.hypot(at_e - share * e, at_n - share * n)
    return at_e, at_n, *_turned(e, n, half / math.sin(half), half * (2.0 * share - 1.0)), off_m


def ahead(ve: float, vn: float, s: float, ago_s: float, turns: float) -> tuple[float, float, float]:
    """(e, n) of what goes on to turn so fast, s seconds on, and how well that is known beside the straight way.

    Args:
        ve, vn: its velocity ago_s ago: that of the straight way between two reports, half of the time between them.
    """
    was, on = (max(-ARC_MOST, min(turns * t, ARC_MOST)) / 2.0 for t in (2.0 * ago_s, s))
    if not was and not on:
        return ve * s, vn * s, 0.0
    long = (was / math.sin(was) if was else 1.0) * (math.sin(on) / on if on else 1.0)
    e, n = _turned(ve * s, vn * s, long, was + on)
    return e, n, KNOWN * math.hypot(e - ve * s, n - vn * s)


def _turned(e: float, n: float, long: float, by: float) -> tuple[float, float]:
    """A vector so many times as long, turned to the right."""
    c, s = long * math.cos(by), long * math.sin(by)
    return c * e + s * n, c * n - s * e
