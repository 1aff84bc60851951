"""The reference engine: the same maths as ``engine`` through ``filterpy.kalman.KalmanFilter``.

Chosen by the preset ``engine = "filterpy"``.  filterpy (≥ 2.0: 1.4.5 crashes on numpy 2.4) takes over a
second to import, so it is imported when first used, and only here.  F, H and Q are set by hand: its
``kinematic_kf`` builds a wrong H.
"""

from __future__ import annotations

from typing import Any

from tracking.engine import (
    State,
    blended,
    coefficients,
    floored,
    innovation,
    innovation_velocity,
    positive,
    rotated,
    start,
)

__all__ = [
    "blended", "floored", "innovation", "innovation_velocity", "positive", "predict", "rotated", "start", "update_position",
    "update_velocity",
]  # fmt: skip

_UPPER = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


def _filter(x: State) -> Any:
    import numpy as np
    from filterpy.kalman import KalmanFilter

    kf = KalmanFilter(dim_x=4, dim_z=2)
    kf.x = np.array(x[:4]).reshape(4, 1)
    for value, (i, j) in zip(x[4:], _UPPER, strict=True):
        kf.P[i, j] = kf.P[j, i] = value
    return kf


def _state(kf: Any) -> State:
    p = (kf.P + kf.P.T) / 2.0
    x: State = (*(float(v) for v in kf.x[:, 0]), *(float(p[i, j]) for i, j in _UPPER))
    return x


def predict(x: State, dt_s: float, q: float, tau_s: float) -> State:
    """As ``engine.predict``."""
    import numpy as np

    if dt_s == 0.0:
        return x
    a, b, q11, q12, q22 = coefficients(dt_s, q, tau_s)
    kf = _filter(x)
    axis_f, axis_q = np.array([[1.0, b], [0.0, a]]), np.array([[q11, q12], [q12, q22]])
    kf.predict(F=np.kron(np.eye(2), axis_f), Q=np.kron(np.eye(2), axis_q))
    return _state(kf)


def _update(x: State, z: tuple[float, float], r: tuple[float, float, float], h: list[list[float]]) -> State:
    import numpy as np

    kf = _filter(x)
    kf.update(np.array(z).reshape(2, 1), R=np.array([[r[0], r[1]], [r[1], r[2]]]), H=np.array(h))
    return _state(kf)


def update_position(x: State, e_m: float, n_m: float, r_ee: float, r_en: float, r_nn: float) -> State:
    """As ``engine.update_position``."""
    return _update(x, (e_m, n_m), (r_ee, r_en, r_nn), [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])


def update_velocity(x: State, ve_mps: float, vn_mps: float, r: float) -> State:
    """As ``engine.update_velocity``."""
    return _update(x, (ve_mps, vn_mps), (r, 0.0, r), [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
