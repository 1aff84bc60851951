"""A false first fix of one of several receivers of a shipment is no distance that they were apart."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)


@pytest.mark.parametrize("false_m", [2_500.0, 40_000.0, 5e6])
@pytest.mark.parametrize("every_s", [10.0, 60.0])
@pytest.mark.parametrize("many", [2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_they_do_not_drift(seed, many, every_s, false_m, journal):
    j, rng, said, names = journal(exercise=False), random.Random(seed), [], "abc"[:many]
    j.add(0, Operation(operation="op"))
    for device in names:
        j.add(0, Device(device=device, klass="lorry", interval_s=every_s))
        j.add(0, Attachment(device=device, shipment="load", operation="op", from_ns=T0))
    for k, device in enumerate(names):
        first = t = rng.uniform(0.0, every_s)
        while t < 30 * every_s:
            off_m = false_m if k == seed and t == first else 0.0
            lat, lon = HOME.geodetic(15.0 * t + rng.gauss(0, 4), off_m + rng.gauss(0, 4))
            said.append((t + 1.0, Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=8.0)))
            t += every_s
    for at_s, one in sorted(said, key=lambda s: s[0]):
        j.say(at_s, one)
    assert [e.text for e in j.happened("drift")] == []
    [row] = j.now(30 * every_s)
    e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    assert abs(n) < 30.0 and abs(e - 450.0 * every_s) < 60.0
