"""What may have a track's receiver besides what looks carry the track by: things that stood beside it since its last report.

Two that stand within reach of each other may be taken for each other (a radar knows a place no better than they are apart), and
a tag may be handed over: between two reports nobody can say which of the two drives off with it.  So of each track that reports
it is kept which contacts stood beside it, long enough to take it, and how likely each is to have it: by the fixes since, and by
how long they stand together with nobody having taken it (as of a stay of unknown length, Gott 1993: in the next t after T with
the chance t / (T + t)).  What passes never stood and is none.  While both stand the row is where its last report has it; when
they part the row holds both (``either``), until a report decides (``handed``, with these chances).

Also what came into view where one of them was, while looks did not show that one: it may be that one, on its way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np

from birddog.geo import DEGREE_M
from birddog.units import NS
from tracking.anchor import frame
from tracking.bank import Bank
from tracking.belied import ERROR_LASTS_S, SAME_LOOKS, STANDS_MPS, Doubt
from tracking.beside import Beside
from tracking.company import Halt
from tracking.contact import Contact, Look
from tracking.crowd import STILL, Crowd, Last, LookOutcome, Rider, moments, state_of
from tracking.handed import APART_M, There, asked, fits
from tracking.measurement import Measurement
from tracking.step import log_if_false
from tracking.stitching import REGAINED_HITS, goes_on_from, lost_ns, reach_m

#: Within reach, m: a few steps and the errors of both places.
REACH_M = 40.0
#: Both stood for so long, s: time enough to take a tag over.
STAY_S = 15.0
#: Nearer than this many sigmas of a sighting the two are taken for each other now and then: each look keeps so much of what was
#: known of which is which.
MIXED, KEEPS = 2.0, 0.9
#: What is known of a thing that comes to stand beside a track (natural logarithm of odds); fixes say no more than MOST of two
#: that stand together.
NOT_IT, MOST = -5.0, 4.0
#: What sets off goes up to 1.5 times so fast, m/s, for all that its first sighting says.
SETS_OFF_MPS = 15.0
#: So many false sightings are to be expected at most where one thing may have come into view.
FALSE_MOST = 0.1


def after(
    crowd: Crowd, contacts: list[Contact], bank: Bank, where: np.ndarray, riders: list[Rider], look: Look, gap_s: float,
    out: LookOutcome, halts: dict[str, Halt], doubts: dict[str, Doubt],
) -> dict[str, tuple[Beside, ...]]:  # fmt: skip
    """Which contacts, and which tracks that go by looks, may have the receivers of tracks after a look, by track.

    Args:
        crowd: before it; contacts, bank, halts, doubts: after it, with what it began.
        where: lat_deg, lon_deg and speed of each.
    """
    t, things = look.time_ns, _things(crowd, contacts, bank, where, riders, look, out, halts, doubts)
    row_of = {thing.name: i for i, thing in enumerate(things)}
    handed = {track_id for track_id, *_ in out.handed}
    now = {one: every for one, every in crowd.beside.items() if one not in handed}
    if now and doubts:  # who is doubted goes by the looks, and is where its shadow was
        now = _doubted(now, {c.name: c.of for c in crowd.contacts if c.of and c.name not in row_of and c.of in row_of})
    if look.imagery or not riders:
        return _known(now, row_of, crowd)
    lats, lons, speeds = np.array([thing.at for thing in things]).reshape(-1, 3).T
    spot_of = {track_id: spot for track_id, spot, _ in out.riders}
    shadow_of = {c.of: i for i, c in enumerate(contacts) if c.of}
    for rider in riders:
        every = now.pop(rider.track_id, ())
        if rider.said is None or rider.track_id in handed:
            continue
        spot, speed = spot_of.get(rider.track_id), math.hypot(rider.x[1], rider.x[3])
        shadow, hidden, slow = shadow_of.get(rider.track_id), spot is None, speed < STANDS_MPS
        stands = slow and (shadow is None or _stood(contacts[shadow], t))
        if not (every or stands or (slow and hidden)):
            continue
        with_it, unasked = _with_it(crowd, rider.track_id), [b for b in every if _is_unasked(b, row_of, crowd)]
        every = tuple(b for b in every if b not in unasked)
        some = {b.name: b for b in _left(every, row_of) if b.new or things[row_of[b.name]].of not in with_it}
        at = frame(rider.lat0_deg, rider.lon0_deg).geodetic(rider.x[0], rider.x[2])
        e = (np.mod(lons - at[1] + 180.0, 360.0) - 180.0) * math.cos(math.radians(at[0]))
        away = DEGREE_M * np.hypot(e, lats - at[0])
        seen = np.array([thing.seen and (thing.spot is None or not hidden and thing.spot != spot) for thing in things], bool)
        fix = rider.said.fix
        if asked(fix, t, gap_s):
            own = None if shadow is None or not some else things[shadow].there()
            for b in [b for b in some.values() if b.fix_ns < fix.time_ns]:
                i = row_of[b.name]
                told = _reported(b, fix, own, things[i].there(), t, apart=bool(away[i] > APART_M))
                if told is None:
                    del some[b.name]
                else:
                    some[b.name] = told
        if stands:
            for i in np.flatnonzero(seen & (away < REACH_M) & (speeds < STANDS_MPS)).tolist():
                thing = things[i]
                if thing.stood and thing.of not in with_it:
                    some[thing.name] = _together(some.get(thing.name), thing, fix, float(away[i]), t)
        if not hidden:
            some = {name: msgspec.structs.replace(b, both_ns=t) if seen[row_of[name]] else b for name, b in some.items()}
        lost = [Last(crowd.seen[rider.track_id], *at, speed)] if hidden and slow and rider.track_id in crowd.seen else []
        for b in some.values():
            i = row_of[b.name]
            if not b.new and away[i] <= APART_M and b.both_ns < t:  # either of the two
                lost.append(Last(b.both_ns, *at, speed))
            elif not b.new and away[i] > APART_M and not things[i].seen:
                lost.append(things[i].last)
        if shadow is not None and hidden and slow:  # that may have gone on without its track, which knows it as long parked
            c = contacts[shadow]
            if fix.time_ns <= crowd.seen.get(rider.track_id, 0) < c.seen_ns:
                some.setdefault(c.name, Beside(c.name, 0.0, fix.time_ns, t, t, t, True))
        if not lost:
            some = {name: b for name, b in some.items() if not b.new}
        else:
            lost += [_last_of(crowd, b.name) for b in every if b.new and b.name not in row_of]
        for last in lost:
            come = [i for i, thing in enumerate(things) if thing.seen and not thing.of]
            for i in _come(contacts, come, speeds, last, look, gap_s):
                name = contacts[i].name
                some.setdefault(name, Beside(name, 0.0, fix.time_ns, t, t, t, True))
        if some or unasked:
            now[rider.track_id] = (*some.values(), *unasked)
    return _known(now, row_of, crowd)


class _Thing(NamedTuple):
    """What may stand beside a track: a contact, nobody's or the vehicle of another track, or a track that goes by looks.

    Args:
        at: lat_deg, lon_deg and speed; seen: in this look; last: where it was seen last; there: as ``fits`` asks.
        stood: it has stood for long enough to take a tag over; r: the variance of its sightings.
        of: whose it is; spot: its sighting, of a track that goes by looks (of a passive tag, or one that
            is doubted), which may be on the track itself.
    """

    name: str
    at: tuple[float, float, float]
    of: str
    seen: bool
    stood: bool
    r: float
    last: Last
    there: Callable[[], There]
    spot: int | None = None


def _things(
    crowd: Crowd, contacts: list[Contact], bank: Bank, where: np.ndarray, riders: list[Rider], look: Look, out: LookOutcome,
    halts: dict[str, Halt], doubts: dict[str, Doubt],
) -> list[_Thing]:  # fmt: skip
    """All that may stand beside a track, the contacts first."""
    t, found = look.time_ns, []
    for i, (c, at) in enumerate(zip(contacts, where.tolist(), strict=True)):
        seen = c.seen_ns == t and not c.imagery and (not c.of or (not c.apart and c.hits >= SAME_LOOKS))
        found.append(_Thing(
            c.name, at, c.of, seen, c.confirmed and _stood(c, t), c.r, Last(c.seen_ns, c.lat_deg, c.lon_deg, at[2]),
            partial(_there, contacts, bank, i),
        ))  # fmt: skip
    spot_of = {track_id: spot for track_id, spot, _ in out.riders}
    for tag in riders:
        halt = halts.get(tag.track_id) if tag.may == "ride" else None
        if halt is None and (tag.track_id not in doubts or doubts[tag.track_id].state == "left"):
            continue
        lat, lon = frame(tag.lat0_deg, tag.lon0_deg).geodetic(tag.x[0], tag.x[2])
        speed, spot = math.hypot(tag.x[1], tag.x[3]), spot_of.get(tag.track_id)
        there = There(tag.lat0_deg, tag.lon0_deg, tag.x, speed < STANDS_MPS)
        stood, r = (False, 0.0) if halt is None else (t - halt.since_ns >= STAY_S * NS, halt.r)
        last = Last(crowd.seen.get(tag.track_id, 0), lat, lon, speed)
        at = (lat, lon, speed)
        found.append(_Thing(tag.track_id, at, tag.track_id, spot is not None, stood, r, last, partial(_same, there), spot))
    return found


def _same(there: There) -> There:
    return there


def _doubted(every: dict[str, tuple[Beside, ...]], by: dict[str, str]) -> dict[str, tuple[Beside, ...]]:
    """What may have receivers, where some of it is a track by now."""
    return {
        one: tuple(msgspec.structs.replace(b, name=by[b.name]) if b.name in by and by[b.name] != one else b for b in some)
        for one, some in every.items()
    }


def _is_unasked(b: Beside, row_of: dict[str, int], crowd: Crowd) -> bool:
    """Whether something is a track which this look was not asked about."""
    return b.name not in row_of and b.name in crowd.seen


def _known(now: dict[str, tuple[Beside, ...]], row_of: dict[str, int], crowd: Crowd) -> dict[str, tuple[Beside, ...]]:
    """Those that are there still."""
    some = {one: tuple(b for b in every if b.name in row_of or _is_unasked(b, row_of, crowd)) for one, every in now.items()}
    return {one: left for one, left in some.items() if left}


def _with_it(crowd: Crowd, track_id: str) -> tuple[str, ...]:
    """Whose vehicle a track's receiver is on as it is: its own, the one that it goes along with, and of passive tags on it."""
    a = crowd.alongside.get(track_id)
    on = track_id if a is None else a.track_id
    return (track_id, on, *(one for one, of in crowd.alongside.items() if of.track_id in (track_id, on) and of.rides))


def _left(every: tuple[Beside, ...], row_of: dict[str, int]) -> list[Beside]:
    """Those that are still there; of what is no more, what came into view when it was lost has its part from then on."""
    left, gone = [b for b in every if b.name in row_of], [b for b in every if b.name not in row_of and not b.new]
    if not gone:
        return left
    odds = max(b.odds for b in gone)
    first = min(gone, key=lambda b: b.met_ns)
    return [msgspec.structs.replace(first, name=b.name, odds=odds) if b.new else b for b in left]


def _there(contacts: list[Contact], bank: Bank, i: int) -> There:
    mean, cov = moments(bank.rows(np.array([i])))
    c = contacts[i]
    return There(c.lat0_deg, c.lon0_deg, state_of(mean[0], cov[0]), float(bank.mu[i, STILL].sum()) > 0.5)


def _stood(c: Contact, t: int) -> bool:
    return t - (c.first_ns if c.moved_ns is None else c.moved_ns) >= STAY_S * NS


def _together(b: Beside | None, thing: _Thing, fix: Measurement, away: float, t: int) -> Beside:
    """What is known of something after one more look that saw it stand beside a track."""
    if b is None or b.new:
        b = Beside(thing.name, NOT_IT, fix.time_ns, t - int(STAY_S * NS), t, t)
    odds = b.odds * KEEPS if away < MIXED * math.sqrt(thing.r) else b.odds
    return msgspec.structs.replace(b, odds=odds, last_ns=t)


def _reported(
    b: Beside, fix: Measurement, own: There | None, other: There, t: int, *, apart: bool
) -> Beside | None:
    """What is known of a contact when its track's receiver has reported; None: the report is not from it."""
    if own is None:
        return None if apart else b
    (away, own_log), (_, log), chance = fits(fix, own, t), fits(fix, other, t), min(b.chance, 0.999)
    says = log - max(own_log, log_if_false(away * away, 9.0 * max(fix.r_ee, fix.r_nn)))
    if apart:
        odds = math.log(chance / (1.0 - chance)) + says
        return None if odds < -MOST else msgspec.structs.replace(b, odds=odds, fix_ns=fix.time_ns)
    says *= min(1.0, (fix.time_ns - b.fix_ns) / NS / ERROR_LASTS_S)  # an error that lasts says it once
    odds = max(-MOST, min(math.log(chance / (1.0 - chance)) + says, MOST))
    return msgspec.structs.replace(b, odds=odds, fix_ns=fix.time_ns)


def _last_of(crowd: Crowd, name: str) -> Last:
    """Where a contact was that is no more."""
    i, c = next((i, c) for i, c in enumerate(crowd.contacts) if c.name == name)
    mean, _ = moments(crowd.bank.rows(np.array([i])))
    return Last(c.seen_ns, c.lat_deg, c.lon_deg, math.hypot(mean[0, 1], mean[0, 3]))


def _come(contacts: list[Contact], seen: list[int], speeds: np.ndarray, last: Last, look: Look, gap_s: float) -> list[int]:
    """Which contacts, all seen now, came into view where something is lost, and are hardly clutter."""
    found = []
    for i in seen:
        c = contacts[i]
        speed = max(SETS_OFF_MPS, float(speeds[i]))
        if last.time_ns < c.first_ns and c.hits <= REGAINED_HITS and goes_on_from(c, last, speed, look.time_ns, lost_ns(gap_s)):
            km2 = math.pi * (1e-3 * reach_m(last, speed, look.time_ns)) ** 2
            if c.confirmed or look.density_per_km2 * km2 < FALSE_MOST:
                found.append(i)
    return found
