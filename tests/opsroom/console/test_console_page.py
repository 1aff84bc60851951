"""The page in a real Chromium: what an operator sees and does, with the keyboard too."""

from __future__ import annotations

import math
import time

import pytest
from pyproj import Geod

pytestmark = pytest.mark.browser
#: A loaded machine with two cores and a software GPU: how long a wait may be before it is a failure.
PATIENCE_MS = 60_000


def test_tracks_appear_move_and_go_and_their_ellipses_are_drawn(stage, makers, watch):
    stage.publish(*(makers["track"](n) for n in range(2, 5)))
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(4)
    assert page.locator("button[data-track-id]").count() == 4
    assert page.locator("#map canvas").count() == 1
    assert page.locator("#exercise").is_visible()
    layers = {"layers": ["ellipses-line"]}
    ids = page.evaluate("""async o => {
      const m = await birddog.chart.ready;
      if (!m.loaded()) await new Promise(r => m.once('idle', r));
      return [...new Set(m.queryRenderedFeatures(o).map(f => f.properties.id))].sort();
    }""", layers)
    assert ids == ["T1", "T2", "T3", "T4"]
    # the map shows them all at first
    assert page.evaluate("""() => {
      const bounds = birddog.chart.map.getBounds();
      return [...birddog.store.tracks.values()].every(t => bounds.contains([t.lon_deg, t.lat_deg]));
    }""")
    flush = int(page.get_attribute("body", "data-flush"))
    moved = makers["track"](2, lat_deg=51.99, lon_deg=4.2, status="coasting")
    stage.publish(moved, makers["track"](3, status="deleted"))
    page.wait_for_selector('button[data-track-id="T2"][data-lat="51.99"][data-status="coasting"]')
    page.wait_for_selector('button[data-track-id="T3"]', state="detached")
    seen.drawn(3)
    assert int(page.get_attribute("body", "data-flush")) > flush
    seen.row_says('button[data-track-id="T2"]', "coasting", "±")
    seen.clean()


def test_the_ring_on_the_page_is_the_95_percent_ellipse(looked):
    geod = Geod(ellps="WGS84")
    for lat in (0.0, 51.95, 78.0, -33.0):
        for azimuth in (0.0, 30.0, 120.0):
            ellipse = {"major_m": 3000.0, "minor_m": 900.0, "azimuth_deg": azimuth}
            row = {"lat_deg": lat, "lon_deg": 179.999, "ellipse95": ellipse}
            ring = looked.page.evaluate("async row => (await import('/static/js/ellipse.js')).ring(row)", row)
            assert ring[0] == ring[-1]
            sides = [geod.inv(179.999, lat, lon, at) for lon, at in ring]
            lengths = [side[2] for side in sides]
            assert max(lengths) == pytest.approx(3000.0, rel=0.02)
            assert min(lengths) == pytest.approx(900.0, rel=0.02)
            long_axis = sides[lengths.index(max(lengths))][0] % 180.0
            off = abs(long_axis - azimuth) % 180.0
            assert min(off, 180.0 - off) < 1.0


def test_every_row_is_reached_by_keyboard_and_an_alert_acknowledged(stage, makers, watch):
    stage.publish(*(makers["track"](n) for n in range(2, 7)))
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(6)
    # Tab: from the top of the page through everything, every track's row gets the focus, seen as such
    reached, steps = [], 0
    while len(set(reached)) < 6 and steps < 60:
        page.keyboard.press("Tab")
        steps += 1
        if seen.focused("data-track-id"):
            reached.append(seen.focused("data-track-id"))
            assert page.evaluate("() => document.activeElement.matches(':focus-visible')")
    assert sorted(set(reached)) == [f"T{n}" for n in range(1, 7)]
    # j, k and the arrows
    order = page.evaluate("() => [...document.querySelectorAll('#tracks-list li > button')].map(b => b.dataset.trackId)")
    assert order[0] == "T1"  # it has an open alert
    page.locator(f'[data-track-id="{order[0]}"]').focus()
    walked = [seen.focused("data-track-id")]
    for key in ("j", "ArrowDown", "j", "ArrowDown", "j"):
        page.keyboard.press(key)
        walked.append(seen.focused("data-track-id"))
    assert walked == order
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    assert seen.focused("data-track-id") == order[3]
    # Enter selects and centres
    page.keyboard.press("Enter")
    page.wait_for_selector(f'body[data-selected="{order[3]}"]')
    assert page.get_attribute(f'[data-track-id="{order[3]}"]', "aria-pressed") == "true"
    assert page.locator("#detail").is_visible()
    # f follows
    page.keyboard.press("f")
    page.wait_for_selector('body[data-follow="true"]')
    number = int(order[3][1:])
    stage.publish(makers["track"](number, lat_deg=52.5, lon_deg=5.5))
    page.wait_for_selector(f'[data-track-id="{order[3]}"][data-lat="52.5"]')
    end = time.monotonic() + 20
    while not page.evaluate("() => birddog.chart.map.getBounds().contains([5.5, 52.5])"):
        assert time.monotonic() < end, "the map did not follow"
        page.wait_for_timeout(100)
    # a acknowledges
    page.fill("#watch", "anna")
    page.keyboard.press("Tab")
    page.keyboard.press("a")
    seen.acknowledged("A1")
    assert "parted, acknowledged by anna" in page.locator("#seen-more summary").inner_text()
    page.click("#seen-more summary")
    assert "acknowledged by anna" in page.locator('[data-alert-id="A1"]').inner_text()
    assert [(d.action, d.subject, d.by) for d in stage.decisions] == [("acknowledge", "A1", "anna")]
    assert page.get_attribute("#alarm-count", "data-open") == "0"
    # / searches, Escape clears
    page.keyboard.press("/")
    page.keyboard.type("bd-0004")
    page.wait_for_selector('body[data-tracks="1"]')
    page.keyboard.press("ArrowDown")
    assert seen.focused("data-track-id") == "T4"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.wait_for_selector('body[data-tracks="6"]')
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    seen.clean()


def test_a_new_alert_is_said_aloud_and_its_button_works(stage, makers, watch):
    seen = watch(stage.start(), map=False)
    page = seen.page
    assert page.get_attribute("#say-now", "aria-live") == "assertive"
    page.wait_for_selector('#alarm-count[data-open="1"]')
    stage.publish(makers["alert"](2, kind="silent", severity="warning", text="no contact for 9 min"))
    page.wait_for_selector('[data-alert-id="A2"][data-state="open"]')
    assert "no contact for 9 min" in page.locator("#say-now").inner_text()
    # the gravest first, whatever its age
    assert page.locator("#alerts-list > li").first.get_attribute("data-alert-id") == "A1"
    seen.on_watch("anna")
    page.locator('[data-acknowledge="A2"]').focus()
    page.keyboard.press("Enter")
    seen.acknowledged("A2")
    assert seen.focused("data-acknowledge") == "A1"  # the focus went on, it was not lost
    seen.clean()


def test_a_failed_acknowledgement_is_said_and_the_alert_stays(stage, watch):
    from birddog.errors import JournalError

    def broken(decision):
        raise JournalError("the writer is not there")

    stage.act = broken
    seen = watch(stage.start(), map=False)
    seen.on_watch("anna")
    seen.page.click('[data-acknowledge="A1"]')
    seen.page.wait_for_selector(".toast")
    assert "the writer is not there" in seen.page.locator(".toast").inner_text()
    assert seen.page.get_attribute('[data-alert-id="A1"]', "data-state") == "open"


def test_flags_open_with_their_thumbnail(looked):
    page = looked.page
    page.click("#flags-more summary")
    page.click('[data-flag-id="F1"]')
    page.wait_for_selector("#detail-image:not([hidden])")
    assert page.evaluate("() => document.getElementById('detail-image').decode().then(() => true)")
    assert "no track near" in page.locator("#detail").inner_text()
    looked.clean()


@pytest.mark.slow
def test_eight_tabs_are_all_live(stage, makers, watch):
    address = stage.start()
    seen = watch(address, map=False)
    pages = [seen.page, *(seen.context.new_page() for _ in range(7))]
    for page in pages[1:]:
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
    for page in pages:
        page.wait_for_selector('body[data-live="on"][data-tracks="1"]')
    revision = stage.publish(makers["track"](2))
    for page in pages:
        page.wait_for_selector('button[data-track-id="T2"]', state="attached")
        assert int(page.get_attribute("body", "data-seq")) >= revision


def test_a_lost_line_is_said_ages_go_on_and_it_resumes(stage, makers, watch):
    address = stage.start()
    seen = watch(address)
    page = seen.page
    seen.drawn(1)
    seq = int(page.get_attribute("body", "data-seq"))
    seen.clean()
    stage.stop()
    page.wait_for_selector('body[data-live="off"]')
    page.wait_for_selector("#lost:not([hidden])")
    words = page.locator("#lost").inner_text()
    assert "CONNECTION LOST" in words
    assert "Data as of" in words
    ages = '[data-track-id="T1"] .ages'
    before = page.locator(ages).text_content()
    page.wait_for_function("([ages, before]) => document.querySelector(ages).textContent !== before", arg=[ages, before])
    stage.publish(makers["track"](2), makers["track"](1, status="silent"))
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    assert stage.start() == address
    page.wait_for_selector('body[data-live="on"]')
    page.wait_for_selector('button[data-track-id="T2"]')
    page.wait_for_selector('button[data-track-id="T1"][data-status="silent"]')
    assert page.locator("#lost").is_hidden()
    assert any(f"since={seq}&" in url for url in sockets)  # it asked for what it missed, not for everything


def test_hostile_names_are_shown_and_do_nothing(stage, makers, watch):
    evil = '<img src="http://192.0.2.1/x" onerror="document.title=1;alert(1)"><script>alert(2)</script>'
    stage.publish(makers["track"](2, name=evil, klass='"><b>x', identities=("a\u202egnp.exe", "</button>")),
                  makers["track"](3, name="\u202egnp.exe\u0000", track_id="T3\"'><i>"),
                  makers["alert"](2, text=evil, kind="silent", severity="warning"), makers["flag"](2, scene_name=evil))
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(3)
    seen.row_says('[data-track-id="T2"] .name', evil[:20])
    page.click('[data-track-id="T2"]')
    assert page.locator("#detail-title").inner_text() == evil
    seen.row_says("#tracks-list", "⟨U+202E⟩gnp.exe")
    assert evil in page.locator('[data-alert-id="A2"]').inner_text()
    page.locator("button[data-track-id^='T3']").click()
    assert page.locator("main img:not(#detail-image):not(.chip), main script, main b, main i").count() == 0
    assert page.title().endswith("Birddog")
    seen.clean()


def test_zero_zero_and_unplaced_flags_are_not_drawn(stage, makers, watch):
    stage.publish(makers["track"](2, lat_deg=0.0, lon_deg=0.0), makers["flag"](2, lat_deg=None, lon_deg=None))
    seen = watch(stage.start())
    seen.drawn(1)
    assert seen.page.locator('button[data-track-id="T2"]').count() == 1  # in the list it stays
    assert seen.page.evaluate("() => birddog.chart.map.getZoom()") > 8  # and does not spoil the first view
    seen.clean()


def test_no_layer_is_rebuilt_by_updates(stage, makers, watch):
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(1)
    page.evaluate("""() => {
      globalThis.rebuilt = 0;
      for (const name of ['addLayer', 'removeLayer', 'addSource', 'removeSource', 'setStyle']) {
        birddog.chart.map[name] = () => { rebuilt++; };
      }
    }""")
    flush = int(page.get_attribute("body", "data-flush"))
    for number in range(2, 5):
        stage.publish(makers["track"](number))
        page.wait_for_selector(f'button[data-track-id="T{number}"]')
    seen.drawn(4)
    assert int(page.get_attribute("body", "data-flush")) > flush
    assert page.evaluate("() => globalThis.rebuilt") == 0


def test_operation_filter_hides_in_list_and_map(stage, makers, watch):
    stage.publish(makers["track"](2, operation="open", name="V-2"))
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(2)
    page.wait_for_selector('#operation option[value="open"]', state="attached")
    page.select_option("#operation", "open")
    seen.drawn(1)
    assert page.locator('button[data-track-id="T2"]').is_visible()
    assert page.locator('button[data-track-id="T1"]').is_hidden()
    page.select_option("#operation", "")
    seen.drawn(2)
    seen.clean()


def test_axe_finds_nothing(stage, makers, watch):
    from axe_core_python.sync_playwright import Axe

    stage.publish(*(makers["track"](n, status=s) for n, s in ((2, "coasting"), (3, "silent"), (4, "tentative"))),
                  makers["alert"](2, severity="warning", kind="silent"), makers["alert"](3, severity="info", kind="confirmed"))
    seen = watch(stage.start(), bypass_csp=True)
    page = seen.page
    seen.drawn(4)
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

    def check() -> None:
        found = Axe().run(page, options=options)
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found["violations"]] == []
        assert len(found["passes"]) > 15

    check()
    page.click('[data-track-id="T2"]')
    page.click("#flags-more summary")
    page.click('[data-acknowledge="A1"]')
    page.wait_for_selector("#who[open]")
    check()
    page.fill("#who-name", "anna")
    page.keyboard.press("Enter")
    seen.acknowledged("A1")
    page.click("#seen-more summary")
    page.click("#legend summary")
    check()
    page.keyboard.press("?")
    check()


def test_targets_are_large_enough(looked):
    assert looked.page.evaluate("""() => [...document.querySelectorAll('button, select, input, summary')]
      .filter(e => e.checkVisibility())
      .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
      .filter(([, r]) => r.width < 24 || r.height < 24)
      .map(([html]) => html)""") == []


def test_a_person_without_a_token_is_asked_for_one(make_stage, makers, watch, chromium):
    stage = make_stage(tokens={"anna": "correct-horse-battery"})
    stage.publish(makers["track"](1), makers["alert"](1))
    address = stage.start()
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    try:
        page.goto(address)
        page.wait_for_selector("#token[open]")
        assert page.locator("[data-track-id]").count() == 0
        page.fill("#token-text", "wrong-wrong-wrong-wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-wrong:not(:empty)")
        page.fill("#token-text", "correct-horse-battery")
        page.keyboard.press("Enter")
        page.wait_for_selector('body[data-live="on"][data-tracks="1"]')
        # the server knows who it is: nobody is asked for a name, and it cannot be another
        page.wait_for_selector("#watch[readonly]")
        page.click('[data-acknowledge="A1"]')
        page.wait_for_selector('[data-alert-id="A1"][data-state="acknowledged"]', state="attached")
        assert [d.by for d in stage.decisions] == ["anna"]
    finally:
        context.close()


def test_the_legend_explains_every_symbol(looked):
    words = looked.page.locator("#legend-list").text_content()
    for word in ("confirmed", "silent", "image flag", "or here?", "trail, measured"):
        assert word in words


def test_words(looked):
    told = looked.page.evaluate("""async () => {
      const w = await import('/static/js/words.js');
      return [w.age(-5), w.age(59.9), w.age(61), w.age(3600 * 2 + 300), w.age(90000), w.metres(0.2), w.metres(14.4),
        w.metres(1234), w.metres(35400), w.metres(NaN), w.position(-33.5, 151.25), w.clock('2026-11-24T10:42:07.123Z'),
        w.plain('a\\u202eb'), w.motion(0.1, 4), w.sentence('due 2026-11-29T11:42:43.817Z, since 2026-11-01T11:40Z: W-2026-11')];
    }""")
    assert told == ["0 s", "59 s", "1 min", "2 h 05", "1 d 1 h", "1 m", "14 m", "1.2 km", "35 km", "?",
                    "33.50000° S  151.25000° E", "10:42:07Z", "a⟨U+202E⟩b", "still",
                    "due 29 Nov 11:42:43Z, since 1 Nov 11:40:00Z: W-2026-11"]
    assert math.isclose(looked.page.evaluate("async () => (await import('/static/js/ellipse.js')).unroll(-179, 179)"), 181)


def test_without_webgl_the_lists_work_and_the_page_says_why(still, chromium):
    flags = ["--headless=new", "--no-sandbox", "--disable-3d-apis"]
    browser = chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=flags)
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(still.address)
        page.wait_for_selector('body[data-live="on"][data-map="failed"][data-tracks="2"]')
        assert "No map" in page.locator("#map-failed").inner_text()
        page.click('[data-track-id="T1"]')
        assert page.locator("#detail").is_visible()
        page.keyboard.press("f")
        page.wait_for_selector('body[data-follow="true"]')
    finally:
        browser.close()


def test_tones_are_switched_on_and_off_by_key(looked):
    page = looked.page
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("m")
    page.wait_for_selector('#sound[aria-pressed="true"]')
    page.keyboard.press("m")
    page.wait_for_selector('#sound[aria-pressed="false"]')
    looked.clean()
