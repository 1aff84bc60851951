"""A rough receiver (a cell, a gateway) beside an exact one says nothing that the exact one does not know better."""

from __future__ import annotations

import math
import random

import pytest

from birddog.units import NS
from tests.tracking.test_deception import HOME, T0, case, fix, noise
from tests.tracking.test_jammed import inside

__all__ = ["case"]


def road(rng: random.Random, seconds: int) -> list[float]:
    """A lorry on a straight road: so far, m, at each second; it stops for one to three minutes now and then."""
    at, speed, goes, left = [0.0], 0.0, False, 60
    for _ in range(seconds):
        left -= 1
        if left <= 0:
            goes = not goes
            left = rng.randrange(120, 400) if goes else rng.randrange(60, 200)
        speed += max(-1.5, min(1.5, (22.0 if goes else 0.0) - speed))
        at.append(at[-1] + speed)
    return at


def both(case, rng, at, *, sigma: float, every: int, rough_every: int = 60):
    """Its exact receiver, and one that states ``sigma``, of which most lasts for ten minutes."""
    said, seconds = case("a", "b"), len(at) - 1
    reports = [(t, "a") for t in range(3, seconds, every)] + [(t, "b") for t in range(20, seconds, rough_every)]
    off = [rng.gauss(0.0, 0.6 * sigma) for _ in range(2)]
    for t, device in sorted(reports):
        if device == "a":
            de, dn = noise(rng, 3.0)
            said.say(t, fix("a", t, at[t] + de, dn, sigma=8.0))
        else:
            keep = math.exp(-rough_every / 600.0)
            off = [keep * x + rng.gauss(0.0, 0.6 * sigma * math.sqrt(1.0 - keep * keep)) for x in off]
            de, dn = noise(rng, 0.2 * sigma)
            said.say(t, fix("b", t, at[t] + off[0] + de, off[1] + dn, sigma=sigma, fix="gateway"))
        yield said, t


@pytest.mark.parametrize("sigma", [300.0, 800.0, 2000.0])
@pytest.mark.parametrize("every", [30, 60])
def test_what_a_rough_receiver_says_lets_no_exact_one_part_from_it(case, every, sigma):
    """Where the lorry sets off, rough fixes renewed the time at which it was seen to stand: the exact one was refused."""
    held, kinds = [], []
    for seed in range(5):
        rng = random.Random(seed)
        at = road(rng, 3600)
        for made, t in both(case, rng, at, sigma=sigma, every=every):
            said = made
            if t > 600:
                held += [inside(row, at[t]) for row in said.fold.believed(T0 + t * NS)]
        kinds += [event.kind for event in said.happened("parted", "contradicted", "jumped", "drift", "two_places")]
    assert kinds == []
    assert sum(held) >= 0.9 * len(held), sum(held) / len(held)


@pytest.mark.parametrize("every", [10, 60])
def test_a_cell_that_is_off_by_what_it_states_is_at_no_other_end_of_a_parked_crate(case, every):
    """Its errors last: as far off at each of its fixes, it was learnt to be 80 m along, and the row stood between the two."""
    for seed in range(3):
        for said, t in both(case, random.Random(seed), [0.0] * 3601, sigma=120.0, every=every):
            if t > 900:
                [row] = said.fold.believed(T0 + t * NS)
                assert math.hypot(*HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)) < 15.0


@pytest.mark.parametrize("every", [10, 30])
def test_an_exact_receiver_that_leaves_a_rough_one_for_good_has_parted(case, every):
    """2 km may be an error of what states 800 m, but not for long."""
    said, rng = case("a", "b"), random.Random(2)
    for t in range(0, 3000, every):
        de, dn = noise(rng, 3.0)
        said.say(t, fix("a", t, 20.0 * max(0, t - 600) + de, dn, sigma=8.0))
        if t % 60 == 0:
            de, dn = noise(rng, 300.0)
            said.say(t, fix("b", t, de, dn, sigma=800.0, fix="gateway"))
    assert said.happened("parted")
