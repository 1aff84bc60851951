"""Runs the console with uvicorn on one listening socket, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from birddog.errors import UsageError
from ingest.acceptor import Acceptor, Caller, listening_sockets, raise_file_limit
from opsroom.console.line import Line, LiveSocket
from opsroom.console.settings import Settings


class Server(uvicorn.Server):
    """uvicorn without its signal handlers (the program that starts us owns the signals) and without its accepting.

    Args:
        sock: listens; ``ingest.acceptor`` takes callers in from it.
    """

    def __init__(self, config: uvicorn.Config, settings: Settings, sock: socket.socket):
        super().__init__(config)

        def line(caller: Caller) -> Line:
            return Line(caller, config=config, server_state=self.server_state, app_state=self.lifespan.state)

        self._acceptor = Acceptor("console", sock, line, most=settings.max_connections, per_address=settings.silent_per_address,
                                  tls=config.ssl)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take callers in once the application is up."""
        await super().startup(sockets=[])
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nobody more."""
        self._acceptor.close()
        await super().shutdown(sockets=[])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(app: Starlette, settings: Settings, *, started: Callable[[int], Awaitable[None] | None] | None = None,
                stop: asyncio.Event | None = None) -> None:
    """Run the console until ``stop`` is set (or the task is cancelled).

    Args:
        app: as ``make_app`` gives it: its ``state.feed`` is told when the console ends.
        started: called with the port when the console answers (port 0 in the settings takes a free one).

    Raises:
        UsageError: the address cannot be listened on, or a certificate cannot be read.
    """
    settings.check()
    try:
        (listener,) = listening_sockets("127.0.0.1" if settings.host == "localhost" else settings.host, settings.port)[:1]
    except OSError as error:
        raise UsageError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", field="console.port") from error
    config = uvicorn.Config(app, ws=LiveSocket, log_config=None, access_log=False, log_level="warning", lifespan="on",
                            server_header=False, ssl_certfile=settings.tls_cert, ssl_keyfile=settings.tls_key,
                            timeout_graceful_shutdown=1, ws_ping_interval=20, ws_ping_timeout=20, ws_max_size=65_536,
                            ws_per_message_deflate=False)
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        listener.close()
        raise UsageError(f"cannot use the certificate {settings.tls_cert}: {error}", field="console.tls_cert") from error
    raise_file_limit(settings.max_connections)
    server = Server(config, settings, listener)

    async def tell() -> None:
        while not server.started:
            await asyncio.sleep(0.02)
        if started is not None:
            answer = started(listener.getsockname()[1])
            if answer is not None:
                await answer

    async def watch() -> None:
        assert stop is not None
        await stop.wait()
        app.state.feed.close()  # a stream has no end of its own: uvicorn would wait for it, cancel it and call that an error
        server.should_exit = True

    helpers = [asyncio.create_task(tell())] + ([asyncio.create_task(watch())] if stop is not None else [])
    try:
        await server.serve()
    finally:
        for helper in helpers:
            helper.cancel()
        listener.close()
