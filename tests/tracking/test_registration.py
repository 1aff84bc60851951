"""A radar that is turned, or stands elsewhere than is said: what it shows is put right; one that stands right is left alone."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Device
from birddog.units import NS
from tracking.registration import MOVES_LEAST, Registration

T0 = 1_790_000_000
TAG = Device(device="TAG", basis="own_sensor", interval_s=20.0)
OFF = [(2.0, 0.0), (-2.0, 0.0), (0.0, 60.0), (1.0, 40.0)]


def world(World, seed: int, turn_deg: float, shift_m: float, *, other: bool = False):
    """A tag each 20 s on what goes past a radar at 10 m/s, and a radar each 2 s; ``other``: something without a tag too."""
    w, a = World(seed), math.radians(turn_deg)
    times = [2.0 * k for k in range(151)]
    for t in times:
        for e, n in [(9 * t - 1300, 4 * t + 700)] + [(700.0, 900.0 - 6 * t)] * other:
            if w.rng.random() < 0.9:
                w.see(t, e * math.cos(a) + n * math.sin(a) + shift_m, n * math.cos(a) - e * math.sin(a), 10.0)
        w.clutter(t, 1)
    w.end(times=times, clutter=0.03, area=(-3000.0, 3000.0, -3000.0, 3000.0))
    for k in range(16):
        w.fix(20.0 * k, 180.0 * k - 1300, 80.0 * k + 700)
    return w.made


def inside(Told, row, e: float, n: float) -> bool:
    at = Told.where(row)
    x, y = at[0] - e, at[1] - n
    return (row.p_nn * x * x - 2 * row.p_en * x * y + row.p_ee * y * y) / (row.p_ee * row.p_nn - row.p_en**2) < 5.991


@pytest.mark.parametrize(("turn_deg", "shift_m"), OFF)
def test_a_track_is_where_its_tag_is_and_not_where_a_turned_radar_shows_it(turn_deg, shift_m, World, Told):
    good = asked = 0
    for seed in range(3):
        for t, rows in Told.follow(world(World, seed, turn_deg, shift_m), range(50, 290, 6), TAG).items():
            row = next(row for row in rows if row.tag_id == "TAG")
            good += inside(Told, row, 9 * t - 1300, 4 * t + 700)
            asked += 1
    assert good > 0.85 * asked


@pytest.mark.parametrize(("turn_deg", "shift_m"), OFF)
def test_who_has_no_tag_is_put_right_by_those_who_have(turn_deg, shift_m, World, Told):
    told = Told(TAG).take(world(World, 0, turn_deg, shift_m, other=True))
    [row] = [row for row in told.at(300) if not row.tag_id and row.status == "confirmed"]
    assert math.dist(Told.where(row), (700.0, 900.0 - 6 * 300)) < 35.0


@pytest.mark.parametrize("turn_deg", [0.0, 2.0])
def test_late_fixes_and_looks_end_as_in_order(turn_deg, World, Told):
    made = [(at, body) for at, body in world(World, 1, turn_deg, 0.0) if at < 240.0]
    rng = random.Random(1)
    late = Told(TAG).take([(at + (rng.uniform(0, 25) if rng.random() < 0.3 else 0.0), body) for at, body in made])
    assert [(b.lat_deg, b.lon_deg, b.p_ee) for b in late.at(266)] == [
        (b.lat_deg, b.lon_deg, b.p_ee) for b in Told(TAG).take(made).at(266)
    ]


def learnt(off, seed: int = 0, count: int = 60, every_s: float = 10.0) -> Registration:
    """Pairs of one track that goes east at 15 m/s, with ``off(t)`` between them."""
    rng, one = random.Random(seed), Registration(51.5, -1.0, T0 * NS)
    for k in range(count):
        t = every_s * k
        e, n = off(t)
        lon = -1.0 + 15 * t / 69_500
        one = one.learnt(round((T0 + t) * NS), 51.5, lon, e + rng.gauss(0, 12), n + rng.gauss(0, 12), 144.0)
    return one


@pytest.mark.parametrize("seed", range(6))
def test_hardly_anything_is_taken_from_one_that_stands_right(seed):
    for count in (1, 3, 6, 12, 60):
        e, n, r = learnt(lambda t: (0.0, 0.0), seed, count).shown_off(51.5, -1.0)
        assert math.hypot(e, n) < 4.0 and r < 50.0


def test_the_first_pair_only_widens_and_a_few_move():
    e, n, r = learnt(lambda t: (80.0, 0.0), count=1).shown_off(51.5, -1.0)
    assert MOVES_LEAST > 1 and (e, n) == (0.0, 0.0) and r > 40.0**2
    e, n, r = learnt(lambda t: (80.0, 0.0), count=4).shown_off(51.5, -1.0)
    assert abs(e - 80.0) < 15.0 and abs(n) < 15.0 and r < 15.0**2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("drift", [(0.0, 4.0), (3.0, 0.0), (0.0, -1.0)])
def test_what_a_tag_makes_up_later_is_not_the_sensors(seed, drift):
    """It was right for 150 s; a lie that begins then looks like a turn of the radar about where the track was."""
    for count in (20, 24, 27):
        one = learnt(lambda t: tuple(v * max(0.0, t - 150.0) for v in drift), seed, count)
        e, n, _ = one.shown_off(51.5, -1.0 + 15 * 10 * count / 69_500)
        assert math.hypot(e, n) < 10.0


def test_who_knocks_the_mast_is_learnt_anew_after_a_while():
    e, n, _ = learnt(lambda t: (0.0, 0.0 if t < 150 else 100.0), count=70).shown_off(51.5, -0.9)
    assert abs(n - 100.0) < 15.0 and abs(e) < 15.0
