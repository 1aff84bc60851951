"""Loads that are split at a halt, and what parts from nothing: who, from whom, where and between which times."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from birddog.model import Attachment, Fix, Operation
from birddog.units import NS
from opsroom.alerts import Alerts
from tracking.events import batch
from tracking.events.engine import Events
from tracking.events.live import LiveEvents
from tracking.events.model import QUICK
from tracking.events.tracks import tracks

T0 = 1_790_000_000
LAT, LON = 51.3, 4.1
M = 1.0 / 111_194.93


def way(*legs, at=(0.0, 0.0)):
    """Where something is each second: legs of (seconds, m/s, course)."""
    speed = np.concatenate([np.full(int(s), v) for s, v, _ in legs])
    course = np.radians(np.concatenate([np.full(int(s), float(c)) for s, _, c in legs]))
    steps = np.stack((speed * np.sin(course), speed * np.cos(course)), 1)
    return np.array(at) + np.concatenate(([[0.0, 0.0]], np.cumsum(steps, 0)))


def place(e_m, n_m):
    return float(LAT + n_m * M), float(LON + e_m * M / math.cos(math.radians(LAT)))


def reports(names, ways, every_s, seed, sigma_m=5.0):
    """What each says: fixes at times of its own."""
    rng, out = np.random.default_rng(seed), []
    for k, (name, on) in enumerate(zip(names, ways, strict=True)):
        for t in range(k * every_s // len(names), len(on), every_s):
            out.append((t, name, *place(*(on[t] + rng.normal(0, sigma_m, 2)))))
    return sorted(out)


def told(rows, kinds=("split",)):
    """What is told one by one, which is what is told of the file; each split by its two."""
    engine, heard = Events(QUICK, kinds, late_s=3600), {}
    for t, name, lat, lon in rows:
        for one in engine.fix(name, (T0 + t) * NS, lat, lon):
            assert one.what in ("began", "ended")
            heard[one.event.key] = one.event
    names = sorted({name for _, name, _, _ in rows})
    columns = [np.array(c) for c in zip(*((names.index(n), (T0 + t) * NS, lat, lon) for t, n, lat, lon in rows), strict=True)]
    fixes = tracks(names, *columns, reach_mps=QUICK.reach_mps, thin_s=QUICK.thin_s)
    of_the_file = {e.key: e for e in batch.events(fixes, QUICK, ("split",), engine.now_ns)}
    assert of_the_file == {key: e for key, e in heard.items() if e.kind == "split"}
    return {tuple(sorted(e.ids)): e for e in of_the_file.values()}


def load(halt_s, every_s, seed):
    """Four tags on a lorry for half an hour or six reports; at a halt g0 goes on with another lorry, which leaves first."""
    rng = np.random.default_rng(seed)
    drive, after = max(1800, 6 * every_s), max(2400, 6 * every_s)
    lorry = way((600, 0, 0), (drive, 16, 40), (halt_s, 0, 0), (after, 18, 50))
    leaves = 600 + drive + int(0.6 * halt_s)
    halt = lorry[leaves]
    other = way((len(lorry) - 1 - leaves, rng.uniform(13, 24), 50 + rng.uniform(60, 170)), at=halt + (15, 10))
    g0 = np.concatenate((lorry[:leaves], other))
    names = ("g0", "g1", "g2", "g3")
    return reports(names, (g0, lorry, lorry, lorry), every_s, seed), halt, leaves


@pytest.mark.parametrize("halt_s", [900, 1800, 4 * 3600])
@pytest.mark.parametrize("every_s", [10, 30, 120, 600])
def test_a_load_that_is_split_at_a_halt_of_any_length_is_told_with_place_and_time(halt_s, every_s):
    rows, halt, leaves = load(halt_s, every_s, halt_s + every_s)
    found = told(rows)
    assert set(found) == {("g0", "g1"), ("g0", "g2"), ("g0", "g3")}
    for event in found.values():
        assert event.start_ns - 60 * NS <= (T0 + leaves) * NS <= event.end_ns
        assert event.start_ns >= (T0 + leaves - 60 - max(60, every_s)) * NS
        lat, lon = place(*halt)
        off_m = math.hypot((event.lat_deg - lat) / M, (event.lon_deg - lon) / M * math.cos(math.radians(LAT)))
        assert off_m < (60.0 if every_s <= 120 else 30.0 + event.measures["place_m"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every_s", [120, 600])
def test_what_stays_together_parts_from_nothing_however_seldom_it_reports(every_s, seed):
    rng, legs = np.random.default_rng(seed), [(600, 0, 0)]
    for _ in range(4):  # roads that bend, lights, rounds of a town, halts
        course = rng.uniform(0, 360)
        legs += [(2400, 18, course), (rng.choice((60, 300, 1200)), 0, 0)]
        for _ in range(6):
            away = rng.uniform(0, 360)
            legs += [(rng.uniform(60, 240), 14, away), (rng.uniform(30, 400), 0, 0)]
            legs += [(rng.uniform(60, 240), 14, away + rng.choice((90, 180)))]
    lorry = way(*legs)
    assert told(reports(("g0", "g1", "g2", "g3"), [lorry] * 4, every_s, seed)) == {}


@pytest.mark.parametrize("every_s", [10, 60, 600])
def test_two_lorries_that_stood_beside_each_other_overnight_part_from_nothing(every_s):
    """Each with two tags; they were never under way together."""
    one = way((600, 0, 0), (3600, 18, 30), (7 * 3600, 0, 0), (3600, 18, 80))
    two = way((2100, 0, 0), (3600, 15, 200), (6 * 3600 + 900, 0, 0), (3600, 15, 250))
    two += one[4300] + (12, 0) - two[5800]
    assert told(reports(("g0", "g1", "h0", "h1"), (one, one, two, two), every_s, 1)) == {}


@pytest.mark.parametrize("every_s", [10, 30, 60, 120])
def test_one_false_fix_while_a_load_rests_parts_nothing_and_hides_no_split_after_it(every_s):
    rows, halt, leaves = load(2 * 3600, every_s, every_s)
    false = next(k for k, (t, name, _, _) in enumerate(rows) if name == "g1" and t > leaves - 2400)
    rows[false] = (*rows[false][:2], *place(halt[0] + 900.0, halt[1] - 700.0))
    found = told(rows)
    assert set(found) == {("g0", "g1"), ("g0", "g2"), ("g0", "g3")}
    assert all(event.start_ns - 60 * NS <= (T0 + leaves) * NS <= event.end_ns for event in found.values())


@pytest.mark.parametrize("lag_s", [5, 20, 45])
def test_a_convoy_that_rests_and_goes_on_has_not_parted_and_one_that_rests_and_goes_two_ways_has(lag_s):
    legs = ((600, 0, 0), (2400, 18, 30), (2400, 0, 0), (2400, 18, 60))
    lead = way(*legs)
    behind = np.concatenate((np.repeat(lead[:1], lag_s, 0), lead[:-lag_s]))
    assert told(reports(("a", "b"), (lead, behind), 10, 1)) == {}
    away = np.concatenate((behind[:4800], way((len(behind) - 4801, 18, 200), at=behind[4800])))
    (event,) = told(reports(("a", "b"), (lead, away), 10, 1)).values()
    assert (T0 + 4700) * NS <= event.start_ns <= (T0 + 4800) * NS <= event.end_ns


@pytest.mark.parametrize("seed", range(3))
def test_a_split_after_a_halt_is_the_same_however_late_the_fixes_come_and_wherever_it_was_put_down(seed):
    rows, _, _ = load(1800, 30, seed)
    rng = np.random.default_rng(seed)
    late = rng.choice((0.0, 0.0, 0.0, 900.0, 2400.0), len(rows)) * rng.random(len(rows))
    engine, standing = Events(QUICK, ("split",), late_s=3600), {}
    for k in np.argsort(np.array([row[0] for row in rows]) + late, kind="stable").tolist():
        t, name, lat, lon = rows[k]
        if k % 97 == 0:
            engine = Events.of(engine.packed())
        out = engine.pass_time(round((T0 + t + late[k]) * NS)) + engine.fix(name, (T0 + t) * NS, lat, lon)
        for one in out:
            if one.was is not None:
                standing.pop(one.was.key, None)
            if one.event is not None:
                standing[one.event.key] = one.event
    in_order = told(rows)
    assert {tuple(sorted(e.ids)): e for e in standing.values() if e.kind == "split"} == in_order and len(in_order) == 3


def watched(journal):
    """A case whose four shipments are a load that is split, and the rows told of it; put down and taken up now and then."""
    case, live, out = journal(), LiveEvents(), []
    case.add(1.0, Operation(operation="A"))
    names = ("g0", "g1", "g2", "g3")
    for name in names:
        case.add(2.0, Attachment(device=name, operation="A", shipment="crate " + name, from_ns=0))
    for k, (t, name, lat, lon) in enumerate(load(900, 30, 3)[0]):
        if k % 100 == 99:
            live = LiveEvents.restore(live.snapshot())
        changes = case.say(t + 5.0, Fix(device=name, time_ns=(T0 + t) * NS, sigma_m=5.0, lat_deg=lat, lon_deg=lon))
        called = {track: "crate " + row.tag_id for track, row in case.rows().items()}
        fold = case.fold
        out += live.apply(case.seq, fold.now_ns, changes, fold.numbers, "quick", fold.directory, called.__getitem__)
    return case, out


def test_who_leaves_is_one_row_that_names_whom_it_left_and_one_alert_of_a_case(journal):
    case, rows = watched(journal)
    splits = [row for row in rows if row.kind == "split"]
    assert len({row.event_id for row in splits}) == 1 and splits[-1].operation == "A"
    ids = {track.tag_id: name for name, track in case.rows().items()}
    assert splits[-1].track_ids[0] == ids["g0"] and set(splits[-1].track_ids) == set(ids.values())
    assert splits[-1].measures["left"] == 1
    assert splits[-1].text.startswith("crate g0 parted from crate g1, crate g2 and crate g3: together for ")
    alerts = Alerts()
    raised = [alerts.event(row) for row in splits]
    assert {a.alert_id for a in raised} == {"A" + splits[0].event_id} and raised[-1].track_id == ids["g0"]
    assert raised[-1].open and raised[-1].severity == "critical" and raised[-1].text == splits[-1].text
    # of what is under no case any two may part
    assert alerts.event(msgspec.structs.replace(splits[-1], event_id="H9", operation="open")) is None
