"""The figures against cases worked out by hand; the arithmetic stands beside each."""

from __future__ import annotations

import csv
import json
import math
import random
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from birddog.metrics import IdSwitches, gospa, id_switches, inside_95, nees, rmse_m

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "tracking" / "scenarios"


def test_gospa_of_one_pair_is_its_distance():
    g = gospa([(0, 0)], [(3, 4)])
    assert g.value == 5.0  # sqrt(3² + 4²)
    assert (g.missed, g.false, g.pairs) == (0, 0, ((0, 0, 5.0),))


def test_gospa_with_a_missed_truth_and_a_false_track():
    # truths A (0, 0), B (1000, 0); tracks 30 m from A, and one 500 m from everything
    g = gospa([(0, 0), (1000, 0)], [(500, 500), (0, 30)])
    # 30² + 100²/2 for B + 100²/2 for the false one = 900 + 5000 + 5000
    assert g.localisation == 900.0
    assert (g.missed_cost, g.false_cost, g.missed, g.false) == (5000.0, 5000.0, 1, 1)
    assert g.value == pytest.approx(math.sqrt(10_900))
    assert g.pairs == ((0, 1, 30.0),)


def test_gospa_takes_the_best_assignment_not_the_nearest_first():
    # truths at 0 and 40, tracks at 30 and 45: 40-45 and 0-30 give 25 + 900 = 925, crossed 2025 + 100 = 2125
    # truths at 0 and 10, tracks at 9 and 60: nearest first 10-9 and 0-60 give 1 + 3600, the other way 81 + 2500 = 2581
    assert gospa([(0, 0), (40, 0)], [(30, 0), (45, 0)]).localisation == 925.0
    g = gospa([(0, 0), (10, 0)], [(9, 0), (60, 0)])
    assert g.localisation == 2581.0
    assert g.value == pytest.approx(math.sqrt(2581))


def test_gospa_at_the_cutoff_is_no_pair():
    # d = 100 = c: not < c, so one missed and one false: 5000 + 5000 = 100²
    g = gospa([(0, 0)], [(100, 0)])
    assert (g.value, g.missed, g.false, g.pairs) == (100.0, 1, 1, ())
    assert gospa([(0, 0)], [(99.999, 0)]).missed == 0


def test_gospa_of_nothing():
    assert gospa([], []).value == 0.0
    assert gospa([], [(1, 1), (2, 2)]).value == pytest.approx(100.0)  # sqrt(2 × 5000)
    assert gospa([(1, 1)], []).value == pytest.approx(math.sqrt(5000))
    assert gospa([(1, 1)], []).missed == 1


def test_gospa_with_another_c_and_p():
    # c = 10, p = 1: |3| + 10/2 = 8
    assert gospa([(0, 0), (500, 0)], [(3, 0)], c_m=10.0, p=1.0).value == pytest.approx(8.0)


@pytest.mark.parametrize("bad", [[(math.nan, 0.0)], [(math.inf, 0.0)], [(1.0, 2.0, 3.0)]])
def test_gospa_refuses_what_is_no_position(bad):
    with pytest.raises(ValueError, match="position"):
        gospa(bad, [(0, 0)])
    with pytest.raises(ValueError, match="wants c"):
        gospa([], [], c_m=0.0)


def test_gospa_is_the_least_over_all_assignments():
    rng = random.Random(5)
    for _ in range(40):
        t = [(rng.uniform(0, 200), rng.uniform(0, 200)) for _ in range(rng.randint(1, 4))]
        f = [(rng.uniform(0, 200), rng.uniform(0, 200)) for _ in range(rng.randint(1, 4))]
        short, long = sorted((t, f), key=len)
        # alpha = 2 in its first form: pair everything with the distance cut at c, c²/2 for each that is left over
        best = min(sum(min(math.dist(a, long[j]), 100.0) ** 2 for a, j in zip(short, order, strict=False))
                   for order in permutations(range(len(long)), len(short)))
        assert gospa(t, f).value == pytest.approx(math.sqrt(best + 5000.0 * (len(long) - len(short))))


def test_switch_is_counted_when_the_near_track_changes():
    a = {"A": (0.0, 0.0)}
    steps = [(a, {"1": (5.0, 0.0)}), (a, {"2": (5.0, 0.0)}), (a, {"2": (5.0, 0.0)})]
    assert id_switches(steps) == 1


def test_a_truth_keeps_its_track_while_it_is_near_even_if_another_is_nearer():
    a = {"A": (0.0, 0.0)}
    steps = [(a, {"1": (5.0, 0.0)}), (a, {"1": (50.0, 0.0), "2": (1.0, 0.0)})]
    assert id_switches(steps) == 0
    # at 60 m the old one is not near any more: 60 < 60 is false
    assert id_switches([steps[0], (a, {"1": (60.0, 0.0), "2": (1.0, 0.0)})]) == 1


def test_a_gap_does_not_forget_the_last_track():
    a = {"A": (0.0, 0.0)}
    assert id_switches([(a, {"1": (0.0, 0.0)}), (a, {}), ({}, {"1": (0.0, 0.0)}), (a, {"1": (0.0, 0.0)})]) == 0
    assert id_switches([(a, {"1": (0.0, 0.0)}), (a, {}), (a, {"2": (0.0, 0.0)})]) == 1


def test_two_truths_that_swap_tracks_are_two_switches():
    t = {"A": (0.0, 0.0), "B": (500.0, 0.0)}
    counter = IdSwitches()
    assert counter.step(t, {"1": (0.0, 0.0), "2": (500.0, 0.0)}) == 0
    assert counter.step(t, {"2": (0.0, 0.0), "1": (500.0, 0.0)}) == 2
    assert counter.count == 2


def test_a_first_track_is_no_switch():
    assert id_switches([({"A": (0.0, 0.0)}, {}), ({"A": (0.0, 0.0)}, {"9": (1.0, 1.0)})]) == 0


def test_nees_by_hand():
    # P = diag(4, 9), e = (2, 3): 4/4 + 9/9 = 2
    # P = [[2, 1], [1, 2]], P⁻¹ = [[2, -1], [-1, 2]]/3, e = (1, 0): 2/3; e = (1, 1): (2 - 1 - 1 + 2)/3 = 2/3
    found = nees([(2, 3), (1, 0), (1, 1)], [[[4, 0], [0, 9]], [[2, 1], [1, 2]], [[2, 1], [1, 2]]])
    assert found == pytest.approx([2.0, 2.0 / 3.0, 2.0 / 3.0])


def test_nees_of_a_singular_covariance():
    flat = [[4.0, 0.0], [0.0, 0.0]]  # certain in north
    assert nees([(2.0, 0.0)], [flat])[0] == 1.0  # 2²/4, no error in north
    assert math.isinf(nees([(2.0, 0.1)], [flat])[0])
    assert nees([(0.0, 0.0)], [np.zeros((2, 2))])[0] == 0.0
    assert math.isinf(nees([(1.0, 0.0)], [np.zeros((2, 2))])[0])
    slanted = [[1.0, 1.0], [1.0, 1.0]]  # range: the diagonal, variance 2 along it; e = (1, 1): (√2)²/2 = 1
    assert nees([(1.0, 1.0)], [slanted])[0] == pytest.approx(1.0)
    assert math.isinf(nees([(1.0, -1.0)], [slanted])[0])


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ([[-1.0, 0.0], [0.0, 1.0]], "negative"),
        ([[1.0, 0.5], [0.0, 1.0]], "symmetric"),
        ([[math.nan, 0.0], [0.0, 1.0]], "finite"),
    ],
)
def test_nees_refuses_what_is_no_covariance(p, said):
    with pytest.raises(ValueError, match=said):
        nees([(1.0, 1.0)], [p])
    with pytest.raises(ValueError, match="1 errors and 2"):
        nees([(1.0, 1.0)], [np.eye(2), np.eye(2)])


def test_inside_95():
    # unit P: the ellipse is a disc of radius sqrt(5.991) = 2.4477
    p = [np.eye(2)] * 4
    assert inside_95([(2.44, 0.0), (0.0, 2.45), (0.0, 0.0), (5.0, 5.0)], p) == 0.5
    assert inside_95([], []) is None
    rng = np.random.default_rng(3)
    p = np.array([[25.0, 12.0], [12.0, 16.0]])
    error = rng.multivariate_normal((0.0, 0.0), p, size=20_000)
    # 0.95 ± 4 sqrt(0.95 × 0.05 / 20000) = ± 0.0062
    assert inside_95(error, [p] * len(error)) == pytest.approx(0.95, abs=0.0062)
    assert nees(error, [p] * len(error)).mean() == pytest.approx(2.0, abs=4 * 2 / math.sqrt(20_000))


def test_rmse():
    assert rmse_m([3.0, 4.0]) == pytest.approx(math.sqrt(12.5))  # (9 + 16) / 2
    assert rmse_m([]) is None


@pytest.mark.shared
@pytest.mark.parametrize("name", ["s01_crossing", "s09_mixed"])
def test_gospa_equals_the_definition_on_real_scenarios(name):
    """The truth against itself moved by 3 m east and 4 m north, one object left out: every figure is known."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    every = json.loads((SHARED / name / "scenario.json").read_text())["score_every_s"]
    at: dict[float, dict[str, tuple[float, float]]] = {}
    with (SHARED / name / "truth.csv").open() as file:
        for r in csv.DictReader(file):
            t = float(r["t"])
            if t > 0 and t % every == 0:
                at.setdefault(t, {})[r["truth_id"]] = (float(r["e_m"]), float(r["n_m"]))
    for truth in at.values():
        left_out = sorted(truth)[0]
        found = {k: (e + 3, n + 4) for k, (e, n) in truth.items() if k != left_out}
        g = gospa(list(truth.values()), list(found.values()))
        # at most 25 m² a pair and 5000 for the one that is missed; the optimum may be lower, never higher
        assert g.value**2 <= 25.0 * len(found) + 5000.0 + 1e-6
        assert g.missed >= 1 and g.false == g.missed - 1
