"""The console process: HTTP, WebSocket and the page; reads both stores, writes neither."""

from __future__ import annotations

import asyncio
import time

from birddog.journal import exists, open_reader
from birddog.model import Access, Decision
from ingest import control
from opsroom import status
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.console.server import make_app, serve
from opsroom.explained import Apart
from opsroom.foresight import Foresight
from opsroom.picture_store import PictureReader
from opsroom.signals import LEAVE_S, Stop

#: Decisions asked for in one request to the writer: one commit.
AT_ONCE = 1000


def run(plan: Plan) -> int:
    """Serve until a signal."""
    return asyncio.run(_run(plan, Stop(leave_s=LEAVE_S)))


async def _run(plan: Plan, asked: Stop) -> int:
    stop = asked.event()
    place = plan.home
    while not exists(plan.config.journal.url):
        if stop.is_set():
            return 0
        await asyncio.sleep(0.1)
    journal = open_reader(plan.config.journal.url)
    reader = PictureReader(place.picture)
    settings = plan.console_server()
    expected = ("ingest", "picture") if plan.config.imagery is None else ("ingest", "picture", "imagery")

    def act(said: Decision | Access) -> int:
        return control.ask(place, [control.wanted(said, source="console")])[0]

    def act_all(decisions: list[Decision]) -> list[int]:
        return [number for first in range(0, len(decisions), AT_ONCE) for number in
                control.ask(place, [control.wanted(one, source="console") for one in decisions[first:first + AT_ONCE]])]

    def now_ns() -> int:
        newest = journal.tail(1)
        return newest[0].received_ns if newest else 0

    apart = Apart(plan.config.journal.url)
    app = make_app(settings, reader, journal, lambda: status.read(place, expected), act, act_all=act_all,
                   explain=apart, smooth=apart.smoothed, foresight=Foresight(plan.config.forecast),
                   now_ns=now_ns if plan.messages_clock else time.time_ns)
    scheme = "https" if settings.tls_cert else "http"
    await serve(app, settings, started=lambda port: say(f"console: {scheme}://{settings.host}:{port}/"), stop=stop)
    reader.close()
    journal.close()
    return 0
