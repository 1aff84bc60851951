"""Why a track is where it is: what was used, refused and left out, what else may be true, which motions hold."""

from __future__ import annotations

import json

import pytest

from birddog.geo import LocalFrame
from birddog.model import (
    ENTRY_BODIES,
    Attachment,
    Decision,
    Device,
    Entry,
    Fix,
    FrameBody,
    Operation,
    Scan,
    Sighting,
    Start,
    pack,
)  # fmt: skip
from birddog.units import NS, iso_from_ns
from tracking.bank import MODES
from tracking.explain import NAMES, Watch
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
CASE = [
    (0, Start(version="9.9", presets={"late_s": 90.0})),
    (0, Operation(operation="A")),
    (0, Device(device="gps", klass="van", interval_s=10.0)),
    (0, Attachment(device="gps", shipment="S", operation="A", from_ns=T0)),
]


def fix(t: float, e: float, n: float = 0.0, came: float | None = None, device: str = "gps") -> tuple:
    lat, lon = HOME.geodetic(e, n)
    one = Fix(device=device, time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)
    return t + 0.5 if came is None else came, FrameBody(format="x", version=1, payload=b"", device=device, observations=(one,))


def explained(bodies, track_id: str, t: float) -> dict | None:
    fold = Fold()
    watch = Watch(fold, track_id)
    for seq, (at, body) in enumerate(bodies, start=1):
        entry = Entry(seq=seq, kind=KIND[type(body)], received_ns=T0 + int(at * NS), ident=b"", source="", operation="",
                      body=pack(body))  # fmt: skip
        watch.after(entry, body, fold.apply(entry))
    return watch.answer(T0 + int(t * NS))


DRIVE = [fix(t, 15.0 * t) for t in range(10, 110, 10)]


def test_what_was_used_and_what_was_refused_and_why():
    false = fix(65, 15.0 * 65, 9_000.0)
    said = explained([*CASE, *DRIVE[:6], false, *DRIVE[6:]], "T5-2", 105)
    assert said is None  # a view of a case is only of what is public
    said = explained([*CASE, *DRIVE[:6], false, *DRIVE[6:]], "T5", 105)
    json.dumps(said, allow_nan=False)
    assert said["version"] == "9.9" and said["presets"]["late_s"] == 90.0 and said["presets"]["entry"] == 1
    assert said["presets"]["class"]["name"] == "van" and said["operation"] == "A" and said["name"] == "S"
    assert [one["entry"] for one in said["used"]] == [5, 6, 7, 8, 9, 10, 12, 13, 14, 15]
    assert said["used"][0]["outcome"] == "began" and all(one["nis"] < 20 for one in said["used"][3:])
    [refused] = said["refused"]
    assert refused["entry"] == 11 and refused["nis"] > 100 and refused["log_odds_false"] > 0
    assert "8994 m from where it was expected" in refused["reason"]
    weights = [one["weight"] for one in said["models"]]
    assert sum(weights) == pytest.approx(1.0, abs=1e-4) and weights == sorted(weights, reverse=True)
    assert [one["what"] for one in said["hypotheses"]] == ["the track"]


def test_a_second_hypothesis_and_how_near_it_is_to_take_over():
    away = [fix(105, 1_575.0, 9_000.0), fix(110, 1_650.0, 9_010.0)]
    said = explained([*CASE, *DRIVE, *away], "T5", 111)
    main, rival = said["hypotheses"]
    assert main["refused_of_last_5"] == 2 and rival["hits"] == 2 and rival["takes_over_at"] == 3
    assert rival["device"] == "gps" and rival["away_m"] == pytest.approx(9_000, rel=0.05)


def test_a_late_fix_changes_what_became_of_those_after_it():
    """A fix that comes late makes three that agree: the refusals of the other two stay, itself took over."""
    away = [fix(105, 1_575.0, 9_000.0), fix(115, 1_725.0, 9_000.0), fix(110, 1_650.0, 9_000.0, came=116)]
    said = explained([*CASE, *DRIVE, *away], "T5", 117)
    assert [(one["entry"], one["outcome"]) for one in said["refused"]] == [(15, "refused"), (17, "refused")]
    assert said["used"][-1]["entry"] == 16 and said["used"][-1]["outcome"] == "moved"


def test_what_is_not_in_the_window_is_told_of_too():
    long = [fix(t, 15.0 * t) for t in range(10, 1_010, 10)]
    false = Decision(action="false_fix", subject="T5", by="anna", device="gps", time_ns=T0 + 995 * NS, operation="A")
    odd = fix(995, 15.0 * 995, 60.0)
    more = [fix(100, 3_000.0, came=1_001), odd, (1_002, false), odd, fix(2_000, 0.0, came=1_003)]
    said = explained([*CASE, *long, *more], "T5", 1_004)
    assert len(said["used"]) == 100  # also those that have left the ring
    reasons = {one["entry"]: one["reason"] for one in said["refused"]}
    assert "decision D107" in reasons[106]
    assert "older than the window" in reasons[105] and "decision D107" in reasons[108] and "clock is ahead" in reasons[109]
    assert said["decisions"] == [{"decision": "D107", "action": "false_fix"}]


def test_an_anonymous_contact():
    ring = tuple((4.0 + dx, 52.0 + dy) for dx, dy in ((-.1, -.1), (.1, -.1), (.1, .1), (-.1, .1), (-.1, -.1)))  # fmt: skip

    def scan(t: float) -> tuple:
        lat, lon = HOME.geodetic(3.0 * t, 0.0)
        seen = Sighting(device="radar", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0)
        return t, Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + int(t * NS), footprint=ring, pd=0.9, clutter_per_km2=0.1,
                       sightings=(seen,))  # fmt: skip

    said = explained([(0, Start(version="x", presets={})), *[scan(t) for t in range(5, 50, 5)]], "T4", 46)
    assert said["hypotheses"][0]["what"] == "an anonymous contact" and said["models"] == []
    assert {one["device"] for one in said["used"]} == {"radar"}


def test_a_contacts_sightings_are_each_there_once_by_the_entry_that_brought_it():
    """Looks that come in late tell later steps anew: one sighting stood up to 14 times, by entries that did not bring it."""
    ring = tuple((4.0 + dx, 52.0 + dy) for dx, dy in ((-.1, -.1), (.1, -.1), (.1, .1), (-.1, .1), (-.1, -.1)))  # fmt: skip

    def scan(t: float, came: float, off_m: float = 0.0) -> tuple:
        lat, lon = HOME.geodetic(8.0 * t, off_m)
        seen = Sighting(device="radar", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0)
        return came, Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + int(t * NS), footprint=ring, pd=0.9,
                          clutter_per_km2=0.1, sightings=(seen,))  # fmt: skip

    late = [scan(t, t + (13 if t % 15 == 0 else 1), off_m=t % 7) for t in range(5, 120, 5)]
    body = sorted(late, key=lambda one: one[0])
    said = explained([(0, Start(version="x", presets={})), *body], "T4", 140)
    brought = {iso_from_ns(one.time_ns): k + 2 for k, (_, one) in enumerate(body)}
    # the first two made it a contact, whose trail begins with the third
    assert [one["time"] for one in said["used"]] == sorted(brought)[2:] and said["hypotheses"][0]["hits"] == len(brought)
    assert all(one["entry"] == brought[one["time"]] and one["received"] for one in said["used"])


def test_every_motion_has_a_name():
    assert len(NAMES) == len(MODES) + 2 == len(set(NAMES))


def test_what_a_row_is_drawn_by_between_two_reports():
    """The motions, a way that goes on, one that turns, a stay, or that a report is overdue: and what its ellipse then holds."""
    case = [CASE[0], CASE[1], (0, Device(device="gps", klass="van", interval_s=600.0)), CASE[3]]
    at, straight = 0.0, [fix(600.0 * k, 9_000.0 * k) for k in range(1, 7)]
    said = explained([*case, *straight], "T5", 3_610)["way"]
    assert said["drawn_by"] == "the motions" and said["holds"] == [] and said["since_last_used_s"] == 10.0
    said = explained([*case, *straight], "T5", 4_000)
    way, [main] = said["way"], said["hypotheses"]
    assert way["drawn_by"] == "its way, which goes on as it did"
    assert (way["goes_on"]["speed_mps"], way["goes_on"]["course_deg"]) == pytest.approx((15.0, 90.0), abs=0.8)
    assert 0.5 < way["goes_on"]["chance"] < 1.0 and way["breaks"] == 0.0
    ended, stopped = way["holds"]
    assert stopped["what"] == "it stopped at once where it was last" and stopped["away_m"] == pytest.approx(6_000, abs=60)
    assert (stopped["lon_deg"], ended["lat_deg"]) == pytest.approx((HOME.geodetic(54_000.0, 0.0)[1], 52.0), abs=2e-2)
    assert main["lon_deg"] == pytest.approx(HOME.geodetic(60_000.0, 0.0)[1], abs=1e-3)
    overdue = explained([*case, *straight], "T5", 3_600 + 4_000)["way"]
    assert overdue["since_last_used_s"] > overdue["overdue_after_s"] and "overdue" in overdue["drawn_by"]
    assert [one["what"] for one in overdue["holds"]][:4] == [
        "it stopped at once where it was last", "it turned square at once to its left", "it turned square at once to its right",
        "it went on as fast as it was seen to go"]  # fmt: skip
    turning, e, n = [], 0.0, 0.0
    for k in range(1, 9):
        at, (e, n) = 600.0 * k, (e + 9_000.0 * (k % 2), n + 9_000.0 * (1 - k % 2))
        turning.append(fix(at, e, n))
    said = explained([*case, *turning], "T5", at + 400)["way"]
    assert said["drawn_by"].endswith("it turns or stops now and then") and said["breaks"] > 0.7
    left = next(one for one in said["holds"] if one["what"] == "it turned square at once to its left")
    # its last leg went north: to its left is west
    lat, lon = HOME.geodetic(e - 6_000.0, n)
    assert (left["lat_deg"], left["lon_deg"]) == pytest.approx((lat, lon), abs=5e-3)
    standing = [fix(600.0 * k, 3.0 * (k % 2)) for k in range(1, 9)]
    said = explained([*case, *standing], "T5", 8 * 600 + 300)["way"]
    assert said["drawn_by"].startswith("its stay") and said["stood_for_s"] == 4_200.0 and said["goes_on"] is None
    json.dumps(said, allow_nan=False)


def test_what_another_clock_would_make_of_it_is_said():
    """Its messages all take 15 s, or its clock is so far behind; it is 3 s ahead, and how long its way is nobody knows."""
    late = [fix(t, 15.0 * t, came=t + 15.0) for t in range(10, 310, 10)]
    [held] = explained([*CASE, *late], "T5", 320)["way"]["holds"]
    assert held["what"] == "its clock is 15 s behind, and its way not so long" and held["away_m"] == pytest.approx(225, abs=15)
    early = [fix(t + 3.0, 15.0 * t, came=t + 0.5) for t in range(10, 310, 10)]
    [held] = explained([*CASE, *early], "T5", 302)["way"]["holds"]
    assert held["what"] == "its messages took 4 s longer than is known" and held["away_m"] == pytest.approx(60, abs=10)
