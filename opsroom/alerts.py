"""From events to alerts: what a person must see, until the facts clear it or a decision acknowledges it.

A part of the fold: its state is in the picture's snapshot, its rows are rebuilt with the tracks.

**What comes again is one alert.**  A tag in a cellar falls silent four times an hour, a shed's door opens twenty times a day:
each is an event, and all of them are one thing to decide.  What happens again to the same track and device within ``RECURS_NS``
of its last end is the same alert, counted, open while it goes on.  An acknowledgement holds for what comes again; a person
is asked anew (``asked``; the console calls) where it was asked ``HOLDS_NS`` ago and it happens again, where it goes on twice
as long as ever before, and where it has become graver.  Nothing is hidden: each time is an event, and stands in the count.

**What falls silent together is one alert.**  A gateway fails, and all that speak through it are silent: of what is under no
case (operation ``open``) silences that begin within ``TOGETHER_NS`` of the first are one alert that names each (``members``),
until all of them are heard again.  In a case those that begin within one expected interval of the first and where it was
(``recurring.beside``).  Who joins an alert that was acknowledged is asked about anew; in a case also who stays silent when
others of it are heard again.

**What a decision answers is seen.**  Who says which of two places the goods are at, or that a receiver goes its own way, has
answered what was asked of that track (``QUARRELS``); who takes that back is asked again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Literal

import msgspec

from birddog.directory import OPEN
from birddog.model import Alert, Decision, Event
from birddog.units import NS
from opsroom import recurring
from opsroom.recurring import MEMBERS_MOST, RECURRING

#: Event kind -> severity.  An event of another kind makes no alert.
SEVERITY: dict[str, Literal["info", "warning", "critical"]] = {
    "silent": "warning",
    "parted": "critical",
    "door_opened": "critical",
    "tamper": "critical",
    "alarm": "warning",
    "dark_vessel": "warning",
    "clock": "warning",
    "conflict": "warning",
    "jumped": "warning",
    "two_places": "warning",
    "contradicted": "warning",
    "never_heard": "warning",
    "not_admitted": "warning",
    "low_battery": "warning",
    "arrived": "warning",
    "left": "warning",
    "inside": "info",
    "border": "critical",
    "split": "critical",
    "jamming": "warning",
    "frozen": "warning",
    "replayed": "warning",
    "impossible_speed": "warning",
    "false_speed": "warning",
    "drift": "warning",
    "belied": "critical",
    "warrant_due": "warning",
    "warrant_overdue": "critical",
    "warrant_ended": "warning",
    "retention_due": "warning",
    "retention_overdue": "critical",
}
#: Kinds that are no alert of what is under no case: any two ships part.
OF_CASES = frozenset({"split"})
#: Kinds of the fold that make no alert.
QUIET = (
    "beside", "confirmed", "decided", "decided_nothing", "distrusted", "outlier", "presets_refused", "reacquired", "too_late",
)  # fmt: skip
#: What is owed whether a case is open or closed: by the rules of its warrants, and by how long it may be kept.
OWED = frozenset({"warrant_due", "warrant_overdue", "retention_due", "retention_overdue"})
#: Of those that recur, the ones without an end of their own.
ENDLESS = frozenset({"alarm", "conflict", "jumped"})
#: What asks which of two places a track is at.
QUARRELS = frozenset({"parted", "contradicted", "two_places"})
#: An alert that nobody waits for any more is kept for so long: a door that bounces is the same alert again.
KEPT_NS = 86_400 * NS


class Alerts:
    """Every alert that may still change, by id; one event makes at most one, and changes it when the event changes.

    What nobody waits for is forgotten with its track, or after a day: its row stays published as it is.
    """

    def __init__(self, rows: list[Alert] | None = None):
        self._rows = {row.alert_id: row for row in rows or []}
        self._of_track: dict[str, dict[str, None]] = {}
        #: Those that nobody waits for: (since when, id); one that is open again stands here as well, and says nothing.
        self._over: list[tuple[int, str]] = []
        #: When one that was acknowledged has gone on for twice as long as ever: (when, id); the same.
        self._worse: list[tuple[int, str]] = []
        #: By what it is about the newest alert of a kind that comes again; of its events the alert.
        self._last: dict[tuple[str, ...], str] = {}
        self._of_event: dict[str, str] = {}
        #: What fell silent: under no case by when, in steps of ``TOGETHER_NS``; in a case by where.
        self._silent: dict[recurring.Near, dict[str, None]] = {}
        for row in self._rows.values():
            self._put(row)

    def _put(self, alert: Alert) -> Alert:
        if (old := self._rows.get(alert.alert_id)) is not None:
            self._not_near(old)
            for one in old.members:
                self._of_event.pop(one.event_id, None)
        self._rows[alert.alert_id] = alert
        if alert.kind == "silent":
            self._silent.setdefault(recurring.near(alert, alert.began_ns)[0], {})[alert.alert_id] = None
        self._of_track.setdefault(alert.track_id, {})[alert.alert_id] = None
        if alert.kind in RECURRING:
            self._last[recurring.key_of(alert)] = alert.alert_id
            for event_id in alert.events:
                self._of_event[event_id] = alert.alert_id
            for one in alert.members:
                self._last[recurring.member_key(alert, one)] = alert.alert_id
                self._of_event[one.event_id] = alert.alert_id
            if (worse_ns := recurring.worse_ns(alert)) is not None:
                heapq.heappush(self._worse, (worse_ns, alert.alert_id))
        if not alert.open:
            heapq.heappush(self._over, (recurring.over_ns(alert), alert.alert_id))
        return alert

    def event(self, event: Event) -> Alert | None:
        """The alert that an event raises, changes or clears, or None."""
        severity = SEVERITY.get(event.kind)
        if severity is None or (event.kind in OF_CASES and event.operation == OPEN):
            return None
        old = self._rows.get(self._of_event.get(event.event_id, "A" + event.event_id))
        if old is None:
            old = self._same_thing(event)
            if old is not None:
                return self._put(recurring.joined(old, event) if old.members else recurring.again(old, event, severity))
            old = self._together(event)
            if old is not None:
                return self._put(recurring.joined(old, event))
        elif old.members:
            return self._put(recurring.joined(old, event))
        new = Alert(
            alert_id="A" + event.event_id, kind=event.kind, severity=severity, operation=event.operation,
            raised_ns=event.start_ns, cleared_ns=event.end_ns, track_id=event.track_ids[0] if event.track_ids else "",
            device=event.device, lat_deg=event.lat_deg, lon_deg=event.lon_deg, text=recurring.words(event),
            time_source=event.time_source, about=event.about, flag_id=event.flag_id, every_ns=recurring.every_ns(event),
        )  # fmt: skip
        return self._put(new if old is None else recurring.changed(old, new))

    def _same_thing(self, event: Event) -> Alert | None:
        """The alert of which a new event is only the next time."""
        if event.kind not in RECURRING:
            return None
        track_id = event.track_ids[0] if event.track_ids else ""
        name = self._last.get(recurring.key(event.kind, event.operation, track_id, event.device, event.about))
        old = None if name is None else self._rows[name]
        if old is not None and old.members:
            mine = (one for one in old.members if recurring.is_of(one, event))
            return old if any(recurring.soon(event, one.began_ns, one.ended_ns) for one in mine) else None
        if old is None or (old.cleared_ns is None and old.kind not in ENDLESS):
            return None
        return old if recurring.soon(event, old.began_ns, old.cleared_ns) else None

    def _together(self, event: Event) -> Alert | None:
        """The alert of what fell silent just when this did, and in a case just where; the oldest of several."""
        if event.kind != "silent":
            return None
        found = [self._rows[name] for near in recurring.near(event, event.start_ns) for name in self._silent.get(near, ())]
        found = [a for a in found if recurring.beside(a, event) and len(a.members) < MEMBERS_MOST]
        return min(found, key=lambda a: (a.raised_ns, a.alert_id), default=None)

    def _not_near(self, alert: Alert) -> None:
        near = recurring.near(alert, alert.began_ns)[0]
        if (names := self._silent.get(near)) is not None:
            names.pop(alert.alert_id, None)
            if not names:
                del self._silent[near]

    def decision(self, decision: Decision, time_ns: int, done: Event | None = None) -> list[Alert]:
        """The alerts that a decision acknowledges, or opens again; the first acknowledgement stays.

        Who confirms a dark vessel has seen its alert; who says where a track is, or which receiver goes its own way, has
        answered the alerts that ask it, and who takes that back is asked again.

        Args:
            done: what was told of it where it is about a track, and came to something.
        """
        if decision.action == "undo":
            return [
                self._put(recurring.asked(row, time_ns)) for row in self._about(done, QUARRELS)
                if row.acknowledged_ns is not None and row.cleared_ns is None
            ]  # fmt: skip
        if decision.action in ("confirm_dark", "take_over", "split"):
            kinds = frozenset({"dark_vessel"}) if decision.action == "confirm_dark" else QUARRELS
            names = [row.alert_id for row in self._about(done, kinds)]
        else:
            ours = decision.action in ("acknowledge", "reopen") and decision.subject in self._rows
            names = [decision.subject] if ours else []
        seen = {} if decision.action == "reopen" else {"acknowledged_ns": time_ns, "acknowledged_by": decision.by}
        blank = {"acknowledged_ns": None, "acknowledged_by": "", "false": bool(seen) and decision.false}
        return [
            self._put(msgspec.structs.replace(self._rows[name], **(blank | seen)))
            for name in names if (self._rows[name].acknowledged_ns is None) == bool(seen)
        ]  # fmt: skip

    def _about(self, done: Event | None, kinds: frozenset[str]) -> list[Alert]:
        """The alerts of some kinds of the track of which a decision was told."""
        track_id = done.track_ids[0] if done is not None and done.track_ids else None
        found = [self._rows[name] for name in self._of_track.get(track_id, ())] if track_id is not None else []
        return [row for row in found if row.kind in kinds]

    def closed(self, operation: str, by: str, time_ns: int) -> list[Alert]:
        """The alerts of a case that was closed, which nobody waits for any more: seen by whoever closed it.

        What its warrants and the law still ask for is not done by closing it: that stays open (``OWED``).
        """
        return [
            self._put(msgspec.structs.replace(row, acknowledged_ns=time_ns, acknowledged_by=by))
            for row in list(self._rows.values())
            if row.operation == operation and row.open and not (row.kind in OWED and row.cleared_ns is None)
        ]  # fmt: skip

    def ended(self, track_ids: Iterable[str]) -> None:
        """These tracks are no more: their alerts are forgotten, but those that somebody still waits for."""
        for track_id in track_ids:
            for alert_id in list(self._of_track.get(track_id, ())):
                row = self._rows[alert_id]
                if not row.open and not recurring.waits_for_others(row):
                    self._forget(alert_id)

    def wait(self, now_ns: int) -> list[Alert]:
        """What time alone does up to now: of what was acknowledged and goes on twice as long as ever they are asked anew.

        What has been over for long is forgotten.  Costs nothing where there is nothing.
        """
        asked = []
        while self._worse and self._worse[0][0] <= now_ns:
            worse_ns, alert_id = heapq.heappop(self._worse)
            row = self._rows.get(alert_id)
            if row is not None and recurring.worse_ns(row) == worse_ns:
                asked.append(self._put(recurring.asked(row, worse_ns)))
        while self._over and self._over[0][0] < now_ns - KEPT_NS:
            _, alert_id = heapq.heappop(self._over)
            row = self._rows.get(alert_id)
            if row is None or row.open or recurring.waits_for_others(row):
                continue
            if recurring.over_ns(row) < now_ns - KEPT_NS:
                self._forget(alert_id)
        return asked

    def _forget(self, alert_id: str) -> None:
        row = self._rows.pop(alert_id)
        track_id = row.track_id
        self._not_near(row)
        for key in (recurring.key_of(row), *(recurring.member_key(row, one) for one in row.members)):
            if self._last.get(key) == alert_id:
                del self._last[key]
        for event_id in (*row.events, *(one.event_id for one in row.members)):
            self._of_event.pop(event_id, None)
        of_track = self._of_track[track_id]
        del of_track[alert_id]
        if not of_track:
            del self._of_track[track_id]

    def snapshot(self) -> list[Alert]:
        """The state, in the order in which the alerts were raised."""
        return list(self._rows.values())

    @classmethod
    def restore(cls, rows: list[Alert]) -> Alerts:
        """From ``snapshot``."""
        return cls(rows)
