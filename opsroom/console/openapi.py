"""/openapi.json: OpenAPI 3.1, built from the same Structs that are encoded into the answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from birddog import __version__
from opsroom.authority import DeadlineView, RetrievalView, WarrantView
from opsroom.console import views
from opsroom.console.foreseen import Forecasts, InterceptView, LooksView, PatternsView
from opsroom.console.health import HealthView


class Tracks(msgspec.Struct, frozen=True):
    """Every track that is not deleted (with ``all=1`` the deleted ones too); ``seq`` is the live sequence number."""

    seq: int
    time: str
    exercise: bool
    tracks: list[views.TrackView]


class TrackDetail(msgspec.Struct, frozen=True):
    """One track with the newest points of its trail, in order of time."""

    track: views.TrackView
    points: list[views.PointView]


class Trail(msgspec.Struct, frozen=True):
    """Points of one track over the whole time that was asked for, the newest among them, in order of time.

    ``step_s``: where there were more than ``limit``, the least time between two of those that stand for all; else 0.
    """

    track_id: str
    points: list[views.PointView]
    step_s: float = 0.0


class Trails(msgspec.Struct, frozen=True):
    """Trails of every track that is not deleted."""

    trails: list[Trail]


class Alerts(msgspec.Struct, frozen=True):
    """Alerts, newest first."""

    alerts: list[views.AlertView]


class Events(msgspec.Struct, frozen=True):
    """Events, newest first."""

    events: list[views.EventView]


class EventDetail(msgspec.Struct, frozen=True):
    """One event, and the steps of its tracks' histories from a little before it until it ended: the fixes that it rests on."""

    event: views.EventView
    trails: list[Trail]


class Flags(msgspec.Struct, frozen=True):
    """Imagery flags, newest first."""

    flags: list[views.FlagView]


class Authority(msgspec.Struct, frozen=True):
    """Warrants and what is due of them, the first due in front; devices still out; what was sealed, by device and why, and
    what of it was opened since, by device and by which order (``detail``: the warrant and the order)."""

    time: str
    warrants: list[WarrantView]
    deadlines: list[DeadlineView]
    retrieval: list[RetrievalView]
    sealed: list[views.RefusedView]
    opened: list[views.RefusedView]


class RefusedMessages(msgspec.Struct, frozen=True):
    """Refused messages by sender and reason, the latest first."""

    refused: list[views.RefusedView]


class Devices(msgspec.Struct, frozen=True):
    """Devices by name."""

    devices: list[views.DeviceView]


class Operations(msgspec.Struct, frozen=True):
    """Operations by name."""

    operations: list[views.OperationView]


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered."""

    error: str


class AcknowledgeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who acknowledges, and what they have to say.  With tokens, ``by`` is the token's name whatever stands here.

    ``false``: there was nothing; it counts against the alert budget.
    """

    by: str = ""
    note: str = ""
    false: bool = False


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The alert budget (docs/alerts.md): false alarms a shift, asked (null: none is set) and measured.

    ``false``: alerts that persons acknowledged as false in the last shift; ``measured``: a shift, over the last ``shifts``;
    ``thresholds``: of each operation, by rule.
    """

    asked: float | None
    shift_h: float
    cases: int
    false: int
    measured: float
    shifts: float
    thresholds: dict[str, dict[str, float]]


class Acknowledged(msgspec.Struct, frozen=True):
    """The decision is on disk, as entry ``seq`` of the journal."""

    alert_id: str
    seq: int


class DecisionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decides of a track (docs/http-api.md).

    ``false_fix``: the fix of ``device`` ("": of whichever) made at ``time`` is false; ``take_over``: the track is at its
    second place, where its refused fixes, a sensor's looks or a reader of its tag say; ``merge``: the track ``other`` is this
    one; ``split``: its receiver ``device`` goes a way of its own;
    ``identify``: this contact is the track ``other``; ``confirm_dark``, ``dismiss_dark``: it is a dark vessel, or none;
    ``undo``: ``subject`` is the decision_id; ``reopen``: the alert_id of what was acknowledged and waits for a person again.
    For the others it is the track_id.
    """

    action: Literal["false_fix", "take_over", "merge", "split", "identify", "confirm_dark", "dismiss_dark", "undo", "reopen"]
    subject: str
    device: str = ""
    other: str = ""
    time: str = ""
    by: str = ""
    note: str = ""


class Decided(msgspec.Struct, frozen=True):
    """The decision is on disk, as entry ``seq`` of the journal; what it did is an event ``decided`` or ``decided_nothing``."""

    decision_id: str
    seq: int


class AcknowledgeGroupBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every open alert of a kind, of one operation where that is named ("" is the alerts of none), that the person has seen.

    ``seq``: of the frame or the answer that was looked at; what was raised later stays open.  0: whatever is open now.
    """

    kind: str
    operation: str | None = None
    severity: str | None = None
    seq: int = 0
    by: str = ""
    note: str = ""
    false: bool = False


class AcknowledgedGroup(msgspec.Struct, frozen=True):
    """How many were acknowledged; ``seq`` is the entry of the last of these decisions (0: there was none to take)."""

    acknowledged: int
    seq: int


class SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token, to be changed into a cookie."""

    token: str


class SessionView(msgspec.Struct, frozen=True):
    """Who looks at the console; ``tokens`` says whether a token is needed at all."""

    name: str
    tokens: bool


class LiveFrame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One frame of /v1/live and /v1/stream; a beat has no rows."""

    type: str
    seq: int
    time: str
    exercise: bool
    ready: bool
    problems: list[str]
    played: bool = False
    undated: int = 0
    clock: str | None = None
    epoch: str = ""
    keys: dict[str, str] = {}
    tracks: list[views.TrackView] = []
    alerts: list[views.AlertView] = []
    flags: list[views.FlagView] = []
    events: list[views.EventView] = []
    refused: list[views.RefusedView] = []
    points: list[views.LivePoint] = []


_Q = {
    "since": ("integer", "only what changed after this sequence number; in the live channel: resume there"),
    "epoch": ("string", "the epoch of the frame that since was taken from; another one gives a snapshot"),
    "all": ("boolean", "1: deleted tracks too"),
    "operation": ("string", "only this operation"),
    "minutes": ("number", "how far back, of the server's time"),
    "believed_at": ("integer", "the trail as it was believed when this entry of the journal had come in"),
    "limit": ("integer", "at most so many points: of one track the newest, of trails over the whole time"),
    "at": ("string", "as it was believed then: ISO 8601 with an offset, or POSIX seconds; now unless given"),
    "track": ("string", "only this track"),
    "from": ("string", "only what is of this time or later: ISO 8601 with an offset, or POSIX seconds"),
    "to": ("string", "only what is before this time"),
    "by": ("string", "who takes it, as the journal's entry of it shall say"),
    "coast": ("boolean", "1: predictions too"),
    "kind": ("string", "only these kinds, separated by commas"),
    "unit": ("string", "the track that is to meet it; else lat and lon"),
    "sigma_m": ("number", "one sigma of that position, metres"),
    "speed_mps": ("number", "how fast the unit goes; 25 kn at sea, 70 km/h by road"),
    "medium": ("string", "sea or road"),
    "ready_min": ("number", "until it leaves, minutes"),
    "within_min": ("number", "nothing later, minutes (240)"),
    "cell_m": ("number", "side of a cell, metres"),
    "hub_m": ("number", "how far a hub reaches, metres"),
    "teams": ("integer", "so many cells where a team would see most"),
    "hour": ("integer", "of the week for teams, UTC: 0 is Monday 00:00 to 01:00"),
    "horizon_min": ("number", "how far ahead, minutes; else those of the configuration"),
    "lat": ("number", "latitude of a place that the arrival is asked for"),
    "lon": ("number", "longitude of that place"),
    "radius_m": ("number", "how near is there, metres"),
    "ongoing": ("boolean", "1: only what goes on"),
    "open": ("boolean", "1: only those that wait for a person"),
    "waiting": ("boolean", "1: only those that were attached and not heard since, or are refused for want of a warrant"),
}
#: path -> method -> (what it does, answer, query names, body).  A test holds it against the app's routes.
OPERATIONS: dict[str, dict[str, tuple[str, Any, tuple[str, ...], Any]]] = {
    "/v1/tracks": {"get": ("Tracks as believed now", Tracks, ("since", "all", "operation"), None)},
    "/v1/tracks/{track_id}": {"get": ("One track and its trail", TrackDetail, ("minutes", "limit", "believed_at"), None)},
    "/v1/tracks/{track_id}/explain": {"get": ("Why it is where it is: measurements, hypotheses, motions, presets",
                                              "json", ("at",), None)},
    "/v1/tracks/{track_id}/smoothed": {"get": ("Where it was, by all that was ever measured of it, whenever that came in",
                                               "json", ("at",), None)},
    "/v1/trails": {"get": ("Trails of all tracks", Trails, ("minutes", "limit", "believed_at"), None)},
    "/v1/export/{format}": {"get": ("Tracks in a format of other people's: geojson, gpx, kml, csv, nmea, cot, epcis, mf-json",
                                    "file", ("track", "operation", "from", "to", "coast", "by"), None)},
    "/v1/devices": {"get": ("Devices enrolled, placed or heard", Devices, ("waiting",), None)},
    "/v1/flags": {"get": ("What images showed", Flags, ("since",), None)},
    "/v1/flags/{flag_id}/thumbnail": {"get": ("The image chip of a flag", "image", (), None)},
    "/v1/alerts": {"get": ("Alerts", Alerts, ("since", "open", "operation"), None)},
    "/v1/alerts/{alert_id}/acknowledge": {"post": ("A person has seen it: a new entry of the journal", Acknowledged, (),
                                                   AcknowledgeBody)},
    "/v1/alerts/budget": {"get": ("False alarms a shift, asked and measured", Budget, (), None)},
    "/v1/alerts/acknowledge": {"post": ("A person has seen all open alerts of a kind: a new entry for each", AcknowledgedGroup,
                                        (), AcknowledgeGroupBody)},
    "/v1/decisions": {"post": ("What a person decides of a track: a new entry of the journal", Decided, (), DecisionBody)},
    "/v1/events": {"get": ("Events", Events, ("since", "operation", "kind", "track", "ongoing"), None)},
    "/v1/events/{event_id}": {"get": ("One event and the fixes that it rests on", EventDetail, ("limit",), None)},
    "/v1/forecasts": {"get": ("Where a track will be and when at some places, with how good such answers were", Forecasts,
                              ("track", "at", "horizon_min", "lat", "lon", "radius_m"), None)},
    "/v1/intercept": {"get": ("Where and when a unit can meet a track, ranked by probability", InterceptView,
                              ("track", "unit", "lat", "lon", "sigma_m", "speed_mps", "medium", "ready_min", "radius_m",
                               "within_min", "at"), None)},
    "/v1/looks": {"get": ("What to ask for next of a track, by how much it tells per cost; never what no authority allows",
                          LooksView, ("track", "horizon_min", "at"), None)},
    "/v1/patterns": {"get": ("Places and hours at which something happens, with how long somebody looked; never who",
                             PatternsView, ("kind", "from", "to", "cell_m", "hub_m", "teams", "hour"), None)},
    "/v1/refused": {"get": ("Who was refused, why and how often", RefusedMessages, ("since",), None)},
    "/v1/authority": {"get": ("Warrants, what is due, what is still out, what was sealed", Authority, (), None)},
    "/v1/operations": {"get": ("Operations", Operations, (), None)},
    "/v1/session": {"get": ("Who I am", SessionView, (), None),
                    "post": ("Change a token into a cookie", SessionView, (), SessionBody)},
    "/v1/stream": {"get": ("The live channel as server-sent events; Last-Event-ID resumes", "stream", ("since", "epoch"),
                           None)},
    "/healthz": {"get": ("Whether every process is well; 503 says what is wrong", HealthView, (), None)},
    "/metrics": {"get": ("Prometheus text format 0.0.4", "text", (), None)},
    "/openapi.json": {"get": ("This description", "json", (), None)},
}
_MEDIA = {"image": ("image/png", {"type": "string", "contentEncoding": "binary"}),
          "stream": ("text/event-stream", {"type": "string"}), "text": ("text/plain", {"type": "string"}),
          "file": ("*/*", {"type": "string"}), "json": ("application/json", {"type": "object"})}


def _query(name: str) -> dict[str, Any]:
    kind, words = _Q[name]
    return {"name": name, "in": "query", "required": False, "description": words, "schema": {"type": kind}}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    types: list[Any] = [Problem, LiveFrame]
    for methods in OPERATIONS.values():
        for _, answer, _, body in methods.values():
            types += [t for t in (answer, body) if isinstance(t, type)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    named = dict(zip(types, schemas, strict=True))
    problem = {"application/json": {"schema": named[Problem]}}
    paths: dict[str, Any] = {}
    for path, methods in OPERATIONS.items():
        for method, (summary, answer, query, body) in methods.items():
            media, schema = ("application/json", named[answer]) if isinstance(answer, type) else _MEDIA[answer]
            item: dict[str, Any] = {
                "summary": summary,
                "operationId": method + "".join(p.strip("{}").title().replace("_", "") for p in path.split("/")),
                "parameters": [
                    {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
                    for part in path.split("/") if part.startswith("{")
                ] + [
                    _query(name) for name in query
                ],
                "responses": {
                    "200": {"description": "done", "content": {media: {"schema": schema}}},
                    "default": {"description": "refused, or not possible; the words say why", "content": problem},
                },
            }
            if answer == "image":
                item["responses"]["204"] = {"description": "the scan made none"}
            if answer is HealthView:
                item["responses"]["503"] = {"description": "something is wrong", "content": {media: {"schema": schema}}}
            if body is not None:
                item["requestBody"] = {"required": True, "content": {"application/json": {"schema": named[body]}}}
            paths.setdefault(path, {})[method] = item
    paths["/v1/live"] = {"get": {
        "summary": "WebSocket: a snapshot, then batched frames (LiveFrame) with a sequence number; ?since= resumes",
        "operationId": "getV1Live",
        "parameters": [_query("since"), _query("epoch")],
        "responses": {"101": {"description": "text frames, each a LiveFrame", "content": {
            "application/json": {"schema": named[LiveFrame]}}}},
    }}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Birddog console", "version": __version__,
                 "description": "Times ISO 8601 UTC, positions WGS 84 degrees, lengths metres. docs/http-api.md says more."},
        "paths": paths,
        "components": {"schemas": components},
    }
