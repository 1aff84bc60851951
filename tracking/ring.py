"""The recent measurements of one track in order of time, as rows of numbers: 88 bytes each with what became of it, where
nouns take 260.

It reads like a list of ``Measurement``: one is made of its row where somebody asks for it.  What is asked of each message (how
many there are, and when) is asked of the numbers.
"""

from __future__ import annotations

import array
import bisect
import itertools
import math
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np

from tracking.measurement import Measurement, Origin

#: Of each: its time, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn (NaN where it states no velocity; then ve is how fast it says
#: that it goes), which of the ring's kinds it is, and what became of it: a code of its owner's and its NIS.
_ROW, _VALUES, _BECAME, _TIME = struct.Struct("q10d"), struct.Struct("q8d"), struct.Struct("2d"), struct.Struct("q")
_PLACE = struct.Struct("2d")
_WIDE, _SAID = _ROW.size, _VALUES.size
#: Rows grow by so many at once, and by a part of what there is: most rings are short, and less than an eighth more would be an
#: eighth (CPython's ``PyByteArray_Resize``).
_LEAST, _PART = 3, 6
#: So many kinds more than measurements there may be before those that are no more are forgotten.
_SPARE = 16
#: What became of a measurement with which a filter that runs went on.
WAS_USED = 1.0

#: The rows of a ring without any; never written.
_NOTHING = bytearray()

#: What most measurements of a track have in common: device, origin, r_v, stated, here, doubted, hung.
Kind = tuple[str, Origin, float, bool, bool, bool, int]


class Steps(NamedTuple):
    """Of measurements one after the other the times, origins and devices, and what became of each: a code, and its NIS.

    Args:
        alike: the code of all of them, where they are of one kind and one code; else NaN.
    """

    times_ns: list[int]
    origins: Sequence[Origin]
    devices: Sequence[str]
    codes: list[float]
    nis: list[float]
    alike: float


class Ring:
    """Measurements of one track, in the order of ``track_state``.

    ``n``: how many (``len``, without a call); ``newest_ns``: the time of the last, while there is one; both to read.
    """

    __slots__ = ("_first", "_rows", "_times_ns", "kinds", "n", "newest_ns")

    def __init__(self, some: Iterable[Measurement] = ()):
        #: ``_ROW`` of each, and room for more.
        self._rows, self.n, self.newest_ns = _NOTHING, 0, 0
        #: The first kind, of nearly all tracks the only one, and all of them where there are more.
        self._first: Kind | None = None
        self.kinds: list[Kind] | None = None
        #: Made when somebody asks for it: of what comes in order nobody does.
        self._times_ns: array.array[int] | None = None
        for m in some:
            self.append(m)

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, i: int) -> Measurement: ...

    @overload
    def __getitem__(self, i: slice) -> list[Measurement]: ...

    def __getitem__(self, i: int | slice) -> Measurement | list[Measurement]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(self.n))]
        if not -self.n <= i < self.n:
            raise IndexError(i)
        time_ns, lat, lon, r_ee, r_en, r_nn, ve, vn, which = _VALUES.unpack_from(self._rows, _WIDE * (i % self.n))
        device, origin, r_v, stated, here, doubted, hung = self._of(which)
        if math.isnan(vn):
            return Measurement(
                time_ns, device, origin, lat, lon, r_ee, r_en, r_nn, None, None, r_v, stated, here, doubted, ve, hung
            )
        return Measurement(time_ns, device, origin, lat, lon, r_ee, r_en, r_nn, ve, vn, r_v, stated, here, doubted, 0.0, hung)

    def __iter__(self) -> Iterator[Measurement]:
        return map(self.__getitem__, range(self.n))

    def __reversed__(self) -> Iterator[Measurement]:
        return map(self.__getitem__, range(self.n - 1, -1, -1))

    def __contains__(self, m: object) -> bool:
        return isinstance(m, Measurement) and self.at(m) is not None

    def has(self, origin: str) -> bool:
        """Whether there was anything of an origin among those of several kinds; cheap, and true for a while after."""
        return self.kinds is not None and any(kind[1] == origin for kind in self.kinds)

    def at(self, m: Measurement) -> int | None:
        """The index of a measurement, in all that it says; None: it is not there."""
        times_ns, time_ns = self.times_ns, m.time_ns
        i = bisect.bisect_left(times_ns, time_ns)
        while i < self.n and times_ns[i] == time_ns:
            if self._says(i, m):
                return i
            i += 1
        return None

    def _says(self, i: int, m: Measurement) -> bool:
        """Whether that of an index is a measurement of its time in all that it says, without making one."""
        _, lat, lon, r_ee, r_en, r_nn, ve, vn, which = _VALUES.unpack_from(self._rows, _WIDE * i)
        if lat != m.lat_deg or lon != m.lon_deg or r_ee != m.r_ee or r_en != m.r_en or r_nn != m.r_nn:
            return False
        said = (None, None, ve) if math.isnan(vn) else (ve, vn, 0.0)
        if said != (m.ve_mps, m.vn_mps, m.said_mps):
            return False
        return self._of(which) == (m.device, m.origin, m.r_v, m.stated, m.here, m.doubted, m.hung)

    @property
    def times_ns(self) -> array.array[int]:
        """The times of all; to read."""
        times_ns = self._times_ns
        if times_ns is None:
            times_ns = self._times_ns = array.array("q", self.table.view(np.int64)[:, 0].tobytes())
        return times_ns

    def time_ns(self, i: int) -> int:
        """The time of one of the first ``len``."""
        time_ns: int = _TIME.unpack_from(self._rows, _WIDE * i)[0]
        return time_ns

    def back(self, end: int, device: str) -> Iterator[int]:
        """Which are the fixes of a device before the ``end``-th, the newest first."""
        return (i for i in range(end - 1, -1, -1) if self.kind(i)[:2] == (device, "fix"))

    def on(self, begin: int, device: str) -> Iterator[int]:
        """Which are the fixes of a device from the ``begin``-th on, in their order."""
        return (i for i in range(begin, self.n) if self.kind(i)[:2] == (device, "fix"))

    def last_fixes(self, device: str, most: int) -> list[int]:
        """The times of the last fixes of a device, in their order."""
        return [self.time_ns(i) for i in itertools.islice(self.back(self.n, device), most)][::-1]

    def append(self, m: Measurement, code: float = 0.0, nis: float = 0.0) -> None:
        """One that is the newest, and what became of it."""
        ve, vn = m.ve_mps, m.vn_mps
        if ve is None or vn is None:
            ve, vn = m.said_mps, math.nan
        kind = m.device, m.origin, m.r_v, m.stated, m.here, m.doubted, m.hung
        self.put(kind, m.time_ns, m.lat_deg, m.lon_deg, m.r_ee, m.r_en, m.r_nn, ve, vn, code, nis)

    def put(
        self, kind: Kind, time_ns: int, lat_deg: float, lon_deg: float, r_ee: float, r_en: float, r_nn: float, ve: float,
        vn: float, code: float, nis: float,
    ) -> None:  # fmt: skip
        """``append`` of what a measurement says; vn NaN where it states no velocity, ve then how fast it says that it goes."""
        rows, n = self._rows, self.n
        if kind == self._first:
            which = 0
        elif self._first is None:
            self._first, which = kind, 0
        else:
            which = self._which(kind)
        at = _WIDE * n
        if at == len(rows):
            if n:
                rows.extend(bytes(_WIDE * max(_LEAST, n // _PART)))
            else:
                rows = self._rows = bytearray(_WIDE * _LEAST)
        _ROW.pack_into(rows, at, time_ns, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, which, code, nis)
        self.n, self.newest_ns = n + 1, time_ns
        if self._times_ns is not None:
            self._times_ns.append(time_ns)

    def became(self, i: int) -> tuple[float, float]:
        """What became of one: a code and its NIS; 0 where that was not said."""
        code, nis = _BECAME.unpack_from(self._rows, _WIDE * i + _SAID)
        return code, nis

    def judge(self, i: int, code: float, nis: float) -> None:
        """Say what became of one."""
        _BECAME.pack_into(self._rows, _WIDE * i + _SAID, code, nis)

    @staticmethod
    def judge_all(rows: Any, code: float, nis: Any) -> None:
        """The same became of some of ``table``: a code, and the NIS of each."""
        rows[:, 9], rows[:, 10] = code, nis

    def all_became(self, i: int, code: float) -> list[int]:
        """Those from one on of which that became, by their indices."""
        return [i + int(k) for k in np.flatnonzero(self.table[i:, 9] == code)]

    def places(self, end: int, but: tuple[float, ...]) -> Iterator[tuple[int, float, float]]:
        """(time, lat_deg, lon_deg) of those before an index of which none of that became."""
        for i in range(end):
            time_ns, lat, lon, *_, code, _ = _ROW.unpack_from(self._rows, _WIDE * i)
            if code not in but:
                yield time_ns, lat, lon

    def steps(self, i: int) -> Steps:
        """What a step of a trail says of each from one on."""
        rows = self.table[i:]
        times_ns, codes, nis = rows.view(np.int64)[:, 0].tolist(), rows[:, 9].tolist(), rows[:, 10].tolist()
        first, n = self._first, len(times_ns)
        if self.kinds is None and first is not None:
            alike = codes[0] if n and codes.count(codes[0]) == n else math.nan
            return Steps(times_ns, [first[1]] * n, [first[0]] * n, codes, nis, alike)
        kinds = [self._of(which) for which in rows[:, 8].tolist()]
        return Steps(times_ns, [kind[1] for kind in kinds], [kind[0] for kind in kinds], codes, nis, math.nan)

    def insert(self, i: int, m: Measurement) -> None:
        """One that stands before the i-th from now on."""
        times_ns, at = self.times_ns, _WIDE * i
        if self._rows is _NOTHING:
            self._rows = bytearray()
        self._rows[at:at] = self._row(m)
        times_ns.insert(i, m.time_ns)
        self.n, self.newest_ns = self.n + 1, times_ns[-1]

    def __setitem__(self, i: int, m: Measurement) -> None:
        times_ns, at = self.times_ns, _WIDE * i
        self._rows[at : at + _WIDE] = self._row(m)
        times_ns[i] = m.time_ns
        self.newest_ns = times_ns[-1]

    def __delitem__(self, i: int | slice) -> None:
        first, end, step = (slice(i, i + 1) if isinstance(i, int) else i).indices(self.n)
        assert step == 1, "what leaves a ring stands together"
        if end <= first:
            return
        del self._rows[_WIDE * first : _WIDE * end]
        self.n -= end - first
        if self._times_ns is not None:
            del self._times_ns[first:end]
        self.newest_ns = self.time_ns(self.n - 1) if self.n else 0
        if self.kinds is not None and len(self.kinds) > self.n + _SPARE:
            self._tidy()

    def clear(self) -> None:
        """None is left."""
        self._rows, self.n, self.newest_ns = _NOTHING, 0, 0
        self._first = self.kinds = self._times_ns = None

    def kind(self, i: int) -> Kind:
        """What the i-th has in common with others."""
        return self._of(_VALUES.unpack_from(self._rows, _WIDE * i)[8])

    def place(self, i: int) -> tuple[float, float]:
        """lat_deg and lon_deg of the i-th."""
        return _PLACE.unpack_from(self._rows, _WIDE * i + _TIME.size)

    def alike(self, i: int, end: int) -> int:
        """How many from one to before another are of its kind."""
        if self.kinds is None:
            return end - i
        same = self.table[i:end, 8] == self.table[i, 8]
        return end - i if same.all() else int(same.argmin())

    @property
    def table(self) -> Any:
        """(n, 11): the rows as an array, to read and to let go of before the ring changes; a time is a whole number there."""
        return np.frombuffer(self._rows)[: _WIDE // 8 * self.n].reshape(-1, _WIDE // 8)

    def _row(self, m: Measurement) -> bytes:
        ve, vn = m.ve_mps, m.vn_mps
        if ve is None or vn is None:
            ve, vn = m.said_mps, math.nan
        which = self._which((m.device, m.origin, m.r_v, m.stated, m.here, m.doubted, m.hung))
        return _ROW.pack(m.time_ns, m.lat_deg, m.lon_deg, m.r_ee, m.r_en, m.r_nn, ve, vn, which, 0.0, 0.0)

    def _of(self, which: float) -> Kind:
        kinds, first = self.kinds, self._first
        assert first is not None, "of what is there the kind is known"
        return first if kinds is None else kinds[int(which)]

    def _which(self, kind: Kind) -> int:
        """The number of a kind, which may be new."""
        if self._first is None:
            self._first = kind
        if kind == self._first:
            return 0
        if self.kinds is None:
            self.kinds = [self._first]
        if kind in self.kinds:
            return self.kinds.index(kind)
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def _tidy(self) -> None:
        """The kinds of those that are there, in the order of their first."""
        if self.kinds is None:
            return
        of: dict[float, int] = {}
        column = self.table[:, 8]
        column[:] = [of.setdefault(k, len(of)) for k in column.tolist()]
        self._have([self.kinds[int(k)] for k in of])

    def _have(self, kinds: list[Kind]) -> None:
        self._first = kinds[0] if kinds else None
        self.kinds = kinds if len(kinds) > 1 else None

    def packed(self) -> tuple[list[Kind], bytes]:
        """All of it for a snapshot; of equal rings the same."""
        self._tidy()
        first = self._first
        kinds = self.kinds if self.kinds is not None else [] if first is None or not self.n else [first]
        return kinds, self.table[:, : _SAID // 8].tobytes()

    @classmethod
    def unpacked(cls, data: Any) -> Ring:
        """The ring of a snapshot.

        Raises:
            msgspec.ValidationError: it is none.
        """
        kinds, said = msgspec.convert(data, tuple[list[Kind], bytes])
        if len(said) % _SAID:
            raise msgspec.ValidationError("ring: its last row is cut off")
        values = np.frombuffer(said).reshape(-1, _SAID // 8)
        if not np.isin(values[:, 8], np.arange(len(kinds))).all():
            raise msgspec.ValidationError("ring: a row of no kind")
        ring = cls()
        ring.n = len(values)
        ring._rows = bytearray(np.pad(values, ((0, 0), (0, (_WIDE - _SAID) // 8))).tobytes())
        ring.newest_ns = ring.time_ns(ring.n - 1) if ring.n else 0
        # one string for each device, as ``evidence.of_fix`` has it
        ring._have([(sys.intern(kind[0]), *kind[1:]) for kind in kinds])
        return ring


def hook(value: Any) -> Any:
    """What msgspec is to write of a ring."""
    if isinstance(value, Ring):
        return value.packed()
    raise NotImplementedError(f"{type(value).__name__} stands in no snapshot")


def unhook(kind: type, value: Any) -> Any:
    """What msgspec has read of a ring."""
    if kind is Ring:
        return Ring.unpacked(value)
    raise NotImplementedError(f"{kind.__name__} stands in no snapshot")
