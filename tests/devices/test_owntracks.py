"""owntracks: what two JSON readers could understand differently is refused; odd but real messages are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.errors import DeviceError
from birddog.model import Fix, Reading
from devices.codec import Message
from devices.formats import owntracks
from devices.strict_json import loads, number

GOOD = {"_type": "location", "lat": 51.9, "lon": 4.1, "tst": 1_761_990_000}


def decode(payload: bytes | dict, **context):
    payload = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    return owntracks.Decoder().decode(Message(payload=payload, **({"topic": "owntracks/team/d"} | context)))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"tst":2}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst" : 1,"tst"  :2}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"x":{"a":1,"a":2}}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"\\u0074st":2}',
        b'{"_type":"location","lat":51.9,"lon":NaN,"tst":1}',
        b'{"_type":"location","lat":51.9,"lon":Infinity,"tst":1}',
        b'{"_type":"location","lat":51.9,"lon":1e999,"tst":1}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"x":1e999}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"x":"\xff"}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"\xff":1}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"x":"\\ud800"}',
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1}x',
        b'\xef\xbb\xbf{"_type":"location","lat":51.9,"lon":4.1,"tst":1}',
        b"[" * 60_000 + b"]" * 5_000,
        b'{"a":' * 12_000,
        b'{"_type":"location","lat":51.9,"lon":4.1,"tst":1,"x":' + b"9" * 20_000 + b"}",
        b"",
        b"7",
        b"null",
    ],
)
def test_broken_json_is_refused(payload):
    decoded = decode(payload)
    assert decoded.observations == () and [r.reason for r in decoded.rejects] == ["format"]


def test_a_hundred_thousand_levels():
    for payload in (b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        assert [r.reason for r in decode(payload).rejects] == ["size"]
        with pytest.raises(DeviceError, match="too deep"):
            loads(payload)


@pytest.mark.parametrize(
    "change",
    [{"lat": 90.1}, {"lat": -91}, {"lon": 180.5}, {"lat": None}, {"lat": True}, {"lat": "north"}, {"lat": [51.9]},
     {"lon": "1e3"}, {"tst": -5}, {"tst": 10**12}, {"tst": True}, {"tst": "soon"}, {"lat": 10**30}],
)  # fmt: skip
def test_values_that_cannot_be(change):
    decoded = decode(GOOD | change)
    assert decoded.observations == () and [r.reason for r in decoded.rejects] == ["value"]


@pytest.mark.parametrize(
    "change, field",
    [({"vel": -1}, "speed_mps"), ({"cog": -1}, "course_deg"), ({"cog": 720}, "course_deg"), ({"acc": 0}, "sigma_m"),
     ({"acc": "x"}, "sigma_m"), ({"acc": 10**30}, "sigma_m"), ({"vel": 10**400}, "speed_mps"), ({"alt": None}, "alt_m")],
)  # fmt: skip
def test_fields_that_say_nothing(change, field):
    (fix,) = decode(GOOD | change).observations
    assert isinstance(fix, Fix) and getattr(fix, field) is None


@pytest.mark.parametrize("acc", [-1, -2147473, -0.5, "-1"])
def test_a_negative_accuracy_is_no_fix(acc):
    (found,) = decode(GOOD | {"acc": acc}).observations
    assert (found.quantity, found.value, found.flags) == ("fix_valid", False, ("no_fix",))


@pytest.mark.parametrize("acc", [0, 0.0, "0", 10**9, 1e9, "far", 10**30, True])
def test_an_unknown_accuracy_is_not_good_accuracy(acc):
    (fix,) = decode(GOOD | {"acc": acc}).observations
    assert (fix.sigma_m, fix.flags) == (None, ("low_quality",))


@pytest.mark.parametrize("place", [{"lat": 0}, {"lon": 0.0}, {"lat": 4.1}])
def test_a_position_that_looks_made_is_no_clean_fix(place):
    (fix,) = decode(GOOD | {"acc": 5} | place).observations
    assert (fix.sigma_m, fix.flags) == (None, ("low_quality",))


def test_an_altitude_is_kept_unless_the_phone_says_that_it_is_none():
    for change, alt_m in (({"vac": 3}, -1.0), ({}, -1.0), ({"vac": 0}, -1.0), ({"vac": -1}, None), ({"vac": "-1"}, None)):
        (fix,) = decode(GOOD | {"alt": -1} | change).observations
        assert (fix.alt_m, fix.alt_ref) == (alt_m, "unknown" if alt_m is None else "msl")


def test_without_a_time_the_reception_stands_in():
    for change in ({"tst": 0}, {"tst": None}):
        (fix,) = decode(GOOD | change, received_ns=123).observations
        assert (fix.time_ns, fix.time_source, fix.flags) == (123, "server", ("no_fix_time",))


@pytest.mark.parametrize("tst", [13, 315_964_813, 1_072_915_213])
def test_a_clock_that_was_never_set_dates_nothing(tst):
    now_ns = 1_795_899_480_000_000_000
    (fix,) = decode(GOOD | {"tst": tst}, received_ns=now_ns).observations
    assert (fix.time_ns, fix.time_source, fix.flags) == (now_ns, "server", ("no_fix_time",))


def test_who_it_is():
    assert decode(GOOD, topic="owntracks/team/eagle-3/event").observations[0].device == "team/eagle-3"
    assert decode(GOOD, topic="birddog/v1/d7/owntracks", device="d7").observations[0].device == "d7"
    assert decode(GOOD, topic="owntracks/anna/phone", device="gw's").observations[0].device == "gw's"  # whom the transport says
    assert decode(GOOD | {"topic": "owntracks/team/heron", "tid": "hn"}, topic="").observations[0].device == "team/heron"
    assert decode(GOOD | {"topic": "owntracks/ann/x"}, device="d7", topic="").observations[0].device == "d7"
    assert decode(GOOD | {"tid": "hn"}, topic="").observations[0].device == "", "two letters that anybody may choose"


@pytest.mark.parametrize(("topic", "device", "part"), [
    ("owntracks/anna/phone", "anna/phone", "owntracks/anna/phone"),
    ("owntracks/ben/phone/event", "ben/phone", "owntracks/ben/phone"),
    ("owntracks//phone", "phone", "owntracks//phone"),
    ("company/owntracks/anna/van7/waypoint", "anna/van7", "company/owntracks/anna/van7"),
    ("/owntracks/anna/van7", "anna/van7", "/owntracks/anna/van7"),
    ("fleet/anna/van7/event", "anna/van7", "fleet/anna/van7"),
    ("anna/van7", "anna/van7", "anna/van7"),
    ("van7", "van7", "van7"),
    ("owntracks/anna", "owntracks/anna", "owntracks/anna"),
    ("", "", ""),
])
def test_a_phone_is_its_user_and_device_on_whatever_topic(topic, device, part):
    """owntracks/booklet#104, owntracks/ios#265 and #465, home-assistant/core#37124: two phones under one name."""
    assert owntracks.device_of(topic) == device and owntracks.phone_topic(topic) == part


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=6), json_values, max_size=6))
def test_what_is_sound_json_is_read_as_json_loads_reads_it(o):
    for text in (json.dumps(o), json.dumps(o, ensure_ascii=False, indent=1)):
        assert loads(text.encode()) == json.loads(text)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["lat", "lon", "tst", "acc", "vel", "cog", "alt", "batt", "t", "tid"]), json_values))
def test_any_fields_have_a_sound_answer(change):
    for o in decode(GOOD | change).observations:
        if isinstance(o, Fix):
            assert -90 <= o.lat_deg <= 90 and -180 <= o.lon_deg <= 180
        else:
            assert isinstance(o, Reading)


@pytest.mark.parametrize(
    "text, value", [("165", 165.0), ("-4.5", -4.5), ("", None), ("1e5", None), ("nan", None), (" 1", None), ("٣", None)]
)
def test_numbers_as_text(text, value):
    assert number(text) == value


@pytest.mark.parametrize(("topic", "sender", "device"), [
    ("partner/feed", "gw", "carl/car"), ("partner/feed", "partner/feed", "carl/car"),  # a gateway's own topic
    ("owntracks/anna/phone", "anna/phone", "anna/phone"), ("company/owntracks/anna/van7", "van", "van"),
    ("birddog/v1/tag1/owntracks", "tag1", "tag1"), ("", "tag1", "tag1"), ("", "", "carl/car"),
])  # fmt: skip
def test_the_topic_that_an_object_holds_names_its_phone_where_no_other_does(topic, sender, device):
    location = {"_type": "location", "lat": 51.95, "lon": 4.05, "tst": 1793526000}
    for payload in (location | {"topic": "owntracks/carl/car"}, [location | {"topic": "owntracks/carl/car/event"}]):
        decoded = owntracks.Decoder().decode(Message(payload=json.dumps(payload).encode(), topic=topic, device=sender))
        assert [o.device for o in decoded.observations] == [device]
    for other in ("company/anna/van7", "phone", "", 5, None):  # an own base is whatever the enrolment says
        decoded = owntracks.Decoder().decode(
            Message(payload=json.dumps(location | {"topic": other}).encode(), topic="company/anna/van7", device="van7"))
        assert [o.device for o in decoded.observations] == ["van7"]
