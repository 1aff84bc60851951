"""A receiver that hangs beside others of its shipment, and honest ones that hold their place to the digit where they stand."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Decision
from birddog.units import NS
from tests.tracking.test_deception import HOME, T0, case, fix, noise
from tests.tracking.test_jammed import inside

__all__ = ["case"]

SPEED_MPS = 18.0


class Ride:
    """Receivers of one shipment that goes east for 40 intervals, what becomes of it then, and where the row has it.

    Args:
        at: (device, s since then) -> how far along it is; None: it hangs, and says the last place that it said.
        chosen_s: when an operator has the track take the other place over.
    """

    def __init__(self, said, devices: str, interval: int, seed: int, at, *, stated: bool = False, chosen_s: float = math.inf):
        rng, self.start = random.Random(seed), 40.0 * interval
        phases = {device: rng.uniform(0.0, interval) for device in devices}
        reports = sorted((k * interval + phases[device], device) for k in range(90) for device in devices)
        self.rows, self.said, last = [], said, {}
        for t, device in reports:
            now_s = t - self.start
            if now_s > chosen_s:
                [row], chosen_s = said.fold.believed(T0 + int(t * NS)), math.inf
                said.add(t, Decision(action="take_over", subject=row.track_id, by="op"))
            where = SPEED_MPS * t if now_s < 0.0 else at(device, now_s)
            before = SPEED_MPS * (t - 1.0) if now_s < 1.0 else at(device, now_s - 1.0)
            if where is None:
                where, (e, n) = last[device]
            elif now_s >= 0.0 and where == before and device in last and last[device][0] == where:
                _, (e, n) = last[device]  # it stands, and holds its place
            else:
                de, dn = noise(rng, 3.0)
                e, n = where + de, dn
            last[device] = where, (e, n)
            speed = None if not stated else 0.0 if before is not None and where == before else SPEED_MPS
            words = {} if speed is None else {"speed_mps": speed, "course_deg": 90.0}
            said.say(t, fix(device, t, e, n, **words))
            if now_s > 6 * interval:
                [row] = said.fold.believed(T0 + int((t + 1.0) * NS))
                self.rows.append((now_s + 1.0, row))

    def share(self, at) -> float:
        """Of the rows, how many hold a place."""
        return sum(inside(row, at(s)) for s, row in self.rows) / len(self.rows)

    def shown(self, at, interval: float) -> float:
        """Of the rows, how many hold a place or have their second symbol there."""
        found = 0
        for s, row in self.rows:
            other = None if row.rival_lat_deg is None else HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
            found += inside(row, at(s)) or (other is not None and math.dist(other, (at(s), 0.0)) < 30.0 * interval + 100.0)
        return found / len(self.rows)


@pytest.mark.parametrize("hangs", ["a", "b"])
@pytest.mark.parametrize("devices", ["ab", "abc"])
@pytest.mark.parametrize(("interval", "stated"), [(10, False), (60, True), (60, False), (300, True), (300, False)])
def test_the_row_goes_with_those_that_go_on(case, interval, stated, devices, hangs):
    start = 40.0 * interval
    goes = lambda s: SPEED_MPS * (start + s)  # noqa: E731
    said = case(*devices)
    ride = Ride(said, devices, interval, 1, lambda device, s: None if device == hangs else goes(s), stated=stated)
    assert [e.device for e in said.happened("frozen")] == [hangs]
    assert ride.share(goes) > 0.85
    told = [e.kind for e in said.happened("parted", "contradicted", "drift", "two_places")]
    if stated:  # it says itself that it goes on from there
        assert told == []
    assert {e.device for e in said.happened("parted")} <= {hangs}


def test_what_hung_and_is_well_again_goes_along_as_before(case):
    """Its way was another one for as long as it hung: the honest one had a `parted` an hour later, at its first refused fix."""
    start, interval = 2400.0, 60
    goes = lambda s: SPEED_MPS * (start + min(s, 1200.0) + max(0.0, s - 1500.0))  # noqa: E731
    for seed in range(4):
        said = case("a", "b")
        Ride(said, "ab", interval, seed, lambda device, s: None if device == "a" and s < 900.0 else goes(s))
        told = [(e.device, e.end_ns is not None) for e in said.happened("parted")]
        assert told in ([], [("a", True)])


@pytest.mark.parametrize("left", ["a", "b"])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(("interval", "stated"), [(10, False), (60, True), (300, False)])
def test_what_is_left_at_a_halt_has_parted_though_its_digits_do_not_change(case, interval, stated, long, left):
    start, halt_s = 40.0 * interval, 12.0 * interval if long else 40.0
    stays = lambda s: SPEED_MPS * start  # noqa: E731
    goes = lambda s: SPEED_MPS * (start + max(0.0, s - halt_s))  # noqa: E731
    said = case("a", "b")
    ride = Ride(said, "ab", interval, 2, lambda device, s: stays(s) if device == left else goes(s), stated=stated)
    assert any(e.end_ns is None for e in said.happened("parted"))
    ride.rows = [(s, row) for s, row in ride.rows if s > halt_s + 8 * interval]
    assert ride.shown(stays, interval) > 0.9 and ride.shown(goes, interval) > 0.9


def test_an_operator_who_says_that_what_was_left_is_the_goods_is_obeyed(case):
    start = 2400.0
    stays = lambda s: SPEED_MPS * start  # noqa: E731
    said = case("a", "b")
    ride = Ride(said, "ab", 60, 2, lambda device, s: stays(s) if device == "a" else SPEED_MPS * (start + max(0.0, s - 40.0)),
                chosen_s=900.0)  # fmt: skip
    ride.rows = [(s, row) for s, row in ride.rows if s > 910.0]
    assert ride.share(stays) == 1.0 and len(ride.rows) > 50


@pytest.mark.parametrize(("interval", "phase"), [(10, 0.3), (60, 0.3), (60, 0.6)])
def test_what_is_thrown_out_under_way_has_parted(case, interval, phase):
    """The lorry passes the place where it lies; but it was not there with it when it came to lie there."""
    start, at_s = 40.0 * interval, phase * interval
    stays = lambda s: SPEED_MPS * (start + min(s, at_s))  # noqa: E731
    goes = lambda s: SPEED_MPS * (start + s)  # noqa: E731
    said = case("a", "b")
    ride = Ride(said, "ab", interval, 5, lambda device, s: stays(s) if device == "b" else goes(s))
    assert any(e.end_ns is None for e in said.happened("parted"))
    assert ride.shown(stays, interval) > 0.9 and ride.shown(goes, interval) > 0.9


@pytest.mark.parametrize("interval", [10, 60, 300])
def test_the_goods_stand_and_a_receiver_drives_off(case, interval):
    """They stood together: whose digits change is the operator's to say."""
    start, halt_s = 40.0 * interval, 10.0 * interval
    stays = lambda s: SPEED_MPS * start  # noqa: E731
    goes = lambda s: SPEED_MPS * (start + max(0.0, s - halt_s))  # noqa: E731
    said = case("a", "b", "c")
    ride = Ride(said, "abc", interval, 3, lambda device, s: goes(s) if device == "c" else stays(s))
    ride.rows = [(s, row) for s, row in ride.rows if s > halt_s + 8 * interval]
    assert any(e.end_ns is None for e in said.happened("parted"))
    assert ride.shown(stays, interval) > 0.9 and ride.shown(goes, interval) > 0.9


@pytest.mark.parametrize("interval", [10, 60, 300])
@pytest.mark.parametrize("seed", range(3))
def test_who_holds_the_place_at_each_light_is_well(case, interval, seed):
    """It stands for a while each few intervals, all of its receivers with the same digits as long."""
    start, cycle = 40.0 * interval, 7.3 * interval
    goes = lambda s: SPEED_MPS * (start + cycle * (s // cycle) * 0.6 + min(s % cycle, 0.6 * cycle))  # noqa: E731
    said = case("a", "b", "c")
    ride = Ride(said, "abc", interval, seed, lambda device, s: goes(s))
    assert not said.happened("parted", "frozen", "contradicted", "drift", "two_places")
    assert ride.share(goes) > 0.85
