"""What an image showed once and the next ones did not (clutter) takes no sighting of a known ship that passes there later."""

from __future__ import annotations

import random

import pytest

from birddog.model import Flag, Scan
from birddog.units import NS

T0 = 1_790_000_000
EVERY_S, LOOKS, CLUTTER_AT, PASSES_AT = 60.0, 17, 6, 13


def scene(World, k: int, places) -> Scan:
    """A look from above that shows these places."""
    flags = []
    for i, (e, n) in enumerate(places):
        lat, lon = World.HOME.geodetic(e, n)
        flags.append(Flag(flag_id=f"{k}-{i}", detector="cfar", score=9, pfa=1e-6, col=0, row=0, bbox_px=(0, 0, 1, 1),
                          lat_deg=lat, lon_deg=lon, r_ee=225.0, r_en=0.0, r_nn=225.0))  # fmt: skip
    return Scan(scan_id=f"s{k}", sensor="sar", time_ns=round((T0 + 30 + EVERY_S * k) * NS), pd=0.9, clutter_per_km2=0.01,
                footprint=World.ring(-6000, 6000, -6000, 6000), flags=tuple(flags))  # fmt: skip


@pytest.mark.parametrize("speed_mps", [5.0, 9.0])
@pytest.mark.parametrize("beside_m", [20.0, 60.0, 110.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_known_ship_keeps_its_sighting_where_it_passes_what_was_clutter(seed, beside_m, speed_mps, World, Told):
    rng, told = random.Random(seed), Told()
    for k in range(LOOKS):
        ship = (speed_mps * EVERY_S * (k - PASSES_AT), 0.0)
        places = [tuple(x + rng.gauss(0, 12) for x in ship)] + ([(0.0, beside_m)] if k == CLUTTER_AT else [])
        told.add(30.5 + EVERY_S * k, "scan", scene(World, k, places))
        if k >= 4:
            [row] = Told.near(told.at(31.0 + EVERY_S * k), *ship, 60.0)
            assert (row.track_id, row.hits) == ("T2", k + 1), k
    assert len({event.event_id for event in told.events("dark_vessel")}) == 2, "the ship and, once, what was clutter"
