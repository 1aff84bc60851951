"""From events to alerts: what a person must see, until the facts clear it or a decision acknowledges it.

A part of the fold: its state is in the picture's snapshot, its rows are rebuilt with the tracks.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Literal

import msgspec

from birddog.model import Alert, Decision, Event
from birddog.units import NS

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
    "low_battery": "warning",
    "arrived": "warning",
    "left": "warning",
    "inside": "info",
    "jamming": "warning",
    "frozen": "warning",
    "replayed": "warning",
    "impossible_speed": "warning",
    "drift": "warning",
    "warrant_due": "warning",
    "warrant_overdue": "critical",
    "warrant_ended": "warning",
}


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
        for row in self._rows.values():
            self._put(row)

    def _put(self, alert: Alert) -> Alert:
        self._rows[alert.alert_id] = alert
        self._of_track.setdefault(alert.track_id, {})[alert.alert_id] = None
        if not alert.open:
            heapq.heappush(self._over, (_over_ns(alert), alert.alert_id))
        return alert

    def event(self, event: Event) -> Alert | None:
        """The alert that an event raises, changes or clears, or None."""
        severity = SEVERITY.get(event.kind)
        if severity is None:
            return None
        alert_id = "A" + event.event_id
        old = self._rows.get(alert_id)
        return self._put(Alert(
            alert_id=alert_id, kind=event.kind, severity=severity, operation=event.operation, raised_ns=event.start_ns,
            cleared_ns=event.end_ns, acknowledged_ns=old.acknowledged_ns if old else None,
            acknowledged_by=old.acknowledged_by if old else "", track_id=event.track_ids[0] if event.track_ids else "",
            device=event.device, lat_deg=event.lat_deg, lon_deg=event.lon_deg, text=event.text,
            time_source=event.time_source,
        ))  # fmt: skip

    def decision(self, decision: Decision, time_ns: int) -> list[Alert]:
        """The alerts that a decision acknowledges, or opens again; the first acknowledgement stays.

        Who confirms a dark vessel has seen its alert.
        """
        if decision.action == "confirm_dark":
            names = [name for name in self._of_track.get(decision.subject, ()) if self._rows[name].kind == "dark_vessel"]
        else:
            ours = decision.action in ("acknowledge", "reopen") and decision.subject in self._rows
            names = [decision.subject] if ours else []
        seen = {} if decision.action == "reopen" else {"acknowledged_ns": time_ns, "acknowledged_by": decision.by}
        blank = {"acknowledged_ns": None, "acknowledged_by": ""}
        return [
            self._put(msgspec.structs.replace(self._rows[name], **(blank | seen)))
            for name in names if (self._rows[name].acknowledged_ns is None) == bool(seen)
        ]  # fmt: skip

    def closed(self, operation: str, by: str, time_ns: int) -> list[Alert]:
        """The alerts of a case that was closed, which nobody waits for any more: seen by whoever closed it."""
        return [
            self._put(msgspec.structs.replace(row, acknowledged_ns=time_ns, acknowledged_by=by))
            for row in list(self._rows.values()) if row.operation == operation and row.open
        ]  # fmt: skip

    def ended(self, track_ids: Iterable[str]) -> None:
        """These tracks are no more: their alerts are forgotten, but those that somebody still waits for."""
        for track_id in track_ids:
            for alert_id in list(self._of_track.get(track_id, ())):
                if not self._rows[alert_id].open:
                    self._forget(alert_id)

    def prune(self, now_ns: int) -> None:
        """Forget what has been over for long; costs nothing where there is nothing."""
        while self._over and self._over[0][0] < now_ns - KEPT_NS:
            _, alert_id = heapq.heappop(self._over)
            row = self._rows.get(alert_id)
            if row is not None and not row.open and _over_ns(row) < now_ns - KEPT_NS:
                self._forget(alert_id)

    def _forget(self, alert_id: str) -> None:
        track_id = self._rows.pop(alert_id).track_id
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


def _over_ns(alert: Alert) -> int:
    """Since when nobody waits for it."""
    return max(alert.cleared_ns or 0, alert.acknowledged_ns or 0)
