"""``birddog track``: the confirmed tracks at regular times, from a file of detections or from a journal."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from birddog.model import Draft

#: Where a scenario's seconds may count from, ns: before 2100.
LAST_START_NS = 4_102_444_800 * 10**9
HEAD = "t,track_id,tag_id,lat_deg,lon_deg,e_m,n_m,ve_mps,vn_mps,p_ee,p_en,p_nn"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--detections", metavar="FILE", help="CSV t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn "
                        "and optional sensor_type,tag_id,lat,lon; rows in any order")
    parser.add_argument("--sensors", metavar="FILE", help="JSON: origin, duration and what is known of each sensor")
    parser.add_argument("--every", required=True, type=float, metavar="S", help="seconds between the answers")
    parser.add_argument("--journal", metavar="URL", help="with --detections: keep what is folded here, as a new exercise "
                        "journal; alone: what the live picture of this journal believed at multiples of S of POSIX time, each "
                        "time from the entries received by then")
    parser.add_argument("--start", metavar="TIME", default="2026-01-01T00:00:00Z",
                        help="with --detections: what a scenario's seconds count from (%(default)s)")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="with --journal alone: not before this time")
    parser.add_argument("--to", metavar="TIME", help="the same: not after this time")
    parser.add_argument("--operation", metavar="ID", help="the same: of this operation only")
    parser.add_argument("--without", action="append", default=[], metavar="SOURCE",
                        help="the same: as if this transport, device or sensor had said nothing; repeats")
    parser.add_argument("--late", action="append", default=[], metavar="SOURCE=SECONDS",
                        help="the same: as if what this source said had come in so much later; repeats")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Fold the detections by arrival, or a journal's entries; at each time say what is believed by then."""
    from birddog.errors import UsageError
    from opsroom.believed import SECONDS_MOST

    if not 1e-3 <= args.every <= SECONDS_MOST:
        raise UsageError(f"a number of seconds, 0.001 to {SECONDS_MOST:,}, was expected", field="--every")
    if args.detections is None and args.journal is None:
        raise UsageError("--detections FILE or --journal URL was expected")
    if args.detections is None:
        return _of_journal(args)
    for name, given in (("--from", args.begin), ("--to", args.to), ("--operation", args.operation),
                        ("--without", args.without), ("--late", args.late)):
        if given:
            raise UsageError(f"{name} goes with --journal alone")
    return _of_file(args)


def _of_file(args: argparse.Namespace) -> int:
    """The rows of a file of detections, by the same fold; with --journal its entries are kept."""
    from birddog.errors import UsageError
    from birddog.model import Entry
    from opsroom.believed import believed
    from opsroom.commands.common import result_file, time_ns
    from opsroom.detections import drafts, read

    start_ns = time_ns(args.start, "--start")
    if not 0 <= start_ns < LAST_START_NS:
        raise UsageError("wants a time from 1970 to 2100", field="--start")
    file = read(args.detections, args.sensors, start_ns)
    made = drafts(file)
    if args.journal is not None:
        if file.origin is None:
            raise UsageError("an origin (origin_lat, origin_lon of --sensors, or lat and lon of a row) was expected: a journal "
                             "holds positions on the Earth", field="--journal")  # fmt: skip
        _kept(args.journal, made)
    journal = (
        Entry(seq=k, kind=d.kind, received_ns=d.received_ns, source=d.source, ident=d.ident, body=d.body)
        for k, d in enumerate(made, 1)
    )
    frame = file.frame
    with result_file(args.out) as out:
        out.write(HEAD + "\n")
        for t_ns, tracks in believed(journal, round(args.every * 1e9), origin_ns=file.start_ns):
            if t_ns <= file.start_ns or not file.rows:
                continue
            t = _time((t_ns - file.start_ns) / 1e9, file.iso)
            for b in tracks:
                e, n = frame.en(lat_deg=b.lat_deg, lon_deg=b.lon_deg)
                where = "," if file.origin is None else f"{b.lat_deg:.8f},{b.lon_deg:.8f}"
                out.write(_row(t, b, where, f"{e:.4f},{n:.4f}"))
    return 0


def _kept(url: str, made: list[Draft]) -> None:
    """The entries in an exercise journal, made where it is absent."""
    from birddog.errors import UsageError
    from birddog.journal import open_writer

    writer = open_writer(url, mode="exercise")
    try:
        if writer.last_seq() == len(made) and len(writer.holds([d.ident for d in made])) == len(made):
            return
        if writer.last_seq():
            raise UsageError("holds something else: a new journal was expected", file=url)
        for k in range(0, len(made), 5000):
            writer.append(made[k : k + 5000])
    finally:
        writer.close()


def _of_journal(args: argparse.Namespace) -> int:
    """The rows of a journal, as the live fold believed them."""
    from birddog.directory import OPEN
    from birddog.errors import UsageError
    from birddog.journal import entries, open_reader
    from birddog.model import Entry
    from birddog.units import iso_from_ns
    from opsroom.believed import believed, late_of, of_source
    from opsroom.commands.common import result_file, say, time_ns

    if args.sensors is not None:
        raise UsageError("--sensors goes with --detections")
    if "" in args.without:
        raise UsageError("the name of a transport, device or sensor was expected: what names none would be left out too",
                         field="--without")  # fmt: skip
    late = late_of(args.late)
    begin_ns = None if args.begin is None else time_ns(args.begin, "--from")
    to_ns = None if args.to is None else time_ns(args.to, "--to")
    if begin_ns is not None and to_ns is not None and to_ns < begin_ns:
        raise UsageError("wants a time that is not before --from", field="--to")
    unheard = {*args.without, *late}

    def heard(of: Iterable[Entry]) -> Iterator[Entry]:
        for entry in of:
            if unheard:
                unheard.difference_update([name for name in unheard if of_source(entry, name)])
            yield entry

    journal = open_reader(args.journal)
    try:
        if args.operation not in (None, OPEN) and all(entry.operation != args.operation for entry in entries(journal)):
            raise UsageError(f"there is no operation {args.operation!r} in this journal", field="--operation")
        with result_file(args.out) as out:
            out.write(HEAD + "\n")
            for t_ns, tracks in believed(
                heard(entries(journal)), round(args.every * 1e9), from_ns=begin_ns, to_ns=to_ns, operation=args.operation,
                leave_out=frozenset(args.without), late_ns=late,
            ):  # fmt: skip
                t = iso_from_ns(t_ns)
                for b in tracks:
                    out.write(_row(t, b, f"{b.lat_deg:.8f},{b.lon_deg:.8f}", ","))
    finally:
        journal.close()
    for name in sorted(unheard):
        say(f"{name}: nothing in this journal is from such a transport, device or sensor; the rows are as without this option")
    return 0


def _time(tau_s: float, iso: bool) -> str:
    from birddog.units import iso_from_ns

    return iso_from_ns(round(tau_s * 1e9)) if iso else f"{tau_s:.6f}".rstrip("0").rstrip(".")


def _row(t: str, b: Any, where: str, plane: str) -> str:
    tag = _quoted(b.tag_id)
    return (f"{t},{b.track_id},{tag},{where},{plane},{b.ve_mps:.4f},{b.vn_mps:.4f},{b.p_ee:.6g},{b.p_en:.6g},"
            f"{b.p_nn:.6g}\n")  # fmt: skip


@functools.lru_cache(maxsize=4096)
def _quoted(tag_id: str) -> str:
    from opsroom.csv_rows import quoted

    return quoted(tag_id)
