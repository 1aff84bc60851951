"""What has long stood where it is: an ellipse that is of use until the next report, and honest over many that drive off."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking.dwell import stays

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def told(journal, klass: str, every: int):
    said = journal()
    said.add(0, Operation(operation="op"))
    said.add(0, Device(device="d", klass=klass, interval_s=every))
    said.add(0, Attachment(device="d", shipment="goods", operation="op", from_ns=0))
    return said


def say(said, t: float, e: float, rng) -> None:
    lat, lon = HOME.geodetic(e + rng.gauss(0, 6), rng.gauss(0, 6))
    said.say(t, Fix(device="d", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=6.0))


def seen(said, t: float, e: float) -> tuple[bool, float]:
    """Whether the row holds the truth with 95 %, and the radius of its ellipse."""
    [row] = said.now(t)
    x, y = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    de, dn, det = x - e, y, row.p_ee * row.p_nn - row.p_en**2
    inside = (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= 5.991
    big = (row.p_ee + row.p_nn) / 2 + math.hypot((row.p_ee - row.p_nn) / 2, row.p_en)
    return inside, math.sqrt(5.991 * big)


@pytest.mark.parametrize("klass", ["parcel", "van", "lorry", "vessel", ""])
def test_a_tag_that_has_stood_for_days_is_where_it_stands_until_its_next_report(klass, journal):
    """Each hour a report: its ellipse had grown to 25 km before the next one."""
    said, rng = told(journal, klass, 3600), random.Random(1)
    for k in range(48):
        say(said, 3600.0 * k, 0.0, rng)
    last = 47 * 3600.0
    for part in (0.0, 0.02, 0.1, 0.5, 0.99):
        inside, radius_m = seen(said, last + 3600.0 * part, 0.0)
        assert inside and radius_m < 60.0, part
    assert seen(said, last + 2.6 * 3600.0, 0.0)[1] > 10_000.0, "it is overdue: it may be anywhere"


def test_the_region_grows_with_what_may_have_left_and_never_shrinks(journal):
    """Stood for three hours: the next hour is no longer sure to be here, and the disc grows from the place outwards."""
    said, rng = told(journal, "van", 3600), random.Random(2)
    for t in range(0, 10_801, 900):
        say(said, t, 0.0, rng)
    radii = [seen(said, 10_800.0 + s, 0.0)[1] for s in range(60, 3600, 60)]
    assert all(b > 0.99 * a for a, b in zip(radii, radii[1:], strict=False)) and radii[0] < 60.0 and radii[-1] > 3000.0
    assert max(b / a for a, b in zip(radii[20:], radii[21:], strict=False)) < 3.0


def test_over_many_that_stand_and_drive_off_it_holds_its_share(journal):
    """Stays of ten minutes to three days, drives of half an hour, one report each quarter to whole hour; asked at any time."""
    held, radii = [], []
    for seed in range(8):
        rng = random.Random(seed)
        every, legs, t, x = rng.choice((900, 1800, 3600)), [], 0.0, 0.0
        while t < 3 * 86_400:
            for lasts, speed in ((math.exp(rng.uniform(6.4, 12.4)), 0.0), (rng.uniform(600, 5400), rng.uniform(-30, 30))):
                legs.append((t, t + lasts, x, speed))
                t, x = t + lasts, x + speed * lasts

        def where(t, legs=legs):
            return next(x + speed * (t - begins) for begins, ends, x, speed in legs if begins <= t < ends)

        said = told(journal, rng.choice(("van", "parcel", "lorry", "")), every)
        for t in range(0, 3 * 86_400 - every, every):
            say(said, t, where(t), rng)
            if t > 40_000:
                at = t + rng.uniform(0.0, every)
                inside, radius_m = seen(said, at, where(at))
                held.append(inside)
                radii.append(radius_m)
    assert 0.93 < sum(held) / len(held) < 0.995 and sorted(radii)[len(radii) // 2] < 200.0


def test_whose_stay_says_something():
    hour = 3600 * NS
    assert stays(None, 0, 10 * hour, 600.0, 9000.0) and stays(9 * hour, 0, 10 * hour, 600.0, 9000.0)
    assert not stays(10 * hour - NS, 0, 10 * hour, 600.0, 9000.0), "it has just come"
    assert not stays(None, 0, 10 * hour, 9001.0, 9000.0), "overdue"
    assert not stays(None, 0, 1000 * hour, 20_000.0, 1e6), "so long between two reports nobody sees what it does"
    assert not stays(None, 0, 10 * hour, 5.0, 9000.0)
