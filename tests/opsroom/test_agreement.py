"""Before a run begins: what the picture remembers of the journal must stand in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from birddog.errors import JournalDisagrees
from birddog.journal import Home, open_reader, open_writer
from birddog.model import Draft, Loss, Tick, pack, unpack
from ingest.writer import Settings
from opsroom import agreement
from opsroom.app import Config, Plan
from opsroom.commands.run import words_of
from opsroom.picture import Picture
from opsroom.picture_store import PictureReader, stood
from opsroom.rebuilding import rebuild


def plan(url: str, *roles: str) -> Plan:
    return Plan(config=Config(journal=Settings(url=url)), exercise=True, messages_clock=False,
                roles=roles or ("ingest", "picture", "console"))


def ticks(first: int, count: int, word: bytes = b"tick") -> list[Draft]:
    return [Draft(kind="tick", received_ns=n, source="t", ident=word + b" %d" % n, body=pack(Tick()))
            for n in range(first, first + count)]


@pytest.fixture
def folded(tmp_path):
    """A journal of 30 entries, an older copy of 10 of them, and its picture; without head file and log, as of before them."""
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="exercise")
    writer.append(ticks(1, 10))
    writer.close()
    shutil.copy(tmp_path / "j.db", tmp_path / "older.db")
    writer = open_writer(url, mode="exercise")
    writer.append(ticks(11, 20))
    writer.close()
    reader = open_reader(url)
    picture = Picture(reader, Home(tmp_path / "j.db").picture)
    while picture.step():
        pass
    picture.close()
    reader.close()
    (tmp_path / "j.db.head").unlink()
    forget_log(tmp_path / "j.db")
    return tmp_path / "j.db", url


def forget_log(path: Path) -> None:
    """As of before there was one: else it is the log that notices, and says so first."""
    shutil.rmtree(f"{path}.log")
    path.with_name("j.db.keys").unlink()


def gone(path: Path) -> None:
    path.unlink()


def older(path: Path) -> None:
    shutil.copy(path.parent / "older.db", path)


def another(path: Path) -> None:
    path.unlink()
    writer = open_writer(f"sqlite:///{path}", mode="exercise")
    writer.append(ticks(1, 40, b"other"))
    writer.close()
    path.with_name("j.db.head").unlink()


def parted(path: Path) -> None:
    """An older copy that went on otherwise: the same beginning, the same number of entries."""
    older(path)
    writer = open_writer(f"sqlite:///{path}", mode="exercise")
    writer.append(ticks(11, 30, b"other"))
    writer.close()
    path.with_name("j.db.head").unlink()


@pytest.mark.parametrize("accident,said,after", [
    (gone, "is not there, and ", 0), (older, "ends at entry 10, and its picture stands at entry 30", 10),
    (another, "is not the journal that its picture was made from, up to entry 30", 40), (parted, "is not the journal", 40),
])
def test_what_the_picture_remembers_and_the_journal_does_not_hold_is_refused(folded, capsys, accident, said, after):
    path, url = folded
    accident(path)
    path.with_name("j.db.head").unlink(missing_ok=True)
    for _ in range(2):
        with pytest.raises(JournalDisagrees) as caught:
            agreement.check(plan(url), accept_loss=False)
        words = str(caught.value)
        assert said in words and "entry 30" in words and "--accept-loss" in words and "\n" not in words
        path.with_name("j.db.head").unlink(missing_ok=True)
    assert path.exists() == (accident is not gone), "nothing is made"
    assert stood(Home(path).picture).cursor == 30
    if accident is not gone:
        with pytest.raises(JournalDisagrees):
            agreement.check(plan(url, "picture"), accept_loss=False)
    agreement.check(plan(url, "console"), accept_loss=False)

    agreement.check(plan(url), accept_loss=True)
    assert said in capsys.readouterr().err
    reader = open_reader(url)
    [entry] = reader.tail(1)
    body = unpack(entry)
    assert isinstance(body, Loss) and body.after == after == entry.seq - 1 and said in body.text
    # the newer picture is kept, and another is made of what there is
    assert [stood(file).cursor for file in path.parent.glob("j.db.picture.aside-????????")] == [30]
    assert not Home(path).picture.exists()
    picture = Picture(reader, Home(path).picture)
    while picture.step():
        pass
    picture.close()
    (path.parent / "rebuild").mkdir()
    assert all(differ == 0 for _, differ in rebuild(reader, Home(path).picture, path.parent / "rebuild").values())
    reader.close()
    # it held for that start, and the next needs no word
    agreement.check(plan(url), accept_loss=False)
    agreement.check(plan(url), accept_loss=True)
    reader = open_reader(url)
    assert reader.last_seq() == after + 1
    reader.close()


def test_a_picture_that_lags_or_says_nothing_is_no_fault(folded):
    path, url = folded
    writer = open_writer(url, mode="exercise")
    writer.append(ticks(31, 10))
    writer.close()
    agreement.check(plan(url), accept_loss=False)
    for damage in (b"", b"no store at all" * 1000):
        Home(path).picture.write_bytes(damage)
        assert stood(Home(path).picture) is None
        agreement.check(plan(url), accept_loss=False)
    assert PictureReader(Home(path).picture).path.exists()


def test_a_child_is_not_told_to_accept_the_next_loss_too():
    class Args:
        clock, exercise, config, journal, mqtt_port, http_port, accept_loss = "wall", True, None, None, None, None, True

    assert "--accept-loss" not in words_of(Args())
