"""The shadows of identified tracks in a look (``belied``): who has which sighting, who of them is kept, and who is doubted."""

from __future__ import annotations

import functools
import math

import msgspec
import numpy as np

from birddog.units import NS
from tracking import belied
from tracking.anchor import frame, near_en, turn
from tracking.assign import Pair, Spot
from tracking.bank import Bank
from tracking.belied import Doubt, Said
from tracking.contact import DEAD, HIDES, Contact, Look
from tracking.crowd import Crowd, LookOutcome, Rider, state_of
from tracking.engine import State
from tracking.fitting import is_at
from tracking.measurement import Measurement
from tracking.registration import Registration
from tracking.stitching import waits_ns

#: What so many looks have missed (a log) that nothing else is known of is nothing.
NOBODY = 2.0 * math.log(HIDES)
#: Tracks that were seen for the last time so few looks before or after another began to be seen elsewhere than its receiver
#: says were lost together with it.
LOST_LOOKS = 5.0


def as_one(
    contacts: list[Contact], possible: list[Pair], theirs: list[Pair], own: dict[tuple[int, int], Pair], riders: list[Rider],
    numbers: dict[str, int],
) -> list[Pair]:  # fmt: skip
    """The possible pairs where each track is one with its shadow, as long as that is not apart: as likely as either says.

    Args:
        theirs: pairs of identified tracks; own: those of shadows; numbers: of the identified tracks in pairs.
    """
    best, count = {(pair.track, pair.spot): pair for pair in theirs}, len(contacts)
    # whose own is seen elsewhere has no sighting of what goes on as another receiver's
    apart = {numbers[c.of] for c in contacts if c.apart and c.of in numbers}
    if apart:
        known = {spot for i, spot in own if not contacts[i].apart and contacts[i].hits >= belied.SAME_LOOKS}
        best = {at: pair for at, pair in best.items() if at[0] not in apart or at[1] not in known}
    for (i, spot), pair in own.items():
        c, k = contacts[i], numbers.get(contacts[i].of)
        if k is None or c.apart or c.hits < belied.SAME_LOOKS:
            continue
        its, worth = best.get((k, spot)), pair.worth + riders[k - count].visible
        if its is None or its.worth < worth:
            best[k, spot] = Pair(k, spot, pair.nis if its is None else its.nis, worth)
    return [pair for pair in possible if not contacts[pair.track].of or contacts[pair.track].apart] + list(best.values())


def waits(c: Contact, look: Look) -> bool:
    """Whether a shadow that looks have lost may be found again as what came into view near there (``stitching.refound``)."""
    return bool(c.of) and not belied.is_new(c) and look.time_ns - c.seen_ns <= waits_ns(c.gap_s, look.pd)


def lost(c: Contact) -> Contact:
    """A shadow that waits: no sighting is its own any more."""
    return msgspec.structs.replace(c, score=min(c.score, DEAD))


def two_again(
    contacts: list[Contact], chosen: list[Pair], theirs: list[Pair], own: dict[tuple[int, int], Pair], numbers: dict[str, int]
) -> list[Pair]:
    """The chosen pairs where a track and its shadow are two again: each has the sighting if it is in its own gate."""
    gates = {(pair.track, pair.spot) for pair in theirs}
    shadow_of = {numbers[c.of]: i for i, c in enumerate(contacts) if c.of in numbers}
    seen, out = {pair.track for pair in chosen}, []
    for pair in chosen:
        if pair.track < len(contacts) or (pair.track, pair.spot) in gates:
            out.append(pair)
        i = shadow_of.get(pair.track)
        if i is not None and i not in seen and (i, pair.spot) in own:
            out.append(own[i, pair.spot])
    return out


def _others(
    track_id: str, since_ns: int, crowd: Crowd, contacts: list[Contact], mean: np.ndarray, cov: np.ndarray,
    hit: dict[int, Pair], riders: list[Rider], look: Look,
) -> belied.Others:  # fmt: skip
    """What a look has of the other tracks that have a receiver of their own, and whose shadow is where that says it is.

    Args:
        since_ns: when looks began to see the track elsewhere than its receiver says; 0: it is not asked who was lost with it.
    """
    spots, unseen, count = set[int](), [], len(contacts)
    fix = next((rider.said.fix for rider in riders if rider.track_id == track_id and rider.said is not None), None)
    stood = frozenset(
        pair.spot for i, pair in hit.items()
        if fix is not None and i < count and not contacts[i].of and contacts[i].confirmed
        and belied.stood(contacts[i], (float(mean[i, 1]), float(mean[i, 3])), fix)
    )  # fmt: skip
    gap_ns, balance = int(crowd.looked.get(look.sensor, (0, 0.0))[1] * NS), 0
    missed_ns = math.ceil(math.log(HIDES) / math.log(1.0 - look.pd)) * gap_ns  # for so long by no bad luck
    shadow_of = {c.of: i for i, c in enumerate(contacts) if c.of and not c.apart and c.hits >= belied.SAME_LOOKS}
    for k, rider in enumerate(riders):
        i, seen_ns = shadow_of.get(rider.track_id), crowd.seen.get(rider.track_id, 0)
        if rider.said is None or rider.track_id == track_id:
            continue
        if count + k in hit or look.time_ns - seen_ns < missed_ns:
            balance += 1
        elif abs(since_ns - seen_ns) <= LOST_LOOKS * gap_ns:
            balance -= 1
        if i is None or rider.track_id in crowd.belied:
            continue
        at, of_track = hit.get(i), hit.get(count + k)
        its = at or of_track
        claims = _claimed(rider.said, (rider.x[1], rider.x[3]), look, crowd.registered.get(look.sensor))
        if its is None:
            unseen.append(claims)
        elif at is not None and of_track is not None and at.spot == of_track.spot:
            spots.add(its.spot)  # also of what turns, and is not where it would be by now: it is seen as one with its track
        elif belied.fits(claims, look.spots[its.spot]):
            spots.add(its.spot)
    if fix is not None:
        spots |= {pair.spot for i, pair in hit.items()
                  if i < count and _was_elsewhere(contacts[i], mean[i], cov[i], fix, look.time_ns)}  # fmt: skip
        spots |= {hit[count + k].spot for k, rider in enumerate(riders)
                  if count + k in hit and _tag_was_elsewhere(rider, fix, look.time_ns)}  # fmt: skip
    return belied.Others(frozenset(spots), tuple(unseen), stood, balance < 0)


def _was_elsewhere(c: Contact, mean: np.ndarray, cov: np.ndarray, fix: Measurement, time_ns: int) -> bool:
    """Whether a contact that looks know well was elsewhere when a receiver said where it is, so that this is not on it."""
    if c.of or not c.confirmed or c.hits < belied.SAME_LOOKS or c.first_ns >= fix.time_ns:
        return False
    stood = belied.stood(c, (float(mean[1]), float(mean[3])), fix)
    return _is_elsewhere(c.lat0_deg, c.lon0_deg, state_of(mean, cov), fix, 0.0 if stood else (time_ns - fix.time_ns) / NS)


def _tag_was_elsewhere(rider: Rider, fix: Measurement, time_ns: int) -> bool:
    """The same of what carries a passive tag, which was read before."""
    if rider.may != "ride" or not rider.passes or rider.passes[0].first_ns >= fix.time_ns:
        return False
    stands = math.hypot(rider.x[1], rider.x[3]) < belied.STANDS_MPS
    return _is_elsewhere(rider.lat0_deg, rider.lon0_deg, rider.x, fix, 0.0 if stands else (time_ns - fix.time_ns) / NS)


def _is_elsewhere(lat0_deg: float, lon0_deg: float, x: State, fix: Measurement, dt_s: float) -> bool:
    """Whether something in the frame of an anchor was not where a fix is, so long before."""
    en = near_en(lat0_deg, lon0_deg, fix.lat_deg, fix.lon_deg)
    if en is None:
        return True
    e, n = en[0] - x[0] + dt_s * x[1], en[1] - x[2] + dt_s * x[3]
    r = max(fix.r_ee, fix.r_nn) + (x[4] + x[11]) / 2.0 + dt_s * dt_s * (belied.CLAIM_MPS**2 + (x[8] + x[13]) / 2.0)
    return e * e + n * n > belied.NEAR_NIS * r


def _claimed(said: Said, v: tuple[float, float], look: Look, registered: Registration | None) -> belied.Claims:
    """Where a receiver says that it is, in the frame of a look that was put right: also as if it had not to be."""
    claims = belied.claimed(said, v, look, registered)
    if registered is None or look.imagery:
        return claims
    e, n, _ = registered.shown_off(said.fix.lat_deg, said.fix.lon_deg)
    if not e and not n:
        return claims
    there = [frame(at.lat_deg, at.lon_deg).geodetic(-e, -n) for at in claims]
    one, other = (
        msgspec.structs.replace(at, lat_deg=lat, lon_deg=lon) for at, (lat, lon) in zip(claims, there, strict=True)
    )  # fmt: skip
    return one, other


def weighed(
    crowd: Crowd, contacts: list[Contact], keep: list[int], hit: dict[int, Pair], numbers: dict[str, int], riders: list[Rider],
    mean: np.ndarray, cov: np.ndarray, look: Look,
) -> tuple[list[int], list[tuple[str, Doubt, Contact | None, State]]]:  # fmt: skip
    """Who of the contacts is kept when the shadows have been weighed, and whom they belie."""
    left, found, registered = [], [], crowd.registered.get(look.sensor)
    again = _again(crowd, contacts, keep, hit, numbers, riders, mean, cov, look)
    for i in keep:
        c = contacts[i]
        if not c.of:
            left.append(i)
            continue
        k = numbers.get(c.of)
        rider = None if k is None else riders[k - len(contacts)]
        if rider is None or rider.said is None:  # nobody says where it is any more: what was seen elsewhere is a contact
            if c.apart and look.spots:
                contacts[i] = msgspec.structs.replace(c, of="", apart=0)
            if c.apart or not look.spots:
                left.append(i)
            continue
        if again.get(c.of, i) != i:  # what it was before is seen on, and it nowhere
            continue
        at, its, said = hit.get(i), hit.get(k) if k is not None else None, rider.said
        other = its is not None and (at is None or its.spot != at.spot)
        if at is None:
            # its track is seen elsewhere, where it begins anew; or nobody sees it, and it is nothing by itself
            if not c.apart and (other or c.unseen < NOBODY):
                if other or not waits(c, look):
                    continue
                contacts[i] = lost(c)
            left.append(i)
            continue
        lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(float(mean[i, 0]), float(mean[i, 2]))
        place = belied.Place(lat, lon, float(cov[i, 0, 0] + cov[i, 2, 2]) / 2.0)
        v = float(mean[i, 1]), float(mean[i, 3])
        claims = _claimed(said, v, look, registered)
        others = functools.partial(_others, c.of, 0, crowd, contacts, mean, cov, hit, riders, look)
        if i != again.get(c.of):  # else it is weighed already
            c = contacts[i] = belied.weighed(c, said, place, claims, at.spot, look, others)
        if belied.is_two(c) and not belied.denied(c, said):
            if (its is not None and not other) or belied.is_new(c):  # what is seen is the track; or it was never one with it
                continue
            contacts[i] = belied.parted(c)
        elif (doubt := belied.doubt_of(c, said, place, claims, look, v)) is not None:
            # a fix that was not believed has not moved its track, which goes on from itself where it is seen
            itself = said.fix.time_ns > said.used_ns and is_at(c, mean[i], cov[i], rider.lat0_deg, rider.lon0_deg, rider.x)
            found.append((c.of, doubt, None if itself else c, state_of(mean[i], cov[i])))
            continue
        left.append(i)
    return left, found


def _again(
    crowd: Crowd, contacts: list[Contact], keep: list[int], hit: dict[int, Pair], numbers: dict[str, int], riders: list[Rider],
    mean: np.ndarray, cov: np.ndarray, look: Look,
) -> dict[str, int]:  # fmt: skip
    """What is a track's shadow once more: (track -> contact).

    Looks showed something where its receiver claims to be, and the two were two; but they go on showing the one and nothing of
    the other, which may have been a false sighting.
    """
    registered, now = crowd.registered.get(look.sensor), dict[str, int]()
    one_with = {c.of for c in (contacts[i] for i in keep) if c.of and not c.apart and c.hits >= belied.SAME_LOOKS}
    for i in keep:
        c = contacts[i]
        k = numbers.get(c.was) if c.was else None
        rider = None if k is None else riders[k - len(contacts)]
        if rider is None or rider.said is None or i not in hit or c.was in crowd.belied:
            continue
        its, said, at = hit.get(k) if k is not None else None, rider.said, hit[i]
        if c.was in one_with:  # what looks see of its track by now is another thing
            contacts[i] = msgspec.structs.replace(c, was="", apart=0, misses=0, odds=0.0)
            continue
        if its is not None and its.spot != at.spot:
            contacts[i] = belied.parted(msgspec.structs.replace(c, of=c.was))
            continue
        lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(float(mean[i, 0]), float(mean[i, 2]))
        place = belied.Place(lat, lon, float(cov[i, 0, 0] + cov[i, 2, 2]) / 2.0)
        claims = _claimed(said, (float(mean[i, 1]), float(mean[i, 3])), look, registered)
        others = functools.partial(_others, c.was, 0, crowd, contacts, mean, cov, hit, riders, look)
        c = contacts[i] = belied.weighed(c, said, place, claims, at.spot, look, others)
        if c.apart and c.odds > 0.0 and c.was not in now:
            contacts[i], now[c.was] = msgspec.structs.replace(c, of=c.was, was=""), i
    return now


def doubts(
    crowd: Crowd, out: LookOutcome, contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair],
    riders: list[Rider], look: Look, gap_s: float,
) -> dict[str, Doubt]:  # fmt: skip
    """Whose receiver is doubted after a look, by track."""
    now, count = {track_id: doubt for track_id, doubt, *_ in out.found}, len(contacts)
    asked = {rider.track_id: (rider, hit.get(count + k)) for k, rider in enumerate(riders)}
    elsewhere = {track_id for track_id, *_ in out.handed}
    for track_id, doubt in crowd.belied.items():
        if track_id in elsewhere:
            continue
        rider, its = asked.get(track_id, (None, None))
        if rider is None:
            if look.time_ns - doubt.seen_ns <= doubt.lapse_ns:
                now[track_id] = doubt
            continue
        said = rider.said
        goes = said is not None and said.goes is not None and doubt.state == "settled" and any(
            c.confirmed and not c.of and i in hit and is_at(c, mean[i], cov[i], *said.goes) for i, c in enumerate(contacts)
        )  # fmt: skip
        if said is None:
            continue
        claims = _claimed(said, (rider.x[1], rider.x[3]), look, crowd.registered.get(look.sensor))
        spot = None if its is None else its.spot
        others = functools.partial(_others, track_id, doubt.since_ns, crowd, contacts, mean, cov, hit, riders, look)
        after = belied.after(doubt, said, claims, spot, goes, look, gap_s, others)
        if after is not None:
            now[track_id] = after
    return now


def begun(
    contacts: list[Contact], riders: list[Rider], hit: dict[int, Pair], count: int, doubts: dict[str, Doubt],
    riding: dict[int, int],
) -> dict[int, str]:  # fmt: skip
    """Sightings of identified tracks that begin a shadow: (sighting -> track).

    Args:
        riding: who shares those of another, which are that one's.
    """
    have = {c.of for c in contacts}
    return {
        hit[count + k].spot: rider.track_id for k, rider in enumerate(riders)
        if count + k in hit and count + k not in riding and rider.said is not None
        and rider.track_id not in have and rider.track_id not in doubts
    }  # fmt: skip


def parted(crowd: Crowd, doubts: dict[str, Doubt], hit: dict[int, Pair], numbers: dict[str, int]) -> dict[int, str]:
    """Sightings of tracks that go by their own fixes again from this look on, so that what it shows is a contact: (sighting
    -> track).
    """
    return {
        hit[numbers[track_id]].spot: track_id for track_id, doubt in doubts.items()
        if doubt.state == "left" and crowd.belied[track_id].state != "left" and numbers.get(track_id, -1) in hit
    }  # fmt: skip


def going(bank: Bank, spots: list[Spot], left: list[int], begun_of: dict[int, str], riders: list[Rider]) -> None:
    """A shadow begins with the velocity of its track, as little known; a seldom look would not see it again."""
    first, of = len(bank.mu) - len(left), {rider.track_id: rider for rider in riders}
    for row, i in enumerate(left, first):
        if i in begun_of:
            rider = of[begun_of[i]]
            c, s = turn(rider.lat0_deg, rider.lon0_deg, spots[i].lat_deg, spots[i].lon_deg)
            bank.x[row, :, 1] = c * rider.x[1] + s * rider.x[3]
            bank.x[row, :, 3] = -s * rider.x[1] + c * rider.x[3]
