"""Tracks leave the console in formats of other people's: over HTTP, and by a click in the page."""

from __future__ import annotations

import httpx
import pytest

from birddog.model import unpack


def test_tracks_leave_in_a_format_of_other_peoples(stage, makers):
    stage.publish(makers["track"](2))
    address = stage.start()
    one = httpx.get(f"{address}/v1/export/gpx?track=T1")
    assert one.status_code == 200 and one.headers["content-type"].startswith("application/gpx+xml")
    assert one.headers["content-disposition"] == 'attachment; filename="birddog_T1.gpx"'
    measured = one.text.count("<trkpt")
    everything = httpx.get(f"{address}/v1/export/csv?coast=1").text.splitlines()
    assert len(everything) == 1 + 11 > 1 + measured > 1
    assert httpx.get(f"{address}/v1/export/csv?operation=other").text.count("\n") == 1
    seen = [p["time"] for p in httpx.get(f"{address}/v1/tracks/T1").json()["points"]]
    part = httpx.get(f"{address}/v1/export/csv", params={"coast": "1", "from": seen[3], "to": seen[5]}).text
    assert [row.split(",")[1] for row in part.splitlines()[1:]] == seen[3:5]
    taken = [unpack(entry) for entry in stage.journal.read(0, 1000) if entry.kind == "access"]
    assert taken[0].form == "gpx" and taken[0].track == "T1" and taken[0].by == "console" and len(taken) == 4
    httpx.get(f"{address}/v1/export/gpx?track=T1&by=anna")
    assert unpack(stage.journal.tail(1)[0]).by == "anna"
    for words, status in (("shp", 404), ("..%2Fcot", 404), ("csv?track=nobody", 404), ("csv?from=noon", 422),
                          ("csv?coast=7", 422), ("csv?by=%0A", 422)):
        refused = httpx.get(f"{address}/v1/export/{words}")
        assert refused.status_code == status and refused.json()["error"], words


def test_who_is_logged_in_takes_it_whoever_is_named(make_stage, makers):
    stage = make_stage(tokens={"anna": "correct-horse-battery"})
    stage.publish(makers["track"](1))
    headers = {"authorization": "Bearer correct-horse-battery"}
    assert httpx.get(f"{stage.start()}/v1/export/csv?by=somebody", headers=headers).status_code == 200
    assert unpack(stage.journal.tail(1)[0]).by == "anna"


@pytest.mark.browser
def test_the_selected_track_leaves_as_a_file(stage, watch):
    seen = watch(stage.start())
    page = seen.page
    page.locator('button[data-track-id="T1"]').click()
    with page.expect_download() as told:
        page.locator("#detail-export").select_option("gpx")
    assert told.value.suggested_filename == "birddog_T1.gpx"
    with open(told.value.path()) as file:
        assert file.read().count("<trkpt") > 5
    assert page.locator("#detail-export").input_value() == ""
    seen.clean()
