"""The endpoints of what happened and of what is about to (docs/http-api.md): events with what they rest on, forecasts.

A forecast is made on a thread of its own: it may take longer than a question to the store, and nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog.model import Track as TrackRow
from birddog.model import TrackPoint
from birddog.units import NS, iso_from_ns
from opsroom import hotspots
from opsroom.console import openapi, views
from opsroom.console.answers import bool_of, int_of, json_answer, time_of
from opsroom.console.foreseen import Forecasts, PatternsView
from opsroom.console.source import Source
from opsroom.foresight import STEPS, Foresight, Settings, Spot, spots_of
from opsroom.picture_view import View

#: Points of an event's trails, unless asked for otherwise, and at most.
TRAIL_LIMIT, TRAIL_MAX = 300, 20_000
#: An event's trails begin and end so much beside it.
EVENT_BESIDE_NS = 60 * NS


class Ahead:
    """The endpoints, over one Source.

    Args:
        view: the picture as whoever asks may see it.
        foresight: what makes forecasts; None: there is no archive.
    """

    def __init__(self, source: Source, view: Callable[[Request], View], foresight: Foresight | None):
        self._source, self._view = source, view
        self._foresight = foresight or Foresight(Settings())
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="console-ahead")

    def close(self) -> None:
        """End the thread of forecasts."""
        self._pool.shutdown(wait=False, cancel_futures=True)

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

    async def patterns(self, request: Request) -> Response:
        """Places and hours at which something happens, with how long somebody looked."""
        kind, view = request.query_params.get("kind", "stop"), self._view(request)
        if kind not in hotspots.KINDS:
            raise HTTPException(422, f"kind: expected one of {', '.join(hotspots.KINDS)}, not {kind[:40]!r}")
        cell_m = _number(request, "cell_m", 50.0, 500_000.0) or 5000.0
        hub_m = _number(request, "hub_m", 50.0, 50_000.0) or 500.0
        n_teams, hour = _number(request, "teams", 0.0, 100.0) or 0.0, _number(request, "hour", 0.0, 167.0)
        since_ns, until_ns = time_of(request, "from"), time_of(request, "to")

        end_ns = until_ns if until_ns is not None else await self._source.run(self._source.now_ns)

        def read() -> PatternsView:
            begin_ns = since_ns if since_ns is not None else end_ns - hotspots.SINCE_NS
            found = hotspots.seen(apart, kind, begin_ns, end_ns, cell_m=cell_m, hub_m=hub_m, n_teams=int(n_teams),
                                  hour=None if hour is None else int(hour))  # fmt: skip
            return msgspec.convert(found, PatternsView)

        # all steps of weeks: beside the live feed, by a connection of its own
        apart = view.apart()
        try:
            return json_answer(await asyncio.get_running_loop().run_in_executor(self._pool, read))
        finally:
            apart.close()

    async def forecasts(self, request: Request) -> Response:
        """Where a track will be, and when at the places that its case watches, or at one that is named."""
        track_id, view = request.query_params.get("track", ""), self._view(request)
        if not track_id:
            return json_answer(Forecasts(track_id="", t0="", why="name a track: ?track=ID"))
        asked_ns, horizons, spots = time_of(request, "at"), _horizons(request, self._foresight.settings), _spots(request)

        def read() -> tuple[TrackRow, list[TrackPoint], list[Spot], int] | None:
            row = view.track(track_id)
            if row is None:
                return None
            t0_ns = asked_ns if asked_ns is not None else self._source.now_ns()
            points = view.until(track_id, t0_ns, STEPS)
            operation = self._source.directory().operations.get(row.operation)
            return row, points, spots or (spots_of(operation.zones) if operation is not None else []), t0_ns

        found = await self._source.run(read)
        if found is None:
            raise HTTPException(404, f"no track {track_id!r}")
        row, points, places, t0_ns = found
        head, why = {"track_id": track_id, "t0": iso_from_ns(t0_ns)}, self._foresight.missing()
        if not why:
            loop = asyncio.get_running_loop()
            asked = (row, points, t0_ns, horizons, places)
            head |= await loop.run_in_executor(self._pool, self._foresight.ahead, *asked)
        return json_answer(msgspec.convert({"why": why, **head}, Forecasts))


def _number(request: Request, name: str, least: float, most: float) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise HTTPException(422, f"{name}: expected a number from {least:g} to {most:g}, not {text[:40]!r}")
    return value


def _horizons(request: Request, settings: Settings) -> tuple[float, ...]:
    minutes = _number(request, "horizon_min", 0.0, 44_640.0)
    return settings.horizons_min if minutes is None else (minutes,)


def _spots(request: Request) -> list[Spot]:
    lat, lon = _number(request, "lat", -90.0, 90.0), _number(request, "lon", -180.0, 180.0)
    if (lat is None) != (lon is None):
        raise HTTPException(422, "lat and lon: both, or neither")
    radius_m = _number(request, "radius_m", 1.0, 1_000_000.0) or 500.0
    return [] if lat is None or lon is None else [Spot("asked", lat, lon, radius_m)]
