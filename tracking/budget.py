"""The alert budget: so many false alarms a shift, and what that asks of each rule that decides by chance.

``[alerts] false_per_shift`` = B is what a desk bears in a shift of T seconds.  It is shared before anything happens, so that
nothing in one case changes the alerts of another: each operation has B / (cases + 1), ``open`` one part and each of so many
cases one; within an operation each statistical rule that has anything to judge has the same part b, and within a rule each of
the n tracks (n is the next power of two, so that one track more changes nothing).  A rule's false alarms per shift are a
function of its threshold, by what it sees when all is well; the threshold is where that is b.

=========  ================================================  ========================================  =====================
rule       when all is well                                  false alarms per shift                    threshold
=========  ================================================  ========================================  =====================
silent     each message is lost by itself, with the          n (T / interval) (1 - p) p^m: m in a row  m, told half an
           device's own share p: (1 + lost) / (20 + all)                                               interval after it
drift      two receivers whose errors last for minutes       n RATE exp(-h / SCALE), measured          h of the CUSUM
           (new 4 m, lasting 5 m over 300 s), lost and        (benchmarks/calm_week.py --pairs)
           false fixes among them
parted     NIS of a read, chi-square of 2                    n (T / window) exp(-g / 2)                g, not under the gate
arrived,   the distance to an edge, normal, a new one as     n zones (T / LASTS_S) Q(z)^k, k = 1 +     z standard deviations
left       often as a receiver's error takes another value   dwell / LASTS_S in a row
dark       a clutter's score reaches s with at most          N exp(-s), N false sightings a shift, as  s, not under that of
vessel     exp(-s) (Ville 1939; Wald 1945)                   the looks so far had them                 a confirmed contact
dark flag  a false flag's rarity (``imagery.tail``) reaches  N exp(-s), N false flags a shift, by the  s
           s with a chance of exp(-s)                        detectors' own rates in the scenes so far
=========  ================================================  ========================================  =====================

All are worst cases: every track stands at an edge, is read all the time.  Rules that must speak whatever it costs have no part
in it: three of five fixes refused (with one false in a hundred 6e-6 a fix), and what is stated and not estimated: a door, a
tamper, an alarm.  Without B each rule keeps the threshold that stands with it.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated

import msgspec

#: Of a device of which nothing is known yet one message of twenty is lost; never more than so many of all are believed to be.
LOST, OF, LOST_MOST = 1.0, 20.0, 0.8
#: So many messages in a row at least, and at most, are missed before a silence is told.
MISSED_LEAST, MISSED_MOST = 2, 60
#: Drifts of a pair that is well in eight hours: RATE exp(-h / SCALE); h within these.
RATE, SCALE, DRIFT_LEAST, DRIFT_MOST = 1.5, 12.0, 20.0, 400.0
#: The gate of a read, the standard deviations of an edge and the score of a contact stay within these.
GATE_MOST, EDGE_LEAST, EDGE_MOST, SCORE_MOST = 60.0, 1.0, 6.0, 8.0
#: For so long a receiver's error is the same, s.
LASTS_S = 300.0


class AlertBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``.

    Args:
        false_per_shift: false alarms that a shift may have, all operations together, one in a thousand years at least; absent:
            each rule keeps its threshold.
        shift_h: how long a shift is.
        cases: so many cases at once it is shared among, beside ``open``.
    """

    false_per_shift: Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)] | None = None
    shift_h: Annotated[float, msgspec.Meta(gt=0.0, le=168.0)] = 8.0
    cases: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3

    @property
    def shift_s(self) -> float:
        """A shift, s."""
        return self.shift_h * 3600.0

    def share(self, rules: int) -> float | None:
        """The part of one rule of one operation in which so many rules judge; None: nothing was asked."""
        return None if self.false_per_shift is None else self.false_per_shift / (self.cases + 1) / rules


class Allowed(msgspec.Struct, frozen=True):
    """What one operation's rules are allowed: ``share`` false alarms a shift each, among so many ``tracks``."""

    share: float
    shift_s: float
    tracks: int

    def silent_factor(self, every_s: float, lost: int, messages: int) -> float:
        """After how many intervals without a message a device is silent."""
        return missed(self.share / self.tracks, self.shift_s / every_s, lost_share(lost, messages)) + 0.5

    def drift_alarm(self) -> float:
        """The CUSUM at which two receivers drift apart."""
        wanted = SCALE * math.log(max(self.tracks * RATE * self.shift_s / 28_800.0 / self.share, 1.0))
        return min(max(wanted, DRIFT_LEAST), DRIFT_MOST)

    def read_gate(self, window_s: float, gate: float) -> float:
        """The NIS from which a read away from its track is a parting."""
        return min(max(2.0 * math.log(max(self.tracks * self.shift_s / window_s / self.share, 1.0)), gate), GATE_MOST)

    def edge_sigmas(self, zones: int, dwell_s: float) -> float:
        """How many standard deviations inside an edge are inside."""
        chances, run = self.tracks * max(zones, 1) * self.shift_s / LASTS_S, 1 + int(dwell_s / LASTS_S)
        tail = min((self.share / chances) ** (1.0 / run), 0.5)
        return min(max(-NormalDist().inv_cdf(tail), EDGE_LEAST), EDGE_MOST)

    def dark_score(self, false_sightings: float, least: float) -> float:
        """The score from which a contact near which nothing reports is told of; ``false_sightings`` are those of a shift."""
        return max(min(math.log(max(false_sightings / self.share, 1.0)), SCORE_MOST), least)


def lost_share(lost: int, messages: int) -> float:
    """The share of a device's messages that are lost, known as well as so many messages tell (mean of a beta posterior).

    Of the messages the next lower power of two counts: with each one more nothing changes.
    """
    known = 1 << (messages.bit_length() - 1) if messages > 0 else 0
    return min((LOST + lost) / (OF + known + lost), LOST_MOST)


def missed(share: float, messages: float, lost: float) -> int:
    """How many messages in a row a device may miss that sends so many in a shift, for ``share`` false silences in it."""
    chances = messages * (1.0 - lost)
    return min(max(math.ceil(math.log(max(chances / share, 1.0)) / -math.log(lost)), MISSED_LEAST), MISSED_MOST)


def rounded(tracks: int) -> int:
    """The next power of two."""
    return 1 << max(tracks - 1, 0).bit_length()
