"""How far a receiver is from another one of its shipment, where the way between two reports is a bend (an auditor's trains).

Half a minute or a minute of a bend of 800 to 1,500 m is no straight way: front and rear seemed to be hundreds of metres further
apart than they are, and had parted.
"""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import arms
from tracking.measurement import Measurement

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def _bend(radius_m):
    """A place at metres along a line: straight for 6 km, then in a bend."""

    def at(s):
        if s <= 6000.0:
            return 0.0, s, 0.0
        h = (s - 6000.0) / radius_m
        return radius_m * (1.0 - math.cos(h)), 6000.0 + radius_m * math.sin(h), h

    return at


def _receivers(at, *, length, speed, every, seconds, stated, seed):
    """What is known of the receivers of a train after each fix of its rear and front, from the first bend on."""
    rng, known, found, lead = random.Random(seed), (), [], None
    for t in range(0, seconds, every):
        for device, at_s, behind in (("front", t + 1.0, 0.0), ("rear", t + 0.3 * every, length)):
            s = speed * at_s - behind
            e, n, h = at(s)
            lat, lon = HOME.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
            says = {"ve_mps": speed * math.sin(h), "vn_mps": speed * math.cos(h), "r_v": 1.0} if stated else {}
            m = Measurement(T0 + round(at_s * NS), device, "fix", lat, lon, 25.0, 0.0, 25.0, **says)
            if lead is None:
                lead = m
                known = (arms.Receiver(device, m.time_ns, lat, lon, 25.0, r_v=arms.UNKNOWN_V),)
                continue
            known = arms.heard(known, m, speed * math.sin(h), speed * math.cos(h))
            found.append((at_s, arms.of(known, "rear")))
    return found


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize(("every", "radius", "speed"), [(30, 800, 38), (60, 800, 36), (60, -1000, 36), (60, 1500, 40)])
@pytest.mark.parametrize("length", [60, 200, 400])
def test_a_train_in_a_bend_stays_as_long_as_it_is(every, radius, speed, length, stated):
    for seed in range(3):
        found = _receivers(
            _bend(radius), length=length, speed=speed, every=every, seconds=1200, stated=stated, seed=seed
        )  # fmt: skip
        later = [one for t, one in found if t > 300 and one is not None]
        assert max(one.breaks for one in later) < arms.BROKEN
        assert all(one.may_be_beside or one.has_arm for one in later)
        assert later[-1].away_m == pytest.approx(length, abs=20.0 + 0.35 * length)


@pytest.mark.parametrize("every", [30, 60])
def test_a_rear_that_leaves_in_a_bend_is_seen_to(every):
    line = _bend(900.0)
    for seed in range(3):
        rng, known, most = random.Random(seed), (), 0
        for t in range(0, 600 + 6 * every, every):
            for device, at_s in (("front", t + 1.0), ("rear", t + 0.3 * every)):
                s = 30.0 * at_s
                # from 600 s on it stays behind
                e, n, _ = line(s if device == "front" else min(s, 18000.0) - 200.0)
                lat, lon = HOME.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
                m = Measurement(T0 + round(at_s * NS), device, "fix", lat, lon, 25.0, 0.0, 25.0)
                if not known:
                    known = (arms.Receiver(device, m.time_ns, lat, lon, 25.0, r_v=arms.UNKNOWN_V),)
                    continue
                known = arms.heard(known, m, 0.0, 0.0)
                one = arms.of(known, "rear")
                if one is not None and 300.0 < at_s < 600.0:
                    assert one.breaks < arms.BROKEN
                most = max(most, one.breaks if one is not None else 0)
        assert most >= arms.BROKEN


def test_what_is_known_well_of_how_far_away_one_is_outweighs_what_is_not():
    one = arms.Receiver(
        "rear", T0, 51.95, 4.05, 25.0, e=0.0, n=-60.0, var=100.0, course=0.0, away_m=60.0, count=20, has_arm=True, settled=True,
        away_var=20.0,
    )  # fmt: skip
    for far_m in (300.0, 350.0, 320.0, 300.0):
        one = arms._asked(one, 0.0, -far_m, 120.0**2, (0.0, 30.0), (0.0, 30.0), 25.0)
    assert one.breaks == 0
    assert 60.0 < one.away_m < 120.0


def _told(one, far_m, course, sigma_m=50.0):
    went = (25.0 * math.sin(course), 25.0 * math.cos(course))
    return arms._asked(one, -far_m * math.sin(course), -far_m * math.cos(course), sigma_m**2 - 25.0, went, went, 25.0)


def test_what_was_steadily_there_and_leaves_alongside_has_no_longer_arm_soon():
    one = arms.Receiver("rear", T0, 51.95, 4.05, 25.0)
    for _ in range(12):
        one = _told(one, 64.0, 0.0)
    assert not one.has_arm  # 64 m and no more may be together
    for far_m in (402.0, 408.0, 350.0):
        one = _told(one, far_m, 0.5)
        assert not one.has_arm
    assert one.breaks > arms.BROKEN
