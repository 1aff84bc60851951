"""What makers' codecs say of a position: a row a maker, and what must not be taken for one.

The objects are typed after the scripts and examples of TheThingsNetwork/lorawan-devices (``devices.lorawan`` names the files);
positions are made up.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog.model import Alarm, Fix, Reading
from birddog.units import NS, ns_from_text
from devices import codec, lorawan
from devices.codec import Message
from devices.formats import chirpstack

NETWORK = ns_from_text("2025-11-01T09:40:00.775Z")
HISTORY = {"battery": 93, "history": [{"timestamp": 1761900000, "latitude": 52.0, "longitude": 4.3}]}


def read(said) -> lorawan.Read:
    return lorawan.read(said, device="d", time_ns=NETWORK, source="gateway")


def t1000(**more):
    at = {"timestamp": 1761989990000} | more
    return {"valid": True, "err": 0, "messages": [[
        {"measurementId": "4197", **at, "type": "Longitude", "measurementValue": 4.3},
        {"measurementId": "4198", **at, "type": "Latitude", "measurementValue": "-52.1"},
        {"measurementId": "3000", **at, "type": "Battery", "measurementValue": 88}]]}


#: (who, the object, the fix's fields)
MAKERS = [
    ("Digital Matter Oyster", {"type": "position", "batV": 5.55, "fixFailed": False, "headingDeg": 90, "inTrip": False,
                               "latitudeDeg": -32.0, "longitudeDeg": 116.0, "manDown": None, "speedKmph": 12},
     {"lat_deg": -32.0, "lon_deg": 116.0, "speed_mps": pytest.approx(12 / 3.6), "course_deg": 90.0, "flags": (),
      "sigma_m": None}),
    ("Digital Matter G62", {"type": "full data", "latitudeDeg": 51.9, "longitudeDeg": -4.1, "GpsCurrent": True,
                            "gpsAccM": 3, "headingDeg": 10, "speedKmph": 0},
     {"lat_deg": 51.9, "lon_deg": -4.1, "sigma_m": pytest.approx(3 / 1.5096), "speed_mps": 0.0}),
    ("Abeeway 2", {"age": 16, "batteryLevel": 93, "gpsLatitude": 48.92, "gpsLongitude": 2.3, "horizontalAccuracy": 7.84,
                   "messageType": "POSITION_MESSAGE", "rawPositionType": "GPS"},
     {"lat_deg": 48.92, "lon_deg": 2.3, "sigma_m": pytest.approx(7.84 / 1.5096), "time_ns": NETWORK - 16 * NS}),
    ("Abeeway 3", {"header": {"timestamp": "2025-11-01T09:39:48.000Z", "batteryLevel": "CHARGING", "sos": False}, "position": {
        "coordinates": [7.06, 43.61, 161], "gnssFix": {"COG": 0, "EHPE": 23, "SOG": 10, "altitude": 161, "latitude": 43.61,
                                                       "longitude": 7.06, "quality": {"fixQuality": "FIX_3D"}},
        "positionType": "GNSS", "status": "SUCCESS"}},
     {"lat_deg": 43.61, "lon_deg": 7.06, "alt_m": 161.0, "sigma_m": pytest.approx(23 / 1.5096), "speed_mps": None,
      "course_deg": None, "time_ns": ns_from_text("2025-11-01T09:39:48Z"), "time_source": "device"}),
    ("Browan", {"MovingMode": 1, "NoGNSSFix": 0, "GNSSerror": 0, "Battery": 3.6, "Lat": 25.07, "Long": 121.57,
                "PositionEstimate": 8},
     {"lat_deg": 25.07, "lon_deg": 121.57, "sigma_m": pytest.approx(8 / 1.5096), "flags": ()}),
    ("Browan, worse than 256 m", {"NoGNSSFix": 0, "Lat": 25.07, "Long": 121.57, "PositionEstimate": 512},
     {"sigma_m": None, "flags": ("low_quality",)}),
    ("Dragino TrackerD", {"Latitude": 22.7, "Longitud": 114.2, "BatV": 4.03, "ALARM_status": "FALSE", "LON": "ON"},
     {"lat_deg": 22.7, "lon_deg": 114.2, "flags": ()}),
    ("RAKwireless RUI (RUI_LoRa_node_payload_decoder#1)",
     {"altitude": "554.1m", "battery": "3.91V", "latitude": "46.9442°", "longitude": "-7.4363°"},
     {"lat_deg": 46.9442, "lon_deg": -7.4363, "alt_m": 554.1, "flags": ()}),
    ("MOKO LW001", {"battery voltage": "3.4V", "fix_tech": "gps", "lat": "30.458075", "lon": "114.4692816",
                    "pack_type": "fix_success"},
     {"lat_deg": 30.458075, "lon_deg": 114.4692816}),
    ("MOKO LW004", {"pack_type": "work_gps_fix_success", "batterylevle": "86%", "age": 40, "lat": 30.5, "lon": 114.4},
     {"lat_deg": 30.5, "time_ns": NETWORK - 40 * NS, "time_source": "device", "flags": ()}),
    ("Adeunis, Watteco: value and unit", {"position": {
        "latitude": {"value": 45.25, "unit": "°"}, "longitude": {"value": 5.75, "unit": "deg"},
        "speed": {"value": 36, "unit": "km/h"}, "accuracy": {"value": 12, "unit": "m"}}},
     {"lat_deg": 45.25, "lon_deg": 5.75, "sigma_m": pytest.approx(12 / 1.5096), "speed_mps": pytest.approx(10.0)}),
    ("letters of the side", {"latitude": "45.25 S", "longitude": "W 5.75°"}, {"lat_deg": -45.25, "lon_deg": -5.75}),
    ("letters beside", {"latitude": 45.25, "latitudeRef": "S", "longitude": 5.75, "longitudeRef": "E"},
     {"lat_deg": -45.25, "lon_deg": 5.75}),
    ("letters beside, GPS_", {"gps_lat": 45.25, "gps_lat_dir": "n", "gps_lng": "5.75", "gps_lng_dir": "West"},
     {"lat_deg": 45.25, "lon_deg": -5.75}),
    ("a letter beside a number that has its sign", {"lat": -45.25, "ns": "S", "lon": -5.75, "ew": "W"},
     {"lat_deg": -45.25, "lon_deg": -5.75}),
    ("text of both", {"gps": "45.25, -5.75", "hdop": 0.9}, {"lat_deg": 45.25, "lon_deg": -5.75}),
    ("Dragino TrackerD, text", {"Location": "22.7,114.2", "Latitude": 22.7, "LON": "OFF"}, {"lat_deg": 22.7, "lon_deg": 114.2}),
    ("Dragino LGT-92", {"latitude": 22.7, "longitude": 114.2, "hdop": 1.2, "altitude": 13.5, "LON": "ON", "BatV": 3.9},
     {"lat_deg": 22.7, "alt_m": 13.5, "attributes": {"hdop": 1.2}}),
    ("SenseCAP T1000", t1000(), {"lat_deg": -52.1, "lon_deg": 4.3, "time_ns": 1761989990 * NS, "time_source": "device"}),
    ("SenseCAP T1000 with the pair at the top (SenseCAP-Decoder#1)", t1000() | {"latitude": -52.1, "longitude": 4.3},
     {"lat_deg": -52.1, "time_ns": 1761989990 * NS}),
    ("Milesight AT101", {"battery": 93, "latitude": 52.0, "longitude": 4.3, "motion_status": "moving", "position": "normal"},
     {"lat_deg": 52.0, "lon_deg": 4.3, "time_ns": NETWORK}),
    ("Milesight AT101, stored", HISTORY, {"lat_deg": 52.0, "time_ns": 1761900000 * NS, "flags": ("backlog",)}),
    ("Cayenne", {"gps_1": {"altitude": 10, "latitude": 42.35, "longitude": -87.9}}, {"lat_deg": 42.35, "lon_deg": -87.9}),
    ("Cayenne, ChirpStack's", {"gpsLocation": {"1": {"latitude": 42.35, "longitude": -87.9}}}, {"lat_deg": 42.35}),
    ("Cayenne, a list", {"data": [{"channel": 3, "value": 27.2},
                                  {"channel": 1, "value": {"latitude": 42.35, "longitude": -87.9}}]},
     {"lat_deg": 42.35, "time_ns": NETWORK}),
    ("TTN Mapper", {"lat": "42.35", "lng": "-87.9", "alt": 3, "hdop": 0.9, "sats": 7}, {"lat_deg": 42.35, "lon_deg": -87.9}),
    ("GeoJSON", {"where": {"type": "Point", "coordinates": [-87.9, 42.35]}}, {"lat_deg": 42.35, "lon_deg": -87.9}),
    ("Wi-Fi", {"position": {"latitude": 52.0, "longitude": 4.3, "accuracy": 40, "source": "WIFI_RSSI"}},
     {"fix": "wifi", "sigma_m": pytest.approx(40 / 1.5096)}),
]  # fmt: skip


@pytest.mark.parametrize("who, said, wanted", MAKERS, ids=[row[0] for row in MAKERS])
def test_a_fix_under_each_makers_names(who, said, wanted):
    found = read(said)
    (fix,) = [o for o in found.observations if isinstance(o, Fix)]
    for field, value in wanted.items():
        assert getattr(fix, field) == value, (who, field)
    assert not found.rejects and not any(isinstance(o, Reading) and o.quantity == "fix_valid" for o in found.observations)
    assert not found.unread, found.unread


@pytest.mark.parametrize("said", [
    {"fixFailed": True, "cached": {"latitudeDeg": -32.0, "longitudeDeg": 116.0}},
    {"fixFailed": True, "latitudeDeg": -32.0, "longitudeDeg": 116.0},
    {"GpsCurrent": False, "latitudeDeg": -32.0, "longitudeDeg": 116.0},
    {"NoGNSSFix": 1, "Lat": 25.07, "Long": 121.57},
    {"rawPositionType": "GPS_TIMEOUT", "messageType": "POSITION_MESSAGE"},
    {"position": {"positionType": "GNSS", "status": "TIMEOUT"}},
    {"position": {"status": "SUCCESS", "gnssFix": {"latitude": 1.5, "longitude": 2.5, "quality": {"fixQuality": "NO_FIX"}}}},
    {"valid": False, "gps": {"lat": 52.0, "lon": 4.3}},
    {"Latitude": 0, "Longitud": 0, "Location": 0},
    {"latitude": 52.0, "longitude": 4.3, "gps_fix": "No fix"},
    {"latitude": 52.0, "longitude": 4.3, "gnssStatus": "no signal"},
    {"latitude": 52.0, "longitude": 4.3, "lastKnown": True},
    {"latitude": 52.0, "longitude": 4.3, "cached": "true"},
    # disk91/WioLoRaWANFieldTester#69
    {"accuracy": 0.5, "altitude": -1000, "hdop": 0, "latitude": 0.0000053, "longitude": 0.0000107, "sats": 0},
    {"latitude": None, "longitude": None},
    {"gps": {"lat": 52.0, "lon": 4.3, "fix": "no fix", "fixStatus": "NO_FIX"}},
], ids=str)  # fmt: skip
def test_no_fix_is_no_fix(said):
    found = read(said)
    assert [(o.quantity, o.value, o.flags) for o in found.observations] == [("fix_valid", False, ("no_fix",))]


@pytest.mark.parametrize("said, unread", [
    ({"geofence_center_config": {"latitude": 52.0, "longitude": 4.3}}, ["object"]),
    ({"gateway": {"lat": 52.0, "lon": 4.3}}, ["object"]),
    ({"nearestBeacon": {"latitude": 52.0, "longitude": 4.3}}, ["object"]),
    ({"temperature": 21}, ["object"]),
    ({"latitudeE7": 520000000, "longitudeE7": 43000000}, ["object.position"]),
    ({"lat": 52.0, "lon": "ON"}, ["object"]),
    ({"Latitude": 52.0, "LON": "ON"}, ["object.position"]),
    ({"latitude": "N52 00.1", "longitude": 4.3}, ["object.position"]),
    ({"latitude": "45°15'00\" N", "longitude": "5°45'00\" E"}, ["object.position"]),
    ({"latitude": "45.25 rad", "longitude": "5.75 rad"}, ["object.position"]),
    ({"latitude": {"value": 2715, "unit": "min"}, "longitude": {"value": 345, "unit": "min"}}, ["object.position"]),
    ({"latitude": "45.25 E", "longitude": "5.75 N"}, ["object.position"]),
    ({"latitude": "-45.25 S", "longitude": "5.75 E"}, ["object.position"]),
    ({"coordinates": [4.3, 52.0]}, ["object.position"]),
    ({"history": [{"latitude": 52.0, "longitude": 4.3}]}, ["object.undated_position"]),
    ({"log": [{"time": "09:40:00", "lat": 52.0, "lon": 4.3}]}, ["object.time", "object.undated_position"]),
    ({"log": [{"time": 1234, "lat": 52.0, "lon": 4.3}]}, ["object.undated_position"]),
    ({"log": [{"time": 315532800, "lat": 52.0, "lon": 4.3}]}, ["object.undated_position"]),
    ({"fixes": [{"lat": 52.0, "lon": 4.3}, {"lat": 52.1, "lon": 4.3}]}, ["object.undated_position"]),
    ({"time": 1761989990, "fixes": [{"lat": 52.0, "lon": 4.3}, {"lat": 52.1, "lon": 4.3}]}, ["object.undated_position"]),
    ({"rawPositionType": "GPS", "age": 2040, "gpsLatitude": 48.92, "gpsLongitude": 2.3}, ["object.undated_position"]),
    ({"measurements": [{"type": "Latitude", "measurementId": "4097", "measurementValue": 52.0}]}, ["object"]),
    ({"messages": [[{"type": "Air Humidity", "measurementId": "4198", "measurementValue": 52.0},
                    {"type": "Air Temperature", "measurementId": "4197", "measurementValue": 4.3}]]}, ["object"]),
    ({"messages": [[{"type": "Wi-Fi Scan", "measurementId": "5001", "measurementValue": [{"mac": "x", "rssi": -70}]}]]},
     ["object.wifi_scan"]),
    ({"wifi": [{"mac": "00:11", "rssi": -60}]}, ["object.wifi_scan"]),
    ({"battery": 3}, ["object.battery"]),
], ids=str)  # fmt: skip
def test_what_is_no_position_gives_none_and_is_said(said, unread):
    found = read(said)
    assert not found.observations and not found.rejects and list(found.unread) == unread


def test_a_doubtful_time_is_not_called_sure():
    (fix,) = read({"lat": 52.0, "lon": 4.3, "time": "2025-11-01 09:39:50"}).observations
    assert (fix.time_ns, fix.time_source, fix.flags) == (NETWORK, "gateway", ("no_fix_time",))
    assert read({"lat": 52.0, "lon": 4.3, "time": "2025-11-01 09:39:50"}).unread == ("object.time",)
    (fix,) = read({"lat": 52.0, "lon": 4.3, "timestamp": 315532800}).observations
    assert (fix.time_ns, fix.time_source, fix.flags) == (NETWORK, "gateway", ("no_fix_time",))


@pytest.mark.parametrize("word", [1761989990, 1761989990000, 1761989990000000, 1761989990 * NS, 1761989990.0, "1761989990",
                                  "2025-11-01T09:39:50Z", "2025-11-01T10:39:50+01:00", "2025-11-01T09:39:50.000Z"])
@pytest.mark.parametrize("name", ["timestamp", "time", "gpsTime", "fix_time", "dateTime"])
def test_a_stated_time_is_taken_in_every_form(word, name):
    (fix,) = read({"lat": 52.0, "lon": 4.3, name: word}).observations
    assert (fix.time_ns, fix.time_source, fix.flags) == (1761989990 * NS, "device", ())


def test_stored_positions_keep_their_order_and_leave_the_present_one():
    stored = [{"timestamp": 1761900000 + 60 * k, "latitude": 52.0 + k / 100, "longitude": 4.3} for k in range(5)]
    found = read({"latitude": 53.0, "longitude": 4.4, "history": stored})
    assert [o.flags for o in found.observations] == [(), *[("backlog",)] * 5]
    assert [o.time_ns for o in found.observations[1:]] == [(1761900000 + 60 * k) * NS for k in range(5)]
    # the present fix failed: those before it did not
    found = read({"fixFailed": True, "history": stored})
    assert [type(o) for o in found.observations] == [Fix] * 5 + [Reading]


def test_abeeways_previous_fix_is_dated_by_its_age():
    found = read({"rawPositionType": "GPS", "age": 0, "gpsLatitude": 48.92, "gpsLongitude": 2.3,
                  "gpsPrevious": {"age": 80, "latitude": 48.91, "longitude": 2.31}})
    assert [(o.lat_deg, o.time_ns, o.flags) for o in found.observations] == [
        (48.92, NETWORK, ()), (48.91, NETWORK - 80 * NS, ("backlog",))]


@pytest.mark.parametrize("value", [0, -1, -2147473, 1e9, "n/a", 10**18])
@pytest.mark.parametrize("name", ["accuracy", "acc", "horizontalAccuracy", "gpsAccM"])
def test_unknown_accuracy_is_not_good_accuracy(name, value):
    (fix,) = read({"lat": 52.0, "lon": 4.3, name: value}).observations
    assert (fix.sigma_m, fix.flags) == (None, ("low_quality",))


@pytest.mark.parametrize("place", [{"lat": 0, "lon": 4.3}, {"lat": 52.0, "lon": 0.0}, {"lat": 24.35, "lon": 24.35}])
def test_a_place_that_looks_made_is_no_clean_fix(place):
    (fix,) = read(place | {"accuracy": 5}).observations
    assert (fix.sigma_m, fix.flags) == (None, ("low_quality",))


@pytest.mark.parametrize("said, alarm", [
    ({"sosFlag": 1}, "sos"), ({"header": {"sos": True}}, "sos"), ({"ALARM_status": "TRUE"}, "sos"),
    ({"tamper_status": "uninstall"}, "tamper"),
    ({"messages": [[{"measurementId": "4200", "type": "Event Status",
                     "measurementValue": [{"id": 7, "eventName": "SOS event."}]}]]}, "sos"),
])  # fmt: skip
def test_a_call_is_heard(said, alarm):
    (found,) = read(said).observations
    assert isinstance(found, Alarm) and found.alarm == alarm


@pytest.mark.parametrize("said", [
    {"sosFlag": 0, "ALARM_status": "FALSE", "tamper_status": "install", "header": {"sos": False}},
    {"messages": [[{"measurementId": "4200", "type": "Event Status", "measurementValue": [{"id": 3}]},
                   {"measurementId": "3941", "type": "SOS Mode", "measurementValue": 1}]]},
])  # fmt: skip
def test_nobody_called(said):
    assert not read(said).observations


def test_a_position_out_of_range_costs_itself_only():
    found = read({"batV": 3.6, "latitude": -109.794, "longitude": 454.1587})
    assert [r.reason for r in found.rejects] == ["value"] and "109" not in found.rejects[0].detail
    assert [o.quantity for o in found.observations] == ["battery_voltage"]


def test_a_huge_object_is_read_in_part_and_said():
    found = read({"a": [{"b": {}} for _ in range(3000)], "lat": 52.0, "lon": 4.3})
    assert len(found.observations) == 1 and found.unread == ("object.size",)
    deep: dict = {"lat": 52.0, "lon": 4.3}
    for _ in range(50):
        deep = {"x": deep}
    assert read(deep).unread == ("object.size",)


WORDS = st.sampled_from([
    *"lat lon latitude longitude Longitud time timestamp fixFailed valid accuracy sats history messages".split(),
    *"measurementValue type measurementId location battery age header positionType quality gps".split(),
    "rawPositionType", "coordinates", "sos",
    "51.95,4.05", "Anna's van"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), WORDS,
              st.sampled_from(["Latitude", "Longitude", "Point", "4198", 52.0, 4.3, 1761900000])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=6)), max_leaves=25)  # fmt: skip


@given(said=VALUES)
def test_no_object_raises_or_names_what_it_says(said):
    found = read(said)
    assert found.unread == codec.unread(found.unread)
    assert all(name == "object" or name.startswith("object.") for name in found.unread)


TOPIC = "application/1/device/0102030405060708/event/"


def event(kind: str, **said) -> codec.Decoded:
    o = {"deduplicationId": "d-1", "time": "2025-11-01T09:40:00.775+00:00", "deviceInfo": {"devEui": "0102030405060708"}} | said
    return chirpstack.Decoder().decode(Message(payload=json.dumps(o).encode(), topic=TOPIC + kind))


def test_two_solutions_of_one_uplink_are_two_and_one_twice_is_one():
    one, other = ({"latitude": 52.0, "longitude": lon, "source": "GEO_RESOLVER_TDOA"} for lon in (4.3, 4.4))
    keys = [event("location", location=place).key for place in (one, other, one)]
    assert keys[0] == keys[2] != keys[1]
    said = (({"lat": 52}, -90), ({"lat": 52}, -70), ({}, -90))
    keys = [event("up", object=o, rxInfo=[{"rssi": rssi}]).key for o, rssi in said]
    assert keys[0] == keys[1] != keys[2]


def test_places_that_were_configured_are_no_fix():
    gateway = {"gatewayId": "01", "rssi": -91, "location": {"latitude": 52.37, "longitude": 4.91, "source": "CONFIG"}}
    assert [type(o) for o in event("up", rxInfo=[gateway]).observations] == [Reading]
    decoded = event("location", location={"latitude": 52.37, "longitude": 4.91, "source": "CONFIG"})
    assert not decoded.observations and decoded.unread == ("location.configured",)


def test_a_gateway_that_states_no_level_has_none():
    assert not event("up", rxInfo=[{"gatewayId": "01"}, {"gatewayId": "02", "rssi": 0}]).observations
    assert event("up", rxInfo=[{"gatewayId": "01"}, {"rssi": -99}]).observations[0].value == -99.0


def test_bytes_that_no_codec_read_are_named():
    assert event("up", data="qg==").unread == ("data",)
    assert event("up", data="qg==", object={"lat": 52.0, "lon": 4.3}).unread == ()


@pytest.mark.parametrize("eui", ["0102030405060708", "AQIDBAUGBwg="])
def test_chirpstack_3(eui):
    said = {"applicationID": "1", "deviceName": "d", "devEUI": eui, "fCnt": 10, "fPort": 5, "data": "qg==",
            "rxInfo": [{"gatewayID": "03", "time": "2025-11-01T09:40:00.5Z", "rssi": -57, "loRaSNR": 10,
                        "location": {"latitude": 52.37, "longitude": 4.91}},
                       {"gatewayID": "04", "time": "2025-11-01T09:40:00.4Z"}]}
    position = {"latitudeDeg": -32.0, "longitudeDeg": 116.0}
    for codec_said in ({"object": position}, {"objectJSON": json.dumps(position)}):
        decoded = chirpstack.Decoder().decode(Message(payload=json.dumps(said | codec_said).encode(), topic=TOPIC + "up"))
        fix, rssi = decoded.observations
        assert (fix.device, fix.lat_deg, fix.lon_deg, rssi.value) == ("0102030405060708", -32.0, 116.0, -57.0)
        assert fix.time_ns == ns_from_text("2025-11-01T09:40:00.4Z") and fix.time_source == "gateway"
    later = json.dumps(said | {"publishedAt": "2025-11-01T09:40:02Z", "object": position}).encode()
    decoded = chirpstack.Decoder().decode(Message(payload=later, topic=TOPIC + "up"))
    assert decoded.observations[0].time_ns == ns_from_text("2025-11-01T09:40:02Z")
    broken = json.dumps(said | {"objectJSON": "{"}).encode()
    decoded = chirpstack.Decoder().decode(Message(payload=broken, topic=TOPIC + "up"))
    assert [r.reason for r in decoded.rejects] == ["format"] and [o.quantity for o in decoded.observations] == ["rssi"]


@pytest.mark.parametrize(
    ("said", "quantity", "value"),
    [
        ({"battery": "3.91V"}, "battery_voltage", 3.91),
        ({"battery": "3910 mV"}, "battery_voltage", 3.91),
        ({"battery voltage": "3.4V"}, "battery_voltage", 3.4),
        ({"batteryVoltage": {"value": 3710, "unit": "mV"}}, "battery_voltage", 3.71),
        ({"battery": "86%"}, "battery_level", 86.0),
        ({"batterylevle": "86%"}, "battery_level", 86.0),
        ({"battery": {"value": 86, "unit": "%"}}, "battery_level", 86.0),
        ({"battery_level": "86 percent"}, "battery_level", 86.0),
    ],
)
def test_a_battery_with_its_unit(said, quantity, value):
    [reading] = read(said).observations
    assert (reading.quantity, reading.value) == (quantity, value)


def test_a_tamper_that_a_codec_names():
    assert [o.alarm for o in read({"tamper": True}).observations if isinstance(o, Alarm)] == ["tamper"]
    assert read({"tamper": False, "batV": 3.6}).observations[0].quantity == "battery_voltage"


@given(st.dictionaries(
    st.sampled_from("latitude longitude lat lon ns ew latitude_ref battery speed altitude accuracy age".split()),
    st.one_of(st.text(max_size=12), st.floats(), st.integers(-200, 200),
              st.sampled_from(["45.25 N", "5.75°", "S", "w", "3.4V", "12 km/h", "7e3", "1m"]),
              st.fixed_dictionaries({"value": st.one_of(st.floats(), st.text(max_size=3)),
                                     "unit": st.sampled_from(["°", "", "V", "x"])})),
    max_size=6))  # fmt: skip
def test_amounts_in_any_mixture_give_positions_on_the_earth(said):
    for o in read(said).observations:
        if isinstance(o, Fix):
            assert -90.0 <= o.lat_deg <= 90.0 and -180.0 <= o.lon_deg <= 180.0
