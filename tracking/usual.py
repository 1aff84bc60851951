"""The way of a fix like nearly all through its operation's fold, in few frames: for speed only.

It is ``OperationFold.fix`` and what that calls, of a device that is as it was when it was heard last, or never was heard, in
time, and nobody is told anything but the track's step and its row.  Every question is asked before anything is changed, so that
what is answered otherwise goes the long way from its beginning, to the same end (a test).  What is asked first is what settles
it for nearly all: an instruction of Python's costs ten times what it seems to in a loop of its own, and there were 1,900.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import Any

from birddog.directory import OPEN, Directory
from birddog.model import Fix, Track, TrackPoint, Value, Verdict
from birddog.units import NS
from tracking import lifetime
from tracking.agenda import NEVER_NS
from tracking.book import Book, Changes, TakenFix
from tracking.dated import LATE_NS, SURE, dated
from tracking.deception import passes
from tracking.doubt import TURNS
from tracking.evidence import of_fix, said_mps
from tracking.expectations import Expectations
from tracking.facts import keep_fact
from tracking.lag import BEHIND_NS, LITTLE_NS, RIGHT, SMALL_NS
from tracking.lifetime import REGULAR, Expected
from tracking.measurement import Measurement
from tracking.operation_state import OperationState, Owner
from tracking.presets import STATION
from tracking.running import Told
from tracking.step import Model
from tracking.stuck import concerns
from tracking.track_state import LATE_MOST, LATE_STEPS, LiveTrack, TrackState
from tracking.tracker import SPED2, Tracker
from tracking.turns import Turns

_NOTHING: dict[str, Value] = {}


class Usual:
    """Of one operation; ``operation.OperationFold`` has it, and its state.

    Args:
        describe: gives a new track what the registers say of its device; attributes: those of a track's row.
        shown: a track's status, row and next turn, the long way.
    """

    def __init__(
        self, directory: Directory, state: OperationState, tracker: Tracker, turns: Turns, expectations: Expectations,
        describe: Callable[[LiveTrack, Owner, str, str], None], attributes: Callable[[LiveTrack], dict[str, Value]],
        shown: Callable[[LiveTrack, Book], None],
    ):  # fmt: skip
        self._operation, self._open = state.operation, state.operation == OPEN
        self._directory, self._state, self._tracker, self._turns = directory, state, tracker, turns
        self._expectations, self._describe, self._attributes, self._shown = expectations, describe, attributes, shown
        #: Nothing goes on in this operation of which every fix has to be asked, as ``OperationFold.idle`` last found it.
        self.plain = False

    def take(
        self, fix: Fix, fmt: str, verdict: Verdict, now_ns: int, seq: int, numbers: dict[str, int], book: Book | None
    ) -> Changes | None:
        """All that an entry changes which holds one fix like nearly all and nothing else; None where it is no such one.

        Args:
            now_ns: the time of the entry; seq: its number; numbers: of each case that of the entry that named it first.
            book: what time changed up to it, in any operation; None where that was nothing.
        """
        time_ns = fix.time_ns
        if (
            time_ns is None or not now_ns - BEHIND_NS < time_ns <= now_ns or verdict.state != "admitted"
            or fix.time_source != "device" or not (-90.0 <= fix.lat_deg <= 90.0 and -180.0 <= fix.lon_deg <= 180.0)
        ):  # fmt: skip
            return None
        device, state, tracker, public = fix.device, self._state, self._tracker, False
        if (book is not None or not self.plain) and self._is_asked(device, time_ns):
            return None
        if self._open:
            key = "d:" + device
        elif verdict.shipment:
            key, public = "s:" + verdict.shipment, verdict.basis == "open"
        else:
            return None
        live = tracker.by_key.get(key)
        if live is None:
            owner = Owner(self._operation, key, "" if self._open else verdict.shipment, public)
            return self._begins(fix, time_ns, fmt, owner, now_ns, seq, numbers, book)
        of = live.usual
        if of is None or of != (device, self._directory.version, fmt, public):
            return None
        device = of[0]  # the same name, and found at once wherever it is asked for: nobody has to look for its letters again
        s, lag = live.state, state.clocks.lags.get(device)
        ring = s.ring
        if (
            s.status != "confirmed" or s.open_events or s.decided or not ring.n or s.due_ns <= now_ns
            or (s.foretold and s.foretold[-1][0] >= time_ns > ring.newest_ns)
            or (ring.kinds is not None and ring.has("tag_read"))
            or (now_ns - time_ns >= SMALL_NS and len(s.fixers) > 1)
            or ((lag is not RIGHT or now_ns - time_ns >= LITTLE_NS)
                and (lag is None or not state.clocks.is_right(device, lag, now_ns - time_ns)))
        ):  # fmt: skip
            return None
        if fix.attributes:  # said a second time on the long way they are the same
            if fix.attributes.get("msg_type") is not None:
                return None
            self._turns.idle_ns = 0
            for quantity, value in fix.attributes.items():
                keep_fact(state.facts, device, quantity, value, time_ns, now_ns)
        if live.states or state.facts:
            assert live.described is not None, "it is usual"
            if not self._as_described(device, live.described):
                return None
        model = tracker.models.get(s.klass)
        if model is None:
            model = tracker.model(live)
        m = of_fix(fix, time_ns, model, device)
        if time_ns <= ring.newest_ns:
            return self._late(live, m, model, now_ns, seq, numbers, book)
        said = said_mps(fix)
        source = state.deception.quiet(live, m, said)
        if source is None:
            return None
        before_ns, gap_s = s.contact_ns, s.gap_s
        passed_s, steady = (now_ns - before_ns) / NS, live.steady
        if passed_s > 0.0:
            s.gap_s = passed_s if gap_s == 0.0 else gap_s + 0.2 * (passed_s - gap_s)
        s.contacts += 1
        s.contact_ns = now_ns
        if (
            steady is not None and steady[0] is live.described and steady[1] == len(s.sources) and s.gap_s <= steady[3]
            and s.contacts < steady[4]
        ):  # fmt: skip
            expected: Expected = steady[2]
        else:
            assert live.described is not None, "it is usual"
            expected = self._expectations.as_ever(live, live.described, now_ns)
        anew = None
        if now_ns - time_ns > expected.coasts_ns:
            told = None
        elif not s.waiting:
            told = live.follow(m, model, tracker.reinit_ns)
        else:
            both = None if tracker.log.items else tracker.follow_late(live, m, model)
            told, anew = (None, None) if both is None else both
        if told is None:
            s.gap_s, s.contacts, s.contact_ns = gap_s, s.contacts - 1, before_ns
            return None
        if not s.reports:
            s.reports = True
        if s.credit < LATE_MOST:
            s.credit = min(s.credit + LATE_STEPS, LATE_MOST)
        if anew is not None:
            book = Book(seq, now_ns, numbers) if book is None else book
            tracker.retold(live, anew, book)
        calm = passes(source, m)
        if not calm:
            book = Book(seq, now_ns, numbers) if book is None else book
            state.deception.fix(live, m, said, "used", None, book)
            self._turns.idle_ns = 0
        took_ns, ways = now_ns - time_ns, state.clocks.ways
        if took_ns >= LATE_NS or s.dated is not SURE or ways:
            s.dated = dated(ways, device, took_ns)
        if s.fast or told[3] * told[3] + told[4] * told[4] > SPED2:
            book = Book(seq, now_ns, numbers) if book is None else book
            tracker.sped(live, m, told[3:5], max(told[9], told[12]), book)
        return self._followed(live, m, told, expected, now_ns, seq, book, calm)

    def _is_asked(self, device: str, time_ns: int) -> bool:
        """Whether something goes on of which a fix of a device and a time has to be asked."""
        state, items = self._state, self._tracker.log.items
        return bool(
            device in state.clocks.ahead or device in state.awaited.of or device in state.deception.speedless
            or (items and items[-1].key[0] >= time_ns) or self.asks()
        )  # fmt: skip

    def asks(self) -> bool:
        """Whether every fix goes the long way: there are areas, contacts, receivers that looks belie, or an alert budget, which
        counts what is lost.
        """
        crowd = self._tracker.log.crowd
        return bool(
            self._state.visits.zones or crowd.contacts or crowd.belied
            or self._tracker.presets.alerts.false_per_shift is not None
        )  # fmt: skip

    def _late(
        self, live: LiveTrack, m: Measurement, model: Model, now_ns: int, seq: int, numbers: dict[str, int], book: Book | None
    ) -> Changes | None:
        """A late fix that takes its place in the ring, and is told of later, with others, or at once."""
        s, deception, tells = live.state, self._state.deception, book
        # also where it is jammed only since: what it says then may be its place of before, said again
        if (
            deception.jams(s.track_id, m.device, s.ring.newest_ns) or deception.taken(s.track_id, m) is not m
            or concerns(s.ring, m)
        ):  # fmt: skip
            return None
        before, waits = (s.gap_s, s.contact_ns, s.stored_ns), live.waits(m)
        if not waits and (s.waiting or self._tracker.log.items or not deception.passed(s.track_id, m)):
            return None
        live.stored(m, now_ns)
        passed_s = (now_ns - s.contact_ns) / NS
        if passed_s > 0.0:
            s.gap_s = passed_s if s.gap_s == 0.0 else s.gap_s + 0.2 * (passed_s - s.gap_s)
        s.contact_ns = now_ns
        if not waits:
            tells = self._tracker.put_in(live, m, model, lambda: Book(seq, now_ns, numbers) if book is None else book)
            if tells is None:
                s.gap_s, s.contact_ns, s.stored_ns = before
                return None
        s.contacts += 1
        if not s.reports:
            s.reports = True
        taken = TakenFix(self._operation, s.track_id, m.time_ns, m.lat_deg, m.lon_deg)
        if waits:
            s.due_ns = min(s.due_ns, now_ns + self._tracker.sweep_ns)
            self._turns.enter(s)
            if tells is None:
                return Changes([], [], [], [], [taken])
            tells.fixes.append(taken)
            return tells.changes()
        assert tells is not None, "there are steps to tell"
        tells.fixes.append(taken)
        self._turns.idle_ns = 0
        self._shown(live, tells)
        return tells.changes()

    def _begins(
        self, fix: Fix, time_ns: int, fmt: str, owner: Owner, now_ns: int, seq: int, numbers: dict[str, int], book: Book | None
    ) -> Changes | None:
        """The first fix of a track, of a device of which nothing is known but what the registers say."""
        tracker, state, device = self._tracker, self._state, fix.device
        enrolled = self._directory.devices.get(device)
        if (
            owner.public or fix.attributes or device in state.clocks.lags or device in state.facts or owner.key in state.gone
            or now_ns - time_ns >= SMALL_NS
            or tracker.presets.engine != "birddog" or (enrolled is not None and enrolled.klass == STATION)
        ):  # fmt: skip
            return None
        names = (device,)
        live = tracker.add(TrackState(
            track_id=f"T{seq}", operation=self._operation, key=owner.key, tag_id=device, identities=names, sources=names,
            fixers=names, contact_ns=now_ns, contacts=1, reports=True,
        ))  # fmt: skip
        s = live.state
        if enrolled is None:  # what ``_describe`` finds of what nobody said anything of
            s.name = owner.name
            live.described = (device, self._directory.version, owner, fmt, None, None, False, None, 1, 1, "")
        else:
            self._describe(live, owner, device, fmt)
        live.usual = usual(live, False)
        state.clocks.lags[device] = RIGHT
        model = tracker.model(live)
        m = of_fix(fix, time_ns, model)
        told = live.follow(m, model, tracker.reinit_ns)
        assert told is not None, "a first fix begins a track"
        if now_ns - time_ns >= LATE_NS:
            s.dated = dated(state.clocks.ways, device, now_ns - time_ns)
        state.deception.begins(s.track_id, m)
        if live.described is None:
            expected = self._expectations.of(live, now_ns)
        else:
            expected = self._expectations.begins(live, live.described, now_ns)
        if not lifetime.is_as_ever(s, time_ns, expected, now_ns):  # so late that it coasts already
            book = Book(seq, now_ns, numbers) if book is None else book
            tracker.stepped(live, told, m, book)
            book.fixes.append(TakenFix(self._operation, s.track_id, time_ns, m.lat_deg, m.lon_deg))
            self._shown(live, book)
            return book.changes()
        if told[3] * told[3] + told[4] * told[4] > SPED2:
            book = Book(seq, now_ns, numbers) if book is None else book
            tracker.sped(live, m, told[3:5], max(told[9], told[12]), book)
        return self._followed(live, m, told, expected, now_ns, seq, book, False)

    def _followed(
        self, live: LiveTrack, m: Measurement, told: Told, expected: Expected, now_ns: int, seq: int, book: Book | None,
        calm: bool,
    ) -> Changes:  # fmt: skip
        """The step and the row of a track that just went on with a fix and is as ever, and its next turn.

        Args:
            told: what its filter says.
            book: what else there is to tell of the entry; None where that is nothing.
            calm: nothing began with it that goes on: where the track's turn might wait it still may (``_may_wait``).
        """
        s, time_ns, turns, run = live.state, m.time_ns, self._turns, live.running
        assert run is not None, "it runs"
        track_id, operation = s.track_id, self._operation
        s.points = points = s.points + 1
        nis, lat, lon, ve, vn, p_ee, p_en, p_nn, shown_ee, v_ee, v_en, shown_nn, v_nn = told
        point = TrackPoint(track_id, points, time_ns, lat, lon, ve, vn, p_ee, p_en, p_nn, "fix", m.device, nis, seq)
        s.row_ns = now_ns
        due_ns, coasts_ns = now_ns + expected.soonest_ns, time_ns + expected.coasts_ns + 1
        s.due_ns = due_ns = coasts_ns if coasts_ns < due_ns else due_ns
        lapses_ns = s.lapses_ns
        if expected.ends and s.contacts < REGULAR:  # as ``lifetime.lapses_ns`` has it
            ends_ns = now_ns + expected.ends_ns + 1
            lost_ns = ends_ns if expected.interval_s is None else now_ns + expected.silent_ns + 1
            s.lapses_ns = lapses_ns = coasts_ns, lost_ns, ends_ns
        elif lapses_ns:
            s.lapses_ns = lapses_ns = ()
        if s.may_wait or lapses_ns or due_ns < turns.prompt.due_ns.get(track_id, NEVER_NS):
            turns.enter_calm(s, may_still_wait=calm)
        attributes = self._attributes(live) if self._state.facts else {}
        if now_ns == time_ns:
            row = Track(
                track_id, operation, s.name, s.tag_id, s.identities, s.klass, s.status, time_ns, lat, lon, ve, vn,
                shown_ee, p_en, shown_nn, v_ee, v_en, v_nn, time_ns, now_ns, run.moved_ns, run.first_ns, run.hits, run.refused,
                s.sources, attributes, lapses_ns=lapses_ns,
            )  # fmt: skip
        else:
            row = live.row(now_ns, self._tracker.model(live), attributes, self._tracker.quiet_s)
        if row.refused >= TURNS:
            row = self._tracker.told(row, live, self._tracker.model(live))
        taken = TakenFix(operation, track_id, time_ns, m.lat_deg, m.lon_deg)
        if book is None:
            return Changes([row], [point], [], [], [taken])
        book.points.append(point)
        book.fixes.append(taken)
        book.row(track_id, lambda: row)
        return book.changes()

    def _as_described(self, device: str, of: tuple[Any, ...]) -> bool:
        """Whether what a device stated of itself is what its track was last described by, and its battery nothing to tell."""
        known = self._state.facts.get(device)
        facts = known.values if known is not None else _NOTHING
        return (
            of[5] == facts.get("ship_name") and of[6] == ("ship_type" in facts) and of[7] == facts.get("msg_type")
            and self._state.batteries.quiet(device, facts.get("battery_level"))
        )  # fmt: skip


def usual(live: LiveTrack, never: bool) -> tuple[str, int, str, bool] | None:
    """What is as it was at the next fix that is like this one; ``never``: none of this track is."""
    of = live.described
    if of is None or never or of[4] is not None:
        return None
    live.states = of[5] is not None or of[6] or of[7] is not None
    return intern(of[0]), of[1], of[3], of[2].public
