"""Whole-program goldens: a journal in, the picture out, truth beside it; tests/goldens/README.md says more.

    python tools/goldens.py                     # make the pictures of all goldens again
    python tools/goldens.py bus convoy          # of some
    python tools/goldens.py --journals CAPTURES # the journals and truths as well: CAPTURES holds clones of gpsd and
                                                # movingpandas-examples at the commits that the README names

A picture is written only where the truth still holds within NAME.limits.toml, which is written by hand.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import difflib
import json
import lzma
import math
import random
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from birddog.geo import LocalFrame, distance_m
from birddog.journal import entries, open_reader, open_writer
from birddog.model import Draft, Entry, Fix, FrameBody, Operation, Scan, Sighting, Start, Tick, Track, TrackPoint, pack
from birddog.units import NS, iso_from_ns, ns_from_text
from opsroom.picture_store import PictureReader
from opsroom.rebuilding import make
from sim import truth
from sim.truth import TruthRow

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "goldens"
#: Points of a track that a picture keeps, evenly.
POINTS = 25
#: A track's newest point may be so old and still say where the thing is.
OLDEST_S = 120.0


# --- a journal in, the picture out ---


def journal_of(name: str, folder: Path) -> str:
    """The golden's journal, written anew below a folder; its URL."""
    url = f"sqlite:///{folder}/{name}.db"
    said = msgspec.msgpack.decode(lzma.decompress((FOLDER / f"{name}.journal.xz").read_bytes()), type=list[Entry])
    writer = open_writer(url, mode="exercise")
    writer.append([
        Draft(kind=e.kind, received_ns=e.received_ns, source=e.source, ident=e.ident, body=e.body, operation=e.operation,
              actor=e.actor)
        for e in said
    ])  # fmt: skip
    writer.close()
    return url


class Made(msgspec.Struct):
    """What the program makes of a journal."""

    rows: list[dict[str, Any]]
    tracks: list[Track]
    points: list[TrackPoint]


def picture_of(name: str) -> Made:
    """Fold the golden's journal as the picture process does, and read what it published."""
    with tempfile.TemporaryDirectory(prefix="birddog-golden-") as folder:
        url = journal_of(name, Path(folder))
        reader, store = open_reader(url), Path(folder) / "made.picture"
        try:
            make(reader, store)
        finally:
            reader.close()
        view = PictureReader(store)
        try:
            tables = {"track": view.tracks(), "event": view.events(), "alert": view.alerts(), "flag": view.flags(),
                      "refused": view.refused()}
            points = view.points()
        finally:
            view.close()
    rows = [{"table": table} | msgspec.to_builtins(row) for table, found in tables.items() for row in _by_id(found)]
    tracks = [row for _, row in tables["track"]]
    for track in sorted(tracks, key=lambda track: track.track_id):
        mine = sorted((p for p in points if p.track_id == track.track_id), key=lambda p: (p.time_ns, p.seq))
        rows.append({"table": "points", "track_id": track.track_id, "count": len(mine)})
        for k in sorted({round(i * (len(mine) - 1) / (POINTS - 1)) for i in range(POINTS)}) if mine else ():
            rows.append({"table": "point"} | msgspec.to_builtins(mine[k]))
    return Made(rows=rows, tracks=tracks, points=points)


def _by_id(found: Iterable[tuple[int, Any]]) -> list[Any]:
    return sorted((row for _, row in found), key=lambda row: getattr(row, row.__struct_fields__[0]))


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    """A picture as it is kept: a row a line, so that a change is read in the diff."""
    return [json.dumps(row, ensure_ascii=False) for row in rows]


def differences(wanted: list[dict[str, Any]], got: list[dict[str, Any]]) -> list[str]:
    """The lines of a diff, [] where the pictures are the same but for the last digits of another machine."""
    if len(wanted) == len(got) and all(map(_same, wanted, got)):
        return []
    return list(difflib.unified_diff(lines_of(wanted), lines_of(got), "golden", "now", n=0, lineterm=""))


def _same(wanted: Any, got: Any, key: str = "") -> bool:
    """Equal, but floats: a position to 1e-6 degrees, anything else to a thousandth of itself; a new field is no change."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(k in got and _same(value, got[k], k) for k, value in wanted.items())
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(_same, wanted, got))
    if isinstance(wanted, float) and isinstance(got, float):
        return abs(wanted - got) <= (1e-6 if key.endswith("_deg") else max(0.01, 1e-3 * abs(wanted)))
    return wanted == got and type(wanted) is type(got)


# --- the truth beside it ---


class Followed(msgspec.Struct):
    """How well one thing was followed: by which tracks, in which share of its truth, how far off."""

    tracks: set[str]
    seen: float
    median_m: float
    p95_m: float


def followed(rows: list[TruthRow], made: Made) -> dict[str, Followed]:
    """Each thing's truth against the track of what it carries, or the nearest anonymous one where it carries nothing.

    A track stands where its newest point by then, carried on with its velocity, puts it.
    """
    paths: dict[str, list[TrackPoint]] = {}
    for point in sorted(made.points, key=lambda p: (p.time_ns, p.seq)):
        paths.setdefault(point.track_id, []).append(point)
    times = {name: [p.time_ns for p in path] for name, path in paths.items()}
    out = {}
    for thing in sorted({row.truth_id for row in rows}):
        off, ids, asked = [], set(), 0
        for row in (row for row in rows if row.truth_id == thing):
            asked += 1
            near: list[tuple[float, str]] = []
            for track in made.tracks:
                if set(track.identities) & set(row.carries) if row.carries else not track.identities:
                    k = bisect.bisect_right(times.get(track.track_id, []), row.time_ns) - 1
                    if k >= 0 and row.time_ns - times[track.track_id][k] <= OLDEST_S * NS:
                        near.append((_apart_m(paths[track.track_id][k], row), track.track_id))
            if near:
                off.append(min(near)[0])
                ids.add(min(near)[1])
        off.sort()
        out[thing] = Followed(tracks=ids, seen=len(off) / asked, median_m=statistics.median(off) if off else math.inf,
                              p95_m=off[int(0.95 * len(off))] if off else math.inf)
    return out


def _apart_m(point: TrackPoint, row: TruthRow) -> float:
    frame, dt_s = LocalFrame(lat_deg=point.lat_deg, lon_deg=point.lon_deg), (row.time_ns - point.time_ns) / NS
    lat, lon = frame.geodetic(point.ve_mps * dt_s, point.vn_mps * dt_s)
    return distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=row.lat_deg, lon2_deg=row.lon_deg)


def broken(name: str, made: Made) -> list[str]:
    """What of the truth does not hold within the limits of NAME.limits.toml."""
    found = followed(truth.read(FOLDER / f"{name}.truth.csv"), made)
    limits = tomllib.loads((FOLDER / f"{name}.limits.toml").read_text("utf-8"))
    known = {*limits["followed"], *limits.get("not_followed", {})}
    said = [f"{name}: there are limits for {sorted(known)}, truth of {sorted(found)}"] * (known != set(found))
    for thing, limit in limits["followed"].items():
        got = found.get(thing)
        if got is None:
            continue
        if len(got.tracks) != limit["tracks"]:
            said.append(f"{name}: {thing} has {len(got.tracks)} tracks {sorted(got.tracks)}, not {limit['tracks']}")
        if got.seen < limit["seen"]:
            said.append(f"{name}: {thing} was followed {got.seen:.3f} of the time, not {limit['seen']}")
        for field in ("median_m", "p95_m"):
            if getattr(got, field) > limit[field]:
                said.append(f"{name}: {thing} was {getattr(got, field):.1f} m off ({field}), not {limit[field]}")
    kinds = sorted({row["kind"] for row in made.rows if row["table"] == "alert"})
    if kinds != sorted(limits["alerts"]):
        said.append(f"{name}: alerts of {kinds}, not {sorted(limits['alerts'])}")
    return said


# --- the journals, once ---


def _birddog(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "opsroom.cli", *words], check=True, stdout=subprocess.DEVNULL)


def _keep(name: str, url: str, rows: list[TruthRow]) -> None:
    """Put a journal and its truth among the goldens."""
    reader = open_reader(url)
    said = [msgspec.structs.replace(e, ident=e.seq.to_bytes(4), source=e.source.rpartition("/")[2]) for e in entries(reader)]
    reader.close()
    packed = lzma.compress(msgspec.msgpack.encode(said), preset=9 | lzma.PRESET_EXTREME)
    (FOLDER / f"{name}.journal.xz").write_bytes(packed)
    with (FOLDER / f"{name}.truth.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(truth.COLUMNS)
        for r in rows:
            out.writerow([iso_from_ns(r.time_ns), r.truth_id, f"{r.lat_deg:.6f}", f"{r.lon_deg:.6f}", f"{r.ve_mps:.2f}",
                          f"{r.vn_mps:.2f}", ";".join(r.carries)])


def _simulated(name: str, scenario: str, for_s: int, seed: int, folder: Path) -> None:
    url = f"sqlite:///{folder}/j.db"
    _birddog("sim", "run", scenario, "--seed", str(seed), "--for", str(for_s), "--to", str(folder / "out"),
             "--truth", str(folder / "truth.csv"))
    _birddog("sim", "enrol", scenario, "--journal", url)
    captures = sorted(str(f) for f in (folder / "out").glob("*.jsonl") if f.name != "enrol.jsonl")
    _birddog("replay", *captures, "--journal", url)
    _keep(name, url, [row for row in truth.read(folder / "truth.csv") if row.time_ns // NS % 10 == 0])


def harbour(captures: Path, folder: Path) -> None:
    """The simulator's harbour: every wire format of the house."""
    _simulated("harbour", "harbour", 480, 7, folder)


def convoy(captures: Path, folder: Path) -> None:
    """tests/goldens/convoy.scenario.toml: two cases on bad lines."""
    _simulated("convoy", str(FOLDER / "convoy.scenario.toml"), 900, 5, folder)


def crossing(captures: Path, folder: Path) -> None:
    """Three vessels that cross under a radar with clutter; one of them reports."""
    rng, home = random.Random(3), LocalFrame(lat_deg=51.5, lon_deg=2.9)
    start_ns = ns_from_text("2026-03-04T04:00:00Z")
    ways = {"reporting": (-3000.0, -200.0, 8.0, 0.3), "northbound": (100.0, -2600.0, 0.0, 6.5),
            "slow": (2200.0, 1500.0, -2.0, -1.5)}
    ring = tuple((lon, lat) for lat, lon in (home.geodetic(e, n) for e, n in (
        (-4000, -4000), (4000, -4000), (4000, 4000), (-4000, 4000), (-4000, -4000))))
    bodies: list[tuple[int, str, Any]] = [(start_ns, "start", Start(version="golden", presets={}, exercise=True)),
                                          (start_ns, "operation", Operation(operation="WATCH", area=ring))]
    rows = []

    def sighting(e: float, n: float, at_ns: int) -> Sighting:
        lat, lon = home.geodetic(e, n)
        return Sighting(device="radar", time_ns=at_ns, lat_deg=lat, lon_deg=lon, r_ee=225.0, r_en=0.0, r_nn=225.0)

    for t in range(0, 720, 6):
        at_ns, seen = start_ns + t * NS, []
        for name, (e, n, ve, vn) in ways.items():
            e, n = e + ve * t, n + vn * t
            lat, lon = home.geodetic(e, n)
            carries = ("244000001",) if name == "reporting" else ()
            rows.append(TruthRow(time_ns=at_ns, truth_id=name, lat_deg=lat, lon_deg=lon, ve_mps=ve, vn_mps=vn, carries=carries))
            if rng.random() < 0.92:
                seen.append(sighting(e + rng.gauss(0, 15), n + rng.gauss(0, 15), at_ns))
            if carries and t % 12 == 0:
                lat, lon = home.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
                fix = Fix(device="244000001", time_ns=at_ns, lat_deg=lat, lon_deg=lon, sigma_m=5.0, attributes={"msg_type": 1})
                bodies.append((at_ns + NS // 2, "frame", FrameBody(format="ais", version=1, payload=b"", observations=(fix,))))
        seen += [sighting(rng.uniform(-4000, 4000), rng.uniform(-4000, 4000), at_ns) for _ in range(rng.randrange(4))]
        scan = Scan(scan_id=f"s{t}", sensor="radar", time_ns=at_ns, footprint=ring, pd=0.92, clutter_per_km2=1.5 / 64,
                    sightings=tuple(seen))  # fmt: skip
        bodies.append((at_ns + NS, "scan", scan))
    bodies += [(start_ns + t * NS, "tick", Tick()) for t in range(720, 1200, 30)]
    writer = open_writer(f"sqlite:///{folder}/j.db", mode="exercise")
    writer.append([Draft(kind=kind, received_ns=at_ns, source="golden", ident=b"%d" % k, body=pack(body))
                   for k, (at_ns, kind, body) in enumerate(bodies)])
    writer.close()
    _keep("crossing", f"sqlite:///{folder}/j.db", rows)


def _git(captures: Path, repository: str, path: str) -> str:
    return subprocess.run(["git", "-C", captures / repository, "show", f"HEAD:{path}"], check=True, capture_output=True,
                          ).stdout.decode("utf-8", "replace")


def walk(captures: Path, folder: Path) -> None:
    """gpsd's regression file bundg_zeus_9.log: a receiver that is carried about; truth is what gpsd made of it."""
    kept, second = [], ""
    for line in _git(captures, "gpsd", "test/daemon/bundg_zeus_9.log").splitlines():
        if line[3:6] == "RMC":
            second = line.split(",")[1]
        if line[3:6] in ("RMC", "GGA") and (line[3:6] == "RMC" or line.split(",")[1] == second):
            kept.append(line)
    (folder / "walk.log").write_text("\r\n".join(kept) + "\r\n")
    url = f"sqlite:///{folder}/j.db"
    _birddog("replay", str(folder / "walk.log"), "--format", "nmea", "--device", "walker", "--journal", url)
    rows = {}
    for line in _git(captures, "gpsd", "test/daemon/bundg_zeus_9.log.chk").splitlines():
        if line.startswith('{"class":"TPV"') and (said := json.loads(line)).get("mode", 0) >= 2 and "time" in said:
            at_ns = ns_from_text(said["time"])
            rows[at_ns // NS] = TruthRow(time_ns=at_ns, truth_id="walker", lat_deg=said["lat"], lon_deg=said["lon"], ve_mps=0.0,
                                         vn_mps=0.0, carries=("walker",))  # fmt: skip
    _keep("walk", url, [rows[second] for second in sorted(rows)][5::3])


def bus(captures: Path, folder: Path) -> None:
    """Trip 1105 of a bus in Liverpool; every fifth fix is not in the journal and is the truth."""
    table = csv.DictReader(_git(captures, "movingpandas-examples", "data/liverpool_bus/route14_outbound.csv").splitlines())
    fixes = [row for row in table if row["trip_id"] == "1105"]
    told, rows = ["id,t,lat,lon"], []
    for k, row in enumerate(fixes):
        at = row["timestamp"].replace(" ", "T") + "Z"
        if k % 5 == 4:
            rows.append(TruthRow(time_ns=ns_from_text(at), truth_id="bus", lat_deg=float(row["latitude"]),
                                 lon_deg=float(row["longitude"]), ve_mps=0.0, vn_mps=0.0, carries=("bus",)))  # fmt: skip
        else:
            told.append(f"bus,{at},{row['latitude']},{row['longitude']}")
    (folder / "bus.csv").write_text("\n".join(told) + "\n")
    url = f"sqlite:///{folder}/j.db"
    _birddog("replay", str(folder / "bus.csv"), "--format", "positions", "--journal", url)
    _keep("bus", url, rows)


GOLDENS = {made.__name__: made for made in (harbour, convoy, crossing, walk, bus)}


def main(words: list[str] | None = None) -> int:
    """Make pictures again; 1 where a truth does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *GOLDENS], metavar="NAME", help=", ".join(GOLDENS))
    parser.add_argument("--journals", type=Path, metavar="CAPTURES", help="make the journals and truths again, too")
    asked = parser.parse_args(words)
    failed = False
    for name in asked.names or GOLDENS:
        if asked.journals:
            with tempfile.TemporaryDirectory(prefix="birddog-golden-") as folder:
                GOLDENS[name](asked.journals, Path(folder))
        made = picture_of(name)
        wrong = broken(name, made)
        for line in wrong:
            print(f"not written: {line}", file=sys.stderr)
        if not wrong:
            (FOLDER / f"{name}.picture.jsonl").write_text("\n".join(lines_of(made.rows)) + "\n", encoding="utf-8")
        failed |= bool(wrong)
        for thing, got in followed(truth.read(FOLDER / f"{name}.truth.csv"), made).items():
            print(f"{name}: {thing}: {len(got.tracks)} tracks, {got.seen:.3f} of the time, median {got.median_m:.1f} m, "
                  f"95 % {got.p95_m:.1f} m")
        print(f"{name}: alerts {sorted({row['kind'] for row in made.rows if row['table'] == 'alert'})}, {len(made.rows)} rows")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
