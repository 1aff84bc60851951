"""The ingest process: every transport and the one writer of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from typing import Any

import msgspec

from birddog import __version__
from birddog.errors import JournalError, JournalFull, JournalHeld
from birddog.journal import Writer, open_writer
from birddog.model import Start
from ingest import control
from ingest.broker import Broker
from ingest.datagrams import UdpListener
from ingest.desk import Clock, Desk
from ingest.endpoint import Endpoint
from ingest.intake import Entries, Intake
from ingest.listener import TcpListener
from ingest.modbus_poll import ModbusPoll
from ingest.permit import DirectoryPermit, ExercisePermit
from ingest.serial_port import SerialPort
from ingest.writer import WriterThread
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.secret import refusal_key
from opsroom.status import Board

#: After a kill the old writer's lock goes with it; a supervised one may take a moment to notice.
LOCK_PATIENCE_S = 10.0


def run(plan: Plan) -> int:
    """Take in messages until a signal; everything that was taken in is on disk when this returns."""
    return asyncio.run(_run(plan))


async def _run(plan: Plan) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    config, path = plan.config, plan.journal_path
    board = Board(path, "ingest")
    writer = await _open(plan, stop, board)
    if writer is None:
        return 0
    board.write({"problem": "is starting"})
    broken: list[JournalError] = []

    def failed(error: JournalError) -> None:
        broken.append(error)
        loop.call_soon_threadsafe(stop.set)

    intake = Intake(config.journal.queue_frames)
    clock: Clock = "messages" if plan.messages_clock else "wall"
    desk = Desk(writer, exercise=plan.exercise, refusal_key=refusal_key(path), clock=clock)
    thread = WriterThread(desk, intake, config.journal, failed)
    async with contextlib.AsyncExitStack() as stack:
        thread.start()
        stack.callback(thread.join)
        stack.callback(thread.stop)
        server = control.ControlServer(path, intake)
        server.start()
        stack.callback(server.stop)
        _enter_start(plan, intake)
        sources = await _sources(plan, intake, desk, stack)
        say(f"journal: {config.journal.url}{' (EXERCISE)' if plan.exercise else ''}")
        while not stop.is_set():
            board.write(_status(thread, intake, sources))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    writer.close()
    if broken:
        board.write({"problem": str(broken[0])})
        return 1
    board.remove()
    return 0


async def _open(plan: Plan, stop: asyncio.Event, board: Board) -> Writer | None:
    """The journal's writer, when the one before has let go of it and there is room; None when told to stop before."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    full = False
    while not stop.is_set():
        try:
            return open_writer(plan.config.journal.url, mode="exercise" if plan.exercise else "live")
        except JournalHeld:
            if time.monotonic() > deadline:
                raise
        except JournalFull as error:
            if not plan.journal_path.exists():
                raise  # nothing of this run is there yet: whoever starts it shall know
            if not full:
                say(f"birddog ingest: {error}; waiting for room")
            full = True
            board.write({"problem": str(error)})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0 if full else 0.1)
    return None


def _enter_start(plan: Plan, intake: Intake) -> None:
    presets: dict[str, Any] = msgspec.to_builtins(plan.config.tracking)
    start = Start(version=__version__, presets=presets, exercise=plan.exercise)
    intake.enter(Entries(control.drafts_of([control.wanted(start, source="run")]), lambda numbers: None))


async def _sources(plan: Plan, intake: Intake, desk: Desk, stack: contextlib.AsyncExitStack) -> list[Any]:
    config, exercise = plan.config, plan.exercise
    permit = ExercisePermit() if exercise else DirectoryPermit(desk.directory)
    sources: list[Any] = [Endpoint("mqtt", config.endpoint, intake, exercise=exercise, who=permit)]
    sources += [TcpListener(settings, intake, exercise=exercise) for settings in config.tcp]
    sources += [UdpListener(settings, intake, exercise=exercise) for settings in config.udp]
    for source in sources:
        await source.start()
        stack.push_async_callback(source.stop)
        for port in source.ports:
            say(f"{source.name}: port {port}")
    threads: list[Any] = [SerialPort(settings) for settings in config.serial]
    threads += [ModbusPoll(settings, exercise=exercise) for settings in config.modbus]
    threads += [Broker(settings, exercise=exercise) for settings in config.broker]
    for source in threads:
        runner = threading.Thread(target=source.run, args=(intake,), name=source.name, daemon=True)
        runner.start()
        stack.callback(runner.join, 5.0)
        stack.callback(source.stop)
    return sources + threads


def _status(thread: WriterThread, intake: Intake, sources: list[Any]) -> dict[str, Any]:
    problems = ["the disk is full: nothing is acknowledged"] if thread.full else []
    if thread.desk.behind_s > 1.0:
        problems.append(f"this machine's clock is {thread.desk.behind_s:.0f} s behind the journal's: silence is not noticed")
    row: dict[str, Any] = {"entries_total": thread.entries, "commits_total": thread.commits, "queued_frames": intake.held,
                           "decoder_crashes_total": thread.desk.crashes}
    for source in sources:
        said = source.status()
        if said.get("connected") is False:
            problems.append(f"{source.name} is not connected{': ' + said['last_error'] if said.get('last_error') else ''}")
        elif said.get("subscribed") is False:
            problems.append(f"{source.name} hears nothing yet{': ' + said['last_error'] if said.get('last_error') else ''}")
        for key, value in said.items():
            if isinstance(value, bool | int | float):
                row[f"{source.name}_{key}"] = value
    if thread.desk.crashes:
        problems.append(f"{thread.desk.crashes} messages crashed their decoder; their bytes are in the journal")
    return row | {"problem": "; ".join(problems)}
