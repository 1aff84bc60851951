"""The limits of a contact's life: what one sighting may say, where a score begins, how long nothing may be seen of it."""

from __future__ import annotations

import pytest

from birddog.geo import LocalFrame
from birddog.model import Device
from birddog.units import NS
from tracking import contacts
from tracking.assign import Spot
from tracking.contact import Look
from tracking.crowd import Crowd, empty
from tracking.presets import Presets

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=2.9)
P = Presets()
RING = tuple((lon, lat) for lat, lon in (HOME.geodetic(e, n) for e, n in (
    (-4000, -4000), (4000, -4000), (4000, 4000), (-4000, 4000), (-4000, -4000))))  # fmt: skip


def look(t: float, *places: tuple[float, float], density: float = 0.05, sigma: float = 10.0) -> Look:
    spots = []
    for e, n in places:
        lat, lon = HOME.geodetic(e, n)
        spots.append(Spot(lat, lon, sigma**2, 0.0, sigma**2))
    return Look(sensor="radar", time_ns=T0 + round(t * NS), spots=spots, pd=0.9, density_per_km2=density, footprint=RING)


def after(*looks: Look, crowd: Crowd | None = None) -> Crowd:
    crowd = empty(T0) if crowd is None else crowd
    for one in looks:
        crowd, _ = contacts.step(crowd, one, [], P)
    return crowd


def test_in_dense_clutter_what_is_seen_again_and_again_is_confirmed_all_the_same():
    """Its first sighting is nearly surely clutter; from a score that says so it would be dropped at each look anew."""
    crowd = after(*(look(2 * k, (0, 0), density=10.0) for k in range(4)))
    [contact] = crowd.contacts
    assert contact.hits == 4 and contact.confirmed


def test_one_sighting_does_not_make_up_for_everything_before():
    """A sensor that says that it has no clutter at all is one witness, not a thousand."""
    [begun] = after(look(0, (0, 0), density=10.0)).contacts
    [seen] = after(look(0, (0, 0), density=10.0), look(2, (0, 0), density=1e-9, sigma=1.0)).contacts
    assert begun.score == contacts.LEAST and seen.score == pytest.approx(begun.score + contacts.GAIN_MOST)


def misses(crowd: Crowd, *places: tuple[float, float]) -> int:
    """How many looks in a row that see nothing at a contact's place end it (what they see is elsewhere)."""
    names, t, count = {c.name for c in crowd.contacts}, (crowd.t_ns - T0) / NS, 0
    while names & {c.name for c in crowd.contacts}:
        t, count = t + 2, count + 1
        crowd = after(look(t, *places), crowd=crowd)
    return count


def test_what_was_seen_for_long_is_dropped_as_soon_as_what_was_seen_for_a_minute():
    seen = [misses(after(*(look(2 * k, (0, 0)) for k in range(n)))) for n in (30, 200)]
    assert seen[0] == seen[1] <= P.anonymous_s / 2


def test_what_was_seen_beyond_doubt_may_be_hidden_for_half_a_minute_and_what_was_seen_twice_is_nothing():
    """A blind minute, a house: it is waited for, and is the same when it is seen again; a chance pair is not waited for."""
    proven, twice = after(*(look(2 * k, (20 * k, 0)) for k in range(15))), after(look(0, (0, 0)), look(2, (0, 0)))
    assert 15 <= misses(proven) <= 30 and misses(twice) < 6
    again = after(*(look(2 * k) for k in range(15, 30)), *(look(2 * k, (20 * k, 0)) for k in range(30, 34)), crowd=proven)
    assert [c.name for c in again.contacts if c.confirmed] == [c.name for c in proven.contacts]


def test_what_is_not_seen_where_another_is_seen_is_that_one():
    """Two contacts of one thing: the one that is not seen beside the other does not hide."""
    both = after(*(look(2 * k, (0, 0), (60, 0)) for k in range(20)))
    assert len(both.contacts) == 2 and all(c.confirmed for c in both.contacts)
    ended = after(*(look(2 * k, (30, 0)) for k in range(20, 30)), crowd=both)
    assert len([c for c in ended.contacts if c.confirmed]) == 1


def unseen(crowd: Crowd, for_s: float) -> bool:
    """Whether there still is a contact of which nothing was seen for so long."""
    kept, _, _ = contacts._alive(crowd, crowd.t_ns + round(for_s * NS), P)
    return bool(kept)


def test_how_long_a_contact_lasts_of_which_nothing_is_seen():
    tentative, seldom = after(look(0, (0, 0))), after(look(0, (0, 0)), look(16, (0, 0), density=10.0))
    assert not tentative.contacts[0].confirmed and not seldom.contacts[0].confirmed
    assert unseen(tentative, P.tentative_s) and not unseen(tentative, P.tentative_s + 1)
    # one that is looked at seldom has so much longer: its gap times the factor
    assert seldom.contacts[0].gap_s == 16.0
    assert unseen(seldom, 16 * P.coast_factor) and not unseen(seldom, 16 * P.coast_factor + 1)
    sure = after(*(look(2 * k, (0, 0)) for k in range(10)))
    assert sure.contacts[0].confirmed
    assert unseen(sure, P.anonymous_s) and not unseen(sure, P.anonymous_s + 1)


@pytest.mark.parametrize("density, hits", [(1e-9, 2), (0.05, 2), (10.0, 3)])
def test_it_takes_two_sightings_and_more_where_there_is_much_clutter(density, hits):
    for n in range(1, hits + 1):
        [contact] = after(*(look(2 * k, (0, 0), density=density) for k in range(n))).contacts
        assert contact.confirmed == (n == hits), (n, contact.score)


def test_so_many_sightings_as_the_preset_asks_for():
    slow = Presets(confirm_hits=4)
    crowd = empty(T0)
    for k in range(4):
        crowd, _ = contacts.step(crowd, look(2 * k, (0, 0), density=1e-9), [], slow)
        assert crowd.contacts[0].confirmed == (k == 3)


@pytest.mark.parametrize("tag_s", [5.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_what_comes_out_from_under_a_bridge_with_its_tag_is_no_dark_vessel(seed, tag_s, World, Told):
    w = World(seed)
    looks = [0.4 + 4.0 * k for k in range(90)]
    for t in looks:
        if not 120.0 < t < 240.0 and w.rng.random() < 0.9:
            w.see(t, 12.0 * t - 2000.0, 0.0, 10.0)
        w.see(t, w.rng.uniform(-2500, 2500), w.rng.uniform(-2500, 2500))
    w.end(times=looks, pd=0.9, clutter=1.0 / 25.0, area=(-2500.0, 2500.0, -2500.0, 2500.0))
    for k in range(int(360 / tag_s)):
        w.fix(0.3 + tag_s * k, 12.0 * (0.3 + tag_s * k) - 2000.0, 0.0, tag="TAG")
    told = Told(Device(device="TAG", basis="own_sensor", interval_s=tag_s)).take(w.made)
    assert told.events("dark_vessel") == []
    assert len([row for row in told.at(355.0) if row.status == "confirmed"]) == 1
