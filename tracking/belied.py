"""Whether looks belie what a track's receiver says of its place: they go on seeing what it was on, and nothing where it says.

Beside each identified track that looks see stands its *shadow*: a contact (``contacts.Contact.of``) that is fed by what looks
show of the track and never by its fixes.  As long as both are one, the shadow is nobody's concern.  Where the fixes part from
what looks see (the shadow is seen elsewhere than where the fixes have the track; or a fix is refused, and looks see the track
where it was), there is a *doubt*: the track goes by the looks, and what its receiver says is its second place.  Every look
that covers that place and shows nothing there makes it likelier that the receiver lies or was taken off: it would be missed
there with one less the detection probability each time.  With enough of that it is settled, and told.  A look that does show
something there says as much for the receiver: it was moved to another vehicle, or its vehicle parted from a neighbour; then,
and where looks can't say, its own reports decide as ever.

So nothing is claimed where no look covers the place, nor by looks whose reach nobody stated (``BOUNDED_KM2``), nor of an image
now and then; a dead sensor, which sees nothing anywhere, says nothing.  What has long stood beside is a contact of its own
since two were seen, and no shadow.

Who is doubted is part of the contacts' state, so that a late look or fix changes it as if it had come in time.  A receiver is
believed again when its fixes are where the track is, when looks do show something that goes where it says, when no look
has shown the track for a while, or when an operator says so (``take_over``).  Why so: docs/decisions/0027.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from birddog.areas import ring_contains
from birddog.geo import Plane, distance_m
from birddog.units import NS
from tracking.area import ring_km2
from tracking.contact import Contact, Look
from tracking.engine import State
from tracking.measurement import Measurement

#: Looks that showed track and shadow as one before they parted: what was seen less often may have been somebody else.
SAME_LOOKS = 6
#: A fix with a NIS over this (2 degrees of freedom) about the shadow is not where that is, under half of it it is; a sighting
#: with one under the other may be what is where a receiver says.
APART_NIS, NEAR_NIS = 9.0, 13.8
#: It is settled with so much evidence (natural logarithm of odds), of so many looks and fixes: an honest receiver would have
#: been missed by that many looks by bad luck once in four hundred times.  One look says no more than ``MISS_MOST``.
SETTLED, LOOKS_LEAST, FIXES_LEAST, MISS_MOST = 6.0, 3, 2, 2.3
#: There is a doubt when so many looks in a row saw the shadow of a track elsewhere than its fixes are, and nothing there; one,
#: where the filter did not believe the fix either.
DOUBT_LOOKS = 2
#: A look that does show something where it says; under ``PARTED`` there are two things.
SEEN, PARTED = 4.0, -3.0
#: Nobody's fixes are held back by a doubt that was not settled in so many looks: of sensors that see one in two or less.
UNDECIDED = 8
#: Nearer than this, m, it may be the receiver's antenna, a reflection, the radar's own alignment; on a ship more.
NEAR_M, NEAR_SHIP_M = 40.0, 300.0
#: A footprint of more than this is that of nobody who knows how far the sensor looks (``opsroom.detections.FAR_M``).
BOUNDED_KM2 = 100_000.0
#: Without a look that shows the track for so long, s and looks, nothing belies its receiver any more; a doubt that is not
#: settled holds its fixes back for so many looks.
LAPSES_S, LAPSES_LOOKS, HELD_LOOKS = 60.0, 5.0, 4.0
#: So many of its fixes in a row where the track is, or looks that show something that goes where it says, and it is believed.
FIXES_AGREE, LOOKS_AGREE = 3, 3
#: How well it is known, m/s, where it would say that it is by now: it goes on as what looks see does, give or take.
CLAIM_MPS = 3.0


class Said(msgspec.Struct, frozen=True):
    """What the one receiver of an identified track says at a look.

    Args:
        fix: its newest fix, used or not; used_ns: its newest that was used.
        lat_deg, lon_deg: where the track is.
        least_m: nearer than this to it nothing else is said.
        agrees: of one that is doubted, so many of its newest fixes in a row are where the track is.
        goes: of one that is doubted, where its fixes go: (anchor lat_deg, lon_deg, state).
    """

    fix: Measurement
    used_ns: int
    lat_deg: float
    lon_deg: float
    least_m: float
    agrees: int = 0
    goes: tuple[float, float, State] | None = None


class Place(msgspec.Struct, frozen=True):
    """Where something is at a look, with a variance per axis, m²."""

    lat_deg: float
    lon_deg: float
    r: float


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """A receiver whose word is doubted.

    Args:
        state: ``held`` while that is not settled; ``left`` when looks could not settle it: its own fixes decide.
        since_ns: the first look that saw its track elsewhere; told_ns: the last one that was weighed.
        looks, misses, odds: looks that saw its track elsewhere; that showed nothing where it says; what they say.
        fixes: so many said so, the newest at fix_ns.
        sensor: whose look was the last of them.
        lat_deg, lon_deg: where it says it is; apart_m: how far from its track.
        seen_ns: when a look last showed the track; lapse_ns: without one for so long it is believed again.
        there: looks in a row in which something goes where it says.
    """

    state: Literal["held", "settled", "left"]
    device: str
    since_ns: int
    told_ns: int
    looks: int
    misses: int
    odds: float
    fixes: int
    fix_ns: int
    sensor: str
    lat_deg: float
    lon_deg: float
    apart_m: float
    seen_ns: int
    lapse_ns: int
    there: int = 0

    def holds(self, device: str, time_ns: int) -> bool:
        """Whether a receiver's fix of a time moves nothing."""
        return self.state != "left" and device == self.device and time_ns - self.seen_ns <= self.lapse_ns

    def text(self) -> str:
        """The evidence, for people."""
        return (f"{self.device} says that it is {self.apart_m:.0f} m from where {self.sensor} goes on seeing what it was on; "
                f"{self.misses} looks over that place in {(self.told_ns - self.since_ns) / NS:.0f} s show nothing there: "
                "it lies, or was taken off")  # fmt: skip


def sees(look: Look) -> bool:
    """Whether what a look does not show is not there, so that it may belie somebody."""
    return look.complete and not look.imagery and ring_km2(look.footprint) <= BOUNDED_KM2


def weighed(c: Contact, said: Said, at: Place, v: tuple[float, float], spot: int, look: Look) -> Contact:
    """A shadow after a look that saw it.

    Args:
        at: where it is by now, and v: how fast it goes east and north, m/s.
        spot: which sighting it is.
    """
    if not (said.fix.time_ns > c.before_ns or c.apart):  # it says nothing new
        return c
    claim = _claim(said, v, look)
    nis = _nis(claim, at.lat_deg, at.lon_deg, at.r)
    if nis < APART_NIS:
        return msgspec.structs.replace(c, apart=0, odds=0.0, misses=0) if nis < APART_NIS / 2.0 else c
    made = _evidence(claim, spot, look)
    return msgspec.structs.replace(
        c, apart=c.apart + 1, odds=c.odds + (made or 0.0), misses=c.misses + (made is not None and made > 0.0),
        parted_ns=look.time_ns if c.apart == 0 else c.parted_ns,
    )  # fmt: skip


def is_two(c: Contact) -> bool:
    """Whether a shadow is a thing of its own, as far as looks can say."""
    return c.apart > 0 and (c.odds < PARTED or is_new(c) or c.apart >= UNDECIDED or
                            (c.apart > DOUBT_LOOKS and not c.misses))  # fmt: skip


def is_new(c: Contact) -> bool:
    """Whether a shadow was too seldom seen as one with its track to be anything without it."""
    return c.hits - c.apart < SAME_LOOKS


def doubt_of(c: Contact, said: Said, at: Place, v: tuple[float, float], look: Look) -> Doubt | None:
    """The doubt that begins with a look; None where there is none."""
    need = 1 if said.fix.time_ns > said.used_ns else DOUBT_LOOKS
    if c.apart < need or c.misses < need or is_new(c) or c.odds <= 0.0:
        return None
    claim = _claim(said, v, look)
    apart_m = distance_m(lat1_deg=at.lat_deg, lon1_deg=at.lon_deg, lat2_deg=claim.lat_deg, lon2_deg=claim.lon_deg)
    if apart_m < said.least_m:
        return None
    return Doubt("held", said.fix.device, c.parted_ns, look.time_ns, c.apart, c.misses, c.odds, 1, said.fix.time_ns,
                 look.sensor, claim.lat_deg, claim.lon_deg, apart_m, look.time_ns, int(HELD_LOOKS * c.gap_s * NS))  # fmt: skip


def after(
    doubt: Doubt, said: Said, v: tuple[float, float], spot: int | None, goes: bool, look: Look, gap_s: float
) -> Doubt | None:
    """A doubt after a look; None where there is none any more.

    Args:
        v: how fast the track goes; spot: where it was seen.
        goes: whether a contact goes where its receiver says.
        gap_s: between looks of this sensor.
    """
    if doubt.state == "left":
        return None if said.used_ns > doubt.told_ns or look.time_ns - doubt.seen_ns > doubt.lapse_ns else doubt
    if said.agrees >= (FIXES_AGREE if doubt.state == "settled" else 1):
        return None
    seen_ns = look.time_ns if spot is not None else doubt.seen_ns
    if look.time_ns - seen_ns > doubt.lapse_ns:
        return None
    doubt = msgspec.structs.replace(doubt, seen_ns=seen_ns)
    if spot is None or not sees(look):
        return doubt
    if doubt.state == "settled":
        there = doubt.there + 1 if goes else 0
        return None if there >= LOOKS_AGREE else msgspec.structs.replace(doubt, there=there)
    claim = _claim(said, v, look)
    made = _evidence(claim, spot, look)
    if made is None:
        return doubt
    apart_m = distance_m(lat1_deg=said.lat_deg, lon1_deg=said.lon_deg, lat2_deg=claim.lat_deg, lon2_deg=claim.lon_deg)
    doubt = msgspec.structs.replace(
        doubt, looks=doubt.looks + 1, misses=doubt.misses + (made > 0.0), odds=doubt.odds + made, told_ns=look.time_ns,
        fixes=doubt.fixes + (said.fix.time_ns > doubt.fix_ns), fix_ns=said.fix.time_ns, sensor=look.sensor,
        lat_deg=claim.lat_deg, lon_deg=claim.lon_deg, apart_m=apart_m,
    )  # fmt: skip
    if doubt.odds < PARTED or doubt.looks >= UNDECIDED:
        return msgspec.structs.replace(doubt, state="left", lapse_ns=int(LAPSES_S * NS))
    if (doubt.odds >= SETTLED and doubt.misses >= LOOKS_LEAST and doubt.fixes >= FIXES_LEAST
            and doubt.apart_m >= said.least_m):  # fmt: skip
        return msgspec.structs.replace(doubt, state="settled", lapse_ns=int(max(LAPSES_S, LAPSES_LOOKS * gap_s) * NS))
    return doubt


def _claim(said: Said, v: tuple[float, float], look: Look) -> Place:
    """Where a receiver says that it is, gone on to a look as what looks see goes."""
    fix, dt_s = said.fix, (look.time_ns - said.fix.time_ns) / NS
    lat, lon = Plane(lat_deg=fix.lat_deg, lon_deg=fix.lon_deg).geodetic(v[0] * dt_s, v[1] * dt_s)
    return Place(lat, lon, max(fix.r_ee, fix.r_nn) + (CLAIM_MPS * dt_s) ** 2)


def _evidence(claim: Place, spot: int, look: Look) -> float | None:
    """What a look that saw a track at one of its sightings says against where its receiver claims to be; None: nothing.

    It was missed there, unless that sighting is of there; what is seen beside it may be.
    """
    if not sees(look) or not ring_contains(look.footprint, lat_deg=claim.lat_deg, lon_deg=claim.lon_deg):
        return None
    nis = [_nis(claim, one.lat_deg, one.lon_deg, max(one.r_ee, one.r_nn)) for one in look.spots]
    if any(i != spot and one <= NEAR_NIS for i, one in enumerate(nis)):
        return -SEEN
    return min(nis[spot] / 2.0 - 1.0, -math.log(1.0 - look.pd), MISS_MOST)


def _nis(claim: Place, lat_deg: float, lon_deg: float, r: float) -> float:
    away_m = distance_m(lat1_deg=claim.lat_deg, lon1_deg=claim.lon_deg, lat2_deg=lat_deg, lon2_deg=lon_deg)
    return away_m * away_m / (claim.r + r)
