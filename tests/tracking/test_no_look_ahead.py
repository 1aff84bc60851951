"""No answer depends on what an archive holds of after the question: cut off there, or gone elsewhere, it says the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from birddog.geo import Plane
from tracking.forecast import past as arch
from tracking.forecast.futures import LastSeen, Visible, of_mover, passes
from tracking.forecast.where import Forecaster, Track

PLANE = Plane(lat_deg=30.0, lon_deg=32.5)
LEG_M = 20_000.0


def trip(begin_s: float, rng: np.random.Generator, every_s: float, regular: bool) -> np.ndarray:
    """East, then north or not, and a berth for hours, where it swings and drifts a little: its middle is not its beginning."""
    speed = rng.uniform(5.0, 8.0)
    t = np.arange(0.0, 2 * LEG_M / speed + 3 * 3600.0, every_s)
    if not regular:
        t = np.sort(np.round(t + rng.uniform(-0.4, 0.4, len(t)) * every_s))
    s = np.clip(t, 0.0, 2 * LEG_M / speed) * speed
    lies_s = np.maximum(t - 2 * LEG_M / speed, 0.0)
    north = np.clip(s - LEG_M, 0.0, LEG_M) * (1.0 if rng.random() < 0.6 else -1.0)
    e, n = np.minimum(s, LEG_M) + 0.1 * lies_s + rng.normal(0.0, 20.0, len(t)), north + rng.normal(0.0, 20.0, len(t))
    return np.c_[begin_s + t, [PLANE.geodetic(x, y) for x, y in zip(e, n, strict=True)]]


def fleet(seed: int, regular: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"v{k:03d}": trip(3600.0 * k, rng, 300.0, regular) for k in range(24)}


def built(tracks: dict[str, np.ndarray]) -> arch.Past:
    names = sorted(tracks)
    rows = np.concatenate([tracks[n] for n in names])
    number = np.concatenate([np.full(len(tracks[n]), k) for k, n in enumerate(names)])
    return arch.build(names, number, rows[:, 0], rows[:, 1], rows[:, 2])


def changed(tracks: dict[str, np.ndarray], t0_s: float) -> list[dict[str, np.ndarray]]:
    """The archive as it is; cut off at t0; with all that comes after it elsewhere."""
    cut, shifted = {}, {}
    for name, rows in tracks.items():
        later = rows[:, 0] > t0_s
        shifted[name] = rows.copy()
        shifted[name][later, 1:] += (0.2, -0.3)
        if not later.all():
            cut[name] = rows[~later]
    return [tracks, cut, shifted]


@pytest.mark.parametrize("regular", (True, False))
def test_what_comes_after_the_question_changes_no_byte_of_an_answer(regular):
    tracks = fleet(3, regular)
    for name, k, minutes in (("v018", 8, 20.0), ("v016", 40, 60.0)):  # one moves, one lies at its berth
        rows = tracks.pop(name)
        t0_s = float(rows[k, 0]) + 7.0 * (not regular)
        asked = Track(name, rows[: k + 1, 0], rows[: k + 1, 1], rows[: k + 1, 2])
        answers = []
        for archive in changed(tracks, t0_s):
            past = built(archive)
            assert past.scale == built(tracks).scale  # its lengths, in round figures, are all that comes from the whole of it
            forecaster = Forecaster(past)
            f = forecaster.forecast(asked, t0_s, minutes * 60.0)
            assert f is not None and f.moving == (k == 8) and f.windows >= 20
            answers.append((f.lat_deg, f.lon_deg, f.radius_m, f.area_m2, f.windows, f.rings(0.9)))
        for other in answers[1:]:
            assert other == answers[0]
        tracks[name] = rows


def test_how_a_pass_goes_on_after_the_question_is_not_the_way_it_has_there():
    """A pass has a fix at the very end of the horizon and of what is known: the next one, after the question, says nothing."""
    t = np.arange(0.0, 7200.0, 300.0)
    way = np.c_[t, np.full(len(t), 30.0), 32.0 + 0.02 * t / 300.0]
    turned = way.copy()
    turned[t > 3600.0, 1] += 0.3
    asked = LastSeen(t_s=3600.0, lat_deg=30.0, lon_deg=32.0 + 0.02, ve_mps=6.4, vn_mps=0.0, stood_s=0.0)
    told = []
    for rows in (way, turned):
        past = built({"a": rows})
        seen = Visible(until_s=3600.0)
        f = of_mover(past, replace(asked, ve_mps=past.velocity(8)[0]), 3300.0, seen, passes(past, asked, seen))
        told.append((f.e_m.tolist(), f.ve_mps.tolist(), f.vn_mps.tolist()))
    assert len(told[0][0]) > 1 and told[0] == told[1]


def test_a_stop_lasts_no_longer_than_was_known():
    t = np.arange(0.0, 7200.0, 300.0)
    past = built({"a": np.c_[t, np.full(len(t), 30.0), np.full(len(t), 32.0)]})
    assert past.stood_until(np.array([0]), 1000.0).tolist() == [900.0]
    assert past.stood_until(np.array([0]), 1e6).tolist() == [6900.0]
