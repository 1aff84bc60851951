"""The live channel's two ends: a WebSocket for a tab, server-sent events for curl and other programs.

What a listener is fed is the same in both (opsroom/console/feed.py).  Four things end one: it closes, it
lags too far behind, one frame takes too long to go out (none of these costs the others anything), or the
console ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from opsroom.console.feed import Feed, Frame, Subscriber
from opsroom.picture_view import ALL, Rights

log = logging.getLogger("birddog.console")
#: A listener that cannot take one frame within this time is dropped; it resumes by itself.
SEND_TIMEOUT_S = 20.0
#: Less than the console waits for its connections when it ends (opsroom/console/listen.py).
CLOSE_TIMEOUT_S = 0.5
_DIGITS = 18


def number_of(text: str) -> int | None:
    """A sequence number as somebody sent it; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


async def over_websocket(feed: Feed, socket: WebSocket, rights: Rights = ALL) -> None:
    """One WebSocket a tab: snapshot (or what was missed), then frames."""
    since = number_of(socket.query_params.get("since", "0"))
    if since is None:
        await socket.close(1008, "since is no number")
        return
    await socket.accept()
    subscriber, first = await feed.subscribe(since, socket.query_params.get("epoch", ""), rights)
    try:
        await _hand_on(feed, subscriber, first, lambda frame: socket.send_text(frame.text), socket.receive,
                       "websocket.disconnect")
        if subscriber.lost:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await socket.close(4408, f"too slow: resume with since={subscriber.taken}")
        elif subscriber.over.is_set():
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await socket.close(1012, "the console ends")
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        # gone, or it does not even take the closing frame; leaving this function cuts the line
        log.info("a tab is gone at frame %d", subscriber.taken)
    finally:
        feed.leave(subscriber)


class EventStream:
    """The answer to /v1/stream: frames as server-sent events, ``id: EPOCH:SEQ``.

    Args:
        word: the epoch.
        subscriber, first: as ``Feed.subscribe`` gives them; left when the answer ends.
    """

    def __init__(self, feed: Feed, word: str, subscriber: Subscriber, first: Frame):
        self._feed, self._word, self._subscriber, self._first = feed, word, subscriber, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            head = [(b"content-type", b"text/event-stream; charset=utf-8")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            if scope["method"] != "HEAD":
                await _hand_on(self._feed, self._subscriber, self._first, lambda frame: send(self._event(frame)), receive,
                               "http.disconnect")
            if self._subscriber.lost:
                log.info("a listener that lags at frame %d is dropped", self._subscriber.taken)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": b""})
        finally:
            self._feed.leave(self._subscriber)

    def _event(self, frame: Frame) -> Message:
        text = f"event: {frame.kind}\nid: {self._word}:{frame.seq}\ndata: {frame.text}\n\n"
        return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _hand_on(feed: Feed, subscriber: Subscriber, frame: Frame, send: Callable[[Frame], Awaitable[None]],
                   receive: Callable[[], Awaitable[Message]], farewell: str) -> None:
    """Send frames until something ends the listener; sets ``lost`` where it was too slow."""
    ends = {asyncio.create_task(_until(receive, farewell)), asyncio.create_task(subscriber.over.wait())}
    try:
        while await _before(ends, send(frame), SEND_TIMEOUT_S):
            feed.frames_sent += 1
            subscriber.taken = frame.seq
            getting = asyncio.ensure_future(subscriber.get())
            if not await _before(ends, getting, None):
                return
            frame = getting.result()
        if not any(end.done() for end in ends):
            subscriber.lose()
    finally:
        for task in ends:
            task.cancel()


async def _before(ends: set[asyncio.Task[Any]], work: Awaitable[Any], timeout_s: float | None) -> bool:
    """Whether the work was done before anything ended the listener; what was not done is cancelled.

    Raises:
        WebSocketDisconnect: the other side went away while it was sent something.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait({task, *ends}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        return False
    task.result()
    return not any(end.done() for end in ends)


async def _until(receive: Callable[[], Awaitable[Message]], farewell: str) -> None:
    # a listener says nothing; reading is how its going away is noticed
    while (await receive())["type"] != farewell:
        pass
