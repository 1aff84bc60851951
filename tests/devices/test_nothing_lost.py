"""What one part of a message says wrong costs only that part, and whatever is left out is said."""

from __future__ import annotations

import json

import pytest

from birddog.geo import null_island
from birddog.model import Fix, Reading, TagRead
from devices import codec, reader_events, sentences
from devices.codec import Message
from devices.crc import crc16_ibm
from devices.formats import ais, chirpstack, positions, teltonika

T_NS = 1_761_990_000_000_000_000
EVENT = {"eventType": "tagInventory", "tagInventoryEvent": {"epcHex": "3074257BF7194E4000001A85"}}


def decoded(name: str, payload: bytes, *, device: str = "d", received_ns: int | None = T_NS):
    module = codec.load(name)
    return codec.decode_whole(module, module.Decoder(), Message(payload=payload, device=device, received_ns=received_ns))


def test_one_teltonika_record_that_cannot_be_leaves_the_others():
    rows = [
        {"time_ns": T_NS, "lat_deg": 51.9, "lon_deg": 4.1},
        {"time_ns": T_NS + 10**9, "lat_deg": 90.0001, "lon_deg": 4.1},
        {"time_ns": T_NS + 2 * 10**9, "lat_deg": 52.0, "lon_deg": 4.2},
    ]
    said = decoded("teltonika", teltonika.encode(login="350000000001234", records=rows))
    assert [o.lat_deg for o in said.observations if isinstance(o, Fix)] == [51.9, 52.0]
    assert [(r.reason, "record 2" in r.detail) for r in said.rejects] == [("value", True)]
    assert said.reply == b"\x01" + (3).to_bytes(4, "big")


def test_a_teltonika_packet_with_rubbish_behind_its_records_is_refused_whole():
    b = bytearray(teltonika.encode(records=[{"time_ns": T_NS, "lat_deg": 51.9, "lon_deg": 4.1}]))
    data = bytes(b[8:-5]) + b"\0\0" + bytes(b[-5:-4])
    said = decoded("teltonika", b"\0\0\0\0" + len(data).to_bytes(4, "big") + data + crc16_ibm(data).to_bytes(4, "big"))
    assert not said.observations and [r.reason for r in said.rejects] == ["length"]


def test_an_impinj_list_too_long_is_refused_and_a_wrong_event_in_it_costs_only_itself():
    few = decoded("impinj", json.dumps([EVENT, {"no": "event"}, 7, EVENT]).encode())
    assert len([o for o in few.observations if isinstance(o, TagRead)]) == 2
    assert [r.reason for r in few.rejects] == ["type", "format"]
    many = decoded("impinj", json.dumps([EVENT] * (reader_events.MOST_EVENTS + 1)).encode())
    assert not many.observations and [r.reason for r in many.rejects] == ["size"]


def static(number: int, name: str) -> list[bytes]:
    return ais.encode(mmsi=244_990_001, name=name, sequence=number).splitlines(keepends=True)


def test_an_ais_part_whose_number_is_used_again_is_said():
    decoder = ais.Decoder()
    first, second = static(3, "FIRST"), static(3, "SECOND")
    assert decoder.decode(Message(payload=first[0])) == codec.NOTHING
    lost = decoder.decode(Message(payload=second[0]))
    assert [r.reason for r in lost.rejects] == ["framing"]
    whole = decoder.decode(Message(payload=second[1]))
    assert any(isinstance(o, Reading) and o.value == "SECOND" for o in whole.observations)


def test_an_ais_part_that_came_twice_is_no_loss():
    decoder = ais.Decoder()
    parts = static(3, "TWICE")
    answers = [decoder.decode(Message(payload=part)) for part in (parts[0], parts[0], parts[1])]
    assert not any(a.rejects for a in answers)
    assert any(isinstance(o, Reading) and o.value == "TWICE" for o in answers[2].observations)


def test_a_row_at_null_island_says_that_there_is_no_fix():
    said = decoded("positions", b"id,t,lat,lon\nx,2026-01-01T00:00:00Z,0,0\n")
    assert [(o.quantity, o.value, o.flags) for o in said.observations] == [("fix_valid", False, ("no_fix",))]
    assert not said.rejects


def test_a_position_behind_many_other_keys_is_found():
    o = json.loads(chirpstack.encode(dev_eui="a81758fffe0523db", time_ns=T_NS, event="up", lat_deg=51.9, lon_deg=4.1))
    place = o["object"]
    o["object"] = {f"k{n}": {"x": n} for n in range(80)} | {"gps": place}
    assert any(isinstance(x, Fix) and x.lat_deg == 51.9 for x in decoded("chirpstack", json.dumps(o).encode()).observations)


@pytest.mark.parametrize(("lat", "lon", "none"), [
    (0.0, 0.0, True), (0.0001, 0.0001, True), (-0.0001, 0.0001, True), (0.0, 0.0002, False), (0.001, 0.0, False),
    (0.0, 4.1, False), (51.9, 0.0, False),
])  # fmt: skip
def test_null_island(lat, lon, none):
    """What devices without a fix write is within eleven metres of 0, 0 (fault F38)."""
    assert null_island(lat, lon) == none
    place = {"lat_deg": lat, "lon_deg": lon, "time_ns": T_NS}
    messages = {
        "owntracks": codec.load("owntracks").encode(**place), "nmea": codec.load("nmea").encode(**place),
        "teltonika": teltonika.encode(login="350000000001234", records=[place]), "ubx": codec.load("ubx").encode(**place),
        "ais": ais.encode(mmsi=244_990_001, **place),
        "queclink": codec.load("queclink").encode(imei="860599000306845", **place),
        "chirpstack": chirpstack.encode(dev_eui="a81758fffe0523db", event="up", **place),
        "positions": positions.encode(device="d", **place),
    }  # fmt: skip
    for name, payload in messages.items():
        said = decoded(name, payload)
        assert any(isinstance(o, Fix) for o in said.observations) != none, name
        assert not said.rejects, name
        if none:
            assert any(isinstance(o, Reading) and o.quantity == "fix_valid" for o in said.observations), name


@pytest.mark.parametrize("body, part", [
    ("PGRMF,290,293895,160305,093802,13,5213.1439,N,02100.6511,E,A,2,0,226,2,1", "sentence.pgrmf"),
    ("PTNL,GGK,094000.00,110125,5200.0000,N,00418.0000,E,3,08,2.0,EHT5.0,M", "sentence.ptnl.ggk"),
    ("PASHR,POS,0,08,094000.00,5200.0000,N,00418.0000,E,5.0,,84.4,0.1,0.0,1.0,0.9,1.0,1.0,", "sentence.pashr.pos"),
    ("PASHR,094000.00,84.4,T,0.1,0.2,0.0,0.1,0.1,0.1,1,1", ""), ("GPGSV,1,1,01,21,40,083,46", ""),
])  # fmt: skip
@pytest.mark.parametrize("name", ["nmea", "ubx"])
def test_a_sentence_whose_position_is_not_read_is_named(name, body, part):
    assert decoded(name, sentences.seal("$", body)).unread == ((part,) if part else ())


def test_it_is_not_named_where_another_sentence_of_the_epoch_gave_the_position():
    rmc = sentences.seal("$", "GPRMC,093802,A,5213.1439,N,02100.6511,E,0.1,84.4,160305,,,A")
    own = sentences.seal("$", "PGRMF,290,293895,160305,093802,13,5213.1439,N,02100.6511,E,A,2,0,226,2,1")
    said = decoded("nmea", rmc + own)
    assert len(said.observations) == 1 and not said.unread
