"""What the console answers of what is about to happen (docs/http-api.md): forecasts, arrivals, and patterns of places."""

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
    """How good the archive's own past was told, at the nearest horizon that is kept, of what moves or stands as this track.

    ``held_50``, ``held_90``: the share that the regions held, ``disc_50``, ``disc_90``: the discs; each outcome is judged by
    the widths that other tracks make.  ``lately_times``: the median miss in the last quarter of its time over that before;
    ``drifted``: that, or the miss over what the widths allow, is more than chance.
    """

    horizon_min: float
    outcomes: int
    mean_error_m: float
    median_error_m: float
    held_50: float
    held_90: float
    disc_50: float
    disc_90: float
    lately_times: float | None
    drifted: bool


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

    ``used``: others of the archive went there from here; else it is the straight way at the own speed, a wide guess.
    ``overdue``: from its last fix on it was ``due`` there before the question, and was not heard since: the three are no times
    to wait for.
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
    due: str
    overdue: bool


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


class CellView(msgspec.Struct, frozen=True, kw_only=True):
    """A cell in which something happened, with how long it was looked at; ``ring`` are its corners (lon_deg, lat_deg).

    ``exposure_h`` counts everybody who was seen there, ``watched_h`` hours of the clock; ``rate_per_h`` is events an hour of
    exposure, drawn towards that of all; ``probability_h`` that at least one is seen in an hour of watching, ``per_km2_h``
    that by area.
    """

    events: int
    shipments: int
    exposure_h: float
    rate_per_h: float
    lat_deg: float
    lon_deg: float
    area_km2: float
    watched_h: float
    probability_h: float
    per_km2_h: float
    ring: list[tuple[float, float]]


class HourView(msgspec.Struct, frozen=True, kw_only=True):
    """An hour of the week, UTC: 0 is Monday, 00:00 to 01:00."""

    hour: int
    events: int
    shipments: int
    exposure_h: float
    rate_per_h: float


class HubView(msgspec.Struct, frozen=True, kw_only=True):
    """A place where many stop: different shipments, events, its middle and what holds all of them."""

    shipments: int
    events: int
    lat_deg: float
    lon_deg: float
    radius_m: float


class PatternsView(msgspec.Struct, frozen=True, kw_only=True):
    """Places and hours, never who.

    ``teams`` are the cells where a team would see most.
    ``suppressed`` counts what fewer than ``k`` different shipments had part in, or nobody observed.  ``cut``: only the newest
    ``steps`` were looked at, from ``since`` on; ``why`` says why there is nothing.
    """

    kind: str
    since: str
    until: str
    why: str
    steps: int
    cut: bool
    k: int
    cell_m: float
    events: int
    exposure_h: float
    rate_per_h: float
    hubs: list[HubView]
    hours: list[HourView]
    cells: list[CellView]
    suppressed: dict[str, int]
    teams: list[CellView]


class MeetingView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a unit can meet a track, by how probable that is.

    ``reaches``: how probable it is that the track comes within ``radius_m`` at all; ``track_…`` when it would be there,
    ``unit_…`` when the unit is.  ``used``: others of the archive went there from here; else it is the straight way.  ``place``
    is the name of a watched area.
    """

    place: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    probability: float
    reaches: float
    used: bool
    outcomes: int
    track_p10: str
    track_p50: str
    track_p90: str
    unit_p50: str
    unit_p90: str


class InterceptView(msgspec.Struct, frozen=True, kw_only=True):
    """Places, the most probable first; where there are none, ``why`` says why."""

    track_id: str
    t0: str
    why: str = ""
    model: str = ""
    archive: ArchiveView | None = None
    meetings: list[MeetingView] = []


class LookView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be asked for: what it is expected to take off the 90 % region, and where to look.

    ``answers``, ``sigma_m``, ``cost`` and ``lead_min`` are what ``[forecast.looks]`` takes it for; ``told`` is how probable an
    answer is here (of a tile: and the thing in it); ``before_km2`` and ``after_km2``: the region without it, and with it.
    """

    look: str
    answers: float
    sigma_m: float
    told: float
    cost: float
    lead_min: float
    before_km2: float
    after_km2: float
    per_cost_km2: float
    lat_deg: float
    lon_deg: float
    side_m: float


class BarredView(msgspec.Struct, frozen=True, kw_only=True):
    """A look that no authority allows now, and why."""

    look: str
    why: str


class LooksView(msgspec.Struct, frozen=True, kw_only=True):
    """Looks by how many km² they are expected to take off the 90 % region at a horizon, a unit of cost.

    ``guess``: the archive knows too few outcomes so far ahead, the regions are a guess.
    """

    track_id: str
    t0: str
    why: str = ""
    model: str = ""
    horizon_min: float = 0.0
    guess: bool = False
    archive: ArchiveView | None = None
    looks: list[LookView] = []
    barred: list[BarredView] = []
