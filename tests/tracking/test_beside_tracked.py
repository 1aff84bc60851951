"""Two vehicles stand side by side, and the other one has a tracker or a passive tag of its own: either may have the parcel."""

from __future__ import annotations

import math

import pytest

from birddog.model import FrameBody, Placement, TagRead
from birddog.units import NS
from tests.tracking.test_transfer import NEVER, PARTS, STANDS, devices, holds, lorry, meeting, rows

T0_S, EVERY = 1_790_000_000, 180.0
#: The parcel changes over, if it does; one that has reported since, before the first lorry left, is known to be where it is.
OVER = (STANDS + PARTS) / 2.0


def reports(made, name: str) -> list[float]:
    """When a receiver says where it is."""
    return sorted(body.observations[0].time_ns / NS - T0_S for _, body in made
                  if isinstance(body, FrameBody) and body.device == name)  # fmt: skip


def open_rows(World, Told, gap: float, own: str, *, stays: bool):
    """(row, where it is) of the parcel from when the first lorry left until it reports again, of scenes in which it has not
    reported since it may have changed over.
    """
    for seed in range(16):
        made, tag = meeting(World, seed, EVERY, gap=gap, creeps=0.0, own="L2" if own == "tracker" else "", parts=NEVER,
                            says=(lambda t: lorry(t, 90.0, 50.0, 0.0, 0.0)) if stays else None)  # fmt: skip
        where = (lambda t: lorry(t, 90.0, 50.0, 0.0, 0.0)) if stays else tag
        next_s = min(t for t in reports(made, "TAG") if t >= OVER)
        if next_s < PARTS + 40.0:
            continue
        told = Told(*devices(EVERY))
        if own == "passive":
            lat, lon = World.HOME.geodetic(0.0, gap)
            told.add(0.0, "placement", Placement(device="gate", lat_deg=lat, lon_deg=lon, range_m=10.0))
            read = TagRead(device="gate", time_ns=round((T0_S + STANDS - 20.0) * NS), epc="urn:epc:id:sgtin:0614141.812345.400")
            made.append((STANDS - 19.8, FrameBody(format="f", version=1, payload=b"", device="gate", observations=(read,))))
        waiting = sorted(made, key=lambda pair: pair[0])
        for tau in range(int(PARTS) + 20, int(next_s), 5):
            while waiting and waiting[0][0] <= tau:
                told.take([waiting.pop(0)])
            [row] = rows(Told, told, tau, "TAG")
            yield row, where(tau)


@pytest.mark.parametrize("own", ["tracker", "passive"])
@pytest.mark.parametrize("gap", [15.0, 30.0])
@pytest.mark.parametrize("stays", [False, True])
def test_until_it_reports_the_row_holds_both(own, gap, stays, World, Told):
    held, second = [], 0
    for row, place in open_rows(World, Told, gap, own, stays=stays):
        held.append(holds(Told, row, place))
        second += row.rival_lat_deg is not None
    assert len(held) > 50
    assert sum(held) >= 0.9 * len(held) and second >= 0.75 * len(held)


def test_who_stands_beside_another_with_a_tracker_has_one_place(World, Told):
    """Nobody drives off: neither row has a second symbol."""
    made, _ = meeting(
        World, 3, 60.0, gap=25.0, creeps=0.0, own="L2", parts=NEVER, says=lambda t: lorry(t, 90.0, 50.0, 0.0, 0.0)
    )
    made = [(t, body) for t, body in made if t < PARTS - 10.0]
    told, waiting = Told(*devices(60.0)), sorted(made, key=lambda pair: pair[0])
    for tau in range(int(STANDS) + 30, int(PARTS) - 10, 5):
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        for row in told.at(tau):
            assert row.rival_lat_deg is None
            assert math.sqrt(row.p_ee + row.p_nn) < 40.0
