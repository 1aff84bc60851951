"""Takes captures of one's own (a serial log, an AIS log, a tracker's stream) into an exercise journal."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import msgspec

from birddog import __version__
from birddog.errors import BirddogError, UsageError
from birddog.journal import Counts, open_writer, path_of
from birddog.model import Draft, Start, pack
from devices.codec import Message
from devices.formats import positions
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.replay import Capture, Replay
from opsroom.secret import refusal_key
from tracking.presets import Presets

#: Formats whose bytes name no device: the file's name stands for it.
NAMELESS = ("nmea", "ubx", "positions")
#: Entries a commit.
ROWS = 5000


def take(files: list[Path], url: str, *, format_name: str, device: str) -> Counts:
    """Read files into a journal, each entry at the time that its capture says; what the journal holds then.

    Args:
        files: captures of one format; ``.jsonl``: lines as `birddog decode --jsonl` takes them.
        url: an exercise journal; made where it is absent.

    Raises:
        UsageError: a file or the format is wrong.
        JournalError: the journal is a live one, or in use.
    """
    with tempfile.TemporaryDirectory(prefix="birddog-capture-") as folder:
        if format_name == "positions":
            files = [_in_time(file, Path(folder) / file.name) for file in files]
        return _take(files, url, format_name, device)


def _take(files: list[Path], url: str, format_name: str, device: str) -> Counts:
    replays = []
    for file in files:
        form = "jsonl" if file.suffix == ".jsonl" else "raw"
        name = device or (file.stem if form == "raw" and format_name in NAMELESS else "")
        replays.append(Replay(Capture(file=str(file), form=form, format=format_name, device=name)))
    writer = open_writer(url, mode="exercise")
    try:
        desk = Desk(writer, exercise=True, refusal_key=refusal_key(path_of(url)), clock="frames")
        for replay in replays:
            _one(replay, desk)
        return writer.counts()
    finally:
        writer.close()


def _one(replay: Replay, desk: Desk) -> None:
    intake = Intake()
    failed: list[BirddogError] = []

    def read() -> None:
        try:
            replay.run(intake)
        except BirddogError as error:
            failed.append(error)

    thread = threading.Thread(target=read, name=replay.name, daemon=True)
    thread.start()
    try:
        while thread.is_alive() or intake.held:
            items = intake.take(ROWS, 0.05)
            if items and desk.journal.last_seq() == 0:
                first = next(item for item in items if isinstance(item, tuple))
                _start(desk, first[1][0].received_ns)
            if items:
                desk.take(items, time.time_ns())
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
