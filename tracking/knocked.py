"""Whether what looks say against several receivers at once is the sensor's own doing: somebody knocked its mast.

A lie is one tag's.  A radar that is turned or moved shows all that it sees beside where it was, from one moment on, by one
shift and one turn (``registration``).  So the newest pair of a fix and a sighting of each track is kept; when these
disagree with what was known of the sensor, it is asked whether one shift and turn explains all of them better: as much
evidence must stand for that without the one track that says most for it, for that one may lie.  Then nobody is doubted any
more of those whom it explains, and the sensor is learnt anew from those pairs.

With one tag alone the two are the same evidence, and so are one knock and several tags that are led astray by one shift.
"""

from __future__ import annotations

import math

import msgspec

from birddog.units import NS
from tracking.anchor import near_en
from tracking.registration import FAR_M, LASTING_M, TURN_SIGMA, Registration, Seen, Sums, fit_of, one_pair, sum_of

#: A pair is kept for so long, s.
KEPT_S = 60.0
#: A pair says no more than this (NIS, 2 degrees of freedom); one over OTHER_NIS is not explained.
MOST_NIS, OTHER_NIS = 13.8, 9.2
#: So much evidence (natural logarithm) must stand for a knock, beside the track that says most for it.
BESIDE_ONE = 4.0
#: Of the tracks so many must be explained.
MOST_OF = 0.75


def asked(known: Registration, pairs: list[Seen], time_ns: int) -> tuple[Registration, frozenset[str]]:
    """What is known of a sensor's alignment after a look's pairs, and the tracks that a knock explains: none without one."""
    newest = {one.track_id: one for one in known.seen if time_ns - one.time_ns <= KEPT_S * NS}
    for one in pairs:
        newest.pop(one.track_id, None)
        newest[one.track_id] = one
    known = msgspec.structs.replace(known, seen=tuple(newest.values()))
    return _moved(known, time_ns) or (known, frozenset())


def _moved(known: Registration, time_ns: int) -> tuple[Registration, frozenset[str]] | None:
    """What is known of a sensor that was knocked, and the tracks that this explains; None where it was not."""
    apart = [one.since_ns for one in known.seen if one.since_ns]
    if not apart:
        return None
    seen = [one for one in known.seen if one.time_ns >= min(apart)]
    if len(seen) < 2 or (len(seen) == 2 and not (seen[0].since_ns and seen[1].since_ns)):  # of two the other may be clutter
        return None
    before = [_nis(one, *known.foretold(one.lat_deg, one.lon_deg)) for one in seen]
    if max(before, default=0.0) <= OTHER_NIS:
        return None
    total: Sums | None = None
    for one in seen:
        pair = one_pair(known, one.lat_deg, one.lon_deg, one.off_e_m, one.off_n_m, one.r)
        if pair is None:
            return None
        total = pair if total is None else sum_of(total, pair)
    assert total is not None
    after = []
    for one in seen:
        at = near_en(known.lat0_deg, known.lon0_deg, one.lat_deg, one.lon_deg)
        assert at is not None
        fit = fit_of(total, at[0] / 1e3, at[1] / 1e3)
        if math.hypot(fit.e_m, fit.n_m) > FAR_M or abs(fit.turn) > 3.0 * TURN_SIGMA:
            return None
        after.append(_nis(one, fit.e_m, fit.n_m, 0.0))
    gains = sorted((min(old, MOST_NIS) - min(new, MOST_NIS)) / 2.0 for old, new in zip(before, after, strict=True))
    explained = frozenset(one.track_id for one, nis in zip(seen, after, strict=True) if nis <= OTHER_NIS)
    if sum(gains[:-1]) < BESIDE_ONE or len(explained) < max(2.0, MOST_OF * len(seen)):
        return None
    return Registration(known.lat0_deg, known.lon0_deg, time_ns, fills=total), explained


def _nis(one: Seen, e_m: float, n_m: float, r: float) -> float:
    d_e, d_n = one.off_e_m - e_m, one.off_n_m - n_m
    return (d_e * d_e + d_n * d_n) / (one.r + r + LASTING_M**2)
