"""One AIS message heard by two receivers is one measurement, whatever it leaves out, however late it comes in again, and
whichever of the receivers' clocks is wrong.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from birddog.geo import LocalFrame
from birddog.model import Fix
from birddog.units import KNOT_MPS, NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
SIGMA2_95 = 5.991
LAST_S = 1500


def sail(t: float, mps: float) -> tuple[float, float]:
    """A straight way with a slow bend."""
    return mps * 600.0 * math.sin(t / 600.0), mps * 600.0 * (1.0 - math.cos(t / 600.0))


def message(rng: random.Random, t: int, mps: float, *, speed: bool, second: bool) -> Fix:
    """A report of a second, with no time of a receiver."""
    (e, n), (e1, n1) = sail(t, mps), sail(t + 0.1, mps)
    lat, lon = HOME.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
    attributes = {"msg_type": 1, **({"utc_second": (T0 // NS + t) % 60} if second else {})}
    course = round(math.degrees(math.atan2(e1 - e, n1 - n)) % 360.0, 1)
    return Fix(
        device="244660000", time_ns=None, time_source="server", lat_deg=round(lat * 6e5) / 6e5, lon_deg=round(lon * 6e5) / 6e5,
        speed_mps=round(mps / KNOT_MPS, 1) * KNOT_MPS if speed else None, course_deg=course if speed else None,
        attributes=attributes,
    )  # fmt: skip


def heard(journal, late, *, seed: int, mps: float = 9.0, every_s: int = 10, speed: bool = True, second: bool = True,
          stamps: tuple[float, float] | None = None, loss: float = 0.1, two: bool = True):  # fmt: skip
    """A journal of a vessel that two receivers hear, and for each half minute whether its ellipse holds it, and how far off.

    Args:
        late: how long a message takes by the second receiver, s, of a random generator.
        stamps: by how many seconds the clocks of the two are ahead, which state the time of reception; None: they state none.
    """
    import msgspec

    j, rng, said = journal(exercise=False), random.Random(seed), []
    for t in range(5, LAST_S, every_s):
        m = message(rng, t, mps, speed=speed, second=second)
        for k in range(1 + two):
            if rng.random() < loss:
                continue
            came = t + rng.uniform(0.2, 0.6) + (late(rng) if k else 0.0)
            stamp = None if stamps is None else T0 + round((t + 0.3 + stamps[k]) * NS)
            said.append((came, msgspec.structs.replace(m, time_ns=stamp, time_source="server" if stamp is None else "gateway")))
    inside, off, ask = [], [], 300.0
    for came, m in sorted(said, key=lambda one: one[0]):
        while ask < came and ask < LAST_S:
            [row] = j.now(ask)
            d = np.subtract(HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg), sail(ask, mps))
            p = np.array([[row.p_ee, row.p_en], [row.p_en, row.p_nn]])
            inside.append(d @ np.linalg.solve(p, d) <= SIGMA2_95), off.append(float(np.hypot(*d)))
            ask += 30.0
        stated = m.time_ns is not None
        j.say(came, m if stated else msgspec.structs.replace(m, time_ns=T0 + round(came * NS)), fmt="ais")
    return j, float(np.mean(inside)), max(off)


WAYS = {"3.4 s": lambda rng: 3.4, "to 20 s": lambda rng: rng.uniform(0, 20), "30 to 58 s": lambda rng: rng.uniform(30, 58),
        "60 to 90 s": lambda rng: rng.uniform(60, 90), "to 120 s": lambda rng: rng.uniform(0, 120)}  # fmt: skip
QUARRELS = ("contradicted", "two_places", "jumped", "conflict", "clock", "impossible_speed")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("without", ["", "speed", "second", "both"])
@pytest.mark.parametrize(("mps", "every_s"), [(9.0, 10), (7.0, 30), (0.8, 30)])
def test_what_is_heard_twice_is_one_message(journal, way, without, mps, every_s):
    """An auditor's: copies without a speed or a second, and those of what drifts, were fixes a minute late: km off."""
    for seed in range(2):
        lacks = {"speed": without not in ("speed", "both"), "second": without not in ("second", "both")}
        words = {"seed": seed, "mps": mps, "every_s": every_s, "loss": 0.0, **lacks}
        j, inside, off = heard(journal, WAYS[way], **words)
        alone, inside_alone, off_alone = heard(journal, WAYS[way], two=False, **words)
        [row], [row_alone] = j.now(LAST_S), alone.now(LAST_S)
        assert j.happened(*QUARRELS) == []
        assert row.hits <= row_alone.hits + (without == "both"), "each is one measurement; the first may have lain still"
        assert inside >= inside_alone - 0.05 and off < off_alone + 10.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mps", "every_s"), [(9.0, 10), (7.0, 30)])
@pytest.mark.parametrize("seed", range(3))
def test_what_only_the_slow_receiver_heard_is_of_its_own_minute(journal, way, mps, every_s, seed):
    """One in ten that the quick one lost was dated a minute too late by its own second: a false ``conflict`` in 6 of 6."""
    j, inside, off = heard(journal, WAYS[way], seed=seed, mps=mps, every_s=every_s)
    alone, inside_alone, off_alone = heard(journal, WAYS[way], seed=seed, mps=mps, every_s=every_s, two=False)
    assert j.happened(*QUARRELS) == []
    assert inside >= inside_alone - 0.06 and off < off_alone + 40.0


@pytest.mark.parametrize("stamps", [(0.0, 0.0), (0.0, 5.0), (0.0, -5.0), (15.0, 0.0), (0.0, -15.0), (-28.0, 0.0)])
@pytest.mark.parametrize(("mps", "every_s"), [(9.0, 10), (7.0, 30)])
def test_the_clocks_of_the_receivers_are_not_the_vessels(journal, stamps, mps, every_s):
    """Both state when they heard it, one by a clock that is wrong: the report's own second dates it, and it is one."""
    for seed in range(2):
        j, inside, off = heard(journal, lambda rng: 0.0, seed=seed, mps=mps, every_s=every_s, stamps=stamps, loss=0.0)
        [row] = j.now(LAST_S)
        assert j.happened(*QUARRELS) == [] and row.hits <= LAST_S // every_s
        assert inside >= 0.9 and off < 60.0


def test_what_lies_still_says_the_same_place_again_and_again(journal):
    """A moored ship whose receiver holds its place, without speed and second: each report is one, and it is not old."""
    j = journal(exercise=False)
    for k in range(40):
        lat, lon = HOME.geodetic(0.0, 0.0)
        j.say(30.0 * k, Fix(device="244660001", time_ns=T0 + 30 * k * NS, time_source="server", lat_deg=lat, lon_deg=lon,
                            attributes={"msg_type": 18}), fmt="ais")  # fmt: skip
    [row] = j.now(30.0 * 39 + 1)
    assert row.hits == 40 and row.updated_ns == T0 + 30 * 39 * NS


@pytest.mark.parametrize("moored", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_two_ships_of_one_number_are_both_shown(journal, moored, seed):
    """One of two that go by the same MMSI is followed; while that goes on the other one's last place is the second symbol."""
    j, rng, said, shown, apart_m = journal(exercise=False), random.Random(seed), [], [], 50_000.0
    for ship, every_s in ((0, rng.choice((6, 10))), (1, 180 if moored else rng.choice((6, 10, 30)))):
        for t in np.arange(rng.uniform(1, 9), 1800, every_s * 1.01):
            e, n = (apart_m, 0.0) if moored and ship else (apart_m * ship + sail(t, 8.0)[0], sail(t, 8.0)[1])
            lat, lon = HOME.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
            mps = 0.0 if moored and ship else 8.0
            said.append((t + 0.3, Fix(
                device="244660002", time_ns=T0 + round(t * NS), time_source="server", lat_deg=lat, lon_deg=lon,
                speed_mps=mps, course_deg=90.0, attributes={"msg_type": 1},
            )))  # fmt: skip
    told_s = None
    for came, m in sorted(said, key=lambda one: one[0]):
        j.say(came, m, fmt="ais")
        if told_s is None and j.events("two_places"):
            told_s = came
        if told_s is not None:
            [row] = j.now(came)
            places = [HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0]]
            places += [] if row.rival_lat_deg is None else [HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)[0]]
            shown.append({round(e / apart_m) for e in places} >= {0, 1})
    assert told_s is not None and np.mean(shown) > 0.9
    assert len(j.happened("two_places")) == 1 and len(j.happened("impossible_speed")) <= 2
