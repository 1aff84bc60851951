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
    ("1.4526e+09", 1_452_600_000 * units.NS), ("1E9", 10**18), ("-1.5e0", -1_500_000_000),
    ("17955216001.23456789e-1", 1795521600_123456789),
    (".5", 500_000_000), ("5.", 5 * units.NS), ("1e-9", 1), ("1e-10", 0), ("0." + "0" * 50 + "1", 0),
    ("0." + "3" * 5000, 333_333_333),
    ("2026-11-24T12:00:00z", 1795521600 * units.NS), ("2026-11-24t12:00:00.25z", 1795521600 * units.NS + 250_000_000),
    ("2026-11-24T12:00:00.123456789Z", 1795521600_123456789), ("2026-11-24T14:00:00,1234567899+02:00", 1795521600_123456789),
    ("20261124T120000.1234567Z", 1795521600_123456700), ("1969-12-31T23:59:59.999999999Z", -1),
    ("2016-12-31T23:59:60Z", 1483228800 * units.NS), ("2016-12-31T23:59:60.5Z", 1483228800 * units.NS + 500_000_000),
    ("2017-01-01T05:29:60+05:30", 1483228800 * units.NS),
])
def test_times_in(text, want):
    assert units.ns_from_text(text) == want


@pytest.mark.parametrize("text", ["2026-11-24T12:00:00", "2026-11-24", "", "nan", "inf",
                                  "1e99", "1e100", "e9", "1e", "1e+", "1e1.5", "2026-11-24T12:00:60Z",
                                  "2026-12-31T23:59:61Z", "2026-12-31T23:59:60", "yesterday", "1,5", "٣", "1.٣",
                                  "--5", "+-5", ".", "5.5.5", "1_000", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
                                  "99999999999", "-62135596800", "1" * 5000, "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z"])
def test_times_refused(text):
    with pytest.raises(ValueError) as caught:
        units.ns_from_text(text)
    assert any(word in str(caught.value) for word in ("ISO 8601", "has no offset", "1678", "a second 60"))


@given(st.integers(-(9 * 10**18), 9 * 10**18), st.integers(-9, 9))
def test_seconds_are_exact_however_they_are_written(time_ns, power):
    from decimal import Decimal, localcontext

    with localcontext(prec=60):
        seconds = Decimal(time_ns).scaleb(-9)
        assert units.ns_from_text(f"{seconds:f}") == time_ns
        if len(f"{seconds.scaleb(-power):f}".lstrip("-").partition(".")[0]) <= 12:
            assert units.ns_from_text(f"{seconds.scaleb(-power):f}e{power}") == time_ns


@given(st.integers(-(10**18), 4 * 10**18))
def test_iso_is_milliseconds_rounded_down_and_comes_back(time_ns):
    assert units.ns_from_text(units.iso_from_ns(time_ns)) == time_ns // 1_000_000 * 1_000_000


def test_factors():
    assert units.R68_PER_SIGMA == pytest.approx(math.sqrt(-2 * math.log(1 - 0.68)), abs=1e-4)
    assert units.CEP50_PER_SIGMA == pytest.approx(math.sqrt(2 * math.log(2)), abs=1e-4)
    assert units.CHI2_95_2D == pytest.approx(-2 * math.log(0.05))
