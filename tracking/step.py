"""One measurement into one track's filter: use it, refuse it, or let it take over; a pure function from Core to Core.

A ``Core`` is all that the filter knows; ``advance(core, measurement)`` gives the next one.  Because nothing else
goes in, a late measurement is handled by running the later ones again (``track_state``), to the same digits as if
it had come in time.

The motion is a bank of modes (``tracking.motion``).  A device's own fixes decide where it is: one is refused only where a
false fix is likelier than what the bank foretells (``log_if_false``), never for being faster than a class.  A refused fix
begins or feeds a *rival*, a second hypothesis of no class, anywhere on Earth; when ``reinit_count`` in a row agree, or one
comes after a silence of ``reinit_s`` in which it could have been travelled by any means, the rival takes over.  So one bad
fix never harms, and no track is lost to its own gate.

The errors of a receiver last for minutes: however many of its fixes agree, the share
``LASTING`` of their variance stays in what is said of the position (a bias that is considered, not estimated: Schmidt 1966).

Longer than 400 lines: what becomes of one measurement is decided in one place.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from msgspec.structs import replace

from birddog.geo import distance_m
from birddog.units import NS
from tracking import arms, dwell, majority, onward, reach, setoff
from tracking import engine as scalar_engine
from tracking.anchor import REANCHOR_M, frame, near_en, turn
from tracking.arms import TOGETHER_M, Receiver
from tracking.bank import NEW_V
from tracking.core import Core, Model, Place, Rival, White
from tracking.engine import State
from tracking.kernel import (
    ALONE_S,
    DIFFERS_S,
    FALSE,
    FALSE_SCALE_M,
    LAG_CHANCE,
    LAG_HELD,
    LASTING,
    OUTLIER_MOST,
    STOOD_S,
    WHITE_S,
    faster,
    gone_on,
    lagged,
    lasting_share,
    rested,
    whiter,
)
from tracking.learnt import DeviceNoises, believed, class_variance, learnt, wandered
from tracking.learnt import lasting as lasting_of
from tracking.measurement import Measurement
from tracking.motion import (
    Bank,
    Fit,
    Motion,
    Position,
    Velocity,
    adopted,
    any_motion,
    begun,
    moments,
    shifted,
    stepped,
)
from tracking.rivals import AGREES_NIS, in_frame, outlived, witnessed
from tracking.running import Running, runs
from tracking.sides import after as sides_after
from tracking.stuck import MOVES_MPS

__all__ = [
    "Core", "Model", "Place", "Rival", "Verdict", "advance", "followed", "lasting", "placed", "predicted", "stayed", "unlearnt",
    "weighed",
]  # fmt: skip

#: ``beside``: it moves nothing: it is where its receiver's arm has it, while the first receiver is heard; or it is where the
#: track is, and its receiver is not believed yet; or its receiver hangs (``hung``, ``stuck``); or it is too rough.
Verdict = Literal["began", "used", "refused", "moved", "beside"]

#: One sigma per axis of the velocity of a rival, of which nothing is known.
RIVAL_SPEED_MPS = 20.0
#: A stated velocity whose NIS is larger in every mode of a rival is left out.
VELOCITY_GATE = 25.0
#: Nothing that carries a shipment is faster, m/s.
ANY_MEANS_MPS = 340.0
#: Two hypotheses no further apart than this are covered by one ellipse; of others the row shows a second symbol.
BOTH_M = 50_000.0
#: What goes faster than this, m/s, turns or brakes once in so many seconds.
TURN_MPS, TURN_S = 3.0, 600.0
#: One sigma per axis of the speed, m/s, of what sets off; a lasting stop of the bank's ends once in so many seconds; what was
#: seen to set off goes on.
OFF_MPS, LEAVES_S, GOES_ON = 25.0, 7200.0, 0.9
#: A fix brings a leap with it that leaves more than this times the speed, and so many m/s.
LEAP, LEAP_MPS = 2.0, 20.0
#: What stands starts no faster, m/s²; nearer than this, m, a fix and a sighting may be two places of one thing.
STARTS_MPS2, STARTS_M = 4.0, 30.0
#: A fix that states this, m, one sigma, and more, and would move the place by less than this share of what it is off by.
ROUGH_M, ROUGH_GAIN = 50.0, 0.01
#: Nothing is known of how long a receiver's errors last, nor whether the filter lags.
NO_WHITE = (0.0, 0.0, 0.0, 0.0, 0.0)


def _begin(m: Measurement, model: Model) -> Core:
    if model.motion.engine is None:
        running = Running(model)
        running.begin(m)
        core = running.core()
        return core if m.origin == "fix" else replace(core, fixed=False, device="", fix_ns=0)
    fit = _fresh(m, model.motion, model.preset.speed_sigma_mps)
    return Core(
        time_ns=m.time_ns, lat0_deg=m.lat_deg, lon0_deg=m.lon_deg, bank=fit.bank, x=fit.x, updated_ns=m.time_ns,
        first_ns=m.time_ns, bias=_lasting(m, (), class_variance(m, model.preset), 0.0), fixed=m.origin == "fix",
        device=m.device if m.origin == "fix" else "", fix_ns=m.time_ns if m.origin == "fix" else 0,
        sides=sides_after(None, m.time_ns, 0.0, 0.0, 0.0, max(m.r_ee, m.r_nn), 0.0, None) if m.origin == "fix" else None,
    )  # fmt: skip


def unlearnt(core: Core, device: str, m: Measurement, model: Model) -> Core:
    """The Core of a track when it is known that the clock of one of its receivers was wrong: not by that one's places, nor by
    how far the others seemed to be from it.

    Args:
        m: its next fix; where it had been taken elsewhere by that receiver, it begins there.
    """
    seen = in_frame(core, m)
    if core.device != device or (seen is not None and math.hypot(seen[0][0] - core.x[0], seen[0][1] - core.x[2]) < TOGETHER_M):
        return replace(core, receivers=(), sides=None, rival=None)
    return replace(
        _begin(m, model), first_ns=core.first_ns, hits=core.hits + 1, refused=core.refused, noise=core.noise,
        moved_ns=m.time_ns,
    )  # fmt: skip


def _fresh(m: Measurement, motion: Motion, speed_sigma_mps: float) -> Fit:
    """A bank at one measurement, in its frame, with its velocity where it states one."""
    bank = begun(0.0, 0.0, m.r_ee, m.r_en, m.r_nn, motion, max(speed_sigma_mps**2, NEW_V))
    v = (m.ve_mps, m.vn_mps, m.r_v, math.inf) if m.ve_mps is not None and m.vn_mps is not None else None
    return stepped(bank, 0.0, motion, None, v)


def _lasting(
    m: Measurement, noise: DeviceNoises, base: float | None, said: float | None = None, white: White = NO_WHITE
) -> float:
    """The variance per axis of a measurement's error that the next one of the same source repeats.

    Args:
        said: the variance that it states, where that is not what it is believed to have, 0 of a reference engine.
        white: ``Core.white`` after it.
    """
    if m.origin == "sighting":
        return 0.0
    r = LASTING * (m.r_ee + m.r_nn) / 2.0
    if base is None:
        return r
    if m.stated:
        return lasting_of(noise, m.device, r, r if said is None else said, lasting_share(white[0], white[1]))
    return max(r, lasting_of(noise, m.device, base))


def _bank(core: Core, motion: Motion) -> Bank:
    """The Core's bank; after another class or engine one of its modes that goes on from the same Gaussian."""
    return core.bank if len(core.bank) == len(motion.modes) else adopted(core.x, motion)


def log_if_false(away2: float, r: float, ee: float = 0.0, nn: float = 0.0) -> float:
    """The log density, 1/m², of a false fix: heavy-tailed (bivariate Cauchy) about a truth that is itself no better known.

    Args:
        away2: how far it is from there, m²; r, ee, nn: how much wider it spreads than ``FALSE_SCALE_M``, m².
    """
    scale2 = FALSE_SCALE_M**2 + r + ee + nn
    return math.log(FALSE / (2.0 * math.pi)) + 0.5 * math.log(scale2) - 1.5 * math.log(away2 + scale2)


def _outlier_log(x: State, z: Position) -> float:
    """That of a false position about a state."""
    return log_if_false((z[0] - x[0]) ** 2 + (z[1] - x[2]) ** 2, 9.0 * max(z[2], z[4]), x[4], x[11])


def _turned(core: Core, m: Measurement, z: Position, dt_s: float, motion: Motion) -> Fit | None:
    """The bank of what was under way and turned, braked or went on faster since its last fix; None where that can't be asked.

    A motion of the bank goes on from the velocity that it had, or stands.  Here the velocity is any of that size since a
    moment that nobody knows: the place is half-way on the old course, give or take most of the way.  Of another receiver of
    the shipment it is not asked: that one may have parted.  The reference engines have their one motion and no more.
    """
    x = core.x
    going = math.hypot(x[1], x[3])
    if going < TURN_MPS or dt_s <= 0.0 or not _own(core, m) or len(motion.modes) == 1:
        return None
    speed2, half = (going + TURN_MPS) ** 2, dt_s / 2.0
    place, cross, speed = 0.4 * speed2 * dt_s * dt_s, 0.3 * speed2 * dt_s, 0.75 * speed2
    state = (
        x[0] + half * x[1], x[1] / 2.0, x[2] + half * x[3], x[3] / 2.0,
        x[4] + place, cross, x[6], 0.0, speed, 0.0, 0.0, x[11] + place, cross, speed,
    )  # fmt: skip
    nis, det = scalar_engine.innovation(state, *z)
    log = -0.5 * (nis + math.log(det)) - math.log(2.0 * math.pi) + math.log(-math.expm1(-dt_s / TURN_S))
    after = scalar_engine.update_position(state, *z)
    return Fit(adopted(after, motion), after, nis, log, 0.0)


def _off(core: Core, m: Measurement, z: Position, dt_s: float, motion: Motion) -> Fit | None:
    """The bank of what stood and set off since its last fix, or had set off just before that, at any speed of a road; None
    where that can't be asked.

    A stay of which no more is known than that it has lasted for T ends within t with the chance t / (T + t) (``dwell``), and
    the bank's own lasting stop within ``LEAVES_S``.  It left at any moment: the place is a part of what its speed makes of the
    whole time.  Of what was seen to set off its speed is not known either, but that it goes.
    """
    x = core.x
    if dt_s <= 0.0 or not _own(core, m) or len(motion.modes) == 1:
        return None
    v2, ve, vn, share, cross, begins = OFF_MPS**2, 0.0, 0.0, 1.0 / 3.0, 1.0 / 2.0, GOES_ON
    if setoff.sets_off(core.way):
        share, cross = 1.0, 1.0
        faster = min(1.5, setoff.ROAD_MPS / max(math.hypot(core.way[0], core.way[1]), 1.0))
        ve, vn = core.way[0] * max(faster, 1.0), core.way[1] * max(faster, 1.0)
    elif core.stay_s > 0.0 and math.hypot(x[1], x[3]) < TURN_MPS:
        stood_s = core.stood_s
        begins = max(dt_s / (stood_s + dt_s), -math.expm1(-dt_s / LEAVES_S))
    else:
        return None
    place, both = share * v2 * dt_s * dt_s, cross * v2 * dt_s
    state = (
        x[0] + dt_s * ve, ve, x[2] + dt_s * vn, vn,
        x[4] + place, both, x[6], 0.0, v2, 0.0, 0.0, x[11] + place, both, v2,
    )  # fmt: skip
    nis, det = scalar_engine.innovation(state, *z)
    log = -0.5 * (nis + math.log(det)) - math.log(2.0 * math.pi) + math.log(begins)
    after = scalar_engine.update_position(state, *z)
    return Fit(adopted(after, motion), after, nis, log, 0.0)


def _outweighed(
    core: Core, m: Measurement, z: Position, v: Velocity | None, dt_s: float, fit: Fit, motion: Motion
) -> Fit | None:
    """The bank where a device's own fix lies elsewhere than anonymous evidence had taken the track a moment ago, so far that
    only what takes off would make that leap; None where that is not so.

    That evidence was another's, or is about to be.  Seen from it the fix brings a velocity that nothing has: it is asked of
    the time since the device's own last fix instead.

    Args:
        fit: as it is without.
    """
    if not core.lent or m.origin != "fix" or core.fix_ns == 0:
        return None
    if math.hypot(fit.x[1], fit.x[3]) <= LEAP_MPS + LEAP * math.hypot(core.x[1], core.x[3]):
        return None
    turned = _turned(core, m, z, max(dt_s, (m.time_ns - core.fix_ns) / NS), motion)
    return None if turned is None else stepped(turned.bank, 0.0, motion, None, v)


def _beyond_start(core: Core, m: Measurement, z: Position, dt_s: float) -> bool:
    """Whether a device's own fix lies further from where anonymous evidence had it stand a moment ago than anything starts.

    It is false, or the receiver was taken elsewhere since its own last fix; how far that is says nothing of how fast it goes.
    """
    x = core.x
    if not core.lent or m.device != core.device or core.fix_ns == 0 or math.hypot(x[1], x[3]) >= TURN_MPS:
        return False
    known = 3.0 * math.sqrt(max(z[2], z[4]) + max(x[4], x[11]) + core.bias)
    return math.hypot(z[0] - x[0], z[1] - x[2]) > STARTS_M + known + 0.5 * STARTS_MPS2 * dt_s * dt_s


def _leaps(core: Core, fit: Fit) -> bool:
    """Whether anonymous evidence lies elsewhere than a device's own fix had the track a moment ago, so far that only what takes
    off would make that leap: it is another's, or that fix is no good.
    """
    return (not core.lent and core.fixed
            and math.hypot(fit.x[1], fit.x[3]) > LEAP_MPS + LEAP * math.hypot(core.x[1], core.x[3]))  # fmt: skip


def _own(core: Core, m: Measurement) -> bool:
    """Whether a fix is of the receiver that was heard last, or of one of which it is known how far it is from that."""
    if m.device == core.device:
        return True
    one = arms.of(core.receivers, core.device if core.receivers and m.device == core.receivers[0].device else m.device)
    return one is not None and one.lever(core.x[1], core.x[3]) is not None


def _received(core: Core, m: Measurement) -> Core:
    """The Core of a track of several receivers that knows of one more fix of one of them."""
    receivers = core.receivers
    if not receivers:
        lat, lon, x = placed(core, core.x)
        r_v = (x[8] + x[13]) / 2.0
        r_v = r_v if core.hits > 1 else max(r_v, arms.UNKNOWN_V)  # of one fix only its class is known
        lead = Receiver(core.device, core.updated_ns, lat, lon, (x[4] + x[11]) / 2.0, x[1], x[3], r_v)
        receivers = (lead,)
    receivers = majority.together(arms.heard(receivers, m, core.x[1], core.x[3]))
    return replace(core, receivers=receivers if len(receivers) > 1 else ())


def _anew(core: Core, m: Measurement, model: Model) -> Core:
    """The Core of which it is just known that its receivers are apart, and which one after the other had pulled to and fro.

    Args:
        m: without the arm: where the first one is.
    """
    lead, core = core.receivers[0], replace(core, receivers=arms.settled(core.receivers))
    m = replace(m, ve_mps=lead.ve_mps, vn_mps=lead.vn_mps, r_v=max(1.0, 4.0 * lead.r_v))
    seen = in_frame(core, m)
    if seen is None:
        return core
    fit = _fresh(m, model.motion, model.preset.speed_sigma_mps)
    (e, n), core = seen[0][:2], replace(core, sides=None, rival=None, recent=0)
    x = (e, fit.x[1], n, *fit.x[3:])
    return _settled(core, shifted(fit.bank, -e, -n, 1.0, 0.0), x, m, core.noise, None)


def _decides(core: Core, m: Measurement) -> bool:
    """Whether a measurement is one of those that say where the track is: a device's own fix, or for what has none a read."""
    return m.origin == "fix" or (m.origin == "tag_read" and not core.fixed)


def advance(core: Core | None, m: Measurement, model: Model) -> tuple[Core, Verdict, float]:
    """The next Core, what became of the measurement, and its NIS (inf beyond 2,000 km, 0 for the first).

    ``m`` must not be older than ``core`` and its R positive definite.
    """
    if core is None:
        return _begin(m, model), "began", 0.0
    if m.here:
        one = arms.of(core.receivers, m.device)
        if one is not None and one.hangs:  # it was left there, as somebody knows
            core = replace(core, receivers=())
        if len(core.receivers) > 2:
            return _with_most(_received(core, m), m, model, chosen=True), "moved", math.inf
        return _moved(core, m, _rival(core, m), model), "moved", math.inf
    if m.doubted:
        return _doubted(core, m, model)
    motion, preset = model.motion, model.preset
    base = class_variance(m, preset)
    lever: tuple[float, float] | None = None
    if m.origin == "fix" and (core.receivers or core.device not in ("", m.device)):
        before, core = core.receivers, _received(core, m)
        one = arms.of(core.receivers, m.device)
        if m.hung:
            return _hung(core, m), "beside", 0.0
        if one is not None and one.hold is not None and one.hangs:
            if not one.hold.sure:  # it may have been left there
                return _refused(replace(core, sides=None), m, model, math.inf)
            rival = core.rival if core.rival is not None and core.rival.device != m.device else None
            return replace(core, time_ns=m.time_ns, rival=rival), "beside", 0.0
        if majority.alone(core.receivers, m, before) or arms.gone(core.receivers, core.device, m.device):
            # what was two places in turn has become two ways
            return _refused(replace(core, sides=None), m, model, math.inf)
        arm = arms.of(core.receivers[1:], m.device)
        lever = None if arm is None else arm.lever(core.x[1], core.x[3])
        if arm is not None and lever is not None:
            if arm.breaks and not core.receivers[0].hangs:
                return _refused(core, m, model, math.inf)
            m, base = arms.without_lever(lever, m), None
        if arms.unsettled(core.receivers):
            return _anew(core, m, model), "used", 0.0
        if lever is not None and arms.is_heard(core.receivers, m.time_ns):
            rival = core.rival if core.rival is not None and core.rival.device != m.device else None
            return replace(core, time_ns=m.time_ns, rival=rival), "beside", 0.0
    if m.hung:
        return _hung(core, m), "beside", 0.0
    if lever is None and _says_nothing(core, m, model):
        return replace(_agreed(core, m), time_ns=m.time_ns, run=0, recent=core.recent << 1 & 0xFF), "beside", 0.0
    usual = None if lever is not None else followed(core, m, model)
    if usual is not None:
        return usual[0], "used", usual[1]
    as_stated = m
    said, says = (m.r_ee + m.r_nn) / 2.0 if base is not None and m.stated else base, max(m.r_ee, m.r_nn)
    m = m if base is None else believed(core.noise, m, _share(core, m), textbook=motion.engine is not None)
    seen, nis = in_frame(core, m), math.inf
    if seen is not None:
        z, v = seen
        if m.origin == "fix":
            since_s, speed = max(0, m.time_ns - core.updated_ns) / NS, 0.0 if v is None else math.hypot(v[0], v[1])
            says = says if m.stated else min(says, max(z[2], z[4]))
            torn = core.sides is not None and core.sides.torn
            sides = sides_after(core.sides, m.time_ns, since_s, z[0], z[1], says, speed, core.moved_ns)
            core = replace(core, sides=sides)
            if sides.torn and sides.off == 0:
                return _stands(core, m, sides.middle, model), "used", 0.0
            if torn and not sides.torn and m.time_ns - sides.changed_ns > ALONE_S * NS:
                return _stands(core, m, sides.place, model), "used", 0.0
        if v is not None:
            v = (*v[:3], preset.gate)
        dt_s = max(0, m.time_ns - core.updated_ns) / NS
        bank = _bank(core, motion)
        fit = stepped(bank, dt_s, motion, z, v)
        nis = fit.nis
        fits = fit.log >= OUTLIER_MOST
        if not fits:
            false_log = _outlier_log(moments(bank, dt_s, motion), z)
            fits = fit.log >= false_log
            if not fits and _decides(core, m):
                turned = _off(core, m, z, dt_s, motion) or _turned(core, m, z, dt_s, motion)
                if turned is not None and turned.log >= false_log:
                    fit, nis, fits = stepped(turned.bank, 0.0, motion, None, v), turned.nis, True
        if not _decides(core, m):
            # a read or a trigger is a place, no receiver: one that only an aeroplane explains is another tag's, or parted
            fits = nis <= preset.gate and (fits or m.origin == "sighting") and not _leaps(core, fit)
        elif fits and _beyond_start(core, m, z, dt_s):
            fits = False
        if fits:
            fit = _outweighed(core, m, z, v, dt_s, fit, motion) or fit
            near = m.stated and m.device == core.device and 0 < m.time_ns - core.updated_ns <= DIFFERS_S * NS
            noise = learnt(core.noise, fit.x, z, v, m, said, preset, core.white[2:4] if near else None)
            v = v if v is not None and fit.nis_v <= v[3] else None
            core = _agreed(core, as_stated)
            return _settled(core, fit.bank, fit.x, m, noise, base, z, v, said if motion.engine is None else 0.0), "used", nis
    return _refused(core, m, model, nis)


def _agreed(core: Core, m: Measurement) -> Core:
    """The Core whose rival has outlived a measurement that fits the track, or has not."""
    return core if core.rival is None else replace(core, rival=outlived(core.rival, m, decides=_decides(core, m)))


def _hung(core: Core, m: Measurement) -> Core:
    """The Core after a fix that only says its receiver's last place again: where it is it does not say, but how fast it goes,
    whatever it did before.  Of another receiver than the one that is followed it says neither.
    """
    said = m.speed_mps
    if m.device != core.device or not MOVES_MPS < said <= ANY_MEANS_MPS:
        return replace(core, time_ns=m.time_ns)
    return replace(core, time_ns=m.time_ns, moved_ns=m.time_ns, way=(*core.way[:6], max(core.way[6], said * said)))


def _says_nothing(core: Core, m: Measurement, model: Model) -> bool:
    """Whether a fix of another receiver than the one that is followed is so rough that it tells nothing of what is known.

    Nobody saw since then that the thing stands: it may have set off when it was last seen, not when a cell of 2 km had it.
    """
    r = m.r_ee + m.r_nn
    if m.origin != "fix" or m.device == core.device or r < 2.0 * ROUGH_M * ROUGH_M or model.motion.engine is not None:
        return False
    seen = in_frame(core, m)
    if seen is None:
        return False
    x = moments(_bank(core, model.motion), max(0, m.time_ns - core.updated_ns) / NS, model.motion)
    return x[4] + x[11] <= ROUGH_GAIN * r and scalar_engine.innovation(x, *seen[0])[0] <= AGREES_NIS


def followed(core: Core, m: Measurement, model: Model) -> tuple[Core, float, Place] | None:
    """``advance`` and ``placed`` of a fix like nearly all, in one call of the kernel: the next Core, its NIS and its place.

    None where it is no such fix (``kernel.follow``): ``advance`` goes the long way.
    """
    if not runs(core, model):
        return None
    running = Running(model)
    running.load(core)
    return (running.core(), running.told()[0], running.place) if running.follow(m) else None


def _stands(core: Core, m: Measurement, where: tuple[float, float, float], model: Model) -> Core:
    """The Core of what stands between the two places that its sources steadily hold it to be in, or at one of them again: it
    has not moved since before they differed.

    Args:
        where: e, n, and the variance per axis.
    """
    e, n, r = where
    still = replace(m, r_ee=r, r_en=0.0, r_nn=r, ve_mps=0.0, vn_mps=0.0, r_v=model.preset.velocity_sigma_mps**2, stated=True)
    fit = _fresh(still, model.motion, model.preset.speed_sigma_mps)
    bank = shifted(fit.bank, -e, -n, 1.0, 0.0)
    x = (e, 0.0, n, 0.0, *fit.x[4:])
    moved_ns = core.moved_ns if core.sides is None else core.sides.moved_ns
    core = replace(core, bias=r, rival=None, recent=0, spot_e=e, spot_n=n, stay_e=e, stay_n=n, moved_ns=moved_ns)
    return _settled(core, bank, x, still, core.noise, None)


def _refused(core: Core, m: Measurement, model: Model, nis: float) -> tuple[Core, Verdict, float]:
    """A measurement that the track does not believe: the rival's, which may take over with it."""
    decides = _decides(core, m)
    gap_s = (m.time_ns - core.updated_ns) / NS
    if (decides or m.origin == "tag_read") and gap_s >= model.presets.reinit_s and _reachable(core, m, gap_s):
        return _moved(core, m, _rival(core, m), model), "moved", nis
    is_fix = m.origin == "fix"
    core = replace(
        core, time_ns=m.time_ns, refused=core.refused + 1, run=core.run + is_fix,
        recent=(core.recent << 1 | 1) & 0xFF if is_fix else core.recent,
    )  # fmt: skip
    if not decides:
        return core, "refused", nis
    rival = _rival(core, m)
    if rival.hits == 1 and majority.stays(core, m):
        return core, "refused", nis
    if majority.outvoted(core, rival, m.time_ns):
        return _with_most(core, m, model), "moved", nis
    denied = rival.denied or majority.is_chosen(core, rival)
    if denied and rival.device and gap_s < model.presets.reinit_s and not _yields(core, rival):
        return replace(core, rival=rival), "refused", nis
    # of a track of one or two fixes it is as likely that those were false; what anonymous evidence moved is moved back sooner
    if rival.hits >= min(model.presets.reinit_count, core.hits + 1, 2 if core.lent else core.hits + 1):
        return _moved(core, m, rival, model), "moved", nis
    return replace(core, rival=rival), "refused", nis


def _yields(core: Core, rival: Rival) -> bool:
    """Whether the receiver that the track follows hangs where it is, or was left there, and the rival's goes on."""
    own, other = arms.of(core.receivers, core.device), arms.of(core.receivers, rival.device)
    if own is None or not own.hangs or other is None or other.hold is None or other.hold.count:
        return False
    gone_m = distance_m(lat1_deg=rival.lat0_deg, lon1_deg=rival.lon0_deg, lat2_deg=rival.lat_deg, lon2_deg=rival.lon_deg)
    return gone_m > arms.TOGETHER_M + 3.0 * math.sqrt(2.0 * rival.r)


def _doubted(core: Core, m: Measurement, model: Model) -> tuple[Core, Verdict, float]:
    """A fix of a receiver that the looks belie: it moves nothing; where it is not where the track is, it is the rival's."""
    seen, nis = in_frame(core, m), math.inf
    if seen is not None:
        dt_s = max(0, m.time_ns - core.updated_ns) / NS
        # about the whole mixture: one of its motions, of what takes off, is always there
        nis = scalar_engine.innovation(moments(_bank(core, model.motion), dt_s, model.motion), *seen[0])[0]
        if nis <= AGREES_NIS:
            if m.origin != "fix":
                return replace(core, time_ns=m.time_ns), "beside", nis
            return replace(core, time_ns=m.time_ns, rival=None, run=0, recent=core.recent << 1 & 0xFF), "beside", nis
    if m.origin != "fix":  # a read of a tag that has parted
        rival = replace(_rival(core, m), doubted=True) if core.rival is None or core.rival.doubted else core.rival
        return replace(core, time_ns=m.time_ns, refused=core.refused + 1, rival=rival), "refused", nis
    core = replace(
        core, time_ns=m.time_ns, refused=core.refused + 1, run=core.run + 1, recent=(core.recent << 1 | 1) & 0xFF,
        rival=replace(_rival(core, m), doubted=True),
    )  # fmt: skip
    return core, "refused", nis


def _rival(core: Core, m: Measurement) -> Rival:
    """The rival after one more refused fix: the old one with it, or a new one where they do not agree."""
    motion, old = any_motion(), core.rival
    seen = None if old is None else in_frame(old, m)
    if old is not None and seen is not None:
        z, v = seen
        dt_s = max(0, m.time_ns - old.time_ns) / NS
        fit = stepped(old.bank, dt_s, motion, z, None if v is None else (*v[:3], VELOCITY_GATE))
        if fit.log >= _outlier_log(moments(old.bank, dt_s, motion), z):
            # several receivers that agree against the one that the track follows are as much as the first of them
            one_side = m.device == old.device or (m.origin == "fix" and core.device not in (m.device, old.device))
            device = old.device if one_side else ""
            against = tuple(one for one in old.against if one != m.device)
            return Rival(m.time_ns, old.lat0_deg, old.lon0_deg, fit.bank, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn),
                         old.begun_ns, device, old.hits + 1, denied=old.denied, said=witnessed(old, m), against=against,
                         read_against=old.read_against)  # fmt: skip
    bank = _fresh(m, motion, RIVAL_SPEED_MPS).bank
    # a read is by a reader that stands somewhere, no receiver that travels with the goods
    device = m.device if m.origin == "fix" else ""
    return Rival(m.time_ns, m.lat_deg, m.lon_deg, bank, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn), m.time_ns, device,
                 said=witnessed(None, m))  # fmt: skip


def _reachable(core: Core, m: Measurement, gap_s: float) -> bool:
    """Whether a fix after a long silence can have been travelled to, by any means there is."""
    lat, lon, x = placed(core, core.x)
    away_m = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
    slack_m = 3.0 * (math.sqrt(m.r_ee + m.r_nn) + math.sqrt(x[4] + x[11] + 2.0 * core.bias))
    return away_m <= ANY_MEANS_MPS * gap_s + slack_m


def _moved(core: Core, m: Measurement, rival: Rival, model: Model) -> Core:
    """The Core that a rival takes over with its newest fix."""
    bank = adopted(moments(rival.bank, 0.0, any_motion()), model.motion)
    x, lat0, lon0 = moments(bank, 0.0, model.motion), rival.lat0_deg, rival.lon0_deg
    # how fast it goes is told by what took over where that is several fixes, else by the way there where it was on its way
    gap_s, went2, far = (m.time_ns - core.updated_ns) / NS, reach.known2(x), 0.0
    if rival.hits == 1 and gap_s >= model.presets.reinit_s and core.moved_ns == core.updated_ns:
        lat, lon, _ = placed(core, core.x)
        far = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
        went2 = min(far / gap_s, ANY_MEANS_MPS) ** 2
    return Core(
        time_ns=m.time_ns, lat0_deg=lat0, lon0_deg=lon0, bank=bank, x=x, updated_ns=m.time_ns, first_ns=core.first_ns,
        bias=_lasting(m, core.noise, class_variance(m, model.preset), None if model.motion.engine is None else 0.0),
        hits=core.hits + 1, refused=core.refused,
        receivers=core.receivers if _stays_known(core, m) else (),
        spot_e=x[0], spot_n=x[2], moved_ns=m.time_ns, stay_e=x[0], stay_n=x[2],
        fixed=core.fixed or m.origin == "fix",
        device=m.device if m.origin == "fix" else core.device, fix_ns=m.time_ns if m.origin == "fix" else core.fix_ns,
        noise=core.noise, white=(*core.white[:2], 0.0, 0.0, 0.0) if m.origin == "fix" and m.device == core.device else NO_WHITE,
        way=(0.0, 0.0, *core.way[2:5], 0.0, faster(core.way[6], went2, gap_s, far)),
    )  # fmt: skip


def _with_most(core: Core, m: Measurement, model: Model, *, chosen: bool = False) -> Core:
    """The Core of a track that goes on with those of its receivers that its rival is made of, as most of them say or somebody
    has chosen.
    """
    rival = _rival(core, m)
    return replace(_moved(core, m, rival, model), receivers=majority.led(core.receivers, rival, m, chosen=chosen))


def left_to_rival(core: Core, model: Model) -> Core:
    """The Core of a track of which the receiver that it followed is gone, and had parted: it is where its rival's fixes say.

    As of ``core``, so that what came after that goes on from it.
    """
    rival = core.rival
    assert rival is not None, "it has parted"
    m = Measurement(
        rival.time_ns, rival.device, "fix", rival.lat_deg, rival.lon_deg, rival.r, 0.0, rival.r, stated=True,
    )  # fmt: skip
    refused = max(0, core.refused - rival.hits)
    return replace(_moved(core, m, rival, model), time_ns=core.time_ns, hits=core.hits, refused=refused)


def _stays_known(core: Core, m: Measurement) -> bool:
    """Whether a track that goes on at another place knows still how far its receivers are from the first one."""
    own = arms.of(core.receivers, core.device)
    return core.receivers[:1] != () and m.device == core.receivers[0].device or (own is not None and own.hangs)


class Weighed(msgspec.Struct, frozen=True):
    """What ``advance`` weighs of a measurement: its log density under the bank and as a false one, where it was expected, and
    its NIS about that.
    """

    log: float
    false_log: float
    expected: State
    nis: float


def weighed(core: Core, m: Measurement, model: Model) -> Weighed | None:
    """What a measurement is worth to a filter, to be read by people; None where it lies too far away to be asked."""
    base = class_variance(m, model.preset)
    m = m if base is None else believed(core.noise, m, _share(core, m), textbook=model.motion.engine is not None)
    seen = in_frame(core, m)
    if seen is None:
        return None
    z, dt_s, bank = seen[0], max(0, m.time_ns - core.updated_ns) / NS, _bank(core, model.motion)
    x = moments(bank, dt_s, model.motion)
    log = stepped(bank, dt_s, model.motion, z).log
    return Weighed(log, _outlier_log(x, z), x, scalar_engine.innovation(x, *z)[0])


def _white(core: Core, x: State, z: Position | None, m: Measurement, gain: float, dt_s: float) -> White:
    """``Core.white`` after a used measurement: of one receiver, which states its sigma; another one's fix begins it anew."""
    if m.origin != "fix":
        return core.white
    if z is None:
        return NO_WHITE
    e, n = z[0] - x[0], z[1] - x[2]
    if m.device != core.device:
        return 0.0, 0.0, e, n, 0.0
    white, white_n, y_e, y_n, lag = core.white
    r = (m.r_ee + m.r_nn) / 2.0
    lag = lagged(lag, dt_s, e, n, y_e, y_n, x[1], x[3], core.x[1], core.x[3], r)
    if not m.stated:
        return 0.0, 0.0, e, n, lag
    if 0.0 < dt_s <= WHITE_S:
        white, white_n = whiter(white, white_n, y_e, y_n, e, n, gain, r)
    return white, white_n, e, n, lag


def _share(core: Core, m: Measurement) -> float:
    """The share of a fix's variance that is taken to last."""
    return lasting_share(core.white[0], core.white[1]) if m.device == core.device else 1.0


def _settled(
    core: Core, bank: Bank, x: State, m: Measurement, noise: DeviceNoises, base: float | None, z: Position | None = None,
    v: Velocity | None = None, said: float | None = None,
) -> Core:  # fmt: skip
    """The Core after a used measurement: movement noted, anchor moved where it is far.

    Args:
        said: as ``_lasting`` has it.
        z: what was measured, in its frame, where the filter was updated with it and nothing more; v: the velocity that it was
            updated with.
    """
    gain = min(1.0, (x[4] + x[11]) / (m.r_ee + m.r_nn))
    dt_s = max(0, m.time_ns - core.updated_ns) / NS
    white = _white(core, x, z, m, gain, dt_s)
    bias = core.bias + gain * (_lasting(m, noise, base, said, white) - core.bias)
    if m.origin == "fix" and said != 0.0:  # the reference engines stay the textbook's
        bias = max(bias, LAG_HELD * white[4] - LAG_CHANCE * (m.r_ee + m.r_nn) / 2.0)
    left, spot_e, spot_n, stay_e, stay_n, stay_s, away2 = rested(
        x[0], x[2], max(x[4], x[11]) + bias, dt_s, core.spot_e, core.spot_n, core.stay_e, core.stay_n, core.stay_s
    )
    if not left and dt_s > 0.0 and stay_s > STOOD_S and base is not None:
        noise = wandered(noise, m.device, dt_s, stay_s, away2)
    moved_ns = m.time_ns if left else core.moved_ns
    if z is None:
        way = (0.0, 0.0, *core.way[2:5], 0.0, core.way[6])
    else:
        ahead_e, ahead_n = (0.0, math.nan) if v is None else v[:2]
        way = gone_on(
            *core.way, left, x[0] - core.x[0], x[2] - core.x[2], dt_s, ahead_e, ahead_n, core.stay_s, reach.known2(x)
        )
    lat0, lon0 = core.lat0_deg, core.lon0_deg
    if abs(x[0]) > REANCHOR_M or abs(x[2]) > REANCHOR_M:
        old = frame(lat0, lon0)
        spot = old.geodetic(spot_e, spot_n)
        lat1, lon1 = old.geodetic(x[0], x[2])
        c, s = turn(lat0, lon0, lat1, lon1)
        bank = shifted(bank, x[0], x[2], c, s)
        x = (0.0, *scalar_engine.rotated((0.0, x[1], 0.0, *x[3:]), c, s)[1:])
        lat0, lon0 = lat1, lon1
        way = (c * way[0] + s * way[1], -s * way[0] + c * way[1], *way[2:])
        near = near_en(lat0, lon0, *spot)
        spot_e, spot_n = near if near is not None else (0.0, 0.0)
        stay_e, stay_n, stay_s = 0.0, 0.0, 0.0
    recent = core.recent << 1 & 0xFF if m.origin == "fix" else core.recent
    return Core(
        time_ns=m.time_ns, lat0_deg=lat0, lon0_deg=lon0, bank=bank, x=x, updated_ns=m.time_ns, first_ns=core.first_ns,
        bias=bias, hits=core.hits + 1, refused=core.refused, spot_e=spot_e, spot_n=spot_n, moved_ns=moved_ns,
        rival=core.rival, recent=recent, fixed=core.fixed or m.origin == "fix",
        device=m.device if m.origin == "fix" else core.device, fix_ns=m.time_ns if m.origin == "fix" else core.fix_ns,
        lent=m.origin in ("trigger", "sighting"), noise=noise, stay_e=stay_e, stay_n=stay_n, stay_s=stay_s,
        sides=core.sides if lat0 == core.lat0_deg and lon0 == core.lon0_deg else None, receivers=core.receivers, white=white,
        way=way,
    )  # fmt: skip


def predicted(core: Core, time_ns: int, model: Model, quiet_s: float = math.inf) -> State:
    """x at a time not before the Core's, in the Core's frame; no ellipse is smaller than the errors that last.

    What has long stood is where it stands as far as its stay foretells it (``dwell``), until it is overdue; what has just left
    is where it may be at any speed (``setoff``), until it is heard again.  What has not been
    heard for longer than ``quiet_s`` may have stopped where it was, or have gone anywhere as fast as it was seen to go
    (``reach``): the ellipse holds all that.

    While a rival with two fixes or more lives, the ellipse covers both of them, if that says anything (``BOTH_M``) and it is
    not another receiver that has parted from this one, nor what a belied one says: those have a symbol of their own.
    """
    dt_s = max(0, time_ns - core.updated_ns) / NS
    if dwell.stays(core.moved_ns, core.first_ns, core.updated_ns, dt_s, quiet_s) and model.motion.engine is None:
        fit = stepped(_bank(core, model.motion), dt_s, model.motion)
        x = dwell.settled(fit.bank, model.motion, fit.x, core.stood_s, dt_s, core.way[6])
    elif setoff.sets_off(core.way) and dt_s > 0.0 and model.motion.engine is None:
        x = setoff.ahead(core.x, core.way, dt_s)
    else:
        x = moments(_bank(core, model.motion), dt_s, model.motion) if dt_s > 0.0 else core.x
        if onward.goes_on(core.way, dt_s, quiet_s) and model.motion.engine is None:
            x = onward.ahead(core.x, core.way, x, dt_s)
        if onward.turns(core.way, dt_s, quiet_s) and model.motion.engine is None:
            x = onward.turned(core.x, core.way, x, dt_s)
        if reach.leaves(core.way, dt_s, quiet_s) and model.motion.engine is None:
            x = reach.reached(core.x, core.way, x, core.stood_s, dt_s)
    x = lasting(core, x)
    if dt_s > quiet_s and len(model.motion.modes) > 1:  # the reference engines stay the textbook's
        x = reach.reached(core.x, core.way, stayed(core, x), core.stood_s, dt_s)
    rival = core.rival
    if rival is not None and rival.hits > 1 and not core.parted and not rival.doubted:
        near = near_en(core.lat0_deg, core.lon0_deg, rival.lat_deg, rival.lon_deg)
        if near is not None and math.hypot(near[0] - x[0], near[1] - x[2]) <= BOTH_M:
            other = moments(rival.bank, max(0, time_ns - rival.time_ns) / NS, any_motion())
            x = scalar_engine.blended(x, (near[0], other[1], near[1], *other[3:]), 0.5)
    return spread(core, x, time_ns) if core.receivers else x


def spread(core: Core, x: State, time_ns: int) -> State:
    """The state between the receivers that go along with the first one, with an ellipse that holds all of them.

    Of n that stand in a row the variance of an even spread between the outer ones: a third of that of their places.
    """
    there = [(0.0, 0.0), *arms.held(core.receivers, time_ns, x[1], x[3])]
    if len(there) == 1:
        return x
    e, n = sum(one[0] for one in there) / len(there), sum(one[1] for one in there) / len(there)
    share = 1.0 / (3.0 * len(there))
    way = max(arms.WAY**2 * (one[0] ** 2 + one[1] ** 2) for one in there)
    ee = share * sum((one[0] - e) ** 2 for one in there) + way
    en = share * sum((one[0] - e) * (one[1] - n) for one in there)
    nn = share * sum((one[1] - n) ** 2 for one in there) + way
    return (x[0] + e, x[1], x[2] + n, x[3], x[4] + ee, x[5], x[6] + en, *x[7:11], x[11] + nn, *x[12:])


def stayed(core: Core, x: State) -> State:
    """The state with so much more variance that its 90 % ellipse holds where it was last, and where it is if it turned there.

    What nobody hears may stand in a shed: silence and a stop have one cause (a tunnel with a queue in it, a tag put away), of
    which the bank, whose modes change at the pace of ordinary traffic, knows nothing.  Nor does it know of the one turn to
    either side that what goes on may have taken unheard (a square one is the widest).
    """
    e, n = core.x[0] - x[0], core.x[2] - x[2]
    return onward.any_way(core.x, onward.holding(x, e, n), -e, -n)


def lasting(core: Core, x: State) -> State:
    """The state, in any axes, with its smaller semi-axis at least that of the errors that last."""
    p_ee, _, p_nn = at_least(core.lasting, x[4], x[6], x[11])
    return (*x[:4], p_ee, *x[5:11], p_nn, *x[12:])


def at_least(lasts: float, p_ee: float, p_en: float, p_nn: float) -> tuple[float, float, float]:
    """A covariance with its smaller semi-axis at least that of the errors that last, of such a variance."""
    half = (p_ee - p_nn) / 2.0
    lift = lasts - ((p_ee + p_nn) / 2.0 - math.sqrt(half * half + p_en * p_en))  # hypot is another one's in the kernel
    return (p_ee, p_en, p_nn) if lift <= 0.0 else (p_ee + lift, p_en, p_nn + lift)


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
