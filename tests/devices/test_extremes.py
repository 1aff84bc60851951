"""Values at the edge of what can be, in every format that can say them: latitude, longitude, times, speeds, heights."""

from __future__ import annotations

import math

import pytest

from birddog.model import Fix, Reading
from birddog.units import ns_from_text
from devices import codec
from devices.codec import Decoded, Message
from devices.crc import crc16_ibm
from devices.formats import ais, nmea, owntracks, positions, queclink, teltonika, ubx

T_NS = ns_from_text("2026-11-24T10:00:00Z")
ROLLOVER_NS = 1024 * 7 * 86_400 * 10**9
IMEI = "350000000001234"
#: Every format that states a position and a time of its own.
SAYS = {
    "nmea": lambda **p: nmea.encode(**p),
    "ubx": lambda **p: ubx.encode(**p),
    "teltonika": lambda **p: teltonika.encode(login=IMEI, records=[p]),
    "queclink": lambda **p: queclink.encode(imei=IMEI, **p),
    "owntracks": lambda **p: owntracks.encode(**p),
    "positions": lambda **p: positions.encode(device="d", **p),
}


def decoded(name: str, payload: bytes, received_ns: int | None = T_NS) -> Decoded:
    module = codec.load(name)
    return codec.decode_whole(module, module.Decoder(), Message(payload=payload, device="d", received_ns=received_ns))


def fixes(said: Decoded) -> list[Fix]:
    return [o for o in said.observations if isinstance(o, Fix)]


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize(("lat", "lon"), [(90, 0.5), (-90, 4), (51.9, 180), (51.9, -180), (-0.0002, -179.9999), (1e-3, -1e-3)])
def test_the_last_places_of_the_earth_are_places(name, lat, lon):
    said = decoded(name, SAYS[name](lat_deg=lat, lon_deg=lon, time_ns=T_NS))
    assert not said.rejects
    assert all(math.isclose(f.lat_deg, lat, abs_tol=1e-6) and math.isclose(f.lon_deg, lon, abs_tol=1e-6) for f in fixes(said))
    assert fixes(said)


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize(("lat", "lon"), [(90.0001, 4), (-90.0001, 4), (51.9, 180.0001), (51.9, -180.0001), (4.1, 200.0)])
def test_beyond_the_last_places_is_a_reject_and_never_wrapped(name, lat, lon):
    """Fault F37; also a longitude from 180 to 360."""
    said = decoded(name, SAYS[name](lat_deg=lat, lon_deg=lon, time_ns=T_NS))
    assert not fixes(said)
    assert said.rejects and {r.reason for r in said.rejects} == {"value"}


@pytest.mark.parametrize("name", ["nmea", "ubx", "teltonika", "queclink"])
@pytest.mark.parametrize("off_s", [0, -86_400 * 80, 86_400 * 80])
def test_a_receiver_1024_weeks_behind_is_flagged_and_not_corrected(name, off_s):
    """Fault F21: kept as it is, and recognised."""
    time_ns = T_NS - ROLLOVER_NS + off_s * 10**9
    (fix, *_) = fixes(decoded(name, SAYS[name](lat_deg=51.9, lon_deg=4.1, time_ns=time_ns)))
    assert fix.time_ns == time_ns and "week_rollover_suspected" in fix.flags
    for other_ns in (T_NS, T_NS - ROLLOVER_NS - 100 * 86_400 * 10**9, T_NS - ROLLOVER_NS // 2):
        (fix, *_) = fixes(decoded(name, SAYS[name](lat_deg=51.9, lon_deg=4.1, time_ns=other_ns)))
        assert "week_rollover_suspected" not in fix.flags
    (fix, *_) = fixes(decoded(name, SAYS[name](lat_deg=51.9, lon_deg=4.1, time_ns=time_ns), received_ns=None))
    assert "week_rollover_suspected" not in fix.flags


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize(
    "text", ["1990-01-06T00:00:01Z", "2019-04-06T23:59:59Z", "2038-01-19T03:14:08Z", "2079-12-31T23:59:59Z"]
)
def test_years_are_read_as_they_are_said(name, text):
    """The desk, which knows the time, refuses what is ahead of it (reason clock); a codec knows none."""
    time_ns = ns_from_text(text)
    assert {f.time_ns for f in fixes(decoded(name, SAYS[name](lat_deg=51.9, lon_deg=4.1, time_ns=time_ns), None))} == {time_ns}


def test_two_digit_years_of_nmea():
    def year(yy: str) -> int | None:
        line = nmea.encode(lat_deg=51.9, lon_deg=4.1, time_ns=T_NS, which="RMC").decode()
        body = line[1 : line.index("*")].replace("241126", f"2411{yy}")
        (fix,) = fixes(decoded("nmea", nmea.sentences.seal("$", body), None))
        assert (fix.time_ns is None) == ("no_fix_time" in fix.flags)
        return None if fix.time_ns is None else fix.time_ns // (31_557_600 * 10**9) + 1970

    # before 1990 no receiver of ours was made: its clock was never set
    assert [year(yy) for yy in ("80", "99", "00", "26", "79")] == [None, 1999, 2000, 2026, 2079]


@pytest.mark.parametrize(("month", "day", "good"), [
    (2, 28, True), (2, 29, False), (2, 31, False), (4, 31, False), (13, 1, False), (12, 31, True), (0, 1, False), (1, 0, False),
])  # fmt: skip
def test_a_day_that_the_calendar_does_not_have_is_no_time(month, day, good):
    frame = bytearray(ubx.encode(lat_deg=51.9, lon_deg=4.1, time_ns=T_NS))
    frame[6 + 6], frame[6 + 7] = month, day
    (fix,) = fixes(decoded("ubx", ubx.frame(0x0107, bytes(frame[6:-2]))))
    assert (fix.time_source == "device") == good
    if not good:
        assert fix.time_ns == T_NS and "no_fix_time" in fix.flags


def test_speeds_that_mean_unknown_are_no_speeds():
    for class_b in (False, True):
        said = {"mmsi": 244_990_001, "lat_deg": 51.9, "lon_deg": 4.1, "class_b": class_b}
        (fix,) = fixes(decoded("ais", ais.encode(**said)))
        assert fix.speed_mps is None and fix.course_deg is None and "heading_deg" not in fix.attributes
        (fix,) = fixes(decoded("ais", ais.encode(**said, speed_mps=900.0)))
        assert math.isclose(fix.speed_mps, 102.2 * 1852 / 3600)
    for vel, cog in ((-1, -1), (-1000, 361), (-1, 100_000)):
        said = decoded("owntracks", b'{"_type":"location","lat":1,"lon":2,"tst":1,"vel":%d,"cog":%d}' % (vel, cog))
        assert fixes(said)[0].speed_mps is None and fixes(said)[0].course_deg is None


@pytest.mark.parametrize("name", ["nmea", "ubx", "teltonika", "queclink", "owntracks"])
def test_below_the_sea(name):
    """The Dead Sea is 430 m below it."""
    said = decoded(name, SAYS[name](lat_deg=31.5, lon_deg=35.48, time_ns=T_NS, alt_m=-430.0))
    assert fixes(said)[-1].alt_m == -430.0 and fixes(said)[-1].alt_ref == "msl"


@pytest.mark.parametrize(
    "word", ["NaN", "Infinity", "-Infinity", "1e999", '"nan"', '"1e5"', '"0x10"', "true", "null", "[]", '"\u0663"']
)
def test_what_is_no_finite_decimal_number_is_no_latitude(word):
    """Fault F36."""
    said = decoded("owntracks", f'{{"_type":"location","lat":{word},"lon":4.1,"tst":1}}'.encode())
    assert not said.observations and said.rejects[0].reason in ("format", "value")
    said = decoded("positions", f"id,t,lat,lon\nx,2026-01-01T00:00:00Z,{word.strip(chr(34))},4.1\n".encode())
    assert not said.observations and [r.reason for r in said.rejects] == ["value"]


def test_no_fix_with_coordinates_is_no_fix():
    """The maker's own words: a record without satellites repeats the last position."""
    row = {"time_ns": T_NS, "lat_deg": 51.9, "lon_deg": 4.1, "satellites": 0}
    said = decoded("teltonika", teltonika.encode(login=IMEI, records=[row]))
    assert not fixes(said)
    assert [(o.quantity, o.value) for o in said.observations if isinstance(o, Reading)] == [("fix_valid", False)]
    rmc = "GPRMC,100000.00,V,5154.00000,N,00406.00000,E,0.0,0.0,241126,,,N"
    gga = "GPGGA,100000.00,5154.00000,N,00406.00000,E,0,00,99.9,1.0,M,,M,,"
    for body in (rmc, gga, rmc.replace(",V,", ",A,"), gga.replace(",E,0,", ",E,8,")):
        assert not fixes(decoded("nmea", nmea.sentences.seal("$", body)))
    for kind in (0, 5):
        assert not fixes(decoded("ubx", ubx.encode(lat_deg=51.9, lon_deg=4.1, time_ns=T_NS, fix_type=kind)))
    assert not fixes(decoded("queclink", queclink.encode(imei=IMEI, lat_deg=51.9, lon_deg=4.1, time_ns=T_NS, hdop=0)))


def test_a_count_that_lies_with_a_right_sum():
    row = {"time_ns": T_NS, "lat_deg": 51.9, "lon_deg": 4.1}
    whole = teltonika.encode(records=[row] * 3)
    for first, last in ((2, 2), (4, 4), (3, 2), (0, 0), (255, 255)):
        data = bytearray(whole[8:-4])
        data[1], data[-1] = first, last
        packet = whole[:8] + bytes(data) + crc16_ibm(bytes(data)).to_bytes(4, "big")
        said = decoded("teltonika", packet)
        assert not said.observations and [r.reason for r in said.rejects] == ["length"], (first, last)
        assert said.reply == first.to_bytes(4, "big")  # acknowledged, or the device sends it for ever
