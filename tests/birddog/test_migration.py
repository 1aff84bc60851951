"""A journal of an older version: read as it is, refused for work with one line, migrated in one transaction."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from birddog.directory import OPEN
from birddog.errors import JournalError, JournalHeld
from birddog.geo import distance_m
from birddog.journal import entries, home, migrate, open_reader, open_writer
from birddog.journal.sqlite_file import SCHEMA_VERSION
from birddog.model import FrameBody, RefusalBody, Verdict, unpack
from birddog.units import NS
from tracking.fold import Fold

OLD = Path(__file__).parents[1] / "journals"
JOURNALS = ("v1", "live-v1")
#: Stops at an entry, says so and waits to be killed.
STOP_AT = """
import sys, time
from birddog.journal import migrate
from birddog.journal.upgrade import Upgrade
entry = Upgrade.entry
def slow(self, row):
    if row.seq == int(sys.argv[2]):
        print("now", flush=True)
        time.sleep(600)
    return entry(self, row)
Upgrade.entry = slow
import birddog.journal.sqlite as store
store._ROWS = 10
migrate(sys.argv[1])
"""


def copied(tmp_path: Path, name: str) -> str:
    path = tmp_path / f"{name}.db"
    shutil.copy(OLD / f"{name}.db", path)
    if (OLD / f"{name}.head").exists():
        shutil.copy(OLD / f"{name}.head", home(f"sqlite:///{path}").head)
    return f"sqlite:///{path}"


def rows(url: str) -> list[tuple]:
    db = sqlite3.connect(home(url).base)
    found = db.execute("SELECT seq, kind, received_ns, source, ident, body, operation FROM entry ORDER BY seq").fetchall()
    db.close()
    return found


def version(url: str) -> int:
    reader = open_reader(url, older=True)
    found = reader.version
    reader.close()
    return found


@pytest.mark.parametrize("name", JOURNALS)
def test_an_older_journal_is_refused_in_one_line_that_says_what_to_do(tmp_path, name):
    url = copied(tmp_path, name)
    with pytest.raises(JournalError, match=rf"version 1; .*: birddog journal migrate --journal {url}$"):
        open_reader(url)
    mode = "live" if name == "live-v1" else open_reader(url, older=True).mode
    with pytest.raises(JournalError, match="birddog journal migrate"):
        open_writer(url, mode=mode)
    assert version(url) == 1


@pytest.mark.parametrize("name", JOURNALS)
def test_migrated_it_says_whose_each_observation_is_and_keeps_all_else(tmp_path, name):
    url = copied(tmp_path, name)
    before, counts = rows(url), open_reader(url, older=True).counts()
    done = migrate(url)
    assert (done.version, done.now, done.entries, done.damaged) == (1, SCHEMA_VERSION, len(before), 0)
    after = rows(url)
    assert [row[:5] for row in after] == [row[:5] for row in before]  # number, kind, time, source, ident
    reader = open_reader(url)
    assert reader.counts() == counts and not reader.disagreement()
    for entry, old in zip(entries(reader), before, strict=True):
        body = unpack(entry)
        if isinstance(body, FrameBody | RefusalBody):
            assert len(body.verdicts) == len(body.observations)
            assert all(v.state in ("admitted", "open") for v in body.verdicts)
        else:
            assert entry.body == old[5]
    assert migrate(url).version == SCHEMA_VERSION  # again: nothing to do
    assert rows(url) == after


def test_a_migrated_journal_has_the_columns_and_the_indexes_of_a_new_one(tmp_path):
    url, new = copied(tmp_path, "v1"), f"sqlite:///{tmp_path}/new.db"
    migrate(url)
    open_writer(new, mode="live").close()

    def shape(url: str) -> list[tuple]:
        db = sqlite3.connect(home(url).base)
        found = [db.execute(f"PRAGMA table_info({table})").fetchall() for table in ("entry", "counter", "session", "meta")]
        found.append(db.execute("SELECT name, tbl_name, replace(replace(sql, '\n    ', ' '), '  ', ' ') FROM sqlite_master"
                                " WHERE type = 'index' AND sql IS NOT NULL ORDER BY name").fetchall())  # fmt: skip
        db.close()
        return found

    assert shape(url) == shape(new)


def test_the_verdicts_are_those_of_the_door(tmp_path):
    """A gateway's vessels of two cases, a tag that is nobody's, what everybody hears, a clock that was refused."""
    url = copied(tmp_path, "live-v1")
    migrate(url)
    reader = open_reader(url)
    found: dict[str, set] = {}
    for entry in entries(reader):
        body = unpack(entry)
        if isinstance(body, FrameBody | RefusalBody):
            for o, verdict in zip(body.observations, body.verdicts, strict=True):
                found.setdefault(getattr(o, "epc", o.device), set()).add(verdict)
            for r in body.rejects:
                if r.reason == "clock":
                    assert r.verdict == Verdict("B", "crate", "warrant")
            whose = {verdict.operation for verdict in body.verdicts}
            assert len(whose) != 1 or whose == {entry.operation}
    assert found == {
        "244000001": {Verdict("A", "one", "open", "open")}, "244000002": {Verdict("B", "two", "open", "open")},
        "244000099": {Verdict(OPEN, "", "open", "open")}, "mast": {Verdict(OPEN, "", "own_sensor")},
        "phone": {Verdict("A", "van", "warrant")}, "clocky": {Verdict("B", "crate", "warrant")},
        "urn:epc:tag:sgtin-96:1.0614141.812345.400": {Verdict("A", "van", "warrant")},
        "urn:epc:tag:sgtin-96:1.0614141.812345.999": {Verdict()},
    }  # fmt: skip
    assert [e.actor for e in entries(reader) if e.actor] == ["Noor"]


@pytest.mark.parametrize("name", JOURNALS)
def test_its_rebuild_gives_what_version_1_gave(tmp_path, name):
    """Against the picture that the program of that day made (tests/journals/README.md): who, where and when; ids are new."""
    url = copied(tmp_path, name)
    migrate(url)
    fold, tracks, events = Fold(), {}, set()
    for entry in entries(open_reader(url)):
        changes = fold.apply(entry)
        tracks |= {t.track_id: t for t in changes.tracks}
        events |= {(e.kind, e.operation, e.device) for e in changes.events}
    then = json.loads((OLD / f"{name}.json").read_text())
    now = sorted(tracks.values(), key=lambda t: (t.operation, list(t.identities)))
    # to the second: an AIS report stands at its own second now (docs/decisions/0011)
    assert [(t.operation, t.name, list(t.identities), t.updated_ns // NS) for t in now if t.status != "deleted"] == [
        (t["operation"], t["name"], t["identities"], t["updated_ns"] // NS) for t in then["tracks"]
    ]  # fmt: skip
    for t, old in zip(now, then["tracks"], strict=True):
        assert distance_m(lat1_deg=t.lat_deg, lon1_deg=t.lon_deg, lat2_deg=old["lat_deg"], lon2_deg=old["lon_deg"]) < 100.0
    assert events >= {tuple(e) for e in then["events"]}


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize("at", [1, 60])
def test_a_kill_in_the_middle_leaves_it_as_it_was(tmp_path, name, at):
    url = copied(tmp_path, name)
    before = rows(url)
    with subprocess.Popen([sys.executable, "-c", STOP_AT, url, str(at)], stdout=subprocess.PIPE) as migrating:
        assert migrating.stdout is not None and migrating.stdout.readline() == b"now\n"
        with pytest.raises(JournalHeld):
            migrate(url)
        migrating.send_signal(signal.SIGKILL)
        migrating.wait()
    assert version(url) == 1 and rows(url) == before
    assert migrate(url).entries == len(before)
    assert version(url) == SCHEMA_VERSION and not open_reader(url).disagreement()


def test_a_damaged_entry_stays_as_it_was(tmp_path):
    url = copied(tmp_path, "v1")
    with sqlite3.connect(home(url).base) as db:
        db.execute("UPDATE entry SET body = x'c1' WHERE seq = 50")
    db.close()
    assert migrate(url).damaged == 1
    assert rows(url)[49][5] == b"\xc1"


def test_it_goes_on_where_it_stood(tmp_path):
    url = copied(tmp_path, "live-v1")
    migrate(url)
    last = open_reader(url).last_seq()
    from ingest import control

    assert control.enter(url, [], source="test") == []
    writer = open_writer(url, mode="live")
    assert writer.last_seq() == last
    writer.close()


MANY = 1500


def grown(path: Path) -> str:
    """A version-1 journal of a size at which SQLite moves rows from page to page, each with a mark of its own."""
    import os

    import msgspec

    from birddog.model import pack

    shutil.copy(OLD / "v1.db", path)
    db = sqlite3.connect(path, isolation_level=None)
    row = db.execute("SELECT body, received_ns, source FROM entry WHERE kind = 'frame' AND operation = 'OP' LIMIT 1").fetchone()
    body = msgspec.msgpack.decode(row[0], type=FrameBody)
    last = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
    db.execute("BEGIN")
    for k in range(MANY):
        one = msgspec.structs.replace(body, payload=b"MARK%06d" % k + b"x" * (k * 7 % 900))
        values = (last + 1 + k, "frame", row[1] + k, "OP", row[2], b"id%06d" % k + os.urandom(8), pack(one))
        columns = "seq, kind, received_ns, operation, source, ident, body"
        db.execute(f"INSERT INTO entry ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    db.execute("COMMIT")
    db.close()
    return f"sqlite:///{path}"


def test_of_what_is_erased_after_a_migration_no_byte_is_left_in_any_file(tmp_path):
    """What was moved while it was migrated lay in free pages, and in the free part of pages that are used."""
    from birddog.model import Erasure, Operation, Tick
    from ingest.control import own

    def marks() -> int:
        return sum(path.read_bytes().count(b"MARK") for path in tmp_path.rglob("*") if path.is_file())

    url = grown(tmp_path / "j.db")
    migrate(url)
    assert marks() == MANY  # each once, and no copy of it
    reader = open_reader(url)
    mode, before = reader.mode, [row for row in reader.read(0, 10_000) if row.operation != "OP"]
    reader.close()
    writer = open_writer(url, mode=mode)
    said = [own(Operation(operation="OP", closed=True), source="t"), own(Erasure(erased="OP"), source="t")]
    writer.append(said)
    assert marks() == 0  # while it is still being written
    writer.append([own(Tick(), source="t")])
    writer.close()
    assert marks() == 0
    reader = open_reader(url)
    after = [row for row in reader.read(0, 10_000) if row.operation != "OP"]
    assert after[: len(before)] == before and reader.disagreement() == ""
    reader.close()
    open_writer(url, mode=mode).close()


def test_of_a_journal_without_a_log_no_byte_of_what_is_erased_is_left(tmp_path):
    from birddog.model import Draft, Erasure, pack
    from ingest.control import own

    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live", log=False)
    for first in range(0, MANY, 50):
        writer.append([Draft(kind="frame", received_ns=NS + k, source="t", ident=b"%d" % k, operation="OP", body=pack(FrameBody(
            format="owntracks", version=1, payload=b"MARK%06d" % k + b"x" * (k * 7 % 900), device="d", channel="c",
            observations=()))) for k in range(first, first + 50)])  # fmt: skip
    writer.append([own(Erasure(erased="OP"), source="t")])
    writer.close()
    assert not any(b"MARK" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
