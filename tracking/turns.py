"""Whose turn it is of one operation's tracks: what time does is told in its time, or when there is time.

What only its row's own words tell (``Track.lapsed``) may wait: 20,000 vessels that were heard at once are due at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from birddog.units import NS
from tracking.agenda import NEVER_NS, Agenda
from tracking.book import Book
from tracking.track_state import LiveTrack, TrackState

#: Of those whose rows say when they lapse so many are looked at for an entry, or (after a gap) for each second since the one
#: before: an entry takes a millisecond or two all the same.
PATIENT_EACH, PATIENT_EACH_S = 16, 3


class Turns:
    """When each track's turn comes.

    Args:
        tracks: by id; to read.
        may_wait: whether a track's turn may wait.
        wait: what time does to a track up to a time; it enters the track's next turn, or drops it.
    """

    def __init__(
        self, tracks: dict[str, LiveTrack], may_wait: Callable[[TrackState], bool],
        wait: Callable[[LiveTrack, int, Book], None],
    ):  # fmt: skip
        self._tracks, self._may_wait, self._wait = tracks, may_wait, wait
        #: What is told in its time, and what may wait; to look at the first.
        self.prompt, self.patient = Agenda(), Agenda()
        #: Until then time changes nothing, as ``OperationFold.idle`` last found it; 0: it is to be asked.
        self.idle_ns = 0
        for live in tracks.values():
            (self.patient if live.state.may_wait else self.prompt).enter(live.state.track_id, live.state.due_ns)

    def enter(self, s: TrackState) -> None:
        """A track's turn is when it is due, at the latest; where it is entered stands in its state, so that a fold that was
        restored gives it its turn at the same entry.
        """
        may_wait = self._may_wait(s)
        agenda, other = (self.patient, self.prompt) if may_wait else (self.prompt, self.patient)
        if s.may_wait != may_wait:
            s.may_wait = may_wait
            other.drop(s.track_id)
        if s.due_ns < agenda.due_ns.get(s.track_id, NEVER_NS):
            agenda.enter(s.track_id, s.due_ns)
            self.idle_ns = min(self.idle_ns, s.due_ns)

    def enter_calm(self, s: TrackState, *, may_still_wait: bool) -> None:
        """``enter`` of what goes on as ever, for speed: nothing is asked where its turn is entered well already.

        Args:
            may_still_wait: nothing began with it that goes on: where its turn might wait it still may.
        """
        if s.may_wait:
            if not may_still_wait or not s.lapses_ns or s.due_ns < self.patient.due_ns.get(s.track_id, NEVER_NS):
                self.enter(s)
        elif s.lapses_ns or s.due_ns < self.prompt.due_ns.get(s.track_id, NEVER_NS):
            self.enter(s)

    def drop(self, track_id: str) -> None:
        """A track is no more."""
        self.prompt.drop(track_id)
        self.patient.drop(track_id)

    def take(self, since_ns: int, to_ns: int, book: Book) -> None:
        """Every track whose turn has come; of those that may wait, the first ``PATIENT_EACH``.

        Args:
            since_ns: the time of the entry before.
        """
        while (turn := self.prompt.take(to_ns)) is not None:
            self._took(*turn, to_ns, book)
        self._take_patient(max(PATIENT_EACH, (to_ns - since_ns) * PATIENT_EACH_S // NS), to_ns, book)

    def take_all(self, book: Book) -> None:
        """Something else holds of all from now on: until then time did what followed from before."""
        now_ns = book.now_ns
        self._take_patient(math.inf, now_ns, book)
        book.now_ns = now_ns

    def came(self, live: LiveTrack | None, book: Book) -> LiveTrack | None:
        """A track that somebody asks for, with what time has done to it and did not tell yet; None: by now it is no more."""
        if live is None or live.state.due_ns > book.now_ns or live.state.track_id not in self.patient.due_ns:
            return live
        now_ns = book.now_ns
        self._wait(live, now_ns, book)
        book.now_ns = now_ns
        return None if live.state.status == "deleted" else live

    def end(self, book: Book) -> None:
        """Somebody asks for whatever is there: what is no more, and was not told of yet, is not."""
        if self.patient.first(book.now_ns) is None:
            return
        tracks = self._tracks
        ended = [(live.state.lapses_ns[-1], name) for name in self.patient.due_ns
                 if (live := tracks.get(name)) is not None and live.state.lapses_ns[-1] <= book.now_ns]  # fmt: skip
        for _, name in sorted(ended):
            self.came(tracks[name], book)

    def somebodys(self, to_ns: int) -> bool:
        """Whether somebody's turn has come; whose was put off meanwhile is entered again."""
        for agenda in (self.prompt, self.patient):
            while (turn := agenda.first(to_ns)) is not None:
                live = self._tracks.get(turn[1])
                if live is None or live.state.due_ns <= turn[0]:
                    return True
                agenda.put_off(live.state.due_ns)
        return False

    def next_ns(self) -> int:
        """When the next turn is, at the earliest."""
        prompt, patient = self.prompt.heap, self.patient.heap
        return min(prompt[0][0] if prompt else NEVER_NS, patient[0][0] if patient else NEVER_NS)

    def _take_patient(self, most: float, to_ns: int, book: Book) -> None:
        looked = 0
        while looked < most and (turn := self.patient.take(to_ns)) is not None:
            looked += self._took(*turn, to_ns, book)

    def _took(self, at_ns: int, name: str, to_ns: int, book: Book) -> bool:
        """A turn has come; whether anything was due."""
        live = self._tracks.get(name)
        if live is None:
            return False
        s = live.state
        if s.due_ns > at_ns:  # it was put off
            (self.patient if s.may_wait else self.prompt).enter(name, s.due_ns)
            return False
        self._wait(live, to_ns, book)
        return True
