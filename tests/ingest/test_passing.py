"""Vessels that no case is about: what is heard of them is kept so long as a rule says, then erased by destroying its key.

Over 400 lines: one house for its desk, its journal and its picture.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest

from birddog.errors import JournalTrouble
from birddog.journal import entries, home, open_reader, open_writer
from birddog.journal.verify import verify
from birddog.keyring import Keyring
from birddog.model import (
    Attachment,
    Device,
    Erasure,
    Flag,
    Frame,
    FrameBody,
    Operation,
    Passersby,
    Scan,
    Sighting,
    Start,
    unpack,
)
from birddog.passersby import ends_ns, holder_of, is_period, name_of, span_ns
from birddog.units import NS
from devices import codec
from ingest.control import own
from ingest.desk import Desk
from ingest.intake import Entries
from opsroom.derived import derived
from opsroom.following import Following
from opsroom.picture import Picture
from opsroom.picture_store import TABLES, PictureError, PictureReader
from opsroom.rebuilding import rebuild
from tracking.fold import Fold

HOUR = 3600 * NS
T0 = 1_790_000_000 * NS // HOUR * HOUR + 600 * NS
WATCHED, NOBODYS = 244000001, 244000777


class Source:
    name = "mqtt"

    def acknowledge(self, results):
        assert {r.outcome for r in results} == {"stored"}


class House:
    """A receiver that hears a watched vessel and another, every minute."""

    def __init__(self, folder, *, hours=4):
        self.url = f"sqlite:///{folder}/j.db"
        self.open()
        said = [Start(version="x", presets={}), Operation(operation="A"), Device(device="roof", basis="open", format="ais"),
                Device(device=str(WATCHED)), Attachment(device=str(WATCHED), shipment="hull", operation="A", from_ns=0)]
        self.enter(T0, *said, *([Passersby(hours=hours, by="Noor")] if hours else []))
        self.k = 0

    def open(self):
        self.journal = open_writer(self.url, mode="live")
        self.desk = Desk(self.journal, exercise=False, refusal_key=b"k" * 32, keyring=Keyring(home(self.url)))

    def enter(self, at_ns, *bodies):
        self.desk.take([Entries([own(body, source="op") for body in bodies], lambda numbers: None)], at_ns)

    def hear(self, at_ns):
        """Both in messages of their own, and both in one."""
        ais = codec.load("ais")
        self.k += 1
        place = {"lat_deg": 51.9 + self.k * 2e-4, "time_ns": at_ns, "speed_mps": 2.2, "course_deg": 0.0}
        one, other = (ais.encode(mmsi=mmsi, lon_deg=4.0 + mmsi % 10 / 100, **place) for mmsi in (WATCHED, NOBODYS))
        frames = [Frame(source="mqtt", format="ais", payload=payload, received_ns=at_ns + n, device="roof", session="s",
                        packet=4 * self.k + n) for n, payload in enumerate((one, other))]  # fmt: skip
        self.desk.take([(Source(), frames)], at_ns)

    def hours(self, since_ns, count):
        for minute in range(0, 60 * count, 5):
            self.hear(since_ns + minute * 60 * NS)

    def erased(self):
        while self.journal.tend():
            pass

    def heard(self):
        """(mmsi, hour) of each entry that can be read."""
        reader = open_reader(self.url)
        out = set()
        for entry in entries(reader):
            body = unpack(entry)
            if isinstance(body, FrameBody):
                out |= {(int(o.device), (entry.received_ns - T0) // HOUR) for o in body.observations if hasattr(o, "lat_deg")}
        reader.close()
        return out

    def verified(self):
        reader = open_reader(self.url)
        found = verify(reader, home(self.url))
        reader.close()
        return found


def test_periods_are_a_quarter_of_what_the_rule_says_and_an_hour_at_least():
    assert [ends_ns(T0, hours) - T0 for hours in (1, 4, 5, 7, 8)] == [HOUR - 600 * NS] * 4 + [ends_ns(T0, 8) - T0]
    assert ends_ns(T0, 24) % (6 * HOUR) == 0 and T0 < ends_ns(T0, 24) <= T0 + 6 * HOUR
    assert ends_ns(ends_ns(T0, 24), 24) == ends_ns(T0, 24) + 6 * HOUR  # the end is the next one's
    name = name_of(T0, T0 + HOUR)
    assert is_period(name) and span_ns(name) == (T0, T0 + HOUR) and holder_of("open", f"{name}/1") == name
    assert holder_of("A", "A/1") == "A" and holder_of("open", None) == "open" and not is_period("open")


def test_what_no_case_is_about_is_erased_when_its_hours_are_over_and_what_a_case_is_about_stays(tmp_path):
    house = House(tmp_path)
    house.hours(T0, 8)
    house.erased()
    # four hours, and what is left of the period of an hour in which the oldest of it came
    assert {hour for mmsi, hour in house.heard() if mmsi == NOBODYS} == {3, 4, 5, 6, 7}
    assert {hour for mmsi, hour in house.heard() if mmsi == WATCHED} == set(range(8))
    house.journal.checkpoint()
    found = house.verified()
    assert not found.findings and found.erased == 92
    house.journal.close()
    gone = {name for whose, name, there in Keyring(home(house.url), make=False).listed() if is_period(whose) and not there}
    assert len(gone) == 4
    said = [unpack(e) for e in entries(open_reader(house.url)) if e.kind == "erasure"]
    assert [body.by for body in said] == ["Noor"] * 4 and set().union(*[body.keys for body in said]) == gone


def test_no_byte_of_it_is_in_any_file_before_or_after(tmp_path):
    """What was heard of it lies encrypted from the first; afterwards with no key, wherever SQLite left a copy."""
    house = House(tmp_path)
    sentence = codec.load("ais").encode(mmsi=NOBODYS, lat_deg=51.9 + 2e-4, lon_deg=4.07, time_ns=T0, speed_mps=2.2,
                                        course_deg=0.0).split(b",")[5]  # fmt: skip
    house.hours(T0, 6)
    house.erased()
    house.journal.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert sentence not in data and str(NOBODYS).encode() not in data, path


def rows(path, operation=None):
    """Every row that is published, or those of an operation's tracks."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    mine = {row[0] for row in db.execute("SELECT * FROM track") if operation in (None, row[2])}
    out = [(name, *row) for name in TABLES for row in db.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]
    db.close()
    return out if operation is None else [row for row in out if row[1] in mine]


def level(following):
    while following.step() or following.anew is not None:
        pass


def a_folder(tmp_path):
    return Path(tempfile.mkdtemp(dir=tmp_path))


def folded(url, path):
    reader = open_reader(url)
    picture = Picture(reader, path, resumes=False)
    while picture.step():
        pass
    picture.finish()
    picture.close()
    reader.close()
    return path


def test_a_picture_that_follows_is_that_of_a_rebuild_and_every_row_of_a_case_stays(tmp_path, monkeypatch):
    house = House(tmp_path)
    reader = open_reader(house.url)
    following = Following(reader, tmp_path / "follows")
    monkeypatch.setattr("birddog.journal.sqlite._EMPTIED_ROWS", 5)
    for hour in range(8):
        house.hours(T0 + hour * HOUR, 1)
        house.journal.tend()  # it goes on while some are emptied
        level(following)
    with monkeypatch.context() as m:  # as it would be had nothing been erased: all the keys are there still, or some
        m.setattr("birddog.journal.sqlite_reader.SqliteReader._learn", lambda *_: None)
        whole = folded(house.url, tmp_path / "whole")
    house.erased()
    level(following)
    following.close()
    again = folded(house.url, tmp_path / "again")
    assert rows(tmp_path / "follows") == rows(again)
    assert rows(again, "A") == rows(whole, "A") and len(rows(again, "A")) > 90
    assert len(rows(again, "open")) < len(rows(whole, "open")) - 50
    house.journal.close()


def test_the_page_goes_on_while_a_picture_without_what_was_erased_is_made(tmp_path, monkeypatch):
    """Readers see every track at every moment, no number goes back, and then another store stands there."""
    monkeypatch.setattr("opsroom.following.BESIDE_ENTRIES", 7)
    house, path = House(tmp_path), tmp_path / "follows"
    reader = open_reader(house.url)
    following, page, seen, stores = Following(reader, path), PictureReader(path), 0, []
    for hour in range(8):
        house.hours(T0 + hour * HOUR, 1)
        house.erased()
        while following.step(10) or following.anew is not None:
            if page.store() not in stores:
                stores.append(page.store())
            assert page.cursor() >= seen, "a number went back"
            seen = page.cursor()
            if seen > 40:
                assert {track.operation for _, track in page.tracks()} == {"A", "open"}
            if following.anew is not None:
                with pytest.raises(PictureError, match="still has rows of what entry"):
                    rebuild(reader, path, a_folder(tmp_path))
    assert len(stores) > 3  # one a period
    assert all(differ == 0 for _, differ in rebuild(reader, path, a_folder(tmp_path)).values())
    page.close()
    following.close()
    reader.close()
    house.journal.close()
    assert sorted(file.name for file in tmp_path.glob("follows*")) == ["follows"]


def test_a_picture_that_is_made_beside_outlives_a_kill_and_is_thrown_away_with_an_erased_case(tmp_path, monkeypatch):
    monkeypatch.setattr("opsroom.following.BESIDE_ENTRIES", 7)
    monkeypatch.setattr("opsroom.picture.SNAPSHOT_ENTRIES", 20)
    house, path = House(tmp_path), tmp_path / "follows"
    reader = open_reader(house.url)
    following = Following(reader, path)
    house.hours(T0, 6)
    while not (following.step() == 0 and following.anew is not None and following.anew.cursor > 70):
        house.erased()
    killed = following.anew.published
    following.close()  # nothing was saved, as after a kill
    again = Following(reader, path)
    while again.anew is None:
        again.step(1)
    assert again.anew.published >= killed > 70
    while again.anew is not None:
        again.step()
    assert all(differ == 0 for _, differ in rebuild(reader, path, a_folder(tmp_path)).values())
    house.hours(T0 + 6 * HOUR, 1)
    house.erased()
    while again.step() or again.anew is None:
        pass
    house.enter(T0 + 8 * HOUR, Operation(operation="A", closed=True), Erasure(erased="A", by="Noor"))
    while again.step() or again.anew is not None:
        assert again.anew is None or again.anew.store.path.exists()
    assert {track.operation for _, track in PictureReader(path).tracks()} == {"open"}
    assert all(differ == 0 for _, differ in rebuild(reader, path, a_folder(tmp_path)).values())
    again.close()
    assert sorted(file.name for file in tmp_path.glob("follows.anew*")) == []


def test_what_is_exported_while_another_picture_is_made_has_nothing_of_what_was_erased(tmp_path, capsys):
    house = House(tmp_path)
    house.hours(T0, 5)
    house.journal.checkpoint()
    path = home(house.url).picture
    reader = open_reader(house.url)
    following = Following(reader, path)
    level(following)
    house.hours(T0 + 5 * HOUR, 1)
    house.erased()
    while not following.picture.due:
        following.picture.step()
    following.close()
    with derived(house.url) as found:
        assert rows(found.view.path) == rows(folded(house.url, tmp_path / "again"))
    assert "still has rows of what entry" in capsys.readouterr().err
    house.journal.close()


def test_a_kill_while_it_is_emptied_is_gone_on_with_and_reads_as_erased_from_the_entry_on(tmp_path, monkeypatch):
    house = House(tmp_path)
    house.hours(T0, 6)
    monkeypatch.setattr("birddog.journal.sqlite._EMPTIED_ROWS", 5)
    assert house.journal.tend()
    assert {hour for mmsi, hour in house.heard() if mmsi == NOBODYS} == {1, 2, 3, 4, 5}
    assert not house.verified().findings  # a writer is at it
    house.journal._let_go()  # a kill
    house.open()
    house.erased()
    assert not house.journal.tend()
    house.journal.checkpoint()
    found = house.verified()
    assert not found.findings and found.erased == 44
    house.hours(T0 + 6 * HOUR, 2)
    house.erased()
    assert {hour for mmsi, hour in house.heard() if mmsi == NOBODYS} == {3, 4, 5, 6, 7}
    house.journal.close()


def test_a_kill_behind_the_last_entry_and_before_its_key_is_no_fault(tmp_path, monkeypatch):
    """A running system is seen so as well: what is emptied between commits has its key destroyed behind the last of it."""
    house = House(tmp_path)
    house.hours(T0, 6)
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr("birddog.journal.keys.Keys.destroy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        house.erased()
    found = house.verified()
    assert not found.findings and found.keys_under_way == 1
    house.journal._let_go()  # a kill
    house.open()
    house.erased()
    found = house.verified()
    assert not found.findings and not found.keys_under_way
    house.journal.close()


def test_a_start_within_a_period_goes_on_with_its_key(tmp_path):
    house = House(tmp_path)
    house.hear(T0)
    house.journal.close()
    house.open()
    house.hear(T0 + 60 * NS)
    house.journal.close()
    assert len([name for name in Keyring(home(house.url), make=False).there() if is_period(name)]) == 1


def test_without_a_rule_nothing_is_another_way_than_before(tmp_path):
    house = House(tmp_path, hours=0)
    house.hours(T0, 1)
    house.enter(T0 + HOUR, Passersby(hours=2))
    house.hear(T0 + HOUR + NS)
    house.enter(T0 + HOUR + 2 * NS, Passersby(hours=0))
    house.hear(T0 + HOUR + 3 * NS)
    rows = [row for row in house.journal.rows(0) if row.kind == "frame" and row.operation == "open"]
    assert [row.key_id is not None for row in rows] == [False] * 24 + [True] * 2 + [False] * 2
    house.journal.close()


def test_a_full_disk_while_it_is_emptied_is_tried_again(tmp_path, monkeypatch):
    from birddog.errors import JournalFull

    house = House(tmp_path)
    house.hours(T0, 6)
    monkeypatch.setattr(type(house.journal), "_emptied", lambda *_: (_ for _ in ()).throw(JournalFull("full")))
    assert house.journal.tend() is False
    monkeypatch.undo()
    house.erased()
    assert not house.verified().findings
    monkeypatch.setattr(type(house.journal), "_emptied", lambda *_: (_ for _ in ()).throw(JournalTrouble("gone")))
    house.hours(T0 + 6 * HOUR, 1)
    with pytest.raises(JournalTrouble):
        house.journal.tend()
    house.journal._let_go()


def test_a_clock_that_was_a_month_ahead_and_is_set_back_keeps_nothing_for_that_month(tmp_path):
    house = House(tmp_path)
    passing = house.desk._passing
    passing.at(T0 + 720 * HOUR)
    ahead = passing.period
    passing.at(T0)
    assert span_ns(passing.period)[1] == ends_ns(T0, 4) and passing.period != ahead
    passing.at(T0 + 60 * NS)
    assert span_ns(passing.period)[1] == ends_ns(T0, 4)
    house.journal.close()


def test_what_came_in_by_a_clock_that_was_ahead_is_emptied_as_well_when_that_time_has_come(tmp_path):
    """Its entries lie before those of periods that were over long before; idents could be tried out."""
    house = House(tmp_path)
    house.hours(T0 + 720 * HOUR, 1)  # a month ahead
    clock = house.desk.clock
    clock._set_back, clock.now_ns, clock._wall_ns = (clock.now_ns, T0), T0, T0  # the devices said so
    house.hours(T0, 6)
    house.erased()
    house.journal._let_go()  # a kill
    house.open()
    for hours in (720, 727):
        house.hours(T0 + hours * HOUR, 1)
        house.erased()
    assert {hour for mmsi, hour in house.heard() if mmsi == NOBODYS} == {727}
    found = house.verified()
    assert not found.findings and not found.under_way
    house.journal.close()


def test_an_entry_that_claims_a_period_of_no_time_erases_nothing(tmp_path):
    house = House(tmp_path)
    house.hear(T0)
    house.enter(T0 + NS, Erasure(erased="open@yesterday", keys=("open@yesterday/1",)))
    assert not house.journal.tend() and {mmsi for mmsi, _ in house.heard()} == {WATCHED, NOBODYS}
    house.journal.close()


def test_what_is_seen_while_reports_are_erased_is_no_dark_vessel(tmp_path):
    """Each vessel of an erased hour would be one, when the picture is made anew."""

    def look(at_ns, n):
        seen = Sighting(device="sat", time_ns=at_ns, lat_deg=51.9 + 2e-4, lon_deg=4.07, r_ee=100.0, r_en=0.0, r_nn=100.0)
        flag = Flag(flag_id=f"f{n}", detector="cfar", score=30.0, pfa=1e-6, col=0.0, row=0.0, bbox_px=(0, 0, 1, 1),
                    lat_deg=51.9 + 2e-4, lon_deg=4.07)
        ring = ((4.0, 51.8), (4.2, 51.8), (4.2, 52.0), (4.0, 52.0), (4.0, 51.8))
        return Scan(scan_id=f"s{n}", sensor="sat", time_ns=at_ns, scene_name="a.tif", footprint=ring, pd=0.9,
                    clutter_per_km2=0.001, flags=(flag,), sightings=(seen,))

    def dark(house):
        reader, fold = open_reader(house.url), Fold()
        found = [(e.kind, entry.seq) for entry in entries(reader) for e in fold.apply(entry).events if e.kind == "dark_vessel"]
        reader.close()
        return found

    house = House(tmp_path)
    house.hear(T0)
    house.enter(T0 + 10 * NS, look(T0 + 10 * NS, 1))
    assert dark(house) == []  # it reports
    house.hours(T0 + 5 * HOUR, 1)
    house.erased()
    assert NOBODYS not in {mmsi for mmsi, hour in house.heard() if hour == 0}
    assert dark(house) == []
    house.enter(T0 + 7 * HOUR, look(T0 + 7 * HOUR, 2))  # and later it does not
    assert len(dark(house)) == 1
    house.journal.close()
