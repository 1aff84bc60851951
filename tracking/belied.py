"""Whether looks belie what a track's receiver says of its place: they go on seeing what it was on, and nothing where it says.

Beside each identified track that looks see stands its *shadow*: a contact (``contact.Contact.of``) that is fed by what looks
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

Over 400 lines: a doubt's life is one sequential test, from the first look that parts the two to its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import msgspec

from birddog.areas import ring_contains
from birddog.geo import Plane, distance_m
from birddog.units import NS
from tracking.anchor import near_en
from tracking.area import ring_km2
from tracking.assign import Spot
from tracking.contact import Contact, Look
from tracking.engine import State
from tracking.measurement import Measurement
from tracking.registration import UNKNOWN, Registration

#: Looks that showed track and shadow as one before they parted: what was seen less often may have been somebody else.
SAME_LOOKS = 6
#: A fix with a NIS over this (2 degrees of freedom) about the shadow is not where that is, under half of it it is; a sighting
#: with one under the other may be what is where a receiver says.
APART_NIS, NEAR_NIS = 9.0, 13.8
#: It is settled with so much evidence (natural logarithm of odds), of so many looks and fixes: an honest receiver would have
#: been missed by that many looks by bad luck once in four hundred times.  One look says no more than ``MISS_MOST``.
SETTLED, LOOKS_LEAST, FIXES_LEAST, MISS_MOST = 6.0, 3, 2, 2.3
#: Errors of a receiver that last are one piece of evidence, however many fixes have them: a reflection that holds for a minute.
#: Another fix says more after so long, s, or where it is off by another error (NIS, 2 degrees of freedom; a track that turns is
#: not known better than to this variance, m²).
ERROR_LASTS_S, ANOTHER_NIS, OWN_R = 75.0, 9.0, 100.0
#: There is a doubt when so many looks in a row saw the shadow of a track elsewhere than its fixes are, and nothing there; one,
#: where the filter did not believe the fix either, or the shadow, which goes no faster than STANDS_MPS, stood there before it.
DOUBT_LOOKS, STANDS_MPS = 2, 1.0
#: One look that does show something where it says says no more than ``SEEN``; under ``PARTED`` there are two things.  Evidence
#: is kept up to ``MOST``, so that looks that show something there are heard soon.
SEEN, PARTED, MOST = 4.0, -3.0, 8.0
#: A sensor that sees less than one in this many belies nobody: it would take longer than it may be trusted to be the same.
PD_LEAST = 0.5
#: Where it says that it is at the place of what has a receiver of its own, nearer than looks tell two apart, a look says so
#: much only; not more than ``CLOSE_MOST`` of it together, unless what the two were on is seen so far apart, m, that looks would
#: have seen it go over.
MASKED, CLOSE_MOST, OVER_M = 0.5, 4.0, 50.0
#: Two so far apart, m, every radar tells apart.
RESOLVED_M = 100.0
#: Nearer than this, m, it may be the receiver's antenna, a reflection, the radar's own alignment; on a ship more.
NEAR_M, NEAR_SHIP_M = 40.0, 300.0
#: A footprint of more than this is that of nobody who knows how far the sensor looks (``opsroom.detections.FAR_M``).
BOUNDED_KM2 = 100_000.0
BOUNDED_M = 1e3 * math.sqrt(BOUNDED_KM2)
#: What looks have not shown for so long, s and looks, they may show elsewhere: it is not looked for where it would be by now.
LAPSES_S, LAPSES_LOOKS = 60.0, 5.0
#: A doubt that is not settled holds fixes back for so many looks without the track at least, and for as many as would all miss
#: it by bad luck once in a thousand times.
HELD_LOOKS, BAD_LUCK = 4.0, 1e-3
#: What came into view instead is confirmed when it was seen so often.
FOUND_HITS = 3.0
#: For so long without a look that shows the track a receiver that was belied stays so: where it says is its second place.
UNSEEN_S = 1800.0
#: So many of its fixes in a row where the track is, or looks that show something that goes where it says, and it is believed.
FIXES_AGREE, LOOKS_AGREE = 3, 3
#: How well it is known, m/s, where it would say that it is by now: it goes on as what looks see does, give or take; after so
#: long, s, that says nothing.
CLAIM_MPS, CLAIM_S = 3.0, 10.0
#: What is on anything else goes its own way since its fix: a variance, (m/s)² per axis, beside the square of the track's speed.
OWN_WAY = 150.0


class Said(msgspec.Struct, frozen=True):
    """What the one receiver of an identified track says at a look.

    Args:
        fix: its newest fix, used or not; used_ns: its newest that was used.
        lat_deg, lon_deg: where the track is.
        r: its variance per axis, m².
        least_m: nearer than this to it nothing else is said.
        agrees: of one that is doubted, so many of its newest fixes in a row are where the track is.
        goes: of one that is doubted, where its fixes go: (anchor lat_deg, lon_deg, state).
        denied: an operator says that the track is where looks have it.
        earlier: its fixes before that, the newest few.
    """

    fix: Measurement
    used_ns: int
    lat_deg: float
    lon_deg: float
    r: float
    least_m: float
    agrees: int = 0
    goes: tuple[float, float, State] | None = None
    denied: bool = False
    earlier: Callable[[], list[Measurement]] = list


class Place(msgspec.Struct, frozen=True):
    """Where something is at a look, with a variance per axis, m²; and ``wide``: the same, should it go its own way."""

    lat_deg: float
    lon_deg: float
    r: float
    wide: float = 0.0


#: Where a receiver says that something is, and where the sensor that looks would show it.
Claims = tuple[Place, Place]


class Others(msgspec.Struct, frozen=True):
    """What looks see of the other tracks that have a receiver of their own, which is where they see it.

    Args:
        spots: the sightings that are theirs.
        unseen: where those say that they are of whom this look has none.
        stood: the sightings of contacts that stood where they are before the receiver's newest fix.
        lost: most of those that its sensor saw were lost together: it shows nothing of anybody where his receiver says.
    """

    spots: frozenset[int] = frozenset()
    unseen: tuple[Claims, ...] = ()
    stood: frozenset[int] = frozenset()
    lost: bool = False


class Weight(msgspec.Struct, frozen=True):
    """What one look says against a receiver's word: so much, but not more than ``most`` together with all before."""

    made: float
    most: float = MOST

    def added(self, odds: float) -> float:
        """The evidence with it."""
        return odds + self.made if self.made <= 0.0 else max(odds, min(odds + self.made, self.most))


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """A receiver whose word is doubted.

    Args:
        state: ``held`` while that is not settled; ``left`` when looks could not settle it: its own fixes decide.
        since_ns: the first look that saw its track elsewhere; told_ns: the last one that was weighed.
        looks, misses, odds: looks that saw its track elsewhere; that showed nothing where it says; what they say.
        fixes: so many errors said so; the newest since fix_ns, of so many fixes (alike), off the track by off_e, off_n.
        sensor: whose look was the last of them.
        lat_deg, lon_deg: where it says it is; apart_m: how far from its track.
        seen_ns: when a look last showed the track; lapse_ns: without one for so long it is believed again.
        there: looks in a row in which something goes where it says.
        masked: looks that showed only what has a receiver of its own there.
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
    masked: int = 0
    off_e: float = 0.0
    off_n: float = 0.0
    alike: int = 1

    def holds(self, device: str, time_ns: int) -> bool:
        """Whether a receiver's fix of a time moves nothing."""
        return self.state != "left" and device == self.device and time_ns - self.seen_ns <= self.lapse_ns

    def text(self) -> str:
        """The evidence, for people."""
        return (f"{self.device} says that it is {self.apart_m:.0f} m from where {self.sensor} goes on seeing what it was on; "
                f"{self.misses} looks over that place in {(self.told_ns - self.since_ns) / NS:.0f} s show nothing there"
                f"{' but what has a receiver of its own' if self.masked else ''}: it lies, or was taken off")  # fmt: skip


def sees(look: Look) -> bool:
    """Whether what a look does not show is not there, so that it may belie somebody."""
    return look.complete and not look.imagery and look.pd >= PD_LEAST and ring_km2(look.footprint) <= BOUNDED_KM2


def weighed(c: Contact, said: Said, at: Place, claims: Claims, spot: int, look: Look, asked: Callable[[], Others]) -> Contact:
    """A shadow after a look that saw it.

    Args:
        at: where it is by now; claims: where its track's receiver says that is.
        spot: which sighting it is.
        asked: what looks see of the others, which is asked where the two are apart alone.
    """
    new = said.fix.time_ns > c.before_ns
    if not new and not c.apart:  # it says nothing new
        return c
    nis = _least(claims, at.lat_deg, at.lon_deg, at.r)
    if nis < APART_NIS:  # an old fix may be there by now only because nobody knows where it would be
        return msgspec.structs.replace(c, apart=0, odds=0.0, misses=0) if new and nis < APART_NIS / 2.0 else c
    others = asked()
    if _may_be_anothers(spot, look, others):
        return c
    says = _evidence(claims, said.fix.time_ns, spot, look, others)
    if says is not None and not says.made:
        return c
    return msgspec.structs.replace(
        c, apart=c.apart + 1, odds=c.odds if says is None else says.added(c.odds),
        misses=c.misses + (says is not None and says.made > 0.0), parted_ns=look.time_ns if c.apart == 0 else c.parted_ns,
    )  # fmt: skip


def is_two(c: Contact) -> bool:
    """Whether a shadow is a thing of its own, as far as looks can say."""
    return c.apart > 0 and (c.odds < PARTED or is_new(c) or (c.apart > DOUBT_LOOKS and not c.misses))


def parted(c: Contact) -> Contact:
    """A shadow that is a contact of its own from a look on that shows something where its track's receiver says."""
    return msgspec.structs.replace(c, of="", was=c.of, apart=0, misses=0, odds=-SEEN)


def is_new(c: Contact) -> bool:
    """Whether a shadow was too seldom seen as one with its track to be anything without it."""
    return c.hits - c.apart < SAME_LOOKS


def denied(c: Contact, said: Said) -> bool:
    """Whether an operator has decided between a shadow that is apart and what its track's receiver says."""
    return said.denied and c.apart > 0 and not is_new(c)


def stood(c: Contact, v: tuple[float, float], fix: Measurement) -> bool:
    """Whether what goes at v, m/s, has been where it is since before a fix."""
    since_ns = c.first_ns if c.moved_ns is None else c.moved_ns
    return since_ns < fix.time_ns and math.hypot(*v) < STANDS_MPS


def doubt_of(c: Contact, said: Said, at: Place, claims: Claims, look: Look, v: tuple[float, float]) -> Doubt | None:
    """The doubt that begins with a look; None where there is none.

    Args:
        v: how fast the shadow goes, m/s.
    """
    need = 1 if said.fix.time_ns > said.used_ns or stood(c, v, said.fix) else DOUBT_LOOKS
    claim, apart_m, decided = claims[0], _away_m(claims, at.lat_deg, at.lon_deg), denied(c, said)
    if not decided:
        if not sees(look) or c.apart < need or c.misses < need or is_new(c) or c.odds <= 0.0 or apart_m < said.least_m:
            return None
    off_e, off_n = _off(claim, at.lat_deg, at.lon_deg)
    return Doubt("settled" if decided else "held", said.fix.device, c.parted_ns, look.time_ns, c.apart, c.misses, c.odds, 1,
                 said.fix.time_ns, look.sensor, claim.lat_deg, claim.lon_deg, apart_m, look.time_ns,
                 int((UNSEEN_S if decided else _held_s(look, c.gap_s)) * NS), off_e=off_e, off_n=off_n)  # fmt: skip


def _held_s(look: Look, gap_s: float) -> float:
    return gap_s * waits_looks(look.pd)


def waits_looks(pd: float) -> float:
    """For so many looks something may be missed by bad luck, and then what they found again may be nobody yet."""
    return max(HELD_LOOKS, math.ceil(math.log(BAD_LUCK) / math.log(1.0 - pd))) + FOUND_HITS / pd


def after(
    doubt: Doubt, said: Said, claims: Claims, spot: int | None, goes: bool, look: Look, gap_s: float,
    asked: Callable[[], Others],
) -> Doubt | None:
    """A doubt after a look; None where there is none any more.

    Args:
        claims: where its receiver says that the track is; spot: where it was seen.
        goes: whether a contact goes where its receiver says.
        gap_s: between looks of this sensor.
        asked: what looks see of the others.
    """
    if doubt.state == "left":
        return None if said.used_ns > doubt.told_ns or look.time_ns - doubt.seen_ns > doubt.lapse_ns else doubt
    claim, apart_m = claims[0], _away_m(claims, said.lat_deg, said.lon_deg)
    seen_ns = look.time_ns if spot is not None else doubt.seen_ns
    # what nobody sees may be nearly anywhere, and so where any fix is
    known = look.time_ns - seen_ns <= _held_s(look, gap_s) * NS and apart_m < said.least_m
    if known and said.agrees >= (FIXES_AGREE if doubt.state == "settled" else 1):
        return None
    if look.time_ns - seen_ns > doubt.lapse_ns:
        return None
    doubt = msgspec.structs.replace(doubt, seen_ns=seen_ns)
    if doubt.state == "settled" and sees(look):
        there = doubt.there + 1 if goes else 0 if spot is not None else doubt.there
        return None if there >= LOOKS_AGREE else msgspec.structs.replace(doubt, there=there)
    if spot is None or not sees(look):
        return doubt
    others = asked()
    if _may_be_anothers(spot, look, others):
        return doubt
    says = _evidence(claims, said.fix.time_ns, spot, look, others)
    if says is None or not says.made:
        return doubt
    if says.made > 0.0 and said.fix.time_ns > doubt.told_ns:
        doubt = _with_fix(doubt, claim, said, look.spots[spot])
    doubt = msgspec.structs.replace(
        doubt, looks=doubt.looks + 1, misses=doubt.misses + (says.made > 0.0), odds=says.added(doubt.odds),
        told_ns=look.time_ns, masked=doubt.masked + (says.made == MASKED),
        sensor=look.sensor, lat_deg=claim.lat_deg, lon_deg=claim.lon_deg, apart_m=apart_m,
    )  # fmt: skip
    if doubt.odds < PARTED:
        return msgspec.structs.replace(doubt, state="left", lapse_ns=int(LAPSES_S * NS))
    if (doubt.odds >= SETTLED and doubt.misses >= LOOKS_LEAST and doubt.fixes >= FIXES_LEAST
            and doubt.apart_m >= said.least_m):  # fmt: skip
        return msgspec.structs.replace(doubt, state="settled", lapse_ns=int(UNSEEN_S * NS))
    return doubt


def doubted(doubt: Doubt) -> bool:
    """Whether looks showed so often nothing where a receiver said that it was, that being near something once says nothing."""
    return doubt.state == "settled" or (doubt.misses >= LOOKS_LEAST and doubt.odds > -PARTED)


def looked_for(doubt: Doubt, dt_s: float, gap_s: float) -> bool:
    """Whether what looks have not shown for so long is looked for where it would be by now."""
    return dt_s * NS <= doubt.lapse_ns and dt_s <= max(LAPSES_S, LAPSES_LOOKS * gap_s)


def fits(claims: Claims, spot: Spot) -> bool:
    """Whether a receiver says that it is where a look sees something."""
    return _least(claims, spot.lat_deg, spot.lon_deg, max(spot.r_ee, spot.r_nn)) < APART_NIS


def claimed(said: Said, v: tuple[float, float], look: Look, registered: Registration | None) -> Claims:
    """Where a receiver says that it is, gone on to a look as its track goes, east and north, m/s; and where this sensor,
    as far as its alignment is known, would show it.
    """
    fix, dt_s = said.fix, (look.time_ns - said.fix.time_ns) / NS
    plane = Plane(lat_deg=fix.lat_deg, lon_deg=fix.lon_deg)
    e, n, own = v[0] * dt_s, v[1] * dt_s, max(fix.r_ee, fix.r_nn)
    r, wide = own + (CLAIM_MPS * dt_s) ** 2, own + (OWN_WAY + v[0] ** 2 + v[1] ** 2) * dt_s**2
    off_e, off_n, off_r = UNKNOWN if registered is None else registered.offset(fix.lat_deg, fix.lon_deg)
    return Place(*plane.geodetic(e, n), r, wide), Place(*plane.geodetic(e + off_e, n + off_n), r + off_r, wide + off_r)


def _off(claim: Place, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """How far a claim is off a place, east and north, m."""
    return near_en(lat_deg, lon_deg, claim.lat_deg, claim.lon_deg) or (BOUNDED_M, BOUNDED_M)


def _with_fix(doubt: Doubt, claim: Place, said: Said, spot: Spot) -> Doubt:
    """A doubt with a new fix: one more with the error that its last ones had, or with another."""
    e, n, r = _off_both(claim, said, spot)
    if math.hypot(e, n) < said.least_m:
        return doubt
    k, lasted = doubt.alike, said.fix.time_ns - doubt.fix_ns >= ERROR_LASTS_S * NS
    off2 = (e - doubt.off_e) ** 2 + (n - doubt.off_n) ** 2
    if lasted or off2 > ANOTHER_NIS * (1.0 + 1.0 / k) * (claim.r + r):
        return msgspec.structs.replace(doubt, fixes=doubt.fixes + 1, fix_ns=said.fix.time_ns, off_e=e, off_n=n, alike=1)
    return msgspec.structs.replace(
        doubt, off_e=doubt.off_e + (e - doubt.off_e) / (k + 1), off_n=doubt.off_n + (n - doubt.off_n) / (k + 1), alike=k + 1
    )  # fmt: skip


def _off_both(claim: Place, said: Said, spot: Spot) -> tuple[float, float, float]:
    """How far a claim is off a track that is seen, east and north, m, by where that would be and by its sighting; and the
    variance of that place.
    """
    one, other = said.r + OWN_R, max(spot.r_ee, spot.r_nn)
    share, r = other / (one + other), one * other / (one + other)
    (e, n), (e1, n1) = _off(claim, said.lat_deg, said.lon_deg), _off(claim, spot.lat_deg, spot.lon_deg)
    return share * e + (1.0 - share) * e1, share * n + (1.0 - share) * n1, r


def _away_m(claims: Claims, lat_deg: float, lon_deg: float) -> float:
    return min(distance_m(lat1_deg=at.lat_deg, lon1_deg=at.lon_deg, lat2_deg=lat_deg, lon2_deg=lon_deg) for at in claims)


def _least(claims: Claims, lat_deg: float, lon_deg: float, r: float) -> float:
    return min(_nis(at, lat_deg, lon_deg, r) for at in claims)


def _may_be_anothers(spot: int, look: Look, others: Others) -> bool:
    """Whether a sighting may be of another track whose receiver is there, and of which this look shows nothing else."""
    one = look.spots[spot]
    return any(fits(at, one) for at in others.unseen)


def _evidence(claims: Claims, said_ns: int, spot: int, look: Look, others: Others) -> Weight | None:
    """What a look that saw a track at one of its sightings says against where its receiver claims to be; None: nothing.

    It was missed there, unless that sighting is of there (then it goes as the track does); what is seen beside it may be, and
    that goes its own way since the fix.  What has a receiver of its own is not: where looks tell two so near apart it was
    missed beside that.
    """
    if not sees(look) or not ring_contains(look.footprint, lat_deg=claims[0].lat_deg, lon_deg=claims[0].lon_deg):
        return None
    if look.time_ns - said_ns > CLAIM_S * NS:
        return Weight(0.0)
    own, here, most, like = look.spots[spot], 0.0, MOST, 0.0
    masked = False
    for i, one in enumerate(look.spots):
        r = max(one.r_ee, one.r_nn)
        nis = _least(claims, one.lat_deg, one.lon_deg, r)
        if i == spot:
            here = nis / 2.0 - 1.0
        elif i in others.spots:
            if nis > NEAR_NIS:
                continue
            away_m = _away_m(claims, one.lat_deg, one.lon_deg)
            two_m = distance_m(lat1_deg=one.lat_deg, lon1_deg=one.lon_deg, lat2_deg=own.lat_deg, lon2_deg=own.lon_deg)
            if away_m < min(two_m, RESOLVED_M):
                masked, most = True, min(most, MOST if two_m >= OVER_M else CLOSE_MOST)
        else:
            like += _likeness(claims, one, r, goes=i not in others.stood) / (look.density_per_km2 * 1e-6)
    missed = -math.log(1.0 - look.pd + look.pd * like)
    if others.lost and missed > 0.0:
        return Weight(0.0)
    if masked and missed > 0.0:
        return Weight(min(here, MASKED), most)
    return Weight(max(min(here, missed, MISS_MOST), -SEEN))


def _likeness(claims: Claims, one: Spot, r: float, *, goes: bool) -> float:
    """The density, 1/m², of a sighting of what a receiver is on, if that is not the track: as this goes, or its own way.

    Args:
        goes: whether it may have gone anywhere since the fix.
    """
    narrow = _least(claims, one.lat_deg, one.lon_deg, r)
    near_m, var = _away_m(claims, one.lat_deg, one.lon_deg), claims[0].wide + r
    wide = near_m * near_m / var
    ways = ((narrow, claims[0].r + r), (wide if goes else math.inf, var))
    return sum(0.5 * math.exp(-nis / 2.0) / (2.0 * math.pi * v) for nis, v in ways if nis <= NEAR_NIS)


def _nis(claim: Place, lat_deg: float, lon_deg: float, r: float) -> float:
    away_m = distance_m(lat1_deg=claim.lat_deg, lon1_deg=claim.lon_deg, lat2_deg=lat_deg, lon2_deg=lon_deg)
    return away_m * away_m / (claim.r + r)
