"""The sums of a look over all its contacts, compiled: exchange and prediction, moments, the gate, updates.

The same as ``tracking.bank`` has in NumPy for many tracks at once, written out for one time step, one kind of motions and
symmetric P: a look at a thousand contacts took 30 ms of small arrays' overhead and takes 3.  A row's digits follow from that
row alone, whoever else is in the batch.  ``tracking.bank`` is the reference, equal to 1e-9 (a test).

A crowd of N contacts and M motions is mu (N, M), x (N, M, 4), p (N, M, 4, 4) as in ``bank.Bank``.  Compiled and kept as
``tracking.kernel`` is; without Numba the same source runs interpreted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tracking.kernel import machine_code

#: Numbers of a possible pair: NIS, worth, the sighting (e, n) in the contact's frame, its R there (ee, en, nn).
PAIR = 7
#: No contact is looked for further from its place than this, m.
REACH_MOST_M = 1e7
_LOG_2PI = math.log(2.0 * math.pi)
#: The upper triangle of P: rows and columns of its ten numbers.
_ROW, _COLUMN = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3), (0, 1, 2, 3, 1, 2, 3, 2, 3, 3)


def ahead(mu, x, p, table, brought, steps, mu_to, x_to, p_to):
    """Every contact later, into the last three: ``bank.mixed`` and ``bank.propagated``.

    Args:
        table: the chances (M, M) of going from motion i to j; brought: ``bank.kicks``.
        steps: of each motion a, s, q11, q12, q22 of ``engine.coefficients``.
    """
    count, m = mu.shape
    w = np.empty((m, m))
    d = np.empty((m, 4))
    second = np.empty((m, 10))
    e = np.empty(4)
    q = np.empty(10)
    for b in range(count):
        total = 0.0
        for j in range(m):
            sum_ = 0.0
            for i in range(m):
                w[j, i] = mu[b, i] * table[i, j]
                sum_ += w[j, i]
            sum_ = max(sum_, 1e-300)
            for i in range(m):
                w[j, i] /= sum_
            mu_to[b, j] = sum_
            total += sum_
        for j in range(m):
            mu_to[b, j] /= total
        # second moments about the middle of the motions, not about the frame's far origin: no digits are lost
        for k in range(4):
            middle = 0.0
            for i in range(m):
                middle += x[b, i, k]
            middle /= m
            e[k] = middle
            for i in range(m):
                d[i, k] = x[b, i, k] - middle
        for i in range(m):
            for k in range(10):
                r, c = _ROW[k], _COLUMN[k]
                second[i, k] = p[b, i, r, c] + d[i, r] * d[i, c]
        m0, m1, m2, m3 = e[0], e[1], e[2], e[3]
        for j in range(m):
            for k in range(4):
                e[k] = 0.0
                for i in range(m):
                    e[k] += w[j, i] * d[i, k]
            for k in range(10):
                q[k] = 0.0
                for i in range(m):
                    q[k] += w[j, i] * second[i, k]
                q[k] -= e[_ROW[k]] * e[_COLUMN[k]]
            kick = 0.0
            for i in range(m):
                kick += w[j, i] * brought[i, j]
            p00, p01, p02, p03 = q[0], q[1], q[2], q[3]
            p11, p12, p13 = q[4] + kick, q[5], q[6]
            p22, p23, p33 = q[7], q[8], q[9] + kick
            a, s = steps[j, 0], steps[j, 1]
            x_to[b, j, 0] = e[0] + m0 + s * (e[1] + m1)
            x_to[b, j, 1] = a * (e[1] + m1)
            x_to[b, j, 2] = e[2] + m2 + s * (e[3] + m3)
            x_to[b, j, 3] = a * (e[3] + m3)
            to = p_to[b, j]
            to[0, 0] = p00 + 2.0 * s * p01 + s * s * p11 + steps[j, 2]
            to[2, 2] = p22 + 2.0 * s * p23 + s * s * p33 + steps[j, 2]
            to[0, 1] = to[1, 0] = a * (p01 + s * p11) + steps[j, 3]
            to[2, 3] = to[3, 2] = a * (p23 + s * p33) + steps[j, 3]
            to[1, 1] = a * a * p11 + steps[j, 4]
            to[3, 3] = a * a * p33 + steps[j, 4]
            to[0, 2] = to[2, 0] = p02 + s * (p03 + p12) + s * s * p13
            to[0, 3] = to[3, 0] = a * (p03 + s * p13)
            to[1, 2] = to[2, 1] = a * (p12 + s * p13)
            to[1, 3] = to[3, 1] = a * a * p13


def moments(mu, x, p, mean, cov):
    """Mean (N, 4) and covariance (N, 4, 4) of each contact, into the last two."""
    count, m = mu.shape
    for b in range(count):
        for k in range(4):
            mean[b, k] = 0.0
            for i in range(m):
                mean[b, k] += mu[b, i] * x[b, i, k]
        for k in range(10):
            r, c = _ROW[k], _COLUMN[k]
            sum_ = 0.0
            for i in range(m):
                sum_ += mu[b, i] * (p[b, i, r, c] + (x[b, i, r] - mean[b, r]) * (x[b, i, c] - mean[b, c]))
            cov[b, r, c] = cov[b, c, r] = sum_


def updated(mu, x, p, rows, seen):
    """Contacts, of these rows, after a sighting each (``PAIR`` numbers): in place, Joseph's form; as ``bank.updated``."""
    m = mu.shape[1]
    log = np.empty(m)
    g = np.empty((4, 2))
    ap = np.empty((4, 4))
    for n in range(rows.shape[0]):
        b = rows[n]
        r00, r01, r11 = seen[n, 4], seen[n, 5], seen[n, 6]
        top = -math.inf
        for j in range(m):
            q, y = p[b, j], x[b, j]
            y0, y1 = seen[n, 2] - y[0], seen[n, 3] - y[2]
            s00, s01, s11 = q[0, 0] + r00, q[0, 2] + r01, q[2, 2] + r11
            det = s00 * s11 - s01 * s01
            i00, i01, i11 = s11 / det, -s01 / det, s00 / det
            nis = i00 * y0 * y0 + 2.0 * i01 * y0 * y1 + i11 * y1 * y1
            log[j] = math.log(max(mu[b, j], 1e-300)) - 0.5 * (nis + math.log(det))
            top = max(top, log[j])
            for k in range(4):
                g[k, 0] = q[k, 0] * i00 + q[k, 2] * i01
                g[k, 1] = q[k, 0] * i01 + q[k, 2] * i11
            for k in range(4):
                for c in range(4):
                    ap[k, c] = q[k, c] - g[k, 0] * q[0, c] - g[k, 1] * q[2, c]
            for k in range(4):
                y[k] += g[k, 0] * y0 + g[k, 1] * y1
                for c in range(k, 4):
                    kr = (g[k, 0] * r00 + g[k, 1] * r01) * g[c, 0] + (g[k, 0] * r01 + g[k, 1] * r11) * g[c, 1]
                    q[k, c] = q[c, k] = ap[k, c] - ap[k, 0] * g[c, 0] - ap[k, 2] * g[c, 1] + kr
        total = 0.0
        for j in range(m):
            log[j] = math.exp(log[j] - top)
            total += log[j]
        for j in range(m):
            mu[b, j] = log[j] / total


def gated(mu, x, p, mean, anchor, axes, xyz, spots, spot_axes, spot_r, order, base, gate, which, numbers):
    """The possible pairs of contact and sighting, by contact, then by sighting: how many; as many as there is room for stand in
    ``which`` (contact, sighting) and ``numbers`` (``PAIR``).

    Args:
        anchor, axes, xyz: of each contact, Earth-centred: its anchor, east and north and up there, and where it is.
        spots, spot_axes, spot_r: of the sightings the places, axes and R, Earth-centred; order: by their third number.
        base: what a sighting's log density is worth less than a pair's.
    """
    count, m = mu.shape
    sightings, room, found = spots.shape[0], which.shape[0], 0
    near = np.empty(sightings, np.int64)
    widest = 0.0
    for k in range(sightings):
        widest = max(widest, spot_r[k, 0, 0] + spot_r[k, 1, 1])
    for b in range(count):
        spread, apart = 0.0, 0.0
        for j in range(m):
            spread = max(spread, p[b, j, 0, 0] + p[b, j, 2, 2])
            e, n = x[b, j, 0] - mean[b, 0], x[b, j, 2] - mean[b, 2]
            apart = max(apart, e * e + n * n)
        # a motion may lie away from the mean: its own gate is what counts
        reach = min(math.sqrt(gate * (spread + widest)) + math.sqrt(apart) + 1.0, REACH_MOST_M)
        low, high = 0, sightings
        while low < high:
            half = (low + high) // 2
            if spots[order[half], 2] < xyz[b, 2] - reach:
                low = half + 1
            else:
                high = half
        some = 0
        while low < sightings and spots[order[low], 2] <= xyz[b, 2] + reach:
            k = order[low]
            low += 1
            dx, dy, dz = spots[k, 0] - xyz[b, 0], spots[k, 1] - xyz[b, 1], spots[k, 2] - xyz[b, 2]
            if dx * dx + dy * dy + dz * dz <= reach * reach:
                at = some
                while at > 0 and near[at - 1] > k:
                    near[at] = near[at - 1]
                    at -= 1
                near[at] = k
                some += 1
        for at in range(some):
            k = near[at]
            dx, dy, dz = spots[k, 0] - anchor[b, 0], spots[k, 1] - anchor[b, 1], spots[k, 2] - anchor[b, 2]
            ours, theirs = axes[b], spot_axes[k]
            z0 = dx * ours[0, 0] + dy * ours[0, 1] + dz * ours[0, 2]
            z1 = dx * ours[1, 0] + dy * ours[1, 1] + dz * ours[1, 2]
            # R in the contact's axes (``anchor.turn``)
            ee = ours[0, 0] * theirs[0, 0] + ours[0, 1] * theirs[0, 1] + ours[0, 2] * theirs[0, 2]
            en = ours[0, 0] * theirs[1, 0] + ours[0, 1] * theirs[1, 1] + ours[0, 2] * theirs[1, 2]
            ne = ours[1, 0] * theirs[0, 0] + ours[1, 1] * theirs[0, 1] + ours[1, 2] * theirs[0, 2]
            nn = ours[1, 0] * theirs[1, 0] + ours[1, 1] * theirs[1, 1] + ours[1, 2] * theirs[1, 2]
            c, s = ee + nn, en - ne
            size = math.sqrt(c * c + s * s)
            if size > 0.0:
                c, s = c / size, s / size
            else:
                c, s = 1.0, 0.0
            r = spot_r[k]
            a00, a01 = c * r[0, 0] + s * r[1, 0], c * r[0, 1] + s * r[1, 1]
            a10, a11 = -s * r[0, 0] + c * r[1, 0], -s * r[0, 1] + c * r[1, 1]
            r00, r01, r11 = a00 * c + a01 * s, a01 * c - a00 * s, a11 * c - a10 * s
            least, top, sum_ = math.inf, -math.inf, 0.0
            for j in range(m):
                y0, y1 = z0 - x[b, j, 0], z1 - x[b, j, 2]
                s00, s01, s11 = p[b, j, 0, 0] + r00, p[b, j, 0, 2] + r01, p[b, j, 2, 2] + r11
                det = s00 * s11 - s01 * s01
                nis = (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / det
                least = min(least, nis)
                log = math.log(max(mu[b, j], 1e-300)) - 0.5 * (nis + math.log(det)) - _LOG_2PI
                if log > top:  # the sum is of exp(log - top)
                    sum_ = sum_ * math.exp(top - log) + 1.0
                    top = log
                else:
                    sum_ += math.exp(log - top)
            worth = top + math.log(sum_) + base
            if least <= gate and worth > 0.0:
                if found < room:
                    which[found, 0] = b
                    which[found, 1] = k
                    told = numbers[found]
                    told[0], told[1], told[2], told[3] = least, worth, z0, z1
                    told[4], told[5], told[6] = r00, r01, r11
                found += 1
    return found


class Compiled(NamedTuple):
    """What is called from outside, as it runs."""

    ahead: Callable[..., None]
    moments: Callable[..., None]
    updated: Callable[..., None]
    gated: Callable[..., int]


@functools.cache
def compiled() -> Compiled:
    """The functions of ``Compiled`` compiled; as they stand here where there is no Numba."""
    try:
        import numba
    except ImportError:  # no wheel for this machine or Python
        return Compiled(ahead, moments, updated, gated)
    number, whole = numba.float64, numba.int64
    two, three, four = number[:, ::1], number[:, :, ::1], number[:, :, :, ::1]
    bank = two, three, four
    signatures = {
        "ahead": numba.void(*bank, two, two, two, *bank),
        "moments": numba.void(*bank, two, three),
        "updated": numba.void(*bank, whole[::1], two),
        "gated": whole(*bank, two, two, three, two, two, three, three, whole[::1], number, number, whole[:, ::1], two),
    }
    return Compiled(*machine_code(globals(), signatures))
