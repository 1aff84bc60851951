"""Rule packs: each rule on both sides of its boundary, and a second model of them, written from the packs' text alone.

``BIRDDOG_RULES_MANY=20000`` runs the second model on so many random warrants, with six pings each; 300 else.

Over 400 lines: the table of the rules and the model that is held against them, which a lawyer reads together.
"""

from __future__ import annotations

import json
import os
import random
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from birddog import rules
from birddog.deadlines import deadlines
from birddog.errors import UsageError
from birddog.model import WarrantAct
from birddog.units import NS, ns_from_text
from birddog.warrant_json import pack_for, warrant_of
from birddog.warrants import Warrants

MANY = int(os.environ.get("BIRDDOG_RULES_MANY", "300"))
PACKS = Path(rules.__file__).parent / "packs"
BOX = {"type": "Polygon", "coordinates": [[[10, 50], [12, 50], [12, 52], [10, 52], [10, 50]]]}
EAST = {"type": "Polygon", "coordinates": [[[12, 50], [14, 50], [14, 52], [12, 52], [12, 50]]]}
CONSENT = {"order": "NL-1", "given_by": "OvJ", "from": "2026-03-02T00:00:00Z", "until": "2026-03-09T00:00:00Z"}
TEXTS = (
    "kind", "authority", "applicant", "offence", "object", "purpose", "necessity", "proportionality", "collateral_intrusion",
    "confidential_information", "product_keeper", "product_reviewer", "requesting_state", "substitution",
)  # fmt: skip
FULL = dict.fromkeys(TEXTS, "said") | {
    "kind": "directed_surveillance", "id": "W", "device": "D",
    "issued": "2026-03-01T00:00:00Z", "install_by": "2026-03-08T00:00:00Z",
    "use_from": "2026-03-02T15:00:00Z", "use_until": "2026-03-03T00:00:00Z", "jurisdiction": BOX,
    "retrieval_premises": [{"kind": "office", "place": "x"}], "route": [{"country": "NL", "area": EAST, "consent": CONSENT}],
}  # fmt: skip


def at(text, **by):
    return (datetime.fromisoformat(text) + timedelta(**by)).astimezone(UTC).isoformat()


def refused(pack, **changed):
    """The member for which a warrant is refused under a pack, and the rule; ("", "") where it may stand."""
    said = {name: value for name, value in (FULL | {"pack": pack} | changed).items() if value is not ...}
    try:
        warrant_of(said, pack_for(said))
    except UsageError as error:
        return error.field, error.message
    return "", ""


UK, US, EU, UN, AU = "uk-surveillance", "us-rule-41", "eu-led", "un-1988-controlled-delivery", "au-surveillance-devices"
PROPERTY = {"kind": "property_interference", "premises": [{"kind": "dwelling", "place": "x"}]}
APPROVED = {"prior_approval": {"by": "commissioner", "at": FULL["use_from"]}}
#: pack, rule, what may stand, what may not, the member that is refused.
ENTERED = [
    *[(UK, "application", {}, {name: ...}, name) for name in TEXTS[:3] + TEXTS[5:10]],
    *[(UK, "product-keeper", {}, {name: ...}, name) for name in ("product_keeper", "product_reviewer")],
    # three months from 2 March end as 2 June begins in London, which is at 23:00 UTC of the day before
    (UK, "three-months", {"use_until": "2026-06-01T23:00:00Z"}, {"use_until": "2026-06-01T23:00:00.000001Z"}, "use_until"),
    (UK, "three-months", {"use_from": "2026-11-30T12:00:00Z", "use_until": "2027-03-01T00:00:00Z"},
     {"use_from": "2026-11-30T12:00:00Z", "use_until": "2027-03-01T00:00:01Z"}, "use_until"),
    (UK, "urgent-72-hours", {"urgent": True, "use_until": at(FULL["use_from"], hours=72)},
     {"urgent": True, "use_until": at(FULL["use_from"], hours=72, seconds=1)}, "use_until"),
    (UK, "prior-approval", PROPERTY | APPROVED, PROPERTY, "prior_approval"),
    (UK, "prior-approval", PROPERTY | {"urgent": True}, PROPERTY | {"urgent": False}, "prior_approval"),
    (UK, "prior-approval", PROPERTY | {"kind": "directed_surveillance"}, PROPERTY, "prior_approval"),
    (UK, "prior-approval", PROPERTY | {"premises": [{"kind": "vehicle", "place": "x"}]},
     PROPERTY | {"premises": [{"kind": "vehicle", "place": "x"}, {"kind": "hotel_bedroom", "place": "x"}]}, "prior_approval"),
    (UK, "prior-approval", PROPERTY | {"premises": [{"kind": "other", "place": "x"}]},
     PROPERTY | {"premises": [{"kind": "office", "place": "x"}]}, "prior_approval"),
    (UK, "prior-approval", PROPERTY | APPROVED,
     PROPERTY | {"prior_approval": {"by": "c", "at": at(FULL["use_from"], seconds=1)}}, "prior_approval"),
    *[(US, "named", {}, {name: ...}, name) for name in TEXTS[1:5]],
    (US, "install-10-days", {"install_by": at(FULL["issued"], days=10)}, {"install_by": at(FULL["issued"], days=10, seconds=1)},
     "install_by"),
    (US, "use-45-days", {"use_until": at(FULL["issued"], days=45)}, {"use_until": at(FULL["issued"], days=45, seconds=1)},
     "use_until"),
    *[(EU, "purpose-and-basis", {}, {name: ...}, name) for name in ("purpose", "authority", "offence")],
    (EU, "keeper", {}, {"product_keeper": ...}, "product_keeper"),
    *[(UN, "case-by-case", {}, {name: ...}, name) for name in ("authority", "offence", "purpose", "requesting_state")],
    (UN, "substitution", {}, {"substitution": ...}, "substitution"),
    (UN, "each-country-consents", {}, {"route": []}, "route"),
    *[(AU, "register", {}, {name: ...}, name) for name in TEXTS[:5]],
    (AU, "register", {}, {"retrieval_premises": []}, "retrieval_premises"),
    (AU, "ninety-days", {"use_until": at(FULL["issued"], days=90)}, {"use_until": at(FULL["issued"], days=90, seconds=1)},
     "use_until"),
]  # fmt: skip


@pytest.mark.parametrize("pack, rule, stands, falls, member", ENTERED, ids=[f"{row[0]}-{row[1]}-{row[4]}" for row in ENTERED])
def test_what_a_rule_asks_of_a_warrant(pack, rule, stands, falls, member):
    assert refused(pack, **stands) == ("", "")
    field, words = refused(pack, **falls)
    assert field == member and rule in words


@pytest.mark.parametrize("kind", ["Property_Interference", "property interference", "PropertyInterferenceWarrant", "x"])
def test_a_kind_by_which_no_rule_goes_does_not_pass_them_by(kind):
    """A dwelling wants approval before: under a word that is no kind of the pack nothing asked for it."""
    assert refused(UK, **PROPERTY | APPROVED) == ("", "")
    field, words = refused(UK, **PROPERTY | {"kind": kind})
    assert field == "kind" and "directed_surveillance, property_interference" in words
    assert refused(US, kind=kind) == ("", "")  # whose rules do not go by it


def test_a_rule_of_a_kind_that_its_pack_does_not_have_is_no_rule():
    text = rules.text_of(UK).replace('kinds = ["property_interference"]', 'kinds = ["property_interferense"]', 1)
    with pytest.raises(UsageError, match="prior-approval.*holds for a kind that is none of"):
        rules.pack_of(text)


def held_of(pack, **changed):
    said = FULL | {"pack": pack} | changed
    warrants = Warrants()
    text = rules.text_of(pack)
    assert warrants.apply(WarrantAct(warrant="W", action="add", by="ann", operation="A", said=json.dumps(said), pack=text))
    assert warrants.apply(WarrantAct(warrant="W", action="approve", by="bea", operation="A"))
    return warrants, warrants.held["W"]


#: Pack, rule, the last moment at which an extension of 4 March may end.  45 and 90 days count from the end before it,
#: 3 March 00:00Z, where it was granted before; three months as the UK's.
EXTENDED = [(US, "extension-45-days", "2026-04-17T00:00:00Z"), (AU, "extension-90-days", "2026-06-01T00:00:00Z"),
            (UK, "renewal-three-months", "2026-06-02T23:00:00Z")]  # fmt: skip


@pytest.mark.parametrize("pack, rule, last", EXTENDED, ids=[row[1] for row in EXTENDED])
def test_how_long_an_extension_may_be(pack, rule, last):
    def act(until):
        return WarrantAct(warrant="W", action="extend", by="ann", order="X", at_ns=ns_from_text("2026-03-02T20:00:00Z"),
                          until_ns=ns_from_text(until))

    warrants, _ = held_of(pack)
    warrants.check(act(last))
    with pytest.raises(UsageError, match=rule):
        warrants.check(act(at(last, seconds=1)))


#: Pack, rule, when it is due of use that ended on 3 March 00:00Z (or began on 2 March 15:00Z: reviews).
DUE = [
    (US, "return-10-days", "2026-03-13T00:00:00Z"), (US, "notice-10-days", "2026-03-13T00:00:00Z"),
    (EU, "information-30-days", "2026-04-02T00:00:00Z"), (UN, "report-30-days", "2026-04-02T00:00:00Z"),
    (AU, "report", "2026-04-02T00:00:00Z"), (AU, "retrieval", "2026-03-31T00:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize("pack, what, due", DUE, ids=[f"{row[0]}-{row[1]}" for row in DUE])
def test_when_a_duty_is_due_and_until_when_it_is_open(pack, what, due):
    warrants, held = held_of(pack)

    def found():
        return next(one for one in deadlines(held) if one.what == what)

    if what == "retrieval":
        warrants.apply(WarrantAct(warrant="W", action="install", by="ann", device="D", at_ns=1))
    assert found().due_ns == ns_from_text(due) and not found().over and found().lead_ns <= found().due_ns
    action, words = ("retrieve", {"device": "D"}) if what == "retrieval" else ("notify", {"order": what})
    assert warrants.apply(WarrantAct(warrant="W", action=action, by="ann", at_ns=1, **words))
    assert found().over


def test_a_notice_may_be_delayed_and_equipment_is_removed_and_reviews_go_on():
    until_ns = ns_from_text("2026-06-01T00:00:00Z")
    for said in ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00+02:00", until_ns // NS, until_ns / NS, str(until_ns // NS)):
        _, held = held_of(US, notice_delayed_until=said)
        assert next(d for d in deadlines(held) if d.what == "notice-10-days").due_ns == until_ns, said
    warrants, held = held_of(UK, kind="property_interference", installed="2026-03-03T00:00:00Z")
    assert next(d for d in deadlines(held) if d.what == "retrieval").due_ns == ns_from_text("2026-03-10T00:00:00Z")
    assert not [d for d in deadlines(held_of(UK)[1]) if d.what == "retrieval"]  # not of directed surveillance
    for pack, rule, first, then in ((UK, "review-monthly", "2026-04-01T23:00:00Z", "2026-05-02T23:00:00Z"),
                                    (EU, "review", "2026-06-01T22:00:00Z", "2026-07-02T22:00:00Z")):
        warrants, held = held_of(pack, use_until="2026-06-01T23:00:00Z")
        review = [d for d in deadlines(held) if d.what == rule]
        assert [d.due_ns for d in review] == [ns_from_text(first)]
        done = ns_from_text("2026-04-03T00:00:00Z")
        warrants.apply(WarrantAct(warrant="W", action="notify", by="ann", order=rule, at_ns=done))
        review = [d for d in deadlines(held) if d.what == rule]
        assert [d.due_ns for d in review] == ([ns_from_text(then)] if ns_from_text(then) < held.warrant.ends_ns else [])


@pytest.mark.parametrize("hour, good_cause, said", [
    # 6 a.m. in New York is 11:00 UTC before the clocks change on 8 March, and 10:00 after
    ("2026-03-02T11:00:00Z", False, "accept"), ("2026-03-02T10:59:59Z", False, "installed_late"),
    ("2026-03-03T02:59:59Z", False, "accept"), ("2026-03-03T03:00:00Z", False, "installed_late"),
    ("2026-03-03T03:00:00Z", True, "accept"), ("2026-03-09T10:00:00Z", False, "accept"),
    ("2026-03-09T09:59:59Z", False, "installed_late"),
])  # fmt: skip
def test_an_installation_by_day_unless_for_good_cause(hour, good_cause, said):
    words = {"installed": hour, "good_cause": good_cause, "install_by": "2026-03-11T00:00:00Z"}
    warrant = warrant_of(FULL | {"pack": US} | words, rules.pack_of(rules.text_of(US)))
    assert warrant.verdict(ns_from_text("2026-03-02T18:00:00Z"), lat_deg=51.0, lon_deg=11.0) == said


@pytest.mark.parametrize("pack, sealed", [(US, True), (EU, False), (UK, False)])
def test_what_is_outside_is_sealed_or_refused_as_the_pack_says(pack, sealed):
    warrants, _ = held_of(pack, hours={"from": "14:00", "to": "20:00", "zone": "UTC"}, route=[])
    for t, lat_deg, said, is_sealed in (
        ("2026-03-02T18:00:00Z", 52.1, "outside_jurisdiction", sealed), ("2026-03-02T20:00:00Z", 51.0, "outside_hours", sealed),
        ("2026-03-02T19:59:59Z", 52.0, "accept", False), ("2026-03-03T00:00:00Z", 51.0, "expired", False),
    ):  # fmt: skip
        assert warrants.verdict("D", "A", "", ns_from_text(t), lat_deg=lat_deg, lon_deg=11.0) == (said, is_sealed)


def test_in_a_country_that_has_not_consented_nothing_is_followed():
    warrants, held = held_of(UN, use_until="2026-03-20T00:00:00Z")

    def said(t, lon):
        return warrants.verdict("D", "A", "", ns_from_text(t), lat_deg=51.0, lon_deg=lon)[0]

    assert [said(t, 13.0) for t in ("2026-03-08T23:59:59Z", "2026-03-09T00:00:00Z")] == ["accept", "no_consent"]
    assert said("2026-03-10T00:00:00Z", 12.0) == "accept"  # the border is at home, too
    assert said("2026-03-10T00:00:00Z", 14.1) == "outside_jurisdiction"
    more = {"country": "NL", "consent": CONSENT | {"order": "NL-2", "until": "2026-03-11T00:00:00Z"}}
    assert warrants.apply(WarrantAct(warrant="W", action="consent", by="ann", order="NL-2", said=json.dumps(more)))
    assert said("2026-03-10T00:00:00Z", 13.0) == "no_consent"
    assert warrants.apply(WarrantAct(warrant="W", action="approve", by="bea", order="NL-2"))
    assert [said(t, 13.0) for t in ("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z")] == ["accept", "no_consent"]
    north = {"type": "Polygon", "coordinates": [[[10, 52], [12, 52], [12, 54], [10, 54], [10, 52]]]}
    new = {"country": "DK", "area": north, "consent": CONSENT | {"order": "DK-1", "until": "2026-03-19T00:00:00Z"}}
    warrants.apply(WarrantAct(warrant="W", action="consent", by="ann", order="DK-1", said=json.dumps(new)))
    warrants.apply(WarrantAct(warrant="W", action="approve", by="bea", order="DK-1"))
    assert warrants.verdict("D", "A", "", ns_from_text("2026-03-10T00:00:00Z"), lat_deg=53.0, lon_deg=11.0)[0] == "accept"
    assert [leg.country for leg in held.warrant.legs] == ["NL", "DK"]


def test_each_rule_of_each_pack_has_its_row_here():
    source = Path(__file__).read_text()
    for name in rules.shipped():
        for rule in rules.pack_of(rules.text_of(name)).rule:
            assert rule.source and rule.read
            # those named by what they do: what is outside, retrieval, reviews, hours
            by_what_it_does = {"outside": "sealed_or_refused", "retrieve": '"retrieval"', "install_hours": "by_day"}
            assert by_what_it_does.get(rule.check, f'"{rule.id}"') in source, (name, rule.id)


@pytest.mark.parametrize("change, words", [
    ("days = 10", "days = -1.5"), ('check = "members"', 'check = "vibes"'), ('source = "', 'sauce = "'),
    ('zone = "America/New_York"', 'zone = "America/New_Yorck"'), ('read = "rule', 'read = ""\nx = "'),
    ('begins = "06:00"', 'begins = "6"'), ("months", "[["), ('id = "use-45-days"', 'id = "named"'), ("days = 45", ""),
])  # fmt: skip
def test_a_pack_that_is_none_is_refused(change, words):
    text = rules.text_of(US)
    if change in text:
        text = text.replace(change, words, 1)
    else:
        text = words
    with pytest.raises(UsageError):
        rules.pack_of(text)


# --- the second model: from the packs' text, with calendars and datetimes where the first counts nanoseconds ---------------


def naive_end(rule: dict, start: datetime, zone: str) -> datetime:
    if "days" in rule:
        return start + timedelta(hours=24 * rule["days"])
    if "hours" in rule:
        return start + timedelta(hours=rule["hours"])
    local = start.astimezone(ZoneInfo(zone))
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    wanted, months = day.day, rule["months"]
    while months or day.day != wanted:  # day by day, until the day of this number has come so many times, or its month is over
        day += timedelta(days=1)
        if day.day == wanted:
            months -= 1
        elif day.day == 1 and wanted > (day - timedelta(days=1)).day:
            months -= 1
            if not months:
                break
    return day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def naive_entered(said: dict, pack: dict, when: dict) -> str:
    """The first member that a rule refuses, "" where none does; the rules in the order in which the checks are documented."""
    mine = [r for r in pack["rule"] if said.get("kind", "") in r.get("kinds", [said.get("kind", "")])
            and r.get("urgent", said.get("urgent", False)) == said.get("urgent", False)]
    for r in mine:
        if r["check"] == "members":
            for name in r["names"]:
                if not said.get(name):
                    return name
    if "kinds" in pack and said.get("kind", "") not in pack["kinds"]:
        return "kind"
    for check, member in (("install_by_at_most", "install_by"), ("use_at_most", "use_until")):
        for r in mine:
            if r["check"] == check and when[member] > naive_end(r, when[r.get("since", "issued")], pack["zone"]):
                return member
    for r in mine:
        if r["check"] == "prior_approval" and any(p["kind"] in r["premises"] for p in said.get("premises", [])):
            if "approved" not in when or when["approved"] > when["use_from"]:
                return "prior_approval"
    return "route" if any(r["check"] == "route" for r in mine) and not said.get("route") else ""


def naive_in(box, x, y):
    (x0, y0), (x1, y1) = box
    return x0 <= x <= x1 and y0 <= y <= y1


def naive_hours(begins: str, ends: str, zone: str, t: datetime) -> bool:
    clock = t.astimezone(ZoneInfo(zone)).strftime("%H:%M")
    return begins <= clock < ends if begins < ends else not ends <= clock < begins


def naive_verdict(said: dict, pack: dict, when: dict, extended, t: datetime, x, y) -> tuple[str, bool]:
    home, east = ((10, 50), (12, 52)), ((12, 50), (14, 52))
    mine = [r for r in pack.get("rule", []) if said.get("kind", "") in r.get("kinds", [said.get("kind", "")])
            and r.get("urgent", said.get("urgent", False)) == said.get("urgent", False)]
    if "installed" in when:
        bad = any(r["check"] == "install_hours" and not said.get("good_cause")
                  and not naive_hours(r["begins"], r["ends"], pack["zone"], when["installed"]) for r in mine)
        if when["installed"] > when["install_by"] or bad:
            return "installed_late", False
    if t < when["use_from"]:
        return "before_start", False
    if not (t < when["use_until"] or any(a <= t < b for a, b in extended)):
        return "expired", False
    if "revoked" in when and t >= when["revoked"]:
        return "revoked", False
    outside = [r for r in mine if r["check"] == "outside"]
    if "hours" in said and not naive_hours(said["hours"]["from"], said["hours"]["to"], said["hours"]["zone"], t):
        return "outside_hours", any(r.get("hours") == "seal" for r in outside)
    if said.get("route") and naive_in(east, x, y):
        begin, end = when["consent"]
        if not begin <= t < end and not naive_in(home, x, y):
            return "no_consent", False
        return "accept", False
    if not naive_in(home, x, y):
        return "outside_jurisdiction", any(r.get("area") == "seal" for r in outside)
    return "accept", False


@pytest.mark.timeout(180 + MANY // 10)  # of 20,000 a busy machine took longer than a test may
def test_the_second_model_agrees_on_random_warrants_and_pings():
    many = MANY
    rng, seen, fields = random.Random(41), {}, {}
    packs = {name: tomllib.loads((PACKS / f"{name}.toml").read_text()) for name in rules.shipped()}
    pings = 0
    for n in range(many):
        pack_name = rng.choice(sorted(packs))
        said, when = _made(rng, packs[pack_name])
        expected = naive_entered(said, packs[pack_name], when)
        field, words = refused_of(said, pack_name)
        fields[expected] = fields.get(expected, 0) + 1
        assert field == expected, (pack_name, said, words)
        if field:
            continue
        for t, x, y, extended, found in _asked(rng, said, when, pack_name):
            pings += 1
            expected_verdict = naive_verdict(said, packs[pack_name], when, extended, t, x, y)
            assert found == expected_verdict, (n, pack_name, said, extended, t, x, y)
            seen[found] = seen.get(found, 0) + 1
    assert pings >= many and len(seen) >= 9, seen
    assert {"use_until", "install_by", "prior_approval", "route", ""} <= set(fields), fields


def refused_of(said, pack):
    try:
        warrant_of(said, rules.pack_of(rules.text_of(pack)))
    except UsageError as error:
        return error.field, error.message
    return "", ""


def _made(rng, pack):
    """A warrant whose times lie on, before and behind what the rules of its pack allow."""
    issued = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(24 * 365), minutes=rng.choice((0, 30)))
    said = {name: "said" for name in TEXTS if rng.random() > 0.006}
    said["kind"] = rng.choice(("directed_surveillance", "property_interference", "warrant"))
    if rng.random() < 0.3:
        said["urgent"] = rng.random() < 0.8
    if rng.random() < 0.3:
        said["good_cause"] = rng.random() < 0.5
    use_from = issued + timedelta(hours=rng.choice((0, 1, 30)))
    ends = {"install_by": issued + timedelta(days=1), "use_until": use_from + timedelta(hours=rng.choice((1, 20, 60)))}
    for rule in pack["rule"]:
        if rule["check"] == "use_at_most" and rng.random() < 0.6:
            ends["use_until"] = naive_end(rule, issued if rule["since"] == "issued" else use_from, pack["zone"])
        if rule["check"] == "install_by_at_most" and rng.random() < 0.6:
            ends["install_by"] = naive_end(rule, issued, pack["zone"])
    slack = [timedelta(seconds=rng.choice((-3600, -1, 0, 0, 0, 1))) for _ in range(2)]
    when = {"issued": issued, "use_from": use_from, "install_by": ends["install_by"] + slack[0],
            "use_until": max(ends["use_until"] + slack[1], use_from + timedelta(seconds=5))}
    if rng.random() < 0.7:
        when["installed"] = rng.choice((when["install_by"], when["install_by"] + timedelta(seconds=1), issued,
                                        issued.replace(hour=rng.randrange(24)) + timedelta(days=1)))
    if rng.random() < 0.3:
        when["revoked"] = use_from + (when["use_until"] - use_from) / 2
        when["revoked"] = when["revoked"].replace(microsecond=0)
    premises = rng.choice(([], ["vehicle"], ["vehicle", "office"], ["dwelling"]))
    said |= {"id": "W", "device": "D", "jurisdiction": BOX, "premises": [{"kind": kind, "place": "x"} for kind in premises]}
    if rng.random() < 0.5:
        when["approved"] = use_from + timedelta(seconds=rng.choice((-5, 0, 1)))
        said["prior_approval"] = {"by": "c", "at": when["approved"].isoformat()}
    if rng.random() < 0.97:
        said["retrieval_premises"] = [{"kind": "other", "place": "x"}]
    if rng.random() < 0.4:
        begins, ends_at = rng.sample(("00:00", "06:30", "12:00", "22:15"), 2)
        said["hours"] = {"from": begins, "to": ends_at, "zone": rng.choice(("UTC", "Europe/London", "Australia/Sydney"))}
    if rng.random() < 0.8:
        when["consent"] = (use_from + timedelta(seconds=2), when["use_until"] - timedelta(seconds=2))
        said["route"] = [{"country": "NL", "area": EAST, "consent": {
            "order": "1", "given_by": "x", "from": when["consent"][0].isoformat(), "until": when["consent"][1].isoformat()}}]
        if when["consent"][0] >= when["consent"][1]:
            del said["route"]
    for name in ("issued", "install_by", "use_from", "use_until", "installed"):
        if name in when:
            said[name] = when[name].isoformat()
    if "revoked" in when:
        said["revoked_at"] = when["revoked"].isoformat()
    return said, when


def _asked(rng, said, when, pack_name):
    """(t, x, y, what extends it, the verdict) of pings on and about the boundaries."""
    warrants = Warrants()
    text = rules.text_of(pack_name)
    assert warrants.apply(WarrantAct(warrant="W", action="add", by="ann", operation="A", said=json.dumps(said), pack=text))
    assert warrants.apply(WarrantAct(warrant="W", action="approve", by="bea", operation="A"))
    extended = []
    if "revoked" not in when and rng.random() < 0.4:
        granted = when["use_until"] + timedelta(hours=rng.choice((-1, 0, 3)))
        until = max(granted, when["use_until"]) + timedelta(hours=rng.randrange(1, 48))
        act = WarrantAct(warrant="W", action="extend", by="ann", order="X", at_ns=_ns(granted), until_ns=_ns(until))
        if warrants.apply(act):
            if rng.random() < 0.8:
                warrants.apply(WarrantAct(warrant="W", action="approve", by="bea", order="X"))
                extended = [(granted, until)]
    moments = [when[name] for name in ("use_from", "use_until", "revoked") if name in when]
    moments += [m for pair in extended for m in pair] + list(when.get("consent", ()))
    moments += [when["use_from"] + (when["use_until"] - when["use_from"]) * rng.random() for _ in range(2)]
    for _ in range(6):
        t = rng.choice(moments).replace(microsecond=0) + timedelta(seconds=rng.choice((-1, 0, 0, 1)))
        x, y = rng.choice((9.999, 10, 11, 12, 12.001, 13, 14, 14.001)), rng.choice((49.999, 50, 51, 51, 51, 52, 52.001))
        yield t, x, y, extended, warrants.verdict("D", "A", "", _ns(t), lat_deg=y, lon_deg=x)


def _ns(t: datetime) -> int:
    return int(t.timestamp()) * NS
