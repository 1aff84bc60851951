"""``birddog deconflict``: planned operations of different agencies that would meet, from a file of them."""

from __future__ import annotations

import argparse
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--events", required=True, metavar="FILE",
                        help="CSV id,agency,lat,lon,radius_m,start,end: one planned operation a row")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print every conflict, in the order of the file."""
    from opsroom.csv_rows import quoted, refused, rows, taken, time_ns, write
    from opsroom.track_file import latitude, longitude, name
    from tracking.events.deconflict import Planned, conflicts

    wanted: dict[str, Any] = {"id": name, "agency": name, "lat": latitude, "lon": longitude, "radius_m": _radius,
                              "start": time_ns, "end": time_ns}  # fmt: skip
    _, lines = rows(args.events, tuple(wanted))
    plans: list[Any] = []
    met: dict[Any, Any] = {}
    for line, row in lines:
        got = taken(args.events, line, row, wanted)
        if got is None:
            continue
        if got["end"] <= got["start"]:
            refused(args.events, line, "end", "not after start")
            continue
        first = met.setdefault(got["id"], line)
        if first != line:
            refused(args.events, line, "id", f"the same as in line {first}")
            continue
        plans.append(Planned(got["id"], got["agency"], got["lat"], got["lon"], got["radius_m"], got["start"], got["end"]))
    text = ["a,b,distance_m,overlap_min"]
    text += [f"{quoted(c.a)},{quoted(c.b)},{c.distance_m:.1f},{c.overlap_min:.3f}" for c in conflicts(plans)]
    write(args.out, "\n".join(text) + "\n")
    return 0


def _radius(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if value < 0.0:
        raise ValueError(f"{text} is below 0")
    return value
