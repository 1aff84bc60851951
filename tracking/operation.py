"""The fold of one operation: its tracks, clocks, doors and what its devices said of themselves; nothing of any other.

``tracking.fold.Fold`` says which observations are this operation's.  Beside them it reads the registers (who is enrolled,
attached and placed) and the presets, and nothing else: what happens in another operation changes no row, id or event here.

Longer than 400 lines: a method for each thing that can be heard, and all of them share one state.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial

import msgspec

from birddog.directory import OPEN, Directory
from birddog.model import (
    Alarm,
    Attachment,
    Decision,
    Device,
    Fix,
    Placement,
    Reading,
    TagRead,
    Track,
    Value,
    Zone,
)
from birddog.units import NS
from tracking import as_others, as_said, budget, copies, lifetime, rests, stuck
from tracking.agenda import NEVER_NS
from tracking.arms import FRESH_S
from tracking.awaited import Waiting
from tracking.book import Book, TakenFix
from tracking.clocks import AHEAD_NS, WAY_NS, Before
from tracking.contact import Look
from tracking.dated import SURE
from tracking.deception import JAMS
from tracking.decided import decide, is_false
from tracking.doubt import TURNS
from tracking.enrolments import Enrolments
from tracking.evidence import at_place, of_fix, said_mps
from tracking.expectations import Expectations
from tracking.facts import keep_fact, prune_facts
from tracking.lag import LITTLE_SAME_NS, SMALL_NS
from tracking.looks import LookLog
from tracking.measurement import Measurement
from tracking.operation_state import Gone, OperationState, Owner
from tracking.presets import STATION, Presets
from tracking.step import at_least, placed, unlearnt
from tracking.track_state import LiveTrack, TrackState, in_order
from tracking.tracker import Tracker
from tracking.turns import Turns
from tracking.usual import Usual, usual
from tracking.zones import Step

#: AIS messages of what stands where it is: base stations and aids to navigation (ITU-R M.1371-5, table 46).
STATIONS = (4, 21)
#: A time that is put right by what its clock is off is right to about so much, one sigma, s: its way takes now more, now less.
ABOUT_S = 1.0
#: A second fix of a time that took so much longer to come in than the others may be of a clock that fell back, once in a while.
FELL_NS, FELL_ONCE_NS, SAME_TIME = 3 * NS, 300 * NS, "same time"
#: Of so many that were forgotten it is remembered where they were last.
GONE_MOST = 4096
_NOTHING: dict[str, Value] = {}
_UNKNOWN = Before()


class OperationFold:
    """One operation's part of the picture.

    Args:
        directory: the registers; to read.
        state: of a snapshot.
    """

    def __init__(self, operation: str, directory: Directory, presets: Presets, state: OperationState | None = None):
        self.operation = operation
        self._directory = directory
        s = self._state = state or OperationState(operation=operation)
        self.tracker = Tracker(operation, presets, self._interval_s, s.tracks, LookLog(operation, s.looks))
        self._allowed: budget.Allowed | None = None
        self.tracker.allowed = self.allowed
        self._enrolments = Enrolments(operation, directory)
        self._expectations = Expectations(directory, self._enrolments, self.tracker, self.allowed)
        self.turns = Turns(self.tracker.tracks, self._may_wait, self._wait_of)
        self.usual = Usual(
            directory, s, self.tracker, self.turns, self._expectations, self._describe, self._attributes, self._shown
        )

    @property
    def presets(self) -> Presets:
        """Those of the newest start."""
        return self.tracker.presets

    def state(self) -> OperationState:
        """All that a snapshot keeps."""
        self._state.tracks = [live.saved() for live in self.tracker.tracks.values()]
        self._state.looks = self.tracker.log.state()
        return self._state

    def believed(
        self, times_ns: list[int], now_ns: int, *, whole: bool = False, aboard: bool = True
    ) -> list[list[Track]]:  # fmt: skip
        """The tracks as they are believed to be at each of some times not before the newest entry; tentative ones are none yet.

        Args:
            now_ns: the time of the newest entry.
            whole: with their attributes.
            aboard: with passive tags that ride on what reports; without them there is one of each thing.
        """
        tracker, rows, said = self.tracker, [], self._attributes if whole else _no_attributes
        doubtful = tracker.log.unsettled(tracker.log.crowd)
        for live in tracker.tracks.values():
            model = tracker.model(live)
            if live.updated_ns(model) is not None and (aboard or self._carrier(live) is None):
                some = live.rows(times_ns, model, said(live), tracker.quiet_s)
                more = doubtful or live.state.passes or live.state.open_events or some[0].refused >= TURNS
                rows.append([tracker.told(row, live, model) for row in some] if more else some)
        out = []
        for k, time_ns in enumerate(times_ns):
            some = [of[k] for of in rows]
            if tracker.log.shown:
                some += [row for _, row in tracker.log.rows(tracker, time_ns)]
            some = [row.lapsed(now_ns) if row.lapses_ns and min(row.lapses_ns) <= now_ns else row for row in some]
            out.append([row for row in some if row.status not in ("tentative", "deleted")])
        return out

    def _carrier(self, live: LiveTrack) -> str | None:
        """The track that reports and that a passive tag's rides on, as looks have it; None where it is one of its own."""
        on = self.tracker.log.aboard(live.state.track_id)
        return on if on in self.tracker.tracks else None

    def allowed(self) -> budget.Allowed | None:
        """What the alert budget allows each rule of this operation; None: there is none."""
        alerts = self.tracker.presets.alerts
        if alerts.false_per_shift is None:
            return None
        s = self._state
        share = alerts.share(1 + s.deception.paired + s.reads + bool(s.visits.zones)
                             + bool(self.tracker.log.since_ns) + bool(self.tracker.log.imaged_ns))
        tracks, old = budget.rounded(len(self.tracker.tracks)), self._allowed
        assert share is not None
        if old is None or (old.share, old.shift_s, old.tracks) != (share, alerts.shift_s, tracks):
            self._allowed = old = budget.Allowed(share, alerts.shift_s, tracks)
        return old

    def thresholds(self) -> dict[str, float]:
        """The rules of this operation that the alert budget sets, and where it has them now."""
        allowed, p, s = self.allowed(), self.presets, self._state
        if allowed is None:
            return {}
        found = {"share": allowed.share, "silent": allowed.silent_factor(p.interval_s, 0, 0)}
        if s.deception.paired:
            found["drift"] = allowed.drift_alarm()
        if s.reads:
            found["parted"] = allowed.read_gate(p.read_window_s, p.of("").gate)
        if s.visits.zones:
            found["arrived"] = allowed.edge_sigmas(len(s.visits.zones), s.visits.zones[0].dwell_s)
        if self.tracker.log.since_ns:
            found["dark_vessel"] = self.tracker.log.dark_score(self.tracker, self.tracker.log.crowd.t_ns)
        if self.tracker.log.imaged_ns:
            found["dark_flag"] = self.tracker.log.flag_rarity(self.tracker, self.tracker.log.crowd.t_ns)
        return {rule: round(at, 3) for rule, at in found.items()}

    # --- time and presets ---------------------------------------------------------------------

    def wait(self, since_ns: int, to_ns: int, book: Book) -> None:
        """What time alone changes up to an entry, each in its time; costs what is due, not what is there.

        Args:
            since_ns: the time of the entry before.
        """
        if self.turns.next_ns() <= to_ns:
            self.turns.take(since_ns, to_ns, book)
        tracker, state = self.tracker, self._state
        log, doors = tracker.log, state.doors
        if log.due_ns <= to_ns or log.shown:
            log.wait(tracker, to_ns, book)
        book.now_ns = to_ns
        if state.awaited.due_ns <= to_ns:
            state.awaited.wait(to_ns, tracker.presets.silent_factor, self.operation, self._track_ids, book)
        self.wait_closed(to_ns, book)
        if doors.alarms or doors.knocks:
            doors.prune(to_ns - int(tracker.presets.alarm_window_s * NS))
        if (state.facts or state.clocks.ahead) and self.operation == OPEN:
            since_ns = to_ns - int(tracker.presets.broadcast_end_s * NS)
            state.clocks.prune(since_ns, book)
            prune_facts(state.facts, self.tracker.by_key, since_ns, to_ns)

    def wait_closed(self, to_ns: int, book: Book) -> None:
        """What time changes of a case that is closed too: what its warrants still ask for, and how long it may be kept."""
        if self._state.warrants.due_ns <= to_ns:
            self.warranted(to_ns, book)
        if self._state.retention.due_ns <= to_ns:
            self.kept(to_ns, book)

    def kept(self, now_ns: int, book: Book) -> None:
        """How long the case may be kept was entered, or is due."""
        self._state.retention.look(self._directory.operations[self.operation], now_ns, book)

    def _wait_of(self, live: LiveTrack, to_ns: int, book: Book) -> None:
        """What time alone does to a track up to a time, and its next turn."""
        lifetime.wait(self.tracker, live, self._expectations.of, self._attributes, to_ns, book)
        self._visited_again(live, book)
        if live.state.status == "silent":
            self._state.clocks.unheard(live.state.identities, live.state.contact_ns, book)
        self._settled(live, book)

    def came(self, device: str | None, book: Book) -> None:
        """Something else holds from now on, of a device or (None) of all: until then time did what followed from before."""
        if device is not None:
            self.turns.came(self.tracker.by_key.get("d:" + device), book)
        else:
            self.turns.take_all(book)

    def _may_wait(self, s: TrackState) -> bool:
        """Whether a track's turn may wait: it says when it lapses, and nothing else goes on of it that ends with it."""
        if not s.lapses_ns or s.open_events or s.waiting:
            return False
        state = self._state
        ahead, low, lags = state.clocks.ahead, state.batteries.low, state.clocks.lags
        for device in s.identities:
            lag = lags.get(device)
            if device in ahead or device in low or (lag is not None and lag.event is not None):
                return False
        return s.track_id not in state.visits.of and not state.deception.goes_on(s.track_id)

    def _settled(self, live: LiveTrack, book: Book) -> None:
        """The track waits for its next turn, or has ended."""
        s = live.state
        if s.status == "deleted":
            self.turns.drop(s.track_id)
            self._gone(live)
            self._state.clocks.forget(s.identities, book)
            self._state.visits.forget(s.track_id, book)
            self._state.deception.forget(s.track_id, book)
            live.source = None
            self._state.batteries.forget(s.identities, book)
            for device in s.identities:
                self._state.facts.pop(device, None)
        else:
            self.turns.enter(s)

    def _gone(self, live: LiveTrack) -> None:
        """A track has ended: where it was is remembered, for its device may come again elsewhere.

        A ship that left the range of a receiver comes and goes; of her nothing is told.
        """
        core, gone = live.core(self.tracker.model(live)), self._state.gone
        if core is None or live.state.broadcast:
            return
        lat, lon, _ = placed(core, core.x)
        gone.pop(live.state.key, None)
        gone[live.state.key] = Gone(core.updated_ns, lat, lon)
        while len(gone) > GONE_MOST:
            del gone[next(iter(gone))]

    def registered(self, devices: Iterable[str] | None, now_ns: int) -> None:
        """The registers say something else of these devices (None: of all): what is expected of their tracks is asked again."""
        names = None if devices is None else set(devices)
        if names is not None and self.operation == OPEN:
            lives = [self.tracker.by_key[key] for key in sorted("d:" + name for name in names) if key in self.tracker.by_key]
        else:
            lives = [
                live for live in self.tracker.tracks.values() if names is None or not names.isdisjoint(live.state.identities)
            ]
        for live in lives:
            # what its row said of when it lapses may not hold: it is told anew, and in time
            live.state.due_ns, live.state.lapses_ns = min(live.state.due_ns, now_ns), ()
            self._settled(live, Book(0, now_ns))

    def is_told_of(self, device: Device) -> bool:
        """Whether an enrolment says anything else of a device's own track here than the one before (``_known``)."""
        live = self.tracker.by_key.get("d:" + device.device)
        if live is None:
            return False
        return self._enrolments.known(live.state, device.device) != self._enrolments.said_of(live.state, device)

    def attached(self, attachment: Attachment, now_ns: int, book: Book) -> None:
        """A device was attached here, or is no longer: it is waited for until it is heard."""
        live = self.tracker.whose("s:" + attachment.shipment, attachment.device)
        heard = live is not None and attachment.device in live.state.identities
        known = self._directory.devices.get(attachment.device)
        self._state.awaited.attached(attachment, known, now_ns, self.presets.silent_factor, book, heard=heard)
        if attachment.to_ns is not None and attachment.to_ns <= now_ns:
            self._state.batteries.forget([attachment.device], book)

    def awaited(self) -> dict[str, Waiting]:
        """The devices that were attached here and not heard since; to read."""
        return self._state.awaited.of

    def warranted(self, now_ns: int, book: Book) -> None:
        """An act upon a warrant was entered, or something of their calendar is due."""
        held = self._directory.warrants.held.values()
        mine = [one for one in held if self.operation != OPEN and self._directory.case_of(one, now_ns) == self.operation]
        known = self._directory.operations.get(self.operation)
        closed = known is not None and known.closed
        self._state.warrants.look(mine, now_ns, self.operation, self._tracks_of, book, closed=closed)

    def _tracks_of(self, device: str) -> tuple[str, ...]:
        lives = self.tracker.tracks.values() if device else ()
        return tuple([live.state.track_id for live in lives if device in live.state.identities])

    def enrolled(self, device: str, book: Book) -> None:
        """What is known of a device has changed: how often it reports, that it is retired."""
        awaited, known = self._state.awaited, self._directory.devices.get(device)
        if known is not None and device in awaited.of:
            awaited.enrolled(known, self.presets.silent_factor, book)
        if known is not None and known.retired and (self.operation != OPEN or known.basis != "warrant"):  # not who was watched
            self._state.batteries.forget([device], book)

    def closed(self, book: Book) -> None:
        """The case is closed: nobody waits for anything of it, so nothing of it goes on."""
        s = self._state
        for live in self.tracker.tracks.values():
            for kind in list(live.state.open_events):
                book.end(live.state.open_events.pop(kind), book.now_ns)
            s.visits.forget(live.state.track_id, book)
        s.batteries.forget(list(s.batteries.low), book)
        s.clocks.forget([*s.clocks.lags, *s.clocks.ahead], book)
        for device in list(s.awaited.of):
            s.awaited.over(device, book)
        s.doors.closed(book)

    def watch(self, zones: tuple[Zone, ...], book: Book) -> None:
        """The places that this operation watches from now on; who passes lines and borders say ``events.live``."""
        self._state.visits.watched(tuple(zone for zone in zones if zone.role in ("area", "port")), book)

    def _visited(self, live: LiveTrack, time_ns: int, book: Book) -> None:
        """A track was measured: where it arrived and what it left, by its newest measurement, or again by a late one."""
        visits, s, model = self._state.visits, live.state, self.tracker.model(live)
        if not visits.zones or (core := live.core(model)) is None:
            return
        if time_ns < core.time_ns:
            visits.came_late(s.track_id, time_ns, book.now_ns + self.tracker.sweep_ns)
        late = visits.late.get(s.track_id)
        if late is None:
            if core.time_ns == time_ns:
                visits.seen(live.row(time_ns, model, {}, self.tracker.quiet_s), time_ns, self.allowed(), book)
        elif late[1] <= book.now_ns:
            self._visited_again(live, book)
        else:
            s.due_ns = min(s.due_ns, late[1])
            self._settled(live, book)

    def _visited_again(self, live: LiveTrack, book: Book) -> None:
        """Where it arrived and what it left since something came late, with that in its place."""
        visits, s, tracker = self._state.visits, live.state, self.tracker
        if s.track_id not in visits.late or s.status == "deleted":
            return
        tracker.catch_up(live, book)
        since_ns, model = visits.since_ns(s.track_id), tracker.model(live)
        steps, core = [], live.core(model)
        if since_ns is not None and core is not None:
            (times_ns, origins, *_), told, nothing = live.since(since_ns + 1, model)
            for i, (_, lat, lon, _, _, *p) in enumerate(told.tolist()):
                if i not in nothing and origins[i] in ("fix", "tag_read"):
                    steps.append(Step(times_ns[i], lat, lon, *at_least(core.lasting, *p)))
        visits.again(s.track_id, self.operation, steps, self.allowed(), book)

    def decided(self, decision: Decision, number: int, book: Book) -> bool:
        """An operator decided something of this operation's tracks; whether it is about one of them."""
        self.turns.end(book)
        for name in (decision.subject, decision.other):
            self.turns.came(self.tracker.tracks.get(name), book)
        there = dict(self.tracker.tracks)
        changed = decide(self.tracker, decision, number, book)
        self._expectations.forget()
        for name, live in there.items():
            if name not in self.tracker.tracks:  # merged into another
                live.source = None
                self.turns.drop(name)
                self._state.visits.forget(name, book)
                self._state.deception.forget(name, book)
        known = self._directory.operations.get(self.operation)
        for one in changed or ():
            self._state.deception.left(one, book)
            self._shown(one, book, waits=known is None or not known.closed)
        self._belied(book.now_ns, book)
        return changed is not None

    def holds(self, live: LiveTrack, fix: Fix, time_ns: int) -> bool:
        """Whether a fix says nothing of where its track is: its receiver is jammed, and hung."""
        return self._state.deception.holds(live, fix.device, time_ns, fix.lat_deg, fix.lon_deg)

    def trust(self, track_id: str) -> dict[str, float]:
        """The trust in each receiver of a track."""
        return self._state.deception.trust(track_id)

    def set_presets(self, presets: Presets, now_ns: int) -> None:
        """Other presets from now on."""
        self.tracker.set_presets(presets)
        self._expectations.forget()
        self.registered(None, now_ns)

    def set_back(self, book: Book) -> None:
        """It is earlier than was thought: nothing was heard, told or shown later than it is now."""
        self._expectations.forget()
        self._state.clocks.set_back(book)
        self._state.doors.set_back(book.now_ns)
        for facts in self._state.facts.values():
            facts.heard_ns = min(facts.heard_ns, book.now_ns)
        self.tracker.set_back(book.now_ns)
        self.registered(None, book.now_ns)
        self.warranted(book.now_ns, book)
        if self.operation in self._directory.operations:
            self.kept(book.now_ns, book)

    def _interval_s(self, live: LiveTrack) -> float | None:
        """Expected seconds between a track's messages, as of its last one."""
        return self._expectations.of(live, live.state.contact_ns).interval_s

    def _shown(self, live: LiveTrack, book: Book, *, waits: bool = True) -> None:
        """Something was heard of a track: its status and row.

        Args:
            waits: it is waited for; in a case that is closed its status is what it was then.
        """
        s, tracker, expected = live.state, self.tracker, self._expectations.of(live, book.now_ns)
        model = tracker.model(live)
        updated_ns = live.updated_ns(model)
        if waits and not lifetime.is_as_ever(s, updated_ns, expected, book.now_ns):
            lifetime.decide(tracker, live, expected, book)
        if updated_ns is not None:
            tracker.show(live, self._attributes, book)
        if s.lapses_ns or expected.ends or s.broadcast:
            s.lapses_ns = lifetime.lapses_ns(s, updated_ns, expected, tracker.presets)
        s.due_ns = lifetime.due_ns(tracker, live, expected, book.now_ns)
        self._settled(live, book)

    # --- who a track is -----------------------------------------------------------------------

    def _track(self, owner: Owner, device: str, book: Book, *, make: bool) -> LiveTrack | None:
        """The owner's track, with the device among its identities; a new one only where asked."""
        if self._state.awaited.of:
            self._state.awaited.over(device, book)
        live = self.turns.came(self.tracker.whose(owner.key, device), book)
        if live is None:
            if not make:
                return None
            name = book.track_id(self.operation if owner.public else OPEN)
            live = self.tracker.add(
                TrackState(track_id=name, operation=self.operation, key=owner.key, tag_id=device, status="confirmed")
            )
        if device not in live.state.identities:
            live.state.identities += (device,)
        return live

    def _track_ids(self, key: str, device: str = "") -> tuple[str, ...]:
        live = self.tracker.whose(key, device)
        return () if live is None else (live.state.track_id,)

    def _describe(self, live: LiveTrack, owner: Owner, device: str, fmt: str, msg_type: Value = None) -> None:
        """Name and class, as the registers and the device's own statements have them now."""
        s, known = live.state, self._state.facts.get(device)
        s.public = owner.public
        facts = known.values if known is not None else _NOTHING
        stated = facts.get("ship_name")
        # all that it follows from: as nearly always it was asked before, and is as it was
        of = (
            device, self._directory.version, owner, fmt, msg_type, stated, "ship_type" in facts, facts.get("msg_type"),
            len(s.fixers), len(s.identities), s.klass,
        )  # fmt: skip
        if live.described == of:
            return
        live.described, live.usual = of, None
        enrolled = self._enrolments.known(s, device)
        own = owner.key == s.key  # what was merged into another, or split off, keeps the name
        given = "" if not own else owner.name or (enrolled.name if enrolled is not None and self.operation == OPEN else "")
        s.name = given or (stated if isinstance(stated, str) else "") or s.name
        klass = self._enrolments.class_of(s, device)
        if fmt == "ais" or "ship_type" in facts:
            s.broadcast = self.operation == OPEN and (enrolled is None or enrolled.basis == "open")
            # of one message the fix says its type, a name or a voltage beside it does not
            klass = klass or (STATION if (msg_type or facts.get("msg_type")) in STATIONS else "vessel")
        if klass != s.klass:
            live.described = None
            self.tracker.set_class(live, klass)

    def _attributes(self, live: LiveTrack) -> dict[str, Value]:
        out: dict[str, Value] = {}
        facts, belied = self._state.facts, self._state.deception.belied
        if belied and live.state.track_id in belied:
            out["belied"] = belied[live.state.track_id]
        if live.state.track_id in self._state.deception.frozen:
            out["frozen"] = self._state.deception.frozen[live.state.track_id]
        if (on := self._carrier(live) or self.tracker.companions.rides_on(live, self.tracker.log.crowd)):
            out["rides_on"] = on
        if not facts:
            return out
        for device in live.state.identities:
            known = facts.get(device)
            if known is not None:
                out.update(known.values)
        return out

    def _battery(self, live: LiveTrack, device: str, book: Book) -> None:
        known = self._state.facts.get(device)
        if known is not None and "battery_level" in known.values:
            level, time_ns = known.values["battery_level"], known.times["battery_level"]
            self._state.batteries.stated(device, level, time_ns, self.operation, (live.state.track_id,), book)

    # --- what is heard ------------------------------------------------------------------------

    def fix(self, owner: Owner, fix: Fix, time_ns: int, fmt: str, book: Book) -> None:
        """A fix into its owner's track."""
        device, state = fix.device, self._state
        self.turns.came(self.tracker.whose(owner.key, device), book)
        if fix.attributes:
            for name, value in fix.attributes.items():
                keep_fact(self._state.facts, device, name, value, time_ns, book.now_ns)
        ahead = self.clock_ahead(device, fix.time_ns, book, owner.key, least_ns=AHEAD_NS)
        if ahead:
            taken = state.clocks.taken_back(fix, book.now_ns)
            if taken is None and fix.time_ns is not None and fix.time_ns <= book.now_ns + int(self.presets.ahead_s * NS):
                taken = msgspec.structs.replace(fix, time_ns=min(fix.time_ns, book.now_ns))  # it was measured by now
            if taken is None:
                self._track(owner, device, book, make=False)
                self.heard(owner, device, book, reports=True)
                return
            fix = taken
        self._take(owner, fix, fmt, book, ahead)

    def mistimed(self, owner: Owner, fix: Fix, fmt: str, book: Book) -> None:
        """A fix that the door refused for its time: taken at the time of its receipt, less what its way takes, as soon as it is
        known how far its clock is off; until then, and where it was kept, it is not used.
        """
        assert fix.time_ns is not None, "the door refused its time"
        clocks, device = self._state.clocks, fix.device
        if device not in clocks.ahead:  # it has no track yet, and nothing was told of it
            clocks.refused(device, self.operation, "a time that cannot be", (), None, book)
        clocks.said(device, fix.time_ns, book.now_ns)
        fix_then = clocks.taken_back(fix, book.now_ns)
        if fix_then is None:
            return
        assert fix_then.time_ns is not None
        self.turns.came(self.tracker.whose(owner.key, device), book)
        for name, value in fix.attributes.items():
            keep_fact(self._state.facts, device, name, value, fix_then.time_ns, book.now_ns)
        self._take(owner, fix_then, fmt, book, True)

    def _take(self, owner: Owner, fix: Fix, fmt: str, book: Book, ahead: bool) -> None:
        """A fix at a time that may be believed; ``ahead``: it is not the one that its clock says."""
        device, tracker, state = fix.device, self.tracker, self._state
        live = self._track(owner, device, book, make=True)
        assert live is not None
        s = live.state
        if ahead:
            state.clocks.told_taken_back(device, self.operation, s.track_id, book)
        if device not in s.fixers:
            s.fixers += (device,)
        self._describe(live, owner, device, fmt, fix.attributes.get("msg_type"))
        live.usual = usual(live, s.broadcast or s.klass == STATION)
        before, came_ns = self._before(live, fix, fmt, book.now_ns), s.contact_ns
        rested = rests.before(live, tracker.model(live), book.now_ns)
        tracker.contact(live, device, book, reports=True)
        if device in state.facts:
            self._battery(live, device, book)
        if len(s.fixers) > 1 and not ahead and fmt != "ais":
            self._as_others(live, fix, book)
        time_ns = state.clocks.taken_at(fix, self.operation, s.track_id, before, book)
        if not s.ring or time_ns > s.ring.newest_ns:
            s.dated = state.clocks.dated(device, book.now_ns - time_ns) if fix.time_source == "device" else SURE
        self._put_right(live, device, book)
        if (ahead or time_ns != fix.time_ns) and not self._covered(device, time_ns, fix.lat_deg, fix.lon_deg):
            self._shown(live, book)
            return
        m = of_fix(fix, time_ns, tracker.model(live))
        if ahead or (fix.time_ns is not None and time_ns != fix.time_ns):
            m = self._at_about(live, m)
        if fmt == "ais":
            second, stamped = fix.attributes.get("utc_second"), fix.time_source != "server"
            m, old = copies.once(live, m, second, stamped, book.now_ns, tracker.model(live))
            time_ns = m.time_ns
            if old is not None:
                tracker.take_out(live, old, book)
        false = bool(s.decided) and is_false(live, m)
        held = self.holds(live, fix, time_ns)
        if not held and time_ns < s.ring.newest_ns:
            self._said_again(live, m, book)
        spoken = state.deception.taken(s.track_id, m)
        doubted = state.clocks.may_be_behind(device)
        if live.rival(m) is not None and (doubted or _fell_back(s, m, came_ns, book.now_ns)):
            false = True  # its time is another's: where it is not known yet
        outcome = "refused" if held else "same" if false else tracker.measure(live, spoken, book, doubted=doubted)
        if rested is not None:
            rests.ended(live, tracker.model(live), rested, m)
        if outcome == "began" and (gone := state.gone.pop(owner.key, None)) is not None:
            tracker.returned(live, m, gone.time_ns, (gone.lat_deg, gone.lon_deg), book)
        hung = stuck.hung(s.ring, device, time_ns) if outcome in ("beside", "merged", "waits") else 0
        if not false and not held and not hung and s.klass != STATION:
            book.fixes.append(TakenFix(self.operation, s.track_id, time_ns, fix.lat_deg, fix.lon_deg))
        if outcome in ("beside", "refused") and (hung or live.hangs(device, tracker.model(live))):
            outcome, held = "refused", True
        agree = live.agree(tracker.model(live)) if outcome == "refused" else 0
        leap = state.deception.fix(live, m, said_mps(fix), outcome, self.allowed(), book, agree=agree, held=held, hung=hung,
                                   top_mps=tracker.model(live).preset.max_speed_mps)  # fmt: skip
        if leap is not None:
            tracker.jumped(live, m, leap.text(), book)
        if outcome == "waits":
            s.due_ns = min(s.due_ns, book.now_ns + tracker.sweep_ns)
            if state.visits.zones:
                state.visits.came_late(s.track_id, time_ns, s.due_ns)
            self._settled(live, book)
        else:
            self._shown(live, book)
            if state.visits.zones:
                self._visited(live, time_ns, book)
        self._belied(time_ns, book)

    def _said_again(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """A late fix of a receiver that is jammed and hung is the first at its place: the next one only says it again."""
        later = live.next_fix(m.device, m.time_ns + 1)
        if later is None or (later.lat_deg, later.lon_deg) != (m.lat_deg, m.lon_deg):
            return
        if self._state.deception.jams(live.state.track_id, m.device, later.time_ns):
            self.tracker.take_out(live, later, book)

    def _before(self, live: LiveTrack, fix: Fix, fmt: str, now_ns: int) -> Before:
        """What a device's times were up to a fix of it; asked where that one takes longer than its messages do."""
        lag = self._state.clocks.lags.get(fix.device)
        if lag is None or fix.time_ns is None or self._state.clocks.is_right(fix.device, lag, now_ns - fix.time_ns):
            return _UNKNOWN
        if lag.run:
            return Before(as_said=partial(as_said.fits, live, self.tracker.model(live), fix.device))
        s, last = live.state, live.state.ring.last_fixes(fix.device, 4)
        if not last:
            return _UNKNOWN
        way_ns = s.contact_ns - last[-1] if s.ring.newest_ns == last[-1] else WAY_NS
        every = [b - a for a, b in itertools.pairwise(last)]
        even = len(every) == 3 and max(every) - min(every) <= LITTLE_SAME_NS
        return Before(last[-1], every[-1] if every else None, way_ns if 0 <= way_ns < SMALL_NS else WAY_NS, even,
                      many=fmt == "ais")  # fmt: skip

    def _as_others(self, live: LiveTrack, fix: Fix, book: Book) -> None:
        """Ask the other receivers of a shipment whether the clock of one that is late is behind; if so, what came in of it
        since it is late is taken when it was made, as if that had been known.
        """
        if fix.time_ns is None or fix.time_source != "device":
            return
        clocks, device, took_ns = self._state.clocks, fix.device, book.now_ns - fix.time_ns
        if took_ns < SMALL_NS:
            clocks.late.pop(device, None)
            return
        model = self.tracker.model(live)
        m = of_fix(fix, fix.time_ns, model)
        one = as_others.Said(fix.time_ns, took_ns, fix.lat_deg, fix.lon_deg, max(m.r_ee, m.r_nn))
        late = clocks.late_again(device, one)
        if late is None:
            return
        known = as_others.behind(device, late, live.between(late.said[0].time_ns - int(FRESH_S * NS), book.now_ns))
        if known is None:
            return
        by_ns, other = known
        first_ns = clocks.is_behind(fix, by_ns, other, self.operation, live.state.track_id, book).first_ns
        self.tracker.catch_up(live, book)
        some = []
        for m in live.state.ring:
            if m.device == device and m.origin == "fix" and first_ns <= m.time_ns <= fix.time_ns:
                self.tracker.withdraw(live, m, book)
                if not self._covered(device, m.time_ns + by_ns, m.lat_deg, m.lon_deg):
                    continue
                m = self._at_about(live, msgspec.structs.replace(m, time_ns=m.time_ns + by_ns))
            some.append(m)
        base, first = live.base, min((m for m in some if m.origin == "fix"), key=in_order, default=None)
        if base is not None and first is not None:
            base = unlearnt(base, device, first, model)
            if live.left is not None:
                live.left += [(m, "used") for m in some if m.time_ns <= base.time_ns]
            some = [m for m in some if m.time_ns > base.time_ns]
        live.restart(base, some)
        if live.state.ring:
            self.tracker.retell(live, min(first_ns, live.state.ring.time_ns(0)), book)
        if self.tracker.log.busy(first_ns):
            self.tracker.log.disturbed(self.tracker, live, first_ns, book)

    def _put_right(self, live: LiveTrack, device: str, book: Book) -> None:
        """A clock fell back, as is known by now: what was taken at the times that it said is taken at those that it meant."""
        held = self._state.clocks.held(device)
        if not held:
            return
        self.tracker.catch_up(live, book)
        back_ns, first_ns, model = self._state.clocks.lags[device].correction_ns, held[0][0], self.tracker.model(live)
        for time_ns, lat_deg, lon_deg in held:
            m = live.fix_at(device, time_ns)
            if m is not None and (m.time_ns, m.lat_deg, m.lon_deg) == (time_ns, lat_deg, lon_deg):
                live.remove(m)
                self.tracker.withdraw(live, m, book)
                if self._covered(device, m.time_ns + back_ns, m.lat_deg, m.lon_deg):
                    live.insert(self._at_about(live, msgspec.structs.replace(m, time_ns=m.time_ns + back_ns)), model)
        self.tracker.retell(live, first_ns, book)

    def _covered(self, device: str, time_ns: int, lat_deg: float, lon_deg: float) -> bool:
        """Whether a position may stand at a time that its clock did not say: of that nobody asked the warrant."""
        directory = self._directory
        known = directory.device(device)
        if not directory.ruling or (known is not None and known.basis != "warrant"):
            return True
        if not directory.under_warrant(device, self.operation):
            return True
        said, _ = directory.warrants.verdict(device, self.operation, "" if known is None else known.klass, time_ns,
                                             lat_deg=lat_deg, lon_deg=lon_deg)  # fmt: skip
        return said == "accept"

    def _at_about(self, live: LiveTrack, m: Measurement) -> Measurement:
        """A fix whose time is only known to about ``ABOUT_S``: it may lie so much further along its way, or less far."""
        ve, vn = m.ve_mps, m.vn_mps
        if ve is None or vn is None:
            core = live.core(self.tracker.model(live))
            ve, vn = (0.0, 0.0) if core is None else (core.x[1], core.x[3])
        e, n = ve * ABOUT_S, vn * ABOUT_S
        return msgspec.structs.replace(m, r_ee=m.r_ee + e * e, r_en=m.r_en + e * n, r_nn=m.r_nn + n * n)

    def idle(self, to_ns: int) -> bool:
        """Whether ``wait`` to a time has nothing to do; until ``turns.idle_ns`` that is so, while nothing else happens."""
        state, log, turns = self._state, self.tracker.log, self.turns
        if turns.next_ns() <= to_ns and turns.somebodys(to_ns):
            return False
        if log.shown or state.doors.alarms or state.doors.knocks or state.clocks.ahead:
            return False
        self.usual.plain = not (state.awaited.of or state.deception.speedless or log.items or self.usual.asks())
        turns.idle_ns = min(
            log.due_ns, state.awaited.due_ns, state.warrants.due_ns, state.retention.due_ns, turns.next_ns(),
            self._forgotten_ns() if state.facts and self.operation == OPEN else NEVER_NS,
        )  # fmt: skip
        return turns.idle_ns > to_ns

    def _forgotten_ns(self) -> int:
        """When the facts of whoever stated none for the longest time are asked of again."""
        return next(iter(self._state.facts.values())).heard_ns + int(self.tracker.presets.broadcast_end_s * NS) + 1

    def tag_read(self, owner: Owner, read: TagRead, time_ns: int, place: Placement | None, book: Book) -> None:
        """A tag that a reader saw: its owner's track was at the reader."""
        if self.clock_ahead(read.device, read.time_ns, book, None):
            self.heard(owner, read.device, book, reports=False)
            return
        self._state.reads = True
        if place is not None and owner.key.startswith("d:"):
            self.turns.end(book)
            self.tracker.rides(owner.key, at_place(place, time_ns, read.device, "tag_read"))
        live = self._track(owner, read.epc, book, make=place is not None)
        if live is None:
            return
        self._describe(live, owner, read.epc, "")
        self.tracker.contact(live, read.device, book, reports=False)
        if place is not None:
            at = self.tracker.companions.read(live, at_place(place, time_ns, read.device, "tag_read"), self.tracker.log.crowd)
            self.tracker.read(live, at, read.rssi_dbm, book)
        self._shown(live, book)
        self._visited(live, time_ns, book)

    def reading(self, owner: Owner, reading: Reading, time_ns: int, fmt: str, book: Book) -> None:
        """What a device of this operation measured: a fact of its track, which is not silent."""
        self.turns.came(self.tracker.whose(owner.key, reading.device), book)
        keep_fact(self._state.facts, reading.device, reading.quantity, reading.value, time_ns, book.now_ns)
        live = self._track(owner, reading.device, book, make=False)
        if live is not None:
            self._describe(live, owner, reading.device, fmt)
            self.tracker.contact(live, reading.device, book, reports=True)
            self._battery(live, reading.device, book)
            self._shown(live, book)

    def heard(self, owner: Owner, device: str, book: Book, *, reports: bool) -> None:
        """A message without a position to use: the owner's track, if there is one, is not silent."""
        self._state.awaited.over(device, book)
        live = self.turns.came(self.tracker.whose(owner.key, device), book)
        if live is not None:
            self.tracker.contact(live, device, book, reports=reports)
            self._shown(live, book)

    def clock_ahead(
        self, device: str, time_ns: int | None, book: Book, key: str | None, *, least_ns: int | None = None
    ) -> bool:
        """Whether a device's time is too far ahead to be believed, told of the track of ``key``."""
        if time_ns is None or (time_ns <= book.now_ns and not self._state.clocks.ahead):  # as nearly always
            return False
        tracks = () if key is None else self._track_ids(key, device)
        way_ns, ahead_s = self._way_ns(key, device), self.presets.ahead_s
        return self._state.clocks.is_ahead(
            device, self.operation, time_ns, tracks, ahead_s, way_ns, book, least_ns=least_ns
        )

    def _way_ns(self, key: str | None, device: str) -> int | None:
        """What the newest message of a track took from where it was measured to us, as it stated it; None: nobody knows."""
        live = None if key is None else self.tracker.whose(key, device)
        if live is None or not live.state.ring:
            return None
        took = live.state.contact_ns - live.state.ring.newest_ns
        return took if 0 <= took < SMALL_NS else None

    def clock_refused(self, owner: Owner, device: str, detail: str, book: Book, *, placed: bool = False) -> None:
        """The door refused a message for its time: whose track it is is not silent, and its clock is told of.

        Args:
            placed: it says where it is, so that its track may yet begin.
        """
        if self.turns.came(self.tracker.whose(owner.key, device), book) is not None or placed:
            tracks, way_ns = self._track_ids(owner.key, device), self._way_ns(owner.key, device)
            self._state.clocks.refused(device, self.operation, detail, tracks, way_ns, book)
            self.heard(owner, device, book, reports=True)
        elif device in self._state.awaited.of:
            self._state.awaited.mistimed(device, detail, self.operation, self._track_ids, book)

    def before_attached(self, device: str, time_ns: int, book: Book) -> None:
        """What a device says is dated before it was attached here: whoever waits for it is told that it is heard."""
        self._state.awaited.before(device, time_ns, self.operation, self._track_ids, book)

    def not_admitted(self, device: str, why: str, book: Book) -> None:
        """The door refused a message for want of a warrant: whoever waits for the device is told that, and no more."""
        self._state.awaited.refused(device, why, self.operation, self._track_ids, book)

    # --- doors, alarms, triggers, looks -------------------------------------------------------

    def stands_open(self, device: str) -> bool:
        """Whether a door that this operation was told of has not been shut."""
        return device in self._state.doors.standing

    def door(self, door: Reading, on: bool, time_ns: int, place: Placement | None, key: str, book: Book) -> None:
        """A door opened or was shut; ``key`` says of which track."""
        window_s = self.presets.alarm_window_s
        self.turns.came(self.tracker.whose(key, door.device), book)
        self._state.doors.door(door, on, time_ns, place, self.operation, self._track_ids(key, door.device), window_s, book)

    def alarm_contact(self, owner: Owner, alarm: Alarm, book: Book) -> None:
        """A device of this operation called: its track is not silent."""
        live = self._track(owner, alarm.device, book, make=False)
        if live is not None:
            self.heard(owner, alarm.device, book, reports=True)

    def alarm(self, alarm: Alarm, time_ns: int, place: Placement | None, key: str, book: Book) -> None:
        """An alarm; ``key`` says of which track."""
        live = self.turns.came(self.tracker.whose(key, alarm.device), book)
        if live is not None and alarm.alarm in JAMS:
            text = f"{alarm.alarm}: {alarm.text}" if alarm.text else alarm.alarm
            self._state.deception.jammed(live, alarm.device, time_ns, text, book)
            self._settled(live, book)
            return
        window_s = self.presets.alarm_window_s
        self._state.doors.alarm(alarm, time_ns, place, self.operation, self._track_ids(key, alarm.device), window_s, book)

    def trigger(self, sensor: str, place: Placement, time_ns: int, book: Book) -> None:
        """A placed sensor felt something."""
        self.turns.end(book)
        live = self.tracker.trigger(at_place(place, time_ns, sensor, "trigger"), book)
        if live is not None:
            self._shown(live, book)

    def take_look(self, look: Look, book: Book) -> None:
        """The sightings of one look."""
        self.turns.end(book)
        for live in self.tracker.take_look(look, book):
            self._shown(live, book)
        self._belied(look.time_ns, book)

    def _belied(self, time_ns: int, book: Book) -> None:
        """Whose receivers looks belie, as that is settled by now."""
        log, deception = self.tracker.log, self._state.deception
        if not log.crowd.belied and not deception.belied:
            return
        for track_id in sorted(log.crowd.belied.keys() | deception.belied.keys()):
            live = self.tracker.tracks.get(track_id)
            if live is not None:
                doubt = log.doubt(live, time_ns)
                if (doubt is None) != (track_id not in deception.belied):
                    deception.belies(live, doubt, time_ns, book)
                    self._shown(live, book)


def _fell_back(s: TrackState, m: Measurement, came_ns: int, now_ns: int) -> bool:
    """Whether a second fix of a time may be of a clock that just fell back by a few reports: the first such one took longer to
    come in than the message before it, and nothing newer has come in since.
    """
    newest_ns = s.ring.newest_ns
    first_ns = s.told.get(SAME_TIME)
    if first_ns == newest_ns:
        return True
    longer = now_ns - m.time_ns >= came_ns - newest_ns + FELL_NS
    if not longer or (first_ns is not None and newest_ns - first_ns < FELL_ONCE_NS):
        return False
    s.told[SAME_TIME] = newest_ns
    return True


def _no_attributes(live: LiveTrack) -> dict[str, Value]:
    return {}
