"""The cases of ../shared/cases/formats as their pages say: one row a case, what must come out.

What is right, and for which kinds, stands in the tests of each format; here ``birddog decode`` is given the very inputs.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsroom.cli import main

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "formats"
pytestmark = pytest.mark.shared


def lines(capsys, name: str) -> list[dict]:
    """The answers to a case: one a line of JSON, or the rows of a stream."""
    file = CASES / name
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    form = {".ais": "ais", ".nmea": "nmea", ".ubx": "ubx", ".csv": "positions"}.get(file.suffix)
    assert main(["decode", *(["--jsonl"] if form is None else ["--stream", form]), str(file)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def short(answers: list[dict]) -> list[list]:
    """Of each message: its observations' kinds with what they are, then its rejects' reasons."""
    out = []
    for answer in answers:
        row: list = []
        for o in answer["observations"]:
            row.append({"fix": lambda o=o: "fix", "reading": lambda o=o: f"{o['quantity']}={o['value']}",
                        "alarm": lambda o=o: o["alarm"], "tag_read": lambda o=o: o["epc"]}[o["kind"]]())
        out.append(row + [r["reason"] for r in answer["rejects"]])
    return out


SGTIN = "urn:epc:tag:sgtin-96:1.8719139.000574.340548"


@pytest.mark.parametrize(("name", "right"), [
    ("ais27-length.jsonl", [["length"]] * 3),
    ("epc-48bit.jsonl", [["type"], ["type"], ["length"], ["type"], [SGTIN]]),
    ("modbus-not-available.jsonl", [["value"] * 5]),
    ("owntracks-negative-accuracy.jsonl", [["fix_valid=False", "battery_level=26.0"], ["fix_valid=False"], ["fix"]]),
    ("teltonika-clock-2004.jsonl", [["fix_valid=False"]]),
    ("teltonika-ids-of-other-models.jsonl", [["fix"]] * 3),
    ("teltonika-panic-is-not-sos.jsonl", [["fix_valid=False"], ["fix", "ignition=True"]]),
    ("chirpstack-makers-codecs.jsonl", [
        ["fix", "battery_voltage=5.55", "rssi=-91.0"], ["fix", "battery_level=93.0", "rssi=-91.0"],
        ["fix", "battery_voltage=3.6", "rssi=-91.0"], ["fix", "battery_voltage=4.03", "rssi=-91.0"], ["fix", "rssi=-91.0"],
        ["fix", "battery_level=93.0", "rssi=-91.0"]]),
])  # fmt: skip
def test_what_comes_out(capsys, name, right):
    assert short(lines(capsys, name)) == right


def test_devices_replies_and_times_of_messages(capsys):
    devices = [a["observations"][0]["device"] for a in lines(capsys, "owntracks-identity.jsonl")]
    assert devices == ["anna/phone", "ben/phone", "anna/van7", "carl/van9"]
    replies = [bytes.fromhex(a["reply_hex"]) for a in lines(capsys, "queclink-sack.jsonl")]
    assert replies == [b"+SACK:0080$", b"+SACK:0082$", b"+SACK:GTHBD,0E0502,0081$"]
    (reading,) = lines(capsys, "teltonika-clock-2004.jsonl")[0]["observations"]
    assert (reading["time"], "no_fix_time" in reading["flags"]) == ("2025-11-01T09:40:05.000Z", True)
    fixes = [a["observations"][0] for a in lines(capsys, "chirpstack-makers-codecs.jsonl")]
    assert [(f["lat_deg"], f["lon_deg"]) for f in fixes] == [
        (-32.0, 116.0), (48.92, 2.3), (25.07, 121.57), (22.7, 114.2), (52.0, 4.3), (52.0, 4.3)]
    assert [f["time"] for f in fixes[4:]] == ["2025-11-01T09:39:50.000Z", "2025-10-31T08:40:00.000Z"]
    assert (fixes[0]["course_deg"], fixes[5]["flags"]) == (90.0, ["backlog"])


def test_streams(capsys):
    times = [row["time"] for row in lines(capsys, "ais-tag-fraction.ais")]
    assert times == ["2023-11-04T15:54:31.000Z", "2023-11-04T15:54:31.576Z", "2023-11-04T15:54:31.576Z"]
    assert all(row["sigma_m"] > 53.0 for row in lines(capsys, "ais27-sigma.ais"))
    gga, rmc = lines(capsys, "nmea-times-thrown-away.nmea")
    assert (gga["time"], gga["time_source"], rmc["kind"]) == ("2023-11-14T14:46:03.000Z", "gateway", "fix")
    (row, name) = lines(capsys, "positions-archive-headers.csv")
    assert (row["kind"], row["time"], name["value"]) == ("fix", "2023-01-01T00:00:00.000Z", "SAMPLE")
    invalid, unsure = lines(capsys, "ubx-invalid-llh.ubx")
    assert (invalid["quantity"], unsure["flags"], unsure["sigma_m"] > 1e6) == ("fix_valid", ["low_quality"], True)
    assert {row["alarm"] for row in lines(capsys, "ubx-jamming-of-newer-receivers.ubx")} == {"jamming", "spoofing"}
