"""What of a scene is asked, and what of it counts: bands, land, an area of interest, fixed objects, lengths."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from birddog.errors import ConfigError, UsageError
from imagery import places
from imagery.settings import Settings

#: The shore's width where the land is the basemap's and nothing was said, m: about what the basemap is off by.
BASEMAP_SHORE_M = 1000.0


class Only(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``birddog scan`` and ``[imagery]`` that leave something out.

    Args:
        bands: from 1; empty takes the detector's own.
        land: a GeoJSON, a GeoTIFF (land where not 0), or ``basemap``; None leaves nothing out and only marks.
        shore_m: how far out from the land nothing is looked at; None takes 0, of the basemap BASEMAP_SHORE_M.
        aoi: a GeoJSON: nothing outside is looked at.
        fixed: a GeoJSON or CSV of what stands fixed: a flag there is no ship.
        min_length_m, max_length_m: shorter and longer objects are left out.
    """

    bands: tuple[int, ...] = ()
    land: str | None = None
    shore_m: float | None = None
    aoi: str | None = None
    fixed: str | None = None
    min_length_m: float | None = None
    max_length_m: float | None = None

    @property
    def shore(self) -> float:
        """The shore's width, m."""
        if self.shore_m is not None:
            return self.shore_m
        return BASEMAP_SHORE_M if self.land == places.BASEMAP_NAME else 0.0

    def check(self) -> None:
        """Raises UsageError where an option is out of range or its file cannot be used."""
        if self.shore_m is not None and not 0.0 <= self.shore_m <= 50_000.0:
            raise UsageError("wants 0 to 50000 m", field="--shore")
        if self.shore_m and self.land is None:
            raise UsageError("is the width of a shore: name the land", field="--shore")
        for name, length in (("--min-length", self.min_length_m), ("--max-length", self.max_length_m)):
            if length is not None and not 0.0 < length <= 100_000.0:
                raise UsageError("wants metres, up to 100000", field=name)
        if self.min_length_m and self.max_length_m and self.min_length_m > self.max_length_m:
            raise UsageError("lies below --min-length", field="--max-length")
        if len(set(self.bands)) != len(self.bands) or any(band < 1 for band in self.bands):
            raise UsageError("wants each band once, counted from 1", field="--band")
        if self.aoi is not None and not places.load(self.aoi).polygons:
            raise UsageError("holds no polygon", file=self.aoi, field="--aoi")

    def record(self) -> dict[str, Any]:
        """What was asked beyond the defaults, with the hash of each file: for the record, and for whether it is the same."""
        out = {k: v for k, v in msgspec.structs.asdict(self).items() if v is not None and v != ()}
        for name in ("land", "aoi", "fixed"):
            if name in out:
                out[name + "_sha256"] = places.sha256(out[name])
        if self.land is not None:
            out["shore_m"] = self.shore
        if self.land == places.BASEMAP_NAME:
            out["land_is"] = places.BASEMAP_SAID
        return out

    def digest(self) -> str:
        """Of everything that may change a flag; the same wherever the files lie. Empty where nothing is left out."""
        said = {k: v for k, v in self.record().items() if k not in ("land", "aoi", "fixed")}
        return hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest() if said else ""


def only_of(settings: Settings) -> Only:
    """The same of a watched folder.

    Raises:
        ConfigError: an option is out of range or its file cannot be used.
    """
    only = Only(**{f: getattr(settings, f) for f in Only.__struct_fields__})
    try:
        only.check()
        for file in (only.land, only.fixed):
            if file is not None:
                places.sha256(file)
    except UsageError as error:
        raise ConfigError(str(error), field="imagery") from error
    return only
