"""Made scenarios of every kind that research and the public data describe, in the same file form, any seed.

A kind says how many things move how, and what looks at them; a seed draws their ways, the noise, the clutter and the
latencies, and (all but seed 0, which has the nominal values) how good the sensors are and how many things there are.
Motion: constant velocity driven by white noise, with turns of constant rate and stops; detections: detection probability,
period, Gaussian noise, Poisson clutter uniform in the area, latency.  ``write`` makes ``scenario.json``, ``detections.csv``,
``truth.csv`` and ``detection_truth.csv``.

Over 400 lines: one kind is one function over the same ways and sensors.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ORIGIN = (51.5, -1.0)
AREA_M = (-2000.0, 2000.0, -2000.0, 2000.0)
COLUMNS = (
    "det_id,t,t_arrival,sensor_id,sensor_type,tag_id,e_m,n_m,r_ee,r_en,r_nn,range_m,bearing_deg,sigma_range_m,sigma_bearing_deg,"
    "lat,lon"
).split(",")
#: What lies between an observation of a prompt sensor and its report, s.
PROMPT_S = 0.2


@dataclass
class Scenario:
    """One made scenario.

    Attributes:
        truth: of each thing its rows (t, e, n, ve, vn), one a second.
        detections: (det_id, t, t_arrival, sensor, tag, e, n, R, range and bearing or None), in order of arrival.
        of: det_id -> (thing or "clutter", spoofed).
    """

    name: str
    seed: int
    duration_s: int
    every_s: int
    sensors: list[dict[str, Any]]
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    detections: list[tuple[Any, ...]] = field(default_factory=list)
    of: dict[int, tuple[str, int]] = field(default_factory=dict)


# --- how things move -------------------------------------------------------------------------------


def moved(
    rng: np.random.Generator, start: tuple[float, float], v: tuple[float, float], duration_s: int, q: float,
    turns: list[tuple[float, float, float]] = [], stops: list[tuple[float, float]] = [],  # noqa: B006
) -> np.ndarray:  # fmt: skip
    """A way of one row a second.

    Args:
        turns: (from s, to s, degrees a second).
        stops: (from s, to s): it stands, and goes on as fast as before.
    """
    e, n, ve, vn = *start, *v
    rows = []
    # exact discretisation of white acceleration noise of density q over a second
    root = np.linalg.cholesky(q * np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]]) + 1e-12 * np.eye(2))
    for t in range(duration_s + 1):
        standing = any(a <= t < b for a, b in stops)
        rows.append((float(t), e, n, 0.0 if standing else ve, 0.0 if standing else vn))
        if standing:
            continue
        rate = math.radians(sum(r for a, b, r in turns if a <= t < b))
        c, s = math.cos(rate), math.sin(rate)
        if rate:  # exact arc of a second; positive turns clockwise, from north over east
            de = (ve * s + vn * (1 - c)) / rate
            dn = (vn * s - ve * (1 - c)) / rate
            ve, vn = ve * c + vn * s, vn * c - ve * s
        else:
            de, dn = ve, vn
        noise = root @ rng.normal(size=(2, 2))
        e, n, ve, vn = e + de + noise[0, 0], n + dn + noise[0, 1], ve + noise[1, 0], vn + noise[1, 1]
    return np.array(rows)


def heading(speed: float, course_deg: float) -> tuple[float, float]:
    return speed * math.sin(math.radians(course_deg)), speed * math.cos(math.radians(course_deg))


# --- what looks at them ----------------------------------------------------------------------------


def radar(**said: Any) -> dict[str, Any]:
    """A sensor that looks at the whole area."""
    sigma = said.pop("sigma", None)
    sensor = {"id": "radar1", "type": "radar", "kind": "xy", "pd": 0.9, "period": 2, "clutter_per_scan": 2,
              "area_e0_e1_n0_n1": list(AREA_M), **said}  # fmt: skip
    if sigma is not None:
        sensor["R"] = [[sigma**2, 0], [0, sigma**2]]
    return sensor


def gps(**said: Any) -> dict[str, Any]:
    sigma = said.pop("sigma", 8.0)
    return {"id": "gps", "type": "gps_tag", "kind": "xy", "pd": 0.95, "period": 10, "R": [[sigma**2, 0], [0, sigma**2]],
            "latency_s": [0.5, 4], **said}  # fmt: skip


def observe(
    s: Scenario, rng: np.random.Generator, *, tags: dict[str, str], epcs: dict[str, str],
    blackouts: dict[str, tuple[float, float]], spoofed: dict[str, tuple[float, float, float]],
    held: dict[str, tuple[float, float]],
) -> None:  # fmt: skip
    """Fills in the detections.

    Args:
        tags, epcs: of a thing its GPS tag and its RFID tag.
        blackouts: of a thing from when to when no sensor that looks sees it.
        spoofed: of a thing from when its tag's reports drift away, how fast (m/s) and which way (degrees).
        held: of a thing from when to when its reports are kept and sent at the end.
    """
    rows: list[tuple[float, float, str, str, float, float, np.ndarray, Any, str, int]] = []
    for sensor in s.sensors:
        latency = sensor.get("latency_s", [PROMPT_S, PROMPT_S])
        for k in range(int((s.duration_s - sensor.get("phase", 0)) / sensor["period"] + 1e-9) + 1):
            t = sensor.get("phase", 0) + k * sensor["period"]
            here = [(name, way[int(round(t - way[0, 0]))]) for name, way in s.truth.items() if way[0, 0] <= t <= way[-1, 0]]
            for name, row in here:
                if sensor["kind"] == "portal":
                    if name not in epcs or math.hypot(row[1] - sensor["pos"][0], row[2] - sensor["pos"][1]) > sensor["rmax"]:
                        continue
                elif sensor["type"] == "gps_tag":
                    if name not in tags:
                        continue
                elif name in blackouts and blackouts[name][0] <= t < blackouts[name][1]:
                    continue
                if rng.random() >= sensor["pd"]:
                    continue
                false = 0
                place = row[1:3].copy()
                if sensor["type"] == "gps_tag" and name in spoofed and t >= spoofed[name][0]:
                    since, speed, course = spoofed[name]
                    place += (t - since) * np.array(heading(speed, course))
                    false = 1
                arrives = t + rng.uniform(*latency)
                if sensor["type"] == "gps_tag" and name in held and held[name][0] <= t < held[name][1]:
                    arrives = held[name][1] + rng.uniform(*latency)
                tag = tags[name] if sensor["type"] == "gps_tag" else epcs[name] if sensor["kind"] == "portal" else ""
                rows.append((t, arrives, sensor["id"], tag, *_seen(sensor, place, rng), name, false))
            if "clutter_per_scan" in sensor:
                e0, e1, n0, n1 = sensor["area_e0_e1_n0_n1"]
                for _ in range(rng.poisson(sensor["clutter_per_scan"])):
                    place = np.array([rng.uniform(e0, e1), rng.uniform(n0, n1)])
                    rows.append((t, t + rng.uniform(*latency), sensor["id"], "", *_seen(sensor, place, None), "clutter", 0))
    # what one look of a prompt sensor saw comes in an order that says nothing
    order = sorted(range(len(rows)), key=lambda i: (rows[i][1], rows[i][2], rows[i][4]))
    for det_id, i in enumerate(order):
        t, arrives, sensor_id, tag, e, n, r, polar, name, false = rows[i]
        s.detections.append((det_id, t, arrives, sensor_id, tag, e, n, r, polar))
        s.of[det_id] = (name, false)


def _seen(sensor: dict[str, Any], place: np.ndarray, rng: np.random.Generator | None) -> tuple[float, float, np.ndarray, Any]:
    """What a sensor makes of a place (without noise of its own where it is clutter): e, n, R, and range and bearing."""
    if sensor["kind"] == "portal":
        return sensor["pos"][0], sensor["pos"][1], (sensor["rmax"] / 2) ** 2 * np.eye(2), None
    if sensor["kind"] == "xy":
        r = np.array(sensor["R"], float)
        off = np.zeros(2) if rng is None else rng.multivariate_normal(np.zeros(2), r)
        return float(place[0] + off[0]), float(place[1] + off[1]), r, None
    de, dn = place - np.array(sensor["pos"])
    distance, bearing = math.hypot(de, dn), math.atan2(de, dn)
    if rng is not None:
        distance += rng.normal(0, sensor["sigma_range_m"])
        bearing += rng.normal(0, math.radians(sensor["sigma_bearing_deg"]))
    s, c = math.sin(bearing), math.cos(bearing)
    turn = np.array([[s, c], [c, -s]])
    across = distance * math.radians(sensor["sigma_bearing_deg"])
    r = turn @ np.diag([sensor["sigma_range_m"] ** 2, across**2]) @ turn.T
    return sensor["pos"][0] + distance * s, sensor["pos"][1] + distance * c, r, (distance, math.degrees(bearing) % 360.0)


# --- the kinds -------------------------------------------------------------------------------------


def _vary(rng: np.random.Generator, seed: int, nominal: float, low: float, high: float) -> float:
    """The nominal value for seed 0, one between two factors for another."""
    return nominal if seed == 0 else float(nominal * rng.uniform(low, high))


def _count(rng: np.random.Generator, seed: int, nominal: int) -> int:
    return nominal if seed == 0 else max(2, nominal + int(rng.integers(-2, 3)))


def _crossing_ways(rng: np.random.Generator, n: int, duration_s: int, q: float, **more: Any) -> dict[str, np.ndarray]:
    """Things that meet near the middle of the area at about half time, at shallow angles."""
    course, out = rng.uniform(0, 360), {}
    for k in range(n):
        speed, c = rng.uniform(12, 17), course + rng.uniform(-35, 35) + (180 if k % 4 == 3 else 0)
        v = heading(speed, c)
        meet = rng.normal(0, 60, 2) + 250.0 * (k // 4)
        start = meet - np.array(v) * duration_s * rng.uniform(0.45, 0.55)
        out[f"T{k + 1}"] = moved(rng, (start[0], start[1]), v, duration_s, q, **more)
    return out


def _spread_ways(
    rng: np.random.Generator, n: int, duration_s: int, q: float, speeds: tuple[float, float],
    turns: Callable[[], list[tuple[float, float, float]]] = list,
    stops: Callable[[int], list[tuple[float, float]]] = lambda k: [],
) -> dict[str, np.ndarray]:  # fmt: skip
    """Things that begin anywhere and go roughly over the middle."""
    out = {}
    for k in range(n):
        at = rng.uniform(-1400, 1400, 2)
        c = math.degrees(math.atan2(-at[0], -at[1])) + rng.uniform(-60, 60)
        out[f"T{k + 1}"] = moved(rng, (at[0], at[1]), heading(rng.uniform(*speeds), c), duration_s, q, turns(), stops(k))
    return out


def crossing(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Vehicles cross at shallow angles; one radar, light clutter."""
    sensor = radar(sigma=_vary(rng, seed, 10, 0.7, 1.5), pd=0.95 if seed == 0 else rng.uniform(0.88, 0.97))
    s = Scenario("crossing", seed, 180, 2, [sensor])
    s.truth = _crossing_ways(rng, _count(rng, seed, 4), 180, 0.05)
    return s, {}


def clutter(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Heavy clutter."""
    sensor = radar(sigma=_vary(rng, seed, 12, 0.7, 1.4), pd=0.9, clutter_per_scan=round(_vary(rng, seed, 30, 0.6, 1.6)))
    s = Scenario("clutter", seed, 160, 2, [sensor])
    s.truth = _spread_ways(rng, _count(rng, seed, 5), 160, 0.05, (6, 18))
    return s, {}


def missed(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """A low detection probability, and half a minute in which each is not seen at all."""
    sensor = radar(sigma=_vary(rng, seed, 15, 0.7, 1.4), pd=0.6 if seed == 0 else rng.uniform(0.5, 0.75), clutter_per_scan=3)
    s = Scenario("missed", seed, 200, 2, [sensor])
    s.truth = _spread_ways(rng, _count(rng, seed, 5), 200, 0.05, (6, 16))
    dark = {name: (float(a), float(a) + (30.0 if seed == 0 else rng.uniform(20, 40)))
            for name, a in zip(s.truth, rng.uniform(50, 140, len(s.truth)), strict=True)}  # fmt: skip
    return s, {"blackouts": dark}


def manoeuvre(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Turns of 3 to 12 degrees a second, one after the other."""
    sensor = radar(sigma=_vary(rng, seed, 12, 0.7, 1.4), pd=0.92, clutter_per_scan=round(_vary(rng, seed, 4, 0.5, 1.5)))
    s = Scenario("manoeuvre", seed, 160, 2, [sensor])

    def turns() -> list[tuple[float, float, float]]:
        out, t = [], rng.uniform(15, 35)
        while t < 145:
            length, rate = rng.uniform(8, 22), rng.uniform(3, 12) * rng.choice((-1, 1))
            out.append((float(round(t)), float(round(t + length)), float(rate)))
            t += length + rng.uniform(8, 25)
        return out

    s.truth = _spread_ways(rng, _count(rng, seed, 4), 160, 0.05, (8, 18), turns)
    return s, {}


def oosm(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """A coarse prompt radar, and an accurate detector whose reports come late and out of order."""
    late = [5, 20] if seed == 0 else [float(rng.uniform(3, 8)), float(rng.uniform(12, 28))]
    sensors = [
        radar(sigma=_vary(rng, seed, 40, 0.6, 1.2), period=4, clutter_per_scan=1),
        radar(id="drone1", type="drone_image", sigma=_vary(rng, seed, 5, 0.8, 2), period=4, phase=2, clutter_per_scan=0.5,
              latency_s=late),
    ]  # fmt: skip
    s = Scenario("oosm", seed, 160, 2, sensors)
    turn = float(round(rng.uniform(40, 60)))
    s.truth = _spread_ways(rng, _count(rng, seed, 4), 160, 0.1, (8, 16),
                           lambda: [(turn, turn + 13.0, float(rng.uniform(3, 6) * rng.choice((-1, 1))))])  # fmt: skip
    return s, {}


def multisensor(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Radar by range and bearing, acoustic and seismic arrays, a drone's images some seconds late, tags on two."""
    sensors = [
        radar(kind="rb", pos=[-2500, -500], sigma_range_m=_vary(rng, seed, 8, 0.6, 1.5),
              sigma_bearing_deg=_vary(rng, seed, 1.0, 0.6, 1.5), period=3, pd=0.9, clutter_per_scan=3),
        radar(id="ac1", type="acoustic", sigma=_vary(rng, seed, 30, 0.7, 1.3), pd=0.7, period=4, phase=1, clutter_per_scan=1),
        radar(id="seis1", type="seismic", R=[[900, 200], [200, 400]], pd=0.6, period=5, phase=2, clutter_per_scan=0.5),
        radar(id="drone1", type="drone_image", sigma=5, pd=0.8, period=10, phase=5, clutter_per_scan=0.5, latency_s=[2, 6]),
        gps(),
    ]  # fmt: skip
    s = Scenario("multisensor", seed, 180, 3, sensors)
    s.truth = _spread_ways(rng, _count(rng, seed, 5), 180, 0.05, (5, 15),
                           lambda: [(70.0, 85.0, float(rng.uniform(-6, 6)))])  # fmt: skip
    return s, {"tags": {"T1": "G1", "T2": "G2"}}


def convoy(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Lorries close behind each other on one way with bends, and one that meets them."""
    gap = 45.0 if seed == 0 else float(rng.uniform(35, 70))
    sensor = radar(sigma=_vary(rng, seed, 10, 0.7, 1.3), pd=0.93, clutter_per_scan=2)
    s = Scenario("convoy", seed, 180, 2, [sensor])
    n, speed = _count(rng, seed, 5), rng.uniform(11, 15)
    course, at = rng.uniform(0, 360), np.array([0.0, 0.0])
    v = heading(speed, course)
    bends = [(60.0, 75.0, float(rng.uniform(2, 4))), (110.0, 125.0, float(-rng.uniform(2, 4)))]
    lead = moved(rng, (0.0, 0.0), v, 180 + int(n * gap / speed) + 2, 0.01, bends)
    middle = lead[90, 1:3]
    for k in range(n):
        back = k * gap / speed
        t = np.arange(181) + n * gap / speed - back
        way = np.column_stack([np.arange(181.0)] + [np.interp(t, lead[:, 0], lead[:, j]) for j in (1, 2, 3, 4)])
        way[:, 1:3] -= middle
        # each keeps its distance with an error of its own that changes slowly
        slow = np.cumsum(rng.normal(0, 0.25, (181, 2)), axis=0)
        way[:, 1:3] += slow
        way[:, 3:5] += np.gradient(slow, axis=0)
        s.truth[f"T{k + 1}"] = way
    away = heading(speed, course + 180 + rng.uniform(-15, 15))
    start = at - np.array(away) * 90
    s.truth[f"T{n + 1}"] = moved(rng, (start[0], start[1]), away, 180, 0.02)
    return s, {}


def spoof(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Tags on three of five, one of which says that it drifts away from where it is; a radar sees all."""
    sensors = [
        gps(period=5, latency_s=[0.3, 2]),
        radar(sigma=_vary(rng, seed, 15, 0.7, 1.3), pd=0.88, period=3, clutter_per_scan=round(_vary(rng, seed, 5, 0.5, 1.5))),
    ]
    s = Scenario("spoof", seed, 180, 3, sensors)
    s.truth = _spread_ways(rng, _count(rng, seed, 5), 180, 0.04, (7, 15))
    drift = 6.7 if seed == 0 else float(rng.uniform(3, 10))
    tags = {f"T{k}": f"G{k}" for k in (1, 2, 3) if f"T{k}" in s.truth}
    return s, {"tags": tags, "spoofed": {"T2": (float(rng.uniform(60, 100)), drift, float(rng.uniform(0, 360)))}}


def mixed(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Shipments past RFID portals, two with GPS that is kept and sent later, radar with clutter, SAR; stops and turns."""
    n = _count(rng, seed, 6)
    s = Scenario("mixed", seed, 240, 3, [])
    s.truth = _spread_ways(
        rng, n, 240, 0.03, (7, 12), lambda: [(118.0, 143.0, float(rng.choice((-1, 1)) * 3.2))],
        lambda k: [(71.0, 101.0)] if k % 2 == 0 else [],
    )  # fmt: skip
    names = list(s.truth)
    for k in range(6):
        way = s.truth[names[int(rng.integers(len(names)))]]
        at = way[int(rng.integers(30, 220))]
        s.sensors.append({"id": f"portal{k + 1}", "type": "rfid_portal", "kind": "portal", "pd": 0.9, "period": 1,
                          "pos": [float(at[1]), float(at[2])], "rmax": 15})  # fmt: skip
    s.sensors += [
        gps(),
        radar(sigma=_vary(rng, seed, 15, 0.7, 1.4), pd=0.85, period=3, clutter_per_scan=round(_vary(rng, seed, 5, 0.5, 1.6))),
        radar(id="sar1", type="sar_image", sigma=20, pd=0.85, period=60, phase=30, clutter_per_scan=2, latency_s=[20, 40]),
    ]
    return s, {"tags": {"T1": "G1", "T4": "G4"} if n > 3 else {"T1": "G1"}, "epcs": {name: f"E{name}" for name in names},
               "held": {"T1": (90.0, 130.0)}}  # fmt: skip


def vessels(rng: np.random.Generator, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Thirty to a hundred vessels under one radar for ten minutes, no tags: at anchor, under way, out of its area."""
    half = 3000.0
    sensor = radar(sigma=20, period=3, clutter_per_scan=20, area_e0_e1_n0_n1=[-half, half, -half, half])
    s = Scenario("vessels", seed, 600, 3, [sensor])
    for k in range(30 if seed == 0 else int(rng.integers(30, 101))):
        at = rng.uniform(-0.8 * half, 0.8 * half, 2)
        if rng.random() < 0.35:
            way = moved(rng, (at[0], at[1]), (0.0, 0.0), 600, 1e-5)
        else:
            v, turn = heading(rng.uniform(1.5, 9), rng.uniform(0, 360)), float(round(rng.uniform(100, 400)))
            start = at - 240.0 * np.array(v)
            turns = [(turn, turn + float(round(rng.uniform(20, 60))), float(rng.uniform(-2, 2)))]
            way = moved(rng, (start[0], start[1]), v, 600, 0.003, turns)
        there = np.flatnonzero((np.abs(way[:, 1:3]) < half).all(axis=1))
        until = next((int(a) for a, b in zip(there, there[1:], strict=False) if b > a + 1), int(there[-1]) if len(there) else 0)
        if len(there) and until - there[0] > 30:
            s.truth[f"T{k + 1}"] = way[there[0] : until + 1]
    return s, {}


KINDS: dict[str, Callable[[np.random.Generator, int], tuple[Scenario, dict[str, Any]]]] = {
    f.__name__: f for f in (crossing, clutter, missed, manoeuvre, oosm, multisensor, convoy, spoof, mixed, vessels)
}
#: Kinds that take minutes.
LONG = frozenset({"vessels"})


def made(kind: str, seed: int) -> Scenario:
    """One scenario; the same for the same seed."""
    rng = np.random.default_rng([seed, *kind.encode()])
    s, more = KINDS[kind](rng, seed)
    named: dict[str, Any] = {"tags": {}, "epcs": {}, "blackouts": {}, "spoofed": {}, "held": {}}
    observe(s, rng, **{**named, **more})
    return s


def write(s: Scenario, folder: Path) -> None:
    """The four files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.json").write_text(json.dumps({
        "name": "scenario", "description": "", "seed": 0, "duration_s": s.duration_s, "score_every_s": s.every_s,
        "origin_lat": ORIGIN[0], "origin_lon": ORIGIN[1], "origin_alt_m": 0,
        "frame": "local ENU metres (WGS84 tangent plane)", "sensors": s.sensors,
    }))  # fmt: skip
    kinds = {sensor["id"]: sensor for sensor in s.sensors}
    with (folder / "detections.csv").open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(COLUMNS)
        for det_id, t, arrives, sensor, tag, e, n, r, polar in s.detections:
            polars = ["", "", "", ""]
            if polar is not None:
                its = kinds[sensor]
                polars = [f"{polar[0]:.3f}", f"{polar[1]:.3f}", its["sigma_range_m"], its["sigma_bearing_deg"]]
            rows.writerow([det_id, f"{t:g}", f"{arrives:.3f}", sensor, kinds[sensor]["type"], tag, f"{e:.3f}", f"{n:.3f}",
                           f"{r[0, 0]:.3f}", f"{r[0, 1]:.3f}", f"{r[1, 1]:.3f}", *polars, "", ""])  # fmt: skip
    with (folder / "truth.csv").open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow("t,truth_id,e_m,n_m,ve_mps,vn_mps".split(","))
        for name, way in s.truth.items():
            rows.writerows([[f"{row[0]:g}", name, *(f"{x:.3f}" for x in row[1:])] for row in way])
    with (folder / "detection_truth.csv").open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("det_id", "truth_id", "spoofed"))
        rows.writerows([det_id, *of] for det_id, of in s.of.items())
