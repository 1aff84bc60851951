"""ais against pyais, both ways, and what multi-part messages go through."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pyais
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.model import Alarm, Fix, Reading
from birddog.units import KNOT_MPS
from devices import codec
from devices.codec import Message
from devices.formats import ais
from devices.sentences import seal

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "ais" / "ais_vectors.jsonl"

place = {"lat": st.floats(-89.9, 89.9).filter(lambda v: abs(v) > 1e-3), "lon": st.floats(-179.9, 179.9)}


def decode(text: bytes, decoder: ais.Decoder | None = None) -> codec.Decoded:
    return codec.decode_whole(ais, decoder or ais.Decoder(), Message(payload=text))


def fix_of(text: bytes) -> Fix:
    return next(o for o in decode(text).observations if isinstance(o, Fix))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([1, 2, 3, 4, 9, 11, 18, 19, 27]), st.integers(1, 999_999_999), place["lat"], place["lon"],
    st.floats(0, 60), st.floats(0, 359.9),
)  # fmt: skip
def test_reports_that_pyais_writes(kind, mmsi, lat, lon, knots, course):
    """Another program's encoder and decoder agree with our reader."""
    rows = pyais.encode_dict(
        {"type": kind, "mmsi": mmsi, "lat": lat, "lon": lon, "speed": int(knots) if kind in (9, 27) else knots,
         "course": int(course) if kind == 27 else course, "year": 2025, "month": 11, "day": 1},
        sentence_type="VDM",
    )  # fmt: skip
    text = "\r\n".join(rows).encode()
    said, fix = pyais.decode(*rows), fix_of(text)
    assert fix.device == f"{mmsi:09d}"
    coarse = 2e-3 if kind == 27 else 2e-6
    assert abs(fix.lat_deg - lat) < coarse and abs(fix.lon_deg - lon) < coarse
    assert abs(fix.lat_deg - said.lat) < 1e-5 * (100 if kind == 27 else 1)
    if kind not in (4, 11):
        assert fix.speed_mps == pytest.approx(said.speed * KNOT_MPS, abs=1e-6)
        assert fix.course_deg == pytest.approx(said.course, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.integers(1, 999_999_999), place["lat"], place["lon"], st.floats(0, 50), st.floats(0, 360))
def test_reports_that_we_write(class_b, mmsi, lat, lon, speed, course):
    text = ais.encode(
        mmsi=mmsi, lat_deg=lat, lon_deg=lon, speed_mps=speed, course_deg=course, time_ns=59_000_000_000, class_b=class_b
    )
    said = pyais.decode(text.strip(), error_if_checksum_invalid=True)
    assert said.msg_type == (18 if class_b else 1) and said.mmsi == mmsi and said.second == 59
    assert abs(said.lat - lat) < 2e-6 and abs(said.lon - lon) < 2e-6
    assert abs(said.speed * KNOT_MPS - speed) < 0.03
    assert min(abs(said.course - course), 360 - abs(said.course - course)) < 0.051


@given(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789-./", min_size=1, max_size=20).map(str.strip).filter(bool),
    st.sampled_from([30, 36, 52, 60, 70, 80]), st.integers(0, 400), st.integers(0, 60),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_static_data_that_we_write(name, ship_type, length, beam):
    text = ais.encode(mmsi=244660123, name=name, ship_type=ship_type, length_m=length, beam_m=beam, sequence=7)
    lines = text.split(b"\r\n")[:2]
    said = pyais.decode(*lines, error_if_checksum_invalid=True)
    assert said.shipname == name and said.ship_type == ship_type
    assert said.to_bow + said.to_stern == length and said.to_port + said.to_starboard == beam
    got = {o.quantity: o.value for o in decode(text).observations if isinstance(o, Reading)}
    assert got["ship_name"] == name


@pytest.mark.parametrize("knots", [0, 1, 102, 103, 250, 1022, 1023])
def test_a_rescue_aircraft_flies_faster_than_a_ship(knots):
    said = {"type": 9, "mmsi": 111_244_001, "speed": knots, "alt": 300, "lat": 51.9, "lon": 4.1, "course": 90.0}
    (fix,) = decode("".join(pyais.encode_dict(said)).encode()).observations
    assert fix.alt_m == 300.0
    if knots == 1023:
        assert fix.speed_mps is None
    else:
        assert math.isclose(fix.speed_mps, knots * KNOT_MPS)


def bits_of(kind: int, rng: random.Random) -> str:
    """A message of a type with any bits, its position in seven of ten cases one on Earth."""
    size = {27: 96, 19: 312, 21: 272}.get(kind, 168)
    bits = f"{kind:06b}{rng.randrange(4):02b}{rng.randrange(10**9):030b}" + f"{rng.getrandbits(size - 38):0{size - 38}b}"
    if rng.random() < 0.7:
        at = {18: 57, 19: 57, 4: 79, 11: 79, 21: 164, 27: 44}.get(kind, 61)
        unit, (wide, high) = (600, (18, 17)) if kind == 27 else (600_000, (28, 27))
        lon, lat = rng.randrange(-180 * unit, 180 * unit), rng.randrange(-90 * unit, 90 * unit)
        put = f"{lon & (1 << wide) - 1:0{wide}b}{lat & (1 << high) - 1:0{high}b}"
        bits = bits[:at] + put + bits[at + len(put) :]
    return bits


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 9, 11, 18, 19, 21, 27])
def test_any_bits_mean_what_pyais_says(kind):
    """Speeds, courses and places from every bit pattern, the ones that mean "not available" among them."""
    rng, places, none = random.Random(kind), 0, 0
    for _ in range(600):
        bits = bits_of(kind, rng)
        fill = -len(bits) % 6
        whole = bits + "0" * fill
        codes = [int(whole[i : i + 6], 2) for i in range(0, len(whole), 6)]
        line = seal("!", f"AIVDM,1,1,,A,{''.join(chr(c + 48 if c < 40 else c + 56) for c in codes)},{fill}")
        ours, theirs = decode(line), pyais.decode(line).asdict()
        there = -90 <= theirs["lat"] <= 90 and -180 <= theirs["lon"] <= 180
        fixes = [o for o in ours.observations if isinstance(o, Fix)]
        assert len(fixes) == there and {o.device for o in ours.observations} <= {f"{int(theirs['mmsi']):09d}"}
        for fix in fixes:
            places += 1
            assert abs(fix.lat_deg - theirs["lat"]) < 1e-5 and abs(fix.lon_deg - theirs["lon"]) < 1e-5
            if "speed" in theirs:
                known = theirs["speed"] < {9: 1023, 27: 63}.get(kind, 102.3)
                assert fix.speed_mps == (pytest.approx(theirs["speed"] * KNOT_MPS, abs=0.03) if known else None)
                assert fix.course_deg == (pytest.approx(theirs["course"], abs=0.051) if theirs["course"] < 360 else None)
        none += not fixes
    assert places > 350 and none > 10


def test_parts_of_two_messages_interleaved():
    one = ais.encode(mmsi=111, name="ONE", sequence=1).splitlines(keepends=True)
    two = ais.encode(mmsi=222, name="TWO", sequence=2).splitlines(keepends=True)
    decoded = decode(one[0] + two[1] + b"$GPZDA,000001.00,02,11,2025,00,00*60\r\n" + two[0] + one[1])
    assert [o.value for o in decoded.observations if o.quantity == "ship_name"] == ["TWO", "ONE"]
    assert not decoded.rejects


def test_a_part_that_never_comes_is_said():
    decoder = ais.Decoder()
    first = ais.encode(mmsi=111, name="ONE", sequence=1).splitlines(keepends=True)[0]
    decode(first, decoder)
    other = ais.encode(mmsi=222, lat_deg=1.0, lon_deg=2.0)
    reasons = [r.reason for _ in range(ais.STALE_AFTER + 1) for r in decode(other, decoder).rejects]
    assert reasons == ["framing"]


def test_what_a_receiver_writes_behind_the_sum_is_no_fault():
    line = ais.encode(mmsi=244_990_001, lat_deg=51.9, lon_deg=4.1).rstrip() + b",r003669945,1241544035\r\n"
    said = decode(line)
    assert not said.rejects and [o.lat_deg for o in said.observations] == [51.9]


def test_parts_too_long_for_any_message_are_not_kept():
    """Nobody fills our memory with halves: no message has more than 1064 bits, so no part has more than 178 characters."""
    decoder = ais.Decoder()
    for number in range(3):
        said = decode(seal("!", f"AIVDM,9,{number + 1},4,A,{'0' * 179},0"), decoder)
        assert [r.reason for r in said.rejects] == ["length"] and not decoder._sets
    assert decode(seal("!", f"AIVDM,9,1,4,A,{'0' * 178},0"), decoder) == codec.NOTHING and len(decoder._sets) == 1


def test_sequence_numbers_above_nine_and_none():
    for number in ("", "12"):
        parts = [p.decode().strip() for p in ais.encode(mmsi=111, name="ONE", sequence=0).splitlines()]
        text = b"".join(seal("!", ",".join([*p[1:-3].split(",")[:3], number, *p[1:-3].split(",")[4:]])) for p in parts)
        assert any(getattr(o, "value", "") == "ONE" for o in decode(text).observations), number


@pytest.mark.parametrize("kind", range(64))
def test_every_type_is_answered(kind):
    """All types, known or not, at all lengths: an answer and no exception."""
    for count in range(1, 72, 3):
        payload = chr(ais._ARMOUR[kind]) + "0" * count
        decoded = decode(seal("!", f"AIVDM,1,1,,A,{payload},0"))
        if kind == 0 or kind > 27:
            assert decoded.rejects


@pytest.mark.shared
@pytest.mark.skipif(not VECTORS.is_file(), reason="../shared/data/ingest/ais is not here")
def test_real_reports_as_pyais_and_gpsd_read_them():
    rows = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    rows = [r for r in rows if abs(r.get("lat", 99)) <= 90 and abs(r["lon"]) <= 180]
    assert len(rows) > 200
    for r in rows:
        fix = fix_of(r["sentence"].encode())
        assert fix.device == f"{r['mmsi']:09d}"
        assert abs(fix.lat_deg - r["lat"]) < 1e-6 and abs(fix.lon_deg - r["lon"]) < 1e-6


# --- issue 9: what is no message, no value, no call ---------------------------------------------------------


def line_of(bits: str) -> bytes:
    fill = -len(bits) % 6
    whole = bits + "0" * fill
    codes = [int(whole[i : i + 6], 2) for i in range(0, len(whole), 6)]
    return seal("!", f"AIVDM,1,1,,A,{''.join(chr(c + 48 if c < 40 else c + 56) for c in codes)},{fill}")


RIGHT = {1: (168,), 2: (168,), 3: (168,), 4: (168,), 5: (424,), 9: (168,), 11: (168,), 14: (64,), 18: (168,), 19: (312,),
         21: (272, 360), 24: (160, 168), 27: (96, 168)}  # fmt: skip


@pytest.mark.parametrize("kind", RIGHT)
def test_lengths_are_exact(kind):
    """Noise with a lucky first byte is no vessel: libais and gpsd take no other lengths either."""
    for size in range(40, 1060, 7):
        rejects = decode(line_of(f"{kind:06b}00{244060123:030b}" + "0" * (size - 38))).rejects
        near = any(right <= size <= -(-right // 6) * 6 for right in RIGHT[kind])
        near = near or (kind == 24 and 158 <= size <= 168)  # fill bits of rtl_ais and Orbcomm
        if kind != 14 and not near and not (kind == 21 and 272 <= size <= 360) and not (kind == 5 and 420 <= size <= 426):
            assert [r.reason for r in rejects] == ["length"], (kind, size)
    for size in RIGHT[kind]:
        assert not decode(line_of(f"{kind:06b}00{244060123:030b}" + "0" * (size - 38))).rejects, (kind, size)


@pytest.mark.parametrize("line", [
    b"!AIVDM,1,1,,A,Kuk?UdoRoruEj=FLmp0<aqjNscolfMckwP,4*06",
    b"!AIVDM,1,1,6,B,KHahpMPDgI=Dk<gsaFEGKNDR1DpSQLOHqqS=oQfVbgk=bViwk?vvuh,4*0A",
])  # fmt: skip
def test_noise_of_type_27(line):
    """schwehr/libais test/data/test.aivdm, lines 310 to 330."""
    assert [r.reason for r in decode(line).rejects] == ["length"] and not decode(line).observations


def report(kind: int = 1, *, mmsi: int = 244_060_123, lat: float = 51.95, lon: float = 4.05, **fields) -> bytes:
    said = {"type": kind, "mmsi": mmsi, "lat": lat, "lon": lon, "course": 90, "speed": 5, "second": 11} | fields
    return "\r\n".join(pyais.encode_dict(said, sentence_type="VDM")).encode() + b"\r\n"


@pytest.mark.parametrize("kind", [1, 2, 3, 9, 18, 19, 21])
def test_the_accuracy_bit_is_believed(kind):
    good, poor = fix_of(report(kind, accuracy=1)), fix_of(report(kind, accuracy=0))
    assert good.sigma_m is None and poor.sigma_m > 10.0


def test_a_long_range_report_is_as_coarse_as_its_steps():
    good, poor = fix_of(report(27, accuracy=1)), fix_of(report(27, accuracy=0))
    assert 185.2 / math.sqrt(12) < good.sigma_m < poor.sigma_m


@pytest.mark.parametrize("kind", [1, 2, 3, 9, 18, 19, 21])
@pytest.mark.parametrize("second", [0, 59, 60, 61, 62, 63])
def test_the_second_of_every_type_that_has_one(kind, second):
    said = {"type": kind, "mmsi": 244_060_123, "lat": 51.9, "lon": 4.1, "second": second, "heading": 90, "accuracy": 1}
    surveyed = kind == 21 and second == 61
    fix = decode("\r\n".join(pyais.encode_dict(said | {"epfd": 7 if surveyed else 1})).encode() + b"\r\n").observations[0]
    assert fix.attributes.get("utc_second") == (second if second < 60 else None)
    assert ("low_quality" in fix.flags) == (second > 60 and not surveyed)
    assert fix.attributes.get("heading_deg") == (90 if kind not in (9, 21) else None)


@pytest.mark.parametrize(("second", "flags"), [(0, ()), (59, ()), (60, ()), (61, ("low_quality",)), (62, ("low_quality",)),
                                               (63, ("low_quality",))])  # fmt: skip
def test_the_second_says_where_the_position_is_from(second, flags):
    fix = fix_of(report(second=second))
    assert fix.flags == flags and fix.attributes.get("utc_second") == (second if second < 60 else None)


@pytest.mark.parametrize(("kind", "fields", "absent"), [
    (1, {"speed": 102.3}, "speed_mps"), (18, {"speed": 102.3}, "speed_mps"), (27, {"speed": 63}, "speed_mps"),
    (9, {"speed": 1023}, "speed_mps"), (1, {"course": 360.0}, "course_deg"), (27, {"course": 511}, "course_deg"),
    (9, {"alt": 4095}, "alt_m"),
])  # fmt: skip
def test_not_available_is_no_value(kind, fields, absent):
    assert getattr(fix_of(report(kind, **fields)), absent) is None


def test_not_available_is_no_attribute():
    assert fix_of(report(heading=511, status=15, second=60)).attributes == {"msg_type": 1}


def alarms(data: bytes) -> list[str]:
    return [o.text for o in decode(data).observations if isinstance(o, Alarm)]


@pytest.mark.parametrize(("mmsi", "text"), [(970_012_345, "AIS-SART active"), (972_012_345, "man overboard active"),
                                            (974_012_345, "EPIRB active"), (244_060_123, None), (970_00, None)])  # fmt: skip
def test_only_who_may_call_for_help_does(mmsi, text):
    assert alarms(report(mmsi=mmsi, status=14)) == ([text] if text else [])
    assert alarms(report(mmsi=mmsi, status=15)) == []


@pytest.mark.parametrize(("mmsi", "text", "called"), [
    (970_012_345, "SART ACTIVE", ["AIS-SART: SART ACTIVE"]), (970_012_345, "SART TEST", []), (972_012_345, "MOB TEST", []),
    (244_060_123, "SART ACTIVE", []),
])  # fmt: skip
def test_its_text_is_read(mmsi, text, called):
    data = "\r\n".join(pyais.encode_dict({"type": 14, "mmsi": mmsi, "text": text}, sentence_type="VDM")).encode()
    assert [o.value for o in decode(data).observations if isinstance(o, Reading)] == [text]
    assert alarms(data) == called


def test_an_auxiliary_craft_has_its_mother_ship_where_sizes_would_be():
    said = {"type": 24, "mmsi": 982_441_234, "partno": 1, "ship_type": 36, "callsign": "PI5678", "mothership_mmsi": 244_060_123}
    got = decode("\r\n".join(pyais.encode_dict(said, sentence_type="VDM")).encode()).observations
    assert {o.quantity for o in got} == {"callsign", "ship_type"}
