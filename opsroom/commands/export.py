"""``birddog export``: the tracks of a journal in a format of other people's."""

from __future__ import annotations

import argparse

from opsroom.commands.common import actor_option, journal_option, name_of, result_file, say, time_ns


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--format", metavar="NAME", required=True,
                        help="geojson, gpx, kml, csv, nmea, cot, epcis or mf-json")
    journal_option(parser)
    parser.add_argument("--operation", metavar="ID", help="only this case's tracks (default: every one)")
    parser.add_argument("--track", metavar="ID", help="only this track")
    parser.add_argument("--from", dest="from_time", metavar="TIME", help="only points from then on")
    parser.add_argument("--to", metavar="TIME", help="only points before then")
    parser.add_argument("--coast", action="store_true",
                        help="predictions too, where no measurement was (marked, where the format can)")
    actor_option(parser)
    parser.add_argument("--reason", metavar="TEXT", default="", help="for whom and why, as the journal's entry of it shall say")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Write the export; every format holds the same points of the same tracks."""
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.model import Access
    from opsroom.accesses import person, record
    from opsroom.derived import derived
    from opsroom.exports import load

    export = load(args.format)
    from_ns = None if args.from_time is None else time_ns(args.from_time, "--from")
    to_ns = None if args.to is None else time_ns(args.to, "--to")
    if from_ns is not None and to_ns is not None and to_ns <= from_ns:
        raise UsageError("wants a time after --from", field="--to")
    with derived(args.journal) as picture:
        if args.operation is not None and args.operation not in picture.operations:
            known = ", ".join(sorted(picture.operations))
            raise UsageError(f"there is no operation {args.operation!r} in this journal ({known})", field="--operation")
        if args.track is not None and picture.view.track(args.track) is None:
            raise UsageError(f"there is no track {args.track!r} in this journal", field="--track")
        name_of(args.actor, "--actor")
        record(args.journal, Access(
            action="export", by=person(args.actor), form=args.format, to=Path(args.out).name if args.out else "-",
            operation=args.operation or "", track=args.track or "", from_ns=from_ns, to_ns=to_ns,
            reason=name_of(args.reason, "--reason")))
        sheet = picture.sheet(operation=args.operation, track_id=args.track, from_ns=from_ns, to_ns=to_ns, coast=args.coast)
        with result_file(args.out) as out:
            for piece in export.encode(sheet):
                out.write(piece)
    if picture.exercise:
        say("birddog export: these are tracks of an EXERCISE")
    return 0
