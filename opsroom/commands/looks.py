"""``birddog looks``: what to ask for next of a track of a journal, and what no authority allows; what ``/v1/looks`` answers."""

from __future__ import annotations

import argparse
from typing import Any

from opsroom.commands.common import journal_option, json_option


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("track", metavar="TRACK", help="its track_id (T33), as /v1/tracks and the page's panel have it")
    journal_option(parser)
    parser.add_argument("--archive", metavar="PATH",
                        help="an archive (birddog archive build; [forecast] archive of --config unless given)")
    parser.add_argument("--config", metavar="FILE", help="where [forecast.looks] says what a look costs and tells")
    parser.add_argument("--horizon", type=float, default=60.0, metavar="MIN",
                        help="when the 90 %% region is to be small, minutes from then (60)")
    parser.add_argument("--at", metavar="TIME", help="as known and allowed then (the journal's newest time)")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """The looks, the best first, and what is barred with why."""
    from pathlib import Path

    from birddog.config import load
    from birddog.errors import UsageError
    from birddog.units import iso_from_ns
    from opsroom.app import Config
    from opsroom.commands.common import print_json, time_ns
    from opsroom.derived import derived
    from opsroom.foresight import STEPS, Foresight, Settings
    from opsroom.looks_allowed import barred

    if not 1.0 <= args.horizon <= 44_640.0:
        raise UsageError(f"expected minutes from 1 to 44640 (a month), not {args.horizon:g}", field="--horizon")
    said = load(Path(args.config), Config).forecast if args.config else Settings()
    said.check()
    if args.archive:
        said = Settings(archive=args.archive, looks=said.looks)
    foresight = Foresight(said)
    why = foresight.missing()
    if why:
        raise UsageError(why, file=args.archive or args.config or "--archive")
    with derived(args.journal) as picture:
        t0_ns = picture.made_ns if args.at is None else time_ns(args.at, "--at")
        row = picture.view.track(args.track)
        if row is None:
            raise UsageError(f"{args.track!r}: no track of this id; one such as T33 is meant, no name and no tag: "
                             "birddog track --journal URL --every 60 lists both", field="TRACK")
        points = picture.view.until(args.track, t0_ns, STEPS)
        found = {"track_id": args.track, "t0": iso_from_ns(t0_ns), "why": ""}
        found |= foresight.looks(row, points, t0_ns, args.horizon, barred(row, picture.directory, t0_ns))
    if args.json:
        print_json(found)
    else:
        _tell(found)
    return 0


def _tell(found: dict[str, Any]) -> None:
    from opsroom.commands.common import print_table, say

    if found["looks"]:
        print_table(("look", "told", "after", "cost", "90 % region", "takes off a unit of cost", "where"), [
            (of["look"], f"{100.0 * of['told']:.0f} %", f"{of['lead_min']:g} min", f"{of['cost']:g}",
             f"{of['before_km2']:.3g} -> {of['after_km2']:.3g} km²", f"{of['per_cost_km2']:.3g} km²",
             f"{of['lat_deg']:.5f} {of['lon_deg']:.5f}") for of in found["looks"]
        ])  # fmt: skip
    if found["why"]:
        say(found["why"])
    for of in found["barred"]:
        say(f"{of['look']}: not allowed: {of['why']}")
    if found.get("guess"):
        say("the archive knows too few outcomes so far ahead: the regions are a guess")
