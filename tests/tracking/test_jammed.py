"""A jammed receiver that hangs at its last place says nothing of where it is."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Alarm
from birddog.units import NS
from tests.tracking.test_deception import HOME, T0, case, fix, noise

__all__ = ["case"]


def hangs(said, until: float = 1200.0, alarms: float | None = None, speed: float | None = 0.0):
    """A lorry at 15 m/s whose receiver is jammed from 300 s on and says one place to the digit; then it is right again."""
    words = {} if speed is None else {"course_deg": 90.0}
    for t in range(0, int(until) + 300, 10):
        jammed = 300 <= t < until
        if jammed and (t == 300 or (alarms is not None and t % alarms == 0)):
            said.say(t, Alarm(device="a", time_ns=T0 + t * NS, alarm="jamming"))
        e, v = (4500.0, speed) if jammed else (15.0 * t, speed and 15.0)
        said.say(t, fix("a", t, e + (0.0 if jammed else random.Random(t).gauss(0.0, 3.0)), speed_mps=v, **words))
        yield t


def inside(row, e: float, n: float = 0.0) -> bool:
    at = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    x, y = at[0] - e, at[1] - n
    return (row.p_nn * x * x - 2 * row.p_en * x * y + row.p_ee * y * y) / (row.p_ee * row.p_nn - row.p_en**2) < 5.991


@pytest.mark.parametrize("alarms", [None, 10, 100])
@pytest.mark.parametrize("speed", [0.0, None])
def test_a_jammed_receiver_that_hangs_says_nothing_of_where_it_is(case, alarms, speed):
    said, held = case("a"), []
    for t in hangs(said, alarms=alarms, speed=speed and 0.0):
        if 330 <= t < 1200:
            [event] = said.happened("jamming")
            assert event.end_ns is None, t
            held += [inside(row, 15.0 * (t + 4.0)) for row in said.fold.believed(T0 + (t + 4) * NS)]
    assert sum(held) >= 0.9 * len(held)
    assert said.happened("jamming")[0].end_ns is not None
    assert not {"jumped", "impossible_speed", "stop"} & {event.kind for event in said.events()}
    [row] = said.fold.believed(T0 + 1490 * NS)
    assert inside(row, 15.0 * 1490) and row.hits > 50


def test_what_looks_the_same_of_a_receiver_that_is_not_jammed_counts(case):
    said = case("a")
    for t in range(0, 900, 10):
        said.say(t, fix("a", t, 100.0))
    [row] = said.fold.believed(T0 + 900 * NS)
    assert row.hits == 90 and said.happened("jamming") == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way_s", [10.0, 30.0])
def test_late_fixes_of_a_jammed_receiver_end_as_in_order(case, seed, way_s):
    """Also where the first that it says of its place, or of its way after that, comes in after one that is later."""
    rng, rows = random.Random(seed), []
    made = [(t, rng.gauss(0.0, 3.0), rng.random() * way_s) for t in range(600)]
    for late in (False, True):
        said, shown = case("a"), []
        hung = 2500.0 + made[250][1]
        came = [(t + late * way, t, hung if 250 <= t <= 420 else 10.0 * t + off) for t, off, way in made]
        calls = [(float(t), t, None) for t in range(200, 600, 7)]
        for at, t, e in sorted((*came, *calls), key=lambda one: one[0]):
            one = Alarm(device="a", time_ns=T0 + t * NS, alarm="jamming") if e is None else fix("a", t, e)
            said.say(at + 0.5, one)
            if e is not None and 460 < at:
                shown += [abs(HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0] - 10.0 * at)
                          for row in said.fold.believed(T0 + round((at + 0.5) * NS))]
        [row] = said.fold.believed(T0 + 660 * NS)
        rows.append((row.lat_deg, row.lon_deg, row.p_ee, row.p_nn))
        assert max(shown) < 60.0 + 10.0 * way_s * late
    assert rows[0] == pytest.approx(rows[1], rel=1e-9)


# --- it calls, and says somewhere near ----------------------------------------------------------------------------------


@pytest.mark.parametrize("devices", ["ab", "abc"])
@pytest.mark.parametrize("every", [10, 60])
@pytest.mark.parametrize("seed", range(2))
def test_what_a_jammed_receiver_says_beside_others_takes_the_row_nowhere(case, devices, every, seed):
    """It calls with each third report, and says 300 m off: one event, once it is known how far its calls are apart."""
    said, rng, far, held = case(*devices), random.Random(seed), [], []
    for k in range(120):
        for j, device in enumerate(devices):
            t, (e, n) = k * every + j * every // len(devices), noise(rng, 3.0)
            lies = device == "a" and 40 <= k < 100
            if lies:
                e, n = e + rng.gauss(0.0, 300.0), n + rng.gauss(0.0, 300.0)
                if k % 3 == 1:
                    said.say(t, Alarm(device="a", time_ns=T0 + t * NS, alarm="jamming"))
            said.say(t, fix(device, t, 20.0 * t + e, n))
            if 44 <= k < 100:
                [row] = said.now(t + 0.5)
                held.append(inside(row, 20.0 * (t + 0.5)))
                far.append(math.hypot(*(x - y for x, y in zip(HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg),
                                                              (20.0 * (t + 0.5), 0.0), strict=True))))  # fmt: skip
    assert sum(held) > 0.9 * len(held) and sorted(far)[len(far) // 2] < 15.0
    assert 1 <= len(said.happened("jamming")) <= 2 and said.happened("jamming")[-1].end_ns is not None
    assert said.happened("parted", "contradicted") == []


@pytest.mark.parametrize("every", [10, 60])
@pytest.mark.parametrize("seed", range(3))
def test_who_parted_is_the_one_that_the_row_is_not_with_whoever_said_the_last_word_of_it(case, every, seed):
    """The one that calls is with the goods, the other one was thrown out, and the row stays with that."""
    said, rng = case("a", "b"), random.Random(seed)
    for k in range(120):
        for j, device in enumerate("ab"):
            t, (e, n) = k * every + j * every // 2, noise(rng, 3.0)
            if device == "a" and k >= 40 and k % 3 == 1:
                said.say(t, Alarm(device="a", time_ns=T0 + t * NS, alarm="jamming"))
            said.say(t, fix(device, t, 20.0 * (t if device == "a" else min(t, 40.0 * every)) + e, n))
    [row] = said.now(120.0 * every)
    [event] = said.happened("parted")
    other = "b" if event.device == "a" else "a"
    assert row.rival_device == event.device and event.text.startswith(f"{event.device} parted from {other}: ")
    assert " apart; last seen together at " in event.text
    place = HOME.en(lat_deg=event.lat_deg, lon_deg=event.lon_deg)
    assert (math.hypot(place[0] - 800.0 * every, place[1]) < 30.0) == (event.device == "b")
