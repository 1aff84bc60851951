"""The picture: the same rows however the run was cut, killed or rebuilt; a store may vanish, be damaged or be another's.

Over 400 lines: every case folds the one small journal that is made here.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
import os
import random
import sqlite3

import msgspec
import pytest

from birddog.errors import JournalError
from birddog.journal import Home, open_reader, open_writer
from birddog.model import (
    Alarm,
    Attachment,
    Decision,
    Device,
    Draft,
    Event,
    Fix,
    FrameBody,
    Operation,
    Reading,
    RefusalBody,
    Reject,
    Start,
    Tick,
    TrackPoint,
    pack,
)
from birddog.units import NS
from opsroom import picture as module
from opsroom import picture_store, refusals
from opsroom.collecting import collect_never
from opsroom.picture import Picture
from opsroom.picture_store import (
    TABLES,
    NotReady,
    PictureDamaged,
    PictureError,
    PictureReader,
    hold,
    quantised,
    quantised_all,
    remove,
)
from opsroom.rebuilding import make, rebuild
from tracking.fold import Fold
from tracking.track_state import LiveTrack

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
    before = 0
    while picture.step(next(cuts)):
        if restarts and picture.published > before:
            before = picture.published
            picture.close()
            picture = Picture(journal, path)
    picture.close()


def folder(tmp_path, name):
    made = tmp_path / name
    made.mkdir()
    return made


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


def test_the_state_is_stored_by_its_size_and_not_where_nobody_resumes(journal, tmp_path, monkeypatch):
    """What storing costs an entry does not grow with what is stored; the rows are the same."""
    stored: list[int] = []
    real = Picture._set_state
    monkeypatch.setattr(Picture, "_set_state", lambda self: (stored.append(self.cursor), real(self))[1])
    monkeypatch.setattr(module, "SNAPSHOT_ENTRIES", 10)
    for name, size, resumes in (("often", 10**9, True), ("seldom", 100, True), ("never", 10**9, False)):
        monkeypatch.setattr(module, "SNAPSHOT_BYTES", size)
        picture = Picture(journal, tmp_path / name, resumes=resumes)
        stored.clear()
        while picture.step(10):
            pass
        times = len(stored)
        picture.save()
        assert picture.store.meta("state") is not None
        picture.close()
        assert (times > 10) == (name == "often") and (times == 0) == (name == "never")
    assert rows(tmp_path / "often") == rows(tmp_path / "seldom") == rows(tmp_path / "never")


def test_rebuild_says_identical_and_finds_what_is_not(journal, tmp_path):
    path = tmp_path / "p"
    fold(journal, path)
    before = path.read_bytes()
    found = rebuild(journal, path, folder(tmp_path, "r1"))
    assert path.read_bytes() == before
    assert all(differ == 0 for _, differ in found.values()) and found["point"][0] > 100
    db = sqlite3.connect(path)
    db.execute("DELETE FROM alert")
    db.commit()
    db.close()
    assert rebuild(journal, path, folder(tmp_path, "r2"))["alert"][1] > 0


def test_rebuild_says_that_what_comes_behind_the_picture_cannot_be_folded(journal, tmp_path, capsys):
    """As the picture itself stops there: what is identical is only what stands before it."""
    from birddog.journal import home
    from opsroom.cli import main

    url, last = f"sqlite:///{tmp_path}/j.db", journal.last_seq()
    journal.close()
    reader = open_reader(url)
    make(reader, home(url).picture)
    reader.close()
    writer = open_writer(url, mode="exercise")
    for n in (1, 2):
        writer.append([Draft(kind="tick", received_ns=T0 + (2000 + n) * NS, source="t", ident=b"later%d" % n, body=b"\x80")])
    writer.close()
    assert main(["rebuild", "--journal", url]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [f"the derived store stands at entry {last}; 2 entries behind it were not compared", "identical"]
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("UPDATE entry SET body = x'c1' WHERE seq = ?", (last + 2,))
    db.commit()
    db.close()
    assert main(["rebuild", "--journal", url]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"identical up to entry {last}" and f"entry {last + 2} is damaged" in out[-2]
    assert main(["rebuild", "--json", "--journal", url]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["identical"] and (found["up_to"], found["behind"]) == (last, 1) and "damaged" in found["damaged"]


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


def test_parts_that_were_not_understood_are_counted_by_device_and_name(tmp_path):
    reading = Reading(device="0102030405060708", time_ns=T0, quantity="rssi", value=-90.0, unit="dBm")
    made = []
    said = [("", ("object.position",)), ("gate", ("object.position", "a")), ("gate", ("a",)), ("", ())]
    for i, (device, names) in enumerate(said):
        body = FrameBody(format="chirpstack", version=1, payload=b"x", device=device, observations=(reading,), unread=names)
        made.append(Draft(kind="frame", received_ns=T0 + i * NS, source="mqtt", ident=b"%d" % i, body=pack(body)))
    other = other_journal(tmp_path, made)
    fold(other, tmp_path / "p")
    found = {(row.device, row.format, row.reason, row.detail): row.count for _, row in PictureReader(tmp_path / "p").refused()}
    assert found == {("0102030405060708", "chirpstack", "unread", "object.position"): 2,
                     ("0102030405060708", "chirpstack", "unread", "a"): 2}
    other.close()


def test_a_part_of_a_message_that_said_nothing_else_is_counted_to_its_subject_not_to_the_gateway(tmp_path):
    body = FrameBody(format="ttn", version=1, payload=b"x", device="gate", subject="0102030405060708", unread=("frm_payload",))
    made = Draft(kind="frame", received_ns=T0, source="mqtt", ident=b"i", body=pack(body))
    other = other_journal(tmp_path, [made])
    fold(other, tmp_path / "p")
    assert [row.device for _, row in PictureReader(tmp_path / "p").refused() if row.reason == "unread"] == ["0102030405060708"]
    other.close()


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


def other_journal(tmp_path, rows):
    """A reader of another journal, with these entries."""
    url = f"sqlite:///{tmp_path}/other{len(list(tmp_path.glob('other*.db')))}.db"
    writer = open_writer(url, mode="exercise")
    writer.append(rows)
    writer.close()
    return open_reader(url)


def test_a_store_of_another_journal_is_made_again(journal, tmp_path):
    """Swapped or put back to an earlier time, shorter or longer: never a picture of two journals."""
    whole = drafts()
    strange = [msgspec.structs.replace(d, ident=b"other" + d.ident) for d in drafts(seed=2)]
    fork = whole[:100] + strange[100:]
    for name, rows in (("short", whole[:50]), ("other", strange), ("longer", strange + drafts(count=9)), ("fork", fork)):
        store = tmp_path / name
        fold(journal, store)
        other = other_journal(tmp_path, rows)
        with pytest.raises(PictureError, match="not made from this journal"):
            rebuild(other, store, folder(tmp_path, f"r-{name}"))
        fold(other, store)
        assert all(differ == 0 for _, differ in rebuild(other, store, folder(tmp_path, f"s-{name}")).values()), name
        assert PictureReader(store).cursor() == other.last_seq()
        other.close()


def test_a_rebuild_compares_with_a_store_that_is_being_written(journal, tmp_path, monkeypatch):
    path = tmp_path / "p"
    live = Picture(journal, path)
    live.step(200)
    real = Picture.step

    def step(self, limit=500):
        if self is not live:
            real(live, 40)  # the live run goes on while the rebuild folds
        return real(self, min(limit, 50))

    monkeypatch.setattr(Picture, "step", step)
    found = rebuild(journal, path, folder(tmp_path, "r"))
    assert live.cursor > 200 and all(differ == 0 for _, differ in found.values())
    live.close()


def test_make_leaves_a_running_pictures_store_alone(journal, tmp_path):
    assert make(journal, tmp_path / "made") == journal.last_seq()
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0
    assert all(differ == 0 for _, differ in rebuild(journal, tmp_path / "made", folder(tmp_path, "r")).values())
    lock = hold(tmp_path / "held")
    assert hold(tmp_path / "held") is None
    make(journal, tmp_path / "held")
    assert not (tmp_path / "held").exists()
    os.close(lock)
    assert sorted(p.name for p in tmp_path.glob("*.made-*")) == []


def test_a_store_of_another_version_or_no_store_at_all_is_made_again_but_never_by_a_rebuild(journal, tmp_path):
    path = tmp_path / "p"
    fold(journal, path)
    want = rows(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = x'31' WHERE key = 'version'")
    db.commit()
    db.close()
    with pytest.raises(PictureError, match="another version"):
        rebuild(journal, path, folder(tmp_path, "r"))
    fold(journal, path)
    assert rows(path) == want
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(PictureDamaged):
        rebuild(journal, path, folder(tmp_path, "r2"))
    fold(journal, path)
    assert rows(path) == want
    # deleted alone: the WAL that was left beside it is not played into the new one
    holder = Picture(journal, path)
    holder.store.begin()
    holder.store.put("track", "ghost", 1, next(iter(PictureReader(path).tracks()))[1])
    holder.store.commit(holder.cursor)
    wal = (tmp_path / "p-wal").read_bytes()
    holder.close()
    path.unlink()
    (tmp_path / "p-wal").write_bytes(wal)
    fold(journal, path)
    assert rows(path) == want


def test_a_store_that_was_folded_by_another_form_is_made_again(journal, tmp_path):
    """After an update the old program's rows stood for ever: a track that the new one does not have was shown, and no rebuild
    was identical (found by an auditor)."""
    path = tmp_path / "p"
    fold(journal, path)
    want = rows(path)
    picture = Picture(journal, path)
    while picture.step(100):
        pass
    picture.save()
    state = msgspec.msgpack.decode(picture.store.meta("state")[module._DIGEST :])
    of_form_1 = msgspec.msgpack.encode(msgspec.msgpack.decode(state["fold"]) | {"form": 1})
    packed = msgspec.msgpack.encode(state | {"fold": of_form_1})
    picture.store.begin()
    reader = PictureReader(path)
    picture.store.put("track", "ghost", 1, reader.tracks()[0][1])
    reader.close()
    picture.store.set_meta("state", module._digest(packed) + packed)
    picture.store.commit(picture.cursor)
    picture.close()
    assert rows(path) != want
    fold(journal, path)
    assert rows(path) == want
    assert all(differ == 0 for _, differ in rebuild(journal, path, folder(tmp_path, "r")).values())


def test_whatever_byte_of_a_store_is_flipped_it_is_said_and_folds_to_the_same(journal, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "SNAPSHOT_ENTRIES", 100)
    path = tmp_path / "p"
    picture = Picture(journal, path)
    while picture.cursor < 300:
        picture.step(50)
    picture.close()
    good, rng, refused = path.read_bytes(), random.Random(2), 0
    for trial in range(40):
        remove(path)
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 3, 30, 300))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        reader = PictureReader(path)
        again = folder(tmp_path, f"r{trial}")
        for question in (lambda again=again: rebuild(journal, path, again), reader.cursor, reader.tracks, reader.alerts,
                         reader.events, reader.points, lambda: fold(journal, path)):
            try:
                question()
            except (PictureError, NotReady) as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
        reader.close()
    assert refused > 20


def test_a_damaged_state_is_not_believed(journal, tmp_path):
    path = tmp_path / "p"
    fold(journal, path, iter([300, 0]))
    picture = Picture(journal, path)
    picture.step(300)
    picture.save()
    picture.close()
    db = sqlite3.connect(path)
    [(state,)] = db.execute("SELECT value FROM meta WHERE key = 'state'")
    at = len(state) // 2
    db.execute("UPDATE meta SET value = ? WHERE key = 'state'", (state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :],))
    db.commit()
    db.close()
    fold(journal, path)
    assert all(differ == 0 for _, differ in rebuild(journal, path, folder(tmp_path, "r")).values())


def test_a_locked_store_is_not_taken_for_one_of_another_version(journal, tmp_path, monkeypatch):
    path = tmp_path / "p"
    fold(journal, path)
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **{**k, "timeout": 0.05}))
    db = real(path, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    db.execute("UPDATE meta SET value = value")
    with pytest.raises(PictureError, match="locked"):
        Picture(journal, path)
    db.execute("ROLLBACK")
    db.close()
    assert all(differ == 0 for _, differ in rebuild(journal, path, folder(tmp_path, "r")).values())


def test_told_to_end_it_leaves_between_two_entries_and_goes_on_there(journal, tmp_path):
    """Five hundred entries are a second of CPU, and on a busy machine many seconds in which nothing ends."""
    fold(journal, tmp_path / "want")
    path, answers = tmp_path / "p", itertools.cycle([False, False, True])
    reopened = False
    picture = Picture(journal, path)
    while done := picture.step(asked=lambda: next(answers)):
        assert done <= 3 and picture.published == max(picture.cursor, 150 if reopened else 0)
        if picture.cursor == 150 and not reopened:
            picture.close()  # killed: what is published is folded again, and that ends as soon
            picture = Picture(journal, path)
            assert picture.step(asked=lambda: True) == 1 and (picture.cursor, picture.published) == (1, 150)
            reopened = True
    assert picture.cursor == journal.last_seq()
    picture.save()
    picture.close()
    assert rows(path) == rows(tmp_path / "want")


def test_what_precedes_a_damaged_entry_is_published_and_the_entry_is_named(journal, tmp_path):
    fold(journal, tmp_path / "want", iter([150, 0]))
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("UPDATE entry SET body = substr(body, 1, 5) WHERE seq = 151")
    db.commit()
    db.close()
    picture = Picture(journal, tmp_path / "p")
    with pytest.raises(JournalError, match=r"j\.db: entry 151 is damaged"):
        while picture.step(40):
            pass
    picture.close()
    assert rows(tmp_path / "p") == rows(tmp_path / "want") and PictureReader(tmp_path / "p").cursor() == 150


@pytest.mark.parametrize("wrong", [{"p_ee": math.nan}, {"p_nn": -1.0}, {"p_ee": 4.0, "p_nn": 4.0, "p_en": 4.1}], ids=str)
def test_a_row_whose_covariance_is_none_is_not_published(journal, tmp_path, monkeypatch, caplog, wrong):
    """Not shown as if it were sure: the entry is named and left out."""
    real = Fold.apply

    def degenerate(self, entry, body=None):
        changes = real(self, entry, body)
        if entry.seq != 30:
            return changes
        return msgspec.structs.replace(changes, tracks=[msgspec.structs.replace(t, **wrong) for t in changes.tracks])

    monkeypatch.setattr(Fold, "apply", degenerate)
    fold(journal, tmp_path / "p")
    said = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(said) == 1 and ": entry 30 cannot be folded" in said[0]


@pytest.mark.parametrize("snapshot", [37, 100_000])
def test_an_entry_that_crashes_the_fold_is_left_out_and_said(journal, tmp_path, monkeypatch, caplog, snapshot):
    """Whole: what the fold did to itself before it failed is undone, too; and the same whatever the cuts."""
    bad = {9, 120, 121}
    blank, real = module.Picture._fold, Fold.apply
    with monkeypatch.context() as patch:
        patch.setattr(module.Picture, "_fold", lambda self, e, publish: None if e.seq in bad else blank(self, e, publish))
        fold(journal, tmp_path / "want")

    def crashing(self, entry, body=None):
        changes = real(self, entry, body)
        return changes if entry.seq not in bad else 1 / 0

    monkeypatch.setattr(Fold, "apply", crashing)
    monkeypatch.setattr(module, "SNAPSHOT_ENTRIES", snapshot)
    dice = random.Random(5)
    fold(journal, tmp_path / "p", iter(lambda: dice.choice([1, 7, 40]), None), restarts=True)
    assert rows(tmp_path / "p") == rows(tmp_path / "want") and PictureReader(tmp_path / "p").cursor() == journal.last_seq()
    picture = Picture(journal, tmp_path / "p")
    assert picture.left_out == sorted(bad)
    picture.close()
    said = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(said) == 3 and "j.db: entry 9 cannot be folded and is left out: ZeroDivisionError" in said[0]
    assert all("\n" not in r.getMessage() and r.exc_info is None for r in caplog.records)
    assert all(differ == 0 for _, differ in rebuild(journal, tmp_path / "p", folder(tmp_path, "r")).values())


def tracks_in_memory() -> int:
    return sum(type(one) is LiveTrack for one in gc.get_objects())


@pytest.mark.parametrize("why", ["made again", "a crash"])
def test_the_fold_of_before_goes_when_another_takes_its_place(journal, tmp_path, monkeypatch, why):
    """It is a ring of objects, and whoever folds looks for those seldom: 100,000 tracks would be kept twice."""
    picture = Picture(journal, tmp_path / "p")
    picture.step(100)
    crashed: list[int] = []
    gc.collect()
    assert tracks_in_memory()
    with collect_never():
        if why == "made again":
            picture.begin_again()
        else:
            real = Fold.apply
            monkeypatch.setattr(Fold, "apply", lambda *some: real(*some) if crashed else crashed.append(1) or 1 / 0)
            picture.step(100)
            assert picture.left_out
        assert not tracks_in_memory() and not picture.fold.tracks
    picture.close()


def test_a_fold_makes_no_rings_of_objects(journal, tmp_path):
    """So that whoever folds a journal once need not look for any."""
    picture = Picture(journal, tmp_path / "p", resumes=False)
    gc.collect()
    with collect_never():
        while picture.step():
            pass
        picture.finish()
        assert gc.isenabled() is False and gc.collect() == 0
    assert gc.isenabled()
    picture.close()


def test_what_was_folded_once_is_not_looked_through_when_that_is_done():
    """All of it is young then: 10,000 tracks were walked by the first object that anybody made, a tenth of a second."""
    looked: list[str] = []

    def told(phase: str, _: dict[str, int]) -> None:
        looked.append(phase)

    gc.collect()
    gc.callbacks.append(told)
    try:
        with collect_never():
            made = [[[]] for _ in range(20_000)]
        made += [[[]] for _ in range(100)]
    finally:
        gc.callbacks.remove(told)
    assert not looked
    del made


@pytest.mark.parametrize("most", [10**6, 7])
def test_where_nobody_resumes_rows_are_written_once_and_are_those_of_every_step(journal, tmp_path, monkeypatch, most):
    """Also where an entry in the middle crashes the fold, after which it is folded again from the beginning."""
    real = Fold.apply
    monkeypatch.setattr(Fold, "apply", lambda self, entry, body=None: real(self, entry, body) if entry.seq != 120 else 1 / 0)
    monkeypatch.setattr(picture_store, "HELD", most)
    fold(journal, tmp_path / "want", itertools.repeat(25))
    picture = Picture(journal, tmp_path / "p", resumes=False)
    while picture.step(25):
        pass
    assert most == 7 or not rows(tmp_path / "p")["track"]
    picture.finish()
    picture.close()
    assert rows(tmp_path / "p") == rows(tmp_path / "want")


def test_a_full_disk_is_one_line_and_nothing_half_is_published(journal, tmp_path):
    path = tmp_path / "p"
    picture = Picture(journal, path)
    picture.step(60)
    db = picture.store.db
    # one page short of what is there: whatever grows is refused, as on a full disk
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(PictureError, match="p: the disk is full"):
        while picture.step(60):
            pass
    picture.close()
    stood = PictureReader(path).cursor()
    assert stood % 60 == 0
    fold(journal, tmp_path / "want", iter([stood, 0]))
    assert rows(path) == rows(tmp_path / "want")
    fold(journal, path)
    assert PictureReader(path).cursor() == journal.last_seq()


def test_made_up_names_do_not_grow_the_table_of_refusals(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "ROWS_KEPT", 10)
    spoofed = []
    for i in range(120):
        name = "regular" if i % 3 == 0 else f"spoof{i}" + "x" * 500
        why = (Reject("unknown_device", "not enrolled", name),)
        body = RefusalBody(format="owntracks", version=1, device=name, rejects=why, payload_hash=b"h")
        spoofed.append(Draft(kind="refusal", received_ns=T0 + i * NS, source="mqtt", ident=b"%d" % i, body=pack(body)))
    other = other_journal(tmp_path, spoofed)
    fold(other, tmp_path / "whole")
    found = {row.refused_id: row for _, row in PictureReader(tmp_path / "whole").refused()}
    assert len(found) == 11 and sum(row.count for row in found.values()) == 120
    regular = next(row for row in found.values() if row.device == "regular")
    others = found["others"]
    assert regular.count == 40 and others.count == 71 and "71 rows" in others.detail and others.reason == "others"
    assert max(len(row.device) for row in found.values()) <= 120
    # cut and killed between snapshots: the same
    monkeypatch.setattr(module, "SNAPSHOT_ENTRIES", 7)
    fold(other, tmp_path / "cut", itertools.cycle([1, 4, 2]), restarts=True)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    other.close()


def test_quantised(tmp_path):
    point = TrackPoint(track_id="T", seq=1, time_ns=1, lat_deg=51.123456789, lon_deg=-0.00000001, ve_mps=1.23456,
                       vn_mps=-0.0001, p_ee=1234.56789, p_en=0.000123456789, p_nn=1.0, origin="fix")
    q = quantised(point)
    assert (q.lat_deg, str(q.lon_deg), q.ve_mps, str(q.vn_mps)) == (51.1234568, "0.0", 1.235, "0.0")
    assert (q.p_ee, q.p_en) == (1234.57, 0.000123457)
    assert Home(tmp_path / "j.db").picture.name == "j.db.picture"


def test_many_rows_are_quantised_to_the_digits_of_each():
    rng, nan = random.Random(7), float("nan")
    hard: list[float | None] = [
        0.0, -0.0, 1e-9, -4e-8, 5e-8, 0.5, 0.0005, 0.0015, 2.5e-7, 9.999995, 999999.5, 9999995.0, 1.000005, 99999.95, 1e5, 1e-5,
        1e6, 1e22,
        1e23, 1e300, 5e-324, 1e-17, 1e-30, 123456.5, 1234565.0, nan, float("inf"), -float("inf"), 0, 7, None, 51.12345675,
    ]  # fmt: skip
    hard += [rng.uniform(-180, 180) for _ in range(200)] + [10.0 ** rng.uniform(-12, 12) for _ in range(200)]
    hard += [rng.randrange(10**6) / 10.0 ** rng.randrange(9) + rng.choice((0.0, 5e-8, 0.0005)) for _ in range(200)]
    points = []
    for k in range(2000):
        some = [rng.choice(hard) for _ in range(8)]
        points.append(TrackPoint(
            track_id="T", seq=k, time_ns=k, lat_deg=some[0], lon_deg=some[1], ve_mps=some[2], vn_mps=some[3], p_ee=some[4],
            p_en=some[5], p_nn=some[6], nis=some[7], origin="fix",
        ))  # fmt: skip
    want = [repr(quantised(point)) for point in points]
    assert [repr(point) for point in quantised_all(points)] == want
    assert [repr(point) for point in quantised_all(points[:5])] == want[:5]
    assert [repr(point) for n in range(0, 2000, 80) for point in quantised_all(points[n : n + 80])] == want
    told = [Event(event_id=f"E{k}", kind="stop", operation="o", seq=k, start_ns=k, lat_deg=1.23456789 * k) for k in range(80)]
    assert quantised_all(told) == [quantised(event) for event in told]


def test_what_fixes_mean_together_is_in_the_picture_and_the_same_however_it_was_cut(tmp_path):
    """Stops, an encounter and who falls silent, told by the events behind the fold; some fixes come late."""
    made, rng = [], random.Random(5)
    for s in range(0, 1500, 10):
        for k, tag in enumerate(("barge", "launch", "ferry")):
            if tag == "launch" and s > 900:
                continue
            north_m = {"barge": 0.0, "launch": max(0.0, 1200 - 4.0 * s) + 20, "ferry": 3000 + 5.0 * s}[tag]
            late = 40 * NS if rng.random() < 0.05 else 0
            lat_deg = 51.9 + north_m / 111_195 + rng.gauss(0, 1e-5)
            fix = Fix(device=tag, time_ns=T0 + s * NS, lat_deg=lat_deg, lon_deg=4.1, sigma_m=5.0)
            made.append((T0 + s * NS + late + k, fix))
    made.sort(key=lambda one: one[0])
    begun = pack(Start(version="t", presets={}, exercise=True))
    rows_ = [Draft(kind="start", received_ns=T0, source="t", ident=b"s", body=begun)]
    for n, (at_ns, fix) in enumerate(made):
        body = FrameBody(format="x", version=1, payload=b"", device=fix.device, observations=(fix,))
        rows_.append(Draft(kind="frame", received_ns=at_ns, source="t", ident=n.to_bytes(4), body=pack(body)))
    reader = other_journal(tmp_path, rows_)
    fold(reader, tmp_path / "a")
    fold(reader, tmp_path / "b", cuts=(rng.randint(1, 60) for _ in itertools.count()), restarts=True)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    kinds = [event.kind for _, event in PictureReader(tmp_path / "a").events() if not event.withdrawn]
    assert kinds.count("stop") == 2 and kinds.count("encounter") == 1 and kinds.count("gap") == 1
    assert all(differ == 0 for _, differ in rebuild(reader, tmp_path / "a", folder(tmp_path, "r")).values())
    reader.close()


@pytest.mark.parametrize("resumes", [True, False])
def test_a_row_that_says_what_is_believed_is_not_written_a_second_time(tmp_path, resumes):
    """As of what was heard at the journal's own time, which in one made of a file are many; the others' are written anew."""
    start = pack(Start(version="x", presets={}, exercise=True))
    some = [Draft(kind="start", received_ns=T0, source="x", ident=b"start", body=start)]
    for i, (device, t) in enumerate([("a", 9), ("b", 9), ("early", 13), ("early", 18), ("a", 20), ("b", 20)]):
        lon = {"early": 0.0, "a": 1.0, "b": 2.0}[device] + 1e-5 * t
        fix = Fix(device=device, time_ns=T0 + t * NS, lat_deg=50.0, lon_deg=lon, sigma_m=5.0)
        body = FrameBody(format="owntracks", version=1, payload=b"", observations=(fix,))
        some.append(Draft(kind="frame", received_ns=T0 + t * NS, source="mqtt", ident=b"%d" % i, body=pack(body)))
    other = other_journal(tmp_path, some)
    picture = Picture(other, tmp_path / "p", resumes=resumes)
    while picture.step():
        pass
    picture.finish()
    want = {row.tag_id: row for row in quantised_all(picture.fold.believed(picture.fold.now_ns, whole=True))}
    picture.close()
    with sqlite3.connect(tmp_path / "p") as db:
        again = [name for (name,) in db.execute("SELECT id FROM now")]
    assert again == [want["early"].track_id]
    assert {track.tag_id: track for _, track in PictureReader(tmp_path / "p").tracks()} == want
