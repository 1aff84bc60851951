"""What a person decides of a track: the request, the entry that it becomes, and the panel that asks before it sends."""

from __future__ import annotations

import time

import httpx
import msgspec
import pytest

from birddog.model import Event
from opsroom.console.routes import Console
from opsroom.picture_rows import Asked
from opsroom.picture_view import Rights
from tracking.budget import AlertBudget


def test_a_decision_about_a_track_becomes_an_entry(stage):
    address = stage.start()
    said = {"action": "false_fix", "subject": "T1", "device": "gps", "time": "2026-11-29T12:00:00.500Z", "by": "anna",
            "note": "tunnel"}  # fmt: skip
    answer = httpx.post(f"{address}/v1/decisions", json=said)
    assert answer.status_code == 200 and answer.json() == {"decision_id": f"D{stage.seq}", "seq": stage.seq}
    first = f"D{stage.seq}"
    for more in ({"action": "take_over", "subject": "T1"}, {"action": "undo", "subject": first}):
        assert httpx.post(f"{address}/v1/decisions", json=more).status_code == 200
    got = [(d.action, d.subject, d.by, d.device, d.time_ns, d.note) for d in stage.decisions]
    assert got == [("false_fix", "T1", "anna", "gps", 1_795_953_600_500_000_000, "tunnel"),
                   ("take_over", "T1", "operator", "", None, ""), ("undo", first, "operator", "", None, "")]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "take_over", "subject": "T99"}, 404),
        ({"action": "undo", "subject": "T1"}, 404),
        ({"action": "undo", "subject": "D0"}, 404),
        ({"action": "undo", "subject": "D1"}, 404),
        ({"action": "undo", "subject": "D999999"}, 404),
        ({"action": "false_fix", "subject": "T1"}, 422),
        ({"action": "false_fix", "subject": "T1", "time": "2026-11-29T12:00:00"}, 422),
        ({"action": "acknowledge", "subject": "A1"}, 422),
        ({"action": "take_over"}, 422),
        ({"action": "take_over", "subject": "T1", "by": "a\nb"}, 422),
    ],
)
def test_what_is_no_decision_is_refused(stage, body, status):
    address = stage.start()
    assert httpx.post(f"{address}/v1/decisions", json=body).status_code == status
    assert stage.decisions == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"action": "split", "subject": "T1"}, 422, "device: '' is none of T1's: bd-0001"),
        ({"action": "split", "subject": "T1", "device": "zz"}, 422, "device: 'zz' is none"),
        ({"action": "split", "subject": "T1", "device": "z" * 201}, 422, "device: more than 200"),
        ({"action": "split", "subject": "T3", "device": "zz"}, 422, "subject: T3 is a contact"),
        ({"action": "false_fix", "subject": "T4", "time": "2026-11-29T12:00:00Z"}, 422, "subject: T4 is no more"),
        ({"action": "merge", "subject": "T1"}, 404, "other: no track ''"),
        ({"action": "merge", "subject": "T1", "other": "T1"}, 422, "other: T1 is the same track"),
        ({"action": "merge", "subject": "T1", "other": "T4"}, 422, "other: T4 is no more"),
        ({"action": "merge", "subject": "T1", "other": "T3"}, 422, "other: T3 is a contact"),
        ({"action": "merge", "subject": "T1", "other": "T5"}, 422, "other: T5 is another operation's"),
        ({"action": "identify", "subject": "T1", "other": "T2"}, 422, "subject: T1 has an identity"),
        ({"action": "identify", "subject": "T3", "other": "T3"}, 422, "other: T3 is the same track"),
        ({"action": "confirm_dark", "subject": "T1"}, 422, "subject: T1 has an identity"),
    ],
)
def test_what_the_rows_say_cannot_be_is_refused_by_field(stage, makers, body, status, words):
    """Each of these was "Decided, D47." on the page, and nothing happened."""
    stage.publish(makers["track"](2), makers["track"](3, tag_id="", identities=()), makers["track"](4, status="deleted"),
                  makers["track"](5, operation="another"))  # fmt: skip
    answer = httpx.post(f"{stage.start()}/v1/decisions", json=body)
    assert (answer.status_code, answer.json()["error"][:len(words)]) == (status, words) and stage.decisions == []


def test_of_a_contact_that_is_no_more_it_is_still_said_that_it_is_no_dark_vessel(stage, makers):
    stage.publish(makers["track"](3, tag_id="", identities=(), status="deleted"))
    assert httpx.post(f"{stage.start()}/v1/decisions", json={"action": "dismiss_dark", "subject": "T3"}).status_code == 200


def test_who_is_who_is_decided_and_an_acknowledgement_is_taken_back(stage, makers):
    stage.publish(makers["track"](2), makers["track"](3, tag_id="", identities=()))
    address = stage.start()
    for body in ({"action": "merge", "subject": "T1", "other": "T2"}, {"action": "split", "subject": "T1", "device": "bd-0001"},
                 {"action": "identify", "subject": "T3", "other": "T1"}, {"action": "confirm_dark", "subject": "T3"},
                 {"action": "dismiss_dark", "subject": "T3"}):  # fmt: skip
        assert httpx.post(f"{address}/v1/decisions", json=body).status_code == 200
    got = [(d.action, d.subject, d.other, d.device, d.operation) for d in stage.decisions]
    assert got == [("merge", "T1", "T2", "", "nightjar"), ("split", "T1", "", "bd-0001", "nightjar"),
                   ("identify", "T3", "T1", "", "nightjar"), ("confirm_dark", "T3", "", "", "nightjar"),
                   ("dismiss_dark", "T3", "", "", "nightjar")]  # fmt: skip
    for action in ("merge", "identify"):
        body = {"action": action, "subject": "T1" if action == "merge" else "T3", "other": "T99"}
        assert httpx.post(f"{address}/v1/decisions", json=body).status_code == 404
    assert httpx.post(f"{address}/v1/alerts/A1/acknowledge", json={"by": "anna"}).status_code == 200
    assert httpx.post(f"{address}/v1/decisions", json={"action": "undo", "subject": f"D{stage.seq}"}).status_code == 200
    assert [(d.action, d.subject) for d in stage.decisions[-2:]] == [("acknowledge", "A1"), ("reopen", "A1")]


def test_what_is_told_in_two_operations_is_acknowledged_at_once(stage, makers):
    """A door on a case's ground is told in the case and in open; ten dark vessels of one scene are ten."""
    door = dict(kind="door_opened", device="door-1", raised_ns=10**18, text="door opened")
    stage.publish(makers["alert"](2, operation="nightjar", **door), makers["alert"](3, operation="open", **door),
                  makers["alert"](4, **door | {"raised_ns": 10**18 + 1}), makers["alert"](5, **door | {"lat_deg": 52.5}),
                  makers["alert"](6, **door | {"device": ""}))  # fmt: skip
    address = stage.start()
    rows = httpx.get(f"{address}/v1/alerts").json()["alerts"]
    assert [a["told_in"] for a in rows if a["alert_id"] in ("A2", "A3")] == [["nightjar", "open"]], "one thing, one alert"
    assert len({a["group"] for a in rows}) == len(rows)
    assert [a["alert_id"] for a in httpx.get(f"{address}/v1/alerts?operation=open").json()["alerts"]] == ["A3"]
    assert f'birddog_alerts_open{{severity="critical"}} {len(rows)}' in httpx.get(f"{address}/metrics").text
    answer = httpx.post(f"{address}/v1/alerts/A3/acknowledge", json={"by": "anna"})
    assert answer.status_code == 200 and answer.json()["alert_id"] == "A3"
    assert [(d.action, d.subject, d.operation) for d in stage.decisions] == [
        ("acknowledge", "A3", "open"), ("acknowledge", "A2", "nightjar")
    ]  # fmt: skip


def test_a_false_alarm_is_said_and_all_that_was_acknowledged_with_it_is_opened_again(stage, makers):
    door = dict(kind="door_opened", device="door-1", raised_ns=10**18, text="door opened", acknowledged_ns=10**18 + 5)
    stage.publish(makers["alert"](2, operation="nightjar", **door), makers["alert"](3, operation="open", **door),
                  makers["alert"](4, **door | {"last_ns": 10**18 + 1}))  # fmt: skip
    address = stage.start()
    for path, more in (("/v1/alerts/A1/acknowledge", {}), ("/v1/alerts/acknowledge", {"kind": "parted"})):
        assert httpx.post(f"{address}{path}", json={"by": "anna", "false": True, **more}).status_code == 200
    assert {(d.action, d.subject, d.false) for d in stage.decisions} == {("acknowledge", "A1", True)}
    assert httpx.post(f"{address}/v1/alerts/A3/acknowledge", json={"by": "anna"}).status_code == 200
    acknowledged, stage.decisions[:] = stage.seq, []
    said = {"action": "undo", "subject": f"D{acknowledged}", "by": "kim"}
    for body in (said, {"action": "reopen", "subject": "A3", "by": "kim"}):
        assert httpx.post(f"{address}/v1/decisions", json=body).status_code == 200
    got = [(d.action, d.subject, d.operation, d.by) for d in stage.decisions]
    assert got == 2 * [("reopen", "A3", "open", "kim"), ("reopen", "A2", "nightjar", "kim")]
    assert httpx.post(f"{address}/v1/decisions", json={"action": "reopen", "subject": "A99"}).status_code == 404


def test_a_decision_of_a_case_that_one_may_not_see_is_none(stage, monkeypatch):
    address = stage.start()
    assert httpx.post(f"{address}/v1/decisions", json={"action": "take_over", "subject": "T1"}).status_code == 200
    undo = {"action": "undo", "subject": f"D{stage.seq}"}
    monkeypatch.setattr(Console, "_rights", staticmethod(lambda request: Rights(frozenset({"another"}))))
    assert httpx.post(f"{address}/v1/decisions", json=undo).status_code == 404
    monkeypatch.undo()
    assert httpx.post(f"{address}/v1/decisions", json=undo).status_code == 200


def test_an_undo_is_not_undone_but_its_decision_given_again(stage):
    address, said = stage.start(), []
    for action, subject in (("take_over", "T1"), ("undo", "D{}"), ("undo", "D{}")):
        said.append(httpx.post(f"{address}/v1/decisions", json={"action": action, "subject": subject.format(stage.seq)}))
    assert [answer.status_code for answer in said] == [200, 200, 422]
    first, second = (answer.json()["decision_id"] for answer in said[:2])
    assert f"subject: {second} took {first} back: that is given again" in said[2].text and len(stage.decisions) == 2


def test_a_body_with_a_key_twice_is_nobodys_word(stage):
    body = '{"action": "take_over", "action": "undo", "subject": "T1"}'
    answer = httpx.post(f"{stage.start()}/v1/decisions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and "a key stands twice" in answer.text and stage.decisions == []


@pytest.mark.browser
def test_a_person_says_who_is_who_and_asks_why(stage, makers, watch):
    stage.publish(makers["track"](1, identities=("bd-0001", "phone")), makers["track"](2),
                  makers["track"](3, tag_id="", identities=(), name=""),
                  makers["alert"](3, kind="dark_vessel", severity="warning", track_id="T3"))  # fmt: skip
    seen = watch(stage.start())
    page = seen.page

    def confirmed(heading: str, words: str) -> None:
        page.wait_for_selector("#who[open]")
        assert page.text_content("#who-title") == heading and words in page.inner_text("#who-what")
        page.fill("#who-name", "anna")
        page.keyboard.press("Enter")
        page.wait_for_selector("#who:not([open])", state="attached")

    page.click('[data-track-id="T1"]')
    page.select_option("#detail-device", "phone")
    confirmed("Does it go its own way?", "phone is not with S-1")
    page.select_option("#detail-other", "T2")
    confirmed("Are these one?", "S-2 is S-1")
    page.click("#detail-why")
    page.wait_for_selector("#detail-reasons:not([hidden])")
    page.click('[data-track-id="T3"]')
    page.wait_for_selector("#detail-reasons", state="hidden")
    assert not page.is_visible("#detail-false") and not page.is_visible("#detail-part")
    page.select_option("#detail-other", "T1")
    confirmed("Is this that shipment?", "the contact T3 is S-1")
    page.click("#detail-light")
    confirmed("Is it none?", "T3 is no dark vessel")
    while len(stage.decisions) < 4:  # the test's own time limit ends it
        page.wait_for_timeout(20)
    assert [(d.action, d.subject, d.other, d.device) for d in stage.decisions] == [
        ("split", "T1", "", "phone"), ("merge", "T1", "T2", ""), ("identify", "T3", "T1", ""), ("dismiss_dark", "T3", "", ""),
    ]  # fmt: skip
    seen.clean()


@pytest.mark.browser
def test_what_is_asked_while_the_last_dialog_still_closes_is_what_is_decided(stage, makers, watch):
    """A dialog's `close` event is a task of its own: on a busy machine it comes after the next question was opened."""
    stage.publish(makers["track"](3, tag_id="", identities=(), name="",), makers["track"](1))
    seen = watch(stage.start())
    page = seen.page
    page.click('[data-track-id="T3"]')
    page.wait_for_selector("#detail-decide:not([hidden])")
    page.select_option("#detail-other", "T1")
    page.wait_for_selector("#who[open]")
    page.fill("#who-name", "anna")
    page.evaluate(
        """() => {
            document.getElementById('who-form').requestSubmit();
            const other = document.getElementById('detail-other');
            other.value = 'T1';
            other.dispatchEvent(new Event('change'));
        }"""
    )
    page.wait_for_function("() => document.getElementById('say-soon').textContent.startsWith('Decided')")
    page.keyboard.press("Enter")
    while len(stage.decisions) < 2:  # the test's own time limit ends it
        page.wait_for_timeout(20)
    assert [(d.action, d.subject, d.other) for d in stage.decisions] == [("identify", "T3", "T1")] * 2
    seen.clean()


@pytest.mark.browser
def test_a_person_decides_where_a_track_is_and_takes_it_back(stage, makers, watch):
    stage.publish(makers["track"](2, rival_lat_deg=52.4, rival_lon_deg=4.4, rival_hits=2, rival_device="phone"))
    seen = watch(stage.start())
    page = seen.page
    page.click('[data-track-id="T1"]')
    page.wait_for_selector("#detail-false")
    assert not page.is_visible("#detail-here") and not page.is_visible("#detail-decisions")  # nothing says another place
    page.click("#detail-false")
    page.wait_for_selector("#who[open]")
    assert page.text_content("#who-title") == "Is this fix false?" and "S-1 never was" in page.inner_text("#who-what")
    page.click("#who-not")
    page.wait_for_selector("#who:not([open])", state="attached")
    assert stage.decisions == []
    page.click('[data-track-id="T2"]')
    it_is_there(page)
    decided = f"D{stage.seq}"
    stage.publish(told(1, decided, "anna: it is where phone said"))
    page.click(f'[data-decision="{decided}"]')
    page.wait_for_selector("#who[open]")
    assert "no longer: anna: it is where phone said" in page.inner_text("#who-what")
    page.keyboard.press("Enter")
    while len(stage.decisions) < 2:  # the test's own time limit ends it
        page.wait_for_timeout(20)
    assert [(d.action, d.subject, d.by) for d in stage.decisions] == [("take_over", "T2", "anna"), ("undo", decided, "anna")]
    stage.publish(told(2, f"undo {decided}", f"anna: {decided} is undone"))
    page.wait_for_selector("#detail-decisions .undo", state="detached")
    assert "said (undone)" in page.inner_text("#detail-decisions")
    seen.clean()


@pytest.mark.browser
def test_the_name_of_what_parted_is_in_one_line(stage, makers, watch):
    """An auditor of the demo: "cr / at / e- / 17" one below the other, for how far away the second place is took the row."""
    stage.publish(makers["track"](2, name="crate-17", klass="van", rival_lat_deg=52.4, rival_lon_deg=4.4, rival_hits=2,
                                  rival_device="phone"),
                  makers["track"](3, name="crate-18", klass="van"), makers["alert"](1, track_id="T2"))  # fmt: skip
    seen = watch(stage.start(), map=False)
    seen.row_says('[data-track-id="T2"]', "or 54 km away", "parted")
    high = [seen.page.locator(f'[data-track-id="{name}"] .name').bounding_box()["height"] for name in ("T2", "T3")]
    assert high[0] == high[1] < 30
    seen.clean()


@pytest.mark.browser
def test_the_map_goes_where_the_decision_moved_what_is_selected_and_only_for_who_decided(stage, makers, watch):
    """*It is there* was said, the symbol went 40 km away and out of sight, and the map stayed at the old place."""
    stage.publish(makers["track"](2, rival_lat_deg=52.4, rival_lon_deg=4.4, rival_hits=2, rival_device="phone"),
                  makers["alert"](1, track_id="T2", text="parted: 493 m apart; which is the goods?"))
    seen = watch(stage.start())
    page = seen.page
    page.wait_for_function("() => document.body.dataset.map === 'ready'")
    page.click('[data-track-id="T2"]')
    assert "or 54 km away" in page.inner_text('[data-track-id="T2"]')  # not a place that looks sure
    assert "now 54 km apart" in page.inner_text('[data-alert-id="A1"]')  # the words are as old as the alert
    page.wait_for_function("() => !birddog.chart.map.isMoving()")
    it_is_there(page)
    decided, there = f"D{stage.seq}", {"lat_deg": 52.4, "lon_deg": 4.4}
    sees = "([lon, lat]) => birddog.chart.sees({ lon_deg: lon, lat_deg: lat })"
    assert not page.evaluate(sees, [4.4, 52.4])
    stage.publish(makers["track"](2, **there), told(1, decided, "anna: it is where phone said"))
    page.wait_for_function(sees, arg=[4.4, 52.4])
    # by anybody else: nobody's map is moved under his hands
    page.wait_for_function("() => !birddog.chart.map.isMoving()")
    stage.publish(makers["track"](2), told(2, "undo D90", "ben: D90 is undone"))
    page.wait_for_selector("#detail-decisions li:has-text('D90')", state="attached")
    assert page.evaluate(sees, [4.4, 52.4])
    seen.clean()


def it_is_there(page) -> None:
    """Anna decides that the selected track is at its second place."""
    page.click("#detail-here")
    page.wait_for_selector("#who[open]")
    page.fill("#who-name", "anna")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('say-soon').textContent.startsWith('Decided')")


def told(number: int, about: str, text: str, kind: str = "decided") -> Event:
    """The fold's word of a decision about T2."""
    return Event(event_id=f"E{number}", kind=kind, operation="nightjar", seq=number, start_ns=10**18, end_ns=10**18,
                 track_ids=("T2",), text=text, about=about)  # fmt: skip


@pytest.mark.browser
def test_what_anybody_decided_is_undone_in_another_window_and_what_came_to_nothing_is_said(stage, makers, watch):
    """*Undo* was in the memory of the page in which it was decided: after a reload, or on the next shift, there was none."""
    stage.publish(makers["track"](2))
    address = stage.start()
    assert httpx.post(f"{address}/v1/decisions", json={"action": "take_over", "subject": "T2", "by": "ben"}).status_code == 200
    decided = f"D{stage.seq}"
    stage.publish(told(1, "D90", "ben: T3 is T2"), told(2, decided, "ben: it is where phone said"),
                  told(3, "undo D90", "ben: D90 is undone"), told(4, "D93", "ben: no refused fix", "decided_nothing"))
    seen = watch(address, map=False)
    page = seen.page
    page.click('[data-track-id="T1"]')
    page.wait_for_selector("#detail-false")
    assert not page.is_visible("#detail-decisions")
    page.click('[data-track-id="T2"]')
    page.wait_for_selector("#detail-decisions:not([hidden])")
    assert page.eval_on_selector_all("#detail-decisions .undo", "all => all.map(one => one.dataset.decision)") == [decided]
    assert "NOT DONE: ben: no refused fix" in page.inner_text("#detail-decisions")
    page.fill("#watch", "anna")
    page.click("#detail-decisions .undo")
    page.wait_for_selector("#who[open]")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('say-soon').textContent.startsWith('Decided')")
    assert [(d.action, d.subject, d.by) for d in stage.decisions[1:]] == [("undo", decided, "anna")]
    stage.publish(told(5, f"D{stage.seq}", "anna: it cannot be undone: D95 came later", "decided_nothing"))
    page.wait_for_selector(".toast:has-text('Not done: anna: it cannot be undone')")
    seen.clean()


def false_alarms(stage, makers) -> None:
    """Three alerts of a day, of which two were false, one of them in the last shift; three a shift were asked for."""
    now, hour = time.time_ns(), 3600 * 10**9
    over = dict(kind="silent", severity="warning", cleared_ns=now - 20 * hour, raised_ns=now - 24 * hour)
    asked = Asked(alerts=AlertBudget(false_per_shift=3.0), thresholds={"nightjar": {"share": 0.75, "silent": 4.5}})
    stage.store.begin()
    stage.store.set_meta("budget", msgspec.msgpack.encode(asked))
    stage.store.commit(1)
    stage.publish(makers["alert"](2, **over, device="b", acknowledged_ns=now - 20 * hour, false=True),
                  makers["alert"](3, **over, device="c", acknowledged_ns=now - hour, false=True),
                  makers["alert"](4, **over, acknowledged_ns=now - hour))  # fmt: skip


def test_what_was_asked_stands_beside_what_was_measured(stage, makers):
    address = stage.start()
    none = httpx.get(f"{address}/v1/alerts/budget").json()
    assert (none["asked"], none["false"], none["measured"], none["thresholds"]) == (None, 0, 0.0, {})
    false_alarms(stage, makers)
    found = httpx.get(f"{address}/v1/alerts/budget").json()
    assert (found["asked"], found["shift_h"], found["cases"], found["false"]) == (3.0, 8.0, 3, 1)
    assert found["measured"] == pytest.approx(2 / 3, abs=0.01) and found["shifts"] == pytest.approx(3.0, abs=0.01)
    assert found["thresholds"] == {"nightjar": {"share": 0.75, "silent": 4.5}}


def test_false_alarms_are_counted_however_many_alerts_there_were_since(stage, makers):
    """Two false ones of this shift, then 1,500 that nobody called false: only the newest 1,000 were looked at."""
    false_alarms(stage, makers)
    now = time.time_ns()
    over = dict(kind="silent", severity="warning", raised_ns=now - 100, cleared_ns=now - 50)
    stage.publish(*(makers["alert"](number, **over, device=f"d{number}") for number in range(10, 1510)))
    found = httpx.get(f"{stage.start()}/v1/alerts/budget").json()
    assert found["false"] == 1 and found["measured"] == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.browser
def test_a_false_alarm_is_said_on_the_page_and_opened_again(stage, makers, watch):
    false_alarms(stage, makers)
    page = watch(stage.start()).page
    page.wait_for_selector("#alerts-budget:not([hidden])")
    assert "False alarms in the last 8 h: 1" in page.inner_text("#alerts-budget")
    assert "asked: 3" in page.inner_text("#alerts-budget")
    page.fill("#watch", "anna")
    page.click('[data-alert-id="A1"] .none')
    page.wait_for_selector("#say-soon:has-text('Acknowledged as false.')", state="attached")
    assert [(d.action, d.subject, d.false, d.by) for d in stage.decisions] == [("acknowledge", "A1", True, "anna")]
    page.click("#seen-more summary")
    page.click('[data-alert-id="A4"] .again')
    page.wait_for_selector("#who[open]")
    assert "waits for somebody again" in page.inner_text("#who-what")
    page.click("#who-send")
    page.wait_for_selector("#say-soon:has-text('Decided, D')", state="attached")
    assert [(d.action, d.subject) for d in stage.decisions[1:]] == [("reopen", "A4")]
