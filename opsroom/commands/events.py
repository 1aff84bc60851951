"""``birddog events``: what the tracks of a file mean (stops, encounters, visits, crossings ...), as JSON lines."""

from __future__ import annotations

import argparse
import os

#: The kinds, as ``tracking.events.model`` names them (not imported: --help answers at once).
KINDS = ("stop", "encounter", "loiter", "gap", "cotravel", "split")
PLACE_KINDS = ("visit", "portal", "border")
WAY_KINDS = ("lane_stop", "deviation")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--tracks", required=True, metavar="FILE", help="CSV id,t,lat,lon; rows in any order")
    every = ",".join(KINDS + PLACE_KINDS + WAY_KINDS)
    parser.add_argument("--kinds", metavar="LIST", help=f"some of {every} (default: all that there is something for)")
    parser.add_argument("--places", metavar="FILE", help="GeoJSON: ports to visit, lines to pass, borders to cross")
    parser.add_argument("--archive", metavar="PATH",
                        help="tracks of the past (birddog archive build, or a CSV): the ways that are used, for lane_stop and "
                             "deviation")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print every event of the kinds that were asked for, by kind, identity and time."""
    # no matrix is multiplied here: OpenBLAS' threads, begun as numpy is imported, would only cost
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from birddog.errors import UsageError
    from opsroom.commands.common import result_file
    from opsroom.event_lines import lines, said
    from opsroom.track_file import read_tracks
    from tracking.events import batch
    from tracking.events.model import Rules
    from tracking.events.tracks import tracks

    kinds = KINDS + (PLACE_KINDS if args.places else ()) + (WAY_KINDS if args.archive else ())
    if args.kinds is not None:
        asked = tuple(kind.strip() for kind in args.kinds.split(","))
        for kind in asked:
            if kind not in KINDS + PLACE_KINDS + WAY_KINDS:
                raise UsageError(f"{kind!r} is no kind; expected some of {','.join(KINDS + PLACE_KINDS + WAY_KINDS)}",
                                 field="--kinds")
            if kind not in kinds:
                raise UsageError(f"{kind} wants {'--places' if kind in PLACE_KINDS else '--archive'}", field="--kinds")
        kinds = asked
    places, ways, archive = None, None, ""
    if args.places:
        from opsroom.place_file import read_places

        places = read_places(args.places)
    if args.archive:
        from opsroom.ways_of import learned

        ways, archive = learned(args.archive)
    rules = Rules()
    rows = read_tracks(args.tracks)
    fixes = tracks(rows.ids, rows.vessel, rows.time_ns, rows.lat_deg, rows.lon_deg, rules.reach_mps, rules.thin_s)
    said(args.tracks, rows, fixes, rules)
    with result_file(args.out) as out:
        for lot in lines(batch.told(fixes, rules, kinds, None, places, ways), rules, archive):
            out.write(lot)
    return 0
