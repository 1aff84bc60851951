"""Forecasts in the API: from the archive of the configuration, past only, with how good they were; and why there is none."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time

import httpx
import numpy as np
import pytest

from birddog import model
from birddog.units import ns_from_text
from opsroom import archive_store
from opsroom.archive_sources import build, gather
from opsroom.console import ahead
from opsroom.console.server import Console
from opsroom.foresight import FEW_ASKED, Foresight, Settings, Working, goals_of
from opsroom.picture_view import Rights
from tracking.forecast.calibration import FEWEST, Calibration

NS = 1_000_000_000
NOW_S = 0
LAT, LON = 51.95, 4.0
EAST = 1.0 / (111_195.0 * math.cos(math.radians(LAT)))


@pytest.fixture(scope="module", autouse=True)
def begun_now():
    """Now is when these tests begin: a long run reads this file long before, and what is expected by then is over."""
    global NOW_S
    NOW_S = int(time.time()) // 60 * 60


@pytest.fixture(scope="module")
def archive(begun_now, tmp_path_factory):
    """Thirty boats that went east along one lane at 5 to 7 m/s, days ago."""
    folder, rng = tmp_path_factory.mktemp("lane"), np.random.default_rng(1)
    lines = ["id,t,lat,lon"]
    for boat in range(30):
        begun, speed, north = NOW_S - 5 * 86_400 + 1800 * boat, rng.uniform(5, 7), rng.normal(0, 60)
        lines += [
            f"b{boat},{begun + 60 * k},{LAT + north / 111_195:.6f},{LON + speed * 60 * k * EAST:.6f}" for k in range(180)
        ]  # fmt: skip
    (folder / "tracks.csv").write_text("\n".join(lines) + "\n")
    past = build(gather([str(folder / "tracks.csv")]))
    calibration = Calibration(past)
    for moving in (True, False):
        calibration.outcomes(15, moving, past.last_s + 2 * 86_400)
    archive_store.save(calibration, str(folder / "archive"), {})
    return str(folder / "archive")


def steps(track, minutes=40):
    """The track came along the lane at 6 m/s until now."""
    return [
        model.TrackPoint(
            track_id=track.track_id, seq=k, time_ns=(NOW_S - 60 * (minutes - k)) * NS, lat_deg=LAT,
            lon_deg=LON + 6.0 * 60 * (20 + k) * EAST, ve_mps=6.0, vn_mps=0.0, p_ee=25.0, p_en=0.0, p_nn=25.0, origin="fix",
        ) for k in range(minutes + 1)
    ]  # fmt: skip


@pytest.fixture
def shown(make_stage, makers, monkeypatch):
    """A stage with one track on the lane; ``shown(archive)`` serves it."""

    def serve(path):
        stage = make_stage()
        track = makers["track"](1, tag_id="shipment", time_ns=NOW_S * NS)
        stage.publish(track, *steps(track))
        square = tuple((LON + (27_000 + e) * EAST, LAT + n / 111_195) for e, n in
                       ((-300, -300), (300, -300), (300, 300), (-300, 300), (-300, -300)))  # fmt: skip
        stage.entry(model.Operation(operation="nightjar", zones=(model.Zone(name="quay", points=square),)), "operation")
        stage.foresight = Foresight(Settings(archive=path))
        monkeypatch.setattr(ahead, "WAIT_S", 60.0)  # on a busy machine too
        return stage.start()

    return serve


def ask(address, **query):
    return httpx.get(f"{address}/v1/forecasts", params=query, timeout=60.0)


def test_where_it_will_be_and_when_at_the_place_that_its_case_watches(shown, archive):
    address = shown(archive)
    answer = ask(address, track="T1", at=str(NOW_S)).json()
    assert answer["why"] == "" and answer["archive"]["tracks"] == 30 and len(answer["archive"]["sha256"]) == 64
    assert [f["horizon_min"] for f in answer["forecasts"]] == [15, 60, 240] and answer["known"]["fixes"] == 41
    soon = answer["forecasts"][0]
    gone_m = (soon["lon_deg"] - LON) / EAST - 6.0 * 3600
    assert 4500 < gone_m < 6300 and abs(soon["lat_deg"] - LAT) * 111_195 < 300 and soon["moving"]
    assert soon["r50_m"] <= soon["r90_m"] and [r["level"] for r in soon["regions"]] == [0.5, 0.9]
    for region in soon["regions"]:
        for polygon in region["polygons"]:
            assert all(ring[0] == ring[-1] and len(ring) > 3 for ring in polygon)
    # how good it was: the archive's own past, and this very track a quarter of an hour ago
    assert soon["backtest"]["outcomes"] >= 20 and 0.3 < soon["backtest"]["held_50"] < 0.7
    assert soon["own"]["error_m"] < 1500 and soon["own"]["in_90"] is True
    (arrival,) = answer["arrivals"]
    assert arrival["place"] == "quay" and arrival["used"] is True
    assert arrival["p10"] <= arrival["p50"] <= arrival["p90"]
    # 27 km along the lane, 21.6 km done, the circle about the square is reached 424 m before: some 14 min at 6 m/s
    late_s = ns_from_text(arrival["p50"]) / NS - NOW_S
    assert 600 < late_s < 1100


def test_only_what_was_known_then_is_used(shown, archive):
    address = shown(archive)
    then = NOW_S - 900
    answer = ask(address, track="T1", at=str(then), horizon_min="15").json()
    assert answer["known"] == {"fixes": 26, "last": answer["t0"]} and len(answer["forecasts"]) == 1
    where = answer["forecasts"][0]
    assert abs((where["lon_deg"] - LON) / EAST - 6.0 * 3600) < 1500  # about where it is now
    nothing = ask(address, track="T1", at=str(NOW_S - 86_400)).json()
    assert nothing["forecasts"] == [] and "nothing was measured" in nothing["why"]


def test_where_there_is_none_it_says_why(shown, archive, tmp_path):
    for path, words in (("", "no tracks of the past to learn from"), (str(tmp_path / "gone"), "not where they were")):
        answer = ask(shown(path), track="T1").json()
        assert words in answer["why"] and answer["forecasts"] == answer["arrivals"] == [] and answer["archive"] is None
        assert str(tmp_path) not in answer["why"]
    address = shown(archive)
    assert ask(address, track="T9").status_code == 404 and "name a track" in ask(address).json()["why"]
    for query in ({"at": "yesterday"}, {"horizon_min": "-1"}, {"horizon_min": "nan"}, {"lat": "1"}, {"lat": "95", "lon": "1"}):
        assert ask(address, track="T1", **query).status_code == 422, query


def test_a_place_may_be_named_and_an_archive_that_is_damaged_is_one_line(shown, archive, tmp_path):
    address = shown(archive)
    answer = ask(address, track="T1", at=str(NOW_S), lat=str(LAT), lon=str(LON + 30_000 * EAST), radius_m="300").json()
    assert [a["place"] for a in answer["arrivals"]] == ["asked"]
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "archive.json").write_text("{}")
    answer = ask(shown(str(broken)), track="T1")
    assert answer.status_code == 503 and "archive" in answer.json()["error"]


def test_who_may_not_see_a_case_of_the_archive_is_told_nothing_from_it(shown, archive, tmp_path, monkeypatch):
    """The fixes of another operation must not come back as a region, a meeting or a look; nor that it has any."""
    mixed = tmp_path / "mixed"
    shutil.copytree(archive, mixed)
    said = json.loads((mixed / "archive.json").read_text()) | {"cases": {"NIGHTJAR": 9}}
    (mixed / "archive.json").write_text(json.dumps(said))
    address = shown(str(mixed))
    assert ask(address, track="T1", at=str(NOW_S)).json()["forecasts"] != []
    monkeypatch.setattr(Console, "_rights", staticmethod(lambda request: Rights(frozenset({"open", "nightjar"}))))
    for path, found in (("forecasts", "forecasts"), ("intercept", "meetings"), ("looks", "looks")):
        query = {"track": "T1", "at": str(NOW_S), "lat": str(LAT), "lon": str(LON)}
        answer = httpx.get(f"{address}/v1/{path}", params=query, timeout=60.0).json()
        assert answer[found] == [] and "of cases that you may not see" in answer["why"] and answer["archive"] is None, path
        assert "NIGHTJAR" not in str(answer)
    monkeypatch.setattr(Console, "_rights", staticmethod(lambda request: Rights(frozenset({"open", "nightjar", "NIGHTJAR"}))))
    assert ask(address, track="T1", at=str(NOW_S)).json()["forecasts"] != []


def asked_of(foresight, makers, minutes):
    track = makers["track"](1, tag_id="shipment", time_ns=NOW_S * NS)
    return foresight.ahead(track, steps(track), NOW_S * NS, (minutes,), [])["forecasts"]


def test_nobody_waits_behind_a_horizon_that_is_being_worked_out_and_it_is_once(archive, makers, monkeypatch):
    foresight, ask_one = Foresight(Settings(archive=archive)), Calibration._ask
    begun, answered, windows, let_in = threading.Event(), threading.Event(), [], []
    asked_of(foresight, makers, 15)

    def one(self, row, t_s, after_s, ended):
        windows.append((row, after_s, ended))
        begun.set()
        while len(windows) == 1 and not foresight._turns._waiting:
            time.sleep(0.001)  # until the other question is there
        if len(windows) == 2:
            let_in.append(answered.wait(30.0))
        return ask_one(self, row, t_s, after_s, ended)

    monkeypatch.setattr(Calibration, "_ask", one)
    answers = []
    first = threading.Thread(target=lambda: answers.append(asked_of(foresight, makers, 60)))
    first.start()
    begun.wait()
    (soon,) = asked_of(foresight, makers, 15)
    answered.set()
    first.join()
    assert soon["horizon_min"] == 15 and let_in == [True]
    assert answers[0][0]["outcomes"] >= FEWEST and len(windows) > FEW_ASKED and len(set(windows)) == len(windows)
    known = len(windows)
    assert asked_of(foresight, makers, 60) == answers[0] and len(windows) == known


def test_no_more_than_two_questions_work_for_long_at_once(archive, makers):
    foresight = Foresight(Settings(archive=archive))
    foresight._asked = {-1: FEW_ASKED + 1, -2: FEW_ASKED + 1}  # two others are at it
    with pytest.raises(Working):
        asked_of(foresight, makers, 60)
    assert asked_of(foresight, makers, 15)
    del foresight._asked[-1]
    assert asked_of(foresight, makers, 60)


def test_what_takes_longer_than_a_person_waits_is_said_to_be_under_way(shown, archive, monkeypatch):
    address = shown(archive)
    with monkeypatch.context() as hurried:
        hurried.setattr(ahead, "WAIT_S", 0.0)
        answer = ask(address, track="T1", at=str(NOW_S))
    assert answer.status_code == 200 and answer.json()["why"] == ahead.WORKING and answer.json()["forecasts"] == []
    assert ask(address, track="T1", at=str(NOW_S)).json()["forecasts"] != []


def test_the_circle_about_an_area_over_the_antimeridian():
    ring = ((179.9, 10.0), (-179.9, 10.0), (-179.9, 10.1), (179.9, 10.1), (179.9, 10.0))
    (goal,) = goals_of((model.Zone(name="z", points=ring), model.Zone(name="line", points=ring[:2], half_width_m=50.0)))
    assert abs(abs(goal.lon_deg) - 180.0) < 1e-6 and abs(goal.lat_deg - 10.05) < 1e-6 and 11_000 < goal.radius_m < 13_000


def test_the_page_says_of_the_selected_track_what_is_expected_and_what_happened(shown, archive, watch, make_stage):
    address = shown(archive)
    page = watch(address, map=False).page
    page.click('[data-track-id="T1"] button, button[data-track-id="T1"]')
    page.wait_for_selector('body[data-ahead="3"]')
    words = page.inner_text("#detail-ahead")
    assert "not measured" in words and "90 % within" in words and "inside the 90 % area" in words and "at quay" in words
    assert "Learned from 30 past tracks" in words and "if it goes there" in words
    # where it is and how old that is stands above what is only expected
    assert [dt.split()[0] for dt in page.locator("#detail-facts dt").all_inner_texts()][-1] == "last"
    assert page.locator("#detail-facts").bounding_box()["y"] < page.locator("#detail-ahead").bounding_box()["y"]
    assert page.locator("#detail-rest").bounding_box()["y"] > page.locator("#detail-ahead").bounding_box()["y"]
    page.keyboard.press("Escape")
    assert page.is_hidden("#detail-ahead")


def test_the_map_names_each_region_with_its_horizon_and_shows_all_of_it(shown, archive, watch):
    """Three horizons in one colour: which is which was nowhere, nor of which place an arrival is; places were not drawn."""
    page = watch(shown(archive)).page
    page.click('[data-track-id="T1"]')
    page.wait_for_selector('body[data-ahead="3"][data-map="ready"]')
    page.wait_for_function("() => Number(document.body.dataset.foreseen?.split(' ')[0]) > 6")
    drawn = """async (name) => (await birddog.chart.map.getSource(name).getData()).features"""
    ahead = page.evaluate(drawn, "ahead")
    names = {f["properties"]["name"] for f in ahead}
    assert {f"in {horizon}: {level} %" for horizon in ("15 min", "1 h", "4 h") for level in (50, 90)} <= names
    assert "forecast 15 min" in names and any(name.startswith("quay\nexpected ") and name.endswith("Z") for name in names)
    near = [f["properties"]["near"] for f in ahead if f["properties"].get("level")]
    assert near == sorted(near, reverse=True) and near[0] == 1  # what is sooner stands out
    page.wait_for_function(f"async () => (await ({drawn})('areas')).some(f => f.properties.zone)")
    page.click("#ahead-fit")
    outside = """async () => {
      const view = birddog.chart.map.getBounds(), said = await birddog.chart.map.getSource('ahead').getData();
      return said.features.flatMap(f => f.geometry.coordinates.flat(9)).length > 20
        && said.features.every(f => f.geometry.type !== 'Point' || view.contains(f.geometry.coordinates));
    }"""
    page.wait_for_function(outside)


def test_a_time_ahead_has_its_day_where_it_is_not_today(looked):
    """A place expected at 07:25 tomorrow, between 21:14 and 19:50, read as before it was asked."""
    say = "async ([iso, now]) => (await import('/static/js/words.js')).hour(iso, now === null ? null : Date.parse(now))"
    for iso, now, words in (
        ("2026-11-29T20:39:08.000Z", "2026-11-29T19:47:00.000Z", "20:39Z"),
        ("2026-11-30T07:25:47.000Z", "2026-11-29T19:47:00.000Z", "30 Nov 07:25Z"),
        ("2026-11-30T07:25:47.000Z", None, "30 Nov 07:25Z"),
    ):
        assert looked.page.evaluate(say, [iso, now]) == words


def test_the_page_says_that_there_is_none_and_why(shown, watch):
    page = watch(shown(""), map=False).page
    page.click('[data-track-id="T1"] button, button[data-track-id="T1"]')
    page.wait_for_function("() => document.getElementById('ahead-none').textContent.includes('no tracks of the past')")
    assert page.locator("#ahead-list > *").count() == 0


def test_where_a_unit_can_meet_it(shown, archive):
    address = shown(archive)
    query = {"track": "T1", "at": str(NOW_S), "lat": str(LAT), "lon": str(LON + 40_000 * EAST), "speed_mps": "15"}
    answer = httpx.get(f"{address}/v1/intercept", params=query, timeout=60.0).json()
    assert answer["why"] == "" and answer["archive"]["tracks"] == 30 and 1 <= len(answer["meetings"]) <= 5
    best = answer["meetings"][0]
    assert best["probability"] > 0.5 and best["used"] and best["track_p10"] <= best["track_p50"] <= best["track_p90"]
    assert 21_000 < (best["lon_deg"] - LON) / EAST < 70_000 and abs(best["lat_deg"] - LAT) * 111_195 < 1000
    far = httpx.get(f"{address}/v1/intercept", params=query | {"lat": "-40", "medium": "road"}, timeout=60.0).json()
    assert far["meetings"] == [] and "nowhere" in far["why"]
    # the unit may be a track itself; this one is where it is already
    own = httpx.get(f"{address}/v1/intercept", params={"track": "T1", "unit": "T1"}, timeout=60.0).json()
    assert own["why"] == "" or own["meetings"] == []
    for more in ({"lat": "95"}, {"medium": "air"}, {"speed_mps": "0"}, {"within_min": "nan"}, {"radius_m": "1"}):
        assert httpx.get(f"{address}/v1/intercept", params=query | more).status_code == 422, more
    assert httpx.get(f"{address}/v1/intercept", params=query | {"unit": "T9"}).status_code == 404
    assert "name a unit" in httpx.get(f"{address}/v1/intercept", params={"track": "T1"}).json()["why"]


def test_a_meeting_as_of_a_time_begins_where_the_unit_was_then(shown, archive, make_stage, makers):
    """A unit that is a track set out from where it is by now, whatever time was asked."""
    address = shown(archive)
    query = {"track": "T1", "at": str(NOW_S - 900), "speed_mps": "15", "within_min": "120"}
    as_track = httpx.get(f"{address}/v1/intercept", params=query | {"unit": "T1"}, timeout=60.0).json()
    there = {"lat": str(LAT), "lon": str(LON + 6.0 * 60 * 45 * EAST), "sigma_m": "5"}  # the step of then
    as_place = httpx.get(f"{address}/v1/intercept", params=query | there, timeout=60.0).json()
    places, same = ([(m["lat_deg"], m["lon_deg"]) for m in answer["meetings"]] for answer in (as_place, as_track))
    assert places and same == places
    before = httpx.get(f"{address}/v1/intercept", params=query | {"unit": "T1", "at": str(NOW_S - 86_400)}, timeout=60.0).json()
    assert before["meetings"] == [] and before["why"]


def test_the_next_best_look_is_never_one_that_no_authority_allows(shown, archive, make_stage, makers):
    address = shown(archive)
    answer = httpx.get(f"{address}/v1/looks", params={"track": "T1", "at": str(NOW_S)}, timeout=60.0).json()
    # the tag is enrolled nowhere: it cannot be woken
    assert [b["look"] for b in answer["barred"]] == ["wake_tag"] and answer["why"] == ""
    assert {look["look"] for look in answer["looks"]} == {"task_tile"}  # a partner's hour is as long as the horizon
    query = {"track": "T1", "at": str(NOW_S), "horizon_min": "180"}
    longer = httpx.get(f"{address}/v1/looks", params=query, timeout=60.0).json()
    assert {look["look"] for look in longer["looks"]} == {"task_tile", "ask_partner"}
    gains = [look["per_cost_km2"] for look in longer["looks"]]
    assert gains == sorted(gains, reverse=True) and all(look["after_km2"] <= look["before_km2"] for look in longer["looks"])
    assert {(look["look"], look["cost"], look["answers"], look["sigma_m"]) for look in longer["looks"]} == {
        ("task_tile", 5.0, 0.7, 15.0), ("ask_partner", 2.0, 0.5, 200.0)}  # what [forecast.looks] takes them for
    assert httpx.get(f"{address}/v1/looks", params={"track": "T9"}).status_code == 404


def test_the_page_says_where_it_can_be_met_and_what_to_ask_for_next(shown, archive, watch):
    page = watch(shown(archive), map=False).page
    page.click('[data-track-id="T1"]')
    page.wait_for_selector("#look-list li", state="attached")
    assert "A picture of the place" in page.inner_text("#look-list")
    # this archive's late boats were told better than its early ones: that is no warning
    page.wait_for_selector("#ahead-list dd", state="attached")
    assert "so far" in page.inner_text("#ahead-list") and "LATELY" not in page.inner_text("#ahead-list")
    assert "not allowed: wake its tag (no tag of ours is in it)" in page.inner_text("#look-list")
    assert page.locator("#meet-unit option").count() == 2  # nobody yet, the middle of the map: there is no other track
    page.select_option("#meet-unit", "here")
    page.wait_for_selector("#meet-list li", state="attached")
    assert "None: " in page.inner_text("#meet-list") or "it comes" in page.inner_text("#meet-list")


def test_what_is_silent_is_as_good_as_answers_so_long_after_a_fix(shown, archive):
    soon = ask(shown(archive), track="T1", at=str(NOW_S + 45 * 60), horizon_min="15").json()["forecasts"][0]
    assert soon["backtest"] is None or soon["backtest"]["horizon_min"] == 60.0
