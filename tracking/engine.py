"""Kalman filter of one moving object in plain scalars: predict, Joseph-form update, NIS.

State x = (e, ve, n, vn): metres east/north of an anchor and m/s.  A ``State`` is one flat tuple of 14 floats:
the four means, then the upper triangle of P (4, 4) row by row: p00 p01 p02 p03 p11 p12 p13 p22 p23 p33.
H picks (e, n) or (ve, vn); z and R are scalars r_ee, r_en, r_nn.  Pure Python beats NumPy by an order of
magnitude for one message at a time; ``engine_filterpy`` is the same by filterpy and the tests' reference.
Source: Bar-Shalom, Li, Kirubarajan 2001, chapters 5.2 and 6.2 (white-noise acceleration), 8.3 (decaying velocity).
"""

from __future__ import annotations

import functools
import math

State = tuple[float, ...]

#: A measured position is never better than this, one sigma per axis.
SIGMA_FLOOR_M = 0.5
#: One that says it is worse than this says nothing (and would cost the other axis its digits).
SIGMA_CEILING_M = 1e6


@functools.lru_cache(maxsize=4096)
def coefficients(dt_s: float, q: float, tau_s: float) -> tuple[float, float, float, float, float]:
    """(a, b, q11, q12, q22) of one axis: F = [[1, b], [0, a]], Q = [[q11, q12], [q12, q22]].

    Exact for dv = -v/tau dt + white noise of density q; tau_s 0 means a constant velocity.
    """
    if tau_s == 0.0:
        return 1.0, dt_s, q * dt_s * dt_s * dt_s / 3.0, q * dt_s * dt_s / 2.0, q * dt_s
    u = dt_s / tau_s
    d = -math.expm1(-u)
    if u < 0.02:
        # the closed form below cancels here: series of the integral of (1 - exp(-s))²
        q11 = q * dt_s * dt_s * dt_s * (1.0 / 3.0 - u * (0.25 - u * (7.0 / 60.0 - u / 24.0)))
    else:
        q11 = q * tau_s * tau_s * tau_s * (u - 2.0 * d - 0.5 * math.expm1(-2.0 * u))
    return 1.0 - d, tau_s * d, q11, q * tau_s * tau_s * d * d / 2.0, -q * tau_s * math.expm1(-2.0 * u) / 2.0


def start(e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float, speed_sigma_mps: float) -> State:
    """A new state at one measured position, of unknown velocity."""
    v = speed_sigma_mps * speed_sigma_mps
    return (e_m, 0.0, n_m, 0.0, r_ee, 0.0, r_en, 0.0, v, 0.0, 0.0, r_nn, 0.0, v)


def predict(x: State, dt_s: float, q: float, tau_s: float) -> State:
    """The state dt_s later; dt_s 0 changes nothing."""
    if dt_s == 0.0:
        return x
    a, b, q11, q12, q22 = coefficients(dt_s, q, tau_s)
    e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = x
    # rows of F P: e' = e + b ve, ve' = a ve
    f01, f03 = p01 + b * p11, p03 + b * p13
    g12 = p12 + b * p13
    f23 = p23 + b * p33
    return (
        e + b * ve, a * ve, n + b * vn, a * vn,
        p00 + b * p01 + b * f01 + q11, a * f01 + q12, p02 + b * p12 + b * f03, a * f03,
        a * a * p11 + q22, a * g12, a * a * p13,
        p22 + b * p23 + b * f23 + q11, a * f23 + q12,
        a * a * p33 + q22,
    )  # fmt: skip


def innovation(x: State, e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float) -> tuple[float, float]:
    """(NIS, det S) of a measured position against a predicted state; det S ≤ 0 gives (inf, 0)."""
    s00, s01, s11 = x[4] + r_ee, x[6] + r_en, x[11] + r_nn
    det = s00 * s11 - s01 * s01
    if not det > 0.0:
        return math.inf, 0.0
    y0, y1 = e_m - x[0], n_m - x[2]
    return (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / det, det


def update_position(x: State, e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float) -> State:
    """Joseph-form update by a measured position; R must be positive definite."""
    e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = x
    s00, s01, s11 = p00 + r_ee, p02 + r_en, p22 + r_nn
    det = s00 * s11 - s01 * s01
    i00, i01, i11 = s11 / det, -s01 / det, s00 / det
    # K = P Hᵀ S⁻¹, (4, 2)
    k00, k01 = p00 * i00 + p02 * i01, p00 * i01 + p02 * i11
    k10, k11 = p01 * i00 + p12 * i01, p01 * i01 + p12 * i11
    k20, k21 = p02 * i00 + p22 * i01, p02 * i01 + p22 * i11
    k30, k31 = p03 * i00 + p23 * i01, p03 * i01 + p23 * i11
    y0, y1 = e_m - e, n_m - n
    a00, a22 = 1.0 - k00, 1.0 - k21
    # M = (I - K H) P; row 1 and 3 where needed
    m00, m01, m02, m03 = a00 * p00 - k01 * p02, a00 * p01 - k01 * p12, a00 * p02 - k01 * p22, a00 * p03 - k01 * p23
    m10, m11, m12, m13 = (
        p01 - k10 * p00 - k11 * p02, p11 - k10 * p01 - k11 * p12, p12 - k10 * p02 - k11 * p22, p13 - k10 * p03 - k11 * p23
    )  # fmt: skip
    m20, m22, m23 = a22 * p02 - k20 * p00, a22 * p22 - k20 * p02, a22 * p23 - k20 * p03
    m30, m32, m33 = p03 - k30 * p00 - k31 * p02, p23 - k30 * p02 - k31 * p22, p33 - k30 * p03 - k31 * p23
    # G = K R
    g00, g01 = k00 * r_ee + k01 * r_en, k00 * r_en + k01 * r_nn
    g10, g11 = k10 * r_ee + k11 * r_en, k10 * r_en + k11 * r_nn
    g20, g21 = k20 * r_ee + k21 * r_en, k20 * r_en + k21 * r_nn
    g30, g31 = k30 * r_ee + k31 * r_en, k30 * r_en + k31 * r_nn
    return (
        e + k00 * y0 + k01 * y1, ve + k10 * y0 + k11 * y1, n + k20 * y0 + k21 * y1, vn + k30 * y0 + k31 * y1,
        m00 * a00 - m02 * k01 + g00 * k00 + g01 * k01,
        m01 - m00 * k10 - m02 * k11 + g00 * k10 + g01 * k11,
        m02 * a22 - m00 * k20 + g00 * k20 + g01 * k21,
        m03 - m00 * k30 - m02 * k31 + g00 * k30 + g01 * k31,
        m11 - m10 * k10 - m12 * k11 + g10 * k10 + g11 * k11,
        m12 * a22 - m10 * k20 + g10 * k20 + g11 * k21,
        m13 - m10 * k30 - m12 * k31 + g10 * k30 + g11 * k31,
        m22 * a22 - m20 * k20 + g20 * k20 + g21 * k21,
        m23 - m20 * k30 - m22 * k31 + g20 * k30 + g21 * k31,
        m33 - m30 * k30 - m32 * k31 + g30 * k30 + g31 * k31,
    )  # fmt: skip


def blended(x: State, y: State, w: float) -> State:
    """One Gaussian of the mixture (1 - w) x + w y: the same mean and covariance."""
    if w <= 0.0:
        return x
    v = 1.0 - w
    a, b, c, d = y[0] - x[0], y[1] - x[1], y[2] - x[2], y[3] - x[3]
    k = v * w
    return (
        x[0] + w * a, x[1] + w * b, x[2] + w * c, x[3] + w * d,
        v * x[4] + w * y[4] + k * a * a, v * x[5] + w * y[5] + k * a * b, v * x[6] + w * y[6] + k * a * c,
        v * x[7] + w * y[7] + k * a * d, v * x[8] + w * y[8] + k * b * b, v * x[9] + w * y[9] + k * b * c,
        v * x[10] + w * y[10] + k * b * d, v * x[11] + w * y[11] + k * c * c, v * x[12] + w * y[12] + k * c * d,
        v * x[13] + w * y[13] + k * d * d,
    )  # fmt: skip


def _swapped(x: State) -> State:
    """The same state with position and velocity changed in place: an update of one is one of the other."""
    e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = x
    return (ve, e, vn, n, p11, p01, p13, p12, p00, p03, p02, p33, p23, p22)


def innovation_velocity(x: State, ve_mps: float, vn_mps: float, r: float) -> tuple[float, float]:
    """(NIS, det S) of a measured velocity with variance r (m/s)² per axis."""
    return innovation(_swapped(x), ve_mps, vn_mps, r, 0.0, r)


def update_velocity(x: State, ve_mps: float, vn_mps: float, r: float) -> State:
    """Joseph-form update by a measured velocity with variance r (m/s)² per axis."""
    return _swapped(update_position(_swapped(x), ve_mps, vn_mps, r, 0.0, r))


def floored(r_ee: float, r_en: float, r_nn: float) -> tuple[float, float, float] | None:
    """A usable R, its eigenvalues at least the floor's; None where it is not finite, not positive definite or vast."""
    det = r_ee * r_nn - r_en * r_en
    most = SIGMA_CEILING_M * SIGMA_CEILING_M
    if not (0.0 < r_ee <= most and 0.0 < r_nn <= most and det > 0.0):
        return None
    least = SIGMA_FLOOR_M * SIGMA_FLOOR_M
    mean, spread = (r_ee + r_nn) / 2.0, math.hypot((r_ee - r_nn) / 2.0, r_en)
    if mean - spread < least:
        # raise the smaller eigenvalue: R + (least - smallest) along its own axis; simplest that stays PD is isotropic
        lift = least - (mean - spread)
        return r_ee + lift, r_en, r_nn + lift
    return r_ee, r_en, r_nn


def rotated(x: State, c: float, s: float) -> State:
    """The state in axes turned by an angle: new east = c·e + s·n, new north = -s·e + c·n."""
    e, ve, n, vn, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = x
    cc, cs, ss = c * c, c * s, s * s
    # T [[ee, en], [ne, nn]] Tᵀ of the blocks of position, velocity, and (rows position, columns velocity) both
    return (
        c * e + s * n, c * ve + s * vn, -s * e + c * n, -s * ve + c * vn,
        cc * p00 + 2.0 * cs * p02 + ss * p22, cc * p01 + cs * (p03 + p12) + ss * p23,
        cs * (p22 - p00) + (cc - ss) * p02, cc * p03 + cs * (p23 - p01) - ss * p12,
        cc * p11 + 2.0 * cs * p13 + ss * p33, cc * p12 + cs * (p23 - p01) - ss * p03,
        cs * (p33 - p11) + (cc - ss) * p13,
        cc * p22 - 2.0 * cs * p02 + ss * p00, cc * p23 - cs * (p03 + p12) + ss * p01,
        cc * p33 - 2.0 * cs * p13 + ss * p11,
    )  # fmt: skip


def positive(x: State) -> bool:
    """Whether every number is finite and P is positive definite (Cholesky of the 4 × 4)."""
    if not math.isfinite(math.fsum(x)):
        return False
    _, _, _, _, p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = x
    if not p00 > 0.0:
        return False
    l10, l20, l30 = p01 / p00, p02 / p00, p03 / p00
    d1 = p11 - l10 * p01
    if not d1 > 0.0:
        return False
    u12, u13 = p12 - l10 * p02, p13 - l10 * p03
    d2 = p22 - l20 * p02 - u12 * u12 / d1
    if not d2 > 0.0:
        return False
    u23 = p23 - l20 * p03 - u12 * u13 / d1
    return p33 - l30 * p03 - u13 * u13 / d1 - u23 * u23 / d2 > 0.0
