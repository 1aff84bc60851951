"""Patterns in the API: places and hours with exposure beside counts, nothing of few, nothing of a person."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from birddog import model
from birddog.units import iso_from_ns
from opsroom import hotspots

NS = 1_000_000_000
NOW_S = int(time.time()) // 3600 * 3600


@pytest.fixture
def harbour(make_stage, makers):
    """Seven shipments that stood at the quay, one more in a case and in public, four that stood elsewhere; a week of steps."""
    stage = make_stage()
    for n in range(1, 12):
        lat = 51.95 if n <= 7 else 52.5
        track = makers["track"](n, tag_id=f"secret-{n}")
        steps = [
            model.TrackPoint(
                track_id=track.track_id, seq=k, time_ns=(NOW_S - 3600 * k) * NS, lat_deg=lat, lon_deg=4.0, ve_mps=0.0,
                vn_mps=0.0, p_ee=25.0, p_en=0.0, p_nn=25.0, origin="fix",
            ) for k in range(100, 0, -1)
        ]  # fmt: skip
        begun = (NOW_S - 3600 * (n + 20)) * NS
        stage.publish(track, *steps, model.Event(
            event_id=f"H{n}", kind="stop", operation="nightjar", seq=1, start_ns=begun, end_ns=begun + 900 * NS,
            track_ids=(track.track_id,), lat_deg=lat, lon_deg=4.0,
        ))  # fmt: skip
        if n <= 4:
            stage.publish(model.Event(
                event_id=f"L{n}", kind="loiter", operation="nightjar", seq=1, start_ns=begun, end_ns=begun + 900 * NS,
                track_ids=(track.track_id,), lat_deg=lat, lon_deg=4.0,
            ))  # fmt: skip
    twin = makers["track"](30, tag_id="secret-1")  # the same vessel, as the public has it
    stage.publish(twin, model.Event(
        event_id="H30", kind="stop", operation="open", seq=1, start_ns=(NOW_S - 3600 * 21) * NS, track_ids=(twin.track_id,),
        lat_deg=51.95, lon_deg=4.0,
    ))  # fmt: skip
    return stage.start()


def ask(address, **query):
    return httpx.get(f"{address}/v1/patterns", params=query, timeout=60.0)


def test_places_with_how_long_somebody_looked_and_never_who(harbour):
    answer = ask(harbour, kind="stop", teams="2", to=str(NOW_S))
    found = answer.json()
    (cell,) = found["cells"]
    assert (cell["events"], cell["shipments"]) == (5, 5)  # to the nearest five; the twin is the same shipment at the same time
    assert cell["exposure_h"] == pytest.approx(7 * 99, rel=0.05) and 98 <= cell["watched_h"] <= 100
    assert found["suppressed"]["cells"] == found["suppressed"]["hubs"] == 1  # where only four stood
    assert [hub["shipments"] for hub in found["hubs"]] == [5]
    (team,) = found["teams"]
    assert (team["lat_deg"], team["lon_deg"]) == (cell["lat_deg"], cell["lon_deg"]) and 0.0 < team["probability_h"] < 0.5
    assert cell["ring"][0] == cell["ring"][-1] and found["why"] == ""
    assert "secret" not in answer.text and '"T1"' not in answer.text and json.loads(answer.text)["k"] == 5


def test_where_there_is_nothing_it_says_why(harbour):
    assert "no lane_stop since" in ask(harbour, kind="lane_stop").json()["why"]
    few = ask(harbour, kind="loiter", to=str(NOW_S)).json()
    assert few["cells"] == [] and "fewer than 5 different shipments" in few["why"]
    for query in ({"kind": "person"}, {"cell_m": "1"}, {"teams": "-1"}, {"hour": "168"}, {"from": "yesterday"},
                  {"teams": "1.5"}, {"hour": "0.5"}, {"from": str(NOW_S - 60), "to": str(NOW_S - 120)},
                  {"from": str(NOW_S + 86_400)}):  # fmt: skip
        answer = ask(harbour, **query)
        assert answer.status_code == 422 and next(iter(query)) in answer.json()["error"], query


def test_whatever_times_of_a_week_are_asked_for_the_answer_is_of_the_week(harbour):
    asked = [ask(harbour, to=str(NOW_S - 3600 * 200 + s), **{"from": str(NOW_S - 3600 * 201)}).json() for s in (0, 60)]
    assert asked[0] == asked[1] and asked[0]["since"] == iso_from_ns(hotspots.weeks(NOW_S - 3600 * 201, NOW_S)[0] * NS)


def test_the_week_that_goes_on_is_answered_to_its_last_whole_hour():
    monday, hour, week = 1_789_948_800 * NS, 3600 * NS, 604_800 * NS
    now = monday + 30 * hour + 17 * 60 * NS
    for to in (now, now - 5 * 60 * NS, now + week, monday + hour):
        assert hotspots.period(monday + 7 * hour, to, now, exercise=False) == (monday, monday + 30 * hour)
    assert hotspots.period(monday - hour, monday, now, exercise=False) == (monday - week, monday)
    assert hotspots.period(now - hour, now, now, exercise=True) == (monday, now)  # nobody is anybody there


def test_the_page_says_where_how_often_and_how_long_somebody_looked(harbour, watch):
    page = watch(harbour, map=False).page
    page.wait_for_selector("[data-track-id]", state="attached")
    page.click("#hot-more summary")
    page.wait_for_selector("#hot-list li", state="attached")
    words = page.inner_text("#hot-more")
    assert "Team 1 at" in words and "Hub of about 5 shipments" in words and "Places, never persons" in words
    assert "secret" not in words and "Not shown, under 5 shipments" in words


def test_a_team_or_hub_in_the_list_is_found_on_the_map(harbour, watch):
    """Its row was two numbers; the map stood elsewhere."""
    page = watch(harbour, map=False).page
    page.wait_for_selector("[data-track-id]", state="attached")
    page.wait_for_function("() => birddog.chart")
    page.evaluate("""() => {
      birddog.chart.heat = (features) => { birddog.heat = features; };
      birddog.chart.centre = (row) => { birddog.at = row; };
    }""")
    page.click("#hot-more summary")
    page.click("#hot-list li button")
    at = page.evaluate("() => [birddog.at.lat_deg, birddog.at.lon_deg]")
    cell, label = page.evaluate("() => birddog.heat")
    assert at == [label["geometry"]["coordinates"][1], label["geometry"]["coordinates"][0]]
    assert cell["properties"]["share"] == 1 and label["properties"]["name"].startswith("TEAM 1\nabout 5 × in ")
