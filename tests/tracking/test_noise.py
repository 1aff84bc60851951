"""How good fixes are: the steps of rounded coordinates, stated sigmas that are wrong, time stamps that are late."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import bank as banks
from tracking.bank import MODES
from tracking.locate import PastFix, Question, locate
from tracking.noise import covariance, resolution, shares

ORIGIN = LocalFrame(lat_deg=50.7, lon_deg=-1.2)


def ship(seed: int, speed_mps: float, sigma_m: float, clock_s: float, stated_m: float, n: int = 120, dt_s: float = 6.0):
    """(fixes, truth at t): a ship on a slow bend whose time stamps are off by ``clock_s``."""
    rng = random.Random(seed)

    def truth(t: float) -> tuple[float, float]:
        w = 0.0015
        return speed_mps / w * math.sin(w * t), speed_mps / w * (1.0 - math.cos(w * t))

    fixes = []
    for k in range(n):
        e, north = truth(k * dt_s + rng.gauss(0.0, clock_s))
        lat, lon = ORIGIN.geodetic(e + rng.gauss(0.0, sigma_m), north + rng.gauss(0.0, sigma_m))
        fixes.append(PastFix(track_id="s", time_ns=round(k * dt_s * NS), x=lon, y=lat, sigma_m=stated_m))
    return fixes, truth


def errors(fixes, truth, mode: str, asked) -> tuple[np.ndarray, np.ndarray]:
    """(errors (N, 2), P (N, 2, 2)) at the asked times."""
    answers = locate(fixes, [Question("s", round(t * NS)) for t in asked], mode=mode, geodetic=True)
    y = [np.subtract(ORIGIN.en(lat_deg=a.y, lon_deg=a.x), truth(t)) for a, t in zip(answers, asked, strict=True)]
    return np.array(y), np.array([[[a.p_ee, a.p_en], [a.p_en, a.p_nn]] for a in answers])


def test_a_stated_sigma_that_is_too_large_is_found_out():
    """Stated 10 m, right to 2 m: the answer must lean on the fixes more, and its ellipse must say so."""
    found, sizes = [], []
    for seed in range(8):
        fixes, truth = ship(seed, 3.0, 2.0, 0.0, 10.0)
        y, p = errors(fixes, truth, "smoothed", [300.0 + 17.0 * k for k in range(20)])
        found += list(np.hypot(*y.T))
        sizes += [math.sqrt((q[0, 0] + q[1, 1]) / 2.0) for q in p]
    assert np.median(found) < 2.0
    assert np.median(sizes) < 2.5


def test_late_time_stamps_blur_along_the_way_only():
    """Half a second at 15 m/s is 7 m along the course: the ellipse lies along it and still holds the truth."""
    inside, along, across = [], [], []
    for seed in range(10):
        fixes, truth = ship(seed, 15.0, 0.5, 0.5, 4.0)
        asked = [250.0 + 13.0 * k for k in range(25)]
        y, p = errors(fixes, truth, "smoothed", asked)
        for d, q, t in zip(y, p, asked, strict=True):
            u = np.subtract(truth(t + 0.5), truth(t - 0.5))
            u /= np.hypot(*u)
            c = np.array([-u[1], u[0]])
            along.append(u @ q @ u)
            across.append(c @ q @ c)
            inside.append(d @ np.linalg.solve(q, d) <= 5.991)
    assert np.median(np.sqrt(along)) > 1.5 * np.median(np.sqrt(across))
    assert 0.85 <= np.mean(inside) <= 1.0


@pytest.mark.parametrize("mode", ["live", "smoothed"])
def test_a_device_that_rounds_to_a_hundredth_of_a_minute(mode):
    """18 m by 12 m steps, stated sigma 1 m: believed, the velocity would be a staircase's."""
    inside = []
    for seed in range(8):
        fixes, truth = ship(seed, 2.0, 0.3, 0.0, 1.0, dt_s=3.0, n=200)
        step = 0.01 / 60.0
        fixes = [
            PastFix(track_id="s", time_ns=f.time_ns, x=round(round(f.x / step) * step, 7), y=round(round(f.y / step) * step, 7),
                    sigma_m=1.0)
            for f in fixes
        ]  # fmt: skip
        y, p = errors(fixes, truth, mode, [200.0 + 19.0 * k for k in range(20)])
        inside += [d @ np.linalg.solve(q, d) <= 5.991 for d, q in zip(y, p, strict=True)]
    assert np.mean(inside) >= 0.85


def test_resolution_is_read_off_the_numbers_and_only_from_those_before():
    rng = np.random.default_rng(3)
    free = rng.uniform(50.0, 51.0, 300)
    assert not resolution(np.round(free, 7), geodetic=True).any()
    for step in (0.001, 0.01 / 60.0, 0.001 / 60.0):
        rounded = np.round(np.round(free / step) * step, 7)
        found = resolution(rounded, geodetic=True)
        assert not found[:7].any() and (found[20:] == step).all()
        cut = resolution(rounded[:50], geodetic=True)
        assert (cut == found[:50]).all()
        rounded[150] = 50.123456
        broken = resolution(rounded, geodetic=True)
        assert (broken[:150] == found[:150]).all() and not broken[150:].any()
    assert not resolution(np.full(50, 50.75), geodetic=True).any(), "one value says nothing of its steps"
    assert (resolution(np.round(rng.uniform(0, 1e4, 50), -1), geodetic=False)[10:] == 10.0).all()


@pytest.mark.parametrize("about", [0.0, -1.0, 51.5, 20.01])
def test_what_stands_by_a_round_figure_is_not_taken_for_a_coarse_device(about):
    """By the meridian of a whole hundredth its ellipse grew to 60 m one way, of fixes that are good to 3 m."""
    rng = np.random.default_rng(4)
    assert not resolution(np.round(about + rng.normal(0, 2.5e-5, 60), 7), geodetic=True).any()
    assert not resolution(rng.normal(0, 0.2, 60), geodetic=False).any()


@given(
    st.lists(st.floats(-60.0, 60.0), min_size=4, max_size=4), st.floats(0.04, 1e6), st.floats(0.04, 1e6), st.floats(0.0, 5.0)
)
def test_the_noise_is_positive_definite_whatever_the_velocity(x, r_e, r_n, clock_s):
    bank = banks.new_bank(np.zeros((1, 2)), np.array([25.0]))
    bank.x[:] = np.array(x)
    r = covariance(bank, np.array([[r_e, r_n]]), np.array([clock_s]))
    assert r.shape == (1, len(MODES), 2, 2)
    assert np.linalg.eigvalsh(r).min() >= 0.03 and np.allclose(r, r.swapaxes(-1, -2))
    v2 = x[1] ** 2 + x[3] ** 2
    assert np.allclose(np.trace(r, axis1=2, axis2=3), r_e + r_n + clock_s**2 * v2)


@given(st.lists(st.lists(st.floats(-1e6, 1e3), min_size=4, max_size=4), min_size=1, max_size=6))
def test_shares_are_probabilities(evidence):
    w = shares(np.array(evidence))
    assert np.allclose(w.sum(axis=1), 1.0) and (w >= 0.0).all()
    best = np.array(evidence).argmax(axis=1)
    assert (w[np.arange(len(w)), best] == w.max(axis=1)).all()
