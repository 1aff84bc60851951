"""Where something ends: how much a track keeps for late data, what a class can have driven, a case that is closed."""

from __future__ import annotations

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation, Scan, Sighting, Start, Tick
from birddog.units import NS
from tracking.doubt import beyond_reach_m
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.step import Model, _reachable
from tracking.track_state import KEPT_EACH, RING_MOST

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)
P = Presets()
VAN = Model(preset=P.of("van"), presets=P, klass="van")
AREA = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in (
    (-2000, -2000), (2000, -2000), (2000, 2000), (-2000, 2000), (-2000, -2000))))  # fmt: skip


def fix(t: float, e: float = 0.0, n: float = 0.0) -> Fix:
    lat, lon = HOME.geodetic(e, n)
    return Fix(device="tag", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)


def only(j, operation: str = "open"):
    """The one track of a case."""
    [live] = j.fold._folds[operation].tracker.tracks.values()
    return live


# --- how much is kept ---


@pytest.mark.parametrize("every_s, count, least, most", [
    (1.0, 400, P.late_s, P.late_s + 1),  # two minutes of a fix a second
    (60.0, 200, P.late_count, P.late_count),  # of one that is seldom heard so many, however old
    (0.02, RING_MOST + 300, RING_MOST, RING_MOST),  # and never more than that, however often it reports
])  # fmt: skip
def test_what_is_kept_for_late_data(journal, every_s, count, least, most):
    j = journal()
    for k in range(count):
        j.say(k * every_s, fix(k * every_s, 3.0 * k * every_s))
    kept = len(only(j).state.ring)
    assert least <= kept <= most + KEPT_EACH


def test_a_fix_as_late_as_the_ring_reaches_is_used_and_one_before_it_is_a_point_only(journal):
    """The device is heard every 10 s: late_count (64) fixes reach back further than late_s."""
    j = journal()
    for k in range(100):
        j.say(10.0 * k, fix(10.0 * k, 100.0 * k))
    assert j.say(991, fix(995 - 10 * 60, 3950.0)).tracks[0].hits == 101
    assert j.say(992, fix(995 - 10 * 90, 950.0)).tracks[0].hits == 101


# --- what can have been driven ---


def at(t: float, e: float) -> Measurement:
    lat, lon = HOME.geodetic(e, 0.0)
    return Measurement(T0 + round(t * NS), "tag", "fix", lat, lon, 25.0, 0.0, 25.0)


def stood(journal):
    """The filter of a van that has stood for a minute."""
    j = journal()
    j.add(0, Device(device="tag", klass="van", interval_s=10.0))
    for t in range(0, 70, 10):
        j.say(t, fix(t))
    return only(j).core(VAN)


@pytest.mark.parametrize("e, beyond", [(25.0, False), (200.0, True)])
def test_what_lies_within_the_errors_of_two_fixes_is_no_jump(journal, e, beyond):
    """A tenth of a second later 60 m/s are 6 m; the errors of both are three times 7 m and what is left of the track's own."""
    core = stood(journal)
    assert bool(beyond_reach_m(core, at(60.1, e), VAN)) == beyond
    assert _reachable(core, at(60.1, e), 0.01) == (not beyond)


def test_what_was_driven_in_the_time_is_no_jump(journal):
    core = stood(journal)
    assert beyond_reach_m(core, at(160, 5900.0), VAN) == 0.0 and beyond_reach_m(core, at(160, 6200.0), VAN) == pytest.approx(
        6200.0, rel=0.01)  # fmt: skip


@pytest.mark.parametrize("far_m, in_turn", [
    ((900_000.0, 900_000.0), 1),
    ((900_000.0, 700_000.0), 1),  # nearer to one another than half the way there: still that place
    ((900_000.0, -900_000.0), 0),  # each time elsewhere: single faults
    ((900_000.0, 200_000.0), 0),
])  # fmt: skip
def test_in_two_places_in_turn_are_two_places(journal, far_m, in_turn):
    j = journal()
    j.add(0, Device(device="tag", klass="van", interval_s=10.0))
    for t in range(0, 200, 10):
        j.say(t, fix(t))
    for k in range(12):
        j.say(200 + 20 * k, fix(200 + 20 * k, far_m[k % 2]))
        j.say(210 + 20 * k, fix(210 + 20 * k))
    assert len(j.events("two_places")) == in_turn


def test_two_places_that_are_seldom_told_of_are_single_faults(journal):
    j = journal()
    j.add(0, Device(device="tag", klass="van", interval_s=10.0))
    for t in range(0, 4000, 10):
        j.say(t, fix(t, 900_000.0 if t % 500 == 490 else 0.0))
    assert j.events("two_places") == []


# --- a case that is closed ---


def case(journal, *, closed: bool):
    j = journal(begun=False, restart=True)
    j.add(0, Start(version="t", presets={}, exercise=False))
    j.add(0, Operation(operation="A", area=AREA))
    for device in ("tag", "never"):
        j.add(0, Device(device=device, klass="van", interval_s=10.0))
        j.add(0, Attachment(device=device, shipment="S-" + device, operation="A", from_ns=T0))
    for t in range(0, 40, 10):
        j.say(t, fix(t))
    if closed:
        j.add(41, Operation(operation="A", area=AREA, closed=True))
    return j


@pytest.mark.parametrize("closed", [False, True])
def test_nobody_waits_for_a_device_of_a_closed_case(journal, closed):
    j = case(journal, closed=closed)
    for t in range(50, 600, 10):
        j.add(t, Tick())
    assert bool(j.events("never_heard")) != closed and bool(j.events("silent")) != closed


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("as_scan", [False, True])
def test_what_is_seen_on_the_ground_of_a_closed_case_is_not_told_there(journal, closed, as_scan):
    j = case(journal, closed=closed)
    lat, lon = HOME.geodetic(500.0, 500.0)
    for t in range(50, 90, 2):
        seen = Sighting(device="radar", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0)
        j.add(50, Device(device="radar", basis="own_sensor"))
        if as_scan:
            j.add(t, Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + t * NS, footprint=AREA, pd=0.9, clutter_per_km2=0.05,
                          sightings=(seen,)))  # fmt: skip
        else:
            j.say(t, seen, device="radar")
    where = {row.operation for row in j.rows().values() if not row.identities}
    assert where == ({"open"} if closed else {"A", "open"})
