"""The picture as a fold over the journal: entries in, tracks, points and events out.

No I/O and no clock: time is the greatest ``received_ns`` so far and the observations' own times.  One entry at a
time, in the order of ``seq``; how the entries were cut into batches, hash seeds and set order play no part.
``snapshot`` is the whole state as MessagePack; ``restore`` goes on from it to the last digit.

Whose an observation is: a device (or an EPC) that is attached to a shipment at the observation's time feeds that
shipment's one track in that operation; else, in an exercise or where the device is open, our own or a partner's, or
its receiver open or our own, it has a track in the operation ``open``; else it is nobody's and is left alone (the
journal has it).  Scans, anonymous sightings and triggers go to every open operation whose area they touch, and to
``open``.

Longer than 400 lines: one method for each kind of entry and observation, and all of them share one state.

A snapshot that this class cannot read raises ``msgspec.ValidationError``: the caller then folds from the beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from birddog.directory import OPEN, REGISTERS, Directory
from birddog.errors import UsageError
from birddog.geo import ring_contains, valid_position
from birddog.model import (
    Alarm,
    Attachment,
    ClockSet,
    Device,
    Entry,
    Event,
    Fix,
    FrameBody,
    Observation,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    Track,
    Value,
    unpack,
)
from birddog.units import NS
from tracking.area import rings_touch
from tracking.assign import Spot
from tracking.book import Book, Changes
from tracking.engine import SIGMA_CEILING_M, SIGMA_FLOOR_M, floored
from tracking.lag import Lag
from tracking.lag import heard as clock_heard
from tracking.measurement import Measurement
from tracking.presets import STATION, Presets, presets_from
from tracking.track_state import LiveTrack, TrackState
from tracking.tracker import Look, Tracker

__all__ = ["Changes", "Fold"]

#: Quantities that say "something is here" at a placed sensor.
TRIGGERS = ("seismic", "motion", "door_open", "light")
#: Bases that need no case: the door admits these, so they have a track (a test holds both against each other).
CASELESS = ("open", "own_sensor", "partner")
#: AIS messages of what stands where it is: base stations and aids to navigation (ITU-R M.1371-5, table 46).
STATIONS = (4, 21)
#: The interval of a device that was enrolled without one: it is learnt.
UNSAID_S = Device(device="").interval_s
#: Alarms that have a kind of event of their own; every other is an event ``alarm``.
ALARM_EVENTS = {"door_open": "door_opened", "tamper": "tamper"}
#: One sigma per axis of a fix that is not of a satellite receiver and does not say its own, m.
COARSE_SIGMA_M = {"wifi": 50.0, "cell": 500.0, "gateway": 2000.0}
#: One sigma per axis of a fix that says of itself that it is doubtful, and not how much.
DOUBTED_SIGMA_M = 500.0
#: Facts kept of one device.
FACTS_MOST = 64


class Knock(msgspec.Struct, frozen=True):
    """A door's last opening: its events, when it was, and how often it opened since they began."""

    events: list[Event]
    opened_ns: int
    count: int


class FoldState(msgspec.Struct, kw_only=True):
    """All of a fold that a snapshot keeps.

    Args:
        facts: the last value of each quantity that a device stated of itself.
        fact_times: the observation times of those: what is newer stays, whatever comes in later.
        doors, clocks: events still going on of a sensor's door and of a device's clock.
        knocks: of each door the events of its last opening, and how often it opened since they began.
        lags: what is known of devices' clocks that are behind.
        alarms: when a device's alarm was last heard, by ``device/alarm``.
    """

    now_ns: int = 0
    sweep_ns: int = 0
    next_track: int = 1
    exercise: bool = False
    presets: Presets = Presets()
    operations: dict[str, Operation] = {}
    devices: dict[str, Device] = {}
    attachments: dict[str, list[Attachment]] = {}
    placements: dict[str, list[Placement]] = {}
    trackers: dict[str, list[TrackState]] = {}
    facts: dict[str, dict[str, Value]] = {}
    fact_times: dict[str, dict[str, int]] = {}
    doors: dict[str, list[Event]] = {}
    knocks: dict[str, Knock] = {}
    lags: dict[str, Lag] = {}
    clocks: dict[str, Event] = {}
    alarms: dict[str, int] = {}


_DECODER = msgspec.msgpack.Decoder(FoldState)


class Owner(msgspec.Struct, frozen=True):
    """Whose an observation is: the operation, the track's key there, and a name for it."""

    operation: str
    key: str
    name: str


class Fold:
    """One fold over one journal; see the module's docstring."""

    def __init__(self) -> None:
        self._state = FoldState()
        self._directory = Directory()
        self._trackers: dict[str, Tracker] = {}

    @property
    def directory(self) -> Directory:
        """The registers as of the newest entry; to read."""
        return self._directory

    @property
    def exercise(self) -> bool:
        """Whether everybody has a track, as the journal's newest start says."""
        return self._state.exercise

    def snapshot(self) -> bytes:
        """The whole state; of equal folds equal bytes."""
        s, d = self._state, self._directory
        s.operations, s.devices, s.attachments, s.placements = d.operations, d.devices, d.attachments, d.placements
        s.trackers = {name: [live.state for live in t.tracks.values()] for name, t in self._trackers.items()}
        return msgspec.msgpack.encode(s)

    @classmethod
    def restore(cls, data: bytes) -> Fold:
        """The fold of a snapshot.

        Raises:
            msgspec.ValidationError, msgspec.DecodeError: the bytes are no snapshot of this version.
        """
        fold = cls()
        s = fold._state = _DECODER.decode(data)
        d = fold._directory
        d.operations, d.devices, d.attachments, d.placements = s.operations, s.devices, s.attachments, s.placements
        fold._trackers = {name: Tracker(name, s.presets, states) for name, states in s.trackers.items()}
        return fold

    def apply(self, entry: Entry) -> Changes:
        """Fold one entry; entries come in the order of ``seq``.

        Raises:
            JournalError: the entry's stored bytes are damaged.
        """
        body = unpack(entry)
        s = self._state
        book = Book(entry.seq, s.now_ns)
        if entry.kind not in REGISTERS:  # what is entered today of a capture of last year does not make it old
            self._pass_time(entry.received_ns, book)
        match body:
            case FrameBody() | RefusalBody():
                self._frame(body.observations, body.device, body.format, book)
                for reject in body.rejects:
                    if reject.reason == "clock" and reject.device:
                        self._clock_refused(reject.device, body.device, reject.detail, book)
            case Scan():
                self._scan(body, book)
            case Start():
                self._start(body, book)
            case ClockSet():
                book = self._set_back(entry)
            case _:
                self._directory.apply(body)
        if isinstance(body, Tick) or s.now_ns - s.sweep_ns >= int(s.presets.sweep_s * NS):
            self._sweep(book)
        return book.changes()

    def _pass_time(self, to_ns: int, book: Book) -> None:
        """Time goes on to an entry.  Where ticks are missing (a journal made from files) what fell silent meanwhile is told of
        in its time, by sweeps that lie the further apart the longer nothing came.
        """
        s = self._state
        sweep_ns, begin_ns = int(s.presets.sweep_s * NS), s.now_ns
        while s.now_ns > 0 and to_ns - s.now_ns > 2 * sweep_ns:
            s.now_ns += max(sweep_ns, (s.now_ns - begin_ns) // 8)
            if s.now_ns >= to_ns:
                break
            book.now_ns = s.now_ns
            self._sweep(book)
        book.now_ns = s.now_ns = max(begin_ns, to_ns)

    def _set_back(self, entry: Entry) -> Book:
        """The journal's clock had been ahead: nothing was heard, told or shown later than it is now."""
        s = self._state
        now_ns = s.now_ns = s.sweep_ns = entry.received_ns
        s.alarms = {name: min(heard_ns, now_ns) for name, heard_ns in s.alarms.items()}
        book = Book(entry.seq, now_ns)
        for lag in s.lags.values():
            if lag.event is not None:  # it was not theirs that was wrong
                book.end(lag.event, now_ns)
        s.lags.clear()
        for tracker in self._trackers.values():
            tracker.set_back(now_ns)
        return book

    def believed(self, time_ns: int, operation: str | None = None) -> list[Track]:
        """The tracks as they are believed to be at a time not before the newest entry; tentative ones are none yet."""
        out = []
        for name, tracker in self._trackers.items():
            if operation is None or name == operation:
                out += [
                    live.row(time_ns, tracker.model(live), {})
                    for live in tracker.tracks.values()
                    if live.state.status not in ("tentative", "deleted") and live.core(tracker.model(live)) is not None
                ]
        return out

    # --- whose it is ------------------------------------------------------------------------------

    def _owner(self, device: str, time_ns: int, via: str) -> Owner | None:
        d = self._directory
        attached = d.attachment(device, time_ns)
        if attached is not None:
            return Owner(attached.operation, "s:" + attached.shipment, attached.shipment)
        known = d.devices.get(device)
        if known is not None and known.retired:
            return None
        receiver = d.device(via)
        open_to_us = known is not None and known.basis in CASELESS
        open_to_us = open_to_us or (receiver is not None and receiver.basis in ("open", "own_sensor"))
        if not (self._state.exercise or open_to_us):
            return None
        return Owner(OPEN, "d:" + device, known.name if known is not None else "")

    def _tracker(self, operation: str) -> Tracker:
        found = self._trackers.get(operation)
        if found is None:
            found = self._trackers[operation] = Tracker(operation, self._state.presets)
        return found

    def _new_id(self) -> str:
        number = self._state.next_track
        self._state.next_track += 1
        return f"T{number}"

    def _track(self, owner: Owner, device: str, book: Book, *, make: bool) -> LiveTrack | None:
        """The owner's track, with the device among its identities; a new one only where asked."""
        tracker = self._tracker(owner.operation)
        live = tracker.by_key.get(owner.key)
        if live is None:
            if not make:
                return None
            live = tracker.add(
                TrackState(track_id=self._new_id(), operation=owner.operation, key=owner.key, tag_id=device, status="confirmed")
            )
        if device not in live.state.identities:
            live.state.identities.append(device)
        return live

    def _describe(self, live: LiveTrack, owner: Owner, device: str, fmt: str, msg_type: Value = None) -> None:
        """Name and class, as the registers and the device's own statements have them now."""
        s, facts = live.state, self._state.facts.get(device, {})
        stated = facts.get("ship_name")
        s.name = owner.name or (stated if isinstance(stated, str) else "") or s.name
        enrolled = self._directory.device(device)
        klass = self._class_of(live, device)
        if not klass and (fmt == "ais" or "ship_type" in facts):
            # of one message the fix says its type, a name or a voltage beside it does not
            klass = STATION if (msg_type or facts.get("msg_type")) in STATIONS else "vessel"
            s.broadcast = enrolled is None or enrolled.basis == "open"
        self._tracker(owner.operation).set_class(live, klass)

    def _class_of(self, live: LiveTrack, device: str) -> str:
        """The class of a track: that of the first of its devices that gives fixes and has one, else of the first that has one.

        So it is the shipment's, not that of whoever spoke last: a parcel's passive tag does not make a parcel of the van.
        """
        s = live.state
        klass = self._enrolled_class(s.fixers or (device,))
        if klass:
            return klass
        # receivers without one keep what the track has (AIS made it a vessel)
        return (s.klass if s.fixers else "") or self._enrolled_class(s.identities)

    def _enrolled_class(self, devices: Iterable[str]) -> str:
        """The class of the first of these devices that was enrolled with one, or ""."""
        known = (self._directory.device(device) for device in devices)
        return next((device.klass for device in known if device is not None and device.klass), "")

    def _attributes(self, live: LiveTrack) -> dict[str, Value]:
        out: dict[str, Value] = {}
        for device in live.state.identities:
            out.update(self._state.facts.get(device, {}))
        return out

    def _interval_s(self, live: LiveTrack) -> float | None:
        """Expected seconds between messages; None where no device is attached (any more) that reports."""
        s, found = live.state, []
        attached = not s.key.startswith("s:")
        for device in s.identities:
            on = self._directory.attachment(device, self._state.now_ns)
            attached = attached or (on is not None and (on.operation, "s:" + on.shipment) == (s.operation, s.key))
            known = self._directory.device(device)
            if known is not None and device in s.sources:
                found.append(known.interval_s if known.interval_s != UNSAID_S else max(UNSAID_S, s.gap_s))
        if not attached or s.broadcast:
            return None
        return min(found) if found else max(self._state.presets.interval_s, s.gap_s)

    def _fact(self, device: str, name: str, value: Value, time_ns: int) -> None:
        """The newest observation of a quantity stays, whatever comes in later."""
        facts = self._state.facts.setdefault(device, {})
        times = self._state.fact_times.setdefault(device, {})
        if time_ns >= times.get(name, time_ns) and (name in facts or len(facts) < FACTS_MOST):
            facts[name], times[name] = value, time_ns

    def _place(self, device: str, time_ns: int) -> Placement | None:
        """Where a reader or sensor stands at a time, if that is said in numbers that mean a place."""
        place = self._directory.placement(device, time_ns)
        if place is None or not valid_position(place.lat_deg, place.lon_deg):
            return None
        return place if 0.0 < place.range_m <= SIGMA_CEILING_M else None

    # --- frames -------------------------------------------------------------------------------

    def _frame(self, observations: tuple[Observation, ...], via: str, fmt: str, book: Book) -> None:
        looks: dict[tuple[str, int], list[Sighting]] = {}
        for observation in observations:
            match observation:
                case Fix():
                    self._fix(observation, via, fmt, book)
                case TagRead():
                    self._tag_read(observation, via, book)
                case Reading():
                    self._reading(observation, via, fmt, book)
                case Alarm():
                    self._alarm(observation, via, book)
                case Sighting():
                    time_ns = book.now_ns if observation.time_ns is None else observation.time_ns
                    looks.setdefault((observation.device, time_ns), []).append(observation)
        for (device, time_ns), sightings in looks.items():
            if not self._sensor_ahead(device, time_ns, book):
                self._sightings(device, time_ns, sightings, book)

    def _fix(self, fix: Fix, via: str, fmt: str, book: Book) -> None:
        """A fix into its owner's track; what tells everybody where it is (AIS) has its track in ``open`` as well.

        Whether a vessel is under surveillance changes nothing in the public picture: it would give the surveillance away.
        """
        time_ns = book.now_ns if fix.time_ns is None else fix.time_ns
        owner = self._owner(fix.device, time_ns, via)
        if owner is None or not valid_position(fix.lat_deg, fix.lon_deg):
            return
        self._fix_of(owner, fix, time_ns, via, fmt, book)
        if fmt == "ais" and owner.operation != OPEN and via != fix.device:
            self._fix_of(Owner(OPEN, "d:" + fix.device, ""), fix, time_ns, via, fmt, book)

    def _fix_of(self, owner: Owner, fix: Fix, time_ns: int, via: str, fmt: str, book: Book) -> None:
        for name, value in fix.attributes.items():
            self._fact(fix.device, name, value, time_ns)
        if self._clock_ahead(fix.device, owner.operation, fix.time_ns, book, self._track_of(owner, fix.device)):
            self._heard(owner, fix.device, book, reports=True)
            return
        live = self._track(owner, fix.device, book, make=True)
        assert live is not None
        tracker = self._tracker(owner.operation)
        if fix.device not in live.state.fixers:
            live.state.fixers.append(fix.device)
        self._describe(live, owner, fix.device, fmt, fix.attributes.get("msg_type"))
        tracker.contact(live, fix.device, book, reports=True)
        time_ns = self._clock_behind(owner, fix, live, book)
        preset = self._state.presets.of(live.state.klass)
        stated = fix.sigma_m is not None and fix.sigma_m >= 0.0
        # a receiver that says 3,000 km (u-blox, all ones) knows as little as there is to know, not what its class usually does
        said_m = fix.sigma_m if stated else None
        sigma_m = _unstated_sigma_m(fix, preset.sigma_m) if said_m is None else min(said_m, SIGMA_CEILING_M)
        r = max(sigma_m, SIGMA_FLOOR_M) ** 2
        ve, vn = _velocity(fix)
        m = Measurement(
            time_ns, fix.device, "fix", fix.lat_deg, fix.lon_deg, r, 0.0, r, ve, vn, preset.velocity_sigma_mps**2, stated
        )
        self._measured(tracker, live, m, book)

    def _measured(self, tracker: Tracker, live: LiveTrack, m: Measurement, book: Book) -> None:
        """A measurement into its track, then its status and row."""
        tracker.measure(live, m, book)
        self._shown(tracker, live, book)

    def _shown(self, tracker: Tracker, live: LiveTrack, book: Book) -> None:
        tracker.decide(live, self._interval_s(live), book)
        if live.core(tracker.model(live)) is not None:
            tracker.show(live, self._attributes(live), book)

    def _heard(self, owner: Owner, device: str, book: Book, *, reports: bool) -> None:
        """A message without a position to use: the owner's track, if there is one, is not silent."""
        live = self._tracker(owner.operation).by_key.get(owner.key)
        if live is not None:
            self._tracker(owner.operation).contact(live, device, book, reports=reports)
            self._shown(self._tracker(owner.operation), live, book)

    def _clock_ahead(
        self, device: str, operation: str, time_ns: int | None, book: Book, live: LiveTrack | None = None
    ) -> bool:
        """Whether a device's time is too far ahead to be believed; one event for as long as it is.

        Args:
            time_ns: as the device says it; None: it says none, and so nothing of its clock.
            live: the track that the event is told of.
        """
        clocks = self._state.clocks
        if time_ns is None:
            return False
        if time_ns <= book.now_ns + int(self._state.presets.ahead_s * NS):
            going = clocks.pop(device, None)
            if going is not None:
                book.end(going, book.now_ns)
            return False
        if device not in clocks:
            text = f"its clock is {(time_ns - book.now_ns) / NS:.0f} s ahead: its positions are not used"
            tracks = () if live is None else (live.state.track_id,)
            clocks[device] = book.event("clock", operation, book.now_ns, device=device, track_ids=tracks, text=text)
        return True

    def _clock_refused(self, device: str, via: str, detail: str, book: Book) -> None:
        """The door refused a message for its time: whose track it is is not silent, and its clock is told of."""
        owner = self._owner(device, book.now_ns, via)
        live = None if owner is None else self._tracker(owner.operation).by_key.get(owner.key)
        if owner is None or live is None:
            return
        if device not in self._state.clocks:
            text = f"its clock: {detail}; its messages are not used"
            self._state.clocks[device] = book.event("clock", owner.operation, book.now_ns, device=device,
                                                    track_ids=(live.state.track_id,), text=text)  # fmt: skip
        self._heard(owner, device, book, reports=True)

    def _clock_behind(self, owner: Owner, fix: Fix, live: LiveTrack, book: Book) -> int:
        """The time of a fix, ns: that of a clock that is steadily behind is put right, and told of."""
        if fix.time_ns is None or fix.time_source != "device":
            return book.now_ns if fix.time_ns is None else fix.time_ns
        lags = self._state.lags
        old = lags.get(fix.device)
        lag = clock_heard(old, fix.time_ns, book.now_ns)
        going = None if old is None else old.event
        if going is not None and not lag.run:
            book.end(going, book.now_ns)
        elif lag.steady and going is None:
            used = "taken at the time without it" if lag.correction_ns else "drawn as old: it may be the way that is so slow"
            text = f"its clock is {lag.least_ns / NS:.0f} s behind, steadily: its fixes are {used}"
            tracks = (live.state.track_id,)
            event = book.event("clock", owner.operation, book.now_ns, device=fix.device, track_ids=tracks, text=text)
            lag = msgspec.structs.replace(lag, event=event)
        if lag.run or lag.right:
            lags[fix.device] = lag
        return fix.time_ns + lag.correction_ns

    def _sensor_ahead(self, sensor: str, time_ns: int | None, book: Book) -> bool:
        """``_clock_ahead`` of what looks, hears or feels: told where it is attached, else in ``open``."""
        attached = self._directory.attachment(sensor, book.now_ns)
        return self._clock_ahead(sensor, OPEN if attached is None else attached.operation, time_ns, book)

    def _tag_read(self, read: TagRead, via: str, book: Book) -> None:
        time_ns = book.now_ns if read.time_ns is None else read.time_ns
        owner = self._owner(read.epc, time_ns, "")
        if owner is None:
            return
        if self._clock_ahead(read.device, owner.operation, read.time_ns, book):
            self._heard(owner, read.device, book, reports=False)
            return
        place = self._place(read.device, time_ns)
        live = self._track(owner, read.epc, book, make=place is not None)
        if live is None:
            return
        tracker = self._tracker(owner.operation)
        self._describe(live, owner, read.epc, "")
        tracker.contact(live, read.device, book, reports=False)
        if place is not None:
            m = live.read_by_others(_at_place(place, time_ns, read.device, "tag_read"), read.rssi_dbm)
            if m is not None and not live.read_lately(m, int(self._state.presets.read_window_s * NS)):
                tracker.measure(live, m, book)
        self._shown(tracker, live, book)

    def _reading(self, reading: Reading, via: str, fmt: str, book: Book) -> None:
        time_ns = book.now_ns if reading.time_ns is None else reading.time_ns
        self._fact(reading.device, reading.quantity, reading.value, time_ns)
        on = reading.value is True or (
            isinstance(reading.value, int | float) and not isinstance(reading.value, bool) and reading.value >= 1
        )
        place = self._place(reading.device, time_ns)
        if reading.quantity == "door_open":
            self._door(reading, on, time_ns, place, via, book)
        trigger = place if reading.quantity in TRIGGERS and on else None
        if trigger is not None and not self._sensor_ahead(reading.device, reading.time_ns, book):
            for tracker in self._touched_by(trigger.lat_deg, trigger.lon_deg):
                live = tracker.trigger(_at_place(trigger, time_ns, reading.device, "trigger"), book)
                if live is not None:
                    self._shown(tracker, live, book)
        owner = self._owner(reading.device, time_ns, via)
        live = None if owner is None else self._track_of(owner, reading.device)
        if owner is not None and live is not None:
            tracker = self._tracker(owner.operation)
            self._describe(live, owner, reading.device, fmt)
            tracker.contact(live, reading.device, book, reports=True)
            self._shown(tracker, live, book)

    def _track_of(self, owner: Owner, device: str) -> LiveTrack | None:
        live = self._tracker(owner.operation).by_key.get(owner.key)
        if live is not None and device not in live.state.identities:
            live.state.identities.append(device)
        return live

    def _door(self, door: Reading, on: bool, time_ns: int, place: Placement | None, via: str, book: Book) -> None:
        """One event in each operation concerned, from the door's opening to its closing."""
        doors, device = self._state.doors, door.device
        going = doors.pop(device, None)
        if going is not None and on:
            doors[device] = going
        elif going is not None:
            for event in going:
                book.end(event, time_ns)
        elif on:
            doors[device] = self._knocked(door, time_ns, place, via, book)

    def _knocked(self, door: Reading, time_ns: int, place: Placement | None, via: str, book: Book) -> list[Event]:
        """The events of a door that opened: those of its last opening with a count, where that is not long ago (it bounces)."""
        knocks, device = self._state.knocks, door.device
        last = knocks.get(device)
        if last is not None and 0 <= time_ns - last.opened_ns < int(self._state.presets.alarm_window_s * NS):
            count = last.count + 1
            events = [book.again(event, f"door opened, {count} times so far") for event in last.events]
        else:
            count = 1
            events = [
                book.event(
                    "door_opened", operation, time_ns, device=device, text="door opened", track_ids=tracks,
                    lat_deg=None if place is None else place.lat_deg, lon_deg=None if place is None else place.lon_deg,
                    time_source="server" if door.time_ns is None else door.time_source,
                )
                for operation, tracks in self._concerned(device, time_ns, place, via)
            ]  # fmt: skip
        knocks[device] = Knock(events, time_ns, count)
        return events

    def _concerned(self, device: str, time_ns: int, place: Placement | None, via: str) -> list[tuple[str, tuple[str, ...]]]:
        """(operation, its tracks) that a device's own event belongs to."""
        owner = self._owner(device, time_ns, via)
        if owner is not None and owner.operation != OPEN:
            live = self._tracker(owner.operation).by_key.get(owner.key)
            return [(owner.operation, () if live is None else (live.state.track_id,))]
        if place is not None:
            # an event is told once: to the cases whose ground it is on, and to ``open`` where it is on nobody's
            touched = self._touched_by(place.lat_deg, place.lon_deg)
            return [(tracker.operation, ()) for tracker in touched if tracker.operation != OPEN or len(touched) == 1]
        live = self._tracker(OPEN).by_key.get("d:" + device)
        return [(OPEN, () if live is None else (live.state.track_id,))]

    def _alarm(self, alarm: Alarm, via: str, book: Book) -> None:
        time_ns = book.now_ns if alarm.time_ns is None else alarm.time_ns
        owner = self._owner(alarm.device, time_ns, via)
        live = None if owner is None else self._track_of(owner, alarm.device)
        if owner is not None and live is not None:
            self._tracker(owner.operation).contact(live, alarm.device, book, reports=True)
            self._shown(self._tracker(owner.operation), live, book)
        name = f"{alarm.device}/{alarm.alarm}"
        heard = self._state.alarms.get(name)
        self._state.alarms[name] = book.now_ns
        if heard is not None and book.now_ns - heard < int(self._state.presets.alarm_window_s * NS):
            return
        place = self._place(alarm.device, time_ns)
        text = f"{alarm.alarm}: {alarm.text}" if alarm.text else alarm.alarm
        for operation, tracks in self._concerned(alarm.device, time_ns, place, via):
            book.event(
                ALARM_EVENTS.get(alarm.alarm, "alarm"), operation, time_ns, device=alarm.device, text=text,
                track_ids=tracks, lat_deg=None if place is None else place.lat_deg,
                lon_deg=None if place is None else place.lon_deg,
                time_source="server" if alarm.time_ns is None else alarm.time_source,
            )  # fmt: skip

    # --- looks --------------------------------------------------------------------------------

    def _touched_by(self, lat_deg: float, lon_deg: float) -> list[Tracker]:
        names = [
            o.operation for o in self._directory.operations.values()
            if not o.closed and o.operation != OPEN and ring_contains(o.area, lat_deg=lat_deg, lon_deg=lon_deg)
        ]  # fmt: skip
        return [self._tracker(name) for name in (*names, OPEN)]

    def _sightings(self, device: str, time_ns: int, sightings: list[Sighting], book: Book) -> None:
        presets = self._state.presets
        by_operation: dict[str, list[Sighting]] = {}
        for sighting in sightings:
            if valid_position(sighting.lat_deg, sighting.lon_deg):
                for tracker in self._touched_by(sighting.lat_deg, sighting.lon_deg):
                    by_operation.setdefault(tracker.operation, []).append(sighting)
        for operation, some in by_operation.items():
            look = Look(
                sensor=device, time_ns=time_ns, spots=_spots(some), pd=presets.sighting_pd,
                density_per_km2=presets.clutter_per_km2 + presets.new_per_km2,
            )  # fmt: skip
            self._look(self._tracker(operation), look, book)

    def _scan(self, scan: Scan, book: Book) -> None:
        if self._sensor_ahead(scan.sensor, scan.time_ns, book):
            return
        sightings: list[Any] = list(scan.sightings) or [f for f in scan.flags if f.lat_deg is not None and f.r_ee is not None]
        look = Look(
            sensor=scan.sensor, time_ns=scan.time_ns, spots=_spots(sightings), pd=min(max(scan.pd, 0.01), 0.99),
            density_per_km2=max(scan.clutter_per_km2, 0.0) + self._state.presets.new_per_km2, footprint=scan.footprint,
            imagery=bool(scan.flags), time_source=scan.time_source,
        )  # fmt: skip
        names = [
            o.operation for o in self._directory.operations.values()
            if not o.closed and o.operation != OPEN and rings_touch(o.area, scan.footprint)
        ]  # fmt: skip
        for name in (*names, OPEN):
            self._look(self._tracker(name), look, book)

    def _look(self, tracker: Tracker, look: Look, book: Book) -> None:
        for live in tracker.look(look, self._new_id, book):
            if live.state.status == "deleted":
                tracker.show(live, self._attributes(live), book)
            else:
                self._shown(tracker, live, book)

    # --- time and presets ---------------------------------------------------------------------

    def _sweep(self, book: Book) -> None:
        self._state.sweep_ns = book.now_ns
        # an alarm that was last heard before the window is as good as never heard: not kept for ever
        since_ns = book.now_ns - int(self._state.presets.alarm_window_s * NS)
        self._state.alarms = {name: heard for name, heard in self._state.alarms.items() if heard > since_ns}
        for tracker in self._trackers.values():
            operation = self._directory.operations.get(tracker.operation)
            if operation is None or not operation.closed:
                tracker.sweep(self._interval_s, self._attributes, book)

    def _start(self, start: Start, book: Book) -> None:
        self._state.exercise = start.exercise
        try:
            presets = presets_from(start.presets)
        except UsageError as error:
            # the journal can't be changed any more: go on with what held before, and say so
            book.event("presets_refused", OPEN, book.now_ns, end_ns=book.now_ns, text=str(error))
            return
        if presets != self._state.presets:
            self._state.presets = presets
            for tracker in self._trackers.values():
                tracker.set_presets(presets)


def _unstated_sigma_m(fix: Fix, usual_m: float) -> float:
    """One sigma per axis of a fix that does not say its own: its kind's or class's, never good where it is doubtful."""
    sigma_m = COARSE_SIGMA_M.get(fix.fix, usual_m)
    return max(sigma_m, DOUBTED_SIGMA_M) if "low_quality" in fix.flags else sigma_m


def _velocity(fix: Fix) -> tuple[float | None, float | None]:
    """(east, north) m/s of a stated speed and course; a stop needs no course."""
    speed = fix.speed_mps
    if speed is None or not 0.0 <= speed < 1e4:
        return None, None
    if fix.course_deg is None or not math.isfinite(fix.course_deg):
        return (0.0, 0.0) if speed < 0.3 else (None, None)
    course = math.radians(fix.course_deg)
    return speed * math.sin(course), speed * math.cos(course)


def _at_place(place: Placement, time_ns: int, device: str, origin: Any) -> Measurement:
    """Position evidence at a reader or sensor: one sigma = range / 2."""
    r = max(place.range_m / 2.0, SIGMA_FLOOR_M) ** 2
    return Measurement(time_ns, device, origin, place.lat_deg, place.lon_deg, r, 0.0, r, stated=True)


def _spots(sightings: list[Any]) -> list[Spot]:
    """Sightings (or flags with a position) with a usable covariance; others can't be placed."""
    out = []
    for s in sightings:
        r = floored(s.r_ee, s.r_en or 0.0, s.r_nn if s.r_nn is not None else s.r_ee)
        if r is not None and valid_position(s.lat_deg, s.lon_deg):
            out.append(Spot(s.lat_deg, s.lon_deg, *r))
    return out
