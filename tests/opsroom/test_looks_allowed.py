"""What the law as entered allows to ask for next: by case, tag and warrant, at a time."""

from __future__ import annotations

import json

import pytest

from birddog.directory import Directory
from birddog.model import Attachment, Device, Operation, Track, WarrantAct
from birddog.units import NS, iso_from_ns, ns_from_text
from opsroom.looks_allowed import barred

T0 = ns_from_text("2026-03-02T12:00:00Z")
ALL = {"wake_tag", "task_tile", "ask_partner"}


def track(operation="JAY", *names):
    return Track(
        track_id="T1", operation=operation, identities=names, status="confirmed", time_ns=T0, lat_deg=52.0, lon_deg=4.0,
        ve_mps=0.0, vn_mps=0.0, p_ee=1.0, p_en=0.0, p_nn=1.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0, updated_ns=T0, contact_ns=T0,
        first_ns=T0, hits=3,
    )  # fmt: skip


@pytest.fixture
def directory():
    found = Directory()
    found.apply(Operation(operation="JAY"))
    found.apply(Device(device="tag"))
    found.apply(Attachment(device="tag", shipment="S1", operation="JAY", from_ns=0))
    return found


def warrant(days=10):
    until = T0 + days * 86_400 * NS
    return {
        "id": "W-1", "device": "tag", "issued": "2026-02-20T00:00:00Z", "install_by": "2026-03-01T00:00:00Z",
        "installed": "2026-02-25T00:00:00Z", "use_from": "2026-02-25T00:00:00Z",
        "use_until": iso_from_ns(until), "revoked_at": None,
        "jurisdiction": {"type": "Polygon", "coordinates": [[[0, 50], [9, 50], [9, 55], [0, 55], [0, 50]]]},
    }  # fmt: skip


def test_a_case_without_warrants_may_wake_its_own_tag_and_no_other(directory):
    assert barred(track("JAY", "tag"), directory, T0) == {}
    assert set(barred(track("JAY", "244990011"), directory, T0)) == {"wake_tag"}  # no tag of ours
    directory.apply(Device(device="tag", retired=True))
    assert set(barred(track("JAY", "tag"), directory, T0)) == {"wake_tag"}
    directory.apply(Device(device="tag", basis="partner"))
    assert set(barred(track("JAY", "tag"), directory, T0)) == {"wake_tag"}  # a partner's: ask the partner


def test_what_belongs_to_no_case_and_what_is_closed(directory):
    assert set(barred(track("open", "244990011"), directory, T0)) == {"wake_tag", "ask_partner"}
    directory.apply(Operation(operation="JAY", closed=True))
    assert set(barred(track("JAY", "tag"), directory, T0)) == ALL
    assert set(barred(track("WREN", "tag"), directory, T0)) == ALL


def test_where_warrants_rule_nothing_is_proposed_without_one_in_force(directory):
    directory.apply(Operation(operation="JAY", requires_warrant=True))
    row = track("JAY", "tag")
    assert set(barred(row, directory, T0)) == ALL and "no warrant covers it" in barred(row, directory, T0)["wake_tag"]
    said = warrant()
    entered = WarrantAct(action="add", warrant="W-1", by="noor", operation="JAY", said=json.dumps(said))
    assert directory.apply(entered) and set(barred(row, directory, T0)) == ALL  # nobody approved it
    directory.apply(WarrantAct(action="approve", warrant="W-1", by="kim"))
    assert barred(row, directory, T0) == {}
    assert set(barred(row, directory, T0 + 11 * 86_400 * NS)) == ALL  # it has expired
    directory.apply(WarrantAct(action="revoke", warrant="W-1", by="kim", at_ns=T0 + NS))
    assert set(barred(row, directory, T0 + 2 * NS)) == ALL
