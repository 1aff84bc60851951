"""A receiver that says its last place again, to the digit and with a fresh time, while it says itself that it goes.

So it hangs (a spoofer or a jammer that it holds out against, firmware that repeats its last fix where it hears no satellites),
or its speed does: which of the two, one receiver alone does not show.  Such a fix is no measurement of a place: it moves
nothing, and the region grows as in silence from when it last said another place.  Beside another receiver of the shipment its
track goes with that one (``hung``, which knows more: who went on).

Of the fixes of one receiver at one place, one after the other:

- one that says so fast a speed that nothing brakes from it within three steps of its digits, and three of them further by
  then, has gone on: it is no fix, nor what comes after it there.  Where the first one said so too, its receiver passed the
  place, and that is beyond doubt; where it stood there, three in a row that say that they stand are believed again (a speed
  that was false once);
- the third that says more than a walk, three steps further by then, puts it beyond doubt, of all from the first of them on.

What is beyond doubt ends with another place, and is told of from the fourth fix on (``frozen``).

What is hung is marked in the ring and follows from its fixes in order of their times alone, so that the order of arrival plays
no part in it; what left the ring keeps its mark.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from birddog.geo import DEGREE_M
from birddog.units import NS
from tracking.evidence import cell_deg
from tracking.hung import CELLS, digits_deg, passes
from tracking.measurement import Measurement
from tracking.ring import Ring

#: It says that it moves from this speed on, m/s; so many that say so are beyond doubt, so many in a row that do not before that
#: say that it stands; and the mark of what is beyond doubt.
MOVES_MPS, SURE, STANDS, SURELY = 2.0, 3, 3, 2


def cells_of(m: Measurement) -> float:
    """How long three steps of a place's digits are, m: within them nobody sees that it goes."""
    return CELLS * DEGREE_M * max(cell_deg(m.lat_deg, m.lon_deg), digits_deg(m.lat_deg, m.lon_deg))


def hangs(run: list[Measurement], cut: bool) -> list[int]:
    """How each of the fixes of one receiver at one place in a row hangs (``Measurement.hung``).

    Args:
        cut: what was before the first of them left the ring: its mark holds.
    """
    first = run[0]
    cells_m = cells_of(first)
    marks, sure = [first.hung if cut else 0], cut and first.hung == SURELY
    # what left the ring, and hangs, said once or twice that it goes
    moves, way_m, fastest = (1, math.inf, math.inf) if cut and first.hung else (0, 0.0, 0.0)
    since, stands, passed = 1, 0, not cut and passes(first.speed_mps, cells_m)
    for i in range(1, len(run)):
        m, said = run[i], run[i].speed_mps
        if said > MOVES_MPS:
            since = since if moves else i
            moves, stands, fastest = moves + 1, 0, max(fastest, said)
            way_m += said * (m.time_ns - run[i - 1].time_ns) / NS
        else:
            stands += 1
            if stands >= STANDS and not sure:
                moves, way_m, fastest = 0, 0.0, 0.0
        far = moves > 0 and way_m > cells_m
        sure = sure or (far and (moves >= SURE or (passed and since == 1 and passes(fastest, cells_m))))
        hung = SURELY if sure else int(far and passes(fastest, cells_m))
        if hung and moves:
            marks[since:] = [max(mark, 1) for mark in marks[since:]]
        marks.append(hung)
    return marks


def newest(ring: Ring, m: Measurement) -> tuple[Measurement, list[tuple[int, int]]]:
    """A fix that is to stand behind all of a ring, marked; and which of those before it are marked otherwise with it."""
    last = next(ring.back(ring.n, m.device), None)
    if last is None or ring.place(last) != (m.lat_deg, m.lon_deg) or (
        m.speed_mps <= MOVES_MPS and not ring.kind(last)[6]
    ):  # fmt: skip
        return m, []
    at, cut = _before(ring, ring.n, m.device, (m.lat_deg, m.lon_deg))
    *marks, own = hangs([*(ring[i] for i in at), m], cut)
    return m if own == m.hung else msgspec.structs.replace(m, hung=own), _changed(ring, at, marks)


def about(ring: Ring, device: str, time_ns: int) -> list[tuple[int, int]]:
    """Which fixes of a receiver are marked otherwise, now that it has one of this time, or has none of it any more."""
    i = bisect.bisect_right(ring.times_ns, time_ns)
    first = next(ring.back(i, device), None)
    changed = []
    if first is not None:
        changed = _run(ring, first, device)
    after = next(ring.on(i, device), None)
    if after is not None and ring.kind(after)[6] and (first is None or ring.place(first) != ring.place(after)):
        changed += _run(ring, after, device)  # it was the same place as before, and is another now
    return changed


def concerns(ring: Ring, m: Measurement) -> bool:
    """Whether a late fix may say something of which fixes are hung: it, or what comes after it, says a place again."""
    i = bisect.bisect_left(ring.times_ns, m.time_ns)
    before, after = next(ring.back(i, m.device), None), next(ring.on(i, m.device), None)
    here = m.lat_deg, m.lon_deg
    if before is not None and (ring.place(before) == here or ring.kind(before)[6]):
        return True
    return after is not None and (ring.place(after) == here or ring.kind(after)[6] > 0)


def hung(ring: Ring, device: str, time_ns: int) -> int:
    """How the last fix of a device up to a time hangs (``Measurement.hung``)."""
    last = next(ring.back(bisect.bisect_right(ring.times_ns, time_ns), device), None)
    return 0 if last is None else ring.kind(last)[6]


def _run(ring: Ring, i: int, device: str) -> list[tuple[int, int]]:
    """The marks that are others of the fixes of one place in a row of which a fix of the ring is one."""
    place = ring.place(i)
    at, cut = _before(ring, i, device, place)
    at.append(i)
    for k in ring.on(i + 1, device):
        if ring.place(k) != place:
            break
        at.append(k)
    return _changed(ring, at, hangs([ring[k] for k in at], cut))


def _before(ring: Ring, i: int, device: str, place: tuple[float, float]) -> tuple[list[int], bool]:
    """The fixes of a device before an index, in a row at one place, the oldest first; and whether the ring begins with them."""
    at: list[int] = []
    for k in ring.back(i, device):
        if ring.place(k) != place:
            return at[::-1], False
        at.append(k)
    return at[::-1], True


def _changed(ring: Ring, at: list[int], marks: list[int]) -> list[tuple[int, int]]:
    return [(i, mark) for i, mark in zip(at, marks, strict=True) if ring.kind(i)[6] != mark]
