"""What waits for a person, and until when."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from birddog.model import Decision, Event
from opsroom.alerts import SEVERITY, Alerts


def event(kind: str, end_ns: int | None = None) -> Event:
    return Event(event_id="E1", kind=kind, operation="OP", seq=1, start_ns=10, end_ns=end_ns, track_ids=("T1",), device="d")


STAYS = [
    ("silent", False), ("door_opened", True), ("parted", True), ("dark_vessel", False), ("clock", False), ("conflict", False),
    ("jumped", False), ("two_places", False),
]  # fmt: skip


@pytest.mark.parametrize("kind,still_open", STAYS)
def test_a_critical_alert_stays_open_when_it_is_over(kind, still_open):
    alerts = Alerts()
    raised = alerts.event(event(kind))
    assert raised.open and raised.severity == SEVERITY[kind] and raised.track_id == "T1"
    over = alerts.event(event(kind, end_ns=20))
    assert over.cleared_ns == 20 and over.open is still_open
    [seen] = alerts.decision(Decision(action="acknowledge", subject=over.alert_id, by="A"), 30)
    assert not seen.open and alerts.decision(Decision(action="acknowledge", subject=over.alert_id, by="B"), 40) == []
    [again] = alerts.decision(Decision(action="reopen", subject=over.alert_id, by="B"), 50)
    assert again.open is still_open and again.acknowledged_by == ""
    assert alerts.decision(Decision(action="reopen", subject=over.alert_id, by="B"), 60) == []


def test_a_kind_of_alert_is_one_row(monkeypatch):
    """docs/architecture.md, "To add something": an event becomes an alert by its row of SEVERITY, and by nothing else."""
    assert Alerts().event(event("tried")) is None
    monkeypatch.setitem(SEVERITY, "tried", "info")
    raised = Alerts().event(event("tried"))
    assert raised.open and (raised.kind, raised.severity) == ("tried", "info")


def test_every_kind_of_alert_is_told_by_the_tracking_and_explained():
    root = Path(__file__).parents[2]
    code = "".join(file.read_text("utf-8") for file in (root / "tracking").rglob("*.py"))
    pages = "".join(file.read_text("utf-8") for file in (root / "docs").glob("*.md"))
    assert [kind for kind in SEVERITY if f'"{kind}"' not in code] == []
    assert [kind for kind in SEVERITY if f"`{kind}`" not in pages] == []


def test_who_confirms_a_dark_vessel_has_seen_its_alert():
    alerts = Alerts()
    alerts.event(event("silent"))
    alerts.event(msgspec.structs.replace(event("dark_vessel"), event_id="E2"))
    seen = alerts.decision(Decision(action="confirm_dark", subject="T1", by="A"), 30)
    assert [(a.alert_id, a.acknowledged_by) for a in seen] == [("AE2", "A")]


def test_the_acknowledgement_outlives_a_change_of_the_event_and_a_restart():
    alerts = Alerts()
    raised = alerts.event(event("door_opened"))
    alerts.decision(Decision(action="acknowledge", subject=raised.alert_id, by="A"), 15)
    again = Alerts.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(alerts.snapshot()), type=list[type(raised)]))
    assert again.event(event("door_opened", end_ns=20)).acknowledged_by == "A"


def test_an_event_that_is_no_alert():
    assert Alerts().event(event("confirmed")) is None


def test_the_alerts_of_a_case_that_is_closed_wait_for_nobody():
    alerts = Alerts()
    raised = (("E1", "silent", "OP"), ("E2", "alarm", "OP"), ("E3", "alarm", "B"), ("E4", "door_opened", "OP"))
    for name, kind, operation in raised:
        alerts.event(msgspec.structs.replace(event(kind), event_id=name, operation=operation))
    alerts.decision(Decision(action="acknowledge", subject="AE2", by="A"), 15)
    closed = alerts.closed("OP", "kim", 40)
    assert [(a.alert_id, a.acknowledged_by, a.open) for a in closed] == [("AE1", "kim", False), ("AE4", "kim", False)]
    assert alerts.closed("OP", "kim", 50) == []
    assert [a.alert_id for a in alerts.snapshot() if a.open] == ["AE3"]
