"""Reads that come in late end as in order: what a portal reads is held against what others had read by then."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Device, Fix, Placement, TagRead
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
TAG = "urn:epc:tag:sgtin-96:1.0614141.812345.6789"
MPS, PORTALS = 12.0, {"in": 240.0, "out": 480.0}


def said(seed: int) -> list:
    """A van with a tag drives past two portals 20 s apart; (time, observation)."""
    rng, out = random.Random(seed), []
    for reader, e in PORTALS.items():
        rssi = -60.0 if reader == "in" else -45.0
        out += [(t, TagRead(device=reader, time_ns=T0 + round(t * NS), epc=TAG, rssi_dbm=rssi + rng.uniform(-2.0, 2.0)))
                for t in (e / MPS + 0.4 * k - 0.8 for k in range(5))]  # fmt: skip
    for t in range(0, 60, 10):
        lat, lon = HOME.geodetic(MPS * t + rng.gauss(0.0, 3.0), rng.gauss(0.0, 3.0))
        out.append((float(t), Fix(device="van", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0)))
    return out


@pytest.mark.parametrize("what", ["a tag alone", "a tag and a van"])
@pytest.mark.parametrize("seed", range(4))
def test_reads_that_come_in_after_those_of_the_next_portal_end_as_in_order(seed, what, journal):
    """The first portal's were held against the second's, 20 s later, which hears it better: they were left out."""
    ends = []
    for late_s in (0.0, 25.0):
        j = journal(restart=True)
        j.add(0, Device(device="van", basis="own_sensor", klass="van", interval_s=10.0))
        for reader, e in PORTALS.items():
            lat, lon = HOME.geodetic(e, 0.0)
            j.add(0, Placement(device=reader, lat_deg=lat, lon_deg=lon, range_m=10.0))
        some = [(t + 0.1 + (late_s if one.device == "in" else 0.0), one) for t, one in said(seed) if one.device in PORTALS
                or what != "a tag alone"]  # fmt: skip
        for at_s, one in sorted(some, key=lambda row: row[0]):
            j.say(at_s, one, device=one.device)
        ends.append(sorted(j.now(62.0), key=lambda row: row.tag_id))
    assert len(ends[0]) == len(ends[1]) > 0
    for one, other in zip(*ends, strict=True):
        assert (one.lat_deg, one.lon_deg) == pytest.approx((other.lat_deg, other.lon_deg), abs=1e-11)
        assert (one.p_ee, one.p_en, one.p_nn) == pytest.approx((other.p_ee, other.p_en, other.p_nn), rel=1e-9)


@pytest.mark.parametrize("late", ["one reader", "each read"])
@pytest.mark.parametrize("apart_m", [60.0, 200.0, 450.0])
@pytest.mark.parametrize("seed", range(2))
def test_which_of_two_readers_holds_a_tag_is_decided_again_when_the_others_reads_come_in(seed, apart_m, late, journal):
    """Both hear it for a minute and a half, one of them better at first, the other one then; the row was up to km off."""
    ends = []
    for most_s in (0.0, 40.0):
        rng, way, j = random.Random(seed), random.Random(seed + 100), journal(restart=seed == 0)
        for reader, e in (("left", 0.0), ("right", apart_m)):
            lat, lon = HOME.geodetic(e, 0.0)
            j.add(0, Placement(device=reader, lat_deg=lat, lon_deg=lon, range_m=10.0))
        some, t = [], 10.0
        while t < 100.0:
            for reader in ("left", "right"):
                at_s, better = t + rng.uniform(0.0, 1.5), (reader == "left") == (t < 55.0)
                said = TagRead(device=reader, time_ns=T0 + round(at_s * NS), epc=TAG,
                               rssi_dbm=(-45.0 if better else -58.0) + rng.gauss(0.0, 3.0))  # fmt: skip
                late_s = way.uniform(0.0, most_s) if late == "each read" else most_s * (reader == "left")
                if rng.random() < 0.6:
                    some.append((at_s + 0.2 + late_s, said))
            t += rng.choice((1.0, 2.0, 4.0, 7.0))
        for at_s, one in sorted(some, key=lambda row: row[0]):
            j.say(at_s, one, device=one.device)
        j.say(150.0, TagRead(device="far", time_ns=T0 + 150 * NS, epc=TAG + "0"), device="far")
        ends.append([row for row in j.now(151.0) if row.tag_id == TAG])
    [one], [other] = ends
    assert (one.lat_deg, one.lon_deg) == pytest.approx((other.lat_deg, other.lon_deg), abs=1e-11)
    assert (one.p_ee, one.p_en, one.p_nn) == pytest.approx((other.p_ee, other.p_en, other.p_nn), rel=1e-9)
    assert one.hits == other.hits
