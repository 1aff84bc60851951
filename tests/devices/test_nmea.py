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
from birddog.units import ns_from_text
from devices import clock, codec, sentences
from devices.codec import Message
from devices.crc import crc24q
from devices.formats import nmea

LOGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "gpsd"


def fixes(text: bytes, **context) -> list[Fix]:
    decoded = codec.decode_whole(nmea, nmea.Decoder(), Message(payload=text, **context))
    return [o for o in decoded.observations if isinstance(o, Fix)]


@settings(max_examples=200, deadline=None)
@given(
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    time_ms=st.integers(1_600_000_000_000, 3_124_000_000_000),
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
    assert (rmc.date.day, rmc.time.minute) == ((time_ns // clock.DAY_NS - _first_of(rmc)) + 1, time_ns // 60_000_000_000 % 60)
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
    assert fast._sentences._last_ns == slow._sentences._last_ns


# --- issue 9: states, places and dates that were thrown away or made up --------------------------------------


def said(*bodies: str, **context):
    data = b"".join(sentences.seal("$", body) for body in bodies)
    decoded = codec.decode_whole(nmea, nmea.Decoder(), Message(payload=data, **context))
    assert not decoded.rejects, decoded.rejects
    return list(decoded.observations)


def test_status_d_of_an_rtk_receiver_is_a_fix():
    """opengisch/QField#5151: Unicore UM960."""
    (fix,) = said("GNRMC,144604.00,D,5157.0000,N,00403.0000,E,0.51,084.4,141123,3.3,E,R,V")
    assert fix.time_source == "device" and fix.course_deg == 84.4 and fix.speed_mps == pytest.approx(0.51 * 1852 / 3600)


def test_a_makers_own_sentence_is_no_talkers():
    """Garmin's sensor configuration PGRMC is not RMC of the talker PG."""
    assert said("PGRMC,A,218.8,100,6378137.000,298.257223563,0.0,0.0,0.0,A,3,1,1,4,30") == []
    assert said("PZRMC,144604.00,A,5157.0000,N,00403.0000,E,0.51,084.4,141123,,,A") == []


GGA_S = "GPGGA,144604.00,5157.0000,N,00403.0000,E,1,05,1.5,18.0,M,43.0,M,,"
RMC_S = "GPRMC,144604.00,A,5157.0000,N,00403.0000,E,5.000,084.4,141123,,,A"


@pytest.mark.parametrize(
    ("vtg", "speed_mps", "course"),
    [
        ("GPVTG,271.0,T,,M,10.00,N,18.52,K,A", 5.1444, 271.0),
        ("GPVTG,,T,,M,10.00,N,18.52,K,A", 5.1444, None),
        ("GPVTG,271.0,T,,M,,N,18.00,K", 5.0, 271.0),
        ("GPVTG,,,,,,,,,N", None, None),
        ("GPVTG,,T,,M,,N,,K,N", None, None),
    ],
)
def test_vtg_gives_the_speed_of_the_position_before_it(vtg, speed_mps, course):
    last = said(GGA_S, vtg)[-1]
    assert last.speed_mps == (None if speed_mps is None else pytest.approx(speed_mps, abs=1e-3)) and last.course_deg == course
    assert said(RMC_S, vtg) == said(RMC_S), "RMC says it with its own time"
    assert said(vtg) == []


@pytest.mark.parametrize("date", ["060180", "010104", "220899", "010100", "070419", "010913", "301187"])
def test_a_date_that_nobody_set_is_none(date):
    now = 1_795_899_480_000_000_000
    (fix,) = said(f"GPRMC,000013.00,A,5157.0000,N,00403.0000,E,0.0,0.0,{date},,,A", received_ns=now)
    assert (fix.time_ns, fix.time_source, fix.flags) == (now, "server", ("no_fix_time",))
    later = said(f"GPRMC,000013.00,A,5157.0000,N,00403.0000,E,0.0,0.0,{date},,,A", RMC_S, received_ns=now)[-1]
    assert later.time_source == "device", "and it is set at last"


@pytest.mark.parametrize(
    ("lat", "lon", "least"),
    [("5157.00000", "00403.00000", None), ("5157.000", "00403.000", None), ("5157.00", "00403.000", 11.0),
     ("5157.0", "00403.0", 54.0), ("5157.", "00403.", 534.0), ("5157", "00403", 534.0)],
)  # fmt: skip
def test_sigma_is_never_below_the_resolution(lat, lon, least):
    gga = f"GPGGA,144604,{lat},N,{lon},E,1,05,1.5,18.0,M,43.0,M,,"
    for body in (f"GPRMC,144604.00,A,{lat},N,{lon},E,0.0,0.0,141123,,,A", gga):
        (fix,) = said(body)
        assert fix.sigma_m is None if least is None else fix.sigma_m > least
    fixes_ = said(gga, "GPGST,144604,1.0,1.0,1.0,0.0,1.0,1.0,2.0")
    assert fixes_[-1].sigma_m >= (1.0 if least is None else least / 3)


def test_no_accuracy_is_no_good_accuracy():
    (fix,) = said("PUBX,00,144604.00,5157.0000,N,00403.0000,E,18.0,G3,5303302,3750001,0.0,0.0,0.0,,9.99,9.99,9.99,0,0,0")
    assert "low_quality" in fix.flags and fix.sigma_m > 1e6


@pytest.mark.parametrize("body", [
    "GPGGA,144604.00,5157.0000,N,00403.0000,E,1,05,99.99,18.0,M,,M,,", "GPGGA,144604.00,5157.0000,N,00403.0000,E,1,5,99,,,,M,,",
    "GNGNS,144604.00,5157.0000,N,00403.0000,E,AN,05,99.99,18.0,M,,M,,",
    "GPGGA,144604.00,5157.0000,N,00403.0000,E,1,05,0.0,18.0,M,,M,,",
    "GNGNS,144604.00,5157.0000,N,00403.0000,E,AN,00,,18.0,,,,"])  # fmt: skip
def test_no_dilution_is_no_clean_fix(body):
    (fix,) = said(body)
    assert fix.flags == ("low_quality",) and "hdop" not in fix.attributes


@pytest.mark.parametrize("quality", "14")
def test_a_fix_of_no_satellites_is_no_clean_fix(quality):
    (fix,) = said(f"GPGGA,144604.00,5157.0000,N,00403.0000,E,{quality},00,0.9,18.0,M,,M,,")
    assert fix.flags == ("low_quality",) and fix.attributes["hdop"] == 0.9


def test_a_time_stated_beside_one_sentence_is_that_of_its_epoch():
    """A multiplexer writes its tag block before the first sentence of an epoch, or now and then in a log."""
    gga, later = (f"GPGGA,{clock},5157.0000,N,00403.0000,E,1,05,1.5,18.0,M,,M,," for clock in ("235959.00", "000001.00"))
    tag = b"\\" + sentences.seal("", "c:1699919999.25")[:-2] + b"\\"
    lines = [sentences.seal("$", body) for body in (
        gga, "GPVTG,84.4,T,,M,5.0,N,9.26,K,A", "GPGST,235959.00,,,,,2.0,2.0,3.0",
        "GPGLL,5157.0000,N,00403.0000,E,235959.00,A,A", later, later.replace("000001", "000002"))]  # fmt: skip
    times = [(fix.time_ns, fix.time_source) for fix in fixes(tag + b"".join(lines))]
    assert times == [((1_699_919_999 + s) * 10**9, "gateway") for s in (0, 0, 0, 0, 2, 3)]
    # where the reception is known, it dates what nothing else does
    heard = 1_795_899_480_000_000_000
    times = [fix.time_source for fix in fixes(tag + b"".join(lines), received_ns=heard)]
    assert times == ["gateway"] * 4 + ["server"] * 2


def test_what_says_nothing_of_a_fix_says_nothing():
    assert said("GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99", "GPGSV,1,1,00", "GPTXT,01,01,02,ANTSTATUS=OK", "HEHDT,4.0,T") == []


def test_ubx_frames_and_rtcm_between_sentences():
    place = {"lat_deg": 51.9, "lon_deg": 4.1, "time_ns": 1_762_000_000_000_000_000}
    rtcm = b"\xd3\x00\x04\x4c\xe0\x00\x80"
    rtcm += crc24q(rtcm).to_bytes(3, "big")
    frame = codec.load("ubx").encode(**place)
    one = nmea.encode(which="RMC", **place)
    decoded = codec.decode_whole(nmea, nmea.Decoder(), Message(payload=rtcm + frame + rtcm + one + rtcm))
    assert not decoded.rejects and [f.sigma_m is None for f in decoded.observations] == [False], "UBX says it with its accuracy"
    decoded = codec.decode_whole(nmea, nmea.Decoder(), Message(payload=one + rtcm[:-1] + b"\0" + one))
    assert [r.reason for r in decoded.rejects] == ["framing"] and len(decoded.observations) == 2


@pytest.mark.parametrize(("lat", "lon", "right"), [
    ("2804.27565,N", "8225.599374,W", (28 + 4.27565 / 60, -82 - 25.599374 / 60)),
    ("804.5000,S", "403.2500,E", (-8.075, 4 + 3.25 / 60)),
    ("5157.0000,N", "00403.0000,E", (51.95, 4.05)),
])  # fmt: skip
def test_degrees_without_their_leading_zeros(lat, lon, right):
    """barbeau/gpstest#503: what a phone writes, with the commas that its logger puts behind the check sum."""
    for body in (f"GNRMC,181846,A,{lat},{lon},0,,140621,3.1,W,A,V", f"GNGGA,181846,{lat},{lon},1,12,0.5,9.1,M,-24,M,,",
                 f"GNGNS,181846,{lat},{lon},AAANNN,22,0.5,9.1,-24,,,V"):
        (fix,) = said(body)
        assert (fix.lat_deg, fix.lon_deg) == pytest.approx(right) and not fix.flags


@pytest.mark.parametrize(("received", "time"), [
    ("2026-11-29T08:06:00Z", "2026-11-28T14:46:03Z"),  # read the morning after
    ("2026-11-29T13:46:00Z", "2026-11-29T14:46:03Z"),  # our clock is an hour behind: to be seen, not hidden
    ("2026-11-29T12:30:00Z", "2026-11-28T14:46:03Z"), ("2026-11-29T23:59:00Z", "2026-11-29T14:46:03Z"),
])  # fmt: skip
def test_a_time_of_day_without_a_date_is_of_no_hour_to_come(received, time):
    (fix,) = said("GPGGA,144603.00,5157.0000,N,00403.0000,E,1,05,1.5,18.0,M,46.9,M,,", received_ns=ns_from_text(received))
    assert (fix.time_ns, fix.time_source) == (ns_from_text(time), "server")


def test_over_midnight_a_time_of_day_stays_the_nearest():
    before = ns_from_text("2026-11-29T23:59:58Z")
    (fix,) = said("GPGGA,000003.00,5157.0000,N,00403.0000,E,1,05,1.5,18.0,M,46.9,M,,", received_ns=before)
    assert fix.time_ns == ns_from_text("2026-11-30T00:00:03Z")


@pytest.mark.parametrize("mode", ["A", "E"], ids=["fast", "slow"])
def test_a_log_of_the_day_on_which_gps_weeks_began_is_of_that_day(mode):
    decoder, times = nmea.Decoder(), []
    for tod in ("000005.00", "094000.00", "094001.00"):
        line = sentences.seal("$", f"GPRMC,{tod},A,5200.0000,N,00418.0000,E,0.1,84.4,070419,,,{mode}")
        times += [fix.time_ns for fix in decoder.decode(Message(payload=line)).observations]
    assert times == [None, ns_from_text("2019-04-07T09:40:00Z"), ns_from_text("2019-04-07T09:40:01Z")]
