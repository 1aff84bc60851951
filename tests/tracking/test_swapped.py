"""Two lorries in a yard, the tag of one of which hangs: whose sightings are whose is told by those that are right."""

from __future__ import annotations

import math

import pytest

from birddog.model import Scan
from tests.tracking.test_transfer import NEVER, PARTS, UNTIL, devices, lorry, meeting, rows


def first(t: float) -> tuple[float, float]:
    return lorry(t, 90.0, 50.0, 0.0, 0.0)


def second(t: float) -> tuple[float, float]:
    return lorry(t, 250.0, 200.0, 30.0, 0.0)


def hangs(t: float) -> tuple[float, float]:
    """Where the first lorry stood, for ever."""
    return first(min(t, PARTS))


def off_m(Told, told, name: str, place: tuple[float, float]) -> float:
    [row] = rows(Told, told, UNTIL, name)
    return math.dist(Told.where(row), place)


@pytest.mark.parametrize("every", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_tag_that_hangs_beside_a_lorry_that_drives_off_as_well_is_told_and_follows_its_own(seed, every, World, Told):
    told = Told(*devices(every)).take(meeting(World, seed, every, gap=30.0, creeps=0.0, own="L2", says=hangs)[0])
    assert {event.device for event in told.events("belied")} == {"TAG"}
    assert off_m(Told, told, "TAG", first(UNTIL)) < 60.0 and off_m(Told, told, "L2", second(UNTIL)) < 60.0


@pytest.mark.parametrize("every", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_tag_that_does_not_hang_goes_with_its_lorry(seed, every, World, Told):
    told = Told(*devices(every)).take(meeting(World, seed, every, gap=30.0, creeps=0.0, own="L2", says=first)[0])
    assert told.events("belied") == []
    assert off_m(Told, told, "TAG", first(UNTIL)) < 60.0 and off_m(Told, told, "L2", second(UNTIL)) < 60.0


@pytest.mark.parametrize("seed", range(4))
def test_a_tag_that_hangs_is_not_on_a_lorry_of_nobodys_that_stands_beside(seed, World, Told):
    told = Told(*devices(10.0)).take(
        meeting(World, seed, 10.0, gap=40.0, creeps=0.0, own="", says=hangs, parts=NEVER)[0]
    )  # fmt: skip
    assert {event.device for event in told.events("belied")} == {"TAG"}
    assert off_m(Told, told, "TAG", first(UNTIL)) < 60.0


@pytest.mark.parametrize("seed", range(4))
def test_a_tag_that_was_put_on_that_lorry_is_no_liar(seed, World, Told):
    told = Told(*devices(10.0)).take(meeting(World, seed, 10.0, gap=40.0, creeps=0.0, own="", parts=NEVER)[0])
    assert told.events("belied") == []
    assert off_m(Told, told, "TAG", (0.0, 40.0)) < 40.0


@pytest.mark.parametrize("behind", [5.0, 25.0])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_looks_that_come_in_late_end_where_those_in_time_do(seed, behind, World, Told):
    ends = []
    for late in (0.2, behind):
        made, _ = meeting(World, seed, 60.0, gap=30.0, creeps=0.0, own="L2", says=hangs)
        told = Told(*devices(60.0)).take([(at + late * isinstance(body, Scan), body) for at, body in made])
        ends.append({row.tag_id: row for row in told.at(UNTIL + 40.0) if row.tag_id})
    for name in ("TAG", "L2"):
        one, other = ends[0][name], ends[1][name]
        assert math.dist(Told.where(one), Told.where(other)) < 1e-3
        assert one.p_ee == pytest.approx(other.p_ee, rel=1e-9)
