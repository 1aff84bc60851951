"""``[imagery]``: what the configuration says of the watched folder, apart from what it takes to look at a scene."""

from __future__ import annotations

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
    """

    folder: str
    sensor: str = "imagery"
    detector: str = "cfar"
    pfa: float | None = None
    pd: float = 0.8
    geolocation_sigma_m: float = 15.0
    poll_s: float = 2.0
    tile: int = DEFAULT_TILE_PX
    threads: int = 1
    ledger: str | None = None
