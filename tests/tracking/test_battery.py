"""A battery that runs low is told of once, by the newest level, and not again while it shivers about the limit."""

from __future__ import annotations

import pytest

from birddog.model import Attachment, Device, Fix, FrameBody, Operation, Reading, Start, Tick
from birddog.units import NS

T0 = 1_790_000_000 * NS


def told(journal, levels, *, as_reading: bool) -> list[tuple[str, bool]]:
    """(text, whether it goes on) of a tag that states (t s, level)."""
    bodies: list = [
        (0, Start(version="x", presets={}, exercise=False)),
        (0, Operation(operation="A")),
        (0, Device(device="tag", interval_s=60.0)),
        (0, Attachment(device="tag", shipment="S", operation="A", from_ns=T0)),
    ]
    for n, (t, level) in enumerate(levels):
        said = {} if as_reading else {"battery_level": level}
        fix = Fix(device="tag", time_ns=T0 + t * NS, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0, attributes=said)
        reading = Reading(device="tag", time_ns=T0 + t * NS, quantity="battery_level", value=level, unit="%")
        some = (fix, reading) if as_reading else (fix,)
        bodies.append((60 * n + 1, FrameBody(format="x", version=1, payload=b"", device="tag", observations=some)))
    events = journal(begun=False, restart=True).take(bodies).events("low_battery")
    assert all(event.operation == "A" and event.device == "tag" and event.track_ids for event in events)
    return [(event.text, event.end_ns is None) for event in events]


@pytest.mark.parametrize("as_reading", [True, False])
@pytest.mark.parametrize(
    "levels, said",
    [
        ([(0, 50), (60, 16), (120, 15), (180, 14), (240, 24), (300, 15)], [("battery at 15 %", True)]),
        (
            [(0, 9.5), (60, 25), (120, 20), (180, 15)],
            [("battery at 9.5 %", True), ("battery at 9.5 %", False), ("battery at 15 %", True)],
        ),
        ([(600, 80), (0, 5)], []),  # an old message says nothing of now
        ([(0, True), (60, "low"), (120, -1), (180, 255)], []),
    ],
    ids=["once", "again", "late", "no level"],
)
def test_told_once(journal, levels, said, as_reading):
    assert told(journal, levels, as_reading=as_reading) == said


@pytest.mark.parametrize("over", [
    Attachment(device="tag", shipment="S", operation="A", from_ns=T0, to_ns=T0 + 60 * NS),
    Device(device="tag", interval_s=60.0, retired=True),
], ids=["detached", "retired"])  # fmt: skip
def test_of_a_device_that_is_in_the_case_no_longer_nobody_waits_to_hear_that_it_is_well(journal, over):
    fix = Fix(device="tag", time_ns=T0, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0, attributes={"battery_level": 5})
    told = journal(begun=False, restart=True).take([
        (0, Start(version="x", presets={}, exercise=False)), (0, Operation(operation="A")), (0, Device(device="tag")),
        (0, Attachment(device="tag", shipment="S", operation="A", from_ns=T0)),
        (1, FrameBody(format="x", version=1, payload=b"", device="tag", observations=(fix,))), (60, Tick()), (60, over),
    ]).events("low_battery")  # fmt: skip
    assert [event.end_ns for event in told] == [None, T0 + 60 * NS]
