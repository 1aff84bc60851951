"""Two sources that steadily disagree are a finding and no motion; what is really driven is none."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking.sides import Sides, after

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
INSIDE = 5.991


def fix(device, t, e, n, sigma_m):
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=sigma_m)


def holds(row, e: float, n: float) -> bool:
    """Whether the row's 95 % ellipse holds a place."""
    at = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    de, dn, det = at[0] - e, at[1] - n, row.p_ee * row.p_nn - row.p_en**2
    return (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= INSIDE


def in_turn(places, every: int, seconds: int, rng, told, *, speed=None):
    """Fixes of one source after the other at its place; the share of seconds late on at which the row stands and holds all."""
    good = asked = 0
    for k, t in enumerate(range(0, seconds, every)):
        device, e, n, sigma = places[k % len(places)]
        told.say(t, fix(device, t, e + rng.gauss(0, sigma), n + rng.gauss(0, sigma), sigma_m=sigma))
        if t > 10 * every:
            [row] = told.now(t)
            good += math.hypot(row.ve_mps, row.vn_mps) < 0.5 and all(holds(row, e, n) for _, e, n, _ in places)
            asked += 1
    return good / asked


@pytest.mark.parametrize("every", [10, 30, 60, 300])
def test_a_phone_indoors_is_parked(every, journal):
    """cases/tracking/wifi-and-gnss-in-turn: it was shown moving at 11 m/s, `confirmed`, the truth inside half the time."""
    told = journal()
    told.add(0, Device(device="d", klass="parcel", interval_s=every, basis="own_sensor"))
    share = in_turn([("d", 250.0, 0.0, 13.0), ("d", 0.0, 0.0, 5.0)], every, 90 * every, random.Random(every), told)
    assert share > 0.95 and len(told.events("two_places")) >= 1 and not told.events("jumped")


@pytest.mark.parametrize(("apart_m", "every"), [(300.0, 10), (300.0, 30), (120.0, 30), (700.0, 60)])
def test_front_and_rear_of_a_train_are_no_motion(apart_m, every, journal):
    """cases/tracking/two-honest-tags-300m: one track ran to and fro at 18 m/s, without a word, and later with a false alarm."""
    told = journal()
    told.add(0, Operation(operation="op"))
    for device in ("a", "b"):
        told.add(0, Device(device=device, klass="lorry", interval_s=2 * every))
        told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    share = in_turn([("a", 0.0, 0.0, 5.0), ("b", 0.0, apart_m, 5.0)], every, 90 * every, random.Random(1), told)
    [found] = told.happened("beside")
    assert share > 0.95 and "b is" in found.text and "from a" in found.text
    assert not told.events("two_places", "parted", "contradicted", "jumped", "drift")


def test_one_that_drives_off_is_followed_again(journal):
    told, rng = journal(), random.Random(2)
    told.add(0, Device(device="d", klass="van", interval_s=30, basis="own_sensor"))
    in_turn([("d", 250.0, 0.0, 8.0), ("d", 0.0, 0.0, 5.0)], 30, 1800, rng, told)
    for t in range(1800, 2400, 30):
        e = 12.0 * (t - 1800)
        told.say(t, fix("d", t, e + rng.gauss(0, 5), rng.gauss(0, 5), sigma_m=5.0))
    [row] = told.now(2370)
    e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    assert abs(e - 12.0 * 570) < 40.0 and abs(n) < 40.0 and row.ve_mps == pytest.approx(12.0, abs=2.0)


def test_a_shuttle_that_is_seen_on_its_way_is_no_disagreement(journal):
    told, rng = journal(), random.Random(3)
    told.add(0, Device(device="d", klass="van", interval_s=10, basis="own_sensor"))
    for t in range(0, 3600, 10):
        e = 300.0 * (0.5 - 0.5 * math.cos(2 * math.pi * t / 240.0))
        told.say(t, fix("d", t, e + rng.gauss(0, 5), rng.gauss(0, 5), sigma_m=5.0))
    assert not told.events("two_places")


def test_jitter_and_one_reflection_are_none():
    rng, sides = random.Random(4), None
    for k in range(500):
        e = 300.0 if k in (100, 300) else rng.gauss(0, 15)
        sides = after(sides, k * 10**10, e, rng.gauss(0, 15), 100.0)
        assert not sides.torn


def test_hours_between_two_fixes_may_be_a_journey():
    sides: Sides | None = None
    for k in range(20):
        sides = after(sides, k * 3600 * 10**9, 300.0 * (k % 2), 0.0, 25.0)
        assert not sides.torn
