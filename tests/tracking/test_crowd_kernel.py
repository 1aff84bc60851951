"""The sums of a look over all contacts are those of ``tracking.bank``, whoever else is in the batch, compiled or not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from birddog.units import NS
from tracking import bank as banks
from tracking import contacts, crowd_kernel, kernel
from tracking.assign import Spot
from tracking.bank import CONTACT, Bank
from tracking.contact import Contact, Look
from tracking.crowd import UPPER, ahead, empty, moments, placed, updated
from tracking.crowd_kernel import PAIR
from tracking.fitting import framed
from tracking.places import Places, axes, ecef
from tracking.presets import Presets
from tracking.step import placed as placed_of

P = Presets()
COMPILED = crowd_kernel.compiled()
PLAIN = crowd_kernel.Compiled(crowd_kernel.ahead, crowd_kernel.moments, crowd_kernel.updated, crowd_kernel.gated)


def made(count: int, seed: int = 0, far_m: float = 3000.0) -> Bank:
    """Contacts anywhere about their anchors, some motions unlikely, P of any correlation."""
    rng, m = np.random.default_rng(seed), len(CONTACT)
    half = rng.normal(0.0, 1.0, (count, m, 4, 4)) * np.array([20.0, 3.0, 20.0, 3.0])[:, None]
    mu = rng.dirichlet(np.full(m, 0.3), count)
    x = rng.normal(0.0, 1.0, (count, 1, 4)) * np.array([far_m, 15.0, far_m, 15.0]) + rng.normal(0.0, 5.0, (count, m, 4))
    return Bank(mu, x, half @ half.swapaxes(-1, -2) + np.eye(4))


def seen_of(bank: Bank, seed: int = 1) -> np.ndarray:
    """A sighting of each contact."""
    rng, mean = np.random.default_rng(seed), moments(bank)[0]
    seen = np.zeros((len(mean), PAIR))
    seen[:, 2:4] = mean[:, [0, 2]] + rng.normal(0.0, 15.0, (len(mean), 2))
    seen[:, 4:] = 100.0, -30.0, 60.0
    return seen


def same(a: Bank, b: Bank, rtol: float) -> None:
    for one, other, least in zip((a.mu, a.x, a.p), (b.mu, b.x, b.p), (1e-15, 1e-9, 1e-9), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=least if rtol else 0.0)


def contacts_at(lat_deg: np.ndarray, lon_deg: np.ndarray) -> list[Contact]:
    return [Contact(str(i), lat, lon, 0.0, 1, False, 0, 0, 0, lat, lon, 1.0, ("r",))
            for i, (lat, lon) in enumerate(zip(lat_deg.tolist(), lon_deg.tolist(), strict=True))]  # fmt: skip


@pytest.mark.parametrize("dt_s", [0.05, 2.0, 90.0, 86_400.0])
def test_a_prediction_is_that_of_the_bank(dt_s):
    bank = made(50)
    known = banks.propagated(banks.mixed(bank, np.full(1, dt_s), CONTACT), np.full(50, dt_s), CONTACT)
    same(ahead(bank, dt_s), known, 1e-9)
    assert ahead(bank, 0.0) is bank


def test_moments_are_those_of_the_mixture():
    bank = made(50)
    mean, cov = moments(bank)
    d = bank.x - mean[:, None]
    np.testing.assert_allclose(mean, np.einsum("bm,bmd->bd", bank.mu, bank.x), rtol=1e-12)
    known = np.einsum("bm,bmde->bde", bank.mu, bank.p) + np.einsum("bm,bmd,bme->bde", bank.mu, d, d)
    np.testing.assert_allclose(cov, known, rtol=1e-9, atol=1e-9)


def test_an_update_is_that_of_the_bank_and_leaves_everybody_else():
    bank, rows = made(50), np.arange(3, 41, 2)
    seen = seen_of(bank)[rows]
    r = np.array([[100.0, -30.0], [-30.0, 60.0]])
    known, _ = banks.updated(bank.rows(rows), seen[:, 2:4], np.tile(r, (len(rows), 1, 1)))
    before = bank.rows(np.arange(50))
    after = updated(bank, rows, seen)
    same(after.rows(rows), known, 1e-9)
    others = np.setdiff1d(np.arange(50), rows)
    same(after.rows(others), before.rows(others), 0.0)
    same(bank, before, 0.0)


def test_what_is_believed_of_a_contact_does_not_depend_on_who_else_is_there():
    """Rows of some, of one (a restored fold, a row that waits) and of all: the same digits."""
    bank = made(40)
    whole = updated(ahead(bank, 3.7), np.arange(40), seen_of(bank))
    told = np.concatenate(moments(whole)[1])
    for some in ([7], [3, 4, 39], list(range(0, 40, 3))):
        part = updated(ahead(bank.rows(np.array(some)), 3.7), np.arange(len(some)), seen_of(bank)[some])
        same(part, whole.rows(np.array(some)), 0.0)
        assert (np.concatenate(moments(part)[1]) == told.reshape(40, 4, 4)[some].reshape(-1, 4)).all()


def looked(found: crowd_kernel.Compiled, room: int = 4000) -> tuple[int, np.ndarray, np.ndarray]:
    """The pairs of 30 contacts about one place and 60 sightings there."""
    rng, bank = np.random.default_rng(5), made(30, far_m=300.0)
    lat0, lon0 = 50.0 + rng.normal(0.0, 1e-3, 30), 1.0 + rng.normal(0.0, 1e-3, 30)
    mean, _ = moments(bank)
    rows = Places(contacts_at(lat0, lon0), mean)
    lat, lon = 50.0 + rng.normal(0.0, 3e-3, 60), 1.0 + rng.normal(0.0, 4e-3, 60)
    spots, r = ecef(lat, lon), np.tile(np.array([[90.0, 20.0], [20.0, 40.0]]), (60, 1, 1))
    which, numbers = np.empty((room, 2), np.int64), np.empty((room, PAIR))
    n = found.gated(bank.mu, bank.x, bank.p, mean, rows.anchor, rows.axes, rows.xyz, spots, axes(lat, lon), r,
                    np.argsort(spots[:, 2], kind="stable"), 15.0, 13.8, which, numbers)  # fmt: skip
    return n, which[: min(n, room)], numbers[: min(n, room)]


def test_compiled_and_interpreted_are_one():
    bank = made(6)
    args = banks.one_step(2.5, CONTACT)
    for name in ("ahead", "moments", "updated"):
        results = []
        for found in (COMPILED, PLAIN):
            to, mean, cov = made(6), np.zeros((6, 4)), np.zeros((6, 4, 4))
            if name == "ahead":
                found.ahead(bank.mu, bank.x, bank.p, *args, to.mu, to.x, to.p)
            elif name == "moments":
                found.moments(bank.mu, bank.x, bank.p, mean, cov)
            else:
                found.updated(to.mu, to.x, to.p, np.array([1, 4]), seen_of(bank)[:2])
            results.append((to, mean, cov))
        (a, mean_a, cov_a), (b, mean_b, cov_b) = results
        same(a, b, 1e-12)
        np.testing.assert_allclose(mean_a, mean_b, rtol=1e-12)
        np.testing.assert_allclose(cov_a, cov_b, rtol=1e-12)
    (n, which, numbers), (m, other, others) = looked(COMPILED), looked(PLAIN)
    assert n == m > 50 and (which == other).all()
    np.testing.assert_allclose(numbers, others, rtol=1e-9, atol=1e-9)


def test_more_pairs_than_there_is_room_for_are_counted_and_those_there_are_stand():
    n, which, numbers = looked(COMPILED)
    small, first, its = looked(COMPILED, room=10)
    assert small == n and (first == which[:10]).all() and (its == numbers[:10]).all()
    assert which.tolist() == sorted(which.tolist())


def test_a_crowd_at_one_place_in_front_of_a_crowd_of_sightings_has_all_its_pairs():
    """More pairs than the first room is for: the gate is asked again."""
    t, crowd = 1_790_000_000 * NS, empty(1_790_000_000 * NS)
    spots = [Spot(50.0 + 1e-5 * i, 1.0, 900.0, 0.0, 900.0) for i in range(40)]
    look = Look(sensor="r", time_ns=t, spots=spots, pd=0.9, density_per_km2=1e-3)
    crowd, _ = contacts.step(crowd, look, [], P)
    lat, lon = np.array([s.lat_deg for s in spots]), np.full(40, 1.0)
    r = np.tile(np.eye(2) * 900.0, (40, 1, 1))
    pairs, at, numbers = contacts._gated(list(crowd.contacts), crowd.bank, lat, lon, r, 20.0, 13.8)
    assert len(pairs) == len(at) == 1600 and len(numbers) >= 1600
    assert [(p.track, p.spot) for p in pairs] == list(at) and [at[p.track, p.spot] for p in pairs] == list(range(1600))


def test_where_contacts_are_is_where_a_track_with_their_state_is():
    bank, t = made(20, far_m=15_000.0), 5
    mean, cov = moments(bank)
    rng = np.random.default_rng(3)
    mean[0, 0] = 5e6  # foretold to be beyond the horizon of its frame: at the anchor
    lat0, lon0 = rng.uniform(-85.0, 85.0, 20), rng.uniform(-180.0, 180.0, 20)
    cs = contacts_at(lat0, lon0)
    told = placed(cs, mean, cov).tolist()
    assert told[0][:2] == [lat0[0], lon0[0]]
    for c, m, p, (lat, lon, *x) in list(zip(cs, mean, cov, told, strict=True))[1:]:
        core = framed(c, m, p, t)
        known = placed_of(core, core.x)
        assert (lat, lon) == pytest.approx(known[:2], rel=1e-14)
        assert x == pytest.approx(known[2], rel=1e-9, abs=1e-9)
    plain, upper = np.empty((20, 16)), cov[:, UPPER[0], UPPER[1]]
    kernel.place_all(lat0, lon0, np.concatenate((mean, upper), axis=1), plain)
    np.testing.assert_allclose(plain, told, rtol=1e-12, atol=1e-9)
    assert math.isfinite(plain.sum())
