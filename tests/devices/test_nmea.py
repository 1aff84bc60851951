"""nmea against pynmeagps, and what its samples cannot show."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynmeagps import NMEAReader

from birddog.model import Fix
from devices import codec
from devices.codec import Message
from devices.formats import nmea

LOGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "gpsd"


def fixes(text: bytes, **context) -> list[Fix]:
    decoded = codec.decode_whole(nmea, nmea.Decoder(), Message(payload=text, **context))
    return [o for o in decoded.observations if isinstance(o, Fix)]


@settings(max_examples=200, deadline=None)
@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    time_ms=st.integers(946_684_800_000, 3_124_000_000_000),
    speed=st.floats(0, 300),
    course=st.floats(0, 360),
)
def test_what_encode_writes_pynmeagps_reads_alike(lat, lon, time_ms, speed, course):
    time_ns = time_ms // 10 * 10_000_000
    text = nmea.encode(lat_deg=lat, lon_deg=lon, time_ns=time_ns, speed_mps=speed, course_deg=course, alt_m=12.3)
    ours = fixes(text)
    theirs = [message for _, message in NMEAReader(io.BytesIO(text))]
    if not ours:
        assert abs(lat) < 1.01e-4 and abs(lon) < 1.01e-4
        return
    assert len(ours) == len(theirs) == 2
    for our, their in zip(ours, theirs, strict=True):
        assert abs(our.lat_deg - lat) < 1e-7 and abs(our.lon_deg - lon) < 1e-7
        assert math.isclose(their.lat, our.lat_deg, abs_tol=2e-9) and math.isclose(their.lon, our.lon_deg, abs_tol=2e-9)
        assert our.time_ns == time_ns
    rmc = theirs[0]
    assert (rmc.date.day, rmc.time.minute) == ((time_ns // nmea.DAY_NS - _first_of(rmc)) + 1, time_ns // 60_000_000_000 % 60)
    assert math.isclose(rmc.spd * 1852 / 3600, ours[0].speed_mps, abs_tol=1e-9)


def _first_of(rmc) -> int:
    return rmc.date.replace(day=1).toordinal() - 719_163


def test_the_day_turns_between_the_sentences():
    decoder = nmea.Decoder()

    def time(text: bytes) -> int:
        return codec.decode_whole(nmea, decoder, Message(payload=text)).observations[0].time_ns

    night = 1_762_041_599_000_000_000  # 2025-11-01T23:59:59Z
    place = {"lat_deg": 51.9, "lon_deg": 4.1}
    assert time(nmea.encode(time_ns=night, which="RMC", **place)) == night
    assert time(nmea.encode(time_ns=night + 1_000_000_000, which="GGA", **place)) == night + 1_000_000_000
    assert time(nmea.encode(time_ns=night, which="GGA", **place)) == night


def test_a_new_second_forgets_the_fields_of_the_old():
    place = {"lat_deg": 51.9, "lon_deg": 4.1}
    text = nmea.encode(time_ns=1_762_000_000_000_000_000, alt_m=5.0, speed_mps=3.0, **place)
    text += nmea.encode(time_ns=1_762_000_001_000_000_000, which="GGA", **place)
    assert [(f.speed_mps is None, f.alt_m is None) for f in fixes(text)] == [(False, True), (False, False), (True, True)]


def test_a_void_sentence_moves_no_date():
    """A receiver without a fix may believe that it is 1980."""
    void = nmea.encode(lat_deg=1.0, lon_deg=1.0, time_ns=315_964_800_000_000_000, which="RMC", valid=False)
    good = nmea.encode(lat_deg=1.0, lon_deg=1.0, time_ns=1_762_000_000_000_000_000, which="GGA")
    assert fixes(void + good)[0].time_ns is None


@pytest.mark.shared
@pytest.mark.skipif(not LOGS.is_dir(), reason="../shared/data/ingest/gpsd is not here")
def test_real_logs_as_pynmeagps_reads_them():
    """Every RMC, GGA and GLL with a position in the real logs, sentence by sentence."""
    seen = 0
    for path in sorted(LOGS.glob("*.log")):
        decoder = nmea.Decoder()
        for piece in nmea.Framer().feed(path.read_bytes()):
            decoded = codec.decode_piece(decoder, Message(payload=b""), piece)
            if piece.data[3:6] not in (b"RMC", b"GGA", b"GLL"):
                continue
            for fix in (o for o in decoded.observations if isinstance(o, Fix)):
                their = NMEAReader.parse(piece.data)
                assert math.isclose(their.lat, fix.lat_deg, abs_tol=2e-9) and math.isclose(
                    their.lon, fix.lon_deg, abs_tol=2e-9
                ), path.name
                seen += 1
    assert seen > 1000


@settings(max_examples=200, deadline=None)
@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    seconds=st.lists(st.integers(0, 2 * 86_400), min_size=1, max_size=5),
    kinds=st.lists(st.sampled_from(["RMC", "GGA", "RMC+GGA", "GGA+RMC"]), min_size=5, max_size=5),
    valid=st.booleans(),
)
def test_the_fast_path_says_what_the_slow_one_says(lat, lon, seconds, kinds, valid):
    fast, slow = nmea.Decoder(), nmea.Decoder()
    for s, kind in zip(seconds, kinds, strict=False):
        text = nmea.encode(
            lat_deg=lat, lon_deg=lon, time_ns=(1_762_000_000 + s) * 10**9, alt_m=3.5, which=kind, valid=valid, hdop=1.1
        )
        for line in text.splitlines(keepends=True):
            # text after the check sum is allowed, and sends a sentence the slow way
            other = line.rstrip() + b" x\r\n"
            assert fast.decode(Message(payload=line, device="d")) == slow.decode(Message(payload=other, device="d"))
    assert fast._last_ns == slow._last_ns
