"""Whatever a device, reader, radar or clock says, the fold answers, its numbers are finite and a restart agrees."""

from __future__ import annotations

import math
import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birddog.model import (
    Alarm,
    Attachment,
    Device,
    Entry,
    Fix,
    Flag,
    FrameBody,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    pack,
)
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
number = st.floats(allow_nan=True, allow_infinity=True)
lat = st.one_of(st.sampled_from((90.0, -90.0, 0.0, 89.999999, 51.0, 51.001)), st.floats(-90, 90), number)
lon = st.one_of(st.sampled_from((180.0, -180.0, 0.0, 179.9999, -179.9999, 4.0)), st.floats(-180, 180), number)
when = st.one_of(
    st.none(), st.integers(0, 7200).map(lambda s: T0 + s * NS), st.sampled_from((0, -(2**62), 2**62, T0 + 10**9 * NS))
)
name = st.sampled_from(("a", "b", "radar", "portal", "epc:1", ""))
sigma = st.one_of(st.none(), st.floats(0, 1e4), number)
variance = st.one_of(st.floats(0.1, 1e4), number)

fix = st.builds(
    Fix, device=name, time_ns=when, lat_deg=lat, lon_deg=lon, sigma_m=sigma, speed_mps=st.one_of(st.none(), number),
    course_deg=st.one_of(st.none(), number), fix=st.sampled_from(("gnss", "wifi", "cell", "gateway")),
    attributes=st.dictionaries(st.sampled_from(("ship_name", "ship_type", "x")), st.one_of(st.none(), st.text(max_size=3))),
)  # fmt: skip
sighting = st.builds(
    Sighting, device=name, time_ns=when, lat_deg=lat, lon_deg=lon, r_ee=variance, r_en=st.one_of(st.just(0.0), number),
    r_nn=variance,
)  # fmt: skip
observation = st.one_of(
    fix,
    fix,
    sighting,
    st.builds(TagRead, device=name, time_ns=when, epc=name),
    st.builds(
        Reading, device=name, time_ns=when, quantity=st.sampled_from(("door_open", "motion", "seismic", "battery_voltage")),
        value=st.one_of(st.booleans(), number, st.text(max_size=3), st.integers(-5, 5)),
    ),
    st.builds(Alarm, device=name, time_ns=when, alarm=st.sampled_from(("tamper", "door_open", "sos"))),
)  # fmt: skip
ring = st.one_of(
    st.just(()), st.just(((3.0, 50.0), (5.0, 50.0), (5.0, 52.0), (3.0, 52.0), (3.0, 50.0))),
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=5).map(tuple),
)  # fmt: skip
flag = st.builds(
    Flag, flag_id=name, detector=st.just("x"), score=st.just(1.0), pfa=st.just(1e-6), col=st.just(0.0), row=st.just(0.0),
    bbox_px=st.just((0, 0, 1, 1)), lat_deg=st.one_of(st.none(), lat), lon_deg=lon, r_ee=st.one_of(st.none(), variance),
    r_en=st.none(), r_nn=st.one_of(st.none(), variance),
)  # fmt: skip
body = st.one_of(
    st.builds(
        FrameBody, format=st.sampled_from(("owntracks", "ais")), version=st.just(1), payload=st.just(b""), device=name,
        observations=st.lists(observation, min_size=1, max_size=4).map(tuple),
    ),
    st.builds(
        RefusalBody, format=st.just("x"), version=st.just(1), device=name, rejects=st.just(()), payload_hash=st.just(b""),
        observations=st.lists(observation, max_size=2).map(tuple),
    ),
    st.builds(
        Scan, scan_id=name, sensor=name, time_ns=st.integers(0, 7200).map(lambda s: T0 + s * NS), footprint=ring,
        pd=number, clutter_per_km2=number, sightings=st.lists(sighting, max_size=4).map(tuple),
        flags=st.lists(flag, max_size=2).map(tuple),
    ),
    st.builds(Operation, operation=st.sampled_from(("op", "two", "open")), area=ring, closed=st.booleans()),
    st.builds(
        Device, device=name, basis=st.sampled_from(("warrant", "open", "own_sensor")), interval_s=number,
        klass=st.sampled_from(("", "van", "vessel", "nonsense")), retired=st.booleans(),
    ),
    st.builds(
        Attachment, device=name, shipment=st.sampled_from(("s", "t")), operation=st.sampled_from(("op", "two")),
        from_ns=st.sampled_from((0, T0)), to_ns=st.sampled_from((None, T0 + 60 * NS)),
    ),
    st.builds(Placement, device=name, lat_deg=lat, lon_deg=lon, range_m=number),
    st.just(Tick()),
    st.builds(
        Start, version=st.just("x"), exercise=st.booleans(),
        presets=st.sampled_from(({}, {"classes": {"van": {"q": 2.0}}}, {"nonsense": 1}, {"silent_factor": 2.0})),
    ),
)  # fmt: skip
KINDS = {
    FrameBody: "frame", RefusalBody: "refusal", Scan: "scan", Operation: "operation", Device: "device",
    Attachment: "attachment", Placement: "placement", Tick: "tick", Start: "start",
}  # fmt: skip


def finite(value) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


@settings(
    max_examples=int(os.environ.get("BIRDDOG_EXAMPLES", "150")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(st.integers(0, 900), body), min_size=1, max_size=25), st.integers(0, 24))
def test_nothing_said_breaks_the_fold(said, cut):
    fold, time_ns = Fold(), T0
    start = pack(Start(version="x", presets={}, exercise=True))
    fold.apply(Entry(seq=1, kind="start", received_ns=T0, source="t", ident=b"1", body=start))
    other = None
    for i, (step, what) in enumerate(said):
        time_ns += step * NS
        entry = Entry(seq=i + 2, kind=KINDS[type(what)], received_ns=time_ns, source="t", ident=b"%d" % i, body=pack(what))
        if i == cut:
            other = Fold.restore(fold.snapshot())
        changes = fold.apply(entry)
        if other is not None:
            assert msgspec.msgpack.encode(other.apply(entry)) == msgspec.msgpack.encode(changes)
        for row in [*changes.tracks, *changes.points]:
            assert all(finite(getattr(row, f)) for f in row.__struct_fields__)
            assert -90.0 <= row.lat_deg <= 90.0 and -180.0 <= row.lon_deg <= 180.0
            assert row.p_ee > 0.0 and row.p_nn > 0.0 and row.p_ee * row.p_nn - row.p_en**2 > 0.0
        for event in changes.events:
            assert finite(event.lat_deg) and finite(event.lon_deg)
            assert event.end_ns is None or event.end_ns >= event.start_ns


@pytest.mark.parametrize("said", [dict(clutter_per_km2=math.inf), dict(clutter_per_km2=math.nan), dict(pd=math.nan)], ids=str)
def test_a_look_twice_at_one_place_is_two_contacts_whatever_its_clutter(said):
    """Two contacts under one name were one row, of whichever a restart left the later one (found by the test above)."""
    seen = Sighting(device="radar", time_ns=T0, lat_deg=51.0, lon_deg=4.0, r_ee=100.0, r_en=0.0, r_nn=100.0)
    wide = Sighting(device="radar", time_ns=T0, lat_deg=51.0, lon_deg=4.0, r_ee=9000.0, r_en=0.0, r_nn=8000.0)
    words = dict(pd=0.9, clutter_per_km2=0.1) | said
    flag = Flag(flag_id="f", detector="x", score=1.0, pfa=1e-6, col=0.0, row=0.0, bbox_px=(0, 0, 1, 1))
    bodies: list = [Start(version="x", presets={}, exercise=True)]
    bodies += [Scan(scan_id=str(n), sensor="radar", time_ns=T0 + n * NS, footprint=(), sightings=(seen, seen, wide),
                    flags=(flag,), **words) for n in range(3)]  # fmt: skip
    fold = Fold()
    for i, what in enumerate(bodies):
        other = Fold.restore(fold.snapshot())
        entry = Entry(seq=i + 1, kind=KINDS[type(what)], received_ns=T0 + i * NS, source="t", ident=b"%d" % i, body=pack(what))
        changes = fold.apply(entry)
        assert msgspec.msgpack.encode(other.apply(entry)) == msgspec.msgpack.encode(changes)
        names = [row.track_id for row in changes.tracks]
        assert len(names) == len(set(names))
