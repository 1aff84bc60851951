"""The writer thread: what fails ends the process with one line, and nothing that is not stored is acknowledged."""

from __future__ import annotations

import threading
import time

import pytest

from birddog import config
from birddog.errors import ConfigError, JournalError, JournalFull
from birddog.journal import open_writer
from birddog.model import Frame
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.writer import Settings, WriterThread
from opsroom.app import Config


class Source:
    name = "toy"

    def __init__(self):
        self.results = []

    def acknowledge(self, results):
        self.results.extend(results)


class Running:
    """A writer thread on a journal of its own; ``failed`` holds what it ended with."""

    def __init__(self, tmp_path):
        self.journal = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
        self.intake, self.source, self.failed = Intake(capacity=1), Source(), []
        self.ended = threading.Event()
        self.desk = Desk(self.journal, exercise=True, refusal_key=b"k")
        self.thread = WriterThread(self.desk, self.intake, Settings(), self._failed)

    def _failed(self, error):
        self.failed.append(error)
        self.ended.set()

    def frame(self, number: int) -> Frame:
        return Frame(source="mqtt", format="owntracks", payload=b"%d" % number, received_ns=1, device="d", session="s",
                     packet=number)

    def offer(self, number: int) -> None:
        assert self.intake.offer(self.source, [self.frame(number)])


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def running(tmp_path):
    made = Running(tmp_path)
    yield made
    made.thread.stop()
    if made.thread.ident:
        made.thread.join(20)
    assert not made.thread.is_alive()
    made.journal.close()


def test_a_fault_of_ours_ends_the_process_in_one_line_and_acknowledges_nothing(running, caplog):
    def crash(drafts, sessions=()):
        raise ZeroDivisionError("a fault\nof ours")

    running.journal.append = crash
    running.offer(1)
    running.thread.start()
    assert running.ended.wait(20)
    running.thread.join(20)
    [error] = running.failed
    assert isinstance(error, JournalError) and "ZeroDivisionError" in str(error) and "\n" not in str(error)
    assert running.source.results == []
    # where it was is in the log, in one line and without a traceback
    said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert any("test_writer.py" in line and "ZeroDivisionError" in line for line in said)
    assert all("\n" not in line for line in said) and all(r.exc_info is None for r in caplog.records)
    # whoever waits for room is let go
    assert [running.intake.put(running.source, [running.frame(2)]) for _ in range(2)] == [True, False]


def test_a_dead_disk_too(running):
    def dead(drafts, sessions=()):
        raise JournalError("j.db: disk I/O error")

    running.journal.append = dead
    running.offer(1)
    running.thread.start()
    assert running.ended.wait(20)
    assert str(running.failed[0]) == "j.db: disk I/O error" and running.source.results == []


def test_a_full_disk_is_waited_for_and_said_once(running, caplog):
    real, tries, room = running.journal.append, [], threading.Event()

    def full(drafts, sessions=()):
        tries.append(len(drafts))
        if not room.is_set():
            raise JournalFull("j.db: the disk is full")
        return real(drafts, sessions)

    running.journal.append = full
    running.offer(1)
    running.thread.start()
    until(lambda: len(tries) >= 3)
    assert running.thread.full and running.source.results == []
    room.set()
    until(lambda: running.source.results)
    assert not running.failed and not running.thread.full
    assert sum("the disk is full" in r.getMessage() for r in caplog.records) == 1


@pytest.mark.parametrize("line,said", [
    ("commit_rows = 0", "b.toml:3: journal.commit_rows: Expected `int` >= 1"),
    ("commit_ms = -1.0", "b.toml:3: journal.commit_ms: Expected `float` >= 0.0"),
    ("commit_ms = 60000.0", "b.toml:3: journal.commit_ms: Expected `float` <= 1000.0"),
    ("commit_ms = nan", "b.toml:3: journal.commit_ms: "),
    ("queue_frames = 0", "b.toml:3: journal.queue_frames: Expected `int` >= 1"),
])
def test_settings_that_would_stop_everything_are_refused(tmp_path, line, said):
    file = tmp_path / "b.toml"
    file.write_text(f'[journal]\nurl = "sqlite:///x.db"\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        config.load(file, Config)
    assert said in str(caught.value)


def test_a_clock_that_is_set_while_we_run_does_not_move_the_journals(running, monkeypatch):
    """An hour back, to where it was, a day ahead: no time has passed each time."""
    second = 1_000_000_000
    clock = {"wall": 1_795_521_600 * second, "up": 0}
    monkeypatch.setattr("ingest.writer.read_clocks", lambda: (clock["wall"], clock["up"]))
    began = clock["wall"]
    running.thread = WriterThread(running.desk, running.intake, Settings(), running._failed)
    running.thread.start()

    def newest() -> int:
        return running.journal.last_seq()

    def ticks_after(step_s: int) -> None:
        before = newest()
        clock.update(wall=clock["wall"] + step_s * second, up=clock["up"] + step_s * second)
        until(lambda: newest() > before)

    def set_by(step_s: int, not_believed_s: float) -> None:
        before = newest()
        clock["wall"] += step_s * second
        until(lambda: running.desk.clock.not_believed_s == not_believed_s)
        running.offer(step_s & 0xFFFF)
        until(lambda: newest() > before)
        ticks_after(6)
        assert running.desk.clock.behind_s == 0.0

    ticks_after(6)
    set_by(-3600, -3600.0)
    set_by(3600, 0.0)
    set_by(86_400, 86_400.0)
    running.thread.stop()
    running.thread.join(20)
    times = [e.received_ns for e in running.journal.read(0) if e.kind == "tick"]
    assert times == sorted(times) and times[-1] == began + 24 * second
    assert running.journal.counts().duplicates == 0 and not running.failed
