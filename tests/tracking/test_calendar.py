"""The calendar of warrants: told in time, by the time of the entries; after the end a device is not waited for."""

from __future__ import annotations

import json

import pytest

from birddog import rules
from birddog.model import Attachment, Device, Event, Fix, FrameBody, Operation, Tick, Verdict, WarrantAct
from birddog.units import NS, iso_from_ns
from opsroom.alerts import SEVERITY, Alerts

T0 = 1_790_000_000 * NS
H, D = 3600 * NS, 86_400 * NS
BOX = {"type": "Polygon", "coordinates": [[[3, 51], [5, 51], [5, 53], [3, 53], [3, 51]]]}


class Life:
    """A journal whose fold is put down and taken up again at every entry, and what was told of warrants."""

    def __init__(self, journal):
        self.journal, self.told = journal(begun=False, restart=True), []
        for body in (Operation(operation="A"), Device(device="tag", interval_s=600.0),
                     Attachment(device="tag", shipment="crate", operation="A", from_ns=0)):
            self.enter(body, T0)

    def enter(self, body, at_ns):
        changes = self.journal.add((at_ns - T0) / NS, body)
        mine = [e for e in changes.events if e.kind.startswith("warrant")]
        said = [(e.kind, "" if e.kind == "warrant_ended" else e.text.split(": ")[1].split(" ")[0].partition(":")[0],
                 e.end_ns is not None, e.operation) for e in mine]  # fmt: skip
        self.told += said
        return changes

    def tick(self, at_ns):
        before = len(self.told)
        changes = self.enter(Tick(), at_ns)
        return self.told[before:], changes

    def act(self, action, by="ann", at=T0, **words):
        return self.enter(WarrantAct(warrant="W", action=action, by=by, operation="A", **words), at)


@pytest.fixture
def life(journal):
    life = Life(journal)
    said = dict.fromkeys(("authority", "applicant", "offence", "object"), "said") | {
        "id": "W", "device": "tag", "issued": iso_from_ns(T0), "install_by": iso_from_ns(T0 + 5 * D),
        "use_from": iso_from_ns(T0), "use_until": iso_from_ns(T0 + 40 * D), "jurisdiction": BOX,
        "retrieval_authority": "court"}  # fmt: skip
    fetch = '[[rule]]\nid = "fetch"\ntext = "fetch it"\nsource = "s"\nread = "r"\ncheck = "retrieve"\ndays = 7\n'
    text = rules.text_of("us-rule-41") + fetch
    life.act("add", said=json.dumps(said), pack=text)
    life.said, life.pack = said, text
    return life


def test_what_is_due_is_told_in_its_time_and_ends_when_it_is_done(life):
    assert life.tick(T0 + 4 * D)[0] == []  # nobody approved it
    life.act("approve", by="bea")
    assert life.told == [("warrant_due", "installation", False, "A")]
    life.act("install", device="tag", at_ns=T0 + 4 * D)
    assert life.told[1:] == [("warrant_due", "installation", True, "A")]
    assert life.tick(T0 + 33 * D - NS)[0] == []
    assert life.tick(T0 + 33 * D)[0] == [("warrant_due", "extension", False, "A")]
    # that it ends is one thing, told of twice: the second takes the first's place
    assert life.tick(T0 + 39 * D)[0] == [("warrant_due", "extension", True, "A"), ("warrant_due", "expiry", False, "A")]
    life.act("extend", order="X", at_ns=T0 + 39 * D, until_ns=T0 + 60 * D)
    before = len(life.told)
    life.act("approve", by="bea", order="X")
    assert life.told[before:] == [("warrant_due", "expiry", True, "A")]


def test_that_use_ends_is_one_alert_that_is_asked_anew_a_day_before(life):
    life.act("approve", by="bea")
    life.act("install", device="tag", at_ns=T0)
    alerts, rows = Alerts(), {}
    for at in range(30, 40):
        _, changes = life.tick(T0 + at * D)
        for row in [row for event in changes.events if (row := alerts.event(event)) is not None]:
            rows[row.alert_id] = row
    [row] = [row for row in rows.values() if row.kind == "warrant_due"]
    assert row.open and (row.kind, row.asked) == ("warrant_due", 2) and row.text.startswith("W: expiry")


def close(life, at_ns, **words):
    return life.enter(Operation(operation="A", closed=True, **words), at_ns)


def test_what_a_closed_case_owes_is_told_and_what_nobody_does_there_any_more_is_not(life):
    life.act("approve", by="bea")
    life.tick(T0 + 3 * D)
    assert life.told == [("warrant_due", "installation", False, "A")]
    life.act("install", device="tag", at_ns=T0 + 4 * D)
    life.tick(T0 + 34 * D)
    before = len(life.told)
    close(life, T0 + 35 * D)
    assert life.told[before:] == [("warrant_due", "extension", True, "A")]  # with a record: it has ended
    assert life.tick(T0 + 39 * D)[0] == []  # nobody asks for an extension
    assert [said[:2] for said in life.tick(T0 + 40 * D)[0]] == [("warrant_ended", "")]
    due, over = life.tick(T0 + 45 * D)[0], life.tick(T0 + 60 * D)[0]
    assert {said[1] for said in due if said[0] == "warrant_due"} >= {"retrieval"}
    late = {said[1] for said in over if said[0] == "warrant_overdue"}
    assert "retrieval" in late and len(late) > 1  # the return, the notice
    life.act("retrieve", device="tag", at_ns=T0 + 61 * D, at=T0 + 61 * D)
    assert ("warrant_overdue", "retrieval", True, "A") in life.told


def test_closing_a_case_leaves_open_what_its_warrants_ask_for(life):
    alerts = Alerts()

    def seen(changes):
        for event in changes.events:
            alerts.event(event)

    life.act("approve", by="bea")
    seen(life.tick(T0 + 4 * D)[1])
    seen(life.act("install", device="tag", at_ns=T0 + 4 * D))
    for day in (33, 45, 60):
        seen(life.tick(T0 + day * D)[1])
    alerts.event(Event(event_id="E0", kind="tamper", operation="A", seq=1, start_ns=T0, end_ns=T0, text="a lid"))
    owed = {row.about for row in alerts.snapshot() if row.open and row.cleared_ns is None and row.kind.startswith("warrant")}
    assert "W/retrieval" in owed
    seen(close(life, T0 + 61 * D))
    alerts.closed("A", "noor", T0 + 61 * D)
    rows = {row.about: row for row in alerts.snapshot()}
    assert {about for about, row in rows.items() if row.open} == owed
    assert [row.kind for row in alerts.snapshot() if row.acknowledged_by == "noor"] == ["tamper"]


def test_a_warrant_that_names_no_case_owes_in_that_of_its_device_also_when_it_is_closed(life):
    for act in (WarrantAct(warrant="V", action="add", by="ann", said=json.dumps(life.said | {"id": "V"}), pack=life.pack),
                WarrantAct(warrant="V", action="approve", by="bea"),
                WarrantAct(warrant="V", action="install", by="ann", device="tag", at_ns=T0)):
        life.enter(act, T0)
    close(life, T0 + 2 * D)
    told = life.tick(T0 + 48 * D)[0]
    assert ("warrant_overdue", "retrieval", False, "A") in told


def test_the_end_and_what_stays_to_be_done_after_it(life):
    life.act("approve", by="bea")
    life.act("install", device="tag", at_ns=T0 + D)
    life.tick(T0 + 39 * D)
    told, changes = life.tick(T0 + 40 * D)
    assert ("warrant_ended", "", True, "A") in told
    (ended,) = [e for e in changes.events if e.kind == "warrant_ended"]
    assert ended.start_ns == T0 + 40 * D and ended.device == "tag"
    assert life.tick(T0 + 41 * D)[0] == []  # once
    told, _ = life.tick(T0 + 44 * D)
    assert told == [("warrant_due", "retrieval", False, "A")]
    assert sorted(life.tick(T0 + 47 * D)[0]) == [
        ("warrant_due", "notice-10-days", False, "A"), ("warrant_due", "retrieval", True, "A"),
        ("warrant_due", "return-10-days", False, "A"), ("warrant_overdue", "retrieval", False, "A")]
    before = len(life.told)
    life.act("retrieve", device="tag", at_ns=T0 + 47 * D)
    life.act("notify", order="return-10-days", at_ns=T0 + 47 * D)
    assert life.told[before:] == [("warrant_overdue", "retrieval", True, "A"), ("warrant_due", "return-10-days", True, "A")]
    assert sorted(life.tick(T0 + 50 * D)[0]) == [("warrant_due", "notice-10-days", True, "A"),
                                                 ("warrant_overdue", "notice-10-days", False, "A")]
    assert {kind for kind, *_ in life.told} <= set(SEVERITY)


def test_a_revocation_is_told_at_once(life):
    life.act("approve", by="bea")
    life.act("revoke", at_ns=T0 + D)
    told, _ = life.tick(T0 + D)
    assert ("warrant_ended", "", True, "A") in life.told and told != []


def test_after_the_end_a_device_is_not_waited_for(life):
    life.act("approve", by="bea")
    for n in range(5):
        at_ns = T0 + 40 * D - (5 - n) * 600 * NS
        body = FrameBody(format="owntracks", version=1, payload=b"", device="tag",
                         observations=(Fix(device="tag", time_ns=at_ns, lat_deg=52.0, lon_deg=4.0),),
                         verdicts=(Verdict("A", "crate", "warrant"),))
        life.enter(body, at_ns)
    kinds = {e.kind for h in range(1, 30) for e in life.tick(T0 + 40 * D + h * H)[1].events}
    assert "warrant_ended" in kinds and "silent" not in kinds


EAST = {"type": "Polygon", "coordinates": [[[5, 51], [7, 51], [7, 53], [5, 53], [5, 51]]]}


@pytest.fixture
def abroad(journal):
    """A warrant whose route goes on into a country that takes over ten days after its begin."""
    life = Life(journal)
    begin = dict.fromkeys(("issued", "install_by", "installed", "use_from"), iso_from_ns(T0))
    route = [{"country": "DE", "area": EAST, "takes_over": "Zollfahndung", "hand_over_by": iso_from_ns(T0 + 10 * D)}]
    said = begin | {"id": "W", "device": "tag", "use_until": iso_from_ns(T0 + 40 * D), "jurisdiction": BOX, "route": route}
    life.act("add", said=json.dumps(said))
    life.act("approve", by="bea")
    assert life.told == []
    return life


def test_who_takes_over_beyond_a_border_is_told_in_time_and_until_somebody_says_that_it_was_done(abroad):
    assert abroad.tick(T0 + 7 * D - NS)[0] == []
    told, changes = abroad.tick(T0 + 7 * D)
    assert told == [("warrant_due", "hand_over", False, "A")]
    assert [e.text for e in changes.events if e.kind == "warrant_due"] == [
        f"W: hand_over:DE {iso_from_ns(T0 + 10 * D)}: Zollfahndung takes over in DE; say so when it has"]
    told = abroad.tick(T0 + 10 * D)[0]
    assert told == [("warrant_due", "hand_over", True, "A"), ("warrant_overdue", "hand_over", False, "A")]
    # that a position lies beyond the border says where it is, and not who has it
    verdict = Verdict("A", "crate", "warrant", "admitted")
    there = Fix(device="tag", time_ns=T0 + 11 * D, lat_deg=52.0, lon_deg=6.0)
    before = len(abroad.told)
    frame = FrameBody(format="x", version=1, payload=b"", device="tag", observations=(there,), verdicts=(verdict,))
    abroad.enter(frame, T0 + 11 * D)
    assert abroad.told[before:] == []
    abroad.act("notify", order="hand_over:DE", at_ns=T0 + 11 * D, at=T0 + 11 * D)
    assert abroad.told[before:] == [("warrant_overdue", "hand_over", True, "A")]
    assert abroad.tick(T0 + 12 * D)[0] == []


@pytest.mark.parametrize("end", ["revoke", "close"])
def test_nothing_is_handed_over_any_more_where_a_warrant_was_revoked_or_its_case_closed(abroad, end):
    abroad.tick(T0 + 8 * D)
    before = len(abroad.told)
    if end == "revoke":
        abroad.act("revoke", at_ns=T0 + 8 * D, at=T0 + 8 * D)
    else:
        abroad.enter(Operation(operation="A", closed=True), T0 + 8 * D)
    assert ("warrant_due", "hand_over", True, "A") in abroad.told[before:]
    assert [row for row in abroad.tick(T0 + 10 * D)[0] if row[1] == "hand_over"] == []


def test_a_consent_may_say_anew_who_takes_over_and_by_when(abroad):
    abroad.tick(T0 + 8 * D)
    consent = {"order": "DE-1", "given_by": "StA", "from": iso_from_ns(T0), "until": iso_from_ns(T0 + 40 * D)}
    said = {"country": "DE", "consent": consent, "takes_over": "BKA", "hand_over_by": iso_from_ns(T0 + 9 * D)}
    abroad.act("consent", order="DE-1", said=json.dumps(said), at=T0 + 8 * D)
    before = len(abroad.told)
    changes = abroad.act("approve", order="DE-1", by="bea", at=T0 + 8 * D)
    assert abroad.told[before:] == [("warrant_due", "hand_over", True, "A"), ("warrant_due", "hand_over", False, "A")]
    assert "BKA takes over in DE" in changes.events[-1].text and iso_from_ns(T0 + 9 * D) in changes.events[-1].text
