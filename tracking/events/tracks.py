"""Many tracks as arrays, in order of identity and time, without what cannot be: the form in which files are judged.

An identity that makes a step which nothing that flies makes is parted into the things that report under it
(``things.Parting``).  Two fixes of one thing at one time are one (the first of the file).  A fix is left out where no craft
could have been: it is beyond ``reach_mps`` from the fix before and from the one after it, and these two are within reach of
each other.  A jump that is not taken back stays.  ``Cleaner`` is the rule one fix at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from birddog.units import NS
from tracking.events.sphere import BLOCK, points
from tracking.events.things import Parting, jumps, named

#: One fix as the rules take it, (ns, x, y, z, ...).
AnyFix = tuple[int, float, float, float, *tuple[float, ...]]


class Tracks(msgspec.Struct):
    """Fixes sorted by vessel and time; ``x y z`` are ``sphere.points``, ``line`` where each stood in what was given.

    ``first`` has one more place than there are vessels: the fixes of vessel v are ``first[v]:first[v + 1]``.
    """

    ids: list[str]
    vessel: np.ndarray
    time_ns: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    line: np.ndarray
    first: np.ndarray
    same_time: np.ndarray
    beyond_reach: np.ndarray
    #: the identities under which several report, each with the numbers of its things
    shared: dict[str, list[int]]

    def identity(self) -> dict[int, str]:
        """Of the vessels that report under an identity with others, which it is."""
        return {k: name for name, things in self.shared.items() for k in things}

    def lots(self, most: int = 2 * BLOCK) -> Iterator[Tracks]:
        """The same in lots of whole vessels, of about ``most`` fixes where no vessel has more."""
        begin, n = 0, len(self.time_ns)
        while begin < n:
            end = n
            if begin + most < n:
                vessel = int(self.vessel[begin + most])
                end = int(self.first[vessel])
                if end <= begin:
                    end = int(self.first[vessel + 1])
            part = slice(begin, end)
            yield Tracks(
                self.ids, self.vessel[part], self.time_ns[part], self.lat_deg[part], self.lon_deg[part], self.x[part],
                self.y[part], self.z[part], self.line[part], np.clip(self.first - begin, 0, end - begin), self.same_time,
                self.beyond_reach, self.shared,
            )  # fmt: skip
            begin = end


def counted(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which whole numbers there are, ascending, and how often (numpy.unique would read in numpy.ma first)."""
    ordered = np.sort(numbers)
    begin = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    return ordered[begin], np.diff(begin, append=len(ordered))


def tracks(
    ids: list[str], vessel: np.ndarray, time_ns: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, reach_mps: float,
    thin_s: int = 0,
) -> Tracks:  # fmt: skip
    """The tracks of fixes in any order.

    Args:
        ids: the vessels' names, in the order in which they are to be told.
        vessel: of each fix the place of its vessel in ``ids``.
        thin_s: of a vessel's fixes in each such part of time the first alone is looked at; the others are as those of one time.
    """
    line = _order(vessel, time_ns)
    if line is None:
        line = np.arange(len(vessel))
    else:
        vessel, time_ns, lat_deg, lon_deg = vessel[line], time_ns[line], lat_deg[line], lon_deg[line]
    x, y, z = points(lat_deg, lon_deg)
    out = np.zeros(len(vessel), bool)
    fast = _fast(vessel, time_ns, x, y, z, out, reach_mps)
    of_none = np.zeros(0, np.int64)
    shared: dict[str, list[int]] = {}
    asking = sorted(set(vessel[fast[_asks(time_ns, x, y, z, fast, reach_mps)]].tolist()))
    if asking:
        ids, thing, shared = _parted(ids, vessel, time_ns, lat_deg, lon_deg, reach_mps, asking)
        of_none = line[thing < 0]
        order = np.lexsort((time_ns, thing))[len(of_none) :]
        vessel = thing[order]
        line, time_ns, lat_deg, lon_deg, x, y, z = (a[order] for a in (line, time_ns, lat_deg, lon_deg, x, y, z))
    again = np.zeros(len(vessel), bool)
    again[1:] = (vessel[1:] == vessel[:-1]) & (time_ns[1:] == time_ns[:-1])
    if thin_s:
        cell = time_ns // (thin_s * NS)
        again[1:] |= (vessel[1:] == vessel[:-1]) & (cell[1:] == cell[:-1])
    out = again.copy()
    # what is within reach step by step is so without some of the steps
    fast = _fast(vessel, time_ns, x, y, z, again, reach_mps) if len(fast) else fast
    for v in sorted(set(vessel[fast].tolist())):
        at = np.arange(*np.searchsorted(vessel, (v, v + 1)))
        at = at[~again[at]]
        keep = _possible(time_ns[at].tolist(), x[at].tolist(), y[at].tolist(), z[at].tolist(), reach_mps)
        out[np.delete(at, keep)] = True
    same, beyond = line[again], np.concatenate((line[out & ~again], of_none))
    if out.any():
        vessel, time_ns, lat_deg, lon_deg, line, x, y, z = (
            a[~out] for a in (vessel, time_ns, lat_deg, lon_deg, line, x, y, z)
        )
    first = np.searchsorted(vessel, np.arange(len(ids) + 1))
    return Tracks(ids, vessel, time_ns, lat_deg, lon_deg, x, y, z, line, first, same, beyond, shared)


def _asks(time_ns: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, at: np.ndarray, reach_mps: float) -> np.ndarray:
    """Which of some fixes nothing reaches from the one before (``things.jumps``)."""
    dx, dy, dz = (p[at] - p[at - 1] for p in (x, y, z))
    asks: np.ndarray = jumps(np.sqrt(dx * dx + dy * dy + dz * dz), time_ns[at] - time_ns[at - 1], reach_mps)
    return asks


def _parted(
    ids: list[str], vessel: np.ndarray, time_ns: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray, reach_mps: float,
    asking: list[int],
) -> tuple[list[str], np.ndarray, dict[str, list[int]]]:  # fmt: skip
    """(names, of each fix the place of its thing among them or -1, ``Tracks.shared``) with some identities parted."""
    names: list[str] = []
    behind, taken = dict.fromkeys(asking, 0), set(ids)
    found: dict[int, np.ndarray] = {}
    for v in asking:
        at = slice(*np.searchsorted(vessel, (v, v + 1)))
        parting = Parting.begun(reach_mps)
        rows = zip(time_ns[at].tolist(), lat_deg[at].tolist(), lon_deg[at].tolist(), strict=True)
        label = [parting.add(row) for row in rows]
        found[v] = np.array([parting.things[one] for one in label])
        behind[v] = parting.total
    place = np.zeros(len(ids), np.int64)
    shared: dict[str, list[int]] = {}
    for v, name in enumerate(ids):
        place[v] = len(names)
        names.append(name)
        free = (other for k in itertools.count(1) if (other := named(name, k)) not in taken)
        things = list(itertools.islice(free, behind.get(v, 1) - 1))
        names += things
        if things:
            shared[name] = list(range(int(place[v]), len(names)))
    thing = place[vessel]
    for v, which in found.items():
        at = slice(*np.searchsorted(vessel, (v, v + 1)))
        thing[at] = np.where(which < 0, -1, place[v] + which)
    return names, thing, shared


def _order(vessel: np.ndarray, time_ns: np.ndarray) -> np.ndarray | None:
    """The order by vessel and time, what is equal as it stands; None where it is so already."""
    same = np.diff(vessel)
    later = np.diff(time_ns) >= 0
    if ((same > 0) | ((same == 0) & later)).all():
        return None
    line = np.argsort(vessel, kind="stable")
    v, t = vessel[line], time_ns[line]
    if ((v[1:] != v[:-1]) | (t[1:] >= t[:-1])).all():
        return line
    return np.lexsort((time_ns, vessel))


def _fast(
    vessel: np.ndarray, time_ns: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, again: np.ndarray, reach_mps: float
) -> np.ndarray:
    """Places of fixes that are beyond reach of the one before."""
    kept = np.flatnonzero(~again) if again.any() else None
    n = len(again) if kept is None else len(kept)
    found = []
    for k in range(0, n - 1, BLOCK):
        end = min(n, k + BLOCK + 1)
        at = slice(k, end) if kept is None else kept[k:end]
        v, t, d = vessel[at], time_ns[at], [np.diff(p[at]) for p in (x, y, z)]
        far = (v[1:] == v[:-1]) & (np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) > reach_mps * (np.diff(t) / NS))
        place = np.flatnonzero(far) + k + 1
        found.append(place if kept is None else kept[place])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _possible(t: list[int], x: list[float], y: list[float], z: list[float], reach_mps: float) -> list[int]:
    """Of one vessel's fixes in order of time, the places of those that stay."""
    cleaner, keep = Cleaner(reach_mps=reach_mps), []
    for fix in zip(t, x, y, z, range(len(t)), strict=True):
        keep += [f[4] for f in cleaner.add(fix)]
    return keep + [f[4] for f in cleaner.end()]


class Cleaner(msgspec.Struct, gc=False):
    """The rule for one vessel: what is beyond reach of the fix before waits for the next.  Fixes are (ns, x, y, z, ...)."""

    reach_mps: float
    last: tuple[Any, ...] | None = None
    held: tuple[Any, ...] | None = None

    def add(self, fix: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """What is now known to stay, in order."""
        if self.last is None:
            self.last = fix
            return [fix]
        if self.held is None:
            if self._reached(self.last, fix):
                self.last = fix
                return [fix]
            self.held = fix
            return []
        held, self.held = self.held, None
        if not self._reached(held, fix) and self._reached(self.last, fix):
            self.last = fix
            return [fix]
        self.last = held
        return [held, *self.add(fix)]

    def end(self) -> list[tuple[Any, ...]]:
        """What waits at the end of the data is no more to be believed than the fix before it: it does not stay."""
        return []

    def _reached(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
        dx, dy, dz = b[1] - a[1], b[2] - a[2], b[3] - a[3]
        return not math.sqrt(dx * dx + dy * dy + dz * dz) > self.reach_mps * ((b[0] - a[0]) / NS)
