"""A real `birddog run` that loses its processes, its store, its disk or bytes of its journal: what it says and keeps.

Over 400 lines: one harness, and every accident that is tried on it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from birddog.journal import Home, open_reader
from opsroom import status
from opsroom.picture_store import stood

_spec = importlib.util.spec_from_file_location("kill9", Path(__file__).parents[2] / "benchmarks" / "kill9.py")
kill9 = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kill9)

PATIENCE_S = 60


def until(condition, what: str, seconds: float = PATIENCE_S):
    """What the condition gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return found


def birddog(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True, timeout=120)


class Run:
    """One `birddog run --exercise` with publishers that never give up."""

    def __init__(self, folder: Path, publishers: int = 2):
        self.folder, self.path = folder, folder / "journal.db"
        self.url, self.log = f"sqlite:///{self.path}", folder / "run.log"
        self.mqtt, self.http = kill9.free_port(), kill9.free_port()
        self.process = kill9.start(self.url, self.mqtt, self.http, self.log)
        kill9.wait_for_port(self.mqtt, PATIENCE_S)
        self.publishers = [kill9.Publisher(self.mqtt, f"tag{i}", 8) for i in range(publishers)]
        for p in self.publishers:
            # a load that leaves a busy machine some time for the rest; the window keeps messages in flight
            take = p._take
            p._take = lambda data, take=take: (time.sleep(0.05), take(data))[1]
            p.start()
        until(lambda: self.health()["ok"], "healthy")

    def health(self) -> dict:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/healthz", timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == 503
                return json.load(error)
        except OSError:
            return {"ok": None, "problems": []}

    def problems(self) -> str:
        return "; ".join(self.health()["problems"])

    def child(self, role: str) -> int:
        """The process of a role, 0 while there is none."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if parent == self.process.pid and role.encode() in words:
                    return int(entry.name)
        return 0

    def kill(self, role: str) -> None:
        """SIGKILL, and wait for its successor."""
        pid = until(lambda: self.child(role), f"{role} is there")
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.child(role) not in (0, pid), f"{role} is back")

    def acknowledged(self) -> int:
        return sum(len(p.acknowledged) for p in self.publishers)

    def goes_on(self) -> None:
        before = self.acknowledged()
        until(lambda: self.acknowledged() > before + 20, "messages are acknowledged")

    def says_again(self, times: int = 3) -> None:
        """Ingest, which waits, has looked again and said so: what it would have acknowledged meanwhile it has."""
        row = lambda: status.read(Home(self.path), ("ingest",)).get("ingest", {}).get("updated_ns", 0)  # noqa: E731
        for _ in range(times):
            before_ns = row()
            until(lambda before_ns=before_ns: row() > before_ns, "ingest says again what is wrong")

    def stop(self) -> None:
        for p in self.publishers:
            p.done.set()
        for p in self.publishers:
            p.join(PATIENCE_S)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def nothing_is_lost(self) -> None:
        found = kill9.found(self.url, self.publishers, 0.0)
        assert (found["missing"], found["stored_twice"], found["unfinished"]) == (0, 0, 0), found
        assert found["acknowledged"] > 0 and found["rebuild"] == "identical", found
        assert "Traceback" not in self.log.read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = Run(tmp_path_factory.mktemp("run"))
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["picture", "ingest"])
def test_a_killed_process_is_said_and_comes_back(run, role):
    pid = until(lambda: run.child(role), role)
    until(lambda: run.health()["ok"], "healthy before")
    os.kill(pid, signal.SIGKILL)
    said = until(lambda: role in (words := run.problems()) and words, f"/healthz says that {role} is gone")
    assert "ended" in said or "starting" in said, said
    until(lambda: run.health()["ok"], "healthy again")
    run.goes_on()


@pytest.mark.slow
def test_a_killed_console_comes_back_and_nobody_else_notices(run):
    others = run.child("ingest"), run.child("picture")
    run.kill("console")
    run.goes_on()
    until(lambda: run.health()["ok"], "healthy again")
    assert (run.child("ingest"), run.child("picture")) == others


@pytest.mark.slow
def test_a_second_run_on_the_journal_is_refused_in_one_line_and_harms_nothing(run):
    until(lambda: run.health()["ok"], "healthy before")
    roles = [run.child(role) for role in ("ingest", "picture", "console")]
    rows = status.read(Home(run.path), ("ingest", "picture"))
    second = subprocess.run([sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", run.url, "--mqtt-port", "0",
                             "--http-port", "0"], capture_output=True, text=True, timeout=60)
    assert second.returncode == 2 and second.stdout == ""
    refusals = [line for line in second.stderr.splitlines() if not line.startswith("console: ")]
    assert len(refusals) == 1 and f"another process is writing {run.path}" in refusals[0], second.stderr
    assert [run.child(role) for role in ("ingest", "picture", "console")] == roles
    assert {name: row["pid"] for name, row in status.read(Home(run.path), tuple(rows)).items()} == {
        name: row["pid"] for name, row in rows.items()}
    assert run.health()["ok"]
    run.goes_on()


@pytest.mark.slow
def test_the_picture_may_be_deleted_while_it_runs(run):
    store = Path(f"{run.path}.picture")
    for names in ((store,), (store, Path(f"{store}-wal"), Path(f"{store}-shm"))):
        for name in names:
            name.unlink(missing_ok=True)
        until(store.exists, "made again")
        reader = open_reader(run.url)
        last = reader.last_seq()
        reader.close()
        # by the store itself: what /healthz says is up to a second old, and may be of the store that was deleted
        until(lambda last=last: (there := stood(store)) and there.cursor >= last and run.health()["ok"], "caught up")
    done = birddog("rebuild", "--journal", run.url)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "identical", done


@pytest.mark.slow
def test_after_all_that_nothing_is_lost(run):
    run.stop()
    run.nothing_is_lost()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 40 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "birddog-test", str(place)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_acknowledges_nothing_says_so_and_goes_on_when_there_is_room(small_disk, tmp_path):
    run = Run(small_disk, publishers=1)
    run.log = tmp_path / "run.log"  # the disk that fills is not the log's
    try:
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        until(lambda: "ingest: the disk is full: nothing is acknowledged" in run.problems(), "/healthz says so")
        before = run.acknowledged()
        # a process that starts now waits for room, and does not end the run
        run.kill("ingest")
        until(lambda: "ingest" in run.problems(), "still said")
        assert run.process.poll() is None and run.acknowledged() == before
        ballast.unlink()
        run.goes_on()
        until(lambda: run.health()["ok"], "healthy again", 90)
    finally:
        run.stop()
    run.log = small_disk / "run.log"
    run.nothing_is_lost()


@pytest.mark.slow
def test_a_damaged_entry_stops_the_picture_and_nothing_else(tmp_path):
    run = Run(tmp_path, publishers=1)
    try:
        run.kill("picture")
        # of an entry that the picture has not folded yet
        pid = run.child("picture")
        os.kill(pid, signal.SIGSTOP)
        seen = run.health()["seq"]
        run.goes_on()
        reader = open_reader(run.url)
        bad = until(lambda: reader.last_seq() > seen + 30 and reader.last_seq() - 10, "new entries")
        reader.close()
        _damage(run, bad)
        os.kill(pid, signal.SIGCONT)
        said = until(lambda: f"entry {bad}" in (words := run.problems()) and words, "/healthz names the entry")
        assert str(run.path) in said and "picture" in said
        run.goes_on()
        assert run.process.poll() is None
    finally:
        run.stop()
    for command, code in ((["journal", "count"], (0,)), (["journal", "tail", "-n", "1000000"], (1, 2)),
                          (["journal", "export"], (1, 2)), (["rebuild"], (0, 1, 2))):
        done = birddog(*command, "--journal", run.url)
        assert done.returncode in code and "Traceback" not in done.stderr, done
        if command == ["rebuild"] and done.returncode == 1:  # what it found is its answer
            assert f"{run.path}: entry {bad} is damaged" in done.stdout and not done.stderr, done
        elif done.returncode:
            assert len(done.stderr.splitlines()) == 1 and f"{run.path}: entry {bad}" in done.stderr, done.stderr
    assert "Traceback" not in run.log.read_text()


def _damage(run: Run, seq: int) -> None:
    """Change an entry's bytes behind the writer's back, as a failing disk would."""
    ingest = run.child("ingest")

    def done() -> bool:
        os.kill(ingest, signal.SIGSTOP)
        db = sqlite3.connect(run.path, isolation_level=None, timeout=0.2)
        try:
            db.execute("UPDATE entry SET body = CAST(x'c1' || substr(body, 2) AS BLOB) WHERE seq = ?", (seq,))
        except sqlite3.OperationalError:
            return False  # it was stopped within a transaction
        finally:
            db.close()
            os.kill(ingest, signal.SIGCONT)
        return True

    until(done, "a moment between two transactions")


@pytest.mark.slow
def test_a_journal_that_is_moved_away_ends_the_run(tmp_path):
    run = Run(tmp_path, publishers=1)
    try:
        moved = tmp_path / "moved.db"
        run.path.rename(moved)
        assert run.process.wait(30) == 2
        assert f"{run.path} was moved or deleted" in run.log.read_text()
        assert not run.path.exists()
        # and a start in its place does not play its newest entries into another journal
        again = birddog("run", "--exercise", "--journal", run.url, "--mqtt-port", "0", "--http-port", "0", "--only", "ingest")
        assert again.returncode == 2 and f"{run.path}-wal is there without its journal" in again.stderr, again
    finally:
        run.stop()
    Path(f"{run.path}-wal").rename(f"{moved}-wal")
    reader = open_reader(f"sqlite:///{moved}")
    assert reader.counts().frames >= run.acknowledged() > 0
    reader.close()


@pytest.mark.slow
def test_flipped_bytes_are_one_line_whatever_reads_them(tmp_path):
    shutil.copy(Path(__file__).parents[1] / "journals" / "v1.db", tmp_path / "good.db")
    good, rng = (tmp_path / "good.db").read_bytes(), random.Random(9)
    refused = 0
    for trial in range(5):
        path = tmp_path / f"j{trial}.db"
        damaged = bytearray(good)
        for _ in range((400, 40, 4, 4000, 1)[trial]):
            damaged[rng.randrange(100, len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        for words in (["journal", "count"], ["journal", "tail", "-n", "100000"], ["journal", "export"], ["rebuild"]):
            done = birddog(*words, "--journal", f"sqlite:///{path}")
            assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr, (trial, words, done.stderr)
            if done.returncode:
                refused += 1
                assert len(done.stderr.splitlines()) == 1 and str(path) in done.stderr, (trial, words, done.stderr)
    assert refused > 5


@pytest.mark.slow
def test_a_run_that_ends_while_a_stream_is_read_says_nothing_of_it(tmp_path):
    made = Run(tmp_path, publishers=0)
    try:
        reading = urllib.request.urlopen(f"http://127.0.0.1:{made.http}/v1/stream", timeout=10)
        with reading:
            assert reading.readline() == b"event: snapshot\n"
            made.process.terminate()
            assert made.process.wait(30) == 0
            while reading.readline():  # whole to its end, no broken chunk
                pass
    finally:
        made.stop()
    said = made.log.read_text()
    assert "Traceback" not in said and "ERROR" not in said and "does not end" not in said, said


# --- its files change under it, its disk fails ------------------------------------------------------

#: Loaded into the run's processes: fsync of the write-ahead log fails, or does not return, while a file is there.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int is(const char *name) { const char *f = getenv(name); return f && access(f, F_OK) == 0; }
static int ours(int fd) {
    char link[64], path[512]; snprintf(link, 64, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 511); if (n < 0) return 0;
    path[n] = 0; return strstr(path, "journal.db-wal") != 0 && !strstr(path, "picture"); }
static int now(int fd, const char *call) {
    if (ours(fd)) { if (is("SHIM_EIO")) { errno = EIO; return -1; } while (is("SHIM_STALL")) usleep(50000); }
    int (*real)(int) = dlsym(RTLD_NEXT, call); return real(fd); }
int fsync(int fd) { return now(fd, "fsync"); }
int fdatasync(int fd) { return now(fd, "fdatasync"); }
"""


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A folder: while EIO or STALL is in it, the journal's disk of a run that is started from now on does so."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc for a disk that fails")
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    for name in ("EIO", "STALL"):
        monkeypatch.setenv(f"SHIM_{name}", str(folder / name))
    monkeypatch.setenv("LD_PRELOAD", str(folder / "shim.so"))
    yield folder


@pytest.mark.slow
def test_a_disk_that_fails_for_seconds_ends_ingest_alone_and_it_comes_back(disk, tmp_path):
    run = Run(tmp_path)
    try:
        others = run.child("picture"), run.child("console")
        (disk / "EIO").touch()
        until(lambda: "disk I/O error" in run.problems(), "/healthz says it")
        before = run.acknowledged()
        run.says_again()
        assert run.acknowledged() == before and run.process.poll() is None
        (disk / "EIO").unlink()
        run.goes_on()
        until(lambda: run.health()["ok"], "healthy again")
        assert (run.child("picture"), run.child("console")) == others
    finally:
        run.stop()
    run.nothing_is_lost()


@pytest.mark.slow
def test_a_disk_that_does_not_answer_is_said_with_the_seconds(disk, tmp_path):
    run = Run(tmp_path)
    try:
        (disk / "STALL").touch()
        said = until(lambda: "has not answered for" in (words := run.problems()) and words, "/healthz says it")
        assert "s: nothing is acknowledged" in said, said
        before = run.acknowledged()
        longest_s = lambda: max(map(int, re.findall(r"has not answered for (\d+) s", run.problems())), default=0)  # noqa: E731
        first_s = longest_s()
        until(lambda: longest_s() > first_s + 1, "the seconds go on")
        assert run.acknowledged() == before and run.process.poll() is None
        (disk / "STALL").unlink()
        run.goes_on()
        until(lambda: run.health()["ok"], "healthy again")
    finally:
        (disk / "STALL").unlink(missing_ok=True)
        run.stop()
    run.nothing_is_lost()


def _older(run: Run) -> Path:
    made = run.folder / "older.db"
    with contextlib.closing(sqlite3.connect(f"file:{run.path}?mode=ro", uri=True)) as db:
        with contextlib.closing(sqlite3.connect(made)) as copy:
            db.backup(copy)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("accident", ["cp", "truncate"])
def test_a_journal_that_is_overwritten_under_a_run_is_said_and_refused_until_that_is_accepted(tmp_path, accident):
    run = Run(tmp_path)
    try:
        run.goes_on()
        older = _older(run)
        run.goes_on()
        if accident == "cp":
            subprocess.run(["cp", older, run.path], check=True)
        else:
            os.truncate(f"{run.path}-wal", 0)
        said = until(lambda: "--accept-loss" in (words := run.problems()) and words, "/healthz says what to do")
        assert "had been acknowledged" in said or "was written for" in said, said
        before = run.acknowledged()
        run.says_again()
        assert run.acknowledged() == before and run.process.poll() is None
    finally:
        run.stop()
    for publisher in run.publishers:
        assert publisher.acknowledged
    words = ["run", "--exercise", "--journal", run.url, "--mqtt-port", "0", "--http-port", "0"]
    refused = birddog(*words)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1 and "--accept-loss" in refused.stderr, refused
    with (tmp_path / "again.log").open("w+") as log:
        again = subprocess.Popen([sys.executable, "-m", "opsroom.cli", *words, "--accept-loss"], stderr=log)
        try:
            until(lambda: "journal: sqlite" in (tmp_path / "again.log").read_text(), "it goes on")
        finally:
            again.terminate()
            assert again.wait(30) == 0
    told = birddog("journal", "export", "--journal", run.url)
    kinds = [json.loads(line)["kind"] for line in told.stdout.splitlines()]
    assert told.returncode == 0 and kinds.count("loss") == 1, told.stderr
    assert birddog("rebuild", "--journal", run.url).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_what_only_lost_its_name_is_saved_and_ingest_comes_back(tmp_path, suffix):
    run = Run(tmp_path)
    try:
        run.goes_on()
        ingest = run.child("ingest")
        os.unlink(f"{run.path}{suffix}")
        until(lambda: run.child("ingest") not in (0, ingest), "another ingest")
        run.goes_on()
        until(lambda: run.health()["ok"], "healthy again")
        last = run.health()["seq"]
        until(lambda: run.health()["seq"] > last, "the picture follows what is written now")
    finally:
        run.stop()
    run.nothing_is_lost()
