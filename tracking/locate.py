"""Where was it at these times?  Recorded fixes in, positions with covariances out; the core of `birddog locate`.

Live answers use the fixes of strictly earlier time, smoothed ones all.  The order of the rows plays no part.  All
tracks run through one ``bank`` in step; a smoothed answer goes on from the last fix before it with the asked position
remembered, through the next ``AHEAD`` fixes, so that gaps and changes of mode are handled by the same filter.
No I/O.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from birddog.geo import LocalFrame, distance_m
from birddog.units import NS
from tracking import bank as banks
from tracking.anchor import turn, turned
from tracking.bank import CLASS_WEIGHTS, MODES, Bank, Mode

#: Fixes after the question that a smoothed answer uses.
AHEAD = 8
#: A fix whose NIS is over this in every mode is refused …
GATE = 60.0
#: … until so many agree: apart no more than this speed and slack allow, or so long after the last used one.
AGREE, AGREE_MPS, AGREE_M, GAP_S = 3, 100.0, 200.0, 1800.0
#: One sigma of a fix that does not say, and of a stated velocity.
SIGMA_M, VELOCITY_SIGMA_MPS = 8.0, 0.5
#: A track is cut where it has gone this far from its frame's origin; so many earlier fixes lead into the next piece.
PIECE_M, LEAD_IN = 200_000.0, 20
#: Fixes that run through the bank at once.
CHUNK = 20_000


class PastFix(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded fix; (x, y) is (lon_deg, lat_deg) or, in a plane, (e_m, n_m)."""

    track_id: str
    time_ns: int
    x: float
    y: float
    sigma_m: float | None = None
    ve_mps: float | None = None
    vn_mps: float | None = None
    klass: str = ""


class Question(msgspec.Struct, frozen=True):
    """Where was this track at this time?"""

    track_id: str
    time_ns: int


class Answer(msgspec.Struct, frozen=True):
    """A position in the form of the fixes, (e_m, n_m) about the track's first fix (in a plane: the plane's), and P."""

    x: float
    y: float
    e_m: float
    n_m: float
    p_ee: float
    p_en: float
    p_nn: float


class _Piece:
    """A run of one track's fixes in one frame, in order of time; questions are indices into the caller's list."""

    __slots__ = ("frame", "from_ns", "hist", "klass", "origin", "questions", "r", "t", "t0_ns", "used", "v", "z")

    def __init__(self, fixes: list[PastFix], frame: LocalFrame | None, origin: LocalFrame | None):
        self.frame, self.origin = frame, origin
        self.t0_ns = fixes[0].time_ns
        self.t = np.array([(f.time_ns - self.t0_ns) / NS for f in fixes])
        self.z = np.array([_en(frame, f) for f in fixes])
        self.r = np.array([max(f.sigma_m if f.sigma_m is not None else SIGMA_M, 0.5) ** 2 for f in fixes])
        self.v = np.array([(f.ve_mps, f.vn_mps) if f.ve_mps is not None else (math.nan, math.nan) for f in fixes], dtype=float)
        self.klass = next((f.klass for f in fixes if f.klass), "")
        self.used = np.ones(len(fixes), dtype=bool)
        self.hist: Bank | None = None
        self.questions: list[int] = []


def _en(frame: LocalFrame | None, f: PastFix) -> tuple[float, float]:
    if frame is None:
        return f.x, f.y
    # the plane folds over far away; a fix beyond it is refused whatever its exact distance
    if distance_m(lat1_deg=frame.lat_deg, lon1_deg=frame.lon_deg, lat2_deg=f.y, lon2_deg=f.x) > 3e6:
        return 1e7, 1e7
    return frame.en(lat_deg=f.y, lon_deg=f.x)


def locate(
    fixes: list[PastFix], questions: list[Question], *, mode: Literal["live", "smoothed"], geodetic: bool
) -> list[Answer | None]:
    """An answer a question, in order; None where no fix may be used for it.

    Args:
        geodetic: the fixes' (x, y) are (lon_deg, lat_deg), else metres in a plane.
    """
    by_track: dict[str, list[PastFix]] = {}
    for f in sorted(fixes, key=lambda f: (f.time_ns, f.x, f.y, f.sigma_m or 0.0)):
        by_track.setdefault(f.track_id, []).append(f)
    asked: dict[str, list[int]] = {}
    for k, q in enumerate(questions):
        if q.track_id in by_track:
            asked.setdefault(q.track_id, []).append(k)
    pieces = []
    for track_id, wanted in asked.items():
        parts = _pieces(by_track[track_id], geodetic)
        for k in wanted:
            time_ns = questions[k].time_ns
            # the last piece that begins before it; a smoothed question before every fix goes to the first
            fit = [p for p in parts if p.from_ns < time_ns]
            if fit or mode == "smoothed":
                (fit[-1] if fit else parts[0]).questions.append(k)
        pieces += [p for p in parts if p.questions]
    answers: list[Answer | None] = [None] * len(questions)
    for group in _chunks(pieces):
        modes = _modes(group[0].klass)
        _forward(group, modes)
        _answer(group, questions, modes, mode, answers)
        for piece in group:
            piece.hist = None
    return answers


def _pieces(fixes: list[PastFix], geodetic: bool) -> list[_Piece]:
    """A track's fixes, cut where three in a row are far from the frame in use."""
    if not geodetic:
        piece = _Piece(fixes, None, None)
        piece.from_ns = fixes[0].time_ns
        return [piece]
    origin = LocalFrame(lat_deg=fixes[0].y, lon_deg=fixes[0].x)
    cuts, far, at = [0], 0, fixes[0]
    for i, f in enumerate(fixes):
        away = distance_m(lat1_deg=at.y, lon1_deg=at.x, lat2_deg=f.y, lon2_deg=f.x) > PIECE_M
        far = far + 1 if away else 0
        if far == AGREE:
            cuts.append(i)
            at, far = f, 0
    parts = []
    for begin, end in zip(cuts, [*cuts[1:], len(fixes)], strict=True):
        at = fixes[begin]
        piece = _Piece(fixes[max(0, begin - LEAD_IN) : end], LocalFrame(lat_deg=at.y, lon_deg=at.x), origin)
        piece.from_ns = fixes[begin].time_ns if begin else fixes[0].time_ns
        parts.append(piece)
    return parts


def _chunks(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Pieces of one class together, no more fixes than CHUNK where that can be."""
    out: list[list[_Piece]] = []
    for klass in sorted({p.klass for p in pieces}):
        size = CHUNK + 1
        for piece in (p for p in pieces if p.klass == klass):
            if size + len(piece.t) > CHUNK:
                out.append([])
                size = 0
            out[-1].append(piece)
            size += len(piece.t)
    return out


def _modes(klass: str) -> tuple[Mode, ...]:
    weights = CLASS_WEIGHTS.get(klass)
    if weights is None:
        return MODES
    return tuple(msgspec.structs.replace(m, weight=m.weight * w) for m, w in zip(MODES, weights, strict=True))


def _forward(pieces: list[_Piece], modes: tuple[Mode, ...]) -> None:
    """Run the bank over every piece; ``hist`` holds it after each fix."""
    count, m = len(pieces), len(modes)
    lens = np.array([len(p.t) for p in pieces])
    order = np.argsort(-lens, kind="stable")
    current = banks.new_bank(np.array([p.z[0] for p in pieces]), np.array([p.r[0] for p in pieces]), modes)
    _velocity(current, np.arange(count), np.array([p.v[0] for p in pieces]))
    for i, p in enumerate(pieces):
        n = len(p.t)
        p.hist = Bank(np.empty((n, m)), np.empty((n, m, 4)), np.empty((n, m, 4, 4)))
        _keep(p, 0, current, i)
    used_t = np.array([p.t[0] for p in pieces])
    run, last = np.zeros(count, dtype=int), np.zeros((count, 3))
    for k in range(1, int(lens.max())):
        index = order[: int((lens > k).sum())]
        t = np.array([pieces[i].t[k] for i in index])
        dt = t - np.array([pieces[i].t[k - 1] for i in index])
        z, r = np.array([pieces[i].z[k] for i in index]), np.array([pieces[i].r[k] for i in index])
        ahead = banks.propagated(banks.mixed(current.rows(index), dt, modes), dt, modes)
        now, nis = banks.updated(ahead, z, r)
        _velocity(now, np.arange(len(index)), np.array([pieces[i].v[k] for i in index]))
        out = nis.min(axis=1) > GATE
        if out.any():
            apart = np.hypot(z[:, 0] - last[index, 0], z[:, 1] - last[index, 1])
            agrees = (run[index] > 0) & (apart <= AGREE_MPS * (t - last[index, 2]) + AGREE_M)
            run[index] = np.where(out, np.where(agrees, run[index] + 1, 1), 0)
            centre, _ = banks.combined(ahead)
            gap = t - used_t[index]
            reachable = (gap > GAP_S) & (np.hypot(*(z - centre).T) <= AGREE_MPS * gap)
            anew = out & ((run[index] >= AGREE) | reachable)
            refused = np.flatnonzero(out & ~anew)
            now.put(refused, ahead.rows(refused))
            fresh = np.flatnonzero(anew)
            if len(fresh):
                now.put(fresh, banks.new_bank(z[fresh], r[fresh], modes))
                run[index[fresh]] = 0
            last[index[out]] = np.column_stack((z, t))[out]
            for j in refused:
                pieces[index[j]].used[k] = False
            used_t[index[~out | anew]] = t[~out | anew]
        else:
            run[index] = 0
            used_t[index] = t
        current.put(index, now)
        for j, i in enumerate(index):
            _keep(pieces[i], k, now, j)


def _keep(piece: _Piece, k: int, bank: Bank, j: int) -> None:
    hist = piece.hist
    assert hist is not None
    hist.mu[k], hist.x[k], hist.p[k] = bank.mu[j], bank.x[j], bank.p[j]


def _velocity(bank: Bank, rows: np.ndarray, v: np.ndarray) -> None:
    """Take in stated velocities (B, 2), NaN where there is none; one that no mode believes is left out."""
    has = rows[~np.isnan(v[:, 0])]
    if len(has):
        part, nis = banks.updated(bank.rows(has), v[has], np.full(len(has), VELOCITY_SIGMA_MPS**2), (1, 3))
        fits = nis.min(axis=1) <= GATE
        bank.put(has[fits], part.rows(np.flatnonzero(fits)))


def _answer(
    pieces: list[_Piece], questions: list[Question], modes: tuple[Mode, ...], mode: str, answers: list[Answer | None]
) -> None:
    starts, dts, futures, tags, backward = [], [], [], [], []
    for piece in pieces:
        hist = piece.hist
        assert hist is not None
        good = np.flatnonzero(piece.used)
        for k in piece.questions:
            t = (questions[k].time_ns - piece.t0_ns) / NS
            i = int(np.searchsorted(piece.t, t, side="left")) - 1
            if i < 0:
                backward.append((piece, k))
                continue
            starts.append((hist.mu[i], hist.x[i], hist.p[i]))
            dts.append(t - piece.t[i])
            g = int(np.searchsorted(good, i, side="right"))
            futures.append((piece, good[g : g + AHEAD], t))
            tags.append((piece, k))
    if starts:
        bank = Bank(*(np.array(part) for part in zip(*starts, strict=True)))
        dt = np.array(dts)
        bank = banks.propagated(banks.mixed(bank, dt, modes), dt, modes)
        at = (0, 2)
        if mode == "smoothed":
            bank, at = _through(banks.remembering(bank), futures, modes), (4, 5)
        for (piece, k), point, p in zip(tags, *banks.combined(bank, at), strict=True):
            answers[k] = _placed(piece, float(point[0]), float(point[1]), p)
    for piece, k in backward:
        answers[k] = _before(piece, (questions[k].time_ns - piece.t0_ns) / NS, modes)


def _through(bank: Bank, futures: list, modes: tuple[Mode, ...]) -> Bank:
    """Run banks that remember a position on through the fixes after it; within the gap the mode goes on."""
    now = np.array([t for _, _, t in futures])
    for a in range(AHEAD):
        rows = np.array([b for b, (_, ahead, _) in enumerate(futures) if len(ahead) > a], dtype=int)
        if not len(rows):
            break
        some = [(futures[b][0], futures[b][1][a]) for b in rows]
        t = np.array([p.t[i] for p, i in some])
        part, dt = bank.rows(rows), t - now[rows]
        part = banks.propagated(part if a == 0 else banks.mixed(part, dt, modes), dt, modes)
        after, nis = banks.updated(part, np.array([p.z[i] for p, i in some]), np.array([p.r[i] for p, i in some]))
        _velocity(after, np.arange(len(rows)), np.array([p.v[i] for p, i in some]))
        out = np.flatnonzero(nis.min(axis=1) > GATE)
        after.put(out, part.rows(out))
        bank.put(rows, after)
        now[rows] = t
    return bank


def _before(piece: _Piece, t: float, modes: tuple[Mode, ...]) -> Answer:
    """Smoothed, before the first fix: the same motion backwards from the first fixes."""
    first = np.flatnonzero(piece.used)[: AHEAD + 1][::-1]
    bank, now = banks.new_bank(piece.z[first[:1]], piece.r[first[:1]], modes), piece.t[first[0]]
    for i in first[1:]:
        dt = np.array([now - piece.t[i]])
        bank, _ = banks.updated(banks.propagated(banks.mixed(bank, dt, modes), dt, modes), piece.z[[i]], piece.r[[i]])
        _velocity(bank, np.arange(1), -piece.v[[i]])
        now = piece.t[i]
    dt = np.array([now - t])
    points, covariances = banks.combined(banks.propagated(banks.mixed(bank, dt, modes), dt, modes))
    return _placed(piece, float(points[0, 0]), float(points[0, 1]), covariances[0])


def _placed(piece: _Piece, e: float, n: float, p: np.ndarray) -> Answer:
    pee, pen, pnn = float(p[0, 0]), float((p[0, 1] + p[1, 0]) / 2.0), float(p[1, 1])
    if piece.frame is None or piece.origin is None:
        return Answer(e, n, e, n, pee, pen, pnn)
    lat, lon = piece.frame.geodetic(e, n)
    c, s = turn(piece.frame.lat_deg, piece.frame.lon_deg, lat, lon)
    oe, on = piece.origin.en(lat_deg=lat, lon_deg=lon)
    return Answer(lon, lat, oe, on, *turned(pee, pen, pnn, c, s))
