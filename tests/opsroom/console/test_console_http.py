"""REST answers, who is let in, health and metrics: over a real journal, store and server."""

from __future__ import annotations

import json
import math
import re
import shutil
import ssl
import subprocess
import time

import httpx
import pytest

from birddog import model
from birddog.errors import UsageError
from birddog.units import ns_from_text
from opsroom.console.guard import SECURITY_HEADERS, host_name
from opsroom.console.server import Settings, make_app
from opsroom.picture_store import Refused

NS = 1_000_000_000
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


def strict(text: str):
    """JSON without NaN or Infinity."""

    def refuse(word: str):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def wait_for(condition, seconds: float = 10.0):
    """Poll until it holds; the last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


def test_tracks_have_the_promised_fields_and_an_honest_ellipse(stage):
    address = stage.start()
    answer = httpx.get(f"{address}/v1/tracks")
    body = strict(answer.text)
    assert answer.headers["content-type"] == "application/json"
    assert body["exercise"] is True
    (track,) = body["tracks"]
    assert {"track_id", "name", "tag_id", "lat_deg", "lon_deg", "time", "p_ee", "p_en", "p_nn", "status"} <= set(track)
    for field in ("time", "last_fix", "last_contact", "last_move", "first_seen"):
        assert STAMP.match(track[field]), field
    # the ellipse: eigenvalues of [[400, 100], [100, 200]] by the textbook, times chi-square 5.991
    spread = math.hypot(100.0, 100.0)
    assert track["ellipse95"]["major_m"] == pytest.approx(math.sqrt(5.991465 * (300 + spread)), abs=0.01)
    assert track["ellipse95"]["minor_m"] == pytest.approx(math.sqrt(5.991465 * (300 - spread)), abs=0.01)
    assert track["ellipse95"]["azimuth_deg"] == pytest.approx(67.5, abs=0.1)
    assert track["speed_mps"] == 5.0
    assert track["course_deg"] == pytest.approx(36.9, abs=0.05)
    assert track["class"] == "lorry"


def test_a_track_brings_its_trail_in_order_and_deleted_ones_stay_away(stage, makers):
    stage.publish(makers["track"](2, status="deleted"))
    address = stage.start()
    detail = strict(httpx.get(f"{address}/v1/tracks/T1").text)
    times = [p["time"] for p in detail["points"]]
    assert len(times) == 11
    assert times == sorted(times)
    assert {p["origin"] for p in detail["points"]} == {"fix", "coast"}
    assert len(strict(httpx.get(f"{address}/v1/tracks/T1?limit=3").text)["points"]) == 3
    assert [t["track_id"] for t in httpx.get(f"{address}/v1/tracks").json()["tracks"]] == ["T1"]
    assert [t["track_id"] for t in httpx.get(f"{address}/v1/tracks?all=1").json()["tracks"]] == ["T1", "T2"]
    assert [t["track_id"] for t in httpx.get(f"{address}/v1/trails").json()["trails"]] == ["T1"]
    assert httpx.get(f"{address}/v1/tracks?operation=other").json()["tracks"] == []
    missing = httpx.get(f"{address}/v1/tracks/nobody")
    assert missing.status_code == 404
    assert "nobody" in missing.json()["error"]


def test_since_gives_what_changed_after_it(stage, makers):
    address = stage.start()
    seq = httpx.get(f"{address}/v1/tracks").json()["seq"]
    assert httpx.get(f"{address}/v1/tracks?since={seq}").json()["tracks"] == []
    stage.publish(makers["track"](3))
    assert [t["track_id"] for t in httpx.get(f"{address}/v1/tracks?since={seq}").json()["tracks"]] == ["T3"]


def test_devices_operations_refusals(stage):
    stage.publish(Refused(refused_id="R1", source="mqtt", device="stranger", format="owntracks", reason="unknown_device",
                          detail="", count=4, first_ns=time.time_ns(), last_ns=time.time_ns()))
    address = stage.start()
    devices = {d["device"]: d for d in httpx.get(f"{address}/v1/devices").json()["devices"]}
    assert devices["bd-0001"]["enrolled"] is True
    assert devices["bd-0001"]["track_ids"] == ["T1"]
    assert STAMP.match(devices["bd-0001"]["last_contact"])
    assert (devices["gate-a"]["lat_deg"], devices["gate-a"]["range_m"]) == (51.955, 30.0)
    (operation,) = httpx.get(f"{address}/v1/operations").json()["operations"]
    assert operation["operation"] == "nightjar"
    assert operation["area"][1] == {"lat_deg": 51.9, "lon_deg": 4.3} and operation["zones"] == []
    watched = model.Zone(name="gate", points=((4.0, 51.9), (4.1, 51.95)), role="gate")
    stage.entry(model.Operation(operation="nightjar", zones=(watched,)), "operation")
    stage.publish()
    (zone,) = httpx.get(f"{address}/v1/operations").json()["operations"][0]["zones"]
    assert (zone["name"], zone["role"], zone["points"][1]) == ("gate", "gate", {"lat_deg": 51.95, "lon_deg": 4.1})
    (row,) = httpx.get(f"{address}/v1/refused").json()["refused"]
    assert (row["device"], row["reason"], row["count"]) == ("stranger", "unknown_device", 4)


def test_flags_and_their_thumbnails(stage, makers):
    address = stage.start()
    (flag,) = httpx.get(f"{address}/v1/flags").json()["flags"]
    assert flag["dark"] is True
    image = httpx.get(address + flag["thumbnail"])
    assert image.headers["content-type"] == "image/png"
    assert image.content.startswith(b"\x89PNG")
    assert httpx.get(f"{address}/v1/flags/none/thumbnail").status_code == 404
    stage.store.begin()
    stage.store.put_flag(makers["flag"](2), stage.seq, b"<script>alert(1)</script>")
    stage.store.put_flag(makers["flag"](3), stage.seq, None)
    stage.store.commit(stage.seq)
    assert httpx.get(f"{address}/v1/flags/F2/thumbnail").status_code == 415
    assert httpx.get(f"{address}/v1/flags/F3/thumbnail").status_code == 204


def test_an_acknowledgement_becomes_an_entry(stage):
    address = stage.start()
    answer = httpx.post(f"{address}/v1/alerts/A1/acknowledge", json={"by": "anna", "note": "called the van"})
    assert answer.status_code == 200
    assert answer.json()["seq"] == stage.seq
    assert [(d.action, d.subject, d.by, d.note) for d in stage.decisions] == [("acknowledge", "A1", "anna", "called the van")]
    (alert,) = httpx.get(f"{address}/v1/alerts").json()["alerts"]
    assert alert["acknowledged_by"] == "anna"
    assert httpx.get(f"{address}/v1/alerts?open=1").json()["alerts"] == []
    assert httpx.post(f"{address}/v1/alerts/A9/acknowledge", json={}).status_code == 404


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "text/plain"}, b'{"by":"x"}', 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"by=x", 415),
        ({"content-type": "application/json", "origin": "http://evil.example"}, b"{}", 403),
        ({"content-type": "application/json", "origin": "null"}, b"{}", 403),
        ({"content-type": "application/json", "sec-fetch-site": "cross-site"}, b"{}", 403),
        ({"content-type": "application/json", "host": "evil.example"}, b"{}", 421),
        ({"content-type": "application/json"}, b"{", 422),
        ({"content-type": "application/json"}, b'{"by": 7}', 422),
        ({"content-type": "application/json"}, b'{"who": "x"}', 422),
        ({"content-type": "application/json"}, b'{"note":"' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_another_site_cannot_acknowledge(stage, headers, body, status):
    address = stage.start()
    assert httpx.post(f"{address}/v1/alerts/A1/acknowledge", content=body, headers=headers).status_code == status
    assert stage.decisions == []


def test_the_own_page_can(stage):
    address = stage.start()
    assert httpx.post(f"{address}/v1/alerts/A1/acknowledge", json={}, headers={"origin": address}).status_code == 200


def test_only_known_host_names_are_answered(stage):
    address = stage.start()
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@127.0.0.1", "127.0.0.1/x", ""):
        assert httpx.get(f"{address}/v1/tracks", headers={"host": host}).status_code in (400, 421), host
    for host in ("localhost", f"localhost:{stage.port}", "127.0.0.1", "[::1]:9"):
        assert httpx.get(f"{address}/v1/tracks", headers={"host": host}).status_code == 200, host


def test_host_names():
    assert host_name("LOCALHOST:8080") == "localhost"
    assert host_name("[::1]:80") == "[::1]"
    assert host_name("a:b:c") == ""
    assert host_name("x/y") == ""


def test_every_answer_carries_the_security_headers(stage):
    address = stage.start()
    for path in ("/", "/v1/tracks", "/static/js/main.js", "/nope", "/static/nope", "/v1/tracks/x", "/healthz"):
        answer = httpx.get(address + path)
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    assert httpx.get(f"{address}/v1/tracks").headers["cache-control"] == "no-store"
    assert httpx.get(f"{address}/v1/tracks", headers={"host": "evil.example"}).headers["x-content-type-options"] == "nosniff"


def test_static_files_have_their_types_and_do_not_leak(stage):
    address = stage.start()
    assert httpx.get(f"{address}/static/js/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert httpx.get(f"{address}/static/console.css").headers["content-type"] == "text/css; charset=utf-8"
    places = httpx.get(f"{address}/static/basemap/places.geojson").json()
    assert len(places["features"]) > 6000
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd"):
        assert httpx.get(address + path).status_code == 404, path


@pytest.mark.parametrize("query", ["since=x", "since=-1", "since=1e3", "all=maybe", "since=9999999999999999999999"])
def test_a_wrong_query_is_refused_in_words(stage, query):
    address = stage.start()
    answer = httpx.get(f"{address}/v1/tracks?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["error"]


def test_health_says_what_is_wrong(stage):
    address = stage.start()
    assert wait_for(lambda: httpx.get(f"{address}/healthz").status_code == 200)
    stage.status["picture"] = {"updated_ns": time.time_ns() - 60 * NS, "stale_after_s": 10.0}
    stage.status["imagery"] = {"updated_ns": time.time_ns(), "problem": "disk full"}
    answer = httpx.get(f"{address}/healthz")
    assert answer.status_code == 503
    assert any(p.startswith("picture: no sign of life for 6") for p in answer.json()["problems"])
    assert "imagery: disk full" in answer.json()["problems"]


def test_health_warns_of_what_can_wait_and_stays_well(stage):
    address = stage.start()
    stage.status["ingest"]["warning"] = "its certificate expires in 13 days"

    def warned() -> bool:
        answer = httpx.get(f"{address}/healthz")
        return answer.status_code == 200 and answer.json()["warnings"] == ["ingest: its certificate expires in 13 days"]

    assert wait_for(warned)
    assert httpx.get(f"{address}/healthz").json()["problems"] == []
    assert httpx.get(f"{address}/healthz").json()["refused_connects"] == []
    refused = {"source": "mqtt", "address": "10.0.0.9", "client_id": "vm.bridge", "reason": "protocol level 0x84", "count": 3,
               "first_ns": 0, "last_ns": 60 * NS}
    stage.status["ingest"]["refused_connects"] = [refused]

    def seen() -> list:
        return httpx.get(f"{address}/healthz").json()["refused_connects"]

    assert wait_for(lambda: seen() == [
        {"source": "mqtt", "address": "10.0.0.9", "client_id": "vm.bridge", "reason": "protocol level 0x84", "count": 3,
         "first": "1970-01-01T00:00:00.000Z", "last": "1970-01-01T00:01:00.000Z"}])
    with httpx.stream("GET", f"{address}/v1/stream") as answer:  # the page is told with its frames
        line = next(line for line in answer.iter_lines() if line.startswith("data:"))
    assert json.loads(line[5:])["problems"] == ["ingest: its certificate expires in 13 days"]


def test_without_a_picture_it_says_so_and_recovers(make_stage, makers):
    stage = make_stage()
    stage.store.close()
    for path in stage.picture.parent.glob("*.picture*"):
        path.unlink()
    address = stage.start()
    answer = httpx.get(f"{address}/v1/tracks")
    assert answer.status_code == 503
    assert "no picture" in answer.json()["error"]
    assert httpx.get(f"{address}/healthz").status_code == 503
    from opsroom.picture_store import PictureWriter

    stage.store = PictureWriter(stage.picture)
    stage.publish(makers["track"](1))
    assert wait_for(lambda: httpx.get(f"{address}/healthz").status_code == 200)
    assert len(httpx.get(f"{address}/v1/tracks").json()["tracks"]) == 1


SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z]+="(?:[^"\\\n]|\\.)*"\})? [-+.0-9eE]+\Z')


def test_metrics_are_prometheus_text(stage):
    stage.status["in-gest"] = {"updated_ns": time.time_ns(), "frames_total": 12, "up": True}
    address = stage.start()
    answer = httpx.get(f"{address}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    declared = set()
    for line in lines:
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in declared, f"{name} is declared twice"
            declared.add(name)
        elif not line.startswith("#"):
            assert SAMPLE.match(line), line
            assert re.split(r"[{ ]", line)[0] in declared
    assert 'birddog_tracks{status="confirmed"} 1' in lines
    assert 'birddog_alerts_open{severity="critical"} 1' in lines
    assert "birddog_in_gest_frames_total 12" in lines
    assert "birddog_ingest_queue 3" in lines


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "needs tls_cert"),
        ({"host": "0.0.0.0", "tls_cert": "c.pem", "tls_key": "k.pem"}, "needs tls_cert, tls_key and tokens"),
        ({"host": "192.0.2.1", "tokens": {"anna": "x" * 20}}, "needs tls_cert"),
        ({"host": "0.0.0.0", "exercise": True, "tls_cert": "c", "tls_key": "k", "tokens": {"a": "x" * 20}}, "exercise"),
        ({"tls_cert": "c.pem"}, "both"),
        ({"tokens": {"anna": "short"}}, "shorter than 16"),
    ],
)
def test_it_refuses_to_show_a_case_to_strangers(settings, words):
    with pytest.raises(UsageError, match=words):
        make_app(Settings(**settings), None, None, dict, lambda decision: 0)


def test_tokens_let_people_in_and_name_who_acknowledged(make_stage, makers):
    stage = make_stage(tokens={"anna": "correct-horse-battery", "ben": "another-secret-of-ben"})
    stage.publish(makers["track"](1), makers["alert"](1))
    address = stage.start()
    for path in ("/v1/tracks", "/v1/alerts", "/healthz", "/metrics", "/v1/stream", "/v1/flags/F1/thumbnail"):
        answer = httpx.get(address + path)
        assert answer.status_code == 401, path
        assert "lat_deg" not in answer.text
    assert httpx.get(f"{address}/").status_code == 200  # the page itself holds no case
    assert httpx.get(f"{address}/v1/tracks", headers={"authorization": "Bearer wrong-wrong-wrong-wrong"}).status_code == 401
    bearer = {"authorization": "Bearer correct-horse-battery"}
    assert httpx.get(f"{address}/v1/tracks", headers=bearer).status_code == 200
    assert httpx.post(f"{address}/v1/session", json={"token": "wrong-wrong-wrong-wrong"}).status_code == 401
    with httpx.Client(base_url=address) as browser:
        assert browser.post("/v1/session", json={"token": "another-secret-of-ben"}).json()["name"] == "ben"
        assert browser.get("/v1/tracks").status_code == 200
        assert browser.post("/v1/alerts/A1/acknowledge", json={"by": "somebody else"}).status_code == 200
    assert [d.by for d in stage.decisions] == ["ben"]


def test_a_port_in_use_is_one_line(stage, make_stage):
    stage.start()
    other = make_stage()
    other.port = stage.port
    with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{stage.port}"):
        other.start()


def test_over_tls_with_a_secure_cookie(make_stage, makers, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    stage = make_stage(tls_cert=str(certificate), tls_key=str(key), tokens={"anna": "correct-horse-battery"})
    stage.publish(makers["track"](1))
    address = stage.start().replace("http:", "https:")
    with httpx.Client(base_url=address, verify=ssl.create_default_context(cafile=str(certificate))) as browser:
        answer = browser.post("/v1/session", json={"token": "correct-horse-battery"}, headers={"origin": address})
        cookie = answer.headers["set-cookie"].lower()
        assert "secure" in cookie
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert len(browser.get("/v1/tracks").json()["tracks"]) == 1
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{stage.port}/")


def test_a_certificate_that_cannot_be_read_is_one_line(make_stage):
    stage = make_stage(tls_cert="/nonexistent/c.pem", tls_key="/nonexistent/k.pem")
    with pytest.raises(UsageError, match="cannot use the certificate"):
        stage.start()


def test_a_trail_spans_the_time_that_was_asked_for(stage, makers):
    """12 h of a fix each 5 s: the newest 400 points were the last 33 minutes."""
    now = time.time_ns()
    track = makers["track"](1, time_ns=now)
    stage.publish(track, *(makers["point"](track, n, 5.0 * (8639 - n)) for n in range(8640)))
    address = stage.start()
    for minutes in (10, 30, 120, 720):
        trail = httpx.get(f"{address}/v1/trails?minutes={minutes}&limit=400").json()["trails"][0]
        at = [ns_from_text(p["time"]) for p in trail["points"]]
        assert at == sorted(set(at)) and len(at) <= 400 and abs(at[-1] - now) < NS // 100
        assert abs(now - at[0] - minutes * 60 * NS) < 2 * 60 * NS, minutes
        wanted_s = minutes * 60 / 400
        assert len(at) > 300 or minutes == 10
        if minutes == 10:
            assert trail["step_s"] == 0.0 and len(at) >= 119
        elif minutes > 30:
            assert wanted_s < trail["step_s"] < wanted_s + 5
            assert max(b - a for a, b in zip(at, at[1:], strict=False)) < (trail["step_s"] + 10) * NS
    assert len(httpx.get(f"{address}/v1/trails?minutes=720&limit=20000").json()["trails"][0]["points"]) >= 8600
    for limit in (0, 1, 2, 3):
        assert len(httpx.get(f"{address}/v1/trails?minutes=720&limit={limit}").json()["trails"][0]["points"]) == limit


def test_all_open_alerts_of_a_kind_are_acknowledged_at_once(stage, makers):
    silent = dict(kind="silent", severity="warning")
    seq = stage.publish(*(makers["alert"](n, **silent) for n in range(2, 30)), makers["alert"](30, **silent, operation="other"),
                        makers["alert"](31, **silent, acknowledged_ns=1, acknowledged_by="ben"))
    address = stage.start()
    stage.publish(makers["alert"](32, **silent))  # nobody has seen this one
    where, json = f"{address}/v1/alerts/acknowledge", {"kind": "silent", "operation": "nightjar", "seq": seq, "by": "anna"}
    answer = httpx.post(where, json=json).json()
    assert answer["acknowledged"] == 28 and answer["seq"] == stage.seq
    assert sorted(d.subject for d in stage.decisions) == sorted(f"A{n}" for n in range(2, 30))
    assert httpx.post(where, json=json).json() == {"acknowledged": 0, "seq": 0}
    assert httpx.post(where, json={"kind": "silent", "by": "anna"}).json()["acknowledged"] == 2
    assert {a["kind"] for a in httpx.get(f"{address}/v1/alerts?open=1").json()["alerts"]} == {"parted"}
    assert httpx.post(where, json={"by": "anna"}).status_code == 422
    assert httpx.post(where, json=json | {"by": "a\nb"}).status_code == 422
