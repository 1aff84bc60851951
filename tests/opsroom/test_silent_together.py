"""What falls silent together is one alert: under no case at one time, in a case at one place as well."""

from __future__ import annotations

import msgspec
import pytest

from birddog.model import Alert, Decision, Event
from birddog.units import NS
from opsroom.alerts import KEPT_NS, Alerts
from opsroom.recurring import MEMBERS_MOST


def silent(
    nth: int, start_s: float, end_s: float | None = None, *, event_nth: int | None = None, operation: str = "open"
) -> Event:
    return Event(event_id=f"E{event_nth or nth}", kind="silent", seq=nth, start_ns=round(start_s * NS), operation=operation,
                 end_ns=None if end_s is None else round(end_s * NS), track_ids=(f"T{nth}",), device=f"d{nth}")  # fmt: skip


def of_restored(alerts: Alerts) -> Alerts:
    return Alerts.restore(msgspec.json.decode(msgspec.json.encode(alerts.snapshot()), type=list[Alert]))


@pytest.mark.parametrize("again", [lambda a: a, of_restored], ids=["running", "restored"])
def test_what_falls_silent_together_under_no_case_is_one_alert(again):
    alerts = Alerts()
    for k in range(40):  # told in whatever order, by their intervals; the last messages lie within two minutes
        one = alerts.event(silent(k + 1, 1000 + (k * 37) % 120))
        alerts = again(alerts)
    assert [row.alert_id for row in alerts.snapshot()] == ["AE1"] and one.alert_id == "AE1"
    assert one.open and one.count == 1 and {m.track_id for m in one.members} == {f"T{k + 1}" for k in range(40)}
    assert one.text == "40 devices fell silent together: d1, d2, d3, d4 and 36 more"
    for k in range(39):
        one = alerts.event(silent(k + 1, 1000 + (k * 37) % 120, 5000 + k))
        alerts = again(alerts)
    assert one.open and one.text.endswith("; 39 heard again")
    assert [m.device for m in one.members if m.ended_ns is None] == ["d40"]
    one = alerts.event(silent(40, 1000 + (39 * 37) % 120, 6000))
    assert not one.open and one.cleared_ns == 6000 * NS and len(alerts.snapshot()) == 1


def test_what_falls_silent_later_or_in_a_case_is_an_alert_of_its_own():
    alerts = Alerts()
    alerts.event(silent(1, 1000))
    assert alerts.event(silent(2, 1121)).members == () and alerts.event(silent(3, 1000, operation="NIGHTJAR")).members == ()
    assert alerts.event(silent(4, 1000, operation="NIGHTJAR")).members == ()
    assert len(alerts.event(silent(5, 1120)).members) == 2
    assert len(alerts.snapshot()) == 4


def test_who_joins_what_was_acknowledged_is_asked_about_and_who_was_there_is_not():
    alerts = Alerts()
    alerts.event(silent(1, 1000))
    alerts.event(silent(2, 1010))
    [seen] = alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), 1100 * NS)
    assert not seen.open
    assert not alerts.event(silent(2, 1010, 1200)).open
    joined = alerts.event(silent(3, 1050))
    assert joined.open and joined.asked == 2 and len(joined.members) == 3
    alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), 1300 * NS)
    # the whole gateway again, within the hour: the same alert, a second time, and nobody is asked anew
    for nth, end_s in ((1, 1400), (3, 1400)):
        alerts.event(silent(nth, 1000 if nth == 1 else 1050, end_s))
    for nth in (1, 2, 3):
        one = alerts.event(silent(nth, 1500 + nth, event_nth=10 + nth))
    assert one.alert_id == "AE1" and (one.count, one.asked, one.open) == (2, 2, False) and "(2 times since" in one.text
    assert [m.event_id for m in one.members] == ["E11", "E12", "E13"] and len(alerts.snapshot()) == 1
    assert alerts.event(silent(1, 1000, 1400)) == one, "what is told anew of an earlier time changes nothing"
    # hours later it is another one
    for nth in (1, 2, 3):
        alerts.event(silent(nth, 1500 + nth, 1600, event_nth=10 + nth))
    later = alerts.event(silent(2, 9000, event_nth=22))
    assert later.alert_id == "AE22" and later.open


def test_what_fell_silent_together_is_kept_while_one_of_it_is_silent_and_then_forgotten():
    alerts = Alerts()
    for nth in (1, 2):
        alerts.event(silent(nth, 1000))
    alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), 1100 * NS)
    alerts.event(silent(1, 1000, 2000))
    alerts.ended(["T1"])
    alerts.wait(1100 * NS + 2 * KEPT_NS)
    over = alerts.event(silent(2, 1000, 3 * 86_400))
    assert over.alert_id == "AE1" and over.acknowledged_by == "A" and over.cleared_ns == 3 * 86_400 * NS
    alerts.ended(["T1"])
    assert alerts.snapshot() == [] and alerts._silent == {} and alerts._of_event == {} and alerts._last == {}


def pallet(
    nth: int, start_s: float, end_s: float | None = None, *, east_m: float = 0.0, every_s: float = 60.0, case: str = "A",
    event_nth: int | None = None,
) -> Event:  # fmt: skip
    """One that fell silent in a case, in a yard at 52 N."""
    return msgspec.structs.replace(silent(nth, start_s, end_s, operation=case, event_nth=event_nth), lat_deg=52.0,
                                   lon_deg=4.0 + east_m / 68_600.0, measures={"every_s": every_s})  # fmt: skip


@pytest.mark.parametrize("again", [lambda a: a, of_restored], ids=["running", "restored"])
def test_what_falls_silent_together_at_one_place_is_one_alert_of_each_case(again):
    """An auditor's eight pallets in one yard under two cases, silent at one moment: eight alerts."""
    alerts = Alerts()
    for k in range(8):
        one = alerts.event(pallet(k + 1, 1000 + (k * 17) % 60, east_m=20.0 * k, case="AB"[k % 2]))
        alerts = again(alerts)
    assert [(row.operation, len(row.members)) for row in alerts.snapshot()] == [("A", 4), ("B", 4)]
    assert one.open and one.count == 1 and one.text == "4 devices fell silent together: d2, d4, d6, d8"
    for k in (1, 3, 7):
        one = alerts.event(pallet(k + 1, 1000 + (k * 17) % 60, 2000 + k, east_m=20.0 * k, case="B"))
        alerts = again(alerts)
    assert one.open and one.text == "4 devices fell silent together: d6 yet; 3 heard again"
    over = alerts.event(pallet(6, 1000 + (5 * 17) % 60, 2100, east_m=100.0, case="B"))
    assert not over.open and over.cleared_ns == 2100 * NS


@pytest.mark.parametrize("more", [
    dict(start_s=1080), dict(start_s=920), dict(start_s=1000, east_m=210.0), dict(start_s=1020, every_s=10.0),
    dict(start_s=1000, case="B"),
], ids=["later", "earlier", "elsewhere", "expected more often", "of another case"])  # fmt: skip
def test_what_falls_silent_in_a_case_and_is_alone_has_its_own_alert(more):
    alerts = Alerts()
    alerts.event(pallet(1, 1000))
    assert alerts.event(pallet(2, **more)).members == () and len(alerts.snapshot()) == 2
    for where in ({}, {"lat_deg": None, "lon_deg": None}):
        assert alerts.event(msgspec.structs.replace(pallet(3, 5000), measures={}, event_id="E9", **where)).members == ()


def test_who_stays_silent_in_a_case_when_the_others_are_heard_again_is_asked_about_anew():
    """What was acknowledged was a gateway that failed: one that does not come back with it is another matter."""
    alerts = Alerts()
    for nth in (1, 2, 3):
        alerts.event(pallet(nth, 1000 + nth))
    alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), 1500 * NS)
    assert alerts.wait(90_000 * NS) == []
    for nth in (1, 3):
        alerts.event(pallet(nth, 1000 + nth, 90_000 + 10 * nth))
    assert alerts.wait(90_329 * NS) == []
    [asked] = alerts.wait(90_331 * NS)
    assert asked.open and asked.asked == 2 and asked.text == "3 devices fell silent together: d2 yet; 2 heard again"
    assert alerts.wait(99_000 * NS) == []
    alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), 99_000 * NS)
    assert alerts.wait(199_000 * NS) == []


@pytest.mark.parametrize("late_s", [5.0, 299.0, 301.0, 4000.0])
def test_who_acknowledges_when_it_is_said_who_is_silent_yet_is_not_asked_again(late_s):
    """Later than 300 s after the others were heard it was open again in the same second: who clicked saw nothing happen."""
    alerts = Alerts()
    for nth in (1, 2, 3):
        alerts.event(pallet(nth, 1000 + nth))
    for nth in (1, 3):
        alerts.event(pallet(nth, 1000 + nth, 2000))
    at_ns = round((2000 + late_s) * NS)
    alerts.wait(at_ns)
    [seen] = alerts.decision(Decision(action="acknowledge", subject="AE1", by="A"), at_ns)
    assert not seen.open and alerts.wait(at_ns + 86_400 * NS) == []


def test_an_alert_of_many_is_bounded():
    alerts = Alerts()
    for k in range(MEMBERS_MOST + 3):
        alerts.event(silent(k + 1, 1000))
    assert [len(row.members) for row in alerts.snapshot()] == [MEMBERS_MOST, 3]
