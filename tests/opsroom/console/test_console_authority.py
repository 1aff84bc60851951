"""Authority on the page: a warrant, what is due of it, what is still out, and how many positions were sealed."""

import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from birddog import model
from birddog.units import NS
from opsroom.picture_rows import Refused

BOX = {"type": "Polygon", "coordinates": [[[4, 51], [5, 51], [5, 52], [4, 52], [4, 51]]]}
EAST = {"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 52], [5, 51]]]}
FURTHER = {"type": "Polygon", "coordinates": [[[6, 51], [7, 51], [7, 52], [6, 52], [6, 51]]]}


def warrant(now: datetime) -> str:
    """One that ends tomorrow."""
    times = {"issued": -40, "install_by": -30, "use_from": -39, "use_until": 1}
    yesterday = (now - timedelta(days=1)).isoformat()
    route = [{"country": "DE", "area": EAST, "takes_over": "Zollfahndung", "hand_over_by": yesterday},
             {"country": "PL", "area": FURTHER}]
    said = {"id": "W7", "device": "bd-0001", "authority": "judge Roos", "jurisdiction": BOX, "route": route,
            **{name: (now + timedelta(days=days)).isoformat() for name, days in times.items()}}  # fmt: skip
    return json.dumps(said)


def test_a_warrant_what_is_due_of_it_what_is_out_and_what_was_sealed_are_on_the_page(stage, watch):
    now = datetime.now(UTC)
    acts = [model.WarrantAct(warrant="W7", action="add", by="anna", operation="nightjar", said=warrant(now)),
            model.WarrantAct(warrant="W7", action="approve", by="bea", operation="nightjar")]  # fmt: skip
    for act in acts:
        stage.entry(act, "warrant")
    stage.entry(model.Attachment(device="bd-0001", shipment="crate", operation="nightjar", from_ns=time.time_ns() - 10**12),
                "attachment")  # fmt: skip
    sealed = Refused(refused_id="R1", source="mqtt", device="bd-0001", format="owntracks", reason="sealed",
                     detail="outside_hours", count=3, first_ns=time.time_ns(), last_ns=time.time_ns(), operation="nightjar")
    stage.publish(sealed, msgspec.structs.replace(sealed, refused_id="R2", reason="opened", detail="W7 O1", count=2))
    seen = watch(stage.start())
    page = seen.page
    page.wait_for_selector("#authority-more:not([hidden])")
    page.click("#authority-more summary")
    seen.row_says("#authority-list", "3 sealed", "still out")
    rows = page.inner_text("#authority-list")
    for words in ("3 sealed", "outside hours", "2 of the sealed opened", "by W7 O1", "W7", "approved by bea", "expiry",
                  "still out", "hand over:DE", "OVERDUE since", "DE: NO CONSENT, Zollfahndung takes over by", "PL: NO CONSENT"):
        assert words in rows, (words, rows)
    seen.clean()


def test_what_a_warrant_ended_is_no_lost_thing(stage, makers, watch):
    """An auditor of the demo: after 20 min the filled circle of what nobody may follow covered the map."""
    said = json.loads(warrant(datetime.now(UTC) - timedelta(days=2)))
    del said["route"]
    for action, by, text in (("add", "anna", json.dumps(said)), ("approve", "bea", "")):
        stage.entry(model.WarrantAct(warrant="W7", action=action, by=by, operation="nightjar", said=text), "warrant")
    stage.entry(model.Attachment(device="bd-0001", shipment="crate", operation="nightjar", from_ns=time.time_ns() - 10**12),
                "attachment")  # fmt: skip
    wide = {"status": "coasting", "p_ee": 9e6, "p_en": 0.0, "p_nn": 9e6}
    gone = makers["track"](1, **wide)
    kept, guess = makers["point"](gone, 1, (gone.time_ns - gone.updated_ns) / NS), makers["point"](gone, 2, 1.0, "coast")
    stage.publish(gone, kept, guess, makers["track"](2, operation="open", **wide))
    address = stage.start()
    rows = {row["track_id"]: row for row in httpx.get(f"{address}/v1/tracks").json()["tracks"]}
    assert rows["T2"]["kept"] is None and rows["T1"]["lat_deg"] == round(gone.lat_deg, 7), "the row is the fold's"
    assert rows["T1"]["kept"]["lat_deg"] == round(kept.lat_deg, 7) and rows["T1"]["kept"]["time"] == rows["T1"]["last_fix"]
    assert rows["T1"]["kept"]["ellipse95"]["major_m"] < 100.0 < rows["T1"]["ellipse95"]["major_m"]
    seen = watch(address)
    seen.drawn(2)
    seen.row_says('[data-track-id="T1"]', "warrant expired")
    seen.row_says('[data-track-id="T2"]', "coasting")
    at = seen.page.locator('[data-track-id="T1"]').first
    assert float(at.get_attribute("data-lat")) == round(kept.lat_deg, 7), "where it was measured last, and not where it may be"
    shown = seen.page.evaluate("""async () => {
      const m = await birddog.chart.ready;
      if (!m.loaded()) await new Promise(r => m.once('idle', r));
      const of = layer => [...new Set(m.queryRenderedFeatures({ layers: [layer] }).map(f => f.properties.id))].sort();
      return [of('ellipses'), of('ellipses-line'), of('tracks')];
    }""")
    assert shown == [["T2"], ["T1", "T2"], ["T1", "T2"]]
    seen.clean()
