"""Where a track was before its ring: an image that comes in late finds there who reported when it was taken.

Satellite images come in minutes to hours after they were taken.  Until now each vessel that reported often (a fix each 2 to
10 s) was a dark one in an image older than its ring.
"""

from __future__ import annotations

import math

import pytest

from birddog.geo import LocalFrame, distance_m
from birddog.model import ENTRY_BODIES, Device, Entry, Fix, FrameBody, Scan, Sighting, Start, pack
from birddog.units import NS
from tracking.assign import Spot
from tracking.contact import Look
from tracking.fold import Fold
from tracking.past import EACH_NS, MOST, remember, was

T0 = 1_790_000_000 * NS
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}
SEA = LocalFrame(lat_deg=52.0, lon_deg=3.0)
SPEED = 6.0


class Sea:
    """One vessel that goes east at 6 m/s from 0, in entries."""

    def __init__(self, every_s: float = 10.0) -> None:
        self.fold, self.seq, self.events, self.every_s = Fold(), 0, [], every_s
        self.put(0, Start(version="x", presets={}))
        self.put(0, Device(device="ais", klass="vessel", interval_s=every_s, basis="open"))

    def put(self, t: float, body):
        self.seq += 1
        entry = Entry(seq=self.seq, kind=KIND[type(body)], received_ns=T0 + int(t * NS), ident=b"", source="", operation="",
                      body=pack(body))  # fmt: skip
        changes = self.fold.apply(entry)
        self.events += changes.events
        return changes

    def fix(self, t: float, came: float | None = None, device: str = "ais"):
        lat, lon = SEA.geodetic(SPEED * t, 0.0)
        one = Fix(device=device, time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=10.0, speed_mps=SPEED,
                  course_deg=90.0)  # fmt: skip
        body = FrameBody(format="x", version=1, payload=b"", device=device, observations=(one,))
        return self.put(t + 0.5 if came is None else came, body)

    def sails(self, since: float, until: float) -> None:
        t = since
        while t <= until:
            self.fix(t)
            t += self.every_s

    def image(self, t: float, came: float, *places: tuple[float, float], scene: str = "a.tif"):
        seen = tuple(
            Sighting(device="sar", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, r_ee=400.0, r_en=0.0, r_nn=400.0)
            for lat, lon in (SEA.geodetic(*place) for place in places)
        )
        ring = ((2.0, 51.5), (5.0, 51.5), (5.0, 52.5), (2.0, 52.5), (2.0, 51.5))
        return self.put(came, Scan(scan_id=f"s{t}", sensor="sar", time_ns=T0 + int(t * NS), footprint=ring, pd=0.8,
                                   clutter_per_km2=0.001, sightings=seen, scene_name=scene))  # fmt: skip

    @property
    def dark(self) -> list[tuple[float, float]]:
        """(e_m, n_m) of what was told of as dark, and did not begin to report."""
        newest = {e.event_id: e for e in self.events if e.kind == "dark_vessel"}
        reports = {row.track_id for row in self.fold.believed(T0 + 10**6 * NS) if row.identities}
        return [SEA.en(lat_deg=e.lat_deg, lon_deg=e.lon_deg) for e in newest.values()
                if e.end_ns is None or not reports & set(e.track_ids)]  # fmt: skip


@pytest.mark.parametrize("every_s", [2.0, 10.0, 60.0, 180.0])
@pytest.mark.parametrize("late_s", [5.0, 100.0, 600.0, 3600.0, 6000.0])
def test_who_reported_when_the_image_was_taken_is_no_dark_vessel(every_s, late_s):
    sea = Sea(every_s)
    sea.sails(every_s, 7200.0)
    t = 7200.0 - late_s
    sea.image(t, 7201.0, (SPEED * t + 15.0, 10.0), (SPEED * t + 300.0, 2_500.0))
    [dark] = sea.dark  # the other one, which nobody speaks for
    assert math.dist(dark, (SPEED * t + 300.0, 2_500.0)) < 1.0


def test_a_late_image_moves_nothing():
    """What it shows of who reported then is theirs; where they are now their reports have said since."""
    with_it, without = Sea(2.0), Sea(2.0)
    for sea in (with_it, without):
        sea.sails(2.0, 3600.0)
    with_it.image(1800.0, 3601.0, (SPEED * 1800.0 + 40.0, 30.0))
    for sea in (with_it, without):
        sea.sails(3602.0, 3700.0)
    [one], [other] = (sea.fold.believed(T0 + 3701 * NS) for sea in (with_it, without))
    assert (one.lat_deg, one.lon_deg, one.p_ee, one.hits) == (other.lat_deg, other.lon_deg, other.p_ee, other.hits)


def test_a_device_that_began_to_report_as_the_image_was_taken():
    """Its first fix is of 8 s after it, and came in before it: there was no track at the image's time."""
    sea = Sea(2.0)
    sea.sails(108.0, 140.0)
    sea.image(100.0, 141.0, (SPEED * 100.0, 0.0))
    assert sea.dark == []
    # but not what was there an hour before
    sea = Sea(2.0)
    sea.sails(3700.0, 3740.0)
    sea.image(100.0, 3741.0, (SPEED * 100.0, 0.0))
    assert len(sea.dark) == 1


def test_what_a_radar_saw_before_a_track_began_is_a_contact_until_then():
    """The track goes on from it; a look that comes in late and is run in before the track begins changes nothing of that."""
    sea = Sea(2.0)
    for t in (*range(100, 110, 2), *range(112, 122, 2)):
        sea.image(float(t), t + 0.2, (SPEED * t, 0.0), scene="")
    sea.fix(121.0)
    [row] = sea.fold.believed(T0 + 122 * NS)
    assert row.first_ns == T0 + 100 * NS and row.identities == ("ais",)
    sea.image(110.0, 122.0, (SPEED * 110.0, 0.0), scene="")
    [row] = sea.fold.believed(T0 + 123 * NS)
    assert row.first_ns == T0 + 100 * NS and row.identities == ("ais",)


def test_a_dark_vessel_that_reports_is_dark_no_more():
    sea = Sea(2.0)
    sea.put(0, Device(device="other", klass="vessel", interval_s=2.0, basis="open"))
    sea.fix(90.0, device="other")
    sea.image(100.0, 101.0, (SPEED * 100.0, 4_000.0), (SPEED * 100.0, 0.0))
    assert len(sea.dark) == 2
    sea.sails(110.0, 130.0)
    [dark] = sea.dark
    assert math.dist(dark, (SPEED * 100.0, 4_000.0)) < 1.0
    over = next(e for e in reversed(sea.events) if e.kind == "dark_vessel" and e.end_ns is not None)
    assert over.end_ns == T0 + 110 * NS
    row = next(row for row in sea.fold.believed(T0 + 131 * NS) if "ais" in row.identities)
    assert over.track_ids == (row.track_id,)


def test_what_comes_in_later_than_the_ring_says_where_it_was_too():
    """A store that is sent after hours: its fixes lie before the ring, and say that it was no dark vessel."""
    sea = Sea(2.0)
    sea.sails(2.0, 300.0)
    sea.sails(5000.0, 6000.0)
    for t in range(302, 5000, 30):
        sea.fix(float(t), came=6001.0)
    sea.image(2500.0, 6100.0, (SPEED * 2500.0 + 20.0, 0.0))
    assert sea.dark == []


def test_a_fold_that_is_kept_and_read_again_knows_it_too():
    sea, other = Sea(2.0), Sea(2.0)
    for one in (sea, other):
        one.sails(2.0, 3600.0)
    other.fold = Fold.restore(sea.fold.snapshot())
    for one in (sea, other):
        one.image(1200.0, 3601.0, (SPEED * 1200.0, 0.0), (SPEED * 1200.0, 3_000.0))
        assert len(one.dark) == 1
    assert sea.fold.snapshot() == other.fold.snapshot()


def test_a_place_between_two_is_known_as_well_as_its_way_may_bend():
    past = bytearray()
    for t in (0, 60, 120):
        remember(past, T0 + t * NS, *SEA.geodetic(SPEED * t, 0.0))
    middle, near = was(past, T0 + 90 * NS, [], 300.0), was(past, T0 + 118 * NS, [], 300.0)
    assert math.dist(SEA.en(lat_deg=middle.lat_deg, lon_deg=middle.lon_deg), (SPEED * 90.0, 0.0)) < 1.0
    assert (middle.ve_mps, middle.vn_mps) == pytest.approx((SPEED, 0.0), abs=0.01) and middle.r > 2.0 * near.r
    # before the first and after the last it may have gone any way, for as long as it is on time
    ahead, late = was(past, T0 + 180 * NS, [], 300.0), was(past, T0 + 421 * NS, [], 300.0)
    assert math.sqrt(ahead.r) > SPEED * 60.0 and late is None
    assert was(past, T0 - 301 * NS, [], 300.0) is None and was(past, T0 - 10 * NS, [], 300.0) is not None
    # and a gap of hours says nothing
    remember(past, T0 + 9_000 * NS, *SEA.geodetic(SPEED * 9_000, 0.0))
    assert was(past, T0 + 5_000 * NS, [], 300.0) is None
    assert was(bytearray(), T0, [], 300.0) is None


def test_beyond_the_antimeridian():
    past = bytearray()
    remember(past, T0, 10.0, 179.99)
    remember(past, T0 + 100 * NS, 10.0, -179.99)
    middle = was(past, T0 + 50 * NS, [], 300.0)
    away_m = distance_m(lat1_deg=middle.lat_deg, lon1_deg=middle.lon_deg, lat2_deg=10.0, lon2_deg=180.0)
    assert away_m < 1.0 and middle.ve_mps == pytest.approx(21.9, abs=0.2)


def test_what_is_remembered_is_bounded_and_reaches_back_a_day():
    """Two days of a place a minute: fewer the further back, none of more than a day."""
    past = bytearray()
    for k in range(2 * 86_400 // 60):
        remember(past, T0 + k * EACH_NS, *SEA.geodetic(0.2 * k, 0.0))
    assert 100 < len(past) // 16 <= MOST
    assert was(past, T0 + 86_400 * NS // 2, [], 300.0) is None
    end = 2 * 86_400
    for back_s in (300, 3_600, 7_000, 6 * 3_600, 20 * 3_600):
        at = was(past, T0 + (end - back_s) * NS, [], 300.0)
        assert at is not None
        assert math.dist(SEA.en(lat_deg=at.lat_deg, lon_deg=at.lon_deg), (0.2 * (end - back_s) / 60.0, 0.0)) < 3.0
        assert back_s > 7_000 or math.sqrt(at.r) < 40.0


@pytest.mark.parametrize("imagery", [True, False])
def test_only_an_image_asks_where_tracks_were_before_their_rings(imagery):
    """A radar's look that is run again was asked of tracks that had not begun, too: its contact became a false track."""
    sea = Sea(10.0)
    sea.sails(10.0, 7200.0)
    sea.image(7190.0, 7201.0, (SPEED * 7190.0, 0.0))
    tracker = sea.fold._of("open").tracker
    lat, lon = SEA.geodetic(SPEED * 1000.0, 0.0)
    look = Look(sensor="x", time_ns=T0 + 1000 * NS, spots=[Spot(lat, lon, 400.0, 0.0, 400.0)], pd=0.8, density_per_km2=0.01,
                imagery=imagery)  # fmt: skip
    assert [rider.past for rider in tracker.log.riders(tracker, look, 0)] == [True] * imagery
