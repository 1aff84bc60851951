"""`birddog archive`, `forecast`, `eta`: the promised forms, and a clear line for what is wrong."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from birddog.units import NS, iso_from_ns
from opsroom.cli import main

BEGIN_S = 1_780_000_000.0
HEAD = "id,t0,horizon_min,lat_deg,lon_deg,r50_m,r90_m,area90_km2"


def leg(begin_s: float, speed_mps: float, n: int = 24, every_s: float = 300.0) -> list[tuple[float, float, float]]:
    """East along 30 N from 32 E for half the time, then north."""
    out = []
    for k in range(n):
        s = speed_mps * every_s * k
        out.append((begin_s + every_s * k, 30.0 + max(s - 20_000.0, 0.0) / 111_195.0, 32.0 + min(s, 20_000.0) / 96_300.0))
    return out


def write(path, tracks: dict, stamp=lambda t: iso_from_ns(round(t * NS)), more: str = ""):
    rows = "".join(f"{i},{stamp(t)},{la:.6f},{lo:.6f}\n" for i, v in tracks.items() for t, la, lo in v)
    path.write_text("id,t,lat,lon\n" + rows + more, encoding="utf-8")
    return path


def fleet(n: int = 16) -> dict:
    rng = np.random.default_rng(4)
    return {f"v{k}": leg(BEGIN_S + 3600.0 * k, float(rng.uniform(5.0, 7.0))) for k in range(n)}


QUESTION_S = BEGIN_S + 20 * 86_400.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    write(folder / "archive.csv", fleet())
    write(folder / "tracks.csv", {"a": leg(QUESTION_S, 6.0), "b": [(QUESTION_S + 300.0 * k, 30.0, 32.0) for k in range(8)]})
    return folder


def ask(folder, rows: list[str], *more, archive="archive.csv", tracks="tracks.csv", command="forecast",
        head="id,t0,horizon_min") -> int:
    (folder / "at.csv").write_text(head + "\n" + "".join(row + "\n" for row in rows), encoding="utf-8")
    return main([command, "--archive", str(folder / archive), "--tracks", str(folder / tracks), "--at", str(folder / "at.csv"),
                 *map(str, more)])


def at(seconds: float) -> str:
    return iso_from_ns(round((QUESTION_S + seconds) * NS))


def test_one_row_a_question_in_order_with_regions_and_a_report(files, tmp_path, capsys):
    regions, report = tmp_path / "regions.geojson", tmp_path / "report.html"
    rows = [f"a,{at(1800)},30", f"b,{at(2100)},30", f"a,{at(1800)},60"]
    assert ask(files, rows, "--regions", regions, "--report", report) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == HEAD and [line.split(",")[:3] for line in lines[1:]] == [row.split(",") for row in rows] and not err
    values = [list(map(float, line.split(",")[3:])) for line in lines[1:]]
    assert values[0][0] == pytest.approx(30.0 + (6.0 * 3600.0 - 20_000.0) / 111_195.0, abs=0.02)
    assert values[1][:2] == [30.0, 32.0]
    for _, _, r50, r90, area in values:
        assert 0.0 < r50 <= r90 and 0.0 < area <= math.pi * (r90 / 1000.0) ** 2 * 1.05
    said = json.loads(regions.read_text())
    assert [(f["properties"]["id"], f["properties"]["horizon_min"], f["properties"]["level"]) for f in said["features"]] == [
        ("a", 30.0, 0.5), ("a", 30.0, 0.9), ("b", 30.0, 0.5), ("b", 30.0, 0.9), ("a", 60.0, 0.5), ("a", 60.0, 0.9)]
    for feature in said["features"]:
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon") and feature["properties"]["area_km2"] > 0.0
    page = report.read_text()
    assert "<svg" in page and "outcomes" in page and not re.search(r"(src|href)=|https?://|<script", page)


def test_a_built_archive_answers_as_its_file_does(files, tmp_path, capsys):
    rows = [f"a,{at(1800)},60", f"b,{at(2100)},15"]
    assert ask(files, rows) == 0
    by_file = capsys.readouterr().out
    assert main(["archive", "build", str(files / "archive.csv"), "--to", str(tmp_path / "arch"), "--horizons", "60"]) == 0
    assert "16 vessels, 384 fixes" in capsys.readouterr().out
    assert ask(files, rows, archive=tmp_path / "arch") == 0
    assert capsys.readouterr().out == by_file
    assert main(["archive", "show", str(tmp_path / "arch"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fixes"] == 384
    assert main(["archive", "build", str(files / "archive.csv"), "--to", str(tmp_path / "arch"), "--horizons", ""]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arch"]


def test_the_order_of_an_archives_rows_changes_nothing(files, tmp_path, capsys):
    head, *rows = (files / "archive.csv").read_text().splitlines()
    (tmp_path / "mixed.csv").write_text("\n".join([head, *np.random.default_rng(0).permutation(rows)]) + "\n")
    answers = []
    for archive in ("archive.csv", tmp_path / "mixed.csv"):
        assert ask(files, [f"a,{at(1800)},60"], archive=archive) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("row, said", [
    ("nobody,{t},60", "2: no such id in --tracks"),
    ("a,{before},60", "2: no fix of this id before t0"),
])  # fmt: skip
def test_what_cannot_be_answered_is_an_empty_row_and_a_line(files, capsys, row, said):
    row = row.format(t=at(1800), before=at(-1))
    assert ask(files, [row, f"a,{at(1800)},60"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == row + ",,,,," and len(out.splitlines()) == 3 and said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("horizon", ["-1", "nan", "", "600000", "soon"])
def test_a_horizon_that_is_none_is_refused_by_line(files, capsys, horizon):
    assert ask(files, [f"a,{at(1800)},{horizon}", f"a,{at(1800)},60"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and "at.csv:2: horizon_min: " in err


def test_a_horizon_of_nothing_and_one_of_a_month(files, capsys):
    assert ask(files, [f"a,{at(1800)},0", f"a,{at(1800)},43200"]) == 0
    out, err = capsys.readouterr()
    now, month = (list(map(float, line.split(",")[3:])) for line in out.splitlines()[1:])
    assert now[3] <= 50.0 and month[3] > 100_000.0
    assert "at.csv:3: the archive knows no outcome so far ahead" in err and "at.csv:2" not in err


def test_an_empty_archive_says_so_and_answers_with_a_guess(files, tmp_path, capsys):
    (tmp_path / "none.csv").write_text("id,t,lat,lon\n")
    assert ask(files, [f"a,{at(1800)},60"], archive=tmp_path / "none.csv") == 0
    out, err = capsys.readouterr()
    assert "the archive is empty" in err and "a guess" in err and len(out.splitlines()) == 2
    assert main(["archive", "build", str(tmp_path / "none.csv"), "--to", str(tmp_path / "arch")]) == 2
    assert "no fix that can be used" in capsys.readouterr().err and not (tmp_path / "arch").exists()


def test_a_time_without_a_zone_is_refused_and_one_with_an_offset_is_read(files, tmp_path, capsys):
    plain = write(tmp_path / "plain.csv", fleet(2), stamp=lambda t: iso_from_ns(round(t * NS))[:-1])
    assert main(["archive", "build", str(plain), "--to", str(tmp_path / "a")]) == 2
    assert f"{plain}:2: t: " in capsys.readouterr().err
    east = write(tmp_path / "east.csv", fleet(), stamp=lambda t: iso_from_ns(round((t + 7200) * NS))[:-1] + "+02:00")
    answers = []
    for archive in (files / "archive.csv", east):
        assert ask(files, [f"a,{at(1800)},60"], archive=archive) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_a_bad_fix_and_two_vessels_under_one_identity(files, tmp_path, capsys):
    tracks = fleet()
    tracks["v3"][9] = (tracks["v3"][9][0], 31.9, 32.0)
    tracks["v5"] = sorted(tracks["v5"] + [(t + 60.0, la + 2.0, lo) for t, la, lo in leg(tracks["v5"][0][0], 6.0)])
    bad = write(tmp_path / "bad.csv", tracks)
    assert main(["archive", "build", str(bad), "--to", str(tmp_path / "a"), "--horizons", "", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["refused"] == {"a jump that nothing travels": 1} and json.loads(out)["vessels"] == 17
    assert "v3 at " in err and "v5: 2 things report under this identity" in err


def test_an_asked_vessel_with_a_jump_at_its_end_is_forecast_from_where_it_was(files, tmp_path, capsys):
    good = leg(QUESTION_S, 6.0)[:8]
    bad = [*good, (good[-1][0] + 60.0, 39.0, 32.0)]
    answers = []
    for name, rows in (("good", good), ("bad", bad)):
        write(tmp_path / name, {"a": rows})
        assert ask(files, [f"a,{at(2170)},60"], tracks=tmp_path / name) == 0
        answers.append(float(capsys.readouterr().out.splitlines()[1].split(",")[3]))
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)


def test_an_ais_log_and_a_journal_are_read(tmp_path, capsys):
    from birddog.journal import open_writer
    from birddog.model import Draft, Fix, FrameBody, pack
    from devices.formats import ais

    log = tmp_path / "ais.log"
    log.write_bytes(b"".join(
        ais.encode(mmsi=244060123, lat_deg=30.0, lon_deg=32.5 + 0.01 * k, time_ns=int(BEGIN_S + 60 * k) * NS, station="s")
        for k in range(5)))  # fmt: skip
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="exercise")
    drafts = []
    for k in range(6):
        fix = Fix(device="van", time_ns=int(BEGIN_S + 60 * k) * NS, lat_deg=51.0, lon_deg=1.0 + k * 0.01)
        body = FrameBody(format="owntracks", version=1, payload=b"x", device="van", observations=(fix,))
        drafts.append(Draft(kind="frame", received_ns=fix.time_ns, operation="open", source="test", ident=bytes([k]) * 16,
                            body=pack(body)))
    writer.append(drafts)
    writer.close()
    assert main(["archive", "build", str(log), url, "--to", str(tmp_path / "a"), "--horizons", "", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["vessels"] == 2 and said["fixes"] == 11


@pytest.mark.parametrize("make, said", [
    (lambda p: None, "No such file"),
    (lambda p: p.write_bytes(b"PAR1\0\0"), "Parquet"),  # one that cannot be read, or no pyarrow
    (lambda p: p.write_text("vessel,when\n1,2\n"), "no such column"),
    (lambda p: (p.mkdir(), (p / "archive.json").write_text("{}")), "no archive of form"),
    (lambda p: (p.mkdir(), (p / "archive.json").write_text('{"birddog_archive":4}')), "is no archive of Birddog"),
])  # fmt: skip
def test_an_archive_that_is_none_is_one_line(files, tmp_path, capsys, make, said):
    make(tmp_path / "x")
    assert ask(files, [f"a,{at(1800)},60"], archive=tmp_path / "x") == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.splitlines()) == 1 and str(tmp_path / "x") in err


def test_an_archive_never_replaces_what_is_none(files, tmp_path, capsys):
    (tmp_path / "thesis").write_text("mine")
    assert main(["archive", "build", str(files / "archive.csv"), "--to", str(tmp_path / "thesis"), "--horizons", ""]) == 2
    assert "is no archive" in capsys.readouterr().err and (tmp_path / "thesis").read_text() == "mine"


def test_eta_on_a_used_way_where_one_is_and_where_nobody_went(files, capsys):
    head = "id,t0,dest_lat,dest_lon,radius_m"
    rows = [f"a,{at(1800)},30.05,32.2077,400", f"a,{at(1800)},30.0,{32.0 + 6.0 * 1800 / 96_300},400", f"a,{at(1800)},10,10,400",
            f"nobody,{at(1800)},30.05,32.2077,400", f"a,{at(-5)},30.05,32.2077,400", f"a,{at(1800)},30.05,32.2077,0"]
    assert ask(files, rows, command="eta", head=head) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "id,t0,eta_p10,eta_p50,eta_p90" and len(lines) == 6
    p10, p50, p90 = lines[1].split(",")[2:]
    assert p10 <= p50 <= p90 and at(3700) < p50 < at(4900)
    assert lines[2].split(",")[2:] == [at(1800)] * 3
    assert lines[4:] == [f"nobody,{at(1800)},,,", f"a,{at(-5)},,,"]
    for words in ("at.csv:4: nobody in the archive went there", "at.csv:5: no such id", "at.csv:6: no fix of this id before t0",
                  "at.csv:7: radius_m"):
        assert words in err


def test_what_was_due_before_the_question_and_is_silent_has_no_time_and_a_line(files, capsys):
    head = "id,t0,dest_lat,dest_lon,radius_m"
    # ten minutes from there at its last fix, asked then, and a day later
    rows = [f"a,{at(2100)},30.0,32.16,500", f"a,{at(90_000)},30.0,32.16,500", f"a,{at(90_000)},30.035,32.2077,900"]
    assert ask(files, rows, command="eta", head=head, tracks=short(files)) == 0
    out, err = capsys.readouterr()
    soon, late, there = (line.split(",") for line in out.splitlines()[1:])
    assert soon[2] <= soon[3] <= soon[4] and soon[3] < at(3600)
    assert late[2:] == ["", "", ""] and there[2:] == ["", "", ""]
    assert ":3: by its last fix nine in ten such would have been there before t0, and nothing was heard since" in err


def short(files):
    """The asked track until eight fixes in, on its way east."""
    return write(files / "short.csv", {"a": leg(QUESTION_S, 6.0)[:8]})


def test_whether_forecasts_drift_is_said_by_horizon(tmp_path, capsys):
    rows = [
        f"v{v},{1_790_000_000 + 3600 * v + 60 * k},{50 + 0.001 * (v % 7):.4f},{4 + (0.0045 if v > 45 else 0.004) * k:.5f}"
        for v in range(60) for k in range(40)
    ]  # fmt: skip
    (tmp_path / "past.csv").write_text("id,t,lat,lon\n" + "\n".join(rows) + "\n")
    assert main(["archive", "drift", str(tmp_path / "past.csv"), "--horizons", "5", "--json"]) == 0
    moves, stands = json.loads(capsys.readouterr().out)
    assert moves["moving"] and moves["before"] >= 20 and moves["late"] >= 20 and moves["changed"] in (True, False)
    assert not stands["moving"] and stands["changed"] is None  # nothing stood
    assert main(["archive", "drift", str(tmp_path / "past.csv"), "--horizons", "5"]) == 0
    assert "too few outcomes" in capsys.readouterr().out
    assert main(["archive", "drift", str(tmp_path / "past.csv"), "--days", "-1"]) == 2
    assert "--days" in capsys.readouterr().err


def test_where_a_unit_can_meet_it_is_a_row_a_place(files, tmp_path, capsys):
    questions = tmp_path / "at.csv"
    head = "id,t0,unit_lat,unit_lon,speed_mps,unit,medium,ready_s"
    t0 = iso_from_ns(1_790_003_600 * NS)
    rows = [f"a,{t0},50.01,4.3,15,boat,sea,", f"a,{t0},-40,4.3,5,far,road,60", f"nobody,{t0},50,4,15,x,,",
            f"a,{t0},50,4,0,x,,", f"a,{t0},50,4,15,x,air,"]  # fmt: skip
    questions.write_text(head + "\n" + "\n".join(rows) + "\n")
    past = [f"v{v},{1_789_000_000 + 4000 * v + 60 * k},50.0,{4 + 0.005 * k:.4f}" for v in range(30) for k in range(120)]
    (tmp_path / "past.csv").write_text("id,t,lat,lon\n" + "\n".join(past) + "\n")
    track = [f"a,{1_790_003_600 - 60 * (30 - k)},50.0,{4 + 0.005 * k:.4f}" for k in range(31)]
    (tmp_path / "tracks.csv").write_text("id,t,lat,lon\n" + "\n".join(track) + "\n")
    words = ["intercept", "--archive", str(tmp_path / "past.csv"), "--tracks", str(tmp_path / "tracks.csv")]
    words += ["--at", str(questions)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    lines = [line.split(",") for line in out.splitlines()]
    assert lines[0] == "id,t0,unit,rank,lat_deg,lon_deg,probability,reaches,s_p10,s_p50,s_p90,unit_p50,unit_p90".split(",")
    boat = [line for line in lines if line[2] == "boat"]
    assert [int(line[3]) for line in boat] == list(range(1, len(boat) + 1)) and float(boat[0][6]) > 0.5
    assert all(abs(float(line[4]) - 50.0) < 0.02 and float(line[6]) <= float(line[7]) for line in boat)
    assert [line[3] for line in lines if line[2] in ("far", "x")] == ["0", "0"]
    assert ":4: no such id" in err and ":3: nowhere within that time" in err
    assert ":5: speed_mps" in err and ":6: medium" in err
    for option, value in (("--radius", "1"), ("--within", "0"), ("--top", "0")):
        assert main([*words, option, value]) == 2
        assert option in capsys.readouterr().err


def test_rows_of_one_time_are_one_whatever_their_order(files, tmp_path, capsys):
    """Sparse fixes, the last given twice 60 m apart: it still moves, and the order of the rows says nothing."""
    way = leg(QUESTION_S, 6.0)[:12:4]
    twice = [*way, (way[-1][0], way[-1][1] + 0.0005, way[-1][2])]
    answers = []
    for rows in (twice, twice[::-1]):
        write(tmp_path / "tracks.csv", {"a": rows})
        assert ask(files, [f"a,{at(2400)},30"], tracks=tmp_path / "tracks.csv") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    write(tmp_path / "tracks.csv", {"a": way})
    assert ask(files, [f"a,{at(2400)},30"], tracks=tmp_path / "tracks.csv") == 0
    once, both = (list(map(float, text.splitlines()[1].split(",")[3:5])) for text in (capsys.readouterr().out, answers[0]))
    assert both == pytest.approx(once, abs=0.01)


def test_two_things_under_one_identity_that_report_at_the_same_times_are_two(files, tmp_path, capsys):
    """Rows of one identity and time that lie apart are no repetition: neither thing is lost, in any order of the rows."""
    tracks = fleet()
    tracks["v3"] = [fix for t, lat, lon in tracks["v3"] for fix in ((t, lat, lon), (t, lat - 8.0, lon + 9.0))]
    answers = []
    for k, turned in enumerate((False, True)):
        mixed = {n: v[::-1] if turned else v for n, v in tracks.items()}
        write(tmp_path / f"{k}.csv", mixed)
        assert main(["archive", "build", str(tmp_path / f"{k}.csv"), "--to", str(tmp_path / f"arch{k}"), "--horizons", ""]) == 0
        out, err = capsys.readouterr()
        assert "17 vessels, 408 fixes" in out and "v3: 2 things" in err and "second fix" not in err
        assert ask(files, [f"a,{at(1800)},60"], archive=tmp_path / f"arch{k}") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_a_region_over_the_date_line_is_cut_there(tmp_path, capsys):
    """RFC 7946, section 3.1.9: a reader that asks for the place told, as it is told, finds it inside."""
    east = {n: [(t, lat, (lon + 147.795 + 180.0) % 360.0 - 180.0) for t, lat, lon in v] for n, v in fleet().items()}
    write(tmp_path / "archive.csv", east)
    way = [(t, lat, (lon + 147.795 + 180.0) % 360.0 - 180.0) for t, lat, lon in leg(QUESTION_S, 6.0)]
    write(tmp_path / "tracks.csv", {"a": way})
    assert ask(tmp_path, [f"a,{at(3000)},30", f"a,{at(3000)},240"], "--regions", tmp_path / "r.json") == 0
    points = [list(map(float, row.split(",")[3:5])) for row in capsys.readouterr().out.splitlines()[1:]]
    crossed = 0
    for feature in json.loads((tmp_path / "r.json").read_text())["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        lons = [x for polygon in polygons for ring in polygon for x, _ in ring]
        assert min(lons) >= -180.0 and max(lons) <= 180.0
        crossed += max(lons) - min(lons) > 180.0
        lat, lon = points[feature["properties"]["horizon_min"] == 240.0]
        held = sum((y0 > lat) != (y1 > lat) and lon < (x1 - x0) * (lat - y0) / (y1 - y0) + x0
                   for polygon in polygons for ring in polygon for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False))
        assert held % 2 == 1 or feature["properties"]["level"] == 0.5
    assert crossed


@pytest.mark.parametrize("text", (None, "", "id,t0\n"))
@pytest.mark.parametrize("command", ("forecast", "eta", "intercept"))
def test_what_is_wrong_with_the_questions_is_said_before_any_answer(files, capsys, command, text):
    at_file = files / "wrong.csv"
    at_file.unlink(missing_ok=True)
    if text is not None:
        more = "horizon_min,dest_lat,dest_lon,radius_m,unit_lat,unit_lon,speed_mps"
        at_file.write_text(text.replace("horizon_min", more), encoding="utf-8")
    archive = files / "none.csv"
    archive.write_text("id,t,lat,lon\n", encoding="utf-8")
    words = [command, "--archive", str(archive), "--tracks", str(files / "tracks.csv"), "--at", str(at_file)]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == "" and "wrong.csv" in said.err


@pytest.mark.parametrize("command", ("forecast", "eta", "intercept"))
def test_a_question_that_is_no_csv_is_said_and_left_out(files, capsys, command):
    at_file, archive = files / "odd.csv", files / "none.csv"
    more = "horizon_min,dest_lat,dest_lon,radius_m,unit_lat,unit_lon,speed_mps"
    at_file.write_text(f'id,t0,{more}\n"a"b,1,2\n', encoding="utf-8")
    archive.write_text("id,t,lat,lon\n", encoding="utf-8")
    words = [command, "--archive", str(archive), "--tracks", str(files / "tracks.csv"), "--at", str(at_file)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "odd.csv:2: id: not CSV" in said.err and len(said.out.splitlines()) <= 1
