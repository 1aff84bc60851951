"""Sends the present picture to a partner as Cursor on Target, over TCP or TLS, and goes on doing so.

A TAK server takes a stream of events, one after another, and cuts it at ``</event>``.  What has not changed is sent again
before it would be stale; what has ended is sent once more with a stale time that lies before its start, which makes clients
remove it.  A connection that is lost is made again, slower each time, at most every ``_SLOWEST_S`` seconds.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from birddog.directory import Directory
from birddog.errors import BirddogError, UsageError
from birddog.journal import home, open_reader
from birddog.model import Access, Track, unpack
from birddog.validated import Validated, Worth
from ingest.address import is_loopback
from opsroom.accesses import record
from opsroom.derived import derived, operations_of
from opsroom.exports import journal_name
from opsroom.picture_view import NotReady, PictureReader, Rights, View
from opsroom.share import cot

#: A server that takes nothing for so long is taken for gone.
_PATIENCE_S = 15.0
_SLOWEST_S = 60.0
#: What stands still is sent again at the latest after so long, well before it would be stale.
_AGAIN_NS = cot.STALE_NS // 3
SHOWN = frozenset({"confirmed", "coasting", "silent"})


class SendError(BirddogError):
    """The partner's server cannot be reached, or would not take it."""


class Target(msgspec.Struct, frozen=True):
    """Where to send to."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    name: str

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    def connect(self) -> socket.socket:
        """A connection.

        Raises:
            SendError: it cannot be made.
        """
        try:
            plain = socket.create_connection((self.host, self.port), timeout=_PATIENCE_S)
            return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.host)
        except (OSError, UnicodeError) as error:
            raise SendError(f"{self.name}: cannot be reached: {getattr(error, 'strerror', None) or error}") from error


def target_of(url: str, *, cert: str | None, key: str | None, ca: str | None) -> Target:
    """A target as given on the command line.

    Raises:
        UsageError: the URL or a file is none.
    """
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}", field="URL") from error
    if found.scheme not in ("tcp", "ssl") or not host or not port or found.path not in ("", "/") or found.username:
        raise UsageError(f"wants tcp://HOST:PORT or ssl://HOST:PORT, not {url!r}", field="URL")
    tls = None
    if found.scheme == "ssl":
        if not ca:
            raise UsageError("wants the file of who signed the server's certificate", field="--ca")
        if bool(cert) != bool(key):
            raise UsageError("stand together", field="--cert and --key")
        tls = _context(ca, cert, key)
    elif cert or key or ca:
        raise UsageError("are for ssl:// only", field="--cert, --key, --ca")
    return Target(host, port, tls, f"{found.scheme}://{host}:{port}")


def _context(ca: str, cert: str | None, key: str | None) -> ssl.SSLContext:
    tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file, load in (("--ca", ca, lambda: tls.load_verify_locations(ca)),
                             ("--cert", cert, lambda: tls.load_cert_chain(cert or "", key))):
        if file is None:
            continue
        try:
            load()
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"cannot be used: {getattr(error, 'strerror', None) or error}", file=file, field=name) from error
    return tls


def once(url: str, target: Target, access: Access) -> int:
    """Send the present picture, one event a track; how many.

    Raises:
        UsageError: there is no such operation.
        SendError: it could not be sent.
    """
    operation = access.operation or None
    with derived(url) as picture:
        if operation is not None and operation not in picture.operations:
            raise UsageError(f"there is no operation {operation!r} in this journal", field="--operation")
        tracks = _present(picture.view, operation)
        words = [cot.event(track, track, picture.name, worth_of(picture.validated, picture.view, track),
                           exercise=picture.exercise) for track in tracks]
        with target.connect() as connection:
            record(url, access)
            _send(target, connection, "".join(words))
    return len(words)


def _present(view: PictureReader, operation: str | None) -> list[Track]:
    rights = Rights(None if operation is None else frozenset({operation}))
    return [track for _, track in view.view(rights).present() if track.status in SHOWN]


def _send(target: Target, connection: socket.socket, text: str) -> None:
    try:
        connection.sendall(text.encode())
        _end(connection)
    except OSError as error:
        raise SendError(f"{target.name}: the connection broke: {error.strerror or error}") from error


def _end(connection: socket.socket) -> None:
    """Say that nothing more comes, and wait until the other side has it: a close alone may lose what is on the way."""
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(OSError):  # a server that closes without its goodbye has read what came before
            connection.unwrap()
        return
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(2.0)
    with contextlib.suppress(TimeoutError):
        while connection.recv(4096):
            pass


def stream(url: str, target: Target, access: Access, *, every_s: float, say: Callable[[str], None]) -> int:
    """Send what changes until interrupted; returns 0 then.

    The picture is the one that ``birddog run`` keeps; while there is none it waits, and says so once.
    """
    operation, journal = access.operation or None, open_reader(url)
    try:
        name, exercise = journal_name(journal), journal.mode == "exercise"
        if operation is not None and operation not in operations_of(journal.registers()):
            raise UsageError(f"there is no operation {operation!r} in this journal", field="--operation")
    finally:
        journal.close()
    view = PictureReader(home(url).picture)
    sender = _Sender(name, exercise, view)
    wait_s, told, recorded = 1.0, "", False
    try:
        while True:
            try:
                with target.connect() as connection:
                    say(f"birddog share: connected to {target.name}")
                    if not recorded:
                        record(url, access)
                        recorded = True
                    sender.forget()
                    wait_s, told, looked_ns = 1.0, "", 0
                    while True:
                        try:
                            if time.time_ns() - looked_ns >= _AGAIN_NS:
                                sender.validated, looked_ns = _validated(url), time.time_ns()
                            words = sender.words(_present(view, operation), time.time_ns())
                        except NotReady as error:
                            words = ""
                            if told != str(error):
                                told = str(error)
                                say(f"birddog share: {told}; waiting for it")
                        if words:
                            connection.sendall(words.encode())
                        time.sleep(every_s)
            except (SendError, OSError) as error:
                line = str(error) if isinstance(error, SendError) else f"{target.name}: the connection broke: {error}"
                if told != line:
                    told = line
                    say(f"birddog share: {line}; trying again")
                time.sleep(wait_s)
                wait_s = min(2.0 * wait_s, _SLOWEST_S)
    except KeyboardInterrupt:
        return 0
    finally:
        view.close()


class _Sender:
    """What the other side has been told, so that only what is new, or would soon be stale, is sent."""

    def __init__(self, name: str, exercise: bool, view: View):
        self._name, self._exercise, self._view = name, exercise, view
        #: What devices' values are worth, as of the last look into the registers.
        self.validated = Validated(Directory())
        self._told: dict[str, tuple[Track, int]] = {}

    def forget(self) -> None:
        """A new connection may be a new server: everything is sent again, and what has ended since is taken away."""
        self._told = {track_id: (track, 0) for track_id, (track, _) in self._told.items()}

    def words(self, tracks: list[Track], now_ns: int) -> str:
        """The events to send."""
        found = []
        for track in tracks:
            told = self._told.get(track.track_id)
            if told is None or told[0] != track or now_ns - told[1] >= _AGAIN_NS:
                self._told[track.track_id] = track, now_ns
                found.append(self._event(track))
        standing = {track.track_id for track in tracks}
        for track_id in [t for t in self._told if t not in standing]:
            track, _ = self._told.pop(track_id)
            found.append(self._event(track, gone=True))
        return "".join(found)

    def _event(self, track: Track, *, gone: bool = False) -> str:
        worth = worth_of(self.validated, self._view, track)
        return cot.event(track, track, self._name, worth, exercise=self._exercise, gone=gone)


def worth_of(validated: Validated, view: View, track: Track) -> Worth:
    """What is said of where a track is now."""
    return validated.now(track, lambda: view.measured_before(track.track_id, track.updated_ns))


def _validated(url: str) -> Validated:
    directory, journal = Directory(), open_reader(url)
    try:
        for entry in journal.registers():
            directory.apply(unpack(entry))
    finally:
        journal.close()
    return Validated(directory)


