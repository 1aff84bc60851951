"""teltonika against real messages, and against a second, plainly written packer of its bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.geo import null_island
from birddog.model import Alarm, Fix, Reading
from birddog.units import ns_from_text
from devices import codec, teltonika_record
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
            st.integers(1_600_000_000_000, 4_000_000_000_000), st.integers(-900_000_000, 900_000_000),
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
    wanted = [r for r in rows if not null_island(r[1] / 1e7, r[2] / 1e7)]
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


T_NS = 1_761_990_000_000_000_000
IMEI = "356307042441013"


def said(payload: bytes, *, decoder=None, device: str = IMEI, topic: str = "", received_ns: int | None = T_NS) -> codec.Decoded:
    message = Message(payload=payload, device=device, topic=topic, received_ns=received_ns)
    return codec.decode_whole(teltonika, decoder or teltonika.Decoder(), message)


def record(*, event: int = 0, priority: int = 0, satellites: int = 9, **io: tuple[int, int]) -> dict:
    """A record with elements ``_252=(size, value)``."""
    return {"time_ns": T_NS, "lat_deg": 52.0, "lon_deg": 4.3, "satellites": satellites, "event": event, "priority": priority,
            "io": {int(key[1:]): value for key, value in io.items()}}  # fmt: skip


def of(answer: codec.Decoded, kind: type) -> list:
    return [o for o in answer.observations if isinstance(o, kind)]


@pytest.mark.parametrize("event", [0, 1, 236, 239, 246, 247, 249, 252, 318, 520])
@pytest.mark.parametrize("priority", [0, 1, 2, 3])
def test_a_priority_is_no_alarm(event, priority):
    """None, low, high, panic say how soon a record is sent; the owner sets it for each element."""
    io = {f"_{event}": (1, 0)} if event else {}
    answer = said(teltonika.encode(records=[record(event=event, priority=priority, _80=(1, 1), **io)]))
    assert not of(answer, Alarm) and not answer.unread
    assert of(answer, Fix)[0].attributes["priority"] == priority


@pytest.mark.parametrize("key", sorted(teltonika_record.READINGS))
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_an_element_counts_in_its_own_size_only(key, size):
    """The same id in another size is another family's element: 113 of four bytes is a distance, 72 of one is nothing."""
    row = teltonika_record.READINGS[key]
    answer = said(teltonika.encode(records=[record(**{f"_{key}": (size, 3)})]))
    assert bool(of(answer, Reading)) == (size in row.sizes)


@pytest.mark.parametrize("key", sorted(teltonika_record.READINGS))
def test_no_element_of_all_ones_is_a_measurement(key):
    """0xFF, 0xFFFF, 0xFFFFFFFF by the field's own width; of a signed one that is -1, and the lowest is none."""
    row = teltonika_record.READINGS[key]
    for size in row.sizes:
        odd = 1 << 8 * size - 1 if row.low < 0 else (1 << 8 * size) - 1
        assert not of(said(teltonika.encode(records=[record(**{f"_{key}": (size, odd)})])), Reading)
        for none in row.none:
            assert not of(said(teltonika.encode(records=[record(**{f"_{key}": (size, none)})])), Reading)


@pytest.mark.parametrize(("event", "size", "value"), [
    (event, size, value) for event in teltonika_record.ALARMS for size in (1, 2, 4, 8) for value in (0, 1, 2, 7, 255)
])  # fmt: skip
def test_an_alarm_wants_id_size_value_and_family(event, size, value):
    wanted, alarm, raised, family = teltonika_record.ALARMS[event]
    for tell, of_family in (({"_80": (1, 1)}, "FMB"), ({"_80": (4, 1)}, "FMx6"), ({}, "")):
        known = teltonika_record.TELLS.get(teltonika_record.code(event, size), "")
        if known and of_family and known != of_family:
            continue  # such a record there is not
        answer = said(teltonika.encode(records=[record(event=event, **{f"_{event}": (size, value)}, **tell)]))
        is_it = size == wanted and value in raised
        right = is_it and (not family or family in (of_family, known))
        assert [a.alarm for a in of(answer, Alarm)] == ([alarm] if right else [])
        # what may be one and cannot be told is named where an operator sees it
        assert answer.unread == ((f"element_{event}",) if is_it and not right and not of_family else ())


def test_the_family_of_a_device_is_kept_for_it_and_for_no_other():
    decoder = teltonika.Decoder()
    unplugged = record(event=252, _252=(1, 1))

    def send(imei: str, *records: dict) -> list[str]:
        return [a.alarm for a in of(said(teltonika.encode(login=imei, records=records), decoder=decoder), Alarm)]

    assert send("350000000000001", unplugged) == []
    assert send("350000000000001", record(_205=(2, 7)), unplugged) == ["tamper"]
    assert send("350000000000001", unplugged) == ["tamper"]
    assert send("350000000000002", unplugged) == []
    assert send("350000000000002", unplugged, record(_205=(4, 7))) == []
    assert send("350000000000002", unplugged) == []
    assert send("350000000000001", record(_205=(2, 7), _80=(4, 1)), unplugged) == ["tamper"]  # contradicts itself: as before


@pytest.mark.parametrize("year", [1970, 1980, 2004])
def test_a_clock_that_was_never_set_dates_nothing(year):
    time_ns = ns_from_text(f"{year}-01-01T00:00:13Z")
    rows = [record(event=249, satellites=n, _249=(1, 1), _67=(2, 4000)) | {"time_ns": time_ns} for n in (0, 9)]
    for received_ns in (T_NS, None):
        answer = said(teltonika.encode(records=rows), received_ns=received_ns)
        assert len(answer.observations) == 6 and len(of(answer, Alarm)) == 2
        assert {(o.time_ns, o.time_source) for o in answer.observations} == {(received_ns, "server")}
        assert all("no_fix_time" in o.flags for o in answer.observations)


@pytest.mark.parametrize("lat", [-1002, -1001, -1000, 0, 1000, 1001, 1002])
@pytest.mark.parametrize("lon", [-1001, -1000, 1, 1000, 1001])
def test_null_island_is_the_one_of_all_formats(lat, lon):
    place = {"lat_deg": lat / 1e7, "lon_deg": lon / 1e7}
    answer = said(teltonika.encode(records=[record() | place]))
    assert (not of(answer, Fix)) == null_island(place["lat_deg"], place["lon_deg"])


def test_unknown_accuracy_is_not_called_good():
    for doubtful in (record(satellites=1), record(_182=(2, 0)), record(_182=(2, 999)), record(_182=(2, 0xFFFF)),
                     record(_69=(1, 2)), record() | {"lat_deg": 0.0}, record() | {"lon_deg": 0.0}):  # fmt: skip
        (fix,) = of(said(teltonika.encode(records=[doubtful])), Fix)
        assert "low_quality" in fix.flags and "hdop" not in fix.attributes
    (fix,) = of(said(teltonika.encode(records=[record(_182=(2, 12), _69=(1, 1))])), Fix)
    assert not fix.flags and fix.attributes["hdop"] == 1.2


@pytest.mark.parametrize("datagram", [0, 1, 0x1234, 0xCAFE, 0xFFFF])
@pytest.mark.parametrize("packet", [0, 1, 254, 255])
def test_a_datagram_is_answered_with_its_own_ids(datagram, packet):
    payload = teltonika.encode(records=[record(), record()], udp_imei=IMEI, packet=packet, datagram=datagram)
    answer = said(payload, device="")
    assert len(of(answer, Fix)) == 2 and answer.device == IMEI
    assert answer.reply == bytes([0, 5, *datagram.to_bytes(2, "big"), 1, packet, 2])
    framer = teltonika.Framer()
    pieces = [p for i in range(len(payload)) for p in framer.feed(payload[i : i + 1])] + framer.finish()
    assert [p.data for p in pieces] == [payload] and not pieces[0].reject


def test_records_sent_again_under_other_ids_are_the_same_message():
    keys = {said(teltonika.encode(records=[record()], udp_imei=IMEI, packet=n, datagram=n), device="").key for n in range(5)}
    assert len(keys) == 1 and None not in keys
    assert said(teltonika.encode(records=[record(priority=1)], udp_imei=IMEI), device="").key not in keys
    assert said(teltonika.encode(records=[record()], udp_imei="356307042441014"), device="").key not in keys
    # without a time of its own a second one may be another event
    assert said(teltonika.encode(records=[record() | {"time_ns": 0}], udp_imei=IMEI), device="").key is None


JSON = b'''{"state": {"reported": {"ts": 1761990000000, "pr": 1, "latlng": "-33.900000,18.420000", "alt": 3, "ang": 271,
"sat": 9, "sp": 36, "evt": 252, "252": 1, "113": 87, "236": 1, "66": 12034, "72": 850, "182": 9%s}}}'''


def test_json_of_mqtt_mode_is_the_same_record():
    answer = said(JSON % b', "263": 2', device="", topic="356307042441021/data")
    (fix,) = of(answer, Fix)
    assert (fix.device, fix.time_ns, fix.lat_deg, fix.lon_deg, fix.speed_mps) == ("356307042441021", T_NS, -33.9, 18.42, 10.0)
    assert [(r.quantity, r.value) for r in of(answer, Reading)] == [("battery_level", 87.0), ("supply_voltage", 12.034)]
    assert [a.alarm for a in of(answer, Alarm)] == ["tamper"] and not answer.unread
    # no size is said: what has two meanings wants the family
    answer = said(JSON % b"")
    assert of(answer, Fix)[0].device == IMEI and answer.unread == ("element_252",)
    assert [r.quantity for r in of(answer, Reading)] == ["supply_voltage"] and not of(answer, Alarm)


@pytest.mark.parametrize("old, new", [(b"-33.900000", b"-93.9"), (b"1761990000000", b"-1"), (b"36", b"[]"),
                                      (b"18.420000", b"181"), (b"-33.900000,", b""), (b"1761990000000", b"1e300")])  # fmt: skip
def test_json_that_cannot_be_is_a_reject(old, new):
    answer = said((JSON % b"").replace(old, new, 1))
    assert not answer.observations and [r.reason for r in answer.rejects] == ["value"]


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
