"""``[imagery]``: what the configuration says of the watched folder, apart from what it takes to look at a scene."""

from __future__ import annotations

from typing import Annotated

import msgspec

#: The side of a tile, pixels.
DEFAULT_TILE_PX = 2048


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[imagery]``.

    Args:
        folder: where scenes appear; the ledger lies in it unless ``ledger`` names a file.
        sensor: the name under which looks and sightings enter the journal.
        detector, pfa: as of ``birddog scan``; without pfa the detector's own.
        pd: the probability that an object of the kind sought is flagged.
        geolocation_sigma_m: how well the product is placed on Earth, one sigma per axis.
        poll_s: seconds between two looks into the folder; a file is opened at the second that finds it unchanged.
        tile, threads: speed and memory; no flag depends on them.
        bands: from 1; empty takes the detector's own, and both of a stack of two.
        land, shore_m: a file of land and how far out from it nothing is looked at; ``basemap`` is the shipped one, coarse.
        aoi, fixed: files: an area of interest; what stands fixed and is no ship.
        min_length_m, max_length_m: shorter and longer objects are left out.
    """

    folder: str
    sensor: Annotated[str, msgspec.Meta(min_length=1)] = "imagery"
    detector: str = "cfar"
    pfa: Annotated[float, msgspec.Meta(ge=1e-12, le=0.01)] | None = None
    pd: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.8
    geolocation_sigma_m: Annotated[float, msgspec.Meta(gt=0.0, le=1e5)] = 15.0
    poll_s: Annotated[float, msgspec.Meta(ge=0.05, le=3600.0)] = 2.0
    tile: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = DEFAULT_TILE_PX
    threads: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    ledger: str | None = None
    bands: tuple[Annotated[int, msgspec.Meta(ge=1, le=64)], ...] = ()
    land: str | None = None
    shore_m: Annotated[float, msgspec.Meta(ge=0.0, le=50_000.0)] | None = None
    aoi: str | None = None
    fixed: str | None = None
    min_length_m: Annotated[float, msgspec.Meta(gt=0.0, le=100_000.0)] | None = None
    max_length_m: Annotated[float, msgspec.Meta(gt=0.0, le=100_000.0)] | None = None
