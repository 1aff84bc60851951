"""Contacts that are somebody already: one that was lost and is found again, or an identified track that looks carry or see."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import numpy as np

from birddog.geo import distance_m
from birddog.units import NS
from tracking import belied
from tracking.anchor import away_m, frame
from tracking.assign import Pair
from tracking.contact import Contact
from tracking.crowd import Crowd, Last, LookOutcome, Rider, state_of
from tracking.fitting import is_rider
from tracking.places import Places, ecef

#: A contact this close to a rider (m, and ``fitting.TWIN_D2``) for so many looks in which one of the two was seen and not both
#: is the same object; not what so many looks showed beside it: those are two, also once looks see one of them no more.
TWIN_LOOKS, TWIN_M, TWO_LOOKS = 4, 100.0, 2
#: A contact confirmed this near (m, and m/s of the time between) to where one was last seen is that one, found again.
AGAIN_M, AGAIN_MPS = 40.0, 20.0
#: What has no voice of its own is lost when looks would have missed it with this chance (a log), for so long (or so many looks:
#: a shadow, ``refound``); the contact that it goes on from was seen so often at most, and lies no further off than at so many
#: times its speed.
LOST_LOG, REGAINED_NS, REGAINED_LOOKS, REGAINED_HITS, FASTER = -0.3, 30 * NS, 5.0, 8, 1.5
#: Roads bend: the way of what came from a place may miss it by so much of the distance.
BENDS = 0.5


def found_again(contacts: list[Contact], keep: list[int], was: list[bool], t: int) -> list[int]:
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
                was=contacts[j].was, dark=contacts[j].dark, imagery=contacts[j].imagery or new.imagery,
            )  # fmt: skip
            keep = [k for k in keep if k != j]
    return keep


def regained(
    contacts: list[Contact], keep: list[int], mean: np.ndarray, cov: np.ndarray, riders: list[Rider], hit: dict[int, Pair],
    count: int, t: int, most_ns: int,
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
        speed = _speed(mean[i])
        for rider in lost:
            most = REGAINED_NS if rider.said is None else most_ns
            if any(goes_on_from(c, last, speed, t, most) and leads_from(c, last, mean[i], cov[i]) for last in rider.lasts):
                pairs.append((i, rider.track_id))
    one, other = Counter(i for i, _ in pairs), Counter(track_id for _, track_id in pairs)
    return [(i, track_id) for i, track_id in pairs if one[i] == 1 and other[track_id] == 1]


def refound(
    contacts: list[Contact], keep: list[int], hit: dict[int, Pair], numbers: dict[str, int], riders: list[Rider],
    mean: np.ndarray, cov: np.ndarray, t: int, pd: float,
) -> list[int]:  # fmt: skip
    """A shadow that looks have lost, and its track where that is said to be, goes on as what came into view there since.

    So what drives off while its receiver says that it stands, or turns while that says that it goes on (``regained`` is the
    same of what has no receiver).
    """
    lost = [i for i in keep if contacts[i].of and contacts[i].unseen <= LOST_LOG and contacts[i].of in numbers
            and not belied.is_new(contacts[i]) and numbers[contacts[i].of] not in hit]  # fmt: skip
    if not lost:
        return keep
    new = [i for i in keep if i in hit and contacts[i].confirmed and not contacts[i].of and not contacts[i].imagery
           and contacts[i].hits <= REGAINED_HITS]  # fmt: skip
    pairs = []
    for j in lost:
        c = contacts[j]
        if riders[numbers[c.of] - len(contacts)].said is not None:
            last = Last(c.seen_ns, c.lat_deg, c.lon_deg, math.hypot(mean[j, 1], mean[j, 3]))
            most_ns = waits_ns(c.gap_s, pd)
            pairs += [(i, j) for i in new if goes_on_from(contacts[i], last, _speed(mean[i]), t, most_ns)
                      and leads_from(contacts[i], last, mean[i], cov[i])]  # fmt: skip
    one, other = Counter(i for i, _ in pairs), Counter(j for _, j in pairs)
    for i, j in pairs:
        if one[i] == other[j] == 1:
            was, c = contacts[j], contacts[i]
            contacts[i] = msgspec.structs.replace(
                c, name=was.name, first_ns=was.first_ns, hits=was.hits + c.hits, of=was.of, apart=max(1, was.apart),
                parted_ns=was.parted_ns if was.apart else c.first_ns, misses=was.misses, odds=max(0.0, was.odds),
            )  # fmt: skip
            keep = [k for k in keep if k != j]
    return keep


def gone_along(
    crowd: Crowd, contacts: list[Contact], keep: list[int], hit: dict[int, Pair], numbers: dict[str, int], riders: list[Rider],
    mean: np.ndarray, cov: np.ndarray, out: LookOutcome,
) -> None:  # fmt: skip
    """A track of which its receiver has said nothing since goes where its shadow went, when looks show that and not the track.

    What sets off between two looks is out of its filter's reach, which knows it as long parked; the second look that shows what
    was seen of it so far elsewhere, and nothing of it where it was, says that it went.
    """
    for i in keep:
        c, k = contacts[i], numbers.get(contacts[i].of)
        if k is None or k in hit or i not in hit or belied.is_new(c):
            continue
        said, seen_ns = riders[k - len(contacts)].said, crowd.seen.get(c.of, 0)
        if said is not None and said.fix.time_ns <= seen_ns < c.before_ns:
            c = contacts[i] = msgspec.structs.replace(c, apart=0, misses=0, odds=0.0)
            out.regained.append((c.of, c, state_of(mean[i], cov[i]), None))


def goes_on_from(c: Contact, last: Last, speed_mps: float, t: int, most_ns: int = REGAINED_NS) -> bool:
    """Whether a contact began after something was last at a place, and may have come from there."""
    if c.first_ns <= last.time_ns or t - last.time_ns > most_ns:
        return False
    return away_m(last.lat_deg, last.lon_deg, c.lat_deg, c.lon_deg) <= reach_m(last, speed_mps, t)


def leads_from(c: Contact, last: Last, mean: np.ndarray, cov: np.ndarray) -> bool:
    """Whether the way of a contact since its first sighting leads from where something was last, roughly: what comes towards
    it, or passes beside it, was on its way before.

    Args:
        mean: (4,) e, ve, n, vn of the contact, m and m/s; cov: (4, 4) of them.
    """
    away = frame(last.lat_deg, last.lon_deg).en(lat_deg=c.lat_deg, lon_deg=c.lon_deg)
    ve, vn, seen_s = float(mean[1]), float(mean[3]), (c.seen_ns - c.first_ns) / NS
    east, north, speed = away[0] - ve * seen_s, away[1] - vn * seen_s, max(math.hypot(ve, vn), 1e-9)
    along = max(0.0, (east * ve + north * vn) / speed)
    off_m = math.hypot(east - along * ve / speed, north - along * vn / speed)
    unsure = 2.0 * math.sqrt(max(float(cov[1, 1]), float(cov[3, 3]))) / speed  # of its course, radians
    turned_m = (BENDS + unsure) * math.hypot(*away) + last.speed_mps * (c.first_ns - last.time_ns) / NS
    return off_m <= AGAIN_M + turned_m


def lost_ns(gap_s: float) -> int:
    """For so long what looks have lost may be what came into view; ``gap_s`` between them."""
    return max(REGAINED_NS, int(REGAINED_LOOKS * gap_s * NS))


def waits_ns(gap_s: float, pd: float) -> int:
    """The same of what has a receiver, which goes on saying another place: as long as looks may miss it by bad luck."""
    return max(lost_ns(gap_s), int(belied.waits_looks(pd) * gap_s * NS))


def _speed(mean: np.ndarray) -> float:
    return math.hypot(mean[1], mean[3])


def reach_m(last: Last, speed_mps: float, t: int) -> float:
    """How far what goes so fast at a time may have come since something was lost."""
    return AGAIN_M + FASTER * max(AGAIN_MPS / 2.0, last.speed_mps, speed_mps) * (t - last.time_ns) / NS


def without_twins(
    contacts: list[Contact], keep: list[int], mean: np.ndarray, cov: np.ndarray, riders: list[Rider], hit: dict[int, Pair],
    count: int, out: LookOutcome,
) -> list[int]:  # fmt: skip
    """Contacts that go along with a rider for some looks, of which only one of the two is seen, are that rider: dropped."""
    if not riders or not keep:
        return keep
    lat = np.array([frame(r.lat0_deg, r.lon0_deg).geodetic(r.x[0], r.x[2]) for r in riders])
    where = ecef(lat[:, 0], lat[:, 1])
    places = Places(contacts, mean)
    found = []
    for i in keep:
        c, one = contacts[i], None
        if c.of:
            found.append(i)
            continue
        away2 = ((where - places.xyz[i]) ** 2).sum(axis=1)
        near = np.flatnonzero(away2 < TWIN_M**2).tolist()
        for k in np.flatnonzero(away2 < (2.0 * TWIN_M) ** 2).tolist():
            track_id = riders[k].track_id
            if i in hit and count + k in hit and hit[i].spot != hit[count + k].spot:
                c = msgspec.structs.replace(c, two=track_id, both=c.both + 1 if c.two == track_id else 1)
            elif k in near and one is None and not (c.two == track_id and c.both >= TWO_LOOKS):
                one = track_id if is_rider(c, mean[i], cov[i], riders[k]) else None
        alone = one is not None and (i in hit or any(count + k in hit for k in near))
        twin = c.twin + 1 if alone else c.twin if one is not None else 0
        contacts[i] = msgspec.structs.replace(c, twin=twin) if twin != c.twin else c
        if twin >= TWIN_LOOKS:
            assert one is not None
            out.gone.append((c.name, one))
        else:
            found.append(i)
    return found
