"""What waits for a person, and until when."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from birddog.model import Decision, Event
from birddog.units import NS
from opsroom.alerts import ENDLESS, SEVERITY, Alerts
from opsroom.recurring import HOLDS_NS, RECURRING, RECURS_NS, WORSE_NS


def event(kind: str, end_ns: int | None = None, *, start_ns: int = 10, nth: int = 1, **more) -> Event:
    said = {"operation": "OP", "track_ids": ("T1",), "device": "d"} | more
    return Event(event_id=f"E{nth}", kind=kind, seq=1, start_ns=start_ns, end_ns=end_ns, **said)


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


def test_an_alert_names_the_flag_that_it_began_with():
    """The page finds the image by it, not by a place and a time that two flags may share."""
    alerts = Alerts()
    dark = event("dark_vessel", flag_id="f7", lat_deg=51.0, lon_deg=4.0)
    assert alerts.event(dark).flag_id == "f7"
    over = alerts.event(msgspec.structs.replace(dark, end_ns=50))
    assert (over.flag_id, over.cleared_ns) == ("f7", 50)
    assert Alerts(alerts.snapshot()).snapshot()[0].flag_id == "f7"


def test_who_confirms_a_dark_vessel_has_seen_its_alert():
    alerts = Alerts()
    alerts.event(event("silent"))
    alerts.event(msgspec.structs.replace(event("dark_vessel"), event_id="E2"))
    confirms = Decision(action="confirm_dark", subject="T1", by="A")
    assert alerts.decision(confirms, 20) == []  # it came to nothing: no dark vessel
    seen = alerts.decision(confirms, 30, decided())
    assert [(a.alert_id, a.acknowledged_by) for a in seen] == [("AE2", "A")]


def decided(track_id: str = "T1") -> Event:
    """What is told of a decision that came to something."""
    of = {"operation": "OP", "track_ids": (track_id,), "about": "D9"}
    return Event(event_id="E9", kind="decided", seq=9, start_ns=25, end_ns=25, **of)


@pytest.mark.parametrize("action", ["take_over", "split"])
def test_who_says_which_is_the_goods_is_asked_no_more_until_that_is_taken_back(action):
    """*It is at the other place* was said, and "608 m apart; which is the goods?" went on asking."""
    alerts = Alerts()
    for nth, kind in enumerate(("parted", "contradicted", "door_opened"), 1):
        alerts.event(event(kind, nth=nth))
    alerts.event(event("parted", nth=4, track_ids=("T2",)))
    answers = Decision(action=action, subject="T1", by="anna")
    assert alerts.decision(answers, 20) == []  # decided_nothing
    seen = alerts.decision(answers, 30, decided())
    assert [(a.alert_id, a.acknowledged_by, a.open) for a in seen] == [("AE1", "anna", False), ("AE2", "anna", False)]
    assert alerts.event(event("contradicted", nth=2, end_ns=40)).cleared_ns == 40
    asked = alerts.decision(Decision(action="undo", subject="D9", by="ben"), 50, decided())
    assert [(a.alert_id, a.open, a.asked) for a in asked] == [("AE1", True, 2)]  # the console calls; what is over is over


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


M = 60 * NS


def happens(alerts: Alerts, nth: int, at_ns: int, for_ns: int, kind: str = "silent", **more):
    """Something begins and is over again; the alert as it was while it went on, and after."""
    began = alerts.event(event(kind, start_ns=at_ns, nth=nth, text="gone", **more))
    return began, alerts.event(event(kind, at_ns + for_ns, start_ns=at_ns, nth=nth, text="gone", **more))


def test_what_comes_again_is_one_alert_that_counts_and_ends_by_itself():
    alerts = Alerts()
    for nth in range(1, 9):
        began, over = happens(alerts, nth, nth * 10 * M, M)
        assert (began.alert_id, began.open, over.open, over.count) == ("AE1", True, False, nth)
        assert (over.raised_ns, over.began_ns, over.cleared_ns) == (10 * M, nth * 10 * M, nth * 10 * M + M)
    assert over.text == "gone (8 times since 00:10Z)" and over.asked == 2 and over.longest_ns == M
    assert [a.alert_id for a in alerts.snapshot()] == ["AE1"]


@pytest.mark.parametrize(("change", "same"), [
    ({}, True), ({"device": "e"}, False), ({"track_ids": ("T2",)}, False), ({"operation": "B"}, False),
    ({"about": "sos"}, False),
])  # fmt: skip
def test_what_is_about_something_else_is_another_alert(change, same):
    alerts = Alerts()
    happens(alerts, 1, M, M)
    began, _ = happens(alerts, 2, 5 * M, M, **change)
    assert (began.alert_id == "AE1") is same


@pytest.mark.parametrize("kind", sorted(set(SEVERITY) - RECURRING))
def test_what_is_a_decision_each_time_is_an_alert_each_time(kind):
    alerts = Alerts()
    happens(alerts, 1, M, M, kind)
    assert happens(alerts, 2, 5 * M, M, kind)[0].alert_id == "AE2"


def test_what_comes_again_after_long_is_another_alert_and_two_at_once_are_two():
    alerts = Alerts()
    happens(alerts, 1, M, M)
    assert happens(alerts, 2, 2 * M + RECURS_NS, M)[0].alert_id == "AE2"
    alerts.event(event("frozen", start_ns=M, nth=3))
    assert alerts.event(event("frozen", start_ns=2 * M, nth=4)).alert_id == "AE4"


@pytest.mark.parametrize("kind", sorted(ENDLESS))
def test_what_has_no_end_of_its_own_is_counted_until_it_is_acknowledged(kind):
    alerts = Alerts()
    for nth in range(1, 4):
        row = alerts.event(event(kind, start_ns=nth * 10 * M, nth=nth))
    assert (row.alert_id, row.count, row.open, row.asked) == ("AE1", 3, True, 1)


def acknowledged(alerts: Alerts, row, at_ns: int, **more):
    [seen] = alerts.decision(Decision(action="acknowledge", subject=row.alert_id, by="A", **more), at_ns)
    return seen


def test_an_acknowledgement_holds_for_what_comes_again_for_an_hour():
    alerts = Alerts()
    _, over = happens(alerts, 1, 10 * M, M, "door_opened")
    acknowledged(alerts, over, 12 * M)
    for nth, at in enumerate(range(20, 70, 10), 2):
        began, over = happens(alerts, nth, at * M, M, "door_opened")
        assert not began.open and not over.open and over.count == nth
    began, over = happens(alerts, 9, 10 * M + HOLDS_NS, M, "door_opened")
    assert began.open and over.open and began.alert_id == "AE1" and (over.asked, over.acknowledged_by) == (2, "")


def test_what_goes_on_twice_as_long_as_ever_is_asked_about_anew():
    """A tag that is in a cellar now and then is destroyed: an acknowledgement of the cellar must not hide that."""
    alerts = Alerts()
    _, over = happens(alerts, 1, 10 * M, 4 * M)
    acknowledged(alerts, over, 15 * M)
    began = alerts.event(event("silent", start_ns=20 * M, nth=2))
    assert not began.open and alerts.wait(20 * M + 8 * M - 1) == []
    [worse] = Alerts.restore(alerts.snapshot()).wait(28 * M)
    [asked] = alerts.wait(30 * M)
    assert asked == worse and asked.open and (asked.asked, asked.asked_ns) == (2, 28 * M)
    acknowledged(alerts, asked, 31 * M)
    assert alerts.wait(300 * M) == []
    # a moment of silence before says nothing about minutes
    other = Alerts()
    _, over = happens(other, 1, 10 * M, NS)
    acknowledged(other, over, 15 * M)
    other.event(event("silent", start_ns=20 * M, nth=2))
    assert other.wait(20 * M + WORSE_NS - 1) == [] and len(other.wait(20 * M + WORSE_NS)) == 1


def test_what_becomes_graver_is_asked_about_anew():
    alerts = Alerts()
    _, over = happens(alerts, 1, 10 * M, M, "warrant_due", about="W/notice")
    acknowledged(alerts, over, 10 * M + 1)
    late, _ = happens(alerts, 2, 11 * M, M, "warrant_overdue", about="W/notice")
    assert late.alert_id == "AE1" and late.open and (late.kind, late.severity, late.asked) == ("warrant_overdue", "critical", 2)
    assert late.text == "gone"


def test_a_door_that_bounces_for_ever_is_asked_about_once_an_hour():
    alerts, asked = Alerts(), 0
    for k in range(240):
        row = alerts.event(event("door_opened", start_ns=M))
        asked += row.open
        if row.open:
            acknowledged(alerts, row, (k + 1) * M)
        alerts.event(event("door_opened", (k + 1) * M + 30 * NS, start_ns=M))
    assert 4 <= asked <= 5


def test_the_alert_of_a_door_has_one_number():
    """An auditor of the demo: "door opened, 2 times so far (4 times since 20:04Z)", which of the two is it?"""
    alerts = Alerts()
    for at in (10, 30, 50):  # three events, each a door that opens twice
        began = event("door_opened", start_ns=at * M, nth=at)
        alerts.event(began)
        alerts.event(msgspec.structs.replace(began, end_ns=(at + 1) * M))
        bounced = msgspec.structs.replace(began, text="door opened, 2 times so far")
        alerts.event(bounced)
        row = alerts.event(msgspec.structs.replace(bounced, end_ns=(at + 3) * M))
    assert (row.alert_id, row.text, row.count) == ("AE10", "door opened (6 times since 00:10Z)", 6)
    assert Alerts.restore(alerts.snapshot()).snapshot() == alerts.snapshot()


def test_a_false_alarm_is_said_and_taken_back():
    alerts = Alerts()
    row = alerts.event(event("silent"))
    assert acknowledged(alerts, row, 20, false=True).false
    [again] = alerts.decision(Decision(action="reopen", subject=row.alert_id, by="B"), 30)
    assert again.open and not again.false


def test_a_fold_that_is_restored_counts_on():
    alerts = Alerts()
    for nth in range(1, 8):
        happens(alerts, nth, nth * 10 * M, M)
        copy = msgspec.msgpack.decode(msgspec.msgpack.encode(alerts.snapshot()), type=list[type(alerts.snapshot()[0])])
        other = Alerts.restore(copy)
        assert happens(other, nth + 1, (nth + 1) * 10 * M, M)[1].count == nth + 1
        # an event of before says more: it is no new one
        assert other.event(event("silent", nth * 10 * M + 2 * M, start_ns=nth * 10 * M, nth=nth)).alert_id == "AE1"
