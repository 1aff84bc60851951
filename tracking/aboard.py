"""Which passive tags that looks carry are on what reports beside them, after a look (``alongside``: what that says of it)."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from birddog.areas import ring_contains
from birddog.units import NS
from tracking import belied
from tracking.alongside import ONE_D2, ONE_M, Alongside
from tracking.anchor import away_m, frame
from tracking.assign import Pair
from tracking.contact import Contact, Look
from tracking.crowd import SEEN_NS, Crowd, Rider
from tracking.fitting import covariance, d2, is_rider
from tracking.measurement import Measurement
from tracking.stitching import FASTER


def alongside(
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
            if its is not None and _another(contacts, mean, cov, hit, tag):
                old = old.shown(2, look.pd)
        else:
            seen = len({pair.spot for pair in (mine, its) if pair is not None})
            if mine is not None and its is not None and seen == 1 and _another(contacts, mean, cov, hit, tag):
                seen = 2  # they share a sighting, and the other one's is somebody else's
            if seen != 1 or _at_one(tag, other):
                old = old.shown(seen, look.pd)
        now[tag.track_id] = msgspec.structs.replace(old, asked_ns=look.time_ns)
    return now


def _another(contacts: list[Contact], mean: np.ndarray, cov: np.ndarray, hit: dict[int, Pair], tag: Rider) -> bool:
    """Whether a look shows a contact, nobody's, that may be the tag as well."""
    return any(i in hit and c.confirmed and not c.of and is_rider(c, mean[i], cov[i], tag) for i, c in enumerate(contacts))


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
    mean, cov = np.array(one.x[:4]), covariance(one.x)
    return d2(mean, cov, one.lat0_deg, one.lon0_deg, other.lat0_deg, other.lon0_deg, other.x) <= ONE_D2
