"""Passive tags of no shipment that readers hear together, on lorries that only a radar sees. Truth has seeds."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from birddog.model import Device, FrameBody, Placement, TagRead
from birddog.units import NS
from tracking.company import Pass, Readers, Tag, by_then, company, with_read
from tracking.fold import Fold
from tracking.measurement import Measurement

T0 = 1_790_000_000
#: Readers on the lorry's way, m east; it passes the first at 30 s.
EAST = {"gate": -1000.0, "yard": 0.0, "depot": 1000.0}
MPS = 10.0
INSIDE = 5.991


def epc(tag: int) -> str:
    return f"urn:epc:id:sgtin:0614141.812345.{tag}"


def read(t: float, reader: str, tag: int):
    said = TagRead(device=reader, time_ns=round((T0 + t) * NS), epc=epc(tag))
    return t + 0.2, FrameBody(format="f", version=1, payload=b"", device=reader, observations=(said,))


def lorry(t: float, halts: tuple[tuple[float, float], ...] = ()) -> tuple[float, float]:
    """Where a lorry is that stands at a time for so long."""
    gone = t - sum(min(max(0.0, t - at), long) for at, long in halts)
    return -1300.0 + MPS * gone, 0.0


def passing(t: float, reader: str, *tags: int, s: int = 2):
    """Tags that are read together for some seconds."""
    return [read(t + k, reader, tag) for k in range(s) for tag in tags]


def seen(World, seed: int, until: float, *things, every: float = 5.0, pd: float = 0.9):
    """What a radar shows of some things, (t) -> (e, n)."""
    w = World(seed)
    times = [every * k for k in range(int(until / every) + 1)]
    for t in times:
        for thing in things:
            if w.rng.random() < pd:
                w.see(t, *thing(t))
        w.clutter(t, 1)
    w.end(times=times, clutter=0.0625)
    return w


def begun(World, Told):
    told = Told(Device(device="radar", basis="own_sensor"))
    for reader, e in EAST.items():
        lat, lon = World.HOME.geodetic(e, 0.0)
        told.add(0.0, "placement", Placement(device=reader, lat_deg=lat, lon_deg=lon, range_m=10.0))
    return told


def rows(told, t: float):
    return {row.tag_id: row for row in told.fold.believed(round((T0 + t) * NS), whole=True) if row.tag_id}


def off(Told, row, at: tuple[float, float]) -> tuple[float, float]:
    """How far a row is from a place, m, and the Mahalanobis² of that."""
    e, n = Told.where(row)
    e, n = at[0] - e, at[1] - n
    d2 = (row.p_nn * e * e - 2.0 * row.p_en * e * n + row.p_ee * n * n) / (row.p_ee * row.p_nn - row.p_en**2)
    return math.hypot(e, n), d2


@pytest.mark.parametrize("tags", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_all_that_were_read_together_at_two_readers_go_with_what_the_radar_sees(seed, tags, World, Told):
    """One went with the radar's contact, the others stood at the last reader until the next, 500 m off and more."""
    names = range(1, tags + 1)
    made = seen(World, seed, 225.0, lorry).made + passing(30.0, "gate", *names) + passing(130.0, "yard", *names)
    told, waiting, held = begun(World, Told), sorted(made, key=lambda pair: pair[0]), []
    for t in range(60, 226, 5):
        told.take([one for one in waiting if t - 5 < one[0] <= t or (t == 60 and one[0] <= t)])
        found = rows(told, t)
        for tag in names:
            away_m, d2 = off(Told, found[epc(tag)], lorry(t))
            held.append(d2 <= INSIDE)
            assert away_m < 60.0, (t, tag)
            assert t < 150 or d2 < 9.0 * INSIDE
            # between the first and the second it may have stayed: the row says so, and its ellipse holds both
            if 70 < t < 130:
                assert Told.near([found[epc(tag)]], *lorry(t), within=60.0) and found[epc(tag)].rival_device == "gate"
                assert off(Told, found[epc(tag)], (EAST["gate"], 0.0))[1] < INSIDE
            if t > 150:
                assert found[epc(tag)].rival_lat_deg is None and math.sqrt(found[epc(tag)].p_ee) < 60.0
    assert sum(held) > 0.85 * len(held)
    riding = [row.attributes.get("rides_on") for row in found.values()]
    assert riding.count(None) == 1 and set(riding) - {None} == {row.track_id for row in found.values()
                                                                if "rides_on" not in row.attributes}  # fmt: skip
    again = Fold.restore(told.fold.snapshot())
    assert msgspec.msgpack.encode(again.believed((T0 + 225) * NS)) == msgspec.msgpack.encode(told.at(225.0))


@pytest.mark.parametrize("seed", range(4))
def test_it_goes_with_it_whatever_the_order_in_which_looks_came(seed, World, Told):
    looks, reads = seen(World, seed, 200.0, lorry).made, passing(30.0, "gate", 1, 2) + passing(130.0, "yard", 1, 2)
    late = [(t + 3.0 + 2.0 * seed if k % 3 == 2 and t < 180.0 else t, body) for k, (t, body) in enumerate(looks)]
    one, other = (rows(begun(World, Told).take(some + reads), 205.0) for some in (looks, late))
    for tag in (1, 2):
        assert Told.where(one[epc(tag)]) == pytest.approx(Told.where(other[epc(tag)]), abs=1e-6)
        assert one[epc(tag)].p_ee == pytest.approx(other[epc(tag)].p_ee, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_read_beside_it_for_seconds_and_stays_is_held_and_stays_when_the_other_is_read_without_it(seed, World, Told):
    """The radar's contact was taken for the pallet's: it was shown on the lorry, for sure and for good."""
    stays = (EAST["gate"], 8.0)
    made = seen(World, seed, 200.0, lorry).made + passing(30.0, "gate", 1, 2) + passing(130.0, "yard", 1)
    told = begun(World, Told).take(made, 128.0)
    for row in rows(told, 128.0).values():  # who of the two went, nobody knows
        assert off(Told, row, stays)[1] < INSIDE and off(Told, row, lorry(128.0))[1] < INSIDE
    told.take([one for one in made if one[0] > 128.0], 200.0)
    found = rows(told, 200.0)
    assert off(Told, found[epc(2)], stays)[0] < 30.0 and off(Told, found[epc(1)], lorry(200.0))[0] < 60.0
    assert off(Told, found[epc(1)], stays)[1] > INSIDE  # it was read where the lorry went


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_what_lies_at_the_reader_and_is_read_on_is_there_and_says_nothing_of_what_passed(seed, every, World, Told):
    made = seen(World, seed, 150.0, lorry).made + passing(30.0, "gate", 1)
    made += [read(t, "gate", 2) for t in range(0, 150, every)]
    told = begun(World, Told).take(made, 150.0)
    found = rows(told, 150.0)
    assert off(Told, found[epc(2)], (EAST["gate"], 0.0))[0] < 15.0 and found[epc(2)].rival_lat_deg is None
    assert off(Told, found[epc(1)], lorry(150.0))[0] < 60.0 and found[epc(1)].rival_lat_deg is None


@pytest.mark.parametrize("seed", range(4))
def test_what_is_unloaded_where_its_lorry_stands_and_is_read_on_stays_there(seed, World, Told):
    """Both are on it; at the second reader one is read no more after 40 s, the other until the lorry leaves."""
    halts = ((130.0, 90.0),)
    made = seen(World, seed, 300.0, lambda t: lorry(t, halts)).made + passing(30.0, "gate", 1, 2)
    made += passing(130.0, "yard", 1, 2, s=40) + passing(170.0, "yard", 1, s=50)
    told = begun(World, Told).take(made, 299.0)
    found = rows(told, 299.0)
    assert off(Told, found[epc(2)], (EAST["yard"], 30.0))[0] < 40.0
    assert off(Told, found[epc(1)], lorry(299.0, halts))[0] < 60.0


@pytest.mark.parametrize("seed", range(4))
def test_where_its_carrier_stood_for_long_it_may_have_been_put_down(seed, World, Told):
    """Both are on it for sure; it stands for two minutes where no reader is, and goes on with one of them."""
    halts = ((180.0, 120.0),)
    made = seen(World, seed, 400.0, lambda t: lorry(t, halts), pd=1.0).made + passing(30.0, "gate", 1, 2)
    made += passing(130.0, "yard", 1, 2) + passing(350.0, "depot", 1)
    told = begun(World, Told).take(made, 345.0)
    for row in rows(told, 345.0).values():
        assert off(Told, row, (500.0, 8.0))[1] < INSIDE and off(Told, row, lorry(345.0, halts))[1] < INSIDE
    told.take([one for one in made if one[0] > 345.0], 390.0)  # the depot reads the one
    found = rows(told, 390.0)
    assert off(Told, found[epc(1)], lorry(390.0, halts))[0] < 60.0 and found[epc(1)].rival_lat_deg is None
    assert off(Told, found[epc(2)], (500.0, 8.0))[1] < INSIDE


@pytest.mark.parametrize("seed", range(4))
def test_what_rides_on_what_looks_have_lost_may_be_about_where_it_was_read_last(seed, World, Told):
    """It turns off behind a hill: no look shows it any more, and the one that they carried goes straight on."""

    def hidden(t: float) -> tuple[float, float]:
        return lorry(t) if t < 150.0 else (200.0, -5.0 * (t - 150.0))

    looks = seen(World, seed, 150.0, lorry).made
    w = World(seed)
    for t in range(155, 245, 5):
        w.clutter(float(t), 1)
    w.end(clutter=0.0625)
    told = begun(World, Told).take(looks + passing(30.0, "gate", 1, 2) + passing(130.0, "yard", 1, 2))
    [riding] = [row for row in rows(told, 151.0).values() if "rides_on" in row.attributes]
    for t in range(155, 245, 5):
        told.take([one for one in w.made if t - 5.0 < one[0] - 0.5 <= t])
        row = rows(told, t + 1.0)[riding.tag_id]
        if t < 180:
            continue
        assert off(Told, row, hidden(t))[1] < INSIDE and "rides_on" not in row.attributes, t


@pytest.mark.parametrize("seed", range(6))
def test_of_two_lorries_whose_reads_lie_in_one_another_each_tag_may_be_on_either_until_it_is_read_again(seed, World, Told):
    """40 m behind one another through one gate, then two ways; what was taken for the other was refused where it was read."""

    def way(t: float, left: float) -> tuple[float, float]:
        e = -1300.0 + 5.0 * t
        return (e, 0.0) if e < -700.0 else (-700.0 + 0.8 * (e + 700.0), 0.6 * left * (e + 700.0))

    ways = {1: lambda t: way(t, 1.0), 2: lambda t: way(t - 8.0, -1.0)}
    made = seen(World, seed, 330.0, *ways.values()).made
    made += [read(t, "gate", 1) for t in range(57, 64)] + [read(t, "gate", 2) for t in range(63, 72)]
    readers = {"gate": (-1000.0, 0.0), "north": ways[1](300.0), "south": ways[2](300.0)}
    told = Told(Device(device="radar", basis="own_sensor"))
    for reader, at in readers.items():
        lat, lon = World.HOME.geodetic(*at)
        told.add(0.0, "placement", Placement(device=reader, lat_deg=lat, lon_deg=lon, range_m=15.0))
    made += passing(299.0, "north", 1) + passing(299.0, "south", 2)
    told.take(made, 290.0)
    for tag, row in ((tag, rows(told, 290.0)[epc(tag)]) for tag in (1, 2)):
        assert off(Told, row, ways[tag](290.0))[1] < 1.3 * INSIDE
    told.take([one for one in made if one[0] > 290.0], 310.0)
    for tag, row in ((tag, rows(told, 310.0)[epc(tag)]) for tag in (1, 2)):
        assert off(Told, row, ways[tag](310.0))[1] < 9.0 * INSIDE and off(Told, row, ways[tag](310.0))[0] < 200.0


# --- what it is made of ----------------------------------------------------------------------------


def at(reader: str, s: float) -> Measurement:
    return Measurement(round(s * NS), reader, "tag_read", 51.5, -1.0 + 0.01 * "abcdef".index(reader), 25.0, 0.0, 25.0)


def tag(name: str, *passes: tuple[str, float, float], seen_s: float = 0.0) -> Tag:
    found: list[Pass] = []
    for reader, first_s, last_s in passes:
        found = with_read(with_read(found, at(reader, first_s)), at(reader, last_s))
    return Tag(name, found, round(seen_s * NS))


def test_a_pass_does_not_depend_on_the_order_in_which_reads_come_in():
    made = [at("a", 0), at("a", 50), at("b", 70), at("a", 100), at("a", 200)]
    wanted = None
    for some in itertools.permutations(made):
        passes: list[Pass] = []
        for m in some:
            passes = with_read(passes, m)
        wanted = wanted or passes
        assert passes == wanted
    assert [(p.reader, p.first_ns // NS, p.last_ns // NS) for p in wanted] == [("b", 70, 70), ("a", 0, 100), ("a", 200, 200)]
    assert [(p.reader, p.last_ns // NS) for p in by_then(wanted, 80 * NS)] == [("b", 70), ("a", 80)]


def test_readers_know_whom_they_heard_about_when():
    readers, one, two = Readers(), tag("1", ("a", 0, 2)).passes, tag("2", ("a", 10, 12)).passes
    readers.change("d:1", [], one)
    readers.change("d:2", [], two)
    assert readers.about("a", 2 * NS) == ["d:1", "d:2"] and readers.about("a", 12 * NS) == ["d:2"]
    readers.change("d:1", one, later := with_read(one, at("a", 40)))
    assert readers.about("a", 2 * NS) == ["d:2", "d:1"]
    readers.change("d:1", later, [])
    assert readers.about("a", 0) == ["d:2"] and readers.about("b", 0) == []


def test_two_that_each_look_shows_by_itself_are_two_from_the_second_look_on():
    one, two = tag("T1", ("a", 0, 1), seen_s=60.0), tag("T2", ("a", 0, 1), seen_s=50.0)
    found = company(two, [one], {}, {"T1 T2": (50 * NS,)}, 60 * NS)
    assert found is not None and found.at.track_id == "T1"  # the first may have been clutter
    found = company(two, [one], {}, {"T1 T2": (40 * NS, 50 * NS)}, 60 * NS)
    assert found is not None and found.at.track_id == "T2" and found.may is not None and found.may.track_id == "T1"


def test_two_antennas_of_one_gate_are_one_place():
    near = Measurement(60 * NS, "a2", "tag_read", 51.5, -0.9995, 25.0, 0.0, 25.0)
    passes = with_read(with_read([], at("a", 55)), near)
    found = company(Tag("T2", passes, 0), [Tag("T1", passes, 100 * NS)], {}, {}, 100 * NS)
    assert found is not None and not found.rides_on and found.may is not None and found.may.name == "a2"


def test_what_was_missed_once_goes_on_where_it_was_and_two_readers_later_it_was_left():
    mine = tag("T2", ("a", 0, 1), ("b", 200, 201))
    other = tag("T1", ("a", 0, 1), ("b", 200, 201), seen_s=390.0)
    found = company(mine, [other], {}, {}, 390 * NS)
    assert found is not None and found.rides_on == "T1"
    found = company(mine, [tag("T1", ("a", 0, 1), ("b", 200, 201), ("c", 400, 401), seen_s=450.0)], {}, {}, 450 * NS)
    assert found is not None and found.at.track_id == "T1" and found.may is not None and found.may.name == "b"
    found = company(mine, [tag("T1", ("a", 0, 1), ("b", 200, 201), ("c", 400, 401), ("d", 600, 601))], {}, {}, 650 * NS)
    assert found is not None and found.at.name == "b" and found.aside
