"""Events of the live picture: one engine an operation, behind the fold, and the rows that are published.

The fold says of each entry which fixes it took into which track (``Changes.fixes``); the engines of ``engine.Events`` are fed
with them in that order, told what time it is, and forget a track when it ends.  So an event is told with the entry of the fix
that decides it, or with the first entry after the time that does, and a rebuild tells the same under the same ids.

A row keeps its id while the event goes on, ends, or is corrected by a fix that came late; each correction is kept in it with
what had been said before.  An id is made as those of the fold's own events, with an ``H``: ``H17``, ``H17.2-5``.

Where several things report under what the fold follows as one track (it says ``two_places``), each has its own events: all are
told under the track, those of another than the first with its number (``thing``).

A silence is told here only where it looks switched off: every other one is the fold's ``silent``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.directory import OPEN, Directory
from birddog.model import Correction, UsedWays, Value
from birddog.model import Event as Row
from birddog.units import NS, iso_from_ns
from tracking.book import Changes, TakenFix
from tracking.events.departures import Departure
from tracking.events.engine import Events, Told
from tracking.events.model import ALL_KINDS, RULES, WAY_KINDS, Event, Rules
from tracking.events.places import Places
from tracking.events.things import which
from tracking.events.ways import Ways

#: How late a fix may come and still change what was told.
LATE_S = 3600
#: What has been over for so long is not corrected any more (engine: up to a quarter over LATE_S, and a hole).
_SETTLED_NS = (2 * LATE_S + 3600) * NS
#: Of fixes that came too late one row is told for each track in this time.
_TOO_LATE_NS = 3600 * NS
#: Corrections that a row keeps.
_MOST = 20


#: What is told changes with it: what was kept by another form is made again from the journal (1: identities are parted into
#: things, what was heard late near a gap counts; 2: only of gaps that may still be changed; 3: samples are
#: kept for so long that a late fix takes no encounter back; 4: a split is where the two were last together; 5: whose co-travel
#: has ended are followed until they part, and who leaves several is one row).
FORM = 5


class LiveState(msgspec.Struct):
    """All that a snapshot keeps: engines by operation, rows that may still change, who was told of for coming too late."""

    rules: str = "quick"
    engines: dict[str, bytes] = {}
    rows: dict[str, dict[str, Row]] = {}
    too_late: dict[str, int] = {}
    departures: dict[str, list[Departure]] = {}
    swept_ns: int = 0
    form: int = 0


class LiveEvents:
    """See the module's docstring.  ``apply`` is called once an entry, in order."""

    def __init__(self, state: LiveState | None = None, used: UsedWays | None = None):
        self._state = state or LiveState()
        self._used, self._ways = used, Ways(used) if used is not None else None
        self._engines = {name: Events.of(packed, self._ways) for name, packed in self._state.engines.items()}
        #: of the directory, as it was asked last
        self._version = -1

    def snapshot(self) -> bytes:
        """The whole state."""
        self._state.form = FORM
        self._state.engines = {name: engine.packed() for name, engine in self._engines.items()}
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def restore(cls, data: bytes, used: UsedWays | None = None) -> LiveEvents:
        """From ``snapshot``, and the ways as the registers had them then.

        Raises:
            msgspec.ValidationError, msgspec.DecodeError: the bytes are none, or of another form.
        """
        state = msgspec.msgpack.decode(data, type=LiveState)
        if state.form != FORM:
            raise msgspec.ValidationError(f"live events of form {state.form}; expected {FORM}")
        return cls(state, used)

    def apply(
        self, seq: int, now_ns: int, changes: Changes, numbers: dict[str, int], rules: str = "quick",
        directory: Directory | None = None, called: Callable[[str], str] | None = None,
    ) -> list[Row]:  # fmt: skip
        """What is to be published with one entry.

        Args:
            now_ns: the fold's time at it.
            numbers: of each case the number of the entry that named it first.
            rules: the name of a set of ``model.RULES``, or ``off``.
            directory: the registers: which places a case watches, which ways are used.
            called: what a person calls a track; its id where that is not known.
        """
        out = _Out(seq, now_ns, numbers, called or str)
        if rules != self._state.rules:
            self._begin_anew(rules, out)
        if rules == "off":
            return out.rows
        if directory is not None and directory.version != self._version:
            self._learn(directory, out)
        for operation, engine in self._engines.items():
            self._tell(operation, engine.pass_time(now_ns), out)
        for fix in changes.fixes:
            if fix.operation not in self._engines:
                places = _places(directory, fix.operation)
                self._engines[fix.operation] = Events(RULES[rules], ALL_KINDS, LATE_S, places, self._ways)
            self._tell(fix.operation, _told(self._engines[fix.operation], fix), out)
        for name in changes.ended:
            for operation, engine in self._engines.items():
                self._tell(operation, engine.forget(name), out)
        if now_ns - self._state.swept_ns > _SETTLED_NS // 4:
            self._sweep(now_ns)
        return out.rows

    def _learn(self, directory: Directory, out: _Out) -> None:
        """The registers changed: who watches other places now, or knows other ways, begins with these anew."""
        self._version = directory.version
        for operation in [*self._state.rows]:
            known = directory.operations.get(operation)
            if known is not None and known.closed:
                self._close(operation, out)
        other = directory.ways != self._used
        if other:
            self._used = directory.ways
            self._ways = Ways(self._used) if self._used is not None else None
        for operation, engine in self._engines.items():
            places = _places(directory, operation)
            if other or places.zones != engine.places.zones:
                self._tell(operation, engine.learn(places, self._ways), out)

    def _close(self, operation: str, out: _Out) -> None:
        """A case is closed: what lasts in it has ended; one that is opened again begins anew."""
        self._engines.pop(operation, None)
        self._state.departures.pop(operation, None)
        for row in self._state.rows.pop(operation).values():
            if row.end_ns is None:
                end_ns = max(row.last_ns or 0, row.start_ns)
                text = f"{row.text}; the case was closed"
                out.rows.append(msgspec.structs.replace(row, end_ns=end_ns, seq=out.seq, text=text))

    def _begin_anew(self, rules: str, out: _Out) -> None:
        """Other rules hold from now on: what lasts has ended, and nothing of before is known."""
        for rows in self._state.rows.values():
            for row in rows.values():
                if row.end_ns is None:
                    out.rows.append(msgspec.structs.replace(row, end_ns=max(row.last_ns or 0, row.start_ns), seq=out.seq))
        self._engines.clear()
        self._state = LiveState(rules=rules)

    def _sweep(self, now_ns: int) -> None:
        self._state.swept_ns = now_ns
        for rows in self._state.rows.values():
            for key in [key for key, row in rows.items() if row.end_ns is not None and row.end_ns < now_ns - _SETTLED_NS]:
                del rows[key]
        for operation, told in self._state.departures.items():
            published = {row.event_id for row in self._state.rows.get(operation, {}).values()}
            self._state.departures[operation] = [one for one in told if one.event_id in published]
        for name in [name for name, told_ns in self._state.too_late.items() if told_ns < now_ns - _TOO_LATE_NS]:
            del self._state.too_late[name]

    def _tell(self, operation: str, told: list[Told], out: _Out) -> None:
        if not told:
            return
        rows, rules = self._state.rows.setdefault(operation, {}), RULES[self._state.rules]
        for one in told:
            if one.what == "too_late":
                self._too_late(operation, one, out)
                continue
            if any(event is not None and event.kind == "split" for event in (one.event, one.was)):
                self._depart(operation, one, out)
                continue
            was = rows.pop(_key(one.was), None) if one.was is not None else None
            event = one.event
            if event is not None and event.kind == "gap" and not event.measures["switched_off"] and (
                    was is None or one.what == "corrected"):  # fmt: skip
                event = None  # nothing to be told, or no more
            if event is None:
                if was is not None:
                    out.rows.append(_withdrawn(was, one, out))
                continue
            row = _row(operation, event, rules, self._state.rules, out, was)
            if event.kind in WAY_KINDS and self._used is not None:
                row = msgspec.structs.replace(row, rule=row.rule | {"archive_sha256": self._used.archive_sha256})
            if was is not None and one.what == "corrected":
                row = msgspec.structs.replace(row, corrections=_noted(was, one, out))
            rows[_key(event)] = row
            out.rows.append(row)

    def _depart(self, operation: str, told: Told, out: _Out) -> None:
        """A split of two is told in the row of the departure that it is of."""
        known, rows = self._state.departures.setdefault(operation, []), self._state.rows[operation]
        rules, event, was = RULES[self._state.rules], told.event, told.was
        one = next((one for one in known if was is not None and one.drop(was)), None)
        if one is None and event is not None:
            one = next((one for one in known if one.of(event)), None)
        if one is None:
            if event is None:
                return
            one = Departure()
            known.append(one)
        before = rows.pop("split " + one.event_id, None)
        one.splits += [event] if event is not None else []
        if not one.splits:
            known.remove(one)
            if before is not None:
                out.put(_withdrawn(before, told, out))
            return
        row = _row(operation, one.event(rules), rules, self._state.rules, out, before, one.words(rules, out.called))
        if before is not None and told.what in ("corrected", "withdrawn"):
            row = msgspec.structs.replace(row, corrections=_noted(before, told, out))
        one.event_id = row.event_id
        rows["split " + one.event_id] = row
        out.put(row)

    def _too_late(self, operation: str, told: Told, out: _Out) -> None:
        assert told.because is not None
        name, time_ns = told.because
        if out.now_ns - self._state.too_late.get(name, -_TOO_LATE_NS) < _TOO_LATE_NS:
            return
        self._state.too_late[name] = out.now_ns
        text = f"a fix of {iso_from_ns(time_ns)} came too late to change what happened: over {LATE_S // 60} min"
        out.rows.append(Row(
            event_id=out.event_id(operation), kind="too_late", operation=operation, seq=out.seq, start_ns=time_ns,
            end_ns=time_ns, track_ids=(name,), text=text,
        ))  # fmt: skip


class _Out:
    """The rows of one entry, and their ids."""

    def __init__(self, seq: int, now_ns: int, numbers: dict[str, int], called: Callable[[str], str]):
        self.seq, self.now_ns, self._numbers, self.called = seq, now_ns, numbers, called
        self.rows: list[Row] = []
        self._nth: dict[str, int] = {}

    def put(self, row: Row) -> None:
        """A row that says more than what was said of it with the same entry."""
        self.rows = [other for other in self.rows if other.event_id != row.event_id]
        self.rows.append(row)

    def event_id(self, operation: str) -> str:
        """The id of the next event of an operation."""
        nth = self._nth[operation] = self._nth.get(operation, 0) + 1
        which = f"H{self.seq}" if nth == 1 else f"H{self.seq}.{nth}"
        return which if operation == OPEN else f"{which}-{self._numbers.get(operation, 0)}"


def _places(directory: Directory | None, operation: str) -> Places:
    known = directory.operations.get(operation) if directory is not None else None
    return Places(known.zones if known is not None else ())


def _told(engine: Events, fix: TakenFix) -> list[Told]:
    if fix.lat_deg is None or fix.lon_deg is None:
        return engine.without(fix.track_id, fix.time_ns)
    return engine.fix(fix.track_id, fix.time_ns, fix.lat_deg, fix.lon_deg)


def _key(event: Event) -> str:
    return f"{event.kind} {event.start_ns} {' '.join(event.ids)} {event.place}"


def _row(operation: str, event: Event, rules: Rules, name: str, out: _Out, was: Row | None, text: str = "") -> Row:
    """An event as it is published; lengths to the millimetre."""
    measures: dict[str, Value] = {k: round(v, 3) if isinstance(v, float) else v for k, v in event.measures.items()}
    if event.place:
        measures = {"place": event.place, **measures}
    things = [which(name) for name in event.ids]
    for tracked, number in things:
        if number > 1:
            measures |= {"thing": number, "thing_of": tracked}
    rule: dict[str, Value] = {"rules": name, "grid_s": rules.grid_s, "hole_s": rules.hole_s, "thin_s": rules.thin_s}
    rule |= msgspec.to_builtins(getattr(rules, event.kind))
    return Row(
        event_id=was.event_id if was is not None else out.event_id(operation), kind=event.kind, operation=operation,
        seq=out.seq, start_ns=event.start_ns, end_ns=event.end_ns, last_ns=event.last_ns,
        track_ids=tuple(tracked for tracked, _ in things), lat_deg=event.lat_deg, lon_deg=event.lon_deg,
        text=text or _words(event, rules), confidence=round(event.confidence, 3),
        measures=measures, rule=rule, corrections=was.corrections if was is not None else (),
    )  # fmt: skip


def _noted(was: Row, told: Told, out: _Out) -> tuple[Correction, ...]:
    """What had been said, and the fix that made it otherwise, behind what was noted before."""
    track_id, time_ns = told.because or ("", 0)
    note = Correction(
        what="withdrawn" if told.event is None else "corrected", at_ns=out.now_ns, track_id=track_id, fix_ns=time_ns,
        start_ns=was.start_ns, end_ns=was.end_ns,
    )  # fmt: skip
    return (*was.corrections, note)[-_MOST:]


def _withdrawn(was: Row, told: Told, out: _Out) -> Row:
    return msgspec.structs.replace(
        was, seq=out.seq, end_ns=was.end_ns or was.last_ns or was.start_ns, withdrawn=True, corrections=_noted(was, told, out),
        text=f"withdrawn, a fix came late: {was.text}",
    )  # fmt: skip


def _words(event: Event, rules: Rules) -> str:
    """One line for a person."""
    other = "; another thing under this identity" if any(which(name)[1] > 1 for name in event.ids) else ""
    return _happens(event, rules) + other


def _happens(event: Event, rules: Rules) -> str:
    m = event.measures
    lasted = f"for {_span(m['duration_s'])}" if event.end_ns is not None else f"since {iso_from_ns(event.start_ns)[11:19]}"
    match event.kind:
        case "stop":
            return f"stands within {rules.stop.radius_m:g} m {lasted}"
        case "encounter":
            return f"two within {m['mean_distance_m']:.0f} m, slower than 2 kn, {lasted}"
        case "loiter":
            return f"slower than {rules.loiter.speed_mps:.1f} m/s without standing still, {lasted}"
        case "cotravel":
            return f"one travels {m['lag_s']:.0f} s behind the other {lasted}"
        case "visit":
            return f"in port {event.place} {lasted}, of that {_span(m['standing_s'])} standing"
        case "portal":
            return f"passes {event.place} to its {'right' if m['to_the_right'] else 'left'} at {m['speed_mps']:.1f} m/s"
        case "border":
            return f"{'enters' if m['entered'] else 'leaves'} {event.place}, seen within {_span(m['duration_s'])}"
        case "lane_stop":
            return f"stands {lasted} where {m['others_passed']} others passed and {m['others_stood']} stood"
        case "deviation":
            return f"off the ways that others use {lasted}, {float(m['away_m'] or 0.0) / 1000.0:.1f} km from where it left them"
        case "gap" if m["switched_off"]:
            return f"silent {lasted} while {m['heard_near']} fixes of others came from near by: switched off?"
        case _:
            return f"silent {lasted}"


def _span(seconds: float | int | bool | None) -> str:
    minutes = round(float(seconds or 0.0) / 60.0)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
