"""``birddog eta``: when things will be at a place: 10, 50 and 90 in a hundred arrive by then."""

from __future__ import annotations

import argparse

from opsroom.commands.common import asking_options

HEAD = "id,t0,eta_p10,eta_p50,eta_p90"
#: Of what would have been there before the question, and was not heard since.
OVERDUE = ("by its last fix nine in ten such would have been there before t0, and nothing was heard since: there by now, "
           "elsewhere, or held up; its values are empty")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    asking_options(parser, "id,t0,dest_lat,dest_lon,radius_m")


def run(args: argparse.Namespace) -> int:
    """Answer every question, in order; where nothing can be said the row's values are empty."""
    from birddog.units import NS, iso_from_ns
    from opsroom.archive_store import blamed
    from opsroom.commands.common import result_file
    from opsroom.csv_rows import quoted, time_ns
    from opsroom.forecasting import Asked, open_archive, questions, told_once
    from opsroom.track_file import latitude, longitude, name
    from tracking.forecast.arrival import Arrivals, Place

    calibration = open_archive(args.archive)
    assert calibration.windows is not None
    arrivals = Arrivals(calibration.past, windows=calibration.windows[True])
    asked = Asked(args.tracks, calibration.past)
    tell = told_once(args.at)
    readers = {"id": name, "t0": time_ns, "dest_lat": latitude, "dest_lon": longitude, "radius_m": _radius}
    wanted = questions(args.at, tuple(readers), readers)
    with blamed(args.archive), result_file(args.out) as out:
        out.write(HEAD + "\n")
        for line, row, got in wanted:
            t0_s = got["t0"] / NS
            track = asked.track(got["id"], t0_s)
            place = Place(got["dest_lat"], got["dest_lon"], got["radius_m"])
            a = None if track is None else arrivals.arrival(track, t0_s, place)
            said = f"{quoted(got['id'])},{row['t0'].strip()}"
            if a is None or a.overdue:
                tell(line, asked.why_not(got["id"]) if a is None else OVERDUE)
                out.write(said + ",,,\n")
                continue
            if not a.used:
                tell(line, "nobody in the archive went there from here: the straight way at the own speed, with a wide guess")
            out.write(said + "".join(f",{iso_from_ns(round(t * NS))}" for t in (a.p10_s, a.p50_s, a.p90_s)) + "\n")
    tell(0, "")
    return 0


def _radius(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if not 0.0 < value <= 1_000_000.0:
        raise ValueError(f"{text} is no radius over 0 and up to 1000 km")
    return value
