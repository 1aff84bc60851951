"""Every export must pass this one suite; an export joins by adding a reader: how somebody else's program reads its points.

The readers here are the standard library's or written from the format's standard, never our own encoder's twin.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from birddog.errors import UsageError
from birddog.model import Track, TrackPoint
from birddog.units import iso_from_ns
from opsroom import exports
from opsroom.epcis_rules import first
from opsroom.picture_store import PictureReader, PictureWriter
from opsroom.picture_view import Rights

T0 = 1_790_000_000 * 1_000_000_000
IMEI, EPC = "356307042441013", "urn:epc:id:sgtin:0614141.107346.2017"


def _track(track_id: str, operation: str, **more) -> Track:
    fields = dict(
        track_id=track_id, operation=operation, status="confirmed", time_ns=T0, lat_deg=51.0, lon_deg=4.0, ve_mps=3.0,
        vn_mps=4.0,
        p_ee=9.0, p_en=1.0, p_nn=4.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0, updated_ns=T0, contact_ns=T0, first_ns=T0, hits=1,
    )  # fmt: skip
    return Track(**(fields | more))


def _point(name: str, k: int, lat: float, lon: float, **more) -> TrackPoint:
    fields = dict(track_id=name, seq=k, time_ns=T0 + k * 1_500_000_000, lat_deg=lat, lon_deg=lon, ve_mps=3.0, vn_mps=-4.0,
                  p_ee=9.0, p_en=1.0, p_nn=4.0, origin="fix", device=IMEI)
    return TrackPoint(**(fields | more))


#: A name that breaks whoever does not escape; the date line and the equator; a tag; predictions; a point believed anew.
TRACKS = [
    _track("T2", "NIGHTJAR", name='crate <7> & "co"', tag_id=IMEI, identities=(IMEI, EPC), klass="parcel"),
    _track("T10", "open", name="=HYPERLINK(1)", klass="vessel", first_ns=T0 + 1),
    _track("T11", "open", name="\x01bell", first_ns=T0 + 2),
    _track("T12", "open", first_ns=T0 + 3, klass="aircraft"),  # no point of its own yet
]
POINTS = [
    _point("T2", 0, 51.94798714, 4.14001294), _point("T2", 1, 51.9999999999, 4.1), _point("T2", 2, 52.0, 4.0, origin="coast"),
    _point("T2", 3, 52.1, 4.0), _point("T2", 4, 52.2, 4.0, time_ns=T0 + 4_500_000_000, seq=9),  # of the third's time, later
    _point("T10", 0, -0.0000001, 179.9999999), _point("T10", 1, -33.85231, -179.99999996),
    _point("T11", 0, 0.5, -0.00000001),
]
WANTED = [("T2", 0, 51.9479871, 4.1400129), ("T2", 1500, 52.0, 4.1), ("T2", 4500, 52.2, 4.0), ("T10", 0, -1e-7, 179.9999999),
          ("T10", 1500, -33.85231, -180.0), ("T11", 0, 0.5, 0.0)]


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "p"
    store = PictureWriter(path)
    store.begin()
    for track in TRACKS:
        store.put("track", track.track_id, 1, track)
    for point in POINTS:
        store.put_point(point)
    store.commit(1)
    store.close()
    reader = PictureReader(path)
    yield reader
    reader.close()


def sheet(view, **asked) -> exports.Sheet:
    return exports.Sheet(view, "0a1b2c", made_ns=T0, **({"exercise": False} | asked))


def text_of(name: str, sheet: exports.Sheet) -> str:
    return "".join(exports.load(name).encode(sheet))


def _ms(text: str) -> int:
    return round((datetime.fromisoformat(text) - datetime.fromtimestamp(T0 / 1e9, UTC)).total_seconds() * 1000)


def _geojson(text):
    for f in json.loads(text)["features"]:
        lon, lat = f["geometry"]["coordinates"]
        yield f["properties"]["track_id"], _ms(f["properties"]["time"]), lat, lon


def _csv(text):
    for row in csv.DictReader(io.StringIO(text, newline="")):
        yield row["track_id"], _ms(row["time"]), float(row["lat_deg"]), float(row["lon_deg"])


def _gpx(text):
    ns = {"g": "http://www.topografix.com/GPX/1/1"}
    for trk in ET.fromstring(text).findall("g:trk", ns):
        for p in trk.findall("g:trkseg/g:trkpt", ns):
            yield trk.find("g:src", ns).text, _ms(p.find("g:time", ns).text), float(p.get("lat")), float(p.get("lon"))


def _kml(text):
    k, gx = "{http://www.opengis.net/kml/2.2}", "{http://www.google.com/kml/ext/2.2}"
    for mark in ET.fromstring(text).iter(k + "Placemark"):
        whens, coords = [w.text for w in mark.iter(k + "when")], [c.text for c in mark.iter(gx + "coord")]
        assert len(whens) == len(coords)
        for when, coord in zip(whens, coords, strict=True):
            lon, lat, _ = map(float, coord.split())
            yield mark.get("id"), _ms(when), lat, lon


def _nmea(text):
    names = iter([w[0] for w in WANTED])
    assert re.fullmatch(r"([^\r\n]*\r\n)*", text)
    for line in text.splitlines():
        assert len(line) + 2 <= 82
        body, check = line[1:].split("*")
        value = 0
        for c in body:
            value ^= ord(c)
        assert f"{value:02X}" == check
        f = body.split(",")
        assert (f[0], f[2], f[12]) == ("GPRMC", "A", "A")
        when = datetime.strptime(f[9] + f[1] + "+0000", "%d%m%y%H%M%S.%f%z").isoformat()
        lat = (int(f[3][:2]) + float(f[3][2:]) / 60) * (1 if f[4] == "N" else -1)
        lon = (int(f[5][:3]) + float(f[5][3:]) / 60) * (1 if f[6] == "E" else -1)
        assert float(f[3][2:]) < 60 and float(f[5][3:]) < 60
        yield next(names), _ms(when), lat, lon


def _cot(text):
    for e in ET.fromstring(text).iter("event"):
        point = e.find("point")
        assert e.get("version") == "2.0" and e.get("how") == "m-f" and re.match(r"a-[a-z]-[GSA]", e.get("type"))
        assert e.get("start") == e.get("time") < e.get("stale") and all(
            e.get(k).endswith("Z") for k in ("time", "start", "stale"))
        assert float(point.get("ce")) > 0 and point.get("hae") == point.get("le") == "9999999.0"
        assert all(re.fullmatch(r"-?\d+\.\d{7}", point.get(k)) for k in ("lat", "lon"))
        yield e.get("uid").split(".")[-1], _ms(e.get("time")), float(point.get("lat")), float(point.get("lon"))


def _epcis(text):
    document = json.loads(text)
    assert first(document) == []
    for e in document["epcisBody"]["eventList"]:
        lat, lon = e["readPoint"]["id"].removeprefix("geo:").split(";")[0].split(",")
        yield e["birddog:track"], _ms(e["eventTime"]), float(lat), float(lon)


def _mf_json(text):
    for f in json.loads(text)["features"]:
        where = f["temporalGeometry"]
        assert where["datetimes"] == sorted(set(where["datetimes"])) and len(where["datetimes"]) == len(where["coordinates"])
        for when, (lon, lat) in zip(where["datetimes"], where["coordinates"], strict=True):
            yield f["properties"]["track_id"], _ms(when), lat, lon


READERS = {"geojson": _geojson, "csv": _csv, "gpx": _gpx, "kml": _kml, "nmea": _nmea, "cot": _cot, "epcis": _epcis,
           "mf-json": _mf_json}


def test_every_export_has_a_reader_here():
    assert exports.names() == sorted(READERS)


@pytest.mark.parametrize("name", exports.names())
def test_the_same_points_in_every_format(view, name):
    found = list(READERS[name](text_of(name, sheet(view))))
    assert [(track, ms) for track, ms, *_ in found] == [(track, ms) for track, ms, *_ in WANTED]
    for (_, _, lat, lon), (_, _, want_lat, want_lon) in zip(found, WANTED, strict=True):
        assert lat == pytest.approx(want_lat, abs=2e-8) and lon == pytest.approx(want_lon, abs=2e-8)


@pytest.mark.parametrize("name", exports.names())
def test_a_part_of_it(view, name):
    export = exports.load(name)
    assert export.MEDIA_TYPE and export.EXTENSION and not export.EXTENSION.startswith(".")
    public = text_of(name, sheet(view, operation="open"))
    assert "52.2" not in public and "5212" not in public
    part = text_of(name, sheet(view, track_id="T2", from_ns=T0 + 1, to_ns=T0 + 4_500_000_000))
    assert len(part) < len(text_of(name, sheet(view)))
    nothing = text_of(name, sheet(view.view(Rights(frozenset({"OTHER"})))))
    assert "T2" not in nothing and "T10" not in nothing
    if name != "nmea":
        assert list(READERS[name](nothing)) == []
        assert [ms for _, ms, *_ in READERS[name](part)] == [1500]
        assert len(list(READERS[name](text_of(name, sheet(view, coast=True))))) == len(WANTED) + 1


def test_a_partner_is_told_no_case_and_no_device(view):
    said = text_of("cot", sheet(view, exercise=True))
    assert "NIGHTJAR" not in said and IMEI not in said and EPC not in said and 'opex="e-EXERCISE"' in said


@pytest.mark.parametrize("name,alias", [
    ("NIGHTJAR crate", "T1"), ("nightjar", "T1"), (IMEI, "T1"), ("phone 4917012345678", "T1"), ("441013", "T1"),
    ("crate 7", "crate 7"), ("", "T1"),
])  # fmt: skip
def test_an_alias_names_neither(name, alias):
    assert exports.alias_of(_track("T1", "NIGHTJAR", name=name, tag_id=IMEI, identities=(IMEI,))) == alias


def test_a_spreadsheet_runs_nothing(view):
    assert "'=HYPERLINK(1)" in text_of("csv", sheet(view))


def test_a_prediction_says_so_in_nmea(view):
    modes = [line.split(",")[12][0] for line in text_of("nmea", sheet(view, track_id="T2", coast=True)).splitlines()]
    assert modes == ["A", "A", "E", "A"]


def test_what_there_is_not(view):
    with pytest.raises(UsageError, match="wants one of cot, csv"):
        exports.load("shapefile")
    with pytest.raises(UsageError):
        exports.load("../cot")


def test_an_export_is_the_same_twice(view):
    for name in exports.names():
        assert text_of(name, sheet(view)) == text_of(name, sheet(view))
    assert iso_from_ns(T0) in text_of("epcis", sheet(view))
