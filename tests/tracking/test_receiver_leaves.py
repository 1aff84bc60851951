"""What was told of a receiver of a track is over when a decision, or its undoing, takes that elsewhere."""

from __future__ import annotations

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Decision, Device, Fix, Operation, Placement, TagRead
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
KINDS = ("parted", "two_places", "drift", "contradicted", "distrusted")


def fix(device: str, t: float, e: float, n: float) -> Fix:
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)


@pytest.mark.parametrize("after_s", [40, 300])
@pytest.mark.parametrize("first", ["S1", "S2"])
@pytest.mark.parametrize("every", [10, 60])
def test_what_was_told_of_a_receiver_that_leaves_is_over(journal, every, first, after_s):
    """What is kilometres away was merged by mistake: once that is undone it has neither parted nor drifted from anything."""
    said = journal(exercise=False, restart=True)
    said.add(0, Operation(operation="A"))
    for device, shipment in (("a", "S1"), ("b", "S1"), ("d", "S2")):
        said.add(0, Device(device=device, klass="van", interval_s=every))
        said.add(0, Attachment(device=device, shipment=shipment, operation="A", from_ns=T0))

    def go(begin: int, end: int) -> None:
        for t in range(begin, end, every):
            for k, (device, n) in enumerate((("a", 0.0), ("b", 0.0), ("d", 20_000.0))):
                said.say(t + 2 * k, fix(device, t + 2 * k, 12.0 * (t + 2 * k), n))

    go(10, 1210)
    of = {row.name: row.track_id for row in said.now(1209)}
    said.add(1209, Decision(action="merge", subject=of[first], other=({*of.values()} - {of[first]}).pop(), by="anna"))
    number = said.seq
    go(1210, 1210 + after_s)
    assert said.happened(*KINDS)
    said.add(1210 + after_s, Decision(action="undo", subject=f"D{number}", by="anna"))
    assert {row.name for row in said.now(1211 + after_s)} == {"S1", "S2"}
    go(1210 + after_s, 2500)
    assert [(e.kind, e.text) for e in said.happened(*KINDS) if e.end_ns is None] == []
    late_ns = T0 + (1210 + after_s) * NS
    assert [(e.kind, e.text) for e in said.happened(*KINDS) if e.start_ns > late_ns or (e.end_ns or 0) > late_ns + NS] == []


def test_what_is_known_of_a_receiver_is_the_same_after_a_restart(journal):
    """A crate that was only read was merged with a receiver's, undone, and merged again: nothing old is remembered."""
    said, epc = journal(exercise=False), "urn:epc:id:sgtin:0614141.107346.2017"
    said.add(0, Operation(operation="A"))
    lat, lon = HOME.geodetic(0.0, 0.0)
    said.add(0, Placement(device="gate", lat_deg=lat, lon_deg=lon, range_m=10.0))
    for device, shipment in ((epc, "S1"), ("d", "S2")):
        said.add(0, Attachment(device=device, shipment=shipment, operation="A", from_ns=T0))
    said.say(1, TagRead(device="gate", time_ns=T0 + NS, epc=epc))
    again, number, count = None, 0, 0
    for t in range(10, 400, 10):
        said.say(t, fix("d", t, 0.3 * t, 0.0))
        if t in (100, 300):
            of = {row.name: row.track_id for row in said.now(t)}
            said.add(t + 1, Decision(action="merge", subject=of["S1"], other=of["S2"], by="anna"))
            number = said.seq
        elif t == 200:
            said.add(t + 1, Decision(action="undo", subject=f"D{number}", by="anna"))
            again, count = Fold.restore(said.fold.snapshot()), said.seq
        if again is not None:
            for entry in said.entries[count:]:
                again.apply(entry)
            count = said.seq
            assert again.snapshot() == said.fold.snapshot(), t
