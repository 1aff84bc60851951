"""One alert for one thing that goes on, none for what merely left; time and attributes by when they were observed.

Each is a public report or a case that went wrong: traccar#2189 (a door that bounces), #6015 (late attributes),
freeboard-sk#91 (a ship out of range is no alarm), traccar-web#314 (an interval that nobody said), gpslogger#572 (a clock
that falls back), and two trackers of one shipment that part.

Over 400 lines: one short journal for each report, all against the same few helpers.
"""

from __future__ import annotations

import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import (
    Attachment,
    Device,
    Fix,
    Operation,
    Placement,
    Reading,
    Reject,
    TagRead,
    Tick,
)
from birddog.units import NS
from tracking.lag import STEADY, STORE_RUN_NS, Lag, heard

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def fix(device, t, e=0.0, n=0.0, **more):
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, **({"sigma_m": 5.0} | more))


def test_two_receivers_that_part_are_critical_and_both_are_shown(journal):
    """A goes east, B north: one alert, the track goes on with the one it followed, the other is its rival all the way."""
    j = journal()
    j.add(0, Operation(operation="op"))
    for device in ("a", "b"):
        j.add(0, Device(device=device, klass="lorry", interval_s=10))
        j.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    for t in range(0, 900, 10):
        gone = max(0, t - 300)
        j.say(t, fix("a", t, 14.0 * gone))
        j.say(t + 4, fix("b", t + 4, 0.0, 14.0 * (gone + 4 if gone else 0)))
    [parted] = j.happened("parted")
    assert parted.end_ns is None and {"a", "b"} <= set(parted.text.replace(":", " ").split())
    assert not j.happened("contradicted") and not j.happened("two_places")
    [row] = j.now(894)
    assert HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0] > 8000.0 and row.p_ee < 200.0
    assert row.rival_device == "b" and HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)[1] > 8000.0
    # together again: it is over
    for t in range(900, 1000, 10):
        j.say(t, fix("a", t, 14.0 * (t - 300)))
        j.say(t + 4, fix("b", t + 4, 14.0 * (t + 4 - 300)))
    assert j.happened("parted")[0].end_ns is not None and j.now(1000)[0].rival_hits == 0


def test_fixes_that_are_mostly_refused_are_told_of_within_five(journal):
    j = journal()
    for t in range(0, 600, 10):
        j.say(t, fix("d", t))
    far = [(90_000.0, 0.0), (-70_000.0, 50_000.0), (0.0, -120_000.0), (200_000.0, 10_000.0), (-9e4, -9e4)]
    for k, (e, n) in enumerate(far):
        j.say(600 + 10 * k, fix("d", 600 + 10 * k, e, n))
    assert len(j.happened("contradicted")) == 1 and abs(j.now(640)[0].lat_deg - 51.95) < 0.01
    for t in range(650, 720, 10):
        j.say(t, fix("d", t))
    assert j.happened("contradicted")[0].end_ns is not None


def test_a_door_that_bounces_is_one_alert_with_a_count(journal):
    j = journal()
    for t in range(0, 600, 4):
        j.say(t, Reading(device="door", time_ns=T0 + t * NS, quantity="door_open", value=t % 8 == 0))
    [event] = j.happened("door_opened")
    assert "75 times" in event.text


def test_the_newest_observation_of_an_attribute_stays_whatever_comes_in_later(journal):
    j = journal()
    j.say(0, fix("d", 0, attributes={"battery_level": 90.0}))
    j.say(3600, fix("d", 3600, attributes={"battery_level": 80.0}))
    row = j.say(3610, fix("d", 60, attributes={"battery_level": 20.0})).tracks[-1]
    assert row.attributes["battery_level"] == 80.0


def test_a_ship_out_of_range_is_lost_then_forgotten_and_no_alert(journal):
    j = journal()
    j.say(0, fix("beat", 0))
    for t in range(0, 2400, 60):
        j.say(t, fix("244900001", t, 5.0 * t, attributes={"msg_type": 1}, sigma_m=None), fmt="ais")
        j.say(t, fix("002442000", t, attributes={"msg_type": 4}, sigma_m=None), fmt="ais")
    seen = []
    for t in range(2400, 100_000, 60):
        j.add(t, Tick())
        ship = [r.status for r in j.now(t) if r.tag_id == "244900001"]
        seen += [s for s in ship if not seen or s != seen[-1]]
    assert seen == ["confirmed", "coasting", "silent"] and not [e for e in j.happened("silent") if e.device != "beat"]
    station = next(r for r in j.now(99_990) if r.tag_id == "002442000")
    assert station.status == "confirmed" and station.klass == "station" and station.p_ee < 1e4
    # it comes again: a track of its own
    j.say(100_000, fix("244900001", 100_000, attributes={"msg_type": 1}, sigma_m=None), fmt="ais")
    assert len([r for r in j.now(100_000) if r.tag_id == "244900001"]) == 1


def test_an_interval_that_nobody_said_is_learnt(journal):
    j = journal()
    j.add(0, Device(device="d", basis="own_sensor"))
    for t in range(0, 86_400, 3600):
        j.say(t, fix("d", t))
        for k in range(60, 3600, 60):
            j.add(t + k, Tick())
    assert len(j.happened("silent")) <= 1
    j.add(0, Device(device="e", basis="own_sensor", interval_s=30.0))
    j.say(86_400, fix("e", 86_400))
    for k in range(5, 200, 5):
        j.add(86_400 + k, Tick())
    assert [e.device for e in j.happened("silent")][-1] == "e"


def test_a_journal_without_ticks_tells_of_a_silence_in_its_time(journal):
    j = journal()
    j.add(0, Device(device="d", interval_s=30, basis="own_sensor"))
    for t in (0, 30, 60):
        j.say(t, fix("d", t))
    changes = j.say(86_400, fix("d", 86_400))
    [silent] = j.happened("silent")
    assert silent.start_ns == T0 + 60 * NS and silent.end_ns == T0 + 86_400 * NS
    assert [p.origin for p in changes.points][:2] == ["coast", "coast"] and changes.points[0].time_ns < T0 + 300 * NS


def test_a_clock_that_falls_back_is_told_and_followed(journal):
    j = journal()
    for t in range(0, 1800, 10):
        j.say(t, fix("d", t, 15.0 * t))
    for t in range(1800, 3600, 10):
        j.say(t, fix("d", t - 3600, 15.0 * t))
    [clock] = j.happened("clock")
    assert "3600 s behind" in clock.text and not j.happened("conflict")
    [row] = j.now(3590)
    assert HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0] == pytest.approx(15.0 * 3590, abs=30.0)
    for t in range(3600, 3700, 10):
        j.say(t, fix("d", t, 15.0 * t))
    assert j.happened("clock")[0].end_ns is not None


def test_what_was_kept_and_comes_in_at_once_is_no_clock_that_is_behind(journal):
    j = journal()
    for t in range(0, 600, 10):
        j.say(t, fix("d", t))
    for k in range(200):  # two hours later: what was kept in the cellar
        j.say(7800 + k * 0.1, fix("d", 600 + 10 * k))
    assert not j.happened("clock")


@pytest.mark.parametrize("step_ns", [1 * NS, 10 * NS, 300 * NS])
def test_steadily_behind_is_a_clock_and_nothing_else(step_ns):
    lag: Lag | None = None
    for k in range(STEADY + STORE_RUN_NS // step_ns):  # of one that was behind from the first it may be a store that drains
        lag = heard(lag, k * step_ns, k * step_ns + 3600 * NS)
        assert lag.steady == (k + 1 >= STEADY and k * step_ns >= STORE_RUN_NS) and lag.correction_ns == 0
    right = heard(None, 0, 0)
    for k in range(1, 1 + STEADY):
        right = heard(right, k * step_ns - 3600 * NS, k * step_ns, back=k == 1)
    assert right.correction_ns == 3600 * NS
    assert heard(right, 10**15, 10**15).correction_ns == 0
    fast = None
    for k in range(50):
        fast = heard(fast, k * 10 * NS, 10**13 + k * NS // 10)
    assert not fast.steady


def test_a_device_whose_clock_the_door_refuses_is_not_silent(journal):
    j = journal()
    for t in range(0, 900, 10):
        j.say(t, fix("d", t))
    for t in range(900, 1800, 10):
        j.say(t, rejects=[Reject("clock", "3600 s ahead of the receiver", device="d")])
    assert not j.happened("silent") and "3600 s ahead" in j.happened("clock")[0].text
    j.say(1800, fix("d", 1800))
    assert j.happened("clock")[0].end_ns is not None


@pytest.mark.parametrize(("weak", "strong"), [(-60.0, -36.0), (None, None)])
def test_two_readers_that_hear_a_tag_at_once_do_not_throw_it_about(weak, strong, journal):
    j = journal()
    for name, e in (("pa", 0.0), ("pb", 40.0)):
        lat, lon = HOME.geodetic(e, 0.0)
        j.add(0, Placement(device=name, lat_deg=lat, lon_deg=lon, range_m=6.0))
    for t in range(0, 600, 6):
        reader, rssi = ("pa", strong) if t % 12 == 0 else ("pb", weak)
        j.say(t, TagRead(device=reader, time_ns=T0 + t * NS, epc="urn:epc:id:sgtin:1.2.3", rssi_dbm=rssi))
        [row] = j.now(t)
        if t > 60:
            e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
            assert e * e / row.p_ee + n * n / row.p_nn <= 5.991  # it is at pa
    assert not j.happened("parted") and (strong is None or abs(e) < 1.0)


@pytest.mark.parametrize("late_s", [3.0, 40.0, 50.0, 65.0, 130.0])
@pytest.mark.parametrize("every_s", [10, 30])
def test_one_report_that_two_receivers_hear_is_one_however_late_the_second_is(every_s, late_s, journal):
    """A report says its second and no minute: 50 s late it was taken for one of now, 65 s late for one of a minute later."""
    j, rng, begun_s = journal(), random.Random(1), T0 // NS
    said = []
    for t in range(0, 900, every_s):
        lat, lon = HOME.geodetic(9.0 * t + rng.gauss(0, 3), rng.gauss(0, 3))
        one = Fix(device="244000001", time_ns=None, time_source="server", lat_deg=lat, lon_deg=lon, sigma_m=10.0, speed_mps=9.0,
                  course_deg=90.0, attributes={"msg_type": 1, "utc_second": (begun_s + t) % 60})  # fmt: skip
        said += [(t + 0.3, one), (t + late_s, one)]
    for at_s, one in sorted(said, key=lambda row: row[0]):
        j.say(at_s, one, fmt="ais", device="receiver")
    [row] = j.now(900)
    e, _ = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    assert row.hits == 900 // every_s and row.refused == 0 and abs(e - 8100.0) < 40.0
    assert {event.kind for event in j.happened()} <= {"confirmed"}


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize(("every_s", "shakes_s", "apart_m", "range_m"), [
    (300, 20, 40.0, 40.0), (600, 20, 80.0, 80.0), (60, 7, 15.0, 20.0), (300, 90, 60.0, 80.0), (1800, 400, 40.0, 60.0),
])
def test_a_sensor_that_shakes_for_ever_draws_no_crate_to_its_place(every_s, shakes_s, apart_m, range_m, reports, journal):
    """What it feels is somewhere about it; that it felt it a hundred times does not say where (80 m of 80 it went before)."""
    j, rng, end_s = journal(), random.Random(every_s), 7200
    area = ((4.0, 51.9), (4.1, 51.9), (4.1, 52.0), (4.0, 52.0), (4.0, 51.9))
    j.add(0, Operation(operation="op", area=area))
    j.add(0, Device(device="tag", klass="parcel", interval_s=every_s))
    j.add(0, Attachment(device="tag", shipment="crate", operation="op", from_ns=0))
    lat, lon = HOME.geodetic(apart_m, 0.0)
    j.add(0, Placement(device="shaker", lat_deg=lat, lon_deg=lon, range_m=range_m))
    fixes = [(t, fix("tag", t, rng.gauss(0, 5), rng.gauss(0, 5))) for t in range(0, end_s if reports else 2400, every_s)]
    shakes = [(t + 0.3, Reading(device="shaker", time_ns=T0 + round((t + 0.3) * NS), quantity="seismic", value=True))
              for t in range(200, end_s, shakes_s)]  # fmt: skip
    for at_s, said in sorted(fixes + shakes, key=lambda one: one[0]):
        j.say(at_s, said, device=said.device)
    [row] = [one for one in j.now(end_s) if one.operation == "op"]
    e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    assert abs(e) < 12.0 and e * e / row.p_ee + n * n / row.p_nn <= 5.991


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("apart_m", "every_s", "gps"), [(60.0, 25, True), (40.0, 4, True), (110.0, 10, False)])
def test_two_readers_that_hear_a_tag_alike_do_not_throw_it_to_and_fro(apart_m, every_s, gps, seed, journal):
    """Each read is a few dB off: one that was 6 dB better by chance put it at that reader, at 280 m/s."""
    j, rng = journal(), random.Random(seed)
    j.add(0, Operation(operation="op"))
    for device in ("urn:epc:id:sgtin:1.2.3", *(("gps",) if gps else ())):
        j.add(0, Device(device=device, interval_s=30.0 if device == "gps" else 0.0))
        j.add(0, Attachment(device=device, shipment="crate", operation="op", from_ns=0))
    for name, e in (("pa", 0.0), ("pb", apart_m)):
        lat, lon = HOME.geodetic(e, 0.0)
        j.add(0, Placement(device=name, lat_deg=lat, lon_deg=lon, range_m=6.0))
    for t in range(0, 300 * every_s, every_s):
        for k, reader in enumerate(rng.sample(("pa", "pb"), 2)):
            at_s = t + 0.2 * k
            j.say(at_s, TagRead(device=reader, time_ns=T0 + round(at_s * NS), epc="urn:epc:id:sgtin:1.2.3",
                                rssi_dbm=-50.0 + rng.gauss(0, 2)))  # fmt: skip
        if gps and t % 30 < every_s:
            j.say(t + 0.6, fix("gps", t, rng.gauss(0, 5), rng.gauss(0, 5)))
        [row] = j.now(t + 1)
        assert row.ve_mps**2 + row.vn_mps**2 < 25.0, t
    assert not j.happened("parted")


def test_a_silent_tag_keeps_its_circle_and_the_ship_near_it_is_a_contact(journal):
    """cases/tracking/silent-tag-jumps-onto-ship: the crate was drawn on the ship, and the ship was no dark vessel."""
    from birddog.model import Flag, Scan

    j = journal()
    j.add(0, Device(device="crate", interval_s=30, basis="own_sensor"))
    for t in range(0, 300, 30):
        j.say(t, fix("crate", t))
    w, e = HOME.geodetic(-5000, -5000), HOME.geodetic(5000, 5000)
    ring = ((w[1], w[0]), (e[1], w[0]), (e[1], e[0]), (w[1], e[0]), (w[1], w[0]))
    lat, lon = HOME.geodetic(-490.0, 0.0)
    for k in range(1, 8):
        t = 300 + 300 * k
        for tick in range(t - 300, t, 5):
            j.add(tick, Tick())
        flag = Flag(flag_id=f"f{k}", detector="cfar", score=9.0, pfa=1e-6, col=1, row=1, bbox_px=(0, 0, 2, 2), lat_deg=lat,
                    lon_deg=lon, r_ee=225.0, r_en=0.0, r_nn=225.0)  # fmt: skip
        j.add(t, Scan(scan_id=f"s{k}", sensor="sar", time_ns=T0 + t * NS, footprint=ring, pd=0.9, clutter_per_km2=0.01,
                      flags=(flag,)))  # fmt: skip
    rows = {r.tag_id: r for r in j.now(2400)}
    crate = rows["crate"]
    assert abs(HOME.en(lat_deg=crate.lat_deg, lon_deg=crate.lon_deg)[0]) < 60.0 and crate.sources == ("crate",)
    # one ship, seen seven times: one contact and one alert
    assert len(j.happened("dark_vessel")) == 1 and len(rows) == 2 and rows[""].hits == 7


def test_surveillance_changes_nothing_in_the_public_picture(journal):
    """A watched vessel that reports was a dark vessel in everybody's picture: it has its track in ``open`` either way."""
    from birddog.model import Flag, Scan

    def public(watched: bool):
        j = journal()
        j.add(0, Operation(operation="nightjar"))
        j.add(0, Device(device="rx", basis="own_sensor"))
        if watched:
            j.add(0, Device(device="244000001", basis="warrant"))
            j.add(0, Attachment(device="244000001", shipment="coaster", operation="nightjar", from_ns=0))
        for t in range(0, 60, 5):
            j.say(t, fix("244000001", t, 5.0 * t, attributes={"msg_type": 1}), fmt="ais", device="rx")
        lat, lon = HOME.geodetic(300.0, 0.0)
        w, e = HOME.geodetic(-3000, -3000), HOME.geodetic(3000, 3000)
        ring = ((w[1], w[0]), (e[1], w[0]), (e[1], e[0]), (w[1], e[0]), (w[1], w[0]))
        flag = Flag(flag_id="f", detector="cfar", score=9.0, pfa=1e-6, col=1, row=1, bbox_px=(0, 0, 2, 2), lat_deg=lat,
                    lon_deg=lon, r_ee=400.0, r_en=0.0, r_nn=400.0)  # fmt: skip
        j.add(61, Scan(scan_id="s", sensor="sar", time_ns=T0 + 60 * NS, footprint=ring, pd=0.9, clutter_per_km2=0.001,
                       flags=(flag,)))  # fmt: skip
        rows = [r for r in j.now(61) if r.operation == "open"]
        return [(r.tag_id, r.name, r.status, r.lat_deg, r.p_ee, r.hits) for r in rows], [e.kind for e in j.happened()]

    assert public(True) == public(False) and public(True)[1] == [] and len(public(True)[0]) == 1


def test_the_class_is_the_shipments_not_that_of_whoever_spoke_last(journal):
    """A van with a parcel's passive tag stays a van: its class flickered, its ring was cleared, a good fix was refused."""
    j = journal()
    j.add(0, Operation(operation="op"))
    for device, klass in (("gps", "van"), ("urn:epc:id:sgtin:1.2.3", "parcel"), ("phone", "walker")):
        j.add(0, Device(device=device, klass=klass, interval_s=8))
        j.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    lat, lon = HOME.geodetic(0.0, 1000.0)
    j.add(0, Placement(device="portal", lat_deg=lat, lon_deg=lon, range_m=10.0))
    classes = set()
    for t in range(0, 120, 8):
        j.say(t, fix("gps", t, 0.0, 9.0 * t))
        classes |= {row.klass for row in j.now(t)}
        if 40 <= t < 60:
            for k in range(1, 8):
                j.say(t + k, TagRead(device="portal", time_ns=T0 + (t + k) * NS, epc="urn:epc:id:sgtin:1.2.3"))
                classes |= {row.klass for row in j.now(t + k)}
        j.say(t + 5, fix("phone", t + 5, 0.0, 9.0 * (t + 5)))
    [row] = j.now(120)
    assert classes == {"van"} and row.refused <= 21
    assert HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[1] == pytest.approx(1080.0, abs=40.0)


def test_a_buoy_that_says_its_name_is_a_buoy_still(journal):
    """Message 21 has a name and a place: the name made it a vessel, lost after 20 minutes with an ellipse of a mile."""
    j = journal()
    for t in range(0, 1800, 180):
        named = Reading(device="992442000", time_ns=T0 + t * NS, quantity="ship_name", value="BUOY 7")
        j.say(t, fix("992442000", t, attributes={"msg_type": 21}, sigma_m=None), named, fmt="ais")
    j.add(6000, Tick())
    [row] = [r for r in j.now(6000) if r.tag_id == "992442000"]
    assert (row.klass, row.status, row.name) == ("station", "confirmed", "BUOY 7") and row.p_ee < 1e4


def test_a_refusal_says_why_and_a_parting_is_told_once(journal):
    j = journal()
    j.add(0, Operation(operation="op"))
    for device in ("a", "b"):
        j.add(0, Device(device=device, klass="lorry", interval_s=10.0, basis="warrant"))
        j.add(0, Attachment(device=device, operation="op", shipment="s", from_ns=T0 - NS))
    for t in range(0, 1200, 10):
        j.say(t, fix("a", t, 14.0 * t))
        j.say(t + 5, fix("b", t + 5, 14.0 * (t + 5) - 20.0 * max(0, t - 600)))
    assert len(j.happened("parted")) == 1 and len(j.happened("outlier")) <= 4
    assert all("km from the last place" in e.text and "NIS" not in e.text for e in j.happened("outlier"))


def test_a_shipment_whose_device_went_on_to_another_is_not_silent(journal):
    j = journal()
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="d", klass="parcel", interval_s=60.0, basis="warrant"))
    j.add(0, Attachment(device="d", operation="op", shipment="a", from_ns=T0))
    j.say(0, fix("d", 0))
    j.add(30, Attachment(device="d", operation="op", shipment="b", from_ns=T0 + 30 * NS))
    for t in range(60, 1800, 60):
        j.say(t, fix("d", t))
    assert not j.happened("silent")


def test_a_devices_own_fixes_outweigh_what_a_ground_sensor_lent_it(journal):
    """Seen in the demo: a shed's sensor drew a van over while it was out of range, and its own ten fixes were refused, told
    as two receivers that part."""
    j = journal()
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="gps", klass="van", interval_s=60))
    j.add(0, Attachment(device="gps", shipment="crate", operation="op", from_ns=0))
    lat, lon = HOME.geodetic(0.0, 700.0)
    j.add(0, Placement(device="shed", lat_deg=lat, lon_deg=lon, range_m=40.0))
    for t in range(0, 600, 10):
        j.say(t, fix("gps", t, 10.0 * t))
    # it turned off; the track was last seen under way, the sensor near where it may be now
    core = next(iter(j.fold._folds["op"].tracker.tracks.values())).core(None)
    from tracking.measurement import Measurement
    from tracking.presets import Presets
    from tracking.step import Model, advance

    presets = Presets()
    model = Model(preset=presets.of("van"), presets=presets, klass="van")
    at = HOME.geodetic(6400.0, 60.0)
    core, verdict, _ = advance(core, Measurement(T0 + 640 * NS, "shed", "trigger", *at, 400.0, 0.0, 400.0), model)
    assert verdict == "used" and core.lent and core.device == "gps"
    for k in (1, 2):
        at = HOME.geodetic(6500.0 + 100.0 * k, -2500.0)
        core, verdict, _ = advance(core, Measurement(T0 + (640 + 10 * k) * NS, "gps", "fix", *at, 25.0, 0.0, 25.0), model)
        assert not core.parted
    assert verdict in ("used", "moved") and not core.lent


def test_a_read_a_kilometre_away_is_parted_and_never_a_teleport(journal):
    """Seen in the demo by its score (NEES 199): a runner carried the tag to the shed, and each read there drew the van over."""
    j = journal()
    j.add(0, Operation(operation="op"))
    epc = "urn:epc:id:sgtin:1.2.3"
    j.add(0, Device(device="gps", klass="van", interval_s=8))
    for device in ("gps", epc):
        j.add(0, Attachment(device=device, shipment="crate", operation="op", from_ns=0))
    lat, lon = HOME.geodetic(0.0, 0.0)
    j.add(0, Placement(device="portal", lat_deg=lat, lon_deg=lon, range_m=15.0))
    for t in range(0, 160, 8):
        j.say(t, fix("gps", t, 9.0 * t))
    for t in range(160, 220, 8):
        j.say(t, fix("gps", t, 9.0 * t))
        j.say(t + 3, TagRead(device="portal", time_ns=T0 + (t + 3) * NS, epc=epc))
        [row] = j.now(t + 3)
        assert HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)[0] == pytest.approx(9.0 * (t + 3), abs=25.0)
    assert [e.device for e in j.happened("parted")] == ["portal"] and row.hits == 28


@pytest.mark.parametrize("interval_s", [30, 310, 3600])
def test_a_device_enrolled_without_an_interval_is_not_silent_before_it_is_known_how_often_it_reports(journal, interval_s):
    """Case silent-default-interval: the first hour of a tracker that reports once an hour was a silence."""
    said = journal(exercise=False)
    said.add(0, Device(device="tag", basis="own_sensor"))
    for k in range(1, 13):
        at = k * interval_s
        said.say(at, Fix(device="tag", time_ns=T0 + at * NS, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0))
        for tick in range(at + 5, at + interval_s, max(5, interval_s // 20)):
            said.add(tick, Tick())
    assert said.happened("silent") == []
    last = 12 * interval_s
    for tick in range(last + 60, last + max(400, 6 * interval_s), 60):
        said.add(tick, Tick())
    [silent] = said.happened("silent")
    assert silent.start_ns == T0 + last * NS


def test_what_was_enrolled_without_an_interval_and_spoke_once_is_missed_in_the_end(journal):
    said = journal(exercise=False)
    said.add(0, Device(device="tag", basis="own_sensor"))
    said.say(10, Fix(device="tag", time_ns=T0 + 10 * NS, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0))
    for tick in range(60, 4_800, 60):
        said.add(tick, Tick())
    assert [e.start_ns for e in said.happened("silent")] == [T0 + 10 * NS]


def test_an_interval_of_a_minute_that_was_said_is_no_unsaid_one(journal):
    """Enrolled with 60 s it is silent after five of them, also when it was heard but once; with none it is learnt first."""
    silent = {}
    for interval_s in (60.0, 0.0):
        j = journal()
        j.add(0, Device(device="d", basis="own_sensor", interval_s=interval_s))
        j.say(0, fix("d", 0))
        for t in range(60, 1200, 60):
            j.add(t, Tick())
        silent[interval_s] = len(j.happened("silent"))
    assert silent == {60.0: 1, 0.0: 0}
