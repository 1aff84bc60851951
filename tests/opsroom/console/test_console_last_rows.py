"""``/v1/tracks`` of a journal at rest shows the last rows of ``birddog track --journal`` (issue 11, how it is judged, 3)."""

from __future__ import annotations

import csv
import io
import math
import random
import time

import httpx
import pytest

from birddog import geo
from birddog.journal import open_reader
from birddog.model import (
    Attachment,
    Device,
    Draft,
    Fix,
    FrameBody,
    Operation,
    Placement,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    pack,
)
from birddog.units import CHI2_95_2D
from opsroom.cli import main
from opsroom.picture import Picture
from opsroom.rebuilding import rebuild

NS = 1_000_000_000
SILENT_FROM_S, END_S = 150, 420
KINDS = {Attachment: "attachment", Device: "device", FrameBody: "frame", Operation: "operation", Placement: "placement",
         Scan: "scan", Start: "start", Tick: "tick"}


def bodies(seed: int, t0_ns: int):
    """(s, body): what is enrolled, what nobody enrolled, vessels, a tag that is read, what a radar sees; some fall silent."""
    rng = random.Random(seed)
    home = geo.LocalFrame(lat_deg=rng.uniform(-60, 60), lon_deg=rng.uniform(-179, 179))
    out = [(0.0, Start(version="test", presets={}, exercise=True)), (0.0, Operation(operation="op"))]
    out.append((0.0, Placement(device="gate", lat_deg=home.lat_deg, lon_deg=home.lon_deg, range_m=30.0, from_ns=t0_ns)))
    devices = []
    for k in range(10):
        kind = ("enrolled", "stray", "ais", "shipment", "once")[k % 5]
        name = f"244{k:06d}" if kind == "ais" else f"{kind}-{k}"
        every_s = rng.choice((5, 15, 60))
        if kind in ("enrolled", "shipment"):
            out.append((0.0, Device(device=name, interval_s=float(every_s))))
        if kind == "shipment":
            out.append((0.0, Attachment(device=name, shipment=f"goods-{k}", operation="op", from_ns=t0_ns)))
        way = rng.uniform(-5000, 5000), rng.uniform(-5000, 5000), rng.gauss(0, 12), rng.gauss(0, 12)
        devices.append((name, kind, every_s, rng.random() < 0.5, way, rng.random() < 0.5))

    def fix(name, t, e, n, ve, vn, states):
        lat, lon = home.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
        course = math.degrees(math.atan2(ve, vn)) % 360.0
        return Fix(device=name, time_ns=t0_ns + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=4.0,
                   speed_mps=math.hypot(ve, vn) if states else None, course_deg=course if states else None)  # fmt: skip

    for name, kind, every_s, silent, (e, n, ve, vn), states in devices:
        for t in range(rng.randrange(1, every_s + 1), END_S, every_s):
            if (silent and t > SILENT_FROM_S) or (kind == "once" and t > every_s):
                break
            said = fix(name, t, e + ve * t, n + vn * t, ve, vn, states)
            out.append((t + rng.random(), FrameBody(format="ais" if kind == "ais" else "x", version=1, payload=b"", device=name,
                                                    observations=(said,))))  # fmt: skip
    out.append((200.5, FrameBody(format="x", version=1, payload=b"", device="gate", observations=(
        TagRead(device="gate", time_ns=t0_ns + 200 * NS, epc="urn:epc:id:sgtin:1.2.3", reader="gate"),))))  # fmt: skip
    for t in range(6, END_S - rng.choice((0, 12)), 6):
        seen = []
        for e, n in ((7 * t, 900), (-800, 400 - 3 * t)):
            lat, lon = home.geodetic(e + rng.gauss(0, 8), n + rng.gauss(0, 8))
            seen.append(Sighting(device="radar", time_ns=t0_ns + t * NS, lat_deg=lat, lon_deg=lon, r_ee=64.0, r_en=0.0,
                                 r_nn=64.0))  # fmt: skip
        corners = [home.geodetic(e, n) for e, n in ((-9e3, -9e3), (9e3, -9e3), (9e3, 9e3), (-9e3, 9e3), (-9e3, -9e3))]
        out.append((float(t), Scan(scan_id=f"r{t}", sensor="radar", time_ns=t0_ns + t * NS, pd=0.9, clutter_per_km2=1e-3,
                                   footprint=tuple((lon, lat) for lat, lon in corners), sightings=tuple(seen))))  # fmt: skip
    out += [(float(t), Tick()) for t in range(5, END_S + 1, 5)]
    return sorted(out, key=lambda row: row[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_api_shows_the_last_rows_of_the_journal(make_stage, capsys, tmp_path, seed):
    """Place, ellipse, speed, course, status of enrolled, unenrolled and anonymous tracks, whichever wait, and since when."""
    stage = make_stage()
    t0_ns = (time.time_ns() // (60 * NS) + 1) * 60 * NS
    stage.writer.append([
        Draft(kind=KINDS[type(body)], received_ns=t0_ns + round(at_s * NS), source="test", ident=b"%016d" % k, body=pack(body))
        for k, (at_s, body) in enumerate(bodies(seed, t0_ns))
    ])
    reader = open_reader(stage.url)
    picture = Picture(reader, stage.picture)
    while picture.step():
        pass
    believed = {row.track_id: row for row in picture.fold.believed(t0_ns + END_S * NS)}
    picture.close()
    folder = tmp_path / "again"
    folder.mkdir()
    found = rebuild(reader, stage.picture, folder)
    assert found["now"][0] >= len(believed) and not any(differ for _, differ in found.values())
    reader.close()
    assert main(["track", "--journal", stage.url, "--every", "60"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    last = {row["track_id"]: row for row in rows if row["t"] == rows[-1]["t"]}
    shown = {row["track_id"]: row for row in httpx.get(f"{stage.start()}/v1/tracks").raise_for_status().json()["tracks"]}
    assert set(shown) == set(last) and len(last) >= 10
    assert {row.klass for row in believed.values()} >= {"vessel"} and any(not row["tag_id"] for row in last.values())
    for track_id, row in last.items():
        have = shown[track_id]
        assert have["time"] == row["t"]
        for name, tolerance in (("lat_deg", 1e-7), ("lon_deg", 1e-7), ("ve_mps", 1e-3), ("vn_mps", 1e-3)):
            assert have[name] == pytest.approx(float(row[name]), abs=tolerance), (track_id, name)
        p = tuple(float(row[name]) for name in ("p_ee", "p_en", "p_nn"))
        assert [have[name] for name in ("p_ee", "p_en", "p_nn")] == pytest.approx(p, rel=2e-5, abs=1e-4), track_id
        major, minor, _ = geo.ellipse(*p, CHI2_95_2D)
        assert (have["ellipse95"]["major_m"], have["ellipse95"]["minor_m"]) == pytest.approx((major, minor), rel=1e-4, abs=0.02)
        speed, course = geo.speed_course(float(row["ve_mps"]), float(row["vn_mps"]))
        assert have["speed_mps"] == pytest.approx(speed, abs=2e-3)
        turned = (have["course_deg"] - course + 180.0) % 360.0 - 180.0
        assert speed < 0.5 or abs(turned) < 0.5, (track_id, course)
        assert have["status"] == believed[track_id].status, track_id
        one = httpx.get(f"http://127.0.0.1:{stage.port}/v1/tracks/{track_id}").json()
        assert (one["track"]["time"], one["track"]["p_ee"]) == (have["time"], have["p_ee"])
