"""What many tracks and a long run cost: nothing is kept for ever, and far tracks are left out without a difference."""

from __future__ import annotations

import gc
import random

import msgspec
import pytest

from birddog.geo import LocalFrame
from birddog.model import Alarm, Fix, Reading, Sighting, Tick
from birddog.units import NS
from tracking import looks
from tracking.events.live import LiveEvents
from tracking.fold import Fold

T0 = 1_790_000_000 * NS


def spot(lat_deg: float, lon_deg: float, r: float) -> Sighting:
    return Sighting(device="radar", time_ns=None, lat_deg=lat_deg, lon_deg=lon_deg, r_ee=r, r_en=0.0, r_nn=r)


def story(journal, lat0: float, seed: int) -> bytes:
    """Sixty vessels about a place, sightings on and off them, a trigger, hours of silence in between: all that was told."""
    rng, told, out = random.Random(seed), journal(), []
    at = LocalFrame(lat_deg=lat0, lon_deg=179.9)
    t = 0.0
    for _ in range(4):
        for k in range(60):
            t += 0.5
            e, n = 4000.0 * (k % 8) + 3.0 * t, 3000.0 * (k // 8) - 2.0 * t
            lat, lon = at.geodetic(e, n)
            out.append(told.say(t, Fix(device=f"v{k}", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=8.0)))
            if k % 7 == 0:
                lat, lon = at.geodetic(e + rng.gauss(0, 60), n + rng.gauss(0, 60))
                out.append(told.say(t, spot(lat, lon, 900.0)))
        t += rng.choice((60.0, 900.0, 4000.0))
        lat, lon = at.geodetic(9000.0, 9000.0)
        out.append(told.say(t, spot(lat, lon, 1e4)))
    return msgspec.msgpack.encode(out)


@pytest.mark.parametrize("lat0", [0.0, 51.0, -79.0, 88.0])
def test_leaving_out_far_tracks_makes_no_difference(lat0, monkeypatch, journal):
    calls = {True: 0, False: 0}
    real = looks.beyond

    def counted(*args):
        answer = real(*args)
        calls[answer] += 1
        return answer

    monkeypatch.setattr(looks, "beyond", counted)
    quick = story(journal, lat0, 3)
    assert lat0 == 88.0 or calls[True] > calls[False], "it leaves most of them out"
    monkeypatch.setattr(looks, "beyond", lambda *_: False)
    assert quick == story(journal, lat0, 3)


def test_alarms_of_weeks_are_not_kept_for_ever(journal):
    told = journal()
    for hour in range(500):
        told.say(3600.0 * hour, Alarm(device=f"d{hour}", time_ns=None, alarm="sos"))
        told.add(3600.0 * hour + 400.0, Tick())
    assert len(told.fold._folds["open"].state().doors.alarms) <= 1
    begun = told.say(2e6, Alarm(device="d", time_ns=None, alarm="sos")).events
    again = told.say(2e6 + 100.0, Alarm(device="d", time_ns=None, alarm="sos")).events
    assert len(begun) == 1 and not again, "within the window it is the same alarm still"


def test_a_run_of_weeks_does_not_grow(journal):
    """Contacts that come and go, one device that reports: the state after the tenth day is no larger than after the first."""
    told, sizes = journal(), []
    for day in range(10):
        for k in range(60):
            t = 86_400.0 * day + 60.0 * k
            told.say(t, Fix(device="a", time_ns=T0 + round(t * NS), lat_deg=51.0, lon_deg=4.0 + 1e-4 * k, sigma_m=5.0))
            told.say(t + 1, spot(51.0, 4.3 + 0.01 * (k % 9), 100.0))
            told.say(t + 2, Reading(device="meter", time_ns=None, quantity="battery_voltage", value=3.0 + k, unit="V"))
            told.add(t + 30, Tick())
        told.add(86_400.0 * day + 80_000.0, Tick())
        sizes.append(len(told.fold.snapshot()))
    assert max(sizes[5:]) <= 1.1 * sizes[1]


def test_a_track_is_few_objects_that_a_look_for_rings_walks(journal):
    """They were 42: whoever folds looked at each of them, 16 bytes of it were for that, and a rebuild of many tracks waited."""
    told, n = journal(), 100
    for k in range(n + 1):
        told.say(1.0, Fix(device=f"v{k}", time_ns=T0 + NS, lat_deg=50.0 + k * 1e-3, lon_deg=1.0, sigma_m=8.0))
    fold, events, before = Fold(), LiveEvents(), 0
    for entry in told.entries:
        events.apply(entry.seq, T0 + NS, fold.apply(entry), {})
        if entry.seq == 2:  # the first has what all have together
            gc.collect()
            before = len(gc.get_objects())
    gc.collect()
    assert fold.tracks == n + 1 and len(gc.get_objects()) - before < 22 * n
