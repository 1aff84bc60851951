"""The console's endpoints (docs/http-api.md): what each route reads and answers."""

from __future__ import annotations

import csv
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from starlette.websockets import WebSocket

from birddog import model
from birddog.errors import BirddogError
from birddog.units import NS, iso_from_ns
from opsroom.console import openapi, views
from opsroom.console.ahead import Ahead
from opsroom.console.answers import body_of, bool_of, float_of, int_of, json_answer
from opsroom.console.channel import EventStream, number_of, over_websocket
from opsroom.console.export import Export
from opsroom.console.feed import Feed
from opsroom.console.guard import COOKIE, Sessions
from opsroom.console.health import Health, HealthView, prometheus
from opsroom.console.law import Law
from opsroom.console.person import Person
from opsroom.console.settings import Settings
from opsroom.console.source import Source
from opsroom.console.why import Asked, Why
from opsroom.foresight import Foresight
from opsroom.picture_view import ALL, Rights, View

STATIC = Path(__file__).parent / "static"
TRAIL_MINUTES, TRAIL_LIMIT, TRAIL_MAX = 60.0, 300, 20_000
#: So many points /v1/trails answers with at most, shared evenly by the tracks.
TOO_MANY = "too many live connections; try again later"
TRAILS_TOTAL = 200_000
_MEDIA = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_TEXT = {".mjs": "text/javascript", ".js": "text/javascript", ".css": "text/css"}
_encode = msgspec.json.Encoder().encode


class Console:
    """The endpoints, over one Source and one Feed."""

    def __init__(self, settings: Settings, source: Source, feed: Feed, health: Health,
                 act: Callable[[model.Decision | model.Access], int],
                 act_all: Callable[[list[model.Decision]], list[int]],
                 explain: Asked | None = None, foresight: Foresight | None = None, smooth: Asked | None = None):
        self.settings, self.source, self.feed, self.health = settings, source, feed, health
        self.person = Person(source, act_all, self._view)
        self.why = Why(source, explain, smooth, self._view)
        self.export = Export(source, settings.exercise, self._view, act)
        self.law = Law(source, self._view)
        self.sessions = Sessions(settings.tokens)
        self.ahead = Ahead(source, self._view, foresight, exercise=settings.exercise)

    def routes(self) -> list[BaseRoute]:
        """Every route; openapi.OPERATIONS describes those that answer programs."""
        return [
            Route("/", self.page),
            Route("/v1/tracks", self.tracks),
            Route("/v1/tracks/{track_id}", self.track),
            Route("/v1/tracks/{track_id}/explain", self.why.answer),
            Route("/v1/tracks/{track_id}/smoothed", self.why.smoothed),
            Route("/v1/trails", self.trails),
            Route("/v1/export/{format}", self.export.answer),
            Route("/v1/devices", self.devices),
            Route("/v1/flags", self.flags),
            Route("/v1/flags/{flag_id}/thumbnail", self.thumbnail),
            Route("/v1/alerts", self.alerts),
            Route("/v1/alerts/budget", self.person.budget),
            Route("/v1/alerts/acknowledge", self.person.acknowledge_group, methods=["POST"]),
            Route("/v1/alerts/{alert_id}/acknowledge", self.person.acknowledge, methods=["POST"]),
            Route("/v1/decisions", self.person.decide, methods=["POST"]),
            Route("/v1/events", self.ahead.events),
            Route("/v1/events/{event_id}", self.ahead.event),
            Route("/v1/forecasts", self.ahead.forecasts),
            Route("/v1/intercept", self.ahead.intercept),
            Route("/v1/looks", self.ahead.looks),
            Route("/v1/patterns", self.ahead.patterns),
            Route("/v1/refused", self.refused),
            Route("/v1/authority", self.law.authority),
            Route("/v1/operations", self.operations),
            Route("/v1/session", self.session, methods=["GET", "POST"]),
            Route("/v1/stream", self.stream),
            WebSocketRoute("/v1/live", self.live),
            Route("/healthz", self.healthz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            Route("/static/basemap/places.geojson", self.places),
            Mount("/static", _Static(directory=STATIC)),
        ]

    # --- the page ---

    async def page(self, request: Request) -> Response:
        """The page; everything else of it is under /static."""
        return FileResponse(STATIC / "index.html", media_type="text/html")

    async def places(self, request: Request) -> Response:
        """The cities of the basemap's CSV as GeoJSON."""
        return Response(await self.source.run(_places), media_type="application/geo+json")

    # --- what is there ---

    async def tracks(self, request: Request) -> Response:
        since, operation = int_of(request, "since", 0), request.query_params.get("operation")
        everything, view = bool_of(request, "all"), self._view(request)

        def read() -> openapi.Tracks:
            seq, shown = view.cursor(), self.source.shown(view)
            found = view.tracks(since) if everything or since else view.standing()
            rows = [shown(r, t) for r, t in found if operation in (None, t.operation)]
            return openapi.Tracks(seq=seq, time=iso_from_ns(self.source.now_ns()), exercise=self.settings.exercise, tracks=rows)

        return json_answer(await self.source.run(read))

    async def track(self, request: Request) -> Response:
        track_id = request.path_params["track_id"]
        (minutes, limit), view = self._window(request), self._view(request)
        believed_at = int_of(request, "believed_at", None)

        def read() -> openapi.TrackDetail | None:
            found = view.track(track_id)
            if found is None:
                return None
            points = view.points(track_id, since_ns=self._since_ns(minutes), limit=limit, believed_at=believed_at)
            # a row read alone does not know its revision: 0 never beats the one of the live channel
            row = self.source.shown(view)(0, found)
            return openapi.TrackDetail(row, [views.point_view(p) for p in points])

        detail = await self.source.run(read)
        if detail is None:
            raise HTTPException(404, f"no track {track_id!r}")
        return json_answer(detail)

    async def trails(self, request: Request) -> Response:
        (minutes, limit), view = self._window(request), self._view(request)
        believed_at = int_of(request, "believed_at", None)

        def read() -> openapi.Trails:
            since_ns = self._since_ns(minutes)
            ids = sorted(t.track_id for _, t in view.present())
            most = min(limit, max(1, TRAILS_TOTAL // max(1, len(ids))))
            found = [(name, *view.trail(name, since_ns=since_ns, limit=most, believed_at=believed_at)) for name in ids]
            return openapi.Trails([openapi.Trail(name, [views.point_view(p) for p in points], step_ns / NS)
                                   for name, points, step_ns in found])

        return json_answer(await self.source.run(read))

    def _view(self, request: Request) -> View:
        """The picture as whoever asks may see it."""
        return self.source.view(self._rights(request))

    @staticmethod
    def _rights(request: Request | WebSocket) -> Rights:
        return ALL  # people and logins come later: then what their session says

    def _window(self, request: Request) -> tuple[float, int]:
        return float_of(request, "minutes", TRAIL_MINUTES), min(int_of(request, "limit", TRAIL_LIMIT), TRAIL_MAX)

    def _since_ns(self, minutes: float) -> int:
        # on the reading thread: the clock may be that of the newest message, which the journal tells
        return max(0, self.source.now_ns() - int(minutes * 60 * NS))

    async def devices(self, request: Request) -> Response:
        view, waiting = self._view(request), bool_of(request, "waiting")

        def read() -> openapi.Devices:
            directory, now_ns = self.source.directory(), self.source.now_ns()
            awaited = views.awaited_now(directory, view.awaited(), now_ns)
            tracks = [] if waiting and not awaited else view.standing()  # asked often, and nearly always there is none
            found = views.device_views(directory, tracks, now_ns, awaited, waiting=waiting)
            return openapi.Devices([device for device in found if view.rights.may(device.operation) or device.track_ids])

        return json_answer(await self.source.run(read))

    async def operations(self, request: Request) -> Response:
        view = self._view(request)

        def read() -> openapi.Operations:
            named = {name: one for name, one in self.source.directory().operations.items() if view.rights.may(name)}
            return openapi.Operations(views.operation_views(named, view.operations() - {""}))

        return json_answer(await self.source.run(read))

    async def flags(self, request: Request) -> Response:
        since, view = int_of(request, "since", 0), self._view(request)
        rows = await self.source.run(lambda: [views.flag_view(r, f) for r, f in view.flags(since)])
        return json_answer(openapi.Flags(sorted(rows, key=lambda f: (f.time, f.flag_id), reverse=True)))

    async def thumbnail(self, request: Request) -> Response:
        flag_id, view = request.path_params["flag_id"], self._view(request)
        data = await self.source.run(view.thumbnail, flag_id)
        if data is None:
            if await self.source.run(view.flag, flag_id) is None:
                raise HTTPException(404, f"no flag {flag_id!r}")
            return Response(status_code=204)
        media = next((name for magic, name in _MEDIA.items() if data.startswith(magic)), None)
        if media is None:
            # bytes that arrived from elsewhere: nothing but an image leaves here as an image
            raise HTTPException(415, "the thumbnail is neither PNG nor JPEG")
        return Response(data, media_type=media)

    async def alerts(self, request: Request) -> Response:
        since, only_open, view = int_of(request, "since", 0), bool_of(request, "open"), self._view(request)
        operation = request.query_params.get("operation")

        def read() -> openapi.Alerts:
            asked = view.open_alerts() if only_open else view.alerts()
            told = views.one_of_each([(r, a) for r, a in asked if operation in (None, a.operation)])
            rows = [views.alert_view(r, a, names) for r, a, names in told if r > since]
            return openapi.Alerts(sorted(rows, key=lambda a: (a.raised, a.alert_id), reverse=True))

        return json_answer(await self.source.run(read))

    async def refused(self, request: Request) -> Response:
        since, view = int_of(request, "since", 0), self._view(request)
        rows = await self.source.run(lambda: [views.refused_view(r, row) for r, row in view.refused(since)])
        return json_answer(openapi.RefusedMessages(sorted(rows, key=lambda r: (r.last, r.refused_id), reverse=True)))

    # --- who asks ---

    async def session(self, request: Request) -> Response:
        if request.method == "POST":
            body = await body_of(request, openapi.SessionBody)
            name = self.sessions.name_of_token(body.token) if self.sessions.needed else ""
            if name is None:
                raise HTTPException(401, "that is no token of this console")
            answer = json_answer(openapi.SessionView(name, self.sessions.needed))
            if self.sessions.needed:
                answer.set_cookie(COOKIE, self.sessions.open(name), httponly=True, samesite="strict", path="/",
                                  secure=request.url.scheme == "https")
            return answer
        return json_answer(openapi.SessionView(self.sessions.who(request.headers) or "", self.sessions.needed))

    # --- live ---

    async def live(self, socket: WebSocket) -> None:
        """The live channel as a WebSocket."""
        if self.feed.tabs >= self.settings.max_listeners:
            await socket.accept()  # or the page could not read the code
            await socket.close(1013, TOO_MANY)
            return
        await over_websocket(self.feed, socket, self._rights(socket))

    async def stream(self, request: Request) -> EventStream:
        """The same frames as server-sent events, for curl and other programs."""
        if self.feed.tabs >= self.settings.max_listeners:
            raise HTTPException(503, TOO_MANY)
        since, epoch = int_of(request, "since", 0), request.query_params.get("epoch", "")
        # ours reads EPOCH:SEQ; one that is not ours begins anew
        before, _, number = request.headers.get("last-event-id", "").rpartition(":")
        last = number_of(number)
        if last is not None:
            since, epoch = last, before
        word = await self.source.run(self.source.epoch)
        return EventStream(self.feed, word, *await self.feed.subscribe(since, epoch, self._rights(request)))

    # --- for machines ---

    async def healthz(self, request: Request) -> Response:
        problems = await self._problems()
        body = HealthView(ok=not problems, time=iso_from_ns(time.time_ns()), seq=self.feed.seq, tabs=self.feed.tabs,
                          exercise=self.settings.exercise, problems=problems, warnings=self.health.warnings(),
                          processes=self.health.processes(), refused_connects=self.health.refused_connects())
        return json_answer(body, 503 if problems else 200)

    async def _problems(self) -> list[str]:
        try:
            await self.source.run(self.health.refresh)
        except BirddogError as error:
            self.health.failed(str(error))
        return self.feed.problems()

    async def metrics(self, request: Request) -> Response:
        problems = await self._problems()
        gauges = {
            "birddog_up": ("1 while /healthz answers 200", 0.0 if problems else 1.0),
            "birddog_exercise": ("1 in an exercise", float(self.settings.exercise)),
            "birddog_picture_seq": ("Journal entries folded into the picture", float(self.feed.seq)),
            "birddog_console_tabs": ("Live connections", float(self.feed.tabs)),
            "birddog_console_frames_sent_total": ("Live frames sent", float(self.feed.frames_sent)),
            "birddog_console_tabs_lost_total": ("Live connections dropped because they lagged", float(self.feed.tabs_lost)),
        }
        labelled: dict[str, tuple[str, str, dict[str, float]]] = {}
        try:
            await self.source.run(self._measure, gauges, labelled)
        except BirddogError:
            gauges["birddog_picture_ready"] = ("1 while the picture can be read", 0.0)
        text = prometheus(self.health.rows, gauges, labelled, self.health.processes())
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _measure(self, gauges: dict[str, tuple[str, float]], labelled: dict[str, tuple[str, str, dict[str, float]]]) -> None:
        counts = self.source.journal.counts()
        gauges["birddog_journal_seq"] = ("Number of the newest journal entry", float(counts.last_seq))
        gauges["birddog_frames_total"] = ("Distinct messages, accepted or refused", float(counts.frames))
        gauges["birddog_observations_total"] = ("Observations in the journal", float(counts.observations))
        gauges["birddog_duplicates_total"] = ("Messages that were there before", float(counts.duplicates))
        labelled["birddog_rejects_total"] = ("Rejects by reason", "reason", {k: float(v) for k, v in counts.rejects.items()})
        labelled["birddog_unread_total"] = ("Parts of messages that were not understood, by their name", "part",
                                            {k: float(v) for k, v in counts.unread.items()})
        view = self.source.view()  # numbers of rows only, for machines
        by_status = {status: float(count) for status, count in view.statuses().items()}
        labelled["birddog_tracks"] = ("Tracks by status", "status", by_status)
        unseen: dict[str, float] = {}
        for _, alert, _ in views.one_of_each(view.open_alerts()):
            unseen[alert.severity] = unseen.get(alert.severity, 0.0) + 1.0
        labelled["birddog_alerts_open"] = ("Alerts that wait for a person", "severity", unseen)
        gauges["birddog_picture_ready"] = ("1 while the picture can be read", 1.0)

    async def openapi(self, request: Request) -> Response:
        return Response(_encode(openapi.document()), media_type="application/json")


class _Static(StaticFiles):
    """Static files; modules as text/javascript whatever this machine's mime table says."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        kind = _TEXT.get(Path(full_path).suffix)
        if kind is not None:
            response.headers["content-type"] = f"{kind}; charset=utf-8"
        return response


@functools.cache
def _places() -> bytes:
    features = []
    with (STATIC / "basemap" / "places-100k.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            point = {"type": "Point", "coordinates": [float(row["lon"]), float(row["lat"])]}
            properties = {"name": row["name"], "population": int(row["population"])}
            features.append({"type": "Feature", "geometry": point, "properties": properties})
    return _encode({"type": "FeatureCollection", "features": features})
