"""A receiver that is elsewhere at once and stays there has jumped; what goes fast, and a false fix or two, has not."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)


def told(journal, way, klass: str, interval: int, *, speeds: bool) -> list[tuple[str, float]]:
    """What is told of a receiver that says (e, n, ve, vn) of a time in intervals."""
    said = journal(exercise=False, restart=True)
    said.add(0, Operation(operation="A"))
    said.add(0, Device(device="a", klass=klass, interval_s=float(interval)))
    said.add(0, Attachment(device="a", shipment="S", operation="A", from_ns=T0))
    for k in range(60):
        e, n, ve, vn = way(k)
        lat, lon = HOME.geodetic(e + 3.0 * math.sin(7.0 * k), n + 3.0 * math.cos(5.0 * k))
        words = {"speed_mps": math.hypot(ve, vn), "course_deg": math.degrees(math.atan2(ve, vn)) % 360.0} if speeds else {}
        said.say(k * interval, Fix(device="a", time_ns=T0 + k * interval * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0, **words))
    return [(event.kind, (event.start_ns - T0) / NS / interval) for event in said.happened("jumped")]


@pytest.mark.parametrize("speeds", [True, False])
@pytest.mark.parametrize(("interval", "away_m"), [(10, 650.0), (10, 2000.0), (60, 4000.0), (60, 8000.0), (300, 39_000.0)])
@pytest.mark.parametrize("klass", ["lorry", "walker", "vessel", ""])
def test_what_stands_and_is_elsewhere_at_once_has_jumped(journal, klass, interval, away_m, speeds):
    found = told(journal, lambda k: (away_m if k >= 30 else 0.0, 0.0, 0.0, 0.0), klass, interval, speeds=speeds)
    assert [kind for kind, _ in found] == ["jumped"] and 30 < found[0][1] <= 33


@pytest.mark.parametrize("speeds", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_a_false_fix_or_two_have_not(journal, count, speeds):
    def way(k: int):
        wild = 30 <= k < 30 + count
        return (9000.0 * math.sin(k) if wild else 0.0, 9000.0 * math.cos(k) if wild else 0.0, 0.0, 0.0)

    assert told(journal, way, "lorry", 10, speeds=speeds) == []


@pytest.mark.parametrize("away_m", [1500.0, 2500.0, 4000.0, 4900.0])
@pytest.mark.parametrize(("interval", "speed"), [(10, 0.0), (60, 0.0), (60, 14.0), (60, 22.0), (300, 20.0)])
@pytest.mark.parametrize("seed", range(3))
def test_what_comes_back_from_a_false_fix_that_was_used_has_not(journal, seed, interval, speed, away_m):
    rng = random.Random(seed)
    wild = {k: rng.uniform(0.0, 2.0 * math.pi) for k in (20, 28, 39, 50)}

    def way(k: int):
        away = away_m * (k in wild)
        return (speed * k * interval + away * math.sin(wild.get(k, 0.0)), away * math.cos(wild.get(k, 0.0)), speed, 0.0)

    assert told(journal, way, "lorry", interval, speeds=False) == []


@pytest.mark.parametrize("speeds", [True, False])
@pytest.mark.parametrize("interval", [10, 60, 300])
@pytest.mark.parametrize(("klass", "speed"), [("parcel", 30.0), ("walker", 30.0), ("lorry", 55.0), ("aircraft", 220.0)])
def test_what_goes_fast_and_stops_again_has_not(journal, klass, speed, interval, speeds):
    """Away from a stop at 2 m/s², to as far as it goes, and to a stop again: a car, a train, an aeroplane."""
    ways, e, v = [], 0.0, 0.0
    for s in range(60 * interval):
        wants = speed if 20 * interval <= s < 40 * interval else 0.0
        ways.append((e, 0.0, v, 0.0))
        v += max(-2.0, min(2.0, wants - v))
        e += v
    assert told(journal, lambda k: ways[k * interval], klass, interval, speeds=speeds) == []
