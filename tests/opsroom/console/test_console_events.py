"""Events in the API: filtered, and each with what it rests on."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from birddog import model
from opsroom.console.ahead import KINDS

NS = 1_000_000_000


def stop(event_id, track, start_ns, end_ns=None, **changes):
    return model.Event(
        event_id=event_id, kind=changes.pop("kind", "stop"), operation="nightjar", seq=1, start_ns=start_ns, end_ns=end_ns,
        track_ids=(track,),
        lat_deg=51.95, lon_deg=4.06, text="stands", last_ns=end_ns or start_ns, confidence=0.9,
        measures={"duration_s": 300.0, "fixes": 12}, rule={"rules": "quick", "radius_m": 100.0}, **changes,
    )  # fmt: skip


def test_events_are_filtered_by_kind_track_and_what_goes_on(stage, makers):
    now = time.time_ns()
    other = model.Event(event_id="E9", kind="silent", operation="open", seq=1, start_ns=now, track_ids=("T2",))
    stage.publish(makers["track"](1), stop("H1", "T1", now - 900 * NS, now - 300 * NS), stop("H2", "T1", now), other)
    address = stage.start()

    def ids(query):
        return [e["event_id"] for e in httpx.get(f"{address}/v1/events?{query}").json()["events"]]

    assert ids("kind=stop") == ["H2", "H1"] and ids("kind=stop,silent&track=T2") == ["E9"]
    assert sorted(ids("ongoing=1")) == ["E9", "H2"] and ids("track=T1&ongoing=1") == ["H2"] and ids("operation=open") == ["E9"]
    assert ids("track=nobody") == []


def test_a_kind_that_there_is_none_of_is_refused_by_name(stage):
    stage.publish(stop("H1", "T1", time.time_ns(), kind="of_before"))
    address = stage.start()
    for kinds in ("nonsense", "stop,nonsense"):
        answer = httpx.get(f"{address}/v1/events?kind={kinds}")
        assert answer.status_code == 422 and "lane_stop" in answer.json()["error"] and "'nonsense'" in answer.json()["error"]
    assert httpx.get(f"{address}/v1/events?kind=deviation").json()["events"] == []
    assert len(httpx.get(f"{address}/v1/events?kind=of_before").json()["events"]) == 1  # what there is can be asked for


def test_every_kind_of_the_page_of_events_is_known():
    page = (Path(__file__).parents[3] / "docs" / "tracking.md").read_text(encoding="utf-8")
    rows = [row for row in page.split("## Events")[1].split("\n## ")[0].splitlines() if row.startswith("| `")]
    told = [name for row in rows for name in re.findall("`([a-z_]+)`", row.split("|")[1])]
    assert len(told) > 30 and set(told) <= KINDS


def test_one_event_comes_with_its_fixes_and_what_was_said_before(stage, makers):
    now = time.time_ns()
    track = makers["track"](1, time_ns=now)
    note = model.Correction(what="corrected", at_ns=now, track_id="T1", fix_ns=now - 500 * NS, start_ns=now - 950 * NS)
    steps = [makers["point"](track, 1000 - k, float(k)) for k in range(0, 1000, 10)]
    stage.publish(track, stop("H1", "T1", now - 600 * NS, now - 300 * NS, corrections=(note,)), *steps)
    address = stage.start()
    whole = httpx.get(f"{address}/v1/events/H1").json()
    event, (trail,) = whole["event"], whole["trails"]
    assert event["rule"]["radius_m"] == 100.0 and event["measures"]["fixes"] == 12 and event["confidence"] == 0.9
    assert event["corrections"][0]["what"] == "corrected" and event["corrections"][0]["end"] is None
    times = [p["time"] for p in trail["points"]]
    assert trail["track_id"] == "T1" and len(times) == 43 and times == sorted(times)  # 300 s and a minute to each side
    few = httpx.get(f"{address}/v1/events/H1?limit=10").json()["trails"][0]["points"]
    assert len(few) <= 10 and few[0] == trail["points"][0]
    assert httpx.get(f"{address}/v1/events/H7").status_code == 404
