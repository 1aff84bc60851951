"""A parcel that is carried over to a lorry which looks know by its passive tag, and one that only says where it stood."""

from __future__ import annotations

import math

import pytest

from birddog.model import FrameBody, Placement, TagRead
from birddog.units import NS
from tests.tracking.test_swapped import first, hangs
from tests.tracking.test_transfer import NEVER, PARTS, STANDS, UNTIL, devices, holds, meeting, rows

T0_S = 1_790_000_000
GAP_M = 30.0


def followed(World, Told, seed: int, every: float, says=None):
    """A fold of it; and of each five seconds since the first lorry left, whether the parcel's row holds where it is.

    Args:
        says: where the parcel says that it is, which stays on the first lorry; else it is carried over.
    """
    made, tag = meeting(World, seed, every, gap=GAP_M, creeps=0.0, own="", says=says, parts=NEVER)
    where = tag if says is None else first
    told = Told(*devices(every))
    lat, lon = World.HOME.geodetic(0.0, GAP_M)
    told.add(0.0, "placement", Placement(device="gate", lat_deg=lat, lon_deg=lon, range_m=10.0))
    read = TagRead(device="gate", time_ns=round((T0_S + STANDS - 20.0) * NS), epc="urn:epc:id:sgtin:0614141.812345.400")
    made.append((STANDS - 19.8, FrameBody(format="f", version=1, payload=b"", device="gate", observations=(read,))))
    waiting, held = sorted(made, key=lambda pair: pair[0]), []
    for tau in range(int(PARTS) + 20, int(UNTIL), 5):
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        [row] = rows(Told, told, tau, "TAG")
        held.append(holds(Told, row, where(tau)))
    return told, held


@pytest.mark.parametrize("every", [10.0, 20.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_parcel_that_is_carried_over_to_what_a_passive_tag_is_on_goes_along_with_that(seed, every, World, Told):
    told, held = followed(World, Told, seed, every)
    assert {event.kind for change in told.changes for event in change.events} & {"belied", "jumped", "contradicted"} == set()
    assert sum(held) >= 0.9 * len(held)
    assert len(told.at(UNTIL)) >= 2


@pytest.mark.parametrize("seed", range(6))
def test_one_that_says_where_its_lorry_stood_is_told(seed, World, Told):
    told, _ = followed(World, Told, seed, 10.0, says=hangs)
    assert {event.device for event in told.events("belied")} == {"TAG"}
    [row] = rows(Told, told, UNTIL, "TAG")
    assert math.dist(Told.where(row), first(UNTIL)) < 60.0


@pytest.mark.parametrize("seed", range(6))
def test_one_that_stays_on_its_lorry_goes_with_it(seed, World, Told):
    told, held = followed(World, Told, seed, 10.0, says=first)
    assert told.events("belied") == [] and sum(held) >= 0.9 * len(held)
