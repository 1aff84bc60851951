"""CSV as other programs write it: columns by name, a bad row left out with its line, a bad file one line."""

from __future__ import annotations

import pytest

from birddog.errors import UsageError
from opsroom import csv_rows

GOOD = "id,t,x\na,1,2.5\n"


def read(path, text: str | bytes, required=("t", "x"), either=()):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    wanted = {"t": csv_rows.time_ns, "x": csv_rows.number}
    columns, lines = csv_rows.rows(str(path), required, either=either)
    return [got for line, row in lines if (got := csv_rows.taken(str(path), line, row, wanted))]


@pytest.mark.parametrize("text", [
    GOOD, GOOD.rstrip(), GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r"),
    b"\xef\xbb\xbf" + GOOD.encode(), "x,t,id\n2.5,1,a\n", "id,t,x\na\u2028b\x0cc\x85\x1cd,1,2.5\n",
    '"id","t","x"\n"a, ""b""\n\r\n","1","2.5"\n',
    "id,t,x,note,note\na,1,2.5,,\n", "id,t,x\na,1,2.5,more\n", "id,t,x\n\na,1,2.5\n\n",
    "id,t,x\na, 1 , 2.5 \n", "id,t,x\na,1970-01-01T02:00:01+02:00,25e-1\n", "id,t,x,wkt\na,1,2.5," + "0 " * 200_000 + "\n",
])  # fmt: skip
def test_the_same_row_however_it_is_written(tmp_path, text):
    assert read(tmp_path / "c.csv", text) == [{"t": 1_000_000_000, "x": 2.5}]


@pytest.mark.parametrize("value,why", [
    ("", "missing"), (" ", "missing"), ("nan", "not finite"), ("inf", "not finite"), ("-Infinity", "not finite"),
    ("1e999", "not finite"), ("9" * 500, "not finite"), ("x", "is no number"), ("1_000", "is no number"),
    ("\u0663", "is no number"), ("0x10", "is no number"), ("1,5", "is no number"),
])  # fmt: skip
def test_a_value_that_is_none_leaves_its_row_out(tmp_path, capsys, value, why):
    assert len(read(tmp_path / "c.csv", f'id,t,x\na,1,"{value}"\na,2,3\n')) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/c.csv:2: x: ") and said.endswith(f"{why}; row left out\n") and len(said) < 200


def test_a_row_that_is_cut_short_is_left_out(tmp_path, capsys):
    assert len(read(tmp_path / "c.csv", "id,t,x\na,1\na,2,3\n")) == 1
    assert "c.csv:2: x: missing" in capsys.readouterr().err


@pytest.mark.parametrize("text,said", [
    ("", ":1: empty"), (b"\xef\xbb\xbf", ":1: empty"), ("id,x\n", ":1: t: no such column"),
    ("id,t,x,t\n", ":1: t: two columns"),
    (b"id\xff,t,x\na,1,2\n", ":1: not UTF-8"),
])  # fmt: skip
def test_a_file_that_is_none_is_one_line(tmp_path, text, said):
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "c.csv", text)
    assert f"{tmp_path}/c.csv" in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("row,said", [
    (b"\xff\xfe,1,2.5", "id: not UTF-8: byte 0xff"), (b"a,1,2\xe9", "x: not UTF-8: byte 0xe9"),
    (b'"abc,1,2.5', "id: not CSV"), (b'a,"1,2.5', "t: not CSV"), (b'a,1,"2', "x: not CSV"), (b'"a"b,1,2', "id: not CSV"),
    (b'a,"1"2,3', "t: not CSV"), (b'"a,""b""\n', "id: not CSV"),
])  # fmt: skip
def test_a_row_that_is_none_is_refused_and_the_rest_goes_on(tmp_path, capsys, row, said):
    """An auditor: one byte that is no UTF-8, one quote, and nothing of the whole file was read."""
    for rest in (b"b,2,3", b'"b",2,3', b'b,2,"3"', b'"b ""c""","2","3"'):
        for after in (1, 3):
            text = b"\n".join([b"id,t,x", b"a,1,2.5", row.rstrip(), *[rest] * after]) + b"\n"
            assert [got["x"] for got in read(tmp_path / "c.csv", text)] == [2.5] + [3.0] * after
            err = capsys.readouterr().err
            assert f"{tmp_path}/c.csv:3: {said}" in err and err.count("; row left out\n") == 1 and err.isascii()
    assert [got["x"] for got in read(tmp_path / "c.csv", b"id,t,x\na,1,2.5\n" + row.rstrip())] == [2.5]
    assert f"{tmp_path}/c.csv:3: {said}" in capsys.readouterr().err


def test_a_quote_in_each_row_is_read_in_time(tmp_path, capsys):
    assert read(tmp_path / "c.csv", "id,t,x\n" + 'a,1,"2\n' * 20_000 + "a,1,2\n") == [{"t": 1_000_000_000, "x": 2.0}]
    assert capsys.readouterr().err.count("not CSV") == 20_000


def test_one_group_of_columns_is_enough(tmp_path):
    groups = (("lat", "lon"), ("e_m", "n_m"))
    assert read(tmp_path / "c.csv", "t,x,e_m,n_m\n1,2,3,4\n", either=groups)
    with pytest.raises(UsageError, match="lat, lon or e_m, n_m"):
        read(tmp_path / "c.csv", "t,x,lat,n_m\n1,2,3,4\n", either=groups)


@pytest.mark.parametrize("value,why", [("nan", "'nan' is not finite"), ("x", "'x' is no number"),
                                       ("1e999", "'1e999' is not finite")])
def test_an_optional_value_that_is_none_is_not_given_and_said(tmp_path, capsys, value, why):
    (tmp_path / "c.csv").write_text("x,y\n" + f"1,{value}\n" * 9 + "2,7\n3,\n4\n")
    path = str(tmp_path / "c.csv")
    wanted = {"x": csv_rows.number, "y": csv_rows.Optional(csv_rows.number)}
    _, lines = csv_rows.rows(path, ("x",))
    got = [csv_rows.taken(path, line, row, wanted) for line, row in lines]
    csv_rows.told(path, wanted)
    assert got == [{"x": 1.0, "y": None}] * 9 + [{"x": 2.0, "y": 7.0}, {"x": 3.0, "y": None}, {"x": 4.0, "y": None}]
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{path}:{n}: y: {why}; taken as not given" for n in (2, 3, 4)] + [
        f"{path}: y: 6 more such values taken as not given",
    ]  # fmt: skip
