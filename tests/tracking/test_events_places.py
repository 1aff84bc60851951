"""Visits, passages, crossings, lane stops, deviations and splits: what is one and what is none, by small tracks."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from birddog.geo import LocalFrame, wrap_lon
from birddog.model import Zone
from birddog.units import NS
from tracking.events import batch
from tracking.events.engine import Events
from tracking.events.model import Rules
from tracking.events.places import Places, passed
from tracking.events.sphere import points
from tracking.events.ways import Ways, cell_of, learn
from tracking.forecast import past as archive

_spec = importlib.util.spec_from_file_location("events_of_files", Path(__file__).with_name("test_events.py"))
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)
T0, PLACES, SUEZ, beside = files.T0, files.PLACES, files.SUEZ, files.beside


def told(rows, zones=(), ways=None, kinds=("visit", "portal", "border", "lane_stop", "deviation", "split"), now_s=None):
    now_ns = None if now_s is None else int(now_s * NS)
    return list(batch.events(files.fixes(rows), Rules(), kinds, now_ns, Places(zones), ways))


def ring(home, *corners):
    at = [beside(home, e, n) for e, n in corners]
    return tuple((lon, lat) for lat, lon in [*at, at[0]])


def line(home, *corners):
    return tuple((lon, lat) for lat, lon in (beside(home, e, n) for e, n in corners))


def sailed(name, home, *legs, start_s=T0, step_s=300.0):
    """A track through points (east, north) at speeds (m/s): legs of (e_m, n_m, speed); the first is where it begins."""
    e, n, _ = legs[0]
    rows, t = [(name, start_s, *beside(home, e, n))], start_s
    for to_e, to_n, speed in legs[1:]:
        steps = max(1, round(math.hypot(to_e - e, to_n - n) / speed / step_s)) if speed else round(to_e / step_s)
        for k in range(1, steps + 1):
            here = (e + (to_e - e) * k / steps, n + (to_n - n) * k / steps) if speed else (e + k % 2 * 5.0, n)
            rows.append((name, t + k * step_s, *beside(home, *here)))
        t += steps * step_s
        e, n = (to_e, to_n) if speed else (e, n)
    return rows


def wait(seconds):
    """A leg that stands."""
    return seconds, 0.0, 0.0


# --- ports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", PLACES)
def test_a_visit_is_from_the_first_fix_in_the_port_to_the_last_before_it_is_well_outside(home):
    port = Zone(name="Port", points=((home[1], home[0]),), half_width_m=3000.0, role="port")
    rows = sailed("a", home, (-12_000, 0, 0), (0, 0, 5.0), wait(7200), (3500, 0, 5.0), wait(1200), (12_000, 0, 5.0))
    (event,) = told(rows, [port])
    assert (event.kind, event.ids, event.place, event.end_ns) == ("visit", ("a",), "Port", event.last_ns)
    # 3.5 km out is not left yet: it is left beyond 4 km
    inside = [r[1] for r in rows if abs(r[1] - T0) >= 0 and _away(home, r) <= 4000.0]
    entered = min(r[1] for r in rows if _away(home, r) <= 3000.0)
    assert (event.start_ns, event.end_ns) == (int(entered * NS), int(max(inside) * NS))
    assert event.measures["standing_s"] == 8400.0 and event.measures["fixes"] == len([t for t in inside if t >= entered])


def _away(home, row):
    a, b = points(home[0], home[1]), points(row[2], row[3])
    return math.dist([float(c) for c in a], [float(c) for c in b])


def test_who_only_passes_a_port_visits_nothing_and_who_lies_there_is_told_while_it_lasts():
    port = Zone(name="Port", points=ring(SUEZ, (-2000, -2000), (2000, -2000), (2000, 2000), (-2000, 2000)), role="port")
    assert told(sailed("a", SUEZ, (-12_000, 0, 0), (12_000, 0, 5.0)), [port]) == []
    (event,) = told(sailed("a", SUEZ, (-12_000, 0, 0), (0, 0, 5.0), wait(3600)), [port])
    assert event.end_ns is None
    # silent in the port for hours and then there again: it stood, whatever it did
    rows = sailed("a", SUEZ, (-12_000, 0, 0), (0, 0, 5.0))
    rows += [("a", rows[-1][1] + 5 * 3600.0, *beside(SUEZ, 1500, 0))]
    (event,) = told(rows, [port])
    assert event.measures["longest_silence_s"] == 5 * 3600.0


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", PLACES)
def test_a_line_is_passed_where_and_when_the_way_between_two_fixes_goes_over_it(home):
    gate = Zone(name="Gate", points=line(home, (1100, -2000), (1100, 2000)), role="gate")
    rows = sailed("a", home, (-3000, 0, 0), (3000, 0, 5.0), step_s=200.0)
    (event,) = told(rows, [gate])
    assert (event.kind, event.place, event.measures["to_the_right"]) == ("portal", "Gate", True)
    crossed_s = event.start_ns / NS + event.measures["passed_after_s"] - T0
    assert crossed_s == pytest.approx(4100 / 5.0, abs=25.0) and event.measures["speed_mps"] == pytest.approx(5.0, rel=0.05)
    away = _away(beside(home, 1100, 0), ("a", 0, event.lat_deg, event.lon_deg))
    assert away < 30.0 and -180.0 < event.lon_deg <= 180.0
    back = told([(n, 2 * T0 + 10_000 - t, lat, lon) for n, t, lat, lon in rows], [gate])
    assert [e.measures["to_the_right"] for e in back] == [False]
    beyond = Zone(name="Gate", points=line(home, (1000, 300), (1000, 2000)), role="gate")
    assert told(rows, [beyond]) == []


def test_a_line_is_not_passed_over_a_hole_nor_by_who_comes_straight_back_and_a_corner_counts_once():
    gate = Zone(name="Gate", points=line(SUEZ, (0, -2000), (0, 0), (0, 2000)), role="gate")
    at = [("a", T0, *beside(SUEZ, -500, 0)), ("a", T0 + 4000, *beside(SUEZ, 500, 0))]
    assert told(at, [gate]) == []
    hook = Zone(name="Hook", points=line(SUEZ, (0, -100), (100, 0), (0, 100)), role="gate")
    step = [("a", T0, *beside(SUEZ, 50, -900)), ("a", T0 + 600, *beside(SUEZ, 50, 900))]  # in and out again
    assert told(step, [hook]) == []
    # through the corner of two edges, from many sides: once, never twice or not at all
    for k in range(36):
        e, n = 400 * math.sin(k / 36 * 6.283), 400 * math.cos(k / 36 * 6.283)
        if abs(e) < 1.0:
            continue
        corner = beside(SUEZ, 0, 0)
        a, b = (corner[0] + n / 1e5, corner[1] + e / 1e5), (corner[0] - n / 1e5, corner[1] - e / 1e5)
        mine = Zone(name="G", points=((corner[1], corner[0] - 0.02), (corner[1], corner[0]), (corner[1], corner[0] + 0.02)))
        fixes = [(i, *(float(c) for c in points(*p)), *p) for i, p in ((0, a), (NS, b))]
        assert passed(*fixes, mine) is not None, k


# --- borders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", PLACES[:2] + PLACES[3:])
def test_a_border_is_crossed_between_the_last_fix_on_one_side_and_the_first_well_on_the_other(home):
    land = Zone(name="Land", points=ring(home, (0, -30_000), (60_000, -30_000), (60_000, 30_000), (0, 30_000)), role="border")
    rows = sailed("a", home, (-6000, 0, 0), (6000, 0, 4.0), wait(3600), (-6000, 0, 4.0))
    into, out = told(rows, [land])
    assert (into.kind, into.place, into.measures["entered"], out.measures["entered"]) == ("border", "Land", True, False)
    assert into.start_ns / NS < T0 + 1500 < into.end_ns / NS + 1 and abs(wrap_lon(into.lon_deg - home[1])) < 0.02
    # along the border, to and fro within the margin: nothing
    along = [("a", T0 + 60 * k, *beside(home, 40 * (-1) ** k, -20_000 + 300 * k)) for k in range(60)]
    assert told(along, [land]) == []


def test_a_border_that_was_crossed_in_silence_was_crossed():
    land = Zone(name="Land", points=ring(SUEZ, (0, -30_000), (60_000, -30_000), (60_000, 30_000), (0, 30_000)), role="border")
    rows = [("a", T0 + 600 * k, *beside(SUEZ, -9000, 0)) for k in range(3)]
    rows += [("a", T0 + 30_000 + 600 * k, *beside(SUEZ, 9000, 0)) for k in range(3)]
    (event,) = told(rows, [land])
    assert event.measures["over_a_hole"] and event.measures["duration_s"] == 28_800 and event.confidence < 0.1


# --- used ways -----------------------------------------------------------------------------------


def lane(home=SUEZ, vessels=12, length_m=60_000.0, speed=6.0):
    """The archive of a lane from west to east; two stop in the roads at its end."""
    rows = []
    for v in range(vessels):
        legs = [(0, 30.0 * v, 0), (length_m, 30.0 * v, speed)]
        rows += sailed(f"p{v}", home, *legs, *([wait(7200)] if v < 4 else []), start_s=T0 - 86_400 + 1800 * v)
    names = sorted({r[0] for r in rows})
    columns = [np.array(c) for c in zip(*((names.index(n), t, lat, lon) for n, t, lat, lon in rows), strict=True)]
    return archive.build(names, *columns)


def test_the_table_counts_tracks_once_a_cell_and_knows_where_some_stood():
    ways = Ways(learn(lane()))
    cell_lat, cell_lon = beside(SUEZ, 30_000, 200)
    found = ways.lane(cell_lat, cell_lon, Rules().lane_stop)
    assert found is not None and found["others_passed"] == 12 and found["others_stood"] == 0
    assert found["usual_speed_mps"] == pytest.approx(6.0, rel=0.1)
    assert ways.lane(*beside(SUEZ, 60_000, 150), Rules().lane_stop) is None  # where four of them lay
    assert ways.usual(cell_lat, cell_lon, 2) == 12 and ways.usual(cell_lat, cell_lon, 6) == 0
    assert ways.usual(*beside(SUEZ, 30_000, 20_000), 2) == 0
    for lat, lon in ((cell_lat, cell_lon), (-89.99, 12.0), (12.0, 180.0), (0.0, -180.0), (90.0, 0.0)):
        assert cell_of(lat, lon, 2000.0) == int(archive.cell_of(np.float64(lat), np.float64(lon), 2000.0))


def test_what_is_learned_is_what_was_known_by_then():
    past = lane()
    until = float(np.median(past.t_s))
    ways = Ways(learn(past, until))
    assert 0 < ways.usual(*beside(SUEZ, 10_000, 200), 2) < 12


def test_the_vessel_that_stops_where_nobody_stops():
    ways = Ways(learn(lane()))
    rows = sailed("a", SUEZ, (0, 100, 0), (30_000, 100, 6.0), wait(5400), (60_000, 100, 6.0), wait(7200))
    (event,) = told(rows, ways=ways)
    assert (event.kind, event.end_ns is not None, event.measures["others_passed"]) == ("lane_stop", True, 12)
    assert event.measures["duration_s"] >= 5400 and event.start_ns == (T0 + 5100) * NS
    # and it is told with the fix that makes it half an hour
    engine, at = Events(kinds=("lane_stop",), ways=ways), []
    for name, t, lat, lon in rows:
        at += [t for one in engine.fix(name, int(t) * NS, lat, lon) if one.what == "began"]
    assert at == [event.start_ns / NS + 1800]


def test_who_leaves_the_used_way_deviates_and_who_keeps_to_it_or_never_was_on_it_does_not():
    ways = Ways(learn(lane()))
    assert told(sailed("a", SUEZ, (0, 200, 0), (60_000, 200, 6.0)), ways=ways) == []
    assert told(sailed("a", SUEZ, (0, 20_000, 0), (60_000, 20_000, 6.0)), ways=ways) == []
    rows = sailed("a", SUEZ, (0, 200, 0), (24_000, 200, 6.0), (30_000, 16_000, 6.0), (40_000, 16_000, 6.0), (52_000, 200, 6.0),
                  (60_000, 200, 6.0))  # fmt: skip
    (event,) = told(rows, ways=ways)
    assert event.kind == "deviation" and event.end_ns is not None and event.measures["away_m"] > 14_000
    # against the way that everybody goes is none of theirs either
    against = sailed("a", SUEZ, (0, 200, 0), (30_000, 200, 6.0), (8000, 200, 6.0))
    assert [e.kind for e in told(against, ways=ways)] == ["deviation"]
    assert told(rows, ways=Ways(learn(archive.build([], *[np.zeros(0)] * 4)))) == []


# --- splits --------------------------------------------------------------------------------------


def test_two_that_travelled_together_and_part_are_a_split_and_two_that_arrive_are_none():
    lead = sailed("a", SUEZ, (0, 0, 0), (60_000, 0, 5.0))
    with_it = sailed("b", SUEZ, (-600, 100, 0), (30_000, 100, 5.0), (42_000, 24_000, 5.0))
    together, apart = told(lead + with_it, kinds=("cotravel", "split"))
    assert (apart.kind, apart.ids, apart.start_ns) == ("split", ("a", "b"), together.end_ns)
    assert apart.measures["apart_m"] > 2000.0 and apart.measures["together_s"] > 3600.0 and apart.end_ns > apart.start_ns
    # where they were last together, not the middle of the way that they went
    east_m, _ = LocalFrame(lat_deg=SUEZ[0], lon_deg=SUEZ[1]).en(lat_deg=apart.lat_deg, lon_deg=apart.lon_deg)
    assert 27_000.0 < east_m < 33_000.0
    stays = sailed("b", SUEZ, (-600, 100, 0), (60_000, 100, 5.0), wait(7200))
    arrived = sailed("a", SUEZ, (0, 0, 0), (60_000, 0, 5.0), wait(7200))
    assert [e.kind for e in told(arrived + stays, kinds=("cotravel", "split"))] == ["cotravel"]
    # one that falls silent has not parted, as far as anybody saw
    silent = [r for r in with_it if r[1] < T0 + 6300]
    assert [e.kind for e in told(lead + silent, kinds=("cotravel", "split"))] == ["cotravel"]


@pytest.mark.parametrize("home", [SUEZ, *PLACES[1:]])
def test_a_file_looks_at_the_fixes_near_places_alone_and_says_what_is_said_one_by_one(home):
    # out over the edge by less than the margin, beyond the box of the ring, for several fixes, before it is well outside
    border = Zone(name="edge", points=ring(home, (0, -4000), (4000, -4000), (4000, 4000), (0, 4000)), role="border")
    port = Zone(name="Port", points=((beside(home, 2000, 0)[1], beside(home, 2000, 0)[0]),), half_width_m=1000.0, role="port")
    gate = Zone(name="gate", points=line(home, (-40, -5000), (-40, 5000)), role="gate")
    legs = [(40_000, 0, 0), (2000, 0, 5.0), wait(7200), (-50, 0, 5.0), wait(1800), (-30, 0, 1.0), wait(1200), (-40_000, 0, 5.0),
            (2000, 0, 5.0), wait(2400), (2000, 30_000, 5.0)]  # fmt: skip
    rows = sailed("a", home, *legs) + sailed("b", home, (0, 30_000, 0), (2000, 60_000, 5.0))
    engine = Events(kinds=("visit", "portal", "border"), places=Places([port, gate, border]))
    one_by_one = []
    for name, t, lat, lon in sorted(rows, key=lambda r: r[1]):
        one_by_one += [t.event for t in engine.fix(name, round(t * NS), lat, lon) if t.what == "ended"]
    of_the_file = [e for e in told(rows, [port, gate, border]) if e.end_ns is not None]
    assert {e.key: e for e in one_by_one} == {e.key: e for e in of_the_file}
    assert sorted(e.kind for e in of_the_file) == ["border"] * 4 + ["portal"] * 4 + ["visit"] * 2


def test_other_places_from_now_on_end_the_visits_under_way_and_correct_nothing_of_before():
    port = Zone(name="Port", points=((SUEZ[1], SUEZ[0]),), half_width_m=3000.0, role="port")
    engine, heard = Events(places=Places([port])), []
    for name, t, lat, lon in sailed("a", SUEZ, (0, 0, 0), wait(7200)):
        heard += engine.fix(name, int(t) * NS, lat, lon)
    assert [(t.what, t.event.kind) for t in heard] == [("began", "visit"), ("began", "stop")]
    over = engine.learn(Places([]), None)
    assert [(t.what, t.event.kind) for t in over] == [("ended", "visit")]
    again = Events.of(engine.packed())
    assert again.places.zones == () and Events.of(again.packed()).packed() == again.packed()
    assert [t.what for t in engine.fix("a", (T0 + 450) * NS, *SUEZ)] == ["too_late"]
    assert engine.fix("a", (T0 + 7500) * NS, *SUEZ) == []
