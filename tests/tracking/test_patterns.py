"""Patterns: a flat truth comes out flat however unevenly it was looked at; nothing of few is shown; hubs by shipments."""

from __future__ import annotations

import math
import random

import pytest

from tracking.patterns import Happening, Observed, busier, cell_of, drawn, exposure, fixed_m, patterns, teams, weeks

T0 = 1_790_000_000.0 // 604_800 * 604_800
CELL_M = 5000.0
STEP = math.degrees(CELL_M / 6_371_008.8)


def _poisson(rng, mean):
    """Knuth's way, in parts that do not underflow."""
    n = 0
    while mean > 0.0:
        part = min(mean, 30.0)
        limit, p, k = math.exp(-part), 1.0, -1
        while p > limit:
            p *= rng.random()
            k += 1
        n, mean = n + k, mean - part
    return n


def patrolled(seed, *, rate=lambda cell: 0.2, cells=100):
    """Events of a true rate, seen only while a patrol was there; patrols are 20 times as long here as there."""
    rng = random.Random(seed)
    happened, looked = [], []
    for cell in range(cells):
        lat, lon = 30.0 + 2 * STEP * (cell // 10), 32.0 + 4 * STEP * (cell % 10)
        hours = math.exp(rng.uniform(math.log(100), math.log(2000)))
        looked += [Observed(T0 + 3600.0 * h, hours / 168, lat, lon) for h in range(168)]
        for _ in range(_poisson(rng, rate(cell) * hours)):
            happened.append(Happening(f"s{rng.randrange(400)}", T0 + rng.uniform(0, 604_800), lat, lon))
    return happened, looked


@pytest.mark.parametrize("seed", range(8))
def test_a_flat_truth_comes_out_flat_within_a_fifth_however_the_patrols_went(seed):
    happened, looked = patrolled(seed)
    found = patterns(happened, looked)
    counts = [c.events for c in found.cells]
    assert len(found.cells) > 90 and max(counts) > 5 * min(counts)  # the counts follow the patrols
    assert all(abs(c.rate_per_h - 0.2) < 0.2 * 0.2 for c in found.cells)
    assert len(found.hours) == 168 and all(abs(h.rate_per_h / found.rate_per_h - 1) < 0.2 for h in found.hours)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_five_times_as_often_stands_out_also_where_nobody_patrols_much(seed):
    happened, looked = patrolled(seed, rate=lambda cell: 1.0 if cell in (7, 42) else 0.2)
    found = patterns(happened, looked)
    hot = {cell_of(30.0 + 2 * STEP * (c // 10), 32.0 + 4 * STEP * (c % 10), CELL_M) for c in (7, 42)}
    assert {cell_of(c.lat_deg, c.lon_deg, CELL_M) for c in found.cells[:2]} == hot
    assert all(0.7 < c.rate_per_h < 1.3 for c in found.cells[:2])
    # two teams go to the two, and no two stand beside each other
    assert teams(found.cells, 2, 2 * CELL_M) == found.cells[:2]
    assert len(teams(found.cells, 500, 1e6)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_where_teams_are_sent_does_not_follow_the_patrols_of_before(seed):
    """Patrols are here 20 times as long as there: what a team would see in an hour comes out flat within a fifth."""
    found = patterns(*patrolled(seed))
    flat = 1.0 - math.exp(-0.2)
    assert len(found.cells) > 90 and all(abs(c.probability_h / flat - 1.0) < 0.2 for c in found.cells)
    assert all(abs(c.watched_h - c.exposure_h) < 0.01 for c in found.cells)
    ranked = teams(found.cells, 10, CELL_M)
    assert ranked[0].probability_h / ranked[-1].probability_h < 1.2


def test_many_who_are_there_at_once_make_a_place_busier_and_not_longer_watched():
    crowd = [Observed(T0 + 3600.0 * h, 1.0, 30.0, 32.0, True) for h in range(100) for _ in range(20)]
    alone = [Observed(T0 + 3600.0 * h, 1.0, 31.0, 32.0, True) for h in range(100)]
    happened = [Happening(f"s{i % 50}", T0 + 36.0 * 40 * i, 30.0, 32.0) for i in range(200)]
    happened += [Happening(f"s{i}", T0 + 3600.0 * i, 31.0, 32.0) for i in range(10)]
    found = patterns(happened, crowd + alone)
    busy, quiet = sorted(found.cells, key=lambda c: c.lat_deg)
    assert (busy.watched_h, busy.exposure_h, quiet.watched_h) == (100.0, 2000.0, 100.0)
    assert busy.rate_per_h == pytest.approx(quiet.rate_per_h, rel=0.2)  # each there does it as often
    assert busy.probability_h > 0.8 and quiet.probability_h < 0.15  # a team sees more where more are
    assert len(busy.ring) == 5 and busy.ring[0] == busy.ring[-1]


def test_teams_of_an_hour_of_the_week():
    looked = [Observed(T0 + 3600.0 * h, 1.0, 30.0, 32.0) for h in range(168)]
    hour = int((T0 // 3600 + 72) % 168)
    happened = [Happening(f"s{i}", T0 + 60.0 * i, 30.0, 32.0) for i in range(40)]  # all in one hour of the week
    happened += [Happening(f"s{i}", T0 + 3600.0 * (1 + i), 30.0, 32.0) for i in range(60)]
    found = patterns(happened, looked)
    (any_hour,), (busy,) = teams(found.cells, 1, 1.0), teams(found.cells, 1, 1.0, busier(found, hour))
    assert busy.probability_h > any_hour.probability_h > 0.0


def test_fewer_than_five_shipments_are_never_shown_whatever_is_asked():
    def at(n, lat):
        return [Happening(f"s{i % n}", T0 + 60.0 * i, lat, 32.0) for i in range(40)]

    looked = [Observed(T0, 10.0, lat, 32.0) for lat in (30.0, 40.0)]
    found = patterns(at(4, 30.0) + at(5, 40.0), looked, k=1)
    assert [round(c.lat_deg) for c in found.cells] == [40] and found.suppressed["cells"] == 1 and found.k == 5
    assert [h.shipments for h in found.hubs] == [5] and found.suppressed["hubs"] == 1
    assert patterns(at(5, 40.0), looked, k=6).cells == []


def test_a_count_without_exposure_is_no_rate():
    found = patterns([Happening(f"s{i}", T0, 30.0, 32.0) for i in range(20)], [])
    assert found.cells == [] and found.hours == [] and found.suppressed["cells"] == 1 and found.rate_per_h == 0.0
    assert drawn([3, 0], [0.0, 0.0]) == [0.0, 0.0]


def test_a_hub_counts_shipments_not_visits_over_the_date_line_too():
    often = [Happening("a", T0 + i, 10.0, 179.9995) for i in range(50)]
    many = [Happening(f"s{i}", T0 + i, 10.0005, -179.9995 if i % 2 else 179.9995) for i in range(9)]
    elsewhere = [Happening(f"s{i}", T0 + i, 11.0, 0.0) for i in range(7)]
    found = patterns(often + many + elsewhere, [Observed(T0, 1.0, 10.0, 0.0)])
    assert [(h.shipments, h.events) for h in found.hubs] == [(10, 60), (5, 5)] and found.hubs[0].radius_m < 500
    # where the first of them stood is one shipment's: the middle is told, to a hundred metres
    assert (found.hubs[0].lat_deg, abs(found.hubs[0].lon_deg)) == (10.0, 180.0) and found.hubs[0].radius_m % 100.0 == 0.0


def crowd(n, lat=30.0, name="s", each=3):
    """So many shipments, each there so often, while somebody looks."""
    happened = [Happening(f"{name}{i % n}", T0 + 3600.0 * i, lat, 32.0) for i in range(n * each)]
    return happened, [Observed(T0 + 3600.0 * h, 1.0, lat, 32.0, True) for h in range(168)]


@pytest.mark.parametrize("n", [5, 6, 10, 13])
def test_one_more_shipment_shows_in_no_answer_but_where_a_count_of_five_is_full(n):
    """Two askings of the same places that differ by one: almost always they are the same bytes, and never one apart."""
    same = 0
    for more in range(1, 8):
        one, other = patterns(*crowd(n, each=more)), patterns(*(a + b for a, b in zip(crowd(n, each=more), ([Happening(
            "new", T0 + 1800.0, 30.0, 32.0)], [Observed(T0 + 1800.0, 0.25, 30.0, 32.0, True)]), strict=True)))
        same += one == other
        for a, b in ((one, other), (one.cells[0], other.cells[0]), (one.hubs[0], other.hubs[0])):
            assert (b.events - a.events) % 5 == 0 and abs(b.events - a.events) <= 5
        assert (other.cells[0].shipments - one.cells[0].shipments) % 5 == 0
        # nothing that is told lets the count be reckoned back
        cell = other.cells[0]
        expected = -math.expm1(-cell.rate_per_h * cell.exposure_h / cell.watched_h)
        assert cell.probability_h == pytest.approx(expected, abs=1e-8) and cell.exposure_h == float(f"{cell.exposure_h:.2g}")
        assert other.rate_per_h == other.events / other.exposure_h
    assert same >= 2


def test_sizes_are_of_a_fixed_row_and_periods_whole_weeks():
    happened, looked = crowd(9)
    assert patterns(happened, looked, cell_m=5001.0) == patterns(happened, looked, cell_m=10_000.0)
    assert patterns(happened, looked, hub_m=333.0) == patterns(happened, looked, hub_m=500.0)
    assert [fixed_m(m) for m in (1.0, 50.0, 50.1, 5000.0, 9e9)] == [50.0, 50.0, 100.0, 5000.0, 500_000.0]
    monday = 1_789_948_800  # 2026-09-21
    week = 604_800
    assert weeks(monday, monday + week) == (monday, monday + week)
    assert weeks(monday + 43_200, monday + 43_200 + 3600) == weeks(monday + 1, monday + 46_800) == (monday, monday + week)
    assert weeks(monday - 1, monday + week + 1) == (monday - week, monday + 2 * week)


def test_cells_are_about_equal_and_exposure_is_what_the_fixes_vouch_for():
    found = patterns(
        [Happening(f"s{i}", T0, lat, 5.0) for lat in (0.0, 45.0, 70.0) for i in range(5)],
        [Observed(T0, 1.0, lat, 5.0) for lat in (0.0, 45.0, 70.0)],
    )
    assert all(abs(c.area_km2 - 25.0) < 0.5 for c in found.cells) and len(found.cells) == 3
    looked = exposure(["a", "a", "a", "b"], [0.0, 600.0, 90_000.0, 0.0], [1.0] * 4, [2.0] * 4)
    assert [o.hours for o in looked] == [600 / 3600, 1.0]


def flat(seed, low_h, high_h, places=30, rate=0.15):
    """One rate everywhere and always; looked at here up to ``high_h`` and there ``low_h``, over four weeks."""
    rng, happened, looked = random.Random(seed), [], []
    for place in range(places):
        lat, lon = 40.05 + place // 6 * 0.5, 10.05 + place % 6 * 0.6
        hours = int(low_h * (high_h / low_h) ** (place / (places - 1)))
        looked += [Observed(T0 + rng.uniform(0, 4 * 604_800), 1.0, lat, lon, True) for _ in range(hours)]
        happened += [Happening(f"p{place}n{n}", T0 + rng.uniform(0, 4 * 604_800), lat, lon)
                     for n in range(_poisson(rng, rate * hours))]  # fmt: skip
    return happened, looked


@pytest.mark.parametrize("low_h, high_h", [(20, 200), (40, 400), (60, 1200)])
@pytest.mark.parametrize("seed", range(3))
def test_where_little_happens_rounding_to_fives_is_taken_for_no_difference(seed, low_h, high_h):
    found = patterns(*flat(seed, low_h, high_h), cell_m=20_000.0)
    assert len(found.cells) >= 10
    for rate in [c.rate_per_h for c in found.cells] + [h.rate_per_h for h in found.hours]:
        assert abs(rate / found.rate_per_h - 1.0) < 0.2
    assert found.rate_per_h == pytest.approx(0.15, rel=0.2)


def test_what_happens_in_the_night_alone_stands_out_by_its_hours():
    rng = random.Random(5)
    looked = [Observed(T0 + 3600.0 * h, 1.0, 30.0, 32.0) for h in range(4 * 168)]
    happened = [Happening(f"s{rng.randrange(300)}", T0 + 86_400.0 * rng.randrange(28) + rng.uniform(0, 3 * 3600), 30.0, 32.0)
                for _ in range(1500)]  # fmt: skip
    found = patterns(happened, looked)
    assert len(found.hours) == 21 and all(h.hour % 24 < 3 and h.rate_per_h > 5 * found.rate_per_h for h in found.hours)
