"""birddog journal count, tail, export: the public form of every kind of entry, strict, and beside a writer."""

from __future__ import annotations

import json

import msgspec
import pytest

from birddog.journal import open_writer
from birddog.model import (
    Attachment,
    Decision,
    Device,
    Draft,
    Fix,
    Flag,
    FrameBody,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Reject,
    Scan,
    Sighting,
    Start,
    Tick,
    pack,
)
from birddog.units import NS
from ingest import control
from opsroom import cli

T0 = 1_700_000_000 * NS
ODD = 'a "b"\n\u2028\x1b[31m'
KEYS = ["seq", "kind", "received", "source", "device", "format", "payload_hex", "observations", "rejects"]


def frame(k: int, body, **more) -> Draft:
    kind = "frame" if isinstance(body, FrameBody) else "refusal"
    return Draft(kind=kind, received_ns=T0 + k * NS, source="mqtt", ident=b"%d" % k, body=pack(body),
                 observations=len(body.observations), reasons=tuple(r.reason for r in body.rejects), **more)


@pytest.fixture
def url(tmp_path):
    made = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(made, mode="exercise")
    fix = Fix(device="tag", time_ns=T0, lat_deg=51.9, lon_deg=4.1, attributes={"say": ODD, "n": 1.5})
    battery = Reading(device="tag", time_ns=None, time_source="server", quantity="battery_voltage", value=3.71, unit="V")
    writer.append([
        frame(1, FrameBody(format="owntracks", version=1, payload=b"\x00\xff", device="tag", observations=(fix, battery))),
        frame(2, FrameBody(format="nmea", version=1, payload=b"$", device="", rejects=(Reject("checksum", "wrong"),))),
        frame(3, RefusalBody(format="ais", version=1, device="x", rejects=(Reject("unknown_device"),), payload_hash=bytes(32))),
        Draft(kind="tick", received_ns=T0 + 4 * NS, source="desk", ident=b"4", body=pack(Tick())),
    ])  # fmt: skip
    writer.close()
    ring = ((4.0, 51.0), (4.1, 51.0), (4.1, 51.1), (4.0, 51.0))
    seen = Sighting(device="sar", time_ns=T0, lat_deg=51.05, lon_deg=4.05, r_ee=9.0, r_en=0.0, r_nn=9.0, scan="s1")
    flag = Flag(flag_id="f", detector="cfar", score=9.0, pfa=1e-6, col=1.0, row=2.0, bbox_px=(0, 0, 3, 3), thumbnail=b"\x89PNG")
    scan = Scan(scan_id="s1", sensor="sar", time_ns=T0, footprint=ring, pd=0.8, clutter_per_km2=0.1, sightings=(seen, seen),
                flags=(flag,))
    control.enter(made, [scan, Operation(operation="A")], source="operator")
    # names as journals of other programs may hold them
    writer = open_writer(made, mode="exercise")
    writer.append([control.own(Device(device="tag", name="a\nb"), source="operator")])
    writer.close()
    control.enter(made, [
        Attachment(device="tag", shipment="s", operation="A", from_ns=0),
        Placement(device="p", lat_deg=1.0, lon_deg=2.0, range_m=3.0), Decision(action="acknowledge", subject="a1", by="ann"),
    ], source="operator")  # fmt: skip
    writer = open_writer(made, mode="exercise")
    start = control.own(Start(version="1", presets={}, exercise=True), source="run")
    writer.append([msgspec.structs.replace(start, received_ns=T0 + 5 * NS)])
    writer.close()
    return made


def lines(capsys, *words: str) -> list[dict]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert cli.main(["journal", *words]) == 0
    return [json.loads(line, parse_constant=refuse) for line in capsys.readouterr().out.splitlines()]


def test_every_entry_has_the_promised_keys(url, capsys):
    rows = lines(capsys, "export", "--journal", url)
    assert [row["seq"] for row in rows] == list(range(1, 12))
    assert [row["kind"] for row in rows] == ["frame", "frame", "refusal", "tick", "scan", "operation", "device", "attachment",
                                             "placement", "decision", "start"]  # fmt: skip
    for row in rows:
        assert [key for key in KEYS if key not in row] == [], row
        assert row["received"].endswith("Z") and len(row["received"]) == 24
    assert (rows[0]["payload_hex"], rows[0]["received"], rows[0]["device"]) == ("00ff", "2023-11-14T22:13:21.000Z", "tag")
    assert rows[2]["payload_hex"] == "" and rows[2]["rejects"] == [{"reason": "unknown_device", "detail": ""}]


def test_an_observation_stands_in_one_place_only(url, capsys):
    rows = lines(capsys, "export", "--journal", url)
    assert [[o["kind"] for o in row["observations"]] for row in rows[:5]] == [["fix", "reading"], [], [], [], ["sighting"] * 2]
    first = rows[0]["observations"][0]
    assert (first["time"], first["lat_deg"], first["attributes"]["say"]) == ("2023-11-14T22:13:20.000Z", 51.9, ODD)
    assert rows[4]["device"] == "sar" and rows[4]["observations"][0]["scan"] == "s1"
    for row in rows:
        rest = json.dumps({key: value for key, value in row.items() if key != "observations"})
        assert '"sighting"' not in rest and '"fix"' not in rest and "51.9" not in rest and "51.05" not in rest


def test_the_counters_are_those_of_the_lines(url, capsys):
    rows = lines(capsys, "export", "--journal", url)
    [counts] = lines(capsys, "count", "--json", "--journal", url)
    assert counts == {"frames": 3, "observations": sum(len(row["observations"]) for row in rows),
                      "rejects": {"checksum": 1, "unknown_device": 1}, "unread": {}, "undated": 0, "duplicates": 0,
                      "last_seq": 11}  # fmt: skip


def test_from_an_entry_on(url, capsys, tmp_path):
    assert [row["seq"] for row in lines(capsys, "export", "--after", "9", "--journal", url)] == [10, 11]
    assert lines(capsys, "export", "--after", "11", "--journal", url) == []
    assert [row["seq"] for row in lines(capsys, "tail", "-n", "2", "--json", "--journal", url)] == [10, 11]
    assert lines(capsys, "tail", "-n", "0", "--json", "--journal", url) == []
    assert cli.main(["journal", "export", "--out", str(tmp_path / "o"), "--journal", url]) == 0
    assert (tmp_path / "o").read_bytes().count(b"\n") == 11 and capsys.readouterr().out == ""


def test_a_tail_for_people_is_one_line_an_entry_and_moves_no_cursor(url, capsys):
    assert cli.main(["journal", "tail", "-n", "100", "--journal", url]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 11 and "\x1b" not in out
    assert "REFUSED checksum: wrong" in out and "a\\nb" in out
