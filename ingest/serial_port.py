"""Serial port: a GPS or AIS receiver, a reader module; unplugged and plugged again without a restart.

One thread a port.  It blocks in ``read``; where the port fails, or its path leads to another device,
what is left of the stream is handed over as a reject, the session is closed, and the port is opened
again with growing waits of 0.5 to 10 s.  While the intake is full nothing is read; the kernel's
buffer (4 KiB) then overflows, which a serial line can't prevent.
"""

from __future__ import annotations

import logging
import os
import termios
import threading
import time
from collections import deque
from typing import Annotated, Any, Literal

import msgspec
import serial

from birddog.errors import ConfigError
from birddog.model import Frame
from devices import codec
from devices.codec import Piece
from ingest.address import check_format
from ingest.cutter import Cutter
from ingest.intake import Intake, Result
from ingest.sessions import GRACE_S, Backoff, new_session
from ingest.transport import Kind, Threaded

log = logging.getLogger(__name__)

#: What pyserial lets out where a port is gone (SerialException is an OSError; termios' own is not).
_LOST = (OSError, termios.error)
#: How long one read waits; a stop and a changed path are noticed this late.
READ_S = 0.3
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[serial]]``.

    Args:
        port: a path; /dev/serial/by-id/… stays the same when the device is plugged elsewhere.
        format: a stream format: nmea, ais, ubx …
        device: the identity of what is plugged in; ``name`` unless given.
    """

    name: str
    port: str
    format: str
    baud: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 9600
    device: str = ""
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1


def check(settings: Settings, exercise: bool = False) -> None:
    """Refuse what can't work; a port that is not there now may come.

    Raises:
        ConfigError
    """
    field = f"serial {settings.name!r}"
    check_format(settings.format, field=f"{field}.format")
    if not codec.load(settings.format).STREAM:
        raise ConfigError(f"{settings.format} is no stream format", field=f"{field}.format")
    if not settings.port:
        raise ConfigError("wants the path of a serial port", field=f"{field}.port")
    if settings.baud <= 0:
        raise ConfigError(f"wants a positive number, not {settings.baud}", field=f"{field}.baud")


class SerialPort:
    """``run`` is the thread's body; ``stop`` and ``status`` may be called from any thread."""

    def __init__(self, settings: Settings):
        check(settings)
        self._codec = codec.load(settings.format)
        self.settings = settings
        self.name = f"serial:{settings.name}"
        self.counts = dict.fromkeys(
            ("frames", "bytes", "rejects", "acknowledged", "opens", "open_failures", "gaps", "replies", "unsent_replies"), 0)
        self.connected = False
        self.last_error = ""
        self._heard_s = 0.0
        self._warn_from_s = 0.0
        self._said = (0, "")
        self._session = ""
        self._stop = threading.Event()
        self._replies: deque[tuple[str, bytes]] = deque()

    def run(self, intake: Intake) -> None:
        """Open, read until the port is lost, wait, open again; until ``stop``."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        self._warn_from_s = time.monotonic() + GRACE_S
        while not self._stop.is_set():
            try:
                with self._open() as port:
                    self._connected(True)
                    self._read(port, intake, backoff)
            except _LOST as error:
                self._failed(error)
            self._connected(False)
            self._stop.wait(backoff.next_s())

    def stop(self) -> None:
        """Ask ``run`` to end."""
        self._stop.set()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread; what a codec wants answered is written by the port's own thread."""
        self.counts["acknowledged"] += len(results)
        for result in results:
            if result.reply:
                self._replies.append((result.frame.session, result.reply))

    def status(self) -> dict[str, Any]:
        """Counters; ``gaps`` are losses of the port, ``quiet_s`` is the time since the last byte (-1: none yet)."""
        quiet_s = round(time.monotonic() - self._heard_s, 1) if self._heard_s else -1
        return self.counts | {"connected": self.connected, "reconnects": max(self.counts["opens"] - 1, 0), "quiet_s": quiet_s,
                              "last_error": self.last_error}

    def _open(self) -> serial.Serial:
        own = self.settings
        try:
            return serial.Serial(own.port, own.baud, bytesize=own.bytesize, parity=own.parity, stopbits=own.stopbits,
                                 timeout=READ_S, write_timeout=1.0, exclusive=True)
        except ValueError as error:  # pyserial's word for a baud rate that this port doesn't have
            raise OSError(str(error)) from error

    def _read(self, port: serial.Serial, intake: Intake, backoff: Backoff) -> None:
        """Read until the port fails, its path leads elsewhere, or ``stop``."""
        cutter = Cutter(self._codec, self.name)
        self._session = new_session(self.name)
        device = os.fstat(port.fileno()).st_rdev
        try:
            while not self._stop.is_set():
                data = port.read(1)  # blocks; one byte, so that what came with it isn't waited for
                if data:
                    data += port.read(port.in_waiting)
                    backoff.reset()
                    self._heard_s = time.monotonic()
                    self.counts["bytes"] += len(data)
                    self._hand_over(cutter.feed(data), intake)
                elif os.stat(self.settings.port).st_rdev != device:
                    raise OSError(f"{self.settings.port} is another device now")
                self._answer(port)
        except _LOST:
            self.counts["gaps"] += 1
            raise
        finally:
            self._hand_over(cutter.finish(), intake)
            intake.close_session(self._session)
            self._session = ""

    def _hand_over(self, pieces: list[Piece], intake: Intake) -> None:
        own, now_ns = self.settings, time.time_ns()
        frames = [
            Frame(source=self.name, format=own.format, payload=piece.data, received_ns=now_ns, device=own.device or own.name,
                  channel=own.port, session=self._session, reject=piece.reject)
            for piece in pieces
        ]
        if not frames:
            return
        if not intake.put(self, frames, stop=self._stop.is_set):
            log.warning("%s: stopped with the intake full; %d messages were read and are not stored", self.name, len(frames))
            return
        self.counts["frames"] += len(frames)
        self.counts["rejects"] += sum(1 for frame in frames if frame.reject is not None)

    def _answer(self, port: serial.Serial) -> None:
        while self._replies:
            session, reply = self._replies.popleft()
            if session != self._session:
                self.counts["unsent_replies"] += 1
                continue
            port.write(reply)
            self.counts["replies"] += 1

    def _connected(self, now: bool) -> None:
        if now:
            self.counts["opens"] += 1
            log.info("%s: %s is open", self.name, self.settings.port)
        self.connected = now

    def _failed(self, error: Exception) -> None:
        if not self.connected:
            self.counts["open_failures"] += 1
        said = str(error.args[-1] if error.args else error)  # pyserial repeats the number before its words
        waiting = not self.counts["opens"] and time.monotonic() < self._warn_from_s
        level = logging.INFO if waiting else logging.WARNING
        if self._said != (level, said) or self.connected:
            log.log(level, "%s: %s%s", self.name, "waiting: " if waiting else "", said)
        self._said, self.last_error = (level, said), said


KIND = Kind("serial", Settings, check, lambda settings, room: Threaded(SerialPort(settings), room))
