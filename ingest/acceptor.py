"""Takes callers in from one listening socket, and never lets the silent ones keep the others out.

A TCP connection costs whoever opens it next to nothing, and us a file descriptor.  Three things keep 1,100
connections that say nothing (or stop in the middle of a header, of a handshake, of a body) from shutting out
everybody else:

- A caller is *silent* until its protocol says that it has shown what it is (``Caller.speaks``).  One address may
  have ``per_address`` silent callers; its next one takes the place of its oldest.
- Where the process is nearly out of descriptors, or the listener at its limit, a new caller takes the place of the
  oldest silent one of the address that has most of them (of whichever listener, where descriptors are short).
  Only where nobody is silent is a new caller refused.
- A reserve of descriptors is never given to callers: for the stores, for a status row, for the next caller who
  takes another's place (which is how /healthz is reached).

asyncio's own server can't do this: it accepts as many callers as its backlog is long before it tells anybody, tells
nothing of those in a TLS handshake, and writes a traceback for each ``accept`` that fails.
POSIX gives a new descriptor the lowest free number, so its number says how full the process is.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Callers taken in at one turn of the loop; far below the reserve, whatever the number of listeners.
AT_ONCE = 16
#: Descriptors that callers never get; a quarter of all where there are few (three turns' callers are on their way).
RESERVE = 128
BACKLOG = 1024
#: After an ``accept`` that failed for want of descriptors.
AGAIN_S = 0.2
#: One line for all that were closed or refused in this time.
SAY_S = 60.0
#: The listeners of this process: descriptors are common to all of them.
_LISTENING: list[Acceptor] = []
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Caller:
    """One connection, from ``accept`` to ``gone``; its protocol says when it speaks and when it falls silent."""

    __slots__ = ("_acceptor", "address", "silent", "task", "transport")

    def __init__(self, acceptor: Acceptor, address: str):
        self._acceptor, self.address = acceptor, address
        self.silent = True
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.BaseTransport | None = None

    def speaks(self) -> None:
        """It has shown what it is: nobody takes its place."""
        if self.silent:
            self.silent = False
            self._acceptor._quiet(self, False)

    def falls_silent(self) -> None:
        """It has what it asked for, and says nothing more for now."""
        if not self.silent:
            self.silent = True
            self._acceptor._quiet(self, True)

    def gone(self) -> None:
        """Its connection is lost."""
        self._acceptor._gone(self)


class Acceptor:
    """One listening socket; belongs to one event loop.

    Args:
        name: leads the log's lines.
        sock: listens (``listening_sockets``); closed by ``close``.
        protocol: makes the protocol of a caller; it calls ``gone`` from its ``connection_lost``.
        most: callers beyond which a silent one gives its place; where none is, the protocol may refuse the new one.
        per_address: silent callers of one address.
        tls, handshake_s: the context, and how long a handshake may take.
        evicted: told the address of each silent caller that was closed, and of each that was refused.
        untrusted: told the address and the reason of each handshake that one of the two sides would not go on with; where
            it is not given, the log says it.
    """

    def __init__(self, name: str, sock: socket.socket, protocol: Callable[[Caller], asyncio.BaseProtocol], *, most: int,
                 per_address: int, tls: ssl.SSLContext | None = None, handshake_s: float = 10.0,
                 evicted: Callable[[str], None] = lambda address: None,
                 untrusted: Callable[[str, str], None] | None = None):
        self.name, self.evicted_total, self.refused_total = name, 0, 0
        self._sock, self._protocol, self._most, self._per_address = sock, protocol, most, per_address
        self._tls, self._handshake_s, self._evicted, self._untrusted = tls, handshake_s, evicted, untrusted
        self._callers: set[Caller] = set()
        self._silent: dict[str, dict[Caller, None]] = {}  # address -> the oldest first
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._said_s, self._unsaid = -SAY_S, 0

    def start(self) -> None:
        """Take callers in, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._readable)
        _LISTENING.append(self)

    def close(self) -> None:
        """Take nobody in any more, end who is still in a handshake, and close the socket."""
        if self._closed:
            return
        self._closed = True
        if self in _LISTENING:
            _LISTENING.remove(self)
            self._loop.remove_reader(self._sock.fileno())
        if self._retry is not None:
            self._retry.cancel()
        self._sock.close()
        for caller in list(self._callers):
            if caller.task is not None and not caller.task.done():
                caller.task.cancel()

    @property
    def address(self) -> tuple[str, int, *tuple[int, ...]]:
        """What is listened on, as the socket says it."""
        name: tuple[str, int, *tuple[int, ...]] = self._sock.getsockname()
        return name

    @property
    def callers(self) -> int:
        """How many there are, those in a handshake among them."""
        return len(self._callers)

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                # others of this process hold even the reserve: wait, and do not spin on a socket that stays readable
                for _ in range(AT_ONCE):
                    self._make_room_in_process()
                self._say(f"no caller can be taken in: {error.strerror}")
                self._loop.remove_reader(self._sock.fileno())
                self._retry = self._loop.call_later(AGAIN_S, self._again)
                return
            self._admit(sock, str(peer[0]) if peer else "")

    def _again(self) -> None:
        self._retry = None
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def _admit(self, sock: socket.socket, address: str) -> None:
        silent = self._silent.get(address, {})
        if len(silent) >= self._per_address:
            self._evict(next(iter(silent)))
        elif len(self._callers) >= self._most:
            self._make_room()
        if sock.fileno() >= _ceiling() and not self._make_room_in_process():
            sock.close()
            self.refused_total += 1
            self._evicted(address)
            self._say(f"a caller from {address} was refused: too many connections are open, and none of them is silent")
            return
        sock.setblocking(False)
        caller = Caller(self, address)
        self._callers.add(caller)
        self._silent.setdefault(address, {})[caller] = None
        caller.task = self._loop.create_task(self._connect(caller, sock))

    async def _connect(self, caller: Caller, sock: socket.socket) -> None:
        try:
            caller.transport, _ = await self._loop.connect_accepted_socket(
                lambda: self._protocol(caller), sock, ssl=self._tls,
                ssl_handshake_timeout=self._handshake_s if self._tls is not None else None)
        except OSError as error:
            # a handshake that failed or took too long: no connection was made, so no protocol says that it is gone
            caller.gone()
            if isinstance(error, ssl.SSLError):
                self._not_trusted(caller.address, _why(error))
        except asyncio.CancelledError:
            caller.gone()
            raise

    def _not_trusted(self, address: str, why: str) -> None:
        if self._untrusted is not None:
            self._untrusted(address, why)
        else:
            self._say(f"no TLS connection with {address}: {why}")

    def _make_room(self) -> bool:
        """Close the oldest silent caller of the address that has most of them here; False where nobody is silent."""
        if not self._silent:
            return False
        most: dict[Caller, None] = max(self._silent.values(), key=len)
        self._evict(next(iter(most)))
        return True

    def _make_room_in_process(self) -> bool:
        """The same at whichever listener of this loop has most silent callers."""
        listeners = [one for one in _LISTENING if one._loop is self._loop]
        return max(listeners, key=lambda one: sum(map(len, one._silent.values())))._make_room()

    def _evict(self, caller: Caller) -> None:
        self.evicted_total += 1
        self._gone(caller)
        if caller.transport is not None:
            caller.transport.abort()  # type: ignore[attr-defined]
        elif caller.task is not None:
            caller.task.cancel()
        self._evicted(caller.address)
        self._say(f"a silent connection from {caller.address} was closed to make room for others")

    def _quiet(self, caller: Caller, silent: bool) -> None:
        if caller not in self._callers:
            return
        if silent:
            self._silent.setdefault(caller.address, {})[caller] = None
            return
        mine = self._silent[caller.address]
        del mine[caller]
        if not mine:
            del self._silent[caller.address]

    def _gone(self, caller: Caller) -> None:
        if caller.silent:
            self._quiet(caller, False)
        self._callers.discard(caller)

    def _say(self, words: str) -> None:
        self._unsaid += 1
        now_s = time.monotonic()
        if now_s - self._said_s < SAY_S:
            return
        more = f"; {self._unsaid - 1} more since the last such line" if self._unsaid > 1 else ""
        self._said_s, self._unsaid = now_s, 0
        log.warning("%s: %s%s", self.name, words, more)


def _ceiling() -> int:
    """The lowest descriptor that no caller may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft - min(RESERVE, soft // 4)


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen, one for each address of the host; the port of a process that was killed is free at once.

    Raises:
        OSError: an address can't be had.
    """
    out: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            out.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except OSError:
        for sock in out:
            sock.close()
        raise
    return out


def raise_file_limit(connections: int) -> None:
    """Every connection is a file: ask for as many as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 512
    if soft != resource.RLIM_INFINITY and soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if ceiling > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
        if ceiling < wanted:
            log.warning("the system allows %d open files, so no more than about %d callers at once", ceiling, ceiling - 512)


def _why(error: ssl.SSLError) -> str:
    """Why a handshake came to nothing, in words of ours or OpenSSL's own (``openssl errstr``), never a caller's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: its certificate is not accepted: {error.verify_message}"
    reason = error.reason or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "TLS: it showed no certificate"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return "TLS: what it said is no TLS"
    if "ALERT" in reason and any(word in reason for word in ("UNKNOWN_CA", "CERTIFICATE")):
        return f"TLS: it does not accept our certificate ({reason.lower()[:60]})"
    return f"TLS: {reason.lower().replace('_', ' ')[:60] or 'the handshake failed'}"
