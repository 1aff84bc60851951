"""What is of one operation can be taken out of the journal, and every row of the others stays byte for byte."""

from __future__ import annotations

import json
import shutil
import sqlite3

import msgspec
import pytest

from birddog.directory import REGISTERS
from birddog.journal import entries, home, open_reader, open_writer
from birddog.model import (
    Attachment,
    Device,
    Frame,
    Operation,
    Placement,
    Start,
)
from birddog.units import NS
from devices import codec
from ingest.control import own
from ingest.desk import Desk
from ingest.intake import Entries
from opsroom import cli
from opsroom.picture import Picture
from opsroom.picture_store import TABLES
from opsroom.rebuilding import make
from tracking.fold import Fold

T0 = 1_790_000_000 * NS


class Source:
    name = "mqtt"

    def acknowledge(self, results):
        assert {r.outcome for r in results} == {"stored"}


@pytest.fixture
def journal(tmp_path):
    writer = filled(tmp_path)
    yield writer
    writer.close()


def filled(tmp_path):
    """A receiver that hears two watched vessels and a third in one message, and a phone of each case."""
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    desk = Desk(writer, exercise=False, refusal_key=b"k" * 32)
    said = [
        Start(version="x", presets={}), Operation(operation="A"), Operation(operation="B"),
        Device(device="roof", basis="open", format="ais"), Device(device="gate", basis="own_sensor"),
        Placement(device="gate", lat_deg=51.9, lon_deg=4.0, range_m=20.0),
        *[Device(device=name) for name in ("244000001", "244000002", "phone-a", "phone-b")],
        Attachment(device="244000001", shipment="hull-a", operation="A", from_ns=0),
        Attachment(device="244000002", shipment="hull-b", operation="B", from_ns=0),
        Attachment(device="phone-a", shipment="van", operation="A", from_ns=0),
        Attachment(device="phone-b", shipment="car", operation="B", from_ns=0),
    ]  # fmt: skip
    desk.take([Entries([own(body, source="op") for body in said], lambda numbers: None)], T0)
    ais, phone = codec.load("ais"), codec.load("owntracks")
    for k in range(1, 20):
        at = T0 + k * 10 * NS
        place = {"lat_deg": 51.9 + k * 2e-4, "time_ns": at, "speed_mps": 2.2, "course_deg": 0.0}
        heard = b"".join(ais.encode(mmsi=244000001 + i, lon_deg=4.0 + i / 100, **place) for i in range(3))
        frames = [Frame(source="mqtt", format="ais", payload=heard, received_ns=at, device="roof", session="s", packet=k)]
        for n, name in enumerate(("phone-a", "phone-b")):
            payload = phone.encode(time_ns=at, lat_deg=51.93 + k * 1e-4, lon_deg=4.05 + n / 10, accuracy_m=8)
            frames.append(Frame(source="mqtt", format="owntracks", payload=payload, received_ns=at, device=name, session="s",
                                packet=k))  # fmt: skip
        desk.take([(Source(), frames)], at)
        desk.tick(at + 1)
    return writer


def rows_of(journal, *, without):
    """The picture's rows of the other operations, as they are published."""
    fold, out = Fold(), []
    for entry in entries(journal):
        if entry.operation == without and entry.kind not in REGISTERS:
            continue  # its number, time and kind stay, its body is gone
        changes = fold.apply(entry)
        for row in (*changes.tracks, *changes.points, *changes.events):
            out.append((entry.seq, getattr(row, "operation", None), msgspec.json.encode(row)))
    return out


@pytest.mark.parametrize("erased", ["A", "B"])
def test_erasing_the_bodies_of_one_operation_leaves_every_row_of_the_others(journal, erased):
    whole, left = rows_of(journal, without=None), rows_of(journal, without=erased)
    others = {row for row in whole if row[1] is not None and row[1] != erased}
    assert {row for row in left if row[1] is not None} == others
    assert {row[1] for row in others} == {"A", "B", "open"} - {erased}


@pytest.mark.parametrize("name", ["A", "B"])
def test_no_entry_of_another_operation_holds_a_byte_of_it(journal, name):
    """Its vessel stands in ``open`` too, as everybody hears it; that it is watched, and its phone, stand nowhere else."""
    words = {"A": (b"phone-a", b"hull-a", b"van"), "B": (b"phone-b", b"hull-b", b"car")}[name]
    for entry in entries(journal):
        if entry.operation != name and entry.kind not in REGISTERS:
            assert not any(word in entry.body for word in words), (entry.seq, entry.operation)


def files_with(folder, *words):
    """Files that hold one of some words, whatever they are."""
    held = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path.name: word for path, data in held.items() for word in words if word in data}


WORDS = {"A": (b"phone-a", b"hull-a", b"Nachtigall"), "B": (b"phone-b", b"hull-b", b"Feldlerche")}


def fields_of(picture):
    """Every row of a derived store but those of one operation."""
    db = sqlite3.connect(f"file:{picture}?mode=ro", uri=True)
    rows = {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    db.close()
    return rows


@pytest.mark.parametrize("erased", ["A", "B"])
def test_an_erased_operation_is_in_no_file_and_every_row_of_the_others_stays(tmp_path, capsys, erased):
    """By the command, with a picture that stands at the journal's end, and one that is folded from the beginning."""
    journal, url, other = filled(tmp_path), f"sqlite:///{tmp_path}/j.db", "B" if erased == "A" else "A"
    named = [Operation(operation="A", name="Nachtigall", closed=True), Operation(operation="B", name="Feldlerche", closed=True)]
    desk = Desk(journal, exercise=False, refusal_key=b"k" * 32)
    desk.take([Entries([own(body, source="op") for body in named], lambda numbers: None)], T0 + 10**12)
    journal.close()
    reader = open_reader(url)
    make(reader, home(url).picture)
    untouched = tmp_path / "untouched"
    shutil.copytree(tmp_path, untouched, ignore=shutil.ignore_patterns("untouched", "*.picture*"))
    follows = Picture(reader, tmp_path / "follows")
    while follows.step():
        pass
    assert {name.removesuffix("-wal") for name in files_with(tmp_path, WORDS[erased][1])} == {"j.db.picture", "follows"}
    assert cli.main(["operation", "erase", erased, "--journal", url, "--actor", "Noor"]) == 0
    assert not home(url).picture.exists()
    while follows.step():
        pass
    follows.close()
    before = without_erasing(untouched)
    shutil.rmtree(untouched)
    # what devices are enrolled is of no case; what they sent, and what they were hidden in, is gone
    assert files_with(tmp_path, *WORDS[erased][1:]) == {}
    assert not any(b'"_type":"location"' in (tmp_path / name).read_bytes() for name in ("j.db", "j.db.head", "follows"))
    make(reader, home(url).picture)
    reader.close()
    after = fields_of(home(url).picture)
    assert after == fields_of(tmp_path / "follows")
    operations = {row[0]: row[2] for row in before["track"]}
    assert set(operations.values()) == {"A", "B", "open"}
    for table in TABLES:
        rows = [row for row in before[table] if (operations[row[0]] if table == "point" else row[2]) != erased]
        assert rows == after[table], table
    assert len(after["point"]) > 20 and {row[2] for row in after["track"]} == {other, "open"}
    capsys.readouterr()
    assert cli.main(["journal", "verify", "--journal", url]) == 0
    assert cli.main(["rebuild", "--journal", url]) == 0
    assert cli.main(["journal", "export", "--journal", url]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    [said] = [line["body"] for line in lines if line["kind"] == "erasure"]
    assert said == {"erased": erased, "by": "Noor", "keys": [f"{erased}/1"]}
    assert {line["operation"] for line in lines if line.get("erased")} == {erased}


def without_erasing(folder):
    """The picture as it would be had nothing been erased; that something was is no time that goes on (``TIMELESS``)."""
    url = f"sqlite:///{folder}/j.db"
    reader = open_reader(url)
    make(reader, home(url).picture)
    reader.close()
    return fields_of(home(url).picture)


def test_what_is_open_or_was_never_there_is_not_erased(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"
    filled(tmp_path).close()
    assert cli.main(["operation", "erase", "A", "--journal", url]) == 2
    assert "birddog operation close A" in capsys.readouterr().err
    assert cli.main(["operation", "erase", "Z", "--journal", url]) == 2
    assert "no operation 'Z'" in capsys.readouterr().err
