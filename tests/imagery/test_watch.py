"""The watched folder: each scene once, whatever its name, whatever happens to the process.

Over 400 lines: every way in which a file may appear, change or go, on the same made scenes.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from birddog.areas import ring_contains
from birddog.errors import ConfigError
from birddog.model import Scan
from imagery.look import scene_time
from imagery.watch import LEDGER_NAME, Settings, Watch

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

REPO = Path(__file__).resolve().parents[2]
SHIP = (300, 200)


def write_scene(path: Path, *, seed: int = 1, crs: str | None = "EPSG:32631", tag: str | None = None, **how) -> None:
    rng = np.random.default_rng(seed)
    a = np.sqrt(rng.gamma(4.0, 0.25, (400, 500))).astype("float32")
    a[SHIP[1] - 4 : SHIP[1] + 4, SHIP[0] - 12 : SHIP[0] + 12] = 6.0
    made = path.with_suffix(".part")
    place = {"crs": crs, "transform": Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)} if crs else {}
    with rasterio.open(made, "w", driver="GTiff", width=500, height=400, count=1, dtype="float32", **place, **how) as f:
        f.write(a, 1)
        if tag:
            f.update_tags(TIFFTAG_DATETIME=tag)
    made.rename(path)


def settings(folder: Path, **more) -> Settings:
    return Settings(folder=str(folder), sensor="sar1", **more)


def test_a_scene_becomes_one_look_once_it_has_come_to_rest(tmp_path):
    write_scene(tmp_path / "SAR1_20261124T101500Z.tif")
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    assert watch.step() == 0 and not got
    assert watch.status()["waiting"] == 1
    assert watch.step() == 1
    assert watch.step() == 0
    (scan,) = got
    assert scan.sensor == "sar1" and len(scan.scan_id) == 64
    assert scan.time_ns == 1_795_515_300 * 10**9
    ring = scan.footprint
    assert ring[0] == ring[-1]
    assert sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:], strict=False)) > 0.0
    (sighting,), (flag,) = scan.sightings, scan.flags
    assert ring_contains(ring, lat_deg=sighting.lat_deg, lon_deg=sighting.lon_deg)
    x, y = 480000.0 + 5.0 * SHIP[0], 6050000.0 - 5.0 * SHIP[1]
    lon, lat = transform("EPSG:32631", "EPSG:4326", [x], [y])
    assert abs(sighting.lat_deg - lat[0]) < 2e-5 and abs(sighting.lon_deg - lon[0]) < 4e-5
    # the ship lies east-west, 120 m by 40 m: the covariance is longer that way
    assert sighting.r_ee == pytest.approx(15.0**2 + 120.0**2 / 12 + 25 / 12, rel=0.1)
    assert sighting.r_nn == pytest.approx(15.0**2 + 40.0**2 / 12 + 25 / 12, rel=0.1)
    assert sighting.r_ee * sighting.r_nn > sighting.r_en**2
    assert flag.thumbnail is not None and flag.thumbnail.startswith(b"\x89PNG")
    assert 0.0 < scan.clutter_per_km2 < 1.0 and scan.pd == 0.8
    watch.close()


def test_the_same_scene_under_another_name_or_after_a_restart_is_not_sent_again(tmp_path):
    write_scene(tmp_path / "a.tif")
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    watch.step(), watch.step()
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    watch.step(), watch.step()
    watch.close()
    again = Watch(settings(tmp_path), got.append)
    again.step(), again.step()
    assert len(got) == 1
    assert again.status()["sent"] == 1 and again.status()["waiting"] == 0
    again.close()
    other = Watch(settings(tmp_path, pfa=1e-5), got.append)
    other.step(), other.step()
    other.close()
    assert len(got) == 2 and got[0].scan_id != got[1].scan_id, "other parameters are another look"


def test_a_growing_file_waits(tmp_path):
    got: list[Scan] = []
    write_scene(tmp_path / "whole.tif")
    whole = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "whole.tif").unlink()
    watch = Watch(settings(tmp_path), got.append)
    for k in (1, 2, 3):
        (tmp_path / "slow.tif").write_bytes(whole[: len(whole) * k // 4])
        os.utime(tmp_path / "slow.tif", ns=(k, k))
        assert watch.step() == 0
    (tmp_path / "slow.tif").write_bytes(whole)
    watch.step()
    assert watch.step() == 1 and watch.refused() == []
    watch.close()


def test_what_is_no_scene_is_refused_with_its_reason_and_not_tried_again(tmp_path):
    (tmp_path / "not.tif").write_bytes(b"hello, I am no picture")
    write_scene(tmp_path / "nowhere.tif", crs=None)
    write_scene(tmp_path / "cut.tif", compress="deflate")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:-200_000])
    (tmp_path / "note.txt").write_text("not looked at")
    (tmp_path / "link.tif").symlink_to(tmp_path / "good.tif")
    write_scene(tmp_path / "good.tif", seed=2)
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    watch.step()
    assert watch.step() == 1
    reasons = dict(watch.refused())
    assert set(reasons) == {"not.tif", "nowhere.tif", "cut.tif"}
    assert "no GeoTIFF" in reasons["not.tif"] and "georeference" in reasons["nowhere.tif"]
    assert all("\n" not in reason for reason in reasons.values())
    assert watch.status()["refused"] == 3
    watch.step()
    assert watch.status()["waiting"] == 0 and len(got) == 1
    # mended, it is another file
    write_scene(tmp_path / "not.tif", seed=3)
    watch.step()
    assert watch.step() == 1
    watch.close()


def test_a_look_that_could_not_be_sent_is_sent_later_as_the_same_look(tmp_path):
    write_scene(tmp_path / "a.tif")
    tried: list[Scan] = []

    def broken(scan: Scan) -> None:
        tried.append(scan)
        if len(tried) < 3:
            raise ConnectionError("no writer")

    watch = Watch(settings(tmp_path), broken)
    watch.step()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            watch.step()
    assert watch.step() == 1
    assert tried[0] == tried[1] == tried[2]
    watch.close()


def test_nothing_seen_is_a_look_too(tmp_path):
    a = np.sqrt(np.random.default_rng(5).gamma(4.0, 0.25, (300, 300))).astype("float32")
    a[:, :128] = -99.0
    with rasterio.open(tmp_path / "e.tif", "w", driver="GTiff", width=300, height=300, count=1, dtype="float32", nodata=-99.0,
                       crs="EPSG:32631", transform=Affine(5.0, 0.0, 480000.0, 0.0, -5.0, 6050000.0)) as f:
        f.write(a, 1)
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    watch.step(), watch.step()
    watch.close()
    assert got[0].sightings == () and got[0].flags == ()
    lons = [lon for lon, _ in got[0].footprint]
    (west,), _ = transform("EPSG:32631", "EPSG:4326", [480000.0 + 128 * 5], [6050000.0])
    assert min(lons) == pytest.approx(west, abs=2e-4), "the footprint leaves out what is not valid"


@pytest.mark.parametrize("wrong", [{"detector": "ir-mad"}, {"detector": "none"}, {"pd": 1.5}, {"pfa": 2.0}, {"poll_s": 0.0},
                                   {"tile": 3}, {"sensor": ""}, {"geolocation_sigma_m": 0.0}, {"threads": 0}])
def test_a_wrong_setting_is_named(tmp_path, wrong):
    with pytest.raises(ConfigError, match="imagery." + next(iter(wrong))):
        Watch(Settings(**({"folder": str(tmp_path), "sensor": "s"} | wrong)), print)


def test_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="imagery.folder"):
        Watch(settings(tmp_path / "none"), print)


def test_the_time_of_a_scene(tmp_path):
    f = tmp_path / "x_20261124T101500Z_y.tif"
    f.write_bytes(b"")
    assert scene_time(str(f), "2020:01:01 00:00:00") == (1_795_515_300 * 10**9, "device")
    s1 = tmp_path / "S1A_IW_GRDH_1SDV_20261124T101500_20261124T101525_0.tif"
    s1.write_bytes(b"")
    assert scene_time(str(s1), None) == (1_795_515_300 * 10**9, "device")
    plain = tmp_path / "x_20261124T101500.tif"
    plain.write_bytes(b"")
    os.utime(plain, ns=(7, 7))
    assert scene_time(str(plain), None) == (1_795_515_300 * 10**9, "server"), "a time with no zone is a guess"
    assert scene_time(str(plain), "2026:11:24 10:15:00") == (1_795_515_300 * 10**9, "device")
    assert scene_time(str(plain), "2026:11:24 13:15:00") == (1_795_515_300 * 10**9, "server"), "written later"
    assert scene_time(str(plain), "2026:99:24 10:15:00")[1] == "server"


_CHILD = """
import sys, json, threading
from imagery.watch import Settings, Watch
def send(scan):
    with open(sys.argv[2], "a") as f:
        f.write(json.dumps([scan.scan_id, scan.scene_name, [[s.lat_deg, s.lon_deg] for s in scan.sightings]]) + "\\n")
w = Watch(Settings(folder=sys.argv[1], sensor="sar1", poll_s=0.05, pfa=1e-5), send)
print("up", flush=True)
w.run(threading.Event())
"""


def test_killed_at_any_moment_every_scene_gives_one_look(tmp_path):
    folder, sent = tmp_path / "in", tmp_path / "sent.jsonl"
    folder.mkdir()
    for k in range(6):
        write_scene(folder / f"s{k}.tif", seed=100 + k)
    rng = np.random.default_rng(11)
    env = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    deadline = time.monotonic() + 90.0
    kills = 0

    def done() -> int:
        import sqlite3

        if not (folder / LEDGER_NAME).exists():
            return 0
        with sqlite3.connect(folder / LEDGER_NAME) as ledger:
            try:
                return ledger.execute("SELECT count(*) FROM scene WHERE state = 'sent'").fetchone()[0]
            except sqlite3.OperationalError:
                return 0

    while done() < 6:
        assert time.monotonic() < deadline, "the scenes never got done"
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(folder), str(sent)], env=env, stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None and child.stdout.readline() == b"up\n"
            until = time.monotonic() + (float(rng.uniform(0.1, 0.7)) if kills < 8 else 60.0)
            while time.monotonic() < until and done() < 6:
                time.sleep(0.02)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        kills += 1
    assert kills > 1, "nothing was killed: the test shows nothing"
    looks = [json.loads(line) for line in sent.read_text().splitlines()]
    assert len({scan_id for scan_id, _, _ in looks}) == 6
    for scan_id, name, places in looks:
        assert all(other[1:] == [name, places] for other in looks if other[0] == scan_id), "the same look, word for word"
    fresh: list[Scan] = []
    (folder / LEDGER_NAME).unlink()
    watch = Watch(Settings(folder=str(folder), sensor="sar1", poll_s=0.05, pfa=1e-5), fresh.append)
    watch.step(), watch.step()
    watch.close()
    assert {s.scan_id for s in fresh} == {scan_id for scan_id, _, _ in looks}


# --- what is no fault of the file -------------------------------------------------------------------


@pytest.mark.parametrize("number", ["EIO", "EMFILE", "ESTALE"])
def test_a_disk_that_does_not_answer_is_asked_again_and_the_scene_is_not_refused(tmp_path, monkeypatch, number):
    import errno

    import imagery.watch as module
    from imagery.scene import SceneError

    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif", seed=2)
    got: list[Scan] = []
    real, left = module.sha256_of, [3]

    def flaky(path):
        if path.name == "a.tif" and left[0]:
            left[0] -= 1
            raise SceneError("cannot be read: broken", file=str(path)) from OSError(getattr(errno, number), "broken")
        return real(path)

    monkeypatch.setattr(module, "sha256_of", flaky)
    watch = Watch(settings(tmp_path), got.append)
    watch.step()
    assert watch.step() == 1 and watch.refused() == [], "the other one is done"
    assert "a.tif" in watch.status()["problem"] and "tried again" in watch.status()["problem"]
    for _ in range(20):
        watch.step()
    assert len(got) == 2 and watch.refused() == [] and watch.status()["problem"] == ""
    watch.close()


def test_a_read_error_of_the_disk_while_it_is_scanned_is_no_damage(tmp_path, monkeypatch):
    import errno

    import imagery.watch as module
    from imagery.scene import SceneError

    write_scene(tmp_path / "a.tif")
    real_hash, real_scan, broken = module.sha256_of, module.scan, [False]

    def scan(path, **how):
        if not broken[0] and len(calls) < 30:
            calls.append(1)
            broken[0] = True
            raise SceneError("cannot be read: IReadBlock failed", file=str(path))
        return real_scan(path, **how)

    def sha(path):
        if broken[0]:
            broken[0] = False
            raise SceneError("cannot be read", file=str(path)) from OSError(errno.EIO, "broken")
        return real_hash(path)

    calls: list[int] = []
    monkeypatch.setattr(module, "scan", scan)
    monkeypatch.setattr(module, "sha256_of", sha)
    monkeypatch.setattr(module, "LONGEST_REST", 0)
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    for _ in range(40):
        watch.step()
    assert len(calls) == 30 and len(got) == 1 and watch.refused() == [], "30 failures are more than a killing file is allowed"
    watch.close()


def test_an_unreadable_file_and_a_name_that_is_no_text_are_told(bounded):
    program = ("import json, os, sys; from imagery.watch import Settings, Watch\n"
               "from birddog.errors import ConfigError\n"
               "got = []; w = Watch(Settings(folder=sys.argv[1], ledger=':memory:'), got.append)\n"
               "w.step(); w.step(); w.step()\n"
               "try: Watch(Settings(folder=sys.argv[1] + '/shut', ledger=':memory:'), got.append)\n"
               "except ConfigError as error: said = str(error)\n"
               "print(json.dumps([len(got), w.refused(), w.status(), said]))")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        write_scene(folder / "good.tif")
        write_scene(folder / "closed.tif", seed=2)
        os.chmod(folder / "closed.tif", 0)
        os.link(folder / "good.tif", os.fsencode(folder) + b"/bad\xff.tif")
        (folder / "loop.tif").symlink_to("loop.tif")
        os.mkfifo(folder / "pipe.tif")
        (folder / "shut").mkdir(mode=0)
        done = subprocess.run([*bounded, sys.executable, "-c", program, name], capture_output=True, text=True, timeout=120,
                              check=False,
                              env=os.environ | {"PYTHONPATH": str(REPO)})
    assert done.returncode == 0, done.stderr
    sent, refused, status, said = json.loads(done.stdout)
    assert sent == 1 and status["refused"] == 2 and status["waiting"] == 0
    assert "UTF-8" in dict(refused)["bad\\udcff.tif"] and "Permission denied" in dict(refused)["closed.tif"]
    assert "imagery.folder" in said and "cannot be read" in said


def test_told_to_stop_it_stops_between_two_files(tmp_path):
    import threading

    for k in range(5):
        write_scene(tmp_path / f"{k}.tif", seed=k)
    stop, got = threading.Event(), []

    def send(scan: Scan) -> None:
        got.append(scan)
        stop.set()

    watch = Watch(settings(tmp_path), send)
    watch.step(stop)
    watch.step(stop)
    assert len(got) == 1
    again: list[Scan] = []
    watch.close()
    watch = Watch(settings(tmp_path), again.append)
    watch.step(), watch.step()
    assert len(again) == 4 and not {s.scan_id for s in got} & {s.scan_id for s in again}
    watch.close()


@pytest.mark.parametrize("name, year", [("a_99991231T235959Z.tif", None), ("a_00010101T000000Z.tif", None),
                                        ("a_20261124T101500.25Z.tif", 2026), ("a_20261124T101500+0200.tif", 2026)])
def test_a_time_that_cannot_be_is_none(tmp_path, name, year):
    (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / name, ns=(5, 5))
    got, source = scene_time(str(tmp_path / name), "9999:12:31 23:59:59")
    assert (source == "device") == (year is not None) and (year is not None or got == 5)


def test_a_full_disk_under_the_ledger_is_said_and_costs_nothing(tmp_path, monkeypatch):
    write_scene(tmp_path / "a.tif")
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    real, full = watch._do, [True]

    def do(sql: str, *values) -> None:
        if full[0] and "'sent'" in sql:
            raise sqlite3.OperationalError("database or disk is full")
        real(sql, *values)

    monkeypatch.setattr(watch, "_do", do)
    watch.step(), watch.step(), watch.step()
    assert "disk is full" in watch.status()["problem"] and watch.status()["sent"] == 0
    full[0] = False
    watch.step(), watch.step()
    assert watch.status()["sent"] == 1 and watch.status()["problem"] == ""
    assert len(got) >= 2 and len({s.scan_id for s in got}) == 1 and got[0] == got[-1]
    watch.close()


def test_a_folder_that_is_away_does_not_end_the_run(tmp_path):
    """At the first start a missing folder is a mistake; where looks were sent before, it is waited for and said."""
    journal = tmp_path / "j.db"
    program = ("import sys; from types import SimpleNamespace; from pathlib import Path; from opsroom.roles import imagery\n"
               "from birddog.journal import Home\n"
               "from imagery.settings import Settings\n"
               "config = SimpleNamespace(imagery=Settings(folder=sys.argv[2]))\n"
               "sys.exit(imagery.run(SimpleNamespace(home=Home(Path(sys.argv[1])), config=config)))")
    how = {"env": os.environ | {"PYTHONPATH": str(REPO)}, "text": True}
    call = [sys.executable, "-c", program, str(journal), str(tmp_path / "share")]
    first = subprocess.run(call, capture_output=True, timeout=60, check=False, **how)
    assert first.returncode != 0 and "ConfigError: imagery.folder: there is no folder" in first.stderr
    (tmp_path / "j.db.imagery").touch()
    child = subprocess.Popen(call, stderr=subprocess.PIPE, **how)
    row = tmp_path / "j.db.status" / "imagery.json"

    def until(word: str) -> None:
        deadline = time.monotonic() + 60.0
        while not (row.exists() and word in row.read_text()):
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        until("no folder")
        (tmp_path / "share").mkdir()
        until('"waiting": 0')
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


@pytest.mark.parametrize("name, tag, source", [
    ("s1a-iw-grd-vv-20201004t055012-20201004t055037-034637-040882-001.tiff", "2020:10:04 08:52:16", "device"),
    ("CAPELLA_C02_SM_GEO_HH_20201209213329_20201209213332.tif", None, "device"),
    ("harbour.tif", "2020:10:04 08:52:16", "server"), ("harbour.tif", None, "server"),
])
def test_a_look_says_on_whose_word_its_time_stands(tmp_path, name, tag, source):
    write_scene(tmp_path / name, tag=tag)
    got: list[Scan] = []
    watch = Watch(settings(tmp_path), got.append)
    watch.step(), watch.step()
    watch.close()
    (scan,) = got
    assert scan.time_source == source and scan.time_by
    assert {(s.time_source, s.flags) for s in scan.sightings} == {(source, () if source == "device" else ("no_scene_time",))}
