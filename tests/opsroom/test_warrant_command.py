"""``birddog warrant``: every change an entry with its actor, a second person approves, bad input refused whole by member."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import msgspec
import pytest

from birddog.journal import home, open_reader, open_writer
from birddog.model import Fix, FrameBody, Tick, Verdict, unpack
from birddog.units import NS, iso_from_ns
from ingest import control
from opsroom import cli
from opsroom.authority import deadline_views, retrieval_views
from opsroom.console.law import Law
from opsroom.picture_view import PictureReader, Rights
from opsroom.registers import Registers

BOX = {"type": "Polygon", "coordinates": [[[10, 50], [12, 50], [12, 52], [10, 52], [10, 50]]]}
SAID = {"id": "W1", "device": "D1", "issued": "2026-03-01T00:00:00Z", "install_by": "2026-03-11T00:00:00Z",
        "use_from": "2026-03-05T13:00:00Z", "use_until": "2026-03-20T00:00:00Z", "jurisdiction": BOX}  # fmt: skip


def holed(hole):
    return {"jurisdiction": BOX | {"coordinates": [*BOX["coordinates"], hole]}}


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = f"sqlite:///{tmp_path}/j.db"
    assert cli.main(["operation", "add", "OP", "--journal", journal]) == 0

    def run(*words, by="ann"):
        actor = [] if words[1] in ("list", "show") else ["--actor", by]
        capsys.readouterr()
        status = cli.main([*words, "--journal", journal, *actor])
        out, err = capsys.readouterr()
        return status, out, err

    run.journal, run.folder = journal, tmp_path
    return run


def write(run, said, name="w.json"):
    (run.folder / name).write_text(json.dumps(said))
    return name


def listed(run):
    return {row["warrant"]: row for row in json.loads(run("warrant", "list", "--json")[1])}


def test_a_warrant_goes_its_way_and_each_act_is_an_entry_with_its_actor(run):
    write(run, [SAID, SAID | {"id": "W2", "device": "D2"}])
    assert run("warrant", "add", "w.json", "--operation", "OP")[0] == 0
    assert {w: row["state"] for w, row in listed(run).items()} == {"W1": "entered", "W2": "entered"}
    assert run("warrant", "approve", "W1")[::2] == (2, "birddog warrant: by: ann entered it: another person approves\n")
    found = run("warrant", "approve", "W1", by="\u0430nn")  # a Cyrillic a
    assert found[0] == 2 and "(a name like 'ann'): another person approves" in found[2]
    assert run("warrant", "approve", "W1", by="bea")[0] == 0
    row = listed(run)["W1"]
    assert row | {"approved_by": "bea", "entered_by": "ann", "operation": "OP", "state": "expired"} == row
    assert run("warrant", "install", "W1", "--at", "2026-03-04T00:00:00Z")[0] == 0
    term = ("--granted", "2026-03-19T00:00:00Z", "--until", "2100-01-01T00:00:00Z")
    assert run("warrant", "extend", "W1", "--order", "X", *term)[0] == 0
    assert listed(run)["W1"]["state"] == "expired"
    assert run("warrant", "approve", "W1", "--order", "X")[0] == 2
    assert run("warrant", "approve", "W1", "--order", "X", by="cy")[0] == 0
    assert listed(run)["W1"]["state"] == "in force"
    assert run("warrant", "revoke", "W1", by="cy")[0] == 0 and listed(run)["W1"]["state"] == "revoked"
    shown = json.loads(run("warrant", "show", "W1", "--json")[1])
    assert [(act["action"], act["by"]) for act in shown["acts"]] == [
        ("add", "ann"), ("approve", "bea"), ("install", "ann"), ("extend", "ann"), ("approve", "cy"), ("revoke", "cy")]
    assert "W1" in run("warrant", "show", "W1")[1]
    reader = open_reader(run.journal)
    acts = [(e.actor, e.operation, unpack(e).action) for e in reader.registers() if e.kind == "warrant"]
    reader.close()
    assert acts[:3] == [("ann", "OP", "add"), ("ann", "OP", "add"), ("bea", "OP", "approve")]


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(use_until="2026-03-05T13:00:00Z"), "w.json:2: use_until: not after use_from"),
        (dict(hours={"from": "25:00", "to": "10:00", "zone": "UTC"}), "w.json:2: hours.from: a time of day"),
        (dict(hours={"from": "06:00", "to": "06:00", "zone": "UTC"}), "w.json:2: hours: hours that are none"),
        (dict(hours={"from": "06:00", "to": "10:00", "zone": "Europe/Lundon"}), "w.json:2: hours.zone: no zone"),
        (dict(premises=[{"kind": "castle", "place": "x"}]), "w.json:2: premises[0].kind: one of dwelling"),
        (dict(urgent=1), "w.json:2: urgent"),
        (dict(route=[{"country": "NL"}]), "w.json:2: route[0].area: missing"),
        (dict(route=[{"country": "NL", "area": BOX, "consent": {"order": "1"}}]), "route[0].consent.given_by: missing"),
        (dict(prior_approval="yes"), "w.json:2: prior_approval"),
        (dict(pack="us-rule-42"), "w.json:2: pack: no pack 'us-rule-42'"),
        (dict(pack="us-rule-41"), "w.json:2: authority: missing; named"),
        (dict(conditions="be kind"), "w.json:2: conditions"),
        (dict(offence=""), "w.json:2: offence"),
        ({"class": "van"}, "w.json:2: class: stands beside a device and would cover nothing"),
        (dict(route=[{"country": "NL", "area": BOX, "hand_over_by": "2026-03-05T12:59:59Z"}]),
         "w.json:2: route[0].hand_over_by: before use_from"),
        (dict(id="W0"), "w.json:2: id: 'W0' stands twice"),
        (holed([[10, 10], [11, 10], [11, 11], [10, 10]]), "w.json:2: jurisdiction: coordinates[1]: a hole that is not within"),
    ],
)
def test_what_cannot_stand_is_refused_whole_and_those_in_force_stay(change, words, run):
    write(run, SAID)
    assert run("warrant", "add", "w.json")[0] == 0 and run("warrant", "approve", "W1", by="bea")[0] == 0
    before = listed(run)
    text = json.dumps([SAID | {"id": "W0"}])[:-1] + ",\n" + json.dumps(SAID | {"id": "W3"} | change) + "]"
    (run.folder / "w.json").write_text(text)
    status, _, err = run("warrant", "add", "w.json")
    assert status == 2 and words in err and err.count("\n") == 1 and listed(run) == before
    assert run("warrant", "add", write(run, SAID))[::2] == (2, "birddog warrant: w.json:1: id: 'W1' stands already\n")
    (run.folder / "w.json").write_text("[\n" + json.dumps(SAID | {"id": "W8"}) + ",\n" + json.dumps(SAID) + "\n]")
    assert run("warrant", "add", "w.json")[2] == "birddog warrant: w.json:3: id: 'W1' stands already\n"
    twice = json.dumps(SAID | {"id": "W7"}).replace("{", '{"use_until": 0, ', 1)
    (run.folder / "w.json").write_text("[" + json.dumps(SAID | {"id": "W8"}) + ",\n" + twice + "]")
    assert "w.json:2: is no JSON: a key stands twice in one object, 'use_until'" in run("warrant", "add", "w.json")[2]
    assert listed(run) == before
    assert run("warrant", "add", write(run, SAID | {"id": "W9"}), "--operation", "NONE")[0] == 2 and listed(run) == before


@pytest.mark.parametrize(
    "words, said",
    [
        (("approve", "W1"), "was approved by bea"),
        (("approve", "W1", "--order", "X"), "has no order 'X'"),
        (("approve", "W7"), "no warrant 'W7'"),
        (("extend", "W1", "--order", "X", "--until", "2026-03-20T00:00:00Z"), "until: not after the end"),
        (("extend", "W1", "--order", "W1", "--until", "2027-03-20T00:00:00Z"), "order: 'W1' is an order already"),
        (("extend", "W1", "--order", "X", "--until", "2026-13-20T00:00:00Z"), "--until: "),
        (("install", "W1", "--device", "D2"), "device: 'W1' is for 'D1'"),
        (("notify", "W1", "--duty", "tea"), "duty: one of no duties"),
        (("open", "W1", "--order", "O", "--from", "2026-03-06T00:00:00Z", "--until", "2026-03-05T00:00:00Z"),
         "until: wants a time"),
        (("revoke", "W1", "--at", "soon"), "--at: "),
        (("extend", "W1", "--order", "X", "--granted", "2199-01-01T00:00:00Z", "--until", "2200-01-01T00:00:00Z"),
         "--granted: 2199-01-01T00:00:00.000Z is to come"),
        (("install", "W1", "--at", "2199-01-01T00:00:00Z"), "--at: 2199-01-01T00:00:00.000Z is to come"),
        (("notify", "W1", "--duty", "tea", "--at", "2199-01-01T00:00:00Z"), "--at: 2199-01-01T00:00:00.000Z is to come"),
        (("notify", "W1", "--duty", "hand_over:NL"), "duty: one of no duties"),
    ],
)
def test_an_act_that_cannot_stand_becomes_no_entry(words, said, run):
    run("warrant", "add", write(run, SAID))
    run("warrant", "approve", "W1", by="bea")
    before = open_reader(run.journal)
    seq = before.last_seq()
    before.close()
    status, _, err = run("warrant", *words)
    assert status == 2 and said in err and err.count("\n") == 1
    after = open_reader(run.journal)
    assert after.last_seq() == seq
    after.close()


def test_what_another_system_wrote_is_mapped(run):
    """In the manner of ETSI TS 103 120: an authorisation, and the task that names its target."""
    said = {"Payload": {"Request": [
        {"@xsi:type": "auth:AuthorisationObject", "ObjectIdentifier": "a-1", "CountryCode": "NL",
         "AuthorisationReference": "W5", "AuthorisationLegalType": "directed_surveillance", "AuthorisationPriority": "Urgent",
         "AuthorisationTimespan": {"StartTime": "2026-03-05T13:00:00Z", "EndTime": "2026-03-20T00:00:00Z"},
         "AuthorisationApprovalDetails": {"ApprovalTimestamp": "2026-03-01T00:00:00Z",
                                          "ApproverDetails": {"ApproverName": "R. Chter"}},
         "NationalAuthorisationParameters": {"jurisdiction": BOX, "install_by": "2026-03-11T00:00:00Z"}},
        {"@xsi:type": "task:LITaskObject", "ObjectIdentifier": "t-1", "AssociatedObjects": ["a-1"],
         "TargetIdentifier": {"TargetIdentifierValues": [{"FormatType": "IMEI", "Value": "356307042441013"}]}},
    ]}}  # fmt: skip
    assert run("warrant", "import", write(run, said), "--operation", "OP")[0] == 0
    shown = json.loads(run("warrant", "show", "W5", "--json")[1])
    assert shown["device"] == "356307042441013" and shown["warrant_said"]["authority"] == "R. Chter"
    assert shown["warrant_said"]["urgent"] is True and shown["until"] == "2026-03-20T00:00:00.000Z"
    said["Payload"]["Request"][0]["Colour"] = "red"
    status, _, err = run("warrant", "import", write(run, said))
    assert status == 2 and "Colour: not known" in err
    assert run("warrant", "import", write(run, [SAID]))[0] == 0  # ours as well


def test_a_tag_that_was_recovered_and_is_placed_again_under_another_warrant_is_out_again(run):
    second = SAID | {"id": "W2", "use_from": "2026-04-05T13:00:00Z", "use_until": "2026-04-20T00:00:00Z",
                     "issued": "2026-04-01T00:00:00Z", "install_by": "2026-04-11T00:00:00Z"}  # fmt: skip
    write(run, [SAID, second])
    assert run("warrant", "add", "w.json", "--operation", "OP")[0] == 0
    for name in ("W1", "W2"):
        assert run("warrant", "approve", name, by="bea")[0] == 0

    def out():
        return [(row["device"], row["warrant"]) for row in json.loads(run("retrieval", "list", "--json")[1])]

    assert run("warrant", "install", "W1", "--at", "2026-03-06T00:00:00Z")[0] == 0 and out() == [("D1", "W1")]
    assert run("retrieval", "done", "D1", "--warrant", "W1", "--at", "2026-03-21T00:00:00Z")[0] == 0 and out() == []
    assert run("warrant", "install", "W2", "--at", "2026-04-06T00:00:00Z")[0] == 0 and out() == [("D1", "W2")]
    # it goes on under a later warrant, and is fetched once
    third = second | {"id": "W3", "installed": "2026-04-06T00:00:00Z"}
    assert run("warrant", "add", write(run, third), "--operation", "OP")[0] == 0
    assert run("warrant", "approve", "W3", by="bea")[0] == 0 and out() == [("D1", "W3")]
    # a case that is erased takes its debt with it: that is said first, for the tag is still out there
    assert run("operation", "close", "OP")[0] == 0
    status, _, err = run("operation", "erase", "OP")
    assert status == 0 and "still out, and nothing will say so any more: D1" in err and out() == []


def test_one_recovery_ends_what_goes_on_under_two_warrants(run):
    both = [SAID | {"installed": "2026-03-06T00:00:00Z"}, SAID | {"id": "W2", "installed": "2026-03-06T00:00:00Z"}]
    assert run("warrant", "add", write(run, both), "--operation", "OP")[0] == 0
    for name in ("W1", "W2"):
        assert run("warrant", "approve", name, by="bea")[0] == 0
    assert run("retrieval", "done", "D1", "--warrant", "W1", "--at", "2026-03-21T00:00:00Z")[0] == 0
    assert json.loads(run("retrieval", "list", "--json")[1]) == []


def test_a_recovery_that_is_to_come_is_none(run):
    run("warrant", "add", write(run, SAID))
    run("warrant", "approve", "W1", by="bea")
    status, _, err = run("retrieval", "done", "D1", "--at", "2199-01-01T00:00:00Z")
    assert (status, err.count("\n")) == (2, 1) and "--at: 2199-01-01T00:00:00.000Z is to come" in err


def test_where_the_calendar_stands_is_one_word_on_the_command_line_and_in_the_api(run):
    """Of a warrant that has ended the extension and the end are settled, and the duties overdue; ``over`` said neither."""
    texts = dict.fromkeys(("authority", "applicant", "offence", "object"), "x")
    route = [{"country": "NL", "area": BOX, "takes_over": "Landelijke Politie", "hand_over_by": "2026-03-10T00:00:00Z"}]
    write(run, SAID | texts | {"pack": "us-rule-41", "installed": "2026-03-05T15:00:00Z", "route": route})
    assert run("warrant", "add", "w.json", "--operation", "OP")[0] == 0 and run("warrant", "approve", "W1", by="bea")[0] == 0
    shown = json.loads(run("warrant", "show", "W1", "--json")[1])
    assert {row["what"]: row["state"] for row in shown["calendar"]} == {
        "installation": "settled", "extension": "settled", "expiry": "settled", "hand_over:NL": "overdue",
        "return-10-days": "overdue", "notice-10-days": "overdue"}  # fmt: skip
    registers = Registers(run.journal)
    rows = deadline_views(registers.directory, registers.now_ns)
    assert {row.what: (row.state, row.near) for row in rows} == {
        row["what"]: (row["state"], row["state"] == "overdue") for row in shown["calendar"]}
    assert shown["route"] == [{"country": "NL", "consent": "", "consent_from": None, "consent_until": None,
                               "takes_over": "Landelijke Politie", "hand_over_by": "2026-03-10T00:00:00.000Z",
                               "handed_over": None}]  # fmt: skip
    assert run("warrant", "notify", "W1", "--duty", "hand_over:NL", "--at", "2026-03-09T00:00:00Z")[0] == 0
    out = run("warrant", "show", "W1")[1]
    assert "Landelijke Politie" in out and "settled" in out and "overdue" in out
    shown = json.loads(run("warrant", "show", "W1", "--json")[1])
    assert shown["route"][0]["handed_over"] == "2026-03-09T00:00:00.000Z"
    assert {"what": "hand_over:NL", "due": "2026-03-10T00:00:00.000Z", "state": "settled",
            "text": "Landelijke Politie takes over in NL; say so when it has"} in shown["calendar"]  # fmt: skip
    assert run("operation", "close", "OP")[0] == 0


def test_a_consent_says_who_takes_over_where_the_country_stands_already(run):
    route = [{"country": "NL", "area": BOX}]
    run("warrant", "add", write(run, SAID | {"route": route}))
    run("warrant", "approve", "W1", by="bea")
    consent = {"order": "NL-1", "given_by": "OvJ", "from": "2026-03-05T13:00:00Z", "until": "2026-03-20T00:00:00Z"}
    said = {"country": "NL", "consent": consent, "takes_over": "FIOD", "hand_over_by": "2026-03-05T12:00:00Z"}
    assert run("warrant", "consent", "W1", write(run, said, "c.json"))[2] == (
        "birddog warrant: c.json:1: consent.hand_over_by: before use_from\n")
    assert run("warrant", "consent", "W1", write(run, said | {"hand_over_by": "2026-03-06T00:00:00Z"}, "c.json"))[0] == 0
    assert run("warrant", "approve", "W1", "--order", "NL-1", by="bea")[0] == 0
    [leg] = json.loads(run("warrant", "show", "W1", "--json")[1])["route"]
    assert (leg["consent"], leg["takes_over"], leg["hand_over_by"]) == ("NL-1", "FIOD", "2026-03-06T00:00:00.000Z")
    assert run("warrant", "consent", "W1", write(run, said | {"area": BOX}, "c.json"))[0] == 2


def test_the_last_place_of_what_is_still_out_is_where_it_was_measured_and_no_prediction(run):
    """A tag that drives on at 10 m/s and falls silent coasts on the map; who fetches it is sent to where it was last."""
    begins_ns = time.time_ns()
    said = SAID | {"issued": iso_from_ns(begins_ns - 9 * NS), "install_by": iso_from_ns(begins_ns + 9 * NS),
                   "use_from": iso_from_ns(begins_ns - 8 * NS), "use_until": iso_from_ns(begins_ns + 300 * NS)}  # fmt: skip
    assert run("warrant", "add", write(run, said), "--operation", "OP")[0] == 0
    assert run("warrant", "approve", "W1", by="bea")[0] == 0
    assert cli.main(["device", "enrol", "D1", "--class", "van", "--journal", run.journal]) == 0
    assert cli.main(["device", "attach", "D1", "--operation", "OP", "--journal", run.journal]) == 0
    [row] = json.loads(run("retrieval", "list", "--json")[1])
    assert (row["device"], row["lat_deg"], row["lon_deg"], row["last_fix"]) == ("D1", None, None, None)
    since_ns = time.time_ns()
    fixes = [Fix(device="D1", time_ns=since_ns + n * 10 * NS, lat_deg=51.0 + n * 100 / 111_250, lon_deg=11.0, speed_mps=10.0,
                 course_deg=0.0) for n in range(20)]  # fmt: skip
    verdict = Verdict("OP", "D1", "warrant", "admitted")
    bodies = [(fix.time_ns, FrameBody(format="x", version=1, payload=b"", device="D1", verdicts=(verdict,),
                                      observations=(fix,))) for fix in fixes]  # fmt: skip
    bodies += [(fixes[-1].time_ns + n * 10 * NS, Tick()) for n in range(1, 7)]
    writer = open_writer(run.journal, mode="live")
    writer.append([msgspec.structs.replace(control.own(body, source="t"), received_ns=at_ns,
                                           operation="OP" if isinstance(body, FrameBody) else "") for at_ns, body in bodies])
    writer.close()
    assert cli.main(["rebuild", "--journal", run.journal]) == 0
    view = PictureReader(home(run.journal).picture)
    [track] = [track for _, track in view.tracks()]
    point = view.last_place(track.track_id, track.updated_ns)
    assert track.lat_deg > point.lat_deg + 300 / 111_250  # it coasts on
    assert view.last_place(track.track_id, fixes[5].time_ns - 1).time_ns == fixes[4].time_ns
    registers = Registers(run.journal)
    source = SimpleNamespace(directory=lambda: registers.directory, now_ns=lambda: registers.now_ns, run=asyncio.to_thread)
    shown = json.loads(asyncio.run(Law(source, lambda request: view).authority(None)).body)["retrieval"]
    assert [(row["lat_deg"], row["last_fix"]) for row in shown] == [(point.lat_deg, iso_from_ns(point.time_ns))]
    other = retrieval_views(registers.directory, view.view(Rights(frozenset({"other"}))), registers.now_ns)
    assert [row.lat_deg for row in other] == [None]  # nothing of another's tracks
    view.close()
    assert abs(point.lat_deg - fixes[-1].lat_deg) < 20 / 111_250 and point.time_ns == fixes[-1].time_ns
    [row] = json.loads(run("retrieval", "list", "--json")[1])
    assert (row["lat_deg"], row["lon_deg"], row["last_fix"]) == (point.lat_deg, point.lon_deg, iso_from_ns(point.time_ns))
    assert f"{point.lat_deg:.5f} {point.lon_deg:.5f}" in run("retrieval", "list")[1]
