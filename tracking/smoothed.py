"""Where a track was, by all that was ever measured of it: its smoothed history.

Live, a fix that is older than the ring of late data moves nothing: what went on after it was told long ago.  The history has
room for it.  A ``Record`` goes along with a fold and notes of each identified track all that reached it, in time, late or too
late; ``history`` puts that in order of its own time, lets the same filter judge each as if it had come in so, and smooths what
it used (``locate``: each position by all fixes, also those after it).  So the order of arrival plays no part in it.

A position is given for the times at which something was measured and for no other: of no time that no warrant covers.
"""

from __future__ import annotations

import math

import msgspec

from birddog.model import Track
from birddog.units import NS
from tracking.book import Changes
from tracking.decided import is_false
from tracking.fold import Fold
from tracking.locate import Answer, PastFix, Question, locate
from tracking.measurement import Measurement
from tracking.step import Model
from tracking.track_state import LiveTrack, TrackState, in_order


class Past(msgspec.Struct, frozen=True):
    """Where a track was at a time at which something was measured, by all that is known of it.

    Args:
        answer: (x, y) is (lon_deg, lat_deg); e_m, n_m about the first of its history.
        late: it came in after the window of late data, and moved nothing when it did.
    """

    time_ns: int
    origin: str
    device: str
    late: bool
    answer: Answer


class Record:
    """Notes what is measured of the tracks of a fold: ``after`` each of its entries.

    Args:
        only: the one track that is asked for; None: all.
    """

    def __init__(self, fold: Fold, only: str | None = None):
        self.fold, self.only = fold, only
        self._lives: dict[str, LiveTrack] = {}
        self._models: dict[str, Model] = {}
        #: The newest row of each.
        self.rows: dict[str, Track] = {}

    def after(self, changes: Changes) -> None:
        """The fold has just taken in an entry."""
        for row in changes.tracks:
            if self.only in (None, row.track_id):
                self.rows[row.track_id] = row
        for point in changes.points:
            self._noted(point.track_id)

    def _noted(self, track_id: str) -> None:
        """What was measured of a track is noted from its first measurement on."""
        if self.only not in (None, track_id):
            return
        live = self.fold.live(track_id)
        if live is not None:
            self._lives[track_id] = live
            self._models[track_id] = self.fold.model(live)
            if live.left is None:
                live.left = []

    def tracks(self) -> list[str]:
        """The identified tracks of which something was measured, in the order in which they began."""
        return list(self._lives)

    def history(self, track_id: str) -> list[Past]:
        """Where it was, oldest first; a time at which several things were measured is there once."""
        live, model = self._lives[track_id], self._models[track_id]
        noted = live.left or []
        measured = [*noted, *((m, None) for m in live.state.ring)]
        late = {m.key for m, verdict in noted if verdict is None}
        used = judged([m for m, _ in measured if not is_false(live, m)], live.state, model)
        of_time = {m.time_ns: m for m in reversed(used)}
        questions = [Question(track_id, time_ns) for time_ns in sorted(of_time)]
        answers = locate([_fix(track_id, live.state.klass, m) for m in used], questions, mode="smoothed", geodetic=True)
        return [
            Past(time_ns, m.origin, m.device, m.key in late, answer)
            for (time_ns, m), answer in zip(sorted(of_time.items()), answers, strict=True) if answer is not None
        ]  # fmt: skip


def judged(measured: list[Measurement], of: TrackState, model: Model) -> list[Measurement]:
    """The measurements that a track believes, of all that there ever were, if each comes in at its own time."""
    again = LiveTrack(TrackState(track_id=of.track_id, operation=of.operation, klass=of.klass))
    again.left, long_ns = [], int(model.presets.reinit_s * NS)
    for m in sorted(measured, key=in_order):
        ring = again.state.ring
        in_time = not ring or m.time_ns > ring.newest_ns
        if not in_time or again.follow(m, model, long_ns) is None:
            again.insert(m, model)
    again.freeze(model)
    return [m for m, verdict in again.left if verdict in ("began", "used", "moved")]


def _fix(track_id: str, klass: str, m: Measurement) -> PastFix:
    """A measurement as ``locate`` takes it: of one sigma for both axes, the greater."""
    middle, half = 0.5 * (m.r_ee + m.r_nn), 0.5 * (m.r_ee - m.r_nn)
    sigma_m = math.sqrt(middle + math.hypot(half, m.r_en))
    return PastFix(
        track_id=track_id, time_ns=m.time_ns, x=m.lon_deg, y=m.lat_deg, sigma_m=sigma_m, ve_mps=m.ve_mps, vn_mps=m.vn_mps,
        klass=klass,
    )  # fmt: skip
