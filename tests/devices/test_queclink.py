"""queclink against real messages of many models, as Traccar reads them, and damage that no check sum shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birddog.model import Alarm, Fix, Reading
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


def said(text: str, received_ns: int | None = None) -> codec.Decoded:
    return codec.decode_whole(queclink, queclink.Decoder(), Message(payload=text.encode(), received_ns=received_ns))


BLOCK = "1,4.3,92,70.0,4.050000,51.950000,20261101161100"
NONE = "0,4.3,92,70.0,4.050000,51.950000,20261101161100"
REPORTS = sorted(
    {*queclink._ALARMS, *queclink._PLACELESS, *queclink._IGNITION, "FRI", "ERI", "DIS", "IGL", "RTL", "STT", "XYZ"}
)


@pytest.mark.parametrize("kind", ["RESP", "BUFF", "EVT", "ACK"])
@pytest.mark.parametrize("report", [*REPORTS, "HBD"])
def test_every_message_is_answered_with_its_own_count(kind, report):
    """A tracker that waits for +SACK sends the same message for ever (vitalidze/traccar-web#700)."""
    for middle in ("", f",,00,1,{BLOCK},0204,0008,0CEE,B951,00", ",,99,1,1,91,2,4.1,95.000000,95.000000,20261101161100,0204"):
        text = f"+{kind}:GT{report},0E0502,135790246811220,{middle},20261101161101,00A2$"
        wanted = b"+SACK:GTHBD,0E0502,00A2$" if (kind, report) == ("ACK", "HBD") else b"+SACK:00A2$"
        assert said(text).reply == wanted
    assert said(f"+{kind}:GT{report},0E0502,135790246811220,,00,1,{BLOCK},02").reply is None  # cut short: it comes again


@pytest.mark.parametrize("report", REPORTS)
def test_only_a_message_that_speaks_of_a_fix_says_that_there_is_none(report):
    def no_fix(middle: str) -> bool:
        answer = said(f"+RESP:GT{report},0E0502,135790246811220,{middle},20261101161101,00A2$")
        assert not [o for o in answer.observations if isinstance(o, Fix)]
        return ("fix_valid", False) in [(o.quantity, o.value) for o in answer.observations if isinstance(o, Reading)]

    assert not no_fix("") and not no_fix(",,1,2,3")
    assert no_fix(f",,00,1,{NONE},0204,0008,0CEE,B951,00")
    assert no_fix(",,00,1,,,,,,,,0204,0008,0CEE,B951,00") == (report not in queclink._PLACELESS)


def test_an_input_is_an_input():
    for kind, wanted in {"10": ("input_1", False), "21": ("input_2", True), "00": None, "": None, "2": None}.items():
        answer = said(f"+RESP:GTDIS,060228,862894020178276,,,{kind},1,{BLOCK},0204,0008,0CEE,B951,00,20261101161101,00A2$")
        assert not [o for o in answer.observations if isinstance(o, Alarm)]
        readings = [(o.quantity, o.value) for o in answer.observations if isinstance(o, Reading)]
        assert readings == ([wanted] if wanted else [])


def readings(text: str) -> dict:
    return {o.quantity: o.value for o in said(text).observations if isinstance(o, Reading)}


def test_igl_says_what_ign_and_igf_beside_it_say():
    """A GV50M (traccar/traccar#4776): with IGN comes IGL of type 00, with IGF of type 01."""
    tail = f"1,{BLOCK},0204,0008,0CEE,B951,00,20261101161101,00A2$"
    for on, digits in ((True, "00"), (False, "01"), (True, "10"), (False, "11")):
        assert readings(f"+RESP:GT{'IGN' if on else 'IGF'},FE1712,135790246811220,,142,{tail}") == {"ignition": on}
        assert readings(f"+RESP:GTIGL,FE1712,135790246811220,,,{digits},1,{tail}") == {"ignition": on}


def test_a_report_without_a_time_of_sending_is_whole_and_answered():
    """A GL300 that has no fix yet (jaayesta/queclink-parser#3): ``…,43,,AC30$``."""
    text = "+RESP:GTFRI,300301,135790246811220,GL300,0,0,1,0,,,,4.466820,50.020033,20160819054005,,,,,,43,,AC30$"
    answer = said(text)
    assert answer.reply == b"+SACK:AC30$" and readings(text) == {"fix_valid": False, "battery_level": 43.0}
    assert {o.time_source for o in answer.observations} == {"server"}
    assert [r.reason for r in said(text[:-1]).rejects] == ["length"]


def test_inf_of_a_gl_carries_its_battery():
    """traccar/traccar#6022: one that stands still sends only GTINF."""
    text = "+RESP:GTINF,300301,135790246811220,GL300,41,8942031016172273736f,31,0,0,0.0,,3.74,0,0,0,0,0,20160819054005,43,,45.0"
    assert readings(text + ",,,20160819133326,AC35$") == {"battery_voltage": 3.74, "battery_level": 43.0}
    assert "battery_level" not in readings(text.replace("300301", "C20113") + ",,,20160819133326,AC35$")


def test_doubtful_fixes_and_clocks():
    def fix(old: str, new: str, received_ns: int | None = None) -> Fix:
        block = BLOCK.replace(old, new, 1)
        text = f"+RESP:GTFRI,0E0502,135790246811220,,,00,1,{block},0204,0008,0CEE,B951,00,20261101161101,00A2$"
        answer = said(text, received_ns)
        return next(o for o in answer.observations if isinstance(o, Fix))

    assert fix("1,", "50,").flags == () and fix("1,", "51,").flags == ("low_quality",)
    assert fix("4.050000", "0.000000").flags == ("low_quality",)
    now_ns = ns_from_text("2026-11-01T16:12:00Z")
    for never in ("20040101000013", "19800106000013", "19700101000013"):
        unset = fix("20261101161100", never, now_ns)
        assert (unset.time_ns, unset.time_source, unset.flags) == (now_ns, "server", ("no_fix_time",))


def test_what_was_not_understood_is_named():
    assert said("+RESP:GTXYZ,0E0502,135790246811220,,7,20261101161101,00A2$").unread == ("report",)
    assert said("+RESP:GTPDP,0E0502,135790246811220,,20261101161101,00A2$").unread == ()


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


def test_a_value_that_cannot_be_costs_no_position():
    for old, new, flag in ((",4.3,", ",65535.0,", "implausible_speed"), (",70.0,", ",-1308000.0,", "implausible_altitude")):
        assert old in BLOCK
        block = BLOCK.replace(old, new, 1)
        text = f"+RESP:GTFRI,0E0502,135790246811220,,,00,1,{block},0204,0008,0CEE,B951,00,20261101161101,00A2$"
        (fix,) = fixes(text.encode())
        assert fix.flags == (flag,)
