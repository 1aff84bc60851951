"""One connection to the console: uvicorn's protocols, with an end for whoever keeps one open and does not ask.

uvicorn ends a connection that has been idle between two requests (5 s).  It waits for ever for a first byte, for
the rest of a header, for a body, and for a client that does not read its answer (0.54, h11_impl.py).
Until its whole request is here a caller is silent: others may take its place
(``ingest.acceptor``).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ingest.acceptor import Caller

#: How long a request's header, its body, and any part of our answer may take.
HEADER_S = 10.0
BODY_S = 20.0
ANSWER_S = 60.0


class LiveSocket(WebSocketsSansIOProtocol):
    """A WebSocket; what a listener says is read and not looked at, so it need not be text."""

    caller: Caller

    def handle_text(self, event: Any) -> None:
        self.handle_bytes(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.caller.gone()
        super().connection_lost(exc)


class Line(H11Protocol):
    """An HTTP connection."""

    def __init__(self, caller: Caller, **more: Any):
        super().__init__(**more)
        self._caller = caller
        self._deadline: asyncio.TimerHandle | None = None
        self._step = ""
        self._left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._now("header", HEADER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._now("", 0.0)
        self._caller.gone()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._now("", 0.0)
        self._caller.speaks()
        super().handle_websocket_upgrade(event)
        protocol = self.transport.get_protocol()
        assert isinstance(protocol, LiveSocket)
        protocol.caller = self._caller

    def _look(self) -> None:
        """What is being waited for now."""
        if not isinstance(self.transport.get_protocol(), Line):
            return
        asked = self.cycle is not None and not self.cycle.response_complete
        if not asked:
            self._now("header", HEADER_S)
        elif self.cycle.more_body:
            self._now("body", BODY_S)
        elif self.flow.write_paused:
            self._left = self.transport.get_write_buffer_size()
            self._now("answer", ANSWER_S)
        else:
            self._now("ours", 0.0)
        if asked and self._step == "ours":
            self._caller.speaks()
        else:
            self._caller.falls_silent()

    def _now(self, step: str, limit_s: float) -> None:
        if step == self._step:
            return
        self._step = step
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(limit_s, self._late) if limit_s else None

    def _late(self) -> None:
        left = self.transport.get_write_buffer_size()
        if self._step == "answer" and left < self._left:  # slow, but it reads
            self._left = left
            self._deadline = self.loop.call_later(ANSWER_S, self._late)
            return
        self.transport.abort()
