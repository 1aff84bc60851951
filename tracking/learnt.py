"""What the live fold learns of each receiver of a track: how far its fixes and its speeds lie from the truth.

A device that does not state its sigma begins with that of the class; how far its fixes then lie from the track says what it
really is, and so with every device's speed and course (residual-based adaptive filtering: Mehra 1972; Mohamed, Schwarz 1999).
"""

from __future__ import annotations

import msgspec

from tracking import kernel
from tracking.engine import State
from tracking.kernel import NOISE_PRIOR, SIGMA_FLOOR_M, VELOCITY_LEAST_MPS, VELOCITY_SHARE, found_of, mean_of, not_of_the_way
from tracking.measurement import Measurement
from tracking.motion import Position, Velocity
from tracking.presets import ClassPreset

#: So many devices of one track are learnt of.
NOISE_DEVICES = 8


class DeviceNoise(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What was learnt of a device: r m² and r_v (m/s)², variances per axis, the means of about so many fixes each; and of the
    errors that last r_l m² per axis, of about so many times that they took another value.
    """

    device: str
    count: float
    r: float
    count_v: float
    r_v: float
    count_l: float = 0.0
    r_l: float = 0.0


#: Of a track's devices, in the order of their first.
DeviceNoises = tuple[DeviceNoise, ...]


def class_variance(m: Measurement, preset: ClassPreset) -> float | None:
    """The variance that the class gives a fix; None where the measurement is none or its noise is of another kind."""
    r = max(preset.sigma_m, SIGMA_FLOOR_M) ** 2
    return r if m.origin == "fix" and (m.stated or m.r_ee == r) else None


def believed(noise: DeviceNoises, m: Measurement, share: float, *, textbook: bool = False) -> Measurement:
    """A fix with what was learnt of its device: its velocity's sigma, and its own where it states none, or boasts.

    Args:
        share: of its errors' variance that is taken to last.
        textbook: of a reference engine, which believes whatever is stated.
    """
    for known in noise:
        if known.device == m.device:
            if not m.stated:
                return msgspec.structs.replace(m, r_ee=known.r, r_en=0.0, r_nn=known.r, r_v=known.r_v)
            k = 1.0 if textbook else kernel.boasts(known.count, known.r, m.r_ee, m.r_nn, share)
            if k > 1.0:
                return msgspec.structs.replace(m, r_ee=k * m.r_ee, r_en=k * m.r_en, r_nn=k * m.r_nn, r_v=known.r_v)
            return m if m.ve_mps is None else msgspec.structs.replace(m, r_v=known.r_v)
    return m


def learnt(
    noise: DeviceNoises, x: State, z: Position, v: Velocity | None, m: Measurement, said: float | None, preset: ClassPreset,
    before: tuple[float, float] | None = None,
) -> DeviceNoises:  # fmt: skip
    """What a used fix says of its device's noise: E[residual² + P after it] = R, per axis.

    Args:
        said: the variance that it states, else its class's.
        before: the residual of the fix before, of one that states its variance, where that was just before.
    """
    at = 0
    while at < len(noise) and noise[at].device != m.device:
        at += 1
    if said is None or at == NOISE_DEVICES:
        return noise
    base_v = preset.velocity_sigma_mps**2
    base = max(preset.sigma_m, SIGMA_FLOOR_M) ** 2
    old = noise[at] if at < len(noise) else DeviceNoise(m.device, NOISE_PRIOR, base, NOISE_PRIOR, base_v)
    count, r, count_v, r_v = old.count, old.r, old.count_v, old.r_v
    found = ((z[0] - x[0]) ** 2 + (z[1] - x[2]) ** 2 + x[4] + x[11]) / 2.0
    if before is not None:
        found = not_of_the_way(found, z[0] - x[0], z[1] - x[2], *before, x[4] + x[11], said, x[1] * x[1] + x[3] * x[3])
    count, r = found_of(count, r, found, said)
    r = max(r, SIGMA_FLOOR_M**2)
    if v is not None:
        count_v, r_v = mean_of(count_v, r_v, ((v[0] - x[1]) ** 2 + (v[1] - x[3]) ** 2 + x[8] + x[13]) / 2.0, base_v)
        r_v = max(r_v, VELOCITY_LEAST_MPS**2, VELOCITY_SHARE**2 * (x[1] * x[1] + x[3] * x[3]))
    new = DeviceNoise(m.device, count, r, count_v, r_v, old.count_l, old.r_l)
    return (*noise[:at], new, *noise[at + 1 :])


def lasting(noise: DeviceNoises, device: str, base: float, said: float | None = None, share: float = 1.0) -> float:
    """The variance per axis of what lasts of the errors of a device, m².

    Args:
        base: its class's variance, or where it states one that which it is believed to have.
        said: that which it states, 0 of a reference engine, which believes it; share: ``kernel.lasting_share`` of its errors.
    """
    if said == 0.0:
        return share * base
    count_l, r_l = next(((known.count_l, known.r_l) for known in noise if known.device == device), (0.0, 0.0))
    return kernel.lasts(count_l, r_l, base) if said is None else kernel.unsaid(count_l, r_l, base, said, share)


def wandered(noise: DeviceNoises, device: str, dt_s: float, stood_s: float, away2: float) -> DeviceNoises:
    """What a fix of a device that stays where it is says of its errors that last.

    Args:
        dt_s: since the fix before; stood_s: since it stands here.
        away2: the square of how far it lies from where it stood on average, m², per axis.
    """
    for i, old in enumerate(noise):
        if old.device == device:
            count_l, r_l = kernel.wandered(old.count_l, old.r_l, dt_s, stood_s, away2)
            return (*noise[:i], msgspec.structs.replace(old, count_l=count_l, r_l=r_l), *noise[i + 1 :])
    return noise
