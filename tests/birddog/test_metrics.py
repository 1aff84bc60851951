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

from birddog.metrics import IdSwitches, coverage, gospa, id_switches, inside_95, mean_bounds, nees, nis, ospa, rmse_m

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


#: Stone Soup 1.9.1, OSPAMetric and GOSPAMetric with Euclidean(): truths, tracks, and by (c m, p) the (OSPA, GOSPA) of both.
STONE_SOUP = [
    ([(186.9, 222.5), (238.6, 282.7), (222.0, 276.7)],
     [(8.7, 139.7), (283.0, 194.7), (270.3, 34.0)],
     {(100.0, 2.0): (99.524469, 172.381438), (100.0, 1.0): (99.522175, 298.566526), (50.0, 2.0): (50.0, 86.60254)}),
    ([(140.7, 74.0), (163.1, 172.2), (3.9, 65.0)],
     [(83.8, 274.9), (229.7, 47.9), (239.1, 41.6), (185.2, 38.0), (0.5, 261.4)],
     {(100.0, 2.0): (93.033596, 182.41779), (100.0, 1.0): (91.447707, 357.238536), (50.0, 2.0): (50.0, 100.0)}),
    ([(62.8, 64.6), (294.7, 261.7), (86.8, 288.4), (161.8, 203.3), (61.4, 282.3), (207.2, 290.0)],
     [(268.1, 89.6), (108.4, 49.8)],
     {(100.0, 2.0): (93.361662, 179.717556), (100.0, 1.0): (91.323605, 347.941631), (50.0, 2.0): (49.662863, 98.986868)}),
    ([(43.7, 19.5)],
     [(90.4, 180.9), (1.0, 203.4), (101.4, 93.0), (245.6, 144.2)],
     {(100.0, 2.0): (98.401651, 154.050446), (100.0, 1.0): (98.360677, 243.44271), (50.0, 2.0): (50.0, 79.056942)}),
    ([(94.7, 144.4), (211.4, 17.1), (292.5, 6.9), (224.9, 253.5)],
     [(79.7, 119.4), (202.4, 36.1), (296.5, 31.9), (229.9, 280.5)],
     {(100.0, 2.0): (25.91814, 51.836281), (100.0, 1.0): (25.738898, 102.955594), (50.0, 2.0): (25.91814, 51.836281)}),
]


@pytest.mark.parametrize("truth, tracks, said", STONE_SOUP)
def test_ospa_and_gospa_are_stone_soups(truth, tracks, said):
    for (c_m, p), (ospa_m, gospa_m) in said.items():
        assert ospa(truth, tracks, c_m=c_m, p=p) == pytest.approx(ospa_m, abs=1e-5)
        assert gospa(truth, tracks, c_m=c_m, p=p).value == pytest.approx(gospa_m, abs=1e-5)


def test_ospa_of_nothing():
    assert ospa([], []) == 0.0
    assert ospa([(0, 0)], []) == 100.0
    assert ospa([(0, 0)], [(3, 4), (1000, 0)], c_m=10.0, p=1.0) == pytest.approx(7.5)  # (5 + 10) / 2


def test_nis_of_hand():
    assert nis([3.0, 4.0], [[9.0, 0.0], [0.0, 4.0]]) == pytest.approx(5.0)  # 1 + 4
    assert nis([2.0], [[4.0]]) == 1.0
    for v, s in (([1.0], [[0.0]]), ([1.0, 2.0], [[1.0]]), ([math.nan], [[1.0]]), ([1.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])):
        with pytest.raises(ValueError, match=r"definite|shape|finite"):
            nis(v, s)


def test_bounds_of_a_mean():
    """Bar-Shalom, Li, Kirubarajan, section 5.4.2: of 50 runs of dimension 2, chi-squared of 100 between 74.2 and 129.6."""
    low, high = mean_bounds(50)
    assert (50 * low, 50 * high) == pytest.approx((74.222, 129.561), abs=1e-3)
    rng = random.Random(3)
    means = [sum(rng.gauss(0, 1) ** 2 + rng.gauss(0, 1) ** 2 for _ in range(50)) / 50 for _ in range(2000)]
    assert 0.93 < sum(low <= mean <= high for mean in means) / 2000 < 0.97
    with pytest.raises(ValueError, match="at least 1"):
        mean_bounds(0)


def test_coverage_by_moving_and_parked():
    unit = [np.eye(2)] * 4
    said = coverage([(0, 0), (3, 0), (1, 1), (0, 2)], unit, [True, True, False, False])
    assert said == {"all": (4, 0.75), "moving": (2, 0.5), "parked": (2, 1.0)}
    assert coverage([(0, 0)], unit[:1], [True])["parked"] == (0, None)
    with pytest.raises(ValueError, match="2 errors and 1"):
        coverage([(0, 0), (1, 1)], unit[:2], [True])
