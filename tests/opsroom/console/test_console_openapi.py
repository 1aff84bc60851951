"""/openapi.json says the truth: every route, and every real answer against the schema that it names."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.routing import Route
from websockets.sync.client import connect

from birddog import model
from opsroom.console import openapi
from opsroom.console.answers import json_answer
from opsroom.console.routes import Console
from opsroom.picture_store import Refused


def fits(value, schema, components, where):
    """A small reading of JSON Schema: enough for the document that we write ourselves."""
    if "$ref" in schema:
        return fits(value, components[schema["$ref"].rsplit("/", 1)[1]], components, where)
    if "anyOf" in schema:
        errors = []
        for option in schema["anyOf"]:
            try:
                return fits(value, option, components, where)
            except AssertionError as error:
                errors.append(str(error))
        raise AssertionError(f"{where}: {errors}")
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
             "null": type(None)}
    kind = schema.get("type")
    if kind is not None:
        assert isinstance(value, kinds[kind]), f"{where}: {value!r} is no {kind}"
        assert kind in ("boolean",) or not isinstance(value, bool), f"{where}: a boolean"
    if "enum" in schema:
        assert value in schema["enum"], where
    if kind == "object" and "properties" in schema:
        assert set(value) <= set(schema["properties"]), f"{where}: {set(value) - set(schema['properties'])} not described"
        assert set(schema.get("required", ())) <= set(value), where
        for key, item in value.items():
            fits(item, schema["properties"][key], components, f"{where}.{key}")
    if kind == "array" and isinstance(schema.get("items"), dict):
        for item in value:
            fits(item, schema["items"], components, where + "[]")
    return None


@pytest.fixture
def full(stage, makers):
    """A stage with something in every list, and every field that may be empty both empty and not."""
    now = time.time_ns()
    stage.publish(
        makers["track"](2, moved_ns=None, name="", tag_id="", identities=(), sources=(),
                        attributes={"a": "b", "c": 1, "d": True}),
        makers["track"](3, status="deleted"), makers["alert"](2, lat_deg=None, lon_deg=None, track_id=""),
        makers["alert"](3, acknowledged_ns=now, acknowledged_by="anna", cleared_ns=now),
        makers["flag"](2, lat_deg=None, lon_deg=None, length_m=None),
        model.Event(event_id="E1", kind="silent", operation="nightjar", seq=1, start_ns=now, end_ns=None, track_ids=("T1",)),
        model.Event(event_id="E2", kind="silent", operation="nightjar", seq=1, start_ns=now, end_ns=now, track_ids=(),
                    lat_deg=1.0, lon_deg=2.0),
        Refused(refused_id="R1", source="mqtt", device="", format="", reason="unknown_device", detail="", count=4, first_ns=now,
                last_ns=now))
    stage.entry(model.Attachment(device="bd-0001", shipment="crate", operation="nightjar", from_ns=0), "attachment")
    stage.address = stage.start()
    return stage


def schema_of(described, path: str, method: str, status: str = "200", media: str = "application/json"):
    return described["paths"][path][method]["responses"][status]["content"][media]["schema"]


def test_every_route_is_described_and_every_answer_fits(full):
    stage = full
    app = stage.app()
    described = openapi.document()
    routes = {r.path for r in app.routes if not r.path.startswith("/static") and r.path != "/"}
    assert set(described["paths"]) == routes
    address = stage.address
    served = httpx.get(f"{address}/openapi.json").json()
    assert served == json.loads(json.dumps(described))
    # each answer decodes strictly as the Struct that the schema was made from, and names nothing that the schema lacks
    for path, methods in openapi.OPERATIONS.items():
        summary, answer, _, _ = methods.get("get", (None, None, None, None))
        if not isinstance(answer, type):
            continue
        response = httpx.get(address + path.replace("{track_id}", "T1").replace("{format}", "csv").replace("{event_id}", "E2"))
        assert response.status_code == 200 and response.headers["content-type"] == "application/json"
        msgspec.json.decode(response.content, type=answer)
        schema = served["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        fits(response.json(), schema, served["components"]["schemas"], path)


def test_a_resource_is_a_handler_with_its_route_and_a_row(full, monkeypatch):
    """docs/architecture.md, "To add something": the two of them, and the suite above judges it as it judges the others."""

    class Counted(msgspec.Struct):
        tracks: int

    real = Console.routes

    def routes(self):
        async def counted(request):
            return json_answer(Counted(len(await self.source.run(self._view(request).standing))))

        return [Route("/v1/counted", counted), *real(self)]

    monkeypatch.setattr(Console, "routes", routes)
    full.stop()
    with pytest.raises(AssertionError):  # a route that is not described is found
        full.start()
        test_every_route_is_described_and_every_answer_fits(full)
    full.stop()
    monkeypatch.setitem(openapi.OPERATIONS, "/v1/counted", {"get": ("How many tracks there are", Counted, (), None)})
    full.start()
    test_every_route_is_described_and_every_answer_fits(full)
    assert httpx.get(f"{full.address}/v1/counted").json() == {"tracks": 2}


def test_every_resource_stands_on_its_page():
    page = (Path(__file__).parents[3] / "docs" / "http-api.md").read_text(encoding="utf-8")
    missing = [path for path in openapi.OPERATIONS if re.sub(r"\{\w+\}", "{", path) not in re.sub(r"\{\w+\}", "{", page)]
    assert missing == []


def test_parameters_that_are_described_are_taken(full):
    described = httpx.get(f"{full.address}/openapi.json").json()
    good = {"integer": "1", "number": "1.5", "boolean": "1", "string": "nightjar", "track": "T1",
            "kind": "stop", "medium": "sea", "radius_m": "150",
            "cell_m": "1500", "hub_m": "150", **dict.fromkeys(("at", "from", "to"), "2026-11-29T12:00:00Z")}
    for path, methods in described["paths"].items():
        if path in ("/v1/live", "/v1/stream"):
            continue
        for parameter in methods.get("get", {}).get("parameters", []):
            if parameter["in"] == "query":
                where = path.replace("{track_id}", "T1").replace("{format}", "csv").replace("{event_id}", "E2")
                value = good.get(parameter["name"], good[parameter["schema"]["type"]])
                answer = httpx.get(f"{full.address}{where}?{parameter['name']}={value}")
                assert answer.status_code == 200, (path, parameter)
                if "{format}" not in path:  # a file of text; its own tests read it
                    fits(answer.json(), schema_of(described, path, "get"), described["components"]["schemas"], path)


def test_refusals_changes_and_images_fit_too(full):
    described = httpx.get(f"{full.address}/openapi.json").json()
    parts = described["components"]["schemas"]
    json_type = {"content-type": "application/json"}
    for method, path, more, status in [
        ("get", "/v1/tracks/nobody", {}, 404), ("get", "/v1/tracks?since=x", {}, 422), ("put", "/v1/tracks", {}, 405),
        ("get", "/v1/tracks", {"headers": {"host": "evil.example"}}, 421), ("get", "/nowhere", {}, 404),
        ("post", "/v1/alerts/A1/acknowledge", {"content": b"{}"}, 415),
        ("post", "/v1/alerts/A9/acknowledge", {"json": {}}, 404),
        ("post", "/v1/alerts/A1/acknowledge", {"content": b"{", "headers": json_type}, 422),
        ("post", "/v1/session", {"json": {}}, 422),
    ]:
        answer = httpx.request(method, full.address + path, **more)
        assert answer.status_code == status, (method, path)
        fits(answer.json(), {"$ref": "#/components/schemas/Problem"}, parts, path)
    answer = httpx.post(f"{full.address}/v1/alerts/A1/acknowledge", json={"by": "anna"})
    fits(answer.json(), schema_of(described, "/v1/alerts/{alert_id}/acknowledge", "post"), parts, "acknowledge")
    answer = httpx.post(f"{full.address}/v1/session", json={"token": "x"})
    fits(answer.json(), schema_of(described, "/v1/session", "post"), parts, "session")
    image = described["paths"]["/v1/flags/{flag_id}/thumbnail"]["get"]["responses"]
    assert httpx.get(f"{full.address}/v1/flags/F1/thumbnail").headers["content-type"] in image["200"]["content"]
    assert "204" in image
    full.status["imagery"] = {"updated_ns": 0}
    ill = httpx.get(f"{full.address}/healthz")
    assert ill.status_code == 503
    fits(ill.json(), schema_of(described, "/healthz", "get", "503"), parts, "healthz")


def test_live_frames_fit_on_both_channels(full, makers):
    described = httpx.get(f"{full.address}/openapi.json").json()
    parts = described["components"]["schemas"]
    frame = schema_of(described, "/v1/live", "get", "101")
    lines: list[str] = []
    with connect(f"ws://127.0.0.1:{full.port}/v1/live") as socket, \
            httpx.stream("GET", f"{full.address}/v1/stream", timeout=20) as stream:
        events = stream.iter_lines()
        epoch = epoch_of(full)

        def both(kind: str) -> None:
            end = time.monotonic() + 20
            while (body := json.loads(socket.recv(timeout=20)))["type"] != kind:
                assert time.monotonic() < end, kind
            fits(body, frame, parts, kind)
            for line in events:
                assert time.monotonic() < end, kind
                lines.append(line)
                if line == f"event: {kind}":
                    break
            ident, data = next(events), next(events)
            assert ident == f"id: {epoch}:{body['seq']}"
            other = json.loads(data.removeprefix("data: "))
            fits(other, frame, parts, kind)
            clock = {"time": "", "problems": []}
            assert other | clock == body | clock  # the very same, but for the clock

        both("snapshot")
        track = makers["track"](1)
        full.publish(track, makers["point"](track, 50, 0))
        both("update")
        both("beat")


def epoch_of(stage) -> str:
    """The journal's word, as a snapshot says it."""
    with connect(f"ws://127.0.0.1:{stage.port}/v1/live") as socket:
        return json.loads(socket.recv(timeout=20))["epoch"]


def test_the_first_frame_says_which_rows_there_are_and_what_they_go_by():
    from opsroom.console import openapi
    from opsroom.console.source import KEYS, ROWS

    assert KEYS == {"tracks": "track_id", "alerts": "alert_id", "flags": "flag_id", "events": "event_id",
                    "refused": "refused_id"}  # fmt: skip
    assert set(ROWS) == {*KEYS, "points"} <= set(openapi.LiveFrame.__struct_fields__)
