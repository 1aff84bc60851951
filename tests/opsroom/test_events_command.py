"""`birddog events` and `birddog deconflict`: the promised forms, and files as they come from others."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from birddog.units import NS, ns_from_text
from birddog.units import iso_from_ns as iso
from opsroom import event_lines, track_file
from opsroom.cli import main
from opsroom.track_file import read_tracks
from tracking.events import tell
from tracking.events.model import Rules

HEAD = "id,t,lat,lon\n"
T0 = 1_790_000_400


def standing(name="a", n=8, first=0, step_s=600, lat=30.0):
    return [f"{name},{iso((T0 + first + k * step_s) * NS)},{lat + k % 3 * 1e-5:.6f},32.500000" for k in range(n)]


def told(tmp_path, capsys, text, *args, status=0):
    path = tmp_path / "tracks.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["events", "--tracks", str(path), *args]) == status
    out, err = capsys.readouterr()
    return [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()], err.replace(str(path), "FILE")


def test_the_promised_form(tmp_path, capsys):
    rows = standing() + standing("b", 20, lat=30.001)
    lines, err = told(tmp_path, capsys, HEAD + "\n".join(rows) + "\n")
    assert not err and [(x["kind"], x["ids"]) for x in lines] == [("stop", ["a"]), ("stop", ["b"]), ("gap", ["a"])]
    stop = lines[0]
    assert (stop["start"], stop["end"]) == (iso(T0 * NS), None)  # open at the last fix of the file
    assert stop["lat_deg"] == pytest.approx(30.0, abs=1e-4) and stop["lon_deg"] == 32.5
    assert stop["fixes"] == 8 and stop["duration_s"] == 4200 and stop["seen_until"] == iso((T0 + 4200) * NS)
    assert (
        stop["rule"] == {"radius_m": 500.0, "least_s": 3600.0, "least_fixes": 4, "hole_s": 21600.0}
        and 0 < stop["confidence"] <= 1
    )


def test_only_the_kinds_that_were_asked_for(tmp_path, capsys):
    text = HEAD + "\n".join(standing()) + "\n"
    assert {x["kind"] for x in told(tmp_path, capsys, text, "--kinds", "stop")[0]} == {"stop"}
    assert told(tmp_path, capsys, text, "--kinds", "encounter, cotravel")[0] == []
    path = tmp_path / "tracks.csv"
    assert main(["events", "--tracks", str(path), "--kinds", "stop,party"]) == 2
    assert "'party' is no kind" in capsys.readouterr().err


def feature(kind, coordinates, **said):
    return {"type": "Feature", "properties": said, "geometry": {"type": kind, "coordinates": coordinates}}


def collection(tmp_path, *features):
    path = tmp_path / "places.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}), encoding="utf-8")
    return str(path)


def passing(name, first, step_lon=0.02, n=40, lat=30.0):
    return [f"{name},{T0 + first + 300 * k},{lat},{32.0 + step_lon * k:.4f}" for k in range(n)]


RING = [[32.5, 29.0], [33.5, 29.0], [33.5, 31.0], [32.5, 31.0], [32.5, 29.0]]


def test_places_and_used_ways_are_asked_for_by_file(tmp_path, capsys):
    stops = [f"a,{T0 + 12_000 + 300 * k},30.0,32.8" for k in range(9)]
    text = HEAD + "\n".join(passing("a", 0) + stops) + "\n"
    places = collection(
        tmp_path, feature("Point", [32.8, 30.0], name="Port", radius_m=2000),
        feature("Polygon", [RING], name="Land", role="border"),
        feature("LineString", [[32.31, 29.9], [32.31, 30.1]], name="Gate"),
    )
    lines, err = told(tmp_path, capsys, text, "--places", places, "--kinds", "visit,portal,border")
    assert not err and [(x["kind"], x["place"]) for x in lines] == [("visit", "Port"), ("portal", "Gate"), ("border", "Land")]
    assert lines[0]["rule"]["stand_s"] == 1200.0 and lines[0]["end"] is None and lines[2]["entered"] is True
    past = tmp_path / "past.csv"
    others = [row for v in range(5) for row in passing(f"p{v}", -90_000 + 4000 * v)]
    past.write_text(HEAD + "\n".join(others) + "\n", encoding="utf-8")
    stops = [f"a,{T0 + 3300 + 300 * k},30.0,32.2" for k in range(9)]
    rows = [row for row in passing("a", 0, n=11)] + stops
    lines, err = told(tmp_path, capsys, HEAD + "\n".join(rows) + "\n", "--archive", str(past), "--kinds", "lane_stop")
    assert [(x["kind"], x["others_passed"], len(x["rule"]["archive_sha256"])) for x in lines] == [("lane_stop", 5, 64)]


def test_what_has_no_places_and_no_archive_says_so(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "\n".join(standing()) + "\n", encoding="utf-8")
    for kinds, words in (("visit", "visit wants --places"), ("lane_stop", "lane_stop wants --archive")):
        assert main(["events", "--tracks", str(path), "--kinds", kinds]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("bad, words", [
    (feature("Point", [32.0, 30.0]), "features[0]: properties.name"),
    (feature("Point", [32.0, 91.0], name="P"), "features[0]: geometry.coordinates: a position is"),
    (feature("Point", [32.0, 30.0], name="P", radius_m=-1), "features[0]: properties.radius_m"),
    (feature("Point", [32.0, 30.0], name="P", role="border"), "features[0]: properties.role: of a Point port"),
    (feature("LineString", [[32.0, 30.0]], name="P"), "features[0]: geometry.coordinates: a line of two"),
    (feature("Polygon", [RING[:3]], name="P"), "features[0]: coordinates[0]"),
    (feature("Polygon", [RING, RING], name="P"), "features[0]:"),
    (feature("MultiPoint", [[1, 2]], name="P"), "features[0]: geometry.type: Point, Polygon or LineString"),
    ("x", "features[0]: a GeoJSON Feature"),
])  # fmt: skip
def test_a_place_that_is_none_is_named(tmp_path, capsys, bad, words):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "\n".join(standing()) + "\n", encoding="utf-8")
    assert main(["events", "--tracks", str(path), "--places", collection(tmp_path, bad)]) == 2
    assert words in capsys.readouterr().err
    good = feature("Point", [32.0, 30.0], name="P")
    assert main(["events", "--tracks", str(path), "--places", collection(tmp_path, good, good)]) == 2
    assert "'P' is there twice" in capsys.readouterr().err


def test_bad_rows_are_named_by_line_and_field_and_the_rest_goes_on(tmp_path, capsys):
    bad = [
        "a,2026-09-21T14:00:00,30.0,32.5",
        "a,2026-09-21T14:00:00Z,nan,32.5",
        "a,2026-09-21T14:00:00Z,30.0,inf",
        "a,2026-09-21T14:00:00Z,91,32.5",
        "a,2026-09-21T14:00:00Z,30.0,180.5",
        ",2026-09-21T14:00:00Z,30.0,32.5",
        "a,yesterday,30.0,32.5",
        "a,2026-02-30T14:00:00Z,30.0,32.5",
        "a,2026-09-21T14:00:00Z,30.0",
        "a,2026-09-21T25:00:00Z,3_0,32.5",
        "a,2026-09-21T14:00:00Z,,32.5",
    ]
    rows = standing()
    lines, err = told(tmp_path, capsys, HEAD + "\n".join(rows[:4] + bad + rows[4:]) + "\n", "--kinds", "stop")
    assert len(lines) == 1 and lines[0]["fixes"] == 8
    fields = ["t", "lat", "lon", "lat", "lon", "id", "t", "t", "lon", "t", "lat"]
    assert [line.split(": ")[:2] for line in err.splitlines()] == [[f"FILE:{k}", f] for k, f in enumerate(fields, 6)]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "FILE:1: empty"),
        ("id,t,lat\na,1,2\n", "FILE:1: lon: no such column"),
        ("id,id,t,lat,lon\n", "FILE:1: id: two columns"),
        (b"id,t,lat,lon,\xff\na,1790000000,1,2,3\n", "FILE:1: not UTF-8"),
        ('"id,t,lat,lon\na,1790000000,1,2\n', "FILE:1: "),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path, capsys, text, words):
    lines, err = told(tmp_path, capsys, text, status=2)
    assert lines == [] and words in err and len(err.splitlines()) == 1


def test_nobody_in_the_file_is_no_event_and_no_fault(tmp_path, capsys):
    assert told(tmp_path, capsys, HEAD) == ([], "")
    assert main(["events", "--tracks", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_order_of_rows_and_columns_line_ends_quotes_and_zones_make_no_difference(tmp_path, capsys):
    rows = standing("a", 20) + standing("b", 20, first=120, lat=30.001)
    expected = told(tmp_path, capsys, HEAD + "\n".join(rows) + "\n")[0]
    assert {x["kind"] for x in expected} == {"stop", "encounter"}
    mixed = random.Random(1).sample(rows, len(rows))
    other = [f"{r.split(',')[3]},x,{r.split(',')[2]},{r.split(',')[0]},{r.split(',')[1]}" for r in mixed]
    east = [r.replace(r.split(",")[1], iso(ns_from_text(r.split(",")[1]) + 7200 * NS)[:-1] + "+02:00") for r in rows]
    posix = [r.replace(r.split(",")[1], repr(ns_from_text(r.split(",")[1]) / NS)) for r in rows]
    quoted = ['"' + r.replace(",", '","') + '"' for r in rows]
    for text in (
        HEAD + "\n".join(mixed),
        "lon,note,lat,id,t\n" + "\n".join(other) + "\n",
        HEAD + "\r\n".join(rows) + "\r\n",
        "\ufeff" + HEAD + "\n\n".join(rows),
        HEAD + "\n".join(east),
        HEAD + "\n".join(posix),
        HEAD + "\n".join(quoted),
    ):
        assert told(tmp_path, capsys, text) == (expected, "")


def test_one_bad_fix_two_at_once_and_a_row_twice_are_said(tmp_path, capsys):
    rows = standing("a", 20)
    lines, err = told(tmp_path, capsys, HEAD + "\n".join([*rows, f"a,{iso((T0 + 900) * NS)},0.0,0.0", rows[3]]) + "\n")
    assert [(x["kind"], x["fixes"]) for x in lines] == [("stop", 20)]
    first, second = err.splitlines()
    assert first == "FILE: 1 rows left out: the same id and time as another row, first at line 23"
    assert second.startswith("FILE:22: id a: lat, lon: 1 rows left out from here on: out and back faster than 60 m/s")
    two = rows + [f"a,{iso((T0 + 300 + k * 600) * NS)},50.0,-1.0" for k in range(0, 19)]
    lines, err = told(tmp_path, capsys, HEAD + "\n".join(two) + "\n")
    assert [(x["kind"], x["ids"], x["fixes"]) for x in lines] == [("stop", ["a"], 20), ("stop", ["a#2"], 19)]
    assert err == ("FILE: id a: 2 things report under this identity, in turn and too far apart for one; told as a (20 rows), "
                   "a#2 (19 rows)\n")  # fmt: skip
    turns = (
        rows[:4]
        + [f"a,{iso((T0 + 3000 + k * 60) * NS)},50.0,-1.0" for k in range(9)]
        + rows[6:9]
        + [f"a,{iso((T0 + 5460 + k * 60) * NS)},50.0,-1.0" for k in range(5)]
    )
    assert "told as a (7 rows), a#2 (14 rows)" in told(tmp_path, capsys, HEAD + "\n".join(turns) + "\n")[1]
    # what has that name already is nobody's second thing
    lines, _ = told(tmp_path, capsys, HEAD + "\n".join([*two, *standing("a#2", 9)]) + "\n", "--kinds", "stop")
    assert [(x["ids"], x["fixes"]) for x in lines] == [(["a"], 20), (["a#3"], 19), (["a#2"], 9)]


def numbers(rng):
    """Numbers as people and programs write them."""
    value = rng.choice([rng.uniform(-90, 90), rng.uniform(-1e-3, 1e-3), float(rng.randint(-90, 90))])
    return rng.choice(
        [
            f"{value:.6f}",
            f"{value:.7f}",
            repr(value),
            f"{value:+.2f}",
            f"{value:.1e}",
            f" {value:.3f}",
            f"{value:.0f}.",
            "nan",
            "",
            "--1",
            "1.2.3",
            "1e400",
            "٣",
            "0x1",
            "1" * 25,
            "-0.0",
            "12-3",
        ]
    )


def times(rng):
    ns = rng.randint(0, 4_000_000_000) * NS + rng.choice([0, 5 * 10**8, 123_456_789])
    text = iso(ns)
    return rng.choice(
        [
            text,
            text[:-5] + "Z",
            text[:-5] + "+00:00",
            text[:-5] + "-03:30",
            text[:-1] + "+05:45",
            str(ns // NS),
            f"{ns // NS}.25",
            text[:-1] + "123Z",
            text[:-5],
            text.replace("T", " "),
            "now",
            "",
            "1e9",
            "-5",
            "123456789012345678",
            text[:-5] + "+99:00",
            text[:17] + "60Z",
            "99999999999",
        ]
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [200, 1 << 20])
def test_the_array_reader_says_what_the_slow_one_says(tmp_path, capsys, monkeypatch, seed, block):
    rng = random.Random(seed)
    names = ["a", "b7", "MV Sea Star", "ü-boot", "x" * 17, "x" * 16, "9000", " ", "", "Ωmega"]
    rows = [f"{numbers(rng)},{rng.choice(names)},{times(rng)},{numbers(rng)}" for _ in range(400)]
    rows[7], rows[9], rows[11] = "1.0,a", "", "1.0,a,1790000000,2.0,extra"
    both_ways(rows, tmp_path / "t.csv", capsys, monkeypatch, block)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [300, 1 << 20])
def test_one_byte_amiss_in_rows_that_are_all_alike_is_what_the_slow_one_says(tmp_path, capsys, monkeypatch, seed, block):
    rng = random.Random(seed)
    rows = []
    for k in range(300):
        at = iso((T0 + rng.choice([k, rng.randint(-(10**9), 10**9)])) * NS)
        row = f"{rng.uniform(-99, 99):.{6 - seed % 7}f},v{k // 50},{at},{rng.uniform(-190, 190):.6f}"
        if k and rng.random() < 0.4:
            j = rng.randrange(len(row))
            row = row[:j] + rng.choice("/:0123456789-+. ,TZe~\x01\xc3") + row[j + rng.randint(0, 1) :]
        rows.append(row)
    both_ways(rows, tmp_path / "t.csv", capsys, monkeypatch, block)


def both_ways(rows, path, capsys, monkeypatch, block):
    """Read as arrays and one by one: the same rows, and the same is said."""
    text = "lat,id,t,lon\n" + "\n".join(rows) + "\n"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(track_file, "BLOCK", block)
    fast, fast_err = read_tracks(str(path)), capsys.readouterr().err
    path.write_text('"lat",id,t,lon\n' + "\n".join(rows) + "\n", encoding="utf-8")  # a quote: the other reader
    slow, slow_err = read_tracks(str(path)), capsys.readouterr().err
    assert fast.ids == slow.ids and len(fast.line) > 20
    for name in ("vessel", "time_ns", "lat_deg", "lon_deg", "line"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    assert sorted(fast_err.splitlines()) == sorted(slow_err.splitlines())


def test_every_plain_number_is_the_nearest_float(tmp_path):
    rng = random.Random(3)
    texts = [f"{rng.uniform(-90, 90):.{rng.randint(0, 13)}f}" for _ in range(3000)]
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "".join(f"a,{T0 + k},{x},{x}\n" for k, x in enumerate(texts)), encoding="utf-8")
    assert read_tracks(str(path)).lat_deg.tolist() == [float(x) for x in texts]


def test_the_file_of_an_ais_archive_is_read_as_it_comes(tmp_path, capsys):
    text = "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading\n" + "".join(
        f"244060123,2026-09-21T13:{m:02d}:00,50.0,-1.0,0.0,0.0,511\n" for m in range(0, 60)
    )
    text += "244060123,2026-09-21T14:10:00,50.0,-1.0,0.0,0.0,511\n"
    lines, err = told(tmp_path, capsys, text)
    assert [(x["kind"], x["ids"]) for x in lines] == [("stop", ["244060123"])] and not err


# --- deconflict -------------------------------------------------------------------------------------

PLANS = """id,agency,lat,lon,radius_m,start,end
E0,a,-17.0,179.9995,200,2026-03-28T22:00:00+00:00,2026-03-28T23:00:00+00:00
E1,b,-17.0,-179.9995,100,2026-03-29T00:30:00+02:00,2026-03-29T02:00:00+02:00
E2,a,-17.0,-179.9995,900,2026-03-28T22:00:00Z,2026-03-28T23:00:00Z
E3,b,-17.0,180.0,1,2026-03-28T23:00:00Z,2026-03-28T23:30:00Z
E4,c,-17.0,-180.0,1,2026-03-28T21:00:00Z,2026-03-28T22:00:00Z
"""


def test_conflicts_over_the_date_line_and_in_any_zone(tmp_path, capsys):
    path = tmp_path / "plans.csv"
    path.write_text(PLANS, encoding="utf-8")
    assert main(["deconflict", "--events", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "a,b,distance_m,overlap_min"
    assert [x.split(",")[:2] for x in out[1:]] == [["E0", "E1"], ["E1", "E2"]]
    # what ends when the other begins does not meet it; one agency is not in its own way
    assert float(out[1].split(",")[2]) == pytest.approx(math.radians(0.001) * 6_371_008.8 * math.cos(math.radians(17)), abs=0.1)
    assert [float(x.split(",")[3]) for x in out[1:]] == [30.0, 30.0]


def test_bad_plans_are_named_and_the_rest_goes_on(tmp_path, capsys):
    path = tmp_path / "plans.csv"
    path.write_text(
        PLANS
        + "E0,b,-17,180,1,2026-03-28T22:00:00Z,2026-03-28T23:00:00Z\n"
        "E5,b,-17,180,-1,2026-03-28T22:00:00Z,2026-03-28T23:00:00Z\n"
        "E6,b,-17,180,1,2026-03-28T22:00:00Z,2026-03-28T22:00:00Z\nE7,,-17,180,1,2026-03-28T22:00:00Z,2026-03-28T23:00:00Z\n"
        "E8,b,-17,180,1,2026-03-28T22:00:00,2026-03-28T23:00:00Z\n",
        encoding="utf-8",
    )
    assert main(["deconflict", "--events", str(path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert [line.replace(str(path), "").split(": ")[:2] for line in err.splitlines()] == [
        [":7", "id"],
        [":8", "radius_m"],
        [":9", "end"],
        [":10", "agency"],
        [":11", "start"],
    ]
    path.write_text("id,agency,lat,lon,radius_m,start,end\n", encoding="utf-8")
    assert main(["deconflict", "--events", str(path)]) == 0
    assert capsys.readouterr().out == "a,b,distance_m,overlap_min\n"


def test_events_as_columns_are_said_as_one_by_one():
    n = 6000
    rng = np.random.default_rng(1)
    first = rng.integers(-(10**18), 2 * 10**18, n)
    first[::3] -= first[::3] % 1_000_000_000
    silence = rng.integers(1, 10**17, n)
    silence[::5] -= silence[::5] % 1_000_000_000 - 5_000_000_000
    heard, known = rng.integers(-1, 12, n), rng.integers(0, 3, n)
    many = tell.gaps(
        [f"v{k}" for k in range(n)], Rules().gap, first, first + silence, rng.uniform(0, 1e14, n), known, heard,
        ended=rng.random(n) < 0.7, lat_deg=rng.uniform(-90, 90, n), lon_deg=np.round(rng.uniform(-180, 180, n), 7),
        moved_m=np.where(rng.random(n) < 0.5, rng.uniform(0, 1e7, n), rng.integers(0, 4000, n) / 8000.0),
    )  # fmt: skip
    assert "".join(event_lines.lines([many], Rules())) == "".join(event_lines.lines(many.events(), Rules()))
    one = next(many.events())
    assert one.measures["duration_s"] == int(silence[0]) / NS and one.last_ns - one.start_ns == silence[0]


def test_a_zero_with_a_minus_is_zero_however_a_row_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,t,lat,lon\na,1700000000,-0.0,-0.000\na, 1700000060,-0.0,-0.0\n\"a\",1700000120,-0,-0.0\n")
    assert not np.signbit(np.concatenate(((rows := read_tracks(str(path))).lat_deg, rows.lon_deg))).any()
    path.write_text("id,t,lat,lon\na,1700000000,-0.0,-0.000\na,1.7e9,-0.0,-0.0\n")
    assert not np.signbit(np.concatenate(((rows := read_tracks(str(path))).lat_deg, rows.lon_deg))).any()
