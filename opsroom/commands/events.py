"""``birddog events``: stops, encounters, loitering, gaps and co-travel of a file of tracks, as JSON lines."""

from __future__ import annotations

import argparse

#: The kinds, as ``tracking.events.model`` names them (not imported: --help answers at once).
KINDS = ("stop", "encounter", "loiter", "gap", "cotravel")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--tracks", required=True, metavar="FILE", help="CSV id,t,lat,lon; rows in any order")
    parser.add_argument("--kinds", metavar="LIST", default=",".join(KINDS), help=f"some of {','.join(KINDS)} (default: all)")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print every event of the kinds that were asked for, by kind, identity and time."""
    from birddog.errors import UsageError
    from opsroom.commands.common import result_file
    from opsroom.event_lines import lines, said
    from opsroom.track_file import read_tracks
    from tracking.events import batch
    from tracking.events.model import Rules
    from tracking.events.tracks import tracks

    kinds = tuple(kind.strip() for kind in args.kinds.split(","))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no kind; expected some of {','.join(KINDS)}", field="--kinds")
    rules = Rules()
    rows = read_tracks(args.tracks)
    fixes = tracks(rows.ids, rows.vessel, rows.time_ns, rows.lat_deg, rows.lon_deg, rules.reach_mps, rules.thin_s)
    said(args.tracks, rows, fixes, rules)
    with result_file(args.out) as out:
        for lot in lines(batch.events(fixes, rules, kinds), rules):
            out.write(lot)
    return 0
