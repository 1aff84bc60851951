"""``tracks.csv`` of an evidence bundle: the steps of a case's tracks, made again of the records that are in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from birddog import __version__
from birddog.model import TrackPoint
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated
from opsroom.csv_rows import quoted
from opsroom.disclosed import Record, entry_of
from tracking.fold import Fold


def tracks_csv(records: Iterable[Record], operation: str) -> bytes | None:
    """Each step of each track of the case as the tracker makes it of these records, without those that were foretold where
    something was measured, as came in later; None where they do not show enough.
    """
    fold, own = Fold(), set[str]()
    foretold: dict[tuple[str, int], int] = {}  # where it stands in ``out``
    out: list[tuple[str, TrackPoint, int | None] | None] = []
    measured: dict[str, list[int]] = {}  # the times of each track's steps that are believed, in order
    for record in records:
        if not record.fields:
            continue
        entry = entry_of(record)
        if entry is None:
            return None
        changes = fold.apply(entry)
        own |= {track.track_id for track in changes.tracks if track.operation == operation}
        for p in changes.points:
            if p.track_id in own:
                times = measured.setdefault(p.track_id, [])
                at = bisect_left(times, p.time_ns)
                if p.origin == "coast":
                    before = foretold.pop((p.track_id, p.time_ns), None)
                    if before is not None:
                        out[before] = None
                    if p.withdrawn:
                        continue
                    foretold[p.track_id, p.time_ns] = len(out)
                elif p.withdrawn:
                    del times[at : bisect_right(times, p.time_ns)]
                elif times[at : at + 1] != [p.time_ns]:
                    times.insert(at, p.time_ns)
                out.append((f"{p.track_id},{iso_from_ns(p.time_ns)},{p.lat_deg:.7f},{p.lon_deg:.7f},{p.ve_mps:.3f},"
                            f"{p.vn_mps:.3f},{p.p_ee:.6g},{p.p_en:.6g},{p.p_nn:.6g},{p.origin},{quoted(p.device)}", p,
                            times[at - 1] if at else None))
    validated = Validated(fold.directory)
    rows = [",".join((row, *validated.step(p, before_ns).words.values())) + "\n" for row, p, before_ns in filter(None, out)]
    head = "track_id,time,lat_deg,lon_deg,ve_mps,vn_mps,p_ee,p_en,p_nn,origin,device"
    names = ",".join(f"{quantity}_validated" for quantity in UNITS)
    return "".join([f"# birddog {__version__}\n{head},{names}\n", *rows]).encode()
