"""The endpoints of what happened and of what is about to (docs/http-api.md): events with what they rest on, forecasts.

A forecast is made on a thread of its own: it may take longer than a question to the store, and nobody else waits for it.  What
takes longer than a person waits is said to be under way, and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog.model import Track as TrackRow
from birddog.model import TrackPoint, Zone
from birddog.units import NS, iso_from_ns, ns_from_text
from opsroom import hotspots
from opsroom.alerts import QUIET, SEVERITY
from opsroom.console import openapi, views
from opsroom.console.answers import bool_of, int_of, json_answer, time_of
from opsroom.console.foreseen import Forecasts, InterceptView, LooksView, PatternsView
from opsroom.console.source import Source
from opsroom.foresight import MOST_WORKING, STEPS, Foresight, Goal, Settings, Working, goals_of
from opsroom.looks_allowed import barred
from opsroom.picture_view import View
from tracking.events.model import ALL_KINDS
from tracking.forecast.intercept import Unit

#: How fast a unit goes unless said: 25 knots, and 70 km/h.
SPEEDS_MPS = {"sea": 12.9, "road": 19.4}
#: So long whoever asks waits, seconds; what is said then.
WAIT_S = 10.0
WORKING = "how sure this is has to be worked out from the tracks of the past first: it is under way, ask again in a while"
#: The kinds of events that there are.
KINDS = frozenset((*SEVERITY, *QUIET, *ALL_KINDS))
#: Points of an event's trails, unless asked for otherwise, and at most.
TRAIL_LIMIT, TRAIL_MAX = 300, 20_000
#: An event's trails begin and end so much beside it.
EVENT_BESIDE_NS = 60 * NS


class Ahead:
    """The endpoints, over one Source.

    Args:
        view: the picture as whoever asks may see it.
        foresight: what makes forecasts; None: there is no archive.
        exercise: the journal is an exercise's.
    """

    def __init__(
        self, source: Source, view: Callable[[Request], View], foresight: Foresight | None, *, exercise: bool = False
    ):  # fmt: skip
        self._source, self._view, self._exercise = source, view, exercise
        self._foresight = foresight or Foresight(Settings())
        # of two questions more than may keep a thread for long
        self._pool = ThreadPoolExecutor(max_workers=MOST_WORKING + 2, thread_name_prefix="console-ahead")
        self._patterns = ThreadPoolExecutor(max_workers=1, thread_name_prefix="console-patterns")

    def close(self) -> None:
        """End the threads."""
        for pool in (self._pool, self._patterns):
            pool.shutdown(wait=False, cancel_futures=True)

    async def events(self, request: Request) -> Response:
        """What happened, newest first."""
        since, operation = int_of(request, "since", 0), request.query_params.get("operation")
        view, track, ongoing = self._view(request), request.query_params.get("track"), bool_of(request, "ongoing")
        kinds = {kind for kind in request.query_params.get("kind", "").split(",") if kind}

        def read() -> openapi.Events:
            found = view.events(since)
            unknown = kinds - KINDS
            if unknown and (unknown := unknown - {e.kind for _, e in view.events()}):  # one of an earlier version is no mistake
                raise HTTPException(422, f"kind: expected some of {', '.join(sorted(KINDS))}, not {min(unknown)[:40]!r}")
            rows = [
                views.event_view(r, e) for r, e in found
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
        n_teams, hour = _whole(request, "teams", 100) or 0, _whole(request, "hour", 167)
        since_ns, until_ns = time_of(request, "from"), time_of(request, "to")

        now_ns = await self._source.run(self._source.now_ns)
        end_ns = until_ns if until_ns is not None else now_ns
        begin_ns = since_ns if since_ns is not None else min(end_ns, now_ns) - hotspots.SINCE_NS
        if begin_ns > min(end_ns, now_ns):
            raise HTTPException(422, "from: expected a time that is neither after to nor after now")
        weeks = hotspots.period(begin_ns, end_ns, now_ns, exercise=self._exercise)

        def read() -> PatternsView:
            found = hotspots.seen(apart, kind, *weeks, cell_m=cell_m, hub_m=hub_m, n_teams=n_teams, hour=hour)
            return msgspec.convert(found, PatternsView)

        # all steps of weeks: beside the live feed, by a connection of its own
        apart = view.apart()
        try:
            return json_answer(await asyncio.get_running_loop().run_in_executor(self._patterns, read))
        finally:
            apart.close()

    async def forecasts(self, request: Request) -> Response:
        """Where a track will be, and when at the places that its case watches, or at one that is named."""
        track_id, view = request.query_params.get("track", ""), self._view(request)
        if not track_id:
            return json_answer(Forecasts(track_id="", t0="", why="name a track: ?track=ID"))
        asked_ns, horizons, goals = time_of(request, "at"), _horizons(request, self._foresight.settings), _goals(request)

        def read() -> tuple[TrackRow, list[TrackPoint], list[Goal], int] | None:
            row = view.track(track_id)
            if row is None:
                return None
            t0_ns = asked_ns if asked_ns is not None else self._source.now_ns()
            points = view.until(track_id, t0_ns, STEPS)
            operation = self._source.directory().operations.get(row.operation)
            return row, points, goals or (goals_of(operation.zones) if operation is not None else []), t0_ns

        found = await self._source.run(read)
        if found is None:
            raise HTTPException(404, f"no track {track_id!r}")
        row, points, places, t0_ns = found
        head = {"track_id": track_id, "t0": iso_from_ns(t0_ns), "why": ""}
        answer = await self._made(view, self._foresight.ahead, row, points, t0_ns, horizons, places)
        return json_answer(msgspec.convert({**head, **answer}, Forecasts))

    async def intercept(self, request: Request) -> Response:
        """Where a unit can meet a track."""
        view, unit_id = self._view(request), request.query_params.get("unit")
        radius_m = _number(request, "radius_m", 10.0, 100_000.0) or 1000.0
        most_s = (_number(request, "within_min", 1.0, 20_160.0) or 240.0) * 60.0
        if "track" not in request.query_params:
            return json_answer(InterceptView(track_id="", t0="", why="name a track: ?track=ID"))
        head, row, points, zones, _ = await self._asked(request, view)
        if unit_id is None and "lat" not in request.query_params and "lon" not in request.query_params:
            return json_answer(InterceptView(**head, why="name a unit: ?unit=TRACK, or lat and lon of a position"))
        other: TrackRow | TrackPoint | None = None
        if unit_id is not None:
            other = await self._source.run(view.track, unit_id)
            if other is None:
                raise HTTPException(404, f"no track {unit_id!r}")
            if "at" in request.query_params:  # where it was then, not where it is by now
                measured = await self._source.run(view.until, unit_id, _ns(head), 1)
                if not measured:
                    return json_answer(InterceptView(**head, why=f"nothing was measured of {unit_id} by then"))
                other = measured[0]
        unit, goals = _unit(request, other), goals_of(zones)
        answer = await self._made(view, self._foresight.meet, row, points, _ns(head), unit, goals, radius_m, most_s)
        return json_answer(msgspec.convert({**head, **answer}, InterceptView))

    async def looks(self, request: Request) -> Response:
        """What to ask for next of a track; never what no authority allows."""
        minutes = _number(request, "horizon_min", 1.0, 44_640.0) or 60.0
        if "track" not in request.query_params:
            return json_answer(LooksView(track_id="", t0="", why="name a track: ?track=ID"))
        view = self._view(request)
        head, row, points, _, not_allowed = await self._asked(request, view)
        answer = await self._made(view, self._foresight.looks, row, points, _ns(head), minutes, not_allowed)
        return json_answer(msgspec.convert({**head, **answer}, LooksView))

    async def _asked(
        self, request: Request, view: View
    ) -> tuple[dict[str, Any], TrackRow, list[TrackPoint], tuple[Zone, ...], dict[str, str]]:  # fmt: skip
        """(track_id and t0, the track, its steps until then, the zones of its case, looks that are barred) of a question."""
        track_id, asked_ns = request.query_params.get("track", ""), time_of(request, "at")

        def read() -> tuple[TrackRow, list[TrackPoint], tuple[Zone, ...], dict[str, str], int] | None:
            row = view.track(track_id)
            if row is None:
                return None
            t0_ns, directory = asked_ns if asked_ns is not None else self._source.now_ns(), self._source.directory()
            operation = directory.operations.get(row.operation)
            zones = operation.zones if operation is not None else ()
            return row, view.until(track_id, t0_ns, STEPS), zones, barred(row, directory, t0_ns), t0_ns

        found = await self._source.run(read)
        if found is None:
            raise HTTPException(404, f"no track {track_id!r}")
        row, points, zones, not_allowed, t0_ns = found
        return {"track_id": track_id, "t0": iso_from_ns(t0_ns)}, row, points, zones, not_allowed

    async def _made(self, view: View, function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
        """An answer of the archive, on the thread of forecasts; where there is none for whoever asks, why."""

        def made() -> dict[str, Any]:
            why = self._foresight.withheld(view.rights.may)
            return {"why": why} if why else function(*args)

        why = self._foresight.missing()
        if why:
            return {"why": why}
        answer = asyncio.get_running_loop().run_in_executor(self._pool, made)
        try:
            # what has not begun by then is not begun; what has goes on, and what it found is kept
            return await asyncio.wait_for(answer, WAIT_S)
        except (TimeoutError, Working):
            return {"why": WORKING}


def _ns(head: dict[str, Any]) -> int:
    return ns_from_text(head["t0"])


def _unit(request: Request, row: TrackRow | TrackPoint | None) -> Unit:
    """Who is to meet it: a track (its place, and how unsure that is), or a position."""
    medium = request.query_params.get("medium", "sea")
    if medium not in SPEEDS_MPS:
        raise HTTPException(422, f"medium: expected sea or road, not {medium[:40]!r}")
    speed_mps = _number(request, "speed_mps", 0.1, 400.0) or SPEEDS_MPS[medium]
    ready_s = (_number(request, "ready_min", 0.0, 10_080.0) or 0.0) * 60.0
    if row is not None:
        sigma_m = max(0.0, (row.p_ee + row.p_nn) / 2.0) ** 0.5
        return Unit(row.lat_deg, row.lon_deg, speed_mps, medium, sigma_m, ready_s)  # type: ignore[arg-type]
    lat, lon = _number(request, "lat", -90.0, 90.0), _number(request, "lon", -180.0, 180.0)
    if lat is None or lon is None:
        raise HTTPException(422, "unit: a track, or lat and lon of a position")
    return Unit(lat, lon, speed_mps, medium, _number(request, "sigma_m", 0.0, 1e6) or 0.0, ready_s)  # type: ignore[arg-type]


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


def _whole(request: Request, name: str, most: int) -> int | None:
    number = _number(request, name, 0.0, float(most))
    if number is not None and not number.is_integer():
        raise HTTPException(422, f"{name}: expected a whole number, not {request.query_params[name][:40]!r}")
    return None if number is None else int(number)


def _horizons(request: Request, settings: Settings) -> tuple[float, ...]:
    minutes = _number(request, "horizon_min", 0.0, 44_640.0)
    return settings.horizons_min if minutes is None else (minutes,)


def _goals(request: Request) -> list[Goal]:
    lat, lon = _number(request, "lat", -90.0, 90.0), _number(request, "lon", -180.0, 180.0)
    if (lat is None) != (lon is None):
        raise HTTPException(422, "lat and lon: both, or neither")
    radius_m = _number(request, "radius_m", 1.0, 1_000_000.0) or 500.0
    return [] if lat is None or lon is None else [Goal("asked", lat, lon, radius_m)]
