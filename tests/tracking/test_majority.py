"""Of three receivers of one shipment that part the track goes with the two that agree, unless somebody or the goods' tag says
otherwise."""

from __future__ import annotations

import math
import random

import pytest
from msgspec.structs import replace

from birddog.model import Attachment, Decision, Device, FrameBody, Operation, Placement, TagRead
from birddog.units import NS
from tests.tracking.test_deception import HOME, T0, fix, noise
from tracking.fold import Fold

EPC = "urn:epc:id:sgtin:0614141.107346.2017"
SPEED_MPS = 20.0


class Lorry:
    """A lorry with receivers that report in turn; some of them stay where they are at ``parts_s``, and say so with a metre of
    jitter, until ``back_s``."""

    def __init__(self, said, devices="abc", *, stays="a", every=30, parts_s=900, back_s=math.inf, seed=0, copy=""):
        self.said, self.devices, self.stays, self.every = said, devices, stays, every
        self.parts_s, self.back_s, self.copy = parts_s, back_s, copy
        self.rng = random.Random(seed)
        self.phases = {device: self.rng.uniform(0.0, every) for device in devices}
        said.add(0, Operation(operation="A"))
        for device in devices:
            said.add(0, Device(device=device, klass="lorry", interval_s=float(every)))
            said.add(0, Attachment(device=device, shipment="S", operation="A", from_ns=T0))

    def at(self, t: float) -> float:
        return SPEED_MPS * t

    def fixes(self, begin: float, end: float):
        """(t, fix) in order of time."""
        rounds = range(math.ceil(end / self.every))
        for t, device in sorted((k * self.every + p, d) for k in rounds for d, p in self.phases.items()):
            e, n = noise(self.rng, 3.0)
            if not begin <= t < end:
                continue
            if device in self.stays and self.parts_s <= t < self.back_s:
                yield t, fix(device, t, self.at(self.parts_s) + e / 3.0, n / 3.0, speed_mps=0.0)
            else:
                yield t, fix(device, t, self.at(t) + e, n, speed_mps=SPEED_MPS, course_deg=90.0)

    def go(self, begin: float, end: float):
        for t, one in self.fixes(begin, end):
            self.said.say(t + 1, one)
            if self.copy and one.device == "b":
                self.said.say(t + 1, replace(one, device=self.copy))

    def off_m(self, t: float, at: float) -> float:
        [row] = [row for row in self.said.now(t) if row.name == "S"]
        e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
        return math.hypot(e - at, n)

    def other_m(self, t: float, at: float) -> float:
        [row] = [row for row in self.said.now(t) if row.name == "S"]
        e, n = HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
        return math.hypot(e - at, n)


@pytest.mark.parametrize("every", [10, 30, 60])
@pytest.mark.parametrize("seed", range(6))
def test_the_row_goes_with_the_two_that_agree_and_the_third_has_parted(journal, every, seed):
    lorry = Lorry(journal(exercise=False), every=every, parts_s=30 * every, back_s=60 * every, seed=seed)
    lorry.go(0, 34 * every)
    for t in range(34 * every, 60 * every, 2 * every):
        lorry.go(t, t + 2 * every)
        assert lorry.off_m(t + 2 * every, lorry.at(t + 2 * every)) < 40.0 + 2.0 * every, t
        if t > 40 * every:
            assert lorry.other_m(t + 2 * every, lorry.at(lorry.parts_s)) < 20.0
    [parted] = lorry.said.happened("parted")
    assert parted.text.startswith("a parted from ") and parted.end_ns is None
    lorry.go(60 * every, 70 * every)
    [parted] = lorry.said.happened("parted")
    assert parted.end_ns is not None and lorry.off_m(70 * every, lorry.at(70 * every)) < 40.0 + 2.0 * every
    assert lorry.said.happened("jumped", "contradicted", "two_places") == []


@pytest.mark.parametrize("seed", range(4))
def test_of_four_that_part_two_by_two_it_stays_with_those_that_it_follows(journal, seed):
    """No two are more than the other two: somebody chooses."""
    lorry = Lorry(journal(exercise=False), "abcd", stays="ab", seed=seed)
    lorry.go(0, 1200)
    sides = set()
    for t in range(1200, 2900, 100):
        lorry.go(t, t + 100)
        sides.add(lorry.off_m(t + 100, lorry.at(t + 100)) < 1000.0)
    assert len(sides) == 1 and not any("go together" in e.text for e in lorry.said.happened("reacquired"))
    places = lorry.at(900), lorry.at(2900)
    assert min(lorry.off_m(2900, at) for at in places) < 100.0 and min(lorry.other_m(2900, at) for at in places) < 700.0
    assert lorry.said.happened("parted")


@pytest.mark.parametrize("seed", range(3))
def test_what_somebody_chose_is_not_for_receivers_to_say_until_they_are_together_again(journal, seed):
    lorry = Lorry(journal(exercise=False), back_s=1800, seed=seed)
    lorry.go(0, 1300)
    [row] = lorry.said.now(1300)
    lorry.said.add(1300, Decision(action="take_over", subject=row.track_id, by="anna"))
    assert lorry.off_m(1300, lorry.at(900)) < 20.0
    for t in range(1300, 1800, 100):
        lorry.go(t, t + 100)
        assert lorry.off_m(t + 100, lorry.at(900)) < 20.0
    lorry.go(1800, 2400)
    assert lorry.off_m(2400, lorry.at(2400)) < 100.0
    lorry.parts_s, lorry.back_s = 2400, math.inf  # another time it is nobody's choice
    lorry.go(2400, 2700)
    assert lorry.off_m(2700, lorry.at(2700)) < 100.0


@pytest.mark.parametrize("seed", range(4))
def test_a_second_name_of_one_source_is_no_second_witness(journal, seed):
    """c says to the digit what b says."""
    lorry = Lorry(journal(exercise=False), "ab", copy="c", seed=seed)
    for device in "c":
        lorry.said.add(0, Device(device=device, klass="lorry", interval_s=30.0))
        lorry.said.add(0, Attachment(device=device, shipment="S", operation="A", from_ns=T0))
    lorry.go(0, 2000)
    assert not any("go together" in e.text for e in lorry.said.happened("reacquired"))


def test_a_read_of_the_goods_tag_where_the_lone_one_is_is_a_witness(journal):
    """Then it is two against two."""
    went = []
    for read in (False, True):
        lorry = Lorry(journal(exercise=False), seed=1)
        lat, lon = HOME.geodetic(lorry.at(900), 0.0)
        lorry.said.add(0, Placement(device="gate", lat_deg=lat, lon_deg=lon, range_m=10.0))
        lorry.said.add(0, Attachment(device=EPC, shipment="S", operation="A", from_ns=T0))
        lorry.go(0, 940)
        for t in range(940, 1500, 10):
            if read:
                lorry.said.say(t + 0.5, TagRead(device="gate", time_ns=T0 + t * NS, epc=EPC))
            lorry.go(t, t + 10)
        went.append(lorry.off_m(1500, lorry.at(1500)) < 100.0)
    assert went == [True, False]


def test_it_is_the_same_in_any_order_of_arrival_and_after_a_restart(journal):
    ends = []
    for order in (False, True):
        said = journal(exercise=False, restart=True)
        lorry = Lorry(said, every=10, parts_s=300, seed=3)
        fixes, rng = list(lorry.fixes(0, 480)), random.Random(5)
        came = [(t + (rng.uniform(0.0, 25.0) if order else 0.5), one) for t, one in fixes]
        for t, one in sorted(came, key=lambda one: one[0]):
            said.add(t, FrameBody(format="x", version=1, payload=b"", device=one.device, observations=(one,)))
        [row] = said.now(520)
        ends.append((row.lat_deg, row.lon_deg, row.rival_lat_deg, row.rival_lon_deg))
        assert Fold.restore(said.fold.snapshot()).believed(T0 + 520 * NS) == [row]
        assert lorry.off_m(480, lorry.at(480)) < 100.0
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)
