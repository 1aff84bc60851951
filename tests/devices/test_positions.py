"""positions: headers of archives, their zones, and what a header that is none costs."""

from __future__ import annotations

import pytest

from birddog.model import Fix
from birddog.units import ns_from_text
from devices import codec
from devices.codec import Decoded, Message
from devices.formats import positions

UTC = "2024-01-02T03:04:05Z"


def read(text: str) -> Decoded:
    return codec.decode_whole(positions, positions.Decoder(), Message(payload=text.encode(), device="file"))


@pytest.mark.parametrize("time, stamp", [
    ("BaseDateTime", "2024-01-02T03:04:05"), ("base_date_time", "2024-01-02 03:04:05"),
    ("date_time_utc", "2024-01-02 03:04:05"), ("timestamp", "2024-01-02 03:04:05 UTC"),
    ("Time", "2024-01-02T03:04:05 GMT"), ("# Timestamp", "2024-01-02T03:04:05Z"),
    ("UTC time", "2024-01-02T03:04:05"), ("msgtime", "2024-01-02T04:04:05+01:00"),
    ("t", "1704164645"), ("DateTime", "1704164645"),
    ("timestamp", "1704164645000"), ("t", "1704164645000000"), ("time", "1704164645000000000"),
])  # fmt: skip
def test_a_time_whose_zone_is_known(time, stamp):
    (fix,) = read(f"MMSI,{time},Latitude,LONGITUDE\n244060123,{stamp},51.95,4.05\n").observations
    assert fix.time_ns == ns_from_text(UTC) and fix.device == "244060123"


def test_quoted_names_between_tabs():
    (fix,) = read('"id"\t"time"\t"lat"\t"lon"\n"a b"\t"2024-01-02T03:04:05Z"\t"51.95"\t"4.05"\n').observations
    assert fix.time_ns == ns_from_text(UTC) and fix.device == "a b"
    (reject,) = read('"id\n').rejects
    assert reject.reason == "format" and "CSV" in reject.detail


@pytest.mark.parametrize("time", ["t", "time", "timestamp", "# Timestamp", "DateTime", "gpstime"])
@pytest.mark.parametrize("stamp", ["2024-01-02T03:04:05", "2024-01-02 03:04:05", "02/01/2024 03:04:05", "03:04:05"])
def test_a_time_whose_zone_nobody_says_is_refused(time, stamp):
    said = read(f"MMSI,{time},Latitude,LONGITUDE\n244060123,{stamp},51.95,4.05\n")
    assert not said.observations and [r.reason for r in said.rejects] == ["value"] and stamp not in said.rejects[0].detail


@pytest.mark.parametrize("stamp, right", [
    ("02/01/2024 03:04:05", UTC), ("31/12/2024 03:04:05", "2024-12-31T03:04:05Z"), ("12/31/2024 03:04:05", None),
    ("30/02/2024 03:04:05", None), ("2/1/2024 03:04:05", None), ("02/01/2024 24:00:00", None),
])  # fmt: skip
def test_danish_days_come_first(stamp, right):
    said = read(f"# Timestamp,Type of mobile,MMSI,Latitude,Longitude\n{stamp},Class A,219000123,55.5,11.5\n")
    assert [o.time_ns for o in said.observations] == ([ns_from_text(right)] if right else [])
    assert [r.reason for r in said.rejects] == ([] if right else ["value"])


def test_a_million_rows_behind_a_bad_header_are_one_reject_and_are_counted():
    decoder, rejects, unread = positions.Decoder(), 0, 0
    for row in ["x,y", *["1,2"] * 1000, "t,lat,lon", "1704164645,51.9,4.1"]:
        said = decoder.decode(Message(payload=f"{row}\n".encode(), device="file"))
        rejects, unread = rejects + len(said.rejects), unread + said.unread.count("row_without_header")
    assert (rejects, unread) == (1, 1000)
    assert isinstance(said.observations[0], Fix)  # a header that came at last


@pytest.mark.parametrize("cell, flags", [("5", ()), ("0", ("low_quality",)), ("-1", ("low_quality",)), ("", ())])
@pytest.mark.parametrize("column", ["sigma_m", "accuracy"])
def test_unknown_accuracy_is_not_good_accuracy(column, cell, flags):
    (fix,) = read(f"t,lat,lon,{column}\n1704164645,51.9,4.1,{cell}\n").observations
    assert fix.flags == flags and (fix.sigma_m is None) == (cell != "5")


def test_a_position_that_looks_made_is_no_clean_fix():
    for lat, lon in ((0, 4.1), (51.9, 0), (24.35, 24.35)):
        (fix,) = read(f"t,lat,lon,sigma_m\n1704164645,{lat},{lon},5\n").observations
        assert (fix.sigma_m, fix.flags) == (None, ("low_quality",))


def test_a_speed_without_a_unit_is_named_and_not_taken():
    said = read("t,lat,lon,speed\n1704164645,51.9,4.1,12\n")
    assert said.observations[0].speed_mps is None and said.unread == ("column.speed",)
    for column, mps in (("sog", 12 * 1852 / 3600), ("speed_kmh", 12 / 3.6), ("speed_mps", 12.0)):
        said = read(f"t,lat,lon,{column},speed\n1704164645,51.9,4.1,12,99\n")
        assert said.observations[0].speed_mps == pytest.approx(mps) and not said.unread


@pytest.mark.parametrize("column", ["valid", "Valid", "fix", "gps_valid"])
@pytest.mark.parametrize("cell, fix", [("FALSE", False), ("0", False), ("no fix", False), ("V", False),
                                       ("TRUE", True), ("1", True), ("3d", True), ("", True), ("gps", True)])  # fmt: skip
def test_a_row_that_says_it_is_not_valid_is_no_fix(column, cell, fix):
    """traccar's reports have such a column: the position in an invalid row is the last one known."""
    (said,) = read(f"t,lat,lon,{column}\n1704164645,51.9,4.1,{cell}\n").observations
    assert isinstance(said, Fix) == fix and (fix or (said.quantity, said.value) == ("fix_valid", False))


@pytest.mark.parametrize("hdop, flags", [("0.9", ()), ("99.99", ("implausible_hdop", "low_quality")),
                                         ("0", ("implausible_hdop", "low_quality"))])  # fmt: skip
def test_a_dilution_that_is_none(hdop, flags):
    (fix,) = read(f"t,lat,lon,hdop,satellites\n1704164645,51.9,4.1,{hdop},7\n").observations
    assert fix.flags == flags and fix.attributes.get("satellites") == 7.0 and ("hdop" in fix.attributes) == (not flags)


def test_archives_of_aishub_and_marinetraffic():
    (fix, _) = read("MMSI,TSTAMP,LATITUDE,LONGITUDE,COG,SOG,NAVSTAT,NAME\n"
                    "244060123,2024-01-02 03:04:05 GMT,51.9,4.1,360.0,102.3,0,X\n").observations  # fmt: skip
    assert (fix.device, fix.time_ns, fix.speed_mps, fix.course_deg) == ("244060123", ns_from_text(UTC), None, None)
    (fix,) = read("MMSI,STATUS,SPEED,LON,LAT,COURSE,TIMESTAMP,SHIP_ID\n"
                  "244060123,0,125,4.1,51.9,120,2024-01-02T03:04:05,1\n").observations  # fmt: skip
    assert (fix.time_ns, fix.course_deg) == (ns_from_text(UTC), 120.0) and fix.speed_mps == pytest.approx(12.5 * 1852 / 3600)


@pytest.mark.parametrize("stamp", ["1980-01-06T00:00:13Z", "44927.5", "0"])
def test_a_time_before_there_were_clocks_of_ours_is_none(stamp):
    decoded = read(f"id,t,lat,lon\nx,{stamp},52.0,4.3\n")
    assert [reject.reason for reject in decoded.rejects] == ["clock"] and not decoded.observations


def test_a_course_of_360_is_none_in_the_archive_of_brest_too():
    (fix,) = read("sourcemmsi,navigationalstatus,rateofturn,speedoverground,courseoverground,trueheading,lon,lat,t\n"
                  "228051000,15,-128,102.3,360,511,-4.4,48.3,1443650402\n").observations  # fmt: skip
    assert isinstance(fix, Fix) and fix.course_deg is None and fix.speed_mps is None
