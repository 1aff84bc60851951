"""One look (one sensor, one time) into all tracks: association, identity, birth and death; pure functions.

Each track is a small ``bank`` of motions: parked, steady, bending, turning.  One setting for every scenario.  The
state before is left as it was, so that a late detection can be run in from any look.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from tracking import bank as banks
from tracking.assign import Pair, assign
from tracking.bank import Bank, Mode

MODES: tuple[Mode, ...] = (
    Mode(0.0, 0.0, 0.05, 40.0, walk=0.01),
    Mode(0.005, 0.0, 0.5, 300.0),
    Mode(1.0, 0.0, 0.15, 20.0),
    Mode(10.0, 0.0, 0.15, 8.0),
)
NEW_V = 150.0
#: Chi-square, 2 degrees of freedom: 0.999 for anonymous detections; a tag's own report is let wander further.
GATE, TAG_GATE = 13.8, 25.0
#: New objects per m² and look; detections of clutter per m² of a sensor that does not say.
NEW_PER_M2, CLUTTER_PER_M2 = 2e-8, 1e-7
PD = 0.9
#: A track is confirmed at this log-likelihood ratio (and two detections), gains no more than MOST, dies under DEAD.
CONFIRM, MOST, DEAD = 5.0, 8.0, -2.0
#: An anonymous track this vague (one sigma, m) is lost.
LOST_M = 200.0
#: Without an anonymous sensor's period: reports of a look come in within this time.
LATENCY_S = 1.0
#: So many refused reports of a tag in a row, and its track seen by nobody else for so long, and the track goes to the tag.
TAG_REFUSED, TAG_ALONE_S = 3, 30.0
#: An anonymous track this close to a tagged one (Mahalanobis², position and velocity) for so many looks is the same object.
TWIN_D2, TWIN_LOOKS = 9.0, 4
#: A track confirmed this near (m, and m/s of the time between) to where one was last seen is that one, found again.
AGAIN_M, AGAIN_MPS = 40.0, 20.0


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a sensor; period 0: not known, an empty look goes unnoticed."""

    name: str
    pd: float = PD
    clutter_per_m2: float = CLUTTER_PER_M2
    period_s: float = 0.0
    phase_s: float = 0.0
    latency_s: float = LATENCY_S
    prompt: bool = True
    area: tuple[float, float, float, float] | None = None


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One row: observed at t_s, known from arrival_s on; metres in the scenario's plane."""

    number: int
    t_s: float
    arrival_s: float
    sensor: str
    kind: str
    tag_id: str
    e_m: float
    n_m: float
    r_ee: float
    r_en: float
    r_nn: float


class Followed(msgspec.Struct, frozen=True):
    """What a track is beside its bank.  ``name`` follows from its first detection, so a rerun gives the same."""

    name: str
    score: float
    hits: int
    confirmed: bool
    tags: tuple[tuple[str, str], ...] = ()
    seen_s: float = 0.0
    last_but_one_s: float = 0.0
    seen_at: tuple[float, float] = (0.0, 0.0)
    other_s: float = -math.inf
    refused: int = 0
    twin: int = 0


class State(msgspec.Struct, frozen=True):
    """All tracks at a time; row i of the bank is track i."""

    t_s: float
    tracks: tuple[Followed, ...]
    bank: Bank


def empty(t_s: float) -> State:
    """No tracks."""
    m = len(MODES)
    return State(t_s, (), Bank(np.empty((0, m)), np.empty((0, m, 4)), np.empty((0, m, 4, 4))))


def ahead(bank: Bank, dt_s: float) -> Bank:
    """Every track dt_s later."""
    if dt_s <= 0.0 or not len(bank.mu):
        return bank
    dt = np.full(len(bank.mu), dt_s)
    return banks.propagated(banks.mixed(bank, dt, MODES), dt, MODES)


def step(state: State, t_s: float, sensor: Sensor, detections: list[Detection], *, tagged: bool, complete: bool) -> State:
    """The tracks after a look.

    Args:
        tagged: the detections have identities; then ``complete`` plays no part.
        complete: every report of the look has come in, so what is missing was missed.
    """
    now = State(t_s, state.tracks, ahead(state.bank, t_s - state.t_s))
    if tagged:
        for d in detections:
            now = _tagged(now, d)
        return now
    return _anonymous(now, sensor, detections, complete)


def moments(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Mean (T, 4) and covariance (T, 4, 4) of each track."""
    mean = np.einsum("bm,bmd->bd", bank.mu, bank.x)
    d = bank.x - mean[:, None, :]
    return mean, np.einsum("bm,bmde->bde", bank.mu, bank.p) + np.einsum("bm,bmd,bme->bde", bank.mu, d, d)


def _zr(detections: list[Detection]) -> tuple[np.ndarray, np.ndarray]:
    z = np.array([(d.e_m, d.n_m) for d in detections])
    return z, np.array([((d.r_ee, d.r_en), (d.r_en, d.r_nn)) for d in detections])


def _likelihoods(bank: Bank, z: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log p, smallest NIS of any mode), both (T, N)."""
    i = [0, 2]
    y = z[None, :, None, :] - bank.x[:, None, :, i]
    s = bank.p[:, :, i][:, :, :, i][:, None] + r[None, :, None]
    det = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] * s[..., 1, 0]
    nis = (
        s[..., 1, 1] * y[..., 0] ** 2 - (s[..., 0, 1] + s[..., 1, 0]) * y[..., 0] * y[..., 1] + s[..., 0, 0] * y[..., 1] ** 2
    ) / det
    log = np.log(np.maximum(bank.mu, 1e-300))[:, None, :] - 0.5 * (nis + np.log(det)) - math.log(2 * math.pi)
    top = log.max(axis=2)
    return top + np.log(np.exp(log - top[..., None]).sum(axis=2)), nis.min(axis=2)


def _updated(bank: Bank, rows: list[int], z: np.ndarray, r: np.ndarray) -> Bank:
    index = np.array(rows, dtype=int)
    part, _ = banks.updated(bank.rows(index), z, r)
    out = Bank(bank.mu.copy(), bank.x.copy(), bank.p.copy())
    out.put(index, part)
    return out


def _grown(bank: Bank, z: np.ndarray, r: np.ndarray) -> Bank:
    new = banks.new_bank(z, r, MODES, NEW_V)
    return Bank(*(np.concatenate(pair) for pair in ((bank.mu, new.mu), (bank.x, new.x), (bank.p, new.p))))


def _anonymous(state: State, s: Sensor, detections: list[Detection], complete: bool) -> State:
    tracks, bank, t = list(state.tracks), state.bank, state.t_s
    z, r = _zr(detections) if detections else (np.empty((0, 2)), np.empty((0, 2, 2)))
    density = s.clutter_per_m2 + NEW_PER_M2
    chosen: list[Pair] = []
    if tracks and len(z):
        log, nis = _likelihoods(bank, z, r)
        worth = log + math.log(s.pd / (1.0 - s.pd)) - math.log(density)
        possible = [
            Pair(int(i), int(j), float(nis[i, j]), float(worth[i, j])) for i, j in np.argwhere((nis <= GATE) & (worth > 0.0))
        ]
        chosen = assign(possible)
    if chosen:
        pick = [p.spot for p in chosen]
        bank = _updated(bank, [p.track for p in chosen], z[pick], r[pick])
    hit = {p.track: p for p in chosen}
    before = [track.confirmed for track in tracks]
    mean, cov = moments(bank) if tracks else (np.empty((0, 4)), np.empty((0, 4, 4)))
    missed = math.log(1.0 - s.pd)
    keep = []
    for i, track in enumerate(tracks):
        pair = hit.get(i)
        score, hits, seen, other, at = track.score, track.hits, track.seen_s, track.other_s, track.seen_at
        if pair is not None:
            gain = pair.worth + missed
            score, hits, seen, other = min(MOST, score + min(gain, 8.0)), hits + 1, t, t
            at = float(mean[i, 0]), float(mean[i, 2])
        elif complete and _covers(s, mean[i]):
            score += missed
        confirmed = track.confirmed or (score >= CONFIRM and hits >= 2)
        last_but_one = track.seen_s if pair is not None else track.last_but_one_s
        tracks[i] = msgspec.structs.replace(
            track, score=score, hits=hits, confirmed=confirmed, seen_s=seen, last_but_one_s=last_but_one, other_s=other,
            seen_at=at,
        )  # fmt: skip
        vague = math.sqrt(max(cov[i, 0, 0], cov[i, 2, 2])) > LOST_M
        if track.tags or (score > DEAD and not vague):
            keep.append(i)
    keep = _found_again(tracks, keep, before, t)
    keep = _without_twins(tracks, keep, mean, cov)
    tracks = [tracks[i] for i in keep]
    bank = Bank(bank.mu[keep], bank.x[keep], bank.p[keep])
    left = [j for j in range(len(z)) if j not in {p.spot for p in chosen}]
    if left:
        start = math.log(NEW_PER_M2 / density)
        bank = _grown(bank, z[left], r[left])
        tracks += [
            Followed(
                f"{detections[j].number}", max(start, -1.5), 1, False, seen_s=t, last_but_one_s=t, other_s=t,
                seen_at=(float(z[j, 0]), float(z[j, 1])),
            )
            for j in left
        ]  # fmt: skip
    return State(t, tuple(tracks), bank)


def _covers(s: Sensor, mean: np.ndarray) -> bool:
    return s.area is None or (s.area[0] <= mean[0] <= s.area[1] and s.area[2] <= mean[2] <= s.area[3])


def _found_again(tracks: list[Followed], keep: list[int], before: list[bool], t: float) -> list[int]:
    """A track that is confirmed now takes over from the one that was lost near where it is: one object, one id.

    Lost: not seen since the sighting before the last of the new one.
    """
    for i in list(keep):
        if before[i] or not tracks[i].confirmed or tracks[i].tags:
            continue
        lost = []
        for j in keep:
            old = tracks[j]
            if j != i and before[j] and old.seen_s < tracks[i].last_but_one_s:
                gap_m = math.hypot(old.seen_at[0] - tracks[i].seen_at[0], old.seen_at[1] - tracks[i].seen_at[1])
                reach_m = AGAIN_M + AGAIN_MPS * (t - old.seen_s)
                if gap_m <= reach_m:
                    lost.append((gap_m, j))
        if lost:
            j = min(lost)[1]
            tracks[i] = msgspec.structs.replace(tracks[i], name=tracks[j].name, tags=tracks[j].tags)
            keep = [k for k in keep if k != j]
    return keep


def _without_twins(tracks: list[Followed], keep: list[int], mean: np.ndarray, cov: np.ndarray) -> list[int]:
    """Anonymous tracks that go along with a tagged one for some looks are the same object: dropped."""
    tagged = [i for i in keep if tracks[i].tags]
    if not tagged:
        return keep
    out = []
    for i in keep:
        if tracks[i].tags:
            out.append(i)
            continue
        close = False
        for j in tagged:
            d = mean[i] - mean[j]
            if abs(d[0]) < 100.0 and abs(d[2]) < 100.0 and float(d @ np.linalg.solve(cov[i] + cov[j], d)) <= TWIN_D2:
                close = True
                break
        count = tracks[i].twin + 1 if close else 0
        tracks[i] = msgspec.structs.replace(tracks[i], twin=count)
        if count < TWIN_LOOKS:
            out.append(i)
    return out


def _tagged(state: State, d: Detection) -> State:
    """A report with an identity: into the track that has it, or one that it may be on, or a new one."""
    z, r = _zr([d])
    tracks, t = list(state.tracks), state.t_s
    log, nis = _likelihoods(state.bank, z, r) if tracks else (np.empty((0, 1)), np.empty((0, 1)))
    own = next((i for i, track in enumerate(tracks) if (d.kind, d.tag_id) in track.tags), None)
    if own is None:
        free = [i for i, track in enumerate(tracks) if all(kind != d.kind for kind, _ in track.tags)]
        fit = [(float(log[i, 0]), -i) for i in free if nis[i, 0] <= GATE and log[i, 0] > math.log(NEW_PER_M2)]
        if not fit:
            name = f"{d.kind}/{d.tag_id}"
            track = Followed(name, MOST, 1, True, ((d.kind, d.tag_id),), t, t, (d.e_m, d.n_m))
            return State(t, (*tracks, track), _grown(state.bank, z, r))
        own = -max(fit)[1]
        tracks[own] = msgspec.structs.replace(tracks[own], tags=(*tracks[own].tags, (d.kind, d.tag_id)), confirmed=True)
    track = tracks[own]
    if nis[own, 0] > TAG_GATE:
        alone = t - track.other_s > TAG_ALONE_S
        if not (alone and track.refused + 1 >= TAG_REFUSED):
            tracks[own] = msgspec.structs.replace(track, refused=track.refused + 1)
            return State(t, tuple(tracks), state.bank)
        bank = Bank(state.bank.mu.copy(), state.bank.x.copy(), state.bank.p.copy())
        bank.put(np.array([own]), banks.new_bank(z, r, MODES, NEW_V))
    else:
        bank = _updated(state.bank, [own], z, r)
    tracks[own] = msgspec.structs.replace(
        track, score=MOST, hits=track.hits + 1, confirmed=True, seen_s=t, refused=0, seen_at=(d.e_m, d.n_m)
    )
    return State(t, tuple(tracks), bank)
