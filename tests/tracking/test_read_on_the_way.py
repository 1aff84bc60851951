"""Goods that are read where their receiver is not: told while nothing says otherwise, with the reader as second place."""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation, Placement, TagRead
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
EPC = "urn:epc:id:sgtin:0614141.107346.2017"
RANGE_M = 10.0


def told(journal, *, receiver, goods, portals, every_s: float, until_s: int, seed: int, ahead_s: float = 0.0,
         late_s: float = 0.0):  # fmt: skip
    """The journal after a shipment's receiver and its goods, which carry a passive tag, went their ways.

    Args:
        receiver, goods: second -> (e, n), m; portals: {name: (e, n)}, which read what is within RANGE_M, five times a second.
        every_s: between reports; ahead_s: how far the portals' clocks are ahead; late_s: how much longer reads may take.
    """
    j, rng, took, said = journal(exercise=False), random.Random(seed), random.Random(-seed), []
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="gps", klass="lorry", interval_s=every_s))
    for device in ("gps", EPC):
        j.add(0, Attachment(device=device, shipment="crate", operation="op", from_ns=T0))
    for name, (e, n) in portals.items():
        lat, lon = HOME.geodetic(e, n)
        j.add(0, Placement(device=name, lat_deg=lat, lon_deg=lon, range_m=RANGE_M, from_ns=T0))
    for k in range(until_s * 5):
        t, (e, n) = k / 5.0, goods(k / 5.0)
        for name, at in portals.items():
            if (e - at[0]) ** 2 + (n - at[1]) ** 2 <= RANGE_M**2:
                read = TagRead(device=name, time_ns=T0 + round((t + ahead_s) * NS), epc=EPC)
                said.append((t + 0.3 + took.uniform(0.0, late_s), read))
    t = rng.uniform(0.0, every_s)
    while t < until_s:
        (e, n), time_ns = receiver(t), T0 + round(t * NS)
        lat, lon = HOME.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
        said.append((t + 1.0, Fix(device="gps", time_ns=time_ns, lat_deg=lat, lon_deg=lon, sigma_m=8.0)))
        t += every_s
    for at_s, one in sorted(said, key=lambda s: s[0]):
        j.say(at_s, one)
    return j


@pytest.mark.parametrize("aside_m", [500.0, 1000.0, 3000.0])
@pytest.mark.parametrize("every_s", [10.0, 30.0, 60.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_moving_receiver_that_was_never_at_the_portal_does_not_end_it(aside_m, every_s, seed, journal):
    def way(t: float) -> tuple[float, float]:
        return 20.0 * t, 0.0

    def aside(t: float) -> tuple[float, float]:
        return 20.0 * t, min(aside_m, max(0.0, 1.5 * (t - 300.0)))

    j = told(journal, receiver=aside, goods=way, portals={"p1": way(2700.0)}, every_s=every_s, until_s=3600, seed=seed)
    [event] = j.happened("parted")
    assert event.device == "p1" and event.end_ns is None and abs(event.start_ns - T0 - 2700 * NS) <= 2 * every_s * NS
    [row] = j.now(3599.0)
    away_m = HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
    assert row.rival_device == "p1" and abs(away_m[0] - 54_000.0) < 1.0  # where the goods were read is its second place


@pytest.mark.parametrize("gate_m", [150.0, 300.0, 600.0])
@pytest.mark.parametrize("every_s", [10.0, 60.0, 300.0, 900.0])
@pytest.mark.parametrize("seed", range(2))
def test_goods_that_go_out_through_a_gate_while_their_receiver_stays_in_the_yard(gate_m, every_s, seed, journal):
    def goods(t: float) -> tuple[float, float]:
        return max(0.0, 8.0 * (t - 3600.0)), 0.0

    j = told(journal, receiver=lambda _: (0.0, 0.0), goods=goods, portals={"gate": (gate_m, 0.0)}, every_s=every_s,
             until_s=round(3700 + 2 * every_s), seed=seed)  # fmt: skip
    [event] = j.happened("parted")
    assert event.device == "gate" and event.end_ns is None


@pytest.mark.parametrize("every_s", [10.0, 60.0])
@pytest.mark.parametrize("speed", [8.0, 20.0, 30.0])
@pytest.mark.parametrize("ahead_s", [0.0, 3.0, 15.0, 60.0, 100.0])
def test_a_portal_whose_clock_is_ahead_parts_nothing(ahead_s, speed, every_s, journal):
    def way(t: float) -> tuple[float, float]:
        return speed * t, 0.0

    portals = {f"p{k}": way(600.0 * k) for k in (1, 2, 3)}
    j = told(journal, receiver=way, goods=way, portals=portals, every_s=every_s, until_s=2000, seed=3, ahead_s=ahead_s)
    assert j.happened("parted", "clock", "jumped") == []
    [row] = j.now(1999.0)
    e, _ = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    assert abs(e - 1999.0 * speed) < 60.0


@pytest.mark.parametrize("every_s", [10.0, 60.0])
def test_the_newest_portal_that_read_the_goods_is_where_they_are(every_s, journal):
    def goods(t: float) -> tuple[float, float]:
        return 20.0 * t, 0.0

    j = told(journal, receiver=lambda t: goods(min(t, 600.0)), goods=goods, portals={"p1": goods(1200.0), "p2": goods(1800.0)},
             every_s=every_s, until_s=2400, seed=1)  # fmt: skip
    [event] = j.happened("parted")
    assert event.device == "p2" and "read by p2, 239" in event.text and event.end_ns is None
    [row] = j.now(2399.0)
    assert row.rival_device == "p2" and abs(HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)[0] - 36_000.0) < 1.0


@pytest.mark.parametrize("late_s", [2.0, 30.0])
@pytest.mark.parametrize("every_s", [20.0, 60.0])
@pytest.mark.parametrize("seed", range(3))
def test_reads_of_a_passage_in_any_order_are_one_measurement(seed, every_s, late_s, journal):
    def way(t: float) -> tuple[float, float]:
        return 9.0 * t, 2.0 * t

    portals = {f"p{k}": way(200.0 * k + 3.0) for k in (1, 2, 3)}
    rows, last_s = [], max(t for k in range(99) if (t := random.Random(seed).uniform(0.0, every_s) + k * every_s) < 700)
    for late in (0.0, late_s):
        j = told(journal, receiver=way, goods=way, portals=portals, every_s=every_s, until_s=700, seed=seed, late_s=late)
        rows += j.now(last_s + 1.0)
    one, other = rows
    for name in ("lat_deg", "lon_deg", "ve_mps", "vn_mps", "p_ee", "p_en", "p_nn"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9), name
    assert (one.hits, one.refused) == (other.hits, other.refused)
