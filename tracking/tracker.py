"""The identified tracks of one operation: measurements, triggers, and what of looks is theirs.

An identified measurement belongs to the track of its key (a shipment, or a device of none); the first one makes a
confirmed track, out of the contact that it fits where there is one.  A track with an identity never dies: it coasts, then
is silent, with an ellipse that grows; what time does to it stands in ``lifetime``.  The looks and the anonymous contacts are
``looks`` and ``contacts``.

Over 400 lines: a measurement's way into its track, and every event and step that follows from it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat

import msgspec

from birddog.geo import distance_m
from birddog.model import Event, Track, TrackPoint, Value
from birddog.units import NS, iso_from_ns
from tracking import readers, stuck
from tracking.anchor import apart_m
from tracking.arms import TOGETHER_M, of
from tracking.assign import Spot
from tracking.book import Book
from tracking.budget import Allowed
from tracking.companions import Companions
from tracking.contact import Look
from tracking.crowd import Rider
from tracking.doubt import TURNS, beyond_reach_m, other_place, turns_after
from tracking.kernel import ALONE_S
from tracking.leap import ROAD_MPS
from tracking.looks import LookLog
from tracking.majority import agreed, undecided
from tracking.measurement import Measurement
from tracking.obeyed import merged_keys
from tracking.portals import came_by, came_through, was_elsewhere
from tracking.presets import UNSAID_S, Presets
from tracking.running import Told
from tracking.step import Core, Model, placed, predicted
from tracking.together import last_together
from tracking.track_state import MOVED, Anew, LiveTrack, Outcome, TrackState

#: So many of the last five fixes refused: the track is contradicted.
MOSTLY = 3
#: So many missing messages of one gap are counted: what is longer is no loss on the way.
MISSED_AT_ONCE = 6
#: What was silent for so long (s) and is further than this from where it was (m) is told of.
LONG_OFF_M, LONG_OFF_S = 1000.0, 600.0
#: A track is faster than its class from so many times the class's top speed on, and that of the road; what is slower than that,
#: m²/s², is not asked.
FAST = 1.2
SPED2 = (FAST * ROAD_MPS) ** 2
#: Messages after which it is known how often a device reports.
LEARNT = 5
#: So many jumps of a track are remembered that were told of while a decision stood of which track is which.
LEAPT_MOST = 4


class Tracker:
    """One operation's tracks, in the order in which they began.

    Args:
        interval_of: LiveTrack -> expected seconds between its messages, None: its silence means nothing.
    """

    def __init__(
        self, operation: str, presets: Presets, interval_of: Callable[[LiveTrack], float | None],
        states: list[TrackState] | None = None, log: LookLog | None = None,
    ):  # fmt: skip
        self.operation, self.presets, self.interval_of = operation, presets, interval_of
        self.reinit_ns, self.sweep_ns = int(presets.reinit_s * NS), int(presets.sweep_s * NS)
        self.log = LookLog(operation) if log is None else log
        #: What the alert budget allows this operation's rules; None: no budget, each rule keeps its threshold.
        self.allowed: Callable[[], Allowed | None] = lambda: None
        self.models: dict[str, Model] = {}
        self.tracks: dict[str, LiveTrack] = {}
        self.by_key: dict[str, LiveTrack] = {}
        self.companions = Companions(self)
        for state in states or []:
            self.add(state)
        merged = {key: live for live in self.tracks.values() for key in merged_keys(live.state.decided)}
        self.by_key = merged | self.by_key  # what was split off again has a track of its own

    def add(self, state: TrackState) -> LiveTrack:
        """A new (or restored) track."""
        live = LiveTrack(state)
        self.tracks[state.track_id] = live
        for key in (state.key, *state.riding):
            self.by_key[key] = live
        self.companions.change(live, [], state.passes)
        return live

    def whose(self, key: str, device: str) -> LiveTrack | None:
        """The track that a device of an owner's key feeds: its own, where an operator split it off."""
        live = self.by_key.get(key)
        if live is None or not live.state.decided:
            return live
        own = self.by_key.get(f"{key}/{device}")  # also where what it left was merged into another since
        return self.by_key.get(f"{live.state.of or live.state.key}/{device}", live) if own is None else own

    def model(self, live: LiveTrack) -> Model:
        """The motion model of a track."""
        klass = live.state.klass
        found = self.models.get(klass)
        if found is None:
            found = self.models[klass] = Model(preset=self.presets.of(klass), presets=self.presets, klass=klass)
        return found

    def set_presets(self, presets: Presets) -> None:
        """Other presets from now on; what came before is not run again with them."""
        for live in self.tracks.values():
            live.freeze(self.model(live))
        self.presets = presets
        self.reinit_ns, self.sweep_ns = int(presets.reinit_s * NS), int(presets.sweep_s * NS)
        self.models.clear()

    def set_back(self, now_ns: int) -> None:
        """It is earlier than was thought."""
        for live in self.tracks.values():
            s = live.state
            s.contact_ns, s.row_ns = min(s.contact_ns, now_ns), min(s.row_ns, now_ns)
            s.stored_ns = min(s.stored_ns, now_ns)
            s.told = {kind: min(told_ns, now_ns) for kind, told_ns in s.told.items()}
            s.due_ns = min(s.due_ns, now_ns)

    def set_class(self, live: LiveTrack, klass: str) -> None:
        """Another class from now on."""
        if klass and klass != live.state.klass:
            live.freeze(self.model(live))
            live.state.klass = klass

    # --- identified ---------------------------------------------------------------------------

    def rides(self, key: str, m: Measurement) -> None:
        """A passive tag of no shipment goes with the one identified track that passes its reader, until it is read elsewhere.

        A tag says nothing of itself between two readers: what it is on is known from who was there, as long as only one was.
        """
        live = self.by_key.get(key)
        if live is not None and key not in live.state.riding:
            return
        # what does not report by itself carries nobody: thousands of tags at one reader are not asked about each other
        asked = [one for one in self.tracks.values() if one.state.reports]
        there = [rider.track_id for rider in self._near(m, asked) if rider.logs]
        if live is not None:
            if live.state.track_id not in there:
                del self.by_key[key]
                live.state.riding = tuple([one for one in live.state.riding if one != key])
            return
        lives = [self.tracks[track_id] for track_id in there]
        free = [one for one in lives if one.state.key.startswith("d:") and one.state.reports and not one.state.riding]
        if len(free) == 1 and self.log.fitting(m, self.presets) is None:
            free[0].state.riding += (key,)
            self.by_key[key] = free[0]

    def _near(self, m: Measurement, among: Iterable[LiveTrack] | None = None) -> list[Rider]:
        """The identified tracks (of these, if given) that a measurement at a place may be of."""
        spot = Spot(m.lat_deg, m.lon_deg, m.r_ee, m.r_en, m.r_nn)
        look = Look(sensor=m.device, time_ns=m.time_ns, spots=[spot], pd=0.5, density_per_km2=self.presets.trigger_per_km2)
        return self.log.riders(self, look, None, among)

    def contact(self, live: LiveTrack, device: str, book: Book, *, reports: bool) -> None:
        """A message of this track's came in: its silence, if any, is over."""
        s = live.state
        if s.contacts > 0:
            gap_s = (book.now_ns - s.contact_ns) / NS
            if gap_s > 0.0:
                if self.presets.alerts.false_per_shift is not None and s.gap_s > 0.0:
                    every_s = self.interval_of(live)
                    s.lost += 0 if every_s is None else min(max(round(gap_s / every_s) - 1, 0), MISSED_AT_ONCE)
                s.gap_s = gap_s if s.gap_s == 0.0 else s.gap_s + 0.2 * (gap_s - s.gap_s)
        s.contacts += 1
        s.contact_ns = book.now_ns
        s.reports = s.reports or reports
        if device and device not in s.sources:
            s.sources += (device,)
        if s.open_events:
            silent = s.open_events.pop("silent", None)
            if silent is not None:
                book.end(silent, book.now_ns)

    def measure(self, live: LiveTrack, m: Measurement, book: Book, *, doubted: bool = False) -> Outcome:
        """An identified measurement into its track, with the points and events that follow.

        Args:
            doubted: its time may be wrong, so that it is no second fix of that time.
        """
        m, since_ns = self._stuck(live, m)
        outcome = self._into(live, m, book, doubted)
        if m.origin == "fix" and m.time_ns < live.state.ring.newest_ns and outcome not in ("same", "old"):
            changed = stuck.about(live.state.ring, m.device, m.time_ns)
            since_ns = live.mark_hung(changed) if changed else since_ns
        if since_ns is not None:
            self.catch_up(live, book)
            self.retell(live, since_ns, book)
        if live.state.foretold and outcome in ("began", "used", "moved", "old"):
            self.unforetold(live, [m.time_ns], [(m.lat_deg, m.lon_deg)], book)
        if m.origin == "fix" and outcome in ("used", "moved", "refused") and live.state.ring.has("tag_read"):
            self._read_elsewhere(live, m, book)
        return outcome

    @staticmethod
    def _stuck(live: LiveTrack, m: Measurement) -> tuple[Measurement, int | None]:
        """A fix that is newer than all, marked where it only says its receiver's last place again (``stuck``); and since when
        those before it are no measurements of a place either, where that is new.
        """
        ring = live.state.ring
        if m.origin != "fix" or not ring.n or m.time_ns <= ring.newest_ns:
            return m, None
        m, changed = stuck.newest(ring, m)
        return m, live.mark_hung(changed) if changed else None

    def read(self, live: LiveTrack, m: Measurement, rssi_dbm: float | None, book: Book) -> None:
        """A reader has read the track's tag: the first read of a window that says where it is is the measurement, whichever
        comes in first; what was read since, by whichever reader, is decided again with one that comes in late.
        """
        window_ns, reads = int(self.presets.read_window_s * NS), live.state.reads
        own = (m.time_ns // window_ns, m.device)
        late = readers.heard(reads, m, rssi_dbm)
        gone, told_ns = [], None
        for window, device in readers.windows(reads, m.time_ns, window_ns) if late else [own]:
            old, new = live.read_then(device, window, window_ns), readers.measured(reads, device, window, window_ns)
            if old is not None and new is not None:
                new = msgspec.structs.replace(new, here=old.here, doubted=old.doubted)
            elif new is not None and (window, device) == own:
                new = msgspec.structs.replace(new, here=m.here)
            if new == old or (new is not None and live.is_old(new.time_ns)):
                continue
            if old is not None:
                told_ns = old.time_ns if told_ns is None else told_ns
                if new is None:
                    gone.append(old)
                    continue
                self.take_out(live, old, book)
            if new is not None:
                self.measure(live, new, book)
        for old in gone:
            self.take_out(live, old, book)
        if told_ns is not None and live.state.ring.newest_ns > min(told_ns, m.time_ns):
            self.retell(live, min(told_ns, m.time_ns), book)

    def take_out(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """A measurement of a track's ring is none any more, and no step is its."""
        self.catch_up(live, book)
        live.remove(m)
        self.withdraw(live, m, book)

    def _into(self, live: LiveTrack, m: Measurement, book: Book, doubted: bool) -> Outcome:
        model, s = self.model(live), live.state
        if self.log.items:
            m = self.log.marked(live, m)
        if m.origin == "tag_read" and s.open_events and _read_apart(s) == m.device:
            m = msgspec.structs.replace(m, doubted=True)
        live.stored(m, book.now_ns)
        first = not s.ring and s.base is None
        timely = not first and live.in_time(m)
        told_of = bool(s.open_events) or s.status == "silent"  # what comes back says where
        if (first or timely) and not told_of and not self.log.busy(m.time_ns):
            told = live.follow(m, model, self.reinit_ns)
            if told is not None:  # as nearly all: nothing is run again, and there is nothing to tell of it
                self.stepped(live, told, m, book)
                return "began" if first else "used"
        if timely and not self.log.busy(m.time_ns):
            before = live.core(model)
            outcome, nis, core = live.insert(m, model)
            assert before is not None and core is not None, "what comes in time comes to a track that began"
            if outcome not in ("refused", "beside"):
                self.point(live, core, m, nis, book)
            if outcome != "used" or core.eventful or told_of or m.time_ns - before.updated_ns >= self.reinit_ns:
                self._measured(live, m, None, before, outcome, nis, book)
            return outcome
        anew = bool(self.log.items) and not first and self.log.begins_anew(live, m)
        # what just fell silent or coasts is shown at once
        if not anew and live.put_off(m, s.status != "confirmed"):
            if self.log.busy(m.time_ns):
                self.log.disturbed(self, live, m.time_ns, book)
            return "waits"
        self.catch_up(live, book)
        if not (first or self.log.busy(m.time_ns)):
            if s.ring and m.time_ns > s.ring.newest_ns:
                told = None if told_of else live.follow(m, model, self.reinit_ns)
                if told is not None:  # nothing waits any more
                    self.stepped(live, told, m, book)
                    return "used"
            elif (put := live.put_in(m, model, self.reinit_ns)) is not None:
                steps, (outcome, nis, before) = put
                self._told_anew(live, steps, [(m, outcome, nis, before)], m.time_ns, book)
                return outcome
        begins = self.log.busy(m.time_ns) and live.core(model) is None
        if begins:
            self._goes_on(live, m, book)
        if anew:
            self.log.unbegun(live)
        rival, before = None if doubted else live.rival(m), live.core_at(m.time_ns, model)
        outcome, nis, core = live.insert(m, model)
        if begins or anew:
            self.log.begun(self, live, m, book)
            core = live.core_at(m.time_ns, model)
        elif outcome not in ("same", "old") and self.log.busy(m.time_ns):
            self.log.disturbed(self, live, m.time_ns, book)
        late = bool(s.ring) and m.time_ns < s.ring.newest_ns
        if outcome == "merged" or (late and outcome not in ("same", "old")):
            self.retell(live, m.time_ns, book)
        elif core is not None and outcome in ("began", "used", "moved"):
            self.point(live, core, m, nis, book)
        self._measured(live, m, rival, before, outcome, nis, book)
        if late:
            self._taken_over(live, m.time_ns, book)
        return outcome

    def catch_up(self, live: LiveTrack, book: Book) -> None:
        """Tell of the late measurements that waited."""
        if not live.state.waiting:
            return
        model, first_ns = self.model(live), min(m.time_ns for m in live.state.waiting)
        steps = live.since(first_ns, model)
        if not live.state.open_events and live.only_steps(steps, model, self.reinit_ns):
            live.told_steps(model)
            self.retold(live, steps, book)
        else:
            self._told_anew(live, steps, live.caught_up(model, self.reinit_ns), first_ns, book)

    def follow_late(self, live: LiveTrack, m: Measurement, model: Model) -> tuple[Told, Anew] | None:
        """``LiveTrack.follow`` where late ones wait, and the steps from the first of them on, where there is nothing else to
        tell of them (``catch_up``); None: not so, and they wait.
        """
        if live.state.open_events:
            return None
        steps = live.since(min(one.time_ns for one in live.state.waiting), model)
        if not live.only_steps(steps, model, self.reinit_ns) or (told := live.follow(m, model, self.reinit_ns)) is None:
            return None
        live.told_steps(model)
        return told, steps

    def put_in(self, live: LiveTrack, m: Measurement, model: Model, book: Callable[[], Book]) -> Book | None:
        """A late measurement like nearly all into a track of which none waits, whose credit was asked for it, and what follows
        from it; None where it is no such one, and nothing is changed.
        """
        put = live.put_in(m, model, self.reinit_ns)
        if put is None:
            return None
        steps, (outcome, nis, before) = put
        live.state.credit = max(0, live.state.credit - len(steps.steps.times_ns))
        tells = book()
        self._told_anew(live, steps, [(m, outcome, nis, before)], m.time_ns, tells)
        return tells

    def _told_anew(
        self, live: LiveTrack, steps: Anew,
        late: list[tuple[Measurement, Outcome, float, Core | None]], first_ns: int, book: Book,
    ) -> None:  # fmt: skip
        """The steps from a time on, and the events that follow from the late measurements among them."""
        took_over = self.retold(live, steps, book)
        eventful, s = live.eventful(self.model(live)), live.state
        for m, outcome, nis, before in late:
            # of one that was used soon after another, as nearly all, there is nothing to tell
            if outcome != "used" or before is not None or eventful or s.open_events or m.doubted:
                self._measured(live, m, None, before, outcome, nis, book)
        if took_over:
            self._taken_over(live, first_ns, book)

    def _taken_over(self, live: LiveTrack, after_ns: int, book: Book) -> None:
        """Tell of what took over once a late measurement was in its place: none of those that came in before it did."""
        model = self.model(live)
        for m, before, _ in live.taken_over(after_ns, int(self.presets.alarm_window_s * NS), model):
            if m.origin != "sighting":  # what looks moved they have told of
                self._moved(live, m, before, model, book)

    def _goes_on(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """A track begins at a contact that it fits: it is shown under that one's id, as one thing, which reports and so is no
        longer dark.
        """
        contact = self.log.fitting(m, self.presets)
        shown = None if contact is None else self.log.shown.pop(contact.name, None)
        if contact is None or shown is None or shown.status == "deleted":
            return
        s = live.state
        del self.tracks[s.track_id]
        s.track_id, s.points = shown.track_id, shown.points
        s.sources += tuple([sensor for sensor in contact.sensors if sensor not in s.sources])
        if shown.dark is not None and shown.judged != "dismiss_dark":
            book.end(shown.dark, m.time_ns)
        self.tracks[s.track_id] = live

    def _measured(
        self, live: LiveTrack, m: Measurement, rival: Measurement | None, before: Core | None, outcome: Outcome, nis: float,
        book: Book,
    ) -> None:  # fmt: skip
        """The events that follow from a measurement, and the point of one that is too old for a filter."""
        model, s = self.model(live), live.state
        if outcome == "old":
            if live.left is not None:
                live.left.append((m, None))
            s.points += 1
            book.points.append(
                TrackPoint(
                    track_id=s.track_id, seq=s.points, time_ns=m.time_ns, lat_deg=m.lat_deg, lon_deg=m.lon_deg,
                    ve_mps=0.0, vn_mps=0.0, p_ee=m.r_ee, p_en=m.r_en, p_nn=m.r_nn, origin=m.origin, device=m.device,
                    believed_at=book.seq, alone=True,
                )
            )  # fmt: skip
        newest = live.core(model)
        assert newest is not None
        if m.doubted and m.origin == "tag_read":  # its receiver is elsewhere: it is told of already
            return
        if m.doubted:
            if self.log.doubt(live, m.time_ns) is None:  # it is not settled
                self._contradicted(live, m, newest, book)
                return
            for kind in ("outlier", "contradicted"):  # ``belied`` says it, and more
                if kind in s.open_events:
                    book.end(s.open_events.pop(kind), m.time_ns)
            return
        gap_s = 0.0 if before is None else (m.time_ns - before.updated_ns) / NS
        late = bool(s.ring) and m.time_ns < s.ring.newest_ns  # of a gap that it fills the newer one told
        off = s.status == "silent" or (gap_s >= self.presets.reinit_s and s.gap_s < 0.4 * gap_s)
        if outcome == "used" and not late and before is not None and off and gap_s >= LONG_OFF_S:
            away_km = _away_km(before, m)  # long off, by its own measure, and somewhere else: nothing had to be refused for it
            if away_km * 1000.0 > LONG_OFF_M:
                text = f"position taken up again {away_km:.1f} km from where it was {gap_s / 60:.0f} min ago"
                self._told(live, "reacquired", m, book, text)
        if outcome == "moved":
            self._moved(live, m, before, model, book)
        if rival is not None:
            away_m = distance_m(lat1_deg=rival.lat_deg, lon1_deg=rival.lon_deg, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
            self._warned(live, "conflict", m, book, f"two fixes of one device and time, {away_m:.0f} m apart: one is false")
        self._outliers(live, m, outcome, nis, newest, model, book)
        if newest.receivers and m.origin == "fix":
            self._beside(live, m, newest, book)
        if m.origin == "fix":
            self._receivers_parted(live, m, newest, book)
            self._contradicted(live, m, newest, book)
            self._two_places(live, m, newest, book)
        if m.origin == "tag_read" and newest.fixed:
            self._parted(live, m, outcome, nis, newest, model, book)

    def _moved(self, live: LiveTrack, m: Measurement, before: Core | None, model: Model, book: Book) -> None:
        """A rival took over with a measurement: how far, and whether its class can be so fast."""
        base_ns = live.base_ns
        live.state.taken = (*[t for t in live.state.taken if base_ns is None or t > base_ns], m.time_ns)
        how_far = "" if before is None else f" {_away_km(before, m):.1f} km from where it was"
        if before is not None and not m.here and (most := agreed(before, m)):
            if "parted" in live.state.open_events and not _read_apart(live.state):  # it is the other one that has
                self._over(live, "parted", m, book)
            text = f"{' and '.join(most)} go together, {before.device} does not: it is with them,{how_far}"
            self._told(live, "reacquired", m, book, text)
            return  # none of them has jumped
        self._told(live, "reacquired", m, book, f"position taken up again{how_far}")
        # a first fix or two that were false are no place to jump from
        if before is None or before.hits < self.presets.reinit_count:
            return
        stuck = live.state.stuck
        since_ns = stuck[1] if stuck is not None and stuck[0] == before.device else before.updated_ns
        if (away_m := beyond_reach_m(before, m, model, since_ns)) > 0.0:
            text = f"{away_m / 1000:.1f} km in {(m.time_ns - since_ns) / NS:.0f} s"
            told = self.jumped(live, m, f"position jumped {text}: faster than its class can be", book)
            if told is not None and any(one.action in ("identify", "merge") for one in live.state.decided):
                live.state.leapt = (*live.state.leapt, told)[-LEAPT_MOST:]

    def returned(self, live: LiveTrack, m: Measurement, last_ns: int, last: tuple[float, float], book: Book) -> None:
        """A device whose track was forgotten is heard again: how far from where it was, and if its class can be so fast."""
        away_m = distance_m(lat1_deg=last[0], lon1_deg=last[1], lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
        gap_s = (m.time_ns - last_ns) / NS
        if away_m > LONG_OFF_M:
            text = f"position taken up again {away_m / 1000:.1f} km from where it was {gap_s / 86_400:.1f} days ago"
            self._told(live, "reacquired", m, book, text)
        if away_m > LONG_OFF_M + self.model(live).preset.max_speed_mps * max(gap_s, 0.0):
            text = f"position jumped {away_m / 1000:.1f} km in {gap_s:.0f} s: faster than its class can be"
            self.jumped(live, m, text, book)

    def sped(self, live: LiveTrack, m: Measurement, velocity: tuple[float, ...], v_m2s2: float, book: Book) -> None:
        """A fix was used: what goes faster than its class and than the road for several in a row, beyond doubt, is told of, and
        followed: a parcel that flies, once until it goes no faster.  Not of what everybody hears (an AIS message says itself
        what it is).

        Args:
            velocity: of the track with it, east and north, m/s; v_m2s2: the larger variance of the two.
        """
        s, speed_mps, count = live.state, math.hypot(*velocity), self.presets.reinit_count
        top_mps = FAST * max(self.model(live).preset.max_speed_mps, ROAD_MPS)
        doubt_mps = 3.0 * math.sqrt(v_m2s2)  # what was told of goes on until it is slower beyond doubt
        if m.origin != "fix" or s.broadcast or speed_mps + (doubt_mps if s.fast >= count else -doubt_mps) <= top_mps:
            s.fast = 0
            return
        s.fast += 1
        if s.fast > count:  # one flight is one event, however seldom it reports
            s.told["jumped"] = book.now_ns
        elif s.fast == count:
            what = f"a {s.klass}" if s.klass else "what drives"
            self.jumped(live, m, f"goes at {speed_mps:.0f} m/s, faster than {what} can: does it fly?", book)

    def jumped(self, live: LiveTrack, m: Measurement, text: str, book: Book) -> Event | None:
        """Its positions went where it cannot have gone, and so did the track; as long as it goes faster than it can from there
        on, that is said.
        """
        live.state.fast = max(live.state.fast, self.presets.reinit_count)
        return self._warned(live, "jumped", m, book, text)

    def unleapt(self, live: LiveTrack, number: int, book: Book) -> None:
        """Decision ``number`` is undone: a jump that was told of since is over where no rival takes over there any more."""
        s, ring, left = live.state, live.state.ring, []
        live.core(self.model(live))
        for told in s.leapt:
            m = live.fix_at(told.device, told.start_ns)
            at = None if m is None else ring.at(m)
            if told.seq <= number or at is None or ring.became(at)[0] == MOVED:
                left.append(told)
            else:
                book.end(told, book.now_ns)
                s.told.pop("jumped", None)
        s.leapt = tuple(left)

    def _outliers(
        self, live: LiveTrack, m: Measurement, outcome: Outcome, nis: float, newest: Core, model: Model, book: Book
    ) -> None:
        """One event for each run of refused fixes; it ends with the next fix that is used."""
        s = live.state
        going = s.open_events.get("outlier")
        if going is None and newest.run > 0 and outcome == "refused" and "parted" not in s.open_events:
            text = _refused_text(m, nis, newest, model)
            s.open_events["outlier"] = self._event(live, "outlier", m, book, text)
            self._other_place(live, m, newest, model, book)
        elif going is not None and newest.run == 0:
            book.end(s.open_events.pop("outlier"), newest.updated_ns)
        elif outcome == "refused" and m.origin == "fix" and newest.run == 0:
            self._told(live, "outlier", m, book, "late " + _refused_text(m, nis, newest, model))

    def _other_place(self, live: LiveTrack, m: Measurement, newest: Core, model: Model, book: Book) -> None:
        """A run of refused fixes began: is it again between the same two places, beyond what the class can drive?"""
        s, away_m = live.state, beyond_reach_m(newest, m, model)
        if away_m > 0.0 and not newest.parted and not newest.beside:
            s.turns = turns_after(s.turns, newest, m, away_m, book.now_ns, int(self.presets.alarm_window_s * NS))
            if s.turns.count >= TURNS and "two_places" not in s.open_events:
                self._goes(live, "two_places", m, book, f"in two places in turn, {away_m / 1000:.1f} km apart: one is false")

    def _two_places(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """One event from when its fixes come from two places in turn beyond doubt to when they do no more."""
        s, sides = live.state, newest.sides
        torn = sides is not None and sides.torn and not newest.may_be_beside
        leaps = s.turns is not None and s.turns.count >= TURNS and book.now_ns - s.turns.last_ns <= ALONE_S * NS
        if "two_places" in s.open_events:
            if not torn and not leaps or "parted" in s.open_events:  # which says it, and more
                self._over(live, "two_places", m, book)
        elif torn and sides is not None and sides.said and "parted" not in s.open_events:
            if newest.receivers and sides.apart_m <= 1.2 * TOGETHER_M:
                return  # a lorry and its trailer: no further apart than what is taken to be together
            who = " and ".join(s.fixers) if len(s.fixers) == 2 else "its sources"
            text = f"{who} are {sides.apart_m:.0f} m apart, in turn and steadily: shown between them"
            self._goes(live, "two_places", m, book, text)

    def _contradicted(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """One event from when most of the last fixes are refused to when most are used again."""
        s = live.state
        parted = newest.parted or newest.may_be_beside or "parted" in s.open_events
        if newest.refused_lately >= MOSTLY and not parted and "contradicted" not in s.open_events:
            text = f"{newest.refused_lately} of its last 5 fixes do not fit it: where it is shown may be wrong"
            self._goes(live, "contradicted", m, book, text)
        elif newest.refused_lately <= 1 and "contradicted" in s.open_events:
            self._over(live, "contradicted", m, book)

    def _beside(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """A receiver is steadily apart from the first one and goes along with it: it is said once."""
        one, kind = of(newest.receivers[1:], m.device), f"beside {m.device}"
        if one is not None and one.lever(newest.x[1], newest.x[3]) is not None and kind not in live.state.told:
            live.state.told[kind] = book.now_ns
            lead = newest.receivers[0].device
            text = f"{m.device} is {one.away_m:.0f} m from {lead} and goes along with it: shown between them"
            if not one.has_arm:
                way = "ahead of" if one.lag_s > 0.0 else "behind"
                text = f"{m.device} is {abs(one.lag_s):.0f} s {way} {lead} on the same way: its clock, or the other end"
            self._told(live, "beside", m, book, text)

    def _receivers_parted(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """Two receivers of one shipment go different ways: critical, and told until they are together again."""
        s, rival = live.state, newest.rival
        if newest.parted and rival is not None and rival.hits >= self.presets.reinit_count:
            if "parted" not in s.open_events and undecided(newest, rival, newest.time_ns):
                return  # of three and more it is those that say who it is that has parted
            if "parted" not in s.open_events:
                theirs = msgspec.structs.replace(m, device=rival.device, lat_deg=rival.lat_deg, lon_deg=rival.lon_deg)
                away_m = 1000.0 * _away_km(newest, theirs)
                apart = f"{away_m:.0f} m apart" if away_m < 1000.0 else f"{away_m / 1000:.1f} km apart"
                last = last_together(s.ring, rival.device, newest.device)
                at = "" if last is None else f"{iso_from_ns(last.time_ns)} {last.lat_deg:.5f}, {last.lon_deg:.5f}"
                together = f" last seen together at {at};" if at else ""
                text = f"{rival.device} parted from {newest.device or 'the track'}: {apart};{together} which is the goods?"
                self._goes(live, "parted", theirs, book, text)  # also where the other one said the last word of it
                if "contradicted" in s.open_events:  # ``parted`` says it, and more
                    self._over(live, "contradicted", m, book)
        elif rival is None and "parted" in s.open_events and s.open_events["parted"].device == m.device:
            self._over(live, "parted", m, book)

    def _parted(
        self, live: LiveTrack, m: Measurement, outcome: Outcome, nis: float, newest: Core, model: Model, book: Book
    ) -> None:  # fmt: skip
        """One event from the first read away from the track to the next that fits; it is where the tag was read last."""
        s, allowed, who = live.state, self.allowed(), _read_apart(live.state)
        gate = 0.0 if allowed is None else allowed.read_gate(self.presets.read_window_s, model.preset.gate)
        if outcome == "refused" and nis >= gate and ("parted" not in s.open_events or who):
            if came_by(live, m, newest, model, max(gate, model.preset.gate), book.now_ns):
                return
            lat, lon, _ = placed(newest, predicted(newest, newest.time_ns, model))
            away_m = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
            text = f"tag parted from its track: read by {m.device}, {away_m:.0f} m from it"
            if who:
                on = msgspec.structs.replace(s.open_events["parted"], device=m.device, lat_deg=m.lat_deg, lon_deg=m.lon_deg)
                s.open_events["parted"] = book.again(on, text)
            else:
                s.open_events["parted"] = self._event(live, "parted", m, book, text)
        elif outcome in ("used", "moved", "began") and "parted" in s.open_events:
            book.end(s.open_events.pop("parted"), m.time_ns)

    def _read_elsewhere(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """The next fix of a receiver after a read of its shipment's tag: whether it was where the reader stands.

        What has parted is told once, and its reads move nothing any more, nor what they moved since the fix before; that is
        over when the first fix after a read says that it came by there.
        """
        read, s = live.newest_read(m.time_ns), live.state
        if read is None or s.fixers != (m.device,) or m.time_ns < s.ring.newest_ns:  # of several receivers those say more
            return
        before, last = (live.newest_fix(m.device, min(t, m.time_ns - 1)) for t in (read.time_ns, m.time_ns))
        if before is None or last is None or read.time_ns <= before.time_ns:
            return
        first, who = last.time_ns == before.time_ns, _read_apart(s)
        if first and who == read.device and came_through(before, read, m):
            self._over(live, "parted", m, book)
        elif not who and "parted" not in s.open_events and was_elsewhere(before, read, m, first=first):
            away_m = apart_m(read, m)
            text = f"tag parted from its track: read by {read.device}, {away_m:.0f} m from where {m.device} says it is"
            s.open_events["parted"] = self._event(live, "parted", read, book, text)
            if live.mark(before.time_ns, read.time_ns, lambda one: one.device == read.device, "tag_read"):
                self.retell(live, before.time_ns, book)

    def parted_again(self, live: LiveTrack, read: Measurement, book: Book) -> None:
        """Its tag has parted from its receiver, as it had before that was given a way of its own, which was undone."""
        text = f"tag parted from its track: read by {read.device}"
        live.state.open_events["parted"] = self._event(live, "parted", read, book, text)

    def _event(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> Event:
        s = live.state
        return book.event(
            kind, self.operation, m.time_ns, track_ids=(s.track_id,), device=m.device, lat_deg=m.lat_deg, lon_deg=m.lon_deg,
            text=text,
        )  # fmt: skip

    def _goes(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> None:
        """An event begins; one that was over a short time ago goes on instead: what flaps is one thing."""
        s, over = live.state, live.state.over.pop(kind, None)
        window_ns = int(self.presets.alarm_window_s * NS)
        flaps = over is not None and over.end_ns is not None and m.time_ns - over.end_ns < window_ns and over.device == m.device
        s.open_events[kind] = book.again(over, text) if over is not None and flaps else self._event(live, kind, m, book, text)

    def _over(self, live: LiveTrack, kind: str, m: Measurement, book: Book) -> None:
        """An event is over, for now."""
        event = live.state.open_events.pop(kind)
        book.end(event, m.time_ns)
        live.state.over[kind] = msgspec.structs.replace(event, end_ns=m.time_ns)

    def _warned(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> Event | None:
        """An event that a person ends, by acknowledging its alert; once for as long as it goes on within ``alarm_window_s``."""
        told, event = live.state.told, None
        if kind not in told or book.now_ns - told[kind] >= int(self.presets.alarm_window_s * NS):
            event = self._event(live, kind, m, book, text)
        told[kind] = book.now_ns
        return event

    def _told(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> None:
        book.event(
            kind, self.operation, m.time_ns, end_ns=m.time_ns, track_ids=(live.state.track_id,), device=m.device,
            lat_deg=m.lat_deg, lon_deg=m.lon_deg, text=text,
        )  # fmt: skip

    def retell(self, live: LiveTrack, from_ns: int, book: Book) -> None:
        """The steps of a track from a time on, told anew: something before them came late, or was decided.

        Every one, also what is nearly the same: what was told before is not remembered, so that a fold that was restored in
        between tells the same.
        """
        self.retold(live, live.since(from_ns, self.model(live)), book)

    def retold(self, live: LiveTrack, anew: Anew, book: Book) -> bool:
        """``retell`` of some steps; whether a rival took over with one."""
        s, points, seq, nothing = live.state, book.points, book.seq, anew.nothing
        track_id, (times_ns, origins, devices, codes, nis, _) = s.track_id, anew.steps
        if s.foretold and times_ns and times_ns[0] <= s.foretold[-1][0]:
            moved = [i for i in range(len(times_ns)) if i not in nothing]
            self.unforetold(live, [times_ns[i] for i in moved], [tuple(anew.told[i, 1:3].tolist()) for i in moved], book)
        said: list[float | None] = [*nis]
        if not math.isfinite(sum(nis)):
            said = [values if math.isfinite(values) else None for values in nis]
        if not nothing:
            first = s.points + 1
            s.points += len(times_ns)
            lat, lon, ve, vn, p_ee, p_en, p_nn = anew.told.T[1:].tolist()
            points += map(
                TrackPoint, repeat(track_id), range(first, s.points + 1), times_ns, lat, lon, ve, vn, p_ee, p_en, p_nn, origins,
                devices, said, repeat(seq),
            )  # fmt: skip
            return MOVED in codes
        for i, (_, lat, lon, ve, vn, p_ee, p_en, p_nn) in enumerate(anew.told.tolist()):
            if i in nothing:
                self.withdraw(live, nothing[i], book)
                continue
            s.points += 1
            points.append(TrackPoint(
                track_id, s.points, times_ns[i], lat, lon, ve, vn, p_ee, p_en, p_nn, origins[i], devices[i], said[i], seq
            ))  # fmt: skip
        return MOVED in codes

    def withdraw(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """No step of this track is a measurement's, if one was."""
        s = live.state
        s.points += 1
        book.points.append(
            TrackPoint(
                track_id=s.track_id, seq=s.points, time_ns=m.time_ns, lat_deg=m.lat_deg, lon_deg=m.lon_deg, ve_mps=0.0,
                vn_mps=0.0, p_ee=m.r_ee, p_en=m.r_en, p_nn=m.r_nn, origin=m.origin, device=m.device, believed_at=book.seq,
                withdrawn=True,
            )
        )  # fmt: skip

    def unforetold(self, live: LiveTrack, times_ns: list[int], places: list[tuple[float, float]], book: Book) -> None:
        """No step of this track's trail is foretold where one of these steps, in order, was measured between what it was
        foretold from and its time.
        """
        s = live.state
        if times_ns and times_ns[0] > s.foretold[-1][0]:  # as nearly all: they are later
            return
        for at_ns, from_ns in [*s.foretold]:
            last = bisect.bisect_right(times_ns, at_ns) - 1
            if last < 0 or times_ns[last] <= from_ns:
                continue
            (lat, lon), s.points = places[last], s.points + 1
            s.foretold.remove((at_ns, from_ns))
            book.points.append(
                TrackPoint(
                    track_id=s.track_id, seq=s.points, time_ns=at_ns, lat_deg=lat, lon_deg=lon, ve_mps=0.0, vn_mps=0.0,
                    p_ee=0.0, p_en=0.0, p_nn=0.0, origin="coast", believed_at=book.seq, withdrawn=True,
                )
            )  # fmt: skip

    def point(self, live: LiveTrack, core: Core, m: Measurement, nis: float, book: Book) -> None:
        """The step that a measurement made."""
        s = live.state
        s.points += 1
        lat, lon, x = live.place(core)
        if s.fast or x[1] * x[1] + x[3] * x[3] > SPED2:
            self.sped(live, m, (x[1], x[3]), max(x[8], x[13]), book)
        book.points.append(
            TrackPoint(
                track_id=s.track_id, seq=s.points, time_ns=core.time_ns, lat_deg=lat, lon_deg=lon, ve_mps=x[1], vn_mps=x[3],
                p_ee=x[4], p_en=x[6], p_nn=x[11], origin=m.origin, device=m.device,
                nis=nis if math.isfinite(nis) else None, believed_at=book.seq,
            )
        )  # fmt: skip

    def stepped(self, live: LiveTrack, told: Told, m: Measurement, book: Book) -> None:
        """``point`` of the measurement with which the filter just went on."""
        s = live.state
        s.points += 1
        nis, lat, lon, ve, vn, p_ee, p_en, p_nn = told[:8]
        if s.fast or ve * ve + vn * vn > SPED2:
            self.sped(live, m, (ve, vn), max(told[9], told[12]), book)
        book.points.append(
            TrackPoint(
                track_id=s.track_id, seq=s.points, time_ns=m.time_ns, lat_deg=lat, lon_deg=lon, ve_mps=ve, vn_mps=vn, p_ee=p_ee,
                p_en=p_en, p_nn=p_nn, origin=m.origin, device=m.device, nis=nis, believed_at=book.seq,
            )
        )  # fmt: skip

    # --- looks --------------------------------------------------------------------------------

    def take_look(self, look: Look, book: Book) -> list[LiveTrack]:
        """The sightings of one look; returns the identified tracks that changed."""
        return self.companions.along(self.log.take(self, look, book), look.time_ns, self.log.crowd)

    def trigger(self, m: Measurement, book: Book) -> LiveTrack | None:
        """Weak evidence at a sensor's place: into the one identified track that it most likely was, if into any."""
        least = math.log(self.presets.trigger_per_km2 * 1e-6)
        likely = [(log, -k, rider.track_id) for k, rider in enumerate(self._near(m)) for _, _, log in rider.logs if log > least]
        if not likely:
            return None
        live = self.tracks[max(likely)[2]]
        if live.read_lately(m, int(self.presets.read_window_s * NS)) or live.felt_here(m, self.model(live)):
            return None
        self.measure(live, m, book)
        return live

    def coasting_s(self, live: LiveTrack) -> float:
        """Without a position for so long it is not said any more where a track is."""
        if live.state.broadcast:
            return self.presets.broadcast_lost_s / 4.0
        interval_s = self.interval_of(live)
        return self.presets.coast_factor * (self.presets.interval_s if interval_s is None else interval_s)

    def quiet_s(self, live: LiveTrack) -> float:
        """Not heard for longer, a track may have stopped where it was: sooner than it coasts where nobody said how often its
        device reports and that was learnt.
        """
        s, coasting_s = live.state, self.coasting_s(live)
        if s.broadcast or s.gap_s == 0.0 or s.contacts <= LEARNT or self.interval_of(live) not in (None, UNSAID_S):
            return coasting_s
        return min(coasting_s, self.presets.coast_factor * s.gap_s)

    # --- time ---------------------------------------------------------------------------------

    def show(self, live: LiveTrack, attributes_of: Callable[[LiveTrack], dict[str, Value]], book: Book) -> None:
        """The track's row as of the book's time is due; it is made once, when the entry is folded (``lifetime`` has when)."""
        now_ns = live.state.row_ns = book.now_ns
        attributes, model = attributes_of(live), self.model(live)
        book.row(live.state.track_id, lambda: self.row(live, now_ns, model, attributes))

    def row(self, live: LiveTrack, now_ns: int, model: Model, attributes: dict[str, Value]) -> Track:
        """The track's row at a time, with where it may be instead."""
        return self.told(live.row(now_ns, model, attributes, self.quiet_s), live, model)

    def told(self, row: Track, live: LiveTrack, model: Model) -> Track:
        """A track's row, with where it may be instead: as looks have it, where its tag was read, or what was read beside it."""
        row, s = self.log.told(row, live, model, partial(self._row_of, row.time_ns)), live.state
        if s.open_events and not row.rival_device and (reader := _read_apart(s)):
            lat, lon = s.open_events["parted"].lat_deg, s.open_events["parted"].lon_deg
            row = msgspec.structs.replace(row, rival_lat_deg=lat, rival_lon_deg=lon, rival_device=reader)
        elif row.refused >= TURNS and row.rival_lat_deg is None and (two := other_place(live, row)) is not None:
            row = msgspec.structs.replace(row, rival_lat_deg=two.lat_deg, rival_lon_deg=two.lon_deg, rival_device=two.device)
        return self.companions.told(row, live, self.log.crowd) if live.state.passes else row

    def _row_of(self, time_ns: int, track_id: str) -> Track | None:
        live = self.tracks.get(track_id)
        return None if live is None else live.row(time_ns, self.model(live), {}, self.quiet_s)

    def delete(self, live: LiveTrack, book: Book) -> None:
        """The track is no more; what was going on with it is over."""
        s = live.state
        s.status = "deleted"
        for kind in list(s.open_events):
            book.end(s.open_events.pop(kind), book.now_ns)
        self.tracks.pop(s.track_id, None)
        self.companions.change(live, s.passes, [])
        for key in (s.key, *s.riding, *merged_keys(s.decided)):
            if self.by_key.get(key) is live:
                del self.by_key[key]
        book.ended.append(s.track_id)


def _refused_text(m: Measurement, nis: float, core: Core, model: Model) -> str:
    """Why a measurement was refused: a device's own fix for being likelier false than true, another for its NIS."""
    if m.origin != "fix":
        return f"{m.origin} refused: NIS {nis:.3g} > {model.preset.gate:g}"
    return f"fix refused: {_away_km(core, m):.1f} km from the last place, where a false one is likelier than what it does"


def _read_apart(s: TrackState) -> str:
    """The reader whose reads of a tag are known to be of a tag that has parted."""
    event = s.open_events.get("parted")
    return "" if event is None or event.device in s.fixers else event.device or ""


def read_apart(s: TrackState) -> Measurement | None:
    """The newest read of a tag that has parted from the receivers of its track."""
    reader = _read_apart(s)
    if not reader or not (reads := s.reads.get(reader)):
        return None
    read = reads[-1]
    return Measurement(read.time_ns, reader, "tag_read", read.lat_deg, read.lon_deg, read.r, 0.0, read.r)


def _away_km(core: Core, m: Measurement) -> float:
    lat, lon, _ = placed(core, core.x)
    return distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg) / 1000.0
