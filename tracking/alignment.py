"""How far off each sensor's alignment is (``registration``), as a look has it: what the look shows is put right by it, and what
it shows of the identified tracks beside their fixes is learnt.
"""

from __future__ import annotations

import msgspec
import numpy as np

from birddog.units import NS
from tracking import belied, knocked
from tracking.anchor import frame, near_en
from tracking.assign import Pair
from tracking.belied import Doubt
from tracking.contact import Contact, Look
from tracking.crowd import Crowd, Rider
from tracking.registration import Registration, Seen


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


def registered(
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


def knock(
    known_of: dict[str, Registration], contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair],
    riders: list[Rider], doubts: dict[str, Doubt], look: Look,
) -> tuple[dict[str, Registration], frozenset[str]]:  # fmt: skip
    """What is known of each sensor's alignment when it has been asked whether this one was knocked, and the tracks which that
    explains.
    """
    pairs = _pairs(contacts, mean, cov, hit, riders, doubts, look)
    known, explained = knocked.asked(known_of[look.sensor], pairs, look.time_ns)
    return {**known_of, look.sensor: known}, explained


def _pairs(
    contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair], riders: list[Rider],
    doubts: dict[str, Doubt], look: Look,
) -> list[Seen]:  # fmt: skip
    """Of each track whose receiver said lately where it is, and that a look saw: what it was seen at beside that."""
    out, count, shadow_of = [], len(contacts), {c.of: i for i, c in enumerate(contacts) if c.of and not belied.is_new(c)}
    for k, rider in enumerate(riders):
        said, i = rider.said, shadow_of.get(rider.track_id)
        doubt = doubts.get(rider.track_id)
        pair = hit.get(count + k) if i is None or doubt is not None else hit.get(i)
        if said is None or pair is None or look.time_ns - said.fix.time_ns > belied.CLAIM_S * NS:
            continue
        x, at = rider.x, None if pair.track >= count else pair.track
        v, r_v = ((x[1], x[3]), max(x[8], x[13])) if at is None else (
            (float(mean[at, 1]), float(mean[at, 3])), float(max(cov[at, 1, 1], cov[at, 3, 3])))
        [claim, _], spot = belied.claimed(said, v, look, None), look.spots[pair.spot]
        off = near_en(claim.lat_deg, claim.lon_deg, spot.lat_deg, spot.lon_deg)
        if off is not None:
            dt_s = (look.time_ns - said.fix.time_ns) / NS
            r = claim.r + max(0.0, r_v - belied.CLAIM_MPS**2) * dt_s * dt_s + max(spot.r_ee, spot.r_nn)
            c = None if i is None else contacts[i]
            since_ns = doubt.since_ns if doubt is not None else c.parted_ns if c is not None and c.apart > 1 else 0
            out.append(Seen(rider.track_id, look.time_ns, claim.lat_deg, claim.lon_deg, *off, r, since_ns))
    return out
