"""Bounds that hold on what was not measured, errors as the reference has them, and a record that cannot be changed unseen."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from birddog import validation
from birddog.validation import LEAST, QUANTITIES, RecordBroken, Rows, compare, quantile, record, sign, verified

M_DEG = 111_194.9
LAT0, LON0, START = 60.0, 179.99, 1.79e9


def drive(seconds=3000, *, seed=1, sigma_m=4.0, sigma_v=0.3, sigma_c=4.0, late_s=0.0, stated=True):
    """(reference, fixes): a drive on curves across the date line, and what a receiver with these errors says of it."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds, dtype=float)
    speed = 12.0 + 8.0 * np.sin(t / 90.0)
    course = 60.0 + 40.0 * np.sin(t / 200.0)

    def rows(times, noise):
        s, c = np.interp(times, t, speed), np.interp(times, t, course)
        e = np.interp(times, t, np.concatenate(([0.0], np.cumsum(speed * np.sin(np.radians(course)))[:-1])))
        n = np.interp(times, t, np.concatenate(([0.0], np.cumsum(speed * np.cos(np.radians(course)))[:-1])))
        k = len(times) if noise else 0
        if noise:
            e, n = e + rng.normal(0, sigma_m, k), n + rng.normal(0, sigma_m, k)
            s, c = np.abs(s + rng.normal(0, sigma_v, k)), (c + rng.normal(0, sigma_c, k)) % 360.0
        lat = LAT0 + n / M_DEG
        lon = LON0 + e / (M_DEG * np.cos(np.radians(lat)))
        nan = np.full(len(times), math.nan)
        s, c = (s, c) if stated else (nan, nan)
        return list(zip(times + START, lat, (lon + 180.0) % 360.0 - 180.0, s, c, strict=True))

    # the fixes lie between the reference's rows; a late clock says a time that is too great
    moments = t[1:-1] + 0.5
    fixes = [(when + late_s, *rest) for when, *rest in rows(moments, True)]
    return Rows.of(rows(t, False)), Rows.of(fixes)


def part(rows: Rows, keep) -> Rows:
    return Rows(*(column[keep] for column in (rows.t, rows.lat, rows.lon, rows.sog, rows.cog)))


def test_bounds_hold_on_what_was_not_measured():
    reference, fixes = drive(6000)
    half = np.random.default_rng(2).random(len(fixes.t)) < 0.5
    found, others = compare(reference, part(fixes, half)), part(fixes, ~half)
    # the truth of the other half by its own errors: what was put in, not what the code under test measures
    wide = compare(reference, others)
    assert wide.compared == len(others.t)
    for quantity in QUANTITIES:
        bound = found.bounds[quantity]
        assert 0.93 <= bound.held_out <= 0.97
        assert bound.bound == pytest.approx(wide.bounds[quantity].bound, rel=0.1)
    # Rayleigh, half normal: 2.448 sigma, 1.96 sigma
    assert found.bounds["position"].bound == pytest.approx(2.448 * 4.0, rel=0.06)
    assert found.bounds["speed"].bound == pytest.approx(1.96 * 0.3, rel=0.06)
    assert found.bounds["course"].bound == pytest.approx(1.96 * 4.0, rel=0.06)


def test_a_late_clock_is_told_as_time():
    reference, fixes = drive(late_s=0.7)
    found = compare(reference, fixes).bounds["time"]
    assert found.more["offset_s"] == pytest.approx(-0.7, abs=0.05) and found.bound > 0.7
    assert abs(compare(*drive()).bounds["time"].more["offset_s"]) < 0.05


def test_a_reference_without_speed_gives_it_by_its_positions():
    reference, fixes = drive()
    bare = Rows(reference.t, reference.lat, reference.lon, *np.full((2, len(reference.t)), math.nan))
    found, stated = compare(bare, fixes).bounds, compare(reference, fixes).bounds
    assert found["speed"].more["reference"] == "from the reference's positions"
    for quantity in QUANTITIES:
        assert found[quantity].bound == pytest.approx(stated[quantity].bound, rel=0.1)


def test_what_was_not_tested_is_said_to_be_so():
    reference, fixes = drive(stated=False)
    found = compare(reference, fixes).bounds
    assert found["speed"].bound is None and "state no speed" in found["speed"].not_validated
    assert found["course"].bound is None and found["position"].bound is not None
    few = compare(reference, part(fixes, slice(0, LEAST - 1))).bounds["position"]
    assert few.bound is None and few.n == LEAST - 1 and "19" in few.not_validated
    assert compare(reference, part(fixes, slice(0, LEAST))).bounds["position"].bound is not None
    away = Rows(fixes.t + 1e6, fixes.lat, fixes.lon, fixes.sog, fixes.cog)
    nothing = compare(reference, away)
    assert nothing.outside == len(fixes.t) and all(b.bound is None for b in nothing.bounds.values())
    assert compare(part(reference, slice(0, 1)), fixes).bounds["time"].bound is None
    still = Rows(reference.t, *np.full((2, len(reference.t)), 10.0), *np.zeros((2, len(reference.t))))
    there = Rows(fixes.t, *np.full((2, len(fixes.t)), 10.0), *np.zeros((2, len(fixes.t))))
    found = compare(still, there).bounds
    assert found["time"].bound is None and found["course"].bound is None and found["position"].bound == 0.0


def test_a_gap_of_the_reference_is_no_reference():
    reference, fixes = drive()
    keep = (reference.t < reference.t[500]) | (reference.t > reference.t[600])
    found = compare(part(reference, keep), fixes)
    assert found.in_gaps == 102 and found.compared == len(fixes.t) - 102


def test_the_conformal_rank():
    errors = np.arange(1.0, 20.0)
    assert quantile(errors) == 19.0  # of 19 the greatest; of 39 the 38th
    assert quantile(np.arange(1.0, 40.0)) == 38.0


@pytest.fixture
def signed():
    key = Ed25519PrivateKey.generate()
    body = record("Teltonika FMB920", compare(*drive(200)), made="2026-03-01T10:00:00.000Z", version="1",
                  reference={"name": "r.csv", "sha256": "00", "rows": 1}, fixes={"name": "f", "sha256": "1", "rows": 2},
                  method="é")
    return sign(body, key.public_key().public_bytes_raw(), key.sign), key.public_key().public_bytes_raw()


def test_a_record_holds_and_every_change_is_seen(signed):
    whole, public = signed
    assert verified(whole) == verified(whole, public)
    assert whole["position"]["bound_m"] > 0 and whole["speed"]["validated"] and whole["time"]["bound_s"] > 0

    def leaves(value, path=()):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name)) if isinstance(inner, dict) else [(*path, name)]

    for path in leaves(whole):
        changed = copy.deepcopy(whole)
        at = changed
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = "x" if at[path[-1]] != "x" else "y"
        if path == ("signature", "algorithm"):
            continue  # says what the value is; the check knows one
        with pytest.raises(RecordBroken):
            verified(changed)
    with pytest.raises(RecordBroken, match="another key"):
        verified(whole, b"k" * 32)
    for nothing in (None, [], {}, {"form": 1, "signature": {}}, {**whole, "signature": {"key": 1, "value": None}}):
        with pytest.raises(RecordBroken):
            verified(nothing)


def test_a_bound_is_rounded_up():
    assert validation._up(1.00001) == 1.0001 and validation._up(2.0) == 2.0
