"""Reports half an hour and more apart: what has gone on is shown where it is by then, and its ellipse holds what stopped."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking.core import Core, Model
from tracking.measurement import Measurement
from tracking.onward import chance
from tracking.presets import Presets
from tracking.step import advance, placed, predicted

T0 = 1_790_000_000 * NS
HOUR = 3600
#: Metres of a degree on the equator, east and north: what goes east along it goes straight on.
EAST_M, NORTH_M = 111_319.491, 110_574.276


def place(e: float, n: float) -> tuple[float, float]:
    return n / NORTH_M, e / EAST_M


class Way:
    """A device that goes along ``e``, metres east by seconds, and reports to a fold."""

    def __init__(self, journal, klass: str, every: int, where, *, speed: bool, north=lambda t: 0.0):
        self.said, self.where, self.north, self.speed, self.every = journal(), where, north, speed, every
        self.rng = random.Random(klass)
        self.said.add(0, Operation(operation="op"))
        self.said.add(0, Device(device="d", klass=klass, interval_s=every))
        self.said.add(0, Attachment(device="d", shipment="goods", operation="op", from_ns=0))

    def report(self, t: int) -> None:
        e, n = self.where(t), self.north(t)
        lat, lon = place(e + self.rng.gauss(0, 5), n + self.rng.gauss(0, 5))
        ve, vn = (self.where(t) - self.where(t - 1)), (self.north(t) - self.north(t - 1))
        speeds = {"speed_mps": math.hypot(ve, vn), "course_deg": math.degrees(math.atan2(ve, vn)) % 360} if self.speed else {}
        self.said.say(t, Fix(device="d", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0, **speeds))

    def seen(self, t: int, e: float, n: float = 0.0) -> tuple[float, bool, float]:
        """How far a place is from the row at t, whether its 95 % ellipse holds it, and that ellipse's longer semi-axis."""
        [row] = self.said.now(t)
        x, y = row.lon_deg * EAST_M, row.lat_deg * NORTH_M
        de, dn, det = x - e, y - n, row.p_ee * row.p_nn - row.p_en**2
        inside = (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= 5.991
        big = (row.p_ee + row.p_nn) / 2 + math.hypot((row.p_ee - row.p_nn) / 2, row.p_en)
        return math.hypot(de, dn), inside, math.sqrt(5.991 * big)


def straight(mps: float, begins: float = 0.0, ends: float = math.inf):
    return lambda t: mps * (max(begins, min(t, ends)) - begins)


@pytest.mark.parametrize("speed", [False, True])
@pytest.mark.parametrize("every", [1800, 3600])
@pytest.mark.parametrize(
    ("klass", "mps"), [("vessel", 8), ("lorry", 22), ("van", 30), ("", 25), ("parcel", 15), ("walker", 1.4)]
)
def test_what_has_gone_straight_on_is_shown_where_it_is_by_now(klass, mps, every, speed, journal):
    """A lorry that reports each hour was shown 87 km behind, for it might have stopped: it stood at its last fix."""
    way = Way(journal, klass, every, straight(mps, begins=2 * every), speed=speed)
    for k in range(6):
        way.report(k * every)
    for part in (0.1, 0.5, 0.95):
        t = round((5 + part) * every)
        far, inside, _ = way.seen(t, way.where(t))
        assert inside and far < 300.0 + 0.05 * mps * part * every, part
        assert way.seen(t, way.where(5 * every))[1], "it may have stopped where it was"


@pytest.mark.parametrize("speed", [False, True])
def test_what_stops_stays_inside_and_is_there_with_its_next_report(speed, journal):
    """Three hourly reports on the motorway, then it stands in a car park."""
    stops = 4 * HOUR
    way = Way(journal, "van", HOUR, straight(30.0, begins=HOUR, ends=stops), speed=speed)
    for k in range(5):
        way.report(k * HOUR)
    for t in range(stops, stops + HOUR, 300):
        assert way.seen(t, way.where(t))[1], t
    way.report(stops + HOUR)
    far, inside, _ = way.seen(stops + HOUR + 60, way.where(stops))
    assert far < 30.0 and inside
    far, inside, _ = way.seen(stops + HOUR + 3000, way.where(stops))
    assert far < 100.0 and inside, "one report where it stands, and no way is foretold"


def test_after_one_leg_out_of_a_stay_it_is_on_its_way_and_both_are_held(journal):
    """Parked, then one report on the way: it may go on and it may stand (``setoff``); it was shown 66 km behind."""
    way = Way(journal, "lorry", HOUR, straight(22.0, begins=2 * HOUR), speed=False)
    for k in range(4):
        way.report(k * HOUR)
    t = 3 * HOUR + 3000
    far, inside, _ = way.seen(t, way.where(t))
    assert far < 20_000.0 and inside, "it goes on"
    assert way.seen(t, way.where(3 * HOUR))[1], "it stopped at once"


def test_what_is_overdue_is_where_it_was_heard_and_may_be_anywhere(journal):
    way = Way(journal, "vessel", 1800, straight(8.0), speed=True)
    for k in range(8):
        way.report(k * 1800)
    last = 7 * 1800
    there = way.where(last)
    assert way.seen(last + 4000, there)[0] > 25_000.0, "two reports late it is still expected on its way"
    far, inside, _ = way.seen(last + 5000, there)
    assert far < 25_000.0 and inside
    assert way.seen(last + 5000, way.where(last + 5000))[1]
    assert way.seen(last + 12_000, way.where(last + 9000))[1] and way.seen(last + 12_000, there)[1], (
        "as far as it was seen to go"
    )


def legs(*told: tuple[float, float, float], speed: bool = False) -> Core:
    """The filter after legs (seconds, east m/s, north m/s)."""
    model, core, t, e, n = Model(preset=Presets().of("lorry"), presets=Presets(), klass="lorry"), None, 0.0, 0.0, 0.0
    for dt, ve, vn in ((0.0, 0.0, 0.0), *told):
        t, e, n = t + dt, e + ve * dt, n + vn * dt
        lat, lon = place(e, n)
        says = {"ve_mps": ve, "vn_mps": vn, "r_v": 1.0} if speed else {}
        m = Measurement(T0 + round(t * NS), "d", "fix", lat, lon, 25.0, 0.0, 25.0, stated=True, **says)
        core, _, _ = advance(core, m, model)
    assert core is not None
    return core


GOES, STANDS, BACK, ASIDE = (1800.0, 9.0, 0.0), (1800.0, 0.0, 0.0), (1800.0, -9.0, 0.0), (1800.0, 0.0, 9.0)


@pytest.mark.parametrize("speed", [False, True])
@pytest.mark.parametrize(("every", "mps", "degrees"), [(10, 18.0, 40), (10, 7.0, -60), (30, 30.0, 90), (300, 25.0, -45)])
def test_what_falls_silent_and_turns_is_in_its_circle(every, mps, degrees, speed, journal):
    """Its ellipse was a needle along the old course (671 m by 31 m after 80 s): what turned off was outside."""
    last, turn = 20 * every, math.radians(degrees)
    went = lambda t: mps * max(0, t - last)  # noqa: E731
    way = Way(journal, "van", every, lambda t: mps * min(t, last) + went(t) * math.cos(turn), speed=speed,
              north=lambda t: went(t) * math.sin(turn))  # fmt: skip
    for k in range(21):
        way.report(k * every)
    for intervals in (3, 6, 9):
        t = last + intervals * every
        assert way.seen(t, way.where(t), way.north(t))[1], "it turned at once"
        assert way.seen(t, way.where(last))[1], "it stopped at once"


def test_the_odds_are_learnt_from_its_own_past():
    """How long it was seen to go on, and how often it ended; what it once learnt counts after a stop."""
    assert chance(legs(GOES).way, 60.0) == 0.0, "one leg says nothing"
    assert chance(legs(GOES, GOES).way, 1800.0) == pytest.approx(0.5)
    long = [chance(legs(*[GOES] * k).way, 1800.0) for k in range(2, 9)]
    assert long == sorted(long) and 0.8 < long[-1] < 0.91
    assert chance(legs(*[GOES] * 6, STANDS).way, 60.0) == 0.0
    first, again = chance(legs(GOES, GOES).way, 1800.0), chance(legs(*[GOES] * 6, STANDS, STANDS, GOES, GOES).way, 1800.0)
    assert again > first, "it is known to go on for hours"
    for other in (BACK, ASIDE, STANDS):
        fitful = legs(*[GOES, GOES, other] * 6, GOES, GOES)
        assert chance(fitful.way, 1800.0) < 0.5, "every third leg is another one"


def test_a_bend_is_the_same_way_and_a_turn_is_not():
    bends = [(1800.0, 9.0 * math.cos(a), 9.0 * math.sin(a)) for a in (0.0, 0.4, 0.1, 0.5, 0.9)]
    assert legs(*bends).way[3] == 0.0
    assert legs(GOES, GOES, GOES, BACK).way[3] == 1.0 and legs(GOES, GOES, GOES, ASIDE).way[3] == 1.0


def test_a_stated_speed_says_at_once_that_it_goes_on_or_has_stopped():
    assert chance(legs(GOES, speed=True).way, 900.0) > 0.6, "as fast as it came from its last place"
    model = Model(preset=Presets().of("lorry"), presets=Presets(), klass="lorry")
    core = legs(GOES, GOES, GOES, speed=True)
    lat, lon = place(9.0 * 4 * 1800.0, 0.0)
    stopped = Measurement(T0 + 7200 * NS, "d", "fix", lat, lon, 25.0, 0.0, 25.0, 0.0, 0.0, 1.0, True)
    core, verdict, _ = advance(core, stopped, model)
    assert verdict == "used" and chance(core.way, 60.0) == 0.0


def test_two_fixes_each_hour_are_one_report_and_fixes_by_the_half_minute_are_the_motions_own():
    pair = (5.0, 9.0, 0.0)
    assert chance(legs(*[GOES, pair] * 4).way, 1800.0) > 0.6
    assert chance(legs(*[GOES] * 4, *[(30.0, 9.0, 0.0)] * 2).way, 60.0) == 0.0
    assert legs(*[(30.0, 9.0, 0.0)] * 30).way[2] == 0.0


def test_what_swings_at_anchor_goes_nowhere():
    rng = random.Random(4)
    swings = [(1800.0, rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)) for _ in range(40)]
    assert legs(*swings).way[:4] == (0.0, 0.0, 0.0, 0.0)


class Turning:
    """A way that turns by some of ``turns`` (degrees), to either side, after some of ``gaps`` (s) each; places by the 5 s."""

    def __init__(self, mps: float, turns: tuple[float, float], gaps: tuple[float, float], seed: int):
        rng = random.Random(seed)
        self.at, e, n, course, left = [], 0.0, 0.0, 0.3, rng.uniform(0.0, gaps[1])
        for _ in range(5000):
            self.at.append((e, n))
            e, n, left = e + 5.0 * mps * math.sin(course), n + 5.0 * mps * math.cos(course), left - 5.0
            if left <= 0.0:
                course += math.radians(rng.uniform(*turns)) * rng.choice((-1.0, 1.0))
                left = rng.uniform(*gaps)

    def where(self, t: float) -> tuple[float, float]:
        (e0, n0), (e1, n1) = self.at[int(t // 5)], self.at[int(t // 5) + 1]
        part = t % 5 / 5
        return e0 + part * (e1 - e0), n0 + part * (n1 - n0)


#: Class, speed m/s, turns deg, gaps s.
SELDOM = (
    ("van", 20.0, (90.0, 90.0), (600.0, 600.0)), ("lorry", 12.0, (60.0, 60.0), (300.0, 300.0)),
    ("", 6.0, (30.0, 120.0), (180.0, 1200.0)), ("van", 33.0, (30.0, 120.0), (180.0, 1200.0)),
)  # fmt: skip
OFTEN = (
    ("van", 20.0, (60.0, 120.0), (60.0, 300.0)), ("lorry", 14.0, (90.0, 90.0), (90.0, 240.0)),
    ("", 10.0, (30.0, 120.0), (60.0, 240.0)), ("van", 27.0, (30.0, 120.0), (120.0, 480.0)),
)  # fmt: skip


@pytest.mark.parametrize("speed", [False, True])
@pytest.mark.parametrize("every", [300, 600, 900])
def test_what_turns_between_its_reports_stays_inside(every, speed):
    """A van at 20 m/s that turns by 90 degrees each 10 min and reports each 5 was inside half-way in every second leg."""
    inside = held_of_turning(SELDOM, every, speed=speed, reports=20)
    assert min(inside) >= 0.75 and sum(inside) / len(inside) >= 0.9, inside


@pytest.mark.parametrize("speed", [False, True])
@pytest.mark.parametrize("every", [60, 120])
def test_what_turns_each_few_minutes_and_reports_each_one_or_two_stays_inside(every, speed):
    """Who turned turns again: between two reports 0.84 to 0.91 were inside (now 0.97 to 1.00)."""
    inside = held_of_turning(OFTEN, every, speed=speed, reports=40)
    assert sum(inside) / len(inside) >= 0.93 and min(inside) >= 0.85, inside


def held_of_turning(ways, every: int, *, speed: bool, reports: int) -> list[float]:
    """Of each of the ways, two seeds, the share of times between two reports at which it is in its ellipse."""
    inside = []
    for klass, mps, turns, gaps in ways:
        for seed in (1, 2):
            model, core = Model(preset=Presets().of(klass), presets=Presets(), klass=klass), None
            way, rng, held = Turning(mps, turns, gaps, seed), random.Random(seed), []
            for k in range(reports):
                t = k * every
                e, n = way.where(t)
                e1, n1 = way.where(t + 0.01)
                says = {"ve_mps": (e1 - e) * 100.0, "vn_mps": (n1 - n) * 100.0, "r_v": 1.0} if speed else {}
                lat, lon = place(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
                m = Measurement(T0 + t * NS, "d", "fix", lat, lon, 25.0, 0.0, 25.0, stated=True, **says)
                core, _, _ = advance(core, m, model)
                for part in (0.25, 0.5, 0.75) if k >= 4 else ():
                    lat, lon, x = placed(core, predicted(core, T0 + round((t + part * every) * NS), model, 2.5 * every))
                    e, n = way.where(t + part * every)
                    de, dn = lon * EAST_M - e, lat * NORTH_M - n
                    q = (x[11] * de * de - 2.0 * x[6] * de * dn + x[4] * dn * dn) / (x[4] * x[11] - x[6] * x[6])
                    held.append(q <= 5.991)
            inside.append(sum(held) / len(held))
    return inside
