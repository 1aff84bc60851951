"""Silence: what is not heard any more is within what its own speed gets it, whatever it did since its last report."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking.core import Core, Model
from tracking.kernel import FASTER_V2, faster, going, reach_m
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.reach import at_most
from tracking.step import advance, placed, predicted

T0 = 1_790_000_000 * NS
HOUR = 3600
#: Metres of a degree on the equator, east and north.
EAST_M, NORTH_M = 111_319.491, 110_574.276

Spot = tuple[float, float, float, float]  # e, n, ve, vn
Leg = tuple[float, float, float]  # seconds, speed, turn in degrees


def motorway(rng: random.Random) -> list[Leg]:
    """Up to two and a half hours of bends, half an hour of rest."""
    drive = [(rng.uniform(200, 900), rng.uniform(21, 25), rng.uniform(-25, 25)) for _ in range(rng.randint(8, 16))]
    return [*drive, (rng.uniform(1200, 2400), 0.0, 0.0)]


def train(rng: random.Random) -> list[Leg]:
    """A quarter of an hour from station to station, some minutes at each."""
    speed = rng.uniform(35, 50)
    return [*((rng.uniform(150, 400), speed * rng.uniform(0.9, 1.0), rng.uniform(-15, 15)) for _ in range(3)),
            (rng.uniform(120, 300), 0.0, 0.0)]  # fmt: skip


def ferry(rng: random.Random) -> list[Leg]:
    """To and fro."""
    speed = rng.uniform(7, 10)
    return [(rng.uniform(1200, 2700), speed, rng.uniform(-10, 10)), (rng.uniform(600, 1200), 0.0, 180.0)]


def flight(rng: random.Random) -> list[Leg]:
    """Taxi, climb, cruise, land, stand."""
    cruise = [(rng.uniform(600, 1800), rng.uniform(220, 250), rng.uniform(-40, 40)) for _ in range(4)]
    return [(300, 6.0, 90.0), (600, 170.0, 0.0), *cruise, (300, 80.0, 0.0), (rng.uniform(1800, 3600), 0.0, 90.0)]


def coaster(rng: random.Random) -> list[Leg]:
    """A ship that changes its course each hour or two."""
    return [(rng.uniform(3600, 9000), rng.uniform(7, 8), rng.uniform(-20, 20))]


def way(kind: Callable[[random.Random], list[Leg]], rng: random.Random, total_s: int) -> list[Spot]:
    """Where it is, each second."""
    e = n = v = 0.0
    course = rng.uniform(0, 360)
    out: list[Spot] = []
    while len(out) < total_s:
        for seconds, speed, by in kind(rng):
            for k in range(int(seconds)):
                course += by / 30.0 if k < 30 else 0.0
                v += max(-1.5, min(1.5, speed - v))
                az = math.radians(course)
                out.append((e, n, v * math.sin(az), v * math.cos(az)))
                e, n = e + out[-1][2], n + out[-1][3]
    return out


def held(kind, klass: str, every: int, seed: int, *, speed: bool) -> tuple[list[bool], list[float]]:
    """Whether the truth is inside from one to six hours after each of its reports, were that the last one, and how large the
    ellipse is for how far it has gone."""
    rng = random.Random(f"{kind.__name__} {every} {seed} {speed}")
    reports = 90 if every < 1800 else 40
    spots = way(kind, rng, reports * every + 6 * HOUR + 1)
    model, core = Model(preset=Presets().of(klass), presets=Presets(), klass=klass), None
    inside, shares = [], []
    for k in range(reports):
        e, n, ve, vn = spots[k * every]
        e, n = e + rng.gauss(0, 5), n + rng.gauss(0, 5)
        says = {"ve_mps": ve, "vn_mps": vn, "r_v": 1.0} if speed else {}
        m = Measurement(T0 + k * every * NS, "d", "fix", n / NORTH_M, e / EAST_M, 25.0, 0.0, 25.0, stated=True, **says)
        core, _, _ = advance(core, m, model)
        if k < reports // 3 or k % 3:
            continue
        for hours in (1, 3, 6):
            if hours * HOUR <= 2.5 * every:
                continue
            true = spots[k * every + hours * HOUR]
            lat, lon, x = placed(core, predicted(core, m.time_ns + hours * HOUR * NS, model, 2.5 * every))
            de, dn, det = lon * EAST_M - true[0], lat * NORTH_M - true[1], x[4] * x[11] - x[6] ** 2
            inside.append((x[11] * de * de - 2 * x[6] * de * dn + x[4] * dn * dn) / det <= 5.991)
            shares.append(math.sqrt(5.991) * det**0.25 / max(math.hypot(true[0] - e, true[1] - n), 1000.0))
    return inside, shares


@pytest.mark.parametrize("every", [60, 300, 1800])
@pytest.mark.parametrize(
    ("kind", "klass", "at_most_shares"),
    [(motorway, "lorry", 2.6), (train, "", 2.6), (ferry, "vessel", 20.0), (coaster, "vessel", 1.6), (flight, "parcel", 6.0)],
)
def test_the_truth_is_inside_after_hours_of_silence(kind, klass, at_most_shares, every):
    """A lorry each half hour was inside half of the time, each minute a tenth; an aeroplane a third, a train each minute .03:
    the motions stop and slow down, and what stood at its last report had no speed at all."""
    both = [held(kind, klass, every, seed, speed=speed) for seed in range(3) for speed in (False, True)]
    inside, shares = [list(itertools.chain(*some)) for some in zip(*both, strict=True)]
    assert sum(inside) / len(inside) > 0.9
    assert sorted(shares)[len(shares) // 2] < at_most_shares, "no disc as wide as the world"


def test_the_row_of_a_lorry_that_falls_silent_holds_its_motorway(journal):
    """As the fold shows it: hours after its last word, from on the road and from a rest; and that of a parked crate that was
    never seen to go is no larger for it."""
    said = journal()
    said.add(0, Operation(operation="op"))
    for device, klass in (("lorry", "lorry"), ("rests", "lorry"), ("crate", "parcel")):
        said.add(0, Device(device=device, klass=klass, interval_s=300.0))
        said.add(0, Attachment(device=device, shipment=device, operation="op", from_ns=0))
    last = 24 * 300
    for t in range(0, last + 1, 300):
        rests = 23.0 * min(t, last - 900)
        for device, e, n in (("lorry", 23.0 * t, 0.0), ("rests", rests, 50_000.0), ("crate", 0.0, 90_000.0)):
            fix = Fix(device=device, time_ns=T0 + t * NS, lat_deg=n / NORTH_M, lon_deg=e / EAST_M, sigma_m=5.0)
            said.say(t, fix)
    for hours in (1, 3, 6):
        rows = {row.name: row for row in said.now(last + hours * HOUR)}
        far = 22.0 * hours * HOUR
        assert _holds(rows["lorry"], 23.0 * last + far, 0.0), "it went on"
        assert _holds(rows["lorry"], 23.0 * last, 0.8 * far), "it turned"
        assert _holds(rows["lorry"], 23.0 * last, 0.0), "it stopped"
        for e, n in ((0.9 * far, 0.0), (0.0, 0.9 * far), (-0.9 * far, 0.0), (0.0, -0.9 * far)):
            assert _holds(rows["rests"], 23.0 * (last - 900) + 0.8 * e, 50_000.0 + 0.8 * n), "it left soon after, any way"
        crate = rows["crate"]
        assert math.sqrt(5.991 * max(crate.p_ee, crate.p_nn)) < 45_000.0 * hours


def _holds(row, e: float, n: float) -> bool:
    de, dn = row.lon_deg * EAST_M - e, row.lat_deg * NORTH_M - n
    det = row.p_ee * row.p_nn - row.p_en**2
    return (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= 5.991


def test_how_fast_it_goes_is_the_most_that_was_seen_and_is_forgotten_slowly():
    assert faster(0.0, 0.05, 60.0, 15.0) == 0.0, "who drifts goes nowhere"
    assert faster(400.0, 0.0, 60.0, 0.0) == 400.0, "a stop says nothing of it"
    assert faster(0.0, 90.0, 60.0, 570.0) == 90.0 and faster(100.0, 400.0, 60.0, 1200.0) == 400.0
    assert faster(0.0, 2_500.0, 60.0, 3_000.0) == FASTER_V2, "one false fix is no aeroplane"
    assert faster(0.0, 40_000.0, 1800.0, 360_000.0) == 40_000.0, "no false one is used so far away"
    slower = 400.0
    for _ in range(30):
        slower = faster(slower, 100.0, 60.0, 600.0)
    assert 200.0 < slower < 220.0
    for _ in range(1800):
        slower = faster(slower, 100.0, 1.0, 10.0)
    assert 130.0 < slower < 145.0, "by how long it is under way, where reports are close to each other"


@pytest.mark.parametrize("mps", [90.0, 240.0])
def test_what_takes_over_tells_how_fast_it_goes(mps):
    """A parcel by air: what takes the track over after half an hour had no speed, though it was on its way already."""
    model, core = Model(preset=Presets().of("lorry"), presets=Presets(), klass="lorry"), None
    for t, e in ((0, 0.0), (1800, 2.0), (3600, 0.0), (5400, mps * 1800), (7200, mps * 3600)):
        m = Measurement(T0 + t * NS, "d", "fix", 0.0, e / EAST_M, 25.0, 0.0, 25.0, stated=True)
        core, _, _ = advance(core, m, model)
    assert core is not None
    assert at_most(core.x, core.way)[2] == pytest.approx(mps, rel=0.05)


def test_what_stood_leaves_at_any_moment():
    """T / (T + t): twice as long as it stood, most moments; a twentieth of that, none."""
    assert reach_m(20.0, 0.0, 3600.0) == 72_000.0, "it was under way, nobody knows where to"
    assert reach_m(20.0, 600.0, 1200.0) == pytest.approx(20.0 * (0.95 * 1200 - 0.05 * 600) * 0.8767, rel=1e-3)
    assert reach_m(20.0, 20_000.0, 1000.0) == 0.0


def test_which_way_it_went_is_its_filters_where_reports_are_close():
    assert going(9.0, 0.0, 1.0, 3.0, 0.0, 8.0) == (9.0, 0.0), "a leg tells"
    assert going(0.0, 0.0, 0.0, 3.0, 0.0, 8.0) == (3.0, 0.0)
    assert going(0.0, 0.0, 0.0, 3.0, 0.0, 0.5) == (0.0, 0.0), "no more than the filter is off by"


@pytest.mark.parametrize("speed", [False, True])
@pytest.mark.parametrize("every", [1, 5, 10, 60])
def test_how_fast_it_goes_is_learnt_at_any_interval(every, speed):
    """Also of reports so close that a leg between two of them says nothing; what is parked learns no speed from its errors."""
    rng = random.Random(every)
    model = Model(preset=Presets().of("van"), presets=Presets(), klass="van")
    for mps in (15.0, 0.0):
        core: Core | None = None
        for k in range(100):
            lon, lat = (mps * every * k + rng.gauss(0, 4)) / EAST_M, rng.gauss(0, 4) / NORTH_M
            says = {"ve_mps": mps, "vn_mps": 0.0, "r_v": 1.0} if speed else {}
            m = Measurement(T0 + k * every * NS, "d", "fix", lat, lon, 16.0, 0.0, 16.0, stated=True, **says)
            core, _, _ = advance(core, m, model)
        assert core is not None
        fast = at_most(core.x, core.way)[2]
        assert 14.0 < fast < 25.0 if mps else fast < 3.0
