"""The console as one ASGI application: ``make_app``; ``serve`` (listen.py) runs it with uvicorn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from birddog import model
from birddog.errors import BirddogError
from ingest.address import is_loopback
from opsroom.console.answers import birddog_error, http_error
from opsroom.console.feed import Feed
from opsroom.console.guard import Guard
from opsroom.console.health import Health
from opsroom.console.listen import serve
from opsroom.console.routes import Console
from opsroom.console.seen import Seen
from opsroom.console.settings import Settings
from opsroom.console.source import JournalReader, Source
from opsroom.console.why import Asked
from opsroom.foresight import Foresight
from opsroom.picture_store import PictureReader

__all__ = ["Settings", "make_app", "serve"]


class GZipBeyond(GZipMiddleware):
    """Compresses for browsers on other machines; for one on this machine it would only cost both of them time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is None or is_loopback(client[0]):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def make_app(settings: Settings, reader: PictureReader, journal: JournalReader, status: Callable[[], dict[str, dict[str, Any]]],
             act: Callable[[model.Decision | model.Access], int], *, now_ns: Callable[[], int] = time.time_ns,
             act_all: Callable[[list[model.Decision]], list[int]] | None = None,
             explain: Asked | None = None, smooth: Asked | None = None, foresight: Foresight | None = None) -> Starlette:
    """The console as an ASGI application.

    Args:
        settings: checked here; see ``Settings.check``.
        reader, journal: opened for reading; used on one thread of the console's own.
        status: the processes' status rows (opsroom/console/health.py says their form); may block.
        act: sends an operator's decision, or who takes an export, to the journal's writer and returns its entry's number; may
            block; raises BirddogError where it could not be written.
        act_all: the same for many at once; one by one where it is not given.
        explain, smooth: why a track was where it was at a time, and where it was until then by all that was ever measured
            (``opsroom.explained``); may block.
        foresight: what makes forecasts, from the archive that the configuration names.
        now_ns: the clock that ages are counted against: wall time, or that of the newest message.

    Raises:
        UsageError: the settings would show a case to people who may not see it.
    """
    settings.check()
    source = Source(reader, journal, now_ns)
    health = Health(status, time.time_ns)
    feed = Feed(settings, source, health)
    console = Console(settings, source, feed, health, act, act_all or (lambda decisions: [act(one) for one in decisions]),
                      explain, foresight, smooth)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            async with feed.running():
                yield
        finally:
            console.ahead.close()
            source.close()

    app = Starlette(
        routes=console.routes(),
        lifespan=lifespan,
        middleware=[Middleware(Guard, settings=settings, sessions=console.sessions),
                    Middleware(Seen, record=act, waiting=health.unrecorded),
                    Middleware(GZipBeyond, minimum_size=1000, compresslevel=5)],
        exception_handlers={HTTPException: http_error, BirddogError: birddog_error},
    )
    app.state.feed = feed
    return app
