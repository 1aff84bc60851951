"""``/v1/export/FORMAT``: the tracks in a format of other people's, as `birddog export` has them, streamed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from birddog.errors import UsageError
from birddog.model import Access
from birddog.validated import Validated
from opsroom import exports
from opsroom.console.answers import NAME_MOST, bool_of, by_of, time_of
from opsroom.console.source import Source
from opsroom.picture_view import View


class Export:
    """The endpoint.

    Args:
        exercise: the journal is an exercise's.
        record: writes the entry that says who took it; may block, and raises where it cannot.
        view: the picture as whoever asks may see it.
    """

    def __init__(self, source: Source, exercise: bool, view: Callable[[Request], View], record: Callable[[Access], int]):
        self.source, self.exercise, self.view, self.record = source, exercise, view, record

    async def answer(self, request: Request) -> Response:
        """One track (``track=``), a case (``operation=``) or everything, of a time (``from=``, ``to=``)."""
        asked, view = request.query_params, self.view(request)
        try:
            export = exports.load(request.path_params["format"])
        except UsageError as error:
            raise HTTPException(404, error.message) from error
        from_ns, to_ns = (time_of(request, name) if asked.get(name) else None for name in ("from", "to"))
        track_id, operation = asked.get("track"), asked.get("operation") or None
        if track_id and await self.source.run(view.track, track_id) is None:
            raise HTTPException(404, f"no track {track_id!r}")

        def sheet() -> exports.Sheet:
            return exports.Sheet(view, self.source.name(), made_ns=self.source.now_ns(), exercise=self.exercise,
                                 operation=operation, track_id=track_id or None, from_ns=from_ns, to_ns=to_ns,
                                 coast=bool_of(request, "coast"), validated=Validated(self.source.directory()))

        said = asked.get("by", "")
        if len(said) > NAME_MOST or said != said.strip():
            raise HTTPException(422, f"by: wants at most {NAME_MOST} printable characters")
        by = by_of(request, said, "console")
        # written before anything leaves: what cannot be recorded stays here (BirddogError: 503)
        await asyncio.get_running_loop().run_in_executor(None, self.record, Access(
            action="export", by=by, form=request.path_params["format"], to="browser", operation=operation or "",
            track=track_id or "", from_ns=from_ns, to_ns=to_ns))
        pieces = export.encode(await self.source.run(sheet))
        first = await self.source.run(next, pieces, "")  # what cannot be read is refused before anything is sent

        async def text() -> AsyncIterator[bytes]:
            piece = first
            while piece:
                yield piece.encode()
                piece = await self.source.run(next, pieces, "")

        called = "_".join(["birddog", *(re.sub(r"[^A-Za-z0-9.-]+", "-", word) for word in (operation, track_id) if word)])
        return StreamingResponse(text(), media_type=export.MEDIA_TYPE, headers={
            "Content-Disposition": f'attachment; filename="{called}.{export.EXTENSION}"'})  # fmt: skip
