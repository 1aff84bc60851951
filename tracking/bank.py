"""Interacting multiple models for many tracks at once: the estimator of `birddog locate`, in NumPy.

A bank of motions (parked, slow and lively, with decaying or lasting velocity) runs beside each other; how well each
predicts the next fix says which holds.  Nothing needs to be told of the class: a moored vessel, a van at a kerb and
a bus in traffic pick their own.  Shapes: B rows (tracks or questions), M modes, D state size; state
(e, ve, n, vn) or, with a remembered position, (e, ve, n, vn, e', n').  Modes
switch as a Markov chain in continuous time, so the transition matrix is right for any dt.
Source: Blom, Bar-Shalom 1988; smoothing by a remembered position: Anderson, Moore 1979, chapter 7.2.
"""

from __future__ import annotations

import functools

import msgspec
import numpy as np

from tracking.engine import coefficients


class Mode(msgspec.Struct, frozen=True):
    """One motion: ``q`` m²/s³ and ``tau_s`` as in ``engine``; parked: no velocity, a walk of ``walk`` m²/s.

    ``dwell_s`` is the mean time that it lasts; what follows is drawn by ``weight`` among the others of its family.
    ``kick`` is the variance per axis, (m/s)², of the velocity that it brings with it when it begins out of a parked
    one (or, ``leap``, out of any other that does not leap): what was parked goes off at a speed that nobody knows.
    """

    q: float
    tau_s: float
    weight: float
    dwell_s: float = 120.0
    walk: float = 0.0
    family: str = ""
    kick: float = 0.0
    leap: bool = False

    @property
    def parked(self) -> bool:
        return self.walk > 0.0

    @property
    def lasting(self) -> bool:
        """Parked for long: a stop at a light is not."""
        return self.parked and self.dwell_s > 600.0


#: Found by the likelihood of the visible fixes of the public real tracks, road and walk apart from water; but the sixth, town
#: traffic (a velocity that is soon another one), by the errors and NEES of buses, confirmed by those of vans and couriers.  The
#: second, a few steps to and fro (nobody on foot at work goes straight on for a minute), and with it the third and fourth by
#: the density that the mixture gives to the fixes that every second track hides, confirmed by those of the other tracks.
#: The last four say what those tracks do not show: what has long been parked stays parked for hours, a motorway goes on
#: for as long, and anything may fly (level, or climbing and turning).
MODES: tuple[Mode, ...] = (
    Mode(0.0, 0.0, 0.13, 26.0, walk=0.003, family="land"),
    Mode(0.15, 7.0, 0.07, 30.0, family="land", kick=1.0),
    Mode(0.19, 4800.0, 0.04, 12.5, family="land", kick=225.0),
    Mode(0.75, 40.0, 0.055, 126.0, family="land", kick=10.0),
    Mode(4.0, 20.0, 0.055, 27.0, family="land", kick=20.0),
    Mode(6.0, 10.0, 0.08, 300.0, family="land", kick=10.0),
    Mode(0.0, 0.0, 0.055, 1600.0, walk=0.0009, family="sea"),
    Mode(0.000055, 14_400.0, 0.035, 600.0, family="sea", kick=0.4),
    Mode(0.012, 1800.0, 0.44, 170.0, family="sea", kick=10.0),
    Mode(0.2, 620.0, 0.07, 55.0, family="sea", kick=50.0),
    Mode(0.0, 0.0, 0.004, 7200.0, walk=0.0005, family="land"),
    Mode(0.02, 20_000.0, 0.01, 1200.0, family="land", kick=225.0),
    Mode(0.05, 20_000.0, 0.001, 1200.0, family="air", kick=14_400.0, leap=True),
    Mode(10.0, 3000.0, 0.001, 120.0, family="air", kick=14_400.0, leap=True),
)
#: Where what came after is known too.  Between two reports of town traffic that are a minute apart there are stops and
#: starts, of which a filter that keeps one Gaussian a motion remembers the mean alone: a velocity that is sooner another one
#: says so (the 95th percentile of buses with such gaps 134 m, and 125 so; a straight line's is 117).  And what is moored is so
#: for longer, as reports on both sides bear out.  By the likelihood of the hidden fixes and the errors
#: (``tools/fit_motions.py --mode smoothed``).
MODES_AFTER: tuple[Mode, ...] = tuple(
    msgspec.structs.replace(m, **{3: {"q": 1.5, "tau_s": 15.0}, 6: {"dwell_s": 3200.0}}.get(k, {})) for k, m in enumerate(MODES)
)
#: What the live fold has beside them, for reports that are minutes apart: a round that goes now here, now there between two of
#: them.  Those tracks do not show it either (their gaps are a minute), and it would cost ``locate`` 1 % of its error.
ROUND = Mode(1.5, 300.0, 0.02, 1800.0, family="land", kick=225.0)
#: And a turn that goes on: a launch in circles turns half round between two reports ten seconds apart, a car turns back.  Its
#: velocity is forgotten within seconds and has the size of a launch's: so it holds .4 to .9 g that is reported each second or
#: two, and .6 g each five.  Of those that the density of made ways bears (circles, jinks, hairpins, roundabouts, straight ones)
#: it is the hardest that receivers which part are told of in time beside; and no likelier than what the real tracks bear
#: (``tools/fit_motions.py --fold``).
HARD = Mode(40.0, 10.0, 0.01, 600.0, family="land", kick=20.0)
#: How much likelier than on average a class makes ROUND; of a class that is not named, and of HARD, 1.
ROUND_WEIGHTS = {"walker": 0.3, "vessel": 0.02}
#: What a second hypothesis may do, of which nothing is known but a few positions: stand, go at any speed, fly.
ANYTHING: tuple[Mode, ...] = (
    Mode(0.0, 0.0, 0.3, 300.0, walk=0.003),
    Mode(1.0, 600.0, 0.6, 300.0, kick=400.0),
    Mode(10.0, 3000.0, 0.1, 1800.0, kick=14_400.0, leap=True),
)
#: What an anonymous contact may do, which is seen every few seconds by a sensor that looks (or twice a day by one from above):
#: stop, go straight, bend, turn hard, lie at its berth for hours.  Chosen on made-up worlds (other seeds, numbers, noise,
#: clutter, latencies) beside the public ones.
CONTACT: tuple[Mode, ...] = (
    Mode(0.0, 0.0, 0.05, 40.0, walk=0.01),
    Mode(0.005, 0.0, 0.5, 300.0),
    Mode(1.0, 0.0, 0.15, 20.0),
    Mode(10.0, 0.0, 0.15, 8.0),
    Mode(0.0, 0.0, 0.002, 86_400.0, walk=0.001),
)
#: What stands where it is: a base station, a buoy on its chain.
STANDING: tuple[Mode, ...] = (Mode(0.0, 0.0, 1.0, 1e9, walk=0.0005),)
#: How often an object turns out to be of the other family of motions after all.
FAMILY_PER_S = 1.0 / 86_400.0
#: How much likelier than on average a class makes each mode.
CLASS_WEIGHTS: dict[str, tuple[float, ...]] = {
    "walker": (1.0, 1.0, 2.0, 0.3, 0.02, 0.02, 0.05, 0.05, 0.05, 0.05, 1.0, 0.2, 0.01, 0.01),
    "van": (1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.05, 0.05, 0.05, 0.05, 1.0, 1.0, 0.02, 0.02),
    "lorry": (1.0, 0.5, 2.0, 1.0, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05, 1.0, 1.0, 0.01, 0.01),
    "vessel": (0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 1.0, 1.0, 1.0, 1.0, 0.02, 0.02, 0.01, 0.01),
    "aircraft": (0.05, 0.05, 1.0, 1.0, 3.0, 1.0, 0.05, 0.05, 0.5, 1.0, 1.0, 1.0, 300.0, 300.0),
    "parcel": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.3, 1.0, 1.0, 1.0, 1.0),
}
#: Where what came after is known too, a longer time than this is gone in equal parts, no more than so many.
PART_S, PARTS = 10.0, 8
#: The residual velocity of a parked mode, (m/s)².
STILL = 1e-4
#: The 95 % ellipse of a mixture is wider than the Gaussian's of the same covariance: so much on its covariance.
TAILS = 1.0
#: Where what came after is known too the motions, whose q is that of one step, are wider than what they leave open: so much on
#: its covariance, by the likelihood of the hidden fixes of every public set (``tools/fit_motions.py``).
TAILS_AFTER = 0.8
#: A mode less probable than this does not widen the ellipse: one chance in a thousand of an aeroplane is no cloud of 10 km.
RARE = 4e-3
#: Variance of the velocity of a new track, (m/s)².
NEW_V = 64.0


class Bank(msgspec.Struct):
    """mu (B, M), x (B, M, D), p (B, M, D, D)."""

    mu: np.ndarray
    x: np.ndarray
    p: np.ndarray

    def rows(self, index: np.ndarray) -> Bank:
        """A copy of some rows."""
        return Bank(self.mu[index], self.x[index], self.p[index])

    def put(self, index: np.ndarray, part: Bank) -> None:
        """Some rows replaced."""
        self.mu[index], self.x[index], self.p[index] = part.mu, part.x, part.p


def new_velocity(mode: Mode, new_v: float = NEW_V) -> float:
    """The variance of the velocity of a new track in a mode, (m/s)² per axis."""
    if mode.parked:
        return STILL
    if mode.leap:
        return mode.kick
    # of what begins no more is known than of what goes off after a long stop
    new_v = max(new_v, mode.kick)
    return min(new_v, mode.q * mode.tau_s / 2.0) if mode.tau_s else new_v


def new_bank(z: np.ndarray, r: np.ndarray, modes: tuple[Mode, ...] = MODES, new_v: float = NEW_V) -> Bank:
    """Banks of tracks that begin at z (B, 2) with R (B,) or (B, 2, 2) as in ``updated``; new_v: variance of an unknown
    velocity."""
    b, m = len(z), len(modes)
    weight = np.array([mode.weight for mode in modes])
    x, p = np.zeros((b, m, 4)), np.zeros((b, m, 4, 4))
    x[:, :, 0], x[:, :, 2] = z[:, :1], z[:, 1:]
    full = _matrix(r)
    p[:, :, 0, 0], p[:, :, 2, 2] = full[..., 0, 0], full[..., 1, 1]
    p[:, :, 0, 2] = p[:, :, 2, 0] = full[..., 0, 1]
    for j, mode in enumerate(modes):
        v = new_velocity(mode, new_v)
        p[:, j, 1, 1] = p[:, j, 3, 3] = v
    return Bank(np.broadcast_to(weight / weight.sum(), (b, m)).copy(), x, p)


@functools.cache
def kicks(modes: tuple[Mode, ...]) -> tuple[tuple[float, ...], ...]:
    """The variance of the velocity (M, M), (m/s)² per axis, that mode j brings with it out of mode i."""
    return tuple(
        tuple(
            new.kick if i != j and not new.parked and (new.leap and not old.leap or old.lasting and not new.leap) else 0.0
            for j, new in enumerate(modes)
        )
        for i, old in enumerate(modes)
    )


def coarse(dt_s: np.ndarray) -> np.ndarray:
    """The time for which modes are exchanged: dt_s to a hundredth part, so that few tables of probabilities are made."""
    mantissa, exponent = np.frexp(dt_s)
    rounded: np.ndarray = np.ldexp(np.round(mantissa * 128.0) / 128.0, exponent)
    return rounded


def transitions(dt_s: np.ndarray, modes: tuple[Mode, ...]) -> np.ndarray:
    """The probabilities (B, M, M) of going from mode i to mode j within dt_s (B,): exp(dt × generator)."""
    values, vectors, inverse = _rates(modes)
    t = np.einsum("ik,bk,kj->bij", vectors, np.exp(dt_s[:, None] * values.real), inverse).real
    t = np.maximum(t, 0.0)
    shares: np.ndarray = t / t.sum(axis=2, keepdims=True)
    return shares


@functools.cache
def _rates(modes: tuple[Mode, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of the generator of the chain of modes, and the inverse of those."""
    g = np.zeros((len(modes), len(modes)))
    for i, mode in enumerate(modes):
        for kin, rate in ((True, 1.0 / mode.dwell_s), (False, FAMILY_PER_S)):
            to = [j for j, other in enumerate(modes) if j != i and (other.family == mode.family) is kin]
            total = sum(modes[j].weight for j in to)
            for j in to:
                g[i, j] = rate * modes[j].weight / total
    np.fill_diagonal(g, -g.sum(axis=1))
    values, vectors = np.linalg.eig(g)
    return values, vectors, np.linalg.inv(vectors)


def mixed(bank: Bank, dt_s: np.ndarray, modes: tuple[Mode, ...]) -> Bank:
    """The interaction before a prediction over dt_s (B,)."""
    if len(modes) == 1:  # a plain Kalman filter
        return bank
    joint = bank.mu[:, :, None] * transitions(coarse(dt_s), modes)
    mu = np.maximum(joint.sum(axis=1), 1e-300)
    w = (joint / mu[:, None, :]).swapaxes(1, 2)
    # second moments about the middle of the modes, not about the frame's far origin: no digits are lost
    middle = bank.x.mean(axis=1, keepdims=True)
    d = bank.x - middle
    x = w @ d
    moments = (bank.p + d[..., :, None] * d[..., None, :]).reshape(*d.shape[:2], -1)
    p = (w @ moments).reshape(bank.p.shape) - x[..., :, None] * x[..., None, :]
    brought = np.einsum("bji,ij->bj", w, np.array(kicks(modes)))
    p[:, :, 1, 1] += brought
    p[:, :, 3, 3] += brought
    return Bank(mu / mu.sum(axis=1, keepdims=True), x + middle, p)


def propagated(bank: Bank, dt_s: np.ndarray, modes: tuple[Mode, ...]) -> Bank:
    """Each mode's prediction over dt_s (B,); a remembered position stays."""
    m, d = bank.x.shape[1:]
    # nearly always all go on by the same time: then what takes them there is one table of each mode
    same = len(dt_s) > 0 and bool((dt_s == dt_s[0]).all())
    times, which = (dt_s[:1], None) if same else np.unique(dt_s, return_inverse=True)
    f, q = np.zeros((len(times), m, d, d)), np.zeros((len(times), m, d, d))
    f[:, :, range(d), range(d)] = 1.0
    for j, mode in enumerate(modes):
        if mode.parked:
            zero = np.zeros(len(times))
            a, s, q11, q12, q22 = zero, zero, mode.walk * times, zero, np.full(len(times), STILL)
        else:
            a, s, q11, q12, q22 = np.array([coefficients(t, mode.q, mode.tau_s) for t in times.tolist()]).reshape(-1, 5).T
        for k in (0, 2):
            f[:, j, k, k + 1], f[:, j, k + 1, k + 1] = s, a
            q[:, j, k, k], q[:, j, k, k + 1], q[:, j, k + 1, k], q[:, j, k + 1, k + 1] = q11, q12, q12, q22
    if which is not None:
        f, q = f[which], q[which]
    x = np.einsum("bmij,bmj->bmi", np.broadcast_to(f, bank.p.shape), bank.x)
    return Bank(bank.mu, x, f @ bank.p @ _transposed(f) + q)


def _transposed(matrices: np.ndarray) -> np.ndarray:
    """Each matrix of a stack turned over, in a row: as a view of the other BLAS takes two to six times as long for small ones,
    to the same digits.
    """
    return np.ascontiguousarray(matrices.swapaxes(-1, -2))


@functools.lru_cache(maxsize=256)
def one_step(dt_s: float, modes: tuple[Mode, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ``mixed`` and ``propagated`` take for one time: chances (M, M), kicks (M, M), and a, s, q11, q12, q22 (M, 5)."""
    rows = [
        (0.0, 0.0, mode.walk * dt_s, 0.0, STILL) if mode.parked else coefficients(dt_s, mode.q, mode.tau_s) for mode in modes
    ]
    return transitions(coarse(np.full(1, dt_s)), modes)[0].copy(), np.array(kicks(modes)), np.array(rows)


def ahead(bank: Bank, dt_s: np.ndarray, modes: tuple[Mode, ...], *, parts: int = 1) -> Bank:
    """Banks dt_s (B,) later: interaction and prediction, a long time in up to so many parts.

    In parts the mode may change within a gap, which the fix at its end then judges.  With nothing known of the end (a
    live answer) one part is better: each interaction makes Gaussians of mixtures, and the rare but far motion is lost.
    """
    if parts == 1:
        return propagated(mixed(bank, dt_s, modes), dt_s, modes)
    cut = np.clip(np.ceil(dt_s / PART_S), 1, parts).astype(int)
    now = propagated(mixed(bank, dt_s / cut, modes), dt_s / cut, modes)
    for k in range(1, int(cut.max(initial=1))):
        rows = np.flatnonzero(cut > k)
        dt = dt_s[rows] / cut[rows]
        now.put(rows, propagated(mixed(now.rows(rows), dt, modes), dt, modes))
    return now


def updated(bank: Bank, z: np.ndarray, r: np.ndarray, at: tuple[int, int] = (0, 2)) -> tuple[Bank, np.ndarray]:
    """(banks, NIS (B, M)) after measurements z (B, 2) of the components ``at``.

    r is (B,), a variance per axis, or (B, 2, 2), or (B, M, 2, 2).
    """
    i = list(at)
    full = _matrix(r)
    y = z[:, None, :] - bank.x[:, :, i]
    ph = bank.p[:, :, :, i]
    s = ph[:, :, i, :] + full
    det = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] * s[..., 1, 0]
    inverse = np.empty_like(s)
    inverse[..., 0, 0], inverse[..., 1, 1] = s[..., 1, 1] / det, s[..., 0, 0] / det
    inverse[..., 0, 1], inverse[..., 1, 0] = -s[..., 0, 1] / det, -s[..., 1, 0] / det
    k = ph @ inverse
    nis = np.einsum("bmi,bmij,bmj->bm", y, inverse, y)
    x = bank.x + np.einsum("bmdi,bmi->bmd", k, y)
    a = np.broadcast_to(np.eye(bank.x.shape[2]), bank.p.shape).copy()
    a[..., at[0] : at[1] + 1 : at[1] - at[0]] -= k
    p = a @ bank.p @ _transposed(a) + k @ full @ _transposed(k)
    log = np.log(np.maximum(bank.mu, 1e-300)) - 0.5 * (nis + np.log(det))
    log -= log.max(axis=1, keepdims=True)
    mu = np.exp(log)
    return Bank(mu / mu.sum(axis=1, keepdims=True), x, (p + p.swapaxes(-1, -2)) / 2.0), nis


def _matrix(r: np.ndarray) -> np.ndarray:
    """R as (B, 1, 2, 2) or (B, M, 2, 2), from variances per axis (B,) or matrices (B, 2, 2) or (B, M, 2, 2)."""
    if r.ndim == 4:
        return r
    return r[:, None, None, None] * np.eye(2) if r.ndim == 1 else r[:, None]


def loglik(bank: Bank, z: np.ndarray, r: np.ndarray) -> np.ndarray:
    """log p(z) (B,) of positions under the mixture."""
    i = [0, 2]
    y = z[:, None, :] - bank.x[:, :, i]
    s = bank.p[:, :, i][:, :, :, i] + _matrix(r)
    nis = np.einsum("bmi,bmij,bmj->bm", y, np.linalg.inv(s), y)
    log = np.log(np.maximum(bank.mu, 1e-300)) - 0.5 * (nis + np.log(np.linalg.det(s))) - np.log(2 * np.pi)
    top = log.max(axis=1)
    out: np.ndarray = top + np.log(np.exp(log - top[:, None]).sum(axis=1))
    return out


def combined(bank: Bank, at: tuple[int, int] = (0, 2), *, known_after: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A likely point (B, 2) of the mixture's position, and the covariance (B, 2, 2) about it.

    The mean would lie between "still parked" and "under way", where the object is not.  Weiszfeld's iteration, each
    mode's spread in the distance: power 1/2 would be the spatial median, 1 the densest place; between them (5/8) errors
    were smallest in median and tail.  Where what came after is known too the motions lie about one place, and their mean
    is nearest.  What is rarer than RARE has no part in an ellipse of 95 %.
    """
    i = list(at)
    x, p = bank.x[:, :, i], bank.p[:, :, i][:, :, :, i]
    spread = p[..., 0, 0] + p[..., 1, 1]
    mu = np.where(bank.mu < RARE, 0.0, bank.mu)
    mu /= mu.sum(axis=1, keepdims=True)
    point = np.einsum("bm,bmd->bd", mu, x)
    for _ in range(0 if known_after else 20):
        w = mu / (((x - point[:, None, :]) ** 2).sum(axis=2) + spread) ** 0.625
        point = np.einsum("bm,bmd->bd", w / w.sum(axis=1, keepdims=True), x)
    d = x - point[:, None, :]
    p = np.einsum("bm,bmde->bde", mu, p) + np.einsum("bm,bmd,bme->bde", mu, d, d)
    return point, (TAILS_AFTER if known_after and bank.mu.shape[1] > 1 else TAILS) * p


def remembering(bank: Bank) -> Bank:
    """The same with the present position kept as (e', n') beside the state: D 4 -> 6."""
    b, m, _ = bank.x.shape
    pick = np.zeros((6, 4))
    pick[range(4), range(4)] = 1.0
    pick[4, 0] = pick[5, 2] = 1.0
    return Bank(bank.mu, bank.x @ pick.T, pick @ bank.p @ pick.T)
