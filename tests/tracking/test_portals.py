"""Portals whose clock is behind: a tag that was read where its track is by the time of receipt has not parted."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation, Placement, TagRead
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
EPC = "urn:epc:tag:sgtin-96:1.0614141.812345.6789"
STANDS_S, WAY_M, RANGE_M = 300.0, 4000.0, 10.0


def past(journal, *, behind_s: float, speed: float, every_s: int, aside_m: float = 0.0, held_s: float = 0.0):
    """A crate with a receiver and a passive tag stands, then drives past a portal, or ``aside_m`` beside it.

    Args:
        behind_s: how far the portal's clock is behind.
        held_s: how long a read is on its way.
    """
    j, rng, way = journal(), random.Random(1), []
    j.add(0, Operation(operation="op"))
    for body in (Device(device="gps", klass="lorry", interval_s=every_s), Device(device="gate", basis="own_sensor")):
        j.add(0, body)
    for device in ("gps", EPC):
        j.add(0, Attachment(device=device, shipment="crate", operation="op", from_ns=T0))
    lat, lon = HOME.geodetic(WAY_M, aside_m)
    j.add(0, Placement(device="gate", lat_deg=lat, lon_deg=lon, range_m=RANGE_M, from_ns=T0))
    for t in range(0, round(STANDS_S + 1.5 * WAY_M / speed)):
        e = speed * max(0.0, t - STANDS_S)
        if t % every_s == 0:
            lat, lon = HOME.geodetic(e + rng.gauss(0, 4), rng.gauss(0, 4))
            way.append((t + 0.5, Fix(device="gps", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0)))
        if abs(e - WAY_M) <= RANGE_M:
            way.append((t + 0.3 + held_s, TagRead(device="gate", time_ns=T0 + round((t - behind_s) * NS), epc=EPC)))
    for at_s, said in sorted(way, key=lambda one: one[0]):
        j.say(at_s, said)
    return j.events("parted")


@pytest.mark.parametrize("every_s", [10, 60])
@pytest.mark.parametrize("speed", [6.0, 12.0, 25.0])
@pytest.mark.parametrize("behind_s", [20.0, 40.0])
def test_a_read_of_a_clock_that_is_behind_is_no_tag_that_parted(journal, behind_s, speed, every_s):
    assert past(journal, behind_s=behind_s, speed=speed, every_s=every_s) == []


@pytest.mark.parametrize("behind_s", [0.0, 20.0])
@pytest.mark.parametrize("held_s", [0.0, 3600.0])
def test_a_read_far_from_the_way_has_parted_whatever_the_clock(journal, behind_s, held_s):
    told = past(journal, behind_s=behind_s, speed=12.0, every_s=10, aside_m=1500.0, held_s=held_s)
    assert len({event.event_id for event in told}) == 1 and told[0].device == "gate"


def test_what_came_late_excuses_no_more_than_a_clock_does(journal):
    """A read is of minutes before the crate came by, and came in an hour later: its time is right, and it parted."""
    assert past(journal, behind_s=200.0, speed=12.0, every_s=10, held_s=3600.0)


@pytest.mark.parametrize("every_s", [10, 60])
@pytest.mark.parametrize("speed", [6.0, 12.0, 25.0])
@pytest.mark.parametrize("behind_s", [100.0, 300.0, 3600.0])
def test_a_read_that_comes_in_as_its_track_comes_by_has_not_parted(journal, behind_s, speed, every_s):
    """An auditor's: each shipment that passed a portal whose clock is minutes behind was a critical ``parted``."""
    assert past(journal, behind_s=behind_s, speed=speed, every_s=every_s) == []


@pytest.mark.parametrize("aside_m", [300.0, 1500.0])
def test_what_comes_in_as_its_track_is_elsewhere_has_parted_whatever_its_clock(journal, aside_m):
    told = past(journal, behind_s=300.0, speed=12.0, every_s=10, aside_m=aside_m)
    assert len({event.event_id for event in told}) == 1
