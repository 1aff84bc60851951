"""``/v1/tracks/{id}/explain``: why a track was shown where it was, as `birddog explain` has it; ``/v1/tracks/{id}/smoothed``:
where it was by all that was ever measured of it, as `birddog locate --journal` has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog.units import iso_from_ns
from opsroom.console.answers import json_answer, time_of
from opsroom.console.source import Source
from opsroom.picture_view import View

Asked = Callable[[str, int], dict[str, Any] | None]


class Why:
    """The endpoints.

    Args:
        explain, smooth: (track_id, time) -> what ``opsroom.explained`` has of it; may block.  None: this console explains
            nothing.
        view: the picture as whoever asks may see it.
    """

    def __init__(self, source: Source, explain: Asked | None, smooth: Asked | None, view: Callable[[Request], View]):
        self.source, self.explain, self.smooth, self.view = source, explain, smooth, view

    async def answer(self, request: Request) -> Response:
        """Why it is where it is, of a track that whoever asks may see."""
        return await self._answer(request, self.explain, "explain")

    async def smoothed(self, request: Request) -> Response:
        """Where it was, of a track that whoever asks may see."""
        return await self._answer(request, self.smooth, "locate --journal")

    async def _answer(self, request: Request, ask: Asked | None, command: str) -> Response:
        track_id = request.path_params["track_id"]
        asked_ns = time_of(request, "at") if request.query_params.get("at") else None
        at_ns = await self.source.run(self.source.now_ns) if asked_ns is None else asked_ns
        if ask is None:
            raise HTTPException(503, f"this console explains nothing: birddog {command} does")
        found = await self.source.run(self.view(request).track, track_id)
        # not on the reading thread: the journal is folded again
        why = None if found is None else await asyncio.get_running_loop().run_in_executor(None, ask, track_id, at_ns)
        if why is None:
            raise HTTPException(404, f"no track {track_id!r}" + (f" was shown at {iso_from_ns(at_ns)}" if found else ""))
        return json_answer(why)
