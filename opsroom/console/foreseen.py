"""What the console answers of what is about to happen (docs/http-api.md): forecasts and arrivals, with how good they were."""

from __future__ import annotations

import msgspec


class ArchiveView(msgspec.Struct, frozen=True, kw_only=True):
    """The archive that an answer rests on; ``sha256`` is that of its ``archive.json``."""

    sha256: str
    version: str
    fixes: int
    tracks: int
    first: str | None
    last: str | None


class KnownView(msgspec.Struct, frozen=True, kw_only=True):
    """What of the track was looked at: so many fixes, the last of this time."""

    fixes: int
    last: str


class RegionView(msgspec.Struct, frozen=True, kw_only=True):
    """All places that are not odder than so: polygons of rings of (lon_deg, lat_deg), several where futures are apart."""

    level: float
    area_km2: float
    polygons: list[list[list[tuple[float, float]]]]


class BacktestView(msgspec.Struct, frozen=True, kw_only=True):
    """How good the archive's own past was told, at the nearest horizon that is kept, of what moves or stands as this track."""

    horizon_min: float
    outcomes: int
    mean_error_m: float
    median_error_m: float
    held_50: float
    held_90: float


class OwnView(msgspec.Struct, frozen=True, kw_only=True):
    """What would have been said of this very track one horizon before its last fix, held against that."""

    asked: str
    error_m: float
    in_50: bool
    in_90: bool


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a track will be.

    The discs of ``r50_m`` and ``r90_m`` about the point, and the regions, hold half and nine tenths of what comes.
    ``neighbours`` is how much the archive has that is like this, in perfect neighbours; ``outcomes`` how many stand behind the
    widths (0: they are a guess).
    """

    horizon_min: float
    time: str
    lat_deg: float
    lon_deg: float
    r50_m: float
    r90_m: float
    moving: bool
    neighbours: float
    outcomes: int
    regions: list[RegionView]
    backtest: BacktestView | None
    own: OwnView | None


class ArrivalView(msgspec.Struct, frozen=True, kw_only=True):
    """When a track will be within ``radius_m`` of a place: 10, 50 and 90 in a hundred arrive by then.

    ``used``: others of the archive went there from here; else it is the straight way at the own speed, with a wide guess.
    """

    place: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    p10: str
    p50: str
    p90: str
    used: bool
    outcomes: int


class Forecasts(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of one track as of ``t0``; where there is nothing, ``why`` says why."""

    track_id: str
    t0: str
    why: str = ""
    model: str = ""
    archive: ArchiveView | None = None
    known: KnownView | None = None
    forecasts: list[ForecastView] = []
    arrivals: list[ArrivalView] = []
