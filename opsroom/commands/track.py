"""``birddog track``: the confirmed tracks at regular times, from a file of detections or from a journal."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

HEAD = "t,track_id,tag_id,lat_deg,lon_deg,e_m,n_m,ve_mps,vn_mps,p_ee,p_en,p_nn"
#: No sensor scans a place faster; each scan of a follower costs its time.
LEAST_PERIOD_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--detections", metavar="FILE", help="CSV t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn "
                        "and optional sensor_type,tag_id,lat,lon; rows in order of arrival")
    parser.add_argument("--sensors", metavar="FILE", help="JSON: origin, duration and what is known of each sensor")
    parser.add_argument("--every", required=True, type=float, metavar="S", help="seconds between the answers")
    parser.add_argument("--journal", metavar="URL", help="instead of --detections: what the live picture of this journal "
                        "believed at multiples of S of POSIX time, each time from the entries received by then")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="with --journal: not before this time")
    parser.add_argument("--to", metavar="TIME", help="with --journal: not after this time")
    parser.add_argument("--operation", metavar="ID", help="with --journal: of this operation only")
    parser.add_argument("--without", action="append", default=[], metavar="SOURCE",
                        help="with --journal: as if this transport, device or sensor had said nothing; repeats")
    parser.add_argument("--late", action="append", default=[], metavar="SOURCE=SECONDS",
                        help="with --journal: as if what this source said had come in so much later; repeats")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Feed the detections by arrival; at each time say what is believed by then."""
    from birddog.errors import UsageError
    from birddog.geo import LocalFrame
    from opsroom.csv_rows import write
    from tracking.offline import Follower

    if not (math.isfinite(args.every) and args.every >= 1e-3):
        raise UsageError("a number of seconds, at least 0.001, was expected", field="--every")
    if (args.detections is None) == (args.journal is None):
        raise UsageError("one of --detections FILE and --journal URL was expected")
    if args.journal is not None:
        return _of_journal(args)
    for name, given in (("--from", args.begin), ("--to", args.to), ("--operation", args.operation),
                        ("--without", args.without), ("--late", args.late)):
        if given:
            raise UsageError(f"{name} goes with --journal")
    sensors, origin, duration_s = _scenario(args.sensors)
    detections, iso, guessed = _detections(args.detections)
    origin = origin or guessed
    frame = None if origin is None else LocalFrame(lat_deg=origin[0], lon_deg=origin[1])
    follower = Follower(sensors)
    text, at = [HEAD], 0
    if detections:
        end_s = max(d.arrival_s for d in detections)
        # times of a scenario begin at 0; of a log they are POSIX: nothing is believed before the first arrival
        end_s = max(end_s, duration_s) if not iso else end_s
        k = max(1, math.ceil(detections[0].arrival_s / args.every - 1e-9))
        while (tau := k * args.every) <= end_s + 1e-9:
            while at < len(detections) and detections[at].arrival_s <= tau + 1e-9:
                follower.add(detections[at])
                at += 1
            t = _time(tau, iso)
            text += [_row(t, b, frame) for b in follower.believed(tau)]
            k += 1
    write(args.out, "\n".join(text) + "\n")
    return 0


def _of_journal(args: argparse.Namespace) -> int:
    """The rows of a journal, as the live fold believed them."""
    from birddog.errors import UsageError
    from birddog.journal import open_reader
    from birddog.units import iso_from_ns
    from opsroom.believed import believed, seconds_of
    from opsroom.commands.common import result_file, time_ns
    from opsroom.csv_rows import quoted

    if args.sensors is not None:
        raise UsageError("--sensors goes with --detections")
    late = dict(seconds_of(text) for text in args.late)
    begin_ns = None if args.begin is None else time_ns(args.begin, "--from")
    to_ns = None if args.to is None else time_ns(args.to, "--to")
    journal = open_reader(args.journal)
    try:
        with result_file(args.out) as out:
            out.write(HEAD + "\n")
            for t_ns, tracks in believed(
                journal, round(args.every * 1e9), from_ns=begin_ns, to_ns=to_ns, operation=args.operation,
                leave_out=frozenset(args.without), late_ns=late,
            ):  # fmt: skip
                t = iso_from_ns(t_ns)
                for b in tracks:
                    out.write(
                        f"{t},{b.track_id},{quoted(b.tag_id)},{b.lat_deg:.8f},{b.lon_deg:.8f},,,{b.ve_mps:.4f},{b.vn_mps:.4f},"
                        f"{b.p_ee:.6g},{b.p_en:.6g},{b.p_nn:.6g}\n"
                    )
    finally:
        journal.close()
    return 0


def _time(tau_s: float, iso: bool) -> str:
    from birddog.units import iso_from_ns

    return iso_from_ns(round(tau_s * 1e9)) if iso else f"{tau_s:.6f}".rstrip("0").rstrip(".")


def _row(t: str, b: Any, frame: Any) -> str:
    from opsroom.csv_rows import quoted

    where = ","
    if frame is not None:
        lat, lon = frame.geodetic(b.e_m, b.n_m)
        where = f"{lat:.8f},{lon:.8f}"
    numbers = f"{b.e_m:.4f},{b.n_m:.4f},{b.ve_mps:.4f},{b.vn_mps:.4f},{b.p_ee:.6g},{b.p_en:.6g},{b.p_nn:.6g}"
    return f"{t},{b.track_id},{quoted(b.tag_id)},{where},{numbers}"


def _detections(path: str) -> tuple[list, bool, tuple[float, float] | None]:
    """(detections by arrival, whether times are ISO text, the plane's origin as the first row implies it)."""
    from birddog.geo import LocalFrame
    from birddog.units import is_seconds
    from opsroom.csv_rows import Optional, number, refused, rows, taken, time_ns, told
    from tracking.engine import floored
    from tracking.offline import Detection

    columns, lines = rows(path, ("t", "t_arrival", "sensor_id", "e_m", "n_m", "r_ee", "r_en", "r_nn"))
    wanted: dict[str, Any] = {name: number for name in ("e_m", "n_m", "r_ee", "r_en", "r_nn")}
    wanted |= {"t": time_ns, "t_arrival": time_ns, "lat": Optional(number), "lon": Optional(number)}
    out, iso, origin = [], False, None
    for line, row in lines:
        got = taken(path, line, row, wanted)
        if got is None:
            continue
        r = floored(got["r_ee"], got["r_en"], got["r_nn"])
        if r is None:
            refused(path, line, "r_ee", "r_ee, r_en, r_nn are no covariance (not positive definite)")
            continue
        if got["t_arrival"] < got["t"]:
            refused(path, line, "t_arrival", "before t")
            continue
        iso = iso or not is_seconds(row["t"])
        if origin is None and got["lat"] is not None and got["lon"] is not None and abs(got["lat"]) <= 90.0:
            origin = LocalFrame(lat_deg=got["lat"], lon_deg=got["lon"]).geodetic(-got["e_m"], -got["n_m"])
        out.append(
            Detection(
                number=line, t_s=got["t"] / 1e9, arrival_s=got["t_arrival"] / 1e9, sensor=row["sensor_id"],
                kind=row.get("sensor_type") or row["sensor_id"], tag_id=(row.get("tag_id") or "").strip(), e_m=got["e_m"],
                n_m=got["n_m"], r_ee=r[0], r_en=r[1], r_nn=r[2],
            )
        )  # fmt: skip
    told(path, wanted)
    # the file is in order of arrival; a row that is not waits for its time
    return sorted(out, key=lambda d: d.arrival_s), iso, origin


def _scenario(path: str | None) -> tuple[dict, tuple[float, float] | None, float]:
    """(sensors by id, origin, duration) of a scenario's JSON.

    Raises:
        UsageError: unreadable, not JSON, or a value of the wrong kind; names the field.
    """
    if path is None:
        return {}, None, 0.0
    from birddog.errors import UsageError

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON number")

    try:
        with open(path, encoding="utf-8-sig") as source:
            said = json.load(source, parse_constant=refuse)
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None
    except json.JSONDecodeError as error:
        raise UsageError(f"not JSON: {error.msg}, column {error.colno}", file=path, line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}", file=path) from None
    if not isinstance(said, dict) or not isinstance(said.get("sensors", []), list):
        raise UsageError("an object with a list of sensors was expected", file=path, field="sensors")

    def value(of: dict, name: str, default: float, where: str) -> float:
        found = of.get(name)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise UsageError("a finite number was expected", file=path, field=f"{where}{name}")
        return float(found)

    sensors = {}
    for i, s in enumerate(said.get("sensors", [])):
        where = f"sensors[{i}]."
        if not isinstance(s, dict) or not isinstance(s.get("id"), str):
            raise UsageError("a text was expected", file=path, field=where + "id")
        sensors[s["id"]] = _sensor(s, where, path, value)
    origin = None
    if said.get("origin_lat") is not None and said.get("origin_lon") is not None:
        origin = value(said, "origin_lat", 0.0, ""), value(said, "origin_lon", 0.0, "")
        if not (abs(origin[0]) <= 90.0 and abs(origin[1]) <= 180.0):
            raise UsageError("degrees were expected", file=path, field="origin_lat")
    return sensors, origin, value(said, "duration_s", 0.0, "")


def _sensor(s: dict, where: str, path: str, value: Any) -> Any:
    from birddog.errors import UsageError
    from tracking.offline import CLUTTER_PER_M2, LATENCY_S, PD, Sensor

    def four(name: str, count: int) -> tuple[float, ...] | None:
        found = s.get(name)
        if found is None:
            return None
        if not isinstance(found, list) or len(found) != count:
            raise UsageError(f"a list of {count} numbers was expected", file=path, field=where + name)
        if None in found:
            raise UsageError("a finite number was expected", file=path, field=f"{where}{name}.{found.index(None)}")
        return tuple(value({str(i): v}, str(i), 0.0, f"{where}{name}.") for i, v in enumerate(found))

    area, latency = four("area_e0_e1_n0_n1", 4), four("latency_s", 2)
    clutter = CLUTTER_PER_M2
    if area is not None and s.get("clutter_per_scan") is not None and (area[1] - area[0]) * (area[3] - area[2]) > 0.0:
        clutter = max(value(s, "clutter_per_scan", 0.0, where), 0.0) / ((area[1] - area[0]) * (area[3] - area[2]))
    period_s = value(s, "period", 0.0, where)
    if 0.0 < period_s < LEAST_PERIOD_S:
        raise UsageError(f"0 or at least {LEAST_PERIOD_S:g} seconds were expected", file=path, field=where + "period")
    anonymous = s.get("kind") in ("xy", "rb") and s.get("type") != "gps_tag"
    return Sensor(
        name=s["id"], pd=min(max(value(s, "pd", PD, where), 0.05), 0.99), clutter_per_m2=clutter,
        period_s=max(period_s, 0.0) if anonymous else 0.0, phase_s=value(s, "phase", 0.0, where),
        latency_s=latency[1] if latency is not None else LATENCY_S, prompt=latency is None, area=area,
    )  # fmt: skip
