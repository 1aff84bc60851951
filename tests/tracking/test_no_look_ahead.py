"""No answer depends on what an archive holds of after the question: cut off there, or gone elsewhere, it says the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from birddog.geo import Plane
from tracking.forecast import calibration as cal
from tracking.forecast import past as arch
from tracking.forecast.arrival import Arrivals, Place
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
    rows = np.concatenate([np.asarray(tracks[n]) for n in names])
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
            forecaster = Forecaster(past)
            f = forecaster.forecast(asked, t0_s, minutes * 60.0)
            assert f is not None and f.moving == (k == 8) and f.windows >= 20
            answers.append((f.lat_deg, f.lon_deg, f.radius_m, f.area_m2, f.windows, f.rings(0.9)))
        for other in answers[1:]:
            assert other == answers[0]
        tracks[name] = rows


def told(tracks: dict[str, np.ndarray], asked: Track, t0_s: float) -> tuple:
    past = built(tracks)
    f = Forecaster(past).forecast(asked, t0_s, 1200.0)
    place = Place(float(asked.lat_deg[-1]), float(asked.lon_deg[-1]) + 0.05, 1000.0)
    assert f is not None
    arrival = Arrivals(past).arrival(asked, t0_s, place)
    return past.as_of(t0_s).scale, f.lat_deg, f.lon_deg, f.radius_m, f.area_m2, f.windows, arrival


def test_an_archives_lengths_are_those_of_what_was_known():
    """Later tracks report ten times as often and are quicker: other lengths, which are none of an earlier question's."""
    tracks = fleet(5, regular=True)
    rows = tracks.pop("v018")
    t0_s, asked = float(rows[8, 0]), Track("v018", rows[:9, 0], rows[:9, 1], rows[:9, 2])
    rng = np.random.default_rng(8)
    later = {f"w{k:03d}": trip(t0_s + 600.0 * k, rng, 20.0, True) for k in range(1, 40)}
    both = tracks | later
    past = built(both)
    assert past.scale.interval_s < 100.0 < past.as_of(t0_s).scale.interval_s and len(past.as_of(t0_s)) < len(past)
    answers = [told(archive, asked, t0_s) for archive in changed(both, t0_s)]
    assert answers[0] == answers[1] == answers[2] and answers[0][5] >= 20


def test_an_archive_that_goes_on_after_the_question_had_ended_before_it():
    """Its last fix is two days before the question, the next one two days after: it is asked as one that had ended."""
    tracks, rows = fleet(4, regular=True), fleet(7, regular=True)["v018"]
    t0_s = 3600.0 * 30 + 2 * 86_400.0
    rows[:, 0] += t0_s - rows[8, 0]
    asked = Track("asked", rows[:9, 0], rows[:9, 1], rows[:9, 2])
    answers = [told(archive, asked, t0_s) for archive in
               (tracks, tracks | {f"w{k}": rows + (t0_s + 3600.0 * k, 0.0, 0.0) for k in range(5)})]  # fmt: skip
    assert answers[0] == answers[1] and answers[0][5] >= 20
    past = built(tracks)
    assert past.ended(t0_s) == past.last_s and past.ended(past.last_s + 80_000.0) is None and past.ended(-1.0) is None


def test_a_track_counts_from_its_third_fix_on():
    t = np.arange(0.0, 7200.0, 300.0)
    way = np.c_[t, np.full(len(t), 30.0), 32.0 + 0.02 * t / 300.0]
    past = built({"a": way, "b": way[:2]})
    assert sorted(past.p_row.tolist()) == list(range(len(t))) and len(past) == len(t) + 2
    assert [past.p_t_s[past.p_row == k].tolist() for k in range(4)] == [[600.0], [600.0], [600.0], [900.0]]
    assert not len(past.slices(30.0, 32.0, tuple(range(9)), 599.0))
    assert past.p_row[past.slices(30.0, 32.0, tuple(range(9)), 600.0)].tolist() == [0, 1]  # the third is two cells away
    assert past.counted(np.array([0, 1]), 599.0).tolist() == [False, False]
    assert past.counted(np.array([0, 1]), 600.0).tolist() == [True, False]


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


def test_windows_of_an_earlier_age_are_found_once(monkeypatch):
    """They were found anew for each question (1.8 times the time of an archive that goes on)."""
    tracks, found = fleet(5, regular=True), []
    rows = tracks.pop("v018")
    tracks |= {f"w{k:03d}": trip(float(rows[8, 0]) + 600.0 * k, np.random.default_rng(k), 20.0, True) for k in range(1, 40)}
    forecaster, windows_of = Forecaster(built(tracks)), cal.windows_of
    monkeypatch.setattr(cal, "windows_of", lambda past: found.append(past) or windows_of(past))
    first = forecaster.as_of(float(rows[8, 0]))
    assert first is not forecaster and all(forecaster.as_of(float(rows[8, 0])) is first for _ in range(3)) and len(found) == 1


def dense(begin_s: float, many: int = 20_000) -> np.ndarray:
    """A vessel that reports each second, slowly up and down the way of the others."""
    t = np.arange(float(many))
    e = LEG_M * np.abs((2.0 * t / many) % 2.0 - 1.0)
    return np.c_[begin_s + t, 30.0 + 0.0 * e, 32.5 + e / 96_300.0]


@pytest.mark.parametrize("begin_s", (-86_400.0, 0.0, 40_000.0))
def test_one_vessel_of_many_fixes_spoils_no_archive(begin_s):
    """A median over fixes took its second for the interval of all (Suez: a mean error of 4.08 km for 2.31)."""
    tracks = fleet(5, regular=True)
    alone, beside = built(tracks), built(tracks | {"x": dense(begin_s)})
    for name in ("interval_s", "window_s", "hole_s", "reach_m"):
        assert getattr(beside.scale, name) == pytest.approx(getattr(alone.scale, name), rel=0.3)
    # what is looked at about a place is not all of it
    rows = beside.slices(30.0, 32.6, tuple(range(9)), np.inf)
    own = beside.track_of(beside.p_row[rows]) == beside.number_of("x")
    assert 0 < np.count_nonzero(own) < 400
    asked = trip(30 * 86_400.0, np.random.default_rng(1), 300.0, True)[:9]
    told = [Forecaster(past).forecast(Track("a", *asked.T), float(asked[-1, 0]), 1800.0) for past in (alone, beside)]
    assert told[0] is not None and told[1] is not None
    assert np.hypot(told[0].lat_deg - told[1].lat_deg, told[0].lon_deg - told[1].lon_deg) < 0.01
    assert told[1].radius_m[0.9] == pytest.approx(told[0].radius_m[0.9], rel=0.3)


def test_a_dense_vessel_changes_nothing_of_what_was_known_before_it():
    tracks = fleet(5, regular=True)
    rows = tracks.pop("v018")
    t0_s, asked = float(rows[8, 0]), Track("v018", rows[:9, 0], rows[:9, 1], rows[:9, 2])
    both = tracks | {"x": dense(t0_s - 2000.0, 6000)}
    answers = [told(archive, asked, t0_s) for archive in changed(both, t0_s)]
    assert answers[0] == answers[1] == answers[2]
    mixed = {name: np.asarray(both[name])[::-1] for name in reversed(both)}
    assert told(mixed, asked, t0_s) == answers[0]
