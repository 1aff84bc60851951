"""A tag that lies is belied also where a radar misses what it was on just then, or shows something near where the tag says."""

from __future__ import annotations

import math

import msgspec
import pytest

from birddog.units import NS
from tests.tracking.test_belied import T0, TAG, along, tagged


def seen(
    World, seed: int, things, says, *, pd: float = 0.9, look_s: float = 4.0, tag_s: float = 5.0, until: float = 300.0,
    unseen=lambda t: False, false=(),
):  # fmt: skip
    """A radar sees what there is, the first thing not while it is unseen; the tag says where that is; and false sightings."""
    w = World(seed)
    times = [look_s * k for k in range(int(until / look_s))]
    for t in times:
        for i, thing in enumerate(things):
            if w.rng.random() < pd and not (i == 0 and unseen(t)):
                w.see(t, *thing(t), 12.0)
        for at, e, n in false:
            if at <= t < at + look_s:
                w.see(t, e, n, 12.0)
        w.clutter(t, 2)
    w.end(times=times, pd=pd, clutter=0.06, area=(-3000.0, 3000.0, -3000.0, 3000.0))
    for k in range(int(until / tag_s)):
        w.fix(tag_s * k + 1.0, *says(tag_s * k + 1.0))
    return w


def told_of(Told, w, lorry, tag_s: float = 5.0, until: float = 290.0):
    """How often and when it is told, and how far off the row is at the end."""
    told = Told(msgspec.structs.replace(TAG, interval_s=tag_s)).take(w.made)
    row = tagged(told, until)
    return list({event.event_id: event for event in told.events("belied")}.values()), math.dist(
        Told.where(row), lorry(row.time_ns / NS - T0)
    )


@pytest.mark.parametrize(("ahead_m", "beside_m"), [(20.0, 30.0), (60.0, 60.0), (40.0, -40.0)])
@pytest.mark.parametrize("seed", range(3))
def test_one_false_sighting_near_where_it_says_does_not_end_the_doubt_for_good(seed, ahead_m, beside_m, World, Told):
    lorry = along((999.0, 12.0, 90.0), e=-1800.0)
    e, n = lorry(120.0)
    w = seen(World, seed, [lorry], lambda t: lorry(min(t, 120.0)), false=[(128.0, e + ahead_m, n + beside_m)])
    events, off_m = told_of(Told, w, lorry)
    assert [event.end_ns for event in events] == [None] and off_m < 60.0


@pytest.mark.parametrize("pd", [0.6, 0.75])
def test_a_lorry_that_turns_while_looks_miss_it_and_its_tag_begins_to_lie_is_found_again(pd, World, Told):
    lorry = along((120.0, 12.0, 90.0), (999.0, 12.0, 0.0), e=-1500.0, n=-1500.0)

    def says(t: float) -> tuple[float, float]:
        e, n = lorry(t)
        return e + 400.0 * (t > 118.0), n

    gone_s, right = 4.0 * math.ceil(math.log(1e-2) / math.log(1.0 - pd)), 0
    for seed in range(5):
        w = seen(World, seed, [lorry], says, pd=pd, unseen=lambda t: 116.0 < t <= 116.0 + gone_s)
        events, off_m = told_of(Told, w, lorry)
        right += [event.end_ns for event in events] == [None] and off_m < 60.0
    assert right >= 4  # one in five is missed for longer by bad luck


@pytest.mark.parametrize("seed", range(4))
def test_a_tag_that_says_it_is_near_another_lorry_is_not_on_that(seed, World, Told):
    lorry, other = along((999.0, 12.0, 90.0), e=-1800.0), along((999.0, 12.0, 90.0), e=-1800.0, n=330.0)

    def says(t: float) -> tuple[float, float]:
        e, n = lorry(t)
        return e, n + min(180.0, 3.0 * max(0.0, t - 100.0))

    events, off_m = told_of(Told, seen(World, seed, [lorry, other], says, pd=0.6), lorry)
    assert [event.end_ns for event in events] == [None] and off_m < 60.0


def test_a_tag_that_was_seen_nowhere_where_it_said_is_not_handed_over_where_it_passes_another_lorry(World, Told):
    lorry, other, right = along((999.0, 12.0, 90.0), e=-1800.0), along((999.0, 12.0, 90.0), e=-1800.0, n=250.0), 0
    for seed in range(6):
        w = seen(World, seed, [lorry, other], lambda t: (lorry(t)[0], lorry(t)[1] + 6.0 * max(0.0, t - 100.0)), pd=0.6)
        events, off_m = told_of(Told, w, lorry)
        right += [event.end_ns for event in events] == [None] and off_m < 60.0
    assert right >= 3  # none before; of the others too little was known by then


@pytest.mark.parametrize("course", [0.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_looks_that_missed_it_once_more_do_not_forget_how_often_the_two_were_one(seed, course, World, Told):
    lorry = along((95.0, 12.0, 90.0), (999.0, 10.0, course), e=-1800.0)

    def says(t: float) -> tuple[float, float]:
        e, n = lorry(t)
        return e, n - 500.0 * (t > 200.0)

    w = seen(World, seed, [lorry], says, pd=0.95, look_s=10.0, until=400.0, unseen=lambda t: 100.0 < t <= 130.0 or t == 160.0)
    events, off_m = told_of(Told, w, lorry, until=390.0)
    assert [event.end_ns for event in events] == [None] and off_m < 60.0
