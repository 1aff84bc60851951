"""Coordinates that are rounded to a thousandth of a degree and more: the ellipse holds the cell, and nothing false is told."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Device, Fix
from birddog.units import NS
from tracking.evidence import rounded_deg

T0 = 1_790_000_000 * NS
INSIDE = 5.991


@pytest.mark.parametrize(("lat", "lon", "step"), [
    (51.237, 4.051, 1e-3), (-51.237, 179.999, 1e-3), (51.23, 4.05, 0.0), (512370000 * 1e-7, 40510000 * 1e-7, 1e-3),
    (51.0166667, 4.1166667, 1 / 60), (51.018333, 4.115, 1 / 600), (51.9, 4.1, 0.0), (51.2371, 4.0512, 0.0),
    (51.2370004, 4.051, 1e-3), (51.23700006, 4.0510731, 0.0), (51.237, 4.05107, 0.0),
])  # fmt: skip
def test_the_step_of_a_place_is_that_of_both_its_coordinates(lat, lon, step):
    assert rounded_deg(lat, lon) == pytest.approx(step)


def goes(rng: random.Random, seconds: int, speed: float) -> list[tuple[float, float, float, float]]:
    """(e, n, ve, vn) a second: a road with turns and stops; at 0 m/s it is parked."""
    out, e, n, course, left, v = [], 0.0, 0.0, rng.uniform(0, 6.28), 0.0, 0.0
    for _ in range(seconds):
        if left <= 0.0:
            course, left, v = course + rng.gauss(0, 0.6), rng.uniform(60, 400), rng.choice((1.0, 0.8, 0.9, 0.0)) * speed
        ve, vn = v * math.sin(course), v * math.cos(course)
        out.append((e, n, ve, vn))
        e, n, left = e + ve, n + vn, left - 1.0
    return out


@pytest.mark.parametrize("every", [10, 60, 300])
@pytest.mark.parametrize(("steps", "speed"), [(1000.0, 0.0), (1000.0, 14.0), (600.0, 0.0), (600.0, 14.0)])
@pytest.mark.parametrize("stated", [True, False])
def test_the_ellipse_holds_the_truth_and_nothing_is_told(steps, speed, every, stated, journal):
    """Parked, rounded to three decimals and reported each 10 s none of the time, in town .3 to .5; `two_places`, `frozen`."""
    inside = asked = 0
    for seed in range(4):
        told, rng = journal(), random.Random(seed)
        home = LocalFrame(lat_deg=rng.uniform(-45, 60), lon_deg=rng.uniform(-170, 170))
        told.add(0, Device(device="d", klass="van", interval_s=every, basis="own_sensor"))
        way = goes(rng, max(1800, 20 * every), speed)
        for t in range(0, len(way) - every, every):
            e, n, ve, vn = way[t]
            lat, lon = (round(x * steps) / steps for x in home.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5)))
            says = {"speed_mps": math.hypot(ve, vn), "course_deg": math.degrees(math.atan2(ve, vn)) % 360} if seed % 2 else {}
            told.say(t, Fix(device="d", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0 if stated else None, **says))
            for later in (t + 1, t + every // 2):
                [row] = told.now(later)
                at = home.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
                de, dn, det = at[0] - way[later][0], at[1] - way[later][1], row.p_ee * row.p_nn - row.p_en**2
                inside += (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= INSIDE
                asked += 1
        assert not told.events("two_places", "frozen", "contradicted", "jumped")
    assert inside >= 0.88 * asked, inside / asked
