"""Who was shown what: an entry ``access`` for each person and view, at first and again after each hour in which it goes on.

People have names where the console asks for tokens (``[console.tokens]``); without, nobody is known and nothing is noted.  A
view is what is asked for (``/v1/tracks``, ``/v1/live`` …), of one case or one track where that was said; only what was answered
is noted.  An export is an entry of its own, before it leaves.  The entry is asked for beside the answer, so that nobody waits
for a disk; what cannot be written is said in the log and by /healthz, and asked for again until it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from birddog.errors import BirddogError
from birddog.model import Access

log = logging.getLogger("birddog.console")
#: A view that goes on is noted again after so long.
AGAIN_S = 3600.0
#: Different views of one person in that time; what is beyond is one view, ``/v1/*``.
MOST = 500
_PATTERNS = ("kind", "from", "to", "cell_m", "hub_m", "hour")
_NOT = ("/v1/session", "/v1/export/")
_Key = tuple[str, str, str, str]
#: What could not be written is asked for again after so long.
RETRY_S = 5.0


class Seen:
    """ASGI middleware behind the guard.

    Args:
        record: writes an entry; may block.
        waiting: takes what is not written yet, and why (``Health.unrecorded``).
        clock: seconds that go on.
        retry_s: until it is asked for again.
    """

    def __init__(
        self, app: ASGIApp, record: Callable[[Access], int], waiting: dict[tuple[str, ...], str] | None = None,
        clock: Callable[[], float] = time.monotonic, retry_s: float = RETRY_S,
    ):  # fmt: skip
        self._app, self._record, self._clock, self._retry_s = app, record, clock, retry_s
        self._waiting = {} if waiting is None else waiting
        #: One at a time: a disk that hangs must not take every thread.
        self._turn = asyncio.Lock()
        self._noted: dict[_Key, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = (scope.get("state") or {}).get("who")
        path = scope.get("path", "")
        if who is None or not path.startswith("/v1/") or path.startswith(_NOT):
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] in ("websocket.accept", "websocket.send") or message.get("status", 500) < 400:
                self._note(who, scope)
            await send(message)

        await self._app(scope, receive, noted)

    def _note(self, who: str, scope: Scope) -> None:
        parts = scope["path"].split("/")
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        track = parts[3] if parts[2] == "tracks" and len(parts) > 3 else (asked.get("track") or [""])[0]
        view = "/".join(parts[:3])
        if view == "/v1/patterns":  # which question: two tell more than one (docs/decisions/0026-patterns-asked-twice.md)
            question = [(name, asked[name][0][:32]) for name in _PATTERNS if name in asked]
            view += f"?{urlencode(question)}" if question else ""
        key = who, view, (asked.get("operation") or [""])[0], track
        now_s = self._clock()
        if now_s - self._noted.get(key, -AGAIN_S) < AGAIN_S:
            return
        if len(self._noted) >= MOST:
            self._noted = {k: at_s for k, at_s in self._noted.items() if now_s - at_s < AGAIN_S}
        if sum(k[0] == who for k in self._noted) >= MOST:
            key = who, "/v1/*", "", ""
            if now_s - self._noted.get(key, -AGAIN_S) < AGAIN_S:
                return
        self._noted[key] = now_s
        client = scope.get("client")
        task = asyncio.get_running_loop().create_task(self._write(key, client[0] if client else ""))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, key: _Key, client: str) -> None:
        by, view, operation, track = key
        access = Access(action="read", by=by, form=view, to=client or "unknown", operation=operation, track=track)
        while True:
            try:
                async with self._turn:
                    await asyncio.get_running_loop().run_in_executor(None, self._record, access)
            except BirddogError as error:
                if key not in self._waiting:
                    log.warning("that %s was shown %s is not recorded yet: %s", by, view, error)
                self._waiting[key] = str(error)
                await asyncio.sleep(self._retry_s)
            else:
                self._waiting.pop(key, None)
                return
