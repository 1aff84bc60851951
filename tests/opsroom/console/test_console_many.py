"""Thousands of tracks and alerts, a small screen, the first view: what a person on watch must still be able to use."""

from __future__ import annotations

import time

import pytest

from birddog.model import Member
from birddog.units import iso_from_ns

pytestmark = pytest.mark.browser
PATIENCE_MS = 60_000


def test_many_alerts_of_one_kind_are_one_row_that_is_acknowledged_at_once(stage, makers, watch):
    """A link that was down raised 5,001 of them; one a second by key is 83 minutes."""
    now = time.time_ns()
    silent = {"kind": "silent", "severity": "warning"}
    stage.publish(*(makers["alert"](n, **silent, track_id=f"T{n}", raised_ns=now - n) for n in range(2, 42)))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('#alarm-count[data-open="41"]')
    rows = page.locator("#alerts-list > li")
    assert rows.count() == 2 and "S-1 parted" in rows.nth(0).inner_text()  # the gravest first, and not in a group
    assert "40 × silent" in rows.nth(1).inner_text() and "and 37 more" in rows.nth(1).inner_text()
    page.click('[data-group="silent"] .go')
    assert rows.count() == 42
    page.click('[data-group="silent"] .go')
    page.focus('[data-group="silent"] .go')
    page.keyboard.press("a")
    page.wait_for_selector("#who[open]")  # also where the name is known: so many are not acknowledged by one key
    assert "all 40 alerts" in page.locator("#who-what").inner_text()
    page.fill("#who-name", "anna")
    page.keyboard.press("Enter")
    page.wait_for_selector('#alarm-count[data-open="1"]')
    assert len(stage.decisions) == 40 and {d.by for d in stage.decisions} == {"anna"}
    assert "A1" not in {d.subject for d in stage.decisions}
    seen.clean()


def test_what_fell_silent_together_is_one_alert_that_names_each(stage, makers, watch):
    """A gateway's power fails: one thing to decide, and each of its devices is marked and found."""
    now = time.time_ns()
    ended = {5: now - 10**9}
    members = tuple(Member(f"E{n}", f"T{n}", f"bd-{n:04d}", now - 60 * 10**9, ended.get(n)) for n in range(2, 6))
    stage.publish(
        *(makers["track"](n, operation="open") for n in range(2, 6)),
        makers["alert"](2, kind="silent", severity="warning", operation="open", track_id="T2", device="d2", members=members,
                        text="4 devices fell silent together: bd-0002, bd-0003, bd-0004, bd-0005; 1 heard again"),
    )  # fmt: skip
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('[data-alert-id="A2"][data-state="open"]')
    assert "4 devices silent together" in page.locator('[data-alert-id="A2"]').inner_text()
    page.click('[data-alert-id="A2"] .go')
    said = page.locator("#detail").inner_text()
    assert "4 devices · silent together" in said
    yet, again = said.rsplit("heard again", 1)
    assert all(f"S-{n}" in yet for n in (2, 3, 4)) and "S-5" in again
    told = page.evaluate("async () => (await (await fetch('/v1/alerts')).json()).alerts.find((a) => a.alert_id === 'A2')")
    assert [m["device"] for m in told["members"] if m["ended"] is None] == ["bd-0002", "bd-0003", "bd-0004"]
    marked = page.locator('#tracks-list [data-track-id="T4"]').inner_text(), page.locator('[data-track-id="T5"]').inner_text()
    assert "silent" in marked[0] and "silent" not in marked[1]
    seen.clean()


def test_how_many_more_stands_below_the_list(stage, makers, watch):
    stage.publish(*(makers["alert"](n, kind=f"kind_{n}") for n in range(2, 72)))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('#alarm-count[data-open="71"]')
    assert page.locator("#alerts-more").inner_text() == "and 11 more"
    assert page.locator("#alerts-none").is_hidden()
    assert page.locator("#alerts-more").bounding_box()["y"] > page.locator("#alerts-list").bounding_box()["y"]
    seen.clean()


def test_an_acknowledgement_among_thousands_of_alerts_does_not_throw(stage, makers, watch):
    """The row that was acknowledged is let go of in the same frame (store.trim), and the page asked for it."""
    stage.publish(*(makers["alert"](n, kind="silent", severity="warning") for n in range(2, 4101)))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('#alarm-count[data-open="4100"]')
    seen.on_watch("anna")
    page.click('[data-acknowledge="A1"]')
    page.wait_for_selector('#alarm-count[data-open="4099"]')
    seen.clean()


def test_a_search_among_5000_tracks_is_quick(stage, makers, watch):
    """Nine letters took 7.7 to 26 s: every row was in the page, and all of them were put in order for each letter."""
    stage.publish(*(makers["track"](n) for n in range(2, 5001)))
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('body[data-tracks="5000"]')
    assert page.locator("#tracks-list > li").count() == 200
    assert page.locator("#tracks-more").inner_text() == "and 4800 more; search to see them"
    # what a letter may cost: no look at the order of all, and no more rows than are shown
    sorts, drawn = page.evaluate("""() => {
      const field = document.getElementById('search'), sort = Array.prototype.sort;
      const observer = new MutationObserver(() => {});
      observer.observe(document.getElementById('tracks-list'), { childList: true });
      let sorts = 0;
      Array.prototype.sort = function (...how) { sorts += this.length > 1000; return sort.apply(this, how); };
      for (const letter of 'bd-4999') {
        field.value += letter;
        field.dispatchEvent(new Event('input'));
      }
      Array.prototype.sort = sort;
      return [sorts, observer.takeRecords().reduce((sum, r) => sum + r.addedNodes.length + r.removedNodes.length, 0)];
    }""")
    assert sorts == 0 and drawn <= 7 * 2 * 200, (sorts, drawn)
    assert page.get_attribute("body", "data-tracks") == "1"
    # a row is laid out in the frame after the one in which it came into sight (content-visibility)
    page.wait_for_function("() => document.querySelector('#tracks-list > li').innerText.startsWith('S-4999')")
    # a track beyond the first rows has its row when it is selected
    page.click("#tracks-list > li > button")
    page.fill("#search", "")
    page.wait_for_selector('body[data-tracks="5000"] #tracks-list > li:nth-child(201) > button[aria-pressed="true"]')
    seen.clean()


def test_the_first_view_holds_every_track_alert_and_dark_flag(stage, makers, watch):
    """Also on both sides of the date line, and an alert about no track."""
    stage.publish(makers["track"](1, lat_deg=-17.0, lon_deg=179.0), makers["track"](2, lat_deg=-18.5, lon_deg=-178.0),
                  makers["alert"](1, track_id="", lat_deg=-20.0, lon_deg=-175.5),
                  makers["flag"](1, lat_deg=-15.0, lon_deg=177.0))
    seen = watch(stage.start())
    seen.drawn(2)
    inside, zoom = seen.page.evaluate("""() => {
      const m = birddog.chart.map;
      const box = m.getCanvas().getBoundingClientRect();
      const at = [[179, -17], [-178, -18.5], [-175.5, -20], [177, -15]];
      const near = (lon) => lon + 360 * Math.round((m.getCenter().lng - lon) / 360);
      const inside = (p) => p.x > 0 && p.y > 0 && p.x < box.width && p.y < box.height;
      return [at.every(([lon, lat]) => inside(m.project([near(lon), lat]))), m.getZoom()];
    }""")
    assert inside and zoom > 4, zoom
    seen.clean()


def test_on_a_phone_the_map_stays_in_reach_of_a_long_list(stage, makers, chromium):
    stage.publish(*(makers["track"](n) for n in range(2, 300)), *(makers["alert"](n) for n in range(2, 9)))
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    try:
        page.goto(stage.start())
        page.wait_for_selector('body[data-live="on"][data-tracks="299"]', timeout=PATIENCE_MS)
        page.evaluate("() => { document.body.scrollTop = 5000; document.documentElement.scrollTop = 5000; }")
        box = page.locator("#map").bounding_box()
        assert 0 <= box["y"] < 100 and 250 < box["height"] < 450
        assert page.locator("#tracks-list > li").nth(60).bounding_box()["y"] < 844  # and it did scroll
    finally:
        page.close()


def test_no_word_of_an_alert_lies_under_its_button(stage, makers, watch):
    """At 3 a.m. "4 min ago · tag parted" with half of it behind Acknowledge."""
    stage.publish(makers["alert"](2, text="tag parted from its track: read by portal-shed, 1022 m from it, again"))
    seen = watch(stage.start(), map=False)
    seen.page.set_viewport_size({"width": 1440, "height": 3000})  # a list that does not scroll is the wider by its bar
    seen.page.wait_for_selector('[data-alert-id="A2"][data-state="open"]')
    under = seen.page.evaluate("""() => Array.from({ length: 24 }, (_, k) => k).flatMap(k => {
      const li = document.querySelector('#alerts-list > li'), b = li.querySelector('.ack').getBoundingClientRect();
      // a word that ends just before the button, and one that ends just behind its edge
      li.querySelector('.what').textContent = k ? 's'.repeat(k) + ' · door opened' : li.querySelector('.what').textContent;
      return [...li.querySelectorAll('.go > span')].flatMap(span => {
        const range = document.createRange();
        range.selectNodeContents(span);
        return [...range.getClientRects()].filter(r => r.width && r.right > b.left && r.left < b.right
          && r.bottom > b.top && r.top < b.bottom).map(() => k + ' ' + span.className);
      });
    })""")
    assert under == []


KINDS = ("jumped", "drift", "contradicted", "impossible_speed", "replayed", "clock", "low_battery", "jamming", "frozen",
         "silent")  # fmt: skip


def test_many_open_alerts_are_drawn_closer_and_what_is_torn_stands_before_what_was_never_heard(stage, makers, watch):
    """At 1400 x 900 two and a half of 26 open alerts were seen, and three rows of nothing but "never heard" were the list of
    tracks, the critical one below them."""
    text = "where it is shown may be wrong: 3 of its last 5 fixes do not fit it, and nothing that carries it is as fast as that"
    rows = [(makers["track"](n), makers["alert"](n, kind=kind, severity="warning", text=text, track_id=f"T{n}"))
            for n, kind in enumerate(KINDS, 2)]  # fmt: skip
    stage.publish(*(one for row in rows for one in row))
    seen = watch(stage.start(), map=False)
    page = seen.page
    since = iso_from_ns(time.time_ns())
    unheard = [{"device": f"nv{n}", "shipment": f"NEVER {n}", "name": "", "class": "lorry", "operation": "open",
                "attached": since, "never_heard": True, "expected_s": 5.0, "not_admitted": ""} for n in range(3)]  # fmt: skip
    page.route("**/v1/devices?waiting=1", lambda route: route.fulfill(json={"devices": unheard}))
    page.set_viewport_size({"width": 1400, "height": 900})
    page.reload()
    page.wait_for_selector('body[data-unheard="3"] #alarm-count[data-open="11"]')
    page.wait_for_selector('[data-alert-id="A11"]')
    whole, under = page.evaluate("""() => {
      const list = document.getElementById('alerts-list').getBoundingClientRect();
      const rows = [...document.querySelectorAll('#alerts-list > li')];
      const under = rows.flatMap(li => [...li.querySelectorAll('.go > span:not(.severity)')].flatMap(span => {
        const range = document.createRange(), b = li.querySelector('.ack').getBoundingClientRect();
        range.selectNodeContents(span);
        return [...range.getClientRects()].filter(r => r.right > b.left && r.top < b.bottom && r.bottom > b.top);
      }));
      return [rows.filter(li => li.getBoundingClientRect().bottom <= list.bottom + 1).length, under.length];
    }""")
    assert whole >= 4 and under == 0
    first = page.locator('[data-alert-id="A2"]')
    assert "…" in first.inner_text() and first.locator(".text").get_attribute("title") == text
    names = page.evaluate("() => [...document.querySelectorAll('#tracks-list .name')].map((name) => name.textContent)")
    assert names[:2] == ["S-1", "S-4"], "which of two places they are at"
    assert names[2:5] == ["NEVER 0", "NEVER 1", "NEVER 2"] and names[5] == "S-2"
    seen.clean()


def test_thousands_that_were_heard_at_once_are_lost_at_once_by_the_clock_of_a_frame(stage, makers, watch):
    """Nobody hears the receiver any more: 2,000 vessels coast, are lost and are gone, and no row of one is sent again."""
    now, s = time.time_ns(), 1_000_000_000
    lapses_ns = (now + 300 * s, now + 1_200 * s, now + 86_400 * s)
    stage.publish(*(makers["track"](n, operation="open", lapses_ns=lapses_ns) for n in range(2, 2_002)), now_ns=now)
    seen = watch(stage.start(), map=False)
    page = seen.page
    page.wait_for_selector('body[data-tracks="2001"]')
    page.evaluate("""() => {
      const { store } = birddog, apply = store.apply;
      globalThis.rows = 0;
      store.apply = (frame) => { globalThis.rows += (frame.tracks ?? []).length; return apply.call(store, frame); };
    }""")
    counted = """status => [...birddog.store.tracks.values()].filter(t => t.status === status).length"""
    for second, status in ((301, "coasting"), (1_201, "silent")):
        stage.publish(now_ns=now + second * s)
        page.wait_for_function(f"() => ({counted})('{status}') === 2000")
        assert page.locator(f'#tracks-list .row[data-status="{status}"]').count() >= 199
    stage.publish(now_ns=now + 86_401 * s)
    page.wait_for_selector('body[data-tracks="1"]')
    assert page.evaluate("() => globalThis.rows") == 0
    seen.clean()
