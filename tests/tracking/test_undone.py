"""What was decided by mistake is undone beside a radar: each is where its receivers say, and once."""

from __future__ import annotations

import random

import pytest

from birddog.model import Device, Placement
from tests.tracking.test_regrouped import HOME, case, decide, fix, scan
from tests.tracking.test_regrouped import away_m as off_m


@pytest.mark.parametrize("after", [330])
@pytest.mark.parametrize("into", ["parked", "driving"])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_undone_merge_leaves_neither_on_the_others_lorry(journal, seed, into, after):
    """What had left the window followed the other's lorry, and the radar's sightings of that carried the track on with it."""
    rng, said, undone = random.Random(seed), case(journal, ("a", "S1"), ("b", "S2")), 200 + after
    gap = rng.choice([1500.0, 4000.0])
    speed = rng.uniform(4.0, 9.0)
    lat, lon = HOME.geodetic(0.0, 0.0)
    said.add(0, Device(device="radar", basis="own_sensor"))
    said.add(0, Placement(device="radar", lat_deg=lat, lon_deg=lon, range_m=15_000.0))

    def at(device: str, t: float) -> tuple[float, float]:
        return (gap, 0.0) if device == "a" else (0.0, speed * (t - undone))

    def off(sigma: float) -> float:
        return rng.gauss(0.0, sigma)

    merged = 0
    for t in range(1, undone + 201):
        for device, phase in (("a", 3), ("b", 7)):
            if t % 10 == phase:
                e, n = at(device, t)
                said.say(t, fix(device, t, e + off(4.0), n + off(4.0)))
        if t % 4 == 0:
            seen = [at(device, t) for device in "ab" if rng.random() < 0.9]
            said.add(t, scan(t, *((e + off(10.0), n + off(10.0)) for e, n in seen)))
        rows = {row.identities: row.track_id for row in said.now(t) if row.identities} if t == 200 else {}
        if rows:
            one, other = ("a", "b") if into == "parked" else ("b", "a")
            said.add(t, decide("merge", rows[one,], operation="A", other=rows[other,]))
            merged = said.seq
        if t == undone:
            said.add(t, decide("undo", f"D{merged}", operation="A"))
        if t > undone + 45 and t % 50 == 0:
            rows = {row.identities: row for row in said.now(t) if row.identities}
            assert all(off_m(rows[device,], *at(device, t)) < 60.0 for device in "ab"), t
    assert all(event.end_ns is not None for event in said.happened("parted", "contradicted"))


def slipped(said, rng, ways, *, phase, undo_s, until_s):
    """A radar sees a shipment and something else, of which somebody says at 200 s that it is the shipment; each second before
    what is undone at ``undo_s`` is.

    Args:
        ways: where the two are at a time; phase: in which second of ten the shipment's receiver reports.
    """
    named = 0
    lat, lon = HOME.geodetic(0.0, 0.0)
    said.add(0, Device(device="radar", basis="own_sensor"))
    said.add(0, Placement(device="radar", lat_deg=lat, lon_deg=lon, range_m=15_000.0))
    for t in range(1, until_s):
        here, other = ways(t)
        if t % 10 == phase:
            said.say(t, fix("a", t, here[0] + rng.gauss(0.0, 4.0), here[1] + rng.gauss(0.0, 4.0)))
        if t % 4 == 0:
            seen = [at for at in (here, other) if rng.random() < 0.9]
            said.add(t, scan(t, *((e + rng.gauss(0.0, 10.0), n + rng.gauss(0.0, 10.0)) for e, n in seen)))
        if t == 200:
            rows = [row for row in said.now(t) if row.operation == "A"]
            [track], [contact] = [r for r in rows if r.identities], [r for r in rows if not r.identities]
            said.add(t, decide("identify", contact.track_id, operation="A", other=track.track_id))
            named = said.seq
        yield t
        if t == undo_s:
            said.add(t, decide("undo", f"D{named}", operation="A"))


@pytest.mark.parametrize("away_m", [60.0, 400.0, 3000.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_contact_that_was_no_shipment_after_all_leaves_none_in_its_place(journal, seed, away_m):
    """What looks saw of the shipment meanwhile was a contact, and stayed one, on the very place of the track."""

    def ways(t):
        return (7.0 * (t - 200), 0.0), (6.0 * (t - 200), away_m)

    said = case(journal, ("a", "S1"))
    for t in slipped(said, random.Random(seed), ways, phase=3, undo_s=216, until_s=400):
        if t in (260, 399):
            here, other = ways(t)
            rows = [row for row in said.now(t) if row.operation == "A" and row.status != "deleted"]
            assert sorted(bool(r.identities) for r in rows) == [False, True], t
            assert all(off_m(r, *(here if r.identities else other)) < 60.0 for r in rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("really", [False, True])
def test_a_jump_that_was_the_slips_is_over_with_its_undo_and_one_that_goes_on_without_it_is_not(journal, really, seed):
    """A shipment that was said to be a contact 3 km away came back from there in a second, as its own fixes had it."""

    def ways(t):
        return (7.0 * (t - 200), 9000.0 if really and t > 210 else 0.0), (6.0 * (t - 200), 3000.0)

    said = case(journal, ("a", "S1"))
    for t in slipped(said, random.Random(seed), ways, phase=9, undo_s=260, until_s=320):
        if t == 260:
            assert [event.end_ns for event in said.happened("jumped")] == [None]
    [jump] = said.happened("jumped")
    assert (jump.end_ns is None) == really
