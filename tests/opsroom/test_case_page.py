"""``case.html`` of a bundle: what a person reads, on a screen and on paper."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path

import pytest

from birddog.model import Attachment, Custody, Device, Fix, FrameBody, Operation, Tick, Verdict, WarrantAct, pack
from birddog.record import Salter, fields_of, statement_of
from birddog.units import NS
from opsroom.case_map import Shown, drawn
from opsroom.case_page import case_html
from opsroom.disclosed import Record

T0 = 1_790_000_000 * NS
CHROMIUM = Path("/usr/bin/chromium")
LONG = "x" * 180


def record(seq: int, kind: str, body, *, operation: str = "NIGHTJAR", hidden: tuple[str, ...] = ()) -> Record:
    fields = fields_of(pack(body), b"%d" % seq, "t", "")
    statement = statement_of(seq, kind, T0 + seq * NS, operation, "", fields, Salter(b"k" * 32))
    shown = [(name, bytes(32)) if name in hidden else (name, bytes(16), value)
             for name, value in zip(fields.names, fields.values, strict=True)]
    return Record(seq, statement, shown)


def frame(k: int, device: str, lat_deg: float, lon_deg: float) -> FrameBody:
    fix = Fix(device=device, time_ns=T0 + k * NS, lat_deg=lat_deg, lon_deg=lon_deg, speed_mps=13.88, attributes={"batt": 71})
    return FrameBody(format="owntracks", version=3, payload=b"secret %d" % k, device=device, channel="c", session="s",
                     verdicts=(Verdict("NIGHTJAR", "van", "own_sensor"),), observations=(fix,))


def case() -> list[Record]:
    rows = [("operation", Operation(operation="NIGHTJAR", name="Container & <b>")),
            ("device", Device(device="862123456789012", basis="warrant", model="FMB920")),
            ("attachment", Attachment(device="862123456789012", shipment="van", operation="NIGHTJAR", from_ns=0)),
            ("warrant", WarrantAct(warrant="W-1", action="revoke", by="bea", operation="NIGHTJAR", at_ns=T0, note=LONG)),
            ("custody", Custody(item="tag-7", action="seize", by="noor", operation="NIGHTJAR", at_ns=T0, place="quay 4",
                                sha256="ab" * 32, note="bag " * 30)),
            ("tick", Tick())]
    out = [record(n, kind, body) for n, (kind, body) in enumerate(rows, 1)]
    for k in range(40):
        for device, off in (("862123456789012", 0.0), ("phone-a", 0.02)):
            out.append(record(len(out) + 1, "frame", frame(k, device, 51.9 + off + k * 1e-3, 4.0 + k * 2e-3)))
    return out


def test_times_are_times_what_is_empty_is_left_out_and_what_is_withheld_is_said():
    page = case_html([*case(), record(900, "frame", frame(3, "phone-b", 52.0, 4.0), hidden=("device", "observations.0.device",
                                                                                            "@source", "payload"))],
                     "NIGHTJAR").decode()
    assert not re.search(r"\d{16,}", re.sub(r"862123456789012", "", page))  # nanoseconds, for a person
    assert "_ns" not in page and "{'" not in page and "[['" not in page
    assert "; from the beginning" in page and "speed 13.88 m/s" in page and "lat 51.9°" in page and "(batt 71)" in page
    assert "withheld: source, device" in page and "a device that is withheld" in page and "secret" not in page
    assert "<h1>Case NIGHTJAR: Container &amp; &lt;b&gt;</h1>" in page and "<b>" not in page
    assert "1 records that say only that time went on are not listed." in page
    heads = re.findall(r"<h2>Warrants</h2><table><thead><tr>(.*?)</thead>", page)
    assert [re.sub("<th[^>]*>", " ", head).split() for head in heads] == ["record received warrant action by at note".split()]


def test_a_case_of_which_nothing_is_shown_has_no_empty_table():
    page = case_html([], "A").decode()
    assert "<table" not in page and "No position is shown." in page and "No record is listed." in page
    assert "No device is attached to the case in what is shown." in page


def test_what_is_cut_is_said(monkeypatch):
    monkeypatch.setattr("opsroom.case_page._MOST_ROWS", 10)
    assert "75 later records are not listed here: they are in records.jsonl." in case_html(case(), "NIGHTJAR").decode()


@pytest.mark.parametrize("places", [
    [(51.9, 4.0)], [(51.9, 4.0), (51.9, 4.0)], [(60.0, 179.9), (60.1, -179.9)], [(-17.0, -179.99), (-17.2, 179.5)],
    [(89.99, 0.0), (89.99, 170.0)], [(-89.9, -120.0), (-90.0, 60.0)], [(0.0, -170.0), (0.0, 5.0), (0.0, 170.0)],
    [(10.0, 0.0), (-70.0, 0.001)],
])  # fmt: skip
def test_the_map_holds_every_place_of_the_earth(places):
    shown = Shown()
    for n, (lat, lon) in enumerate(places):
        shown.add(lat, lon, T0 + n)
    page = drawn({"d": shown})
    [line] = re.findall(r"points='([^']*)'", page)
    points = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert all(0.0 <= x <= 1000.0 and 0.0 <= y <= 620.0 and math.isfinite(x + y) for x, y in points)
    assert len(points) >= 2 and 1 <= page.count("text-anchor=middle") <= 40 and "nan" not in page
    if places[0] == (60.0, 179.9):  # over the date line it goes on: 0.2° of longitude, not 359.8
        assert "180.0° W" in page and "179.9° E" in page and "179.9° W" in page


def test_each_device_has_its_line_and_many_points_are_fewer():
    shown = {}
    for name in "abcdefghij":
        shown[name] = Shown()
        for k in range(9001):
            shown[name].add(51.0 + k * 1e-5, 4.0, T0 + k)
    page = drawn(shown)
    assert page.count("<polyline") == 10 and len(set(re.findall(r"<polyline[^>]*?stroke='([^']*)'[^>]*?points", page))) == 7
    assert len(re.findall(r"stroke-dasharray='7 4' points", page)) == 3
    assert all(len(line.split()) <= 4001 for line in re.findall(r"points='([^']*)'", page))
    assert page.count("<td class=n>9001") == 10


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists() or importlib.util.find_spec("playwright") is None, reason="needs Chromium")
def test_nothing_runs_off_a_screen_or_a_page(tmp_path):
    from playwright.sync_api import sync_playwright

    (tmp_path / "case.html").write_bytes(case_html(case(), "NIGHTJAR"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto((tmp_path / "case.html").as_uri())
        wide = "document.documentElement.scrollWidth"
        assert page.evaluate(wide) <= 1366
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 1031, "height": 703})  # A4 across less 12 mm at each edge, at 96 points an inch
        assert page.evaluate(wide) <= 1031
        browser.close()
