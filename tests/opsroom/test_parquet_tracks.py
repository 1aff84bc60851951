"""Parquet in `birddog archive build`: the same archive as of the same CSV, and each bad row told by file, row and field."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birddog.units import NS, iso_from_ns
from opsroom import parquet_tracks
from opsroom.cli import main

BEGIN_S = 1_780_000_000
UTC = datetime.UTC


def fleet(n=6, fixes=40):
    """(ids, POSIX seconds, latitudes, longitudes)."""
    rows = [(244_000_000 + v, BEGIN_S + 3600 * v + 300 * k, 30.0 + 0.01 * v, 32.0 + 0.015 * k)
            for k in range(fixes) for v in range(n)]  # fmt: skip
    return [list(c) for c in zip(*rows, strict=True)]


def build(*files, to, more=()):
    return main(["archive", "build", *map(str, files), "--to", str(to), "--horizons", "", *more])


def columns_of(folder):
    """What stands in an archive, but for the list of its sources."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir() if p.suffix == ".npy"}


IDS, SECONDS, LAT, LON = fleet()
FORMS = {
    "numbers": {"id": IDS, "t": SECONDS, "lat": LAT, "lon": LON},
    "text": {"id": list(map(str, IDS)), "t": [iso_from_ns(t * NS) for t in SECONDS], "lat": list(map(repr, LAT)),
             "lon": list(map(repr, LON))},
    "a zone": {"lon": LON, "other": IDS, "lat": LAT, "id": pa.array(list(map(str, IDS))).dictionary_encode(),
               "t": pa.array([t * 1000 for t in SECONDS], pa.timestamp("ms", tz="Europe/Paris"))},
    "fractions": {"track_id": list(map(float, IDS)), "t": list(map(float, SECONDS)), "lat": LAT,
                  "lon": [decimal.Decimal(f"{x:.7f}") for x in LON]},
    "an archive of NOAA": {"MMSI": IDS, "LAT": LAT, "LON": LON,
                           "BaseDateTime": [datetime.datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S")
                                            for t in SECONDS]},
    "the same as timestamps": {"MMSI": IDS, "LAT": LAT, "LON": LON,
                               "BaseDateTime": pa.array([t * 10**9 for t in SECONDS], pa.timestamp("ns"))},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_of_parquet_is_the_archive_of_the_csv(tmp_path, capsys, monkeypatch, form):
    rows = "".join(f"{i},{iso_from_ns(t * NS)},{a!r},{o!r}\n" for i, t, a, o in zip(IDS, SECONDS, LAT, LON, strict=True))
    (tmp_path / "a.csv").write_text("id,t,lat,lon\n" + rows)
    monkeypatch.setattr(parquet_tracks, "ROWS", 50)  # several lots, of several row groups
    pq.write_table(pa.table(FORMS[form]), tmp_path / "a.parquet", row_group_size=70)
    assert build(tmp_path / "a.csv", to=tmp_path / "one") == 0
    assert build(tmp_path / "a.parquet", to=tmp_path / "two") == 0
    assert columns_of(tmp_path / "one") == columns_of(tmp_path / "two")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("field, value, said", [
    ("id", None, "row 103: id: missing, or no identity"),
    ("id", " ", "row 103: id: missing, or no identity"),
    ("t", None, "row 103: t: missing"),
    ("t", 1e12, "row 103: t 1000000000000.0: no POSIX seconds of these centuries"),
    ("lat", None, "row 103: lat: missing"),
    ("lat", float("nan"), "row 103: lat nan: not finite"),
    ("lat", 91.0, "row 103: lat 91.0: beyond 90"),
    ("lon", float("inf"), "row 103: lon inf: not finite"),
    ("lon", -181.5, "row 103: lon -181.5: beyond 180"),
])  # fmt: skip
def test_a_bad_row_is_told_by_file_row_and_field_and_the_rest_goes_on(tmp_path, capsys, monkeypatch, field, value, said):
    monkeypatch.setattr(parquet_tracks, "ROWS", 64)
    columns = {"id": list(map(str, IDS)), "t": list(map(float, SECONDS)), "lat": list(LAT), "lon": list(LON)}
    columns[field][102] = value
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=100)
    assert build(tmp_path / "a.parquet", to=tmp_path / "a", more=["--json"]) == 0
    out, err = capsys.readouterr()
    assert err == f"{tmp_path}/a.parquet: {said}; left out\n"
    assert f'"fixes":{len(IDS) - 1}' in out.replace(" ", "")


def test_a_text_time_without_a_zone_and_a_position_of_nothing_are_told_by_row(tmp_path, capsys):
    columns = {"id": ["a"] * 5, "t": [iso_from_ns((BEGIN_S + 60 * k) * NS) for k in range(5)],
               "lat": [30.0, 0.0, 30.0, 30.0, 30.0], "lon": [32.0, 0.0, 32.0, 32.0, 32.0]}  # fmt: skip
    columns["t"][3] = columns["t"][3].rstrip("Z")
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert build(tmp_path / "a.parquet", to=tmp_path / "a") == 0
    err = capsys.readouterr().err
    assert "row 4: t: " in err and "has no offset" in err and "row 2: position 0, 0; left out" in err


@pytest.mark.parametrize("columns, said", [
    ({"vessel": ["a"], "t": [BEGIN_S], "lat": [1.0], "lon": [2.0]}, "no such column; expected id, t, lat, lon"),
    ({"id": ["a"], "t": pa.array([BEGIN_S], pa.timestamp("s")), "lat": [1.0], "lon": [2.0]}, "t: timestamp[ms] has no zone"),
    ({"id": ["a"], "t": pa.array([1], pa.date32()), "lat": [1.0], "lon": [2.0]}, "holds date32[day]; expected a timestamp"),
    ({"id": ["a"], "t": [BEGIN_S], "lat": [[1.0]], "lon": [2.0]}, "lat: holds list<"),
    ({"id": [True], "t": [BEGIN_S], "lat": [1.0], "lon": [2.0]}, "id: holds bool; expected text or a whole number"),
])  # fmt: skip
def test_a_column_that_can_be_none_is_one_line(tmp_path, capsys, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert build(tmp_path / "a.parquet", to=tmp_path / "a") == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1 and "a.parquet" in err


@pytest.mark.parametrize("harm", [
    lambda b: b[:4],
    lambda b: b[: len(b) // 2],
    lambda b: b[:-9] + bytes(9),
    lambda b: b[:200] + bytes(byte ^ 0x55 for byte in b[200:400]) + b[400:],
])  # fmt: skip
def test_a_damaged_file_is_one_line(tmp_path, capsys, harm):
    rng = np.random.default_rng(1)
    table = pa.table({"id": IDS, "t": SECONDS, "lat": rng.uniform(0, 1, len(IDS)), "lon": LON})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "a.parquet").write_bytes(harm((tmp_path / "a.parquet").read_bytes()))
    assert build(tmp_path / "a.parquet", to=tmp_path / "a") == 2
    err = capsys.readouterr().err
    assert "Parquet" in err and len(err.splitlines()) == 1 and "a.parquet" in err


def test_without_pyarrow_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    pq.write_table(pa.table(FORMS["numbers"]), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert build(tmp_path / "a.parquet", to=tmp_path / "a") == 2
    err = capsys.readouterr().err
    assert "pip install 'birddog[parquet]'" in err and len(err.splitlines()) == 1


def test_an_archive_option_takes_parquet_as_it_takes_csv(tmp_path, capsys):
    pq.write_table(pa.table(FORMS["numbers"]), tmp_path / "a.parquet")
    (tmp_path / "t.csv").write_text("id,t,lat,lon\n" + "".join(
        f"x,{BEGIN_S + 90_000 + 300 * k},30.0,{32.0 + 0.015 * k}\n" for k in range(6)))  # fmt: skip
    (tmp_path / "at.csv").write_text(f"id,t0,horizon_min\nx,{BEGIN_S + 91_600},30\n")
    words = ["--archive", str(tmp_path / "a.parquet"), "--tracks", str(tmp_path / "t.csv"), "--at", str(tmp_path / "at.csv")]
    assert main(["forecast", *words]) == 0
    lat, lon = map(float, capsys.readouterr().out.splitlines()[1].split(",")[3:5])
    # with the others: 5 m/s east for half an hour
    assert abs(lat - 30.0) < 0.1 and 32.13 < lon < 32.19
