"""The scalar engine against filterpy, against its own algebra, and over a million random steps' worth of abuse."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking import engine, engine_filterpy

UPPER = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


def matrices(x: engine.State) -> tuple[np.ndarray, np.ndarray]:
    p = np.zeros((4, 4))
    for value, (i, j) in zip(x[4:], UPPER, strict=True):
        p[i, j] = p[j, i] = value
    return np.array(x[:4]), p


def close(a: engine.State, b: engine.State, tolerance: float = 1e-9) -> float:
    """Largest difference, relative where numbers are large."""
    worst = max(abs(p - q) / max(1.0, abs(p)) for p, q in zip(a, b, strict=True))
    assert worst < tolerance
    return worst


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_filterpy_over_long_random_sequences(seed):
    rng = random.Random(seed)
    x = y = engine.start(10.0, -5.0, 100.0, 20.0, 50.0, 10.0)
    for k in range(1500):
        dt, q, tau = rng.choice((0.0, rng.uniform(0.01, 90.0))), rng.choice((0.01, 0.3, 4.0)), rng.choice((0.0, 60.0, 1800.0))
        x, y = engine.predict(x, dt, q, tau), engine_filterpy.predict(y, dt, q, tau)
        see, snn, rho = rng.uniform(0.5, 60), rng.uniform(0.5, 60), rng.uniform(-0.95, 0.95)
        z = (x[0] + rng.gauss(0, 30), x[2] + rng.gauss(0, 30), see**2, rho * see * snn, snn**2)
        x, y = engine.update_position(x, *z), engine_filterpy.update_position(y, *z)
        if k % 3 == 0:
            v = (x[1] + rng.gauss(0, 1), x[3] + rng.gauss(0, 1), rng.uniform(0.01, 4))
            x, y = engine.update_velocity(x, *v), engine_filterpy.update_velocity(y, *v)
        close(x, y)


def test_p_stays_positive_definite_over_a_hundred_thousand_hard_steps():
    rng = random.Random(7)
    x = engine.start(0.0, 0.0, 1e8, 0.0, 1e8, 300.0)
    for _ in range(100_000):
        x = engine.predict(x, 10 ** rng.uniform(-4, 5), 10 ** rng.uniform(-3, 1), rng.choice((0.0, 60.0)))
        r = engine.floored(10 ** rng.uniform(-2, 7), 0.0, 10 ** rng.uniform(-2, 7))
        assert r is not None
        x = engine.update_position(x, x[0] + rng.gauss(0, 10), x[2] + rng.gauss(0, 10), *r)
        if rng.random() < 0.3:
            x = engine.update_velocity(x, x[1], x[3], 10 ** rng.uniform(-2, 2))
        assert engine.positive(x)
    assert np.linalg.eigvalsh(matrices(x)[1]).min() > 0


measurement = st.tuples(
    st.floats(-500, 500), st.floats(-500, 500), st.floats(0.5, 100), st.floats(0.5, 100), st.floats(-0.9, 0.9)
).map(lambda m: (m[0], m[1], m[2] ** 2, m[4] * m[2] * m[3], m[3] ** 2))


@settings(max_examples=80, deadline=None)
@given(st.lists(measurement, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_measurements_at_one_time_is_immaterial(measurements, rng):
    before = engine.predict(engine.start(0.0, 0.0, 400.0, 0.0, 400.0, 10.0), 7.0, 1.0, 60.0)
    x = y = before
    for m in measurements:
        x = engine.update_position(x, *m)
    rng.shuffle(measurements)
    for m in measurements:
        y = engine.update_position(y, *m)
    close(x, y)


@given(st.floats(0.001, 5000), st.floats(0.001, 5000), st.sampled_from((0.0, 30.0, 60.0, 1800.0)))
def test_two_predictions_are_one(t1, t2, tau):
    x = engine.start(5.0, 6.0, 100.0, 30.0, 200.0, 10.0)
    one = engine.predict(x, t1 + t2, 0.5, tau)
    two = engine.predict(engine.predict(x, t1, 0.5, tau), t2, 0.5, tau)
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-6, abs=1e-9)


def test_process_noise_against_numerical_integration():
    for dt, tau in ((0.5, 60.0), (1.19, 60.0), (1.21, 60.0), (40.0, 60.0), (600.0, 60.0)):
        a, b, q11, q12, q22 = engine.coefficients(dt, 2.0, tau)
        s = (np.arange(200_000) + 0.5) / 200_000 * dt
        fv, fp = np.exp(-s / tau), tau * (1 - np.exp(-s / tau))
        assert (a, b) == pytest.approx((math.exp(-dt / tau), tau * (1 - math.exp(-dt / tau))), rel=1e-9)
        want = [2.0 * np.mean(v) * dt for v in (fp * fp, fp * fv, fv * fv)]
        assert (q11, q12, q22) == pytest.approx(want, rel=1e-6)


@given(st.floats(-math.pi, math.pi))
def test_rotation_is_that_of_matrices(angle):
    rng = random.Random(3)
    x = engine.start(100.0, -50.0, 90.0, 20.0, 40.0, 3.0)
    for _ in range(5):
        x = engine.update_position(engine.predict(x, 3.0, 1.0, 0.0), rng.gauss(100, 5), rng.gauss(-50, 5), 9.0, 4.0, 25.0)
    c, s = math.cos(angle), math.sin(angle)
    t = np.kron(np.array([[c, s], [-s, c]]), np.eye(2))
    mean, p = matrices(x)
    mean2, p2 = matrices(engine.rotated(x, c, s))
    assert np.allclose(t @ mean, mean2, atol=1e-9) and np.allclose(t @ p @ t.T, p2, atol=1e-9)


@pytest.mark.parametrize(
    "r", [(0, 0, 1), (1, 0, -1), (1, 2, 1), (math.nan, 0, 1), (math.inf, 0, 1), (1, math.nan, 1), (1e300, 0, 1e300)]
)
def test_a_covariance_that_is_none_is_refused(r):
    assert engine.floored(*map(float, r)) is None


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(-0.99, 0.99))
def test_the_floor_keeps_r_positive_definite(a, b, rho):
    r = engine.floored(a, rho * math.sqrt(a * b), b)
    assert r is not None
    assert np.linalg.eigvalsh([[r[0], r[1]], [r[1], r[2]]]).min() >= 0.25 - 1e-9
