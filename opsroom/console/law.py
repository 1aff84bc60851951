"""What the console answers of authority: warrants, what is due, what is still out, what was sealed."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from birddog.units import iso_from_ns
from opsroom.authority import deadline_views, retrieval_views, warrant_view
from opsroom.console import openapi, views
from opsroom.console.answers import json_answer
from opsroom.console.source import Source
from opsroom.picture_view import View
from opsroom.refusals import OPENED, SEALED


class Law:
    """Answers for one console.

    Args:
        view: the picture as whoever asks may see it.
    """

    def __init__(self, source: Source, view: Callable[[Request], View]):
        self.source, self._view = source, view

    async def authority(self, request: Request) -> Response:
        """Every warrant, deadline and device of the operations that one may see."""
        view = self._view(request)

        def read() -> openapi.Authority:
            directory, now_ns, may = self.source.directory(), self.source.now_ns(), view.rights.may
            rows = [(views.refused_view(r, row), row.reason) for r, row in view.refused(0) if row.reason in (SEALED, OPENED)]
            return openapi.Authority(
                time=iso_from_ns(now_ns), sealed=[row for row, reason in rows if reason == SEALED],
                opened=[row for row, reason in rows if reason == OPENED],
                warrants=[warrant_view(held, now_ns) for held in directory.warrants.held.values() if may(held.operation)],
                deadlines=[row for row in deadline_views(directory, now_ns) if may(row.operation)],
                retrieval=[row for row in retrieval_views(directory, view, now_ns) if may(row.operation)],
            )

        return json_answer(await self.source.run(read))
