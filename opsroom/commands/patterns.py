"""``birddog patterns``: hubs, hours of the week and hot-spot cells of a file of tracks, with exposure, as JSON."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--tracks", required=True, metavar="FILE", help="CSV id,t,lat,lon; rows in any order")
    parser.add_argument("--kind", default="stop", choices=("stop", "encounter", "loiter", "gap"), help="what is counted")
    parser.add_argument("--cell-m", type=float, default=5000.0, metavar="M", help="side of a cell, metres (5000)")
    parser.add_argument("--hub-m", type=float, default=500.0, metavar="M", help="how far a hub reaches, metres (500)")
    parser.add_argument("--k", type=int, default=5, metavar="N", help="fewer different ids are not shown (5, never under 5)")
    parser.add_argument("--teams", type=int, default=0, metavar="N", help="name the cells where N teams would see most")
    parser.add_argument("--hour", type=int, metavar="H",
                        help="of the week for --teams, UTC: 0 is Monday 00:00 to 01:00 (any hour)")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print one JSON object."""
    import msgspec
    import numpy as np

    from birddog.errors import UsageError
    from birddog.units import NS
    from opsroom.commands.common import result_file, say
    from opsroom.event_lines import said
    from opsroom.track_file import read_tracks
    from tracking.events import batch
    from tracking.events.model import Rules
    from tracking.events.tracks import tracks
    from tracking.patterns import Happening, busier, exposure, fixed_m, patterns, teams

    for name, value, most in (("--cell-m", args.cell_m, 500_000.0), ("--hub-m", args.hub_m, 50_000.0)):
        if not 50.0 <= value <= most:
            raise UsageError(f"expected metres from 50 to {most:g}, not {value:g}", field=name)
    if args.hour is not None and not 0 <= args.hour < 168:
        raise UsageError("expected an hour of the week from 0 to 167", field="--hour")
    if not 0 <= args.teams <= 1000:
        raise UsageError("expected a number from 0 to 1000", field="--teams")
    for name, value in (("--cell-m", args.cell_m), ("--hub-m", args.hub_m)):
        if fixed_m(value) != value:
            say(f"{name}: sizes are of a fixed row, so that two answers tell no more than one; {fixed_m(value):g} is taken")
    rules, rows = Rules(), read_tracks(args.tracks)
    fixes = tracks(rows.ids, rows.vessel, rows.time_ns, rows.lat_deg, rows.lon_deg, rules.reach_mps)
    said(args.tracks, rows, fixes, rules)
    of = {fixes.ids[k]: name for k, name in fixes.identity().items()}  # two under one identity count as one
    happened = [
        Happening(of.get(name, name), e.start_ns / NS, e.lat_deg, e.lon_deg)
        for e in batch.events(fixes, rules, (args.kind,)) for name in e.ids
    ]  # fmt: skip
    names = [fixes.ids[v] for v in fixes.vessel.tolist()]
    columns = (fixes.time_ns / NS, np.asarray(fixes.lat_deg), np.asarray(fixes.lon_deg))
    looked = exposure(names, *(column.tolist() for column in columns))
    found = patterns(happened, looked, cell_m=args.cell_m, hub_m=args.hub_m, k=args.k)
    document = {"kind": args.kind, **msgspec.to_builtins(found)}
    if args.teams:
        document["teams"] = msgspec.to_builtins(teams(found.cells, args.teams, 2.0 * found.cell_m, busier(found, args.hour)))
    with result_file(args.out) as out:
        out.write(msgspec.json.encode(document).decode() + "\n")
    return 0
