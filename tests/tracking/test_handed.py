"""A receiver that is handed from one vehicle to another beside a radar that sees both; and what moves no track."""

from __future__ import annotations

import math

import pytest

from birddog.model import Device, Scan
from birddog.units import NS

T0 = 1_790_000_000


def yard(
    World, seed: int, says, *, to=(200.0, 0.0), look_s: float = 4.0, tag_s: float = 60.0, until: float = 420.0, pd: float = 0.9,
    half: float = 2000.0,
):  # fmt: skip
    """Two lorries stand beside a radar, the first at (0, 0), the second at ``to``; where the tag says that it is at a time."""
    w = World(seed)
    times = [0.4 + look_s * k for k in range(int(until / look_s))]
    for t in times:
        for place in ((0.0, 0.0), to):
            if w.rng.random() < pd:
                w.see(t, *place)
        w.clutter(t, 1)
    w.end(times=times, pd=pd, clutter=0.0625, area=(-half, half, -half, half))
    for k in range(int(until / tag_s)):
        t = 1.3 + tag_s * k
        w.fix(t, *says(t))
    return w


def tag(interval_s: float) -> Device:
    return Device(device="TAG", basis="own_sensor", interval_s=interval_s)


def worst_m(Told, told, made, says, times) -> float:
    """How far the tag's row is from where it is, at worst at some times; the fold has all of ``made`` then."""
    waiting, worst = sorted(made, key=lambda pair: pair[0]), 0.0
    for tau in times:
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        row = next(row for row in told.at(tau) if row.tag_id == "TAG")
        worst = max(worst, math.dist(Told.where(row), says(tau)))
    told.take(waiting)
    return worst


def stays(Told, told, t: float, place) -> set[str]:
    return {row.tag_id for row in Told.near(told.at(t), *place)}


@pytest.mark.parametrize(("look_s", "tag_s"), [(1.0, 30.0), (4.0, 60.0), (10.0, 60.0), (10.0, 30.0)])
@pytest.mark.parametrize("to", [(60.0, 0.0), (100.0, 0.0), (300.0, -40.0), (900.0, 800.0)])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_is_handed_to_a_second_lorry_that_stands_near_by_goes_on_as_that(to, seed, look_s, tag_s, World, Told):
    at_s = 4 * tag_s + 2.0  # carried there between two of its reports
    until = 6 * tag_s + 2.0

    def says(t: float) -> tuple[float, float]:
        return (0.0, 0.0) if t < at_s else to

    made = yard(World, seed, says, to=to, look_s=look_s, tag_s=tag_s, until=until).made
    told = Told(tag(tag_s))
    heard = 5 * tag_s + 1.8  # the first report from there
    # within two looks, four where the radar missed one of the two, it is there
    assert worst_m(Told, told, made, says, [heard + 2.5 * look_s + k for k in range(0, int(tag_s - 3 * look_s), 2)]) < 30.0
    assert stays(Told, told, until, to) == {"TAG"} and stays(Told, told, until, (0.0, 0.0)) == {""}  # and what it was on is one
    assert told.events("belied") == []
    [event] = [event for event in told.events("reacquired") if "handed over" in event.text]
    assert event.device == "TAG" and event.start_ns < (T0 + heard + 3.5 * look_s) * NS


@pytest.mark.parametrize(("look_s", "tag_s"), [(4.0, 60.0), (10.0, 60.0), (4.0, 120.0)])
@pytest.mark.parametrize("away", [100.0, 300.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_does_not_fly_off_before_a_look_shows_what_it_is_on(seed, away, look_s, tag_s, World, Told):
    def says(t: float) -> tuple[float, float]:
        return (0.0, 0.0) if t < 4 * tag_s + 2.0 else (away, 0.0)

    made = yard(World, seed, says, to=(away, 0.0), look_s=look_s, tag_s=tag_s, until=6 * tag_s).made
    told, heard = Told(tag(tag_s)), 5 * tag_s + 1.8
    for tau in [heard + 0.25 * k for k in range(40)]:
        told = Told(tag(tag_s)).take(made, until=tau) if tau == heard else told.take([
            one for one in made if tau - 0.25 < one[0] <= tau
        ])  # fmt: skip
        row = next(row for row in told.at(tau) if row.tag_id == "TAG")
        e, n = Told.where(row)
        # a radar that missed it twice may take it for a start, at a speed that nobody knows: the ellipse holds where it stands
        slow = math.hypot(row.ve_mps, row.vn_mps) < 12.0 and -40.0 < e < away + 100.0 and abs(n) < 60.0
        x, y = e - away, n
        nis = (row.p_nn * x * x - 2.0 * row.p_en * x * y + row.p_ee * y * y) / (row.p_ee * row.p_nn - row.p_en**2)
        assert slow or nis < 5.991, (tau, e, n, nis)


@pytest.mark.parametrize(("look_s", "tag_s"), [(4.0, 60.0), (10.0, 60.0), (1.0, 30.0)])
@pytest.mark.parametrize("off", [(0.0, 330.0), (-420.0, 150.0), (-90.0, -80.0)])
@pytest.mark.parametrize("seed", range(2))
def test_one_false_fix_moves_no_lorry_that_a_radar_sees_stand(off, seed, look_s, tag_s, World, Told):
    false_s = 1.3 + 4 * tag_s
    made = yard(World, seed, lambda t: off if t == false_s else (0.0, 0.0), look_s=look_s, tag_s=tag_s, until=7 * tag_s).made
    told = Told(tag(tag_s))
    # one look may be needed where it may have started
    times = [false_s + 0.6 + k for k in range(int(2.5 * tag_s)) if k > 1.1 * look_s]
    assert worst_m(Told, told, made, lambda t: (0.0, 0.0), times) < 30.0
    assert told.events("belied") == [] and not [event for event in told.events("reacquired")]
    assert stays(Told, told, 7 * tag_s, (200.0, 0.0)) == {""}


@pytest.mark.parametrize("seed", range(3))
def test_a_tag_that_lies_about_a_lorry_that_stands_is_belied_also_beside_another_one(seed, World, Told):
    def says(t: float) -> tuple[float, float]:
        return (0.0, 0.0) if t < 130.0 else (-4.0 * (t - 130.0), 0.0)

    told = Told(tag(20.0)).take(yard(World, seed, says, tag_s=20.0, until=300.0).made)
    assert [(event.device, event.end_ns) for event in told.events("belied")] == [("TAG", None)]
    assert "TAG" in stays(Told, told, 299.0, (0.0, 0.0)) and stays(Told, told, 299.0, (200.0, 0.0)) == {""}


def test_looks_and_fixes_of_a_handing_over_that_come_in_late_end_as_in_order(World, Told):
    def says(t: float) -> tuple[float, float]:
        return (0.0, 0.0) if t < 122.0 else (200.0, 0.0)

    made = yard(World, 3, says, tag_s=30.0, until=240.0).made
    late = [(at + (17.0 if k % 5 == 0 and 100.0 < at < 200.0 else 0.0), body) for k, (at, body) in enumerate(made)]
    rows = [
        [(row.tag_id, row.lat_deg, row.lon_deg, row.p_ee) for row in sorted(told.at(241.0), key=lambda row: row.lon_deg)]
        for told in (Told(tag(30.0)).take(made), Told(tag(30.0)).take(late))
    ]
    assert rows[0] == rows[1] and [name for name, *_ in rows[0]] == ["", "TAG"]
    assert any(isinstance(body, Scan) for at, body in late)
