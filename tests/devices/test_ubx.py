"""ubx against pyubx2, both ways, and real logs frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyubx2 import GET, UBXMessage, UBXReader

from birddog.geo import LocalFrame
from birddog.model import Fix
from birddog.units import NS
from devices import codec, ubx_frames
from devices.codec import Message
from devices.formats import ubx

LOGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "gpsd"


def fixes(data: bytes) -> list[Fix]:
    decoded = codec.decode_whole(ubx, ubx.Decoder(), Message(payload=data))
    return [o for o in decoded.observations if isinstance(o, Fix)]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000),
    st.integers(1_600_000_000, 4_000_000_000), st.integers(0, 999), st.floats(0, 300), st.floats(0, 359),
)  # fmt: skip
def test_what_we_write_pyubx2_reads(lat, lon, second, milli, speed, course):
    time_ns = second * 1_000_000_000 + milli * 1_000_000
    data = ubx.encode(lat_deg=lat / 1e7, lon_deg=lon / 1e7, time_ns=time_ns, speed_mps=speed, course_deg=course)
    said = UBXReader.parse(data)
    assert said.identity == "NAV-PVT"
    assert said.lat == pytest.approx(lat / 1e7, abs=1e-9) and said.lon == pytest.approx(lon / 1e7, abs=1e-9)
    assert said.gSpeed == pytest.approx(speed * 1000, abs=0.51) and said.headMot == pytest.approx(course, abs=1e-5)
    for fix in fixes(data):
        assert (round(fix.lat_deg * 1e7), round(fix.lon_deg * 1e7), fix.time_ns) == (lat, lon, time_ns)


@settings(max_examples=100, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_earth_centred_positions(lat, lon):
    """NAV-SOL's centimetres come back to the place they were made from, against the floor's own geodesy."""
    plane = LocalFrame(lat_deg=lat, lon_deg=lon)
    got = ubx_frames._geodetic(plane._x0, plane._y0, plane._z0)
    e, n = plane.en(lat_deg=got[0], lon_deg=got[1])
    assert abs(e) < 1e-3 and abs(n) < 1e-3 and abs(got[2]) < 1e-3


def test_sol_alone_is_a_fix_where_no_posllh_comes():
    plane = LocalFrame(lat_deg=51.95, lon_deg=4.145)
    x, y, z = (round(v * 100) for v in (plane._x0, plane._y0, plane._z0))
    sol = UBXMessage("NAV", "NAV-SOL", GET, iTOW=553218000, week=2390, gpsFix=3, gpsfixOK=1, wknSet=1, towSet=1,
                     ecefX=x, ecefY=y, ecefZ=z, pAcc=866).serialize()  # fmt: skip
    (fix,) = fixes(sol + sol)
    assert fix.lat_deg == pytest.approx(51.95, abs=1e-6) and fix.lon_deg == pytest.approx(4.145, abs=1e-6)
    assert fix.time_ns == 1_761_990_000_000_000_000


@pytest.mark.parametrize("utc_s, leap", [(1_483_228_799, 17), (1_483_228_800, 18), (1_230_768_000, 15), (1_761_990_000, 18)])
def test_leap_seconds(utc_s, leap):
    """Weeks and milliseconds counted by hand from 6 January 1980, and back."""
    decoder = ubx_frames.Decoder()
    week, second = divmod(utc_s - 315_964_800 + leap, 604_800)
    decoder._begin(second * 1000)
    decoder._week = week
    assert decoder._gps_time(Message(payload=b"")) == (utc_s * 1_000_000_000, "device")


@pytest.mark.shared
@pytest.mark.skipif(not LOGS.is_dir(), reason="../shared/data/ingest/gpsd is not here")
def test_real_logs_as_pyubx2_reads_them():
    seen = 0
    for path in sorted(LOGS.glob("u*blox*.log")):
        decoder = ubx.Decoder()
        framer = ubx.Framer()
        for piece in framer.feed(path.read_bytes()) + framer.finish():
            if piece.data[:4] != b"\xb5\x62\x01\x07":
                continue
            decoded = codec.decode_piece(decoder, Message(payload=b""), piece)
            for fix in (o for o in decoded.observations if isinstance(o, Fix)):
                said = UBXReader.parse(piece.data)
                assert fix.lat_deg == pytest.approx(said.lat, abs=1e-9) and fix.lon_deg == pytest.approx(said.lon, abs=1e-9)
                assert fix.alt_m == pytest.approx(said.hMSL / 1000) and fix.speed_mps == pytest.approx(said.gSpeed / 1000)
                seen += 1
    assert seen > 300


# --- issue 9 --------------------------------------------------------------------------------------------------

PVT = dict(iTOW=553218000, year=2025, month=11, day=1, hour=9, min=40, second=0, validDate=1, validTime=1, fullyResolved=1,
           fixType=3, gnssFixOk=1, numSV=12, lon=4.3, lat=52.0, height=50000, hMSL=5000, hAcc=3000, vAcc=4000, gSpeed=1000,
           headMot=90.0, sAcc=300, headAcc=1.0, pDOP=1.5)  # fmt: skip


def message(group: str, name: str, **fields) -> bytes:
    return UBXMessage(group, name, GET, **fields).serialize()


def observed(*frames: bytes, received_ns: int | None = None, decoder=None):
    decoded = codec.decode_whole(ubx, decoder or ubx.Decoder(), Message(payload=b"".join(frames), received_ns=received_ns))
    assert not decoded.rejects, decoded.rejects
    return list(decoded.observations)


def test_invalid_llh_is_no_fix():
    (said,) = observed(message("NAV", "NAV-PVT", **PVT, invalidLlh=1))
    assert said.quantity == "fix_valid" and said.value is False


@pytest.mark.parametrize(("fields", "absent"), [
    ({"sAcc": 0xFFFFFFFF}, "speed_mps"), ({"headAcc": 180.0}, "course_deg"), ({"vAcc": 0xFFFFFFFF}, "alt_m"),
    ({"hAcc": 0}, "sigma_m"),
])  # fmt: skip
def test_an_unknown_accuracy_is_no_good_one(fields, absent):
    (fix,) = observed(message("NAV", "NAV-PVT", **PVT | fields))
    assert getattr(fix, absent) is None and ("low_quality" in fix.flags) == (absent == "sigma_m")


def test_h_acc_of_all_ones():
    (fix,) = observed(message("NAV", "NAV-PVT", **PVT | {"hAcc": 0xFFFFFFFF, "pDOP": 99.99}))
    assert fix.flags == ("low_quality",) and fix.sigma_m > 3e6 and "pdop" not in fix.attributes


def test_lengths_are_exact_and_polls_are_passed_over():
    body = message("NAV", "NAV-PVT", **PVT)[6:-2]
    for size in range(0, 110):
        frame = ubx.frame(0x0107, (body + b"\0" * 30)[:size])
        decoded = codec.decode_whole(ubx, ubx.Decoder(), Message(payload=frame))
        assert [r.reason for r in decoded.rejects] == ([] if size in (0, 84, 92) else ["length"]), size
    for kind in ubx_frames._READERS:
        assert observed(ubx.frame(kind, b"")) == []


def test_nav_pvat_is_a_fix_and_says_nothing_twice():
    fields = {k: v for k, v in PVT.items() if k not in ("headMot", "headAcc", "pDOP", "second", "gnssFixOk")}
    pvat = message("NAV", "NAV-PVAT", **fields, gnssFixOK=1, version=0, sec=0, motHeading=90.0, accHeading=1.0)
    (fix,) = observed(pvat)
    pvt = message("NAV", "NAV-PVT", **PVT)
    (same,) = observed(pvt)
    for field in ("time_ns", "sigma_m", "speed_mps", "course_deg"):
        assert getattr(fix, field) == getattr(same, field)
    assert (round(fix.lat_deg, 7), round(fix.lon_deg, 7), fix.alt_m) == (52.0, 4.3, 5.0)
    assert observed(pvt, pvat) == [same]


def test_hnr_pvt_is_a_fix_between_the_epochs():
    fields = {k: v for k, v in PVT.items() if k not in ("fixType", "gnssFixOk", "numSV", "pDOP", "iTOW")}
    (first, fix) = observed(message("NAV", "NAV-PVT", **PVT), message("HNR", "HNR-PVT", **fields, iTOW=553218100, gpsFix=3,
                                                                      GPSfixOK=1, nano=100_000_000))  # fmt: skip
    assert fix.time_ns - first.time_ns == 100_000_000 and round(fix.lat_deg, 7) == 52.0 and fix.speed_mps == 1.0
    assert fix.course_deg == pytest.approx(90.0) and fix.sigma_m == first.sigma_m


@pytest.mark.parametrize("dated", ["NAV-TIMEGPS", "NAV-TIMEUTC", ""])
def test_hpposllh_says_itself_whether_it_is_a_fix(dated):
    clock = {
        "NAV-TIMEGPS": dict(iTOW=553217000, week=2390, leapS=18, towValid=1, weekValid=1, leapSValid=1),
        "NAV-TIMEUTC": dict(iTOW=553217000, year=2025, month=11, day=1, hour=9, min=39, sec=59, validUTC=1),
    }  # fmt: skip
    before = message("NAV", dated, **clock[dated]) if dated else b""
    now = 1_761_990_000_500_000_000
    where = dict(version=0, iTOW=553218000, lon=4.3, lat=52.0, hMSL=5000, hAcc=140.0, vAcc=200.0)
    (fix,) = observed(before + message("NAV", "NAV-HPPOSLLH", **where, invalidLlh=0), received_ns=now)
    assert fix.time_ns == 1_761_990_000_000_000_000 and fix.time_source == ("device" if dated else "server")
    assert (round(fix.lat_deg, 8), round(fix.lon_deg, 8)) == (52.0, 4.3) and fix.sigma_m == pytest.approx(0.099, abs=1e-3)
    assert ("no_fix_time" in fix.flags) == (not dated)
    (none,) = observed(before + message("NAV", "NAV-HPPOSLLH", **where, invalidLlh=1))
    assert none.quantity == "fix_valid"


@pytest.mark.parametrize("name, more", [("NAV-POSLLH", {}), ("NAV-HPPOSLLH", {"version": 0, "invalidLlh": 0})])
def test_a_height_whose_accuracy_is_not_known_is_none(name, more):
    """vAcc all ones, as NAV-PVT has it; hAcc is stated and stands."""
    status = message("NAV", "NAV-STATUS", iTOW=1000, gpsFix=3, gpsFixOk=1)
    for vacc, alt_m, ref in ((5000, 5.0, "msl"), (0xFFFF_FFFF, None, "unknown")):
        unit = 0.1 if more else 1  # pyubx2 scales HPPOSLLH's
        where = message("NAV", name, iTOW=1000, lon=4.3, lat=52.0, hMSL=5000, hAcc=3000 * unit, vAcc=vacc * unit, **more)
        (fix,) = observed(where, status)
        assert (fix.alt_m, fix.alt_ref, "low_quality" in fix.flags) == (alt_m, ref, False)


def sec_sig(version: int, jamming: int, spoofing: int) -> bytes:
    if version == 1:
        return ubx.frame(0x2709, bytes((1, 0, 0, 0, jamming << 1 | 1, 0, 0, 0, spoofing << 1 | 1, 0, 0, 0)))
    return ubx.frame(0x2709, bytes((2, 9 | jamming << 1 | spoofing << 4, 0, 1, 0, 0, 0, 0)))


def mon_rf(*states: int) -> bytes:
    return ubx.frame(0x0A38, bytes((0, len(states), 0, 0)) + b"".join(bytes((k, s)) + bytes(22) for k, s in enumerate(states)))


@pytest.mark.parametrize("version", [1, 2])
def test_sec_sig_gives_both_alarms_once(version):
    """semuconsulting/pyubx2 pygpsdata-SEC.log; a MON-RF that says 0 beside it ends nothing."""
    frames = [sec_sig(version, j, s) for j, s in ((1, 1), (2, 1), (3, 2), (2, 2), (1, 1), (2, 3))]
    got = [o.alarm for frame in frames for o in observed(frame)]
    assert got == ["jamming", "jamming", "spoofing", "jamming", "spoofing", "jamming", "spoofing"], "each alone"
    decoder = ubx.Decoder()
    got = [[o.alarm for o in observed(mon_rf(0), frame, decoder=decoder)] for frame in frames]
    assert got == [[], ["jamming"], ["spoofing"], [], [], ["jamming", "spoofing"]]


def test_a_state_that_stays_bad_is_said_again_each_half_minute():
    decoder, alarms = ubx.Decoder(), []
    for t in range(100):
        message = Message(payload=mon_rf(3 if t < 75 else 1), received_ns=(1_790_000_000 + t) * NS)
        alarms += [t for o in codec.decode_whole(ubx, decoder, message).observations if o.alarm == "jamming"]
    assert alarms == [0, 30, 60]


def test_mon_rf_is_as_jammed_as_its_worst_band():
    assert observed(mon_rf(1, 2)) == [] and [o.alarm for o in observed(mon_rf(1, 3))] == ["jamming"]
    broken = Message(payload=ubx.frame(0x0A38, mon_rf(1, 3)[6:-2][:-1]))
    assert [r.reason for r in codec.decode_whole(ubx, ubx.Decoder(), broken).rejects] == ["length"]


def test_sentences_between_frames_are_read_while_no_frame_has_a_position():
    place = {"lat_deg": 51.9, "lon_deg": 4.1, "time_ns": 1_762_000_000_000_000_000}
    line = codec.load("nmea").encode(which="RMC", **place)
    assert [f.time_ns for f in observed(line)] == [place["time_ns"]]
    status = ubx.frame(0x0A09, bytes(60))
    assert len(observed(status, line, status)) == 1
    decoder = ubx.Decoder()
    assert len(observed(ubx.encode(**place), line, line, decoder=decoder)) == 1
    assert observed(*[line] * 30, decoder=decoder), "and again when UBX has fallen silent"


def test_a_receiver_that_says_1980_and_valid():
    """arendst/Tasmota#17896: NEO-6 without a fix."""
    where = message("NAV", "NAV-HPPOSLLH", version=0, iTOW=297531000, lon=4.3, lat=52.0, hMSL=5000, hAcc=140.0, vAcc=200.0)
    first = message("NAV", "NAV-TIMEUTC", iTOW=297531000, year=1980, month=1, day=9, hour=10, min=38, sec=36, validUTC=1)
    then = message("NAV", "NAV-TIMEUTC", iTOW=297531000, year=2025, month=10, day=29, hour=10, min=38, sec=33, validUTC=1)
    assert [f.time_source for f in observed(first, where)] == ["server"]
    assert [f.time_source for f in observed(first, then, where)] == ["device"]


def test_satellites_with_a_bit_that_is_none():
    """rtklibexplorer/RTKLIB#488: numSV with bit 7 set."""
    (fix,) = observed(message("NAV", "NAV-PVT", **PVT | {"numSV": 0x88}))
    assert "satellites" not in fix.attributes and fix.flags == ("implausible_satellites",)
