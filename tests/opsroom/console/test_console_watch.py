"""What a tired person on watch must be able to rely on: alerts, names, marks on the map, dark vessels, refusals."""

from __future__ import annotations

import time

import httpx
import pytest

pytestmark = pytest.mark.browser
#: A loaded machine with two cores and a software GPU: how long a wait may be before it is a failure.
PATIENCE_MS = 60_000


def test_the_name_is_asked_for_once_and_remembered(stage, makers, watch):
    stage.publish(makers["alert"](2, kind="silent", severity="warning"))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('[data-alert-id="A1"]')
    page.keyboard.press("a")
    page.wait_for_selector("#who[open]")
    assert "S-1 parted" in page.locator("#who").inner_text()  # what is being acknowledged is said
    page.keyboard.press("Enter")  # no name, no acknowledgement
    page.keyboard.press("Escape")
    page.wait_for_selector("#who:not([open])", state="attached")
    page.click('[data-acknowledge="A1"]')
    page.wait_for_selector("#who[open]")
    assert stage.decisions == []
    page.keyboard.type("  anna ")
    page.keyboard.press("Enter")
    seen.acknowledged("A1")
    page.click('[data-acknowledge="A2"]')
    seen.acknowledged("A2")
    assert [(d.subject, d.by) for d in stage.decisions] == [("A1", "anna"), ("A2", "anna")]
    page.reload()
    page.wait_for_selector('body[data-live="on"]')
    assert page.input_value("#watch") == "anna"
    seen.clean()


def test_a_key_pressed_twice_acknowledges_one_alert(stage, makers, watch):
    stage.publish(makers["alert"](2), makers["alert"](3))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('#alarm-count[data-open="3"]')
    seen.on_watch("anna")
    # the page's own clock decides, so the machine's load does not matter
    page.evaluate("() => { const now = performance.now(); performance.now = () => now + (globalThis.ahead ?? 0); }")
    for _ in range(3):
        page.keyboard.press("a")
    page.wait_for_selector('#alarm-count[data-open="2"]')
    page.keyboard.press("a")
    page.evaluate("() => { globalThis.ahead = 1001; }")
    page.keyboard.press("a")
    page.wait_for_selector('#alarm-count[data-open="1"]')
    assert len(stage.decisions) == 2
    seen.clean()


def test_what_is_seen_or_over_is_folded_below_what_is_open(stage, makers, watch):
    now = time.time_ns()
    stage.publish(*(makers["alert"](n, acknowledged_ns=now, acknowledged_by="ben") for n in range(2, 9)),
                  makers["alert"](9, kind="silent", severity="warning", cleared_ns=now))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('#alarm-count[data-open="1"]')
    assert page.locator("#alerts-list > li").count() == 1
    assert page.locator("#seen-count").inner_text() == "8"
    assert page.locator("#seen-list > li").first.is_hidden()
    assert page.locator("section.alerts").bounding_box()["height"] < 200
    page.click("#seen-more summary")
    assert page.locator("#seen-list > li").first.bounding_box()["height"] < 70
    page.wait_for_function("() => localStorage.getItem('birddog-open-seen-more') === '1'")
    page.reload()  # and it stays as it was left
    page.wait_for_selector('#seen-list > [data-alert-id="A2"]')


def test_what_is_over_never_hides_what_is_open_and_stands_there_once(stage, makers, watch):
    now = time.time_ns()
    stage.publish(makers["alert"](2, kind="warrant_due", severity="warning", text="expiry 2026-11-29T11:42:43.817Z"),
                  *(makers["alert"](n, kind="silent", severity="warning", cleared_ns=now) for n in range(4, 20)),
                  *(makers["alert"](n, kind="door_opened", severity="warning", raised_ns=now, cleared_ns=now, operation=told)
                    for n, told in ((20, "nightjar"), (21, "open"))))
    page = watch(stage.start(), map=False).page
    page.wait_for_selector('#alarm-count[data-open="2"]')
    assert page.locator("#seen-count").inner_text() == "17"  # the door's is one, of a case and of open
    assert "29 Nov 11:42:43Z" in page.inner_text('[data-alert-id="A2"]')
    page.click("#seen-more summary")
    page.wait_for_selector('#seen-list > [data-alert-id="A5"]')
    hidden = page.evaluate("""() => {
      const list = document.getElementById('alerts-list').getBoundingClientRect();
      const rows = [...document.querySelectorAll('#alerts-list > li')];
      return rows.filter(li => li.getBoundingClientRect().bottom > list.bottom + 1).length;
    }""")
    assert hidden == 0
    for fold in ("events-more", "hot-more", "flags-more", "refused-more"):
        page.evaluate("id => { document.getElementById(id).open = true; }", fold)
    heights = page.evaluate("() => [...document.querySelectorAll('.more[open]')].map(fold => fold.offsetHeight)")
    assert min(heights) > 80, heights


def test_a_filter_does_not_hide_that_another_case_has_an_alert(stage, makers, watch):
    stage.publish(makers["track"](2, operation="open"))
    seen = watch(stage.start(), map=False)
    seen.page.wait_for_selector('#operation option[value="open"]', state="attached")
    seen.page.select_option("#operation", "open")
    seen.page.wait_for_selector('#alarm-count[data-open="0"]')
    assert "+1 in other operations" in seen.page.locator("#alarm-count").inner_text()


def test_words_are_not_said_twice_and_a_sensor_is_called_by_its_name(stage, makers, watch):
    stage.publish(makers["alert"](2, kind="door_opened", text="door opened", track_id="", device="gate-a"))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_function("() => document.querySelector('[data-alert-id=\"A2\"] .what')?.textContent.includes('Gate A')")
    assert page.locator('[data-alert-id="A2"]').inner_text().count("door opened") == 1
    # an alert about no track has a panel of its own
    page.click('[data-alert-id="A2"] .go')
    page.wait_for_selector('#detail[data-kind="alert"]')
    assert "Gate A · door opened" in page.locator("#detail-title").inner_text()
    assert page.locator("#detail-follow").is_hidden()
    page.keyboard.press("Escape")
    assert page.locator("#detail").is_hidden()
    seen.clean()


def test_every_track_has_its_name_on_the_map_also_where_they_crowd(stage, makers, watch):
    stage.publish(*(makers["track"](n, lat_deg=51.954 + 1e-5 * n, lon_deg=4.06 + 1e-5 * n) for n in range(2, 9)),
                  makers["track"](9, lat_deg=52.05, lon_deg=4.3, status="silent"))
    seen = watch(stage.start())
    seen.drawn(9)
    names = seen.page.evaluate("""async () => {
      const m = await birddog.chart.ready;
      if (!m.loaded()) await new Promise(r => m.once('idle', r));
      return m.queryRenderedFeatures({layers: ['names', 'names-kept']}).map(f => f.properties.name + f.properties.note);
    }""")
    assert set(names) == {f"S-{n}" for n in range(2, 9)} | {"S-1\nPARTED", "S-9\nSILENT"}
    seen.clean()


def test_among_many_tracks_those_with_an_alert_keep_their_names(stage, makers, watch):
    stage.publish(*(makers["track"](n, lat_deg=51.954 + 1e-6 * n, lon_deg=4.06 + 1e-6 * n) for n in range(2, 140)))
    seen = watch(stage.start())
    seen.drawn(139)
    names = """async () => {
      const m = await birddog.chart.ready;
      if (!m.loaded()) await new Promise(r => m.once('idle', r));
      return [...new Set(m.queryRenderedFeatures({layers: ['names', 'names-kept']}).map(f => f.properties.id))];
    }"""
    shown = seen.page.evaluate(names)
    assert "T1" in shown
    assert len(shown) < 100
    hidden = next(f"T{n}" for n in range(139, 1, -1) if f"T{n}" not in shown)
    seen.page.click(f'[data-track-id="{hidden}"]')
    end = time.monotonic() + 30
    while hidden not in seen.page.evaluate(names):
        assert time.monotonic() < end, "the selected track has no name"
        seen.page.wait_for_timeout(100)


def test_a_coasting_tracks_ellipse_grows_on_the_screen(stage, makers, watch):
    seen = watch(stage.start())
    seen.drawn(1)
    width = """async () => {
      const m = await birddog.chart.ready;
      const rings = (await m.getSource('ellipses').getData()).features.map(f => f.geometry.coordinates[0]);
      const xs = rings[0].map(c => m.project(c).x);
      return Math.max(...xs) - Math.min(...xs);
    }"""
    before = seen.page.evaluate(width)
    stage.publish(makers["track"](1, status="coasting", p_ee=400.0 * 100, p_en=100.0 * 100, p_nn=200.0 * 100))
    seen.page.wait_for_selector('[data-track-id="T1"][data-status="coasting"]')
    end = time.monotonic() + 30
    while seen.page.evaluate(width) < 9.9 * before:
        assert time.monotonic() < end, "it does not grow"
        seen.page.wait_for_timeout(100)


def test_what_is_being_drawn_is_not_asked_for_again(stage, makers, watch):
    """On a slow machine half of the trails never came: each change asked anew for what was still on its way."""
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(1)
    page.evaluate("""() => {
      globalThis.calls = 0;
      const tracks = birddog.chart.map.getSource('tracks');
      const real = tracks.updateData.bind(tracks);
      tracks.updateData = (diff) => { calls++; return real(diff); };
      birddog.chart.map.areTilesLoaded = () => Boolean(globalThis.loaded);
    }""")
    stage.publish(makers["track"](2))
    page.wait_for_function("() => calls === 1")
    for number in (3, 4, 5):
        stage.publish(makers["track"](number))
        page.wait_for_selector(f'button[data-track-id="T{number}"]')
    assert page.evaluate("() => calls") == 1
    page.evaluate("() => { globalThis.loaded = true; }")
    seen.drawn(5)
    seen.clean()


def test_a_trail_is_drawn_in_every_tile_that_it_crosses(stage, makers, watch):
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(1)
    page.wait_for_selector("body[data-trails]")
    page.evaluate("async () => (await birddog.chart.ready).jumpTo({center: [4.0869, 51.95], zoom: 13})")  # a tile's border
    for step in range(8):  # from one tile into the next, as a lorry drives
        track = makers["track"](1, lat_deg=51.95, lon_deg=4.075 + 0.003 * step)
        at = makers["point"](track, 100 + step, 0)
        stage.publish(track, at)
        page.wait_for_selector(f'[data-track-id="T1"][data-lon="{round(track.lon_deg, 7)}"]')
    shown = """() => {
      const m = birddog.chart.map;
      const at = (lon) => m.project([lon, 51.95]);
      return [4.083, 4.0925].map(lon => m.queryRenderedFeatures(
        [[at(lon).x - 3, at(lon).y - 3], [at(lon).x + 3, at(lon).y + 3]],
        {layers: ['trails', 'trails-guess']}).length > 0);
    }"""
    end = time.monotonic() + 60
    while page.evaluate(shown) != [True, True]:
        assert time.monotonic() < end, page.evaluate(shown)
        page.wait_for_timeout(100)


def test_after_a_sleep_nothing_looks_younger_than_it_is(stage, watch):
    """A laptop that was closed: the steady clock stood still, the wall's went on."""
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('[data-track-id="T1"]')
    stage.stop()
    page.wait_for_selector('body[data-live="off"]')
    page.evaluate("() => { const real = Date.now; Date.now = () => real() + 3 * 3600e3; }")
    page.wait_for_function("() => document.querySelector('[data-track-id] .ages').textContent.includes('contact 3 h')")
    page.wait_for_function("() => document.getElementById('lost').textContent.includes('3 h 00 ago')")


def test_the_legend_begins_folded_and_stays_as_it_was_left(stage, watch):
    seen = watch(stage.start(), map=False)
    page = seen.page
    assert page.locator("#legend-list").is_hidden()
    page.click("#legend summary")
    page.locator("#legend-list").wait_for()
    # the browser says "toggle" a moment after it has unfolded it; a reload before would find nothing remembered
    page.wait_for_function("() => localStorage.getItem('birddog-open-legend') === '1'")
    page.reload()
    page.wait_for_selector('body[data-live="on"]')
    page.locator("#legend-list").wait_for()


def test_a_dark_vessel_is_found_with_its_image(stage, makers, watch):
    flag = makers["flag"](2)
    now = flag.time_ns
    # another flag of the same moment, and the contact is believed to be elsewhere by now: the flag is known by its number
    stage.publish(makers["track"](8, name="", tag_id="", identities=(), operation="open"), flag,
                  makers["flag"](3, dark=False, time_ns=now),
                  makers["alert"](2, kind="dark_vessel", severity="warning", track_id="T8", operation="open", raised_ns=now,
                                  lat_deg=flag.lat_deg + 0.001, lon_deg=flag.lon_deg, text="near no reporting track",
                                  flag_id=flag.flag_id))
    seen = watch(stage.start())
    page = seen.page
    seen.drawn(2)
    assert "2 dark" in page.locator("#flags-more summary").inner_text()
    page.click('[data-alert-id="A2"] .go')
    page.wait_for_selector('body[data-selected="T8"]')
    page.wait_for_selector("#detail-image:not([hidden])")
    page.click("#flags-more summary")
    assert page.locator("#flags-list > li").first.get_attribute("data-key") in ("F1", "F2")  # dark ones stand first
    page.wait_for_function("() => document.querySelector('#flags-list .chip')?.naturalWidth === 1")
    note = page.evaluate("""async () => (await birddog.chart.map.getSource('tracks').getData()).features
      .find(f => f.properties.id === 'T8').properties""")
    assert note["note"] == "\nDARK VESSEL" and note["dark"] is True
    seen.clean()


def test_a_flag_and_an_alert_whose_time_is_a_guess_say_so(stage, makers, watch):
    stage.publish(makers["flag"](2, dark=False, time_source="server", time_by="the file's modification time"),
                  makers["alert"](3, kind="alarm", severity="warning", track_id="", time_source="server"))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.click("#flags-more summary")
    page.wait_for_selector('#flags-list [data-flag-id="F2"]')
    assert "time is a guess" in page.locator('#flags-list [data-flag-id="F2"]').inner_text()
    page.click('#flags-list [data-flag-id="F2"]')
    page.wait_for_selector("text=not known; taken for")
    page.wait_for_selector("text=the file's modification time")
    for kind in ("flags", "alerts"):
        assert httpx.get(f"http://127.0.0.1:{stage.port}/v1/{kind}").json()[kind][0]["time_source"] == "server"
    seen.clean()


def test_refused_messages_are_seen_without_opening_anything(stage, watch):
    from opsroom.picture_store import Refused

    seen = watch(stage.start(), map=False)
    now = time.time_ns()
    stage.publish(Refused(refused_id="R1", source="mqtt", device="stranger", format="owntracks", reason="unknown_device",
                          detail="", count=4, first_ns=now, last_ns=now))
    seen.page.wait_for_selector('body[data-refused="1"]')
    words = seen.page.locator("#refused-more summary").inner_text()
    assert "4" in words and "unknown device, stranger" in words and "ago" in words
    seen.clean()


def test_a_refused_connect_stands_under_refused_messages(stage, watch):
    """It is in no journal: the page asks /healthz for it.  A client id is text of a stranger."""
    now = time.time_ns()
    stage.status["ingest"]["refused_connects"] = [
        {"source": "mqtt", "address": "10.0.0.9", "client_id": "<b>vm\u202e.bridge", "reason": "protocol level 0x84 of MQTT",
         "count": 31, "first_ns": now, "last_ns": now}]
    seen = watch(stage.start(), map=False)
    seen.page.wait_for_selector('body[data-refused="1"]')
    assert "31" in seen.page.locator("#refused-more summary").inner_text()
    seen.page.locator("#refused-more summary").click()
    words = seen.page.locator("#refused-list").inner_text()
    assert "31 ×" in words and "CONNECT refused" in words and "10.0.0.9" in words and "protocol level 0x84 of MQTT" in words
    assert "<b>vm" in words and "\u202e" not in words
    seen.clean()


def test_what_cannot_be_read_yet_is_no_error_of_the_page(stage, watch):
    """While a run starts there is no picture, and every list answers 503: the page threw once every five seconds."""
    asked = []
    seen = watch(stage.start(), map=False)
    refusal = {"status": 503, "json": {"error": "there is no picture yet"}}
    seen.page.route("**/v1/authority", lambda route: (asked.append(route), route.fulfill(**refusal)))
    for _ in range(600):
        if len(asked) >= 2:  # what the first one made of it is over
            break
        seen.page.wait_for_timeout(100)
    assert len(asked) >= 2
    assert [said for said in seen.errors if "503" not in said] == []  # the browser itself says that it was refused


def test_a_ships_name_stays_in_one_piece(stage, makers, chromium):
    """WADDENVE-ER and NOORDZAN-D beside an empty half of the row, on the usual screen of a laptop."""
    stage.publish(*(makers["track"](n, name=name, tag_id=name, klass="vessel", p_ee=5e5, p_nn=5e5)
                    for n, name in ((1, "NOORDZAND"), (2, "WADDENVEER"), (3, "TWO WORDS OF IT"))))
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    try:
        page.goto(stage.start())
        page.wait_for_selector('body[data-live="on"][data-tracks="3"]', timeout=PATIENCE_MS)
        page.wait_for_function("() => document.querySelector('[data-track-id=T2] .name')?.getClientRects()[0]?.height > 0")
        lines = page.evaluate("""() => ['T1', 'T2'].map(id => {
          const range = document.createRange();
          range.selectNodeContents(document.querySelector(`[data-track-id=${id}] .name`));
          return new Set([...range.getClientRects()].map(r => Math.round(r.top))).size;
        })""")
        assert lines == [1, 1]
    finally:
        page.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1366, 768), (1920, 1080), (390, 844)])
def test_nothing_is_cut_off_at_any_size(stage, makers, chromium, width, height):
    stage.publish(makers["track"](2, name="A very long name of a shipment that goes on and on", status="silent"),
                  *(makers["alert"](n) for n in range(2, 9)))
    stage.status["ingest"]["problem"] = "serial:gps is not connected: cannot open /dev/serial/by-id/a-long-name-of-a-receiver"
    page = chromium.new_page(viewport={"width": width, "height": height})
    try:
        page.goto(stage.start())
        page.wait_for_selector('body[data-live="on"][data-tracks="2"]', timeout=PATIENCE_MS)
        page.wait_for_selector(".feeds.bad")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        out = page.evaluate("""() => [...document.querySelectorAll('header *, .side button, .legend *')]
          .filter(e => e.checkVisibility() && !e.closest('.unseen, .skip'))
          .map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect()])
          .filter(([, r]) => r.width && (r.left < -0.5 || r.right > innerWidth + 0.5)).map(([html]) => html)""")
        assert out == []
        assert " UTC" in page.locator("#clock").inner_text()
        assert "EXERCISE" in page.locator("#exercise").inner_text()
    finally:
        page.close()
