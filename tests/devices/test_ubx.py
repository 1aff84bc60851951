"""ubx against pyubx2, both ways, and real logs frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyubx2 import GET, UBXMessage, UBXReader

from birddog.geo import LocalFrame
from birddog.model import Fix
from devices import codec
from devices.codec import Message
from devices.formats import ubx

LOGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "gpsd"


def fixes(data: bytes) -> list[Fix]:
    decoded = codec.decode_whole(ubx, ubx.Decoder(), Message(payload=data))
    return [o for o in decoded.observations if isinstance(o, Fix)]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000), st.integers(0, 4_000_000_000),
    st.integers(0, 999), st.floats(0, 300), st.floats(0, 359),
)  # fmt: skip
def test_what_we_write_pyubx2_reads(lat, lon, second, milli, speed, course):
    time_ns = second * 1_000_000_000 + milli * 1_000_000
    if second < 315_964_800:
        return
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
    got = ubx._geodetic(plane._x0, plane._y0, plane._z0)
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
    decoder = ubx.Decoder()
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
