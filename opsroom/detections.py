"""A file of detections as a journal's entries: what ``birddog track --detections`` folds, and with ``--journal`` keeps.

Rows come in any order, each observed at ``t`` and known from ``t_arrival`` on.  A row with a tag is a fix of that tag,
at a portal a read; the others of one sensor and time are a look.  A row that stands there twice is one (``_once``).  Where a
sensor's reports come in at once each look is one ``scan``; of a sensor with a latency each report is a part of its look, which
ends, with what it did not see, when the latency is over.  A look that is due and of which nothing comes is an empty scan.  A
scenario's seconds count from a start; other times are POSIX or ISO 8601, and a sensor's looks are then counted from its first.

Over 400 lines: what a row of such a file means, from its columns to its entry, stands in one place.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from birddog import __version__
from birddog.directory import Directory
from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.judge import Judge
from birddog.model import (
    Body,
    Device,
    Draft,
    EntryKind,
    Fix,
    FrameBody,
    Observation,
    Placement,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    pack,
)
from birddog.units import NS, is_seconds
from opsroom.csv_rows import Optional, number, refused, rows, taken, time_ns, told, word
from tracking.engine import floored
from tracking.presets import Presets

#: What a sensor may be: positions, range and bearing, a reader of tags.
KINDS = ("xy", "rb", "portal")
#: No sensor scans a place faster; each scan of a tracker costs its time.
LEAST_PERIOD_S = 0.1
#: A time beyond this is no scenario's, whose clock begins at 0.
SCENARIO_NS = 10**7 * NS
#: Of a sensor that says nothing of itself: the chance that it sees a thing, false sightings, when its reports are in.
PD, CLUTTER_PER_M2, LATENCY_S = 0.9, 1e-7, 1.0
#: Where a sensor looks that does not say it: so far about the origin, m.
FAR_M = 200_000.0
#: Beyond this from its origin, m, the tangent plane has left the Earth (the least radius is 6,357 km).
PLANE_M = 6_300_000.0
#: Looks that one sensor may owe between the first arrival and the last; more come of a wrong time among right ones.
LOOKS_MOST = 5_000_000
#: Where nothing comes in time goes on by ticks so far apart, or by this part of the time that nothing came.
TICK_NS, TICKS_GROW = 5 * NS, 8


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a sensor; period 0: not known, an empty look goes unnoticed."""

    name: str
    pd: float = PD
    clutter_per_m2: float = CLUTTER_PER_M2
    period_s: float = 0.0
    phase_s: float = 0.0
    latency_s: float = LATENCY_S
    prompt: bool = True
    area: tuple[float, float, float, float] | None = None
    portal: bool = False
    reports_s: float = 0.0


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One row: observed at t_ns, known from arrival_ns on; metres in the plane of the origin."""

    line: int
    t_ns: int
    arrival_ns: int
    sensor: str
    kind: str
    tag_id: str
    e_m: float
    n_m: float
    r_ee: float
    r_en: float
    r_nn: float


class Detections(msgspec.Struct, frozen=True):
    """A file, with what is known of its sensors.

    Args:
        rows: in order of arrival.
        start_ns: what a scenario's seconds count from; 0 where times are POSIX.
        iso: times are given as text.
        origin: of the plane; None where nothing says it.
    """

    rows: list[Detection]
    sensors: dict[str, Sensor]
    start_ns: int
    iso: bool
    origin: tuple[float, float] | None
    end_ns: int

    @property
    def frame(self) -> LocalFrame:
        """The plane of the metres."""
        lat, lon = self.origin or (0.0, 0.0)
        return LocalFrame(lat_deg=lat, lon_deg=lon)


def read(path: str, sensors_path: str | None, start_ns: int) -> Detections:
    """A file of detections and what a scenario says of its sensors.

    Args:
        start_ns: what seconds of a scenario count from.

    Raises:
        UsageError: unreadable, or of another form; names file, line and field.
    """
    sensors, origin, duration_s = _scenario(sensors_path)
    found, iso, scenario, implied = _rows(path, sensors)
    if found and not scenario:
        return Detections(found, sensors, 0, iso, origin or implied, max(d.arrival_ns for d in found))
    end_ns = max([round(duration_s * NS), *(d.arrival_ns for d in found)])
    moved = [msgspec.structs.replace(d, t_ns=d.t_ns + start_ns, arrival_ns=d.arrival_ns + start_ns) for d in found]
    return Detections(moved, sensors, start_ns, False, origin or implied, end_ns + start_ns)


# --- entries ----------------------------------------------------------------------------------------


def drafts(file: Detections) -> list[Draft]:
    """The entries of an exercise journal, in order."""
    return [
        Draft(
            kind=kind, received_ns=received_ns, source="detections", body=body, observations=count,
            ident=(received_ns // NS & 0xFFFFFFFF).to_bytes(4, "big") + hashlib.sha256(b"%d %s" % (i, body)).digest()[:12],
        )
        for i, (received_ns, kind, body, count) in enumerate(_bodies(file))
    ]  # fmt: skip


def _bodies(file: Detections) -> Iterator[tuple[int, EntryKind, bytes, int]]:
    """(received, kind, packed body, observations)."""
    begin_ns = min([file.end_ns, *(d.arrival_ns for d in file.rows[:1])])
    begin_ns = min(begin_ns, file.start_ns) if file.start_ns else begin_ns
    yield begin_ns, "start", pack(Start(version=__version__, presets=msgspec.to_builtins(Presets()), exercise=True)), 0
    last_ns = begin_ns
    end = (file.end_ns, 2, 0, Tick())
    for at_ns, _, _, body in heapq.merge(_reports(file, begin_ns), _due(file, begin_ns), [end]):
        # how far apart they are follows from what was, not from when the next report comes
        tick_ns = last_ns + TICK_NS
        while tick_ns < at_ns:
            yield tick_ns, "tick", pack(Tick()), 0
            tick_ns += max(TICK_NS, (tick_ns - last_ns) // TICKS_GROW)
        last_ns = max(last_ns, at_ns)
        kind, count = _kind(body)
        yield at_ns, kind, pack(body), count


def _kind(body: Body) -> tuple[EntryKind, int]:
    match body:
        case Scan():
            return "scan", 0
        case FrameBody():
            return "frame", len(body.observations)
        case Device():
            return "device", 0
        case Placement():
            return "placement", 0
        case _:
            return "tick", 0


def _registers(file: Detections, d: Detection, known: set[str], begin_ns: int) -> Iterator[Body]:
    """Whom a row speaks of and who made it, as devices, and where a portal stands; each once, with its first row."""
    sensor = file.sensors.get(d.sensor, Sensor(name=d.sensor))
    portal = _is_portal(d, sensor)
    if d.tag_id and not portal and d.tag_id not in known:
        known.add(d.tag_id)
        device = Device(device=d.tag_id, basis="own_sensor")
        yield msgspec.structs.replace(device, interval_s=sensor.reports_s) if sensor.reports_s > 0.0 else device
    if d.sensor not in known:
        known.add(d.sensor)
        yield Device(device=d.sensor, basis="own_sensor")
        if portal:
            lat, lon = file.frame.geodetic(d.e_m, d.n_m)
            range_m = 2.0 * math.sqrt((d.r_ee + d.r_nn) / 2.0)
            yield Placement(device=d.sensor, lat_deg=lat, lon_deg=lon, range_m=range_m, from_ns=min(begin_ns, d.t_ns))


def _is_portal(d: Detection, sensor: Sensor) -> bool:
    return bool(d.tag_id) and (sensor.portal or d.kind == "rfid_portal")


Timed = tuple[int, int, int, Any]


def _reports(file: Detections, begin_ns: int) -> Iterator[Timed]:
    """What comes in, in order: (time, 0, number, body); before the first row of somebody, who it is."""
    frame, n = file.frame, 0
    directory, known = Directory(), set[str]()
    judge = Judge(directory, exercise=True)
    waiting: list[Detection] = []
    for d in [*file.rows, None]:
        if waiting and (d is None or d.tag_id or _look_of(d) != _look_of(waiting[0])
                        or not file.sensors.get(d.sensor, Sensor(name=d.sensor)).prompt):
            yield waiting[0].arrival_ns, 0, n, _scan(file, frame, waiting)
            waiting, n = [], n + 1
        if d is None:
            return
        for body in _registers(file, d, known, begin_ns):
            directory.apply(body)
            yield d.arrival_ns, 0, n, body
            n += 1
        if d.tag_id:
            yield d.arrival_ns, 0, n, _frame(file, frame, d, judge)
            n += 1
        else:
            waiting.append(d)


def _look_of(d: Detection) -> tuple[int, int, str]:
    return d.arrival_ns, d.t_ns, d.sensor


def _frame(file: Detections, frame: LocalFrame, d: Detection, judge: Judge) -> FrameBody:
    lat, lon = frame.geodetic(d.e_m, d.n_m)
    payload = msgspec.json.encode({name: getattr(d, name) for name in Detection.__struct_fields__[1:]})
    if _is_portal(d, file.sensors.get(d.sensor, Sensor(name=d.sensor))):
        said: Observation = TagRead(device=d.sensor, time_ns=d.t_ns, epc=d.tag_id)
    else:
        said = Fix(device=d.tag_id, time_ns=d.t_ns, lat_deg=lat, lon_deg=lon, sigma_m=math.sqrt((d.r_ee + d.r_nn) / 2.0))
    return FrameBody(
        format="detections", version=1, payload=payload, device=said.device, observations=(said,),
        verdicts=(judge.judge(said, said.device, d.arrival_ns),),
    )  # fmt: skip


def _scan(file: Detections, frame: LocalFrame, found: list[Detection]) -> Scan:
    """What came in at once of one look; the whole of it where its sensor's reports come so."""
    first = found[0]
    sensor = file.sensors.get(first.sensor, Sensor(name=first.sensor))
    sightings = []
    for d in found:
        lat, lon = frame.geodetic(d.e_m, d.n_m)
        sightings.append(Sighting(device=d.sensor, time_ns=d.t_ns, lat_deg=lat, lon_deg=lon, r_ee=d.r_ee, r_en=d.r_en,
                                  r_nn=d.r_nn))  # fmt: skip
    return _look(file, sensor, first.t_ns, tuple(sightings), whole=sensor.prompt)


def _look(file: Detections, sensor: Sensor, t_ns: int, sightings: tuple[Sighting, ...], *, whole: bool) -> Scan:
    return Scan(
        scan_id=f"{sensor.name}@{t_ns}", sensor=sensor.name, time_ns=t_ns, footprint=_area(file, sensor) if whole else (),
        pd=sensor.pd, clutter_per_km2=sensor.clutter_per_m2 * 1e6, sightings=sightings,
    )  # fmt: skip


def _area(file: Detections, sensor: Sensor) -> tuple[tuple[float, float], ...]:
    e0, e1, n0, n1 = sensor.area or (-FAR_M, FAR_M, -FAR_M, FAR_M)
    corners = [file.frame.geodetic(e, n) for e, n in ((e0, n0), (e1, n0), (e1, n1), (e0, n1), (e0, n0))]
    return tuple((lon, lat) for lat, lon in corners)


def _due(file: Detections, begin_ns: int) -> Iterator[Timed]:
    """The ends of looks: of a sensor with a latency each, of another those of which nothing came."""
    yield from heapq.merge(*(_due_of(file, sensor, begin_ns, 2 + k) for k, sensor in enumerate(file.sensors.values())))


def _due_of(file: Detections, sensor: Sensor, begin_ns: int, rank: int) -> Iterator[Timed]:
    arrived: dict[int, int] = {}
    for d in file.rows:
        if d.sensor == sensor.name and not d.tag_id:
            arrived[d.t_ns] = min(d.arrival_ns, arrived.get(d.t_ns, d.arrival_ns))
    latency_ns = round(sensor.latency_s * NS)
    times = set(arrived) if not sensor.prompt else set()
    if sensor.period_s > 0.0 and (file.start_ns or arrived):
        first_ns = file.start_ns + round(sensor.phase_s * NS)
        if not file.start_ns:  # known from its first report on, which is the first to arrive and not the first of all
            first_ns = min(arrived, key=lambda t: (arrived[t], t))
        period_us = sensor.period_s * 1e6
        count = max(0, int((file.end_ns - first_ns) / (period_us * 1e3)) + 1)
        # before the first arrival nobody waits for a look: its reports may be of years ago (a counter of weeks that began anew)
        begin = max(0, int((begin_ns - latency_ns - first_ns) / (period_us * 1e3)))
        if count - begin > LOOKS_MOST:
            why = f"{sensor.name} owes more than {LOOKS_MOST:,} looks between the first arrival and the last: one is wrong"
            raise UsageError(why, field="t_arrival")
        for k in range(begin, count):
            times.add(first_ns + round(k * period_us) * 1000)
    for t_ns in sorted(times):
        due_ns = t_ns + latency_ns
        if due_ns <= file.end_ns and not (sensor.prompt and arrived.get(t_ns, due_ns + 1) <= due_ns):
            yield due_ns, 1, rank, _look(file, sensor, t_ns, (), whole=True)


# --- files ------------------------------------------------------------------------------------------


def _rows(path: str, sensors: dict[str, Sensor]) -> tuple[list[Detection], bool, bool, tuple[float, float] | None]:
    """(detections by arrival, whether times are ISO text, whether a scenario's seconds, the plane's origin as the first of them
    implies it).

    A file has one clock, that of most of its rows: of a row by another nobody knows when it was.
    """
    columns, lines = rows(path, ("t", "t_arrival", "sensor_id", "e_m", "n_m", "r_ee", "r_en", "r_nn"))
    wanted: dict[str, Any] = {name: number for name in ("e_m", "n_m", "r_ee", "r_en", "r_nn")}
    wanted |= {"t": time_ns, "t_arrival": time_ns, "lat": Optional(number), "lon": Optional(number), "sensor_id": word}
    out, on_earth = [], dict[int, tuple[float, float]]()
    texts, own = set[int](), set[int]()  # lines whose times are text; seconds of a scenario's clock
    for line, row in lines:
        if (got := taken(path, line, row, wanted)) is None:
            continue
        sensor, tag_id = got["sensor_id"], (row.get("tag_id") or "").strip()
        # a tag's own receiver says who it is; what looks, and says where others are, is one that was told of
        if sensors and sensor not in sensors and not (sensor and tag_id and row.get("sensor_type") == "gps_tag"):
            refused(path, line, "sensor_id", f"{sensor[:40]!r} is no sensor of --sensors")
            continue
        r = floored(got["r_ee"], got["r_en"], got["r_nn"])
        if r is None:
            refused(path, line, "r_ee", "r_ee, r_en, r_nn are no covariance (not positive definite)")
            continue
        if math.hypot(got["e_m"], got["n_m"]) > PLANE_M:
            farther = "e_m" if abs(got["e_m"]) >= abs(got["n_m"]) else "n_m"
            refused(path, line, farther, f"beyond the horizon of the plane, {PLANE_M / 1000:.0f} km from its origin")
            continue
        if got["t_arrival"] < got["t"]:
            refused(path, line, "t_arrival", "before t")
            continue
        if not is_seconds(row["t"]):
            texts.add(line)
        elif is_seconds(row["t_arrival"]) and abs(got["t"]) <= SCENARIO_NS >= abs(got["t_arrival"]):
            own.add(line)
        if got["lat"] is not None and got["lon"] is not None and abs(got["lat"]) <= 90.0:
            on_earth[line] = got["lat"], got["lon"]
        out.append(
            Detection(
                line=line, t_ns=got["t"], arrival_ns=got["t_arrival"], sensor=sensor, kind=row.get("sensor_type") or sensor,
                tag_id=tag_id, e_m=got["e_m"], n_m=got["n_m"], r_ee=r[0], r_en=r[1], r_nn=r[2],
            )
        )  # fmt: skip
    told(path, wanted)
    scenario = 2 * len(own) > len(out)
    kept = [d for d in out if (d.line in own) == scenario]
    for d in out if len(kept) < len(out) else ():
        if (d.line in own) != scenario:
            one, other = ("seconds of a scenario", "times of day")[:: 1 if scenario else -1]
            refused(path, d.line, "t", f"most rows have {one}, this one has {other}")
    # what comes in at once has one order, that of what it says, however the file has it
    kept.sort(key=lambda d: (d.arrival_ns, d.t_ns, d.sensor, d.tag_id, d.e_m, d.n_m, d.r_ee, d.r_en, d.r_nn, d.line))
    kept = _once(path, kept)
    first = next((d for d in kept if d.line in on_earth), None)
    origin = None
    if first is not None:
        lat, lon = on_earth[first.line]
        origin = LocalFrame(lat_deg=lat, lon_deg=lon).geodetic(-first.e_m, -first.n_m)
    return kept, any(d.line in texts for d in kept), scenario, origin


def _once(path: str, found: list[Detection]) -> list[Detection]:
    """The rows without those that say again what one before them said: the same sighting was written, or sent, twice.

    Two things of one look that a sensor has at one place, with one covariance, are one to it.  A ``det_id`` is not asked: some
    number by look, or not at all, and a second place under one number is a second sighting.
    """
    out, first, again = [], dict[Any, int](), list[tuple[int, int, str]]()
    for d in found:
        place = d.sensor, d.tag_id, d.t_ns, d.e_m, d.n_m, d.r_ee, d.r_en, d.r_nn
        if place in first:
            again.append((d.line, first[place], d.sensor[:40]))
        else:
            first[place] = d.line
            out.append(d)
    for line, one, sensor in sorted(again):
        refused(path, line, "e_m", f"a duplicate: what {sensor!r} has at this place and time is in line {one}")
    return out


def _scenario(path: str | None) -> tuple[dict[str, Sensor], tuple[float, float] | None, float]:
    """(sensors by id, origin, duration) of a scenario's JSON.

    Raises:
        UsageError: unreadable, not JSON, or a value of the wrong kind; names the field.
    """
    if path is None:
        return {}, None, 0.0

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

    def value(of: dict[str, Any], name: str, default: float, where: str) -> float:
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
        if s["id"] in sensors:
            raise UsageError(f"{s['id'][:40]!r} is there twice", file=path, field=where + "id")
        sensors[s["id"]] = _sensor(s, where, path, value)
    origin = None
    if said.get("origin_lat") is not None and said.get("origin_lon") is not None:
        origin = value(said, "origin_lat", 0.0, ""), value(said, "origin_lon", 0.0, "")
        if not (abs(origin[0]) <= 90.0 and abs(origin[1]) <= 180.0):
            raise UsageError("degrees were expected", file=path, field="origin_lat")
    duration_s = value(said, "duration_s", 0.0, "")
    if not 0.0 <= duration_s <= SCENARIO_NS / NS:
        raise UsageError(f"0 to {SCENARIO_NS // NS:,} s were expected", file=path, field="duration_s")
    return sensors, origin, duration_s


def _sensor(s: dict[str, Any], where: str, path: str, value: Any) -> Any:
    def four(name: str, count: int, found: Any = None) -> tuple[float, ...] | None:
        found = s.get(name) if found is None else found
        if found is None:
            return None
        if not isinstance(found, list) or len(found) != count:
            raise UsageError(f"a list of {count} numbers was expected", file=path, field=where + name)
        if None in found:
            raise UsageError("a finite number was expected", file=path, field=f"{where}{name}.{found.index(None)}")
        return tuple(value({str(i): v}, str(i), 0.0, f"{where}{name}.") for i, v in enumerate(found))

    area, latency = four("area_e0_e1_n0_n1", 4), four("latency_s", 2)
    kind, pd = s.get("kind"), value(s, "pd", PD, where)
    if kind is not None and kind not in KINDS:
        why = f"one of {', '.join(KINDS)} was expected, not {str(kind)[:40]!r}"
        raise UsageError(why, file=path, field=where + "kind")
    if not 0.0 < pd <= 1.0:
        raise UsageError("a chance above 0 and at most 1 was expected", file=path, field=where + "pd")
    if four("pos", 2) is None and kind == "rb":
        raise UsageError("where it stands was expected: its bearings are from there", file=path, field=where + "pos")
    r = s.get("R")
    if r is not None:
        if not isinstance(r, list) or len(r) != 2:
            raise UsageError("two rows of two numbers were expected", file=path, field=where + "R")
        (r_ee, r_en), (r_ne, r_nn) = (four("R", 2, row) or (0.0, 0.0) for row in r)
        if r_en != r_ne or floored(r_ee, r_en, r_nn) is None:
            raise UsageError("no covariance (symmetric, positive definite)", file=path, field=where + "R")
    clutter = CLUTTER_PER_M2
    if area is not None and s.get("clutter_per_scan") is not None and (area[1] - area[0]) * (area[3] - area[2]) > 0.0:
        clutter = max(value(s, "clutter_per_scan", 0.0, where), 0.0) / ((area[1] - area[0]) * (area[3] - area[2]))
    period_s = value(s, "period", 0.0, where)
    if 0.0 < period_s < LEAST_PERIOD_S:
        raise UsageError(f"0 or at least {LEAST_PERIOD_S:g} seconds were expected", file=path, field=where + "period")
    anonymous = kind in ("xy", "rb") and s.get("type") != "gps_tag"
    tagged = kind in ("xy", "rb") and s.get("type") == "gps_tag"
    return Sensor(
        name=s["id"], portal=kind == "portal", reports_s=max(period_s, 0.0) if tagged else 0.0,
        pd=min(max(pd, 0.05), 0.99), clutter_per_m2=clutter,
        period_s=max(period_s, 0.0) if anonymous else 0.0, phase_s=value(s, "phase", 0.0, where),
        latency_s=latency[1] if latency is not None else LATENCY_S, prompt=latency is None,
        area=None if area is None else (area[0], area[1], area[2], area[3]),
    )  # fmt: skip
