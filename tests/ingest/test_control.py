"""The local socket: entries of operators reach the one writer, live or where nobody writes."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from birddog.errors import JournalError, UsageError
from birddog.journal import Home, open_reader, open_writer
from birddog.model import (
    Attachment,
    Decision,
    Denial,
    Device,
    Operation,
    Placement,
    Scan,
    Sighting,
    Tick,
    UsedWays,
    Zone,
    pack,
    unpack,
)
from ingest import control
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.writer import Settings, WriterThread


@pytest.fixture
def running(tmp_path):
    """A writer thread with its socket: (path, url)."""
    path = tmp_path / "j.db"
    url = f"sqlite:///{path}"
    intake = Intake()
    failures = []
    desk = Desk(open_writer(url, mode="live"), exercise=False, refusal_key=b"k")
    thread = WriterThread(desk, intake, Settings(), failures.append)
    thread.start()
    server = control.ControlServer(Home(path), intake)
    server.start()
    yield path, url
    server.stop()
    thread.stop()
    thread.join(10)
    desk.journal.close()
    assert not thread.is_alive() and not failures


def test_entries_reach_a_running_writer_once(running):
    path, url = running
    wanted = [control.wanted(Operation(operation="A"), source="t"), control.wanted(Device(device="d"), source="t")]
    assert control.ask(Home(path), wanted) == [1, 2]
    assert control.ask(Home(path), wanted) == [0, 0]
    assert control.enter(url, [Operation(operation="B")], source="t") == [3]
    reader = open_reader(url)
    assert [unpack(e).__class__.__name__ for e in reader.read(0)] == ["Operation", "Device", "Operation"]
    assert all(e.received_ns > 0 for e in reader.read(0))
    reader.close()


def test_only_the_owner_may_open_the_socket(running):
    path, _ = running
    assert stat.S_IMODE(os.stat(Home(path).socket).st_mode) == 0o600


def test_many_at_once(running):
    path, _ = running
    got: list[int] = []

    def one(i: int) -> None:
        got.extend(control.ask(Home(path), [control.wanted(Operation(operation=f"O{i}"), source="t")]))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert sorted(got) == list(range(1, 21))


def test_a_full_queue_is_waited_for(tmp_path):
    """Of 60 that asked at once 41 were told that the writer did not answer, and not whether anything was written."""
    journal = Home(tmp_path / "j.db")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(journal.socket))
        server.listen(0)
        first = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        first.connect(str(journal.socket))  # the queue is full
        with first, ThreadPoolExecutor() as pool:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as another, pytest.raises(BlockingIOError):
                another.setblocking(False)
                another.connect(str(journal.socket))
            asking = pool.submit(control.ask, journal, [control.wanted(Operation(operation="A"), source="t")])
            server.accept()[0].close()
            connection, _ = server.accept()
            with connection:
                control._receive(connection)
                control._send(connection, msgspec.msgpack.encode([7]))
            assert asking.result(30) == [7]


@pytest.mark.parametrize("request_bytes,said", [
    (b"\xc1", "malformed"), (b"\x91\x81\xa1x" + b"\x91" * 5000, "unknown field"),
    (msgspec.msgpack.encode([control.Wanted("operation", "t", b"n", b"\x82\xa9operation\xa1A\xa1x" + b"\x91" * 5000)]),
     "recursion"),
    (msgspec.msgpack.encode([control.Wanted("operation", "t", b"n", b"\x81\xa9operation\xa2\xff\xff")]), "utf-8"),
    (msgspec.msgpack.encode([1]), "Expected"),
    (msgspec.msgpack.encode([control.Wanted("tick", "t", b"n", pack(Tick()))]), "by the desk only"),
    (msgspec.msgpack.encode([control.Wanted("operation", "t", b"n", b"\x80")]), "body of this 'operation'"),
])
def test_a_wrong_request_is_answered_and_writes_nothing_of_it(running, request_bytes, said):
    path, url = running
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(Home(path).socket))
        s.sendall(struct.pack(">I", len(request_bytes)) + request_bytes)
        (length,) = struct.unpack(">I", s.recv(4))
        assert said in msgspec.msgpack.decode(s.recv(length), type=str)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(Home(path).socket))
        s.sendall(b"\x00\x00")
    assert control.ask(Home(path), [control.wanted(Operation(operation="still up"), source="t")])
    reader = open_reader(url)
    entries = reader.read(0)
    reader.close()
    assert entries[-1].kind == "operation"
    assert [unpack(e) for e in entries[:-1]] == ([] if said in ("malformed", "unknown field", "Expected") else [
        Denial(wanted="tick", reason="kind") if said == "by the desk only" else Denial(wanted="operation", reason="body")])


def test_what_was_asked_for_and_refused_names_who_asked_and_for_what(running):
    path, url = running
    for kind, operation in (("start", "NIGHTJAR"), ("51.5, 4.2", "a\nb")):
        asked = control.Wanted(kind, "console", b"n", pack(Tick()), operation, "Noor")
        with pytest.raises(JournalError, match="by the desk only"):
            control.ask(Home(path), [asked])
    reader = open_reader(url)
    found = [(e.kind, e.actor, e.operation, unpack(e)) for e in reader.read(0)]
    assert reader.counts().frames == 0
    reader.close()
    assert found == [("denial", "Noor", "NIGHTJAR", Denial(wanted="start", reason="kind")),
                     ("denial", "Noor", "", Denial(wanted="", reason="kind"))]


def test_what_is_refused_names_who_asked_also_where_nobody_writes(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    open_writer(url, mode="live").close()
    with pytest.raises(control.Denied, match="no case"):
        control.enter(url, [Operation(operation="open")], source="t", actor="Noor")
    reader = open_reader(url)
    found = [(e.kind, e.actor, e.operation, unpack(e)) for e in reader.read(0)]
    reader.close()
    assert found == [("denial", "Noor", "open", Denial(wanted="operation", reason="body"))]


def test_what_is_refused_and_asked_for_again_changes_nothing(running):
    """Who had no answer asks again, with the same nonce; another's request, or with another nonce, is another."""
    path, url = running
    for nonce, actor in ((b"n", "Noor"), (b"n", "Noor"), (b"m", "Noor"), (b"n", "Ann")):
        with pytest.raises(JournalError, match="by the desk only"):
            control.ask(Home(path), [control.Wanted("start", "console", nonce, pack(Tick()), "NIGHTJAR", actor)])
    reader = open_reader(url)
    found = [(e.kind, e.actor) for e in reader.read(0)]
    reader.close()
    assert found == [("denial", "Noor"), ("denial", "Noor"), ("denial", "Ann")]


@pytest.mark.parametrize("nonce", [b"", b"x" * 33, b"x" * 100_000], ids=["none", "33", "100000"])
def test_a_nonce_that_names_nothing_or_is_too_long_is_refused_before_it_is_written(running, nonce):
    """A long one was committed, and the writer fell over it after the commit, for ever; two empty ones were one request."""
    path, url = running
    asked = control.Wanted("operation", "t", nonce, pack(Operation(operation="X")), "X", "Noor")
    with pytest.raises(JournalError, match="nonce"):
        control.ask(Home(path), [asked])
    assert control.ask(Home(path), [control.wanted(Operation(operation="still up"), source="t", nonce=b"x" * 32)]) == [2]
    reader = open_reader(url)
    entries = reader.read(0)
    reader.close()
    assert [(e.kind, e.actor) for e in entries] == [("denial", "Noor"), ("operation", "")]
    assert unpack(entries[0]) == Denial(wanted="operation", reason="nonce")


def test_an_entry_stands_under_the_operation_and_the_person_of_its_body(running):
    """Whoever erases or seals an operation finds its entries by that column, whatever the request called itself."""
    path, url = running
    attached = pack(Attachment(device="d", shipment="s", operation="HERON", from_ns=0))
    decided = pack(Decision(action="take_over", subject="T1", by="Noor", operation="HERON"))
    control.ask(Home(path), [control.Wanted("attachment", "t", b"1", attached, "NIGHTJAR", "Ann"),
                             control.Wanted("decision", "t", b"2", decided, "", "Ann"),
                             control.Wanted("device", "t", b"3", pack(Device(device="d")), "NIGHTJAR", "Ann")])
    reader = open_reader(url)
    found = [(e.kind, e.operation, e.actor) for e in reader.read(0)]
    reader.close()
    assert found == [("attachment", "HERON", "Ann"), ("decision", "HERON", "Noor"), ("device", "", "Ann")]


def test_who_asks_for_nothing_is_answered_at_once(running):
    path, _ = running
    assert control.ask(Home(path), []) == []


def test_where_nobody_writes_we_write_ourselves(tmp_path):
    path = tmp_path / "j.db"
    url = f"sqlite:///{path}"
    with pytest.raises(UsageError, match="no journal"):
        control.enter(url, [Operation(operation="A")], source="t")
    open_writer(url, mode="exercise").close()
    with pytest.raises(control.NoWriter):
        control.ask(Home(path), [])
    assert control.enter(url, [Operation(operation="A")], source="t") == [1]


def test_a_writer_that_never_answers_is_an_error_not_a_second_writer(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    url = f"sqlite:///{path}"
    writer = open_writer(url, mode="live")
    times = iter(range(0, 1000, 3))
    monkeypatch.setattr(control.time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(control.time, "sleep", lambda s: None)
    with pytest.raises(JournalError, match="another process"):
        control.enter(url, [Operation(operation="A")], source="t")
    writer.close()


def test_a_long_path_still_has_a_socket(tmp_path):
    deep = tmp_path / ("d" * 90) / "j.db"
    deep.parent.mkdir()
    path = Home(deep).socket
    assert len(os.fsencode(path)) < 100 and path.parent.stat().st_mode & 0o077 == 0


def test_a_socket_of_somebody_else_is_one_line(running, bounded):
    path, url = running
    Home(path).socket.chmod(0)
    words = [*bounded, sys.executable, "-m", "opsroom.cli", "operation", "add", "X", "--journal", url]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "Permission denied" in done.stderr and ".sock" in done.stderr


class Deaf(threading.Thread):
    """Somebody at a writer's socket who answers rubbish, or hangs up."""

    def __init__(self, path, answer: bytes):
        super().__init__(daemon=True)
        self.socket, self.answer = socket.socket(socket.AF_UNIX), answer
        self.socket.bind(str(Home(path).socket))
        self.socket.listen(1)

    def run(self):
        connection, _ = self.socket.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(self.answer)


@pytest.mark.parametrize("answer", [b"", struct.pack(">I", 3) + b"\xc1\xc1\xc1", struct.pack(">I", 0xFFFFFFFF), b"\x00\x00",
                                    struct.pack(">I", 3) + b"\xa2\xff\xff"])
def test_no_answer_can_be_told_from_a_refusal(tmp_path, answer):
    deaf = Deaf(tmp_path / "j.db", answer)
    deaf.start()
    with pytest.raises(control.NoAnswer, match="did not answer"):
        control.ask(Home(tmp_path / "j.db"), [control.wanted(Operation(operation="A"), source="t")])
    deaf.join(10)
    deaf.socket.close()


def test_a_damaged_journal_is_said_at_once_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    url = f"sqlite:///{path}"
    open_writer(url, mode="live").close()
    db = sqlite3.connect(path)
    db.execute("DROP TABLE session")
    db.execute("DROP TABLE counter")
    db.commit()
    db.close()
    monkeypatch.setattr(control.time, "sleep", lambda s: pytest.fail("waited for a writer that is not there"))
    with pytest.raises(JournalError, match="no such table: counter"):
        control.enter(url, [Operation(operation="A")], source="t")


def test_the_socket_outlives_a_moment_without_file_descriptors(running, monkeypatch):
    path, _ = running
    real, failures = socket.socket.accept, iter([OSError(24, "Too many open files")])

    def accept(self):
        for error in failures:
            raise error
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    ask = [control.wanted(Operation(operation=name), source="t") for name in "AB"]
    # the first is taken by the accept that waits already
    assert control.ask(Home(path), ask[:1]) == [1] and control.ask(Home(path), ask[1:]) == [2]
    assert list(failures) == []


RING = ((4.0, 51.0), (4.1, 51.0), (4.1, 51.1), (4.0, 51.1), (4.0, 51.0))
BOW = ((4.0, 51.0), (4.1, 51.1), (4.1, 51.0), (4.0, 51.1), (4.0, 51.0))
SEEN = Sighting(device="sar", time_ns=1, lat_deg=51.0, lon_deg=4.0, r_ee=1.0, r_en=0.0, r_nn=1.0)
LOOK = Scan(scan_id="s", sensor="sar", time_ns=1, footprint=RING, pd=0.9, clutter_per_km2=0.1, sightings=(SEEN,))
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("body,said", [
    (Operation(operation="open"), "operation: 'open'"),
    (Operation(operation=""), "operation: says nothing"),
    (Operation(operation=" "), "operation: says nothing"),
    (Operation(operation="A\nB"), "operation: a line break"),
    (Operation(operation="x" * 501), "operation: 501 characters"),
    (Operation(operation="A", name="n" * 4001), "name: 4001 characters"),
    (Operation(operation="A", name="a\x1b[2J"), "name: a line break"),
    (Operation(operation="A", area=BOW), "area: crosses itself"),
    (Operation(operation="A", area=RING[:3]), "area: a ring of at least four positions"),
    (Operation(operation="A", area=RING[:4]), "area: not closed"),
    (Operation(operation="A", area=((4.0, NAN), *RING[1:])), "area[0][1]: nan is no finite number"),
    (Operation(operation="A", area=((4.0, 91.0), *RING[1:])), "area[0]: no position on Earth"),
    (Operation(operation="A", zones=(Zone(name="", points=RING),)), "zones[0].name: says nothing"),
    (Operation(operation="A", zones=(Zone(name="quay", points=BOW),)), "zones[0].points: crosses itself"),
    (Operation(operation="A", zones=(Zone(name="road", points=RING[:1], half_width_m=5.0),)), "zones[0].points: a line"),
    (Operation(operation="A", zones=(Zone(name="quay", points=RING, dwell_s=INF),)), "zones[0].dwell_s: inf"),
    (Operation(operation="A", zones=(Zone(name="line", points=RING[:1], role="gate"),)), "zones[0].points: a line"),
    (Operation(operation="A", zones=(Zone(name="port", points=RING, half_width_m=5.0, role="port"),)), "zones[0].half_width_m"),
    (UsedWays(archive_sha256="a", cell_m=2000.0, cells=b"1" * 8, moved=b"11", stood=b"1", quartile=b"11", sectors=b"1" * 8),
     "stood: 1 bytes, 2 were expected for 1 cells"),
    (UsedWays(archive_sha256="a", cell_m=2.0, cells=b"", moved=b"", stood=b"", quartile=b"", sectors=b""), "cells: at most"),
    (Device(device="d", interval_s=NAN), "interval_s: nan is no finite number"),
    (Device(device="d", interval_s=-1.0), "interval_s: -1.0 is less than nothing"),
    (Device(device="d", topics=("a/\n",)), "topics[0]: a line break"),
    (Device(device="d", week_rollover=2**63), "week_rollover: 9223372036854775808"),
    (Attachment(device="d", shipment="", operation="A", from_ns=0), "shipment: says nothing"),
    (Attachment(device="d", shipment="s", operation="open", from_ns=0), "operation: 'open'"),
    (Attachment(device="d", shipment="s", operation="A", from_ns=2, to_ns=1), "to_ns: lies before from_ns"),
    (Attachment(device="d", shipment="s", operation="A", from_ns=-(2**63)), "from_ns: -9223372036854775808"),
    (Placement(device="d", lat_deg=INF, lon_deg=4.0, range_m=5.0), "lat_deg: inf"),
    (Placement(device="d", lat_deg=51.0, lon_deg=400.0, range_m=5.0), "lat_deg, lon_deg: no position on Earth"),
    (Decision(action="acknowledge", subject="", by="kim"), "subject: says nothing"),
    (Decision(action="acknowledge", subject="A", by="kim", note="a\u2028b"), "note: a line break"),
    (msgspec.structs.replace(LOOK, pd=1.5), "pd: 1.5 is no share"),
    (msgspec.structs.replace(LOOK, clutter_per_km2=-1.0), "clutter_per_km2: -1.0"),
    (msgspec.structs.replace(LOOK, footprint=((4.0, 99.0),)), "footprint[0]: no position"),
    (msgspec.structs.replace(LOOK, sightings=(msgspec.structs.replace(SEEN, r_ee=NAN),)), "sightings[0].r_ee: nan"),
    (msgspec.structs.replace(LOOK, sightings=(msgspec.structs.replace(SEEN, attributes={"a": INF}),)),
     "sightings[0].attributes['a']: inf"),
    (msgspec.structs.replace(LOOK, sightings=(msgspec.structs.replace(SEEN, lat_deg=-91.0),)), "sightings[0].lat_deg"),
])
def test_what_may_not_stand_in_the_journal_is_refused_in_one_line_that_names_the_field(body, said):
    with pytest.raises(control.Denied) as refused:
        control.drafts_of([control.wanted(body, source="t")])
    words = str(refused.value)
    assert said in words and "\n" not in words and len(words) < 300
    assert refused.value.entry.kind == "denial"


@pytest.mark.parametrize("body", [
    Operation(operation="A", name="Nachtijl, haven", area=RING, zones=(Zone(name="road", points=RING[:2], half_width_m=5.0),)),
    Operation(operation="A", area=((179.9, -1.0), (-179.9, -1.0), (-179.9, 1.0), (179.9, 1.0), (179.9, -1.0))),
    Device(device="urn:epc:id:sgtin:0614141.112345.400"), LOOK, msgspec.structs.replace(LOOK, footprint=(), sightings=()),
    Attachment(device="d", shipment="s", operation="A", from_ns=5, to_ns=5),
    Decision(action="take_over", subject="T1", by="Noor \u2013 nacht"),
])
def test_what_is_well_said_is_taken(body):
    [draft] = control.drafts_of([control.wanted(body, source="t")])
    assert msgspec.msgpack.decode(draft.body, type=type(body)) == body


@pytest.mark.parametrize("change,said", [
    ({"lenght": 1}, "'lenght': no such field"), ({"name\n" * 30: 1}, "no such field"),
    ({"zones": [{"name": "q", "points": RING, "width": 4}]}, "zones[0].'width': no such field"),
])
def test_a_field_that_nobody_knows_is_refused_and_named(change, said):
    body = msgspec.msgpack.encode({"operation": "A", **change})
    with pytest.raises(control.Denied) as refused:
        control.drafts_of([control.Wanted("operation", "t", b"n", body)])
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("more,said", [({"source": ""}, "source: says nothing"), ({"source": "a\nb"}, "source: a line break"),
                                       ({"actor": "x" * 501}, "actor: 501 characters")])
def test_who_asks_is_a_name_too(more, said):
    asked = msgspec.structs.replace(control.wanted(Device(device="d"), source="t"), **more)
    with pytest.raises(control.Denied, match=said):
        control.drafts_of([asked])
