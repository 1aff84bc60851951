"""The picture: the same rows however the run was cut, killed or rebuilt; a store may vanish."""

from __future__ import annotations

import itertools
import random
import sqlite3

import pytest

from birddog.errors import UsageError
from birddog.journal import open_reader, open_writer
from birddog.model import (
    Alarm,
    Attachment,
    Decision,
    Device,
    Draft,
    Fix,
    FrameBody,
    Operation,
    RefusalBody,
    Reject,
    Start,
    Tick,
    TrackPoint,
    pack,
)
from birddog.units import NS
from opsroom import picture as module
from opsroom.picture import Picture, rebuild
from opsroom.picture_store import TABLES, NotReady, PictureReader, picture_path, quantised

T0 = 1_795_521_600 * NS


def drafts(seed: int = 1, count: int = 400):
    """A small case: two tags that move, one falls silent, a door, a refusal, a decision."""
    rng = random.Random(seed)
    ids = itertools.count()

    def made(kind, body, time_ns, operation=""):
        ident = str(next(ids)).encode()
        return Draft(kind=kind, received_ns=time_ns, source="t", ident=ident, body=pack(body), operation=operation)

    def frame(observation, time_ns):
        body = FrameBody(format="owntracks", version=1, payload=b"x", device=observation.device, observations=(observation,))
        return made("frame", body, time_ns, "OP")

    out = [made("start", Start(version="t", presets={}, exercise=True), T0), made("operation", Operation(operation="OP"), T0)]
    for tag in ("a", "b"):
        out.append(made("device", Device(device=tag, interval_s=5.0, klass="van"), T0))
        out.append(made("attachment", Attachment(device=tag, shipment=f"S{tag}", operation="OP", from_ns=0), T0))
    for i in range(count):
        time_ns = T0 + i * NS
        if i % 7 == 6:
            out.append(made("tick", Tick(), time_ns))
            continue
        tag = "a" if i > count // 3 or rng.random() < 0.5 else "b"
        fix = Fix(device=tag, time_ns=time_ns, lat_deg=51.9 + i * 1e-5 + rng.gauss(0, 5e-5),
                  lon_deg=4.1 + i * 2e-5 + rng.gauss(0, 5e-5), sigma_m=6.0)
        out.append(frame(fix, time_ns))
        if i == 50:
            out.append(frame(Alarm(device="a", time_ns=time_ns, alarm="tamper"), time_ns))
        if i in (60, 61):
            why = (Reject("unknown_device", "not enrolled", "z"),)
            body = RefusalBody(format="owntracks", version=1, device="z", rejects=why, payload_hash=b"h")
            out.append(made("refusal", body, time_ns))
    return out


@pytest.fixture
def journal(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="exercise")
    writer.append(drafts())
    writer.close()
    reader = open_reader(url)
    yield reader
    reader.close()


def rows(path):
    db = sqlite3.connect(path)
    out = {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
    db.close()
    return out


def fold(journal, path, cuts=None, restarts=False):
    cuts = cuts or itertools.repeat(500)
    picture = Picture(journal, path)
    while picture.step(next(cuts)):
        if restarts:
            picture.close()
            picture = Picture(journal, path)
    picture.close()


def test_the_same_rows_however_it_was_cut(journal, tmp_path, monkeypatch):
    fold(journal, tmp_path / "whole")
    want = rows(tmp_path / "whole")
    assert want["track"] and want["point"] and want["alert"] and want["event"]
    rng = random.Random(3)
    fold(journal, tmp_path / "cut", iter(lambda: rng.choice([1, 2, 17, 80]), None))
    assert rows(tmp_path / "cut") == want
    monkeypatch.setattr(module, "SNAPSHOT_ENTRIES", 37)
    fold(journal, tmp_path / "restarted", iter(lambda: rng.choice([3, 11, 40]), None), restarts=True)
    assert rows(tmp_path / "restarted") == want


def test_rebuild_says_identical_and_finds_what_is_not(journal, tmp_path):
    path = tmp_path / "p"
    fold(journal, path)
    found = rebuild(journal, path, tmp_path / "fresh")
    assert all(differ == 0 for _, differ in found.values()) and found["point"][0] > 100
    db = sqlite3.connect(path)
    db.execute("DELETE FROM alert")
    db.commit()
    db.close()
    assert rebuild(journal, path, tmp_path / "fresh2")["alert"][1] > 0


def test_an_alert_is_acknowledged_once_by_a_decision(journal, tmp_path):
    path = tmp_path / "p"
    fold(journal, path)
    reader = PictureReader(path)
    alert = next(a for _, a in reader.alerts() if a.kind == "tamper")
    assert alert.acknowledged_ns is None
    journal.close()
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="exercise")
    for i, who in enumerate(("A. Keeper", "B. Later")):
        writer.append([Draft(kind="decision", received_ns=T0 + (1000 + i) * NS, source="console", ident=who.encode(),
                             body=pack(Decision(action="acknowledge", subject=alert.alert_id, by=who)))])
    writer.close()
    again = open_reader(url)
    fold(again, path)
    again.close()
    after = next(a for _, a in reader.alerts() if a.alert_id == alert.alert_id)
    assert (after.acknowledged_by, after.acknowledged_ns) == ("A. Keeper", T0 + 1000 * NS)


def test_refusals_are_counted_for_the_operator(journal, tmp_path):
    fold(journal, tmp_path / "p")
    [(revision, row)] = PictureReader(tmp_path / "p").refused()
    assert (row.device, row.reason, row.count) == ("z", "unknown_device", 2) and revision > 60


def test_a_reader_survives_a_store_that_vanishes_and_comes_again(journal, tmp_path):
    path = tmp_path / "p"
    reader = PictureReader(path)
    with pytest.raises(NotReady):
        reader.tracks()
    fold(journal, path)
    assert reader.cursor() == journal.last_seq()
    for name in (path, tmp_path / "p-wal", tmp_path / "p-shm"):
        name.unlink(missing_ok=True)
    with pytest.raises(NotReady):
        reader.cursor()
    fold(journal, path)
    assert reader.cursor() == journal.last_seq() and reader.tracks()


def test_points_newest_first_when_limited_and_changes_since(journal, tmp_path):
    fold(journal, tmp_path / "p")
    reader = PictureReader(tmp_path / "p")
    track = reader.tracks()[0][1].track_id
    all_points = reader.points(track)
    assert [p.time_ns for p in all_points] == sorted(p.time_ns for p in all_points)
    assert reader.points(track, limit=5) == all_points[-5:]
    assert reader.points(track, since_ns=all_points[-3].time_ns)[0].time_ns >= all_points[-3].time_ns
    top = max(revision for revision, _ in reader.tracks())
    assert reader.tracks(since=top) == [] and reader.tracks(since=top - 1)


def test_another_journals_store_is_refused(journal, tmp_path):
    fold(journal, tmp_path / "p")
    writer = open_writer(f"sqlite:///{tmp_path}/other.db", mode="exercise")
    writer.append(drafts(count=3))
    writer.close()
    other = open_reader(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(UsageError, match="ahead of its journal"):
        Picture(other, tmp_path / "p")
    other.close()


def test_quantised(tmp_path):
    point = TrackPoint(track_id="T", seq=1, time_ns=1, lat_deg=51.123456789, lon_deg=-0.00000001, ve_mps=1.23456,
                       vn_mps=-0.0001, p_ee=1234.56789, p_en=0.000123456789, p_nn=1.0, origin="fix")
    q = quantised(point)
    assert (q.lat_deg, str(q.lon_deg), q.ve_mps, str(q.vn_mps)) == (51.1234568, "0.0", 1.235, "0.0")
    assert (q.p_ee, q.p_en) == (1234.57, 0.000123457)
    assert picture_path(tmp_path / "j.db").name == "j.db.picture"
