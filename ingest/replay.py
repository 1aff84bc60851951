"""File replay: a capture of a stream format, or JSON lines as ``birddog decode --jsonl`` takes them.

The file is read in blocks, never whole.  A frame's ``received_ns`` is that of the file (``received`` of a
JSON line), else that of the newest message before it which states a time of its own; so a log of last
year comes in as of last year.  A time from where clocks begin that nobody has set is none.  In a file that
states none at all every message stands at the time of its import, and says so (``Frame.undated``).  With
``speed`` 1 messages come as far apart as they were then, with 0 as fast as the desk takes them.

A line that is wrong becomes a frame with a reject, so that its bytes are kept and counted.

A file that is read again, or has grown since, brings only what is new, also of messages without a time of
their own: such a message is known by what it says and by everything that stands before it in the file.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from birddog.directory import Directory
from birddog.errors import ConfigError, DeviceError, UsageError
from birddog.model import Frame, Reject
from birddog.units import NS, ns_from_text
from devices import clock, codec, strict_json
from devices.codec import MAX_FRAME, Decoder, Message
from ingest.address import check_format
from ingest.cutter import Cutter
from ingest.intake import Intake, Result
from ingest.permit import named
from ingest.sessions import new_session

BLOCK = 65_536
#: A longer line is kept with its first MAX_FRAME bytes and the reason ``size``.
MAX_LINE = 4 * MAX_FRAME
BATCH = 500
#: A time that jumps ahead by more is believed only when the next one agrees (a receiver's wrong date: gpsd april6_2019.log).
JUMP_NS = 86_400 * NS
#: Frames held back until a time is known.
HELD = 2000
#: Decoders kept to read the messages' times.
SESSIONS_KEPT = 1000


class Capture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file to replay.

    Args:
        form: ``raw``: bytes of the stream format ``format``; ``jsonl``: the lines say their formats.
        device: the identity of what was recorded, where the bytes don't say.
        speed: times life; 0 as fast as it goes.
    """

    file: str
    name: str = ""
    form: Literal["raw", "jsonl"] = "raw"
    format: str = ""
    device: str = ""
    speed: float = 0.0


class Replay:
    """``run`` returns when everything in the file is stored; ``stop`` and ``status`` may be called from any thread."""

    def __init__(self, capture: Capture, directory: Directory | None = None):
        field = f"replay of {capture.file}"
        if capture.form == "raw":
            check_format(capture.format, field=field)
            if not codec.load(capture.format).STREAM:
                raise ConfigError(f"{capture.format} is no stream format: a file of its messages is JSON lines", field=field)
        if not 0.0 <= capture.speed <= 1e9:
            raise ConfigError("wants a speed of 0 or more", field=field)
        self.capture, self._directory = capture, directory or Directory()
        self.name = f"file:{capture.name or Path(capture.file).name}"
        self.counts = dict.fromkeys(("frames", "bytes", "rejects", "acknowledged", "stored", "duplicates", "refused"), 0)
        self.finished = False
        self.last_error = ""
        self._sessions: set[str] = set()
        self._stored = threading.Condition()
        self._stop = threading.Event()

    def run(self, intake: Intake) -> None:
        """Read the file to its end (or until ``stop``) and wait until it is on disk.

        Raises:
            UsageError: the file can't be read.
        """
        try:
            file = open(self.capture.file, "rb")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=self.capture.file) from error
        with file:
            frames = self._raw(file) if self.capture.form == "raw" else self._lines(file)
            self._hand_over(_Stamper().stamped(frames), intake)
        for session in sorted(self._sessions):
            intake.close_session(session)
        with self._stored:
            while self.counts["acknowledged"] < self.counts["frames"] and not self._stop.is_set():
                self._stored.wait(0.2)
        self.finished = not self._stop.is_set()

    def stop(self) -> None:
        """Ask ``run`` to end."""
        self._stop.set()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread; a file expects no answer."""
        with self._stored:
            self.counts["acknowledged"] += len(results)
            for result in results:
                key = {"stored": "stored", "duplicate": "duplicates", "refused": "refused"}[result.outcome]
                self.counts[key] += 1
            self._stored.notify()

    def status(self) -> dict[str, Any]:
        """Counters: handed over (frames, bytes, of them rejects), and what became of them."""
        return self.counts | {"connected": not self.finished, "reconnects": 0, "gaps": 0, "last_error": self.last_error}

    # --- pace -------------------------------------------------------------------------------------

    def _hand_over(self, frames: Iterator[tuple[Frame, int | None]], intake: Intake) -> None:
        speed, began_s, first_ns = self.capture.speed, time.monotonic(), None
        batch: list[Frame] = []
        for frame, time_ns in frames:
            if self._stop.is_set():
                return
            if speed and time_ns is not None:
                first_ns = time_ns if first_ns is None else first_ns
                wait_s = began_s + (time_ns - first_ns) / NS / speed - time.monotonic()
                if wait_s > 0.0:
                    self._put(batch, intake)
                    batch = []
                    if self._stop.wait(wait_s):
                        return
            if time_ns is None:
                frame.undated, time_ns = True, time.time_ns()
            frame.received_ns = time_ns
            batch.append(frame)
            if len(batch) >= BATCH:
                self._put(batch, intake)
                batch = []
        self._put(batch, intake)

    def _put(self, batch: list[Frame], intake: Intake) -> None:
        if not batch or not intake.put(self, batch, stop=self._stop.is_set):
            return
        with self._stored:
            self.counts["frames"] += len(batch)
        self.counts["bytes"] += sum(len(frame.payload) for frame in batch)
        self.counts["rejects"] += sum(1 for frame in batch if frame.reject is not None)
        lone = {frame.session for frame in batch} - self._sessions
        for session in sorted(lone):  # lines without a session of their own
            intake.close_session(session)

    # --- the two forms: frames and the times that the file or the message states -------------------------

    def _raw(self, file: BinaryIO) -> Iterator[tuple[Frame, int | None]]:
        own = self.capture
        module = codec.load(own.format)
        cutter, clock, marks = Cutter(module, self.name), _Peek(), _Marks()
        session = new_session(self.name)
        self._sessions.add(session)
        more = True
        while more:
            block = file.read(BLOCK)
            more = bool(block)
            for piece in cutter.feed(block) if more else cutter.finish():
                frame = Frame(source=self.name, format=own.format, payload=piece.data, received_ns=0, device=own.device,
                              channel=own.file, session=session, reject=piece.reject, mark=marks.next(piece.data))
                yield frame, clock.time_of(frame)

    def _lines(self, file: BinaryIO) -> Iterator[tuple[Frame, int | None]]:
        clock, base, marks = _Peek(), new_session(self.name), _Marks()
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            mark = marks.next(line.rstrip(b"\r\n"))
            if not line.endswith(b"\n") and len(line) == MAX_LINE:
                size = len(line)
                while rest := file.readline(BLOCK):
                    size += len(rest)
                    if rest.endswith(b"\n"):
                        break
                wrong = Reject("size", f"line {number}: {size} bytes; the first {MAX_FRAME} are kept")
                yield self._wrong(line[:MAX_FRAME], wrong, f"{base}/line{number}", mark), None
                continue
            line = line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")
            if not line.strip():
                continue
            try:
                frame, time_ns = self._line(line, base, number)
            except DeviceError as error:
                wrong = Reject(error.reason, f"line {number}: {error.detail}")
                yield self._wrong(line, wrong, f"{base}/line{number}", mark), None
                continue
            frame.mark = mark
            yield frame, clock.time_of(frame) if time_ns is None else time_ns

    def _line(self, line: bytes, base: str, number: int) -> tuple[Frame, int | None]:
        said = strict_json.loads(line)
        if type(said) is not dict:
            raise DeviceError("format", "no JSON object")
        said = {key: value for key, value in said.items() if value is not None}
        if type(said.get("session")) is int:
            said["session"] = str(said["session"])
        for key in ("format", "hex", "text", "topic", "session", "device"):
            if not isinstance(said.get(key, ""), str):
                raise DeviceError("type", f"{key} is no text")
        if "format" not in said or ("hex" in said) == ("text" in said):
            raise DeviceError("format", "wants format and either hex or text")
        try:
            payload = bytes.fromhex(said["hex"]) if "hex" in said else said["text"].encode()
        except ValueError as error:
            raise DeviceError("format", "hex is not hexadecimal, or text holds half a character") from error
        time_ns = None
        if "received" in said:
            try:
                time_ns = ns_from_text(str(said["received"]))
            except (ValueError, OverflowError) as error:
                raise DeviceError("value", f"received: {error}") from error
        topic = said.get("topic", "")
        device = self.capture.device or said.get("device") or named(self._directory, said["format"], topic)
        session = f"{base}/line{number}"
        if said.get("session"):
            session = f"{base}/session {said['session']}"
            self._sessions.add(session)
        frame = Frame(source=self.name, format=said["format"], payload=payload, received_ns=0, device=device,
                      channel=topic or self.capture.file, session=session)
        return frame, time_ns

    def _wrong(self, line: bytes, reject: Reject, session: str, mark: bytes) -> Frame:
        return Frame(source=self.name, format="jsonl", payload=line, received_ns=0, device=self.capture.device,
                     channel=self.capture.file, session=session, reject=reject, mark=mark)


class _Marks:
    """What tells a message in a file from an equal one: see ``birddog.model.Frame.mark``."""

    def __init__(self) -> None:
        self._before = hashlib.blake2b(digest_size=16)
        self._count = 0
        self._lead = b""

    def next(self, data: bytes) -> bytes:
        """The mark of the message that stands next in the file."""
        self._before.update(b"%d:" % len(data))
        self._before.update(data)
        mark = self._before.digest()
        if self._count % BATCH == 0:
            self._lead = mark[:4]
        self._count += 1
        return self._lead + mark


class _Peek:
    """Reads a message's own time, with decoders apart from the desk's."""

    def __init__(self) -> None:
        self._decoders: OrderedDict[tuple[str, str], Decoder] = OrderedDict()

    def time_of(self, frame: Frame) -> int | None:
        """The first time that the message states, or None."""
        if frame.reject is not None or not codec.known(frame.format):
            return None
        module = codec.load(frame.format)
        decoder = self._decoders.setdefault((frame.session, frame.format), module.Decoder())
        self._decoders.move_to_end((frame.session, frame.format))
        if len(self._decoders) > SESSIONS_KEPT:
            self._decoders.popitem(last=False)
        message = Message(payload=frame.payload, device=frame.device, topic=frame.channel)
        try:
            decoded = codec.decode_whole(module, decoder, message)
        except Exception:  # noqa: BLE001 - boundary: a codec's bug; the desk meets it again, keeps the bytes and logs it
            return None
        stated = (o.time_ns for o in decoded.observations if o.time_ns is not None and o.time_source != "server")
        return next((time_ns for time_ns in stated if not clock.unset(time_ns)), None)


class _Stamper:
    """Gives each frame a time: its own, or that of what came before; never back, and not off by a wrong date.

    Frames before the first time get the first time; a time that jumps ahead is held until the next agrees.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._jump_ns: int | None = None
        self._held: list[Frame] = []

    def stamped(self, frames: Iterator[tuple[Frame, int | None]]) -> Iterator[tuple[Frame, int | None]]:
        """The same frames in the same order, each with a time; None while the file has stated none at all."""
        for frame, time_ns in frames:
            if time_ns is not None:
                yield from self._time(time_ns)
            if self._last_ns is None or self._jump_ns is not None:
                self._held.append(frame)
                if len(self._held) >= HELD:
                    yield from self._release(self._last_ns)
            else:
                yield frame, self._last_ns
        yield from self._release(self._last_ns if self._jump_ns is None else self._jump_ns)

    def _time(self, time_ns: int) -> Iterator[tuple[Frame, int | None]]:
        last, jump = self._last_ns, self._jump_ns
        if last is None:
            self._last_ns = time_ns
            yield from self._release(time_ns)
            return
        if jump is not None:
            yield from self._release(jump if abs(time_ns - jump) <= JUMP_NS else last)
            last = self._last_ns or last
        if time_ns - last > JUMP_NS:
            self._jump_ns = time_ns
        elif time_ns > last:
            self._last_ns = time_ns

    def _release(self, time_ns: int | None) -> Iterator[tuple[Frame, int | None]]:
        held, self._held, self._jump_ns = self._held, [], None
        self._last_ns = time_ns
        for frame in held:
            yield frame, time_ns
