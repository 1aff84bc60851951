"""SIGINT and SIGTERM within microseconds of each other: a process ends, without a traceback, whatever it was doing."""

from __future__ import annotations

import ast
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from birddog.journal import open_writer
from opsroom import supervise
from opsroom.signals import Stop

ROOT = Path(__file__).parents[2]
GAPS_S = (0.0, 0.0, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4)

WAITS = "from opsroom.signals import Stop; stop = Stop(); print('ready', flush=True)\nwhile not stop.wait(0.01): pass"
SERVES = ("import asyncio; from opsroom.signals import Stop\n"
          "async def main(stop):\n event = stop.event(); print('ready', flush=True); await event.wait()\n"
          "asyncio.run(main(Stop()))")


def twice(process: subprocess.Popen, rng: random.Random, numbers=(signal.SIGINT, signal.SIGTERM)) -> tuple[int, int]:
    """Send both; how the process may end: by itself, or by a second signal that meets an interpreter that has ended."""
    gap_s = rng.choice(GAPS_S)
    process.send_signal(numbers[0])
    if gap_s:
        time.sleep(gap_s)
    process.send_signal(numbers[1])
    return 0, -numbers[1]


@pytest.mark.parametrize("program", [WAITS, SERVES], ids=["waits", "serves"])
def test_two_signals_at_once_end_whoever_waits(program):
    rng = random.Random(1)
    for trial in range(25):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert child.stdout.readline() == "ready\n"
            ends = twice(child, rng)
            assert child.wait(20) in ends, trial
            assert child.stderr.read() == ""
        finally:
            child.kill()
            child.stdout.close()
            child.stderr.close()


def test_a_handler_within_a_handler_takes_no_lock():
    """The second signal is handled at every line of the first one's handling, and of the waiting."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        stop = Stop((signal.SIGUSR1, signal.SIGUSR2))
        sent = []

        def trace(frame, event, arg):
            if event == "line" and frame.f_code.co_filename.endswith("signals.py") and len(sent) < 40:
                sent.append(frame.f_lineno)
                os.kill(os.getpid(), signal.SIGUSR2)
            return trace

        sys.settrace(trace)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert stop.wait(5.0)
        finally:
            sys.settrace(None)
        assert stop.is_set() and sent
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


BUSY = ("import sys, threading, time; from opsroom.signals import Stop; stop = Stop(leave_s=0.2)\n"
        "held = threading.Lock(); held.acquire(); print('ready', flush=True); held.acquire()")
#: The same, told when the main thread is past Python and not yet asleep: its handler never comes to run.
STUCK = BUSY.replace("held.acquire(); print", "signal.signal(15, lambda *_: None); held.acquire(); print").replace(
    "import sys,", "import signal, sys,")
ENDS_ITSELF = ("import sys, time; from opsroom.signals import Stop; stop = Stop(leave_s=0.0); print('ready', flush=True)\n"
               "stop.set(); time.sleep(0.3); sys.exit(5)")


@pytest.mark.parametrize(("program", "mute"), [(BUSY, False), (BUSY, True), (STUCK, False)], ids=["heard", "mute", "stuck"])
def test_whoever_is_busy_for_ever_leaves_when_its_time_is_up(program, mute):
    """A dead-lock, a scene of an hour, the compiler: whatever it is, two signals end the process."""
    reader, writer = os.pipe()
    if mute:  # full: a line more would be waited for
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    try:
        assert child.stdout.readline() == "ready\n"
        if program is STUCK:
            child.send_signal(signal.SIGTERM)
        else:
            twice(child, random.Random(3))
        assert child.wait(60) == 0
        assert (b"told to end 0.2 s ago" in os.read(reader, 4096)) is not mute
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.close(reader)


def test_whoever_ends_by_itself_says_with_what():
    done = subprocess.run([sys.executable, "-c", ENDS_ITSELF], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "")


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        stop = Stop((signal.SIGUSR1,))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not stop.wait(0.01)
        stop.set()
        assert stop.wait(0.0)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_nobody_else_handles_signals():
    """One place knows what a handler may do: ``threading.Event.set`` in one is a process that hangs."""
    found = []
    for path in ROOT.glob("*/**/*.py"):
        part = path.relative_to(ROOT)
        if part.parts[0] not in ("birddog", "devices", "ingest", "tracking", "imagery", "sim", "opsroom"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("signal.signal", "add_signal_handler", "sigaction", "set_wakeup_fd", "siginterrupt")):
                found.append(str(part))
    assert set(found) == {"opsroom/signals.py"}


def test_a_child_leaves_the_terminals_signals_to_its_parent():
    child = supervise.Child("x", [])
    child.command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child.start()
    try:
        blocked = int(next(line.split()[1] for line in Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
                           if line.startswith("SigBlk:")), 16)
        assert all(blocked >> number - 1 & 1 for number in (signal.SIGINT, signal.SIGHUP))
        assert not blocked >> signal.SIGTERM - 1 & 1
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        child.process.kill()
        child.process.wait()
        child.process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("only", [["--only", "picture"], ["--only", "ingest"], ["--only", "console"], []])
def test_every_process_of_a_run_ends(tmp_path, only):
    url, rng = f"sqlite:///{tmp_path}/j.db", random.Random(2)
    open_writer(url, mode="exercise").close()
    said = {"picture": "picture: ", "ingest": "journal: ", "console": "console: "}[only[1] if only else "console"]
    for trial in range(4):
        words = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", url, "--http-port", "0",
                 "--mqtt-port", "0"]
        with (tmp_path / "log").open("w+") as log:
            run = subprocess.Popen([*words, *only], stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
            try:
                deadline = time.monotonic() + 30
                while said not in (tmp_path / "log").read_text():
                    assert time.monotonic() < deadline and run.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.05)
                ends = twice(run, rng, ((signal.SIGINT, signal.SIGTERM), (signal.SIGHUP, signal.SIGINT))[trial % 2])
                assert run.wait(20) in ends, trial
            finally:
                if run.poll() is None:
                    os.killpg(run.pid, signal.SIGKILL)
                    run.wait()
        assert "Traceback" not in (tmp_path / "log").read_text() and "killed" not in (tmp_path / "log").read_text()
