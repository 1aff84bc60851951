"""A tag that a reader goes on reading while the receiver of its shipment stands elsewhere: told once, and it moves nothing."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation, Placement, TagRead
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
EPC = "urn:epc:id:sgtin:0614141.107346.2017"
RECT = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in (
    (-9e4, -9e4), (9e4, -9e4), (9e4, 9e4), (-9e4, 9e4), (-9e4, -9e4))))  # fmt: skip


@pytest.fixture
def crate(journal):
    """``crate(away_m, every_s, seed, where it is at a time, when it is read)``: the journal; how far off its row was at worst,
    how fast it was shown, and in which part of the rows the reader is its second place.
    """
    def made(away_m: float, every_s: float, seed: int, at=lambda t: (0.0, 0.0), reads=range(603, 1003), until: int = 1300,
             after: bool = False):  # fmt: skip
        j, rng, off, speed, second = journal(exercise=False), random.Random(seed), 0.0, 0.0, []
        lat, lon = HOME.geodetic(away_m, 0.0)
        j.add(0, Operation(operation="op", area=RECT))
        j.add(0, Device(device="gps", interval_s=every_s))
        j.add(0, Attachment(device="gps", shipment="crate", operation="op", from_ns=T0))
        j.add(0, Attachment(device=EPC, shipment="crate", operation="op", from_ns=T0))
        j.add(0, Placement(device="portal", lat_deg=lat, lon_deg=lon, range_m=10.0))
        phase = rng.uniform(0, every_s)
        for t in range(int(phase), until):
            if t in reads and after:
                j.say(t + 0.1, TagRead(device="portal", time_ns=T0 + t * NS, epc=EPC))
            if t >= phase and (t - int(phase)) % int(every_s) == 0:
                e, n = at(t)
                lat, lon = HOME.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
                j.say(t + 0.2, Fix(device="gps", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=6.0))
            if t in reads and not after:
                j.say(t + 0.4, TagRead(device="portal", time_ns=T0 + t * NS, epc=EPC))
            if t > 700:
                [row] = j.now(t + 0.5)
                off = max(off, math.dist(HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg), at(t + 0.5)))
                speed = max(speed, math.hypot(row.ve_mps, row.vn_mps))
                if t in reads:
                    place = None if row.rival_lat_deg is None else HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
                    second.append(place is not None and math.dist(place, (away_m, 0.0)) < 20.0)
        return j, off, speed, sum(second) / max(1, len(second))

    return made


@pytest.mark.parametrize("away_m", [150.0, 300.0, 1000.0])
@pytest.mark.parametrize("every_s", [10.0, 30.0, 60.0])
@pytest.mark.parametrize(("seed", "after"), [(0, False), (1, False), (0, True), (1, True)])
def test_a_tag_that_a_reader_goes_on_reading_while_its_crate_stands_elsewhere_parted_once(away_m, every_s, seed, after, crate):
    j, off, speed, second = crate(away_m, every_s, seed, after=after)
    [event] = j.happened("parted")
    assert event.device == "portal" and event.end_ns is None and event.start_ns < T0 + (603 + 2 * every_s) * NS
    assert j.happened("jumped", "contradicted") == []
    assert off < 30.0 and speed < 2.0  # its own fixes decide
    assert second > 0.6  # and the reader is its second place


@pytest.mark.parametrize("speed", [3.0, 10.0, 25.0])
@pytest.mark.parametrize("every_s", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_crate_that_drives_past_a_reader_has_not_parted(speed, every_s, seed, crate):
    def at(t: float) -> tuple[float, float]:
        return (t - 900.0) * speed, 0.0

    reads = [t for t in range(600, 1200) if abs(at(t)[0]) < 12.0]
    j, *_ = crate(0.0, every_s, seed, at, reads)
    assert reads and j.happened("parted", "jumped", "contradicted") == []


@pytest.mark.parametrize("seed", range(2))
def test_it_is_over_when_the_receiver_is_where_the_reader_is(seed, crate):
    def at(t: float) -> tuple[float, float]:
        return (min(200.0, max(0.0, 2.0 * (t - 900.0))), 0.0)

    j, *_ = crate(200.0, 30.0, seed, at, range(603, 1300), until=1300)
    [event] = j.happened("parted")
    assert event.end_ns is not None and T0 + 980 * NS < event.end_ns < T0 + 1070 * NS
    [row] = j.now(1299)
    assert row.rival_lat_deg is None and math.dist(HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg), (200.0, 0.0)) < 12.0
