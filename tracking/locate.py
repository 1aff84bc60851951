"""Where was it at these times?  Recorded fixes in, positions with covariances out; the core of `birddog locate`.

Live answers use the fixes of strictly earlier time, smoothed ones all.  The order of the rows plays no part.  All
tracks run through one ``bank`` in step, once for each hypothesis of how good their fixes are (``noise``); an answer is
the mixture of all, weighed by how well each foretold the fixes: those up to the question, or smoothed all.  A smoothed
answer goes on from the last fix before it with the asked position remembered, through the next ``AHEAD`` fixes or those of a
minute, so that gaps and changes of mode are handled by the same filter.  No I/O.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from birddog.geo import LocalFrame, distance_m
from birddog.units import NS
from tracking import bank as banks
from tracking.anchor import rotated, turn
from tracking.bank import CLASS_WEIGHTS, MODES, MODES_AFTER, Bank, Mode
from tracking.engine import SIGMA_CEILING_M
from tracking.noise import LEAST_LOG, NOISES, PRIOR_LOG, TELLS_S, covariance, resolution, shares

#: Fixes after the question that a smoothed answer uses: so many, or those of so long from the first on, s, if that is more;
#: at most MOST.
AHEAD, AHEAD_S, MOST = 8, 60.0, 64
#: A fix whose NIS is over this in every mode is refused …
GATE = 60.0
#: … until so many agree: apart no more than this speed and slack allow, or so long after the last used one.
AGREE, AGREE_MPS, AGREE_M, GAP_S = 3, 100.0, 200.0, 1800.0
#: One sigma of a fix that does not say, and of a stated velocity.
SIGMA_M, VELOCITY_SIGMA_MPS = 8.0, 0.5
#: No fix states less, and no hypothesis believes in less, one sigma.
STATED_M, LEAST_M = 0.5, 0.2
#: Of latitude; near enough for the size of a rounding error.
METRES_PER_DEG = 111_320.0
#: A track is cut where it has gone this far from its frame's origin; so many earlier fixes lead into the next piece, and MOST
#: later ones out of it.
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
    """A run of one track's fixes in one frame, in order of time; questions are indices into the caller's list.

    ``variance`` (N, 2) is what the fixes state, ``grid`` (N, 2) what the steps of their numbers add to it.
    """

    __slots__ = ("frame", "from_ns", "grid", "klass", "offset", "origin", "questions", "t", "t0_ns", "v", "variance", "z")

    def __init__(self, fixes: list[PastFix], frame: LocalFrame | None, origin: LocalFrame | None):
        self.frame, self.origin = frame, origin
        self.t0_ns = self.from_ns = fixes[0].time_ns
        self.t = np.array([(f.time_ns - self.t0_ns) / NS for f in fixes])
        self.z = np.array([_en(frame, f) for f in fixes])
        sigmas = np.array([f.sigma_m if f.sigma_m is not None else SIGMA_M for f in fixes])
        stated = np.clip(sigmas, STATED_M, SIGMA_CEILING_M) ** 2
        self.variance = np.column_stack((stated, stated))
        # a value rounded to steps of d is off by d/√12, one sigma
        values = np.array([(f.x, f.y) for f in fixes])
        step = np.column_stack([resolution(axis, geodetic=frame is not None) for axis in values.T])
        metres = (1.0, 1.0) if frame is None else (METRES_PER_DEG * math.cos(math.radians(frame.lat_deg)), METRES_PER_DEG)
        self.grid = (step * metres) ** 2 / 12.0
        self.v = np.array([(f.ve_mps, f.vn_mps) if f.ve_mps is not None else (math.nan, math.nan) for f in fixes], dtype=float)
        self.klass = next((f.klass for f in fixes if f.klass), "")
        self.questions: list[int] = []
        self.offset = 0

    def before(self, time_ns: int) -> int:
        """The index of the last fix of an earlier time, or -1."""
        return int(np.searchsorted(self.t, (time_ns - self.t0_ns) / NS, side="left")) - 1


class _Group:
    """Pieces that run through the bank in step, their fixes end to end (F in all), under each of H hypotheses.

    variance (H, F, 2); used (H, F): not refused; evidence (H, F): log-likelihood of the piece's fixes up to each;
    slots (F,): where ``kept`` (H, S, …) holds the bank after a fix that a question follows, or -1.
    """

    __slots__ = ("clock_s", "evidence", "kept", "lens", "modes", "offsets", "parts", "slots", "t", "used", "v", "variance", "z")

    def __init__(self, pieces: list[_Piece], questions: list[Question], modes: tuple[Mode, ...], *, known_after: bool):
        self.modes, self.parts = modes, banks.PARTS if known_after else 1
        self.lens = np.array([len(p.t) for p in pieces])
        self.offsets = np.concatenate(([0], np.cumsum(self.lens)[:-1]))
        for piece, offset in zip(pieces, self.offsets.tolist(), strict=True):
            piece.offset = offset
        self.t, self.z, self.v = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("t", "z", "v"))
        stated = np.concatenate([p.variance for p in pieces])
        grid = np.concatenate([np.broadcast_to(p.grid[-1], p.grid.shape) if known_after else p.grid for p in pieces])
        self.variance = np.array([np.maximum(stated * noise.scale**2, LEAST_M**2) + grid for noise in NOISES])
        self.clock_s = np.array([noise.clock_s for noise in NOISES])
        self.used = np.ones((len(NOISES), len(self.t)), dtype=bool)
        self.evidence = np.zeros((len(NOISES), len(self.t)))
        self.evidence[:, self.offsets] = PRIOR_LOG[:, None]
        self.slots = np.full(len(self.t), -1)
        for piece in pieces:
            for k in piece.questions:
                i = piece.before(questions[k].time_ns)
                if i >= 0:
                    self.slots[piece.offset + i] = 0
        some = np.flatnonzero(self.slots == 0)
        self.slots[some] = np.arange(len(some))
        h, n, m = len(NOISES), len(some), len(modes)
        self.kept = Bank(np.empty((h, n, m)), np.empty((h, n, m, 4)), np.empty((h, n, m, 4, 4)))

    def keep(self, h: np.ndarray, at: np.ndarray, bank: Bank) -> None:
        """Remember the rows of a bank, after the fixes ``at`` under the hypotheses h, that a question needs."""
        slot = self.slots[at]
        rows = np.flatnonzero(slot >= 0)
        if len(rows):
            place = h[rows], slot[rows]
            self.kept.mu[place], self.kept.x[place], self.kept.p[place] = bank.mu[rows], bank.x[rows], bank.p[rows]


def _order(f: PastFix) -> tuple[int, float, float, float, bool, float, float, str]:
    """A total order by time in which the rows' order plays no part; of the same fix again the better stated one first."""
    sigma_m = f.sigma_m if f.sigma_m is not None else math.inf
    return (f.time_ns, f.x, f.y, sigma_m, f.ve_mps is None, f.ve_mps or 0.0, f.vn_mps or 0.0, f.klass)


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
    for f in sorted(fixes, key=_order):
        some = by_track.setdefault(f.track_id, [])
        twin = some[-1] if some and (some[-1].time_ns, some[-1].x, some[-1].y) == (f.time_ns, f.x, f.y) else None
        if twin is None:
            some.append(f)
        else:
            # the same fix again: once, with what either says
            v = twin if twin.ve_mps is not None else f
            some[-1] = msgspec.structs.replace(twin, ve_mps=v.ve_mps, vn_mps=v.vn_mps, klass=twin.klass or f.klass)
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
        after = mode == "smoothed"
        g = _Group(group, questions, _modes(group[0].klass, MODES_AFTER if after else MODES), known_after=after)
        _forward(g)
        _answer(g, group, questions, mode, answers)
    return answers


def _pieces(fixes: list[PastFix], geodetic: bool) -> list[_Piece]:
    """A track's fixes, cut where three in a row are far from the frame in use."""
    if not geodetic:
        return [_Piece(fixes, None, None)]
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
        piece = _Piece(fixes[max(0, begin - LEAD_IN) : end + MOST], LocalFrame(lat_deg=at.y, lon_deg=at.x), origin)
        piece.from_ns = fixes[begin].time_ns
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


def _modes(klass: str, modes: tuple[Mode, ...]) -> tuple[Mode, ...]:
    weights = CLASS_WEIGHTS.get(klass)
    if weights is None:
        return modes
    return tuple(msgspec.structs.replace(m, weight=m.weight * w) for m, w in zip(modes, weights, strict=True))


def _forward(g: _Group) -> None:
    """Run the bank over every piece under every hypothesis: row = piece × H + hypothesis."""
    h, modes = len(NOISES), g.modes
    count = len(g.lens) * h
    hypothesis, offsets, lens = np.tile(np.arange(h), len(g.lens)), np.repeat(g.offsets, h), np.repeat(g.lens, h)
    order = np.argsort(-lens, kind="stable")
    current = banks.new_bank(g.z[offsets], g.variance[hypothesis, offsets][:, :, None] * np.eye(2), modes)
    _velocity(current, np.arange(count), g.v[offsets])
    g.keep(hypothesis, offsets, current)
    used_t = g.t[offsets]
    run, last = np.zeros(count, dtype=int), np.zeros((count, 3))
    for k in range(1, int(lens.max())):
        index = order[: int((lens > k).sum())]
        who, at = hypothesis[index], offsets[index] + k
        t, z, variance = g.t[at], g.z[at], g.variance[who, at]
        dt = t - g.t[at - 1]
        ahead = banks.ahead(current.rows(index), dt, modes, parts=g.parts)
        r = covariance(ahead, variance, g.clock_s[who])
        now, nis = banks.updated(ahead, z, r)
        tells = np.minimum(1.0, (TELLS_S / np.maximum(dt, TELLS_S)) ** 2)
        g.evidence[who, at] = g.evidence[who, at - 1] + tells * np.maximum(banks.loglik(ahead, z, r), LEAST_LOG)
        _velocity(now, np.arange(len(index)), g.v[at])
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
                now.put(fresh, banks.new_bank(z[fresh], variance[fresh][:, :, None] * np.eye(2), modes))
                run[index[fresh]] = 0
            last[index[out]] = np.column_stack((z, t))[out]
            g.used[who[refused], at[refused]] = False
            used_t[index[~out | anew]] = t[~out | anew]
        else:
            run[index] = 0
            used_t[index] = t
        current.put(index, now)
        g.keep(who, at, now)


def _velocity(bank: Bank, rows: np.ndarray, v: np.ndarray) -> None:
    """Take in stated velocities (B, 2), NaN where there is none; one that no mode believes is left out."""
    has = rows[~np.isnan(v[:, 0])]
    if len(has):
        part, nis = banks.updated(bank.rows(has), v[has], np.full(len(has), VELOCITY_SIGMA_MPS**2), (1, 3))
        fits = nis.min(axis=1) <= GATE
        bank.put(has[fits], part.rows(np.flatnonzero(fits)))


def _answer(
    g: _Group, pieces: list[_Piece], questions: list[Question], mode: str, answers: list[Answer | None]
) -> None:
    asked: list[tuple[_Piece, int, int]] = []
    backward: list[tuple[_Piece, int, int]] = []
    for piece in pieces:
        for k in piece.questions:
            i = piece.before(questions[k].time_ns)
            (asked if i >= 0 else backward).append((piece, k, i))
    for begin in range(0, len(asked), CHUNK // 10):
        some = asked[begin : begin + CHUNK // 10]
        at = np.array([piece.offset + i for piece, _, i in some])
        last = np.array([piece.offset + len(piece.t) - 1 for piece, _, _ in some])
        share = shares(g.evidence[:, last if mode == "smoothed" else at].T)
        q, who = np.nonzero(share)
        slot = g.slots[at[q]]
        bank = Bank(g.kept.mu[who, slot], g.kept.x[who, slot], g.kept.p[who, slot])
        t = np.array([(questions[k].time_ns - piece.t0_ns) / NS for piece, k, _ in some])[q]
        dt = t - g.t[at[q]]
        bank, place = banks.ahead(bank, dt, g.modes, parts=g.parts), (0, 2)
        if mode == "smoothed":
            bank, place = _through(g, banks.remembering(bank), t, who, at[q], last[q]), (4, 5)
        whole = _together(bank, share, q, who)
        for (piece, k, _), point, p in zip(some, *banks.combined(whole, place, known_after=mode == "smoothed"), strict=True):
            answers[k] = _placed(piece, float(point[0]), float(point[1]), p)
    for piece, k, _ in backward:
        answers[k] = _before(g, piece, (questions[k].time_ns - piece.t0_ns) / NS)


def _together(bank: Bank, share: np.ndarray, q: np.ndarray, who: np.ndarray) -> Bank:
    """One mixture a question of the banks (R rows) of its hypotheses ``who``, weighed by share (Q, H)."""
    (n, h), (_, m, d) = share.shape, bank.x.shape
    mu, x, p = np.zeros((n, h, m)), np.zeros((n, h, m, d)), np.tile(np.eye(d), (n, h, m, 1, 1))
    mu[q, who], x[q, who], p[q, who] = bank.mu * share[q, who][:, None], bank.x, bank.p
    return Bank(mu.reshape(n, h * m), x.reshape(n, h * m, d), p.reshape(n, h * m, d, d))


def _through(g: _Group, bank: Bank, now: np.ndarray, who: np.ndarray, at: np.ndarray, last: np.ndarray) -> Bank:
    """Run banks that remember a position on through the used fixes after ``at``."""
    now, ahead = now.copy(), np.full((len(at), MOST), -1)
    for h in range(len(NOISES)):
        good = np.flatnonzero(g.used[h])
        rows = np.flatnonzero(who == h)
        place = np.searchsorted(good, at[rows], side="right")[:, None] + np.arange(MOST)
        fix = np.append(good, len(g.t) - 1)[np.minimum(place, len(good))]
        used = (place < len(good)) & (fix <= last[rows, None])
        used[:, AHEAD:] &= g.t[fix[:, AHEAD:]] - g.t[fix[:, :1]] <= AHEAD_S
        ahead[rows] = np.where(used, fix, -1)
    for a in range(MOST):
        rows = np.flatnonzero(ahead[:, a] >= 0)
        if not len(rows):
            break
        fix = ahead[rows, a]
        part, dt = bank.rows(rows), g.t[fix] - now[rows]
        part = banks.ahead(part, dt, g.modes, parts=g.parts)
        after, nis = banks.updated(part, g.z[fix], covariance(part, g.variance[who[rows], fix], g.clock_s[who[rows]]))
        _velocity(after, np.arange(len(rows)), g.v[fix])
        out = np.flatnonzero(nis.min(axis=1) > GATE)
        after.put(out, part.rows(out))
        bank.put(rows, after)
        now[rows] = g.t[fix]
    return bank


def _before(g: _Group, piece: _Piece, t: float) -> Answer:
    """Smoothed, before the first fix: the same motion backwards from the first fixes, under the likeliest hypothesis."""
    modes, begin, end = g.modes, piece.offset, piece.offset + len(piece.t)
    h = int(np.argmax(g.evidence[:, end - 1]))
    first = begin + np.flatnonzero(g.used[h, begin:end])[: MOST + 1]
    first = first[(np.arange(len(first)) <= AHEAD) | (g.t[first] - g.t[first[0]] <= AHEAD_S)][::-1]
    r = g.variance[h]
    bank, now = banks.new_bank(g.z[first[:1]], r[first[:1], :, None] * np.eye(2), modes), g.t[first[0]]
    for i in first[1:]:
        dt = np.array([now - g.t[i]])
        ahead = banks.ahead(bank, dt, modes, parts=g.parts)
        bank, _ = banks.updated(ahead, g.z[[i]], covariance(ahead, r[[i]], g.clock_s[[h]]))
        _velocity(bank, np.arange(1), -g.v[[i]])
        now = g.t[i]
    dt = np.array([now - t])
    points, covariances = banks.combined(banks.ahead(bank, dt, modes, parts=g.parts))
    return _placed(piece, float(points[0, 0]), float(points[0, 1]), covariances[0])


def _placed(piece: _Piece, e: float, n: float, p: np.ndarray) -> Answer:
    pee, pen, pnn = float(p[0, 0]), float((p[0, 1] + p[1, 0]) / 2.0), float(p[1, 1])
    if piece.frame is None or piece.origin is None:
        return Answer(e, n, e, n, pee, pen, pnn)
    lat, lon = piece.frame.geodetic(e, n)
    c, s = turn(piece.frame.lat_deg, piece.frame.lon_deg, lat, lon)
    oe, on = piece.origin.en(lat_deg=lat, lon_deg=lon)
    return Answer(lon, lat, oe, on, *rotated(pee, pen, pnn, c, s))
