"""While looks and a receiver disagree a row holds both places; an error that lasts and a knocked mast are no lie."""

from __future__ import annotations

import math

import msgspec
import pytest

from birddog.model import Device
from birddog.units import NS

T0 = 1_790_000_000
TAG = Device(device="TAG", basis="own_sensor", interval_s=10.0)
AREA = (-2500.0, 2500.0, -2500.0, 2500.0)


def world(
    World, seed: int, things, says, *, look_s: float, tag_s: float, pd: float = 0.9, until: float = 330.0,
    clutter: int = 1, shown=lambda t, e, n: (e, n),
):  # fmt: skip
    """A radar each look_s sees all things, where it shows them; each of the tags each tag_s says where it is, it says."""
    w = World(seed)
    times = [0.4 + look_s * k for k in range(int(until / look_s))]
    for t in times:
        for thing in things:
            if w.rng.random() < pd:
                w.see(t, *shown(t, *thing(t)), 10.0)
        for _ in range(clutter):
            w.see(t, w.rng.uniform(-2500, 2500), w.rng.uniform(-2500, 2500))
    w.end(times=times, pd=pd, clutter=max(clutter, 0.1) / 25.0, area=AREA)
    for k in range(int(until / tag_s)):
        for j, (tag, where) in enumerate(says.items()):
            t = tag_s * k + 0.3 + 0.7 * j * tag_s / len(says)
            w.fix(t, *where(t), tag=tag)
    return sorted(w.made, key=lambda pair: pair[0])


def followed(Told, made, says, tag_s: float, taus=range(140, 330, 2)):
    """The fold of what was made, and what was believed on the way: of each time the rows by their tags."""
    told, waiting, rows = Told(*(msgspec.structs.replace(TAG, device=tag, interval_s=tag_s) for tag in says)), list(made), {}
    for tau in taus:
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        rows[tau] = {row.tag_id: row for row in told.at(tau) if row.tag_id}
    return told, rows


def holds(Told, row, e: float, n: float) -> bool:
    """Whether a place lies in the row's 95 % ellipse, or within 60 m of its second symbol."""
    x, y = (a - b for a, b in zip(Told.where(row), (e, n), strict=True))
    inside = (row.p_nn * x * x - 2 * row.p_en * x * y + row.p_ee * y * y) / (row.p_ee * row.p_nn - row.p_en**2) < 5.991
    if inside or row.rival_lat_deg is None:
        return inside
    other = Told.where(msgspec.structs.replace(row, lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg))
    return math.dist(other, (e, n)) < 60.0


def goes(t: float) -> tuple[float, float]:
    """East at 12 m/s, and ever more north from 180 s on."""
    a = math.radians(min(90.0, 1.5 * max(0.0, t - 180.0)))
    bend = 12 / math.radians(1.5)
    return (12 * min(t, 180.0) - 1800 + bend * math.sin(a), bend * (1 - math.cos(a)) + 12 * max(0.0, t - 240.0))


def stands_until(t: float) -> tuple[float, float]:
    """Stands until 150 s, and drives off east up to 12 m/s."""
    dt = max(0.0, t - 150.0)
    return (-1500 + (0.75 * dt * dt if dt < 8 else 48 + 12 * (dt - 8)), 0.0)


LIES = {
    "jump": lambda t: (goes(t)[0], goes(t)[1] + 300.0 * (t > 150)),
    "drift": lambda t: (goes(t)[0], goes(t)[1] - 5.0 * max(0.0, t - 150)),
    "frozen": lambda t: goes(min(t, 150.0)),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(("look_s", "tag_s"), [(10.0, 10.0), (3.0, 20.0)])
def test_while_it_is_not_settled_the_row_holds_both_places(look_s, tag_s, lie, World, Told):
    says, out = {"TAG": LIES[lie]}, []
    for seed in range(3):
        told, rows = followed(Told, world(World, seed, [goes], says, look_s=look_s, tag_s=tag_s), says, tag_s)
        out += [(seed, t - 150) for t, some in rows.items() if not holds(Told, some["TAG"], *goes(t))]
        assert {event.device for event in told.events("belied")} == {"TAG"}
    assert len(out) <= 0.08 * 3 * 95, out


@pytest.mark.parametrize("seed", range(4))
def test_goods_that_drive_off_while_their_tag_says_that_it_stands_are_seen_to(seed, World, Told):
    says = {"TAG": lambda t: stands_until(0.0)}
    told, rows = followed(Told, world(World, seed, [stands_until], says, look_s=10.0, tag_s=10.0), says, 10.0)
    out = [t - 150 for t, some in rows.items() if not holds(Told, some["TAG"], *stands_until(t))]
    [event] = told.events("belied")
    assert event.end_ns is None and event.start_ns < (T0 + 240) * NS
    assert len(out) <= 12, out


@pytest.mark.parametrize(("look_s", "tag_s"), [(1.0, 5.0), (3.0, 10.0), (10.0, 10.0)])
@pytest.mark.parametrize("seed", range(2))
def test_one_error_that_lasts_is_one_piece_of_evidence_and_no_lie(seed, look_s, tag_s, World, Told):
    says = {"TAG": lambda t: (goes(t)[0], goes(t)[1] + 300.0 * (150 < t < 210))}
    told, rows = followed(Told, world(World, seed, [goes], says, look_s=look_s, tag_s=tag_s), says, tag_s, [320])
    assert told.events("belied") == [] and "belied" not in rows[320]["TAG"].attributes
    assert math.dist(Told.where(rows[320]["TAG"]), goes(320)) < 60.0


WAYS = {
    "TAG": goes,
    "TWO": lambda t: (1500.0 - 8 * t, 1200.0),
    "THREE": lambda t: (-900.0, 7 * t - 1200.0),
}


@pytest.mark.parametrize(("turn_deg", "shift_m"), [(2.0, 0.0), (-3.0, 0.0), (0.0, 80.0), (0.0, 140.0)])
@pytest.mark.parametrize("look_s", [3.0, 10.0])
@pytest.mark.parametrize("seed", range(2))
def test_who_knocks_the_mast_of_a_radar_that_sees_several_tags_belies_none(seed, look_s, turn_deg, shift_m, World, Told):
    a = math.radians(turn_deg)

    def shown(t: float, e: float, n: float) -> tuple[float, float]:
        if t < 150:
            return e, n
        n += 2500.0  # the radar stands south of all
        return e * math.cos(a) + n * math.sin(a) + shift_m, n * math.cos(a) - e * math.sin(a) - 2500.0

    made = world(World, seed, list(WAYS.values()), WAYS, look_s=look_s, tag_s=10.0, shown=shown)
    told, rows = followed(Told, made, WAYS, 10.0)
    assert told.events("belied") == []
    assert sum(not holds(Told, some[tag], *way(t)) for t, some in rows.items() for tag, way in WAYS.items()) <= 0.12 * 3 * 95


@pytest.mark.parametrize("seed", range(2))
def test_one_of_several_tags_that_lies_is_no_knock(seed, World, Told):
    says = {**WAYS, "TAG": LIES["jump"]}
    made = world(World, seed, list(WAYS.values()), says, look_s=3.0, tag_s=10.0)
    told, _ = followed(Told, made, says, 10.0, [320])
    assert [event.device for event in told.events("belied")] == ["TAG"]
