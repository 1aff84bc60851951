"""What physics forbids is no value, whatever the format: the table, and that no answer gets round it."""

import json
import math

import pytest

from birddog.model import Alarm, Fix, Reading, TagRead
from devices import codec, ranges
from devices.codec import Decoded, Message


def fix(**fields):
    return Fix(**{"device": "d", "time_ns": 1, "lat_deg": 52.0, "lon_deg": 4.0} | fields)


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("speed_mps", 1_392_000.0, "implausible_speed"),  # traccar's 1,392 km/s
        ("speed_mps", -1.0, "implausible_speed"),
        ("speed_mps", math.inf, "implausible_speed"),
        ("alt_m", -1_308_000.0, "implausible_altitude"),
        ("alt_m", math.nan, "implausible_altitude"),
        ("course_deg", 511.0, "implausible_course"),
        ("sigma_m", 1e9, "implausible_accuracy"),
        ("sigma_m", -1.0, "implausible_accuracy"),
        ("sigma_m", 0.0, "implausible_accuracy"),
    ],
)
def test_a_fix_loses_the_field_and_says_so(field, value, flag):
    ((got,), rejects) = ranges.checked((fix(**{"alt_ref": "msl", "flags": ("backlog",), field: value}),))
    assert getattr(got, field) is None and got.flags[:2] == ("backlog", flag) and not rejects
    assert ("low_quality" in got.flags) == (field == "sigma_m"), "an unknown accuracy is not a good one"
    assert (got.alt_ref == "unknown") == (field == "alt_m")


@pytest.mark.parametrize(
    ("lat", "lon", "flags"), [(0.0, 4.0, ("low_quality",)), (52.0, 0.0, ("low_quality",)), (52.0, 1e-7, ())]
)
def test_a_coordinate_of_exactly_0_is_no_clean_fix(lat, lon, flags):
    ((got,), rejects) = ranges.checked((fix(lat_deg=lat, lon_deg=lon),))
    assert got.flags == flags and not rejects and ranges.checked((got,))[0] == (got,)


def test_attributes_and_tags():
    (got, tag), _ = ranges.checked((
        fix(attributes={"hdop": 99.99, "satellites": 255, "quality": 1}),
        TagRead(device="r", time_ns=1, epc="urn:x", rssi_dbm=655.35),
    ))  # fmt: skip
    assert got.attributes == {"quality": 1} and got.flags == ("implausible_hdop", "implausible_satellites", "low_quality")
    ((got,), _) = ranges.checked((fix(attributes={"pdop": 99.99}),))
    assert got.attributes == {} and got.flags == ("implausible_pdop", "low_quality")
    ((got,), _) = ranges.checked((fix(attributes={"pdop": 99.99, "hdop": 1.2}),))
    assert got.flags == ("implausible_pdop",), "across, it is known how good it is"
    ((stated,), _) = ranges.checked((fix(sigma_m=3.0, attributes={"hdop": 99.99}),))
    assert stated.flags == ("implausible_hdop",) and stated.sigma_m == 3.0, "what is stated of it is known"
    assert tag.rssi_dbm is None and tag.flags == ("implausible_rssi",)


@pytest.mark.parametrize("rssi", [0.0, 1.27, 127.0, -128.0])
def test_a_level_that_no_tag_has_is_none(rssi):
    reads = tuple(TagRead(device="r", time_ns=1, epc="urn:x", rssi_dbm=r) for r in (rssi, -41.5))
    ((tag, good), rejects) = ranges.checked(reads)
    assert tag.rssi_dbm is None and tag.flags == ("implausible_rssi",) and good.rssi_dbm == -41.5 and not rejects


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "kept"),
    [
        ("battery_level", 900.0, "%", False),
        ("battery_level", 100.0, "%", True),
        ("battery_voltage", -2147483.648, "V", False),
        ("temperature", -3276.8, "C", False),
        ("temperature_2", -300.0, "°C", False),
        ("temperature", -40.0, "°F", True),
        ("temperature", 451.0, "°F", True),
        ("rssi", -91.0, "dBm", True),
        ("rssi", 3.4e38, "dBm", False),
        ("pump", 3.4e38, "", True),  # not of the table
        ("pump", math.inf, "", False),
    ],
)
def test_a_reading_is_left_out_and_counted(quantity, value, unit, kept):
    said = Reading(device="d", time_ns=1, quantity=quantity, value=value, unit=unit)
    call = Alarm(device="d", time_ns=1, alarm="tamper")
    observations, rejects = ranges.checked((said, call))
    assert observations == ((said, call) if kept else (call,))
    assert [(r.reason, r.device) for r in rejects] == ([] if kept else [("value", "d")])


def test_what_is_possible_is_not_touched():
    observations = (fix(speed_mps=525.8, alt_m=45_000.0, sigma_m=3_037_000.0, course_deg=0.0), fix(alt_m=-430.0))
    assert ranges.checked(observations) == (observations, ()) and ranges.checked(observations)[0] is observations


def test_every_range_holds_something_and_says_why():
    for quantity, (low, high, _, why) in ranges.RANGES.items():
        assert low < high and why, quantity
        assert ranges.allows(quantity, low) and ranges.allows(quantity, high)
        bad = (None, math.nan, math.inf, -math.inf, math.nextafter(high, math.inf), math.nextafter(low, -math.inf))
        assert not any(ranges.allows(quantity, value) for value in bad)


@pytest.mark.parametrize("stream", [True, False])
def test_no_format_gets_round_the_table(stream):
    """``decode_whole`` is the one way in from outside (desk, replay, ``birddog decode``), for either kind of format."""

    class Framer:
        def feed(self, data):
            return [codec.Piece(0, data)]

        def finish(self):
            return []

    class Decoder:
        def decode(self, message):
            return Decoded(observations=(fix(speed_mps=float(json.loads(message.payload))),))

    module = type("module", (), {"STREAM": stream, "Framer": Framer})
    decoded = codec.decode_whole(module, Decoder(), Message(payload=b"1392000"))
    assert decoded.observations[0].speed_mps is None
    assert decoded.observations[0].flags == ("implausible_speed",)
