"""What the processes do with faults of ours: one line in the log, said on /healthz, and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.journal import Home
from ingest import transport
from ingest.intake import Intake
from opsroom import explained, roles, status, supervise
from opsroom.console.health import Health, prometheus
from opsroom.roles import ingest, picture
from opsroom.status import Board


class Flaky:
    """A transport that crashes before it runs."""

    name = "serial:roof"

    def __init__(self, crashes: int):
        self.crashes, self.runs, self.ended = crashes, 0, threading.Event()

    def run(self, intake):
        self.runs += 1
        if self.runs <= self.crashes:
            raise KeyError("52.123456,4.987654")
        self.ended.set()

    def stop(self):
        """It has ended by itself."""


def test_a_transport_that_crashes_is_said_and_run_again(caplog, monkeypatch):
    monkeypatch.setattr(transport, "AGAIN_S", 0.0)
    source, crashed = Flaky(2), {}

    async def main():
        room = transport.Room(Intake(), True, Directory(), lambda name, error: crashed.update({name: type(error).__name__}))
        made = transport.Threaded(source, room)
        await made.start()
        await asyncio.to_thread(source.ended.wait, 20)
        await made.stop()

    asyncio.run(main())
    assert source.runs == 3 and crashed == {"serial:roof": "KeyError"}
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 2 and all("KeyError at" in line and "test_roles.py" in line and "\n" not in line for line in said)
    assert "52.123456" not in "".join(said)  # what a device sent does not get into the log


def test_a_connection_that_crashes_is_one_line(caplog):
    crashed: dict[str, str] = {}

    async def connection():
        raise ZeroDivisionError

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: ingest._connection_crashed(context, crashed))
        task = asyncio.create_task(connection())
        await asyncio.wait([task])
        del task

    asyncio.run(main())
    assert crashed == {"a connection": "ZeroDivisionError"}
    assert [r.exc_info for r in caplog.records] == [None] and "ZeroDivisionError at" in caplog.records[0].getMessage()


def test_a_thread_that_crashes_is_one_line(caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", roles._thread_crashed)
    thread = threading.Thread(target=lambda: 1 / 0, name="status")
    thread.start()
    thread.join()
    assert "the thread status crashed: ZeroDivisionError at" in caplog.records[0].getMessage()


def test_a_row_says_at_once_that_its_process_was_killed(tmp_path):
    journal = Home(tmp_path / "j.db")
    board = Board(journal, "picture")
    board.write({"cursor": 7})
    assert status.read(journal, ("picture", "ingest"))["picture"]["problem"] == ""
    assert status.read(journal, ("ingest",))["ingest"]["updated_ns"] == 0
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    file = journal.status / "picture.json"
    row = json.loads(file.read_text())
    file.write_text(json.dumps(row | {"pid": child.pid, "problem": "the disk is full"}))
    assert status.read(journal, ("picture",))["picture"]["problem"].startswith("the disk is full; the process has ended")
    # in another container its number means another process, or none
    file.write_text(json.dumps(row | {"pid": child.pid, "pid_space": "pid:[1]"}))
    assert status.read(journal, ("picture",))["picture"]["problem"] == ""
    for broken in (b"", b"[1]", b'{"pid": "x"}', b"\xff"):
        file.write_bytes(broken)
        assert "cannot be read" in status.read(journal, ("picture",))["picture"]["problem"]
    board.remove()
    board.remove()


def test_a_row_that_cannot_be_written_is_said_once_and_ends_nobody(tmp_path, caplog, monkeypatch):
    board = Board(Home(tmp_path / "j.db"), "ingest")
    (tmp_path / "j.db.status").write_text("a file where the folder should be")
    board.write({})
    board.write({})
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1
    (tmp_path / "j.db.status").unlink()
    board.write({"note": "a row that is longer than the next one"})

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    board.write({"problem": "the disk is full"})
    assert status.read(Home(tmp_path / "j.db"), ("ingest",))["ingest"]["problem"] == "the disk is full"
    assert sorted(p.name for p in (tmp_path / "j.db.status").iterdir()) == ["ingest.json"]


def test_a_child_that_cannot_be_started_is_tried_again(monkeypatch, capsys):
    child = supervise.Child("picture", ["--version"])
    real, failures = subprocess.Popen, iter([OSError(11, "Resource temporarily unavailable")])

    def popen(*args, **more):
        for error in failures:
            raise error
        return real(*args, **more)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(supervise, "PAUSE_S", 0.0)
    child.pause_s = 0.0
    assert supervise.Supervisor([child]).run(for_s=3.0) == 0
    assert "picture ended (Resource temporarily unavailable)" in capsys.readouterr().err
    assert child.process is not None or child.again_at > 0


def test_no_process_of_ours_runs_a_file_of_the_folder_that_it_is_started_in(tmp_path, monkeypatch):
    """`python -m` looks there first: an http.py beside a case's files was executed, by picture and console."""
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w').close()\nraise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    subprocess.run(supervise.Child("picture", ["--version"]).command, check=False, capture_output=True, timeout=60)
    assert not (tmp_path / "owned").exists()
    with pytest.raises(BirddogError):
        explained.Apart(f"sqlite:///{tmp_path}/none.db")("T1", 0)
    assert not (tmp_path / "owned").exists()


@pytest.mark.slow
def test_a_run_that_is_told_to_end_while_it_waits_for_the_journal_ends_at_once(tmp_path):
    from birddog.journal import open_writer

    url = f"sqlite:///{tmp_path}/j.db"
    held = open_writer(url, mode="exercise")
    words = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", url, "--only", "ingest", "--mqtt-port", "0"]
    waiting = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        # it catches signals as soon as it waits
        while not int(_of(waiting.pid, "SigCgt"), 16) & 1 << 14:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting.terminate()
        assert waiting.wait(20) == 0
    finally:
        waiting.kill()
        waiting.stderr.close()
        held.close()


def _of(pid: int, field: str) -> str:
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1] for line in file if line.startswith(field + ":"))


class Stub:
    """Stands for the writer's thread and its desk, or for a source that says what it is told to."""

    full, entries, commits, crashes, held, behind_s, not_believed_s, stalled_s = False, 0, 0, 0, 0, 0.0, 0.0, 0.0
    devices_say = None

    def __init__(self, name: str = "", **said):
        self.name, self.said = name, said
        self.desk = self.clock = self

    def status(self):
        return self.said


def _row(folder, *sources) -> dict:
    return ingest._status(Stub(), Stub(), list(sources), {}, folder)


@pytest.mark.parametrize(("days", "said"), [(15, ""), (13.5, "mqtt: its certificate expires in 13 days"),
                                            (-1, "mqtt: its certificate has expired")])
def test_a_certificate_that_is_about_to_expire_is_said(tmp_path, days, said):
    row = _row(tmp_path, Stub("mqtt", tls_expires_unix_s=int(time.time() + days * 86_400)))
    assert row["problem" if days < 0 else "warning"] == said and "mqtt_tls_expires_unix_s" in row
    assert row["warning" if days < 0 else "problem"] == ""


@pytest.mark.parametrize(("total", "free", "said"), [
    (10e12, 0.9e12, ""),  # nine per cent, and room for years
    (8e9, 1.5e9, ""),  # a small machine with a fifth of its disk free
    (20e9, 1.5e9, "the journal's disk is nearly full: 1500 MB are free"),
])
def test_a_disk_that_is_nearly_full_is_said(tmp_path, monkeypatch, total, free, said):
    usage = shutil.disk_usage(tmp_path)._replace(total=int(total), free=int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    row = _row(tmp_path)
    assert row["warning"] == said and row["problem"] == "" and row["disk_free_bytes"] == int(free)


def test_a_client_id_that_two_devices_have_is_said(tmp_path):
    source = Stub("mqtt", connected=1, contested=1, last_error="the client id 'tag1' was taken over")
    assert _row(tmp_path, source)["warning"] == "mqtt: the client id 'tag1' was taken over"


def test_the_log_of_a_role_leaves_out_what_gdal_says_of_a_broken_scene():
    told = ("import logging, sys, types; from opsroom import roles;"
            "sys.modules['opsroom.roles.stub'] = types.SimpleNamespace(run=lambda plan:"
            " logging.getLogger('rasterio._err').info('GDAL signalled an error') or logging.getLogger('ours').info('read'));"
            "roles.run('stub', None)")
    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and "GDAL" not in said.stderr and "read" in said.stderr


def test_a_process_that_has_not_started_has_no_age(tmp_path):
    health = Health(lambda: status.read(Home(tmp_path / "j.db"), ("ingest",)), time.time_ns)
    health.refresh()
    [said] = health.processes()
    assert said.age_s is None and said.problem == "has not started"
    assert "process_age_seconds{" not in prometheus(health.rows, {}, {}, [said])


def test_a_first_start_says_that_it_compiles_and_gives_it_the_time(tmp_path, monkeypatch):
    """``no sign of life for 15 s`` stood there, and whoever believed it ended the process, so that it began anew."""
    board, said, done = Board(Home(tmp_path / "j.db"), "picture"), [], threading.Event()
    real = board.write

    def write(row):
        real(row)
        said.append(status.read(Home(tmp_path / "j.db"), ("picture",))["picture"]["problem"])
        if len(said) == 3:
            done.set()

    monkeypatch.setattr(board, "write", write)
    monkeypatch.setattr(picture, "compiled", done.wait)
    monkeypatch.setattr(picture, "SIGN_S", 0.01)
    picture._compile(threading.Event(), board)
    assert len(said) >= 3 and all("compiles the tracker, as at each first start" in words for words in said)
    monkeypatch.setattr(picture, "compiled", lambda: 1 / 0)
    monkeypatch.setattr(picture, "SIGN_S", 60.0)
    picture._compile(threading.Event(), board)  # what is wrong the fold says
