"""The bank of motions of one moving object, a message at a time: the estimator of the live fold.

The same motions, chances and sums as ``tracking.bank`` has for many tracks in NumPy (a test holds both to each other to
1e-9): parked, slow, steady, lively and airborne Kalman filters run beside each other, how well each foretells the next
measurement says which holds (interacting multiple models: Blom, Bar-Shalom 1988).  What is parked may go off at any
speed, what flies keeps on, what drove on may have stopped: the mixture holds them all, so no gate on a class's top speed
is needed.  The sums of one message are one call of ``tracking.kernel``.

A ``State`` is the flat tuple of ``tracking.engine``: e, ve, n, vn and the upper triangle of P.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType

import msgspec
import numpy as np

from tracking import bank as banks
from tracking import engine as scalar_engine
from tracking.bank import ANYTHING, CLASS_WEIGHTS, HARD, MODES, NEW_V, ROUND, ROUND_WEIGHTS, STANDING, STILL, Mode
from tracking.engine import State
from tracking.kernel import AHEAD, ASLEEP, AWAKE, LANES, POSITION, VELOCITY, WIDTH, compiled
from tracking.presets import STATION

_LOG_2PI = math.log(2.0 * math.pi)
#: Not many more times than this are kept in ``Motion.tables`` (2 kB each).
TABLES = 256


class Bank(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Chance and state of each motion: 15 numbers each, the chance and a ``State``, as the machine's own floats in a row."""

    data: bytes

    @property
    def rows(self) -> list[list[float]]:
        """The 15 numbers of each motion."""
        return np.frombuffer(self.data).reshape(-1, WIDTH).tolist()

    @property
    def mu(self) -> tuple[float, ...]:
        """The chances; they sum to 1."""
        return tuple([row[0] for row in self.rows])

    @property
    def x(self) -> tuple[State | None, ...]:
        """The states; of a sleeping motion None."""
        return tuple([tuple(row[1:]) if row[5] >= 0.0 else None for row in self.rows])

    def __len__(self) -> int:
        return len(self.data) // (8 * WIDTH)


def bank_of(mu: tuple[float, ...], x: tuple[State | None, ...]) -> Bank:
    """A bank of chances and states; of a sleeping motion None."""
    return Bank(np.array([(m, *(_SLEEPING if state is None else state)) for m, state in zip(mu, x, strict=True)]).tobytes())


_SLEEPING: State = (0.0, 0.0, 0.0, 0.0, ASLEEP, *[0.0] * 9)


class Motion:
    """The modes of one class with what follows from them.

    Args:
        modes: the motions, most of them with a common ``family``; size: bytes of a bank of them.
        engine: ``tracking.engine`` or ``tracking.engine_filterpy`` of a single motion that is gone by it; None: the kernel.
    """

    __slots__ = (
        "asked", "awake_from", "begin", "brought", "engine", "follow", "follow_all", "kinds", "kinds_of", "known", "modes",
        "show", "show_all", "size", "squeeze", "start", "step", "tables",
    )  # fmt: skip

    def __init__(self, modes: tuple[Mode, ...], engine: ModuleType | None = None):
        assert len(modes) <= LANES, "as the kernel sums them"
        self.modes, self.engine, self.awake_from = modes, engine, AWAKE
        self.step, self.begin, self.show, self.show_all, self.follow, self.follow_all, self.squeeze, _ = compiled()
        total = sum(mode.weight for mode in modes)
        self.start = tuple(mode.weight / total for mode in modes)
        self.size = 8 * WIDTH * len(modes)
        self.brought = _kept(np.array(banks.kicks(modes)))
        #: As ``kernel.step`` has it: behind what a motion is it keeps what it last asked of it.
        self.kinds = np.array([(mode.q, mode.tau_s, mode.walk, math.nan, *[0.0] * 5) for mode in modes])
        #: ``chances`` of each time that was asked; to look at first, without a call.
        self.asked: dict[float, np.ndarray] = {}
        #: ``chances`` of so many times in a row, and of each time which of them it is (``which``, without a call).
        self.tables = np.empty((16, len(modes), len(modes)))
        #: ``kinds`` of each of them: what was asked of it last is that time's.
        self.kinds_of = np.empty((16, *self.kinds.shape))
        self.known: dict[float, int] = {}

    def chances(self, dt_s: float) -> np.ndarray:
        """(M, M): row i holds the chances of going from mode i to each mode within dt_s."""
        found = self.asked.get(dt_s)
        if found is not None:
            return found
        mantissa, exponent = math.frexp(dt_s)
        key = math.ldexp(round(mantissa * 128.0) / 128.0, exponent)
        if len(self.asked) > 8192:
            self.asked.clear()
        found = self.asked.get(key)
        if found is None:
            found = self.asked[key] = _kept(banks.transitions(np.array([key]), self.modes)[0])
        # the exact time finds it too: most devices report at an even pace
        self.asked[dt_s] = found
        return found

    def which(self, dt_s: float) -> int:
        """Which of ``tables`` is ``chances`` of a time, until ``tidied``; ``tables`` and ``kinds_of`` may be others then."""
        at = self.known.get(dt_s)
        if at is None:
            at = self.known[dt_s] = len(self.known)
            if at == len(self.tables):
                self.tables = np.concatenate((self.tables, np.empty_like(self.tables)))
                self.kinds_of = np.concatenate((self.kinds_of, np.empty_like(self.kinds_of)))
            self.tables[at], self.kinds_of[at] = self.chances(dt_s), self.kinds
        return at

    def tidied(self) -> None:
        """Whoever asks ``which`` begins: where very many times were asked before, they are forgotten."""
        if len(self.known) > TABLES:
            self.known.clear()


def _kept(table: np.ndarray) -> np.ndarray:
    """An array as the kernel takes it: in a row and never written again."""
    out = np.ascontiguousarray(table, np.float64)
    out.setflags(write=False)
    return out


@functools.cache
def motion_of(klass: str) -> Motion:
    """The motion of a class; of an unknown one, that of anything; of what stands where it is, none."""
    if klass == STATION:
        return Motion(STANDING)
    weights = CLASS_WEIGHTS.get(klass)
    if weights is None:
        return Motion((ROUND, HARD, *MODES))
    weighed = zip((ROUND, HARD, *MODES), (ROUND_WEIGHTS.get(klass, 1.0), 1.0, *weights), strict=True)
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
    rows = resting(motion, new_v).reshape(-1, WIDTH).copy()
    rows[:, 1], rows[:, 3], rows[:, 5], rows[:, 7], rows[:, 12] = e_m, n_m, r_ee, r_en, r_nn
    return Bank(rows.tobytes())


@functools.lru_cache(maxsize=64)
def resting(motion: Motion, new_v: float) -> np.ndarray:
    """The numbers of a bank that begins, without its position."""
    rows = np.zeros((len(motion.modes), WIDTH))
    rows[:, 0] = motion.start
    rows[:, 9] = rows[:, 14] = [banks.new_velocity(mode, new_v) for mode in motion.modes]
    return _kept(rows.ravel())


def adopted(x: State, motion: Motion) -> Bank:
    """A bank that goes on from one Gaussian: each mode may be the one that holds."""
    parked = (x[0], 0.0, x[2], 0.0, x[4], 0.0, x[6], 0.0, STILL, 0.0, 0.0, x[11], 0.0, STILL)
    return bank_of(motion.start, tuple(parked if mode.parked else x for mode in motion.modes))


class Fit(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A bank after a time and a measurement.

    Args:
        bank: the motions; x: their one Gaussian, about its likely point.
        nis: the smallest among the awake motions; 0 where no position was measured.
        log: the log density of the measured position under the mixture before it.
        nis_v: that of the velocity.
    """

    bank: Bank
    x: State
    nis: float
    log: float
    nis_v: float


#: What a measurement says: e, n, r_ee, r_en, r_nn; and of a velocity: ve, vn, its variance per axis, the largest NIS believed.
Position = tuple[float, float, float, float, float]
Velocity = tuple[float, float, float, float]


def stepped(bank: Bank, dt_s: float, motion: Motion, z: Position | None = None, v: Velocity | None = None) -> Fit:
    """The bank dt_s later (exchange between the modes, then each one's prediction), after a measured position and velocity."""
    if motion.engine is not None:
        return _alone(bank, dt_s, motion, motion.engine, z, v)
    what = (AHEAD if dt_s > 0.0 else 0) | (POSITION if z is not None else 0) | (VELOCITY if v is not None else 0)
    table = motion.chances(dt_s) if dt_s > 0.0 else motion.brought
    data, (z0, z1, r00, r01, r11), (v0, v1, r_v, gate) = bank.data, z or _NOWHERE, v or _STILL
    out = motion.step(
        np.frombuffer(data), what, dt_s, motion.awake_from, table, motion.brought, motion.kinds,
        z0, z1, r00, r01, r11, v0, v1, r_v, gate,
    )  # fmt: skip
    at = len(data) // 8
    tail = out[at:].tolist()
    return Fit(Bank(out[:at].tobytes()), tuple(tail[:14]), tail[14], tail[15], tail[16])


_NOWHERE, _STILL = (0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)


def _alone(bank: Bank, dt_s: float, motion: Motion, engine: ModuleType, z: Position | None, v: Velocity | None) -> Fit:
    """``stepped`` of one motion by an engine."""
    x, mode, nis, log, nis_v = bank.x[0], motion.modes[0], 0.0, 0.0, 0.0
    assert x is not None
    if dt_s > 0.0:
        x = engine.predict(x, dt_s, mode.q, mode.tau_s)
    if z is not None:
        nis, det = engine.innovation(x, *z)
        log = -0.5 * (nis + math.log(det)) - _LOG_2PI
        x = engine.update_position(x, *z)
    if v is not None:
        nis_v, _ = engine.innovation_velocity(x, *v[:3])
        x = engine.update_velocity(x, *v[:3]) if nis_v <= v[3] else x
    return Fit(bank_of((1.0,), (x,)), x, nis, log, nis_v)


def moments(bank: Bank, dt_s: float, motion: Motion) -> State:
    """One Gaussian of the bank's mixture dt_s later, about its likely point; modes rarer than ``bank.RARE`` are left out.

    The point is that of ``bank.combined``: the mean would lie between "still parked" and "under way", where it is not.
    """
    return stepped(bank, dt_s, motion).x


def shifted(bank: Bank, e_m: float, n_m: float, c: float, s: float) -> Bank:
    """The bank in the frame of a new anchor: moved so that (e_m, n_m) is the origin, then turned."""
    return bank_of(
        bank.mu,
        tuple(None if x is None else scalar_engine.rotated((x[0] - e_m, x[1], x[2] - n_m, *x[3:]), c, s) for x in bank.x),
    )
