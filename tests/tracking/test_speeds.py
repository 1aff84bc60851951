"""What a receiver states of its speed and course, held against its own places: told where it is wrong, and not used."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking.measurement import Measurement
from tracking.speeds import ALARM, UNSURE, Speeds, heard

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
#: (e, n, ve, vn) at each second.
Way = list[tuple[float, float, float, float]]
Says = Callable[[float, float], tuple[float, float]]


def way(legs: list[tuple[float, float, float]], speeds_up: float = 1.5) -> Way:
    """Of (seconds, m/s, course in degrees) after each other."""
    e = n = 0.0
    out, v = [], legs[0][1]
    for seconds, mps, course in legs:
        for _ in range(int(seconds)):
            v += max(-speeds_up, min(speeds_up, mps - v))
            ve, vn = v * math.sin(math.radians(course)), v * math.cos(math.radians(course))
            out.append((e, n, ve, vn))
            e, n = e + ve, n + vn
    return out


def road(rng: random.Random, seconds: int) -> Way:
    """Goes on at 12 to 26 m/s with bends, and a stop now and then."""
    legs, course = [], rng.uniform(0.0, 360.0)
    while sum(leg[0] for leg in legs) < seconds:
        course += rng.gauss(0.0, 25.0)
        legs += [(rng.uniform(120.0, 500.0), rng.uniform(12.0, 26.0), course)] + [(60.0, 0.0, course)] * (rng.random() < 0.2)
    return way(legs)[:seconds]


def town(rng: random.Random, seconds: int) -> Way:
    """Right angles, lights, and brakes as hard as cars do."""
    legs, course = [], 0.0
    while sum(leg[0] for leg in legs) < seconds:
        course += rng.choice((-90.0, 0.0, 90.0))
        legs += [(rng.uniform(15.0, 90.0), rng.uniform(6.0, 16.0), course), (rng.choice((0.0, 5.0, 40.0)), 0.0, course)]
    return way(legs, speeds_up=rng.choice((1.5, 4.0)))[:seconds]


def circles(rng: random.Random, seconds: int) -> Way:
    """A launch at 20 m/s."""
    r = rng.uniform(80.0, 300.0)
    return [(r * math.sin(a), r * math.cos(a), 20.0 * math.cos(a), -20.0 * math.sin(a))
            for a in (20.0 * t / r for t in range(seconds))]  # fmt: skip


def walker(rng: random.Random, seconds: int) -> Way:
    return way([(rng.uniform(10.0, 90.0), rng.choice((0.0, 1.2, 2.0)), rng.uniform(0.0, 360.0)) for _ in range(seconds // 20)])


def parked(rng: random.Random, seconds: int) -> Way:
    return [(0.0, 0.0, 0.0, 0.0)] * seconds


class Errors:
    """Some that are new at each fix, and some that last for minutes."""

    def __init__(self, rng: random.Random, white: float = 3.0, lasting: float = 3.0):
        self.rng, self.white, self.lasting, self.e, self.n, self.t = rng, white, lasting, 0.0, 0.0, -1e9

    def at(self, t: float) -> tuple[float, float]:
        keeps = math.exp(-(t - self.t) / 300.0)
        new, self.t = self.lasting * math.sqrt(1.0 - keeps * keeps), t
        self.e, self.n = keeps * self.e + self.rng.gauss(0.0, new), keeps * self.n + self.rng.gauss(0.0, new)
        return self.e + self.rng.gauss(0.0, self.white), self.n + self.rng.gauss(0.0, self.white)


def fix(t: float, place: tuple[float, float], velocity: tuple[float, float], decimals: int = 7) -> Fix:
    lat, lon = (round(degrees, decimals) for degrees in HOME.geodetic(*place))
    course = math.degrees(math.atan2(*velocity)) % 360.0
    return Fix(device="a", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=8.0, speed_mps=math.hypot(*velocity),
               course_deg=course)  # fmt: skip


@pytest.fixture
def case(journal):
    """``case()``: a journal in which receiver a is on a lorry."""

    def made():
        said = journal(exercise=False, restart=True)
        for body in (Operation(operation="A"), Device(device="a", klass="lorry", interval_s=10.0),
                     Attachment(device="a", shipment="S", operation="A", from_ns=T0)):  # fmt: skip
            said.add(0, body)
        return said

    return made


def times(factor: float) -> Says:
    return lambda ve, vn: (factor * ve, factor * vn)


def rows_that_hold(said, goes: Way, times_s: range, every: int, says: Says, seed: int) -> tuple[int, int]:
    """Its fixes on a way; how many rows of three after each hold where it is, from the eighth on, and how many there are."""
    errors, inside, asked = Errors(random.Random(seed)), 0, 0
    for t in times_s:
        e, n, ve, vn = goes[t]
        de, dn = errors.at(t)
        said.say(t, fix(t, (e + de, n + dn), says(ve, vn)))
        for k in range(t, t + every, max(1, every // 3)) if t >= times_s.start + 8 * every else ():
            [row] = said.now(k)
            x, y = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
            x, y, det = x - goes[k][0], y - goes[k][1], row.p_ee * row.p_nn - row.p_en**2
            inside += (row.p_nn * x * x - 2 * row.p_en * x * y + row.p_ee * y * y) / det <= 5.991
            asked += 1
    return inside, asked


@pytest.mark.parametrize("every", [2, 5, 10])
@pytest.mark.parametrize("factor", [0.28, 0.51, 0.62, 1.61, 1.94, 3.6])
def test_a_speed_in_another_unit_is_told_once_and_not_used(case, factor, every):
    """Inside .03 to .5 of the time at 5 and 10 s, for ever, and nobody was told."""
    said = case()
    goes = road(random.Random(1), 120 * every + 60)
    inside, asked = rows_that_hold(said, goes, range(0, 90 * every, every), every, times(factor), 2)
    [event] = said.happened("false_speed")
    assert event.start_ns <= T0 + (8 + 12) * max(5, every) * NS and event.end_ns is None
    assert " m/s, its places say " in event.text and "not used" in event.text
    assert inside >= 0.9 * asked


@pytest.mark.parametrize("every", [5, 10, 30])
def test_a_course_that_is_reversed_is_told(case, every):
    """Inside .04 to .11, and nobody was told."""
    said = case()
    inside, asked = rows_that_hold(said, road(random.Random(3), 110 * every), range(0, 90 * every, every), every, times(-1), 4)
    [event] = said.happened("false_speed")
    assert event.start_ns <= T0 + 12 * every * NS and "says that it goes" in event.text and "its places go" in event.text
    assert inside >= 0.85 * asked


def test_a_course_that_is_stuck_is_told_with_its_way(case):
    said = case()
    goes = way([(400.0, 15.0, 90.0)])
    rows_that_hold(said, goes, range(0, 300, 10), 10, lambda ve, vn: (0.0, math.hypot(ve, vn)), 1)
    [event] = said.happened("false_speed")
    assert event.text.startswith("a says that it goes north, its places go east, and so again and again")


def test_it_is_trusted_again_when_it_agrees_for_as_long(case):
    said, goes = case(), way([(900.0, 15.0, 90.0)])
    rows_that_hold(said, goes, range(0, 300, 10), 10, times(3.6), 1)
    [event] = said.happened("false_speed")
    assert event.end_ns is None
    rows_that_hold(said, goes, range(300, 340, 10), 10, times(1), 1)
    assert said.happened("false_speed")[0].end_ns is None
    rows_that_hold(said, goes, range(340, 480, 10), 10, times(1), 1)
    [event] = said.happened("false_speed")
    assert event.end_ns is not None
    rows_that_hold(said, goes, range(480, 800, 10), 10, times(1), 1)
    assert len(said.happened("false_speed")) == 1


@pytest.mark.parametrize("every", [20, 30, 60])
def test_it_is_trusted_again_also_where_its_reports_are_far_apart(case, every):
    """From 20 s on it may have sped up and slowed down by so much that no leg was ever right again."""
    said, goes = case(), road(random.Random(5), 120 * every)
    rows_that_hold(said, goes, range(0, 30 * every, every), every, times(-1), 1)
    [event] = said.happened("false_speed")
    assert event.end_ns is None
    rows_that_hold(said, goes, range(30 * every, 33 * every, every), every, times(1), 1)
    assert said.happened("false_speed")[0].end_ns is None
    rows_that_hold(said, goes, range(33 * every, 60 * every, every), every, times(1), 1)
    [event] = said.happened("false_speed")
    assert event.end_ns is not None


def exact(ve: float, vn: float) -> tuple[float, float]:
    return ve, vn


def coarse(ve: float, vn: float) -> tuple[float, float]:
    """Whole knots, less what is left over, and tens of degrees."""
    mps, course = math.floor(math.hypot(ve, vn) / 0.5144) * 0.5144, math.radians(round(math.degrees(math.atan2(ve, vn)), -1))
    return mps * math.sin(course), mps * math.cos(course)


@pytest.mark.parametrize("every", [1, 5, 10, 30, 60, 600])
@pytest.mark.parametrize("lag_s", [0, 2])
@pytest.mark.parametrize("says", [exact, coarse, "noisy"])
@pytest.mark.parametrize("goes", [road, town, circles, walker, parked])
def test_who_states_what_is_right_is_never_told_of(goes, says, lag_s, every):
    """Also with errors of places that last, whole knots and tens of degrees, and speeds that come 2 s late."""
    for seed, (white, lasting) in enumerate(((3.0, 3.0), (1.0, 30.0), (20.0, 5.0))):
        rng = random.Random(seed)
        ways, errors, speeds, last = goes(rng, 1800 if every == 1 else 5400), Errors(rng, white, lasting), Speeds(), None
        for t in range(2, len(ways), every):
            e, n, (ve, vn) = *ways[t][:2], ways[t - lag_s][2:]
            ve, vn = (ve + rng.gauss(0.0, 0.5), vn + rng.gauss(0.0, 0.5)) if says == "noisy" else says(ve, vn)
            de, dn = errors.at(t)
            lat, lon = HOME.geodetic(e + de, n + dn)
            m = Measurement(T0 + t * NS, "a", "fix", lat, lon, 64.0, 0.0, 64.0, ve, vn, 1.0, True)
            if last is not None:
                heard(speeds, last, m)
            assert speeds.sure < ALARM
            last = m


def test_one_false_fix_makes_no_doubt():
    speeds, last = Speeds(), None
    for t in range(0, 300, 10):
        lat, lon = HOME.geodetic(15.0 * t + 600.0 * (t == 150), 0.0)
        m = Measurement(T0 + t * NS, "a", "fix", lat, lon, 64.0, 0.0, 64.0, 15.0, 0.0, 1.0, True)
        if last is not None:
            heard(speeds, last, m)
        assert speeds.sure < UNSURE
        last = m


@pytest.mark.parametrize("every", [5, 10, 30])
@pytest.mark.parametrize("goes", [road, town, parked, walker])
def test_who_states_what_is_right_and_rounds_its_places_is_not_told_of(case, goes, every):
    """To thousandths of a degree: it is in one for several reports, and then leaps."""
    said, rng = case(), random.Random(5)
    for t, (e, n, ve, vn) in enumerate(goes(rng, 150 * every)):
        if t % every == 0:
            said.say(t, fix(t, (e + rng.gauss(0.0, 4.0), n + rng.gauss(0.0, 4.0)), (ve, vn), decimals=3))
    assert not said.happened("false_speed")
