"""``birddog forecast``: where things will be, with the discs and regions that hold half and nine tenths of what comes."""

from __future__ import annotations

import argparse
from typing import Any

from opsroom.commands.common import asking_options

HEAD = "id,t0,horizon_min,lat_deg,lon_deg,r50_m,r90_m,area90_km2"
#: A longer horizon is no question, minutes (a year); beyond a month the widths are no more than guesses.
MOST_MIN, MONTH_MIN = 527_040.0, 44_640.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    asking_options(parser, "id,t0,horizon_min")
    parser.add_argument("--regions", metavar="FILE", help="write the 50 %% and 90 %% regions as GeoJSON")
    parser.add_argument("--report", metavar="FILE.html",
                        help="write how good such forecasts were: calibration and error by horizon")


def run(args: argparse.Namespace) -> int:
    """Answer every question, in order; where nothing can be said the row's values are empty."""
    from opsroom.archive_store import blamed
    from opsroom.commands.common import json_line, result_file
    from opsroom.csv_rows import quoted, time_ns
    from opsroom.forecasting import Asked, open_archive, questions, told_once
    from opsroom.track_file import name
    from tracking.forecast.where import Forecaster

    calibration = open_archive(args.archive)
    forecaster = Forecaster(calibration.past, calibration=calibration)
    asked = Asked(args.tracks, calibration.past)
    tell = told_once(args.at)
    readers = {"id": name, "t0": time_ns, "horizon_min": _horizon}
    horizons: set[float] = set()
    regions = None
    features = answered = 0
    wanted = questions(args.at, tuple(readers), readers)
    with blamed(args.archive), result_file(args.out) as out:
        try:
            if args.regions:
                regions = _opened(args.regions)
                regions.write('{"type":"FeatureCollection","features":[')
            out.write(HEAD + "\n")
            for line, row, got in wanted:
                t0_s = got["t0"] / 1e9
                track = asked.track(got["id"], t0_s)
                f = None if track is None else forecaster.forecast(track, t0_s, got["horizon_min"] * 60.0)
                said = f"{quoted(got['id'])},{row['t0'].strip()},{row['horizon_min'].strip()}"
                if f is None:
                    tell(line, asked.why_not(got["id"]))
                    out.write(said + ",,,,,\n")
                    continue
                if f.elsewhere and len(calibration.past):
                    tell(line, "the archive knows nobody at this place before t0: the own velocity alone, its widths a guess")
                elif got["horizon_min"] > MONTH_MIN or not f.windows:
                    tell(line, "the archive knows no outcome so far ahead: the widths are a guess")
                horizons.add(got["horizon_min"])
                answered += 1
                if answered % 16 == 0:
                    calibration.past.release()
                out.write(f"{said},{f.lat_deg:.7f},{f.lon_deg:.7f},{f.radius_m[0.5]:.1f},{f.radius_m[0.9]:.1f},"
                          f"{max(f.area_m2[0.9] / 1e6, 1e-6):.6f}\n")
                if regions is not None:
                    for feature in _features(f, got["id"], row):
                        regions.write(("," if features else "") + "\n" + json_line(feature))
                        features += 1
            if regions is not None:
                regions.write("\n]}\n")
        finally:
            if regions is not None:
                regions.close()
    tell(0, "")
    if args.report:
        from opsroom.forecast_report import write_report

        write_report(args.report, forecaster, sorted(horizons))
    return 0


def _opened(path: str) -> Any:
    from birddog.errors import UsageError

    try:
        return open(path, "w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error


def _horizon(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if not 0.0 <= value <= MOST_MIN:
        raise ValueError(f"{text} is no number of minutes from 0 to {MOST_MIN:g}")
    return value


def _features(f: Any, who: str, row: dict[str, str]) -> list[dict[str, Any]]:
    """One feature a level: a polygon, or a multipolygon where there are several futures apart, or the date line is between."""
    from birddog.date_line import cut_on_date_line

    out = []
    for level in (0.5, 0.9):
        parts = [part for polygon in f.rings(level) for part in cut_on_date_line(polygon)]
        polygons = [[[[round(x, 6), round(y, 6)] for x, y in ring] for ring in part] for part in parts]
        one = len(polygons) == 1
        out.append({
            "type": "Feature",
            "properties": {"id": who, "t0": row["t0"].strip(), "horizon_min": float(row["horizon_min"]), "level": level,
                           "area_km2": round(f.area_m2[level] / 1e6, 6)},
            "geometry": {"type": "Polygon" if one else "MultiPolygon", "coordinates": polygons[0] if one else polygons},
        })  # fmt: skip
    return out
