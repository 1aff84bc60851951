"""The newest filter of a track as it runs: one row of numbers, which one call of the kernel changes in place, fix after fix.

A ``Core`` is the same as a noun: it is made of a row only where somebody asks for it (a late measurement, a fix that is not
like nearly all, a snapshot), and a row goes on from a Core to the last digit.  What of a filter is no number of the kernel's
(times, counts, whose receiver was heard last) stands beside the row in words.

Over 400 lines: every way into one row, on with it and out of it.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

import numpy as np

from birddog.units import NS
from tracking.arms import Receivers
from tracking.bank import coarse
from tracking.core import Core, Model, Place, Rival, Way
from tracking.kept import kept, packed
from tracking.kernel import (
    ANCHOR,
    CHANGED,
    EVEN,
    FIRST,
    FIX_LEAST,
    FOLLOWED,
    HEAD,
    LASTING,
    LEFT,
    NOISE,
    NOISE_PRIOR,
    PLACE,
    SAME,
    SHOWN,
    SIDES,
    STATED,
    TAIL,
    TWO,
    USED,
    WAY,
    WHITE,
    WIDTH,
    is_torn,
    lasts,
    unsaid,
)
from tracking.learnt import NOISE_DEVICES, DeviceNoise, DeviceNoises
from tracking.measurement import Measurement, Origin
from tracking.motion import Bank
from tracking.ring import WAS_USED, Ring
from tracking.rivals import outlived
from tracking.sides import Sides

_STATE, _FILTER, _SIX, _TWELVE = struct.Struct("14d"), struct.Struct("24d"), struct.Struct("6d"), struct.Struct("12d")
_SEVEN = struct.Struct("7d")
_TWO, _THREE, _FIVE = struct.Struct("2d"), struct.Struct("3d"), struct.Struct("5d")
_EIGHT, _PLACED = struct.Struct("8d"), struct.Struct("16d")
#: Of a fix of the receiver heard last, which has sides: so much, and more where it states how good it is.
_STATED_SAME, _GOES_ON = STATED | SAME, SIDES | SAME
_FIX: Origin = "fix"
_NAN = math.nan
#: NIS, then of the place lat_deg, lon_deg, ve, vn, p_ee, p_en, p_nn, and what is shown of P: p_ee, p_v_ee, p_v_en, p_nn,
#: p_v_nn, where the rest is the same; and the row of what is shown.
_TOLD = struct.Struct(f"d{8 * (TAIL - 15 + PLACE)}x2d8xd8x2d8xd32xd16x{8 * 6}xd24xd8x2d8xd")
_SHOWN = struct.Struct("2d8xd8x2d8xd8xd8x2d8xd")
#: The places of the same among the 16 numbers of ``SHOWN``.
_ROW = [0, 1, 3, 5, 6, 8, 10, 12, 13, 15]
#: What a filter says after a measurement, in that order; where only a step of a trail is asked for, the first ``STEP``.
Told = tuple[float, ...]
STEP = 8
_TURNED = np.empty(3, np.int64)
#: Whole numbers below this are floats as well.
_EXACT = 2**53
#: It never moved; nothing is new.
_NEVER_NS, _OLD_NS = -(2**63), -(2**63) + 1
#: What ``packed`` writes; more motions there are in no class.
_NUMBERS: Any = np.empty(HEAD + 64 * WIDTH)


@functools.lru_cache(256)
def _unsaid(said: float) -> float:
    """``unsaid`` of a device of which nothing was seen."""
    return unsaid(0.0, 0.0, said, said, 1.0)


def runs(core: Core, model: Model) -> bool:
    """Whether a filter may go on from a Core in a row: not that of a reference engine, nor after another class, nor
    after anonymous evidence, which a device's own fix outweighs (``step.advance``).
    """
    motion = model.motion
    return motion.engine is None and len(core.bank.data) == motion.size and not core.lent


class Running:
    """The filter of one track and what it needs to go on.

    Args:
        model: of the track's class; of one motion engine only, the kernel.
    """

    __slots__ = (
        "_at", "_known", "_noises", "_says", "_which", "changed_ns", "device", "first_ns", "hits", "last", "made", "model",
        "motion", "moved_ns", "receivers", "recent", "refused", "rival", "row", "shown_ns", "sided", "stood_ns", "time_ns",
        "updated_ns",
    )  # fmt: skip

    def __init__(self, model: Model):
        self.model, self.motion = model, model.motion
        self._at, self._says = self.motion.size, self.motion.size + 8 * 14
        # an array; that it is a buffer as well numpy says from Python 3.12 on
        self.row: Any = np.zeros(self._at // 8 + TAIL + FOLLOWED)
        self.made: Core | None = None
        #: Of what was learnt of the devices that of ``device``, the one of this number, is in the row, once it is ``_known``.
        self._noises: DeviceNoises = ()
        self._which, self._known, self.device = 0, False, ""

    def begin(self, m: Measurement) -> None:
        """The filter after a track's first measurement."""
        model, motion, time_ns = self.model, self.motion, m.time_ns
        said = 0.0 if m.origin == "sighting" else LASTING * (m.r_ee + m.r_nn) / 2.0
        if m.origin == "fix" and m.stated:
            said = _unsaid(said)
        elif m.origin == "fix" and m.r_ee == model.base:
            said = max(said, lasts(0.0, 0.0, model.base))
        ve, vn = (0.0, math.nan) if m.ve_mps is None or m.vn_mps is None else (m.ve_mps, m.vn_mps)
        motion.begin(
            self.row, model.resting, motion.brought, motion.kinds, m.lat_deg, m.lon_deg, m.r_ee, m.r_en, m.r_nn, ve, vn, m.r_v,
            said,
        )  # fmt: skip
        self.made, self._noises, self._which, self._known, self.device = None, (), -1, False, m.device
        self.last = m.device
        self.time_ns = self.updated_ns = self.first_ns = self.shown_ns = time_ns
        self.moved_ns: int | None = None
        self.rival: Rival | None = None
        self.receivers: Receivers = ()
        self.hits, self.refused, self.recent, self.sided, self.changed_ns = 1, 0, 0, False, 0
        self.stood_ns: int | None = None
        if m.origin == "fix":
            self.sided, self.changed_ns = True, time_ns
            r = max(m.r_ee, m.r_nn) + FIX_LEAST
            _TWELVE.pack_into(self.row, self._at + 8 * (TAIL + TWO), 0.0, 0.0, r, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0,
                               0.0, EVEN)  # fmt: skip

    def load(self, core: Core) -> None:
        """Go on from a Core."""
        row, at = self.row, self._at + 8 * TAIL
        row[: self._at // 8] = np.frombuffer(core.bank.data)
        _STATE.pack_into(row, self._at, *core.x)
        _EIGHT.pack_into(row, at + 8 * ANCHOR, core.lat0_deg, core.lon0_deg, core.bias, core.spot_e, core.spot_n, core.stay_e,
                         core.stay_n, core.stay_s)  # fmt: skip
        _FIVE.pack_into(row, at + 8 * WHITE, *core.white)
        _SEVEN.pack_into(row, at + 8 * WAY, *core.way)
        sides = core.sides
        self.sided = sides is not None
        if sides is not None:
            self.changed_ns, self.stood_ns = sides.changed_ns, sides.moved_ns
            _TWELVE.pack_into(row, at + 8 * TWO, sides.e, sides.n, sides.r, sides.other_e, sides.other_n, sides.other_r,
                            sides.count, sides.sure, sides.quick, sides.off, sides.every_s, sides.even)  # fmt: skip
        else:
            self.changed_ns, self.stood_ns = 0, None
        self.made, self._noises, self._which, self._known, self.device = core, core.noise, -1, False, core.device
        self.last = core.device
        self.time_ns, self.updated_ns = core.time_ns, core.updated_ns
        self.first_ns, self.moved_ns = core.first_ns, core.moved_ns
        self.rival, self.hits, self.refused, self.recent = core.rival, core.hits, core.refused, core.recent
        self.receivers = core.receivers
        self.shown_ns = -1

    def core(self) -> Core:
        """The filter as a noun."""
        core = self.made
        if core is None:
            row = self.row
            told = _FILTER.unpack_from(row, self._at + 8 * (TAIL + ANCHOR))
            sides = self._sides(row, self.changed_ns, self.stood_ns)
            core = self.made = Core(
                self.time_ns, told[0], told[1], Bank(row.data[: self._at // 8].tobytes()), _STATE.unpack_from(row, self._at),
                self.time_ns, self.first_ns, told[2], self.hits, self.refused, told[3], told[4], self.moved_ns, self.rival, 0,
                self.recent, True, self.last, self.time_ns, False, self._learnt(row), told[5], told[6], told[7], sides,
                self.receivers, _FIVE.unpack_from(row, self._at + 8 * (TAIL + WHITE)),
                _SEVEN.unpack_from(row, self._at + 8 * (TAIL + WAY)),
            )  # fmt: skip
        return core

    def packed(self) -> bytes:
        """The filter as it is kept (``kept.packed``)."""
        if self.made is not None:
            return packed(self.made)
        return self._packed(self.row, self.time_ns, self.hits, self.recent, self.moved_ns, self.changed_ns, self.stood_ns)

    def _packed(
        self, row: Any, time_ns: int, hits: int, recent: int, moved_ns: int | None, changed_ns: int, stood_ns: int | None
    ) -> bytes:  # fmt: skip
        """``packed`` of what its row was, and of when that was so."""
        n = self.motion.squeeze(row, self.motion.kinds, _NUMBERS)
        return kept(_NUMBERS[:n].tobytes(), (
            time_ns, time_ns, self.first_ns, hits, self.refused, moved_ns, self.rival, 0, recent, True,
            self.last, time_ns, False, self._learnt(row), self._sides(row, changed_ns, stood_ns), self.receivers,
        ))  # fmt: skip

    def _sides(self, row: Any, changed_ns: int, stood_ns: int | None) -> Sides | None:
        """Whether its fixes are from the same two places in turn."""
        if not self.sided:
            return None
        e, n, r, other_e, other_n, other_r, count, sure, quick, off, every_s, even = _TWELVE.unpack_from(
            row, self._at + 8 * (TAIL + TWO))
        return Sides(changed_ns, stood_ns, e, n, r, other_e, other_n, other_r, int(count), sure, quick, int(off), every_s, even)

    @property
    def eventful(self) -> bool:
        """``Core.eventful``."""
        if self.recent or self.rival is not None or self.receivers:
            return True
        e, n, r, other_e, other_n, other_r, count, sure = _EIGHT.unpack_from(self.row, self._at + 8 * (TAIL + TWO))
        return self.sided and is_torn(count, sure, math.hypot(e - other_e, n - other_n), r + other_r)

    @property
    def way(self) -> Way:
        """Whether it goes on where its fixes are far apart."""
        way: Way = _SEVEN.unpack_from(self.row, self._at + 8 * (TAIL + WAY))
        return way

    @property
    def sets_off(self) -> bool:
        """``setoff.sets_off`` of its way: whether it was seen to leave at its last fix comes first, for that costs nothing."""
        return self.moved_ns == self.updated_ns and bool(self.row[self._at // 8 + TAIL + WAY + 5] < 0.0)

    @property
    def stood_s(self) -> float:
        """``Core.stood_s``."""
        return max(0, self.updated_ns - (self.first_ns if self.moved_ns is None else self.moved_ns)) / NS

    @property
    def place(self) -> Place:
        """Where it is on Earth."""
        told = _PLACED.unpack_from(self.row, self._at + 8 * (TAIL + PLACE))
        return told[0], told[1], told[2:]

    def told(self) -> Told:
        """What it says after ``begin``."""
        return _TOLD.unpack_from(self.row, self._says)

    def shown(self, time_ns: int, *, overdue: bool = False) -> tuple[float, ...] | None:
        """lat_deg, lon_deg, ve, vn, p_ee, p_en, p_v_ee, p_v_en, p_nn, p_v_nn as they are believed to be at a time not before
        its own; None where the long way has to be gone (``step.predicted``).

        Args:
            overdue: it was to be heard before that time.
        """
        if time_ns != self.shown_ns or overdue:
            if time_ns <= self.updated_ns:
                return None
            motion, row, at, dt_s = self.motion, self.row, self._at // 8 + TAIL + ANCHOR, (time_ns - self.updated_ns) / NS
            lat0, lon0, bias = _THREE.unpack_from(row, 8 * at)
            table = motion.chances(dt_s)
            held = overdue and len(motion.modes) > 1  # the reference engines stay the textbook's, and a buoy is where it is
            stood_s = self.stood_s
            if not motion.show(
                row, motion.awake_from, table, motion.brought, motion.kinds, dt_s, lat0, lon0, bias, stood_s, held
            ):
                self.shown_ns = -1
                return None
            self.shown_ns = -1 if overdue else time_ns
        return _SHOWN.unpack_from(self.row, self._at + 8 * (TAIL + SHOWN))

    def shown_overdue(self, times_ns: list[int]) -> list[tuple[float, ...]]:
        """``shown`` at times after its own at which it is overdue, until the long way has to be gone."""
        motion, at = self.motion, self._at // 8 + TAIL + ANCHOR
        lat0, lon0, bias = _THREE.unpack_from(self.row, 8 * at)
        times_s = np.array([(time_ns - self.updated_ns) / NS for time_ns in times_ns])
        coarse_s, which = np.unique(coarse(times_s), return_inverse=True)
        tables, told = np.array([motion.chances(dt_s) for dt_s in coarse_s.tolist()]), np.empty((len(times_ns), 16))
        n = motion.show_all(
            self.row, motion.awake_from, tables, which, motion.brought, motion.kinds, times_s, lat0, lon0, bias,
            self.stood_s, len(motion.modes) > 1, told,
        )  # fmt: skip
        return [tuple(one) for one in told[:n, _ROW].tolist()]

    def alone(self, m: Measurement) -> bool:
        """Whether a measurement is of the track's only receiver: of several, how far they are apart is asked first."""
        return not self.receivers and (m.device == self.last or not self.last)

    def follow(self, m: Measurement, into: Ring | None = None) -> Told | None:
        """Go on with a fix like nearly all: what it says then; None where it is no such fix, and nothing is changed.

        Args:
            into: the ring at whose end it is to stand; None where it stands in one.
        """
        device, time_ns, model, r_ee, ve, vn = m.device, m.time_ns, self.model, m.r_ee, m.ve_mps, m.vn_mps
        stated = m.stated
        if stated:
            flags = _STATED_SAME if device == self.last else STATED
        elif r_ee == model.base:
            flags = SAME if device == self.last else 0
        else:
            return None
        if m.origin != "fix" or m.here or m.doubted or m.hung or (
            (device != self.device or self._which < 0) and not self._turned_to(device)
        ):  # fmt: skip
            return None
        if not self._known and m.r_v != model.base_v:
            return None
        motion, updated_ns, row = self.motion, self.updated_ns, self.row
        side_s = 0.0
        if self.sided:
            flags += SIDES
            side_s = (time_ns - self.changed_ns) / NS
        brought = motion.brought
        if time_ns > updated_ns:
            dt_s = (time_ns - updated_ns) / NS
            table = motion.asked.get(dt_s)
            if table is None:
                table = motion.chances(dt_s)
        else:
            dt_s, table = 0.0, brought
        if ve is None or vn is None:
            ve, vn = m.said_mps, _NAN
        lat_deg, lon_deg, r_en, r_nn = m.lat_deg, m.lon_deg, m.r_en, m.r_nn
        did = motion.follow(
            row, motion.awake_from, table, brought, motion.kinds, dt_s, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, model.gate,
            model.base, model.base_v, side_s, flags,
        )  # fmt: skip
        if did != USED:
            if not did:
                return None
            if did & CHANGED:
                self.changed_ns = time_ns
            if did & FIRST:
                self.stood_ns = self.moved_ns
            if did & LEFT:
                self.moved_ns = time_ns
        self.made = None
        if flags < _GOES_ON or not self._known:
            self._known, self.sided, self.last = True, True, device
        self.time_ns = self.updated_ns = self.shown_ns = time_ns
        self.hits += 1
        if self.recent:
            self.recent = self.recent << 1 & 0xFF
        rival = self.rival
        if rival is not None:
            self.rival = outlived(rival, m, decides=True)
        told: Told = _TOLD.unpack_from(row, self._says)
        if into is not None:
            kind = device, _FIX, m.r_v, stated, False, False, 0
            into.put(kind, time_ns, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, WAS_USED, told[0])
        return told

    def follow_all(self, ring: Ring, table: Any, first: int, end: int, said: Any, each: int) -> tuple[int, list[bytes]]:
        """``follow`` with the measurements of a ring from one to before another, as far as that goes: with how many, and as
        ``packed`` has it the filter after each of them after which a multiple of ``each`` is run.

        Args:
            table: that of the ring.
            said: (n, ``STEP``), to hold what the filter says after each, as far as a step of a trail says it.
        """
        device, origin, r_v, stated, here, doubted, hung = ring.kind(first)
        model, motion, base = self.model, self.motion, self.model.base
        if self.rival is not None or self.receivers or device != self.last or origin != "fix":
            return 0, []
        if here or doubted or hung:
            return 0, []
        if (device != self.device or self._which < 0) and not self._turned_to(device):
            return 0, []
        if not self._known and r_v != model.base_v:
            return 0, []
        n = ring.alike(first, end)
        rows = table[first : first + n]
        if not stated and not (same := rows[:, 3] == base).all():
            n = int(same.argmin())
            rows = rows[:n]
        if not n:
            return 0, []
        whole = rows.view(np.int64)
        waits_s, which = self._waits(whole[:, 0])
        keep = -(first + 1) % each
        rows_kept: Any = np.empty(((n - keep + each - 1) // each if n > keep else 0, len(self.row)))
        turned_kept = np.empty((len(rows_kept), 3), np.int64)
        was_stood_ns, was_hits, was_recent = self.stood_ns, self.hits, self.recent
        _TURNED[:] = self.changed_ns, _NEVER_NS if self.moved_ns is None else self.moved_ns, _OLD_NS
        n = motion.follow_all(
            self.row, motion.awake_from, motion.tables, motion.brought, motion.kinds_of, rows, whole,
            waits_s, which, said, model.preset.gate, base, model.base_v, stated, self.sided, NS, _TURNED,
            keep, each, rows_kept, turned_kept,
        )  # fmt: skip
        if not n:
            return 0, []
        self.made, self._known, self.sided, self.last = None, True, True, device
        self.time_ns = self.updated_ns = self.shown_ns = ring.time_ns(first + n - 1)
        self.hits += n
        self.recent = self.recent << n & 0xFF
        self.changed_ns, self.moved_ns, self.stood_ns = _turned(_TURNED.tolist(), was_stood_ns)
        packs: list[bytes] = []
        for i, row, turned in zip(range(keep, n, each), rows_kept, turned_kept.tolist(), strict=False):
            changed_ns, moved_ns, stood_ns = _turned(turned, was_stood_ns)
            recent = was_recent << i + 1 & 0xFF
            packs.append(
                self._packed(row, ring.time_ns(first + i), was_hits + i + 1, recent, moved_ns, changed_ns, stood_ns)
            )
        return n, packs

    def _waits(self, times_ns: Any) -> tuple[Any, Any]:
        """How long it waits for each of some measurements, s, and which of the motion's tables that asks for."""
        motion = self.motion
        motion.tidied()
        known, which = motion.known, motion.which
        waits_ns = np.empty(len(times_ns), np.int64)
        waits_ns[0] = times_ns[0] - self.updated_ns
        np.subtract(times_ns[1:], times_ns[:-1], out=waits_ns[1:])
        # the quotient of two floats that are what they stand for is that of the whole numbers
        if int(times_ns[-1]) - min(int(times_ns[0]), self.updated_ns) < _EXACT:
            waits_s = waits_ns / NS
        else:
            waits_s = np.array([wait_ns / NS for wait_ns in waits_ns.tolist()])
        waits_s[0] = max(waits_s[0], 0.0)
        some = waits_s.tolist()
        try:
            found = np.fromiter(map(known.get, some), np.int64, len(some))
        except TypeError:  # a time that was not asked yet
            found = np.array([which(dt_s) if dt_s > 0.0 else 0 for dt_s in some])
        return waits_s, found

    def _learnt(self, row: Any) -> DeviceNoises:
        """What was learnt of every device, by the row."""
        noises, at = self._noises, self._which
        if not self._known:
            return noises
        one = DeviceNoise(self.device, *_SIX.unpack_from(row, self._at + 8 * (TAIL + NOISE)))
        return (*noises[:at], one, *noises[at + 1 :]) if len(noises) > 1 or at else (one,)

    def _turned_to(self, device: str) -> bool:
        """What was learnt of a device into the row; False where there are too many of them."""
        noises, at = self._learnt(self.row), 0
        told = NOISE_PRIOR, self.model.base, NOISE_PRIOR, self.model.base_v, 0.0, 0.0
        known = False
        for one in noises:
            if one.device == device:
                told, known = (one.count, one.r, one.count_v, one.r_v, one.count_l, one.r_l), True
                break
            at += 1
        if at == NOISE_DEVICES:
            return False
        _SIX.pack_into(self.row, self._at + 8 * (TAIL + NOISE), *told)
        self._noises, self._which, self._known = noises, at, known
        self.device = device
        return True


def _turned(turned_ns: list[int], stood_ns: int | None) -> tuple[int, int | None, int | None]:
    """``changed_ns``, ``moved_ns`` and ``stood_ns`` as ``follow_all`` of the kernel has them; stood_ns: before."""
    changed_ns, moved_ns, new_ns = turned_ns
    if new_ns != _OLD_NS:
        stood_ns = None if new_ns == _NEVER_NS else new_ns
    return changed_ns, None if moved_ns == _NEVER_NS else moved_ns, stood_ns
