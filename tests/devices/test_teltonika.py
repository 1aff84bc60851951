"""teltonika against real messages, and against a second, plainly written packer of its bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.model import Fix
from birddog.units import ns_from_text
from devices import codec
from devices.codec import Message
from devices.crc import crc16_ibm, fletcher8, xor8
from devices.formats import teltonika

TRACCAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "traccar" / "teltonika.jsonl"


def bitwise(data: bytes) -> int:
    """The maker's rule, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def test_check_values():
    assert crc16_ibm(b"123456789") == 0xBB3D
    assert fletcher8(bytes.fromhex("060108000107000100000000")) == b"\x18\xe1"
    assert xor8(b"GPGLL,5300.97914,N,00259.98174,E,125926,A") == 0x28


@given(st.binary(max_size=300))
def test_table_and_rule_agree(data):
    assert crc16_ibm(data) == bitwise(data)
    expected = 0
    for byte in data:
        expected ^= byte
    assert xor8(data) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 4_000_000_000_000), st.integers(-900_000_000, 900_000_000),
            st.integers(-1_800_000_000, 1_800_000_000),
            st.integers(-32768, 32767), st.integers(0, 359), st.integers(1, 40), st.integers(0, 300), st.integers(0, 30_000),
        ),
        min_size=1, max_size=8,
    ),
    st.booleans(),
)  # fmt: skip
def test_bytes_put_together_by_hand(rows, extended):
    """encode writes what a plain packer writes, and decode reads it."""
    n = 2 if extended else 1
    body = b""
    for ms, lat, lon, alt, course, sats, kmh, millivolt in rows:
        body += ms.to_bytes(8, "big") + b"\0" + lon.to_bytes(4, "big", signed=True) + lat.to_bytes(4, "big", signed=True)
        body += alt.to_bytes(2, "big", signed=True) + course.to_bytes(2, "big") + bytes([sats]) + kmh.to_bytes(2, "big")
        zero, one, key = bytes(n), (1).to_bytes(n, "big"), (67).to_bytes(n, "big")
        body += zero + one + zero + one + key + millivolt.to_bytes(2, "big") + zero + zero + (zero if extended else b"")
    data = (b"\x8e" if extended else b"\x08") + bytes([len(rows)]) + body + bytes([len(rows)])
    plain = bytes(4) + len(data).to_bytes(4, "big") + data + bitwise(data).to_bytes(4, "big")
    records = [
        {"time_ns": ms * 1_000_000, "lat_deg": lat / 1e7, "lon_deg": lon / 1e7, "alt_m": alt, "course_deg": course,
         "satellites": sats, "speed_mps": kmh / 3.6, "battery_volt": mv / 1000}
        for ms, lat, lon, alt, course, sats, kmh, mv in rows
    ]  # fmt: skip
    assert teltonika.encode(records=records, extended=extended) == plain
    decoded = codec.decode_whole(teltonika, teltonika.Decoder(), Message(payload=plain, device="d"))
    fixes = [o for o in decoded.observations if isinstance(o, Fix)]
    wanted = [r for r in rows if abs(r[1]) > 1001 or abs(r[2]) > 1001]
    assert [(round(f.lat_deg * 1e7), round(f.lon_deg * 1e7), f.time_ns // 1_000_000) for f in fixes] == [
        (lat, lon, ms) for ms, lat, lon, *_ in wanted
    ]
    assert decoded.reply == len(rows).to_bytes(4, "big")


def test_half_a_packet_does_not_hold_up_the_next():
    one = teltonika.encode(records=[{"time_ns": 1_761_990_000_000_000_000, "lat_deg": 1.5, "lon_deg": 2.5}])
    for cut in range(9, len(one) - 1):
        framer, decoder = teltonika.Framer(), teltonika.Decoder()
        pieces = framer.feed(one[:cut] + one * 3) + framer.finish()
        good = [p for p in pieces if codec.decode_piece(decoder, Message(payload=b"", device="d"), p).observations]
        assert len(good) >= 2, f"cut at {cut}"


@pytest.mark.shared
@pytest.mark.skipif(not TRACCAR.is_file(), reason="../shared/data/ingest/traccar is not here")
def test_real_messages_as_traccar_reads_them():
    seen = 0
    for line in TRACCAR.read_text().splitlines():
        row = json.loads(line)
        if not row.get("crc_ok") or row.get("codec") not in ("0x8", "0x8e", "0x10"):
            continue
        payload = bytes.fromhex(row["payload"])
        decoded = codec.decode_whole(teltonika, teltonika.Decoder(), Message(payload=payload, device="d"))
        assert not decoded.rejects
        got = [(f.lat_deg, f.lon_deg, f.time_ns // 1_000_000) for f in decoded.observations if isinstance(f, Fix)]
        want = [x for x in row["expected"] if x["valid"] and not x["outdated"]]
        for x in want:
            assert (x["lat"], x["lon"], ns_from_text(x["fix_time"]) // 1_000_000) in got
            seen += 1
    assert seen > 10
