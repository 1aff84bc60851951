"""Answers that come in another order than they were asked for: what is shown answers the newest question."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


class Held:
    """Requests for a path wait until the test answers them, in the order that it likes."""

    def __init__(self, page, path: str):
        self.page, self.routes = page, []
        page.route(f"**{path}*", lambda route: self.routes.append(route))

    def asked(self, count: int) -> None:
        """Wait until so many have come."""
        while len(self.routes) < count:
            self.page.wait_for_timeout(20)

    def answer(self, which: int, body: object) -> None:
        """Answer one of them, and wait until the page has read what it was told."""
        route = self.routes[which]
        with self.page.expect_request_finished(lambda r: r == route.request):
            route.fulfill(json=body)
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")


@pytest.fixture
def page(stage, makers, watch):
    stage.publish(makers["track"](2))
    page = watch(stage.start(), map=False).page
    page.wait_for_selector('[data-track-id="T2"]', state="attached")
    page.wait_for_selector("body[data-trails]")
    return page


def trail(*minutes: int) -> dict:
    points = [{"time": f"2026-11-29T11:{m:02}:00Z", "lat_deg": 52.0, "lon_deg": 4.0, "origin": "fix"} for m in minutes]
    return {"trails": [{"track_id": "T1", "points": points, "step_s": 0}]}


def test_an_older_trail_is_not_drawn_over_a_newer_one(page):
    held = Held(page, "/v1/trails")
    page.select_option("#trail-minutes", index=0)
    held.asked(1)
    page.select_option("#trail-minutes", index=2)
    held.asked(2)
    kept = "() => birddog.store.trails.get('T1').filter(p => p.t < Date.parse('2026-11-29T11:05:00Z')).length"
    held.answer(1, trail(1, 2, 3))
    assert page.evaluate(kept) == 3
    held.answer(0, trail(3))
    assert page.evaluate(kept) == 3


def test_a_step_that_a_decision_took_out_is_not_kept_for_being_the_newest(page):
    """An auditor's: after "It is there" and its undoing the trail kept a leg of 10 km that never was, as measured."""
    held = Held(page, "/v1/trails")
    step = "(minute) => birddog.store.point({track_id: 'T1', time: `2026-11-29T13:${minute}:00Z`, lat_deg: 52, lon_deg: 4})"
    page.evaluate(step, "10")
    page.select_option("#trail-minutes", index=0)
    held.asked(1)
    page.evaluate(step, "20")
    held.answer(0, trail(1, 2))
    steps = page.evaluate("() => birddog.store.trails.get('T1').map(p => new Date(p.t).toISOString().slice(11, 16))")
    assert steps == ["11:01", "11:02", "13:20"], "what came in since it was asked stays"


def test_a_step_that_was_foretold_goes_when_one_measured_before_it_comes_in(page):
    """Its dashed legs stayed in a page that was open, 1.2 km off; what was told anew before it leaves it."""
    page.evaluate("""() => {
      const step = (second, origin) => birddog.store.point({track_id: 'T1', origin, lat_deg: 52, lon_deg: 4,
        time: `2026-11-29T13:10:${second}Z`});
      birddog.store.trails.set('T1', []);
      for (const one of ['00', '10']) step(one, 'fix');
      for (const one of ['35', '50']) step(one, 'coast');
      step('52', 'fix');
      step('57', 'coast');
      step('10', 'fix');
    }""")
    seen = "() => birddog.store.trails.get('T1').map(p => new Date(p.t).getUTCSeconds())"
    assert page.evaluate(seen) == [0, 10, 35, 50, 52, 57]
    late = "() => birddog.store.point({track_id: 'T1', origin: 'fix', time: '2026-11-29T13:10:20Z', lat_deg: 52, lon_deg: 4})"
    page.evaluate(late)
    assert page.evaluate(seen) == [0, 10, 20, 52, 57]


def pattern(why: str) -> dict:
    return {"why": why, "cells": [], "hubs": [], "hours": [], "teams": [], "suppressed": {}}


def test_places_of_the_kind_that_was_chosen_before_do_not_come_back(page):
    held = Held(page, "/v1/patterns")
    page.click("#hot-more summary")
    held.asked(1)
    page.select_option("#hot-kind", "encounter")
    held.asked(2)
    held.answer(1, pattern("no encounter"))
    held.answer(0, pattern("no stop"))
    assert "no encounter" in page.inner_text("#hot-none")


def test_nobody_is_sent_where_the_unit_was_taken_back(page):
    held = Held(page, "/v1/intercept")
    page.click('[data-track-id="T1"]')
    page.select_option("#meet-unit", "T2")
    held.asked(1)
    page.select_option("#meet-unit", "")
    held.answer(0, {"why": "of the unit that was taken back", "meetings": []})
    assert page.locator("#meet-list li").count() == 0
    page.select_option("#meet-unit", "T2")
    held.asked(2)
    page.select_option("#meet-medium", index=1)
    held.asked(3)
    held.answer(2, {"why": "newer", "meetings": []})
    held.answer(1, {"why": "older", "meetings": []})
    assert "newer" in page.inner_text("#meet-list")


def test_an_older_forecast_and_reason_of_the_same_track_do_not_replace_the_newer(page):
    forecasts, looks, reasons = Held(page, "/v1/forecasts"), Held(page, "/v1/looks"), Held(page, "/explain")
    for at, track in enumerate(("T1", "T2", "T1"), start=1):
        page.click(f'[data-track-id="{track}"]')
        forecasts.asked(at)
        looks.asked(at)
    for held, shown in ((forecasts, "#ahead-none"), (looks, "#look-list")):
        held.answer(2, {"why": "newer", "forecasts": [], "arrivals": [], "looks": []})
        held.answer(0, {"why": "older", "forecasts": [], "arrivals": [], "looks": []})
        assert "newer" in page.inner_text(shown)
    for _ in range(3):  # open, close, open
        page.click("#detail-why")
    reasons.asked(2)
    reason = {"refused": [], "hypotheses": [], "models": [], "version": "1", "entries": 9}
    reasons.answer(1, {**reason, "used": [{"device": "newer"}]})
    reasons.answer(0, {**reason, "used": [{"device": "older"}]})
    assert "newer" in page.inner_text("#detail-reasons")
