"""What a track's filter knows after a measurement (``Core``) and what it needs beside it (``Model``): the nouns of ``step``."""

from __future__ import annotations

import msgspec

from birddog.units import NS
from tracking import arms
from tracking import engine as scalar_engine
from tracking.arms import Receivers
from tracking.bank import NEW_V
from tracking.engine import State
from tracking.kernel import LEG_MISS2, SIGMA_FLOOR_M
from tracking.learnt import DeviceNoise
from tracking.motion import Bank, Motion, motion_of, plain_motion, resting
from tracking.presets import ClassPreset, Presets
from tracking.sides import Sides

#: A rival of which nothing was heard for so long is forgotten.
RIVAL_S = 7200
#: Where a Core stands: (lat_deg, lon_deg, x) as ``step.placed`` gives it.
Place = tuple[float, float, State]

#: What ``kernel.whiter`` sums up, the residual (e, n) of the newest fix, and how far the filter lags (``kernel.lagged``).
White = tuple[float, float, float, float, float]


#: What ``kernel.gone_on`` keeps: how fast it goes (east, north, m/s), for how long it was seen to go on, how often not, by how
#: much of their lengths legs were missed (squared), whether it is known to go so, and how fast it was seen to go of late
#: (squared).
Way = tuple[float, float, float, float, float, float, float]


class Rival(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the refused fixes in a row say: a second hypothesis in a frame of its own.

    Args:
        time_ns: of its newest fix, the time of the bank; lat_deg, lon_deg: that fix; r: its variance per axis, m².
        begun_ns: the time of its first fix.
        device: whose fixes it is made of; "" of several devices'.
        hits: fixes in a row that agree.
        doubted: it is what a receiver says that is belied: never between the two, and nothing that takes over.
        denied: a used fix of another receiver says since that the shipment is not there.
        said: the receivers whose fixes it is made of, twice each where they said so twice (``majority``); against: those whose
            used fixes say since that the shipment is not there; read_against: a read of the goods' tag says so.
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
    doubted: bool = False
    denied: bool = False
    said: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    read_against: bool = False


class Core(msgspec.Struct, frozen=True, gc=False, array_like=True):
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
        device: whose fix was used last, and fix_ns: its time.
        lent: whether what was used last was anonymous evidence (a trigger, a sighting): a device's own fixes outweigh it.
        run: refused fixes in a row; 0 after a used measurement.  recent: the last eight fixes, a bit each, 1 = refused.
        fixed: whether a device's own fix was ever used (not only reads and triggers at known places).
        noise: what was learnt of devices' fixes, in the order of their first.
        stay_e, stay_n: where it was on average since it stays, stay_s long.
        sides: whether its fixes are from the same two places in turn.
        receivers: of a track that several devices gave fixes: where each of them is to the first; else empty.
        white: how far the errors of its receiver last (``kernel.whiter``): two sums, and the residual of its last fix; and how
            far the filter lags behind what goes (``kernel.lagged``), m² per axis.
        way: whether it goes on where its fixes are far apart (``onward``), and how fast it goes (``reach``).
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
    fix_ns: int = 0
    lent: bool = False
    noise: tuple[DeviceNoise, ...] = ()
    stay_e: float = 0.0
    stay_n: float = 0.0
    stay_s: float = 0.0
    sides: Sides | None = None
    receivers: Receivers = ()
    white: White = (0.0, 0.0, 0.0, 0.0, 0.0)
    way: Way = (0.0, 0.0, 0.0, 0.0, LEG_MISS2, 0.0, 0.0)

    @property
    def stood_s(self) -> float:
        """How long it had stood where it was when it was heard last."""
        return max(0, self.updated_ns - (self.first_ns if self.moved_ns is None else self.moved_ns)) / NS

    @property
    def lasting(self) -> float:
        """The variance per axis, m², of the errors that last, as far as they were seen to."""
        return self.bias

    @property
    def parted(self) -> bool:
        """Whether one device of the shipment goes one way and another one another."""
        rival = self.rival
        return rival is not None and rival.device != "" and rival.hits > 1 and rival.denied and not self.beside

    @property
    def beside(self) -> bool:
        """Whether what the refused fixes are of may go along with the track: a receiver at the other end of a train."""
        rival, receivers = self.rival, self.receivers
        if rival is None or not receivers or any(one.hangs and one.device in (rival.device, self.device) for one in receivers):
            return False
        # each is known by how it goes along with the first one: where neither is that, both must
        both = [arms.of(receivers[1:], device) for device in (rival.device, self.device) if device != receivers[0].device]
        return bool(both) and all(one is not None and one.may_be_beside for one in both)

    @property
    def may_be_beside(self) -> bool:
        """Whether two receivers may be at the two ends of one thing: nothing says otherwise yet."""
        return any(one.may_be_beside and not one.hangs for one in self.receivers[1:])

    @property
    def eventful(self) -> bool:
        """Whether there may be more to tell of a used fix than that it was used: fixes were refused, there are two sides, or
        several receivers.
        """
        torn = self.sides is not None and self.sides.torn
        return self.recent != 0 or self.rival is not None or self.receivers != () or torn

    @property
    def refused_lately(self) -> int:
        """How many of the last five fixes were refused."""
        return (self.recent & 0b11111).bit_count()


class Model:
    """What ``advance`` needs beside Core and Measurement, made once for each class of object.

    Args:
        motion: the modes of the class; for a reference engine its one plain motion.
        base: the variance per axis of a fix that states none, m²; base_v: that of a velocity, (m/s)².
        resting: the numbers of a bank that begins (``motion.resting``).
        keep_ns: how far back the ring of a track reaches; least: so many measurements it holds all the same.
        gate: the largest NIS of a velocity that is believed.
    """

    __slots__ = ("base", "base_v", "gate", "keep_ns", "klass", "least", "motion", "preset", "presets", "resting")

    def __init__(self, *, preset: ClassPreset, presets: Presets, klass: str = ""):
        self.preset, self.presets, self.klass = preset, presets, klass
        self.motion = self._motion()
        self.base, self.base_v = max(preset.sigma_m, SIGMA_FLOOR_M) ** 2, preset.velocity_sigma_mps**2
        self.resting = resting(self.motion, max(preset.speed_sigma_mps**2, NEW_V))
        self.keep_ns, self.least, self.gate = int(presets.late_s * NS), presets.late_count, preset.gate

    def _motion(self) -> Motion:
        if self.presets.engine == "birddog":
            return motion_of(self.klass)
        if self.presets.engine == "plain":
            return plain_motion(self.preset.q, self.preset.tau_s, scalar_engine)
        from tracking import engine_filterpy

        return plain_motion(self.preset.q, self.preset.tau_s, engine_filterpy)
