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

import math
from typing import Any

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.geo import A_M, E2, distance_m
from birddog.model import TimeSource
from birddog.units import NS
from tracking import bank as banks
from tracking.anchor import REANCHOR_M, frame, near_en, turn
from tracking.area import Ring
from tracking.assign import Pair, Spot, assign
from tracking.bank import CONTACT, Bank
from tracking.engine import State
from tracking.presets import Presets

#: Variance of the velocity of a new contact, (m/s)² per axis.
NEW_V = 150.0
#: The score gains no more than MOST and starts at no less than LEAST; under DEAD a contact is dropped.
MOST, LEAST, DEAD = 8.0, -1.5, -2.0
#: One sighting says no more than this for what it is assigned to.
GAIN_MOST = 8.0
#: What has been seen beyond doubt may be where no look sees it (behind a house, in a tunnel, a sensor's blind minute): one
#: thing in so many; each second of that the log-odds that it is still about fall by GONE_PER_S.
PROVEN, HIDES, GONE_PER_S = 25.0, 1e-2, 0.1
#: A contact of a sensor that looks often is lost when it is this vague (one sigma, m).
LOST_M = 200.0
#: A contact this close to a rider (Mahalanobis², position and velocity) for so many looks in which one of the two was seen
#: and not both is the same object.
TWIN_D2, TWIN_LOOKS, TWIN_M = 9.0, 4, 100.0
#: A contact confirmed this near (m, and m/s of the time between) to where one was last seen is that one, found again.
AGAIN_M, AGAIN_MPS = 40.0, 20.0
#: When a look last saw an identified track is kept so long.
SEEN_NS = 3600 * NS
#: What an image showed once is remembered for so long; seen within so many metres more than both sightings' errors (a berth,
#: a swing at anchor) it is that one.
REMEMBERED_NS, REMEMBERED_MOST, SWING_M = 7 * 86_400 * NS, 1000, 60.0


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


class Contact(msgspec.Struct, frozen=True, array_like=True):
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


class Crowd(msgspec.Struct, frozen=True):
    """All contacts at a time; row i of the bank is contact i.

    Args:
        remembered: contacts of images that are no more.
        looked: of each sensor the time of its last look and the seconds between the last two.
        seen: when a look last saw a rider, by track.
    """

    t_ns: int
    contacts: tuple[Contact, ...]
    bank: Bank
    remembered: tuple[Contact, ...] = ()
    looked: dict[str, tuple[int, float]] = {}
    seen: dict[str, int] = {}


class Rider(msgspec.Struct, frozen=True):
    """An identified track that is asked: its state at the look in its frame, and what it says of each sighting in its gate.

    Args:
        logs: (sighting, NIS, log density of the sighting under the track's mixture).
        visible: the log of the chance that this sensor sees it at all, from the looks that missed it.
    """

    track_id: str
    lat0_deg: float
    lon0_deg: float
    x: State
    logs: list[tuple[int, float, float]]
    visible: float


class LookOutcome(msgspec.Struct):
    """What a look did: sightings of riders and of contacts, and who of the contacts is no more.

    Args:
        riders: (track, sighting, NIS); contacts: (name, NIS).
        again: names of contacts that took over one that was lost.
        gone: names of contacts that are a rider's after all, with its track.
    """

    riders: list[tuple[str, int, float]]
    contacts: list[tuple[str, float]]
    born: list[str]
    gone: list[tuple[str, str]]


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


def step(crowd: Crowd, look: Look, riders: list[Rider], p: Presets, *, begins: bool = True) -> tuple[Crowd, LookOutcome]:
    """The contacts after a look, and what became of each sighting.

    Args:
        begins: whether what is left over begins contacts.
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
    possible += [
        Pair(count + k, i, nis, log + base + rider.visible)
        for k, rider in enumerate(riders) for i, nis, log in rider.logs if nis <= p.sighting_gate
    ]  # fmt: skip
    if look.imagery and remembered:
        # what lies where an image saw something before is that, and nobody who came from elsewhere
        known = {i for i, spot in enumerate(spots) if any(_same_place(c, spot) for c in remembered)}
        possible = [
            pair for pair in possible
            if pair.spot not in known or pair.track >= count or _same_place(contacts[pair.track], spots[pair.spot])
        ]  # fmt: skip
    chosen = assign(possible)
    hit = {pair.track: pair for pair in chosen}
    rows = [pair.track for pair in chosen if pair.track < count]
    if rows:
        picked = [(pair.track, pair.spot) for pair in chosen if pair.track < count]
        index = np.array(rows, dtype=int)
        part, _ = banks.updated(bank.rows(index), np.array([z[k] for k in picked]), np.array([r_at[k] for k in picked]))
        bank = Bank(bank.mu.copy(), bank.x.copy(), bank.p.copy())
        bank.put(index, part)
    mean, cov = moments(bank)

    out = LookOutcome([(riders[k - count].track_id, pair.spot, pair.nis) for k, pair in hit.items() if k >= count], [], [], [])
    interval_s = _interval_s(crowd, look)
    was = [c.confirmed for c in contacts]
    # what somebody else is seen at is looked at: who is not seen there may be that one
    contested = {pair.track for pair in possible}
    spread = np.sqrt(np.maximum(cov[:, 0, 0], cov[:, 2, 2])) if count else np.empty(0)
    keep = []
    for i, c in enumerate(contacts):
        pair = hit.get(i)
        if pair is not None:
            c = _hit(c, pair, look, missed, spots[pair.spot], mean[i], interval_s, p)
            out.contacts.append((c.name, pair.nis))
        elif look.complete and _covered(c, mean[i], look):
            c = _missed(c, missed, (t - crowd.t_ns) / NS, hides=i not in contested)
        contacts[i] = c
        vague = pair is None and not c.imagery and spread[i] > LOST_M
        if c.score > DEAD and not vague:
            keep.append(i)
        elif c.imagery:
            remembered.append(c)
    keep = _found_again(contacts, keep, was, t)
    keep = _without_twins(contacts, keep, mean, cov, riders, hit, count, out)
    if len(keep) < count or any(max(abs(mean[i, 0]), abs(mean[i, 2])) > REANCHOR_M for i in keep):
        bank = bank.rows(np.array(keep, dtype=int))
        contacts = [contacts[i] for i in keep]
        _anchored(contacts, bank, mean[keep])
    taken = {pair.spot for pair in chosen}
    left = [i for i in range(len(spots)) if i not in taken] if begins else []
    if left:
        start = max(math.log(new / density), LEAST)
        bank = _grown(bank, r[left])
        names = {c.name for c in contacts}
        for i in left:
            contacts.append(_begun(look, spots[i], start, interval_s, remembered, names))
            names.add(contacts[-1].name)
            out.born.append(contacts[-1].name)
    seen = {track_id: ns for track_id, ns in crowd.seen.items() if t - ns < SEEN_NS}
    seen |= {track_id: t for track_id, _, _ in out.riders} | {track_id: t for _, track_id in out.gone}
    looked = {**crowd.looked, look.sensor: (max(t, crowd.looked.get(look.sensor, (0, 0.0))[0]), interval_s)}
    after = Crowd(t, tuple(contacts), bank, tuple(remembered[-REMEMBERED_MOST:]), looked, seen)
    return after, out


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
    away_m = distance_m(lat1_deg=spot[0], lon1_deg=spot[1], lat2_deg=lat_deg, lon2_deg=lon_deg)
    return away_m * away_m > max(900.0, 9.0 * (r + spot[2]))


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
    born = [i for i in keep if contacts[i].confirmed and not was[i]]
    missing = [j for j in keep if was[j] and contacts[j].seen_ns < t] if born else []
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
    en = near_en(c.lat0_deg, c.lon0_deg, *frame(rider.lat0_deg, rider.lon0_deg).geodetic(rider.x[0], rider.x[2]))
    if en is None:
        return False
    cos, sin = turn(rider.lat0_deg, rider.lon0_deg, c.lat0_deg, c.lon0_deg)
    x = rider.x
    d = mean - np.array([en[0], cos * x[1] + sin * x[3], en[1], -sin * x[1] + cos * x[3]])
    other = np.empty((4, 4))
    other[_UPPER] = x[4:]
    other = np.triu(other) + np.triu(other, 1).T
    return float(d @ np.linalg.solve(cov + other, d)) <= TWIN_D2


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
