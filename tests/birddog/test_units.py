"""Times and factors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog import units


@pytest.mark.parametrize("text,want", [
    ("2026-11-24T12:00:00Z", 1795521600 * units.NS), ("2026-11-24T14:00:00.5+02:00", 1795521600 * units.NS + 500_000_000),
    ("1.5", 1_500_000_000), ("-1.5", -1_500_000_000), ("1795521600.123456789", 1795521600_123456789), ("0", 0),
])
def test_times_in(text, want):
    assert units.ns_from_text(text) == want


@pytest.mark.parametrize("text", ["2026-11-24T12:00:00", "2026-11-24", "", "nan", "inf", "1e9", "yesterday", "1,5", "٣", "1.٣",
                                  "--5", "+-5", ".", "5.5.5", "1_000", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
                                  "99999999999", "-62135596800", "1" * 5000, "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z"])
def test_times_refused(text):
    with pytest.raises(ValueError):
        units.ns_from_text(text)


@given(st.integers(-(10**18), 4 * 10**18))
def test_iso_is_milliseconds_rounded_down_and_comes_back(time_ns):
    assert units.ns_from_text(units.iso_from_ns(time_ns)) == time_ns // 1_000_000 * 1_000_000


def test_factors():
    assert units.R68_PER_SIGMA == pytest.approx(math.sqrt(-2 * math.log(1 - 0.68)), abs=1e-4)
    assert units.CEP50_PER_SIGMA == pytest.approx(math.sqrt(2 * math.log(2)), abs=1e-4)
    assert units.CHI2_95_2D == pytest.approx(-2 * math.log(0.05))
