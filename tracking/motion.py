"""The bank of motions of one moving object in plain scalars: the estimator of the live fold.

The same motions, chances and sums as ``tracking.bank`` has for many tracks in NumPy (a test holds both to each other to
1e-9): parked, slow, steady, lively and airborne Kalman filters run beside each other, how well each foretells the next
measurement says which holds (interacting multiple models: Blom, Bar-Shalom 1988).  What is parked may go off at any
speed, what flies keeps on, what drove on may have stopped: the mixture holds them all, so no gate on a class's top speed
is needed.  For one message at a time this is ten times faster than NumPy.

A bank carries the states of its *awake* modes only, those with a chance of at least ``AWAKE``; the chances of the others
go on as the Markov chain says, and a measurement that none of the awake ones explains (NIS over ``SURPRISE``) wakes all.

A ``State`` is the flat tuple of ``tracking.engine``: e, ve, n, vn and the upper triangle of P.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType

import msgspec
import numpy as np

from tracking import bank as banks
from tracking import engine as scalar_engine
from tracking.bank import ANYTHING, CLASS_WEIGHTS, MODES, NEW_V, RARE, ROUND, ROUND_WEIGHTS, STANDING, STILL, Mode
from tracking.engine import State
from tracking.presets import STATION

#: A mode's state is carried where its chance is at least this.
AWAKE = 2e-3
#: A measurement that no awake mode foretells better than this (NIS, 2 degrees of freedom) wakes every mode.
SURPRISE = 9.0
_LOG_2PI = math.log(2.0 * math.pi)


class Bank(msgspec.Struct, frozen=True, array_like=True):
    """Chances of all M modes (they sum to 1) and the states of the awake ones; a sleeping mode's state is None."""

    mu: tuple[float, ...]
    x: tuple[State | None, ...]


class Motion:
    """The modes of one class with what follows from them.

    Args:
        modes: the motions, most of them with a common ``family``.
        engine: ``tracking.engine`` or ``tracking.engine_filterpy``.
    """

    __slots__ = ("_chances", "brought", "brought_to", "engine", "modes", "start")

    def __init__(self, modes: tuple[Mode, ...], engine: ModuleType = scalar_engine):
        self.modes, self.engine = modes, engine
        total = sum(mode.weight for mode in modes)
        self.start = tuple(mode.weight / total for mode in modes)
        self.brought = banks.kicks(modes)
        self.brought_to = np.array(self.brought).T
        self._chances: dict[float, np.ndarray] = {}

    def chances(self, dt_s: float) -> np.ndarray:
        """(M, M): row j holds the chances of going to mode j within dt_s from each mode."""
        mantissa, exponent = math.frexp(dt_s)
        key = math.ldexp(round(mantissa * 128.0) / 128.0, exponent)
        found = self._chances.get(key)
        if found is None:
            if len(self._chances) > 4096:
                self._chances.clear()
            found = self._chances[key] = np.ascontiguousarray(banks.transitions(np.array([key]), self.modes)[0].T)
        return found


@functools.cache
def motion_of(klass: str) -> Motion:
    """The motion of a class; of an unknown one, that of anything; of what stands where it is, none."""
    if klass == STATION:
        return Motion(STANDING)
    weights = CLASS_WEIGHTS.get(klass)
    if weights is None:
        return Motion((ROUND, *MODES))
    weighed = zip((ROUND, *MODES), (ROUND_WEIGHTS.get(klass, 1.0), *weights), strict=True)
    return Motion(tuple(msgspec.structs.replace(m, weight=m.weight * w) for m, w in weighed))


@functools.cache
def any_motion() -> Motion:
    """The motion of a second hypothesis."""
    return Motion(ANYTHING)


@functools.cache
def plain_motion(q: float, tau_s: float, engine: ModuleType) -> Motion:
    """One motion alone: the textbook's Kalman filter, for the reference engine."""
    return Motion((Mode(q, tau_s, 1.0),), engine)


def begun(e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float, motion: Motion, new_v: float = NEW_V) -> Bank:
    """A bank at one measured position, of unknown velocity."""
    out = []
    for mode in motion.modes:
        v = banks.new_velocity(mode, new_v)
        out.append((e_m, 0.0, n_m, 0.0, r_ee, 0.0, r_en, 0.0, v, 0.0, 0.0, r_nn, 0.0, v))
    return Bank(motion.start, tuple(out))


def adopted(x: State, motion: Motion) -> Bank:
    """A bank that goes on from one Gaussian: each mode may be the one that holds."""
    parked = (x[0], 0.0, x[2], 0.0, x[4], 0.0, x[6], 0.0, STILL, 0.0, 0.0, x[11], 0.0, STILL)
    return Bank(motion.start, tuple(parked if mode.parked else x for mode in motion.modes))


def ahead(bank: Bank, dt_s: float, motion: Motion, *, all_awake: bool = False) -> Bank:
    """The bank dt_s later: exchange between the modes, then each one's prediction."""
    if dt_s <= 0.0:
        return bank
    modes, engine = motion.modes, motion.engine
    if len(modes) == 1:
        x = bank.x[0]
        assert x is not None
        return Bank(bank.mu, (_moved_on(x, modes[0], dt_s, engine),))
    table, mu = motion.chances(dt_s), bank.mu
    chance = (table @ np.array(mu)).tolist()
    awake = [(i, x) for i, x in enumerate(bank.x) if x is not None]
    wanted = [j for j, c in enumerate(chance) if c >= AWAKE or all_awake]
    states: list[State | None] = [None] * len(modes)
    if len(awake) == 1:
        i, x = awake[0]
        for j in wanted:
            kick = motion.brought[i][j]
            mixed = (*x[:8], x[8] + kick, *x[9:13], x[13] + kick) if kick else x
            states[j] = _moved_on(mixed, modes[j], dt_s, engine)
    else:
        # moments of the awake modes about the likeliest, so that no digits are lost to the frame's far origin
        m0, m1, m2, m3 = max(awake, key=lambda pair: mu[pair[0]])[1][:4]
        raised = []
        for _, x in awake:
            a, b, c, d = x[0] - m0, x[1] - m1, x[2] - m2, x[3] - m3
            raised.append((
                a, b, c, d, x[4] + a * a, x[5] + a * b, x[6] + a * c, x[7] + a * d, x[8] + b * b, x[9] + b * c, x[10] + b * d,
                x[11] + c * c, x[12] + c * d, x[13] + d * d,
            ))  # fmt: skip
        at = [i for i, _ in awake]
        weights = table[wanted][:, at] * [mu[i] for i in at]
        total = weights.sum(axis=1)
        kicks = ((weights * motion.brought_to[wanted][:, at]).sum(axis=1) / total).tolist()
        rows = (weights @ np.array(raised) / total[:, None]).tolist()
        for j, kick, (e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33) in zip(wanted, kicks, rows, strict=True):
            x = (
                m0 + e, m1 + ve, m2 + n, m3 + vn, p00 - e * e, p01 - e * ve, p02 - e * n, p03 - e * vn,
                p11 - ve * ve + kick, p12 - ve * n, p13 - ve * vn, p22 - n * n, p23 - n * vn, p33 - vn * vn + kick,
            )  # fmt: skip
            states[j] = _moved_on(x, modes[j], dt_s, engine)
    total_chance = sum(chance)
    return Bank(tuple([c / total_chance for c in chance]), tuple(states))


def _moved_on(x: State, mode: Mode, dt_s: float, engine: ModuleType) -> State:
    """One mode's prediction."""
    if mode.walk == 0.0:
        return engine.predict(x, dt_s, mode.q, mode.tau_s)
    walk = mode.walk * dt_s
    return (x[0], 0.0, x[2], 0.0, x[4] + walk, 0.0, x[6], 0.0, STILL, 0.0, 0.0, x[11] + walk, 0.0, STILL)


class Fit(msgspec.Struct, frozen=True, array_like=True):
    """A bank after a measurement, its smallest NIS, and the log density of the measurement under the mixture before it."""

    bank: Bank
    nis: float
    log: float


def updated(bank: Bank, e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float, motion: Motion) -> Fit:
    """The awake modes after a measured position; what sleeps has no say and keeps its chance against them."""
    engine = motion.engine
    return _fitted(bank, engine.innovation, engine.update_position, (e_m, n_m, r_ee, r_en, r_nn))


def updated_velocity(bank: Bank, ve_mps: float, vn_mps: float, r: float, motion: Motion) -> Fit:
    """The awake modes after a measured velocity of variance r (m/s)² per axis."""
    engine = motion.engine
    return _fitted(bank, engine.innovation_velocity, engine.update_velocity, (ve_mps, vn_mps, r))


def _fitted(bank: Bank, innovation: Callable, update: Callable, z: tuple[float, ...]) -> Fit:
    """The awake modes after a measurement z, as an engine's two functions take it."""
    logs, states, least = [], [], math.inf
    for m, x in zip(bank.mu, bank.x, strict=True):
        if x is None:
            states.append(None)
            logs.append(None)
            continue
        nis, det = innovation(x, *z)
        least = min(least, nis)
        logs.append(-0.5 * (nis + math.log(det)) + math.log(max(m, 1e-300)))
        states.append(update(x, *z))
    mu, log = _weighed(bank.mu, logs)
    return Fit(Bank(mu, tuple(states)), least, log - _LOG_2PI)


def _weighed(before: tuple[float, ...], logs: list[float | None]) -> tuple[tuple[float, ...], float]:
    """(chances after, log of the mixture's density without the constant): sleeping modes keep theirs."""
    known = [log for log in logs if log is not None]
    top = max(known)
    parts = [None if log is None else math.exp(log - top) for log in logs]
    total = sum(part for part in parts if part is not None)
    asleep = sum(m for m, log in zip(before, logs, strict=True) if log is None)
    scale = (1.0 - asleep) / total
    mu = tuple([m if part is None else part * scale for m, part in zip(before, parts, strict=True)])
    return mu, top + math.log(total)


def moments(bank: Bank) -> State:
    """One Gaussian of the bank's mixture, about its likely point; modes rarer than ``RARE`` are left out.

    The point is that of ``bank.combined``: the mean would lie between "still parked" and "under way", where it is not.
    """
    awake = [(m, x) for m, x in zip(bank.mu, bank.x, strict=True) if x is not None and m >= RARE]
    if not awake:
        awake = [max(((m, x) for m, x in zip(bank.mu, bank.x, strict=True) if x is not None), key=lambda pair: pair[0])]
    if len(awake) == 1:
        return awake[0][1]
    total = 0.0
    for m, _ in awake:
        total += m
    awake = [(m / total, x) for m, x in awake]
    e = n = ve = vn = 0.0
    least = math.inf
    for m, x in awake:
        e, ve, n, vn = e + m * x[0], ve + m * x[1], n + m * x[2], vn + m * x[3]
        least = min(least, x[4] + x[11])
    # where the modes agree the mean is the point: nothing to search for
    if max([(x[0] - e) ** 2 + (x[2] - n) ** 2 for _, x in awake]) > 1e-2 * least:
        near = 1e-2 * math.sqrt(least)
        for _ in range(20):
            total, se, sn = 0.0, 0.0, 0.0
            for m, x in awake:
                w = m / ((x[0] - e) ** 2 + (x[2] - n) ** 2 + x[4] + x[11]) ** 0.75
                total, se, sn = total + w, se + w * x[0], sn + w * x[2]
            se, sn = se / total, sn / total
            moved = abs(se - e) + abs(sn - n)
            e, n = se, sn
            if moved < near:
                break
    p00 = p01 = p02 = p03 = p11 = p12 = p13 = p22 = p23 = p33 = 0.0
    for m, x in awake:
        a, b, c, d = x[0] - e, x[1] - ve, x[2] - n, x[3] - vn
        p00, p01 = p00 + m * (x[4] + a * a), p01 + m * (x[5] + a * b)
        p02, p03 = p02 + m * (x[6] + a * c), p03 + m * (x[7] + a * d)
        p11, p12, p13 = p11 + m * (x[8] + b * b), p12 + m * (x[9] + b * c), p13 + m * (x[10] + b * d)
        p22, p23, p33 = p22 + m * (x[11] + c * c), p23 + m * (x[12] + c * d), p33 + m * (x[13] + d * d)
    return (e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33)


def shifted(bank: Bank, e_m: float, n_m: float, c: float, s: float) -> Bank:
    """The bank in the frame of a new anchor: moved so that (e_m, n_m) is the origin, then turned."""
    return Bank(bank.mu, tuple(
        None if x is None else scalar_engine.rotated((x[0] - e_m, x[1], x[2] - n_m, *x[3:]), c, s) for x in bank.x
    ))
