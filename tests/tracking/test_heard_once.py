"""Who was heard once and never again: an attached device is missed, a passer-by is nobody's alert."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame, distance_m
from birddog.model import Attachment, Device, Fix, Operation, Tick
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def fix(device: str, t: float) -> Fix:
    lat, lon = HOME.geodetic(0.0, 0.0)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)


@pytest.mark.parametrize("interval_s", [0.0, 60.0])
def test_an_attached_device_that_spoke_once_is_missed_within_twenty_minutes_and_what_is_nobodys_is_not(journal, interval_s):
    """Of the shipment one alert, for somebody has to look; 50 passers-by that were heard once are lost, and nobody is asked."""
    j = journal()
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="tag", interval_s=interval_s))
    j.add(0, Attachment(device="tag", shipment="goods", operation="op", from_ns=0))
    for device in ("tag", *(f"stray{k}" for k in range(50))):
        j.say(10, fix(device, 10))
    for t in range(60, 1_261, 60):
        j.add(t, Tick())
    assert [e.device for e in j.happened("silent")] == ["tag"]
    assert {r.status for r in j.now(1_260)} == {"silent"}


def test_an_attached_tag_of_an_hour_whose_interval_nobody_said_is_missed_once_at_most(journal):
    """Its first hour is a silence, which its second message ends; from then on it is known how often it reports."""
    j = journal()
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="tag"))
    j.add(0, Attachment(device="tag", shipment="goods", operation="op", from_ns=0))
    for t in range(0, 43_200, 3_600):
        j.say(t, fix("tag", t))
        for k in range(300, 3_600, 300):
            j.add(t + k, Tick())
    [silent] = j.happened("silent")
    assert silent.end_ns == T0 + 3_600 * NS


def test_the_row_of_a_moving_device_that_nobody_enrolled_keeps_up_with_what_is_believed(journal):
    """It was renewed only when its age had doubled, up to 270 m behind the last row of `track --journal`."""
    j, rng = journal(), random.Random(1)
    for t in range(0, 601, 60):
        lat, lon = HOME.geodetic(15.0 * t + rng.gauss(0, 3), rng.gauss(0, 3))
        j.say(t, Fix(device="phone", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0))
    for t in range(605, 800, 5):
        j.add(t, Tick())
        [row], [now] = j.rows().values(), j.now(t)
        assert T0 + t * NS - row.time_ns <= max(5.0, (t - 600) / 8) * NS, t
        [then] = j.now((row.time_ns - T0) / NS) if row.time_ns == T0 + t * NS else [None]
        assert then is None or (then.lat_deg, then.lon_deg, then.p_ee) == (row.lat_deg, row.lon_deg, row.p_ee)
        away_m = distance_m(lat1_deg=row.lat_deg, lon1_deg=row.lon_deg, lat2_deg=now.lat_deg, lon2_deg=now.lon_deg)
        assert away_m <= 20.0 * max(5.0, (t - 600) / 8), t
