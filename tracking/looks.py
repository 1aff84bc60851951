"""The looks of one operation in order of time, and what followed from each: late ones are exact.

Beside the rings of the identified tracks (``track_state``) stands the list of the last looks, each with the contacts
(``crowd.Crowd``) as they were before it.  A look that comes in late, a further part of one, or a late fix that may have
had a say takes its place and the looks after it are run again, associations included: what is believed then is what would
be, had it come in time.  Sightings that the old run had lent to identified tracks are taken out of their rings first.

A contact has no track id of its own until it is shown; a second run that begins it with another sighting keeps the id of
the one that stood there.

Over 400 lines: what a look did, what a second run takes back, and what is told of both are one list.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.directory import OPEN
from birddog.model import Track, TrackPoint, TrackStatus, Value
from birddog.units import NS
from tracking import beginnings, sharing, transfer
from tracking.alignment import righted
from tracking.anchor import away_m, near_en, rotated, turn
from tracking.area import ring_km2
from tracking.bank import Bank
from tracking.belied import CLAIM_MPS, NEAR_M, NEAR_SHIP_M, Doubt, Said, looked_for
from tracking.book import Book
from tracking.budget import Allowed
from tracking.companions import Companions
from tracking.company import by_then
from tracking.contact import HIDES, Contact, Look
from tracking.contacts import limit_s, step
from tracking.crowd import Crowd, Last, Rider, ahead, empty, moments, state_of, stated
from tracking.crowd import placed as there
from tracking.either import Elsewhere, both_told, elsewhere
from tracking.engine import State
from tracking.fitting import NOTHING, beyond, carried, core_of, framed, gaussian, joined, near_by, sighted
from tracking.look_state import Item, LookState, Shown, packed, unpacked
from tracking.measurement import Measurement
from tracking.motion import adopted, any_motion, stepped
from tracking.motion import moments as moments_of
from tracking.past import BEGINS_S
from tracking.presets import Presets
from tracking.step import Core, Model, placed
from tracking.stitching import LOST_LOG
from tracking.swapped import swapped
from tracking.track_state import LiveTrack

#: A row that waits is renewed when its age has grown by this part.
ROW_GROWS = 8
#: Time alone changes nothing.
NEVER_NS = 2**63 - 1
#: Stands behind every sensor's name: what is decided of a contact holds after the look that showed it.
LAST = "\U0010ffff"
#: Looks that are kept: those of the last ``late_s``, at least and at most so many.
LEAST_LOOKS, MOST_LOOKS = 8, 64
#: A new contact this near to one that a second run did away with is that one.
SAME_M = 60.0
#: The log of the chance that the looks that missed an identified track were bad luck is never taken to be less.
MISSED_LEAST = -30.0
#: What goes unseen though its own receiver said within so long, s, where it is (a bridge, a tunnel), is seen again at the next
#: look with at least this chance (a log).
FRESH_S, SHOWS_LOG = 60.0, -4.0
#: A track that no device of its own speaks for is asked only while it is known this well (one sigma, m).
CARRIED_M = 200.0
#: How fast anything may go, one sigma, m/s, of whom one fix is known.
ANY_V = 20.0
#: Where a receiver said that it was before, so many of its fixes say.
EARLIER = 4
#: Of what ``crowd.placed`` tells: of a step lat_deg, lon_deg, ve, vn, p_ee, p_en, p_nn; of a row lat_deg, lon_deg, ve,
#: vn, p_ee, p_en, p_v_ee, p_v_en, p_nn, p_v_nn.
_STEP, _ROW = [0, 1, 3, 5, 6, 8, 13], [0, 1, 3, 5, 6, 8, 10, 12, 13, 15]


class Tracks(Protocol):
    """What the looks of an operation need of its identified tracks (``tracking.tracker.Tracker``)."""

    presets: Presets
    tracks: dict[str, LiveTrack]
    companions: Companions
    allowed: Callable[[], Allowed | None]

    def model(self, live: LiveTrack) -> Model:
        """How a track moves."""

    def coasting_s(self, live: LiveTrack) -> float:
        """Without a position for so long it is not said any more where a track is."""

    def point(self, live: LiveTrack, core: Core, m: Measurement, nis: float, book: Book) -> None:
        """A step of its trail."""

    def withdraw(self, live: LiveTrack, m: Measurement, book: Book) -> None:
        """The step of a measurement that is its no longer."""

    def retell(self, live: LiveTrack, from_ns: int, book: Book) -> None:
        """Its steps from a time on, as they are believed now."""


class LookLog:
    """One operation's looks and contacts; ``Tracker`` holds it and asks it."""

    def __init__(self, operation: str, state: LookState | None = None):
        self.operation = operation
        self.items: list[Item] = []
        self.crowd: Crowd = empty()
        self._elsewhere: tuple[Crowd, dict[str, list[Elsewhere | None]]] = (self.crowd, {})
        self.shown: dict[str, Shown] = {}
        #: When time alone next changes a row.
        self.due_ns = NEVER_NS
        #: When the first look was that comes often (a radar's), and how many false sightings were to be expected since.
        self.since_ns, self.false_seen = 0, 0.0
        #: The same of images: since when, and how many of their flags were false by their detectors' own rates.
        self.imaged_ns, self.false_flags = 0, 0.0
        if state is not None:
            self.crowd, self.shown, self.due_ns = unpacked(state.crowd), state.shown, state.due_ns
            self.since_ns, self.false_seen = state.since_ns, state.false_seen
            self.imaged_ns, self.false_flags = state.imaged_ns, state.false_flags
            self.items = [Item(i[0], unpacked(i[1]), *i[2:]) for i in state.items]

    def state(self) -> LookState | None:
        """Everything; None where there is nothing."""
        if not self.items and not self.shown and not self.crowd.t_ns:
            return None
        items = [(i.key, packed(i.before), i.look, i.given, i.of, i.first, i.taken) for i in self.items]
        return LookState(items, packed(self.crowd), self.shown, self.due_ns, self.since_ns, self.false_seen,
                         self.imaged_ns, self.false_flags)

    # --- what comes in ----------------------------------------------------------------------------

    def busy(self, time_ns: int) -> bool:
        """Whether there is a contact, or a look at or after a time: whether an identified measurement concerns them."""
        return bool(self.crowd.contacts) or bool(self.items and self.items[-1].key[0] >= time_ns)

    def take(self, tracker: Tracks, look: Look, book: Book) -> list[LiveTrack]:
        """A look, or a part of one, at its place in time, and everything after it again; the identified tracks it changed."""
        if look.imagery:
            self.imaged_ns = self.imaged_ns or book.now_ns
            false_per_km2 = max(look.density_per_km2 - tracker.presets.new_per_km2, 0.0)
            self.false_flags += false_per_km2 * ring_km2(look.footprint) if look.footprint else len(look.spots)
        else:
            self.since_ns = self.since_ns or book.now_ns
            self.false_seen += look.density_per_km2 * ring_km2(look.footprint) if look.footprint else len(look.spots)
        keys = [item.key for item in self.items]
        at = bisect.bisect_left(keys, look.key)
        if at < len(self.items) and keys[at] == look.key:
            old = self.items[at].look
            assert old is not None
            self.items[at].look = joined(old, look)
            return self._run(tracker, at, book, new=look.key, again=True)
        elif at == 0 and len(self.items) >= LEAST_LOOKS and look.time_ns < self.items[0].before.t_ns:
            return self._too_old(tracker, look, book)
        else:
            self._put(Item(look.key, self.crowd, look))
            for item in beginnings.unnoted(self.items, tracker.tracks.values(), look.time_ns, self.crowd):
                self._put(item)
        return self._run(tracker, at, book, new=look.key)

    def _put(self, item: Item) -> int:
        """An item to its place."""
        at = bisect.bisect_left([i.key for i in self.items], item.key)
        if at < len(self.items):
            item.before = self.items[at].before
        self.items.insert(at, item)
        return at

    def begun(self, tracker: Tracks, live: LiveTrack, m: Measurement, book: Book) -> None:
        """An identified track begins, or begins anew: with what a contact at its place has told so far, if there is one."""
        old, start = beginnings.of(self.items, live.state.track_id), None
        if old is not None:
            item = self.items.pop(old)
            beginnings.forget(live, item)
            start = item.before
        at = self._put(beginnings.beginning(live, m, self.crowd))
        if old is None or at < old:
            start = None
        self._run(tracker, at if old is None else min(at, old), book, start=start)

    def unbegun(self, live: LiveTrack) -> None:
        """What a track went on from is forgotten: it is to begin anew."""
        at = beginnings.of(self.items, live.state.track_id)
        if at is not None:
            beginnings.forget(live, self.items[at])

    def begins_anew(self, live: LiveTrack, m: Measurement) -> bool:
        """Whether a track begins with a measurement that came in after others of it, as far back as looks can be run again."""
        return self.keeps(m.time_ns) and beginnings.is_anew(self.items, live, m)

    def disturbed(self, tracker: Tracks, live: LiveTrack, time_ns: int, book: Book) -> None:
        """A late measurement changed an identified track: the looks after it that it has a say in are run again."""
        for at in range(bisect.bisect_left([i.key[0] for i in self.items], time_ns), len(self.items)):
            item = self.items[at]
            if item.look is None:
                continue
            lent = any(track_id == live.state.track_id for track_id, _ in item.given)
            if lent or self._rider(tracker, live, item.look, at) is not None:
                self._run(tracker, at, book)
                return

    def _run(
        self, tracker: Tracks, at: int, book: Book, new: tuple[int, str, str] | None = None, again: bool = False,
        start: Crowd | None = None,
    ) -> list[LiveTrack]:  # fmt: skip
        """Everything from an item on (again); the identified tracks that changed.

        Args:
            start: the contacts before it, where the item that had them is gone.
        """
        again = again or at < len(self.items) - 1  # what was told of this look and those after it is told anew
        old = self._steps(at) if again else {}
        before = {(track_id, m): None for item in self.items[at:] for track_id, m in item.given}
        for track_id, m in before:
            live = tracker.tracks.get(track_id)
            if live is not None:
                live.remove(m)
        begun = beginnings.forget_all(self.items[at:], tracker.tracks)
        lent = {(track_id, m.key) for track_id, m in before}
        was, nis_of, changed = self.crowd, {}, {track_id: None for track_id, _ in before}
        fits: list[dict[str, float]] = []  # of each item, the NIS of the contacts that it saw
        crowd = self.items[at].before if start is None else start
        # fixes of whom a look belied, or belies, are to be asked again whether they are believed
        suspects = {track_id for item in self.items[at:] for track_id in item.before.belied} | set(self.crowd.belied)
        since_ns, marked = self.items[at - 1].key[0] if at else crowd.t_ns, set[str]()
        for k in range(at, len(self.items)):
            item = self.items[k]
            if suspects:
                marked |= self._mark(tracker, suspects, crowd, since_ns, item.key[0])
            since_ns = item.key[0]
            item.before, item.given = crowd, []
            fits.append({})
            if item.look is None:
                crowd = _without(item, crowd) if item.taken else self._begin(tracker, item, crowd)
                continue
            raw, look = item.look, righted(crowd, item.look)
            riders = self.riders(tracker, look, k)
            of = {rider.track_id: rider for rider in riders}
            crowd, out = step(crowd, look, riders, tracker.presets, raw=raw)
            gap_s, told_book = crowd.looked[look.sensor][1], None if again else book
            past = {rider.track_id for rider in riders if rider.past}
            for track_id, spot, _ in out.riders:
                if track_id in past:
                    continue
                m = sighted(look.spots[spot], look, raw.spots[spot], gap_s)
                live = self._lend(tracker, item, track_id, m, "used", told_book)
                if look.sensor not in live.state.sources:
                    live.state.sources += (look.sensor,)
                changed[track_id] = None
            for track_id, _, c, x in out.found:
                suspects.add(track_id)
                if c is not None:
                    self._lend(tracker, item, track_id, _goes_on(look, c, x), "moved", told_book)
                    changed[track_id] = None
            for track_id, c, x, last in out.regained:
                m = _goes_on(look, c, x)
                self._lend(tracker, item, track_id, m, "moved", told_book)
                changed[track_id] = None
                if last is not None and (track_id, m.key) not in lent:
                    self._regained(track_id, last, m, look, book)
            for track_id, on, x in out.handed:
                suspects.add(track_id)
                m = _goes_on(look, on, x)
                live = self._lend(tracker, item, track_id, m, "moved", told_book)
                changed[track_id] = None
                if (track_id, m.key) not in lent:
                    self._handed(live, of[track_id], m, look, book, of.get(out.over[track_id]))
            crowd, swaps = swapped(tracker.tracks, crowd, riders, look)
            for track_id, whose, by, x in swaps:
                suspects.add(track_id)
                m = msgspec.structs.replace(_goes_on(look, by, x), device=f"{look.sensor} for {whose}")
                live = self._lend(tracker, item, track_id, m, "moved", told_book)
                changed[track_id] = None
                if (track_id, m.key) not in lent:
                    self._swapped(of[track_id], of[whose], m, look, book)
            for track_id, other in transfer.over(tracker.tracks, tracker.model, item.before, crowd, riders):
                suspects.add(track_id)
                m = msgspec.structs.replace(_goes_on(look, other, other.x), device=f"{look.sensor} by {other.track_id}")
                live = self._lend(tracker, item, track_id, m, "moved", told_book)
                crowd = sharing.ridden(crowd, of[track_id], other.track_id, look.time_ns)
                changed[track_id] = None
                if (track_id, m.key) not in lent:
                    self._handed(live, of[track_id], m, look, book, other)
            fits[-1] = nis_of = dict(out.contacts)
        changed |= dict.fromkeys(self.unsettled(was))
        self.crowd = crowd
        changed |= dict.fromkeys(self.unsettled(crowd))
        if suspects:
            marked |= self._mark(tracker, suspects, crowd, since_ns, math.inf)
            changed |= dict.fromkeys(sorted(marked))
        self._named(was, book)
        if again:
            marked |= {track_id for track_id, base in begun.items() if base != beginnings.base_of(tracker.tracks[track_id])}
            self._retold(tracker, at, old, list(before), fits, marked, book)
        self._told(tracker, was, None if again else new, {} if again else nis_of, book)
        self._pruned(tracker)
        return [tracker.tracks[track_id] for track_id in changed if track_id in tracker.tracks]

    def _lend(
        self, tracker: Tracks, item: Item, track_id: str, m: Measurement, told: str, book: Book | None
    ) -> LiveTrack:  # fmt: skip
        """What a look makes of an identified track, into its ring.

        Args:
            told: what becomes of it where it is a step of the trail; book: None where those are told anew afterwards.
        """
        live = tracker.tracks[track_id]
        verdict, nis, core = live.insert(m, tracker.model(live))
        item.given.append((track_id, m))
        if book is not None and core is not None and verdict == told:
            tracker.point(live, core, m, nis, book)
        return live

    def _regained(self, track_id: str, last: Last, m: Measurement, look: Look, book: Book) -> None:
        """It is said when a track goes on from a contact that began after looks had lost it."""
        gone_m = away_m(last.lat_deg, last.lon_deg, m.lat_deg, m.lon_deg)
        text = (f"{look.sensor} lost it for {(m.time_ns - last.time_ns) / NS:.0f} s: it goes on as what came into view near by "
                f"then, {gone_m:.0f} m from where it was")  # fmt: skip
        book.event("reacquired", self.operation, m.time_ns, end_ns=m.time_ns, track_ids=(track_id,), text=text,
                   device=look.sensor, lat_deg=m.lat_deg, lon_deg=m.lon_deg)  # fmt: skip

    def _handed(
        self, live: LiveTrack, rider: Rider, m: Measurement, look: Look, book: Book, other: Rider | None = None
    ) -> None:  # fmt: skip
        """It is said when a receiver is on another vehicle than before.

        Args:
            other: what reports from there, too.
        """
        assert rider.said is not None
        gone_m = away_m(rider.said.lat_deg, rider.said.lon_deg, m.lat_deg, m.lon_deg)
        device = rider.said.fix.device
        text = f"{device} is on what {look.sensor} knows {gone_m:.0f} m from what it was on, and sees both: it was handed over"
        if other is not None and other.said is not None:
            text = (f"{device} goes along with {other.said.fix.device}, {gone_m:.0f} m from where {look.sensor} goes on seeing "
                    f"what it was on: it was handed over")  # fmt: skip
        book.event("reacquired", self.operation, m.time_ns, end_ns=m.time_ns, track_ids=(live.state.track_id,), text=text,
                   device=device, lat_deg=m.lat_deg, lon_deg=m.lon_deg)  # fmt: skip

    def _swapped(self, rider: Rider, other: Rider, m: Measurement, look: Look, book: Book) -> None:
        """It is said when two receivers were taken for each other by looks."""
        assert rider.said is not None and other.said is not None
        gone_m = away_m(rider.said.lat_deg, rider.said.lon_deg, m.lat_deg, m.lon_deg)
        text = (f"{look.sensor} took {rider.said.fix.device} and {other.said.fix.device} for each other since they met: "
                f"it goes on {gone_m:.0f} m from where it was")  # fmt: skip
        book.event("reacquired", self.operation, m.time_ns, end_ns=m.time_ns, track_ids=(rider.track_id,), text=text,
                   device=rider.said.fix.device, lat_deg=m.lat_deg, lon_deg=m.lon_deg)  # fmt: skip

    def _mark(self, tracker: Tracks, suspects: set[str], crowd: Crowd, after_ns: int, to_ns: float) -> set[str]:
        """Which of the fixes of a time are believed, as the looks up to then have it; the tracks of which that changed."""
        return {
            track_id for track_id in sorted(suspects)
            if (live := tracker.tracks.get(track_id)) is not None
            and live.mark(after_ns, to_ns, functools.partial(_is_doubted, live, crowd))
        }  # fmt: skip

    def marked(self, live: LiveTrack, m: Measurement) -> Measurement:
        """A measurement on its way into a track: whether its receiver is belied by the looks before it."""
        at = bisect.bisect_left([i.key[0] for i in self.items], m.time_ns)
        crowd = self.items[at].before if at < len(self.items) else self.crowd
        doubted = m.origin == "fix" and not m.here and _is_doubted(live, crowd, m)
        return m if doubted == m.doubted else msgspec.structs.replace(m, doubted=doubted)

    def doubt(self, live: LiveTrack, time_ns: int) -> Doubt | None:
        """Whether a track's receiver is belied at a time, as far as is settled by now."""
        doubt = self.crowd.belied.get(live.state.track_id)
        if doubt is None or doubt.state != "settled" or not doubt.holds(doubt.device, time_ns):
            return None
        return None if _vouched(live, doubt.device) else doubt

    def unsettled(self, crowd: Crowd) -> dict[str, list[Elsewhere | None]]:
        """The tracks of which it is not settled whether they are where their receiver says."""
        if self._elsewhere[0] is not crowd:
            self._elsewhere = (crowd, elsewhere(crowd))
        return self._elsewhere[1]

    def told(self, row: Track, live: LiveTrack, model: Model, row_of: Callable[[str], Track | None]) -> Track:
        """An identified track's row, with where it may be instead; ``row_of``: another one's at that time."""
        some = self.unsettled(self.crowd)
        return row if row.track_id not in some else both_told(row, live.core(model), some[row.track_id], self.crowd, row_of)

    def keeps(self, time_ns: int) -> bool:
        """Whether the looks from a time on can be run again."""
        return bool(self.items) and self.items[0].before.t_ns <= time_ns

    def aboard(self, track_id: str) -> str | None:
        """The track that a passive tag's rides on, as looks have it by now."""
        return self.crowd.rides_on(track_id)

    def _steps(self, at: int) -> dict[tuple[str, int, str], tuple[int, Crowd, int]]:
        """The steps of contacts that looks from an item on made: (track, time, sensor) -> (item, the crowd after it, row)."""
        found = {}
        for k in range(at, len(self.items)):
            item, after = self.items[k], self.items[k + 1].before if k + 1 < len(self.items) else self.crowd
            if item.look is None or after is item.before:
                continue
            hits = {c.name: c.hits for c in item.before.contacts}
            for row, c in enumerate(after.contacts):
                shown = self.shown.get(c.name) if c.confirmed or c.imagery else None
                if shown is not None and c.seen_ns == item.look.time_ns and hits.get(c.name) != c.hits:
                    found[shown.track_id, c.seen_ns, item.look.sensor] = (k, after, row)
        return found

    def _retold(
        self, tracker: Tracks, at: int, old: dict[tuple[str, int, str], tuple[int, Crowd, int]],
        lent: list[tuple[str, Measurement]], fits: list[dict[str, float]], marked: set[str], book: Book,
    ) -> None:  # fmt: skip
        """What a second run makes of the steps from an item on: those that it took back, and every one that there is now.

        Args:
            old, lent: the steps of contacts, and the sightings of identified tracks, of the run before.
            fits: of each item, the NIS of the contacts that it saw.
            marked: tracks of which other fixes are believed than before, or that go on from something else.
        """
        now = self._steps(at)
        points = {one.track_id: one for one in self.shown.values()}
        for (track_id, time_ns, sensor), (_, after, row) in old.items():
            if (track_id, time_ns, sensor) not in now and track_id in points:
                self._points(after, {row: points[track_id]}, sensor, {}, book, withdrawn=True)
        seen: dict[int, tuple[Crowd, str, dict[int, Shown]]] = {}
        for (track_id, _, sensor), (k, after, row) in now.items():
            seen.setdefault(k, (after, sensor, {}))[2][row] = points[track_id]
        for k, (after, sensor, rows) in seen.items():
            self._points(after, rows, sensor, fits[k - at], book)
        given = [one for item in self.items[at:] for one in item.given]
        begun = {item.of for item in self.items[at:] if item.taken} | marked
        for track_id in dict.fromkeys(name for name, _ in (*lent, *given)) | dict.fromkeys(sorted(begun)):
            live = tracker.tracks.get(track_id)
            was, has = ([m for name, m in some if name == track_id] for some in (lent, given))
            if live is None or (was == has and track_id not in begun):
                continue
            for m in was:
                if m not in has:
                    tracker.withdraw(live, m, book)
            tracker.retell(live, self.items[at].key[0], book)

    def _points(
        self, crowd: Crowd, rows: dict[int, Shown], sensor: str, nis_of: dict[str, float], book: Book, *,
        withdrawn: bool = False,
    ) -> None:  # fmt: skip
        """A step of each of these contacts' trails: where they were, as believed at the look that the crowd stands at."""
        bank = crowd.bank.rows(np.array(list(rows), dtype=int))
        mean, cov = moments(bank)
        some = [crowd.contacts[row] for row in rows]
        told = there(some, mean, stated(some, bank, cov)).T[_STEP].tolist()
        for c, shown, lat, lon, ve, vn, p_ee, p_en, p_nn in zip(some, rows.values(), *told, strict=True):
            shown.points += 1
            book.points.append(
                TrackPoint(
                    track_id=shown.track_id, seq=shown.points, time_ns=c.seen_ns, lat_deg=lat, lon_deg=lon, ve_mps=ve,
                    vn_mps=vn, p_ee=p_ee, p_en=p_en, p_nn=p_nn, origin="sighting", device=sensor, nis=nis_of.get(c.name),
                    believed_at=book.seq, withdrawn=withdrawn,
                )
            )  # fmt: skip

    def _pruned(self, tracker: Tracks) -> None:
        drop, items = 0, self.items
        oldest_ns = max(self.crowd.t_ns, items[-1].key[0] if items else 0) - int(tracker.presets.late_s * NS)
        while len(items) - drop > LEAST_LOOKS and (items[drop].key[0] < oldest_ns or len(items) - drop > MOST_LOOKS):
            drop += 1
        del items[:drop]

    def _too_old(self, tracker: Tracks, look: Look, book: Book) -> list[LiveTrack]:
        """A look from before everything that is kept: whom nobody explains begins a contact, nothing else changes."""
        look = righted(self.crowd, look)
        riders = self.riders(tracker, look, 0)
        known = {i for rider in riders for i, _, _ in rider.logs}
        crowd, _ = step(self.crowd, msgspec.structs.replace(look, time_ns=self.crowd.t_ns, footprint=()), [], tracker.presets,
                        begins=False)  # fmt: skip
        seen = {(c.name, c.hits) for c in self.crowd.contacts}
        there = [(c.lat_deg, c.lon_deg) for c in crowd.contacts if (c.name, c.hits) not in seen]
        left = [
            s for i, s in enumerate(look.spots)
            if i not in known and not any(away_m(s.lat_deg, s.lon_deg, *place) <= 3.0 * math.sqrt(s.r_ee + s.r_nn) + SAME_M
                                          for place in there)
        ]  # fmt: skip
        made, _ = step(empty(look.time_ns), msgspec.structs.replace(look, spots=left), [], tracker.presets)
        was, bank = self.crowd, ahead(made.bank, (self.crowd.t_ns - look.time_ns) / NS)
        both = Bank(*(np.concatenate(two) for two in ((was.bank.mu, bank.mu), (was.bank.x, bank.x), (was.bank.p, bank.p))))
        self.crowd = msgspec.structs.replace(was, contacts=(*was.contacts, *made.contacts), bank=both)
        self._named(was, book)
        self._told(tracker, was, None, {}, book)
        return []

    # --- identified tracks ------------------------------------------------------------------------

    def riders(self, tracker: Tracks, look: Look, at: int | None, among: Iterable[LiveTrack] | None = None) -> list[Rider]:
        """The identified tracks (of these, if given) that a look may have seen; ``at``: which item it is, None: none."""
        lats = sorted(s.lat_deg for s in look.spots)
        widest = max((s.r_ee + s.r_nn for s in look.spots), default=0.0)
        found = []
        crowd = self.crowd if at is None else self.items[at].before
        asked = crowd.belied.keys() | {c.of or c.was for c in crowd.contacts if c.of or c.was}
        for live in tracker.tracks.values() if among is None else among:
            model = tracker.model(live)
            core = live.core_at(look.time_ns, model)
            if core is None:
                passed = None if at is None or not look.imagery else self._passed(tracker, live, look, lats, widest)
                if passed is not None:
                    found.append(passed)
                continue
            if live.state.track_id in asked or not beyond(core, look.time_ns, model, lats, widest):
                rider = self._rider(tracker, live, look, at)
                if rider is not None and at is not None and rider.passes and rider.logs:
                    beside = tracker.companions.of(live, look.time_ns, crowd)
                    if beside is not None and beside.aside:
                        continue
                if rider is not None:
                    found.append(rider)
        return found

    def _rider(self, tracker: Tracks, live: LiveTrack, look: Look, at: int | None) -> Rider | None:
        """An identified track as one that a look may have seen; None where it is not to be asked.

        What has not said where it is keeps its growing ellipse: whoever is seen there may be anybody.
        """
        model = tracker.model(live)
        core = live.core_at(look.time_ns, model)
        if core is None or not look.spots:
            return None
        dt_s = (look.time_ns - core.updated_ns) / NS
        doubt = None if at is None else self.items[at].before.belied.get(live.state.track_id)
        if dt_s > tracker.coasting_s(live) and (doubt is None or not looked_for(doubt, dt_s, self._gap_s(at, look.sensor))):
            return None
        motion = model.motion
        bank = core.bank if len(core.bank) == len(motion.modes) else adopted(core.x, motion)
        x = moments_of(bank, dt_s, motion)
        if not live.state.reports and max(x[4], x[11]) > CARRIED_M**2:
            return None
        reach2 = model.presets.sighting_gate * 2.0
        logs = []
        for i, spot in enumerate(look.spots):
            en = near_en(core.lat0_deg, core.lon0_deg, spot.lat_deg, spot.lon_deg)
            away2 = math.inf if en is None else (en[0] - x[0]) ** 2 + (en[1] - x[2]) ** 2
            if en is None or away2 > reach2 * (x[4] + x[11] + core.bias + spot.r_ee + spot.r_nn):
                continue
            c, s = turn(spot.lat_deg, spot.lon_deg, core.lat0_deg, core.lon0_deg)
            ree, ren, rnn = rotated(spot.r_ee, spot.r_en, spot.r_nn, c, s)
            fit = stepped(bank, dt_s, motion, (en[0], en[1], ree + core.bias, ren, rnn + core.bias))
            if fit.nis <= model.presets.sighting_gate:
                logs.append((i, fit.nis, fit.log))
        visible = 0.0 if at is None else self._visible(tracker, live, core, at, look.time_ns)
        said = None if at is None else _said(live, core, x, look.time_ns, doubt)
        lasts: tuple[Last, ...] = ()
        # who is doubted goes by the looks as what has no receiver does
        by_looks = not live.state.reports or (doubt is not None and doubt.state != "left")
        carried = at is not None and by_looks and live.state.track_id in self.items[at].before.seen
        if carried and at is not None and visible <= LOST_LOG:
            # what a look showed last may have been clutter; a read was none
            by_look = self.items[at].before.seen[live.state.track_id] >= core.updated_ns
            before = live.core_at(core.updated_ns - 1, model) if by_look else None
            lasts = (_last(core),) if before is None else (_last(core), _last(before))
        alone = at is not None and live.state.key.startswith("d:")
        may: Literal["", "ride", "carry"] = "carry" if alone and live.state.reports else "ride" if carried and alone else ""
        read = live.newest_read(look.time_ns) if may == "ride" else None
        passes = [] if live.state.reports else by_then(live.state.passes, look.time_ns)
        return Rider(live.state.track_id, core.lat0_deg, core.lon0_deg, x, logs, visible, said, lasts, may, read, passes)

    def _passed(self, tracker: Tracks, live: LiveTrack, look: Look, lats: list[float], widest: float) -> Rider | None:
        """A track as one that an image of before its ring may have seen, which comes in hours after it was taken.

        What a radar saw before a track began is a contact until then, and the track goes on from it.

        Args:
            lats, widest: as ``beyond`` takes them.
        """
        was = live.was(look.time_ns, max(tracker.coasting_s(live), BEGINS_S)) if lats else None
        gate = tracker.presets.sighting_gate
        if was is None or not near_by(was.lat_deg, math.sqrt(gate * (was.r + widest)), lats):
            return None
        logs = []
        for i, spot in enumerate(look.spots):
            en = near_en(was.lat_deg, was.lon_deg, spot.lat_deg, spot.lon_deg)
            if en is None:
                continue
            nis, log = gaussian(*en, was.r + spot.r_ee, spot.r_en, was.r + spot.r_nn)
            if nis <= gate:
                logs.append((i, nis, log))
        if not logs:
            return None
        x = (0.0, was.ve_mps, 0.0, was.vn_mps, was.r, 0.0, 0.0, 0.0, was.r_v, 0.0, 0.0, was.r, 0.0, was.r_v)
        return Rider(live.state.track_id, was.lat_deg, was.lon_deg, x, logs, 0.0, past=True)

    def _gap_s(self, at: int | None, sensor: str) -> float:
        """Between the last two looks of a sensor before an item."""
        return (self.crowd if at is None else self.items[at].before).looked.get(sensor, (0, 0.0))[1]

    def _visible(self, tracker: Tracks, live: LiveTrack, core: Core, at: int, time_ns: int) -> float:
        """The log of the chance that looks can see it now, from those that missed it since one saw it last."""
        before = self.items[at].before
        seen_ns = before.seen.get(live.state.track_id, core.first_ns)
        if live.state.passes:
            seen_ns = max(seen_ns, tracker.companions.shown_ns(live, time_ns, before))
        log, place = 0.0, None
        for item in reversed(self.items[:at]):
            if item.key[0] <= seen_ns or log <= MISSED_LEAST:
                break
            if item.look is not None and item.look.complete:
                if place is None:
                    place = placed(core, core.x)
                if ring_contains(item.look.footprint, lat_deg=place[0], lon_deg=place[1]):
                    log += math.log(1.0 - item.look.pd)
        seen = log - math.log(math.exp(log) + HIDES)
        # whose own receiver has just said where it is comes into view there some time
        fresh = live.state.reports and time_ns - core.fix_ns <= FRESH_S * NS
        return max(seen, SHOWS_LOG) if fresh else seen

    def _begin(self, tracker: Tracks, item: Item, crowd: Crowd) -> Crowd:
        """An identified track's beginning: it goes on from the contact that its first measurement fits, which is no more."""
        live, m = tracker.tracks.get(item.of), item.first
        if live is None or m is None:
            return crowd
        row = carried(crowd, m, tracker.presets)
        if live.base_ns is None or live.base_ns < m.time_ns:  # else its beginning has left its ring, and what follows stands
            live.rebase(None if row is None else core_of(crowd, row, min(crowd.t_ns, m.time_ns - 1), tracker.model(live)))
        if row is None:
            return crowd
        keep = [i for i in range(len(crowd.contacts)) if i != row]
        seen = {**crowd.seen, item.of: crowd.contacts[row].seen_ns}
        contacts = tuple(crowd.contacts[i] for i in keep)
        return msgspec.structs.replace(crowd, contacts=contacts, bank=crowd.bank.rows(np.array(keep, dtype=int)), seen=seen)

    def fitting(self, m: Measurement, presets: Presets) -> Contact | None:
        """The contact that an identified track's first measurement fits."""
        crowd = self.crowd
        at = bisect.bisect_right([i.key[0] for i in self.items], m.time_ns)
        if at < len(self.items):
            crowd = self.items[at].before
        row = carried(crowd, m, presets)
        return None if row is None else crowd.contacts[row]

    # --- what operators say of contacts (``vouched``) ---------------------------------------------

    def name_of(self, track_id: str) -> str | None:
        """The contact that is shown under an id now."""
        return next((name for name, s in self.shown.items() if s.track_id == track_id and s.status != "deleted"), None)

    def given(self, tracker: Tracks, live: LiveTrack, name: str, why: str, book: Book) -> Measurement | None:
        """A contact is an identified track from now on: the measurement of it; None: all that is kept of that is newer."""
        crowd = self.crowd
        row = next(i for i, c in enumerate(crowd.contacts) if c.name == name)
        c = crowd.contacts[row]
        mean, cov = moments(crowd.bank.rows(np.array([row])))
        lat, lon, x = placed(framed(c, mean[0], cov[0], crowd.t_ns), state_of(mean[0], cov[0]))
        m = Measurement(crowd.t_ns, why, "sighting", lat, lon, x[4], x[6], x[11], x[1], x[3], (x[8] + x[13]) / 2.0, True, True)
        outcome, nis, core = live.insert(m, tracker.model(live))
        if outcome == "old" or core is None:
            return None
        tracker.point(live, core, m, nis, book)
        item = Item((crowd.t_ns, LAST, why), crowd, None, [], live.state.track_id, m, name)
        at = bisect.bisect_left([i.key for i in self.items], item.key)
        self.items.insert(at, item)
        self._run(tracker, at, book)
        return m

    def ungiven(self, tracker: Tracks, live: LiveTrack, m: Measurement, why: str, book: Book) -> bool:
        """It is a contact again; False where that is older than the looks that are kept."""
        at = next((k for k, item in enumerate(self.items) if item.key == (m.time_ns, LAST, why)), None)
        if at is None or m not in live.state.ring:
            return False
        start = self.items.pop(at).before
        live.remove(m)
        self._run(tracker, at, book, start=start)
        return True

    def show(self, tracker: Tracks, track_id: str, book: Book) -> None:
        """The row of a contact, now."""
        self._rows(tracker, [i for i, c in enumerate(self.crowd.contacts)
                             if c.name in self.shown and self.shown[c.name].track_id == track_id], book)  # fmt: skip

    # --- what is told -----------------------------------------------------------------------------

    def _named(self, was: Crowd, book: Book) -> None:
        """Who is to be shown has a track id: a new name that stands where one was that a second run did away with takes its."""
        now = {c.name for c in self.crowd.contacts}
        free = {c.name: c for c in was.contacts if c.name not in now and c.name in self.shown
                and self.shown[c.name].status != "deleted"}  # fmt: skip
        for c in self.crowd.contacts:
            if c.name in self.shown or not (c.confirmed or c.imagery) or c.of:
                continue
            near = [(away_m(c.lat_deg, c.lon_deg, o.lat_deg, o.lon_deg), name) for name, o in free.items()]
            best = min(near, default=(math.inf, ""))
            if best[0] <= SAME_M:
                del free[best[1]]
                self.shown[c.name] = self.shown.pop(best[1])
            else:
                self.shown[c.name] = Shown(book.contact_id(self.operation))

    def _told(
        self, tracker: Tracks, was: Crowd, new: tuple[int, str, str] | None, nis_of: dict[str, float], book: Book
    ) -> None:
        """Rows, points and events of the contacts that changed."""
        old = {c.name: c for c in was.contacts}
        changed = [i for i, c in enumerate(self.crowd.contacts)
                   if c.name in self.shown and old.get(c.name) != c and not c.goes_along]  # fmt: skip
        some = [(i, self.crowd.contacts[i]) for i in changed]
        if new is not None:
            seen = {i: self.shown[c.name] for i, c in some if c.name in nis_of or (c.seen_ns == new[0] and c.hits == 1)}
            self._points(self.crowd, seen, new[1], nis_of, book)
        for _, c in some:
            self._events(tracker, c, self.shown[c.name], book)
        self._rows(tracker, changed, book)
        here = {c.name for c in self.crowd.contacts if not c.goes_along}
        for name in [n for n, s in self.shown.items() if n not in here and s.status != "deleted"]:
            self._gone(old.get(name), name, book)
        self._settled(tracker, book.now_ns)

    def dark_score(self, tracker: Tracks, now_ns: int) -> float:
        """The score from which a contact of looks that come often is told of as dark, as the alert budget has it."""
        allowed = tracker.allowed()
        if allowed is None:
            return -math.inf
        shifts = max((now_ns - self.since_ns) / NS / allowed.shift_s, 0.125)
        return allowed.dark_score(self.false_seen / shifts, tracker.presets.confirm_score)

    def flag_rarity(self, tracker: Tracks, now_ns: int) -> float:
        """The rarity from which what one image alone shows is told of as dark, as the alert budget has it."""
        allowed = tracker.allowed()
        if allowed is None:
            return -math.inf
        shifts = max((now_ns - self.imaged_ns) / NS / allowed.shift_s, 0.125)
        return allowed.dark_score(self.false_flags / shifts, 0.0)

    def _events(self, tracker: Tracks, c: Contact, shown: Shown, book: Book) -> None:
        """A contact that is confirmed, and one near which nothing reports."""
        if shown.status == "deleted":
            shown.status = "tentative"
            if shown.dark is not None and shown.judged != "dismiss_dark":
                shown.dark = book.again(shown.dark, f"near no reporting track, seen {c.hits} times")
        elif shown.status == "tentative" and c.confirmed:
            book.event("confirmed", self.operation, c.seen_ns, end_ns=c.seen_ns, track_ids=(shown.track_id,),
                       text="an anonymous contact is confirmed", device=c.sensors[0], lat_deg=c.lat_deg,
                       lon_deg=c.lon_deg)  # fmt: skip
        if (c.dark and self.operation == OPEN and shown.dark is None and not book.deaf
                and (c.rarity >= self.flag_rarity(tracker, book.now_ns) if c.imagery
                     else c.confirmed and c.score >= self.dark_score(tracker, book.now_ns))):
            shown.dark = book.event("dark_vessel", self.operation, c.seen_ns, track_ids=(shown.track_id,),
                                    text="near no reporting track", flag_id=c.flag, device=c.sensors[0],
                                    lat_deg=c.lat_deg, lon_deg=c.lon_deg)  # fmt: skip

    def _status(self, c: Contact, presets: Presets, now_ns: int) -> TrackStatus:
        age_s, limit = (now_ns - c.seen_ns) / NS, limit_s(c, presets)
        if age_s > limit:
            return "deleted"
        if not c.confirmed:
            return "tentative"
        # also where looks that saw its place make it likelier that it hides than that all of them missed it
        return "coasting" if age_s > limit / 2.0 or c.unseen < math.log(HIDES) else "confirmed"

    def _rows(self, tracker: Tracks, some: list[int], book: Book) -> None:
        for c, row in self.rows(tracker, book.now_ns, some):
            shown = self.shown[c.name]
            if row.status == "deleted":
                self._gone(c, c.name, book)
                continue
            shown.status, shown.row_ns, shown.lat_deg, shown.lon_deg = row.status, book.now_ns, c.lat_deg, c.lon_deg
            book.row(row.track_id, functools.partial(_same, row))

    def rows(self, tracker: Tracks, time_ns: int, some: list[int] | None = None) -> list[tuple[Contact, Track]]:
        """The contacts that are shown as they are believed to be at a time (all, or some rows of the crowd)."""
        crowd = self.crowd
        some = list(range(len(crowd.contacts))) if some is None else some
        some = [i for i in some if crowd.contacts[i].name in self.shown and not crowd.contacts[i].goes_along]
        if not some:
            return []
        at_ns = max(time_ns, crowd.t_ns)
        bank = ahead(crowd.bank.rows(np.array(some, dtype=int)), (at_ns - crowd.t_ns) / NS)
        mean, cov = moments(bank)
        contacts, out = [crowd.contacts[i] for i in some], []
        told = there(contacts, mean, stated(contacts, bank, cov)).T[_ROW].tolist()
        for c, lat, lon, ve, vn, p_ee, p_en, p_v_ee, p_v_en, p_nn, p_v_nn in zip(contacts, *told, strict=True):
            out.append((c, Track(
                track_id=self.shown[c.name].track_id, operation=self.operation, klass="vessel" if c.imagery else "",
                status=self._status(c, tracker.presets, time_ns), time_ns=at_ns, lat_deg=lat, lon_deg=lon, ve_mps=ve,
                vn_mps=vn, p_ee=p_ee, p_en=p_en, p_nn=p_nn, p_v_ee=p_v_ee, p_v_en=p_v_en, p_v_nn=p_v_nn, updated_ns=c.seen_ns,
                contact_ns=c.seen_ns, moved_ns=c.moved_ns, first_ns=c.first_ns, hits=c.hits, sources=c.sensors,
                attributes=_said_dark(self.shown[c.name]),
            )))  # fmt: skip
        return out

    def wait(self, tracker: Tracks, to_ns: int, book: Book) -> None:
        """What time alone changes up to a time, each in its time: rows of contacts that wait, the end of those not seen."""
        while self.due_ns <= to_ns:
            book.now_ns = self.due_ns
            self._rows(tracker, [i for i, at_ns in self._due(tracker) if at_ns <= book.now_ns], book)
            self._settled(tracker, book.now_ns)
        gone = [name for name, shown in self.shown.items() if shown.status == "deleted"] if self.shown else ()
        if gone:
            kept = {c.name for c in (*self.crowd.contacts, *self.crowd.remembered)}
            kept |= {c.name for item in self.items for c in item.before.contacts}
            for name in gone:
                if name not in kept:
                    del self.shown[name]

    def _due(self, tracker: Tracks) -> list[tuple[int, int]]:
        """(row of the crowd, when its row is due) of the contacts that are shown."""
        out, p = [], tracker.presets
        least_ns = int(p.sweep_s * NS)
        for i, c in enumerate(self.crowd.contacts):
            shown = self.shown.get(c.name)
            if shown is not None and shown.status != "deleted":
                row_ns, limit_ns = shown.row_ns, int(limit_s(c, p) * NS)
                due_ns = row_ns + max(least_ns, (row_ns - c.seen_ns) // ROW_GROWS)
                for at_ns in (c.seen_ns + limit_ns // 2 + 1, c.seen_ns + limit_ns + 1):
                    if row_ns < at_ns < due_ns:
                        due_ns = at_ns
                out.append((i, due_ns))
        return out

    def _settled(self, tracker: Tracks, now_ns: int) -> None:
        self.due_ns = max(now_ns + 1, min((at_ns for _, at_ns in self._due(tracker)), default=NEVER_NS))

    def _gone(self, c: Contact | None, name: str, book: Book) -> None:
        """A contact is shown no more."""
        shown = self.shown[name]
        shown.status = "deleted"
        if shown.dark is not None and shown.judged != "dismiss_dark":
            book.end(shown.dark, book.now_ns)
        if c is None:
            c = next((o for item in reversed(self.items) for o in item.before.contacts if o.name == name), None)
        lat, lon = (shown.lat_deg, shown.lon_deg) if c is None else (c.lat_deg, c.lon_deg)
        seen_ns, r = (book.now_ns, 0.0) if c is None else (c.seen_ns, c.r)
        row = Track(
            track_id=shown.track_id, operation=self.operation, klass="vessel" if c is not None and c.imagery else "",
            status="deleted", time_ns=max(book.now_ns, seen_ns), lat_deg=lat, lon_deg=lon, ve_mps=0.0, vn_mps=0.0, p_ee=r,
            p_en=0.0, p_nn=r, p_v_ee=0.0, p_v_en=0.0, p_v_nn=0.0, updated_ns=seen_ns, contact_ns=seen_ns,
            first_ns=seen_ns if c is None else c.first_ns, hits=0 if c is None else c.hits,
            sources=() if c is None else c.sensors,
        )  # fmt: skip
        book.row(row.track_id, lambda: row)
        book.ended.append(row.track_id)


def _said(live: LiveTrack, core: Core, x: State, time_ns: int, doubt: Doubt | None) -> Said | None:
    """What a track's receiver says; None where it has none, or more than one: what those say of each other is asked first."""
    s, device = live.state, core.device
    if not s.reports or not device or core.receivers or s.fixers != (device,) or _vouched(live, device):
        return None
    fix = live.newest_fix(device, time_ns)
    if fix is None:
        return None
    lat, lon, _ = placed(core, x)
    agrees, goes = 0 if doubt is None else live.agreed(time_ns), None
    rival = core.rival
    if doubt is not None and rival is not None and rival.doubted:
        at = moments_of(rival.bank, max(0, time_ns - rival.time_ns) / NS, any_motion())
        goes = (rival.lat0_deg, rival.lon0_deg, at)
    elif doubt is not None and doubt.state == "settled":  # it may be nearly anywhere, so that any fix fits it
        goes = (fix.lat_deg, fix.lon_deg, _gone_on(live, fix, time_ns))
    denied = any(one.m is not None and one.m.time_ns <= time_ns <= one.seen_ns for one in s.decided)
    least_m = NEAR_SHIP_M if s.klass == "vessel" else NEAR_M
    earlier = functools.partial(_earlier, live, fix)
    return Said(fix, core.fix_ns, lat, lon, (x[4] + x[11]) / 2.0, least_m, agrees, goes, denied, earlier)


def _earlier(live: LiveTrack, fix: Measurement) -> list[Measurement]:
    """The fixes of a receiver before one of it, so many as ``EARLIER``."""
    found: list[Measurement] = []
    m = live.newest_fix(fix.device, fix.time_ns - 1)
    while m is not None and len(found) < EARLIER:
        found.append(m)
        m = live.newest_fix(fix.device, m.time_ns - 1)
    return found


def _gone_on(live: LiveTrack, fix: Measurement, time_ns: int) -> State:
    """Where what gave a fix is by a time, about that fix, as its receiver's last two places have it."""
    dt_s, before = max(0, time_ns - fix.time_ns) / NS, live.newest_fix(fix.device, fix.time_ns - 1)
    r, ve, vn, r_v = max(fix.r_ee, fix.r_nn), 0.0, 0.0, ANY_V**2
    if before is not None and (en := near_en(before.lat_deg, before.lon_deg, fix.lat_deg, fix.lon_deg)) is not None:
        took_s = (fix.time_ns - before.time_ns) / NS
        ve, vn, r_v = en[0] / took_s, en[1] / took_s, 2.0 * r / (took_s * took_s) + CLAIM_MPS**2
    rr, rv = r + dt_s * dt_s * r_v, dt_s * r_v
    return (dt_s * ve, ve, dt_s * vn, vn, rr, rv, 0.0, 0.0, r_v, 0.0, 0.0, rr, rv, r_v)


def _last(core: Core) -> Last:
    """Where a track was when something last said so."""
    lat, lon, x = placed(core, core.x)
    return Last(core.updated_ns, lat, lon, math.hypot(x[1], x[3]))


def _vouched(live: LiveTrack, device: str) -> bool:
    """Whether an operator has said that it is where this receiver says: no look belies it, until that is undone."""
    return any(one.action == "take_over" and not one.seen_ns and one.m is not None and one.m.device == device
               for one in live.state.decided)  # fmt: skip


def _is_doubted(live: LiveTrack, crowd: Crowd, m: Measurement) -> bool:
    doubt = crowd.belied.get(live.state.track_id)
    return doubt is not None and doubt.holds(m.device, m.time_ns) and not _vouched(live, m.device)


def _goes_on(look: Look, c: Contact | Rider, x: State) -> Measurement:
    """What a track whose receiver is belied goes on from: what looks have of it."""
    at = Core(time_ns=look.time_ns, lat0_deg=c.lat0_deg, lon0_deg=c.lon0_deg, bank=NOTHING, x=x, updated_ns=look.time_ns,
              first_ns=look.time_ns)  # fmt: skip
    lat, lon, x = placed(at, x)
    # a name of its own, behind that of a sighting of this look that the track was lent
    r_v = (x[8] + x[13]) / 2.0
    return Measurement(
        look.time_ns, f"{look.sensor} alone", "sighting", lat, lon, x[4], x[6], x[11], x[1], x[3], r_v, True, True
    )  # fmt: skip


def _same(row: Track) -> Track:
    return row


def _said_dark(shown: Shown) -> dict[str, Value]:
    """What an operator said of a contact's darkness, as an attribute of its row."""
    said: dict[str, Value] = {"confirm_dark": "confirmed", "dismiss_dark": "dismissed"}
    return {"dark": said[shown.judged]} if shown.judged else {}


def _without(item: Item, crowd: Crowd) -> Crowd:
    """The contacts without the one that an operator knew for a track; a second run may have given it another name."""
    m = item.first
    assert m is not None
    near = [(c.name != item.taken, away_m(c.lat_deg, c.lon_deg, m.lat_deg, m.lon_deg), i)
            for i, c in enumerate(crowd.contacts)]  # fmt: skip
    best = min(((other, away_m, i) for other, away_m, i in near if not other or away_m <= SAME_M), default=None)
    keep = [i for i in range(len(crowd.contacts)) if best is None or i != best[2]]
    # what it was on goes on as a contact of its own
    contacts = tuple(
        msgspec.structs.replace(c, of="", apart=0, misses=0, odds=0.0) if c.of == item.of else c
        for c in (crowd.contacts[i] for i in keep)
    )
    seen, beside = {**crowd.seen, item.of: m.time_ns}, {one: some for one, some in crowd.beside.items() if one != item.of}
    bank = crowd.bank.rows(np.array(keep, dtype=int))
    return msgspec.structs.replace(crowd, contacts=contacts, bank=bank, seen=seen, beside=beside)
