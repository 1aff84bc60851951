"""queclink against real messages of many models, as Traccar reads them, and damage that no check sum shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birddog.model import Fix
from birddog.units import ns_from_text
from devices import codec
from devices.codec import Message
from devices.formats import queclink

TRACCAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "traccar" / "gl200text.jsonl"
REPORT = queclink.encode(imei="860599000306845", lat_deg=51.949632, lon_deg=-4.14533, time_ns=1_761_990_000_000_000_000)


def fixes(payload: bytes) -> list[Fix]:
    decoded = codec.decode_whole(queclink, queclink.Decoder(), Message(payload=payload))
    return [o for o in decoded.observations if isinstance(o, Fix)]


def test_a_report_cut_anywhere_gives_nothing():
    assert len(fixes(REPORT)) == 1
    assert len(fixes(REPORT[:-1])) == 1  # only the $ is missing: time and count are there
    for cut in range(len(REPORT) - 1):
        assert not fixes(REPORT[:cut])


def test_the_next_report_is_not_lost_with_a_cut_one():
    for cut in range(8, len(REPORT) - 10):
        assert len(fixes(REPORT[:cut] + REPORT)) == 1, cut


@pytest.mark.parametrize("old, new", [(b"20251101094000", b"20251301094000"), (b"20251101094000", b"00000000000000"),
                                      (b"51.949632", b"0.000000")])  # fmt: skip
def test_blocks_that_are_no_fix(old, new):
    report = REPORT.replace(old, new).replace(b"-4.145330", b"0.000000" if b"51" in old else b"-4.145330")
    assert not fixes(report)


@pytest.mark.shared
@pytest.mark.skipif(not TRACCAR.is_file(), reason="../shared/data/ingest/traccar is not here")
def test_real_messages_as_traccar_reads_them():
    seen = 0
    for line in TRACCAR.read_text().splitlines():
        row = json.loads(line)
        got = [(f.lat_deg, f.lon_deg, f.time_ns) for f in fixes(bytes.fromhex(row["payload"]))]
        want = [x for x in row["expected"] if not x["outdated"] and x["attrs"].get("hdop")]
        if want or not row["expected"]:  # Traccar leaves the positions of a few reports (CAN) unread
            assert got == [(x["lat"], x["lon"], ns_from_text(x["fix_time"])) for x in want], row["seq"]
        seen += len(want)
    assert seen > 25
