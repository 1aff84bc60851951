"""Receivers of one shipment that are apart and go together are no conflict, and those that part are told at once.

Front and rear of a train, fore and aft of a container ship.  Reports: gcobb321/icloud3_v3#336,
pnbruckner/ha-composite-tracker#32.
"""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation
from birddog.units import NS
from tracking import arms
from tracking.measurement import Measurement

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
#: Events that somebody would be called for.
CALLS = ("parted", "two_places", "contradicted", "jumped", "drift")


def way(seconds, speed, *, stands=(), radius=0.0, course=0.7):
    """Metres along the line at each second, with stops, and a function from metres to (e, n): straight, then in bends."""
    s, v, along = 0.0, 0.0 if 0 in stands else speed, []
    for t in range(seconds + 1):
        along.append((s, v))
        v += max(-0.7, min(0.5, (0.0 if t in stands else speed) - v))
        s += v
    places, e, n, h = [], 0.0, 0.0, course
    for k in range(-200, int(s / 5.0) + 3):
        places.append((e, n, h))
        if radius and k > 300 and k // 500 % 2:
            h += 5.0 / radius * (1 if k // 1000 % 2 else -1)
        e, n = e + 5.0 * math.sin(h), n + 5.0 * math.cos(h)

    def at(metres):
        k = math.floor(metres / 5.0)
        a, b, part = places[k + 200], places[k + 201], metres / 5.0 - k
        return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), a[2]

    def when(t):
        k = int(t)
        return along[k][0] + (t - k) * along[k][1], along[k][1]

    return when, at


class Train:
    """A train with a receiver at its front and one at its rear, told to a journal.

    Args:
        parts_s: the rear goes its own way, 70 degrees off, from then on.
    """

    def __init__(self, told, *, length=300.0, every=10, speed=20.0, seconds=600, stands=(), radius=0.0, stated=False,
                 parts_s=math.inf, seed=1, order=None):  # fmt: skip
        self.told, self.length, self.parts_s = told, length, parts_s
        self.when, self.at = way(seconds, speed, stands=stands, radius=radius)
        told.add(0, Operation(operation="op"))
        for device in "ab":
            told.add(0, Device(device=device, klass="lorry", interval_s=every))
            told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
        rng, rows = random.Random(seed), []
        for t in range(0, seconds, every):
            for at_s, device in ((t, "a"), (t + every / 2, "b")):
                e, n, h, v = self.place(device, at_s)
                lat, lon = HOME.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
                says = {"speed_mps": max(0.0, v + rng.gauss(0, 0.3)), "course_deg": math.degrees(h) % 360} if stated else {}
                time_ns = T0 + round(at_s * NS)
                rows.append((at_s, Fix(device=device, time_ns=time_ns, lat_deg=lat, lon_deg=lon, sigma_m=5.0, **says)))
        self.held: list[bool] = []
        self.speeds: list[float] = []
        for at_s, fix in rows if order is None else order(rows):
            told.say(at_s, fix)
            if order is None and at_s > seconds / 4:
                self._look(at_s + every / 5)

    def place(self, device, t):
        s, v = self.when(t)
        if device == "b" and t > self.parts_s:
            s0, v = self.when(self.parts_s)
            e, n, h = self.at(s0 - self.length)
            far = v * (t - self.parts_s)
            return e + far * math.sin(h + 1.2), n + far * math.cos(h + 1.2), h + 1.2, v
        return *self.at(s - (self.length if device == "b" else 0.0)), v

    def _look(self, t):
        [row] = self.told.now(t)
        e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
        det = row.p_ee * row.p_nn - row.p_en**2
        for device in "ab":
            de, dn = e - self.place(device, t)[0], n - self.place(device, t)[1]
            self.held.append((row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= 5.991)
        h, v = self.place("a", t)[2:]
        self.speeds.append(math.hypot(row.ve_mps - v * math.sin(h), row.vn_mps - v * math.cos(h)))

    @property
    def share(self):
        """Of the looks so many held an end of the train."""
        return sum(self.held) / len(self.held)


@pytest.mark.parametrize(("length", "speed", "seed"), [(100.0, 7.0, 0), (100.0, 20.0, 1), (130.0, 12.0, 2)])
def test_tags_a_hundred_metres_apart_that_report_each_half_minute_have_an_arm(journal, length, speed, seed):
    """Asked at the rear's own fix, where the front is by then is known to 100 m: no arm was found, and the ellipse held one of
    the two ends.  Between two fixes of the front it is known three times as well."""
    train = Train(journal(), length=length, every=30, speed=speed, seconds=1200, stands=range(40), seed=seed)
    assert not train.told.events(*CALLS) and len(train.told.happened("beside")) == 1 and train.share > 0.9


@pytest.mark.parametrize(("length", "seed"), [(42.0, 0), (50.0, 1), (50.0, 2), (58.0, 3)])
def test_what_is_just_as_far_apart_as_what_is_together_has_an_arm(journal, length, seed):
    """Neither nearer nor further than 50 m for certain, nothing was learnt for an hour: the speed shown was .4 to 27 m/s."""
    train = Train(journal(), length=length, every=10, speed=18.0, seconds=1200, seed=seed)
    speeds = sorted(train.speeds)
    assert not train.told.events(*CALLS) and len(train.told.happened("beside")) == 1 and train.share > 0.9
    assert speeds[int(0.95 * len(speeds))] < 4.0


@pytest.mark.parametrize(("length", "every", "speed", "how"), [
    (300.0, 10, 20.0, {}), (300.0, 10, 20.0, {"stated": True}), (100.0, 10, 20.0, {}), (600.0, 10, 40.0, {}),
    (300.0, 5, 10.0, {}), (600.0, 20, 30.0, {"stated": True}), (300.0, 60, 30.0, {"seconds": 1800}),
    (300.0, 10, 20.0, {"stands": range(120)}), (100.0, 20, 15.0, {"stands": range(200)}),
    (300.0, 10, 20.0, {"stands": range(250, 400)}), (300.0, 10, 20.0, {"radius": 1000.0, "seconds": 900}),
    (300.0, 60, 10.0, {"stands": range(3600), "seconds": 3600}),
])  # fmt: skip
def test_front_and_rear_go_together_and_nobody_is_called(length, every, speed, how, journal):
    """Two receivers on a train that moved when it was first heard were `parted` (critical) at 25 s and for ever; nearer ones
    made one track that ran to and fro."""
    train = Train(journal(), length=length, every=every, speed=speed, **how)
    assert not train.told.events(*CALLS)
    [found] = train.told.happened("beside")
    assert found.device == "b" and abs(float(found.text.split()[2]) - length) < 0.2 * length
    speeds = sorted(train.speeds)
    assert train.share > 0.88 and speeds[len(speeds) // 2] < max(1.0, 0.2 * speed)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_noise(seed, journal):
    rng = random.Random(seed)
    every = rng.choice((5, 10, 20, 30))
    train = Train(journal(), length=rng.uniform(80, 700), every=every, speed=rng.uniform(8, 45), seconds=60 * every,
                  stated=rng.random() < 0.5, seed=seed)  # fmt: skip
    assert not train.told.events(*CALLS) and len(train.told.happened("beside")) == 1 and train.share > 0.9


@pytest.mark.parametrize(("parts_s", "length", "by_s"), [
    (60, 0.5, 90), (30, 0.5, 60), (300, 0.5, 330), (300, 300.0, 345), (60, 250.0, 120),
])  # fmt: skip
def test_what_parts_is_told_in_time(parts_s, length, by_s, journal):
    """Together at first, or a train's length apart: from then on that they go different ways it is told in 30 to 45 s."""
    train = Train(journal(), length=length, parts_s=parts_s, seconds=450)
    [found] = train.told.happened("parted")
    assert T0 + parts_s * NS < found.start_ns <= T0 + by_s * NS and found.end_ns is None
    [row] = train.told.now(450)
    assert row.rival_device in ("a", "b") and row.rival_hits > 2


@pytest.mark.parametrize(("every", "east", "north", "stated"), [
    (120, 3.0, 3.0, True), (120, 14.0, 14.0, True), (120, 14.0, 0.0, True), (30, 25.0, 25.0, False), (120, 14.0, 14.0, False),
    (60, 14.0, 10.0, False), (300, 8.0, 8.0, True), (10, 3.0, 3.0, False),
])  # fmt: skip
def test_they_stood_together_and_each_is_driven_off_another_way(every, east, north, stated, journal):
    """With reports each two minutes, where how far apart they are is never known well, they were never told of as parted: the
    row stood half-way between them with an ellipse of 28 km, the one's fixes refused for ever.  Of others the track took both's
    fixes in turn, ever faster, and showed no second place."""
    told, rng = journal(), random.Random(2)
    told.add(0, Operation(operation="op"))
    for device in "ab":
        told.add(0, Device(device=device, klass="parcel", interval_s=every))
        told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    begin, end = 1800, 1800 + 24 * every

    def place(device, t):
        far = max(0, t - begin)
        return (east * far, 0.0, east, 90.0) if device == "a" else (0.0, north * far, north, 0.0)

    for t in range(10, end, every):
        for device, at_s in (("a", t), ("b", t + every / 2)):
            e, n, speed, course = place(device, at_s)
            says = {"speed_mps": speed if at_s >= begin else 0.0, "course_deg": course} if stated else {}
            lat, lon = HOME.geodetic(e + rng.gauss(0, 5), n + rng.gauss(0, 5))
            told.say(at_s, Fix(device=device, time_ns=T0 + round(at_s * NS), lat_deg=lat, lon_deg=lon, sigma_m=6.0, **says))
    [found] = told.happened("parted")
    assert T0 + begin * NS < found.start_ns <= T0 + (begin + 10 * every) * NS and found.end_ns is None
    [row] = told.now(t + every / 2)
    assert row.rival_hits > 2 and {row.rival_device} < {"a", "b"}
    symbols = [HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg), HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)]
    for device in "ab":
        e, n = place(device, t + every / 2)[:2]
        assert min(math.hypot(e - x, n - y) for x, y in symbols) < 60.0 + every * max(east, north)


def test_they_part_and_one_falls_back_only_slowly(journal):
    """Two lorries in a row: the hinder one, with the second tag, drives 3 m/s slower."""
    told, rng = journal(), random.Random(3)
    told.add(0, Operation(operation="op"))
    for device in "ab":
        told.add(0, Device(device=device, klass="lorry", interval_s=10))
        told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    for t in range(0, 900, 5):
        device = "ab"[t // 5 % 2]
        e = 20.0 * t - (200.0 + 3.0 * max(0, t - 200) if device == "b" else 0.0)
        lat, lon = HOME.geodetic(e + rng.gauss(0, 5), rng.gauss(0, 5))
        told.say(t, Fix(device=device, time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0))
    first = min(event.start_ns for event in told.happened("parted", "drift"))
    assert T0 + 200 * NS < first < T0 + 300 * NS and told.happened("parted")


def test_the_order_of_arrival_and_a_restart_make_no_difference(journal):
    def late(rows):
        rng = random.Random(5)
        some = [(at_s + (rng.uniform(0, 60) if rng.random() < 0.3 else 0.0), fix) for at_s, fix in rows]
        return sorted(some, key=lambda row: row[0])

    said = [Train(journal(restart=restart), every=10, seconds=300, order=order).told
            for restart, order in ((True, None), (False, lambda rows: rows), (False, late))]  # fmt: skip
    a, b, c = (told.now(400) for told in said)
    assert a == b
    for name in ("lat_deg", "lon_deg", "ve_mps", "vn_mps", "p_ee", "p_en", "p_nn"):
        assert getattr(b[0], name) == pytest.approx(getattr(c[0], name), rel=1e-9)


def test_where_the_front_falls_silent_the_rear_goes_on(journal):
    """Its place less the arm is where the front is; the row goes on with it, and nobody is told of a jump."""
    train = Train(journal(), seconds=900, order=lambda rows: [(t, fix) for t, fix in rows if fix.device == "b" or t < 300])
    [row] = train.told.now(895)
    e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
    front, rear = train.place("a", 895)[:2], train.place("b", 895)[:2]
    middle = (front[0] + rear[0]) / 2, (front[1] + rear[1]) / 2
    assert math.hypot(e - middle[0], n - middle[1]) < 60.0
    assert math.hypot(row.ve_mps, row.vn_mps) == pytest.approx(20.0, abs=1.5)
    assert not train.told.events(*CALLS)


@pytest.mark.parametrize("lag_s", [3, 6, 15, -6])
@pytest.mark.parametrize("stands", [range(300), range(500, 800)])
def test_a_clock_that_is_off_is_no_parting_when_it_moves_nor_drift_when_it_stands(lag_s, stands, journal):
    """Two receivers of one lorry, of which the second one's clock is some seconds behind: `parted`, each time that it drove off
    or stopped, and `drift`."""
    told, rng = journal(), random.Random(lag_s)
    when, _ = way(1300, 15.0, stands=stands)
    told.add(0, Operation(operation="op"))
    for device in "ab":
        told.add(0, Device(device=device, klass="lorry", interval_s=10))
        told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    for k in range(10, 240):
        t, device = 5.0 * k, "ab"[k % 2]
        lat, lon = HOME.geodetic(when(t)[0] + rng.gauss(0, 3), rng.gauss(0, 3))
        time_ns = T0 + round((t - (lag_s if device == "b" else 0)) * NS)
        told.say(t + 7, Fix(device=device, time_ns=time_ns, lat_deg=lat, lon_deg=lon, sigma_m=4.0))
    assert not told.events("parted", "drift")


@pytest.mark.parametrize(("klass", "seed"), [("walker", 1), ("lorry", 2), ("", 3)])
def test_two_that_are_carried_apart_on_foot_have_parted(journal, klass, seed):
    """From 85 m they were two places of one thing in turn, with the track between them, until they were 1 km apart."""
    told, rng, room = journal(), random.Random(seed), 0.0
    told.add(0, Operation(operation="op"))
    for device in "ab":
        told.add(0, Device(device=device, klass=klass, interval_s=5.0))
        told.add(0, Attachment(device=device, shipment="goods", operation="op", from_ns=0))
    for t in range(0, 800, 5):
        gone_s = max(0, t - 300)
        for at_s, device, e, n in ((t, "a", 1.4 * gone_s, 0.0), (t + 2, "b", 0.0, 1.2 * gone_s)):
            lat, lon = HOME.geodetic(e + rng.gauss(0, 4), n + rng.gauss(0, 4))
            told.say(at_s, Fix(device=device, time_ns=T0 + at_s * NS, lat_deg=lat, lon_deg=lon, sigma_m=4.0))
            if told.happened("parted"):
                break
            room = math.hypot(1.4 * gone_s, 1.2 * gone_s)
    assert room < 160.0


@pytest.mark.parametrize(("every", "known"), [(30, False), (4, True)])
def test_a_clock_is_off_where_that_is_known(every, known):
    """Three reports of the second one lie 2 s further on, by where the first one is taken to be by then: half a minute between
    two reports leaves more open (any three were enough, and of 64 lorries with right clocks 16 had a `beside`, 4 now).
    """
    found: arms.Receivers = ()
    for k in range(12):
        for device, t, on_m in (("a", every * k, 0.0), ("b", every * (k + 0.5), 40.0)):
            going_s = max(0.0, t - 5.0 * every)
            lat, lon = HOME.geodetic(20.0 * going_s + (on_m if going_s else 0.0), 0.0)
            m = Measurement(T0 + round(t * NS), device, "fix", lat, lon, 16.0, 0.0, 16.0, stated=True)
            found = arms.heard(found, m, 20.0 if going_s else 0.0, 0.0)
    one = arms.of(found, "b")
    assert one is not None and one.met and one.lags > 3
    assert (one.lever(20.0, 0.0) is not None) == known
