"""``birddog intercept``: where and when a unit can meet what is followed, ranked by probability."""

from __future__ import annotations

import argparse

from opsroom.commands.common import asking_options

HEAD = "id,t0,unit,rank,lat_deg,lon_deg,probability,reaches,s_p10,s_p50,s_p90,unit_p50,unit_p90"
COLUMNS = ("id", "t0", "unit_lat", "unit_lon", "speed_mps")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    asking_options(parser, "id,t0,unit_lat,unit_lon,speed_mps[,unit,medium,sigma_m,ready_s]; medium sea or road")
    parser.add_argument("--radius", type=float, default=1000.0, metavar="M", help="how near is met, metres (1000)")
    parser.add_argument("--within", type=float, default=240.0, metavar="MIN", help="nothing later, minutes (240)")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="places a question (5)")


def run(args: argparse.Namespace) -> int:
    """Answer every question, in order, a row a place; one without any is a row with rank 0 and a line."""
    from birddog.errors import UsageError
    from birddog.units import NS, iso_from_ns
    from opsroom.archive_store import blamed
    from opsroom.commands.common import result_file
    from opsroom.csv_rows import quoted, time_ns
    from opsroom.forecasting import Asked, open_archive, questions, told_once
    from opsroom.track_file import latitude, longitude, name
    from tracking.forecast.arrival import Arrivals
    from tracking.forecast.intercept import Unit, meetings
    from tracking.forecast.where import Forecaster

    for option, value, least, most in (("--radius", args.radius, 10.0, 100_000.0), ("--within", args.within, 1.0, 20_160.0),
                                       ("--top", args.top, 1, 100)):  # fmt: skip
        if not least <= value <= most:
            raise UsageError(f"expected {least:g} to {most:g}, not {value:g}", field=option)
    calibration = open_archive(args.archive)
    assert calibration.windows is not None
    forecaster = Forecaster(calibration.past, calibration=calibration)
    arrivals = Arrivals(calibration.past, windows=calibration.windows[True])
    asked = Asked(args.tracks, calibration.past)
    tell = told_once(args.at)
    readers = {
        "id": name, "t0": time_ns, "unit_lat": latitude, "unit_lon": longitude, "speed_mps": _speed,
        "unit": lambda text: text or "", "medium": _medium, "sigma_m": _not_less, "ready_s": _not_less,
    }  # fmt: skip
    wanted = questions(args.at, COLUMNS, readers)
    with blamed(args.archive), result_file(args.out) as out:
        out.write(HEAD + "\n")
        for line, row, got in wanted:
            t0_s = got["t0"] / NS
            track = asked.track(got["id"], t0_s)
            unit = Unit(got["unit_lat"], got["unit_lon"], got["speed_mps"], got["medium"], got["sigma_m"], got["ready_s"])
            said = f"{quoted(got['id'])},{row['t0'].strip()},{quoted(got['unit'])}"
            found = [] if track is None else meetings(
                forecaster, arrivals, track, t0_s, unit, radius_m=args.radius, most_s=args.within * 60.0, n=args.top
            )  # fmt: skip
            if not found:
                why = asked.why_not(got["id"]) if track is None else "nowhere within that time; its values are empty"
                tell(line, why)
                out.write(f"{said},0,,,,,,,,,\n")
                continue
            if not found[0].used:
                tell(line, "nobody in the archive went on from here: along the straight way, with a wide guess")
            for rank, m in enumerate(found, 1):
                seconds = (m.s_p10_s, m.s_p50_s, m.s_p90_s, m.unit_p50_s, m.unit_p90_s)
                times = ",".join(iso_from_ns(round(t * NS)) for t in seconds)
                where = f"{m.place.lat_deg:.7f},{m.place.lon_deg:.7f}"
                out.write(f"{said},{rank},{where},{m.probability:.4f},{m.reaches:.4f},{times}\n")
            calibration.past.release()
    tell(0, "")
    return 0


def _speed(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if not 0.1 <= value <= 400.0:
        raise ValueError(f"{text} is no speed from 0.1 to 400 m/s")
    return value


def _medium(text: str | None) -> str:
    word = (text or "sea").strip()
    if word not in ("sea", "road"):
        raise ValueError(f"{word[:40]!r} is neither sea nor road")
    return word


def _not_less(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text) if text is not None and text.strip() else 0.0
    if not 0.0 <= value <= 1e6:
        raise ValueError(f"{text} is no number from 0 to a million")
    return value
