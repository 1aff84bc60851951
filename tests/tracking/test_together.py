"""Receivers of one shipment that part: the alert says where and when they were last together, not only where they are."""

from __future__ import annotations

import re

import pytest

from birddog.model import Attachment, Fix, Operation
from birddog.units import NS, iso_from_ns

T0 = 1_790_000_000
LAT, LON, M = 51.3, 4.1, 1.0 / 111_194.93


def goes_away(journal, every_s):
    """Two on a lorry that comes, stands for half an hour and more; then a goes on north, and b east."""
    case = journal()
    case.add(1.0, Operation(operation="A"))
    for name in "ab":
        case.add(2.0, Attachment(device=name, operation="A", shipment="load", from_ns=0))
    arrives = 10 * every_s + 3600
    leaves = arrives + max(1800, 3 * every_s)
    said = []
    for k, name in enumerate("ab"):
        for t in range(10 + k * every_s // 2, leaves + 12 * every_s + 600, every_s):
            gone = 17.0 * max(0.0, t - leaves)
            n_m = 15.0 * (min(t, arrives) - arrives)
            said.append((t, name, (gone, n_m) if name == "b" else (0.0, n_m + gone)))
    for t, name, (e_m, n_m) in sorted(said):
        place = {"lat_deg": LAT + n_m * M, "lon_deg": LON + e_m * M / 0.6252}
        case.say(t + 5.0, Fix(device=name, time_ns=(T0 + t) * NS, sigma_m=5.0, **place))
    return [e for changes in case.changes for e in changes.events if e.kind == "parted" and e.end_ns is None], leaves


@pytest.mark.parametrize("every_s", [10, 30, 120, 600])
def test_who_parted_was_last_together_where_and_when_the_last_fixes_of_both_say_so(journal, every_s):
    (event, *_), leaves = goes_away(journal, every_s)
    at, lat, lon = re.search(r"last seen together at (\S+) (-?[\d.]+), (-?[\d.]+);", event.text).groups()
    assert abs(float(lat) - LAT) < 130 * M and abs(float(lon) - LON) < 130 * M / 0.6252
    assert iso_from_ns((T0 + leaves - every_s) * NS) <= at <= iso_from_ns((T0 + leaves + 15) * NS)
    # where it is by now is what it was
    assert max(abs(event.lat_deg - LAT), 0.6252 * abs(event.lon_deg - LON)) > 200 * M
