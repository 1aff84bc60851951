"""One measurement into one track's filter: gate, update, refuse, move; a pure function from Core to Core.

A ``Core`` is all that the filter knows; ``advance(core, measurement)`` gives the next one.  Because nothing else
goes in, a late measurement is handled by running the later ones again (``history``), to the same digits as if
it had come in time.  A measurement that fails the gate is not used; refused fixes that agree with each other
are followed beside the track (``alt``) and take it over after ``reinit_count`` in a row: one bad fix never
harms, and a receiver that was wrong before, or a real jump, does not blind us for ever.  Where the class says so two
models run beside each other, calm and agile, that differ in the acceleration noise; after each measurement they are
one Gaussian again (first-order generalised pseudo-Bayes: Bar-Shalom, Li, Kirubarajan 2001, chapter 11.6).
A device that does not state its sigma begins with that of the class; how far its fixes then lie from the track says
what it really is, and so with every device's speed and course (residual-based adaptive filtering: Mehra 1972;
Mohamed, Schwarz 1999).
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Literal

import msgspec

from birddog.geo import distance_m
from birddog.units import NS
from tracking import engine as scalar_engine
from tracking.anchor import REANCHOR_M, frame, near_en, turn, turned
from tracking.engine import State
from tracking.presets import ClassPreset, Presets

Origin = Literal["fix", "tag_read", "trigger", "sighting"]
Verdict = Literal["began", "used", "refused", "moved"]

#: The class's sigma counts as so many fixes, and a learnt one is the mean of about so many.
NOISE_PRIOR, NOISE_MEMORY = 2.0, 30.0
#: A learnt sigma stays within these factors of the class's, and one fix counts for no more than so much of its variance.
NOISE_LEAST, NOISE_MOST, NOISE_STEP = 0.25, 3.0, 9.0
#: No velocity is believed to be better than this, one sigma per axis.
VELOCITY_LEAST_MPS = 0.1
#: Two fixes of one device and time that lie further apart than so many sigmas are no two views of one.
TWIN_SIGMAS = 5.0
#: So many devices of one track are learnt of.
NOISE_DEVICES = 8


class Measurement(msgspec.Struct, frozen=True, array_like=True):
    """A position in WGS 84 with R (m², east/north there) and where stated a velocity (east, north, m/s)."""

    time_ns: int
    device: str
    origin: Origin
    lat_deg: float
    lon_deg: float
    r_ee: float
    r_en: float
    r_nn: float
    ve_mps: float | None = None
    vn_mps: float | None = None
    r_v: float = 0.0
    stated: bool = False

    @property
    def key(self) -> tuple[int, str, str]:
        """Two of one key are one measurement (rule 8: RMC and GGA of one second)."""
        return (self.time_ns, self.device, self.origin)


def rank(m: Measurement) -> tuple:
    """Which of two measurements with one key is taken for its position; a total order in which arrival plays no part."""
    return (not m.stated, m.r_ee + m.r_nn, m.lat_deg, m.lon_deg, m.r_en, m.r_ee)


def apart(a: Measurement, b: Measurement) -> bool:
    """Whether two positions can't be one: further from one another than TWIN_SIGMAS of both together."""
    away_m = distance_m(lat1_deg=a.lat_deg, lon1_deg=a.lon_deg, lat2_deg=b.lat_deg, lon2_deg=b.lon_deg)
    return away_m**2 > TWIN_SIGMAS**2 * (max(a.r_ee, a.r_nn) + max(b.r_ee, b.r_nn))


def merged(old: Measurement, new: Measurement) -> Measurement:
    """One measurement of two with the same key; the same whichever came first.

    The position is that with a stated sigma, then the smaller sigma, then the smaller coordinates; a velocity is taken from
    whichever has one.
    """

    def speed_rank(m: Measurement) -> tuple:
        return (m.ve_mps is None, m.r_v, m.ve_mps or 0.0, m.vn_mps or 0.0)

    first = old if rank(old) <= rank(new) else new
    speed = old if speed_rank(old) <= speed_rank(new) else new
    return msgspec.structs.replace(first, ve_mps=speed.ve_mps, vn_mps=speed.vn_mps, r_v=speed.r_v)


class Noise(msgspec.Struct, frozen=True, array_like=True):
    """What was learnt of a device: r m² and r_v (m/s)², variances per axis, the means of about so many fixes each."""

    device: str
    count: float
    r: float
    count_v: float
    r_v: float


class Core(msgspec.Struct, frozen=True, array_like=True):
    """The filter after a measurement.

    Args:
        time_ns: of the last measurement, used or not.
        lat0_deg, lon0_deg: the anchor of x, alt and spot.
        updated_ns: of the last measurement that was used: the time of x.
        spot_e, spot_n: where it last began to stay; moved_ns: when it last left such a spot.
        alt, alt_hits: what the refused fixes in a row say, and how many agree.
        run: refused fixes in a row; 0 after a used measurement.
        agile: probability that it is turning, starting or stopping (``q_agile``).
        fixed: whether a device's own fix was ever used (not only reads and triggers at known places).
        noise: what was learnt of devices' fixes, in the order of their first.
    """

    time_ns: int
    lat0_deg: float
    lon0_deg: float
    x: State
    updated_ns: int
    first_ns: int
    hits: int = 1
    refused: int = 0
    spot_e: float = 0.0
    spot_n: float = 0.0
    moved_ns: int | None = None
    alt: State | None = None
    alt_ns: int = 0
    alt_hits: int = 0
    run: int = 0
    agile: float = 0.0
    fixed: bool = False
    noise: tuple[Noise, ...] = ()


class Model(msgspec.Struct, frozen=True):
    """What ``advance`` needs beside Core and Measurement."""

    preset: ClassPreset
    presets: Presets

    @property
    def engine(self) -> ModuleType:
        if self.presets.engine == "filterpy":
            from tracking import engine_filterpy

            return engine_filterpy
        return scalar_engine


def _begin(m: Measurement, model: Model) -> Core:
    engine, preset = model.engine, model.preset
    x = engine.start(0.0, 0.0, m.r_ee, m.r_en, m.r_nn, preset.speed_sigma_mps)
    if m.ve_mps is not None and m.vn_mps is not None:
        x = engine.update_velocity(x, m.ve_mps, m.vn_mps, m.r_v)
    return Core(
        time_ns=m.time_ns, lat0_deg=m.lat_deg, lon0_deg=m.lon_deg, x=x, updated_ns=m.time_ns, first_ns=m.time_ns,
        fixed=m.origin == "fix",
    )  # fmt: skip


def _measured(engine: ModuleType, x: State, z: tuple, m: Measurement, gate: float) -> State:
    e, n, ree, ren, rnn, ve, vn = z
    x = engine.update_position(x, e, n, ree, ren, rnn)
    # a stated velocity that contradicts the positions is left out, the position stays
    if ve is not None and engine.innovation_velocity(x, ve, vn, m.r_v)[0] <= gate:
        x = engine.update_velocity(x, ve, vn, m.r_v)
    return x


def advance(core: Core | None, m: Measurement, model: Model) -> tuple[Core, Verdict, float]:
    """The next Core, what became of the measurement, and its NIS (inf beyond 2,000 km, 0 for the first).

    ``m`` must not be older than ``core`` and its R positive definite.
    """
    if core is None:
        return _begin(m, model), "began", 0.0
    engine, preset, presets = model.engine, model.preset, model.presets
    base = _class_variance(m, preset)
    m = m if base is None else _believed(core, m)
    calm, agile, weight = _two(core, m.time_ns, model)
    x = calm if agile is None else engine.blended(calm, agile, weight)
    z = _in_frame(core, m)
    # the gate is that of the model that expects most; what is told of a refused one is the same number
    wide = calm if agile is None else agile
    nis = math.inf if z is None else engine.innovation(wide, z[0], z[1], z[2], z[3], z[4])[0]
    if nis <= preset.gate:
        if agile is None:
            x, weight = _measured(engine, x, z, m, preset.gate), 0.0
        else:
            weight = _judged(engine, calm, agile, weight, z)
            calm, agile = _measured(engine, calm, z, m, preset.gate), _measured(engine, agile, z, m, preset.gate)
            x = engine.blended(calm, agile, weight)
        return _settled(_learnt(core, x, z, m, base, preset), x, m, weight), "used", nis
    if z is not None and _plausible_jump(core, x, z, m, model):
        x = _fresh(engine, z, m, preset)
        return _settled(core, x, m, 0.0, moved=True), "moved", nis
    refused = core.refused + 1
    if m.origin != "fix" or z is None:
        run = core.run + (m.origin == "fix")
        core = msgspec.structs.replace(core, time_ns=m.time_ns, refused=refused, run=run)
        return core, "refused", nis
    # a fix that the track does not believe: does it agree with the refused ones before it?
    alt, hits = None, 1
    if core.alt is not None:
        alt = engine.predict(core.alt, (m.time_ns - core.alt_ns) / NS, preset.q, preset.tau_s)
        if engine.innovation(alt, z[0], z[1], z[2], z[3], z[4])[0] <= preset.gate:
            alt, hits = _measured(engine, alt, z, m, preset.gate), core.alt_hits + 1
        else:
            alt = None
    if alt is None:
        alt = _fresh(engine, z, m, preset)
    if hits >= presets.reinit_count:
        return _settled(core, alt, m, 0.0, moved=True), "moved", nis
    return (
        msgspec.structs.replace(
            core, time_ns=m.time_ns, refused=refused, run=core.run + 1, alt=alt, alt_ns=m.time_ns, alt_hits=hits
        ),
        "refused",
        nis,
    )


def _two(core: Core, time_ns: int, model: Model) -> tuple[State, State | None, float]:
    """(calm prediction, agile one or None, probability of the agile one) at a time not before the Core's."""
    preset, dt_s = model.preset, max(0, time_ns - core.updated_ns) / NS
    calm = model.engine.predict(core.x, dt_s, preset.q, preset.tau_s)
    if preset.q_agile == 0.0:
        return calm, None, 0.0
    weight = preset.agile + (core.agile - preset.agile) * math.exp(-dt_s / preset.agile_s)
    return calm, model.engine.predict(core.x, dt_s, preset.q_agile, preset.tau_s), weight


def _judged(engine: ModuleType, calm: State, agile: State, weight: float, z: tuple) -> float:
    """The probability of the agile model after a measured position."""
    nis0, det0 = engine.innovation(calm, z[0], z[1], z[2], z[3], z[4])
    nis1, det1 = engine.innovation(agile, z[0], z[1], z[2], z[3], z[4])
    if weight <= 0.0:
        return 0.0
    # the ratio of the likelihoods, bounded so that the weight stays within (0, 1)
    log = 0.5 * (nis0 - nis1 + math.log(det0) - math.log(det1))
    ratio = weight / (1.0 - weight) * math.exp(min(max(log, -50.0), 50.0))
    return min(max(ratio / (1.0 + ratio), 0.0), 1.0 - 1e-9)


def _in_frame(core: Core, m: Measurement) -> tuple | None:
    """(e, n, r_ee, r_en, r_nn, ve, vn) in the Core's frame."""
    en = near_en(core.lat0_deg, core.lon0_deg, m.lat_deg, m.lon_deg)
    if en is None:
        return None
    c, s = turn(m.lat_deg, m.lon_deg, core.lat0_deg, core.lon0_deg)
    ree, ren, rnn = turned(m.r_ee, m.r_en, m.r_nn, c, s)
    ve, vn = m.ve_mps, m.vn_mps
    if ve is not None and vn is not None:
        ve, vn = c * ve + s * vn, -s * ve + c * vn
    return en[0], en[1], ree, ren, rnn, ve, vn


def _fresh(engine: ModuleType, z: tuple, m: Measurement, preset: ClassPreset) -> State:
    x = engine.start(z[0], z[1], z[2], z[3], z[4], preset.speed_sigma_mps)
    return engine.update_velocity(x, z[5], z[6], m.r_v) if z[5] is not None else x


def _plausible_jump(core: Core, x: State, z: tuple, m: Measurement, model: Model) -> bool:
    """Whether one refused measurement may move the track: after a long gap, or a read of a tag that has no
    receiver of its own, if the class can have covered the distance in the time."""
    gap_s = (m.time_ns - core.updated_ns) / NS
    if m.origin == "fix":
        waited = gap_s >= model.presets.reinit_s
    else:
        waited = m.origin == "tag_read" and (not core.fixed or gap_s >= model.presets.reinit_s)
    if not waited or gap_s <= 0.0:
        return False
    slack = 3.0 * (math.sqrt(z[2] + z[4]) + math.sqrt(core.x[4] + core.x[11]))
    return math.hypot(z[0] - core.x[0], z[1] - core.x[2]) <= model.preset.max_speed_mps * gap_s + slack


def _settled(core: Core, x: State, m: Measurement, agile: float, *, moved: bool = False) -> Core:
    """The Core after a used measurement: movement noted, anchor moved where it is far."""
    spot_e, spot_n, moved_ns = core.spot_e, core.spot_n, core.moved_ns
    away = max(30.0, 3.0 * math.sqrt(max(x[4], x[11])))
    if moved or math.hypot(x[0] - spot_e, x[2] - spot_n) > away:
        spot_e, spot_n, moved_ns = x[0], x[2], m.time_ns
    lat0, lon0 = core.lat0_deg, core.lon0_deg
    if abs(x[0]) > REANCHOR_M or abs(x[2]) > REANCHOR_M:
        old = frame(lat0, lon0)
        spot = old.geodetic(spot_e, spot_n)
        lat1, lon1 = old.geodetic(x[0], x[2])
        c, s = turn(lat0, lon0, lat1, lon1)
        x = (0.0, *scalar_engine.rotated((0.0, x[1], 0.0, *x[3:]), c, s)[1:])
        lat0, lon0 = lat1, lon1
        near = near_en(lat0, lon0, *spot)
        spot_e, spot_n = near if near is not None else (0.0, 0.0)
    return Core(
        time_ns=m.time_ns, lat0_deg=lat0, lon0_deg=lon0, x=x, updated_ns=m.time_ns, first_ns=core.first_ns,
        hits=core.hits + 1, refused=core.refused, spot_e=spot_e, spot_n=spot_n, moved_ns=moved_ns,
        agile=agile, fixed=core.fixed or m.origin == "fix", noise=core.noise,
    )  # fmt: skip


def _class_variance(m: Measurement, preset: ClassPreset) -> float | None:
    """The variance that the class gives a fix; None where the measurement is none or its noise is of another kind."""
    r = max(preset.sigma_m, scalar_engine.SIGMA_FLOOR_M) ** 2
    return r if m.origin == "fix" and (m.stated or m.r_ee == r) else None


def _believed(core: Core, m: Measurement) -> Measurement:
    """A fix with what was learnt of its device: its velocity's sigma, and its own where it states none."""
    known = next((noise for noise in core.noise if noise.device == m.device), None)
    if known is None:
        return m
    if m.stated:
        return msgspec.structs.replace(m, r_v=known.r_v)
    return msgspec.structs.replace(m, r_ee=known.r, r_en=0.0, r_nn=known.r, r_v=known.r_v)


def _learnt(core: Core, x: State, z: tuple, m: Measurement, base: float | None, preset: ClassPreset) -> Core:
    """What a used fix says of its device's noise: E[residual² + P after it] = R, per axis."""
    at = next((i for i, noise in enumerate(core.noise) if noise.device == m.device), len(core.noise))
    if base is None or at == NOISE_DEVICES:
        return core
    base_v = preset.velocity_sigma_mps**2
    old = core.noise[at] if at < len(core.noise) else Noise(m.device, NOISE_PRIOR, base, NOISE_PRIOR, base_v)
    count, r, count_v, r_v = old.count, old.r, old.count_v, old.r_v
    count, r = _mean(count, r, ((z[0] - x[0]) ** 2 + (z[1] - x[2]) ** 2 + x[4] + x[11]) / 2.0, base)
    r = max(r, scalar_engine.SIGMA_FLOOR_M**2)
    if z[5] is not None:
        count_v, r_v = _mean(count_v, r_v, ((z[5] - x[1]) ** 2 + (z[6] - x[3]) ** 2 + x[8] + x[13]) / 2.0, base_v)
        r_v = max(r_v, VELOCITY_LEAST_MPS**2)
    new = Noise(m.device, count, r, count_v, r_v)
    return msgspec.structs.replace(core, noise=(*core.noise[:at], new, *core.noise[at + 1 :]))


def _mean(count: float, r: float, found: float, base: float) -> tuple[float, float]:
    """A running mean of variances and its weight, bounded about the class's."""
    count = min(count + 1.0, NOISE_MEMORY)
    r += (min(found, NOISE_STEP * r) - r) / count
    return count, min(max(r, NOISE_LEAST**2 * base), NOISE_MOST**2 * base)


def predicted(core: Core, time_ns: int, model: Model) -> State:
    """x at a time not before the Core's, in the Core's frame."""
    calm, agile, weight = _two(core, time_ns, model)
    return calm if agile is None else model.engine.blended(calm, agile, weight)


def placed(core: Core, x: State) -> tuple[float, float, State]:
    """(lat_deg, lon_deg, x) with velocity and P in the east/north axes at that very position.

    A prediction that runs over the horizon of its frame stays at the anchor.
    """
    try:
        lat, lon = frame(core.lat0_deg, core.lon0_deg).geodetic(x[0], x[2])
    except ValueError:
        return core.lat0_deg, core.lon0_deg, x
    c, s = turn(core.lat0_deg, core.lon0_deg, lat, lon)
    return lat, lon, scalar_engine.rotated(x, c, s)
