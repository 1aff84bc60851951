"""What the ellipse of a track holds, by how often it reports, how it goes, how its fixes are off and whether it says its speed.

    .venv/bin/python tools/ellipses.py [--seeds 1 2 3] [--every S ...] [--kind NAME ...] [--error NAME ...] [--least N]
                                       [--silent HOURS ...] [--markdown]

Made ways on the ellipsoid, each with five minutes or half an hour of standing before it, go through the live filter
(``tracking.step``, as the fold has it); between any two reports it is asked where the thing is, and what its ellipse holds.
A cell is printed as
``inside followed``: the share of asked times at which the truth lies inside the 95 % ellipse (right: .88 to .99), and at which
the point is within 60 m + 0.7 of what it went since its last report (as the public check has it).  ``--least N`` prints the N
cells that hold least, which are the work list.  Nothing here is tuned on a cell: seeds are the maker's own, any will do.

Kinds, by what goes on: straight (van, lorry, 22 to 36 m/s, the course swings by some degrees), town (blocks of 20 to 120 s,
square turns, stops), winding (turns of up to 60 degrees each half minute to four), legs (turns of 30 to 120 degrees each 3 to
20 min), stopgo (goes 20 to 90 s, stands as long, one course), circles (1.5 to 6 degrees a second), ship, walker, parked.
Errors, by receiver: white (stated 0.65 to 1 of what they are: a phone's circle), lasting (mostly the same for 1 to 10 minutes,
stated likewise), small (lasting, stated a third to a half), smallwhite (white, likewise), rounded (to 1e-4 of a degree),
unsaid (lasting, no sigma stated).

``--silent HOURS ...``: what if each report were the last one?  It is asked so many hours after it, of what goes at that time
and of what stands: inside, the radius in km, and that over how far it is from its last place (geometric means).  Besides the
others there are then motorway (up to two hours and a half, half an hour of rest), train, ferry (to and fro), flight.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import random
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from birddog.geo import LocalFrame, radii_m, wrap_lon
from birddog.units import CHI2_95_2D, NS
from tracking.core import Core, Model
from tracking.engine import State
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.step import advance, placed, predicted

T0_S = 1_801_000_000
EVERY_S = (5, 30, 60, 120, 240, 600, 1800, 3600, 14_400)
KINDS = ("straight", "town", "winding", "legs", "stopgo", "circles", "ship", "walker", "parked")
SILENT_KINDS = ("motorway", "train", "ferry", "flight")
ERRORS = ("white", "lasting", "small", "smallwhite", "rounded", "unsaid")
#: What a kind says that it is; of the others ROAD.
CLASSES = {
    "ferry": ("vessel",), "train": ("",), "flight": ("parcel", ""), "ship": ("vessel", ""), "walker": ("walker",),
    "circles": ("vessel", "van", ""), "parked": ("van", "parcel", "vessel", ""),
}  # fmt: skip
ROAD = ("van", "lorry", "", "parcel")
#: How fast a kind goes, m/s.
SPEEDS = {
    "motorway": (21, 25), "train": (30, 55), "ferry": (7, 10), "flight": (220, 255),
    "straight": (22, 36), "winding": (10, 28), "legs": (14, 28), "ship": (4, 12), "circles": (8, 24), "walker": (1.0, 1.8),
    "stopgo": (8, 16),
}  # fmt: skip
#: Reports of a way after its parked beginning; how often it is asked between two of them; a report is overdue after so many.
REPORTS, ASKED, QUIET = 48, 4, 2.5
#: It stands for so long before it sets off, s, or for two reports.
STANDS_S = (300.0, 1800.0)
#: What is asked counts from so many reports after it set off.
BEGIN = 4
#: A degree is rounded to this.
ROUNDED_DEG = 1e-4
#: No way is longer, m: so far it stays where degrees of longitude are long.
MOST_M = 3_000_000.0

Leg = tuple[float, float, float, float]  # seconds, speed m/s, course deg, turn deg/s
Spot = tuple[float, float, float, float, float, float]  # lat_deg, lon_deg, e, n (gone since the start), speed m/s, course rad


def legs_of(kind: str, rng: random.Random, total_s: float) -> Iterator[Leg]:
    """One leg after the other, for so long and longer."""
    course, gone = rng.uniform(0.0, 360.0), 0.0
    speed = rng.uniform(*SPEEDS.get(kind, (0.0, 0.0)))
    side = rng.choice((-1.0, 1.0))
    rate = side * rng.uniform(1.5, 6.0)
    while gone < total_s:
        match kind:
            case "straight":
                some: list[Leg] = [(rng.uniform(120, 900), speed * rng.uniform(0.9, 1.05), course + rng.gauss(0, 6), 0.0)]
            case "town":
                course += rng.choice((-90.0, 90.0, 0.0, 0.0))
                some = [(rng.uniform(20, 120), rng.uniform(6, 15), course, 0.0)]
                some.append((rng.choice((0, 5, 30, 60, 180)), 0.0, course, 0.0))
            case "winding":
                s, by = rng.uniform(30, 240), rng.uniform(-60, 60)
                some = [(s, speed * rng.uniform(0.8, 1.1), course, 0.0), (12.0, 0.8 * speed, course, by / 12.0)]
                course += by
            case "legs":
                some = [(rng.uniform(180, 1200), speed * rng.uniform(0.8, 1.1), course, 0.0)]
                course += rng.choice((-1.0, 1.0)) * rng.uniform(30, 120)
            case "stopgo":
                some = [(rng.uniform(20, 90), speed, course, 0.0), (rng.uniform(20, 90), 0.0, course, 0.0)]
            case "circles":
                some = [(600.0, speed, course, rate)]
                course += 600.0 * rate
            case "ship":
                some = [(rng.uniform(600, 5400), speed * rng.uniform(0.95, 1.05), course, rng.gauss(0, 0.004))]
                course += rng.gauss(0, 15)
            case "walker":
                course += rng.choice((-90.0, 90.0, 0.0, rng.uniform(-40, 40)))
                some = [(rng.uniform(20, 300), speed * rng.uniform(0.8, 1.1), course, 0.0)]
                some.append((rng.choice((0, 0, 10, 120)), 0.0, course, 0.0))
            case "motorway" | "train" | "flight":
                some = []
                for _ in range(rng.randint(*((8, 16) if kind == "motorway" else (2, 5)))):
                    course += rng.uniform(-25, 25)
                    s = rng.uniform(150, 400) if kind == "train" else rng.uniform(300, 1200)
                    some.append((s, speed * rng.uniform(0.9, 1.0), course, 0.0))
                rests = rng.uniform(120, 300) if kind == "train" else rng.uniform(900, 2700)
                some.append((rests, 0.0, course, 0.0))
            case "ferry":
                some = [(rng.uniform(1200, 3000), speed, course + rng.uniform(-10, 10), 0.0)]
                some.append((rng.uniform(600, 1200), 0.0, course, 0.0))
                course += 180.0
            case _:
                some = [(600.0, 0.0, course, 0.0)]
        for leg in some:
            gone += leg[0]
            yield leg


def way_of(kind: str, rng: random.Random, stands_s: float, total_s: float, step_s: float) -> list[Spot]:
    """Where it is, one spot each ``step_s``, for ``total_s`` or until it has gone MOST_M; speeds change by 2 m/s² at most."""
    lat, lon = rng.uniform(-40.0, 40.0), rng.uniform(-179.0, 179.0)
    e = n = speed = gone = 0.0
    out: list[Spot] = []
    for seconds, asked, course, rate in ((stands_s, 0.0, 0.0, 0.0), *legs_of(kind, rng, total_s)):
        for k in range(int(seconds / step_s)):
            az = math.radians(course + rate * k * step_s)
            speed += max(-2.0 * step_s, min(2.0 * step_s, asked - speed))
            out.append((lat, lon, e, n, speed, az))
            de, dn = speed * step_s * math.sin(az), speed * step_s * math.cos(az)
            lat, lon = _further(lat, lon, de, dn)
            e, n, gone = e + de, n + dn, gone + speed * step_s
        if gone > MOST_M:
            break
    return out


def _further(lat_deg: float, lon_deg: float, e_m: float, n_m: float) -> tuple[float, float]:
    """So many metres on, by the radii of curvature there: a step of the way, or the error of a fix."""
    along, across = radii_m(lat_deg)
    lat = lat_deg + math.degrees(n_m / along)
    return lat, wrap_lon(lon_deg + math.degrees(e_m / (across * math.cos(math.radians(0.5 * (lat + lat_deg))))))


class Errors:
    """How the fixes of one receiver are off, and what it says of it."""

    def __init__(self, kind: str, rng: random.Random):
        self.kind, self.rng, self.t_s = kind, rng, -math.inf
        self.e = self.n = 0.0
        sigma = rng.uniform(3, 7) if kind in ("white", "smallwhite", "rounded") else rng.uniform(3, 9)
        self.lasting_m = sigma if kind in ("lasting", "small", "unsaid") else 0.0
        self.white_m = rng.uniform(0.5, 3.0) if self.lasting_m else sigma
        self.tau_s = rng.choice((60.0, 150.0, 300.0, 600.0))
        whole = math.hypot(self.lasting_m, self.white_m)
        share = rng.uniform(0.65, 1.0) if kind in ("white", "lasting", "rounded") else rng.uniform(0.33, 0.5)
        self.said_m = None if kind == "unsaid" else max(0.7, whole * share)

    def at(self, t_s: float) -> tuple[float, float]:
        """Of a fix at a time not before the last one's."""
        keep = math.exp(-(t_s - self.t_s) / self.tau_s)
        some = self.lasting_m * math.sqrt(1.0 - keep * keep)
        self.e = keep * self.e + self.rng.gauss(0, some)
        self.n = keep * self.n + self.rng.gauss(0, some)
        self.t_s = t_s
        return self.e + self.rng.gauss(0, self.white_m), self.n + self.rng.gauss(0, self.white_m)


class Held:
    """What one way's ellipses held: times asked, inside, followed, sums of log radii and of log ways since the last report."""

    def __init__(self) -> None:
        self.asked = self.inside = self.followed = 0
        self.log_r = self.log_way = 0.0

    def add(self, other: Held) -> None:
        """One more way."""
        self.asked += other.asked
        self.inside += other.inside
        self.followed += other.followed
        self.log_r += other.log_r
        self.log_way += other.log_way

    @property
    def text(self) -> str:
        """``inside followed``."""
        if not self.asked:
            return "    -    "
        return f"{self.inside / self.asked:4.2f} {self.followed / self.asked:4.2f}".replace("0.", " .")

    @property
    def radius_m(self) -> float:
        """The geometric mean of the radius of the circle that is as large as the ellipse."""
        return math.exp(self.log_r / max(self.asked, 1))


class Reported(NamedTuple):
    """A filter after one more report at ``at_s``, and the way that it is of."""

    core: Core
    model: Model
    at_s: float
    begin_s: float
    end_s: float
    step_s: float
    way: list[Spot]


def judged(kind: str, error: str, every_s: int, says: bool, seed: int) -> Held:
    """One made way through the filter, asked between its reports."""
    out = Held()
    for core, model, at_s, begin_s, end_s, step_s, way in reported(kind, error, every_s, says, seed):
        for k in range(ASKED):
            t_s = at_s + every_s * (k / ASKED if k else 0.0)
            if t_s < begin_s or t_s >= end_s:
                continue
            x = predicted(core, int((T0_S + t_s) * NS), model, QUIET * every_s)
            _ask(out, x, core, _where(way, t_s / step_s), _where(way, at_s / step_s))
    return out


@functools.cache
def silenced(
    kind: str, error: str, every_s: int, says: bool, seed: int, hours: tuple[float, ...]
) -> dict[tuple[float, bool], Held]:
    """The same, each report being the last one: by how many hours ago that is, and whether it goes then."""
    out: dict[tuple[float, bool], Held] = defaultdict(Held)
    for core, model, at_s, begin_s, _, step_s, way in reported(kind, error, every_s, says, seed, 3600.0 * max(hours)):
        for hour in hours:
            t_s = at_s + 3600.0 * hour
            if at_s < begin_s or t_s / step_s >= len(way) - 1:
                continue
            x, true = predicted(core, int((T0_S + t_s) * NS), model, QUIET * every_s), _where(way, t_s / step_s)
            _ask(out[hour, true[4] > 0.0], x, core, true, _where(way, at_s / step_s))
    return out


def reported(kind: str, error: str, every_s: int, says: bool, seed: int, longer_s: float = 0.0) -> Iterator[Reported]:
    """The filter of one made way after each report; the way goes on for so long after the last."""
    rng = random.Random(zlib.crc32(f"{kind} {error} {every_s} {says} {seed}".encode()))
    klass = rng.choice(CLASSES.get(kind, ROAD))
    step_s = min(5.0, max(1.0, every_s / 30.0))
    stands_s = max(2.0 * every_s, rng.choice(STANDS_S)) if kind != "parked" else 0.0
    way = way_of(kind, rng, stands_s, REPORTS * every_s + longer_s, step_s)
    errors, model = Errors(error, rng), _model(klass)
    core: Core | None = None
    begin_s = stands_s + BEGIN * every_s if kind != "parked" else 10.0 * every_s
    end_s = min((len(way) - 1) * step_s - longer_s, stands_s + REPORTS * every_s)
    at_s = 0.0
    while at_s < end_s:
        last = _where(way, at_s / step_s)
        speed, az = last[4:]
        lat, lon = _further(*last[:2], *errors.at(at_s))
        if error == "rounded":
            lat, lon = round(lat / ROUNDED_DEG) * ROUNDED_DEG, round(lon / ROUNDED_DEG) * ROUNDED_DEG
        stated, ve, vn = errors.said_m is not None, None, None
        r = model.base if errors.said_m is None else errors.said_m**2
        if says:
            told, course = round(3.6 * speed) / 3.6 if speed > 0.5 else 0.0, math.radians(round(math.degrees(az)))
            ve, vn = told * math.sin(course), told * math.cos(course)
        time_ns = int((T0_S + at_s) * NS)
        m = Measurement(time_ns, "d", "fix", lat, lon, r, 0.0, r, ve, vn, model.base_v, stated)
        core, _, _ = advance(core, m, model)
        yield Reported(core, model, at_s, begin_s, end_s, step_s, way)
        at_s += every_s


def _where(way: list[Spot], at: float) -> Spot:
    """Where it is between two of its spots."""
    k = min(int(at), len(way) - 2)
    old, new, part = way[k], way[k + 1], at - k
    lat, lon, e, n = (a + part * (b - a) for a, b in zip(old[:4], new[:4], strict=True))
    return lat, (lon if abs(new[1] - old[1]) < 1.0 else old[1]), e, n, old[4], old[5]


def _ask(out: Held, x: State, core: Core, true: Spot, last: Spot) -> None:
    """Where the filter has it, against where it is."""
    lat, lon, x = placed(core, x)
    e, n = LocalFrame(lat_deg=lat, lon_deg=lon).en(lat_deg=true[0], lon_deg=true[1])
    det = x[4] * x[11] - x[6] * x[6]
    out.asked += 1
    out.inside += (x[11] * e * e - 2.0 * x[6] * e * n + x[4] * n * n) / det <= CHI2_95_2D
    out.followed += math.hypot(e, n) <= 60.0 + 0.7 * math.hypot(true[2] - last[2], true[3] - last[3])
    out.log_r += 0.25 * math.log(det * CHI2_95_2D**2)
    out.log_way += math.log(max(math.hypot(true[2] - last[2], true[3] - last[3]), 1.0))


_MODELS: dict[str, Model] = {}


def _model(klass: str) -> Model:
    """The model of a class, made once."""
    if klass not in _MODELS:
        presets = Presets()
        _MODELS[klass] = Model(preset=presets.of(klass), presets=presets, klass=klass)
    return _MODELS[klass]


def interval_text(every_s: int) -> str:
    """5 s, 4 min, 1 h."""
    return f"{every_s} s" if every_s < 60 else f"{every_s // 60} min" if every_s < 3600 else f"{every_s // 3600} h"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--every", type=int, nargs="+", default=list(EVERY_S), metavar="S")
    parser.add_argument("--kind", nargs="+", choices=(*KINDS, *SILENT_KINDS))
    parser.add_argument("--error", nargs="+", choices=ERRORS, default=list(ERRORS))
    parser.add_argument("--least", type=int, default=25, metavar="N")
    parser.add_argument("--silent", type=float, nargs="+", metavar="HOURS")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/tracking.md")
    args = parser.parse_args()
    args.kind = args.kind or [*KINDS, *(SILENT_KINDS if args.silent else ())]
    if args.silent:
        _silences(args.kind, args.error, args.every, args.seeds, args.silent)
        return
    cells: dict[tuple[str, str, int, bool], Held] = defaultdict(Held)
    for kind in args.kind:
        for error in args.error:
            for every_s in args.every:
                for says in (False, True):
                    for seed in args.seeds:
                        cells[kind, error, every_s, says].add(judged(kind, error, every_s, says, seed))
    for title, pick in (("by kind", lambda k: k[0]), ("by error, of what moves", lambda k: k[1] if k[0] != "parked" else None),
                        ("by error, parked", lambda k: k[1] if k[0] == "parked" else None),
                        ("by speed", lambda k: "speed stated" if k[3] else "no speed")):  # fmt: skip
        _print(title, cells, pick, args.every, markdown=args.markdown)
    if args.least:
        print(f"the {args.least} cells that hold least (inside followed radius m)")
        for key in sorted(cells, key=lambda k: cells[k].inside / max(cells[k].asked, 1))[: args.least]:
            kind, error, every_s, says = key
            what = f"{kind:9s} {error:10s} {interval_text(every_s):>6s} {'speed' if says else '-':5s}"
            print(f"  {what}  {cells[key].text}  {cells[key].radius_m:8.0f}")


def _silences(kinds: list[str], errors: list[str], everys: list[int], seeds: list[int], hours: list[float]) -> None:
    """The table of ``--silent``."""
    for goes in (True, False):
        what = "goes then" if goes else "stands then"
        print(f"| {what} | " + " | ".join(f"{interval_text(every)}, {hour:g} h" for every in everys for hour in hours) + " |")
        print("|" + "---|" * (1 + len(everys) * len(hours)))
        for kind in kinds:
            cells = []
            for every_s in everys:
                found: dict[tuple[float, bool], Held] = defaultdict(Held)
                for error, says, seed in itertools.product(errors, (False, True), seeds):
                    for key, one in silenced(kind, error, every_s, says, seed, tuple(hours)).items():
                        found[key].add(one)
                cells += [_silence_text(found[hour, goes]) for hour in hours]
            print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
        print()


def _silence_text(held: Held) -> str:
    """Inside, radius in km, radius over the way since the last report."""
    if not held.asked:
        return "-"
    inside = f"{held.inside / held.asked:.2f}".removeprefix("0")
    return f"{inside} / {held.radius_m / 1000.0:.0f} / {math.exp((held.log_r - held.log_way) / held.asked):.1f}"


def _print(title: str, cells: dict, pick, everys: list[int], *, markdown: bool) -> None:
    """One table: rows by what is picked of a cell's key, columns by interval."""
    rows: dict[str, dict[int, Held]] = defaultdict(lambda: defaultdict(Held))
    for key, held in cells.items():
        name = pick(key)
        if name is not None:
            rows[name][key[2]].add(held)
            rows[name][0].add(held)
    columns = [*everys, 0]
    heads = [*(interval_text(s) for s in everys), "all"]
    if markdown:
        print(f"| {title} | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
        for name, row in rows.items():
            print(f"| {name} | " + " | ".join(row[c].text.strip() for c in columns) + " |")
        print()
        return
    print(f"{title:24s}" + "".join(f"{head:>11s}" for head in heads))
    for name, row in rows.items():
        print(f"  {name:22s}" + "".join(f"{row[c].text:>11s}" for c in columns))
    print()


if __name__ == "__main__":
    main()
