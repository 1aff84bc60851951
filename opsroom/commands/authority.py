"""``birddog authority check``: the verdict on each position of a file, by the warrants of another."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    check = verbs.add_parser("check", help="one verdict for each position", allow_abbrev=False)
    check.add_argument("--warrants", metavar="FILE", required=True,
                       help="JSON: a warrant, or a list of them (docs/authority.md)")
    check.add_argument("--pings", metavar="FILE", required=True, help="CSV: device,t,lat,lon")
    check.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print ``device,t,verdict``, one row for each row that could be read."""
    from birddog.authority import Authority
    from birddog.geo import valid_position
    from birddog.units import iso_from_ns
    from birddog.warrant_json import warrants_of
    from opsroom import csv_rows
    from opsroom.commands.common import json_list, say

    said, lines = json_list(args.warrants)
    found = warrants_of(said, file=args.warrants, lines=lines)
    for warrant in found:
        if not warrant.device:
            say(f"{args.warrants}: {warrant.warrant!r} names a class: of no device of a file is it known whether it is of one")
    authority = Authority(found)
    wanted = {"device": _name, "t": csv_rows.time_ns, "lat": csv_rows.number, "lon": csv_rows.number}
    out = ["device,t,verdict\n"]
    for line, row in csv_rows.rows(args.pings, tuple(wanted))[1]:
        ping = csv_rows.taken(args.pings, line, row, wanted)
        if ping is None:
            continue
        if not valid_position(ping["lat"], ping["lon"]):
            csv_rows.refused(args.pings, line, "lat, lon", "no position on Earth")
            continue
        verdict = authority.verdict(ping["device"], ping["t"], lat_deg=ping["lat"], lon_deg=ping["lon"])
        out.append(f"{csv_rows.quoted(ping['device'])},{iso_from_ns(ping['t'])},{verdict}\n")
    csv_rows.write(args.out, "".join(out))
    return 0


def _name(text: str | None) -> str:
    if text is None or not text.strip():
        raise ValueError("missing")
    return text
