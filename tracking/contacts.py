"""The anonymous contacts of one operation, all at once, and one look into them; pure functions.

A look is one sensor at one time.  Every contact is a bank of motions (``tracking.bank``, the batch of the one estimator),
in the plane of its own anchor.  A look is gated by place first (a KD-tree over its sightings), split into connected
components and assigned by SciPy on log-likelihood ratios: detection probability, clutter, what else may be new there.
*Riders* are the identified tracks that are asked too: those that are on time and that this sensor still sees.  What is
left over begins contacts; a contact is confirmed and dies by its score (Blackman, Popoli 1999, chapter 6.2; Reid 1979).

The state before is left as it was, so that a late look can be run in from any time (``tracking.looks``).

Over 400 lines: one look is one pass over the same rows, from the gate to who is born.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import Any, Literal

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.geo import A_M, E2, distance_m
from birddog.units import NS
from tracking import bank as banks
from tracking import belied
from tracking.alongside import ONE_D2, ONE_M, Alongside
from tracking.anchor import REANCHOR_M, away_m, frame, near_en, turn
from tracking.assign import Pair, Spot, assign
from tracking.bank import CONTACT, Bank
from tracking.belied import Doubt, Said
from tracking.contact import Contact as Contact
from tracking.contact import Look as Look
from tracking.engine import State
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.registration import Registration

#: Variance of the velocity of a new contact, (m/s)² per axis.
NEW_V = 150.0
#: The score gains no more than MOST and starts at no less than LEAST; under DEAD a contact is dropped.
MOST, LEAST, DEAD = 8.0, -1.5, -2.0
#: One sighting says no more than this for what it is assigned to.
GAIN_MOST = 8.0
#: What has been seen beyond doubt may be where no look sees it (behind a house, in a tunnel, a sensor's blind minute): one
#: thing in so many; each second of that the log-odds that it is still about fall by GONE_PER_S.
PROVEN, HIDES, GONE_PER_S = 25.0, 1e-2, 0.1
#: The motions of what lies still, and the share of a sighting's variance that no number of sightings learns away there.
STILL, LASTS = [i for i, mode in enumerate(CONTACT) if mode.parked], 0.2
#: A contact of a sensor that looks often is lost when it is this vague (one sigma, m).
LOST_M = 200.0
#: A contact this close to a rider (Mahalanobis², position and velocity) for so many looks in which one of the two was seen
#: and not both is the same object.
TWIN_D2, TWIN_LOOKS, TWIN_M = 9.0, 4, 100.0
#: A contact confirmed this near (m, and m/s of the time between) to where one was last seen is that one, found again.
AGAIN_M, AGAIN_MPS = 40.0, 20.0
#: What has no voice of its own is lost when looks would have missed it with this chance (a log), for so long; the contact that
#: it goes on from was seen so often at most, and lies no further off than at so many times its speed.
LOST_LOG, REGAINED_NS, REGAINED_HITS, FASTER = -0.3, 30 * NS, 8, 1.5
#: When a look last saw an identified track is kept so long.
SEEN_NS = 3600 * NS
#: What an image showed once is remembered for so long; seen within so many metres more than both sightings' errors (a berth,
#: a swing at anchor) it is that one.
REMEMBERED_NS, REMEMBERED_MOST, SWING_M = 7 * 86_400 * NS, 1000, 60.0


class Crowd(msgspec.Struct, frozen=True):
    """All contacts at a time; row i of the bank is contact i.

    Args:
        remembered: contacts of images that are no more.
        looked: of each sensor the time of its last look and the seconds between the last two.
        seen: when a look last saw a rider, by track.
        belied: the receivers that looks make doubtful, by track.
        registered: how far off each sensor's alignment is.
        alongside: passive tags at the place of what reports, by track.
    """

    t_ns: int
    contacts: tuple[Contact, ...]
    bank: Bank
    remembered: tuple[Contact, ...] = ()
    looked: dict[str, tuple[int, float]] = {}
    seen: dict[str, int] = {}
    belied: dict[str, Doubt] = {}
    registered: dict[str, Registration] = {}
    alongside: dict[str, Alongside] = {}


class Last(msgspec.Struct, frozen=True):
    """Where something was last known to be, and how fast it went."""

    time_ns: int
    lat_deg: float
    lon_deg: float
    speed_mps: float


class Rider(msgspec.Struct, frozen=True):
    """An identified track that is asked: its state at the look in its frame, and what it says of each sighting in its gate.

    Args:
        logs: (sighting, NIS, log density of the sighting under the track's mixture).
        visible: the log of the chance that this sensor sees it at all, from the looks that missed it.
        said: what its receiver says, where looks can belie it.
        lasts: of one that nothing but looks and readers say the place of, and that looks have lost: where they had it last, and
            the time before that.
        may: whether it may ride on another, or carry one: a passive tag that looks carry, or what reports, of no shipment.
        read: where and when a tag that may was read last.
    """

    track_id: str
    lat0_deg: float
    lon0_deg: float
    x: State
    logs: list[tuple[int, float, float]]
    visible: float
    said: Said | None = None
    lasts: tuple[Last, ...] = ()
    may: Literal["", "ride", "carry"] = ""
    read: Measurement | None = None


class LookOutcome(msgspec.Struct):
    """What a look did: sightings of riders and of contacts, and who of the contacts is no more.

    Args:
        riders: (track, sighting, NIS); contacts: (name, NIS).
        again: names of contacts that took over one that was lost.
        gone: names of contacts that are a rider's after all, with its track.
        found: riders whose receiver is doubted from this look on, with the shadow which they go on from and its state; None:
            they go on from themselves.
        regained: riders that looks had lost and have again, with the contact that they go on from and its state.
    """

    riders: list[tuple[str, int, float]]
    contacts: list[tuple[str, float]]
    born: list[str]
    gone: list[tuple[str, str]]
    found: list[tuple[str, Doubt, Contact | None, State]] = []
    regained: list[tuple[str, Contact, State]] = []


def empty(t_ns: int = 0) -> Crowd:
    """Nobody."""
    m = len(CONTACT)
    return Crowd(t_ns, (), Bank(np.empty((0, m)), np.empty((0, m, 4)), np.empty((0, m, 4, 4))))


def ahead(bank: Bank, dt_s: float) -> Bank:
    """Every contact dt_s later."""
    if dt_s <= 0.0 or not len(bank.mu):
        return bank
    dt = np.full(1, dt_s)
    many = np.full(len(bank.mu), dt_s)
    return banks.propagated(banks.mixed(bank, dt, CONTACT), many, CONTACT)


def moments(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Mean (T, 4) and covariance (T, 4, 4) of each contact."""
    mean = np.einsum("bm,bmd->bd", bank.mu, bank.x)
    d = bank.x - mean[:, None, :]
    return mean, np.einsum("bm,bmde->bde", bank.mu, bank.p) + np.einsum("bm,bmd,bme->bde", bank.mu, d, d)


def stated(contacts: list[Contact], bank: Bank, cov: np.ndarray) -> np.ndarray:
    """The covariances as they are told: of what lies still they are no smaller than what its sensor's errors leave that last.

    A ship swings at her anchor more slowly than a radar can tell, and its own errors are not new at each look.
    """
    told = cov.copy()
    told[:, [0, 2], [0, 2]] += LASTS * (bank.mu[:, STILL].sum(axis=1) * np.array([c.r for c in contacts]))[:, None]
    return told


def state_of(mean: np.ndarray, cov: np.ndarray) -> State:
    """One contact's moments as the flat tuple of ``tracking.engine``."""
    return (*mean.tolist(), *cov[_UPPER].tolist())


#: The upper triangle of P, row by row.
_UPPER = np.triu_indices(4)


# --- places ---------------------------------------------------------------------------------------


def ecef(lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """Earth-centred metres (N, 3) of places on the ellipsoid."""
    p, l = np.radians(lat_deg), np.radians(lon_deg)
    n = A_M / np.sqrt(1.0 - E2 * np.sin(p) ** 2)
    return np.stack((n * np.cos(p) * np.cos(l), n * np.cos(p) * np.sin(l), n * (1.0 - E2) * np.sin(p)), axis=-1)


def axes(lat_deg: np.ndarray, lon_deg: np.ndarray) -> np.ndarray:
    """East, north and up (N, 3, 3) in Earth-centred axes."""
    p, l = np.radians(lat_deg), np.radians(lon_deg)
    sp, cp, sl, cl = np.sin(p), np.cos(p), np.sin(l), np.cos(l)
    east, north, up = (-sl, cl, 0.0 * l), (-sp * cl, -sp * sl, cp), (cp * cl, cp * sl, sp)
    return np.stack([np.stack(axis, -1) for axis in (east, north, up)], axis=-2)


class _Places:
    """The contacts' anchors and where the contacts are, Earth-centred."""

    def __init__(self, contacts: tuple[Contact, ...], mean: np.ndarray):
        lat = np.array([c.lat0_deg for c in contacts])
        lon = np.array([c.lon0_deg for c in contacts])
        self.anchor, self.axes = ecef(lat, lon), axes(lat, lon)
        e, n = mean[:, 0], mean[:, 2]
        up = -(e * e + n * n) / (2.0 * A_M)
        self.xyz = self.anchor + np.einsum("ti,tij->tj", np.stack((e, n, up), -1), self.axes)


def _rotated(rows: _Places, spots: np.ndarray, of: np.ndarray, at: np.ndarray, r: np.ndarray) -> np.ndarray:
    """R (N, 2, 2) of sightings ``at`` in the axes of the contacts ``of`` (as ``anchor.turn``)."""
    ours, theirs = rows.axes[of], spots[at]
    scalar = np.einsum("nij,nkj->nik", ours[:, :2], theirs[:, :2])  # rows: our east, north; columns: theirs
    c, s = scalar[:, 0, 0] + scalar[:, 1, 1], scalar[:, 0, 1] - scalar[:, 1, 0]
    size = np.hypot(c, s)
    c, s = np.where(size > 0.0, c / size, 1.0), np.where(size > 0.0, s / size, 0.0)
    m = np.stack((np.stack((c, s), -1), np.stack((-s, c), -1)), axis=-2)
    turned: np.ndarray = m @ r[at] @ m.swapaxes(-1, -2)
    return turned


# --- one look -------------------------------------------------------------------------------------


def righted(crowd: Crowd, look: Look) -> Look:
    """A look with its sightings where they are, as far as it is known how far off its sensor shows things; each with the
    variance of that.  All of them, also those of nobody: what is gated against each other is in one frame.
    """
    registered = crowd.registered.get(look.sensor)
    if registered is None or look.imagery or registered.stands_right():
        return look
    spots = []
    for spot in look.spots:
        e, n, r = registered.shown_off(spot.lat_deg, spot.lon_deg)
        lat, lon = frame(spot.lat_deg, spot.lon_deg).geodetic(-e, -n) if e or n else (spot.lat_deg, spot.lon_deg)
        spots.append(
            msgspec.structs.replace(spot, lat_deg=lat, lon_deg=lon, r_ee=spot.r_ee + r, r_nn=spot.r_nn + r)
        )  # fmt: skip
    return msgspec.structs.replace(look, spots=spots)


def step(
    crowd: Crowd, look: Look, riders: list[Rider], p: Presets, *, begins: bool = True, raw: Look | None = None
) -> tuple[Crowd, LookOutcome]:
    """The contacts after a look, and what became of each sighting.

    Args:
        begins: whether what is left over begins contacts.
        raw: the look as its sensor shows it, where that was put right (``righted``).
    """
    t = look.time_ns
    contacts, bank, remembered = _alive(crowd, t, p)
    bank = ahead(bank, (t - crowd.t_ns) / NS)
    density = look.density_per_km2 * 1e-6
    new = p.new_per_km2 * 1e-6
    base = math.log(look.pd / (1.0 - look.pd)) - math.log(density)
    missed = math.log(1.0 - look.pd)
    spots = look.spots
    z_lat, z_lon = np.array([s.lat_deg for s in spots]), np.array([s.lon_deg for s in spots])
    r = np.array([((s.r_ee, s.r_en), (s.r_en, s.r_nn)) for s in spots]).reshape(-1, 2, 2)

    possible, z, r_at = _gated(contacts, bank, z_lat, z_lon, r, base, p.sighting_gate)
    count = len(contacts)
    numbers = {rider.track_id: count + k for k, rider in enumerate(riders)}
    aboard = {numbers[one]: numbers[a.track_id] for one, a in crowd.alongside.items()
              if a.rides and one in numbers and a.track_id in numbers}  # fmt: skip
    theirs = [
        Pair(count + k, i, nis, log + base + rider.visible)
        for k, rider in enumerate(riders) for i, nis, log in rider.logs if nis <= p.sighting_gate and count + k not in aboard
    ]  # fmt: skip
    own = {(pair.track, pair.spot): pair for pair in possible if contacts[pair.track].of}
    possible = _as_one(contacts, possible, theirs, own, riders, numbers) if own else possible + theirs
    if look.imagery and remembered:
        # what lies where an image saw something before is that, and nobody who came from elsewhere
        known = {i for i, spot in enumerate(spots) if any(_same_place(c, spot) for c in remembered)}
        possible = [
            pair for pair in possible
            if pair.spot not in known or pair.track >= count or _same_place(contacts[pair.track], spots[pair.spot])
        ]  # fmt: skip
    chosen = assign(possible)
    if own:
        chosen = _apart(contacts, chosen, theirs, own, numbers)
    hit = {pair.track: pair for pair in chosen}
    hit |= {k: hit[on] for k, on in aboard.items() if on in hit}  # it goes along
    rows = [pair.track for pair in chosen if pair.track < count]
    if rows:
        picked = [(pair.track, pair.spot) for pair in chosen if pair.track < count]
        index = np.array(rows, dtype=int)
        part, _ = banks.updated(bank.rows(index), np.array([z[k] for k in picked]), np.array([r_at[k] for k in picked]))
        bank = Bank(bank.mu.copy(), bank.x.copy(), bank.p.copy())
        bank.put(index, part)
    mean, cov = moments(bank)

    out = LookOutcome([(riders[k - count].track_id, pair.spot, pair.nis) for k, pair in hit.items() if k >= count], [], [], [])
    gap_s = _interval_s(crowd, look)
    was = [c.confirmed for c in contacts]
    # what somebody else is seen at is looked at: who is not seen there may be that one
    contested = {pair.track for pair in possible}
    spread = np.sqrt(np.maximum(cov[:, 0, 0], cov[:, 2, 2])) if count else np.empty(0)
    keep = []
    for i, c in enumerate(contacts):
        pair = hit.get(i)
        if pair is not None:
            c = _hit(c, pair, look, missed, spots[pair.spot], mean[i], gap_s, p)
            out.contacts.append((c.name, pair.nis))
        elif look.complete and _covered(c, mean[i], look):
            c = _missed(c, missed, (t - crowd.t_ns) / NS, hides=i not in contested)
        contacts[i] = c
        vague = pair is None and not c.imagery and spread[i] > LOST_M
        if c.score > DEAD and not vague:
            keep.append(i)
        elif c.imagery:
            remembered.append(c)
    if any(c.of for c in contacts):
        keep, out.found = _shadows(crowd, contacts, keep, hit, numbers, riders, mean, cov, look)
    doubts = _doubts(crowd, out, contacts, mean, cov, hit, riders, look, gap_s)
    registered = _registered(crowd, count, hit, riders, doubts, look if raw is None else raw)
    keep = [i for i in keep if contacts[i].of not in doubts]  # who is doubted goes by the looks: it is its own shadow
    keep = _found_again(contacts, keep, was, t)
    for i, track_id in _regained(contacts, keep, mean, riders, hit, count, t):
        out.regained.append((track_id, contacts[i], state_of(mean[i], cov[i])))
        out.gone.append((contacts[i].name, track_id))
        keep = [k for k in keep if k != i]
    keep = _without_twins(contacts, keep, mean, cov, riders, hit, count, out)
    alongside = crowd.alongside
    if any(rider.may == "ride" for rider in riders):
        alongside = _alongside(crowd, contacts, mean, cov, hit, riders, look)
    if len(keep) < count or any(max(abs(mean[i, 0]), abs(mean[i, 2])) > REANCHOR_M for i in keep):
        bank = bank.rows(np.array(keep, dtype=int))
        contacts = [contacts[i] for i in keep]
        _anchored(contacts, bank, mean[keep])
    taken = {pair.spot for pair in chosen}
    left = [i for i in range(len(spots)) if i not in taken] if begins else []
    begun_of = _without_shadow(contacts, riders, hit, count, doubts) if begins and belied.sees(look) else {}
    left += begun_of
    if left:
        start = max(math.log(new / density), LEAST)
        bank = _grown(bank, r[left])
        _going(bank, spots, left, begun_of, riders)
        names = {c.name for c in contacts}
        for i in left:
            one = _begun(look, spots[i], start, gap_s, remembered, names)
            contacts.append(msgspec.structs.replace(one, of=begun_of[i]) if i in begun_of else one)
            names.add(contacts[-1].name)
            out.born.append(contacts[-1].name)
    seen = {track_id: ns for track_id, ns in crowd.seen.items() if t - ns < SEEN_NS}
    seen |= {track_id: t for track_id, _, _ in out.riders} | {track_id: t for _, track_id in out.gone}
    seen |= {track_id: t for track_id, *_ in out.found}
    # what looks showed of a tag that turned out to ride they showed of what it is on
    seen |= {a.track_id: max(seen.get(a.track_id, 0), seen[one]) for one, a in alongside.items() if a.rides and one in seen}
    looked = {**crowd.looked, look.sensor: (max(t, crowd.looked.get(look.sensor, (0, 0.0))[0]), gap_s)}
    after = Crowd(t, tuple(contacts), bank, tuple(remembered[-REMEMBERED_MOST:]), looked, seen, doubts, registered, alongside)
    return after, out


# --- passive tags on what reports (``alongside``) --------------------------------------------------


def _alongside(
    crowd: Crowd, contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair], riders: list[Rider],
    look: Look,
) -> dict[str, Alongside]:  # fmt: skip
    """Which passive tags that looks carry are at the place of what reports after a look, and what looks say of them."""
    was, now, count = crowd.alongside, dict[str, Alongside](), len(contacts)
    carriers = {rider.track_id: k for k, rider in enumerate(riders) if rider.may == "carry"}
    tags = [k for k, rider in enumerate(riders) if rider.may == "ride"]
    if was:  # who was not asked stays as it is, while it is there at all
        asked = {riders[k].track_id for k in tags}
        now = {one: a for one, a in was.items() if one not in asked and look.time_ns - crowd.seen.get(one, 0) < SEEN_NS}
    looks = belied.sees(look)
    for k in tags:
        tag, old = riders[k], was.get(riders[k].track_id)
        if old is None:
            near = [on for on, j in carriers.items() if _at_one(tag, riders[j])] if looks else []
            if len(near) != 1:  # which of several it is on nobody can tell
                continue
            old = Alongside(near[0], look.time_ns)
        on = carriers.get(old.track_id)
        if on is None:
            now[tag.track_id] = old
            continue
        other = riders[on]
        if _apart_m(tag, other) > ONE_M or _read_elsewhere(tag.read, other, old.asked_ns, look.time_ns):
            continue
        mine, its = hit.get(count + k), hit.get(count + on)
        lat, lon = _place(other)
        if not looks or not ring_contains(look.footprint, lat_deg=lat, lon_deg=lon):
            pass
        elif old.rides:
            if its is not None and any(
                i in hit and c.confirmed and not c.of and _one(c, mean[i], cov[i], tag) for i, c in enumerate(contacts)
            ):  # fmt: skip
                old = old.shown(2, look.pd)
        elif (mine is None and its is None) or (mine is not None and its is not None) or _at_one(tag, other):
            old = old.shown((mine is not None) + (its is not None), look.pd)
        now[tag.track_id] = msgspec.structs.replace(old, asked_ns=look.time_ns)
    return now


def _read_elsewhere(read: Measurement | None, on: Rider, after_ns: int, t: int) -> bool:
    """Whether a tag was read after a time where what it rides on was not."""
    if read is None or read.time_ns <= after_ns:
        return False
    gone_m = FASTER * math.hypot(on.x[1], on.x[3]) * (t - read.time_ns) / NS
    return away_m(read.lat_deg, read.lon_deg, *_place(on)) > ONE_M + gone_m


def _place(rider: Rider) -> tuple[float, float]:
    return frame(rider.lat0_deg, rider.lon0_deg).geodetic(rider.x[0], rider.x[2])


def _apart_m(one: Rider, other: Rider) -> float:
    return away_m(*_place(one), *_place(other))


def _at_one(one: Rider, other: Rider) -> bool:
    """Whether two identified tracks are at one place, and go as one, as far as both are known."""
    if _apart_m(one, other) > ONE_M:
        return False
    mean, cov = np.array(one.x[:4]), _covariance(one.x)
    return _d2(mean, cov, one.lat0_deg, one.lon0_deg, other.lat0_deg, other.lon0_deg, other.x) <= ONE_D2


# --- shadows (``belied``) -------------------------------------------------------------------------


def _as_one(
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


def _apart(
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
    track_id: str, crowd: Crowd, contacts: list[Contact], hit: dict[int, Pair], riders: list[Rider], look: Look
) -> belied.Others:
    """What a look has of the other tracks that have a receiver of their own, and whose shadow is where that says it is."""
    spots, unseen, count = set[int](), [], len(contacts)
    shadow_of = {c.of: i for i, c in enumerate(contacts) if c.of and not c.apart and c.hits >= belied.SAME_LOOKS}
    for k, rider in enumerate(riders):
        i = shadow_of.get(rider.track_id)
        if rider.said is None or rider.track_id == track_id or i is None or rider.track_id in crowd.belied:
            continue
        its = hit.get(i) or hit.get(count + k)
        claims = _claimed(rider.said, (rider.x[1], rider.x[3]), look, crowd.registered.get(look.sensor))
        if its is None:
            unseen.append(claims)
        elif belied.fits(claims, look.spots[its.spot]):
            spots.add(its.spot)
    return belied.Others(frozenset(spots), tuple(unseen))


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


def _shadows(
    crowd: Crowd, contacts: list[Contact], keep: list[int], hit: dict[int, Pair], numbers: dict[str, int], riders: list[Rider],
    mean: np.ndarray, cov: np.ndarray, look: Look,
) -> tuple[list[int], list[tuple[str, Doubt, Contact | None, State]]]:  # fmt: skip
    """Who of the contacts is kept when the shadows have been weighed, and whom they belie."""
    left, found, looks, registered = [], [], belied.sees(look), crowd.registered.get(look.sensor)
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
        at, its, said = hit.get(i), hit.get(k) if k is not None else None, rider.said
        other = its is not None and (at is None or its.spot != at.spot)
        if at is None:
            if not c.apart and (other or c.unseen < 2.0 * math.log(HIDES)):  # it has lost its track, and is nothing by itself
                continue
            left.append(i)
            continue
        lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(float(mean[i, 0]), float(mean[i, 2]))
        place = belied.Place(lat, lon, float(cov[i, 0, 0] + cov[i, 2, 2]) / 2.0)
        v = float(mean[i, 1]), float(mean[i, 3])
        claims = _claimed(said, v, look, registered)
        others = functools.partial(_others, c.of, crowd, contacts, hit, riders, look)
        c = contacts[i] = belied.weighed(c, said, place, claims, at.spot, look, others)
        if belied.is_two(c):
            if (its is not None and not other) or belied.is_new(c):  # what is seen is the track; or it was never one with it
                continue
            contacts[i] = msgspec.structs.replace(c, of="", apart=0)
        elif looks and (doubt := belied.doubt_of(c, said, place, claims, look)) is not None:
            # a fix that was not believed has not moved its track, which goes on from itself
            found.append((c.of, doubt, None if said.fix.time_ns > said.used_ns else c, state_of(mean[i], cov[i])))
            continue
        left.append(i)
    return left, found


def _without_shadow(
    contacts: list[Contact], riders: list[Rider], hit: dict[int, Pair], count: int, doubts: dict[str, Doubt]
) -> dict[int, str]:
    """Sightings of identified tracks that begin a shadow: (sighting -> track)."""
    have = {c.of for c in contacts}
    return {
        hit[count + k].spot: rider.track_id for k, rider in enumerate(riders)
        if count + k in hit and rider.said is not None and rider.track_id not in have and rider.track_id not in doubts
    }  # fmt: skip


def _doubts(
    crowd: Crowd, out: LookOutcome, contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair],
    riders: list[Rider], look: Look, gap_s: float,
) -> dict[str, Doubt]:  # fmt: skip
    """Whose receiver is doubted after a look, by track."""
    doubts, count = {track_id: doubt for track_id, doubt, *_ in out.found}, len(contacts)
    asked = {rider.track_id: (rider, hit.get(count + k)) for k, rider in enumerate(riders)}
    for track_id, doubt in crowd.belied.items():
        rider, its = asked.get(track_id, (None, None))
        if rider is None:
            if look.time_ns - doubt.seen_ns <= doubt.lapse_ns:
                doubts[track_id] = doubt
            continue
        said = rider.said
        goes = said is not None and said.goes is not None and doubt.state == "settled" and any(
            c.confirmed and not c.of and i in hit and _is_at(c, mean[i], cov[i], *said.goes) for i, c in enumerate(contacts)
        )  # fmt: skip
        if said is None:
            continue
        claims = _claimed(said, (rider.x[1], rider.x[3]), look, crowd.registered.get(look.sensor))
        spot = None if its is None else its.spot
        others = functools.partial(_others, track_id, crowd, contacts, hit, riders, look)
        after = belied.after(doubt, said, claims, spot, goes, look, gap_s, others)
        if after is not None:
            doubts[track_id] = after
    return doubts


def _registered(
    crowd: Crowd, count: int, hit: dict[int, Pair], riders: list[Rider], doubts: dict[str, Doubt], look: Look
) -> dict[str, Registration]:
    """What is known of each sensor's alignment after a look of one, by the riders that it sees and that have a new fix.

    Args:
        count: of the contacts in pairs; look: as the sensor shows it.
    """
    if look.imagery or look.time_source == "server":
        return crowd.registered
    old = was = crowd.registered.get(look.sensor)
    if doubts.keys() - crowd.belied.keys() and old is not None:
        old = old.doubted()
    before_ns = crowd.looked.get(look.sensor, (0, 0.0))[0]
    for k, rider in enumerate(riders):
        pair, said = hit.get(count + k), rider.said
        if pair is None or said is None or said.fix.time_ns <= before_ns or rider.track_id in doubts:
            continue
        [claim, _], spot = belied.claimed(said, (rider.x[1], rider.x[3]), look, None), look.spots[pair.spot]
        off = near_en(claim.lat_deg, claim.lon_deg, spot.lat_deg, spot.lon_deg)
        if off is not None:
            old = old or Registration(claim.lat_deg, claim.lon_deg, look.time_ns)
            dt_s = (look.time_ns - said.fix.time_ns) / NS
            unknown = max(0.0, max(rider.x[8], rider.x[13]) - belied.CLAIM_MPS**2)  # how fast it goes, beyond what claims allow
            r = claim.r + unknown * dt_s * dt_s + max(spot.r_ee, spot.r_nn)
            old = old.learnt(look.time_ns, claim.lat_deg, claim.lon_deg, *off, r)
    return crowd.registered if old is was or old is None else {**crowd.registered, look.sensor: old}


def limit_s(c: Contact, p: Presets) -> float:
    """Without a sighting for so long a contact ends."""
    if c.imagery:
        return p.contact_s
    return max(p.anonymous_s, p.silent_factor * c.gap_s) if c.confirmed else max(p.tentative_s, p.coast_factor * c.gap_s)


def _alive(crowd: Crowd, t: int, p: Presets) -> tuple[list[Contact], Bank, list[Contact]]:
    """The contacts that have not ended by a time, and what is remembered of those of images that have."""
    keep = [i for i, c in enumerate(crowd.contacts) if t - c.seen_ns <= limit_s(c, p) * NS]
    remembered = [c for c in crowd.remembered if t - c.seen_ns <= REMEMBERED_NS]
    if len(keep) == len(crowd.contacts):
        return list(crowd.contacts), crowd.bank, remembered
    remembered += [c for i, c in enumerate(crowd.contacts) if c.imagery and t - c.seen_ns > limit_s(c, p) * NS]
    return [crowd.contacts[i] for i in keep], crowd.bank.rows(np.array(keep, dtype=int)), remembered


def _interval_s(crowd: Crowd, look: Look) -> float:
    """The time between looks of a sensor, as its last two have it; 0 where this is its first."""
    last = crowd.looked.get(look.sensor)
    if last is None:
        return 0.0
    return (look.time_ns - last[0]) / NS if look.time_ns > last[0] else last[1]


def _gated(
    contacts: list[Contact], bank: Bank, z_lat: np.ndarray, z_lon: np.ndarray, r: np.ndarray, base: float, gate: float
) -> tuple[list[Pair], dict[tuple[int, int], Any], dict[tuple[int, int], Any]]:
    """The possible pairs of contact and sighting, and of each the sighting in the contact's frame."""
    if not contacts or not len(z_lat):
        return [], {}, {}
    from scipy.spatial import cKDTree

    mean, cov = moments(bank)
    places = _Places(tuple(contacts), mean)
    xyz = ecef(z_lat, z_lon)
    widest = float((r[:, 0, 0] + r[:, 1, 1]).max())
    reach = np.sqrt(gate * (bank.p[:, :, 0, 0] + bank.p[:, :, 2, 2] + widest).max(axis=1))
    # a mode may lie away from the mean: its own gate is what counts
    reach += np.sqrt(((bank.x[:, :, [0, 2]] - mean[:, None, [0, 2]]) ** 2).sum(axis=2).max(axis=1)) + 1.0
    found = cKDTree(xyz).query_ball_point(places.xyz, np.minimum(reach, 1e7), return_sorted=True)
    of = np.repeat(np.arange(len(contacts)), [len(some) for some in found])
    if not len(of):
        return [], {}, {}
    at = np.concatenate([np.array(some, dtype=int) for some in found if some])
    d = xyz[at] - places.anchor[of]
    z = np.einsum("ni,nji->nj", d, places.axes[of, :2])
    rotated = _rotated(places, axes(z_lat, z_lon), of, at, r)
    i = [0, 2]
    y = z[:, None, :] - bank.x[of][:, :, i]
    s = bank.p[of][:, :, i][:, :, :, i] + rotated[:, None]
    det = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] * s[..., 1, 0]
    nis = (s[..., 1, 1] * y[..., 0] ** 2 - 2.0 * s[..., 0, 1] * y[..., 0] * y[..., 1] + s[..., 0, 0] * y[..., 1] ** 2) / det
    log = np.log(np.maximum(bank.mu[of], 1e-300)) - 0.5 * (nis + np.log(det)) - math.log(2.0 * math.pi)
    top = log.max(axis=1)
    worth = top + np.log(np.exp(log - top[:, None]).sum(axis=1)) + base
    least = nis.min(axis=1)
    good = np.flatnonzero((least <= gate) & (worth > 0.0))
    keys = list(zip(of[good].tolist(), at[good].tolist(), strict=True))
    possible = [Pair(i, j, n, w) for (i, j), n, w in zip(keys, least[good].tolist(), worth[good].tolist(), strict=True)]
    return possible, dict(zip(keys, z[good], strict=True)), dict(zip(keys, rotated[good], strict=True))


def _hit(
    c: Contact, pair: Pair, look: Look, missed: float, spot: Spot, mean: np.ndarray, interval_s: float, p: Presets
) -> Contact:
    """A contact that was seen."""
    score, hits = min(MOST, c.score + min(pair.worth + missed, GAIN_MOST)), c.hits + 1
    e, n = float(mean[0]), float(mean[2])
    lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(e, n)
    r = max(spot.r_ee, spot.r_nn)
    moved = _left(c.spot, lat, lon, r)
    return msgspec.structs.replace(
        c, score=score, hits=hits, confirmed=c.confirmed or (score >= p.confirm_score and hits >= p.confirm_hits),
        seen_ns=look.time_ns, before_ns=c.seen_ns, lat_deg=lat, lon_deg=lon, r=r, flag=spot.flag,
        sensors=c.sensors if look.sensor in c.sensors else (*c.sensors, look.sensor), gap_s=max(c.gap_s, interval_s),
        proof=c.proof + pair.worth + missed, unseen=0.0, spot=(lat, lon, r) if moved else c.spot,
        moved_ns=look.time_ns if moved else c.moved_ns, rarity=math.inf,
    )  # fmt: skip


def _left(spot: tuple[float, float, float], lat_deg: float, lon_deg: float, r: float) -> bool:
    """Whether a place lies beyond 30 m and three sigmas of where something began to stay (``kernel.rested``)."""
    gone_m = away_m(spot[0], spot[1], lat_deg, lon_deg)
    return gone_m * gone_m > max(900.0, 9.0 * (r + spot[2]))


def _missed(c: Contact, missed: float, dt_s: float, *, hides: bool) -> Contact:
    """A contact that a look did not see: it is none, or (what was seen beyond doubt) it is where no look sees it.

    Args:
        hides: whether it may be; not where the look saw another contact at its place.
    """
    unseen, fall = c.unseen + missed, missed
    if hides and c.confirmed and c.proof > PROVEN:
        fall = math.log((math.exp(unseen) + HIDES) / (math.exp(c.unseen) + HIDES)) - GONE_PER_S * dt_s
    return msgspec.structs.replace(c, score=c.score + max(fall, missed), unseen=unseen)


def _covered(c: Contact, mean: np.ndarray, look: Look) -> bool:
    lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(float(mean[0]), float(mean[2]))
    return ring_contains(look.footprint, lat_deg=lat, lon_deg=lon)


def _found_again(contacts: list[Contact], keep: list[int], was: list[bool], t: int) -> list[int]:
    """A contact that is confirmed now takes over from the one that was lost near where it is: one object, one name.

    Lost: not seen since the sighting before the last of the new one.
    """
    born = [i for i in keep if contacts[i].confirmed and not was[i] and not contacts[i].of]
    missing = [j for j in keep if was[j] and contacts[j].seen_ns < t and not contacts[j].of] if born else []
    for i in born:
        new, lost = contacts[i], []
        for j in missing:
            old = contacts[j]
            if old.seen_ns < new.before_ns and j in keep:
                gap_m = distance_m(lat1_deg=old.lat_deg, lon1_deg=old.lon_deg, lat2_deg=new.lat_deg, lon2_deg=new.lon_deg)
                if gap_m <= AGAIN_M + AGAIN_MPS * (t - old.seen_ns) / NS:
                    lost.append((gap_m, j))
        if lost:
            j = min(lost)[1]
            contacts[i] = msgspec.structs.replace(
                new, name=contacts[j].name, first_ns=contacts[j].first_ns, hits=contacts[j].hits + new.hits,
                proof=contacts[j].proof + new.proof,
                dark=contacts[j].dark, imagery=contacts[j].imagery or new.imagery,
            )  # fmt: skip
            keep = [k for k in keep if k != j]
    return keep


def _regained(
    contacts: list[Contact], keep: list[int], mean: np.ndarray, riders: list[Rider], hit: dict[int, Pair], count: int,
    t: int,
) -> list[tuple[int, str]]:  # fmt: skip
    """(contact, track): what looks alone carry and have lost is the contact that began near there since.

    So a turn or a start that the looks took for somebody else's: each of the two alone says nothing, but that the one goes
    unseen where looks see, just when the other comes from nowhere, does.  What it was seen at once more, in between, may have
    been clutter.  Only of one lost and one found: where either could be another's too, neither is taken.
    """
    lost = [rider for k, rider in enumerate(riders) if rider.lasts and count + k not in hit]
    if not lost:
        return []
    pairs = []
    for i in keep:
        c = contacts[i]
        if i not in hit or not c.confirmed or c.of or c.imagery or c.hits > REGAINED_HITS:
            continue
        pairs += [(i, rider.track_id) for rider in lost if any(_goes_on_from(c, last, mean[i], t) for last in rider.lasts)]
    one, other = Counter(i for i, _ in pairs), Counter(track_id for _, track_id in pairs)
    return [(i, track_id) for i, track_id in pairs if one[i] == 1 and other[track_id] == 1]


def _goes_on_from(c: Contact, last: Last, mean: np.ndarray, t: int) -> bool:
    """Whether a contact began after something was last at a place, and may have come from there."""
    if c.first_ns <= last.time_ns or t - last.time_ns > REGAINED_NS:
        return False
    speed_mps = max(AGAIN_MPS / 2.0, last.speed_mps, math.hypot(mean[1], mean[3]))
    most_m = AGAIN_M + FASTER * speed_mps * (t - last.time_ns) / NS
    return away_m(last.lat_deg, last.lon_deg, c.lat_deg, c.lon_deg) <= most_m


def _without_twins(
    contacts: list[Contact], keep: list[int], mean: np.ndarray, cov: np.ndarray, riders: list[Rider], hit: dict[int, Pair],
    count: int, out: LookOutcome,
) -> list[int]:  # fmt: skip
    """Contacts that go along with a rider for some looks, of which only one of the two is seen, are that rider: dropped."""
    if not riders or not keep:
        return keep
    lat = np.array([frame(r.lat0_deg, r.lon0_deg).geodetic(r.x[0], r.x[2]) for r in riders])
    where = ecef(lat[:, 0], lat[:, 1])
    places = _Places(tuple(contacts), mean)
    found = []
    for i in keep:
        c, one = contacts[i], None
        if c.of:
            found.append(i)
            continue
        near = np.flatnonzero(((where - places.xyz[i]) ** 2).sum(axis=1) < TWIN_M**2)
        for k in near.tolist():
            both = i in hit and count + k in hit
            if not both and _one(c, mean[i], cov[i], riders[k]):
                one = riders[k].track_id
                break
        alone = one is not None and (i in hit or any(count + k in hit for k in near.tolist()))
        twin = c.twin + 1 if alone else c.twin if one is not None else 0
        contacts[i] = msgspec.structs.replace(c, twin=twin) if twin != c.twin else c
        if twin >= TWIN_LOOKS:
            assert one is not None
            out.gone.append((c.name, one))
        else:
            found.append(i)
    return found


def _one(c: Contact, mean: np.ndarray, cov: np.ndarray, rider: Rider) -> bool:
    """Whether a contact's position and velocity are those of a rider, as far as both are known."""
    return _is_at(c, mean, cov, rider.lat0_deg, rider.lon0_deg, rider.x)


def _is_at(c: Contact, mean: np.ndarray, cov: np.ndarray, lat0_deg: float, lon0_deg: float, x: State) -> bool:
    """Whether a contact's position and velocity are those of a state in another frame."""
    return _d2(mean, cov, c.lat0_deg, c.lon0_deg, lat0_deg, lon0_deg, x) <= TWIN_D2


def _d2(
    mean: np.ndarray, cov: np.ndarray, at_lat_deg: float, at_lon_deg: float, lat0_deg: float, lon0_deg: float, x: State
) -> float:
    """Mahalanobis² between moments in the frame of an anchor and a state in another frame."""
    en = near_en(at_lat_deg, at_lon_deg, *frame(lat0_deg, lon0_deg).geodetic(x[0], x[2]))
    if en is None:
        return math.inf
    cos, sin = turn(lat0_deg, lon0_deg, at_lat_deg, at_lon_deg)
    d = mean - np.array([en[0], cos * x[1] + sin * x[3], en[1], -sin * x[1] + cos * x[3]])
    return float(d @ np.linalg.solve(cov + _covariance(x), d))


def _covariance(x: State) -> np.ndarray:
    """That of a state, (4, 4)."""
    upper = np.empty((4, 4))
    upper[_UPPER] = x[4:]
    out: np.ndarray = np.triu(upper) + np.triu(upper, 1).T
    return out


def _anchored(contacts: list[Contact], bank: Bank, mean: np.ndarray) -> None:
    """Contacts that are far from their anchor get a new one."""
    for i, c in enumerate(contacts):
        e, n = float(mean[i, 0]), float(mean[i, 2])
        if max(abs(e), abs(n)) <= REANCHOR_M:
            continue
        lat, lon = frame(c.lat0_deg, c.lon0_deg).geodetic(e, n)
        cos, sin = turn(c.lat0_deg, c.lon0_deg, lat, lon)
        m = np.array([[cos, 0, sin, 0], [0, cos, 0, sin], [-sin, 0, cos, 0], [0, -sin, 0, cos]])
        bank.x[i] = (bank.x[i] - np.array([e, 0.0, n, 0.0])) @ m.T
        bank.p[i] = m @ bank.p[i] @ m.T
        contacts[i] = msgspec.structs.replace(c, lat0_deg=lat, lon0_deg=lon)


def _grown(bank: Bank, r: np.ndarray) -> Bank:
    new = banks.new_bank(np.zeros((len(r), 2)), r, CONTACT, NEW_V)
    return Bank(*(np.concatenate(pair) for pair in ((bank.mu, new.mu), (bank.x, new.x), (bank.p, new.p))))


def _going(bank: Bank, spots: list[Spot], left: list[int], begun_of: dict[int, str], riders: list[Rider]) -> None:
    """A shadow begins with the velocity of its track, as little known; a seldom look would not see it again."""
    first, of = len(bank.mu) - len(left), {rider.track_id: rider for rider in riders}
    for row, i in enumerate(left, first):
        if i in begun_of:
            rider = of[begun_of[i]]
            c, s = turn(rider.lat0_deg, rider.lon0_deg, spots[i].lat_deg, spots[i].lon_deg)
            bank.x[row, :, 1] = c * rider.x[1] + s * rider.x[3]
            bank.x[row, :, 3] = -s * rider.x[1] + c * rider.x[3]


def _begun(look: Look, spot: Spot, score: float, interval_s: float, remembered: list[Contact], names: set[str]) -> Contact:
    """A new contact; where an image saw one here before, that one.

    Args:
        names: of the contacts that there are; two sightings of one time at one place are two contacts.
    """
    r, t = max(spot.r_ee, spot.r_nn), look.time_ns
    place = f"{t}/{look.sensor}/{spot.lat_deg:.7f}/{spot.lon_deg:.7f}"
    name, first_ns, hits, confirmed = place, t, 1, False
    stays, moved_ns = (spot.lat_deg, spot.lon_deg, r), None
    while name in names:
        name = f"{place}/{len(names)}" if name == place else f"{name}+"
    if look.imagery:
        near = [(_away_m(old, spot), i) for i, old in enumerate(remembered) if _same_place(old, spot)]
        if near:
            old = remembered.pop(min(near)[1])
            name, first_ns, hits, confirmed = old.name, old.first_ns, old.hits + 1, True
            stays, moved_ns = old.spot, old.moved_ns
    return Contact(
        name, spot.lat_deg, spot.lon_deg, score, hits, confirmed, first_ns, t, t, spot.lat_deg, spot.lon_deg, r,
        (look.sensor,), look.imagery, look.time_source != "server" and (look.imagery or bool(look.footprint)), interval_s,
        flag=spot.flag, spot=stays, moved_ns=moved_ns, rarity=math.inf if hits > 1 else spot.rarity,
    )  # fmt: skip


def _away_m(c: Contact, spot: Spot) -> float:
    return distance_m(lat1_deg=c.lat_deg, lon1_deg=c.lon_deg, lat2_deg=spot.lat_deg, lon2_deg=spot.lon_deg)


def _same_place(c: Contact, spot: Spot) -> bool:
    """Whether a sighting is where a contact was last seen, as far as a berth or an anchor lets it swing."""
    return _away_m(c, spot) <= 3.0 * math.sqrt(max(spot.r_ee, spot.r_nn) + c.r) + SWING_M
