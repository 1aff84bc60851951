"""Who is in a zone, with what noise, and what is told of it: once, and never because a receiver shivers beside an edge."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame, wrap_lon
from birddog.model import (
    Attachment,
    Device,
    Fix,
    FrameBody,
    Operation,
    Start,
    Tick,
    Zone,
)
from birddog.units import NS
from tracking.depth import depth_m
from tracking.zones import Presence, seen

T0 = 1_790_000_000 * NS


def square(lat_deg: float = 52.0, lon_deg: float = 4.0, side_m: float = 400.0, **words) -> Zone:
    frame, r = LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg), side_m / 2
    places = [frame.geodetic(e, n) for e, n in ((-r, -r), (r, -r), (r, r), (-r, r), (-r, -r))]
    return Zone(name="yard", points=tuple((lon, lat) for lat, lon in places), **words)


def line(lat_deg: float = 52.0, lon_deg: float = 4.0, **words) -> Zone:
    frame = LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg)
    places = [frame.geodetic(e, n) for e, n in ((-5000, 0), (0, 0), (0, 5000))]
    return Zone(name="road", points=tuple((lon, lat) for lat, lon in places), half_width_m=200.0, **words)


def told(zone: Zone, path, sigma_m: float = 5.0, lat_deg: float = 52.0, lon_deg: float = 4.0) -> list[tuple[float, str]]:
    """What is told of a path of (t s, east m, north m) about the zone's middle."""
    frame, held, out = LocalFrame(lat_deg=lat_deg, lon_deg=lon_deg), Presence(), []
    for t, e, n in path:
        lat, lon = frame.geodetic(e, n)
        held, word = seen(zone, held, int(t * NS), lat_deg=lat, lon_deg=lon, p_ee=sigma_m**2, p_en=0.0, p_nn=sigma_m**2)
        if word:
            out.append((t, word))
    return out


@pytest.mark.parametrize("where", [(52.0, 4.0), (0.0, 180.0), (-33.0, -179.9999), (78.0, 15.0)])
def test_how_deep_a_position_lies(where):
    zone, frame = square(*where), LocalFrame(lat_deg=where[0], lon_deg=where[1])
    for e, n, deep in ((0, 0, 200.0), (150, 0, 50.0), (250, 0, -50.0), (300, 400, -((100**2 + 200**2) ** 0.5)), (-199, 0, 1.0)):
        lat, lon = frame.geodetic(e, n)
        assert depth_m(zone, lat_deg=lat, lon_deg=lon)[0] == pytest.approx(deep, abs=0.2)


def test_how_far_inside_a_corridor():
    frame = LocalFrame(lat_deg=52.0, lon_deg=4.0)
    for e, n, deep in ((-2000, 150, 50.0), (-2000, 0, 200.0), (100, 2000, 100.0), (300, -400, -300.0), (0, 5300, -100.0)):
        lat, lon = frame.geodetic(e, n)
        assert depth_m(line(), lat_deg=lat, lon_deg=lon)[0] == pytest.approx(deep, abs=1.0)


def test_arrived_and_left_after_the_dwell_time():
    there = [(t, -600 + 10 * t, 0) for t in range(0, 130, 10)]  # 10 m/s across: inside from 40 s to 80 s
    assert told(square(dwell_s=0.0), there) == [(50, "arrived"), (90, "left")]
    assert told(square(), there) == []  # passed through in 40 s
    stays = [(t, min(-600 + 10 * t, 0), 0) for t in range(0, 300, 10)] + [(t, 10 * (t - 300), 0) for t in range(300, 420, 10)]
    assert told(square(), stays) == [(110, "arrived"), (390, "left")]


def test_what_was_inside_already_did_not_arrive():
    assert told(square(), [(t, 0, 0) for t in range(0, 600, 10)]) == [(60, "inside")]
    assert told(square(), [(t, 900, 0) for t in range(0, 600, 10)]) == []


def test_one_who_stands_beside_the_edge_neither_comes_nor_goes():
    rng = random.Random(7)
    outside = [(0, -900, 0), (70, -900, 0)]
    noise = [(80 + 5 * k, -200 + rng.gauss(0, 5), rng.gauss(0, 5)) for k in range(2000)]
    assert told(square(), outside + noise) == []


def test_one_whose_errors_last_stands_at_the_edge_and_is_told_of_once():
    """Errors of 7 m that last 300 s: who is 95 % sure of a side every 300 s is wrong ten times a shift."""
    told_of = []
    for seed in range(4):
        rng, last, keeps = random.Random(seed), 0.0, 0.904837
        path = [(0, -900, 0), (70, -900, 0)]
        for k in range(960):
            last = keeps * last + rng.gauss(0, 7.0 * (1 - keeps**2) ** 0.5)
            path.append((80 + 30 * k, -200 + last, 0))
        told_of.append(len(told(square(), path, sigma_m=6.0)))
    assert max(told_of) <= 3 and sum(told_of) <= 8


def test_who_did_not_come_in_far_leaves_when_it_is_seen_well_outside():
    steps = [(0, -900), (70, -900), (100, -190), (200, -190), (300, -209), (400, -209), (500, -216), (600, -216), (700, -190)]
    steps.append((900, -190))
    assert told(square(), [(t, e, 0) for t, e in steps]) == [(200, "arrived"), (600, "left")]
    assert told(square(), [(t, e, 0) for t, e in [*steps[:4], (250, -170), *steps[4:]]]) == [(200, "arrived"), (400, "left")]


def test_a_wide_ellipse_decides_nothing():
    path = [(0, -900, 0), (70, -900, 0), (100, 0, 0), (400, 0, 0), (700, 0, 0)]
    assert told(square(), path, sigma_m=150.0) == []
    assert told(square(), path, sigma_m=100.0) == [(400, "arrived")]


def test_seldom_reports_need_no_more_than_two():
    assert told(square(), [(0, -9000, 0), (300, -4000, 0), (600, 0, 0), (900, 0, 0), (1200, 4000, 0), (1500, 9000, 0)]) == [
        (900, "arrived"), (1500, "left"),
    ]  # fmt: skip


def test_a_van_that_leaves_its_corridor():
    along = [(t, -4000 + 20 * t, 0) for t in range(0, 150, 10)]
    off = [(150 + t, -1000, 10 * t) for t in range(0, 120, 10)]
    assert told(line(), along + off) == [(60, "inside"), (240, "left")]


def story(*zones: Zone, path) -> list:
    bodies: list = [
        (0, Start(version="x", presets={}, exercise=True)),
        (0, Operation(operation="A", zones=zones)),
        (0, Device(device="gps", interval_s=10.0)),
        (0, Attachment(device="gps", shipment="S", operation="A", from_ns=T0)),
    ]
    frame = LocalFrame(lat_deg=52.0, lon_deg=4.0)
    for t, e, n in path:
        lat, lon = frame.geodetic(e, n)
        fix = Fix(device="gps", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)
        bodies.append((t + 1, FrameBody(format="x", version=1, payload=b"", device="gps", observations=(fix,))))
    return bodies


THERE = [(10 * k, min(-900 + 10 * 10 * k, 0), 0) for k in range(1, 40)]
AWAY = [(400 + 10 * k, 10 * 10 * k, 0) for k in range(1, 40)]


def test_the_fold_tells_who_arrives_and_leaves(journal):
    events = journal(begun=False, restart=True).take(story(square(), path=THERE + AWAY)).events("arrived", "left", "inside")
    [begun, ended, left] = events
    assert (begun.kind, begun.text, begun.operation, begun.end_ns) == ("arrived", "arrived yard", "A", None)
    assert ended.event_id == begun.event_id and ended.end_ns == left.start_ns
    assert left.kind == "left" and left.end_ns is None and left.track_ids == begun.track_ids
    # at 70 s it is 200 m from the middle, and a minute inside at 140 s at the latest; it leaves at 420 s
    assert 130 <= (begun.start_ns - T0) / NS <= 150 and 480 <= (left.start_ns - T0) / NS <= 500


def test_a_place_that_is_watched_from_now_on_was_not_arrived_at(journal):
    bodies = story(path=THERE)
    frame = LocalFrame(lat_deg=52.0, lon_deg=4.0)
    lat, lon = frame.geodetic(0, 0)
    bodies.append((500, Operation(operation="A", zones=(square(),))))
    for t in (510, 520, 580, 590):
        fix = Fix(device="gps", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0)
        bodies.append((t + 1, FrameBody(format="x", version=1, payload=b"", device="gps", observations=(fix,))))
    bodies.append((700, Operation(operation="A")))
    events = journal(begun=False, restart=True).take(bodies).events("arrived", "left", "inside")
    assert [(e.kind, e.end_ns is None) for e in events] == [("inside", True), ("inside", False)]  # over when nobody watches
    assert events[0].text == "inside yard already when it was first looked at"


def test_a_visit_that_a_device_kept_and_sends_afterwards_is_told_with_its_times(journal):
    bodies = story(square(), path=THERE + AWAY)
    kept = [(max(t, 790) if k >= 6 else t, body) for k, (t, body) in enumerate(bodies)]  # out of reach from its second fix on
    events = [e for e in journal(begun=False, restart=True).take(kept).events("arrived", "left", "inside") if e.end_ns is None]
    there = journal(begun=False, restart=True).take(bodies).events("arrived", "left", "inside")
    assert [(e.kind, e.start_ns) for e in there if e.end_ns is None] == [(e.kind, e.start_ns) for e in [*events]]
    assert [e.kind for e in events][:1] == ["arrived"]


def test_of_nobody_elses_zone_and_not_in_silence(journal):
    bodies = story(path=THERE[:5])  # it is underway to the yard and falls silent
    bodies.insert(2, (0, Operation(operation="B", zones=(square(),))))
    bodies += [(100 + 60 * k, Tick()) for k in range(60)]
    assert not journal(begun=False, restart=True).take(bodies).events("arrived", "left", "inside")


@pytest.mark.parametrize("lat_deg, lon_deg", [(60.0, 4.0), (60.0, 179.8), (-60.0, 10.0), (0.0, 0.0), (75.0, 15.0)])
def test_a_long_edge_is_straight_in_degrees_as_its_geojson_is(lat_deg, lon_deg):
    """RFC 7946, section 3.1.1: a straight line in longitude and latitude, no great circle: 85 m apart on 0.9° at 60°."""
    south, north, east = lat_deg, lat_deg + 0.5, wrap_lon(lon_deg + 0.9)
    ring = ((lon_deg, south), (east, south), (east, north), (lon_deg, north), (lon_deg, south))
    area, leg = Zone(name="a", points=ring), Zone(name="c", points=ring[:2], half_width_m=200.0)
    middle = wrap_lon(lon_deg + 0.45)
    here = LocalFrame(lat_deg=lat_deg, lon_deg=middle)
    for deep in (150.0, 20.0, -20.0, -150.0):
        lat, lon = here.geodetic(0.0, deep)
        assert depth_m(area, lat_deg=lat, lon_deg=lon)[0] == pytest.approx(deep, abs=2.0)
        assert depth_m(leg, lat_deg=lat, lon_deg=lon)[0] == pytest.approx(200.0 - abs(deep), abs=2.0)
