"""The nouns of what is seen: one look of a sensor, and what an anonymous contact is beside its bank of motions."""

from __future__ import annotations

import math

import msgspec

from birddog.model import TimeSource
from tracking.area import Ring
from tracking.assign import Spot

#: What has been seen beyond doubt may be where no look sees it (behind a house, in a tunnel, a sensor's blind minute): one
#: thing in so many.
HIDES = 1e-2
#: Under this score a contact is dropped; a shadow with it is lost, and waits for what came into view since.
DEAD = -2.0


class Look(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One sensor at one time: what it saw, and where it could have seen something.

    Args:
        scan: its name where it has one; parts of one look that come in one by one have the same.
        footprint: empty where it is not known, or while parts of the look are still to come: then nothing counts as missed.
        imagery: a single look from above, whose contacts live longer and are told of at once.
        time_source: ``server`` where the time is a guess: who was near then is not known, so that nothing is called dark
            by it and nothing counts as missed.
    """

    sensor: str
    time_ns: int
    spots: list[Spot]
    pd: float
    density_per_km2: float
    scan: str = ""
    footprint: Ring = ()
    imagery: bool = False
    time_source: TimeSource = "device"

    @property
    def key(self) -> tuple[int, str, str]:
        """Two of one key are parts of one look."""
        return (self.time_ns, self.sensor, self.scan)

    @property
    def complete(self) -> bool:
        """Whether what is not in it was missed."""
        return bool(self.footprint) and self.time_source != "server"


class Contact(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a contact is beside its bank.

    Args:
        name: follows from its first sighting, so that a second run gives the same.
        lat0_deg, lon0_deg: the anchor of its bank.
        before_ns: the sighting before the last.
        lat_deg, lon_deg, r: where it was last seen, and its variance there per axis.
        gap_s: the time between looks of its sensor that is to be expected.
        twin: looks in a row in which it and one rider were one.
        flag: the flag that its newest sighting was, if it was one.
        rarity: how rare a flag like its rarest is on background (a log); infinite where nobody says it, or it was seen again.
        proof: the log-likelihood ratios of its sightings, without any bound.
        unseen: the log of the chance that the looks since its last sighting missed it, had they been able to see it.
        spot: where it last began to stay (lat_deg, lon_deg, variance per axis), and moved_ns: when it last left such a spot.
        of: the identified track of which it is the shadow (``belied``); then apart: looks in a row that saw it elsewhere than
            its track, the first at parted_ns; misses: those that saw nothing where that claims to be; odds: what they say.
        was: the identified track of which it was the shadow until looks showed something where that claims to be.
        two: the identified track that looks showed beside it last, both of them in one look, and both: in so many looks.
    """

    name: str
    lat0_deg: float
    lon0_deg: float
    score: float
    hits: int
    confirmed: bool
    first_ns: int
    seen_ns: int
    before_ns: int
    lat_deg: float
    lon_deg: float
    r: float
    sensors: tuple[str, ...]
    imagery: bool = False
    dark: bool = False
    gap_s: float = 0.0
    twin: int = 0
    flag: str = ""
    proof: float = 0.0
    unseen: float = 0.0
    spot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    moved_ns: int | None = None
    rarity: float = math.inf
    of: str = ""
    apart: int = 0
    parted_ns: int = 0
    misses: int = 0
    odds: float = 0.0
    was: str = ""
    two: str = ""
    both: int = 0

    @property
    def goes_along(self) -> bool:
        """Whether it is the shadow of a track with which it goes along: that one's row is its own."""
        return self.of != "" and self.apart == 0
