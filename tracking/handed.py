"""Whether a receiver was handed over: its newest fix is not on what looks carry its track by, but on a contact that they know.

Three things may be true of a fix that lies elsewhere than a sighting of a moment ago.  It may be a bad one of what the looks
go on seeing (its density about that), a false one (``step.log_if_false``), or the first on another vehicle: then it is where
one of those is that are as near.  So a reflection moves no track, for hardly ever does something stand just there;
and a fix that is where a lorry is known to stand says at once whose sightings are its track's from now on.  The track goes on
from that contact (how far it lies from the last sighting says nothing of how fast it goes), and what it was on goes on as a
contact of its own.
"""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import numpy as np

from birddog.units import NS
from tracking.anchor import away_m, frame, near_en, rotated, turn
from tracking.assign import Pair
from tracking.bank import Bank
from tracking.belied import CLAIM_MPS, CLAIM_S, SAME_LOOKS, STANDS_MPS, Said, doubted
from tracking.contact import Contact, Look
from tracking.crowd import STILL, Crowd, LookOutcome, Rider, state_of
from tracking.engine import State
from tracking.fitting import gaussian
from tracking.measurement import Measurement
from tracking.step import log_if_false

#: One fix in so many is the first on another vehicle than the one before.
HANDED = 1e-3
#: It is handed over where that is so much likelier (natural logarithm of odds) than anything else.
LIKELIER = 1.5
#: Two meet within a walk of each other, m, and no faster than things are handed over at, m/s.
MET_M, MET_MPS = 100.0, 5.0
#: What stood beside it is apart, m, where nobody takes the one for the other.
APART_M = 50.0
#: After so many looks of its sensor, or ``CLAIM_S``, a fix says nothing of where something was.
LOOKS = 2.0


class There(msgspec.Struct, frozen=True):
    """Something at a look, in the frame of an anchor.

    Args:
        stands: whether it has not moved since the fix, as far as looks know.
    """

    lat0_deg: float
    lon0_deg: float
    x: State
    stands: bool


def asked(fix: Measurement, time_ns: int, gap_s: float) -> bool:
    """Whether a fix is new enough at a look."""
    return 0 <= time_ns - fix.time_ns <= max(CLAIM_S, LOOKS * gap_s) * NS


def fits(fix: Measurement, there: There, time_ns: int) -> tuple[float, float]:
    """How far from a fix something was at its time, m, and the log density, 1/m², of the fix if it is on that."""
    en, x = near_en(there.lat0_deg, there.lon0_deg, fix.lat_deg, fix.lon_deg), there.x
    if en is None:
        return math.inf, -math.inf
    dt_s = (time_ns - fix.time_ns) / NS
    c, s = turn(fix.lat_deg, fix.lon_deg, there.lat0_deg, there.lon0_deg)
    ree, ren, rnn = rotated(fix.r_ee, fix.r_en, fix.r_nn, c, s)
    if there.stands:
        e, n, own = en[0] - x[0], en[1] - x[2], 0.0
    else:
        e, n, own = en[0] - x[0] + dt_s * x[1], en[1] - x[2] + dt_s * x[3], (CLAIM_MPS * dt_s) ** 2
    ee, en_, nn = x[4] + ree + own, x[6] + ren, x[11] + rnn + own
    return math.hypot(e, n), gaussian(e, n, ee, en_, nn)[1]


def carrier(fix: Measurement, own: There, others: list[There], time_ns: int, chances: dict[int, float]) -> int | None:
    """Which of the others a fix is on that was on ``own`` before; None: it is not, or nobody can tell.

    Args:
        chances: of those that stood beside it, how likely they have the receiver when they are apart.
    """
    if not others:
        return None
    away_m, own_log = fits(fix, own, time_ns)
    near = [(*fits(fix, one, time_ns), i) for i, one in enumerate(others)]
    places = [near_en(own.lat0_deg, own.lon0_deg, *_place(one)) for one in others]
    gaps = [math.inf if at is None else math.hypot(at[0] - own.x[0], at[1] - own.x[2]) for at in places]
    chance = HANDED / max(1, sum(gap <= away_m for gap in gaps))
    log, best = max(
        (log + math.log(max(chance, chances.get(i, 0.0) if gaps[i] > APART_M else 0.0)), -i) for _, log, i in near
    )
    return -best if log > max(own_log, log_if_false(away_m * away_m, 9.0 * max(fix.r_ee, fix.r_nn))) + LIKELIER else None


def _says_again(said: Said, on: There, time_ns: int) -> bool:
    """Whether a receiver says where it was before, rather than where something is that has stood beside that: it was left
    there, or hangs.
    """
    earlier, fix = said.earlier(), said.fix
    if not earlier:
        return False
    k, r = len(earlier), max(fix.r_ee, fix.r_nn)
    lat, lon = sum(m.lat_deg for m in earlier) / k, sum(m.lon_deg for m in earlier) / k
    away, var = away_m(fix.lat_deg, fix.lon_deg, lat, lon), r * (1.0 + 1.0 / k)
    return -away * away / (2.0 * var) - math.log(2.0 * math.pi * var) > fits(fix, on, time_ns)[1] + LIKELIER


def _place(there: There) -> tuple[float, float]:
    return frame(there.lat0_deg, there.lon0_deg).geodetic(there.x[0], there.x[2])


def _carries(c: Contact, report: set[str]) -> bool:
    """Whether a contact is the vehicle of another receiver, which is where that says it is."""
    return c.of in report and not c.apart and c.hits >= SAME_LOOKS


def _meet(one: There, other: There) -> bool:
    """Whether something may be handed over from one to the other: who never meet hand nothing over.

    Nearer than ``APART_M`` it may be the other's sightings that it had.
    """
    en = near_en(one.lat0_deg, one.lon0_deg, *_place(other))
    slow = max(math.hypot(x[1], x[3]) for x in (one.x, other.x)) < MET_MPS
    return slow and en is not None and APART_M < math.hypot(en[0] - one.x[0], en[1] - one.x[2]) < MET_M


def over(
    crowd: Crowd, contacts: list[Contact], keep: list[int], hit: dict[int, Pair], riders: list[Rider], bank: Bank,
    mean: np.ndarray, cov: np.ndarray, look: Look, gap_s: float, out: LookOutcome,
) -> list[int]:  # fmt: skip
    """Who of the contacts is kept when some are what a receiver was handed over to, and what it was on is a contact; ``hit`` no
    longer has its track, which goes on from there.
    """
    shadow_of, count, pairs = {contacts[i].of: i for i in keep if contacts[i].of}, len(contacts), []
    report = {rider.track_id for rider in riders if rider.said is not None and rider.track_id not in crowd.belied}
    others = [] if look.imagery else [
        i for i in keep if contacts[i].confirmed and (not contacts[i].of or _carries(contacts[i], report))
    ] + [count + k for k, rider in enumerate(riders) if rider.may == "ride" and count + k in hit]  # a passive tag is on it
    if not others:
        return keep

    def at(i: int) -> There:
        if i >= count:
            x = riders[i - count].x
            return There(riders[i - count].lat0_deg, riders[i - count].lon0_deg, x, math.hypot(x[1], x[3]) < STANDS_MPS)
        stands = float(bank.mu[i, STILL].sum()) > 0.5
        return There(contacts[i].lat0_deg, contacts[i].lon0_deg, state_of(mean[i], cov[i]), stands)

    places: list[There] | None = None
    for k, rider in enumerate(riders):
        said, i, doubt = rider.said, shadow_of.get(rider.track_id), crowd.belied.get(rider.track_id)
        if said is None or not asked(said.fix, look.time_ns, gap_s) or (doubt is not None and doubted(doubt)):
            continue
        if i is None:  # it is its own shadow, as long as looks and not its receiver say where it is
            if count + k not in hit or said.fix.time_ns <= said.used_ns:
                continue
            own = There(rider.lat0_deg, rider.lon0_deg, rider.x, math.hypot(rider.x[1], rider.x[3]) < STANDS_MPS)
        elif i not in hit or contacts[i].hits - contacts[i].apart < SAME_LOOKS:
            continue
        else:
            own = at(i)
        places = places or [at(j) for j in others]
        chance_of = {one.name: one.chance for one in crowd.beside.get(rider.track_id, ())}
        some = [n for n, j in enumerate(others) if j >= count or not contacts[j].of or (j != i and _meet(own, places[n]))]
        names = [riders[j - count].track_id if (j := others[m]) >= count else contacts[j].name for m in some]
        chances = {n: chance_of[name] for n, name in enumerate(names) if name in chance_of}
        to = carrier(said.fix, own, [places[n] for n in some], look.time_ns, chances)
        if to is not None and not _says_again(said, places[some[to]], look.time_ns):
            pairs.append((others[some[to]], k))
    once = Counter(j for j, _ in pairs)
    for j, k in pairs:
        if once[j] == 1 or j >= count or contacts[j].of:
            track_id = riders[k].track_id
            if j >= count:
                out.handed.append((track_id, riders[j - count], riders[j - count].x))
                out.over[track_id] = riders[j - count].track_id
            else:
                out.handed.append((track_id, contacts[j], state_of(mean[j], cov[j])))
                out.over[track_id] = contacts[j].of
            hit.pop(count + k, None)
            if j < count and not contacts[j].of:
                out.gone.append((contacts[j].name, track_id))
                keep = [i for i in keep if i != j]
            i = shadow_of.get(track_id, -1)
            if i >= 0:
                contacts[i] = msgspec.structs.replace(contacts[i], of="", apart=0)
                rode = [k for k, rider in enumerate(riders) if crowd.rides_on(rider.track_id) == track_id]
                if len(rode) == 1 and i in hit:  # a passive tag stays with what looks go on seeing
                    one = riders[rode[0]].track_id
                    out.regained.append((one, contacts[i], state_of(mean[i], cov[i]), None))
                    out.gone.append((contacts[i].name, one))
                    keep = [j for j in keep if j != i]
                    hit.pop(count + rode[0], None)
    return keep
