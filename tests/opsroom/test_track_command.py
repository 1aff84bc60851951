"""`birddog track`: the promised form, refused rows, errors in one line, the public scenarios.

Over 400 lines: one command, of which each test runs the whole.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsroom.cli import main

HEAD = "t,track_id,tag_id,lat_deg,lon_deg,e_m,n_m,ve_mps,vn_mps,p_ee,p_en,p_nn"
COLUMNS = "det_id,t,t_arrival,sensor_id,sensor_type,tag_id,e_m,n_m,r_ee,r_en,r_nn,lat,lon"
SCENARIOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "tracking" / "scenarios"


@pytest.fixture
def files(tmp_path):
    detections, sensors = tmp_path / "d.csv", tmp_path / "s.json"
    rows = [f"{k},{5 * k},{5 * k + 1},gps,gps_tag,TAG,{50 * k},{-20 * k},64,0,64,," for k in range(20)]
    bad = ("97,98,gps,gps_tag,TAG,nan,0,64,0,64", "97,98,gps,gps_tag,TAG,0,0,64,99,64", "99,98,gps,gps_tag,TAG,0,0,64,0,64")
    rows += [f"9{k},{row},," for k, row in enumerate(bad)]
    detections.write_text("\n".join([COLUMNS, *rows]) + "\n", encoding="utf-8")
    said = {"duration_s": 120, "origin_lat": 51.5, "origin_lon": -1.0, "sensors": [{"id": "gps", "type": "gps_tag"}]}
    sensors.write_text(json.dumps(said))
    return detections, sensors


def run(*args) -> int:
    return main(["track", *map(str, args)])


def test_rows_at_every_s_up_to_the_duration(files, capsys):
    assert run("--detections", files[0], "--sensors", files[1], "--every", 10) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == HEAD
    rows = [line.split(",") for line in lines[1:]]
    assert [r[0] for r in rows] == [str(t) for t in range(10, 121, 10)]
    assert len({r[1] for r in rows}) == 1 and {r[2] for r in rows} == {"TAG"}
    assert float(rows[8][5]) == pytest.approx(900, abs=20) and float(rows[8][7]) == pytest.approx(10, abs=2)
    assert float(rows[-1][9]) > 4 * float(rows[8][9])  # silent since 96 s
    assert err.count("row left out") == 3


def test_a_row_of_a_sensor_that_nobody_told_of_is_refused_and_the_rest_goes_on(files, tmp_path, capsys):
    """issue 11, bad input: unknown sensor.  Where --sensors names none every sensor is as good as another."""
    rest = ("--sensors", files[1], "--every", 10)
    assert run("--detections", files[0], *rest) == 0
    without, said = capsys.readouterr()
    more = tmp_path / "more.csv"
    lines = files[0].read_text().splitlines()
    lines[4:4] = ["77,15,16,nosuch,radar,,9000,9000,64,0,64,,", "78,15,16,nosuch,lora,GHOST,9000,9000,64,0,64,,"]
    more.write_text("\n".join([*lines, "79,95,96,,gps_tag,TAG,9000,9000,64,0,64,,"]) + "\n")
    assert run("--detections", more, *rest) == 0
    out, err = capsys.readouterr()
    why = "is no sensor of --sensors; row left out"
    assert out == without and err.count("row left out") == said.count("row left out") + 3
    assert f"{more}:5: sensor_id: 'nosuch' {why}" in err and f"{more}:6: sensor_id: 'nosuch' {why}" in err
    assert f"{more}:{len(lines) + 1}: sensor_id: '' {why}" in err
    assert run("--detections", more, "--every", 10) == 0
    out, err = capsys.readouterr()
    assert "sensor_id" not in err and "GHOST" in out
    files[1].write_text("{}")
    assert run("--detections", more, *rest) == 0
    assert capsys.readouterr().out == out


def test_a_tag_needs_no_line_in_sensors(files, tmp_path, capsys):
    """--sensors names what looks: the cases of silent tags name their radar alone, and were without a tag."""
    named = json.loads(files[1].read_text())
    named["sensors"] = [{"id": "radar1", "type": "radar", "kind": "xy"}]
    alone = tmp_path / "looks.json"
    alone.write_text(json.dumps(named))
    assert run("--detections", files[0], "--sensors", alone, "--every", 10) == 0
    out, err = capsys.readouterr()
    assert "sensor_id" not in err and {r.split(",")[2] for r in out.splitlines()[1:]} >= {"TAG"}


@pytest.mark.shared
@pytest.mark.parametrize("case", ["silent-tag-in-clutter", "silent-tag-on-passing-car", "tag-changes-lorry"])
def test_the_cases_of_tags_have_their_tag(case, capsys):
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "tracking"
    if not folder.is_dir():
        pytest.skip("../shared/cases is not here")
    assert run("--detections", folder / f"track-{case}.csv", "--sensors", folder / f"track-{case}.json", "--every", 100) == 0
    out, err = capsys.readouterr()
    assert not err and [r.split(",")[2] for r in out.splitlines()[1:]].count("A") >= 5


@pytest.mark.parametrize("far", ["1e12", "6.4e6", "-1e300"])
@pytest.mark.parametrize("field", ["e_m", "n_m"])
def test_a_row_beyond_the_horizon_is_refused_and_the_rest_goes_on(files, tmp_path, field, far, capsys):
    """It was a fault of Birddog itself, and not a row came out."""
    lines = files[0].read_text().splitlines()
    head, row = lines[0].split(","), lines[3].split(",")
    assert run("--detections", files[0], "--sensors", files[1], "--every", 10) == 0
    without = capsys.readouterr().out
    row[head.index(field)] = far
    more = tmp_path / "more.csv"
    more.write_text("\n".join([*lines[:4], ",".join(row), *lines[4:]]) + "\n")
    assert run("--detections", more, "--sensors", files[1], "--every", 10) == 0
    out, err = capsys.readouterr()
    assert out == without and f"{more}:5: {field}: beyond the horizon of the plane" in err


def test_a_row_that_ends_before_its_sensor_is_refused(tmp_path, capsys):
    rows = [f"{k},{k + 1},A,{k},0,9,0,9,gps" for k in range(0, 50, 5)]
    (tmp_path / "d").write_text("\n".join(["t,t_arrival,tag_id,e_m,n_m,r_ee,r_en,r_nn,sensor_id", *rows, rows[-1][:-4]]) + "\n")
    assert run("--detections", tmp_path / "d", "--every", 20) == 0
    out, err = capsys.readouterr()
    assert err == f"{tmp_path / 'd'}:12: sensor_id: missing; row left out\n" and len(out.splitlines()) == 3


def test_iso_times_come_back_as_iso(tmp_path, capsys):
    rows = [f"2026-11-24T12:00:{k:02d}Z,2026-11-24T12:00:{k + 1:02d}Z,gps,A,{k},0,9,0,9" for k in range(0, 50, 5)]
    (tmp_path / "d").write_text("t,t_arrival,sensor_id,tag_id,e_m,n_m,r_ee,r_en,r_nn\n" + "\n".join(rows) + "\n")
    assert run("--detections", tmp_path / "d", "--every", 20) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [r[0] for r in rows] == ["2026-11-24T12:00:20.000Z", "2026-11-24T12:00:40.000Z"] and rows[0][3:5] == ["", ""]


def test_seconds_with_an_exponent_are_seconds(tmp_path, capsys):
    rows = [f"{k}e-1,{k + 1}e-1,gps,A,{k},0,9,0,9" for k in range(0, 500, 50)]
    (tmp_path / "d").write_text("t,t_arrival,sensor_id,tag_id,e_m,n_m,r_ee,r_en,r_nn\n" + "\n".join(rows) + "\n")
    assert run("--detections", tmp_path / "d", "--every", 20) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["20", "40"]


def shifted(path, to, by_s: int, iso: bool = False):
    """The same detections at another time of day, as POSIX seconds or as text of another zone."""
    from datetime import UTC, datetime, timedelta, timezone

    def form(text: str) -> str:
        t = float(text) + by_s
        return datetime.fromtimestamp(t, UTC).astimezone(timezone(timedelta(hours=2))).isoformat() if iso else repr(t)

    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    at = [head.index("t"), head.index("t_arrival")]
    lines = [",".join(head)] + [",".join(form(v) if i in at else v for i, v in enumerate(row)) for row in rows]
    to.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return to


def test_a_scenario_at_todays_times_is_as_at_its_own(tmp_path, capsys):
    """Times of a log are POSIX: a sensor's looks are not counted from 1970, and fall where its detections are."""
    import numpy as np

    rng = np.random.default_rng(3)
    rows = ["t,t_arrival,sensor_id,sensor_type,tag_id,e_m,n_m,r_ee,r_en,r_nn"]
    for k in range(40):
        if rng.random() < 0.7:
            e, n = rng.normal(size=2) * 5
            rows.append(f"{4 * k + 1},{4 * k + 1.5},radar,radar,,{30 * k + e:.2f},{n:.2f},25,0,25")
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n")
    said = {"sensors": [{"id": "radar", "type": "radar", "kind": "xy", "pd": 0.7, "period": 4, "phase": 1,
                         "clutter_per_scan": 0.1, "area_e0_e1_n0_n1": [-1000, 3000, -1000, 1000]}]}  # fmt: skip
    (tmp_path / "s.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(said).encode())
    tracks = []
    for by_s, iso in ((0, False), (1_700_000_000, False), (1_700_000_000, True)):
        file = shifted(tmp_path / "d.csv", tmp_path / "m.csv", by_s, iso)
        assert run("--detections", file, "--sensors", tmp_path / "s.json", "--every", 20) == 0
        tracks.append([line.split(",") for line in capsys.readouterr().out.splitlines()[1:]])
    first, *others = tracks
    assert len(first) >= 6
    for rows in others:
        assert [r[1:3] for r in rows] == [r[1:3] for r in first]
        for row, want in zip(rows, first, strict=True):
            assert [float(v) for v in row[5:]] == pytest.approx([float(v) for v in want[5:]], rel=0.02, abs=0.5)


@pytest.mark.parametrize("odd", ["2026-01-01T00:00:00Z", "1767225600"])
def test_a_row_of_another_clock_is_refused_and_the_rest_goes_on(files, tmp_path, odd, capsys):
    """One of today among a scenario's seconds made a look for each second since 1970, and the command never ended."""
    lines = files[0].read_text().splitlines()
    head, row = lines[0].split(","), lines[3].split(",")
    rest = ("--sensors", files[1], "--every", 10)
    assert run("--detections", files[0], *rest) == 0
    without = capsys.readouterr().out
    row[head.index("t")] = row[head.index("t_arrival")] = odd
    (tmp_path / "more.csv").write_text("\n".join([*lines[:4], ",".join(row), *lines[4:]]) + "\n")
    assert run("--detections", tmp_path / "more.csv", *rest) == 0
    out, err = capsys.readouterr()
    assert out == without and "more.csv:5: t: most rows have seconds of a scenario, this one has times of day" in err
    # and the other way round
    today = shifted(files[0], tmp_path / "today.csv", 1_700_000_000).read_text(encoding="utf-8-sig").splitlines()
    assert run("--detections", tmp_path / "today.csv", *rest) == 0
    without = capsys.readouterr().out
    (tmp_path / "mixed.csv").write_text("\n".join([*today[:4], lines[3], *today[4:]]) + "\n")
    assert run("--detections", tmp_path / "mixed.csv", *rest) == 0
    out, err = capsys.readouterr()
    assert out == without and "mixed.csv:5: t: most rows have times of day, this one has seconds of a scenario" in err


def test_looks_of_decades_are_refused_in_a_line(tmp_path, capsys):
    """A report of 2001 among those of today: its sensor's looks in between would fill the memory."""
    rows = [f"{t},{t + 1},radar,0,0,9,0,9" for t in (1_000_000_000, *range(1_767_225_600, 1_767_225_640, 4))]
    (tmp_path / "d").write_text("t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn\n" + "\n".join(rows) + "\n")
    (tmp_path / "s").write_text(json.dumps({"sensors": [{"id": "radar", "type": "radar", "kind": "xy", "period": 4}]}))
    assert run("--detections", tmp_path / "d", "--sensors", tmp_path / "s", "--every", 20) == 2
    assert "t_arrival: radar owes more than 5,000,000 looks" in capsys.readouterr().err
    # seen so long ago, and heard of now, is only a late row
    (tmp_path / "d").write_text("t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn\n" + "\n".join(
        ["1000000000,1767225600,radar,0,0,9,0,9", *rows[1:]]) + "\n")  # fmt: skip
    assert run("--detections", tmp_path / "d", "--sensors", tmp_path / "s", "--every", 20) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    "text, said", [("{", "not JSON"), ("[]", "sensors"), ('{"sensors": [{"id": "a", "pd": NaN}]}', "not JSON"),
                   ('{"sensors": [{"id": "a", "pd": "x"}]}', "sensors[0].pd"),
                   ('{"sensors": [{"id": "a", "kind": "xy", "period": 1e-9}]}', "sensors[0].period: 0 or at least 0.1 seconds"),
                   ('{"sensors": [{"id": "a", "latency_s": [0, null]}]}', "sensors[0].latency_s.1"),
                   ('{"sensors": [{"id": "a", "pd": 2}]}', "sensors[0].pd: a chance"),
                   ('{"sensors": [{"id": "a", "pd": 0}]}', "sensors[0].pd: a chance"),
                   ('{"sensors": [{"id": "b"}, {"id": "a", "pd": -1}]}', "sensors[1].pd: a chance"),
                   ('{"sensors": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}', "sensors[2].id: 'a' is there twice"),
                   ('{"sensors": [{"id": "a", "kind": "banana"}]}', "sensors[0].kind: "),
                   ('{"sensors": [{"id": "a", "kind": 7}]}', "sensors[0].kind: "),
                   ('{"sensors": [{"id": "a", "kind": "rb"}]}', "sensors[0].pos: "),
                   ('{"sensors": [{"id": "a", "kind": "rb", "pos": [0]}]}', "sensors[0].pos: "),
                   ('{"sensors": [{"id": "a", "kind": "xy", "R": [[-1, 0], [0, 1]]}]}', "sensors[0].R: no covariance"),
                   ('{"sensors": [{"id": "a", "kind": "xy", "R": [[1, 0], [2, 1]]}]}', "sensors[0].R: no covariance"),
                   ('{"sensors": [{"id": "a", "kind": "xy", "R": [[1, 0], [0]]}]}', "sensors[0].R: "),
                   ('{"sensors": [{"id": "a", "kind": "xy", "R": 9}]}', "sensors[0].R: ")],
)  # fmt: skip
def test_a_wrong_scenario_is_one_line(files, tmp_path, capsys, text, said):
    (tmp_path / "w.json").write_text(text)
    assert run("--detections", files[0], "--sensors", tmp_path / "w.json", "--every", 10) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert run("--detections", files[0], "--every", "0") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--every", "1e300"), "--every: a number of seconds, 0.001 to 1,000,000,000"),
     (("--every", "inf"), "--every: "), (("--every", "nan"), "--every: "), (("--every", "1e10"), "--every: "),
     (("--every", 10, "--from", "1e300"), "--from: "), (("--every", 10, "--to", "1e300"), "--to: "),
     (("--every", 10, "--late", "TAG=1e300"), "--late: SOURCE=SECONDS"),
     (("--every", 10, "--without", ""), "--without: the name of a transport, device or sensor"),
     (("--every", 10, "--late", "TAG=5", "--late", "gps=5", "--late", "TAG=9"), "--late: TAG is given twice")],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line_that_names_the_option(files, tmp_path, capsys, options, said):
    """Before: 1e300 was a traceback, "" left out the whole picture unsaid, and of two --late the last one held."""
    url = f"sqlite:///{tmp_path / 'j.db'}"
    assert run("--detections", files[0], "--sensors", files[1], "--every", 10, "--journal", url) == 0
    capsys.readouterr()
    assert run("--journal", url, *options) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 1


def test_null_in_a_scenario_is_as_if_not_given(files, tmp_path, capsys):
    said = []
    given = {"pd": None, "period": None, "phase": None, "clutter_per_scan": None, "area_e0_e1_n0_n1": None, "latency_s": None}
    for more in ({}, given):
        scenario = json.loads(files[1].read_text())
        scenario["duration_s"] = scenario["origin_lat"] = scenario["origin_lon"] = None
        if not more:
            for key in ("duration_s", "origin_lat", "origin_lon"):
                del scenario[key]
        scenario["sensors"] = [{"id": s["id"], "kind": "xy", **more} for s in scenario["sensors"]]
        (tmp_path / "n.json").write_text(json.dumps(scenario))
        assert run("--detections", files[0], "--sensors", tmp_path / "n.json", "--every", 10) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and len(said[0].splitlines()) > 1


@pytest.mark.shared
def test_the_public_scenarios_run_and_tags_are_never_lost(capsys):
    if not SCENARIOS.is_dir():
        pytest.skip(f"no public data at {SCENARIOS}")
    for folder in sorted(SCENARIOS.iterdir()):
        assert run("--detections", folder / "detections.csv", "--sensors", folder / "scenario.json", "--every", 10) == 0
        rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
        tags: dict[str, set[str]] = {}
        for r in rows:
            if r[2]:
                tags.setdefault(r[2], set()).add(r[1])
        assert rows and all(len(ids) == 1 for ids in tags.values())


def mixed(folder, seed: int = 1):
    """A radar, a late drone, a tag and a portal that see two things that cross, as a scenario's files."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = []
    for t in range(0, 120, 2):
        for e, n in ((10 * t, 0), (600 - 5 * t, 300 - 5 * t)):
            x, y = rng.normal(size=2) * 10
            rows.append((t + 0.2, f"{t},{t + 0.2},radar,radar,,{e + x:.2f},{n + y:.2f},100,0,100"))
            if t % 8 == 0:
                x, y = rng.normal(size=2) * 5
                late = rng.uniform(5, 15)
                rows.append((t + late, f"{t},{t + late:.3f},drone,drone_image,,{e + x:.2f},{n + y:.2f},25,0,25"))
        if t % 10 == 0:
            x, y = rng.normal(size=2) * 8
            rows.append((t + 1, f"{t},{t + 1},gps,gps_tag,TAG-A,{10 * t + x:.2f},{y:.2f},64,0,64"))
    rows.append((60.5, "60,60.5,gate,rfid_portal,RFID-1,300,0,56.25,0,56.25"))
    (folder / "d.csv").write_text("\n".join(["t,t_arrival,sensor_id,sensor_type,tag_id,e_m,n_m,r_ee,r_en,r_nn",
                                             *(row for _, row in sorted(rows))]) + "\n")  # fmt: skip
    area = [-2000, 2000, -2000, 2000]
    said = {"duration_s": 130, "origin_lat": 51.5, "origin_lon": -1.0, "sensors": [
        {"id": "radar", "type": "radar", "kind": "xy", "pd": 0.95, "period": 2, "area_e0_e1_n0_n1": area,
         "clutter_per_scan": 1},
        {"id": "drone", "type": "drone_image", "kind": "xy", "pd": 0.95, "period": 8, "area_e0_e1_n0_n1": area,
         "clutter_per_scan": 1, "latency_s": [5, 15]},
        {"id": "gps", "type": "gps_tag", "kind": "xy", "period": 10}, {"id": "gate", "type": "rfid_portal", "kind": "portal"},
    ]}  # fmt: skip
    (folder / "s.json").write_text(json.dumps(said))
    return ["--detections", folder / "d.csv", "--sensors", folder / "s.json"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("later_s", [0, 7])
def test_a_row_that_stands_there_twice_is_one(tmp_path, capsys, named, later_s):
    """An auditor: each sighting of a file that was joined to itself was a second contact, 5 tracks 9, and nothing was said."""
    import random

    options = mixed(tmp_path)
    assert run(*options, "--every", 10) == 0
    once, err = capsys.readouterr()
    assert err == ""
    head, *rows = (tmp_path / "d.csv").read_text().splitlines()
    again = []
    for row in rows:
        t, arrival, *rest = row.split(",")
        again.append(",".join([t, repr(float(arrival) + later_s), *rest]))
    if named:
        # numbered by each sensor for itself: two of them number alike
        head, numbers = f"det_id,{head}", {"radar": 0, "drone": 0, "gps": 0, "gate": 0}
        for k, row in enumerate(rows):
            sensor = row.split(",")[2]
            numbers[sensor] += 1
            rows[k], again[k] = f"{numbers[sensor]},{row}", f"{numbers[sensor]},{again[k]}"
    pairs = [x for both in zip(rows, again, strict=True) for x in both]
    shuffled = rows + again
    random.Random(4).shuffle(shuffled)
    for lines in (pairs, shuffled, rows):
        (tmp_path / "d.csv").write_text("\n".join([head, *lines]) + "\n")
        assert run(*options, "--every", 10) == 0
        out, err = capsys.readouterr()
        assert out == once and err.count(": a duplicate: ") == err.count("row left out") == len(lines) - len(rows)
        if lines is pairs:
            assert f"{tmp_path / 'd.csv'}:3: e_m: a duplicate: what 'radar' has at this place" in err
            assert " time is in line 2; row left out\n" in err


@pytest.mark.parametrize("number", ["by sensor and look", "by scan", "none"])
def test_numbers_that_are_not_one_for_each_row_make_no_duplicates(tmp_path, capsys, number):
    options = mixed(tmp_path)
    assert run(*options, "--every", 10) == 0
    once = capsys.readouterr()
    head, *rows = (tmp_path / "d.csv").read_text().splitlines()
    seen: dict[tuple[str, str], int] = {}
    for k, row in enumerate(rows):
        look = (row.split(",")[0], row.split(",")[2])
        seen[look] = seen.get(look, 0) + 1
        rows[k] = f"{seen[look] if number == 'by sensor and look' else len(seen) if number == 'by scan' else 0},{row}"
    (tmp_path / "d.csv").write_text("\n".join([f"det_id,{head}", *rows]) + "\n")
    assert run(*options, "--every", 10) == 0
    assert capsys.readouterr() == once and max(seen.values()) == 2


def test_what_comes_in_at_once_has_no_order(tmp_path, capsys):
    """The sightings of one look in another order in the file were tracks of other names."""
    head = "t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn"
    rows = [f"{t},{t + 0.5},radar,{15 * t},{400 * k - 5 * k * t},100,0,100" for t in range(0, 60, 2) for k in range(4)]
    (tmp_path / "s.json").write_text(json.dumps({"origin_lat": 51.5, "origin_lon": -1.0, "sensors": [
        {"id": "radar", "type": "radar", "kind": "xy", "pd": 0.95, "period": 2}]}))  # fmt: skip
    said = []
    for lines in (rows, rows[::-1]):
        (tmp_path / "d.csv").write_text("\n".join([head, *lines]) + "\n")
        assert run("--detections", tmp_path / "d.csv", "--sensors", tmp_path / "s.json", "--every", 10) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and len(said[0].splitlines()) > 12


def test_what_is_folded_is_kept_and_the_journal_gives_the_same_rows(tmp_path, capsys):
    """issue 11, how it is judged, 3: one fold, whether it runs over a file, a journal or in the picture."""
    from birddog.journal import open_reader
    from birddog.units import iso_from_ns
    from opsroom.picture import Picture

    files, url = mixed(tmp_path), f"sqlite:///{tmp_path / 'j.db'}"
    assert run(*files, "--every", 10) == 0
    alone = capsys.readouterr().out
    for _ in range(2):  # the second time everything stands there
        assert run(*files, "--every", 10, "--journal", url) == 0
        assert capsys.readouterr().out == alone
    assert run("--journal", url, "--every", 10) == 0
    kept = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    rows = [line.split(",") for line in alone.splitlines()[1:]]
    assert {row[2] for row in rows} == {"TAG-A", "RFID-1", ""} and len(rows) > 20, "the second thing passes the gate"
    start_ns = 1_767_225_600 * 10**9
    want = [[iso_from_ns(start_ns + int(row[0]) * 10**9), *row[1:5], "", "", *row[7:]] for row in rows]
    assert kept == want
    assert main(["rebuild", "--journal", url]) == 0
    assert "identical" in "".join(capsys.readouterr())
    reader = open_reader(url)
    picture = Picture(reader, tmp_path / "p.picture")
    while picture.step():
        pass
    shown = {t.track_id: t for t in picture.fold.believed(start_ns + 130 * 10**9)}
    assert {row[1] for row in kept if row[0] == want[-1][0]} == set(shown)
    picture.close()
    reader.close()


def test_a_journal_that_holds_something_else_is_left_alone(tmp_path, capsys):
    files, url = mixed(tmp_path), f"sqlite:///{tmp_path / 'j.db'}"
    assert run(*files, "--every", 60, "--journal", url) == 0
    assert run(*files, "--every", 60, "--journal", url, "--start", "2026-02-01T00:00:00Z") == 2
    assert "a new journal was expected" in capsys.readouterr().err
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "d.csv").write_text("t,t_arrival,sensor_id,e_m,n_m,r_ee,r_en,r_nn\n1,2,radar,0,0,9,0,9\n")
    assert run("--detections", bare / "d.csv", "--every", 1, "--journal", f"sqlite:///{tmp_path / 'k.db'}") == 2
    assert "an origin" in capsys.readouterr().err and not (tmp_path / "k.db").exists()


def test_no_row_looks_ahead(tmp_path, capsys):
    """What arrives later changes nothing of what was said before, ids included: who speaks later is enrolled later."""
    files = mixed(tmp_path)
    assert run(*files, "--every", 5) == 0
    whole = capsys.readouterr().out.splitlines()
    head, *rows = (tmp_path / "d.csv").read_text().splitlines()
    (tmp_path / "d.csv").write_text("\n".join([head, *(row for row in rows if float(row.split(",")[1]) <= 55)]) + "\n")
    assert run(*files, "--every", 5) == 0
    cut = capsys.readouterr().out.splitlines()
    early = [line for line in whole[1:] if float(line.split(",")[0]) <= 55]
    assert [line for line in cut[1:] if float(line.split(",")[0]) <= 55] == early and len(early) > 15


def test_without_somebody_who_said_nothing_says_so(tmp_path, capsys):
    files, url = mixed(tmp_path), f"sqlite:///{tmp_path / 'j.db'}"
    assert run(*files, "--every", 60, "--journal", url) == 0
    whole = capsys.readouterr().out
    assert run("--journal", url, "--every", 60, "--without", "nobody", "--late", "radar=5") == 0
    out, err = capsys.readouterr()
    assert err.count("nothing in this journal") == 1 and "nobody" in err
    assert run("--journal", url, "--every", 60, "--without", "radar", "--without", "drone") == 0
    out, err = capsys.readouterr()
    assert err == "" and len(out.splitlines()) < len(whole.splitlines()), "without the radar only the tag is known"


def test_a_source_that_is_decades_late_with_a_short_step_is_refused_in_a_line(files, tmp_path, capsys):
    """It went through every second of them first."""
    url = f"sqlite:///{tmp_path}/j.db"
    assert run("--detections", files[0], "--sensors", files[1], "--every", 10, "--journal", url) == 0
    assert run("--journal", url, "--every", 1, "--late", "TAG=1e9") == 2
    assert "--every: more than 20,000,000 answers" in capsys.readouterr().err


def test_an_operation_that_there_is_none_of_and_times_that_cannot_be_are_refused(files, tmp_path, capsys):
    """A slip of the hand was an empty table, with exit 0."""
    url = f"sqlite:///{tmp_path}/j.db"
    assert run("--detections", files[0], "--sensors", files[1], "--every", 10, "--journal", url) == 0
    assert main(["operation", "add", "HERON", "--journal", url]) == 0
    capsys.readouterr()
    assert run("--journal", url, "--every", 10, "--operation", "HERNO") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == "birddog track: --operation: there is no operation 'HERNO' in this journal"
    assert run("--journal", url, "--every", 10, "--operation", "HERON", "--to", "2026-01-01T00:02:00Z") == 0
    assert capsys.readouterr().out == HEAD + "\n"
    assert run("--journal", url, "--every", 50, "--operation", "open", "--from", 1767225650, "--to", 1767225650) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run("--journal", url, "--every", 10, "--from", 1767225650, "--to", 1767225649) == 2
    assert "--to: wants a time that is not before --from" in capsys.readouterr().err


@pytest.mark.parametrize("duration_s", [1e308, 1e12, 1e9, -5])
def test_a_duration_that_is_no_scenarios_is_said(files, tmp_path, duration_s, capsys):
    """1e308 was a fault of Birddog itself, and 1e12 rows without end."""
    sensors = tmp_path / "long.json"
    sensors.write_text(json.dumps(json.loads(files[1].read_text()) | {"duration_s": duration_s}))
    assert run("--detections", files[0], "--sensors", sensors, "--every", 10) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"{sensors}: duration_s: 0 to 10,000,000 s were expected" in err and len(err.splitlines()) == 1
