"""Takes captures of one's own (a serial log, an AIS log, a tracker's stream) into an exercise journal."""

from __future__ import annotations

import heapq
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from birddog import __version__
from birddog.directory import Directory
from birddog.errors import BirddogError, UsageError
from birddog.journal import Counts, Reader, entries, home, open_writer
from birddog.keyring import Keyring
from birddog.model import TIMELESS, Draft, Frame, FrameBody, RefusalBody, Start, pack, unpack
from devices import codec
from devices.codec import Message
from devices.formats import positions
from ingest.desk import Desk
from ingest.intake import Intake, Result
from ingest.replay import Capture, Replay
from opsroom.secret import refusal_keys
from opsroom.unfed import Account
from tracking.presets import Presets

#: Entries a commit.
ROWS = 5000


def take(files: list[Path], url: str, *, format_name: str, device: str,
         tell: Callable[[Account], None] | None = None) -> Counts:
    """Read files into a journal, merged in order of time; what the journal holds then.

    Args:
        files: captures of one format; ``.jsonl``: lines as `birddog decode --jsonl` takes them.
        url: an exercise journal; made where it is absent.
        tell: called at the end with what the new messages fed.

    Raises:
        UsageError: a file or the format is wrong.
        JournalError: the journal is a live one, or in use.
    """
    with tempfile.TemporaryDirectory(prefix="birddog-capture-") as folder:
        if format_name == "positions":
            files = [_in_time(file, Path(folder) / file.name) for file in files]
        return _take(files, url, format_name, device, tell)


def _take(files: list[Path], url: str, format_name: str, device: str, tell: Callable[[Account], None] | None) -> Counts:
    captures = []
    for file in files:
        form: Literal["raw", "jsonl"] = "jsonl" if file.suffix == ".jsonl" else "raw"
        name = device or (file.stem if form == "raw" and codec.is_nameless(format_name) else "")
        captures.append(Capture(file=str(file), form=form, format=format_name, device=name))
    for capture in captures:
        Replay(capture)  # what is wrong with it, before a journal is made
    writer = open_writer(url, mode="exercise")
    try:
        desk = Desk(writer, exercise=True, refusal_key=refusal_keys(home(url), exercise=True), clock="frames",
                    keyring=Keyring(home(url)))
        replays = [Replay(capture, desk.directory) for capture in captures]
        streams = [_frames(replay) for replay in replays]
        merged = heapq.merge(*streams, key=lambda frame: frame.received_ns)
        source = _File()
        before, started = writer.last_seq(), _is_started(writer)
        while batch := list(itertools.islice(merged, ROWS)):
            if not started:
                # also where cases and devices were entered first: the fold must know that this is an exercise
                _start(desk, batch[0].received_ns)
                started = True
            desk.take([(source, batch)], time.time_ns())
        if tell is not None:
            tell(_account(writer, before, desk.directory))
        return writer.counts()
    finally:
        writer.close()


def _is_started(journal: Reader) -> bool:
    """Whether the fold's start stands before everything that is folded."""
    return next((entry.kind == "start" for entry in entries(journal) if entry.kind not in TIMELESS), False)


def _account(journal: Reader, after: int, directory: Directory) -> Account:
    """What the messages behind an entry fed; the registers did not change meanwhile, we are the only writer."""
    account = Account(directory, exercise=True)
    for entry in entries(journal, after):
        if entry.kind in ("frame", "refusal") and not entry.erased:
            body = unpack(entry)
            assert isinstance(body, FrameBody | RefusalBody)
            account.count(body, entry.received_ns)
    return account


class _File:
    """The source of frames that nobody waits to have acknowledged: the file is still there."""

    name = "file"

    def acknowledge(self, results: list[Result]) -> None:
        """Nothing to tell."""


def _frames(replay: Replay) -> Iterator[Frame]:
    """A capture's frames as they are read, a bounded number ahead."""
    intake = Intake(ROWS)
    failed: list[BirddogError] = []

    def read() -> None:
        try:
            replay.run(intake)
        except BirddogError as error:
            failed.append(error)

    thread = threading.Thread(target=read, name=replay.name, daemon=True)
    thread.start()
    try:
        while True:
            alive = thread.is_alive()
            items = intake.take(ROWS, 0.05)
            for item in items:
                if isinstance(item, tuple):
                    yield from item[1]
                    # "taken over": the reader of the file ends when all of it is
                    replay.acknowledge([Result(frame, "stored") for frame in item[1]])
            if not items and not alive:
                break
    finally:
        replay.stop()
        thread.join(10.0)
    if failed:
        raise failed[0]


def _in_time(file: Path, made: Path) -> Path:
    """A copy of a table of positions with its rows in order of time: exports are often sorted by vessel.

    A row whose time cannot be read stays behind the row before it.  Holds the whole file in memory.
    """
    try:
        rows = file.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(file)) from error
    decoder = positions.Decoder()
    keyed: list[tuple[int, bytes]] = []
    last = -1
    for row in rows:
        decoded = decoder.decode(Message(payload=row))
        if decoded.observations and decoded.observations[0].time_ns is not None:
            last = decoded.observations[0].time_ns
        keyed.append((last, row if row.endswith(b"\n") else row + b"\n"))
    # the header, and what is wrong before the first good row, come first: their key is -1
    keyed.sort(key=lambda pair: pair[0])
    made.write_bytes(b"".join(row for _, row in keyed))
    return made


def _start(desk: Desk, time_ns: int) -> None:
    # the fold's own start stands at the beginning of the capture, not at the time of its taking
    start = Start(version=__version__, presets=msgspec.to_builtins(Presets()), exercise=True)
    desk.journal.append([Draft(kind="start", received_ns=time_ns, source="replay", ident=f"start {time_ns}".encode(),
                               body=pack(start))])
