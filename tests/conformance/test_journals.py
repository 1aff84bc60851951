"""Every journal backend must pass this one suite; a backend joins by adding its URL maker."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import types

import pytest

from birddog.errors import JournalError, UsageError
from birddog.journal import Home, exists, home, migrate, open_reader, open_writer, opening, presence
from birddog.model import Draft, Operation, Tick, pack, unpack

MAKERS = {"sqlite": lambda folder: f"sqlite:///{folder}/journal.db"}


def test_every_backend_is_judged():
    assert sorted(MAKERS) == sorted(opening.BACKENDS)


@pytest.fixture(params=sorted(MAKERS))
def url(request, tmp_path):
    return MAKERS[request.param](tmp_path)


def draft(ident: str, kind: str = "tick", **fields) -> Draft:
    body = Tick() if kind in ("tick", "frame", "refusal") else Operation(operation="A")
    return Draft(kind=kind, received_ns=5, source="test", ident=ident.encode(), body=pack(body), **fields)


def test_a_url_says_whether_the_journal_is_there_and_where_its_things_lie(url, tmp_path):
    place = home(url)
    assert presence(url) == "absent" and not exists(url) and not list(tmp_path.iterdir()), "asking makes nothing"
    writer = open_writer(url, mode="live")
    assert exists(url) and writer.disagreement() == "" and place == home(url)
    names = [place.lock, place.head, place.socket, place.status, place.picture, place.refusal_key, place.imagery]
    assert len(set(names)) == len(names) and place.folder.is_dir() and place.base not in names
    assert {name.parent for name in names} == {place.folder.resolve()}
    writer.close()


def test_numbers_are_dense_and_in_order_and_a_known_ident_gets_none(url):
    writer = open_writer(url, mode="live")
    assert writer.append([draft("a"), draft("b"), draft("a")]) == [1, 2, 0]
    assert writer.append([draft("b"), draft("c")]) == [0, 3]
    assert [e.seq for e in writer.read(0)] == [1, 2, 3]
    assert [e.ident for e in writer.read(1)] == [b"b", b"c"]
    assert [e.seq for e in writer.read(0, 2)] == [1, 2]
    assert [e.seq for e in writer.tail(2)] == [2, 3]
    assert writer.counts().duplicates == 2
    assert writer.holds([b"a", b"zz"]) == {b"a"}
    writer.close()


def test_counts_only_what_is_new(url):
    writer = open_writer(url, mode="live")
    one = draft("a", "frame", observations=3, reasons=("checksum",))
    two = draft("b", "refusal", reasons=("identity", "checksum"))
    writer.append([one, two, one, draft("t")])
    counts = writer.counts()
    assert (counts.frames, counts.observations, counts.rejects) == (2, 3, {"checksum": 2, "identity": 1})
    assert (counts.duplicates, counts.last_seq) == (1, 3)
    writer.close()


def test_parts_that_were_not_understood_are_counted_by_name_once_a_row(url):
    writer = open_writer(url, mode="live")
    one = draft("a", "frame", unread=("object.position", "element_7"))
    writer.append([one, draft("b", "frame", unread=("element_7",)), one, draft("c", "frame")])
    assert writer.counts().unread == {"element_7": 2, "object.position": 1}
    assert writer.counts().rejects == {}
    writer.close()


def test_what_was_appended_is_read_by_another_after_the_writer_went(url):
    writer = open_writer(url, mode="exercise")
    writer.append([draft("a", "operation"), draft("b")])
    reader = open_reader(url)
    assert reader.mode == "exercise"
    writer.append([draft("c")])
    assert [e.seq for e in reader.read(0)] == [1, 2, 3]
    writer.close()
    assert reader.last_seq() == 3
    reader.close()
    again = open_reader(url)
    assert [unpack(e) for e in again.registers()] == [Operation(operation="A")]
    again.close()


def test_a_second_writer_and_the_other_mode_are_refused(url):
    writer = open_writer(url, mode="live")
    with pytest.raises(JournalError, match="another process is writing"):
        open_writer(url, mode="live")
    writer.close()
    with pytest.raises(JournalError, match="a live journal and refuses exercise data"):
        open_writer(url, mode="exercise")
    open_writer(url, mode="live").close()


def test_no_journal_is_a_usage_error(url):
    with pytest.raises(UsageError, match="there is no journal"):
        open_reader(url)
    with pytest.raises(UsageError, match="there is no journal"):
        open_writer(url, mode="live", create=False)


def test_the_journals_time_is_the_greatest_since_it_was_set_back(url):
    def at(seconds: int, kind: str) -> Draft:
        return Draft(kind=kind, received_ns=seconds, source="t", ident=b"%d %s" % (seconds, kind.encode()), body=b"")

    writer = open_writer(url, mode="live")
    assert writer.clock_ns() == 0
    writer.append([at(90, "start"), at(40, "frame")])
    assert writer.clock_ns() == 90
    writer.append([at(95, "tick"), at(41, "frame")])
    assert writer.clock_ns() == 95
    writer.append([at(42, "clock"), at(41, "refusal"), at(43, "frame")])
    assert writer.clock_ns() == 43
    writer.close()


def test_the_last_sessions_of_a_device_are_remembered(url):
    writer = open_writer(url, mode="live")
    for i in range(12):
        writer.append([draft(f"d{i}")], [("tag", f"s{i}"), ("other", "x")])
    assert writer.sessions("tag") == [f"s{i}" for i in range(11, 3, -1)]
    assert writer.sessions("nobody") == []
    writer.close()


@pytest.mark.parametrize("bad", ["", "x.db", "sqlite://x", "sqlite:///", "mysql:///x", "sqlite:///a?mode=memory"])
def test_a_wrong_url_says_what_is_right(bad):
    with pytest.raises(UsageError, match="sqlite:///relative/path"):
        open_reader(bad)


def test_a_backend_joins_by_its_module_and_one_line(monkeypatch, tmp_path):
    """The module has the five functions of ``opening.Backend``; nobody else knows the scheme."""
    module = types.ModuleType("toy_journal")
    module.home = lambda url: Home(tmp_path / url.partition(":")[2])
    module.presence = lambda url: "there"
    module.open_reader = lambda url, **how: ("reader", url)
    module.migrate = lambda url: ("migrated", url)
    module.open_writer = lambda url, **how: ("writer", url, how)
    monkeypatch.setitem(sys.modules, "toy_journal", module)
    monkeypatch.setitem(opening.BACKENDS, "toy", "toy_journal")
    assert home("toy:case").picture == tmp_path / "case.picture" and exists("toy:case")
    assert open_reader("toy:case") == ("reader", "toy:case") and migrate("toy:case") == ("migrated", "toy:case")
    assert open_writer("toy:case", mode="live")[2] == {"mode": "live", "create": True, "accept_loss": False, "log": True,
                                                              "master": ""}


def test_the_further_rows_of_a_message_stand_or_fall_with_its_first(url):
    """One message of several operations is one frame, and one duplicate, whatever its rows were cut into."""
    def rows(message: bytes, *operations: str) -> list[Draft]:
        return [Draft(kind="frame", received_ns=5, source="t", ident=message + (b"/" + o.encode() if n else b""), body=b"b",
                      operation=o, observations=1, part_of=message if n else b"")
                for n, o in enumerate(operations)]  # fmt: skip

    writer = open_writer(url, mode="live")
    assert writer.append([*rows(b"one", "A", "B"), *rows(b"two", "A")]) == [1, 2, 3]
    # sent again it is cut another way: nothing of it is new, and what comes behind it is
    again = [*rows(b"one", "A", "C", "D"), *rows(b"three", "B", "C"), *rows(b"two", "A", "B")]
    assert writer.append(again) == [0, 0, 0, 4, 5, 0, 0]
    assert writer.append([*rows(b"four", "A", "B"), *rows(b"four", "A", "B")]) == [6, 7, 0, 0]
    counts = writer.counts()
    assert (counts.frames, counts.observations, counts.duplicates, counts.last_seq) == (4, 7, 3, 7)
    assert [e.operation for e in writer.read(0)] == ["A", "B", "A", "B", "C", "A", "B"]
    writer.close()


WRITE_FOR_EVER = """
    import sys
    from birddog.journal import open_writer
    from birddog.model import Draft
    writer = open_writer(sys.argv[1], mode="live")
    n = writer.last_seq()
    while True:
        batch = [Draft(kind="tick", received_ns=1, source="t", ident=str(n + i).encode(), body=b"b") for i in range(20)]
        writer.append(batch)
        n += 20
        print(n, flush=True)
"""


def test_kill_9_loses_nothing_that_was_reported(url, tmp_path):
    """What append() returned is there after SIGKILL, whole transactions only; a new writer goes on."""
    rng = random.Random(7)
    reported = 0
    for _ in range(4):
        command = [sys.executable, "-c", textwrap.dedent(WRITE_FOR_EVER), url]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(rng.randrange(3, 60)):
            reported = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        reported = max([reported, *map(int, rest)])
        reader = open_reader(url)
        rows = reader.read(0, 10**9)
        reader.close()
        assert [e.seq for e in rows] == list(range(1, len(rows) + 1))
        assert len(rows) >= reported and len(rows) % 20 == 0
