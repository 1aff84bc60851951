"""The local socket by which operators, imagery and the console hand entries to the one writer.

``PATH.sock`` beside the journal, mode 0600: who may open it may write the journal file anyway.  One
request a connection: 4 bytes length (big endian), then MessagePack of a list of ``Wanted``; the
answer, framed alike, is the list of numbers that the entries got (0 = its ``nonce`` was there
before: asking again is safe), a text that says why not, or nil: not on disk yet, ask again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from birddog.errors import BirddogError, JournalError, JournalHeld, UsageError
from birddog.journal import Home, home, open_reader, open_writer
from birddog.model import KINDS, Body, Denial, Draft, EntryKind, pack
from ingest import asked
from ingest.intake import Entries, Intake

log = logging.getLogger(__name__)

#: Scans carry thumbnails; nothing an operator sends comes near this.
MAX_REQUEST = 64 * 1024 * 1024
#: The writer answers within this, s.
ANSWER_S = 30.0
#: A nonce is the entry's ident: bytes, some, but not more than the head file has room for (``birddog.journal.head``).
MAX_NONCE = 32
_NAMES = {kind.body: kind.name for kind in KINDS}
#: What may be asked for; everything else is written by ourselves.
_ALLOWED = {kind.name: kind.body for kind in KINDS if kind.asked}
#: What msgspec raises on bytes that are no MessagePack of ours: also Python's own on text that is no UTF-8.
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry that somebody wants written; ``actor`` is the person, "" where a program asks for itself."""

    kind: EntryKind
    source: str
    nonce: bytes
    body: bytes
    operation: str = ""
    actor: str = ""


class Denied(UsageError):
    """Somebody asked for what is not written; ``entry`` is the record of that."""

    def __init__(self, words: str, request: Wanted, reason: Literal["kind", "body", "nonce"]):
        super().__init__(words)
        body = Denial(wanted=request.kind if request.kind in _NAMES.values() else "", reason=reason)
        # the same request asked for again, for want of an answer, is refused again and stands there once
        asked = hashlib.sha256(msgspec.msgpack.encode([reason, request])).digest()[:16]
        self.entry = Draft(kind="denial", received_ns=0, source="control", ident=asked, body=pack(body),
                           operation=_name(request.operation), actor=_name(request.actor))


class NoWriter(BirddogError):
    """No process is writing this journal now."""


class NoAnswer(JournalError):
    """The writer took the request, perhaps, and did not answer; asking again with the same nonce is safe."""


def wanted(body: Body, *, source: str, nonce: bytes | None = None, actor: str = "") -> Wanted:
    """An entry to ask for; a nonce of its own makes asking twice the same as once.

    Args:
        actor: the person who wants it; a decision says itself whose it is.
    """
    return Wanted(kind=_NAMES[type(body)], source=source, nonce=nonce or os.urandom(16), body=pack(body),
                  operation=getattr(body, "operation", ""), actor=actor or getattr(body, "by", ""))


def drafts_of(requests: Sequence[Wanted]) -> list[Draft]:
    """The drafts of a request, checked.

    Raises:
        Denied: a body that is not of its kind, a kind that nobody may ask for, or a nonce that cannot be an ident.
    """
    out = []
    for request in requests:
        if request.kind not in _ALLOWED:
            raise Denied(f"entries of kind {request.kind[:40]!r} are written by the desk only", request, "kind")
        try:
            body = msgspec.msgpack.decode(request.body, type=_ALLOWED[request.kind])
        except _DAMAGED as error:
            raise Denied(f"the body of this {request.kind!r} entry is wrong: {error}", request, "body") from error
        try:
            asked.check(body, msgspec.msgpack.decode(request.body))
            asked.text(request.source, "source", most=asked.NAME_MOST, empty=False)
            asked.text(request.actor, "actor", most=asked.NAME_MOST)
        except (asked.Wrong, *_DAMAGED) as error:
            raise Denied(f"the body of this {request.kind!r} entry is wrong: {error}", request, "body") from error
        if not 0 < len(request.nonce) <= MAX_NONCE:
            raise Denied(f"a nonce has 1 to {MAX_NONCE} bytes, this one {len(request.nonce)}", request, "nonce")
        out.append(_draft(request, body))
    return out


def own(body: Body, *, source: str) -> Draft:
    """The draft of an entry that the program itself writes, which nobody may ask for."""
    return _draft(wanted(body, source=source), body)


def _draft(request: Wanted, body: Body) -> Draft:
    # whose an entry is says its body: the columns by which it is found may say nothing else
    operation, actor = getattr(body, "operation", ""), getattr(body, "by", "") or request.actor
    return Draft(kind=request.kind, received_ns=0, source=request.source, ident=request.nonce, body=request.body,
                 operation=operation, actor=actor, observations=len(getattr(body, "sightings", ())))


class ControlServer(threading.Thread):
    """Listens on the socket and hands requests to the intake; a connection a thread."""

    def __init__(self, journal: Home, intake: Intake):
        super().__init__(name="control", daemon=True)
        self.path = journal.socket
        self._intake = intake
        self._stopped = False
        # the journal's lock is held by this process, so a socket that is there is a dead one's
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(self.path))
        finally:
            os.umask(before)
        self._socket.listen(socket.SOMAXCONN)

    def run(self) -> None:
        """Accept until closed."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._stopped:
                    return
                log.warning("the socket for entries: %s; going on", error.strerror)  # no file descriptor left, mostly
                time.sleep(0.2)
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control-client", daemon=True).start()

    def stop(self) -> None:
        """Close and remove the socket."""
        self._stopped = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(ANSWER_S)
            try:
                requests = msgspec.msgpack.decode(_receive(connection), type=list[Wanted])
                answer: list[int] | str | None = self._enter(drafts_of(requests))
            except Denied as error:
                answer = None if self._enter([error.entry]) is None else str(error)
            except (*_DAMAGED, UsageError) as error:
                answer = str(error)
            except OSError:
                return  # the client went away before it had asked
            try:
                _send(connection, msgspec.msgpack.encode(answer))
            except OSError:
                return  # it is on disk; the client will ask again with the same nonce

    def _enter(self, drafts: list[Draft]) -> list[int] | None:
        answered = threading.Event()
        numbers: list[int] = []

        def done(got: list[int]) -> None:
            numbers.extend(got)
            answered.set()

        if not drafts:
            return numbers
        self._intake.enter(Entries(drafts, done))
        return numbers if answered.wait(25.0) else None


def ask(journal: Home, requests: Sequence[Wanted]) -> list[int]:
    """Have the running writer append entries; returns their numbers.

    Raises:
        NoWriter: no process is writing this journal.
        NoAnswer: it is not known whether they were written.
        JournalError: the writer refused, with its words, or its socket is not ours to open.
    """
    path = journal.socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            _connect(connection, str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoWriter(f"nothing is writing {journal.base}") from error
        except PermissionError as error:
            raise JournalError(f"{path}: {error.strerror}; another user is writing {journal.base}") from error
        except OSError as error:
            raise NoAnswer(f"the writer of {journal.base} did not answer: {error}") from error
        try:
            _send(connection, msgspec.msgpack.encode(list(requests)))
            answer = msgspec.msgpack.decode(_receive(connection), type=list[int] | str | None)
        except (OSError, *_DAMAGED, UsageError) as error:
            raise NoAnswer(f"the writer of {journal.base} did not answer: {error}") from error
    if answer is None:
        raise NoAnswer(f"the writer of {journal.base} did not answer in time: is the disk full?")
    if isinstance(answer, str):
        raise JournalError(answer)
    return answer


def _connect(connection: socket.socket, path: str) -> None:
    """Connect, after others where many ask at once: a full queue says "try again", and nothing was asked yet."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            return connection.connect(path)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def enter(url: str, bodies: Sequence[Body], *, source: str, actor: str = "") -> list[int]:
    """Append entries: by the running writer, or, where there is none, by ourselves.

    Args:
        actor: the person who wants them.

    Raises:
        UsageError: there is no journal.
        NoAnswer: it is not known whether they were written.
        JournalError: the writer refused, or the journal cannot be written.
    """
    requests, journal = [wanted(body, source=source, actor=actor) for body in bodies], home(url)
    deadline = time.monotonic() + 5.0
    while True:
        try:
            return ask(journal, requests)
        except NoWriter:
            pass
        reader = open_reader(url)
        mode, last = reader.mode, reader.tail(1)
        reader.close()
        try:
            writer = open_writer(url, mode=mode, create=False)
        except JournalHeld:
            # a writer that is just starting or ending holds the lock: ask it again
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        try:
            now_ns = max(time.time_ns(), last[0].received_ns if last else 0)
            try:
                drafts = drafts_of(requests)
            except Denied as error:
                writer.append([msgspec.structs.replace(error.entry, received_ns=now_ns)])
                raise
            return writer.append([msgspec.structs.replace(d, received_ns=now_ns) for d in drafts])
        finally:
            writer.close()


def _name(text: str) -> str:
    """A name as it may stand beside what was refused: short, and of characters that can be seen."""
    return text[:80] if text.isprintable() else ""


def _receive(connection: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(connection, 4))
    if length > MAX_REQUEST:
        raise UsageError(f"a request of {length} bytes is too large")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionError("the other side closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(struct.pack(">I", len(data)) + data)


