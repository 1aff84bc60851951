"""Drift watch: a step change in how far forecasts miss is told, chance is not, and too few say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tracking.forecast.drift import drift

T0 = 1_790_000_000.0


def misses(seed, n=400, times=1.0, at=0.75):
    rng = np.random.default_rng(seed)
    t = np.sort(T0 + rng.uniform(0, 86_400 * 20, n))
    return t, rng.lognormal(6.0, 1.0, n) * np.where(t >= T0 + at * 86_400 * 20, times, 1.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_step_change_is_told_and_chance_is_not(seed):
    same = drift(*misses(seed))
    assert same is not None and not same.changed and same.late + same.before == 400
    worse, better = drift(*misses(seed, times=2.5)), drift(*misses(seed, times=0.4))
    assert worse.changed and worse.z > 3.0 and 1.5 < worse.times < 4.0
    assert better.changed and better.z < -3.0 and better.times < 0.7


def test_a_change_that_is_sure_and_small_is_none():
    t, miss = misses(1, n=20_000, times=1.1)
    found = drift(t, miss)
    assert abs(found.z) > 3.0 and not found.changed


def test_since_when_may_be_said_and_too_few_say_nothing():
    t, miss = misses(2, times=3.0, at=0.9)
    assert drift(t, miss, T0 + 0.9 * 86_400 * 20).changed
    assert drift(t, miss, t[-10]) is None and drift(t[:30], miss[:30]) is None and drift(t[:0], miss[:0]) is None
    miss[::2] = np.inf  # what came of these is not known
    assert drift(t, miss).late + drift(t, miss).before == 200
    assert not drift(t, np.full(len(t), 25.0)).changed  # all alike: no rank says anything
