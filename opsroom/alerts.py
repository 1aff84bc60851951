"""From events to alerts: what a person must see, until the facts clear it or a decision acknowledges it.

A part of the fold: its state is in the picture's snapshot, its rows are rebuilt with the tracks.
"""

from __future__ import annotations

import msgspec

from birddog.model import Alert, Decision, Event

#: Event kind -> severity.  An event of another kind makes no alert.
SEVERITY: dict[str, str] = {
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
    "arrived": "warning",
    "left": "warning",
    "inside": "info",
}


class Alerts:
    """Every alert by id; one event makes at most one, and changes it when the event changes."""

    def __init__(self, rows: dict[str, Alert] | None = None):
        self._rows: dict[str, Alert] = rows or {}

    def event(self, event: Event) -> Alert | None:
        """The alert that an event raises, changes or clears, or None."""
        severity = SEVERITY.get(event.kind)
        if severity is None:
            return None
        alert_id = "A" + event.event_id
        old = self._rows.get(alert_id)
        alert = Alert(
            alert_id=alert_id, kind=event.kind, severity=severity, operation=event.operation, raised_ns=event.start_ns,
            cleared_ns=event.end_ns, acknowledged_ns=old.acknowledged_ns if old else None,
            acknowledged_by=old.acknowledged_by if old else "", track_id=event.track_ids[0] if event.track_ids else "",
            device=event.device, lat_deg=event.lat_deg, lon_deg=event.lon_deg, text=event.text,
            time_source=event.time_source,
        )
        self._rows[alert_id] = alert
        return alert

    def decision(self, decision: Decision, time_ns: int) -> Alert | None:
        """The alert that a decision acknowledges; the first acknowledgement stays."""
        old = self._rows.get(decision.subject)
        if old is None or decision.action != "acknowledge" or old.acknowledged_ns is not None:
            return None
        alert = msgspec.structs.replace(old, acknowledged_ns=time_ns, acknowledged_by=decision.by)
        self._rows[alert.alert_id] = alert
        return alert

    def snapshot(self) -> list[Alert]:
        """The state, in the order in which the alerts were raised."""
        return list(self._rows.values())

    @classmethod
    def restore(cls, rows: list[Alert]) -> Alerts:
        """From ``snapshot``."""
        return cls({row.alert_id: row for row in rows})
