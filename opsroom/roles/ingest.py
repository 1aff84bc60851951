"""The ingest process: every transport and the one writer of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from birddog import __version__
from birddog.errors import JournalError, JournalFull, JournalGone, JournalHeld, place_of
from birddog.journal import Writer, open_writer
from birddog.keyring import Keyring
from birddog.model import Start
from birddog.units import NS
from ingest import control
from ingest.clock import Kind
from ingest.desk import Desk
from ingest.intake import Entries, Intake
from ingest.transport import Room, Transport
from ingest.writer import WriterThread
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.secret import refusal_keys
from opsroom.signals import LEAVE_WRITER_S, Stop
from opsroom.stamps import StampThread
from opsroom.status import Board
from opsroom.witnesses import WitnessThread

log = logging.getLogger(__name__)

#: After a kill the old writer's lock goes with it; a supervised one may take a moment to notice.
LOCK_PATIENCE_S = 10.0
#: A commit that takes longer is said: milliseconds are usual.
STALLED_S = 2.0
#: A disk that answers nobody stops us too, before we can say so: then our silence does.
SILENT_S = 4.5
#: A certificate that expires sooner is a problem: time enough to make another.
CERTIFICATE_DAYS = 14
#: The disk is nearly full where less than this share and less than so many bytes are free.
FREE_SHARE, FREE_BYTES = 0.1, 2_000_000_000


def run(plan: Plan) -> int:
    """Take in messages until a signal; everything that was taken in is on disk when this returns."""
    if not plan.exercise:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold positions that may not be kept
    return asyncio.run(_run(plan, Stop(leave_s=LEAVE_WRITER_S)))


async def _run(plan: Plan, asked: Stop) -> int:
    stop = asked.event()
    loop = asyncio.get_running_loop()
    config, place = plan.config, plan.home
    board = Board(place, "ingest")
    writer = await _open(plan, stop, board)
    if writer is None:
        return 0
    board.write({"problem": "is starting"})
    broken: list[JournalError] = []

    def failed(error: JournalError) -> None:
        broken.append(error)
        loop.call_soon_threadsafe(stop.set)

    intake = Intake(config.journal.queue_frames)
    clock: Kind = "messages" if plan.messages_clock else "wall"
    secrets = refusal_keys(place, exercise=plan.exercise)
    desk = Desk(writer, exercise=plan.exercise, refusal_key=secrets, clock=clock, keyring=Keyring(place))
    thread = WriterThread(desk, intake, config.journal, failed)
    crashed: dict[str, str] = {}
    others: list[WitnessThread | StampThread] = []
    loop.set_exception_handler(lambda _, context: _connection_crashed(context, crashed))
    async with contextlib.AsyncExitStack() as stack:
        thread.start()
        stack.callback(thread.join)
        stack.callback(thread.stop)
        if config.witness:
            others.append(WitnessThread(config.witness, place))
        if config.evidence is not None:
            others.append(StampThread(config.evidence, place))
        for other in others:
            other.start()
            stack.callback(other.stop)
        server = control.ControlServer(place, intake)
        server.start()
        stack.callback(server.stop)
        _enter_start(plan, intake)
        sources = await _sources(plan, intake, desk, stack, crashed)
        say(f"journal: {config.journal.url}{' (EXERCISE)' if plan.exercise else ''}")
        while not stop.is_set():
            board.write(_status(thread, intake, sources, crashed, place.folder, others))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    writer.close()
    if broken:
        board.write({"problem": str(broken[0])})
        if isinstance(broken[0], JournalGone):
            raise broken[0]
        return 1
    board.remove()
    return 0


async def _open(plan: Plan, stop: asyncio.Event, board: Board) -> Writer | None:
    """The journal's writer, when the one before has let go of it and all is well; None when told to stop before.

    The journal was there, and well, when the run began.  What is wrong with it now ends nobody: it is said, the console
    stays, and it is tried again, for somebody may put it right.
    """
    deadline = time.monotonic() + LOCK_PATIENCE_S
    said = ""
    while not stop.is_set():
        try:
            return open_writer(plan.config.journal.url, mode="exercise" if plan.exercise else "live", create=False,
                               log=plan.config.journal.log, master=plan.config.journal.master_key)
        except JournalHeld:
            if time.monotonic() > deadline:
                raise
        except JournalError as error:
            if str(error) != said:
                say(f"birddog ingest: {error}; waiting{' for room' if isinstance(error, JournalFull) else ''}")
            said = str(error)
            board.write({"problem": said})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0 if said else 0.1)
    return None


def _enter_start(plan: Plan, intake: Intake) -> None:
    presets: dict[str, Any] = msgspec.to_builtins(plan.config.presets())
    start = Start(version=__version__, presets=presets, exercise=plan.exercise)
    intake.enter(Entries([control.own(start, source="run")], lambda numbers: None))


async def _sources(plan: Plan, intake: Intake, desk: Desk, stack: contextlib.AsyncExitStack,
                   crashed: dict[str, str]) -> list[Transport]:
    """Every transport of the plan, started; stopped in the other order at the end."""

    def fault(name: str, error: Exception) -> None:
        crashed[name] = type(error).__name__

    room = Room(intake, plan.exercise, desk.directory, fault)
    sources = []
    for kind, settings in plan.config.transports():
        source = kind.make(settings, room)
        await source.start()
        stack.push_async_callback(source.stop)
        sources.append(source)
        for port in source.ports:
            say(f"{source.name}: port {port}")
    return sources


def _connection_crashed(context: dict[str, Any], crashed: dict[str, str]) -> None:
    """A task of the event loop ended in a fault of ours: one line, and /healthz says it."""
    error = context.get("exception")
    if error is None:
        log.warning("%s", context.get("message"))
        return
    log.error("a connection crashed: %s", place_of(error))
    crashed["a connection"] = type(error).__name__


def _status(thread: WriterThread, intake: Intake, sources: list[Transport], crashed: dict[str, str],
            folder: Path, others: Sequence[WitnessThread | StampThread] = ()) -> dict[str, Any]:
    problems = ["the disk is full: nothing is acknowledged"] if thread.full else []
    warnings: list[str] = []
    disk: dict[str, Any] = {}
    with contextlib.suppress(OSError):  # a folder that is gone is said elsewhere
        usage = shutil.disk_usage(folder)
        disk = {"disk_free_bytes": usage.free, "disk_total_bytes": usage.total}
        if not thread.full and usage.free < FREE_BYTES and usage.free < FREE_SHARE * usage.total:
            warnings.append(f"the journal's disk is nearly full: {usage.free / 1e6:.0f} MB are free")
    if (stalled_s := thread.stalled_s) > STALLED_S:
        problems.append(f"the journal's disk has not answered for {stalled_s:.0f} s: nothing is acknowledged")
    clock = thread.desk.clock
    if (agreed := clock.devices_say) is not None:
        off_s = agreed.offset_ns / NS
        which = "ahead of" if off_s > 0 else "behind"
        problems.append(f"{agreed.devices} devices agree on a time {abs(off_s):.0f} s {which} this machine's:"
                        " its clock is wrong; put it right")
    if clock.behind_s > 1.0:
        problems.append(f"this machine's clock is {clock.behind_s:.0f} s behind the journal's: silence is not noticed")
    if abs(off := clock.not_believed_s) >= 1.0:
        problems.append(f"this machine's clock was set {abs(off):.0f} s {'ahead' if off > 0 else 'back'} while we ran; the"
                        " journal's time goes on as it went: put the clock right, or start again where it is right now")
    row: dict[str, Any] = {"entries_total": thread.entries, "commits_total": thread.commits, "queued_frames": intake.held,
                           "decoder_crashes_total": thread.desk.crashes} | disk
    for source in sources:
        said = source.status()
        if said.get("connected") is False:
            problems.append(f"{source.name} is not connected{': ' + said['last_error'] if said.get('last_error') else ''}")
        elif said.get("subscribed") is False:
            problems.append(f"{source.name} hears nothing yet{': ' + said['last_error'] if said.get('last_error') else ''}")
        if said.get("contested"):
            warnings.append(f"{source.name}: {said['last_error']}")
        if expires := said.get("tls_expires_unix_s"):
            days = (expires - time.time()) / 86_400
            if days < 0:
                problems.append(f"{source.name}: its certificate has expired")
            elif days < CERTIFICATE_DAYS:
                warnings.append(f"{source.name}: its certificate expires in {int(days)} days")
        row.setdefault("refused_connects", []).extend(said.get("refused_connects", ()))
        for key, value in said.items():
            if isinstance(value, bool | int | float):
                row[f"{source.name}_{key}"] = value
    if thread.desk.crashes:
        problems.append(f"{thread.desk.crashes} messages crashed their decoder; their bytes are in the journal")
    problems += [f"{name} crashed ({error}); the log says where" for name, error in crashed.items()]
    for other in others:
        problems += other.problems()
        warnings += other.warnings()
        row |= other.counts()
    row["stale_after_s"] = SILENT_S
    return row | {"problem": "; ".join(problems), "warning": "; ".join(warnings)}
