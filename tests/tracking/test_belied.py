"""Looks that belie a receiver: it lies, or was taken off; and every case in which its own fixes decide as ever."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from birddog.model import Decision, Device, Scan
from birddog.units import NS

T0 = 1_790_000_000

TAG = Device(device="TAG", basis="own_sensor", interval_s=5.0)


def world(
    World, seed: int, *, drift: tuple[float, float] = (0.0, 5.0), since: float = 90.0, until: float = 210.0, pd: float = 0.9,
    both: bool = False, area=(-3000.0, 3000.0, -3000.0, 3000.0), back: float = math.inf, seen=lambda t: True,
    every: float = 5.0, footprint: bool = True, sigma: float = 12.0,
):  # fmt: skip
    """A vehicle goes east at 12 m/s past a radar; from a time on its tag says that it drifts away, until it goes back.

    Args:
        both: what the tag says is true of another vehicle, which the radar sees as well.
        seen: when the radar sees the vehicle at all.
    """
    w = World(seed)
    for k in range(int(until / 3.0) + 1):
        t = 3.0 * k
        if seen(t) and w.rng.random() < pd:
            w.see(t, 12 * t - 1200, 0, sigma)
        if both and t > since and w.rng.random() < pd:
            w.see(t, 12 * t - 1200 + drift[0] * (t - since), drift[1] * (t - since), sigma)
        w.clutter(t, 2)
    w.end(times=[3.0 * k for k in range(int(until / 3.0) + 1)], pd=pd, clutter=0.06, area=area)
    if not footprint:
        w.made = [(at, msgspec.structs.replace(body, footprint=()) if isinstance(body, Scan) else body) for at, body in w.made]
    t = 0.0
    while t <= until:
        lies = max(0.0, t - since) if t < back else 0.0
        w.fix(t, 12 * t - 1200 + drift[0] * lies, drift[1] * lies)
        t += every
    return w


def tagged(told, t: float):
    return next(row for row in told.at(t) if row.tag_id == "TAG")


def off_m(Told, row, t: float, e: float = 0.0, n: float = 0.0) -> float:
    at = Told.where(row)
    return math.hypot(at[0] - (12 * t - 1200 + e), at[1] - n)


@pytest.mark.parametrize("drift", [(0.0, 3.0), (5.0, 4.0), (-4.0, -8.0), (0.0, 30.0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_tag_that_drifts_away_from_what_a_radar_goes_on_seeing_is_belied(drift, seed, World, Told):
    told, ids, worst = Told(TAG), set(), 0.0
    waiting = sorted(world(World, seed, drift=drift).made, key=lambda pair: pair[0])
    for tau in range(60, 211, 3):
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        row = tagged(told, tau)
        ids |= {b.track_id for b in Told.near(told.at(tau), 12 * tau - 1200, 0.0, 60)}
        worst = max(worst, off_m(Told, row, tau))
    [event] = told.events("belied")
    assert event.device == "TAG" and event.end_ns is None and "show nothing there" in event.text
    assert event.start_ns < (T0 + 165) * NS
    assert ids == {row.track_id} and worst < 200.0  # one number from first to last, and no leap
    assert row.rival_device == "TAG" and row.rival_lat_deg is not None  # the second symbol is where it says
    said = Told.where(msgspec.structs.replace(row, lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg))
    away = 205 - 90  # its newest fix
    assert math.hypot(said[0] - (12 * 205 - 1200 + drift[0] * away), said[1] - drift[1] * away) < 40.0
    assert told.fold.live(row.track_id).state.open_events == {}
    assert len(told.at(210)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_tag_that_was_moved_to_another_vehicle_goes_with_its_own_reports(seed, World, Told):
    told = Told(TAG).take(world(World, seed, drift=(0.0, 6.0), both=True).made)
    assert told.events("belied") == []
    assert off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0
    assert [b.tag_id for b in Told.near(told.at(210), 12 * 210 - 1200, 0.0, 60)] == [""]


@pytest.mark.parametrize("seed", range(3))
def test_where_no_look_covers_the_place_its_own_reports_decide(seed, World, Told):
    told = Told(TAG).take(world(World, seed, drift=(0.0, 6.0), area=(-3000.0, 3000.0, -100.0, 40.0)).made)
    assert told.events("belied") == [] and off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


def test_a_radar_that_says_no_area_belies_nobody(World, Told):
    told = Told(TAG).take(world(World, 1, drift=(0.0, 6.0), footprint=False).made)
    assert told.events("belied") == [] and off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


@pytest.mark.parametrize("far", [240_000.0])
def test_an_area_of_which_nobody_knows_how_far_it_reaches_belies_nobody(far, World, Told):
    told = Told(TAG).take(world(World, 1, drift=(0.0, 6.0), area=(-far, far, -far, far)).made)
    assert told.events("belied") == [] and off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


def test_a_dead_radar_belies_nobody(World, Told):
    told = Told(TAG).take(world(World, 2, drift=(0.0, 6.0), seen=lambda t: t < 88.0).made)
    assert told.events("belied") == [] and off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


def test_a_radar_that_sees_one_in_three_belies_nobody(World, Told):
    told = Told(TAG).take(world(World, 3, drift=(0.0, 6.0), pd=0.3).made)
    assert told.events("belied") == [] and off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_tag_that_turns_and_stops_is_never_belied(seed, World, Told):
    w, rng = World(seed), random.Random(seed)
    e, n, course, speed = -1500.0, 0.0, 1.57, 14.0
    for k in range(400):
        t = float(k)
        course += 0.1 * (k % 60 < 12) * (1 if k % 120 < 60 else -1)
        speed = 0.0 if 150 <= k < 190 else 14.0
        e, n = e + speed * math.sin(course), n + speed * math.cos(course)
        if k % 3 == 0:
            if rng.random() < 0.9:
                w.see(t, e, n, 12.0)
            w.clutter(t, 3)
        if k % 10 == 0:
            w.fix(t, e, n)
    w.end(times=[3.0 * k for k in range(134)], area=(-4000.0, 4000.0, -4000.0, 4000.0))
    told = Told(msgspec.structs.replace(TAG, interval_s=10.0)).take(w.made)
    assert told.events("belied") == [] and told.events("contradicted") == []


@pytest.mark.parametrize("seed", range(3))
def test_it_is_believed_again_when_its_fixes_are_where_the_track_is(seed, World, Told):
    told = Told(TAG).take(world(World, seed, drift=(0.0, 6.0), back=150.0).made)
    [event] = told.events("belied")[-1:]
    assert event.end_ns is not None and (T0 + 150) * NS < event.end_ns < (T0 + 190) * NS
    row = tagged(told, 210)
    assert row.rival_lat_deg is None and off_m(Told, row, 210) < 40.0 and "belied" not in row.attributes


def test_it_is_believed_again_when_looks_show_something_where_it_says(World, Told):
    w = world(World, 4, drift=(0.0, 6.0))
    scans = []
    for at, body in w.made:
        t = at - 0.2
        if isinstance(body, Scan) and t > 140:  # what was hidden comes out
            spot = w.sighting(t, 12 * t - 1200 + w.rng.gauss(0, 12), 6 * (t - 90) + w.rng.gauss(0, 12), 12.0, "radar")
            body = msgspec.structs.replace(body, sightings=(*body.sightings, spot))
        scans.append((at, body))
    told = Told(TAG).take(scans)
    event = told.events("belied")[-1]
    assert event.end_ns is not None and event.end_ns < (T0 + 175) * NS
    assert off_m(Told, tagged(told, 210), 210, n=720.0) < 60.0


def test_it_stays_belied_while_no_look_shows_the_track_and_the_row_holds_where_that_may_be(World, Told):
    told = Told(TAG).take(world(World, 5, drift=(0.0, 6.0), seen=lambda t: t < 150.0, until=300.0).made)
    event = told.events("belied")[-1]
    assert event.end_ns is None
    row = tagged(told, 300)
    de, dn = (a - b for a, b in zip(Told.where(row), (12 * 300 - 1200, 0.0), strict=True))
    det = row.p_ee * row.p_nn - row.p_en**2
    assert (row.p_nn * de * de - 2.0 * row.p_en * de * dn + row.p_ee * dn * dn) / det < 6.0  # 95 %


def convoy(World, seed: int, lie, gap: float, *, pd: float = 0.9, until: float = 210.0):
    """Two tagged vehicles, one behind the other, go east at 12 m/s past a radar that tells them apart; the second tag lies.

    Args:
        lie: of a time, how far off (east, north).
    """
    w = World(seed)
    times = [2.0 * k for k in range(int(until / 2.0) + 1)]
    for t in times:
        for behind in (0.0, gap):
            if w.rng.random() < pd:
                w.see(t, 12 * t - 1200 - behind, 0, 10.0)
        w.clutter(t, 1)
    w.end(times=times, pd=pd, clutter=0.03, area=(-3000.0, 3000.0, -3000.0, 3000.0))
    for k in range(int(until / 5.0) + 1):
        t = 5.0 * k
        e, n = lie(t)
        w.fix(t, 12 * t - 1200, 0, tag="OTHER")
        w.fix(t + 0.1, 12 * t - 1200 - gap + e, n)
    return w


OTHER = msgspec.structs.replace(TAG, device="OTHER")


@pytest.mark.parametrize("gap", [40.0, 120.0])
@pytest.mark.parametrize("drift", [(2.0, 0.5), (0.0, -3.0)])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_lies_in_a_convoy_is_belied_beside_the_one_that_does_not(gap, drift, seed, World, Told):
    told = Told(TAG, OTHER).take(
        convoy(World, seed, lambda t: (max(0.0, t - 90) * drift[0], max(0.0, t - 90) * drift[1]), gap).made
    )
    assert {event.device for event in told.events("belied")} == {"TAG"} and told.events("belied")[-1].end_ns is None
    assert off_m(Told, tagged(told, 210), 210, e=-gap) < 40.0
    assert len(told.at(210)) == 2


@pytest.mark.parametrize("jump", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_claims_the_place_of_the_other_one_in_a_convoy_is_belied(jump, seed, World, Told):
    told = Told(TAG, OTHER).take(
        convoy(World, seed, lambda t: ((100.0 if jump else min(100.0, t - 90)) if t > 90 else 0.0, 0.0), 100.0).made
    )
    [event] = told.events("belied")
    assert event.device == "TAG" and event.end_ns is None
    assert off_m(Told, tagged(told, 210), 210, e=-100.0) < 40.0


@pytest.mark.parametrize("pd", [0.8, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_a_radar_that_misses_now_and_then_belies_all_the_same(pd, seed, World, Told):
    w = World(seed)
    times = [2.0 * k for k in range(111)]
    for t in times:
        if w.rng.random() < pd:
            w.see(t, 12 * t - 1200, 0, 10.0)
    w.end(times=times, pd=pd, clutter=0.01, area=(-3000.0, 3000.0, -3000.0, 3000.0))
    for k in range(23):
        t = 10.0 * k
        w.fix(t, 12 * t - 1200, max(0.0, t - 90) * 4.0)
    told = Told(TAG).take(w.made)
    [event] = told.events("belied")
    assert event.end_ns is None and event.start_ns < (T0 + 170) * NS
    assert off_m(Told, tagged(told, 220), 220) < 60.0


@pytest.mark.parametrize(("turn_deg", "shift_m"), [(2.0, 0.0), (-3.0, 0.0), (0.0, 45.0), (1.0, 30.0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_radar_that_is_turned_or_set_down_elsewhere_belies_nobody(turn_deg, shift_m, seed, World, Told):
    w, a = World(seed), math.radians(turn_deg)
    times = [2.0 * k for k in range(101)]
    for t in times:
        e, n = 9 * t + 50, 4 * t
        if w.rng.random() < 0.9:
            w.see(t, e * math.cos(a) + n * math.sin(a) + shift_m, -e * math.sin(a) + n * math.cos(a), 10.0)
        w.clutter(t, 1)
    w.end(times=times, clutter=0.03, area=(-3000.0, 3000.0, -3000.0, 3000.0))
    for k in range(21):
        w.fix(10.0 * k, 90.0 * k + 50, 40.0 * k)
    assert Told(TAG).take(w.made).events("belied") == []


@pytest.mark.parametrize("seed", range(2))
def test_late_fixes_and_looks_end_as_in_order(seed, World, Told):
    made = world(World, seed, drift=(0.0, 7.0)).made
    one = Told(TAG).take(made)
    rng = random.Random(seed)
    late = Told(TAG).take([(at + (rng.uniform(0, 25) if rng.random() < 0.3 else 0.0), body) for at, body in made if at < 180.0])
    last = Told(TAG).take([(at, body) for at, body in made if at < 180.0])
    assert [(b.lat_deg, b.lon_deg, b.p_ee, b.rival_lat_deg) for b in late.at(206)] == [
        (b.lat_deg, b.lon_deg, b.p_ee, b.rival_lat_deg) for b in last.at(206)
    ]
    assert one.events("belied")


def test_a_fold_that_is_stored_while_it_is_doubted_goes_on_to_the_last_digit(World, Told):
    made = sorted(world(World, 1, drift=(0.0, 7.0)).made, key=lambda pair: pair[0])
    whole = Told(TAG).take(made)
    for cut in (95.0, 103.0, 111.0, 140.0):
        told = Told(TAG).take([one for one in made if one[0] <= cut])
        kept = told.fold.snapshot()
        told.fold = type(told.fold).restore(kept)
        assert told.fold.snapshot() == kept
        told.take([one for one in made if one[0] > cut])
        assert told.at(210) == whole.at(210)
        assert told.fold.snapshot() == whole.fold.snapshot()


def test_an_operator_who_takes_its_side_is_obeyed_until_he_undoes_it(World, Told):
    made = sorted(world(World, 1, drift=(0.0, 6.0)).made, key=lambda pair: pair[0])
    told = Told(TAG).take([one for one in made if one[0] <= 150.0])
    row = tagged(told, 150)
    assert off_m(Told, row, 150) < 40.0 and row.rival_lat_deg is not None
    told.add(150.5, "decision", Decision(action="take_over", subject=row.track_id, by="op"))
    number = told.seq
    told.take([one for one in made if 150.5 < one[0] <= 180.0])
    assert off_m(Told, tagged(told, 180), 180, n=540.0) < 60.0
    assert told.events("belied")[-1].end_ns is not None
    told.add(180.5, "decision", Decision(action="undo", subject=f"D{number}", by="op"))
    told.take([one for one in made if one[0] > 180.5])
    assert "undone" in told.events("decided")[-1].text


def along(*legs: tuple[float, float, float], e: float = 0.0, n: float = 0.0):
    """Where something is at a time that goes (until s, m/s, course deg), (...) from a place, and so on with the last."""

    def at(t: float) -> tuple[float, float]:
        x, y, since = e, n, 0.0
        for until, speed, course in legs:
            took = max(0.0, min(t, until) - since)
            x += took * speed * math.sin(math.radians(course))
            y += took * speed * math.cos(math.radians(course))
            since = until
        return x, y

    return at


def seen_by(
    World, seed: int, things, tags, *, look_s: float, tag_s: float, pd: float = 0.95, until: float = 240.0, clutter=2,
    sigma: float = 10.0, half: float = 3000.0,
):  # fmt: skip
    """A radar each look_s sees all things, and each tag says each tag_s that it is where its own is at a time."""
    w = World(seed)
    times = [0.4 + look_s * k for k in range(int(until / look_s))]
    for t in times:
        for thing in things:
            if w.rng.random() < pd and max(map(abs, thing(t))) < half:
                w.see(t, *thing(t), sigma)
        for _ in range(clutter):
            w.see(t, w.rng.uniform(-half, half), w.rng.uniform(-half, half), sigma)
    w.end(times=times, pd=pd, clutter=clutter * 2.5e5 / half**2, area=(-half, half, -half, half))
    for k in range(int(until / tag_s)):
        for j, (tag, of) in enumerate(tags.items()):
            t = tag_s * k + 1.2 + j
            w.fix(t, *of(t), tag=tag)
    return w


@pytest.mark.parametrize(("look_s", "tag_s"), [(4.0, 20.0), (4.0, 5.0), (10.0, 10.0)])
@pytest.mark.parametrize("course", [90.0, 180.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_tag_that_is_handed_over_to_what_drives_off_another_way_is_never_belied(course, seed, look_s, tag_s, World, Told):
    goods = along((130.0, 15.0, 0.0), (180.0, 0.0, 0.0), (999.0, 15.0, 0.0), n=-2000.0)
    e, n = goods(150.0)
    other = along((185.0, 0.0, 0.0), (999.0, 20.0, course), e=e + 6.0, n=n + 6.0)
    w = seen_by(World, seed, [goods, other], {"TAG": lambda t: (goods if t < 160.0 else other)(t)}, look_s=look_s, tag_s=tag_s)
    told = Told(msgspec.structs.replace(TAG, interval_s=tag_s)).take(w.made)
    assert told.events("belied") == []
    row = tagged(told, 240)
    assert math.dist(Told.where(row), other(row.time_ns / NS - T0)) < 60.0


@pytest.mark.parametrize(("look_s", "tag_s"), [(4.0, 20.0), (10.0, 10.0)])
@pytest.mark.parametrize("turn", [60.0, 90.0, 170.0])
@pytest.mark.parametrize("seed", range(3))
def test_two_tags_that_part_are_never_belied(turn, seed, look_s, tag_s, World, Told):
    one, two = along((150.0, 14.0, 0.0), (999.0, 14.0, turn), n=-2000.0), along((999.0, 14.0, 0.0), n=-2030.0)
    w = seen_by(World, seed, [one, two], {"TAG": one, "OTHER": two}, look_s=look_s, tag_s=tag_s)
    told = Told(*(msgspec.structs.replace(device, interval_s=tag_s) for device in (TAG, OTHER))).take(w.made)
    assert told.events("belied") == []
    row = tagged(told, 240)
    assert math.dist(Told.where(row), one(row.time_ns / NS - T0)) < 60.0


@pytest.mark.parametrize(
    ("lies", "look_s", "tag_s"), [(True, 10.0, 10.0), (False, 10.0, 10.0), (False, 4.0, 20.0), (False, 10.0, 20.0)]
)
@pytest.mark.parametrize("seed", range(3))
def test_an_aircraft_whose_tag_lies_is_belied_and_an_honest_one_that_turns_is_not(seed, lies, look_s, tag_s, World, Told):
    turn = 0.0 if lies else 30.0
    plane = along((200.0, 100.0, 20.0), (230.0, 100.0, 20.0 + turn), (999.0, 100.0, 20.0 + 2 * turn), e=-6000.0, n=-21_000.0)

    def says(t: float) -> tuple[float, float]:
        e, n = plane(t)
        return e - 30.0 * max(0.0, t - 150.0) * lies, n

    w = seen_by(World, seed, [plane], {"TAG": says}, look_s=look_s, tag_s=tag_s, until=340.0, sigma=30.0, half=20_000.0)
    told = Told(msgspec.structs.replace(TAG, interval_s=tag_s)).take(w.made)
    assert [(event.device, event.end_ns) for event in told.events("belied")] == [("TAG", None)] * lies
    row = tagged(told, 340)
    assert math.dist(Told.where(row), plane(row.time_ns / NS - T0)) < 150.0
