"""One track: its recent measurements in order of time, the filter after each, and the row it shows.

Late data: a measurement older than the newest is put in its place and the later ones are run again from there,
so the result is to the last digit that of arrival in order.  The ring reaches back ``late_s`` and holds at least
``late_count``; what is older than the ring is not used (``insert`` answers ``old``).  The snapshot holds the filter
before the ring and the ring; the filters in between are made again when first needed, which is the same sum.
A late one that would run much of the ring again is told of later, with others that wait (``put_off``).

Over 400 lines: one ring, every way into and out of it, and what it says.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from birddog.model import Event, Track, TrackStatus, Value
from birddog.units import NS
from tracking.arms import of
from tracking.company import Pass
from tracking.dated import SURE, Dated, holding
from tracking.dwell import stays
from tracking.kept import packed, unpacked
from tracking.measurement import Measurement, Origin, apart, merged, rank
from tracking.obeyed import Decided
from tracking.onward import LEAST_S as ONWARD_S
from tracking.onward import goes_on, turns
from tracking.past import Was, remember, wants, was
from tracking.reach import leaves, on_earth
from tracking.readers import Read
from tracking.ring import WAS_USED, Ring, Steps
from tracking.running import STEP, Running, Told, runs
from tracking.step import Core, Model, Place, Verdict, advance, lasting, placed, predicted

#: Late data: for each message in time so many steps of the ring may be run again at once for late ones; what was not used is
#: kept, up to so many.  Whose reports come in disorder all the time waits for the next in time: that runs the ring anyway.
LATE_STEPS, LATE_MOST = 2, 256
#: Of the filters of the ring one of so many is kept (2 kB each), and the newest.
KEPT_EACH = 16
#: What may become of a measurement of the ring; by its place here it stands among the numbers of its track.
VERDICTS: tuple[Verdict, ...] = ("began", "used", "refused", "moved", "beside")
_CODES = {verdict: float(i) for i, verdict in enumerate(VERDICTS)}
_TIME_NS = operator.attrgetter("time_ns")
_BEGAN, _USED, _MOVED_NOTHING = _CODES["began"], _CODES["used"], (_CODES["refused"], _CODES["beside"])
assert _USED == WAS_USED, "as a filter that runs writes it"
#: What is said of a measurement with which a rival took over.
MOVED = _CODES["moved"]
#: Not many more measurements than this are ever kept, whatever ``late_s`` says.
RING_MOST = 1024
#: While a device's store comes in (what it could not send for longer than ``late_s``), in whatever order, so many are kept: an
#: hour of a report each ten seconds, and what was there before.
STORE_MOST = 512
#: So many steps of its trail that were foretold are remembered, the latest: a late measurement may lie before them.
FORETOLD_MOST = 32
#: So much older than the newest, it was stored; so long after the last such one no more of them is waited for.
STORED_NS = 120 * NS

Outcome = Verdict | Literal["same", "merged", "old", "waits"]


class Turns(msgspec.Struct, frozen=True, array_like=True):
    """Runs of refused fixes one after the other at the same two places, too far apart to be driven: (lat, lon) of both."""

    count: int
    last_ns: int
    here: tuple[float, float]
    there: tuple[float, float]


class Rest(msgspec.Struct, frozen=True, array_like=True):
    """A stop at which a tracker slept (``rests``): since when it stood there, and for how long it said nothing at most."""

    since_ns: int
    longest_s: float


class Anew(NamedTuple):
    """What is told anew of the measurements of a ring from one on.

    Args:
        told: (n, ``STEP``), what the filter says after each.
        nothing: those of them that moved nothing, by their place here.
    """

    steps: Steps
    told: Any
    nothing: dict[int, Measurement]


class TrackState(msgspec.Struct, kw_only=True, gc=False):
    """All of a track that a snapshot keeps.

    Args:
        key: what the track is to its operation: ``s:SHIPMENT`` or ``d:DEVICE``; behind it ``/DEVICE`` of a receiver that an
            operator split off, ``of`` that of the track which it was.
        riding: keys of passive tags of no shipment that go with it.
        base: the filter before the first measurement of ``ring`` (``LiveTrack.base``); None where that one begins the track.
        fixers: the devices that gave fixes, in the order of their first.
        copied_ns: when a copy of a report last came in that was a minute late and more (``copies``).
        gap_s: a running mean of the time between messages (for a device that is not enrolled).
        rests: the last stops at which it slept (``rests``).
        stored_ns: when a measurement last came in that was older than the newest by more than ``late_s``.
        dated: by how much later or earlier than they are taken its fixes may have been made (``dated``).
        lost: messages that were missing between two others, as far as an alert budget asks for them.
        reports: whether a device of its own reports (a passive tag is only read, its silence means nothing).
        row_ns: when its row was last given out; due_ns: when time alone next changes something (``lifetime``).
        lapses_ns: when it coasts, is lost and is no more, where its row says so (``lifetime``); else ().
        may_wait: its turn is among those that wait until there is time (``operation.OperationFold``).
        turns: whether it is in two places in turn.
        told: when something that is told once in a while was last so, by kind of event.
        taken: the times of the ring's measurements with which a rival took over and was told of.
        leapt: the last jumps that were told of while a decision stood of which track is which (``Tracker.unleapt``).
        credit: so many measurements may be run again for late ones at once (``LATE_STEPS``).
        waiting: late ones that are in the ring and not yet told of.
        past: where it was before the ring (``tracking.past``).
        decided: what operators decided of its measurements, the newest last.
        foretold: of the last steps of its trail that were foretold (``coast``) when each is, and when it was measured last by
            then, the latest last: what is measured in between and comes in late withdraws it.
        stuck: the receiver that was told to be ``frozen``, and since when: from then on nobody knows where it was.
        fast: so many fixes in a row with which it went faster than its class can (``Tracker.sped``).
        broadcast: it tells everybody where it is (AIS) and is nobody's case: out of range is no silence.
        public: everybody may hear it.
        reads: of each of the last readers its reads of late, one a second; passes: when they heard it (``company``).
        open_events: events still going on, by kind; over: those that may flap and were over last.
    """

    track_id: str
    operation: str
    key: str = ""
    of: str = ""
    riding: tuple[str, ...] = ()
    name: str = ""
    tag_id: str = ""
    identities: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    fixers: tuple[str, ...] = ()
    klass: str = ""
    status: TrackStatus = "confirmed"
    base: Core | bytes | None = None
    ring: Ring = msgspec.field(default_factory=Ring)
    points: int = 0
    contact_ns: int = 0
    contacts: int = 0
    stored_ns: int = 0
    copied_ns: int = 0
    dated: Dated = SURE
    gap_s: float = 0.0
    rests: tuple[Rest, ...] = ()
    lost: int = 0
    reports: bool = False
    row_ns: int = 0
    due_ns: int = 0
    lapses_ns: tuple[int, ...] = ()
    may_wait: bool = False
    broadcast: bool = False
    public: bool = False
    reads: dict[str, list[Read]] = {}
    passes: list[Pass] = []
    told: dict[str, int] = {}
    taken: tuple[int, ...] = ()
    leapt: tuple[Event, ...] = ()
    turns: Turns | None = None
    open_events: dict[str, Event] = {}
    over: dict[str, Event] = {}
    credit: int = LATE_MOST
    waiting: list[Measurement] = []
    past: bytearray = msgspec.field(default_factory=bytearray)
    decided: list[Decided] = []
    foretold: list[tuple[int, int]] = []
    stuck: tuple[str, int] | None = None
    fast: int = 0


class LiveTrack:
    """A TrackState with the filters after each measurement of its ring."""

    __slots__ = (
        "_cores", "_kept", "_place", "_runs", "base_ns", "described", "expected", "left", "running", "source", "state",
        "states", "steady", "usual",
    )  # fmt: skip

    def __init__(self, state: TrackState):
        self.state = state
        #: The time of the filter before the ring.
        self.base_ns: int | None = None
        if state.base is not None:
            self.base = state.base
        #: Of the first measurements of the ring: the later ones are run when they are asked for, and those that are None again;
        #: of the older ones as ``packed`` has them.
        self._cores: list[Core | bytes | None] = []
        #: So many of the first are thinned already (``_thin``).
        self._kept = 0
        self._place: tuple[Core, Place] | None = None
        #: The newest filter as it runs, where it ``_runs``: then it may be None in ``_cores``.
        self.running: Running | None = None
        self._runs = False
        #: What its operation last found to be expected of it, and what that follows from; kept for its owner.
        self.expected: tuple[tuple[object, ...], Any] | None = None
        #: The same of what reports at its pace: ``described``, how many sources it has, what is expected, up to which interval
        #: that is so, and before how many messages (``expectations.as_ever``).
        self.steady: tuple[tuple[Any, ...], int, Any, float, float] | None = None
        #: What its name and class last followed from.
        self.described: tuple[Any, ...] | None = None
        #: Of what is described as it was by its last fix: device, version of the registers, format, and whether it is public.
        self.usual: tuple[str, int, str, bool] | None = None
        #: Whether that was by what its device states of itself.
        self.states = False
        #: What ``deception`` knows of its receiver, where it has one; kept for its owner.
        self.source: Any = None
        #: What left the ring at its old end with what became of it, and what was too late for it (None), where somebody notes
        #: all that was ever measured (``smoothed.Record``); else None.
        self.left: list[tuple[Measurement, Verdict | None]] | None = None

    @property
    def base(self) -> Core | None:
        """The filter before the first measurement of the ring; None where that one begins the track."""
        return unpacked(self.state.base)

    @base.setter
    def base(self, base: Core | bytes | None) -> None:
        core = unpacked(base)
        self.state.base, self.base_ns = base, None if core is None else core.time_ns

    def saved(self) -> TrackState:
        """All that a snapshot keeps; of equal tracks the same."""
        base = self.state.base
        if isinstance(base, Core):
            self.state.base = packed(base)
        return self.state

    def place(self, core: Core) -> Place:
        """``placed`` of a filter's own state: asked for once for its point and once for the row."""
        if self._place is None or self._place[0] is not core:
            self._place = (core, placed(core, core.x))
        return self._place[1]

    def cores(self, model: Model) -> list[Core]:
        """The filter after each measurement of the ring; all of them stay until the next measurement."""
        self._stand()
        self._run(0, len(self.state.ring), model)
        cores, self._kept = [core for one in self._cores if (core := unpacked(one)) is not None], 0
        self._cores = [*cores]
        return cores

    def _stand(self) -> None:
        """The newest filter stands in the list as a Core."""
        cores = self._cores
        if self._runs and cores and cores[-1] is None and self.running is not None:
            cores[-1] = self.running.core()

    def _run(self, first: int, end: int, model: Model, told: Any = None) -> None:
        """The filters from one of them to before another stand there; of those between one of ``KEPT_EACH``.

        Args:
            told: (end - first, ``STEP``), to hold what the points of those say; then no Core is made of them but where one is
                kept.
        """
        self._stand()
        cores, ring = self._cores, self.state.ring
        newest = end > len(cores)
        if newest:
            self._runs = False
        at = min(first, len(cores))
        while at and cores[at - 1] is None:
            at -= 1
        core = unpacked(cores[at - 1]) if at else self.base
        running: Running | None = None  # a filter that runs from one to the next; ``core`` where it is None
        said = np.empty((end - at, STEP))
        k, table = at, ring.table
        thin = told is not None and self._kept >= at  # nothing stays that ``_thin`` would take away
        while k < end:
            if k < len(cores) and cores[k] is not None and (told is None or k < first):
                core, running = unpacked(cores[k]), None
                k += 1
                continue
            m, n = ring[k], 0
            kept: list[bytes] = []
            if running is None and core is not None and core.rival is None and m.origin == "fix" and runs(core, model):
                running = self._row_of(model, newest)
                running.load(core)
            if running is not None:
                to = self._stretch(k, first, end, told is not None)
                if to - k > 1 and running.rival is None:
                    n, kept = running.follow_all(ring, table, k, to, said[k - at :], KEPT_EACH)
                elif running.alone(m) and (one := running.follow(m)) is not None:
                    n, said[k - at] = 1, one[:STEP]
            if n:
                core = None
            else:
                if running is not None:
                    core, running = running.core(), None
                core, verdict, nis = advance(core, m, model)
                n, thin = 1, False
                if told is not None and k >= first:
                    said[k - at] = _told(core)[:STEP]
            stood = len(cores)
            if k + n > stood:
                cores.extend([None] * (k + n - stood))
                if core is not None:
                    ring.judge(k, _CODES[verdict], nis)
                else:
                    new = max(k, stood)
                    ring.judge_all(table[new : k + n], _USED, said[new - at : k + n - at, 0])
            for i, one_kept in zip(range(k + -(k + 1) % KEPT_EACH, k + n, KEPT_EACH), kept, strict=False):
                if cores[i] is None:
                    cores[i] = one_kept
            k += n
            if cores[k - 1] is None:
                if core is not None:
                    cores[k - 1] = core
                elif running is not None and k > first and told is None:
                    cores[k - 1] = running.core()
                elif running is not None and k % KEPT_EACH == 0:
                    cores[k - 1] = running.packed()
        if told is not None:
            told[:] = said[first - at :]
        self._kept = k - 1 if thin and k == len(cores) else min(self._kept, at)
        if newest and running is not None:
            if len(cores) == ring.n:
                self.running, self._runs = running, True
            elif cores[-1] is None:  # more of the ring is to be run after it
                cores[-1] = running.core()

    def _stretch(self, k: int, first: int, end: int, told: bool) -> int:
        """To before which filter all can be run at once from one of them on, none of which is asked for.

        Args:
            told: what they say is, from ``first`` on.
        """
        return end if told else max(k + 1, first)

    def _row_of(self, model: Model, newest: bool) -> Running:
        """A row to run in: the track's own where that stands for nothing any more."""
        running = self.running
        return running if newest and running is not None and running.model is model else Running(model)

    def _thin(self) -> None:
        """Of the older filters each ``KEPT_EACH``-th is kept: what lies between is made again from it where it is asked for."""
        cores = self._cores
        for k in range(self._kept, len(cores) - 1):
            core = cores[k]
            if (k + 1) % KEPT_EACH:
                cores[k] = None
            elif isinstance(core, Core):
                cores[k] = packed(core)
        self._kept = max(0, len(cores) - 1)

    def since(self, from_ns: int, model: Model) -> Anew:
        """What became of everything in the ring from a time on, and what the filter after each says."""
        ring = self.state.ring
        first = bisect.bisect_left(ring.times_ns, from_ns)
        told = np.empty((ring.n - first, STEP))
        self._run(first, ring.n, model, told)
        steps = ring.steps(first)
        nothing = [i for i, code in enumerate(steps.codes) if code in _MOVED_NOTHING] if steps.alike != WAS_USED else []
        return Anew(steps, told, {i: ring[first + i] for i in nothing})

    def core(self, model: Model) -> Core | None:
        """The newest filter; None before the first measurement."""
        cores = self._cores
        n = self.state.ring.n
        if not n:
            return self.base
        if len(cores) == n:
            self._stand()
        if len(cores) < n or cores[-1] is None:
            self._run(n - 1, n, model)
        return unpacked(cores[-1])

    def updated_ns(self, model: Model) -> int | None:
        """When the newest filter last used a measurement; None before the first."""
        if self._runs and len(self._cores) == self.state.ring.n:
            return self.running.updated_ns  # type: ignore[union-attr]  # it runs
        core = self.core(model)
        return None if core is None else core.updated_ns

    def eventful(self, model: Model) -> bool:
        """Whether there may be more to tell of a used measurement (``Core.eventful`` of the newest filter)."""
        if self._runs and self.running is not None and len(self._cores) == self.state.ring.n:
            return self.running.eventful
        core = self.core(model)
        return core is not None and core.eventful

    def follow(self, m: Measurement, model: Model, long_ns: int) -> Told | None:
        """Take in a measurement that is newer than all and like nearly all, in place, and what the filter says then; None where
        it is no such one: nothing of it is remarkable but that it was used.

        A track that begins is one such: what ``insert`` answers is ``began`` of it, ``used`` of the others.

        Args:
            long_ns: after so long a silence it is remarkable.
        """
        ring, cores, running = self.state.ring, self._cores, self.running
        n = ring.n
        if len(cores) != n:
            return None
        if not self._runs or running is None or running.model is not model:
            core = unpacked(cores[-1]) if n else self.base
            if core is None:
                if n or m.origin != "fix" or model.motion.engine is not None:
                    return None
                running = self.running = Running(model)
                running.begin(m)
                self._runs = True
                ring.append(m, _BEGAN)
                cores.append(None)
                return running.told()
            if core.rival is not None or core.recent or core.receivers or not runs(core, model):
                return None
            if running is None or running.model is not model:
                running = self.running = Running(model)
            running.load(core)
            self._runs = True
        last = running.last
        if (
            running.rival is not None or running.recent or running.receivers or (m.device != last and last)
            or m.time_ns - running.updated_ns >= long_ns
        ):  # fmt: skip
            return None
        kept = None if n % KEPT_EACH or not n else running.packed()
        told = running.follow(m, ring)
        if told is None:
            return None
        if n:
            cores[n - 1] = kept
        cores.append(None)
        if self._kept < n - 1:
            self._thin()
        elif n:
            self._kept = n
        left = n + 1 - KEPT_EACH
        if left >= model.least and (left >= RING_MOST or m.time_ns - ring.time_ns(KEPT_EACH - 1) > model.keep_ns):
            self._prune(model)
        return told

    def verdicts(self, model: Model) -> list[tuple[Measurement, Core, tuple[Verdict, float]]]:
        """Each measurement of the ring with the filter after it, what became of it and its NIS."""
        cores = self.cores(model)
        return [(m, cores[i], self._verdict(i)) for i, m in enumerate(self.state.ring)]

    def _verdict(self, i: int) -> tuple[Verdict, float]:
        code, nis = self.state.ring.became(i)
        return VERDICTS[int(code)], nis

    def core_at(self, time_ns: int, model: Model) -> Core | None:
        """The filter after the last measurement not later than a time; None where the ring begins later."""
        ring = self.state.ring
        i = len(ring)
        if i and ring.newest_ns > time_ns:
            i = bisect.bisect_right(ring.times_ns, time_ns)
        if i > 0:
            return self._after(i - 1, model)
        return self.base if self.base_ns is not None and self.base_ns <= time_ns else None

    def _after(self, i: int, model: Model) -> Core:
        """The filter after one measurement of the ring."""
        cores = self._cores
        if i == len(cores) - 1:
            self._stand()
        if i >= len(cores) or cores[i] is None:
            self._run(i, i + 1, model)
        core = unpacked(cores[i])
        assert core is not None
        return core

    def in_time(self, m: Measurement) -> bool:
        """Whether a measurement is newer than all of a ring in which none waits: only what comes in later is run after it."""
        s = self.state
        if s.waiting or not s.ring or m.time_ns <= s.ring.newest_ns:
            return False
        if s.credit < LATE_MOST:
            s.credit = min(s.credit + LATE_STEPS, LATE_MOST)
        return True

    def rival(self, m: Measurement) -> Measurement | None:
        """A fix of the ring of the same device and time that lies where this one can't: one of the two is false."""
        ring = self.state.ring
        if not ring or m.time_ns > ring.newest_ns:
            return None
        twin = _twin(ring, m)
        if twin is None or m.origin != "fix" or self.is_old(m.time_ns):
            return None
        return ring[twin] if apart(ring[twin], m) else None

    def _worse(self, twin: int, m: Measurement, model: Model) -> bool:
        """Whether the measurement of the ring fits the track before it better than a rival; ``rank`` where both fit alike."""
        before, old = (self._after(twin - 1, model) if twin else self.base), self.state.ring[twin]
        return (advance(before, old, model)[2], rank(old)) <= (advance(before, m, model)[2], rank(m))

    def insert(self, m: Measurement, model: Model) -> tuple[Outcome, float, Core | None]:
        """Take in one measurement: (what became of it, NIS, the filter at it).

        ``same``: it says nothing that is not there already; ``merged``: it added to one that is there (rule 8);
        ``old``: it is older than the ring.  Of two rivals (``rival``) the one that fits the track stays, the other is not
        used at all: ``same`` where that is this one.
        """
        ring = self.state.ring
        if self.is_old(m.time_ns):
            if m.origin == "fix" and not m.doubted:
                remember(self.state.past, m.time_ns, m.lat_deg, m.lon_deg)
            return "old", 0.0, None
        if not ring or m.time_ns > ring.newest_ns:  # in time, as nearly all are
            return self._append(m, model)
        at = _index(ring, m)
        twin = _twin(ring, m)
        rival = self.rival(m)
        if twin is not None:
            if rival is not None and self._worse(twin, m, model):
                return "same", 0.0, self._after(twin, model)
            one = m if rival is not None else merged(ring[twin], m)
            if one == ring[twin]:
                return "same", 0.0, self._after(twin, model)
            del ring[twin]
            here = _index(ring, one)
            first, m = min(at, twin, here), one
        else:
            first = here = at
        ring.insert(here, m)
        beside = ring[max(0, here - 1) : here + 2]
        assert beside == sorted(beside, key=in_order), "the ring is in order of time"
        self._forget(first)
        at = here
        core, (outcome, nis) = self._after(at, model), self._verdict(at)
        self._prune(model)
        return ("merged" if twin is not None and rival is None else outcome), nis, core

    def _append(self, m: Measurement, model: Model) -> tuple[Outcome, float, Core]:
        """Take in a measurement that is newer than all."""
        core, outcome, nis = advance(self.core(model), m, model)
        self._runs = False
        cores = self._cores
        n = len(cores)
        self.state.ring.append(m, _CODES[outcome], nis)
        cores.append(core)
        if self._kept < n - 1:
            self._thin()
        elif n:
            before = cores[n - 1]
            if n % KEPT_EACH:
                cores[n - 1] = None
            elif isinstance(before, Core):
                cores[n - 1] = packed(before)
            self._kept = n
        if n >= model.presets.late_count:
            self._prune(model)
        return outcome, nis, core

    def remove(self, m: Measurement) -> None:
        """Take a measurement out again (a sighting that was another's); one that is older than the ring stays."""
        ring = self.state.ring
        at = ring.at(m)
        if at is not None:
            del ring[at]
            self._forget(at)

    def fix_at(self, device: str, time_ns: int) -> Measurement | None:
        """The fix of the ring that a device ("": whichever) made at a time, to the millisecond in which times are shown."""
        ms = 1_000_000
        return next((m for m in self.state.ring
                     if m.origin == "fix" and device in (m.device, "") and m.time_ns // ms == time_ns // ms), None)  # fmt: skip

    def replace(self, old: Measurement, new: Measurement) -> None:
        """Another measurement of the same time in the place of one of the ring."""
        at = self.state.ring.at(old)
        assert at is not None, "it stands in the ring"
        self.state.ring[at] = new
        self._forget(at)

    def mark(
        self, after_ns: int, to_ns: float, doubted: Callable[[Measurement], bool], origin: Origin = "fix"
    ) -> bool:  # fmt: skip
        """Say of each fix (read) of the ring of a time whether its receiver is doubted; whether that is new of any of them."""
        ring, waiting = self.state.ring, self.state.waiting
        first = None
        for i in range(bisect.bisect_right(ring.times_ns, after_ns), len(ring)):
            m = ring[i]
            if m.time_ns > to_ns:
                break
            if m.origin != origin or m.here or doubted(m) == m.doubted:
                continue
            ring[i] = msgspec.structs.replace(m, doubted=not m.doubted)
            waiting[:] = [ring[i] if one == m else one for one in waiting]
            first = i if first is None else first
        if first is not None:
            self._forget(first)
        return first is not None

    def mark_hung(self, changed: list[tuple[int, int]]) -> int:
        """Say of fixes of the ring, by their indices, how they hang (``stuck``); the time of the first of them."""
        ring, waiting = self.state.ring, self.state.waiting
        for i, hung in changed:
            m = ring[i]
            ring[i] = msgspec.structs.replace(m, hung=hung)
            waiting[:] = [ring[i] if one == m else one for one in waiting]
        first = min(i for i, _ in changed)
        self._forget(first)
        return ring.time_ns(first)

    def newest_fix(self, device: str, time_ns: int) -> Measurement | None:
        """The last fix of a device in the ring up to a time."""
        ring = self.state.ring
        return next((ring[i] for i in ring.back(bisect.bisect_right(ring.times_ns, time_ns), device)), None)

    def next_fix(self, device: str, time_ns: int) -> Measurement | None:
        """The first fix of a device in the ring from a time on."""
        ring = self.state.ring
        return next((ring[i] for i in ring.on(bisect.bisect_left(ring.times_ns, time_ns), device)), None)

    def agree(self, model: Model) -> int:
        """How many of its newest fixes were refused in a row and say one other place."""
        core = self.core(model)
        return 0 if core is None or core.rival is None else core.rival.hits

    def hangs(self, device: str, model: Model) -> bool:
        """Whether a receiver says its last place again while others of its shipment have gone on (``hung``)."""
        core = self.core(model)
        one = None if core is None else of(core.receivers, device)
        return one is not None and one.hangs

    def newest_read(self, time_ns: int) -> Measurement | None:
        """The last read of its tag in the ring up to a time."""
        ring = self.state.ring
        before = range(bisect.bisect_right(ring.times_ns, time_ns) - 1, -1, -1)
        return next((ring[i] for i in before if ring[i].origin == "tag_read"), None)

    def agreed(self, time_ns: int) -> int:
        """How many of the last fixes up to a time were doubted and all the same where the track is (``core_at`` was asked)."""
        ring, found = self.state.ring, 0
        for i in range(min(bisect.bisect_right(ring.times_ns, time_ns), len(self._cores)) - 1, -1, -1):
            if ring[i].origin != "fix":
                continue
            if not ring[i].doubted or self._verdict(i)[0] != "beside":
                break
            found += 1
        return found

    def rebase(self, base: Core | None) -> None:
        """Begin from another filter; what is older than it is not used."""
        self.base = base
        self._runs = False
        self._forget(0)
        if base is not None:
            ring = self.state.ring
            del ring[: bisect.bisect_right(ring.times_ns, base.time_ns)]

    def restart(self, base: Core | None, some: list[Measurement]) -> None:
        """Begin from another filter and exactly these measurements, which are later."""
        self.base = base
        self._runs = False
        self.state.ring = Ring(sorted(some, key=in_order))
        self._forget(0)

    def read_lately(self, m: Measurement, window_ns: int) -> bool:
        """Whether a measurement of the same source and origin lies within a time of this one."""
        near = reversed(self.state.ring)
        return any(r.device == m.device and r.origin == m.origin and abs(r.time_ns - m.time_ns) < window_ns for r in near)

    def read_then(self, device: str, window: int, window_ns: int) -> Measurement | None:
        """What stands in the ring for all reads of one reader within a window, which begins at the same moments whoever comes
        first (``readers.measured``).
        """
        return next((r for r in reversed(self.state.ring)
                     if r.origin == "tag_read" and r.device == device and r.time_ns // window_ns == window), None)  # fmt: skip

    def is_old(self, time_ns: int) -> bool:
        """Whether a time lies before the ring."""
        return self.base_ns is not None and time_ns <= self.base_ns

    def felt_here(self, m: Measurement, model: Model) -> bool:
        """Whether a sensor felt the track where it stands already: how far apart they are is the same error each time, so
        that one which shakes for ever would draw what is parked to its own place.
        """
        core = self.core(model)
        since_ns = -(2**63) if core is None or core.moved_ns is None else core.moved_ns
        return any(r.device == m.device and r.origin == m.origin and since_ns <= r.time_ns for r in self.state.ring)

    def _forget(self, at: int) -> None:
        """The filters from an index on are to be run again."""
        if at < len(self._cores):
            self._runs = False
        del self._cores[at:]
        self._kept = min(self._kept, at)

    def stored(self, m: Measurement, now_ns: int) -> None:
        """Note that a measurement comes in so late that it was kept by its device: its whole store may follow, in any order."""
        s = self.state
        if s.ring.n and m.time_ns < s.ring.newest_ns - STORED_NS:
            s.stored_ns = now_ns

    def put_off(self, m: Measurement, now: bool) -> bool:
        """Whether a late measurement is only put in its place, and told of when the ring has been run again (``caught_up``).

        Each message in time pays for ``LATE_STEPS`` of the ring; a late one that needs more, with those that wait already,
        waits.  So a device whose reports come in disorder does not run its ring for each, and what is believed at any time is
        the same.

        Args:
            now: no later than now.
        """
        s = self.state
        ring = s.ring
        if not ring or m.time_ns > ring.newest_ns:
            s.credit = min(s.credit + LATE_STEPS, LATE_MOST)
            return False
        if self.is_old(m.time_ns):
            return False
        at = _index(ring, m)
        steps = self._again(m, at)
        if now or steps <= s.credit or _twin(ring, m) is not None:
            s.credit = max(0, s.credit - steps)
            return False
        self._waits(m, at)
        return True

    def waits(self, m: Measurement) -> bool:
        """``put_off`` of a measurement like nearly all late ones, if it is; else nothing is changed."""
        s, time_ns = self.state, m.time_ns
        ring = s.ring
        if time_ns >= ring.newest_ns or self.is_old(time_ns):
            return False
        at = bisect.bisect_left(ring.times_ns, time_ns)
        if ring.times_ns[at] == time_ns or self._again(m, at) <= s.credit:
            return False
        self._waits(m, at)
        return True

    def _again(self, m: Measurement, at: int) -> int:
        """So much of the ring is to be run again with a measurement at an index of it, and with those that wait."""
        ring, waiting = self.state.ring, self.state.waiting
        if not waiting or (first_ns := min(map(_TIME_NS, waiting))) > m.time_ns:
            return ring.n + 1 - at
        times_ns = ring.times_ns
        if first_ns < m.time_ns:
            at = bisect.bisect_left(times_ns, first_ns)
        if first_ns == m.time_ns or (at + 1 < ring.n and times_ns[at + 1] == first_ns):  # which of them it is
            first = min([m, *[one for one in waiting if one.time_ns == first_ns]], key=in_order)
            if first is not m:
                there = ring.at(first)
                at = _index(ring, first) if there is None else there
        return ring.n + 1 - at

    def _waits(self, m: Measurement, at: int) -> None:
        self.state.ring.insert(at, m)
        self._forget(at)
        self.state.waiting.append(m)

    def caught_up(self, model: Model, long_ns: int) -> list[tuple[Measurement, Outcome, float, Core | None]]:
        """What became of the late measurements that waited: (measurement, outcome, NIS, the filter before it).

        Args:
            long_ns: after so long a silence it is asked what was there before; elsewhere it may be None.
        """
        s = self.state
        out: list[tuple[Measurement, Outcome, float, Core | None]] = []
        waiting, s.waiting = s.waiting, []
        for m in waiting:
            at = s.ring.at(m)
            if at is not None:
                out.append((m, *self._became(at, m, model, long_ns)))
            else:  # the ring began anew meanwhile
                out.append((m, "old", 0.0, None))
        self._prune(model)
        return out

    def only_steps(self, anew: Anew, model: Model, long_ns: int) -> bool:
        """Whether there is nothing to tell of the late measurements that waited but the steps from the first of them on: all in
        the ring since was used, soon after another.
        """
        ring, codes = self.state.ring, anew.steps.codes
        first = ring.n - len(codes)
        return (
            codes.count(_USED) == len(codes) and first > 0 and ring.became(first - 1)[0] not in _MOVED_NOTHING
            and ring.newest_ns - ring.time_ns(first - 1) < long_ns and not self.eventful(model)
            and all(not m.doubted and ring.at(m) is not None for m in self.state.waiting)
        )  # fmt: skip

    def told_steps(self, model: Model) -> None:
        """``caught_up`` where there were ``only_steps``."""
        self.state.waiting = []
        self._prune(model)

    def _became(self, at: int, m: Measurement, model: Model, long_ns: int) -> tuple[Outcome, float, Core | None]:
        """What became of a late measurement that stands at an index of the ring: (outcome, NIS, the filter before it)."""
        verdict, nis = self._verdict(at)
        if verdict == "used" and at > 0:
            # what was there before is asked only where it is remarkable: nearly all are used soon after one that was
            ring = self.state.ring
            if ring.became(at - 1)[0] not in _MOVED_NOTHING and m.time_ns - ring.times_ns[at - 1] < long_ns:
                return verdict, nis, None
        return verdict, nis, self._after(at - 1, model) if at else self.base

    def put_in(
        self, m: Measurement, model: Model, long_ns: int
    ) -> tuple[Anew, tuple[Outcome, float, Core | None]] | None:
        """``insert`` of a late measurement like nearly all, where none waits: ``since`` it, and what became of it as
        ``caught_up`` has it; None where it is no such one, and nothing is changed.
        """
        ring, time_ns = self.state.ring, m.time_ns
        if time_ns >= ring.newest_ns or self.is_old(time_ns) or ring.newest_ns - time_ns > model.keep_ns:
            return None
        at = bisect.bisect_left(ring.times_ns, time_ns)
        if ring.times_ns[at] == time_ns or (ring.n >= RING_MOST and at < 2 * KEPT_EACH):  # it would leave the ring at once
            return None
        ring.insert(at, m)
        self._forget(at)
        steps, became = self.since(time_ns, model), self._became(at, m, model, long_ns)
        self._prune(model)
        return steps, became

    def taken_over(self, after_ns: int, window_ns: int, model: Model) -> list[tuple[Measurement, Core, Core]]:
        """(measurement, the filter before and at it) of rivals that took over after a time, none told of near it: a late
        measurement in its place makes three that agree of those that came before it.
        """
        s, after = self.state, self._after
        self.updated_ns(model)
        first = max(1, bisect.bisect_right(s.ring.times_ns, after_ns))
        return [
            (s.ring[i], after(i - 1, model), after(i, model)) for i in s.ring.all_became(first, MOVED)
            if all(abs(s.ring.time_ns(i) - told_ns) >= window_ns for told_ns in s.taken)
        ]

    def _prune(self, model: Model) -> None:
        """What is older than ``late_s`` leaves the ring, ``KEPT_EACH`` at once: the filter after those is kept anyway."""
        s, ring = self.state, self.state.ring
        keep_ns, drop, least = model.keep_ns, 0, model.presets.late_count
        if s.stored_ns and s.contact_ns - s.stored_ns <= STORED_NS:
            least = max(least, STORE_MOST)
        while (left := len(ring) - drop - KEPT_EACH) >= least and (
            left >= RING_MOST or ring.newest_ns - ring.time_ns(drop + KEPT_EACH - 1) > keep_ns
        ):
            drop += KEPT_EACH
        if drop:
            kept = self._cores[drop - 1] if drop <= len(self._cores) else None
            self.state.base = self._after(drop - 1, model) if kept is None else kept
            self.base_ns = ring.time_ns(drop - 1)
            self._leave(drop)
            del ring[:drop], self._cores[:drop]
            self._kept = max(0, self._kept - drop)

    def _leave(self, count: int) -> None:
        """So many of the first leave the ring, all of which were run: where it was by them is remembered."""
        past, ring = self.state.past, self.state.ring
        if self.left is not None:
            self.left += [(ring[i], self._verdict(i)[0]) for i in range(count)]
        if count and wants(past, ring.time_ns(count - 1)):
            for time_ns, lat, lon in ring.places(count, _MOVED_NOTHING):
                if wants(past, time_ns):
                    remember(past, time_ns, lat, lon)

    def was(self, time_ns: int, reach_s: float) -> Was | None:
        """Where it was at a time before its ring, or so long before it was first heard; None where that is not known."""
        ring = self.state.ring
        return was(self.state.past, time_ns, list(itertools.islice(ring.places(ring.n, _MOVED_NOTHING), 2)), reach_s)

    def places(self) -> list[tuple[int, float, float]]:
        """What moved it, of its ring: (time, lat_deg, lon_deg)."""
        return list(self.state.ring.places(self.state.ring.n, _MOVED_NOTHING))

    def between(self, from_ns: int, to_ns: int) -> list[Measurement]:
        """What its ring has of a time, both ends with it."""
        times = self.state.ring.times_ns
        return self.state.ring[bisect.bisect_left(times, from_ns) : bisect.bisect_right(times, to_ns)]

    def freeze(self, model: Model) -> None:
        """Forget how the present filter came about: what is older is never run again (the model changes)."""
        self.base = self.core(model)
        self._runs = False
        self._leave(len(self.state.ring))
        self.state.ring.clear()
        self._forget(0)

    def row(self, now_ns: int, model: Model, attributes: dict[str, Value], quiet_s: Callable[[LiveTrack], float]) -> Track:
        """The track as it is believed to be now, with an ellipse that holds where it is by whatever clock its receiver has.

        Args:
            quiet_s: not heard for longer than this, it may have stopped where it was; asked only between measurements.
        """
        row = self._row(now_ns, model, attributes, quiet_s)
        if self.state.dated == SURE:
            return on_earth(row)
        later_ns, earlier_ns = self.state.dated
        for at_ns in (max(row.time_ns - later_ns, row.updated_ns), row.time_ns + earlier_ns):
            if at_ns != row.time_ns:
                row = holding(row, self._row(at_ns, model, {}, quiet_s))
        return on_earth(row)

    def _row(self, now_ns: int, model: Model, attributes: dict[str, Value], quiet_s: Callable[[LiveTrack], float]) -> Track:
        """The track as it is believed to be now: position, velocity and covariance predicted to ``time_ns``.

        Args:
            quiet_s: not heard for longer than this, it may have stopped where it was; asked only between measurements.
        """
        s = self.state
        quick = self._shown(now_ns, quiet_s)
        if quick is not None:
            return self.row_of(*quick, attributes)
        core = self.core(model)
        assert core is not None
        time_ns = max(now_ns, core.time_ns)
        if time_ns == core.updated_ns and core.rival is None and not core.receivers:
            lat, lon, x = self.place(core)
            x = lasting(core, x)
        else:
            lat, lon, x = placed(core, predicted(core, time_ns, model, quiet_s(self)))
        row = Track(
            track_id=s.track_id, operation=s.operation, name=s.name, tag_id=s.tag_id, identities=s.identities,
            klass=s.klass, status=s.status, time_ns=time_ns, lat_deg=lat, lon_deg=lon, ve_mps=x[1], vn_mps=x[3],
            p_ee=x[4], p_en=x[6], p_nn=x[11], p_v_ee=x[8], p_v_en=x[10], p_v_nn=x[13], updated_ns=core.updated_ns,
            contact_ns=s.contact_ns, moved_ns=core.moved_ns, first_ns=core.first_ns, hits=core.hits, refused=core.refused,
            sources=s.sources, attributes=attributes, lapses_ns=s.lapses_ns,
        )  # fmt: skip
        rival = core.rival
        return row if rival is None else msgspec.structs.replace(
            row, rival_lat_deg=rival.lat_deg, rival_lon_deg=rival.lon_deg, rival_hits=rival.hits, rival_device=rival.device
        )

    def rows(
        self, times_ns: list[int], model: Model, attributes: dict[str, Value], quiet_s: Callable[[LiveTrack], float]
    ) -> list[Track]:
        """``row`` at one time after the other; of what is overdue many at once."""
        k, running = len(times_ns), self.running
        if k == 1:
            return [self.row(times_ns[0], model, attributes, quiet_s)]
        if running is not None and self._as_it_runs and not running.sets_off and self.state.dated == SURE:
            k = bisect.bisect_right(times_ns, running.updated_ns + quiet_s(self) * NS)
        out = [self.row(time_ns, model, attributes, quiet_s) for time_ns in times_ns[:k]]
        if k < len(times_ns) and running is not None:
            all_shown = running.shown_overdue(times_ns[k:])
            out += [on_earth(self.row_of(*one, attributes)) for one in zip(times_ns[k:], all_shown, strict=False)]
        return out + [self.row(time_ns, model, attributes, quiet_s) for time_ns in times_ns[len(out) :]]

    def row_of(self, time_ns: int, shown: tuple[float, ...], attributes: dict[str, Value]) -> Track:
        """The row of the newest filter, which runs and knows no rival, by what it shows (``Running.shown``)."""
        s, run, (lat, lon, ve, vn, p_ee, p_en, p_v_ee, p_v_en, p_nn, p_v_nn) = self.state, self.running, shown
        assert run is not None
        return Track(
            s.track_id, s.operation, s.name, s.tag_id, s.identities, s.klass, s.status, time_ns, lat, lon, ve, vn, p_ee,
            p_en, p_nn, p_v_ee, p_v_en, p_v_nn, run.updated_ns, s.contact_ns, run.moved_ns, run.first_ns, run.hits, run.refused,
            s.sources, attributes, lapses_ns=s.lapses_ns,
        )  # fmt: skip

    @property
    def _as_it_runs(self) -> bool:
        """Whether the newest filter runs and knows no rival."""
        running = self.running
        return self._runs and running is not None and running.rival is None and len(self._cores) == self.state.ring.n

    def _shown(self, now_ns: int, quiet_s: Callable[[LiveTrack], float]) -> tuple[int, tuple[float, ...]] | None:
        """When the newest filter is shown, and where; None where it does not run, knows a rival, or is for ``predicted``."""
        running = self.running
        if running is None or not self._as_it_runs:
            return None
        time_ns, overdue = max(now_ns, running.time_ns), False
        if time_ns > running.updated_ns:
            dt_s, quiet = (time_ns - running.updated_ns) / NS, quiet_s(self)
            overdue = dt_s > quiet
            if running.sets_off or stays(running.moved_ns, running.first_ns, running.updated_ns, dt_s, quiet):
                return None
            if dt_s >= ONWARD_S:
                way = running.way
                if goes_on(way, dt_s, quiet) or turns(way, dt_s, quiet) or leaves(way, dt_s, quiet):
                    return None
        shown = running.shown(time_ns, overdue=overdue)
        return None if shown is None else (time_ns, shown)


def _told(core: Core | None) -> Told:
    """What a filter says, as ``Running.told`` has it."""
    assert core is not None
    lat, lon, x = placed(core, core.x)
    shown = lasting(core, x)
    return 0.0, lat, lon, x[1], x[3], x[4], x[6], x[11], shown[4], x[8], x[10], shown[11], x[13]


def in_order(m: Measurement) -> tuple[int, str, str, float, float, float]:
    """A total order by time in which arrival plays no part."""
    return (m.time_ns, m.device, m.origin, m.lat_deg, m.lon_deg, m.r_ee)


def _index(ring: Ring, m: Measurement) -> int:
    """Where a measurement stands in the ring, or is to stand."""
    at = bisect.bisect_left(ring.times_ns, m.time_ns)
    if at < len(ring) and ring.times_ns[at] == m.time_ns:
        order = in_order(m)
        while at < len(ring) and in_order(ring[at]) < order:
            at += 1
    return at


def _twin(ring: Ring, m: Measurement) -> int | None:
    """The index of a measurement with the same key."""
    at = bisect.bisect_left(ring.times_ns, m.time_ns)
    while at < len(ring) and ring.times_ns[at] == m.time_ns:
        if ring[at].key == m.key:
            return at
        at += 1
    return None

