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
KINDS = ("stop", "encounter", "loiter", "gap", "cotravel")

#: Pairs and loitering are judged at multiples of this of POSIX time, each vessel's position interpolated between two fixes.
GRID_S = 600
GRID_NS = GRID_S * NS
#: Between two fixes further apart nothing is interpolated; it is also what makes a silence a gap.
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
    while in its first hour ``heard`` fixes of others or more came from within about ``near_m``; else false.
    """

    least_s: float = HOLE_S
    times: float = 5.0
    habit: int = 4
    intervals: int = 10
    heard: int = 5
    near_m: float = 50_000.0


class Encounter(Struct, frozen=True):
    """Two within ``radius_m``, both slower than ``speed_mps``, at each point of the grid for ``least_s``."""

    radius_m: float = 500.0
    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 7200.0


class Loiter(Struct, frozen=True):
    """Slower than ``speed_mps`` on average of each hour for ``least_s``, most of it more than ``drift_m`` from where it began.

    What keeps within ``drift_m`` is a stop and no loitering.
    """

    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 4 * 3600.0
    drift_m: float = 500.0


class Cotravel(Struct, frozen=True):
    """One moves where the other was ``lag`` ago: within ``radius_m`` of its way, at one lag (to ``lag_tolerance_s``) of at most
    a step of the grid, both faster than ``speed_mps``, for ``least_s`` of moving; a point of the grid may be missing."""

    radius_m: float = 450.0
    lag_tolerance_s: float = 60.0
    speed_mps: float = 2.0 * KNOT_MPS
    least_s: float = 3600.0
    missing_s: float = 1200.0


class Rules(Struct, frozen=True):
    """Every parameter; ``reach_mps`` is what no craft that comes back to where it was a fix ago has gone at."""

    stop: Stop = Stop()
    gap: Gap = Gap()
    encounter: Encounter = Encounter()
    loiter: Loiter = Loiter()
    cotravel: Cotravel = Cotravel()
    reach_mps: float = 60.0


class Event(Struct, frozen=True, gc=False):
    """Something that happened or is happening.

    Args:
        ids: whose; a pair in the order of the words (the follower of a co-travel second).
        start_ns, end_ns: of the first and last fix or point of the grid that belong to it; ``end_ns`` None while it lasts.
        last_ns: how far it is known to reach; ``end_ns`` once it has ended.
        confidence: the share of it that was observed, 0 to 1 (docs/events.md says of what); no probability of a crime.
        measures: what was measured, names with units.
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

    @property
    def key(self) -> tuple[str, tuple[str, ...], int]:
        """What stays the same while an event goes on."""
        return self.kind, self.ids, self.start_ns
