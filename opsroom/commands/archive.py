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
                       help="CSV id,t,lat,lon, the CSV of an AIS archive, Parquet with such columns, an AIS log, a journal")
    build.add_argument("--to", required=True, metavar="PATH",
                       help="the folder that is made; an archive that stands there is replaced")
    build.add_argument("--horizons", metavar="LIST", default=HORIZONS_MIN,
                       help=f"minutes for which it is calibrated at once (default {HORIZONS_MIN}; '' for none)")
    build.add_argument("--open-only", action="store_true",
                       help="of journals only what everybody may hear and what is of no case, so that all may be told from it")
    show = actions.add_parser("show", help="what is in an archive")
    show.add_argument("path", metavar="PATH")
    show.add_argument("--verify", action="store_true",
                      help="hash every part again; exit 1 where one is not what archive.json says")
    use = actions.add_parser("use", help="let the live picture know which ways are used: lane stops, deviations")
    use.add_argument("path", metavar="PATH",
                     help="an archive of no case's own, or a CSV; its hash stands in the entry with what was learned")
    journal_option(use)
    actor_option(use)
    drift = actions.add_parser("drift", help="whether forecasts miss by more of late than before")
    drift.add_argument("path", metavar="PATH", help="an archive")
    drift.add_argument("--days", type=float, metavar="N", help="of late are so many days (the last quarter of what is asked)")
    drift.add_argument("--horizons", metavar="LIST", default=HORIZONS_MIN, help=f"minutes (default {HORIZONS_MIN})")
    json_option(drift)
    json_option(build)
    json_option(show)


def run(args: argparse.Namespace) -> int:
    """Build or show."""
    from opsroom import archive_store

    if args.action == "drift":
        return _drift(args)
    if args.action == "use":
        return _use(args)
    if args.action == "show":
        return _show(args.path, verify=args.verify, as_json=args.json)
    from birddog.errors import UsageError
    from opsroom.archive_sources import build, gather
    from tracking.forecast.calibration import Calibration

    minutes = _minutes(args.horizons)
    gathered = gather(args.files, open_only=args.open_only)
    past = build(gathered)
    if not len(past):
        raise UsageError("no fix that can be used: an archive of nothing is not made", file=args.files[0])
    calibration = Calibration(past)
    for m in minutes:
        for moving in (True, False):
            for t0_s in (past.last_s, past.last_s + 86_400.0):
                calibration.widths(m * 60.0, moving, 0.0, t0_s, 0.9)
    archive_store.save(calibration, args.to, {"sources": len(args.files), "refused": dict(gathered.refused),
                                              "cases": dict(sorted(gathered.cases.items()))})  # fmt: skip
    return _show(args.to, verify=False, as_json=args.json)


def _show(path: str, *, verify: bool, as_json: bool) -> int:
    """What is in an archive, and what of its sources was left out; whether its parts are what it says."""
    from birddog.units import NS, iso_from_ns
    from opsroom import archive_store
    from opsroom.ways_of import sha256_of

    past, about = archive_store.load(path, hashed=False).past, archive_store.about(path)
    refused = dict(sorted(about.get("refused", {}).items()))
    cases = dict(about.get("cases", {}))
    horizons = sorted({of["horizon_min"] for of in about["scores"]})
    differ = archive_store.differing(path) if verify else []
    first, last = iso_from_ns(round(past.first_s * NS)), iso_from_ns(round(past.last_s * NS))
    if as_json:
        print_json({"path": path, "vessels": len(past.names), "fixes": len(past), "from": first, "to": last,
                    "interval_s": round(past.scale.interval_s, 1), "reach_m": round(past.scale.reach_m),
                    "horizons_min": horizons, "sources": about.get("sources"), "cases": cases, "refused": refused,
                    "version": about["version"], "sha256": sha256_of(path)}
                   | ({"differ": differ} if verify else {}))  # fmt: skip
    else:
        print(f"{path}: {len(past.names)} vessels, {len(past)} fixes, {first} to {last}, one in {past.scale.interval_s:.0f} s")
        for case, n in cases.items():
            say(f"of case {case}: {n} fixes; whoever may not see that case is told nothing from this archive by the console")
        for reason, n in refused.items():
            say(f"left out: {n} × {reason}")
    if differ is None:
        say(f"{path}: was built before its parts were hashed: nothing to verify; build it anew")
        return 1
    for name in differ:
        say(f"{path}/{name}.npy: is not what archive.json says")
    return 1 if differ else 0


def _minutes(words: str) -> list[int]:
    from birddog.errors import UsageError

    minutes = []
    for text in filter(None, words.split(",")):
        if not text.strip().isdigit() or not 1 <= int(text) <= 43_200:
            raise UsageError(f"{text!r} is no number of minutes from 1 to 43200", field="--horizons")
        minutes.append(int(text))
    return minutes


def _drift(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from opsroom.archive_store import blamed
    from opsroom.commands.common import print_table
    from opsroom.forecasting import open_archive
    from tracking.forecast.backtest import lately

    if args.days is not None and not 0.0 < args.days <= 36_500.0:
        raise UsageError("wants days, more than 0", field="--days")
    minutes = _minutes(args.horizons)
    calibration = open_archive(args.path)
    last_s = calibration.past.last_s
    rows = []
    for m in minutes:
        for moving in (True, False):
            with blamed(args.path):
                of = calibration.outcomes(m, moving, last_s)
            late = lately(of, moving, None if args.days is None else last_s - m * 60.0 - args.days * 86_400.0)
            found = late.missed if late else None
            held = late.held if late else {}
            rows.append({
                "horizon_min": m, "moving": moving, "outcomes": len(of.miss_m),
                "before": found.before if found else None, "late": found.late if found else None,
                "before_m": round(found.before_m, 1) if found else None, "late_m": round(found.late_m, 1) if found else None,
                "times": round(found.times, 3) if found else None, "z": round(found.z, 2) if found else None,
                "over_allowed_times": round(late.allowed.times, 3) if late else None,
                "over_allowed_z": round(late.allowed.z, 2) if late else None,
                "late_held_50": round(held[0.5], 3) if 0.5 in held else None,
                "late_held_90": round(held[0.9], 3) if 0.9 in held else None,
                "changed": late.changed if late else None,
            })  # fmt: skip
    if args.json:
        print_json(rows)
        return 0
    print_table(("horizon", "what", "before", "of late", "times", "z", "over widths", "late in 50 / 90 %", "says"), [
        (f"{r['horizon_min']} min", "moves" if r["moving"] else "stands", f"{r['before_m']} m of {r['before']}",
         f"{r['late_m']} m of {r['late']}", str(r["times"]), str(r["z"]),
         f"{r['over_allowed_times']} (z {r['over_allowed_z']})", f"{r['late_held_50']} / {r['late_held_90']}",
         "CHANGED" if r["changed"] else "as before")
        if r["changed"] is not None else
        (f"{r['horizon_min']} min", "moves" if r["moving"] else "stands", "", "", "", "", "", "",
         f"too few outcomes ({r['outcomes']})") for r in rows
    ])  # fmt: skip
    return 0


def _use(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from opsroom.commands.common import name_of
    from opsroom.registers import Registers
    from opsroom.ways_of import learned

    actor = name_of(args.actor, "--actor")
    registers = Registers(args.journal, actor=actor)
    ways, sha256 = learned(args.path, for_all=True)
    if not len(ways):
        raise UsageError("nothing moved in it: no way is known", file=args.path)
    [seq] = registers.enter(ways.table)
    say(f"entry {seq}: {len(ways)} cells of {ways.cell_m:g} m of {ways.table.tracks} tracks, archive {sha256[:16]}; "
        "live lane stops and deviations are told by it from now on")
    return 0
