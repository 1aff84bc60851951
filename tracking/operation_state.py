"""What the fold of one operation keeps, and whose track an observation is for."""

from __future__ import annotations

import msgspec

from tracking.awaited import Awaited
from tracking.battery import Batteries
from tracking.calendar_of_warrants import WarrantCalendar
from tracking.clocks import Clocks
from tracking.deception import Deception
from tracking.doors import Doors
from tracking.facts import Facts
from tracking.look_state import LookState
from tracking.retention import Retention
from tracking.track_state import TrackState
from tracking.zones import Visits


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Whose track an observation is for: its key in its operation, and a name for it.

    ``public``: everybody may hear it, so that it has its track in ``open``.  In another operation this is the view that a case
    has of it.
    """

    operation: str
    key: str
    name: str
    public: bool = False


class Gone(msgspec.Struct, frozen=True, array_like=True):
    """Where a track that was forgotten was last, and at what time."""

    time_ns: int
    lat_deg: float
    lon_deg: float


class OperationState(msgspec.Struct, kw_only=True):
    """All of one operation's fold that a snapshot keeps; ``facts`` in the order in which the devices last stated one, ``gone``
    where what was forgotten was last, by the key of its track, in the order in which that was.

    ``reads``: a tag of it was read.
    """

    operation: str
    tracks: list[TrackState] = []
    clocks: Clocks = msgspec.field(default_factory=Clocks)
    doors: Doors = msgspec.field(default_factory=Doors)
    facts: dict[str, Facts] = {}
    visits: Visits = msgspec.field(default_factory=Visits)
    awaited: Awaited = msgspec.field(default_factory=Awaited)
    batteries: Batteries = msgspec.field(default_factory=Batteries)
    deception: Deception = msgspec.field(default_factory=Deception)
    warrants: WarrantCalendar = msgspec.field(default_factory=WarrantCalendar)
    retention: Retention = msgspec.field(default_factory=Retention)
    looks: LookState | None = None
    reads: bool = False
    gone: dict[str, Gone] = {}
