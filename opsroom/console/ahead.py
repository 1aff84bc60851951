"""The endpoints of what happened and of what is about to (docs/http-api.md): events with what they rest on."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog.units import NS
from opsroom.console import openapi, views
from opsroom.console.answers import bool_of, int_of, json_answer
from opsroom.console.source import Source
from opsroom.picture_view import View

#: Points of an event's trails, unless asked for otherwise, and at most.
TRAIL_LIMIT, TRAIL_MAX = 300, 20_000
#: An event's trails begin and end so much beside it.
EVENT_BESIDE_NS = 60 * NS


class Ahead:
    """The endpoints, over one Source.

    Args:
        view: the picture as whoever asks may see it.
    """

    def __init__(self, source: Source, view: Callable[[Request], View]):
        self._source, self._view = source, view

    async def events(self, request: Request) -> Response:
        """What happened, newest first."""
        since, operation = int_of(request, "since", 0), request.query_params.get("operation")
        view, track, ongoing = self._view(request), request.query_params.get("track"), bool_of(request, "ongoing")
        kinds = {kind for kind in request.query_params.get("kind", "").split(",") if kind}

        def read() -> openapi.Events:
            rows = [
                views.event_view(r, e) for r, e in view.events(since)
                if operation in (None, e.operation) and (not kinds or e.kind in kinds)
                and (track is None or track in e.track_ids) and not (ongoing and e.end_ns is not None)
            ]  # fmt: skip
            return openapi.Events(sorted(rows, key=lambda e: (e.start, e.event_id), reverse=True))

        return json_answer(await self._source.run(read))

    async def event(self, request: Request) -> Response:
        """One event explains itself: by which rule it is one, and the fixes of its tracks."""
        event_id, view = request.path_params["event_id"], self._view(request)
        limit = min(int_of(request, "limit", TRAIL_LIMIT), TRAIL_MAX)

        def read() -> openapi.EventDetail | None:
            found = view.event(event_id)
            if found is None:
                return None
            trails = []
            until_ns = found.end_ns if found.end_ns is not None else self._source.now_ns()
            for name in found.track_ids:
                points = view.between(name, found.start_ns - EVENT_BESIDE_NS, until_ns + EVENT_BESIDE_NS, limit)
                trails.append(openapi.Trail(name, [views.point_view(p) for p in points]))
            return openapi.EventDetail(views.event_view(0, found), trails)

        detail = await self._source.run(read)
        if detail is None:
            raise HTTPException(404, f"no event {event_id!r}")
        return json_answer(detail)
