"""One measurement into one track's filter: use it, refuse it, or let it take over; a pure function from Core to Core.

A ``Core`` is all that the filter knows; ``advance(core, measurement)`` gives the next one.  Because nothing else
goes in, a late measurement is handled by running the later ones again (``track_state``), to the same digits as if
it had come in time.

The motion is a bank of modes (``tracking.motion``).  A device's own fixes decide where it is: one is refused only where a
false fix is likelier than what the bank foretells (``_outlier_log``), never for being faster than a class.  A refused fix
begins or feeds a *rival*, a second hypothesis of no class, anywhere on Earth; when ``reinit_count`` in a row agree, or one
comes after a silence of ``reinit_s`` in which it could have been travelled by any means, the rival takes over.  So one bad
fix never harms, and no track is lost to its own gate.

A device that does not state its sigma begins with that of the class; how far its fixes then lie from the track says
what it really is, and so with every device's speed and course (residual-based adaptive filtering: Mehra 1972;
Mohamed, Schwarz 1999).  The errors of a receiver last for minutes: however many of its fixes agree, the share
``LASTING`` of their variance stays in what is said of the position (a bias that is considered, not estimated: Schmidt 1966;
ublox and others give 5 to 10 minutes for its decay).
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from birddog.geo import distance_m
from birddog.units import NS
from tracking import engine as scalar_engine
from tracking.anchor import REANCHOR_M, frame, near_en, turn, turned
from tracking.bank import NEW_V
from tracking.engine import State
from tracking.motion import (
    SURPRISE,
    Bank,
    Fit,
    Motion,
    adopted,
    ahead,
    any_motion,
    begun,
    moments,
    motion_of,
    plain_motion,
    shifted,
    updated,
    updated_velocity,
)
from tracking.presets import ClassPreset, Presets

Origin = Literal["fix", "tag_read", "trigger", "sighting"]
Verdict = Literal["began", "used", "refused", "moved"]

#: The class's sigma counts as so many fixes, and a learnt one is the mean of about so many.
NOISE_PRIOR, NOISE_MEMORY = 2.0, 30.0
#: A learnt sigma stays within these factors of the class's, and one fix counts for no more than so much of its variance.
NOISE_LEAST, NOISE_MOST, NOISE_STEP = 0.25, 3.0, 9.0
#: The share of a fix's variance that lasts for minutes: no number of fixes takes it away.
LASTING = 0.7
#: Of a fix that states no sigma that is at least this, one sigma: fixes that agree teach how far they differ, not how far
#: all of them are off.
LASTING_M = 4.0
#: One fix in so many is false, and lies about so far off (m, heavy-tailed).
FALSE, FALSE_SCALE_M = 1e-2, 500.0
#: A rival of which nothing was heard for so long is forgotten.
RIVAL_S = 7200
#: One sigma per axis of the velocity of a rival, of which nothing is known.
RIVAL_SPEED_MPS = 20.0
#: A stated velocity whose NIS is larger in every mode of a rival is left out.
VELOCITY_GATE = 25.0
#: Nothing that carries a shipment is faster, m/s.
ANY_MEANS_MPS = 340.0
#: Two hypotheses no further apart than this are covered by one ellipse; of others the row shows a second symbol.
BOTH_M = 50_000.0
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


class Rival(msgspec.Struct, frozen=True, array_like=True):
    """What the refused fixes in a row say: a second hypothesis in a frame of its own.

    Args:
        time_ns: of its newest fix, the time of the bank; lat_deg, lon_deg: that fix; r: its variance per axis, m².
        begun_ns: the time of its first fix.
        device: whose fixes it is made of; "" of several devices'.
        hits: fixes in a row that agree.
    """

    time_ns: int
    lat0_deg: float
    lon0_deg: float
    bank: Bank
    lat_deg: float
    lon_deg: float
    r: float
    begun_ns: int
    device: str
    hits: int = 1


class Core(msgspec.Struct, frozen=True, array_like=True):
    """The filter after a measurement.

    Args:
        time_ns: of the last measurement, used or not.
        lat0_deg, lon0_deg: the anchor of bank, x and spot.
        bank: the motions at updated_ns; x: their one Gaussian, without bias.
        updated_ns: of the last measurement that was used.
        bias: variance per axis, m², of the errors that last.
        spot_e, spot_n: where it last began to stay; moved_ns: when it last left such a spot.
        rival: what the refused fixes say.  A used fix ends it, but not where it is of another device of the shipment: the
            two have parted, and which of them is the goods is not the filter's to say.
        device: whose fix was used last.
        run: refused fixes in a row; 0 after a used measurement.  recent: the last eight fixes, a bit each, 1 = refused.
        fixed: whether a device's own fix was ever used (not only reads and triggers at known places).
        noise: what was learnt of devices' fixes, in the order of their first.
    """

    time_ns: int
    lat0_deg: float
    lon0_deg: float
    bank: Bank
    x: State
    updated_ns: int
    first_ns: int
    bias: float = 0.0
    hits: int = 1
    refused: int = 0
    spot_e: float = 0.0
    spot_n: float = 0.0
    moved_ns: int | None = None
    rival: Rival | None = None
    run: int = 0
    recent: int = 0
    fixed: bool = False
    device: str = ""
    noise: tuple[Noise, ...] = ()

    @property
    def parted(self) -> bool:
        """Whether one device of the shipment goes one way and another one another."""
        rival = self.rival
        return rival is not None and rival.device != "" and rival.hits > 1 and self.updated_ns > rival.begun_ns

    @property
    def refused_lately(self) -> int:
        """How many of the last five fixes were refused."""
        return (self.recent & 0b11111).bit_count()


class Model(msgspec.Struct, frozen=True):
    """What ``advance`` needs beside Core and Measurement."""

    preset: ClassPreset
    presets: Presets
    klass: str = ""

    @property
    def motion(self) -> Motion:
        """The modes of the class; for the reference engine its one plain motion."""
        if self.presets.engine == "birddog":
            return motion_of(self.klass)
        if self.presets.engine == "plain":
            return plain_motion(self.preset.q, self.preset.tau_s, scalar_engine)
        from tracking import engine_filterpy

        return plain_motion(self.preset.q, self.preset.tau_s, engine_filterpy)


def _begin(m: Measurement, model: Model) -> Core:
    bank = _fresh((0.0, 0.0, m.r_ee, m.r_en, m.r_nn, m.ve_mps, m.vn_mps), m, model.motion, model.preset.speed_sigma_mps)
    return Core(
        time_ns=m.time_ns, lat0_deg=m.lat_deg, lon0_deg=m.lon_deg, bank=bank, x=moments(bank), updated_ns=m.time_ns,
        first_ns=m.time_ns, bias=_lasting(m), fixed=m.origin == "fix", device=m.device,
    )  # fmt: skip


def _fresh(z: tuple, m: Measurement, motion: Motion, speed_sigma_mps: float) -> Bank:
    """A bank at one measurement (in its frame), with its velocity where it states one."""
    bank = begun(z[0], z[1], z[2], z[3], z[4], motion, max(speed_sigma_mps**2, NEW_V))
    return updated_velocity(bank, z[5], z[6], m.r_v, motion).bank if z[5] is not None else bank


def _lasting(m: Measurement) -> float:
    """The variance per axis of a measurement's error that the next one of the same source repeats."""
    if m.origin == "sighting":
        return 0.0
    least = LASTING_M**2 if m.origin == "fix" and not m.stated else 0.0
    return max(LASTING * (m.r_ee + m.r_nn) / 2.0, least)


def _taken(prior: Bank, z: tuple, motion: Motion) -> Fit:
    """The bank after a measured position."""
    return updated(prior, z[0], z[1], z[2], z[3], z[4], motion)


#: No false fix is denser anywhere.
_OUTLIER_MOST = math.log(FALSE / (2.0 * math.pi)) - 2.0 * math.log(FALSE_SCALE_M)


def _outlier_log(x: State, z: tuple) -> float:
    """The log density, 1/m², of a false fix: heavy-tailed (bivariate Cauchy) about a truth that is itself no better known."""
    away2 = (z[0] - x[0]) ** 2 + (z[1] - x[2]) ** 2
    scale2 = FALSE_SCALE_M**2 + 9.0 * max(z[2], z[4]) + x[4] + x[11]
    return math.log(FALSE / (2.0 * math.pi)) + 0.5 * math.log(scale2) - 1.5 * math.log(away2 + scale2)


def _decides(core: Core, m: Measurement) -> bool:
    """Whether a measurement is one of those that say where the track is: a device's own fix, or for what has none a read."""
    return m.origin == "fix" or (m.origin == "tag_read" and not core.fixed)


def advance(core: Core | None, m: Measurement, model: Model) -> tuple[Core, Verdict, float]:
    """The next Core, what became of the measurement, and its NIS (inf beyond 2,000 km, 0 for the first).

    ``m`` must not be older than ``core`` and its R positive definite.
    """
    if core is None:
        return _begin(m, model), "began", 0.0
    motion, preset = model.motion, model.preset
    base = _class_variance(m, preset)
    m = m if base is None else _believed(core, m)
    z, nis = _in_frame(core, m), math.inf
    if z is not None:
        dt_s = max(0, m.time_ns - core.updated_ns) / NS
        prior = ahead(core.bank, dt_s, motion)
        fit = _taken(prior, z, motion)
        if fit.nis > SURPRISE and None in prior.x and dt_s > 0.0:
            prior = ahead(core.bank, dt_s, motion, all_awake=True)
            fit = _taken(prior, z, motion)
        nis = fit.nis
        if _decides(core, m):
            fits = fit.log >= _OUTLIER_MOST or fit.log >= _outlier_log(moments(prior), z)
        else:
            fits = nis <= preset.gate
        if fits:
            bank = fit.bank
            if z[5] is not None:
                # a stated velocity that contradicts the positions is left out, the position stays
                speed = updated_velocity(bank, z[5], z[6], m.r_v, motion)
                bank = speed.bank if speed.nis <= preset.gate else bank
            x = moments(bank)
            return _settled(_learnt(core, x, z, m, base, preset), bank, x, m), "used", nis
    return _refused(core, m, model, z, nis)


def _refused(core: Core, m: Measurement, model: Model, z: tuple | None, nis: float) -> tuple[Core, Verdict, float]:
    """A measurement that the track does not believe: the rival's, which may take over with it."""
    decides = _decides(core, m)
    gap_s = (m.time_ns - core.updated_ns) / NS
    if (decides or m.origin == "tag_read") and gap_s >= model.presets.reinit_s and _reachable(core, m, gap_s):
        return _moved(core, m, _rival(core, m), model), "moved", nis
    is_fix = m.origin == "fix"
    core = msgspec.structs.replace(
        core, time_ns=m.time_ns, refused=core.refused + 1, run=core.run + is_fix,
        recent=(core.recent << 1 | 1) & 0xFF if is_fix else core.recent,
    )  # fmt: skip
    if not decides:
        return core, "refused", nis
    rival = _rival(core, m)
    if core.updated_ns > rival.begun_ns and rival.device and gap_s < model.presets.reinit_s:
        return msgspec.structs.replace(core, rival=rival), "refused", nis
    # of a track of one or two fixes it is as likely that those were false
    if rival.hits >= min(model.presets.reinit_count, core.hits + 1):
        return _moved(core, m, rival, model), "moved", nis
    return msgspec.structs.replace(core, rival=rival), "refused", nis


def _rival(core: Core, m: Measurement) -> Rival:
    """The rival after one more refused fix: the old one with it, or a new one where they do not agree."""
    motion, old = any_motion(), core.rival
    if old is not None:
        z = _in_frame(old, m)
        if z is not None:
            prior = ahead(old.bank, max(0, m.time_ns - old.time_ns) / NS, motion, all_awake=True)
            fit = _taken(prior, z, motion)
            if fit.log >= _outlier_log(moments(prior), z):
                bank = fit.bank
                if z[5] is not None:
                    speed = updated_velocity(bank, z[5], z[6], m.r_v, motion)
                    bank = speed.bank if speed.nis <= VELOCITY_GATE else bank
                device = m.device if m.device == old.device else ""
                return Rival(m.time_ns, old.lat0_deg, old.lon0_deg, bank, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn),
                             old.begun_ns, device, old.hits + 1)  # fmt: skip
    z = (0.0, 0.0, m.r_ee, m.r_en, m.r_nn, m.ve_mps, m.vn_mps)
    bank = _fresh(z, m, motion, RIVAL_SPEED_MPS)
    return Rival(m.time_ns, m.lat_deg, m.lon_deg, bank, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn), m.time_ns, m.device)


def _reachable(core: Core, m: Measurement, gap_s: float) -> bool:
    """Whether a fix after a long silence can have been travelled to, by any means there is."""
    lat, lon, x = placed(core, core.x)
    away_m = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
    slack_m = 3.0 * (math.sqrt(m.r_ee + m.r_nn) + math.sqrt(x[4] + x[11] + 2.0 * core.bias))
    return away_m <= ANY_MEANS_MPS * gap_s + slack_m


def _moved(core: Core, m: Measurement, rival: Rival, model: Model) -> Core:
    """The Core that a rival takes over with its newest fix."""
    bank = adopted(moments(rival.bank), model.motion)
    x, lat0, lon0 = moments(bank), rival.lat0_deg, rival.lon0_deg
    return Core(
        time_ns=m.time_ns, lat0_deg=lat0, lon0_deg=lon0, bank=bank, x=x, updated_ns=m.time_ns, first_ns=core.first_ns,
        bias=_lasting(m), hits=core.hits + 1, refused=core.refused, spot_e=x[0], spot_n=x[2], moved_ns=m.time_ns,
        fixed=core.fixed or m.origin == "fix", device=m.device, noise=core.noise,
    )  # fmt: skip


def _in_frame(core: Core | Rival, m: Measurement) -> tuple | None:
    """(e, n, r_ee, r_en, r_nn, ve, vn) in the frame of a Core or Rival."""
    en = near_en(core.lat0_deg, core.lon0_deg, m.lat_deg, m.lon_deg)
    if en is None:
        return None
    c, s = turn(m.lat_deg, m.lon_deg, core.lat0_deg, core.lon0_deg)
    ree, ren, rnn = turned(m.r_ee, m.r_en, m.r_nn, c, s)
    ve, vn = m.ve_mps, m.vn_mps
    if ve is not None and vn is not None:
        ve, vn = c * ve + s * vn, -s * ve + c * vn
    return en[0], en[1], ree, ren, rnn, ve, vn


def _settled(core: Core, bank: Bank, x: State, m: Measurement) -> Core:
    """The Core after a used measurement: movement noted, anchor moved where it is far."""
    spot_e, spot_n, moved_ns = core.spot_e, core.spot_n, core.moved_ns
    gain = min(1.0, (x[4] + x[11]) / (m.r_ee + m.r_nn))
    bias = core.bias + gain * (_lasting(m) - core.bias)
    away = max(30.0, 3.0 * math.sqrt(max(x[4], x[11]) + bias))
    if math.hypot(x[0] - spot_e, x[2] - spot_n) > away:
        spot_e, spot_n, moved_ns = x[0], x[2], m.time_ns
    lat0, lon0 = core.lat0_deg, core.lon0_deg
    if abs(x[0]) > REANCHOR_M or abs(x[2]) > REANCHOR_M:
        old = frame(lat0, lon0)
        spot = old.geodetic(spot_e, spot_n)
        lat1, lon1 = old.geodetic(x[0], x[2])
        c, s = turn(lat0, lon0, lat1, lon1)
        bank = shifted(bank, x[0], x[2], c, s)
        x = (0.0, *scalar_engine.rotated((0.0, x[1], 0.0, *x[3:]), c, s)[1:])
        lat0, lon0 = lat1, lon1
        near = near_en(lat0, lon0, *spot)
        spot_e, spot_n = near if near is not None else (0.0, 0.0)
    recent = core.recent << 1 & 0xFF if m.origin == "fix" else core.recent
    rival = core.rival
    if rival is not None and (m.device == rival.device or not rival.device or m.time_ns - rival.time_ns > RIVAL_S * NS):
        rival = None
    return Core(
        time_ns=m.time_ns, lat0_deg=lat0, lon0_deg=lon0, bank=bank, x=x, updated_ns=m.time_ns, first_ns=core.first_ns,
        bias=bias, hits=core.hits + 1, refused=core.refused, spot_e=spot_e, spot_n=spot_n, moved_ns=moved_ns,
        rival=rival, recent=recent, fixed=core.fixed or m.origin == "fix", device=m.device, noise=core.noise,
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
    """x at a time not before the Core's, in the Core's frame; no ellipse is smaller than the errors that last.

    While a rival with two fixes or more lives, the ellipse covers both of them, if that says anything (``BOTH_M``) and it is
    not another receiver that has parted from this one: that has a symbol of its own.
    """
    dt_s = max(0, time_ns - core.updated_ns) / NS
    x = moments(ahead(core.bank, dt_s, model.motion)) if dt_s > 0.0 else core.x
    # the smaller semi-axis is at least that of the errors that last
    mean, spread = (x[4] + x[11]) / 2.0, math.hypot((x[4] - x[11]) / 2.0, x[6])
    if mean - spread < core.bias:
        lift = core.bias - (mean - spread)
        x = (*x[:4], x[4] + lift, *x[5:11], x[11] + lift, *x[12:])
    rival = core.rival
    if rival is not None and rival.hits > 1 and not core.parted:
        near = near_en(core.lat0_deg, core.lon0_deg, rival.lat_deg, rival.lon_deg)
        if near is not None and math.hypot(near[0] - x[0], near[1] - x[2]) <= BOTH_M:
            other = moments(ahead(rival.bank, max(0, time_ns - rival.time_ns) / NS, any_motion()))
            x = scalar_engine.blended(x, (near[0], other[1], near[1], *other[3:]), 0.5)
    return x


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
