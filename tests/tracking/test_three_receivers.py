"""Several receivers of one shipment: false fixes are no drift of the honest ones; those that go another way have parted."""

from __future__ import annotations

import math
import random

import pytest

from birddog.units import NS
from tests.tracking.test_deception import HOME, T0, case, fix, noise, told
from tests.tracking.test_jammed import inside

__all__ = ["case"]


# --- wild fixes are no distance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("away_m", [40_000.0, 900_000.0])
@pytest.mark.parametrize(("interval", "count"), [(10, 4), (60, 2), (60, 4)])
@pytest.mark.parametrize("devices", ["ab", "abc"])
def test_false_fixes_that_agree_in_nothing_are_no_drift_of_the_honest_ones(case, devices, interval, count, away_m):
    said, rng = case(*devices), random.Random(1)
    for k in range(200):
        for j, device in enumerate(devices):
            t, (e, n) = k * interval + j * interval // len(devices), noise(rng, 3.0)
            e += 14.0 * t
            if device == "a" and 60 <= k < 60 + count:
                course = rng.uniform(0.0, 2.0 * math.pi)
                e, n = e + away_m * math.sin(course), n + away_m * math.cos(course)
            said.say(t, fix(device, t, e, n))
    assert [kind for kind in told(said) if kind[0] in ("drift", "parted")] == []


@pytest.mark.parametrize(("devices", "every"), [("ab", 30), ("abc", 30), ("abc", 60)])
@pytest.mark.parametrize("seed", [5, 6])
def test_of_what_a_liar_said_no_distance_is_learnt(case, devices, every, seed):
    """It says 3 km about where it is for sixty reports; once it is honest again nothing drifts from where it was said to be."""
    said, rng = case(*devices), random.Random(seed)
    phases = sorted((rng.uniform(0.0, every), device) for device in devices)
    for k in range(160):
        for phase, device in phases:
            t, (e, n) = k * every + phase, noise(rng, 3.0)
            if device == "a" and 40 <= k < 100:
                e, n = e + rng.gauss(0.0, 3000.0), n + rng.gauss(0.0, 3000.0)
            said.say(t + 1, fix(device, t, 20.0 * t + e, n, speed_mps=20.0, course_deg=90.0))
    after_ns = T0 + 103 * every * NS
    assert [e.text for e in said.happened("drift", "parted") if e.end_ns is None or e.start_ns > after_ns] == []


# --- one of three -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stays", ["a", "b", "c", "bc", "ab"])
@pytest.mark.parametrize("interval", [10, 60])
@pytest.mark.parametrize("seed", range(3))
def test_of_three_receivers_those_that_go_another_way_have_parted_and_both_places_are_shown(case, stays, interval, seed):
    said, rng, out, start = case("a", "b", "c"), random.Random(seed), 0, 40 * interval
    phases = {device: rng.uniform(0.0, interval) for device in "abc"}
    reports = sorted((k * interval + phase, device) for k in range(90) for device, phase in phases.items())
    for n, (t, device) in enumerate(reports):
        de, dn = noise(rng, 3.0)
        gone = 14.0 * max(0.0, t - start) if device not in stays else 0.0
        said.say(t, fix(device, t, 14.0 * min(t, start) + gone + de, dn))
        if t > start + 12 * interval and n % 3 == 0:
            [row] = said.fold.believed(T0 + int((t + 1) * NS))
            other = None if row.rival_lat_deg is None else HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
            for at in (14.0 * start, 14.0 * (t + 1)):
                out += not inside(row, at) and (other is None or math.dist(other, (at, 0.0)) > 30.0 * interval + 100.0)
    assert any(event.kind == "parted" for event in said.events())
    assert out <= 0.1 * 90 * 2, out
