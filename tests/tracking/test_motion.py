"""The bank of the live fold: the same estimator as NumPy's, to the digits; compiled or not; and what its point is."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from tracking import bank as banks
from tracking import kernel, motion
from tracking.bank import CLASS_WEIGHTS, MODES
from tracking.engine import positive
from tracking.motion import Motion, bank_of, begun, moments, motion_of, stepped

ANY = math.inf


def arrays(bank: motion.Bank) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mu, x, P) of a bank as arrays (M,), (M, 4), (M, 4, 4)."""
    x = np.array([state[:4] for state in bank.x])
    p = np.empty((len(bank.x), 4, 4))
    for i, j, k in zip(*np.triu_indices(4), range(4, 14), strict=True):
        p[:, i, j] = p[:, j, i] = [state[k] for state in bank.x]
    return np.array(bank.mu), x, p


@pytest.mark.parametrize("klass", ["", *CLASS_WEIGHTS])
def test_the_live_bank_is_the_numpy_bank(klass):
    """One estimator: the live fold's and locate's agree to 1e-9, position and velocity updates included."""
    m, rng = Motion(motion_of(klass).modes), random.Random(klass)
    m.awake_from = 0.0
    one = begun(0.0, 0.0, 25.0, 3.0, 30.0, m)
    many = banks.new_bank(np.zeros((1, 2)), np.array([[[25.0, 3.0], [3.0, 30.0]]]), m.modes)
    e = n = 0.0
    for k in range(120):
        dt = rng.choice([1.0, 5.0, 10.0, 60.0, 300.0, 3600.0])
        e, n = e + rng.gauss(0, 10) * math.sqrt(dt), n + rng.gauss(0, 10) * math.sqrt(dt)
        one = stepped(one, dt, m, (e, n, 25.0, 3.0, 30.0), (2.0, -1.0, 0.5, ANY) if k % 3 == 0 else None).bank
        many, _ = banks.updated(banks.ahead(many, np.array([dt]), m.modes), np.array([[e, n]]),
                                np.array([[[25.0, 3.0], [3.0, 30.0]]]))
        if k % 3 == 0:
            many, _ = banks.updated(many, np.array([[2.0, -1.0]]), np.array([0.5]), (1, 3))
        mu, x, p = arrays(one)
        assert mu == pytest.approx(many.mu[0], abs=1e-9)
        scale = np.sqrt(np.einsum("mii->mi", p))
        assert np.abs((x - many.x[0]) / scale).max() < 1e-8
        assert np.abs((p - many.p[0]) / (scale[:, :, None] * scale[:, None, :])).max() < 1e-8


def test_compiled_or_not_it_is_the_same():
    """Where there is no Numba the source runs as it stands."""
    m, rng = motion_of("van"), random.Random(3)
    plain = Motion(m.modes)
    plain.step = kernel.step
    one = other = begun(0.0, 0.0, 25.0, 0.0, 25.0, m)
    for k in range(1, 6):
        z, v = (12.0 * k + rng.gauss(0, 5), rng.gauss(0, 5), 25.0, 1.0, 20.0), (12.0, 0.0, 0.5, 9.0 if k % 2 else 0.0)
        a, b = stepped(one, 1.0, m, z, v), stepped(other, 1.0, plain, z, v)
        assert a.bank.rows == pytest.approx(np.array(b.bank.rows), rel=1e-12, abs=1e-12)
        assert (*a.x, a.nis, a.log, a.nis_v) == pytest.approx((*b.x, b.nis, b.log, b.nis_v), rel=1e-12, abs=1e-12)
        one, other = a.bank, b.bank


def test_what_a_motion_keeps_of_the_last_time_changes_nothing():
    """A bank is gone on by a motion that was asked of other times before to the digits of one that never was."""
    m, bank = Motion(motion_of("van").modes), begun(0.0, 0.0, 25.0, 0.0, 25.0, motion_of("van"))
    for k, dt_s in enumerate((1.0, 1.0, 2.5, 1.0, 300.0, 1.0, 0.04, 300.0), 1):
        z = (12.0 * k, -3.0, 25.0, 0.0, 25.0)
        one = stepped(bank, dt_s, m, z)
        assert one == stepped(bank, dt_s, Motion(m.modes), z)
        bank = one.bank


def test_what_sleeps_changes_little_and_a_surprise_is_seen_by_all():
    """The awake modes give the whole bank's point to a part of its sigma; who suddenly flies is foretold when all are asked."""
    m, wide, rng = motion_of("van"), Motion(motion_of("van").modes), random.Random(5)
    wide.awake_from = 0.0
    some = every = begun(0.0, 0.0, 25.0, 0.0, 25.0, m)
    for k in range(1, 200):
        z = (14.0 * 5 * k + rng.gauss(0, 5), rng.gauss(0, 5), 25.0, 0.0, 25.0)
        a, b = stepped(some, 5.0, m, z), stepped(every, 5.0, wide, z)
        some, every = a.bank, b.bank
        if k > 20:
            assert math.hypot(a.x[0] - b.x[0], a.x[2] - b.x[2]) < 0.65 * math.sqrt(b.x[4])
    assert sum(x is not None for x in some.x) <= 8 < sum(x is not None for x in every.x)
    flown = stepped(some, 60.0, m, (14.0 * 1000 + 9000.0, 4000.0, 25.0, 0.0, 25.0))
    assert flown.nis < 9.0 and flown.bank.mu[-1] + flown.bank.mu[-2] > 0.5


def test_a_velocity_that_contradicts_is_left_out_alone():
    m = motion_of("van")
    bank = begun(0.0, 0.0, 25.0, 0.0, 25.0, m)
    for k in range(1, 50):
        bank = stepped(bank, 5.0, m, (50.0 * k, 0.0, 25.0, 0.0, 25.0), (10.0, 0.0, 0.5, 25.0)).bank
    z = (50.0 * 50, 0.0, 25.0, 0.0, 25.0)
    without, wrong = stepped(bank, 5.0, m, z), stepped(bank, 5.0, m, z, (-300.0, 900.0, 0.5, 25.0))
    assert wrong.nis_v > 25.0 and wrong.bank == without.bank and wrong.x == without.x


def test_what_was_long_parked_may_go_off_at_any_speed_and_what_waits_at_a_light_not():
    def after(wait_s: float) -> float:
        m = motion_of("van")
        bank = begun(0.0, 0.0, 25.0, 0.0, 25.0, m)
        for _ in range(int(wait_s / 30)):
            bank = stepped(bank, 30.0, m, (0.0, 0.0, 25.0, 0.0, 25.0)).bank
        # 9 km in the next five minutes
        return stepped(bank, 300.0, m, (9000.0, 0.0, 25.0, 0.0, 25.0)).log

    assert after(3600.0) > math.log(1e-12)


def test_the_point_of_a_mixture_is_where_something_is():
    """Parked here (60 %) or under way 2 km on (40 %): the mean would lie between, where nothing is."""
    m = motion_of("")
    here = (0.0, 0.0, 0.0, 0.0, 25.0, 0.0, 0.0, 0.0, 1e-4, 0.0, 0.0, 25.0, 0.0, 1e-4)
    states = [here] * len(m.modes)
    states[2] = (2000.0, 10.0, 0.0, 0.0, 900.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 900.0, 0.0, 4.0)
    x = moments(bank_of(tuple(0.6 if i == 0 else 0.4 if i == 2 else 0.0 for i in range(len(states))), tuple(states)), 0.0, m)
    assert abs(x[0]) < 20.0 and x[4] > 0.3 * 2000.0**2 and positive(x)
    assert m.start == pytest.approx([mode.weight / sum(mode.weight for mode in m.modes) for mode in m.modes])
    assert m.modes[2:] == MODES


def test_a_class_never_forbids_a_motion():
    for name, weights in CLASS_WEIGHTS.items():
        assert len(weights) == len(MODES) and min(weights) > 0.0, name
    assert all(mode.weight > 0.0 for mode in MODES) and MODES[-1].leap


def test_chances_are_of_a_chain():
    """Rows of probabilities; going twice is going once for twice as long, as far as times are told apart."""
    m = Motion(MODES)
    for dt in (0.5, 4.0, 64.0, 4096.0):
        table = m.chances(dt)
        assert table.sum(axis=1) == pytest.approx(np.ones(len(MODES)))
        assert m.chances(2 * dt) == pytest.approx(table @ table, abs=1e-9)
    # one table for times that are alike: a hundredth part
    assert m.chances(10.0) is m.chances(10.003) and len(m.asked) < 16


def test_a_bank_in_another_frame_is_the_same_bank():
    m = motion_of("van")
    bank = stepped(begun(30_000.0, -5.0, 25.0, 0.0, 9.0, m), 5.0, m, (30_010.0, 0.0, 25.0, 0.0, 9.0)).bank
    c, s = math.cos(0.1), math.sin(0.1)
    moved = motion.shifted(bank, 30_000.0, 0.0, c, s)
    x, y = moments(bank, 0.0, m), moments(moved, 0.0, m)
    assert y[0] == pytest.approx(c * (x[0] - 30_000.0) + s * x[2], abs=1e-4)
    assert y[4] + y[11] == pytest.approx(x[4] + x[11], rel=1e-6) and moved.mu == bank.mu
