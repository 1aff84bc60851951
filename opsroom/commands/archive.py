"""``birddog archive build|show|use``: tracks of the past, for forecasts, arrival times and events."""

from __future__ import annotations

import argparse

from opsroom.commands.common import actor_option, journal_option, json_option, print_json, say

#: Horizons that an archive is calibrated for when it is built, minutes; others are when they are asked for.
HORIZONS_MIN = "15,60,240"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="make an archive of files of tracks, AIS logs and journals")
    build.add_argument("files", nargs="+", metavar="FILE",
                       help="CSV id,t,lat,lon, the CSV of an AIS archive, an AIS log, a journal")
    build.add_argument("--to", required=True, metavar="PATH",
                       help="the folder that is made; an archive that stands there is replaced")
    build.add_argument("--horizons", metavar="LIST", default=HORIZONS_MIN,
                       help=f"minutes for which it is calibrated at once (default {HORIZONS_MIN}; '' for none)")
    show = actions.add_parser("show", help="what is in an archive")
    show.add_argument("path", metavar="PATH")
    use = actions.add_parser("use", help="let the live picture know which ways are used: lane stops, deviations")
    use.add_argument("path", metavar="PATH", help="an archive, or a CSV; its hash stands in the entry with what was learned")
    journal_option(use)
    actor_option(use)
    json_option(build)
    json_option(show)


def run(args: argparse.Namespace) -> int:
    """Build or show."""
    from opsroom import archive_store

    if args.action == "use":
        return _use(args)
    if args.action == "show":
        _tell(archive_store.load(args.path).past, args.path, {}, args.json)
        return 0
    from birddog.errors import UsageError
    from opsroom.archive_sources import build, gather
    from tracking.forecast.calibration import Calibration

    minutes = []
    for text in filter(None, args.horizons.split(",")):
        if not text.strip().isdigit() or not 1 <= int(text) <= 43_200:
            raise UsageError(f"{text!r} is no number of minutes from 1 to 43200", field="--horizons")
        minutes.append(int(text))
    gathered = gather(args.files)
    past = build(gathered)
    if not len(past):
        raise UsageError("no fix that can be used: an archive of nothing is not made", file=args.files[0])
    calibration = Calibration(past)
    for m in minutes:
        for moving in (True, False):
            for t0_s in (past.last_s, past.last_s + 86_400.0):
                calibration.widths(m * 60.0, moving, 0.0, t0_s, 0.9)
    archive_store.save(calibration, args.to, {"sources": len(args.files), "refused": dict(gathered.refused)})
    _tell(past, args.to, gathered.refused, args.json)
    return 0


def _use(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from opsroom.commands.common import name_of
    from opsroom.registers import Registers
    from opsroom.ways_of import learned

    actor = name_of(args.actor, "--actor")
    registers = Registers(args.journal, actor=actor)
    ways, sha256 = learned(args.path)
    if not len(ways):
        raise UsageError("nothing moved in it: no way is known", file=args.path)
    [seq] = registers.enter(ways.table)
    say(f"entry {seq}: {len(ways)} cells of {ways.cell_m:g} m of {ways.table.tracks} tracks, archive {sha256[:16]}; "
        "live lane stops and deviations are told by it from now on")
    return 0


def _tell(past, path: str, refused: dict[str, int], as_json: bool) -> None:
    from birddog.units import NS, iso_from_ns

    first, last = iso_from_ns(round(past.first_s * NS)), iso_from_ns(round(past.last_s * NS))
    if as_json:
        print_json({"path": path, "vessels": len(past.names), "fixes": len(past), "from": first,
                    "to": last, "interval_s": round(past.scale.interval_s, 1),
                    "reach_m": round(past.scale.reach_m), "refused": dict(refused)})
        return
    print(f"{path}: {len(past.names)} vessels, {len(past)} fixes, {first} to {last}, one in {past.scale.interval_s:.0f} s")
    for reason, n in sorted(refused.items()):
        say(f"left out: {n} × {reason}")
