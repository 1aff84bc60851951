"""The sums of one step of a bank of motions, compiled: exchange, prediction, position, velocity, and the Gaussian of it all.

``step`` does all that one message needs in one call: fifteen motions in 7 µs, where Python's own floats need 200.
``stepper`` compiles it with Numba when it is first asked for (some seconds, once: the machine code is kept beside the source
or, where that may not be written, in the user's cache) or fetches what was kept (half a second, Numba's import included).
Where there is no Numba the same source runs interpreted: the same digits, some hundred times slower.  No fast-math: sums stay
in the order in which they are written.

A bank of M motions is one array of 15 M numbers: of each motion its chance, then the 14 of ``tracking.engine.State``
(e, ve, n, vn and the upper triangle of P).  Motions with a chance under ``AWAKE`` sleep (the first number of P is ``ASLEEP``):
their chance goes on as the Markov chain says, measurements change nothing of it, and nothing begins from their state.  So what
is rare keeps its chance however long nothing shows it: who stood for a day may go off.  A measurement that none of the
others foretells wakes all.  Sources as in ``tracking.bank`` and ``tracking.engine``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import FunctionType

import numpy as np

#: Numbers of one motion in a bank; of what ``step`` adds behind it: 14 of the Gaussian, NIS, log density, NIS of the velocity.
WIDTH, TAIL = 15, 17
#: What ``step`` is to do, added up.
AHEAD, POSITION, VELOCITY = 1, 2, 4
#: A motion's state is carried where its chance is at least this.
AWAKE = 2e-3
#: In the place of a sleeping motion's variance.
ASLEEP = -1.0
#: A measurement that no awake motion foretells better than this (NIS, 2 degrees of freedom) wakes every motion.
SURPRISE = 9.0
#: The residual velocity of a parked mode, (m/s)², and the chance below which a mode does not widen the ellipse (``bank``).
STILL, RARE = 1e-4, 4e-3
#: Where the elements of P (4, 4) stand behind a motion's chance.
_P = np.array([[5, 6, 7, 8], [6, 9, 10, 11], [7, 10, 12, 13], [8, 11, 13, 14]])
_LOG_2PI = math.log(2.0 * math.pi)


def _coefficients(dt_s, q, tau_s):
    """As ``engine.coefficients``; a copy, for what Numba keeps is made anew when this file changes, and no other."""
    if tau_s == 0.0:
        return 1.0, dt_s, q * dt_s * dt_s * dt_s / 3.0, q * dt_s * dt_s / 2.0, q * dt_s
    u = dt_s / tau_s
    d = -math.expm1(-u)
    if u < 0.02:
        q11 = q * dt_s * dt_s * dt_s * (1.0 / 3.0 - u * (0.25 - u * (7.0 / 60.0 - u / 24.0)))
    else:
        q11 = q * tau_s * tau_s * tau_s * (u - 2.0 * d - 0.5 * math.expm1(-2.0 * u))
    return 1.0 - d, tau_s * d, q11, q * tau_s * tau_s * d * d / 2.0, -q * tau_s * math.expm1(-2.0 * u) / 2.0


def _ahead(bank, out, dt_s, awake_from, table, brought, modes):
    """Exchange between the motions and each one's prediction, from bank into out."""
    m = modes.shape[0]
    likely = 0
    for i in range(m):
        if bank[WIDTH * i + 5] >= 0.0 and (bank[WIDTH * likely + 5] < 0.0 or bank[WIDTH * i] > bank[WIDTH * likely]):
            likely = i
    # moments about the likeliest, so that no digits are lost to the frame's far origin
    middle = np.empty(4)
    for a in range(4):
        middle[a] = bank[WIDTH * likely + 1 + a]
    raised = np.empty((m, 14))
    for i in range(m):
        k = WIDTH * i
        n = 4
        for a in range(4):
            raised[i, a] = bank[k + 1 + a] - middle[a]
        for a in range(4):
            for b in range(a, 4):
                raised[i, n] = bank[k + 1 + n] + raised[i, a] * raised[i, b]
                n += 1
    total = 0.0
    s = np.empty(14)
    p = np.empty((4, 4))
    for j in range(m):
        chance = 0.0
        share = 0.0
        kick = 0.0
        for n in range(14):
            s[n] = 0.0
        for i in range(m):
            w = table[j, i] * bank[WIDTH * i]
            chance += w
            if bank[WIDTH * i + 5] >= 0.0:
                share += w
                kick += w * brought[j, i]
                for n in range(14):
                    s[n] += w * raised[i, n]
        total += chance
        share = max(share, 1e-300)
        k = WIDTH * j
        out[k] = chance
        if chance < awake_from:
            for n in range(1, WIDTH):
                out[k + n] = 0.0
            out[k + 5] = ASLEEP
            continue
        n = 4
        for a in range(4):
            for b in range(a, 4):
                p[a, b] = p[b, a] = s[n] / share - s[a] / share * (s[b] / share)
                n += 1
        p[1, 1] += kick / share
        p[3, 3] += kick / share
        for a in range(4):
            out[k + 1 + a] = middle[a] + s[a] / share
        if modes[j, 2] > 0.0:
            walk = modes[j, 2] * dt_s
            out[k + 2] = out[k + 4] = 0.0
            for n in range(5, 15):
                out[k + n] = 0.0
            out[k + 5] = p[0, 0] + walk
            out[k + 7] = p[0, 2]
            out[k + 12] = p[2, 2] + walk
            out[k + 9] = out[k + 14] = STILL
        else:
            f, g, q11, q12, q22 = _coefficients(dt_s, modes[j, 0], modes[j, 1])
            for a in (0, 2):
                out[k + 1 + a] += g * out[k + 2 + a]
                out[k + 2 + a] *= f
            # F P Fᵀ: e' = e + g ve, ve' = f ve in rows, then in columns
            for b in range(4):
                for a in (0, 2):
                    p[a, b] += g * p[a + 1, b]
                    p[a + 1, b] *= f
            for a in range(4):
                for b in (0, 2):
                    p[a, b] += g * p[a, b + 1]
                    p[a, b + 1] *= f
            for a in (0, 2):
                p[a, a] += q11
                p[a, a + 1] += q12
                p[a + 1, a + 1] += q22
            n = 5
            for a in range(4):
                for b in range(a, 4):
                    out[k + n] = p[a, b]
                    n += 1
    for j in range(m):
        out[WIDTH * j] /= total


def _least(out, m, h, z0, z1, r00, r01, r11):
    """The smallest NIS of a measurement among the awake motions.  h: 0 of a position, 1 of a velocity."""
    g = h + 2
    least = math.inf
    for j in range(m):
        k = WIDTH * j
        if out[k + 5] >= 0.0:
            s00 = out[k + _P[h, h]] + r00
            s01 = out[k + _P[h, g]] + r01
            s11 = out[k + _P[g, g]] + r11
            y0 = z0 - out[k + 1 + h]
            y1 = z1 - out[k + 1 + g]
            least = min(least, (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / (s00 * s11 - s01 * s01))
    return least


def _measured(out, m, h, z0, z1, r00, r01, r11):
    """Every awake motion after a measurement, in place (Joseph's form), and their chances against each other.

    Returns the log density of the measurement under the mixture before it.
    """
    g = h + 2
    logs = np.empty(m)
    top = -math.inf
    p = np.empty((4, 4))
    gain = np.empty((4, 2))
    left = np.empty((4, 4))
    left_over = 1.0
    for j in range(m):
        k = WIDTH * j
        if out[k + 5] < 0.0:
            left_over -= out[k]
            continue
        for a in range(4):
            for b in range(4):
                p[a, b] = out[k + _P[a, b]]
        s00 = p[h, h] + r00
        s01 = p[h, g] + r01
        s11 = p[g, g] + r11
        y0 = z0 - out[k + 1 + h]
        y1 = z1 - out[k + 1 + g]
        det = s00 * s11 - s01 * s01
        nis = (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / det
        logs[j] = math.log(max(out[k], 1e-300)) - 0.5 * (nis + math.log(det))
        top = max(top, logs[j])
        # K = P Hᵀ S⁻¹, then M = (I - K H) P
        for a in range(4):
            gain[a, 0] = (p[a, h] * s11 - p[a, g] * s01) / det
            gain[a, 1] = (p[a, g] * s00 - p[a, h] * s01) / det
            out[k + 1 + a] += gain[a, 0] * y0 + gain[a, 1] * y1
            for b in range(4):
                left[a, b] = p[a, b] - gain[a, 0] * p[h, b] - gain[a, 1] * p[g, b]
        # M (I - K H)ᵀ + K R Kᵀ
        n = 5
        for a in range(4):
            for b in range(a, 4):
                noise = (gain[a, 0] * r00 + gain[a, 1] * r01) * gain[b, 0] + (gain[a, 0] * r01 + gain[a, 1] * r11) * gain[b, 1]
                out[k + n] = left[a, b] - left[a, h] * gain[b, 0] - left[a, g] * gain[b, 1] + noise
                n += 1
    total = 0.0
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            total += math.exp(logs[j] - top)
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            out[WIDTH * j] = math.exp(logs[j] - top) * left_over / total
    return top + math.log(total) - _LOG_2PI


def _gaussian(out, m, to):
    """One Gaussian of the mixture about its likely point, into 14 numbers of out from ``to`` on (``motion.moments``)."""
    likely = 0.0
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            likely = max(likely, out[WIDTH * j])
    least_chance = min(RARE, likely)
    for n in range(14):
        out[to + n] = 0.0
    total = 0.0
    least = math.inf
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            total += out[k]
            least = min(least, out[k + 5] + out[k + 12])
            for a in range(4):
                out[to + a] += out[k] * out[k + 1 + a]
    for a in range(4):
        out[to + a] /= total
    e = out[to]
    n_ = out[to + 2]
    far = 0.0
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            far = max(far, (out[k + 1] - e) ** 2 + (out[k + 3] - n_) ** 2)
    # where the modes agree the mean is the point: nothing to search for
    if far > 1e-2 * least:
        near = 1e-2 * math.sqrt(least)
        for _ in range(20):
            weight = 0.0
            se = 0.0
            sn = 0.0
            for j in range(m):
                k = WIDTH * j
                if out[k] >= least_chance and out[k + 5] >= 0.0:
                    d = (out[k + 1] - e) ** 2 + (out[k + 3] - n_) ** 2 + out[k + 5] + out[k + 12]
                    w = out[k] / math.sqrt(d * math.sqrt(d))
                    weight += w
                    se += w * out[k + 1]
                    sn += w * out[k + 3]
            moved = abs(se / weight - e) + abs(sn / weight - n_)
            e = se / weight
            n_ = sn / weight
            if moved < near:
                break
        out[to] = e
        out[to + 2] = n_
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            w = out[k] / total
            n = 4
            for a in range(4):
                for b in range(a, 4):
                    out[to + n] += w * (out[k + 1 + n] + (out[k + 1 + a] - out[to + a]) * (out[k + 1 + b] - out[to + b]))
                    n += 1


def step(bank, what, dt_s, awake_from, table, brought, modes, z0, z1, r00, r01, r11, v0, v1, r_v, gate):
    """A bank after what is asked of it, in one array: the bank, its Gaussian (14), NIS and log density of what was measured,
    NIS of the velocity.

    Args:
        bank: 15 M numbers.
        awake_from: ``AWAKE``.
        what: AHEAD by dt_s, then a measured POSITION (z0, z1) with R, then a VELOCITY (v0, v1) of variance r_v per axis that
            is left out where its NIS is over ``gate``.
        table: (M, M), row j the chances of going to j from each; brought: likewise, the variance of the velocity, (m/s)² per
            axis, that comes with it; modes: (M, 3), q, tau_s and walk.
    """
    m = modes.shape[0]
    at = WIDTH * m
    out = np.empty(at + TAIL)
    if what & AHEAD:
        _ahead(bank, out, dt_s, awake_from, table, brought, modes)
    else:
        for k in range(at):
            out[k] = bank[k]
    for n in range(3):
        out[at + 14 + n] = 0.0
    for h in range(2):  # one call in the source: Numba compiles what it calls for each
        if what & (POSITION, VELOCITY)[h]:
            y0, y1, s00, s01, s11 = (z0, z1, r00, r01, r11) if h == 0 else (v0, v1, r_v, 0.0, r_v)
            nis = _least(out, m, h, y0, y1, s00, s01, s11)
            if h == 0 and nis > SURPRISE and what & AHEAD:
                _ahead(bank, out, dt_s, 0.0, table, brought, modes)
                nis = _least(out, m, h, y0, y1, s00, s01, s11)
            log = _measured(out, m, h, y0, y1, s00, s01, s11) if h == 0 or nis <= gate else 0.0
            if h == 0:
                out[at + 14] = nis
                out[at + 15] = log
            else:
                out[at + 16] = nis
    _gaussian(out, m, at)
    return out


#: What ``step`` calls, in the order in which one needs the other.
_INNER = ("_coefficients", "_ahead", "_least", "_measured", "_gaussian")


@functools.cache
def stepper() -> Callable[..., np.ndarray]:
    """``step`` compiled; as it stands here where there is no Numba."""
    try:
        import numba
    except ImportError:  # no wheel for this machine or Python
        return step
    flat = numba.types.Array(numba.float64, 1, "C", readonly=True)
    table = numba.types.Array(numba.float64, 2, "C", readonly=True)
    signature = numba.float64[::1](flat, numba.int64, numba.float64, numba.float64, table, table, table, *[numba.float64] * 9)
    # functions of their own, which find each other compiled: the ones of this module stay as they are written
    for keep in (True, False):
        names = dict(globals())
        flags = {"cache": keep, "error_model": "numpy", "no_cfunc_wrapper": True}
        try:
            for name in _INNER:
                code = FunctionType(globals()[name].__code__, names, name)
                names[name] = numba.njit(no_cpython_wrapper=True, **flags)(code)
            return numba.njit(signature, **flags)(FunctionType(step.__code__, names, "step"))
        except RuntimeError:  # no folder that may be written
            if not keep:
                raise
    raise AssertionError
