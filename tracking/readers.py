"""Which of several readers holds a tag: the one that hears it clearly better, or a place between two that hear it alike.

What a read says of a place depends on what other readers heard by its own time, and on nothing that came in or was read later.
So when reads come in late, those after them are decided again (``tracker``): a second reader's reads of half a minute ago may
show that it held the tag, and not the one whose reads came in first.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from birddog.geo import distance_m
from birddog.units import NS
from tracking.measurement import Measurement

#: So many readers are remembered of a tag; reads within so long are of readers that hear it at once; so much stronger is
#: clearly so.
READERS, TOGETHER_NS, CLEARLY_DB = 8, 30 * NS, 6.0
#: What comes in late is held against what was read by then so far back.
READ_BACK_NS = 150 * NS
#: The share of a new read in how well a reader hears a tag: one read of a tag at rest is 2 to 4 dB off, now and then 6; so
#: many reads of one second are asked, the first ones.
RSSI_SHARE, EACH_S = 0.35, 4


class Read(msgspec.Struct, frozen=True, array_like=True):
    """A reader's read of a tag; how well it has heard it of late, and then."""

    time_ns: int
    rssi_dbm: float | None
    lat_deg: float
    lon_deg: float
    r: float
    said_dbm: float | None = None


#: Of each of the last readers its reads of late, in order of time.
Reads = dict[str, list[Read]]


def _time(read: Read) -> int:
    return read.time_ns


def heard(reads: Reads, m: Measurement, rssi_dbm: float | None) -> bool:
    """One read more; whether others of its time or later had come in."""
    mine = reads.setdefault(m.device, [])
    at = bisect.bisect_right(mine, m.time_ns, key=_time)
    mine.insert(at, Read(m.time_ns, rssi_dbm, m.lat_deg, m.lon_deg, m.r_ee, rssi_dbm))
    second = m.time_ns // NS
    first = bisect.bisect_left(mine, second * NS, key=_time)
    end = bisect.bisect_left(mine, (second + 1) * NS, key=_time)
    if end - first > EACH_S:
        del mine[end - 1]
    for i in range(at, len(mine)):
        mine[i] = msgspec.structs.replace(mine[i], rssi_dbm=_mean(mine[i - 1] if i else None, mine[i]))
    late = any(of[-1].time_ns > m.time_ns or (name != m.device and of[-1].time_ns == m.time_ns) for name, of in reads.items())
    del mine[: bisect.bisect_left(mine, mine[-1].time_ns - READ_BACK_NS, key=_time)]
    while len(reads) > READERS:
        del reads[min(reads, key=lambda name: (reads[name][-1].time_ns, name))]
    return late


def _mean(before: Read | None, read: Read) -> float | None:
    """How well a reader hears a tag of late, after a read."""
    said = read.said_dbm
    if before is None or before.rssi_dbm is None or said is None or read.time_ns - before.time_ns > TOGETHER_NS:
        return said
    return before.rssi_dbm + RSSI_SHARE * (said - before.rssi_dbm)


def windows(reads: Reads, from_ns: int, window_ns: int) -> list[tuple[int, str]]:
    """The windows in which readers heard a tag, from that of a time on: (which, reader), in order."""
    least = from_ns // window_ns * window_ns
    return sorted({
        (read.time_ns // window_ns, name) for name, of in reads.items()
        for read in of[bisect.bisect_left(of, least, key=_time) :]
    })  # fmt: skip


def measured(reads: Reads, device: str, window: int, window_ns: int) -> Measurement | None:
    """What stands for all reads of a reader within a window: the first of them that says where the tag is."""
    mine = reads.get(device, [])
    for read in mine[bisect.bisect_left(mine, window * window_ns, key=_time) :]:
        if read.time_ns // window_ns != window:
            break
        m = _beside_others(reads, device, read)
        if m is not None:
            return m
    return None


def _beside_others(reads: Reads, device: str, read: Read) -> Measurement | None:
    """A read as evidence of place beside what other readers had heard by then: None where one heard the tag clearly better;
    where none is clearly the better one, a place between the two that covers both.
    """
    m = Measurement(read.time_ns, device, "tag_read", read.lat_deg, read.lon_deg, read.r, 0.0, read.r, stated=True)
    for name in sorted(reads):
        then = bisect.bisect_right(reads[name], read.time_ns, key=_time)
        other = reads[name][then - 1] if then else None
        if name == device or other is None or read.time_ns - other.time_ns > TOGETHER_NS:
            continue
        apart_m = distance_m(lat1_deg=read.lat_deg, lon1_deg=read.lon_deg, lat2_deg=other.lat_deg, lon2_deg=other.lon_deg)
        if apart_m <= 3.0 * math.sqrt(read.r + other.r):
            continue
        mine, its = read.rssi_dbm, other.rssi_dbm
        if mine is not None and its is not None and abs(mine - its) >= CLEARLY_DB:
            if mine < its:
                return None
            continue
        lon = other.lon_deg + ((read.lon_deg - other.lon_deg + 180.0) % 360.0 - 180.0) / 2.0
        r = max(read.r, other.r) + (apart_m / 2.0) ** 2
        return msgspec.structs.replace(
            m, lat_deg=(read.lat_deg + other.lat_deg) / 2.0, lon_deg=(lon + 180.0) % 360.0 - 180.0, r_ee=r, r_nn=r
        )
    return m
