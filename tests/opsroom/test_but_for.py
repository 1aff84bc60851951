"""`track --without` and `--late`: one source of several in an entry is taken out, or comes later; nobody else changes."""

from __future__ import annotations

import pytest

from birddog.model import (
    ENTRY_BODIES,
    Alarm,
    Device,
    Entry,
    Fix,
    FrameBody,
    Placement,
    Reject,
    Scan,
    Sighting,
    Start,
    TagRead,
    pack,
)
from birddog.units import NS
from opsroom.believed import believed, of_source

T0 = 1_790_000_000 * NS
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}


def fix(device: str, t: float, lat_deg: float) -> Fix:
    return Fix(device=device, time_ns=T0 + int(t * NS), lat_deg=lat_deg, lon_deg=4.0 + 1e-4 * t, sigma_m=5.0)


def frame(t: float, *observations, rejects=(), sender: str = "gate") -> tuple[float, FrameBody]:
    return t, FrameBody(format="x", version=1, payload=b"", device=sender, observations=observations, rejects=rejects)


def batch(t: float) -> tuple[float, FrameBody]:
    """A gateway's message: two tags' fixes, one tag read, a third's rejected message and alarm."""
    read = TagRead(device="portal", time_ns=T0 + int(t * NS), epc="urn:epc:id:sgtin:1.2.3")
    alarm = Alarm(device="c", time_ns=T0 + int(t * NS), alarm="sos")
    return frame(t, fix("a", t, 52.0), fix("b", t, 52.1), read, alarm, rejects=(Reject("clock", "ahead", "c"),))


def entries(bodies) -> list[Entry]:
    return [
        Entry(seq=seq, kind=KIND[type(body)], received_ns=T0 + int(t * NS), ident=b"", source="mqtt" if seq % 2 else "file",
              operation="", body=pack(body))
        for seq, (t, body) in enumerate(bodies, start=1)
    ]  # fmt: skip


RING = tuple((4.0 + dx, 52.2 + dy) for dx, dy in ((-.1, -.1), (.1, -.1), (.1, .1), (-.1, .1), (-.1, -.1)))  # fmt: skip


def scan(t: float) -> tuple[float, Scan]:
    seen = Sighting(device="radar", time_ns=T0 + int(t * NS), lat_deg=52.2, lon_deg=4.0, r_ee=25.0, r_en=0.0, r_nn=25.0)
    return t, Scan(scan_id=f"s{t}", sensor="radar", time_ns=T0 + int(t * NS), footprint=RING, pd=0.9, clutter_per_km2=0.1,
                   sightings=(seen,))  # fmt: skip


JOURNAL = entries([
    (0, Start(version="x", presets={}, exercise=True)), (0, Device(device="a", klass="van")),
    (0, Placement(device="portal", lat_deg=52.3, lon_deg=4.0, range_m=20.0)),
    *[step(t) for t in range(10, 70, 10) for step in (batch, scan)],
])  # fmt: skip


def shown(**words) -> dict[int, dict[str, tuple]]:
    rows = believed(JOURNAL, 10 * NS, **words)
    return {(t - T0) // NS: {b.track_id: (b.tag_id, b.lat_deg, b.lon_deg, b.p_ee) for b in tracks} for t, tracks in rows}


@pytest.mark.parametrize("name", ["a", "b", "urn:epc:id:sgtin:1.2.3", "portal", "radar", "c", "gate", "mqtt", "file"])
def test_every_kind_of_source_is_found(name):
    assert any(of_source(entry, name) for entry in JOURNAL)
    assert not any(of_source(entry, name + "x") for entry in JOURNAL)


@pytest.mark.parametrize(
    ("name", "gone"), [("a", {"T4"}), ("b", {"T4.2"}), ("portal", {"T4.3"}), ("urn:epc:id:sgtin:1.2.3", {"T4.3"})]
)  # fmt: skip
def test_without_one_who_speaks_through_a_gateway_the_others_are_as_they_were(name, gone):
    whole, less = shown(), shown(leave_out=frozenset({name}))
    assert gone < set(whole[60])
    assert {t: {k: v for k, v in rows.items() if k not in gone} for t, rows in whole.items()} == less


def test_without_a_sensor_its_contacts_are_not():
    assert {row[0] for row in shown(leave_out=frozenset({"radar"}))[60].values()} == {"a", "b", "urn:epc:id:sgtin:1.2.3"}
    assert {row[0] for row in shown(leave_out=frozenset({"gate"}))[60].values()} == {""}


def test_only_what_the_late_one_said_comes_later():
    whole, late = shown(), shown(late_ns={"b": 25 * NS})
    assert all(late[t].get("T4") == whole[t].get("T4") for t in whole)
    assert "T4.2" not in late[30] and late[40]["T4.2"][:1] == ("b",) and late[60]["T4.2"] != whole[60]["T4.2"]
    assert shown(late_ns={"b": 25 * NS, "gate": 5 * NS})[40]["T4.2"] == late[40]["T4.2"], "as late as the later of the two"
