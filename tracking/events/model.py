"""The nouns of events: the rules with their parameters, an event, and what is told of one.

An event is told while it lasts (``end_ns`` None), never cut at midnight or any other hour, and is the same whether fixes
came one by one (``engine.Events``) or as a file (``batch.events``).  Defaults are those of Global Fishing Watch's technical
documentation (encounter, loitering) and of shared data/predict/README.md (stop, gap, encounter's grid); docs/events.md says
each in words.
"""

from __future__ import annotations

import msgspec

from birddog.units import KNOT_MPS, NS

Struct = msgspec.Struct

#: The kinds that tracks alone tell, in the order in which they are printed.
KINDS = ("stop", "encounter", "loiter", "gap", "cotravel", "split")
#: The kinds that need places (``places.Places``), and those that need a table of used ways (``ways.Ways``).
PLACE_KINDS = ("visit", "portal", "border")
WAY_KINDS = ("lane_stop", "deviation")
ALL_KINDS = KINDS + PLACE_KINDS + WAY_KINDS

#: The grid and the hole of the reference's rules (``Rules.grid_s``, ``Rules.hole_s``).
GRID_S = 600
HOLE_S = 3600
#: A distance on the mean sphere is within 0.6 % of the geodesic and a position within metres: a limit is kept to 1 %.
SLACK = 1.01


class Stop(Struct, frozen=True):
    """Greedy maximal runs: every fix within ``radius_m`` of the mean of the run's fixes before it."""

    radius_m: float = 500.0
    least_s: float = 3600.0
    least_fixes: int = 4
    hole_s: float = 6 * 3600.0


class Gap(Struct, frozen=True):
    """A silence longer than ``least_s``; perhaps *switched off*.

    ``switched_off`` is true where the silence is ``times`` the median of the own last intervals (at least ``habit`` known)
    while in its first five steps of the grid ``heard`` fixes of others or more came from within about ``near_m``; else false.
    """

    least_s: float = HOLE_S
    times: float = 5.0
    habit: int = 4
    intervals: int = 10
    heard: int = 5
    near_m: float = 50_000.0


class Encounter(Struct, frozen=True):
    """Two within ``radius_m``, both slower than ``speed_mps``, at each point of the grid for ``least_s``.

    ``apart_s``: only where both were seen apart, by more than the radius, within so long before (0: whatever was before), so
    that two that have lain side by side since they were first heard do not meet.
    """

    radius_m: float = 500.0
    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 7200.0
    apart_s: float = 0.0


class Loiter(Struct, frozen=True):
    """Slower than ``speed_mps`` on average of each ``window_s`` for ``least_s``, mostly over ``drift_m`` from its beginning.

    What keeps within ``drift_m`` is a stop and no loitering.
    """

    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 4 * 3600.0
    drift_m: float = 500.0
    window_s: float = 3600.0


class Cotravel(Struct, frozen=True):
    """One moves where the other was ``lag`` ago: within ``radius_m`` of its way, at one lag (to ``lag_tolerance_s``) of at most
    a step of the grid, both faster than ``speed_mps``, for ``least_s`` of moving; a point of the grid may be missing."""

    radius_m: float = 450.0
    lag_tolerance_s: float = 60.0
    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 3600.0
    missing_s: float = 1200.0


class Split(Struct, frozen=True):
    """Two that travelled together (a co-travel that ended), and that stood or went on together since, are ``apart_m`` further
    from each other than when they last travelled, at a point of the grid at which both were seen, ``within_s`` at most after
    the last such at which they had not parted and ``rest_s`` after they travelled: a load, or a convoy, that parts."""

    apart_m: float = 2000.0
    within_s: float = 3600.0
    rest_s: float = 3600.0


class Visit(Struct, frozen=True):
    """In a port or hub: from the first fix in its area (GFW: within 3 km of an anchorage) to the last before one that is over
    ``beyond_m`` outside it (GFW: 4 km), once two fixes in a row inside said slower than ``slow_mps`` (GFW: 0.5 kn ends a
    stop) for ``stand_s`` in all, or nothing came for ``silent_s`` (GFW's PORT_GAP): what only passes visits nothing."""

    beyond_m: float = 1000.0
    slow_mps: float = 0.5 * KNOT_MPS
    stand_s: float = 1200.0
    silent_s: float = 4 * 3600.0


class Portal(Struct, frozen=True):
    """The straight way between two fixes, no hole apart, goes over a line from one side to the other."""

    hole_s: float = HOLE_S


class Border(Struct, frozen=True):
    """A fix is ``margin_m`` or more inside an area and an earlier one was so outside, or the reverse; between, also over a
    hole, the border was crossed.  What runs along it within the margin crosses nothing."""

    margin_m: float = 100.0


class LaneStop(Struct, frozen=True):
    """A stop (by ``model.Stop``'s rule, these parameters) that begins where others pass and nobody stops.

    That is a cell of the table of ways in which ``least_tracks`` different ones moved, a quarter of their speeds at most were
    under ``lane_mps`` (shared research/predict.md: 2 km, 3, 4 kn, 30 min), and ``stood_share`` of those that were there at
    most stood.
    """

    radius_m: float = 300.0
    least_s: float = 1800.0
    least_fixes: int = 3
    hole_s: float = 6 * 3600.0
    least_tracks: int = 3
    lane_mps: float = 4.0 * KNOT_MPS
    stood_share: float = 0.1

    @property
    def stop(self) -> Stop:
        """The rule of the stop itself."""
        return Stop(self.radius_m, self.least_s, self.least_fixes, self.hole_s)


class Deviation(Struct, frozen=True):
    """Off the usual way: what had moved (over ``speed_mps``) on used ways for ``before`` fixes in a row moves where fewer than
    ``few`` of the archive did, in the nine cells around and within an eighth of a circle of its course, for ``least_fixes``,
    ``least_s`` and to ``away_m`` from where it left; until it is on a used way again, or a hole."""

    speed_mps: float = 2.0 * KNOT_MPS
    before: int = 3
    few: int = 2
    least_fixes: int = 3
    least_s: float = 1800.0
    away_m: float = 3000.0


class Rules(Struct, frozen=True):
    """Every parameter.

    Args:
        reach_mps: what no craft that comes back to where it was a fix ago has gone at.
        grid_s: pairs and loitering are judged at multiples of this of POSIX time, a position interpolated between two fixes.
        hole_s: between two fixes further apart nothing is interpolated.
        thin_s: of the fixes of one vessel in each such part of POSIX time the first alone is looked at; 0: all are.
    """

    stop: Stop = Stop()
    gap: Gap = Gap()
    encounter: Encounter = Encounter()
    loiter: Loiter = Loiter()
    cotravel: Cotravel = Cotravel()
    split: Split = Split()
    visit: Visit = Visit()
    portal: Portal = Portal()
    border: Border = Border()
    lane_stop: LaneStop = LaneStop()
    deviation: Deviation = Deviation()
    reach_mps: float = 60.0
    grid_s: int = GRID_S
    hole_s: int = HOLE_S
    thin_s: int = 0

    @property
    def grid_ns(self) -> int:
        """A step of the grid."""
        return self.grid_s * NS

    @property
    def hole_ns(self) -> int:
        """The longest silence that is interpolated over."""
        return self.hole_s * NS

    @property
    def seen_s(self) -> float:
        """Two fixes no further apart show all that is between them."""
        return 2.0 * self.grid_s


#: The reference's rules are made for fixes every quarter of an hour and events of hours; these are for a live picture, in
#: which a quarter of an hour is long: what stands for 5 minutes, meets for 5, is silent for 6 while others are heard.
QUICK = Rules(
    stop=Stop(radius_m=100.0, least_s=300.0, least_fixes=4, hole_s=1800.0),
    gap=Gap(least_s=360.0, near_m=20_000.0),
    encounter=Encounter(radius_m=150.0, least_s=300.0, apart_s=1800.0),
    loiter=Loiter(least_s=1800.0, drift_m=200.0, window_s=600.0),
    cotravel=Cotravel(radius_m=100.0, lag_tolerance_s=15.0, least_s=600.0, missing_s=120.0),
    split=Split(apart_m=400.0, within_s=1800.0, rest_s=12 * 3600.0),
    visit=Visit(beyond_m=200.0, stand_s=120.0, silent_s=1800.0),
    portal=Portal(hole_s=600.0),
    border=Border(margin_m=50.0),
    lane_stop=LaneStop(radius_m=100.0, least_s=300.0, least_fixes=4, hole_s=1800.0),
    deviation=Deviation(least_s=300.0, away_m=1000.0),
    grid_s=60, hole_s=600, thin_s=20,
)  # fmt: skip
RULES = {"reference": Rules(), "quick": QUICK}


class Event(Struct, frozen=True, gc=False):
    """Something that happened or is happening.

    Args:
        ids: whose; a pair in the order of the words (the follower of a co-travel second).
        start_ns, end_ns: of the first and last fix or point of the grid that belong to it; ``end_ns`` None while it lasts.
        last_ns: how far it is known to reach; ``end_ns`` once it has ended.
        confidence: the share of it that was observed, 0 to 1 (docs/events.md says of what); no probability of a crime.
        measures: what was measured, names with units.
        place: the port, line or area that it is about.
    """

    kind: str
    ids: tuple[str, ...]
    start_ns: int
    end_ns: int | None
    last_ns: int
    lat_deg: float
    lon_deg: float
    confidence: float
    measures: dict[str, float | int | bool | None]
    place: str = ""

    @property
    def key(self) -> tuple[str, tuple[str, ...], int, str]:
        """What stays the same while an event goes on."""
        return self.kind, self.ids, self.start_ns, self.place
