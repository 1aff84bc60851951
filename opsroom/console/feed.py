"""The live channel: one reader of the derived store for all tabs, one encoding for all tabs of equal rights.

A frame is one JSON object with ``type`` and ``seq`` (the journal's number up to which it is complete):

- ``snapshot``: the whole picture; replaces what the tab had
- ``update``: rows that changed; each replaces the row with its id, unless its ``revision`` is older
- ``beat``: nothing changed; sent so that silence of the line differs from silence of the world

Every frame holds ``time`` (the server's clock, against which ages are counted), ``clock`` (the picture's, by which tracks of
nobody lapse: a row says when, and no frame says it again), ``problems`` (what
/healthz would say), ``ready``, ``exercise``, ``played`` (a journal is played again) and ``undated`` (how many
messages stand at the time of their import, for nothing in their file states another: over neither does the
page say LIVE).  The sequence number is the journal's own, so any tab can resume with ``since`` at any later
process; nothing is kept for it here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from birddog.errors import BirddogError
from birddog.units import iso_from_ns
from opsroom.console.health import Health
from opsroom.console.settings import Settings
from opsroom.console.source import KEYS, ROWS, Changes, Source
from opsroom.picture_view import ALL, Rights

log = logging.getLogger("birddog.console")
_ENCODER = msgspec.json.Encoder()
#: How long a broken store is asked again before a tab is told; not a clock of the picture.
_RETRY_S = 1.0


class Frame(msgspec.Struct, frozen=True):
    """One encoded frame and the sequence number in it."""

    kind: str
    seq: int
    text: str


class Subscriber:
    """One tab's bounded queue.  ``over`` is set when it gets no more: it lagged (``lost``), or the console ends.

    It resumes after ``taken``.
    """

    def __init__(self, limit: int, rights: Rights = ALL):
        self.rights = rights
        self.taken = 0
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(limit)
        self.over = asyncio.Event()
        self.lost = False

    def lose(self) -> None:
        """The tab lagged too far."""
        self.lost = True
        self.over.set()

    def put(self, frame: Frame) -> None:
        """Queue a frame; a full queue loses the tab, never the server's memory."""
        if self.over.is_set():
            return
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.lose()

    async def get(self) -> Frame:
        """The next frame; waits for it."""
        return await self._frames.get()


class _Group:
    """The tabs of equal rights: what they were sent, and up to where."""

    def __init__(self, rights: Rights):
        self.rights = rights
        self.subscribers: set[Subscriber] = set()
        self.seq = 0
        self.store = b""
        self.snapshot: Frame | None = None
        self.snapshot_of = ""


class Feed:
    """Asks the store every ``poll_ms`` and hands each change to every tab that may see it."""

    def __init__(self, settings: Settings, source: Source, health: Health):
        self._settings, self._source, self._health = settings, source, health
        self._all = _Group(ALL)
        self._groups = {ALL: self._all}
        self._ready = False
        self._reason = "the picture has not been read yet"
        self._task: asyncio.Task[None] | None = None
        # a tab comes before a round or after it, never in its midst: what began with its own snapshot is not sent another
        self._turn = asyncio.Lock()
        self._closed = False
        self.frames_sent = 0
        self.tabs_lost = 0

    @property
    def seq(self) -> int:
        """The sequence number of the newest frame."""
        return self._all.seq

    @property
    def tabs(self) -> int:
        """How many tabs are connected."""
        return sum(len(group.subscribers) for group in self._groups.values())

    def problems(self) -> list[str]:
        """One line for each process that is not well, this one included; what /healthz says."""
        found = self._health.problems()
        if not self._ready:
            found.append(f"picture: {self._reason}")
        if self._task is None or self._task.done():
            found.append("console: the live channel has stopped")
        return found

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the reading task for as long as the block lasts."""
        self._task = asyncio.create_task(self._run(), name="console-feed")
        self._task.add_done_callback(_complain)
        try:
            yield
        finally:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def close(self) -> None:
        """The console ends: every tab gets what is under way and no more, also one that comes now."""
        self._closed = True
        for group in self._groups.values():
            for subscriber in group.subscribers:
                subscriber.over.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        last_sent = loop.time()
        asked = 0.0
        while True:
            if loop.time() - asked >= self._settings.beat_s:
                asked = loop.time()
                await self._ask_health()
            async with self._turn:
                frames = await self._round()
                if not frames and loop.time() - last_sent >= self._settings.beat_s:
                    beat = await self._beat()
                    frames = [(group, beat) for group in self._groups.values()]
                if frames:
                    last_sent = loop.time()
                for group, frame in frames:
                    for subscriber in list(group.subscribers):
                        subscriber.put(frame)
            await asyncio.sleep(self._settings.poll_ms / 1000 if self._ready else min(_RETRY_S, self._settings.beat_s))

    async def _round(self) -> list[tuple[_Group, Frame]]:
        frames: list[tuple[_Group, Frame]] = []
        try:
            stands = await self._source.run(self._stands)
            for group in list(self._groups.values()):
                frame = await self._news(group, stands)
                frames += [(group, frame)] if frame is not None else []
            self._ready = True
        except BirddogError as error:
            self._failed(str(error))
        except Exception as error:  # boundary: a picture that cannot be shown is said on the page; the feed goes on
            words = f"cannot be shown: {type(error).__name__}: {error}"
            if self._ready or words != self._reason:
                log.exception("the picture could not be sent")
            self._failed(words)
        return frames

    def _failed(self, words: str) -> None:
        # every tab begins again once the picture can be read
        self._ready, self._reason = False, words
        for group in self._groups.values():
            group.store = b""

    async def _ask_health(self) -> None:
        try:
            await self._source.run(self._health.refresh)
            self._health.undated = (await self._source.run(self._source.journal.counts)).undated
        except BirddogError as error:
            self._health.failed(str(error))

    async def _news(self, group: _Group | None = None, stands: tuple[int, bytes] | None = None) -> Frame | None:
        # one cheap question a poll, whatever the number of tabs
        group = group or self._all
        cursor, store = await self._source.run(self._stands) if stands is None else stands
        if cursor == group.seq and store == group.store:
            return None
        if cursor < group.seq or store != group.store:
            # another store stands there (rebuilt, replaced), or it is the first one: begin again
            return await self._begun(group, store)
        changes = await self._source.run(self._source.changes, group.seq, group.rights)
        points = await self._source.run(self._source.steps, changes.tracks, group.rights)
        changes = msgspec.structs.replace(changes, points=points)
        group.seq, group.snapshot = changes.seq, None
        return None if changes.empty() else await self._frame("update", changes)

    async def _begun(self, group: _Group, store: bytes) -> Frame:
        changes = await self._source.run(self._source.changes, 0, group.rights)
        await self._source.run(self._source.steps_from_here, changes.tracks, group.rights)
        self._ready = True
        group.store, group.seq, group.snapshot = store, changes.seq, None
        return await self._frame("snapshot", changes)

    def _stands(self) -> tuple[int, bytes]:
        view = self._source.view()
        return view.cursor(), view.store()

    async def _head(self, kind: str, seq: int) -> dict[str, Any]:
        # the clock of the newest message is read from the journal: on the reading thread too
        now_ns = await self._source.run(self._source.now_ns)
        return {"type": kind, "seq": seq, "time": iso_from_ns(now_ns), "clock": await self._source.run(self._source.clock),
                "exercise": self._settings.exercise,
                "played": self._settings.played, "undated": self._health.undated,
                "ready": self._ready, "problems": self.problems() + self._health.warnings()}

    async def _frame(self, kind: str, changes: Changes) -> Frame:
        body = (await self._head(kind, changes.seq)) | {"ready": True}
        body["epoch"] = await self._source.run(self._source.epoch)
        if kind == "snapshot":
            body["keys"] = KEYS
        for name in ROWS:
            body[name] = getattr(changes, name)
        return Frame(kind, changes.seq, _ENCODER.encode(body).decode())

    async def _beat(self) -> Frame:
        return Frame("beat", self.seq, _ENCODER.encode(await self._head("beat", self.seq)).decode())

    async def subscribe(self, since: int, epoch: str, rights: Rights = ALL) -> tuple[Subscriber, Frame]:
        """A new tab: its queue, and the frame that it is sent first (snapshot, or what it missed).

        Args:
            since: the last sequence number that the tab has; 0 for none.
            epoch: the journal's word that the tab was told, or "" to trust ``since``.
            rights: whose rows it may be sent.
        """
        subscriber = Subscriber(self._settings.queue_frames, rights)
        async with self._turn:
            group = self._groups.get(rights)
            if group is None:
                group = self._groups[rights] = _Group(rights)
            alone = not group.subscribers
            # listening before reading: what changes in between comes twice, and never not at all
            group.subscribers.add(subscriber)
            if self._closed:
                subscriber.over.set()
            try:
                return subscriber, await self._first(group, since, epoch, alone)
            except BaseException:
                self._part(subscriber)
                raise

    async def _first(self, group: _Group, since: int, epoch: str, alone: bool) -> Frame:
        try:
            ours = await self._source.run(self._source.epoch)
            cursor, store = await self._source.run(self._stands)
            if since <= 0 or since > cursor or (epoch and epoch != ours):
                if alone and not group.store:
                    return await self._begun(group, store)
                if group.snapshot is None or group.snapshot.seq != cursor or group.snapshot_of != ours:
                    group.snapshot_of = ours
                    changes = await self._source.run(self._source.changes, 0, group.rights)
                    group.snapshot = await self._frame("snapshot", changes)
                return group.snapshot
            return await self._frame("update", await self._source.run(self._source.changes, since, group.rights))
        except BirddogError as error:
            # no picture yet: the tab waits with us, and is told so
            self._reason = str(error)
            empty = Changes(seq=0, tracks=[], alerts=[], flags=[], events=[], refused=[], points=[])
            body = (await self._head("snapshot", 0)) | {"ready": False, "epoch": "", "keys": KEYS}
            for name in ROWS:
                body[name] = getattr(empty, name)
            return Frame("snapshot", 0, _ENCODER.encode(body).decode())

    def leave(self, subscriber: Subscriber) -> None:
        """A tab has gone."""
        self._part(subscriber)
        self.tabs_lost += subscriber.lost

    def _part(self, subscriber: Subscriber) -> None:
        group = self._groups.get(subscriber.rights)
        if group is not None:
            group.subscribers.discard(subscriber)
            if not group.subscribers and group is not self._all:
                del self._groups[subscriber.rights]


def _complain(task: asyncio.Task[None]) -> None:
    # a bug in the reading task must not leave eight tabs believing that nothing happens
    if not task.cancelled() and task.exception() is not None:
        log.critical("the live channel has stopped", exc_info=task.exception())
