"""The picture as a fold over the journal: entries in, tracks, points and events out.

No I/O and no clock: time is the greatest ``received_ns`` so far and the observations' own times.  One entry at a
time, in the order of ``seq``; how the entries were cut into batches, hash seeds and set order play no part.
``snapshot`` is the whole state as MessagePack; ``restore`` goes on from it to the last digit.

Here stand the registers, the time and the presets, and whose an observation is; each operation has a fold of its own
(``tracking.operation``), and what happens in one changes nothing in another.

Whose an observation is was judged at the door (``birddog.judge``) and stands beside it in the entry; here nobody asks again.
A verdict that names a shipment feeds that shipment's one track in its operation; one whose state is ``open`` (what everybody
may hear) has a track in ``open`` always, and a case has its own view of it; nobody's has none.  Scans, anonymous sightings,
triggers, and doors and alarms at a place that nobody's device gave go to ``open`` and to every case whose area they touch.

Over 400 lines: every kind of entry and what it does, in one place.

A snapshot that this class cannot read raises ``msgspec.ValidationError``: the caller then folds from the beginning.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from birddog.areas import ring_contains
from birddog.directory import OPEN, Directory
from birddog.errors import UsageError
from birddog.geo import valid_position
from birddog.judge import Judge, judged
from birddog.model import (
    TIMELESS,
    Alarm,
    Attachment,
    Body,
    ClockSet,
    Decision,
    Device,
    Entry,
    Fix,
    FrameBody,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Scan,
    Sighting,
    Start,
    TagRead,
    Track,
    UsedWays,
    Verdict,
    WarrantAct,
    unpack,
)
from birddog.units import NS
from tracking.area import Ring, rings_touch
from tracking.awaited import Waiting
from tracking.book import Book, Changes
from tracking.evidence import TRIGGERS, dated, is_on, look_of_scan, look_of_sightings, placed_well
from tracking.operation import OperationFold
from tracking.operation_state import OperationState, Owner
from tracking.presets import Presets, presets_from
from tracking.ring import hook, unhook
from tracking.step import Model
from tracking.track_state import LiveTrack

__all__ = ["Changes", "Fold"]


class FoldState(msgspec.Struct, kw_only=True):
    """All of a fold that a snapshot keeps.

    Args:
        form: raised with every change of what a snapshot holds; one of another form is not read.
        numbers: of each case the number of the entry that named it first.
        deaf_ns: the time of the newest entry that was erased as a passer-by's (``birddog.passersby``).
    """

    form: Literal[56]
    now_ns: int = 0
    exercise: bool = False
    presets: Presets = Presets()
    operations: dict[str, Operation] = {}
    devices: dict[str, Device] = {}
    attachments: dict[str, list[Attachment]] = {}
    placements: dict[str, list[Placement]] = {}
    warrants: list[WarrantAct] = []
    ways: UsedWays | None = None
    numbers: dict[str, int] = {}
    deaf_ns: int = -(2**62)
    folds: list[OperationState] = []


#: So long after an erased report nothing is said to be dark: AIS reports each 3 minutes at least (ITU-R M.1371-5, table 1).
_DEAF_NS = 600 * NS

_DECODER, _ENCODER = msgspec.msgpack.Decoder(FoldState, dec_hook=unhook), msgspec.msgpack.Encoder(enc_hook=hook)


class Fold:
    """One fold over one journal; see the module's docstring."""

    def __init__(self) -> None:
        self._state = FoldState(form=56)
        self._directory = Directory()
        #: Of entries that were written before verdicts stood in them.
        self._judge = Judge(self._directory, exercise=False)
        self._folds: dict[str, OperationFold] = {}

    @property
    def directory(self) -> Directory:
        """The registers as of the newest entry; to read."""
        return self._directory

    @property
    def exercise(self) -> bool:
        """Whether everybody has a track, as the journal's newest start says."""
        return self._state.exercise

    @property
    def now_ns(self) -> int:
        """The time of the newest entry that says what time it is."""
        return self._state.now_ns

    @property
    def numbers(self) -> dict[str, int]:
        """Of each case the number of the entry that named it first; to read."""
        return self._state.numbers

    def snapshot(self) -> bytes:
        """The whole state; of equal folds equal bytes."""
        s, d = self._state, self._directory
        s.operations, s.devices, s.attachments, s.placements = d.operations, d.devices, d.attachments, d.placements
        s.warrants, s.ways = d.warrants.acts(), d.ways
        s.folds = [fold.state() for fold in self._folds.values()]
        return _ENCODER.encode(s)

    @classmethod
    def restore(cls, data: bytes) -> Fold:
        """The fold of a snapshot.

        Raises:
            msgspec.ValidationError, msgspec.DecodeError: the bytes are no snapshot of this version.
        """
        fold = cls()
        s = fold._state = _DECODER.decode(data)
        fold._judge.exercise = s.exercise
        d = fold._directory
        d.operations, d.devices, d.attachments, d.placements = s.operations, s.devices, s.attachments, s.placements
        d.ways = s.ways
        for act in s.warrants:
            d.apply(act)
        fold._folds = {one.operation: OperationFold(one.operation, d, s.presets, one) for one in s.folds}
        return fold

    def apply(self, entry: Entry, body: Body | None = None) -> Changes:
        """Fold one entry; entries come in the order of ``seq``.

        Args:
            body: the entry's, where it is unpacked already.

        Raises:
            JournalError: the entry's stored bytes are damaged.
        """
        body = unpack(entry) if body is None else body
        s = self._state
        book = None
        if type(body) is FrameBody and len(body.observations) == 1 and type(fix := body.observations[0]) is Fix:
            now_ns = entry.received_ns if entry.received_ns > s.now_ns else s.now_ns
            for fold in self._folds.values():
                if fold.turns.idle_ns <= now_ns and not fold.idle(now_ns):
                    book = Book(entry.seq, s.now_ns, s.numbers)
                    self._pass_time(now_ns, book)
                    break
            verdicts, fmt = body.verdicts, body.format
            if len(verdicts) == 1 and not body.rejects and fmt != "ais":
                verdict = verdicts[0]
                mine = self._folds.get(verdict.operation)
                changes = None if mine is None else mine.usual.take(fix, fmt, verdict, now_ns, entry.seq, s.numbers, book)
                if changes is not None:
                    s.now_ns = now_ns
                    return changes
        for fold in self._folds.values():
            fold.turns.idle_ns = 0
        if book is None:
            book = Book(entry.seq, s.now_ns, s.numbers)
            if entry.kind not in TIMELESS:
                self._pass_time(entry.received_ns, book)
        if entry.erased and entry.operation in ("", OPEN):
            s.deaf_ns = book.now_ns
        book.deaf = book.now_ns - s.deaf_ns < _DEAF_NS
        match body:
            case FrameBody() | RefusalBody():
                if body.rejects or len(body.verdicts) != len(body.observations):
                    body = judged(body, self._judge, book.now_ns)
                self._frame(body, book)
                mistimed = body.mistimed if isinstance(body, FrameBody) else ()
                for reject in body.rejects:
                    if reject.reason == "clock" and reject.device and reject.verdict is not None:
                        for owner in self._owners(reject.verdict, reject.device):
                            placed = any(fix.device == reject.device for fix in mistimed)
                            self._of(owner.operation).clock_refused(owner, reject.device, reject.detail, book, placed=placed)
                    elif reject.reason == "unauthorised" and reject.verdict is not None:
                        waiting = self._folds.get(reject.verdict.operation)
                        if waiting is not None:
                            waiting.not_admitted(reject.device, reject.detail, book)
                for fix in mistimed:
                    self._mistimed(fix, body, book)
            case Scan():
                self._scan(body, book)
            case Start():
                self._start(body, book)
            case Decision():
                self._decision(body, book)
            case ClockSet():
                for fold in self._folds.values():
                    fold.came(None, book)
                s.now_ns = book.now_ns = entry.received_ns
                for fold in self._folds.values():
                    fold.set_back(book)
            case _:
                self._register(body, book)
        return book.changes()

    def _pass_time(self, to_ns: int, book: Book) -> None:
        """Time goes on to an entry; what fell silent meanwhile is told of in its time, whether ticks are missing or not."""
        since_ns = self._state.now_ns
        now_ns = self._state.now_ns = max(since_ns, to_ns)
        operations = self._directory.operations
        for fold in self._folds.values():
            fold.turns.idle_ns = 0
            operation = operations.get(fold.operation)
            if operation is None or not operation.closed:
                fold.wait(since_ns, now_ns, book)
            else:
                fold.wait_closed(now_ns, book)
        book.now_ns = now_ns
        book.waited()

    def believed(self, time_ns: int, operation: str | None = None, *, whole: bool = False, aboard: bool = True) -> list[Track]:
        """The tracks as they are believed to be at a time not before the newest entry; tentative ones are none yet.

        Args:
            whole: with their attributes, as their rows have them.
            aboard: with passive tags that ride on what reports (``looks.LookLog.aboard``).
        """
        return [
            track for name, fold in self._folds.items() if operation is None or name == operation
            for track in fold.believed([time_ns], self.now_ns, whole=whole, aboard=aboard)[0]
        ]  # fmt: skip

    def believed_all(self, times_ns: list[int], operation: str | None = None) -> list[list[Track]]:
        """``believed`` (one of each thing) at each of some times, for what one costs where nothing is heard in between."""
        folds = [fold for name, fold in self._folds.items() if operation is None or name == operation]
        of = [fold.believed(times_ns, self.now_ns, aboard=False) for fold in folds]
        return [[track for some in of for track in some[k]] for k in range(len(times_ns))]

    @property
    def tracks(self) -> int:
        """How many things are followed."""
        return sum(len(fold.tracker.tracks) for fold in self._folds.values())

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Of each operation the rules that the alert budget sets, and where; {} where there is none."""
        if self._state.presets.alerts.false_per_shift is None:
            return {}
        return {name: fold.thresholds() for name, fold in self._folds.items()}

    def awaited(self) -> list[tuple[str, str, Waiting]]:
        """(operation, device, what is known of it) of those that were attached and not heard since; to read."""
        return [(name, device, one) for name, fold in self._folds.items() for device, one in fold.awaited().items()]

    def live(self, track_id: str) -> LiveTrack | None:
        """The identified track of this id; to read (``tracking.explain``)."""
        found = (fold.tracker.tracks.get(track_id) for fold in self._folds.values())
        return next((live for live in found if live is not None), None)

    def trust(self, track_id: str) -> dict[str, float]:
        """The trust in each receiver of an identified track; to read."""
        live = self.live(track_id)
        return {} if live is None else self._folds[live.state.operation].trust(track_id)

    def holds(self, live: LiveTrack, fix: Fix, time_ns: int) -> bool:
        """Whether a fix says nothing of where its track is (``Deception.holds``); to read."""
        return self._folds[live.state.operation].holds(live, fix, time_ns)

    def quiet_s(self, live: LiveTrack) -> float:
        """Not heard for longer than this, a track is overdue; to read."""
        return self._folds[live.state.operation].tracker.quiet_s(live)

    def model(self, live: LiveTrack) -> Model:
        """The motion model of a track; to read."""
        return self._folds[live.state.operation].tracker.model(live)

    @property
    def presets(self) -> Presets:
        """Those of the newest start; to read."""
        return self._state.presets

    def _register(self, body: Body, book: Book) -> None:
        """Who is who from now on; of the tracks that this is about is asked again what is expected."""
        now_ns, folds = self._state.now_ns, self._folds
        # what is expected in open follows from enrolments alone: who is attached or watched changes nothing there
        enrolled = body if isinstance(body, Device) and OPEN in folds and folds[OPEN].is_told_of(body) else None
        if enrolled is not None:
            folds[OPEN].came(enrolled.device, book)
        self._directory.apply(body)
        match body:
            case Operation():
                self._state.numbers.setdefault(body.operation, book.seq)
                if body.operation in folds:
                    folds[body.operation].registered(None, now_ns)
                    folds[body.operation].watch(body.zones, book)
                    if body.closed:
                        folds[body.operation].closed(book)
                    folds[body.operation].warranted(now_ns, book)
                if body.keep_until_ns is not None or body.operation in folds:
                    self._of(body.operation).kept(now_ns, book)
            case Attachment():
                self._state.numbers.setdefault(body.operation, book.seq)
                self._of(body.operation).attached(body, now_ns, book)
                for name, fold in folds.items():
                    if name != OPEN:
                        fold.registered((body.device,), now_ns)
                self._of(body.operation).warranted(now_ns, book)
            case WarrantAct():
                self._warranted(body, book)
            case Device():
                for name, fold in folds.items():
                    fold.enrolled(body.device, book)
                    if name != OPEN or enrolled is not None:
                        fold.registered((body.device,), now_ns)

    def _warranted(self, act: WarrantAct, book: Book) -> None:
        """Something was done upon a warrant: its operation's calendar, and what is expected of its devices."""
        held = self._directory.warrants.held.get(act.warrant)
        if held is None:
            return
        device, now_ns = held.warrant.device, self._state.now_ns
        if held.operation:
            self._state.numbers.setdefault(held.operation, book.seq)
            self._of(held.operation)
        for name, fold in self._folds.items():
            if held.operation in ("", name):
                if name != OPEN:
                    fold.registered((device,) if device else None, now_ns)
                fold.warranted(now_ns, book)

    # --- whose it is ------------------------------------------------------------------------------

    def _of(self, operation: str) -> OperationFold:
        found = self._folds.get(operation)
        if found is None:
            found = self._folds[operation] = OperationFold(operation, self._directory, self._state.presets)
            known = self._directory.operations.get(operation)
            if known is not None:
                found.watch(known.zones, Book(0, self._state.now_ns))
        return found

    def _owners(self, verdict: Verdict, subject: str) -> list[Owner]:
        """Every operation in which an observation of a device (or a tag) has a track.

        What everybody may hear has one in ``open`` always: whether a vessel is watched changes nothing in the public picture,
        or it would give the surveillance away.
        """
        public = verdict.state == "open"
        if not public:
            if verdict.state != "admitted":
                return []
            if verdict.operation == OPEN:  # as nearly all that is nobody's case
                return [Owner(OPEN, "d:" + subject, "", False)]
        found: list[Owner] = []
        if verdict.operation not in ("", OPEN) and verdict.shipment:
            found.append(Owner(verdict.operation, "s:" + verdict.shipment, verdict.shipment, public=verdict.basis == "open"))
        if public or verdict.operation == OPEN:
            found.append(Owner(OPEN, "d:" + subject, "", public=public))
        return found

    def _touched_by(self, lat_deg: float, lon_deg: float) -> list[str]:
        """The cases whose ground a place is on, and ``open``."""
        names = [
            o.operation for o in self._directory.operations.values()
            if not o.closed and o.operation != OPEN and ring_contains(o.area, lat_deg=lat_deg, lon_deg=lon_deg)
        ]  # fmt: skip
        return [*names, OPEN]

    def _place(self, device: str, time_ns: int) -> Placement | None:
        """Where a reader or sensor stands at a time, if that is said in numbers that mean a place."""
        return placed_well(self._directory.placement(device, time_ns))

    # --- frames -------------------------------------------------------------------------------

    def _frame(self, body: FrameBody | RefusalBody, book: Book) -> None:
        looks: dict[tuple[str, int], list[Sighting]] | None = None
        for observation, verdict in zip(body.observations, body.verdicts, strict=True):
            time_ns = book.now_ns if observation.time_ns is None else observation.time_ns
            match observation:
                case Fix():
                    book.part = book.parts = book.parts + 1
                    if valid_position(observation.lat_deg, observation.lon_deg):
                        if body.format == "ais" and not getattr(body, "undated", False):
                            observation = dated(observation, book.now_ns)
                            time_ns = book.now_ns if observation.time_ns is None else observation.time_ns
                        for owner in self._owners(verdict, observation.device):
                            self._of(owner.operation).fix(owner, observation, time_ns, body.format, book)
                        self._before_attached(observation.device, time_ns, book)
                case TagRead():
                    book.part = book.parts = book.parts + 1
                    time_ns = min(time_ns, book.now_ns)  # nothing is read after it came in: its reader's clock is ahead
                    place = self._place(observation.device, time_ns)
                    for owner in self._owners(verdict, observation.epc):
                        self._of(owner.operation).tag_read(owner, observation, time_ns, place, book)
                case Reading():
                    self._reading(observation, verdict, time_ns, body.format, book)
                case Alarm():
                    self._alarm(observation, verdict, time_ns, book)
                case Sighting():
                    looks = {} if looks is None else looks
                    looks.setdefault((observation.device, time_ns), []).append(observation)
        for (device, time_ns), sightings in looks.items() if looks else ():
            self._sightings(device, time_ns, sightings, book)

    def _before_attached(self, device: str, time_ns: int, book: Book) -> None:
        """A fix is its device's own where that was attached since, as its times have it; its case waits for it."""
        if device in self._directory.attachments:
            for fold in self._folds.values():
                fold.before_attached(device, time_ns, book)

    def _mistimed(self, fix: Fix, body: FrameBody | RefusalBody, book: Book) -> None:
        """A fix that was refused for its clock alone, as the reject of its device has it."""
        book.part = book.parts = book.parts + 1
        whose = next((r.verdict for r in body.rejects if r.reason == "clock" and r.device == fix.device), None)
        if whose is None or fix.time_ns is None or not valid_position(fix.lat_deg, fix.lon_deg):
            return
        for owner in self._owners(whose, fix.device):
            self._of(owner.operation).mistimed(owner, fix, body.format, book)

    def _reading(self, reading: Reading, verdict: Verdict, time_ns: int, fmt: str, book: Book) -> None:
        owners = self._owners(verdict, reading.device)
        place, on = self._place(reading.device, time_ns), is_on(reading)
        if reading.quantity == "door_open":
            concerned = self._concerned(owners, place)
            for name, fold in self._folds.items():  # a door that a case was told of is shut there too, whatever its area is now
                if name not in concerned and fold.stands_open(reading.device):
                    concerned[name] = ""
            for name, key in concerned.items():
                self._of(name).door(reading, on, time_ns, place, key or "d:" + reading.device, book)
        if place is not None and on and reading.quantity in TRIGGERS:
            for name in self._touched_by(place.lat_deg, place.lon_deg):
                fold = self._of(name)
                if not fold.clock_ahead(reading.device, reading.time_ns, book, None):
                    fold.trigger(reading.device, place, time_ns, book)
        for owner in owners:
            self._of(owner.operation).reading(owner, reading, time_ns, fmt, book)

    def _alarm(self, alarm: Alarm, verdict: Verdict, time_ns: int, book: Book) -> None:
        owners, place = self._owners(verdict, alarm.device), self._place(alarm.device, time_ns)
        for owner in owners:
            self._of(owner.operation).alarm_contact(owner, alarm, book)
        for name, key in self._concerned(owners, place).items():
            self._of(name).alarm(alarm, time_ns, place, key or "d:" + alarm.device, book)

    def _concerned(self, owners: list[Owner], place: Placement | None) -> dict[str, str]:
        """Whom a device's own event is told in: operation -> the track's key there ("" for the device's own).

        That of a shipment is its case's.  What stands at a place and is nobody's is public: it is told in ``open``, and in each
        case whose ground it is on.
        """
        found = {owner.operation: owner.key for owner in owners}
        if owners and OPEN not in found:
            return found
        names = [OPEN] if place is None else self._touched_by(place.lat_deg, place.lon_deg)
        return found | {name: found.get(name, "") for name in names}

    # --- looks --------------------------------------------------------------------------------

    def _sightings(self, device: str, time_ns: int, sightings: list[Sighting], book: Book) -> None:
        by_operation: dict[str, list[Sighting]] = {}
        for sighting in sightings:
            if valid_position(sighting.lat_deg, sighting.lon_deg):
                for name in self._touched_by(sighting.lat_deg, sighting.lon_deg):
                    by_operation.setdefault(name, []).append(sighting)
        for name, some in by_operation.items():
            fold = self._of(name)
            if not fold.clock_ahead(device, time_ns, book, None):
                fold.take_look(look_of_sightings(device, time_ns, some, self._state.presets), book)

    def _scan(self, scan: Scan, book: Book) -> None:
        look = look_of_scan(scan, self._state.presets)
        names = [
            o.operation for o in self._directory.operations.values()
            if not o.closed and o.operation != OPEN and (rings_touch(o.area, scan.footprint) or _seen_in(o.area, scan))
        ]  # fmt: skip
        for name in (*names, OPEN):
            fold = self._of(name)
            if not fold.clock_ahead(scan.sensor, scan.time_ns, book, None):
                fold.take_look(look, book)

    def _decision(self, decision: Decision, book: Book) -> None:
        """What an operator decided of a track; acknowledging and its undoing are the alerts' own."""
        if decision.action in ("acknowledge", "reopen"):
            return
        named = decision.operation
        # one that names no operation (journals of version 1 held such) is that of its track
        if any(fold.decided(decision, book.seq, book) for name, fold in self._folds.items() if named in ("", name)):
            return
        gone = "there is no such track any more"
        if decision.action == "undo" and named:
            gone = f"it did nothing in {named}, or is undone already; what was given in another operation is undone there"
        elif decision.action == "undo":
            gone = "it did nothing, or is undone already"
        text = f"{decision.by}: {decision.action} of {decision.subject}: {gone} (D{book.seq})"
        told_in = named if named in self._state.numbers else OPEN  # an id of a case is made of its number
        book.event(
            "decided_nothing", told_in, book.now_ns, end_ns=book.now_ns, text=text, time_source="server", about=f"D{book.seq}",
        )  # fmt: skip

    # --- presets ------------------------------------------------------------------------------

    def _start(self, start: Start, book: Book) -> None:
        self._state.exercise = self._judge.exercise = start.exercise
        try:
            presets = presets_from(start.presets)
        except UsageError as error:
            # the journal can't be changed any more: go on with what held before, and say so
            book.event("presets_refused", OPEN, book.now_ns, end_ns=book.now_ns, text=str(error))
            return
        if presets != self._state.presets:
            self._state.presets = presets
            for fold in self._folds.values():
                fold.came(None, book)
                fold.set_presets(presets, book.now_ns)


def _seen_in(area: Ring, scan: Scan) -> bool:
    """Whether a part of a look, which has no footprint, shows something in an area."""
    return not scan.footprint and any(ring_contains(area, lat_deg=s.lat_deg, lon_deg=s.lon_deg) for s in scan.sightings)
