"""Whether a passive tag that looks carry is on what reports beside it: they go on showing one thing where there are two tracks.

Two that cross while the fixes of one are late may be taken for each other; a tag that is read just then goes on with the
other's sightings, and from the next fix on one vehicle has two identified tracks.  Looks tell: of two things they would miss
the one or the other now and then and mostly show both.  From when both tracks are at one place each look that shows one of
them only makes it likelier that there is one, a sequential test as in ``belied``; a look that shows both says much more for
two, and a second one (the first may have shown clutter) ends that, until they have been apart.  What no look has carried (a
parcel, which no radar sees) is not asked, nor is what goes apart from it while looks show nothing of it.

While it rides it is lent the sightings of what it is on, and competes for none.  It is a thing of its own again when looks
show another there, or when it is somewhere else (it was read there).  That is part of the contacts' state: a late look or fix
changes it as if it had come in time.
"""

from __future__ import annotations

import math

import msgspec

from tracking.belied import MISS_MOST, RESOLVED_M, SEEN

#: It is settled with so much evidence (natural logarithm of odds) of so many looks: two that looks would show as two only each
#: third time have been shown so by then.  Two that looks have shown so often are two.
SETTLED, LOOKS_LEAST, TWICE = 8.0, 8, 2
#: At one place: Mahalanobis² of position and velocity (4 degrees of freedom), and no further apart than radars tell two apart.
ONE_D2, ONE_M = 9.0, RESOLVED_M


class Alongside(msgspec.Struct, frozen=True, array_like=True):
    """A passive tag's track and the one that reports at its place; or what reports too, and goes along with that.

    Args:
        track_id: the one that reports.
        odds, looks: what so many looks that showed one of the two say for one thing.
        two: so many looks have shown both since they are at one place.
        asked_ns: the last look that might have shown them.
        reports: it reports, and its fixes say how long it is on the other (``sharing``).
        left: of one that does, where it was by looks when it was found to go along: (time, lat_deg, lon_deg, speed in m/s).
    """

    track_id: str
    asked_ns: int
    odds: float = 0.0
    looks: int = 0
    two: int = 0
    reports: bool = False
    left: tuple[int, float, float, float] | None = None

    @property
    def rides(self) -> bool:
        """Whether the one is on the other."""
        return self.reports or (self.two < TWICE and self.odds >= SETTLED and self.looks >= LOOKS_LEAST)

    def shown(self, seen: int, pd: float) -> Alongside:
        """After a look that showed so many of the two.

        Of one thing it shows one with the detection probability, of two with twice that of the one without the other.
        A look that shows neither says nothing: both may be hidden.
        """
        if seen == 2:
            odds = min(self.odds, SETTLED) - SEEN
            return msgspec.structs.replace(self, odds=odds, two=min(self.two + 1, TWICE))
        if seen == 0 or self.two >= TWICE:
            return self
        says = min(-math.log(2.0 * (1.0 - pd)), MISS_MOST)
        return msgspec.structs.replace(self, odds=self.odds + says, looks=self.looks + 1)
