"""Passive tags that looks carry and that turn out to be on what reports beside them; twins that are two. Truth has seeds."""

from __future__ import annotations

import math

import msgspec
import pytest

from birddog.model import Device, FrameBody, Placement, TagRead
from birddog.units import NS
from tracking.alongside import Alongside
from tracking.fold import Fold

T0 = 1_790_000_000
GATE, DEPOT, CRATE = "gate", "depot", "urn:epc:id:sgtin:0614141.812345.400"
DEPOT_E = 1000.0


def read(t: float, reader: str = GATE):
    said = TagRead(device=reader, time_ns=round((T0 + t) * NS), epc=CRATE)
    return t + 0.2, FrameBody(format="f", version=1, payload=b"", device=reader, observations=(said,))


def begun(World, Told):
    told = Told(Device(device="radar", basis="own_sensor"))
    for reader, e in ((GATE, 0.0), (DEPOT, DEPOT_E)):
        lat, lon = World.HOME.geodetic(e, 0.0)
        told.add(0.0, "placement", Placement(device=reader, lat_deg=lat, lon_deg=lon, range_m=10.0))
    return told


def things(told, t: float):
    """What `birddog track` prints."""
    [rows] = told.fold.believed_all([round((T0 + t) * NS)])
    return rows


def east(t: float) -> float:
    """A van that passes the gate at 20 s."""
    return 8.0 * (t - 20.0)


def van(World, seed: int, until: float, *, from_s: float = 40.0, other=None, pd: float = 0.9):
    """What a radar shows of the van, whose GPS is heard from a time on.

    Args:
        other: (t, rng) -> how far north of the van a look shows another; None where it shows only the one.
    """
    w = World(seed)
    for k in range(int(until / 2.0)):
        t = 2.0 * k
        if w.rng.random() < pd:
            w.see(t, east(t), 0.0, 12.0)
        north = None if other is None else other(k, w.rng)
        if north is not None:
            w.see(t, east(t), north, 12.0)
        w.clutter(t, 1)
        if t >= from_s and k % 5 == 2:
            w.fix(t, east(t), 0.0, late=w.rng.uniform(0.5, 4.0))
    w.end(clutter=0.0625)
    return w


@pytest.mark.parametrize("seed", range(4))
def test_a_tag_that_was_taken_for_a_contact_rides_on_the_van_whose_receiver_is_heard_later(seed, World, Told):
    """One van had two identified tracks that took the radar's sightings from each other, or one that went on by itself."""
    w = van(World, seed, 120.0)
    told = begun(World, Told).take([*w.made, read(20.0)], 119.0)
    [row] = things(told, 119.0)
    assert row.tag_id == "TAG" and abs(Told.where(row)[0] - east(119.0)) < 40.0
    assert (T0 + 119) * NS - row.updated_ns < 8 * NS  # the looks are its own again
    # the tag's own row stands where the van is, and says what it rides on; it is as well known after a restart
    [tag] = [one for one in told.at(119.0) if one.tag_id == CRATE]
    assert math.hypot(Told.where(tag)[0] - east(119.0), Told.where(tag)[1]) < 60.0
    [whole] = [one for one in told.fold.believed((T0 + 119) * NS, whole=True) if one.tag_id == CRATE]
    assert whole.attributes["rides_on"] == row.track_id
    again = Fold.restore(told.fold.snapshot())
    assert msgspec.msgpack.encode(again.believed_all([(T0 + 119) * NS])) == msgspec.msgpack.encode([[row]])


@pytest.mark.parametrize("seed", range(3))
def test_it_rides_whatever_the_order_in_which_looks_came(seed, World, Told):
    w = van(World, seed, 120.0)
    made = [*w.made, read(20.0)]
    late_s = [w.rng.uniform(3.0, 12.0) if k % 7 == 3 and 40.0 < t < 90.0 else 0.0 for k, (t, _) in enumerate(made)]
    late = [(t + s, body) for (t, body), s in zip(made, late_s, strict=True)]
    [a], [b] = (things(begun(World, Told).take(some, 119.0), 119.0) for some in (made, late))
    assert Told.where(a) == pytest.approx(Told.where(b), abs=1e-6) and a.p_ee == pytest.approx(b.p_ee, rel=1e-9)


def twins(told, t: float) -> int:
    return len([row for row in things(told, t) if abs(row.lat_deg - 51.5) < 0.001 and row.hits > 10])


@pytest.mark.parametrize("seen", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_two_side_by_side_are_two_whether_the_radar_tells_them_apart_always_or_each_third_time(seed, seen, World, Told):
    """The tag is on the other, whose sightings it goes on with; it is heard of the van from the same minute on."""
    w = van(World, seed, 180.0, other=lambda k, rng: 30.0 if k % seen == 0 and rng.random() < 0.9 else None)
    told = begun(World, Told)
    lat, lon = World.HOME.geodetic(0.0, 30.0)
    told.add(0.0, "placement", Placement(device=GATE, lat_deg=lat, lon_deg=lon, range_m=10.0))
    for t, body in sorted([*w.made, read(20.0)], key=lambda pair: pair[0]):
        if t > 179.0:
            break
        told.take([(t, body)])
        if t > 60.0:
            assert {row.tag_id for row in things(told, t)} >= {"TAG", CRATE}, t


@pytest.mark.parametrize("seed", range(3))
def test_a_parcel_that_no_look_shows_stays_at_its_reader_while_a_van_stands_beside(seed, World, Told):
    w = World(seed)
    for k in range(100):
        t = 2.0 * k
        e = max(15.0, 300.0 - 8.0 * max(0.0, t - 10.0))
        if w.rng.random() < 0.9:
            w.see(t, e, 5.0, 12.0)
        w.clutter(t, 1)
        if k % 5 == 2:
            w.fix(t, e, 5.0)
    w.end(clutter=0.0625)
    told = begun(World, Told).take([*w.made, read(1.0)], 199.0)
    assert {row.tag_id for row in things(told, 199.0)} == {"TAG", CRATE}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_unloaded_and_read_elsewhere_is_there(seed, World, Told):
    """The van goes on; the tag is read where the van was a minute ago, and is a thing of its own again."""
    w = van(World, seed, 240.0)
    reads = [read(20.0), *(read(205.0 + k, DEPOT) for k in range(4)), *(read(225.0 + k, DEPOT) for k in range(4))]
    told = begun(World, Told).take([*w.made, *reads], 204.0)
    assert {row.tag_id for row in things(told, 204.0)} == {"TAG"}
    # from the first read on it does not ride; the second says that it is no error
    later = [one for one in [*w.made, *reads] if one[0] > 204.0]
    told.take(later, 208.5)
    assert {row.tag_id for row in things(told, 208.5)} == {"TAG", CRATE}
    told.take([one for one in later if one[0] > 208.5], 239.0)
    found = {row.tag_id: Told.where(row) for row in things(told, 239.0)}
    assert set(found) == {"TAG", CRATE}
    assert math.hypot(found[CRATE][0] - DEPOT_E, found[CRATE][1]) < 40.0 and abs(found["TAG"][0] - east(239.0)) < 40.0


def bounce(World, seed: int, until: float = 200.0):
    """A van and another come together at 100 s and go on, each where the other came from, between two fixes of the van's; the
    tag, which is on it, is read 10 s later: (what is made, the gate, where the van is).
    """
    w, e, n = World(seed), 10.0 * math.cos(math.radians(20.0)), 10.0 * math.sin(math.radians(20.0))

    def way(t: float) -> tuple[float, float]:
        return e * (t - 100.0), -n * abs(t - 100.0)

    for k in range(int(until / 2.0)):
        t = 2.0 * k
        for at in (way(t), (e * (t - 100.0), 3.0 + n * abs(t - 100.0))):
            if w.rng.random() < 0.9:
                w.see(t, *at, 12.0)
        w.clutter(t, 1)
    w.end(clutter=0.0625)
    for t in range(0, int(until), 30):
        w.fix(float(t), *way(float(t)), late=w.rng.uniform(0.5, 4.0))
    return [*w.made, *(read(109.0 + k) for k in range(3))], way(110.0), way


@pytest.mark.parametrize("seed", range(3))
def test_a_van_whose_tag_was_read_while_looks_took_it_for_another_is_one_row_when_its_receiver_is_heard(seed, World, Told):
    """Its receiver shares the tag's sightings from then on, so that each look was taken to have shown both: two for good."""
    made, gate, way = bounce(World, seed)
    told = begun(World, Told)
    lat, lon = World.HOME.geodetic(*gate)
    told.add(0.0, "placement", Placement(device=GATE, lat_deg=lat, lon_deg=lon, range_m=10.0))
    told.take(made, 121.0)
    [mistaken] = [row for row in things(told, 119.0) if row.tag_id == "TAG"]
    assert math.dist(Told.where(mistaken), way(119.0)) > 100.0
    told.take([one for one in made if one[0] > 121.0], 199.0)
    [row] = [one for one in things(told, 199.0) if math.dist(Told.where(one), way(199.0)) < 60.0]
    assert row.tag_id == "TAG"
    [tag] = [one for one in told.fold.believed((T0 + 199) * NS, whole=True) if one.tag_id == CRATE]
    assert tag.attributes["rides_on"] == row.track_id


@pytest.mark.parametrize(("seed", "every"), [(0, 30.0), (1, 30.0), (2, 30.0), (0, 10.0), (1, 10.0)])
def test_what_rode_on_a_receiver_that_is_carried_over_to_another_stays_with_what_looks_go_on_seeing(seed, every, World, Told):
    """It was lent the other one's sightings from then on, and was lost."""
    w, times = World(seed), [2.0 * k for k in range(210)]

    def where(t: float) -> float:
        return 10.0 * (min(t, 260.0) - 20.0) + 10.0 * max(0.0, t - 320.0)

    stands = where(260.0)
    for t in times:
        for e, n in ((where(t), 0.0), (stands, 40.0)):
            if w.rng.random() < 0.9:
                w.see(t, e, n, 12.0)
        w.clutter(t, 1)
    w.end(times=times, clutter=0.0625, area=(-6000.0, 6000.0, -6000.0, 6000.0))
    t = 40.0
    while t < 420.0:
        e, n = (where(t), 0.0) if t < 290.0 else (stands, 40.0)
        w.fix(t, e, n, late=w.rng.uniform(0.5, 4.0))
        t += every
    made = [*w.made, *(read(19.0 + k) for k in range(3))]
    told = begun(World, Told).take(made, 285.0)
    [one] = [row for row in told.fold.believed((T0 + 285) * NS, whole=True) if row.tag_id == CRATE]
    assert one.attributes.get("rides_on")
    told.take([body for body in made if body[0] > 285.0], 419.0)
    found = {row.tag_id: Told.where(row) for row in things(told, 419.0)}
    assert math.dist(found["TAG"], (stands, 40.0)) < 40.0 and math.dist(found[CRATE], (where(419.0), 0.0)) < 40.0


def test_a_look_that_shows_both_is_worth_more_than_two_that_show_one_and_the_second_ends_it():
    """One that shows neither says nothing; nor does a radar that misses each second."""
    one = Alongside("T1", 0)
    for _ in range(8):
        one = one.shown(1, 0.9)
    assert one.rides and one.shown(0, 0.9) == one
    once = one.shown(2, 0.9)
    assert not once.rides and not once.shown(1, 0.9).shown(1, 0.9).rides and once.shown(1, 0.9).odds > once.odds
    twice = once.shown(2, 0.9)
    assert not twice.rides and twice.shown(1, 0.9) == twice
    blind = Alongside("T1", 0)
    for _ in range(100):
        blind = blind.shown(1, 0.5)
    assert not blind.rides
