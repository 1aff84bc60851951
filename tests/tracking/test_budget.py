"""The alert budget sets the thresholds of all rules that decide by chance, the same in live, restored and rebuilt folds."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import msgspec
import pytest

from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Flag, Operation, Placement, Reading, Scan, Sighting, TagRead, Tick, Zone
from birddog.units import NS
from tracking.area import ring_km2
from tracking.budget import LASTS_S, AlertBudget, Allowed, lost_share, missed, rounded
from tracking.presets import presets_from

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
SHIFT_S = 28_800.0


def fix(device, t, e=0.0, n=0.0, **more):
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, **({"sigma_m": 5.0} | more))


# --- what a threshold costs, by what is seen when all is well ---


@pytest.mark.parametrize(("lost", "share"), [(0.05, 0.5), (0.3, 0.5), (0.3, 0.05)])
def test_a_silence_is_false_as_often_as_was_asked(lost, share):
    """2,000 shifts of a device that sends each minute: runs of so many lost messages as the share allows, and no fewer."""
    rng, messages, shifts = random.Random(1), 480, 2000
    run_least, false, run = missed(share, messages, lost), {0: 0, 1: 0}, 0
    for _ in range(messages * shifts):
        run = run + 1 if rng.random() < lost else 0
        for less in (0, 1):
            false[less] += run == run_least - less
    assert false[0] / shifts < 1.1 * share < 1.2 * false[1] / shifts


def test_the_thresholds_are_where_their_rules_cost_the_share():
    allowed = Allowed(share=0.1, shift_s=SHIFT_S, tracks=16)
    gate = allowed.read_gate(5.0, 25.0)
    assert 16 * SHIFT_S / 5.0 * math.exp(-gate / 2.0) == pytest.approx(0.1)
    z = allowed.edge_sigmas(2, 0.0)
    assert 16 * 2 * SHIFT_S / LASTS_S * (1.0 - NormalDist().cdf(z)) == pytest.approx(0.1)
    twice = allowed.edge_sigmas(2, LASTS_S)
    assert 16 * 2 * SHIFT_S / LASTS_S * (1.0 - NormalDist().cdf(twice)) ** 2 == pytest.approx(0.1)
    assert allowed.dark_score(50.0, 5.0) == pytest.approx(math.log(500.0)) and allowed.dark_score(1.0, 5.0) == 5.0


def test_whoever_bears_more_is_told_sooner_and_more_tracks_share_it():
    strict, loose, many = Allowed(0.01, SHIFT_S, 4), Allowed(10.0, SHIFT_S, 4), Allowed(0.01, SHIFT_S, 4096)
    for of in (lambda a: a.silent_factor(60.0, 0, 500), lambda a: a.drift_alarm(), lambda a: a.read_gate(5.0, 10.0),
               lambda a: a.edge_sigmas(1, 0.0), lambda a: a.dark_score(3.0, 1.0) / a.tracks ** 0.0):  # fmt: skip
        assert of(loose) < of(strict) <= of(many)
    assert loose.silent_factor(60.0, 0, 0) >= 2.5 and many.silent_factor(0.1, 10**6, 10**6) <= 60.5
    assert [rounded(n) for n in (0, 1, 2, 3, 5, 1000)] == [1, 1, 2, 4, 8, 1024]


def test_the_share_that_is_lost_is_learnt():
    assert lost_share(0, 0) == 0.05 and lost_share(0, 1000) < 0.003 and 0.3 < lost_share(400, 1000) < 0.5
    assert lost_share(10**9, 5) == 0.8
    assert lost_share(3, 1024) == lost_share(3, 2047), "with each message more nothing changes"


NO_BUDGET = [
    {"false_per_shift": 0}, {"false_per_shift": -1}, {"false_per_shift": 1e-306}, {"shift_h": 0.0}, {"cases": 0}, {"x": 1}
]  # fmt: skip


@pytest.mark.parametrize("said", NO_BUDGET)
def test_a_budget_that_cannot_be_is_refused(said):
    with pytest.raises(UsageError, match="alerts"):
        presets_from({"alerts": said})
    assert presets_from({}).alerts.share(1) is None and AlertBudget(false_per_shift=8.0, cases=3).share(4) == 0.5


def test_the_area_of_a_ring():
    corners = ((0, 0), (2000, 0), (2000, 3000), (0, 3000), (0, 0))
    ring = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in corners))
    assert ring_km2(ring) == pytest.approx(6.0, rel=0.01) and ring_km2(()) == 0.0


# --- in the fold ---


def attached(j, device, shipment="goods", operation="A", **more):
    j.add(0, Device(device=device, klass="van", **({"interval_s": 10.0} | more)))
    j.add(0, Attachment(device=device, shipment=shipment, operation=operation, from_ns=0))


def lossy(j, lost, until_s, seed=1):
    """A van that stands and reports each 10 s, of which so many are lost; then it is silent."""
    rng = random.Random(seed)
    for t in range(0, until_s, 10):
        if rng.random() >= lost:
            j.say(t, fix("a", t, rng.gauss(0, 4), rng.gauss(0, 4)))
        else:
            j.add(t, Tick())
    for t in range(until_s, until_s + 1200, 5):
        j.add(t, Tick())
    return [e for e in j.happened("silent") if e.end_ns is not None], j.happened("silent")[-1]


@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_a_link_that_loses_half_is_not_silent_at_every_turn_and_a_good_one_is_missed_soon(journal, lost):
    told = {}
    for budget in (None, 3.0):
        j = journal(presets={} if budget is None else {"alerts": {"false_per_shift": budget}})
        j.add(0, Operation(operation="A"))
        attached(j, "a")
        false, last = lossy(j, lost, 7200)
        first = next(e for e in j.events("silent") if e.event_id == last.event_id)
        told[budget] = len(false), int(first.text.split(" for ")[1].split(" s")[0])
    assert told[None] == ((0, 50) if not lost else (told[None][0], 50))
    if lost:
        assert told[None][0] > 6 and told[3.0][0] <= 3 and 80 <= told[3.0][1] <= 300, told
    else:
        assert told[3.0] == (0, 25) or 25 <= told[3.0][1] <= 45, told


@pytest.mark.parametrize("budget", [0.1, 30.0])
def test_a_restored_fold_tells_the_same(journal, budget):
    """Everything that the thresholds rest on is in the snapshot (the conftest's journal restores before each entry)."""
    ring = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in (
        (-900, -900), (900, -900), (900, 900), (-900, 900), (-900, -900))))
    j, rng = journal(presets={"alerts": {"false_per_shift": budget}}, restart=True), random.Random(2)
    zones = (Zone(name="yard", points=ring, dwell_s=20.0),)
    j.add(0, Operation(operation="A", area=ring, zones=zones))
    for device in ("a", "b"):
        attached(j, device)
    attached(j, "urn:epc:tag:sgtin-96:1.1.1.1")
    j.add(0, Device(device="reader", basis="own_sensor"))
    lat, lon = HOME.geodetic(700.0, 0.0)
    j.add(0, Placement(device="reader", lat_deg=lat, lon_deg=lon, range_m=10.0, from_ns=0))
    for t in range(0, 600, 10):
        off = 1.0 * max(0, t - 300)
        if rng.random() > 0.3:
            j.say(t, fix("a", t, 5.0 * t - 1500 + rng.gauss(0, 5), rng.gauss(0, 5)))
        j.say(t + 3, fix("b", t + 3, 5.0 * (t + 3) - 1500 + rng.gauss(0, 5), off + rng.gauss(0, 5)))
        if t == 200:
            j.say(t, TagRead(device="reader", epc="urn:epc:tag:sgtin-96:1.1.1.1", time_ns=T0 + t * NS))
        seen = tuple(Sighting(device="radar", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0)
                     for lat, lon in (HOME.geodetic(rng.uniform(-900, 900), rng.uniform(-900, 900)) for _ in range(2)))
        j.add(t + 4, Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + t * NS, footprint=ring, pd=0.9, clutter_per_km2=0.5,
                          sightings=seen))  # fmt: skip
    assert {"parted"} <= {e.kind for e in j.happened()}
    found = j.fold.thresholds()
    assert set(found["A"]) == {"share", "silent", "drift", "parted", "arrived", "dark_vessel"}
    assert found["A"]["share"] == pytest.approx(budget / 4 / 5, abs=1e-3) and "dark_vessel" in found["open"]


def test_what_another_case_has_changes_no_threshold(journal):
    alone, beside = (journal(presets={"alerts": {"false_per_shift": 3.0}}) for _ in range(2))
    for j in (alone, beside):
        j.add(0, Operation(operation="A"))
        attached(j, "a")
        j.say(1, fix("a", 1))
    beside.add(2, Operation(operation="B"))
    for k in range(40):
        attached(beside, f"b{k}", f"goods {k}", "B")
        beside.say(3, fix(f"b{k}", 3))
    assert alone.fold.thresholds()["A"] == beside.fold.thresholds()["A"]
    assert beside.fold.thresholds()["A"]["silent"] < beside.fold.thresholds()["B"]["silent"]
    assert journal().fold.thresholds() == {}


def test_a_false_fix_makes_no_drift_of_two_receivers(journal):
    """A reflection three kilometres off, now and then: the places before and after it say how far the two are apart."""
    j, rng = journal(), random.Random(6)
    j.add(0, Operation(operation="A"))
    for device in ("a", "b"):
        attached(j, device)
    for t in range(0, 2400, 10):
        far = 3000.0 if t > 200 and t % 300 == 0 else 0.0
        j.say(t, fix("a", t, 12.0 * t + rng.gauss(0, 4) + far, rng.gauss(0, 4) + far))
        j.say(t + 4, fix("b", t + 4, 12.0 * (t + 4) + rng.gauss(0, 4), rng.gauss(0, 4)))
    assert j.happened("drift", "distrusted") == []


def test_a_door_says_its_own_kind_whatever_the_budget(journal):
    j = journal(presets={"alerts": {"false_per_shift": 1e-6}})
    j.say(10, Reading(device="door", time_ns=T0 + 10 * NS, quantity="door_open", value=True))
    assert len(j.happened("door_opened")) == 1


def image(t, spots, side_m=30_000.0, expected=3.0):
    """A scene with flags at (e, n, rarity), in which so many false ones are to be expected."""
    ring = tuple((lon, lat) for lat, lon in (HOME.geodetic(e * side_m, n * side_m) for e, n in (
        (-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))))  # fmt: skip
    places = [HOME.geodetic(e, n) for e, n, _ in spots]
    flags = tuple(
        Flag(flag_id=f"{t}/{k}", detector="cfar", score=9.0, pfa=1e-6, col=0.0, row=0.0, bbox_px=(0, 0, 1, 1), lat_deg=lat,
             lon_deg=lon, r_ee=400.0, r_en=0.0, r_nn=400.0, rarity=rarity)
        for k, ((lat, lon), (_, _, rarity)) in enumerate(zip(places, spots, strict=True))
    )  # fmt: skip
    return Scan(scan_id=f"i{t}", sensor="sar", time_ns=T0 + t * NS, footprint=ring, pd=0.9, flags=flags,
                clutter_per_km2=expected / ring_km2(ring))  # fmt: skip


@pytest.mark.parametrize(("budget", "least", "most"), [(3.0, 0.5, 2.0), (60.0, 0.6, 1.4)])
def test_what_an_image_shows_is_told_of_as_often_as_the_budget_has_it(journal, budget, least, most):
    """Eighteen shifts of scenes each half hour, with nothing in them but what the detector's rate makes: false flags whose
    rarity is exponential.  Without a budget each of 860 is an alert; two that fall on one place in a week are told of too."""
    told, shifts = 0, 6
    for seed in (1, 3, 4):
        j, rng = journal(presets={"alerts": {"false_per_shift": budget}}), random.Random(seed)
        for t in range(1800, shifts * 28_800, 1800):
            many = range(sum(rng.random() < 0.3 for _ in range(10)))
            j.add(t + 5, image(t, [(rng.uniform(-3e4, 3e4), rng.uniform(-3e4, 3e4), rng.expovariate(1.0)) for _ in many]))
        told += len(j.happened("dark_vessel"))
    share = budget / 4 / 2  # of open, whose other rule is that of silence
    assert least * share <= told / shifts / 3 <= most * share, told


def test_a_rare_flag_is_told_at_once_and_a_common_one_when_it_is_seen_again(journal):
    j = journal(presets={"alerts": {"false_per_shift": 3.0}}, restart=True)
    j.add(5, image(0, [(0.0, 0.0, 20.0), (9000.0, 0.0, 1.0), (0.0, 9000.0, None)]))
    assert {e.flag_id for e in j.happened("dark_vessel")} == {"0/0", "0/2"}, "who does not say how rare is believed"
    assert j.fold.thresholds()["open"]["dark_flag"] > 1.0
    j.add(3605, image(3600, [(9010.0, 5.0, 1.0), (-9000.0, 0.0, 1.0)]))
    assert {e.flag_id for e in j.happened("dark_vessel")} == {"0/0", "0/2", "3600/0"}


def test_an_image_without_flags_is_no_sweep_of_a_radar(journal):
    """It counted as one, and the rule of a radar's dark vessels took a part of the budget where there is no radar."""
    empty = msgspec.structs.replace(image(0, []), scene_sha256="ab" * 32, scene_name="S1A")
    rules = []
    for first in (image(0, [(0.0, 0.0, 20.0)]), empty):
        j = journal(presets={"alerts": {"false_per_shift": 3.0}})
        j.add(5, first)
        rules.append(set(j.fold.thresholds()["open"]))
    assert rules[0] == rules[1] and "dark_flag" in rules[1] and "dark_vessel" not in rules[1]
