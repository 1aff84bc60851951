"""The anonymous contacts of one operation, all at once, and one look into them; pure functions.

A look is one sensor at one time.  Every contact is a bank of motions (``tracking.bank``, the batch of the one estimator),
in the plane of its own anchor.  A look is gated by place first (``crowd_kernel.gated``), split into connected
components and assigned by SciPy on log-likelihood ratios: detection probability, clutter, what else may be new there.
*Riders* are the identified tracks that are asked too: those that are on time and that this sensor still sees.  What is
left over begins contacts; a contact is confirmed and dies by its score (Blackman, Popoli 1999, chapter 6.2; Reid 1979).

What is asked of others stands in rooms of its own: ``shadows`` (of identified tracks), ``stitching`` (contacts that are
somebody already), ``handed`` (receivers that are on another vehicle), ``sharing`` (on one that reports), ``aboard`` (passive
tags on what reports),
``alignment`` (of the sensor).

The state before is left as it was, so that a late look can be run in from any time (``tracking.looks``).
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.geo import DEGREE_M, distance_m
from birddog.units import NS
from tracking import aboard, alignment, belied, bystanders, company, handed, shadows, sharing, stitching
from tracking import bank as banks
from tracking.anchor import REANCHOR_M, away_m, frame, turn
from tracking.assign import Pair, Spot, assign
from tracking.bank import CONTACT, Bank
from tracking.contact import DEAD, HIDES, Contact, Look
from tracking.crowd import SEEN_NS, Crowd, LookOutcome, Rider, ahead, moments, placed, state_of, updated
from tracking.crowd_kernel import PAIR, compiled
from tracking.places import Places, axes, ecef
from tracking.presets import Presets

#: Variance of the velocity of a new contact, (m/s)² per axis.
NEW_V = 150.0
#: The score gains no more than MOST and starts at no less than LEAST.
MOST, LEAST = 8.0, -1.5
#: One sighting says no more than this for what it is assigned to.
GAIN_MOST = 8.0
#: What has been seen beyond doubt may be where no look sees it (``HIDES``): each second of that the log-odds that it is still
#: about fall by GONE_PER_S.
PROVEN, GONE_PER_S = 25.0, 0.1
#: A contact of a sensor that looks often is lost when it is this vague (one sigma, m).
LOST_M = 200.0
#: What an image showed once is remembered for so long; seen within so many metres more than both sightings' errors (a berth,
#: a swing at anchor) it is that one.
REMEMBERED_NS, REMEMBERED_MOST, SWING_M = 7 * 86_400 * NS, 1000, 60.0


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
    z_lat, z_lon, r = np.array([s.lat_deg for s in spots]), np.array([s.lon_deg for s in spots]), np.empty((len(spots), 2, 2))
    r[:, 0, 0], r[:, 1, 1] = [s.r_ee for s in spots], [s.r_nn for s in spots]
    r[:, 0, 1] = r[:, 1, 0] = [s.r_en for s in spots]

    possible, at, numbers_of = _gated(contacts, bank, z_lat, z_lon, r, base, p.sighting_gate)
    count = len(contacts)
    numbers = {rider.track_id: count + k for k, rider in enumerate(riders)}
    riding = {numbers[one]: numbers[a.track_id] for one, a in crowd.alongside.items()
              if a.rides and one in numbers and a.track_id in numbers}  # fmt: skip
    theirs = [
        Pair(count + k, i, nis, log + base + rider.visible)
        for k, rider in enumerate(riders) for i, nis, log in rider.logs if nis <= p.sighting_gate and count + k not in riding
    ]  # fmt: skip
    if any(c.of and c.score <= DEAD for c in contacts):  # one that looks lost has no sighting, but what they found since
        possible = [pair for pair in possible if not contacts[pair.track].of or contacts[pair.track].score > DEAD]
    own = {(pair.track, pair.spot): pair for pair in possible if contacts[pair.track].of}
    possible = shadows.as_one(contacts, possible, theirs, own, riders, numbers) if own else possible + theirs
    if look.imagery and remembered:
        # what lies where an image saw something before is that, and nobody who came from elsewhere, unless it is likelier
        # that it did
        known = {i: worth for i, spot in enumerate(spots) if (worth := _returns(remembered, spot, look.pd)) is not None}
        possible = [
            pair for pair in possible
            if pair.spot not in known or pair.track >= count or _same_place(contacts[pair.track], spots[pair.spot])
            or (contacts[pair.track].moved_ns is not None and contacts[pair.track].confirmed
                and pair.worth + math.log(density) >= known[pair.spot])
        ]  # fmt: skip
    chosen = assign(possible)
    if own:
        chosen = shadows.two_again(contacts, chosen, theirs, own, numbers)
    hit = {pair.track: pair for pair in chosen}
    hit |= {k: hit[on] for k, on in riding.items() if on in hit}  # it goes along
    picked = [(pair.track, pair.spot) for pair in chosen if pair.track < count]
    if picked:
        bank = updated(bank, np.array([i for i, _ in picked], np.int64), numbers_of[[at[one] for one in picked]])
    mean, cov = moments(bank)
    lats, lons = placed(contacts, mean, cov)[:, :2].T.tolist()

    out = LookOutcome([], [], [], [])
    gap_s = _interval_s(crowd, look)
    was = [c.confirmed for c in contacts]
    # what somebody else is seen at is looked at: who is not seen there may be that one
    contested = {pair.track for pair in possible}
    spread = np.sqrt(np.maximum(cov[:, 0, 0], cov[:, 2, 2])).tolist()
    keep = []
    for i, c in enumerate(contacts):
        pair = hit.get(i)
        if pair is not None:
            c = _hit(c, pair, look, missed, spots[pair.spot], lats[i], lons[i], gap_s, p)
            out.contacts.append((c.name, pair.nis))
        elif look.complete and ring_contains(look.footprint, lat_deg=lats[i], lon_deg=lons[i]):
            c = _missed(c, missed, (t - crowd.t_ns) / NS, hides=i not in contested)
        contacts[i] = c
        vague = pair is None and not c.imagery and spread[i] > LOST_M
        if c.score > DEAD and not vague:
            keep.append(i)
        elif shadows.waits(c, look):
            contacts[i] = shadows.lost(c)
            keep.append(i)
        elif c.imagery:
            remembered.append(c)
    if any(rider.said is not None for rider in riders):
        keep = handed.over(crowd, contacts, keep, hit, riders, bank, mean, cov, look, gap_s, out)
    out.riders = [(riders[k - count].track_id, pair.spot, pair.nis) for k, pair in hit.items() if k >= count]
    had = {c.of: c.hits for c in contacts if c.of and not c.apart}  # looks that saw it as one
    if any(c.of or c.was for c in contacts):
        keep = stitching.refound(contacts, keep, hit, numbers, riders, mean, cov, t, look.pd)
        stitching.gone_along(crowd, contacts, keep, hit, numbers, riders, mean, cov, out)
        keep, out.found = shadows.weighed(crowd, contacts, keep, hit, numbers, riders, mean, cov, look)
    doubts = shadows.doubts(crowd, out, contacts, mean, cov, hit, riders, look, gap_s)
    shown = look if raw is None else raw
    registered = alignment.registered(crowd, count, hit, riders, doubts, shown)
    if look.sensor in registered and (crowd.belied or doubts or any(c.apart for c in contacts)):
        registered, explained = alignment.knock(registered, contacts, mean, cov, hit, riders, doubts, shown)
        if explained:  # what looks say against them is the sensor's own doing
            doubts = {track_id: doubt for track_id, doubt in doubts.items() if track_id not in explained}
            out.found = [one for one in out.found if one[0] not in explained]
            contacts = [msgspec.structs.replace(c, apart=0, misses=0, odds=0.0) if (c.of or c.was) in explained else c
                        for c in contacts]  # fmt: skip
    keep = [i for i in keep if contacts[i].of not in doubts]  # who is doubted goes by the looks: it is its own shadow
    keep = stitching.found_again(contacts, keep, was, t)
    most_ns = stitching.waits_ns(gap_s, look.pd)
    for i, track_id in stitching.regained(contacts, keep, mean, cov, riders, hit, count, t, most_ns):
        last = next(rider.lasts[0] for rider in riders if rider.track_id == track_id)
        out.regained.append((track_id, contacts[i], state_of(mean[i], cov[i]), last))
        out.gone.append((contacts[i].name, track_id))
        keep = [k for k in keep if k != i]
    keep = stitching.without_twins(contacts, keep, mean, cov, riders, hit, count, out)
    alongside = crowd.alongside
    if any(rider.may == "ride" for rider in riders):
        alongside = aboard.alongside(crowd, contacts, mean, cov, hit, riders, look)
    elsewhere = {track_id for track_id, *_ in out.handed}  # what rode on it stays with what looks go on seeing
    alongside = {one: a for one, a in alongside.items() if not a.reports and a.track_id not in elsewhere}
    alongside |= sharing.after(crowd, riders, doubts, look, gap_s, out.over, alongside)
    halts, two = company.looked(crowd.halts, crowd.two, [
        (rider.track_id, rider.passes, look.spots[hit[count + k].spot])
        for k, rider in enumerate(riders) if rider.passes and count + k in hit
    ], t)  # fmt: skip
    far = (np.abs(mean[:, [0, 2]]) > REANCHOR_M).any(axis=1)
    if len(keep) < count or far.any():
        bank = bank.rows(np.array(keep, dtype=int))
        contacts = [contacts[i] for i in keep]
        _anchored(contacts, bank, mean[keep], np.flatnonzero(far[keep]).tolist())
    taken = {pair.spot for pair in hit.values()}
    left = [i for i in range(len(spots)) if i not in taken] if begins else []
    begun_of = shadows.begun(contacts, riders, hit, count, doubts, riding) if begins and belied.sees(look) else {}
    parted_of = shadows.parted(crowd, doubts, hit, numbers) if begins else {}
    left += begun_of
    left += parted_of
    if left:
        start = max(math.log(new / density), LEAST)
        bank = _grown(bank, r[left])
        shadows.going(bank, spots, left, begun_of | parted_of, riders)
        names = {c.name for c in contacts}
        for i in left:
            one = _begun(look, spots[i], start, gap_s, remembered, names)
            if i in begun_of:
                one = msgspec.structs.replace(one, of=begun_of[i], hits=1 + had.get(begun_of[i], 0))
                if not belied.is_new(one):
                    one = msgspec.structs.replace(one, confirmed=True, score=MOST)
            elif i in parted_of:
                one = belied.parted(msgspec.structs.replace(
                    one, of=parted_of[i], hits=belied.SAME_LOOKS, confirmed=True, score=MOST, proof=PROVEN
                ))  # fmt: skip
            contacts.append(one)
            names.add(contacts[-1].name)
            out.born.append(contacts[-1].name)
    beside = crowd.beside
    if beside or any(rider.said is not None for rider in riders):
        new_at = np.array([(z_lat[i], z_lon[i], 0.0) for i in left]).reshape(-1, 3)
        where = np.array((lats, lons, np.hypot(mean[:, 1], mean[:, 3]))).T[keep]
        beside = bystanders.after(crowd, contacts, bank, np.concatenate((where, new_at)), riders, look, gap_s, out, halts,
                                  doubts)
    seen = {track_id: ns for track_id, ns in crowd.seen.items() if t - ns < SEEN_NS}
    seen |= {track_id: t for track_id, _, _ in out.riders} | {track_id: t for _, track_id in out.gone}
    seen |= {track_id: t for track_id, *_ in (*out.found, *out.regained)}
    # what looks showed of a tag that turned out to ride they showed of what it is on
    seen |= {a.track_id: max(seen.get(a.track_id, 0), seen[one]) for one, a in alongside.items() if a.rides and one in seen}
    looked = {**crowd.looked, look.sensor: (max(t, crowd.looked.get(look.sensor, (0, 0.0))[0]), gap_s)}
    kept = tuple(remembered[-REMEMBERED_MOST:])
    after = Crowd(t, tuple(contacts), bank, kept, looked, seen, doubts, registered, alongside, halts, two, beside)
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
) -> tuple[list[Pair], dict[tuple[int, int], int], np.ndarray]:
    """The possible pairs of contact and sighting, which row each is, and the rows: ``PAIR`` numbers each."""
    if not contacts or not len(z_lat):
        return [], {}, np.empty((0, PAIR))
    mean, _ = moments(bank)
    rows, spots = Places(contacts, mean), ecef(z_lat, z_lon)
    order, room, found = np.argsort(spots[:, 2], kind="stable"), 2 * (len(contacts) + len(z_lat)), math.inf
    while found > room:  # a second time where there are more than there was room for
        room = room if found == math.inf else int(found)
        which, numbers = np.empty((room, 2), np.int64), np.empty((room, PAIR))
        found = compiled().gated(
            bank.mu, bank.x, bank.p, mean, rows.anchor, rows.axes, rows.xyz, spots, axes(z_lat, z_lon), r, order, base, gate,
            which, numbers,
        )  # fmt: skip
    of, at = which[: int(found)].T.tolist()
    nis, worth = numbers[: int(found), :2].T.tolist()
    return list(map(Pair, of, at, nis, worth)), {pair: row for row, pair in enumerate(zip(of, at, strict=True))}, numbers


def _hit(
    c: Contact, pair: Pair, look: Look, missed: float, spot: Spot, lat: float, lon: float, interval_s: float, p: Presets
) -> Contact:
    """A contact that was seen."""
    score, hits = min(MOST, c.score + min(pair.worth + missed, GAIN_MOST)), c.hits + 1
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
    least2 = max(900.0, 9.0 * (r + spot[2]))
    north_m, east_m = abs(lat_deg - spot[0]) * DEGREE_M, abs(lon_deg - spot[1]) * DEGREE_M
    if north_m * north_m + east_m * east_m < 0.99 * least2:  # a degree of longitude is no longer than one of latitude
        return False
    gone_m = away_m(spot[0], spot[1], lat_deg, lon_deg)
    return gone_m * gone_m > least2


def _missed(c: Contact, missed: float, dt_s: float, *, hides: bool) -> Contact:
    """A contact that a look did not see: it is none, or (what was seen beyond doubt) it is where no look sees it.

    Args:
        hides: whether it may be; not where the look saw another contact at its place.
    """
    unseen, fall = c.unseen + missed, missed
    if hides and c.confirmed and c.proof > PROVEN:
        fall = math.log((math.exp(unseen) + HIDES) / (math.exp(c.unseen) + HIDES)) - GONE_PER_S * dt_s
    return msgspec.structs.replace(c, score=c.score + max(fall, missed), unseen=unseen)


def _anchored(contacts: list[Contact], bank: Bank, mean: np.ndarray, far: list[int]) -> None:
    """Contacts that are far from their anchor, these, get a new one."""
    for i in far:
        c, e, n = contacts[i], float(mean[i, 0]), float(mean[i, 2])
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


def _returns(remembered: list[Contact], spot: Spot, pd: float) -> float | None:
    """How much likelier a sighting is what an image saw there before than that this is not seen now (a log density, 1/m²);
    None where it saw nothing there.

    What images missed until it ended is there by its score: that they saw it once may have been clutter.
    """
    found = []
    for c in remembered:
        if _same_place(c, spot):
            seen = pd / (1.0 + math.exp(-c.score))
            var = max(spot.r_ee, spot.r_nn) + c.r + SWING_M**2
            found.append(math.log(seen / (1.0 - seen) / (2.0 * math.pi * var)) - 0.5 * _away_m(c, spot) ** 2 / var)
    return max(found, default=None)


def _same_place(c: Contact, spot: Spot) -> bool:
    """Whether a sighting is where a contact was last seen, as far as a berth or an anchor lets it swing."""
    return _away_m(c, spot) <= 3.0 * math.sqrt(max(spot.r_ee, spot.r_nn) + c.r) + SWING_M
