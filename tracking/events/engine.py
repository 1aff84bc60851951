"""Events while fixes come in: the same answers as ``batch.events``, told as soon as the fix is there that decides them.

``Events.fix`` takes a fix, ``Events.pass_time`` says what time it is; both return what is to be told: an event that has
begun, one that has ended, corrections.  What lasts is ``Events.lasting``.

A late fix (older than another of its vessel) takes its place: the vessel's fixes of the last ``late_s`` are run again from
the state that was kept of before, the samples that changed are judged again with those of the others, and what had been
told and is no more so is told as corrected or withdrawn, with the time of the fix that made it so.  A fix older than what
is kept is not taken, and that is told.

An identity that makes a step which nothing makes is parted into things (``things.Parting``), each a vessel of its own; where a
later fix shows that one had been taken for another's, its fixes change over, which corrects what had been told.

``Events.packed`` and ``Events.of`` keep an engine beyond a process.  Over 400 lines: one engine; a vessel's rules and a
pair's are in their own files.
"""

from __future__ import annotations

import bisect
import copy
import heapq
import math
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np

from birddog.model import Zone
from birddog.units import NS
from tracking.events import tell
from tracking.events.cells import Cells
from tracking.events.gaps import STEPS, Hearing, median
from tracking.events.grid import Sample, Sampler
from tracking.events.loiter import Loitering
from tracking.events.model import ALL_KINDS, PLACE_KINDS, WAY_KINDS, Event, Rules
from tracking.events.pairs import Company, Meeting, apart, follows, meets
from tracking.events.places import AtPlaces, Places
from tracking.events.runs import PairRun, Point
from tracking.events.sphere import most_m, point
from tracking.events.stops import Begun, Stops
from tracking.events.things import Parting, Seen, jumps, named
from tracking.events.tracks import Cleaner
from tracking.events.ways import Astray, Ways

#: How late a fix may come and still be taken in.
LATE_S = 6 * 3600
_NEVER = 1 << 62
#: States of a vessel that are kept within ``late_s``.
_KEPT = 4
_PAIRS = {"encounter": Meeting, "cotravel": Company}

#: A fix as the rules take it: time in ns, x, y, z, latitude, longitude.
Fix = tuple[int, float, float, float, float, float]


class Told(msgspec.Struct, frozen=True):
    """What is said of an event.

    Args:
        what: ``began`` and ``ended`` in the course of things (a gap that began looks switched off since: ``began`` again, with
            what it was); ``corrected`` and ``withdrawn`` where a late fix changed what
            had been told; ``too_late`` of a fix that is not taken.
        event: as it is now; None where it is withdrawn.
        was: as it had been told.
        because: vessel and time of the late fix.
    """

    what: Literal["began", "ended", "corrected", "withdrawn", "too_late"]
    event: Event | None
    was: Event | None = None
    because: tuple[str, int] | None = None


class _State(msgspec.Struct, gc=False):
    """What one vessel's fixes so far come to; ``at`` is None where no place was ever asked about."""

    cleaner: Cleaner
    stops: Stops
    loitering: Loitering
    sampler: Sampler
    last: Fix | None = None
    own_ns: list[int] = []
    #: others' fixes in the first hour of its silence, counted when the gap is told
    heard: int | None = None
    at: AtPlaces | None = None
    astray: Astray = Astray()
    lane: Stops | None = None


class _Kept(msgspec.Struct, gc=False):
    """A state that was kept, as it was after the fix at ``time_ns``; ``over`` are the keys of what had ended by then.

    That after a vessel's first fix is that fix, ``first``, and no state until somebody asks for it (``Events._whole``): each
    vessel has one, and only a late fix of the first quarter of an hour needs it.
    """

    time_ns: int
    state: _State | None
    over: tuple[str, ...] = ()
    first: Fix | None = None

    @property
    def newest(self) -> tuple[Any, ...] | None:
        """The last fix that this state has seen."""
        if self.state is None:
            return self.first
        return self.state.cleaner.held or self.state.cleaner.last

    def after(self, time_ns: int) -> bool:
        """Whether a fix of this time comes after all that this state has seen."""
        last = self.newest
        return last is None or last[0] < time_ns


class _Vessel(msgspec.Struct, gc=False):
    """One vessel: its state now, those that were kept of ``late_s`` ago and since, what came and was told since the oldest."""

    now: _State
    kept: list[_Kept]
    recent: list[Fix] = []
    told: dict[str, Event] = {}
    samples: dict[int, Sample] = {}
    #: what its silence had decided by the time alone is to be undone by a fix from before
    silent: bool = False
    #: when its turn comes in the queue of silences
    due_ns: int = _NEVER


class _Pair(msgspec.Struct):
    """The good points of a pair since ``late_s`` ago, what those before came to, and what was told since."""

    now: Meeting | Company
    then: Meeting | Company
    recent: dict[int, Point] = {}
    told: dict[str, Event] = {}


class _Shared(msgspec.Struct):
    """An identity that jumps: its fixes since ``late_s`` ago, the strand of each and the thing that it was given to (-1: none),
    and how they are parted, as of before them and now."""

    then: Parting
    now: Parting
    recent: list[Seen] = []
    strands: list[int] = []
    given: list[int] = []
    #: of the strands that are open, what was said of them last
    said: dict[int, int] = {}
    #: no fix before this one changes anything any more
    since_ns: int = -_NEVER


class _Packed(msgspec.Struct):
    """An engine on disk."""

    rules: Rules
    kinds: list[str]
    late_s: int
    now_ns: int
    vessels: dict[str, _Vessel]
    pairs: list[tuple[tuple[str, str, str], _Pair]]
    hearing: Hearing
    due: list[tuple[int, str]]
    places: tuple[Zone, ...] = ()
    shared: dict[str, _Shared] = {}


class Events:
    """Feed it fixes, and the time when nothing comes.

    Args:
        kinds: what is told; whoever wants splits is told of co-travel too.
        places, ways: what the kinds about places and used ways need (``batch.events``).
    """

    def __init__(
        self, rules: Rules | None = None, kinds: Iterable[str] = ALL_KINDS, late_s: int = LATE_S,
        places: Places | None = None, ways: Ways | None = None,
    ):  # fmt: skip
        self.rules, self.kinds = rules or Rules(), tuple(kinds)
        if "split" in self.kinds and "cotravel" not in self.kinds:
            self.kinds += ("cotravel",)
        self.places, self.ways = places or Places(), ways
        self.late_s = late_s
        self.now_ns = -_NEVER
        self._vessels: dict[str, _Vessel] = {}
        self._hearing = Hearing(self.rules.gap, self.rules.grid_ns, keep=late_s // self.rules.grid_s + 36)
        self._cells = Cells(self.rules)
        self._pairs: dict[tuple[str, str, str], _Pair] = {}
        self._of: dict[str, list[tuple[str, str, str]]] = {}
        self._shared: dict[str, _Shared] = {}
        #: identity of each thing that does not bear its name
        self._identity: dict[str, str] = {}
        #: who has a gap told that began in a step of the grid: what is heard late near by counts for it
        self._silent: dict[int, set[str]] = {}
        self._due: list[tuple[int, str]] = []
        self._forgotten_g = -_NEVER
        gap_ns, stop_ns = int(self.rules.gap.least_s * NS), int(self.rules.stop.hole_s * NS)
        self._thin_ns = max(1, self.rules.thin_s * NS)
        #: silences after which something is decided
        lane_ns = {int(self.rules.lane_stop.hole_s * NS)} if ways is not None else set()
        self._silences_ns = sorted({self.rules.hole_ns, gap_ns, stop_ns} | lane_ns)
        self._least_ns = self._silences_ns[0]
        #: Of whom nothing came yet: what is run again from there is a copy.
        self._begins = self._state()
        self._unheard = _Kept(-_NEVER, self._begins)
        #: Of whom one fix came: of its state there is the fix, the rest is made when somebody asks for it (``_now``).
        self._young: dict[str, None] = {}

    # --- what comes in ---------------------------------------------------------------------------

    def fix(self, name: str, time_ns: int, lat_deg: float, lon_deg: float) -> list[Told]:
        """Take one fix; two of one thing at one time are one, the first."""
        out = self.pass_time(time_ns)
        seen, shared = (time_ns, lat_deg, lon_deg), self._shared.get(name)
        if shared is None and self._jumps(name, seen):
            shared = self._part(name)
        return out + (self._fix(name, seen) if shared is None else self._of_shared(name, shared, seen))

    def things(self, name: str) -> list[str]:
        """What reports under an identity, by the names under which its events are told."""
        shared = self._shared.get(name)
        return [named(name, k) for k in range(shared.now.total)] if shared is not None else [name]

    def identity(self, thing: str) -> str:
        """Under which identity something reports."""
        return self._identity.get(thing, thing)

    def _fix(self, name: str, seen: Seen) -> list[Told]:
        """A fix of one thing."""
        time_ns, lat_deg, lon_deg = seen
        vessel = self._vessels.get(name)
        if vessel is None:
            if not self.places and self.ways is None and time_ns % self.rules.grid_ns and self.rules.stop.least_s > 0:
                return self._first(name, seen)
            vessel = self._vessels[name] = _Vessel(self._state(), [self._unheard])
        recent, cell = vessel.recent, time_ns // self._thin_ns
        if recent and recent[-1][0] <= time_ns and recent[-1][0] // self._thin_ns == cell:
            return []
        if not vessel.kept[0].after(time_ns):
            last = vessel.kept[0].newest
            if last is not None and last[0] // self._thin_ns == cell:
                return []
            return [Told("too_late", None, because=(self.identity(name), time_ns))]
        at = bisect.bisect_left(recent, (time_ns,))
        if at and recent[at - 1][0] // self._thin_ns == cell or at < len(recent) and recent[at][0] == time_ns:
            return []
        x, y, z = point(lat_deg, lon_deg)
        fix = (time_ns, x, y, z, lat_deg, lon_deg)
        newest = at == len(recent) and not (vessel.silent and time_ns < self.now_ns)
        was = () if newest else tuple(recent)
        if at < len(recent) and recent[at][0] // self._thin_ns == cell:
            recent[at] = fix  # the first of its part of time comes after another of it
        else:
            recent.insert(at, fix)
        out = self._take(name, vessel, fix) if newest else self._again(name, vessel, time_ns, was)
        self._forget(name, vessel)
        return out

    def _first(self, name: str, seen: Seen) -> list[Told]:
        """The first fix of a thing, which by itself is nothing to be told, between two points of the grid."""
        time_ns, lat_deg, lon_deg = seen
        fix = (time_ns, *point(lat_deg, lon_deg), lat_deg, lon_deg)
        of, kept = self._begins, _Kept(time_ns, None, (), fix)
        now = _State(of.cleaner, of.stops, of.loitering, of.sampler, fix)
        vessel = self._vessels[name] = _Vessel(now, [self._unheard, kept], [fix])
        self._young[name] = None
        out = self._heard((name, time_ns), (fix,), ())
        out += self._waited(name, vessel)
        self._forget(name, vessel)
        return out

    def _now(self, name: str, vessel: _Vessel) -> _State:
        """The state of a vessel, to go on from."""
        if name in self._young:
            del self._young[name]
            heard, first = vessel.now.heard, vessel.now.last
            assert first is not None, "it has seen a fix"
            vessel.now = self._state()
            self._step(vessel.now, name, first)
            vessel.now.heard = heard
        return vessel.now

    def _grow_up(self) -> None:
        """The states of all, made."""
        for name in [*self._young]:
            self._now(name, self._vessels[name])

    def without(self, name: str, time_ns: int) -> list[Told]:
        """A fix is taken out: somebody says that it is false.  One that is not kept (any more) is none."""
        shared = self._shared.get(name)
        if shared is None:
            return self._without(name, time_ns)
        at = bisect.bisect_left(shared.recent, (time_ns,))
        if not (at < len(shared.recent) and shared.recent[at][0] == time_ns):
            return []
        given = shared.given[at]
        del shared.recent[at], shared.strands[at], shared.given[at]
        out = self._without(named(name, given), time_ns) if given >= 0 else []
        return out + self._part_again(name, shared)

    def _without(self, name: str, time_ns: int) -> list[Told]:
        vessel = self._vessels.get(name)
        if vessel is None:
            return []
        at = bisect.bisect_left(vessel.recent, (time_ns,))
        if not (at < len(vessel.recent) and vessel.recent[at][0] == time_ns and vessel.kept[0].after(time_ns)):
            return []
        was = tuple(vessel.recent)
        del vessel.recent[at]
        return self._again(name, vessel, time_ns, was)

    # --- an identity that jumps --------------------------------------------------------------------

    def _jumps(self, name: str, seen: Seen) -> bool:
        """Whether nothing goes from the fix before, or to the one after."""
        vessel = self._vessels.get(name)
        if vessel is None:
            return False
        recent, beside = vessel.recent, []
        if recent and recent[-1][0] <= seen[0]:
            beside.append(recent[-1])
        else:
            at = bisect.bisect_left(recent, (seen[0],))
            before = recent[at - 1] if at else vessel.kept[0].newest
            beside += [one for one in (before, recent[at] if at < len(recent) else None) if one is not None]
        here, reach_mps = None, self.rules.reach_mps
        for one in beside:
            ns = abs(seen[0] - one[0])
            # of nearly none it has to be asked how far it is
            if jumps(most_m(one[4], one[5], seen[1], seen[2]), ns, reach_mps):
                here = point(seen[1], seen[2]) if here is None else here
                if jumps(math.dist(here, one[1:4]), ns, reach_mps):
                    return True
        return False

    def _part(self, name: str) -> _Shared:
        """An identity is asked about from now on; what came before of it is of one thing."""
        vessel = self._vessels[name]
        then, old = Parting.begun(self.rules.reach_mps), self._whole(name, vessel.kept[0])
        last = old.cleaner.held or old.cleaner.last
        if last is not None:
            then.add((last[0], last[4], last[5]), known=1 + len(old.own_ns))
        shared = self._shared[name] = _Shared(then, then.copied(), since_ns=-_NEVER if last is None else last[0])
        for fix in vessel.recent:
            seen = (fix[0], fix[4], fix[5])
            shared.recent.append(seen)
            shared.strands.append(shared.now.add(seen))
            shared.given.append(0)
        shared.said = dict.fromkeys(shared.now.open, 0)
        return shared

    def _of_shared(self, name: str, shared: _Shared, seen: Seen) -> list[Told]:
        """A fix of an identity that jumps: to the thing that it is of; others may change over by it."""
        if seen[0] <= shared.since_ns:
            return [Told("too_late", None, because=(name, seen[0]))]
        at = bisect.bisect_right(shared.recent, seen[0], key=lambda one: one[0])
        newest = at == len(shared.recent)
        shared.recent.insert(at, seen)
        shared.strands.insert(at, shared.now.add(seen) if newest else -1)
        shared.given.insert(at, -1)
        if newest:
            things = shared.now.things
            moved = {one for one in shared.now.open if shared.said.get(one, things[one]) != things[one]}
            other = [k for k, one in enumerate(shared.strands[:-1]) if one in moved] if moved else []
            out = self._change_over(name, shared, [*other, at])
        else:
            out = self._part_again(name, shared)
        while shared.recent and shared.recent[0][0] < self.now_ns - self.late_s * NS:
            shared.since_ns = shared.recent[0][0]
            shared.then.add(shared.recent[0])
            del shared.recent[0], shared.strands[0], shared.given[0]
        if len(shared.now.things) > 2 * len(shared.recent) + 64:
            for parting in (shared.then, shared.now):
                needed = {*parting.open, *shared.strands}
                parting.things = {label: thing for label, thing in parting.things.items() if label in needed}
        return out

    def _part_again(self, name: str, shared: _Shared) -> list[Told]:
        shared.now = shared.then.copied()
        shared.strands = [shared.now.add(seen) for seen in shared.recent]
        return self._change_over(name, shared, range(len(shared.recent)))

    def _change_over(self, name: str, shared: _Shared, asked: Iterable[int]) -> list[Told]:
        """Give those of the fixes that are asked about to the thing that each is of by now."""
        things = shared.now.things
        shared.said = {label: things[label] for label in shared.now.open}
        of = {k: things[shared.strands[k]] for k in asked}
        other = [k for k, thing in of.items() if thing != shared.given[k]]
        out: list[Told] = []
        for k in other:
            if shared.given[k] >= 0:
                out += self._without(named(name, shared.given[k]), shared.recent[k][0])
        for k in other:
            if of[k] >= 0:
                thing = named(name, of[k])
                if of[k] and thing not in self._identity:
                    self._identity[thing] = name
                out += self._fix(thing, shared.recent[k])
            shared.given[k] = of[k]
        return out

    def forget(self, name: str) -> list[Told]:
        """Nothing more comes of an identity: what lasts of it has ended, and nothing of it is kept."""
        out: list[Told] = []
        for thing in self.things(name):
            out += self._gone(thing)
            self._identity.pop(thing, None)
        self._shared.pop(name, None)
        return out

    def _gone(self, name: str) -> list[Told]:
        vessel = self._vessels.pop(name, None)
        self._young.pop(name, None)
        if vessel is None:
            return []
        lasting = [e for e in vessel.told.values() if e.end_ns is None]
        for key in self._of.pop(name, []):
            pair = self._pairs.pop(key)
            lasting += [e for e in pair.told.values() if e.end_ns is None]
            other = key[2] if key[1] == name else key[1]
            if other in self._of:
                self._of[other].remove(key)
        return [Told("ended", msgspec.structs.replace(e, end_ns=e.last_ns), e) for e in lasting]

    def pass_time(self, time_ns: int) -> list[Told]:
        """It is this time: what a silence decides is told.  Time does not go back."""
        out: list[Told] = []
        self.now_ns = max(self.now_ns, time_ns)
        while self._due and self._due[0][0] < self.now_ns:
            turn = heapq.heappop(self._due)
            while self._due and self._due[0] == turn:  # entered again by another fix: once is enough, then and from then on
                heapq.heappop(self._due)
            name = turn[1]
            vessel = self._vessels.get(name)
            if vessel is None or vessel.now.last is None:
                continue
            vessel.due_ns = _NEVER
            out += self._waited(name, vessel)
        return out

    def lasting(self) -> list[Event]:
        """Every event that is open now, as it stands."""
        out: list[Event] = []
        for name, vessel in self._vessels.items():
            now = self._now(name, vessel)
            found, last = self._standing(now, name), now.last
            if last is not None and self.now_ns - last[0] > int(self.rules.gap.least_s * NS):
                found.append(self._gap(now, name, self.now_ns, None))
            out += [e for e in found if e.kind in self.kinds]
        for key, pair in self._pairs.items():
            if pair.now.lasting is not None:
                out.append(_of_pair(key, self.rules, pair.now.lasting, ended=False))
        return out

    # --- one vessel ------------------------------------------------------------------------------

    def _state(self) -> _State:
        rules = self.rules
        return _State(
            Cleaner(rules.reach_mps), Stops(rules.stop), Loitering(rules.loiter, rules.grid_s),
            Sampler(rules.grid_s, rules.hole_ns), lane=None if self.ways is None else Stops(rules.lane_stop.stop),
        )  # fmt: skip

    def learn(self, places: Places, ways: Ways | None) -> list[Told]:
        """Other places or ways from now on: visits and deviations under way are over, no late fix corrects those of before."""
        out: list[Told] = []
        self._grow_up()
        self.places, self.ways = places, ways
        self._begins = self._state()
        self._unheard = _Kept(-_NEVER, self._begins)
        for vessel in self._vessels.values():
            for key, was in vessel.told.items():
                if was.kind in (*PLACE_KINDS, *WAY_KINDS) and was.end_ns is None:
                    vessel.told[key] = event = msgspec.structs.replace(was, end_ns=was.last_ns)
                    out.append(Told("ended", event, was))
            now = vessel.now
            now.at, now.astray = None, Astray()
            now.lane = None if ways is None else Stops(self.rules.lane_stop.stop)
            since = now.cleaner.held or now.cleaner.last
            over = tuple([key for key, event in vessel.told.items() if event.end_ns is not None])
            vessel.kept = [_Kept(since[0] if since is not None else -_NEVER, _copied(now), over)]
            vessel.recent = []
        lane_ns = {int(self.rules.lane_stop.hole_s * NS)} if ways is not None else set()
        self._silences_ns = sorted({*self._silences_ns, *lane_ns})
        return out

    def _take(self, name: str, vessel: _Vessel, fix: Fix) -> list[Told]:
        """A fix after all others of its vessel."""
        vessel.silent = False
        events, samples, kept = self._step(self._now(name, vessel), name, fix)
        out = self._heard((name, fix[0]), kept, ())
        out += _course(vessel.told, events)
        for sample in samples:
            vessel.samples[sample.g] = sample
            self._judge(name, vessel, sample.g, out)
        if vessel.kept[-1].time_ns + self.late_s * NS // _KEPT <= fix[0]:
            self._keep(vessel, vessel.now, fix[0], [key for key, e in vessel.told.items() if e.end_ns is not None])
        out += self._settle(name)
        return out + self._waited(name, vessel)

    def _step(self, state: _State, name: str, fix: Fix) -> tuple[list[Event], list[Sample], list[Fix]]:
        """(what ended or lasts, samples, what of the fixes stays) with the next fix of a state."""
        out: list[Event] = []
        samples: list[Sample] = []
        kept = state.cleaner.add(fix)
        for one in kept:
            out += self._silence(state, name, one[0], one)
            if state.last is not None:
                state.own_ns.append(one[0] - state.last[0])
                del state.own_ns[: -self.rules.gap.intervals]
            if self.places:
                if state.at is None:
                    state.at = AtPlaces()
                out += [tell.at_place(name, found) for found in state.at.add(one, self.places, self.rules)]
            if self.ways is not None and state.lane is not None:
                out += self._lane(name, state.lane.add(one), ended=True)
                state.astray, left = state.astray.add(one, self.ways, self.rules)
                out += [tell.at_place(name, left)] if left is not None else []
            state.last, state.heard = one, None
            stop = state.stops.add(one)
            if stop is not None:
                out.append(_stop(name, self.rules, stop, ended=True))
            for sample in state.sampler.add(one):
                loiter = state.loitering.add(sample)
                if loiter is not None:
                    out.append(tell.loiter(name, self.rules, loiter, ended=True))
                samples.append(sample)
            out += self._standing(state, name)
        return [e for e in out if e.kind in self.kinds], samples, kept

    def _lane(self, name: str, stop: Begun | None, *, ended: bool) -> list[Event]:
        if stop is None or self.ways is None:
            return []
        event = tell.lane_stop(name, self.rules, self.ways, stop.first_ns, stop.last_ns, stop.n, (stop.x, stop.y, stop.z),
                               stop.at, ended=ended)  # fmt: skip
        return [event] if event is not None else []

    def _standing(self, state: _State, name: str) -> list[Event]:
        out = []
        if state.stops.lasting is not None:
            out.append(_stop(name, self.rules, state.stops.lasting, ended=False))
        if state.loitering.lasting is not None:
            out.append(tell.loiter(name, self.rules, state.loitering.lasting, ended=False))
        if self.places and state.at is not None:
            out += [tell.at_place(name, found) for found in state.at.lasting(self.rules)]
        if state.lane is not None:
            out += self._lane(name, state.lane.lasting, ended=False)
            left = state.astray.found(self.rules, ended=False)
            out += [tell.at_place(name, left)] if left is not None else []
        return out

    def _silence(self, state: _State, name: str, now_ns: int, coming: Fix | None) -> list[Event]:
        """What the silence from the last fix to now comes to, by the time or by the fix that ends it."""
        out: list[Event] = []
        if state.last is None:
            return out
        silence_ns = now_ns - state.last[0]
        if silence_ns > int(self.rules.gap.least_s * NS):
            out.append(self._gap(state, name, now_ns, coming))
        loiter = state.loitering.end() if silence_ns > self.rules.hole_ns else None
        if loiter is not None:
            out.append(tell.loiter(name, self.rules, loiter, ended=True))
        stop = state.stops.end() if silence_ns > int(self.rules.stop.hole_s * NS) else None
        if stop is not None:
            out.append(_stop(name, self.rules, stop, ended=True))
        if state.lane is not None:
            if silence_ns > self.rules.hole_ns:
                left = state.astray.found(self.rules, ended=True)
                out += [tell.at_place(name, left)] if left is not None else []
                state.astray = Astray(last=state.astray.last)
            if silence_ns > int(self.rules.lane_stop.hole_s * NS):
                out += self._lane(name, state.lane.end(), ended=True)
        return [e for e in out if e.kind in self.kinds]

    def _gap(self, state: _State, name: str, now_ns: int, coming: Fix | None) -> Event:
        last, rule = state.last, self.rules.gap
        assert last is not None
        habit_ns, known = median(state.own_ns), len(state.own_ns)
        if state.heard is None:
            state.heard = self._heard_near(name, last)
        self._silent.setdefault(last[0] // self.rules.grid_ns, set()).add(name)
        moved = None
        if coming is not None:
            dx, dy, dz = (coming[i] - last[i] for i in (1, 2, 3))
            moved = math.sqrt(dx * dx + dy * dy + dz * dz)
        return tell.gap(
            name, rule, last[0], now_ns, habit_ns, known, state.heard, ended=coming is not None,
            lat_deg=last[4], lon_deg=last[5], moved_m=moved,
        )  # fmt: skip

    def _waited(self, name: str, vessel: _Vessel) -> list[Told]:
        """What the silence of a vessel until now decides; when it is asked next stands in the queue."""
        out: list[Told] = []
        if vessel.now.last is None:
            return out
        if self.now_ns - vessel.now.last[0] > self._least_ns:
            vessel.silent = True
            out += _course(vessel.told, self._silence(self._now(name, vessel), name, self.now_ns, None))
            out += self._settle(name)
        for silence_ns in self._asked_after(vessel.now) if vessel.silent else self._silences_ns:
            due_ns = vessel.now.last[0] + silence_ns
            if due_ns >= self.now_ns:
                if not self.now_ns <= vessel.due_ns <= due_ns:  # else it is asked earlier, and again then
                    heapq.heappush(self._due, (due_ns, name))
                    vessel.due_ns = due_ns
                break
        return out

    def _asked_after(self, state: _State) -> list[int]:
        """The silences after which something is decided of who is silent: also when it becomes an unusual one."""
        unusual_ns = int(self.rules.gap.times * median(state.own_ns)) if len(state.own_ns) >= self.rules.gap.habit else 0
        return sorted({*self._silences_ns, unusual_ns})

    def _again(self, name: str, vessel: _Vessel, late_ns: int, was: tuple[Fix, ...]) -> list[Told]:
        """What is among ``recent`` changed at a time: all since the last state that was kept of before once more.

        Args:
            was: ``recent`` as it had been.
        """
        while len(vessel.kept) > 1 and not vessel.kept[-1].after(late_ns):
            vessel.kept.pop()
        kept = vessel.kept[-1]
        whole = self._whole(name, kept)
        over, state = list(kept.over), _copied(whole)
        events: dict[str, Event] = {}
        samples: dict[int, Sample] = {}
        base = -_NEVER if state.sampler.last is None else state.sampler.last.g
        stayed = self._stayed(whole, was, kept.time_ns)
        stay: list[Fix] = []
        for fix in vessel.recent[bisect.bisect_right(vessel.recent, kept.time_ns, key=lambda f: f[0]) :]:
            found, more, clean = self._step(state, name, fix)
            stay += clean
            events |= {_key(e): e for e in found}
            samples |= {s.g: s for s in more}
            self._keep(vessel, state, fix[0], [*over, *(key for key, e in events.items() if e.end_ns is not None)])
        events |= {_key(e): e for e in self._silence(state, name, self.now_ns, None)}
        vessel.now = state
        self._young.pop(name, None)
        vessel.silent = state.last is not None and self.now_ns - state.last[0] > self._least_ns
        because = (name, late_ns)
        before = {key: vessel.told.pop(key) for key in over if key in vessel.told}
        out = _corrections(vessel.told, events, because)
        vessel.told.update(before)
        old = vessel.samples
        vessel.samples = {g: s for g, s in old.items() if g <= base} | samples
        changed = sorted(g for g in {*old, *samples} if g > base and old.get(g) != samples.get(g))
        for g in changed:
            if g in old:
                self._cells.put(name, old[g], old.get(g - 1), away=True)
        again = set(self._of.get(name, ()))
        for key in again:
            for g in changed:
                self._pairs[key].recent.pop(g, None)
        for g in changed:
            if g in samples:
                again |= self._judge(name, vessel, g, None)
        for key in sorted(again):
            out += self._pair_again(key, because)
        stays = set(stay)
        out += self._heard(because, [f for f in stay if f not in stayed], [f for f in stayed if f not in stays])
        return out + self._waited(name, vessel)

    def _stayed(self, state: _State, fixes: tuple[Fix, ...], after_ns: int) -> dict[Fix, None]:
        """Which of the fixes after a state had stayed."""
        cleaner, out = copy.copy(state.cleaner), []
        for fix in fixes[bisect.bisect_right(fixes, after_ns, key=lambda f: f[0]) :]:
            out += cleaner.add(fix)
        return dict.fromkeys(out)

    # --- who was heard near a gap ------------------------------------------------------------------

    def _heard(self, because: tuple[str, int], more: Iterable[Fix], less: Iterable[Fix]) -> list[Told]:
        """Fixes count for the gaps near by, or do no more: one that had been told is corrected where that changes it."""
        if not self._silent:  # nothing was told that could change
            for fix in more:
                self._hearing.add(fix)
            for fix in less:
                self._hearing.add(fix, -1)
            return []
        now_g, oldest, changed = self.now_ns // self.rules.grid_ns, self._horizon_g() - 1 - STEPS, set()
        for fixes, by in ((more, 1), (less, -1)):
            for fix in fixes:
                self._hearing.add(fix, by)
                g = fix[0] // self.rules.grid_ns
                if g < now_g:  # else no gap that began early enough has been told
                    begun = range(max(g - STEPS, oldest), g)  # before, nothing is changed any more
                    changed |= {(start, name) for start in begun for name in self._silent.get(start, ())}
        out: list[Told] = []
        for start, name in sorted(changed):
            out += self._heard_anew(name, start, because)
        return out

    def _heard_near(self, name: str, last: Fix) -> int:
        """Others' fixes in the first hour of a silence; of one that began before what is kept of them, those that were told:
        a late fix after a long silence has it told again."""
        if last[0] // self.rules.grid_ns < self._hearing.oldest and name in self._vessels:
            was = self._vessels[name].told.get(f"gap:{last[0]}:")
            if was is not None and was.measures["heard_near"] is not None:
                return int(was.measures["heard_near"])
        return self._hearing.near(last)

    def _heard_anew(self, name: str, start_g: int, because: tuple[str, int]) -> list[Told]:
        vessel = self._vessels.get(name)
        if vessel is None or start_g < self._hearing.oldest:
            return []
        out: list[Told] = []
        for state in (vessel.now, *(kept.state for kept in vessel.kept)):
            if state is not None and state.last is not None and state.last[0] // self.rules.grid_ns == start_g:
                state.heard = None
        for key, was in vessel.told.items():
            if was.kind != "gap" or was.start_ns // self.rules.grid_ns != start_g or was.measures["heard_near"] is None:
                continue
            heard = self._hearing.near((was.start_ns, *point(was.lat_deg, was.lon_deg)))
            if heard != was.measures["heard_near"]:
                measures = was.measures | {"heard_near": heard, "switched_off": heard >= self.rules.gap.heard}
                vessel.told[key] = event = msgspec.structs.replace(was, measures=measures)
                out.append(Told("corrected", event, was, because))
        return out

    def _keep(self, vessel: _Vessel, state: _State, time_ns: int, over: list[str]) -> None:
        """Keep a state now and then, so that a late fix makes little be run again."""
        before_ns = vessel.kept[-1].time_ns
        if before_ns + self.late_s * NS // _KEPT <= time_ns:
            if before_ns == -_NEVER and not state.own_ns and state.cleaner.held is None:  # it has seen one fix
                vessel.kept.append(_Kept(time_ns, None, tuple(over), state.last))
            else:
                vessel.kept.append(_Kept(time_ns, _copied(state), tuple(over)))

    def _whole(self, name: str, kept: _Kept) -> _State:
        """The state that was kept; that of one fix is made of it."""
        if kept.state is None:
            assert kept.first is not None, "it has seen a fix"
            kept.state = _copied(self._begins)
            self._step(kept.state, name, kept.first)
            kept.first = None
        return kept.state

    def _forget(self, name: str, vessel: _Vessel) -> None:
        """What is older than a state that is itself too old to be changed is not needed any more."""
        horizon, kept = self.now_ns - self.late_s * NS, vessel.kept
        if len(kept) > 1 and kept[1].time_ns < horizon:
            while len(kept) > 1 and kept[1].time_ns < horizon:
                del kept[0]
            del vessel.recent[: bisect.bisect_right(vessel.recent, kept[0].time_ns, key=lambda f: f[0])]
            gone = set(kept[0].over)
            for key in kept[0].over:
                vessel.told.pop(key, None)
            for one in kept:
                one.over = tuple([key for key in one.over if key not in gone])
        oldest = self._horizon_g() - 1
        if vessel.samples:
            # whether two that meet were seen apart before, and when two that part began to, is asked again with a late fix:
            # what lies so long before is needed
            before = oldest - int(max(self.rules.encounter.apart_s, self.rules.split.within_s) // self.rules.grid_s)
            if next(iter(vessel.samples)) < before:
                for pair in list(self._of.get(name, ())):
                    self._forget_pair(pair, self._pairs[pair])
            while vessel.samples and (first := next(iter(vessel.samples))) < before:
                del vessel.samples[first]
        if oldest >= self._forgotten_g + 6:
            self._forgotten_g = oldest
            self._cells.forget(oldest)
            for g in [g for g in self._silent if g < oldest - STEPS]:
                del self._silent[g]

    def _horizon_g(self) -> int:
        """Points of the grid before this one do not change any more."""
        return (self.now_ns - self.late_s * NS - self.rules.hole_ns) // self.rules.grid_ns - 1

    # --- pairs -----------------------------------------------------------------------------------

    def _judge(self, name: str, vessel: _Vessel, g: int, out: list[Told] | None) -> set[tuple[str, str, str]]:
        """Hold the sample at g against those of the others there, and let it stand; the pairs that got a point.

        Args:
            out: where what this decides is told; None where the pairs are run again anyway.
        """
        mine, before = vessel.samples[g], vessel.samples.get(g - 1)
        if not mine.before:
            before = None
        meet, along = self._cells.near(name, mine, before)
        self._cells.put(name, mine, before)
        got = set()
        for kind, others in (("encounter", meet), ("cotravel", along)):
            if kind not in self.kinds:
                continue
            for other in others:
                if other not in self._vessels or self.identity(other) == self.identity(name):
                    continue
                a, b = min(name, other), max(name, other)
                one, two = self._vessels[a].samples, self._vessels[b].samples
                if not (g in one and g in two):
                    continue  # forgotten there
                if kind == "encounter":
                    point = meets(one[g], two[g], self.rules.encounter)
                elif g - 1 in one and g - 1 in two:
                    point = follows(one[g], one[g - 1], two[g], two[g - 1], self.rules.cotravel, self.rules.grid_s)
                else:
                    point = None
                if point is not None:
                    if kind == "encounter" and self.rules.encounter.apart_s and out is not None:
                        point = msgspec.structs.replace(point, apart=self._apart(a, b, g))
                    got.add((kind, a, b))
                    self._good((kind, a, b), point, out)
        return got

    def _apart(self, a: str, b: str, g: int) -> bool:
        return apart(self._vessels[a].samples.get, self._vessels[b].samples.get, g, self.rules)

    def _good(self, key: tuple[str, str, str], point: Point, out: list[Told] | None) -> None:
        pair = self._pairs.get(key)
        if pair is None:
            kind, rule, grid_s = _PAIRS[key[0]], getattr(self.rules, key[0]), self.rules.grid_s
            pair = self._pairs[key] = _Pair(kind(rule, grid_s), kind(rule, grid_s))
            for name in key[1:]:
                self._of.setdefault(name, []).append(key)
        in_order = not pair.recent or point.g > next(reversed(pair.recent))
        pair.recent[point.g] = point
        if out is None:
            return
        if in_order:
            out += _course(pair.told, self._added(key, pair.now, point))
        else:
            out += self._pair_again(key, None)

    def _of_fold(self, key: tuple[str, str, str], fold: Meeting | Company, ended: PairRun | None) -> list[Event]:
        lasting = [_of_pair(key, self.rules, fold.lasting, ended=False)] if fold.lasting is not None else []
        return self._ended(key, ended) + lasting

    def _added(self, key: tuple[str, str, str], fold: Meeting | Company, point: Point) -> list[Event]:
        """What a fold says with the next good point of a pair."""
        return self._parted(key, fold, point.g - 1) + self._of_fold(key, fold, fold.add(point))

    def _parted(self, key: tuple[str, str, str], fold: Meeting | Company, g: int) -> list[Event]:
        """The split that those of a co-travel that ended are seen to have come to by a point of the grid."""
        if isinstance(fold, Meeting) or fold.rest is None:
            return []
        found = fold.part(self._vessels[key[1]].samples.get, self._vessels[key[2]].samples.get, g, self.rules)
        return [tell.split(key[1], key[2], self.rules, *found)] if found is not None and "split" in self.kinds else []

    def _known(self, key: tuple[str, str, str]) -> int:
        """As ``_settled``, but of who is silent until now alone."""
        return min(self._settled(key), self.now_ns // self.rules.grid_ns - 1)

    def _settle(self, name: str) -> list[Told]:
        """Time has passed for the pairs of a vessel: what is decided by that."""
        out: list[Told] = []
        for key in list(self._of.get(name, ())):
            pair = self._pairs[key]
            ended = pair.now.settle(self._settled(key))
            if ended is not None:
                out += _course(pair.told, [_of_pair(key, self.rules, ended, ended=True)])
            out += _course(pair.told, self._parted(key, pair.now, self._known(key)))
            self._forget_pair(key, pair)
        return out

    def _settled(self, key: tuple[str, str, str]) -> int:
        """Up to which point of the grid everything is known of both."""
        out = _NEVER
        for name in key[1:]:
            last = self._vessels[name].now.last
            if last is not None and self.now_ns - last[0] <= self.rules.hole_ns:
                out = min(out, last[0] // self.rules.grid_ns)
        return out

    def _pair_again(self, key: tuple[str, str, str], because: tuple[str, int] | None) -> list[Told]:
        pair = self._pairs[key]
        fold = copy.deepcopy(pair.then)
        events: dict[str, Event] = {}
        pair.recent = {g: pair.recent[g] for g in sorted(pair.recent)}
        if key[0] == "encounter" and self.rules.encounter.apart_s:
            for g, p in pair.recent.items():
                pair.recent[g] = msgspec.structs.replace(p, apart=self._apart(key[1], key[2], g))
        for one in pair.recent.values():
            events |= {_key(e): e for e in self._added(key, fold, one)}
        ended = fold.settle(self._settled(key))
        events |= {_key(e): e for e in self._of_fold(key, fold, ended)}
        events |= {_key(e): e for e in self._parted(key, fold, self._known(key))}
        pair.now = fold
        return _corrections(pair.told, events, because)

    def _forget_pair(self, key: tuple[str, str, str], pair: _Pair) -> None:
        horizon = self._horizon_g()
        while pair.recent and (g := next(iter(pair.recent))) < horizon:
            one = pair.recent.pop(g)
            self._over(pair, self._parted(key, pair.then, g - 1))
            self._over(pair, self._ended(key, pair.then.add(one)))
        if not pair.recent:
            self._over(pair, self._ended(key, pair.then.settle(min(horizon - 1, self._settled(key)))))
        self._over(pair, self._parted(key, pair.then, min(horizon - 1, self._known(key))))
        if pair.recent:
            return
        if pair.then.idle and pair.now.idle:
            del self._pairs[key]
            for name in key[1:]:
                self._of[name].remove(key)

    def _ended(self, key: tuple[str, str, str], run: PairRun | None) -> list[Event]:
        return [] if run is None else [_of_pair(key, self.rules, run, ended=True)]

    def _over(self, pair: _Pair, events: list[Event]) -> None:
        """What is over for good is forgotten."""
        for event in events:
            pair.told.pop(_key(event), None)

    # --- beyond a process ------------------------------------------------------------------------

    def packed(self) -> bytes:
        """The whole engine, for ``Events.of``."""
        self._grow_up()
        pairs, due = list(self._pairs.items()), sorted(one for one in self._due if one[1] in self._vessels)
        state = _Packed(self.rules, list(self.kinds), self.late_s, self.now_ns, self._vessels, pairs, self._hearing, due,
                        self.places.zones, self._shared)  # fmt: skip
        return msgspec.msgpack.encode(state, enc_hook=_plain)

    @classmethod
    def of(cls, packed: bytes, ways: Ways | None = None) -> Events:
        """An engine as it was; the ways, which are not packed with it, are those that it had."""
        state = msgspec.msgpack.decode(packed, type=_Packed, dec_hook=_array)
        self = cls(state.rules, state.kinds, state.late_s, Places(state.places), ways)
        self.now_ns, self._vessels, self._hearing, self._due = state.now_ns, state.vessels, state.hearing, state.due
        for key, pair in state.pairs:
            self._pairs[key] = pair
            for name in key[1:]:
                self._of.setdefault(name, []).append(key)
        self._shared = state.shared
        self._identity = {thing: name for name in self._shared for thing in self.things(name)[1:]}
        for name, vessel in self._vessels.items():
            began = [event.start_ns for event in vessel.told.values() if event.kind == "gap"]
            for one in (vessel.now, *(kept.state for kept in vessel.kept)):
                began += [one.last[0]] if one is not None and one.last is not None and one.heard is not None else []
            for start_ns in began:
                self._silent.setdefault(start_ns // self.rules.grid_ns, set()).add(name)
            for g, sample in vessel.samples.items():
                self._cells.put(name, sample, vessel.samples.get(g - 1) if sample.before else None)
        return self


def _copied(state: _State) -> _State:
    """A state that goes its own way; what its rules replace and never change is shared."""
    copied = msgspec.structs.replace  # ``copy.copy`` looks for how it is done for longer than that takes
    stops, loitering, lane = copied(state.stops), copied(state.loitering), state.lane
    stops.fixes, loitering.hour = list(stops.fixes), list(loitering.hour)
    if loitering.run is not None:
        loitering.run = copy.copy(loitering.run)
    if lane is not None:
        lane = copied(lane)
        lane.fixes = list(lane.fixes)
    return _State(
        copied(state.cleaner), stops, loitering, copied(state.sampler), state.last, list(state.own_ns), state.heard,
        None if state.at is None else state.at.copied(), state.astray, lane,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return [str(value.dtype), list(value.shape), value.tobytes()]


def _array(kind: type, value: Any) -> Any:
    return np.frombuffer(value[2], value[0]).reshape(value[1]).copy()


def _key(event: Event) -> str:
    return f"{event.kind}:{event.start_ns}:{event.place}"


def _stop(name: str, rules: Rules, stop: Begun, *, ended: bool) -> Event:
    return tell.stop(name, rules, stop.first_ns, stop.last_ns, stop.n, stop.x, stop.y, stop.z, ended=ended)


def _of_pair(key: tuple[str, str, str], rules: Rules, run: PairRun, *, ended: bool) -> Event:
    return (tell.encounter if key[0] == "encounter" else tell.cotravel)(key[1], key[2], rules, run, ended=ended)


def _course(told: dict[str, Event], events: list[Event]) -> list[Told]:
    """What is to be told of events in the course of things."""
    out = []
    for event in events:
        key = _key(event)
        was = told.get(key)
        told[key] = event
        if event.end_ns is None and (was is None or was.measures.get("switched_off") != event.measures.get("switched_off")):
            out.append(Told("began", event, was))
        elif event.end_ns is not None and (was is None or was.end_ns is None):
            out.append(Told("ended", event, was))
    return out


def _corrections(told: dict[str, Event], events: dict[str, Event], because: tuple[str, int] | None) -> list[Told]:
    """What is to be told when ``events`` take the place of what had been told; ``told`` becomes them."""
    out, gone, new = [], [], []
    for key, was in told.items():
        now = events.get(key)
        if now is None:
            gone.append(was)
        elif was.end_ns is None and now.end_ns is not None:
            out.append(Told("ended", now, was, because))
        elif was.end_ns is not None and was != now:
            out.append(Told("corrected", now, was, because))
    new = [e for key, e in events.items() if key not in told]
    for was in gone:
        # an event that only begins elsewhere now is the same, corrected
        alike = (e for e in new if (e.kind, e.place) == (was.kind, was.place))
        heir = next((e for e in alike if e.start_ns <= was.last_ns and was.start_ns <= e.last_ns), None)
        if heir is not None:
            new.remove(heir)
            out.append(Told("corrected", heir, was, because))
        else:
            out.append(Told("withdrawn", None, was, because))
    out += [Told("began" if e.end_ns is None else "ended", e, None, because) for e in new]
    told.clear()
    told.update(events)
    return out
