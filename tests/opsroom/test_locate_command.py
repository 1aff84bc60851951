"""`birddog locate`: the promised form, refused rows, errors in one line."""

from __future__ import annotations

import pytest

from opsroom.cli import main

HEAD = "track_id,t,lat_deg,lon_deg,e_m,n_m,p_ee,p_en,p_nn"


@pytest.fixture
def files(tmp_path):
    fixes, at = tmp_path / "fixes.csv", tmp_path / "at.csv"
    fixes.write_text(
        "t,track_id,extra,lat,lon,sigma_m\n"
        + "".join(f"{1_790_000_000 + 10 * k},a,x,{50 + k * 1e-4},-1.0,5\n" for k in range(20))
        + "1790000050,a,x,nan,-1.0,5\n2026-01-01T00:00:00,a,x,50,-1,5\n1790000055,a,x,50.0,,5\n",
        encoding="utf-8",
    )
    at.write_text("track_id,t\na,1790000195.5\nb,1790000100\na,2026-09-21T13:35:00Z\n", encoding="utf-8")
    return fixes, at


def run(*args) -> int:
    return main(["locate", *map(str, args)])


@pytest.mark.parametrize("head, row", [
    ("MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading", "244060123,2026-09-21T13:{m:02d}:00,{lat},-1.0,7.2,0.0,511"),
    ("mmsi,base_date_time,longitude,latitude,sog,cog,status", "244060123,2026-09-21 13:{m:02d}:00,-1.0,{lat},102.3,360.0,0"),
    ("# Timestamp,Type of mobile,MMSI,Latitude,Longitude,SOG", "21/09/2026 13:{m:02d}:00,Class A,244060123,{lat},-1.0,7.2"),
    ("mmsi;lon;lat;date_time_utc;sog;cog;nav_status", "244060123;-1.0;{lat};2026-09-21 13:{m:02d}:00;7.2;0.0;0"),
])  # fmt: skip
def test_the_files_of_ais_archives_are_read_as_they_come(tmp_path, capsys, head, row):
    fixes, at = tmp_path / "archive.csv", tmp_path / "at.csv"
    fixes.write_text("\n".join([head, *(row.format(m=k, lat=50 + k * 2e-3) for k in range(30))]) + "\n", encoding="utf-8")
    at.write_text("track_id,t\n244060123,2026-09-21T13:20:30Z\n", encoding="utf-8")
    assert run("--fixes", fixes, "--at", at, "--mode", "smoothed") == 0
    out, err = capsys.readouterr()
    assert float(out.splitlines()[1].split(",")[2]) == pytest.approx(50 + 20.5 * 2e-3, abs=1e-4) and not err


def test_a_table_of_somebodys_own_still_names_its_columns(tmp_path, capsys):
    fixes, at = tmp_path / "own.csv", tmp_path / "at.csv"
    fixes.write_text("vessel,t,lat,lon\na,1790000000,50,-1\n", encoding="utf-8")
    at.write_text("track_id,t\na,1790000000\n", encoding="utf-8")
    assert run("--fixes", fixes, "--at", at, "--mode", "live") == 2
    assert "track_id" in capsys.readouterr().err


def test_one_row_a_question_in_order(files, capsys):
    fixes, at = files
    assert run("--fixes", fixes, "--at", at, "--mode", "live") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == HEAD and [line.split(",")[:2] for line in lines[1:]] == [
        ["a", "1790000195.5"], ["b", "1790000100"], ["a", "2026-09-21T13:35:00Z"],
    ]  # fmt: skip
    assert float(lines[1].split(",")[2]) == pytest.approx(50 + 19.55e-4, abs=5e-5)
    assert lines[2] == "b,1790000100,,,,,,,"
    assert [f"{fixes}:{n}:" in err for n in (22, 23, 24)] == [True] * 3 and "Traceback" not in err


def test_a_plane_has_no_degrees(tmp_path, capsys):
    (tmp_path / "f").write_text("track_id,t,e_m,n_m\n" + "".join(f"a,{k},{3 * k},{-k}\n" for k in range(30)))
    (tmp_path / "q").write_text("track_id,t\na,14.5\n")
    assert run("--fixes", tmp_path / "f", "--at", tmp_path / "q", "--mode", "smoothed", "--out", tmp_path / "o") == 0
    assert capsys.readouterr().out == ""
    row = (tmp_path / "o").read_text().splitlines()[1].split(",")
    assert row[2:4] == ["", ""] and float(row[4]) == pytest.approx(43.5, abs=0.5)


@pytest.mark.parametrize(
    "text, said",
    [("", "1: empty"), ("track_id,lat,lon\n", "1: t: no such column"), ("track_id,t,lat\n", "1: columns missing")],
)
def test_a_wrong_file_is_one_line(files, tmp_path, capsys, text, said):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(text)
    assert run("--fixes", wrong, "--at", files[1], "--mode", "live") == 2
    err = capsys.readouterr().err
    assert f"{wrong}:{said}" in err and len(err.splitlines()) == 1
    assert run("--fixes", tmp_path / "absent.csv", "--at", files[1], "--mode", "live") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("column,value", [
    ("sigma_m", "0"), ("sigma_m", "nan"), ("sog_mps", "nan"), ("cog_deg", "x"), ("class", "spaceship"), ("class", "Van"),
])  # fmt: skip
def test_a_fix_is_not_lost_for_a_value_that_it_need_not_have(tmp_path, capsys, column, value):
    (tmp_path / "q").write_text("track_id,t\na,29\n")
    said = []
    for name, last in (("with", value), ("without", "")):
        rows = "".join(f"a,{k},{3 * k},{-k},{last if k == 29 else ''}\n" for k in range(30))
        (tmp_path / name).write_text(f"track_id,t,e_m,n_m,{column}\n" + rows)
        assert run("--fixes", tmp_path / name, "--at", tmp_path / "q", "--mode", "smoothed") == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert f"with:31: {column}: " in said[0].err and len(said[0].err.splitlines()) == 1 and said[1].err == ""


@pytest.mark.parametrize("rows,geodetic", [
    ("a,{k},,,{e},{n}\n", False), ("a,{k}, , ,{e},{n}\n", False), ("a,{k},{lat},4.0,{e},{n}\n", True),
    ("a,{k},{lat},4.0,,\n", True),
])  # fmt: skip
def test_of_two_forms_the_one_that_is_filled_in(tmp_path, capsys, rows, geodetic):
    text = "".join(rows.format(k=k, e=3 * k, n=-k, lat=50 + k * 1e-4) for k in range(30))
    (tmp_path / "f").write_text("track_id,t,lat,lon,e_m,n_m\n" + text)
    (tmp_path / "q").write_text("track_id,t\na,14.5\n")
    assert run("--fixes", tmp_path / "f", "--at", tmp_path / "q", "--mode", "smoothed") == 0
    out, err = capsys.readouterr()
    row = out.splitlines()[1].split(",")
    assert err == "" and bool(row[2]) == geodetic and row[4]
    assert geodetic or float(row[4]) == pytest.approx(43.5, abs=0.5)


@pytest.mark.parametrize("column,value", [("sog_mps", "-10"), ("sog_mps", "1e300"), ("cog_deg", "1e300"), ("cog_deg", "511")])
def test_a_speed_or_course_that_is_none_moves_nothing(tmp_path, capsys, column, value):
    (tmp_path / "q").write_text("track_id,t\na,20.5\n")
    said = []
    for name, odd in (("with", value), ("without", "")):
        rows = "".join(f"a,{k},{8 * k},{6 * k},{odd if k == 20 and column == 'sog_mps' else 10},"
                       f"{odd if k == 20 and column == 'cog_deg' else 53.1}\n" for k in range(30))  # fmt: skip
        (tmp_path / name).write_text("track_id,t,e_m,n_m,sog_mps,cog_deg\n" + rows)
        assert run("--fixes", tmp_path / name, "--at", tmp_path / "q", "--mode", "live") == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert f"with:22: {column}: " in said[0].err and len(said[0].err.splitlines()) == 1 and said[1].err == ""


@pytest.mark.parametrize("mode", ["live", "smoothed"])
@pytest.mark.parametrize("x,row", [
    ("e_m,n_m", "a,33,264,198,1e200"), ("e_m,n_m", "a,33,264,198,1e160"), ("lat,lon", "a,33,50.0,-1.0,1e100"),
    ("e_m,n_m", "a,33,1e160,198,5"), ("e_m,n_m", "a,33,264,-1e300,5"), ("e_m,n_m", "a,33,1e20,198,5"),
])  # fmt: skip
def test_a_huge_number_in_one_row_spoils_no_answer(tmp_path, capsys, mode, x, row):
    (tmp_path / "q").write_text("track_id,t\na,35\nb,35\n")
    place = (lambda k: f"{8 * k},{6 * k}") if x == "e_m,n_m" else (lambda k: f"{50 + 6e-5 * k:.7f},{-1 + 1e-4 * k:.7f}")
    rows = f"track_id,t,{x},sigma_m\n" + "".join(f"{name},{k},{place(k)},5\n" for k in range(40) for name in "ab")
    said = []
    for name, more in (("with", row + "\n"), ("without", "")):
        (tmp_path / name).write_text(rows + more)
        assert run("--fixes", tmp_path / name, "--at", tmp_path / "q", "--mode", mode) == 0
        said.append(capsys.readouterr())
    with_it, without = ([[float(v or 0) for v in r.split(",")[2:]] for r in s.out.splitlines()[1:]] for s in said)
    assert with_it[1] == without[1]  # the other track's, to the digit
    assert with_it[0] == pytest.approx(without[0], rel=1e-3, abs=1e-3)
    # what no place on Earth can be is said, with line and field; a sigma beyond all bounds knows nothing
    assert (": row left out" in said[0].err.replace("; row", ": row")) == row.endswith(",5") and "Warning" not in said[0].err
