"""What others do to a journal's files, under its writer or between two runs: nothing acknowledged disappears without a word.

Over 400 lines: one table of accidents, and what each of them is answered with.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from birddog.errors import JournalChanged, JournalDisagrees, JournalError, JournalGone
from birddog.journal import Home, head, open_reader, open_writer
from birddog.model import Draft, Tick, pack


def drafts(first: int, count: int = 20) -> list[Draft]:
    return [Draft(kind="tick", received_ns=n, source="t", ident=b"entry %d" % n, body=pack(Tick()) + b"." * 400)
            for n in range(first, first + count)]


class Place:
    """A journal with a writer that has acknowledged ``count`` entries, an older copy, and the means to kill it."""

    def __init__(self, folder: Path, count: int = 200):
        self.folder, self.path = folder, folder / "j.db"
        self.url = f"sqlite:///{self.path}"
        self.writer = open_writer(self.url, mode="live")
        self.count = 0
        self.append(count)

    def append(self, count: int = 20) -> None:
        """In transactions of twenty, as a run would."""
        for first in range(self.count, self.count + count, 20):
            numbers = self.writer.append(drafts(first))
            assert numbers == list(range(first + 1, first + 21))
            self.count = first + 20

    def copy(self, name: str = "older.db") -> Path:
        """A backup as SQLite makes it, whole."""
        to = self.folder / name
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db, sqlite3.connect(to) as made:
            db.backup(made)
        db.close(), made.close()
        return to

    def killed(self, name: str = "killed") -> Path:
        """The files as kill -9 would leave them now, in a folder of their own; the journal's path there."""
        to = self.folder / name
        to.mkdir()
        for file in self.folder.glob("j.db*"):
            if file.is_dir():
                shutil.copytree(file, to / file.name)
            elif not file.name.endswith((".lock", "-shm")):
                shutil.copy2(file, to / file.name)
        return to / "j.db"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.writer.close()


def cp(p):
    subprocess.run(["cp", p.copy(), p.path], check=True)


def cp_keeping_its_time(p):
    subprocess.run(["cp", "-p", p.copy(), p.path], check=True)


def older_in_its_place(p):
    p.copy().rename(p.path)


def truncate_wal(p):
    os.truncate(f"{p.path}-wal", 0)


def cut_wal(p):
    os.truncate(f"{p.path}-wal", Path(f"{p.path}-wal").stat().st_size // 2)


def rm_wal(p):
    os.unlink(f"{p.path}-wal")


def mv_wal(p):
    os.rename(f"{p.path}-wal", f"{p.path}-wal.away")


def other_wal(p):
    data = bytearray(Path(f"{p.path}-wal").read_bytes())
    data[16:24] = b"saltsalt"
    Path(f"{p.path}-wal").write_bytes(data)


def byte_in_wal(p):
    with open(f"{p.path}-wal", "r+b") as file:
        file.seek(5000)
        file.write(b"x")


def rm_journal(p):
    p.path.unlink()


def rm_index(p):
    os.unlink(f"{p.path}-shm")


def rm_all(p):
    for suffix in ("", "-wal", "-shm"):
        os.unlink(f"{p.path}{suffix}")


def truncate_journal(p):
    os.truncate(p.path, 4096)


def other_program(p):
    db = sqlite3.connect(p.path)
    db.execute("REPLACE INTO meta SELECT key, value FROM meta")
    db.commit()
    db.close()


ACCIDENTS = [cp, cp_keeping_its_time, older_in_its_place, truncate_wal, cut_wal, rm_wal, mv_wal, other_wal, byte_in_wal,
             rm_journal, rm_index, rm_all, truncate_journal, other_program]


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_whatever_is_done_to_the_files_nothing_is_acknowledged_from_then_on(tmp_path, accident):
    place = Place(tmp_path)
    place.append(400)
    copied = place.copy("before.db")
    place.append(20)
    accident(place)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("j.db*") if file.suffix in (".db", ".db-wal")}
    for _ in range(2):
        with pytest.raises(JournalChanged) as caught:
            place.append()
        assert str(place.path) in str(caught.value) and "\n" not in str(caught.value)
        assert isinstance(caught.value, JournalGone) == (accident in (older_in_its_place, rm_journal, rm_all))
    place.writer.close()
    if accident is cp:
        # SQLite on closing would have played the newer log into the older copy
        assert place.path.read_bytes() == before["j.db"] and Path(f"{place.path}-wal").stat().st_size
    # and then: all of it is there, or the next start says that it is not
    try:
        again = open_writer(place.url, mode="live")
    except JournalError as error:
        assert "\n" not in str(error)
        assert accident not in (rm_wal, mv_wal, rm_index, other_program)
    else:
        # what was not acknowledged may be there
        assert [e.ident for e in again.read(0, place.count)] == [d.ident for d in drafts(0, place.count)], accident
        again.close()
    assert open_reader(f"sqlite:///{copied}").last_seq() == 600


def test_what_is_nobodys_business_is_let_pass(place):
    place.path.chmod(0o640)
    os.link(place.path, place.folder / "linked.db")
    place.copy()
    open_reader(place.url).close()
    place.append(2000)
    assert place.writer.last_seq() == place.count == 2200


def test_the_log_is_brought_into_the_journal_as_it_grows(place):
    place.append(20_000)
    assert Path(f"{place.path}-wal").stat().st_size < 2 * 1000 * 4200 and place.path.stat().st_size > 8_000_000
    state = head.read(Home(place.path).head)
    assert (state.seq, state.ident, state.moving) == (20_200, b"entry 20199", False)


# --- at a start -----------------------------------------------------------------------------------


def wal_away(path):
    Path(f"{path}-wal").unlink()


def older_alone(path, older):
    shutil.copy(older, path)
    wal_away(path)


def older_beside_newer_wal(path, older):
    shutil.copy(older, path)


def all_but_the_head(path, older):
    path.unlink()
    wal_away(path)


def another_journal(path, older):
    other = Place(path.parent / "other")
    other.writer.close()
    db = sqlite3.connect(other.path)
    db.execute("UPDATE entry SET ident = CAST('other ' || seq AS BLOB)")
    for n in range(201, 1000):
        db.execute("INSERT INTO entry SELECT ?, kind, received_ns, operation, source, CAST('other ' || ? AS BLOB), body,"
                   " NULL, NULL, '' FROM entry WHERE seq = 1", (n, n))
    db.commit()
    db.close()
    older_alone(path, other.path)


@pytest.mark.parametrize("accident,said", [
    (lambda path, older: wal_away(path), "ends at entry"),
    (older_alone, "ends at entry 200, and entry 640 had been acknowledged"),
    (older_beside_newer_wal, "is not the file that"),
    (lambda path, older: path.unlink(), "is not there"),
    (all_but_the_head, "is not there, and entry 640 of it had been acknowledged"),
    (another_journal, "is not the journal that was acknowledged up to entry 640"),
])
def test_a_start_says_what_is_missing_and_goes_on_when_that_is_accepted(place, accident, said):
    older = place.copy()
    place.append(440)
    path = place.killed()
    (path.parent / "other").mkdir()
    accident(path, older)
    url = f"sqlite:///{path}"


    def held():
        return {file.name: data for file in path.parent.glob("j.db*") if file.suffix in (".db", ".db-wal", ".head")
                and (data := file.read_bytes())}

    before = held()
    for _ in range(2):
        with pytest.raises(JournalError) as caught:
            open_writer(url, mode="live")
        words = str(caught.value)
        if "there without its journal: put the journal back" in words:
            continue
        assert isinstance(caught.value, JournalDisagrees)
        assert said in words and "up to entry 640" in words and "--accept-loss" in words and "\n" not in words
    assert held() == before, "nothing was written to it"
    writer = open_writer(url, mode="live", accept_loss=True)
    assert said in writer.lost
    last = writer.last_seq()
    writer.append(drafts(10_000))
    assert writer.last_seq() == last + 20
    writer.close()
    again = open_writer(url, mode="live", accept_loss=True)
    assert again.lost == "" and again.last_seq() == last + 20
    again.close()


def test_another_programs_rollback_journal_is_not_played_into_ours(place):
    path = place.killed()
    before = path.read_bytes()
    Path(f"{path}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(5000))
    for accept_loss in (False, True):
        with pytest.raises(JournalError, match="j.db-journal is there, which no journal of ours has"):
            open_writer(f"sqlite:///{path}", mode="live", accept_loss=accept_loss)
    assert path.read_bytes() == before
    Path(f"{path}-journal").unlink()
    open_writer(f"sqlite:///{path}", mode="live").close()


def test_a_loss_that_was_accepted_and_not_recorded_is_refused_again(place):
    older = place.copy()
    place.append(440)
    path = place.killed()
    older_alone(path, older)
    writer = open_writer(f"sqlite:///{path}", mode="live", accept_loss=True)
    writer.close()
    with pytest.raises(JournalDisagrees, match="entry 640"):
        open_writer(f"sqlite:///{path}", mode="live")


def test_an_older_journal_with_its_older_head_does_not_take_a_newer_log(place):
    older, older_head = place.copy(), place.folder / "older.head"
    place.append(6000)  # a checkpoint or more: the log has begun anew since
    shutil.copy(Home(place.path).head, older_head)
    at = place.count
    place.append(12_000)
    path = place.killed()
    shutil.copy(older, path)
    shutil.copy(older_head, Home(path).head)
    with pytest.raises(JournalDisagrees, match=f"up to entry {at}"):
        open_writer(f"sqlite:///{path}", mode="live")


def test_a_copy_alone_opened_elsewhere_is_a_journal_of_its_own(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copied = shutil.copy(place.copy(), elsewhere / "j.db")
    place.append(100)
    writer = open_writer(f"sqlite:///{copied}", mode="live")
    assert writer.last_seq() == 200 and writer.lost == ""
    writer.close()
    # and so is the whole folder, moved or copied while nobody writes
    place.writer.close()
    moved = tmp_path / "moved"
    shutil.copytree(place.folder, moved, ignore=shutil.ignore_patterns("elsewhere", "moved"))
    place.writer = open_writer(f"sqlite:///{moved}/j.db", mode="live")
    assert place.writer.last_seq() == 300


def test_a_head_that_lags_is_no_fault(place):
    """A power cut may take the last writes of the head file, which are not synced, and leave those of the journal."""
    for file in place.folder.glob("j.db.head"):
        shutil.copy(file, place.folder / "lagging")
    place.append(60)
    path = place.killed()
    shutil.copy(place.folder / "lagging", Home(path).head)
    writer = open_writer(f"sqlite:///{path}", mode="live")
    assert writer.last_seq() == 260
    writer.close()


def test_a_torn_or_missing_head_is_made_anew(place):
    for name, damage in (("torn", lambda b: b[:700] + b"\0" * 324), ("other", lambda b: b"\0" * 100 + b[100:]),
                         ("gone", None), ("empty", lambda b: b"")):
        path = place.killed(name)
        file = Home(path).head
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage(file.read_bytes()))
        writer = open_writer(f"sqlite:///{path}", mode="live")
        assert writer.last_seq() == 200
        writer.close()
        assert head.read(file).seq == 200


@pytest.mark.parametrize("older", [False, True])
def test_a_head_that_was_taken_away_from_under_its_writer_is_put_back(place, older):
    """Without it a start could not know of what an older copy lacks, where the picture is gone as well."""
    copy, file = place.copy(), Home(place.path).head
    stood = file.read_bytes()
    place.append()
    file.unlink()
    if older:
        file.write_bytes(stood)
    place.append()
    place.writer.close()
    assert head.read(file).seq == place.count
    path = place.killed()
    place.writer = open_writer(place.url, mode="live")
    shutil.copy(copy, path)
    with pytest.raises(JournalDisagrees):
        open_writer(f"sqlite:///{path}", mode="live")


def test_a_reader_finds_what_a_writer_committed_to_another_log(place):
    reader = open_reader(place.url)
    assert reader.last_seq() == 200
    rm_wal(place)
    with pytest.raises(JournalChanged):
        place.append()
    place.writer.close()
    place.writer = open_writer(place.url, mode="live")
    place.count = place.writer.last_seq()
    place.writer.append(drafts(5000))
    assert reader.last_seq() == place.count + 20
    reader.close()


def test_disagreement_is_seen_by_those_who_only_read(place):
    older = place.copy()
    place.append(60)
    path = place.killed()
    older_alone(path, older)
    reader = open_reader(f"sqlite:///{path}")
    assert "ends at entry 200, and entry 260 had been acknowledged" in reader.disagreement()
    reader.close()
    reader = open_reader(place.url)
    assert reader.disagreement() == ""
    reader.close()


WRITE_FOR_EVER = """
    import sys
    from birddog.journal import open_writer
    from birddog.model import Draft
    writer = open_writer(sys.argv[1], mode="live")
    n = writer.last_seq()
    while True:
        idents = [b"%d" % (n + i) for i in range(50)]
        writer.append([Draft(kind="tick", received_ns=1, source="t", ident=ident, body=b"." * 900) for ident in idents])
        n += 50
        print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_never_makes_head_and_journal_disagree(tmp_path):
    """Also within a checkpoint, of which there are many here: no false alarm, and never a head that leads."""
    url, rng, reported = f"sqlite:///{tmp_path}/j.db", random.Random(11), 0
    for _ in range(12):
        command = [sys.executable, "-c", textwrap.dedent(WRITE_FOR_EVER), url]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(rng.randrange(3, 90)):
            reported = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        reported = max([reported, *map(int, child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        state = head.read(tmp_path / "j.db.head")
        reader = open_reader(url)
        assert reported <= state.seq <= reader.last_seq() and reader.disagreement() == ""
        reader.close()
