"""What strangers, broken programs and other sites' pages send: refused in words, never a crash, never a leak."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest

from opsroom.console import channel, openapi, routes, source
from opsroom.console.guard import SECURITY_HEADERS
from opsroom.console.health import prometheus

EVIL = ["%00", "%0d%0aX-Evil:%201", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/case.db", "%ff%fe", "'%20OR%201=1--",
        "%F0%9F%90%95", "x" * 3000,
        "<script>alert(1)</script>", "%252e%252e%252f"]
NUMBERS = ["9" * 18, "9" * 19, "9" * 4000, "-1", "1e3", "0x10", "nan", "inf", "-inf", "%C2%B2", "%EF%BC%93", "1_0", "", "%00",
           "[]"]
PATHS = sorted(openapi.OPERATIONS)


def plain(stage, text: str) -> bytes:
    """The first bytes that come back for bytes that no well-behaved client sends."""
    with socket.create_connection(("127.0.0.1", stage.port), timeout=10) as line:
        line.sendall(text.encode("latin-1"))
        return line.recv(65536)


@pytest.mark.parametrize("path", ["/v1/tracks/{}", "/v1/flags/{}/thumbnail", "/v1/flags/{}", "/v1/{}", "/static/{}", "/{}",
                                  "/static/js/{}"])
def test_hostile_names_in_a_path_find_nothing(still, path):
    for name in EVIL:
        answer = httpx.get(still.address + path.format(name))
        assert answer.status_code == 404, (path, name, answer.text[:200])
        assert answer.headers["content-type"] == "application/json" and set(answer.json()) == {"error"}
        assert "x-evil" not in answer.headers
        assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("value", NUMBERS)
def test_hostile_numbers_in_a_query_are_refused_or_harmless(still, value):
    for path, methods in openapi.OPERATIONS.items():
        for name in methods.get("get", ("", "", (), None))[2]:
            if path == "/v1/stream":
                continue
            named = path.replace("{track_id}", "T1").replace("{event_id}", "E1").replace("{format}", "csv")
            where = f"{named}?{name}={value}"
            answer = httpx.get(still.address + where)
            allowed = (200, 422, 404) if name == "track" else (200, 422)  # no such track
            assert answer.status_code in allowed, (where, answer.status_code, answer.text[:200])
            assert "Traceback" not in answer.text
            assert len(answer.content) < 100_000


def test_a_stream_asked_for_with_nonsense_begins_or_is_refused(still):
    for last in ("²", "x:" + "9" * 5000, ":::", "\xff"):
        headers = {"Last-Event-ID": last.encode("latin-1")}
        with httpx.stream("GET", f"{still.address}/v1/stream", headers=headers) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "event: snapshot"
    assert httpx.get(f"{still.address}/v1/stream?since=²").status_code == 422


@pytest.mark.parametrize("path", PATHS)
def test_only_the_methods_that_are_described_are_answered(still, path):
    allowed = {m.upper() for m in openapi.OPERATIONS[path]} | ({"HEAD"} if "get" in openapi.OPERATIONS[path] else set())
    where = still.address + path.replace("{track_id}", "T1").replace("{flag_id}", "F1").replace("{alert_id}", "A1")
    where = where.replace("{event_id}", "E1").replace("{format}", "csv")
    for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        if path == "/v1/stream" and method == "HEAD":
            continue
        answer = httpx.request(method, where)
        if method in allowed:
            assert answer.status_code in (200, 415, 422), (method, path)
        else:
            assert answer.status_code == 405, (method, path)
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://[evil", "http://", "://", "\x00", "file://", "http://127.0.0.1", "http://127.0.0.1:1",
                                    "http://127.0.0.1.evil.example", "http://localhost:{port}@evil.example", "http://evil.example#127.0.0.1:{port}",
                                    "http://[::1]:{port}", "chrome-extension://abc", "null", ""])
def test_no_other_origin_changes_anything_or_listens(still, origin):
    said = origin.format(port=still.port)
    head = f"Host: 127.0.0.1:{still.port}\r\nOrigin: {said}\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    answer = plain(still, f"POST /v1/alerts/A1/acknowledge HTTP/1.1\r\n{head}{body}")
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), answer[:80]
    upgrade = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Version: 13\r\n\r\n")
    answer = plain(still, f"GET /v1/live HTTP/1.1\r\n{head}{upgrade}")
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), answer[:80]
    assert still.decisions == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_cannot_even_ask(still, site):
    """It could not read the answer; but a clock and the size of an answer tell something too."""
    for path in ("/v1/tracks", "/v1/stream", "/v1/flags/F1/thumbnail", "/metrics", "/healthz"):
        assert httpx.get(still.address + path, headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}).status_code == 403
    # a link to the page itself works
    assert httpx.get(still.address, headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 200
    assert httpx.get(f"{still.address}/v1/tracks", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert httpx.get(f"{still.address}/v1/tracks", headers={"sec-fetch-site": "none"}).status_code == 200


def test_a_host_said_twice_is_refused(still):
    hosts = f"Host: 127.0.0.1:{still.port}\r\nHost: evil.example\r\n"
    answer = plain(still, f"GET /v1/tracks HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421")), answer[:80]
    assert b"lat_deg" not in answer


def test_a_fault_of_ours_is_one_line_with_all_headers(stage, monkeypatch, caplog):
    address = stage.start()

    def broken(*_, **__):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(stage.reader, "events", broken)
    answer = httpx.get(f"{address}/v1/events")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text and set(answer.json()) == {"error"}
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "secret detail" in caplog.text  # for who looks after the machine


def test_a_name_that_would_forge_a_line_is_refused(stage):
    address = stage.start()
    for by in ("anna\nben", "anna\u202egnp", "\x00", "\x1b[2J"):
        answer = httpx.post(f"{address}/v1/alerts/A1/acknowledge", json={"by": by})
        assert answer.status_code == 422 and "by" in answer.json()["error"]
    assert stage.decisions == []
    assert httpx.post(f"{address}/v1/alerts/A1/acknowledge", json={"by": "Søren 犬", "note": "two\nlines"}).status_code == 200
    assert stage.decisions[0].by == "Søren 犬"


def test_without_a_name_it_is_the_operator(stage):
    address = stage.start()
    json_type = {"content-type": "application/json"}
    assert httpx.post(f"{address}/v1/alerts/A1/acknowledge", content=b"", headers=json_type).status_code == 200
    assert stage.decisions[0].by == "operator"


def test_trails_of_many_tracks_stay_within_bounds(stage, makers, monkeypatch):
    monkeypatch.setattr(routes, "TRAILS_TOTAL", 12)
    tracks = [makers["track"](n) for n in range(1, 5)]
    stage.publish(*tracks, *(makers["point"](t, n, 10 * n) for t in tracks[1:] for n in range(8)))
    trails = httpx.get(f"{stage.start()}/v1/trails?limit=20000&minutes=10000000").json()["trails"]
    assert {len(t["points"]) for t in trails} == {3}


def test_a_snapshot_of_a_long_case_stays_within_bounds(stage, makers, monkeypatch):
    from websockets.sync.client import connect

    monkeypatch.setattr(source, "KEPT", 5)
    now = time.time_ns()
    stage.publish(*(makers["flag"](n, dark=n % 10 == 0, time_ns=now + n) for n in range(20, 60)),
                  *(makers["alert"](n, acknowledged_ns=now, raised_ns=now + n) for n in range(20, 60)))
    stage.start()
    with connect(f"ws://127.0.0.1:{stage.port}/v1/live") as line:
        first = json.loads(line.recv(timeout=10))
    flags = {f["flag_id"] for f in first["flags"]}
    assert {"F59", "F58", "F57", "F56", "F55"} <= flags  # the newest
    assert {"F20", "F30", "F40", "F50"} <= flags  # and the dark ones
    assert len(flags) < 15
    alerts = {a["alert_id"] for a in first["alerts"]}
    assert "A1" in alerts and "A59" in alerts and "A20" not in alerts  # what is open always
    assert len(httpx.get(f"http://127.0.0.1:{stage.port}/v1/flags").json()["flags"]) == 41  # the list itself is whole


def test_a_listener_that_does_not_read_is_dropped(make_stage, makers, monkeypatch):
    monkeypatch.setattr(channel, "SEND_TIMEOUT_S", 0.5)
    stage = make_stage(queue_frames=2, poll_ms=20)
    tracks = [makers["track"](n, attributes={"pad": "x" * 4000}) for n in range(60)]
    stage.publish(*tracks)
    address = stage.start()
    with socket.create_connection(("127.0.0.1", stage.port), timeout=10) as line:
        line.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{stage.port}\r\n\r\n".encode())
        assert line.recv(100)
        assert httpx.get(f"{address}/healthz").json()["tabs"] == 1
        end = time.monotonic() + 60
        while httpx.get(f"{address}/healthz").json()["tabs"]:
            assert time.monotonic() < end, "it is still being fed"
            stage.publish(*tracks)
    assert "birddog_console_tabs_lost_total 1" in httpx.get(f"{address}/metrics").text


def test_a_session_is_found_among_other_programs_cookies(make_stage, makers):
    stage = make_stage(tokens={"anna": "correct-horse-battery"})
    stage.publish(makers["track"](1))
    address = stage.start()
    answer = httpx.post(f"{address}/v1/session", json={"token": "correct-horse-battery"})
    ours = answer.headers["set-cookie"].split(";")[0]
    # cookies of every port of this machine come along
    for others in ('prefs={"a":1,"b":[2]}; ', "a b=c; ", "ünï=1; ", "=; "):
        cookie = (others + ours).encode("utf-8")
        assert httpx.get(f"{address}/v1/tracks", headers={"cookie": cookie}).status_code == 200, others
    assert httpx.get(f"{address}/v1/tracks", headers={"cookie": "birddog_session=nonsense"}).status_code == 401


def test_two_sources_never_make_one_metric_twice():
    rows = {"ingest": {"serial:gps-1_frames": 1, "serial:gps_1_frames": 2, "back\\slash": 3, "nan": float("nan")}}
    lines = prometheus(rows, {}, {}, []).splitlines()
    names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))
    assert sum(line.startswith("birddog_ingest_serial_gps_1_frames") for line in lines) == 2
    assert "# HELP birddog_ingest_back_slash back\\\\slash as the process ingest reports it" in lines
    assert "birddog_ingest_nan NaN" in lines


def test_a_fault_that_lasts_is_logged_once(make_stage, makers, caplog, monkeypatch):
    stage = make_stage(poll_ms=20, beat_s=0.05)
    stage.publish(makers["track"](1))
    address = stage.start()

    def broken(*_, **__):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(stage.reader, "events", broken)
    stage.publish(makers["track"](2))
    end = time.monotonic() + 20
    seen = 0
    while seen < 10:
        assert time.monotonic() < end
        seen += "cannot be shown" in httpx.get(f"{address}/healthz").text
    assert sum("could not be sent" in r.message for r in caplog.records) == 1
