"""Where a track begins among looks: what comes in late ends as what comes in in order, also from the first fix and look on."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Device

UNTIL = 60.0


def under_radar(World, seed: int, every: float) -> list:
    """A van and a car that nobody knows, seen by a radar each 4 s from the beginning; the van reports a little later on."""
    w = World(seed)
    speed, first = w.rng.uniform(4.0, 20.0), w.rng.uniform(0.0, every)
    times = [4.0 * k for k in range(int(UNTIL / 4.0))]
    for t in times:
        for e, n in ((speed * t - 500.0, 0.2 * speed * t), (200.0 - 7.0 * t, -60.0)):
            if w.rng.random() < 0.9:
                w.see(t, e, n)
        w.clutter(t, 1)
    w.end(times=times)
    for k in range(int((UNTIL - first) / every)):
        t = first + every * k
        w.fix(t, speed * t - 500.0, 0.2 * speed * t)
    return w.made


def ends(Told, made: list, every: float) -> list:
    told = Told(Device(device="TAG", interval_s=every)).take(made)
    return sorted(told.at(UNTIL + 40.0), key=lambda row: (row.tag_id, row.lat_deg))


@pytest.mark.parametrize("every", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("seed", range(6))
def test_what_comes_in_late_begins_as_what_comes_in_in_order(seed, every, World, Told):
    """Fixes and looks, each by up to 30 s late: the first fix may come in after others, and looks from before it later yet."""
    made, lots = under_radar(World, seed, every), random.Random(100 + seed)
    late = [(at + lots.uniform(0.0, 30.0), body) for at, body in made]
    some = ends(Told, made, every), ends(Told, late, every)
    assert [row.tag_id for row in some[0]] == [row.tag_id for row in some[1]]
    for one, other in zip(*some, strict=True):
        assert math.dist(Told.where(one), Told.where(other)) < 1e-6
        if one.tag_id and other.p_ee > one.p_ee:  # its last four messages all took long: it may be its clock (``dated``)
            assert min(other.p_ee / one.p_ee, other.p_nn / one.p_nn) >= 1.0
        else:
            assert (other.p_ee, other.p_en, other.p_nn) == pytest.approx((one.p_ee, one.p_en, one.p_nn), rel=1e-9)
        for name in ("hits", "refused", "first_ns", "moved_ns"):
            assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("every", [10.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_fold_that_is_restored_in_between_begins_a_track_anew_as_well(seed, every, World, journal):
    lots = random.Random(100 + seed)
    late = [(at + lots.uniform(0.0, 30.0), body) for at, body in under_radar(World, seed, every)]
    told = journal(restart=True)
    told.add(0.0, Device(device="TAG", interval_s=every))
    told.take(sorted(late, key=lambda pair: pair[0]))  # asserts that both folds answer the same
    assert any(row.tag_id == "TAG" for row in told.now(UNTIL + 40.0))
