"""Clocks that were never set are one kind: the table, beside times that somebody measured."""

import pytest

from birddog.units import ns_from_text
from devices import clock

NOW = ns_from_text("2026-11-24T10:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:07Z", "1980-01-01T00:01:00Z", "1980-01-06T00:00:13Z", "1987-11-30T10:00:00Z", "1999-08-22T00:00:05Z",
        "2000-01-01T00:00:30Z", "2004-01-01T00:00:13Z", "2013-09-01T00:00:10Z", "2019-04-07T00:00:09Z",
    ],
)  # fmt: skip
def test_a_clock_that_nobody_set(text):
    time_ns = ns_from_text(text)
    assert clock.unset(time_ns) and clock.unset(time_ns, NOW)
    assert "never set" in clock.astray(time_ns, NOW)


def test_it_may_have_counted_for_months():
    time_ns = ns_from_text("2004-03-05T10:00:00Z")
    assert clock.unset(time_ns, NOW) and not clock.unset(time_ns), "but a log may be of 2004"
    assert not clock.unset(time_ns, ns_from_text("2004-03-05T12:00:00Z")), "and a capture may have been received then"


@pytest.mark.parametrize("text", ["2006-06-01T00:00:00Z", "2011-01-01T00:00:00Z", "2020-01-01T00:00:10Z", "2026-11-24T09:59Z"])
def test_an_old_time_is_no_unset_clock(text):
    assert not clock.unset(ns_from_text(text), NOW) and not clock.unset(ns_from_text(text))


def test_a_rollover_is_told_as_one():
    received = ns_from_text("2019-08-20T10:00:00Z")
    time_ns = received - clock.ROLLOVER_NS
    assert clock.rollover(time_ns, received) and not clock.unset(time_ns, received)
    assert "1024 weeks more" in clock.astray(time_ns, received)


@pytest.mark.parametrize("received", ["1995-06-01T00:00Z", "2010-01-01T00:00Z", "2019-05-01T00:00Z", "2026-11-24T10:00Z",
                                      "2038-12-01T00:00Z", "2045-03-01T00:00Z"])  # fmt: skip
def test_the_short_way_doubts_what_the_long_way_doubts(received):
    """Whatever ``undoubted`` lets pass has neither a rollover nor the beginning of a clock in it."""
    received_ns = ns_from_text(received)
    edges = [0, received_ns, received_ns - clock.NEAR_NS, received_ns - clock.ROLLOVER_NS, clock.SET_NS,
             received_ns - clock.ROLLOVER_NS - clock.NEAR_NS, received_ns - clock.ROLLOVER_NS + clock.NEAR_NS]
    edges += [ns for row in clock.BEGINNINGS for ns in (row.from_ns, row.until_ns)]
    edges += range(0, received_ns, 97 * clock.DAY_NS)
    short = 0
    for time_ns in [edge + by for edge in edges for by in (-clock.DAY_NS, -1, 0, 1, clock.DAY_NS)]:
        if time_ns <= received_ns - clock.NEAR_NS and clock.undoubted(time_ns, received_ns):
            short += 1
            assert not clock.rollover(time_ns, received_ns) and clock._beginning(time_ns, received_ns) is None, time_ns
    assert short > 50 or received_ns < clock.SET_NS + clock.NEAR_NS + clock.DAY_NS


@pytest.mark.parametrize("text", ["2013-09-01T00:10:00Z", "2013-09-01T23:59:59Z", "2019-04-07T09:40:00Z"])
def test_a_day_of_which_there_are_archives_is_not_lost_where_a_gps_clock_begins(text):
    assert not clock.unset(ns_from_text(text)), "aisdk-2019-04-07.csv is a whole day of ships"
    assert clock.unset(ns_from_text(text), NOW), "but a tracker that says so today was never set"
